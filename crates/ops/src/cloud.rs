//! Which cloud a command talks to, and the clients for it: the same ones for the local cloud and
//! for AWS.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use sluice_aws::balance::DynamoBalance;
use sluice_aws::books::AwsBooks;
use sluice_aws::bundles::S3BundleStore;
use sluice_aws::canonical::DynamoCanonical;
use sluice_aws::divergence::DynamoDivergence;
use sluice_aws::drift::DynamoDrift;
use sluice_aws::error::fault;
use sluice_aws::ledger::DynamoLedger;
use sluice_aws::operations::DynamoOperations;
use sluice_aws::quarantine::DynamoQuarantine;
use sluice_aws::raw::S3RawStore;
use sluice_aws::vendors::DynamoVendors;

use crate::error::OpsError;
use crate::names::{Names, names, names_on_aws};

/// Region of the local cloud.
pub const REGION_LOCAL: &str = "us-east-1";

/// Clients of one cloud.
#[derive(Debug, Clone)]
pub struct Cloud {
    sdk: SdkConfig,
    local: bool,
    region: String,
}

impl Cloud {
    /// The local cloud at `url`, with the access key of its data folder.
    ///
    /// Built from nothing, not loaded: a developer's own AWS profile has no say.
    pub fn local(url: &str, access_key_id: &str, secret: &str) -> Self {
        let credentials = Credentials::new(access_key_id, secret, None, None, "sluice --local");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION_LOCAL))
            .endpoint_url(url.trim_end_matches('/'))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // Nobody is there: say so at once.
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts())
            .build();
        Self { sdk, local: true, region: REGION_LOCAL.into() }
    }

    /// A local cloud in this process.
    pub fn in_process(sdk: SdkConfig) -> Self {
        Self { sdk, local: true, region: REGION_LOCAL.into() }
    }

    /// AWS from within a function: its role and region are those of `sdk`.
    ///
    /// # Errors
    /// When `sdk` names no region.
    pub fn on_aws(sdk: SdkConfig) -> Result<Self, OpsError> {
        let Some(region) = sdk.region().map(ToString::to_string) else {
            return Err(OpsError::invalid("no AWS region is configured"));
        };
        Ok(Self { sdk, local: false, region })
    }

    /// AWS by the ordinary configuration or a named profile, checked before the first call, since
    /// the SDK's own words for what is missing come late and say little.
    ///
    /// # Errors
    /// When there is no region or no credentials.
    pub async fn aws(profile: Option<&str>) -> Result<Self, OpsError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts());
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let sdk = loader.load().await;
        let Some(region) = sdk.region().map(ToString::to_string) else {
            return Err(OpsError::invalid("no AWS region is configured")
                .with_hint("set AWS_REGION or a profile (AWS_PROFILE), or use --local for `sluice dev`"));
        };
        let credentials = match sdk.credentials_provider() {
            Some(provider) => provider.provide_credentials().await.err().map(|error| chain(&error)),
            None => Some("no provider".to_owned()),
        };
        if let Some(problem) = credentials {
            return Err(OpsError::invalid(format!("no usable AWS credentials: {problem}")).with_hint(
                "sign in (`aws configure`, `aws sso login`, AWS_PROFILE), or use --local for `sluice dev`",
            ));
        }
        Ok(Self { sdk, local: false, region })
    }

    /// Whether it is the local one.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The ledger.
    pub fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(&self.sdk, &self.names().ledger)
    }

    /// The quarantine.
    pub fn quarantine(&self) -> DynamoQuarantine {
        DynamoQuarantine::new(&self.sdk, &self.names().quarantine)
    }

    /// Operations.
    pub fn operations(&self) -> DynamoOperations {
        DynamoOperations::new(&self.sdk, &self.names().operations)
    }

    /// Ledger, objects and quarantine, to be examined against one another.
    pub fn books(&self) -> AwsBooks {
        let names = self.names();
        let names = sluice_aws::books::Names {
            ledger: names.ledger.clone(),
            quarantine: names.quarantine.clone(),
            raw: names.raw.clone(),
            normalized: names.normalized.clone(),
            canonical_state: names.canonical_state.clone(),
        };
        AwsBooks::new(&self.sdk, names)
    }

    /// Balances as `reconcile` stored them.
    pub fn balances(&self) -> DynamoBalance {
        DynamoBalance::new(&self.sdk, &self.names().balance)
    }

    /// Canonical state.
    pub fn canonical(&self) -> DynamoCanonical {
        DynamoCanonical::new(&self.sdk, &self.names().canonical_state, &self.names().divergence)
    }

    /// Divergence.
    pub fn divergence(&self) -> DynamoDivergence {
        DynamoDivergence::new(&self.sdk, &self.names().divergence)
    }

    /// What adapters are made of.
    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// The ARN of a state machine; `None` if there is none of that name.
    ///
    /// # Errors
    /// When Step Functions does not answer.
    pub async fn state_machine_arn(&self, name: &str) -> Result<Option<String>, OpsError> {
        let mut token: Option<String> = None;
        loop {
            let page = self.stepfunctions().list_state_machines().set_next_token(token).send().await;
            let page = page.map_err(|error| fault("list the state machines", error))?;
            if let Some(found) = page.state_machines.into_iter().find(|machine| machine.name == name) {
                return Ok(Some(found.state_machine_arn));
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(None);
            }
        }
    }

    /// Vendors and pointers.
    pub fn vendors(&self) -> DynamoVendors {
        DynamoVendors::new(&self.sdk, &self.names().vendors)
    }

    /// Profiles of messages, and how they drift.
    pub fn drift(&self) -> DynamoDrift {
        DynamoDrift::new(&self.sdk, &self.names().drift)
    }

    /// Published bundles.
    pub fn bundles(&self) -> S3BundleStore {
        S3BundleStore::new(&self.sdk, &self.names().mappers)
    }

    /// Manifests and results of replays, under keys that are never used twice.
    pub fn replays(&self) -> S3BundleStore {
        S3BundleStore::new(&self.sdk, &self.names().replays)
    }

    /// Verbatim requests, and any object by its reference.
    pub fn objects(&self) -> S3RawStore {
        S3RawStore::new(&self.sdk, &self.names().raw)
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk)
    }

    /// Step Functions.
    pub fn stepfunctions(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.sdk)
    }

    /// SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk)
    }

    /// KMS, for the key that signs mappers.
    pub fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.sdk)
    }

    /// Names of tables, buckets and queues.
    pub fn names(&self) -> &'static Names {
        if self.local { names() } else { names_on_aws() }
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The AWS console's page of an execution; `None` on the local cloud.
    pub fn execution_link(&self, arn: &str) -> Option<String> {
        let region = &self.region;
        (!self.is_local()).then(|| {
            format!(
                "https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}"
            )
        })
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_secs(60))
        .build()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_text = source.to_string();
        if !text.contains(&source_text) {
            text.push_str(": ");
            text.push_str(&source_text);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_console_of_the_region() {
        let mut cloud = Cloud::local("http://127.0.0.1:1/", "SLUICE", "s");
        assert_eq!(cloud.execution_link("arn:x"), None);
        assert_eq!(cloud.sdk().endpoint_url(), Some("http://127.0.0.1:1"));
        cloud.local = false;
        cloud.region = "eu-central-1".into();
        let link = cloud.execution_link("arn:x").unwrap_or_default();
        assert!(
            link.starts_with("https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#")
        );
        assert!(link.ends_with("/arn:x"));
    }

    #[test]
    fn a_function_without_a_region_is_told_so() {
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        assert!(Cloud::on_aws(sdk).is_err_and(|error| error.to_string().contains("region")));
    }
}

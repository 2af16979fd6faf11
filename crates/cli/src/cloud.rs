//! Which cloud a command talks to, and the clients for it: the same ones for the local cloud and for AWS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use reqwest::Url;
use sluice_aws::balance::DynamoBalance;
use sluice_aws::books::AwsBooks;
use sluice_aws::bundles::S3BundleStore;
use sluice_aws::canonical::DynamoCanonical;
use sluice_aws::divergence::DynamoDivergence;
use sluice_aws::drift::DynamoDrift;
use sluice_aws::error::fault;
use sluice_aws::ledger::DynamoLedger;
use sluice_aws::quarantine::DynamoQuarantine;
use sluice_aws::raw::S3RawStore;
use sluice_aws::vendors::DynamoVendors;
use sluice_core::{Code, Fault};
use sluice_local::credentials::{self, AccessKey, CredentialsError};

use crate::args::{API_URL_LOCAL, Global};
use crate::error::{CliError, ExitKind};
use crate::names::{Names, names, names_on_aws};

/// Region of the local cloud.
pub const REGION_LOCAL: &str = "us-east-1";

/// Clients of one cloud.
#[derive(Debug, Clone)]
pub struct Cloud {
    sdk: SdkConfig,
    local: Option<Url>,
    region: String,
}

impl Cloud {
    /// The local cloud at `url`, with the access key of its data folder.
    ///
    /// # Errors
    /// When nobody answers there, and when the key cannot be read.
    pub async fn local(url: &Url) -> Result<Self, CliError> {
        let file = credentials_file(url).await?;
        let key = AccessKey::read(&file).map_err(|error| unreadable(&file, &error))?;
        Ok(Self::with_key(url, &key))
    }

    /// Built from nothing, not loaded: a developer's own AWS profile has no say.
    fn with_key(url: &Url, key: &AccessKey) -> Self {
        let credentials = Credentials::new(&key.id, &key.secret, None, None, "sluice --local");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION_LOCAL))
            .endpoint_url(url.as_str().trim_end_matches('/'))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // Nobody is there: say so at once.
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts())
            .build();
        Self { sdk, local: Some(url.clone()), region: REGION_LOCAL.into() }
    }

    /// A local cloud in this process.
    pub fn in_process(sdk: SdkConfig) -> Self {
        let local = sdk.endpoint_url().and_then(|url| url.parse().ok());
        Self { sdk, local, region: REGION_LOCAL.into() }
    }

    /// AWS by the ordinary configuration, checked before the first call, since the SDK's own words for what is missing come
    /// late and say little.
    pub async fn aws() -> Result<Self, CliError> {
        let sdk = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts()).load().await;
        let Some(region) = sdk.region().map(ToString::to_string) else {
            return Err(CliError::usage("no AWS region is configured")
                .with_hint("set AWS_REGION or a profile (AWS_PROFILE), or use --local for `sluice dev`"));
        };
        let credentials = match sdk.credentials_provider() {
            Some(provider) => provider.provide_credentials().await.err().map(|error| chain(&error)),
            None => Some("no provider".to_owned()),
        };
        if let Some(problem) = credentials {
            return Err(CliError::usage(format!("no usable AWS credentials: {problem}")).with_hint(
                "sign in (`aws configure`, `aws sso login`, AWS_PROFILE), or use --local for `sluice dev`",
            ));
        }
        Ok(Self { sdk, local: None, region })
    }

    /// The one that the options name.
    pub async fn connect(global: &Global) -> Result<Self, CliError> {
        match local_url(global) {
            Some(url) => Self::local(url).await,
            None => Self::aws().await,
        }
    }

    /// Whether it is the local one.
    pub fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// The ledger.
    pub fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(&self.sdk, &self.names().ledger)
    }

    /// The quarantine.
    pub fn quarantine(&self) -> DynamoQuarantine {
        DynamoQuarantine::new(&self.sdk, &self.names().quarantine)
    }

    /// Ledger, objects and quarantine, to be examined against one another.
    pub fn books(&self) -> AwsBooks {
        let names = self.names();
        let names = sluice_aws::books::Names {
            ledger: names.ledger.clone(),
            quarantine: names.quarantine.clone(),
            raw: names.raw.clone(),
            normalized: names.normalized.clone(),
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
    pub async fn state_machine_arn(&self, name: &str) -> Result<Option<String>, CliError> {
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
        if self.local.is_some() { names() } else { names_on_aws() }
    }

    /// The console's page of an execution.
    pub fn execution_link(&self, arn: &str) -> Option<String> {
        let region = &self.region;
        (!self.is_local()).then(|| {
            format!(
                "https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}"
            )
        })
    }
}

/// Endpoint of the local cloud, if that is meant.
pub fn local_url(global: &Global) -> Option<&Url> {
    global.local.as_ref().and_then(|setting| setting.0.as_ref())
}

/// The file with the access key of the local cloud at `url`. Its endpoint says where it is to whoever asks without a key.
pub async fn credentials_file(url: &Url) -> Result<PathBuf, CliError> {
    // Nothing between: a proxy is not for the loopback interface.
    let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(3));
    let client = client.timeout(Duration::from_secs(20)).build();
    let answer = match client {
        Ok(client) => client.get(url.clone()).send().await,
        Err(error) => Err(error),
    };
    let answer = answer.map_err(|error| {
        CliError::from(Fault::new(Code::Unavailable, format!("failed to reach {url}")).with_source(error))
    })?;
    if answer.status() == reqwest::StatusCode::MISDIRECTED_REQUEST {
        let host = url.authority();
        return Err(CliError::usage(format!("the local cloud does not answer for {host}")).with_hint(
            format!("name it 127.0.0.1 with its own port, or start it with `sluice dev --allow-host {host}`"),
        ));
    }
    let file = answer.headers().get(credentials::HEADER).and_then(|value| value.to_str().ok());
    file.map(PathBuf::from).ok_or_else(|| {
        CliError::usage(format!(
            "{url} is not the AWS endpoint of `sluice dev`: HTTP status {}",
            answer.status()
        ))
        .with_hint("name the AWS endpoint as `sluice dev` shows it, such as --local=http://127.0.0.1:8788")
    })
}

fn unreadable(file: &Path, error: &CredentialsError) -> CliError {
    CliError::Usage {
        message: format!("the access key of the local cloud, {}, cannot be used: {error}", file.display()),
        hint: Some("run the command as the user, and on the machine, that runs `sluice dev`".into()),
    }
}

/// The ingest API that the options name.
pub fn api_url(global: &Global) -> Result<Url, CliError> {
    if let Some(url) = &global.api {
        return Ok(url.clone());
    }
    if local_url(global).is_some() {
        return API_URL_LOCAL.parse().map_err(|error| CliError::usage(format!("{API_URL_LOCAL}: {error}")));
    }
    Err(CliError::usage("the address of the ingest API is not known")
        .with_hint("give --api URL or SLUICE_API (the stack's output), or --local for `sluice dev`"))
}

/// What to do about an error, as far as it depends on the cloud.
pub fn hint(error: &CliError, global: &Global) -> Option<String> {
    if error.kind() != ExitKind::Unavailable {
        return None;
    }
    // An answer, even a 503, came from someone.
    let reached = matches!(error, CliError::Answered { .. });
    match (local_url(global), reached) {
        (Some(url), false) => Some(format!(
            "is `sluice dev` running? It was looked for at {}",
            match (error, &global.api) {
                (CliError::Api { .. }, Some(api)) => api.as_str(),
                (CliError::Api { .. }, None) => API_URL_LOCAL,
                _ => url.as_str(),
            }
            .trim_end_matches('/')
        )),
        (None, false) => {
            Some("check the network, the region and --api; then run the same command again".into())
        }
        (_, true) => Some("run the same command again: a resubmission of the same event is harmless".into()),
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
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn global(line: &str) -> Global {
        Cli::try_parse_from(std::iter::once("sluice").chain(line.split_whitespace())).unwrap().global
    }

    #[test]
    fn the_api_is_known_with_local_only() {
        assert_eq!(api_url(&global("--local ls")).unwrap().as_str(), "http://127.0.0.1:8787/");
        assert_eq!(api_url(&global("--api https://x.test/prod ls")).unwrap().as_str(), "https://x.test/prod");
        assert_eq!(api_url(&global("ls")).unwrap_err().kind(), ExitKind::Usage);
    }

    #[test]
    fn who_is_not_there_is_asked_for_by_address() {
        let down = CliError::from(Fault::new(Code::Unavailable, "x"));
        assert_eq!(
            hint(&down, &global("--local=http://127.0.0.1:9 ls")).as_deref(),
            Some("is `sluice dev` running? It was looked for at http://127.0.0.1:9")
        );
        assert!(hint(&down, &global("ls")).unwrap().contains("network"));
        let busy = CliError::Answered { status: 503, said: None };
        assert!(hint(&busy, &global("--local ls")).unwrap().contains("again"));
        assert_eq!(hint(&CliError::Failed("x".into()), &global("--local ls")), None);
    }

    #[test]
    fn links_lead_to_the_console_of_the_region() {
        let key = AccessKey { id: "SLUICE".into(), secret: "s".into() };
        let mut cloud = Cloud::with_key(&"http://127.0.0.1:1".parse().unwrap(), &key);
        assert_eq!(cloud.execution_link("arn:x"), None);
        cloud.local = None;
        cloud.region = "eu-central-1".into();
        let link = cloud.execution_link("arn:x").unwrap();
        assert!(
            link.starts_with("https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#")
        );
        assert!(link.ends_with("/arn:x"));
    }
}

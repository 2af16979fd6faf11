//! The SDK's clients, as every adapter makes them.
//!
//! Requests are signed wherever there are credentials. A configuration without any is the local cloud's for the functions in
//! its own process, which asks them for none: then none is computed.

use aws_config::SdkConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

fn signs(sdk: &SdkConfig) -> bool {
    sdk.credentials_provider().is_some()
}

pub(crate) fn dynamodb(sdk: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::config::Builder::from(sdk);
    let config = if signs(sdk) { config } else { config.allow_no_auth() };
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

pub(crate) fn eventbridge(sdk: &SdkConfig) -> aws_sdk_eventbridge::Client {
    let config = aws_sdk_eventbridge::config::Builder::from(sdk);
    let config = if signs(sdk) { config } else { config.allow_no_auth() };
    aws_sdk_eventbridge::Client::from_conf(config.build())
}

pub(crate) fn sqs(sdk: &SdkConfig) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::config::Builder::from(sdk);
    let config = if signs(sdk) { config } else { config.allow_no_auth() };
    aws_sdk_sqs::Client::from_conf(config.build())
}

/// Path style at an endpoint of its own (the local cloud has no names for buckets), AWS's style on AWS. No checksum but the
/// SHA-256 that we send: every object is stored with its digest and verified against it when it is read.
pub(crate) fn s3(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(sdk)
        .force_path_style(sdk.endpoint_url().is_some())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    let config = if signs(sdk) { config } else { config.allow_no_auth() };
    aws_sdk_s3::Client::from_conf(config.build())
}

pub(crate) fn sfn(sdk: &SdkConfig) -> aws_sdk_sfn::Client {
    let config = aws_sdk_sfn::config::Builder::from(sdk);
    let config = if signs(sdk) { config } else { config.allow_no_auth() };
    aws_sdk_sfn::Client::from_conf(config.build())
}

/// For `StartSyncExecution`, before whose host the SDK puts `sync-`. An endpoint of its own has no such name: there it is taken away.
pub(crate) fn sfn_sync(sdk: &SdkConfig) -> aws_sdk_sfn::Client {
    let mut config = aws_sdk_sfn::config::Builder::from(sdk);
    if sdk.endpoint_url().is_some() {
        config = config.interceptor(NoHostPrefix);
    }
    let config = if signs(sdk) { config } else { config.allow_no_auth() };
    aws_sdk_sfn::Client::from_conf(config.build())
}

#[derive(Debug)]
struct NoHostPrefix;

impl Intercept for NoHostPrefix {
    fn name(&self) -> &'static str {
        "NoHostPrefix"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let uri = request.uri().replacen("://sync-", "://", 1);
        request.set_uri(uri)?;
        Ok(())
    }
}

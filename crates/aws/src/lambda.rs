//! The frame of every Lambda function: settings, clients, JSON logs, and errors by the names that ASL matches.
//!
//! `lambda_runtime` would report a boxed error under its Rust type's name, which no ASL can match, and would keep an event that
//! does not parse from the handler: so handlers take `serde_json::Value`, and [`Fault`] becomes a `Diagnostic` explicitly.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use sluice_core::Fault;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{ConfigError, environment};
use crate::emf::Lines;

/// A handler's future.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Result<Value, Fault>> + Send + 'a>>;

/// Makes what a function needs, from the SDK's configuration and the environment.
pub type Setup<D> = fn(&SdkConfig, &dyn Fn(&str) -> Option<String>) -> Result<D, ConfigError>;

/// Runs a function until its environment ends. Exit code 1, with the reason on standard error, if its settings are wrong.
pub async fn main<D: Send + Sync + 'static>(
    name: &'static str,
    deps: Setup<D>,
    handle: for<'a> fn(&'a D, Value) -> Handling<'a>,
) -> ExitCode {
    // Not `EnvFilter`, which would bring an engine for regular expressions into every function.
    let levels = environment("SLUICE_LOG").and_then(|levels| levels.parse().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_ansi(false)
        .map_event_format(Lines);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
    let sdk = sdk_config(&environment);
    let deps = match deps(&sdk, &environment) {
        Ok(deps) => deps,
        Err(error) => {
            tracing::error!(function = name, %error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let deps = &deps;
    let service = service_fn(move |event: LambdaEvent<Value>| async move {
        handle(deps, event.payload).await.map_err(|fault| {
            tracing::warn!(function = name, error = fault.error_type(), code = %fault.code, "{fault}");
            Diagnostic { error_type: fault.error_type().to_owned(), error_message: fault.error_message() }
        })
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(function = name, %error, "the runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// The SDK's configuration for a function. Lambda says where it runs and as whom in its environment ("Defined runtime environment
/// variables" in its guide), so none of the SDK's other sources is asked, nor linked.
///
/// Attempts are cut well before the state's own time-out, so that a slow dependency is a `Retryable` with a cause rather than a
/// `States.Timeout`.
fn sdk_config(lookup: &dyn Fn(&str) -> Option<String>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_millis(1_500))
        .operation_timeout(Duration::from_secs(4))
        .build();
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(lookup("AWS_REGION").map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .timeout_config(timeouts);
    sdk.set_endpoint_url(lookup("AWS_ENDPOINT_URL"));
    sdk.build()
}

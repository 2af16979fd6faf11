//! One place that turns an SDK error into a classified [`Fault`].
//!
//! Retryable codes after AWS's "Error handling" pages of each service and `aws-runtime`'s own list; anything that the service
//! refused for another reason needs a person.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use sluice_core::{Code, Fault};

/// Classifies `error`; `action` says what was tried, e.g. `write the ledger row`.
pub fn fault<E>(action: &str, error: SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let code = match &error {
        SdkError::TimeoutError(_) => Code::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Code::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_user() => Code::ConfigurationInvalid,
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Code::Unavailable,
        SdkError::ServiceError(service) => {
            service_code(service.err().code(), service.err().message(), service.raw().status().as_u16())
        }
        // Construction failures, and whatever the SDK adds: the request was not sent.
        _ => Code::ConfigurationInvalid,
    };
    let said = match &error {
        SdkError::ServiceError(service) => {
            let error = service.err();
            match (error.code(), error.message()) {
                (Some(code), Some(message)) => format!(": {code}: {message}"),
                (Some(code), None) => format!(": {code}"),
                _ => format!(": HTTP status {}", service.raw().status().as_u16()),
            }
        }
        _ => String::new(),
    };
    Fault::new(code, format!("failed to {action}{said}")).with_source(error)
}

fn service_code(code: Option<&str>, message: Option<&str>, status: u16) -> Code {
    match code.unwrap_or_default() {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "SlowDown"
        | "PriorRequestNotComplete" => Code::Throttled,
        "RequestTimeout" | "RequestTimeoutException" => Code::TimedOut,
        "ConditionalRequestConflict"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException"
        | "OperationAborted" => Code::ConcurrentWrite,
        // The reasons of a transaction stand in its message: `[None, ThrottlingError]`.
        "TransactionCanceledException"
            if message.is_some_and(|reasons| {
                reasons.contains("ThrottlingError") || reasons.contains("ProvisionedThroughputExceeded")
            }) =>
        {
            Code::Throttled
        }
        _ if status >= 500 => Code::Unavailable,
        _ if status == 429 => Code::Throttled,
        _ => Code::Denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::Class;

    #[test]
    fn what_may_succeed_later_is_retryable() {
        for (code, status) in
            [(Some("SlowDown"), 503), (Some("ThrottlingException"), 400), (None, 500), (Some("X"), 502)]
        {
            assert_eq!(service_code(code, None, status).class(), Class::Retryable, "{code:?}");
        }
        for code in ["AccessDenied", "NoSuchBucket", "ResourceNotFoundException", "ValidationException"] {
            assert_eq!(service_code(Some(code), None, 400), Code::Denied, "{code}");
        }
        let cancelled = |reasons| service_code(Some("TransactionCanceledException"), Some(reasons), 400);
        assert_eq!(cancelled("Transaction cancelled … [None, ThrottlingError]"), Code::Throttled);
        assert_eq!(cancelled("Transaction cancelled … [ValidationError]"), Code::Denied);
    }
}

//! What the services on the AWS JSON protocols share: answers, errors and request ids.
//!
//! The protocols are Smithy's awsJson1.0 and awsJson1.1 (<https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>):
//! `POST /`, the operation in `X-Amz-Target`, and for an error the shape's name in `__type`.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The two versions differ in the media type alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// DynamoDB, SQS, Step Functions.
    Json10,
    /// EventBridge, KMS.
    Json11,
}

impl Protocol {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json10 => "application/x-amz-json-1.0",
            Self::Json11 => "application/x-amz-json-1.1",
        })
    }
}

/// An error as a service reports it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceError {
    /// HTTP status: 400 for the caller's, 500 for ours.
    pub(crate) status: StatusCode,
    /// The shape's name, with its namespace where clients expect one.
    pub(crate) name: String,
    /// One sentence.
    pub(crate) message: String,
    /// The value of `x-amzn-query-error`, for a service that once spoke the Query protocol.
    pub(crate) query_error: Option<String>,
}

impl ServiceError {
    /// The caller's fault.
    pub(crate) fn client(name: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            name: name.to_owned(),
            message: message.into(),
            query_error: None,
        }
    }

    /// Our fault; SDKs retry it.
    #[expect(clippy::needless_pass_by_value, reason = "given to `map_err` as it is")]
    pub(crate) fn internal(name: &str, message: impl ToString) -> Self {
        let (status, message) = (StatusCode::INTERNAL_SERVER_ERROR, message.to_string());
        Self { status, name: name.to_owned(), message, query_error: None }
    }
}

/// The body as a request type. A body that does not fit is a `SerializationException`, as in every AWS JSON service.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ServiceError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        ServiceError::client("com.amazon.coral.service#SerializationException", error.to_string())
    })
}

/// The answer to one call.
pub(crate) fn respond<T: Serialize>(protocol: Protocol, result: Result<T, ServiceError>) -> Response<Bytes> {
    match result.and_then(|output| {
        serde_json::to_vec(&output).map_err(|error| ServiceError::internal("InternalFailure", error))
    }) {
        Ok(body) => json(protocol, StatusCode::OK, body.into()),
        Err(error) => failure(protocol, &error),
    }
}

/// An error as an answer.
pub(crate) fn failure(protocol: Protocol, error: &ServiceError) -> Response<Bytes> {
    let body = serde_json::json!({"__type": error.name, "message": error.message}).to_string();
    let mut response = json(protocol, error.status, body.into());
    if let Some(value) = error.query_error.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), value);
    }
    response
}

/// JSON that is encoded already.
pub(crate) fn json(protocol: Protocol, status: StatusCode, body: Bytes) -> Response<Bytes> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, protocol.content_type());
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    with_request_id(response, HeaderName::from_static("x-amzn-requestid"))
}

/// Adds a new request id.
pub(crate) fn with_request_id<B>(mut response: Response<B>, name: HeaderName) -> Response<B> {
    if let Ok(value) = HeaderValue::from_str(&request_id()) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A new id in the form of a UUID.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

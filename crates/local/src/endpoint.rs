//! The AWS endpoint: one address for all services, told apart by `X-Amz-Target`, by path, and else S3.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use s3s::Body;
use serde_json::{Value, json};

use crate::dynamodb::DynamoDb;
use crate::events::Events;
use crate::functions::{FunctionHost, InvokeError};
use crate::gate::{Caller, REQUEST_BYTES_MAX, unread};
use crate::kms::Kms;
use crate::machines::StateMachines;
use crate::s3::S3;
use crate::sqs::Sqs;
use crate::wire::{self, Protocol, ServiceError};

const INVOKE_PREFIX: &str = "/2015-03-31/functions/";
const INVOKE_SUFFIX: &str = "/invocations";
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// All services.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) dynamodb: Arc<DynamoDb>,
    pub(crate) s3: S3,
    pub(crate) sqs: Arc<Sqs>,
    pub(crate) events: Arc<Events>,
    pub(crate) kms: Kms,
    /// Set once the functions exist, which themselves need a client of this endpoint.
    pub(crate) functions: OnceLock<FunctionHost>,
    pub(crate) machines: OnceLock<Machines>,
}

/// Held weakly: tasks of the machines call this endpoint.
#[derive(Clone)]
pub(crate) struct Machines(pub(crate) Weak<dyn StateMachines>);

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Machines")
    }
}

impl Endpoint {
    /// One request of any service, which was let in.
    pub(crate) async fn handle(&self, caller: Caller, request: Request<Body>) -> Response<Body> {
        let target = request.headers().get(&TARGET).and_then(|value| value.to_str().ok());
        if let Some((service, operation)) = target.and_then(|target| target.split_once('.')) {
            let (service, operation) = (service.to_owned(), operation.to_owned());
            let body = match read(request).await {
                Ok(body) => body,
                Err(refusal) => return refusal.map(Body::from),
            };
            return self.target(caller, &service, &operation, body).await.map(Body::from);
        }
        let path = request.uri().path();
        if let Some(function) =
            path.strip_prefix(INVOKE_PREFIX).and_then(|rest| rest.strip_suffix(INVOKE_SUFFIX))
        {
            let function = String::from_utf8_lossy(&crate::sigv4::decoded(function)).into_owned();
            return self.invoke(&function, request).await.map(Body::from);
        }
        if request.method() == Method::POST && path == "/" && is_form(&request) {
            return query_protocol(request).await.map(Body::from);
        }
        self.s3.handle(request).await
    }

    async fn target(&self, caller: Caller, service: &str, operation: &str, body: Bytes) -> Response<Bytes> {
        match service {
            "DynamoDB_20120810" | "DynamoDBStreams_20120810" => {
                self.dynamodb.handle_in_turn(operation, body).await
            }
            "AmazonSQS" => self.sqs.handle(operation, &body).await,
            "TrentService" => self.kms.handle(caller, operation, &body),
            "AWSEvents" => self.events.handle(operation, &body).await,
            "AWSStepFunctions" => match self.machines.get().and_then(|machines| machines.0.upgrade()) {
                Some(machines) => machines.handle(operation, body).await,
                None => {
                    let error =
                        ServiceError::internal("ServiceUnavailable", "the state machines are not running");
                    wire::failure(Protocol::Json10, &error)
                }
            },
            _ => {
                let message = format!("the local cloud has no service {service}");
                let error =
                    ServiceError::client("com.amazon.coral.service#UnknownOperationException", message);
                wire::failure(Protocol::Json10, &error)
            }
        }
    }

    /// Lambda's `Invoke` (AWS Lambda API Reference, 2015-03-31).
    async fn invoke(&self, function: &str, request: Request<Body>) -> Response<Bytes> {
        let kind = request.headers().get(&INVOCATION_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or("RequestResponse").to_owned();
        if request.method() != Method::POST {
            return lambda_error(
                StatusCode::METHOD_NOT_ALLOWED,
                "InvalidRequestContentException",
                "use POST",
            );
        }
        let body = match read(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let payload = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                let message = format!("Could not parse request body into json: {error}");
                return lambda_error(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &message);
            }
        };
        let Some(functions) = self.functions.get() else {
            return lambda_error(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceException",
                "the functions are not running",
            );
        };
        match kind.as_str() {
            "RequestResponse" => match functions.invoke(function, payload).await {
                Ok(result) => lambda_result(result.to_string(), false),
                Err(InvokeError::NotFound(name)) => function_not_found(&name),
                Err(error) => lambda_result(error.payload().to_string(), true),
            },
            "Event" => {
                let (functions, function) = (functions.clone(), function.to_owned());
                tokio::spawn(async move {
                    if let Err(error) = functions.invoke(&function, payload).await {
                        tracing::warn!(function, %error, "an asynchronous invocation failed");
                    }
                });
                status(StatusCode::ACCEPTED)
            }
            "DryRun" => status(StatusCode::NO_CONTENT),
            _ => lambda_error(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                "unknown invocation type",
            ),
        }
    }
}

async fn read(request: Request<Body>) -> Result<Bytes, Response<Bytes>> {
    let mut body = request.into_body();
    body.store_all_limited(REQUEST_BYTES_MAX).await.map_err(|error| unread(&error))
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    wire::with_request_id(response, HeaderName::from_static("x-amzn-requestid"))
}

fn lambda_result(body: String, failed: bool) -> Response<Bytes> {
    let mut response = wire::json(Protocol::Json10, StatusCode::OK, body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    if failed {
        response.headers_mut().insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    response
}

fn function_not_found(name: &str) -> Response<Bytes> {
    let message = format!("Function not found: {}", crate::arn::function(name));
    lambda_error(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message)
}

fn lambda_error(status: StatusCode, name: &'static str, message: &str) -> Response<Bytes> {
    let body = json!({"Type": "User", "Message": message}).to_string();
    let mut response = wire::json(Protocol::Json10, status, body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(name));
    response
}

fn is_form(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// The Query protocol, for `sts GetCallerIdentity` alone: tools ask it who they are.
async fn query_protocol(request: Request<Body>) -> Response<Bytes> {
    let body = match read(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let body = String::from_utf8_lossy(&body);
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default();
    let (id, account) = (wire::request_id(), crate::arn::ACCOUNT);
    let (status, xml) = if action == "GetCallerIdentity" {
        let xml = format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{account}:root</Arn><UserId>{account}</UserId><Account>{account}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        (StatusCode::OK, xml)
    } else {
        let xml = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>the local cloud answers \
             GetCallerIdentity alone on the Query protocol</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
        );
        (StatusCode::BAD_REQUEST, xml)
    };
    let mut response = Response::new(Bytes::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

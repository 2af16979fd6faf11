//! The API on AWS's own wire protocol, AWS JSON 1.0.
//!
//! Sources: the Step Functions API reference and its Smithy model for members and errors; "AWS JSON
//! 1.0 protocol" of Smithy for the wire; recorded answers of AWS for messages. Dates are epoch
//! seconds with milliseconds.
//!
//! The host is not looked at: the SDKs put `sync-` before it for `StartSyncExecution`. Signatures
//! are not checked.

mod activities;
mod executions;
mod machines;
mod mocks;
mod request;
mod test_state;
mod versions;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use sluice_asl::Timestamp;

use self::machines::validate;
use self::request::Request;
use crate::arn::expect_state_machine;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::limits::ARN_CHARS_MAX;

/// What `X-Amz-Target` begins with.
const TARGET_PREFIX: &str = "AWSStepFunctions.";

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// The longest `nextToken`, in characters.
const TOKEN_CHARS_MAX: usize = 1_024;

impl Engine {
    /// Answers one request: `target` is the `X-Amz-Target` header, e.g.
    /// `AWSStepFunctions.StartExecution`, and `body` the request's body. Errors are answers too:
    /// 400 with `__type` and `message`, 5xx for faults of the engine.
    pub async fn handle(&self, target: &str, body: Bytes) -> Response<Bytes> {
        let request_id = self.inner.uuid();
        let answer = self.answer(target, &body).await;
        let (status, error_type, body) = match answer {
            Ok(answer) => (StatusCode::OK, None, answer),
            Err(error) => {
                if error.http_status() >= 500 {
                    tracing::error!(target, %error, "a step functions request failed");
                }
                let status =
                    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let code = error.code();
                (status, Some(code), json!({"__type": code, "message": error.to_string()}))
            }
        };
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, CONTENT_TYPE);
        if let Ok(request_id) = HeaderValue::from_str(&request_id) {
            headers.insert("x-amzn-requestid", request_id);
        }
        if let Some(code) = error_type {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        response
    }

    async fn answer(&self, target: &str, body: &[u8]) -> Result<Value> {
        let unknown = || Error::UnknownOperation(target.to_owned());
        let operation = target.strip_prefix(TARGET_PREFIX).ok_or_else(unknown)?;
        let request = Request::parse(body);
        match operation {
            "CreateStateMachine" => self.create(request?).await,
            "UpdateStateMachine" => self.update(request?).await,
            "DeleteStateMachine" => self.delete(request?).await,
            "DescribeStateMachine" => self.describe(request?).await,
            "PublishStateMachineVersion" => self.publish_version(request?).await,
            "DeleteStateMachineVersion" => self.delete_version(request?).await,
            "ListStateMachineVersions" => self.list_versions(request?).await,
            "CreateStateMachineAlias" => self.create_alias(request?).await,
            "DescribeStateMachineAlias" => self.describe_alias(request?).await,
            "UpdateStateMachineAlias" => self.update_alias(request?).await,
            "DeleteStateMachineAlias" => self.delete_alias(request?).await,
            "ListStateMachineAliases" => self.list_aliases(request?).await,
            "DescribeStateMachineForExecution" => self.describe_for_execution(request?).await,
            "ListStateMachines" => self.list_machines(request?),
            "ValidateStateMachineDefinition" => validate(request?),
            "StartExecution" => self.start(request?).await,
            "StartSyncExecution" => self.start_and_wait(request?).await,
            "StopExecution" => self.stop(request?).await,
            "RedriveExecution" => self.redrive(request?).await,
            "DescribeExecution" => self.describe_run(request?).await,
            "ListExecutions" => self.list_runs(request?).await,
            "ListMapRuns" => self.list_maps(request?).await,
            "DescribeMapRun" => self.describe_map(request?).await,
            "UpdateMapRun" => self.update_map(request?).await,
            "GetExecutionHistory" => self.history(request?).await,
            "CreateActivity" => self.create_activity(request?).await,
            "DescribeActivity" => self.describe_activity(request?).await,
            "DeleteActivity" => self.delete_activity(request?).await,
            "ListActivities" => self.list_activities(request?).await,
            "GetActivityTask" => self.activity_task(request?).await,
            "SendTaskSuccess" => self.task_success(request?).await,
            "SendTaskFailure" => self.task_failure(request?).await,
            "SendTaskHeartbeat" => self.task_heartbeat(request?).await,
            "TestState" => self.test_state(request?).await,
            "TagResource" => self.tag(request?).await,
            "UntagResource" => self.untag(request?).await,
            "ListTagsForResource" => self.tags(request?).await,
            _ => Err(unknown()),
        }
    }
}

fn date(at: Timestamp) -> Value {
    at.as_epoch_seconds().into()
}

fn put(answer: &mut Value, member: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        answer[member] = value.into();
    }
}

fn arn(request: &mut Request, member: &str) -> Result<String> {
    let arn = request.short_text(member, ARN_CHARS_MAX)?;
    if member == "stateMachineArn" {
        match expect_state_machine(&arn) {
            Ok(()) | Err(Error::StateMachineDoesNotExist(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(arn)
}

/// Whether input, output and definition are wanted.
fn included_data(request: &mut Request) -> Result<bool> {
    Ok(request.choice("includedData", &["ALL_DATA", "METADATA_ONLY"])? != Some("METADATA_ONLY"))
}

/// A page token: where the next page begins, and for which question. Opaque to callers.
fn token(scope: &Value, place: &Value) -> String {
    let mut members = Map::new();
    members.insert("s".to_owned(), scope.clone());
    members.insert("p".to_owned(), place.clone());
    URL_SAFE_NO_PAD.encode(Value::Object(members).to_string())
}

fn page_token<T: serde::de::DeserializeOwned>(
    request: &mut Request,
    scope: &Value,
    chars_max: usize,
) -> Result<Option<T>> {
    let Some(text) = request.bounded_text("nextToken", chars_max)? else { return Ok(None) };
    let place = || {
        let mut token: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&text).ok()?).ok()?;
        if token.get("s") != Some(scope) {
            return None;
        }
        serde_json::from_value(token.get_mut("p")?.take()).ok()
    };
    match place() {
        Some(place) => Ok(Some(place)),
        None => Err(Error::InvalidToken(format!("Invalid token: {text}"))),
    }
}

//! What a Task state may call, besides what the engine answers itself; and the objects that a
//! Distributed Map reads its items from and writes its results to.
//!
//! Follows "Integrating services with Step Functions" of the Developer Guide: the optimized
//! integrations of Lambda, SQS, EventBridge and DynamoDB, and AWS SDK integrations of DynamoDB, S3,
//! SQS and EventBridge. Error names and causes are those of AWS's recorded histories.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_stepfunctions::{ObjectPart, TaskContext};

use crate::dynamodb::DynamoDb;
use crate::events::Events;
use crate::functions::FunctionHost;
use crate::s3::{ObjectError, Objects};
use crate::sqs::Sqs;
use crate::wire::{self, ServiceError};

/// A failed task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {cause}")]
pub struct TaskFailure {
    /// The name that `Retry` and `Catch` match.
    pub error: String,
    /// What happened.
    pub cause: String,
}

impl TaskFailure {
    fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into() }
    }
}

/// The services that tasks call.
#[derive(Debug, Clone)]
pub struct Integrations {
    functions: FunctionHost,
    queues: Arc<Sqs>,
    events: Arc<Events>,
    objects: Objects,
    tables: Arc<DynamoDb>,
}

/// The largest object that is read into a state, in bytes: no state holds more.
const OBJECT_BYTES_MAX: u64 = 262_144;

impl Integrations {
    pub(crate) fn new(
        functions: FunctionHost,
        queues: Arc<Sqs>,
        events: Arc<Events>,
        objects: Objects,
        tables: Arc<DynamoDb>,
    ) -> Self {
        Self { functions, queues, events, objects, tables }
    }

    /// At most `bytes_max` bytes of an object from `offset` on.
    pub fn read_object(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: u64,
    ) -> Result<ObjectPart, TaskFailure> {
        let part =
            self.objects.read(bucket, key, offset, bytes_max).map_err(|error| object_failure(&error))?;
        Ok(ObjectPart { bytes: part.bytes, etag: part.etag, size: part.size })
    }

    /// Writes an object of JSON.
    pub fn write_object(&self, bucket: &str, key: &str, body: &Bytes) -> Result<(), TaskFailure> {
        self.objects.write(bucket, key, body, "application/json").map_err(|error| object_failure(&error))
    }

    /// Runs one attempt of a task; the result has the members that AWS gives it.
    pub async fn run(
        &self,
        resource: &str,
        arguments: Value,
        context: &TaskContext,
    ) -> Result<Value, TaskFailure> {
        let Value::Object(mut arguments) = arguments else {
            return Err(TaskFailure::new("States.Runtime", "the arguments of a task are not an object"));
        };
        match resource.strip_prefix("arn:aws:states:::") {
            Some("lambda:invoke") => self.lambda_invoke(arguments, context).await,
            Some("sqs:sendMessage") => self.send_message(arguments).await,
            Some("events:putEvents") => self.put_events(arguments).await,
            Some("aws-sdk:eventbridge:putEvents") => {
                // As the service answers: entries that failed are no error.
                let answer = self.events.put_events(Value::Object(arguments)).await;
                answer.map_err(|error| service_failure("EventBridge", &error))
            }
            Some("aws-sdk:s3:getObject") => self.get_object(&mut arguments),
            Some("aws-sdk:s3:putObject") => self.put_object(&mut arguments),
            Some(called) => match called.split(':').collect::<Vec<_>>()[..] {
                ["dynamodb", action] => self.table("DynamoDB", action, arguments, true).await,
                ["aws-sdk", "dynamodb", action] => self.table("DynamoDb", action, arguments, false).await,
                ["aws-sdk", "sqs", action] => {
                    let body = Value::Object(arguments).to_string();
                    let answer = self.queues.call(&operation(action), body.as_bytes());
                    answer.map_err(|error| service_failure("Sqs", &error))
                }
                _ => Err(unknown(resource)),
            },
            None => Err(unknown(resource)),
        }
    }

    /// One call of DynamoDB. The optimized integration adds metadata, and names errors otherwise
    /// than the SDK's.
    async fn table(
        &self,
        service: &str,
        action: &str,
        arguments: Map<String, Value>,
        optimized: bool,
    ) -> Result<Value, TaskFailure> {
        let body = Bytes::from(Value::Object(arguments).to_string());
        let response = self.tables.handle_in_turn(&operation(action), body).await;
        let status = response.status();
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if status.is_success() {
            return Ok(if optimized {
                merged(with_metadata("application/x-amz-json-1.0"), answer)
            } else {
                answer
            });
        }
        let name = answer["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default();
        let message = ["message", "Message"].iter().find_map(|member| answer[*member].as_str());
        let (message, id) = (message.unwrap_or_default(), wire::request_id());
        let cause = if optimized {
            format!(
                "{message} (Service: AmazonDynamoDBv2; Status Code: {}; Error Code: {name}; Request ID: {id}; Proxy: null)",
                status.as_u16()
            )
        } else {
            format!("{message} (Service: DynamoDb, Status Code: {}, Request ID: {id})", status.as_u16())
        };
        Err(TaskFailure::new(format!("{service}.{}", exception(name)), cause))
    }

    /// The object's text is the member `Body`.
    fn get_object(&self, arguments: &mut Map<String, Value>) -> Result<Value, TaskFailure> {
        let (bucket, key) = (text(arguments, "Bucket")?, text(arguments, "Key")?);
        nothing_else(arguments, "aws-sdk:s3:getObject")?;
        let part = self
            .objects
            .read(&bucket, &key, 0, OBJECT_BYTES_MAX + 1)
            .map_err(|error| object_failure(&error))?;
        if part.size > OBJECT_BYTES_MAX {
            let cause = format!(
                "The state/task 's3:getObject' returned a result with a size exceeding the maximum number of bytes service \
                 limit: s3://{bucket}/{key} has {} bytes.",
                part.size
            );
            return Err(TaskFailure::new("States.DataLimitExceeded", cause));
        }
        let Ok(body) = std::str::from_utf8(&part.bytes) else {
            let cause = format!("s3://{bucket}/{key} is no UTF-8 text, which a state's data must be");
            return Err(TaskFailure::new("States.Runtime", cause));
        };
        Ok(json!({"Body": body, "ContentLength": part.size, "ETag": format!("\"{}\"", part.etag)}))
    }

    /// A body that is no text is written as its JSON.
    fn put_object(&self, arguments: &mut Map<String, Value>) -> Result<Value, TaskFailure> {
        let (bucket, key) = (text(arguments, "Bucket")?, text(arguments, "Key")?);
        let (body, default_type) = match arguments.remove("Body") {
            None => (String::new(), "application/octet-stream"),
            Some(Value::String(body)) => (body, "application/octet-stream"),
            Some(body) => (body.to_string(), "application/json"),
        };
        let content_type = if arguments.contains_key("ContentType") {
            text(arguments, "ContentType")?
        } else {
            default_type.to_owned()
        };
        nothing_else(arguments, "aws-sdk:s3:putObject")?;
        let failed = |error: ObjectError| object_failure(&error);
        self.objects.write(&bucket, &key, body.as_bytes(), &content_type).map_err(failed)?;
        let part = self.objects.read(&bucket, &key, 0, 0).map_err(failed)?;
        Ok(json!({"ETag": format!("\"{}\"", part.etag)}))
    }

    async fn lambda_invoke(
        &self,
        mut arguments: Map<String, Value>,
        context: &TaskContext,
    ) -> Result<Value, TaskFailure> {
        let function = text(&mut arguments, "FunctionName")?;
        let payload = arguments.remove("Payload").unwrap_or_else(|| json!({}));
        nothing_else(&arguments, "lambda:invoke")?;
        match self.functions.invoke_in_turn(&function, payload, || context.wait_for_turn()).await {
            Ok(payload) => {
                let mut result = with_metadata("application/json");
                result["ExecutedVersion"] = "$LATEST".into();
                result["Payload"] = payload;
                result["StatusCode"] = 200.into();
                Ok(result)
            }
            Err(error) => {
                let (error, cause) = error.as_task_error();
                Err(TaskFailure { error, cause })
            }
        }
    }

    async fn send_message(&self, arguments: Map<String, Value>) -> Result<Value, TaskFailure> {
        let mut arguments = arguments;
        // A message body that is an object is sent as its JSON.
        if let Some(body) = arguments.get_mut("MessageBody")
            && !body.is_string()
        {
            *body = body.to_string().into();
        }
        let body = Value::Object(arguments).to_string();
        let answer = self
            .queues
            .call("SendMessage", body.as_bytes())
            .map_err(|error| service_failure("SQS", &error))?;
        Ok(merged(with_metadata("application/x-amz-json-1.0"), answer))
    }

    async fn put_events(&self, arguments: Map<String, Value>) -> Result<Value, TaskFailure> {
        let mut request = Value::Object(arguments);
        for entry in request["Entries"].as_array_mut().into_iter().flatten() {
            if entry["Detail"].is_object() {
                entry["Detail"] = entry["Detail"].to_string().into();
            }
        }
        let answer =
            self.events.put_events(request).await.map_err(|error| service_failure("EventBridge", &error))?;
        if answer["FailedEntryCount"] != 0 {
            return Err(TaskFailure::new("EventBridge.FailedEntry", answer.to_string()));
        }
        Ok(merged(with_metadata("application/x-amz-json-1.1"), answer))
    }
}

fn unknown(resource: &str) -> TaskFailure {
    TaskFailure::new("States.Runtime", format!("the local cloud cannot call {resource}"))
}

/// `GetItem` of `getItem`.
fn operation(action: &str) -> String {
    let mut chars = action.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

/// A service's error as Step Functions names it.
fn exception(name: &str) -> String {
    if name.ends_with("Exception") { name.to_owned() } else { format!("{name}Exception") }
}

fn text(arguments: &mut Map<String, Value>, name: &str) -> Result<String, TaskFailure> {
    match arguments.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => {
            Err(TaskFailure::new("States.Runtime", format!("the argument {name} is missing or is no string")))
        }
    }
}

fn nothing_else(arguments: &Map<String, Value>, resource: &str) -> Result<(), TaskFailure> {
    match arguments.keys().next() {
        None => Ok(()),
        Some(name) => {
            let cause = format!("the argument {name} of {resource} is not supported by the local cloud");
            Err(TaskFailure::new("States.Runtime", cause))
        }
    }
}

fn object_failure(error: &ObjectError) -> TaskFailure {
    TaskFailure::new(format!("S3.{}Exception", error.name()), error.to_string())
}

/// `Service.NameException`, as Step Functions names the errors of services.
fn service_failure(service: &str, error: &ServiceError) -> TaskFailure {
    let name = error.name.rsplit('#').next().unwrap_or_default();
    TaskFailure::new(format!("{service}.{}", exception(name)), error.message.clone())
}

fn with_metadata(content_type: &str) -> Value {
    let id = wire::request_id();
    json!({
        "SdkHttpMetadata": {
            "AllHttpHeaders": {"Content-Type": [content_type], "x-amzn-RequestId": [id]},
            "HttpHeaders": {"Content-Type": content_type, "x-amzn-RequestId": id},
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": id},
    })
}

fn merged(mut result: Value, answer: Value) -> Value {
    if let (Value::Object(result), Value::Object(answer)) = (&mut result, answer) {
        result.extend(answer);
    }
    result
}

//! What a Task state may call, besides what the engine answers itself: `lambda:invoke`, `sqs:sendMessage` and
//! `events:putEvents` ("Integrating services with Step Functions", Developer Guide); and the objects that a Distributed Map
//! reads its items from and writes its results to.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_stepfunctions::ObjectPart;

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
}

impl Integrations {
    pub(crate) fn new(
        functions: FunctionHost,
        queues: Arc<Sqs>,
        events: Arc<Events>,
        objects: Objects,
    ) -> Self {
        Self { functions, queues, events, objects }
    }

    /// At most `bytes_max` bytes of an object from `offset` on.
    pub fn read_object(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: u64,
    ) -> Result<ObjectPart, TaskFailure> {
        let part = self.objects.read(bucket, key, offset, bytes_max).map_err(object_failure)?;
        Ok(ObjectPart { bytes: part.bytes, etag: part.etag, size: part.size })
    }

    /// Writes an object of JSON.
    pub fn write_object(&self, bucket: &str, key: &str, body: &Bytes) -> Result<(), TaskFailure> {
        self.objects.write(bucket, key, body, "application/json").map_err(object_failure)
    }

    /// Runs one attempt of a task; the result has the members that AWS gives it.
    pub async fn run(&self, resource: &str, arguments: Value) -> Result<Value, TaskFailure> {
        let Value::Object(arguments) = arguments else {
            return Err(TaskFailure::new("States.Runtime", "the arguments of a task are not an object"));
        };
        match resource.strip_prefix("arn:aws:states:::") {
            Some("lambda:invoke") => self.lambda_invoke(arguments).await,
            Some("sqs:sendMessage") => self.send_message(arguments).await,
            Some("events:putEvents") => self.put_events(arguments).await,
            _ => Err(TaskFailure::new("States.Runtime", format!("the local cloud cannot call {resource}"))),
        }
    }

    async fn lambda_invoke(&self, mut arguments: Map<String, Value>) -> Result<Value, TaskFailure> {
        let function = text(&mut arguments, "FunctionName")?;
        let payload = arguments.remove("Payload").unwrap_or_else(|| json!({}));
        nothing_else(&arguments, "lambda:invoke")?;
        match self.functions.invoke(&function, payload).await {
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

fn object_failure(error: ObjectError) -> TaskFailure {
    TaskFailure::new(format!("S3.{}Exception", error.name()), error.to_string())
}

/// `Service.NameException`, as Step Functions names the errors of services.
fn service_failure(service: &str, error: &ServiceError) -> TaskFailure {
    let name = error.name.rsplit('#').next().unwrap_or_default();
    let suffix = if name.ends_with("Exception") { "" } else { "Exception" };
    TaskFailure::new(format!("{service}.{name}{suffix}"), error.message.clone())
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

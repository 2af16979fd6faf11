//! SQS, standard queues, on the AWS JSON 1.0 protocol (Amazon SQS API Reference, 2012-11-05).
//!
//! FIFO queues, tags and permissions are refused by name. Answers to errors carry
//! `x-amzn-query-error`, without which SDKs do not recognise the error's type.

mod moves;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};

use crate::topology::Queue;
use crate::wire::{self, Protocol, ServiceError};
pub(crate) use store::LAYOUTS;
use store::{Delivery, NewMessage, QueueRow, Store};

/// Largest message, body and attributes together, in bytes (1 MiB since January 2026).
const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// Most entries in a batch, and most messages in one receive.
const BATCH_ENTRIES_MAX: usize = 10;

/// Longest wait of a receive, in seconds.
const WAIT_SECONDS_MAX: u64 = 20;

/// Longest visibility timeout, in seconds.
const VISIBILITY_SECONDS_MAX: i64 = 43_200;

/// Longest delay, in seconds.
const DELAY_SECONDS_MAX: i64 = 900;

/// The service.
#[derive(Debug)]
pub(crate) struct Sqs {
    store: Store,
    aws_url: String,
    sent: watch::Sender<u64>,
    moves: Notify,
}

/// A message that an event source mapping has received.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Names it in the function's answer.
    pub(crate) message_id: String,
    /// Deletes it.
    pub(crate) receipt: (i64, i64),
    /// As the function gets it.
    pub(crate) record: Value,
}

/// Settings of a queue, with AWS's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    visibility_seconds: i64,
    retention_seconds: i64,
    delay_seconds: i64,
    message_bytes_max: i64,
    wait_seconds: i64,
    dead_letter_arn: Option<String>,
    receives_max: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            visibility_seconds: 30,
            retention_seconds: 345_600,
            delay_seconds: 0,
            message_bytes_max: MESSAGE_BYTES_MAX as i64,
            wait_seconds: 0,
            dead_letter_arn: None,
            receives_max: 0,
        }
    }
}

impl Settings {
    fn set(&mut self, name: &str, value: &str) -> Result<(), ServiceError> {
        let invalid = || error("InvalidAttributeValue", &format!("Invalid value for the parameter {name}."));
        let bounded = |low: i64, high: i64| {
            value.parse::<i64>().ok().filter(|number| (low..=high).contains(number)).ok_or_else(invalid)
        };
        match name {
            "VisibilityTimeout" => self.visibility_seconds = bounded(0, VISIBILITY_SECONDS_MAX)?,
            "MessageRetentionPeriod" => self.retention_seconds = bounded(60, 1_209_600)?,
            "DelaySeconds" => self.delay_seconds = bounded(0, DELAY_SECONDS_MAX)?,
            "MaximumMessageSize" => self.message_bytes_max = bounded(1_024, MESSAGE_BYTES_MAX as i64)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait_seconds = bounded(0, WAIT_SECONDS_MAX as i64)?,
            "RedrivePolicy" if value.is_empty() => (self.dead_letter_arn, self.receives_max) = (None, 0),
            "RedrivePolicy" => {
                let policy: Value = serde_json::from_str(value).map_err(|_| invalid())?;
                let receives = &policy["maxReceiveCount"];
                let receives = receives.as_i64().or_else(|| receives.as_str()?.parse().ok());
                let receives = receives.filter(|count| (1..=1_000).contains(count)).ok_or_else(invalid)?;
                let arn = policy["deadLetterTargetArn"].as_str().ok_or_else(invalid)?;
                (self.dead_letter_arn, self.receives_max) = (Some(arn.to_owned()), receives);
            }
            // Encryption at rest is not a matter of a loopback process; the attribute is accepted for what it is by default.
            "SqsManagedSseEnabled" => {}
            _ => return Err(error("InvalidAttributeName", &format!("Unknown Attribute {name}."))),
        }
        Ok(())
    }

    fn redrive_policy(&self) -> Option<String> {
        let arn = self.dead_letter_arn.as_ref()?;
        Some(json!({"deadLetterTargetArn": arn, "maxReceiveCount": self.receives_max}).to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueues {
    queue_name_prefix: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendRequest {
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    id: String,
    message_body: String,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, Attribute>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    queue_url: String,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfMessage {
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    id: String,
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound = "T: Deserialize<'de>")]
struct Batch<T> {
    queue_url: String,
    #[serde(default = "Vec::new")]
    entries: Vec<T>,
}

/// The names of AWS's codes in the Query protocol, where they differ from the shape's name.
const QUERY_CODES: [(&str, &str); 12] = [
    ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    ("QueueNameExists", "QueueAlreadyExists"),
    ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
    ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"),
    ("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
    ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
    ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"),
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
    ("InvalidParameterValueException", "InvalidParameterValue"),
    ("MissingRequiredParameterException", "MissingParameter"),
    ("UnknownOperationException", "InvalidAction"),
];

fn query_code(name: &str) -> &str {
    QUERY_CODES.iter().find(|(shape, _)| *shape == name).map_or(name, |(_, code)| code)
}

fn error(name: &str, message: &str) -> ServiceError {
    let mut error = ServiceError::client(&format!("com.amazonaws.sqs#{name}"), message);
    error.query_error = Some(format!("{};Sender", query_code(name)));
    error
}

impl From<rusqlite::Error> for ServiceError {
    fn from(cause: rusqlite::Error) -> Self {
        let mut error = Self::internal("com.amazonaws.sqs#InternalError", cause);
        error.query_error = Some("InternalError;Receiver".to_owned());
        error
    }
}

type Answer = Result<Value, ServiceError>;

impl Sqs {
    /// Opens or creates the file. `aws_url` begins every queue URL.
    pub(crate) fn open(path: &Path, aws_url: &str) -> rusqlite::Result<Self> {
        Ok(Self {
            store: Store::open(path)?,
            aws_url: aws_url.to_owned(),
            sent: watch::Sender::new(0),
            moves: Notify::new(),
        })
    }

    /// Creates the queues, or gives them the settings of the topology.
    pub(crate) fn ensure_queues(&self, queues: &[Queue]) -> rusqlite::Result<()> {
        for queue in queues {
            let redrive = queue.redrive.as_ref().and_then(|redrive| {
                let target = queues.iter().find(|it| it.id == redrive.queue)?;
                Some((crate::arn::queue(&target.name), i64::from(redrive.max_receive_count)))
            });
            let (dead_letter_arn, receives_max) = redrive.unzip();
            let settings = Settings {
                visibility_seconds: queue.visibility_timeout_seconds.into(),
                retention_seconds: queue.message_retention_seconds.into(),
                dead_letter_arn,
                receives_max: receives_max.unwrap_or_default(),
                ..Settings::default()
            };
            if self.store.create(&queue.name, &settings, wire::now_ms())?.is_none() {
                self.store.set(&queue.name, &settings, wire::now_ms())?;
            }
        }
        Ok(())
    }

    /// One call; `operation` is the target without its prefix.
    pub(crate) async fn handle(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let answer = match operation {
            "ReceiveMessage" => match read(body) {
                Ok(request) => self.receive(request).await,
                Err(error) => Err(error),
            },
            _ => self.call(operation, body),
        };
        match &answer {
            Err(error) => wire::failure(Protocol::Json10, error),
            Ok(value) => wire::respond(Protocol::Json10, Ok(value)),
        }
    }

    /// One call that does not wait: all but `ReceiveMessage`.
    pub(crate) fn call(&self, operation: &str, body: &[u8]) -> Result<Value, ServiceError> {
        match operation {
            "CreateQueue" => self.create(&read(body)?),
            "DeleteQueue" => {
                let queue = self.queue(&read::<OfQueue>(body)?.queue_url)?;
                self.store.delete_queue(queue.id)?;
                Ok(json!({}))
            }
            "GetQueueUrl" => {
                #[derive(Deserialize)]
                #[serde(rename_all = "PascalCase")]
                struct GetQueueUrl {
                    queue_name: String,
                }
                let queue = self.queue(&read::<GetQueueUrl>(body)?.queue_name)?;
                Ok(json!({"QueueUrl": self.url(&queue.name)}))
            }
            "ListQueues" => self.list(&read(body)?),
            "ListDeadLetterSourceQueues" => {
                let queue = self.queue(&read::<OfQueue>(body)?.queue_url)?;
                let arn = crate::arn::queue(&queue.name);
                let all = self.store.list("", None, usize::MAX)?;
                let sources = all.iter().filter(|it| it.settings.dead_letter_arn.as_ref() == Some(&arn));
                Ok(json!({"queueUrls": sources.map(|it| self.url(&it.name)).collect::<Vec<_>>()}))
            }
            "GetQueueAttributes" => self.attributes(&read(body)?),
            "SetQueueAttributes" => self.set_attributes(&read(body)?),
            "PurgeQueue" => {
                let queue = self.queue(&read::<OfQueue>(body)?.queue_url)?;
                self.store.purge(queue.id)?;
                Ok(json!({}))
            }
            "SendMessage" => self.send(read(body)?),
            "SendMessageBatch" => self.send_batch(read(body)?),
            "DeleteMessage" => {
                let request: OfMessage = read(body)?;
                let queue = self.queue(&request.queue_url)?;
                self.store.delete(queue.id, &[receipt(&request.receipt_handle, &queue)?])?;
                Ok(json!({}))
            }
            "DeleteMessageBatch" => self.delete_batch(&read(body)?),
            "ChangeMessageVisibility" => {
                let request: OfMessage = read(body)?;
                let queue = self.queue(&request.queue_url)?;
                self.change_visibility(&queue, &request)?;
                Ok(json!({}))
            }
            "ChangeMessageVisibilityBatch" => {
                let batch: Batch<OfMessage> = read(body)?;
                let queue = self.queue(&batch.queue_url)?;
                check_batch(batch.entries.iter().map(|entry| entry.id.as_str()))?;
                let results = batch
                    .entries
                    .iter()
                    .map(|entry| (entry.id.as_str(), self.change_visibility(&queue, entry)));
                Ok(batch_answer(results.map(|(id, result)| (id, result.map(|()| json!({"Id": id}))))))
            }
            "StartMessageMoveTask" => self.start_move(&read(body)?),
            "ListMessageMoveTasks" => self.list_moves(&read(body)?),
            "CancelMessageMoveTask" => self.cancel_move(&read(body)?),
            "TagQueue" | "UntagQueue" | "ListQueueTags" | "AddPermission" | "RemovePermission" => Err(error(
                "UnsupportedOperation",
                &format!("{operation} is not supported by the local cloud."),
            )),
            _ => {
                Err(error("UnknownOperationException", &format!("The operation {operation} does not exist.")))
            }
        }
    }

    fn url(&self, name: &str) -> String {
        crate::arn::queue_url(&self.aws_url, name)
    }

    /// By URL or name: the last part of the path is the name.
    fn queue(&self, url: &str) -> Result<QueueRow, ServiceError> {
        let name = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return Err(error(
                "MissingRequiredParameterException",
                "The request must contain the parameter QueueUrl.",
            ));
        }
        let found = self.store.queue(name)?;
        found.ok_or_else(|| error("QueueDoesNotExist", "The specified queue does not exist."))
    }

    fn create(&self, request: &CreateQueue) -> Answer {
        let name = &request.queue_name;
        if name.ends_with(".fifo") || request.attributes.get("FifoQueue").is_some_and(|value| value == "true")
        {
            return Err(error("UnsupportedOperation", "FIFO queues are not supported by the local cloud."));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 80 || !name.chars().all(valid) {
            let message =
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
            return Err(error("InvalidParameterValueException", message));
        }
        let mut settings = Settings::default();
        for (name, value) in &request.attributes {
            settings.set(name, value)?;
        }
        self.check_dead_letter(&settings)?;
        if self.store.create(name, &settings, wire::now_ms())?.is_none() {
            let existing = self.queue(name)?;
            for (attribute, value) in &request.attributes {
                let mut same = existing.settings.clone();
                same.set(attribute, value)?;
                if same != existing.settings {
                    let message = format!(
                        "A queue already exists with the same name and a different value for attribute {attribute}"
                    );
                    return Err(error("QueueNameExists", &message));
                }
            }
        }
        Ok(json!({"QueueUrl": self.url(name)}))
    }

    fn check_dead_letter(&self, settings: &Settings) -> Result<(), ServiceError> {
        let Some(arn) = &settings.dead_letter_arn else { return Ok(()) };
        let name = arn.rsplit(':').next().unwrap_or_default();
        if crate::arn::queue(name) != *arn || self.store.queue(name)?.is_none() {
            let message =
                "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.";
            return Err(error("InvalidParameterValueException", message));
        }
        Ok(())
    }

    fn list(&self, request: &ListQueues) -> Answer {
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let limit = request.max_results.unwrap_or(1_000).clamp(1, 1_000);
        let mut queues = self.store.list(prefix, request.next_token.as_deref(), limit + 1)?;
        let more = queues.len() > limit;
        queues.truncate(limit);
        let mut answer = json!({"QueueUrls": queues.iter().map(|it| self.url(&it.name)).collect::<Vec<_>>()});
        if let (true, Some(last)) = (more && request.max_results.is_some(), queues.last()) {
            answer["NextToken"] = last.name.as_str().into();
        }
        Ok(answer)
    }

    fn attributes(&self, request: &GetAttributes) -> Answer {
        let queue = self.queue(&request.queue_url)?;
        let settings = &queue.settings;
        let depth = self.store.depth(queue.id, settings, wire::now_ms())?;
        let mut all: BTreeMap<&str, String> = BTreeMap::from([
            ("ApproximateNumberOfMessages", depth.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
            ("CreatedTimestamp", (queue.created_ms / 1_000).to_string()),
            ("LastModifiedTimestamp", (queue.modified_ms / 1_000).to_string()),
            ("QueueArn", crate::arn::queue(&queue.name)),
            ("VisibilityTimeout", settings.visibility_seconds.to_string()),
            ("MessageRetentionPeriod", settings.retention_seconds.to_string()),
            ("DelaySeconds", settings.delay_seconds.to_string()),
            ("MaximumMessageSize", settings.message_bytes_max.to_string()),
            ("ReceiveMessageWaitTimeSeconds", settings.wait_seconds.to_string()),
            ("SqsManagedSseEnabled", "false".to_owned()),
        ]);
        all.extend(settings.redrive_policy().map(|policy| ("RedrivePolicy", policy)));
        let names = &request.attribute_names;
        if let Some(unknown) = names
            .iter()
            .find(|name| !all.contains_key(name.as_str()) && !KNOWN_BUT_UNSET.contains(&name.as_str()))
        {
            return Err(error("InvalidAttributeName", &format!("Unknown Attribute {unknown}.")));
        }
        let wanted = |name: &&str| names.iter().any(|it| it == "All" || it == name);
        all.retain(|name, _| wanted(name));
        Ok(if all.is_empty() { json!({}) } else { json!({"Attributes": all}) })
    }

    fn set_attributes(&self, request: &SetAttributes) -> Answer {
        let queue = self.queue(&request.queue_url)?;
        let mut settings = queue.settings.clone();
        for (name, value) in &request.attributes {
            settings.set(name, value)?;
        }
        self.check_dead_letter(&settings)?;
        self.store.set(&queue.name, &settings, wire::now_ms())?;
        // A shorter visibility timeout or delay does not touch messages, but a receiver may now be allowed more.
        self.sent.send_modify(|count| *count = count.wrapping_add(1));
        Ok(json!({}))
    }

    fn send(&self, request: SendRequest) -> Answer {
        let queue = self.queue(&request.queue_url)?;
        let (message, answer) = prepare(&queue, request)?;
        self.store.send(queue.id, vec![message])?;
        self.wake();
        Ok(answer)
    }

    fn send_batch(&self, batch: Batch<SendRequest>) -> Answer {
        let queue = self.queue(&batch.queue_url)?;
        check_batch(batch.entries.iter().map(|entry| entry.id.as_str()))?;
        if batch.entries.iter().map(size).sum::<usize>() > MESSAGE_BYTES_MAX {
            let message = format!("Batch requests cannot be longer than {MESSAGE_BYTES_MAX} bytes.");
            return Err(error("BatchRequestTooLong", &message));
        }
        let (mut messages, mut results) = (Vec::new(), Vec::new());
        for entry in batch.entries {
            let id = entry.id.clone();
            let prepared = prepare(&queue, entry).map(|(message, mut answer)| {
                messages.push(message);
                answer["Id"] = id.as_str().into();
                answer
            });
            results.push((id, prepared));
        }
        self.store.send(queue.id, messages)?;
        self.wake();
        Ok(batch_answer(results.iter().map(|(id, result)| (id.as_str(), result.clone()))))
    }

    /// Sends bodies from inside the process, in one transaction: durable when it returns.
    pub(crate) fn send_bodies(&self, queue_name: &str, bodies: Vec<String>) -> Result<(), ServiceError> {
        let queue = self.queue(queue_name)?;
        let messages = bodies.into_iter().map(|message_body| {
            let send = SendRequest {
                queue_url: String::new(),
                id: String::new(),
                message_body,
                delay_seconds: None,
                message_attributes: BTreeMap::new(),
                message_system_attributes: BTreeMap::new(),
                message_group_id: None,
                message_deduplication_id: None,
            };
            prepare(&queue, send).map(|(message, _)| message)
        });
        self.store.send(queue.id, messages.collect::<Result<_, _>>()?)?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        self.sent.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn delete_batch(&self, batch: &Batch<OfMessage>) -> Answer {
        let queue = self.queue(&batch.queue_url)?;
        check_batch(batch.entries.iter().map(|entry| entry.id.as_str()))?;
        let (mut receipts, mut results) = (Vec::new(), Vec::new());
        for entry in &batch.entries {
            let parsed = receipt(&entry.receipt_handle, &queue);
            results.push((
                entry.id.as_str(),
                parsed.map(|receipt| receipts.push(receipt)).map(|()| json!({"Id": entry.id})),
            ));
        }
        self.store.delete(queue.id, &receipts)?;
        Ok(batch_answer(results.into_iter()))
    }

    fn change_visibility(&self, queue: &QueueRow, request: &OfMessage) -> Result<(), ServiceError> {
        let seconds = request.visibility_timeout.ok_or_else(|| {
            error(
                "MissingRequiredParameterException",
                "The request must contain the parameter VisibilityTimeout.",
            )
        })?;
        if !(0..=VISIBILITY_SECONDS_MAX).contains(&seconds) {
            return Err(out_of_range("VisibilityTimeout", "Must be between 0 and 43200."));
        }
        let receipt = receipt(&request.receipt_handle, queue)?;
        let now = wire::now_ms();
        if !self.store.change_visibility(queue.id, receipt, now, now + seconds * 1_000)? {
            let message = format!(
                "Value {} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
                 visibility timeout change.",
                request.receipt_handle
            );
            return Err(error("MessageNotInflight", &message));
        }
        self.wake();
        Ok(())
    }

    /// Receives for an event source mapping, without waiting.
    pub(crate) fn take(&self, queue_name: &str, limit: usize) -> Result<Vec<Taken>, ServiceError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let queue = self.queue(queue_name)?;
        let hidden_seconds = queue.settings.visibility_seconds;
        let received = self.receive_now(&queue, limit, hidden_seconds)?;
        Ok(received.iter().map(|delivery| taken(&queue, delivery)).collect())
    }

    /// Makes what the last process had taken from a queue visible again.
    pub(crate) fn release_taken(&self, queue_name: &str) -> Result<(), ServiceError> {
        Ok(self.store.release(self.queue(queue_name)?.id, wire::now_ms())?)
    }

    /// Deletes what was taken.
    pub(crate) fn delete_taken(&self, queue_name: &str, receipts: &[(i64, i64)]) -> Result<(), ServiceError> {
        Ok(self.store.delete(self.queue(queue_name)?.id, receipts)?)
    }

    /// Changes whenever a message may have become visible.
    pub(crate) fn sent(&self) -> watch::Receiver<u64> {
        self.sent.subscribe()
    }

    /// How long until the next hidden message of a queue becomes visible.
    pub(crate) fn next_visible_in(&self, queue_name: &str) -> Option<Duration> {
        let now = wire::now_ms();
        let at = self.store.next_visible(self.queue(queue_name).ok()?.id, now).ok()??;
        Some(Duration::from_millis(u64::try_from(at - now).unwrap_or(0)))
    }

    /// Whether a queue has no message, hidden ones included.
    pub(crate) fn is_empty(&self, queue_name: &str) -> bool {
        self.queue(queue_name).is_ok_and(|queue| self.store.is_empty(queue.id).unwrap_or(false))
    }

    fn receive_now(
        &self,
        queue: &QueueRow,
        limit: usize,
        hidden_seconds: i64,
    ) -> Result<Vec<Delivery>, ServiceError> {
        let dead_letters = queue.settings.dead_letter_arn.as_deref().and_then(|arn| arn.rsplit(':').next());
        let dead_letters = dead_letters.map(|name| self.store.queue(name)).transpose()?.flatten();
        let now = wire::now_ms();
        let hidden_until = now + hidden_seconds * 1_000;
        Ok(self.store.receive(queue, dead_letters.map(|it| it.id), limit, now, hidden_until)?)
    }

    async fn receive(&self, request: Receive) -> Answer {
        let queue = self.queue(&request.queue_url)?;
        let limit = request.max_number_of_messages.unwrap_or(1);
        let Some(limit) = usize::try_from(limit).ok().filter(|limit| (1..=BATCH_ENTRIES_MAX).contains(limit))
        else {
            return Err(out_of_range("MaxNumberOfMessages", "Must be between 1 and 10, if provided."));
        };
        let visibility = request.visibility_timeout.unwrap_or(queue.settings.visibility_seconds);
        if !(0..=VISIBILITY_SECONDS_MAX).contains(&visibility) {
            return Err(out_of_range("VisibilityTimeout", "Must be between 0 and 43200."));
        }
        let wait = request.wait_time_seconds.unwrap_or(queue.settings.wait_seconds);
        let Some(wait) = u64::try_from(wait).ok().filter(|seconds| *seconds <= WAIT_SECONDS_MAX) else {
            return Err(out_of_range("WaitTimeSeconds", "Must be >= 0 and <= 20, if provided."));
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(wait);
        let mut sent = self.sent.subscribe();
        loop {
            sent.mark_unchanged();
            // Read again each time round: the queue may have been deleted or changed while this waited.
            let queue = self.queue(&request.queue_url)?;
            let now = wire::now_ms();
            let received = self.receive_now(&queue, limit, visibility)?;
            if !received.is_empty() || tokio::time::Instant::now() >= deadline {
                let messages: Vec<Value> = received.iter().map(|it| message(&queue, it, &request)).collect();
                return Ok(if messages.is_empty() { json!({}) } else { json!({"Messages": messages}) });
            }
            let due = self.store.next_visible(queue.id, now)?.map(|at| u64::try_from(at - now).unwrap_or(0));
            let due =
                due.map(|ms| tokio::time::Instant::now() + Duration::from_millis(ms)).unwrap_or(deadline);
            tokio::select! {
                _ = sent.changed() => {}
                () = tokio::time::sleep_until(due.min(deadline)) => {}
            }
        }
    }

    /// Deletes messages older than their queue's retention.
    pub(crate) fn expire(&self) -> rusqlite::Result<usize> {
        self.store.expire(wire::now_ms())
    }
}

/// Attributes that a client may ask for and that a local queue never has.
const KNOWN_BUT_UNSET: &[&str] = &[
    "All",
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ServiceError> {
    wire::parse(body).map_err(|cause| {
        let name = if cause.message.contains("missing field") {
            "MissingRequiredParameterException"
        } else {
            "InvalidParameterValueException"
        };
        error(name, &cause.message)
    })
}

fn out_of_range(parameter: &str, reason: &str) -> ServiceError {
    error(
        "InvalidParameterValueException",
        &format!("Value for parameter {parameter} is invalid. Reason: {reason}"),
    )
}

fn check_batch<'a>(ids: impl Iterator<Item = &'a str>) -> Result<(), ServiceError> {
    let mut seen = std::collections::BTreeSet::new();
    let mut count = 0;
    for id in ids {
        count += 1;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 80 || !id.chars().all(valid) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.";
            return Err(error("InvalidBatchEntryId", message));
        }
        if !seen.insert(id.to_owned()) {
            return Err(error("BatchEntryIdsNotDistinct", &format!("Id {id} repeated.")));
        }
    }
    match count {
        0 => Err(error("EmptyBatchRequest", "There should be at least one entry in the request.")),
        1..=BATCH_ENTRIES_MAX => Ok(()),
        _ => {
            let message = format!(
                "Maximum number of entries per request are {BATCH_ENTRIES_MAX}. You have sent {count}."
            );
            Err(error("TooManyEntriesInBatchRequest", &message))
        }
    }
}

fn batch_answer<'a>(results: impl Iterator<Item = (&'a str, Answer)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(entry) => successful.push(entry),
            Err(error) => {
                let code = error
                    .query_error
                    .as_deref()
                    .and_then(|it| it.split(';').next())
                    .unwrap_or("InternalError");
                let sender_fault = error.status.is_client_error();
                failed.push(
                    json!({"Id": id, "SenderFault": sender_fault, "Code": code, "Message": error.message}),
                );
            }
        }
    }
    let mut answer = Map::new();
    answer.insert("Successful".to_owned(), successful.into());
    if !failed.is_empty() {
        answer.insert("Failed".to_owned(), failed.into());
    }
    answer.into()
}

/// Body and attributes (names, types, values), in bytes.
fn size(request: &SendRequest) -> usize {
    let attribute = |(name, attribute): (&String, &Attribute)| {
        let binary = attribute.binary_value.as_ref().map_or(0, |text| text.len() * 3 / 4);
        name.len()
            + attribute.data_type.len()
            + attribute.string_value.as_ref().map_or(0, String::len)
            + binary
    };
    request.message_body.len() + request.message_attributes.iter().map(attribute).sum::<usize>()
}

fn prepare(queue: &QueueRow, request: SendRequest) -> Result<(NewMessage, Value), ServiceError> {
    let invalid = |message: &str| Err(error("InvalidParameterValueException", message));
    if request.message_body.is_empty() {
        return Err(error(
            "MissingRequiredParameterException",
            "The request must contain the parameter MessageBody.",
        ));
    }
    if request.message_deduplication_id.is_some() {
        return invalid("The request includes a parameter that is not valid for this queue type");
    }
    let maximum = queue.settings.message_bytes_max;
    if size(&request) > usize::try_from(maximum).unwrap_or(MESSAGE_BYTES_MAX) {
        return invalid(&format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {maximum} bytes."
        ));
    }
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    if !request.message_body.chars().all(allowed) {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
        return Err(error("InvalidMessageContents", message));
    }
    let delay = request.delay_seconds.unwrap_or(queue.settings.delay_seconds);
    if !(0..=DELAY_SECONDS_MAX).contains(&delay) {
        return Err(out_of_range("DelaySeconds", "DelaySeconds must be >= 0 and <= 900."));
    }
    if request.message_attributes.len() > 10 {
        return invalid("Number of message attributes exceeds the allowed maximum [10].");
    }
    let trace = match request.message_system_attributes.iter().next() {
        None => None,
        Some((name, attribute))
            if name == "AWSTraceHeader" && request.message_system_attributes.len() == 1 =>
        {
            attribute.string_value.clone()
        }
        Some((name, _)) => return invalid(&format!("Message system attribute name {name} is not valid.")),
    };
    let mut answer = json!({"MessageId": wire::request_id(), "MD5OfMessageBody": hex::encode(Md5::checksum(request.message_body.as_bytes()))});
    if !request.message_attributes.is_empty() {
        answer["MD5OfMessageAttributes"] = attributes_digest(request.message_attributes.iter())?.into();
    }
    let now = wire::now_ms();
    let message = NewMessage {
        message_id: answer["MessageId"].as_str().unwrap_or_default().to_owned(),
        body: request.message_body,
        attributes: serde_json::to_string(&request.message_attributes).unwrap_or_default(),
        trace,
        group: request.message_group_id,
        sent_ms: now,
        visible_ms: now + delay * 1_000,
    };
    Ok((message, answer))
}

/// "Calculating the MD5 message digest for message attributes" (Developer Guide). SDKs verify it.
fn attributes_digest<'a>(
    attributes: impl Iterator<Item = (&'a String, &'a Attribute)>,
) -> Result<String, ServiceError> {
    let mut bytes = Vec::new();
    for (name, attribute) in attributes {
        let invalid = |reason: &str| {
            error("InvalidParameterValueException", &format!("The message attribute '{name}' {reason}"))
        };
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        let (marker, value) = match (kind, &attribute.string_value, &attribute.binary_value) {
            ("String" | "Number", Some(text), None) if !text.is_empty() => (1, text.clone().into_bytes()),
            ("Binary", None, Some(text)) => {
                (2, STANDARD.decode(text).map_err(|_| invalid("must be base64-encoded binary."))?)
            }
            ("String" | "Number" | "Binary", _, _) => {
                return Err(invalid("must contain a non-empty message attribute value that fits its type."));
            }
            _ => {
                return Err(invalid(
                    "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.",
                ));
            }
        };
        if kind == "Number"
            && std::str::from_utf8(&value).ok().and_then(|text| text.parse::<f64>().ok()).is_none()
        {
            return Err(invalid("must be a number."));
        }
        for (marker, part) in
            [(None, name.as_bytes()), (None, attribute.data_type.as_bytes()), (Some(marker), &value)]
        {
            bytes.extend(marker);
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(part);
        }
    }
    Ok(hex::encode(Md5::checksum(&bytes)))
}

/// A receipt handle: base64 of `queue:message:nonce`.
fn receipt_handle(queue: &QueueRow, delivery: &Delivery) -> String {
    STANDARD.encode(format!("{}:{}:{}", queue.id, delivery.id, delivery.nonce))
}

fn receipt(handle: &str, queue: &QueueRow) -> Result<(i64, i64), ServiceError> {
    let parse = || {
        let text = String::from_utf8(STANDARD.decode(handle).ok()?).ok()?;
        let mut parts = text.split(':').map(str::parse::<i64>);
        let (of, id, nonce) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        (of == queue.id && parts.next().is_none()).then_some((id, nonce))
    };
    parse().ok_or_else(|| {
        error(
            "ReceiptHandleIsInvalid",
            &format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
        )
    })
}

fn system_attributes(delivery: &Delivery) -> BTreeMap<&'static str, String> {
    let mut system = BTreeMap::from([
        ("SenderId", crate::arn::ACCOUNT.to_owned()),
        ("SentTimestamp", delivery.sent_ms.to_string()),
        ("ApproximateReceiveCount", delivery.receives.to_string()),
        ("ApproximateFirstReceiveTimestamp", delivery.first_received_ms.to_string()),
    ]);
    system.extend(delivery.trace.clone().map(|trace| ("AWSTraceHeader", trace)));
    system.extend(delivery.group.clone().map(|group| ("MessageGroupId", group)));
    system.extend(delivery.source_arn.clone().map(|arn| ("DeadLetterQueueSourceArn", arn)));
    system
}

/// A record as Lambda gets it ("Using Lambda with Amazon SQS", Lambda Developer Guide).
fn taken(queue: &QueueRow, delivery: &Delivery) -> Taken {
    let attributes: BTreeMap<String, Attribute> =
        serde_json::from_str(&delivery.attributes).unwrap_or_default();
    let attributes: Map<String, Value> = attributes
        .into_iter()
        .map(|(name, attribute)| {
            let mut value = json!({"dataType": attribute.data_type});
            if let Some(text) = attribute.string_value {
                value["stringValue"] = text.into();
            }
            if let Some(bytes) = attribute.binary_value {
                value["binaryValue"] = bytes.into();
            }
            (name, value)
        })
        .collect();
    let record = json!({
        "messageId": delivery.message_id,
        "receiptHandle": receipt_handle(queue, delivery),
        "body": delivery.body,
        "attributes": system_attributes(delivery),
        "messageAttributes": attributes,
        "md5OfBody": hex::encode(Md5::checksum(delivery.body.as_bytes())),
        "eventSource": "aws:sqs",
        "eventSourceARN": crate::arn::queue(&queue.name),
        "awsRegion": crate::arn::REGION,
    });
    Taken { message_id: delivery.message_id.clone(), receipt: (delivery.id, delivery.nonce), record }
}

fn message(queue: &QueueRow, delivery: &Delivery, request: &Receive) -> Value {
    let mut value = json!({
        "MessageId": delivery.message_id,
        "ReceiptHandle": receipt_handle(queue, delivery),
        "MD5OfBody": hex::encode(Md5::checksum(delivery.body.as_bytes())),
        "Body": delivery.body,
    });
    let mut system = system_attributes(delivery);
    let names = || request.attribute_names.iter().chain(&request.message_system_attribute_names);
    system.retain(|name, _| names().any(|wanted| wanted == "All" || wanted == name));
    if !system.is_empty() {
        value["Attributes"] = json!(system);
    }
    let mut attributes: BTreeMap<String, Attribute> =
        serde_json::from_str(&delivery.attributes).unwrap_or_default();
    attributes.retain(|name, _| {
        request.message_attribute_names.iter().any(|wanted| match wanted.strip_suffix(".*") {
            Some(prefix) => prefix.is_empty() || name.starts_with(prefix),
            None => wanted == "All" || wanted == name,
        })
    });
    if !attributes.is_empty() {
        value["MD5OfMessageAttributes"] = attributes_digest(attributes.iter()).unwrap_or_default().into();
        value["MessageAttributes"] = json!(attributes);
    }
    value
}

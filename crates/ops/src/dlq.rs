//! The dead-letter queues: a look at them, their redrive, and the draining of the one that points
//! at quarantined events.
//!
//! SQS has neither a peek nor a search: messages are received with a visibility time-out and given
//! back at the end. A message is deleted only when the event it is about is out of quarantine.

mod moves;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use sluice_aws::error::fault;
use sluice_core::id::{IngestId, VendorId};
use sluice_core::record::{QuarantineStatus, Status};

use crate::cloud::Cloud;
use crate::document::millis_opt;
use crate::error::OpsError;
pub use moves::{
    COMPLETED, DeadQueue, Move, Moves, Planned, Queues, RUNNING, Reason, cancel, not_movable, plan,
    plan_moves, queues, run_moves,
};

/// How long a message that was looked at stays hidden, in seconds, should giving it back fail.
const HIDDEN_SECONDS: i32 = 10;
/// Message attributes that say why a handler gave a message up.
const REASON: [&str; 4] = ["stage", "cause", "attempts", "messageId"];
/// SQS's own bound for one call.
const MESSAGES_PER_CALL: usize = 10;
/// How long messages stay hidden while the queue is drained, in seconds.
const DRAIN_HIDDEN_SECONDS: i32 = 120;
/// Messages that `sluice redrive` looks at when it has released events.
pub const AUTOMATIC_LOOKS_MAX: usize = 5_000;
/// Messages of a dead-letter queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    /// Its name.
    pub queue: String,
    /// Its address.
    pub url: String,
    /// How many SQS says there are.
    pub approximate_messages: Option<u64>,
    /// Those that were looked at, the newest first.
    pub messages: Vec<Letter>,
}

/// What draining came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// Its name.
    pub queue: String,
    /// Messages that were looked at.
    pub looked_at: u64,
    /// With `dry_run`: would be.
    pub removed: u64,
    /// Messages that were given back.
    pub kept: u64,
    /// Whether nothing was removed.
    pub dry_run: bool,
}
/// A dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// SQS's id of it.
    pub message_id: String,
    /// When it was sent.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// How often it was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_count: Option<u64>,
    /// What a handler wrote beside a message that it gave up: `stage`, `cause`, `attempts`,
    /// `messageId`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub reason: Map<String, Value>,
    /// As JSON where it is, else text.
    pub body: Value,
}

impl Letter {
    /// What stands at `pointer` in the body: of a letter itself, or of the event's detail.
    pub fn member(&self, pointer: &str) -> &str {
        let of_event = || self.body.pointer("/detail").and_then(|detail| detail.pointer(pointer));
        self.body.pointer(pointer).or_else(of_event).and_then(Value::as_str).unwrap_or_default()
    }

    /// The event that it is about; empty if it says none.
    pub fn ingest_id(&self) -> String {
        self.member("/ingestId").to_owned()
    }

    /// Code and message of why it is there.
    pub fn cause(&self) -> (String, String) {
        let cause = self.reason.get("cause").or_else(|| self.body.get("cause"));
        if let Some(code) = cause.and_then(|cause| cause["code"].as_str()) {
            let message = cause.and_then(|cause| cause["message"].as_str()).unwrap_or_default();
            return (code.to_owned(), message.to_owned());
        }
        match &self.body {
            Value::String(text) => (String::new(), text.clone()),
            body if body.get("detail").is_some() => {
                let what = body["detail-type"].as_str().unwrap_or("it");
                ("received_too_often".to_owned(), format!("{what} was received too often"))
            }
            _ => Default::default(),
        }
    }
}

async fn queue_url(cloud: &Cloud, queue: &str) -> Result<String, OpsError> {
    match cloud.sqs().get_queue_url().queue_name(queue).send().await {
        Ok(answer) => Ok(answer.queue_url.unwrap_or_default()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_queue_does_not_exist()) => {
            Err(OpsError::not_found(format!("there is no queue {queue}"))
                .with_hint("is the stack deployed in this account and region?"))
        }
        Err(error) => Err(fault("find the dead-letter queue", error).into()),
    }
}

/// Removes the messages of quarantined events that are out of quarantine, looking at `looks_max`
/// messages at most. Messages of other stages, and what cannot be read, stay: they are not about
/// normalizing.
///
/// # Errors
/// When the queue, the quarantine or the ledger does not answer.
pub async fn drain(cloud: &Cloud, looks_max: usize, dry_run: bool) -> Result<Drained, OpsError> {
    let client = cloud.sqs();
    let queue = cloud.names().dlq.clone();
    let url = queue_url(cloud, &queue).await?;
    let mut drained = Drained { queue, looked_at: 0, removed: 0, kept: 0, dry_run };
    let mut verdicts: BTreeMap<IngestId, bool> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    while seen.len() < looks_max {
        let answer = client
            .receive_message()
            .queue_url(&url)
            .max_number_of_messages(i32::try_from(MESSAGES_PER_CALL).unwrap_or(10))
            // Hidden until the end, so that each is seen once; given back then.
            .visibility_timeout(DRAIN_HIDDEN_SECONDS)
            .send()
            .await
            .map_err(|error| fault("look through the dead-letter queue", error))?;
        let messages = answer.messages.unwrap_or_default();
        let before = seen.len();
        let mut done = Vec::new();
        for message in messages {
            let receipt = message.receipt_handle.clone().unwrap_or_default();
            if !seen.insert(message.message_id.clone()) {
                kept.push(receipt);
                continue;
            }
            let over = match quarantined_event(message.body.as_deref().unwrap_or_default()) {
                Some((vendor, id)) => match verdicts.get(&id) {
                    Some(over) => *over,
                    None => {
                        let over = is_over(cloud, &vendor, id).await?;
                        verdicts.insert(id, over);
                        over
                    }
                },
                None => false,
            };
            if over && !dry_run {
                done.push(receipt);
            } else {
                kept.push(receipt);
            }
            drained.removed += u64::from(over);
            drained.kept += u64::from(!over);
        }
        if !done.is_empty() {
            let entries = done.iter().enumerate().filter_map(|(index, receipt)| {
                let entry = DeleteMessageBatchRequestEntry::builder();
                entry.id(index.to_string()).receipt_handle(receipt).build().ok()
            });
            let call = client.delete_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
            let answer = call.send().await.map_err(|error| fault("remove dead letters", error))?;
            let failed = answer.failed.len() as u64;
            drained.removed -= failed;
            drained.kept += failed;
        }
        if seen.len() == before {
            break;
        }
    }
    drained.looked_at = seen.len() as u64;
    give_back(&client, &url, &kept).await;
    Ok(drained)
}

/// Whose a message is, if it is a letter of `recover`.
fn quarantined_event(body: &str) -> Option<(VendorId, IngestId)> {
    let body: Value = serde_json::from_str(body).ok()?;
    if body.get("stage").is_some() || !body["executionArn"].is_string() || !body["fingerprint"].is_string() {
        return None;
    }
    Some((body["vendorId"].as_str()?.parse().ok()?, body["ingestId"].as_str()?.parse().ok()?))
}

/// Whether an event is out of quarantine: released, discarded, or normalized.
async fn is_over(cloud: &Cloud, vendor: &VendorId, id: IngestId) -> Result<bool, OpsError> {
    if let Some(row) = cloud.quarantine().find(vendor, id).await?
        && row.status != QuarantineStatus::Open
    {
        return Ok(true);
    }
    let row = cloud.ledger().find_by_ingest_id(id).await?;
    Ok(row.is_some_and(|row| row.status == Status::Normalized))
}

/// Looks at messages without deleting them; `queue` if not that of quarantined events. They are
/// hidden from other readers for a few seconds.
///
/// # Errors
/// When there is no such queue, and when SQS does not answer.
pub async fn list(cloud: &Cloud, queue: Option<String>, limit: usize) -> Result<DeadLetters, OpsError> {
    let queue = queue.unwrap_or_else(|| cloud.names().dlq.clone());
    let url = queue_url(cloud, &queue).await?;
    let attributes = cloud
        .sqs()
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .send()
        .await
        .map_err(|error| fault("read the dead-letter queue's attributes", error))?;
    let approximate_messages = attributes.attributes.and_then(|attributes| {
        attributes.get(&QueueAttributeName::ApproximateNumberOfMessages)?.parse().ok()
    });
    let messages = peek(cloud, &url, limit).await?;
    Ok(DeadLetters { queue, url, approximate_messages, messages })
}

/// Up to `limit` messages, newest first; they are given back.
async fn peek(cloud: &Cloud, url: &str, limit: usize) -> Result<Vec<Letter>, OpsError> {
    let client = cloud.sqs();
    let mut letters: Vec<Letter> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut receipts: Vec<String> = Vec::new();
    while letters.len() < limit {
        let batch = i32::try_from(MESSAGES_PER_CALL.min(limit - letters.len())).unwrap_or(1);
        let answer = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(batch)
            .visibility_timeout(HIDDEN_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| fault("look at the dead-letter queue", error))?;
        let messages = answer.messages.unwrap_or_default();
        let before = letters.len();
        for message in messages {
            receipts.extend(message.receipt_handle.clone());
            if seen.insert(message.message_id.clone()) {
                letters.push(Letter::from(message));
            }
        }
        // Nothing new: the queue is empty, or so slow to read that messages come round again.
        if letters.len() == before {
            break;
        }
    }
    give_back(&client, url, &receipts).await;
    letters.sort_by(|a, b| (b.sent_at, &b.message_id).cmp(&(a.sent_at, &a.message_id)));
    Ok(letters)
}

/// Makes the messages visible again. If that fails, they come back by themselves in
/// [`HIDDEN_SECONDS`].
async fn give_back(client: &aws_sdk_sqs::Client, url: &str, receipts: &[String]) {
    for chunk in receipts.chunks(MESSAGES_PER_CALL) {
        let entries = chunk.iter().enumerate().filter_map(|(index, receipt)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(0)
                .build()
                .ok()
        });
        let call =
            client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries.collect()));
        let _ = call.send().await;
    }
}

impl From<Message> for Letter {
    fn from(message: Message) -> Self {
        let attribute = |name: &MessageSystemAttributeName| {
            message.attributes.as_ref().and_then(|attributes| attributes.get(name)).cloned()
        };
        let sent_at = attribute(&MessageSystemAttributeName::SentTimestamp)
            .and_then(|millis| Timestamp::from_millisecond(millis.parse().ok()?).ok());
        let receive_count = attribute(&MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok());
        let mut reason = Map::new();
        for (name, value) in message.message_attributes.into_iter().flatten() {
            if let (true, Some(text)) = (REASON.contains(&name.as_str()), value.string_value) {
                // `cause` is JSON, and `attempts` a number; an identifier is neither.
                let read = serde_json::from_str(&text).ok().filter(|value: &Value| !value.is_null());
                reason.insert(name, read.unwrap_or(Value::String(text)));
            }
        }
        let text = message.body.unwrap_or_default();
        Self {
            message_id: message.message_id.unwrap_or_default(),
            sent_at,
            receive_count,
            reason,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_letters_of_recover_are_about_quarantined_events() {
        let id = "01KAJ3Y3R00000000000000001";
        let letter = serde_json::json!({"ingestId": id, "vendorId": "vendorA", "executionArn": "arn:x", "fingerprint": "f"});
        assert!(quarantined_event(&letter.to_string()).is_some());
        let mut applied = letter;
        applied["stage"] = "apply".into();
        assert!(
            quarantined_event(&applied.to_string()).is_none(),
            "its event is normalized, and yet it needs a person"
        );
        assert!(quarantined_event(r#"{"detail": {"ingestId": "x"}}"#).is_none());
        assert!(quarantined_event("not json").is_none());
    }
}

//! Dead-letter queue redrive: `StartMessageMoveTask`, `ListMessageMoveTasks`, `CancelMessageMoveTask`.
//!
//! A task is a row beside the messages. Each step moves some of them and counts them in one transaction, so a task goes on where it
//! was when the process starts again, and a message is in exactly one queue at any moment. As on AWS, a moved message is new: it
//! has another id, was sent now, and was never received. A task moves no more messages than were visible when it began, so what
//! comes back meanwhile is not moved round for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::store::{MoveTask, QueueRow};
use super::{Answer, Sqs, error, out_of_range};
use crate::wire::{self, ServiceError};

/// Highest rate that may be asked for, in messages a second.
const MOVES_PER_SECOND_MAX: i64 = 500;

/// Most tasks in one answer.
const LISTED_MAX: i64 = 10;

/// Messages of one step of a task without a rate.
const STEP_MESSAGES: i64 = 500;

/// Pause between two steps of a task without a rate: others write to the file, too.
const STEP_PAUSE: Duration = Duration::from_millis(10);

/// Steps a second of a task with a rate, as far as the rate has that many messages.
const STEPS_PER_SECOND: i64 = 10;

/// How long until the tasks are read again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Start {
    source_arn: String,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    source_arn: String,
    max_results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Cancel {
    task_handle: String,
}

fn not_found(what: &str) -> ServiceError {
    error("ResourceNotFoundException", what)
}

fn handle_of(task: &MoveTask) -> String {
    let handle = json!({"taskId": task.id, "sourceArn": crate::arn::queue(&task.source)});
    STANDARD.encode(handle.to_string())
}

fn task_id(handle: &str) -> Option<i64> {
    let handle: Value = serde_json::from_slice(&STANDARD.decode(handle).ok()?).ok()?;
    handle["taskId"].as_i64()
}

impl MoveTask {
    /// How many messages a step moves, and how long to wait after it.
    fn pace(&self) -> (i64, Duration) {
        match self.per_second {
            None => (STEP_MESSAGES, STEP_PAUSE),
            Some(rate) => {
                let messages = (rate / STEPS_PER_SECOND).max(1);
                (messages, Duration::from_secs_f64(messages as f64 / rate as f64))
            }
        }
    }

    fn described(&self) -> Value {
        let mut entry = Map::new();
        let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        // Only a task that runs can be cancelled, so only such a one has a handle.
        if self.status == "RUNNING" {
            put("TaskHandle", handle_of(self).into());
        }
        put("Status", self.status.as_str().into());
        put("SourceArn", crate::arn::queue(&self.source).into());
        if let Some(destination) = &self.destination {
            put("DestinationArn", crate::arn::queue(destination).into());
        }
        if let Some(rate) = self.per_second {
            put("MaxNumberOfMessagesPerSecond", rate.into());
        }
        put("ApproximateNumberOfMessagesMoved", self.moved.into());
        put("ApproximateNumberOfMessagesToMove", self.to_move.into());
        if let Some(reason) = &self.failure {
            put("FailureReason", reason.as_str().into());
        }
        put("StartedTimestamp", self.started_ms.into());
        entry.into()
    }
}

impl Sqs {
    fn queue_by_arn(&self, arn: &str, parameter: &str) -> Result<QueueRow, ServiceError> {
        let name = arn.rsplit(':').next().unwrap_or_default();
        let found = if crate::arn::queue(name) == arn { self.store.queue(name)? } else { None };
        let missing = || {
            not_found(&format!(
                "The resource that you specified for the {parameter} parameter doesn't exist."
            ))
        };
        found.ok_or_else(missing)
    }

    pub(super) fn start_move(&self, request: &Start) -> Answer {
        let source = self.queue_by_arn(&request.source_arn, "SourceArn")?;
        let all = self.store.list("", None, usize::MAX)?;
        if !all.iter().any(|queue| queue.settings.dead_letter_arn.as_ref() == Some(&request.source_arn)) {
            let message = "Source queue must be configured as a Dead Letter Queue.";
            return Err(error("InvalidParameterValueException", message));
        }
        let destination = request.destination_arn.as_deref();
        let destination = destination.map(|arn| self.queue_by_arn(arn, "DestinationArn")).transpose()?;
        if destination.as_ref().is_some_and(|destination| destination.id == source.id) {
            let message = "Source queue arn and destination queue arn cannot be the same.";
            return Err(error("InvalidParameterValueException", message));
        }
        let rate = request.max_number_of_messages_per_second;
        if rate.is_some_and(|rate| !(1..=MOVES_PER_SECOND_MAX).contains(&rate)) {
            return Err(out_of_range("MaxNumberOfMessagesPerSecond", "Must be between 1 and 500."));
        }
        let destination = destination.map(|destination| destination.name);
        let started = self.store.start_move(&source, destination.as_deref(), rate, wire::now_ms())?;
        let Some(task) = started else {
            let message = "There is already a task running. Only one active task is allowed for a source queue arn at a given time.";
            return Err(error("InvalidParameterValueException", message));
        };
        self.moves.notify_one();
        Ok(json!({"TaskHandle": handle_of(&task)}))
    }

    pub(super) fn list_moves(&self, request: &List) -> Answer {
        let source = self.queue_by_arn(&request.source_arn, "SourceArn")?;
        let limit = request.max_results.unwrap_or(1);
        if !(1..=LISTED_MAX).contains(&limit) {
            return Err(out_of_range("MaxResults", "Must be between 1 and 10."));
        }
        let tasks = self.store.moves(&source.name, limit)?;
        Ok(json!({"Results": tasks.iter().map(MoveTask::described).collect::<Vec<_>>()}))
    }

    pub(super) fn cancel_move(&self, request: &Cancel) -> Answer {
        let invalid = "Value for parameter TaskHandle is invalid.";
        let id =
            task_id(&request.task_handle).ok_or_else(|| error("InvalidParameterValueException", invalid))?;
        match self.store.cancel_move(id)? {
            Some(task) => Ok(json!({"ApproximateNumberOfMessagesMoved": task.moved})),
            None if self.store.knows_move(id)? => {
                Err(error("UnsupportedOperation", "Only active tasks can be cancelled."))
            }
            None => Err(not_found("Task does not exist.")),
        }
    }

    /// Does the steps of tasks as they are due, for ever; those of a process before this one included.
    pub(crate) async fn run_moves(&self) {
        let mut due: BTreeMap<i64, Instant> = BTreeMap::new();
        loop {
            let running = match self.store.running_moves() {
                Ok(running) => running,
                Err(error) => {
                    // What runs is not known: it is asked again, and nothing is forgotten meanwhile.
                    tracing::warn!(%error, "the message move tasks cannot be read; trying again");
                    tokio::time::sleep(READ_AGAIN).await;
                    continue;
                }
            };
            due.retain(|id, _| running.iter().any(|task| task.id == *id));
            for task in &running {
                let now = Instant::now();
                let at = due.entry(task.id).or_insert(now);
                if *at > now {
                    continue;
                }
                let (messages, pause) = task.pace();
                *at = now + pause;
                match self.store.move_some(task, messages, wire::now_ms(), wire::request_id) {
                    Ok(0) => {}
                    Ok(_) => self.wake(),
                    Err(error) => tracing::warn!(%error, task = task.id, "a message move task did no step"),
                }
            }
            match due.values().min() {
                Some(next) => {
                    tokio::select! {
                        () = self.moves.notified() => {}
                        () = tokio::time::sleep_until(*next) => {}
                    }
                }
                None => self.moves.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_move_goes_on_after_its_tasks_could_not_be_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sqs.sqlite");
        let sqs = Sqs::open(&file, "http://127.0.0.1:1").unwrap();
        let call = |operation: &str, body: Value| sqs.call(operation, body.to_string().as_bytes()).unwrap();
        call("CreateQueue", json!({"QueueName": "dead"}));
        let redrive = json!({"deadLetterTargetArn": crate::arn::queue("dead"), "maxReceiveCount": 1});
        let attributes = json!({"RedrivePolicy": redrive.to_string()});
        call("CreateQueue", json!({"QueueName": "live", "Attributes": attributes}));
        call("SendMessage", json!({"QueueUrl": "dead", "MessageBody": "m"}));
        let source = crate::arn::queue("dead");
        call(
            "StartMessageMoveTask",
            json!({"SourceArn": source, "DestinationArn": crate::arn::queue("live")}),
        );

        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch("ALTER TABLE move_tasks RENAME TO elsewhere").unwrap();
        let count = || {
            let attributes = json!({"QueueUrl": "live", "AttributeNames": ["ApproximateNumberOfMessages"]});
            call("GetQueueAttributes", attributes)["Attributes"]["ApproximateNumberOfMessages"].clone()
        };
        let healed = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(count(), "0");
            other.execute_batch("ALTER TABLE elsewhere RENAME TO move_tasks").unwrap();
            // Nobody starts another task, which would wake it.
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        tokio::select! {
            () = sqs.run_moves() => panic!("it never ends"),
            () = healed => assert_eq!(count(), "1"),
        }
    }
}

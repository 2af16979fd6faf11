//! What waits in each dead-letter queue, and SQS's own redrive of it (`StartMessageMoveTask`,
//! Amazon SQS API Reference), as a plan that is shown first.
//!
//! What a handler gave up was sent by the handler, and SQS knows no source of such a message: so
//! the destination is named, where a dead-letter queue serves one queue. A moved message is
//! delivered like any other; what was applied already changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::types::{ListMessageMoveTasksResultEntry, QueueAttributeName};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_aws::error::fault;

use super::Letter;
use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;
use crate::progress::Progress;

/// Messages of a queue that are looked at for their reasons.
const LOOKED_AT_MAX: usize = 20;

/// How often a task is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Status of a move in progress.
pub const RUNNING: &str = "RUNNING";
/// Status of a move that is done.
pub const COMPLETED: &str = "COMPLETED";

/// The dead-letter queues.
#[derive(Debug, Serialize)]
pub struct Queues {
    /// By their names.
    pub queues: Vec<DeadQueue>,
}

/// A dead-letter queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadQueue {
    /// Its name.
    pub queue: String,
    /// How many messages SQS says there are.
    pub approximate_messages: u64,
    /// Queues whose redrive policy names it.
    pub sources: Vec<String>,
    /// Why its messages cannot be moved back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_movable: Option<String>,
    /// Of those looked at, by cause; most frequent first.
    pub reasons: Vec<Reason>,
    /// The latest move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_move: Option<Move>,
    /// Its ARN.
    #[serde(skip)]
    pub arn: String,
}

/// Why messages are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The cause's code.
    pub code: String,
    /// Letters with it, of those looked at.
    pub count: u64,
    /// In words, of one letter.
    pub message: String,
    /// An event with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// A task of SQS's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// From.
    pub queue: String,
    /// To; `None`: each to where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    /// Messages moved, about.
    pub moved: i64,
    /// Messages to move, about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_move: Option<i64>,
    /// Most messages a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<i32>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When it was started.
    #[serde(serialize_with = "millis")]
    pub started_at: Timestamp,
    /// What cancels it.
    #[serde(skip)]
    pub handle: Option<String>,
}

/// What would be moved where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// From.
    pub queue: String,
    /// Absent: each message to the queue that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Messages to move, about.
    pub approximate_messages: u64,
    /// Most messages a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<i32>,
    /// A move that runs already is waited for, and none is started.
    pub running: bool,
    /// Why they are there.
    pub reasons: Vec<Reason>,
    /// The ARN of the queue.
    #[serde(skip)]
    pub arn: String,
}

/// A plan of moves, and what came of it.
#[derive(Debug, Serialize)]
pub struct Moves {
    /// What would be moved.
    pub plan: Vec<Planned>,
    /// What was moved; `None` if it was planned only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<Vec<Move>>,
}

fn name_of(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or_default().to_owned()
}

impl From<ListMessageMoveTasksResultEntry> for Move {
    fn from(task: ListMessageMoveTasksResultEntry) -> Self {
        Self {
            queue: name_of(task.source_arn().unwrap_or_default()),
            destination: task.destination_arn().map(name_of),
            moved: task.approximate_number_of_messages_moved,
            to_move: task.approximate_number_of_messages_to_move,
            per_second: task.max_number_of_messages_per_second,
            started_at: Timestamp::from_millisecond(task.started_timestamp).unwrap_or_default(),
            status: task.status.unwrap_or_default(),
            failure_reason: task.failure_reason,
            handle: task.task_handle,
        }
    }
}

impl DeadQueue {
    fn is_moving(&self) -> bool {
        self.last_move.as_ref().is_some_and(|last| last.status == RUNNING)
    }
}

/// By cause, of the letters of a queue.
fn reasons(letters: &[Letter]) -> Vec<Reason> {
    let mut by_code: BTreeMap<String, Reason> = BTreeMap::new();
    for letter in letters {
        let (code, message) = letter.cause();
        let reason = by_code.entry(code.clone()).or_insert_with(|| Reason {
            code,
            count: 0,
            message,
            example: Some(letter.ingest_id()).filter(|id| !id.is_empty()),
        });
        reason.count += 1;
    }
    let mut reasons: Vec<Reason> = by_code.into_values().collect();
    reasons.sort_by(|a, b| (b.count, &a.code).cmp(&(a.count, &b.code)));
    reasons
}

/// Why the messages of a queue are not to be moved, if so.
pub fn not_movable(queue: &str, pointers: &str, sources: &[String]) -> Option<String> {
    if queue == pointers {
        return Some(
            "its messages point at quarantined events, which wait in Step Functions: `sluice redrive` runs them again and removes the messages"
                .into(),
        );
    }
    sources.is_empty().then(|| {
        "no queue sends its dead letters here; what a rule, a stream or a schedule gave up is sent again as docs/runbooks/alarms.md says"
            .into()
    })
}

async fn latest(cloud: &Cloud, arn: &str) -> Result<Option<Move>, OpsError> {
    let tasks = cloud.sqs().list_message_move_tasks().source_arn(arn).max_results(1).send().await;
    let tasks = tasks.map_err(|error| fault("list the moves of a dead-letter queue", error))?;
    Ok(tasks.results.unwrap_or_default().into_iter().next().map(Move::from))
}

/// Every dead-letter queue, as it is now.
async fn look(cloud: &Cloud) -> Result<Vec<DeadQueue>, OpsError> {
    let client = cloud.sqs();
    let pointers = cloud.names().dlq.as_str();
    // `sluice-` of `sluice-dlq`: what topology.json and CDK name alike.
    let prefix = pointers.strip_suffix("dlq").unwrap_or(pointers);
    let urls: Vec<String> = client
        .list_queues()
        .queue_name_prefix(prefix)
        .max_results(1_000)
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .map_err(|error| fault("list the queues", error))?;
    let mut sources: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut found: Vec<(String, String, u64)> = Vec::new();
    for url in &urls {
        let answer = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::QueueArn)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .send()
            .await
            .map_err(|error| fault("read a queue's attributes", error))?;
        let mut attributes = answer.attributes.unwrap_or_default();
        let mut take = |name: QueueAttributeName| attributes.remove(&name).unwrap_or_default();
        let arn = take(QueueAttributeName::QueueArn);
        let policy: Value =
            serde_json::from_str(&take(QueueAttributeName::RedrivePolicy)).unwrap_or_default();
        if let Some(target) = policy["deadLetterTargetArn"].as_str() {
            sources.entry(target.to_owned()).or_default().insert(name_of(&arn));
        }
        let messages = take(QueueAttributeName::ApproximateNumberOfMessages).parse().unwrap_or(0);
        found.push((url.clone(), arn, messages));
    }
    let mut queues = Vec::new();
    for (url, arn, approximate_messages) in found {
        let queue = name_of(&arn);
        let sources: Vec<String> = sources.remove(&arn).unwrap_or_default().into_iter().collect();
        if sources.is_empty() && !queue.ends_with("dlq") {
            continue;
        }
        let letters = if approximate_messages > 0 {
            super::peek(cloud, &url, LOOKED_AT_MAX).await?
        } else {
            Vec::new()
        };
        let last_move = if sources.is_empty() { None } else { latest(cloud, &arn).await? };
        queues.push(DeadQueue {
            not_movable: not_movable(&queue, pointers, &sources),
            reasons: reasons(&letters),
            queue,
            approximate_messages,
            sources,
            last_move,
            arn,
        });
    }
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(queues)
}

/// The queue of that name.
fn named(queues: Vec<DeadQueue>, name: &str) -> Result<DeadQueue, OpsError> {
    let names: Vec<String> = queues.iter().map(|queue| queue.queue.clone()).collect();
    queues.into_iter().find(|queue| queue.queue == name).ok_or_else(|| {
        OpsError::not_found(format!("there is no dead-letter queue {name}"))
            .with_hint(format!("there are {}", names.join(", ")))
    })
}

/// Looks at every dead-letter queue: how many messages, why, and how the last move went.
///
/// # Errors
/// When SQS does not answer.
pub async fn queues(cloud: &Cloud) -> Result<Queues, OpsError> {
    Ok(Queues { queues: look(cloud).await? })
}

/// What can be moved of these queues, and where to.
pub fn plan(queues: Vec<DeadQueue>, per_second: Option<i32>) -> Vec<Planned> {
    queues
        .into_iter()
        .filter(|queue| queue.not_movable.is_none() && (queue.approximate_messages > 0 || queue.is_moving()))
        .map(|queue| Planned {
            running: queue.is_moving(),
            destination: match queue.sources.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
            queue: queue.queue,
            approximate_messages: queue.approximate_messages,
            per_second,
            reasons: queue.reasons,
            arn: queue.arn,
        })
        .collect()
}

/// Plans moves back to the queues whose handlers gave messages up: of one dead-letter queue, or of
/// all that serve a queue.
///
/// # Errors
/// When there is no such queue, when its messages are not moved, and when SQS does not answer.
pub async fn plan_moves(
    cloud: &Cloud,
    queue: Option<&str>,
    per_second: Option<i32>,
) -> Result<Vec<Planned>, OpsError> {
    let queues = look(cloud).await?;
    let Some(name) = queue else { return Ok(plan(queues, per_second)) };
    let queue = named(queues, name)?;
    if let Some(why) = &queue.not_movable {
        return Err(OpsError::invalid(format!("{name} is not moved: {why}")));
    }
    Ok(plan(vec![queue], per_second))
}

/// Starts the planned moves; with `wait` until each ends.
///
/// # Errors
/// When SQS does not answer, and when a move is gone. A move that failed is none: see
/// [`Moves::verdict`].
pub async fn run_moves(
    cloud: &Cloud,
    plan: Vec<Planned>,
    wait: bool,
    progress: &dyn Progress,
) -> Result<Moves, OpsError> {
    for planned in plan.iter().filter(|planned| !planned.running) {
        start(cloud, planned).await?;
    }
    let mut moves = Vec::new();
    for planned in &plan {
        let last = loop {
            let Some(last) = latest(cloud, &planned.arn).await? else {
                return Err(OpsError::Failed(format!("{} has no move any more", planned.queue)));
            };
            if !wait || last.status != RUNNING {
                break last;
            }
            progress.say(&format!("{}: {} of {} moved", last.queue, last.moved, last.to_move.unwrap_or(0)));
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        moves.push(last);
    }
    Ok(Moves { plan, moves: Some(moves) })
}

impl Moves {
    /// Which moves failed, in words.
    ///
    /// # Errors
    /// The words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        let moves = self.moves.iter().flatten();
        let failed: Vec<String> = moves
            .filter(|last| !matches!(last.status.as_str(), RUNNING | COMPLETED))
            .map(|last| {
                let reason = last.failure_reason.as_deref().unwrap_or_default();
                format!("{}: {} {reason}", last.queue, last.status)
            })
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(OpsError::Failed(format!("not all messages were moved: {}", failed.join("; "))))
    }
}

async fn start(cloud: &Cloud, planned: &Planned) -> Result<(), OpsError> {
    let destination = planned.destination.as_ref().map(|name| {
        let (before, _) = planned.arn.rsplit_once(':').unwrap_or_default();
        format!("{before}:{name}")
    });
    cloud
        .sqs()
        .start_message_move_task()
        .source_arn(&planned.arn)
        .set_destination_arn(destination)
        .set_max_number_of_messages_per_second(planned.per_second)
        .send()
        .await
        .map_err(|error| fault("move dead letters", error))?;
    Ok(())
}

/// Stops a move that is running. What was moved stays moved.
///
/// # Errors
/// When no move of the queue is running, and when SQS does not answer.
pub async fn cancel(cloud: &Cloud, queue: &str) -> Result<Moves, OpsError> {
    let queue = named(look(cloud).await?, queue)?;
    let running = queue.last_move.filter(|last| last.status == RUNNING);
    let Some(handle) = running.and_then(|last| last.handle) else {
        return Err(OpsError::not_found(format!("no move of {} is running", queue.queue)));
    };
    let cancelled = cloud.sqs().cancel_message_move_task().task_handle(handle).send().await;
    cancelled.map_err(|error| fault("cancel a move", error))?;
    let moves = latest(cloud, &queue.arn).await?.into_iter().collect();
    Ok(Moves { plan: Vec::new(), moves: Some(moves) })
}

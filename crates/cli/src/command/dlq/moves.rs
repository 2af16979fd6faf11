//! `sluice dlq queues|redrive|cancel`: what waits in each dead-letter queue, and SQS's own redrive of it
//! (`StartMessageMoveTask`, Amazon SQS API Reference), as a plan that is shown first.
//!
//! What a handler gave up was sent by the handler, and SQS knows no source of such a message: so the destination is named, where a
//! dead-letter queue serves one queue. A moved message is delivered like any other; what was applied already changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::types::{ListMessageMoveTasksResultEntry, QueueAttributeName};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_aws::error::fault;
use sluice_core::canonical::count;

use super::Letter;
use crate::args::DlqRedriveArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, millis, paint};

/// Messages of a queue that are looked at for their reasons.
const LOOKED_AT_MAX: usize = 20;

/// How often a task is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

const RUNNING: &str = "RUNNING";
const COMPLETED: &str = "COMPLETED";

/// `{"queues": […]}`
#[derive(Debug, Serialize)]
struct Queues {
    queues: Vec<DeadQueue>,
}

/// A dead-letter queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadQueue {
    queue: String,
    approximate_messages: u64,
    /// Queues whose redrive policy names it.
    sources: Vec<String>,
    /// Why its messages cannot be moved back.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_movable: Option<String>,
    /// Of those looked at, by cause; most frequent first.
    reasons: Vec<Reason>,
    /// The latest move.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_move: Option<Move>,
    #[serde(skip)]
    arn: String,
}

/// Why messages are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reason {
    code: String,
    count: u64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<String>,
}

/// A task of SQS's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Move {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    status: String,
    moved: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_move: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    #[serde(serialize_with = "millis")]
    started_at: Timestamp,
    #[serde(skip)]
    handle: Option<String>,
}

/// What would be moved where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    queue: String,
    /// Absent: each message to the queue that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    approximate_messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<i32>,
    /// A move that runs already is waited for, and none is started.
    running: bool,
    reasons: Vec<Reason>,
    #[serde(skip)]
    arn: String,
}

/// `{"plan": […], "moves": […]}`
#[derive(Debug, Serialize)]
struct Moves {
    plan: Vec<Planned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moves: Option<Vec<Move>>,
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
fn not_movable(queue: &str, pointers: &str, sources: &[String]) -> Option<String> {
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

async fn latest(cloud: &Cloud, arn: &str) -> Result<Option<Move>, CliError> {
    let tasks = cloud.sqs().list_message_move_tasks().source_arn(arn).max_results(1).send().await;
    let tasks = tasks.map_err(|error| fault("list the moves of a dead-letter queue", error))?;
    Ok(tasks.results.unwrap_or_default().into_iter().next().map(Move::from))
}

/// Every dead-letter queue, as it is now.
async fn look(cloud: &Cloud) -> Result<Vec<DeadQueue>, CliError> {
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
fn named(queues: Vec<DeadQueue>, name: &str) -> Result<DeadQueue, CliError> {
    let names: Vec<String> = queues.iter().map(|queue| queue.queue.clone()).collect();
    queues.into_iter().find(|queue| queue.queue == name).ok_or_else(|| {
        CliError::not_found(format!("there is no dead-letter queue {name}"))
            .with_hint(format!("there are {}", names.join(", ")))
    })
}

/// `sluice dlq queues`.
pub(super) async fn list(cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("looking at the dead-letter queues");
    let queues = look(cloud).await?;
    drop(progress);
    output.document(&Queues { queues })
}

fn plan(queues: Vec<DeadQueue>, per_second: Option<i32>) -> Vec<Planned> {
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

/// `sluice dlq redrive`.
pub(super) async fn redrive(args: &DlqRedriveArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("looking at the dead-letter queues");
    let queues = look(cloud).await?;
    drop(progress);
    let queues = match &args.queue {
        None => queues,
        Some(name) => {
            let queue = named(queues, name)?;
            if let Some(why) = &queue.not_movable {
                return Err(CliError::usage(format!("{name} is not moved: {why}")));
            }
            vec![queue]
        }
    };
    let plan = plan(queues, args.per_second);
    if args.dry_run || plan.is_empty() {
        return output.document(&Moves { plan, moves: None });
    }
    output.remark(Moves { plan: plan.clone(), moves: None }.text(&output.page()).trim_end());
    if !args.yes {
        let messages: u64 = plan.iter().map(|planned| planned.approximate_messages).sum();
        let what = count(usize::try_from(messages).unwrap_or(usize::MAX), "message");
        super::super::confirm(output, &format!("{what} would be moved back"))?;
    }
    for planned in plan.iter().filter(|planned| !planned.running) {
        start(cloud, planned).await?;
    }
    let mut moves = Vec::new();
    let progress = output.progress("moving");
    for planned in &plan {
        let last = loop {
            let Some(last) = latest(cloud, &planned.arn).await? else {
                return Err(CliError::Failed(format!("{} has no move any more", planned.queue)));
            };
            if args.no_wait || last.status != RUNNING {
                break last;
            }
            progress.say(format!("{}: {} of {} moved", last.queue, last.moved, last.to_move.unwrap_or(0)));
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        moves.push(last);
    }
    drop(progress);
    let failed: Vec<String> = moves
        .iter()
        .filter(|last| !matches!(last.status.as_str(), RUNNING | COMPLETED))
        .map(|last| {
            format!("{}: {} {}", last.queue, last.status, last.failure_reason.as_deref().unwrap_or_default())
        })
        .collect();
    output.document(&Moves { plan, moves: Some(moves) })?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed(format!("not all messages were moved: {}", failed.join("; "))))
}

async fn start(cloud: &Cloud, planned: &Planned) -> Result<(), CliError> {
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

/// `sluice dlq cancel`.
pub(super) async fn cancel(queue: &str, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let queue = named(look(cloud).await?, queue)?;
    let running = queue.last_move.filter(|last| last.status == RUNNING);
    let Some(handle) = running.and_then(|last| last.handle) else {
        return Err(CliError::not_found(format!("no move of {} is running", queue.queue)));
    };
    let cancelled = cloud.sqs().cancel_message_move_task().task_handle(handle).send().await;
    cancelled.map_err(|error| fault("cancel a move", error))?;
    let moves = latest(cloud, &queue.arn).await?.into_iter().collect();
    output.document(&Moves { plan: Vec::new(), moves: Some(moves) })
}

fn reasons_text(reasons: &[Reason]) -> String {
    let texts: Vec<String> =
        reasons.iter().map(|reason| format!("{} × {}", reason.count, reason.code)).collect();
    texts.join(", ")
}

impl View for Queues {
    fn text(&self, page: &Page) -> String {
        let rows = self.queues.iter().map(|queue| {
            let tone = if queue.approximate_messages == 0 { Tone::Good } else { Tone::Warn };
            let last = queue.last_move.as_ref().map_or(String::new(), |last| {
                format!("{} {} of {}", last.status, last.moved, last.to_move.unwrap_or(last.moved))
            });
            vec![
                (&queue.queue).into(),
                Cell::new(tone, queue.approximate_messages.to_string()),
                queue.sources.join(", ").into(),
                Cell::new(Tone::Warn, reasons_text(&queue.reasons)),
                last.into(),
            ]
        });
        let mut text = page.table(&["QUEUE", "MESSAGES", "OF", "REASONS", "LAST MOVE"], rows.collect());
        if page.terminal {
            for queue in self.queues.iter().filter(|queue| queue.approximate_messages > 0) {
                if let Some(why) = &queue.not_movable {
                    text.push_str(&format!("{}\n", paint(Tone::Dim, format!("{}: {why}.", queue.queue))));
                }
            }
        }
        text
    }
}

impl View for Moves {
    fn text(&self, page: &Page) -> String {
        let Some(moves) = &self.moves else {
            if self.plan.is_empty() {
                return format!("{}\n", paint(Tone::Good, "No dead letters to move."));
            }
            let rows = self.plan.iter().map(|planned| {
                let rate = match (planned.running, planned.per_second) {
                    (true, _) => "is being moved already".to_owned(),
                    (false, Some(rate)) => format!("{rate} a second"),
                    (false, None) => "as fast as SQS does".to_owned(),
                };
                vec![
                    (&planned.queue).into(),
                    Cell::new(Tone::Warn, planned.approximate_messages.to_string()),
                    planned.destination.as_deref().unwrap_or("where each came from").into(),
                    rate.into(),
                    reasons_text(&planned.reasons).into(),
                ]
            });
            return page.table(&["FROM", "MESSAGES", "TO", "RATE", "REASONS"], rows.collect());
        };
        let rows = moves.iter().map(|last| {
            let tone = match last.status.as_str() {
                COMPLETED => Tone::Good,
                RUNNING => Tone::Warn,
                _ => Tone::Bad,
            };
            vec![
                (&last.queue).into(),
                last.destination.as_deref().unwrap_or_default().into(),
                Cell::new(tone, &last.status),
                last.moved.to_string().into(),
                last.failure_reason.as_deref().unwrap_or_default().into(),
            ]
        });
        let mut text = page.table(&["FROM", "TO", "STATUS", "MOVED", "FAILURE"], rows.collect());
        if page.terminal {
            let note = "What fails again comes back: `sluice dlq queues`.";
            text.push_str(&format!("{}\n", paint(Tone::Dim, note)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::{in_pipe, json};

    fn queue(name: &str, messages: u64, sources: &[&str]) -> DeadQueue {
        let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        DeadQueue {
            queue: name.into(),
            approximate_messages: messages,
            not_movable: not_movable(name, "sluice-dlq", &sources),
            sources,
            reasons: vec![Reason {
                code: "normalized_missing".into(),
                count: 2,
                message: "no such object".into(),
                example: Some("01KAJ3Y3R00000000000000001".into()),
            }],
            last_move: None,
            arn: format!("arn:aws:sqs:us-east-1:000000000000:{name}"),
        }
    }

    #[test]
    fn a_plan_has_what_can_be_moved_and_names_the_only_source() {
        let moving = Move {
            queue: "sluice-c-dlq".into(),
            destination: None,
            status: RUNNING.into(),
            moved: 1,
            to_move: Some(2),
            per_second: None,
            failure_reason: None,
            started_at: Timestamp::UNIX_EPOCH,
            handle: None,
        };
        let queues = vec![
            queue("sluice-dlq", 7, &[]),
            queue("sluice-rule-x-dlq", 1, &[]),
            queue("sluice-a-dlq", 2, &["sluice-a"]),
            queue("sluice-b-dlq", 2, &["sluice-b", "sluice-b2"]),
            queue("sluice-empty-dlq", 0, &["sluice-empty"]),
            DeadQueue { last_move: Some(moving), ..queue("sluice-c-dlq", 0, &["sluice-c"]) },
        ];
        let moves = Moves { plan: plan(queues, Some(5)), moves: None };
        insta::assert_snapshot!(in_pipe(&moves), @"
        from	messages	to	rate	reasons
        sluice-a-dlq	2	sluice-a	5 a second	2 × normalized_missing
        sluice-b-dlq	2	where each came from	5 a second	2 × normalized_missing
        sluice-c-dlq	0	sluice-c	is being moved already	2 × normalized_missing
        ");
    }

    #[test]
    fn what_is_not_moved_says_what_to_do_instead() {
        let queues = Queues { queues: vec![queue("sluice-dlq", 7, &[]), queue("sluice-relay-dlq", 1, &[])] };
        let document: Value = serde_json::from_str(&json(&queues)).unwrap_or_default();
        let why =
            |index: usize| document["queues"][index]["notMovable"].as_str().unwrap_or_default().to_owned();
        assert!(why(0).contains("sluice redrive"), "{}", why(0));
        assert!(why(1).contains("runbooks"), "{}", why(1));
    }
}

//! `sluice dlq queues|redrive|cancel`: what waits in each dead-letter queue, and SQS's own redrive
//! of it, as a plan that is shown first.

use sluice_core::canonical::count;
use sluice_ops::dlq::{self, COMPLETED, Moves, Queues, RUNNING, Reason};
use sluice_ops::operations;

use crate::args::DlqRedriveArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// Messages that an operation moves per second, unless told otherwise.
const PER_SECOND_DEFAULT: u32 = 100;

/// `sluice dlq queues`.
pub(super) async fn list(cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("looking at the dead-letter queues");
    let queues = dlq::queues(cloud).await?;
    drop(progress);
    output.document(&queues)
}

/// `sluice dlq redrive`.
pub(super) async fn redrive(args: &DlqRedriveArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    if let Some(reason) = &args.reason {
        return operate(args, reason, cloud, output).await;
    }
    let progress = output.progress("looking at the dead-letter queues");
    let plan = dlq::plan_moves(cloud, args.queue.as_deref(), args.per_second).await?;
    drop(progress);
    if args.dry_run || plan.is_empty() {
        return output.document(&Moves { plan, moves: None });
    }
    output.remark(Moves { plan: plan.clone(), moves: None }.text(&output.page()).trim_end());
    if !args.yes {
        let messages: u64 = plan.iter().map(|planned| planned.approximate_messages).sum();
        let what = count(usize::try_from(messages).unwrap_or(usize::MAX), "message");
        crate::command::confirm(output, &format!("{what} would be moved back"))?;
    }
    let progress = output.progress("moving");
    let moves = dlq::run_moves(cloud, plan, !args.no_wait, &progress).await?;
    drop(progress);
    output.document(&moves)?;
    Ok(moves.verdict()?)
}

/// Moves them as an operation.
async fn operate(
    args: &DlqRedriveArgs,
    reason: &str,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let by = args.by.who()?;
    let per_second = args.per_second.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(PER_SECOND_DEFAULT);
    let settings = operations::Settings {
        pace: operations::Pace { per_second, budget: None },
        by: by.clone(),
        valid_seconds: operations::PLAN_SECONDS,
    };
    let progress = output.progress("looking at the dead-letter queues");
    let mut planned = operations::plan_dead_letters(cloud, args.queue.as_deref(), &settings).await?;
    drop(progress);
    let operation = &planned.operation.operation;
    if !args.yes {
        let queues = usize::try_from(operation.plan.items).unwrap_or(usize::MAX);
        let what = format!("the messages of {} would be moved back", count(queues, "dead-letter queue"));
        crate::command::confirm(output, &what)?;
    }
    planned.operation = operations::start(cloud, operation.operation_id, &by, reason).await?;
    output.document(&planned)
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
    use jiff::Timestamp;
    use serde_json::Value;
    use sluice_ops::dlq::{DeadQueue, Move, not_movable, plan};

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

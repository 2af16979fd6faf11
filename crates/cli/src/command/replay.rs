//! `sluice replay`: normalizes stored events again, after a mapper, a schema or the code has changed.

use jiff::Timestamp;
use sluice_core::id::rfc3339;
use sluice_ops::operations;
use sluice_ops::replay::{self, Replay, Selection, Settings, Window};

use crate::args::ReplayArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint};
use crate::signing::trusted;

/// Replays, or says what a replay would do.
pub async fn run(args: &ReplayArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let now = Timestamp::now();
    let window = Window::new(args.from.resolve(now), args.to.map_or(now, |to| to.resolve(now)))?;
    let selection = Selection {
        vendor: args.vendor.clone(),
        event_type: args.event_type.clone(),
        schema_version: args.schema_version.clone(),
    };
    let progress = output.progress("looking for events");
    if args.dry_run {
        let trust = trusted(cloud).await?;
        let replay = replay::predicted(cloud, &selection, window, trust, &progress).await?;
        drop(progress);
        return output.document(&replay);
    }
    if let Some(reason) = &args.reason {
        let by = args.by.who()?;
        let settings = operations::Settings {
            pace: operations::Pace { per_second: args.concurrency, budget: None },
            by: by.clone(),
            valid_seconds: operations::PLAN_SECONDS,
        };
        let mut planned = operations::plan_replay(cloud, &selection, window, &settings).await?;
        let id = planned.operation.operation.operation_id;
        planned.operation = operations::start(cloud, id, &by, reason).await?;
        drop(progress);
        return output.document(&planned);
    }
    let settings =
        Settings { concurrency: args.concurrency, tolerated_percent: args.tolerate, wait: !args.no_wait };
    let replay = replay::run(cloud, &selection, window, &settings, &progress).await?;
    drop(progress);
    output.document(&replay)?;
    Ok(replay.verdict()?)
}

impl View for Replay {
    fn text(&self, page: &Page) -> String {
        let mut list = vec![
            ("window", format!("{} to {}", rfc3339(self.window.from), rfc3339(self.window.to))),
            ("events", self.events.to_string()),
        ];
        if let Some(outcome) = &self.outcome {
            list.push((if self.dry_run { "prediction" } else { "outcome" }, outcome.sentence(self.dry_run)));
        }
        for run in &self.executions {
            list.push(("execution", format!("{} {}", run.status, run.execution_arn)));
        }
        let mut text = fields(list);
        if let Some(outcome) = self.outcome.as_ref().filter(|outcome| !outcome.failures.is_empty()) {
            let rows = outcome.failures.iter().map(|failure| {
                vec![
                    failure.count.to_string().into(),
                    (&failure.code).into(),
                    failure.example.to_string().into(),
                    (&failure.message).into(),
                ]
            });
            text.push('\n');
            text.push_str(&page.table(&["EVENTS", "CODE", "EXAMPLE", "MESSAGE"], rows.collect()));
        }
        if self.events == 0 && page.terminal {
            text.push_str(&format!(
                "{}\n",
                paint(Tone::Dim, "No events in the window: nothing was started.")
            ));
        } else if self.dry_run && page.terminal {
            text.push_str(&format!("{}\n", paint(Tone::Dim, "Nothing was written.")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::id::IngestId;
    use sluice_ops::replay::{Failure, Outcome};

    use super::*;
    use crate::output::testing::{in_pipe, json};

    fn replay(dry_run: bool) -> Replay {
        let event: IngestId = "01KAJ3Y3R00000000000000001".parse().unwrap();
        let failure = |code: &str, count, message: &str| Failure {
            code: code.into(),
            count,
            message: message.into(),
            example: event,
        };
        let outcome = Outcome {
            succeeded: 2,
            failed: 3,
            changed: 1,
            unchanged: 1,
            released: 1,
            kept: 1,
            failures: vec![
                failure("payload_schema_violation", 2, "1 fault"),
                failure("mapper_refused", 1, "no"),
            ],
        };
        Replay {
            name: (!dry_run).then(|| "replay-x".to_owned()),
            window: Window {
                from: "2026-11-20T00:00:00Z".parse().unwrap(),
                to: "2026-11-21T00:00:00Z".parse().unwrap(),
            },
            dry_run,
            events: 5,
            executions: Vec::new(),
            unstarted: Vec::new(),
            outcome: Some(outcome),
        }
    }

    #[test]
    fn a_prediction_is_one_sentence_and_the_failures_by_their_cause() {
        insta::assert_snapshot!(in_pipe(&replay(true)));
        insta::assert_snapshot!(json(&replay(true)));
    }
}

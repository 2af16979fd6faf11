//! `sluice redrive`: runs quarantined events again, as a plan that is shown first and a run that watches itself.
//!
//! Idempotent, hence resumable: the plan is made of what is in quarantine now, so what was released is not in it. Whether an event
//! was helped is read from the quarantine and from Step Functions, never assumed.

mod plan;
mod pursuit;
mod run;

use std::time::Duration;

use serde::Serialize;
use sluice_core::canonical::count;
use sluice_core::fault::Cause;
use sluice_core::id::IngestId;

use super::dlq;
use crate::args::{Cli, Command, RedriveArgs};
use crate::cloud::Cloud;
use crate::error::{CliError, ExitKind};
use crate::output::{Cell, Output, Page, Tone, View, paint};
use clap::Parser as _;
use plan::Plan;
use run::{Budget, Pace, Stopped};

/// Most outcomes listed for a person; programs get all.
const LISTED_MAX: usize = 50;

/// How a redrive went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It runs again; nobody waited.
    Redriven,
    /// It runs again and came to its good end.
    Released,
    /// It ran again and failed again.
    FailedAgain,
    /// It runs again, longer than was waited for.
    StillRunning,
    /// Step Functions refused.
    NotRedrivable,
    /// The event is not in quarantine.
    NotQuarantined,
    /// There is no such event.
    NotFound,
    /// The call failed.
    Error,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Released => "released",
            Self::FailedAgain => "failed again",
            Self::StillRunning => "still running",
            Self::NotRedrivable => "not redrivable",
            Self::NotQuarantined => "not quarantined",
            Self::NotFound => "not found",
            Self::Error => "error",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Redriven | Self::Released => Tone::Good,
            Self::StillRunning | Self::NotQuarantined => Tone::Warn,
            Self::FailedAgain | Self::NotRedrivable | Self::NotFound | Self::Error => Tone::Bad,
        }
    }

    /// How the command ends because of it; `None` if it is as it should be. A call that failed has its own kind.
    fn exit_kind(self) -> Option<ExitKind> {
        match self {
            Self::Redriven | Self::Released => None,
            Self::FailedAgain | Self::StillRunning | Self::NotQuarantined | Self::Error => {
                Some(ExitKind::Failed)
            }
            Self::NotRedrivable => Some(ExitKind::Refused),
            Self::NotFound => Some(ExitKind::NotFound),
        }
    }

    /// Whether it counts against the error budget.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::FailedAgain | Self::NotRedrivable | Self::Error)
    }
}

/// One event's redrive.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Redrive {
    ingest_id: IngestId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<plan::Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_count: Option<i32>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(skip)]
    failure: Option<ExitKind>,
}

impl Redrive {
    fn new(ingest_id: IngestId, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            ingest_id,
            outcome,
            method: None,
            execution_arn: None,
            redrive_count: None,
            message: message.into(),
            cause: None,
            failure: outcome.exit_kind(),
        }
    }

    fn of_error(ingest_id: IngestId, error: &CliError) -> Self {
        let kind = error.kind();
        let outcome = if kind == ExitKind::NotFound { Outcome::NotFound } else { Outcome::Error };
        Self { failure: Some(kind), ..Self::new(ingest_id, outcome, error.to_string()) }
    }
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Redrives {
    plan: Plan,
    redrives: Vec<Redrive>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    released: usize,
    failed: usize,
    not_started: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    /// Messages of the events that are out of quarantine, taken from the dead-letter queue.
    dead_letters_removed: u64,
}

/// Plans, asks, runs, and says how each went. The exit code is that of the failures, if they are all of one kind.
pub async fn run(args: &RedriveArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("planning");
    let (plan, given_up) = Plan::make(args, cloud, |what| progress.say(what)).await?;
    drop(progress);
    if args.dry_run {
        return output.document(&Redrives { plan, redrives: given_up, summary: None });
    }
    let by_name = !args.ingest_ids.is_empty();
    // Naming an event is the decision; a selection may be larger than one thinks.
    if !by_name {
        output.remark(plan.text(&output.page()).trim_end());
        if !args.yes && !plan.entries.is_empty() {
            super::confirm(output, &format!("{} would be run again", count(plan.entries.len(), "event")))?;
        }
    }
    let pace = Pace {
        per_second: args.rate,
        budget: (!args.no_wait && !by_name)
            .then_some(Budget { percent: args.error_budget, failures_min: args.error_budget_min as usize }),
    };
    let wait = (!args.no_wait).then(|| Duration::from_secs(args.timeout));
    let total = plan.entries.len();
    let done = run::run(
        &plan.entries,
        &pace,
        |entry| async move { pursuit::pursue(cloud, entry, wait).await },
        |done| done.outcome,
        &mut |tally| output_progress(output, tally, total),
        async {
            // Without a handler for the signal the run goes on to its end.
            let _ = tokio::signal::ctrl_c().await;
        },
    )
    .await;
    let released = done.results.iter().filter(|redrive| redrive.outcome == Outcome::Released).count();
    let mut dead_letters_removed = 0;
    if released > 0 && !args.keep_dead_letters {
        // Of use, but not what was asked for: what cannot be removed now, `sluice dlq drain` removes.
        match dlq::drain(cloud, dlq::AUTOMATIC_LOOKS_MAX, false).await {
            Ok(drained) => dead_letters_removed = drained.removed,
            Err(error) => output.remark(&format!("the dead-letter queue was left as it is: {error}")),
        }
    }
    let failed = done.results.iter().filter(|redrive| redrive.outcome.is_failure()).count();
    let mut redrives = given_up;
    redrives.extend(done.results);
    redrives.sort_by_key(|redrive| redrive.ingest_id);
    let summary = Summary {
        released,
        failed,
        not_started: done.not_started,
        stopped: done.stopped,
        dead_letters_removed,
    };
    let redrives = Redrives { plan, redrives, summary: Some(summary) };
    output.document(&redrives)?;
    redrives.verdict()
}

/// Runs one quarantined event again, as `sluice redrive <ingestId>` does, and waits for its end.
pub(crate) async fn event(
    cloud: &Cloud,
    ingest_id: IngestId,
    wait: Duration,
) -> Result<(Outcome, String), CliError> {
    let line = ["sluice".to_owned(), "redrive".to_owned(), ingest_id.to_string()];
    // The defaults of `redrive` are said in one place.
    let Ok(Command::Redrive(args)) = Cli::try_parse_from(line).map(|cli| cli.command) else {
        unreachable!("the line is a redrive of one event")
    };
    let (plan, given_up) = Plan::make(&args, cloud, |_| ()).await?;
    let redrive = match (given_up.into_iter().next(), plan.entries.first()) {
        (Some(given_up), _) => given_up,
        (None, Some(entry)) => pursuit::pursue(cloud, entry, Some(wait)).await,
        (None, None) => Redrive::new(ingest_id, Outcome::NotQuarantined, "the event is not in quarantine"),
    };
    if redrive.outcome == Outcome::Released {
        // Of use, but not what was asked for: what cannot be removed now, `sluice dlq drain` removes.
        let _ = dlq::drain(cloud, dlq::AUTOMATIC_LOOKS_MAX, false).await;
    }
    Ok((redrive.outcome, redrive.message))
}

/// To a person a line that moves, to a log a line now and then.
fn output_progress(output: &Output, tally: &run::Tally, total: usize) {
    let step = (total / 10).max(1);
    if tally.finished.is_multiple_of(step) || tally.finished == total {
        output.remark(&format!(
            "{} of {total} done: {} released, {} failed",
            tally.finished, tally.released, tally.failed
        ));
    }
}

impl Redrives {
    fn verdict(&self) -> Result<(), CliError> {
        if let Some(Summary { stopped: Some(stopped), not_started, failed, .. }) = self.summary {
            let left = count(not_started, "event");
            return Err(CliError::Failed(match stopped {
                Stopped::ErrorBudget => format!(
                    "stopped at the error budget after {failed} failed again; {left} not run: mend the cause, then run the \
                     same command again"
                ),
                Stopped::Interrupted => {
                    format!("interrupted; {left} not run: run the same command again to go on")
                }
            }));
        }
        let failures: Vec<(&Redrive, ExitKind)> =
            self.redrives.iter().filter_map(|redrive| redrive.failure.map(|kind| (redrive, kind))).collect();
        let Some((first, kind)) = failures.first() else { return Ok(()) };
        let message = if self.redrives.len() == 1 {
            format!("{}: {}: {}", first.ingest_id, first.outcome.word(), first.message)
        } else {
            format!("{} of {} were not redriven to success", failures.len(), self.redrives.len())
        };
        if failures.iter().any(|(_, other)| other != kind) {
            return Err(CliError::Failed(message));
        }
        Err(match kind {
            ExitKind::NotFound => CliError::not_found(message),
            ExitKind::Refused => CliError::Refused { message, hint: None },
            ExitKind::Usage => CliError::usage(message),
            ExitKind::Unavailable => {
                CliError::Fault(sluice_core::Fault::new(sluice_core::Code::Unavailable, message))
            }
            ExitKind::Failed => CliError::Failed(message),
        })
    }
}

impl View for Redrives {
    fn text(&self, page: &Page) -> String {
        let Some(summary) = self.summary else { return self.plan.text(page) };
        if self.redrives.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Good, "Nothing that was asked for is in quarantine."));
        }
        let many = page.terminal && self.redrives.len() > LISTED_MAX;
        let rows = self.redrives.iter().filter(|redrive| !many || redrive.outcome != Outcome::Released);
        let rows: Vec<Vec<Cell>> = rows
            .take(if many { LISTED_MAX } else { usize::MAX })
            .map(|redrive| {
                vec![
                    redrive.ingest_id.to_string().into(),
                    Cell::new(redrive.outcome.tone(), redrive.outcome.word()),
                    redrive.redrive_count.map(|count| count.to_string()).unwrap_or_default().into(),
                    (&redrive.message).into(),
                ]
            })
            .collect();
        let mut text = String::new();
        if !rows.is_empty() || !page.terminal {
            text = page.table(&["INGEST ID", "OUTCOME", "REDRIVES", "MESSAGE"], rows);
        }
        if many {
            text.push_str(&format!(
                "{}\n",
                paint(
                    if summary.failed == 0 { Tone::Good } else { Tone::Warn },
                    format!(
                        "{} released, {} failed, {} not run; {} removed from the dead-letter queue.",
                        summary.released,
                        summary.failed,
                        summary.not_started,
                        count(usize::try_from(summary.dead_letters_removed).unwrap_or(usize::MAX), "message")
                    )
                )
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests;

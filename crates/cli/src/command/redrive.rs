//! `sluice redrive`: runs quarantined events again, as a plan that is shown first and a run that
//! watches itself.

use std::time::Duration;

use jiff::Timestamp;
use sluice_core::canonical::count;
use sluice_ops::operations;
use sluice_ops::redrive::{self, Budget, Method, Outcome, Pace, Plan, Redrives, Selection, Settings, Tally};

use crate::args::RedriveArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// Most outcomes listed for a person; programs get all.
const LISTED_MAX: usize = 50;

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Redriven | Outcome::Released => Tone::Good,
        Outcome::StillRunning | Outcome::NotQuarantined => Tone::Warn,
        Outcome::FailedAgain | Outcome::NotRedrivable | Outcome::NotFound | Outcome::Error => Tone::Bad,
    }
}

fn selection(args: &RedriveArgs) -> Selection {
    let now = Timestamp::now();
    Selection {
        ingest_ids: args.ingest_ids.clone(),
        group: args.group.clone(),
        vendor: args.vendor.clone(),
        since: args.since.map(|since| since.resolve(now)),
        until: args.until.map(|until| until.resolve(now)),
    }
}

/// Plans, asks, runs, and says how each went. The exit code is that of the failures, if they are
/// all of one kind.
pub async fn run(args: &RedriveArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    if args.plan || args.background {
        return operate(args, cloud, output).await;
    }
    let progress = output.progress("planning");
    let (plan, given_up) = Plan::make(cloud, &selection(args), &progress).await?;
    drop(progress);
    if args.dry_run {
        let redrives = Redrives { plan, redrives: given_up, summary: None, dead_letters_left: None };
        return output.document(&redrives);
    }
    let by_name = !args.ingest_ids.is_empty();
    // Naming an event is the decision; a selection may be larger than one thinks.
    if !by_name {
        output.remark(plan_text(&plan, &output.page()).trim_end());
        if !args.yes && !plan.entries.is_empty() {
            super::confirm(output, &format!("{} would be run again", count(plan.entries.len(), "event")))?;
        }
    }
    let budget = Budget { percent: args.error_budget, failures_min: args.error_budget_min as usize };
    let settings = Settings {
        pace: Pace { per_second: args.rate, budget: (!args.no_wait && !by_name).then_some(budget) },
        wait: (!args.no_wait).then(|| Duration::from_secs(args.timeout)),
        keep_dead_letters: args.keep_dead_letters,
    };
    let total = plan.entries.len();
    let redrives = redrive::execute(
        cloud,
        plan,
        given_up,
        &settings,
        &mut |tally| remark_progress(output, tally, total),
        async {
            // Without a handler for the signal the run goes on to its end.
            let _ = tokio::signal::ctrl_c().await;
        },
    )
    .await;
    if let Some(why) = &redrives.dead_letters_left {
        output.remark(&format!("the dead-letter queue was left as it is: {why}"));
    }
    output.document(&redrives)?;
    Ok(redrives.verdict()?)
}

/// Freezes the events as an operation and, unless only a plan is asked for, starts it.
async fn operate(args: &RedriveArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let by = args.by.who()?;
    let budget = operations::Budget { percent: args.error_budget, failures_min: args.error_budget_min };
    let settings = operations::Settings {
        pace: operations::Pace { per_second: args.rate, budget: Some(budget) },
        by: by.clone(),
        valid_seconds: args.valid.valid_for,
    };
    let progress = output.progress("planning");
    let mut planned = operations::plan_redrive(cloud, &selection(args), &settings, &progress).await?;
    drop(progress);
    if let Some(reason) = args.reason.as_deref().filter(|_| args.background) {
        let operation = &planned.operation.operation;
        if args.ingest_ids.is_empty() && !args.yes {
            let items = usize::try_from(operation.plan.items).unwrap_or(usize::MAX);
            super::confirm(output, &format!("{} would be run again", count(items, "event")))?;
        }
        planned.operation = operations::start(cloud, operation.operation_id, &by, reason).await?;
    }
    output.document(&planned)
}

/// To a person a line that moves, to a log a line now and then.
fn remark_progress(output: &Output, tally: &Tally, total: usize) {
    let step = (total / 10).max(1);
    if tally.finished.is_multiple_of(step) || tally.finished == total {
        output.remark(&format!(
            "{} of {total} done: {} released, {} failed",
            tally.finished, tally.released, tally.failed
        ));
    }
}

/// The plan for a person.
fn plan_text(plan: &Plan, page: &Page) -> String {
    if plan.groups.is_empty() {
        return format!("{}\n", paint(Tone::Good, "Nothing that was asked for is in quarantine."));
    }
    let rows = plan.groups.iter().map(|group| {
        vec![
            (&group.fingerprint).into(),
            group.events.to_string().into(),
            group.redrive.to_string().into(),
            group.replay.to_string().into(),
            group.close.to_string().into(),
            Cell::new(Tone::Warn, &group.code),
            (&group.message).into(),
        ]
    });
    let mut text =
        page.table(&["GROUP", "EVENTS", "REDRIVE", "REPLAY", "CLOSE", "CAUSE", "MESSAGE"], rows.collect());
    if page.terminal {
        let by = |method: Method| {
            let number = plan.entries.iter().filter(|entry| entry.method == method).count();
            (number > 0).then(|| format!("{number} by {}", method.word()))
        };
        let methods: Vec<String> =
            [Method::Redrive, Method::Replay, Method::Close].into_iter().filter_map(by).collect();
        let sum = format!("{} would be run again: {}.", count(plan.events, "event"), methods.join(", "));
        text.push_str(&format!("\n{}\n", paint(Tone::Strong, sum)));
    }
    text
}

impl View for Redrives {
    fn text(&self, page: &Page) -> String {
        let Some(summary) = self.summary else { return plan_text(&self.plan, page) };
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
                    Cell::new(tone(redrive.outcome), redrive.outcome.word()),
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

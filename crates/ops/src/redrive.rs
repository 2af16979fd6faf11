//! Redrive: runs quarantined events again, as a plan that is shown first and a run that watches
//! itself.
//!
//! Idempotent, hence resumable: the plan is made of what is in quarantine now, so what was released
//! is not in it. Whether an event was helped is read from the quarantine and from Step Functions,
//! never assumed.

mod plan;
mod pursuit;
mod run;

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_core::canonical::count;
use sluice_core::fault::Cause;
use sluice_core::id::IngestId;

use crate::cloud::Cloud;
use crate::dlq;
use crate::error::{Kind, OpsError};
pub use plan::{Entry, GroupPlan, Method, Plan, Selection};
pub use pursuit::pursue;
pub use run::{Budget, Done, Pace, Stopped, Tally, run};

/// How a redrive went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// In words.
    pub fn word(self) -> &'static str {
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

    /// The kind of error that it is; `None` if it is as it should be. A call that failed has its
    /// own kind.
    pub fn failure(self) -> Option<Kind> {
        match self {
            Self::Redriven | Self::Released => None,
            Self::FailedAgain | Self::StillRunning | Self::NotQuarantined | Self::Error => Some(Kind::Failed),
            Self::NotRedrivable => Some(Kind::Refused),
            Self::NotFound => Some(Kind::NotFound),
        }
    }

    /// Whether it counts against the error budget.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::FailedAgain | Self::NotRedrivable | Self::Error)
    }
}

/// One event's redrive.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redrive {
    /// The event.
    pub ingest_id: IngestId,
    /// How it went.
    pub outcome: Outcome,
    /// How it was run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// The execution that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
    /// Redrives of that execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive_count: Option<i32>,
    /// In words.
    pub message: String,
    /// The new cause, if it failed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The kind of error that it is.
    #[serde(skip)]
    pub failure: Option<Kind>,
}

impl Redrive {
    /// Without an execution.
    pub fn new(ingest_id: IngestId, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            ingest_id,
            outcome,
            method: None,
            execution_arn: None,
            redrive_count: None,
            message: message.into(),
            cause: None,
            failure: outcome.failure(),
        }
    }

    /// Of a call that failed.
    pub fn of_error(ingest_id: IngestId, error: &OpsError) -> Self {
        let kind = error.kind();
        let outcome = if kind == Kind::NotFound { Outcome::NotFound } else { Outcome::Error };
        Self { failure: Some(kind), ..Self::new(ingest_id, outcome, error.to_string()) }
    }
}

/// The answer of a redrive.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redrives {
    /// What would be done.
    pub plan: Plan,
    /// What was done, in the order of ids.
    pub redrives: Vec<Redrive>,
    /// Counts; `None` if it was planned only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Why messages of released events are still in the dead-letter queue.
    #[serde(skip)]
    pub dead_letters_left: Option<String>,
}
/// Counts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Out of quarantine.
    pub released: usize,
    /// Failed again, refused, or not asked.
    pub failed: usize,
    /// Not run, since the run stopped.
    pub not_started: usize,
    /// Why the run stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Messages of the events that are out of quarantine, taken from the dead-letter queue.
    pub dead_letters_removed: u64,
}

/// How a plan is worked through.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How fast, and when it stops by itself.
    pub pace: Pace,
    /// How long each event's end is waited for; `None`: not at all.
    pub wait: Option<Duration>,
    /// Leave the messages of released events in the dead-letter queue.
    pub keep_dead_letters: bool,
}

/// Works through a plan in this process. `given_up` is what the plan could not run; `interrupt`
/// stops the run, which then waits for what is in progress.
pub async fn execute(
    cloud: &Cloud,
    plan: Plan,
    given_up: Vec<Redrive>,
    settings: &Settings,
    progress: &mut (dyn FnMut(&Tally) + Send),
    interrupt: impl Future<Output = ()>,
) -> Redrives {
    let wait = settings.wait;
    let done = run(
        &plan.entries,
        &settings.pace,
        |entry| async move { pursue(cloud, entry, wait).await },
        |done| done.outcome,
        progress,
        interrupt,
    )
    .await;
    let released = done.results.iter().filter(|redrive| redrive.outcome == Outcome::Released).count();
    let (mut dead_letters_removed, mut dead_letters_left) = (0, None);
    if released > 0 && !settings.keep_dead_letters {
        // Of use, but not what was asked for: what cannot be removed now, `sluice dlq drain`
        // removes.
        match dlq::drain(cloud, dlq::AUTOMATIC_LOOKS_MAX, false).await {
            Ok(drained) => dead_letters_removed = drained.removed,
            Err(error) => dead_letters_left = Some(error.to_string()),
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
    Redrives { plan, redrives, summary: Some(summary), dead_letters_left }
}

/// Runs one quarantined event again and waits for its end.
///
/// # Errors
/// When quarantine, ledger or Step Functions does not answer.
pub async fn event(
    cloud: &Cloud,
    ingest_id: IngestId,
    wait: Duration,
) -> Result<(Outcome, String), OpsError> {
    let selection = Selection { ingest_ids: vec![ingest_id], ..Selection::default() };
    let (plan, given_up) = Plan::make(cloud, &selection, &()).await?;
    let redrive = match (given_up.into_iter().next(), plan.entries.first()) {
        (Some(given_up), _) => given_up,
        (None, Some(entry)) => pursue(cloud, entry, Some(wait)).await,
        (None, None) => Redrive::new(ingest_id, Outcome::NotQuarantined, "the event is not in quarantine"),
    };
    if redrive.outcome == Outcome::Released {
        // Of use, but not what was asked for: what cannot be removed now, `sluice dlq drain`
        // removes.
        let _ = dlq::drain(cloud, dlq::AUTOMATIC_LOOKS_MAX, false).await;
    }
    Ok((redrive.outcome, redrive.message))
}

impl Redrives {
    /// What was not redriven to success, in words; the kind is that of the failures, if they are
    /// all of one.
    ///
    /// # Errors
    /// The words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        if let Some(Summary { stopped: Some(stopped), not_started, failed, .. }) = self.summary {
            let left = count(not_started, "event");
            return Err(OpsError::Failed(match stopped {
                Stopped::ErrorBudget => format!(
                    "stopped at the error budget after {failed} failed again; {left} not run: mend the cause, then run the \
                     same command again"
                ),
                Stopped::Interrupted => {
                    format!("interrupted; {left} not run: run the same command again to go on")
                }
            }));
        }
        let failures: Vec<(&Redrive, Kind)> =
            self.redrives.iter().filter_map(|redrive| redrive.failure.map(|kind| (redrive, kind))).collect();
        let Some((first, kind)) = failures.first() else { return Ok(()) };
        let message = if self.redrives.len() == 1 {
            format!("{}: {}: {}", first.ingest_id, first.outcome.word(), first.message)
        } else {
            format!("{} of {} were not redriven to success", failures.len(), self.redrives.len())
        };
        if failures.iter().any(|(_, other)| other != kind) {
            return Err(OpsError::Failed(message));
        }
        Err(match kind {
            Kind::NotFound => OpsError::not_found(message),
            Kind::Refused => OpsError::refused(message),
            Kind::Invalid => OpsError::invalid(message),
            Kind::Unavailable => {
                OpsError::Fault(sluice_core::Fault::new(sluice_core::Code::Unavailable, message))
            }
            Kind::Failed => OpsError::Failed(message),
        })
    }
}

#[cfg(test)]
mod tests;

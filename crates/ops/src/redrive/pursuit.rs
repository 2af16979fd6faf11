//! One event's redrive, from its start to its end.
//!
//! How it ended is read from the quarantine, which has no quota worth speaking of; Step Functions
//! is asked only now and then (`DescribeExecution`: 10 to 15 a second).

use std::time::Duration;

use sluice_aws::error::fault;
use sluice_aws::recoveries::SfnReruns;
use sluice_core::port::{QuarantineStore as _, Rerun, Reruns as _};
use sluice_core::record::{EventDetail, QuarantineRow, QuarantineStatus};
use tokio::time::Instant;

use super::plan::{Entry, Method, state_machine_of};
use super::{Outcome, Redrive};
use crate::cloud::Cloud;
use crate::error::{Kind, OpsError};
use crate::execution::Execution;

/// First and longest pause between two looks.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Every how many looks Step Functions is asked as well.
const LOOKS_PER_DESCRIPTION: u32 = 6;

/// Runs one event again by its entry of a plan; with `wait` until its end. Never fails: what goes
/// wrong with one event is that event's outcome.
pub async fn pursue(cloud: &Cloud, entry: &Entry, wait: Option<Duration>) -> Redrive {
    match attempt(cloud, entry, wait).await {
        Ok(redrive) => redrive,
        Err(error) => Redrive {
            method: Some(entry.method),
            execution_arn: Some(entry.row.execution_arn.clone()),
            ..Redrive::of_error(entry.row.ingest_id, &error)
        },
    }
}

/// The execution that is pursued, and how often it had been redriven before.
struct Pursued {
    arn: String,
    redrives_before: Option<i32>,
}

async fn attempt(cloud: &Cloud, entry: &Entry, wait: Option<Duration>) -> Result<Redrive, OpsError> {
    let row = &entry.row;
    let redrive = |outcome: Outcome, message: &str| Redrive {
        method: Some(entry.method),
        execution_arn: Some(row.execution_arn.clone()),
        ..Redrive::new(row.ingest_id, outcome, message)
    };
    let mut method = entry.method;
    if method == Method::Close {
        close(cloud, row).await?;
        return Ok(redrive(Outcome::Released, "it was normalized already; its quarantine row is closed"));
    }
    let deadline = wait.map(|wait| Instant::now() + wait);
    let mut pursued = Pursued { arn: row.execution_arn.clone(), redrives_before: Some(entry.redrive_count) };
    if method == Method::Redrive {
        match begin(cloud, entry, deadline).await? {
            Begun::Redriven { before } => pursued.redrives_before = Some(before),
            Begun::Impossible => method = Method::Replay,
            Begun::Released => return Ok(redrive(Outcome::Released, "it came to its good end meanwhile")),
            Begun::Refused(refusal) => return Ok(redrive(Outcome::NotRedrivable, &refusal)),
            Begun::TooLong => return Ok(still_running(redrive(Outcome::StillRunning, ""), wait)),
        }
    }
    if method == Method::Replay {
        pursued = Pursued { arn: replay(cloud, entry).await?, redrives_before: None };
    }
    let base = Redrive {
        method: Some(method),
        execution_arn: Some(pursued.arn.clone()),
        redrive_count: pursued.redrives_before.map(|before| before + 1),
        ..redrive(Outcome::Redriven, "it runs again; `sluice show` tells how it ends")
    };
    let Some(deadline) = deadline else { return Ok(base) };
    follow(cloud, row, &pursued, base, deadline, wait).await
}

/// What came of asking for a redrive.
enum Begun {
    /// It runs again; how often it had been redriven before.
    Redriven { before: i32 },
    /// It can never be redriven.
    Impossible,
    /// It succeeded without us.
    Released,
    /// It cannot be redriven now.
    Refused(String),
    /// It runs, longer than was waited for.
    TooLong,
}

async fn begin(cloud: &Cloud, entry: &Entry, deadline: Option<Instant>) -> Result<Begun, OpsError> {
    let arn = &entry.row.execution_arn;
    let mut before = entry.redrive_count;
    let mut refused_at_its_end: Option<i32> = None;
    loop {
        let Some(refusal) = start(cloud, arn).await? else { return Ok(Begun::Redriven { before }) };
        let Some(mut execution) = Execution::describe(cloud, arn).await? else {
            return Ok(Begun::Impossible);
        };
        let was_running = execution.is_running();
        if was_running {
            // It may have been quarantined this moment and be on its way to AwaitRedrive, or be running
            // for someone else: once it has failed, it can be redriven. Nothing is run beside it.
            let Some(deadline) = deadline else {
                return Ok(Begun::Refused(format!("{refusal}; it is running now: wait for it")));
            };
            let any = Pursued { arn: arn.clone(), redrives_before: None };
            execution = match ended(cloud, &any, deadline).await? {
                Some(execution) => execution,
                None => return Ok(Begun::TooLong),
            };
        }
        if execution.has_succeeded() {
            return Ok(Begun::Released);
        }
        // It may have ended, or been redriven by someone else, between the refusal and the look: only a refusal of one and the
        // same end is its last word.
        if !was_running && refused_at_its_end == Some(execution.redrive_count) {
            return Ok(Begun::Impossible);
        }
        refused_at_its_end = (!was_running).then_some(execution.redrive_count);
        before = execution.redrive_count;
    }
}

async fn follow(
    cloud: &Cloud,
    before: &QuarantineRow,
    pursued: &Pursued,
    base: Redrive,
    deadline: Instant,
    wait: Option<Duration>,
) -> Result<Redrive, OpsError> {
    let changed = |now: &QuarantineRow| {
        (now.attempts, now.last_seen_at, &now.execution_arn)
            != (before.attempts, before.last_seen_at, &before.execution_arn)
    };
    let failed_again = |base: Redrive, row: QuarantineRow| Redrive {
        outcome: Outcome::FailedAgain,
        message: format!("{}: {}", row.cause.code, row.cause.message),
        cause: Some(row.cause),
        failure: Some(Kind::Failed),
        ..base
    };
    let released = |base: Redrive, message: &str| Redrive {
        outcome: Outcome::Released,
        message: message.to_owned(),
        failure: None,
        ..base
    };
    let mut pause = PAUSE_FIRST;
    for look in 1_u32.. {
        match current(cloud, before).await? {
            Some(now) if now.status == QuarantineStatus::Released && changed(&now) => {
                return Ok(released(base, "normalized and out of quarantine"));
            }
            Some(now) if now.status == QuarantineStatus::Open && changed(&now) => {
                // One that failed in `Quarantine` itself records its first cause before it tries again.
                let execution = Execution::describe(cloud, &pursued.arn).await?;
                if !execution.is_some_and(|execution| execution.is_running()) {
                    return Ok(failed_again(base, now));
                }
            }
            _ => {}
        }
        let last = Instant::now() + pause > deadline;
        if (look.is_multiple_of(LOOKS_PER_DESCRIPTION) || last)
            && let Some(execution) = Execution::describe(cloud, &pursued.arn).await?
            && ours(&execution, pursued)
        {
            // What the execution wrote before it ended is there now.
            let now = current(cloud, before).await?;
            if execution.has_succeeded() {
                if now.is_some_and(|now| now.status != QuarantineStatus::Released) {
                    close(cloud, before).await?;
                }
                return Ok(released(base, "normalized and out of quarantine"));
            }
            return Ok(match now {
                Some(now) if changed(&now) => failed_again(base, now),
                _ => Redrive {
                    outcome: Outcome::FailedAgain,
                    message: format!("its execution is {} before it could record why", execution.status),
                    failure: Some(Kind::Failed),
                    ..base
                },
            });
        }
        if last {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
    Ok(still_running(base, wait))
}

fn still_running(base: Redrive, wait: Option<Duration>) -> Redrive {
    Redrive {
        outcome: Outcome::StillRunning,
        message: format!("it has not ended within {} s", wait.unwrap_or_default().as_secs()),
        failure: Some(Kind::Failed),
        ..base
    }
}

/// `DescribeExecution` is eventually consistent: an end counts only if it is that of a later
/// redrive.
fn ours(execution: &Execution, pursued: &Pursued) -> bool {
    !execution.is_running() && pursued.redrives_before.is_none_or(|before| execution.redrive_count > before)
}

async fn ended(cloud: &Cloud, pursued: &Pursued, deadline: Instant) -> Result<Option<Execution>, OpsError> {
    let mut pause = PAUSE_FIRST;
    loop {
        if let Some(execution) = Execution::describe(cloud, &pursued.arn).await?
            && ours(&execution, pursued)
        {
            return Ok(Some(execution));
        }
        if Instant::now() + pause > deadline {
            return Ok(None);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn current(cloud: &Cloud, row: &QuarantineRow) -> Result<Option<QuarantineRow>, OpsError> {
    Ok(cloud.quarantine().find(&row.vendor_id, row.ingest_id).await?)
}

async fn close(cloud: &Cloud, row: &QuarantineRow) -> Result<(), OpsError> {
    Ok(cloud.quarantine().release(&row.vendor_id, row.ingest_id, jiff::Timestamp::now()).await?)
}

/// Asks Step Functions; `Some` is its reason to refuse.
async fn start(cloud: &Cloud, arn: &str) -> Result<Option<String>, OpsError> {
    let answer = cloud.stepfunctions().redrive_execution().execution_arn(arn).send().await;
    match answer {
        Ok(_) => Ok(None),
        Err(error) => match error.as_service_error() {
            Some(service) if service.is_execution_not_redrivable() => {
                Ok(Some(service.meta().message().unwrap_or("it is not redrivable").to_owned()))
            }
            Some(service) if service.is_execution_does_not_exist() => {
                Ok(Some("Step Functions does not have the execution any more".to_owned()))
            }
            _ => Err(fault("redrive the execution", error).into()),
        },
    }
}

/// Starts a new execution, named by the second: `reconcile` names its reruns by windows, which are
/// far smaller numbers.
async fn replay(cloud: &Cloud, entry: &Entry) -> Result<String, OpsError> {
    let machine = state_machine_of(&entry.row.execution_arn)
        .ok_or_else(|| OpsError::Failed(format!("{} is no execution's ARN", entry.row.execution_arn)))?;
    let second = u32::try_from(jiff::Timestamp::now().as_second()).unwrap_or(u32::MAX);
    let event = EventDetail { replay: second, ..entry.event.clone() };
    let reruns = SfnReruns::new(cloud.sdk(), machine.clone());
    match reruns.rerun(&event).await? {
        Rerun::Started(arn) => Ok(arn),
        Rerun::Exists => Ok(format!(
            "{}:{}-{second}",
            machine.replacen(":stateMachine:", ":execution:", 1),
            entry.row.ingest_id
        )),
    }
}

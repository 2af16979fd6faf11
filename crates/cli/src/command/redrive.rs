//! `sluice redrive`: runs failed `recover` executions again by Step Functions' own `RedriveExecution`.
//!
//! One redrive per event and run of the command, at most. Whether it helped is read from Step Functions and from the
//! quarantine, never assumed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use serde::Serialize;
use sluice_aws::error::fault;
use sluice_core::fault::Cause;
use sluice_core::id::IngestId;
use sluice_core::record::{QuarantineRow, QuarantineStatus};
use tokio::time::Instant;

use super::execution::Execution;
use super::show::find;
use crate::args::RedriveArgs;
use crate::cloud::Cloud;
use crate::error::{CliError, ExitKind};
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// Executions looked after at once: `RedriveExecution` starts with a bucket of 1,300 in AWS's quotas, `DescribeExecution` with
/// 300.
const AT_ONCE: usize = 8;

/// First and longest pause between two looks at an execution.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

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
}

/// One event's redrive.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Redrive {
    ingest_id: IngestId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_count: Option<i32>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    /// How the command ends because of it; `None` if it is as it should be.
    #[serde(skip)]
    failure: Option<ExitKind>,
}

#[derive(Debug, Serialize)]
struct Redrives {
    redrives: Vec<Redrive>,
}

/// Redrives, and says how each went. The exit code is that of the failures, if they are all of one kind.
pub async fn run(args: &RedriveArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let held: BTreeMap<IngestId, QuarantineRow> = if args.all {
        let open = cloud.quarantine().list(args.vendor.as_ref(), Some(QuarantineStatus::Open)).await?;
        open.into_iter().map(|row| (row.ingest_id, row)).collect()
    } else {
        BTreeMap::new()
    };
    let ids: Vec<IngestId> = if args.all {
        held.keys().copied().collect()
    } else {
        let mut ids = args.ingest_ids.clone();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let total = ids.len();
    let wait = args.wait.then(|| Duration::from_secs(args.timeout));
    let progress = output.progress(format!("redriving {}", sluice_core::canonical::count(total, "event")));
    let mut tasks = futures::stream::iter(ids)
        .map(|id| {
            let held = held.get(&id).cloned();
            async move { redrive(cloud, id, held, wait).await }
        })
        .buffered(AT_ONCE);
    let mut redrives = Vec::with_capacity(total);
    while let Some(redrive) = tasks.next().await {
        redrives.push(redrive);
        progress.say(format!("redriving, {} of {total} done", redrives.len()));
    }
    drop(progress);
    let redrives = Redrives { redrives };
    output.document(&redrives)?;
    redrives.verdict()
}

impl Redrives {
    fn verdict(&self) -> Result<(), CliError> {
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

/// Never fails: what goes wrong with one event is that event's outcome.
async fn redrive(
    cloud: &Cloud,
    ingest_id: IngestId,
    held: Option<QuarantineRow>,
    wait: Option<Duration>,
) -> Redrive {
    match attempt(cloud, ingest_id, held, wait).await {
        Ok(redrive) => redrive,
        Err(error) => {
            let kind = error.kind();
            let outcome = if kind == ExitKind::NotFound { Outcome::NotFound } else { Outcome::Error };
            Redrive {
                ingest_id,
                outcome,
                execution_arn: None,
                redrive_count: None,
                message: error.to_string(),
                cause: None,
                failure: Some(kind),
            }
        }
    }
}

async fn attempt(
    cloud: &Cloud,
    ingest_id: IngestId,
    held: Option<QuarantineRow>,
    wait: Option<Duration>,
) -> Result<Redrive, CliError> {
    let row = match held {
        Some(row) => row,
        None => {
            let ledger = find(cloud, ingest_id).await?;
            match cloud.quarantine().find(&ledger.key.vendor_id, ingest_id).await? {
                Some(row) if row.status != QuarantineStatus::Released => row,
                other => {
                    let message = match other {
                        Some(row) => {
                            format!("it was released at {}", sluice_core::id::rfc3339(row.last_seen_at))
                        }
                        None => format!("its status is {}", ledger.status.as_str()),
                    };
                    return Ok(Redrive {
                        ingest_id,
                        outcome: Outcome::NotQuarantined,
                        execution_arn: None,
                        redrive_count: None,
                        message,
                        cause: None,
                        failure: Some(ExitKind::Failed),
                    });
                }
            }
        }
    };
    let mut redrive = Redrive {
        ingest_id,
        outcome: Outcome::Redriven,
        execution_arn: Some(row.execution_arn.clone()),
        redrive_count: None,
        message: String::new(),
        cause: None,
        failure: None,
    };
    let arn = row.execution_arn.as_str();
    let deadline = wait.map(|wait| Instant::now() + wait);
    // `DescribeExecution` is eventually consistent: an end counts only if it is that of a later redrive.
    let mut redrives_before = describe(cloud, arn).await?.redrive_count;
    let mut refusal = start(cloud, arn).await?;
    if let (Some(_), Some(deadline)) = (&refusal, deadline) {
        // It may have been quarantined this moment and be on its way to AwaitRedrive, or be running for someone else: once it
        // has failed, it can be redriven.
        match ended(cloud, arn, deadline, |_| true).await? {
            Some(execution) if execution.redrivable => {
                redrives_before = execution.redrive_count;
                refusal = start(cloud, arn).await?;
            }
            _ => {}
        }
    }
    if let Some(refusal) = refusal {
        return refused(cloud, redrive, refusal).await;
    }
    let Some(deadline) = deadline else {
        redrive.message = "it runs again from the state that failed; `sluice show` tells how it ends".into();
        return Ok(redrive);
    };
    let ours = |execution: &Execution| execution.redrive_count > redrives_before;
    let Some(execution) = ended(cloud, arn, deadline, ours).await? else {
        redrive.outcome = Outcome::StillRunning;
        redrive.message = format!("it has not ended within {} s", wait.unwrap_or_default().as_secs());
        redrive.failure = Some(ExitKind::Failed);
        return Ok(redrive);
    };
    redrive.redrive_count = Some(execution.redrive_count);
    let row = cloud.quarantine().find(&row.vendor_id, ingest_id).await?.unwrap_or(row);
    if execution.has_succeeded() {
        redrive.outcome = Outcome::Released;
        redrive.message = match row.status {
            QuarantineStatus::Released => "normalized and out of quarantine".into(),
            QuarantineStatus::Open | QuarantineStatus::Discarded => {
                "there was nothing left to recover: another delivery had been normalized".into()
            }
        };
    } else {
        redrive.outcome = Outcome::FailedAgain;
        redrive.message = format!("{}: {}", row.cause.code, row.cause.message);
        redrive.cause = Some(row.cause);
        redrive.failure = Some(ExitKind::Failed);
    }
    Ok(redrive)
}

/// Asks Step Functions; `Some` is its reason to refuse.
async fn start(cloud: &Cloud, arn: &str) -> Result<Option<String>, CliError> {
    let answer = cloud.stepfunctions().redrive_execution().execution_arn(arn).send().await;
    match answer {
        Ok(_) => Ok(None),
        Err(error) => match error.as_service_error() {
            Some(service) if service.is_execution_not_redrivable() => {
                Ok(Some(service.meta().message().unwrap_or("it is not redrivable").to_owned()))
            }
            Some(service) if service.is_execution_does_not_exist() => {
                Err(CliError::not_found(format!("Step Functions has no execution {arn}")))
            }
            _ => Err(fault("redrive the execution", error).into()),
        },
    }
}

async fn refused(cloud: &Cloud, mut redrive: Redrive, refusal: String) -> Result<Redrive, CliError> {
    redrive.outcome = Outcome::NotRedrivable;
    redrive.failure = Some(ExitKind::Refused);
    redrive.message = refusal;
    let arn = redrive.execution_arn.clone().unwrap_or_default();
    if let Some(execution) = Execution::describe(cloud, &arn).await? {
        redrive.redrive_count = Some(execution.redrive_count);
        let advice = if execution.is_running() {
            Some("it is running now: wait for it, or use --wait")
        } else if execution.has_succeeded() {
            Some("it has succeeded already")
        } else {
            None
        };
        let reason = execution.redrive_reason.filter(|reason| !redrive.message.contains(reason.as_str()));
        for part in [reason.as_deref(), advice].into_iter().flatten() {
            redrive.message.push_str("; ");
            redrive.message.push_str(part);
        }
    }
    Ok(redrive)
}

async fn describe(cloud: &Cloud, arn: &str) -> Result<Execution, CliError> {
    Execution::describe(cloud, arn)
        .await?
        .ok_or_else(|| CliError::not_found(format!("Step Functions has no execution {arn}")))
}

/// The execution once it has ended in the sense that is meant; `None` if it had not at the deadline.
async fn ended(
    cloud: &Cloud,
    arn: &str,
    deadline: Instant,
    meant: impl Fn(&Execution) -> bool,
) -> Result<Option<Execution>, CliError> {
    let mut pause = PAUSE_FIRST;
    loop {
        let execution = describe(cloud, arn).await?;
        if !execution.is_running() && meant(&execution) {
            return Ok(Some(execution));
        }
        if Instant::now() + pause > deadline {
            return Ok(None);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

impl View for Redrives {
    fn text(&self, page: &Page) -> String {
        if self.redrives.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Good, "Nothing is in quarantine."));
        }
        let rows = self.redrives.iter().map(|redrive| {
            vec![
                redrive.ingest_id.to_string().into(),
                Cell::new(redrive.outcome.tone(), redrive.outcome.word()),
                redrive.redrive_count.map(|count| count.to_string()).unwrap_or_default().into(),
                (&redrive.message).into(),
            ]
        });
        page.table(&["INGEST ID", "OUTCOME", "REDRIVES", "MESSAGE"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::command::show::tests::quarantine_row;
    use crate::output::testing::{in_pipe, json, on_terminal};

    fn redrive(outcome: Outcome, failure: Option<ExitKind>) -> Redrive {
        let row = quarantine_row("OPEN", 2);
        let failed = outcome == Outcome::FailedAgain;
        Redrive {
            ingest_id: row.ingest_id,
            outcome,
            execution_arn: Some(row.execution_arn),
            redrive_count: Some(1),
            message: if failed { "payload_schema_violation: 1 fault".into() } else { "words".into() },
            cause: failed.then_some(row.cause),
            failure,
        }
    }

    #[test]
    fn each_outcome_is_said() {
        let redrives = Redrives {
            redrives: vec![
                redrive(Outcome::Released, None),
                redrive(Outcome::FailedAgain, Some(ExitKind::Failed)),
                redrive(Outcome::NotRedrivable, Some(ExitKind::Refused)),
            ],
        };
        insta::assert_snapshot!(on_terminal(&redrives), @"
        INGEST ID                   OUTCOME         REDRIVES  MESSAGE                           
        01KAJ3Y3R00000000000000001  released        1         words
        01KAJ3Y3R00000000000000001  failed again    1         payload_schema_violation: 1 fault
        01KAJ3Y3R00000000000000001  not redrivable  1         words
        ");
        insta::assert_snapshot!(in_pipe(&redrives), @"
        ingest id	outcome	redrives	message
        01KAJ3Y3R00000000000000001	released	1	words
        01KAJ3Y3R00000000000000001	failed again	1	payload_schema_violation: 1 fault
        01KAJ3Y3R00000000000000001	not redrivable	1	words
        ");
        insta::assert_snapshot!(json(&Redrives { redrives: vec![redrive(Outcome::FailedAgain, None)] }), @r#"
        {
          "redrives": [
            {
              "ingestId": "01KAJ3Y3R00000000000000001",
              "outcome": "failed_again",
              "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
              "redriveCount": 1,
              "message": "payload_schema_violation: 1 fault",
              "cause": {
                "error": "Rejected",
                "code": "payload_schema_violation",
                "message": "the payload has 1 fault",
                "errors": [
                  {
                    "pointer": "/qty",
                    "code": "type",
                    "message": "must be of type integer, not string"
                  }
                ]
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn the_exit_code_is_that_of_the_failures_if_they_agree() {
        let kind = |redrives: Vec<Redrive>| Redrives { redrives }.verdict().err().map(|error| error.kind());
        let good = || redrive(Outcome::Released, None);
        let missing = || redrive(Outcome::NotFound, Some(ExitKind::NotFound));
        let refused = || redrive(Outcome::NotRedrivable, Some(ExitKind::Refused));
        let down = || redrive(Outcome::Error, Some(ExitKind::Unavailable));
        assert_eq!(kind(vec![]), None);
        assert_eq!(kind(vec![good()]), None);
        assert_eq!(kind(vec![missing()]), Some(ExitKind::NotFound));
        assert_eq!(kind(vec![good(), refused(), refused()]), Some(ExitKind::Refused));
        assert_eq!(kind(vec![down()]), Some(ExitKind::Unavailable));
        assert_eq!(kind(vec![missing(), refused()]), Some(ExitKind::Failed));
        let one = Redrives { redrives: vec![refused()] }.verdict().unwrap_err().to_string();
        assert_eq!(one, "01KAJ3Y3R00000000000000001: not redrivable: words");
    }
}

//! What a redrive would do: which events, by which method, and why.
//!
//! Redrive where AWS allows it: status FAILED, TIMED_OUT or ABORTED, closed within [`REDRIVE_DAYS`]
//! days (`RedriveExecution`, AWS Step Functions API Reference; the bound of 24,999 history events
//! shows itself only when asked, and then the event is replayed). Replay where not: a new `recover`
//! execution that begins with `Normalize`.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sfn::types::ExecutionStatus;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sluice_aws::error::fault;
use sluice_core::canonical::count;
use sluice_core::id::{IngestId, VendorId};
use sluice_core::port::Ledger as _;
use sluice_core::record::{
    EventDetail, LedgerKey, LedgerRow, QuarantineRow, QuarantineStatus, Status, recovery_name,
};

use super::{Outcome, Redrive};
use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::execution::Execution;
use crate::executions::REDRIVE_DAYS;
use crate::progress::Progress;

/// Up to here executions are described one by one, beyond they are listed: `DescribeExecution` has
/// a bucket of 300, refilled by 10 to 15 a second; a page of `ListExecutions` has 1,000.
const DESCRIBED_MAX: usize = 50;

/// Reads at once.
const READS_AT_ONCE: usize = 8;

/// Which events are run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// These; the other members have no say then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingest_ids: Vec<IngestId>,
    /// What is open of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Of this vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<VendorId>,
    /// First quarantined then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// First quarantined before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How an event is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// `RedriveExecution` of the one that failed.
    Redrive,
    /// A new execution under a name of its own.
    Replay,
    /// The event is normalized: only its quarantine row is still open.
    Close,
}

impl Method {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Replay => "replay",
            Self::Close => "close",
        }
    }
}

/// An event of the plan, which can be stored: a frozen plan is its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// How it is run again.
    pub method: Method,
    /// As it was when the plan was made.
    pub row: QuarantineRow,
    /// The input of the new execution, where it is replayed.
    pub event: EventDetail,
    /// Redrives of its execution so far.
    pub redrive_count: i32,
}

/// What a plan does with one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlan {
    /// The group.
    pub fingerprint: String,
    /// The cause's code.
    pub code: String,
    /// The cause in words, of one event.
    pub message: String,
    /// Events of the plan.
    pub events: u64,
    /// Of those, redriven.
    pub redrive: u64,
    /// Of those, replayed.
    pub replay: u64,
    /// Of those, closed.
    pub close: u64,
}

/// The plan.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// Events of the plan.
    pub events: usize,
    /// By group, the largest first.
    pub groups: Vec<GroupPlan>,
    /// Each event, in the order of their ids.
    #[serde(skip)]
    pub entries: Vec<Entry>,
}

/// What is known of an execution.
#[derive(Debug, Clone, Copy)]
struct Known {
    running: bool,
    redrivable: bool,
    redrive_count: i32,
}

impl Plan {
    /// Of its entries.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.row.ingest_id);
        let mut groups: BTreeMap<&str, GroupPlan> = BTreeMap::new();
        for entry in &entries {
            let group = groups.entry(&entry.row.fingerprint).or_insert_with(|| GroupPlan {
                fingerprint: entry.row.fingerprint.clone(),
                code: entry.row.cause.code.clone(),
                message: entry.row.cause.message.clone(),
                events: 0,
                redrive: 0,
                replay: 0,
                close: 0,
            });
            group.events += 1;
            match entry.method {
                Method::Redrive => group.redrive += 1,
                Method::Replay => group.replay += 1,
                Method::Close => group.close += 1,
            }
        }
        let mut groups: Vec<GroupPlan> = groups.into_values().collect();
        groups.sort_by(|a, b| (b.events, &a.fingerprint).cmp(&(a.events, &b.fingerprint)));
        Self { events: entries.len(), groups, entries }
    }

    /// Reads what is in quarantine now. The second part is what was named and cannot be run.
    ///
    /// # Errors
    /// When quarantine, ledger or Step Functions does not answer.
    pub async fn make(
        cloud: &Cloud,
        selection: &Selection,
        progress: &dyn Progress,
    ) -> Result<(Self, Vec<Redrive>), OpsError> {
        let mut given_up = Vec::new();
        let rows = if selection.ingest_ids.is_empty() {
            selected(selection, cloud).await?
        } else {
            let mut rows = Vec::new();
            let mut ids = selection.ingest_ids.clone();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                match named(cloud, id).await {
                    Ok(Ok(row)) => rows.push(row),
                    Ok(Err(redrive)) => given_up.push(redrive),
                    Err(error) => given_up.push(Redrive::of_error(id, &error)),
                }
            }
            rows
        };
        progress.say(&format!("planning for {}", count(rows.len(), "event")));
        let executions = executions(cloud, &rows).await?;
        let ledger = cloud.ledger();
        let found: Vec<(QuarantineRow, Option<LedgerRow>)> = futures::stream::iter(rows)
            .map(|row| {
                let ledger = &ledger;
                async move {
                    let key = LedgerKey {
                        vendor_id: row.vendor_id.clone(),
                        external_event_id: row.external_event_id.clone(),
                    };
                    let held = ledger.find(&key).await?.filter(|held| held.ingest_id == row.ingest_id);
                    Ok::<_, OpsError>((row, held))
                }
            })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        let mut entries = Vec::with_capacity(found.len());
        for (row, held) in found {
            let Some(held) = held else {
                let message = "the ledger does not have it any more: run `sluice audit`";
                given_up.push(Redrive::new(row.ingest_id, Outcome::NotFound, message));
                continue;
            };
            entries.push(decide(row, &held, &executions));
        }
        Ok((Self::new(entries), given_up))
    }
}

fn decide(row: QuarantineRow, held: &LedgerRow, executions: &HashMap<String, Known>) -> Entry {
    let event = held.rerun(0);
    let known = executions.get(&row.execution_arn).copied();
    let redrive_count = known.map_or(0, |known| known.redrive_count);
    let method = match (held.status, known) {
        (Status::Normalized, _) => Method::Close,
        // What runs is on its way to AwaitRedrive, or is being redriven: it can be redriven once it
        // has failed.
        (_, Some(known)) if known.running || known.redrivable => Method::Redrive,
        _ => Method::Replay,
    };
    Entry { method, row, event, redrive_count }
}

async fn selected(selection: &Selection, cloud: &Cloud) -> Result<Vec<QuarantineRow>, OpsError> {
    let quarantine = cloud.quarantine();
    let rows = match &selection.group {
        Some(group) => quarantine.group(group).await?,
        None => quarantine.list(selection.vendor.as_ref(), Some(QuarantineStatus::Open)).await?,
    };
    let wanted = |row: &QuarantineRow| {
        selection.vendor.as_ref().is_none_or(|vendor| row.vendor_id == *vendor)
            && selection.since.is_none_or(|since| row.first_seen_at >= since)
            && selection.until.is_none_or(|until| row.first_seen_at < until)
    };
    Ok(rows.into_iter().filter(wanted).collect())
}

/// The row of an event that was named. An event whose `recover` execution failed before there was a
/// row gets one made up, so that it can be redriven.
async fn named(cloud: &Cloud, ingest_id: IngestId) -> Result<Result<QuarantineRow, Redrive>, OpsError> {
    let ledger = crate::event::find(cloud, ingest_id).await?;
    let held = cloud.quarantine().find(&ledger.key.vendor_id, ingest_id).await?;
    let message = match held {
        Some(row) if row.status != QuarantineStatus::Released => return Ok(Ok(row)),
        Some(row) => format!("it was released at {}", sluice_core::id::rfc3339(row.last_seen_at)),
        None if ledger.status == Status::Normalized => "its status is NORMALIZED".into(),
        None => {
            if let Some(row) = without_row(cloud, &ledger).await? {
                return Ok(Ok(row));
            }
            format!("its status is {}", ledger.status.as_str())
        }
    };
    Ok(Err(Redrive::new(ingest_id, Outcome::NotQuarantined, message)))
}

async fn without_row(cloud: &Cloud, ledger: &LedgerRow) -> Result<Option<QuarantineRow>, OpsError> {
    let Some(machine) = cloud.state_machine_arn(&cloud.names().recover).await? else { return Ok(None) };
    let execution_arn = format!(
        "{}:{}",
        machine.replacen(":stateMachine:", ":execution:", 1),
        recovery_name(&ledger.key.vendor_id, ledger.ingest_id, 0)
    );
    let Some(execution) = Execution::describe(cloud, &execution_arn).await? else { return Ok(None) };
    if execution.is_running() || execution.has_succeeded() {
        return Ok(None);
    }
    let cause = sluice_core::fault::CaughtError {
        error: "States.TaskFailed".into(),
        cause: "the recover execution failed before it could record the cause".into(),
    };
    let cause = sluice_core::fault::Cause::from(&cause);
    Ok(Some(QuarantineRow {
        vendor_id: ledger.key.vendor_id.clone(),
        ingest_id: ledger.ingest_id,
        external_event_id: ledger.key.external_event_id.clone(),
        event_type: ledger.event_type.clone(),
        status: QuarantineStatus::Open,
        fingerprint: cause.fingerprint(),
        cause,
        attempts: 0,
        execution_arn,
        raw_ref: ledger.raw_ref.clone(),
        received_at: ledger.received_at,
        first_seen_at: ledger.received_at,
        last_seen_at: ledger.received_at,
        resolution: None,
    }))
}

/// What Step Functions says of the rows' executions. One that it does not know is not in the map.
async fn executions(cloud: &Cloud, rows: &[QuarantineRow]) -> Result<HashMap<String, Known>, OpsError> {
    let mut known = HashMap::new();
    let mut asked: Vec<&str> = rows.iter().map(|row| row.execution_arn.as_str()).collect();
    asked.sort_unstable();
    asked.dedup();
    if asked.len() > DESCRIBED_MAX {
        let mut machines: Vec<String> = asked.iter().filter_map(|arn| state_machine_of(arn)).collect();
        machines.sort_unstable();
        machines.dedup();
        for machine in machines {
            known.extend(listed(cloud, &machine).await?);
        }
        asked.retain(|arn| !known.contains_key(*arn));
        // Succeeded, forgotten, or ended this moment. More than a few are not worth the quota: they
        // are replayed.
        asked.truncate(DESCRIBED_MAX);
    }
    let described: Vec<(String, Option<Execution>)> = futures::stream::iter(asked)
        .map(|arn| async move { Ok::<_, OpsError>((arn.to_owned(), Execution::describe(cloud, arn).await?)) })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    for (arn, execution) in described {
        if let Some(execution) = execution {
            let state = Known {
                running: execution.is_running(),
                redrivable: execution.redrivable,
                redrive_count: execution.redrive_count,
            };
            known.insert(arn, state);
        }
    }
    Ok(known)
}

/// `arn:…:execution:<machine>:<name>` to `arn:…:stateMachine:<machine>`.
pub(crate) fn state_machine_of(execution_arn: &str) -> Option<String> {
    let (machine, _) = execution_arn.rsplit_once(':')?;
    Some(machine.replacen(":execution:", ":stateMachine:", 1))
}

async fn listed(cloud: &Cloud, machine: &str) -> Result<HashMap<String, Known>, OpsError> {
    let oldest = Timestamp::now() - SignedDuration::from_hours(REDRIVE_DAYS * 24);
    let mut known = HashMap::new();
    for status in [
        ExecutionStatus::Failed,
        ExecutionStatus::TimedOut,
        ExecutionStatus::Aborted,
        ExecutionStatus::Running,
    ] {
        let mut token: Option<String> = None;
        loop {
            let page = cloud
                .stepfunctions()
                .list_executions()
                .state_machine_arn(machine)
                .status_filter(status.clone())
                .max_results(1_000)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| fault("list the executions", error))?;
            for execution in page.executions {
                let running = status == ExecutionStatus::Running;
                let stopped = execution.stop_date.and_then(|at| at.to_millis().ok());
                let recent = stopped.is_some_and(|millis| millis >= oldest.as_millisecond());
                let redrive_count = execution.redrive_count.unwrap_or_default();
                let state = Known { running, redrivable: !running && recent, redrive_count };
                known.insert(execution.execution_arn, state);
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::testing::{ledger_row, quarantine_row};

    fn known(running: bool, redrivable: bool, redrive_count: i32) -> HashMap<String, Known> {
        let arn = quarantine_row("OPEN", 1).execution_arn;
        HashMap::from([(arn, Known { running, redrivable, redrive_count })])
    }

    fn decided(status: &str, attempts: u64, executions: &HashMap<String, Known>) -> Entry {
        decide(quarantine_row("OPEN", attempts), &ledger_row(status), executions)
    }

    #[test]
    fn the_method_is_what_aws_allows() {
        assert_eq!(decided("QUARANTINED", 1, &known(false, true, 0)).method, Method::Redrive);
        assert_eq!(decided("QUARANTINED", 1, &known(false, false, 0)).method, Method::Replay);
        assert_eq!(decided("QUARANTINED", 1, &HashMap::new()).method, Method::Replay);
        assert_eq!(decided("NORMALIZED", 1, &known(false, true, 0)).method, Method::Close);
        let running = decided("QUARANTINED", 1, &known(true, false, 1));
        assert_eq!(running.method, Method::Redrive, "once it has failed");
    }

    #[test]
    fn a_plan_says_how_many_by_group_and_method() {
        let mut entries = vec![decided("QUARANTINED", 1, &known(false, true, 0)); 3];
        entries.push(decided("QUARANTINED", 1, &HashMap::new()));
        let plan = Plan::new(entries);
        let entry = serde_json::to_string(&plan.entries[0]).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&entry).unwrap(), plan.entries[0], "a plan can be kept");
        assert_eq!(
            serde_json::to_value(&plan).unwrap(),
            serde_json::json!({"events": 4, "groups": [{"fingerprint": "0123456789abcdef", "code": "payload_schema_violation",
                "message": "the payload has 1 fault", "events": 4, "redrive": 3, "replay": 1, "close": 0}]})
        );
    }

    #[test]
    fn an_execution_names_its_machine() {
        assert_eq!(
            state_machine_of("arn:aws:states:r:1:execution:sluice-recover:x-0").as_deref(),
            Some("arn:aws:states:r:1:stateMachine:sluice-recover")
        );
    }
}

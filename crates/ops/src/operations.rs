//! Operations: bulk acts as durable objects, planned here and driven by the state machine `operate`.
//!
//! Two steps: a plan freezes the set and can be looked at until it expires; a start by the plan's id, with a reason, runs it. What is
//! allowed when is decided by [`sluice_core::operation`]; this module makes plans of what is there now, and documents of the rows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::clock::SystemClock;
use sluice_aws::executions::{SfnRuns, state_machine_arn};
use sluice_aws::operations::DynamoOperations;
use sluice_core::canonical::count;
use sluice_core::id::{IngestId, ObjectRef, VendorId};
use sluice_core::operation::control::{Control, ControlError, Draft};
use sluice_core::operation::{
    Item, Kind, Method as CoreMethod, MoveItem, OperationStore as _, PlanGroup, RedriveItem, Refusal,
    ReleaseItem, ReplayItem, Seen, Work,
};
use sluice_core::record::LedgerKey;

pub use sluice_core::operation::{
    Act, Budget, ItemRow, ItemState, Operation, OperationId, Outcome, PLAN_SECONDS, PLAN_SECONDS_MAX, Pace,
    Status, StopCause, Tally, Verb,
};

use crate::cloud::Cloud;
use crate::dlq;
use crate::document::millis;
use crate::error::OpsError;
use crate::progress::Progress;
use crate::redrive::{self, Entry, Method, Selection};
use crate::replay;

/// Most outcomes that a document lists.
pub const ITEMS_LISTED_MAX: usize = 1_000;

/// Events of a batch, by those that are normalized at once: long enough to be worth an execution, short enough to be waited for.
const BATCH_FOLD: usize = 20;

/// Outcomes read at once.
const ROWS_PER_READ: usize = 1_000;

/// An operation with what follows from its row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The row.
    #[serde(flatten)]
    pub operation: Operation,
    /// Items that were not begun.
    pub waiting: u64,
    /// Items that have an outcome.
    pub finished: u64,
    /// Items that came to what was asked for.
    pub succeeded: u64,
    /// Items that count against the error budget.
    pub failed: u64,
    /// Whether it is a plan that nobody may start any more.
    pub expired: bool,
}

impl Overview {
    fn new(operation: Operation, now: Timestamp) -> Self {
        Self {
            waiting: operation.waiting(),
            finished: operation.finished(),
            succeeded: operation.succeeded(),
            failed: operation.failed(),
            expired: operation.has_expired(now),
            operation,
        }
    }
}

/// `{"operations": […], "before"?}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operations {
    /// Latest first.
    pub operations: Vec<Overview>,
    /// What to ask for next, if there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<OperationId>,
}

/// Outcomes of items with the same message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// The outcome.
    pub outcome: Outcome,
    /// In words.
    pub message: String,
    /// How many.
    pub count: u64,
    /// One of them.
    pub example: String,
}

/// An operation with its acts and outcomes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// The operation.
    #[serde(flatten)]
    pub overview: Overview,
    /// Who did what, oldest first.
    pub acts: Vec<Act>,
    /// Whether the execution that drives it is at work; `None` if it needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driven: Option<bool>,
    /// What went wrong, most frequent first.
    pub failures: Vec<Failures>,
    /// Items that were begun, those that succeeded left out unless asked for; [`ITEMS_LISTED_MAX`] at most.
    pub items: Vec<ItemRow>,
    /// When this was read.
    #[serde(serialize_with = "millis")]
    pub read_at: Timestamp,
}

/// What makes a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How fast, and when it stops by itself.
    pub pace: Pace,
    /// Who plans it.
    pub by: String,
    /// How long the plan may be started, in seconds.
    pub valid_seconds: i64,
}

/// An operation, and what was asked for and is not in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The operation.
    pub operation: Overview,
    /// Events that were named and cannot be run again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<redrive::Redrive>,
}

struct Ports {
    store: DynamoOperations,
    runs: SfnRuns,
}

impl Ports {
    async fn of(cloud: &Cloud) -> Result<Self, OpsError> {
        let name = &cloud.names().operate;
        let machine = cloud.state_machine_arn(name).await?.ok_or_else(|| {
            OpsError::not_found(format!("there is no state machine {name}"))
                .with_hint("deploy the stack of this version, or start `sluice dev` of this version")
        })?;
        let runs = SfnRuns::new(cloud.sdk(), state_machine_arn(&machine)?);
        Ok(Self { store: cloud.operations(), runs })
    }

    fn control(&self) -> Control<'_> {
        Control { store: &self.store, runs: &self.runs, clock: &SystemClock }
    }
}

impl From<ControlError> for OpsError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Fault(fault) => Self::Fault(fault),
            ControlError::Refused(refusal) => {
                let message = format!("{}: {refusal}", refusal.code());
                match refusal {
                    Refusal::NotFound(_) => {
                        Self::not_found(message).with_hint("`sluice operations ls` lists them")
                    }
                    Refusal::ReasonMissing(_) | Refusal::TextTooLong { .. } | Refusal::OutOfBounds(_) => {
                        Self::invalid(message)
                    }
                    Refusal::PlanExpired { .. }
                    | Refusal::AlreadyStarted { .. }
                    | Refusal::NotStarted(_)
                    | Refusal::Ended { .. }
                    | Refusal::Empty
                    | Refusal::TooMany(_)
                    | Refusal::Contended(_) => Self::refused(message),
                }
            }
        }
    }
}

/// Freezes the events of a selection. Nothing is run.
///
/// # Errors
/// When nothing matches, and when a call fails.
pub async fn plan_redrive(
    cloud: &Cloud,
    selection: &Selection,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Planned, OpsError> {
    let (plan, left_out) = redrive::Plan::make(cloud, selection, progress).await?;
    let groups = plan.groups.iter().map(|group| PlanGroup {
        name: group.fingerprint.clone(),
        code: group.code.clone(),
        message: group.message.clone(),
        items: group.events,
    });
    let items: Vec<Item> = plan.entries.iter().map(frozen).collect();
    progress.say(&format!("freezing {}", count(items.len(), "event")));
    let set =
        Set { id: None, kind: Kind::Redrive, what: in_words(selection), groups: groups.collect(), items };
    Ok(Planned { left_out, ..freeze(cloud, set, settings).await? })
}

/// What is to be frozen of a plan.
pub(crate) struct Set {
    /// Its id, if the items name it.
    pub(crate) id: Option<OperationId>,
    pub(crate) kind: Kind,
    /// In words.
    pub(crate) what: String,
    pub(crate) groups: Vec<PlanGroup>,
    pub(crate) items: Vec<Item>,
}

/// Freezes a set. Nothing is run.
pub(crate) async fn freeze(cloud: &Cloud, set: Set, settings: &Settings) -> Result<Planned, OpsError> {
    let Set { id, kind, what, groups, items } = set;
    let draft = Draft {
        id,
        kind,
        what,
        groups,
        items,
        pace: settings.pace,
        by: settings.by.clone(),
        valid_seconds: settings.valid_seconds,
        retry_of: None,
    };
    let operation = Ports::of(cloud).await?.control().plan(draft).await?;
    Ok(Planned { operation: Overview::new(operation, Timestamp::now()), left_out: Vec::new() })
}

fn frozen(entry: &Entry) -> Item {
    Item(Work::Redrive(RedriveItem {
        ingest_id: entry.row.ingest_id,
        vendor_id: entry.row.vendor_id.clone(),
        external_event_id: entry.row.external_event_id.clone(),
        method: match entry.method {
            Method::Redrive => CoreMethod::Redrive,
            Method::Replay => CoreMethod::Replay,
            Method::Close => CoreMethod::Close,
        },
        seen: Seen::from(&entry.row),
        redrive_count: entry.redrive_count,
    }))
}

/// Freezes the dead-letter queues that hold messages and serve a queue, or one of them. Nothing is moved.
///
/// # Errors
/// When there is nothing to move, and when a call fails.
pub async fn plan_dead_letters(
    cloud: &Cloud,
    queue: Option<&str>,
    settings: &Settings,
) -> Result<Planned, OpsError> {
    let plan = dlq::plan_moves(cloud, queue, None).await?;
    let mut items = Vec::new();
    let mut groups = Vec::new();
    for planned in plan {
        // A dead-letter queue serves one queue (ADR 0050); without one there is nowhere to move its messages to.
        let Some(destination) = planned.destination else { continue };
        let reason = planned.reasons.first();
        groups.push(PlanGroup {
            name: planned.queue.clone(),
            code: reason.map(|reason| reason.code.clone()).unwrap_or_default(),
            message: format!(
                "{} to {destination}",
                count(usize::try_from(planned.approximate_messages).unwrap_or(usize::MAX), "message")
            ),
            items: 1,
        });
        items.push(Item(Work::Move(MoveItem {
            queue: planned.queue,
            queue_arn: planned.arn,
            destination,
            messages: planned.approximate_messages,
        })));
    }
    let set = Set {
        id: None,
        kind: Kind::DeadLetters,
        what: queue.map_or("all dead-letter queues".to_owned(), ToOwned::to_owned),
        groups,
        items,
    };
    freeze(cloud, set, settings).await
}

/// Freezes the stored events of a window in batches, which are replayed one after the other: a pause and a stop come between two.
/// The pace's number is that of events normalized at once. Nothing is run.
///
/// # Errors
/// When there are none, and when a call fails.
pub async fn plan_replay(
    cloud: &Cloud,
    selection: &replay::Selection,
    window: replay::Window,
    settings: &Settings,
) -> Result<Planned, OpsError> {
    let at_once = usize::try_from(settings.pace.per_second).unwrap_or(usize::MAX);
    let batch_events = at_once.saturating_mul(BATCH_FOLD);
    let manifests = replay::batches(cloud, selection, window, batch_events).await?;
    let events: u64 = manifests.iter().map(|(_, events)| events).sum();
    let results = ObjectRef { bucket: cloud.names().replays.clone(), key: "results".to_owned() };
    let items = manifests.into_iter().map(|(manifest, events)| {
        Item(Work::Replay(ReplayItem { manifest, results: results.clone(), events }))
    });
    let items: Vec<Item> = items.collect();
    let (from, to) = (sluice_core::id::rfc3339(window.from), sluice_core::id::rfc3339(window.to));
    let mut what = format!("events from {from} to {to}");
    for part in [
        selection.vendor.as_ref().map(|vendor| format!(", vendor {vendor}")),
        selection.event_type.as_ref().map(|event_type| format!(", type {event_type}")),
        selection.schema_version.as_ref().map(|version| format!(", schema version {version}")),
    ] {
        what.push_str(&part.unwrap_or_default());
    }
    let group = PlanGroup {
        name: "batches".to_owned(),
        code: "replay".to_owned(),
        message: count(usize::try_from(events).unwrap_or(usize::MAX), "event"),
        items: items.len() as u64,
    };
    let set = Set { id: None, kind: Kind::Replay, what, groups: vec![group], items };
    freeze(cloud, set, settings).await
}

/// Freezes events of a vendor that wait. Nothing is let go.
///
/// # Errors
/// When there are none, and when a call fails.
pub async fn plan_release(
    cloud: &Cloud,
    vendor: &VendorId,
    waiting: Vec<(LedgerKey, IngestId)>,
    settings: &Settings,
) -> Result<Planned, OpsError> {
    let group = PlanGroup {
        name: vendor.to_string(),
        code: "release".to_owned(),
        message: format!("{} that waited while it was on hold", count(waiting.len(), "event")),
        items: waiting.len() as u64,
    };
    let items =
        waiting.into_iter().map(|(key, ingest_id)| Item(Work::Release(ReleaseItem { ingest_id, key })));
    let set = Set {
        id: None,
        kind: Kind::Release,
        what: format!("held events of vendor {vendor}"),
        groups: vec![group],
        items: items.collect(),
    };
    freeze(cloud, set, settings).await
}

fn in_words(selection: &Selection) -> String {
    let Selection { ingest_ids, group, vendor, since, until } = selection;
    let time = |at: &Timestamp| sluice_core::id::rfc3339(*at);
    let mut words = Vec::new();
    match ingest_ids.as_slice() {
        [] => {}
        [only] => words.push(format!("event {only}")),
        [first, ..] => words.push(format!("{} events from {first} on", ingest_ids.len())),
    }
    words.extend(group.as_ref().map(|group| format!("group {group}")));
    words.extend(vendor.as_ref().map(|vendor| format!("vendor {vendor}")));
    words.extend(since.as_ref().map(|since| format!("since {}", time(since))));
    words.extend(until.as_ref().map(|until| format!("until {}", time(until))));
    if words.is_empty() { "all quarantined events".to_owned() } else { words.join(", ") }
}

/// Starts a plan. Who and why is stored before anything is run.
///
/// # Errors
/// When the plan has expired or was started, when there is no reason, and when a call fails.
pub async fn start(cloud: &Cloud, id: OperationId, by: &str, reason: &str) -> Result<Overview, OpsError> {
    let operation = Ports::of(cloud).await?.control().start(id, by, reason).await?;
    Ok(Overview::new(operation, Timestamp::now()))
}

/// Pauses an operation.
///
/// # Errors
/// When it has not been started or has ended, and when a call fails.
pub async fn pause(
    cloud: &Cloud,
    id: OperationId,
    by: &str,
    reason: Option<&str>,
) -> Result<Overview, OpsError> {
    let operation = Ports::of(cloud).await?.control().pause(id, by, reason).await?;
    Ok(Overview::new(operation, Timestamp::now()))
}

/// Lets an operation go on.
///
/// # Errors
/// When it has not been started or has ended, and when a call fails.
pub async fn resume(
    cloud: &Cloud,
    id: OperationId,
    by: &str,
    reason: Option<&str>,
) -> Result<Overview, OpsError> {
    let operation = Ports::of(cloud).await?.control().resume(id, by, reason).await?;
    Ok(Overview::new(operation, Timestamp::now()))
}

/// Stops an operation for good.
///
/// # Errors
/// When it is completed, and when a call fails.
pub async fn stop(
    cloud: &Cloud,
    id: OperationId,
    by: &str,
    reason: Option<&str>,
) -> Result<Overview, OpsError> {
    let operation = Ports::of(cloud).await?.control().stop(id, by, reason).await?;
    Ok(Overview::new(operation, Timestamp::now()))
}

/// Plans a new operation of what failed, and of what was never begun.
///
/// # Errors
/// When the operation has not ended, or nothing is left; and when a call fails.
pub async fn retry(
    cloud: &Cloud,
    id: OperationId,
    by: &str,
    valid_seconds: i64,
) -> Result<Overview, OpsError> {
    let operation = Ports::of(cloud).await?.control().retry(id, by, valid_seconds).await?;
    Ok(Overview::new(operation, Timestamp::now()))
}

/// The latest operations, latest first.
///
/// # Errors
/// When a call fails.
pub async fn list(cloud: &Cloud, before: Option<OperationId>, limit: usize) -> Result<Operations, OpsError> {
    let now = Timestamp::now();
    let found = cloud.operations().list(before, limit).await?;
    let before = if found.len() == limit { found.last().map(|last| last.operation_id) } else { None };
    let operations = found.into_iter().map(|operation| Overview::new(operation, now)).collect();
    Ok(Operations { operations, before })
}

/// An operation as it is now. `all`: with the items that succeeded.
///
/// # Errors
/// When there is none of that id, and when a call fails.
pub async fn show(cloud: &Cloud, id: OperationId, all: bool) -> Result<Detail, OpsError> {
    let ports = Ports::of(cloud).await?;
    let control = ports.control();
    let operation = control.find(id).await?;
    let driven =
        if operation.needs_execution() { Some(control.has_execution(&operation).await?) } else { None };
    let mut items = Vec::new();
    let mut failures: BTreeMap<(Outcome, String), Failures> = BTreeMap::new();
    let mut from = 0;
    loop {
        let rows = ports.store.item_rows(id, from, ROWS_PER_READ).await?;
        let Some(last) = rows.last().map(|row| row.item) else { break };
        for row in rows {
            let succeeded = row.outcome.is_some_and(Outcome::is_success);
            if let Some(outcome) = row.outcome.filter(|_| !succeeded) {
                let key = (outcome, row.message.clone());
                let failure = failures.entry(key).or_insert_with(|| Failures {
                    outcome,
                    message: row.message.clone(),
                    count: 0,
                    example: row.name.clone(),
                });
                failure.count += 1;
            }
            if (all || !succeeded) && items.len() < ITEMS_LISTED_MAX {
                items.push(row);
            }
        }
        from = last + 1;
    }
    let mut failures: Vec<Failures> = failures.into_values().collect();
    failures.sort_by(|a, b| (b.count, &a.message).cmp(&(a.count, &b.message)));
    let acts = ports.store.acts(id).await?;
    let now = Timestamp::now();
    Ok(Detail { overview: Overview::new(operation, now), acts, driven, failures, items, read_at: now })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn a_selection_is_told_in_words() {
        assert_eq!(in_words(&Selection::default()), "all quarantined events");
        let selection = Selection {
            group: Some("0123456789abcdef".into()),
            vendor: Some("vendorA".parse().unwrap()),
            since: Some("2026-11-21T10:00:00Z".parse().unwrap()),
            ..Selection::default()
        };
        assert_eq!(
            in_words(&selection),
            "group 0123456789abcdef, vendor vendorA, since 2026-11-21T10:00:00.000Z"
        );
    }
}

//! One quarantined event of a redrive: taken, run again, looked after.
//!
//! How it ended is read from the quarantine, which has no quota worth speaking of; Step Functions is asked only where the
//! quarantine does not change for long. An attempt is this operation's if its number says so: `Quarantine` writes
//! `attempts = redrives + 1`.

use sluice_core::Fault;
use sluice_core::jiff::Timestamp;
use sluice_core::operation::{
    Asked, ExecutionState, Holder, ITEM_SECONDS_MAX, ItemRow, ItemState, Method, Operation, Outcome,
    RedriveItem, Seen,
};
use sluice_core::port::Rerun;
use sluice_core::record::{
    EventDetail, LedgerKey, LedgerRow, QuarantineRow, QuarantineStatus, Status, recovery_name,
};

use crate::Slice;

/// From which age on Step Functions is asked as well, in seconds.
const DESCRIBED_SECONDS_MIN: i64 = 5;

impl Slice<'_> {
    /// Begins an event, or looks after it; gives its row.
    pub(crate) async fn redrive(
        &self,
        operation: &Operation,
        item: &RedriveItem,
        held: Option<ItemRow>,
        fresh: &ItemRow,
    ) -> Result<ItemRow, Fault> {
        match held {
            Some(row) if row.seen.is_some() => self.look_after(item, row).await,
            // It was begun and failed before anything was done.
            Some(row) => self.begin(operation, item, row).await,
            None => self.begin(operation, item, fresh.clone()).await,
        }
    }

    pub(crate) async fn give_back(&self, operation: &Operation, item: &RedriveItem) -> Result<(), Fault> {
        let mine = self.holder(operation);
        self.deps.operations.settle_hold(item.ingest_id, &mine).await
    }

    fn holder(&self, operation: &Operation) -> Holder {
        Holder { operation_id: operation.operation_id, held_at: self.deps.now(), settled: false }
    }

    async fn begin(&self, operation: &Operation, item: &RedriveItem, row: ItemRow) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        let mine = self.holder(operation);
        let other = self.deps.operations.hold(item.ingest_id, &mine, operation.created_at).await?;
        if let Some(other) = other {
            let message = format!("operation {} has run it since this one was planned", other.operation_id);
            let row = ItemRow { taken_by: Some(other.operation_id), ..row };
            return Ok(row.ended(Outcome::Taken, message, now));
        }
        let seen = match self.current(item).await? {
            Some(held) if held.status == QuarantineStatus::Open => Seen::from(&held),
            Some(held) => {
                let message = format!("it left the quarantine at {}", at(held.last_seen_at));
                return Ok(row.ended(Outcome::NotQuarantined, message, now));
            }
            // Its execution failed before it could write a row.
            None if item.seen.attempts == 0 => item.seen.clone(),
            None => return Ok(row.ended(Outcome::NotFound, "the quarantine does not have it any more", now)),
        };
        let (method, redrives) = if seen == item.seen {
            (item.method, item.redrive_count)
        } else {
            self.decide(item, &seen).await?
        };
        // `Quarantine` writes attempts = redrives + 1: fewer, and it failed before it could.
        let records_twice =
            method == Method::Redrive && seen.attempts <= u64::try_from(redrives).unwrap_or(0);
        let row = ItemRow {
            method: Some(method),
            execution_arn: Some(seen.execution_arn.clone()),
            redrives_before: Some(redrives),
            records_twice,
            seen: Some(seen),
            ..row
        };
        // What is done is stored before it is done.
        self.deps.operations.put_item_row(&row).await?;
        self.act(item, row).await
    }

    /// How an event is run again that was tried since the plan was made.
    async fn decide(&self, item: &RedriveItem, seen: &Seen) -> Result<(Method, i32), Fault> {
        let execution = self.deps.executions.describe(&seen.execution_arn).await?;
        let redrives = execution.as_ref().map_or(0, |it| it.redrive_count);
        let normalized = self.ledger_row(item).await?.is_some_and(|row| row.status == Status::Normalized);
        let method = match &execution {
            _ if normalized => Method::Close,
            Some(execution) if !execution.has_succeeded() => Method::Redrive,
            _ => Method::Replay,
        };
        Ok((method, redrives))
    }

    /// Runs the event again, as its row says. Doing so again is the same act.
    async fn act(&self, item: &RedriveItem, row: ItemRow) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        match row.method {
            Some(Method::Close) => {
                self.deps.quarantine.release(&item.vendor_id, item.ingest_id, now).await?;
                Ok(row.ended(
                    Outcome::Released,
                    "it was normalized already; its quarantine row is closed",
                    now,
                ))
            }
            Some(Method::Replay) => self.replay_event(item, row).await,
            Some(Method::Redrive) | None => {
                let arn = row.execution_arn.clone().unwrap_or_default();
                let redrives = row.redrives_before.unwrap_or_default();
                let token = format!("{}-{}-{redrives}", row.operation_id, row.item);
                let execution = match self.deps.executions.redrive(&arn, &token).await? {
                    Asked::Redriven => return Ok(row),
                    Asked::Unknown => None,
                    Asked::Refused(_) => self.deps.executions.describe(&arn).await?,
                };
                match execution {
                    // It may have been quarantined this moment and be on its way to AwaitRedrive, or be running for someone else.
                    // Nothing is run beside it: once it has failed it can be redriven.
                    Some(execution) if execution.is_running() || execution.has_succeeded() => Ok(row),
                    Some(execution) if execution.redrive_count > redrives => Ok(row),
                    _ => {
                        let row = ItemRow { method: Some(Method::Replay), ..row };
                        self.deps.operations.put_item_row(&row).await?;
                        self.replay_event(item, row).await
                    }
                }
            }
        }
    }

    /// A new execution, named by the second at which the item was begun: the same one however often it is asked for.
    async fn replay_event(&self, item: &RedriveItem, row: ItemRow) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        let Some(ledger) = self.ledger_row(item).await? else {
            let message = "the ledger does not have it any more: run `sluice audit`";
            return Ok(row.ended(Outcome::NotFound, message, now));
        };
        // `reconcile` names its reruns by windows, which are far smaller numbers.
        let number = u32::try_from(row.begun_at.as_second()).unwrap_or(u32::MAX);
        let event: EventDetail = ledger.rerun(number);
        let arn = match self.deps.reruns.rerun(&event).await? {
            Rerun::Started(arn) => arn,
            Rerun::Exists => {
                let known = row.seen.as_ref().map(|seen| seen.execution_arn.as_str()).unwrap_or_default();
                let machine = known.rsplit_once(':').map_or(known, |(machine, _)| machine);
                format!("{machine}:{}", recovery_name(&item.vendor_id, item.ingest_id, number))
            }
        };
        let row = ItemRow { execution_arn: Some(arn), redrives_before: None, records_twice: false, ..row };
        self.deps.operations.put_item_row(&row).await?;
        Ok(row)
    }

    async fn look_after(&self, item: &RedriveItem, row: ItemRow) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        let current = self.current(item).await?;
        let seen = row.seen.clone();
        match current {
            Some(held) if held.status == QuarantineStatus::Released => {
                return Ok(row.ended(Outcome::Released, "normalized and out of quarantine", now));
            }
            Some(held) if held.status == QuarantineStatus::Discarded => {
                return Ok(row.ended(Outcome::NotQuarantined, "it was discarded meanwhile", now));
            }
            Some(held) if seen.as_ref().is_none_or(|seen| *seen != Seen::from(&held)) => {
                return self.tried(item, row, held).await;
            }
            _ => {}
        }
        let age = row.age_seconds(now);
        if age >= DESCRIBED_SECONDS_MIN && self.may_describe() {
            let arn = row.execution_arn.clone().unwrap_or_default();
            return match self.deps.executions.describe(&arn).await? {
                Some(execution) if execution.is_running() => Ok(patient(row, now)),
                Some(execution) => self.ended(item, row, &execution).await,
                None => self.act(item, row).await,
            };
        }
        Ok(patient(row, now))
    }

    /// The quarantine has recorded another attempt.
    async fn tried(&self, item: &RedriveItem, row: ItemRow, held: QuarantineRow) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        let ours = match (row.method, row.redrives_before) {
            (Some(Method::Redrive), Some(before)) => {
                held.attempts >= u64::try_from(before).unwrap_or(0).saturating_add(2)
            }
            _ => Some(&held.execution_arn) == row.execution_arn.as_ref(),
        };
        if ours && !row.records_twice {
            let message = format!("{}: {}", held.cause.code, held.cause.message);
            let row = ItemRow { cause: Some(held.cause), ..row };
            return Ok(row.ended(Outcome::FailedAgain, message, now));
        }
        let row = ItemRow { seen: Some(Seen::from(&held)), records_twice: row.records_twice && !ours, ..row };
        self.deps.operations.put_item_row(&row).await?;
        // Either it goes on to `Normalize` now, or it was tried for someone else.
        if ours { Ok(row) } else { self.act(item, row).await }
    }

    /// Its execution has ended and the quarantine says nothing.
    async fn ended(
        &self,
        item: &RedriveItem,
        row: ItemRow,
        execution: &ExecutionState,
    ) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        // What the execution wrote before it ended is there now.
        match self.current(item).await? {
            Some(held) if held.status == QuarantineStatus::Released => {
                return Ok(row.ended(Outcome::Released, "normalized and out of quarantine", now));
            }
            Some(held)
                if held.status == QuarantineStatus::Open && row.seen.as_ref() != Some(&Seen::from(&held)) =>
            {
                return self.tried(item, row, held).await;
            }
            Some(_) | None => {}
        }
        if execution.has_succeeded() {
            self.deps.quarantine.release(&item.vendor_id, item.ingest_id, now).await?;
            return Ok(row.ended(Outcome::Released, "normalized and out of quarantine", now));
        }
        if row.redrives_before.is_some_and(|before| execution.redrive_count <= before) {
            // It is not that of our redrive: the act was not made, or could not be.
            return self.act(item, row).await;
        }
        let message = format!("its execution is {} before it could record why", execution.status);
        Ok(row.ended(Outcome::FailedAgain, message, now))
    }

    async fn current(&self, item: &RedriveItem) -> Result<Option<QuarantineRow>, Fault> {
        self.deps.quarantine.find(&item.vendor_id, item.ingest_id).await
    }

    async fn ledger_row(&self, item: &RedriveItem) -> Result<Option<LedgerRow>, Fault> {
        let key = LedgerKey {
            vendor_id: item.vendor_id.clone(),
            external_event_id: item.external_event_id.clone(),
        };
        Ok(self.deps.ledger.find(&key).await?.filter(|row| row.ingest_id == item.ingest_id))
    }
}

/// Still in progress, unless it takes too long.
fn patient(row: ItemRow, now: Timestamp) -> ItemRow {
    if row.state == ItemState::Done || row.age_seconds(now) < ITEM_SECONDS_MAX {
        return row;
    }
    let message = format!("it has not ended within {ITEM_SECONDS_MAX} s; `sluice show` tells how it ends");
    row.ended(Outcome::StillRunning, message, now)
}

fn at(time: Timestamp) -> String {
    sluice_core::id::rfc3339(time)
}

//! What people do to operations: plan, start, pause, resume, stop, retry. Each reads the row, decides by the row's own functions and
//! stores the next row with its act in one transaction; when somebody else was quicker it decides anew.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    Act, Budget, CHUNK_ITEMS, Change, ITEMS_MAX, Item, Kind, Operation, OperationId, OperationStore,
    PER_SECOND_MAX, PLAN_SECONDS_MAX, Pace, Plan, PlanGroup, Refusal, Run, Runs, Status, Verb, bounded,
};
use crate::digest::Sha256Hex;
use crate::fault::{Code, Fault};
use crate::port::Clock;

/// How often a change is decided anew.
const TRIES_MAX: usize = 8;

/// Most groups of a plan that its row lists.
const GROUPS_MAX: usize = 50;

/// Rows of items read at once.
const ROWS_PER_READ: usize = 1_000;

/// What is to be frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its id, if it was minted before since the items name it.
    pub id: Option<OperationId>,
    /// What is done to the items.
    pub kind: Kind,
    /// What was asked for, in words.
    pub what: String,
    /// On what, in the order in which it is done.
    pub items: Vec<Item>,
    /// The items by what they have in common.
    pub groups: Vec<PlanGroup>,
    /// How fast.
    pub pace: Pace,
    /// Who plans it.
    pub by: String,
    /// How long it may be started, in seconds.
    pub valid_seconds: i64,
    /// The operation whose rest it is.
    pub retry_of: Option<OperationId>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The operation does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A call failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The use cases, over their ports.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// The table.
    pub store: &'a dyn OperationStore,
    /// The state machine.
    pub runs: &'a dyn Runs,
    /// Time.
    pub clock: &'a dyn Clock,
}

impl std::fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control<'_> {
    /// Freezes a set. Nothing is run.
    ///
    /// # Errors
    /// When there is nothing in it, or more than one operation takes; and when a call fails.
    pub async fn plan(&self, draft: Draft) -> Result<Operation, ControlError> {
        let Draft { id, kind, what, items, mut groups, pace, by, valid_seconds, retry_of } = draft;
        if items.is_empty() {
            return Err(Refusal::Empty.into());
        }
        if items.len() > ITEMS_MAX {
            return Err(Refusal::TooMany(items.len()).into());
        }
        check_pace(pace)?;
        if !(1..=PLAN_SECONDS_MAX).contains(&valid_seconds) {
            let text = format!("a plan is valid for 1 to {PLAN_SECONDS_MAX} seconds, not {valid_seconds}");
            return Err(Refusal::OutOfBounds(text).into());
        }
        bounded("name", &by)?;
        let now = self.now();
        groups.sort_by(|a, b| (b.items, &a.name).cmp(&(a.items, &b.name)));
        groups.truncate(GROUPS_MAX);
        let frozen = serde_json::to_vec(&items).map_err(|error| {
            Fault::new(Code::RowMalformed, "failed to write the frozen items").with_source(error)
        })?;
        let id = id.unwrap_or_else(|| OperationId::mint(now, self.clock.random()));
        let operation = Operation {
            operation_id: id,
            kind,
            status: Status::Planned,
            plan: Plan {
                what,
                items: items.len() as u64,
                groups,
                sha256: Sha256Hex::of(&frozen),
                expires_at: now + SignedDuration::from_secs(valid_seconds),
            },
            pace,
            planned_by: by.clone(),
            created_at: now,
            updated_at: now,
            started_by: None,
            reason: None,
            started_at: None,
            ended_at: None,
            begun: 0,
            in_flight: Vec::new(),
            counts: std::collections::BTreeMap::new(),
            run: None,
            next_at: None,
            stopped: None,
            failure: None,
            retry_of,
            version: 1,
        };
        let act = Act { operation_id: id, version: 1, verb: Verb::Planned, by, reason: None, at: now };
        self.store.create(&operation, &items, &act).await?;
        Ok(operation)
    }

    /// Starts a plan. The act is stored before anything is run.
    ///
    /// # Errors
    /// As [`Operation::start`]; and when a call fails.
    pub async fn start(&self, id: OperationId, by: &str, reason: &str) -> Result<Operation, ControlError> {
        self.drive(id, Verb::Started, by, Some(reason), |operation, run, now| {
            operation.start(run, by, reason, now).map(|()| Change::Changed)
        })
        .await
    }

    /// Lets an operation go on that was paused, or has failed, or whose execution is gone.
    ///
    /// # Errors
    /// As [`Operation::resume`]; and when a call fails.
    pub async fn resume(
        &self,
        id: OperationId,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Operation, ControlError> {
        self.drive(id, Verb::Resumed, by, reason, |operation, run, now| operation.resume(run, now)).await
    }

    /// Pauses it: what is in progress comes to its end, nothing is begun.
    ///
    /// # Errors
    /// As [`Operation::pause`]; and when a call fails.
    pub async fn pause(
        &self,
        id: OperationId,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Operation, ControlError> {
        self.change(id, Verb::Paused, by, reason, Operation::pause).await
    }

    /// Stops it for good: what is in progress comes to its end, the rest is left as it is.
    ///
    /// # Errors
    /// As [`Operation::stop`]; and when a call fails.
    pub async fn stop(
        &self,
        id: OperationId,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Operation, ControlError> {
        self.change(id, Verb::Stopped, by, reason, Operation::stop).await
    }

    /// Plans a new operation of what this one did not bring to a good end and may be tried again: what failed, and what was never
    /// begun. The draft's items, groups and kind are those of the operation.
    ///
    /// # Errors
    /// When it has not ended, or nothing is left; and when a call fails.
    pub async fn retry(
        &self,
        id: OperationId,
        by: &str,
        valid_seconds: i64,
    ) -> Result<Operation, ControlError> {
        let operation = self.find(id).await?;
        match operation.status {
            Status::Stopped | Status::Completed => {}
            Status::Planned => return Err(Refusal::NotStarted(id).into()),
            status @ (Status::Running | Status::Paused | Status::Stopping | Status::Failed) => {
                let text = format!("operation {id} is {}: stop it, or let it come to its end", status.word());
                return Err(Refusal::OutOfBounds(text).into());
            }
        }
        let mut wanted = BTreeSet::new();
        let mut from = 0;
        loop {
            let rows = self.store.item_rows(id, from, ROWS_PER_READ).await?;
            let Some(last) = rows.last().map(|row| row.item) else { break };
            wanted.extend(
                rows.iter()
                    .filter(|row| row.outcome.is_some_and(super::Outcome::may_be_retried))
                    .map(|row| row.item),
            );
            from = last + 1;
        }
        let mut items = Vec::new();
        for chunk in 0..operation.plan.items.div_ceil(CHUNK_ITEMS as u64) {
            let first = chunk * CHUNK_ITEMS as u64;
            let any = first + CHUNK_ITEMS as u64 > operation.begun
                || wanted.range(first..first + CHUNK_ITEMS as u64).next().is_some();
            if any {
                let frozen = self.store.items(id, chunk).await?;
                let numbered = (first..).zip(frozen);
                items.extend(
                    numbered
                        .filter(|(index, _)| *index >= operation.begun || wanted.contains(index))
                        .map(|(_, item)| item),
                );
            }
        }
        let group = PlanGroup {
            name: id.to_string(),
            code: "rest".to_owned(),
            message: format!("the rest of operation {id}"),
            items: items.len() as u64,
        };
        self.plan(Draft {
            id: None,
            kind: operation.kind,
            what: format!("the rest of {id}: {}", operation.plan.what),
            groups: vec![group],
            items,
            pace: operation.pace,
            by: by.to_owned(),
            valid_seconds,
            retry_of: Some(id),
        })
        .await
    }

    /// An operation.
    ///
    /// # Errors
    /// When there is none; and when a call fails.
    pub async fn find(&self, id: OperationId) -> Result<Operation, ControlError> {
        Ok(self.store.find(id).await?.ok_or(Refusal::NotFound(id))?)
    }

    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// A change that needs an execution: it is started first and ends by itself unless the row comes to name it, so that there is
    /// no moment at which a row says that it runs and nothing will ever run it.
    async fn drive(
        &self,
        id: OperationId,
        verb: Verb,
        by: &str,
        reason: Option<&str>,
        decide: impl Fn(&mut Operation, Run, Timestamp) -> Result<Change, Refusal>,
    ) -> Result<Operation, ControlError> {
        for _ in 0..TRIES_MAX {
            let now = self.now();
            let operation = self.find(id).await?;
            let mut run = Run {
                number: operation.next_run_number(),
                token: OperationId::mint(now, self.clock.random()),
                execution_arn: None,
            };
            let mut next = operation.clone();
            if decide(&mut next, run.clone(), now)? == Change::Already {
                return self.keep_alive(operation, by).await;
            }
            run.execution_arn = Some(self.runs.start(id, &run).await?);
            next.run = Some(run);
            if self.store.replace(&next, Some(&act(&next, verb, by, reason, now)?)).await? {
                return Ok(next);
            }
        }
        Err(Refusal::Contended(id).into())
    }

    async fn change(
        &self,
        id: OperationId,
        verb: Verb,
        by: &str,
        reason: Option<&str>,
        decide: impl Fn(&mut Operation, Timestamp) -> Result<Change, Refusal>,
    ) -> Result<Operation, ControlError> {
        for _ in 0..TRIES_MAX {
            let now = self.now();
            let operation = self.find(id).await?;
            let mut next = operation.clone();
            if decide(&mut next, now)? == Change::Already {
                return self.keep_alive(operation, by).await;
            }
            if self.store.replace(&next, Some(&act(&next, verb, by, reason, now)?)).await? {
                return self.keep_alive(next, by).await;
            }
        }
        Err(Refusal::Contended(id).into())
    }

    /// If its execution is gone and it needs one, it gets another.
    async fn keep_alive(&self, operation: Operation, by: &str) -> Result<Operation, ControlError> {
        if !operation.needs_execution() || self.has_execution(&operation).await? {
            return Ok(operation);
        }
        let now = self.now();
        let mut run = Run {
            number: operation.next_run_number(),
            token: OperationId::mint(now, self.clock.random()),
            execution_arn: None,
        };
        let mut next = operation;
        run.execution_arn = Some(self.runs.start(next.operation_id, &run).await?);
        next.revive(run, now);
        let why = "its execution had ended";
        if self.store.replace(&next, Some(&act(&next, Verb::Revived, by, Some(why), now)?)).await? {
            return Ok(next);
        }
        // Whoever was quicker has looked after it.
        self.find(next.operation_id).await
    }

    /// Whether the execution that the row names is at work.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn has_execution(&self, operation: &Operation) -> Result<bool, Fault> {
        let Some(arn) = operation.run.as_ref().and_then(|run| run.execution_arn.as_ref()) else {
            return Ok(false);
        };
        Ok(self.runs.describe(arn).await?.is_some_and(|execution| execution.is_running()))
    }
}

fn act(
    operation: &Operation,
    verb: Verb,
    by: &str,
    reason: Option<&str>,
    at: Timestamp,
) -> Result<Act, Refusal> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    bounded("name", by)?;
    if let Some(reason) = reason {
        bounded("reason", reason)?;
    }
    Ok(Act {
        operation_id: operation.operation_id,
        version: operation.version,
        verb,
        by: by.to_owned(),
        reason: reason.map(ToOwned::to_owned),
        at,
    })
}

fn check_pace(pace: Pace) -> Result<(), Refusal> {
    let Pace { per_second, budget } = pace;
    if !(1..=PER_SECOND_MAX).contains(&per_second) {
        let text = format!("a pace is 1 to {PER_SECOND_MAX} a second, not {per_second}");
        return Err(Refusal::OutOfBounds(text));
    }
    if let Some(Budget { percent, .. }) = budget
        && percent > 100
    {
        return Err(Refusal::OutOfBounds(format!("an error budget is 0 to 100 percent, not {percent}")));
    }
    Ok(())
}

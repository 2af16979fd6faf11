//! Operations: bulk acts (redrive, replay, moves of dead letters) as durable objects with a frozen plan, a pace and a stop.
//!
//! The row is the whole truth about how far an operation is, and every function here is pure: the row and a moment in, the next row
//! out. A writer stores the next row under the version that it read, or reads again and decides anew. From that follow
//! - items are begun only by a stored [`Operation::begin`], so a pause or a stop that was stored before it holds;
//! - an item is counted once: [`Operation::settle`] takes it out of those in flight, whoever comes first;
//! - one execution drives an operation: [`Run`] names it, and any other ends when it reads the row ([`Operation::standing`]).

pub mod control;
mod item;
mod port;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
pub use crate::id::OperationId;

pub use item::{
    Item, ItemRow, ItemState, Method, MoveItem, Outcome, RedriveItem, ReleaseItem, ReplayItem, Seen, Tally,
    Work,
};
pub use port::{
    Asked, Dead, ExecutionState, Executions, Holder, MoveState, Moves, OperationStore, Replays, Runs,
};
pub use refusal::Refusal;
use refusal::bounded;

/// Most items of one operation.
pub const ITEMS_MAX: usize = 200_000;

/// Items in one row of a frozen plan: with ids of the greatest length still below DynamoDB's 400 KB.
pub const CHUNK_ITEMS: usize = 100;

/// How many events are in progress at the beginning: what a fix that does not fix costs at most, beside the budget.
pub const WINDOW_FIRST: u64 = 8;

/// How many events are in progress at most.
pub const WINDOW_MAX: u64 = 64;

/// Most items begun per second that may be asked for.
pub const PER_SECOND_MAX: u32 = 300;

/// How long a plan may be started by default, in seconds.
pub const PLAN_SECONDS: i64 = 900;

/// How long a plan may be started at most, in seconds: a day.
pub const PLAN_SECONDS_MAX: i64 = 86_400;

/// How long an execution waits for the row to name it, in seconds: its starter stores the row after it has started it.
pub const EARLY_SECONDS_MAX: i64 = 60;

/// After how long an item that has not ended is given up, in seconds.
pub const ITEM_SECONDS_MAX: i64 = 900;

/// Longest reason and name, in characters.
pub const TEXT_CHARS_MAX: usize = 1_000;

/// What an operation does to its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Runs quarantined events again.
    Redrive,
    /// Moves dead letters back to their queue, a queue an item.
    DeadLetters,
    /// Normalizes stored events again, a batch an item.
    Replay,
    /// Gives stored events the documents of another mapper, and tells downstream what changed; a batch an item.
    Correct,
    /// Lets events go that waited while their vendor was on hold.
    Release,
}

impl Kind {
    /// As a person reads it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::DeadLetters => "dead letters",
            Self::Replay => "replay",
            Self::Correct => "correction",
            Self::Release => "release",
        }
    }
}

/// Where an operation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// The set is frozen; nothing is run until somebody starts it.
    Planned,
    /// Items are begun.
    Running,
    /// Nothing is begun; what was in progress comes to its end.
    Paused,
    /// Nothing will be begun any more; what was in progress comes to its end.
    Stopping,
    /// It ended before all items were begun.
    Stopped,
    /// Each item has its outcome.
    Completed,
    /// Its execution failed. It can be resumed.
    Failed,
}

impl Status {
    /// As a person reads it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing can happen to it any more.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Stopped | Self::Completed => true,
            Self::Planned | Self::Running | Self::Paused | Self::Stopping | Self::Failed => false,
        }
    }
}

/// When an operation stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Failures of those that ended, in percent, at which it stops.
    pub percent: u32,
    /// Failures before which it does not stop.
    pub failures_min: u32,
}

/// How fast an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// Most items begun per second; of dead letters, most messages per second of each queue; of a replay or a correction, events normalized at once.
    pub per_second: u32,
    /// `None`: it goes to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// Items of a plan that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanGroup {
    /// Fingerprint, queue or vendor.
    pub name: String,
    /// A stable code, such as that of the cause.
    pub code: String,
    /// In words.
    pub message: String,
    /// Items.
    pub items: u64,
}

/// What was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What was asked for, in words: `group 0123456789abcdef`.
    pub what: String,
    /// Items.
    pub items: u64,
    /// The largest groups.
    pub groups: Vec<PlanGroup>,
    /// Of the frozen items: what is run is what was shown.
    pub sha256: Sha256Hex,
    /// Until when it may be started.
    #[serde(with = "crate::id::millis")]
    pub expires_at: Timestamp,
}

/// An item that was begun and has no outcome yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// Its place in the plan.
    pub item: u64,
    /// Since when.
    #[serde(with = "crate::id::millis")]
    pub since: Timestamp,
}

/// The execution that drives an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Counts up with each start and each resumption.
    pub number: u32,
    /// Of this one: two people who press at once start two executions, of which one is named by the row.
    pub token: OperationId,
    /// Its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
}

/// Why an operation ended before its plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A person stopped it.
    Person,
    /// Too many items failed.
    ErrorBudget,
}

/// What somebody did to an operation. Stored in the same transaction as what it brought about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// Whose.
    pub operation_id: OperationId,
    /// Version of the row that it brought about: acts are in this order.
    pub version: u64,
    /// What.
    pub verb: Verb,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
}

/// What can be done to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Froze a set.
    Planned,
    /// Started it.
    Started,
    /// Paused it.
    Paused,
    /// Let it go on.
    Resumed,
    /// Stopped it.
    Stopped,
    /// Gave it an execution anew, since the one it had was gone.
    Revived,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Partition key.
    pub operation_id: OperationId,
    /// What it does.
    pub kind: Kind,
    /// Where it is.
    pub status: Status,
    /// On what.
    pub plan: Plan,
    /// How fast.
    pub pace: Pace,
    /// Who planned it.
    pub planned_by: String,
    /// When it was planned: what ran since then is not run again by it.
    #[serde(with = "crate::id::millis")]
    pub created_at: Timestamp,
    /// When anything about it last changed.
    #[serde(with = "crate::id::millis")]
    pub updated_at: Timestamp,
    /// Who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was started.
    #[serde(default, with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How many items were begun: those before this place in the plan.
    pub begun: u64,
    /// Of these, those without an outcome.
    pub in_flight: Vec<InFlight>,
    /// Items by outcome.
    pub counts: BTreeMap<Outcome, u64>,
    /// What drives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Until when no further item is begun, for the pace.
    #[serde(default, with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopCause>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The operation whose rest this one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<OperationId>,
    /// Counts changes of the row.
    pub version: u64,
}

/// What came of asking for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The row is another.
    Changed,
    /// It was so already.
    Already,
}

/// What an execution is to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It drives it.
    Drives,
    /// The row does not name it yet: its starter has not stored the row.
    Early,
    /// The row names another: it ends without a word.
    Superseded,
}

/// What follows a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// Whether there is another slice.
    #[serde(rename = "continue")]
    pub goes_on: bool,
    /// How long until then, in seconds, at least 1.
    pub wait_seconds: u32,
}

impl Next {
    /// There is no other.
    pub const END: Self = Self { goes_on: false, wait_seconds: 1 };

    /// There is another after `wait_seconds`.
    pub fn after(wait_seconds: u32) -> Self {
        Self { goes_on: true, wait_seconds: wait_seconds.max(1) }
    }
}

impl Operation {
    /// Items that have no outcome and were not begun.
    pub fn waiting(&self) -> u64 {
        self.plan.items.saturating_sub(self.begun)
    }

    /// Items of an outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or_default()
    }

    /// Items that have an outcome.
    pub fn finished(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Items that count against the error budget.
    pub fn failed(&self) -> u64 {
        self.counts.iter().filter(|(outcome, _)| outcome.is_failure()).map(|(_, count)| count).sum()
    }

    /// Items that came to what was asked for.
    pub fn succeeded(&self) -> u64 {
        self.counts.iter().filter(|(outcome, _)| outcome.is_success()).map(|(_, count)| count).sum()
    }

    /// Whether it is planned and nobody may start it any more.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.status == Status::Planned && now >= self.plan.expires_at
    }

    /// Whether an execution must be there for it to come to its end.
    pub fn needs_execution(&self) -> bool {
        match self.status {
            Status::Running | Status::Stopping => true,
            Status::Paused => !self.in_flight.is_empty(),
            Status::Planned | Status::Stopped | Status::Completed | Status::Failed => false,
        }
    }

    fn touched(&mut self, now: Timestamp) {
        self.updated_at = now;
        self.version += 1;
    }

    /// The number that the next execution has.
    pub fn next_run_number(&self) -> u32 {
        self.run.as_ref().map_or(1, |run| run.number.saturating_add(1))
    }

    /// Starts a plan.
    ///
    /// # Errors
    /// When it was started before, has expired, or no reason is given.
    pub fn start(&mut self, run: Run, by: &str, reason: &str, now: Timestamp) -> Result<(), Refusal> {
        let id = self.operation_id;
        if self.status != Status::Planned {
            return Err(Refusal::AlreadyStarted { id, by: self.started_by.clone(), status: self.status });
        }
        if self.has_expired(now) {
            return Err(Refusal::PlanExpired { id, at: crate::id::rfc3339(self.plan.expires_at) });
        }
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(Refusal::ReasonMissing(id));
        }
        bounded("reason", reason)?;
        bounded("name", by)?;
        self.status = Status::Running;
        self.started_by = Some(by.to_owned());
        self.reason = Some(reason.to_owned());
        self.started_at = Some(now);
        self.run = Some(run);
        self.touched(now);
        Ok(())
    }

    /// Begins nothing more until it is resumed.
    ///
    /// # Errors
    /// When it has not been started, or has ended.
    pub fn pause(&mut self, now: Timestamp) -> Result<Change, Refusal> {
        let id = self.operation_id;
        match self.status {
            Status::Planned => Err(Refusal::NotStarted(id)),
            Status::Paused => Ok(Change::Already),
            Status::Running => {
                self.status = Status::Paused;
                self.touched(now);
                Ok(Change::Changed)
            }
            // A failed one begins nothing either, and says more than a paused one.
            Status::Failed => Ok(Change::Already),
            Status::Stopping | Status::Stopped | Status::Completed => {
                Err(Refusal::Ended { id, status: self.status })
            }
        }
    }

    /// Goes on, under an execution of its own.
    ///
    /// # Errors
    /// When it has not been started, or has ended.
    pub fn resume(&mut self, run: Run, now: Timestamp) -> Result<Change, Refusal> {
        let id = self.operation_id;
        match self.status {
            Status::Planned => Err(Refusal::NotStarted(id)),
            Status::Running => Ok(Change::Already),
            Status::Paused | Status::Failed => {
                // A stop is for good: what failed while it stopped goes on stopping.
                self.status = if self.stopped.is_some() { Status::Stopping } else { Status::Running };
                self.failure = None;
                self.next_at = None;
                self.run = Some(run);
                self.touched(now);
                Ok(Change::Changed)
            }
            Status::Stopping | Status::Stopped | Status::Completed => {
                Err(Refusal::Ended { id, status: self.status })
            }
        }
    }

    /// Begins nothing more, for good. A plan that nobody started is stopped as well.
    ///
    /// # Errors
    /// When it is completed.
    pub fn stop(&mut self, now: Timestamp) -> Result<Change, Refusal> {
        match self.status {
            Status::Stopping | Status::Stopped => Ok(Change::Already),
            Status::Completed => Err(Refusal::Ended { id: self.operation_id, status: self.status }),
            Status::Planned | Status::Running | Status::Paused | Status::Failed => {
                self.status = Status::Stopping;
                self.stopped = Some(StopCause::Person);
                self.failure = None;
                self.conclude(now);
                self.touched(now);
                Ok(Change::Changed)
            }
        }
    }

    /// Gives it another execution, since the one it had is gone.
    pub fn revive(&mut self, run: Run, now: Timestamp) {
        self.run = Some(run);
        self.touched(now);
    }

    /// Its execution cannot go on.
    pub fn fail(&mut self, message: &str, now: Timestamp) -> Change {
        match self.status {
            Status::Running | Status::Paused | Status::Stopping => {
                self.status = Status::Failed;
                self.failure = Some(message.chars().take(TEXT_CHARS_MAX).collect());
                self.touched(now);
                Change::Changed
            }
            Status::Planned | Status::Stopped | Status::Completed | Status::Failed => Change::Already,
        }
    }

    /// What the execution with this run is to the operation. `started_at` is when it was started.
    pub fn standing(
        &self,
        number: u32,
        token: OperationId,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Standing {
        match &self.run {
            Some(run) if run.number == number && run.token == token => Standing::Drives,
            Some(run) if run.number >= number => Standing::Superseded,
            _ if now.duration_since(started_at) < SignedDuration::from_secs(EARLY_SECONDS_MAX) => {
                Standing::Early
            }
            _ => Standing::Superseded,
        }
    }

    fn window(&self) -> u64 {
        match self.kind {
            Kind::Redrive => WINDOW_FIRST.saturating_add(self.succeeded()).min(WINDOW_MAX),
            // A batch has a pace of its own, and a queue one move at a time.
            Kind::Replay | Kind::Correct => 1,
            Kind::DeadLetters => 4,
            // Each ends in the slice that begins it.
            Kind::Release => WINDOW_MAX,
        }
    }

    /// Takes the next items as in progress, as many as state, pace and window allow. What is stored after it may be run.
    pub fn begin(&mut self, now: Timestamp) -> Range<u64> {
        let from = self.begun;
        let paced = self.next_at.is_some_and(|next| next > now);
        if self.status != Status::Running || paced {
            return from..from;
        }
        let per_second = u64::from(self.pace.per_second.clamp(1, PER_SECOND_MAX));
        let room = self.window().saturating_sub(self.in_flight.len() as u64);
        let count = room.min(self.waiting()).min(per_second);
        if count == 0 {
            return from..from;
        }
        self.begun += count;
        self.in_flight.extend((from..self.begun).map(|item| InFlight { item, since: now }));
        if matches!(self.kind, Kind::Redrive | Kind::Release) {
            let millis = i64::try_from(count.saturating_mul(1_000) / per_second).unwrap_or(i64::MAX);
            self.next_at = now.checked_add(SignedDuration::from_millis(millis)).ok();
        }
        self.touched(now);
        from..self.begun
    }

    /// Takes outcomes. An item that is not in progress has one already: it is left as it is.
    pub fn settle(&mut self, outcomes: &[(u64, Outcome)], now: Timestamp) -> Change {
        let mut change = Change::Already;
        for (item, outcome) in outcomes {
            let Some(at) = self.in_flight.iter().position(|held| held.item == *item) else { continue };
            self.in_flight.remove(at);
            *self.counts.entry(*outcome).or_default() += 1;
            change = Change::Changed;
        }
        if change == Change::Changed
            && self.status == Status::Running
            && self.waiting() > 0
            && self.pace.budget.is_some_and(|budget| self.is_spent(budget))
        {
            self.status = Status::Stopping;
            self.stopped = Some(StopCause::ErrorBudget);
        }
        let status = self.status;
        self.conclude(now);
        if change == Change::Changed || status != self.status {
            self.touched(now);
            return Change::Changed;
        }
        Change::Already
    }

    fn is_spent(&self, budget: Budget) -> bool {
        let failed = self.failed();
        failed >= u64::from(budget.failures_min.max(1))
            && failed.saturating_mul(100) >= u64::from(budget.percent).saturating_mul(self.finished())
    }

    /// The end, once nothing is in progress.
    fn conclude(&mut self, now: Timestamp) {
        if !self.in_flight.is_empty() {
            return;
        }
        let end = match self.status {
            Status::Running | Status::Paused if self.waiting() == 0 => Status::Completed,
            Status::Stopping => Status::Stopped,
            Status::Planned
            | Status::Running
            | Status::Paused
            | Status::Stopped
            | Status::Completed
            | Status::Failed => return,
        };
        self.status = end;
        self.ended_at = Some(now);
    }

    /// What follows a slice that has stored this row.
    pub fn next(&self, now: Timestamp) -> Next {
        if !self.needs_execution() {
            return Next::END;
        }
        if self.status == Status::Running
            && self.waiting() > 0
            && (self.in_flight.len() as u64) < self.window()
        {
            return Next::after(1);
        }
        let youngest = self.in_flight.iter().map(|held| held.since).max().unwrap_or(now);
        Next::after(match now.duration_since(youngest).as_secs() {
            ..10 => 1,
            10..60 => 3,
            _ => 10,
        })
    }
}

/// Serde form of a time that may be absent: as [`crate::id::millis`].
mod millis_opt {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(crate::id::rfc3339).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::<Timestamp>::deserialize(deserializer)
    }
}

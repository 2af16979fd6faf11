//! The items of an operation: what was frozen of each, and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OperationId;
use crate::fault::Cause;
use crate::id::{ExternalEventId, IngestId, ObjectRef, VendorId};
use crate::record::{LedgerKey, QuarantineRow};

/// How an event is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// `RedriveExecution` of the execution that failed.
    Redrive,
    /// A new execution under a name of its own.
    Replay,
    /// The event is normalized: only its quarantine row is still open.
    Close,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The event ran again and is out of quarantine.
    Released,
    /// The event ran again and failed again.
    FailedAgain,
    /// It has not ended within [`super::ITEM_SECONDS_MAX`].
    StillRunning,
    /// Step Functions refused.
    NotRedrivable,
    /// The event is not in quarantine any more, and this operation did not bring that about.
    NotQuarantined,
    /// There is no such event, queue or object.
    NotFound,
    /// Another operation has run the event since this one was planned.
    Taken,
    /// The dead letters are back in their queue.
    Moved,
    /// The move was cancelled, or SQS gave it up; some may be back in their queue.
    NotMoved,
    /// Each event of the batch was normalized.
    Replayed,
    /// Some events of the batch failed.
    PartlyReplayed,
    /// Each event of the batch has its corrected document.
    Corrected,
    /// Some events of the batch were left as they are.
    PartlyCorrected,
    /// The event goes on: it is told again as it was when it was accepted.
    LetGo,
    /// The event does not wait any more, and this operation did not bring that about.
    NotHeld,
    /// A call failed.
    Error,
}

impl Outcome {
    /// As a person reads it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::FailedAgain => "failed again",
            Self::StillRunning => "still running",
            Self::NotRedrivable => "not redrivable",
            Self::NotQuarantined => "not quarantined",
            Self::NotFound => "not found",
            Self::Taken => "taken",
            Self::Moved => "moved",
            Self::NotMoved => "not moved",
            Self::Replayed => "replayed",
            Self::PartlyReplayed => "partly replayed",
            Self::Corrected => "corrected",
            Self::PartlyCorrected => "partly corrected",
            Self::LetGo => "let go",
            Self::NotHeld => "not held",
            Self::Error => "error",
        }
    }

    /// Whether it is what was asked for.
    pub fn is_success(self) -> bool {
        match self {
            Self::Released | Self::Moved | Self::Replayed | Self::Corrected | Self::LetGo => true,
            Self::FailedAgain
            | Self::StillRunning
            | Self::NotRedrivable
            | Self::NotQuarantined
            | Self::NotFound
            | Self::Taken
            | Self::NotMoved
            | Self::PartlyReplayed
            | Self::PartlyCorrected
            | Self::NotHeld
            | Self::Error => false,
        }
    }

    /// Whether it counts against the error budget.
    pub fn is_failure(self) -> bool {
        match self {
            Self::FailedAgain
            | Self::NotRedrivable
            | Self::NotMoved
            | Self::PartlyReplayed
            | Self::PartlyCorrected
            | Self::Error => true,
            Self::Released
            | Self::StillRunning
            | Self::NotQuarantined
            | Self::NotFound
            | Self::Taken
            | Self::Moved
            | Self::Replayed
            | Self::Corrected
            | Self::LetGo
            | Self::NotHeld => false,
        }
    }

    /// Whether trying once more may help: what `retry` takes, beside what was never begun.
    pub fn may_be_retried(self) -> bool {
        self.is_failure() || self == Self::StillRunning
    }
}

/// A quarantined event as it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedriveItem {
    /// Which.
    pub ingest_id: IngestId,
    /// Whose.
    pub vendor_id: VendorId,
    /// Under which id of the vendor's.
    pub external_event_id: ExternalEventId,
    /// How it would be run again.
    pub method: Method,
    /// How it stood.
    pub seen: Seen,
    /// Redrives of its execution so far.
    pub redrive_count: i32,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseItem {
    /// Which.
    pub ingest_id: IngestId,
    /// Whose, and under which id of the vendor's.
    #[serde(flatten)]
    pub key: LedgerKey,
}

/// Dead letters of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveItem {
    /// Name of the dead-letter queue.
    pub queue: String,
    /// Its ARN.
    pub queue_arn: String,
    /// Name of the queue that they go back to.
    pub destination: String,
    /// How many there were when the plan was made, about.
    pub messages: u64,
}

/// A batch of stored events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayItem {
    /// The events, one a line.
    pub manifest: ObjectRef,
    /// Where Step Functions writes what became of each.
    pub results: ObjectRef,
    /// How many.
    pub events: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Work {
    /// Run it again.
    Redrive(RedriveItem),
    /// Move them back.
    Move(MoveItem),
    /// Normalize them again.
    Replay(ReplayItem),
    /// Correct them: each line of the manifest says how.
    Correct(ReplayItem),
    /// Let it go.
    Release(ReleaseItem),
}

/// A frozen item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Item(pub Work);

impl Item {
    /// The event, the queue or the manifest.
    pub fn name(&self) -> String {
        match &self.0 {
            Work::Redrive(item) => item.ingest_id.to_string(),
            Work::Move(item) => item.queue.clone(),
            Work::Replay(item) | Work::Correct(item) => item.manifest.key.clone(),
            Work::Release(item) => item.ingest_id.to_string(),
        }
    }
}

/// How a row of the quarantine stood: another value means that the event was tried since then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// As [`QuarantineRow::attempts`].
    pub attempts: u64,
    /// As [`QuarantineRow::last_seen_at`].
    #[serde(with = "crate::id::millis")]
    pub last_seen_at: Timestamp,
    /// As [`QuarantineRow::execution_arn`].
    pub execution_arn: String,
}

impl From<&QuarantineRow> for Seen {
    fn from(row: &QuarantineRow) -> Self {
        Self {
            attempts: row.attempts,
            last_seen_at: row.last_seen_at,
            execution_arn: row.execution_arn.clone(),
        }
    }
}

/// Whether an item is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemState {
    /// What it takes to begin is stored; the act itself may have been made or not, and may be made again.
    Begun,
    /// It has an outcome.
    Done,
}

/// Events of a batch by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// All.
    pub total: u64,
    /// Normalized, or moved.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
}

/// What became of an item. The row is written before its act, and holds what makes the act the same one when it is made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemRow {
    /// Whose.
    pub operation_id: OperationId,
    /// Its place in the plan.
    pub item: u64,
    /// The event, the queue or the manifest.
    pub name: String,
    /// Whether it is over.
    pub state: ItemState,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was begun.
    #[serde(with = "crate::id::millis")]
    pub begun_at: Timestamp,
    /// When it ended.
    #[serde(default, with = "super::millis_opt", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How the event is run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// The execution that runs it; of dead letters, the handle of the move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
    /// How the event stood before it was run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// How often its execution had been redriven before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrives_before: Option<i32>,
    /// Its execution failed before it could record why: when it is run again it records that first, and only then its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub records_twice: bool,
    /// The operation that has run the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<OperationId>,
    /// Why the event failed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Of a batch or a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

impl ItemRow {
    /// Of an item that is about to be begun.
    pub fn new(operation_id: OperationId, item: u64, name: String, now: Timestamp) -> Self {
        Self {
            operation_id,
            item,
            name,
            state: ItemState::Begun,
            outcome: None,
            message: String::new(),
            begun_at: now,
            ended_at: None,
            method: None,
            execution_arn: None,
            seen: None,
            redrives_before: None,
            records_twice: false,
            taken_by: None,
            cause: None,
            tally: None,
        }
    }

    /// With an outcome.
    #[must_use]
    pub fn ended(self, outcome: Outcome, message: impl Into<String>, now: Timestamp) -> Self {
        Self {
            state: ItemState::Done,
            outcome: Some(outcome),
            message: message.into(),
            ended_at: Some(now),
            ..self
        }
    }

    /// How long ago it was begun, in seconds.
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        now.duration_since(self.begun_at).as_secs()
    }
}

//! What operations need of the world.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Item, ItemRow, Operation, OperationId, ReplayItem, Run};
use crate::fault::Fault;
use crate::id::IngestId;

/// Who has run an event, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The operation.
    pub operation_id: OperationId,
    /// When it began the event; once settled, when that had its outcome.
    #[serde(with = "crate::id::millis")]
    pub held_at: Timestamp,
    /// Whether the event has its outcome there.
    pub settled: bool,
}

/// The table of operations.
#[async_trait]
pub trait OperationStore: Send + Sync {
    /// The row, read now.
    async fn find(&self, id: OperationId) -> Result<Option<Operation>, Fault>;
    /// Writes the frozen items, then the row and its first act, both or neither.
    async fn create(&self, operation: &Operation, items: &[Item], act: &Act) -> Result<(), Fault>;
    /// Writes the row, with an act or without, if the stored one has the version before. `Ok(false)`: someone else was quicker;
    /// read again and decide anew.
    async fn replace(&self, operation: &Operation, act: Option<&Act>) -> Result<bool, Fault>;
    /// The latest operations, latest first, before `before`.
    async fn list(&self, before: Option<OperationId>, limit: usize) -> Result<Vec<Operation>, Fault>;
    /// Frozen items of a chunk of [`super::CHUNK_ITEMS`], in order; empty if there is no such chunk.
    async fn items(&self, id: OperationId, chunk: u64) -> Result<Vec<Item>, Fault>;
    /// What became of an item; `None` if it was not begun.
    async fn item_row(&self, id: OperationId, item: u64) -> Result<Option<ItemRow>, Fault>;
    /// Writes it.
    async fn put_item_row(&self, row: &ItemRow) -> Result<(), Fault>;
    /// What became of all items that were begun from `from` on, in order, `limit` at most.
    async fn item_rows(&self, id: OperationId, from: u64, limit: usize) -> Result<Vec<ItemRow>, Fault>;
    /// Who did what, oldest first.
    async fn acts(&self, id: OperationId) -> Result<Vec<Act>, Fault>;
    /// Takes an event for `mine`, unless another operation holds it, or has run it after `planned_at`: then that one is given.
    /// Taking what one holds is success.
    async fn hold(
        &self,
        event: IngestId,
        mine: &Holder,
        planned_at: Timestamp,
    ) -> Result<Option<Holder>, Fault>;
    /// Says that the event has its outcome.
    async fn settle_hold(&self, event: IngestId, mine: &Holder) -> Result<(), Fault>;
}

/// Executions of the state machine that drives operations.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Starts one, under a name made of the run's token; gives its ARN.
    async fn start(&self, id: OperationId, run: &Run) -> Result<String, Fault>;
    /// How it stands; `None` if Step Functions does not know it any more.
    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault>;
}

/// How an execution stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionState {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED`, `PENDING_REDRIVE`.
    pub status: String,
    /// How often it was redriven.
    pub redrive_count: i32,
    /// Its output, if it succeeded and has one that is JSON.
    pub output: Option<Value>,
}

impl ExecutionState {
    /// Whether it is still at work.
    pub fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "PENDING_REDRIVE")
    }

    /// Whether it came to its good end.
    pub fn has_succeeded(&self) -> bool {
        self.status == "SUCCEEDED"
    }
}

/// What came of asking for a redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It runs again, or does so already under this token.
    Redriven,
    /// Step Functions refused, and says why.
    Refused(String),
    /// Step Functions does not know the execution any more.
    Unknown,
}

/// Executions of events that need a person.
#[async_trait]
pub trait Executions: Send + Sync {
    /// Redrives one. The token makes it idempotent for 15 minutes (`RedriveExecution`, AWS Step Functions API Reference).
    async fn redrive(&self, execution_arn: &str, token: &str) -> Result<Asked, Fault>;
    /// How one stands; `None` if Step Functions does not know it any more.
    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault>;
}

/// Where a move of dead letters is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveState {
    /// It moves.
    Running,
    /// All that were there are moved.
    Completed,
    /// It was cancelled, or is being so.
    Cancelled,
    /// SQS gave it up.
    Failed,
}

/// A move of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Names it while it runs.
    pub handle: Option<String>,
    /// Where it is.
    pub state: MoveState,
    /// When it was started.
    pub started_at: Timestamp,
    /// Messages moved so far, about.
    pub moved: u64,
    /// Messages that there were to move, about.
    pub to_move: Option<u64>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// Moves of dead letters back to their queues.
#[async_trait]
pub trait Moves: Send + Sync {
    /// Starts one, to the queue of the same account that is named. SQS refuses a second one of the same source.
    async fn start(&self, queue_arn: &str, destination: &str, per_second: u32) -> Result<(), Fault>;
    /// The latest moves of a queue, latest first.
    async fn list(&self, queue_arn: &str) -> Result<Vec<Dead>, Fault>;
    /// Cancels one. What was moved stays moved.
    async fn cancel(&self, handle: &str) -> Result<(), Fault>;
}

/// Executions of the state machine that replays.
#[async_trait]
pub trait Replays: Send + Sync {
    /// Starts one under this name, or finds the one that there is; gives its ARN.
    async fn start(&self, name: &str, item: &ReplayItem, concurrency: u32) -> Result<String, Fault>;
    /// How one stands; `None` if Step Functions does not know it any more.
    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault>;
}

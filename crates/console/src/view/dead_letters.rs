//! Dead-letter queues, as the page reads them.

use jiff::Timestamp;
use serde::Deserialize;

/// Dead-letter queues.
#[derive(Debug, Clone, Deserialize)]
pub struct Queues {
    /// By name.
    pub queues: Vec<Queue>,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Queue {
    pub queue: String,
    pub approximate_messages: u64,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub not_movable: Option<String>,
    #[serde(default)]
    pub reasons: Vec<QueueReason>,
    #[serde(default)]
    pub last_move: Option<Move>,
}

impl Queue {
    /// Whether its messages are being moved.
    pub fn is_moving(&self) -> bool {
        self.last_move.as_ref().is_some_and(|run| run.status == "RUNNING")
    }
}

/// Why messages are there.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct QueueReason {
    pub code: String,
    pub count: u64,
    pub message: String,
    #[serde(default)]
    pub example: Option<String>,
}

/// A move of messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Move {
    pub status: String,
    pub moved: u64,
    pub started_at: Timestamp,
    #[serde(default)]
    pub failure_reason: Option<String>,
}

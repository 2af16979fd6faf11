//! Executions, as the pages read them.

use jiff::Timestamp;
use serde::Deserialize;

use super::*;

/// Executions of one machine, and the machines.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Executions {
    /// All machines.
    #[serde(default)]
    pub machines: Vec<Machine>,
    /// The machine whose executions these are.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// The latest start first.
    pub executions: Vec<ExecutionRow>,
    /// There are more.
    #[serde(default)]
    pub next_token: Option<String>,
}

/// A state machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its executions are not listed.
    #[serde(default)]
    pub express: bool,
}

/// An execution of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct ExecutionRow {
    pub arn: String,
    pub name: String,
    pub status: String,
    pub started_at: Timestamp,
    #[serde(default)]
    pub stopped_at: Option<Timestamp>,
    #[serde(default)]
    pub redrive_count: u64,
    #[serde(default)]
    pub redrivable_until: Option<Timestamp>,
}

/// All about one execution.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct ExecutionDetail {
    #[serde(flatten)]
    pub execution: Execution,
    pub machine: String,
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub output: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub cause: Option<String>,
    #[serde(default)]
    pub history: Option<Part<History>>,
    #[serde(default)]
    pub definition: String,
}

/// What an execution did.
#[derive(Debug, Clone, Deserialize)]
pub struct History {
    /// In order.
    pub events: Vec<HistoryEntry>,
}

/// One event of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct HistoryEntry {
    pub id: u64,
    #[serde(default)]
    pub previous_event_id: u64,
    pub at: Timestamp,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub output: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub cause: Option<String>,
    #[serde(default)]
    pub index: Option<u64>,
}

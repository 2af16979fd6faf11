//! Bulk acts, as the pages read them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// All operations.
#[derive(Debug, Clone, Deserialize)]
pub struct Operations {
    /// Newest first.
    pub operations: Vec<Operation>,
}

/// A bulk act.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as `sluice_core::operation` documents them")]
pub struct Operation {
    pub operation_id: String,
    pub kind: String,
    pub status: String,
    pub plan: OperationPlan,
    pub pace: Pace,
    pub planned_by: String,
    pub created_at: Timestamp,
    #[serde(default)]
    pub started_by: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    #[serde(default)]
    pub in_flight: Vec<Value>,
    pub waiting: u64,
    pub finished: u64,
    pub succeeded: u64,
    pub failed: u64,
    #[serde(default)]
    pub expired: bool,
    #[serde(default)]
    pub stopped: Option<String>,
    #[serde(default)]
    pub failure: Option<String>,
    #[serde(default)]
    pub retry_of: Option<String>,
}

/// What was frozen.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as `sluice_core::operation` documents them")]
pub struct OperationPlan {
    pub what: String,
    pub items: u64,
    #[serde(default)]
    pub groups: Vec<PlanGroup>,
    pub sha256: String,
    pub expires_at: Timestamp,
}

/// Items that belong together.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as `sluice_core::operation` documents them")]
pub struct PlanGroup {
    pub name: String,
    pub code: String,
    pub message: String,
    pub items: u64,
}

/// How fast.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// Most items begun per second.
    pub per_second: u64,
    /// When it stops by itself.
    #[serde(default)]
    pub budget: Option<Budget>,
}

/// When an operation stops by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Failures, in percent of those that ended.
    pub percent: u64,
    /// Failures before which it does not.
    pub failures_min: u64,
}

/// An operation, its failures and who did what to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationDetail {
    /// The operation.
    #[serde(flatten)]
    pub operation: Operation,
    /// Failed items by cause.
    #[serde(default)]
    pub failures: Vec<OperationFailure>,
    /// Who did what, oldest first.
    #[serde(default)]
    pub acts: Vec<OperationAct>,
}

/// Items that failed alike.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct OperationFailure {
    pub outcome: String,
    pub message: String,
    pub count: u64,
    #[serde(default)]
    pub example: Option<String>,
}

/// What somebody did to an operation.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct OperationAct {
    pub verb: String,
    pub by: String,
    #[serde(default)]
    pub reason: Option<String>,
    pub at: Timestamp,
}

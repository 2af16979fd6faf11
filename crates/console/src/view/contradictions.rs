//! Divergence and conflicts, as the pages read them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::*;

/// Contradictions.
#[derive(Debug, Clone, Deserialize)]
pub struct Divergence {
    /// Newest first.
    pub divergence: Vec<DivergenceRow>,
    /// There may be more.
    #[serde(default)]
    pub more: bool,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct DivergenceRow {
    pub subject: String,
    pub id: String,
    pub kind: String,
    #[serde(default)]
    pub vendor_id: Option<String>,
    #[serde(default)]
    pub ingest_id: Option<String>,
    pub at: Timestamp,
    #[serde(default)]
    pub claims: Vec<Claim>,
}

/// A member on which two statements differ.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Claim {
    pub member: String,
    #[serde(default)]
    pub held: Option<Value>,
    #[serde(default)]
    pub stated: Option<Value>,
}

/// Submissions under a used identity.
#[derive(Debug, Clone, Deserialize)]
pub struct Conflicts {
    /// Newest first.
    pub conflicts: Vec<Conflict>,
    /// There may be more.
    #[serde(default)]
    pub more: bool,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Conflict {
    pub ingest_id: String,
    pub vendor_id: String,
    pub external_event_id: String,
    pub state: String,
    pub held_by: String,
    pub at: Timestamp,
    #[serde(default)]
    pub accepted: Option<Note>,
}

//! Mappers and canaries, as the pages read them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::*;

/// Active mappers.
#[derive(Debug, Clone, Deserialize)]
pub struct Mappers {
    /// By vendor and type.
    pub mappers: Vec<MapperRow>,
}

/// An active mapper.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct MapperRow {
    pub vendor_id: String,
    pub event_type: String,
    #[serde(default)]
    pub canonical: Option<Canonical>,
    pub bundle: String,
    pub revision: u64,
    #[serde(default)]
    pub activated_at: Option<Timestamp>,
    #[serde(default)]
    pub activated_by: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub canary: Option<CanarySetting>,
}

/// A canonical type.
#[derive(Debug, Clone, Deserialize)]
pub struct Canonical {
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version.
    pub version: String,
}

/// How a candidate is tried.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct CanarySetting {
    pub bundle: String,
    pub percent: Value,
    #[serde(default)]
    pub since: Option<Timestamp>,
    #[serde(default)]
    pub min_events: u64,
    #[serde(default)]
    pub margin: Value,
}

/// One mapper.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapperDetail {
    /// Whose.
    pub vendor_id: String,
    /// For what.
    pub event_type: String,
    /// What is active.
    #[serde(default)]
    pub active: Option<MapperRow>,
    /// Oldest first.
    #[serde(default)]
    pub changes: Vec<MapperChange>,
    /// Canaries that are on.
    #[serde(default)]
    pub trials: Vec<Trial>,
    /// What may be promoted.
    #[serde(default)]
    pub candidates: Option<Part<Vec<Candidate>>>,
}

/// A change of what is active.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct MapperChange {
    pub revision: u64,
    pub kind: String,
    pub at: Timestamp,
    pub by: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub from: Option<String>,
    pub to: String,
    #[serde(default)]
    pub forced: Option<Value>,
}

/// A canary that is on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Trial {
    pub event_type: String,
    pub canary: CanarySetting,
    #[serde(default)]
    pub counts: Option<TrialCounts>,
    pub verdict: String,
}

/// Events of both sides.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct TrialCounts {
    pub candidate: SideCount,
    pub active: SideCount,
}

/// Events of one side.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct SideCount {
    pub events: u64,
    pub failed: u64,
}

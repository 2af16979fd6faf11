//! What waits in quarantine, as the pages read it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::*;

/// Groups of the quarantine.
#[derive(Debug, Clone, Deserialize)]
pub struct Groups {
    /// Most open events first.
    pub groups: Vec<Group>,
}

/// Events that fail alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its name.
    pub fingerprint: String,
    /// `OPEN`, `ACKNOWLEDGED` or `RESOLVED`.
    pub state: String,
    /// The reason's code.
    pub code: String,
    /// Where in the document.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The mapper that was in use.
    #[serde(default)]
    pub bundle: Option<String>,
    /// Open events.
    pub open: u64,
    /// Released ones.
    pub released: u64,
    /// Discarded ones.
    pub discarded: u64,
    /// When the first failed.
    pub first_seen_at: Timestamp,
    /// When the last failed, or was released.
    pub last_seen_at: Timestamp,
    /// Events by vendor.
    pub vendors: BTreeMap<String, u64>,
    /// Events by the vendor's type.
    pub event_types: BTreeMap<String, u64>,
    /// The event that failed last.
    pub example: String,
    /// Its cause in words.
    pub message: String,
    /// Who knows.
    #[serde(default)]
    pub acknowledged: Option<Note>,
    /// Failures by hour of the last day, oldest first.
    #[serde(default)]
    pub by_hour: Vec<u64>,
}

/// One group, and what it takes to judge it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// Its events.
    pub events: Vec<String>,
    /// The cause in a sentence.
    #[serde(default)]
    pub sentence: Option<String>,
    /// Where in the repository's `docs` it says what to do.
    #[serde(default)]
    pub runbook: Option<String>,
    /// The event that is shown.
    #[serde(default)]
    pub shown: Option<Part<Event>>,
    /// The last message of the same vendor and type that was normalized.
    #[serde(default)]
    pub last_good: Option<Part<Option<Event>>>,
    /// How the vendor's messages have changed.
    #[serde(default)]
    pub drift: Option<Part<Drift>>,
    /// Mappers that may be tried.
    #[serde(default)]
    pub candidates: Option<Part<Vec<Candidate>>>,
}

/// A published mapper that is not active.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Its digest.
    pub bundle: String,
    /// When it was published.
    #[serde(default)]
    pub published_at: Option<Timestamp>,
    /// Whether it is active.
    #[serde(default)]
    pub active: bool,
}

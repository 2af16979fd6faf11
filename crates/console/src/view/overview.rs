//! The first page and an hour's books, as they are read.

use jiff::Timestamp;
use serde::Deserialize;

use super::*;

/// What the first page says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Whether anything is lost: every event, counted twice over.
    pub balance: Part<Balance>,
    /// The last day by hour, as `reconcile` counted it.
    pub books: Part<Books>,
    /// What waits for a person.
    pub quarantine: Part<Waiting>,
    /// Candidates that are tried on a share of the events.
    pub canaries: Part<Vec<Canary>>,
    /// Events on their way.
    pub in_flight: Part<InFlight>,
    /// What waits in each queue.
    pub queues: Part<Vec<Lag>>,
}

/// The stored balance.
#[derive(Debug, Clone, Deserialize)]
pub struct Books {
    /// Oldest first.
    pub hours: Vec<HourSum>,
}

/// An hour of all vendors.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HourSum {
    /// As in `2026-11-21T10`.
    pub hour: String,
    /// `closed`, `open` or `uncounted`.
    pub state: String,
    /// What was found; none if it was not counted yet.
    #[serde(default)]
    pub count: Option<HourCount>,
    /// Events that are in none of the columns.
    pub unaccounted: u64,
}

/// What was found of an hour.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct HourCount {
    pub accepted: u64,
    pub quarantined: u64,
    #[serde(default)]
    pub held: u64,
    pub in_flight: u64,
}

/// What waits in quarantine.
#[derive(Debug, Clone, Deserialize)]
pub struct Waiting {
    /// Groups with open events.
    pub groups: u64,
    /// The largest ones.
    pub top: Vec<Group>,
}

/// Both sides of the books.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Balance {
    pub accepted: u64,
    pub normalized: u64,
    pub nothing_to_state: u64,
    pub quarantined: u64,
    #[serde(default)]
    pub held: u64,
    pub in_flight: u64,
    pub unaccounted: i64,
    pub counted_at: Timestamp,
}

/// A vendor's hour.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Hour {
    pub vendor_id: String,
    pub accepted: u64,
    pub normalized: u64,
    #[serde(default)]
    pub nothing_to_state: u64,
    pub quarantined: u64,
    #[serde(default)]
    pub held: u64,
    pub in_flight: u64,
    #[serde(default)]
    pub unaccounted: u64,
}

/// A candidate on trial.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Canary {
    pub vendor_id: String,
    pub event_type: String,
    pub canary: CanarySetting,
    pub counts: TrialCounts,
    pub verdict: String,
}

/// Events on their way.
#[derive(Debug, Clone, Deserialize)]
pub struct InFlight {
    /// The one that was accepted first.
    #[serde(default)]
    pub oldest: Option<Oldest>,
}

/// The event that is in flight for the longest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Oldest {
    pub ingest_id: String,
    pub vendor_id: String,
    pub received_at: Timestamp,
}

/// What waits in a queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Lag {
    pub queue: String,
    pub waiting: u64,
    #[serde(default)]
    pub in_progress: u64,
    #[serde(default)]
    pub dead_letters: bool,
}

/// An hour's books, by vendor.
#[derive(Debug, Clone, Deserialize)]
pub struct HourBooks {
    /// A line for each vendor.
    pub hours: Vec<Hour>,
}

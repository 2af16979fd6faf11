//! What a candidate mapper would do, as the page reads it.

use serde::Deserialize;

/// What a candidate mapper would do.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Shadow {
    pub vendor_id: String,
    pub event_type: String,
    pub events: u64,
    #[serde(default)]
    pub truncated: bool,
    pub same: u64,
    pub changed: Changed,
    pub fixed: Causes,
    pub newly_broken: Causes,
    pub still_broken: Causes,
}

/// Events of which another document would be made.
#[derive(Debug, Clone, Deserialize)]
pub struct Changed {
    /// How many.
    pub events: u64,
    /// By member.
    #[serde(default)]
    pub fields: Vec<ChangedField>,
}

/// A member that would be another.
#[derive(Debug, Clone, Deserialize)]
pub struct ChangedField {
    /// Where.
    pub pointer: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
    /// In how many events.
    pub events: u64,
}

/// Events that fail, by what they fail of.
#[derive(Debug, Clone, Deserialize)]
pub struct Causes {
    /// How many.
    pub events: u64,
    /// By cause.
    #[serde(default)]
    pub causes: Vec<CauseCount>,
}

/// Events that fail alike.
#[derive(Debug, Clone, Deserialize)]
pub struct CauseCount {
    /// In words.
    pub message: String,
    /// How many.
    pub events: u64,
}

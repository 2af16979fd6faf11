//! Who did what, as the page reads it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::ops::Failure;

/// Who did what.
#[derive(Debug, Clone, Deserialize)]
pub struct Audit {
    /// Newest first.
    pub acts: Vec<AuditAct>,
    /// What could not be read, by what it is on.
    #[serde(default)]
    pub unknown: BTreeMap<String, Failure>,
}

/// An act.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as `sluice_ops::people` documents them")]
pub struct AuditAct {
    pub at: Timestamp,
    pub by: String,
    pub on: String,
    pub subject: String,
    pub what: String,
    #[serde(default)]
    pub reason: Option<String>,
}

//! Vendors, their health and their drift, as the pages read them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::*;

/// How a vendor's messages have changed.
#[derive(Debug, Clone, Deserialize)]
pub struct Drift {
    /// Those that break something first.
    pub findings: Vec<Finding>,
}

/// One way in which they have.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Finding {
    pub vendor_id: String,
    pub event_type: String,
    pub kind: String,
    pub path: String,
    #[serde(default)]
    pub renamed_to: Option<String>,
    #[serde(default)]
    pub similarity_percent: Option<u64>,
    #[serde(default)]
    pub expected: Vec<String>,
    #[serde(default)]
    pub found: Vec<String>,
    pub breaking: bool,
    pub declared: bool,
    pub objects: u64,
    pub example: String,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
}

/// Vendors, and their health.
#[derive(Debug, Clone, Deserialize)]
pub struct Vendors {
    /// By id.
    pub vendors: Vec<VendorRow>,
    /// Of today.
    pub health: Part<Days>,
}

/// A vendor of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct VendorRow {
    pub vendor_id: String,
    pub enabled: bool,
    #[serde(default)]
    pub on_hold: Option<Note>,
    #[serde(default)]
    pub signs: bool,
    #[serde(default)]
    pub event_types: Vec<String>,
}

/// A day of health.
#[derive(Debug, Clone, Deserialize)]
pub struct Days {
    /// The UTC day.
    pub day: String,
    /// Each vendor's.
    pub vendors: Vec<Health>,
}

/// How well a vendor sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "docs/vendor-health.md documents them")]
pub struct Health {
    pub vendor_id: String,
    pub score: Option<u64>,
    pub accepted: u64,
    pub components: Components,
}

/// What a score is made of: shares of what was well.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "docs/vendor-health.md documents them")]
pub struct Components {
    pub validity: Option<f64>,
    pub conflicts: Option<f64>,
    pub lateness: Option<f64>,
    pub drift: Option<f64>,
    pub duplicates: Option<f64>,
    pub retries: Option<f64>,
}

/// All about one vendor.
#[derive(Debug, Clone, Deserialize)]
pub struct VendorDetail {
    /// The vendor.
    pub vendor: Vendor,
    /// Of today.
    pub health: Part<Days>,
    /// Its active mappers.
    pub mappers: Part<Vec<MapperRow>>,
    /// What waits.
    pub groups: Part<Groups>,
    /// How its messages have changed.
    pub drift: Part<Drift>,
}

/// A vendor, with its credentials by their digests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Vendor {
    pub vendor_id: String,
    pub enabled: bool,
    #[serde(default)]
    pub on_hold: Option<Note>,
    #[serde(default)]
    pub waiting: u64,
    pub api_keys: Vec<String>,
    #[serde(default)]
    pub webhook_secrets: Vec<String>,
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub changes: Vec<VendorChange>,
}

/// Requests that a vendor may make.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct RateLimit {
    pub per_second: Value,
    pub burst: Value,
}

/// A change of a vendor's profile.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct VendorChange {
    pub what: String,
    pub by: String,
    pub at: Timestamp,
}

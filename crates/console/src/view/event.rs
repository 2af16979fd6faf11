//! Events, as the pages read them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::*;

/// Events of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Events {
    /// Newest first.
    pub events: Vec<EventRow>,
    /// Whether there are more.
    pub more: bool,
    /// Rows, or stored requests, that were read.
    #[serde(default, alias = "lookedAt")]
    pub scanned: Option<u64>,
}

/// An event of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct EventRow {
    pub ingest_id: String,
    pub vendor_id: String,
    pub external_event_id: String,
    pub event_type: String,
    pub status: String,
    pub received_at: Timestamp,
    #[serde(default)]
    pub canonical_type: Option<String>,
    #[serde(default)]
    pub nothing: Option<CodeNote>,
    #[serde(default)]
    pub cause: Option<CodeNote>,
}

/// A code and its words.
#[derive(Debug, Clone, Deserialize)]
pub struct CodeNote {
    /// The code.
    pub code: String,
    /// The words.
    pub message: String,
}

/// All about one event.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Event {
    pub ingest_id: String,
    pub vendor_id: String,
    pub external_event_id: String,
    #[serde(default)]
    pub delivery_id: Option<String>,
    pub event_type: String,
    pub schema_version: String,
    pub status: String,
    pub occurred_at: Timestamp,
    pub received_at: Timestamp,
    pub payload_sha256: String,
    pub lifecycle: Vec<Step>,
    pub raw: RawObject,
    #[serde(default)]
    pub hold: Option<Hold>,
    #[serde(default)]
    pub normalized: Option<Normalized>,
    #[serde(default)]
    pub nothing: Option<CodeNote>,
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
    #[serde(default)]
    pub execution: Option<Execution>,
    #[serde(default)]
    pub canonical_state: Option<CanonicalState>,
    #[serde(default)]
    pub run: Option<Part<ExecutionDetail>>,
}

/// A step of an event's life.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// `received`, `quarantined`, `accepted`, `redriven`, `normalized` or `released`.
    pub stage: String,
    /// In words.
    pub detail: String,
}

/// The stored request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct RawObject {
    pub bucket: String,
    pub key: String,
    pub sha256: String,
    pub bytes: u64,
    pub content_type: String,
    #[serde(default)]
    pub content_encoding: Option<String>,
    #[serde(default)]
    pub problem: Option<String>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub base64: Option<String>,
}

/// Why a person must let an event go on, or who did.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The code.
    pub code: String,
    /// In words.
    pub message: String,
    /// Who let it go on.
    #[serde(default)]
    pub accepted: Option<Note>,
}

/// The stored canonical document.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Normalized {
    pub sha256: String,
    #[serde(default)]
    pub problem: Option<String>,
    pub event_type: String,
    pub schema_version: String,
    pub bundle: String,
    pub fuel: u64,
    pub documents: Vec<Value>,
}

/// Why an event is, or was, in quarantine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Quarantine {
    pub status: String,
    pub attempts: u64,
    pub fingerprint: String,
    pub first_seen_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub cause: Cause,
}

/// An execution, as one says it in short.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Execution {
    pub arn: String,
    pub name: String,
    pub status: String,
    pub started_at: Timestamp,
    #[serde(default)]
    pub stopped_at: Option<Timestamp>,
    #[serde(default)]
    pub redrive_count: u64,
    #[serde(default)]
    pub redrivable: bool,
    #[serde(default)]
    pub redrive_reason: Option<String>,
    #[serde(default)]
    pub redrivable_until: Option<Timestamp>,
    #[serde(default)]
    pub link: Option<String>,
}

/// What an event did to canonical state.
#[derive(Debug, Clone, Deserialize)]
pub struct CanonicalState {
    /// The entities of which it speaks.
    pub entities: Vec<String>,
    /// Whether all of it is in.
    pub complete: bool,
}

//! Lineage, as the pages read it.

use serde::Deserialize;
use serde_json::Value;

/// Where the members of one event come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct EventTrace {
    pub ingest_id: String,
    pub vendor_id: String,
    pub event_type: String,
    pub bundle: String,
    #[serde(default)]
    pub reproduces: Option<bool>,
    pub holds: String,
    pub outcome: Value,
    pub outputs: Vec<TracedOutput>,
    #[serde(default)]
    pub more_outputs: u64,
    #[serde(default)]
    pub more_links: u64,
    pub inputs: Vec<TracedInput>,
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    pub out_of_time: bool,
    pub runs: u64,
    pub elapsed_microseconds: u64,
}

/// A member of a canonical event.
#[derive(Debug, Clone, Deserialize)]
pub struct TracedOutput {
    /// Its place.
    pub pointer: String,
    /// What it says.
    pub value: Value,
    /// What moves it.
    pub sources: Vec<TracedSource>,
}

/// What moves a member.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct TracedSource {
    pub origin: String,
    pub pointer: String,
    #[serde(default)]
    pub value: Option<Value>,
    pub by: Vec<String>,
}

/// A member of the message.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct TracedInput {
    pub origin: String,
    pub pointer: String,
    pub tried: Vec<TriedChange>,
}

/// A change that was tried.
#[derive(Debug, Clone, Deserialize)]
pub struct TriedChange {
    /// `value`, `absent` or `type`.
    pub change: String,
    /// What came of it: a word, or an object of one member.
    pub effect: Value,
}

/// Members that were not all tried.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct LeftOut {
    pub name: String,
    pub inputs: u64,
    pub tried: u64,
}

/// What is known of a mapper from its fixtures.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct MapperTrace {
    pub vendor_id: String,
    pub event_type: String,
    #[serde(default)]
    pub bundle: Option<String>,
    pub holds: String,
    pub messages: u64,
    pub failing: u64,
    #[serde(default)]
    pub left_out: Vec<String>,
    pub inputs_left_out: u64,
    pub outputs: Vec<OutputUse>,
    pub inputs: Vec<InputUse>,
    pub without_a_fixture: WithoutFixture,
    pub runs: u64,
    pub elapsed_microseconds: u64,
}

/// A member of canonical events.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct OutputUse {
    pub member: String,
    pub messages: u64,
    pub sources: Vec<SourceUse>,
}

/// An input that moves a member.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct SourceUse {
    pub origin: String,
    pub member: String,
    pub by: Vec<String>,
    pub messages: u64,
}

/// A member of messages.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct InputUse {
    pub origin: String,
    pub member: String,
    pub messages: u64,
    pub read: bool,
    #[serde(default)]
    pub dropped: Option<Dropped>,
}

/// What comes of it when a member is left out.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as the command line documents them")]
pub struct Dropped {
    pub fail: u64,
    pub change: u64,
    #[serde(default)]
    pub codes: std::collections::BTreeMap<String, u64>,
}

/// Members of schemas that no fixture exercises.
#[derive(Debug, Clone, Deserialize)]
pub struct WithoutFixture {
    /// Of the payload's.
    pub inputs: Vec<String>,
    /// Of the canonical one.
    pub outputs: Vec<String>,
}

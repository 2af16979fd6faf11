//! Drift: what a vendor's messages look like, beside what its contract says and what they looked like before.
//!
//! A [`Profile`] counts paths, types and values of one event type. Array positions are folded into `*`. It holds no value of the
//! vendor's, only short digests of a few, by which a renamed field is recognised. Everything is bounded, so that a hostile
//! or careless message cannot make it grow. [`Track`] is what is stored: a long past, the recent events, and the two compared.
//!
//! Pure: counts in, findings out.

mod shape;
mod similar;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::id::{EventType, IngestId, SchemaVersion, VendorId};
use crate::json::{Json, push_pointer};

pub use shape::{Declared, Shape};

/// Most paths of a profile. Those that come later are not followed, and the profile says so.
pub const PATHS_MAX: usize = 400;
/// Deepest path that is followed, in levels.
pub const PATH_DEPTH_MAX: usize = 12;
/// Longest path that is followed, in bytes.
pub const PATH_BYTES_MAX: usize = 256;
/// Most items of one array that are looked at.
pub const ITEMS_MAX: usize = 32;
/// Most distinct values of a path that are remembered, as digests; a path with more is not an enumeration.
pub const VALUES_MAX: usize = 16;
/// Longest text that counts as a value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64;
/// Most findings of one comparison, those that break something first.
pub const FINDINGS_MAX: usize = 50;

/// How long a finding is kept after it was last seen, in seconds: 90 days.
pub const FINDING_SECONDS: i64 = 90 * 24 * 60 * 60;
/// Most findings kept at once of one version of an event type whose names are the vendor's choice. Those about fields that the
/// contract names are bounded by the contract.
pub const FINDINGS_KEPT_MAX: usize = 100;

/// Events after which the first of them are the past that later ones are compared with.
const BASELINE_EVENTS: u64 = 20;
/// Events after which the recent ones become past.
const RECENT_EVENTS: u64 = 200;
/// The past is halved at this many events, so that it follows the vendor.
const PAST_EVENTS_MAX: u64 = 20_000;
/// A field that was in at least this share of its objects, in percent, was always there.
const ALWAYS_PERCENT: u64 = 99;
/// In how many objects in a row such a field must be missing to have vanished.
const ABSENT_RUN: u64 = 10;
/// A required field is reported missing from this many objects on, or from [`REQUIRED_MISSING_PERCENT`] of them.
const REQUIRED_MISSING: u64 = 3;
const REQUIRED_MISSING_PERCENT: u64 = 10;

/// Types of JSON Schema. An integer is told from other numbers as it is written: `1` and `1.0` are both integers to JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number without a fraction.
    Integer,
    /// Another number.
    Number,
    /// Text.
    String,
    /// A list.
    Array,
    /// Members.
    Object,
}

impl Type {
    /// As in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    fn of(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(_) => Self::Boolean,
            Json::Number(token) if whole(token) => Self::Integer,
            Json::Number(_) => Self::Number,
            Json::String(_) | Json::Broken(_) => Self::String,
            Json::Array(_) => Self::Array,
            Json::Object(_) => Self::Object,
        }
    }

    /// Whether a schema that says `declared` takes it.
    fn fits(self, declared: &BTreeSet<Self>) -> bool {
        declared.contains(&self) || (self == Self::Integer && declared.contains(&Self::Number))
    }
}

/// Whether a number token is an integer to JSON Schema.
fn whole(token: &str) -> bool {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0');
    match exponent.parse::<i64>() {
        Ok(exponent) => exponent >= 0 && fraction.len() as u64 <= exponent.unsigned_abs(),
        Err(_) => false,
    }
}

/// What was seen at one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// How often it was there.
    pub seen: u64,
    /// As what.
    pub types: BTreeMap<Type, u64>,
    /// Digests of its values, as long as they are few.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<String>,
    /// It has too many values to be an enumeration.
    #[serde(default)]
    pub many_values: bool,
    /// In how many objects in a row it has been missing, up to the last one.
    #[serde(default)]
    pub absent_run: u64,
    /// When it was first there.
    #[serde(with = "crate::id::millis")]
    pub first_seen_at: Timestamp,
    /// In which event.
    pub first_seen_in: IngestId,
    /// The last event in which its type was each of these.
    pub last_seen_in: BTreeMap<Type, IngestId>,
    /// When it was first missing since it was last there, and in which event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Missing>,
}

/// Since when a field has been missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
    /// In which event.
    pub ingest_id: IngestId,
}

/// One event as it is observed.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Which event.
    pub ingest_id: IngestId,
    /// When it was received.
    pub at: Timestamp,
    /// The vendor's message.
    pub payload: &'a Json,
}

/// What messages look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// Messages observed.
    pub events: u64,
    /// By JSON pointer, `*` for an array's positions. The root is the empty path.
    pub fields: BTreeMap<String, Field>,
    /// How often a path that the contract requires was missing, and where last; by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required_missing: BTreeMap<String, RequiredMissing>,
    /// Some paths were not followed: there are more than [`PATHS_MAX`], or they are too deep or too long.
    pub truncated: bool,
}

/// A required path that was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredMissing {
    /// In how many objects.
    pub objects: u64,
    /// First when.
    pub first: Missing,
    /// Last when.
    pub last: Missing,
}

/// What one event has at its paths.
#[derive(Default)]
struct Seen {
    /// Type counts by path.
    types: BTreeMap<String, BTreeMap<Type, u64>>,
    values: BTreeMap<String, BTreeSet<String>>,
    truncated: bool,
}

impl Seen {
    fn walk(&mut self, path: &mut String, depth: usize, json: &Json) {
        if depth > PATH_DEPTH_MAX || path.len() > PATH_BYTES_MAX || self.types.len() >= PATHS_MAX {
            self.truncated |= !self.types.contains_key(path.as_str());
            if !self.types.contains_key(path.as_str()) {
                return;
            }
        }
        *self.types.entry(path.clone()).or_default().entry(Type::of(json)).or_default() += 1;
        let length = path.len();
        match json {
            Json::Object(members) => {
                let mut names = BTreeSet::new();
                for member in members {
                    // Of two equal keys the first counts once.
                    if names.insert(member.key.as_str()) {
                        push_pointer(path, &member.key);
                        self.walk(path, depth + 1, &member.value);
                        path.truncate(length);
                    }
                }
            }
            Json::Array(items) => {
                path.push_str("/*");
                for item in items.iter().take(ITEMS_MAX) {
                    self.walk(path, depth + 1, item);
                }
                path.truncate(length);
            }
            Json::String(text) if text.len() <= VALUE_BYTES_MAX => self.value(path, text),
            Json::Number(token) if token.len() <= VALUE_BYTES_MAX => self.value(path, token),
            Json::String(_) | Json::Broken(_) | Json::Number(_) | Json::Null | Json::Bool(_) => {}
        }
    }

    fn value(&mut self, path: &str, text: &str) {
        let values = self.values.entry(path.to_owned()).or_default();
        if values.len() <= VALUES_MAX {
            values.insert(Sha256Hex::of(text.as_bytes()).as_str()[..8].to_owned());
        }
    }
}

/// The path that a path's objects have, and whether it is an array's item, which is never missing.
fn parent(path: &str) -> Option<&str> {
    let (parent, name) = path.rsplit_once('/')?;
    (name != "*").then_some(parent)
}

impl Profile {
    /// Counts one message; `shape` says what its contract requires.
    pub fn observe(&mut self, event: Observation<'_>, shape: &Shape) {
        let mut seen = Seen::default();
        seen.walk(&mut String::new(), 0, event.payload);
        self.events += 1;
        self.truncated |= seen.truncated;
        let here = Missing { at: event.at, ingest_id: event.ingest_id };
        let objects = |path: &str| {
            seen.types.get(path).and_then(|types| types.get(&Type::Object)).copied().unwrap_or_default()
        };
        for (path, types) in &seen.types {
            if !self.fields.contains_key(path) && self.fields.len() >= PATHS_MAX {
                self.truncated = true;
                continue;
            }
            let field = self.fields.entry(path.clone()).or_insert_with(|| Field::new(here));
            for (kind, count) in types {
                field.seen += count;
                *field.types.entry(*kind).or_default() += count;
                field.last_seen_in.insert(*kind, event.ingest_id);
            }
            (field.absent_run, field.missing_since) = (0, None);
            field.add_values(seen.values.get(path));
        }
        for (path, field) in &mut self.fields {
            if !seen.types.contains_key(path)
                && let Some(missing) = parent(path).map(objects).filter(|missing| *missing > 0)
            {
                field.absent_run += missing;
                field.missing_since.get_or_insert(here);
            }
        }
        for (path, declared) in shape.iter().filter(|(_, declared)| declared.required) {
            let Some(parent) = parent(path) else { continue };
            let there: u64 = seen.types.get(path).map_or(0, |types| types.values().sum());
            let missing = objects(parent).saturating_sub(there);
            if missing > 0 && declared.required {
                let entry = RequiredMissing { objects: 0, first: here, last: here };
                let entry = self.required_missing.entry(path.to_owned()).or_insert(entry);
                entry.objects += missing;
                entry.last = here;
            }
        }
    }

    /// Adds a profile of later messages.
    pub fn merge(&mut self, later: &Self) {
        for (path, field) in &mut self.fields {
            if !later.fields.contains_key(path)
                && let Some(missing) =
                    parent(path).map(|parent| later.objects(parent)).filter(|missing| *missing > 0)
            {
                field.absent_run += missing;
                if field.missing_since.is_none() {
                    field.missing_since = later.first_event();
                }
            }
        }
        for (path, field) in &later.fields {
            if let Some(held) = self.fields.get_mut(path) {
                held.merge(field);
            } else if self.fields.len() < PATHS_MAX {
                self.fields.insert(path.clone(), field.clone());
            } else {
                self.truncated = true;
            }
        }
        for (path, missing) in &later.required_missing {
            let held = self
                .required_missing
                .entry(path.clone())
                .or_insert(RequiredMissing { objects: 0, ..*missing });
            held.objects += missing.objects;
            held.last = missing.last;
        }
        self.events += later.events;
        self.truncated |= later.truncated;
    }

    fn objects(&self, path: &str) -> u64 {
        self.fields.get(path).and_then(|field| field.types.get(&Type::Object)).copied().unwrap_or_default()
    }

    fn first_event(&self) -> Option<Missing> {
        self.fields.get("").map(|root| Missing { at: root.first_seen_at, ingest_id: root.first_seen_in })
    }

    fn halve(&mut self) {
        self.events /= 2;
        for field in self.fields.values_mut() {
            field.seen = field.seen.div_ceil(2);
            for count in field.types.values_mut() {
                *count = count.div_ceil(2);
            }
        }
    }

    /// Whether the field was in nearly all of its objects.
    fn always(&self, path: &str) -> bool {
        let Some(objects) = parent(path).map(|parent| self.objects(parent)) else { return false };
        let seen = self.fields.get(path).map_or(0, |field| field.seen);
        objects >= BASELINE_EVENTS && seen * 100 >= objects * ALWAYS_PERCENT
    }
}

impl Field {
    fn new(first: Missing) -> Self {
        Self {
            seen: 0,
            types: BTreeMap::new(),
            values: BTreeSet::new(),
            many_values: false,
            absent_run: 0,
            first_seen_at: first.at,
            first_seen_in: first.ingest_id,
            last_seen_in: BTreeMap::new(),
            missing_since: None,
        }
    }

    fn add_values(&mut self, values: Option<&BTreeSet<String>>) {
        if !self.many_values {
            self.values.extend(values.into_iter().flatten().cloned());
            if self.values.len() > VALUES_MAX {
                // A few are kept: enough to see that another field has the same.
                self.many_values = true;
                self.values = std::mem::take(&mut self.values).into_iter().take(VALUES_MAX).collect();
            }
        }
    }

    fn merge(&mut self, later: &Self) {
        self.seen += later.seen;
        for (kind, count) in &later.types {
            *self.types.entry(*kind).or_default() += count;
        }
        self.last_seen_in.extend(&later.last_seen_in);
        self.add_values(Some(&later.values));
        self.many_values |= later.many_values;
        (self.absent_run, self.missing_since) = (later.absent_run, later.missing_since);
    }

    /// The types that it had, without `null`.
    fn kinds(&self) -> BTreeSet<Type> {
        self.types.keys().copied().filter(|kind| *kind != Type::Null).collect()
    }
}

/// Kinds of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// A field gives way to another of a like name or with like values: a suggestion.
    Renamed,
    /// A field that was always there, or that the contract requires, is missing.
    Vanished,
    /// A field has a type that it never had, or that the contract does not allow.
    Retyped,
    /// A field that was never there.
    New,
}

impl FindingKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Renamed => "renamed",
            Self::Vanished => "vanished",
            Self::Retyped => "retyped",
            Self::New => "new",
        }
    }
}

/// Messages that are compared with each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackKey {
    /// Whose.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// Version of the contract's payload schema that they are of.
    pub schema_version: SchemaVersion,
}

/// What a comparison is about, for its findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Which messages.
    pub of: TrackKey,
    /// The bundle that the contract is of.
    pub bundle: Sha256Hex,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// Of version, kind, path and what it became: the same difference has the same id.
    pub id: String,
    /// What kind.
    pub kind: FindingKind,
    /// JSON pointer into the message, `*` for an array's positions.
    pub path: String,
    /// For a renamed field, the path that it seems to have now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<String>,
    /// For a renamed field, how alike the two are, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity_percent: Option<u8>,
    /// Types before, or as the contract has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Type>,
    /// Types now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Type>,
    /// Messages of this kind do not satisfy the contract: they are quarantined.
    pub breaking: bool,
    /// The contract names the field, so the mapper may read it.
    pub declared: bool,
    /// In how many of the recent objects.
    pub objects: u64,
    /// An event that shows it.
    pub example: IngestId,
    /// When it was first seen.
    #[serde(with = "crate::id::millis")]
    pub first_seen_at: Timestamp,
    /// When it was last seen.
    #[serde(with = "crate::id::millis")]
    pub last_seen_at: Timestamp,
    /// Version of the contract's payload schema.
    pub schema_version: SchemaVersion,
    /// The bundle that the contract is of.
    pub bundle: Sha256Hex,
    /// Why events that show it are quarantined, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What is stored of one event type: the long past, and the recent messages that are compared with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Track {
    /// All but the recent ones.
    pub past: Profile,
    /// The recent ones.
    pub recent: Profile,
    /// Of the last message.
    #[serde(with = "optional_millis")]
    pub last_seen_at: Option<Timestamp>,
    /// Findings under names of the vendor's choice that are kept, by id, with when each was last seen in seconds since 1970.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, i64>,
    /// Findings that were not recorded, because [`FINDINGS_KEPT_MAX`] were.
    pub left_out: u64,
}

mod optional_millis {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(crate::id::rfc3339).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// A stored track that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrack {
    /// Not gzip.
    #[error("the profile does not inflate")]
    Gzip(#[from] std::io::Error),
    /// Not a track.
    #[error("the profile is not one")]
    Json(#[from] serde_json::Error),
}

/// Largest stored track after inflating, in bytes: 400 paths of a kilobyte, twice.
const TRACK_BYTES_MAX: u64 = 1 << 20;

impl Track {
    /// JSON, gzip.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidTrack> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&serde_json::to_vec(self)?)?;
        Ok(encoder.finish()?)
    }

    /// Reads what [`Track::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidTrack> {
        let mut json = Vec::new();
        GzDecoder::new(bytes).take(TRACK_BYTES_MAX).read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// Adds messages and says what differs now. `codes` has why events with a fault at a path were quarantined.
    pub fn update(
        &mut self,
        window: &Profile,
        at: Timestamp,
        shape: &Shape,
        subject: &Subject,
        codes: &BTreeMap<String, String>,
    ) -> Vec<Finding> {
        self.recent.merge(window);
        self.last_seen_at = Some(at);
        let mut findings = Comparison { track: self, window, at, shape, subject, codes }.findings();
        findings.retain(|finding| self.keeps(finding, at));
        let enough = if self.past.events < BASELINE_EVENTS { BASELINE_EVENTS } else { RECENT_EVENTS };
        if self.recent.events >= enough {
            let recent = std::mem::take(&mut self.recent);
            self.past.merge(&Profile { required_missing: BTreeMap::new(), ..recent });
            if self.past.events > PAST_EVENTS_MAX {
                self.past.halve();
            }
        }
        findings
    }
}

impl Track {
    /// Whether a finding is to be recorded. A vendor that invents names without end has no rows without end.
    fn keeps(&mut self, finding: &Finding, at: Timestamp) -> bool {
        if finding.declared && finding.renamed_to.is_none() {
            return true;
        }
        let now = at.as_second();
        self.kept.retain(|_, last_seen| now - *last_seen < FINDING_SECONDS);
        let room = self.kept.len() < FINDINGS_KEPT_MAX || self.kept.contains_key(&finding.id);
        if room {
            self.kept.insert(finding.id.clone(), now);
        } else {
            self.left_out += 1;
        }
        room
    }
}

struct Comparison<'a> {
    track: &'a Track,
    window: &'a Profile,
    at: Timestamp,
    shape: &'a Shape,
    subject: &'a Subject,
    codes: &'a BTreeMap<String, String>,
}

impl Comparison<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut vanished = self.vanished();
        let mut new = self.new_fields();
        let mut findings = self.renamed(&mut vanished, &mut new);
        findings.append(&mut vanished);
        findings.extend(self.retyped());
        findings.extend(
            new.into_iter()
                .filter(|finding| self.has_past() && !self.track.past.fields.contains_key(&finding.path)),
        );
        findings.sort_by(|a, b| {
            (!a.breaking, !a.declared, a.kind, &a.path).cmp(&(!b.breaking, !b.declared, b.kind, &b.path))
        });
        findings.truncate(FINDINGS_MAX);
        findings
    }

    fn has_past(&self) -> bool {
        self.track.past.events >= BASELINE_EVENTS
    }

    fn finding(
        &self,
        kind: FindingKind,
        path: &str,
        objects: u64,
        first: Missing,
        example: IngestId,
    ) -> Finding {
        Finding {
            vendor_id: self.subject.of.vendor_id.clone(),
            event_type: self.subject.of.event_type.clone(),
            id: String::new(),
            kind,
            path: path.to_owned(),
            renamed_to: None,
            similarity_percent: None,
            expected: Vec::new(),
            found: Vec::new(),
            breaking: false,
            declared: self.shape.get(path).is_some(),
            objects,
            example,
            first_seen_at: first.at,
            last_seen_at: self.at,
            schema_version: self.subject.of.schema_version.clone(),
            bundle: self.subject.bundle.clone(),
            code: self.codes.get(path).cloned(),
        }
        .named()
    }

    /// Fields that are missing in the window, and should not be.
    fn vanished(&self) -> Vec<Finding> {
        let mut findings = BTreeMap::new();
        for (path, missing) in &self.track.recent.required_missing {
            let objects = parent(path).map_or(0, |parent| self.track.recent.objects(parent));
            let many = missing.objects >= REQUIRED_MISSING
                || missing.objects * 100 >= objects.max(1) * REQUIRED_MISSING_PERCENT;
            if many && self.window.required_missing.contains_key(path) {
                let (first, example) = (missing.first, missing.last.ingest_id);
                let mut finding = self.finding(FindingKind::Vanished, path, missing.objects, first, example);
                finding.breaking = true;
                findings.insert(path.clone(), finding);
            }
        }
        for (path, field) in &self.track.past.fields {
            if findings.contains_key(path) || !self.has_past() || !self.track.past.always(path) {
                continue;
            }
            // Its object is gone with it: one finding is enough.
            if parent(path).is_some_and(|parent| findings.contains_key(parent)) {
                continue;
            }
            let (run, since) = match self.track.recent.fields.get(path) {
                Some(recent) => (recent.absent_run, recent.missing_since),
                None => {
                    let objects = parent(path).map_or(0, |parent| self.track.recent.objects(parent));
                    (
                        objects + field.absent_run,
                        field.missing_since.or_else(|| self.track.recent.first_event()),
                    )
                }
            };
            let goes_on = !self.window.fields.contains_key(path);
            if let Some(since) = since.filter(|_| run >= ABSENT_RUN && goes_on) {
                let finding = self.finding(FindingKind::Vanished, path, run, since, since.ingest_id);
                findings.insert(path.clone(), finding);
            }
        }
        for (path, finding) in &mut findings {
            finding.expected = self.expected(path);
        }
        findings.into_values().collect()
    }

    /// Fields in the window that neither the past nor, where there is none, the contract knows.
    fn new_fields(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (path, field) in &self.track.recent.fields {
            let known = self.track.past.fields.contains_key(path)
                || (!self.has_past() && self.shape.get(path).is_some())
                || parent(path).is_none();
            let inside_new =
                parent(path).is_some_and(|parent| findings.iter().any(|it: &Finding| it.path == parent));
            if known || inside_new || !self.window.fields.contains_key(path) {
                continue;
            }
            let first = Missing { at: field.first_seen_at, ingest_id: field.first_seen_in };
            let mut finding = self.finding(FindingKind::New, path, field.seen, first, first.ingest_id);
            finding.found = field.types.keys().copied().collect();
            finding.breaking =
                parent(path).is_some_and(|parent| self.shape.closed(parent)) && !finding.declared;
            findings.push(finding);
        }
        findings
    }

    /// Takes the pairs of a vanished and a new field of the same object that are alike, the most alike first.
    fn renamed(&self, vanished: &mut Vec<Finding>, new: &mut Vec<Finding>) -> Vec<Finding> {
        let mut pairs: Vec<(u8, String, String)> = Vec::new();
        for gone in vanished.iter() {
            for came in new.iter() {
                if parent(&gone.path) == parent(&came.path)
                    && let Some(alike) = self.alike(gone, came)
                {
                    pairs.push((alike, gone.path.clone(), came.path.clone()));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2))));
        let mut renamed = Vec::new();
        for (alike, gone, came) in pairs {
            let (Some(gone), Some(came)) = (
                vanished.iter().position(|finding| finding.path == gone),
                new.iter().position(|finding| finding.path == came),
            ) else {
                continue;
            };
            let (gone, came) = (vanished.remove(gone), new.remove(came));
            renamed.push(
                Finding {
                    kind: FindingKind::Renamed,
                    renamed_to: Some(came.path),
                    similarity_percent: Some(alike),
                    found: came.found,
                    example: came.example,
                    ..gone
                }
                .named(),
            );
        }
        renamed
    }

    /// How alike a vanished and a new field are, in percent; `None` if not enough.
    fn alike(&self, gone: &Finding, came: &Finding) -> Option<u8> {
        let now = self.track.recent.fields.get(&came.path)?;
        let before =
            self.track.past.fields.get(&gone.path).or_else(|| self.track.recent.fields.get(&gone.path));
        let kinds = before.map_or_else(|| gone.expected.iter().copied().collect(), Field::kinds);
        if !kinds.is_empty() && !now.kinds().iter().any(|kind| kind.fits(&kinds)) {
            return None;
        }
        let name = |path: &str| path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned();
        let names = similar::names(&name(&gone.path), &name(&came.path));
        let values = before.map_or(0, |before| similar::values(&before.values, &now.values));
        let alike = names.max(values);
        (alike >= similar::ENOUGH).then_some(alike)
    }

    /// Types that a field had, or that its contract says.
    fn expected(&self, path: &str) -> Vec<Type> {
        if let Some(types) = self.shape.get(path).and_then(|declared| declared.types.as_ref()) {
            return types.iter().copied().collect();
        }
        self.track
            .past
            .fields
            .get(path)
            .map(|field| field.types.keys().copied().collect())
            .unwrap_or_default()
    }

    fn retyped(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (path, field) in &self.window.fields {
            let declared = self.shape.get(path).and_then(|declared| declared.types.as_ref());
            let past = self.track.past.fields.get(path).filter(|past| past.seen >= BASELINE_EVENTS);
            for kind in field.types.keys() {
                let breaking = declared.is_some_and(|declared| !kind.fits(declared));
                let had = |past: &Field| past.types.contains_key(kind) || kind.fits(&past.kinds());
                if !breaking && past.is_none_or(had) {
                    continue;
                }
                let recent = self.track.recent.fields.get(path);
                let objects = recent.and_then(|recent| recent.types.get(kind)).copied().unwrap_or_default();
                let example = field.last_seen_in.get(kind).copied().unwrap_or(field.first_seen_in);
                let first = Missing { at: self.at, ingest_id: example };
                let mut finding = self.finding(FindingKind::Retyped, path, objects, first, example);
                finding.breaking = breaking;
                finding.expected = self.expected(path);
                finding.found = vec![*kind];
                findings.push(finding.named());
            }
        }
        findings
    }
}

impl Finding {
    /// With its id.
    fn named(mut self) -> Self {
        let found: Vec<&str> = match self.kind {
            FindingKind::Retyped => self.found.iter().map(|kind| kind.as_str()).collect(),
            FindingKind::Renamed | FindingKind::Vanished | FindingKind::New => Vec::new(),
        };
        let parts = [
            self.kind.as_str(),
            &self.path,
            self.renamed_to.as_deref().unwrap_or_default(),
            &found.join(","),
        ];
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.id = Sha256Hex::of_parts(&parts).as_str()[..16].to_owned();
        self
    }

    /// In one sentence, without the vendor's values.
    pub fn sentence(&self) -> String {
        let types = |types: &[Type]| types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ");
        match self.kind {
            FindingKind::Renamed => format!(
                "{} seems to be {} now ({} % alike)",
                self.path,
                self.renamed_to.as_deref().unwrap_or_default(),
                self.similarity_percent.unwrap_or_default()
            ),
            FindingKind::Vanished => format!("{} is missing", self.path),
            FindingKind::Retyped if self.expected.is_empty() => {
                format!("{} is {} now", self.path, types(&self.found))
            }
            FindingKind::Retyped => {
                format!("{} is {}, not {}", self.path, types(&self.found), types(&self.expected))
            }
            FindingKind::New => format!("{} is new ({})", self.path, types(&self.found)),
        }
    }
}

/// A pointer with its array positions folded.
pub fn folded(pointer: &str) -> String {
    let tokens = pointer.split('/').map(|token| {
        let position = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        if position { "*" } else { token }
    });
    tokens.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;

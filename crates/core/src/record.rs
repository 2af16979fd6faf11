//! The rows of the tables and the events on the bus, as every function and tool sees them. JSON names are camel case.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::canonical::Reason;
use crate::digest::Sha256Hex;
use crate::fault::{Cause, Code, Fault, FieldFault};
use crate::health::HealthNote;
use crate::id::{
    CanonicalType, EventType, ExternalEventId, IngestId, ObjectRef, OperationId, SchemaVersion, VendorId,
};
use crate::intake::Accepted;
use crate::limits::{STATUS_SHARDS, TOLD_AGAIN_MAX, TOLD_AGAIN_SECONDS};
use crate::state::StateDivergence;
use crate::text::charset;

/// Where an accepted event is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Accepted and durable, not yet normalized: in flight.
    Received,
    /// Accepted and durable; its vendor is on hold, so it is not normalized until it is let go.
    Held,
    /// The normalized document is written, or the message states nothing.
    Normalized,
    /// Cannot be mapped as things are; waits for a person.
    Quarantined,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Received, Self::Held, Self::Normalized, Self::Quarantined];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Held => "HELD",
            Self::Normalized => "NORMALIZED",
            Self::Quarantined => "QUARANTINED",
        }
    }

    /// Partition of the ledger's `by-status` index: `<status>#<shard>`. A row says itself in which one it is; before 0.2 another
    /// rule chose among the same partitions, so a reader asks all of them ([`Status::shards`]).
    pub fn shard(self, ingest_id: IngestId) -> String {
        format!("{}#{}", self.as_str(), ingest_id.part(STATUS_SHARDS))
    }

    /// All partitions of the index for this status.
    pub fn shards(self) -> impl Iterator<Item = String> {
        (0..STATUS_SHARDS).map(move |shard| format!("{}#{shard}", self.as_str()))
    }
}

/// What a raw object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// An envelope, whose payload the mapper is given.
    #[default]
    Envelope,
    /// The vendor's own message, all of which the mapper is given.
    Native,
}

impl Form {
    /// What rows say by saying nothing.
    pub fn is_envelope(&self) -> bool {
        *self == Self::Envelope
    }
}

/// Key of a ledger row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerKey {
    /// Partition key.
    pub vendor_id: VendorId,
    /// Sort key.
    pub external_event_id: ExternalEventId,
}

impl LedgerKey {
    /// The key under which a message is kept whose own key another payload has: the same message has the same one, and no vendor
    /// can state it.
    pub fn of_conflict(&self, payload_sha256: &Sha256Hex) -> Self {
        let parts = [
            b"conflict".as_slice(),
            self.external_event_id.as_str().as_bytes(),
            payload_sha256.as_str().as_bytes(),
        ];
        Self {
            vendor_id: self.vendor_id.clone(),
            external_event_id: ExternalEventId::of_digest(&Sha256Hex::of_parts(&parts)),
        }
    }

    /// The key under which the same message is accepted once more, after its window.
    pub fn next_generation(&self) -> Result<Self, Fault> {
        match self.external_event_id.next_generation() {
            Some(external_event_id) => Ok(Self { vendor_id: self.vendor_id.clone(), external_event_id }),
            None => Err(Fault::new(
                Code::RowMalformed,
                format!("({}, {}) has no next generation", self.vendor_id, self.external_event_id),
            )),
        }
    }
}

/// The ingest record (A4): audit trail, idempotency key, outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRow {
    /// Partition and sort key.
    #[serde(flatten)]
    pub key: LedgerKey,
    /// Minted at acceptance.
    pub ingest_id: IngestId,
    /// The vendor's kind of message.
    pub event_type: EventType,
    /// Version of the vendor's payload schema.
    pub schema_version: SchemaVersion,
    /// By the vendor's clock.
    #[serde(with = "crate::id::millis")]
    pub occurred_at: Timestamp,
    /// By ours.
    #[serde(with = "crate::id::millis")]
    pub received_at: Timestamp,
    /// Life cycle.
    pub status: Status,
    /// Partition of the `by-status` index.
    pub status_shard: String,
    /// The verbatim request.
    pub raw_ref: ObjectRef,
    /// Digest of the verbatim request.
    pub raw_sha256: Sha256Hex,
    /// Its length in bytes.
    pub raw_bytes: u64,
    /// Digest of the canonical payload.
    pub payload_sha256: Sha256Hex,
    /// What the raw object is.
    #[serde(default, skip_serializing_if = "Form::is_envelope")]
    pub form: Form,
    /// The sender's id of the delivery, for correlation; no signature need cover it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// Why a person must let it go on before it is normalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The hold of its vendor that it waits for, or last waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<Waited>,
    /// As sent.
    pub content_type: String,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// The document, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalized: Option<Normalized>,
    /// Why there is none, of an event that is NORMALIZED and states nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing: Option<Nothing>,
    /// On whose word it came to this, if another mapper's result took the place of what was told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    /// Why it is quarantined, or was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineNote>,
    /// How often whoever applies documents was told again of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_again: Option<ToldAgain>,
    /// Last change.
    #[serde(with = "crate::id::millis")]
    pub updated_at: Timestamp,
}

/// A document that canonical state did not have long after it was normalized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldAgain {
    /// The document.
    pub sha256: Sha256Hex,
    /// How often `event.normalized` was sent again for it.
    pub times: u32,
    /// When it was last.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
}

impl LedgerRow {
    /// The row that commits an acceptance.
    pub fn received(accepted: &Accepted, raw_ref: ObjectRef) -> Self {
        Self {
            key: accepted.key(),
            ingest_id: accepted.ingest_id,
            event_type: accepted.event_type.clone(),
            schema_version: accepted.schema_version.clone(),
            occurred_at: accepted.occurred_at,
            received_at: accepted.received_at,
            status: Status::Received,
            status_shard: Status::Received.shard(accepted.ingest_id),
            raw_ref,
            raw_sha256: accepted.raw_sha256.clone(),
            raw_bytes: accepted.raw_bytes,
            payload_sha256: accepted.payload_sha256.clone(),
            form: accepted.form,
            delivery_id: accepted.delivery_id.clone(),
            hold: accepted.hold.clone(),
            waited: None,
            content_type: accepted.content_type.clone(),
            content_encoding: accepted.content_encoding.clone(),
            normalized: None,
            nothing: None,
            correction: None,
            quarantine: None,
            told_again: None,
            updated_at: accepted.received_at,
        }
    }

    /// Why it may not be normalized yet; `None` if nothing holds it, or a person let it go on.
    pub fn held_for(&self) -> Option<Fault> {
        let hold = self.hold.as_ref().filter(|hold| hold.accepted.is_none())?;
        Some(Fault::new(hold.code, hold.message.clone()).with_errors(hold.errors.clone()))
    }

    /// Since when it is on its way: since it was accepted, or was let go.
    pub fn in_flight_since(&self) -> Timestamp {
        let let_go = self.waited.as_ref().and_then(|waited| waited.let_go.as_ref());
        let_go.map_or(self.received_at, |let_go| let_go.at)
    }

    /// Whether the window that began with this row is still open at `at`. A clock that runs behind this row's is within it.
    pub fn is_within_window(&self, window_seconds: u32, at: Timestamp) -> bool {
        at.as_millisecond() < self.received_at.as_millisecond() + i64::from(window_seconds) * 1_000
    }

    /// References only (A5).
    pub fn detail(&self) -> EventDetail {
        EventDetail {
            key: self.key.clone(),
            ingest_id: self.ingest_id,
            event_type: self.event_type.clone(),
            schema_version: self.schema_version.clone(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            raw_ref: self.raw_ref.clone(),
            raw_sha256: self.raw_sha256.clone(),
            form: self.form,
            held: self.hold.is_some(),
            content_encoding: self.content_encoding.clone(),
            charset: charset(&self.content_type).map(str::to_owned),
            replay: 0,
            normalized: self.normalized.clone(),
            nothing: self.nothing.clone(),
            correction: self.correction.clone(),
            quarantine: self.quarantine.clone().map(|note| QuarantineNote { errors: Vec::new(), ..note }),
        }
    }

    /// The digest of the document that the event has come to, [`Nothing::sha256`] if it states nothing; `None` unless it is
    /// NORMALIZED.
    pub fn document_sha256(&self) -> Option<Sha256Hex> {
        if self.status != Status::Normalized {
            return None;
        }
        let document = self.normalized.as_ref().map(|normalized| normalized.sha256.clone());
        document.or_else(|| self.nothing.as_ref().map(|_| Nothing::sha256()))
    }

    /// Whether downstream is to be told again of a document that canonical state does not have, and how often it was told so far:
    /// at first at once, then after an hour, two, four and so on, [`TOLD_AGAIN_MAX`] times in all. What cannot be applied is in a
    /// dead-letter queue, and each time there once more.
    pub fn is_to_be_told_again(&self, now: Timestamp) -> bool {
        if self.status != Status::Normalized || self.normalized.is_none() {
            return false;
        }
        let told =
            self.told_again.as_ref().filter(|told| Some(&told.sha256) == self.document_sha256().as_ref());
        told.is_none_or(|told| {
            let wait_seconds = TOLD_AGAIN_SECONDS << (told.times.clamp(1, TOLD_AGAIN_MAX) - 1);
            told.times < TOLD_AGAIN_MAX && now.as_second() - told.at.as_second() >= wait_seconds
        })
    }

    /// The input of another run of `Normalize`, which is not told what came of the last one.
    pub fn rerun(&self, replay: u32) -> EventDetail {
        EventDetail {
            replay,
            normalized: None,
            nothing: None,
            correction: None,
            quarantine: None,
            ..self.detail()
        }
    }
}

/// What a message came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stated {
    /// Canonical events.
    Document(Normalized),
    /// Nothing, for a reason.
    Nothing(Nothing),
}

impl Stated {
    /// When it was normalized.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Document(normalized) => normalized.at,
            Self::Nothing(nothing) => nothing.at,
        }
    }
}

/// Why an event that was accepted waits for a person before it is normalized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What is the matter.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// The faults of the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
    /// The identity that the message claims, if another event has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claim>,
    /// Who let it go on, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Resolution>,
}

/// How an event waited while its vendor was on hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waited {
    /// Since when.
    #[serde(with = "crate::id::millis")]
    pub since: Timestamp,
    /// Who held the vendor, why and when.
    pub hold: Resolution,
    /// Who let the event go, and why; `None` while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go: Option<Resolution>,
}

/// An identity that was taken when a message came with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The vendor's id.
    pub external_event_id: ExternalEventId,
    /// The event that has it.
    pub held_by: IngestId,
}

impl Hold {
    /// Of a message that came under the identity of `held` with other content.
    pub fn of_conflict(held: &LedgerRow) -> Self {
        Self {
            code: Code::IdentityConflict,
            message: format!(
                "externalEventId {:?} was accepted at {} as {} with another payload: send a change as an event with an id of its own",
                held.key.external_event_id,
                crate::id::rfc3339(held.received_at),
                held.ingest_id
            ),
            errors: Vec::new(),
            claims: Some(Claim {
                external_event_id: held.key.external_event_id.clone(),
                held_by: held.ingest_id,
            }),
            accepted: None,
        }
    }
}

/// Why an event states nothing, by the mapper that read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nothing {
    /// As [`Reason::code`].
    pub code: String,
    /// As [`Reason::message`].
    pub message: String,
    /// The bundle that mapped it.
    pub bundle: Sha256Hex,
    /// Fuel that the mapper used.
    pub fuel: u64,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
}

/// How an event that was told with a wrong document is told anew.
///
/// It names both documents by their digests, so it does the same however often it is run: where the old one holds it writes the new
/// one, where the new one holds nothing is left to do, and any other document is a reason to leave the event alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Correction {
    /// The operation that decided it.
    pub operation_id: OperationId,
    /// The bundle that maps the event rightly.
    pub bundle: Sha256Hex,
    /// The document that no longer holds; [`Nothing::sha256`] if the event stated nothing.
    pub old_sha256: Sha256Hex,
    /// The document that holds; [`Nothing::sha256`] if the event states nothing.
    pub new_sha256: Sha256Hex,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Nothing {
    /// A mapper's reason, for the ledger.
    pub fn new(reason: Reason, bundle: Sha256Hex, fuel: u64, at: Timestamp) -> Self {
        Self { code: reason.code, message: reason.message, bundle, fuel, at }
    }

    /// What the event's row of effects has for the digest of its document: that of a document without a line.
    pub fn sha256() -> Sha256Hex {
        Sha256Hex::of(b"")
    }
}

/// The document of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Normalized {
    /// The document: one canonical event a line.
    pub r#ref: ObjectRef,
    /// Digest of the document.
    pub sha256: Sha256Hex,
    /// Number of lines.
    pub events: u32,
    /// Their type.
    pub event_type: CanonicalType,
    /// Its version.
    pub schema_version: SchemaVersion,
    /// The bundle that mapped it.
    pub bundle: Sha256Hex,
    /// Fuel that the mapper used.
    pub fuel: u64,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
    /// How well its vendor sent, if the contract asks for it. Never in the document, whose bytes a replay gives again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_health: Option<HealthNote>,
}

/// The ledger's view of a quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineNote {
    /// As [`Cause::code`].
    pub code: String,
    /// As [`Cause::message`].
    pub message: String,
    /// As [`Cause::errors`], for the vendor's receipt. They quote the message, so they are never on the bus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
}

/// The detail of `ingest.accepted`, `event.normalized` and `event.quarantined`, and the input of `Normalize`: references only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventDetail {
    /// Ledger key.
    #[serde(flatten)]
    pub key: LedgerKey,
    /// Correlates everything.
    pub ingest_id: IngestId,
    /// The vendor's kind of message.
    pub event_type: EventType,
    /// Version of the vendor's payload schema.
    pub schema_version: SchemaVersion,
    /// By the vendor's clock.
    #[serde(with = "crate::id::millis")]
    pub occurred_at: Timestamp,
    /// By ours.
    #[serde(with = "crate::id::millis")]
    pub received_at: Timestamp,
    /// The verbatim request.
    pub raw_ref: ObjectRef,
    /// Its digest.
    pub raw_sha256: Sha256Hex,
    /// What it is.
    #[serde(default, skip_serializing_if = "Form::is_envelope")]
    pub form: Form,
    /// The ledger's row says why it waits, or who let it go on ([`LedgerRow::hold`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Of the content type, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
    /// 0 for the first run; a replay counts up, so that its recovery has a name of its own.
    #[serde(default)]
    pub replay: u32,
    /// In `event.normalized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalized: Option<Normalized>,
    /// In `event.normalized` of an event that another mapping found to state nothing: `normalized` is then the document that no
    /// longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing: Option<Nothing>,
    /// In `event.corrected`; and in the input of the run that brings it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    /// In `event.quarantined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineNote>,
}

/// Characters of a vendor's id that the name of an execution begins with. With an `ingestId` (26) and a number of up to ten digits
/// the name stays within the 80 characters that Step Functions takes.
const EXECUTION_VENDOR_CHARS_MAX: usize = 40;

/// Name of the `recover` execution of an event: `<vendorId>.<ingestId>-<replay>`, so that the Step Functions console finds the
/// executions of a vendor, and one event is recovered once. `state-machines/normalize.asl.json` and `replay.asl.json` say the same.
pub fn recovery_name(vendor_id: &VendorId, ingest_id: IngestId, replay: u32) -> String {
    let vendor = vendor_id.as_str();
    // A vendor's id is ASCII.
    let vendor = &vendor[..vendor.len().min(EXECUTION_VENDOR_CHARS_MAX)];
    format!("{vendor}.{ingest_id}-{replay}")
}

/// Kinds of events on the bus: EventBridge's `detail-type`, `source` being [`BUS_SOURCE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DetailType {
    /// A vendor's event became durable.
    #[serde(rename = "ingest.accepted")]
    IngestAccepted,
    /// Its canonical events are written.
    #[serde(rename = "event.normalized")]
    EventNormalized,
    /// What was told of it was wrong, and another document took its place.
    #[serde(rename = "event.corrected")]
    EventCorrected,
    /// It waits for a person.
    #[serde(rename = "event.quarantined")]
    EventQuarantined,
}

/// The `detail-type` of a finding of drift, whose detail is a [`crate::drift::Finding`].
pub const DRIFT_DETECTED: &str = "drift.detected";

impl DetailType {
    /// As on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IngestAccepted => "ingest.accepted",
            Self::EventNormalized => "event.normalized",
            Self::EventCorrected => "event.corrected",
            Self::EventQuarantined => "event.quarantined",
        }
    }
}

/// The `source` of every event that Sluice puts on the bus.
pub const BUS_SOURCE: &str = "sluice";

/// Life of a quarantine row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum QuarantineStatus {
    /// Needs a person.
    Open,
    /// Was redriven to success.
    Released,
    /// A person decided to let it be.
    Discarded,
}

/// One event that could not be mapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineRow {
    /// Partition key.
    pub vendor_id: VendorId,
    /// Sort key.
    pub ingest_id: IngestId,
    /// Ledger sort key.
    pub external_event_id: ExternalEventId,
    /// The vendor's kind of message.
    pub event_type: EventType,
    /// OPEN, RELEASED or DISCARDED.
    pub status: QuarantineStatus,
    /// Why, of the last attempt.
    pub cause: Cause,
    /// [`Cause::fingerprint`].
    pub fingerprint: String,
    /// How often it was tried, redrives included.
    pub attempts: u64,
    /// The `recover` execution to redrive.
    pub execution_arn: String,
    /// The verbatim request.
    pub raw_ref: ObjectRef,
    /// When it was accepted.
    #[serde(with = "crate::id::millis")]
    pub received_at: Timestamp,
    /// When it was first quarantined.
    #[serde(with = "crate::id::millis")]
    pub first_seen_at: Timestamp,
    /// When it last failed, or was released.
    #[serde(with = "crate::id::millis")]
    pub last_seen_at: Timestamp,
    /// Who last discarded it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
}

/// What a person decided, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolution {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
}

/// A submission under a key that was taken, with another payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Divergence {
    /// Partition key: `ledger#<vendorId>#<externalEventId>`.
    pub subject: String,
    /// Sort key: `conflict#<payload digest>`, so that a storm of the same conflict is one row.
    pub id: String,
    /// `duplicate_with_different_payload`
    pub kind: String,
    /// The event that was accepted first and holds.
    pub ingest_id: IngestId,
    /// Its payload digest.
    pub payload_sha256: Sha256Hex,
    /// The payload digest of the one refused.
    pub refused_payload_sha256: Sha256Hex,
    /// The verbatim bytes of the one refused: refused, not lost.
    pub refused_raw_ref: ObjectRef,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
    /// What it would have been accepted as, so that it still can be. Rows of before 0.2 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Accepted>>,
    /// It was kept as an event of its own, which waits in quarantine, rather than refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Who made it an event after all, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Resolution>,
}

/// A row of the divergence table, as its readers meet it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DivergenceRow {
    /// About canonical state.
    State(Box<StateDivergence>),
    /// About a submission.
    Submission(Box<Divergence>),
}

impl Divergence {
    /// The submission's own id, by which it is accepted.
    pub fn submission(&self) -> Option<IngestId> {
        match &self.refused {
            Some(refused) => Some(refused.ingest_id),
            None => crate::id::ingest_id_of_key(&self.refused_raw_ref.key),
        }
    }

    /// Key of the row for a conflicting submission.
    pub fn conflict_key(key: &LedgerKey, refused: &Sha256Hex) -> (String, String) {
        (format!("ledger#{}#{}", key.vendor_id, key.external_event_id), format!("conflict#{refused}"))
    }
}

/// What is known of a vendor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorProfile {
    /// Who.
    pub vendor_id: VendorId,
    /// A disabled vendor is answered 403; its history stays.
    pub enabled: bool,
    /// Digests of the API keys that hold; two during a rotation.
    pub api_key_sha256: Vec<Sha256Hex>,
    /// What the vendor signs with; two of a kind during a rotation, none if it does not sign. A secret that starts with `whsec_` is one of
    /// Standard Webhooks, and makes signing a duty at `/v1/events`; any other is the key of the vendor's own scheme, verbatim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhook_secrets: Vec<String>,
    /// How fast the vendor may send, enforced at the API (usage plan on AWS). `None`: the API's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What becomes of messages that no contract covers. `None`: native ones are kept, envelopes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_event_types: Option<UnknownEventTypes>,
    /// Who holds the vendor, and why: its events are accepted and kept, and wait until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_hold: Option<Resolution>,
    /// Who last released it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Resolution>,
}

/// What becomes of a proved sender's message that no contract covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownEventTypes {
    /// It is accepted, kept, and quarantined until there is a mapper.
    Keep,
    /// It is answered 400, and nothing is stored.
    Refuse,
}

impl UnknownEventTypes {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Refuse => "refuse",
        }
    }
}

impl VendorProfile {
    /// Whether a message of this form that no contract covers is kept. The sender of an envelope can act on a refusal, the sender of
    /// a webhook only retries.
    pub fn keeps_unknown(&self, form: Form) -> bool {
        match self.unknown_event_types {
            Some(setting) => setting == UnknownEventTypes::Keep,
            None => form == Form::Native,
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per second that it fills by.
    pub per_second: u32,
    /// Requests that it holds.
    pub burst: u32,
}

impl std::fmt::Debug for VendorProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VendorProfile")
            .field("vendor_id", &self.vendor_id)
            .field("enabled", &self.enabled)
            .field("webhook_secrets", &self.webhook_secrets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_name_of_an_execution_begins_with_the_vendor_and_is_never_too_long() {
        let id: IngestId = "01KAJ3Y3R00000000000000001".parse().unwrap();
        assert_eq!(recovery_name(&"vendorA".parse().unwrap(), id, 0), "vendorA.01KAJ3Y3R00000000000000001-0");
        let longest: VendorId = "v".repeat(64).parse().unwrap();
        assert!(recovery_name(&longest, id, u32::MAX).len() <= 80);
    }

    fn row(more: &Value) -> LedgerRow {
        let mut row = json!({
            "vendorId": "v", "externalEventId": "e", "ingestId": "01KF0Q4S8R6D1ZJ8W9T3C5V7XN", "eventType": "t",
            "schemaVersion": "1", "occurredAt": "2026-01-15T10:30:00Z", "receivedAt": "2026-01-15T10:30:00.500Z",
            "updatedAt": "2026-01-15T10:30:00Z", "status": "RECEIVED", "statusShard": "x", "rawBytes": 1,
            "rawRef": {"bucket": "raw", "key": "k"}, "rawSha256": "1".repeat(64), "payloadSha256": "1".repeat(64),
            "contentType": "application/json"
        });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_row_says_its_form_and_an_old_one_is_an_envelope() {
        let old = row(&json!({}));
        assert_eq!((old.form, old.detail().form), (Form::Envelope, Form::Envelope));
        assert!(serde_json::to_value(&old).unwrap().get("form").is_none());
        let native = row(&json!({"form": "native"}));
        assert_eq!(serde_json::to_value(native.detail()).unwrap()["form"], "native");
    }

    #[test]
    fn what_quotes_the_message_is_never_on_the_bus() {
        let fault = json!({"pointer": "/qty", "code": "type", "message": "is \"secret\""});
        let row = row(
            &json!({"quarantine": {"code": "c", "message": "m", "at": "2026-01-15T10:30:00Z", "errors": [fault]}}),
        );
        assert_eq!(row.quarantine.as_ref().unwrap().errors.len(), 1);
        let note = row.detail().quarantine.unwrap();
        assert!(note.errors.is_empty() && note.code == "c");
    }

    #[test]
    fn a_window_begins_with_its_row_and_a_clock_behind_it_is_within() {
        let row = row(&json!({}));
        for (at, within) in [
            ("2026-01-15T10:30:00.500Z", true),
            ("2026-01-15T10:30:15.499Z", true),
            ("2026-01-15T10:30:15.500Z", false),
            ("2026-01-15T09:00:00Z", true),
        ] {
            assert_eq!(row.is_within_window(15, at.parse().unwrap()), within, "{at}");
        }
    }
}

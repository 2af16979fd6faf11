//! What the functions need of the world, as domain verbs. `sluice-aws` implements them with AWS's SDK, [`crate::testing`] in
//! memory; one contract suite runs against both.
//!
//! Every error is a [`Fault`] already classified by the adapter: callers never look at an HTTP status.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::bundle::{ActiveMapper, Arm, CanaryCounts, MapperChange};
use crate::digest::Sha256Hex;
use crate::drift::{Finding, Track, TrackKey};
use crate::fault::{Cause, Fault};
use crate::id::{EventType, IngestId, ObjectRef, VendorId};
use crate::intake::{Answer, Request, Staged};
use crate::record::{
    Correction, DetailType, Divergence, EventDetail, LedgerKey, LedgerRow, QuarantineNote, QuarantineRow,
    Resolution, Stated, VendorProfile, Waited,
};
use crate::state::{Change, Contribution, Effects, Entity, EntityList, Source, State, StateDivergence};

/// Tells the time and mints ids; the one source of both.
pub trait Clock: Send + Sync {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
    /// 80 random bits in the low end.
    fn random(&self) -> u128;

    /// Mints an id for now, with the time cut to the millisecond that the id carries.
    fn mint(&self) -> (IngestId, Timestamp) {
        let now = self.now();
        let millis = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        (IngestId::mint(millis, self.random()), millis)
    }
}

/// What is stored beside the raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHeaders {
    /// As sent.
    pub content_type: String,
    /// As sent.
    pub content_encoding: Option<String>,
    /// Digest of the bytes; the store verifies it.
    pub sha256: Sha256Hex,
}

/// Raw requests: write-once, never modified, never deleted.
#[async_trait]
pub trait RawStore: Send + Sync {
    /// Stores the bytes unless the key exists. A key that exists with the same digest is success (a retry); with another digest it
    /// is [`crate::Code::RawDigestMismatch`].
    async fn put_if_absent(&self, key: &str, bytes: Bytes, headers: &RawHeaders) -> Result<ObjectRef, Fault>;
    /// The bytes; [`crate::Code::RawMissing`] if there are none.
    async fn get(&self, at: &ObjectRef) -> Result<Bytes, Fault>;
}

/// Bodies on their way from the front door to the raw store that are too large for the input of a state machine. Each is there for
/// one request; what a crash leaves behind expires.
#[async_trait]
pub trait UploadStore: Send + Sync {
    /// Stores a body.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<Staged, Fault>;
    /// The body, if it has the digest; else, or if it is gone, [`crate::Code::InputMalformed`].
    async fn get(&self, at: &Staged) -> Result<Bytes, Fault>;
    /// Removes it.
    async fn remove(&self, at: &Staged) -> Result<(), Fault>;
}

/// The state machine `intake`, run to its end.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Its answer; an error if it has none.
    async fn answer(&self, request: &Request) -> Result<Answer, Fault>;
}

/// Normalized documents: each under a key that has its digest ([`crate::id::normalized_key`]), written once and never changed, so
/// that whoever was told of one finds its very bytes.
#[async_trait]
pub trait NormalizedStore: Send + Sync {
    /// Stores a document unless there is an object of this key, which is then the same one.
    async fn put_if_absent(&self, key: &str, bytes: Bytes, sha256: &Sha256Hex) -> Result<ObjectRef, Fault>;
    /// The bytes; [`crate::Code::NormalizedMissing`] if there are none.
    async fn get(&self, at: &ObjectRef) -> Result<Bytes, Fault>;
}

/// Published bundles, by digest.
#[async_trait]
pub trait BundleStore: Send + Sync {
    /// An object of the mappers bucket; [`crate::Code::BundleMissing`] if it is not there.
    async fn get(&self, key: &str) -> Result<Bytes, Fault>;
    /// Stores an object under a key that says what it is; one that is there already is success.
    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<(), Fault>;
    /// Keys that start with `prefix`, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault>;
}

/// Outcome of the one conditional write that commits an acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// This row holds now.
    Committed,
    /// Another row holds this key.
    Exists(Box<LedgerRow>),
}

/// Outcome of recording a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// The row says QUARANTINED now.
    Quarantined,
    /// Another delivery of the event has been normalized: nothing was changed.
    AlreadyNormalized,
}

/// Outcome of having an event wait for its vendor's release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The row says HELD now, or did before.
    Waits,
    /// It was normalized or quarantined before: nothing was changed, and it need not wait.
    Past,
}

/// The ledger: idempotency, audit trail, outbox.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The row of a key. May lag behind a commit: [`Ledger::commit`] decides.
    async fn find(&self, key: &LedgerKey) -> Result<Option<LedgerRow>, Fault>;
    /// The row of the last generation of a key whose id is a digest ([`crate::id::ExternalEventId::next_generation`]). May lag behind a
    /// commit, as [`Ledger::find`].
    async fn find_last(&self, first: &LedgerKey) -> Result<Option<LedgerRow>, Fault>;
    /// The row of an `ingestId`. May lag behind a commit.
    async fn find_by_ingest_id(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault>;
    /// Writes the row unless its key exists, atomically.
    async fn commit(&self, row: &LedgerRow) -> Result<Commit, Fault>;
    /// Sets NORMALIZED with what the message came to, in place of what it came to before. [`crate::Code::LedgerRowMissing`] unless the
    /// key has this `ingest_id`. `run` is the number of the replay: the first run, 0, which may come late and more than once, leaves a
    /// document that was corrected as it is.
    async fn mark_normalized(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        stated: &Stated,
        run: u32,
    ) -> Result<(), Fault>;
    /// Puts what a correction came to in place of the document that it corrects, with the correction beside it, in one write.
    /// `Ok(false)`: the row has another document by now, or is not NORMALIZED; nothing is changed.
    async fn correct(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        stated: &Stated,
        correction: &Correction,
    ) -> Result<bool, Fault>;
    /// Sets HELD if the row is RECEIVED. [`crate::Code::LedgerRowMissing`] unless the key holds this event.
    async fn hold(&self, key: &LedgerKey, ingest_id: IngestId, waited: &Waited) -> Result<Held, Fault>;
    /// Sets RECEIVED if the row is HELD, which its stream tells as it told the acceptance. `Ok(false)`: it does not wait, and
    /// nothing is changed.
    async fn let_go(&self, key: &LedgerKey, ingest_id: IngestId, by: &Resolution) -> Result<bool, Fault>;
    /// Counts in the row that downstream is told again of its document, which its stream then does. `Ok(false)`: the row has
    /// another document by now, or somebody counted first; nothing is changed.
    async fn tell_again(&self, row: &LedgerRow, at: Timestamp) -> Result<bool, Fault>;
    /// Sets QUARANTINED, unless it is NORMALIZED.
    async fn mark_quarantined(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        note: &QuarantineNote,
    ) -> Result<Marked, Fault>;
}

/// Whether an answer may come from a cache some seconds old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It may.
    Cached,
    /// It must be read now: a redrive follows a fix that was made a moment ago.
    Fresh,
}

/// Vendors, their keys and their active mappers. May answer from a cache some seconds old.
#[async_trait]
pub trait VendorDirectory: Send + Sync {
    /// The vendor that an API key belongs to.
    async fn owner_of_key(&self, api_key_sha256: &Sha256Hex) -> Result<Option<VendorId>, Fault>;
    /// A vendor.
    async fn profile(
        &self,
        vendor_id: &VendorId,
        freshness: Freshness,
    ) -> Result<Option<VendorProfile>, Fault>;
    /// Every active mapper of the vendor, and so its contracts; empty for a vendor that is not known. In the order of event types.
    async fn contracts(&self, vendor_id: &VendorId) -> Result<Arc<[ActiveMapper]>, Fault>;
    /// The active mapper of an event type.
    async fn active_mapper(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        freshness: Freshness,
    ) -> Result<Option<ActiveMapper>, Fault>;
}

/// The pointers to active mappers, as those see them who change them.
#[async_trait]
pub trait MapperPointers: Send + Sync {
    /// The pointer, read now.
    async fn current(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
    ) -> Result<Option<ActiveMapper>, Fault>;
    /// Writes the pointer and its history entry, both or neither, if the pointer still has the revision before theirs (0: there
    /// is none). `Ok(false)`: someone else was quicker; read again and decide anew.
    async fn replace(&self, pointer: &ActiveMapper, change: &MapperChange) -> Result<bool, Fault>;
    /// The history of one event type's pointer, or of all of a vendor's, oldest first.
    async fn history(
        &self,
        vendor_id: &VendorId,
        event_type: Option<&EventType>,
    ) -> Result<Vec<MapperChange>, Fault>;
    /// Counts an event's outcome during the canary that the pointer has had since `revision`, and gives the counts with it.
    async fn count_outcome(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        revision: u64,
        arm: Arm,
        failed: bool,
    ) -> Result<CanaryCounts, Fault>;
    /// The counts; zeros if nothing was counted.
    async fn counts(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        revision: u64,
    ) -> Result<CanaryCounts, Fault>;
}

/// Quarantined events.
#[async_trait]
pub trait QuarantineStore: Send + Sync {
    /// Records a failure: a new OPEN row, or the cause, attempts and last time of the one there is. Idempotent: a late copy of an
    /// attempt after which the row was released or discarded changes nothing.
    async fn open(&self, row: &QuarantineRow) -> Result<(), Fault>;
    /// The row, read now.
    async fn find(&self, vendor_id: &VendorId, ingest_id: IngestId) -> Result<Option<QuarantineRow>, Fault>;
    /// Sets RELEASED. A row that is not there is success: there is nothing to release.
    async fn release(&self, vendor_id: &VendorId, ingest_id: IngestId, at: Timestamp) -> Result<(), Fault>;
}

/// Contradictions between what a vendor says and has said.
#[async_trait]
pub trait DivergenceStore: Send + Sync {
    /// Whether a row is there.
    async fn contains(&self, subject: &str, id: &str) -> Result<bool, Fault>;
    /// Records one; one that is there already is success.
    async fn record(&self, divergence: &Divergence) -> Result<(), Fault>;
}

/// One event for the bus.
#[derive(Debug, Clone, PartialEq)]
pub struct BusEvent {
    /// Kind.
    pub detail_type: DetailType,
    /// References only.
    pub detail: EventDetail,
}

/// The event bus.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Publishes, in no order; the result, in the order of `events`, has one entry per event, `Err` for each that the bus did not take.
    async fn publish(&self, events: &[BusEvent]) -> Result<Vec<Result<(), Fault>>, Fault>;
    /// Publishes `drift.detected`, whose detail is the finding: paths, types and an event's id, no value of the vendor's.
    async fn publish_drift(&self, finding: &Finding) -> Result<(), Fault>;
}

/// What recording a finding of drift shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was not there.
    New,
    /// It was there, and whoever recorded it has not announced it.
    Unannounced,
    /// It was there, and was announced.
    Known,
}

/// What messages look like, and how that changes.
#[async_trait]
pub trait DriftStore: Send + Sync {
    /// What is stored, with its version; an empty track and 0 if nothing is.
    async fn track(&self, of: &TrackKey) -> Result<(Track, u64), Fault>;
    /// Stores a track if it still has the version `seen`. `Ok(false)`: someone else was quicker; read again and add anew.
    async fn put_track(&self, of: &TrackKey, track: &Track, seen: u64) -> Result<bool, Fault>;
    /// Records a finding. One that is there already has when it was last seen, how often and where brought up to date.
    async fn record(&self, finding: &Finding) -> Result<Recorded, Fault>;
    /// Remembers that a finding was announced: [`DriftStore::record`] says [`Recorded::Known`] from now on.
    async fn announced(&self, finding: &Finding) -> Result<(), Fault>;
}

/// Rows of canonical state as they were at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Of the events asked for, those that have a row.
    pub effects: Vec<Effects>,
    /// Of the entities asked for, those that have a row.
    pub states: Vec<State>,
}

/// Outcome of a conditional write to canonical state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it is there.
    Written,
    /// A row had another version than was seen: nothing was written. Read again and decide anew.
    Conflict,
}

/// Canonical state: per entity a state row and one row per contribution, per event one row of effects.
#[async_trait]
pub trait CanonicalStore: Send + Sync {
    /// Reads rows, each strongly consistent.
    async fn read(&self, events: &[IngestId], entities: &[Entity]) -> Result<Snapshot, Fault>;
    /// The contributions to an entity after `after`, or all, in order of acceptance.
    async fn history(&self, entity: &Entity, after: Option<Source>) -> Result<Vec<Contribution>, Fault>;
    /// The divergence that is written of an entity, in the order of its ids, strongly consistent.
    async fn divergences(&self, entity: &Entity) -> Result<Vec<StateDivergence>, Fault>;
    /// The entities of an event, in order: those of the row itself, or of the rows that list them.
    async fn entities(&self, effects: &Effects) -> Result<Vec<Entity>, Fault>;
    /// Writes the rows of a list, of which no row of effects knows yet.
    async fn put_list(
        &self,
        ingest_id: IngestId,
        list: &EntityList,
        rows: &[Vec<Entity>],
    ) -> Result<(), Fault>;
    /// Removes the rows of a list of which no row of effects knows any more. Those that stay for a crash are read by nobody.
    async fn remove_list(&self, ingest_id: IngestId, list: &EntityList) -> Result<(), Fault>;
    /// Writes all or nothing, divergence included, if every row has the version before. More than
    /// [`crate::limits::TRANSACTION_ROWS_MAX`] rows are refused, and nothing is written.
    async fn commit(&self, change: &Change) -> Result<Written, Fault>;
}

/// A message that cannot succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// ARN of the queue that it was received from.
    pub queue_arn: String,
    /// The message as it was received, so that moving it back is all it takes to try again.
    pub body: String,
    /// Who gives it up, e.g. `apply`.
    pub stage: &'static str,
    /// Why.
    pub cause: Cause,
    /// Its id in the queue.
    pub message_id: String,
    /// How often it was received.
    pub attempts: Option<u64>,
}

/// The dead-letter queues of the queues.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Sends a letter to where its queue's own redrive policy would move it. Durable when it returns.
    async fn send(&self, letter: &DeadLetter) -> Result<(), Fault>;
}

/// What became of asking for a rerun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// It was started, or runs already under this name; its execution's ARN.
    Started(String),
    /// An execution of this name has ended: the event was run again in this window.
    Exists,
}

/// Runs an event again from its raw object, as an execution of its own.
#[async_trait]
pub trait Reruns: Send + Sync {
    /// Starts [`crate::record::recovery_name`]. The name makes it idempotent; a double run is harmless, since what it writes is the same.
    async fn rerun(&self, event: &EventDetail) -> Result<Rerun, Fault>;
}

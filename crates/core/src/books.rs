//! Examining the books: ledger, raw objects, normalized documents and quarantine of a span of time against one another.
//!
//! The reads are no snapshot, so order matters: rows are read before the objects that must have been written before them, and
//! whatever seems to be missing is looked at a second time, by its own key, before it is called missing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::balance::{Count, LATE_SECONDS};
use crate::canonical::SCHEMAS;
use crate::digest::Sha256Hex;
use crate::envelope::Envelope;
use crate::fault::{Code, Fault};
use crate::id::{CanonicalType, IngestId, ObjectRef, VendorId, ingest_id_of_key};
use crate::limits::APPLY_SECONDS_MAX;
use crate::payload::inflate;
use crate::record::{LedgerKey, LedgerRow, QuarantineRow, QuarantineStatus, Status};
use crate::state::{Effects, is_mergeable};

/// Most rows held at once: a span that has more is halved.
pub const ROWS_MAX: usize = 20_000;

/// Most orphans of a span that are read to say what they are.
pub const ORPHANS_READ_MAX: usize = 200;

/// Events whose effects are read at once.
const EFFECTS_PER_READ: usize = 100;

/// Shortest span that is halved, in seconds.
const SPAN_SECONDS_MIN: i64 = 1;

/// What is read to examine the books.
#[async_trait]
pub trait Books: Send + Sync {
    /// Vendors that have raw objects.
    async fn vendors(&self) -> Result<Vec<VendorId>, Fault>;
    /// Ledger rows received from `from` up to, not including, `to`, by status; a row that moved meanwhile may be there twice or
    /// not at all. `None` if there are more than `rows_max`.
    async fn rows(
        &self,
        from: Timestamp,
        to: Timestamp,
        rows_max: usize,
    ) -> Result<Option<Vec<LedgerRow>>, Fault>;
    /// A ledger row by its `ingestId`.
    async fn row(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault>;
    /// A ledger row by its key, as it is now.
    async fn row_at(&self, key: &LedgerKey) -> Result<Option<LedgerRow>, Fault>;
    /// Keys of a vendor's raw objects of a span within one UTC day.
    async fn raw_keys(&self, vendor: &VendorId, from: Timestamp, to: Timestamp)
    -> Result<Vec<String>, Fault>;
    /// Keys of the normalized documents of a span within one UTC day.
    async fn normalized_keys(
        &self,
        canonical: &CanonicalType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<String>, Fault>;
    /// Quarantine rows of a vendor's events of a span.
    async fn quarantined(
        &self,
        vendor: &VendorId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<QuarantineRow>, Fault>;
    /// A quarantine row as it is now.
    async fn quarantine_row(
        &self,
        vendor: &VendorId,
        ingest_id: IngestId,
    ) -> Result<Option<QuarantineRow>, Fault>;
    /// The raw bucket's object, or `None`.
    async fn raw_object(&self, key: &str) -> Result<Option<Bytes>, Fault>;
    /// Any object by its reference, or `None`.
    async fn object(&self, at: &ObjectRef) -> Result<Option<Bytes>, Fault>;
    /// The oldest rows of a shard that have a status, received after `after`, at most `limit`.
    async fn by_status(
        &self,
        status: Status,
        shard: u8,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault>;
    /// What canonical state has of events: the rows that there are.
    async fn effects(&self, events: &[IngestId]) -> Result<Vec<Effects>, Fault>;
    /// What shows, beside ledger, objects and quarantine, that an event was worked on; `None` if nothing does, or cannot be asked.
    async fn trace(&self, vendor_id: &VendorId, ingest_id: IngestId) -> Result<Option<String>, Fault>;
    /// When the first event of all was received, or the first raw object written.
    async fn first_received(&self) -> Result<Option<Timestamp>, Fault>;
    /// Waits as long as a write may take to be seen by every reader.
    async fn settle(&self);
}

/// What is wrong with the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The ledger's raw object is not in the bucket.
    RawMissing,
    /// The raw object has another digest than the ledger.
    RawDigest,
    /// The ledger says NORMALIZED, and the document is not in the bucket.
    NormalizedMissing,
    /// The document has another digest than the ledger.
    NormalizedDigest,
    /// There is a document or a quarantine row, and the ledger has no such event.
    LedgerMissing,
    /// The ledger says QUARANTINED, and no quarantine row is open or discarded.
    QuarantineMissing,
    /// A normalized event has no row in the canonical state.
    StateMissing,
    /// A row of the canonical state names an event that the ledger does not have.
    StateOrphan,
    /// A quarantine row is open, and the ledger says that the event is normalized: `reconcile` closes it.
    QuarantineStale,
    /// A raw object that no ledger row names, and of which nothing shows whether it was acknowledged: a request that ended before its
    /// commit leaves one, and so does a row that is lost.
    OrphanUnexplained,
    /// A raw object that no ledger row names, and the ledger shows why: a copy, or refused. No loss.
    OrphanRaw,
}

impl Kind {
    /// All of them, the losses first.
    pub const ALL: [Self; 11] = [
        Self::RawMissing,
        Self::RawDigest,
        Self::NormalizedMissing,
        Self::NormalizedDigest,
        Self::LedgerMissing,
        Self::QuarantineMissing,
        Self::StateMissing,
        Self::StateOrphan,
        Self::QuarantineStale,
        Self::OrphanUnexplained,
        Self::OrphanRaw,
    ];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawMissing => "raw_missing",
            Self::RawDigest => "raw_digest",
            Self::NormalizedMissing => "normalized_missing",
            Self::NormalizedDigest => "normalized_digest",
            Self::LedgerMissing => "ledger_missing",
            Self::QuarantineMissing => "quarantine_missing",
            Self::StateMissing => "state_missing",
            Self::StateOrphan => "state_orphan",
            Self::QuarantineStale => "quarantine_stale",
            Self::OrphanUnexplained => "orphan_unexplained",
            Self::OrphanRaw => "orphan_raw",
        }
    }

    /// Whether something that was acknowledged is not there as it should be.
    pub fn is_loss(self) -> bool {
        match self {
            Self::RawMissing
            | Self::RawDigest
            | Self::NormalizedMissing
            | Self::NormalizedDigest
            | Self::LedgerMissing
            | Self::QuarantineMissing
            | Self::StateMissing
            | Self::StateOrphan => true,
            Self::QuarantineStale | Self::OrphanUnexplained | Self::OrphanRaw => false,
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Whose, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<VendorId>,
    /// Which event, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_id: Option<IngestId>,
    /// The object's key, or the row's.
    pub subject: String,
    /// One sentence.
    pub detail: String,
}

impl Finding {
    fn of(kind: Kind, row: &LedgerRow, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            vendor_id: Some(row.key.vendor_id.clone()),
            ingest_id: Some(row.ingest_id),
            subject: subject.into(),
            detail: detail.into(),
        }
    }
}

/// A span of the books.
#[derive(Debug, Default)]
pub struct Examined {
    /// By vendor.
    pub counts: BTreeMap<VendorId, Count>,
    /// What does not agree. Digests are not looked at here.
    pub findings: Vec<Finding>,
    /// Every ledger row of the span, once.
    pub rows: Vec<LedgerRow>,
}

/// Examines a span within one UTC day, in pieces of at most [`ROWS_MAX`] rows, so that memory is bounded.
#[derive(Clone)]
pub struct Examination<'a> {
    books: &'a dyn Books,
    vendors: &'a [VendorId],
    only: Option<&'a VendorId>,
    spans: Vec<(Timestamp, Timestamp)>,
    applied_by: Option<Timestamp>,
}

impl<'a> Examination<'a> {
    /// `vendors` are those whose objects are looked at, whether or not they have rows; rows of others are left out if `only` is set.
    pub fn new(
        books: &'a dyn Books,
        vendors: &'a [VendorId],
        only: Option<&'a VendorId>,
        from: Timestamp,
        to: Timestamp,
    ) -> Self {
        Self { books, vendors, only, spans: vec![(from, to)], applied_by: None }
    }

    /// Also compares what is normalized with what canonical state has of it, `now`.
    #[must_use]
    pub fn with_state(self, now: Timestamp) -> Self {
        Self { applied_by: Some(now - SignedDuration::from_secs(APPLY_SECONDS_MAX)), ..self }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Examined>, Fault> {
        while let Some((from, to)) = self.spans.pop() {
            let seconds = to.as_second() - from.as_second();
            let rows_max = if seconds > SPAN_SECONDS_MIN { ROWS_MAX } else { usize::MAX };
            match self.books.rows(from, to, rows_max).await? {
                Some(rows) => {
                    let mut examined = span(self.books, self.vendors, self.only, rows, from, to).await?;
                    if let Some(applied_by) = self.applied_by {
                        unapplied(self.books, applied_by, &mut examined).await?;
                    }
                    return Ok(Some(examined));
                }
                None => {
                    let middle = from + SignedDuration::from_secs(seconds / 2);
                    self.spans.push((middle, to));
                    self.spans.push((from, middle));
                }
            }
        }
        Ok(None)
    }

    /// The counts of all that is left, by vendor; what does not agree is given to `findings`.
    pub async fn counts(
        mut self,
        findings: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<BTreeMap<VendorId, Count>, Fault> {
        let mut counts: BTreeMap<VendorId, Count> = BTreeMap::new();
        while let Some(examined) = self.next().await? {
            for (vendor, count) in examined.counts {
                counts.entry(vendor).or_default().add(&count);
            }
            examined.findings.into_iter().for_each(&mut *findings);
        }
        Ok(counts)
    }
}

/// Every canonical type that Sluice knows.
pub fn canonical_types() -> BTreeSet<CanonicalType> {
    SCHEMAS.iter().filter_map(|(name, _, _)| name.parse().ok()).collect()
}

/// What the stores hold of a span.
struct Held {
    raw: HashSet<String>,
    normalized: HashSet<String>,
    quarantine: HashMap<IngestId, QuarantineRow>,
}

async fn span(
    books: &dyn Books,
    vendors: &[VendorId],
    only: Option<&VendorId>,
    read: Vec<LedgerRow>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Examined, Fault> {
    let mut rows: HashMap<IngestId, LedgerRow> = HashMap::with_capacity(read.len());
    for row in read.into_iter().filter(|row| only.is_none_or(|only| row.key.vendor_id == *only)) {
        match rows.get(&row.ingest_id) {
            Some(held) if held.updated_at >= row.updated_at => {}
            _ => {
                rows.insert(row.ingest_id, row);
            }
        }
    }
    let mut names: BTreeSet<VendorId> = rows.values().map(|row| row.key.vendor_id.clone()).collect();
    names.extend(vendors.iter().filter(|vendor| only.is_none_or(|only| *vendor == only)).cloned());

    let mut held = Held { raw: HashSet::new(), normalized: HashSet::new(), quarantine: HashMap::new() };
    let mut examined = Examined::default();
    for vendor in &names {
        let keys = books.raw_keys(vendor, from, to).await?;
        if !keys.is_empty() {
            examined.counts.entry(vendor.clone()).or_default().raw_objects = keys.len() as u64;
        }
        held.raw.extend(keys);
        for row in books.quarantined(vendor, from, to).await? {
            held.quarantine.insert(row.ingest_id, row);
        }
    }
    for canonical in canonical_types() {
        held.normalized.extend(books.normalized_keys(&canonical, from, to).await?);
    }

    // Evidence of events that the index by status did not give: they moved while it was read, or their row is gone.
    let mut unknown: BTreeMap<IngestId, Vec<String>> = BTreeMap::new();
    for key in held.raw.iter().chain(&held.normalized) {
        match ingest_id_of_key(key) {
            Some(id) if rows.contains_key(&id) => {}
            Some(id) => unknown.entry(id).or_default().push(key.clone()),
            None => examined.findings.push(Finding {
                kind: Kind::OrphanUnexplained,
                vendor_id: None,
                ingest_id: None,
                subject: key.clone(),
                detail: "the object's key is none that Sluice makes".into(),
            }),
        }
    }
    for id in held.quarantine.keys().filter(|id| !rows.contains_key(*id)) {
        unknown.entry(*id).or_default();
    }
    if !unknown.is_empty() {
        books.settle().await;
    }
    let mut read_orphans = 0;
    for (id, keys) in unknown {
        match books.row(id).await? {
            Some(row) if only.is_none_or(|only| row.key.vendor_id == *only) => {
                rows.insert(id, row);
            }
            Some(_) => {}
            None => {
                let read = read_orphans < ORPHANS_READ_MAX;
                if let Some(vendor) = without_row(books, only, id, &keys, &held, read, &mut examined).await? {
                    read_orphans += usize::from(read);
                    examined.counts.entry(vendor).or_default().orphans += 1;
                }
            }
        }
    }

    let mut suspects: Vec<LedgerRow> = Vec::new();
    for row in rows.values() {
        let proved = evidence(row, &held).is_none();
        if proved {
            account(&mut examined, row, held.quarantine.get(&row.ingest_id), true);
        } else {
            suspects.push(row.clone());
        }
        if let Some(quarantined) = held.quarantine.get(&row.ingest_id)
            && quarantined.status == QuarantineStatus::Open
            && row.status == Status::Normalized
        {
            let detail = "it is open, though the event is normalized";
            examined.findings.push(Finding::of(Kind::QuarantineStale, row, quarantine_subject(row), detail));
        }
    }
    if !suspects.is_empty() {
        books.settle().await;
    }
    for row in suspects {
        let row = second_look(books, row, &mut examined).await?;
        rows.insert(row.ingest_id, row);
    }
    examined.findings.sort_by_key(|finding| (finding.ingest_id, finding.kind));
    examined.rows = rows.into_values().collect();
    examined.rows.sort_by_key(|row| row.ingest_id);
    Ok(examined)
}

/// What canonical state must have of an event: the digest of its document, when it was made, and whether it says nothing. `None`:
/// it need have nothing.
pub fn expected(row: &LedgerRow) -> Option<(Sha256Hex, Timestamp, bool)> {
    let sha256 = row.document_sha256()?;
    match (&row.normalized, &row.nothing) {
        (Some(normalized), _) if is_mergeable(&normalized.event_type) => Some((sha256, normalized.at, false)),
        (None, Some(nothing)) => Some((sha256, nothing.at, true)),
        _ => None,
    }
}

/// Looks for what is normalized and not applied.
async fn unapplied(books: &dyn Books, applied_by: Timestamp, examined: &mut Examined) -> Result<(), Fault> {
    let wanted: Vec<(&LedgerRow, (Sha256Hex, Timestamp, bool))> =
        examined.rows.iter().filter_map(|row| expected(row).map(|wanted| (row, wanted))).collect();
    for chunk in wanted.chunks(EFFECTS_PER_READ) {
        let ids: Vec<IngestId> = chunk.iter().map(|(row, _)| row.ingest_id).collect();
        let held: HashMap<IngestId, Effects> =
            books.effects(&ids).await?.into_iter().map(|row| (row.ingest_id, row)).collect();
        for (row, (sha256, at, nothing)) in chunk {
            let applied = match held.get(&row.ingest_id) {
                Some(effects) => effects.done && effects.sha256 == *sha256,
                // An event that never said anything has no row of effects.
                None => *nothing,
            };
            if applied {
                continue;
            }
            let count = examined.counts.entry(row.key.vendor_id.clone()).or_default();
            count.applying += 1;
            if *at <= applied_by {
                count.unapplied += 1;
                let detail = "the event is normalized, and canonical state does not have this document of it";
                let subject = Effects::key(row.ingest_id);
                examined.findings.push(Finding::of(Kind::StateMissing, row, subject, detail));
            }
        }
    }
    Ok(())
}

fn quarantine_subject(row: &LedgerRow) -> String {
    format!("{}/{}", row.key.vendor_id, row.ingest_id)
}

/// What is missing of a row's evidence, by the lists.
fn evidence(row: &LedgerRow, held: &Held) -> Option<Kind> {
    if !held.raw.contains(&row.raw_ref.key) {
        return Some(Kind::RawMissing);
    }
    match row.status {
        Status::Received | Status::Held => None,
        Status::Normalized if row.nothing.is_some() => None,
        Status::Normalized => {
            let there = row.normalized.as_ref().is_some_and(|it| held.normalized.contains(&it.r#ref.key));
            (!there).then_some(Kind::NormalizedMissing)
        }
        Status::Quarantined => {
            let there =
                held.quarantine.get(&row.ingest_id).is_some_and(|it| it.status != QuarantineStatus::Released);
            (!there).then_some(Kind::QuarantineMissing)
        }
    }
}

/// Counts a row, on the right side only if it is proved.
fn account(examined: &mut Examined, row: &LedgerRow, held: Option<&QuarantineRow>, proved: bool) {
    let count = examined.counts.entry(row.key.vendor_id.clone()).or_default();
    count.accepted += 1;
    if proved {
        match row.status {
            Status::Received => count.in_flight += 1,
            Status::Held => count.held += 1,
            Status::Normalized if row.nothing.is_some() => count.nothing_to_state += 1,
            Status::Normalized => count.normalized += 1,
            Status::Quarantined => {
                count.quarantined += 1;
                let discarded = held.is_some_and(|held| held.status == QuarantineStatus::Discarded);
                count.discarded += u64::from(discarded);
            }
        }
    }
    if let Some(note) = &row.quarantine {
        count.failed += 1;
        let drift = [Code::PayloadSchemaViolation.as_str(), Code::SchemaVersionUnknown.as_str()];
        count.drifted += u64::from(drift.contains(&note.code.as_str()));
    }
    count.late += u64::from(row.received_at.as_second() - row.occurred_at.as_second() > LATE_SECONDS);
}

/// Looks at a row and its evidence again, each by its own key; gives the row as it is now.
async fn second_look(books: &dyn Books, row: LedgerRow, examined: &mut Examined) -> Result<LedgerRow, Fault> {
    let row = match books.row_at(&row.key).await? {
        Some(now) if now.ingest_id == row.ingest_id => now,
        _ => row,
    };
    let mut proved = true;
    let mut quarantined = None;
    if books.object(&row.raw_ref).await?.is_none() {
        proved = false;
        let detail = "the ledger's raw object is not in the bucket";
        examined.findings.push(Finding::of(Kind::RawMissing, &row, &row.raw_ref.key, detail));
    }
    match row.status {
        Status::Received | Status::Held => {}
        Status::Normalized if row.nothing.is_some() => {}
        Status::Normalized => {
            let there = match &row.normalized {
                Some(normalized) => books.object(&normalized.r#ref).await?.is_some(),
                None => false,
            };
            if !there {
                proved = false;
                let key = row.normalized.as_ref().map_or("(no reference)", |it| it.r#ref.key.as_str());
                let detail = "the ledger says NORMALIZED, and the document is not in the bucket";
                examined.findings.push(Finding::of(Kind::NormalizedMissing, &row, key, detail));
            }
        }
        Status::Quarantined => {
            quarantined = books.quarantine_row(&row.key.vendor_id, row.ingest_id).await?;
            if !quarantined.as_ref().is_some_and(|it| it.status != QuarantineStatus::Released) {
                proved = false;
                let detail = "the ledger says QUARANTINED, and no quarantine row is open or discarded";
                let subject = quarantine_subject(&row);
                examined.findings.push(Finding::of(Kind::QuarantineMissing, &row, subject, detail));
            }
        }
    }
    account(examined, &row, quarantined.as_ref(), proved);
    Ok(row)
}

/// Evidence without a ledger row: a loss if Sluice went on with the event, an orphan if there is no more than its raw object.
/// Gives the vendor of an orphan.
async fn without_row(
    books: &dyn Books,
    only: Option<&VendorId>,
    id: IngestId,
    keys: &[String],
    held: &Held,
    read: bool,
    examined: &mut Examined,
) -> Result<Option<VendorId>, Fault> {
    let raw = keys.iter().find(|key| held.raw.contains(*key));
    let quarantined = held.quarantine.get(&id);
    let vendor: Option<VendorId> = raw
        .and_then(|key| key.split('/').nth(1)?.parse().ok())
        .or_else(|| quarantined.map(|row| row.vendor_id.clone()));
    let further = keys.iter().find(|key| held.normalized.contains(*key)).cloned();
    let further = further.or_else(|| quarantined.map(|row| format!("{}/{}", row.vendor_id, row.ingest_id)));
    let (class, detail) = match (raw, &vendor) {
        (Some(key), Some(vendor)) if further.is_none() && read => orphan(books, vendor, key).await?,
        _ => (Orphan::Unread, UNREAD),
    };
    // What the ledger explains was not lost; of anything else, others may know more.
    let further = match (further, &class, &vendor) {
        (None, Orphan::Uncommitted | Orphan::Opaque, Some(vendor)) => books.trace(vendor, id).await?,
        (further, _, _) => further,
    };
    if let Some(subject) = further {
        // A document's vendor is known from its raw object or not at all: of one vendor alone it cannot be told.
        if only.is_some() && vendor.is_none() {
            return Ok(None);
        }
        if let Some(vendor) = &vendor {
            examined.counts.entry(vendor.clone()).or_default().accepted += 1;
        }
        examined.findings.push(Finding {
            kind: Kind::LedgerMissing,
            vendor_id: vendor,
            ingest_id: Some(id),
            subject,
            detail: "the event was worked on, and the ledger does not have it".into(),
        });
        return Ok(None);
    }
    let (Some(key), Some(vendor)) = (raw, vendor) else { return Ok(None) };
    let count = examined.counts.entry(vendor.clone()).or_default();
    let kind = match class {
        Orphan::Conflict => {
            count.conflicts += 1;
            Kind::OrphanRaw
        }
        Orphan::Duplicate => {
            count.raced_duplicates += 1;
            Kind::OrphanRaw
        }
        Orphan::Uncommitted | Orphan::Opaque | Orphan::Unread => Kind::OrphanUnexplained,
    };
    examined.findings.push(Finding {
        kind,
        vendor_id: Some(vendor.clone()),
        ingest_id: Some(id),
        subject: key.clone(),
        detail: detail.to_owned(),
    });
    Ok(Some(vendor))
}

const UNREAD: &str = "no ledger row names it; it was not read, since there are many";

enum Orphan {
    Conflict,
    Duplicate,
    Uncommitted,
    Opaque,
    Unread,
}

async fn orphan(books: &dyn Books, vendor: &VendorId, key: &str) -> Result<(Orphan, &'static str), Fault> {
    const OPAQUE: (Orphan, &str) = (
        Orphan::Opaque,
        "no ledger row names it, and it is no envelope: a copy, refused, or its row is lost",
    );
    let Some(bytes) = books.raw_object(key).await? else { return Ok(OPAQUE) };
    let encoding = bytes.starts_with(&[0x1f, 0x8b]).then_some("gzip");
    let Ok(body) = inflate(&bytes, encoding) else { return Ok(OPAQUE) };
    let Some(envelope) = Envelope::of_accepted(&body) else { return Ok(OPAQUE) };
    let ledger_key =
        LedgerKey { vendor_id: vendor.clone(), external_event_id: envelope.external_event_id.clone() };
    Ok(match books.row_at(&ledger_key).await? {
        Some(row) if row.payload_sha256 == envelope.payload_sha256 => {
            (Orphan::Duplicate, "a copy of an event that was accepted at the same moment")
        }
        Some(_) => (Orphan::Conflict, "refused: its event was accepted before with another payload"),
        None => (
            Orphan::Uncommitted,
            "no event has its externalEventId: its request ended before the commit, or its row is lost",
        ),
    })
}

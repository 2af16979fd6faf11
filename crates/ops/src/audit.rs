//! Audit: ledger, raw objects, normalized documents, quarantine and canonical state against one
//! another, object by object, digests included.
//!
//! Works hour by hour and in parallel within one; memory is bounded by
//! [`sluice_core::books::ROWS_MAX`] rows and by [`FINDINGS_MAX`] findings.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sluice_aws::books::AwsBooks;
use sluice_core::balance::Hour;
use sluice_core::books::{Books as _, Examination, Examined, Finding, Kind};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{IngestId, VendorId};
use sluice_core::port::CanonicalStore as _;
use sluice_core::record::LedgerRow;
use sluice_core::state::{Effects, Entity, is_mergeable};

use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;
use crate::progress::Progress;

/// Most findings that are listed; beyond, they are counted by kind.
pub const FINDINGS_MAX: usize = 10_000;

/// How long a normalized event may be on its way to canonical state before that is a finding, in
/// seconds.
const APPLY_SECONDS_MAX: i64 = 900;

/// Events whose effects are read at once.
const EFFECTS_PER_READ: usize = 100;

/// What was found, and what was looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The vendor, if of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<VendorId>,
    /// Events received then or later.
    #[serde(serialize_with = "millis")]
    pub from: Timestamp,
    /// Events received before then.
    #[serde(serialize_with = "millis")]
    pub to: Timestamp,
    /// Rows of the ledger looked at.
    pub events: u64,
    /// Objects read.
    pub objects: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows of canonical state looked at.
    pub states: u64,
    /// Findings that are losses.
    pub losses: u64,
    /// Findings by kind.
    pub by_kind: BTreeMap<String, u64>,
    /// The findings.
    pub findings: Vec<Finding>,
    /// Raw objects without a ledger row: those of one vendor and one explanation are one line.
    #[serde(default)]
    pub orphans: Vec<Orphans>,
    /// More were found than are listed.
    pub truncated: bool,
}

/// Raw objects without a ledger row that are explained alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphans {
    /// The kind of finding.
    pub kind: Kind,
    /// The vendor, if its key names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<VendorId>,
    /// The explanation.
    pub detail: String,
    /// How many.
    pub objects: u64,
    /// The key of the first.
    pub example: String,
}

/// How far an audit is; it can go on from there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// The next hour to look at; `None`: only canonical state is left.
    pub next: Option<Hour>,
    /// What was found so far.
    pub report: Report,
}

impl Report {
    /// Of nothing yet.
    pub fn new(vendor_id: Option<VendorId>, from: Timestamp, to: Timestamp) -> Self {
        Self {
            vendor_id,
            from,
            to,
            events: 0,
            objects: 0,
            bytes: 0,
            states: 0,
            losses: 0,
            by_kind: BTreeMap::new(),
            findings: Vec::new(),
            orphans: Vec::new(),
            truncated: false,
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, finding: Finding) {
        // Many events speak of one entity; that its row is gone is one finding.
        let same = |held: &Finding| held.kind == finding.kind && held.subject == finding.subject;
        if matches!(finding.kind, Kind::StateMissing) && self.findings.iter().any(same) {
            return;
        }
        self.losses += u64::from(finding.kind.is_loss());
        *self.by_kind.entry(finding.kind.as_str().to_owned()).or_default() += 1;
        if matches!(finding.kind, Kind::OrphanRaw | Kind::OrphanUnexplained) {
            return self.fold(finding);
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.truncated = true;
        }
    }

    /// Adds an orphan to those that are explained alike.
    fn fold(&mut self, orphan: Finding) {
        let alike = self.orphans.iter().position(|held| {
            (held.kind, &held.vendor_id, &held.detail) == (orphan.kind, &orphan.vendor_id, &orphan.detail)
        });
        match alike {
            Some(at) => self.orphans[at].objects += 1,
            // Explanations are few, vendors may be many.
            None if self.orphans.len() >= FINDINGS_MAX => self.truncated = true,
            None => self.orphans.push(Orphans {
                kind: orphan.kind,
                vendor_id: orphan.vendor_id,
                detail: orphan.detail,
                objects: 1,
                example: orphan.subject,
            }),
        }
    }

    /// Objects of which nothing shows whether they were acknowledged.
    pub fn unexplained(&self) -> u64 {
        self.by_kind.get(Kind::OrphanUnexplained.as_str()).copied().unwrap_or_default()
    }

    /// Whether the books agree.
    ///
    /// # Errors
    /// What is lost, in words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        if self.losses == 0 {
            return Ok(());
        }
        let kinds: Vec<String> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.is_loss())
            .filter_map(|kind| {
                self.by_kind.get(kind.as_str()).map(|number| format!("{number} {}", kind.as_str()))
            })
            .collect();
        Err(OpsError::Failed(format!("the books do not agree: {}", kinds.join(", "))))
    }
}

/// What is audited.
#[derive(Debug, Clone)]
pub struct Request {
    /// Of this vendor; canonical state is then looked at from its events only.
    pub vendor: Option<VendorId>,
    /// Events received then or later; `None` means from the first.
    pub from: Option<Timestamp>,
    /// Events received before then; `None` means now.
    pub to: Option<Timestamp>,
    /// Objects read at once.
    pub parallel: usize,
}

/// Audits. `held` is where an earlier audit of the same request stopped; `record` is told after
/// each hour how far this one is.
///
/// # Errors
/// When a service does not answer, and what `record` gives. Books that do not agree are none: see
/// [`Report::verdict`].
pub async fn audit<E: From<OpsError>>(
    cloud: &Cloud,
    request: &Request,
    held: Option<Checkpoint>,
    progress: &dyn Progress,
    record: &mut (dyn FnMut(&Checkpoint) -> Result<(), E> + Send),
) -> Result<Report, E> {
    let books = cloud.books();
    let books = match cloud.state_machine_arn(&cloud.names().recover).await? {
        Some(machine) => books.with_recoveries(cloud.sdk(), &machine),
        None => books,
    };
    let now = Timestamp::now();
    let mut checkpoint = match held {
        Some(held) => held,
        None => {
            let first = books.first_received().await.map_err(OpsError::from)?.unwrap_or(now);
            let from = request.from.map_or(first, |from| from.max(first));
            let to = request.to.unwrap_or(now).min(now);
            let report = Report::new(request.vendor.clone(), from, to);
            Checkpoint { next: (from < to).then(|| Hour::of(from)), report }
        }
    };
    let (from, to) = (checkpoint.report.from, checkpoint.report.to);
    let vendors = match &request.vendor {
        Some(vendor) => vec![vendor.clone()],
        None => books.vendors().await.map_err(OpsError::from)?,
    };
    let total_seconds = (to.as_second() - from.as_second()).max(1);
    while let Some(hour) = checkpoint.next {
        let percent = (hour.start().as_second() - from.as_second()).max(0) * 100 / total_seconds;
        progress.say(&format!(
            "{percent:>3} %  {hour}  {}, {}",
            count(checkpoint.report.events),
            sluice_core::canonical::count(checkpoint.report.findings.len(), "finding")
        ));
        let (start, end) = (hour.start().max(from), hour.end().min(to));
        let mut examination = Examination::new(&books, &vendors, request.vendor.as_ref(), start, end);
        while let Some(piece) = examination.next().await.map_err(OpsError::from)? {
            look(cloud, &books, piece, request.parallel, now, &mut checkpoint.report).await?;
        }
        checkpoint.next = Some(hour.next()).filter(|next| next.start() < to);
        record(&checkpoint)?;
    }
    let mut report = checkpoint.report;
    if request.vendor.is_none() {
        progress.say("canonical state");
        states(cloud, &books, request.parallel, &mut report).await?;
    }
    report.findings.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    Ok(report)
}

fn count(number: u64) -> String {
    sluice_core::canonical::count(usize::try_from(number).unwrap_or(usize::MAX), "event")
}

/// What reading one event's objects gave.
#[derive(Default)]
struct Read {
    objects: u64,
    bytes: u64,
    findings: Vec<Finding>,
}

async fn look(
    cloud: &Cloud,
    books: &AwsBooks,
    piece: Examined,
    parallel: usize,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), OpsError> {
    report.events += piece.rows.len() as u64;
    piece.findings.into_iter().for_each(|finding| report.add(finding));
    let mut reads =
        futures::stream::iter(&piece.rows).map(|row| digests(books, row)).buffer_unordered(parallel);
    while let Some(read) = reads.try_next().await? {
        report.objects += read.objects;
        report.bytes += read.bytes;
        read.findings.into_iter().for_each(|finding| report.add(finding));
    }
    drop(reads);
    let normalized: Vec<(&LedgerRow, Said)> =
        piece.rows.iter().filter_map(|row| Said::of(row).map(|said| (row, said))).collect();
    let mut reads = futures::stream::iter(normalized.chunks(EFFECTS_PER_READ))
        .map(|chunk| effects(cloud, chunk, now))
        .buffer_unordered(parallel.min(4));
    while let Some((states, findings)) = reads.try_next().await? {
        report.states += states;
        findings.into_iter().for_each(|finding| report.add(finding));
    }
    Ok(())
}

/// What canonical state must have of an event.
struct Said {
    sha256: Sha256Hex,
    at: Timestamp,
    /// An event that never said anything has no row of effects.
    nothing: bool,
}

impl Said {
    fn of(row: &LedgerRow) -> Option<Self> {
        let sha256 = row.document_sha256()?;
        match (&row.normalized, &row.nothing) {
            (Some(normalized), _) if is_mergeable(&normalized.event_type) => {
                Some(Self { sha256, at: normalized.at, nothing: false })
            }
            (None, Some(nothing)) => Some(Self { sha256, at: nothing.at, nothing: true }),
            _ => None,
        }
    }
}

/// A finding about an event.
pub fn finding(kind: Kind, row: &LedgerRow, subject: String, detail: String) -> Finding {
    Finding {
        kind,
        vendor_id: Some(row.key.vendor_id.clone()),
        ingest_id: Some(row.ingest_id),
        subject,
        detail,
    }
}

/// Reads an event's objects and hashes them. One that is missing was found missing already.
async fn digests(books: &AwsBooks, row: &LedgerRow) -> Result<Read, OpsError> {
    let mut read = Read::default();
    let raw = (Kind::RawDigest, &row.raw_ref, &row.raw_sha256);
    let document = row.normalized.as_ref();
    let document = document.map(|it| (Kind::NormalizedDigest, &it.r#ref, &it.sha256));
    for (kind, at, sha256) in std::iter::once(raw).chain(document) {
        let Some(bytes) = books.object(at).await? else { continue };
        read.objects += 1;
        read.bytes += bytes.len() as u64;
        let actual = Sha256Hex::of(&bytes);
        if actual == *sha256 {
            continue;
        }
        // A replay may have written it this moment: then the ledger says so now.
        let now = books.row_at(&row.key).await?;
        let again = now.and_then(|now| now.normalized).is_some_and(|now| now.sha256 == actual);
        if kind == Kind::RawDigest || !again {
            let detail = format!("the object has the digest {actual}, the ledger says {sha256}");
            read.findings.push(finding(kind, row, at.key.clone(), detail));
        }
    }
    Ok(read)
}

/// Whether normalized events are in canonical state; gives how many state rows were looked at.
async fn effects(
    cloud: &Cloud,
    events: &[(&LedgerRow, Said)],
    now: Timestamp,
) -> Result<(u64, Vec<Finding>), OpsError> {
    let canonical = cloud.canonical();
    let ids: Vec<IngestId> = events.iter().map(|(row, _)| row.ingest_id).collect();
    let held: BTreeMap<IngestId, Effects> = canonical
        .read(&ids, &[])
        .await?
        .effects
        .into_iter()
        .map(|effects| (effects.ingest_id, effects))
        .collect();
    let mut findings = Vec::new();
    let mut entities: BTreeMap<Entity, &LedgerRow> = BTreeMap::new();
    for (row, said) in events {
        let on_its_way = now - SignedDuration::from_secs(APPLY_SECONDS_MAX) < said.at;
        match held.get(&row.ingest_id) {
            Some(effects) => {
                if !on_its_way && (!effects.done || effects.sha256 != said.sha256) {
                    let detail =
                        "canonical state has another document of this event, or a part of it".to_owned();
                    findings.push(finding(Kind::StateMissing, row, Effects::key(row.ingest_id), detail));
                }
                if effects.done {
                    for entity in canonical.entities(effects).await? {
                        entities.entry(entity).or_insert(row);
                    }
                }
            }
            None if on_its_way || said.nothing => {}
            None => {
                let detail = "the event is normalized and was never applied to canonical state".to_owned();
                findings.push(finding(Kind::StateMissing, row, Effects::key(row.ingest_id), detail));
            }
        }
    }
    let wanted: Vec<Entity> = entities.keys().cloned().collect();
    let states = canonical.read(&[], &wanted).await?.states;
    let there: BTreeSet<&Entity> = states.iter().map(|state| &state.entity).collect();
    for (entity, row) in entities.iter().filter(|(entity, _)| !there.contains(entity)) {
        let detail = "an applied event speaks of it, and it has no row in canonical state".to_owned();
        findings.push(finding(Kind::StateMissing, row, entity.to_string(), detail));
    }
    Ok((states.len() as u64, findings))
}

/// Whether every row of canonical state comes from an event that the ledger has.
async fn states(
    cloud: &Cloud,
    books: &AwsBooks,
    parallel: usize,
    report: &mut Report,
) -> Result<(), OpsError> {
    let canonical = cloud.canonical();
    let mut after: Option<Entity> = None;
    loop {
        let (states, next) = canonical.page(after.as_ref()).await?;
        let (from, to) = (report.from, report.to);
        let sources =
            states.into_iter().filter_map(|state| state.last.map(|last| (state.entity, last.ingest_id)));
        let within = sources.filter(|(_, id)| from <= id.received_at() && id.received_at() < to);
        let mut reads = futures::stream::iter(within)
            .map(|(entity, id)| async move { Ok::<_, OpsError>((entity, id, books.row(id).await?)) })
            .buffer_unordered(parallel);
        while let Some((entity, id, row)) = reads.try_next().await? {
            if row.is_none() {
                report.add(Finding {
                    kind: Kind::StateOrphan,
                    vendor_id: None,
                    ingest_id: Some(id),
                    subject: entity.to_string(),
                    detail: "its last statement is of an event that the ledger does not have".into(),
                });
            }
        }
        drop(reads);
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::testing::ledger_row;

    fn report() -> Report {
        let from: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let mut report = Report::new(None, from, "2026-11-21T10:00:00Z".parse().unwrap());
        (report.events, report.objects, report.bytes, report.states) = (3, 6, 1_200, 2);
        report
    }

    fn found(kind: Kind, subject: &str) -> Finding {
        finding(kind, &ledger_row("NORMALIZED"), subject.into(), "words".into())
    }

    #[test]
    fn one_row_that_is_gone_is_one_finding() {
        let mut report = report();
        report.add(found(Kind::StateMissing, "inventory#A#1"));
        report.add(found(Kind::StateMissing, "inventory#A#1"));
        report.add(found(Kind::StateMissing, "inventory#A#2"));
        assert_eq!((report.losses, report.findings.len()), (2, 2));
    }

    #[test]
    fn findings_beyond_the_bound_are_counted() {
        let mut report = report();
        for number in 0..=FINDINGS_MAX {
            report.add(found(Kind::RawDigest, &format!("raw/{number}")));
        }
        assert_eq!((report.findings.len(), report.truncated), (FINDINGS_MAX, true));
        assert_eq!(report.losses, FINDINGS_MAX as u64 + 1);
    }
}

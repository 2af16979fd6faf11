//! `sluice audit`: ledger, raw objects, normalized documents, quarantine and canonical state against one another, object by
//! object, digests included.
//!
//! Works hour by hour and in parallel within one; memory is bounded by [`sluice_core::books::ROWS_MAX`] rows and by
//! [`FINDINGS_MAX`] findings. With `--resume` what was done is recorded after each hour.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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

use crate::args::AuditArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, millis, paint};

/// Most findings that are listed; beyond, they are counted by kind.
const FINDINGS_MAX: usize = 10_000;

/// How long a normalized event may be on its way to canonical state before that is a finding, in seconds.
const APPLY_SECONDS_MAX: i64 = 900;

/// Events whose effects are read at once.
const EFFECTS_PER_READ: usize = 100;

/// What was found, and what was looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vendor_id: Option<VendorId>,
    #[serde(serialize_with = "millis")]
    from: Timestamp,
    #[serde(serialize_with = "millis")]
    to: Timestamp,
    events: u64,
    objects: u64,
    bytes: u64,
    states: u64,
    losses: u64,
    by_kind: BTreeMap<String, u64>,
    findings: Vec<Finding>,
    /// Raw objects without a ledger row: those of one vendor and one explanation are one line.
    #[serde(default)]
    orphans: Vec<Orphans>,
    /// More were found than are listed.
    truncated: bool,
}

/// Raw objects without a ledger row that are explained alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Orphans {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vendor_id: Option<VendorId>,
    detail: String,
    objects: u64,
    /// The key of the first.
    example: String,
}

/// The file of `--resume`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkpoint {
    /// The next hour to look at; `None`: only canonical state is left.
    next: Option<Hour>,
    report: Report,
}

impl Report {
    fn new(vendor_id: Option<VendorId>, from: Timestamp, to: Timestamp) -> Self {
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

    fn add(&mut self, finding: Finding) {
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
    fn unexplained(&self) -> u64 {
        self.by_kind.get(Kind::OrphanUnexplained.as_str()).copied().unwrap_or_default()
    }

    fn verdict(&self) -> Result<(), CliError> {
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
        Err(CliError::Failed(format!("the books do not agree: {}", kinds.join(", "))))
    }
}

impl Checkpoint {
    /// What the file says, if it is of the same audit.
    fn read(path: &Path, vendor: Option<&VendorId>) -> Result<Option<Self>, CliError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CliError::ReadFile { path: path.to_owned(), source }),
        };
        let invalid = |problem: String| CliError::InvalidFile {
            path: path.to_owned(),
            problem,
            hint: Some("name another file, or remove this one to begin anew".into()),
        };
        let held: Self = serde_json::from_str(&text)
            .map_err(|error| invalid(format!("is no record of an audit: {error}")))?;
        if held.report.vendor_id.as_ref() != vendor {
            return Err(invalid("is the record of an audit of other vendors".into()));
        }
        Ok(Some(held))
    }

    /// Whole or not at all: a crash leaves the record of the hour before.
    fn write(&self, path: &Path) -> Result<(), CliError> {
        let beside: PathBuf = path.with_extension("tmp");
        let text = serde_json::to_vec(self).map_err(std::io::Error::other);
        text.and_then(|text| std::fs::write(&beside, text))
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|source| CliError::Local {
                message: format!("failed to write {}", path.display()),
                hint: None,
                source: Some(Box::new(source)),
            })
    }
}

/// Audits.
pub async fn run(args: &AuditArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let books = cloud.books();
    let books = match cloud.state_machine_arn(&cloud.names().recover).await? {
        Some(machine) => books.with_recoveries(cloud.sdk(), &machine),
        None => books,
    };
    let now = Timestamp::now();
    let held = args.resume.as_deref().map(|path| Checkpoint::read(path, args.vendor.as_ref())).transpose()?;
    let mut checkpoint = match held.flatten() {
        Some(held) => {
            output.remark(&format!("going on after {} looked at", count(held.report.events)));
            held
        }
        None => {
            let first = books.first_received().await?.unwrap_or(now);
            let from = args.from.map_or(first, |from| from.resolve(now).max(first));
            let to = args.to.map_or(now, |to| to.resolve(now)).min(now);
            let report = Report::new(args.vendor.clone(), from, to);
            Checkpoint { next: (from < to).then(|| Hour::of(from)), report }
        }
    };
    let (from, to) = (checkpoint.report.from, checkpoint.report.to);
    let vendors = match &args.vendor {
        Some(vendor) => vec![vendor.clone()],
        None => books.vendors().await?,
    };
    let progress = output.progress("auditing");
    let total_seconds = (to.as_second() - from.as_second()).max(1);
    while let Some(hour) = checkpoint.next {
        let percent = (hour.start().as_second() - from.as_second()).max(0) * 100 / total_seconds;
        progress.say(format!(
            "{percent:>3} %  {hour}  {}, {}",
            count(checkpoint.report.events),
            sluice_core::canonical::count(checkpoint.report.findings.len(), "finding")
        ));
        let (start, end) = (hour.start().max(from), hour.end().min(to));
        let mut examination = Examination::new(&books, &vendors, args.vendor.as_ref(), start, end);
        while let Some(piece) = examination.next().await? {
            look(cloud, &books, piece, args.parallel as usize, now, &mut checkpoint.report).await?;
        }
        checkpoint.next = Some(hour.next()).filter(|next| next.start() < to);
        if let Some(path) = &args.resume {
            checkpoint.write(path)?;
        }
    }
    let mut report = checkpoint.report;
    if args.vendor.is_none() {
        progress.say("canonical state");
        states(cloud, &books, args.parallel as usize, &mut report).await?;
    }
    drop(progress);
    report.findings.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    output.document(&report)?;
    if let Some(path) = &args.resume {
        // It is done: the same command begins anew.
        let _ = std::fs::remove_file(path);
    }
    report.verdict()
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
) -> Result<(), CliError> {
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

fn finding(kind: Kind, row: &LedgerRow, subject: String, detail: String) -> Finding {
    Finding {
        kind,
        vendor_id: Some(row.key.vendor_id.clone()),
        ingest_id: Some(row.ingest_id),
        subject,
        detail,
    }
}

/// Reads an event's objects and hashes them. One that is missing was found missing already.
async fn digests(books: &AwsBooks, row: &LedgerRow) -> Result<Read, CliError> {
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
) -> Result<(u64, Vec<Finding>), CliError> {
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
) -> Result<(), CliError> {
    let canonical = cloud.canonical();
    let mut after: Option<Entity> = None;
    loop {
        let (states, next) = canonical.page(after.as_ref()).await?;
        let (from, to) = (report.from, report.to);
        let sources =
            states.into_iter().filter_map(|state| state.last.map(|last| (state.entity, last.ingest_id)));
        let within = sources.filter(|(_, id)| from <= id.received_at() && id.received_at() < to);
        let mut reads = futures::stream::iter(within)
            .map(|(entity, id)| async move { Ok::<_, CliError>((entity, id, books.row(id).await?)) })
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

impl View for Report {
    fn text(&self, page: &Page) -> String {
        let mut text = String::new();
        if !self.findings.is_empty() || !self.orphans.is_empty() || !page.terminal {
            let rows = self.findings.iter().map(|finding| {
                let tone = if finding.kind.is_loss() { Tone::Bad } else { Tone::Warn };
                vec![
                    Cell::new(tone, finding.kind.as_str()),
                    finding.vendor_id.as_ref().map(ToString::to_string).unwrap_or_default().into(),
                    finding.ingest_id.map(|id| id.to_string()).unwrap_or_default().into(),
                    (&finding.subject).into(),
                    (&finding.detail).into(),
                ]
            });
            let orphans = self.orphans.iter().map(|orphans| {
                let what = match orphans.objects {
                    1 => orphans.example.clone(),
                    objects => format!("{objects} raw objects, such as {}", orphans.example),
                };
                vec![
                    Cell::new(Tone::Warn, orphans.kind.as_str()),
                    orphans.vendor_id.as_ref().map(ToString::to_string).unwrap_or_default().into(),
                    "".into(),
                    what.into(),
                    (&orphans.detail).into(),
                ]
            });
            let rows = rows.chain(orphans).collect();
            text = page.table(&["KIND", "VENDOR", "INGEST ID", "WHAT", "DETAIL"], rows);
        }
        if page.terminal {
            let (tone, words) = match self.losses {
                0 if self.unexplained() > 0 => (
                    Tone::Warn,
                    format!(
                        "nothing is known to be missing; of {} nothing shows whether it was acknowledged",
                        sluice_core::canonical::count(
                            usize::try_from(self.unexplained()).unwrap_or(usize::MAX),
                            "raw object"
                        )
                    ),
                ),
                0 => (Tone::Good, "nothing is missing".to_owned()),
                losses => (Tone::Bad, format!("{losses} of them losses")),
            };
            let found: u64 = self.by_kind.values().sum();
            let more = if self.truncated { ", not all listed" } else { "" };
            let sum = format!(
                "{}, {} objects, {} bytes, {} state rows: {found} found{more}, {words}.",
                count(self.events),
                self.objects,
                self.bytes,
                self.states
            );
            text.push_str(&format!("{}\n", paint(tone, sum)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::command::show::tests::ledger_row;
    use crate::output::testing::{in_pipe, json, on_terminal};

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
    fn an_orphan_is_no_loss() {
        let mut report = report();
        assert!(report.verdict().is_ok());
        report.add(found(Kind::OrphanRaw, "raw/k"));
        assert!(report.verdict().is_ok());
        report.add(found(Kind::RawMissing, "raw/k"));
        let error = report.verdict().unwrap_err();
        assert_eq!(error.to_string(), "the books do not agree: 1 raw_missing");
        assert_eq!(error.kind(), crate::error::ExitKind::Failed);
        insta::assert_snapshot!(on_terminal(&report), @"
         KIND         VENDOR   INGEST ID                   WHAT   DETAIL 
         raw_missing  vendorA  01KAJ3Y3R00000000000000001  raw/k  words
         orphan_raw   vendorA                              raw/k  words
        3 events, 6 objects, 1200 bytes, 2 state rows: 2 found, 1 of them losses.
        ");
        assert_eq!(in_pipe(&report).lines().count(), 3, "a header and the findings");
        let document: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(document["byKind"], serde_json::json!({"orphan_raw": 1, "raw_missing": 1}));
        assert_eq!((&document["losses"], &document["from"]), (&1.into(), &"2026-11-21T09:00:00.000Z".into()));
        assert_eq!(
            document["findings"][0],
            serde_json::json!({"kind": "raw_missing", "vendorId": "vendorA", "ingestId": "01KAJ3Y3R00000000000000001",
                "subject": "raw/k", "detail": "words"})
        );
    }

    #[test]
    fn orphans_that_are_explained_alike_are_one_line() {
        let mut report = report();
        for number in 0..3_000 {
            report.add(found(Kind::OrphanRaw, &format!("raw/{number}")));
        }
        assert_eq!((report.orphans.len(), report.findings.len(), report.truncated), (1, 0, false));
        assert_eq!(in_pipe(&report).lines().count(), 2, "a header and a line");
        assert!(on_terminal(&report).contains("3000 raw objects, such as raw/0"), "{}", on_terminal(&report));
        assert!(on_terminal(&report).contains("nothing is missing"));
        let document: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(
            document["orphans"],
            serde_json::json!([{"kind": "orphan_raw", "vendorId": "vendorA", "detail": "words", "objects": 3_000,
                "example": "raw/0"}])
        );

        // What is not explained is no loss that is known, and not said to be none.
        report.add(found(Kind::OrphanUnexplained, "raw/x"));
        assert!(report.verdict().is_ok());
        let text = on_terminal(&report);
        assert!(
            !text.contains("nothing is missing") && text.contains("of 1 raw object nothing shows"),
            "{text}"
        );
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

    #[test]
    fn a_record_is_gone_on_from_only_by_the_same_audit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.json");
        assert!(Checkpoint::read(&path, None).unwrap().is_none());
        let mut report = report();
        report.add(found(Kind::RawMissing, "raw/k"));
        Checkpoint { next: Some("2026-11-21T09".parse().unwrap()), report }.write(&path).unwrap();
        let held = Checkpoint::read(&path, None).unwrap().unwrap();
        assert_eq!((held.report.events, held.report.losses, held.report.findings.len()), (3, 1, 1));
        let other = Checkpoint::read(&path, Some(&"vendorA".parse().unwrap())).unwrap_err();
        assert_eq!(other.kind(), crate::error::ExitKind::Usage);
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(Checkpoint::read(&path, None).unwrap_err().kind(), crate::error::ExitKind::Usage);
    }
}

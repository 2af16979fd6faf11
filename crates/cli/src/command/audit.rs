//! `sluice audit`: ledger, raw objects, normalized documents, quarantine and canonical state
//! against one another, object by object, digests included.
//!
//! With `--resume` what was done is recorded after each hour.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sluice_core::id::VendorId;
use sluice_ops::audit::{self, Checkpoint, Report, Request};

use crate::args::AuditArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// What the file says, if it is of the same audit.
fn read(path: &Path, vendor: Option<&VendorId>) -> Result<Option<Checkpoint>, CliError> {
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
    let held: Checkpoint =
        serde_json::from_str(&text).map_err(|error| invalid(format!("is no record of an audit: {error}")))?;
    if held.report.vendor_id.as_ref() != vendor {
        return Err(invalid("is the record of an audit of other vendors".into()));
    }
    Ok(Some(held))
}

/// Whole or not at all: a crash leaves the record of the hour before.
fn write(checkpoint: &Checkpoint, path: &Path) -> Result<(), CliError> {
    let beside: PathBuf = path.with_extension("tmp");
    let text = serde_json::to_vec(checkpoint).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&beside, text)).and_then(|()| std::fs::rename(&beside, path)).map_err(
        |source| CliError::Local {
            message: format!("failed to write {}", path.display()),
            hint: None,
            source: Some(Box::new(source)),
        },
    )
}

/// Audits.
pub async fn run(args: &AuditArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let held = args.resume.as_deref().map(|path| read(path, args.vendor.as_ref())).transpose()?.flatten();
    if let Some(held) = &held {
        output.remark(&format!("going on after {} looked at", count(held.report.events)));
    }
    let now = Timestamp::now();
    let request = Request {
        vendor: args.vendor.clone(),
        from: args.from.map(|from| from.resolve(now)),
        to: args.to.map(|to| to.resolve(now)),
        parallel: args.parallel as usize,
    };
    let progress = output.progress("auditing");
    let report = audit::audit(cloud, &request, held, &progress, &mut |checkpoint| {
        args.resume.as_deref().map_or(Ok(()), |path| write(checkpoint, path))
    })
    .await?;
    drop(progress);
    output.document(&report)?;
    if let Some(path) = &args.resume {
        // It is done: the same command begins anew.
        let _ = std::fs::remove_file(path);
    }
    Ok(report.verdict()?)
}

fn count(number: u64) -> String {
    sluice_core::canonical::count(usize::try_from(number).unwrap_or(usize::MAX), "event")
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

    use sluice_core::books::{Finding, Kind};
    use sluice_ops::audit::finding;
    use sluice_ops::testing::ledger_row;

    use super::*;
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
        assert_eq!(CliError::from(error).kind(), crate::error::ExitKind::Failed);
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
    fn a_record_is_gone_on_from_only_by_the_same_audit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.json");
        assert!(read(&path, None).unwrap().is_none());
        let mut report = report();
        report.add(found(Kind::RawMissing, "raw/k"));
        write(&Checkpoint { next: Some("2026-11-21T09".parse().unwrap()), report }, &path).unwrap();
        let held = read(&path, None).unwrap().unwrap();
        assert_eq!((held.report.events, held.report.losses, held.report.findings.len()), (3, 1, 1));
        let other = read(&path, Some(&"vendorA".parse().unwrap())).unwrap_err();
        assert_eq!(other.kind(), crate::error::ExitKind::Usage);
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(read(&path, None).unwrap_err().kind(), crate::error::ExitKind::Usage);
    }
}

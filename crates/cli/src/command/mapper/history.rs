//! `sluice mapper history`: who changed a vendor's mappers when, and why.

use serde::Serialize;
use sluice_core::bundle::{ChangeKind, MapperChange};
use sluice_core::port::MapperPointers as _;

use crate::args::HistoryArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable, time_cell};

#[derive(Debug, Serialize)]
struct History {
    /// Oldest first.
    changes: Vec<MapperChange>,
}

/// Runs the command.
pub(super) async fn run(args: &HistoryArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let changes = cloud.vendors().history(&args.vendor, args.event_type.as_ref()).await?;
    if changes.is_empty() {
        let of = args.event_type.as_ref().map(|event_type| format!(" for {event_type}")).unwrap_or_default();
        return Err(CliError::not_found(format!("{} has never had a mapper{of}", args.vendor))
            .with_hint("`sluice mapper ls` lists vendors and event types"));
    }
    output.document(&History { changes })
}

fn what(change: &MapperChange) -> Cell {
    let tone = match change.kind {
        ChangeKind::Activate | ChangeKind::Promote => Tone::Good,
        ChangeKind::Canary => Tone::Plain,
        ChangeKind::Rollback => Tone::Warn,
        ChangeKind::AutoRollback => Tone::Bad,
    };
    let share = match (&change.canary, change.kind) {
        (Some(canary), ChangeKind::Canary) => format!(" {} %", canary.percent),
        _ => String::new(),
    };
    let forced = if change.forced.is_some() { ", forced" } else { "" };
    Cell::new(tone, format!("{}{share}{forced}", change.kind.as_str()))
}

fn why(change: &MapperChange) -> String {
    let mut text = format!("{}: {}", change.by, change.reason);
    if let Some(forced) = &change.forced {
        text.push_str(&format!(" (overruled: {forced})"));
    }
    if let Some(counts) = change.counts.filter(|_| change.kind == ChangeKind::Rollback) {
        text.push_str(&format!(" (candidate: {} quarantined, active: {})", counts.candidate, counts.active));
    }
    printable(&text)
}

impl View for History {
    fn text(&self, page: &Page) -> String {
        let short = |digest: Option<&str>| match digest {
            Some(digest) if page.terminal => digest[..12].to_owned(),
            Some(digest) => digest.to_owned(),
            None => "-".to_owned(),
        };
        let rows = self.changes.iter().map(|change| {
            vec![
                time_cell(page, change.at),
                change.event_type.as_str().into(),
                change.revision.to_string().into(),
                what(change),
                Cell::new(Tone::Dim, short(change.from.as_ref().map(|from| from.as_str()))),
                short(Some(change.to.as_str())).into(),
                why(change).into(),
            ]
        });
        let table = page.table(&["AT", "TYPE", "REVISION", "WHAT", "FROM", "TO", "BY"], rows.collect());
        match self
            .changes
            .last()
            .and_then(|last| last.canary.as_ref().filter(|_| last.kind == ChangeKind::Canary))
        {
            Some(canary) if page.terminal => format!(
                "{table}{}\n",
                paint(
                    Tone::Dim,
                    format!(
                        "A canary is on. `normalize` takes it back if, after {} events, it quarantines over {} points more than the active mapper.",
                        canary.min_events, canary.margin
                    )
                )
            ),
            _ => table,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::bundle::{ArmCounts, Canary, CanaryCounts};
    use sluice_core::digest::Sha256Hex;

    use super::*;
    use crate::output::testing::{json, on_terminal};

    fn change(kind: ChangeKind, revision: u64) -> MapperChange {
        MapperChange {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            revision,
            kind,
            at: "2026-11-21T09:58:00Z".parse().unwrap(),
            by: "ada".into(),
            reason: "qty was renamed".into(),
            from: (revision > 1).then(|| Sha256Hex::of(b"active")),
            to: Sha256Hex::of(b"candidate"),
            canary: None,
            counts: None,
            forced: None,
        }
    }

    fn canary() -> Canary {
        Canary {
            bundle: Sha256Hex::of(b"candidate"),
            percent: "10".parse().unwrap(),
            since: "2026-11-21T09:58:00Z".parse().unwrap(),
            by: "ada".into(),
            reason: "qty was renamed".into(),
            min_events: 20,
            margin: "1".parse().unwrap(),
        }
    }

    #[test]
    fn the_story_is_told() {
        let counts = CanaryCounts {
            candidate: ArmCounts { events: 20, failed: 3 },
            active: ArmCounts { events: 180, failed: 0 },
        };
        let history = History {
            changes: vec![
                change(ChangeKind::Activate, 1),
                MapperChange {
                    canary: Some(canary()),
                    forced: Some("shadow: 3 of 1000 newly broken".into()),
                    ..change(ChangeKind::Canary, 2)
                },
                MapperChange {
                    by: "sluice-normalize".into(),
                    reason: "3 of 20 (15.00 %) quarantined".into(),
                    counts: Some(counts),
                    from: Some(Sha256Hex::of(b"candidate")),
                    to: Sha256Hex::of(b"active"),
                    canary: Some(canary()),
                    ..change(ChangeKind::AutoRollback, 3)
                },
                MapperChange { counts: Some(counts), ..change(ChangeKind::Rollback, 4) },
            ],
        };
        insta::assert_snapshot!(on_terminal(&history), @"");
        insta::assert_snapshot!(json(&History { changes: history.changes[1..3].to_vec() }), @"");
    }
}

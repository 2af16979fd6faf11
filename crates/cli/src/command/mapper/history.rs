//! `sluice mapper history`: who changed a vendor's mappers when, and why.

use sluice_core::bundle::{ChangeKind, MapperChange, Verdict};
use sluice_ops::mappers::{self, History, Trial};

use crate::args::HistoryArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable, time_cell};

/// Runs the command.
pub(super) async fn run(args: &HistoryArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    output.document(&mappers::history(cloud, &args.vendor, args.event_type.as_ref()).await?)
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
        let mut text = page.table(&["AT", "TYPE", "REVISION", "WHAT", "FROM", "TO", "BY"], rows.collect());
        if page.terminal {
            for trial in &self.trials {
                text.push_str(&sentence(trial));
            }
        }
        text
    }
}

fn sentence(trial: &Trial) -> String {
    let Trial { event_type, canary, counts, verdict } = trial;
    let (tone, so) = match verdict {
        Verdict::Watching => (Tone::Dim, format!("Judged after {} events of its own", canary.min_events)),
        Verdict::Passing => {
            (Tone::Good, "It does no worse: `sluice mapper promote` makes it the active one".to_owned())
        }
        Verdict::Failed => (Tone::Bad, "It does worse, and is being taken back".to_owned()),
    };
    let text = format!(
        "A canary of {event_type} is on at {} %. Quarantined: candidate {}, active {}; margin {} points. {so}.",
        canary.percent, counts.candidate, counts.active, canary.margin
    );
    format!("{}\n", paint(tone, text))
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
            trials: vec![Trial {
                event_type: "inventory_update".parse().unwrap(),
                canary: canary(),
                counts: CanaryCounts {
                    candidate: ArmCounts { events: 20, failed: 0 },
                    active: counts.active,
                },
                verdict: Verdict::Passing,
            }],
        };
        insta::assert_snapshot!(on_terminal(&history), @"
         AT                        TYPE              REVISION  WHAT                 FROM          TO            BY                                                                                         
         2026-11-21 09:58:00.000Z  inventory_update  1         activate             -             dda18a0e21ae  ada: qty was renamed
         2026-11-21 09:58:00.000Z  inventory_update  2         canary 10 %, forced  96879611650f  dda18a0e21ae  ada: qty was renamed (overruled: shadow: 3 of 1000 newly broken)
         2026-11-21 09:58:00.000Z  inventory_update  3         auto-rollback        dda18a0e21ae  96879611650f  sluice-normalize: 3 of 20 (15.00 %) quarantined
         2026-11-21 09:58:00.000Z  inventory_update  4         rollback             96879611650f  dda18a0e21ae  ada: qty was renamed (candidate: 3 of 20 (15.00 %) quarantined, active: 0 of 180 (0.00 %))
        A canary of inventory_update is on at 10 %. Quarantined: candidate 0 of 20 (0.00 %), active 0 of 180 (0.00 %); margin 1 points. It does no worse: `sluice mapper promote` makes it the active one.
        ");
        insta::assert_snapshot!(json(&History { changes: history.changes[1..3].to_vec(), trials: vec![] }), @r#"
        {
          "changes": [
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "revision": 2,
              "kind": "canary",
              "at": "2026-11-21T09:58:00.000Z",
              "by": "ada",
              "reason": "qty was renamed",
              "from": "96879611650f80a81392a52e0db9b0237669087c4518e1c130e541a505e0eeef",
              "to": "dda18a0e21ae47c53b4309434cbc02ae8bf764fa83a6defbb719431242722aa7",
              "canary": {
                "bundle": "dda18a0e21ae47c53b4309434cbc02ae8bf764fa83a6defbb719431242722aa7",
                "percent": 10,
                "since": "2026-11-21T09:58:00.000Z",
                "by": "ada",
                "reason": "qty was renamed",
                "minEvents": 20,
                "margin": 1
              },
              "forced": "shadow: 3 of 1000 newly broken"
            },
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "revision": 3,
              "kind": "auto-rollback",
              "at": "2026-11-21T09:58:00.000Z",
              "by": "sluice-normalize",
              "reason": "3 of 20 (15.00 %) quarantined",
              "from": "dda18a0e21ae47c53b4309434cbc02ae8bf764fa83a6defbb719431242722aa7",
              "to": "96879611650f80a81392a52e0db9b0237669087c4518e1c130e541a505e0eeef",
              "canary": {
                "bundle": "dda18a0e21ae47c53b4309434cbc02ae8bf764fa83a6defbb719431242722aa7",
                "percent": 10,
                "since": "2026-11-21T09:58:00.000Z",
                "by": "ada",
                "reason": "qty was renamed",
                "minEvents": 20,
                "margin": 1
              },
              "counts": {
                "candidate": {
                  "events": 20,
                  "failed": 3
                },
                "active": {
                  "events": 180,
                  "failed": 0
                }
              }
            }
          ],
          "trials": []
        }
        "#);
    }
}

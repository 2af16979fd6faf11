//! `sluice drift`: how vendors' messages differ from their contracts and from what they were.

use jiff::Timestamp;
use sluice_core::drift::Finding;
use sluice_ops::drift::{self, Drift, Filter};

use crate::args::DriftArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable, time_cell};

/// Runs the command.
pub async fn run(args: &DriftArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let filter = Filter {
        vendor: args.vendor.clone(),
        breaking: args.breaking,
        since: args.since.map(|since| since.resolve(Timestamp::now())),
    };
    output.document(&drift::list(cloud, &filter).await?)
}

fn weight(finding: &Finding) -> Cell {
    match (finding.breaking, finding.declared) {
        (true, _) => Cell::new(Tone::Bad, "breaking"),
        (false, true) => Cell::new(Tone::Warn, "in contract"),
        (false, false) => Cell::new(Tone::Dim, "harmless"),
    }
}

impl View for Drift {
    fn text(&self, page: &Page) -> String {
        let mut text = String::new();
        if self.findings.is_empty() && page.terminal {
            text.push_str(&format!(
                "{}\n",
                paint(Tone::Good, "No drift: messages are as their contracts and their past have them.")
            ));
        } else {
            let rows = self.findings.iter().map(|finding| {
                let bundle = finding.bundle.as_str();
                vec![
                    weight(finding),
                    finding.vendor_id.as_str().into(),
                    finding.event_type.as_str().into(),
                    finding.schema_version.as_str().into(),
                    time_cell(page, finding.first_seen_at),
                    time_cell(page, finding.last_seen_at),
                    finding.objects.to_string().into(),
                    finding.example.to_string().into(),
                    Cell::new(Tone::Dim, if page.terminal { &bundle[..12] } else { bundle }),
                    finding.code.as_deref().unwrap_or("-").into(),
                    printable(&finding.sentence()).into(),
                ]
            });
            let header = [
                "WEIGHT",
                "VENDOR",
                "TYPE",
                "SCHEMA",
                "FIRST SEEN",
                "LAST SEEN",
                "SEEN",
                "EXAMPLE",
                "MAPPER",
                "CAUSE",
                "WHAT",
            ];
            text.push_str(&page.table(&header, rows.collect()));
        }
        if !page.terminal {
            return text;
        }
        for profile in &self.profiles {
            let truncated = if profile.truncated { ", some not followed" } else { "" };
            text.push_str(&paint(
                Tone::Dim,
                format!(
                    "{} {} {}: {} fields in {} messages looked at{truncated}",
                    profile.vendor_id,
                    profile.event_type,
                    profile.schema_version,
                    profile.fields,
                    profile.events
                ),
            ));
            text.push('\n');
        }
        for one in &self.unprofiled {
            let line = format!("{} {}: no profile, {}", one.vendor_id, one.event_type, one.why);
            text.push_str(&format!("{}\n", paint(Tone::Dim, line)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::digest::Sha256Hex;
    use sluice_core::drift::{FindingKind, Type};
    use sluice_ops::drift::{Profile, Unprofiled};

    use super::*;
    use crate::output::testing::{json, on_terminal};

    #[test]
    fn what_drifts_is_told() {
        let finding = Finding {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            id: "0123456789abcdef".into(),
            kind: FindingKind::Renamed,
            path: "/qty".into(),
            renamed_to: Some("/quantity".into()),
            similarity_percent: Some(70),
            expected: vec![Type::Integer],
            found: vec![Type::Integer],
            breaking: true,
            declared: true,
            objects: 3,
            example: "01KCZ00000000000000000000A".parse().unwrap(),
            first_seen_at: "2026-11-21T09:58:00Z".parse().unwrap(),
            last_seen_at: "2026-11-21T09:59:00Z".parse().unwrap(),
            schema_version: "1".parse().unwrap(),
            bundle: Sha256Hex::of(b"manifest"),
            code: Some("payload_schema_violation".into()),
        };
        let profile = Profile {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            schema_version: "1".parse().unwrap(),
            events: 120,
            fields: 5,
            truncated: false,
            last_seen_at: Some("2026-11-21T09:59:00Z".parse().unwrap()),
        };
        let feed = Unprofiled {
            vendor_id: "feed".parse().unwrap(),
            event_type: "stock".parse().unwrap(),
            why: "CSV has none: its fields have no names",
        };
        let drift = Drift { findings: vec![finding], profiles: vec![profile], unprofiled: vec![feed] };
        insta::assert_snapshot!(on_terminal(&drift), @"
         WEIGHT    VENDOR   TYPE              SCHEMA  FIRST SEEN                LAST SEEN                 SEEN  EXAMPLE                     MAPPER        CAUSE                     WHAT                                        
         breaking  vendorA  inventory_update  1       2026-11-21 09:58:00.000Z  2026-11-21 09:59:00.000Z  3     01KCZ00000000000000000000A  05b3abf2579a  payload_schema_violation  /qty seems to be /quantity now (70 % alike)
        vendorA inventory_update 1: 5 fields in 120 messages looked at
        feed stock: no profile, CSV has none: its fields have no names
        ");
        insta::assert_snapshot!(json(&drift), @r#"
        {
          "findings": [
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "id": "0123456789abcdef",
              "kind": "renamed",
              "path": "/qty",
              "renamedTo": "/quantity",
              "similarityPercent": 70,
              "expected": [
                "integer"
              ],
              "found": [
                "integer"
              ],
              "breaking": true,
              "declared": true,
              "objects": 3,
              "example": "01KCZ00000000000000000000A",
              "firstSeenAt": "2026-11-21T09:58:00.000Z",
              "lastSeenAt": "2026-11-21T09:59:00.000Z",
              "schemaVersion": "1",
              "bundle": "05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f",
              "code": "payload_schema_violation"
            }
          ],
          "profiles": [
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "schemaVersion": "1",
              "events": 120,
              "fields": 5,
              "truncated": false,
              "lastSeenAt": "2026-11-21T09:59:00.000Z"
            }
          ],
          "unprofiled": [
            {
              "vendorId": "feed",
              "eventType": "stock",
              "why": "CSV has none: its fields have no names"
            }
          ]
        }
        "#);
        let none = Drift { findings: vec![], profiles: vec![], unprofiled: vec![] };
        assert!(on_terminal(&none).starts_with("No drift"));
    }
}

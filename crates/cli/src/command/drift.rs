//! `sluice drift`: how vendors' messages differ from their contracts and from what they were.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::contract::Format;
use sluice_core::drift::{Finding, Track, TrackKey};
use sluice_core::id::{EventType, SchemaVersion, VendorId};
use sluice_core::port::VendorDirectory as _;

use crate::args::DriftArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, millis, paint, printable, time_cell};

#[derive(Debug, Serialize)]
struct Drift {
    /// Those that break something first, then the newest.
    findings: Vec<Finding>,
    profiles: Vec<Profile>,
    /// Event types with an active mapper of which no profile is kept.
    unprofiled: Vec<Unprofiled>,
}

/// What is known of one event type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    vendor_id: VendorId,
    event_type: EventType,
    schema_version: SchemaVersion,
    /// Events that were looked at: a sample where there are many.
    events: u64,
    fields: usize,
    /// Some fields are not followed.
    truncated: bool,
    #[serde(serialize_with = "optional_millis", skip_serializing_if = "Option::is_none")]
    last_seen_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unprofiled {
    vendor_id: VendorId,
    event_type: EventType,
    why: &'static str,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn optional_millis<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// Runs the command.
pub async fn run(args: &DriftArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let vendors = cloud.vendors();
    if let Some(vendor) = &args.vendor
        && vendors.profile(vendor).await?.is_none()
    {
        return Err(CliError::not_found(format!("there is no vendor {vendor}"))
            .with_hint("`sluice vendors ls` lists them"));
    }
    let drift = cloud.drift().list(args.vendor.as_ref()).await?;
    let since = args.since.map(|since| since.resolve(Timestamp::now()));
    let mut findings = drift.findings;
    findings.retain(|finding| {
        (finding.breaking || !args.breaking) && since.is_none_or(|since| finding.last_seen_at >= since)
    });
    findings
        .sort_by(|a, b| (b.breaking, b.last_seen_at, &a.path).cmp(&(a.breaking, a.last_seen_at, &b.path)));
    let profiled: BTreeSet<(VendorId, EventType)> =
        drift.tracks.iter().map(|(key, _)| (key.vendor_id.clone(), key.event_type.clone())).collect();
    let mut unprofiled = Vec::new();
    for active in vendors.list_mappers().await? {
        let why = match active.contract.payload.format {
            Format::Json => "no message yet",
            Format::Csv => "CSV has none: its fields have no names",
            Format::X12 => "X12 has none: its fields have no names",
        };
        let (vendor_id, event_type) = (active.contract.vendor_id, active.contract.event_type);
        let wanted = args.vendor.as_ref().is_none_or(|vendor| *vendor == vendor_id);
        if wanted && !profiled.contains(&(vendor_id.clone(), event_type.clone())) {
            unprofiled.push(Unprofiled { vendor_id, event_type, why });
        }
    }
    unprofiled.sort_by(|a, b| (&a.vendor_id, &a.event_type).cmp(&(&b.vendor_id, &b.event_type)));
    let mut profiles: Vec<Profile> = drift.tracks.into_iter().map(Profile::from).collect();
    profiles.sort_by(|a, b| {
        (&a.vendor_id, &a.event_type, &a.schema_version).cmp(&(
            &b.vendor_id,
            &b.event_type,
            &b.schema_version,
        ))
    });
    output.document(&Drift { findings, profiles, unprofiled })
}

impl From<(TrackKey, Track)> for Profile {
    fn from((key, track): (TrackKey, Track)) -> Self {
        let fields: BTreeSet<&String> = track.past.fields.keys().chain(track.recent.fields.keys()).collect();
        Self {
            events: track.past.events + track.recent.events,
            // Without the root.
            fields: fields.len().saturating_sub(1),
            truncated: track.past.truncated || track.recent.truncated || track.left_out > 0,
            last_seen_at: track.last_seen_at,
            vendor_id: key.vendor_id,
            event_type: key.event_type,
            schema_version: key.schema_version,
        }
    }
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

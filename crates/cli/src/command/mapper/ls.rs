//! `sluice mapper ls`: which bundle maps what now.

use sluice_ops::mappers::{self, Mapper, MapperList};

use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable, time_cell};

/// Runs the command.
pub(super) async fn run(cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    output.document(&mappers::list(cloud).await?)
}

fn trial(mapper: &Mapper) -> String {
    mapper.canary.as_ref().map_or_else(String::new, |canary| {
        format!(" (on trial: {} at {} %)", &canary.bundle.as_str()[..12], canary.percent)
    })
}

impl View for MapperList {
    fn text(&self, page: &Page) -> String {
        if self.mappers.is_empty() && page.terminal {
            let none = "No mappers. `sluice mapper publish BUNDLE_DIR` publishes one.";
            return format!("{}\n", paint(Tone::Dim, none));
        }
        let rows = self.mappers.iter().map(|mapper| {
            let bundle = mapper.bundle.as_str();
            let bundle = if page.terminal { &bundle[..12] } else { bundle };
            vec![
                mapper.vendor_id.as_str().into(),
                mapper.event_type.as_str().into(),
                format!("{} {}", mapper.canonical.r#type, mapper.canonical.version).into(),
                mapper.revision.to_string().into(),
                Cell::new(Tone::Dim, bundle),
                time_cell(page, mapper.activated_at),
                printable(&format!("{}: {}{}", mapper.activated_by, mapper.reason, trial(mapper))).into(),
            ]
        });
        page.table(&["VENDOR", "TYPE", "MAPS TO", "REVISION", "BUNDLE", "ACTIVATED", "BY"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::contract::CanonicalRef;
    use sluice_core::digest::Sha256Hex;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

    #[test]
    fn a_list_of_mappers() {
        let mapper = Mapper {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            canonical: CanonicalRef {
                r#type: "InventoryUpdated".parse().unwrap(),
                version: "1.0".parse().unwrap(),
            },
            bundle: Sha256Hex::of(b"manifest"),
            revision: 3,
            activated_at: "2026-11-21T09:58:00Z".parse().unwrap(),
            activated_by: "ops".into(),
            reason: "fix".into(),
            canary: None,
        };
        let list = MapperList { mappers: vec![mapper] };
        insta::assert_snapshot!(on_terminal(&list), @"
        VENDOR   TYPE              MAPS TO               REVISION  BUNDLE        ACTIVATED                 BY       
        vendorA  inventory_update  InventoryUpdated 1.0  3         05b3abf2579a  2026-11-21 09:58:00.000Z  ops: fix
        ");
        insta::assert_snapshot!(in_pipe(&list), @"
        vendor	type	maps to	revision	bundle	activated	by
        vendorA	inventory_update	InventoryUpdated 1.0	3	05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f	2026-11-21T09:58:00.000Z	ops: fix
        ");
        insta::assert_snapshot!(json(&list), @r#"
        {
          "mappers": [
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "canonical": {
                "type": "InventoryUpdated",
                "version": "1.0"
              },
              "bundle": "05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f",
              "revision": 3,
              "activatedAt": "2026-11-21T09:58:00.000Z",
              "activatedBy": "ops",
              "reason": "fix"
            }
          ]
        }
        "#);
    }
}

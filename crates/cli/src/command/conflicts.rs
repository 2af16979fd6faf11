//! `sluice conflicts`: messages that came under an identity which another payload has, and what a
//! person makes of them.

use sluice_ops::conflicts::{self, Acceptances, ConflictList, State};
use sluice_ops::quarantine::resolution;

use crate::args::ConflictsCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, time_cell};

/// Runs a subcommand.
pub async fn run(command: ConflictsCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        ConflictsCommand::Ls { vendor, all, limit } => {
            output.document(&conflicts::list(cloud, vendor.as_ref(), all, limit as usize).await?)
        }
        ConflictsCommand::Accept { ingest_ids, reason, by } => {
            let resolution = resolution(by.who()?, reason);
            let accepted = conflicts::accept(cloud, &ingest_ids, &resolution).await?;
            output.document(&accepted)?;
            Ok(accepted.verdict()?)
        }
    }
}

impl View for ConflictList {
    fn text(&self, page: &Page) -> String {
        if self.conflicts.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Good, "No conflicts wait for a decision."));
        }
        let rows = self.conflicts.iter().map(|conflict| {
            let (tone, state) = match conflict.state {
                State::Refused => (Tone::Bad, "REFUSED"),
                State::Kept => (Tone::Warn, "KEPT"),
                State::Accepted => (Tone::Good, "ACCEPTED"),
            };
            vec![
                conflict.ingest_id.map(|id| id.to_string()).unwrap_or_default().into(),
                Cell::new(tone, state),
                (&conflict.vendor_id).into(),
                (&conflict.external_event_id).into(),
                conflict.held_by.to_string().into(),
                time_cell(page, conflict.at),
            ]
        });
        let mut text = page.table(
            &["INGEST ID", "STATE", "VENDOR", "EXTERNAL ID", "CONFLICTS WITH", "WHEN"],
            rows.collect(),
        );
        if self.more && page.terminal {
            text.push_str(&paint(Tone::Dim, "There are more: --limit or --vendor.\n"));
        }
        text
    }
}

impl View for Acceptances {
    fn text(&self, page: &Page) -> String {
        let rows = self.accepted.iter().map(|it| {
            let outcome = if it.now {
                Cell::new(Tone::Good, "accepted")
            } else {
                Cell::new(Tone::Dim, format!("accepted before by {}", it.resolution.by))
            };
            vec![it.ingest_id.to_string().into(), outcome, (&it.message).into()]
        });
        page.table(&["INGEST ID", "OUTCOME", "MESSAGE"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;
    use sluice_core::record::Divergence;
    use sluice_ops::conflicts::listed;

    use super::*;
    use crate::output::testing::{json as shown, on_terminal};

    fn rows() -> Vec<Divergence> {
        let row = |n: u8, more: serde_json::Value| {
            let mut row = json!({"subject": format!("ledger#vendorA#e#{n}"), "id": format!("conflict#{n}"), "kind": "duplicate_with_different_payload",
                "ingestId": "01KAJ3Y3R00000000000000001", "payloadSha256": "0".repeat(64),
                "refusedPayloadSha256": "1".repeat(64), "at": format!("2026-11-21T09:5{n}:00.000Z"),
                "refusedRawRef": {"bucket": "raw", "key": format!("raw/vendorA/2026/11/21/01KAJ3Y3R0000000000000000{n}.json")}});
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(row).unwrap()
        };
        vec![
            row(7, json!({})),
            row(8, json!({"kept": true})),
            row(9, json!({"accepted": {"by": "ops", "reason": "real", "at": "2026-11-21T10:00:00.000Z"}})),
        ]
    }

    #[test]
    fn what_waits_is_listed_and_with_all_what_was_decided() {
        let states = |all: bool| -> Vec<State> {
            listed(rows(), None, all, 10).conflicts.iter().map(|it| it.state).collect()
        };
        assert_eq!(states(false), [State::Kept, State::Refused]);
        assert_eq!(states(true), [State::Accepted, State::Kept, State::Refused]);
        assert!(listed(rows(), Some(&"vendorB".parse().unwrap()), true, 10).conflicts.is_empty());
        assert!(listed(rows(), None, true, 2).more);
        let first: serde_json::Value =
            serde_json::from_str(&shown(&listed(rows(), None, false, 10))).unwrap();
        let kept = &first["conflicts"][0];
        assert_eq!(
            (&kept["ingestId"], &kept["externalEventId"], &kept["state"], &kept["heldBy"]),
            (
                &json!("01KAJ3Y3R00000000000000008"),
                &json!("e#8"),
                &json!("KEPT"),
                &json!("01KAJ3Y3R00000000000000001")
            )
        );
        let text = on_terminal(&listed(rows(), None, false, 10));
        assert!(text.contains("REFUSED") && text.contains("01KAJ3Y3R00000000000000007"), "{text}");
    }
}

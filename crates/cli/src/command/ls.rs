//! `sluice ls`: the latest events.

use jiff::Timestamp;
use sluice_core::record::Status;
use sluice_ops::events::{self, EventList, Filter};

use super::status_cell;
use crate::args::LsArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, time_cell};

/// Lists the latest events.
pub async fn run(args: &LsArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let filter = Filter {
        statuses: args.status.iter().map(|status| Status::from(*status)).collect(),
        vendor: args.vendor.clone(),
        since: args.since.map(|since| since.resolve(Timestamp::now())),
        limit: args.limit as usize,
        ..Filter::default()
    };
    output.document(&events::list(cloud, &filter).await?)
}

impl View for EventList {
    fn text(&self, page: &Page) -> String {
        if self.events.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Dim, "No events."));
        }
        let rows = self.events.iter().map(|event| {
            let result = match (&event.cause, &event.canonical_type, &event.nothing) {
                (Some(cause), ..) => Cell::new(Tone::Warn, &cause.code),
                (None, Some(canonical), _) => canonical.into(),
                (None, None, Some(nothing)) => Cell::new(Tone::Dim, format!("nothing: {}", nothing.code)),
                (None, None, None) => "".into(),
            };
            vec![
                event.ingest_id.to_string().into(),
                status_cell(event.status),
                (&event.vendor_id).into(),
                (&event.external_event_id).into(),
                (&event.event_type).into(),
                result,
                time_cell(page, event.received_at),
            ]
        });
        let mut text = page.table(
            &["INGEST ID", "STATUS", "VENDOR", "EXTERNAL ID", "TYPE", "RESULT", "RECEIVED"],
            rows.collect(),
        );
        if self.more && page.terminal {
            text.push_str(&format!(
                "{}\n",
                paint(Tone::Dim, "… there are more: --limit, --since, --vendor, --status")
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::record::LedgerRow;
    use sluice_ops::events::merged;
    use sluice_ops::testing::ledger_row;

    use crate::output::testing::{in_pipe, json, on_terminal};

    fn row(id: u8, status: &str, received_at: &str) -> LedgerRow {
        let mut row = ledger_row(status);
        row.ingest_id = format!("01KAJ3Y3R0000000000000000{id}").parse().unwrap();
        row.received_at = received_at.parse().unwrap();
        row.updated_at = row.received_at;
        row
    }

    #[test]
    fn partitions_are_merged_newest_first() {
        let mut quarantined = row(2, "QUARANTINED", "2026-11-21T09:00:02Z");
        quarantined.quarantine = Some(
            serde_json::from_value(
                serde_json::json!({"code": "mapper_refused", "message": "m", "at": "2026-11-21T09:00:03Z"}),
            )
            .unwrap(),
        );
        let mut normalized = row(3, "NORMALIZED", "2026-11-21T09:00:03Z");
        normalized.nothing = Some(
            serde_json::from_value(serde_json::json!({
                "code": "draft", "message": "m", "bundle": "b".repeat(64), "fuel": 7, "at": "2026-11-21T09:00:04Z"
            }))
            .unwrap(),
        );
        let rows =
            vec![vec![row(1, "RECEIVED", "2026-11-21T09:00:01Z")], Vec::new(), vec![normalized, quarantined]];
        let list = merged(rows.clone(), 2);
        assert!(list.more);
        insta::assert_snapshot!(on_terminal(&list), @"
         INGEST ID                   STATUS       VENDOR   EXTERNAL ID  TYPE              RESULT          RECEIVED                 
         01KAJ3Y3R00000000000000003  NORMALIZED   vendorA  evt-1        inventory_update  nothing: draft  2026-11-21 09:00:03.000Z
         01KAJ3Y3R00000000000000002  QUARANTINED  vendorA  evt-1        inventory_update  mapper_refused  2026-11-21 09:00:02.000Z
        … there are more: --limit, --since, --vendor, --status
        ");
        insta::assert_snapshot!(in_pipe(&merged(rows.clone(), 3)), @"
        ingest id	status	vendor	external id	type	result	received
        01KAJ3Y3R00000000000000003	NORMALIZED	vendorA	evt-1	inventory_update	nothing: draft	2026-11-21T09:00:03.000Z
        01KAJ3Y3R00000000000000002	QUARANTINED	vendorA	evt-1	inventory_update	mapper_refused	2026-11-21T09:00:02.000Z
        01KAJ3Y3R00000000000000001	RECEIVED	vendorA	evt-1	inventory_update		2026-11-21T09:00:01.000Z
        ");
        insta::assert_snapshot!(json(&merged(vec![rows[2][1..].to_vec()], 3)), @r#"
        {
          "events": [
            {
              "ingestId": "01KAJ3Y3R00000000000000002",
              "vendorId": "vendorA",
              "externalEventId": "evt-1",
              "eventType": "inventory_update",
              "schemaVersion": "1",
              "status": "QUARANTINED",
              "occurredAt": "2026-11-21T08:00:00.000Z",
              "receivedAt": "2026-11-21T09:00:02.000Z",
              "updatedAt": "2026-11-21T09:00:02.000Z",
              "cause": {
                "code": "mapper_refused",
                "message": "m"
              }
            }
          ],
          "more": false
        }
        "#);
    }
}

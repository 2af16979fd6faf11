//! `sluice divergence`: where statements of vendors contradict each other, with both values.

use serde_json::{Value, json};
use sluice_ops::divergence::{self, Claim, DivergenceList, Filter, Row};

use crate::args::DivergenceCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// Runs a subcommand.
pub async fn run(command: DivergenceCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        DivergenceCommand::Ls { subject, kind, limit } => {
            let list = divergence::list(cloud, &Filter { subject, kind }, limit as usize).await?;
            output.document(&list)
        }
    }
}

impl View for DivergenceList {
    fn text(&self, page: &Page) -> String {
        if self.divergence.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Good, "No statements contradict each other."));
        }
        let rows = self.divergence.iter().map(|row| {
            let at: Cell = if page.terminal {
                page.ago(row.at()).into()
            } else {
                sluice_core::id::rfc3339(row.at()).into()
            };
            let (subject, ingest_id, what) = match row {
                Row::State(row) => {
                    let claim = |claim: &Claim| {
                        let held = claim.held.as_ref().map_or(json!(null), Value::clone);
                        format!("{}: held {held}, stated {}", claim.member, claim.stated)
                    };
                    let claims: Vec<String> = row.claims.iter().map(claim).collect();
                    (&row.subject, row.said.ingest_id(), claims.join("; "))
                }
                Row::Submission(row) => {
                    let what =
                        format!("refused s3://{}/{}", row.refused_raw_ref.bucket, row.refused_raw_ref.key);
                    (&row.subject, row.ingest_id, what)
                }
            };
            vec![
                Cell::new(Tone::Warn, row.kind()),
                subject.into(),
                ingest_id.to_string().into(),
                at,
                what.into(),
            ]
        });
        let mut text = page.table(&["KIND", "SUBJECT", "INGEST ID", "WHEN", "WHAT"], rows.collect());
        if self.more && page.terminal {
            text.push_str(&paint(Tone::Dim, "There are more: --limit, --subject or --kind.\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::record::DivergenceRow;
    use sluice_ops::divergence::listed;

    use crate::output::testing::{json, on_terminal};

    #[test]
    fn both_kinds_of_rows_are_read_and_shown() {
        let state = serde_json::json!({
            "subject": "inventory#ROA#A", "id": "01KAJ3Y3R00000000000000002#0000#stale", "kind": "stale", "vendorId": "vendorA",
            "ingestId": "01KAJ3Y3R00000000000000002", "eventType": "InventoryUpdated", "occurredAt": "2026-11-21T09:00:00Z",
            "source": "01KAJ3Y3R00000000000000002#0000", "at": "2026-11-21T09:59:00.000Z",
            "claims": [{"member": "quantityOnHand", "held": "5", "stated": "4",
                "heldBy": {"occurredAt": "2026-11-21T09:30:00Z", "source": "01KAJ3Y3R00000000000000001#0000"}}]
        });
        let submission = serde_json::json!({
            "subject": "ledger#vendorA#e-1", "id": "conflict#x", "kind": "duplicate_with_different_payload",
            "ingestId": "01KAJ3Y3R00000000000000001", "payloadSha256": "0".repeat(64), "refusedPayloadSha256": "1".repeat(64),
            "refusedRawRef": {"bucket": "sluice-raw", "key": "raw/k"}, "at": "2026-11-21T09:58:00.000Z"
        });
        let rows = [submission, state].map(|row| serde_json::from_value::<DivergenceRow>(row).unwrap());
        let list = listed(rows.into(), 10);
        insta::assert_snapshot!(on_terminal(&list), @"
        KIND                              SUBJECT             INGEST ID                   WHEN       WHAT                             
        stale                             inventory#ROA#A     01KAJ3Y3R00000000000000002  60 s ago   quantityOnHand: held 5, stated 4
        duplicate_with_different_payload  ledger#vendorA#e-1  01KAJ3Y3R00000000000000001  2 min ago  refused s3://sluice-raw/raw/k
        ");
        insta::assert_snapshot!(json(&list), @r#"
        {
          "divergence": [
            {
              "subject": "inventory#ROA#A",
              "id": "01KAJ3Y3R00000000000000002#0000#stale",
              "kind": "stale",
              "vendorId": "vendorA",
              "eventType": "InventoryUpdated",
              "occurredAt": "2026-11-21T09:00:00Z",
              "ingestId": "01KAJ3Y3R00000000000000002",
              "line": 0,
              "at": "2026-11-21T09:59:00.000Z",
              "claims": [
                {
                  "member": "quantityOnHand",
                  "held": 5,
                  "heldBy": {
                    "occurredAt": "2026-11-21T09:30:00Z",
                    "ingestId": "01KAJ3Y3R00000000000000001",
                    "line": 0
                  },
                  "stated": 4
                }
              ]
            },
            {
              "subject": "ledger#vendorA#e-1",
              "id": "conflict#x",
              "kind": "duplicate_with_different_payload",
              "ingestId": "01KAJ3Y3R00000000000000001",
              "payloadSha256": "0000000000000000000000000000000000000000000000000000000000000000",
              "refusedPayloadSha256": "1111111111111111111111111111111111111111111111111111111111111111",
              "refusedRawRef": {
                "bucket": "sluice-raw",
                "key": "raw/k"
              },
              "at": "2026-11-21T09:58:00.000Z"
            }
          ],
          "more": false
        }
        "#);
    }
}

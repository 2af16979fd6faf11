//! `sluice show`: everything that is known of one event, with its stored bytes checked against the
//! ledger's digests.

use sluice_core::digest::Sha256Hex;
use sluice_core::record::{QuarantineStatus, Status};
use sluice_ops::event::{self, Content, EventLife, NormalizedDocument};

use super::cause_text;
use crate::args::ShowArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint, pretty, printable, section, time};

/// Longest request shown on a terminal, in bytes.
const SHOWN_BYTES_MAX: usize = 4_096;

/// Shows one event. A stored object that is not what the ledger says is an error, after everything
/// was shown.
pub async fn run(args: &ShowArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    if args.raw && !output.is_json() {
        return output.bytes(&event::raw_bytes(cloud, args.ingest_id).await?);
    }
    if args.normalized && !output.is_json() {
        return output.bytes(&event::normalized_bytes(cloud, args.ingest_id).await?);
    }
    let life = event::life(cloud, args.ingest_id).await?;
    output.document(&life)?;
    let problems = life.problems();
    if problems.is_empty() { Ok(()) } else { Err(CliError::Failed(problems.join("; "))) }
}

impl View for EventLife {
    fn text(&self, page: &Page) -> String {
        let tone = match self.status {
            Status::Received | Status::Held => Tone::Warn,
            Status::Normalized => Tone::Good,
            Status::Quarantined => Tone::Bad,
        };
        let mut text = format!(
            "{}  {}\n",
            paint(Tone::Strong, self.ingest_id.to_string()),
            paint(tone, self.status.as_str())
        );
        let mut list =
            vec![("vendor", self.vendor_id.clone()), ("external id", printable(&self.external_event_id))];
        list.extend(self.delivery_id.as_ref().map(|id| ("delivery id", printable(id))));
        list.extend([
            ("type", format!("{} {}", self.event_type, self.schema_version)),
            ("occurred", format!("{}  ({})", time(self.occurred_at), page.ago(self.occurred_at))),
        ]);
        text.push_str(&fields(list));

        let steps = self.lifecycle.iter().map(|step| {
            let tone = match step.stage {
                "normalized" | "released" | "accepted" => Tone::Good,
                "quarantined" => Tone::Bad,
                _ => Tone::Plain,
            };
            format!(
                "  {}  {}  {}\n",
                time(step.at),
                paint(tone, format!("{:11}", step.stage)),
                printable(&step.detail)
            )
        });
        text.push_str(&section("Life cycle", &steps.collect::<String>()));
        text.push_str(&section("Raw request", &raw_text(self)));
        if let Some(normalized) = &self.normalized {
            text.push_str(&section("Normalized", &normalized_text(normalized)));
        }
        if let Some(nothing) = &self.nothing {
            let rows = [
                ("code", nothing.code.clone()),
                ("reason", printable(&nothing.message)),
                ("bundle", format!("{}, {} fuel", nothing.bundle, nothing.fuel)),
            ];
            text.push_str(&section("Nothing to state", &fields(rows)));
        }
        if let Some(state) = &self.canonical_state {
            let entities = state.entities.iter().map(|entity| format!("  {}\n", printable(entity.as_str())));
            text.push_str(&section("Canonical state", &entities.collect::<String>()));
        }
        if let Some(quarantine) = &self.quarantine {
            let heading = match quarantine.status {
                QuarantineStatus::Open => "Quarantined",
                QuarantineStatus::Released => "Was quarantined",
                QuarantineStatus::Discarded => "Quarantined, discarded",
            };
            text.push_str(&section(heading, &cause_text(&quarantine.cause, page)));
        }
        if let Some(execution) = &self.execution {
            let mut list = vec![
                ("execution", execution.arn.clone()),
                ("status", format!("{}, {}", execution.status, redriven(execution.redrive_count))),
            ];
            list.extend(execution.redrive_reason.clone().map(|reason| ("redrive", printable(&reason))));
            list.extend(execution.link.clone().map(|link| ("console", link)));
            text.push_str(&section("Recovery", &fields(list)));
            // Of a row that was released or discarded a redrive brings nothing about.
            let waits = self.quarantine.as_ref().is_some_and(|row| row.status == QuarantineStatus::Open);
            if page.terminal && execution.redrivable && waits {
                let local = if self.local { " --local" } else { "" };
                let next = paint(Tone::Dim, "next:");
                let id = self.ingest_id;
                let held = self.hold.as_ref().is_some_and(|hold| hold.accepted.is_none());
                text.push_str(&match held {
                    true => format!(
                        "\n{next} sluice{local} conflicts accept {id} --reason …, or quarantine discard {id} --reason …\n"
                    ),
                    false => format!("\n{next} mend the cause, then sluice{local} redrive {id} --wait\n"),
                });
            }
        }
        text
    }
}

fn raw_text(life: &EventLife) -> String {
    let raw = &life.raw;
    let encoding = raw.content_encoding.as_deref().map(|name| format!(", {name}")).unwrap_or_default();
    let mut text = fields([
        ("object", format!("s3://{}/{}", raw.at.bucket, raw.at.key)),
        ("content", printable(&format!("{} bytes, {}{encoding}", raw.bytes, raw.content_type))),
        ("sha256", checked(&raw.sha256, raw.problem.as_deref())),
    ]);
    match &raw.content {
        Some(Content::Text(content)) if content.len() <= SHOWN_BYTES_MAX => {
            text.push_str(&indented(printable(content).trim_end()));
        }
        Some(Content::Text(_) | Content::Base64(_)) => {
            text.push_str(&format!(
                "  {}\n",
                paint(Tone::Dim, format!("(sluice show {} --raw writes the bytes)", life.ingest_id))
            ));
        }
        None => {}
    }
    text
}

fn normalized_text(normalized: &NormalizedDocument) -> String {
    let object = &normalized.at_object;
    let mut text = fields([
        ("object", format!("s3://{}/{}", object.bucket, object.key)),
        ("sha256", checked(&normalized.sha256, normalized.problem.as_deref())),
        ("bundle", format!("{}, {} fuel", normalized.bundle, normalized.fuel)),
    ]);
    for document in &normalized.documents {
        text.push_str(&indented(&pretty(document)));
    }
    text
}

fn redriven(count: i32) -> String {
    match count {
        0 => "never redriven".into(),
        1 => "redriven once".into(),
        _ => format!("redriven {count} times"),
    }
}

fn checked(sha256: &Sha256Hex, problem: Option<&str>) -> String {
    match problem {
        None => format!("{sha256}  {}", paint(Tone::Good, "verified")),
        Some(problem) => format!("{sha256}\n{}", paint(Tone::Bad, printable(problem))),
    }
}

fn indented(block: &str) -> String {
    block.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sluice_ops::event::assemble;
    use sluice_ops::testing::{NORMALIZED, RAW, execution, ledger_row, normalized_row, quarantine_row};

    use crate::output::testing::{json as document, on_terminal};

    fn bytes(text: &str) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_normalized_event() {
        let shown = assemble(normalized_row(), bytes(RAW), Some(bytes(NORMALIZED)), None, None, true);
        insta::assert_snapshot!(on_terminal(&shown), @r#"
        01KAJ3Y3R00000000000000001  NORMALIZED
          vendor       vendorA
          external id  evt-1
          type         inventory_update 1
          occurred     2026-11-21 08:00:00.000Z  (2 h ago)

        Life cycle
          2026-11-21 09:58:00.000Z  received     43 bytes of inventory_update 1
          2026-11-21 09:58:01.000Z  normalized   1 event of InventoryUpdated 1.0 by bundle bbbbbbbbbbbb…

        Raw request
          object   s3://sluice-raw/raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json
          content  43 bytes, application/json
          sha256   be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4  verified
            {"vendorId":"vendorA","payload":{"qty":12}}

        Normalized
          object  s3://sluice-normalized/normalized/InventoryUpdated/2026/11/21/01KAJ3Y3R00000000000000001.json
          sha256  f46ef8c71b89e984c7db7b7e512e40ad8c0d0489d477dcd5719b95101afc8c6c  verified
          bundle  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, 4242 fuel
            {
              "data": {
                "sku": "ABC-001"
              },
              "eventType": "InventoryUpdated"
            }
        "#);
        insta::assert_snapshot!(document(&shown), @r#"
        {
          "ingestId": "01KAJ3Y3R00000000000000001",
          "vendorId": "vendorA",
          "externalEventId": "evt-1",
          "eventType": "inventory_update",
          "schemaVersion": "1",
          "status": "NORMALIZED",
          "occurredAt": "2026-11-21T08:00:00.000Z",
          "receivedAt": "2026-11-21T09:58:00.000Z",
          "updatedAt": "2026-11-21T09:58:01.000Z",
          "payloadSha256": "1111111111111111111111111111111111111111111111111111111111111111",
          "lifecycle": [
            {
              "at": "2026-11-21T09:58:00.000Z",
              "stage": "received",
              "detail": "43 bytes of inventory_update 1"
            },
            {
              "at": "2026-11-21T09:58:01.000Z",
              "stage": "normalized",
              "detail": "1 event of InventoryUpdated 1.0 by bundle bbbbbbbbbbbb…"
            }
          ],
          "raw": {
            "bucket": "sluice-raw",
            "key": "raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json",
            "sha256": "be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4",
            "bytes": 43,
            "contentType": "application/json",
            "verified": true,
            "text": "{\"vendorId\":\"vendorA\",\"payload\":{\"qty\":12}}"
          },
          "normalized": {
            "bucket": "sluice-normalized",
            "key": "normalized/InventoryUpdated/2026/11/21/01KAJ3Y3R00000000000000001.json",
            "sha256": "f46ef8c71b89e984c7db7b7e512e40ad8c0d0489d477dcd5719b95101afc8c6c",
            "verified": true,
            "eventType": "InventoryUpdated",
            "schemaVersion": "1.0",
            "bundle": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "fuel": 4242,
            "at": "2026-11-21T09:58:01.000Z",
            "documents": [
              {
                "data": {
                  "sku": "ABC-001"
                },
                "eventType": "InventoryUpdated"
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn a_quarantined_event_has_its_cause_and_its_execution() {
        let shown = assemble(
            ledger_row("QUARANTINED"),
            bytes(RAW),
            None,
            Some(quarantine_row("OPEN", 1)),
            Some(execution("FAILED", 0)),
            true,
        );
        insta::assert_snapshot!(on_terminal(&shown), @r#"
        01KAJ3Y3R00000000000000001  QUARANTINED
          vendor       vendorA
          external id  evt-1
          type         inventory_update 1
          occurred     2026-11-21 08:00:00.000Z  (2 h ago)

        Life cycle
          2026-11-21 09:58:00.000Z  received     43 bytes of inventory_update 1
          2026-11-21 09:58:02.000Z  quarantined  payload_schema_violation: the payload has 1 fault

        Raw request
          object   s3://sluice-raw/raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json
          content  43 bytes, application/json
          sha256   be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4  verified
            {"vendorId":"vendorA","payload":{"qty":12}}

        Quarantined
          cause    payload_schema_violation
          message  the payload has 1 fault
          error    Rejected

         WHERE  CODE  WHAT                                
         /qty   type  must be of type integer, not string

        Recovery
          execution  arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0
          status     FAILED, never redriven

        next: mend the cause, then sluice --local redrive 01KAJ3Y3R00000000000000001 --wait
        "#);
        insta::assert_snapshot!(document(&shown), @r#"
        {
          "ingestId": "01KAJ3Y3R00000000000000001",
          "vendorId": "vendorA",
          "externalEventId": "evt-1",
          "eventType": "inventory_update",
          "schemaVersion": "1",
          "status": "QUARANTINED",
          "occurredAt": "2026-11-21T08:00:00.000Z",
          "receivedAt": "2026-11-21T09:58:00.000Z",
          "updatedAt": "2026-11-21T09:58:01.000Z",
          "payloadSha256": "1111111111111111111111111111111111111111111111111111111111111111",
          "lifecycle": [
            {
              "at": "2026-11-21T09:58:00.000Z",
              "stage": "received",
              "detail": "43 bytes of inventory_update 1"
            },
            {
              "at": "2026-11-21T09:58:02.000Z",
              "stage": "quarantined",
              "detail": "payload_schema_violation: the payload has 1 fault"
            }
          ],
          "raw": {
            "bucket": "sluice-raw",
            "key": "raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json",
            "sha256": "be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4",
            "bytes": 43,
            "contentType": "application/json",
            "verified": true,
            "text": "{\"vendorId\":\"vendorA\",\"payload\":{\"qty\":12}}"
          },
          "quarantine": {
            "status": "OPEN",
            "attempts": 1,
            "fingerprint": "0123456789abcdef",
            "firstSeenAt": "2026-11-21T09:58:02.000Z",
            "lastSeenAt": "2026-11-21T09:59:00.000Z",
            "cause": {
              "error": "Rejected",
              "code": "payload_schema_violation",
              "message": "the payload has 1 fault",
              "errors": [
                {
                  "pointer": "/qty",
                  "code": "type",
                  "message": "must be of type integer, not string"
                }
              ]
            }
          },
          "execution": {
            "arn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
            "name": "01KAJ3Y3R00000000000000001-0",
            "status": "FAILED",
            "startedAt": "2026-11-21T09:58:02.000Z",
            "stoppedAt": "2026-11-21T09:58:03.000Z",
            "redriveCount": 0,
            "redrivable": true
          }
        }
        "#);
        for settled in ["RELEASED", "DISCARDED"] {
            let row = Some(quarantine_row(settled, 1));
            let life = assemble(
                ledger_row("QUARANTINED"),
                bytes(RAW),
                None,
                row,
                Some(execution("FAILED", 0)),
                true,
            );
            assert!(!on_terminal(&life).contains("next:"), "a redrive would bring nothing about");
        }
    }

    #[test]
    fn what_is_wrong_with_a_stored_object_is_shown() {
        let missing = Some(Err("there is no object x".into()));
        let shown = assemble(normalized_row(), bytes("tampered"), missing, None, None, false);
        let text = on_terminal(&shown);
        assert!(text.contains("there is no object x") && text.contains("the raw object has the digest"));
    }
}

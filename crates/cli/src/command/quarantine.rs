//! `sluice quarantine`: what waits for a person, and why.

use std::time::Duration;

use serde::Serialize;
use sluice_core::fault::Cause;
use sluice_core::id::IngestId;
use sluice_core::record::{QuarantineRow, QuarantineStatus, Status};

use super::show::find;
use crate::args::QuarantineCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section, time};

/// How often the row of an event that the ledger calls quarantined is looked for, and the pause between.
const LOOKS_MAX: u32 = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Serialize)]
struct List {
    quarantine: Vec<QuarantineRow>,
    #[serde(skip)]
    all: bool,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct One(QuarantineRow);

/// Runs a subcommand.
pub async fn run(command: QuarantineCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        QuarantineCommand::Ls { vendor, all } => {
            let status = (!all).then_some(QuarantineStatus::Open);
            let mut quarantine = cloud.quarantine().list(vendor.as_ref(), status).await?;
            quarantine.sort_by_key(|row| std::cmp::Reverse((row.last_seen_at, row.ingest_id)));
            output.document(&List { quarantine, all })
        }
        QuarantineCommand::Show { ingest_id } => output.document(&One(held(cloud, ingest_id).await?)),
    }
}

/// The quarantine row of an event. `NotFound` says whether there is an event at all.
pub(crate) async fn held(cloud: &Cloud, ingest_id: IngestId) -> Result<QuarantineRow, CliError> {
    let event = find(cloud, ingest_id).await?;
    let quarantine = cloud.quarantine();
    for _ in 0..LOOKS_MAX {
        if let Some(row) = quarantine.find(&event.key.vendor_id, ingest_id).await? {
            return Ok(row);
        }
        // The ledger says so a moment before the quarantine does.
        if event.status != Status::Quarantined {
            break;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Err(CliError::not_found(format!(
        "the event {ingest_id} is not in quarantine: its status is {}",
        event.status.as_str()
    )))
}

/// A cause with every fault of the document.
pub(crate) fn cause_text(cause: &Cause, page: &Page) -> String {
    let mut list = vec![
        ("cause", paint(Tone::Bad, printable(&cause.code))),
        ("message", printable(&cause.message)),
        ("error", printable(&cause.error)),
    ];
    list.extend(cause.bundle.as_ref().map(|bundle| ("bundle", bundle.to_string())));
    let mut text = fields(list);
    if !cause.errors.is_empty() {
        let rows = cause.errors.iter().map(|fault| {
            let pointer = if fault.pointer.is_empty() { "(the payload)" } else { &fault.pointer };
            vec![pointer.into(), (&fault.code).into(), (&fault.message).into()]
        });
        text.push('\n');
        text.push_str(&page.table(&["WHERE", "CODE", "WHAT"], rows.collect()));
    }
    text
}

fn status_cell(status: QuarantineStatus) -> Cell {
    match status {
        QuarantineStatus::Open => Cell::new(Tone::Bad, "OPEN"),
        QuarantineStatus::Released => Cell::new(Tone::Good, "RELEASED"),
        QuarantineStatus::Discarded => Cell::new(Tone::Dim, "DISCARDED"),
    }
}

impl View for List {
    fn text(&self, page: &Page) -> String {
        if self.quarantine.is_empty() && page.terminal {
            let what = if self.all { "Nothing was ever in quarantine." } else { "Nothing is in quarantine." };
            return format!("{}\n", paint(Tone::Good, what));
        }
        let rows = self.quarantine.iter().map(|row| {
            let age: Cell = if page.terminal {
                page.ago(row.last_seen_at).into()
            } else {
                sluice_core::id::rfc3339(row.last_seen_at).into()
            };
            vec![
                row.ingest_id.to_string().into(),
                status_cell(row.status),
                row.vendor_id.as_str().into(),
                row.event_type.as_str().into(),
                Cell::new(Tone::Warn, &row.cause.code),
                row.attempts.to_string().into(),
                age,
                (&row.cause.message).into(),
            ]
        });
        page.table(
            &["INGEST ID", "STATUS", "VENDOR", "TYPE", "CAUSE", "ATTEMPTS", "LAST SEEN", "MESSAGE"],
            rows.collect(),
        )
    }
}

impl View for One {
    fn text(&self, page: &Page) -> String {
        let row = &self.0;
        let mut text = page.table(
            &["INGEST ID", "STATUS", "VENDOR", "TYPE"],
            vec![vec![
                row.ingest_id.to_string().into(),
                status_cell(row.status),
                row.vendor_id.as_str().into(),
                row.event_type.as_str().into(),
            ]],
        );
        text.push_str(&section("Cause", &cause_text(&row.cause, page)));
        text.push('\n');
        text.push_str(&fields([
            ("external id", printable(row.external_event_id.as_str())),
            ("received", time(row.received_at)),
            ("first seen", time(row.first_seen_at)),
            ("last seen", time(row.last_seen_at)),
            ("attempts", row.attempts.to_string()),
            ("fingerprint", row.fingerprint.clone()),
            ("raw", format!("s3://{}/{}", row.raw_ref.bucket, row.raw_ref.key)),
            ("execution", row.execution_arn.clone()),
        ]));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::show::tests::quarantine_row;
    use crate::output::testing::{in_pipe, json, on_terminal};

    #[test]
    fn a_list_names_causes() {
        let list =
            List { quarantine: vec![quarantine_row("OPEN", 2), quarantine_row("RELEASED", 1)], all: true };
        insta::assert_snapshot!(on_terminal(&list), @"
        INGEST ID                   STATUS    VENDOR   TYPE              CAUSE                     ATTEMPTS  LAST SEEN  MESSAGE                 
        01KAJ3Y3R00000000000000001  OPEN      vendorA  inventory_update  payload_schema_violation  2         60 s ago   the payload has 1 fault
        01KAJ3Y3R00000000000000001  RELEASED  vendorA  inventory_update  payload_schema_violation  1         60 s ago   the payload has 1 fault
        ");
        insta::assert_snapshot!(in_pipe(&list), @"
        ingest id	status	vendor	type	cause	attempts	last seen	message
        01KAJ3Y3R00000000000000001	OPEN	vendorA	inventory_update	payload_schema_violation	2	2026-11-21T09:59:00.000Z	the payload has 1 fault
        01KAJ3Y3R00000000000000001	RELEASED	vendorA	inventory_update	payload_schema_violation	1	2026-11-21T09:59:00.000Z	the payload has 1 fault
        ");
    }

    #[test]
    fn one_has_every_fault() {
        insta::assert_snapshot!(on_terminal(&One(quarantine_row("OPEN", 1))), @"
         INGEST ID                   STATUS  VENDOR   TYPE             
         01KAJ3Y3R00000000000000001  OPEN    vendorA  inventory_update

        Cause
          cause    payload_schema_violation
          message  the payload has 1 fault
          error    Rejected

         WHERE  CODE  WHAT                                
         /qty   type  must be of type integer, not string

          external id  evt-1
          received     2026-11-21 09:58:00.000Z
          first seen   2026-11-21 09:58:02.000Z
          last seen    2026-11-21 09:59:00.000Z
          attempts     1
          fingerprint  0123456789abcdef
          raw          s3://sluice-raw/raw/k
          execution    arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0
        ");
        insta::assert_snapshot!(json(&One(quarantine_row("OPEN", 1))), @r#"
        {
          "vendorId": "vendorA",
          "ingestId": "01KAJ3Y3R00000000000000001",
          "externalEventId": "evt-1",
          "eventType": "inventory_update",
          "status": "OPEN",
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
          },
          "fingerprint": "0123456789abcdef",
          "attempts": 1,
          "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
          "rawRef": {
            "bucket": "sluice-raw",
            "key": "raw/k"
          },
          "receivedAt": "2026-11-21T09:58:00.000Z",
          "firstSeenAt": "2026-11-21T09:58:02.000Z",
          "lastSeenAt": "2026-11-21T09:59:00.000Z"
        }
        "#);
    }

    #[test]
    fn nothing_is_said_in_words_to_a_person_only() {
        let none = List { quarantine: Vec::new(), all: false };
        assert_eq!(on_terminal(&none), "Nothing is in quarantine.\n");
        assert_eq!(in_pipe(&none).lines().count(), 1, "the header");
        assert_eq!(json(&none), "{\n  \"quarantine\": []\n}");
    }
}

//! `sluice ls`: the latest events, by the ledger's index by status.
//!
//! The index has one partition per status and shard, each sorted by time: the newest `limit` of each, merged, are the newest
//! `limit` of all.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::error::fault;
use sluice_aws::ledger::BY_STATUS;
use sluice_core::id::{IngestId, VendorId, rfc3339};
use sluice_core::record::{LedgerRow, Status};
use sluice_core::{Code, Fault};

use super::status_cell;
use crate::args::LsArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, millis, paint, time_cell};

/// Partitions read at once.
const READS_AT_ONCE: usize = 8;

#[derive(Debug, Serialize)]
struct List {
    events: Vec<Event>,
    more: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    ingest_id: IngestId,
    vendor_id: String,
    external_event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
    event_type: String,
    schema_version: String,
    status: Status,
    #[serde(serialize_with = "millis")]
    occurred_at: Timestamp,
    #[serde(serialize_with = "millis")]
    received_at: Timestamp,
    #[serde(serialize_with = "millis")]
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing: Option<CauseNote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<CauseNote>,
}

#[derive(Debug, Serialize)]
struct CauseNote {
    code: String,
    message: String,
}

impl From<LedgerRow> for Event {
    fn from(row: LedgerRow) -> Self {
        let quarantined = row.status == Status::Quarantined;
        Self {
            ingest_id: row.ingest_id,
            vendor_id: row.key.vendor_id.into(),
            external_event_id: row.key.external_event_id.into(),
            delivery_id: row.delivery_id,
            event_type: row.event_type.into(),
            schema_version: row.schema_version.into(),
            status: row.status,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            updated_at: row.updated_at,
            canonical_type: row.normalized.map(|normalized| normalized.event_type.into()),
            nothing: row.nothing.map(|nothing| CauseNote { code: nothing.code, message: nothing.message }),
            // The note stays in the ledger after a release; then it is history.
            cause: row
                .quarantine
                .filter(|_| quarantined)
                .map(|note| CauseNote { code: note.code, message: note.message }),
        }
    }
}

/// What is asked of one partition.
#[derive(Debug, Clone, Copy)]
struct Query<'a> {
    vendor: Option<&'a VendorId>,
    since: Option<Timestamp>,
    limit: usize,
}

/// Lists the latest events.
pub async fn run(args: &LsArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let statuses: Vec<Status> = if args.status.is_empty() {
        Status::ALL.to_vec()
    } else {
        Status::ALL
            .into_iter()
            .filter(|status| args.status.iter().any(|arg| Status::from(*arg) == *status))
            .collect()
    };
    let limit = args.limit as usize;
    // One more than asked for tells whether there are more.
    let query = Query {
        vendor: args.vendor.as_ref(),
        since: args.since.map(|since| since.resolve(Timestamp::now())),
        limit: limit + 1,
    };
    let client = cloud.dynamodb();
    let table = cloud.names().ledger.as_str();
    let shards: Vec<String> = statuses.into_iter().flat_map(Status::shards).collect();
    let reads = shards.into_iter().map(|shard| newest(&client, table, shard, query));
    let rows: Vec<Vec<LedgerRow>> =
        futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;
    output.document(&merged(rows, limit))
}

fn merged(rows: Vec<Vec<LedgerRow>>, limit: usize) -> List {
    let mut rows: Vec<LedgerRow> = rows.into_iter().flatten().collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.received_at, row.ingest_id)));
    // A row whose status changes between two reads is in both answers: the later state holds.
    let mut seen = HashMap::new();
    let mut unique: Vec<LedgerRow> = Vec::with_capacity(rows.len());
    for row in rows {
        match seen.get(&row.ingest_id).copied() {
            None => {
                seen.insert(row.ingest_id, unique.len());
                unique.push(row);
            }
            Some(index) => {
                let held: &mut LedgerRow = &mut unique[index];
                if row.updated_at > held.updated_at {
                    *held = row;
                }
            }
        }
    }
    let more = unique.len() > limit;
    unique.truncate(limit);
    List { events: unique.into_iter().map(Event::from).collect(), more }
}

/// The newest rows of one partition.
async fn newest(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    shard: String,
    query: Query<'_>,
) -> Result<Vec<LedgerRow>, Fault> {
    let mut rows = Vec::new();
    let mut from: Option<HashMap<String, AttributeValue>> = None;
    loop {
        let mut request = client
            .query()
            .table_name(table)
            .index_name(BY_STATUS)
            .scan_index_forward(false)
            .expression_attribute_values(":shard", AttributeValue::S(shard.clone()))
            .set_exclusive_start_key(from);
        request = match query.since {
            Some(since) => request
                .key_condition_expression("statusShard = :shard AND receivedAt >= :since")
                .expression_attribute_values(":since", AttributeValue::S(rfc3339(since))),
            None => request.key_condition_expression("statusShard = :shard"),
        };
        request = match query.vendor {
            Some(vendor) => request
                .filter_expression("vendorId = :vendor")
                .expression_attribute_values(":vendor", AttributeValue::S(vendor.to_string())),
            // Without a filter, what is read is what is listed.
            None => request.limit(i32::try_from(query.limit - rows.len()).unwrap_or(i32::MAX)),
        };
        let answer = request.send().await.map_err(|error| fault("list the ledger by status", error))?;
        for item in answer.items.unwrap_or_default() {
            let row: LedgerRow = serde_dynamo::from_item(item).map_err(|error| {
                Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                    .with_source(error)
            })?;
            rows.push(row);
        }
        from = answer.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() || rows.len() >= query.limit {
            rows.truncate(query.limit);
            return Ok(rows);
        }
    }
}

impl View for List {
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

    use super::*;
    use crate::command::show::tests::ledger_row;
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

    #[test]
    fn an_event_that_moves_between_two_reads_is_listed_once_as_it_is_later() {
        let before = row(1, "RECEIVED", "2026-11-21T09:00:01Z");
        let mut after = row(1, "NORMALIZED", "2026-11-21T09:00:01Z");
        after.updated_at = "2026-11-21T09:00:02Z".parse().unwrap();
        for rows in [vec![vec![before.clone()], vec![after.clone()]], vec![vec![after], vec![before]]] {
            let list = merged(rows, 10);
            assert_eq!(list.events.len(), 1);
            assert_eq!(list.events[0].status, Status::Normalized);
        }
    }
}

//! The events of a window, page by page, each once, however often the index shows it.

use std::collections::{HashMap, VecDeque};

use aws_sdk_dynamodb::types::AttributeValue;
use sluice_aws::error::fault;
use sluice_aws::ledger::BY_STATUS;
use sluice_core::id::{IngestId, rfc3339};
use sluice_core::record::{LedgerRow, Status};
use sluice_core::{Code, Fault};

use super::{Selection, Window};
use crate::cloud::Cloud;
use crate::error::OpsError;

/// Events are looked for in these. Those that are RECEIVED are on their way already, and what is HELD waits for its vendor.
const STATUSES: [Status; 2] = [Status::Normalized, Status::Quarantined];

/// The rows of the window, page by page, each event once.
pub(crate) struct Rows<'a> {
    cloud: &'a Cloud,
    selection: &'a Selection,
    window: Window,
    shards: VecDeque<String>,
    from: Option<HashMap<String, AttributeValue>>,
    /// Every event so far, with its status then.
    pub(crate) seen: HashMap<IngestId, Status>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(cloud: &'a Cloud, selection: &'a Selection, window: Window) -> Self {
        let shards = STATUSES.into_iter().flat_map(Status::shards).collect();
        Rows { cloud, selection, window, shards, from: None, seen: HashMap::new() }
    }

    /// `None` after the last page.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<LedgerRow>>, OpsError> {
        let Some(shard) = self.shards.front().cloned() else { return Ok(None) };
        let table = self.cloud.names().ledger.as_str();
        let Window { from, to } = self.window;
        let answer = self
            .cloud
            .dynamodb()
            .query()
            .table_name(table)
            .index_name(BY_STATUS)
            .key_condition_expression("statusShard = :shard AND receivedAt BETWEEN :from AND :to")
            .expression_attribute_values(":shard", AttributeValue::S(shard))
            .expression_attribute_values(":from", AttributeValue::S(rfc3339(from)))
            .expression_attribute_values(":to", AttributeValue::S(rfc3339(to)))
            .set_exclusive_start_key(self.from.take())
            .send()
            .await
            .map_err(|error| fault("list the ledger by status", error))?;
        let mut page = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let row: LedgerRow = serde_dynamo::from_item(item).map_err(|error| {
                Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                    .with_source(error)
            })?;
            // The end of the window is not part of it, which BETWEEN cannot say.
            if row.received_at < to
                && self.wants(&row)
                && self.seen.insert(row.ingest_id, row.status).is_none()
            {
                page.push(row);
            }
        }
        self.from = answer.last_evaluated_key.filter(|key| !key.is_empty());
        if self.from.is_none() {
            self.shards.pop_front();
        }
        Ok(Some(page))
    }

    fn wants(&self, row: &LedgerRow) -> bool {
        let selection = self.selection;
        selection.vendor.as_ref().is_none_or(|vendor| *vendor == row.key.vendor_id)
            && selection.event_type.as_ref().is_none_or(|event_type| *event_type == row.event_type)
            && selection.schema_version.as_ref().is_none_or(|version| *version == row.schema_version)
    }
}

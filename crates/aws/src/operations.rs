//! The table of operations: `operationId`, `record`; index `by-time` of the operations themselves.
//!
//! Of an operation there are the row `operation`, one row `act#<version>` for each act, `plan#<chunk>` with the frozen items and
//! `item#<place>` for each item that was begun. `event#<ingestId>`/`holder` says which operation has run an event. Rows of acts and of
//! operations stay; `expiresAt` (seconds since 1970) is there on the others, for DynamoDB to remove them.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_core::id::{IngestId, rfc3339};
use sluice_core::operation::{
    Act, CHUNK_ITEMS, Holder, Item, ItemRow, Operation, OperationId, OperationStore,
};
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::item::{Item as Row, from_item, next, rows, text, to_item, to_value};

/// Name of the index of operations by time.
pub const BY_TIME: &str = "by-time";

/// Partition of that index.
const LISTED: &str = "operations";

const OPERATION: &str = "operation";
const HOLDER: &str = "holder";

/// How long frozen items and their outcomes are kept, in seconds: 180 days.
const ITEMS_SECONDS: i64 = 180 * 86_400;

/// How long it is remembered which operation ran an event, in seconds: 30 days.
const HOLDER_SECONDS: i64 = 30 * 86_400;

/// Writes at once.
const WRITES_AT_ONCE: usize = 8;

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoOperations {
    client: Client,
    table: String,
}

/// A row of frozen items.
#[derive(Serialize, Deserialize)]
struct Chunk {
    items: Vec<Item>,
}

impl DynamoOperations {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        Self { client: crate::client::dynamodb(sdk), table: table.into() }
    }

    async fn row(&self, partition: String, record: &str) -> Result<Option<Row>, Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("operationId", text(partition))
            .key("record", text(record))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault("read the operation", error))?;
        Ok(answer.item)
    }

    async fn write(&self, action: &str, partition: &str, record: &str, mut row: Row) -> Result<(), Fault> {
        row.insert("operationId".into(), text(partition));
        row.insert("record".into(), text(record));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(row));
        put.send().await.map_err(|error| fault(action, error))?;
        Ok(())
    }

    fn put_operation(
        &self,
        operation: &Operation,
    ) -> Result<aws_sdk_dynamodb::types::builders::PutBuilder, Fault> {
        let mut row = to_item(operation)?;
        row.insert("record".into(), text(OPERATION));
        row.insert("listed".into(), text(LISTED));
        let put = Put::builder().table_name(&self.table).set_item(Some(row));
        Ok(if operation.version == 1 {
            put.condition_expression("attribute_not_exists(operationId)")
        } else {
            put.condition_expression("version = :seen")
                .expression_attribute_values(":seen", to_value(&(operation.version - 1))?)
        })
    }

    async fn transact(&self, operation: &Operation, act: &Act) -> Result<bool, Fault> {
        let malformed =
            |error| Fault::new(Code::RowMalformed, "failed to write the transaction").with_source(error);
        let mut entry = to_item(act)?;
        entry.insert("record".into(), text(format!("act#{:010}", act.version)));
        let entry = Put::builder()
            .table_name(&self.table)
            .set_item(Some(entry))
            .condition_expression("attribute_not_exists(operationId)");
        let mut write = self.client.transact_write_items();
        for put in [self.put_operation(operation)?, entry] {
            let put = put.build().map_err(malformed)?;
            write = write.transact_items(TransactWriteItem::builder().put(put).build());
        }
        match write.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if was_quicker(service.err()) => Ok(false),
            Err(error) => Err(fault("change the operation", error)),
        }
    }
}

/// Whether a transaction was cancelled since the row is another by now.
fn was_quicker(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return false };
    let mut reasons = cancelled.cancellation_reasons().iter();
    reasons.any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict")))
}

fn failed_its_condition(error: &SdkError<PutItemError>) -> bool {
    error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception)
}

fn item_record(item: u64) -> String {
    format!("item#{item:010}")
}

fn expiry(from: Timestamp, seconds: i64) -> i64 {
    from.as_second().saturating_add(seconds)
}

#[async_trait]
impl OperationStore for DynamoOperations {
    async fn find(&self, id: OperationId) -> Result<Option<Operation>, Fault> {
        let row = self.row(id.to_string(), OPERATION).await?;
        row.map(|row| from_item(&self.table, row)).transpose()
    }

    async fn create(&self, operation: &Operation, items: &[Item], act: &Act) -> Result<(), Fault> {
        let id = operation.operation_id.to_string();
        let expires_at = expiry(operation.created_at, ITEMS_SECONDS);
        let chunks: Vec<(usize, Vec<Item>)> =
            items.chunks(CHUNK_ITEMS).map(<[Item]>::to_vec).enumerate().collect();
        futures::stream::iter(chunks)
            .map(|(number, items)| {
                let id = &id;
                async move {
                    let mut row = to_item(&Chunk { items })?;
                    row.insert("expiresAt".into(), to_value(&expires_at)?);
                    self.write("write the plan", id, &format!("plan#{number:06}"), row).await
                }
            })
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        if self.transact(operation, act).await? {
            return Ok(());
        }
        Err(Fault::new(Code::ConcurrentWrite, format!("operation {id} exists already")))
    }

    async fn replace(&self, operation: &Operation, act: Option<&Act>) -> Result<bool, Fault> {
        if let Some(act) = act {
            return self.transact(operation, act).await;
        }
        let mut row = to_item(operation)?;
        row.insert("record".into(), text(OPERATION));
        row.insert("listed".into(), text(LISTED));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression("version = :seen")
            .expression_attribute_values(":seen", to_value(&operation.version.saturating_sub(1))?);
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if failed_its_condition(&error) => Ok(false),
            Err(error) => Err(fault("write the operation", error)),
        }
    }

    async fn list(&self, before: Option<OperationId>, limit: usize) -> Result<Vec<Operation>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_TIME)
            .scan_index_forward(false)
            .limit(i32::try_from(limit.clamp(1, 1_000)).unwrap_or(1_000))
            .expression_attribute_values(":listed", text(LISTED));
        let query = match before {
            None => query.key_condition_expression("listed = :listed"),
            Some(before) => query
                .key_condition_expression("listed = :listed AND operationId < :before")
                .expression_attribute_values(":before", text(before)),
        };
        let mut items = query.into_paginator().items().send();
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(item) = next("list the operations", &mut items).await?
        {
            found.push(from_item(&self.table, item)?);
        }
        Ok(found)
    }

    async fn items(&self, id: OperationId, chunk: u64) -> Result<Vec<Item>, Fault> {
        let row = self.row(id.to_string(), &format!("plan#{chunk:06}")).await?;
        let chunk: Option<Chunk> = row.map(|row| from_item(&self.table, row)).transpose()?;
        Ok(chunk.map(|chunk| chunk.items).unwrap_or_default())
    }

    async fn item_row(&self, id: OperationId, item: u64) -> Result<Option<ItemRow>, Fault> {
        let row = self.row(id.to_string(), &item_record(item)).await?;
        row.map(|row| from_item(&self.table, row)).transpose()
    }

    async fn put_item_row(&self, row: &ItemRow) -> Result<(), Fault> {
        let mut item = to_item(row)?;
        item.insert("expiresAt".into(), to_value(&expiry(row.begun_at, ITEMS_SECONDS))?);
        self.write("write the outcome", &row.operation_id.to_string(), &item_record(row.item), item).await
    }

    async fn item_rows(&self, id: OperationId, from: u64, limit: usize) -> Result<Vec<ItemRow>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("operationId = :id AND #record BETWEEN :from AND :to")
            .expression_attribute_names("#record", "record")
            .expression_attribute_values(":id", text(id))
            .expression_attribute_values(":from", text(item_record(from)))
            .expression_attribute_values(":to", text("item#~"))
            .consistent_read(true)
            .limit(i32::try_from(limit.clamp(1, 1_000)).unwrap_or(1_000));
        let mut items = query.into_paginator().items().send();
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(item) = next("read the outcomes", &mut items).await?
        {
            found.push(from_item(&self.table, item)?);
        }
        Ok(found)
    }

    async fn acts(&self, id: OperationId) -> Result<Vec<Act>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("operationId = :id AND begins_with(#record, :act)")
            .expression_attribute_names("#record", "record")
            .expression_attribute_values(":id", text(id))
            .expression_attribute_values(":act", text("act#"))
            .consistent_read(true);
        rows("read the acts of an operation", &self.table, query.into_paginator().items().send()).await
    }

    async fn hold(
        &self,
        event: IngestId,
        mine: &Holder,
        planned_at: Timestamp,
    ) -> Result<Option<Holder>, Fault> {
        let mut row = holder_row(event, mine)?;
        // The partition is the event: whose it is stands beside it.
        row.insert("heldBy".into(), text(mine.operation_id));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression(
                "attribute_not_exists(operationId) OR heldBy = :mine OR (settled = :settled AND heldAt <= :planned)",
            )
            .expression_attribute_values(":mine", text(mine.operation_id))
            .expression_attribute_values(":settled", to_value(&true)?)
            .expression_attribute_values(":planned", text(rfc3339(planned_at)));
        match put.send().await {
            Ok(_) => return Ok(None),
            Err(error) if failed_its_condition(&error) => {}
            Err(error) => return Err(fault("take an event for an operation", error)),
        }
        let held = self.row(event_partition(event), HOLDER).await?;
        let Some(mut held) = held else {
            return Err(Fault::new(Code::ConcurrentWrite, format!("who holds {event} changed meanwhile")));
        };
        if let Some(by) = held.remove("heldBy") {
            held.insert("operationId".into(), by);
        }
        from_item(&self.table, held).map(Some)
    }

    async fn settle_hold(&self, event: IngestId, mine: &Holder) -> Result<(), Fault> {
        let mut row = holder_row(event, &Holder { settled: true, ..mine.clone() })?;
        row.insert("heldBy".into(), text(mine.operation_id));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression("heldBy = :mine")
            .expression_attribute_values(":mine", text(mine.operation_id));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) if failed_its_condition(&error) => Ok(()),
            Err(error) => Err(fault("give an event back", error)),
        }
    }
}

fn event_partition(event: IngestId) -> String {
    format!("event#{event}")
}

fn holder_row(event: IngestId, holder: &Holder) -> Result<Row, Fault> {
    let mut row = to_item(holder)?;
    row.insert("operationId".into(), text(event_partition(event)));
    row.insert("record".into(), text(HOLDER));
    row.insert("expiresAt".into(), to_value(&expiry(holder.held_at, HOLDER_SECONDS))?);
    Ok(row)
}

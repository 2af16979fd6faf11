//! The table of canonical state: `entity`, `part`.
//!
//! | entity | part | row |
//! |---|---|---|
//! | `inventory#…`, `order#…`, `shipment#…` | `state` | [`State`] |
//! | the same | `<ingestId>#<line>` | [`Contribution`] |
//! | `event#<ingestId>` | `effects` | [`Effects`] |
//! | the same | `entities#<version>#<sha256>#<row>` | the entities of a large event ([`EntityList`]) |
//!
//! Invariant: every write is one transaction under the versions of the state and effects rows in it, and writes their divergence
//! as well. So a state row is at any moment exactly what its contributions come to, and so is its divergence, unless the row says
//! that it is due; a writer that was not the quickest leaves nothing behind.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    Delete, DeleteRequest, KeysAndAttributes, Put, TransactWriteItem, WriteRequest,
};
use serde::{Deserialize, Serialize};
use sluice_core::id::IngestId;
use sluice_core::limits::TRANSACTION_ROWS_MAX;
use sluice_core::port::{CanonicalStore, Snapshot, Written};
use sluice_core::state::{
    Change, Contribution, Effects, Entity, EntityChange, EntityList, Source, State, StateDivergence,
};
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::item::{Item, from_item, next, rows, text, to_item, to_value};

const STATE: &str = "state";
const EFFECTS: &str = "effects";

/// Most keys of one `BatchGetItem`.
const KEYS_PER_READ: usize = 100;

/// Most rows of one `BatchWriteItem`.
const ROWS_PER_BATCH_WRITE: usize = 25;

/// How often keys that DynamoDB left out are asked for again.
const ROUNDS_MAX: usize = 5;

/// The table, and that of divergence.
#[derive(Debug, Clone)]
pub struct DynamoCanonical {
    client: Client,
    table: String,
    divergence_table: String,
}

/// A page of state rows.
#[derive(Debug)]
pub struct StatePage {
    /// In the table's order.
    pub states: Vec<State>,
    /// Whether there may be more than were asked for.
    pub more: bool,
}

impl DynamoCanonical {
    /// Over the two tables.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>, divergence_table: impl Into<String>) -> Self {
        Self {
            client: crate::client::dynamodb(sdk),
            table: table.into(),
            divergence_table: divergence_table.into(),
        }
    }

    /// State rows of entities whose key begins with `prefix`, at most `limit`, by a scan of the table: for people, not for the
    /// hot path.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<StatePage, Fault> {
        let scan = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("#part = :state AND begins_with(entity, :prefix)")
            .expression_attribute_names("#part", "part")
            .expression_attribute_values(":state", text(STATE))
            .expression_attribute_values(":prefix", text(prefix));
        let mut items = scan.into_paginator().items().send();
        let mut states: Vec<State> = Vec::new();
        let mut more = false;
        while let Some(item) = next("list canonical state", &mut items).await? {
            more = states.len() == limit;
            if more {
                break;
            }
            states.push(from_item(&self.table, item)?);
        }
        states.sort_by(|a, b| a.entity.cmp(&b.entity));
        Ok(StatePage { states, more })
    }

    /// State rows page by page, in the table's order; `after` is the entity of the last row of the page before. The second part is
    /// `None` at the end.
    pub async fn page(&self, after: Option<&Entity>) -> Result<(Vec<State>, Option<Entity>), Fault> {
        let start = after.map(|entity| {
            HashMap::from([("entity".to_owned(), text(entity)), ("part".to_owned(), text(STATE))])
        });
        let mut start: Option<Item> = start;
        loop {
            let answer = self
                .client
                .scan()
                .table_name(&self.table)
                .filter_expression("#part = :state")
                .expression_attribute_names("#part", "part")
                .expression_attribute_values(":state", text(STATE))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| fault("read canonical state", error))?;
            let states: Vec<State> = answer
                .items
                .unwrap_or_default()
                .into_iter()
                .map(|item| from_item(&self.table, item))
                .collect::<Result<_, _>>()?;
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok((states, None));
            }
            // A page may end in a row that is no state; what follows the last state is read again, and left out again.
            if let Some(last) = states.last().map(|state| state.entity.clone()) {
                return Ok((states, Some(last)));
            }
        }
    }

    fn put_row(item: Item, table: &str, version: Option<u64>) -> Result<TransactWriteItem, Fault> {
        let put = Put::builder().table_name(table).set_item(Some(item));
        let put = match version {
            None => put,
            Some(1) => put.condition_expression("attribute_not_exists(entity)"),
            Some(next) => put
                .condition_expression("#version = :seen")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":seen", to_value(&(next - 1))?),
        };
        let put = put.build().map_err(|error| malformed("a row").with_source(error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete_row(
        table: &str,
        (partition, sort): (&str, &str),
        partition_value: &str,
        sort_value: &str,
    ) -> Result<TransactWriteItem, Fault> {
        let delete = Delete::builder()
            .table_name(table)
            .key(partition, text(partition_value))
            .key(sort, text(sort_value))
            .build()
            .map_err(|error| malformed("a key").with_source(error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn rows_of(&self, change: &EntityChange) -> Result<Vec<TransactWriteItem>, Fault> {
        let entity = change.next.entity.as_str();
        let mut rows = Vec::with_capacity(change.rows());
        let mut item = to_item(&change.next)?;
        item.insert("part".into(), text(STATE));
        rows.push(Self::put_row(item, &self.table, Some(change.next.version))?);
        for contribution in &change.put {
            let mut item = to_item(contribution)?;
            item.insert("entity".into(), text(entity));
            item.insert("part".into(), text(contribution.mark.source));
            rows.push(Self::put_row(item, &self.table, None)?);
        }
        for source in &change.remove {
            rows.push(Self::delete_row(&self.table, ("entity", "part"), entity, &source.to_string())?);
        }
        Ok(rows)
    }

    fn divergence_rows_of(&self, change: &EntityChange) -> Result<Vec<TransactWriteItem>, Fault> {
        let put =
            change.diverged.iter().map(|row| Self::put_row(to_item(row)?, &self.divergence_table, None));
        let delete = change.undiverged.iter().map(|id| {
            Self::delete_row(&self.divergence_table, ("subject", "id"), change.next.entity.as_str(), id)
        });
        put.chain(delete).collect()
    }

    /// Writes rows, each by itself.
    async fn write_all(&self, table: &str, requests: &[WriteRequest]) -> Result<(), Fault> {
        for chunk in requests.chunks(ROWS_PER_BATCH_WRITE) {
            let mut left = HashMap::from([(table.to_owned(), chunk.to_vec())]);
            for _ in 0..ROUNDS_MAX {
                let answer = self
                    .client
                    .batch_write_item()
                    .set_request_items(Some(left))
                    .send()
                    .await
                    .map_err(|error| fault(&format!("write to {table}"), error))?;
                left = answer.unprocessed_items.unwrap_or_default();
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(Fault::new(Code::Throttled, format!("{table} did not take all rows")));
            }
        }
        Ok(())
    }
}

/// A row of an [`EntityList`].
#[derive(Serialize, Deserialize)]
struct ListRow {
    entities: Vec<Entity>,
}

fn malformed(what: &str) -> Fault {
    Fault::new(Code::RowMalformed, format!("failed to write {what}"))
}

#[async_trait]
impl CanonicalStore for DynamoCanonical {
    async fn read(&self, events: &[IngestId], entities: &[Entity]) -> Result<Snapshot, Fault> {
        let key = |entity: String, part: &str| -> Item {
            HashMap::from([("entity".to_owned(), text(entity)), ("part".to_owned(), text(part))])
        };
        let keys: Vec<Item> = events
            .iter()
            .map(|id| key(Effects::key(*id), EFFECTS))
            .chain(entities.iter().map(|entity| key(entity.to_string(), STATE)))
            .collect();
        let mut snapshot = Snapshot::default();
        for chunk in keys.chunks(KEYS_PER_READ) {
            let mut left = chunk.to_vec();
            for _ in 0..ROUNDS_MAX {
                let wanted = KeysAndAttributes::builder()
                    .set_keys(Some(left))
                    .consistent_read(true)
                    .build()
                    .map_err(|error| malformed("keys").with_source(error))?;
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.table, wanted)
                    .send()
                    .await
                    .map_err(|error| fault("read canonical state", error))?;
                for item in answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default() {
                    if item.get("part").and_then(|part| part.as_s().ok()).is_some_and(|part| part == STATE) {
                        snapshot.states.push(from_item(&self.table, item)?);
                    } else {
                        snapshot.effects.push(from_item(&self.table, item)?);
                    }
                }
                left = answer
                    .unprocessed_keys
                    .and_then(|mut tables| tables.remove(&self.table))
                    .map(|keys| keys.keys)
                    .unwrap_or_default();
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(Fault::new(
                    Code::Throttled,
                    "the table of canonical state did not give all rows",
                ));
            }
        }
        Ok(snapshot)
    }

    async fn history(&self, entity: &Entity, after: Option<Source>) -> Result<Vec<Contribution>, Fault> {
        let low = after.map_or_else(|| "0".to_owned(), |source| source.to_string());
        // A ULID begins with a digit from 0 to 7, so this leaves out the state row.
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("entity = :entity AND #part BETWEEN :low AND :high")
            .expression_attribute_names("#part", "part")
            .expression_attribute_values(":entity", text(entity))
            .expression_attribute_values(":low", text(&low))
            .expression_attribute_values(":high", text("8"));
        let items = query.into_paginator().items().send();
        let mut history: Vec<Contribution> =
            rows("read the contributions to an entity", &self.table, items).await?;
        history.retain(|row| Some(row.mark.source) > after);
        Ok(history)
    }

    async fn divergences(&self, entity: &Entity) -> Result<Vec<StateDivergence>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.divergence_table)
            .consistent_read(true)
            .key_condition_expression("subject = :entity")
            .expression_attribute_values(":entity", text(entity));
        let items = query.into_paginator().items().send();
        rows("read the divergence of an entity", &self.divergence_table, items).await
    }

    async fn entities(&self, effects: &Effects) -> Result<Vec<Entity>, Fault> {
        let Some(list) = &effects.listed else { return Ok(effects.entities.iter().cloned().collect()) };
        let mut entities = Vec::new();
        for row in 0..list.rows {
            let item = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("entity", text(Effects::key(effects.ingest_id)))
                .key("part", text(list.part(row)))
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| fault("read the entities of an event", error))?
                .item
                .ok_or_else(|| {
                    // Another delivery lists the entities anew.
                    Fault::new(
                        Code::ConcurrentWrite,
                        format!("{} of {} is gone", list.part(row), Effects::key(effects.ingest_id)),
                    )
                })?;
            let row: ListRow = from_item(&self.table, item)?;
            entities.extend(row.entities);
        }
        Ok(entities)
    }

    async fn put_list(
        &self,
        ingest_id: IngestId,
        list: &EntityList,
        rows: &[Vec<Entity>],
    ) -> Result<(), Fault> {
        // One by one: each may be half of what one call may carry.
        for (number, entities) in (0..).zip(rows) {
            let mut item = to_item(&ListRow { entities: entities.clone() })?;
            item.insert("entity".into(), text(Effects::key(ingest_id)));
            item.insert("part".into(), text(list.part(number)));
            self.client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item))
                .send()
                .await
                .map_err(|error| fault("write the entities of an event", error))?;
        }
        Ok(())
    }

    async fn remove_list(&self, ingest_id: IngestId, list: &EntityList) -> Result<(), Fault> {
        let requests: Vec<WriteRequest> = (0..list.rows)
            .map(|row| {
                let delete = DeleteRequest::builder()
                    .key("entity", text(Effects::key(ingest_id)))
                    .key("part", text(list.part(row)))
                    .build()
                    .map_err(|error| malformed("a key").with_source(error))?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<Result<_, Fault>>()?;
        self.write_all(&self.table, &requests).await
    }

    async fn commit(&self, change: &Change) -> Result<Written, Fault> {
        if change.rows() > TRANSACTION_ROWS_MAX {
            return Err(Fault::new(
                Code::RowMalformed,
                format!(
                    "a change of {} rows was not written: one transaction holds {TRANSACTION_ROWS_MAX}",
                    change.rows()
                ),
            ));
        }
        let mut rows = Vec::with_capacity(change.rows());
        for effects in &change.effects {
            let mut item = to_item(effects)?;
            item.insert("entity".into(), text(Effects::key(effects.ingest_id)));
            item.insert("part".into(), text(EFFECTS));
            rows.push(Self::put_row(item, &self.table, Some(effects.version))?);
        }
        for entity in &change.entities {
            rows.extend(self.rows_of(entity)?);
        }
        for entity in &change.entities {
            rows.extend(self.divergence_rows_of(entity)?);
        }
        match self.client.transact_write_items().set_transact_items(Some(rows)).send().await {
            Ok(_) => Ok(Written::Written),
            Err(SdkError::ServiceError(service)) if is_conflict(service.err()) => Ok(Written::Conflict),
            Err(error) => Err(fault("write canonical state", error)),
        }
    }
}

/// Whether another writer was at one of the rows: a version that has moved on, or a transaction under way.
fn is_conflict(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            let codes: Vec<&str> =
                cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
            codes.iter().any(|code| matches!(*code, "ConditionalCheckFailed" | "TransactionConflict"))
                && codes
                    .iter()
                    .all(|code| matches!(*code, "None" | "ConditionalCheckFailed" | "TransactionConflict"))
        }
        _ => false,
    }
}

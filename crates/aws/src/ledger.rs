//! The ledger table: `vendorId`, `externalEventId`; stream on; indexes `by-status` and `by-ingest-id`.
//!
//! Invariant: a row is created only by [`Ledger::commit`]'s conditional write, and never deleted.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure, Select};
use jiff::Timestamp;
use sluice_core::id::{IngestId, VendorId, rfc3339};
use sluice_core::port::{Commit, Held, Ledger, Marked};
use sluice_core::record::{
    Correction, LedgerKey, LedgerRow, Nothing, QuarantineNote, Resolution, Stated, Status, ToldAgain, Waited,
};
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::item::{Item, from_item, text, to_item, to_value};

/// Name of the index by status shard and `receivedAt`.
pub const BY_STATUS: &str = "by-status";
/// Name of the index by `ingestId`.
pub const BY_INGEST_ID: &str = "by-ingest-id";

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    client: Client,
    table: String,
}

impl DynamoLedger {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        Self { client: crate::client::dynamodb(sdk), table: table.into() }
    }

    /// The row of an `ingestId`, by the index; eventually consistent.
    pub async fn find_by_ingest_id(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_INGEST_ID)
            .key_condition_expression("ingestId = :id")
            .expression_attribute_values(":id", text(ingest_id))
            .send()
            .await
            .map_err(|error| fault("look up the ledger by ingestId", error))?;
        answer
            .items
            .unwrap_or_default()
            .into_iter()
            .next()
            .map(|item| from_item(&self.table, item))
            .transpose()
    }

    /// How many rows have a status: a count over the index's shards, eventually consistent.
    pub async fn count(&self, status: Status) -> Result<Counted, Fault> {
        let mut counted = Counted::default();
        for shard in status.shards() {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(BY_STATUS)
                .key_condition_expression("statusShard = :shard")
                // Not by `ScannedCount` of a filtered count, which the local cloud's engine has one too high on each page but the last.
                .projection_expression("nothing")
                .expression_attribute_values(":shard", text(&shard));
            let mut pages = query.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| fault("count the ledger by status", error))?;
                counted.rows += u64::try_from(page.count).unwrap_or(0);
                counted.nothing +=
                    page.items().iter().filter(|item| item.contains_key("nothing")).count() as u64;
            }
        }
        Ok(counted)
    }

    /// How many rows there are: a count over the table itself, so that it can disagree with the index if something is wrong.
    pub async fn count_all(&self) -> Result<u64, Fault> {
        let mut total = 0;
        let scan = self.client.scan().table_name(&self.table).select(Select::Count).consistent_read(true);
        let mut pages = scan.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault("count the ledger", error))?;
            total += u64::try_from(page.count).unwrap_or(0);
        }
        Ok(total)
    }

    /// The oldest events of a vendor that are HELD, at most `limit`; eventually consistent.
    pub async fn held(&self, vendor: &VendorId, limit: usize) -> Result<Vec<(LedgerKey, IngestId)>, Fault> {
        let mut found = Vec::new();
        for shard in Status::Held.shards() {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(BY_STATUS)
                .key_condition_expression("statusShard = :shard")
                .filter_expression("vendorId = :vendor")
                .expression_attribute_values(":shard", text(&shard))
                .expression_attribute_values(":vendor", text(vendor));
            let mut of_shard = 0;
            let mut pages = query.into_paginator().items().send();
            while of_shard < limit
                && let Some(item) = pages.next().await
            {
                let item = item.map_err(|error| fault("list held events", error))?;
                let row: LedgerRow = from_item(&self.table, item)?;
                found.push((row.key, row.ingest_id));
                of_shard += 1;
            }
        }
        // An ingestId sorts as its time does.
        found.sort_by_key(|(_, ingest_id)| *ingest_id);
        found.truncate(limit);
        Ok(found)
    }

    /// How many events of a vendor are HELD; eventually consistent.
    pub async fn count_held(&self, vendor: &VendorId) -> Result<u64, Fault> {
        let mut total = 0;
        for shard in Status::Held.shards() {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(BY_STATUS)
                .select(Select::Count)
                .key_condition_expression("statusShard = :shard")
                .filter_expression("vendorId = :vendor")
                .expression_attribute_values(":shard", text(&shard))
                .expression_attribute_values(":vendor", text(vendor));
            let mut pages = query.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| fault("count held events", error))?;
                total += u64::try_from(page.count).unwrap_or(0);
            }
        }
        Ok(total)
    }

    /// Lets a held event go on, and records who and why. `Ok(false)`: somebody did before, or it is not held.
    pub async fn accept_held(&self, row: &LedgerRow, by: &Resolution) -> Result<bool, Fault> {
        let result = self
            .update(&row.key)
            .condition_expression(
                "ingestId = :id AND attribute_exists(#hold) AND attribute_not_exists(#hold.#accepted)",
            )
            .update_expression("SET #hold.#accepted = :by, updatedAt = :at")
            .expression_attribute_names("#hold", "hold")
            .expression_attribute_names("#accepted", "accepted")
            .expression_attribute_values(":id", text(row.ingest_id))
            .expression_attribute_values(":by", to_value(by)?)
            .expression_attribute_values(":at", text(rfc3339(by.at)))
            .send()
            .await;
        Ok(condition_failed(result)?.is_ok())
    }

    fn update(&self, key: &LedgerKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(&key.vendor_id))
            .key("externalEventId", text(&key.external_event_id))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

/// Rows of one status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub rows: u64,
    /// Of those, events that state nothing.
    pub nothing: u64,
}

/// An update whose condition failed, with the row as it was.
fn condition_failed(
    result: Result<UpdateItemOutput, SdkError<UpdateItemError>>,
) -> Result<Result<(), Option<Item>>, Fault> {
    match result {
        Ok(_) => Ok(Ok(())),
        Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
            match service.into_err() {
                UpdateItemError::ConditionalCheckFailedException(failed) => Ok(Err(failed.item)),
                _ => Ok(Err(None)),
            }
        }
        Err(error) => Err(fault("update the ledger row", error)),
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    async fn find(&self, key: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("vendorId", text(&key.vendor_id))
            .key("externalEventId", text(&key.external_event_id))
            .send()
            .await
            .map_err(|error| fault("read the ledger row", error))?;
        answer.item.map(|item| from_item(&self.table, item)).transpose()
    }

    async fn find_last(&self, first: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("vendorId = :vendor AND begins_with(externalEventId, :first)")
            .expression_attribute_values(":vendor", text(&first.vendor_id))
            .expression_attribute_values(":first", text(&first.external_event_id))
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(|error| fault("look up the last row of a digest", error))?;
        let last = answer.items.unwrap_or_default().into_iter().next();
        last.map(|item| from_item(&self.table, item)).transpose()
    }

    async fn find_by_ingest_id(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault> {
        Self::find_by_ingest_id(self, ingest_id).await
    }

    async fn commit(&self, row: &LedgerRow) -> Result<Commit, Fault> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(row)?))
            .condition_expression("attribute_not_exists(vendorId)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(_) => Ok(Commit::Committed),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                let held = match service.into_err() {
                    PutItemError::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                };
                match held {
                    Some(item) => Ok(Commit::Exists(Box::new(from_item(&self.table, item)?))),
                    None => Err(Fault::new(
                        Code::Unavailable,
                        "the ledger refused the row without giving the one it holds",
                    )),
                }
            }
            Err(error) => Err(fault("write the ledger row", error)),
        }
    }

    async fn mark_normalized(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        stated: &Stated,
        run: u32,
    ) -> Result<(), Fault> {
        let (member, other, value) = members(stated)?;
        let uncorrected = if run == 0 { " AND attribute_not_exists(correction)" } else { "" };
        let result = self
            .update(key)
            .condition_expression(format!("ingestId = :id{uncorrected}"))
            .update_expression(
                "SET #status = :status, statusShard = :shard, #member = :value, updatedAt = :at \
                 REMOVE #other, correction",
            )
            .expression_attribute_names("#member", member)
            .expression_attribute_names("#other", other)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":id", text(ingest_id))
            .expression_attribute_values(":status", text(Status::Normalized.as_str()))
            .expression_attribute_values(":shard", text(Status::Normalized.shard(ingest_id)))
            .expression_attribute_values(":value", value)
            .expression_attribute_values(":at", text(rfc3339(stated.at())))
            .send()
            .await;
        let Err(before) = condition_failed(result)? else { return Ok(()) };
        let row = before.map(|item| from_item::<LedgerRow>(&self.table, item)).transpose()?;
        match row.filter(|row| row.ingest_id == ingest_id) {
            Some(row) if run == 0 && row.correction.is_some() => Ok(()),
            Some(_) | None => Err(missing(key, ingest_id)),
        }
    }

    async fn correct(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        stated: &Stated,
        correction: &Correction,
    ) -> Result<bool, Fault> {
        let (member, other, value) = members(stated)?;
        let mut update = self
            .update(key)
            .update_expression(
                "SET #member = :value, correction = :correction, updatedAt = :at REMOVE #other",
            )
            .expression_attribute_names("#member", member)
            .expression_attribute_names("#other", other)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":id", text(ingest_id))
            .expression_attribute_values(":normalized", text(Status::Normalized.as_str()))
            .expression_attribute_values(":value", value)
            .expression_attribute_values(":correction", to_value(correction)?)
            .expression_attribute_values(":at", text(rfc3339(stated.at())));
        let held = if correction.old_sha256 == Nothing::sha256() {
            "attribute_exists(nothing)"
        } else {
            update = update
                .expression_attribute_names("#document", "normalized")
                .expression_attribute_names("#sha256", "sha256")
                .expression_attribute_values(":old", text(&correction.old_sha256));
            "#document.#sha256 = :old"
        };
        update = update.condition_expression(format!("ingestId = :id AND #status = :normalized AND {held}"));
        Ok(condition_failed(update.send().await)?.is_ok())
    }

    async fn hold(&self, key: &LedgerKey, ingest_id: IngestId, waited: &Waited) -> Result<Held, Fault> {
        let result = self
            .update(key)
            .condition_expression("ingestId = :id AND #status = :received")
            .update_expression("SET #status = :held, statusShard = :shard, waited = :waited, updatedAt = :at")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":id", text(ingest_id))
            .expression_attribute_values(":received", text(Status::Received.as_str()))
            .expression_attribute_values(":held", text(Status::Held.as_str()))
            .expression_attribute_values(":shard", text(Status::Held.shard(ingest_id)))
            .expression_attribute_values(":waited", to_value(waited)?)
            .expression_attribute_values(":at", text(rfc3339(waited.since)))
            .send()
            .await;
        let Err(before) = condition_failed(result)? else { return Ok(Held::Waits) };
        let row = before.map(|item| from_item::<LedgerRow>(&self.table, item)).transpose()?;
        match row.filter(|row| row.ingest_id == ingest_id).map(|row| row.status) {
            Some(Status::Held) => Ok(Held::Waits),
            Some(Status::Normalized | Status::Quarantined) => Ok(Held::Past),
            Some(Status::Received) | None => Err(missing(key, ingest_id)),
        }
    }

    async fn let_go(&self, key: &LedgerKey, ingest_id: IngestId, by: &Resolution) -> Result<bool, Fault> {
        let result = self
            .update(key)
            .condition_expression("ingestId = :id AND #status = :held")
            .update_expression(
                "SET #status = :received, statusShard = :shard, waited.letGo = :by, updatedAt = :at",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":id", text(ingest_id))
            .expression_attribute_values(":held", text(Status::Held.as_str()))
            .expression_attribute_values(":received", text(Status::Received.as_str()))
            .expression_attribute_values(":shard", text(Status::Received.shard(ingest_id)))
            .expression_attribute_values(":by", to_value(by)?)
            .expression_attribute_values(":at", text(rfc3339(by.at)))
            .send()
            .await;
        Ok(condition_failed(result)?.is_ok())
    }

    async fn tell_again(&self, row: &LedgerRow, at: Timestamp) -> Result<bool, Fault> {
        let Some(sha256) = row.document_sha256().filter(|_| row.normalized.is_some()) else {
            return Ok(false);
        };
        let times = row.told_again.as_ref().filter(|told| told.sha256 == sha256).map_or(0, |told| told.times);
        let told = ToldAgain { sha256: sha256.clone(), times: times + 1, at };
        let seen = match &row.told_again {
            None => "attribute_not_exists(toldAgain)",
            Some(_) => "toldAgain = :seen",
        };
        let mut update = self
            .update(&row.key)
            .condition_expression(format!(
                "ingestId = :id AND #status = :normalized AND #document.#sha256 = :sha256 AND {seen}"
            ))
            .update_expression("SET toldAgain = :told")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#document", "normalized")
            .expression_attribute_names("#sha256", "sha256")
            .expression_attribute_values(":id", text(row.ingest_id))
            .expression_attribute_values(":normalized", text(Status::Normalized.as_str()))
            .expression_attribute_values(":sha256", text(sha256))
            .expression_attribute_values(":told", to_value(&told)?);
        if let Some(seen) = &row.told_again {
            update = update.expression_attribute_values(":seen", to_value(seen)?);
        }
        Ok(condition_failed(update.send().await)?.is_ok())
    }

    async fn mark_quarantined(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        note: &QuarantineNote,
    ) -> Result<Marked, Fault> {
        let result = self
            .update(key)
            .condition_expression("ingestId = :id AND #status <> :normalized")
            .update_expression(
                "SET #status = :status, statusShard = :shard, quarantine = :note, updatedAt = :at",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":id", text(ingest_id))
            .expression_attribute_values(":normalized", text(Status::Normalized.as_str()))
            .expression_attribute_values(":status", text(Status::Quarantined.as_str()))
            .expression_attribute_values(":shard", text(Status::Quarantined.shard(ingest_id)))
            .expression_attribute_values(":note", to_value(note)?)
            .expression_attribute_values(":at", text(rfc3339(note.at)))
            .send()
            .await;
        match condition_failed(result)? {
            Ok(()) => Ok(Marked::Quarantined),
            Err(Some(item)) => {
                let held: LedgerRow = from_item(&self.table, item)?;
                if held.ingest_id == ingest_id {
                    Ok(Marked::AlreadyNormalized)
                } else {
                    Err(missing(key, ingest_id))
                }
            }
            Err(None) => Err(missing(key, ingest_id)),
        }
    }
}

/// The attribute that holds what a message came to, the one that it takes the place of, and its value.
fn members(
    stated: &Stated,
) -> Result<(&'static str, &'static str, aws_sdk_dynamodb::types::AttributeValue), Fault> {
    Ok(match stated {
        Stated::Document(normalized) => ("normalized", "nothing", to_value(normalized)?),
        Stated::Nothing(nothing) => ("nothing", "normalized", to_value(nothing)?),
    })
}

fn missing(key: &LedgerKey, ingest_id: IngestId) -> Fault {
    Fault::new(
        Code::LedgerRowMissing,
        format!("the ledger has no event {ingest_id} under ({}, {})", key.vendor_id, key.external_event_id),
    )
}

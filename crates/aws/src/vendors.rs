//! The vendors table: `vendorId`, `record`.
//!
//! `record` is `profile`, `mapper#<eventType>` for the pointer to the active bundle, `history#<eventType>#<revision>` for each change of
//! it, `canary#<eventType>#<revision>` for the outcomes since a canary began, or `change#<time>#<what>#<revision>` for what was done
//! to the vendor. A profile and a pointer are written under the revision that was read. A row `key#<digest>`/`key` says whose an
//! API key is. Reads are cached for [`CACHE_SECONDS`], absence included, so that an unknown key costs one read, not one a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, ReturnValue, TransactWriteItem};
use jiff::Timestamp;
use moka::future::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sluice_core::bundle::{ActiveMapper, Arm, ArmCounts, CanaryCounts, MapperChange};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId, rfc3339};
use sluice_core::port::{Freshness, MapperPointers, VendorDirectory};
use sluice_core::record::VendorProfile;
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::item::{Item, Items, from_item, next, rows, text, to_item, to_value};

/// How old an answer may be: what a promotion or a revoked key takes to hold everywhere.
pub const CACHE_SECONDS: u64 = 2;

/// Most rows held.
const CACHE_ROWS_MAX: u64 = 10_000;

/// How often an edit is made anew when others were quicker.
const EDITS_MAX: u32 = 10;

/// Longest wait between two tries of an edit.
const EDIT_WAIT_MAX: Duration = Duration::from_millis(50);

const PROFILE: &str = "profile";

/// Counts the writes of a profile's row.
const REVISION: &str = "revision";
const CHANGE: &str = "change#";

/// A line of a vendor's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorChange {
    /// What was done, e.g. `disabled`.
    pub what: String,
    /// Who did it.
    pub by: String,
    /// When.
    #[serde(with = "sluice_core::id::millis")]
    pub at: Timestamp,
}

impl VendorChange {
    /// Of now.
    pub fn new(what: String, by: String) -> Self {
        Self { what, by, at: Timestamp::now() }
    }
}

/// What a vendor is to be.
#[derive(Debug, Clone)]
pub struct VendorEdit {
    /// The profile.
    pub profile: VendorProfile,
    /// The line of its history.
    pub change: Option<VendorChange>,
}

/// The table, behind its cache.
#[derive(Debug, Clone)]
pub struct DynamoVendors {
    client: Client,
    table: String,
    cache: Cache<(String, String), Option<Arc<Item>>>,
    contracts: Cache<VendorId, Arc<[ActiveMapper]>>,
}

fn revision_of(item: &Item) -> Option<u64> {
    item.get(REVISION).and_then(|revision| revision.as_n().ok()).and_then(|revision| revision.parse().ok())
}

fn owner_partition(api_key_sha256: &Sha256Hex) -> String {
    format!("key#{api_key_sha256}")
}

const MAPPER_PREFIX: &str = "mapper#";

/// Of a vendor, the row that counts how often its contracts changed.
const CONTRACTS: &str = "contracts";

fn mapper_record(event_type: &EventType) -> String {
    format!("{MAPPER_PREFIX}{event_type}")
}

/// An event type has no `#`, so whatever is stored beside a pointer is told from it.
fn is_pointer(item: &Item) -> bool {
    let record = item.get("record").and_then(|record| record.as_s().ok());
    record.and_then(|record| record.strip_prefix(MAPPER_PREFIX)).is_some_and(|rest| !rest.contains('#'))
}

/// Prefix of the records of a pointer's history. Revisions have ten digits, so that they sort as numbers do.
fn history_prefix(event_type: Option<&EventType>) -> String {
    event_type.map_or_else(|| "history#".to_owned(), |event_type| format!("history#{event_type}#"))
}

fn counts_record(event_type: &EventType, revision: u64) -> String {
    format!("canary#{event_type}#{revision}")
}

/// The counters of a canary, as stored.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Counters {
    candidate_events: u64,
    candidate_failed: u64,
    active_events: u64,
    active_failed: u64,
}

impl From<Counters> for CanaryCounts {
    fn from(row: Counters) -> Self {
        Self {
            candidate: ArmCounts { events: row.candidate_events, failed: row.candidate_failed },
            active: ArmCounts { events: row.active_events, failed: row.active_failed },
        }
    }
}

impl DynamoVendors {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        let time_to_live = Duration::from_secs(CACHE_SECONDS);
        let cache = Cache::builder().max_capacity(CACHE_ROWS_MAX).time_to_live(time_to_live).build();
        let contracts = Cache::builder().max_capacity(CACHE_ROWS_MAX).time_to_live(time_to_live).build();
        Self { client: crate::client::dynamodb(sdk), table: table.into(), cache, contracts }
    }

    async fn read(
        &self,
        partition: String,
        record: String,
        freshness: Freshness,
    ) -> Result<Option<Arc<Item>>, Fault> {
        let key = (partition, record);
        let (partition, record) = key.clone();
        let load = async {
            let answer = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("vendorId", text(partition))
                .key("record", text(record))
                .consistent_read(freshness == Freshness::Fresh)
                .send()
                .await
                .map_err(|error| fault("read the vendors table", error))?;
            Ok::<_, Fault>(answer.item.map(Arc::new))
        };
        // A cached load that is under way may have been read before what the caller must see: it is not joined.
        if freshness == Freshness::Fresh {
            let item = load.await?;
            self.cache.insert(key, item.clone()).await;
            return Ok(item);
        }
        self.cache.try_get_with(key, load).await.map_err(|shared: Arc<Fault>| {
            // Waiters share one failed read; each gets its classification and words.
            Fault::new(shared.code, shared.message.clone())
        })
    }

    async fn row<T: DeserializeOwned>(
        &self,
        partition: String,
        record: String,
        freshness: Freshness,
    ) -> Result<Option<T>, Fault> {
        let item = self.read(partition, record, freshness).await?;
        item.map(|item| from_item(&self.table, Item::clone(&item))).transpose()
    }

    /// Registers a vendor. `Ok(false)`: there is one of this name, and nothing was changed.
    pub async fn add_vendor(&self, profile: &VendorProfile) -> Result<bool, Fault> {
        let added = self.edit_vendor(&profile.vendor_id, |held| -> Result<Option<VendorEdit>, Fault> {
            Ok(held.is_none().then(|| VendorEdit { profile: profile.clone(), change: None }))
        });
        Ok(added.await?.is_some())
    }

    /// Changes a vendor. `edit` is given the profile as it is now, and says what it is to be; it is asked again when somebody else
    /// was quicker, so that no edit is lost and none undoes another. `None` from it, and then from here: nothing is changed.
    ///
    /// The profile, the rows of its keys and the line of its history are one transaction under the profile's revision.
    pub async fn edit_vendor<E: From<Fault>>(
        &self,
        vendor_id: &VendorId,
        mut edit: impl FnMut(Option<VendorProfile>) -> Result<Option<VendorEdit>, E>,
    ) -> Result<Option<VendorProfile>, E> {
        for _ in 0..EDITS_MAX {
            let row = self.read(vendor_id.to_string(), PROFILE.into(), Freshness::Fresh).await?;
            let seen = row.as_deref().and_then(revision_of);
            let held: Option<VendorProfile> =
                row.map(|item| from_item(&self.table, Item::clone(&item))).transpose()?;
            let Some(edited) = edit(held.clone())? else { return Ok(None) };
            if self.write_vendor(held.as_ref(), seen, &edited).await? {
                return Ok(Some(edited.profile));
            }
            tokio::time::sleep(EDIT_WAIT_MAX.mul_f64(rand::random::<f64>())).await;
        }
        Err(Fault::new(
            Code::ConcurrentWrite,
            format!(
                "others changed {vendor_id} at the same time, {EDITS_MAX} times: look at it, and try again"
            ),
        )
        .into())
    }

    /// `Ok(false)`: the row has another revision by now.
    async fn write_vendor(
        &self,
        held: Option<&VendorProfile>,
        seen: Option<u64>,
        edited: &VendorEdit,
    ) -> Result<bool, Fault> {
        let profile = &edited.profile;
        let malformed =
            |error| Fault::new(Code::RowMalformed, "failed to write the transaction").with_source(error);
        let put = |item: Item| Put::builder().table_name(&self.table).set_item(Some(item));
        let revision = seen.unwrap_or(0) + 1;
        let mut item = to_item(profile)?;
        item.insert("record".into(), text(PROFILE));
        item.insert(REVISION.into(), to_value(&revision)?);
        let row = put(item);
        let row = match (held, seen) {
            (None, _) => row.condition_expression("attribute_not_exists(vendorId)"),
            // Written before there were revisions.
            (Some(_), None) => {
                row.condition_expression("attribute_exists(vendorId) AND attribute_not_exists(revision)")
            }
            (Some(_), Some(seen)) => row
                .condition_expression("revision = :seen")
                .expression_attribute_values(":seen", to_value(&seen)?),
        };
        let mut writes = vec![TransactWriteItem::builder().put(row.build().map_err(malformed)?).build()];
        for digest in &profile.api_key_sha256 {
            let row = HashMap::from([
                ("vendorId".to_owned(), text(owner_partition(digest))),
                ("record".to_owned(), text("key")),
                ("owner".to_owned(), text(&profile.vendor_id)),
            ]);
            let row = put(row)
                .condition_expression("attribute_not_exists(vendorId) OR #owner = :owner")
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_values(":owner", text(&profile.vendor_id));
            writes.push(TransactWriteItem::builder().put(row.build().map_err(malformed)?).build());
        }
        let before = held.map(|held| held.api_key_sha256.as_slice()).unwrap_or_default();
        let revoked: Vec<&Sha256Hex> =
            before.iter().filter(|digest| !profile.api_key_sha256.contains(digest)).collect();
        for digest in &revoked {
            let row = Delete::builder()
                .table_name(&self.table)
                .key("vendorId", text(owner_partition(digest)))
                .key("record", text("key"));
            writes.push(TransactWriteItem::builder().delete(row.build().map_err(malformed)?).build());
        }
        if let Some(change) = &edited.change {
            let mut row = to_item(change)?;
            row.insert("vendorId".into(), text(&profile.vendor_id));
            // The time sorts; the revision is each change's own.
            let record = format!("{CHANGE}{}#{}#{revision:010}", rfc3339(change.at), change.what);
            row.insert("record".into(), text(record));
            writes.push(TransactWriteItem::builder().put(put(row).build().map_err(malformed)?).build());
        }
        let written = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        self.cache.invalidate(&(profile.vendor_id.to_string(), PROFILE.into())).await;
        for digest in profile.api_key_sha256.iter().chain(revoked) {
            self.cache.invalidate(&(owner_partition(digest), "key".into())).await;
        }
        match written {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if service.err().is_transaction_canceled_exception() => {
                let failed = failed_conditions(service.err());
                if failed.iter().any(|at| (1..=profile.api_key_sha256.len()).contains(at)) {
                    return Err(Fault::new(
                        Code::ConfigurationInvalid,
                        format!(
                            "an API key of {} belongs to another vendor already: give each vendor a key of its own",
                            profile.vendor_id
                        ),
                    ));
                }
                if was_quicker(service.err()) {
                    return Ok(false);
                }
                Err(fault("write the vendor", SdkError::ServiceError(service)))
            }
            Err(error) => Err(fault("write the vendor", error)),
        }
    }

    /// Two contracts of which no message could tell apart would be an error of every message: refused while a person is looking.
    /// Gives the revision of the vendor's contracts that this was found of (`Some(None)`: there is none yet), under which the
    /// contract is written, so that of two that are ambiguous together one is refused. `None`: any contract may be beside it.
    async fn refuse_ambiguous(&self, contract: &Contract) -> Result<Option<Option<u64>>, Fault> {
        if contract.envelope.is_none() {
            return Ok(None);
        }
        let vendor_id = contract.vendor_id.to_string();
        let seen = self.read(vendor_id, CONTRACTS.into(), Freshness::Fresh).await?;
        let seen = seen.as_deref().and_then(revision_of);
        let held = self.load_contracts(&contract.vendor_id, true).await?;
        match held.iter().find(|other| contract.is_ambiguous_with(&other.contract)) {
            None => Ok(Some(seen)),
            Some(other) => Err(Fault::new(
                Code::ConfigurationInvalid,
                format!(
                    "{} has the contract {} at the same path and in the same format, and {} could not be told from it: one of them takes every message as its own (a constant eventType)",
                    contract.vendor_id, other.contract.event_type, contract.event_type
                ),
            )),
        }
    }

    async fn load_contracts(
        &self,
        vendor_id: &VendorId,
        consistent: bool,
    ) -> Result<Arc<[ActiveMapper]>, Fault> {
        let mut items = self.records(vendor_id, MAPPER_PREFIX, consistent);
        let mut contracts = Vec::new();
        while let Some(item) = next("list the vendor's contracts", &mut items).await? {
            if is_pointer(&item) {
                contracts.push(from_item(&self.table, item)?);
            }
        }
        Ok(contracts.into())
    }

    /// A vendor's records that begin with `prefix`, in their order.
    fn records(&self, vendor_id: &VendorId, prefix: &str, consistent: bool) -> Items<QueryError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("vendorId = :vendor AND begins_with(#record, :prefix)")
            .expression_attribute_names("#record", "record")
            .expression_attribute_values(":vendor", text(vendor_id))
            .expression_attribute_values(":prefix", text(prefix))
            .consistent_read(consistent);
        query.into_paginator().items().send()
    }

    /// A vendor's history, oldest first.
    pub async fn changes(&self, vendor_id: &VendorId) -> Result<Vec<VendorChange>, Fault> {
        rows("read a vendor's history", &self.table, self.records(vendor_id, CHANGE, false)).await
    }

    /// All vendors, in the table's order.
    pub async fn list(&self) -> Result<Vec<VendorProfile>, Fault> {
        self.scan("#record = :record", "profile").await
    }

    /// All pointers to active bundles.
    pub async fn list_mappers(&self) -> Result<Vec<ActiveMapper>, Fault> {
        self.scan("begins_with(#record, :record)", "mapper#").await
    }

    async fn scan<T: DeserializeOwned>(&self, filter: &str, record: &str) -> Result<Vec<T>, Fault> {
        let scan = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(filter)
            .expression_attribute_names("#record", "record")
            .expression_attribute_values(":record", text(record));
        rows("list the vendors table", &self.table, scan.into_paginator().items().send()).await
    }
}

#[derive(serde::Deserialize)]
struct Owner {
    owner: VendorId,
}

#[async_trait]
impl VendorDirectory for DynamoVendors {
    async fn owner_of_key(&self, api_key_sha256: &Sha256Hex) -> Result<Option<VendorId>, Fault> {
        let row: Option<Owner> =
            self.row(owner_partition(api_key_sha256), "key".into(), Freshness::Cached).await?;
        Ok(row.map(|row| row.owner))
    }

    async fn profile(
        &self,
        vendor_id: &VendorId,
        freshness: Freshness,
    ) -> Result<Option<VendorProfile>, Fault> {
        self.row(vendor_id.to_string(), PROFILE.into(), freshness).await
    }

    async fn contracts(&self, vendor_id: &VendorId) -> Result<Arc<[ActiveMapper]>, Fault> {
        let load = self.load_contracts(vendor_id, false);
        self.contracts
            .try_get_with_by_ref(vendor_id, load)
            .await
            .map_err(|shared: Arc<Fault>| Fault::new(shared.code, shared.message.clone()))
    }

    async fn active_mapper(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        freshness: Freshness,
    ) -> Result<Option<ActiveMapper>, Fault> {
        self.row(vendor_id.to_string(), mapper_record(event_type), freshness).await
    }
}

#[async_trait]
impl MapperPointers for DynamoVendors {
    async fn current(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
    ) -> Result<Option<ActiveMapper>, Fault> {
        self.active_mapper(vendor_id, event_type, Freshness::Fresh).await
    }

    async fn replace(&self, pointer: &ActiveMapper, change: &MapperChange) -> Result<bool, Fault> {
        let held = self.current(&pointer.contract.vendor_id, &pointer.contract.event_type).await?;
        let fence = match held {
            Some(held) if held.contract == pointer.contract => None,
            _ => self.refuse_ambiguous(&pointer.contract).await?,
        };
        let malformed =
            |error| Fault::new(Code::RowMalformed, "failed to write the transaction").with_source(error);
        let vendor_id = &pointer.contract.vendor_id;
        let record = mapper_record(&pointer.contract.event_type);
        let mut item = to_item(pointer)?;
        item.insert("vendorId".into(), text(vendor_id));
        item.insert("record".into(), text(&record));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = if pointer.revision == 1 {
            put.condition_expression("attribute_not_exists(vendorId)")
        } else {
            put.condition_expression("revision = :seen")
                .expression_attribute_values(":seen", to_value(&(pointer.revision - 1))?)
        };
        let mut entry = to_item(change)?;
        let prefix = history_prefix(Some(&change.event_type));
        entry.insert("record".into(), text(format!("{prefix}{:010}", change.revision)));
        let history = Put::builder()
            .table_name(&self.table)
            .set_item(Some(entry))
            .condition_expression("attribute_not_exists(vendorId)");
        let items =
            [put, history].map(|put| put.build().map(|put| TransactWriteItem::builder().put(put).build()));
        let mut write = self.client.transact_write_items();
        for item in items {
            write = write.transact_items(item.map_err(malformed)?);
        }
        if let Some(seen) = fence {
            let row = HashMap::from([
                ("vendorId".to_owned(), text(vendor_id)),
                ("record".to_owned(), text(CONTRACTS)),
                (REVISION.to_owned(), to_value(&(seen.unwrap_or(0) + 1))?),
            ]);
            let row = Put::builder().table_name(&self.table).set_item(Some(row));
            let row = match seen {
                None => row.condition_expression("attribute_not_exists(vendorId)"),
                Some(seen) => row
                    .condition_expression("revision = :seen")
                    .expression_attribute_values(":seen", to_value(&seen)?),
            };
            let row = row.build().map_err(malformed)?;
            write = write.transact_items(TransactWriteItem::builder().put(row).build());
        }
        match write.send().await {
            Ok(_) => {
                self.cache.invalidate(&(vendor_id.to_string(), record)).await;
                self.contracts.invalidate(vendor_id).await;
                Ok(true)
            }
            Err(SdkError::ServiceError(service))
                if service.err().is_transaction_canceled_exception() && was_quicker(service.err()) =>
            {
                Ok(false)
            }
            Err(error) => Err(fault("change the pointer to the mapper", error)),
        }
    }

    async fn history(
        &self,
        vendor_id: &VendorId,
        event_type: Option<&EventType>,
    ) -> Result<Vec<MapperChange>, Fault> {
        let items = self.records(vendor_id, &history_prefix(event_type), true);
        let mut changes: Vec<MapperChange> = rows("read the history of a mapper", &self.table, items).await?;
        changes.sort_by(|a, b| (a.at, &a.event_type, a.revision).cmp(&(b.at, &b.event_type, b.revision)));
        Ok(changes)
    }

    async fn count_outcome(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        revision: u64,
        arm: Arm,
        failed: bool,
    ) -> Result<CanaryCounts, Fault> {
        let (events, failures) = match arm {
            Arm::Candidate => ("candidateEvents", "candidateFailed"),
            Arm::Active => ("activeEvents", "activeFailed"),
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(vendor_id))
            .key("record", text(counts_record(event_type, revision)))
            .update_expression("ADD #events :one, #failed :failed")
            .expression_attribute_names("#events", events)
            .expression_attribute_names("#failed", failures)
            .expression_attribute_values(":one", to_value(&1)?)
            .expression_attribute_values(":failed", to_value(&u8::from(failed))?)
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|error| fault("count an outcome of the canary", error))?;
        let row: Counters = from_item(&self.table, answer.attributes.unwrap_or_default())?;
        Ok(row.into())
    }

    async fn counts(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        revision: u64,
    ) -> Result<CanaryCounts, Fault> {
        let record = counts_record(event_type, revision);
        let row: Option<Counters> = self.row(vendor_id.to_string(), record, Freshness::Fresh).await?;
        Ok(row.unwrap_or_default().into())
    }
}

/// Which writes of a cancelled transaction failed on their condition.
fn failed_conditions(error: &TransactWriteItemsError) -> Vec<usize> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return Vec::new() };
    let reasons = cancelled.cancellation_reasons().iter().enumerate();
    reasons.filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed")).map(|(at, _)| at).collect()
}

/// Whether a transaction was cancelled since the row is another's by now.
fn was_quicker(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return false };
    cancelled
        .cancellation_reasons()
        .iter()
        .any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict")))
}

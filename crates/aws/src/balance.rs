//! The balance table: `vendorId`, `hour`.
//!
//! Beside the vendors' rows it has `#open`/`<hour>` for each hour that is not closed, `#progress`/`-` for how far `reconcile` came,
//! `#duplicates#<vendorId>`/`<hour>` for the requests that `accept` answered DUPLICATE, and `#health`/`<vendorId>` for the last score; no
//! vendor's id has a `#`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use moka::future::Cache;
use serde::de::DeserializeOwned;
use sluice_core::Fault;
use sluice_core::balance::{BalanceRow, BalanceStore, Hour, OpenHour, Progress};
use sluice_core::health::{Duplicates, HealthNote};
use sluice_core::id::VendorId;

use crate::error::fault;
use crate::item::{Item, from_item, rows, text, to_item, to_value};

const OPEN: &str = "#open";
const PROGRESS: &str = "#progress";
const HEALTH: &str = "#health";

/// How old a score may be, in seconds, beyond what `reconcile` takes to renew it.
const HEALTH_SECONDS: u64 = 60;

/// Most scores held.
const HEALTH_ROWS_MAX: u64 = 10_000;

fn duplicates_partition(vendor_id: &VendorId) -> String {
    format!("#duplicates#{vendor_id}")
}

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoBalance {
    client: Client,
    table: String,
    health: Cache<VendorId, Option<HealthNote>>,
}

impl DynamoBalance {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        let health = Cache::builder()
            .max_capacity(HEALTH_ROWS_MAX)
            .time_to_live(Duration::from_secs(HEALTH_SECONDS))
            .build();
        Self { client: crate::client::dynamodb(sdk), table: table.into(), health }
    }

    async fn write(&self, partition: &str, sort: &str, mut item: Item) -> Result<(), Fault> {
        item.insert("vendorId".into(), text(partition));
        item.insert("hour".into(), text(sort));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map_err(|error| fault("write the balance", error))?;
        Ok(())
    }

    async fn query<T: DeserializeOwned>(
        &self,
        partition: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<T>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("vendorId = :partition AND #hour BETWEEN :from AND :to")
            .expression_attribute_names("#hour", "hour")
            .expression_attribute_values(":partition", text(partition))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to));
        rows("read the balance", &self.table, query.into_paginator().items().send()).await
    }
}

#[async_trait]
impl BalanceStore for DynamoBalance {
    async fn put(&self, rows: &[BalanceRow]) -> Result<(), Fault> {
        for row in rows {
            self.write(row.vendor_id.as_str(), &row.hour.to_string(), to_item(row)?).await?;
        }
        Ok(())
    }

    async fn rows(&self, vendor_id: &VendorId, from: Hour, to: Hour) -> Result<Vec<BalanceRow>, Fault> {
        self.query(vendor_id.as_str(), &from.to_string(), &to.to_string()).await
    }

    async fn open_hours(&self) -> Result<Vec<OpenHour>, Fault> {
        self.query(OPEN, "0", "9").await
    }

    async fn open_hour(&self, hour: &OpenHour) -> Result<(), Fault> {
        self.write(OPEN, &hour.hour.to_string(), to_item(hour)?).await
    }

    async fn close_hour(&self, hour: Hour) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.key("vendorId", text(OPEN)).key("hour", text(hour));
        delete.send().await.map_err(|error| fault("close an hour of the balance", error))?;
        Ok(())
    }

    async fn progress(&self) -> Result<Progress, Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("vendorId", text(PROGRESS))
            .key("hour", text("-"))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault("read how far the balance is", error))?;
        answer.item.map_or_else(|| Ok(Progress::default()), |item| from_item(&self.table, item))
    }

    async fn set_progress(&self, progress: &Progress) -> Result<(), Fault> {
        self.write(PROGRESS, "-", to_item(progress)?).await
    }

    async fn add_duplicates(
        &self,
        vendor_id: &VendorId,
        hour: Hour,
        duplicates: &Duplicates,
    ) -> Result<(), Fault> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(duplicates_partition(vendor_id)))
            .key("hour", text(hour))
            .update_expression("ADD duplicates :duplicates, hasty :hasty")
            .expression_attribute_values(":duplicates", to_value(&duplicates.duplicates)?)
            .expression_attribute_values(":hasty", to_value(&duplicates.hasty)?);
        update.send().await.map_err(|error| fault("count duplicates", error))?;
        Ok(())
    }

    async fn duplicates(&self, vendor_id: &VendorId, from: Hour, to: Hour) -> Result<Duplicates, Fault> {
        let partition = duplicates_partition(vendor_id);
        let rows: Vec<Duplicates> = self.query(&partition, &from.to_string(), &to.to_string()).await?;
        let mut sum = Duplicates::default();
        rows.iter().for_each(|row| sum.add(row));
        Ok(sum)
    }

    async fn health(&self, vendor_id: &VendorId) -> Result<Option<HealthNote>, Fault> {
        let read = async {
            let answer = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("vendorId", text(HEALTH))
                .key("hour", text(vendor_id))
                .send()
                .await
                .map_err(|error| fault("read a vendor's score", error))?;
            answer.item.map(|item| from_item(&self.table, item)).transpose()
        };
        let found = self.health.try_get_with_by_ref(vendor_id, read).await;
        found.map_err(|shared: Arc<Fault>| Fault::new(shared.code, shared.message.clone()))
    }

    async fn put_health(&self, vendor_id: &VendorId, note: &HealthNote) -> Result<(), Fault> {
        self.write(HEALTH, vendor_id.as_str(), to_item(note)?).await
    }
}

//! The balance table: `vendorId`, `hour`.
//!
//! Beside the vendors' rows it has `#open`/`<hour>` for each hour that is not closed, and `#progress`/`-` for how far `reconcile`
//! came; no vendor's id has a `#`.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use serde::de::DeserializeOwned;
use sluice_core::Fault;
use sluice_core::balance::{BalanceRow, BalanceStore, Hour, OpenHour, Progress};
use sluice_core::id::VendorId;

use crate::error::fault;
use crate::item::{Item, from_item, rows, text, to_item};

const OPEN: &str = "#open";
const PROGRESS: &str = "#progress";

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoBalance {
    client: Client,
    table: String,
}

impl DynamoBalance {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        Self { client: crate::client::dynamodb(sdk), table: table.into() }
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
}

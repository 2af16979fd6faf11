//! The quarantine table: `vendorId`, `ingestId`.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use sluice_core::Fault;
use sluice_core::id::{IngestId, VendorId, rfc3339};
use sluice_core::port::QuarantineStore;
use sluice_core::record::{QuarantineRow, QuarantineStatus};

use crate::error::fault;
use crate::item::{Item, from_item, text, to_item, to_value};

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoQuarantine {
    client: Client,
    table: String,
}

impl DynamoQuarantine {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        Self { client: crate::client::dynamodb(sdk), table: table.into() }
    }

    /// One row.
    pub async fn find(
        &self,
        vendor_id: &VendorId,
        ingest_id: IngestId,
    ) -> Result<Option<QuarantineRow>, Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("vendorId", text(vendor_id))
            .key("ingestId", text(ingest_id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault("read the quarantine row", error))?;
        answer.item.map(|item| from_item(&self.table, item)).transpose()
    }

    /// All rows with a status, of one vendor or of all, oldest event first within a vendor.
    pub async fn list(
        &self,
        vendor_id: Option<&VendorId>,
        status: Option<QuarantineStatus>,
    ) -> Result<Vec<QuarantineRow>, Fault> {
        let mut rows: Vec<QuarantineRow> = Vec::new();
        let mut from: Option<Item> = None;
        loop {
            let (items, next) = match vendor_id {
                Some(vendor_id) => {
                    let answer = self
                        .client
                        .query()
                        .table_name(&self.table)
                        .key_condition_expression("vendorId = :vendor")
                        .expression_attribute_values(":vendor", text(vendor_id))
                        .set_exclusive_start_key(from)
                        .send()
                        .await
                        .map_err(|error| fault("list the quarantine", error))?;
                    (answer.items, answer.last_evaluated_key)
                }
                None => {
                    let scan = self.client.scan().table_name(&self.table).set_exclusive_start_key(from);
                    let answer = scan.send().await.map_err(|error| fault("list the quarantine", error))?;
                    (answer.items, answer.last_evaluated_key)
                }
            };
            for item in items.unwrap_or_default() {
                let row: QuarantineRow = from_item(&self.table, item)?;
                if status.is_none_or(|status| row.status == status) {
                    rows.push(row);
                }
            }
            from = next.filter(|key| !key.is_empty());
            if from.is_none() {
                rows.sort_by(|a, b| (&a.vendor_id, a.ingest_id).cmp(&(&b.vendor_id, b.ingest_id)));
                return Ok(rows);
            }
        }
    }
}

#[async_trait]
impl QuarantineStore for DynamoQuarantine {
    async fn open(&self, row: &QuarantineRow) -> Result<(), Fault> {
        // Everything but the key and the first time, which holds once set.
        let mut item: Vec<(String, AttributeValue)> = to_item(row)?.into_iter().collect();
        item.retain(|(name, _)| !matches!(name.as_str(), "vendorId" | "ingestId" | "firstSeenAt"));
        item.sort_by(|a, b| a.0.cmp(&b.0));
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(&row.vendor_id))
            .key("ingestId", text(row.ingest_id));
        let mut assignments = vec!["firstSeenAt = if_not_exists(firstSeenAt, :first)".to_owned()];
        update = update.expression_attribute_values(":first", text(rfc3339(row.first_seen_at)));
        for (index, (name, value)) in item.into_iter().enumerate() {
            assignments.push(format!("#n{index} = :v{index}"));
            update = update
                .expression_attribute_names(format!("#n{index}"), name)
                .expression_attribute_values(format!(":v{index}"), value);
        }
        update
            .update_expression(format!("SET {}", assignments.join(", ")))
            .send()
            .await
            .map_err(|error| fault("write the quarantine row", error))?;
        Ok(())
    }

    async fn release(&self, vendor_id: &VendorId, ingest_id: IngestId, at: Timestamp) -> Result<(), Fault> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(vendor_id))
            .key("ingestId", text(ingest_id))
            .condition_expression("attribute_exists(vendorId)")
            .update_expression("SET #status = :released, lastSeenAt = :at")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":released", to_value(&QuarantineStatus::Released)?)
            .expression_attribute_values(":at", text(rfc3339(at)))
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(fault("release the quarantine row", error)),
        }
    }
}

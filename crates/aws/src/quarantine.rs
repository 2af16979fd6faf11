//! The quarantine table: `vendorId`, `ingestId`; index `by-group` of the open rows.
//!
//! Invariants: a row is never deleted; `openGroup` is there exactly while a row is OPEN, so that the index holds nothing else. A
//! row `group#<fingerprint>`/`note` is what a person said of a group; no vendor's id has a `#`.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use sluice_core::Fault;
use sluice_core::id::{IngestId, VendorId, rfc3339};
use sluice_core::port::QuarantineStore;
use sluice_core::quarantine::{open_group, open_group_shards};
use sluice_core::record::{QuarantineRow, QuarantineStatus, Resolution};

use crate::error::fault;
use crate::item::{from_item, rows, text, to_item, to_value};

/// Name of the index of open rows by group.
pub const BY_GROUP: &str = "by-group";

/// Partitions of notes begin with this.
const NOTES: &str = "group#";
const NOTE: &str = "note";

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

    /// All rows with a status, of one vendor or of all, oldest event first within a vendor. Open rows come from the index that
    /// holds nothing else: what it costs does not grow with what was released.
    pub async fn list(
        &self,
        vendor_id: Option<&VendorId>,
        status: Option<QuarantineStatus>,
    ) -> Result<Vec<QuarantineRow>, Fault> {
        let action = "list the quarantine";
        let scan = self.client.scan().table_name(&self.table);
        let mut found: Vec<QuarantineRow> = match (vendor_id, status) {
            (Some(vendor_id), None | Some(QuarantineStatus::Released | QuarantineStatus::Discarded)) => {
                let query = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .key_condition_expression("vendorId = :vendor")
                    .expression_attribute_values(":vendor", text(vendor_id));
                rows(action, &self.table, query.into_paginator().items().send()).await?
            }
            (_, Some(QuarantineStatus::Open)) => {
                let scan = scan.index_name(BY_GROUP);
                let scan = match vendor_id {
                    Some(vendor_id) => scan
                        .filter_expression("vendorId = :vendor")
                        .expression_attribute_values(":vendor", text(vendor_id)),
                    None => scan,
                };
                rows(action, &self.table, scan.into_paginator().items().send()).await?
            }
            (None, _) => {
                let scan = scan
                    .filter_expression("NOT begins_with(vendorId, :group)")
                    .expression_attribute_values(":group", text(NOTES));
                rows(action, &self.table, scan.into_paginator().items().send()).await?
            }
        };
        found.retain(|row| status.is_none_or(|status| row.status == status));
        found.sort_by(|a, b| (&a.vendor_id, a.ingest_id).cmp(&(&b.vendor_id, b.ingest_id)));
        Ok(found)
    }

    /// The open rows of a group, oldest event first within a vendor.
    pub async fn group(&self, fingerprint: &str) -> Result<Vec<QuarantineRow>, Fault> {
        let mut group: Vec<QuarantineRow> = Vec::new();
        for shard in open_group_shards(fingerprint) {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(BY_GROUP)
                .key_condition_expression("openGroup = :group")
                .expression_attribute_values(":group", text(shard));
            let items = query.into_paginator().items().send();
            group.extend(
                rows::<QuarantineRow, _>("read a group of the quarantine", &self.table, items).await?,
            );
        }
        group.sort_by(|a, b| (&a.vendor_id, a.ingest_id).cmp(&(&b.vendor_id, b.ingest_id)));
        Ok(group)
    }

    /// The rows of a vendor's events that were accepted from `from` up to, not including, `to`.
    pub async fn between(
        &self,
        vendor_id: &VendorId,
        from: IngestId,
        to: IngestId,
    ) -> Result<Vec<QuarantineRow>, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("vendorId = :vendor AND ingestId BETWEEN :from AND :to")
            .expression_attribute_values(":vendor", text(vendor_id))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to));
        let items = query.into_paginator().items().send();
        let mut found: Vec<QuarantineRow> = rows("read the quarantine of a time", &self.table, items).await?;
        found.retain(|row| row.ingest_id < to);
        Ok(found)
    }

    /// Sets DISCARDED, with who and why; nothing is deleted. `Ok(false)`: the row is not open any more.
    pub async fn discard(
        &self,
        vendor_id: &VendorId,
        ingest_id: IngestId,
        resolution: &Resolution,
    ) -> Result<bool, Fault> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(vendor_id))
            .key("ingestId", text(ingest_id))
            .condition_expression("#status = :open")
            .update_expression("SET #status = :discarded, resolution = :resolution REMOVE openGroup")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":open", to_value(&QuarantineStatus::Open)?)
            .expression_attribute_values(":discarded", to_value(&QuarantineStatus::Discarded)?)
            .expression_attribute_values(":resolution", to_value(resolution)?)
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(false)
            }
            Err(error) => Err(fault("discard the quarantine row", error)),
        }
    }

    /// Records that a person knows of a group. The latest acknowledgement holds.
    pub async fn acknowledge(&self, fingerprint: &str, note: &Resolution) -> Result<(), Fault> {
        self.client
            .put_item()
            .table_name(&self.table)
            .item("vendorId", text(format!("{NOTES}{fingerprint}")))
            .item("ingestId", text(NOTE))
            .item("note", to_value(note)?)
            .send()
            .await
            .map_err(|error| fault("acknowledge a group of the quarantine", error))?;
        Ok(())
    }

    /// What was last said of a group.
    pub async fn note(&self, fingerprint: &str) -> Result<Option<Resolution>, Fault> {
        #[derive(serde::Deserialize)]
        struct Note {
            note: Resolution,
        }
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("vendorId", text(format!("{NOTES}{fingerprint}")))
            .key("ingestId", text(NOTE))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault("read the note of a group", error))?;
        Ok(answer.item.map(|item| from_item::<Note>(&self.table, item)).transpose()?.map(|note| note.note))
    }
}

#[async_trait]
impl QuarantineStore for DynamoQuarantine {
    async fn open(&self, row: &QuarantineRow) -> Result<(), Fault> {
        // Everything but the key and the first time, which holds once set.
        let mut item: Vec<(String, AttributeValue)> = to_item(row)?.into_iter().collect();
        item.retain(|(name, _)| !matches!(name.as_str(), "vendorId" | "ingestId" | "firstSeenAt"));
        if row.status == QuarantineStatus::Open {
            item.push(("openGroup".into(), text(open_group(&row.fingerprint, row.ingest_id))));
        }
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
        let result = update
            // A late copy of an attempt that was released or discarded since does not open the row again.
            .condition_expression(
                "attribute_not_exists(vendorId) OR executionArn <> :arn OR attempts < :attempts OR #open = :open",
            )
            .expression_attribute_names("#open", "status")
            .expression_attribute_values(":open", to_value(&QuarantineStatus::Open)?)
            .expression_attribute_values(":arn", text(&row.execution_arn))
            .expression_attribute_values(":attempts", to_value(&row.attempts)?)
            .update_expression(format!("SET {}", assignments.join(", ")))
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(fault("write the quarantine row", error)),
        }
    }

    async fn find(&self, vendor_id: &VendorId, ingest_id: IngestId) -> Result<Option<QuarantineRow>, Fault> {
        Self::find(self, vendor_id, ingest_id).await
    }

    async fn release(&self, vendor_id: &VendorId, ingest_id: IngestId, at: Timestamp) -> Result<(), Fault> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(vendor_id))
            .key("ingestId", text(ingest_id))
            .condition_expression("attribute_exists(vendorId)")
            .update_expression("SET #status = :released, lastSeenAt = :at REMOVE openGroup")
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

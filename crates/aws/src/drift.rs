//! The drift table: `vendorId`, `record`.
//!
//! `record` is `track#<eventType>#<schemaVersion>` for what messages look like (gzip, one item, replaced by whoever has seen its version) and
//! `finding#<eventType>#<id>` for a difference, which is written once and brought up to date after that. `expiresAt` (seconds
//! since 1970) is when a finding that is not seen again goes away.

use std::error::Error;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use sluice_core::drift::{FINDING_SECONDS, Finding, Track, TrackKey};
use sluice_core::id::{VendorId, rfc3339};
use sluice_core::port::{DriftStore, Recorded};
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::item::{Item, Items, from_item, next, text, to_item, to_value};

const TRACK: &str = "track#";
const FINDING: &str = "finding#";

/// Of a finding that is not known to be on the bus. A row without it was announced.
const UNANNOUNCED: &str = "unannounced";

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoDrift {
    client: Client,
    table: String,
}

/// All that is known of drift.
#[derive(Debug, Clone, Default)]
pub struct Drift {
    /// What messages look like.
    pub tracks: Vec<(TrackKey, Track)>,
    /// The findings.
    pub findings: Vec<Finding>,
}

impl DynamoDrift {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        Self { client: crate::client::dynamodb(sdk), table: table.into() }
    }

    /// Everything of one vendor, or of all.
    pub async fn list(&self, vendor_id: Option<&VendorId>) -> Result<Drift, Fault> {
        match vendor_id {
            Some(vendor_id) => {
                let query = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .key_condition_expression("vendorId = :vendor")
                    .expression_attribute_values(":vendor", text(vendor_id));
                self.sort(query.into_paginator().items().send()).await
            }
            None => {
                self.sort(self.client.scan().table_name(&self.table).into_paginator().items().send()).await
            }
        }
    }

    async fn sort<E>(&self, mut items: Items<E>) -> Result<Drift, Fault>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let mut drift = Drift::default();
        while let Some(item) = next("read the drift table", &mut items).await? {
            let record = item.get("record").and_then(|record| record.as_s().ok()).map_or("", String::as_str);
            if let Some(key) = record.strip_prefix(TRACK) {
                let vendor_id = item.get("vendorId").and_then(|id| id.as_s().ok());
                let key = track_key(vendor_id.map_or("", String::as_str), key).ok_or_else(|| {
                    Fault::new(Code::RowMalformed, format!("a row of {} has no key of a profile", self.table))
                })?;
                drift.tracks.push((key, decode(&item)?.0));
            } else if record.starts_with(FINDING) {
                drift.findings.push(from_item(&self.table, item)?);
            }
        }
        Ok(drift)
    }
}

fn track_record(of: &TrackKey) -> String {
    format!("{TRACK}{}#{}", of.event_type, of.schema_version)
}

fn track_key(vendor_id: &str, key: &str) -> Option<TrackKey> {
    let (event_type, schema_version) = key.rsplit_once('#')?;
    Some(TrackKey {
        vendor_id: vendor_id.parse().ok()?,
        event_type: event_type.parse().ok()?,
        schema_version: schema_version.parse().ok()?,
    })
}

fn decode(item: &Item) -> Result<(Track, u64), Fault> {
    let malformed = || Fault::new(Code::RowMalformed, "a profile in the drift table is not one");
    let bytes = item.get("track").and_then(|track| track.as_b().ok()).ok_or_else(malformed)?;
    let version =
        item.get("version").and_then(|version| version.as_n().ok()).and_then(|version| version.parse().ok());
    let track = Track::decode(bytes.as_ref()).map_err(|error| malformed().with_source(error))?;
    Ok((track, version.ok_or_else(malformed)?))
}

#[async_trait]
impl DriftStore for DynamoDrift {
    async fn track(&self, of: &TrackKey) -> Result<(Track, u64), Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("vendorId", text(&of.vendor_id))
            .key("record", text(track_record(of)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| fault("read a profile of the drift table", error))?;
        answer.item.map_or_else(|| Ok(Default::default()), |item| decode(&item))
    }

    async fn put_track(&self, of: &TrackKey, track: &Track, seen: u64) -> Result<bool, Fault> {
        let bytes = track.encode().map_err(|error| {
            Fault::new(Code::RowMalformed, "failed to write a profile").with_source(error)
        })?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("vendorId", text(&of.vendor_id))
            .item("record", text(track_record(of)))
            .item("version", to_value(&(seen + 1))?)
            .item("track", AttributeValue::B(Blob::new(bytes)));
        let put = if seen == 0 {
            put.condition_expression("attribute_not_exists(vendorId)")
        } else {
            put.condition_expression("version = :seen").expression_attribute_values(":seen", to_value(&seen)?)
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(false)
            }
            Err(error) => Err(fault("write a profile of the drift table", error)),
        }
    }

    async fn record(&self, finding: &Finding) -> Result<Recorded, Fault> {
        let record = format!("{FINDING}{}#{}", finding.event_type, finding.id);
        let mut item = to_item(finding)?;
        item.insert("record".into(), text(&record));
        item.insert(UNANNOUNCED.into(), AttributeValue::Bool(true));
        let expires_at = finding.last_seen_at.as_second() + FINDING_SECONDS;
        item.insert("expiresAt".into(), to_value(&expires_at)?);
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(vendorId)")
            .send()
            .await;
        match result {
            Ok(_) => return Ok(Recorded::New),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
            }
            Err(error) => return Err(fault("record a finding of drift", error)),
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(&finding.vendor_id))
            .key("record", text(record))
            .update_expression("SET lastSeenAt = :at, objects = :objects, #example = :example, bundle = :bundle, schemaVersion = :version, expiresAt = :expires")
            .expression_attribute_values(":expires", to_value(&expires_at)?)
            .expression_attribute_names("#example", "example")
            .expression_attribute_values(":at", text(rfc3339(finding.last_seen_at)))
            .expression_attribute_values(":objects", to_value(&finding.objects)?)
            .expression_attribute_values(":example", text(finding.example))
            .expression_attribute_values(":bundle", to_value(&finding.bundle)?)
            .expression_attribute_values(":version", to_value(&finding.schema_version)?)
            .return_values(ReturnValue::AllNew);
        let updated =
            update.send().await.map_err(|error| fault("bring a finding of drift up to date", error))?;
        let unannounced = updated.attributes.is_some_and(|row| row.contains_key(UNANNOUNCED));
        Ok(if unannounced { Recorded::Unannounced } else { Recorded::Known })
    }

    async fn announced(&self, finding: &Finding) -> Result<(), Fault> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("vendorId", text(&finding.vendor_id))
            .key("record", text(format!("{FINDING}{}#{}", finding.event_type, finding.id)))
            // One that has expired meanwhile is not made again, without its members.
            .condition_expression("attribute_exists(vendorId)")
            .update_expression("REMOVE #unannounced")
            .expression_attribute_names("#unannounced", UNANNOUNCED);
        match update.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(fault("remember that a finding of drift was announced", error)),
        }
    }
}

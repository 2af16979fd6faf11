//! The books as they are on AWS: the ledger by its indexes, the objects by their listings, the quarantine by its keys.
//!
//! Listings of a span are exact: an object's key ends in a ULID, which begins with the time of acceptance.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_s3::Client as S3;
use aws_sdk_sfn::Client as Sfn;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use sluice_core::books::{Books, canonical_types};
use sluice_core::id::{CanonicalType, IngestId, ObjectRef, VendorId, normalized_folder, raw_key, rfc3339};
use sluice_core::limits::STATUS_SHARDS;
use sluice_core::port::{CanonicalStore as _, Ledger as _};
use sluice_core::record::{LedgerKey, LedgerRow, QuarantineRow, Status, recovery_name};
use sluice_core::state::Effects;
use sluice_core::{Code, Fault};

use crate::canonical::DynamoCanonical;
use crate::error::fault;
use crate::item::{from_item, next, text};
use crate::ledger::{BY_STATUS, DynamoLedger};
use crate::quarantine::DynamoQuarantine;

/// Partitions of the index read at once.
const READS_AT_ONCE: usize = 8;

/// Most rows asked for at once: a page of a megabyte holds about as many.
const PAGE_ROWS_MAX: usize = 1_000;

/// How long an index may lag, as far as a second look waits for it.
const SETTLE: Duration = Duration::from_millis(800);

/// Names of what is read.
#[derive(Debug, Clone)]
pub struct Names {
    /// Table of accepted events.
    pub ledger: String,
    /// Table of quarantined events.
    pub quarantine: String,
    /// Bucket of verbatim requests.
    pub raw: String,
    /// Bucket of normalized documents.
    pub normalized: String,
    /// Table of canonical state.
    pub canonical_state: String,
}

/// The books.
#[derive(Debug, Clone)]
pub struct AwsBooks {
    dynamodb: DynamoDb,
    s3: S3,
    ledger: DynamoLedger,
    quarantine: DynamoQuarantine,
    canonical: DynamoCanonical,
    names: Names,
    recoveries: Option<(Sfn, String)>,
}

impl AwsBooks {
    /// Over tables and buckets.
    pub fn new(sdk: &SdkConfig, names: Names) -> Self {
        Self {
            dynamodb: crate::client::dynamodb(sdk),
            s3: crate::client::s3(sdk),
            ledger: DynamoLedger::new(sdk, &names.ledger),
            quarantine: DynamoQuarantine::new(sdk, &names.quarantine),
            // Nothing here reads divergence.
            canonical: DynamoCanonical::new(sdk, &names.canonical_state, ""),
            names,
            recoveries: None,
        }
    }

    /// Also looks for executions of the state machine that recovers events; the caller must be allowed to describe them.
    #[must_use]
    pub fn with_recoveries(self, sdk: &SdkConfig, state_machine_arn: &str) -> Self {
        let executions = state_machine_arn.replacen(":stateMachine:", ":execution:", 1);
        Self { recoveries: Some((crate::client::sfn(sdk), executions)), ..self }
    }

    /// Rows of one shard, oldest first; stops after `limit`.
    async fn shard(
        &self,
        shard: String,
        condition: &str,
        bounds: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault> {
        let mut query = self
            .dynamodb
            .query()
            .table_name(&self.names.ledger)
            .index_name(BY_STATUS)
            .key_condition_expression(format!("statusShard = :shard{condition}"))
            .expression_attribute_values(":shard", text(&shard));
        for (name, value) in bounds {
            query = query.expression_attribute_values(*name, text(value));
        }
        let page = i32::try_from(limit.min(PAGE_ROWS_MAX)).unwrap_or(i32::MAX);
        let mut items = query.into_paginator().page_size(page).items().send();
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(item) = next("read the ledger by status", &mut items).await?
        {
            rows.push(from_item(&self.names.ledger, item)?);
        }
        Ok(rows)
    }

    /// Keys after `from` and before `to`, which share the prefix up to their last slash: keys of objects, or what the keys of an
    /// event's objects begin with.
    async fn keys(&self, bucket: &str, from: &str, to: &str) -> Result<Vec<String>, Fault> {
        // The ids of the two ends, without their extension, sort before every object of their millisecond.
        let bound = |key: &str| key.trim_end_matches(".json").to_owned();
        let (from, to) = (bound(from), bound(to));
        let prefix = from.rsplit_once('/').map_or("", |(prefix, _)| prefix).to_owned() + "/";
        let list = self.s3.list_objects_v2().bucket(bucket).prefix(&prefix).start_after(&from);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault("list objects", error))?;
            for object in page.contents.unwrap_or_default() {
                let key = object.key.unwrap_or_default();
                // The last hour of a day ends in the next day's folder: then all of this folder is before the end.
                if to.starts_with(&prefix) && key >= to {
                    return Ok(keys);
                }
                keys.push(key);
            }
        }
        Ok(keys)
    }

    async fn first_key(&self, bucket: &str, prefix: &str) -> Result<Option<String>, Fault> {
        let list = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).max_keys(1);
        let answer = list.send().await.map_err(|error| fault("list objects", error))?;
        Ok(answer.contents.unwrap_or_default().into_iter().next().and_then(|object| object.key))
    }
}

#[async_trait]
impl Books for AwsBooks {
    async fn vendors(&self) -> Result<Vec<VendorId>, Fault> {
        let list = self.s3.list_objects_v2().bucket(&self.names.raw).prefix("raw/").delimiter("/");
        let mut pages = list.into_paginator().send();
        let mut vendors = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault("list the vendors of the raw bucket", error))?;
            for prefix in page.common_prefixes.unwrap_or_default() {
                let name = prefix.prefix.unwrap_or_default();
                let name = name.trim_start_matches("raw/").trim_end_matches('/');
                vendors.extend(name.parse::<VendorId>());
            }
        }
        Ok(vendors)
    }

    async fn rows(
        &self,
        from: Timestamp,
        to: Timestamp,
        rows_max: usize,
    ) -> Result<Option<Vec<LedgerRow>>, Fault> {
        // `BETWEEN` takes both ends: the row at `to` belongs to the next span.
        let bounds = [(":from", rfc3339(from)), (":to", rfc3339(to))];
        let shards: Vec<String> = Status::ALL.into_iter().flat_map(Status::shards).collect();
        let reads = shards
            .into_iter()
            // One more than may be, so that what was cut off is told from what just fits.
            .map(|shard| {
                self.shard(
                    shard,
                    " AND receivedAt BETWEEN :from AND :to",
                    &bounds,
                    rows_max.saturating_add(1),
                )
            });
        let mut reads = futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        let mut rows = Vec::new();
        while let Some(read) = reads.try_next().await? {
            rows.extend(read.into_iter().filter(|row| row.received_at < to));
            if rows.len() > rows_max {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    }

    async fn row(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault> {
        self.ledger.find_by_ingest_id(ingest_id).await
    }

    async fn row_at(&self, key: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        self.ledger.find(key).await
    }

    async fn raw_keys(
        &self,
        vendor: &VendorId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<String>, Fault> {
        let key = |at| raw_key(vendor, at, IngestId::mint(at, 0));
        self.keys(&self.names.raw, &key(from), &key(to)).await
    }

    async fn normalized_keys(
        &self,
        canonical: &CanonicalType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<String>, Fault> {
        let key = |at| normalized_folder(canonical, at, IngestId::mint(at, 0));
        self.keys(&self.names.normalized, &key(from), &key(to)).await
    }

    async fn quarantined(
        &self,
        vendor: &VendorId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<QuarantineRow>, Fault> {
        self.quarantine.between(vendor, IngestId::mint(from, 0), IngestId::mint(to, 0)).await
    }

    async fn quarantine_row(
        &self,
        vendor: &VendorId,
        ingest_id: IngestId,
    ) -> Result<Option<QuarantineRow>, Fault> {
        self.quarantine.find(vendor, ingest_id).await
    }

    async fn raw_object(&self, key: &str) -> Result<Option<Bytes>, Fault> {
        self.object(&ObjectRef { bucket: self.names.raw.clone(), key: key.to_owned() }).await
    }

    async fn object(&self, at: &ObjectRef) -> Result<Option<Bytes>, Fault> {
        match crate::raw::get(&self.s3, &at.bucket, &at.key, Code::RawMissing).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.code == Code::RawMissing => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn effects(&self, events: &[IngestId]) -> Result<Vec<Effects>, Fault> {
        Ok(self.canonical.read(events, &[]).await?.effects)
    }

    async fn trace(&self, vendor_id: &VendorId, ingest_id: IngestId) -> Result<Option<String>, Fault> {
        let Some((client, executions)) = &self.recoveries else { return Ok(None) };
        // The first recovery of an event (`state-machines/normalize.asl.json`); a replay's would have left it as well.
        let arn = format!("{executions}:{}", recovery_name(vendor_id, ingest_id, 0));
        match client.describe_execution().execution_arn(&arn).send().await {
            Ok(_) => Ok(Some(arn)),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) =>
            {
                Ok(None)
            }
            Err(error) => Err(fault("describe an execution", error)),
        }
    }

    async fn by_status(
        &self,
        status: Status,
        shard: u8,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault> {
        let partition = format!("{}#{shard}", status.as_str());
        self.shard(partition, " AND receivedAt > :after", &[(":after", rfc3339(after))], limit).await
    }

    async fn first_received(&self) -> Result<Option<Timestamp>, Fault> {
        let mut first: Option<Timestamp> = None;
        let mut earlier = |at: Timestamp| first = Some(first.map_or(at, |held| held.min(at)));
        for status in Status::ALL {
            for shard in 0..STATUS_SHARDS {
                let rows = self.shard(format!("{}#{shard}", status.as_str()), "", &[], 1).await?;
                rows.iter().for_each(|row| earlier(row.received_at));
            }
        }
        let mut objects = Vec::new();
        for vendor in self.vendors().await? {
            objects.extend(self.first_key(&self.names.raw, &format!("raw/{vendor}/")).await?);
        }
        for canonical in canonical_types() {
            objects
                .extend(self.first_key(&self.names.normalized, &format!("normalized/{canonical}/")).await?);
        }
        objects
            .iter()
            .filter_map(|key| sluice_core::id::ingest_id_of_key(key))
            .for_each(|id| earlier(id.received_at()));
        Ok(first)
    }

    async fn settle(&self) {
        tokio::time::sleep(SETTLE).await;
    }
}

//! Shadow replay: a candidate mapper over a vendor's stored traffic, beside the active one, before
//! it is promoted.
//!
//! It reads the ledger, raw objects and bundles, and writes nothing: [`Traffic`], all that it sees
//! of the world, has no verb that writes. Both mappers get the same bytes by the same code that
//! `normalize` runs (`sluice_mapping`), so what it reports is what will happen. The report does not
//! depend on the order in which events were compared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sluice_aws::error::fault;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, IngestId, ObjectRef, VendorId, rfc3339};
use sluice_core::port::{Freshness, RawStore as _, VendorDirectory as _};
use sluice_core::record::{EventDetail, LedgerRow};
use sluice_core::{Class, Code, Fault};
use sluice_mapper_host::Host;
use sluice_mapping::Bundle;

use crate::cloud::Cloud;
use crate::diff::{Change, Difference};
use crate::document::millis;
use crate::error::OpsError;
use crate::loaded;
use crate::mappers::Shadowed;
use crate::progress::Progress;

/// Most events that are compared, unless told otherwise: the newest.
pub const LIMIT_DEFAULT: u32 = 100_000;

/// How far back, unless told otherwise: seven days.
pub const SINCE_SECONDS_DEFAULT: i64 = 7 * 86_400;

/// Objects fetched at once.
const FETCHES_AT_ONCE: usize = 64;
/// Events that a thread takes at a time.
const CHUNK_EVENTS: usize = 64;
/// Examples of a group.
pub(crate) const EXAMPLES_MAX: usize = 3;
/// Groups listed of each kind, the largest first; the number of the rest is stated.
pub(crate) const GROUPS_MAX: usize = 50;

mod tally;

pub(crate) use tally::{CauseTally, FieldTally};
pub use tally::{Pair, Tally};

/// All that shadow replay sees of the world. It can only be read.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// The newest accepted events, at most `limit`, oldest first.
    async fn events(&self, window: &Window) -> Result<Events, Fault>;
    /// A raw object.
    async fn raw(&self, at: &ObjectRef) -> Result<Bytes, Fault>;
}

/// Which events.
#[derive(Debug, Clone)]
pub struct Window {
    /// Whose.
    pub vendor_id: VendorId,
    /// Of which type.
    pub event_type: EventType,
    /// Received at or after this.
    pub since: Timestamp,
    /// Most of them; the newest.
    pub limit: usize,
}

/// What is in a [`Window`].
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<EventDetail>,
    /// There were more.
    pub truncated: bool,
}

/// A mapper that takes part.
#[derive(Clone)]
pub struct Side {
    /// Loaded.
    pub bundle: Arc<Bundle>,
    /// What it is, for the report.
    pub name: SideName,
}

/// A mapper, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SideName {
    /// Digest of a published bundle's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Sha256Hex>,
    /// A bundle's folder, when it is not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Revision of the pointer, for the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// What shadow replay found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose events.
    pub vendor_id: VendorId,
    /// Of which type.
    pub event_type: EventType,
    /// Received at or after this.
    #[serde(serialize_with = "millis")]
    pub since: Timestamp,
    /// What would be promoted.
    pub candidate: SideName,
    /// What it was compared with; none if the vendor has no active mapper for the type.
    pub active: Option<SideName>,
    /// Events compared.
    pub events: u64,
    /// The window had more than the limit; the newest were compared.
    pub truncated: bool,
    /// Same bytes from both.
    pub same: u64,
    /// Mapped by both, to different documents.
    pub changed: Changed,
    /// The active mapper fails, the candidate does not. Grouped by the active one's cause.
    pub fixed: Causes,
    /// The candidate fails, the active mapper does not. Grouped by the candidate's cause.
    pub newly_broken: Causes,
    /// Both fail. Grouped by the candidate's cause.
    pub still_broken: Causes,
    /// The raw object could not be read, so neither mapper was tried.
    pub unreadable: Causes,
    /// Events whose stored document is not what the active mapper gives today: they were normalized
    /// by an earlier one.
    pub stored_differs: u64,
    /// What the active mapper costs.
    pub active_cost: Cost,
    /// What the candidate costs.
    pub candidate_cost: Cost,
    /// Threads that mapped.
    pub jobs: usize,
    /// From the first fetch to the report.
    pub elapsed_milliseconds: u64,
}

/// Documents that differ.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// How many events.
    pub events: u64,
    /// By member, the most frequent first.
    pub fields: Vec<FieldGroup>,
    /// Groups that are not listed.
    pub more_fields: usize,
}

/// One member that differs, in one way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldGroup {
    /// JSON pointer into a canonical event, array positions as `*`; empty for an event that is
    /// there on one side only.
    pub pointer: String,
    /// How.
    pub change: Change,
    /// In how many events.
    pub events: u64,
    /// Of the first of them.
    pub examples: Vec<FieldExample>,
}

/// One event's difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldExample {
    /// Which event.
    pub ingest_id: IngestId,
    /// Where exactly: the line of the document, then the pointer into it.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Failures, grouped.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Causes {
    /// How many events.
    pub events: u64,
    /// By cause, the most frequent first.
    pub causes: Vec<CauseGroup>,
    /// Groups that are not listed.
    pub more_causes: usize,
}

/// One way to fail.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CauseGroup {
    /// A [`Code`]'s text.
    pub code: String,
    /// JSON pointer of the first fault, array positions as `*`.
    pub pointer: String,
    /// Code of the first fault: a schema's keyword, or the mapper's own code.
    pub fault: String,
    /// In words, of the first example.
    pub message: String,
    /// How many events.
    pub events: u64,
    /// The first of them.
    pub examples: Vec<IngestId>,
}

/// What a mapper used, over the events that it mapped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Events mapped.
    pub events: u64,
    /// Fuel of the median event.
    pub fuel_median: u64,
    /// Fuel of the costliest event.
    pub fuel_max: u64,
    /// Most memory that an event took, in bytes.
    pub memory_bytes_max: u64,
    /// Payload schema and mapper, of the median event.
    pub nanoseconds_median: u64,
    /// Of the slowest.
    pub nanoseconds_max: u64,
}

/// How to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose events.
    pub vendor_id: VendorId,
    /// Of which type; the candidate's, if not said.
    pub event_type: Option<EventType>,
    /// Received at or after this.
    pub since: Timestamp,
    /// Most events; the newest.
    pub limit: usize,
    /// Threads that map.
    pub jobs: usize,
}

impl Options {
    /// Everything of the last seven days, with all processors.
    pub fn new(vendor_id: VendorId, now: Timestamp) -> Self {
        Self {
            vendor_id,
            event_type: None,
            since: now
                .checked_sub(SignedDuration::from_secs(SINCE_SECONDS_DEFAULT))
                .unwrap_or(Timestamp::UNIX_EPOCH),
            limit: LIMIT_DEFAULT as usize,
            jobs: jobs_default(),
        }
    }
}

/// A thread a processor.
pub fn jobs_default() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A published bundle as a side.
///
/// # Errors
/// A bundle that is not there or was altered, or one that this version cannot run.
pub async fn published(cloud: &Cloud, host: &Host, digest: &Sha256Hex) -> Result<Side, OpsError> {
    Ok(Side {
        bundle: Arc::new(loaded::published(host, &cloud.bundles(), digest).await?),
        name: SideName { bundle: Some(digest.clone()), folder: None, revision: None },
    })
}

/// Compares a candidate with the active mapper of its vendor and event type over what the cloud has
/// stored.
///
/// # Errors
/// A candidate that is not the vendor's or not of the type, a bundle that does not load, and a
/// service that is away; never what an event or a mapper does, which is in the report.
pub async fn run(
    cloud: &Cloud,
    host: &Host,
    candidate: Side,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, OpsError> {
    let contract = &candidate.bundle.contract;
    let event_type = options.event_type.clone().unwrap_or_else(|| contract.event_type.clone());
    if contract.vendor_id != options.vendor_id || contract.event_type != event_type {
        return Err(OpsError::invalid(format!(
            "the candidate maps {} {}, not {} {event_type}",
            contract.vendor_id, contract.event_type, options.vendor_id
        )));
    }
    let active = cloud.vendors().active_mapper(&options.vendor_id, &event_type, Freshness::Fresh).await?;
    let active = match active {
        Some(pointer) => {
            let mut side = published(cloud, host, &pointer.bundle).await?;
            side.name.revision = Some(pointer.revision);
            Some(side)
        }
        None => None,
    };
    let window = Window {
        vendor_id: options.vendor_id.clone(),
        event_type,
        since: options.since,
        limit: options.limit,
    };
    replay(&Stored(cloud), active, candidate, &window, options.jobs, progress).await
}

/// What a cloud has stored: queries of the ledger, and objects.
struct Stored<'a>(&'a Cloud);

#[async_trait]
impl Traffic for Stored<'_> {
    async fn events(&self, window: &Window) -> Result<Events, Fault> {
        let (client, table) = (self.0.dynamodb(), self.0.names().ledger.as_str());
        let mut newest: BTreeMap<(Timestamp, IngestId), EventDetail> = BTreeMap::new();
        let mut truncated = false;
        let mut from = None;
        loop {
            let answer = client
                .query()
                .table_name(table)
                .key_condition_expression("vendorId = :vendor")
                .filter_expression("eventType = :type AND receivedAt >= :since")
                .expression_attribute_values(":vendor", AttributeValue::S(window.vendor_id.to_string()))
                .expression_attribute_values(":type", AttributeValue::S(window.event_type.to_string()))
                .expression_attribute_values(":since", AttributeValue::S(rfc3339(window.since)))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| fault("list the vendor's events", error))?;
            for item in answer.items.unwrap_or_default() {
                let row: LedgerRow = serde_dynamo::from_item(item).map_err(|error| {
                    Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                        .with_source(error)
                })?;
                newest.insert((row.received_at, row.ingest_id), row.detail());
                if newest.len() > window.limit {
                    newest.pop_first();
                    truncated = true;
                }
            }
            from = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(Events { events: newest.into_values().collect(), truncated });
            }
        }
    }

    async fn raw(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        self.0.objects().get(at).await
    }
}

/// Compares the two over everything in the window. `active` is none where the vendor has none; then
/// whatever the candidate maps is fixed.
///
/// # Errors
/// A service that is away, and a thread that stopped.
pub async fn replay(
    traffic: &dyn Traffic,
    active: Option<Side>,
    candidate: Side,
    window: &Window,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Report, OpsError> {
    let started = Instant::now();
    let jobs = jobs.max(1);
    progress.say("listing the vendor's events");
    let Events { events, truncated } = traffic.events(window).await?;
    progress.total(events.len() as u64);
    progress.say("mapping");
    let pair = Arc::new(Pair { active, candidate });
    let fetches = events.into_iter().map(|event| async move {
        match traffic.raw(&event.raw_ref).await {
            // A service that is away for a moment is no verdict on the event.
            Err(fault) if fault.code.class() == Class::Retryable => Err(fault),
            fetched => Ok((event, fetched)),
        }
    });
    let tally = futures::stream::iter(fetches)
        .buffer_unordered(FETCHES_AT_ONCE)
        .try_chunks(CHUNK_EVENTS)
        .map_err(|error| OpsError::from(error.1))
        .map_ok(|chunk| {
            let pair = Arc::clone(&pair);
            async move {
                let compared = tokio::task::spawn_blocking(move || pair.compare_all(&chunk)).await;
                compared.map_err(|error| OpsError::Failed(format!("a comparison stopped: {error}")))
            }
        })
        .try_buffer_unordered(jobs)
        .inspect_ok(|tally| progress.add(tally.events))
        .try_fold(Tally::default(), |mut whole, part| {
            whole.merge(part);
            std::future::ready(Ok(whole))
        })
        .await?;
    Ok(tally.report(&pair, window, truncated, jobs, started))
}

impl From<&Report> for Shadowed {
    fn from(report: &Report) -> Self {
        Self {
            events: report.events,
            newly_broken: report.newly_broken.events,
            fixed: report.fixed.events,
            changed: report.changed.events,
            same: report.same,
        }
    }
}

#[cfg(test)]
mod tests;

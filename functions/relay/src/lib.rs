//! `relay`: the ledger's stream becomes events on the bus. The ledger is the outbox: there is no dual write anywhere.
//!
//! An insert is `ingest.accepted`, and so is an event that is let go when its vendor is released; a change of status is
//! `event.normalized` or `event.quarantined`, and so is a document that canonical state did not get, when Reconcile says so in the
//! row; a document that takes the place of a wrong one is `event.corrected`; anything else is silent. So is an event that states
//! nothing, unless it had a document before: then `event.normalized` takes that back. The answer lists the records that the bus did
//! not take, so that the stream gives them again: at least once, in no order. Nobody depends on one: state is a function of the
//! documents, and of two of one event the later holds.

mod config;

use std::sync::Arc;
use std::time::Instant;

use aws_lambda_events::event::dynamodb::EventRecord;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::port::{BusEvent, EventBus};
use sluice_core::record::{DetailType, LedgerRow, Status};
use sluice_core::{Code, Fault};

pub use config::Config;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Where the events go.
    pub bus: Arc<dyn EventBus>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self { bus: Arc::new(sluice_aws::bus::EventBridgeBus::new(sdk, config.bus_name)) }
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(sdk, Config::from_env(lookup)?))
    }
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

/// Publishes one batch of stream records; gives `{"batchItemFailures": [{"itemIdentifier": <sequence number>}]}`.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let batch: Batch = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not a batch of DynamoDB stream records")
            .with_source(error)
    })?;
    let mut events = Vec::new();
    let mut sequence_numbers = Vec::new();
    for record in batch.records {
        match read(record) {
            Ok(Some((event, sequence_number))) => {
                events.push(event);
                sequence_numbers.push(sequence_number);
            }
            Ok(None) => {}
            // Given again it would be no more readable, and it would hold up everything behind it. The row itself stays RECEIVED
            // in the ledger, where it is counted as in flight and found.
            Err(fault) => tracing::error!(code = %fault.code, "skipped a stream record: {fault:?}"),
        }
    }
    let results = deps.bus.publish(&events).await?;
    let mut failures = Vec::new();
    for ((event, sequence_number), result) in events.iter().zip(&sequence_numbers).zip(results) {
        let status = match result {
            Ok(()) => event.detail_type.as_str(),
            Err(fault) => {
                tracing::warn!(code = %fault.code, sequence_number, "the bus did not take an event: {fault}");
                failures.push(json!({ "itemIdentifier": sequence_number }));
                "RETRY"
            }
        };
        log(&Stage {
            stage: "relay",
            ingest_id: &event.detail.ingest_id.to_string(),
            vendor_id: event.detail.key.vendor_id.as_str(),
            external_event_id: event.detail.key.external_event_id.as_str(),
            delivery_id: None,
            status,
            started,
        });
    }
    Ok(json!({ "batchItemFailures": failures }))
}

/// The event that a record stands for, with its sequence number; `None` for changes that say nothing.
fn read(record: Value) -> Result<Option<(BusEvent, String)>, Fault> {
    let malformed = |what: &str| Fault::new(Code::RowMalformed, what.to_owned());
    let record: EventRecord = serde_json::from_value(record)
        .map_err(|error| malformed("not a DynamoDB stream record").with_source(error))?;
    let change = record.change;
    let sequence_number =
        change.sequence_number.ok_or_else(|| malformed("a stream record without a sequence number"))?;
    let row = |image: serde_dynamo::Item| -> Result<Option<LedgerRow>, Fault> {
        if image.is_empty() {
            return Ok(None);
        }
        let row = serde_dynamo::from_item(image);
        row.map(Some).map_err(|error| malformed("a stream image that is no ledger row").with_source(error))
    };
    let Some(new) = row(change.new_image)? else { return Ok(None) };
    let old = row(change.old_image)?;
    // A replay may give another document: downstream must hear of it. The same one again is no news.
    let document = |row: &LedgerRow| row.normalized.as_ref().map(|normalized| normalized.sha256.clone());
    let has_changed = old.as_ref().is_some_and(|old| document(old) != document(&new));
    // Reconcile found that nobody applied it.
    let told = |row: &LedgerRow| row.told_again.as_ref().map(|told| (told.sha256.clone(), told.times));
    let has_changed = has_changed || old.as_ref().is_some_and(|old| told(old) != told(&new));
    let corrected =
        new.correction.is_some() && old.as_ref().is_some_and(|old| old.correction != new.correction);
    let silent = new.nothing.is_some();
    let detail_type = match (old.as_ref().map(|old| old.status), new.status) {
        (None, _) => DetailType::IngestAccepted,
        (Some(Status::Normalized), Status::Normalized) if corrected => DetailType::EventCorrected,
        (Some(Status::Normalized), Status::Normalized) if has_changed => DetailType::EventNormalized,
        (Some(old), new) if old == new => return Ok(None),
        // It waited while its vendor was on hold, and was let go.
        (Some(Status::Held), Status::Received) => DetailType::IngestAccepted,
        // Nobody was told anything that would have to be taken back.
        (Some(_), Status::Normalized) if silent => return Ok(None),
        (Some(_), Status::Normalized) => DetailType::EventNormalized,
        (Some(_), Status::Quarantined) => DetailType::EventQuarantined,
        (Some(_), Status::Received | Status::Held) => return Ok(None),
    };
    let mut detail = new.detail();
    if silent {
        // What is taken back goes by the route that its document took.
        detail.normalized = old.and_then(|old| old.normalized);
    }
    Ok(Some((BusEvent { detail_type, detail }, sequence_number)))
}

#[cfg(test)]
mod tests;

//! `Normalize`: raw bytes → the vendor's payload schema → the WASM mapper → the canonical schema → the normalized document →
//! the ledger.
//!
//! Deterministic: the document depends on the raw object and the bundle alone, so a replay writes the same bytes (B3). Whatever
//! fails is a classified [`Fault`]; the raw object stays, so every failure can be run again.

mod bundles;
mod config;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::canonical::{count, document, judge};
use sluice_core::digest::Sha256Hex;
use sluice_core::envelope::{Envelope, Refusal};
use sluice_core::fault::FieldFault;
use sluice_core::id::{normalized_key, rfc3339};
use sluice_core::payload::{InflateError, inflate};
use sluice_core::port::{Clock, Freshness, Ledger, NormalizedStore, RawStore, VendorDirectory};
use sluice_core::record::{EventDetail, Normalized};
use sluice_core::{Code, Fault};
use sluice_mapper_host::MapFault;

pub use bundles::Bundles;
pub use config::Config;

use bundles::Bundle;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Active mappers.
    pub vendors: Arc<dyn VendorDirectory>,
    /// The verbatim requests.
    pub raw: Arc<dyn RawStore>,
    /// The documents.
    pub normalized: Arc<dyn NormalizedStore>,
    /// Life cycle.
    pub ledger: Arc<dyn Ledger>,
    /// Mappers, by digest.
    pub bundles: Bundles,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Result<Self, ConfigError> {
        let store = sluice_aws::bundles::S3BundleStore::new(sdk, config.mappers_bucket);
        Ok(Self {
            vendors: Arc::new(sluice_aws::vendors::DynamoVendors::new(sdk, config.vendors_table)),
            raw: Arc::new(sluice_aws::raw::S3RawStore::new(sdk, config.raw_bucket)),
            normalized: Arc::new(sluice_aws::normalized::S3NormalizedStore::new(
                sdk,
                config.normalized_bucket,
            )),
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            bundles: Bundles::new(Arc::new(store))
                .map_err(|error| ConfigError::Unusable(error.to_string()))?,
            clock: Arc::new(sluice_aws::clock::SystemClock),
        })
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::new(sdk, Config::from_env(lookup)?)
    }
}

#[derive(Deserialize)]
struct Input {
    #[serde(flatten)]
    event: EventDetail,
    /// Read the pointer to the mapper anew: a redrive follows a fix.
    #[serde(default)]
    fresh: bool,
}

/// Normalizes one event; gives `{"status": "NORMALIZED", "ingestId", "normalized"}`.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let input: Input = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not the detail of ingest.accepted").with_source(error)
    })?;
    let freshness = if input.fresh { Freshness::Fresh } else { Freshness::Cached };
    let event = input.event;
    let result = normalize(deps, &event, freshness).await;
    log(&Stage {
        stage: "normalize",
        ingest_id: &event.ingest_id.to_string(),
        vendor_id: event.key.vendor_id.as_str(),
        external_event_id: event.key.external_event_id.as_str(),
        status: result.as_ref().map_or_else(|fault| fault.code.as_str(), |_| "NORMALIZED"),
        started,
    });
    let normalized = result?;
    Ok(json!({ "status": "NORMALIZED", "ingestId": event.ingest_id, "normalized": normalized }))
}

async fn normalize(deps: &Deps, event: &EventDetail, freshness: Freshness) -> Result<Normalized, Fault> {
    let active = deps
        .vendors
        .active_mapper(&event.key.vendor_id, &event.event_type, freshness)
        .await?
        .ok_or_else(|| {
            Fault::new(
                Code::MapperMissing,
                format!("{} has no active mapper for {}: publish one", event.key.vendor_id, event.event_type),
            )
        })?;
    let bundle =
        deps.bundles.get(&active.bundle).await.map_err(|fault| fault.with_bundle(active.bundle.clone()))?;
    let raw = deps.raw.get(&event.raw_ref).await?;
    let (bytes, events, fuel) =
        map(event, &bundle, &raw).map_err(|fault| fault.with_bundle(active.bundle.clone()))?;

    let canonical = &bundle.contract.canonical;
    let sha256 = Sha256Hex::of(&bytes);
    let key = normalized_key(&canonical.r#type, event.received_at, event.ingest_id);
    let at = deps.normalized.put(&key, Bytes::from(bytes), &sha256).await?;
    let normalized = Normalized {
        r#ref: at,
        sha256,
        events,
        event_type: canonical.r#type.clone(),
        schema_version: canonical.version.clone(),
        bundle: active.bundle,
        fuel,
        at: deps.clock.now(),
    };
    deps.ledger.mark_normalized(&event.key, event.ingest_id, &normalized).await?;
    Ok(normalized)
}

/// Raw bytes to the document, its number of lines, and the fuel used. Pure: nothing but its arguments decides.
fn map(event: &EventDetail, bundle: &Bundle, raw: &[u8]) -> Result<(Vec<u8>, u32, u64), Fault> {
    let found = Sha256Hex::of(raw);
    if found != event.raw_sha256 {
        return Err(Fault::new(
            Code::RawDigestMismatch,
            format!("the raw object has the digest {found}, the ledger says {}", event.raw_sha256),
        ));
    }
    let body = inflate(raw, event.content_encoding.as_deref()).map_err(|error| {
        let code = match error {
            InflateError::TooLarge => Code::PayloadTooLarge,
            InflateError::Corrupt(_) | InflateError::Unsupported(_) => Code::PayloadUnreadable,
        };
        Fault::new(code, error.to_string())
    })?;
    // Judged as it was at acceptance, against the clock of that moment.
    let envelope = Envelope::parse(&body, event.received_at).map_err(|refusal| match refusal {
        Refusal::NotJson(error) => Fault::new(Code::PayloadUnreadable, format!("the raw object is {error}")),
        Refusal::Faults(faults) => {
            Fault::new(Code::PayloadUnreadable, "the raw object is not an envelope").with_errors(faults)
        }
    })?;
    let contract = &bundle.contract;
    if body.len() > contract.limits.payload_bytes_max {
        let message = format!(
            "the message has {} bytes, the contract allows {}",
            body.len(),
            contract.limits.payload_bytes_max
        );
        return Err(Fault::new(Code::PayloadTooLarge, message));
    }
    let schema = bundle.schemas.get(&event.schema_version).ok_or_else(|| {
        let known: Vec<&str> = bundle.schemas.keys().map(|version| version.as_str()).collect();
        Fault::new(
            Code::SchemaVersionUnknown,
            format!(
                "the contract has no payload schema {:?}; it has {}",
                event.schema_version,
                known.join(", ")
            ),
        )
    })?;
    let payload = sluice_core::json::parse(envelope.payload)
        .map_err(|error| Fault::new(Code::PayloadUnreadable, format!("the payload is {error}")))?;
    let faults: Vec<FieldFault> = schema
        .faults(&payload.to_value())
        .into_iter()
        .map(|fault| FieldFault { pointer: format!("/payload{}", fault.pointer), ..fault })
        .collect();
    if let Some(first) = faults.first() {
        let message = format!(
            "the payload does not satisfy schema {} of {} {}: {} {} ({} in all)",
            event.schema_version,
            event.key.vendor_id,
            event.event_type,
            first.pointer,
            first.message,
            count(faults.len(), "fault")
        );
        return Err(Fault::new(Code::PayloadSchemaViolation, message).with_errors(faults));
    }
    let meta = serde_json::to_vec(&Meta {
        vendor_id: event.key.vendor_id.as_str(),
        external_event_id: event.key.external_event_id.as_str(),
        event_type: event.event_type.as_str(),
        schema_version: event.schema_version.as_str(),
        occurred_at: rfc3339(event.occurred_at),
        received_at: rfc3339(event.received_at),
    })
    .map_err(|error| Fault::new(Code::InputMalformed, "failed to write the metadata").with_source(error))?;
    let mapped = bundle.mapper.map(&meta, envelope.payload).map_err(map_fault)?;
    let events = judge(&mapped.output, &contract.canonical)?;
    let bytes = document(&events, &contract.canonical, event)?;
    Ok((bytes, u32::try_from(events.len()).unwrap_or(u32::MAX), mapped.fuel_used))
}

/// What a mapper is told beside the payload (`mappers-wasm/wit/mapper.wit`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    vendor_id: &'a str,
    external_event_id: &'a str,
    event_type: &'a str,
    schema_version: &'a str,
    occurred_at: String,
    received_at: String,
}

fn map_fault(fault: MapFault) -> Fault {
    let code = match &fault {
        MapFault::Refused { .. } => Code::MapperRefused,
        MapFault::InputTooLarge { .. } => Code::PayloadTooLarge,
        MapFault::Trapped { .. } => Code::MapperTrapped,
        MapFault::OutOfFuel { .. } => Code::MapperOutOfFuel,
        MapFault::OutOfMemory => Code::MapperOutOfMemory,
        MapFault::StackOverflow => Code::MapperStackOverflow,
        MapFault::OutputTooLarge { .. } => Code::MapperOutputTooLarge,
        MapFault::AbiViolation { .. } => Code::MapperAbiViolation,
        MapFault::ErrorMalformed { .. } => Code::MapperErrorMalformed,
        MapFault::HostUnavailable { .. } => Code::Unavailable,
    };
    let message = fault.to_string();
    match fault {
        MapFault::Refused { code: theirs, path, message: said } => {
            let error = FieldFault { pointer: path, code: theirs, message: said };
            Fault::new(code, message).with_errors(vec![error])
        }
        other => Fault::new(code, message).with_source(other),
    }
}

#[cfg(test)]
mod tests;

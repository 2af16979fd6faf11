//! From raw bytes to canonical bytes: the digest of the raw object, inflating, the vendor's payload schema, the mapper, the
//! canonical schema.
//!
//! [`map`] is pure, and the only mapping there is: `normalize` runs it for an event, the tools for a prediction (shadow, dry run,
//! fixtures). So what a tool says is what happens.

mod bundles;

use serde::Serialize;
use sluice_core::canonical::{count, document, judge};
use sluice_core::digest::Sha256Hex;
use sluice_core::envelope::{Envelope, Refusal};
use sluice_core::fault::FieldFault;
use sluice_core::id::rfc3339;
use sluice_core::payload::{InflateError, inflate};
use sluice_core::record::EventDetail;
use sluice_core::{Code, Fault};
use sluice_mapper_host::MapFault;

pub use bundles::{Bundle, Bundles};

/// What [`map`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The document: one canonical event a line, each in RFC 8785 form.
    pub bytes: Vec<u8>,
    /// Number of lines.
    pub events: u32,
    /// Fuel that the mapper used.
    pub fuel: u64,
}

/// Raw bytes to the document. Pure: nothing but its arguments decides. A fault does not name the bundle; the caller knows it.
pub fn map(event: &EventDetail, bundle: &Bundle, raw: &[u8]) -> Result<Mapped, Fault> {
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
    Ok(Mapped { bytes, events: u32::try_from(events.len()).unwrap_or(u32::MAX), fuel: mapped.fuel_used })
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

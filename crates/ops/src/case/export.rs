//! A stored event as a case.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;
use sluice_core::bundle::{MODULE_FILE, Manifest, blob_key, builds_prefix, manifest_key};
use sluice_core::contract::Format;
use sluice_core::digest::Sha256Hex;
use sluice_core::envelope::Envelope;
use sluice_core::id::IngestId;
use sluice_core::payload::inflate;
use sluice_core::port::{BundleStore, RawStore as _};
use sluice_core::record::{Form, LedgerRow, QuarantineRow, Status};
use sluice_mapper_host::Host;
use sluice_mapping::{Bundle, Message, Outcome as Mapping, map};

use super::file::CaseFile;
use super::{BUILDS, DOCUMENT, FILES, JOURNAL, LEDGER, MANIFEST, OUTCOME, Outcome, QUARANTINE, RAW};
use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::event::{self, Step};
use crate::loaded;

/// Makes a stand-in of a payload without what is personal; says why it cannot.
pub type Redact<'r> = &'r (dyn Fn(Format, &[u8]) -> Result<Vec<u8>, String> + Send + Sync);

/// A case that was made of an event.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// The event.
    pub ingest_id: IngestId,
    /// Whether the message is a stand-in.
    pub redacted: bool,
    /// The bundle.
    pub bundle: Sha256Hex,
    /// What came of the event, or of its stand-in.
    pub outcome: Outcome,
    /// Names and sizes of the parts.
    pub parts: BTreeMap<String, usize>,
    /// Digest of the whole file: who has it from elsewhere knows that it is this case.
    pub sha256: Sha256Hex,
    /// The file.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// Makes a case of a stored event.
///
/// # Errors
/// When there is no such event, it has not come to an end, or no mapper has had it; when a stand-in does not come to the same; and
/// when a service does not answer.
pub async fn export(
    cloud: &Cloud,
    host: &Host,
    ingest_id: IngestId,
    redact: Option<Redact<'_>>,
) -> Result<Exported, OpsError> {
    let life = event::life(cloud, ingest_id).await?;
    let row = event::find(cloud, ingest_id).await?;
    let held = cloud.quarantine().find(&row.key.vendor_id, row.ingest_id).await?;
    let (bundle, outcome) = recorded(&row, held.as_ref())?;
    let objects = cloud.objects();
    let raw = objects.get(&row.raw_ref).await?;
    let document = match (&outcome, &row.normalized) {
        (Outcome::Events { .. }, Some(normalized)) => Some(objects.get(&normalized.r#ref).await?),
        _ => None,
    };
    let store = cloud.bundles();
    let manifest_bytes = store.get(&manifest_key(&bundle)).await?;
    let (manifest, files) = loaded::files(&store, &bundle).await?;
    let mut parts = BTreeMap::from([(MANIFEST.to_owned(), manifest_bytes)]);
    for name in needed(&manifest) {
        if let Some(file) = manifest.files.get(name) {
            parts.insert(format!("{FILES}{name}"), store.get(&blob_key(&file.sha256)).await?);
        }
    }
    let prefix = builds_prefix(&bundle);
    for key in store.list(&prefix).await? {
        let name = key.strip_prefix(&prefix).unwrap_or(&key).to_owned();
        parts.insert(format!("{BUILDS}{name}"), store.get(&key).await?);
    }
    let whole = Whole { row, held, raw, document, outcome, journal: life.lifecycle };
    let whole = match redact {
        None => whole,
        Some(redact) => {
            let compiled = loaded::compiled(host, manifest.contract, &files)?;
            redacted(whole, &compiled, redact)?
        }
    };
    written(ingest_id, bundle, whole, parts, redact.is_some())
}

/// All of an event that is no part of its bundle.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The ledger's row.
    pub row: LedgerRow,
    /// The quarantine's.
    pub held: Option<QuarantineRow>,
    /// The request.
    pub raw: Bytes,
    /// The canonical events.
    pub document: Option<Bytes>,
    /// What came of it.
    pub outcome: Outcome,
    /// What happened when.
    pub journal: Vec<Step>,
}

/// The file of an event and of the parts of its bundle.
///
/// # Errors
/// A part that is over a bound.
pub fn written(
    ingest_id: IngestId,
    bundle: Sha256Hex,
    whole: Whole,
    mut parts: BTreeMap<String, Bytes>,
    redacted: bool,
) -> Result<Exported, OpsError> {
    let Whole { row, held, raw, document, outcome, journal } = whole;
    parts.insert(RAW.to_owned(), raw);
    parts.insert(LEDGER.to_owned(), json(&row)?);
    parts.insert(JOURNAL.to_owned(), json(&journal)?);
    parts.insert(OUTCOME.to_owned(), json(&outcome)?);
    if let Some(held) = &held {
        parts.insert(QUARANTINE.to_owned(), json(held)?);
    }
    parts.extend(document.map(|document| (DOCUMENT.to_owned(), document)));
    let file = CaseFile { ingest_id: ingest_id.to_string(), redacted, parts };
    let bytes = file.encode().map_err(OpsError::refused)?;
    Ok(Exported {
        ingest_id,
        redacted,
        bundle,
        outcome,
        parts: file.parts.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect(),
        sha256: Sha256Hex::of(&bytes),
        bytes,
    })
}

fn json<T: Serialize>(value: &T) -> Result<Bytes, OpsError> {
    let bytes = serde_json_canonicalizer::to_vec(value)
        .map_err(|error| OpsError::Failed(format!("a row has no canonical form: {error}")))?;
    Ok(bytes.into())
}

/// What the rows say came of an event, and of which bundle.
fn recorded(row: &LedgerRow, held: Option<&QuarantineRow>) -> Result<(Sha256Hex, Outcome), OpsError> {
    let id = row.ingest_id;
    match row.status {
        Status::Received => {
            Err(OpsError::refused(format!("the event {id} is in flight: nothing has come of it yet"))
                .with_hint("try again once it is NORMALIZED or QUARANTINED"))
        }
        Status::Held => {
            let message =
                format!("the event {id} waits while its vendor is on hold: nothing has come of it yet");
            Err(OpsError::refused(message).with_hint("release the vendor, then try again"))
        }
        Status::Normalized => {
            if let Some(nothing) = &row.nothing {
                let reason = sluice_core::canonical::Reason {
                    code: nothing.code.clone(),
                    message: nothing.message.clone(),
                };
                return Ok((nothing.bundle.clone(), Outcome::Nothing(reason)));
            }
            let normalized = row.normalized.as_ref().ok_or_else(|| {
                OpsError::Failed(format!("the row of {id} says NORMALIZED and has no document"))
            })?;
            let outcome = Outcome::Events { sha256: normalized.sha256.clone(), events: normalized.events };
            Ok((normalized.bundle.clone(), outcome))
        }
        Status::Quarantined => {
            let cause = held.map(|held| &held.cause);
            let Some((cause, bundle)) = cause.and_then(|cause| Some((cause, cause.bundle.clone()?))) else {
                let code = cause.map_or("unknown", |cause| cause.code.as_str());
                return Err(OpsError::refused(format!(
                    "no mapper has had the event {id} ({code}), so there is nothing to reproduce"
                )));
            };
            let outcome = Outcome::Fails {
                code: cause.code.clone(),
                message: cause.message.clone(),
                errors: cause.errors.clone(),
            };
            Ok((bundle, outcome))
        }
    }
}

/// The files of a bundle that decide what comes of a message; its fixtures do not.
pub(super) fn needed(manifest: &Manifest) -> BTreeSet<&str> {
    let schemas = manifest.contract.payload.versions.values().map(String::as_str);
    schemas.chain([MODULE_FILE]).collect()
}

/// The same with a stand-in for the message, which must come to the same but for its values.
pub(super) fn redacted(whole: Whole, bundle: &Bundle, redact: Redact<'_>) -> Result<Whole, OpsError> {
    let Whole { mut row, held, raw, outcome, journal, .. } = whole;
    let message = Message::open(&row.detail(), &raw)?;
    let payload = redact(bundle.contract.payload.format, &message.payload).map_err(|why| {
        OpsError::refused(format!("{why}: nothing in it can be told apart, so it cannot be redacted"))
    })?;
    let body = inflate(&raw, row.content_encoding.as_deref())
        .map_err(|error| OpsError::Failed(format!("the raw object: {error}")))?;
    let stand_in = match row.form {
        Form::Native => payload,
        Form::Envelope => {
            let envelope = Envelope::of_accepted(&body)
                .ok_or_else(|| OpsError::Failed("the raw object is not an envelope".into()))?;
            // The payload lies in the body.
            let start = envelope.payload.as_ptr() as usize - body.as_ptr() as usize;
            [&body[..start], &payload[..], &body[start + envelope.payload.len()..]].concat()
        }
    };
    let before = map(&row.detail(), bundle, &raw);
    row.raw_sha256 = Sha256Hex::of(&stand_in);
    row.raw_bytes = stand_in.len() as u64;
    row.content_encoding = None;
    row.payload_sha256 = row.raw_sha256.clone();
    row.delivery_id = None;
    let after = map(&row.detail(), bundle, &stand_in);
    let (was, now) = (shape(&before), shape(&after));
    if was != now {
        return Err(OpsError::refused(format!(
            "the redacted message comes to something else: {} instead of {}",
            Outcome::of(&after).sentence(),
            outcome.sentence()
        ))
        .with_hint(
            "name what must stay with --keep POINTER: `sluice mapper trace` finds the members that matter",
        ));
    }
    let outcome = Outcome::of(&after);
    let mut held = held;
    let mut document = None;
    match (&outcome, after) {
        (Outcome::Events { sha256, .. }, Ok(mapped)) => {
            if let Some(normalized) = &mut row.normalized {
                normalized.sha256 = sha256.clone();
            }
            document = match mapped.outcome {
                Mapping::Events { bytes, .. } => Some(Bytes::from(bytes)),
                Mapping::Nothing(_) => None,
            };
        }
        (Outcome::Nothing(reason), _) => {
            if let Some(nothing) = &mut row.nothing {
                nothing.message = reason.message.clone();
            }
        }
        (Outcome::Fails { message, errors, .. }, _) => {
            if let Some(held) = &mut held {
                held.cause.message = message.clone();
                held.cause.errors = errors.clone();
            }
        }
        _ => {}
    }
    // What earlier attempts failed of may quote the message.
    if !matches!(outcome, Outcome::Fails { .. }) {
        held = None;
    }
    row.quarantine = None;
    row.hold = None;
    let journal = journal
        .into_iter()
        .map(|step| Step {
            detail: if step.stage == "quarantined" { String::new() } else { step.detail },
            ..step
        })
        .collect();
    Ok(Whole { row, held, raw: stand_in.into(), document, outcome, journal })
}

/// All of an outcome that is no value of the message.
fn shape(mapped: &Result<sluice_mapping::Mapped, sluice_core::Fault>) -> String {
    match mapped {
        Ok(mapped) => match &mapped.outcome {
            Mapping::Events { bytes, .. } => {
                let mut names = Vec::new();
                for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
                    names.push(members(&value));
                }
                names.join("\n")
            }
            Mapping::Nothing(reason) => reason.code.clone(),
        },
        Err(fault) => {
            let first = fault.errors.first().map(|first| (&first.code, &first.pointer));
            format!("{} {first:?}", fault.code)
        }
    }
}

/// The names of all members, without their values.
fn members(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(all) => {
            let all: Vec<String> =
                all.iter().map(|(name, value)| format!("{name}{}", members(value))).collect();
            format!("{{{}}}", all.join(","))
        }
        Value::Array(all) => format!("[{}]", all.iter().map(members).collect::<Vec<_>>().join(",")),
        _ => String::new(),
    }
}

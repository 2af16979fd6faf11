//! One event's life: everything that is known of it, with its stored bytes checked against the
//! ledger's digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::Cause;
use sluice_core::id::{IngestId, ObjectRef};
use sluice_core::port::{CanonicalStore as _, RawStore as _};
use sluice_core::record::{Correction, Hold, LedgerRow, Nothing, QuarantineRow, QuarantineStatus, Status};
use sluice_core::state::Entity;
use sluice_core::{Code, Fault};

use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;
use crate::execution::Execution;

/// All that is known of an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLife {
    /// Its id.
    pub ingest_id: IngestId,
    /// Who sent it.
    pub vendor_id: String,
    /// The vendor's id of it.
    pub external_event_id: String,
    /// The vendor's id of the delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The vendor's type.
    pub event_type: String,
    /// The version of the vendor's schema.
    pub schema_version: String,
    /// Where it is.
    pub status: Status,
    /// When it happened, as the vendor says.
    #[serde(serialize_with = "millis")]
    pub occurred_at: Timestamp,
    /// When it was accepted.
    #[serde(serialize_with = "millis")]
    pub received_at: Timestamp,
    /// When its row last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: Timestamp,
    /// Digest of its payload, which is its identity.
    pub payload_sha256: Sha256Hex,
    /// Why a person must let it go on, or who did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What happened when.
    pub lifecycle: Vec<Step>,
    /// The request as it was received.
    pub raw: Raw,
    /// What it was normalized to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalized: Option<NormalizedDocument>,
    /// Why it has nothing to state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<Nothing>,
    /// On whose word this took the place of what was told before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    /// Why it is, or was, in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Its `recover` execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// What it did to canonical state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_state: Option<CanonicalState>,
    /// Whether it is the local cloud's.
    #[serde(skip)]
    pub local: bool,
}

/// What the event did to canonical state.
#[derive(Debug, Serialize)]
pub struct CanonicalState {
    /// The entities of which it speaks.
    pub entities: Vec<Entity>,
    /// Whether all of it is in.
    pub complete: bool,
}

/// One step of its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// `received`, `held`, `let go`, `quarantined`, `accepted`, `redriven`, `normalized` or `released`.
    pub stage: &'static str,
    /// In words.
    pub detail: String,
}

/// The stored request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Raw {
    /// Where it is stored.
    #[serde(flatten)]
    pub at: ObjectRef,
    /// Its digest, as the ledger has it.
    pub sha256: Sha256Hex,
    /// Its size, as the ledger has it.
    pub bytes: u64,
    /// Its `content-type`.
    pub content_type: String,
    /// Its `content-encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Whether the stored bytes have the digest.
    pub verified: bool,
    /// What is wrong with the stored bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The bytes; `None` if the object is missing.
    #[serde(flatten)]
    pub content: Option<Content>,
}

/// The bytes in JSON: as text where they are, else base64.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Base64(String),
}

/// The stored canonical document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NormalizedDocument {
    /// Where it is stored.
    #[serde(flatten)]
    pub at_object: ObjectRef,
    /// Its digest, as the ledger has it.
    pub sha256: Sha256Hex,
    /// Whether the stored bytes have the digest.
    pub verified: bool,
    /// What is wrong with the stored bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The canonical type.
    pub event_type: String,
    /// The version of the canonical schema.
    pub schema_version: String,
    /// The bundle that made it.
    pub bundle: Sha256Hex,
    /// Fuel that the mapper used.
    pub fuel: u64,
    /// When it was made.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// The canonical events.
    pub documents: Vec<Value>,
}

/// Why it is, or was, in quarantine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// Open, released or discarded.
    pub status: QuarantineStatus,
    /// How often it failed.
    pub attempts: u64,
    /// Its group.
    pub fingerprint: String,
    /// When it first failed.
    #[serde(serialize_with = "millis")]
    pub first_seen_at: Timestamp,
    /// When it last failed, or was released.
    #[serde(serialize_with = "millis")]
    pub last_seen_at: Timestamp,
    /// The last cause.
    pub cause: Cause,
}

impl EventLife {
    /// Stored objects that are not what the ledger says, in words.
    pub fn problems(&self) -> Vec<&str> {
        let normalized = self.normalized.as_ref().and_then(|normalized| normalized.problem.as_deref());
        self.raw.problem.as_deref().into_iter().chain(normalized).collect()
    }
}

/// Reads everything that is known of an event. A stored object that is not what the ledger says is
/// a finding, not an error: see [`EventLife::problems`].
///
/// # Errors
/// When there is no such event, and when a service does not answer.
pub async fn life(cloud: &Cloud, ingest_id: IngestId) -> Result<EventLife, OpsError> {
    life_of(cloud, find(cloud, ingest_id).await?).await
}

/// As [`life`], of a row that was read a moment before.
///
/// # Errors
/// When a service does not answer.
pub async fn life_of(cloud: &Cloud, row: LedgerRow) -> Result<EventLife, OpsError> {
    let objects = cloud.objects();
    let quarantine = cloud.quarantine();
    let normalized = async {
        match &row.normalized {
            Some(normalized) => Some(objects.get(&normalized.r#ref).await),
            None => None,
        }
    };
    let recovery = async {
        let held = quarantine.find(&row.key.vendor_id, row.ingest_id).await?;
        let execution = match &held {
            Some(held) => Execution::describe(cloud, &held.execution_arn).await?,
            None => None,
        };
        Ok::<_, OpsError>((held, execution))
    };
    let canonical = cloud.canonical();
    let ids = [row.ingest_id];
    let (raw, normalized, recovery, effects) =
        tokio::join!(objects.get(&row.raw_ref), normalized, recovery, canonical.read(&ids, &[]));
    let (held, execution) = recovery?;
    let mut life =
        assemble(row, stored(raw)?, normalized.map(stored).transpose()?, held, execution, cloud.is_local());
    life.canonical_state = effects?.effects.pop().map(|effects| CanonicalState {
        entities: effects.entities.into_iter().collect(),
        complete: effects.done,
    });
    Ok(life)
}

/// The request as it was received.
///
/// # Errors
/// When there is no such event or object, and when a service does not answer.
pub async fn raw_bytes(cloud: &Cloud, ingest_id: IngestId) -> Result<Bytes, OpsError> {
    let row = find(cloud, ingest_id).await?;
    Ok(cloud.objects().get(&row.raw_ref).await?)
}

/// The normalized document as it is stored, one canonical event a line.
///
/// # Errors
/// When there is no such event or document, and when a service does not answer.
pub async fn normalized_bytes(cloud: &Cloud, ingest_id: IngestId) -> Result<Bytes, OpsError> {
    let row = find(cloud, ingest_id).await?;
    let Some(normalized) = &row.normalized else {
        let why = match &row.nothing {
            Some(nothing) => format!("it states nothing ({}: {})", nothing.code, nothing.message),
            None => format!("it is {}", row.status.as_str()),
        };
        return Err(OpsError::not_found(format!(
            "the event {} has no normalized document: {why}",
            row.ingest_id
        )));
    };
    Ok(cloud.objects().get(&normalized.r#ref).await?)
}

/// The ledger's row of an event.
///
/// # Errors
/// When there is none, and when the ledger does not answer.
pub async fn find(cloud: &Cloud, ingest_id: IngestId) -> Result<LedgerRow, OpsError> {
    cloud.ledger().find_by_ingest_id(ingest_id).await?.ok_or_else(|| {
        OpsError::not_found(format!("the ledger has no event {ingest_id}")).with_hint(
            "`sluice ls` lists the latest; an event accepted a moment ago may take a second to be found",
        )
    })
}

/// An object, or in words why there is none: a missing object is a finding, not a failure to look.
fn stored(object: Result<Bytes, Fault>) -> Result<Result<Bytes, String>, OpsError> {
    match object {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(fault) if fault.code == Code::RawMissing => Ok(Err(fault.message)),
        Err(fault) => Err(fault.into()),
    }
}

fn problem(what: &str, object: &Result<Bytes, String>, sha256: &Sha256Hex) -> Option<String> {
    match object {
        Ok(bytes) => {
            let actual = Sha256Hex::of(bytes);
            (actual != *sha256)
                .then(|| format!("the {what} has the digest {actual}, the ledger says {sha256}"))
        }
        Err(missing) => Some(missing.clone()),
    }
}

/// The document of what was read.
pub fn assemble(
    row: LedgerRow,
    raw: Result<Bytes, String>,
    normalized: Option<Result<Bytes, String>>,
    held: Option<QuarantineRow>,
    execution: Option<Execution>,
    local: bool,
) -> EventLife {
    let lifecycle = lifecycle(&row, held.as_ref(), execution.as_ref());
    let raw_problem = problem("raw object", &raw, &row.raw_sha256);
    let content = raw.ok().map(|bytes| match std::str::from_utf8(&bytes) {
        Ok(text) => Content::Text(text.to_owned()),
        Err(_) => Content::Base64(STANDARD.encode(&bytes)),
    });
    let normalized = row.normalized.zip(normalized).map(|(reference, object)| {
        let problem = problem("normalized document", &object, &reference.sha256);
        let documents = object.unwrap_or_default();
        NormalizedDocument {
            at_object: reference.r#ref,
            sha256: reference.sha256,
            verified: problem.is_none(),
            problem,
            event_type: reference.event_type.to_string(),
            schema_version: reference.schema_version.to_string(),
            bundle: reference.bundle,
            fuel: reference.fuel,
            at: reference.at,
            documents: documents
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| {
                    serde_json::from_slice(line)
                        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(line).into_owned()))
                })
                .collect(),
        }
    });
    EventLife {
        ingest_id: row.ingest_id,
        vendor_id: row.key.vendor_id.to_string(),
        external_event_id: row.key.external_event_id.to_string(),
        delivery_id: row.delivery_id,
        event_type: row.event_type.to_string(),
        schema_version: row.schema_version.to_string(),
        status: row.status,
        occurred_at: row.occurred_at,
        received_at: row.received_at,
        updated_at: row.updated_at,
        payload_sha256: row.payload_sha256,
        hold: row.hold,
        lifecycle,
        raw: Raw {
            at: row.raw_ref,
            sha256: row.raw_sha256,
            bytes: row.raw_bytes,
            content_type: row.content_type,
            content_encoding: row.content_encoding,
            verified: raw_problem.is_none(),
            problem: raw_problem,
            content,
        },
        normalized,
        nothing: row.nothing,
        correction: row.correction,
        quarantine: held.map(|held| Quarantine {
            status: held.status,
            attempts: held.attempts,
            fingerprint: held.fingerprint,
            first_seen_at: held.first_seen_at,
            last_seen_at: held.last_seen_at,
            cause: held.cause,
        }),
        execution,
        canonical_state: None,
        local,
    }
}

/// What happened when, as far as the rows remember: the first and the last of several attempts.
fn lifecycle(row: &LedgerRow, held: Option<&QuarantineRow>, execution: Option<&Execution>) -> Vec<Step> {
    let mut steps = vec![Step {
        at: row.received_at,
        stage: "received",
        detail: format!("{} bytes of {} {}", row.raw_bytes, row.event_type, row.schema_version),
    }];
    if let Some(waited) = &row.waited {
        steps.push(Step {
            at: waited.since,
            stage: "held",
            detail: format!(
                "the vendor is on hold since {}, by {}: {}",
                sluice_core::id::rfc3339(waited.hold.at),
                waited.hold.by,
                waited.hold.reason
            ),
        });
        steps.extend(waited.let_go.as_ref().map(|let_go| Step {
            at: let_go.at,
            stage: "let go",
            detail: format!("by {}: {}", let_go.by, let_go.reason),
        }));
    }
    match (held, &row.quarantine) {
        (Some(held), note) => {
            let cause = format!("{}: {}", held.cause.code, held.cause.message);
            // The row keeps the last cause only; the ledger's note has the time of the last failure
            // even after a release.
            let last = note.as_ref().map_or(held.last_seen_at, |note| note.at);
            if held.attempts > 1 {
                steps.push(Step {
                    at: held.first_seen_at,
                    stage: "quarantined",
                    detail: "the first attempt failed".into(),
                });
                steps.push(Step {
                    at: last,
                    stage: "quarantined",
                    detail: format!("attempt {} failed: {cause}", held.attempts),
                });
            } else {
                steps.push(Step { at: held.first_seen_at, stage: "quarantined", detail: cause });
            }
        }
        (None, Some(note)) => steps.push(Step {
            at: note.at,
            stage: "quarantined",
            detail: format!("{}: {}", note.code, note.message),
        }),
        (None, None) => {}
    }
    if let Some(accepted) = row.hold.as_ref().and_then(|hold| hold.accepted.as_ref()) {
        steps.push(Step {
            at: accepted.at,
            stage: "accepted",
            detail: format!("by {}: {}", accepted.by, accepted.reason),
        });
    }
    if let Some(execution) = execution
        && let Some(at) = execution.redriven_at
    {
        steps.push(Step { at, stage: "redriven", detail: format!("redrive {}", execution.redrive_count) });
    }
    let (stage, word) = match &row.correction {
        None => ("normalized", String::new()),
        Some(correction) => (
            "corrected",
            format!("; by {}, operation {}: {}", correction.by, correction.operation_id, correction.reason),
        ),
    };
    if let Some(normalized) = &row.normalized {
        let bundle = &normalized.bundle.as_str()[..12];
        steps.push(Step {
            at: normalized.at,
            stage,
            detail: format!(
                "{} of {} {} by bundle {bundle}…{word}",
                sluice_core::canonical::count(normalized.events as usize, "event"),
                normalized.event_type,
                normalized.schema_version
            ),
        });
    }
    if let Some(nothing) = &row.nothing {
        let bundle = &nothing.bundle.as_str()[..12];
        steps.push(Step {
            at: nothing.at,
            stage,
            detail: format!("states nothing ({}) by bundle {bundle}…{word}", nothing.code),
        });
    }
    if let Some(held) = held {
        match held.status {
            QuarantineStatus::Released => steps.push(Step {
                at: held.last_seen_at,
                stage: "released",
                detail: "out of quarantine".into(),
            }),
            QuarantineStatus::Open | QuarantineStatus::Discarded => {}
        }
    }
    steps.sort_by_key(|step| step.at);
    steps
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::testing::{execution, ledger_row, normalized_row, quarantine_row};

    #[test]
    fn a_released_event_tells_its_whole_life() {
        let mut row = normalized_row();
        row.quarantine = Some(
            serde_json::from_value(json!({"code": "c", "message": "m", "at": "2026-11-21T09:58:20Z"}))
                .unwrap(),
        );
        row.normalized.as_mut().unwrap().at = "2026-11-21T09:58:40Z".parse().unwrap();
        let held = quarantine_row("RELEASED", 2);
        let steps = lifecycle(&row, Some(&held), Some(&execution("SUCCEEDED", 2)));
        let stages: Vec<&str> = steps.iter().map(|step| step.stage).collect();
        assert_eq!(stages, ["received", "quarantined", "quarantined", "redriven", "normalized", "released"]);
        assert!(steps[2].detail.contains("attempt 2 failed"), "{steps:?}");
    }

    #[test]
    fn stored_bytes_that_are_not_what_the_ledger_says_are_a_finding() {
        let shown = assemble(
            normalized_row(),
            Ok(Bytes::from_static(b"tampered")),
            Some(Err("there is no object x".into())),
            None,
            None,
            false,
        );
        assert!(!shown.raw.verified);
        assert!(shown.raw.problem.as_ref().unwrap().contains(&Sha256Hex::of(b"tampered").to_string()));
        let normalized = shown.normalized.as_ref().unwrap();
        assert_eq!((normalized.verified, normalized.documents.len()), (false, 0));
        assert_eq!(normalized.problem.as_deref(), Some("there is no object x"));
        assert_eq!(shown.problems().len(), 2);
    }

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        let shown =
            assemble(ledger_row("RECEIVED"), Ok(Bytes::from_static(b"\xff\xfe")), None, None, None, false);
        let value = serde_json::to_value(&shown).unwrap();
        assert_eq!(value["raw"]["base64"], "//4=");
        assert!(value["raw"].get("text").is_none());
    }

    #[test]
    fn a_missing_object_is_told_apart_from_no_answer() {
        assert!(stored(Err(Fault::new(Code::RawMissing, "gone"))).unwrap().is_err());
        assert!(stored(Err(Fault::new(Code::Unavailable, "down"))).is_err());
    }
}

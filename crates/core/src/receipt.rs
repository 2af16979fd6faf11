//! What a vendor may know of its event: `GET /v1/events/{ingestId}`.
//!
//! In the vendor's terms: a reason that lies in its message is given with pointers into the message as it was sent; everything else
//! (a mapper that fails, a setting, a dependency) is the operator's, and is said to be so. Bundles, mappers and keys are never named.

use jiff::Timestamp;
use serde::Serialize;

use crate::Code;
use crate::canonical;
use crate::fault::FieldFault;
use crate::id::{EventType, ExternalEventId, IngestId, SchemaVersion};
use crate::record::{Form, LedgerRow, QuarantineNote, Status};

/// One event as its vendor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventReceipt {
    /// As answered at acceptance.
    pub ingest_id: IngestId,
    /// Where it is in its life.
    pub status: Status,
    /// The vendor's kind of message.
    pub event_type: EventType,
    /// Version of the vendor's payload schema.
    pub schema_version: SchemaVersion,
    /// The vendor's id of the event, or the digest of the message.
    pub external_event_id: ExternalEventId,
    /// By the vendor's clock.
    #[serde(with = "crate::id::millis")]
    pub occurred_at: Timestamp,
    /// By ours.
    #[serde(with = "crate::id::millis")]
    pub received_at: Timestamp,
    /// When it was last normalized, or found to state nothing.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_millis")]
    pub normalized_at: Option<Timestamp>,
    /// Why nothing came of it, of an event that states nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<canonical::Reason>,
    /// Why it waits, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Reason>,
}

/// Why an event waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Since when.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
    /// A [`Code`] that concerns the message, or [`OPERATOR`].
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The faults of the message, with pointers into it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
}

/// The code of every reason that does not lie in the message.
pub const OPERATOR: &str = "being_worked_on";

const OPERATOR_MESSAGE: &str = "the event is kept and its message is not at fault: the operator is working on it, and nothing needs to be sent again";

impl EventReceipt {
    /// Of a row.
    pub fn of(row: &LedgerRow) -> Self {
        let waits = row.quarantine.as_ref().filter(|_| row.status == Status::Quarantined);
        Self {
            ingest_id: row.ingest_id,
            // That its events wait is the operator's business; to the vendor they are accepted and on their way.
            status: if row.status == Status::Held { Status::Received } else { row.status },
            event_type: row.event_type.clone(),
            schema_version: row.schema_version.clone(),
            external_event_id: row.key.external_event_id.clone(),
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            normalized_at: match (&row.normalized, &row.nothing) {
                (Some(normalized), _) => Some(normalized.at),
                (None, Some(nothing)) => Some(nothing.at),
                (None, None) => None,
            },
            nothing: row.nothing.as_ref().map(|nothing| canonical::Reason {
                code: nothing.code.clone(),
                message: nothing.message.clone(),
            }),
            quarantine: waits.map(|note| reason(note, row.form)),
        }
    }
}

/// Every code that a receipt may have.
pub fn codes() -> Vec<&'static str> {
    let own = Code::ALL.iter().filter(|code| concerns_the_message(**code));
    own.map(|code| code.as_str()).chain([OPERATOR]).collect()
}

fn reason(note: &QuarantineNote, form: Form) -> Reason {
    let code = Code::ALL.iter().copied().find(|code| code.as_str() == note.code);
    let Some(code) = code.filter(|code| concerns_the_message(*code)) else {
        return Reason {
            at: note.at,
            code: OPERATOR.to_owned(),
            message: OPERATOR_MESSAGE.to_owned(),
            errors: Vec::new(),
        };
    };
    // A mapper knows the payload only; the vendor knows what it sent.
    let in_payload = code == Code::MapperRefused && form == Form::Envelope;
    let errors = note.errors.iter().cloned().map(|fault| {
        let pointer = fault.pointer;
        let is_pointer = pointer.is_empty() || pointer.starts_with('/');
        let pointer = if in_payload && is_pointer { format!("/payload{pointer}") } else { pointer };
        FieldFault { pointer, ..fault }
    });
    let errors: Vec<FieldFault> = errors.collect();
    let message = match errors.first() {
        Some(first) if code == Code::MapperRefused => format!("the message is refused: {}", first.message),
        _ => note.message.clone(),
    };
    Reason { at: note.at, code: code.to_string(), message, errors }
}

/// Whether the vendor can do something about it.
fn concerns_the_message(code: Code) -> bool {
    match code {
        Code::PayloadUnreadable
        | Code::PayloadUndecodable
        | Code::PayloadSchemaViolation
        | Code::SchemaVersionUnknown
        | Code::PayloadTooLarge
        | Code::IdentityConflict
        | Code::EventTypeContradicted
        | Code::MessageIncomplete
        | Code::MapperOutputTooLarge
        | Code::EventsTooMany
        | Code::EventTooLarge
        | Code::OccurredAtAhead
        | Code::WarehouseForeign
        | Code::MapperRefused => true,
        Code::AwaitingRedrive
        | Code::Throttled
        | Code::TimedOut
        | Code::Unavailable
        | Code::ConcurrentWrite
        | Code::MapperTrapped
        | Code::MapperOutOfFuel
        | Code::MapperOutOfMemory
        | Code::MapperStackOverflow
        | Code::MapperAbiViolation
        | Code::MapperErrorMalformed
        | Code::OutputNotUtf8
        | Code::OutputNotJson
        | Code::OutputNotCanonical
        | Code::OutputShapeInvalid
        | Code::CanonicalSchemaViolation
        | Code::InputMalformed
        | Code::ConfigurationInvalid
        | Code::MapperMissing
        | Code::BundleMissing
        | Code::BundleDigestMismatch
        | Code::BundleIncompatible
        | Code::BundleUnsigned
        | Code::BundleKeyUnknown
        | Code::BundleSignatureInvalid
        | Code::ModuleRefused
        | Code::StateTooLarge
        | Code::NormalizedMissing
        | Code::NormalizedMalformed
        | Code::NormalizedDigestMismatch
        | Code::CanonicalTypeUnknown
        | Code::RawMissing
        | Code::RawDigestMismatch
        | Code::LedgerRowMissing
        | Code::CorrectionOutdated
        | Code::RowMalformed
        | Code::Denied => false,
    }
}

fn optional_millis<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => crate::id::millis::serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

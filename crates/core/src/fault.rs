//! What can go wrong in a function, and what follows from it.
//!
//! The class decides what Step Functions does ([`Class::error_type`] is the name that ASL matches); the code says what
//! happened. One exhaustive match classifies every code, so a new one does not build unclassified.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::limits::FAULTS_LISTED_MAX;

/// What the caller should do. A closed set: these three names and AWS's own are all that ASL may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Throttle, time-out, 5xx: the same call may succeed later.
    Retryable,
    /// Bad data: the same input fails the same way until the data or the mapper changes.
    Rejected,
    /// A person must act: something is missing, denied or inconsistent.
    Misconfigured,
}

impl Class {
    /// All of them, for the test that compares them with the ASL files.
    pub const ALL: [Self; 3] = [Self::Retryable, Self::Rejected, Self::Misconfigured];

    /// The error name that Lambda reports and ASL matches.
    pub fn error_type(self) -> &'static str {
        match self {
            Self::Retryable => "Retryable",
            Self::Rejected => "Rejected",
            Self::Misconfigured => "Misconfigured",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $class:ident;)+) => {
        /// What happened. The text is stable: it is stored, counted and shown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What follows from it.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)+ }
            }

            /// One sentence, for `docs/codes.md`.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

codes! {
    /// A dependency throttled the call.
    Throttled = "throttled", Retryable;
    /// A dependency did not answer in time.
    TimedOut = "timed_out", Retryable;
    /// A dependency answered with a server error, or the connection broke.
    Unavailable = "unavailable", Retryable;
    /// Another writer was at the same object or item; the next try sees its result.
    ConcurrentWrite = "concurrent_write", Retryable;

    /// The stored payload cannot be read: not JSON, not an envelope, or gzip that does not inflate.
    PayloadUnreadable = "payload_unreadable", Rejected;
    /// The payload is not in the encoding that its contract declares or its sender states, or the two contradict each other.
    PayloadUndecodable = "payload_undecodable", Rejected;
    /// The payload does not satisfy the vendor's own payload schema.
    PayloadSchemaViolation = "payload_schema_violation", Rejected;
    /// The envelope names a schema version that the contract does not have.
    SchemaVersionUnknown = "schema_version_unknown", Rejected;
    /// The payload is larger than the mapper may be given.
    PayloadTooLarge = "payload_too_large", Rejected;
    /// The mapper refused the message; its own code, path and message are in the detail.
    MapperRefused = "mapper_refused", Rejected;
    /// The event has another document by now than when its correction was planned: it is left as it is.
    CorrectionOutdated = "correction_outdated", Rejected;
    /// The mapper trapped.
    MapperTrapped = "mapper_trapped", Rejected;
    /// The mapper used up its fuel.
    MapperOutOfFuel = "mapper_out_of_fuel", Rejected;
    /// The mapper asked for more memory than it may have.
    MapperOutOfMemory = "mapper_out_of_memory", Rejected;
    /// The mapper recursed too deeply.
    MapperStackOverflow = "mapper_stack_overflow", Rejected;
    /// The mapper broke the ABI: pointers or lengths outside its memory, or a discriminant that does not exist.
    MapperAbiViolation = "mapper_abi_violation", Rejected;
    /// The mapper returned more bytes than the cap.
    MapperOutputTooLarge = "mapper_output_too_large", Rejected;
    /// The mapper's refusal is not a small JSON object {code, path, message}.
    MapperErrorMalformed = "mapper_error_malformed", Rejected;
    /// The mapper's output is not UTF-8.
    OutputNotUtf8 = "output_not_utf8", Rejected;
    /// The mapper's output is not JSON.
    OutputNotJson = "output_not_json", Rejected;
    /// The mapper's output has no canonical form (RFC 8785): two equal keys, or a number that a double does not hold exactly.
    OutputNotCanonical = "output_not_canonical", Rejected;
    /// The mapper's output is JSON but not an array of canonical events, all of the contract's one type.
    OutputShapeInvalid = "output_shape_invalid", Rejected;
    /// An event in the mapper's output does not satisfy its canonical schema.
    CanonicalSchemaViolation = "canonical_schema_violation", Rejected;
    /// The message came under the identity of an event that was accepted with another payload; it waits until a person accepts it as
    /// an event of its own.
    IdentityConflict = "identity_conflict", Rejected;
    /// The body is not that of an event of the type that the message names; it waits until a person accepts it.
    EventTypeContradicted = "event_type_contradicted", Rejected;
    /// The message lacks its id or its time, or they cannot be read; it waits until a person accepts it.
    MessageIncomplete = "message_incomplete", Rejected;
    /// The message comes to more canonical events than one message may carry: it is to be sent in parts.
    EventsTooMany = "events_too_many", Rejected;
    /// A canonical event is larger than a row of canonical state may be: an order of too many lines.
    EventTooLarge = "event_too_large", Rejected;
    /// A canonical event occurs further in the future than its contract allows: it would hold against all that is said until then.
    OccurredAtAhead = "occurred_at_ahead", Rejected;
    /// A canonical event speaks of a warehouse that the vendor's contract does not list.
    WarehouseForeign = "warehouse_foreign", Rejected;
    /// The canonical state of an entity would be larger than a table's item may be.
    StateTooLarge = "state_too_large", Rejected;

    /// The execution waits for a person to redrive it: that an event could not be normalized was recorded before.
    AwaitingRedrive = "awaiting_redrive", Rejected;

    /// The function was called with something that is not its input.
    InputMalformed = "input_malformed", Misconfigured;
    /// A setting of the function or of a vendor is missing or wrong.
    ConfigurationInvalid = "configuration_invalid", Misconfigured;
    /// The vendor has no active mapper for this event type.
    MapperMissing = "mapper_missing", Misconfigured;
    /// The active mapper's bundle, or a file of it, is not in the store.
    BundleMissing = "bundle_missing", Misconfigured;
    /// A file of the bundle does not have the digest that the manifest gives.
    BundleDigestMismatch = "bundle_digest_mismatch", Misconfigured;
    /// The bundle was not compiled for this host's fingerprint.
    BundleIncompatible = "bundle_incompatible", Misconfigured;
    /// The bundle has no signed native code at all: its publication was interrupted, or it was not signed.
    BundleUnsigned = "bundle_unsigned", Misconfigured;
    /// The bundle's native code is signed, but by no key that `normalize` trusts.
    BundleKeyUnknown = "bundle_key_unknown", Misconfigured;
    /// The signature of the bundle's native code does not hold: the statement was altered, or is another bundle's.
    BundleSignatureInvalid = "bundle_signature_invalid", Misconfigured;
    /// The module is not one that this host may run: imports, a start function, wrong exports, malformed.
    ModuleRefused = "module_refused", Misconfigured;
    /// The contract names a canonical type or version that Sluice does not know.
    CanonicalTypeUnknown = "canonical_type_unknown", Misconfigured;
    /// The raw object is not where the ledger says.
    RawMissing = "raw_missing", Misconfigured;
    /// The raw object does not have the digest that the ledger has.
    RawDigestMismatch = "raw_digest_mismatch", Misconfigured;
    /// The normalized document is not where the event says.
    NormalizedMissing = "normalized_missing", Misconfigured;
    /// The normalized document does not have the digest that the event and the ledger have.
    NormalizedDigestMismatch = "normalized_digest_mismatch", Misconfigured;
    /// The normalized document has the right digest and is not what Sluice writes.
    NormalizedMalformed = "normalized_malformed", Misconfigured;
    /// The ledger has no such event.
    LedgerRowMissing = "ledger_row_missing", Misconfigured;
    /// A stored row cannot be read as what it should be.
    RowMalformed = "row_malformed", Misconfigured;
    /// A dependency refused the call: permission, missing table, bucket or key.
    Denied = "denied", Misconfigured;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault of a document: where, what, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// JSON pointer (RFC 6901) into the document; empty for the whole.
    pub pointer: String,
    /// Stable code, e.g. `required`, `type`, `too_long`.
    pub code: String,
    /// What is wrong and what to do, one sentence.
    pub message: String,
}

/// An error of a function.
pub struct Fault {
    /// What happened.
    pub code: Code,
    /// One clear sentence, without the vendor's data beyond short quotes.
    pub message: String,
    /// The faults of the document, where it is a document that was refused.
    pub errors: Vec<FieldFault>,
    /// The bundle that was in use, if it came that far.
    pub bundle: Option<Sha256Hex>,
    source: Option<Box<dyn Error + Send + Sync>>,
    waiting: Option<Box<Waiting>>,
}

/// How an execution that waits for a person says why: the error and the cause that the Step Functions console shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The code of the failure, e.g. `mapper_refused`.
    pub error: String,
    /// One sentence: whose event, what failed, where, and what to do.
    pub cause: String,
}

impl Fault {
    /// The failure of an execution on purpose, until it is redriven. Its error name is the code of what failed, which no retrier
    /// and no catcher names.
    pub fn waiting(waiting: Waiting) -> Self {
        let fault = Self::new(Code::AwaitingRedrive, waiting.cause.clone());
        Self { waiting: Some(Box::new(waiting)), ..fault }
    }

    /// A fault without further detail.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), errors: Vec::new(), bundle: None, source: None, waiting: None }
    }

    /// With the faults of a document; [`FAULTS_LISTED_MAX`] are kept.
    #[must_use]
    pub fn with_errors(mut self, mut errors: Vec<FieldFault>) -> Self {
        errors.truncate(FAULTS_LISTED_MAX);
        self.errors = errors;
        self
    }

    /// With the bundle that was in use.
    #[must_use]
    pub fn with_bundle(mut self, bundle: Sha256Hex) -> Self {
        self.bundle = Some(bundle);
        self
    }

    /// With the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The name that ASL matches.
    pub fn error_type(&self) -> &str {
        match &self.waiting {
            Some(waiting) => &waiting.error,
            None => self.code.class().error_type(),
        }
    }

    /// The detail as Lambda's `errorMessage`: a JSON object `{code, message, errors?, bundle?, cause?}`, or the sentence of a
    /// [`Waiting`].
    pub fn error_message(&self) -> String {
        if let Some(waiting) = &self.waiting {
            return waiting.cause.clone();
        }
        #[derive(Serialize)]
        struct Message<'a> {
            code: Code,
            message: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldFault],
            #[serde(skip_serializing_if = "Option::is_none")]
            bundle: Option<&'a Sha256Hex>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cause: Option<String>,
        }
        let cause = self.source.as_deref().map(|source| chain(source));
        let bundle = self.bundle.as_ref();
        serde_json::to_string(&Message {
            code: self.code,
            message: &self.message,
            errors: &self.errors,
            bundle,
            cause,
        })
        .unwrap_or_else(|_| format!(r#"{{"code":"{}"}}"#, self.code))
    }
}

/// An error and its sources, joined by `: `.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_text = source.to_string();
        if !text.ends_with(&source_text) {
            text.push_str(": ");
            text.push_str(&source_text);
        }
        next = source.source();
    }
    text
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.error_type(), self.error_message())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A failure as a state machine passes it on: what a `Catch` puts into `$states.errorOutput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaughtError {
    /// The error name: one of [`Class::ALL`] or AWS's own.
    #[serde(rename = "Error")]
    pub error: String,
    /// For a Lambda task a JSON object `{errorType, errorMessage, …}`; else text.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

/// The cause of a quarantine, read back from a [`CaughtError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The error name that the state machine saw.
    pub error: String,
    /// A [`Code`]'s text, or for an error of AWS's own its name.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The faults of the document, if that was it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
    /// The bundle that was in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Sha256Hex>,
}

impl Cause {
    /// Groups quarantined events that fail alike: code, where and how the first fault is (array positions left out), and the
    /// bundle. 16 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let place = self.errors.first().map_or(String::new(), |fault| {
            let generic: Vec<&str> =
                fault
                    .pointer
                    .split('/')
                    .map(|token| {
                        if !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()) {
                            "*"
                        } else {
                            token
                        }
                    })
                    .collect();
            format!("{} {}", generic.join("/"), fault.code)
        });
        let bundle = self.bundle.as_ref().map_or("", Sha256Hex::as_str);
        let digest = Sha256Hex::of_parts(&[self.code.as_bytes(), place.as_bytes(), bundle.as_bytes()]);
        digest.as_str()[..16].to_owned()
    }
}

impl From<&CaughtError> for Cause {
    fn from(caught: &CaughtError) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Lambda {
            error_message: String,
        }
        #[derive(Deserialize)]
        struct Detail {
            code: String,
            message: String,
            #[serde(default)]
            errors: Vec<FieldFault>,
            bundle: Option<Sha256Hex>,
        }
        let text = serde_json::from_str::<Lambda>(&caught.cause).map(|lambda| lambda.error_message);
        let text = text.unwrap_or_else(|_| caught.cause.clone());
        match serde_json::from_str::<Detail>(&text) {
            Ok(detail) => Self {
                error: caught.error.clone(),
                code: detail.code,
                message: detail.message,
                errors: detail.errors,
                bundle: detail.bundle,
            },
            Err(_) => Self {
                error: caught.error.clone(),
                code: caught.error.clone(),
                message: if text.is_empty() {
                    format!("the task failed with {}", caught.error)
                } else {
                    text
                },
                errors: Vec::new(),
                bundle: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_documented() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.summary().ends_with('.')));
    }

    #[test]
    fn a_cause_survives_lambda_and_step_functions() {
        let fault = Fault::new(Code::PayloadSchemaViolation, "2 faults").with_errors(vec![FieldFault {
            pointer: "/qty".into(),
            code: "type".into(),
            message: "expected an integer".into(),
        }]);
        let lambda =
            serde_json::json!({"errorType": fault.error_type(), "errorMessage": fault.error_message()});
        let caught = CaughtError { error: "Rejected".into(), cause: lambda.to_string() };
        let cause = Cause::from(&caught);
        assert_eq!((cause.code.as_str(), cause.errors.len()), ("payload_schema_violation", 1));

        let aws = CaughtError { error: "States.Timeout".into(), cause: String::new() };
        assert_eq!(Cause::from(&aws).code, "States.Timeout");
    }
}

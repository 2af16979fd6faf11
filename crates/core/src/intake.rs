//! The messages of the `intake` state machine: what the front door gives it, what passes between its states, what it answers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contract::{OtherEventType, Otherwise};
use crate::digest::Sha256Hex;
use crate::envelope::payload_digest;
use crate::id::{EventType, ExternalEventId, IngestId, ObjectRef, SchemaVersion, VendorId, raw_key, rfc3339};
use crate::record::{Form, Hold, LedgerKey, LedgerRow};

/// One HTTP request, as the mapping template of API Gateway builds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// E.g. `POST`.
    pub method: String,
    /// E.g. `/v1/events`.
    pub path: String,
    /// Address of the client.
    pub source_ip: String,
    /// The gateway's id of the request.
    pub request_id: String,
    /// Header name (any case; read with [`Request::header`]) to value.
    pub headers: BTreeMap<String, String>,
    /// Base64 of the exact bytes; empty if they are staged.
    pub body: String,
    /// Where the bytes are, if they are too large for the input of a state machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
}

/// A body that lies in the store of uploads until it is stored for good, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Staged {
    /// Where.
    pub r#ref: ObjectRef,
    /// Digest of the exact bytes.
    pub sha256: Sha256Hex,
    /// How many they are.
    pub bytes: u64,
}

impl Request {
    /// A header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a header came under several spellings of its name.
    pub fn repeats_header(&self, name: &str) -> bool {
        self.headers.keys().filter(|key| key.eq_ignore_ascii_case(name)).count() > 1
    }

    /// The same request with its bytes at hand.
    #[must_use]
    pub fn with_body(self, bytes: &[u8]) -> Self {
        Self { body: STANDARD.encode(bytes), staged: None, ..self }
    }

    /// The exact bytes; `None` if the template did not give base64.
    pub fn body_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.body).ok()
    }
}

/// Whether a header of this name, in lower case, proves a sender. It must come once: of two, one reader may take the first and
/// another the last.
pub fn proves_sender(name: &str) -> bool {
    name == "x-api-key" || name.starts_with("webhook-") || name.contains("signature") || name.contains("hmac")
}

/// What `Accept` hands on: an answer, or an event to persist. In JSON `{"answer": …}` or `{"accepted": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Nothing is to be stored.
    Answer(Answer),
    /// To be persisted.
    Accepted(Box<Accepted>),
}

/// An event that passed every check, before it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Minted for this request.
    pub ingest_id: IngestId,
    /// Proved by key and signature.
    pub vendor_id: VendorId,
    /// The vendor's id of the event.
    pub external_event_id: ExternalEventId,
    /// The vendor's kind of message.
    pub event_type: EventType,
    /// Stated by the envelope, or the contract's default.
    pub schema_version: SchemaVersion,
    /// By the vendor's clock.
    #[serde(with = "crate::id::millis")]
    pub occurred_at: Timestamp,
    /// By ours, to the millisecond.
    #[serde(with = "crate::id::millis")]
    pub received_at: Timestamp,
    /// Digest of the body as sent.
    pub raw_sha256: Sha256Hex,
    /// Length of the body as sent.
    pub raw_bytes: u64,
    /// As [`crate::envelope::Envelope::payload_sha256`], or of a native message likewise.
    pub payload_sha256: Sha256Hex,
    /// Of a native message: digest of the message alone, whatever its event type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_sha256: Option<Sha256Hex>,
    /// What it is if the same message was accepted under another event type.
    #[serde(default, skip_serializing_if = "is_default")]
    pub other_event_type: OtherEventType,
    /// What the body is.
    #[serde(default, skip_serializing_if = "Form::is_envelope")]
    pub form: Form,
    /// The sender's id of the delivery, for correlation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// Why it waits for a person once it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What becomes of it if another payload has its key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_conflict: Otherwise,
    /// Present if the message is its own identity within a window: then `external_event_id` is the generation to be tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
    /// As sent.
    pub content_type: String,
    /// `gzip`, if the body is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Accept` has seen a row with this key and another payload.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflicts: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What an event is beside the row that has its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Accepted before.
    Duplicate,
    /// An event of its own, under a key of its own ([`LedgerKey::of_conflict`]).
    Another,
    /// Another payload under the same identity.
    Conflict,
}

impl Accepted {
    /// The key that it claims.
    pub fn key(&self) -> LedgerKey {
        LedgerKey { vendor_id: self.vendor_id.clone(), external_event_id: self.external_event_id.clone() }
    }

    /// What it is beside the row that has its key.
    pub fn beside(&self, row: &LedgerRow) -> Beside {
        if row.payload_sha256 == self.payload_sha256 {
            return Beside::Duplicate;
        }
        let same_message = self
            .message_sha256
            .as_ref()
            .is_some_and(|message| row.payload_sha256 == payload_digest(&row.event_type, None, message));
        match self.other_event_type {
            OtherEventType::Duplicate if same_message => Beside::Duplicate,
            OtherEventType::Event if same_message => Beside::Another,
            OtherEventType::Conflict | OtherEventType::Duplicate | OtherEventType::Event => Beside::Conflict,
        }
    }

    /// Where its raw bytes belong.
    pub fn raw_key(&self) -> String {
        raw_key(&self.vendor_id, self.received_at, self.ingest_id)
    }
}

/// The input of `PersistRaw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persist {
    /// From `Accept`.
    pub accepted: Accepted,
    /// Base64 of the exact bytes, from the execution's input; empty if they are staged.
    pub body: String,
    /// Where they are, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
}

impl Persist {
    /// The exact bytes; `None` if it is not base64.
    pub fn body_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.body).ok()
    }
}

/// An HTTP answer; `{statusCode, headers, body}` is the output of `intake`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// HTTP status.
    pub status_code: u16,
    /// Lower-case header name to value.
    pub headers: BTreeMap<String, String>,
    /// Text, JSON already encoded.
    pub body: String,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status_code: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body)
            .unwrap_or_else(|error| unreachable!("an answer has string keys and no failing field: {error}"));
        Self { status_code, headers: BTreeMap::new(), body }.with_header("content-type", "application/json")
    }

    /// Sets a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// 202: accepted and durable.
    pub fn accepted(ingest_id: IngestId, received_at: Timestamp) -> Self {
        Self::receipt(202, ingest_id, "ACCEPTED", received_at)
    }

    /// 200: accepted before, under this id, at that time.
    pub fn duplicate(ingest_id: IngestId, received_at: Timestamp) -> Self {
        Self::receipt(200, ingest_id, "DUPLICATE", received_at)
    }

    fn receipt(status_code: u16, ingest_id: IngestId, status: &str, received_at: Timestamp) -> Self {
        let body =
            serde_json::json!({"ingestId": ingest_id, "status": status, "receivedAt": rfc3339(received_at)});
        Self::json(status_code, &body)
    }
}

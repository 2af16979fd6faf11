//! From raw bytes to canonical bytes: the digest of the raw object, inflating, the vendor's payload schema, the mapper, the
//! canonical schema.
//!
//! [`map`] is pure, and the only mapping there is: `normalize` runs it for an event, the tools run it, or the steps that it is made
//! of ([`Message::open`], [`execute`], [`finish`]), for a prediction (shadow, dry run, fixtures). So what a tool says is what happens.

mod bundles;
mod trust;

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Serialize;
use sluice_core::canonical::{Judged, Reason, count, document, judge, permit};
use sluice_core::contract::{Contract, Format};
use sluice_core::digest::Sha256Hex;
use sluice_core::envelope::{Envelope, Refusal};
use sluice_core::fault::FieldFault;
use sluice_core::id::{SchemaVersion, rfc3339};
use sluice_core::jiff::Timestamp;
use sluice_core::payload::{InflateError, inflate};
use sluice_core::record::{EventDetail, Form};
use sluice_core::{Code, Fault};
use sluice_mapper_host::MapFault;

pub use bundles::{Bundle, Bundles};
pub use trust::{InvalidTrustKeys, KEYS_MAX, TrustKeys};

/// What [`map`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// What the message states.
    pub outcome: Outcome,
    /// Fuel that the mapper used.
    pub fuel: u64,
}

/// What a message states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Canonical events.
    Events {
        /// The document: one canonical event a line, each in RFC 8785 form.
        bytes: Vec<u8>,
        /// Number of lines.
        events: u32,
    },
    /// Nothing, and why.
    Nothing(Reason),
}

impl Outcome {
    /// The document; without a line if nothing is stated.
    pub fn document(&self) -> &[u8] {
        match self {
            Self::Events { bytes, .. } => bytes,
            Self::Nothing(_) => &[],
        }
    }
}

/// Raw bytes to the document. Pure: nothing but its arguments decides. A fault does not name the bundle; the caller knows it.
pub fn map(event: &EventDetail, bundle: &Bundle, raw: &[u8]) -> Result<Mapped, Fault> {
    let output = execute(&Message::open(event, raw)?, bundle)?;
    finish(event, bundle, &output)
}

/// A message as a mapper is given it: the payload of an envelope, or the whole of a native message.
#[derive(Debug, Clone)]
pub struct Message {
    /// What the mapper is told beside the payload.
    pub meta: Meta,
    /// The vendor's bytes.
    pub payload: Vec<u8>,
    /// The encoding of a native message, as its sender states it.
    charset: Option<String>,
    /// Size of the whole body after inflating, which is what a contract bounds.
    body_bytes: usize,
    /// What it came as; unknown of a message that was never sent, which is then taken as its contract says.
    form: Option<Form>,
    /// The payload is in UTF-8 already, whatever the contract and the sender say.
    decoded: bool,
    /// The payload for its schema, read when a contract wants it.
    value: OnceLock<serde_json::Value>,
}

impl Message {
    /// Opens a raw object: digest, inflating, and the envelope if it is one.
    pub fn open(event: &EventDetail, raw: &[u8]) -> Result<Self, Fault> {
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
        let body_bytes = body.len();
        let payload = match event.form {
            Form::Native => body.into_owned(),
            Form::Envelope => payload_of(&body, event)?,
        };
        let message = Self::new(Meta::of(event), payload)?;
        let charset = event.charset.clone().filter(|_| event.form == Form::Native);
        Ok(Self { body_bytes, form: Some(event.form), charset, ..message })
    }

    /// A message that was never sent, such as a fixture.
    pub fn new(meta: Meta, payload: Vec<u8>) -> Result<Self, Fault> {
        Ok(Self {
            meta,
            body_bytes: payload.len(),
            payload,
            charset: None,
            form: None,
            decoded: false,
            value: OnceLock::new(),
        })
    }

    /// The same message with its payload in UTF-8, as a mapper is given it: places in it are places in what the mapper reads.
    ///
    /// # Errors
    /// [`Code::PayloadUndecodable`].
    pub fn decoded(&self, contract: &Contract) -> Result<Self, Fault> {
        let (_, payload) = self.input(contract)?;
        Ok(Self { decoded: true, ..self.with(self.meta.clone(), payload.into_owned()) })
    }

    /// The same message with other metadata and another payload: what would have come of it.
    #[must_use]
    pub fn with(&self, meta: Meta, payload: Vec<u8>) -> Self {
        Self {
            body_bytes: (self.body_bytes + payload.len()).saturating_sub(self.payload.len()),
            meta,
            payload,
            charset: self.charset.clone(),
            form: self.form,
            decoded: self.decoded,
            value: OnceLock::new(),
        }
    }

    /// What the mapper is given: the metadata, with how the vendor writes text, and the payload in UTF-8.
    pub fn input(&self, contract: &Contract) -> Result<(Vec<u8>, Cow<'_, [u8]>), Fault> {
        let payload = match self.decoded {
            true => Cow::Borrowed(self.payload.as_slice()),
            false => contract
                .text
                .utf8(contract.payload.format, &self.payload, self.charset.as_deref())
                .map_err(|error| Fault::new(Code::PayloadUndecodable, error.to_string()))?,
        };
        Ok((self.meta.to_json(contract)?, payload))
    }

    /// The payload for its schema. It is kept, unless it had to be decoded, which depends on the
    /// contract.
    fn value(&self, payload: &[u8]) -> Result<Cow<'_, serde_json::Value>, Fault> {
        let read = || match sluice_core::json::parse(payload) {
            Ok(json) => Ok(json.to_value()),
            Err(error) => Err(Fault::new(Code::PayloadUnreadable, format!("the payload is {error}"))),
        };
        if !std::ptr::eq(payload, self.payload.as_slice()) {
            return read().map(Cow::Owned);
        }
        if let Some(value) = self.value.get() {
            return Ok(Cow::Borrowed(value));
        }
        let value = read()?;
        Ok(Cow::Borrowed(self.value.get_or_init(|| value)))
    }

    fn of_version(&self, version: &SchemaVersion) -> Self {
        let mut message = self.clone();
        message.meta.schema_version = version.to_string();
        message
    }

    /// Where the payload is in what the vendor sent.
    fn pointer(&self, contract: &Contract) -> &'static str {
        let by_contract = if contract.envelope.is_some() { Form::Native } else { Form::Envelope };
        match self.form.unwrap_or(by_contract) {
            Form::Envelope => "/payload",
            Form::Native => "",
        }
    }
}

/// The payload of an envelope, judged as it was at acceptance, against the clock of that moment.
fn payload_of(body: &[u8], event: &EventDetail) -> Result<Vec<u8>, Fault> {
    match Envelope::parse(body, event.received_at) {
        Ok(envelope) => Ok(envelope.payload.to_vec()),
        Err(Refusal::NotJson(error)) => {
            Err(Fault::new(Code::PayloadUnreadable, format!("the raw object is {error}")))
        }
        Err(Refusal::Faults(faults)) => {
            Err(Fault::new(Code::PayloadUnreadable, "the raw object is not an envelope").with_errors(faults))
        }
    }
}

/// What a mapper gave, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// As the mapper wrote it.
    pub bytes: Vec<u8>,
    /// Fuel that it used; the same for the same message.
    pub fuel: u64,
    /// Most memory that it had, in bytes: a WebAssembly memory never shrinks.
    pub memory_bytes: usize,
}

/// The message to the mapper's output: size, payload schema, mapper.
pub fn execute(message: &Message, bundle: &Bundle) -> Result<Output, Fault> {
    let Message { body_bytes, .. } = message;
    let contract = &bundle.contract;
    if *body_bytes > contract.limits.payload_bytes_max {
        let message = format!(
            "the message has {body_bytes} bytes, the contract allows {}",
            contract.limits.payload_bytes_max
        );
        return Err(Fault::new(Code::PayloadTooLarge, message));
    }
    let by_contract;
    let message = match message.meta.schema_version == SchemaVersion::unstated().as_str() {
        // No contract covered it when it was accepted: this one says which version it is.
        true => {
            by_contract = message.of_version(&contract.payload.default_version);
            &by_contract
        }
        false => message,
    };
    let (meta, payload) = message.input(contract)?;
    match contract.payload.format {
        Format::Json => satisfies_schema(message, &payload, bundle)?,
        // Without a schema it is the mapper that judges.
        Format::Csv | Format::X12 => {}
    }
    let mapped = bundle.mapper.map(&meta, &payload).map_err(map_fault)?;
    Ok(Output { bytes: mapped.output, fuel: mapped.fuel_used, memory_bytes: mapped.memory_bytes })
}

fn satisfies_schema(message: &Message, payload: &[u8], bundle: &Bundle) -> Result<(), Fault> {
    let meta = &message.meta;
    let known = bundle.schemas.iter().find(|(version, _)| version.as_str() == meta.schema_version);
    let (_, schema) = known.ok_or_else(|| {
        let known: Vec<&str> = bundle.schemas.keys().map(|version| version.as_str()).collect();
        Fault::new(
            Code::SchemaVersionUnknown,
            format!(
                "the contract has no payload schema {:?}; it has {}",
                meta.schema_version,
                known.join(", ")
            ),
        )
    })?;
    let prefix = message.pointer(&bundle.contract);
    let faults: Vec<FieldFault> = schema
        .faults(&*message.value(payload)?)
        .into_iter()
        .map(|fault| FieldFault { pointer: format!("{prefix}{}", fault.pointer), ..fault })
        .collect();
    let Some(first) = faults.first() else { return Ok(()) };
    let message = format!(
        "the payload does not satisfy schema {} of {} {}: {} {} ({} in all)",
        meta.schema_version,
        meta.vendor_id,
        meta.event_type,
        first.pointer,
        first.message,
        count(faults.len(), "fault")
    );
    Err(Fault::new(Code::PayloadSchemaViolation, message).with_errors(faults))
}

/// The output to the document: judged by the canonical schema, written in canonical form.
pub fn finish(event: &EventDetail, bundle: &Bundle, output: &Output) -> Result<Mapped, Fault> {
    let canonical = &bundle.contract.canonical;
    let outcome = match judge(&output.bytes, canonical)? {
        Judged::Events(events) => {
            permit(&events, &bundle.contract, event.received_at)?;
            Outcome::Events {
                bytes: document(&events, canonical, event)?,
                events: u32::try_from(events.len()).unwrap_or(u32::MAX),
            }
        }
        Judged::Nothing(reason) => Outcome::Nothing(reason),
    };
    Ok(Mapped { outcome, fuel: output.fuel })
}

/// What a mapper is told beside the payload (`mappers-wasm/wit/mapper.wit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Who sent it.
    pub vendor_id: String,
    /// The vendor's own id of the event.
    pub external_event_id: String,
    /// The vendor's kind of message.
    pub event_type: String,
    /// Version of the vendor's payload schema.
    pub schema_version: String,
    /// When it happened, as the vendor says; RFC 3339.
    pub occurred_at: String,
    /// When it was received; RFC 3339.
    pub received_at: String,
}

/// The same with what the contract says of the message's text.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    meta: &'a Meta,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<serde_json::Value>,
}

impl Meta {
    /// Of a stored event.
    pub fn of(event: &EventDetail) -> Self {
        Self {
            vendor_id: event.key.vendor_id.to_string(),
            external_event_id: event.key.external_event_id.to_string(),
            event_type: event.event_type.to_string(),
            schema_version: event.schema_version.to_string(),
            occurred_at: rfc3339(event.occurred_at),
            received_at: rfc3339(event.received_at),
        }
    }

    /// As a mapper of this contract reads it.
    pub fn to_json(&self, contract: &Contract) -> Result<Vec<u8>, Fault> {
        let received_at: Timestamp = self.received_at.parse().map_err(|error| {
            Fault::new(Code::InputMalformed, "the metadata's receivedAt is no time").with_source(error)
        })?;
        let told = Told { meta: self, text: contract.text.for_mapper(received_at) };
        serde_json::to_vec(&told).map_err(|error| {
            Fault::new(Code::InputMalformed, "failed to write the metadata").with_source(error)
        })
    }
}

fn map_fault(fault: MapFault) -> Fault {
    let code = match &fault {
        MapFault::Refused { .. } => Code::MapperRefused,
        MapFault::InputTooLarge { .. } => Code::PayloadTooLarge,
        MapFault::Trapped { .. } => Code::MapperTrapped,
        MapFault::OutOfFuel { .. } => Code::MapperOutOfFuel,
        MapFault::OutOfMemory { .. } => Code::MapperOutOfMemory,
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn contract(format: &str, text: &serde_json::Value) -> Contract {
        let mut contract = serde_json::json!({"vendorId": "v", "eventType": "t", "payload": {"format": format},
            "envelope": {"eventType": {"constant": "t"}, "occurredAt": {"received": true}},
            "text": text, "canonical": {"type": "T", "version": "1.0"}});
        if format == "json" {
            contract["payload"]["versions"] = serde_json::json!({"1": "s.json"});
        }
        serde_json::from_value(contract).unwrap()
    }

    fn message(payload: &[u8], charset: Option<&str>) -> Message {
        let text = |text: &str| text.to_owned();
        let meta = Meta {
            vendor_id: text("v"),
            external_event_id: text("e"),
            event_type: text("t"),
            schema_version: text("1"),
            occurred_at: text("2026-07-15T12:00:00Z"),
            received_at: text("2026-07-15T12:00:00Z"),
        };
        let message = Message::new(meta, payload.to_vec()).unwrap();
        Message { charset: charset.map(text), ..message }
    }

    #[test]
    fn a_mapper_is_given_utf_8_whatever_the_vendor_sent() {
        let none = serde_json::json!({});
        let latin = serde_json::json!({"encoding": "latin1"});
        for (format, text, payload, charset, expected) in [
            ("csv", &latin, &b"T\xdcR"[..], None, "T\u{dc}R"),
            ("x12", &latin, b"T\xdcR", None, "T\u{dc}R"),
            ("json", &latin, b"\"T\xdcR\"", None, "\"T\u{dc}R\""),
            ("csv", &none, b"T\xdcR", Some("windows-1252"), "T\u{dc}R"),
            ("csv", &none, b"\xff\xfeT\0\xdc\0", Some("utf-16"), "T\u{dc}"),
            ("csv", &none, b"\xff\xfeT\0\xdc\0", None, "T\u{dc}"),
            ("csv", &none, b"\xef\xbb\xbfT", Some("windows-1252"), "\u{feff}T"),
        ] {
            let message = message(payload, charset);
            let (_, given) = message.input(&contract(format, text)).unwrap();
            assert_eq!(&*given, expected.as_bytes(), "{format} {text} {charset:?}");
        }
        // Decoded once, it is not decoded again.
        let decoded = message(b"T\xdcR", None).decoded(&contract("csv", &latin)).unwrap();
        assert_eq!(&*decoded.input(&contract("csv", &latin)).unwrap().1, "T\u{dc}R".as_bytes());
        // What is to be UTF-8 and is not is the mapper's to refuse: it knows the line.
        let bad = message(b"T\xdcR", None);
        assert_eq!(&*bad.input(&contract("csv", &none)).unwrap().1, b"T\xdcR");
    }

    #[test]
    fn what_cannot_be_decoded_is_a_fault_of_the_message() {
        let none = serde_json::json!({});
        let latin = serde_json::json!({"encoding": "windows-1252"});
        for (text, payload, charset, words) in [
            (&latin, &b"ab\x81"[..], None, "offset 2 is no windows-1252"),
            (&latin, "\u{e4}".as_bytes(), None, "every sequence of its bytes beyond ASCII says utf-8"),
            (&latin, b"\xa4", Some("iso-8859-15"), "says iso-8859-15"),
            (&none, b"\xe4", Some("x-mac-roman"), "\"x-mac-roman\""),
            (&none, b"a\0", Some("utf-16"), "byte order mark"),
        ] {
            let fault = message(payload, charset).input(&contract("csv", text)).unwrap_err();
            assert_eq!(fault.code, Code::PayloadUndecodable);
            assert!(fault.message.contains(words), "{}", fault.message);
        }
    }

    #[test]
    fn a_mapper_is_told_what_its_contract_declares_and_nothing_else() {
        let told = |text: serde_json::Value| -> serde_json::Value {
            let (meta, _) =
                message(b"", None).input(&contract("csv", &text)).map(|(m, p)| (m, p.into_owned())).unwrap();
            serde_json::from_slice(&meta).unwrap()
        };
        assert_eq!(told(serde_json::json!({})).get("text"), None);
        assert_eq!(told(serde_json::json!({"encoding": "latin1"})).get("text"), None);
        let all = told(serde_json::json!({"decimal": ",", "grouping": ".", "dates": "dmy", "zone": "utc"}));
        assert_eq!(
            all["text"],
            serde_json::json!({"decimal": ",", "grouping": ".", "dates": "dmy",
                "zone": {"name": "utc", "offsets": [[1_609_459_200, 0]], "until": 1_861_920_000}})
        );
    }
}

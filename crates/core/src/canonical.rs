//! Canonical events: the schemas that Sluice knows, the judgement of a mapper's output, and the
//! bytes that are stored.
//!
//! The stored document is one RFC 8785 line per event, so that the same input gives the same bytes
//! on every replay (B3).

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_formats::identifier::composed;
use sluice_formats::{CODE_CHARS_MAX, MESSAGE_BYTES_MAX, PATH_BYTES_MAX};

use crate::contract::{CanonicalRef, Contract};
use crate::fault::{Code, Fault, FieldFault};
use crate::id::{CanonicalType, SchemaVersion};
use crate::json::{self, Json, JsonError};
use crate::limits::{EVENT_BYTES_MAX, EVENTS_PER_MESSAGE_MAX, FAULTS_LISTED_MAX, NOTES_PER_EVENT_MAX};
use crate::record::EventDetail;
use crate::schema::Schema;

/// What the events of a type speak of: whose row of canonical state they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// First part of the row's key.
    pub prefix: &'static str,
    /// What the other two are: [`VENDOR`], for what is a vendor's own, or members of `data`, which
    /// are texts.
    pub parts: [&'static str; 2],
}

/// The part of a key that is not in `data`: who sent the event.
pub const VENDOR: &str = "vendorId";

/// An article in a warehouse, whoever speaks of it.
pub const ARTICLE: Subject = Subject { prefix: "inventory", parts: ["warehouseId", "sku"] };
/// A vendor's order.
pub const ORDER: Subject = Subject { prefix: "order", parts: [VENDOR, "orderId"] };
/// A vendor's shipment.
pub const SHIPMENT: Subject = Subject { prefix: "shipment", parts: [VENDOR, "shipmentId"] };

/// Every subject.
pub const SUBJECTS: [Subject; 3] = [ARTICLE, ORDER, SHIPMENT];

/// What an event of a type does to its subject beside stating members, of which the latest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// Nothing: its members are as of a moment.
    Values,
    /// The subject begins.
    Placed,
    /// It changes.
    Updated,
    /// It ends.
    Cancelled,
}

/// A canonical type in one version: all that the house knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// E.g. `OrderPlaced`.
    pub name: &'static str,
    /// E.g. `1.0`.
    pub version: &'static str,
    /// What its events speak of.
    pub subject: Subject,
    /// What they do to it.
    pub statement: Statement,
}

macro_rules! types {
    ($($name:literal $version:literal $subject:ident $statement:ident;)+) => {
        /// Every canonical type.
        pub const KINDS: &[Kind] = &[
            $(Kind { name: $name, version: $version, subject: $subject, statement: Statement::$statement },)+
        ];

        /// Source text of every canonical schema, as `(type, version, JSON Schema of data)`.
        pub const SCHEMAS: &[(&str, &str, &str)] = &[
            $(($name, $version, include_str!(concat!("../../../schemas/canonical/", $name, "-", $version, ".schema.json"))),)+
        ];
    };
}

// A new type is a row here, its schema, and a route in `state-machines/topology.json`.
types! {
    "InventoryUpdated" "1.0" ARTICLE Values;
    "OrderCancelled" "1.0" ORDER Cancelled;
    "OrderPlaced" "1.0" ORDER Placed;
    "OrderUpdated" "1.0" ORDER Updated;
    "ShipmentNotified" "1.0" SHIPMENT Values;
}

/// What is known of a type, in whichever version: all of them have one subject and one statement.
pub fn kind(canonical_type: &CanonicalType) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == canonical_type.as_str())
}

static COMPILED: LazyLock<Vec<(&'static str, &'static str, Schema)>> = LazyLock::new(|| {
    SCHEMAS
        .iter()
        .map(|(name, version, text)| {
            let schema = Schema::compile(text.as_bytes())
                .unwrap_or_else(|error| unreachable!("{name} {version} is built in and tested: {error}"));
            (*name, *version, schema)
        })
        .collect()
});

/// The schema of a canonical type's `data`.
pub fn schema(canonical: &CanonicalRef) -> Option<&'static Schema> {
    COMPILED
        .iter()
        .find(|(name, version, _)| {
            *name == canonical.r#type.as_str() && *version == canonical.version.as_str()
        })
        .map(|(_, _, schema)| schema)
}

/// One canonical event, as a mapper gave it and the schema allows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CanonicalEvent {
    /// RFC 3339, as the mapper wrote it.
    pub occurred_at: String,
    /// Valid under the canonical schema.
    pub data: Value,
    /// What the message states and `data` has not, as the mapper noted it. Kept with the event; nothing is computed from them.
    pub notes: Vec<FieldFault>,
}

/// Why a message states nothing, in the mapper's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Stable, snake_case, at most [`CODE_CHARS_MAX`] characters.
    pub code: String,
    /// One sentence for a person, at most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

/// A mapper's output that may be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// What the message states; at least one event.
    Events(Vec<CanonicalEvent>),
    /// The message is understood, and states nothing.
    Nothing(Reason),
}

/// Judges a mapper's output: JSON with a canonical form, either an array of 1 to [`EVENTS_PER_MESSAGE_MAX`] events of the
/// contract's type and version, each valid under its schema, or `{"nothing": {"code", "message"}}`.
pub fn judge(output: &[u8], canonical: &CanonicalRef) -> Result<Judged, Fault> {
    let Some(schema) = schema(canonical) else {
        let known: Vec<_> = SCHEMAS.iter().map(|(name, version, _)| format!("{name} {version}")).collect();
        return Err(Fault::new(
            Code::CanonicalTypeUnknown,
            format!(
                "the contract maps to {} {}; known are {}",
                canonical.r#type,
                canonical.version,
                known.join(", ")
            ),
        ));
    };
    let document = json::parse(output).map_err(|error| {
        let code = match error {
            JsonError::Encoding { .. } => Code::OutputNotUtf8,
            JsonError::Syntax { .. } | JsonError::TooDeep => Code::OutputNotJson,
        };
        Fault::new(code, format!("the mapper's output is {error}"))
    })?;
    if let Some(pointer) = document.first_duplicate_key() {
        return Err(Fault::new(
            Code::OutputNotCanonical,
            format!("the mapper's output has the key at {pointer} twice"),
        ));
    }
    if let Some((pointer, token)) = inexact_number(&document) {
        return Err(Fault::new(
            Code::OutputNotCanonical,
            format!(
                "the number {token} at {pointer} is not exact as a double: write identifiers as strings and money in minor units"
            ),
        ));
    }
    if let Json::Object(_) = &document {
        return nothing(&document).map(Judged::Nothing);
    }
    let mut events = shape(&document, canonical)?;
    events.iter_mut().for_each(|event| compose(&mut event.data));
    let mut faults: Vec<FieldFault> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        for fault in schema.faults(&event.data) {
            faults.push(FieldFault { pointer: format!("/{index}/data{}", fault.pointer), ..fault });
        }
        if faults.len() >= FAULTS_LISTED_MAX {
            break;
        }
    }
    if let Some(first) = faults.first() {
        let message = format!(
            "the mapper's output does not satisfy {} {}: {} {} ({} in all)",
            canonical.r#type,
            canonical.version,
            first.pointer,
            first.message,
            count(faults.len(), "fault")
        );
        return Err(Fault::new(Code::CanonicalSchemaViolation, message).with_errors(faults));
    }
    Ok(Judged::Events(events))
}

/// Members of `data`, however deep, that identify something: they are written in Normalization Form C.
const IDENTIFIERS: [&str; 4] = ["orderId", "shipmentId", "sku", "warehouseId"];

fn compose(data: &mut Value) {
    match data {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if IDENTIFIERS.contains(&name.as_str()) => {
                        if let Cow::Owned(one) = composed(text.as_str().into()) {
                            *text = one;
                        }
                    }
                    value => compose(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(compose),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a vendor may state these events: none lies further ahead of the message's receipt than its contract allows, since what is
/// from the future holds until then, whatever others say; and of warehouses only those that the contract lists.
pub fn permit(events: &[CanonicalEvent], contract: &Contract, received_at: Timestamp) -> Result<(), Fault> {
    let ahead_seconds_max = contract.limits.occurred_at_ahead_seconds;
    for (index, event) in events.iter().enumerate() {
        let refuse = |code: Code, pointer: &str, message: String| {
            let pointer = format!("/{index}/{pointer}");
            let fault = FieldFault { pointer, code: code.as_str().into(), message: message.clone() };
            Err(Fault::new(code, format!("event {index}: {message}")).with_errors(vec![fault]))
        };
        let ahead_seconds = event
            .occurred_at
            .parse::<Timestamp>()
            .map_or(0, |at| at.as_second().saturating_sub(received_at.as_second()));
        if ahead_seconds > i64::from(ahead_seconds_max) {
            let message = format!(
                "occurredAt lies {ahead_seconds} s ahead of its receipt ({}); the contract allows {ahead_seconds_max} s: check the vendor's clock and time zone",
                crate::id::rfc3339(received_at)
            );
            return refuse(Code::OccurredAtAhead, "occurredAt", message);
        }
        let warehouse = event.data.get("warehouseId").and_then(Value::as_str);
        if let (Some(warehouse), false) = (warehouse, contract.warehouses.is_empty())
            && !contract.warehouses.iter().any(|own| composed(own.into()) == warehouse)
        {
            let message = format!(
                "{} may not speak of the warehouse {warehouse:?}; its contract lists {}",
                contract.vendor_id,
                contract.warehouses.join(", ")
            );
            return refuse(Code::WarehouseForeign, "data/warehouseId", message);
        }
    }
    Ok(())
}

/// The reason of an output that is no array. An empty array is refused, so that a mapper that finds no line by mistake is not
/// taken for one that says so.
fn nothing(document: &Json) -> Result<Reason, Fault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Output {
        nothing: Reason,
    }
    let refuse = |message: String| Err(Fault::new(Code::OutputShapeInvalid, message));
    let Output { nothing: Reason { code, message } } =
        serde_json::from_value(document.to_value()).map_err(|error| {
            Fault::new(
                Code::OutputShapeInvalid,
                format!(
                    "the mapper's output must be an array of events or {{\"nothing\": {{\"code\", \"message\"}}}}: {error}"
                ),
            )
        })?;
    if code.is_empty()
        || code.len() > CODE_CHARS_MAX
        || !code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    {
        return refuse(format!("/nothing/code must be 1 to {CODE_CHARS_MAX} characters of a-z, 0-9 and _"));
    }
    if message.trim().is_empty() || message.len() > MESSAGE_BYTES_MAX || message.chars().any(char::is_control)
    {
        return refuse(format!(
            "/nothing/message must be one sentence of at most {MESSAGE_BYTES_MAX} bytes, without control characters"
        ));
    }
    Ok(Reason { code, message })
}

fn shape(document: &Json, canonical: &CanonicalRef) -> Result<Vec<CanonicalEvent>, Fault> {
    let refuse = |message: String| Err(Fault::new(Code::OutputShapeInvalid, message));
    let Json::Array(items) = document else {
        return refuse(format!(
            "the mapper's output must be an array of events, or an object that says nothing is stated, not a JSON {}",
            document.type_name()
        ));
    };
    if items.is_empty() {
        return refuse("the mapper's output has no event".to_owned());
    }
    if items.len() > EVENTS_PER_MESSAGE_MAX {
        return Err(Fault::new(
            Code::EventsTooMany,
            format!(
                "the message comes to {} events; at most {EVENTS_PER_MESSAGE_MAX} are taken of one: send it in parts",
                items.len()
            ),
        ));
    }
    let mut events = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Json::Object(members) = item else {
            return refuse(format!("/{index} must be an object, not a JSON {}", item.type_name()));
        };
        if let Some(member) = members.iter().find(|member| {
            !matches!(member.key.as_str(), "eventType" | "schemaVersion" | "occurredAt" | "data" | "notes")
        }) {
            return refuse(format!(
                "/{index} has the member {:?}; an event has eventType, schemaVersion, occurredAt, data and perhaps notes",
                member.key
            ));
        }
        let text = |key: &str| match item.get(key).map(|member| &member.value) {
            Some(Json::String(text)) => Ok(text.as_str()),
            Some(other) => Err(Fault::new(
                Code::OutputShapeInvalid,
                format!("/{index}/{key} must be a string, not a JSON {}", other.type_name()),
            )),
            None => Err(Fault::new(Code::OutputShapeInvalid, format!("/{index}/{key} is missing"))),
        };
        for (key, expected) in
            [("eventType", canonical.r#type.as_str()), ("schemaVersion", canonical.version.as_str())]
        {
            let actual = text(key)?;
            if actual != expected {
                return refuse(format!("/{index}/{key} is {actual:?}, the contract says {expected:?}"));
            }
        }
        let occurred_at = text("occurredAt")?;
        if occurred_at.len() > 40 || occurred_at.parse::<Timestamp>().is_err() {
            return refuse(format!("/{index}/occurredAt must be RFC 3339 with an offset"));
        }
        let Some(data) = item.get("data") else { return refuse(format!("/{index}/data is missing")) };
        events.push(CanonicalEvent {
            occurred_at: occurred_at.to_owned(),
            data: data.value.to_value(),
            notes: item.get("notes").map_or(Ok(Vec::new()), |notes| self::notes(&notes.value, index))?,
        });
    }
    Ok(events)
}

/// The notes of an event, each of the form and within the bounds of a refusal.
fn notes(value: &Json, event: usize) -> Result<Vec<FieldFault>, Fault> {
    let refuse =
        |place: &str, why: &str| Fault::new(Code::OutputShapeInvalid, format!("/{event}/notes{place} {why}"));
    let Json::Array(items) = value else { return Err(refuse("", "must be an array")) };
    if items.len() > NOTES_PER_EVENT_MAX {
        return Err(refuse("", &format!("has more than {NOTES_PER_EVENT_MAX} notes")));
    }
    let mut notes = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let text = |member: &str, bytes_max: usize| match item.get(member).map(|member| &member.value) {
            Some(Json::String(text)) if text.len() <= bytes_max => Ok(text.clone()),
            _ => {
                Err(refuse(&format!("/{at}/{member}"), &format!("must be text of at most {bytes_max} bytes")))
            }
        };
        let code = text("code", CODE_CHARS_MAX)?;
        if code.is_empty() || !code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
            return Err(refuse(&format!("/{at}/code"), "must be snake_case"));
        }
        let (pointer, message) = (text("path", PATH_BYTES_MAX)?, text("message", MESSAGE_BYTES_MAX)?);
        notes.push(FieldFault { pointer, code, message });
    }
    Ok(notes)
}

/// The first number whose value a double does not give back.
fn inexact_number(document: &Json) -> Option<(String, String)> {
    fn walk(value: &Json, path: &mut String) -> Option<(String, String)> {
        let length = path.len();
        match value {
            Json::Number(token) if !json::is_exact_double(token) => {
                Some((path.clone(), token.chars().take(40).collect()))
            }
            Json::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                json::push_pointer(path, &index.to_string());
                let found = walk(item, path);
                path.truncate(length);
                found
            }),
            Json::Object(members) => members.iter().find_map(|member| {
                json::push_pointer(path, &member.key);
                let found = walk(&member.value, path);
                path.truncate(length);
                found
            }),
            _ => None,
        }
    }
    walk(document, &mut String::new())
}

/// The stored document (B2): one line per event, RFC 8785, none larger than [`EVENT_BYTES_MAX`].
pub fn document(
    events: &[CanonicalEvent],
    canonical: &CanonicalRef,
    detail: &EventDetail,
) -> Result<Vec<u8>, Fault> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'a> {
        ingest_id: String,
        vendor_id: &'a str,
        external_event_id: &'a str,
        event_type: &'a CanonicalType,
        schema_version: &'a SchemaVersion,
        occurred_at: &'a str,
        data: &'a Value,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        notes: &'a [FieldFault],
        raw_ref: &'a crate::id::ObjectRef,
    }
    let mut bytes = Vec::with_capacity(events.len() * 512);
    for (index, event) in events.iter().enumerate() {
        let start = bytes.len();
        let line = Line {
            ingest_id: detail.ingest_id.to_string(),
            vendor_id: detail.key.vendor_id.as_str(),
            external_event_id: detail.key.external_event_id.as_str(),
            event_type: &canonical.r#type,
            schema_version: &canonical.version,
            occurred_at: &event.occurred_at,
            data: &event.data,
            notes: &event.notes,
            raw_ref: &detail.raw_ref,
        };
        serde_json_canonicalizer::to_writer(&line, &mut bytes).map_err(|error| {
            Fault::new(Code::OutputNotCanonical, "the event has no canonical form").with_source(error)
        })?;
        let event_bytes = bytes.len() - start;
        if event_bytes > EVENT_BYTES_MAX {
            let message = format!(
                "event {index} has {event_bytes} bytes; at most {EVENT_BYTES_MAX} fit a row of canonical state: send fewer lines in it"
            );
            let lines = event.data.get("lines").and_then(Value::as_array).map_or(0, Vec::len);
            let fault = FieldFault {
                pointer: format!("/{index}/data/lines"),
                code: "too_large".into(),
                message: format!("its {} are too large for one event", count(lines, "line")),
            };
            return Err(Fault::new(Code::EventTooLarge, message).with_errors(vec![fault]));
        }
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// `1 fault`, `2 faults`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn inventory() -> CanonicalRef {
        CanonicalRef { r#type: "InventoryUpdated".parse().unwrap(), version: "1.0".parse().unwrap() }
    }

    fn code(output: &str) -> Code {
        judge(output.as_bytes(), &inventory()).unwrap_err().code
    }

    const GOOD: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-01T00:00:00Z","data":{"warehouseId":"ROA","sku":"ABC-001","quantityOnHand":12}}]"#;

    #[test]
    fn every_bad_output_has_its_code() {
        assert!(
            matches!(judge(GOOD.as_bytes(), &inventory()).unwrap(), Judged::Events(events) if events.len() == 1)
        );
        assert_eq!(code("garbage"), Code::OutputNotJson);
        assert_eq!(judge(b"\"\xff\"", &inventory()).unwrap_err().code, Code::OutputNotUtf8);
        for shape in [
            "[]",
            "{}",
            "[1]",
            "[{}]",
            &GOOD.replace("\"data\"", "\"more\""),
            &GOOD.replace("InventoryUpdated", "OrderPlaced"),
            &GOOD.replace("2026-01-01T00:00:00Z", "today"),
        ] {
            assert_eq!(code(shape), Code::OutputShapeInvalid, "{shape}");
        }
        assert_eq!(code(&GOOD.replace("\"sku\"", "\"sku\":\"x\",\"sku\"")), Code::OutputNotCanonical);
        assert_eq!(code(&GOOD.replace("12", "9007199254740993")), Code::OutputNotCanonical);
        assert_eq!(code(&GOOD.replace("12", "\"12\"")), Code::CanonicalSchemaViolation);
        let unknown = CanonicalRef { r#type: "Nothing".parse().unwrap(), ..inventory() };
        assert_eq!(judge(GOOD.as_bytes(), &unknown).unwrap_err().code, Code::CanonicalTypeUnknown);
    }

    #[test]
    fn notes_are_kept_with_their_event_and_bounded() {
        let noted = |notes: &str| GOOD.replace("}}]", &format!("}},\"notes\":{notes}}}]"));
        let good = noted(
            r#"[{"code":"currency_unknown","path":"/presentment_currency","message":"\"JEP\" is unknown"}]"#,
        );
        let Judged::Events(events) = judge(good.as_bytes(), &inventory()).unwrap() else { panic!("{good}") };
        assert_eq!((events[0].notes.len(), &*events[0].notes[0].pointer), (1, "/presentment_currency"));
        let detail: EventDetail = serde_json::from_value(serde_json::json!({
            "vendorId": "v", "externalEventId": "e", "ingestId": "01KF0Q4S8R6D1ZJ8W9T3C5V7XN", "eventType": "t",
            "schemaVersion": "1", "occurredAt": "2026-01-15T10:30:00Z", "receivedAt": "2026-01-15T10:30:00.500Z",
            "rawRef": {"bucket": "raw", "key": "k"}, "rawSha256": "1".repeat(64), "payloadSha256": "1".repeat(64)
        }))
        .unwrap();
        let bytes = document(&events, &inventory(), &detail).unwrap();
        let line: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(line["notes"][0]["code"], "currency_unknown");
        for bad in [
            "{}",
            "[1]",
            r#"[{"code":"Bad","path":"","message":""}]"#,
            r#"[{"code":"c","path":""}]"#,
            &format!(r#"[{{"code":"c","path":"","message":"{}"}}]"#, "x".repeat(MESSAGE_BYTES_MAX + 1)),
            &format!(
                "[{}]",
                vec![r#"{"code":"c","path":"","message":""}"#; NOTES_PER_EVENT_MAX + 1].join(",")
            ),
        ] {
            assert_eq!(code(&noted(bad)), Code::OutputShapeInvalid, "{bad}");
        }
    }

    #[test]
    fn a_mapper_may_say_that_nothing_is_stated_and_why() {
        let reason = Reason { code: "order_not_placed".into(), message: "a draft".into() };
        let said = judge(br#"{"nothing":{"code":"order_not_placed","message":"a draft"}}"#, &inventory());
        assert_eq!(said.unwrap(), Judged::Nothing(reason));
        let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
        for bad in [
            r#"{"nothing":null}"#,
            r#"{"nothing":{}}"#,
            r#"{"nothing":{"code":"a"}}"#,
            r#"{"nothing":{"code":"A b","message":"m"}}"#,
            r#"{"nothing":{"code":"","message":"m"}}"#,
            r#"{"nothing":{"code":"a","message":" "}}"#,
            r#"{"nothing":{"code":"a","message":"m\u0007"}}"#,
            r#"{"nothing":{"code":"a","message":7}}"#,
            r#"{"nothing":{"code":"a","message":"m","path":""}}"#,
            r#"{"nothing":{"code":"a","message":"m"},"events":[]}"#,
            r#"[{"nothing":{"code":"a","message":"m"}}]"#,
            &format!(r#"{{"nothing":{{"code":"a","message":"{long}"}}}}"#),
        ] {
            assert_eq!(code(bad), Code::OutputShapeInvalid, "{bad}");
        }
        assert_eq!(code(r#"{"nothing":{"code":"a","code":"b","message":"m"}}"#), Code::OutputNotCanonical);
    }

    #[test]
    fn every_canonical_schema_compiles() {
        assert_eq!(COMPILED.len(), SCHEMAS.len());
    }

    #[test]
    fn every_type_requires_what_identifies_its_subject() {
        for (known, (_, _, text)) in KINDS.iter().zip(SCHEMAS) {
            let schema: Value = serde_json::from_str(text).unwrap();
            let required: Vec<&str> =
                schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            for part in known.subject.parts.iter().filter(|part| **part != VENDOR) {
                assert!(required.contains(part), "{} requires {part}", known.name);
            }
            assert!(SUBJECTS.contains(&known.subject), "{}", known.name);
            let of_name = kind(&known.name.parse().unwrap()).unwrap();
            assert_eq!((of_name.subject, of_name.statement), (known.subject, known.statement));
        }
    }
}

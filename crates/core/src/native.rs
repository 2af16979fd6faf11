//! A vendor's own message: its id, its kind and its time, from where the contract says they are.
//!
//! Nothing is judged here that the mapper or the schema could judge: what cannot be found is a fault, the rest of the message is not looked
//! at. Numbers are taken by their digits, never through a float.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use sluice_formats::date::Order;
use sluice_formats::{Refusal, x12};

use crate::Code;
use crate::canonical::count;
use crate::contract::{Contract, Expectation, Format, Identity, NativeEnvelope, Place, Source};
use crate::digest::Sha256Hex;
use crate::envelope::{HALF_SURROGATE, in_future, payload_digest};
use crate::fault::FieldFault;
use crate::id::{EventType, ExternalEventId};
use crate::intake::Request;
use crate::json::{self, Json, JsonError};
use crate::limits::{EXTERNAL_EVENT_ID_CHARS_MAX, QUOTED_CHARS_MAX};
use crate::record::Hold;
use crate::text::Zone;

/// A body, read as far as its format allows.
#[derive(Debug, Clone)]
pub enum Document<'a> {
    /// RFC 8259.
    Json(Json),
    /// The separators are known.
    X12(x12::Head<'a>, &'a [u8]),
    /// Not read.
    Csv(&'a [u8]),
    /// Not of its format.
    Unread(&'a [u8]),
}

/// Why a body is not of its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON that we read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not an interchange.
    #[error("not an X12 interchange: {}", .0.message())]
    X12(Refusal),
    /// Nothing at all.
    #[error("empty")]
    Empty,
}

impl<'a> Document<'a> {
    /// Reads a body, after inflating.
    pub fn parse(format: Format, body: &'a [u8]) -> Result<Self, Unreadable> {
        if body.is_empty() {
            return Err(Unreadable::Empty);
        }
        Ok(match format {
            Format::Json => Self::Json(json::parse(body)?),
            Format::X12 => Self::X12(x12::Head::open(body).map_err(Unreadable::X12)?, body),
            Format::Csv => Self::Csv(body),
        })
    }

    /// SHA-256 of the canonical form; of what has none, of the bytes.
    fn canonical_digest(&self) -> Sha256Hex {
        match self {
            Self::Json(json) => json.canonical_digest(),
            Self::X12(_, bytes) | Self::Csv(bytes) | Self::Unread(bytes) => Sha256Hex::of(bytes),
        }
    }
}

/// What acceptance needs to know of a native message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// What makes it one event; `None` if it lacks that.
    pub external_event_id: Option<ExternalEventId>,
    /// UTC; `None` if it lacks that.
    pub occurred_at: Option<Timestamp>,
    /// As [`crate::envelope::Envelope::payload_sha256`], with the whole message for a payload.
    pub payload_sha256: Sha256Hex,
    /// SHA-256 of the canonical form of the message alone, whatever its event type.
    pub message_sha256: Sha256Hex,
    /// The sender's id of the delivery.
    pub delivery_id: Option<String>,
    /// What is missing, or cannot be read.
    faults: Vec<FieldFault>,
    /// How the body contradicts the event type that the message names.
    contradictions: Vec<FieldFault>,
}

/// The code of a fault that says that a body is not of the event type that the message names.
pub const CONTRADICTS: &str = "contradicts_event_type";

impl Native {
    /// Takes the message's facts from where the contract says they are; every fault at once. `now` is the moment of acceptance.
    pub fn read(
        contract: &Contract,
        envelope: &NativeEnvelope,
        request: &Request,
        document: &Document<'_>,
        now: Timestamp,
    ) -> Self {
        let message_sha256 = document.canonical_digest();
        let mut faults = Vec::new();
        let external_event_id =
            match identity(&envelope.external_event_id, request, document, &message_sha256) {
                Ok(id) => Some(id),
                Err(missing) => {
                    faults.extend(missing);
                    None
                }
            };
        let occurred_at = occurred_at(&envelope.occurred_at, contract.text.dates, request, document, now)
            .map_err(|fault| faults.push(fault))
            .ok();
        Self {
            external_event_id,
            occurred_at,
            payload_sha256: payload_digest(&contract.event_type, None, &message_sha256),
            message_sha256,
            delivery_id: delivery_id(envelope, request, document),
            faults,
            contradictions: contradictions(contract, envelope, document),
        }
    }

    /// Why it cannot be taken as it is; `None` if it can.
    pub fn refusal(&self) -> Option<Hold> {
        let errors: Vec<FieldFault> = self.contradictions.iter().chain(&self.faults).cloned().collect();
        let code = match (self.contradictions.is_empty(), self.faults.is_empty()) {
            (true, true) => return None,
            (false, _) => Code::EventTypeContradicted,
            (true, false) => Code::MessageIncomplete,
        };
        let message = format!("the message has {}", count(errors.len(), "fault"));
        Some(Hold { code, message, errors, claims: None, accepted: None })
    }
}

/// What is known of a message that no contract covers: what the contracts of the same sender say of theirs, where they agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// As the message says, [`EventType::unknown`] if it does not.
    pub event_type: EventType,
    /// UTC; `None` if it cannot be told.
    pub occurred_at: Option<Timestamp>,
    /// As [`Native::payload_sha256`]. The message is its own identity, with its event type.
    pub payload_sha256: Sha256Hex,
    /// As [`Native::message_sha256`].
    pub message_sha256: Sha256Hex,
}

impl Uncovered {
    /// Of a body that each of `siblings`, contracts of the sender, reads as the document beside it.
    pub fn read(
        siblings: &[(&Contract, &NativeEnvelope, Document<'_>)],
        request: &Request,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        let types = siblings.iter().filter_map(|(_, envelope, document)| {
            event_type(&envelope.event_type, request, document).ok()?.parse::<EventType>().ok()
        });
        let times = siblings.iter().filter_map(|(contract, envelope, document)| {
            occurred_at(&envelope.occurred_at, contract.text.dates, request, document, now).ok()
        });
        let event_type = agreed(types).unwrap_or_else(EventType::unknown);
        let read = siblings.iter().find(|(_, _, document)| !matches!(document, Document::Unread(_)));
        let message_sha256 =
            read.map_or_else(|| Sha256Hex::of(body), |(_, _, document)| document.canonical_digest());
        Self {
            occurred_at: agreed(times),
            payload_sha256: payload_digest(&event_type, None, &message_sha256),
            message_sha256,
            event_type,
        }
    }
}

/// What all say.
fn agreed<T: PartialEq>(mut said: impl Iterator<Item = T>) -> Option<T> {
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

/// What makes this message the event that it is, from where the contract says. The event type is no part of it: a message that is
/// sent again under another type is the same message.
fn identity(
    identity: &Identity,
    request: &Request,
    document: &Document<'_>,
    message: &Sha256Hex,
) -> Result<ExternalEventId, Vec<FieldFault>> {
    if let [source] = identity.sources() {
        return match &source.place {
            Place::Digest => Ok(ExternalEventId::of_digest(message)),
            Place::DigestOf(pointers) => {
                digest_of(pointers, document).map(|it| ExternalEventId::of_digest(&it))
            }
            place => text(place, request, document, "externalEventId")
                .and_then(|text| {
                    ExternalEventId::from_vendor(&text).map_err(|error| {
                        fault(place, "invalid", format!("cannot be an externalEventId: {error}"))
                    })
                })
                .map_err(|fault| vec![fault]),
        };
    }
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    for Source { place, .. } in identity.sources() {
        let part = match place {
            Place::Digest => Ok(message.to_string()),
            Place::DigestOf(pointers) => digest_of(pointers, document).map(String::from),
            place => text(place, request, document, "externalEventId")
                .and_then(|text| match text.is_empty() {
                    true => Err(fault(place, "invalid", "is empty, and is part of the identity".into())),
                    false => Ok(text.into_owned()),
                })
                .map_err(|fault| vec![fault]),
        };
        match part {
            Ok(part) => parts.push(part),
            Err(missing) => faults.extend(missing),
        }
    }
    if faults.is_empty() { Ok(ExternalEventId::of_parts(&parts)) } else { Err(faults) }
}

/// The digest of what stands at these places, each with its pointer.
fn digest_of(pointers: &[String], document: &Document<'_>) -> Result<Sha256Hex, Vec<FieldFault>> {
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    for pointer in pointers {
        let value = match document {
            Document::Json(json) => json.pointer(pointer),
            Document::X12(..) | Document::Csv(_) | Document::Unread(_) => None,
        };
        match value {
            Some(value) => parts.extend([pointer.clone(), value.canonical_digest().into()]),
            None => faults.push(FieldFault {
                pointer: pointer.clone(),
                code: "required".into(),
                message: "is missing: it is part of the externalEventId of this vendor's messages".into(),
            }),
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    if faults.is_empty() { Ok(Sha256Hex::of_parts(&parts)) } else { Err(faults) }
}

/// The sender's id of the delivery, cut to what a row and a log line hold; nothing is refused for want of it.
fn delivery_id(envelope: &NativeEnvelope, request: &Request, document: &Document<'_>) -> Option<String> {
    let place = &envelope.delivery_id.as_ref()?.place;
    let text = text(place, request, document, "deliveryId").ok()?;
    let clean: String = text.chars().filter(|c| !c.is_control()).take(EXTERNAL_EVENT_ID_CHARS_MAX).collect();
    (!clean.is_empty()).then_some(clean)
}

/// How the body contradicts the event type that the message names; empty if it does not.
fn contradictions(
    contract: &Contract,
    envelope: &NativeEnvelope,
    document: &Document<'_>,
) -> Vec<FieldFault> {
    let Document::Json(json) = document else { return Vec::new() };
    let contradiction = |expectation: &Expectation| {
        expectation.contradicted_by(json).map(|what| FieldFault {
            pointer: expectation.pointer.clone(),
            code: CONTRADICTS.into(),
            message: format!("{what}, so this is not the body of an event of type {}", contract.event_type),
        })
    };
    envelope.expect.iter().filter_map(contradiction).collect()
}

impl Expectation {
    /// What is wrong, if it is.
    fn contradicted_by(&self, body: &Json) -> Option<String> {
        let stated = |pointer: &str| body.pointer(pointer).filter(|value| **value != Json::Null);
        let Some(value) = stated(&self.pointer) else {
            return (self.present == Some(true)).then(|| "is not stated".to_owned());
        };
        if self.present == Some(false) {
            return Some("is stated".to_owned());
        }
        let said = scalar(value);
        let shown = || match said {
            Some(said) => format!("is {:?}", said.chars().take(QUOTED_CHARS_MAX).collect::<String>()),
            None => format!("is a JSON {}", value.type_name()),
        };
        let is_one_of = |texts: &[String]| said.is_some_and(|said| texts.iter().any(|text| text == said));
        if !self.one_of.is_empty() && !is_one_of(&self.one_of) {
            return Some(format!("{}, not one of {}", shown(), self.one_of.join(", ")));
        }
        if let Some(start) = &self.starts_with
            && !said.is_some_and(|said| said.starts_with(start.as_str()))
        {
            return Some(format!("{} and does not start with {start:?}", shown()));
        }
        if let Some(near) = &self.near
            && let Some(other) = stated(&near.pointer)
        {
            let at = |value: &Json| scalar(value).and_then(|text| time(text, Some(&Zone::utc()), None));
            let apart = at(value).zip(at(other)).map(|(at, other)| at.duration_since(other).unsigned_abs());
            if apart.is_none_or(|apart| apart.as_secs() > u64::from(near.seconds)) {
                return Some(format!("{}, not within {} s of {}", shown(), near.seconds, near.pointer));
            }
        }
        let other = self.differs_from.as_ref().filter(|other| stated(other) == Some(value))?;
        Some(format!("{}, the same as {other}", shown()))
    }
}

/// A text, a number by its digits, or a truth value.
fn scalar(value: &Json) -> Option<&str> {
    match value {
        Json::String(text) | Json::Number(text) => Some(text),
        Json::Bool(true) => Some("true"),
        Json::Bool(false) => Some("false"),
        Json::Broken(_) | Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// What the message says its kind is, by this contract's reading.
pub fn event_type<'d>(
    source: &'d Source,
    request: &'d Request,
    document: &'d Document<'_>,
) -> Result<Cow<'d, str>, FieldFault> {
    text(&source.place, request, document, "eventType")
}

/// A place in words.
pub fn describe(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("the header {name}"),
        Place::Pointer(pointer) => pointer.clone(),
        Place::X12(first, None) => format!("the element {first}"),
        Place::X12(first, Some(second)) => format!("the elements {first} and {second}"),
        Place::Constant(text) => format!("the contract ({text})"),
        Place::Digest => "the digest of the message".to_owned(),
        Place::DigestOf(pointers) => format!("the digest of {}", pointers.join(", ")),
        Place::Received => "the moment of acceptance".to_owned(),
    }
}

fn fault(place: &Place, code: &str, message: String) -> FieldFault {
    let (pointer, message) = match place {
        Place::Pointer(pointer) => (pointer.clone(), message),
        elsewhere => (String::new(), format!("{} {message}", describe(elsewhere))),
    };
    FieldFault { pointer, code: code.to_owned(), message }
}

/// The text at a place that has one.
fn text<'d>(
    place: &'d Place,
    request: &'d Request,
    document: &'d Document<'_>,
    field: &str,
) -> Result<Cow<'d, str>, FieldFault> {
    let missing =
        || fault(place, "required", format!("is missing: it is the {field} of this vendor's messages"));
    match (place, document) {
        (Place::Header(name), _) => {
            let value = request.header(name).map(str::trim).filter(|value| !value.is_empty());
            let value = value.ok_or_else(missing)?;
            // Bytes that are no UTF-8 became this: two values could be one.
            if value.contains('\u{FFFD}') {
                return Err(fault(place, "invalid", "has bytes that are not UTF-8".to_owned()));
            }
            Ok(Cow::Borrowed(value))
        }
        (Place::Pointer(pointer), Document::Json(json)) => match json.pointer(pointer) {
            None | Some(Json::Null) => Err(missing()),
            Some(Json::String(text) | Json::Number(text)) => Ok(Cow::Borrowed(text)),
            Some(Json::Broken(_)) => Err(fault(place, "half_surrogate", HALF_SURROGATE.to_owned())),
            Some(other) => Err(fault(
                place,
                "type",
                format!("must be a string or a number, not a JSON {}", other.type_name()),
            )),
        },
        (Place::X12(first, second), Document::X12(head, _)) => {
            let first = head.get(first).ok_or_else(missing)?;
            match second {
                None => Ok(first),
                Some(second) => Ok(Cow::Owned(format!("{first} {}", head.get(second).ok_or_else(missing)?))),
            }
        }
        (Place::Constant(text), _) => Ok(Cow::Borrowed(text)),
        // `Contract::check` lets no contract through that asks for these.
        (Place::Pointer(_) | Place::X12(..) | Place::Digest | Place::DigestOf(_) | Place::Received, _) => {
            Err(missing())
        }
    }
}

fn occurred_at(
    source: &Source,
    dates: Option<Order>,
    request: &Request,
    document: &Document<'_>,
    now: Timestamp,
) -> Result<Timestamp, FieldFault> {
    let place = &source.place;
    if *place == Place::Received {
        return Ok(now);
    }
    let text = text(place, request, document, "occurredAt")?;
    let read = match place {
        Place::X12(..) => x12_time(&text, source.zone.as_ref()),
        _ => time(&text, source.zone.as_ref(), dates),
    };
    let Some(at) = read else {
        let shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        let expected = match (place, &source.zone) {
            (Place::X12(..), _) => {
                "a date CCYYMMDD or YYMMDD, with a time of day HHMM if there are two elements"
            }
            (_, Some(_)) => {
                "RFC 3339, with or without an offset, a date and a time of day in the order that [text] dates declares, or seconds or milliseconds since 1970"
            }
            (_, None) => "RFC 3339 with an offset, or seconds or milliseconds since 1970",
        };
        return Err(fault(
            place,
            "format",
            format!("is {shown:?}, which is not a time: expected {expected}"),
        ));
    };
    match in_future("", at, now) {
        Some(ahead) => Err(fault(place, "in_future", ahead.message)),
        None => Ok(at),
    }
}

/// RFC 3339; without an offset, and with its date in the order `dates`, if there is a zone; ten digits of seconds, thirteen of
/// milliseconds.
fn time(text: &str, zone: Option<&Zone>, dates: Option<Order>) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse::<i64>().ok()?;
        return match text.len() {
            10 => Timestamp::from_second(number).ok(),
            13 => Timestamp::from_millisecond(number).ok(),
            _ => None,
        };
    }
    text.parse::<Timestamp>().ok().or_else(|| zone?.instant(text, dates))
}

/// `CCYYMMDD` or `YYMMDD` (of this century), and `HHMM`, `HHMMSS` or with decimals of a second (X12 data elements 373 and 337), in UTC
/// unless there is a zone.
fn x12_time(text: &str, zone: Option<&Zone>) -> Option<Timestamp> {
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b' ') {
        return None;
    }
    let (date, time) = text.split_once(' ').unwrap_or((text, "0000"));
    let number = |text: &str| text.parse::<i16>().ok();
    let small = |text: &str| text.parse::<i8>().ok();
    let (year, month_day) = match date.len() {
        8 => (number(&date[..4])?, &date[4..]),
        6 => (2_000 + number(&date[..2])?, &date[2..]),
        _ => return None,
    };
    let date = Date::new(year, small(&month_day[..2])?, small(&month_day[2..])?).ok()?;
    let seconds = match time.len() {
        4 => 0,
        6..=8 => small(&time[4..6])?,
        _ => return None,
    };
    let time = Time::new(small(&time[..2])?, small(&time[2..4])?, seconds, 0).ok()?;
    let civil: DateTime = date.to_datetime(time);
    match zone {
        Some(zone) => zone.of_civil(civil),
        None => civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_as_vendors_write_them() {
        for (text, utc, expected) in [
            ("2026-01-10T14:03:22-05:00", false, Some("2026-01-10T19:03:22Z")),
            ("2022-07-13T20:30:59.037339943Z", false, Some("2022-07-13T20:30:59.037339943Z")),
            ("2026-01-10T14:03:22", false, None),
            ("2026-01-10T14:03:22", true, Some("2026-01-10T14:03:22Z")),
            ("2026-01-10 14:03:22", true, Some("2026-01-10T14:03:22Z")),
            ("2026-02-30T00:00:00Z", false, None),
            ("1768053802", false, Some("2026-01-10T14:03:22Z")),
            ("1768053802500", false, Some("2026-01-10T14:03:22.5Z")),
            ("20260110", true, None),
            ("17680538025", false, None),
            ("-1768053802", false, None),
            ("", true, None),
            ("yesterday", true, None),
        ] {
            let zone = Zone::try_from("utc".to_owned()).ok().filter(|_| utc);
            assert_eq!(
                time(text, zone.as_ref(), None).map(|at| at.to_string()).as_deref(),
                expected,
                "{text:?} {utc}"
            );
        }
        for (text, expected) in [
            ("20260115", Some("2026-01-15T00:00:00Z")),
            ("260115", Some("2026-01-15T00:00:00Z")),
            ("260115 1030", Some("2026-01-15T10:30:00Z")),
            ("20260115 103059", Some("2026-01-15T10:30:59Z")),
            ("20260115 10305999", Some("2026-01-15T10:30:59Z")),
            ("20260230", None),
            ("20260115 2460", None),
            ("20260115 10", None),
            ("2026-01-15", None),
            ("２６０１１５", None),
            ("", None),
        ] {
            assert_eq!(x12_time(text, None).map(|at| at.to_string()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_body_shows_what_is_expected_or_contradicts() {
        let body = json::parse(
            br#"{"id":7,"gid":"gid://shop/Order/7","open":true,"none":null,"created":"2026-01-10T14:03:22-05:00",
            "updated":"2026-01-10T19:04:22Z","lines":[],"same":7.0}"#,
        )
        .unwrap();
        for (expectation, contradiction) in [
            (r#"{"pointer":"/id","present":true}"#, None),
            (r#"{"pointer":"/none","present":true}"#, Some("is not stated")),
            (r#"{"pointer":"/absent","present":true}"#, Some("is not stated")),
            (r#"{"pointer":"/none","present":false}"#, None),
            (r#"{"pointer":"/lines","present":false}"#, Some("is stated")),
            (r#"{"pointer":"/id","oneOf":["6","7"]}"#, None),
            (r#"{"pointer":"/id","oneOf":["8"]}"#, Some(r#"is "7", not one of 8"#)),
            (r#"{"pointer":"/open","oneOf":["false"]}"#, Some(r#"is "true", not one of false"#)),
            (r#"{"pointer":"/lines","oneOf":["8"]}"#, Some("is a JSON array, not one of 8")),
            (r#"{"pointer":"/absent","oneOf":["8"]}"#, None),
            (r#"{"pointer":"/gid","startsWith":"gid://shop/Order/"}"#, None),
            (
                r#"{"pointer":"/gid","startsWith":"gid://shop/Refund/"}"#,
                Some(r#"is "gid://shop/Order/7" and does not start with "gid://shop/Refund/""#),
            ),
            (r#"{"pointer":"/created","differsFrom":"/updated"}"#, None),
            (r#"{"pointer":"/id","differsFrom":"/id"}"#, Some(r#"is "7", the same as /id"#)),
            (r#"{"pointer":"/updated","near":{"pointer":"/created","seconds":60}}"#, None),
            (
                r#"{"pointer":"/updated","near":{"pointer":"/created","seconds":59}}"#,
                Some(r#"is "2026-01-10T19:04:22Z", not within 59 s of /created"#),
            ),
            (r#"{"pointer":"/updated","near":{"pointer":"/absent","seconds":0}}"#, None),
            (
                r#"{"pointer":"/id","near":{"pointer":"/created","seconds":4294967295}}"#,
                Some(r#"is "7", not within 4294967295 s of /created"#),
            ),
        ] {
            let read: Expectation = serde_json::from_str(expectation).unwrap();
            assert_eq!(read.contradicted_by(&body).as_deref(), contradiction, "{expectation}");
        }
    }

    #[test]
    fn local_times_are_read_in_their_zone() {
        let zone = Zone::try_from("Europe/Berlin".to_owned()).ok();
        for (text, expected) in [
            ("15.07.2026 12:00", Some("2026-07-15T10:00:00Z")),
            ("2026-01-15T12:00:00", Some("2026-01-15T11:00:00Z")),
            // What has an offset needs no zone.
            ("2026-01-15T12:00:00-05:00", Some("2026-01-15T17:00:00Z")),
            ("07/15/2026 12:00", None),
        ] {
            let at = time(text, zone.as_ref(), Some(Order::Dmy)).map(|at| at.to_string());
            assert_eq!(at.as_deref(), expected, "{text}");
        }
        let at = x12_time("20260715 1200", zone.as_ref()).map(|at| at.to_string());
        assert_eq!(at.as_deref(), Some("2026-07-15T10:00:00Z"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"[0-9 T:Z+.é-]{0,24}") {
            let zone = Zone::try_from("Europe/Berlin".to_owned()).ok();
            let _ = (time(&text, zone.as_ref(), Some(Order::Dmy)), x12_time(&text, zone.as_ref()));
        }
    }
}

//! A vendor's own message: its id, its kind and its time, from where the contract says they are.
//!
//! Nothing is judged here that the mapper or the schema could judge: what cannot be found is a fault, the rest of the message is not looked
//! at. Numbers are taken by their digits, never through a float.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use sluice_formats::{Refusal, x12};

use crate::contract::{Contract, Format, NativeEnvelope, Place, Source};
use crate::digest::Sha256Hex;
use crate::envelope::{in_future, payload_digest};
use crate::fault::FieldFault;
use crate::id::ExternalEventId;
use crate::intake::Request;
use crate::json::{self, Json, JsonError};
use crate::limits::QUOTED_CHARS_MAX;

/// A body, read as far as its format allows.
#[derive(Debug, Clone)]
pub enum Document<'a> {
    /// RFC 8259.
    Json(Json),
    /// The separators are known.
    X12(x12::Head<'a>, &'a [u8]),
    /// Not read.
    Csv(&'a [u8]),
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
            Self::X12(_, bytes) | Self::Csv(bytes) => Sha256Hex::of(bytes),
        }
    }
}

/// What acceptance needs to know of a native message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// The vendor's id of the event, or the digest of the message.
    pub external_event_id: ExternalEventId,
    /// UTC.
    pub occurred_at: Timestamp,
    /// As [`crate::envelope::Envelope::payload_sha256`], with the whole message for a payload.
    pub payload_sha256: Sha256Hex,
}

impl Native {
    /// Takes the message's facts from where the contract says they are; every fault at once. `now` is the moment of acceptance.
    pub fn judge(
        contract: &Contract,
        envelope: &NativeEnvelope,
        request: &Request,
        document: &Document<'_>,
        now: Timestamp,
    ) -> Result<Self, Vec<FieldFault>> {
        let payload_sha256 = payload_digest(&contract.event_type, None, &document.canonical_digest());
        let external_event_id = match &envelope.external_event_id.place {
            Place::Digest => Ok(ExternalEventId::of_digest(&payload_sha256)),
            place => text(place, request, document, "externalEventId").and_then(|text| {
                ExternalEventId::from_vendor(&text).map_err(|error| {
                    fault(place, "invalid", format!("cannot be an externalEventId: {error}"))
                })
            }),
        };
        let occurred_at = occurred_at(&envelope.occurred_at, request, document, now);
        match (external_event_id, occurred_at) {
            (Ok(external_event_id), Ok(occurred_at)) => {
                Ok(Self { external_event_id, occurred_at, payload_sha256 })
            }
            (id, at) => Err(id.err().into_iter().chain(at.err()).collect()),
        }
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
            value.map(Cow::Borrowed).ok_or_else(missing)
        }
        (Place::Pointer(pointer), Document::Json(json)) => match json.pointer(pointer) {
            None | Some(Json::Null) => Err(missing()),
            Some(Json::String(text) | Json::Number(text)) => Ok(Cow::Borrowed(text)),
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
        (Place::Pointer(_) | Place::X12(..) | Place::Digest | Place::Received, _) => Err(missing()),
    }
}

fn occurred_at(
    source: &Source,
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
        Place::X12(..) => x12_time(&text),
        _ => time(&text, source.zone.is_some()),
    };
    let Some(at) = read else {
        let shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        let expected = match (place, source.zone) {
            (Place::X12(..), _) => {
                "a date CCYYMMDD or YYMMDD, with a time of day HHMM if there are two elements"
            }
            (_, Some(_)) => "RFC 3339, with or without an offset, or seconds or milliseconds since 1970",
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

/// RFC 3339; without an offset if `utc` says what that means; ten digits of seconds, thirteen of milliseconds.
fn time(text: &str, utc: bool) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse::<i64>().ok()?;
        return match text.len() {
            10 => Timestamp::from_second(number).ok(),
            13 => Timestamp::from_millisecond(number).ok(),
            _ => None,
        };
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil = utc.then(|| text.parse::<DateTime>().ok()).flatten()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// `CCYYMMDD` or `YYMMDD` (of this century), and `HHMM`, `HHMMSS` or with decimals of a second (X12 data elements 373 and 337), in UTC.
fn x12_time(text: &str) -> Option<Timestamp> {
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
    date.to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
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
            assert_eq!(time(text, utc).map(|at| at.to_string()).as_deref(), expected, "{text:?} {utc}");
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
            assert_eq!(x12_time(text).map(|at| at.to_string()).as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"[0-9 T:Z+.é-]{0,24}") {
            let _ = (time(&text, true), x12_time(&text));
        }
    }
}

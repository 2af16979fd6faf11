//! The envelope of `POST /v1/events`: judged completely, with every fault at once.
//!
//! The schema is `schemas/envelope.schema.json`, the same file that the OpenAPI document refers to. The payload is not
//! judged here beyond being an object of bounded depth: that is the contract's business, after acceptance.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::digest::Sha256Hex;
use crate::fault::FieldFault;
use crate::id::{EventType, ExternalEventId, SchemaVersion, VendorId, rfc3339};
use crate::json::{self, Json, JsonError};
use crate::limits::OCCURRED_AT_AHEAD_SECONDS_MAX;
use crate::schema::Schema;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::compile(include_bytes!("../../../schemas/envelope.schema.json"))
        .unwrap_or_else(|error| unreachable!("the envelope's schema is built in and tested: {error}"))
});

/// A valid envelope. `payload` borrows the exact bytes as sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<'a> {
    /// As claimed; whether the key may speak for it is the caller's question.
    pub vendor_id: VendorId,
    /// Unescaped.
    pub external_event_id: ExternalEventId,
    /// Unescaped.
    pub event_type: EventType,
    /// `None`: the contract's default.
    pub schema_version: Option<SchemaVersion>,
    /// UTC.
    pub occurred_at: Timestamp,
    /// The payload's bytes, exactly as sent.
    pub payload: &'a [u8],
    /// Digest of event type, version and canonical payload: what tells a resubmission from a conflict. `occurredAt` is left
    /// out, because vendors that retry stamp each try anew.
    pub payload_sha256: Sha256Hex,
}

/// Why a body is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Not JSON that we read.
    NotJson(JsonError),
    /// JSON, but not an envelope. Every fault.
    Faults(Vec<FieldFault>),
}

impl<'a> Envelope<'a> {
    /// Reads and judges a body. `now` bounds how far ahead `occurredAt` may lie.
    pub fn parse(body: &'a [u8], now: Timestamp) -> Result<Self, Refusal> {
        let document = json::parse(body).map_err(Refusal::NotJson)?;
        let Json::Object(members) = &document else {
            return Err(Refusal::Faults(vec![FieldFault {
                pointer: String::new(),
                code: "type".into(),
                message: format!("the body must be a JSON object, not a JSON {}", document.type_name()),
            }]));
        };
        let mut faults: Vec<FieldFault> = document
            .duplicate_keys()
            .into_iter()
            .map(|key| {
                let mut pointer = String::new();
                json::push_pointer(&mut pointer, key);
                FieldFault {
                    pointer,
                    code: "duplicate_key".into(),
                    message: format!(
                        "{key:?} appears more than once in the envelope, so it is not clear which one holds"
                    ),
                }
            })
            .collect();

        let shallow: Map<String, Value> = members
            .iter()
            .map(|member| {
                let value = match &member.value {
                    // Only its type matters here, and it may be large.
                    Json::Object(_) => Value::Object(Map::new()),
                    Json::Array(_) => Value::Array(Vec::new()),
                    other => other.to_value(),
                };
                (member.key.clone(), value)
            })
            .collect();
        faults.extend(SCHEMA.faults(&Value::Object(shallow)).into_iter().map(reworded));

        for key in ["vendorId", "externalEventId", "eventType", "schemaVersion", "occurredAt"] {
            if let Some(Json::Broken(_)) = document.get(key).map(|member| &member.value) {
                faults.push(FieldFault {
                    pointer: format!("/{key}"),
                    code: "half_surrogate".into(),
                    message: HALF_SURROGATE.into(),
                });
            }
        }
        let text = |key: &str| text(&document, key);
        let occurred_at = text("occurredAt").and_then(|text| text.parse::<Timestamp>().ok());
        if let Some(at) = occurred_at {
            faults.extend(in_future("/occurredAt", at, now));
        } else if text("occurredAt").is_some() && !faults.iter().any(|fault| fault.pointer == "/occurredAt") {
            faults.push(FieldFault {
                pointer: "/occurredAt".into(),
                code: "format".into(),
                message: "is not a date and time that exists, in RFC 3339 with an offset".into(),
            });
        }
        let external_event_id = text("externalEventId").map(ExternalEventId::from_vendor);
        if let Some(Err(error)) = external_event_id
            && !faults.iter().any(|fault| fault.pointer == "/externalEventId")
        {
            faults.push(FieldFault {
                pointer: "/externalEventId".into(),
                code: "reserved".into(),
                message: error.to_string(),
            });
        }
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults));
        }

        // The schema and the identifier types say the same; should they ever part, that is a refusal, not a panic.
        Self::of(&document, body).ok_or_else(|| {
            Refusal::Faults(vec![FieldFault {
                pointer: String::new(),
                code: "invalid".into(),
                message: "the envelope has a member that cannot be an identifier".into(),
            }])
        })
    }

    /// Reads what was judged before it was written: a raw object. `None` for what is no envelope.
    pub fn of_accepted(body: &'a [u8]) -> Option<Self> {
        Self::of(&json::parse(body).ok()?, body)
    }

    fn of(document: &Json, body: &'a [u8]) -> Option<Self> {
        let text = |key: &str| text(document, key);
        let payload = document.get("payload")?;
        let event_type: EventType = text("eventType")?.parse().ok()?;
        let schema_version = match text("schemaVersion") {
            Some(version) => Some(version.parse::<SchemaVersion>().ok()?),
            None => None,
        };
        let payload_sha256 =
            payload_digest(&event_type, schema_version.as_ref(), &payload.value.canonical_digest());
        Some(Self {
            vendor_id: text("vendorId")?.parse().ok()?,
            external_event_id: ExternalEventId::from_vendor(text("externalEventId")?).ok()?,
            event_type,
            schema_version,
            occurred_at: text("occurredAt")?.parse().ok()?,
            payload: &body[payload.span.clone()],
            payload_sha256,
        })
    }
}

/// What is wrong with a text that is read and has half of a surrogate pair.
pub(crate) const HALF_SURROGATE: &str =
    "has half of a surrogate pair, which is no character (RFC 8259 section 8.2): send whole characters";

fn text<'a>(document: &'a Json, key: &str) -> Option<&'a str> {
    match &document.get(key)?.value {
        Json::String(text) => Some(text),
        _ => None,
    }
}

/// Digest of event type, stated version and canonical payload: the same whether the payload came in an envelope or alone.
pub fn payload_digest(
    event_type: &EventType,
    schema_version: Option<&SchemaVersion>,
    canonical: &Sha256Hex,
) -> Sha256Hex {
    Sha256Hex::of_parts(&[
        event_type.as_str().as_bytes(),
        schema_version.map_or("", |version| version.as_str()).as_bytes(),
        canonical.as_str().as_bytes(),
    ])
}

/// The fault of a time that lies too far ahead.
pub(crate) fn in_future(pointer: &str, at: Timestamp, now: Timestamp) -> Option<FieldFault> {
    let ahead_seconds = at.as_second().saturating_sub(now.as_second());
    (ahead_seconds > OCCURRED_AT_AHEAD_SECONDS_MAX).then(|| FieldFault {
        pointer: pointer.to_owned(),
        code: "in_future".into(),
        message: format!(
            "lies {ahead_seconds} s ahead of our clock ({}); at most {OCCURRED_AT_AHEAD_SECONDS_MAX} s are allowed: check the vendor's clock and time zone",
            rfc3339(now)
        ),
    })
}

/// The two places where a schema keyword says too little to act on.
fn reworded(mut fault: FieldFault) -> FieldFault {
    match (fault.pointer.as_str(), fault.code.as_str()) {
        ("/occurredAt", "format") => {
            fault.message += ": expected RFC 3339 with an offset, such as 2026-11-21T10:15:00Z";
        }
        ("/externalEventId", "pattern") => {
            fault.code = "control_character".into();
            fault.message = "must not have control characters".into();
        }
        ("/vendorId", "pattern") => {
            fault.message =
                "must start with a letter or digit and have only letters, digits, '.', '_' and '-'".into();
        }
        ("/eventType", "pattern") => {
            fault.message =
                "must start with a letter or digit and have only letters, digits, '.', '_', '/' and '-'"
                    .into();
        }
        _ => {}
    }
    fault
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn envelope(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
        let mut value = serde_json::json!({"vendorId": "vendorA", "externalEventId": "evt-1", "eventType": "inventory_update",
            "occurredAt": "2026-11-21T09:59:00+01:00", "payload": {"qty": 12}});
        change(value.as_object_mut().unwrap());
        serde_json::to_vec(&value).unwrap()
    }

    fn faults(body: &[u8]) -> Vec<(String, String)> {
        match Envelope::parse(body, now()).unwrap_err() {
            Refusal::Faults(faults) => faults.into_iter().map(|f| (f.pointer, f.code)).collect(),
            Refusal::NotJson(error) => panic!("{error}"),
        }
    }

    fn one(pointer: &str, code: &str) -> Vec<(String, String)> {
        vec![(pointer.to_owned(), code.to_owned())]
    }

    #[test]
    fn each_field_missing_mistyped_empty_long_or_with_control_characters() {
        for field in ["vendorId", "externalEventId", "eventType", "occurredAt", "payload"] {
            let pointer = format!("/{field}");
            assert_eq!(
                faults(&envelope(|e| {
                    e.remove(field);
                })),
                one(&pointer, "required")
            );
            assert_eq!(
                faults(&envelope(|e| {
                    e.insert(field.into(), 1.into());
                })),
                one(&pointer, "type")
            );
            assert_eq!(
                faults(&envelope(|e| {
                    e.insert(field.into(), Value::Null);
                })),
                one(&pointer, "type")
            );
            if field != "payload" {
                let empty = faults(&envelope(|e| {
                    e.insert(field.into(), "".into());
                }));
                assert!(empty.contains(&(pointer.clone(), "empty".into())), "{empty:?}");
                let long = faults(&envelope(|e| {
                    e.insert(field.into(), "x".repeat(300).into());
                }));
                assert!(long.contains(&(pointer.clone(), "too_long".into())), "{long:?}");
                let control = faults(&envelope(|e| {
                    e.insert(field.into(), "a\u{1}b".into());
                }));
                assert!(control.iter().all(|(p, _)| *p == pointer) && !control.is_empty(), "{control:?}");
            }
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let seen = faults(br#"{"vendorId":"","eventType":7,"occurredAt":"yesterday","payload":[]}"#);
        for pointer in ["/vendorId", "/externalEventId", "/eventType", "/occurredAt", "/payload"] {
            assert!(seen.iter().any(|(p, _)| p == pointer), "{pointer} in {seen:?}");
        }
    }

    #[test]
    fn not_json_and_not_an_object() {
        assert!(matches!(Envelope::parse(b"{\"vendorId\":", now()), Err(Refusal::NotJson(_))));
        for body in ["[]", "1", "\"x\"", "null"] {
            assert_eq!(faults(body.as_bytes()), one("", "type"));
        }
        assert_eq!(faults(br#"{"vendorId":"a","vendorId":"b","externalEventId":"e","eventType":"t","occurredAt":"2026-01-01T00:00:00Z","payload":{}}"#), one("/vendorId", "duplicate_key"));
    }

    #[test]
    fn reserved_ids_impossible_dates_and_clock_skew() {
        assert_eq!(
            faults(&envelope(|e| {
                e.insert("externalEventId".into(), "sha256:00".into());
            })),
            one("/externalEventId", "reserved")
        );
        for bad in ["2026-02-30T00:00:00Z", "2026-11-21 09:59", "2026-11-21T09:59:00", "1700000000"] {
            assert_eq!(
                faults(&envelope(|e| {
                    e.insert("occurredAt".into(), bad.into());
                })),
                one("/occurredAt", "format"),
                "{bad}"
            );
        }
        assert_eq!(
            faults(&envelope(|e| {
                e.insert("occurredAt".into(), "2026-11-22T10:00:01Z".into());
            })),
            one("/occurredAt", "in_future")
        );
        let late = envelope(|e| {
            e.insert("occurredAt".into(), "1999-01-01T00:00:00Z".into());
        });
        assert!(Envelope::parse(&late, now()).is_ok(), "late is normal");
    }

    #[test]
    fn half_a_surrogate_pair_matters_only_where_it_is_read() {
        let body = String::from_utf8(envelope(|_| {})).unwrap();
        let unread = body.replace("\"qty\":12", r#""note":"cut \ud83d","qty":12"#);
        assert!(Envelope::parse(unread.as_bytes(), now()).is_ok(), "{unread}");
        let read = body.replace("evt-1", r"evt-\ud83d");
        assert_eq!(faults(read.as_bytes()), one("/externalEventId", "half_surrogate"));
    }

    #[test]
    fn payload_bytes_are_exact_and_its_digest_ignores_form() {
        let body = r#"{"payload": {"n": 12345678901234567890.10, "n":1, "é":"\u00e9"} ,"vendorId":"v","externalEventId":"e","eventType":"t","occurredAt":"2026-01-01T00:00:00Z","extra":[1]}"#;
        let parsed = Envelope::parse(body.as_bytes(), now()).unwrap();
        assert_eq!(parsed.payload, r#"{"n": 12345678901234567890.10, "n":1, "é":"\u00e9"}"#.as_bytes());
        let other =
            body.replace(" 12345678901234567890.10", "12345678901234567890.1").replace("2026-01", "2026-02");
        let other = Envelope::parse(other.as_bytes(), now()).unwrap().payload_sha256;
        assert_eq!(parsed.payload_sha256, other);
    }

    #[test]
    fn what_was_accepted_is_read_as_it_was_judged_whatever_the_rules_are_now() {
        let body = envelope(|_| {});
        assert_eq!(Envelope::of_accepted(&body), Envelope::parse(&body, now()).ok());
        let ahead = envelope(|e| {
            e.insert("occurredAt".into(), "2999-01-01T00:00:00Z".into());
        });
        assert!(Envelope::parse(&ahead, now()).is_err());
        assert!(Envelope::of_accepted(&ahead).is_some());
        for none in ["", "[]", "{}", r#"{"id": 7}"#] {
            assert_eq!(Envelope::of_accepted(none.as_bytes()), None, "{none}");
        }
    }
}

//! What a message states: events, or nothing for a reason.

use std::borrow::Cow;

use serde::Serialize;

use crate::{CanonicalEvent, MapError};

/// Why a message that is understood states nothing: a draft, a test, a notice without news.
///
/// It is no refusal. The event is normalized without a document, counted by itself, and needs nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nothing(MapError);

impl Nothing {
    /// A reason with a stable snake_case `code` and one sentence for a person, which may quote what the vendor sent: its bounds
    /// are those of a refusal's, and control characters become spaces.
    ///
    /// # Panics
    /// When `code` is not 1 to 64 characters of `a-z`, `0-9`, `_`: a mistake in the mapper, never in a message.
    #[must_use]
    pub fn new<'t>(code: &'static str, message: impl Into<Cow<'t, str>>) -> Self {
        Self(MapError::new(code, "", message))
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// For a person.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.message()
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Output<'a> {
            nothing: Reason<'a>,
        }
        #[derive(Serialize)]
        struct Reason<'a> {
            code: &'a str,
            message: &'a str,
        }
        serde_json::to_vec(&Output { nothing: Reason { code: self.code(), message: self.message() } })
    }
}

/// What a mapper gives that knows messages which state nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stated<D> {
    /// At least one event: the host refuses an empty list.
    Events(Vec<CanonicalEvent<D>>),
    /// Nothing, and why.
    Nothing(Nothing),
}

impl<D> From<Vec<CanonicalEvent<D>>> for Stated<D> {
    fn from(events: Vec<CanonicalEvent<D>>) -> Self {
        Self::Events(events)
    }
}

impl<D> From<Nothing> for Stated<D> {
    fn from(reason: Nothing) -> Self {
        Self::Nothing(reason)
    }
}

/// What [`crate::export_mapper!`] takes for the result of a mapper.
pub trait Statement {
    /// The data of its events.
    type Data: Serialize;

    /// As the host is told it.
    fn into_stated(self) -> Stated<Self::Data>;
}

impl<D: Serialize> Statement for Vec<CanonicalEvent<D>> {
    type Data = D;

    fn into_stated(self) -> Stated<D> {
        Stated::Events(self)
    }
}

impl<D: Serialize> Statement for Stated<D> {
    type Data = D;

    fn into_stated(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MapError, Meta, run};

    const META: &[u8] = br#"{"vendorId":"v","externalEventId":"e","eventType":"t","schemaVersion":"1",
        "occurredAt":"2026-01-02T03:04:05Z","receivedAt":"2026-01-02T03:04:05Z"}"#;

    fn map<'a>(_: &Meta<'a>, payload: &'a [u8]) -> Result<Stated<u8>, MapError> {
        match payload {
            b"draft" => Ok(Nothing::new("order_not_placed", "a draft\nof \"x\"").into()),
            b"bad" => Err(MapError::new("bad", "", "no")),
            _ => Ok(vec![CanonicalEvent {
                event_type: "T",
                schema_version: "1.0",
                occurred_at: "2026-01-02T03:04:05Z".to_owned(),
                data: 7,
                notes: Vec::new(),
            }]
            .into()),
        }
    }

    #[test]
    fn a_reason_is_an_object_and_events_are_an_array() {
        let text = |payload: &'static [u8]| {
            run(META, payload, map).map(|ok| String::from_utf8_lossy(&ok).into_owned())
        };
        assert_eq!(
            text(b"draft"),
            Ok(r#"{"nothing":{"code":"order_not_placed","message":"a draft of \"x\""}}"#.to_owned())
        );
        assert!(text(b"order").is_ok_and(|text| text.starts_with(r#"[{"eventType":"T""#)));
        assert_eq!(text(b"bad"), Err(br#"{"code":"bad","path":"","message":"no"}"#.to_vec()));
    }

    #[test]
    fn a_long_message_is_cut_to_its_bound() {
        assert_eq!(Nothing::new("c", "é".repeat(1_000)).message(), "é".repeat(512));
    }

    #[test]
    #[should_panic(expected = "snake_case")]
    fn a_code_is_snake_case() {
        let _ = Nothing::new("Bad Code", "");
    }
}

//! What a mapper is written with.
//!
//! A mapper is one pure function from a vendor's message to canonical events. This crate gives it its input typed
//! ([`Meta`], the exact readers of [`json`], [`csv`] and [`x12`], those of [`local`] text), its output typed ([`CanonicalEvent`], [`canonical`],
//! [`Minor`](money::Minor)), its refusals typed ([`MapError`]), and turns it into the module that Sluice loads ([`export_mapper!`]).
//!
//! ```
//! use mapper_sdk::{CanonicalEvent, MapError, Meta, json, time};
//!
//! #[derive(serde::Deserialize)]
//! struct Ping<'a> {
//!     #[serde(borrow)]
//!     device: std::borrow::Cow<'a, str>,
//! }
//!
//! #[derive(serde::Serialize)]
//! #[serde(rename_all = "camelCase")]
//! struct DeviceSeen<'a> {
//!     device_id: std::borrow::Cow<'a, str>,
//! }
//!
//! fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Result<Vec<CanonicalEvent<DeviceSeen<'a>>>, MapError> {
//!     let ping: Ping<'a> = json::read(payload)?;
//!     let occurred_at = time::utc(&meta.occurred_at, "")?;
//!     Ok(vec![CanonicalEvent::new("DeviceSeen", "1.0", occurred_at, DeviceSeen { device_id: ping.device })])
//! }
//!
//! mapper_sdk::export_mapper!(map);
//! # let meta = br#"{"vendorId":"v","externalEventId":"e","eventType":"ping","schemaVersion":"1",
//! #                 "occurredAt":"2026-01-02T04:04:05+01:00","receivedAt":"2026-01-02T03:04:06Z"}"#;
//! # assert_eq!(
//! #     String::from_utf8(run(meta, br#"{"device":"d-1"}"#).unwrap()).unwrap(),
//! #     r#"[{"eventType":"DeviceSeen","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"deviceId":"d-1"}}]"#
//! # );
//! ```
//!
//! Invariants: nothing here reads a clock, a random source or the environment; money never passes through a float; an
//! identifier keeps every digit. The same function runs natively in tests and as wasm in production.
//!
//! Non-goal: envelope fields (`ingestId`, `rawRef`, …), canonical key order and schema validation are the host's.

#[cfg(target_arch = "wasm32")]
mod alloc;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
pub mod canonical;
#[cfg(feature = "golden")]
pub mod golden;
pub mod json;
pub mod local;
pub mod money;
pub mod quantity;
mod stated;
pub mod text;
pub mod time;
mod write;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Why a mapper refused a message.
pub use sluice_formats::Refusal as MapError;
pub use sluice_formats::{CODE_CHARS_MAX, MESSAGE_BYTES_MAX, PATH_BYTES_MAX, csv, x12};
pub use stated::{Nothing, Stated, Statement};

/// Most events that the host takes from one message. How many bytes they may come to grows with the message, and the host says so
/// (`wit/mapper.wit`).
pub const EVENTS_MAX: usize = 25_000;

/// What the host knows of a message beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta<'a> {
    /// Who sent it.
    #[serde(borrow)]
    pub vendor_id: Cow<'a, str>,
    /// The vendor's own id of the event.
    #[serde(borrow)]
    pub external_event_id: Cow<'a, str>,
    /// The vendor's name of the event's type, as in the contract.
    #[serde(borrow)]
    pub event_type: Cow<'a, str>,
    /// Version of the vendor's payload schema that the host validated the payload against.
    #[serde(borrow)]
    pub schema_version: Cow<'a, str>,
    /// When the vendor says it happened; RFC 3339, any offset.
    #[serde(borrow)]
    pub occurred_at: Cow<'a, str>,
    /// When Sluice received it; RFC 3339 in UTC. The only clock that a mapper has.
    #[serde(borrow)]
    pub received_at: Cow<'a, str>,
    /// How the vendor writes numbers, dates and times, by `[text]` of the contract.
    #[serde(default)]
    pub text: local::Conventions,
}

/// One canonical event, before the host adds its envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanonicalEvent<D> {
    /// Canonical type, e.g. `OrderPlaced`; the same for every event of one call.
    pub event_type: &'static str,
    /// Version of the canonical schema, e.g. `1.0`.
    pub schema_version: &'static str,
    /// RFC 3339 in UTC, as [`time::utc`] writes it.
    pub occurred_at: String,
    /// The event's data, valid by the canonical schema.
    pub data: D,
    /// What the message states and `data` has not: an optional detail that cannot be read, or that no member of the canonical
    /// type is for. Each is the refusal that it would have been, were the detail worth the whole event. They are kept with the
    /// event, and nothing is computed from them.
    #[serde(serialize_with = "notes", skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<MapError>,
}

/// Most notes of one event; what is beyond is counted in the last.
pub const NOTES_MAX: usize = 16;

impl<D> CanonicalEvent<D> {
    /// An event without notes.
    #[must_use]
    pub fn new(event_type: &'static str, schema_version: &'static str, occurred_at: String, data: D) -> Self {
        Self { event_type, schema_version, occurred_at, data, notes: Vec::new() }
    }

    /// The same event with more notes.
    #[must_use]
    pub fn noting(mut self, notes: impl IntoIterator<Item = MapError>) -> Self {
        self.notes.extend(notes);
        if let Some(more) = self.notes.len().checked_sub(NOTES_MAX).filter(|more| *more > 0) {
            self.notes.truncate(NOTES_MAX - 1);
            self.notes.push(MapError::new(
                "notes_more",
                "",
                format!("{} more details were left out", more + 1),
            ));
        }
        self
    }
}

/// Notes as the host reads them, each as a refusal is written.
fn notes<S: serde::Serializer>(notes: &[MapError], writer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Note<'a> {
        code: &'a str,
        path: &'a str,
        message: &'a str,
    }
    writer.collect_seq(notes.iter().map(|note| Note {
        code: note.code(),
        path: note.path(),
        message: note.message(),
    }))
}

/// What a mapper returns: what the message states, or why it is refused.
///
/// A mapper that knows messages which state nothing returns `Result<Stated<D>, MapError>` instead, and writes `Ok(events.into())` or
/// `Ok(Nothing::new("order_not_placed", "…").into())`.
pub type Mapped<D> = Result<Vec<CanonicalEvent<D>>, MapError>;

/// Runs a mapper on bytes, exactly as the exported module does: `Ok` is the JSON array of events, or the object that says why
/// nothing is stated; `Err` is the JSON of a [`MapError`].
///
/// # Errors
/// The mapper's refusal, or `meta_invalid` when `meta` is not the object that the host promises.
pub fn run<'a, S: Statement>(
    meta: &'a [u8],
    payload: &'a [u8],
    map: impl FnOnce(&Meta<'a>, &'a [u8]) -> Result<S, MapError>,
) -> Result<Vec<u8>, Vec<u8>> {
    map_to_json(meta, payload, map).map_err(|refused| refused.to_json())
}

fn map_to_json<'a, S: Statement>(
    meta: &'a [u8],
    payload: &'a [u8],
    map: impl FnOnce(&Meta<'a>, &'a [u8]) -> Result<S, MapError>,
) -> Result<Vec<u8>, MapError> {
    let meta: Meta<'a> =
        serde_json::from_slice(meta).map_err(|e| MapError::new("meta_invalid", "", format!("meta: {e}")))?;
    let unserializable = |e: serde_json::Error| MapError::new("output_unserializable", "", e.to_string());
    let events = match map(&meta, payload)?.into_stated() {
        Stated::Events(events) => events,
        Stated::Nothing(reason) => return reason.to_json().map_err(unserializable),
    };
    // Canonical data is seldom longer than the message it came from, and growing in place is cheap besides.
    let json = write::to_json(&events, payload.len()).map_err(unserializable);
    // The instance ends with this call, and its memory with it: freeing a thousand events would be for nothing.
    #[cfg(target_arch = "wasm32")]
    std::mem::forget(events);
    json
}

/// Makes a crate a mapper: exports `$map` as the world of `wit/mapper.wit` on wasm32, and everywhere as a function
/// `run(meta, payload)` on bytes, which is what tests call.
///
/// `$map` is the path of a `fn<'a>(&Meta<'a>, &'a [u8]) -> Mapped<impl Serialize>`, or of one that may state nothing
/// ([`Stated`]). Once per crate.
#[macro_export]
macro_rules! export_mapper {
    ($map:path) => {
        /// The mapper on bytes, as the host calls it: JSON in, and JSON out for what is stated and for a refusal.
        ///
        /// # Errors
        /// The refusal, as the JSON of a `MapError`.
        pub fn run(
            meta: &[u8],
            payload: &[u8],
        ) -> ::core::result::Result<::std::vec::Vec<u8>, ::std::vec::Vec<u8>> {
            $crate::run(meta, payload, $map)
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::bindings::Guest for Exported {
                fn map(
                    meta: ::std::vec::Vec<u8>,
                    payload: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, ::std::vec::Vec<u8>> {
                    run(&meta, &payload)
                }
            }

    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn notes_are_written_behind_the_data_and_are_bounded() {
        let event = CanonicalEvent::new("T", "1.0", "2026-01-02T03:04:05Z".into(), 1);
        let plain = String::from_utf8(write::to_json(&event, 0).unwrap()).unwrap();
        assert!(plain.ends_with(r#""data":1}"#), "{plain}");
        let noted = event.clone().noting([MapError::new("c", "/a", "is \"b\"")]);
        let json = String::from_utf8(write::to_json(&noted, 0).unwrap()).unwrap();
        assert!(
            json.ends_with(r#""data":1,"notes":[{"code":"c","path":"/a","message":"is \"b\""}]}"#),
            "{json}"
        );
        let full = event.clone().noting((0..NOTES_MAX).map(|at| MapError::new("c", format!("/{at}"), "")));
        assert_eq!((full.notes.len(), full.notes[NOTES_MAX - 1].code()), (NOTES_MAX, "c"));
        let more = event.noting((0..NOTES_MAX + 4).map(|at| MapError::new("c", format!("/{at}"), "")));
        assert_eq!(more.notes.len(), NOTES_MAX);
        assert_eq!(more.notes[NOTES_MAX - 1].message(), "5 more details were left out");
    }
}

//! A native contract of JSON samples: where the message itself says what an envelope would. What is not sure is not guessed: without
//! a member that is plainly the event's id, the same bytes are the same event.

use std::fmt::Write as _;

use sluice_core::id::EventType;
use sluice_core::json::Json;

use super::super::sample::{Leaf, Time, leaves};
use super::super::typegen::words;
use super::{Content, Inferred, Sample};

/// What vendors call the id of an event. `id` alone is that of what the message is about.
const EVENT_IDS: &[&str] = &[
    "event id",
    "event uuid",
    "external event id",
    "message id",
    "message uuid",
    "notification id",
    "nachrichten id",
    "ereignis id",
];

/// What vendors call the kind of an event.
const EVENT_TYPES: &[&str] =
    &["event type", "message type", "topic", "event", "type", "ereignis", "nachrichtentyp"];

/// Whether a name is one of these; the earlier, the better.
fn rank(names: &[&str], name: &str) -> Option<usize> {
    let own = words(name).concat();
    names.iter().position(|known| words(known).concat() == own)
}

/// A text that a sample has at a pointer.
fn text_at<'s>(sample: &'s Sample, pointer: &str) -> Option<&'s str> {
    match &sample.content {
        Content::Json(value) => match value.pointer(pointer)? {
            Json::String(text) | Json::Number(text) => Some(text),
            _ => None,
        },
        Content::Csv(_) | Content::X12(_) => None,
    }
}

/// The member by which all samples say the same kind of event, and the kind.
pub fn stated_event_type(samples: &[Sample]) -> Option<(String, EventType)> {
    let first = samples.first()?;
    let Content::Json(Json::Object(members)) = &first.content else { return None };
    let mut known: Vec<(usize, &str)> = members
        .iter()
        .filter_map(|member| Some((rank(EVENT_TYPES, &member.key)?, member.key.as_str())))
        .collect();
    known.sort_unstable();
    known.iter().find_map(|(_, name)| {
        let mut pointer = String::new();
        sluice_core::json::push_pointer(&mut pointer, name);
        let stated: EventType = text_at(first, &pointer)?.parse().ok()?;
        let same = samples.iter().all(|sample| text_at(sample, &pointer) == Some(stated.as_str()));
        same.then_some((pointer, stated))
    })
}

impl Inferred<'_> {
    /// The members of `[envelope]`.
    pub(super) fn native_envelope(&self) -> String {
        let samples = &self.plan.samples;
        let mut out = String::new();
        let kind = stated_event_type(samples).filter(|(_, stated)| *stated == self.plan.event_type);
        let _ = match kind {
            Some((pointer, _)) => writeln!(out, "eventType = {{ pointer = {} }}", quoted(&pointer)),
            None => writeln!(out, "eventType = {{ constant = {} }}", quoted(self.plan.event_type.as_str())),
        };
        let id = self.event_id();
        let _ = match &id {
            Some(pointer) => writeln!(
                out,
                "# Read this against the vendor's documentation: an id must be the event's own, and the same when it is sent again.\n\
                 externalEventId = {{ pointer = {} }}",
                quoted(pointer)
            ),
            None => writeln!(
                out,
                "# No member is plainly the event's id, so the same message is the same event.\nexternalEventId = {{ digest = true }}"
            ),
        };
        // Acceptance reads a local time only with its zone, which no sample says.
        let sure =
            |leaf: &&Leaf| leaf.item_at() == 0 && !leaf.is_optional() && leaf.time() != Some(Time::Local);
        let at = self.suggestion.occurred_at.as_ref().filter(sure);
        let _ = match at {
            Some(leaf) => writeln!(out, "occurredAt = {{ pointer = {} }}", quoted(&leaf.pointer())),
            None => writeln!(out, "occurredAt = {{ received = true }}"),
        };
        out
    }

    /// The member that is plainly the event's id: always there, and different in every sample.
    fn event_id(&self) -> Option<String> {
        let samples = &self.plan.samples;
        let leaves = leaves(&self.shape);
        let mut known: Vec<(usize, &Leaf)> = leaves
            .iter()
            .filter(|leaf| leaf.item_at() == 0 && !leaf.is_optional())
            .filter_map(|leaf| Some((rank(EVENT_IDS, leaf.name())?, leaf)))
            .collect();
        known.sort_by_key(|(rank, _)| *rank);
        known.into_iter().map(|(_, leaf)| leaf.pointer()).find(|pointer| {
            let values: Vec<Option<&str>> = samples.iter().map(|sample| text_at(sample, pointer)).collect();
            values.iter().all(Option::is_some)
                && values.iter().enumerate().all(|(at, value)| !values[..at].contains(value))
        })
    }

    /// A fixture that holds the contract to this: a sample as the vendor would post it.
    pub(super) fn native_request(&self, sample: &Sample) -> Vec<u8> {
        let head = format!(
            "POST /v1/sources/{} HTTP/1.1\ncontent-type: application/json\ncontent-length: {}\nx-api-key: the-vendors-key\n\n",
            self.plan.vendor_id,
            sample.payload.len()
        );
        [head.as_bytes(), &sample.payload].concat()
    }
}

/// A string of TOML, whose basic strings have the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

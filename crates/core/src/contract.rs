//! A contract: what one vendor's event type looks like, what it becomes, and within which bounds. `mapper.toml` of a bundle.
//!
//! A contract with an `[envelope]` is *native*: the vendor's own message is taken as that vendor sends it, and the contract says
//! where its id, kind and time are, and what proves the sender. [`Contract::check`] refuses every combination that could not work,
//! so that acceptance never meets one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sluice_formats::x12::Element;

use crate::id::{CanonicalType, EventType, SchemaVersion, VendorId};
use crate::limits::{
    ACCEPT_SCHEMAS_BYTES_MAX, IDEMPOTENCY_WINDOW_SECONDS_MAX, INFLATED_BYTES_MAX,
    OCCURRED_AT_AHEAD_SECONDS_MAX,
};
use crate::signature::HEADER_ID;
use crate::text::{Text, Zone};

/// One vendor, one event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// The vendor's payload schemas.
    pub payload: PayloadContract,
    /// Native: where the message itself says what an envelope would. `None`: the vendor sends envelopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<NativeEnvelope>,
    /// What proves the sender of a native message. `None`: the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// How its numbers, dates, times and characters are written.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub text: Text,
    /// What it is mapped to.
    pub canonical: CanonicalRef,
    /// What makes two messages one event.
    #[serde(default)]
    pub idempotency: Idempotency,
    /// Bounds.
    #[serde(default)]
    pub limits: ContractLimits,
    /// The warehouses of which its events may speak; empty: of any. Warehouses and articles are shared by the vendors, so what one
    /// says of another's is believed unless it is not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warehouses: Vec<String>,
    /// Whether `event.normalized` tells the vendor's score.
    #[serde(default, skip_serializing_if = "is_default")]
    pub vendor_health: bool,
}

/// Form of the payload, and versions of its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayloadContract {
    /// What kind of bytes a payload is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Format,
    /// For messages that state none.
    #[serde(default = "first_version")]
    pub default_version: SchemaVersion,
    /// Version to the path of its JSON Schema in the bundle; empty unless the format is JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<SchemaVersion, String>,
    /// When the payload is held against its schema.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validate: Validate,
    /// Version to the text of its JSON Schema, for [`Validate::Accept`]: acceptance needs no object of the bundle. Filled by
    /// [`Contract::embed_schemas`] when the bundle is read, never by an author.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accept_schemas: BTreeMap<SchemaVersion, String>,
}

/// What kind of bytes a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// RFC 8259. The only one with schemas, and the only one that an envelope can carry.
    #[default]
    Json,
    /// RFC 4180, or whatever the mapper reads.
    Csv,
    /// An ANSI X12 interchange.
    X12,
}

impl Format {
    /// As in a contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::X12 => "x12",
        }
    }

    /// Whether a body of this media type (lower case, without parameters) may be in this format. Files come with the media types
    /// that transfer programs know.
    pub fn fits(self, media_type: &str) -> bool {
        match self {
            Self::Json => {
                media_type == "application/json"
                    || (media_type.starts_with("application/") && media_type.ends_with("+json"))
            }
            Self::Csv => matches!(media_type, "text/csv" | "text/plain" | "application/octet-stream"),
            Self::X12 => {
                matches!(media_type, "application/edi-x12" | "text/plain" | "application/octet-stream")
            }
        }
    }

    /// The media type to ask for.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::X12 => "application/edi-x12",
        }
    }
}

/// When a payload is held against its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Validate {
    /// After acceptance: what does not satisfy it is quarantined, and nothing of it is lost.
    #[default]
    Normalize,
    /// Before acceptance as well: what does not satisfy it is refused with every fault.
    Accept,
}

/// Where a native message says what an envelope would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NativeEnvelope {
    /// Where it is posted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: NativePath,
    /// The message is of this contract when this equals the contract's `eventType`.
    pub event_type: Source,
    /// What makes two messages one event.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external_event_id: Identity,
    /// When it happened.
    pub occurred_at: Source,
    /// The sender's id of the delivery, which is kept for correlation and never an identity: no signature need cover it, and a
    /// sender may give one event several, or several events one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<Source>,
    /// What a message of this event type shows in its body. One that shows something else contradicts its event type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
    /// What becomes of a proved message that contradicts its event type, or lacks its id or its time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_refusal: Otherwise,
}

/// What becomes of a message of a proved sender that cannot be taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Otherwise {
    /// It is refused with a 4xx that says why: the sender can act on it.
    #[default]
    Refuse,
    /// It is answered 202, kept and quarantined: for senders that only repeat what is refused, and then switch off.
    Keep,
}

/// What the body of a message shows if it is of its event type. A value that is absent or null is not stated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// JSON pointer into the body.
    pub pointer: String,
    /// Whether it is stated. `None`: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// If it is stated, it is one of these texts, or a number written so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// If it is stated, it is a text that starts with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_with: Option<String>,
    /// If both are stated, its value is not the one at this pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs_from: Option<String>,
    /// If both are stated, both are times, and this near to each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<Near>,
}

/// A time in the body, and how far another may be from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Near {
    /// JSON pointer into the body.
    pub pointer: String,
    /// Before or after it.
    pub seconds: u32,
}

/// What makes two messages one event: the text of one place, or the texts of several, told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Vec<Source>);

impl Identity {
    /// The places, at least one, in their order.
    pub fn sources(&self) -> &[Source] {
        &self.0
    }

    /// Whether the message itself is the identity.
    pub fn is_digest(&self) -> bool {
        matches!(self.0.as_slice(), [Source { place: Place::Digest, .. }])
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self(vec![Source { place: Place::Digest, zone: None }])
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Places;

        impl<'de> Visitor<'de> for Places {
            type Value = Identity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a place in the message, or a list of places")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Identity, A::Error> {
                Source::deserialize(MapAccessDeserializer::new(map)).map(|source| Identity(vec![source]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Identity, A::Error> {
                let sources = Vec::<Source>::deserialize(SeqAccessDeserializer::new(seq))?;
                if sources.is_empty() {
                    return Err(A::Error::invalid_length(0, &"at least one place"));
                }
                Ok(Identity(sources))
            }
        }

        deserializer.deserialize_any(Places)
    }
}

/// The paths at which native messages are taken. A closed set: API Gateway has a resource for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum NativePath {
    /// The vendor is named by the path.
    #[default]
    #[serde(rename = "/v1/sources/{vendorId}")]
    Sources,
    /// The vendor is named by its API key.
    #[serde(rename = "/v1/orders")]
    Orders,
}

impl NativePath {
    /// As in a contract and in the OpenAPI document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sources => "/v1/sources/{vendorId}",
            Self::Orders => "/v1/orders",
        }
    }
}

/// Where one fact about a native message is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SourceText", into = "SourceText")]
pub struct Source {
    /// Where.
    pub place: Place,
    /// For a time without an offset.
    pub zone: Option<Zone>,
}

/// A place in a native message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A request header, in lower case.
    Header(String),
    /// A JSON pointer (RFC 6901) into the body: a string, or a number by its exact digits.
    Pointer(String),
    /// An element of the first segment of its name; a second one is a time of day to go with a date.
    X12(Element, Option<Element>),
    /// Always this text.
    Constant(String),
    /// The digest of the canonical message: the message is its own identity.
    Digest,
    /// The digest of what stands at these JSON pointers, whatever its type.
    DigestOf(Vec<String>),
    /// The moment of acceptance.
    Received,
}

/// `{ header = "…" }`, `{ pointer = "…", zone = "utc" }`, `{ x12 = "GS04+GS05" }`, `{ constant = "…" }`, `{ digest = true }`,
/// `{ digestOf = ["/…"] }` or `{ received = true }`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SourceText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x12: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    constant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest_of: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<Zone>,
}

/// Not a [`Source`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum InvalidSource {
    #[error(
        "a place in a message is exactly one of header = \"…\", pointer = \"/…\", x12 = \"ST01\", constant = \"…\", digest = true, digestOf = [\"/…\"], received = true"
    )]
    NotOne,
    #[error("{0:?} is not a header name")]
    Header(String),
    #[error("{0:?} is not a JSON pointer to a member: it starts with '/' (RFC 6901)")]
    Pointer(String),
    #[error(
        "{0:?} is not an X12 element: a segment and two digits, such as ST01, or a date and a time of day, such as GS04+GS05"
    )]
    X12(String),
}

impl TryFrom<SourceText> for Source {
    type Error = InvalidSource;

    fn try_from(text: SourceText) -> Result<Self, InvalidSource> {
        let SourceText { header, pointer, x12, constant, digest, digest_of, received, zone } = text;
        let digest = digest.filter(|it| *it);
        let received = received.filter(|it| *it);
        let place = match (header, pointer, x12, constant, digest, digest_of, received) {
            (Some(name), None, None, None, None, None, None) => Place::Header(header_name(&name)?),
            (None, Some(pointer), None, None, None, None, None) => Place::Pointer(member_pointer(pointer)?),
            (None, None, Some(text), None, None, None, None) => {
                let invalid = || InvalidSource::X12(text.clone());
                let (first, second) = text
                    .split_once('+')
                    .map_or((text.as_str(), None), |(first, second)| (first, Some(second)));
                let element = |text: &str| text.parse::<Element>().map_err(|_| invalid());
                Place::X12(element(first)?, second.map(element).transpose()?)
            }
            (None, None, None, Some(text), None, None, None) => Place::Constant(text),
            (None, None, None, None, Some(_), None, None) => Place::Digest,
            (None, None, None, None, None, Some(pointers), None) if !pointers.is_empty() => {
                Place::DigestOf(pointers.into_iter().map(member_pointer).collect::<Result<_, _>>()?)
            }
            (None, None, None, None, None, None, Some(_)) => Place::Received,
            _ => return Err(InvalidSource::NotOne),
        };
        Ok(Self { place, zone })
    }
}

impl From<Source> for SourceText {
    fn from(source: Source) -> Self {
        let mut text = Self { zone: source.zone, ..Self::default() };
        match source.place {
            Place::Header(name) => text.header = Some(name),
            Place::Pointer(pointer) => text.pointer = Some(pointer),
            Place::X12(first, None) => text.x12 = Some(first.to_string()),
            Place::X12(first, Some(second)) => text.x12 = Some(format!("{first}+{second}")),
            Place::Constant(constant) => text.constant = Some(constant),
            Place::Digest => text.digest = Some(true),
            Place::DigestOf(pointers) => text.digest_of = Some(pointers),
            Place::Received => text.received = Some(true),
        }
        text
    }
}

fn member_pointer(pointer: String) -> Result<String, InvalidSource> {
    if pointer.starts_with('/') { Ok(pointer) } else { Err(InvalidSource::Pointer(pointer)) }
}

fn header_name(name: &str) -> Result<String, InvalidSource> {
    let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if token { Ok(name.to_ascii_lowercase()) } else { Err(InvalidSource::Header(name.to_owned())) }
}

/// What proves that a vendor sent a native message: an HMAC-SHA256 with one of the vendor's secrets, over the exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "camelCase", deny_unknown_fields)]
pub enum Signature {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature` (standard-webhooks/spec).
    StandardWebhooks,
    /// `X-Shopify-Hmac-SHA256`: base64, over the body.
    Shopify,
    /// `X-WC-Webhook-Signature`: base64, over the body.
    Woocommerce,
    /// `x-square-hmacsha256-signature`: base64, over the notification URL and the body.
    Square {
        /// The notification URL exactly as it is registered with Square.
        url: String,
    },
    /// A header of the vendor's own, over the body.
    Hmac {
        /// Name of the header.
        header: String,
        /// How the MAC is written.
        encoding: Encoding,
        /// What stands before it, such as `sha256=`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
    /// Nothing but the API key.
    None,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// Either case.
    Hex,
    /// Standard alphabet, padded.
    Base64,
}

/// A canonical type and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanonicalRef {
    /// E.g. `InventoryUpdated`.
    pub r#type: CanonicalType,
    /// E.g. `1.0`.
    pub version: SchemaVersion,
}

/// How a resubmission is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Idempotency {
    /// By `(vendorId, externalEventId)`, for ever.
    ExternalEventId {
        /// What becomes of another payload under an id that was accepted.
        #[serde(default, skip_serializing_if = "is_default")]
        on_conflict: Otherwise,
        /// What the message of an event is that was accepted under another event type.
        #[serde(default, skip_serializing_if = "is_default")]
        other_event_type: OtherEventType,
    },
    /// By the canonical message itself, within a window that starts when the first is accepted; after it the same is a new event.
    PayloadHash {
        /// Length of the window.
        window_seconds: u32,
    },
}

impl Default for Idempotency {
    fn default() -> Self {
        Self::ExternalEventId {
            on_conflict: Otherwise::default(),
            other_event_type: OtherEventType::default(),
        }
    }
}

/// What a message is that was accepted under another event type, with the same identity and the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OtherEventType {
    /// A conflict.
    #[default]
    Conflict,
    /// An event of its own: what the contract expects of the body proves this event type whatever the message names.
    Event,
    /// A duplicate: this event type says nothing that the message does not say by itself.
    Duplicate,
}

/// Bounds of a contract, within those of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractLimits {
    /// Largest body after inflating, in bytes.
    #[serde(default = "payload_bytes_max")]
    pub payload_bytes_max: usize,
    /// How far ahead of the message's receipt what it states may have occurred, in seconds.
    #[serde(default = "occurred_at_ahead_seconds", skip_serializing_if = "is_usual_ahead")]
    pub occurred_at_ahead_seconds: u32,
}

impl Default for ContractLimits {
    fn default() -> Self {
        Self {
            payload_bytes_max: payload_bytes_max(),
            occurred_at_ahead_seconds: occurred_at_ahead_seconds(),
        }
    }
}

fn payload_bytes_max() -> usize {
    INFLATED_BYTES_MAX
}

fn occurred_at_ahead_seconds() -> u32 {
    u32::try_from(OCCURRED_AT_AHEAD_SECONDS_MAX).unwrap_or(u32::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_usual_ahead(seconds: &u32) -> bool {
    *seconds == occurred_at_ahead_seconds()
}

fn first_version() -> SchemaVersion {
    "1".parse().unwrap_or_else(|error| unreachable!("a constant: {error}"))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A contract that contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum InvalidContract {
    /// The default is not among the versions.
    #[error("payload.defaultVersion {0} is not among payload.versions")]
    DefaultVersion(SchemaVersion),
    /// Beyond the system's bound.
    #[error("limits.payloadBytesMax is {0}, more than {INFLATED_BYTES_MAX} or zero")]
    PayloadBytes(usize),
    /// A path that leaves the bundle.
    #[error("payload.versions has the path {0:?}, which must be relative, within the bundle, without \"..\"")]
    Path(String),
    /// Schemas for what is not JSON.
    #[error("payload.versions has JSON Schemas, but payload.format is {0}: only json has schemas")]
    SchemasWithoutJson(&'static str),
    /// An envelope's payload is a JSON object.
    #[error(
        "payload.format is {0}, which an envelope cannot carry: say in [envelope] where id, type and time are"
    )]
    EnvelopeWithoutJson(&'static str),
    /// A place that cannot say this.
    #[error("envelope.{field} = {{ {place} = … }} cannot be: {problem}")]
    Place {
        /// `eventType`, `externalEventId` or `occurredAt`.
        field: &'static str,
        /// As in `mapper.toml`.
        place: &'static str,
        /// Why not.
        problem: &'static str,
    },
    /// Nothing in the body proves the event type.
    #[error(
        "idempotency.otherEventType = \"event\" needs [[envelope.expect]]: what the body shows must prove the event type"
    )]
    UnprovedEventType,
    /// An identity that whoever captures a message can change.
    #[error(
        "envelope.externalEventId = {{ header = {0:?} }} cannot be: the signature does not cover this header, so a captured message could be sent again as another event. Take members of the body ({{ pointer = \"/…\" }}), or {{ digest = true }}, and keep the header as envelope.deliveryId"
    )]
    UnsignedIdentity(String),
    /// An event type that whoever captures a message can change.
    #[error(
        "envelope.eventType = {{ header = {0:?} }} is not covered by the signature, so a captured message could be sent again under another event type. Take it from the body if the body says it; if not, say in [[envelope.expect]] what the body of this event type shows, e.g. {{ pointer = \"/cancelled_at\", present = true }}"
    )]
    UnsignedEventType(String),
    /// An expectation that nothing, or everything, satisfies.
    #[error("envelope.expect at {0:?}: {1}")]
    Expectation(String, &'static str),
    /// A constant that is not the event type.
    #[error("envelope.eventType is the constant {0:?}, which never equals the contract's eventType {1}")]
    Constant(String, EventType),
    /// A signature of a native scheme without a native message.
    #[error(
        "[signature] is for native messages, which [envelope] describes; a vendor with a whsec_ secret signs its envelopes by Standard Webhooks anyway"
    )]
    SignatureWithoutEnvelope,
    /// Not something that can be signed over or looked for.
    #[error("signature.{0}")]
    Signature(&'static str),
    /// The policy needs a native message.
    #[error(
        "idempotency.policy payloadHash needs an [envelope] without externalEventId: the message itself is the identity"
    )]
    PayloadHash,
    /// Beyond the system's bound.
    #[error("idempotency.windowSeconds is {0}, not 1 to {IDEMPOTENCY_WINDOW_SECONDS_MAX}")]
    Window(u32),
    /// Declarations that contradict one another.
    #[error("[text]: {0}")]
    Text(&'static str),
    /// Schemas to be checked at acceptance are too large to travel with the contract.
    #[error(
        "payload.validate = \"accept\" holds schemas of {0} bytes in the contract, at most {ACCEPT_SCHEMAS_BYTES_MAX}: make them smaller, or validate after acceptance"
    )]
    AcceptSchemas(usize),
}

impl Contract {
    /// Checks what the types alone do not.
    pub fn check(&self) -> Result<(), InvalidContract> {
        let payload = &self.payload;
        if payload.format == Format::Json {
            if !payload.versions.contains_key(&payload.default_version) {
                return Err(InvalidContract::DefaultVersion(payload.default_version.clone()));
            }
        } else if !payload.versions.is_empty() || payload.validate == Validate::Accept {
            return Err(InvalidContract::SchemasWithoutJson(payload.format.as_str()));
        } else if self.envelope.is_none() {
            return Err(InvalidContract::EnvelopeWithoutJson(payload.format.as_str()));
        }
        if self.limits.payload_bytes_max == 0 || self.limits.payload_bytes_max > INFLATED_BYTES_MAX {
            return Err(InvalidContract::PayloadBytes(self.limits.payload_bytes_max));
        }
        for path in payload.versions.values() {
            if path.is_empty()
                || path.starts_with('/')
                || path.split('/').any(|part| matches!(part, ".." | "." | ""))
            {
                return Err(InvalidContract::Path(path.clone()));
            }
        }
        let embedded = payload.accept_schemas.values().map(String::len).sum();
        if embedded > ACCEPT_SCHEMAS_BYTES_MAX {
            return Err(InvalidContract::AcceptSchemas(embedded));
        }
        match (&self.envelope, &self.signature) {
            (Some(envelope), _) => self.check_envelope(envelope)?,
            (None, Some(signature)) if *signature != Signature::None => {
                return Err(InvalidContract::SignatureWithoutEnvelope);
            }
            (None, _) => {}
        }
        self.signature.as_ref().map_or(Ok(()), Signature::check)?;
        let proves_its_type = self.envelope.as_ref().is_some_and(|envelope| !envelope.expect.is_empty());
        if let Idempotency::ExternalEventId { other_event_type: OtherEventType::Event, .. } = self.idempotency
            && !proves_its_type
        {
            return Err(InvalidContract::UnprovedEventType);
        }
        if let Some(problem) = self.text.problem() {
            return Err(InvalidContract::Text(problem));
        }
        if self.envelope.is_none() && self.text.encoding.is_some() {
            let problem = "encoding is declared, but an envelope is JSON in UTF-8: only a native message, which [envelope] describes, has another";
            return Err(InvalidContract::Text(problem));
        }
        if let Idempotency::PayloadHash { window_seconds } = self.idempotency {
            if !self.envelope.as_ref().is_some_and(|envelope| envelope.external_event_id.is_digest()) {
                return Err(InvalidContract::PayloadHash);
            }
            if window_seconds == 0 || window_seconds > IDEMPOTENCY_WINDOW_SECONDS_MAX {
                return Err(InvalidContract::Window(window_seconds));
            }
        }
        Ok(())
    }

    fn check_envelope(&self, envelope: &NativeEnvelope) -> Result<(), InvalidContract> {
        let identity = envelope.external_event_id.sources();
        let fields = [("eventType", &envelope.event_type), ("occurredAt", &envelope.occurred_at)]
            .into_iter()
            .chain(identity.iter().map(|source| ("externalEventId", source)))
            .chain(envelope.delivery_id.iter().map(|source| ("deliveryId", source)));
        for (field, source) in fields {
            let refuse = |place, problem| Err(InvalidContract::Place { field, place, problem });
            let is_time = field == "occurredAt";
            let is_identity = field == "externalEventId";
            if source.zone.is_some() && !is_time {
                return refuse("zone", "only a time has a zone");
            }
            match &source.place {
                Place::Header(name) if is_identity && !self.signs_header(name) => {
                    return Err(InvalidContract::UnsignedIdentity(name.clone()));
                }
                Place::Header(_) => {}
                Place::Pointer(_) if self.payload.format != Format::Json => {
                    return refuse("pointer", "only payload.format json has JSON pointers");
                }
                Place::Pointer(_) => {}
                Place::X12(..) if self.payload.format != Format::X12 => {
                    return refuse("x12", "only payload.format x12 has segments");
                }
                Place::X12(_, Some(_)) if !is_time => return refuse("x12", "only a time has two elements"),
                Place::X12(..) => {}
                Place::Constant(constant) if field == "eventType" => {
                    if constant != self.event_type.as_str() {
                        return Err(InvalidContract::Constant(constant.clone(), self.event_type.clone()));
                    }
                }
                Place::Constant(_) if is_identity && identity.len() > 1 => {}
                Place::Constant(_) => return refuse("constant", "it differs from message to message"),
                Place::Digest if is_identity => {}
                Place::Digest => return refuse("digest", "a digest says which message it is, nothing else"),
                Place::DigestOf(_) if !is_identity => {
                    return refuse("digestOf", "a digest says which message it is, nothing else");
                }
                Place::DigestOf(_) if self.payload.format != Format::Json => {
                    return refuse("digestOf", "only payload.format json has JSON pointers");
                }
                Place::DigestOf(_) => {}
                Place::Received if is_time => {}
                Place::Received => return refuse("received", "that is a time"),
            }
        }
        if identity.iter().all(|source| matches!(source.place, Place::Constant(_))) {
            let problem = "a list of constants is the same for every message";
            return Err(InvalidContract::Place { field: "externalEventId", place: "constant", problem });
        }
        if let Place::Header(name) = &envelope.event_type.place
            && !self.signs_header(name)
            && envelope.expect.is_empty()
        {
            return Err(InvalidContract::UnsignedEventType(name.clone()));
        }
        envelope.expect.iter().try_for_each(|expectation| self.check_expectation(expectation))
    }

    fn check_expectation(&self, expectation: &Expectation) -> Result<(), InvalidContract> {
        let Expectation { pointer, present, one_of, starts_with, differs_from, near } = expectation;
        let refuse = |problem| Err(InvalidContract::Expectation(pointer.clone(), problem));
        if self.payload.format != Format::Json {
            return refuse("only payload.format json has JSON pointers");
        }
        let pointers = [Some(pointer), differs_from.as_ref(), near.as_ref().map(|near| &near.pointer)];
        if pointers.into_iter().flatten().any(|pointer| !pointer.starts_with('/')) {
            return refuse("a JSON pointer to a member starts with '/' (RFC 6901)");
        }
        let binds_the_value =
            !one_of.is_empty() || starts_with.is_some() || differs_from.is_some() || near.is_some();
        match present {
            None if !binds_the_value => {
                refuse("say what is expected: present, oneOf, startsWith, differsFrom or near")
            }
            Some(false) if binds_the_value => refuse("what is not there has no value"),
            None | Some(_) => Ok(()),
        }
    }

    /// Whether what proves the sender proves this header as well. A body's MAC proves no header; an API key proves the sender of the
    /// whole request, which nobody can capture without the key.
    fn signs_header(&self, name: &str) -> bool {
        match &self.signature {
            None | Some(Signature::None) => true,
            Some(Signature::StandardWebhooks) => name == HEADER_ID,
            Some(
                Signature::Shopify
                | Signature::Woocommerce
                | Signature::Square { .. }
                | Signature::Hmac { .. },
            ) => false,
        }
    }

    /// Whether every message of one of these two contracts would be one of the other as well.
    ///
    /// A constant matches every message of its path and format. Two places that are read alike tell by their values; two that are read
    /// differently may, and are judged on the message.
    pub fn is_ambiguous_with(&self, other: &Self) -> bool {
        let (Some(own), Some(theirs)) = (&self.envelope, &other.envelope) else { return false };
        let constant = |envelope: &NativeEnvelope| matches!(envelope.event_type.place, Place::Constant(_));
        self.vendor_id == other.vendor_id
            && self.event_type != other.event_type
            && own.path == theirs.path
            && self.payload.format == other.payload.format
            && (constant(own) || constant(theirs))
    }

    /// Takes the schemas into the contract, if acceptance needs them; `read` gives the text of a path of the bundle.
    pub fn embed_schemas<E>(&mut self, mut read: impl FnMut(&str) -> Result<String, E>) -> Result<(), E> {
        self.payload.accept_schemas.clear();
        if self.payload.validate == Validate::Accept {
            for (version, path) in &self.payload.versions {
                self.payload.accept_schemas.insert(version.clone(), read(path)?);
            }
        }
        Ok(())
    }
}

impl Signature {
    fn check(&self) -> Result<(), InvalidContract> {
        let refuse = |problem| Err(InvalidContract::Signature(problem));
        match self {
            Self::Square { url } if !(url.starts_with("https://") || url.starts_with("http://")) => {
                refuse("url must be the notification URL as it is registered with Square")
            }
            Self::Hmac { header, .. } if header_name(header).is_err() => {
                refuse("header must be the name of a header")
            }
            Self::StandardWebhooks
            | Self::Shopify
            | Self::Woocommerce
            | Self::Square { .. }
            | Self::Hmac { .. }
            | Self::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use serde_json::{Value, json};

    fn native() -> Value {
        json!({"vendorId": "shop", "eventType": "orders/create",
            "payload": {"versions": {"1": "schema/1.schema.json"}},
            "envelope": {"eventType": {"header": "X-Shopify-Topic"}, "externalEventId": [{"pointer": "/id"}, {"digest": true}],
                "deliveryId": {"header": "X-Shopify-Webhook-Id"}, "occurredAt": {"pointer": "/updated_at", "zone": "utc"},
                "expect": [{"pointer": "/cancelled_at", "present": false}]},
            "signature": {"scheme": "hmac", "header": "X-Sig", "encoding": "hex", "prefix": "sha256="},
            "canonical": {"type": "OrderPlaced", "version": "1.0"}})
    }

    fn changed(pointer: &str, value: Value) -> Value {
        let mut contract = native();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        contract.pointer_mut(parent).unwrap()[name] = value;
        contract
    }

    fn refused(contract: Value) -> String {
        match serde_json::from_value::<Contract>(contract) {
            Err(error) => error.to_string(),
            Ok(contract) => contract.check().unwrap_err().to_string(),
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let payload_hash = json!({"policy": "payloadHash", "windowSeconds": 15});
        for contract in [
            native(),
            changed("/envelope/eventType", json!({"constant": "orders/create"})),
            changed("/envelope/occurredAt", json!({"received": true})),
            changed("/envelope/path", json!("/v1/orders")),
            changed("/signature", json!({"scheme": "square", "url": "https://x.test/hook"})),
            changed("/signature", json!({"scheme": "none"})),
            changed("/envelope/externalEventId", json!({"digestOf": ["/id", "/lines"]})),
            changed("/envelope/externalEventId", json!([{"constant": "order"}, {"pointer": "/id"}])),
            changed("/envelope/onRefusal", json!("keep")),
            changed(
                "/envelope/expect",
                json!([{"pointer": "/a", "present": true, "oneOf": ["1", "2"]}, {"pointer": "/b", "startsWith": "gid"},
                    {"pointer": "/c", "differsFrom": "/d"}, {"pointer": "/e", "near": {"pointer": "/f", "seconds": 60}}]),
            ),
            changed(
                "/idempotency",
                json!({"policy": "externalEventId", "onConflict": "keep", "otherEventType": "duplicate"}),
            ),
            changed("/envelope/occurredAt", json!({"pointer": "/at", "zone": "Europe/Berlin"})),
            changed(
                "/text",
                json!({"decimal": ",", "grouping": ".", "dates": "dmy", "zone": "Europe/Berlin"}),
            ),
            changed("/text", json!({"encoding": "windows-1252"})),
        ] {
            let contract: Contract = serde_json::from_value(contract).unwrap();
            contract.check().unwrap();
            let written = serde_json::to_value(&contract).unwrap();
            assert_eq!(serde_json::from_value::<Contract>(written).unwrap(), contract);
            let written = toml::to_string(&contract).unwrap();
            assert_eq!(toml::from_str::<Contract>(&written).unwrap(), contract, "{written}");
        }
        let mut orders = changed("/idempotency", payload_hash);
        orders["envelope"].as_object_mut().unwrap().remove("externalEventId");
        serde_json::from_value::<Contract>(orders).unwrap().check().unwrap();
        let plain: Contract = serde_json::from_value(json!({"vendorId": "v", "eventType": "t",
            "payload": {"defaultVersion": "1", "versions": {"1": "s.json"}}, "canonical": {"type": "T", "version": "1.0"}}))
        .unwrap();
        let written = serde_json::to_value(&plain).unwrap();
        let names: Vec<&String> = written.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            ["vendorId", "eventType", "payload", "canonical", "idempotency", "limits"],
            "a bundle that has nothing new keeps its digest"
        );
        assert_eq!(written["payload"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn what_could_not_work_is_refused_in_words() {
        for (pointer, value, words) in [
            ("/envelope/eventType", json!({}), "exactly one of"),
            ("/envelope/eventType", json!({"header": "a", "pointer": "/a"}), "exactly one of"),
            ("/envelope/eventType", json!({"digest": false}), "exactly one of"),
            ("/envelope/eventType", json!({"heder": "a"}), "heder"),
            ("/envelope/eventType", json!({"header": "a b"}), "not a header name"),
            ("/envelope/eventType", json!({"pointer": "type"}), "starts with '/'"),
            ("/envelope/eventType", json!({"x12": "ST"}), "ST01"),
            ("/envelope/eventType", json!({"x12": "ST01"}), "only payload.format x12"),
            ("/envelope/eventType", json!({"constant": "other"}), "never equals"),
            ("/envelope/eventType", json!({"digest": true}), "nothing else"),
            ("/envelope/eventType", json!({"received": true}), "that is a time"),
            ("/envelope/eventType", json!({"header": "a", "zone": "utc"}), "only a time has a zone"),
            ("/envelope/externalEventId", json!({"constant": "x"}), "differs from message to message"),
            ("/envelope/externalEventId", json!([{"constant": "x"}, {"constant": "y"}]), "list of constants"),
            ("/envelope/externalEventId", json!([]), "at least one place"),
            ("/envelope/externalEventId", json!("/id"), "a place in the message, or a list"),
            ("/envelope/externalEventId", json!([{"pointer": "/id"}, {"heder": "x"}]), "heder"),
            ("/envelope/externalEventId", json!([{"pointer": "/id"}, {"received": true}]), "that is a time"),
            ("/envelope/externalEventId", json!({"digestOf": []}), "exactly one of"),
            ("/envelope/externalEventId", json!({"digestOf": ["id"]}), "starts with '/'"),
            ("/envelope/externalEventId", json!({"header": "X-Shopify-Webhook-Id"}), "envelope.deliveryId"),
            (
                "/envelope/externalEventId",
                json!([{"pointer": "/id"}, {"header": "x-event"}]),
                "does not cover",
            ),
            ("/envelope/eventType", json!({"digestOf": ["/id"]}), "nothing else"),
            ("/envelope/deliveryId", json!({"constant": "x"}), "differs from message to message"),
            ("/envelope/deliveryId", json!({"digest": true}), "nothing else"),
            ("/envelope/expect", json!([]), "[[envelope.expect]]"),
            ("/envelope/expect", json!([{"pointer": "/a"}]), "say what is expected"),
            ("/envelope/expect", json!([{"pointer": "a", "present": true}]), "starts with '/'"),
            ("/envelope/expect", json!([{"pointer": "/a", "differsFrom": "b"}]), "starts with '/'"),
            ("/envelope/expect", json!([{"pointer": "/a", "present": false, "oneOf": ["1"]}]), "no value"),
            ("/idempotency", json!({"policy": "externalEventId", "onConflict": "drop"}), "drop"),
            ("/envelope/occurredAt", json!({"pointer": "/t", "zone": "Europe/Bonn"}), "Europe/Bonn"),
            ("/text", json!({"decimal": ",", "grouping": ","}), "[text]: decimal and grouping are the same"),
            ("/text", json!({"grouping": "."}), "without decimal"),
            ("/text", json!({"encoding": "utf-7"}), "utf-7"),
            ("/text", json!({"zone": "local"}), "not a time zone"),
            ("/envelope/path", json!("/v1/other"), "/v1/other"),
            ("/signature", json!({"scheme": "square", "url": "x.test"}), "registered with Square"),
            ("/signature", json!({"scheme": "hmac", "header": "", "encoding": "hex"}), "name of a header"),
            ("/signature", json!({"scheme": "md5"}), "md5"),
            (
                "/idempotency",
                json!({"policy": "payloadHash", "windowSeconds": 15}),
                "without externalEventId",
            ),
            ("/payload/format", json!("csv"), "only json has schemas"),
            ("/payload/versions", json!({"2": "s.json"}), "defaultVersion 1"),
            ("/limits", json!({"payloadBytesMax": 0}), "payloadBytesMax"),
        ] {
            let said = refused(changed(pointer, value.clone()));
            assert!(said.contains(words), "{pointer} {value}: {said}");
        }
        let mut unsigned = changed("/envelope/externalEventId", json!({"header": "x-event"}));
        for scheme in [
            json!({"scheme": "shopify"}),
            json!({"scheme": "woocommerce"}),
            json!({"scheme": "square", "url": "https://x.test"}),
            json!({"scheme": "standardWebhooks"}),
        ] {
            unsigned["signature"] = scheme;
            assert!(refused(unsigned.clone()).contains("x-event"), "{unsigned}");
        }
        unsigned["signature"] = json!({"scheme": "none"});
        serde_json::from_value::<Contract>(unsigned.clone()).unwrap().check().unwrap();
        unsigned["signature"] = json!({"scheme": "standardWebhooks"});
        unsigned["envelope"]["externalEventId"] = json!({"header": "Webhook-Id"});
        serde_json::from_value::<Contract>(unsigned).unwrap().check().unwrap();
        let mut unproved =
            changed("/idempotency", json!({"policy": "externalEventId", "otherEventType": "event"}));
        unproved["envelope"] = json!({"eventType": {"pointer": "/type"}, "occurredAt": {"received": true}});
        assert!(refused(unproved).contains("must prove the event type"));
        let mut window = changed("/idempotency", json!({"policy": "payloadHash", "windowSeconds": 0}));
        window["envelope"]["externalEventId"] = json!({"digest": true});
        assert!(refused(window).contains("windowSeconds is 0"));
        let mut enveloped = native();
        enveloped.as_object_mut().unwrap().remove("envelope");
        assert!(refused(enveloped.clone()).contains("[signature] is for native messages"));
        enveloped["signature"] = json!({"scheme": "none"});
        enveloped["text"] = json!({"encoding": "windows-1252"});
        assert!(refused(enveloped.clone()).contains("an envelope is JSON in UTF-8"));
        enveloped.as_object_mut().unwrap().remove("text");
        enveloped["payload"] = json!({"format": "csv"});
        assert!(refused(enveloped).contains("an envelope cannot carry"));
        let mut csv = changed("/payload", json!({"format": "csv"}));
        assert!(refused(csv.clone()).contains("only payload.format json has JSON pointers"));
        csv["envelope"] = json!({"eventType": {"constant": "orders/create"}, "occurredAt": {"received": true},
            "expect": [{"pointer": "/a", "present": true}]});
        assert!(refused(csv.clone()).contains("only payload.format json has JSON pointers"));
        csv["envelope"] = json!({"eventType": {"constant": "orders/create"}, "occurredAt": {"received": true},
            "externalEventId": {"digestOf": ["/a"]}});
        assert!(refused(csv.clone()).contains("digestOf"));
        csv["payload"]["validate"] = "accept".into();
        assert!(refused(csv).contains("only json has schemas"));
    }

    #[test]
    fn schemas_travel_only_if_acceptance_needs_them() {
        let mut contract: Contract = serde_json::from_value(native()).unwrap();
        contract.embed_schemas(|path| Ok::<_, ()>(format!("text of {path}"))).unwrap();
        assert!(contract.payload.accept_schemas.is_empty());
        contract.payload.validate = Validate::Accept;
        contract.embed_schemas(|path| Ok::<_, ()>(format!("text of {path}"))).unwrap();
        let texts: Vec<&String> = contract.payload.accept_schemas.values().collect();
        assert_eq!(texts, ["text of schema/1.schema.json"]);
        contract.embed_schemas(|_| Ok::<_, ()>(" ".repeat(ACCEPT_SCHEMAS_BYTES_MAX + 1))).unwrap();
        assert!(contract.check().unwrap_err().to_string().contains("make them smaller"));
    }

    #[test]
    fn contracts_that_take_each_others_messages_are_ambiguous() {
        let read = |contract: Value| serde_json::from_value::<Contract>(contract).unwrap();
        let header = read(native());
        let mut other = native();
        other["eventType"] = "orders/cancelled".into();
        assert!(!header.is_ambiguous_with(&read(other.clone())), "the header tells them apart");
        other["envelope"]["eventType"] = json!({"constant": "orders/cancelled"});
        let constant = read(other.clone());
        assert!(header.is_ambiguous_with(&constant) && constant.is_ambiguous_with(&header));
        assert!(!constant.is_ambiguous_with(&constant), "itself, published again");
        other["envelope"]["path"] = "/v1/orders".into();
        assert!(!header.is_ambiguous_with(&read(other)));
    }
}

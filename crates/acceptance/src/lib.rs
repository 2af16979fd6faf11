//! What one vendor request is, by the ports that know vendors, contracts and what was accepted before. It reads only.
//!
//! The function `accept` and `sluice mapper try` call the same [`judge`], so what the command says of a request is what happens to
//! it. Whatever the vendor did wrong is an answer, never an error: an error means that Sluice could not tell. Order of judgement:
//! who (key, or signature), how much (size), what form (content type), who really (signature of an envelope), what (inflating,
//! envelope or native message), whose (vendor of the key), which contract, its schema if the contract says so, seen before?
//!
//! There is one path: an envelope and a native message differ in where their facts are ([`Message`]), and in nothing after that.

mod native;
mod schemas;

use std::borrow::Cow;
use std::sync::Arc;

use sluice_core::bundle::ActiveMapper;
use sluice_core::canonical::count;
use sluice_core::contract::{
    Contract, Format, Idempotency, NativePath, OtherEventType, Otherwise, Signature, Validate,
};
use sluice_core::digest::Sha256Hex;
use sluice_core::envelope::{Envelope, Refusal};
use sluice_core::fault::FieldFault;
use sluice_core::id::{EventType, ExternalEventId, IngestId, SchemaVersion, VendorId};
use sluice_core::intake::{Accepted, Answer, Beside, Decision, Request};
use sluice_core::jiff::Timestamp;
use sluice_core::json::{self, Json};
use sluice_core::limits::{INFLATED_BYTES_MAX, body_bytes_max};
use sluice_core::payload::{InflateError, inflate};
use sluice_core::port::{Clock, Freshness, Ledger, VendorDirectory};
use sluice_core::problem::{Kind, Problem};
use sluice_core::receipt::EventReceipt;
use sluice_core::record::{Form, Hold, LedgerKey, LedgerRow, VendorProfile};
use sluice_core::signature::{signs_envelopes, verify};
use sluice_core::text::charset;
use sluice_core::{Code, Fault};

pub use schemas::Schemas;

/// What the judgement needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Vendors, keys, active mappers.
    pub vendors: Arc<dyn VendorDirectory>,
    /// Read only here.
    pub ledger: Arc<dyn Ledger>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// What contracts want checked before acceptance.
    pub schemas: Schemas,
}

/// Judges one request.
///
/// # Errors
/// What Sluice could not tell: never a vendor's mistake, which is an answer.
pub async fn judge(deps: &Deps, request: &Request, seen: &mut Seen) -> Result<Decision, Fault> {
    match route(deps, request, seen).await {
        Ok(decision) => Ok(decision),
        Err(Stop::Problem(problem)) => Ok(Decision::Answer(problem.into_answer())),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// What is known of a request, however far the judgement came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who sent it, as far as it said so.
    pub vendor_id: Option<VendorId>,
    /// The contract that covers it.
    pub event_type: Option<EventType>,
    /// The vendor's id of the event.
    pub external_event_id: Option<ExternalEventId>,
    /// The sender's id of the delivery.
    pub delivery_id: Option<String>,
    /// It was accepted before.
    pub duplicate: Option<Duplicate>,
}

/// A request for an event that was accepted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Whose.
    pub vendor_id: VendorId,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// When it came again.
    pub again: Timestamp,
}

enum Stop {
    Problem(Problem),
    Fault(Fault),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Envelopes,
    Orders,
    Source(&'a str),
    Receipt(&'a str),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        match segments.as_slice() {
            ["events"] => Some(Self::Envelopes),
            ["orders"] => Some(Self::Orders),
            ["sources" | "uploads", vendor] if !vendor.is_empty() => Some(Self::Source(vendor)),
            ["events", ingest_id] if !ingest_id.is_empty() => Some(Self::Receipt(ingest_id)),
            _ => None,
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Envelopes | Self::Orders | Self::Source(_) => "POST",
            Self::Receipt(_) => "GET",
        }
    }
}

async fn route(deps: &Deps, request: &Request, seen: &mut Seen) -> Result<Decision, Stop> {
    let Some(route) = Route::of(&request.path) else {
        let detail = "there is nothing at this path: events are posted to /v1/events, /v1/orders, /v1/sources/{vendorId} or /v1/uploads/{vendorId}";
        return Err(Problem::new(Kind::NotFound, detail).into());
    };
    if request.method != route.method() {
        return Err(Problem::new(Kind::MethodNotAllowed, format!("use {}", route.method())).into());
    }
    match route {
        Route::Envelopes => envelope(deps, request, seen).await,
        Route::Orders => native::keyed(deps, request, NativePath::Orders, seen).await,
        Route::Source(vendor) => native::sourced(deps, request, vendor, seen).await,
        Route::Receipt(ingest_id) => receipt(deps, request, ingest_id, seen).await,
    }
}

async fn envelope(deps: &Deps, request: &Request, seen: &mut Seen) -> Result<Decision, Stop> {
    let profile = authenticate(deps, request).await?;
    seen.vendor_id = Some(profile.vendor_id.clone());
    let body = body_within_bounds(request)?;
    let media_type = MediaType::of(request);
    media_type.require(&[Format::Json], false)?;
    let now = deps.clock.now();
    let signed = signs_envelopes(&profile.webhook_secrets);
    if signed {
        verify(&Signature::StandardWebhooks, request, &body, &profile.webhook_secrets, now)
            .map_err(|error| Problem::new(Kind::SignatureInvalid, format!("{error} (Standard Webhooks)")))?;
    }
    let inflated = inflated(request, &body)?;
    let envelope = Envelope::parse(&inflated, now).map_err(|refusal| match refusal {
        Refusal::NotJson(error) => {
            let detail = if inflated.is_empty() {
                "the body is empty: send a JSON envelope".to_owned()
            } else {
                format!("the body is {error}")
            };
            Problem::new(Kind::BodyUnreadable, detail)
        }
        Refusal::Faults(faults) => {
            let detail = format!("the envelope has {}", count(faults.len(), "fault"));
            Problem::new(Kind::EnvelopeInvalid, detail).with_errors(faults)
        }
    })?;
    seen.external_event_id = Some(envelope.external_event_id.clone());
    if envelope.vendor_id != profile.vendor_id {
        let detail = format!(
            "the envelope says vendorId {:?}, but the API key belongs to another vendor",
            envelope.vendor_id
        );
        return Err(Problem::new(Kind::VendorMismatch, detail).into());
    }
    let active =
        deps.vendors.active_mapper(&envelope.vendor_id, &envelope.event_type, Freshness::Cached).await?;
    let unknown = |detail: &str, message: String| {
        let fault = FieldFault { pointer: "/eventType".into(), code: "unknown".into(), message };
        Problem::new(Kind::EventTypeUnknown, detail).with_errors(vec![fault])
    };
    if active.is_none() && profile.keeps_unknown(Form::Envelope) {
        seen.event_type = Some(envelope.event_type.clone());
        let terms = Terms::uncovered(&envelope.vendor_id, &envelope.event_type);
        let message = Message::enveloped(&envelope, SchemaVersion::unstated());
        let received = Received { request, body: &body, media_type: &media_type };
        return decide(deps, &received, terms, message, seen).await;
    }
    let Some(active) = active else {
        let message = format!("{} has no contract for {:?}", envelope.vendor_id, envelope.event_type);
        let detail = "no contract covers this event type: check its spelling, or ask for it to be onboarded";
        return Err(unknown(detail, message).into());
    };
    let contract = &active.contract;
    seen.event_type = Some(contract.event_type.clone());
    // What the vendor's own messages must prove, an envelope must prove as well: an API key alone does not stand in for it.
    if let Some(scheme) = contract.signature.as_ref().filter(|scheme| !signed && **scheme != Signature::None)
    {
        verify(scheme, request, &body, &profile.webhook_secrets, now).map_err(|error| {
            let detail = format!("{error} ({:?} is signed on every path)", envelope.event_type);
            Problem::new(Kind::SignatureInvalid, detail)
        })?;
    }
    // An envelope says all that acceptance needs, but it carries JSON only, and has an identity of its own.
    if let Some(native) = &contract.envelope
        && (contract.payload.format != Format::Json
            || matches!(contract.idempotency, Idempotency::PayloadHash { .. }))
    {
        let message =
            format!("{:?} is sent to {}, without an envelope", envelope.event_type, native.path.as_str());
        return Err(unknown("this event type is not sent in an envelope", message).into());
    }
    within_contract(&active, inflated.len())?;
    let message = Message::enveloped(&envelope, contract.payload.default_version.clone());
    if contract.payload.validate == Validate::Accept {
        let payload = json::parse(envelope.payload)
            .map_err(|error| Problem::new(Kind::BodyUnreadable, format!("the payload is {error}")))?;
        satisfies(deps, &active, &message.schema_version, &payload, "/payload")?;
    }
    let terms = Terms::of(contract);
    decide(deps, &Received { request, body: &body, media_type: &media_type }, terms, message, seen).await
}

/// The facts about a message, wherever they were found.
struct Message {
    external_event_id: ExternalEventId,
    schema_version: SchemaVersion,
    /// `None`: it cannot be told.
    occurred_at: Option<Timestamp>,
    payload_sha256: Sha256Hex,
    /// Of a native message: of the message alone, whatever its event type.
    message_sha256: Option<Sha256Hex>,
    form: Form,
    delivery_id: Option<String>,
    /// Why it cannot be taken as it is.
    refusal: Option<Hold>,
}

impl Message {
    /// What an envelope says; `default_version` is that of a payload whose version is not stated.
    fn enveloped(envelope: &Envelope<'_>, default_version: SchemaVersion) -> Self {
        Self {
            external_event_id: envelope.external_event_id.clone(),
            schema_version: envelope.schema_version.clone().unwrap_or(default_version),
            occurred_at: Some(envelope.occurred_at),
            payload_sha256: envelope.payload_sha256.clone(),
            message_sha256: None,
            form: Form::Envelope,
            delivery_id: None,
            refusal: None,
        }
    }
}

/// A request whose body is at hand.
struct Received<'a> {
    request: &'a Request,
    body: &'a [u8],
    media_type: &'a MediaType<'a>,
}

/// By what a message is accepted: its contract, or what holds where there is none.
struct Terms<'a> {
    vendor_id: &'a VendorId,
    event_type: &'a EventType,
    idempotency: Idempotency,
    on_refusal: Otherwise,
}

impl<'a> Terms<'a> {
    fn of(contract: &'a Contract) -> Self {
        Self {
            vendor_id: &contract.vendor_id,
            event_type: &contract.event_type,
            idempotency: contract.idempotency.clone(),
            on_refusal: contract.envelope.as_ref().map_or(Otherwise::Refuse, |native| native.on_refusal),
        }
    }

    /// Of a message that no contract covers.
    fn uncovered(vendor_id: &'a VendorId, event_type: &'a EventType) -> Self {
        Self { vendor_id, event_type, idempotency: Idempotency::default(), on_refusal: Otherwise::Refuse }
    }
}

/// Seen before? If not, it gets its id.
async fn decide(
    deps: &Deps,
    received: &Received<'_>,
    terms: Terms<'_>,
    message: Message,
    seen: &mut Seen,
) -> Result<Decision, Stop> {
    let key = LedgerKey { vendor_id: terms.vendor_id.clone(), external_event_id: message.external_event_id };
    let (ingest_id, received_at) = deps.clock.mint();
    let content_encoding = content_encoding(received.request);
    let mut accepted = Accepted {
        ingest_id,
        vendor_id: key.vendor_id.clone(),
        external_event_id: key.external_event_id.clone(),
        event_type: terms.event_type.clone(),
        schema_version: message.schema_version,
        occurred_at: message.occurred_at.unwrap_or(received_at),
        received_at,
        raw_sha256: Sha256Hex::of(received.body),
        raw_bytes: received.body.len() as u64,
        payload_sha256: message.payload_sha256,
        message_sha256: message.message_sha256,
        other_event_type: OtherEventType::default(),
        form: message.form,
        delivery_id: message.delivery_id,
        hold: None,
        on_conflict: Otherwise::Refuse,
        window_seconds: None,
        content_type: received.media_type.stated.to_owned(),
        content_encoding: content_encoding
            .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
            .map(str::to_ascii_lowercase),
        conflicts: false,
    };
    let mut own_key = None;
    match terms.idempotency {
        Idempotency::ExternalEventId { on_conflict, other_event_type } => {
            accepted.on_conflict = on_conflict;
            accepted.other_event_type = other_event_type;
            if let Some(row) = deps.ledger.find(&key).await? {
                match accepted.beside(&row) {
                    Beside::Duplicate => return Ok(duplicate(&row, received_at, seen)),
                    Beside::Another => own_key = Some(key.of_conflict(&accepted.payload_sha256)),
                    Beside::Conflict => {
                        own_key = Some(key.of_conflict(&accepted.payload_sha256));
                        // Recorded as a divergence by `PersistRaw`, which may write.
                        accepted.conflicts = true;
                    }
                }
            }
        }
        Idempotency::PayloadHash { window_seconds } => {
            accepted.window_seconds = Some(window_seconds);
            if let Some(row) = deps.ledger.find_last(&key).await? {
                if row.is_within_window(window_seconds, received_at) {
                    return Ok(duplicate(&row, received_at, seen));
                }
                accepted.external_event_id = row.key.next_generation()?.external_event_id;
            }
        }
    }
    if let Some(refusal) = &message.refusal
        && terms.on_refusal == Otherwise::Refuse
    {
        let problem = Problem::new(Kind::MessageInvalid, refusal.message.clone());
        return Err(problem.with_errors(refusal.errors.clone()).into());
    }
    if message.refusal.is_some() {
        own_key = Some(message_key(&key.vendor_id, &accepted.payload_sha256));
    }
    // What was kept before under a key of its own, or made an event by a person, is known.
    if let Some(own_key) = &own_key
        && let Some(row) = deps.ledger.find(own_key).await?
    {
        return Ok(duplicate(&row, received_at, seen));
    }
    if let (Some(refusal), Some(own_key)) = (message.refusal, own_key) {
        // It claims no identity: the event itself may still come.
        accepted.external_event_id = own_key.external_event_id;
        (accepted.hold, accepted.conflicts, accepted.window_seconds) = (Some(refusal), false, None);
    }
    Ok(Decision::Accepted(Box::new(accepted)))
}

/// The key of a message that is kept without an identity: that of its content and its event type.
fn message_key(vendor_id: &VendorId, payload_sha256: &Sha256Hex) -> LedgerKey {
    LedgerKey { vendor_id: vendor_id.clone(), external_event_id: ExternalEventId::of_digest(payload_sha256) }
        .of_conflict(payload_sha256)
}

fn duplicate(row: &LedgerRow, again: Timestamp, seen: &mut Seen) -> Decision {
    seen.duplicate =
        Some(Duplicate { vendor_id: row.key.vendor_id.clone(), accepted: row.received_at, again });
    Decision::Answer(Answer::duplicate(row.ingest_id, row.received_at))
}

/// The receipt of an event, for the vendor that sent it. Another vendor's event is no more there than one that never was.
async fn receipt(deps: &Deps, request: &Request, text: &str, seen: &mut Seen) -> Result<Decision, Stop> {
    let profile = authenticate(deps, request).await?;
    seen.vendor_id = Some(profile.vendor_id.clone());
    let row = match text.parse::<IngestId>() {
        Ok(ingest_id) => deps.ledger.find_by_ingest_id(ingest_id).await?,
        Err(_) => None,
    };
    let Some(row) = row.filter(|row| row.key.vendor_id == profile.vendor_id) else {
        let detail = format!("{} has no event with this ingestId", profile.vendor_id);
        return Err(Problem::new(Kind::NotFound, detail).into());
    };
    seen.external_event_id = Some(row.key.external_event_id.clone());
    Ok(Decision::Answer(Answer::json(200, &EventReceipt::of(&row))))
}

/// The vendor that the API key is bound to. A key is looked up by its digest, so nothing is compared that time could tell of.
async fn authenticate(deps: &Deps, request: &Request) -> Result<VendorProfile, Stop> {
    let unknown = |detail: &str| Stop::from(Problem::new(Kind::Unauthenticated, detail));
    if request.repeats_header("x-api-key") {
        return Err(unknown("the header x-api-key came more than once: send it once"));
    }
    let key = api_key(request);
    if key.is_empty() {
        return Err(unknown("send the vendor's API key in the header x-api-key"));
    }
    let digest = Sha256Hex::of(key.as_bytes());
    let Some(owner) = deps.vendors.owner_of_key(&digest).await? else {
        return Err(unknown("the API key in the header x-api-key is not known"));
    };
    match deps.vendors.profile(&owner, Freshness::Cached).await? {
        Some(profile) if !profile.api_key_sha256.contains(&digest) => Err(unknown("the API key was revoked")),
        Some(profile) => enabled(profile),
        None => Err(unknown("the API key in the header x-api-key is not known")),
    }
}

fn api_key(request: &Request) -> &str {
    request.header("x-api-key").unwrap_or_default()
}

/// Asked only of a sender that is proved: who may send nothing learns nothing either.
fn enabled(profile: VendorProfile) -> Result<VendorProfile, Stop> {
    if profile.enabled {
        return Ok(profile);
    }
    let detail = "the vendor was disabled by the operator: nothing was stored";
    Err(Problem::new(Kind::VendorDisabled, detail).into())
}

fn body_within_bounds(request: &Request) -> Result<Vec<u8>, Stop> {
    let Some(body) = request.body_bytes() else {
        return Err(Fault::new(Code::InputMalformed, "the front door did not give the body as base64").into());
    };
    if body.len() > body_bytes_max(&request.path) {
        return Err(Problem::body_too_large(&request.path).into());
    }
    Ok(body)
}

fn content_encoding(request: &Request) -> Option<&str> {
    request.header("content-encoding").map(str::trim).filter(|encoding| !encoding.is_empty())
}

fn inflated<'a>(request: &Request, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Problem> {
    inflate(body, content_encoding(request)).map_err(|error| {
        let kind = match error {
            InflateError::Corrupt(_) => Kind::BodyUnreadable,
            InflateError::TooLarge => Kind::BodyTooLarge,
            InflateError::Unsupported(_) => Kind::ContentTypeUnsupported,
        };
        Problem::new(kind, error.to_string())
    })
}

fn bytes_max(active: &ActiveMapper) -> usize {
    active.contract.limits.payload_bytes_max.min(INFLATED_BYTES_MAX)
}

fn within_contract(active: &ActiveMapper, bytes: usize) -> Result<(), Problem> {
    let bytes_max = bytes_max(active);
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("the body has {bytes} bytes, the contract allows {bytes_max}");
    Err(Problem::new(Kind::BodyTooLarge, detail))
}

/// Holds a payload against its schema before acceptance; every fault, by its pointer into the body.
fn satisfies(
    deps: &Deps,
    active: &ActiveMapper,
    version: &SchemaVersion,
    payload: &Json,
    prefix: &str,
) -> Result<(), Stop> {
    let (vendor_id, event_type) = (&active.contract.vendor_id, &active.contract.event_type);
    let refuse = |faults: Vec<FieldFault>| {
        let detail = format!("the message has {}", count(faults.len(), "fault"));
        Stop::from(Problem::new(Kind::MessageInvalid, detail).with_errors(faults))
    };
    let Some(schema) = deps.schemas.get(active, version)? else {
        let known: Vec<&str> = active.contract.payload.versions.keys().map(SchemaVersion::as_str).collect();
        return Err(refuse(vec![FieldFault {
            pointer: "/schemaVersion".into(),
            code: "unknown".into(),
            message: format!(
                "{vendor_id} {event_type} has no schema {version:?}; known are {}",
                known.join(", ")
            ),
        }]));
    };
    let mut faults: Vec<FieldFault> = schema
        .faults(&payload.to_value())
        .into_iter()
        .map(|fault| FieldFault { pointer: format!("{prefix}{}", fault.pointer), ..fault })
        .collect();
    if let Some(pointer) = payload.first_duplicate_key() {
        faults.push(FieldFault {
            pointer: format!("{prefix}{pointer}"),
            code: "duplicate_key".into(),
            message: "appears more than once, so it is not clear which one holds".into(),
        });
    }
    if faults.is_empty() { Ok(()) } else { Err(refuse(faults)) }
}

/// The content type as stated, and taken apart.
struct MediaType<'a> {
    stated: &'a str,
    essence: String,
}

/// Longest content type that is read, in bytes: it is kept with the event.
const CONTENT_TYPE_BYTES_MAX: usize = 256;

impl<'a> MediaType<'a> {
    fn of(request: &'a Request) -> Self {
        let all = request.header("content-type").unwrap_or_default();
        // A header that was sent twice arrives as a list; it says one thing if its elements are alike.
        let mut elements = all.split(',').map(str::trim);
        let first = elements.next().unwrap_or_default();
        let stated = if elements.all(|other| other.eq_ignore_ascii_case(first)) { first } else { all };
        let essence = stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { stated, essence }
    }

    /// Whether it may stand in a header, and be kept with the event.
    fn is_well_formed(&self) -> bool {
        self.stated.len() <= CONTENT_TYPE_BYTES_MAX
            && self.stated.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
    }

    /// Refuses what is in none of the formats. JSON is UTF-8 unless a contract `declares` otherwise;
    /// what a file is, is found out after it is kept.
    fn require(&self, formats: &[Format], declares: bool) -> Result<(), Problem> {
        let refuse = |detail: String| Err(Problem::new(Kind::ContentTypeUnsupported, detail));
        if !self.is_well_formed() {
            return refuse(format!(
                "the content type is longer than {CONTENT_TYPE_BYTES_MAX} bytes, or has characters that no header may have"
            ));
        }
        if !formats.iter().any(|format| format.fits(&self.essence)) {
            let shown: String = self.stated.chars().take(80).collect();
            let mut wanted: Vec<&str> = formats.iter().map(|format| format.media_type()).collect();
            wanted.sort_unstable();
            wanted.dedup();
            return refuse(format!("the content type is {shown:?}: send {}", wanted.join(" or ")));
        }
        if Format::Json.fits(&self.essence)
            && !declares
            && charset(self.stated).is_some_and(|it| !is_ascii(it))
        {
            return refuse("JSON is UTF-8 (RFC 8259): send it without another charset".to_owned());
        }
        Ok(())
    }
}

/// ASCII is a part of UTF-8.
fn is_ascii(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("us-ascii") || charset.eq_ignore_ascii_case("ascii")
}

fn source_vendor(text: &str) -> Result<VendorId, Problem> {
    text.parse()
        .map_err(|error| Problem::new(Kind::NotFound, format!("no vendor can have this name: {error}")))
}

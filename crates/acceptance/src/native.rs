//! Native messages: a vendor's own message at a path of its own, told by its contracts.
//!
//! At `/v1/sources/{vendorId}` (and `/v1/uploads/{vendorId}`, which takes larger bodies and differs in nothing else) the path claims a vendor, and the signature that the contract names proves it; where a contract names none,
//! the API key does. Elsewhere the API key says who it is, and a signature, if the contract names one, must hold as well. Only contracts
//! whose proof holds are looked at further, so that nobody has a body parsed who is not known.
//!
//! A vendor that does not exist cannot be told from a signature that does not hold: same answer, same reads, same MACs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::json;
use sluice_core::bundle::ActiveMapper;
use sluice_core::contract::{Contract, Format, NativeEnvelope, NativePath, Signature, Validate};
use sluice_core::fault::FieldFault;
use sluice_core::id::{ExternalEventId, SchemaVersion, VendorId};
use sluice_core::intake::{Answer, Decision, Request};
use sluice_core::native::{Document, Native, Uncovered, Unreadable, describe, event_type};
use sluice_core::port::Freshness;
use sluice_core::problem::{Kind, Problem};
use sluice_core::record::{Form, VendorProfile};
use sluice_core::signature::verify;
use sluice_core::text::{Encoding, charset};
use sluice_core::{Code, Fault};

use crate::{
    Deps, MediaType, Message, Received, Seen, Stop, Terms, api_key, authenticate, body_within_bounds,
    bytes_max, decide, enabled, inflated, satisfies, source_vendor, within_contract,
};

/// A contract that may take the request.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    active: &'a ActiveMapper,
    envelope: &'a NativeEnvelope,
}

impl<'a> Candidate<'a> {
    fn all(contracts: &'a [ActiveMapper], path: NativePath) -> Vec<Self> {
        let native = contracts
            .iter()
            .filter_map(|active| Some(Self { active, envelope: active.contract.envelope.as_ref()? }));
        native.filter(|candidate| candidate.envelope.path == path).collect()
    }

    fn format(&self) -> Format {
        self.active.contract.payload.format
    }

    fn reading(&self) -> Reading {
        (self.format(), self.active.contract.text.encoding)
    }

    /// The body in UTF-8, as far as it can be decoded: what cannot is refused after it is kept.
    fn utf8<'b>(&self, body: &'b [u8], content_type: &str) -> Cow<'b, [u8]> {
        self.active.contract.text.utf8_lossy(self.format(), body, charset(content_type))
    }

    fn scheme(&self) -> &'a Signature {
        self.active.contract.signature.as_ref().unwrap_or(&Signature::None)
    }
}

/// The vendor is the one that the API key belongs to.
pub(crate) async fn keyed(
    deps: &Deps,
    request: &Request,
    path: NativePath,
    seen: &mut Seen,
) -> Result<Decision, Stop> {
    let profile = authenticate(deps, request).await?;
    seen.vendor_id = Some(profile.vendor_id.clone());
    let body = body_within_bounds(request)?;
    let contracts = deps.vendors.contracts(&profile.vendor_id).await?;
    let mut candidates = Candidate::all(&contracts, path);
    if candidates.is_empty() {
        return Err(nothing_here(&profile, path).into());
    }
    let proofs = Proofs::check(deps, request, &body, &candidates, &profile.webhook_secrets);
    let refused = proofs.why_not(&candidates);
    candidates.retain(|candidate| *candidate.scheme() == Signature::None || proofs.holds(candidate.scheme()));
    match refused.filter(|_| candidates.is_empty()) {
        Some(detail) => Err(Problem::new(Kind::SignatureInvalid, detail).into()),
        None => take(deps, request, &body, candidates, None, seen).await,
    }
}

/// The vendor is the one that the path names, if the request proves it.
pub(crate) async fn sourced(
    deps: &Deps,
    request: &Request,
    vendor: &str,
    seen: &mut Seen,
) -> Result<Decision, Stop> {
    let vendor_id = source_vendor(vendor)?;
    seen.vendor_id = Some(vendor_id.clone());
    let body = body_within_bounds(request)?;
    if is_ping(request, &body) {
        return Ok(Decision::Answer(Answer::json(200, &json!({"status": "PONG"}))));
    }
    let profile = deps.vendors.profile(&vendor_id, Freshness::Cached).await?;
    let contracts = deps.vendors.contracts(&vendor_id).await?;
    let mut candidates = Candidate::all(&contracts, NativePath::Sources);
    let secrets = profile.as_ref().map_or(&[][..], |profile| &profile.webhook_secrets);
    let proofs = Proofs::check(deps, request, &body, &candidates, secrets);
    if proofs.any()
        && let Some(profile) = profile
    {
        let profile = enabled(profile)?;
        candidates.retain(|candidate| proofs.holds(candidate.scheme()));
        return take(deps, request, &body, candidates, keeper(&profile), seen).await;
    }
    if api_key(request).is_empty() {
        let detail = "nothing in this request proves that this vendor sent it: sign the exact bytes by the scheme that was agreed, with a secret in force, or send the vendor's API key in x-api-key where no signature was agreed";
        return Err(Problem::new(Kind::SignatureInvalid, detail).into());
    }
    let profile = authenticate(deps, request).await?;
    if profile.vendor_id != vendor_id {
        let detail = format!("the path says {vendor_id:?}, but the API key belongs to another vendor");
        return Err(Problem::new(Kind::VendorMismatch, detail).into());
    }
    if candidates.is_empty() {
        return Err(nothing_here(&profile, NativePath::Sources).into());
    }
    let refused = proofs.why_not(&candidates);
    candidates.retain(|candidate| *candidate.scheme() == Signature::None);
    match refused.filter(|_| candidates.is_empty()) {
        Some(detail) => Err(Problem::new(Kind::SignatureInvalid, detail).into()),
        None => take(deps, request, &body, candidates, keeper(&profile), seen).await,
    }
}

/// Whose messages are kept though no contract covers them. Only at the path where senders are that cannot act on a refusal.
fn keeper(profile: &VendorProfile) -> Option<&VendorId> {
    profile.keeps_unknown(Form::Native).then_some(&profile.vendor_id)
}

fn nothing_here(profile: &VendorProfile, path: NativePath) -> Problem {
    let detail = format!(
        "{} has no contract for messages at {}: ask for it to be onboarded, or send envelopes to /v1/events",
        profile.vendor_id,
        path.as_str()
    );
    Problem::new(Kind::NotFound, detail)
}

/// What WooCommerce posts, unsigned, when a webhook is made, and expects 200 for: `webhook_id=<number>` as a form. It says nothing, so nothing
/// is stored; and it is answered for every vendor, so nothing is learned.
fn is_ping(request: &Request, body: &[u8]) -> bool {
    let is_form = MediaType::of(request).essence == "application/x-www-form-urlencoded";
    let id = body.strip_prefix(b"webhook_id=");
    is_form && id.is_some_and(|id| (1..=20).contains(&id.len()) && id.iter().all(u8::is_ascii_digit))
}

/// Which of the vendor's schemes hold for a request.
struct Proofs<'a>(BTreeMap<&'a Signature, Result<(), String>>);

impl<'a> Proofs<'a> {
    /// Checks each scheme once; one at least, though there be none.
    fn check(
        deps: &Deps,
        request: &Request,
        body: &[u8],
        candidates: &[Candidate<'a>],
        secrets: &[String],
    ) -> Self {
        let now = deps.clock.now();
        let mut proofs = BTreeMap::new();
        for scheme in candidates.iter().map(Candidate::scheme).filter(|scheme| **scheme != Signature::None) {
            proofs.entry(scheme).or_insert_with(|| {
                verify(scheme, request, body, secrets, now).map_err(|error| error.to_string())
            });
        }
        if proofs.is_empty() {
            // Nobody has a secret here, so it cannot hold.
            let _ = verify(&Signature::Shopify, request, body, &[], now);
        }
        Self(proofs)
    }

    fn any(&self) -> bool {
        self.0.values().any(Result::is_ok)
    }

    fn holds(&self, scheme: &Signature) -> bool {
        self.0.get(scheme).is_some_and(Result::is_ok)
    }

    /// For a sender that is proved otherwise: what was wrong with its signature.
    fn why_not(&self, candidates: &[Candidate<'_>]) -> Option<String> {
        let mut reasons: Vec<&str> = candidates
            .iter()
            .filter_map(|candidate| self.0.get(candidate.scheme())?.as_ref().err())
            .map(String::as_str)
            .collect();
        reasons.dedup();
        (!reasons.is_empty()).then(|| reasons.join("; or "))
    }
}

/// The sender is known: which contract, and what does it say of the message?
async fn take(
    deps: &Deps,
    request: &Request,
    body: &[u8],
    mut candidates: Vec<Candidate<'_>>,
    keeper: Option<&VendorId>,
    seen: &mut Seen,
) -> Result<Decision, Stop> {
    let media_type = MediaType::of(request);
    let formats: Vec<Format> = candidates.iter().map(Candidate::format).collect();
    let declares = candidates.iter().any(|candidate| candidate.active.contract.text.encoding.is_some());
    media_type.require(&formats, declares)?;
    candidates.retain(|candidate| candidate.format().fits(&media_type.essence));
    let inflated = inflated(request, body)?;
    // What no contract covers is bounded by what any message may have.
    if keeper.is_none()
        && let Some(widest) = candidates.iter().max_by_key(|candidate| bytes_max(candidate.active))
    {
        within_contract(widest.active, inflated.len())?;
    }
    let texts: Vec<Cow<'_, [u8]>> =
        candidates.iter().map(|candidate| candidate.utf8(&inflated, media_type.stated)).collect();
    let documents = Documents::parse(&candidates, &texts);
    let candidate = match documents.covering(request, &candidates) {
        Ok(candidate) => candidate,
        Err(Stop::Problem(problem)) => {
            let Some(vendor_id) = keeper.filter(|_| !inflated.is_empty()) else { return Err(problem.into()) };
            let siblings = documents.siblings(&candidates, &inflated);
            let uncovered = Uncovered::read(&siblings, request, &inflated, deps.clock.now());
            return keep(
                deps,
                &Received { request, body, media_type: &media_type },
                vendor_id,
                uncovered,
                seen,
            )
            .await;
        }
        Err(stop) => return Err(stop),
    };
    let (active, contract) = (candidate.active, &candidate.active.contract);
    seen.event_type = Some(contract.event_type.clone());
    within_contract(active, inflated.len())?;
    let document = documents.of(candidate)?;
    if contract.payload.validate == Validate::Accept
        && let Document::Json(json) = document
    {
        satisfies(deps, active, &contract.payload.default_version, json, "")?;
    }
    let native = Native::read(contract, candidate.envelope, request, document, deps.clock.now());
    let refusal = native.refusal();
    seen.external_event_id.clone_from(&native.external_event_id);
    seen.delivery_id.clone_from(&native.delivery_id);
    let message = Message {
        external_event_id: native
            .external_event_id
            .unwrap_or_else(|| ExternalEventId::of_digest(&native.message_sha256)),
        schema_version: contract.payload.default_version.clone(),
        occurred_at: native.occurred_at,
        payload_sha256: native.payload_sha256,
        message_sha256: Some(native.message_sha256),
        form: Form::Native,
        delivery_id: native.delivery_id,
        refusal,
    };
    let terms = Terms::of(contract);
    decide(deps, &Received { request, body, media_type: &media_type }, terms, message, seen).await
}

/// Accepts what no contract covers: it waits in quarantine for a mapper, and the contract of that decides.
async fn keep(
    deps: &Deps,
    received: &Received<'_>,
    vendor_id: &VendorId,
    uncovered: Uncovered,
    seen: &mut Seen,
) -> Result<Decision, Stop> {
    seen.event_type = Some(uncovered.event_type.clone());
    let external_event_id = ExternalEventId::of_digest(&uncovered.payload_sha256);
    seen.external_event_id = Some(external_event_id.clone());
    let message = Message {
        external_event_id,
        schema_version: SchemaVersion::unstated(),
        occurred_at: uncovered.occurred_at,
        payload_sha256: uncovered.payload_sha256,
        message_sha256: Some(uncovered.message_sha256),
        form: Form::Native,
        delivery_id: None,
        refusal: None,
    };
    decide(deps, received, Terms::uncovered(vendor_id, &uncovered.event_type), message, seen).await
}

/// The body as each candidate reads it: what is read alike is read once.
struct Documents<'a>(Vec<(Reading, Result<Document<'a>, Unreadable>)>);

/// What decides how a body is read.
type Reading = (Format, Option<Encoding>);

impl<'a> Documents<'a> {
    /// `texts` are the body in UTF-8, by the candidates' declarations and in their order.
    fn parse(candidates: &[Candidate<'_>], texts: &'a [Cow<'_, [u8]>]) -> Self {
        let mut documents: Vec<(Reading, Result<Document<'a>, Unreadable>)> = Vec::new();
        for (candidate, text) in candidates.iter().zip(texts) {
            let reading = candidate.reading();
            if !documents.iter().any(|(known, _)| *known == reading) {
                documents.push((reading, Document::parse(candidate.format(), text)));
            }
        }
        Self(documents)
    }

    /// What each candidate reads.
    fn siblings<'c>(
        &self,
        candidates: &[Candidate<'c>],
        body: &'a [u8],
    ) -> Vec<(&'c Contract, &'c NativeEnvelope, Document<'a>)> {
        let read = |candidate: &Candidate<'c>| {
            let document = self.find(candidate).cloned().unwrap_or(Document::Unread(body));
            (&candidate.active.contract, candidate.envelope, document)
        };
        candidates.iter().map(read).collect()
    }

    /// The contract that covers the message. A problem: none does.
    fn covering<'c>(&self, request: &Request, candidates: &[Candidate<'c>]) -> Result<Candidate<'c>, Stop> {
        if self.0.iter().all(|(_, document)| document.is_err())
            && let Some((_, Err(error))) = self.0.first()
        {
            return Err(Problem::new(Kind::BodyUnreadable, format!("the body is {error}")).into());
        }
        self.only_match(request, candidates)
    }

    fn find(&self, candidate: &Candidate<'_>) -> Option<&Document<'a>> {
        let reading = candidate.reading();
        self.0.iter().find(|(known, _)| *known == reading).and_then(|(_, document)| document.as_ref().ok())
    }

    fn of(&self, candidate: Candidate<'_>) -> Result<&Document<'a>, Fault> {
        self.find(&candidate)
            .ok_or_else(|| Fault::new(Code::InputMalformed, "a contract of a format that was not read"))
    }

    /// The one contract whose event type the message has.
    fn only_match<'c>(&self, request: &Request, candidates: &[Candidate<'c>]) -> Result<Candidate<'c>, Stop> {
        let mut matching: Vec<Candidate<'c>> = Vec::new();
        let mut faults: Vec<FieldFault> = Vec::new();
        for candidate in candidates {
            let Some(document) = self.find(candidate) else { continue };
            let source = &candidate.envelope.event_type;
            let fault = match event_type(source, request, document) {
                Ok(said) if said == candidate.active.contract.event_type.as_str() => {
                    matching.push(*candidate);
                    continue;
                }
                Ok(said) => {
                    let said: String = said.chars().take(80).collect();
                    let pointer = match &source.place {
                        sluice_core::contract::Place::Pointer(pointer) => pointer.clone(),
                        _ => String::new(),
                    };
                    let message = format!("{} says {said:?}", describe(&source.place));
                    FieldFault { pointer, code: "unknown".into(), message }
                }
                Err(fault) => fault,
            };
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        match matching.as_slice() {
            [one] => Ok(*one),
            [] => {
                let known: Vec<&str> =
                    candidates.iter().map(|candidate| candidate.active.contract.event_type.as_str()).collect();
                let detail = format!(
                    "no contract covers this message: known are {}; ask for others to be onboarded",
                    known.join(", ")
                );
                Err(Problem::new(Kind::EventTypeUnknown, detail).with_errors(faults).into())
            }
            [first, second, ..] => Err(Fault::new(
                Code::ConfigurationInvalid,
                format!(
                    "a message of {} is of two contracts, {} and {}: publish one of them so that they can be told apart",
                    first.active.contract.vendor_id,
                    first.active.contract.event_type,
                    second.active.contract.event_type
                ),
            )
            .into()),
        }
    }
}

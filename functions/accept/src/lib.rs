//! `Accept`: decides what one vendor request is, and reads only.
//!
//! Whatever the vendor did wrong is an answer, never an error: an error of this function means that Sluice could not tell, and
//! becomes 503. Order of judgement: who (key), how much (size), what form (content type), who really (signature), what
//! (inflating, envelope), whose (vendor of the key), which contract, seen before?

mod config;
mod signature;

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::digest::Sha256Hex;
use sluice_core::envelope::{Envelope, Refusal};
use sluice_core::fault::FieldFault;
use sluice_core::intake::{Accepted, Answer, Decision, Request};
use sluice_core::limits::{BODY_BYTES_MAX, INFLATED_BYTES_MAX};
use sluice_core::payload::{InflateError, inflate};
use sluice_core::port::{Clock, Freshness, Ledger, VendorDirectory};
use sluice_core::problem::{Kind, Problem};
use sluice_core::record::{LedgerKey, VendorProfile};
use sluice_core::{Code, Fault};

pub use config::Config;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Vendors, keys, active mappers.
    pub vendors: Arc<dyn VendorDirectory>,
    /// Read only here.
    pub ledger: Arc<dyn Ledger>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            vendors: Arc::new(sluice_aws::vendors::DynamoVendors::new(sdk, config.vendors_table)),
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            clock: Arc::new(sluice_aws::clock::SystemClock),
        }
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(sdk, Config::from_env(lookup)?))
    }
}

/// Judges one [`Request`]; gives a [`Decision`].
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let request: Request = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not a request of the front door").with_source(error)
    })?;
    let mut seen = Seen::default();
    let decision = match judge(deps, &request, &mut seen).await {
        Ok(decision) => decision,
        Err(Stop::Problem(problem)) => Decision::Answer(problem.into_answer()),
        Err(Stop::Fault(fault)) => return Err(fault),
    };
    let (status, ingest_id) = match &decision {
        Decision::Accepted(accepted) => ("VALID".to_owned(), Some(accepted.ingest_id.to_string())),
        Decision::Answer(answer) => (answer.status_code.to_string(), None),
    };
    log(&Stage {
        stage: "accept",
        ingest_id: ingest_id.as_deref().unwrap_or_default(),
        vendor_id: &seen.vendor_id,
        external_event_id: &seen.external_event_id,
        status: &status,
        started,
    });
    serde_json::to_value(&decision)
        .map_err(|error| Fault::new(Code::InputMalformed, "failed to write the decision").with_source(error))
}

/// What the log line can say, however far the judgement came.
#[derive(Default)]
struct Seen {
    vendor_id: String,
    external_event_id: String,
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

async fn judge(deps: &Deps, request: &Request, seen: &mut Seen) -> Result<Decision, Stop> {
    if request.path != "/v1/events" {
        return Err(Problem::new(Kind::NotFound, "events are posted to /v1/events").into());
    }
    if request.method != "POST" {
        return Err(Problem::new(Kind::MethodNotAllowed, "use POST").into());
    }
    let profile = authenticate(deps, request).await?;
    seen.vendor_id = profile.vendor_id.to_string();

    let Some(body) = request.body_bytes() else {
        return Err(Fault::new(Code::InputMalformed, "the front door did not give the body as base64").into());
    };
    if body.len() > BODY_BYTES_MAX {
        let detail = format!(
            "the body has {} bytes, at most {BODY_BYTES_MAX} are taken: send fewer lines, or gzip",
            body.len()
        );
        return Err(Problem::new(Kind::BodyTooLarge, detail).into());
    }
    let content_type = json_content_type(request)?;
    let now = deps.clock.now();
    if !profile.webhook_secrets.is_empty() {
        signature::verify(request, &body, &profile.webhook_secrets, now)
            .map_err(|error| Problem::new(Kind::SignatureInvalid, error.to_string()))?;
    }
    let content_encoding =
        request.header("content-encoding").map(str::trim).filter(|encoding| !encoding.is_empty());
    let inflated = inflate(&body, content_encoding).map_err(|error| {
        let kind = match error {
            InflateError::Corrupt(_) => Kind::BodyUnreadable,
            InflateError::TooLarge => Kind::BodyTooLarge,
            InflateError::Unsupported(_) => Kind::ContentTypeUnsupported,
        };
        Problem::new(kind, error.to_string())
    })?;
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
            let detail = format!("the envelope has {}", sluice_core::canonical::count(faults.len(), "fault"));
            Problem::new(Kind::EnvelopeInvalid, detail).with_errors(faults)
        }
    })?;
    seen.external_event_id = envelope.external_event_id.to_string();
    if envelope.vendor_id != profile.vendor_id {
        let detail = format!(
            "the envelope says vendorId {:?}, but the API key belongs to another vendor",
            envelope.vendor_id
        );
        return Err(Problem::new(Kind::VendorMismatch, detail).into());
    }
    let active =
        deps.vendors.active_mapper(&envelope.vendor_id, &envelope.event_type, Freshness::Cached).await?;
    let Some(active) = active else {
        let fault = FieldFault {
            pointer: "/eventType".into(),
            code: "unknown".into(),
            message: format!("{} has no contract for {:?}", envelope.vendor_id, envelope.event_type),
        };
        let detail = "no contract covers this event type: check its spelling, or ask for it to be onboarded";
        return Err(Problem::new(Kind::EventTypeUnknown, detail).with_errors(vec![fault]).into());
    };
    let bytes_max = active.contract.limits.payload_bytes_max.min(INFLATED_BYTES_MAX);
    if inflated.len() > bytes_max {
        let detail = format!("the body has {} bytes, the contract allows {bytes_max}", inflated.len());
        return Err(Problem::new(Kind::BodyTooLarge, detail).into());
    }

    let key = LedgerKey { vendor_id: envelope.vendor_id, external_event_id: envelope.external_event_id };
    let mut conflicts = false;
    if let Some(row) = deps.ledger.find(&key).await? {
        if row.payload_sha256 == envelope.payload_sha256 {
            return Ok(Decision::Answer(Answer::duplicate(row.ingest_id, row.received_at)));
        }
        // Recorded as a divergence by `PersistRaw`, which may write.
        conflicts = true;
    }
    let (ingest_id, received_at) = deps.clock.mint();
    Ok(Decision::Accepted(Box::new(Accepted {
        ingest_id,
        vendor_id: key.vendor_id,
        external_event_id: key.external_event_id,
        event_type: envelope.event_type,
        schema_version: envelope.schema_version.unwrap_or(active.contract.payload.default_version),
        occurred_at: envelope.occurred_at,
        received_at,
        raw_sha256: Sha256Hex::of(&body),
        raw_bytes: body.len() as u64,
        payload_sha256: envelope.payload_sha256,
        content_type,
        content_encoding: content_encoding
            .filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
            .map(str::to_ascii_lowercase),
        conflicts,
    })))
}

/// The vendor that the API key is bound to. A key is looked up by its digest, so nothing is compared that time could tell of.
async fn authenticate(deps: &Deps, request: &Request) -> Result<VendorProfile, Stop> {
    let unknown = |detail: &str| Stop::from(Problem::new(Kind::Unauthenticated, detail));
    let key = request.header("x-api-key").unwrap_or_default();
    if key.is_empty() {
        return Err(unknown("send the vendor's API key in the header x-api-key"));
    }
    let digest = Sha256Hex::of(key.as_bytes());
    let Some(owner) = deps.vendors.owner_of_key(&digest).await? else {
        return Err(unknown("the API key in the header x-api-key is not known"));
    };
    match deps.vendors.profile(&owner).await? {
        Some(profile) if !profile.api_key_sha256.contains(&digest) => Err(unknown("the API key was revoked")),
        Some(profile) if !profile.enabled => Err(Problem::new(
            Kind::VendorDisabled,
            "the vendor was disabled by the operator: nothing was stored",
        )
        .into()),
        Some(profile) => Ok(profile),
        None => Err(unknown("the API key in the header x-api-key is not known")),
    }
}

/// `application/json` or `application/*+json`, in UTF-8.
fn json_content_type(request: &Request) -> Result<String, Problem> {
    let refuse = |detail: String| Problem::new(Kind::ContentTypeUnsupported, detail);
    let stated = request.header("content-type").unwrap_or_default();
    let mut parts = stated.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !json {
        let shown: String = stated.chars().take(80).collect();
        return Err(refuse(format!("the content type is {shown:?}: send application/json")));
    }
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("charset")
            && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        {
            return Err(refuse("JSON is UTF-8 (RFC 8259): send it without another charset".to_owned()));
        }
    }
    Ok(stated.to_owned())
}

#[cfg(test)]
mod tests;

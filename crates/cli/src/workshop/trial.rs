//! A whole request through acceptance and mapping, with no cloud: the same judgement as the function `accept`, and the same mapping as
//! `normalize`, over bundles in folders.
//!
//! What is not known here: which API keys and secrets a vendor has. The key that the request sends is taken for the vendor's; without
//! secrets the request is signed anew by the contract's scheme, so that everything else can be judged, and the answer says so.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_acceptance::{Deps, Schemas, Seen, judge};
use sluice_core::bundle::ActiveMapper;
use sluice_core::canonical::Reason;
use sluice_core::contract::{Contract, Signature, Source};
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::FieldFault;
use sluice_core::id::{EventType, ExternalEventId, IngestId, ObjectRef, SchemaVersion, VendorId, rfc3339};
use sluice_core::intake::{Accepted, Decision, Request};
use sluice_core::native::describe;
use sluice_core::port::{Clock, Commit, Freshness, Held, Ledger, Marked, VendorDirectory};
use sluice_core::record::{
    Correction, LedgerKey, LedgerRow, QuarantineNote, Resolution, Stated, UnknownEventTypes, VendorProfile,
    Waited,
};
use sluice_core::signature::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, StandardSecret, sign_body};
use sluice_core::{Code, Fault};
use sluice_mapping::{Bundle, Outcome};
use sluice_ops::secrets::generate_secret;

use crate::error::CliError;

/// A bundle and where it is.
pub struct Loaded {
    /// Its folder.
    pub folder: PathBuf,
    /// What runs.
    pub bundle: Bundle,
}

/// What a request comes to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// How it ends.
    pub outcome: Ending,
    /// In the order of judgement.
    pub steps: Vec<Step>,
    /// What acceptance knows of it; none if it is answered otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Facts>,
    /// The answer, if it is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// The canonical events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Value>>,
    /// Why it states nothing, in the mapper's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<Reason>,
    /// Why it would be quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Failed>,
}

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Accepted and mapped.
    Mapped,
    /// Accepted, and the mapper says that it states nothing.
    Nothing,
    /// Accepted, and then quarantined.
    Quarantined,
    /// Answered, and nothing is stored: a refusal, or what is no event.
    Answered,
}

/// What acceptance knows of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Whose.
    pub vendor_id: VendorId,
    /// By which contract.
    pub event_type: EventType,
    /// Which of two messages are one event.
    pub external_event_id: ExternalEventId,
    /// When it happened.
    pub occurred_at: String,
    /// The payload's schema.
    pub schema_version: SchemaVersion,
}

/// An answer that is no acceptance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// HTTP's.
    pub status_code: u16,
    /// As the vendor reads it.
    pub body: Value,
}

/// Why an accepted event would be quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// `docs/codes.md`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
}

/// A step of the judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is judged.
    pub step: &'static str,
    /// How it went.
    pub result: StepResult,
    /// What was found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// It holds.
    Ok,
    /// It does not: this is why the request ends here.
    Failed,
    /// It cannot be judged here, and was taken for good.
    Assumed,
    /// A step before it failed.
    NotReached,
}

/// The steps, in the order in which acceptance judges.
const STEPS: [&str; 8] =
    ["path", "sender", "body", "contract", "externalEventId", "occurredAt", "schema", "mapper"];

impl Trial {
    /// Judges a request at `now`, by bundles of one vendor.
    ///
    /// # Errors
    /// Bundles of several vendors, or what the judgement could not tell.
    pub async fn of(
        mut request: Request,
        bundles: &[Loaded],
        secrets: &[String],
        now: Timestamp,
    ) -> Result<Self, CliError> {
        let Some(first) = bundles.first() else { return Err(CliError::usage("name a bundle's folder")) };
        let vendor_id = first.bundle.contract.vendor_id.clone();
        if let Some(other) = bundles.iter().find(|one| one.bundle.contract.vendor_id != vendor_id) {
            return Err(CliError::usage(format!(
                "{} is of {}, and {} of {vendor_id}: a request is one vendor's",
                other.folder.display(),
                other.bundle.contract.vendor_id,
                first.folder.display()
            )));
        }
        let mut secrets = secrets.to_vec();
        let signed_here = secrets.is_empty() && sign(&mut request, bundles, &mut secrets, now);
        let offline = Arc::new(Offline::of(&vendor_id, &request, bundles, secrets, now));
        let deps = Deps {
            vendors: Arc::clone(&offline) as Arc<dyn VendorDirectory>,
            ledger: Arc::clone(&offline) as Arc<dyn Ledger>,
            clock: offline,
            schemas: Schemas::default(),
        };
        let mut seen = Seen::default();
        match judge(&deps, &request, &mut seen).await? {
            Decision::Answer(answer) => {
                let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
                let answer = Answered { status_code: answer.status_code, body };
                Ok(Self::answered(&request, answer, &seen, bundles, signed_here))
            }
            Decision::Accepted(accepted) => Ok(Self::accepted(&request, &accepted, bundles, signed_here)),
        }
    }

    fn answered(
        request: &Request,
        answer: Answered,
        seen: &Seen,
        bundles: &[Loaded],
        signed_here: bool,
    ) -> Self {
        let kind = answer.body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default();
        let failed = match kind {
            "not-found" | "method-not-allowed" => 0,
            "unauthenticated" | "signature-invalid" | "vendor-disabled" | "vendor-mismatch" => 1,
            "body-too-large" | "body-unreadable" | "content-type-unsupported" | "headers-too-large" => 2,
            "event-type-unknown" | "envelope-invalid" => 3,
            _ => {
                let errors = serde_json::from_value(answer.body["errors"].clone()).unwrap_or_default();
                let errors: Vec<FieldFault> = errors;
                let contract = bundles
                    .iter()
                    .map(|one| &one.bundle.contract)
                    .find(|contract| Some(&contract.event_type) == seen.event_type.as_ref());
                4 + facts_failed(&errors, contract)
            }
        };
        let detail = answer.body["detail"].as_str().unwrap_or_default().to_owned();
        let refused = answer.status_code >= 400;
        let steps = STEPS
            .iter()
            .enumerate()
            .map(|(at, step)| {
                let (result, detail) = match at.cmp(&failed) {
                    std::cmp::Ordering::Equal if refused => (StepResult::Failed, detail.clone()),
                    std::cmp::Ordering::Less => before(step, request, seen.event_type.as_ref(), signed_here),
                    _ => (StepResult::NotReached, String::new()),
                };
                Step { step, result, detail }
            })
            .collect();
        Self {
            outcome: Ending::Answered,
            steps,
            accepted: None,
            answer: Some(answer),
            events: None,
            nothing: None,
            fault: None,
        }
    }

    fn accepted(request: &Request, accepted: &Accepted, bundles: &[Loaded], signed_here: bool) -> Self {
        let facts = Facts {
            vendor_id: accepted.vendor_id.clone(),
            event_type: accepted.event_type.clone(),
            external_event_id: accepted.external_event_id.clone(),
            occurred_at: rfc3339(accepted.occurred_at),
            schema_version: accepted.schema_version.clone(),
        };
        let contract = bundles
            .iter()
            .map(|one| &one.bundle.contract)
            .find(|contract| contract.event_type == accepted.event_type);
        let row =
            LedgerRow::received(accepted, ObjectRef { bucket: "offline".into(), key: accepted.raw_key() });
        // What is held waits for a person before it is mapped.
        let mapped = match row.held_for() {
            Some(held) => Err((4 + facts_failed(&held.errors, contract), held)),
            None => map(request, &row, bundles).map_err(|fault| {
                let at = match fault.code {
                    Code::PayloadSchemaViolation | Code::SchemaVersionUnknown | Code::PayloadUnreadable => 6,
                    _ => 7,
                };
                (at, fault)
            }),
        };
        let (mut events, mut nothing, mut fault, mut failed) = (None, None, None, STEPS.len());
        match mapped {
            Ok(Outcome::Events { bytes, .. }) => {
                let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                events =
                    Some(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect::<Vec<Value>>());
            }
            Ok(Outcome::Nothing(reason)) => nothing = Some(reason),
            Err((at, Fault { code, message, errors, .. })) => {
                failed = at;
                fault = Some(Failed { code: code.as_str(), message, errors });
            }
        }
        let steps = STEPS.iter().enumerate().map(|(at, step)| {
            let (result, detail) = match at.cmp(&failed) {
                std::cmp::Ordering::Greater => (StepResult::NotReached, String::new()),
                std::cmp::Ordering::Equal => (
                    StepResult::Failed,
                    fault
                        .as_ref()
                        .map(|fault| format!("{}: {}", fault.code, fault.message))
                        .unwrap_or_default(),
                ),
                std::cmp::Ordering::Less => match *step {
                    "externalEventId" => (StepResult::Ok, facts.external_event_id.to_string()),
                    "occurredAt" => (StepResult::Ok, facts.occurred_at.clone()),
                    "schema" => (StepResult::Ok, format!("version {}", facts.schema_version)),
                    "mapper" => match &nothing {
                        Some(reason) => (StepResult::Ok, format!("states nothing: {}", reason.message)),
                        None => {
                            let count = events.as_ref().map_or(0, Vec::len);
                            (StepResult::Ok, sluice_core::canonical::count(count, "canonical event"))
                        }
                    },
                    step => before(step, request, Some(&facts.event_type), signed_here),
                },
            };
            Step { step, result, detail }
        });
        Self {
            steps: steps.collect(),
            outcome: match (&fault, &nothing) {
                (Some(_), _) => Ending::Quarantined,
                (None, Some(_)) => Ending::Nothing,
                (None, None) => Ending::Mapped,
            },
            accepted: Some(facts),
            answer: None,
            events,
            nothing,
            fault,
        }
    }
}

/// Which of id (0), time (1) and schema (2) the faults of a message are of, by where the contract says that each is.
fn facts_failed(errors: &[FieldFault], contract: Option<&Contract>) -> usize {
    let Some(envelope) = contract.and_then(|contract| contract.envelope.as_ref()) else { return 2 };
    let of = |source: &Source| {
        let place = describe(&source.place);
        errors.iter().any(|error| error.pointer == place || error.message.starts_with(&place))
    };
    if envelope.external_event_id.sources().iter().any(of) {
        0
    } else if of(&envelope.occurred_at) {
        1
    } else {
        2
    }
}

/// What is said of a step before the one at which the judgement ended.
fn before(
    step: &str,
    request: &Request,
    event_type: Option<&EventType>,
    signed_here: bool,
) -> (StepResult, String) {
    match step {
        "path" => (StepResult::Ok, format!("{} {}", request.method, request.path)),
        "sender" if signed_here => (
            StepResult::Assumed,
            "the signature was not checked: give the secret with --secret to have it checked".to_owned(),
        ),
        "sender" if request.header("x-api-key").is_some_and(|key| !key.is_empty()) => {
            (StepResult::Assumed, "the API key is taken for the vendor's".to_owned())
        }
        "sender" => (StepResult::Ok, "the signature holds".to_owned()),
        "body" => {
            let bytes = request.body_bytes().map_or(0, |body| body.len());
            (StepResult::Ok, format!("{bytes} bytes"))
        }
        "contract" => (StepResult::Ok, event_type.map(ToString::to_string).unwrap_or_default()),
        _ => (StepResult::Ok, String::new()),
    }
}

/// What `normalize` makes of the event.
fn map(request: &Request, row: &LedgerRow, bundles: &[Loaded]) -> Result<Outcome, Fault> {
    let loaded =
        bundles.iter().find(|one| one.bundle.contract.event_type == row.event_type).ok_or_else(|| {
            Fault::new(Code::MapperMissing, format!("there is no bundle for {}", row.event_type))
        })?;
    let raw = request.body_bytes().unwrap_or_default();
    Ok(sluice_mapping::map(&row.detail(), &loaded.bundle, &raw)?.outcome)
}

/// Signs a request by each scheme of its contracts, with secrets that are made for it. Whether any contract wants a signature.
fn sign(request: &mut Request, bundles: &[Loaded], secrets: &mut Vec<String>, now: Timestamp) -> bool {
    let body = request.body_bytes().unwrap_or_default();
    let mut set = |name: &str, value: String| {
        request.headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
        request.headers.insert(name.to_owned(), value);
    };
    let schemes: Vec<&Signature> =
        bundles.iter().filter_map(|one| one.bundle.contract.signature.as_ref()).collect();
    let mut signed = false;
    for scheme in schemes {
        match scheme {
            Signature::None => {}
            Signature::StandardWebhooks => {
                let secret = generate_secret();
                if let Ok(key) = secret.parse::<StandardSecret>() {
                    let seconds = now.as_second();
                    set(HEADER_ID, "offline".to_owned());
                    set(HEADER_TIMESTAMP, seconds.to_string());
                    set(HEADER_SIGNATURE, key.sign("offline", seconds, &body));
                    secrets.push(secret);
                    signed = true;
                }
            }
            other => {
                let secret = "a secret that is made for this request".to_owned();
                if let Some((name, value)) = sign_body(other, &secret, &body) {
                    set(name, value);
                    if !secrets.contains(&secret) {
                        secrets.push(secret);
                    }
                    signed = true;
                }
            }
        }
    }
    signed
}

/// One vendor, its contracts, an empty ledger and a fixed time.
struct Offline {
    profile: VendorProfile,
    mappers: Arc<[ActiveMapper]>,
    now: Timestamp,
}

impl Offline {
    fn of(
        vendor_id: &VendorId,
        request: &Request,
        bundles: &[Loaded],
        secrets: Vec<String>,
        now: Timestamp,
    ) -> Self {
        let key = request.header("x-api-key").unwrap_or_default();
        let profile = VendorProfile {
            vendor_id: vendor_id.clone(),
            enabled: true,
            api_key_sha256: vec![Sha256Hex::of(key.as_bytes())],
            webhook_secrets: secrets,
            rate_limit: None,
            // The question is whether these bundles cover the request. Of one that none covers it is said why; acceptance may
            // keep it all the same.
            unknown_event_types: Some(UnknownEventTypes::Refuse),
            on_hold: None,
            released: None,
        };
        let mappers = bundles.iter().map(|one| ActiveMapper {
            // Schemas of acceptance are held by the name of their bundle.
            bundle: Sha256Hex::of(one.folder.as_os_str().as_encoded_bytes()),
            contract: one.bundle.contract.clone(),
            revision: 1,
            activated_at: now,
            activated_by: "offline".into(),
            reason: "offline".into(),
            canary: None,
        });
        Self { profile, mappers: mappers.collect(), now }
    }
}

#[async_trait]
impl VendorDirectory for Offline {
    async fn owner_of_key(&self, api_key_sha256: &Sha256Hex) -> Result<Option<VendorId>, Fault> {
        let known = self.profile.api_key_sha256.contains(api_key_sha256);
        Ok(known.then(|| self.profile.vendor_id.clone()))
    }

    async fn profile(
        &self,
        vendor_id: &VendorId,
        _freshness: Freshness,
    ) -> Result<Option<VendorProfile>, Fault> {
        Ok((self.profile.vendor_id == *vendor_id).then(|| self.profile.clone()))
    }

    async fn contracts(&self, vendor_id: &VendorId) -> Result<Arc<[ActiveMapper]>, Fault> {
        let own = self.profile.vendor_id == *vendor_id;
        Ok(if own { Arc::clone(&self.mappers) } else { Arc::new([]) })
    }

    async fn active_mapper(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        _freshness: Freshness,
    ) -> Result<Option<ActiveMapper>, Fault> {
        let own = self.contracts(vendor_id).await?;
        Ok(own.iter().find(|mapper| mapper.contract.event_type == *event_type).cloned())
    }
}

impl Clock for Offline {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&self) -> u128 {
        0
    }
}

/// The judgement only reads.
fn read_only() -> Fault {
    Fault::new(Code::Unavailable, "nothing is stored offline")
}

#[async_trait]
impl Ledger for Offline {
    async fn find(&self, _key: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        Ok(None)
    }

    async fn find_last(&self, _first: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        Ok(None)
    }

    async fn find_by_ingest_id(&self, _ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault> {
        Ok(None)
    }

    async fn commit(&self, _row: &LedgerRow) -> Result<Commit, Fault> {
        Err(read_only())
    }

    async fn mark_normalized(
        &self,
        _key: &LedgerKey,
        _ingest_id: IngestId,
        _stated: &Stated,
        _run: u32,
    ) -> Result<(), Fault> {
        Err(read_only())
    }

    async fn correct(
        &self,
        _key: &LedgerKey,
        _ingest_id: IngestId,
        _stated: &Stated,
        _correction: &Correction,
    ) -> Result<bool, Fault> {
        Err(read_only())
    }

    async fn hold(&self, _key: &LedgerKey, _ingest_id: IngestId, _waited: &Waited) -> Result<Held, Fault> {
        Err(read_only())
    }

    async fn let_go(&self, _key: &LedgerKey, _ingest_id: IngestId, _by: &Resolution) -> Result<bool, Fault> {
        Err(read_only())
    }

    async fn tell_again(&self, _row: &LedgerRow, _at: Timestamp) -> Result<bool, Fault> {
        Err(read_only())
    }

    async fn mark_quarantined(
        &self,
        _key: &LedgerKey,
        _ingest_id: IngestId,
        _note: &QuarantineNote,
    ) -> Result<Marked, Fault> {
        Err(read_only())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_mapper_host::Host;

    use super::super::request;
    use super::*;

    const OUT: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"warehouseId":"W","sku":"S","quantityOnHand":7}}]"#;

    /// A bundle whose module answers every message alike.
    fn loaded(contract: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let escaped: String = OUT.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let module = wat::parse_str(format!(
            r#"(module (memory (export "memory") 2) (data (i32.const 1024) "{escaped}")
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
              (func (export "map") (param i32 i32 i32 i32) (result i32)
                (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 1024))
                (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
            OUT.len()
        ))
        .unwrap();
        let wasm = folder.path().join("mapper.wasm");
        std::fs::create_dir(folder.path().join("schema")).unwrap();
        std::fs::write(&wasm, module).unwrap();
        std::fs::write(folder.path().join("mapper.toml"), contract).unwrap();
        std::fs::write(
            folder.path().join("schema/1.json"),
            r#"{"type":"object","required":["qty"],"properties":{"qty":{"type":"integer"}}}"#,
        )
        .unwrap();
        let bundle = super::super::bundle::load(&Host::new().unwrap(), folder.path(), &wasm).unwrap();
        Loaded { folder: folder.path().to_owned(), bundle }
    }

    const NATIVE: &str = "vendorId = 'acme'\neventType = 'stock'\n[payload]\ndefaultVersion = '1'\n[payload.versions]\n1 = 'schema/1.json'\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n[envelope]\neventType = { pointer = '/kind' }\nexternalEventId = { pointer = '/id' }\noccurredAt = { pointer = '/at' }\n[signature]\nscheme = 'hmac'\nheader = 'x-sig'\nencoding = 'hex'\n";

    fn post(body: &str, header: &str) -> Request {
        request::read(
            format!("POST /v1/sources/acme HTTP/1.1\ncontent-type: application/json\n{header}\n{body}")
                .as_bytes(),
        )
        .unwrap()
    }

    async fn trial(body: &str, header: &str, secrets: &[&str]) -> Trial {
        let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
        let now = "2026-01-02T04:00:00Z".parse().unwrap();
        Trial::of(post(body, header), &[loaded(NATIVE)], &secrets, now).await.unwrap()
    }

    fn failed(trial: &Trial) -> Option<&'static str> {
        trial.steps.iter().find(|step| step.result == StepResult::Failed).map(|step| step.step)
    }

    const GOOD: &str = r#"{"kind":"stock","id":"e-1","at":"2026-01-02T03:04:05Z","qty":7}"#;

    #[tokio::test]
    async fn a_request_goes_through_every_step() {
        let body = GOOD.as_bytes();
        let scheme: Signature =
            toml::from_str("scheme = 'hmac'\nheader = 'x-sig'\nencoding = 'hex'").unwrap();
        let (name, value) = sign_body(&scheme, "s3cret", body).unwrap();
        let signed = format!("{name}: {value}\n");
        let done = trial(GOOD, &signed, &["s3cret"]).await;
        assert_eq!(done.outcome, Ending::Mapped, "{done:?}");
        let facts = done.accepted.unwrap();
        assert_eq!(
            (facts.event_type.as_str(), facts.external_event_id.as_str(), facts.occurred_at.as_str()),
            ("stock", "e-1", "2026-01-02T03:04:05.000Z")
        );
        assert_eq!(done.events.unwrap()[0]["data"]["quantityOnHand"], 7);
        assert!(done.steps.iter().all(|step| step.result == StepResult::Ok), "{:?}", done.steps);

        let unsigned = trial(GOOD, "", &[]).await;
        assert_eq!(unsigned.outcome, Ending::Mapped);
        assert_eq!((unsigned.steps[1].step, unsigned.steps[1].result), ("sender", StepResult::Assumed));
    }

    #[tokio::test]
    async fn a_refusal_is_the_one_that_the_vendor_would_get_and_its_step_is_named() {
        for (body, header, secrets, step, status) in [
            (GOOD, "x-sig: 00\n", &["s3cret"][..], "sender", 401),
            ("{", "", &[], "body", 400),
            (&GOOD.replace("stock", "other")[..], "", &[], "contract", 400),
            (&GOOD.replace("e-1", ""), "", &[], "externalEventId", 400),
            (&GOOD.replace("2026-01-02", "yesterday"), "", &[], "occurredAt", 400),
        ] {
            let trial = trial(body, header, secrets).await;
            let answer = trial.answer.as_ref().unwrap_or_else(|| panic!("{body}: {trial:?}"));
            assert_eq!((failed(&trial), answer.status_code), (Some(step), status), "{body}: {trial:?}");
        }
    }

    #[tokio::test]
    async fn what_the_schema_refuses_is_accepted_and_quarantined() {
        let trial = trial(&GOOD.replace(":7", ":\"7\""), "", &[]).await;
        assert_eq!((trial.outcome, failed(&trial)), (Ending::Quarantined, Some("schema")));
        let fault = trial.fault.unwrap();
        assert_eq!((fault.code, fault.errors[0].pointer.as_str()), ("payload_schema_violation", "/qty"));
    }
}

//! `Normalize`: raw bytes → the vendor's payload schema → the WASM mapper → the canonical schema → the normalized document →
//! the ledger.
//!
//! An event whose vendor is on hold is not normalized: its row says HELD until it is let go. What was normalized or quarantined before
//! is run as it is asked for, hold or not.
//!
//! An event that is held by itself waits in quarantine until a person lets it go on (`sluice conflicts accept`), however often it is run.
//!
//! Deterministic: the document depends on the raw object and the bundle alone, so a replay gives the same bytes. A document is
//! written once, under its digest, and then the ledger names it: another mapping writes another one and leaves the first to
//! whoever was told of it. Whatever fails is a classified [`Fault`]; the raw object stays, so every failure can be run again.

mod canary;
mod config;
mod correct;
mod drift;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::balance::BalanceStore;
use sluice_core::bundle::ActiveMapper;
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::health::HealthNote;
use sluice_core::id::normalized_key;
use sluice_core::port::{
    Clock, Freshness, Held, Ledger, MapperPointers, NormalizedStore, RawStore, VendorDirectory,
};
use sluice_core::record::{EventDetail, LedgerRow, Normalized, Nothing, Resolution, Stated, Status, Waited};
use sluice_core::{Code, Fault};
use sluice_mapping::{Bundles, Mapped, Outcome, map};

pub use config::Config;
pub use drift::Observer;

/// How long an event waits for its vendor's score.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(250);

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Active mappers.
    pub vendors: Arc<dyn VendorDirectory>,
    /// Their pointers, for the outcomes of a canary.
    pub pointers: Arc<dyn MapperPointers>,
    /// The verbatim requests.
    pub raw: Arc<dyn RawStore>,
    /// The documents.
    pub normalized: Arc<dyn NormalizedStore>,
    /// Life cycle.
    pub ledger: Arc<dyn Ledger>,
    /// Mappers, by digest.
    pub bundles: Bundles,
    /// Learns what messages look like.
    pub drift: Observer,
    /// Vendors' scores, for contracts that ask for them.
    pub balances: Arc<dyn BalanceStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Result<Self, ConfigError> {
        let store = sluice_aws::bundles::S3BundleStore::new(sdk, config.mappers_bucket);
        let vendors = Arc::new(sluice_aws::vendors::DynamoVendors::new(sdk, config.vendors_table));
        Ok(Self {
            vendors: Arc::<sluice_aws::vendors::DynamoVendors>::clone(&vendors),
            pointers: vendors,
            raw: Arc::new(sluice_aws::raw::S3RawStore::new(sdk, config.raw_bucket)),
            normalized: Arc::new(sluice_aws::normalized::S3NormalizedStore::new(
                sdk,
                config.normalized_bucket,
            )),
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            drift: Observer::new(
                Arc::new(sluice_aws::drift::DynamoDrift::new(sdk, config.drift_table)),
                Arc::new(sluice_aws::bus::EventBridgeBus::new(sdk, config.bus_name)),
            ),
            balances: Arc::new(sluice_aws::balance::DynamoBalance::new(sdk, config.balance_table)),
            bundles: Bundles::new(Arc::new(store), config.trust_keys)
                .map_err(|error| ConfigError::Unusable(error.to_string()))?,
            clock: Arc::new(sluice_aws::clock::SystemClock),
        })
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::new(sdk, Config::from_env(lookup)?)
    }
}

#[derive(Deserialize)]
struct Input {
    #[serde(flatten)]
    event: EventDetail,
    /// Read the pointer to the mapper anew: a redrive follows a fix.
    #[serde(default)]
    fresh: bool,
}

/// Normalizes one event; gives `{"status": "HELD", "ingestId"}` of one that waits for its vendor's release, else
/// `{"status": "NORMALIZED", "ingestId"}` with `normalized`, its document, or `nothing`, why there is none;
/// and for a replay or a correction `changed`, whether the document is another than before, and `previous`, the status before.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let input: Input = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not the detail of ingest.accepted").with_source(error)
    })?;
    let freshness = if input.fresh { Freshness::Fresh } else { Freshness::Cached };
    let event = input.event;
    let result = match (&event.correction, waits(deps, &event).await) {
        (_, Err(fault)) => Err(fault),
        // What was told already does not wait.
        (Some(correction), Ok(_)) => correct::correct(deps, &event, correction).await.map(Some),
        (None, Ok(true)) => Ok(None),
        (None, Ok(false)) => normalize(deps, &event, freshness).await.map(Some),
    };
    log(&Stage {
        stage: "normalize",
        ingest_id: &event.ingest_id.to_string(),
        vendor_id: event.key.vendor_id.as_str(),
        external_event_id: event.key.external_event_id.as_str(),
        delivery_id: None,
        status: match &result {
            Ok(None) => Status::Held.as_str(),
            Ok(Some((Stated::Document(_), _))) => "NORMALIZED",
            Ok(Some((Stated::Nothing(_), _))) => "NOTHING_TO_STATE",
            Err(fault) => fault.code.as_str(),
        },
        started,
    });
    let Some((stated, before)) = result? else {
        return Ok(json!({ "status": Status::Held.as_str(), "ingestId": event.ingest_id }));
    };
    let mut output = json!({ "status": "NORMALIZED", "ingestId": event.ingest_id });
    let sha256 = match &stated {
        Stated::Document(normalized) => {
            output["normalized"] = json!(normalized);
            &normalized.sha256
        }
        Stated::Nothing(nothing) => {
            output["nothing"] = json!(nothing);
            &Nothing::sha256()
        }
    };
    if let Some(before) = before {
        output["changed"] = (before.document_sha256().as_ref() != Some(sha256)).into();
        output["previous"] = before.status.as_str().into();
    }
    Ok(output)
}

/// Whether the event waits for the release of its vendor.
///
/// No order of hold, release and this loses an event: a release first says that the vendor is not on hold, then looks for rows that
/// say HELD. Either it finds this one, or the second look here comes after it.
async fn waits(deps: &Deps, event: &EventDetail) -> Result<bool, Fault> {
    let vendor_id = &event.key.vendor_id;
    let profile = deps.vendors.profile(vendor_id, Freshness::Cached).await?;
    if profile.is_none_or(|profile| profile.on_hold.is_none()) {
        return Ok(false);
    }
    let profile = deps.vendors.profile(vendor_id, Freshness::Fresh).await?;
    let Some(hold) = profile.and_then(|profile| profile.on_hold) else { return Ok(false) };
    let waited = Waited { since: deps.clock.now(), hold, let_go: None };
    if deps.ledger.hold(&event.key, event.ingest_id, &waited).await? == Held::Past {
        return Ok(false);
    }
    let profile = deps.vendors.profile(vendor_id, Freshness::Fresh).await?;
    let released = match profile {
        Some(profile) if profile.on_hold.is_some() => return Ok(true),
        profile => profile.and_then(|profile| profile.released).unwrap_or(waited.hold),
    };
    let by = Resolution { at: deps.clock.now(), ..released };
    // It goes on by the ledger's stream, as everything that is let go.
    deps.ledger.let_go(&event.key, event.ingest_id, &by).await?;
    Ok(true)
}

/// What the message came to, and for a replay the ledger's row before.
async fn normalize(
    deps: &Deps,
    event: &EventDetail,
    freshness: Freshness,
) -> Result<(Stated, Option<LedgerRow>), Fault> {
    if event.held {
        let row = deps.ledger.find(&event.key).await?.filter(|row| row.ingest_id == event.ingest_id);
        let lags = || Fault::new(Code::ConcurrentWrite, "the ledger does not show the event yet");
        if let Some(fault) = row.ok_or_else(lags)?.held_for() {
            return Err(fault);
        }
    }
    let active = deps
        .vendors
        .active_mapper(&event.key.vendor_id, &event.event_type, freshness)
        .await?
        .ok_or_else(|| {
            Fault::new(
                Code::MapperMissing,
                format!("{} has no active mapper for {}: publish one", event.key.vendor_id, event.event_type),
            )
        })?;
    let choice = canary::choose(&active, event, freshness == Freshness::Fresh);
    let first_run = freshness == Freshness::Cached && event.replay == 0;
    let result = normalize_with(deps, event, &active, choice.bundle, first_run).await;
    canary::observe(deps, &active, &choice, event, result.as_ref().err()).await;
    result
}

async fn normalize_with(
    deps: &Deps,
    event: &EventDetail,
    active: &ActiveMapper,
    digest: &Sha256Hex,
    first_run: bool,
) -> Result<(Stated, Option<LedgerRow>), Fault> {
    let bundle = deps.bundles.get(digest).await;
    let bundle = bundle.and_then(|bundle| vouched(active, digest, &bundle.contract, event).map(|()| bundle));
    let bundle = bundle.map_err(|fault| fault.with_bundle(digest.clone()))?;
    let raw = deps.raw.get(&event.raw_ref).await?;
    let mapped = map(event, &bundle, &raw);
    if first_run {
        deps.drift.note(event, &raw, digest, &bundle, mapped.as_ref().err());
    }
    let Mapped { outcome, fuel } = mapped.map_err(|fault| fault.with_bundle(digest.clone()))?;
    let before = if event.replay > 0 { deps.ledger.find(&event.key).await? } else { None };
    let (bytes, events) = match outcome {
        Outcome::Events { bytes, events } => (bytes, events),
        Outcome::Nothing(reason) => {
            if let Some(row) = &before
                && row.ingest_id == event.ingest_id
                && row.status == Status::Normalized
                && let Some(held) = &row.nothing
                && (&held.code, &held.message) == (&reason.code, &reason.message)
            {
                return Ok((Stated::Nothing(held.clone()), before));
            }
            let stated = Stated::Nothing(Nothing::new(reason, digest.clone(), fuel, deps.clock.now()));
            deps.ledger.mark_normalized(&event.key, event.ingest_id, &stated, event.replay).await?;
            return Ok((stated, before));
        }
    };

    let canonical = &bundle.contract.canonical;
    let sha256 = Sha256Hex::of(&bytes);
    let key = normalized_key(&canonical.r#type, event.received_at, event.ingest_id, &sha256);
    // Before the ledger names it: whoever hears of the document finds it, and what was told before is still there.
    let at = deps.normalized.put_if_absent(&key, Bytes::from(bytes), &sha256).await?;
    if let Some(row) = &before
        && row.ingest_id == event.ingest_id
        && row.status == Status::Normalized
        && let Some(held) = &row.normalized
        && held.sha256 == sha256
        && held.r#ref.key == key
    {
        // Nothing to tell anyone.
        return Ok((Stated::Document(held.clone()), before));
    }
    let vendor_health = if bundle.contract.vendor_health { health(deps, event).await } else { None };
    let stated = Stated::Document(Normalized {
        r#ref: at,
        sha256,
        events,
        event_type: canonical.r#type.clone(),
        schema_version: canonical.version.clone(),
        bundle: digest.clone(),
        fuel,
        at: deps.clock.now(),
        vendor_health,
    });
    deps.ledger.mark_normalized(&event.key, event.ingest_id, &stated, event.replay).await?;
    Ok((stated, before))
}

/// Whether a pointer says of a bundle what is signed of it. The contract in a pointer is an unsigned copy, by which messages are
/// accepted: altered there, it would take away a vendor's signature, or a limit.
fn vouched(
    active: &ActiveMapper,
    digest: &Sha256Hex,
    contract: &Contract,
    event: &EventDetail,
) -> Result<(), Fault> {
    let key = (&event.key.vendor_id, &event.event_type);
    let problem = if (&contract.vendor_id, &contract.event_type) != key {
        format!("the bundle {digest} is for {} {}", contract.vendor_id, contract.event_type)
    } else if active.bundle == *digest && active.contract != *contract {
        format!("the pointer states another contract than the bundle {digest}")
    } else {
        return Ok(());
    };
    let message = format!(
        "the pointer to the mapper of {} {} was altered: {problem}; run `sluice mapper promote` or `publish`",
        key.0, key.1
    );
    Err(Fault::new(Code::BundleSignatureInvalid, message))
}

/// The vendor's score, if there is one. No event fails or waits longer for want of it.
async fn health(deps: &Deps, event: &EventDetail) -> Option<HealthNote> {
    let vendor_id = &event.key.vendor_id;
    match tokio::time::timeout(HEALTH_TIMEOUT, deps.balances.health(vendor_id)).await {
        Ok(Ok(note)) => note,
        Ok(Err(fault)) => {
            tracing::warn!(%vendor_id, code = %fault.code, "an event has no score of its vendor: {fault}");
            None
        }
        Err(_elapsed) => {
            tracing::warn!(%vendor_id, "an event has no score of its vendor: it took too long to read");
            None
        }
    }
}

#[cfg(test)]
mod tests;

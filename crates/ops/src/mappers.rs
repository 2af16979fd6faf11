//! The life of published mappers: which is active, who changed it when and why, promotion, canary,
//! rollback.
//!
//! Shadow replay, which a promotion may ask for first, is in `shadow` (feature `mapping`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::vendors::CACHE_SECONDS;
use sluice_core::bundle::{ActiveMapper, Canary, CanaryCounts, ChangeKind, MapperChange, Percent, Verdict};
use sluice_core::contract::{CanonicalRef, Contract};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::{BundleStore, MapperPointers};

use crate::bundles::{published_manifest, resolve};
use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;
use crate::pointer::{Activated, Replaced, activate, decision, end_canary, held, start_canary};

/// Active mappers.
#[derive(Debug, Serialize)]
pub struct MapperList {
    /// By vendor and event type.
    pub mappers: Vec<Mapper>,
}
/// An active mapper.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapper {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// What they become.
    pub canonical: CanonicalRef,
    /// The active bundle.
    pub bundle: Sha256Hex,
    /// Of the pointer.
    pub revision: u64,
    /// When it was activated.
    #[serde(serialize_with = "millis")]
    pub activated_at: Timestamp,
    /// By whom.
    pub activated_by: String,
    /// Why.
    pub reason: String,
    /// The candidate on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

impl From<ActiveMapper> for Mapper {
    fn from(active: ActiveMapper) -> Self {
        Self {
            vendor_id: active.contract.vendor_id,
            event_type: active.contract.event_type,
            canonical: active.contract.canonical,
            bundle: active.bundle,
            revision: active.revision,
            activated_at: active.activated_at,
            activated_by: active.activated_by,
            reason: active.reason,
            canary: active.canary,
        }
    }
}

/// Lists which bundle maps what now.
///
/// # Errors
/// When the table does not answer.
pub async fn list(cloud: &Cloud) -> Result<MapperList, OpsError> {
    let mut active = cloud.vendors().list_mappers().await?;
    active.sort_by(|a, b| {
        let key =
            |active: &ActiveMapper| (active.contract.vendor_id.clone(), active.contract.event_type.clone());
        key(a).cmp(&key(b))
    });
    Ok(MapperList { mappers: active.into_iter().map(Mapper::from).collect() })
}

/// Who changed mappers when, and why.
#[derive(Debug, Serialize)]
pub struct History {
    /// Oldest first.
    pub changes: Vec<MapperChange>,
    /// Canaries that are on.
    pub trials: Vec<Trial>,
}

/// How a canary does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Of which events.
    pub event_type: EventType,
    /// The candidate.
    pub canary: Canary,
    /// What each side has done.
    pub counts: CanaryCounts,
    /// How it does.
    pub verdict: Verdict,
}

/// Tells who changed a vendor's mappers when, and why, and how the canaries do that are on.
///
/// # Errors
/// When the vendor has never had a mapper, and when the table does not answer.
pub async fn history(
    cloud: &Cloud,
    vendor: &VendorId,
    event_type: Option<&EventType>,
) -> Result<History, OpsError> {
    let vendors = cloud.vendors();
    let changes = vendors.history(vendor, event_type).await?;
    if changes.is_empty() {
        let of = event_type.map(|event_type| format!(" for {event_type}")).unwrap_or_default();
        return Err(OpsError::not_found(format!("{vendor} has never had a mapper{of}"))
            .with_hint("`sluice mapper ls` lists vendors and event types"));
    }
    let event_types: BTreeSet<&EventType> = changes.iter().map(|change| &change.event_type).collect();
    let mut trials = Vec::new();
    for event_type in event_types {
        let Some(pointer) = vendors.current(vendor, event_type).await? else { continue };
        if let Some(canary) = pointer.canary {
            let counts = vendors.counts(vendor, event_type, pointer.revision).await?;
            let verdict = canary.verdict(&counts);
            trials.push(Trial { event_type: event_type.clone(), canary, counts, verdict });
        }
    }
    Ok(History { changes, trials })
}

/// What shadow replay said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadowed {
    /// Events compared.
    pub events: u64,
    /// Mapped today, and not by the candidate.
    pub newly_broken: u64,
    /// Not mapped today, and by the candidate.
    pub fixed: u64,
    /// Mapped to another document.
    pub changed: u64,
    /// Mapped to the same bytes.
    pub same: u64,
}
/// What promoting came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Promoted {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// The bundle.
    pub bundle: Sha256Hex,
    /// What was done.
    pub outcome: PromoteOutcome,
    /// Of the pointer.
    pub revision: u64,
    /// What the pointer pointed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// The trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// What shadow replay said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
    /// What spoke against it and was overruled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
    /// Until then functions may go on as before.
    pub in_effect_within_seconds: u64,
}

/// How promoting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromoteOutcome {
    /// All events go through it.
    Promoted,
    /// A share of them does.
    Canary,
    /// It was the active one already.
    Unchanged,
}

/// What is promoted, and how.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// The published bundle.
    pub bundle: Sha256Hex,
    /// Its contract, which says whose messages and which of them.
    pub contract: Contract,
    /// A trial with a share of the events; `None`: all of them.
    pub canary: Option<Trying>,
    /// Who, for the record.
    pub by: String,
    /// Why, for the record.
    pub reason: String,
    /// What shadow replay said, where it was asked.
    pub shadow: Option<Shadowed>,
    /// What speaks against it and is overruled.
    pub forced: Option<String>,
}

/// A trial.
#[derive(Debug, Clone, Copy)]
pub struct Trying {
    /// Share of the events.
    pub percent: Percent,
    /// Events of its own before it is judged; `None`: [`Canary::MIN_EVENTS_DEFAULT`].
    pub min_events: Option<u64>,
    /// How many points more it may quarantine; `None`: [`Canary::MARGIN_DEFAULT`].
    pub margin: Option<Percent>,
}

/// Makes a bundle the active one, or a candidate on trial.
///
/// # Errors
/// When the share of a trial is none, when the bundle is the active one already, and when the table
/// does not answer.
pub async fn promote(pointers: &dyn MapperPointers, promotion: Promotion) -> Result<Promoted, OpsError> {
    let Promotion { bundle, contract, canary, by, reason, shadow, forced } = promotion;
    let mut promoted = Promoted {
        vendor_id: contract.vendor_id.clone(),
        event_type: contract.event_type.clone(),
        bundle: bundle.clone(),
        outcome: PromoteOutcome::Promoted,
        revision: 0,
        replaced: None,
        canary: None,
        shadow,
        forced: forced.clone(),
        in_effect_within_seconds: CACHE_SECONDS,
    };
    if let Some(trying) = canary {
        let canary = Canary {
            bundle,
            percent: share(trying.percent)?,
            since: Timestamp::now(),
            by,
            reason,
            min_events: trying.min_events.unwrap_or(Canary::MIN_EVENTS_DEFAULT),
            margin: trying.margin.unwrap_or(Canary::MARGIN_DEFAULT),
        };
        let pointer = start_canary(pointers, &contract, &canary, forced.as_deref()).await?;
        promoted.outcome = PromoteOutcome::Canary;
        promoted.revision = pointer.revision;
        promoted.canary = pointer.canary;
        return Ok(promoted);
    }
    let decision = decision(by, &reason, forced);
    match activate(pointers, ChangeKind::Promote, &bundle, &contract, &decision, |_| false).await? {
        Activated::Done { revision, replaced } => {
            promoted.revision = revision;
            promoted.replaced = replaced;
        }
        Activated::Unchanged { revision } => {
            promoted.revision = revision;
            promoted.outcome = PromoteOutcome::Unchanged;
        }
        Activated::Kept { held } => promoted.revision = held.revision,
    }
    Ok(promoted)
}

/// A canary of nothing or of everything is a mistake.
fn share(percent: Percent) -> Result<Percent, OpsError> {
    match percent.hundredths() {
        0 => Err(OpsError::invalid("--canary 0 would send it no events")),
        _ if percent == Percent::HUNDRED => Err(OpsError::invalid(
            "--canary 100 would leave nothing to compare with: leave --canary out to promote it",
        )),
        _ => Ok(percent),
    }
}

impl Shadowed {
    /// What speaks against promoting, in words.
    pub fn against(&self) -> Option<String> {
        match (self.newly_broken, self.events) {
            (0, 0) => Some("shadow: the vendor has no stored events of this type to try it on".to_owned()),
            (0, _) => None,
            (broken, events) => Some(format!("shadow: {broken} of {events} stored events newly broken")),
        }
    }
}

/// What a step back came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// What was done.
    pub outcome: RollbackOutcome,
    /// The bundle before.
    pub from: Sha256Hex,
    /// The bundle now.
    pub to: Sha256Hex,
    /// Of the pointer.
    pub revision: u64,
    /// Until then functions may go on as before.
    pub in_effect_within_seconds: u64,
}

/// How a step back ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackOutcome {
    /// The trial ended; the active mapper is as it was.
    CanaryEnded,
    /// An earlier bundle is active again.
    RolledBack,
}

/// A step back.
#[derive(Debug, Clone)]
pub struct Rollback {
    /// Whose messages.
    pub vendor: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// To this bundle, by its digest or the first digits; `None`: from a canary to the active
    /// mapper, else to the bundle before.
    pub to: Option<String>,
    /// Why, for the record.
    pub reason: String,
}

/// Goes one step back.
///
/// # Errors
/// When there is nothing to go back to, and when a service does not answer.
pub async fn rollback(
    store: &dyn BundleStore,
    pointers: &dyn MapperPointers,
    request: &Rollback,
    by: &str,
) -> Result<RolledBack, OpsError> {
    let (vendor, event_type) = (&request.vendor, &request.event_type);
    let decision = decision(by.to_owned(), &request.reason, None);
    let before = held(pointers, vendor, event_type).await?;
    let rolled_back = |outcome, from, to, revision| RolledBack {
        vendor_id: vendor.clone(),
        event_type: event_type.clone(),
        outcome,
        from,
        to,
        revision,
        in_effect_within_seconds: CACHE_SECONDS,
    };
    if request.to.is_none()
        && let Some(change) = end_canary(pointers, vendor, event_type, &decision).await?
    {
        let from = change.from.unwrap_or_else(|| change.to.clone());
        return Ok(rolled_back(RollbackOutcome::CanaryEnded, from, change.to, change.revision));
    }
    let to = match &request.to {
        Some(text) => resolve(store, text).await?,
        None => {
            let history = pointers.history(vendor, Some(event_type)).await?;
            MapperChange::previous(&history).ok_or_else(|| {
                OpsError::not_found(format!(
                    "{vendor} {event_type} has had no other mapper before the present one"
                ))
                .with_hint("name a bundle with --to DIGEST; `sluice mapper history` lists them")
            })?
        }
    };
    let manifest = published_manifest(store, &to).await?;
    belongs(&manifest.contract, vendor, event_type)?;
    match activate(pointers, ChangeKind::Rollback, &to, &manifest.contract, &decision, |_| false).await? {
        Activated::Done { revision, replaced } => {
            let from = replaced.map_or(before.bundle, |replaced| replaced.bundle);
            Ok(rolled_back(RollbackOutcome::RolledBack, from, to, revision))
        }
        Activated::Unchanged { .. } | Activated::Kept { .. } => {
            Err(OpsError::invalid(format!("the bundle {to} is the active one already")))
        }
    }
}

/// Whether a bundle is this vendor's and of this event type.
///
/// # Errors
/// Whose it is.
pub fn belongs(contract: &Contract, vendor_id: &VendorId, event_type: &EventType) -> Result<(), OpsError> {
    if contract.vendor_id == *vendor_id && contract.event_type == *event_type {
        return Ok(());
    }
    Err(OpsError::invalid(format!(
        "the bundle maps {} {}, not {vendor_id} {event_type}",
        contract.vendor_id, contract.event_type
    )))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use std::collections::BTreeMap;

    use sluice_core::bundle::{Manifest, manifest_key};
    use sluice_core::testing::World;

    use super::*;
    use crate::error::Kind;

    fn contract(payload_bytes_max: usize) -> Contract {
        serde_json::from_value(serde_json::json!({"vendorId": "v", "eventType": "t",
            "payload": {"defaultVersion": "1", "versions": {"1": "s.json"}},
            "canonical": {"type": "InventoryUpdated", "version": "1.0"}, "limits": {"payloadBytesMax": payload_bytes_max}}))
        .unwrap()
    }

    async fn activated(world: &World, contract: &Contract) -> Sha256Hex {
        let manifest = Manifest { contract: contract.clone(), files: BTreeMap::new() };
        let (bytes, digest) = manifest.encode();
        world.state().bundles.insert(manifest_key(&digest), bytes.into());
        let decision = decision("me".into(), "new", None);
        activate(world, ChangeKind::Activate, &digest, contract, &decision, |_| false).await.unwrap();
        digest
    }

    fn request(to: Option<&str>) -> Rollback {
        Rollback {
            vendor: "v".parse().unwrap(),
            event_type: "t".parse().unwrap(),
            to: to.map(ToOwned::to_owned),
            reason: "it is wrong".into(),
        }
    }

    #[tokio::test]
    async fn back_from_a_canary_first_and_then_from_bundle_to_bundle() {
        let world = World::new();
        let error = rollback(&world, &world, &request(None), "me").await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let one = activated(&world, &contract(1)).await;
        let error = rollback(&world, &world, &request(None), "me").await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "there is nothing before it");
        let two = activated(&world, &contract(2)).await;
        let canary = Canary {
            bundle: Sha256Hex::of(b"candidate"),
            percent: "10".parse().unwrap(),
            since: Timestamp::UNIX_EPOCH,
            by: "me".into(),
            reason: "trial".into(),
            min_events: 1,
            margin: "1".parse().unwrap(),
        };
        start_canary(&world, &contract(2), &canary, None).await.unwrap();

        let ended = rollback(&world, &world, &request(None), "me").await.unwrap();
        assert_eq!(
            (ended.outcome, &ended.from, &ended.to),
            (RollbackOutcome::CanaryEnded, &canary.bundle, &two)
        );
        let back = rollback(&world, &world, &request(None), "me").await.unwrap();
        assert_eq!((back.outcome, &back.from, &back.to), (RollbackOutcome::RolledBack, &two, &one));
        let pointer = world.state().mappers.values().next().unwrap().clone();
        assert_eq!((pointer.bundle, pointer.revision, pointer.contract), (one.clone(), 5, contract(1)));

        let forward = rollback(&world, &world, &request(Some(&two.as_str()[..10])), "me").await.unwrap();
        assert_eq!(forward.to, two);
        let again = rollback(&world, &world, &request(Some(two.as_str())), "me").await.unwrap_err();
        assert_eq!(again.kind(), Kind::Invalid);
        let kinds: Vec<&str> =
            world.state().mapper_changes.iter().map(|change| change.kind.as_str()).collect();
        assert_eq!(kinds, ["activate", "activate", "canary", "rollback", "rollback", "rollback"]);
    }

    #[tokio::test]
    async fn another_vendors_bundle_is_refused() {
        let world = World::new();
        activated(&world, &contract(1)).await;
        let foreign = Contract { vendor_id: "w".parse().unwrap(), ..contract(1) };
        let theirs = activated(&world, &foreign).await;
        let error = rollback(&world, &world, &request(Some(theirs.as_str())), "me").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("w t"), "{error}");
    }

    #[tokio::test]
    async fn a_promotion_is_of_all_or_of_a_share() {
        let world = World::new();
        let active = activated(&world, &contract(1)).await;
        let promotion = |canary: Option<&str>| Promotion {
            bundle: Sha256Hex::of(b"candidate"),
            contract: contract(2),
            canary: canary.map(|percent| Trying {
                percent: percent.parse().unwrap(),
                min_events: None,
                margin: None,
            }),
            by: "me".into(),
            reason: "qty was renamed".into(),
            shadow: None,
            forced: None,
        };
        for nothing_to_compare in ["0", "100"] {
            let error = promote(&world, promotion(Some(nothing_to_compare))).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
        }
        let trial = promote(&world, promotion(Some("10"))).await.unwrap();
        assert_eq!((trial.outcome, trial.revision), (PromoteOutcome::Canary, 2));
        assert_eq!(world.state().mappers.values().next().unwrap().bundle, active);
        let whole = promote(&world, promotion(None)).await.unwrap();
        assert_eq!((whole.outcome, whole.replaced.unwrap().bundle), (PromoteOutcome::Promoted, active));
        let again = promote(&world, promotion(None)).await.unwrap();
        assert_eq!((again.outcome, again.replaced), (PromoteOutcome::Unchanged, None));
    }

    #[test]
    fn what_speaks_against_a_candidate_is_said() {
        let shadowed =
            |newly_broken, events| Shadowed { events, newly_broken, fixed: 0, changed: 0, same: 0 };
        assert_eq!(shadowed(0, 5).against(), None);
        assert!(shadowed(0, 0).against().is_some_and(|text| text.contains("no stored events")));
        assert!(shadowed(3, 1_000).against().is_some_and(|text| text.contains("3 of 1000")));
    }
}

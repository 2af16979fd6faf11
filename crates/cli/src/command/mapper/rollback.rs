//! `sluice mapper rollback`: one command back.

use serde::Serialize;
use sluice_aws::vendors::CACHE_SECONDS;
use sluice_core::bundle::{ChangeKind, MapperChange};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::{BundleStore, MapperPointers};

use super::who;
use crate::args::RollbackArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint};
use crate::pointer::{Activated, activate, decision, end_canary, held};
use crate::publish::{published_manifest, resolve};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RolledBack {
    vendor_id: VendorId,
    event_type: EventType,
    outcome: Outcome,
    from: Sha256Hex,
    to: Sha256Hex,
    revision: u64,
    in_effect_within_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// The trial ended; the active mapper is as it was.
    CanaryEnded,
    /// An earlier bundle is active again.
    RolledBack,
}

/// Runs the command.
pub(super) async fn run(args: &RollbackArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let (store, pointers) = (cloud.bundles(), cloud.vendors());
    output.document(&rollback(&store, &pointers, args, &who("rollback")).await?)
}

async fn rollback(
    store: &dyn BundleStore,
    pointers: &dyn MapperPointers,
    args: &RollbackArgs,
    by: &str,
) -> Result<RolledBack, CliError> {
    let (vendor, event_type) = (&args.vendor, &args.event_type);
    let decision = decision(by.to_owned(), &args.reason, None);
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
    if args.to.is_none()
        && let Some(change) = end_canary(pointers, vendor, event_type, &decision).await?
    {
        let from = change.from.unwrap_or_else(|| change.to.clone());
        return Ok(rolled_back(Outcome::CanaryEnded, from, change.to, change.revision));
    }
    let to = match &args.to {
        Some(text) => resolve(store, text).await?,
        None => {
            let history = pointers.history(vendor, Some(event_type)).await?;
            MapperChange::previous(&history).ok_or_else(|| {
                CliError::not_found(format!(
                    "{vendor} {event_type} has had no other mapper before the present one"
                ))
                .with_hint("name a bundle with --to DIGEST; `sluice mapper history` lists them")
            })?
        }
    };
    let manifest = published_manifest(store, &to).await?;
    super::belongs(&manifest.contract, vendor, event_type)?;
    match activate(pointers, ChangeKind::Rollback, &to, &manifest.contract, &decision, |_| false).await? {
        Activated::Done { revision, replaced } => {
            let from = replaced.map_or(before.bundle, |replaced| replaced.bundle);
            Ok(rolled_back(Outcome::RolledBack, from, to, revision))
        }
        Activated::Unchanged { .. } | Activated::Kept { .. } => {
            Err(CliError::usage(format!("the bundle {to} is the active one already")))
        }
    }
}

impl View for RolledBack {
    fn text(&self, _page: &Page) -> String {
        let done = match self.outcome {
            Outcome::CanaryEnded => "the canary is off: all events go through the active mapper",
            Outcome::RolledBack => "rolled back",
        };
        let head = format!(
            "{} {}  {}\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Strong, self.event_type.as_str()),
            paint(Tone::Good, done)
        );
        let list = vec![
            ("from", self.from.to_string()),
            ("to", self.to.to_string()),
            ("revision", self.revision.to_string()),
            ("in effect", format!("within {} s", self.in_effect_within_seconds)),
        ];
        format!("{head}{}", fields(list))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use sluice_core::bundle::{Canary, Manifest, manifest_key};
    use sluice_core::contract::Contract;
    use sluice_core::testing::World;

    use super::*;
    use crate::error::ExitKind;
    use crate::pointer::start_canary;

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

    fn args(to: Option<&str>) -> RollbackArgs {
        RollbackArgs {
            vendor: "v".parse().unwrap(),
            event_type: "t".parse().unwrap(),
            to: to.map(ToOwned::to_owned),
            reason: "it is wrong".into(),
        }
    }

    #[tokio::test]
    async fn back_from_a_canary_first_and_then_from_bundle_to_bundle() {
        let world = World::new();
        let error = rollback(&world, &world, &args(None), "me").await.unwrap_err();
        assert_eq!(error.kind(), ExitKind::NotFound);
        let one = activated(&world, &contract(1)).await;
        let error = rollback(&world, &world, &args(None), "me").await.unwrap_err();
        assert_eq!(error.kind(), ExitKind::NotFound, "there is nothing before it");
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

        let ended = rollback(&world, &world, &args(None), "me").await.unwrap();
        assert_eq!((ended.outcome, &ended.from, &ended.to), (Outcome::CanaryEnded, &canary.bundle, &two));
        let back = rollback(&world, &world, &args(None), "me").await.unwrap();
        assert_eq!((back.outcome, &back.from, &back.to), (Outcome::RolledBack, &two, &one));
        let pointer = world.state().mappers.values().next().unwrap().clone();
        assert_eq!((pointer.bundle, pointer.revision, pointer.contract), (one.clone(), 5, contract(1)));

        let forward = rollback(&world, &world, &args(Some(&two.as_str()[..10])), "me").await.unwrap();
        assert_eq!(forward.to, two);
        let again = rollback(&world, &world, &args(Some(two.as_str())), "me").await.unwrap_err();
        assert_eq!(again.kind(), ExitKind::Usage);
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
        let error = rollback(&world, &world, &args(Some(theirs.as_str())), "me").await.unwrap_err();
        assert_eq!(error.kind(), ExitKind::Usage);
        assert!(error.to_string().contains("w t"), "{error}");
    }
}

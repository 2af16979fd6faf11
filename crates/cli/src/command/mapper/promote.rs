//! `sluice mapper promote`: a bundle becomes the active one, or a candidate on trial.
//!
//! Invariant: with `--require-shadow` no pointer is written before the candidate was run over what the vendor has sent, and what
//! it breaks was either nothing or overruled, on the record.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::vendors::CACHE_SECONDS;
use sluice_core::bundle::{Canary, ChangeKind, Percent};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};

use super::build::Proved;
use super::{belongs, who};
use crate::args::PromoteArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Progress, Tone, View, fields, paint};
use crate::pointer::{Activated, activate, decision, start_canary};
use crate::publish::{
    Activation, Bundle, CONTRACT_FILE, Cranelift, Replaced, Tools, contract_of, publish, published_manifest,
    resolve,
};
use crate::shadow::{self, Candidate, Options};
use crate::signing::signer;

/// What shadow replay said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shadowed {
    events: u64,
    newly_broken: u64,
    fixed: u64,
    changed: u64,
    same: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Promoted {
    vendor_id: VendorId,
    event_type: EventType,
    bundle: Sha256Hex,
    outcome: Outcome,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<Replaced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<Canary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Shadowed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<String>,
    in_effect_within_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// All events go through it.
    Promoted,
    /// A share of them does.
    Canary,
    /// It was the active one already.
    Unchanged,
}

/// Runs the command.
pub(super) async fn run(args: &PromoteArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("looking for the bundle".to_owned());
    let (bundle, contract) = candidate(args, cloud, &progress, output).await?;
    let shadow =
        if args.require_shadow { Some(shadowed(args, cloud, &bundle, &progress).await?) } else { None };
    drop(progress);
    let forced = overruled(args, shadow.as_ref())?;
    let pointers = cloud.vendors();
    let reason = args.reason.as_deref().unwrap_or("promoted with sluice mapper promote");
    let mut promoted = Promoted {
        vendor_id: args.vendor.clone(),
        event_type: args.event_type.clone(),
        bundle: bundle.clone(),
        outcome: Outcome::Promoted,
        revision: 0,
        replaced: None,
        canary: None,
        shadow,
        forced: forced.clone(),
        in_effect_within_seconds: CACHE_SECONDS,
    };
    if let Some(percent) = args.canary {
        let canary = Canary {
            bundle,
            percent: share(percent)?,
            since: Timestamp::now(),
            by: who("promote"),
            reason: reason.to_owned(),
            min_events: args.min_events.unwrap_or(Canary::MIN_EVENTS_DEFAULT),
            margin: args.margin.unwrap_or(Canary::MARGIN_DEFAULT),
        };
        let pointer = start_canary(&pointers, &contract, &canary, forced.as_deref()).await?;
        promoted.outcome = Outcome::Canary;
        promoted.revision = pointer.revision;
        promoted.canary = pointer.canary;
        return output.document(&promoted);
    }
    let decision = decision(who("promote"), reason, forced);
    match activate(&pointers, ChangeKind::Promote, &bundle, &contract, &decision, |_| false).await? {
        Activated::Done { revision, replaced } => {
            promoted.revision = revision;
            promoted.replaced = replaced;
        }
        Activated::Unchanged { revision } => {
            promoted.revision = revision;
            promoted.outcome = Outcome::Unchanged;
        }
        Activated::Kept { held } => promoted.revision = held.revision,
    }
    output.document(&promoted)
}

/// The bundle to promote; one in a folder is published first.
async fn candidate(
    args: &PromoteArgs,
    cloud: &Cloud,
    progress: &Progress,
    output: &Output,
) -> Result<(Sha256Hex, Contract), CliError> {
    let store = cloud.bundles();
    let folder = Path::new(&args.bundle);
    if !folder.is_dir() {
        if args.module.wasm.is_some() || args.module.no_build || args.no_test {
            return Err(CliError::usage(format!(
                "--wasm, --no-build and --no-test go with a bundle's folder, and {} is none",
                args.bundle
            )));
        }
        let digest = resolve(&store, &args.bundle).await?;
        let contract = published_manifest(&store, &digest).await?.contract;
        belongs(&contract, &args.vendor, &args.event_type)?;
        return Ok((digest, contract));
    }
    // Whose it is, before it is built.
    belongs(&contract_of(folder)?, &args.vendor, &args.event_type)
        .map_err(|error| error.with_hint(format!("see {}", folder.join(CONTRACT_FILE).display())))?;
    let proved = Proved::of(folder, &args.module, args.no_test, output)?;
    let bundle = Bundle::read(folder, &proved.wasm)?;
    progress.say("compiling and publishing");
    let contract = bundle.contract.clone();
    let pointers = cloud.vendors();
    let signer = signer(cloud, &args.signing.signing_key).await?;
    let tools =
        Tools { store: &store, pointers: &pointers, compiler: Arc::new(Cranelift), signer: signer.as_ref() };
    let published = publish(&tools, bundle, &Activation::None, Timestamp::now()).await?;
    Ok((published.bundle, contract))
}

/// A canary of nothing or of everything is a mistake.
fn share(percent: Percent) -> Result<Percent, CliError> {
    match percent.hundredths() {
        0 => Err(CliError::usage("--canary 0 would send it no events")),
        _ if percent == Percent::HUNDRED => Err(CliError::usage(
            "--canary 100 would leave nothing to compare with: leave --canary out to promote it",
        )),
        _ => Ok(percent),
    }
}

/// Runs the candidate over what is stored.
async fn shadowed(
    args: &PromoteArgs,
    cloud: &Cloud,
    bundle: &Sha256Hex,
    progress: &Progress,
) -> Result<Shadowed, CliError> {
    let now = Timestamp::now();
    let mut options = Options::new(args.vendor.clone(), now);
    options.event_type = Some(args.event_type.clone());
    if let Some(since) = args.since {
        options.since = since.resolve(now);
    }
    if let Some(limit) = args.limit {
        options.limit = usize::try_from(limit).unwrap_or(usize::MAX);
    }
    let report = shadow::run(cloud, &Candidate::Published(bundle.clone()), &options, progress).await?;
    Ok(Shadowed {
        events: report.events,
        newly_broken: report.newly_broken.events,
        fixed: report.fixed.events,
        changed: report.changed.events,
        same: report.same,
    })
}

/// What speaks against the candidate and is overruled; an error if it is not.
fn overruled(args: &PromoteArgs, shadow: Option<&Shadowed>) -> Result<Option<String>, CliError> {
    let Some(shadow) = shadow else { return Ok(None) };
    let against = match (shadow.newly_broken, shadow.events) {
        (0, 0) => "shadow: the vendor has no stored events of this type to try it on".to_owned(),
        (0, _) => return Ok(None),
        (broken, events) => format!("shadow: {broken} of {events} stored events newly broken"),
    };
    if args.force {
        return Ok(Some(against));
    }
    Err(CliError::Refused {
        message: format!("not promoted: {against}"),
        hint: Some(format!(
            "`sluice mapper shadow {} --candidate {}` shows which and why; --force --reason TEXT goes on even so",
            args.vendor, args.bundle
        )),
    })
}

impl View for Promoted {
    fn text(&self, _page: &Page) -> String {
        let done = match self.outcome {
            Outcome::Promoted => paint(Tone::Good, "promoted"),
            Outcome::Canary => paint(Tone::Good, "on trial"),
            Outcome::Unchanged => paint(Tone::Dim, "unchanged: this bundle is active already"),
        };
        let head = format!(
            "{} {}  {done}\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Strong, self.event_type.as_str())
        );
        let mut list = vec![("bundle", self.bundle.to_string())];
        if let Some(canary) = &self.canary {
            list.push(("canary", format!("{} % of the events", canary.percent)));
            list.push((
                "taken back",
                format!(
                    "by itself, if after {} events it quarantines over {} points more than the active mapper",
                    canary.min_events, canary.margin
                ),
            ));
        }
        if let Some(shadow) = &self.shadow {
            list.push((
                "shadow",
                format!(
                    "{} events: {} same, {} changed, {} fixed, {} newly broken",
                    shadow.events, shadow.same, shadow.changed, shadow.fixed, shadow.newly_broken
                ),
            ));
        }
        list.extend(self.forced.as_ref().map(|forced| ("overruled", forced.clone())));
        list.extend(
            self.replaced
                .as_ref()
                .map(|replaced| ("replaced", format!("{}, revision {}", replaced.bundle, replaced.revision))),
        );
        list.push(("revision", self.revision.to_string()));
        list.push(("in effect", format!("within {} s", self.in_effect_within_seconds)));
        format!("{head}{}", fields(list))
    }
}

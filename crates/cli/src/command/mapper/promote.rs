//! `sluice mapper promote`: a bundle becomes the active one, or a candidate on trial.
//!
//! Invariant: with `--require-shadow` no pointer is written before the candidate was run over what the vendor has sent, and what
//! it breaks was either nothing or overruled, on the record.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_mapper_host::Host;
use sluice_ops::bundles::{published_manifest, resolve};
use sluice_ops::mappers::{self, PromoteOutcome, Promoted, Promotion, Shadowed, Trying, belongs};
use sluice_ops::shadow::{self, Options};

use super::build::Proved;
use super::who;
use crate::args::PromoteArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Progress, Tone, View, fields, paint};
use crate::publish::{Activation, Bundle, CONTRACT_FILE, Cranelift, Tools, contract_of, publish};
use crate::signing::signer;

/// Runs the command.
pub(super) async fn run(args: &PromoteArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("looking for the bundle".to_owned());
    let (bundle, contract) = candidate(args, cloud, &progress, output).await?;
    let shadow =
        if args.require_shadow { Some(shadowed(args, cloud, &bundle, &progress).await?) } else { None };
    drop(progress);
    let forced = overruled(args, shadow.as_ref())?;
    let reason = args.reason.as_deref().unwrap_or("promoted with sluice mapper promote");
    let promotion = Promotion {
        bundle,
        contract,
        canary: args.canary.map(|percent| Trying {
            percent,
            min_events: args.min_events,
            margin: args.margin,
        }),
        by: who("promote"),
        reason: reason.to_owned(),
        shadow,
        forced,
    };
    output.document(&mappers::promote(&cloud.vendors(), promotion).await?)
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
    belongs(&contract_of(folder)?, &args.vendor, &args.event_type).map_err(|error| {
        CliError::from(error).with_hint(format!("see {}", folder.join(CONTRACT_FILE).display()))
    })?;
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
    let report = {
        progress.say("loading the mappers");
        let host = Host::new()?;
        let candidate = shadow::published(cloud, &host, bundle).await?;
        shadow::run(cloud, &host, candidate, &options, progress).await?
    };
    Ok(Shadowed::from(&report))
}

/// What speaks against the candidate and is overruled; an error if it is not.
fn overruled(args: &PromoteArgs, shadow: Option<&Shadowed>) -> Result<Option<String>, CliError> {
    let Some(against) = shadow.and_then(Shadowed::against) else { return Ok(None) };
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
            PromoteOutcome::Promoted => paint(Tone::Good, "promoted"),
            PromoteOutcome::Canary => paint(Tone::Good, "on trial"),
            PromoteOutcome::Unchanged => paint(Tone::Dim, "unchanged: this bundle is active already"),
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

//! `sluice mapper recompile`: native code of this version's compiler for bundles that are published already.
//!
//! Before `normalize` is deployed with another wasmtime or configuration, and so with another fingerprint, this adds code for it
//! beside the code that runs now. Nothing that is there is changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use sluice_core::digest::Sha256Hex;
use sluice_core::port::MapperPointers as _;

use sluice_ops::bundles::resolve;

use crate::args::RecompileArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};
use crate::publish::{Compiler as _, Cranelift, NativeRef, Tools, recompile};
use crate::signing::signer;

#[derive(Debug, Serialize)]
struct Recompiled {
    fingerprints: Vec<String>,
    bundles: Vec<One>,
}

#[derive(Debug, Serialize)]
struct One {
    bundle: Sha256Hex,
    /// What was compiled now; empty if it was there.
    native: Vec<NativeRef>,
}

/// Runs the command.
pub(super) async fn run(args: &RecompileArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let progress = output.progress("looking for bundles".to_owned());
    let (store, pointers) = (cloud.bundles(), cloud.vendors());
    let mut digests = BTreeSet::new();
    if args.bundles.is_empty() {
        for active in pointers.list_mappers().await? {
            let history =
                pointers.history(&active.contract.vendor_id, Some(&active.contract.event_type)).await?;
            digests.extend(history.into_iter().flat_map(|change| [Some(change.to), change.from]).flatten());
            digests.extend(active.canary.map(|canary| canary.bundle));
            digests.insert(active.bundle);
        }
    }
    for text in &args.bundles {
        digests.insert(resolve(&store, text).await?);
    }
    let signer = signer(cloud, &args.signing.signing_key).await?;
    let tools =
        Tools { store: &store, pointers: &pointers, compiler: Arc::new(Cranelift), signer: signer.as_ref() };
    let mut bundles = Vec::new();
    for bundle in digests {
        progress.say(format!("compiling {}", &bundle.as_str()[..12]));
        let native = recompile(&tools, &bundle).await?;
        bundles.push(One { bundle, native });
    }
    drop(progress);
    output.document(&Recompiled { fingerprints: Cranelift.fingerprints(), bundles })
}

impl View for Recompiled {
    fn text(&self, page: &Page) -> String {
        if self.bundles.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Dim, "No bundles are published."));
        }
        let rows = self.bundles.iter().map(|one| {
            let bundle = one.bundle.as_str();
            let bundle = if page.terminal { &bundle[..12] } else { bundle };
            let done = match one.native.as_slice() {
                [] => Cell::new(Tone::Dim, "was there"),
                native => {
                    let native: Vec<String> = native.iter().map(NativeRef::text).collect();
                    Cell::new(Tone::Good, native.join("; "))
                }
            };
            vec![bundle.into(), done]
        });
        page.table(&["BUNDLE", "NATIVE CODE"], rows.collect())
    }
}

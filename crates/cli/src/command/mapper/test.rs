//! `sluice mapper test`: every fixture of bundles, as WebAssembly within production's limits, and natively.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sluice_core::id::{EventType, VendorId};
use sluice_mapper_host::Host;

use super::build::module;
use crate::args::TestArgs;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, paint};
use crate::workshop::build::{all_bundles, bundle_folder, test_natively};
use crate::workshop::bundle::load;
use crate::workshop::fixtures::{Failure, Outcome, Usage, cases};
use crate::workshop::requests::request_cases;
use crate::workshop::trial::Loaded;

/// Runs the command.
pub(super) fn run(args: &TestArgs, output: &Output) -> Result<(), CliError> {
    let folders = if args.bundles.is_empty() { all_bundles()? } else { args.bundles.clone() };
    if folders.len() != 1 && args.module.wasm.is_some() {
        return Err(CliError::usage("--wasm is the module of one bundle: name its folder"));
    }
    let host = Host::new()?;
    let mut tested = Tested::default();
    for folder in folders {
        let bundle = test(&host, &folder, args, output)?;
        tested.passed += bundle.count("passed");
        tested.updated += bundle.count("updated");
        tested.failed += bundle.count("failed") + usize::from(bundle.native_failure.is_some());
        tested.bundles.push(bundle);
    }
    output.document(&tested)?;
    match tested.failed {
        0 => Ok(()),
        1 => Err(CliError::Failed("1 fixture fails".into())),
        failed => Err(CliError::Failed(format!("{failed} fixtures fail"))),
    }
}

fn test(host: &Host, folder: &Path, args: &TestArgs, output: &Output) -> Result<Bundle, CliError> {
    let folder = &bundle_folder(folder)?;
    let wasm = module(folder, &args.module, output)?;
    let loaded = Loaded { folder: folder.clone(), bundle: load(host, folder, &wasm)? };
    let bundle = &loaded.bundle;
    let progress = output.progress(format!("testing {}", folder.display()));
    let list = cases(folder, &bundle.contract)?;
    let requests = request_cases(folder)?;
    if list.is_empty() && requests.is_empty() {
        return Err(CliError::InvalidFile {
            path: folder.join("fixtures"),
            problem: "has no message: a case is <case>.in.json".into(),
            hint: Some("put a message of the vendor's there, and run it with --update".into()),
        });
    }
    let mut results = Vec::new();
    for case in list {
        let (outcome, usage) = case.test(bundle, args.update)?;
        results.push(Case::of(case.name, outcome, usage));
    }
    for case in requests {
        let outcome = case.test(&loaded, args.update)?;
        results.push(Case::of(format!("{} (request)", case.name), outcome, None));
    }
    // Natively only what holds as WebAssembly: the failures would be the same ones.
    let failed = results.iter().any(|case| case.failure.is_some());
    progress.say("running the bundle's own tests");
    let native = if args.no_native || args.module.wasm.is_some() || failed {
        Ok(false)
    } else {
        test_natively(folder, output)
    };
    let (native, native_failure) = match native {
        Ok(ran) => (ran, None),
        Err(CliError::Failed(message)) => (true, Some(message)),
        Err(other) => return Err(other),
    };
    Ok(Bundle {
        folder: folder.clone(),
        vendor_id: loaded.bundle.contract.vendor_id,
        event_type: loaded.bundle.contract.event_type,
        cases: results,
        native,
        native_failure,
    })
}

#[derive(Debug, Default, Serialize)]
struct Tested {
    bundles: Vec<Bundle>,
    passed: usize,
    updated: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    folder: PathBuf,
    vendor_id: VendorId,
    event_type: EventType,
    cases: Vec<Case>,
    native: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_failure: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl Case {
    fn of(name: String, outcome: Outcome, usage: Option<Usage>) -> Self {
        let (outcome, failure) = match outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Updated => ("updated", None),
            Outcome::Failed(failure) => ("failed", Some(failure)),
        };
        Self { name, outcome, usage, failure }
    }
}

impl Bundle {
    fn count(&self, outcome: &str) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }
}

impl View for Tested {
    fn text(&self, _page: &Page) -> String {
        let mut text = String::new();
        for bundle in &self.bundles {
            let name = bundle.folder.file_name().unwrap_or_default().to_string_lossy();
            text.push_str(&format!(
                "{}  {} {}\n",
                paint(Tone::Strong, name),
                bundle.vendor_id,
                paint(Tone::Dim, bundle.event_type.as_str())
            ));
            for case in &bundle.cases {
                let (mark, tone) = match case.outcome {
                    "passed" => ("ok", Tone::Good),
                    "updated" => ("written", Tone::Warn),
                    _ => ("FAILED", Tone::Bad),
                };
                let used = case.usage.map_or_else(String::new, |usage| {
                    format!(
                        "{:.1} % of fuel, {} KiB of memory",
                        usage.fuel as f64 * 100.0 / usage.fuel_max.max(1) as f64,
                        usage.memory_bytes / 1024
                    )
                });
                text.push_str(&format!(
                    "  {} {}  {}\n",
                    paint(tone, format!("{mark:7}")),
                    case.name,
                    paint(Tone::Dim, used)
                ));
                if let Some(failure) = &case.failure {
                    for line in failure.text().lines() {
                        text.push_str(&format!("          {line}\n"));
                    }
                }
            }
            let natively = match (&bundle.native_failure, bundle.native) {
                (Some(failure), _) => format!("  {} natively: {failure}\n", paint(Tone::Bad, "FAILED ")),
                (None, true) => format!("  {} natively\n", paint(Tone::Good, "ok     ")),
                (None, false) => String::new(),
            };
            text.push_str(&natively);
        }
        text.push_str(&format!("\n{} passed, {} failed", self.passed, self.failed));
        if self.updated > 0 {
            text.push_str(&format!(", {} written: read the difference before you commit it", self.updated));
        }
        text.push('\n');
        text
    }
}

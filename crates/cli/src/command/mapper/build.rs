//! `sluice mapper build`. The work is in [`crate::workshop::build`].

use std::path::{Path, PathBuf};

use serde::Serialize;
use sluice_core::bundle::FileRef;
use sluice_mapper_host::{Host, inspect, limits};

use crate::args::{BuildArgs, ModuleArgs};
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint};
use crate::publish::{FIXTURES_FOLDER, module_path};
use crate::workshop::build::{Language, build};
use crate::workshop::bundle::load;
use crate::workshop::fixtures::{Outcome, cases};
use crate::workshop::requests::request_cases;
use crate::workshop::trial::Loaded;

/// Runs the command.
pub(super) fn run(args: &BuildArgs, output: &Output) -> Result<(), CliError> {
    let progress = output.progress(format!("building {}", args.bundle.display()));
    let path = build(&args.bundle, output)?;
    let bytes = std::fs::read(&path).map_err(|source| CliError::ReadFile { path: path.clone(), source })?;
    inspect(&bytes).map_err(|error| CliError::InvalidFile {
        path: path.clone(),
        problem: format!("was built, but is not a module that may be published: {error}"),
        hint: Some("`sluice mapper check` says what else is wrong".into()),
    })?;
    drop(progress);
    output.document(&Built { module: path.display().to_string(), file: FileRef::of(&bytes) })
}

/// The module that the options mean, built first unless they say otherwise.
pub(super) fn module(folder: &Path, args: &ModuleArgs, output: &Output) -> Result<PathBuf, CliError> {
    match &args.wasm {
        Some(path) => Ok(path.clone()),
        None if args.no_build => module_path(folder),
        None => {
            let _progress = output.progress(format!("building {}", folder.display()));
            build(folder, output)
        }
    }
}

/// A bundle that may be published: its module is the one that its sources make, and its fixtures hold, unless the options say
/// otherwise.
pub(super) struct Proved {
    /// The module.
    pub(super) wasm: PathBuf,
    /// It was built now; else it is whatever was there.
    pub(super) built: bool,
    /// Fixtures that hold.
    pub(super) tested: usize,
}

impl Proved {
    /// Builds and tests the bundle of a folder.
    ///
    /// # Errors
    /// What does not build, or the fixtures that fail.
    pub(super) fn of(
        folder: &Path,
        args: &ModuleArgs,
        no_test: bool,
        output: &Output,
    ) -> Result<Self, CliError> {
        // A folder that has only a module has nothing to build.
        let built = args.wasm.is_none() && !args.no_build && Language::of(folder).is_some();
        let wasm = match (&args.wasm, built) {
            (Some(path), _) => path.clone(),
            (None, true) => module(folder, args, output)?,
            (None, false) => module_path(folder)?,
        };
        let tested = if no_test { 0 } else { fixtures_hold(folder, &wasm, output)? };
        Ok(Self { wasm, built, tested })
    }
}

fn fixtures_hold(folder: &Path, wasm: &Path, output: &Output) -> Result<usize, CliError> {
    if !folder.join(FIXTURES_FOLDER).is_dir() {
        return Ok(0);
    }
    let _progress = output.progress(format!("testing {}", folder.display()));
    let loaded = Loaded { folder: folder.to_owned(), bundle: load(&Host::new()?, folder, wasm)? };
    let mut outcomes: Vec<(String, Outcome)> = Vec::new();
    for case in cases(folder, &loaded.bundle.contract)? {
        let outcome = case.test(&loaded.bundle, false)?.0;
        outcomes.push((case.name, outcome));
    }
    for case in request_cases(folder)? {
        let outcome = case.test(&loaded, false)?;
        outcomes.push((case.name, outcome));
    }
    let total = outcomes.len();
    let failed: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(failure) => Some(format!("{name}: {}", failure.message)),
            Outcome::Passed | Outcome::Updated => None,
        })
        .collect();
    if failed.is_empty() {
        return Ok(total);
    }
    Err(CliError::Failed(format!(
        "{} of {total} fixtures of {} fail, so nothing is published (`sluice mapper test` shows how, --no-test publishes all the same):\n  {}",
        failed.len(),
        folder.display(),
        failed.join("\n  ")
    )))
}

#[derive(Debug, Serialize)]
struct Built {
    module: String,
    #[serde(flatten)]
    file: FileRef,
}

impl View for Built {
    fn text(&self, _page: &Page) -> String {
        format!(
            "{} {}\n{}",
            paint(Tone::Good, "built"),
            self.module,
            fields([
                ("bytes", format!("{} of {}", self.file.bytes, limits::MODULE_BYTES_MAX)),
                ("sha256", self.file.sha256.to_string()),
            ])
        )
    }
}

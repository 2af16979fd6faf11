//! `sluice mapper build`. The work is in [`crate::workshop::build`].

use std::path::PathBuf;

use serde::Serialize;
use sluice_core::bundle::FileRef;
use sluice_mapper_host::{inspect, limits};

use crate::args::{BuildArgs, ModuleArgs};
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint};
use crate::publish::module_path;
use crate::workshop::build::build;

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
pub(super) fn module(
    folder: &std::path::Path,
    args: &ModuleArgs,
    output: &Output,
) -> Result<PathBuf, CliError> {
    match &args.wasm {
        Some(path) => Ok(path.clone()),
        None if args.no_build => module_path(folder),
        None => {
            let _progress = output.progress(format!("building {}", folder.display()));
            build(folder, output)
        }
    }
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

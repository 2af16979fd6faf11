//! A bundle in a folder, as a mapper that runs here.

use std::path::Path;

use sluice_mapper_host::Host;
use sluice_mapping::Bundle;
use sluice_ops::error::OpsError;
use sluice_ops::loaded::compiled;

use crate::error::CliError;
use crate::publish;

/// Reads, compiles and loads the bundle of a folder with the module at `wasm`.
///
/// # Errors
/// A file that is not what it should be, or a module that may not be published, each named.
pub fn load(host: &Host, folder: &Path, wasm: &Path) -> Result<Bundle, CliError> {
    let read = publish::Bundle::read(folder, wasm)?;
    compiled(host, read.contract, &read.files).map_err(|error| match error {
        OpsError::Load(error) => CliError::InvalidFile {
            path: wasm.to_owned(),
            problem: format!("is not a module that may be published: {error}"),
            hint: Some("`sluice mapper check` finds everything that is wrong".into()),
        },
        other => other.into(),
    })
}

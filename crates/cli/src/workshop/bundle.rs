//! A bundle's folder, as a mapper that runs.

use std::path::Path;

use sluice_core::schema::Schema;
use sluice_mapper_host::{Host, TargetSpec, TrustedDigest, compile};
use sluice_mapping::Bundle;

use crate::error::CliError;
use crate::publish;

/// Reads, compiles and loads the bundle of a folder with the module at `wasm`.
///
/// # Errors
/// A file that is not what it should be, or a module that may not be published, each named.
pub fn load(host: &Host, folder: &Path, wasm: &Path) -> Result<Bundle, CliError> {
    let read = publish::Bundle::read(folder, wasm)?;
    let refused = |problem: String| CliError::InvalidFile { path: wasm.to_owned(), problem, hint: None };
    let native = compile(&read.module(), &TargetSpec::host())
        .map_err(|error| refused(format!("is not a module that may be published: {error}")))?;
    let mapper = host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))?;
    let schemas = read.contract.payload.versions.iter().map(|(version, path)| {
        let text = read.files.get(path).map(|bytes| &bytes[..]).unwrap_or_default();
        let schema = Schema::compile(text)
            .map_err(|error| refused(format!("names the schema {path}, which is {error}")))?;
        Ok((version.clone(), schema))
    });
    let schemas = schemas.collect::<Result<_, CliError>>()?;
    Ok(Bundle { contract: read.contract, schemas, mapper })
}

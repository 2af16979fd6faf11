//! A bundle, in a folder or published, as a mapper that runs here.
//!
//! The module is compiled here, from bytes that the bundle's digest vouches for: what a tool predicts with needs no one's signature.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use sluice_core::bundle::{FileRef, MODULE_FILE, Manifest, blob_key, manifest_key};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::port::BundleStore;
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};
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
    compiled(host, read.contract, &read.files).map_err(|error| match error {
        CliError::Load(error) => CliError::InvalidFile {
            path: wasm.to_owned(),
            problem: format!("is not a module that may be published: {error}"),
            hint: Some("`sluice mapper check` finds everything that is wrong".into()),
        },
        other => other,
    })
}

/// Fetches, checks, compiles and loads a published bundle.
///
/// # Errors
/// A bundle that is not there or was altered, or one that this version cannot run.
pub async fn published(host: &Host, store: &dyn BundleStore, digest: &Sha256Hex) -> Result<Bundle, CliError> {
    let bytes = whole(store, &manifest_key(digest), digest).await?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the manifest of the bundle {digest} is not one that this version reads");
        Fault::new(Code::RowMalformed, message).with_source(error)
    })?;
    let mut files = BTreeMap::new();
    for (name, FileRef { sha256, .. }) in &manifest.files {
        files.insert(name.clone(), whole(store, &blob_key(sha256), sha256).await?);
    }
    compiled(host, manifest.contract, &files)
}

async fn whole(store: &dyn BundleStore, key: &str, digest: &Sha256Hex) -> Result<Bytes, Fault> {
    let bytes = store.get(key).await?;
    let found = Sha256Hex::of(&bytes);
    if found == *digest {
        return Ok(bytes);
    }
    Err(Fault::new(
        Code::BundleDigestMismatch,
        format!("{key} has the digest {found}: it was altered or damaged"),
    ))
}

pub(crate) fn compiled(
    host: &Host,
    contract: Contract,
    files: &BTreeMap<String, Bytes>,
) -> Result<Bundle, CliError> {
    let file = |name: &str| files.get(name).map(|bytes| &bytes[..]).unwrap_or_default();
    let native = compile(file(MODULE_FILE), &TargetSpec::host())?;
    let mapper = host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))?;
    let schemas = contract.payload.versions.iter().map(|(version, path)| {
        let schema = Schema::compile(file(path))
            .map_err(|error| CliError::Failed(format!("the bundle's {path} is {error}")))?;
        Ok((version.clone(), schema))
    });
    let schemas = schemas.collect::<Result<_, CliError>>()?;
    Ok(Bundle { contract, schemas, mapper })
}

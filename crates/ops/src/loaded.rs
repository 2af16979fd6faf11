//! A published bundle as a mapper that runs here.
//!
//! The module is compiled here, from bytes that the bundle's digest vouches for: what a tool
//! predicts with needs no one's signature.

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_core::bundle::{FileRef, MODULE_FILE, Manifest, blob_key, manifest_key};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::port::BundleStore;
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};
use sluice_mapper_host::{Host, TargetSpec, TrustedDigest, compile};
use sluice_mapping::Bundle;

use crate::error::OpsError;

/// Fetches, checks, compiles and loads a published bundle.
///
/// # Errors
/// A bundle that is not there or was altered, or one that this version cannot run.
pub async fn published(host: &Host, store: &dyn BundleStore, digest: &Sha256Hex) -> Result<Bundle, OpsError> {
    let (manifest, files) = files(store, digest).await?;
    compiled(host, manifest.contract, &files)
}

/// The manifest and every file of a published bundle, fetched and checked.
///
/// # Errors
/// A bundle that is not there or was altered, or one that this version cannot read.
pub async fn files(
    store: &dyn BundleStore,
    digest: &Sha256Hex,
) -> Result<(Manifest, BTreeMap<String, Bytes>), OpsError> {
    let bytes = whole(store, &manifest_key(digest), digest).await?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the manifest of the bundle {digest} is not one that this version reads");
        Fault::new(Code::RowMalformed, message).with_source(error)
    })?;
    let mut files = BTreeMap::new();
    for (name, FileRef { sha256, .. }) in &manifest.files {
        files.insert(name.clone(), whole(store, &blob_key(sha256), sha256).await?);
    }
    Ok((manifest, files))
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

/// Compiles and loads a bundle of these files.
///
/// # Errors
/// When the module or a schema is not what it should be.
pub fn compiled(
    host: &Host,
    contract: Contract,
    files: &BTreeMap<String, Bytes>,
) -> Result<Bundle, OpsError> {
    let file = |name: &str| files.get(name).map(|bytes| &bytes[..]).unwrap_or_default();
    let native = compile(file(MODULE_FILE), &TargetSpec::host())?;
    let mapper = host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))?;
    let schemas = contract.payload.versions.iter().map(|(version, path)| {
        let schema = Schema::compile(file(path))
            .map_err(|error| OpsError::Failed(format!("the bundle's {path} is {error}")))?;
        Ok((version.clone(), schema))
    });
    let schemas = schemas.collect::<Result<_, OpsError>>()?;
    Ok(Bundle { contract, schemas, mapper })
}

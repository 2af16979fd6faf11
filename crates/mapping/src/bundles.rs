//! Bundles, loaded by digest and kept: what is named by its digest never changes.
//!
//! Every byte is hashed before it is used. There is no compiler here: a bundle that was not compiled for this host's
//! fingerprint is [`Code::BundleIncompatible`], for a person to publish anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use sluice_core::bundle::{FileRef, Manifest, blob_key, manifest_key};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::SchemaVersion;
use sluice_core::port::BundleStore;
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};
use sluice_mapper_host::{Host, LoadError, Mapper, TrustedDigest};

/// Most bundles held at once; a loaded mapper is some hundred kilobytes.
const BUNDLES_MAX: u64 = 128;

/// A bundle, ready to run.
pub struct Bundle {
    /// What the bundle promises.
    pub contract: Contract,
    /// The vendor's payload schemas by version.
    pub schemas: BTreeMap<SchemaVersion, Schema>,
    /// The module, loaded.
    pub mapper: Mapper,
}

/// The store behind its cache.
#[derive(Clone)]
pub struct Bundles {
    store: Arc<dyn BundleStore>,
    host: Host,
    loaded: Cache<Sha256Hex, Arc<Bundle>>,
}

impl Bundles {
    /// Starts the WebAssembly engine.
    pub fn new(store: Arc<dyn BundleStore>) -> Result<Self, LoadError> {
        Ok(Self { store, host: Host::new()?, loaded: Cache::new(BUNDLES_MAX) })
    }

    /// The bundle of a digest, loaded and checked once.
    pub async fn get(&self, digest: &Sha256Hex) -> Result<Arc<Bundle>, Fault> {
        let load = async { self.load(digest).await.map(Arc::new) };
        let loaded = self.loaded.try_get_with(digest.clone(), load).await;
        // Those who waited share one failure; each gets its classification and words.
        loaded.map_err(|shared: Arc<Fault>| Fault::new(shared.code, shared.message.clone()))
    }

    async fn load(&self, digest: &Sha256Hex) -> Result<Bundle, Fault> {
        let bytes = self.store.get(&manifest_key(digest)).await?;
        check(digest, &bytes, "the manifest")?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
            Fault::new(
                Code::RowMalformed,
                format!("the manifest of the bundle {digest} is not one that this version reads"),
            )
            .with_source(error)
        })?;
        let fingerprint = self.host.fingerprint().as_str();
        let native = manifest.native.get(fingerprint).ok_or_else(|| {
            let had: Vec<&str> = manifest.native.keys().map(|key| &key[..key.len().min(12)]).collect();
            Fault::new(
                Code::BundleIncompatible,
                format!(
                    "the bundle {digest} was compiled for {}, this host is {}: publish it again",
                    had.join(", "),
                    &fingerprint[..fingerprint.len().min(12)]
                ),
            )
        })?;
        let code = self.blob(native, "the compiled module").await?;
        let trusted = TrustedDigest::vouch(native.sha256.to_bytes());
        let mapper = self.host.load_native(&code, &trusted).map_err(load_fault)?;
        let mut schemas = BTreeMap::new();
        for (version, path) in &manifest.contract.payload.versions {
            let file = manifest.files.get(path).ok_or_else(|| {
                Fault::new(
                    Code::BundleMissing,
                    format!("the bundle {digest} has no file {path}, which its contract names"),
                )
            })?;
            let text = self.blob(file, path).await?;
            let schema = Schema::compile(&text).map_err(|error| {
                Fault::new(Code::ConfigurationInvalid, format!("{path} of the bundle {digest} is {error}"))
            })?;
            schemas.insert(version.clone(), schema);
        }
        Ok(Bundle { contract: manifest.contract, schemas, mapper })
    }

    async fn blob(&self, file: &FileRef, what: &str) -> Result<Bytes, Fault> {
        let bytes = self.store.get(&blob_key(&file.sha256)).await?;
        check(&file.sha256, &bytes, what)?;
        Ok(bytes)
    }
}

fn check(expected: &Sha256Hex, bytes: &[u8], what: &str) -> Result<(), Fault> {
    let found = Sha256Hex::of(bytes);
    if found == *expected {
        return Ok(());
    }
    Err(Fault::new(
        Code::BundleDigestMismatch,
        format!("{what} has the digest {found}, not {expected}: it was altered or damaged"),
    ))
}

fn load_fault(error: LoadError) -> Fault {
    let code = match &error {
        LoadError::TooLarge { .. }
        | LoadError::Invalid { .. }
        | LoadError::Component
        | LoadError::FeatureOff { .. }
        | LoadError::Import { .. }
        | LoadError::StartFunction
        | LoadError::SharedMemory
        | LoadError::Memory64
        | LoadError::Memories { .. }
        | LoadError::MemoryTooLarge { .. }
        | LoadError::Tables { .. }
        | LoadError::ExportMissing { .. }
        | LoadError::ExportType { .. }
        | LoadError::Compile { .. } => Code::ModuleRefused,
        LoadError::Engine { .. } => Code::Unavailable,
        LoadError::Digest { .. } => Code::BundleDigestMismatch,
        LoadError::Incompatible { .. } => Code::BundleIncompatible,
    };
    Fault::new(code, error.to_string()).with_source(error)
}

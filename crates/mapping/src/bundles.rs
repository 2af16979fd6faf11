//! Bundles, loaded by digest and kept: what is named by its digest never changes.
//!
//! Every byte is hashed before it is used, and native code is loaded only on the signed word of a trusted key
//! ([`TrustKeys`]). There is no compiler here: a bundle that was not compiled for this host's fingerprint is
//! [`Code::BundleIncompatible`], for a person to compile.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use sluice_core::bundle::{
    FileRef, Manifest, SignedBuild, blob_key, build_key, builds_prefix, manifest_key, parse_build_key,
};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::SchemaVersion;
use sluice_core::port::BundleStore;
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};
use sluice_mapper_host::{Host, LoadError, Mapper, TrustedDigest};

use crate::trust::TrustKeys;

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
    trust: TrustKeys,
    loaded: Cache<Sha256Hex, Arc<Bundle>>,
}

impl Bundles {
    /// Starts the WebAssembly engine. Native code is loaded if one of these keys has signed for it.
    pub fn new(store: Arc<dyn BundleStore>, trust: TrustKeys) -> Result<Self, LoadError> {
        Ok(Self { store, host: Host::new()?, trust, loaded: Cache::new(BUNDLES_MAX) })
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
        let native = self.native(digest).await?;
        let code = self.blob(&native, "the compiled module").await?;
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

    /// The native code for this host, as a trusted key states it.
    async fn native(&self, digest: &Sha256Hex) -> Result<FileRef, Fault> {
        let fingerprint = self.host.fingerprint().as_str();
        for key_id in self.trust.ids() {
            let bytes = match self.store.get(&build_key(digest, fingerprint, key_id)).await {
                Ok(bytes) => bytes,
                Err(fault) if fault.code == Code::BundleMissing => continue,
                Err(fault) => return Err(fault),
            };
            let signed: SignedBuild = serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("the statement about the bundle {digest}'s native code cannot be read");
                Fault::new(Code::BundleSignatureInvalid, message).with_source(error)
            })?;
            self.trust.verify(&signed)?;
            // Genuine, but of another bundle or host, and put here.
            if signed.build.bundle != *digest
                || signed.build.fingerprint != fingerprint
                || signed.key_id != *key_id
            {
                let message = format!(
                    "the statement that lies with the bundle {digest} is about the bundle {} and the fingerprint {}",
                    signed.build.bundle,
                    short(&signed.build.fingerprint)
                );
                return Err(Fault::new(Code::BundleSignatureInvalid, message));
            }
            return Ok(signed.build.native);
        }
        Err(self.why_no_native(digest).await)
    }

    /// Nothing was found under the trusted keys: what is there instead says which mistake it is.
    async fn why_no_native(&self, digest: &Sha256Hex) -> Fault {
        let keys = match self.store.list(&builds_prefix(digest)).await {
            Ok(keys) => keys,
            Err(fault) => return fault,
        };
        let fingerprint = self.host.fingerprint().as_str();
        let builds: Vec<(&str, &str)> = keys.iter().filter_map(|key| parse_build_key(key)).collect();
        let signers: Vec<&str> =
            builds.iter().filter(|(of, _)| *of == fingerprint).map(|(_, signer)| short(signer)).collect();
        if builds.is_empty() {
            let message = format!(
                "the bundle {digest} has no signed native code: run `sluice mapper recompile {digest}`"
            );
            Fault::new(Code::BundleUnsigned, message)
        } else if signers.is_empty() {
            let mut had: Vec<&str> = builds.iter().map(|(of, _)| short(of)).collect();
            had.dedup();
            let message = format!(
                "the bundle {digest} was compiled for {}, this host is {}: run `sluice mapper recompile {digest}` with the \
                 `sluice` of this version",
                had.join(", "),
                short(fingerprint)
            );
            Fault::new(Code::BundleIncompatible, message)
        } else {
            let trusted: Vec<&str> = self.trust.ids().map(|id| short(id.as_str())).collect();
            let message = format!(
                "the native code of the bundle {digest} is signed by {}; trusted here are {} (MAPPER_TRUST_KEYS)",
                signers.join(", "),
                trusted.join(", ")
            );
            Fault::new(Code::BundleKeyUnknown, message)
        }
    }

    async fn blob(&self, file: &FileRef, what: &str) -> Result<Bytes, Fault> {
        let bytes = self.store.get(&blob_key(&file.sha256)).await?;
        check(&file.sha256, &bytes, what)?;
        Ok(bytes)
    }
}

/// The first digits of a digest, for reading.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
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
        LoadError::Engine { .. } | LoadError::Exhausted { .. } => Code::Unavailable,
        LoadError::Digest { .. } => Code::BundleDigestMismatch,
        LoadError::Incompatible { .. } => Code::BundleIncompatible,
    };
    Fault::new(code, error.to_string()).with_source(error)
}

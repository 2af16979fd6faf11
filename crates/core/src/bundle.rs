//! A bundle as published: an immutable manifest that names every file by digest, and the pointer that makes it active.
//!
//! Files lie at `blobs/<sha256>`, manifests at `bundles/<sha256 of the manifest>.json`, in one bucket. Whoever holds a
//! bundle's digest can check all of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::digest::Sha256Hex;

/// Name of the module among a bundle's files.
pub const MODULE_FILE: &str = "mapper.wasm";

/// What a bundle consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The contract.
    pub contract: Contract,
    /// [`MODULE_FILE`] and the schemas, by path.
    pub files: BTreeMap<String, FileRef>,
    /// The module compiled ahead of time, by the host's fingerprint.
    pub native: BTreeMap<String, FileRef>,
}

/// A file by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Digest of the bytes.
    pub sha256: Sha256Hex,
    /// Their number.
    pub bytes: u64,
}

impl FileRef {
    /// Refers to `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256Hex::of(bytes), bytes: bytes.len() as u64 }
    }
}

impl Manifest {
    /// The stored form (RFC 8785) and its digest, which is the bundle's name.
    pub fn encode(&self) -> (Vec<u8>, Sha256Hex) {
        let bytes = serde_json_canonicalizer::to_vec(self)
            .unwrap_or_else(|error| unreachable!("a manifest has string keys and integers only: {error}"));
        let digest = Sha256Hex::of(&bytes);
        (bytes, digest)
    }
}

/// Key of a manifest.
pub fn manifest_key(bundle: &Sha256Hex) -> String {
    format!("bundles/{bundle}.json")
}

/// Key of a file.
pub fn blob_key(sha256: &Sha256Hex) -> String {
    format!("blobs/{sha256}")
}

/// The pointer in the vendors table: which bundle maps one vendor's event type now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveMapper {
    /// Digest of the manifest.
    pub bundle: Sha256Hex,
    /// A copy of the bundle's contract, so that acceptance needs no object.
    pub contract: Contract,
    /// Counts activations; a pointer is replaced only by who has seen it.
    pub revision: u64,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub activated_at: Timestamp,
    /// Who, as the tool knows it.
    pub activated_by: String,
    /// Why.
    pub reason: String,
}

//! A contract: what one vendor's event type looks like, what it becomes, and within which bounds. `mapper.toml` of a bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CanonicalType, EventType, SchemaVersion, VendorId};
use crate::limits::INFLATED_BYTES_MAX;

/// One vendor, one event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// The vendor's payload schemas.
    pub payload: PayloadContract,
    /// What it is mapped to.
    pub canonical: CanonicalRef,
    /// What makes two messages one event.
    #[serde(default)]
    pub idempotency: Idempotency,
    /// Bounds.
    #[serde(default)]
    pub limits: ContractLimits,
}

/// Versions of the vendor's payload schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayloadContract {
    /// For envelopes that state none.
    pub default_version: SchemaVersion,
    /// Version to the path of its JSON Schema in the bundle.
    pub versions: BTreeMap<SchemaVersion, String>,
}

/// A canonical type and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanonicalRef {
    /// E.g. `InventoryUpdated`.
    pub r#type: CanonicalType,
    /// E.g. `1.0`.
    pub version: SchemaVersion,
}

/// How a resubmission is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "camelCase", deny_unknown_fields)]
pub enum Idempotency {
    /// By `(vendorId, externalEventId)`, for ever.
    #[default]
    ExternalEventId,
}

/// Bounds of a contract, within those of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractLimits {
    /// Largest body after inflating, in bytes.
    #[serde(default = "payload_bytes_max")]
    pub payload_bytes_max: usize,
}

impl Default for ContractLimits {
    fn default() -> Self {
        Self { payload_bytes_max: payload_bytes_max() }
    }
}

fn payload_bytes_max() -> usize {
    INFLATED_BYTES_MAX
}

/// A contract that contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum InvalidContract {
    /// The default is not among the versions.
    #[error("payload.defaultVersion {0} is not among payload.versions")]
    DefaultVersion(SchemaVersion),
    /// Beyond the system's bound.
    #[error("limits.payloadBytesMax is {0}, more than {INFLATED_BYTES_MAX} or zero")]
    PayloadBytes(usize),
    /// A path that leaves the bundle.
    #[error("payload.versions has the path {0:?}, which must be relative, within the bundle, without \"..\"")]
    Path(String),
}

impl Contract {
    /// Checks what the types alone do not.
    pub fn check(&self) -> Result<(), InvalidContract> {
        if !self.payload.versions.contains_key(&self.payload.default_version) {
            return Err(InvalidContract::DefaultVersion(self.payload.default_version.clone()));
        }
        if self.limits.payload_bytes_max == 0 || self.limits.payload_bytes_max > INFLATED_BYTES_MAX {
            return Err(InvalidContract::PayloadBytes(self.limits.payload_bytes_max));
        }
        for path in self.payload.versions.values() {
            if path.is_empty()
                || path.starts_with('/')
                || path.split('/').any(|part| matches!(part, ".." | "." | ""))
            {
                return Err(InvalidContract::Path(path.clone()));
            }
        }
        Ok(())
    }
}

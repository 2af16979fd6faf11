//! One event as a file that stands alone: the raw bytes, the contract and the mapper with what was signed of them, the ledger's row and
//! what came of it. [`verify`] reproduces the outcome from the file alone, offline and years later, and names what differs.
//!
//! The format is in `docs/case.md`; [`file`] reads and writes it. The module is compiled here, from bytes that the bundle's digest
//! vouches for: native code is no part of a case, since another host could not run it.

mod export;
pub mod file;
mod verify;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sluice_core::canonical::Reason;
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::FieldFault;
use sluice_core::{Fault, canonical};
use sluice_mapping::{Mapped, Outcome as Mapping};

pub use export::{Exported, Redact, export, written};
pub use verify::{Check, Checked, Verdict, Verified, verify};

/// The request as it was received, or its stand-in.
pub const RAW: &str = "raw";
/// The ledger's row.
pub const LEDGER: &str = "ledger.json";
/// The quarantine's row, if the event is or was in it.
pub const QUARANTINE: &str = "quarantine.json";
/// What happened when.
pub const JOURNAL: &str = "journal.json";
/// What came of it.
pub const OUTCOME: &str = "outcome.json";
/// The canonical events, one a line.
pub const DOCUMENT: &str = "document.jsonl";
/// The bundle's manifest, whose digest is the bundle's name.
pub const MANIFEST: &str = "bundle/manifest.json";
/// What the names of the manifest's files begin with.
pub const FILES: &str = "bundle/files/";
/// What the names of signed statements about the bundle begin with.
pub const BUILDS: &str = "bundle/builds/";

/// What a message comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Canonical events.
    Events {
        /// Digest of the document.
        sha256: Sha256Hex,
        /// Their number.
        events: u32,
    },
    /// Nothing, and why.
    Nothing(Reason),
    /// It fails.
    Fails {
        /// The fault's code.
        code: String,
        /// In words.
        message: String,
        /// Each fault of the message.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        errors: Vec<FieldFault>,
    },
}

impl Outcome {
    /// Of a mapping.
    pub fn of(mapped: &Result<Mapped, Fault>) -> Self {
        match mapped {
            Ok(Mapped { outcome: Mapping::Events { bytes, events }, .. }) => {
                Self::Events { sha256: Sha256Hex::of(bytes), events: *events }
            }
            Ok(Mapped { outcome: Mapping::Nothing(reason), .. }) => Self::Nothing(reason.clone()),
            Err(fault) => Self::Fails {
                code: fault.code.as_str().to_owned(),
                message: fault.message.clone(),
                errors: fault.errors.clone(),
            },
        }
    }

    /// In words.
    pub fn sentence(&self) -> String {
        match self {
            Self::Events { sha256, events } => {
                format!("{} in the document {sha256}", canonical::count(*events as usize, "event"))
            }
            Self::Nothing(reason) => format!("nothing to state ({}: {})", reason.code, reason.message),
            Self::Fails { code, message, .. } => format!("a failure, {code}: {message}"),
        }
    }
}

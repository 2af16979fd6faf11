//! The documents as pages read them: the members that a page shows, of the JSON that `sluice
//! --json` prints.
//!
//! A document may have more; a member that is missing though a page needs it is an error of that
//! page, in words.

mod audit;
mod contradictions;
mod dead_letters;
mod event;
mod execution;
mod mapper;
mod operation;
mod overview;
mod quarantine;
mod shadow;
mod trace;
mod vendor;

use jiff::Timestamp;
use serde::Deserialize;

use crate::ops::Failure;

pub use audit::*;
pub use contradictions::*;
pub use dead_letters::*;
pub use event::*;
pub use execution::*;
pub use mapper::*;
pub use operation::*;
pub use overview::*;
pub use quarantine::*;
pub use shadow::*;
pub use trace::*;
pub use vendor::*;

/// A part of a document, or why it could not be had: `{"known": …}` or `{"unknown": {…}}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part<T> {
    /// Had.
    Known(T),
    /// Not had.
    Unknown(Failure),
}

impl<T> Part<T> {
    /// The part, if it was had.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(part) => Some(part),
            Self::Unknown(_) => None,
        }
    }
}

/// Who said or did something, why and when.
#[derive(Debug, Clone, Deserialize)]
pub struct Note {
    /// The person.
    pub by: String,
    /// The reason.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Why a message failed.
#[derive(Debug, Clone, Deserialize)]
pub struct Cause {
    /// The error's name in Step Functions.
    #[serde(default)]
    pub error: String,
    /// The reason's code.
    pub code: String,
    /// In words.
    pub message: String,
    /// Each fault of the document.
    #[serde(default)]
    pub errors: Vec<Fault>,
    /// The mapper that was in use.
    #[serde(default)]
    pub bundle: Option<String>,
}

/// One fault of a document.
#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    /// Where.
    pub pointer: String,
    /// Its code.
    pub code: String,
    /// In words.
    pub message: String,
}

//! Why a use case failed: a kind for the caller to act on, a message, and the next step.
//!
//! Messages are lowercase fragments that can follow "error: ". A call to AWS that failed is kept as
//! the classified [`Fault`], so that its code and its causes can be shown: a denied call names its
//! IAM action there.

use std::error::Error;

use serde::Serialize;
use sluice_core::{Class, Code, Fault};

/// What a caller does about an error. The command line has an exit code for each, the console an
/// HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The use case ran and did not succeed.
    Failed,
    /// What was asked for is not valid.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The state of things, or AWS, does not allow it.
    Refused,
    /// No answer: the same call may succeed later.
    Unavailable,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Failed, Self::Invalid, Self::NotFound, Self::Refused, Self::Unavailable];

    /// The HTTP status of an answer that says so.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Failed => 500,
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Refused => 409,
            Self::Unavailable => 503,
        }
    }

    /// The kind of a classified fault.
    pub fn of(code: Code) -> Self {
        match code.class() {
            Class::Retryable => Self::Unavailable,
            Class::Rejected => Self::Failed,
            Class::Misconfigured => match code {
                Code::Denied => Self::Refused,
                Code::ConfigurationInvalid => Self::Invalid,
                Code::RawMissing | Code::BundleMissing | Code::LedgerRowMissing | Code::MapperMissing => {
                    Self::NotFound
                }
                _ => Self::Failed,
            },
        }
    }
}

#[cfg(feature = "mapping")]
impl Kind {
    /// The kind of a mapper that does not load.
    pub fn of_load(error: &sluice_mapper_host::LoadError) -> Self {
        use sluice_mapper_host::LoadError;
        match error {
            LoadError::Engine { .. } => Self::Failed,
            LoadError::Exhausted { .. } => Self::Unavailable,
            _ => Self::Invalid,
        }
    }
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// Arguments that are not valid together, or not for this cloud.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Something that must be there first.
    #[error("{message}")]
    NotFound {
        /// What is not there.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The state of things does not allow it.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It ran and did not succeed.
    #[error("{0}")]
    Failed(String),
    /// A call to AWS or to the local cloud, classified by the adapter.
    #[error("{}", .0.message)]
    Fault(#[from] Fault),
    /// A mapper that does not load, or no engine to run it.
    #[cfg(feature = "mapping")]
    #[error("the mapper does not load: {0}")]
    Load(#[from] sluice_mapper_host::LoadError),
}

impl OpsError {
    /// An invalid request, without a hint.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: None }
    }

    /// Something that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into(), hint: None }
    }

    /// Something that is not allowed now.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }

    /// Adds what to do, where the error has room for it.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Invalid { hint, .. } | Self::NotFound { hint, .. } | Self::Refused { hint, .. } => {
                *hint = Some(text.into());
            }
            Self::Failed(_) | Self::Fault(_) => {}
            #[cfg(feature = "mapping")]
            Self::Load(_) => {}
        }
        self
    }

    /// What a caller does about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } => Kind::Invalid,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Refused { .. } => Kind::Refused,
            Self::Failed(_) => Kind::Failed,
            Self::Fault(fault) => Kind::of(fault.code),
            #[cfg(feature = "mapping")]
            Self::Load(error) => Kind::of_load(error),
        }
    }

    /// The HTTP status of an answer that says so: that of the kind, and 403 where a permission is
    /// missing.
    pub fn http_status(&self) -> u16 {
        match self.code() {
            Some(Code::Denied) => 403,
            _ => self.kind().http_status(),
        }
    }

    /// The fault's code, if AWS or the local cloud failed.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Fault(fault) => Some(fault.code),
            _ => None,
        }
    }

    /// What to do, as far as the error knows.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid { hint, .. } | Self::NotFound { hint, .. } | Self::Refused { hint, .. } => {
                hint.as_deref()
            }
            _ => None,
        }
    }

    /// What lies behind it, outermost first, without repetitions.
    pub fn causes(&self) -> Vec<String> {
        match self {
            Self::Fault(fault) => causes(fault.source()),
            other => causes(other.source()),
        }
    }
}

/// The texts of a chain of errors, outermost first, without repetitions.
pub fn causes(first: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut next = first;
    while let Some(error) = next {
        let text = error.to_string();
        if !text.is_empty() && causes.last().is_none_or(|last| !last.contains(&text)) {
            causes.push(text);
        }
        next = error.source();
    }
    causes
}

/// A part of a document that could not be had: what is unknown, and why. It is never shown as zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unknown {
    /// What a caller does about it.
    pub kind: Kind,
    /// The fault's code, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What failed.
    pub message: String,
    /// What lies behind it: a denied call names its IAM action here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&OpsError> for Unknown {
    fn from(error: &OpsError) -> Self {
        Self {
            kind: error.kind(),
            code: error.code().map(Code::as_str),
            message: error.to_string(),
            causes: error.causes(),
            hint: error.hint().map(ToOwned::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_code_that_may_pass_is_unavailable() {
        for code in Code::ALL {
            let unavailable = Kind::of(*code) == Kind::Unavailable;
            assert_eq!(unavailable, code.class() == Class::Retryable, "{code}");
        }
    }

    #[test]
    fn each_kind_has_a_status_of_its_own() {
        let mut statuses = Kind::ALL.map(Kind::http_status).to_vec();
        assert!(statuses.iter().all(|status| (400..600).contains(status)));
        statuses.sort_unstable();
        statuses.dedup();
        assert_eq!(statuses.len(), Kind::ALL.len());
    }

    #[test]
    fn an_unknown_part_says_what_failed_and_why() {
        let source = std::io::Error::other("not authorized to perform: dynamodb:Query");
        let error = OpsError::from(Fault::new(Code::Denied, "failed to list the ledger").with_source(source));
        let unknown = serde_json::to_value(Unknown::from(&error)).unwrap_or_default();
        assert_eq!(
            unknown,
            serde_json::json!({"kind": "refused", "code": "denied", "message": "failed to list the ledger",
                "causes": ["not authorized to perform: dynamodb:Query"]})
        );
        let hinted = OpsError::not_found("x").with_hint("look there");
        assert_eq!(Unknown::from(&hinted).hint.as_deref(), Some("look there"));
    }
}

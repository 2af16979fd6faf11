//! What can go wrong in a command, and the one match that maps each error to its documented exit code.

use std::error::Error;
use std::path::PathBuf;

use serde::Serialize;
use sluice_core::Fault;
use sluice_mapper_host::LoadError;
use sluice_ops::error::{Kind, OpsError};

/// What an exit code other than 0 means. A closed set, documented in `crates/cli/README.md` and `sluice help exit-codes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    /// The command ran and what it should bring about did not come about.
    Failed,
    /// The command line, or something that it names, is not valid.
    Usage,
    /// There is no such thing.
    NotFound,
    /// The service said no.
    Refused,
    /// No answer: the same command may succeed later.
    Unavailable,
    /// This version, or this host, cannot judge what it was given.
    Unsupported,
}

impl ExitKind {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Usage, Self::NotFound, Self::Refused, Self::Unavailable, Self::Unsupported];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
            Self::Unsupported => 6,
        }
    }

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
        }
    }

    /// One sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "the command ran, but what it should bring about did not come about",
            Self::Usage => "the command line, the configuration, or a file that it names is not valid",
            Self::NotFound => "there is no such event, vendor, bundle or object",
            Self::Refused => "the service refused: any 4xx of the ingest API, or AWS said no",
            Self::Unavailable => "no answer, a time-out, a throttle or a 5xx: it may succeed later",
            Self::Unsupported => "a case that this host or this version cannot judge",
        }
    }
}

impl From<Kind> for ExitKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Invalid => Self::Usage,
            Kind::NotFound => Self::NotFound,
            Kind::Refused => Self::Refused,
            Kind::Unavailable => Self::Unavailable,
        }
    }
}

/// Why a command failed. Texts are lowercase fragments that follow "error: ".
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Arguments that are well formed one by one but not together, or not for this cloud.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A file that cannot be read.
    #[error("failed to read {}", path.display())]
    ReadFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("failed to write {}", path.display())]
    WriteFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{} {problem}", path.display())]
    InvalidFile {
        /// Which.
        path: PathBuf,
        /// Follows the path, e.g. `is not a contract: …`.
        problem: String,
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
    /// The service said no, for a reason that it gave.
    #[error("{message}")]
    Refused {
        /// The reason.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A call to AWS or to the local cloud, classified by the adapter.
    #[error("{}", .0.message)]
    Fault(#[from] Fault),
    /// A mapper that does not load, or no engine to run it.
    #[error("the mapper does not load: {0}")]
    Load(#[from] LoadError),
    /// The ingest API gave no answer.
    #[error("failed to reach the ingest API at {url}")]
    Api {
        /// Where.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The ingest API answered with something else than success.
    #[error("the ingest API answered {status}{}", said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Answered {
        /// HTTP status.
        status: u16,
        /// Title and detail of its problem document.
        said: Option<String>,
    },
    /// The command ran and its answer is not what one wants.
    #[error("{0}")]
    Failed(String),
    /// What this version, or this host, cannot judge.
    #[error("{0}")]
    Unsupported(String),
    /// The local cloud did not start, or stopped.
    #[error("{message}")]
    Local {
        /// What.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Why.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Standard output is closed or full.
    #[error("failed to write to standard output")]
    Output(#[source] std::io::Error),
}

impl CliError {
    /// A usage error without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// Something that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound { message: message.into(), hint: None }
    }

    /// Adds what to do, where the error has room for it.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Usage { hint, .. }
            | Self::InvalidFile { hint, .. }
            | Self::NotFound { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Local { hint, .. } => *hint = Some(text.into()),
            Self::ReadFile { .. }
            | Self::WriteFile { .. }
            | Self::Fault(_)
            | Self::Load(_)
            | Self::Api { .. }
            | Self::Answered { .. }
            | Self::Failed(_)
            | Self::Unsupported(_)
            | Self::Output(_) => {}
        }
        self
    }

    /// The one place where an error becomes an exit code.
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Usage { .. }
            | Self::ReadFile { .. }
            | Self::WriteFile { .. }
            | Self::InvalidFile { .. } => ExitKind::Usage,
            Self::NotFound { .. } => ExitKind::NotFound,
            Self::Refused { .. } => ExitKind::Refused,
            Self::Unsupported(_) => ExitKind::Unsupported,
            Self::Fault(fault) => Kind::of(fault.code).into(),
            Self::Load(error) => Kind::of_load(error).into(),
            Self::Api { source, .. } if source.is_builder() => ExitKind::Usage,
            Self::Api { .. } => ExitKind::Unavailable,
            Self::Answered { status: 400..=499, .. } => ExitKind::Refused,
            Self::Answered { status: 500..=599, .. } => ExitKind::Unavailable,
            Self::Answered { .. } | Self::Failed(_) | Self::Local { .. } | Self::Output(_) => {
                ExitKind::Failed
            }
        }
    }

    /// What to do, as far as the error itself knows.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. }
            | Self::InvalidFile { hint, .. }
            | Self::NotFound { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Local { hint, .. } => hint.as_deref(),
            Self::ReadFile { .. }
            | Self::WriteFile { .. }
            | Self::Fault(_)
            | Self::Load(_)
            | Self::Api { .. }
            | Self::Answered { .. }
            | Self::Failed(_)
            | Self::Unsupported(_)
            | Self::Output(_) => None,
        }
    }

    /// Whether the reader went away, as `sluice ls | head` does: not worth a word.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// What lies behind it, outermost first, without repetitions.
    pub fn causes(&self) -> Vec<String> {
        sluice_ops::error::causes(self.source_of_note())
    }

    fn source_of_note(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Fault(fault) => fault.source(),
            other => other.source(),
        }
    }

    /// The error as `--json` writes it to standard error. `hint` is what the command knows beyond the error itself.
    pub fn document(&self, hint: Option<&str>) -> serde_json::Value {
        let kind = self.kind();
        let mut error = serde_json::json!({
            "kind": kind.name(),
            "exitCode": kind.code(),
            "message": self.to_string(),
        });
        if let Self::Fault(fault) = self {
            error["code"] = fault.code.as_str().into();
        }
        let causes = self.causes();
        if !causes.is_empty() {
            error["causes"] = causes.into();
        }
        if let Some(hint) = self.hint().or(hint) {
            error["hint"] = hint.into();
        }
        serde_json::json!({"error": error})
    }
}

impl From<OpsError> for CliError {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Invalid { message, hint } => Self::Usage { message, hint },
            OpsError::NotFound { message, hint } => Self::NotFound { message, hint },
            OpsError::Refused { message, hint } => Self::Refused { message, hint },
            OpsError::Failed(message) => Self::Failed(message),
            OpsError::Fault(fault) => Self::Fault(fault),
            OpsError::Load(error) => Self::Load(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::Code;

    use super::*;

    fn io(kind: std::io::ErrorKind) -> std::io::Error {
        std::io::Error::new(kind, "arranged")
    }

    fn fault(code: Code) -> CliError {
        CliError::from(Fault::new(code, "words").with_source(io(std::io::ErrorKind::Other)))
    }

    #[test]
    fn each_kind_has_a_code_of_its_own_and_none_is_zero() {
        let codes: Vec<u8> = ExitKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn each_error_has_its_documented_exit_code() {
        let answered = |status| CliError::Answered { status, said: None };
        let table: Vec<(CliError, u8)> = vec![
            (CliError::Failed("x".into()), 1),
            (CliError::Output(io(std::io::ErrorKind::StorageFull)), 1),
            (fault(Code::RawDigestMismatch), 1),
            (fault(Code::MapperRefused), 1),
            (answered(302), 1),
            (CliError::usage("x"), 2),
            (CliError::ReadFile { path: "x".into(), source: io(std::io::ErrorKind::NotFound) }, 2),
            (CliError::InvalidFile { path: "x".into(), problem: "is bad".into(), hint: None }, 2),
            (fault(Code::ConfigurationInvalid), 2),
            (CliError::not_found("x"), 3),
            (fault(Code::LedgerRowMissing), 3),
            (fault(Code::BundleMissing), 3),
            (fault(Code::Denied), 4),
            (CliError::Refused { message: "x".into(), hint: None }, 4),
            (answered(400), 4),
            (answered(404), 4),
            (answered(429), 4),
            (answered(503), 5),
            (fault(Code::Unavailable), 5),
            (fault(Code::Throttled), 5),
            (fault(Code::TimedOut), 5),
            (CliError::Unsupported("x".into()), 6),
        ];
        for (error, code) in table {
            assert_eq!(error.kind().code(), code, "{error:?}");
        }
    }

    #[test]
    fn an_error_of_a_use_case_keeps_its_words_and_its_kind() {
        for error in [
            OpsError::invalid("w").with_hint("h"),
            OpsError::not_found("w"),
            OpsError::refused("w"),
            OpsError::Failed("w".into()),
            OpsError::from(Fault::new(Code::Throttled, "w")),
        ] {
            let (kind, hint) = (ExitKind::from(error.kind()), error.hint().map(ToOwned::to_owned));
            let error = CliError::from(error);
            assert_eq!((error.to_string().as_str(), error.kind()), ("w", kind));
            assert_eq!(error.hint().map(ToOwned::to_owned), hint);
        }
    }

    #[test]
    fn the_document_names_code_causes_and_hint() {
        let document = fault(Code::Unavailable).document(Some("start it"));
        insta::assert_snapshot!(document, @r#"{"error":{"kind":"unavailable","exitCode":5,"message":"words","code":"unavailable","causes":["arranged"],"hint":"start it"}}"#);
    }

    #[test]
    fn an_own_hint_goes_before_that_of_the_command() {
        let error = CliError::not_found("x").with_hint("own");
        assert_eq!(error.document(Some("other"))["error"]["hint"], "own");
        assert_eq!(CliError::Failed("x".into()).with_hint("nowhere").hint(), None);
    }
}

//! surface only
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Which kind of state machine runs the definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MachineType {
    /// Exactly once, up to a year, with a history, redrivable.
    Standard,
    /// Up to five minutes, without a history.
    Express,
}

/// The Task resources that are dispatched unless [`ParseOptions`] says otherwise.
pub const SUPPORTED_RESOURCES: &[&str] = &[
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::sqs:sendMessage",
    "arn:aws:states:::states:startExecution",
    "arn:aws:states:::events:putEvents",
];

/// What a definition may use.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions<'a> {
    /// The Task resources that will be dispatched; any other is refused.
    pub resources: &'a [&'a str],
}

impl Default for ParseOptions<'_> {
    fn default() -> Self {
        ParseOptions { resources: SUPPORTED_RESOURCES }
    }
}

/// One fault of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct DefinitionError {
    /// A JSON pointer to the fault, e.g. `/States/AwaitRedrive/Next`; `` for the document.
    pub path: String,
    /// What is wrong, a lowercase fragment.
    pub message: String,
}

/// All the faults of a definition, in document order; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct DefinitionErrors(pub Vec<DefinitionError>);

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// A checked and compiled state machine, to be shared by its executions.
#[derive(Debug)]
pub struct Definition {
    machine_type: MachineType,
}

impl Definition {
    /// Checks and compiles a definition that uses [`SUPPORTED_RESOURCES`].
    ///
    /// # Errors
    /// Every fault at once.
    pub fn parse(asl_json: &str, machine_type: MachineType) -> Result<Definition, DefinitionErrors> {
        Self::parse_with(asl_json, machine_type, &ParseOptions::default())
    }

    /// Checks and compiles a definition.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn parse_with(
        _asl_json: &str,
        machine_type: MachineType,
        _options: &ParseOptions<'_>,
    ) -> Result<Definition, DefinitionErrors> {
        Ok(Definition { machine_type })
    }

    /// As given to [`Definition::parse`].
    #[must_use]
    pub fn machine_type(&self) -> MachineType {
        self.machine_type
    }
}

//! A state machine, checked and compiled when it is loaded.
//!
//! Follows the Amazon States Language (states-language.net) and the state pages of the Developer Guide ("Task state", "Choice
//! state", …) for the fields of each state, and "State machine structure in Amazon States Language". All faults are reported at
//! once, with the codes and locations of `ValidateStateMachineDefinition`.

mod check;
mod duplicates;
mod model;
mod references;
mod shape;
mod single;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use self::model::{
    Distributed, ErrorNames, Failing, Jitter, Machine, MachineId, Mapping, Pattern, Processor, Retrier, Rule,
    Seconds, State, StateKind, Task, Transition, Waiting, whole_seconds,
};
pub use self::model::{InputType, OutputType, Transformation};
pub use self::shape::{MachineShape, RetryShape, StateShape, StateType, TransitionShape, When};
pub use self::single::SingleState;

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
    "arn:aws:states:::aws-sdk:sfn:describeMapRun",
    "arn:aws:states:::dynamodb:getItem",
    "arn:aws:states:::dynamodb:putItem",
    "arn:aws:states:::dynamodb:updateItem",
    "arn:aws:states:::dynamodb:deleteItem",
    "arn:aws:states:::aws-sdk:dynamodb:getItem",
    "arn:aws:states:::aws-sdk:dynamodb:putItem",
    "arn:aws:states:::aws-sdk:dynamodb:updateItem",
    "arn:aws:states:::aws-sdk:dynamodb:deleteItem",
    "arn:aws:states:::aws-sdk:dynamodb:query",
    "arn:aws:states:::aws-sdk:s3:getObject",
    "arn:aws:states:::aws-sdk:s3:putObject",
    "arn:aws:states:::aws-sdk:sqs:sendMessage",
    "arn:aws:states:::aws-sdk:sqs:deleteMessage",
    "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
    "arn:aws:states:::aws-sdk:sqs:getQueueAttributes",
    "arn:aws:states:::aws-sdk:eventbridge:putEvents",
];

/// What a definition may use.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions<'a> {
    /// The Task resources that will be dispatched; any other is refused by name.
    pub resources: &'a [&'a str],
}

impl Default for ParseOptions<'_> {
    fn default() -> Self {
        ParseOptions { resources: SUPPORTED_RESOURCES }
    }
}

/// One fault of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code} at {path}: {message}")]
pub struct DefinitionError {
    /// AWS's diagnostic code, e.g. `MISSING_TRANSITION_TARGET`; `NOT_SUPPORTED` for what AWS would run and this engine does not.
    pub code: &'static str,
    /// The location in AWS's form, e.g. `/States/AwaitRedrive/Choices[0]/Next`; `/` for the document.
    pub path: String,
    /// What is wrong, a lowercase fragment that names the field or value.
    pub message: String,
}

/// All the faults of a definition; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct DefinitionErrors(pub Vec<DefinitionError>);

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
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
    comment: Option<String>,
    timeout_seconds: Option<u64>,
    /// The machine itself, then those of its Parallel branches and Map processors.
    machines: Vec<Machine>,
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
        asl_json: &str,
        machine_type: MachineType,
        options: &ParseOptions<'_>,
    ) -> Result<Definition, DefinitionErrors> {
        check::check(asl_json, machine_type, options).map_err(DefinitionErrors)
    }

    /// As given to [`Definition::parse`].
    #[must_use]
    pub fn machine_type(&self) -> MachineType {
        self.machine_type
    }

    /// The top-level `Comment`.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The top-level `TimeoutSeconds`.
    #[must_use]
    pub fn timeout_seconds(&self) -> Option<u64> {
        self.timeout_seconds
    }

    /// The names of all states, nested ones included.
    pub fn state_names(&self) -> impl Iterator<Item = &str> {
        self.states().into_iter().map(|state| &*state.name)
    }

    /// The `Resource`s of all Task states, with repetitions.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.states().into_iter().filter_map(|state| match &state.kind {
            StateKind::Task(task) => Some(&*task.resource),
            _ => None,
        })
    }

    /// The error names that `Retry` and `Catch` of all states match, with repetitions.
    pub fn error_names(&self) -> impl Iterator<Item = &str> {
        self.states().into_iter().flat_map(|state| {
            let retried = state.retry.iter().map(|retrier| &retrier.errors);
            let caught = state.catch.iter().map(|catcher| &catcher.errors);
            retried.chain(caught).flat_map(ErrorNames::iter)
        })
    }

    /// All states, those of the children of Distributed Maps included.
    fn states(&self) -> Vec<&State> {
        let mut states = Vec::new();
        for state in self.machines.iter().flat_map(|machine| &machine.states) {
            states.push(state);
            if let StateKind::Map(Mapping { processor: Processor::Distributed(distributed), .. }) =
                &state.kind
            {
                states.extend(distributed.child.states());
            }
        }
        states
    }

    pub(crate) fn machine(&self, id: MachineId) -> &Machine {
        &self.machines[id.0]
    }
}

#[cfg(test)]
mod tests;

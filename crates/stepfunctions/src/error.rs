//! What can go wrong, named and worded as AWS does.
//!
//! The texts are AWS's own (recorded answers of the service), because people search for them; they are therefore not the
//! lowercase fragments used elsewhere.

use sluice_asl::{DefinitionErrors, NotRedrivable};
use thiserror::Error;

use crate::journal::JournalError;

/// The result of a call on the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refused or failed call. [`Error::code`] is what the wire calls it.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// No machine has this ARN.
    #[error("State Machine Does Not Exist: '{0}'")]
    StateMachineDoesNotExist(String),
    /// A machine of this name exists with another definition or configuration.
    #[error("State Machine Already Exists: '{0}'")]
    StateMachineAlreadyExists(String),
    /// The machine is being deleted.
    #[error("State machine is being deleted: '{0}'")]
    StateMachineDeleting(String),
    /// The operation is for the other type of machine.
    #[error("This operation is not supported by this type of state machine")]
    StateMachineTypeNotSupported,
    /// No Standard execution has this ARN.
    #[error("Execution Does Not Exist: '{0}'")]
    ExecutionDoesNotExist(String),
    /// An execution of this name has ended, or runs with another input.
    #[error("Execution Already Exists: '{0}'")]
    ExecutionAlreadyExists(String),
    /// The execution cannot be redriven; holds why.
    #[error("{0}")]
    ExecutionNotRedrivable(String),
    /// Not an ARN, or an ARN of something else; holds why.
    #[error("Invalid Arn: '{0}'")]
    InvalidArn(String),
    /// The name has a character that is not allowed; holds the name.
    #[error("Invalid Name: '{0}'")]
    InvalidName(String),
    /// The definition is refused; holds every fault.
    #[error("Invalid State Machine Definition: '{}'", faults(.0))]
    InvalidDefinition(DefinitionErrors),
    /// `TestState` does not run such a state; holds why.
    #[error("{0}")]
    Untestable(String),
    /// The input is not JSON; holds why.
    #[error("Invalid State Machine Execution Input: '{0}'")]
    InvalidExecutionInput(String),
    /// The page token is not one that this operation gave out for these arguments.
    #[error("Invalid Token: '{0}'")]
    InvalidToken(String),
    /// No activity has this ARN.
    #[error("Activity Does Not Exist: '{0}'")]
    ActivityDoesNotExist(String),
    /// There are as many activities as there can be.
    #[error("{0}")]
    ActivityLimitExceeded(String),
    /// No task ever had this token.
    #[error("Task Does Not Exist: 'Provided task does not exist'")]
    TaskDoesNotExist,
    /// The task does not wait for this token any more.
    #[error("Task Timed Out: 'Provided task does not exist anymore'")]
    TaskTimedOut,
    /// The output of a task is not JSON; holds why.
    #[error("Invalid Output: '{0}'")]
    InvalidOutput(String),
    /// Neither a definition nor a role nor a configuration was given.
    #[error(
        "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration or the EncryptionConfiguration must be specified"
    )]
    MissingRequiredParameter,
    /// `loggingConfiguration` is refused; holds why.
    #[error("Invalid Logging Configuration: {0}")]
    InvalidLoggingConfiguration(String),
    /// More tags than a resource can have; holds its ARN.
    #[error("Too many tags: '{0}'")]
    TooManyTags(String),
    /// What is to be changed is in use, or is not what the caller thinks; holds why.
    #[error("{0}")]
    Conflict(String),
    /// More than there can be; holds of what.
    #[error("{0}")]
    QuotaExceeded(String),
    /// A version or an alias does not exist.
    #[error("Request references a resource that does not exist.")]
    ResourceMissing,
    /// No resource has this ARN (the tagging operations).
    #[error("Resource not found: '{0}'")]
    ResourceNotFound(String),
    /// A member is missing, too long, or out of range; holds which and why.
    #[error("{0}")]
    Validation(String),
    /// The request body is not the JSON that the operation takes.
    #[error("{0}")]
    Serialization(String),
    /// No such operation.
    #[error("Unknown operation: '{0}'")]
    UnknownOperation(String),
    /// The engine is shutting down: nothing was started.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The engine failed; holds what to look for.
    #[error("{0}")]
    Internal(String),
    /// The journal could not be read or written. A write was not acknowledged, and may or may not have happened.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
}

fn faults(errors: &DefinitionErrors) -> String {
    let lines: Vec<String> =
        errors.0.iter().map(|fault| format!("{}: {} at {}", fault.code, fault.message, fault.path)).collect();
    lines.join(", ")
}

impl Error {
    /// The error's name on the wire, without a namespace.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::StateMachineDoesNotExist(_) => "StateMachineDoesNotExist",
            Error::StateMachineAlreadyExists(_) => "StateMachineAlreadyExists",
            Error::StateMachineDeleting(_) => "StateMachineDeleting",
            Error::StateMachineTypeNotSupported => "StateMachineTypeNotSupported",
            Error::ExecutionDoesNotExist(_) => "ExecutionDoesNotExist",
            Error::ExecutionAlreadyExists(_) => "ExecutionAlreadyExists",
            Error::ExecutionNotRedrivable(_) => "ExecutionNotRedrivable",
            Error::InvalidArn(_) => "InvalidArn",
            Error::InvalidName(_) => "InvalidName",
            Error::InvalidDefinition(_) | Error::Untestable(_) => "InvalidDefinition",
            Error::InvalidExecutionInput(_) => "InvalidExecutionInput",
            Error::InvalidToken(_) => "InvalidToken",
            Error::ActivityDoesNotExist(_) => "ActivityDoesNotExist",
            Error::ActivityLimitExceeded(_) => "ActivityLimitExceeded",
            Error::TaskDoesNotExist => "TaskDoesNotExist",
            Error::TaskTimedOut => "TaskTimedOut",
            Error::InvalidOutput(_) => "InvalidOutput",
            Error::MissingRequiredParameter => "MissingRequiredParameter",
            Error::InvalidLoggingConfiguration(_) => "InvalidLoggingConfiguration",
            Error::TooManyTags(_) => "TooManyTags",
            Error::ResourceNotFound(_) | Error::ResourceMissing => "ResourceNotFound",
            Error::Conflict(_) => "ConflictException",
            Error::QuotaExceeded(_) => "ServiceQuotaExceededException",
            Error::Validation(_) => "ValidationException",
            Error::Serialization(_) => "SerializationException",
            Error::UnknownOperation(_) => "UnknownOperationException",
            Error::ShuttingDown => "ServiceUnavailable",
            Error::Internal(_) | Error::Journal(_) => "InternalFailure",
        }
    }

    /// The HTTP status: 400 for what the caller did, 5xx for what the engine did, which the SDKs retry.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Error::ShuttingDown => 503,
            Error::Internal(_) | Error::Journal(_) => 500,
            _ => 400,
        }
    }

    /// The error name under which a state machine sees it, when `states:startExecution` fails.
    #[must_use]
    pub fn task_error_name(&self) -> String {
        let code = self.code();
        if code.ends_with("Exception") {
            format!("StepFunctions.{code}")
        } else {
            format!("StepFunctions.{code}Exception")
        }
    }

    pub(crate) fn constraint(value: &str, member: &str, constraint: &str) -> Error {
        Error::Validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
        ))
    }

    pub(crate) fn missing(member: &str) -> Error {
        Error::Validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    }
}

impl From<NotRedrivable> for Error {
    fn from(why: NotRedrivable) -> Self {
        Error::ExecutionNotRedrivable(why.to_string())
    }
}

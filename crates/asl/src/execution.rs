//! surface only; bodies follow
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::definition::Definition;
use crate::history::HistoryEvent;
use crate::input::{Input, InputKind, Start, TaskId, TimerId};
use crate::time::Timestamp;

/// What must happen outside. Effects are to be carried out after the input that caused them is in the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run a task and report [`InputKind::TaskSucceeded`] or [`InputKind::TaskFailed`].
    ScheduleTask(ScheduledTask),
    /// Report [`InputKind::TimerFired`] at or after `at`.
    SetTimer {
        /// To be reported.
        timer: TimerId,
        /// Not earlier than this; an early report sets the timer again.
        at: Timestamp,
    },
    /// The timer is not needed any more. It does no harm if it fires.
    CancelTimer {
        /// From [`Effect::SetTimer`].
        timer: TimerId,
    },
    /// The result is not wanted any more: its time is out, another branch failed, or the execution was stopped. A late result
    /// is ignored.
    CancelTask {
        /// From [`Effect::ScheduleTask`].
        task: TaskId,
    },
    /// The execution has ended; always the last effect.
    Finished,
}

/// One attempt of a Task state.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduledTask {
    /// To be reported with the result.
    pub task: TaskId,
    /// The state's name.
    pub state_name: Arc<str>,
    /// The `Resource` of the state, e.g. `arn:aws:states:::lambda:invoke`.
    pub resource: Arc<str>,
    /// The evaluated `Arguments`, or the state's input without them. At most 262,144 bytes.
    pub arguments: Arc<Value>,
    /// For the worker's information: the engine itself sets the timer and fails the task.
    pub timeout_seconds: Option<u64>,
    /// For the worker's information.
    pub heartbeat_seconds: Option<u64>,
    /// 0 for the first attempt of this visit to the state, then 1, 2, …
    pub retry_count: u32,
}

/// Where an execution stands, as `DescribeExecution` reports it.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Not ended yet.
    Running,
    /// Ended with an output.
    Succeeded {
        /// At most 262,144 bytes of JSON.
        output: Arc<Value>,
    },
    /// Ended with an error that nothing caught.
    Failed {
        /// An error name.
        error: Option<String>,
        /// Free text.
        cause: Option<String>,
    },
    /// `TimeoutSeconds` of the machine passed.
    TimedOut {
        /// AWS leaves it out of `DescribeExecution` for an execution's own timeout; kept for `ExecutionTimedOut`.
        error: Option<String>,
        /// Free text.
        cause: Option<String>,
    },
    /// Stopped from outside.
    Aborted {
        /// As given to `StopExecution`.
        error: Option<String>,
        /// As given to `StopExecution`.
        cause: Option<String>,
    },
}

impl Status {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Status::Running => "RUNNING",
            Status::Succeeded { .. } => "SUCCEEDED",
            Status::Failed { .. } => "FAILED",
            Status::TimedOut { .. } => "TIMED_OUT",
            Status::Aborted { .. } => "ABORTED",
        }
    }
}

/// Why an execution cannot be redriven, in AWS's words: the message of `ExecutionNotRedrivable` and `redriveStatusReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotRedrivable {
    /// It has not ended.
    #[error("Execution is RUNNING and cannot be redriven")]
    Running,
    /// It ended well.
    #[error("Execution is SUCCEEDED and cannot be redriven")]
    Succeeded,
    /// Only Standard executions can be redriven.
    #[error("Redrive is not supported for EXPRESS state machines")]
    Express,
    /// It closed more than 14 days ago.
    #[error("Execution redrivable period exceeded")]
    PeriodExceeded,
    /// Its history has 24,999 events or more.
    #[error("Execution history event limit exceeded")]
    HistoryLimit,
    /// It was started a year ago or earlier.
    #[error("Execution has exceeded the max execution time")]
    DurationExceeded,
}

/// An input that this execution cannot take. It is not part of the journal then, and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The first input must be `Start`.
    #[error("the first input is not a start")]
    NotStarted,
    /// Only the first input may be `Start`.
    #[error("the execution was started already")]
    AlreadyStarted,
    /// `RedriveExecution` is refused.
    #[error("{0}")]
    NotRedrivable(NotRedrivable),
    /// No such task was ever scheduled by this execution.
    #[error("task {0} was never scheduled")]
    UnknownTask(TaskId),
    /// No such timer was ever set by this execution.
    #[error("timer {0} was never set")]
    UnknownTimer(TimerId),
}

/// A journal that does not fit its definition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// There is nothing to replay.
    #[error("the journal is empty")]
    Empty,
    /// An input of the journal is refused.
    #[error("input {index} of the journal: {source}")]
    Input {
        /// From 0.
        index: usize,
        /// Why.
        source: ApplyError,
    },
}

/// One execution of a state machine.
#[derive(Debug)]
pub struct Execution {
    definition: Arc<Definition>,
    start: Start,
    status: Status,
    start_date: Timestamp,
}

impl Execution {
    /// Begins an execution: `input` must be an [`InputKind::Start`].
    ///
    /// # Errors
    /// [`ApplyError::NotStarted`] if it is not.
    pub fn start(definition: Arc<Definition>, input: Input) -> Result<(Execution, Vec<Effect>), ApplyError> {
        let InputKind::Start(start) = input.kind else { return Err(ApplyError::NotStarted) };
        Ok((Execution { definition, start, status: Status::Running, start_date: input.at }, Vec::new()))
    }

    /// The execution that `journal` describes. Its effects were issued before; see [`Execution::pending`].
    ///
    /// # Errors
    /// When the journal is not one that this definition can have written.
    pub fn replay(
        definition: Arc<Definition>,
        journal: impl IntoIterator<Item = Input>,
    ) -> Result<Execution, ReplayError> {
        let mut journal = journal.into_iter();
        let first = journal.next().ok_or(ReplayError::Empty)?;
        let (mut execution, _) =
            Execution::start(definition, first).map_err(|source| ReplayError::Input { index: 0, source })?;
        for (index, input) in journal.enumerate() {
            execution.apply(input).map_err(|source| ReplayError::Input { index: index + 1, source })?;
        }
        Ok(execution)
    }

    /// Takes the next input. The effects are those of this input only.
    ///
    /// # Errors
    /// When the input makes no sense; it then has changed nothing and must not be kept in the journal.
    pub fn apply(&mut self, _input: Input) -> Result<Vec<Effect>, ApplyError> {
        Ok(Vec::new())
    }

    /// The effects that are under way: what must be issued again after a replay, in the order they were issued.
    #[must_use]
    pub fn pending(&self) -> Vec<Effect> {
        Vec::new()
    }

    /// Where the execution stands.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What it was started with.
    #[must_use]
    pub fn started_with(&self) -> &Start {
        &self.start
    }

    /// The execution's input.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.start.input
    }

    /// The definition it runs.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// When it was started.
    #[must_use]
    pub fn start_date(&self) -> Timestamp {
        self.start_date
    }

    /// When it ended, if it is not running.
    #[must_use]
    pub fn stop_date(&self) -> Option<Timestamp> {
        None
    }

    /// How often it was redriven.
    #[must_use]
    pub fn redrive_count(&self) -> u32 {
        0
    }

    /// When it was redriven last.
    #[must_use]
    pub fn redrive_date(&self) -> Option<Timestamp> {
        None
    }

    /// Whether `RedriveExecution` would be accepted at `now`.
    ///
    /// # Errors
    /// Why it would not.
    pub fn redrivable(&self, _now: Timestamp) -> Result<(), NotRedrivable> {
        Err(NotRedrivable::Running)
    }

    /// The history so far; empty when [`Start::keep_history`] is false.
    #[must_use]
    pub fn history(&self) -> &[HistoryEvent] {
        &[]
    }
}

//! What happens to an execution: the entries of its journal.
//!
//! Replaying the same inputs gives the same execution, so an input carries all that is not in the definition: the time, and a
//! seed for jitter, `$random` and `$uuid`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Timestamp;

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// When it happened. Times that go backwards are accepted and reported as they are.
    pub at: Timestamp,
    /// Any number; take it from a random number generator. Decides jitter, `$random()` and `$uuid()`.
    pub seed: u64,
    /// What happened.
    pub kind: InputKind,
}

impl Input {
    /// Reads a journal entry that was written by `serde_json`. Unlike `serde_json::from_str` it puts no limit on nesting, which an
    /// entry exceeds when its data is as deep as `serde_json` reads.
    ///
    /// # Errors
    /// When it is no input.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.disable_recursion_limit();
        let input = Input::deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(input)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum InputKind {
    /// The execution was started. Always the first entry, and only the first.
    Start(Start),
    /// A task was handed to its worker. Optional: a result implies it, and then history reports the result's time.
    TaskStarted {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
    },
    /// The call of a task that waits for its token has succeeded; the task goes on.
    TaskSubmitted {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
        /// What the call answered.
        output: Value,
    },
    /// The activity of a task exists, and its task waits for a worker.
    ActivityScheduled {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
    },
    /// The activity of a task does not exist: the execution fails.
    ActivityMissing {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
    },
    /// A worker has taken the task of an activity.
    ActivityStarted {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
        /// `workerName` of `GetActivityTask`.
        worker: Option<String>,
    },
    /// Whoever has the task's token says that it is still at work: `HeartbeatSeconds` count from now.
    TaskHeartbeat {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
    },
    /// A task succeeded.
    TaskSucceeded {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
        /// The result, `$states.result`. Over 262,144 bytes it becomes `States.DataLimitExceeded`.
        output: Value,
    },
    /// A task failed, or could not be started.
    TaskFailed {
        /// From [`Effect::ScheduleTask`](crate::Effect::ScheduleTask).
        task: TaskId,
        /// The error name that `Retry` and `Catch` match.
        error: String,
        /// For a Lambda function the JSON text of its error.
        cause: Option<String>,
    },
    /// A Map Run ended well: its children did, but for as many as may fail, and its results are written.
    MapRunSucceeded {
        /// From [`Effect::StartMapRun`](crate::Effect::StartMapRun).
        task: TaskId,
        /// The result, `$states.result`: the results, or where they were written.
        output: Value,
    },
    /// A Map Run failed.
    MapRunFailed {
        /// From [`Effect::StartMapRun`](crate::Effect::StartMapRun).
        task: TaskId,
        /// The error name that `Retry` and `Catch` match.
        error: String,
        /// What is known beyond the name.
        cause: Option<String>,
    },
    /// The time of a timer has come.
    TimerFired {
        /// From [`Effect::SetTimer`](crate::Effect::SetTimer).
        timer: TimerId,
    },
    /// `StopExecution`.
    Stop {
        /// As the caller gave it.
        error: Option<String>,
        /// As the caller gave it.
        cause: Option<String>,
    },
    /// `RedriveExecution`.
    Redrive,
}

/// How an execution begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// `$states.context.Execution.Id`.
    pub execution_arn: String,
    /// `$states.context.Execution.Name`.
    pub execution_name: String,
    /// `$states.context.Execution.RoleArn`, and part of the history's first event.
    pub role_arn: String,
    /// `$states.context.StateMachine.Id`.
    pub state_machine_arn: String,
    /// `$states.context.StateMachine.Name`.
    pub state_machine_name: String,
    /// The first state's input and `$states.context.Execution.Input`. The caller refuses more than 262,144 bytes; if it does
    /// not, the execution fails with `States.DataLimitExceeded`.
    pub input: Value,
    /// Whether [`Execution::history`](crate::Execution::history) is kept. AWS keeps none for Express executions.
    #[serde(default = "yes")]
    pub keep_history: bool,
}

fn yes() -> bool {
    true
}

impl Start {
    /// Names of the local cloud's form and the input `{}`, for examples and tests.
    #[must_use]
    pub fn example() -> Self {
        Start {
            execution_arn: "arn:aws:states:us-east-1:000000000000:execution:example:run-1".to_owned(),
            execution_name: "run-1".to_owned(),
            role_arn: "arn:aws:iam::000000000000:role/example".to_owned(),
            state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:example".to_owned(),
            state_machine_name: "example".to_owned(),
            input: Value::Object(serde_json::Map::new()),
            keep_history: true,
        }
    }
}

/// One attempt of one Task state, or one run of a Distributed Map. Never used again within an execution, so a late result of an earlier attempt is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

/// One timer. Never used again within an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimerId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_entry_is_read_however_deep_its_data() {
        let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
        let output: Value = serde_json::from_str(&deep).unwrap();
        let kind = InputKind::TaskSucceeded { task: TaskId(3), output };
        let input = Input { at: Timestamp::from_millis(5), seed: u64::MAX, kind };
        let written = serde_json::to_string(&input).unwrap();
        assert!(serde_json::from_str::<Input>(&written).is_err(), "this is why from_json is there");
        assert_eq!(Input::from_json(&written).unwrap(), input);
        assert!(Input::from_json(&format!("{written} x")).is_err());
    }

    #[test]
    fn the_wire_form_is_stable() {
        let input = Input {
            at: Timestamp::from_millis(5),
            seed: 7,
            kind: InputKind::TimerFired { timer: TimerId(2) },
        };
        assert_eq!(
            serde_json::to_string(&input).unwrap(),
            r#"{"at":5,"seed":7,"kind":{"kind":"timerFired","timer":2}}"#
        );
        let read = Input::from_json(
            r#"{"at":5,"seed":7,"kind":{"kind":"taskFailed","task":1,"error":"E","cause":null}}"#,
        )
        .unwrap();
        assert_eq!(read.kind, InputKind::TaskFailed { task: TaskId(1), error: "E".into(), cause: None });
        let start = serde_json::json!({"kind": "start", "executionArn": "a", "executionName": "b", "roleArn": "c", "stateMachineArn": "d", "stateMachineName": "e", "input": 1});
        let InputKind::Start(start) = serde_json::from_value(start).unwrap() else { panic!() };
        assert!(start.keep_history, "unless said otherwise");
    }
}

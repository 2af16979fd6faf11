//! The execution history, as `GetExecutionHistory` reports it.
//!
//! Follows the API reference of `HistoryEvent` and its detail types. Events are numbered from 1; `previousEventId` is the
//! event that led to this one, 0 for the first two. Data members are JSON texts, never truncated here.

use std::sync::Arc;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Timestamp;

/// One event of an execution's history. Serializes to the wire form of `GetExecutionHistory`, with the timestamp in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEvent {
    /// From 1, without gaps.
    pub id: u64,
    /// The event that led to this one; 0 for `ExecutionStarted` and for the first state's entry.
    pub previous_event_id: u64,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    pub event_type: EventType,
    /// What it happened with. Some types have none.
    pub details: Option<Details>,
}

macro_rules! event_types {
    ($($name:ident),* $(,)?) => {
        /// `HistoryEventType`, as far as this engine reports it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the names are AWS's own and say all there is")]
        pub enum EventType {
            $($name),*
        }

        impl EventType {
            /// AWS's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(EventType::$name => stringify!($name)),*
                }
            }
        }
    };
}

event_types! {
    ActivityFailed,
    ActivityScheduled,
    ActivityStarted,
    ActivitySucceeded,
    ActivityTimedOut,
    ChoiceStateEntered,
    ChoiceStateExited,
    EvaluationFailed,
    ExecutionAborted,
    ExecutionFailed,
    ExecutionRedriven,
    ExecutionStarted,
    ExecutionSucceeded,
    ExecutionTimedOut,
    FailStateEntered,
    MapIterationAborted,
    MapIterationFailed,
    MapIterationStarted,
    MapIterationSucceeded,
    MapRunAborted,
    MapRunFailed,
    MapRunRedriven,
    MapRunStarted,
    MapRunSucceeded,
    MapStateAborted,
    MapStateEntered,
    MapStateExited,
    MapStateFailed,
    MapStateStarted,
    MapStateSucceeded,
    ParallelStateAborted,
    ParallelStateEntered,
    ParallelStateExited,
    ParallelStateFailed,
    ParallelStateStarted,
    ParallelStateSucceeded,
    PassStateEntered,
    PassStateExited,
    SucceedStateEntered,
    SucceedStateExited,
    TaskFailed,
    TaskScheduled,
    TaskStarted,
    TaskStateAborted,
    TaskStateEntered,
    TaskStateExited,
    TaskSubmitted,
    TaskSucceeded,
    TaskTimedOut,
    WaitStateAborted,
    WaitStateEntered,
    WaitStateExited,
}

/// The details member of an event. Data is shared with the execution and becomes a JSON text when it is serialized.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the members are AWS's own: HistoryEvent of the API reference")]
pub enum Details {
    ExecutionStarted {
        input: Arc<Value>,
        /// The input's JSON as the caller wrote it, if that is known.
        input_text: Option<String>,
        role_arn: String,
    },
    ExecutionSucceeded {
        output: Arc<Value>,
    },
    ExecutionFailed {
        error: Option<String>,
        cause: Option<String>,
    },
    ExecutionAborted {
        error: Option<String>,
        cause: Option<String>,
    },
    ExecutionTimedOut {
        error: Option<String>,
        cause: Option<String>,
    },
    ExecutionRedriven {
        redrive_count: u32,
    },
    StateEntered {
        name: Arc<str>,
        input: Arc<Value>,
    },
    StateExited {
        name: Arc<str>,
        output: Arc<Value>,
        assigned_variables: Vec<(Arc<str>, Arc<Value>)>,
    },
    TaskScheduled {
        resource_type: Arc<str>,
        resource: Arc<str>,
        region: Arc<str>,
        parameters: Arc<Value>,
        timeout_in_seconds: Option<u64>,
        heartbeat_in_seconds: Option<u64>,
    },
    TaskStarted {
        resource_type: Arc<str>,
        resource: Arc<str>,
    },
    TaskSucceeded {
        resource_type: Arc<str>,
        resource: Arc<str>,
        output: Arc<Value>,
    },
    TaskSubmitted {
        resource_type: Arc<str>,
        resource: Arc<str>,
        output: Arc<Value>,
    },
    ActivityScheduled {
        resource: Arc<str>,
        input: Arc<Value>,
        timeout_in_seconds: Option<u64>,
        heartbeat_in_seconds: Option<u64>,
    },
    ActivityStarted {
        worker_name: Option<String>,
    },
    ActivitySucceeded {
        output: Arc<Value>,
    },
    ActivityFailed {
        error: Option<String>,
        cause: Option<String>,
    },
    ActivityTimedOut {
        error: Option<String>,
        cause: Option<String>,
    },
    TaskFailed {
        resource_type: Arc<str>,
        resource: Arc<str>,
        error: String,
        cause: Option<String>,
    },
    TaskTimedOut {
        resource_type: Arc<str>,
        resource: Arc<str>,
        error: String,
        cause: Option<String>,
    },
    MapStateStarted {
        length: usize,
    },
    MapIteration {
        name: Arc<str>,
        index: usize,
    },
    MapRunStarted {
        map_run_arn: Arc<str>,
    },
    MapRunFailed {
        error: String,
        cause: Option<String>,
    },
    MapRunRedriven {
        map_run_arn: Arc<str>,
        redrive_count: u32,
    },
    EvaluationFailed {
        error: String,
        cause: Option<String>,
        location: Option<String>,
        state: Arc<str>,
    },
}

impl Serialize for HistoryEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_map(None)?;
        event.serialize_entry("timestamp", &self.timestamp.as_epoch_seconds())?;
        event.serialize_entry("type", self.event_type.name())?;
        event.serialize_entry("id", &self.id)?;
        event.serialize_entry("previousEventId", &self.previous_event_id)?;
        if let Some(details) = &self.details {
            event.serialize_entry(details.member(self.event_type), &details.to_value())?;
        }
        event.end()
    }
}

/// `{"truncated": false}`: nothing is ever cut.
fn whole() -> Value {
    serde_json::json!({"truncated": false})
}

fn text(value: &Value) -> Value {
    Value::String(value.to_string())
}

impl Details {
    /// The name of the member of `HistoryEvent` that holds these details.
    fn member(&self, event_type: EventType) -> &'static str {
        match self {
            Details::ExecutionStarted { .. } => "executionStartedEventDetails",
            Details::ExecutionSucceeded { .. } => "executionSucceededEventDetails",
            Details::ExecutionFailed { .. } => "executionFailedEventDetails",
            Details::ExecutionAborted { .. } => "executionAbortedEventDetails",
            Details::ExecutionTimedOut { .. } => "executionTimedOutEventDetails",
            Details::ExecutionRedriven { .. } => "executionRedrivenEventDetails",
            Details::StateEntered { .. } => "stateEnteredEventDetails",
            Details::StateExited { .. } => "stateExitedEventDetails",
            Details::TaskScheduled { .. } => "taskScheduledEventDetails",
            Details::TaskStarted { .. } => "taskStartedEventDetails",
            Details::TaskSucceeded { .. } => "taskSucceededEventDetails",
            Details::TaskSubmitted { .. } => "taskSubmittedEventDetails",
            Details::ActivityScheduled { .. } => "activityScheduledEventDetails",
            Details::ActivityStarted { .. } => "activityStartedEventDetails",
            Details::ActivitySucceeded { .. } => "activitySucceededEventDetails",
            Details::ActivityFailed { .. } => "activityFailedEventDetails",
            Details::ActivityTimedOut { .. } => "activityTimedOutEventDetails",
            Details::TaskFailed { .. } => "taskFailedEventDetails",
            Details::TaskTimedOut { .. } => "taskTimedOutEventDetails",
            Details::MapStateStarted { .. } => "mapStateStartedEventDetails",
            Details::MapIteration { .. } => match event_type {
                EventType::MapIterationSucceeded => "mapIterationSucceededEventDetails",
                EventType::MapIterationFailed => "mapIterationFailedEventDetails",
                EventType::MapIterationAborted => "mapIterationAbortedEventDetails",
                _ => "mapIterationStartedEventDetails",
            },
            Details::MapRunStarted { .. } => "mapRunStartedEventDetails",
            Details::MapRunFailed { .. } => "mapRunFailedEventDetails",
            Details::MapRunRedriven { .. } => "mapRunRedrivenEventDetails",
            Details::EvaluationFailed { .. } => "evaluationFailedEventDetails",
        }
    }

    fn to_value(&self) -> Value {
        let mut members = serde_json::Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                members.insert(name.to_owned(), value);
            }
        };
        match self {
            Details::ExecutionStarted { input, input_text, role_arn } => {
                put("input", input_text.clone().map_or_else(|| text(input), Value::String));
                put("inputDetails", whole());
                put("roleArn", role_arn.as_str().into());
            }
            Details::ExecutionSucceeded { output } => {
                put("output", text(output));
                put("outputDetails", whole());
            }
            Details::ExecutionFailed { error, cause }
            | Details::ActivityFailed { error, cause }
            | Details::ActivityTimedOut { error, cause }
            | Details::ExecutionAborted { error, cause }
            | Details::ExecutionTimedOut { error, cause } => {
                put("error", error.clone().into());
                put("cause", cause.clone().into());
            }
            Details::ExecutionRedriven { redrive_count } => put("redriveCount", (*redrive_count).into()),
            Details::StateEntered { name, input } => {
                put("name", (&**name).into());
                put("input", text(input));
                put("inputDetails", whole());
            }
            Details::StateExited { name, output, assigned_variables } => {
                put("name", (&**name).into());
                put("output", text(output));
                put("outputDetails", whole());
                if !assigned_variables.is_empty() {
                    let assigned =
                        assigned_variables.iter().map(|(name, value)| (name.to_string(), text(value)));
                    put("assignedVariables", Value::Object(assigned.collect()));
                    put("assignedVariablesDetails", whole());
                }
            }
            Details::TaskScheduled {
                resource_type,
                resource,
                region,
                parameters,
                timeout_in_seconds,
                heartbeat_in_seconds,
            } => {
                put("resourceType", (&**resource_type).into());
                put("resource", (&**resource).into());
                put("region", (&**region).into());
                put("parameters", text(parameters));
                put("timeoutInSeconds", (*timeout_in_seconds).into());
                put("heartbeatInSeconds", (*heartbeat_in_seconds).into());
            }
            Details::TaskStarted { resource_type, resource } => {
                put("resourceType", (&**resource_type).into());
                put("resource", (&**resource).into());
            }
            Details::ActivityScheduled { resource, input, timeout_in_seconds, heartbeat_in_seconds } => {
                put("resource", (&**resource).into());
                put("input", text(input));
                put("inputDetails", whole());
                put("timeoutInSeconds", (*timeout_in_seconds).into());
                put("heartbeatInSeconds", (*heartbeat_in_seconds).into());
            }
            Details::ActivityStarted { worker_name } => put("workerName", worker_name.clone().into()),
            Details::ActivitySucceeded { output } => {
                put("output", text(output));
                put("outputDetails", whole());
            }
            Details::TaskSubmitted { resource_type, resource, output }
            | Details::TaskSucceeded { resource_type, resource, output } => {
                put("resourceType", (&**resource_type).into());
                put("resource", (&**resource).into());
                put("output", text(output));
                put("outputDetails", whole());
            }
            Details::TaskFailed { resource_type, resource, error, cause }
            | Details::TaskTimedOut { resource_type, resource, error, cause } => {
                put("resourceType", (&**resource_type).into());
                put("resource", (&**resource).into());
                put("error", error.as_str().into());
                put("cause", cause.clone().into());
            }
            Details::MapStateStarted { length } => put("length", (*length).into()),
            Details::MapIteration { name, index } => {
                put("name", (&**name).into());
                put("index", (*index).into());
            }
            Details::MapRunStarted { map_run_arn } => put("mapRunArn", (&**map_run_arn).into()),
            Details::MapRunFailed { error, cause } => {
                put("error", error.as_str().into());
                put("cause", cause.clone().into());
            }
            Details::MapRunRedriven { map_run_arn, redrive_count } => {
                put("mapRunArn", (&**map_run_arn).into());
                put("redriveCount", (*redrive_count).into());
            }
            Details::EvaluationFailed { error, cause, location, state } => {
                put("error", error.as_str().into());
                put("cause", cause.clone().into());
                put("location", location.clone().into());
                put("state", (&**state).into());
            }
        }
        Value::Object(members)
    }
}

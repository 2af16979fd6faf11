//! `TestState`: one state, run by itself.
//!
//! Follows "Using TestState API to test a state" of the Developer Guide, the API reference of
//! `TestState` and AWS's recorded answers. The state is run as the first of an execution, so all
//! that holds of an execution holds here. What differs: a Wait does not wait, a Map or Parallel
//! state takes its result or error from the mock, and no retry takes place: that it would is the
//! answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::thread::{Fault, Phase, ThreadId, Variable};
use super::{ApplyError, Execution, Purpose, ScheduledTask, Status, Turn};
use crate::data;
use crate::definition::{Definition, Mapping, State, Transition};
use crate::history::EventType;
use crate::input::{Input, InputKind, Start};
use crate::jsonata::Environment;
use crate::template::Failure;
use crate::time::Timestamp;

/// A mocked result, or the name and cause of a mocked error.
pub type TestMock = Result<Value, (Option<String>, Option<String>)>;

/// What a state is tested with.
#[derive(Clone, Debug)]
pub struct TestSetup {
    /// Names for the context object, and the state's input.
    pub start: Start,
    /// The workflow's variables.
    pub variables: BTreeMap<String, Value>,
    /// Stands in for the whole context object.
    pub context: Option<Value>,
    /// The result or the error (name and cause) of a Task, Map or Parallel state; nothing is called
    /// then.
    pub mock: Option<TestMock>,
    /// `retrierRetryCount`: how often the state was retried before.
    pub retry_count: u32,
    /// Whether the mocked error is that of a state within the Map or Parallel state.
    pub error_of_branch: bool,
    /// `mapIterationFailureCount`.
    pub failed_iterations: u64,
    /// `mapItemReaderData`: what an `ItemReader` reads.
    pub reader_items: Option<Vec<Value>>,
}

/// How a tested state is left.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the members are those of the answer of TestState")]
pub enum TestOutcome {
    Succeeded { output: Arc<Value>, next: Option<String> },
    Retriable { error: Option<String>, cause: Option<String> },
    Caught { output: Arc<Value>, next: Option<String>, error: Option<String>, cause: Option<String> },
    Failed { error: Option<String>, cause: Option<String> },
}

/// What can be looked at on the way: `inspectionData`.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the members are AWS's own: InspectionData of the API reference")]
pub struct Inspection {
    pub after_arguments: Option<Arc<Value>>,
    pub result: Option<Arc<Value>>,
    pub after_item_selector: Option<Value>,
    pub max_concurrency: Option<u64>,
    pub tolerated_failure_count: Option<u64>,
    pub tolerated_failure_percentage: Option<f64>,
    pub catch_index: Option<usize>,
    pub retry_index: Option<usize>,
    pub retry_backoff_seconds: Option<u64>,
    /// After the state.
    pub variables: BTreeMap<String, Value>,
}

/// What a tested execution has beside an ordinary one.
#[derive(Debug)]
pub(super) struct Probe {
    setup: TestSetup,
    context: Option<Arc<Value>>,
    seen: Inspection,
    /// The state was left.
    left: bool,
    /// Where to.
    next: Option<String>,
    /// The state's latest error.
    fault: Option<Fault>,
}

/// A state that is being tested.
#[derive(Debug)]
pub struct StateTest {
    execution: Execution,
}

impl StateTest {
    /// Runs the first state of `definition` as far as it goes by itself: to its end, or to the call
    /// of its task.
    ///
    /// # Errors
    /// Never for what a caller can pass: the inputs are made here.
    pub fn start(
        definition: Arc<Definition>,
        setup: TestSetup,
        at: Timestamp,
        seed: u64,
    ) -> Result<StateTest, ApplyError> {
        let start = Start { keep_history: true, ..setup.start.clone() };
        let mock = setup.mock.clone();
        let context = setup.context.clone().map(Arc::new);
        let probe =
            Probe { setup, context, seen: Inspection::default(), left: false, next: None, fault: None };
        let input = Input { at, seed, kind: InputKind::Start(start) };
        let (execution, _) = Execution::begin_with(definition, input, Some(Box::new(probe)))?;
        let mut test = StateTest { execution };
        while let Some((timer, until)) = test.wait() {
            test.execution.apply(Input { at: until, seed, kind: InputKind::TimerFired { timer } })?;
        }
        if let Some(mock) = mock {
            test.finish(mock.map_err(|(error, cause)| (error.unwrap_or_default(), cause)), at, seed)?;
        }
        Ok(test)
    }

    fn wait(&self) -> Option<(crate::input::TimerId, Timestamp)> {
        let timers = self.execution.timers.iter();
        timers
            .filter(|(_, set)| matches!(set.purpose, Purpose::Wait(_)))
            .map(|(timer, set)| (*timer, set.at))
            .next()
    }

    /// The task to be run, if the state is waiting for one.
    #[must_use]
    pub fn task(&self) -> Option<&ScheduledTask> {
        self.execution.threads.values().find_map(|thread| match &thread.phase {
            Phase::Task(running) => Some(&running.scheduled),
            _ => None,
        })
    }

    /// Takes the result of [`StateTest::task`], or its error's name and cause.
    ///
    /// # Errors
    /// As [`Execution::apply`].
    pub fn finish(
        &mut self,
        result: Result<Value, (String, Option<String>)>,
        at: Timestamp,
        seed: u64,
    ) -> Result<(), ApplyError> {
        let Some(task) = self.task().map(|task| task.task) else { return Ok(()) };
        let kind = match result {
            Ok(output) => InputKind::TaskSucceeded { task, output },
            Err((error, cause)) => InputKind::TaskFailed { task, error, cause },
        };
        self.execution.apply(Input { at, seed, kind }).map(drop)
    }

    /// How the state was left, and what was seen.
    #[must_use]
    pub fn report(self) -> (TestOutcome, Inspection) {
        let execution = self.execution;
        let Some(probe) = execution.probe else {
            return (TestOutcome::Failed { error: None, cause: None }, Inspection::default());
        };
        let mut seen = probe.seen;
        if !probe.left {
            seen.variables = probe.setup.variables;
        }
        let (error, cause) = match &probe.fault {
            Some(fault) => (fault.error.clone(), fault.cause.clone()),
            None => (None, None),
        };
        let outcome = match execution.status {
            Status::Succeeded { output } => {
                let next = probe.next;
                if seen.catch_index.is_some() {
                    TestOutcome::Caught { output, next, error, cause }
                } else {
                    TestOutcome::Succeeded { output, next }
                }
            }
            Status::Failed { error, cause } => TestOutcome::Failed { error, cause },
            Status::TimedOut { error, cause } | Status::Aborted { error, cause } => {
                TestOutcome::Failed { error, cause }
            }
            Status::Running => TestOutcome::Retriable { error, cause },
        };
        (outcome, seen)
    }
}

impl Execution {
    /// Whether a state is being tested.
    pub(super) fn is_tested(&self) -> bool {
        self.probe.is_some()
    }

    /// The context object that stands in for the real one.
    pub(super) fn tested_context(&self) -> Option<&Arc<Value>> {
        self.probe.as_ref()?.context.as_ref()
    }

    /// Notes something, if a state is being tested.
    pub(super) fn inspect(&mut self, note: impl FnOnce(&mut Inspection)) {
        if let Some(probe) = &mut self.probe
            && !probe.left
        {
            note(&mut probe.seen);
        }
    }

    pub(super) fn inspect_fault(&mut self, fault: &Fault) {
        if let Some(probe) = &mut self.probe {
            probe.fault = Some(fault.clone());
        }
    }

    /// The variables that the tested state begins with.
    pub(super) fn give_variables(&mut self, id: ThreadId) {
        let Some(probe) = &self.probe else { return };
        let given: Vec<_> = probe
            .setup
            .variables
            .iter()
            .map(|(name, value)| {
                let bytes = data::measure(value).bytes;
                (Arc::<str>::from(name.as_str()), Variable { value: Arc::new(value.clone()), bytes })
            })
            .collect();
        let Some(thread) = self.threads.get_mut(&id) else { return };
        for (name, variable) in given {
            self.variables_bytes += variable.bytes;
            thread.variables.insert(name, variable);
        }
    }

    /// How often a tested state was retried before.
    pub(super) fn tested_retries(&self) -> u32 {
        self.probe.as_ref().map_or(0, |probe| probe.setup.retry_count)
    }

    /// The state has been left.
    pub(super) fn inspect_exit(&mut self, id: ThreadId, then: Transition) {
        let Some(thread) = self.threads.get(&id) else { return };
        let Some(probe) = &mut self.probe else { return };
        probe.left = true;
        if let Transition::Next(next) = then {
            let states = &self.definition.machine(thread.machine).states;
            probe.next = states.get(next).map(|state| state.name.to_string());
        }
        let variables = thread.variables.iter();
        probe.seen.variables =
            variables.map(|(name, variable)| (name.to_string(), Value::clone(&variable.value))).collect();
    }

    /// Notes the fields of a tested Map state.
    pub(super) fn inspect_map(&mut self, mapping: &Mapping, concurrency: u64, count: u64, percentage: f64) {
        let (counted, shared) = (mapping.tolerated_count.is_some(), mapping.tolerated_percentage.is_some());
        self.inspect(|seen| {
            seen.max_concurrency = Some(concurrency);
            seen.tolerated_failure_count = counted.then_some(count);
            seen.tolerated_failure_percentage = shared.then_some(percentage);
        });
    }

    /// What an `ItemReader` would have read.
    pub(super) fn tested_items(&self) -> Option<Vec<Value>> {
        self.probe.as_ref()?.setup.reader_items.clone()
    }

    /// A tested Map state ends with its mock, or with too many failed iterations.
    pub(super) fn end_tested_map(
        &mut self,
        id: ThreadId,
        state: &State,
        mapping: &Mapping,
        length: usize,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let Some(probe) = &self.probe else { return Ok(()) };
        let failed = probe.setup.failed_iterations;
        let seen = &probe.seen;
        let share = seen.tolerated_failure_percentage.map(|percentage| percentage / 100.0 * length as f64);
        let exceeded = seen.tolerated_failure_count.is_some_and(|count| failed > count)
            || share.is_some_and(|share| failed as f64 > share);
        if exceeded && matches!(probe.setup.mock, Some(Ok(_))) {
            let cause = "The specified tolerated failure threshold was exceeded".to_owned();
            return Err(Fault::new("States.ExceedToleratedFailureThreshold", cause));
        }
        self.end_tested(id, state, EventType::MapStateSucceeded, mapping.then, turn)
    }

    /// A tested Map or Parallel state ends with its mock.
    pub(super) fn end_tested(
        &mut self,
        id: ThreadId,
        state: &State,
        succeeded: EventType,
        then: Transition,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let Some(probe) = &self.probe else { return Ok(()) };
        let of_branch = probe.setup.error_of_branch;
        match probe.setup.mock.clone() {
            Some(Ok(result)) => {
                let result = Arc::new(result);
                if !data::measure(&result).fits() {
                    return Err(super::advance::too_large(state));
                }
                let previous = self.threads[&id].previous;
                self.event(turn.at, previous, succeeded, || None);
                self.leave_by_state(id, state, Some(&result), then, turn)
            }
            Some(Err((error, cause))) => Err(Fault { error, cause, of_branch }),
            None => {
                let cause = "A Map or Parallel state is tested with a mock only.".to_owned();
                Err(Fault::new("States.Runtime", cause))
            }
        }
    }

    /// The items of a tested Map after its `ItemSelector`, if it has one.
    pub(super) fn inspect_selected(&mut self, inputs: &[Arc<Value>]) {
        let inputs = Value::Array(inputs.iter().map(|input| Value::clone(input)).collect());
        self.inspect(|seen| seen.after_item_selector = Some(inputs));
    }
}

/// `MaxConcurrency` and the thresholds of a Map.
pub(super) fn map_fields(
    mapping: &Mapping,
    environment: &Environment<'_>,
) -> Result<(u64, u64, f64), Failure> {
    Ok((
        super::advance::concurrency_of(mapping, environment)?,
        mapping.tolerated_failure_count(environment)?,
        mapping.tolerated_failure_percentage(environment)?,
    ))
}

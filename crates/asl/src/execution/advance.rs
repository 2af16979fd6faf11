//! From state to state: what each kind of state does, and how it is left.
//!
//! Follows the state pages of the Developer Guide ("Task state", "Map state in Inline mode", …) and states-language.net. The order
//! of events and their `previousEventId`s are those of recorded histories: a `ParallelStateSucceeded` is passed by, the exit
//! after it follows from the branch that finished last.

use std::sync::Arc;

use serde_json::Value;

use super::probe::map_fields;
use super::thread::{Entered, Fault, Item, Join, MapJoin, Phase, RunningTask, Thread, ThreadId, Variable};
use super::view::Seen;
use super::{ApplyError, Effect, Execution, Purpose, ScheduledTask, Status, Turn};
use crate::data;
use crate::definition::{
    Failing, MachineId, MachineType, Mapping, Pattern, Processor, Rule, Seconds, State, StateKind, Task,
    Transition, Waiting, whole_seconds,
};
use crate::history::{Details, EventType};
use crate::input::{TaskId, TimerId};
use crate::jsonata::Environment;
use crate::limits;
use crate::template::{Failure, Template};
use crate::time::Timestamp;

/// AWS's words for a Choice that no rule matches. Its documentation calls the error `States.NoChoiceMatched`.
const NO_CHOICE_MATCHED: &str =
    "Failed to transition out of the state. The state does not point to a next state.";

/// How a state is left: the state's own fields, a choice rule's or a catcher's.
pub(super) struct Exit<'d> {
    pub(super) output: Option<&'d Template>,
    pub(super) assign: &'d [(Arc<str>, Template)],
    /// Where the fields are, e.g. `Choices[0]/`.
    pub(super) prefix: String,
    pub(super) then: Transition,
}

/// What a state is left with.
pub(super) struct Left {
    pub(super) output: Arc<Value>,
    pub(super) assigned: Vec<(Arc<str>, Arc<Value>, usize)>,
}

/// Why a state cannot be left.
pub(super) enum Stuck {
    Evaluation(Failure),
    TooLarge,
}

impl From<Failure> for Stuck {
    fn from(failure: Failure) -> Self {
        Stuck::Evaluation(failure)
    }
}

impl Execution {
    pub(super) fn begin(&mut self, turn: &mut Turn) {
        let input = Arc::clone(&self.input);
        let role_arn = self.started_with.role_arn.clone();
        self.event(turn.at, 0, EventType::ExecutionStarted, || {
            Some(Details::ExecutionStarted { input, input_text: None, role_arn })
        });
        let root = Thread::new(
            MachineId::ROOT,
            self.definition.machine(MachineId::ROOT).start,
            Arc::clone(&self.input),
            0,
        );
        let id = self.spawn(root);
        self.give_variables(id);
        let until = turn.at.plus_millis(self.duration_ms());
        self.set_timer(until, Purpose::Execution, turn);
        if self.input_fits(turn) {
            turn.ready.push_back(id);
        }
    }

    /// Whether the execution's input may be a state's; the execution fails if it may not.
    pub(super) fn input_fits(&mut self, turn: &mut Turn) -> bool {
        let fits = data::measure(&self.input).fits();
        if !fits {
            let cause = "The execution's input exceeds the maximum number of bytes service limit.".to_owned();
            let error = Some("States.DataLimitExceeded".to_owned());
            self.finish(Status::Failed { error, cause: Some(cause) }, turn);
        }
        fits
    }

    /// Runs threads until each waits for something outside, or the execution ends.
    pub(super) fn run(&mut self, turn: &mut Turn) {
        while matches!(self.status, Status::Running) {
            let express = self.definition.machine_type() == MachineType::Express;
            if self.history_full || express && turn.transitions > limits::EXPRESS_TRANSITIONS_MAX {
                let cause = format!(
                    "The execution made {} state transitions without waiting for a task or a time.",
                    limits::EXPRESS_TRANSITIONS_MAX
                );
                let error = Some("States.Runtime".to_owned());
                self.finish(Status::Failed { error, cause: Some(cause) }, turn);
                return;
            }
            let Some(id) = turn.ready.pop_front() else { return };
            self.step(id, turn);
        }
    }

    pub(super) fn spawn(&mut self, thread: Thread) -> ThreadId {
        let id = ThreadId(self.next_id());
        self.threads.insert(id, thread);
        id
    }

    /// The state that a thread is in.
    pub(super) fn with_state(&mut self, id: ThreadId, body: impl FnOnce(&mut Self, &State)) {
        let definition = Arc::clone(&self.definition);
        let Some(thread) = self.threads.get(&id) else { return };
        let state = &definition.machine(thread.machine).states[thread.state];
        body(self, state);
    }

    fn step(&mut self, id: ThreadId, turn: &mut Turn) {
        // A sibling that failed in this turn may have aborted the thread.
        if !self.threads.get(&id).is_some_and(|thread| matches!(thread.phase, Phase::Ready)) {
            return;
        }
        self.with_state(id, |execution, state| {
            execution.enter(id, state, turn);
            let done = execution.execute(id, state, turn);
            if let Err(fault) = done {
                execution.fail(id, state, fault, turn);
            }
        });
    }

    fn enter(&mut self, id: ThreadId, state: &State, turn: &mut Turn) {
        let thread = &self.threads[&id];
        if thread.entered.is_some() {
            return;
        }
        let (previous, input, name) = (thread.previous, Arc::clone(&thread.input), Arc::clone(&state.name));
        let event_type = match state.kind {
            StateKind::Task(_) => EventType::TaskStateEntered,
            StateKind::Pass(_) => EventType::PassStateEntered,
            StateKind::Choice { .. } => EventType::ChoiceStateEntered,
            StateKind::Wait { .. } => EventType::WaitStateEntered,
            StateKind::Succeed => EventType::SucceedStateEntered,
            StateKind::Fail(_) => EventType::FailStateEntered,
            StateKind::Parallel { .. } => EventType::ParallelStateEntered,
            StateKind::Map(_) => EventType::MapStateEntered,
        };
        let event = self.event(turn.at, previous, event_type, || Some(Details::StateEntered { name, input }));
        turn.transitions += 1;
        let retries = self.tested_retries();
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = event;
            thread.entered = Some(Entered { at: turn.at, event, before: previous });
            thread.retry_count = retries;
            thread.retries = vec![retries; state.retry.len()];
        }
    }

    fn execute(&mut self, id: ThreadId, state: &State, turn: &mut Turn) -> Result<(), Fault> {
        if self.threads[&id].join.is_some() {
            return self.join(id, state, turn);
        }
        if self.threads[&id].map_run.is_some() {
            return self.leave_map_run(id, state, turn);
        }
        match &state.kind {
            StateKind::Task(task) => self.schedule(id, state, task, turn),
            StateKind::Pass(then) => self.leave_by_state(id, state, None, *then, turn),
            StateKind::Succeed => self.leave_by_state(id, state, None, Transition::End, turn),
            StateKind::Choice { rules, default } => self.choose(id, state, rules, *default, turn),
            StateKind::Wait { until, then } => self.wait(id, state, until, *then, turn),
            StateKind::Fail(failing) => Err(self.deliberate(id, state, failing, turn)),
            StateKind::Parallel { arguments, branches, then } => {
                self.start_branches(id, state, arguments.as_ref(), branches, *then, turn)
            }
            StateKind::Map(mapping) => match &mapping.processor {
                Processor::Inline(_) => self.start_iterations(id, state, mapping, turn),
                Processor::Distributed(distributed) => {
                    self.start_map_run(id, state, mapping, distributed, turn)
                }
            },
        }
    }

    /// Evaluates fields of the thread's state; a failure is recorded and becomes `States.QueryEvaluationError`.
    pub(super) fn evaluate<T>(
        &mut self,
        id: ThreadId,
        state: &State,
        seen: Seen<'_>,
        turn: &Turn,
        body: impl FnOnce(&Environment<'_>) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let evaluated = self.with_environment(id, &self.threads[&id], seen, turn, body);
        evaluated.map_err(|failure| self.evaluation_failed(id, state, failure, turn.at))
    }

    pub(super) fn evaluation_failed(
        &mut self,
        id: ThreadId,
        state: &State,
        failure: Failure,
        at: Timestamp,
    ) -> Fault {
        let fault = self.fault(id, state, "States.QueryEvaluationError", &failure.message);
        let previous = self.threads[&id].previous;
        let event = self.event(at, previous, EventType::EvaluationFailed, || {
            Some(Details::EvaluationFailed {
                error: fault.name().to_owned(),
                cause: fault.cause.clone(),
                location: failure.location,
                state: Arc::clone(&state.name),
            })
        });
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = event;
        }
        fault
    }

    /// Refuses what a Map cannot iterate over: anything but an array or an object. As AWS records it, the failure has no location
    /// and follows from the event before the state was entered.
    pub(super) fn expect_items(
        &mut self,
        id: ThreadId,
        state: &State,
        items: &Value,
        at: Timestamp,
    ) -> Result<(), Fault> {
        if items.is_array() || items.is_object() {
            return Ok(());
        }
        if let Some(thread) = self.threads.get_mut(&id)
            && let Some(entered) = thread.entered
        {
            thread.previous = entered.before;
        }
        let message = format!("Map state input must be an array but was: {items}");
        Err(self.evaluation_failed(id, state, Failure { location: None, message }, at))
    }

    /// An error that the engine itself raises in a state.
    pub(super) fn fault(&self, id: ThreadId, state: &State, error: &str, message: &str) -> Fault {
        let entered =
            self.threads.get(&id).and_then(|thread| thread.entered).map_or(0, |entered| entered.event);
        let cause = format!(
            "An error occurred while executing the state '{}' (entered at the event id #{entered}). {message}",
            state.name
        );
        Fault::new(error, cause)
    }

    fn schedule(&mut self, id: ThreadId, state: &State, task: &Task, turn: &mut Turn) -> Result<(), Fault> {
        let token = (task.pattern != Pattern::Request).then(|| self.new_token(turn));
        if task.pattern == Pattern::Callback
            && let Some(thread) = self.threads.get_mut(&id)
        {
            thread.token.clone_from(&token);
        }
        let (arguments, timeout, heartbeat) =
            self.evaluate(id, state, Seen::default(), turn, |environment| {
                let arguments =
                    task.arguments.as_ref().map(|template| template.evaluate(environment, "Arguments"));
                let timeout = seconds(task.timeout.as_ref(), environment, "TimeoutSeconds", 1)?;
                let heartbeat = seconds(task.heartbeat.as_ref(), environment, "HeartbeatSeconds", 1)?;
                Ok((arguments.transpose()?, timeout, heartbeat))
            })?;
        let thread = &self.threads[&id];
        let arguments = match arguments {
            Some(arguments) if !data::measure(&arguments).fits() => return Err(too_large(state)),
            Some(arguments) => arguments,
            None => Arc::clone(&thread.input),
        };
        let (previous, retry_count) = (thread.previous, thread.retry_count);
        if task.arguments.is_some() {
            let after = Arc::clone(&arguments);
            self.inspect(|seen| seen.after_arguments = Some(after));
        }
        let region = Arc::clone(&self.region);
        let activity = task.pattern == Pattern::Activity;
        let event = if activity {
            // Once it is known that the activity exists.
            previous
        } else {
            let arguments = Arc::clone(&arguments);
            self.event(turn.at, previous, EventType::TaskScheduled, || {
                Some(Details::TaskScheduled {
                    resource_type: Arc::clone(&task.resource_type),
                    resource: Arc::clone(&task.action),
                    region,
                    parameters: arguments,
                    timeout_in_seconds: timeout,
                    heartbeat_in_seconds: heartbeat,
                })
            })
        };
        let mut scheduled = ScheduledTask {
            task: TaskId(self.next_id()),
            state_name: Arc::clone(&state.name),
            resource: Arc::clone(&task.resource),
            arguments,
            timeout_seconds: timeout,
            timeout_timer: None,
            heartbeat_seconds: heartbeat,
            token,
            is_activity: activity,
            retry_count,
        };
        self.tasks.insert(scheduled.task, id);
        let place = turn.effects.len();
        let timer =
            timeout.map(|seconds| self.set_timer(turn.at.plus_seconds(seconds), Purpose::Task(id), turn));
        // A worker's heart beats from when it has taken the task.
        let beats = heartbeat.filter(|_| task.pattern == Pattern::Callback);
        let heartbeat =
            beats.map(|seconds| self.set_timer(turn.at.plus_seconds(seconds), Purpose::Heartbeat(id), turn));
        scheduled.timeout_timer = timer;
        turn.effects.insert(place, Effect::ScheduleTask(scheduled.clone()));
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = event;
            thread.phase =
                Phase::Task(RunningTask { scheduled, started: false, submitted: false, timer, heartbeat });
        }
        Ok(())
    }

    /// Opaque to whoever gets it; leads back to this execution, and cannot be guessed.
    fn new_token(&self, turn: &Turn) -> Arc<str> {
        let uuid = turn.random.uuid();
        hex::encode(format!("{}|{uuid}", self.started_with.execution_arn)).into()
    }

    pub(super) fn task_submitted(&mut self, id: ThreadId, output: Arc<Value>, at: Timestamp) {
        self.task_started(id, at);
        self.with_state(id, |execution, state| {
            let StateKind::Task(task) = &state.kind else { return };
            let Some(Phase::Task(running)) = execution.threads.get_mut(&id).map(|thread| &mut thread.phase)
            else {
                return;
            };
            if task.pattern != Pattern::Callback || std::mem::replace(&mut running.submitted, true) {
                return;
            }
            execution.task_event(id, at, EventType::TaskSubmitted, || Details::TaskSubmitted {
                resource_type: Arc::clone(&task.resource_type),
                resource: Arc::clone(&task.action),
                output,
            });
        });
    }

    pub(super) fn activity_scheduled(&mut self, id: ThreadId, at: Timestamp) {
        let Some(Phase::Task(running)) = self.threads.get_mut(&id).map(|thread| &mut thread.phase) else {
            return;
        };
        if !running.scheduled.is_activity || std::mem::replace(&mut running.submitted, true) {
            return;
        }
        let scheduled = running.scheduled.clone();
        self.task_event(id, at, EventType::ActivityScheduled, || Details::ActivityScheduled {
            resource: scheduled.resource,
            input: scheduled.arguments,
            timeout_in_seconds: scheduled.timeout_seconds,
            heartbeat_in_seconds: scheduled.heartbeat_seconds,
        });
    }

    pub(super) fn activity_missing(&mut self, id: ThreadId, turn: &mut Turn) {
        self.release(id, turn);
        self.with_state(id, |execution, state| {
            let StateKind::Task(task) = &state.kind else { return };
            let message = format!("The activity {} does not exist.", task.resource);
            let fault = execution.fault(id, state, "States.Runtime", &message);
            execution.fail(id, state, fault, turn);
        });
    }

    pub(super) fn activity_started(&mut self, id: ThreadId, worker: Option<String>, turn: &mut Turn) {
        let Some(Phase::Task(running)) = self.threads.get_mut(&id).map(|thread| &mut thread.phase) else {
            return;
        };
        if !running.scheduled.is_activity || std::mem::replace(&mut running.started, true) {
            return;
        }
        self.task_event(id, turn.at, EventType::ActivityStarted, || Details::ActivityStarted {
            worker_name: worker,
        });
        self.beat(id, turn);
    }

    /// The time between two heartbeats begins anew.
    pub(super) fn beat(&mut self, id: ThreadId, turn: &mut Turn) {
        let Some(Phase::Task(running)) = self.threads.get_mut(&id).map(|thread| &mut thread.phase) else {
            return;
        };
        let Some(seconds) = running.scheduled.heartbeat_seconds.filter(|_| running.scheduled.token.is_some())
        else {
            return;
        };
        let before = running.heartbeat.take();
        if let Some(timer) = before {
            self.cancel_timer(timer, turn);
        }
        let timer = self.set_timer(turn.at.plus_seconds(seconds), Purpose::Heartbeat(id), turn);
        if let Some(Phase::Task(running)) = self.threads.get_mut(&id).map(|thread| &mut thread.phase) {
            running.heartbeat = Some(timer);
        }
    }

    pub(super) fn task_started(&mut self, id: ThreadId, at: Timestamp) {
        self.with_state(id, |execution, state| {
            let StateKind::Task(task) = &state.kind else { return };
            let Some(Phase::Task(running)) = execution.threads.get_mut(&id).map(|thread| &mut thread.phase)
            else {
                return;
            };
            if task.pattern == Pattern::Activity || std::mem::replace(&mut running.started, true) {
                return;
            }
            execution.task_event(id, at, EventType::TaskStarted, || Details::TaskStarted {
                resource_type: Arc::clone(&task.resource_type),
                resource: Arc::clone(&task.action),
            });
        });
    }

    fn task_event(
        &mut self,
        id: ThreadId,
        at: Timestamp,
        event_type: EventType,
        details: impl FnOnce() -> Details,
    ) {
        let previous = self.threads[&id].previous;
        let event = self.event(at, previous, event_type, || Some(details()));
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = event;
        }
    }

    /// Takes a task's result or error off the thread.
    fn task_over(&mut self, id: ThreadId, turn: &mut Turn) {
        self.task_started(id, turn.at);
        self.release(id, turn);
    }

    /// The thread waits for its task no more.
    fn release(&mut self, id: ThreadId, turn: &mut Turn) -> Option<TaskId> {
        let thread = self.threads.get_mut(&id)?;
        let Phase::Task(running) = std::mem::replace(&mut thread.phase, Phase::Ready) else { return None };
        self.tasks.remove(&running.scheduled.task);
        for timer in [running.timer, running.heartbeat].into_iter().flatten() {
            self.cancel_timer(timer, turn);
        }
        Some(running.scheduled.task)
    }

    pub(super) fn task_succeeded(&mut self, id: ThreadId, output: &Arc<Value>, turn: &mut Turn) {
        self.task_over(id, turn);
        self.with_state(id, |execution, state| {
            let StateKind::Task(task) = &state.kind else { return };
            let (resource_type, resource) = (Arc::clone(&task.resource_type), Arc::clone(&task.action));
            if !data::measure(output).fits() {
                let error = "States.DataLimitExceeded".to_owned();
                let cause = Some(format!(
                    "The state/task '{resource_type}' returned a result with a size exceeding the maximum number of bytes service \
                     limit."
                ));
                let fault = Fault { error: Some(error.clone()), cause: cause.clone(), of_branch: false };
                execution.task_fails(id, task, error, cause, turn.at);
                return execution.fail(id, state, fault, turn);
            }
            execution.inspect(|seen| seen.result = Some(Arc::clone(output)));
            let output_of = Arc::clone(output);
            if task.pattern == Pattern::Activity {
                execution.task_event(id, turn.at, EventType::ActivitySucceeded, || {
                    Details::ActivitySucceeded { output: output_of }
                });
            } else {
                execution.task_event(id, turn.at, EventType::TaskSucceeded, || Details::TaskSucceeded {
                    resource_type,
                    resource,
                    output: output_of,
                });
            }
            if let Err(fault) = execution.leave_by_state(id, state, Some(output), task.then, turn) {
                execution.fail(id, state, fault, turn);
            }
        });
    }

    pub(super) fn task_failed(
        &mut self,
        id: ThreadId,
        error: String,
        cause: Option<String>,
        turn: &mut Turn,
    ) {
        let error = shortened(error, limits::ERROR_CHARS_MAX);
        let cause = cause.map(|cause| shortened(cause, limits::CAUSE_CHARS_MAX));
        self.task_over(id, turn);
        self.with_state(id, |execution, state| {
            let StateKind::Task(task) = &state.kind else { return };
            let fault = Fault { error: Some(error.clone()), cause: cause.clone(), of_branch: false };
            execution.task_fails(id, task, error, cause, turn.at);
            execution.fail(id, state, fault, turn);
        });
    }

    fn task_fails(&mut self, id: ThreadId, task: &Task, error: String, cause: Option<String>, at: Timestamp) {
        if task.pattern == Pattern::Activity {
            let error = Some(error);
            self.task_event(id, at, EventType::ActivityFailed, || Details::ActivityFailed { error, cause });
        } else {
            self.task_event(id, at, EventType::TaskFailed, || Details::TaskFailed {
                resource_type: Arc::clone(&task.resource_type),
                resource: Arc::clone(&task.action),
                error,
                cause,
            });
        }
    }

    fn task_timed_out(&mut self, id: ThreadId, turn: &mut Turn) {
        if let Some(task) = self.release(id, turn) {
            turn.effects.push(Effect::CancelTask { task });
        }
        self.with_state(id, |execution, state| {
            let StateKind::Task(task) = &state.kind else { return };
            let error = "States.Timeout".to_owned();
            let fault = Fault { error: Some(error.clone()), cause: None, of_branch: false };
            if task.pattern == Pattern::Activity {
                execution.task_event(id, turn.at, EventType::ActivityTimedOut, || {
                    Details::ActivityTimedOut { error: Some(error), cause: None }
                });
            } else {
                execution.task_event(id, turn.at, EventType::TaskTimedOut, || Details::TaskTimedOut {
                    resource_type: Arc::clone(&task.resource_type),
                    resource: Arc::clone(&task.action),
                    error,
                    cause: None,
                });
            }
            execution.fail(id, state, fault, turn);
        });
    }

    pub(super) fn timer_fired(&mut self, timer: TimerId, turn: &mut Turn) -> Result<(), ApplyError> {
        if timer.0 == 0 || timer.0 > self.last_id {
            return Err(ApplyError::UnknownTimer(timer));
        }
        let Some(set) = self.timers.get(&timer).copied() else { return Ok(()) };
        if turn.at < set.at {
            turn.effects.push(Effect::SetTimer { timer, at: set.at });
            return Ok(());
        }
        self.timers.remove(&timer);
        match set.purpose {
            Purpose::Execution => self.finish(Status::TimedOut { error: None, cause: None }, turn),
            Purpose::Task(id) | Purpose::Heartbeat(id) => self.task_timed_out(id, turn),
            Purpose::Retry(id) => {
                if let Some(thread) = self.threads.get_mut(&id) {
                    thread.phase = Phase::Ready;
                }
                turn.ready.push_back(id);
            }
            Purpose::Wait(id) => self.with_state(id, |execution, state| {
                let StateKind::Wait { then, .. } = &state.kind else { return };
                if let Err(fault) = execution.leave_by_state(id, state, None, *then, turn) {
                    execution.fail(id, state, fault, turn);
                }
            }),
        }
        Ok(())
    }

    fn wait(
        &mut self,
        id: ThreadId,
        state: &State,
        until: &Waiting,
        then: Transition,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let at = turn.at;
        let until = self.evaluate(id, state, Seen::default(), turn, |environment| match until {
            Waiting::Seconds(wanted) => seconds(Some(wanted), environment, "Seconds", 0)
                .map(|seconds| at.plus_seconds(seconds.unwrap_or(0))),
            Waiting::Timestamp(template) => {
                let value = template.evaluate(environment, "Timestamp")?;
                match value.as_str() {
                    Some(text) => Timestamp::parse(text).ok_or_else(|| not_a_time(text)),
                    None => Err(template.unexpected("Timestamp", "string", &value)),
                }
            }
        })?;
        if until <= at {
            return self.leave_by_state(id, state, None, then, turn);
        }
        let timer = self.set_timer(until, Purpose::Wait(id), turn);
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.phase = Phase::Waiting(timer);
        }
        Ok(())
    }

    fn choose(
        &mut self,
        id: ThreadId,
        state: &State,
        rules: &[Rule],
        default: Option<usize>,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let matched = self.evaluate(id, state, Seen::default(), turn, |environment| {
            for (index, rule) in rules.iter().enumerate() {
                let field = format!("Choices[{index}]/Condition");
                let value = rule.condition.evaluate(environment, &field)?;
                match *value {
                    Value::Bool(true) => return Ok(Some(index)),
                    Value::Bool(false) => {}
                    _ => return Err(rule.condition.unexpected(&field, "boolean", &value)),
                }
            }
            Ok(None)
        })?;
        let exit = match (matched, default) {
            (Some(index), _) => {
                let rule = &rules[index];
                Exit {
                    output: rule.output.as_ref(),
                    assign: &rule.assign,
                    prefix: format!("Choices[{index}]/"),
                    then: Transition::Next(rule.next),
                }
            }
            (None, Some(default)) => Exit {
                output: state.output.as_ref(),
                assign: &state.assign,
                prefix: String::new(),
                then: Transition::Next(default),
            },
            (None, None) => return Err(self.fault(id, state, "States.NoChoiceMatched", NO_CHOICE_MATCHED)),
        };
        self.leave(id, state, &exit, None, turn)
    }

    /// A Fail state's error.
    fn deliberate(&mut self, id: ThreadId, state: &State, failing: &Failing, turn: &mut Turn) -> Fault {
        let evaluated = self.evaluate(id, state, Seen::default(), turn, |environment| {
            let text = |template: &Option<Template>, field: &str| -> Result<Option<String>, Failure> {
                let Some(template) = template else { return Ok(None) };
                let value = template.evaluate(environment, field)?;
                match &*value {
                    Value::String(text) => Ok(Some(text.clone())),
                    other => Err(template.unexpected(field, "string", other)),
                }
            };
            let error = text(&failing.error, "Error")?.map(|error| shortened(error, limits::ERROR_CHARS_MAX));
            let cause = text(&failing.cause, "Cause")?.map(|cause| shortened(cause, limits::CAUSE_CHARS_MAX));
            Ok(Fault { error, cause, of_branch: false })
        });
        match evaluated {
            Ok(fault) | Err(fault) => fault,
        }
    }

    fn start_branches(
        &mut self,
        id: ThreadId,
        state: &State,
        arguments: Option<&Template>,
        branches: &[MachineId],
        then: Transition,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let input = match arguments {
            None => Arc::clone(&self.threads[&id].input),
            Some(template) => {
                let arguments = self.evaluate(id, state, Seen::default(), turn, |environment| {
                    template.evaluate(environment, "Arguments")
                })?;
                if !data::measure(&arguments).fits() {
                    return Err(too_large(state));
                }
                arguments
            }
        };
        let previous = self.threads[&id].previous;
        let started = self.event(turn.at, previous, EventType::ParallelStateStarted, || None);
        if self.is_tested() {
            if arguments.is_some() {
                self.inspect(|seen| seen.after_arguments = Some(input));
            }
            return self.end_tested(id, state, EventType::ParallelStateSucceeded, then, turn);
        }
        let mut children = Vec::with_capacity(branches.len());
        for (index, &machine) in branches.iter().enumerate() {
            let start = self.definition.machine(machine).start;
            let thread = Thread::new(machine, start, Arc::clone(&input), started);
            let child = self.spawn(Thread { parent: Some((id, index)), ..thread });
            turn.ready.push_back(child);
            children.push(Some(child));
        }
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = started;
            thread.phase = Phase::Joining;
            thread.join = Some(Join {
                results: vec![None; children.len()],
                remaining: children.len(),
                children,
                map: None,
            });
        }
        Ok(())
    }

    fn start_iterations(
        &mut self,
        id: ThreadId,
        state: &State,
        mapping: &Mapping,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let input = Arc::clone(&self.threads[&id].input);
        let items = self.evaluate(id, state, Seen::default(), turn, |environment| {
            items_of(mapping, &input, environment)
        })?;
        self.expect_items(id, state, &items, turn.at)?;
        // An inline Map takes the thresholds, and fails with its first iteration all the same.
        let (limit, count, percentage) =
            self.evaluate(id, state, Seen::default(), turn, |environment| map_fields(mapping, environment))?;
        self.inspect_map(mapping, limit, count, percentage);
        if mapping.items.is_some() && !data::measure(&items).fits() {
            return Err(too_large(state));
        }
        let limit = match usize::try_from(limit) {
            Ok(1..) => usize::try_from(limit).unwrap_or(usize::MAX).min(limits::MAP_CONCURRENCY_MAX),
            _ => limits::MAP_CONCURRENCY_MAX,
        };
        let items = items_in(&items);
        let previous = self.threads[&id].previous;
        let length = items.len();
        let started = self.event(turn.at, previous, EventType::MapStateStarted, || {
            Some(Details::MapStateStarted { length })
        });
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = started;
        }
        let mut inputs = Vec::with_capacity(length);
        for item in items {
            let input = match &mapping.selector {
                None => item.as_input(),
                Some(template) => {
                    let seen = Seen { item: Some(&item), ..Seen::default() };
                    let input = self.evaluate(id, state, seen, turn, |environment| {
                        template.evaluate(environment, "ItemSelector")
                    })?;
                    if !data::measure(&input).fits() {
                        return Err(too_large(state));
                    }
                    input
                }
            };
            inputs.push((input, item));
        }
        if self.is_tested() {
            if mapping.selector.is_some() {
                let selected: Vec<_> = inputs.into_iter().map(|(input, _)| input).collect();
                self.inspect_selected(&selected);
            }
            return self.end_tested_map(id, state, mapping, length, turn);
        }
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.phase = Phase::Joining;
            thread.join = Some(Join {
                children: vec![None; length],
                results: vec![None; length],
                remaining: length,
                map: Some(MapJoin { inputs, next: 0, limit, previous: started }),
            });
        }
        if length == 0 {
            return self.join(id, state, turn);
        }
        self.admit(id, turn);
        Ok(())
    }

    /// Begins as many iterations as may run at once.
    pub(super) fn admit(&mut self, id: ThreadId, turn: &mut Turn) {
        self.with_state(id, |execution, state| {
            let StateKind::Map(Mapping { processor: Processor::Inline(processor), .. }) = state.kind else {
                return;
            };
            let start = execution.definition.machine(processor).start;
            loop {
                let Some(join) = execution.threads.get_mut(&id).and_then(|thread| thread.join.as_mut())
                else {
                    return;
                };
                let running = join.children.iter().flatten().count();
                let Some(map) = &mut join.map else { return };
                let index = map.next;
                let Some((input, item)) = map.inputs.get(index).cloned().filter(|_| running < map.limit)
                else {
                    return;
                };
                map.next += 1;
                let previous = map.previous;
                let name = Arc::clone(&state.name);
                let event = execution.event(turn.at, previous, EventType::MapIterationStarted, || {
                    Some(Details::MapIteration { name, index })
                });
                let thread = Thread::new(processor, start, input, event);
                let child = execution.spawn(Thread { parent: Some((id, index)), item: Some(item), ..thread });
                if let Some(join) = execution.threads.get_mut(&id).and_then(|thread| thread.join.as_mut()) {
                    join.children[index] = Some(child);
                }
                turn.ready.push_back(child);
            }
        });
    }

    /// A branch or iteration has ended well.
    fn child_done(&mut self, id: ThreadId, output: Arc<Value>, turn: &mut Turn) {
        let Some(child) = self.threads.get(&id) else { return };
        let Some((parent, index)) = child.parent else { return };
        let exited = child.previous;
        self.drop_thread(id);
        self.with_state(parent, |execution, state| {
            let mut previous = exited;
            if matches!(state.kind, StateKind::Map(_)) {
                let name = Arc::clone(&state.name);
                previous = execution.event(turn.at, exited, EventType::MapIterationSucceeded, || {
                    Some(Details::MapIteration { name, index })
                });
            }
            let Some(thread) = execution.threads.get_mut(&parent) else { return };
            thread.previous = previous;
            let Some(join) = &mut thread.join else { return };
            join.children[index] = None;
            join.results[index] = Some(output);
            join.remaining -= 1;
            if let Some(map) = &mut join.map {
                map.previous = exited;
            }
            if join.remaining > 0 {
                return execution.admit(parent, turn);
            }
            if let Err(fault) = execution.join(parent, state, turn) {
                execution.fail(parent, state, fault, turn);
            }
        });
    }

    /// All branches or iterations have ended well.
    fn join(&mut self, id: ThreadId, state: &State, turn: &mut Turn) -> Result<(), Fault> {
        let (event_type, then) = match &state.kind {
            StateKind::Map(mapping) => (EventType::MapStateSucceeded, mapping.then),
            StateKind::Parallel { then, .. } => (EventType::ParallelStateSucceeded, *then),
            _ => return Ok(()),
        };
        let thread = &self.threads[&id];
        let results =
            thread.join.iter().flat_map(|join| &join.results).flatten().map(|result| Value::clone(result));
        let results = Arc::new(Value::Array(results.collect()));
        let previous = thread.previous;
        if !data::measure(&results).fits() {
            return Err(too_large(state));
        }
        self.event(turn.at, previous, event_type, || None);
        self.leave_by_state(id, state, Some(&results), then, turn)
    }

    pub(super) fn leave_by_state(
        &mut self,
        id: ThreadId,
        state: &State,
        result: Option<&Arc<Value>>,
        then: Transition,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let exit = Exit { output: state.output.as_ref(), assign: &state.assign, prefix: String::new(), then };
        self.leave(id, state, &exit, result, turn)
    }

    fn leave(
        &mut self,
        id: ThreadId,
        state: &State,
        exit: &Exit<'_>,
        result: Option<&Arc<Value>>,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let seen = Seen { result, ..Seen::default() };
        match self.left(id, exit, seen, turn) {
            Ok(left) => {
                self.exit(id, state, left, exit.then, turn);
                Ok(())
            }
            Err(Stuck::TooLarge) => Err(too_large(state)),
            Err(Stuck::Evaluation(failure)) => Err(self.evaluation_failed(id, state, failure, turn.at)),
        }
    }

    /// Evaluates `Output` and `Assign` side by side: both see the variables as they were.
    pub(super) fn left(
        &self,
        id: ThreadId,
        exit: &Exit<'_>,
        seen: Seen<'_>,
        turn: &Turn,
    ) -> Result<Left, Stuck> {
        let thread = &self.threads[&id];
        let (output, values) =
            self.with_environment(id, thread, seen, turn, |environment| -> Result<_, Failure> {
                let output = exit
                    .output
                    .map(|template| template.evaluate(environment, &format!("{}Output", exit.prefix)));
                let mut values = Vec::with_capacity(exit.assign.len());
                for (name, template) in exit.assign {
                    let value = template.evaluate(environment, &format!("{}Assign/{name}", exit.prefix))?;
                    values.push((Arc::clone(name), value));
                }
                Ok((output.transpose()?, values))
            })?;
        let unchanged = seen.error_output.or(seen.result).unwrap_or(&thread.input);
        let output = match output {
            None => Arc::clone(unchanged),
            // What came in or back was measured then.
            Some(output) if Arc::ptr_eq(&output, unchanged) || Arc::ptr_eq(&output, &thread.input) => output,
            Some(output) if data::measure(&output).fits() => output,
            Some(_) => return Err(Stuck::TooLarge),
        };
        let mut assigned = Vec::with_capacity(values.len());
        let (mut together, mut total) = (0, self.variables_bytes);
        for (name, value) in values {
            let measure = data::measure(&value);
            if measure.bytes > limits::VARIABLE_BYTES_MAX || !measure.fits() {
                return Err(Stuck::TooLarge);
            }
            together += measure.bytes;
            total += measure.bytes;
            total -= thread.variables.get(&name).map_or(0, |variable| variable.bytes);
            assigned.push((name, value, measure.bytes));
        }
        if together > limits::ASSIGN_BYTES_MAX || total > limits::VARIABLES_BYTES_MAX {
            return Err(Stuck::TooLarge);
        }
        Ok(Left { output, assigned })
    }

    /// Leaves the state and goes where `then` says.
    pub(super) fn exit(
        &mut self,
        id: ThreadId,
        state: &State,
        left: Left,
        then: Transition,
        turn: &mut Turn,
    ) {
        let Left { output, assigned } = left;
        let event_type = match state.kind {
            StateKind::Task(_) => EventType::TaskStateExited,
            StateKind::Pass(_) => EventType::PassStateExited,
            StateKind::Choice { .. } => EventType::ChoiceStateExited,
            StateKind::Wait { .. } => EventType::WaitStateExited,
            StateKind::Succeed | StateKind::Fail(_) => EventType::SucceedStateExited,
            StateKind::Parallel { .. } => EventType::ParallelStateExited,
            StateKind::Map(_) => EventType::MapStateExited,
        };
        let previous = self.threads[&id].previous;
        let event = self.event(turn.at, previous, event_type, || {
            Some(Details::StateExited {
                name: Arc::clone(&state.name),
                output: Arc::clone(&output),
                assigned_variables: assigned
                    .iter()
                    .map(|(name, value, _)| (Arc::clone(name), Arc::clone(value)))
                    .collect(),
            })
        });
        self.drop_join(id);
        let Some(thread) = self.threads.get_mut(&id) else { return };
        for (name, value, bytes) in assigned {
            self.variables_bytes += bytes;
            if let Some(old) = thread.variables.insert(name, Variable { value, bytes }) {
                self.variables_bytes -= old.bytes;
            }
        }
        thread.previous = event;
        thread.entered = None;
        thread.token = None;
        if self.is_tested() {
            self.inspect_exit(id, then);
            return self.finish(Status::Succeeded { output }, turn);
        }
        let Some(thread) = self.threads.get_mut(&id) else { return };
        match then {
            Transition::Next(next) => {
                thread.state = next;
                thread.input = output;
                thread.phase = Phase::Ready;
                // A thread goes on until it waits, before its siblings do.
                turn.ready.push_front(id);
            }
            Transition::End if thread.parent.is_some() => self.child_done(id, output, turn),
            Transition::End => self.finish(Status::Succeeded { output }, turn),
        }
    }

    /// Forgets a thread and those below it.
    pub(super) fn drop_thread(&mut self, id: ThreadId) {
        self.drop_join(id);
        if let Some(thread) = self.threads.remove(&id) {
            self.variables_bytes -= thread.variables.values().map(|variable| variable.bytes).sum::<usize>();
        }
    }

    /// Forgets the branches, iterations or Map Run of a thread's state.
    pub(super) fn drop_join(&mut self, id: ThreadId) {
        let Some(thread) = self.threads.get_mut(&id) else { return };
        thread.map_run = None;
        let Some(join) = thread.join.take() else { return };
        for child in join.children.into_iter().flatten() {
            self.drop_thread(child);
        }
    }
}

/// What a Map state without an `ItemReader` iterates over; see [`Execution::expect_items`].
pub(super) fn items_of(
    mapping: &Mapping,
    input: &Arc<Value>,
    environment: &Environment<'_>,
) -> Result<Arc<Value>, Failure> {
    match &mapping.items {
        Some(template) => template.evaluate(environment, "Items"),
        None => Ok(Arc::clone(input)),
    }
}

/// A state's data is over the limit. AWS's cause, without the prefix that other causes have.
pub(super) fn too_large(state: &State) -> Fault {
    let cause = format!(
        "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service limit.",
        state.name
    );
    Fault::new("States.DataLimitExceeded", cause)
}

fn not_a_time(text: &str) -> Failure {
    let message = format!(
        "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {text}"
    );
    Failure { location: Some("Timestamp".to_owned()), message }
}

/// `MaxConcurrency`; 0 where there is none.
pub(super) fn concurrency_of(mapping: &Mapping, environment: &Environment<'_>) -> Result<u64, Failure> {
    let Some(template) = &mapping.max_concurrency else { return Ok(0) };
    let value = template.evaluate(environment, "MaxConcurrency")?;
    whole_seconds(&value).ok_or_else(|| template.unexpected("MaxConcurrency", "non-negative integer", &value))
}

/// The items of an array or object.
pub(super) fn items_in(items: &Value) -> Vec<Item> {
    match items {
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| item(index, None, value)).collect()
        }
        Value::Object(members) => members
            .iter()
            .enumerate()
            .map(|(index, (key, value))| item(index, Some(key.clone()), value))
            .collect(),
        _ => Vec::new(),
    }
}

fn item(index: usize, key: Option<String>, value: &Value) -> Item {
    Item { index, key, value: Arc::new(value.clone()) }
}

/// A field that is a number of seconds.
fn seconds(
    field: Option<&Seconds>,
    environment: &Environment<'_>,
    name: &str,
    least: u64,
) -> Result<Option<u64>, Failure> {
    let Some(Seconds(template)) = field else { return Ok(None) };
    let value = template.evaluate(environment, name)?;
    match whole_seconds(&value) {
        Some(seconds) if (least..=limits::SECONDS_MAX).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(template.unexpected(
            name,
            &format!("integer between {least} and {}", limits::SECONDS_MAX),
            &value,
        )),
    }
}

/// At most so many characters.
pub(super) fn shortened(mut text: String, chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
    text
}

//! One execution: its journal in, its effects out.
//!
//! Follows "Standard and Express workflow types", "Handling errors in Step Functions workflows", "Restarting state machine executions with
//! redrive" and the API reference of `DescribeExecution` and `RedriveExecution`.
//!
//! An execution is a tree of [`Thread`]s: the root runs the machine, and a Parallel or Map state has one for each branch or
//! iteration. An input makes one or more threads ready; they are run in order until each waits for something outside. A failed
//! execution keeps its tree, since a redrive goes on from there.

mod advance;
mod fail;
mod map_run;
mod probe;
mod redrive;
mod thread;
mod view;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

pub use self::map_run::{Batching, ItemSource, MapFault, MapRun, ResultWriter};
pub use self::probe::{Inspection, StateTest, TestMock, TestOutcome, TestSetup};
use self::thread::{Phase, Thread, ThreadId};
use crate::definition::{Definition, MachineType};
use crate::history::{Details, EventType, HistoryEvent};
use crate::input::{Input, InputKind, Start, TaskId, TimerId};
use crate::limits;
use crate::random::Random;
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
    /// Start a Map Run, or go on with it if it was started before: [`MapRun::redrive_count`] tells a redrive. Report
    /// [`InputKind::MapRunSucceeded`] or [`InputKind::MapRunFailed`].
    StartMapRun(Arc<MapRun>),
    /// The result of a Map Run is not wanted any more: no more children are to be started, and the run is ABORTED.
    StopMapRun {
        /// From [`Effect::StartMapRun`].
        task: TaskId,
        /// Its ARN.
        arn: Arc<str>,
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
    /// That timer. It may fire later than it was set to, when the task had to wait before it began.
    pub timeout_timer: Option<TimerId>,
    /// For the worker's information; the engine keeps the time of a task that has a token.
    pub heartbeat_seconds: Option<u64>,
    /// Of a task whose result comes from outside: an activity's, or one with `.waitForTaskToken`. The call's own result is
    /// to be reported as [`InputKind::TaskSubmitted`] then.
    pub token: Option<Arc<str>>,
    /// Whether nothing is to be called: a worker asks for the task of an activity. Report
    /// [`InputKind::ActivityScheduled`] or [`InputKind::ActivityMissing`].
    pub is_activity: bool,
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
    /// `TimeoutSeconds` of the machine passed, or the longest time that its type may take.
    TimedOut {
        /// Always `None`: AWS names `States.Timeout` in the history only.
        error: Option<String>,
        /// Always `None`.
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
    /// It was redriven [`limits::REDRIVES_MAX`] times.
    #[error("Execution redrive limit exceeded")]
    RedriveLimit,
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

/// What an execution was started with, but for its [`Execution::input`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Start`")]
pub struct StartedWith {
    pub execution_arn: String,
    pub execution_name: String,
    pub role_arn: String,
    pub state_machine_arn: String,
    pub state_machine_name: String,
    pub keep_history: bool,
}

/// One execution of a state machine.
#[derive(Debug)]
pub struct Execution {
    definition: Arc<Definition>,
    started_with: StartedWith,
    input: Arc<Value>,
    /// Of the machine's ARN, for `TaskScheduled`.
    region: Arc<str>,
    status: Status,
    start_date: Timestamp,
    stop_date: Option<Timestamp>,
    redrive_count: u32,
    redrive_date: Option<Timestamp>,
    history: Vec<HistoryEvent>,
    /// The id of the last event, kept or not.
    last_event: u64,
    /// An event had no place in the history any more.
    history_full: bool,
    threads: BTreeMap<ThreadId, Thread>,
    tasks: BTreeMap<TaskId, ThreadId>,
    timers: BTreeMap<TimerId, Timer>,
    /// Numbers threads, tasks and timers.
    last_id: u64,
    /// What all variables together hold, in bytes of JSON.
    variables_bytes: usize,
    /// Of an execution that tests one state.
    probe: Option<Box<probe::Probe>>,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
struct Timer {
    at: Timestamp,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// `TimeoutSeconds` of the machine.
    Execution,
    /// `TimeoutSeconds` of a Task.
    Task(ThreadId),
    /// `HeartbeatSeconds` of a Task.
    Heartbeat(ThreadId),
    Retry(ThreadId),
    Wait(ThreadId),
}

/// The work of one input.
struct Turn {
    at: Timestamp,
    random: Rc<Random>,
    effects: Vec<Effect>,
    /// Threads to be run, in order.
    ready: std::collections::VecDeque<ThreadId>,
    transitions: u32,
}

impl Turn {
    fn new(at: Timestamp, seed: u64) -> Self {
        Turn {
            at,
            random: Rc::new(Random::new(seed)),
            effects: Vec::new(),
            ready: std::collections::VecDeque::new(),
            transitions: 0,
        }
    }

    /// The effects, without those that the same turn took back.
    fn into_effects(mut self) -> Vec<Effect> {
        let cancelled = |effect: &Effect| match effect {
            Effect::CancelTask { task } => Some((true, task.0)),
            Effect::CancelTimer { timer } => Some((false, timer.0)),
            // Not taken back: that a Map Run was started and stopped is to be known of it.
            Effect::StartMapRun(_)
            | Effect::StopMapRun { .. }
            | Effect::ScheduleTask(_)
            | Effect::SetTimer { .. }
            | Effect::Finished => None,
        };
        let issued = |effect: &Effect| match effect {
            Effect::ScheduleTask(task) => Some((true, task.task.0)),
            Effect::SetTimer { timer, .. } => Some((false, timer.0)),
            Effect::StartMapRun(_)
            | Effect::StopMapRun { .. }
            | Effect::CancelTask { .. }
            | Effect::CancelTimer { .. }
            | Effect::Finished => None,
        };
        let taken_back: Vec<_> = {
            let issued: Vec<_> = self.effects.iter().filter_map(issued).collect();
            self.effects.iter().filter_map(cancelled).filter(|id| issued.contains(id)).collect()
        };
        if !taken_back.is_empty() {
            self.effects.retain(|effect| {
                issued(effect).or_else(|| cancelled(effect)).is_none_or(|id| !taken_back.contains(&id))
            });
        }
        self.effects
    }
}

fn is_task(phase: &Phase) -> bool {
    matches!(phase, Phase::Task(_))
}

fn is_map_run(phase: &Phase) -> bool {
    matches!(phase, Phase::Mapping(_))
}

impl Execution {
    /// Begins an execution: `input` must be an [`InputKind::Start`].
    ///
    /// # Errors
    /// [`ApplyError::NotStarted`] if it is not.
    pub fn start(definition: Arc<Definition>, input: Input) -> Result<(Execution, Vec<Effect>), ApplyError> {
        Self::begin_with(definition, input, None)
    }

    fn begin_with(
        definition: Arc<Definition>,
        input: Input,
        probe: Option<Box<probe::Probe>>,
    ) -> Result<(Execution, Vec<Effect>), ApplyError> {
        let Input { at, seed, kind: InputKind::Start(start) } = input else {
            return Err(ApplyError::NotStarted);
        };
        let Start {
            execution_arn,
            execution_name,
            role_arn,
            state_machine_arn,
            state_machine_name,
            input,
            keep_history,
        } = start;
        let region =
            state_machine_arn.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or("us-east-1");
        let mut execution = Execution {
            definition,
            region: region.into(),
            started_with: StartedWith {
                execution_arn,
                execution_name,
                role_arn,
                state_machine_arn,
                state_machine_name,
                keep_history,
            },
            input: Arc::new(input),
            status: Status::Running,
            start_date: at,
            stop_date: None,
            redrive_count: 0,
            redrive_date: None,
            history: Vec::new(),
            last_event: 0,
            history_full: false,
            threads: BTreeMap::new(),
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            last_id: 0,
            variables_bytes: 0,
            probe,
        };
        let mut turn = Turn::new(at, seed);
        execution.begin(&mut turn);
        execution.run(&mut turn);
        Ok((execution, turn.into_effects()))
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

    /// Takes the next input. The effects are those of this input only. A late report (a result of a task that timed out, a
    /// timer that was cancelled, a stop of an execution that has ended) changes nothing and has no effects.
    ///
    /// # Errors
    /// When the input makes no sense; it then has changed nothing and must not be kept in the journal.
    pub fn apply(&mut self, input: Input) -> Result<Vec<Effect>, ApplyError> {
        let Input { at, seed, kind } = input;
        let mut turn = Turn::new(at, seed);
        match kind {
            InputKind::Start(_) => return Err(ApplyError::AlreadyStarted),
            InputKind::TaskStarted { task } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.task_started(thread, at);
                }
            }
            InputKind::TaskSubmitted { task, output } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.task_submitted(thread, Arc::new(output), at);
                }
            }
            InputKind::ActivityScheduled { task } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.activity_scheduled(thread, at);
                }
            }
            InputKind::ActivityMissing { task } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.activity_missing(thread, &mut turn);
                }
            }
            InputKind::ActivityStarted { task, worker } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.activity_started(thread, worker, &mut turn);
                }
            }
            InputKind::TaskHeartbeat { task } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.beat(thread, &mut turn);
                }
            }
            InputKind::TaskSucceeded { task, output } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.task_succeeded(thread, &Arc::new(output), &mut turn);
                }
            }
            InputKind::TaskFailed { task, error, cause } => {
                if let Some(thread) = self.thread_of(task, is_task)? {
                    self.task_failed(thread, error, cause, &mut turn);
                }
            }
            InputKind::MapRunSucceeded { task, output } => {
                if let Some(thread) = self.thread_of(task, is_map_run)? {
                    self.map_run_succeeded(thread, Arc::new(output), &mut turn);
                }
            }
            InputKind::MapRunFailed { task, error, cause } => {
                if let Some(thread) = self.thread_of(task, is_map_run)? {
                    self.map_run_failed(thread, error, cause, &mut turn);
                }
            }
            InputKind::TimerFired { timer } => self.timer_fired(timer, &mut turn)?,
            InputKind::Stop { error, cause } => {
                if self.status == Status::Running {
                    self.finish(Status::Aborted { error, cause }, &mut turn);
                }
            }
            InputKind::Redrive => {
                self.redrivable(at).map_err(ApplyError::NotRedrivable)?;
                self.redrive(&mut turn);
            }
        }
        self.run(&mut turn);
        Ok(turn.into_effects())
    }

    /// The effects that are under way: what must be issued again after a replay, in the order they were issued.
    #[must_use]
    pub fn pending(&self) -> Vec<Effect> {
        let tasks = self.tasks.iter().filter_map(|(task, thread)| {
            let thread = self.threads.get(thread)?;
            match &thread.phase {
                // The call of a task that waits for its token is not made twice, nor is an activity asked twice.
                Phase::Task(running) if running.submitted => None,
                Phase::Task(running) => Some((task.0, Effect::ScheduleTask(running.scheduled.clone()))),
                Phase::Mapping(_) => {
                    Some((task.0, Effect::StartMapRun(Arc::clone(&thread.map_run.as_ref()?.run))))
                }
                _ => None,
            }
        });
        let timers =
            self.timers.iter().map(|(&timer, set)| (timer.0, Effect::SetTimer { timer, at: set.at }));
        let mut pending: Vec<_> = tasks.chain(timers).collect();
        pending.sort_by_key(|(id, _)| *id);
        pending.into_iter().map(|(_, effect)| effect).collect()
    }

    /// The task that waits for this token, if one does.
    #[must_use]
    pub fn task_of_token(&self, token: &str) -> Option<TaskId> {
        self.threads.values().find_map(|thread| match &thread.phase {
            Phase::Task(running) if running.scheduled.token.as_deref() == Some(token) => {
                Some(running.scheduled.task)
            }
            _ => None,
        })
    }

    /// Where the execution stands.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What it was started with.
    #[must_use]
    pub fn started_with(&self) -> &StartedWith {
        &self.started_with
    }

    /// The execution's input.
    #[must_use]
    pub fn input(&self) -> &Arc<Value> {
        &self.input
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
        self.stop_date
    }

    /// How often it was redriven.
    #[must_use]
    pub fn redrive_count(&self) -> u32 {
        self.redrive_count
    }

    /// When it was redriven last.
    #[must_use]
    pub fn redrive_date(&self) -> Option<Timestamp> {
        self.redrive_date
    }

    /// Whether `RedriveExecution` would be accepted at `now`.
    ///
    /// # Errors
    /// Why it would not.
    pub fn redrivable(&self, now: Timestamp) -> Result<(), NotRedrivable> {
        let since = |then: Timestamp| now.as_millis().saturating_sub(then.as_millis());
        match &self.status {
            Status::Running => return Err(NotRedrivable::Running),
            Status::Succeeded { .. } => return Err(NotRedrivable::Succeeded),
            Status::Failed { .. } | Status::TimedOut { .. } | Status::Aborted { .. } => {}
        }
        if self.definition.machine_type() == MachineType::Express {
            return Err(NotRedrivable::Express);
        }
        if self.last_event >= limits::REDRIVE_HISTORY_EVENTS_MAX {
            return Err(NotRedrivable::HistoryLimit);
        }
        if self.stop_date.is_some_and(|stopped| since(stopped) > limits::REDRIVE_PERIOD_MS) {
            return Err(NotRedrivable::PeriodExceeded);
        }
        if since(self.start_date) >= limits::STANDARD_DURATION_MS {
            return Err(NotRedrivable::DurationExceeded);
        }
        if self.redrive_count >= limits::REDRIVES_MAX {
            return Err(NotRedrivable::RedriveLimit);
        }
        Ok(())
    }

    /// The history so far; empty when [`Start::keep_history`] is false.
    #[must_use]
    pub fn history(&self) -> &[HistoryEvent] {
        &self.history
    }

    /// Has the history show the input as the caller wrote it, white space and all: `executionStartedEventDetails.input` of AWS.
    pub fn show_input_as(&mut self, text: &str) {
        if let Some(event) = self.history.first_mut()
            && let Some(Details::ExecutionStarted { input_text, .. }) = &mut event.details
        {
            *input_text = Some(text.to_owned());
        }
    }

    /// How many events the history has, kept or not.
    #[must_use]
    pub fn history_length(&self) -> u64 {
        self.last_event
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds to the history unless it is full, which ends a Standard execution at the end of the turn's step.
    fn event(
        &mut self,
        at: Timestamp,
        previous: u64,
        event_type: EventType,
        details: impl FnOnce() -> Option<Details>,
    ) -> u64 {
        let standard = self.definition.machine_type() == MachineType::Standard;
        if standard && self.last_event + 1 >= limits::HISTORY_EVENTS_MAX {
            self.history_full = true;
            return self.last_event;
        }
        self.record(at, previous, event_type, details)
    }

    fn record(
        &mut self,
        at: Timestamp,
        previous: u64,
        event_type: EventType,
        details: impl FnOnce() -> Option<Details>,
    ) -> u64 {
        self.last_event += 1;
        if self.started_with.keep_history {
            self.history.push(HistoryEvent {
                id: self.last_event,
                previous_event_id: previous,
                timestamp: at,
                event_type,
                details: details(),
            });
        }
        self.last_event
    }

    fn set_timer(&mut self, at: Timestamp, purpose: Purpose, turn: &mut Turn) -> TimerId {
        let timer = TimerId(self.next_id());
        self.timers.insert(timer, Timer { at, purpose });
        turn.effects.push(Effect::SetTimer { timer, at });
        timer
    }

    fn cancel_timer(&mut self, timer: TimerId, turn: &mut Turn) {
        if self.timers.remove(&timer).is_some() {
            turn.effects.push(Effect::CancelTimer { timer });
        }
    }

    /// The thread that waits for the task; `None` when nothing waits for it any more, or for something else of this id.
    fn thread_of(&self, task: TaskId, waits: fn(&Phase) -> bool) -> Result<Option<ThreadId>, ApplyError> {
        if task.0 == 0 || task.0 > self.last_id {
            return Err(ApplyError::UnknownTask(task));
        }
        let thread = self.tasks.get(&task).copied();
        Ok(thread.filter(|id| self.threads.get(id).is_some_and(|thread| waits(&thread.phase))))
    }

    /// `TimeoutSeconds`, within what the type of machine may take.
    fn duration_ms(&self) -> i64 {
        let most = match self.definition.machine_type() {
            MachineType::Standard => limits::STANDARD_DURATION_MS,
            MachineType::Express => limits::EXPRESS_DURATION_MS,
        };
        let own = self.definition.timeout_seconds().and_then(|seconds| i64::try_from(seconds).ok());
        own.map_or(most, |seconds| seconds.saturating_mul(1000).min(most))
    }

    /// Ends the execution. Threads that were under way are aborted where they stand.
    fn finish(&mut self, status: Status, turn: &mut Turn) {
        let status = if self.history_full {
            Status::Failed {
                error: Some("States.Runtime".to_owned()),
                cause: Some(format!(
                    "The execution reached the maximum number of history events ({}).",
                    limits::HISTORY_EVENTS_MAX
                )),
            }
        } else {
            status
        };
        turn.ready.clear();
        for id in self.threads.keys().copied().collect::<Vec<_>>() {
            self.abort(id, turn);
        }
        for timer in self.timers.keys().copied().collect::<Vec<_>>() {
            self.cancel_timer(timer, turn);
        }
        let last = self.last_event;
        let (previous, event_type) = match &status {
            Status::Running | Status::Succeeded { .. } => (last, EventType::ExecutionSucceeded),
            Status::Failed { .. } => (last, EventType::ExecutionFailed),
            Status::TimedOut { .. } => (0, EventType::ExecutionTimedOut),
            Status::Aborted { .. } => (0, EventType::ExecutionAborted),
        };
        let details = status.clone();
        self.record(turn.at, previous, event_type, || match details {
            Status::Running => None,
            Status::Succeeded { output } => Some(Details::ExecutionSucceeded { output }),
            Status::Failed { error, cause } => Some(Details::ExecutionFailed { error, cause }),
            Status::TimedOut { .. } => {
                Some(Details::ExecutionTimedOut { error: Some("States.Timeout".to_owned()), cause: None })
            }
            Status::Aborted { error, cause } => Some(Details::ExecutionAborted { error, cause }),
        });
        if matches!(status, Status::Succeeded { .. }) {
            self.threads.clear();
            self.variables_bytes = 0;
        }
        self.status = status;
        self.stop_date = Some(turn.at);
        turn.effects.push(Effect::Finished);
    }
}

#[cfg(test)]
mod tests;

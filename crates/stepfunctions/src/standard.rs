//! Standard executions.
//!
//! Invariants:
//! - Every input of an execution is committed before its effects are carried out, so a replay knows all that has happened.
//!   A task that was under way at a crash is run again.
//! - One task (in tokio's sense) drives an execution; whatever else wants something of it sends a [`Command`]. Being driven
//!   and being in [`Standard::active`] are the same.
//! - At most [`Options::standard_concurrency`] executions carry out effects at once. All others wait in the journal, where
//!   `wake_at` says when they have something to do: a start, a redrive, a crash and a due timer are all the same there.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_asl::{Effect, Execution, Input, InputKind, Status, Timestamp};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::activities::{ActivityChange, Report};
use crate::engine::{Inner, Options, Payload, Started, number, stamp};
use crate::error::{Error, Result};
use crate::journal::JournalError;
use crate::limits::{
    CLIENT_TOKEN_MS, CLIENT_TOKENS_MAX, REDRIVE_HISTORY_EVENTS_MAX, REDRIVE_PERIOD_MS, RETENTION_MS,
};
use crate::machine::{StateMachine, Version};
use crate::map_run::rows::MapChange;
use crate::versions::Origin;
use crate::worker::Worker;

/// Bits of a journal key that hold the sequence number.
const SEQUENCE_BITS: u32 = 20;

/// What `DescribeExecution` and `ListExecutions` call the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecutionStatus {
    /// Not ended.
    Running,
    /// Ended with an output.
    Succeeded,
    /// Ended with an error that nothing caught.
    Failed,
    /// A timeout that nothing caught.
    TimedOut,
    /// Stopped from outside.
    Aborted,
}

impl ExecutionStatus {
    /// AWS's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExecutionStatus::Running => "RUNNING",
            ExecutionStatus::Succeeded => "SUCCEEDED",
            ExecutionStatus::Failed => "FAILED",
            ExecutionStatus::TimedOut => "TIMED_OUT",
            ExecutionStatus::Aborted => "ABORTED",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        use ExecutionStatus::{Aborted, Failed, Running, Succeeded, TimedOut};
        [Running, Succeeded, Failed, TimedOut, Aborted].into_iter().find(|status| status.name() == name)
    }
}

/// What `ListExecutions` says of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its ARN.
    pub execution_arn: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended, unless it runs.
    pub stopped_at: Option<Timestamp>,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// When it was redriven last.
    pub redriven_at: Option<Timestamp>,
    /// The version or alias that it was started with.
    pub origin: Origin,
}

/// What `DescribeExecution` says of an execution.
#[derive(Clone, Debug)]
pub struct Description {
    /// What `ListExecutions` says.
    pub summary: Summary,
    /// The machine it runs.
    pub state_machine_arn: String,
    /// JSON, as it was given.
    pub input: String,
    /// JSON; only of a success.
    pub output: Option<String>,
    /// The error name of a failure.
    pub error: Option<String>,
    /// What is known beyond the name.
    pub cause: Option<String>,
    /// As given at the start.
    pub trace_header: Option<String>,
    /// Why it cannot be redriven; `None` if it can.
    pub not_redrivable: Option<String>,
    /// The version of the definition that it runs.
    pub version: Arc<Version>,
}

/// Which executions to list.
#[derive(Clone, Debug)]
pub struct ExecutionFilter {
    /// Only these.
    pub status: Option<ExecutionStatus>,
    /// Only those that were redriven (`true`) or never were (`false`).
    pub redriven: Option<bool>,
    /// At most so many.
    pub limit: u32,
    /// Those after this place: [`ExecutionPage::next`] of the page before.
    pub after: Option<Place>,
}

impl Default for ExecutionFilter {
    fn default() -> Self {
        ExecutionFilter {
            status: None,
            redriven: None,
            limit: crate::limits::PAGE_ITEMS_DEFAULT,
            after: None,
        }
    }
}

/// A place in the list of executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub(crate) i64, pub(crate) i64);

/// One page of executions, the latest first.
#[derive(Clone, Debug)]
pub struct ExecutionPage {
    /// The executions.
    pub executions: Vec<Summary>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Place>,
}

/// What is asked of an execution from outside.
enum Command {
    Stop { error: Option<String>, cause: Option<String>, reply: oneshot::Sender<Result<Timestamp>> },
    Redrive { token: Option<String>, reply: oneshot::Sender<Result<Timestamp>> },
    Report { token: String, report: Report, reply: oneshot::Sender<Result<Timestamp>> },
}

impl Command {
    fn refuse(self, why: Error) {
        let (Command::Stop { reply, .. } | Command::Redrive { reply, .. } | Command::Report { reply, .. }) =
            self;
        // Whoever asked may have gone.
        let _ = reply.send(Err(why));
    }
}

pub(crate) struct Standard {
    active: Mutex<BTreeMap<i64, mpsc::UnboundedSender<Command>>>,
    permits: Arc<Semaphore>,
    /// Something may have become due.
    due: Notify,
    /// More was due than there were permits for.
    starved: AtomicBool,
    resumed: AtomicBool,
}

impl Standard {
    pub(crate) fn new(options: &Options) -> Self {
        Standard {
            active: Mutex::new(BTreeMap::new()),
            permits: Arc::new(Semaphore::new(options.standard_concurrency.max(1))),
            due: Notify::new(),
            starved: AtomicBool::new(false),
            resumed: AtomicBool::new(false),
        }
    }

    /// True the first time.
    pub(crate) fn resume(&self) -> bool {
        !self.resumed.swap(true, Ordering::SeqCst)
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<i64, mpsc::UnboundedSender<Command>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends being driven, unless a command has arrived.
    fn leave(&self, id: i64, mailbox: &mpsc::UnboundedReceiver<Command>) -> bool {
        let mut active = self.active();
        if !mailbox.is_empty() {
            return false;
        }
        active.remove(&id);
        true
    }
}

/// How to find an execution.
pub(crate) enum Key {
    Id(i64),
    Arn(String),
}

/// An execution's row and journal.
pub(crate) struct Loaded {
    seed: u64,
    machine_name: String,
    machine_arn: String,
    machine_status: String,
    events: Option<u64>,
    description: Description,
    inputs: Vec<Input>,
}

impl Loaded {
    /// The execution, and the time of its last input.
    pub(crate) fn replay(self) -> Result<(Execution, Timestamp)> {
        let Loaded { seed, machine_name, machine_arn, description, inputs, .. } = self;
        let Description { summary, input, version, .. } = description;
        let last = inputs.last().map_or(summary.started_at, |input| input.at);
        let start = sluice_asl::Start {
            execution_arn: summary.execution_arn.clone(),
            execution_name: summary.name,
            role_arn: version.role_arn.clone(),
            state_machine_arn: machine_arn,
            state_machine_name: machine_name,
            input: serde_json::from_str(&input).map_err(|error| {
                Error::Internal(format!("the input of {}: {error}", summary.execution_arn))
            })?,
            keep_history: true,
        };
        let first = Input { at: summary.started_at, seed, kind: InputKind::Start(start) };
        let journal = std::iter::once(first).chain(inputs);
        let mut execution = Execution::replay(version.definition()?, journal)
            .map_err(|error| Error::Internal(format!("replaying {}: {error}", summary.execution_arn)))?;
        execution.show_input_as(&input);
        Ok((execution, last))
    }
}

const SUMMARY: &str = "e.arn, e.name, e.status, e.started_at, e.stopped_at, e.redrive_count, e.redriven_at,
    e.version, e.alias";

fn read_summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let status: String = row.get(2)?;
    Ok(Summary {
        execution_arn: row.get(0)?,
        name: row.get(1)?,
        status: ExecutionStatus::from_name(&status).unwrap_or(ExecutionStatus::Running),
        started_at: stamp(row.get(3)?),
        stopped_at: row.get::<_, Option<i64>>(4)?.map(stamp),
        redrive_count: row.get(5)?,
        redriven_at: row.get::<_, Option<i64>>(6)?.map(stamp),
        origin: Origin { version: row.get(7)?, alias: row.get(8)? },
    })
}

/// Erases an execution and its journal.
pub(crate) fn erase(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    crate::map_run::rows::erase(connection, id)?;
    crate::activities::erase(connection, id)?;
    let first = id << SEQUENCE_BITS;
    let last = first | ((1 << SEQUENCE_BITS) - 1);
    connection.prepare_cached("DELETE FROM inputs WHERE key BETWEEN ?1 AND ?2")?.execute([first, last])?;
    connection.prepare_cached("DELETE FROM redrives WHERE execution_id = ?1")?.execute([id])?;
    connection.prepare_cached("DELETE FROM executions WHERE id = ?1")?.execute([id])?;
    Ok(())
}

enum Insertion {
    Inserted,
    Same(Timestamp),
    Taken,
    Deleting,
}

/// A start to be journaled.
struct NewExecution {
    machine_id: i64,
    definition_id: i64,
    arn: String,
    name: String,
    input: String,
    seed: u64,
    trace_header: Option<String>,
    origin: Origin,
    at: Timestamp,
}

impl NewExecution {
    fn insert(&self, c: &Connection) -> rusqlite::Result<Insertion> {
        let active = "SELECT EXISTS (SELECT 1 FROM machines WHERE id = ?1 AND status = 'ACTIVE')";
        if !c.prepare_cached(active)?.query_row([self.machine_id], |row| row.get(0))? {
            return Ok(Insertion::Deleting);
        }
        let same_name = c
            .prepare_cached(
                "SELECT id, input, started_at, stopped_at, status FROM executions WHERE arn = ?1",
            )?
            .query_row([&self.arn], |row| {
                let status: String = row.get(4)?;
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    stamp(row.get(2)?),
                    row.get::<_, Option<i64>>(3)?,
                    status == ExecutionStatus::Running.name(),
                ))
            })
            .optional()?;
        if let Some((id, input, started_at, stopped_at, running)) = same_name {
            if running {
                let same = input == self.input || same_json(&input, &self.input);
                return Ok(if same { Insertion::Same(started_at) } else { Insertion::Taken });
            }
            if stopped_at.is_none_or(|stopped_at| stopped_at > number(self.at) - RETENTION_MS) {
                return Ok(Insertion::Taken);
            }
            erase(c, id)?;
        }
        c.prepare_cached(
            "INSERT INTO executions(machine_id, definition_id, arn, name, status, input, seed, trace_header,
                                    started_at, sort_at, wake_at, version, alias)
             VALUES (?1, ?2, ?3, ?4, 'RUNNING', ?5, ?6, ?7, ?8, ?8, ?8, ?9, ?10)",
        )?
        .execute(params![
            self.machine_id,
            self.definition_id,
            self.arn,
            self.name,
            self.input,
            self.seed.cast_signed(),
            self.trace_header,
            number(self.at),
            self.origin.version,
            self.origin.alias,
        ])?;
        Ok(Insertion::Inserted)
    }
}

fn same_json(a: &str, b: &str) -> bool {
    let parse = serde_json::from_str::<serde_json::Value>;
    matches!((parse(a), parse(b)), (Ok(a), Ok(b)) if a == b)
}

/// What one step of an execution writes.
struct Step {
    id: i64,
    /// Key, time, seed and JSON of each input.
    inputs: Vec<(i64, i64, i64, String)>,
    row: Option<RowChange>,
    /// An execution that was asleep is awake: a crash must not wait for the old timer.
    wake_at: Option<i64>,
    token: Option<(String, i64)>,
    /// Map Runs that are started, redriven or stopped, and when.
    maps: (Vec<MapChange>, i64),
    /// Tasks that begin or cease to wait for a worker.
    activities: Vec<ActivityChange>,
}

struct RowChange {
    status: &'static str,
    stopped_at: Option<i64>,
    redriven_at: Option<i64>,
    redrive_count: u32,
    output: Option<String>,
    error: Option<String>,
    cause: Option<String>,
    events: usize,
    sort_at: i64,
    wake_at: Option<i64>,
}

impl RowChange {
    fn of(execution: &Execution, at: Timestamp) -> Self {
        let (output, error, cause) = match execution.status() {
            Status::Running => (None, None, None),
            Status::Succeeded { output } => (Some(output.to_string()), None, None),
            Status::Failed { error, cause }
            | Status::TimedOut { error, cause }
            | Status::Aborted { error, cause } => (None, error.clone(), cause.clone()),
        };
        let running = matches!(execution.status(), Status::Running);
        let stopped_at = execution.stop_date().unwrap_or(at);
        RowChange {
            status: execution.status().name(),
            stopped_at: (!running).then(|| number(stopped_at)),
            redriven_at: execution.redrive_date().map(number),
            redrive_count: execution.redrive_count(),
            output,
            error,
            cause,
            events: execution.history().len(),
            sort_at: if running { number(at) } else { number(stopped_at) },
            wake_at: running.then(|| number(at)),
        }
    }
}

impl Step {
    fn write(&self, c: &Connection) -> rusqlite::Result<()> {
        let mut insert = c.prepare_cached("INSERT INTO inputs VALUES (?1, ?2, ?3, ?4)")?;
        for (key, at, seed, kind) in &self.inputs {
            insert.execute(params![key, at, seed, kind])?;
        }
        if let Some(row) = &self.row {
            c.prepare_cached(
                "UPDATE executions SET status = ?2, stopped_at = ?3, redriven_at = ?4, redrive_count = ?5, output = ?6,
                     error = ?7, cause = ?8, events = ?9, sort_at = ?10, wake_at = ?11 WHERE id = ?1",
            )?
            .execute(params![
                self.id,
                row.status,
                row.stopped_at,
                row.redriven_at,
                row.redrive_count,
                row.output,
                row.error,
                row.cause,
                row.events,
                row.sort_at,
                row.wake_at,
            ])?;
        } else if let Some(wake_at) = self.wake_at {
            c.prepare_cached("UPDATE executions SET wake_at = ?2 WHERE id = ?1")?
                .execute([self.id, wake_at])?;
        }
        for change in &self.maps.0 {
            change.write(c, self.id, self.maps.1)?;
        }
        for change in &self.activities {
            change.write(c, self.id)?;
        }
        if let Some((token, at)) = &self.token {
            c.prepare_cached("INSERT OR REPLACE INTO redrives VALUES (?1, ?2, ?3)")?
                .execute(params![self.id, token, at])?;
            c.prepare_cached(
                "DELETE FROM redrives WHERE execution_id = ?1 AND token NOT IN
                     (SELECT token FROM redrives WHERE execution_id = ?1 ORDER BY at DESC LIMIT ?2)",
            )?
            .execute(params![self.id, CLIENT_TOKENS_MAX])?;
        }
        Ok(())
    }
}

/// Drives one execution.
struct Drive {
    inner: Arc<Inner>,
    id: i64,
    execution: Execution,
    worker: Worker,
    /// The worker carries out what the execution has under way.
    working: bool,
    next_key: i64,
    last: Timestamp,
    /// The journal says that nothing is to be done before a timer.
    asleep: bool,
    machine_deleting: bool,
}

impl Drive {
    fn is_closed(&self) -> bool {
        !matches!(self.execution.status(), Status::Running)
    }

    /// Applies an input and notes it for the journal.
    fn apply(&mut self, kind: InputKind, inputs: &mut Vec<(i64, i64, i64, String)>) -> Result<Vec<Effect>> {
        let text = serde_json::to_string(&kind).map_err(|error| Error::Internal(error.to_string()))?;
        // Far beyond what the limit on history events lets happen; the next key would be another execution's.
        if self.next_key >> SEQUENCE_BITS != self.id {
            return Err(Error::Internal("the journal of the execution is full".to_owned()));
        }
        self.last = self.last.max(self.inner.now());
        let seed = self.inner.seed();
        let effects = match self.execution.apply(Input { at: self.last, seed, kind }) {
            Ok(effects) => effects,
            Err(sluice_asl::ApplyError::NotRedrivable(why)) => return Err(why.into()),
            Err(error) => return Err(Error::Internal(error.to_string())),
        };
        inputs.push((self.next_key, number(self.last), seed.cast_signed(), text));
        self.next_key += 1;
        Ok(effects)
    }

    /// Takes the next input: applies it, journals it, and carries out its effects.
    async fn step(&mut self, kind: InputKind, token: Option<String>) -> Result<()> {
        let redrive = matches!(kind, InputKind::Redrive);
        let taken = match kind {
            InputKind::ActivityStarted { task, .. } => Some(ActivityChange::Gone(task)),
            _ => None,
        };
        let mut inputs = Vec::with_capacity(2);
        let mut effects = self.apply(kind, &mut inputs)?;
        let mut activities = ActivityChange::of(&effects);
        activities.extend(taken);
        let begun = self.begin_tasks(&effects, &mut activities, &mut inputs).await?;
        effects.extend(begun);
        if redrive {
            self.inner.begun(1);
        }
        let at = number(self.last);
        let step = Arc::new(Step {
            id: self.id,
            inputs,
            row: (redrive || self.is_closed()).then(|| RowChange::of(&self.execution, self.last)),
            wake_at: self.asleep.then_some(at),
            token: token.map(|token| (token, at)),
            maps: (MapChange::of(&effects), at),
            activities,
        });
        let tasks = step.activities.iter().any(|change| matches!(change, ActivityChange::Waits { .. }));
        self.asleep = false;
        self.commit(step).await?;
        if tasks {
            self.inner.activities.arrived();
        }
        if self.is_closed() {
            self.inner.ended(1);
        }
        if self.working && !self.inner.closing.is_cancelled() {
            self.worker.perform(effects);
        }
        Ok(())
    }

    /// Notes that scheduled tasks begin: a task is handed to its worker as soon as the step is committed, so its
    /// start can share the commit. What that leads to is the end of an execution whose activity does not exist.
    async fn begin_tasks(
        &mut self,
        effects: &[Effect],
        activities: &mut Vec<ActivityChange>,
        inputs: &mut Vec<(i64, i64, i64, String)>,
    ) -> Result<Vec<Effect>> {
        let mut more = Vec::new();
        for effect in effects {
            let Effect::ScheduleTask(scheduled) = effect else { continue };
            let task = scheduled.task;
            if !scheduled.is_activity {
                self.apply(InputKind::TaskStarted { task }, inputs)?;
                continue;
            }
            match self.inner.activity(&scheduled.resource).await {
                Ok(_) => self.apply(InputKind::ActivityScheduled { task }, inputs)?,
                Err(Error::ActivityDoesNotExist(_) | Error::InvalidArn(_)) => {
                    activities.push(ActivityChange::Gone(task));
                    more.extend(self.apply(InputKind::ActivityMissing { task }, inputs)?);
                    continue;
                }
                Err(error) => return Err(error),
            };
        }
        Ok(more)
    }

    /// Commits a step, however long it takes: the execution cannot go on without.
    async fn commit(&mut self, step: Arc<Step>) -> Result<()> {
        let mut pause = Duration::from_millis(100);
        loop {
            let again = Arc::clone(&step);
            match self.inner.journal.write(move |c| again.write(c)).await {
                Ok(()) => return Ok(()),
                Err(error @ JournalError::Closed) => return Err(error.into()),
                Err(error) => {
                    let arn = &self.execution.started_with().execution_arn;
                    tracing::error!(execution = %arn, %error, "failed to journal a step; trying again");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    async fn command(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Stop { error, cause, reply } => {
                if !self.is_closed() {
                    self.step(InputKind::Stop { error, cause }, None).await?;
                }
                let _ = reply.send(Ok(self.execution.stop_date().unwrap_or(self.last)));
            }
            Command::Report { token, report, reply } => {
                let answer = match self.execution.task_of_token(&token) {
                    None => Err(Error::TaskTimedOut),
                    Some(task) => {
                        // It goes on now, whatever the journal says of its next timer.
                        self.asleep = true;
                        self.step(report.into_input(task), None).await?;
                        Ok(self.last)
                    }
                };
                let _ = reply.send(answer);
            }
            Command::Redrive { token, reply } => {
                let answer = self.redrive(token).await;
                if let Err(Error::Journal(JournalError::Closed)) = &answer {
                    return answer.map(|_| ());
                }
                let _ = reply.send(answer);
            }
        }
        Ok(())
    }

    async fn redrive(&mut self, token: Option<String>) -> Result<Timestamp> {
        if let Some(token) = token.clone() {
            let (id, since) = (self.id, number(self.inner.now()) - CLIENT_TOKEN_MS);
            let used: Option<i64> = self
                .inner
                .journal
                .read(move |c| {
                    c.prepare_cached(
                        "SELECT at FROM redrives WHERE execution_id = ?1 AND token = ?2 AND at > ?3",
                    )?
                    .query_row(params![id, token, since], |row| row.get(0))
                    .optional()
                })
                .await?;
            if let Some(at) = used {
                return Ok(stamp(at));
            }
        }
        if self.machine_deleting {
            return Err(Error::ExecutionNotRedrivable("State machine is in DELETING status".to_owned()));
        }
        self.step(InputKind::Redrive, token).await?;
        Ok(self.execution.redrive_date().unwrap_or(self.last))
    }

    /// Whether there is nothing to do for long, and until when.
    fn idle_until(&self) -> Option<Timestamp> {
        let until = self.worker.is_waiting().then(|| self.worker.wakes_at()).flatten()?;
        let ahead = until.as_millis() - self.inner.now().as_millis();
        let long = i64::try_from(self.inner.options.passivate_after.as_millis()).unwrap_or(i64::MAX);
        (ahead > long).then_some(until)
    }

    /// Journals what the start alone has led to: the end of an execution that never waits, or tasks to be handed over.
    async fn record_start(&mut self) -> Result<()> {
        let mut inputs = Vec::new();
        let pending = self.execution.pending();
        let mut activities = ActivityChange::of(&pending);
        self.begin_tasks(&pending, &mut activities, &mut inputs).await?;
        let row = self.is_closed().then(|| RowChange::of(&self.execution, self.last));
        let maps = (MapChange::of(&pending), number(self.last));
        if row.is_none() && inputs.is_empty() && maps.0.is_empty() && activities.is_empty() {
            return Ok(());
        }
        let tasks = !activities.is_empty();
        let step = Step { id: self.id, inputs, row, wake_at: None, token: None, maps, activities };
        self.commit(Arc::new(step)).await?;
        if tasks {
            self.inner.activities.arrived();
        }
        if self.is_closed() {
            self.inner.ended(1);
        }
        Ok(())
    }

    /// Notes in the journal when there is something to do again.
    async fn sleep(&mut self, until: Timestamp) -> Result<()> {
        let step = Step {
            id: self.id,
            inputs: Vec::new(),
            row: None,
            wake_at: Some(number(until)),
            token: None,
            maps: (Vec::new(), 0),
            activities: Vec::new(),
        };
        self.commit(Arc::new(step)).await?;
        self.asleep = true;
        Ok(())
    }
}

impl Inner {
    pub(crate) async fn start_standard(
        self: Arc<Self>,
        machine: &StateMachine,
        name: String,
        input: Payload,
        trace_header: Option<String>,
    ) -> Result<Started> {
        // A definition that this program cannot run is refused now rather than parked later.
        machine.version.definition()?;
        let Options { region, account, .. } = &self.options;
        let arn = format!("arn:aws:states:{region}:{account}:execution:{}:{name}", machine.name);
        let at = self.now();
        let new = NewExecution {
            machine_id: machine.id,
            definition_id: machine.version.id,
            arn: arn.clone(),
            name,
            input: input.into_parts().0,
            seed: self.seed(),
            trace_header,
            origin: machine.origin.clone(),
            at,
        };
        self.begun(1);
        let inserted = self.journal.write(move |c| new.insert(c)).await;
        if matches!(inserted, Ok(Insertion::Inserted)) {
            self.standard.due.notify_one();
        } else {
            self.ended(1);
        }
        match inserted? {
            Insertion::Inserted => Ok(Started { execution_arn: arn, started_at: at }),
            Insertion::Same(started_at) => Ok(Started { execution_arn: arn, started_at }),
            Insertion::Taken => Err(Error::ExecutionAlreadyExists(arn)),
            Insertion::Deleting => Err(Error::StateMachineDeleting(machine.arn.to_string())),
        }
    }

    /// Takes due executions out of the journal and drives them, as long as the engine runs.
    pub(crate) async fn schedule_standard(self: Arc<Self>) {
        const ERROR_PAUSE: Duration = Duration::from_secs(1);
        /// The wall clock may be set: look again after this at the latest.
        const LOOK_AGAIN: Duration = Duration::from_secs(60);
        while !self.closing.is_cancelled() {
            let free = self.standard.permits.available_permits();
            let wait = if free == 0 {
                self.standard.starved.store(true, Ordering::SeqCst);
                // One may have been given back just before.
                if self.standard.permits.available_permits() > 0 { Duration::ZERO } else { LOOK_AGAIN }
            } else {
                match self.wake_due(free).await {
                    Ok(Some(next)) => {
                        let ahead = next.as_millis().saturating_sub(self.now().as_millis()).max(0);
                        Duration::from_millis(ahead.cast_unsigned()).min(LOOK_AGAIN)
                    }
                    Ok(None) => LOOK_AGAIN,
                    Err(error) => {
                        tracing::error!(%error, "failed to look for due executions");
                        ERROR_PAUSE
                    }
                }
            };
            tokio::select! {
                biased;
                () = self.closing.cancelled() => {}
                () = self.standard.due.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Begins to drive up to `free` due executions; the time of the next one that is not due yet.
    async fn wake_due(self: &Arc<Self>, free: usize) -> Result<Option<Timestamp>> {
        let active = {
            let active = self.standard.active();
            let ids: Vec<String> = active.keys().map(i64::to_string).collect();
            format!("[{}]", ids.join(","))
        };
        let now = number(self.now());
        let (due, next) = self
            .journal
            .read(move |c| {
                let due: Vec<i64> = c
                    .prepare_cached(
                        "SELECT id FROM executions WHERE wake_at <= ?1 AND id NOT IN (SELECT value FROM json_each(?2))
                         ORDER BY wake_at, id LIMIT ?3",
                    )?
                    .query_map(params![now, active, free], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                let next: Option<i64> = c
                    .prepare_cached("SELECT min(wake_at) FROM executions WHERE wake_at > ?1")?
                    .query_row([now], |row| row.get(0))?;
                Ok((due, next))
            })
            .await?;
        let all = due.len() < free;
        self.standard.starved.store(!all, Ordering::SeqCst);
        for id in due {
            let Ok(permit) = self.standard.permits.clone().try_acquire_owned() else { break };
            let mut active = self.standard.active();
            // A command may have come first; its driver notifies us if it cannot go on.
            active.entry(id).or_insert_with(|| {
                let (commands, mailbox) = mpsc::unbounded_channel();
                self.spawn(Arc::clone(self).drive(id, Some(permit), mailbox));
                commands
            });
        }
        Ok(if all { next.map(stamp) } else { None })
    }

    /// Sends a command to the execution's driver, beginning to drive it if nobody does.
    async fn deliver(
        self: &Arc<Self>,
        id: i64,
        command: impl FnOnce(oneshot::Sender<Result<Timestamp>>) -> Command,
    ) -> Result<Timestamp> {
        let (reply, answer) = oneshot::channel();
        {
            let mut active = self.standard.active();
            let commands = active.entry(id).or_insert_with(|| {
                let (commands, mailbox) = mpsc::unbounded_channel();
                self.spawn(Arc::clone(self).drive(id, None, mailbox));
                commands
            });
            if commands.send(command(reply)).is_err() {
                return Err(Error::Internal("the execution cannot be run; see the log".to_owned()));
            }
        }
        answer.await.unwrap_or(Err(Error::ShuttingDown))
    }

    async fn drive(
        self: Arc<Self>,
        id: i64,
        permit: Option<OwnedSemaphorePermit>,
        mailbox: mpsc::UnboundedReceiver<Command>,
    ) {
        let driven = AssertUnwindSafe(self.drive_until_left(id, permit, mailbox)).catch_unwind().await;
        // Whatever went wrong, the execution stays in the list of active ones, so that it is not taken up again at once;
        // it will be when the journal is opened the next time.
        match driven {
            Ok(Ok(())) => {}
            Ok(Err(Error::Journal(JournalError::Closed))) => {}
            Ok(Err(error)) => {
                tracing::error!(execution = id, %error, "an execution cannot be run and is parked");
            }
            Err(_) => tracing::error!(execution = id, "driving an execution panicked; it is parked"),
        }
        if self.standard.starved.load(Ordering::SeqCst) {
            self.standard.due.notify_one();
        }
    }

    async fn drive_until_left(
        self: &Arc<Self>,
        id: i64,
        mut permit: Option<OwnedSemaphorePermit>,
        mut mailbox: mpsc::UnboundedReceiver<Command>,
    ) -> Result<()> {
        let mut drive = match self.take_up(id).await {
            Ok(drive) => drive,
            Err(error) => {
                while let Ok(command) = mailbox.try_recv() {
                    command.refuse(error.clone());
                }
                return match error {
                    // Erased since it was found.
                    Error::ExecutionDoesNotExist(_) => {
                        self.standard.active().remove(&id);
                        Ok(())
                    }
                    error => Err(error),
                };
            }
        };
        loop {
            while let Ok(command) = mailbox.try_recv() {
                drive.command(command).await?;
            }
            let closing = self.closing.is_cancelled();
            if drive.is_closed() {
                if self.standard.leave(id, &mailbox) {
                    return Ok(());
                }
                continue;
            }
            if !drive.working {
                let may_work = !closing && self.standard.resumed.load(Ordering::SeqCst);
                if may_work && permit.is_none() {
                    permit = self.standard.permits.clone().try_acquire_owned().ok();
                }
                if may_work && permit.is_some() {
                    let pending = drive.execution.pending();
                    drive.worker.perform(pending);
                    drive.working = true;
                } else if self.standard.leave(id, &mailbox) {
                    self.standard.due.notify_one();
                    return Ok(());
                } else {
                    continue;
                }
            }
            let left = if closing && drive.worker.can_be_left() {
                true
            } else if let Some(until) = drive.idle_until() {
                drive.sleep(until).await?;
                true
            } else {
                false
            };
            if left && self.standard.leave(id, &mailbox) {
                drop(permit);
                self.standard.due.notify_one();
                return Ok(());
            }
            let next = tokio::select! {
                biased;
                command = mailbox.recv() => {
                    if let Some(command) = command {
                        drive.command(command).await?;
                    }
                    continue;
                }
                () = self.closing.cancelled(), if !closing => continue,
                next = drive.worker.next() => next,
            };
            let Some(kind) = next else {
                return Err(Error::Internal("the execution waits for nothing".to_owned()));
            };
            drive.step(kind, None).await?;
        }
    }

    /// Replays an execution to be driven.
    async fn take_up(self: &Arc<Self>, id: i64) -> Result<Drive> {
        let loaded = self.load(Key::Id(id)).await?;
        let machine_deleting = loaded.machine_status == "DELETING";
        let fresh = loaded.inputs.is_empty() && loaded.description.summary.status == ExecutionStatus::Running;
        let next_key = (id << SEQUENCE_BITS) + i64::try_from(loaded.inputs.len()).unwrap_or(i64::MAX);
        let (execution_arn, machine_arn): (Arc<str>, Arc<str>) =
            (loaded.description.summary.execution_arn.as_str().into(), loaded.machine_arn.as_str().into());
        let (execution, last) = if loaded.inputs.len() < 100 {
            loaded.replay()?
        } else {
            self.compute(move || loaded.replay()).await?
        };
        let worker = Worker::new(Arc::clone(self), execution_arn, machine_arn);
        let inner = Arc::clone(self);
        let mut drive = Drive {
            inner,
            id,
            execution,
            worker,
            working: false,
            next_key,
            last,
            asleep: false,
            machine_deleting,
        };
        if fresh {
            drive.record_start().await?;
        }
        Ok(drive)
    }

    /// Reads an execution's row and its journal.
    pub(crate) async fn load(&self, key: Key) -> Result<Loaded> {
        let name = match &key {
            Key::Id(id) => format!("#{id}"),
            Key::Arn(arn) => arn.clone(),
        };
        let found = self.journal.read(move |c| read_execution(c, &key, true)).await?;
        self.loaded(found, name).await
    }

    async fn loaded(&self, found: Option<Found>, name: String) -> Result<Loaded> {
        let Some(found) = found else { return Err(Error::ExecutionDoesNotExist(name)) };
        let version = self.version(found.definition_id).await?;
        let inputs: Result<Vec<Input>> = found
            .inputs
            .into_iter()
            .map(|(at, seed, kind)| {
                let kind = serde_json::from_str(&kind)
                    .map_err(|error| Error::Internal(format!("the journal of {name}: {error}")))?;
                Ok(Input { at: stamp(at), seed: seed.cast_unsigned(), kind })
            })
            .collect();
        Ok(Loaded {
            seed: found.seed,
            machine_name: found.machine_name,
            machine_arn: found.machine_arn.clone(),
            machine_status: found.machine_status,
            events: found.events,
            inputs: inputs?,
            description: Description {
                summary: found.summary,
                state_machine_arn: found.machine_arn,
                input: found.input,
                output: found.output,
                error: found.error,
                cause: found.cause,
                trace_header: found.trace_header,
                not_redrivable: None,
                version,
            },
        })
    }

    pub(crate) async fn describe(&self, arn: &str) -> Result<Description> {
        let key = Key::Arn(arn.to_owned());
        let found = self.journal.read(move |c| read_execution(c, &key, false)).await?;
        let loaded = self.loaded(found, arn.to_owned()).await?;
        let not_redrivable = self.why_not_redrivable(&loaded).map(str::to_owned);
        Ok(Description { not_redrivable, ..loaded.description })
    }

    /// `redriveStatusReason` from the row alone, in the words of `sluice_asl::NotRedrivable`.
    fn why_not_redrivable(&self, loaded: &Loaded) -> Option<&'static str> {
        use sluice_asl::limits::{REDRIVES_MAX, STANDARD_DURATION_MS};
        let summary = &loaded.description.summary;
        let now = self.now().as_millis();
        let since = |at: Timestamp| now.saturating_sub(at.as_millis());
        if loaded.machine_status == "DELETING" {
            Some("State machine is in DELETING status")
        } else if summary.status == ExecutionStatus::Running {
            Some("Execution is RUNNING and cannot be redriven")
        } else if summary.status == ExecutionStatus::Succeeded {
            Some("Execution is SUCCEEDED and cannot be redriven")
        } else if loaded.events.is_some_and(|events| events >= REDRIVE_HISTORY_EVENTS_MAX) {
            Some("Execution history event limit exceeded")
        } else if summary.stopped_at.is_some_and(|at| since(at) > REDRIVE_PERIOD_MS) {
            Some("Execution redrivable period exceeded")
        } else if since(summary.started_at) >= STANDARD_DURATION_MS {
            Some("Execution has exceeded the max execution time")
        } else if summary.redrive_count >= REDRIVES_MAX {
            Some("Execution redrive limit exceeded")
        } else {
            None
        }
    }

    pub(crate) async fn list(
        &self,
        machine: Arc<StateMachine>,
        filter: ExecutionFilter,
    ) -> Result<ExecutionPage> {
        let limit = filter.limit.max(1);
        let ExecutionFilter { status, redriven, after, .. } = filter;
        let Place(before, before_id) = after.unwrap_or(Place(i64::MAX, i64::MAX));
        let by_status = if status.is_some() { "AND e.status = ?4" } else { "AND ?4 IS NULL" };
        let by_redrive = match redriven {
            None => "",
            Some(true) => "AND e.redrive_count > 0",
            Some(false) => "AND e.redrive_count = 0",
        };
        let origin = machine.origin.clone();
        let by_origin = match (&origin.alias, origin.version) {
            (Some(_), _) => "AND e.alias = ?6 AND ?7 IS NOT NULL",
            (None, Some(_)) => "AND e.version = ?7 AND ?6 IS NULL",
            (None, None) => "AND ?6 IS NULL AND ?7 IS NULL",
        };
        let sql = format!(
            "SELECT {SUMMARY}, e.sort_at, e.id FROM executions e
             WHERE e.machine_id = ?1 AND (e.sort_at, e.id) < (?2, ?3) {by_status} {by_redrive} {by_origin}
             ORDER BY e.sort_at DESC, e.id DESC LIMIT ?5"
        );
        let machine_id = machine.id;
        let status = status.map(ExecutionStatus::name);
        let mut rows: Vec<(Summary, Place)> = self
            .journal
            .read(move |c| {
                c.prepare_cached(&sql)?
                    .query_map(
                        params![
                            machine_id,
                            before,
                            before_id,
                            status,
                            i64::from(limit) + 1,
                            origin.alias,
                            origin.version
                        ],
                        |row| Ok((read_summary(row)?, Place(row.get(9)?, row.get(10)?))),
                    )?
                    .collect()
            })
            .await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|(_, place)| *place);
        Ok(ExecutionPage { executions: rows.into_iter().map(|(summary, _)| summary).collect(), next })
    }

    pub(crate) async fn find(&self, arn: &str) -> Result<(i64, Option<Timestamp>)> {
        let key = arn.to_owned();
        let found = self
            .journal
            .read(move |c| {
                c.prepare_cached("SELECT id, stopped_at FROM executions WHERE arn = ?1")?
                    .query_row([key], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(stamp))))
                    .optional()
            })
            .await?;
        found.ok_or_else(|| Error::ExecutionDoesNotExist(arn.to_owned()))
    }

    pub(crate) async fn stop(
        self: &Arc<Self>,
        arn: &str,
        error: Option<String>,
        cause: Option<String>,
    ) -> Result<Timestamp> {
        let (id, stopped_at) = self.find(arn).await?;
        match stopped_at {
            Some(stopped_at) => Ok(stopped_at),
            None => self.deliver(id, |reply| Command::Stop { error, cause, reply }).await,
        }
    }

    /// Tells an execution what has become of a task of it, and answers once that is committed.
    pub(crate) async fn report_to(
        self: &Arc<Self>,
        id: i64,
        token: &str,
        report: Report,
    ) -> Result<Timestamp> {
        self.expect_open()?;
        let token = token.to_owned();
        self.deliver(id, |reply| Command::Report { token, report, reply }).await
    }

    pub(crate) async fn redrive(self: &Arc<Self>, arn: &str, token: Option<String>) -> Result<Timestamp> {
        self.expect_open()?;
        let (id, _) = self.find(arn).await?;
        self.deliver(id, |reply| Command::Redrive { token, reply }).await
    }

    /// Stops every running execution of a machine.
    pub(crate) async fn stop_all(self: &Arc<Self>, machine: i64) -> Result<()> {
        let running = "SELECT id FROM executions WHERE machine_id = ?1 AND status = 'RUNNING' LIMIT 500";
        let ids: Vec<i64> = self
            .journal
            .read(move |c| c.prepare_cached(running)?.query_map([machine], |row| row.get(0))?.collect())
            .await?;
        for id in ids {
            let cause = Some("The state machine was deleted".to_owned());
            self.deliver(id, |reply| Command::Stop { error: None, cause, reply }).await?;
        }
        Ok(())
    }

    /// Erases what is past its time, now and then.
    pub(crate) async fn maintain(self: Arc<Self>) {
        const EVERY: Duration = Duration::from_secs(60 * 60);
        loop {
            if let Err(error) = self.erase_expired().await {
                tracing::warn!(%error, "failed to erase expired executions");
            }
            if self.closing.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    pub(crate) async fn erase_expired(&self) -> Result<()> {
        const SOME: i64 = 200;
        const HOUR_MS: i64 = 60 * 60 * 1000;
        let now = number(self.now());
        loop {
            let erased = self
                .journal
                .write(move |c| {
                    let ids: Vec<i64> = c
                        .prepare_cached(
                            "SELECT id FROM executions WHERE wake_at IS NULL AND stopped_at <= ?1 LIMIT ?2",
                        )?
                        .query_map([now - RETENTION_MS, SOME], |row| row.get(0))?
                        .collect::<Result<_, _>>()?;
                    for id in &ids {
                        erase(c, *id)?;
                    }
                    Ok(ids.len())
                })
                .await?;
            if erased == 0 {
                break;
            }
        }
        // A version that was replaced a moment ago may still be on its way into a start.
        self.journal
            .write(move |c| {
                c.execute("DELETE FROM redrives WHERE at <= ?1", [now - CLIENT_TOKEN_MS])?;
                c.execute(
                    "DELETE FROM definitions AS d
                     WHERE EXISTS (SELECT 1 FROM definitions n
                                   WHERE n.machine_id = d.machine_id AND n.id > d.id AND n.updated_at < ?1)
                       AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.definition_id = d.id)
                       AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.definition_id = d.id)
                       AND NOT EXISTS (SELECT 1 FROM express x
                                       WHERE x.machine_id = d.machine_id AND x.definition_id = d.id)",
                    [now - HOUR_MS],
                )
            })
            .await?;
        Ok(())
    }
}

struct Found {
    id: i64,
    definition_id: i64,
    seed: u64,
    machine_name: String,
    machine_arn: String,
    machine_status: String,
    events: Option<u64>,
    summary: Summary,
    input: String,
    output: Option<String>,
    error: Option<String>,
    cause: Option<String>,
    trace_header: Option<String>,
    /// Time, seed and JSON.
    inputs: Vec<(i64, i64, String)>,
}

fn read_execution(c: &Connection, key: &Key, journal: bool) -> rusqlite::Result<Option<Found>> {
    let by = if matches!(key, Key::Id(_)) { "e.id" } else { "e.arn" };
    let sql = format!(
        "SELECT {SUMMARY}, e.id, e.definition_id, e.seed, m.name, m.arn, m.status, e.events, e.input, e.output, e.error,
                e.cause, e.trace_header
         FROM executions e JOIN machines m ON m.id = e.machine_id WHERE {by} = ?1"
    );
    let mut select = c.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        Ok(Found {
            summary: read_summary(row)?,
            id: row.get(9)?,
            definition_id: row.get(10)?,
            seed: row.get::<_, i64>(11)?.cast_unsigned(),
            machine_name: row.get(12)?,
            machine_arn: row.get(13)?,
            machine_status: row.get(14)?,
            events: row.get::<_, Option<i64>>(15)?.map(i64::cast_unsigned),
            input: row.get(16)?,
            output: row.get(17)?,
            error: row.get(18)?,
            cause: row.get(19)?,
            trace_header: row.get(20)?,
            inputs: Vec::new(),
        })
    };
    let found = match key {
        Key::Id(id) => select.query_row([id], read),
        Key::Arn(arn) => select.query_row([arn], read),
    };
    let Some(mut found) = found.optional()? else { return Ok(None) };
    if journal {
        let first = found.id << SEQUENCE_BITS;
        let last = first | ((1 << SEQUENCE_BITS) - 1);
        found.inputs = c
            .prepare_cached("SELECT at, seed, kind FROM inputs WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?
            .query_map([first, last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
    }
    Ok(Some(found))
}

#[cfg(test)]
#[path = "standard_tests.rs"]
mod tests;

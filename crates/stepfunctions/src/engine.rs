//! The engine: opens the journal, starts executions, and answers questions about them.
//!
//! Invariants:
//! - A start is acknowledged after it is committed. Dropping the caller's future does not undo a start under way.
//! - [`Engine`] is a handle: when the last clone is dropped, everything stops where it is, as in a crash. What was
//!   acknowledged is in the journal, and goes on when the journal is opened again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::OptionalExtension;
use serde_json::Value;
use sluice_asl::{Execution, HistoryEvent, MachineType, Start, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::activities::Activities;
use crate::arn::{check_name, expect_execution};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::express::{Express, SyncResult};
use crate::integrations::Integrations;
use crate::journal::{Commits, Journal, Location};
use crate::limits::DATA_BYTES_MAX;
use crate::machine::{StateMachine, StateMachineSpec, StateMachineUpdate, Version, load_all};
use crate::map_run::Maps;
use crate::standard::{Description, ExecutionFilter, ExecutionPage, Standard};

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// The account in ARNs. Default `000000000000`.
    pub account: String,
    /// The region in ARNs. Default `us-east-1`.
    pub region: String,
    /// Asynchronous Express executions that run at once; the rest waits in the journal. Default 64.
    pub express_concurrency: usize,
    /// Asynchronous Express executions held in memory while they wait for their turn. Default 256.
    pub express_prefetch: usize,
    /// Failed asynchronous Express executions that are remembered. Default 1,000.
    pub express_failures_max: usize,
    /// Standard executions that are in memory at once; the rest waits in the journal. Default 256.
    pub standard_concurrency: usize,
    /// Children of Map Runs that run at once, over all runs; a run's own `MaxConcurrency` may be less. Default 64.
    pub map_run_concurrency: usize,
    /// A Standard execution with nothing to do for longer than this leaves the memory until its timer is due. Default 10 s.
    pub passivate_after: Duration,
    /// Who commits to the journal.
    pub commits: Commits,
    /// Seeds execution ids, jitter, `$random()` and `$uuid()`; `None` draws from the operating system.
    pub seed: Option<u64>,
    /// Whether [`Engine::open`] leaves unfinished executions alone until [`Engine::resume`] is called, for a caller whose
    /// integrations are not ready yet. Default false.
    pub resume_later: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            express_concurrency: 64,
            express_prefetch: 256,
            express_failures_max: 1_000,
            standard_concurrency: 256,
            map_run_concurrency: 64,
            passivate_after: Duration::from_secs(10),
            commits: Commits::Grouped,
            seed: None,
            resume_later: false,
        }
    }
}

/// The input of an execution: JSON of at most 262,144 bytes.
#[derive(Clone, Debug)]
pub struct Payload {
    text: Option<String>,
    value: Value,
}

impl Payload {
    /// `{}`, the input of an execution that was given none.
    #[must_use]
    pub fn empty() -> Self {
        Payload { text: Some("{}".to_owned()), value: Value::Object(serde_json::Map::new()) }
    }

    /// The JSON text `text`.
    ///
    /// # Errors
    /// [`Error::InvalidExecutionInput`] if it is not JSON; [`Error::Validation`] over 262,144 bytes.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        check_size(text.len())?;
        if text.is_empty() {
            return Err(Error::InvalidExecutionInput("Invalid execution input.".to_owned()));
        }
        let value =
            serde_json::from_str(&text).map_err(|error| Error::InvalidExecutionInput(error.to_string()))?;
        Ok(Payload { text: Some(text), value })
    }

    /// The JSON text `bytes`.
    ///
    /// # Errors
    /// As [`Payload::parse`].
    pub fn parse_bytes(bytes: &Bytes) -> Result<Self> {
        let text =
            std::str::from_utf8(bytes).map_err(|error| Error::InvalidExecutionInput(error.to_string()))?;
        Payload::parse(text)
    }

    /// The JSON value `value`.
    ///
    /// # Errors
    /// [`Error::Validation`] if its text has more than 262,144 bytes.
    pub fn from_value(value: Value) -> Result<Self> {
        let mut bytes = Counter(0);
        serde_json::to_writer(&mut bytes, &value)
            .map_err(|error| Error::InvalidExecutionInput(error.to_string()))?;
        check_size(bytes.0)?;
        Ok(Payload { text: None, value })
    }

    pub(crate) fn into_value(self) -> Value {
        self.value
    }

    /// The text as it was given, or that of the value.
    pub(crate) fn into_parts(self) -> (String, Value) {
        let text = self.text.unwrap_or_else(|| self.value.to_string());
        (text, self.value)
    }
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes <= DATA_BYTES_MAX {
        return Ok(());
    }
    Err(Error::constraint(
        "(not shown)",
        "input",
        &format!("Member must have length less than or equal to {DATA_BYTES_MAX}"),
    ))
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An execution that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its ARN.
    pub execution_arn: String,
    /// When it started; for a name that is running already, when that did.
    pub started_at: Timestamp,
}

/// Handle to a running engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
    /// Stops everything when the last handle goes.
    _stop: Arc<DropGuard>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) journal: Journal,
    pub(crate) integrations: Arc<dyn Integrations>,
    pub(crate) options: Options,
    pub(crate) express: Express,
    pub(crate) standard: Standard,
    pub(crate) maps: Maps,
    pub(crate) activities: Activities,
    /// Held while a machine is created, updated or deleted.
    pub(crate) changing_machines: tokio::sync::Mutex<()>,
    /// No more is started, and what waits stays in the journal.
    pub(crate) closing: CancellationToken,
    clock: Arc<dyn Clock>,
    entropy: Mutex<StdRng>,
    machines: RwLock<HashMap<Arc<str>, Arc<StateMachine>>>,
    versions: Mutex<HashMap<i64, Arc<Version>>>,
    /// Executions that have not ended: running, or waiting in the journal.
    unfinished: watch::Sender<usize>,
    /// Everything stops where it is.
    stopped: CancellationToken,
    tasks: TaskTracker,
}

/// Milliseconds for a column.
pub(crate) fn number(at: Timestamp) -> i64 {
    at.as_millis()
}

/// A column's milliseconds.
pub(crate) fn stamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A random UUID (RFC 9562, version 4).
    pub(crate) fn uuid(&self) -> String {
        let (high, low) = {
            let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
            (entropy.next_u64(), entropy.next_u64())
        };
        let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
        let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    pub(crate) fn machines(&self) -> RwLockReadGuard<'_, HashMap<Arc<str>, Arc<StateMachine>>> {
        self.machines.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn machines_mut(&self) -> RwLockWriteGuard<'_, HashMap<Arc<str>, Arc<StateMachine>>> {
        self.machines.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn versions(&self) -> MutexGuard<'_, HashMap<i64, Arc<Version>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a future until it ends or the engine stops, whatever becomes of the returned handle.
    pub(crate) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(self.stopped.clone().run_until_cancelled_owned(future))
    }

    /// Runs a future to its end even if the caller's own future is dropped.
    pub(crate) async fn detached<F, T>(&self, future: F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        match self.spawn(future).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Error::ShuttingDown),
            Err(_) => Err(Error::Internal("a task of the engine panicked; see the log".to_owned())),
        }
    }

    /// Runs what may take long, a replay, without holding up other tasks.
    pub(crate) async fn compute<F, T>(&self, compute: F) -> Result<T>
    where
        F: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        if self.options.commits == Commits::Inline {
            return compute();
        }
        tokio::task::spawn_blocking(compute)
            .await
            .unwrap_or_else(|_| Err(Error::Internal("a replay panicked; see the log".to_owned())))
    }

    pub(crate) fn begun(&self, executions: usize) {
        self.unfinished.send_modify(|unfinished| *unfinished += executions);
    }

    pub(crate) fn ended(&self, executions: usize) {
        self.unfinished.send_modify(|unfinished| *unfinished = unfinished.saturating_sub(executions));
    }

    pub(crate) fn expect_open(&self) -> Result<()> {
        if self.closing.is_cancelled() || self.stopped.is_cancelled() {
            Err(Error::ShuttingDown)
        } else {
            Ok(())
        }
    }

    /// The name to use, and whether the caller gave it.
    pub(crate) fn name(&self, name: Option<String>) -> Result<String> {
        match name {
            Some(name) => check_name(&name).map(|()| name),
            None => Ok(self.uuid()),
        }
    }

    /// `StartExecution`, for both types.
    pub(crate) async fn start(
        self: &Arc<Self>,
        machine_arn: &str,
        name: Option<String>,
        input: Payload,
        trace_header: Option<String>,
    ) -> Result<Started> {
        self.expect_open()?;
        let machine = self.startable(machine_arn).await?;
        let name = self.name(name)?;
        let inner = Arc::clone(self);
        match machine.machine_type {
            MachineType::Standard => {
                self.detached(async move { inner.start_standard(&machine, name, input, trace_header).await })
                    .await
            }
            MachineType::Express => {
                let started = self
                    .detached(async move { inner.start_express(&machine, vec![(name, input)]).await })
                    .await?;
                started.into_iter().next().ok_or_else(|| Error::Internal("nothing was started".to_owned()))
            }
        }
    }

    pub(crate) fn begin(
        machine: &StateMachine,
        version: &Version,
        arn: String,
        name: String,
        input: Value,
        keep_history: bool,
    ) -> Start {
        Start {
            execution_arn: arn,
            execution_name: name,
            role_arn: version.role_arn.clone(),
            state_machine_arn: machine.arn.to_string(),
            state_machine_name: machine.name.clone(),
            input,
            keep_history,
        }
    }
}

impl Engine {
    /// Opens the journal and goes on with every execution in it that has not ended.
    ///
    /// # Errors
    /// When the journal cannot be opened: another process has it open, the disk fails, or a later version wrote it.
    pub async fn open(
        location: &Location,
        integrations: Arc<dyn Integrations>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Engine> {
        let journal = Journal::open(location, options.commits).await?;
        let (machines, unfinished, express) = journal
            .read(|c| {
                let express: i64 = c.query_row("SELECT count(*) FROM express", [], |row| row.get(0))?;
                let running = "SELECT count(*) FROM executions WHERE wake_at IS NOT NULL";
                let running: i64 = c.query_row(running, [], |row| row.get(0))?;
                let last: Option<i64> = c
                    .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'express'", [], |row| row.get(0))
                    .optional()?;
                let loaded_through = if express == 0 { last.unwrap_or(0) } else { 0 };
                Ok((load_all(c)?, express + running, (loaded_through, express > 0)))
            })
            .await?;
        let entropy = match options.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => rand::make_rng(),
        };
        let inner = Arc::new(Inner {
            journal,
            integrations,
            express: Express::new(&options, express.0, express.1),
            standard: Standard::new(&options),
            maps: Maps::new(&options),
            activities: Activities::default(),
            changing_machines: tokio::sync::Mutex::new(()),
            closing: CancellationToken::new(),
            clock,
            entropy: Mutex::new(entropy),
            versions: Mutex::new(machines.iter().map(|m| (m.version.id, Arc::clone(&m.version))).collect()),
            machines: RwLock::new(machines.into_iter().map(|m| (Arc::clone(&m.arn), Arc::new(m))).collect()),
            unfinished: watch::Sender::new(usize::try_from(unfinished).unwrap_or(0)),
            stopped: CancellationToken::new(),
            tasks: TaskTracker::new(),
            options,
        });
        let engine = Engine { _stop: Arc::new(inner.stopped.clone().drop_guard()), inner };
        if !engine.inner.options.resume_later {
            engine.resume();
        }
        Ok(engine)
    }

    /// Begins to run what waits in the journal. Called by [`Engine::open`] unless [`Options::resume_later`] is set; calling
    /// it again does nothing.
    pub fn resume(&self) {
        let inner = &self.inner;
        if !inner.standard.resume() {
            return;
        }
        inner.spawn(Arc::clone(inner).dispatch_express());
        inner.spawn(Arc::clone(inner).schedule_standard());
        inner.spawn(Arc::clone(inner).maintain());
        let deleting: Vec<_> =
            inner.machines().values().filter(|machine| machine.deleting).cloned().collect();
        for machine in deleting {
            inner.finish_deletion(machine);
        }
    }

    /// The ARN of the machine with this name.
    #[must_use]
    pub fn state_machine_arn(&self, name: &str) -> String {
        self.inner.machine_arn(name)
    }

    /// `CreateStateMachine`. Idempotent: the same again answers the same.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`], [`Error::InvalidName`], [`Error::InvalidArn`], [`Error::StateMachineAlreadyExists`],
    /// [`Error::StateMachineDeleting`], [`Error::TooManyTags`], [`Error::Validation`].
    pub async fn create_state_machine(&self, spec: StateMachineSpec) -> Result<Arc<StateMachine>> {
        self.inner.create_machine(spec).await
    }

    /// Creates the machine, or updates it to `spec` where it differs: what a deployment does.
    ///
    /// # Errors
    /// As [`Engine::create_state_machine`]; a machine's type cannot be changed.
    pub async fn put_state_machine(&self, spec: StateMachineSpec) -> Result<Arc<StateMachine>> {
        self.inner.put_machine(spec).await
    }

    /// `UpdateStateMachine`. Running executions go on with the definition they started with.
    ///
    /// # Errors
    /// [`Error::MissingRequiredParameter`], [`Error::InvalidDefinition`], [`Error::StateMachineDoesNotExist`], …
    pub async fn update_state_machine(
        &self,
        arn: &str,
        update: StateMachineUpdate,
    ) -> Result<Arc<StateMachine>> {
        self.inner.update_machine(arn, update).await
    }

    /// `DeleteStateMachine`: stops its Standard executions, lets its Express executions end, and erases all of it.
    ///
    /// # Errors
    /// [`Error::InvalidArn`]. A machine that does not exist is no error, as for AWS.
    pub async fn delete_state_machine(&self, arn: &str) -> Result<()> {
        self.inner.delete_machine(arn).await
    }

    /// `DescribeStateMachine`.
    ///
    /// # Errors
    /// [`Error::StateMachineDoesNotExist`], [`Error::InvalidArn`].
    pub fn describe_state_machine(&self, arn: &str) -> Result<Arc<StateMachine>> {
        self.inner.machine(arn)
    }

    /// `ListStateMachines`: all machines by name.
    #[must_use]
    pub fn state_machines(&self) -> Vec<Arc<StateMachine>> {
        let mut machines: Vec<_> = self.inner.machines().values().cloned().collect();
        machines.sort_by(|a, b| a.name.cmp(&b.name));
        machines
    }

    /// `StartExecution`. For a Standard machine idempotent in the name: while it runs, the same name with the same input
    /// answers the same. Names of Express executions are not compared.
    ///
    /// # Errors
    /// [`Error::ExecutionAlreadyExists`], [`Error::StateMachineDoesNotExist`], [`Error::StateMachineDeleting`],
    /// [`Error::InvalidName`], [`Error::ShuttingDown`], [`Error::Journal`].
    pub async fn start_execution(
        &self,
        machine_arn: &str,
        name: Option<&str>,
        input: Payload,
    ) -> Result<Started> {
        self.inner.start(machine_arn, name.map(str::to_owned), input, None).await
    }

    /// Starts one asynchronous Express execution for each input, all in one commit: all of them or none.
    ///
    /// # Errors
    /// As [`Engine::start_execution`]; [`Error::StateMachineTypeNotSupported`] for a Standard machine.
    pub async fn start_express(&self, machine_arn: &str, inputs: Vec<Payload>) -> Result<Vec<Started>> {
        self.inner.expect_open()?;
        let machine = self.inner.startable(machine_arn).await?;
        if machine.machine_type != MachineType::Express {
            return Err(Error::StateMachineTypeNotSupported);
        }
        let named = inputs.into_iter().map(|input| (self.inner.uuid(), input)).collect();
        let inner = Arc::clone(&self.inner);
        self.inner.detached(async move { inner.start_express(&machine, named).await }).await
    }

    /// `StartSyncExecution`: runs an Express execution and answers when it has ended, however it ended. At most once:
    /// nothing is journaled. Goes on if the returned future is dropped. How many run at once is up to the callers: the
    /// setting for asynchronous ones does not apply.
    ///
    /// # Errors
    /// [`Error::StateMachineTypeNotSupported`] for a Standard machine, and as [`Engine::start_execution`]. A failed
    /// execution is no error: read [`SyncResult::status`].
    pub async fn start_sync(
        &self,
        machine_arn: &str,
        name: Option<&str>,
        input: Payload,
    ) -> Result<SyncResult> {
        self.inner.start_sync(machine_arn, name.map(str::to_owned), input).await
    }

    /// `DescribeExecution`, for Standard executions.
    ///
    /// # Errors
    /// [`Error::ExecutionDoesNotExist`]; [`Error::InvalidArn`] for an Express execution, as AWS.
    pub async fn describe_execution(&self, arn: &str) -> Result<Description> {
        expect_execution(arn)?;
        self.inner.describe(arn).await
    }

    /// `ListExecutions`, the latest first. With the ARN of a version or an alias those that were started with it.
    ///
    /// # Errors
    /// [`Error::StateMachineTypeNotSupported`] for an Express machine, [`Error::StateMachineDoesNotExist`].
    pub async fn list_executions(&self, machine_arn: &str, filter: ExecutionFilter) -> Result<ExecutionPage> {
        let machine = self.inner.qualified(machine_arn).await?;
        if machine.machine_type != MachineType::Standard {
            return Err(Error::StateMachineTypeNotSupported);
        }
        self.inner.list(machine, filter).await
    }

    /// `GetExecutionHistory`: all events, by replaying the journal.
    ///
    /// # Errors
    /// [`Error::ExecutionDoesNotExist`]; [`Error::InvalidArn`] for an Express execution, as AWS.
    pub async fn execution_history(&self, arn: &str) -> Result<Vec<HistoryEvent>> {
        self.with_execution(arn, |execution| execution.history().to_vec()).await
    }

    pub(crate) async fn with_execution<F, T>(&self, arn: &str, look: F) -> Result<T>
    where
        F: FnOnce(&Execution) -> T + Send + 'static,
        T: Send + 'static,
    {
        expect_execution(arn)?;
        let loaded = self.inner.load(crate::standard::Key::Arn(arn.to_owned())).await?;
        self.inner.compute(move || Ok(look(&loaded.replay()?.0))).await
    }

    /// `StopExecution`: the time it stopped. For an execution that has ended, the time it did.
    ///
    /// # Errors
    /// [`Error::ExecutionDoesNotExist`]; [`Error::InvalidArn`] for an Express execution, as AWS.
    pub async fn stop_execution(
        &self,
        arn: &str,
        error: Option<String>,
        cause: Option<String>,
    ) -> Result<Timestamp> {
        expect_execution(arn)?;
        self.inner.stop(arn, error, cause).await
    }

    /// `RedriveExecution`: the time of the redrive. The same token within 15 minutes answers the same.
    ///
    /// # Errors
    /// [`Error::ExecutionNotRedrivable`], [`Error::ExecutionDoesNotExist`], [`Error::InvalidArn`].
    pub async fn redrive_execution(&self, arn: &str, client_token: Option<String>) -> Result<Timestamp> {
        expect_execution(arn)?;
        self.inner.redrive(arn, client_token).await
    }

    /// How many executions have not ended, running or waiting in the journal.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        *self.inner.unfinished.borrow()
    }

    /// Waits until every execution has ended. A Standard execution that fails for want of a redrive has ended; one in a
    /// Wait state has not.
    pub async fn idle(&self) {
        // An error means that the sender is gone, and this handle holds it.
        let _ = self.inner.unfinished.subscribe().wait_for(|unfinished| *unfinished == 0).await;
    }

    /// Refuses new executions, leaves what has not begun in the journal, gives what runs up to `grace` to come to a point
    /// where it can be left, and closes the journal. What is unfinished goes on when the journal is opened again, except
    /// synchronous executions.
    pub async fn shutdown(&self, grace: Duration) {
        let inner = &self.inner;
        inner.closing.cancel();
        inner.tasks.close();
        // Past the grace the rest is cut off, as in a crash.
        let _ = tokio::time::timeout(grace, inner.tasks.wait()).await;
        inner.stopped.cancel();
        inner.tasks.wait().await;
        inner.journal.close().await;
    }
}

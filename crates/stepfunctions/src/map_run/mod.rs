//! Map Runs: the children of a Distributed Map, run to their ends.
//!
//! Follows "Using Map state in Distributed mode", "Redriving Map Runs" and the API reference of `DescribeMapRun`. What is implemented:
//!
//! - Children are Express executions. They run at least once: one that was under way at a crash is run again, one whose end is
//!   in the journal is not. What ended is journaled in batches.
//! - Items are streamed. What is in memory is what runs, and what ended since the last batch.
//! - The run fails when more items failed than are tolerated; no more children are started then, those under way come to
//!   their end (Express executions cannot be stopped), and the results are written.
//! - Stopping the parent makes the run ABORTED at once; children under way come to their end, and are counted.
//! - A redrive runs again the children that did not succeed, with their inputs as they were, and goes on with those that were never
//!   started. One that comes while children are still under way waits for them.
//!
//! Invariants: one runner at a time for a run ([`Maps`]); the journal is ahead of whatever the parent is told.

mod items;
mod results;
pub(crate) mod rows;
mod split;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use sluice_asl::{MapRun, Start, Status, Timestamp};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::items::{Child, Items, Mark};
use self::results::{child_arn, child_index, child_name};
use self::rows::{ChildRow, ChildStatus, Children, Counts, End, Progress, RunRow};
use crate::arn::{expect_execution, expect_map_run};
use crate::engine::{Engine, Inner, Options};
use crate::error::{Error, Result};
use crate::integrations::TaskError;
use crate::journal::JournalError;
use crate::standard::ExecutionStatus;

/// Children whose ends share a commit at most, and that may wait for one before no more are started.
const BATCH_MAX: usize = 1_000;

/// How long the end of a child may wait for its commit.
const BATCH_WAIT: Duration = Duration::from_millis(50);

/// Children of a redrive that are read at a time.
const REDRIVE_PAGE: usize = 500;

/// Where a Map Run stands, as `DescribeMapRun` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapRunStatus {
    /// Not ended.
    Running,
    /// Ended with results.
    Succeeded,
    /// Too many items failed, or items could not be read, or results not be written.
    Failed,
    /// Its execution was stopped, or timed out, or a branch beside it failed.
    Aborted,
}

impl MapRunStatus {
    /// AWS's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MapRunStatus::Running => "RUNNING",
            MapRunStatus::Succeeded => "SUCCEEDED",
            MapRunStatus::Failed => "FAILED",
            MapRunStatus::Aborted => "ABORTED",
        }
    }

    fn from_name(name: &str) -> Self {
        use MapRunStatus::{Failed, Running, Succeeded};
        let known = [Running, Succeeded, Failed];
        known.into_iter().find(|status| status.name() == name).unwrap_or(MapRunStatus::Aborted)
    }
}

/// Items or children of a Map Run, by where they stand: `MapRunItemCounts` and `MapRunExecutionCounts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are AWS's own and say all there is")]
pub struct MapRunCounts {
    pub pending: u64,
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub aborted: u64,
    pub total: u64,
    pub results_written: u64,
    pub failures_not_redrivable: u64,
    pub pending_redrive: u64,
}

/// What `DescribeMapRun` says.
#[derive(Clone, Debug)]
pub struct MapRunDescription {
    /// Its ARN.
    pub map_run_arn: String,
    /// The execution that it is of.
    pub execution_arn: String,
    /// Where it stands.
    pub status: MapRunStatus,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended, unless it runs.
    pub stopped_at: Option<Timestamp>,
    /// Children at once.
    pub max_concurrency: u64,
    /// Items that may fail; 0 if no number was given.
    pub tolerated_failure_count: u64,
    /// Items of a hundred that may fail; 0 if no share was given.
    pub tolerated_failure_percentage: f64,
    /// Its items.
    pub items: MapRunCounts,
    /// Its children. Until all items are read, the total of children of several items is an estimate.
    pub executions: MapRunCounts,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// When it was redriven last.
    pub redriven_at: Option<Timestamp>,
    /// The error name of a failure. AWS tells it in the history only.
    pub error: Option<String>,
    /// What is known beyond the name.
    pub cause: Option<String>,
}

/// What `UpdateMapRun` changes; `None` leaves a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MapRunUpdate {
    /// Children at once, from 1; 0 for as many as there may be.
    pub max_concurrency: Option<u64>,
    /// Items that may fail.
    pub tolerated_failure_count: Option<u64>,
    /// Items of a hundred that may fail.
    pub tolerated_failure_percentage: Option<f64>,
}

/// Where a child of a Map Run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapChildStatus {
    /// As any execution.
    Execution(ExecutionStatus),
    /// It did not end well, and a redrive of its Map Run is about to run it again.
    PendingRedrive,
}

impl MapChildStatus {
    /// AWS's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MapChildStatus::Execution(status) => status.name(),
            MapChildStatus::PendingRedrive => "PENDING_REDRIVE",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "PENDING_REDRIVE" {
            return Some(MapChildStatus::PendingRedrive);
        }
        ExecutionStatus::from_name(name).map(MapChildStatus::Execution)
    }

    fn of(status: ChildStatus) -> Self {
        MapChildStatus::Execution(match status {
            ChildStatus::Succeeded => ExecutionStatus::Succeeded,
            ChildStatus::Failed => ExecutionStatus::Failed,
            ChildStatus::TimedOut => ExecutionStatus::TimedOut,
            ChildStatus::Aborted => ExecutionStatus::Aborted,
            ChildStatus::PendingRedrive => return MapChildStatus::PendingRedrive,
        })
    }

    fn row_status(self) -> Option<ChildStatus> {
        Some(match self {
            MapChildStatus::Execution(ExecutionStatus::Succeeded) => ChildStatus::Succeeded,
            MapChildStatus::Execution(ExecutionStatus::Failed) => ChildStatus::Failed,
            MapChildStatus::Execution(ExecutionStatus::TimedOut) => ChildStatus::TimedOut,
            MapChildStatus::Execution(ExecutionStatus::Aborted) => ChildStatus::Aborted,
            MapChildStatus::PendingRedrive => ChildStatus::PendingRedrive,
            MapChildStatus::Execution(ExecutionStatus::Running) => return None,
        })
    }
}

/// A child of a Map Run: an Express execution that `DescribeExecution` and `ListExecutions` know, unlike any other.
#[derive(Clone, Debug)]
pub struct MapChild {
    /// `arn:aws:states:<region>:<account>:express:<machine>/<label>:<name>:<Map Run id>`
    pub execution_arn: String,
    /// `<name>:<Map Run id>`, as AWS shows it.
    pub name: String,
    /// The Map Run.
    pub map_run_arn: String,
    /// The machine's ARN with `/<label>`.
    pub state_machine_arn: String,
    /// Where it stands.
    pub status: MapChildStatus,
    /// From 0, in the order of the items.
    pub index: u64,
    /// How many items it has.
    pub item_count: u64,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended, unless it runs.
    pub stopped_at: Option<Timestamp>,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// When it was redriven last.
    pub redriven_at: Option<Timestamp>,
    /// JSON; `None` while it runs.
    pub input: Option<String>,
    /// JSON; only of a success.
    pub output: Option<String>,
    /// The error name of a failure.
    pub error: Option<String>,
    /// What is known beyond the name.
    pub cause: Option<String>,
}

impl MapChild {
    /// `redriveStatus` and its reason.
    pub(crate) fn redrive_status(&self) -> (&'static str, Option<String>) {
        match self.status.row_status() {
            Some(status) => results::redrive_status(status),
            None => ("NOT_REDRIVABLE", Some("Execution is RUNNING and cannot be redriven".to_owned())),
        }
    }
}

/// What can be changed while a run goes on.
#[derive(Clone, Copy, Debug)]
struct Settings {
    max_concurrency: u64,
    tolerated_count: u64,
    tolerated_percentage: f64,
}

impl Settings {
    fn of(row: &RunRow) -> Self {
        Settings {
            max_concurrency: row.max_concurrency,
            tolerated_count: row.tolerated_count,
            tolerated_percentage: row.tolerated_percentage,
        }
    }

    /// A threshold of 0 is one that was not given; without either, no item may fail.
    fn exceeded(&self, failed: u64, total: u64) -> bool {
        let count = self.tolerated_count > 0;
        let percentage = self.tolerated_percentage > 0.0;
        if !count && !percentage {
            return failed > 0;
        }
        let share = self.tolerated_percentage / 100.0 * total as f64;
        count && failed > self.tolerated_count || percentage && failed as f64 > share
    }
}

/// A child that is under way.
#[derive(Clone, Copy, Debug)]
struct Running {
    mark: Mark,
    items: u64,
    started_at: Timestamp,
    /// Of a child that is run again by a redrive.
    again: Option<u32>,
}

/// A run that has a runner.
struct Live {
    state: Mutex<LiveState>,
    /// The settings have changed.
    changed: Notify,
    /// Nobody waits for the result any more.
    unwanted: CancellationToken,
    /// The runner has ended.
    ended: CancellationToken,
}

struct LiveState {
    settings: Settings,
    /// Of the row that the runner read.
    epoch: u32,
    counts: Counts,
    running: BTreeMap<u64, Running>,
}

impl Live {
    fn state(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runs that have a runner, by ARN.
pub(crate) struct Maps {
    live: Mutex<HashMap<Arc<str>, Arc<Live>>>,
    /// For children of all runs.
    permits: Arc<Semaphore>,
    concurrency: u64,
}

impl Maps {
    pub(crate) fn new(options: &Options) -> Self {
        let concurrency = options.map_run_concurrency.max(1);
        Maps {
            live: Mutex::new(HashMap::new()),
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency: concurrency as u64,
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the runner that nobody waits any more, unless it has ended.
struct Waiting(Arc<Live>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.unwanted.cancel();
    }
}

impl Inner {
    /// Runs a Map Run, or goes on with it, and gives its result. When the future is dropped no more children are started;
    /// whether the run goes on one day is for the journal to say.
    pub(crate) async fn run_map(self: Arc<Self>, run: Arc<MapRun>) -> Result<Value, TaskError> {
        let live = loop {
            let before = {
                let mut all = self.maps.live();
                match all.get(&run.arn) {
                    Some(before) => Arc::clone(before),
                    None => {
                        let settings =
                            Settings { max_concurrency: 0, tolerated_count: 0, tolerated_percentage: 0.0 };
                        let state = LiveState {
                            settings,
                            epoch: 0,
                            counts: Counts::default(),
                            running: BTreeMap::new(),
                        };
                        let live = Arc::new(Live {
                            state: Mutex::new(state),
                            changed: Notify::new(),
                            unwanted: CancellationToken::new(),
                            ended: CancellationToken::new(),
                        });
                        all.insert(Arc::clone(&run.arn), Arc::clone(&live));
                        break live;
                    }
                }
            };
            before.ended.cancelled().await;
        };
        let waiting = Waiting(Arc::clone(&live));
        let (report, result) = oneshot::channel();
        let inner = Arc::clone(&self);
        // Children under way outlive the wait for the result, so the runner is a task of its own.
        self.begun(1);
        self.spawn(async move {
            let _end = EndOfRunner { inner: &inner, live: &live, arn: &run.arn };
            let outcome = inner.conduct(&live, &run).await;
            match outcome {
                Ok(Some(outcome)) => drop(report.send(outcome)),
                Ok(None) => {}
                // The engine is closing: the run goes on when the journal is opened again.
                Err(Error::Journal(JournalError::Closed)) => {}
                Err(error) => {
                    tracing::error!(run = %run.arn, %error, "a map run cannot go on; it will when the engine is started again");
                }
            }
        });
        let result = result.await;
        drop(waiting);
        match result {
            Ok(result) => result,
            // It was stopped: whoever did so has dropped this future, or is about to.
            Err(_) => std::future::pending().await,
        }
    }

    async fn run_row(&self, arn: &str) -> Result<RunRow> {
        let key = arn.to_owned();
        let row = self.journal.read(move |c| rows::run_by_arn(c, &key)).await?;
        row.ok_or_else(|| Error::ResourceNotFound(arn.to_owned()))
    }

    /// The result of the run; `None` if it was stopped.
    async fn conduct(
        self: &Arc<Self>,
        live: &Arc<Live>,
        run: &Arc<MapRun>,
    ) -> Result<Option<Result<Value, TaskError>>> {
        let mut row = self.run_row(&run.arn).await?;
        match MapRunStatus::from_name(&row.status) {
            MapRunStatus::Running => {}
            MapRunStatus::Succeeded => {
                let output = row.output.as_deref().unwrap_or("null");
                let output =
                    serde_json::from_str(output).map_err(|error| Error::Internal(error.to_string()))?;
                return Ok(Some(Ok(output)));
            }
            MapRunStatus::Failed => {
                let error = row.error.unwrap_or_default();
                return Ok(Some(Err(TaskError { error, cause: row.cause })));
            }
            MapRunStatus::Aborted => return Ok(None),
        }
        {
            let mut state = live.state();
            state.settings = Settings::of(&row);
            state.epoch = row.redrive_count;
            state.counts = row.counts;
        }
        let outcome = match self.prepare(run, &mut row).await? {
            Err(fault) => Err(fault),
            Ok(()) => {
                let mut runner = Runner::new(self, live, run, &row).await?;
                match runner.go().await? {
                    Stop::Unwanted => return Ok(None),
                    Stop::Done => self.finish_map(live, run, &row, None).await?,
                    Stop::Exceeded => {
                        let pending = Items::new(
                            Arc::clone(run),
                            Arc::clone(&self.integrations),
                            runner.mark(),
                            row.version.clone(),
                        );
                        let ended = runner.ended_from(runner.mark()).await?;
                        if let Err(error) = self.finish_map(live, run, &row, Some((pending, ended))).await? {
                            tracing::warn!(run = %run.arn, ?error, "the results of a failed map run were not written");
                        }
                        Err(TaskError::new(
                            "States.ExceedToleratedFailureThreshold",
                            "The specified tolerated failure threshold was exceeded",
                        ))
                    }
                    Stop::Fault(fault) => Err(fault),
                }
            }
        };
        let end = Arc::new(End {
            run: row.id,
            epoch: row.redrive_count,
            at: self.now(),
            outcome: match &outcome {
                Ok(output) => Ok(output.to_string()),
                Err(fault) => Err((fault.error.clone(), fault.cause.clone())),
            },
            counts: live.state().counts,
        });
        let ended = self.journal_surely(&run.arn, move |c| end.write(c)).await?;
        Ok(ended.then_some(outcome))
    }

    /// Writes however long it takes: a run cannot go on without.
    async fn journal_surely<T, F>(&self, arn: &str, write: F) -> Result<T>
    where
        F: Fn(&rusqlite::Connection) -> rusqlite::Result<T> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let write = Arc::new(write);
        let mut pause = Duration::from_millis(100);
        loop {
            let again = Arc::clone(&write);
            match self.journal.write(move |c| again(c)).await {
                Ok(written) => return Ok(written),
                Err(error @ JournalError::Closed) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(run = arn, %error, "failed to journal a map run; trying again");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    /// Counts the items, unless they were before.
    async fn prepare(self: &Arc<Self>, run: &Arc<MapRun>, row: &mut RunRow) -> Result<Result<(), TaskError>> {
        if row.items.is_some() {
            return Ok(Ok(()));
        }
        let mut items = Items::new(Arc::clone(run), Arc::clone(&self.integrations), Mark::default(), None);
        let (count, version) = match items.count().await {
            Ok(counted) => counted,
            Err(fault) => return Ok(Err(fault)),
        };
        let most = rows::INDEX_MAX.min(sluice_asl::limits::MAP_RUN_ITEMS_MAX);
        if count > most {
            let cause = format!("There are {count} items, and a Map Run has at most {most}.");
            return Ok(Err(TaskError::new("States.ItemReaderFailed", cause)));
        }
        row.items = Some(count);
        row.version.clone_from(&version);
        let written_under = (row.id, row.redrive_count);
        self.journal_surely(&run.arn, move |c| rows::counted(c, written_under, count, version.as_ref()))
            .await?;
        Ok(Ok(()))
    }

    /// Writes the results, and gives the state's.
    async fn finish_map(
        self: &Arc<Self>,
        live: &Live,
        run: &MapRun,
        row: &RunRow,
        pending: Option<(Items, HashSet<u64>)>,
    ) -> Result<Result<Value, TaskError>> {
        let result = if run.writer.destination.is_some() {
            results::export(self, run, row, pending).await
        } else if pending.is_none() {
            results::collect(self, run, row).await
        } else {
            Ok(Value::Null)
        };
        if result.is_ok() {
            let mut state = live.state();
            for tally in [0, 1] {
                let tally = match tally {
                    0 => &mut state.counts.executions,
                    _ => &mut state.counts.items,
                };
                tally.results_written = tally.succeeded + tally.unsuccessful();
            }
        }
        Ok(result)
    }
}

/// Takes the runner off the list, however it ends.
struct EndOfRunner<'r> {
    inner: &'r Arc<Inner>,
    live: &'r Live,
    arn: &'r Arc<str>,
}

impl Drop for EndOfRunner<'_> {
    fn drop(&mut self) {
        self.inner.maps.live().remove(self.arn);
        self.live.ended.cancel();
        self.inner.ended(1);
    }
}

/// Why a runner has come to its end.
enum Stop {
    /// Every child has ended, and no more failed than may.
    Done,
    /// More did.
    Exceeded,
    /// The run was stopped, or the engine is closing.
    Unwanted,
    /// The items cannot be read, or their inputs not be made.
    Fault(TaskError),
}

/// Starts children and journals their ends.
struct Runner<'r> {
    inner: &'r Arc<Inner>,
    live: &'r Arc<Live>,
    run: &'r Arc<MapRun>,
    row: i64,
    epoch: u32,
    redrive_at: Option<Timestamp>,
    total: u64,
    items: Items,
    /// Children after the mark that have ended before: they are passed over.
    passed: HashSet<u64>,
    /// Children that a redrive runs again, and from where to read more of them.
    again: VecDeque<ChildRow>,
    again_from: Option<u64>,
    done: Vec<ChildRow>,
    ends: (mpsc::UnboundedSender<ChildRow>, mpsc::UnboundedReceiver<ChildRow>),
}

enum Next {
    Child(Child),
    Again(ChildRow),
}

impl<'r> Runner<'r> {
    async fn new(
        inner: &'r Arc<Inner>,
        live: &'r Arc<Live>,
        run: &'r Arc<MapRun>,
        row: &RunRow,
    ) -> Result<Self> {
        let items =
            Items::new(Arc::clone(run), Arc::clone(&inner.integrations), row.mark, row.version.clone());
        let mut runner = Runner {
            inner,
            live,
            run,
            row: row.id,
            epoch: row.redrive_count,
            redrive_at: row.redriven_at,
            total: row.items.unwrap_or(0),
            items,
            passed: HashSet::new(),
            again: VecDeque::new(),
            again_from: (row.counts.executions.pending_redrive > 0).then_some(0),
            done: Vec::new(),
            ends: mpsc::unbounded_channel(),
        };
        runner.passed = runner.ended_from(row.mark).await?;
        Ok(runner)
    }

    async fn ended_from(&self, mark: Mark) -> Result<HashSet<u64>> {
        let row = self.row;
        let ended = self.inner.journal.read(move |c| rows::ended_from(c, row, mark.child)).await?;
        Ok(ended.into_iter().collect())
    }

    /// Where the first child stands that has not ended.
    fn mark(&self) -> Mark {
        let state = self.live.state();
        let first = state.running.values().find(|running| running.again.is_none());
        first.map_or_else(|| self.items.mark(), |running| running.mark)
    }

    async fn next(&mut self) -> Result<Result<Option<Next>, TaskError>> {
        if self.again.is_empty()
            && let Some(from) = self.again_from
        {
            let (row, status) = (self.row, Some(ChildStatus::PendingRedrive));
            let wanted =
                Children { status, from, descending: false, limit: REDRIVE_PAGE, bytes_max: usize::MAX };
            let page = self.inner.journal.read(move |c| rows::children(c, row, wanted)).await?;
            self.again_from = page.last().map(|child| child.index + 1);
            self.again.extend(page);
        }
        if let Some(child) = self.again.pop_front() {
            return Ok(Ok(Some(Next::Again(child))));
        }
        loop {
            match self.items.next_child().await {
                Ok(Some(child)) if self.passed.remove(&child.mark.child) => {}
                Ok(child) => return Ok(Ok(child.map(Next::Child))),
                Err(fault) => return Ok(Err(fault)),
            }
        }
    }

    async fn go(&mut self) -> Result<Stop> {
        let mut stop: Option<Stop> = None;
        let mut flush: Option<BoxFuture<'static, Result<()>>> = None;
        // The first end that waits for a commit, waits until then.
        let mut flush_at = Instant::now();
        loop {
            if stop.is_none() {
                stop = self.check();
            }
            while stop.is_none() && self.may_start() {
                match self.next().await? {
                    Ok(Some(next)) => self.start(next),
                    Ok(None) => stop = Some(Stop::Done),
                    Err(fault) => stop = Some(Stop::Fault(fault)),
                }
            }
            let waiting = self.live.state().running.len();
            if flush.is_none() && !self.done.is_empty() && (waiting == 0 || self.done.len() >= BATCH_MAX) {
                flush = Some(self.flush());
            }
            if waiting == 0
                && flush.is_none()
                && let Some(stop) = stop
            {
                // The last ones may have been too many.
                return Ok(match stop {
                    Stop::Done => self.check().unwrap_or(Stop::Done),
                    stop => stop,
                });
            }
            let timer = flush.is_none() && !self.done.is_empty();
            tokio::select! {
                biased;
                flushed = async { match flush.as_mut() { Some(flush) => flush.await, None => std::future::pending().await } } => {
                    flushed?;
                    flush = None;
                }
                end = self.ends.1.recv(), if waiting > 0 => {
                    if self.done.is_empty() {
                        flush_at = Instant::now() + BATCH_WAIT;
                    }
                    if let Some(end) = end {
                        self.end(end);
                    }
                    while let Ok(end) = self.ends.1.try_recv() {
                        self.end(end);
                    }
                }
                () = sleep_until(flush_at), if timer => flush = Some(self.flush()),
                () = self.live.changed.notified() => {}
                () = self.live.unwanted.cancelled(), if stop.is_none() => stop = Some(Stop::Unwanted),
                () = self.inner.closing.cancelled(), if stop.is_none() => stop = Some(Stop::Unwanted),
            }
        }
    }

    /// Whether no more children are to be started.
    fn check(&self) -> Option<Stop> {
        if self.live.unwanted.is_cancelled() || self.inner.closing.is_cancelled() {
            return Some(Stop::Unwanted);
        }
        let state = self.live.state();
        let failed = state.counts.items.unsuccessful();
        state.settings.exceeded(failed, self.total).then_some(Stop::Exceeded)
    }

    fn may_start(&self) -> bool {
        let state = self.live.state();
        let limit = state.settings.max_concurrency.clamp(1, self.inner.maps.concurrency);
        (state.running.len() as u64) < limit && self.done.len() < 2 * BATCH_MAX
    }

    fn start(&self, next: Next) {
        let now = self.inner.now();
        let (index, running, input, text) = match next {
            Next::Child(child) => {
                let running = Running { mark: child.mark, items: child.items, started_at: now, again: None };
                (child.mark.child, running, child.input, child.text)
            }
            Next::Again(row) => {
                let mark = Mark { child: row.index, ..Mark::default() };
                let again = Some(row.redrive_count + 1);
                // Only JSON is ever written there.
                let input = Arc::new(serde_json::from_str(&row.input).unwrap_or_default());
                (row.index, Running { mark, items: row.items, started_at: now, again }, input, row.input)
            }
        };
        self.live.state().running.insert(index, running);
        let (inner, run, ends) = (Arc::clone(self.inner), Arc::clone(self.run), self.ends.0.clone());
        let redriven_at = running.again.and(self.redrive_at);
        self.inner.spawn(async move {
            let end = inner.run_child(&run, index, running, redriven_at, input, text).await;
            // The runner is gone only if the engine is.
            let _ = ends.send(end);
        });
    }

    fn end(&mut self, end: ChildRow) {
        let mut state = self.live.state();
        let Some(running) = state.running.remove(&end.index) else { return };
        if running.again.is_some() {
            let counts = &mut state.counts;
            counts.executions.pending_redrive = counts.executions.pending_redrive.saturating_sub(1);
            counts.items.pending_redrive = counts.items.pending_redrive.saturating_sub(end.items);
        }
        state.counts.executions.add(end.status, 1);
        state.counts.items.add(end.status, end.items);
        drop(state);
        self.done.push(end);
    }

    fn flush(&mut self) -> BoxFuture<'static, Result<()>> {
        let mark = self.mark();
        let ended = std::mem::take(&mut self.done);
        let progress = Arc::new(Progress { run: self.row, epoch: self.epoch, ended, mark });
        let (inner, arn) = (Arc::clone(self.inner), Arc::clone(&self.run.arn));
        async move { inner.journal_surely(&arn, move |c| progress.write(c)).await }.boxed()
    }
}

impl Inner {
    async fn run_child(
        self: &Arc<Self>,
        run: &MapRun,
        index: u64,
        running: Running,
        redriven_at: Option<Timestamp>,
        input: Arc<Value>,
        text: String,
    ) -> ChildRow {
        // Closed only with the engine, and then nobody waits for the child.
        let _permit = self.maps.permits.acquire().await;
        let name = child_name(&run.id, index);
        let start = Start {
            execution_arn: child_arn(&run.arn, &name),
            execution_name: name,
            role_arn: String::new(),
            state_machine_arn: run.child_machine_arn.to_string(),
            state_machine_name: run.child_machine_name.to_string(),
            input: Arc::unwrap_or_clone(input),
            keep_history: false,
        };
        let started_at = self.now();
        let ended = self.run_express(Arc::clone(&run.child), start, started_at).await;
        let (status, output, error, cause) = match ended.status {
            Status::Succeeded { output } => (ChildStatus::Succeeded, Some(output.to_string()), None, None),
            Status::TimedOut { error, cause } => (ChildStatus::TimedOut, None, error, cause),
            Status::Aborted { error, cause } => (ChildStatus::Aborted, None, error, cause),
            Status::Failed { error, cause } => (ChildStatus::Failed, None, error, cause),
            Status::Running => (ChildStatus::Failed, None, Some("States.Runtime".to_owned()), None),
        };
        ChildRow {
            index,
            status,
            items: running.items,
            input: text,
            output,
            error,
            cause,
            started_at,
            stopped_at: ended.stopped_at,
            redrive_count: running.again.unwrap_or(0),
            redriven_at,
        }
    }

    pub(crate) async fn map_run(&self, arn: &str) -> Result<MapRunDescription> {
        expect_map_run(arn)?;
        let row = self.run_row(arn).await?;
        Ok(self.describe_run(row))
    }

    fn describe_run(&self, row: RunRow) -> MapRunDescription {
        let live = self.maps.live().get(row.arn.as_str()).cloned();
        let (mut counts, mut running): (Counts, Vec<Running>) = (row.counts, Vec::new());
        if let Some(live) = &live {
            let state = live.state();
            // Otherwise the runner has not read the row yet.
            if state.settings.max_concurrency > 0 {
                running = state.running.values().copied().collect();
                // Those of a runner that was overtaken by a redrive are not the row's.
                if state.epoch == row.redrive_count {
                    counts = state.counts;
                }
            }
        }
        let total = row.items.unwrap_or(0);
        let sum = |again: bool, count: fn(&Running) -> u64| -> u64 {
            running.iter().filter(|running| running.again.is_some() == again).map(count).sum()
        };
        let tally = |tally: rows::Tally, total: u64, count: fn(&Running) -> u64| {
            let (first, again) = (sum(false, count), sum(true, count));
            MapRunCounts {
                pending: total.saturating_sub(tally.known() + first),
                running: first + again,
                succeeded: tally.succeeded,
                failed: tally.failed,
                timed_out: tally.timed_out,
                aborted: tally.aborted,
                total,
                results_written: tally.results_written,
                failures_not_redrivable: 0,
                pending_redrive: tally.pending_redrive.saturating_sub(again),
            }
        };
        let items = tally(counts.items, total, |running| running.items);
        // One child an item, until children of several items show how many there are.
        let known = counts.executions.known() + sum(false, |_| 1);
        let per_child = (counts.items.known() + sum(false, |running| running.items)).div_ceil(known.max(1));
        let children = if per_child <= 1 { total } else { known + items.pending.div_ceil(per_child) };
        MapRunDescription {
            status: MapRunStatus::from_name(&row.status),
            map_run_arn: row.arn,
            execution_arn: row.execution_arn,
            started_at: row.started_at,
            stopped_at: row.stopped_at,
            max_concurrency: row.max_concurrency,
            tolerated_failure_count: row.tolerated_count,
            tolerated_failure_percentage: row.tolerated_percentage,
            items,
            executions: tally(counts.executions, children, |_| 1),
            redrive_count: row.redrive_count,
            redriven_at: row.redriven_at,
            error: row.error,
            cause: row.cause,
        }
    }
}

fn child_of(run_arn: &str, uuid: &str, row: ChildRow) -> MapChild {
    let name = child_name(uuid, row.index);
    MapChild {
        state_machine_arn: map_machine(run_arn),
        execution_arn: child_arn(run_arn, &name),
        name: format!("{name}:{uuid}"),
        map_run_arn: run_arn.to_owned(),
        status: MapChildStatus::of(row.status),
        index: row.index,
        item_count: row.items,
        started_at: row.started_at,
        stopped_at: Some(row.stopped_at),
        redrive_count: row.redrive_count,
        redriven_at: row.redriven_at,
        input: Some(row.input),
        output: row.output,
        error: row.error,
        cause: row.cause,
    }
}

/// `…:mapRun:<machine>/<label>:<id>` as `…:stateMachine:<machine>/<label>`.
pub(crate) fn map_machine(run_arn: &str) -> String {
    let (machine, _) = run_arn.rsplit_once(':').unwrap_or((run_arn, ""));
    machine.replacen(":mapRun:", ":stateMachine:", 1)
}

fn running_child(run_arn: &str, uuid: &str, index: u64, running: Running) -> MapChild {
    let name = child_name(uuid, index);
    MapChild {
        state_machine_arn: map_machine(run_arn),
        execution_arn: child_arn(run_arn, &name),
        name: format!("{name}:{uuid}"),
        map_run_arn: run_arn.to_owned(),
        status: MapChildStatus::Execution(ExecutionStatus::Running),
        index,
        item_count: running.items,
        started_at: running.started_at,
        stopped_at: None,
        redrive_count: running.again.unwrap_or(0),
        redriven_at: None,
        input: None,
        output: None,
        error: None,
        cause: None,
    }
}

/// Which children of a Map Run to list, the latest first.
#[derive(Clone, Copy, Debug)]
pub struct MapChildFilter {
    /// Only these.
    pub status: Option<MapChildStatus>,
    /// At most so many.
    pub limit: u32,
    /// Only those with an index below this one.
    pub before: Option<u64>,
}

impl Engine {
    /// `DescribeMapRun`.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::InvalidArn`].
    pub async fn describe_map_run(&self, arn: &str) -> Result<MapRunDescription> {
        self.inner.map_run(arn).await
    }

    /// `ListMapRuns`: the runs of an execution, the latest first, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::ExecutionDoesNotExist`], [`Error::InvalidArn`].
    pub async fn list_map_runs(
        &self,
        execution_arn: &str,
        limit: u32,
        after: Option<i64>,
    ) -> Result<(Vec<MapRunDescription>, Option<i64>)> {
        expect_execution(execution_arn)?;
        let (key, before) = (execution_arn.to_owned(), after.unwrap_or(i64::MAX));
        let runs =
            self.inner.journal.read(move |c| rows::runs_of(c, &key, before, limit.saturating_add(1))).await?;
        let mut runs = runs.ok_or_else(|| Error::ExecutionDoesNotExist(execution_arn.to_owned()))?;
        let more = runs.len() > limit as usize;
        runs.truncate(limit as usize);
        let next = runs.last().filter(|_| more).map(|run| run.id);
        Ok((runs.into_iter().map(|run| self.inner.describe_run(run)).collect(), next))
    }

    /// `UpdateMapRun`: holds at once.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::InvalidArn`]; [`Error::Validation`] for a run that has ended.
    pub async fn update_map_run(&self, arn: &str, update: MapRunUpdate) -> Result<()> {
        expect_map_run(arn)?;
        let inner = &self.inner;
        let row = inner.run_row(arn).await?;
        let most = sluice_asl::limits::MAP_RUN_CONCURRENCY_MAX;
        let max_concurrency =
            update.max_concurrency.map(|limit| if limit == 0 { most } else { limit.min(most) });
        let (id, count, percentage) =
            (row.id, update.tolerated_failure_count, update.tolerated_failure_percentage);
        let updated =
            inner.journal.write(move |c| rows::update(c, id, max_concurrency, count, percentage)).await?;
        if !updated {
            return Err(Error::Validation(format!("Map Run is {} and cannot be updated", row.status)));
        }
        let live = inner.maps.live().get(arn).cloned();
        if let Some(live) = live {
            let mut state = live.state();
            // Otherwise the runner reads them with the row.
            if state.settings.max_concurrency > 0 {
                let settings = &mut state.settings;
                settings.max_concurrency = max_concurrency.unwrap_or(settings.max_concurrency);
                settings.tolerated_count = count.unwrap_or(settings.tolerated_count);
                settings.tolerated_percentage = percentage.unwrap_or(settings.tolerated_percentage);
            }
            drop(state);
            live.changed.notify_one();
        }
        Ok(())
    }

    /// `ListExecutions` of a Map Run: its children that have been started, the latest first, and below which index the next
    /// page begins.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::InvalidArn`].
    pub async fn list_map_children(
        &self,
        arn: &str,
        filter: MapChildFilter,
    ) -> Result<(Vec<MapChild>, Option<u64>)> {
        expect_map_run(arn)?;
        let run = self.inner.run_row(arn).await?;
        let MapChildFilter { status, limit, before } = filter;
        if before == Some(0) {
            return Ok((Vec::new(), None));
        }
        let from = before.map_or(rows::INDEX_MAX, |before| before - 1);
        let limit = limit.max(1) as usize;
        let live = self.inner.maps.live().get(arn).cloned();
        let running: BTreeMap<u64, Running> = live.map_or_else(BTreeMap::new, |live| {
            live.state().running.range(..=from).map(|(index, running)| (*index, *running)).collect()
        });
        let row_status = status.map(MapChildStatus::row_status);
        let rows = if row_status == Some(None) {
            Vec::new()
        } else {
            // A child that is run again is listed once: as one that runs.
            let limit = limit + 1 + running.values().filter(|running| running.again.is_some()).count();
            let (id, status) = (run.id, row_status.flatten());
            let wanted = Children { status, from, descending: true, limit, bytes_max: usize::MAX };
            self.inner.journal.read(move |c| rows::children(c, id, wanted)).await?
        };
        let mut found: BTreeMap<u64, MapChild> = rows
            .into_iter()
            .filter(|row| !running.contains_key(&row.index))
            .map(|row| (row.index, child_of(arn, &run.uuid, row)))
            .collect();
        if status.is_none_or(|status| status == MapChildStatus::Execution(ExecutionStatus::Running)) {
            found.extend(
                running
                    .into_iter()
                    .map(|(index, running)| (index, running_child(arn, &run.uuid, index, running))),
            );
        }
        let more = found.len() > limit;
        let page: Vec<MapChild> = found.into_values().rev().take(limit).collect();
        let next = page.last().filter(|_| more).map(|child| child.index);
        Ok((page, next))
    }

    /// `DescribeExecution` of a child of a Map Run.
    ///
    /// # Errors
    /// [`Error::ExecutionDoesNotExist`].
    pub async fn describe_map_child(&self, arn: &str) -> Result<MapChild> {
        let missing = || Error::ExecutionDoesNotExist(arn.to_owned());
        let mut parts = arn.rsplitn(3, ':');
        let (Some(uuid), Some(name)) = (parts.next(), parts.next()) else { return Err(missing()) };
        let key = uuid.to_owned();
        let run = self.inner.journal.read(move |c| rows::run_by_uuid(c, &key)).await?.ok_or_else(missing)?;
        let index =
            child_index(uuid, name).filter(|_| child_arn(&run.arn, name) == arn).ok_or_else(missing)?;
        let live = self.inner.maps.live().get(run.arn.as_str()).cloned();
        if let Some(running) = live.and_then(|live| live.state().running.get(&index).copied()) {
            return Ok(running_child(&run.arn, uuid, index, running));
        }
        let id = run.id;
        let row = self.inner.journal.read(move |c| rows::child(c, id, index)).await?.ok_or_else(missing)?;
        Ok(child_of(&run.arn, uuid, row))
    }
}

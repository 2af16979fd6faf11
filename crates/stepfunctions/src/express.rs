//! Express executions.
//!
//! Synchronous ones run at most once and leave no trace. Asynchronous ones run at least once: the start is journaled before
//! it is acknowledged and removed at the end, so after a crash whatever had not ended starts again from its beginning.
//!
//! Invariants: at most [`Options::express_concurrency`] asynchronous executions run and at most
//! [`Options::express_prefetch`] more are in memory; the backlog is in the journal. They begin in the order of their commit.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use rusqlite::params;
use serde_json::Value;
use sluice_asl::{Definition, Execution, Input, InputKind, MachineType, Start, Status, Timestamp};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::engine::{Engine, Inner, Options, Payload, Started, number, stamp};
use crate::error::{Error, Result};
use crate::limits::{BILLED_DURATION_STEP_MS, BILLED_MEMORY_STEP_MB};
use crate::machine::StateMachine;
use crate::worker::Worker;

/// How a synchronous execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// With an output.
    Succeeded,
    /// With an error.
    Failed,
    /// `TimeoutSeconds` of the machine, or five minutes, passed.
    TimedOut,
}

impl SyncStatus {
    /// AWS's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SyncStatus::Succeeded => "SUCCEEDED",
            SyncStatus::Failed => "FAILED",
            SyncStatus::TimedOut => "TIMED_OUT",
        }
    }
}

/// The answer of `StartSyncExecution`.
#[derive(Clone, Debug)]
pub struct SyncResult {
    /// `arn:aws:states:<region>:<account>:express:<machine>:<name>:<id>`.
    pub execution_arn: String,
    /// The name given, or a UUID.
    pub name: String,
    /// The machine that ran.
    pub state_machine_arn: Arc<str>,
    /// How it ended.
    pub status: SyncStatus,
    /// The output of a success.
    pub output: Option<Arc<Value>>,
    /// The error name of a failure.
    pub error: Option<String>,
    /// What is known beyond the name.
    pub cause: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub stopped_at: Timestamp,
}

impl SyncResult {
    /// `billingDetails.billedDurationInMilliseconds`: the duration in steps of 100 ms, at least one.
    #[must_use]
    pub fn billed_duration_ms(&self) -> i64 {
        let duration = self.stopped_at.as_millis() - self.started_at.as_millis();
        duration.div_euclid(BILLED_DURATION_STEP_MS).max(0) * BILLED_DURATION_STEP_MS
            + if duration > 0 && duration % BILLED_DURATION_STEP_MS == 0 {
                0
            } else {
                BILLED_DURATION_STEP_MS
            }
    }

    /// `billingDetails.billedMemoryUsedInMB`: always one step, since memory is not measured for one execution.
    #[must_use]
    pub fn billed_memory_mb(&self) -> i64 {
        BILLED_MEMORY_STEP_MB
    }
}

/// An asynchronous Express execution that did not succeed. AWS shows these in CloudWatch Logs only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressFailure {
    /// The machine that ran.
    pub state_machine_arn: String,
    /// The execution.
    pub execution_arn: String,
    /// `FAILED` or `TIMED_OUT`.
    pub status: String,
    /// The error name.
    pub error: Option<String>,
    /// What is known beyond the name.
    pub cause: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub stopped_at: Timestamp,
}

pub(crate) struct Express {
    backlog: Mutex<Backlog>,
    more: Notify,
    permits: Arc<Semaphore>,
    prefetch: usize,
}

struct Backlog {
    queue: VecDeque<Waiting>,
    /// Every row up to this id is in the queue, running, or done.
    loaded_through: i64,
    /// There may be rows beyond it.
    more: bool,
    /// The rows beyond it are being read.
    loading: bool,
}

/// A journaled execution that waits for its turn.
struct Waiting {
    id: i64,
    machine_id: i64,
    definition_id: i64,
    arn: String,
    name: String,
    input: Value,
    started_at: Timestamp,
}

pub(crate) struct Ended {
    pub(crate) status: Status,
    pub(crate) stopped_at: Timestamp,
}

impl Express {
    pub(crate) fn new(options: &Options, loaded_through: i64, more: bool) -> Self {
        let backlog = Backlog { queue: VecDeque::new(), loaded_through, more, loading: false };
        Express {
            backlog: Mutex::new(backlog),
            more: Notify::new(),
            permits: Arc::new(Semaphore::new(options.express_concurrency.max(1))),
            prefetch: options.express_prefetch.max(1),
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of rows that were committed: keeps them if they are the next ones and there is room, or has them read
    /// later.
    fn committed(&self, rows: Vec<Waiting>) {
        let (Some(first), Some(last)) = (rows.first().map(|row| row.id), rows.last().map(|row| row.id))
        else {
            return;
        };
        let mut backlog = self.backlog();
        if last <= backlog.loaded_through {
            return;
        }
        let next = !backlog.more && !backlog.loading && first == backlog.loaded_through + 1;
        if next && backlog.queue.len() + rows.len() <= self.prefetch {
            backlog.queue.extend(rows);
            backlog.loaded_through = last;
        } else {
            backlog.more = true;
        }
        drop(backlog);
        self.more.notify_one();
    }
}

impl Inner {
    fn express_arn(&self, machine: &StateMachine, name: &str) -> String {
        let Options { region, account, .. } = &self.options;
        format!("arn:aws:states:{region}:{account}:express:{}:{name}:{}", machine.name, self.uuid())
    }

    /// Journals asynchronous executions in one commit.
    pub(crate) async fn start_express(
        self: Arc<Self>,
        machine: &StateMachine,
        inputs: Vec<(String, Payload)>,
    ) -> Result<Vec<Started>> {
        let at = self.now();
        let (machine_id, definition_id) = (machine.id, machine.version.id);
        let mut texts = Vec::with_capacity(inputs.len());
        let mut rows = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            let arn = self.express_arn(machine, &name);
            let (text, input) = input.into_parts();
            texts.push(text);
            rows.push(Waiting { id: 0, machine_id, definition_id, arn, name, input, started_at: at });
        }
        let started: Vec<Started> =
            rows.iter().map(|row| Started { execution_arn: row.arn.clone(), started_at: at }).collect();
        if rows.is_empty() {
            return Ok(started);
        }
        self.begun(started.len());
        let written = self
            .journal
            .write(move |c| {
                let active = "SELECT EXISTS (SELECT 1 FROM machines WHERE id = ?1 AND status = 'ACTIVE')";
                if !c.prepare_cached(active)?.query_row([machine_id], |row| row.get(0))? {
                    return Ok(None);
                }
                let mut insert = c.prepare_cached(
                    "INSERT INTO express(machine_id, definition_id, arn, name, input, started_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?;
                for (row, text) in rows.iter_mut().zip(&texts) {
                    insert.execute(params![
                        machine_id,
                        definition_id,
                        row.arn,
                        row.name,
                        text,
                        number(at)
                    ])?;
                    row.id = c.last_insert_rowid();
                }
                Ok(Some(rows))
            })
            .await;
        match written {
            Ok(Some(rows)) => {
                self.express.committed(rows);
                Ok(started)
            }
            Ok(None) => {
                self.ended(started.len());
                Err(Error::StateMachineDeleting(machine.arn.to_string()))
            }
            Err(error) => {
                self.ended(started.len());
                Err(error.into())
            }
        }
    }

    pub(crate) async fn start_sync(
        self: &Arc<Self>,
        machine_arn: &str,
        name: Option<String>,
        input: Payload,
    ) -> Result<SyncResult> {
        self.expect_open()?;
        let machine = self.startable(machine_arn).await?;
        if machine.machine_type != MachineType::Express {
            return Err(Error::StateMachineTypeNotSupported);
        }
        let definition = machine.version.definition()?;
        let name = self.name(name)?;
        let execution_arn = self.express_arn(&machine, &name);
        let start = Inner::begin(
            &machine,
            &machine.version,
            execution_arn.clone(),
            name.clone(),
            input.into_value(),
            false,
        );
        let started_at = self.now();
        self.begun(1);
        let inner = Arc::clone(self);
        let ended = self
            .spawn(async move {
                let ended = inner.run_express(definition, start, started_at).await;
                inner.ended(1);
                ended
            })
            .await;
        let Ok(Some(Ended { status, stopped_at })) = ended else { return Err(Error::ShuttingDown) };
        let (status, output, error, cause) = match status {
            Status::Succeeded { output } => (SyncStatus::Succeeded, Some(output), None, None),
            Status::TimedOut { error, cause } => (SyncStatus::TimedOut, None, error, cause),
            Status::Failed { error, cause } | Status::Aborted { error, cause } => {
                (SyncStatus::Failed, None, error, cause)
            }
            Status::Running => (SyncStatus::Failed, None, Some("States.Runtime".to_owned()), None),
        };
        Ok(SyncResult {
            execution_arn,
            name,
            state_machine_arn: Arc::clone(&machine.arn),
            status,
            output,
            error,
            cause,
            started_at,
            stopped_at,
        })
    }

    /// Runs one execution in memory to its end.
    pub(crate) async fn run_express(
        self: &Arc<Self>,
        definition: Arc<Definition>,
        start: Start,
        at: Timestamp,
    ) -> Ended {
        let arn: Arc<str> = start.execution_arn.as_str().into();
        let running = AssertUnwindSafe(self.drive_express(definition, start, at)).catch_unwind();
        let failure = match running.await {
            Ok(Ok(ended)) => return ended,
            Ok(Err(why)) => why,
            Err(_) => "the engine panicked; see the log".to_owned(),
        };
        tracing::error!(execution = %arn, %failure, "an express execution could not be run");
        let status = Status::Failed { error: Some("States.Runtime".to_owned()), cause: Some(failure) };
        Ended { status, stopped_at: self.now() }
    }

    async fn drive_express(
        self: &Arc<Self>,
        definition: Arc<Definition>,
        start: Start,
        at: Timestamp,
    ) -> Result<Ended, String> {
        let mut worker = Worker::new(
            Arc::clone(self),
            start.execution_arn.as_str().into(),
            start.state_machine_arn.as_str().into(),
        );
        let input = Input { at, seed: self.seed(), kind: InputKind::Start(start) };
        let (mut execution, mut effects) =
            Execution::start(definition, input).map_err(|error| error.to_string())?;
        let mut last = at;
        while !worker.perform(effects) {
            let Some(kind) = worker.next().await else {
                return Err("the execution waits for nothing".to_owned());
            };
            last = last.max(self.now());
            let input = Input { at: last, seed: self.seed(), kind };
            effects = execution.apply(input).map_err(|error| error.to_string())?;
        }
        Ok(Ended { status: execution.status().clone(), stopped_at: execution.stop_date().unwrap_or(last) })
    }

    /// Runs the backlog, as long as the engine does.
    pub(crate) async fn dispatch_express(self: Arc<Self>) {
        loop {
            let Some(permit) =
                self.closing.run_until_cancelled(self.express.permits.clone().acquire_owned()).await
            else {
                return;
            };
            let Ok(permit) = permit else { return };
            let Some(waiting) = self.closing.run_until_cancelled(self.next_waiting()).await else { return };
            let inner = Arc::clone(&self);
            self.spawn(async move { inner.run_waiting(waiting, permit).await });
        }
    }

    async fn next_waiting(&self) -> Waiting {
        loop {
            let load_after = {
                let mut backlog = self.express.backlog();
                if let Some(waiting) = backlog.queue.pop_front() {
                    return waiting;
                }
                backlog.more.then(|| {
                    backlog.more = false;
                    backlog.loading = true;
                    backlog.loaded_through
                })
            };
            match load_after {
                None => self.express.more.notified().await,
                Some(after) => self.load_waiting(after).await,
            }
        }
    }

    async fn load_waiting(&self, after: i64) {
        let limit = self.express.prefetch;
        let loaded = self
            .journal
            .read(move |c| {
                let mut select = c.prepare_cached(
                    "SELECT id, machine_id, definition_id, arn, name, input, started_at
                     FROM express WHERE id > ?1 ORDER BY id LIMIT ?2",
                )?;
                let rows = select.query_map(params![after, limit], |row| {
                    let text: String = row.get(5)?;
                    Ok(Waiting {
                        id: row.get(0)?,
                        machine_id: row.get(1)?,
                        definition_id: row.get(2)?,
                        arn: row.get(3)?,
                        name: row.get(4)?,
                        // Only JSON is ever written there.
                        input: serde_json::from_str(&text).unwrap_or_default(),
                        started_at: stamp(row.get(6)?),
                    })
                })?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            })
            .await;
        let failed = {
            let mut backlog = self.express.backlog();
            backlog.loading = false;
            match loaded {
                Ok(rows) => {
                    backlog.more |= rows.len() == limit;
                    if let Some(last) = rows.last() {
                        backlog.loaded_through = last.id;
                    }
                    backlog.queue.extend(rows);
                    return;
                }
                Err(error) => {
                    backlog.more = true;
                    error
                }
            }
        };
        tracing::error!(error = %failed, "failed to read the backlog of express executions");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }

    async fn run_waiting(self: &Arc<Self>, waiting: Waiting, permit: OwnedSemaphorePermit) {
        let Waiting { id, machine_id, definition_id, arn, name, input, started_at } = waiting;
        let machine = self.machines().values().find(|machine| machine.id == machine_id).cloned();
        let prepared = async {
            let machine =
                machine.ok_or_else(|| Error::Internal(format!("machine {machine_id} is missing")))?;
            let version = self.version(definition_id).await?;
            let start = Inner::begin(&machine, &version, arn.clone(), name, input, false);
            Ok::<_, Error>((version.definition()?, start))
        };
        let ended = match prepared.await {
            // Five minutes count from now: the wait for a turn is not the execution's.
            Ok((definition, start)) => self.run_express(definition, start, self.now()).await,
            Err(error) => {
                let status = Status::Failed {
                    error: Some("States.Runtime".to_owned()),
                    cause: Some(error.to_string()),
                };
                Ended { status, stopped_at: self.now() }
            }
        };
        drop(permit);
        let (error, cause) = match &ended.status {
            Status::Succeeded { .. } | Status::Running => (None, None),
            Status::Failed { error, cause }
            | Status::TimedOut { error, cause }
            | Status::Aborted { error, cause } => {
                tracing::warn!(execution = %arn, status = ended.status.name(), ?error, ?cause, "an express execution failed");
                (error.clone(), cause.clone())
            }
        };
        let succeeded = matches!(ended.status, Status::Succeeded { .. });
        let (status, stopped_at) = (ended.status.name(), ended.stopped_at);
        let keep = i64::try_from(self.options.express_failures_max).unwrap_or(i64::MAX);
        let written = self
            .journal
            .write(move |c| {
                if !succeeded {
                    c.prepare_cached(
                        "INSERT INTO express_failures(machine_arn, arn, status, error, cause, started_at, stopped_at)
                         SELECT arn, ?2, ?3, ?4, ?5, ?6, ?7 FROM machines WHERE id = ?1",
                    )?
                    .execute(params![
                        machine_id,
                        arn,
                        status,
                        error,
                        cause,
                        number(started_at),
                        number(stopped_at)
                    ])?;
                    c.prepare_cached("DELETE FROM express_failures WHERE id <= ?1")?
                        .execute([c.last_insert_rowid() - keep])?;
                }
                c.prepare_cached("DELETE FROM express WHERE id = ?1")?.execute([id])
            })
            .await;
        if let Err(error) = written {
            tracing::error!(%error, "failed to journal the end of an express execution; it will run again");
        }
        self.ended(1);
    }
}

impl Engine {
    /// The latest asynchronous Express executions that did not succeed, the last one first; at most
    /// [`Options::express_failures_max`] are kept.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn express_failures(&self, limit: usize) -> Result<Vec<ExpressFailure>> {
        let failures = self
            .inner
            .journal
            .read(move |c| {
                let mut select = c.prepare_cached(
                    "SELECT machine_arn, arn, status, error, cause, started_at, stopped_at
                     FROM express_failures ORDER BY id DESC LIMIT ?1",
                )?;
                let rows = select.query_map([limit], |row| {
                    Ok(ExpressFailure {
                        state_machine_arn: row.get(0)?,
                        execution_arn: row.get(1)?,
                        status: row.get(2)?,
                        error: row.get(3)?,
                        cause: row.get(4)?,
                        started_at: stamp(row.get(5)?),
                        stopped_at: stamp(row.get(6)?),
                    })
                })?;
                rows.collect()
            })
            .await?;
        Ok(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: std::ops::RangeInclusive<i64>) -> Vec<Waiting> {
        let row = |id| Waiting {
            id,
            machine_id: 1,
            definition_id: 1,
            arn: String::new(),
            name: String::new(),
            input: Value::Null,
            started_at: stamp(0),
        };
        ids.map(row).collect()
    }

    fn queued(express: &Express) -> Vec<i64> {
        express.backlog().queue.iter().map(|row| row.id).collect()
    }

    #[test]
    fn what_is_told_out_of_order_is_read_in_order_from_the_journal() {
        let express = Express::new(&Options::default(), 0, false);
        express.committed(rows(1..=2));
        // The commit of 3 to 5 was acknowledged to its caller a little later.
        express.committed(rows(6..=7));
        express.committed(rows(3..=5));
        assert_eq!(queued(&express), [1, 2]);
        let backlog = express.backlog();
        assert_eq!((backlog.loaded_through, backlog.more), (2, true));
    }

    #[test]
    fn what_is_told_while_the_journal_is_read_or_was_read_already_is_not_kept_twice() {
        let express = Express::new(&Options::default(), 2, false);
        express.committed(rows(1..=2));
        assert_eq!((queued(&express), express.backlog().more), (vec![], false));
        express.backlog().loading = true;
        express.committed(rows(3..=4));
        assert_eq!((queued(&express), express.backlog().more), (vec![], true));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let options = Options { express_prefetch: 3, ..Options::default() };
        let express = Express::new(&options, 0, false);
        express.committed(rows(1..=2));
        express.committed(rows(3..=4));
        assert_eq!((queued(&express), express.backlog().more), (vec![1, 2], true));
    }
}

//! Map Runs and their children in the journal.
//!
//! Invariants:
//! - A run's row is written in the commit that journals its start, its redrive or its end by the parent; its status is
//!   that of `DescribeMapRun`. The runner ends a run only if it is still RUNNING.
//! - A child has a row when it has ended, written with the run's counts and mark in one commit. A child without a row has
//!   not ended, wherever the process was killed: it is run (again) from its item.
//! - The counts of a row are those of its children's rows: a commit adds to them what it writes, and never replaces them.
//! - A runner writes under the `redrive_count` that it read (its epoch). What a runner of an earlier epoch still writes is
//!   taken as the redrive would have taken it: a success counts, a failure waits to be run again. It ends no run, and
//!   changes nothing that is read.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sluice_asl::{Effect, MapRun, Timestamp};

use super::items::{Mark, Version};
use crate::engine::{number, stamp};

/// Bits of a child's key that hold its index.
const INDEX_BITS: u32 = 32;

pub(crate) const SCHEMA: &str = "
-- Map Runs. counts and mark are JSON; etag and size tell the object that the items are read from, items how many it has.
CREATE TABLE map_runs(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id INTEGER NOT NULL,
    arn TEXT NOT NULL UNIQUE,
    uuid TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    max_concurrency INTEGER NOT NULL,
    tolerated_count INTEGER NOT NULL,
    tolerated_percentage REAL NOT NULL,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER,
    redriven_at INTEGER,
    redrive_count INTEGER NOT NULL DEFAULT 0,
    counts TEXT NOT NULL,
    mark TEXT NOT NULL,
    items INTEGER,
    etag TEXT,
    size INTEGER,
    output TEXT,
    error TEXT,
    cause TEXT
) STRICT;
CREATE INDEX map_runs_by_execution ON map_runs(execution_id, id);

-- Children of Map Runs that have ended. The key is run id * 2^32 + index.
CREATE TABLE map_children(
    key INTEGER PRIMARY KEY,
    status TEXT NOT NULL,
    items INTEGER NOT NULL,
    input TEXT NOT NULL,
    output TEXT,
    error TEXT,
    cause TEXT,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER NOT NULL,
    redrive_count INTEGER NOT NULL DEFAULT 0,
    redriven_at INTEGER
) STRICT;
CREATE INDEX map_children_not_succeeded ON map_children(status, key) WHERE status <> 'SUCCEEDED';
";

/// Children, or items, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) timed_out: u64,
    pub(super) aborted: u64,
    /// Failed before, and to be run again by a redrive.
    pub(super) pending_redrive: u64,
    pub(super) results_written: u64,
}

impl Tally {
    pub(super) fn add(&mut self, status: ChildStatus, count: u64) {
        match status {
            ChildStatus::Succeeded => self.succeeded += count,
            ChildStatus::Failed => self.failed += count,
            ChildStatus::TimedOut => self.timed_out += count,
            ChildStatus::Aborted => self.aborted += count,
            ChildStatus::PendingRedrive => self.pending_redrive += count,
        }
    }

    /// What did not end well.
    pub(super) fn unsuccessful(&self) -> u64 {
        self.failed + self.timed_out + self.aborted
    }

    /// Whatever has ended, or had before a redrive.
    pub(super) fn known(&self) -> u64 {
        self.succeeded + self.unsuccessful() + self.pending_redrive
    }

    fn take(&mut self, status: ChildStatus, count: u64) {
        let held = match status {
            ChildStatus::Succeeded => &mut self.succeeded,
            ChildStatus::Failed => &mut self.failed,
            ChildStatus::TimedOut => &mut self.timed_out,
            ChildStatus::Aborted => &mut self.aborted,
            ChildStatus::PendingRedrive => &mut self.pending_redrive,
        };
        *held = held.saturating_sub(count);
    }

    fn redrive(&mut self) {
        self.pending_redrive += self.unsuccessful();
        (self.failed, self.timed_out, self.aborted, self.results_written) = (0, 0, 0, 0);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) executions: Tally,
    pub(super) items: Tally,
}

/// What `ListExecutions` calls the status of a child that has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildStatus {
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    PendingRedrive,
}

impl ChildStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            ChildStatus::Succeeded => "SUCCEEDED",
            ChildStatus::Failed => "FAILED",
            ChildStatus::TimedOut => "TIMED_OUT",
            ChildStatus::Aborted => "ABORTED",
            ChildStatus::PendingRedrive => "PENDING_REDRIVE",
        }
    }

    fn from_name(name: &str) -> Self {
        use ChildStatus::{Aborted, Failed, PendingRedrive, Succeeded, TimedOut};
        let known = [Succeeded, Failed, TimedOut, PendingRedrive];
        known.into_iter().find(|status| status.name() == name).unwrap_or(Aborted)
    }
}

/// A Map Run's row.
#[derive(Clone, Debug)]
pub(super) struct RunRow {
    pub(super) id: i64,
    pub(super) execution_arn: String,
    pub(super) arn: String,
    pub(super) uuid: String,
    pub(super) status: String,
    pub(super) max_concurrency: u64,
    pub(super) tolerated_count: u64,
    pub(super) tolerated_percentage: f64,
    pub(super) started_at: Timestamp,
    pub(super) stopped_at: Option<Timestamp>,
    pub(super) redriven_at: Option<Timestamp>,
    pub(super) redrive_count: u32,
    pub(super) counts: Counts,
    pub(super) mark: Mark,
    pub(super) items: Option<u64>,
    pub(super) version: Option<Version>,
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
}

const RUN: &str = "r.id, e.arn, r.arn, r.uuid, r.status, r.max_concurrency, r.tolerated_count, r.tolerated_percentage,
    r.started_at, r.stopped_at, r.redriven_at, r.redrive_count, r.counts, r.mark, r.items, r.etag, r.size, r.output,
    r.error, r.cause";

fn json<T: serde::de::DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn text<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (etag, size): (Option<String>, Option<i64>) = (row.get(15)?, row.get(16)?);
    Ok(RunRow {
        id: row.get(0)?,
        execution_arn: row.get(1)?,
        arn: row.get(2)?,
        uuid: row.get(3)?,
        status: row.get(4)?,
        max_concurrency: row.get(5)?,
        tolerated_count: row.get(6)?,
        tolerated_percentage: row.get(7)?,
        started_at: stamp(row.get(8)?),
        stopped_at: row.get::<_, Option<i64>>(9)?.map(stamp),
        redriven_at: row.get::<_, Option<i64>>(10)?.map(stamp),
        redrive_count: row.get(11)?,
        counts: json(row, 12)?,
        mark: json(row, 13)?,
        items: row.get(14)?,
        version: etag.zip(size).map(|(etag, size)| Version { etag, size: size.cast_unsigned() }),
        output: row.get(17)?,
        error: row.get(18)?,
        cause: row.get(19)?,
    })
}

/// The run of this ARN.
pub(super) fn run_by_arn(c: &Connection, arn: &str) -> rusqlite::Result<Option<RunRow>> {
    let sql =
        format!("SELECT {RUN} FROM map_runs r JOIN executions e ON e.id = r.execution_id WHERE r.arn = ?1");
    c.prepare_cached(&sql)?.query_row([arn], read_run).optional()
}

/// The run of this UUID.
pub(super) fn run_by_uuid(c: &Connection, uuid: &str) -> rusqlite::Result<Option<RunRow>> {
    let sql =
        format!("SELECT {RUN} FROM map_runs r JOIN executions e ON e.id = r.execution_id WHERE r.uuid = ?1");
    c.prepare_cached(&sql)?.query_row([uuid], read_run).optional()
}

/// The runs of an execution, the latest first, beginning below `before`.
pub(super) fn runs_of(
    c: &Connection,
    execution_arn: &str,
    before: i64,
    limit: u32,
) -> rusqlite::Result<Option<Vec<RunRow>>> {
    let execution: Option<i64> = c
        .prepare_cached("SELECT id FROM executions WHERE arn = ?1")?
        .query_row([execution_arn], |row| row.get(0))
        .optional()?;
    let Some(execution) = execution else { return Ok(None) };
    let sql = format!(
        "SELECT {RUN} FROM map_runs r JOIN executions e ON e.id = r.execution_id
         WHERE r.execution_id = ?1 AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3"
    );
    let mut select = c.prepare_cached(&sql)?;
    let runs = select.query_map(params![execution, before, limit], read_run)?;
    runs.collect::<rusqlite::Result<Vec<_>>>().map(Some)
}

/// What a step of an execution does to its Map Runs.
pub(crate) enum MapChange {
    Start(std::sync::Arc<MapRun>),
    Stop(std::sync::Arc<str>),
}

impl MapChange {
    /// Those among the effects of a step.
    pub(crate) fn of(effects: &[Effect]) -> Vec<MapChange> {
        let change = |effect: &Effect| match effect {
            Effect::StartMapRun(run) => Some(MapChange::Start(run.clone())),
            Effect::StopMapRun { arn, .. } => Some(MapChange::Stop(arn.clone())),
            Effect::ScheduleTask(_)
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::CancelTask { .. }
            | Effect::Finished => None,
        };
        effects.iter().filter_map(change).collect()
    }

    pub(crate) fn write(&self, c: &Connection, execution: i64, at: i64) -> rusqlite::Result<()> {
        match self {
            MapChange::Stop(arn) => {
                c.prepare_cached(
                    "UPDATE map_runs SET status = 'ABORTED', stopped_at = ?2 WHERE arn = ?1 AND status = 'RUNNING'",
                )?
                .execute(params![arn, at])?;
                Ok(())
            }
            MapChange::Start(run) => match run_by_arn(c, &run.arn)? {
                None => insert(c, execution, run, at),
                Some(row) if row.redrive_count < run.redrive_count => redrive(c, &row, run.redrive_count, at),
                Some(_) => Ok(()),
            },
        }
    }
}

fn insert(c: &Connection, execution: i64, run: &MapRun, at: i64) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT INTO map_runs(execution_id, arn, uuid, status, max_concurrency, tolerated_count, tolerated_percentage,
                              started_at, counts, mark)
         VALUES (?1, ?2, ?3, 'RUNNING', ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        execution,
        run.arn,
        run.id,
        run.max_concurrency,
        run.tolerated_failure_count.min(i64::MAX.cast_unsigned()),
        run.tolerated_failure_percentage,
        at,
        text(&Counts::default())?,
        text(&Mark::default())?,
    ])?;
    Ok(())
}

/// A run that ended well stays as it is: the parent has not heard of it yet.
fn redrive(c: &Connection, row: &RunRow, redrive_count: u32, at: i64) -> rusqlite::Result<()> {
    if row.status == "SUCCEEDED" {
        c.prepare_cached("UPDATE map_runs SET redrive_count = ?2, redriven_at = ?3 WHERE id = ?1")?
            .execute(params![row.id, redrive_count, at])?;
        return Ok(());
    }
    let mut counts = row.counts;
    counts.executions.redrive();
    counts.items.redrive();
    // Nothing of the object was used, so another may have taken its place.
    let unread = row.mark == Mark::default() && counts.executions.known() == 0;
    let (first, last) = keys(row.id);
    for status in [ChildStatus::Failed, ChildStatus::TimedOut, ChildStatus::Aborted] {
        c.prepare_cached(
            "UPDATE map_children SET status = 'PENDING_REDRIVE'
             WHERE status <> 'SUCCEEDED' AND status = ?3 AND key BETWEEN ?1 AND ?2",
        )?
        .execute(params![first, last, status.name()])?;
    }
    c.prepare_cached(
        "UPDATE map_runs SET status = 'RUNNING', stopped_at = NULL, redriven_at = ?2, redrive_count = ?3, counts = ?4,
             output = NULL, error = NULL, cause = NULL, items = iif(?5, NULL, items), etag = iif(?5, NULL, etag),
             size = iif(?5, NULL, size)
         WHERE id = ?1",
    )?
    .execute(params![row.id, at, redrive_count, text(&counts)?, unread])?;
    Ok(())
}

/// The keys of a run's children.
fn keys(run: i64) -> (i64, i64) {
    (run << INDEX_BITS, run << INDEX_BITS | i64::from(u32::MAX))
}

/// The largest index of a child; a run has fewer items than that.
pub(super) const INDEX_MAX: u64 = u32::MAX as u64;

fn key(run: i64, index: u64) -> i64 {
    run << INDEX_BITS | index.min(INDEX_MAX).cast_signed()
}

/// A child that has ended.
#[derive(Clone, Debug)]
pub(super) struct ChildRow {
    pub(super) index: u64,
    pub(super) status: ChildStatus,
    pub(super) items: u64,
    /// JSON.
    pub(super) input: String,
    /// JSON.
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) started_at: Timestamp,
    pub(super) stopped_at: Timestamp,
    pub(super) redrive_count: u32,
    pub(super) redriven_at: Option<Timestamp>,
}

const CHILD: &str =
    "key & 4294967295, status, items, input, output, error, cause, started_at, stopped_at, redrive_count,
    redriven_at";

fn read_child(row: &Row<'_>) -> rusqlite::Result<ChildRow> {
    let status: String = row.get(1)?;
    Ok(ChildRow {
        index: row.get(0)?,
        status: ChildStatus::from_name(&status),
        items: row.get(2)?,
        input: row.get(3)?,
        output: row.get(4)?,
        error: row.get(5)?,
        cause: row.get(6)?,
        started_at: stamp(row.get(7)?),
        stopped_at: stamp(row.get(8)?),
        redrive_count: row.get(9)?,
        redriven_at: row.get::<_, Option<i64>>(10)?.map(stamp),
    })
}

/// One child.
pub(super) fn child(c: &Connection, run: i64, index: u64) -> rusqlite::Result<Option<ChildRow>> {
    let sql = format!("SELECT {CHILD} FROM map_children WHERE key = ?1");
    c.prepare_cached(&sql)?.query_row([key(run, index)], read_child).optional()
}

/// Which children to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Children {
    pub(super) status: Option<ChildStatus>,
    /// From this index, upwards or downwards.
    pub(super) from: u64,
    pub(super) descending: bool,
    pub(super) limit: usize,
    /// No more once so many bytes of data have been read.
    pub(super) bytes_max: usize,
}

/// Children of a run in the order of their indexes.
pub(super) fn children(c: &Connection, run: i64, wanted: Children) -> rusqlite::Result<Vec<ChildRow>> {
    let (first, last) = keys(run);
    let (first, last) =
        if wanted.descending { (first, key(run, wanted.from)) } else { (key(run, wanted.from), last) };
    // Written so that the partial index can be used.
    let by_status = match wanted.status {
        None => "?3 IS NULL",
        Some(ChildStatus::Succeeded) => "status = ?3",
        Some(_) => "status <> 'SUCCEEDED' AND status = ?3",
    };
    let order = if wanted.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {CHILD} FROM map_children WHERE key BETWEEN ?1 AND ?2 AND {by_status} ORDER BY key {order} LIMIT ?4"
    );
    let status = wanted.status.map(ChildStatus::name);
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params![first, last, status, wanted.limit])?;
    let mut found = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let child = read_child(row)?;
        bytes += child.input.len() + child.output.as_ref().map_or(0, String::len);
        found.push(child);
        if bytes >= wanted.bytes_max {
            break;
        }
    }
    Ok(found)
}

/// The indexes at or after `from` of the children that have rows.
pub(super) fn ended_from(c: &Connection, run: i64, from: u64) -> rusqlite::Result<Vec<u64>> {
    let (_, last) = keys(run);
    c.prepare_cached("SELECT key & 4294967295 FROM map_children WHERE key BETWEEN ?1 AND ?2")?
        .query_map([key(run, from), last], |row| row.get(0))?
        .collect()
}

/// What a runner has to say since it last did.
pub(super) struct Progress {
    pub(super) run: i64,
    /// The `redrive_count` that the runner read.
    pub(super) epoch: u32,
    pub(super) ended: Vec<ChildRow>,
    pub(super) mark: Mark,
}

impl Progress {
    pub(super) fn write(&self, c: &Connection) -> rusqlite::Result<()> {
        let held: Option<(u32, Counts, Option<u64>)> = c
            .prepare_cached("SELECT redrive_count, counts, items FROM map_runs WHERE id = ?1")?
            .query_row([self.run], |row| Ok((row.get(0)?, json(row, 1)?, row.get(2)?)))
            .optional()?;
        // The run was erased, or a redrive reads its items anew: its children are not these.
        let Some((epoch, mut counts, Some(_items))) = held else { return Ok(()) };
        let stale = epoch != self.epoch;
        let mut before = c.prepare_cached("SELECT status, items FROM map_children WHERE key = ?1")?;
        let mut insert = c.prepare_cached(
            "INSERT OR REPLACE INTO map_children(key, status, items, input, output, error, cause, started_at, stopped_at,
                                                 redrive_count, redriven_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for child in &self.ended {
            let key = key(self.run, child.index);
            let replaced = before
                .query_row([key], |row| Ok((ChildStatus::from_name(&row.get::<_, String>(0)?), row.get(1)?)))
                .optional()?;
            if let Some((status, items)) = replaced {
                counts.executions.take(status, 1);
                counts.items.take(status, items);
            }
            let status = match child.status {
                ChildStatus::Succeeded => ChildStatus::Succeeded,
                _ if stale => ChildStatus::PendingRedrive,
                status => status,
            };
            counts.executions.add(status, 1);
            counts.items.add(status, child.items);
            insert.execute(params![
                key,
                status.name(),
                child.items,
                child.input,
                child.output,
                child.error,
                child.cause,
                number(child.started_at),
                number(child.stopped_at),
                child.redrive_count,
                child.redriven_at.map(number),
            ])?;
        }
        c.prepare_cached("UPDATE map_runs SET counts = ?2, mark = ?3 WHERE id = ?1")?.execute(params![
            self.run,
            text(&counts)?,
            text(&self.mark)?
        ])?;
        Ok(())
    }
}

/// Notes what is read, unless the run was redriven since.
pub(super) fn counted(
    c: &Connection,
    (run, epoch): (i64, u32),
    items: u64,
    version: Option<&Version>,
) -> rusqlite::Result<()> {
    c.prepare_cached(
        "UPDATE map_runs SET items = ?3, etag = ?4, size = ?5 WHERE id = ?1 AND redrive_count = ?2",
    )?
    .execute(params![
        run,
        epoch,
        items,
        version.map(|version| &version.etag),
        version.map(|version| version.size.cast_signed()),
    ])?;
    Ok(())
}

/// How a run ended.
pub(super) struct End {
    pub(super) run: i64,
    /// The `redrive_count` that the runner read.
    pub(super) epoch: u32,
    pub(super) at: Timestamp,
    /// The output, or error and cause.
    pub(super) outcome: Result<String, (String, Option<String>)>,
    pub(super) counts: Counts,
}

impl End {
    /// False if the run was stopped meanwhile, and perhaps redriven since.
    pub(super) fn write(&self, c: &Connection) -> rusqlite::Result<bool> {
        let (status, output, error, cause) = match &self.outcome {
            Ok(output) => ("SUCCEEDED", Some(output), None, None),
            Err((error, cause)) => ("FAILED", None, Some(error), cause.as_ref()),
        };
        let changed = c
            .prepare_cached(
                "UPDATE map_runs SET status = ?2, stopped_at = ?3, output = ?4, error = ?5, cause = ?6, counts = ?7
                 WHERE id = ?1 AND status = 'RUNNING' AND redrive_count = ?8",
            )?
            .execute(params![
                self.run,
                status,
                number(self.at),
                output,
                error,
                cause,
                text(&self.counts)?,
                self.epoch,
            ])?;
        Ok(changed == 1)
    }
}

/// `UpdateMapRun`; false if the run is not running.
pub(super) fn update(
    c: &Connection,
    run: i64,
    max_concurrency: Option<u64>,
    tolerated_count: Option<u64>,
    tolerated_percentage: Option<f64>,
) -> rusqlite::Result<bool> {
    let changed = c
        .prepare_cached(
            "UPDATE map_runs SET max_concurrency = coalesce(?2, max_concurrency),
                 tolerated_count = coalesce(?3, tolerated_count),
                 tolerated_percentage = coalesce(?4, tolerated_percentage)
             WHERE id = ?1 AND status = 'RUNNING'",
        )?
        .execute(params![run, max_concurrency, tolerated_count, tolerated_percentage])?;
    Ok(changed == 1)
}

/// Erases the Map Runs of an execution and their children.
pub(crate) fn erase(c: &Connection, execution: i64) -> rusqlite::Result<()> {
    let runs: Vec<i64> = c
        .prepare_cached("SELECT id FROM map_runs WHERE execution_id = ?1")?
        .query_map([execution], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for run in runs {
        let (first, last) = keys(run);
        c.prepare_cached("DELETE FROM map_children WHERE key BETWEEN ?1 AND ?2")?.execute([first, last])?;
        c.prepare_cached("DELETE FROM map_runs WHERE id = ?1")?.execute([run])?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;

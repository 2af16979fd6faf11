//! Activities, and tasks whose result comes from whoever has their token.
//!
//! Follows "Activities in Step Functions" and "Wait for a Callback with Task Token" of the
//! Developer Guide and the API reference; messages are AWS's.
//!
//! Invariants:
//! - A task of an activity waits in the journal from the commit that scheduled it to the commit
//!   that
//!   says which worker took it. What a worker was given and never reported is lost to its timeout,
//!   as on AWS.
//! - A token leads to its execution, whose own state says whether the token is still worth
//!   anything.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use sluice_asl::{Effect, InputKind, TaskId, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::arn::{check_name, expect_activity};
use crate::engine::{Inner, number, stamp};
use crate::error::{Error, Result};
use crate::limits::{ACTIVITIES_MAX, POLL_SECONDS_MAX};

/// The tables, since schema version 4.
pub(crate) const SCHEMA: &str = "
CREATE TABLE activities(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Tasks that no worker has taken yet.
CREATE TABLE activity_tasks(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    activity_arn TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    task INTEGER NOT NULL,
    token TEXT NOT NULL,
    input TEXT NOT NULL,
    UNIQUE(execution_id, task)
) STRICT;
CREATE INDEX activity_tasks_by_activity ON activity_tasks(activity_arn, id);
";

/// What a step of an execution does to the tasks that wait for workers.
pub(crate) enum ActivityChange {
    Waits {
        activity: Arc<str>,
        task: TaskId,
        token: Arc<str>,
        input: String,
    },
    /// It was taken, or is not wanted any more.
    Gone(TaskId),
}

impl ActivityChange {
    /// Those among the effects of a step.
    pub(crate) fn of(effects: &[Effect]) -> Vec<ActivityChange> {
        let change = |effect: &Effect| match effect {
            Effect::ScheduleTask(scheduled) if scheduled.is_activity => {
                scheduled.token.as_ref().map(|token| ActivityChange::Waits {
                    activity: Arc::clone(&scheduled.resource),
                    task: scheduled.task,
                    token: Arc::clone(token),
                    input: scheduled.arguments.to_string(),
                })
            }
            Effect::CancelTask { task } => Some(ActivityChange::Gone(*task)),
            Effect::ScheduleTask(_)
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::StartMapRun(_)
            | Effect::StopMapRun { .. }
            | Effect::Finished => None,
        };
        effects.iter().filter_map(change).collect()
    }

    pub(crate) fn write(&self, c: &Connection, execution: i64) -> rusqlite::Result<()> {
        match self {
            ActivityChange::Waits { activity, task, token, input } => {
                c.prepare_cached(
                    "INSERT OR IGNORE INTO activity_tasks(activity_arn, execution_id, task, token, input)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    activity,
                    execution,
                    task.0.cast_signed(),
                    token,
                    input
                ])?;
            }
            ActivityChange::Gone(task) => {
                c.prepare_cached("DELETE FROM activity_tasks WHERE execution_id = ?1 AND task = ?2")?
                    .execute([execution, task.0.cast_signed()])?;
            }
        }
        Ok(())
    }
}

/// Erases what waits of an execution.
pub(crate) fn erase(c: &Connection, execution: i64) -> rusqlite::Result<()> {
    c.prepare_cached("DELETE FROM activity_tasks WHERE execution_id = ?1")?.execute([execution])?;
    Ok(())
}

/// What whoever has a token says.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    Started { worker: Option<String> },
    Heartbeat,
    Succeeded(Value),
    Failed { error: String, cause: Option<String> },
}

impl Report {
    pub(crate) fn into_input(self, task: TaskId) -> InputKind {
        match self {
            Report::Started { worker } => InputKind::ActivityStarted { task, worker },
            Report::Heartbeat => InputKind::TaskHeartbeat { task },
            Report::Succeeded(output) => InputKind::TaskSucceeded { task, output },
            Report::Failed { error, cause } => InputKind::TaskFailed { task, error, cause },
        }
    }
}

/// Workers that wait for tasks.
#[derive(Default)]
pub(crate) struct Activities {
    /// Rows that are being handed to a worker.
    claimed: Mutex<HashSet<i64>>,
    /// A task has come.
    arrived: Notify,
}

impl Activities {
    fn claimed(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every worker look again.
    pub(crate) fn arrived(&self) {
        self.arrived.notify_waiters();
    }
}

/// A row that a worker has in its hands; given back when dropped.
struct Claim<'a> {
    activities: &'a Activities,
    row: i64,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.activities.claimed().remove(&self.row);
    }
}

/// An activity.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

fn read_activity(row: &Row<'_>) -> rusqlite::Result<Activity> {
    Ok(Activity { arn: row.get(0)?, name: row.get(1)?, created_at: stamp(row.get(2)?) })
}

struct Waiting {
    row: i64,
    execution: i64,
    task: i64,
    token: String,
    input: String,
}

impl Inner {
    /// `CreateActivity`. The same name again answers the same.
    pub(crate) async fn create_activity(&self, name: String) -> Result<Activity> {
        check_name(&name)?;
        let (region, account) = (&self.options.region, &self.options.account);
        let arn = format!("arn:aws:states:{region}:{account}:activity:{name}");
        let at = number(self.now());
        let created = self.journal.write(move |c| {
            let count: i64 = c.query_row("SELECT count(*) FROM activities", [], |row| row.get(0))?;
            if count < ACTIVITIES_MAX {
                c.execute(
                    "INSERT OR IGNORE INTO activities(arn, name, created_at) VALUES (?1, ?2, ?3)",
                    params![arn, name, at],
                )?;
            }
            let select = "SELECT arn, name, created_at FROM activities WHERE arn = ?1";
            c.query_row(select, [&arn], read_activity).optional()
        });
        created.await?.ok_or_else(|| {
            Error::ActivityLimitExceeded(format!(
                "There are {ACTIVITIES_MAX} activities, the most there can be."
            ))
        })
    }

    pub(crate) async fn activity(&self, arn: &str) -> Result<Activity> {
        expect_activity(arn)?;
        let key = arn.to_owned();
        let read = self.journal.read(move |c| {
            c.prepare_cached("SELECT arn, name, created_at FROM activities WHERE arn = ?1")?
                .query_row([key], read_activity)
                .optional()
        });
        read.await?.ok_or_else(|| Error::ActivityDoesNotExist(arn.to_owned()))
    }

    /// `DeleteActivity`. An activity that does not exist is no error, as for AWS.
    pub(crate) async fn delete_activity(&self, arn: &str) -> Result<()> {
        expect_activity(arn)?;
        let arn = arn.to_owned();
        self.journal.write(move |c| c.execute("DELETE FROM activities WHERE arn = ?1", [arn])).await?;
        Ok(())
    }

    /// Activities by name, after `after`.
    pub(crate) async fn list_activities(&self, after: String, limit: u32) -> Result<Vec<Activity>> {
        let read = self.journal.read(move |c| {
            c.prepare_cached(
                "SELECT arn, name, created_at FROM activities WHERE name > ?1 ORDER BY name LIMIT ?2",
            )?
            .query_map(params![after, limit], read_activity)?
            .collect()
        });
        Ok(read.await?)
    }

    /// `GetActivityTask`: the token and input of the task that waits longest; `None` when none
    /// comes within a minute.
    pub(crate) async fn activity_task(
        self: &Arc<Self>,
        arn: &str,
        worker: Option<String>,
    ) -> Result<Option<(String, String)>> {
        self.activity(arn).await?;
        let until = Instant::now() + Duration::from_secs(POLL_SECONDS_MAX);
        loop {
            // Before it is looked, so that what comes meanwhile is not missed.
            let arrived = self.activities.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            while let Some((waiting, claim)) = self.claim(arn).await? {
                let report = Report::Started { worker: worker.clone() };
                let taken = self.report_to(waiting.execution, &waiting.token, report).await;
                let (execution, task) = (waiting.execution, waiting.task);
                let gone = ActivityChange::Gone(TaskId(task.cast_unsigned()));
                // Taken by the step itself; if not, nobody waits for it any more.
                self.journal.write(move |c| gone.write(c, execution)).await?;
                drop(claim);
                match taken {
                    Ok(_) => return Ok(Some((waiting.token, waiting.input))),
                    Err(Error::TaskTimedOut | Error::TaskDoesNotExist) => {}
                    Err(error) => return Err(error),
                }
            }
            let waited = tokio::time::timeout_at(until, arrived);
            match self.closing.run_until_cancelled(waited).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// The oldest task of an activity that no other worker has in its hands.
    async fn claim(&self, arn: &str) -> Result<Option<(Waiting, Claim<'_>)>> {
        let mut after = 0;
        loop {
            let arn = arn.to_owned();
            let read = self.journal.read(move |c| {
                c.prepare_cached(
                    "SELECT id, execution_id, task, token, input FROM activity_tasks
                     WHERE activity_arn = ?1 AND id > ?2 ORDER BY id LIMIT 1",
                )?
                .query_row(params![arn, after], |row| {
                    Ok(Waiting {
                        row: row.get(0)?,
                        execution: row.get(1)?,
                        task: row.get(2)?,
                        token: row.get(3)?,
                        input: row.get(4)?,
                    })
                })
                .optional()
            });
            let Some(waiting) = read.await? else { return Ok(None) };
            after = waiting.row;
            if self.activities.claimed().insert(waiting.row) {
                let row = waiting.row;
                return Ok(Some((waiting, Claim { activities: &self.activities, row })));
            }
        }
    }

    /// `SendTaskSuccess`, `SendTaskFailure`, `SendTaskHeartbeat`.
    pub(crate) async fn report(self: &Arc<Self>, token: &str, report: Report) -> Result<()> {
        let invalid = || Error::InvalidToken("Invalid token".to_owned());
        let text = decode(token).ok_or_else(invalid)?;
        let (arn, _) = text.rsplit_once('|').ok_or_else(invalid)?;
        let id = match self.find(arn).await {
            Ok((id, None)) => id,
            Ok((_, Some(_))) => return Err(Error::TaskTimedOut),
            Err(Error::ExecutionDoesNotExist(_)) => return Err(Error::TaskDoesNotExist),
            Err(error) => return Err(error),
        };
        self.report_to(id, token, report).await.map(drop)
    }
}

/// The text that a token is of: two hexadecimal digits a byte.
fn decode(token: &str) -> Option<String> {
    if !token.is_ascii() || !token.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..token.len()).step_by(2).map(|at| u8::from_str_radix(&token[at..at + 2], 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

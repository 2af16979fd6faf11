//! The queues and their messages in SQLite.
//!
//! Invariants: a message is in exactly one queue; it is visible when `visible_ms` has come; receiving it gives it a new
//! nonce, and only the receipt with the newest nonce deletes it or changes its visibility.

use std::path::Path;

use rusqlite::{OptionalExtension as _, Row, params};

use super::Settings;
use crate::sqlite::{Db, Layouts};

/// See [`Layouts`].
pub(crate) const LAYOUTS: Layouts = &[SCHEMA];

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS queues (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        settings TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue INTEGER NOT NULL REFERENCES queues (id),
        message_id TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        trace TEXT,
        message_group TEXT,
        sent_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0,
        first_received_ms INTEGER,
        nonce INTEGER NOT NULL DEFAULT 0,
        source_arn TEXT);
    CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (queue, visible_ms, id);
    CREATE TABLE IF NOT EXISTS move_tasks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL,
        destination TEXT,
        per_second INTEGER,
        to_move INTEGER NOT NULL,
        moved INTEGER NOT NULL DEFAULT 0,
        started_ms INTEGER NOT NULL,
        status TEXT NOT NULL DEFAULT 'RUNNING',
        failure TEXT);
    CREATE UNIQUE INDEX IF NOT EXISTS one_move_at_a_time ON move_tasks (source) WHERE status = 'RUNNING';";

#[derive(Debug)]
pub(super) struct Store(Db);

#[derive(Debug, Clone)]
pub(super) struct QueueRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) created_ms: i64,
    pub(super) modified_ms: i64,
}

#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) message_id: String,
    pub(super) body: String,
    pub(super) attributes: String,
    pub(super) trace: Option<String>,
    pub(super) group: Option<String>,
    pub(super) sent_ms: i64,
    pub(super) visible_ms: i64,
}

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: i64,
    pub(super) message_id: String,
    pub(super) body: String,
    pub(super) attributes: String,
    pub(super) trace: Option<String>,
    pub(super) group: Option<String>,
    pub(super) sent_ms: i64,
    pub(super) receives: i64,
    pub(super) first_received_ms: i64,
    pub(super) nonce: i64,
    pub(super) source_arn: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Depth {
    pub(super) visible: i64,
    pub(super) in_flight: i64,
    pub(super) delayed: i64,
}

/// A message move task. Queues are named, not numbered: one may be deleted while its messages are moved.
#[derive(Debug, Clone)]
pub(super) struct MoveTask {
    pub(super) id: i64,
    pub(super) source: String,
    /// Where to; without it each message goes back to the queue that it came from.
    pub(super) destination: Option<String>,
    pub(super) per_second: Option<i64>,
    pub(super) to_move: i64,
    pub(super) moved: i64,
    pub(super) started_ms: i64,
    /// `RUNNING`, `COMPLETED`, `CANCELLED` or `FAILED`.
    pub(super) status: String,
    pub(super) failure: Option<String>,
}

const MOVE_COLUMNS: &str = "id, source, destination, per_second, to_move, moved, started_ms, status, failure";

fn move_task(row: &Row<'_>) -> rusqlite::Result<MoveTask> {
    Ok(MoveTask {
        id: row.get(0)?,
        source: row.get(1)?,
        destination: row.get(2)?,
        per_second: row.get(3)?,
        to_move: row.get(4)?,
        moved: row.get(5)?,
        started_ms: row.get(6)?,
        status: row.get(7)?,
        failure: row.get(8)?,
    })
}

const QUEUE_COLUMNS: &str = "id, name, settings, created_ms, modified_ms";

fn queue_row(row: &Row<'_>) -> rusqlite::Result<QueueRow> {
    let settings: String = row.get(2)?;
    let settings = serde_json::from_str(&settings).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(QueueRow {
        id: row.get(0)?,
        name: row.get(1)?,
        settings,
        created_ms: row.get(3)?,
        modified_ms: row.get(4)?,
    })
}

fn encode(settings: &Settings) -> String {
    serde_json::to_string(settings)
        .unwrap_or_else(|error| unreachable!("settings have string keys and no failing field: {error}"))
}

impl Store {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        Db::open(path, LAYOUTS).map(Self)
    }

    /// The new queue's id, or `None` if there is one of that name.
    pub(super) fn create(&self, name: &str, settings: &Settings, now: i64) -> rusqlite::Result<Option<i64>> {
        let sql = "INSERT INTO queues (name, settings, created_ms, modified_ms) VALUES (?1, ?2, ?3, ?3)
                   ON CONFLICT (name) DO NOTHING RETURNING id";
        let db = self.0.lock();
        db.prepare_cached(sql)?.query_row(params![name, encode(settings), now], |row| row.get(0)).optional()
    }

    pub(super) fn set(&self, name: &str, settings: &Settings, now: i64) -> rusqlite::Result<()> {
        let sql = "UPDATE queues SET settings = ?2, modified_ms = ?3 WHERE name = ?1";
        self.0.lock().prepare_cached(sql)?.execute(params![name, encode(settings), now])?;
        Ok(())
    }

    pub(super) fn queue(&self, name: &str) -> rusqlite::Result<Option<QueueRow>> {
        let sql = format!("SELECT {QUEUE_COLUMNS} FROM queues WHERE name = ?1");
        self.0.lock().prepare_cached(&sql)?.query_row([name], queue_row).optional()
    }

    pub(super) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> rusqlite::Result<Vec<QueueRow>> {
        let sql = format!(
            "SELECT {QUEUE_COLUMNS} FROM queues WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY name LIMIT ?3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let db = self.0.lock();
        let mut statement = db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![after.unwrap_or_default(), prefix, limit], queue_row)?;
        rows.collect()
    }

    pub(super) fn delete_queue(&self, queue: i64) -> rusqlite::Result<()> {
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        transaction.execute("DELETE FROM messages WHERE queue = ?1", [queue])?;
        transaction.execute("DELETE FROM queues WHERE id = ?1", [queue])?;
        transaction.commit()
    }

    pub(super) fn purge(&self, queue: i64) -> rusqlite::Result<()> {
        self.0.lock().execute("DELETE FROM messages WHERE queue = ?1", [queue])?;
        Ok(())
    }

    /// All or none.
    pub(super) fn send(&self, queue: i64, messages: Vec<NewMessage>) -> rusqlite::Result<()> {
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO messages (queue, message_id, body, attributes, trace, message_group, sent_ms, visible_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for it in messages {
                let NewMessage { message_id, body, attributes, trace, group, sent_ms, visible_ms } = it;
                insert.execute(params![
                    queue, message_id, body, attributes, trace, group, sent_ms, visible_ms
                ])?;
            }
        }
        transaction.commit()
    }

    /// Visible messages, hidden until `hidden_until_ms` from now on. A message that has been received as often as the
    /// redrive policy allows goes to the dead-letter queue instead, and keeps the time it was sent.
    pub(super) fn receive(
        &self,
        queue: &QueueRow,
        dead_letters: Option<i64>,
        limit: usize,
        now: i64,
        hidden_until_ms: i64,
    ) -> rusqlite::Result<Vec<Delivery>> {
        let oldest = now - queue.settings.retention_seconds * 1_000;
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        let mut received = Vec::new();
        {
            let mut next = transaction.prepare_cached(
                "SELECT id, receives FROM messages WHERE queue = ?1 AND visible_ms <= ?2 AND sent_ms > ?3
                 ORDER BY visible_ms, id LIMIT 1",
            )?;
            let mut move_away = transaction.prepare_cached(
                "UPDATE messages SET queue = ?2, source_arn = ?3, visible_ms = ?4, receives = 0, first_received_ms = NULL
                 WHERE id = ?1",
            )?;
            let mut take = transaction.prepare_cached(
                "UPDATE messages SET visible_ms = ?2, receives = receives + 1, nonce = ?3,
                     first_received_ms = COALESCE(first_received_ms, ?4)
                 WHERE id = ?1
                 RETURNING id, message_id, body, attributes, trace, message_group, sent_ms, receives, first_received_ms,
                     nonce, source_arn",
            )?;
            while received.len() < limit {
                let found =
                    next.query_row(params![queue.id, now, oldest], |row| Ok((row.get(0)?, row.get(1)?)));
                let Some((id, receives)) = found.optional()? else { break };
                let (id, receives): (i64, i64) = (id, receives);
                if let Some(target) = dead_letters
                    && receives >= queue.settings.receives_max
                {
                    move_away.execute(params![id, target, crate::arn::queue(&queue.name), now])?;
                    continue;
                }
                let nonce = i64::from(rand::random::<u32>()) + 1;
                // A visibility timeout of zero leaves it visible: it must not be taken twice by one receive.
                let hidden_until_ms = hidden_until_ms.max(now + 1);
                received.push(take.query_row(params![id, hidden_until_ms, nonce, now], delivery)?);
            }
        }
        transaction.commit()?;
        Ok(received)
    }

    /// Makes messages in flight visible: for the start of a process, when whoever had received them is gone.
    pub(super) fn release(&self, queue: i64, now: i64) -> rusqlite::Result<()> {
        let sql = "UPDATE messages SET visible_ms = ?2 WHERE queue = ?1 AND visible_ms > ?2 AND receives > 0";
        self.0.lock().prepare_cached(sql)?.execute([queue, now])?;
        Ok(())
    }

    /// Whether there is no message at all.
    pub(super) fn is_empty(&self, queue: i64) -> rusqlite::Result<bool> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM messages WHERE queue = ?1)";
        self.0.lock().prepare_cached(sql)?.query_row([queue], |row| row.get(0))
    }

    /// When the next hidden message becomes visible.
    pub(super) fn next_visible(&self, queue: i64, now: i64) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT MIN(visible_ms) FROM messages WHERE queue = ?1 AND visible_ms > ?2";
        self.0.lock().prepare_cached(sql)?.query_row([queue, now], |row| row.get(0))
    }

    /// Deletes by message and nonce; an outdated nonce deletes nothing, and is not an error.
    pub(super) fn delete(&self, queue: i64, receipts: &[(i64, i64)]) -> rusqlite::Result<()> {
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        {
            let mut delete = transaction
                .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND id = ?2 AND nonce = ?3")?;
            for (id, nonce) in receipts {
                delete.execute([queue, *id, *nonce])?;
            }
        }
        transaction.commit()
    }

    /// Whether the message was in flight under that receipt.
    pub(super) fn change_visibility(
        &self,
        queue: i64,
        (id, nonce): (i64, i64),
        now: i64,
        visible_ms: i64,
    ) -> rusqlite::Result<bool> {
        let sql = "UPDATE messages SET visible_ms = ?4 WHERE queue = ?1 AND id = ?2 AND nonce = ?3 AND visible_ms > ?5";
        let changed = self.0.lock().prepare_cached(sql)?.execute([queue, id, nonce, visible_ms, now])?;
        Ok(changed == 1)
    }

    pub(super) fn depth(&self, queue: i64, settings: &Settings, now: i64) -> rusqlite::Result<Depth> {
        let sql = "SELECT COUNT(*) FILTER (WHERE visible_ms <= ?2),
                          COUNT(*) FILTER (WHERE visible_ms > ?2 AND receives > 0),
                          COUNT(*) FILTER (WHERE visible_ms > ?2 AND receives = 0)
                   FROM messages WHERE queue = ?1 AND sent_ms > ?3";
        let oldest = now - settings.retention_seconds * 1_000;
        self.0.lock().prepare_cached(sql)?.query_row([queue, now, oldest], |row| {
            Ok(Depth { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
        })
    }

    /// Records a task for what is visible now; `None` if one runs for this queue.
    pub(super) fn start_move(
        &self,
        source: &QueueRow,
        destination: Option<&str>,
        per_second: Option<i64>,
        now: i64,
    ) -> rusqlite::Result<Option<MoveTask>> {
        let to_move = self.depth(source.id, &source.settings, now)?.visible;
        let sql = format!(
            "INSERT INTO move_tasks (source, destination, per_second, to_move, started_ms)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING RETURNING {MOVE_COLUMNS}"
        );
        let values = params![source.name, destination, per_second, to_move, now];
        self.0.lock().prepare_cached(&sql)?.query_row(values, move_task).optional()
    }

    /// The latest tasks of a queue, latest first.
    pub(super) fn moves(&self, source: &str, limit: i64) -> rusqlite::Result<Vec<MoveTask>> {
        let sql =
            format!("SELECT {MOVE_COLUMNS} FROM move_tasks WHERE source = ?1 ORDER BY id DESC LIMIT ?2");
        let db = self.0.lock();
        let mut statement = db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![source, limit], move_task)?;
        rows.collect()
    }

    pub(super) fn running_moves(&self) -> rusqlite::Result<Vec<MoveTask>> {
        let sql = format!("SELECT {MOVE_COLUMNS} FROM move_tasks WHERE status = 'RUNNING' ORDER BY id");
        let db = self.0.lock();
        let mut statement = db.prepare_cached(&sql)?;
        let rows = statement.query_map([], move_task)?;
        rows.collect()
    }

    /// Ends a task that runs; `None` if it does not.
    pub(super) fn cancel_move(&self, id: i64) -> rusqlite::Result<Option<MoveTask>> {
        let sql = format!(
            "UPDATE move_tasks SET status = 'CANCELLED' WHERE id = ?1 AND status = 'RUNNING'
             RETURNING {MOVE_COLUMNS}"
        );
        self.0.lock().prepare_cached(&sql)?.query_row([id], move_task).optional()
    }

    pub(super) fn knows_move(&self, id: i64) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM move_tasks WHERE id = ?1)";
        self.0.lock().prepare_cached(sql)?.query_row([id], |row| row.get(0))
    }

    /// One step of a task: moves up to `limit` messages, oldest first, each under a new id, and says how many. Ends the task when
    /// nothing is left of what it began with, or when a message has nowhere to go.
    pub(super) fn move_some(
        &self,
        task: &MoveTask,
        limit: i64,
        now: i64,
        new_id: impl Fn() -> String,
    ) -> rusqlite::Result<i64> {
        let source = self.queue(&task.source)?;
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        let mut moved = 0;
        let mut end: Option<(&str, Option<&str>)> = None;
        {
            // It may have been cancelled since it was read.
            let running = "SELECT to_move - moved FROM move_tasks WHERE id = ?1 AND status = 'RUNNING'";
            let left: Option<i64> =
                transaction.prepare_cached(running)?.query_row([task.id], |row| row.get(0)).optional()?;
            let Some(left) = left else { return Ok(0) };
            let mut next = transaction.prepare_cached(
                "SELECT id, source_arn FROM messages WHERE queue = ?1 AND visible_ms <= ?2 AND sent_ms > ?3
                 ORDER BY visible_ms, id LIMIT 1",
            )?;
            let mut queue_id = transaction.prepare_cached("SELECT id FROM queues WHERE name = ?1")?;
            let mut put = transaction.prepare_cached(
                "UPDATE messages SET queue = ?2, message_id = ?3, sent_ms = ?4, visible_ms = ?4, receives = 0,
                     first_received_ms = NULL, nonce = 0, source_arn = NULL
                 WHERE id = ?1",
            )?;
            while end.is_none() && moved < limit {
                let Some(source) = &source else {
                    end = Some(("FAILED", Some("AWS.SimpleQueueService.NonExistentQueue")));
                    break;
                };
                if moved == left {
                    end = Some(("COMPLETED", None));
                    break;
                }
                let oldest = now - source.settings.retention_seconds * 1_000;
                let found =
                    next.query_row(params![source.id, now, oldest], |row| Ok((row.get(0)?, row.get(1)?)));
                let Some((id, from)) = found.optional()? else {
                    end = Some(("COMPLETED", None));
                    break;
                };
                let (id, from): (i64, Option<String>) = (id, from);
                let back = from.as_deref().and_then(|arn| arn.rsplit(':').next());
                let Some(target) = task.destination.as_deref().or(back) else {
                    end = Some(("FAILED", Some("CouldNotDetermineMessageSource")));
                    break;
                };
                let target: Option<i64> = queue_id.query_row([target], |row| row.get(0)).optional()?;
                let Some(target) = target else {
                    end = Some(("FAILED", Some("AWS.SimpleQueueService.NonExistentQueue")));
                    break;
                };
                put.execute(params![id, target, new_id(), now])?;
                moved += 1;
            }
            if moved == left && end.is_none() {
                end = Some(("COMPLETED", None));
            }
            let (status, failure) = end.unwrap_or(("RUNNING", None));
            let sql = "UPDATE move_tasks SET moved = moved + ?2, status = ?3, failure = ?4 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![task.id, moved, status, failure])?;
        }
        transaction.commit()?;
        Ok(moved)
    }

    pub(super) fn expire(&self, now: i64) -> rusqlite::Result<usize> {
        let mut deleted = 0;
        for queue in self.list("", None, usize::MAX)? {
            let oldest = now - queue.settings.retention_seconds * 1_000;
            let sql = "DELETE FROM messages WHERE queue = ?1 AND sent_ms <= ?2";
            deleted += self.0.lock().prepare_cached(sql)?.execute([queue.id, oldest])?;
        }
        Ok(deleted)
    }
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: row.get(0)?,
        message_id: row.get(1)?,
        body: row.get(2)?,
        attributes: row.get(3)?,
        trace: row.get(4)?,
        group: row.get(5)?,
        sent_ms: row.get(6)?,
        receives: row.get(7)?,
        first_received_ms: row.get(8)?,
        nonce: row.get(9)?,
        source_arn: row.get(10)?,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn opened(settings: &Settings) -> (tempfile::TempDir, Store, QueueRow) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("sqs.sqlite")).unwrap();
        store.create("q", settings, 0).unwrap();
        store.create("dead", &Settings::default(), 0).unwrap();
        let queue = store.queue("q").unwrap().unwrap();
        (folder, store, queue)
    }

    fn message(body: &str, at: i64) -> NewMessage {
        NewMessage {
            message_id: body.to_owned(),
            body: body.to_owned(),
            attributes: "{}".to_owned(),
            trace: None,
            group: None,
            sent_ms: at,
            visible_ms: at,
        }
    }

    #[test]
    fn a_message_is_hidden_while_in_flight_and_an_old_receipt_does_not_delete_it() {
        let (_folder, store, queue) = opened(&Settings::default());
        store.send(queue.id, vec![message("a", 1_000), message("b", 1_001)]).unwrap();
        let first = store.receive(&queue, None, 1, 2_000, 5_000).unwrap();
        assert_eq!((first[0].body.as_str(), first[0].receives), ("a", 1));
        assert_eq!(store.receive(&queue, None, 10, 2_000, 5_000).unwrap().len(), 1, "only b is left");
        assert!(store.receive(&queue, None, 10, 4_999, 9_000).unwrap().is_empty());
        assert_eq!(store.next_visible(queue.id, 2_000).unwrap(), Some(5_000));
        let again = store.receive(&queue, None, 10, 5_000, 9_000).unwrap();
        assert_eq!(again.len(), 2);
        assert_eq!((again[0].receives, again[0].first_received_ms), (2, 2_000));

        store.delete(queue.id, &[(first[0].id, first[0].nonce)]).unwrap();
        assert_eq!(store.depth(queue.id, &queue.settings, 5_000).unwrap().in_flight, 2);
        store.delete(queue.id, &[(again[0].id, again[0].nonce)]).unwrap();
        assert_eq!(store.depth(queue.id, &queue.settings, 5_000).unwrap().in_flight, 1);
        assert!(
            !store.change_visibility(queue.id, (again[1].id, again[1].nonce), 9_000, 9_500).unwrap(),
            "visible again"
        );
        assert!(store.change_visibility(queue.id, (again[1].id, again[1].nonce), 8_000, 8_001).unwrap());
    }

    #[test]
    fn the_receive_after_the_last_allowed_one_moves_the_message_to_the_dead_letter_queue() {
        let settings = Settings {
            dead_letter_arn: Some(crate::arn::queue("dead")),
            receives_max: 2,
            retention_seconds: 100,
            ..Settings::default()
        };
        let (_folder, store, queue) = opened(&settings);
        let dead = store.queue("dead").unwrap().unwrap();
        store.send(queue.id, vec![message("poison", 1_000), message("late", 50_000)]).unwrap();
        let mut now = 2_000;
        for expected in 1..=2 {
            let received = store.receive(&queue, Some(dead.id), 1, now, now + 10).unwrap();
            assert_eq!((received[0].body.as_str(), received[0].receives), ("poison", expected));
            now += 10;
        }
        let received = store.receive(&queue, Some(dead.id), 1, 60_000, 60_010).unwrap();
        assert_eq!(received[0].body, "late");
        let dead_letters = store.receive(&dead, None, 10, 60_000, 60_010).unwrap();
        assert_eq!(dead_letters[0].body, "poison");
        assert_eq!(dead_letters[0].sent_ms, 1_000);
        assert_eq!(dead_letters[0].source_arn.as_deref(), Some("arn:aws:sqs:us-east-1:000000000000:q"));
    }

    #[test]
    fn a_message_past_its_retention_is_neither_delivered_nor_counted_nor_kept() {
        let settings = Settings { retention_seconds: 60, ..Settings::default() };
        let (_folder, store, queue) = opened(&settings);
        store.send(queue.id, vec![message("old", 1_000), message("new", 50_000)]).unwrap();
        assert_eq!(store.depth(queue.id, &settings, 61_000).unwrap().visible, 1);
        assert_eq!(store.receive(&queue, None, 10, 61_000, 62_000).unwrap()[0].body, "new");
        assert_eq!(store.expire(61_000).unwrap(), 1);
    }
}

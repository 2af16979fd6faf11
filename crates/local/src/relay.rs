//! A table's stream as the event source of a function, as Lambda's event source mapping does it ("Using AWS Lambda with
//! Amazon DynamoDB" and "Reporting batch item failures", Lambda Developer Guide).
//!
//! Invariants: records are handed over in order, each at least once; the checkpoint is the last record before which every
//! record was handled, and it is durable before the next batch is read. A failing record is retried for ever, with growing
//! delays, and holds up those behind it: nothing is skipped.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::OptionalExtension as _;
use serde_json::{Value, json};

use crate::dynamodb::{DynamoDb, stored_sequence_number};
use crate::functions::FunctionHost;
use crate::sqlite::{Db, Layouts};
use crate::wire;

/// How long the first record of a batch waits for others, as a mapping's batching window does: a batch costs a read of the
/// stream, an invocation and a checkpoint, however small it is.
const LINGER: Duration = Duration::from_millis(3);

/// Delay after the first failure; it doubles with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// Longest delay between two tries.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// See [`Layouts`].
pub(crate) const LAYOUTS: Layouts = &[SCHEMA];

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS checkpoints (
    stream TEXT NOT NULL,
    function TEXT NOT NULL,
    sequence_number TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, function)) WITHOUT ROWID;";

/// Where each mapping stands.
#[derive(Debug)]
pub(crate) struct Checkpoints(Db);

impl Checkpoints {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        Db::open(path, LAYOUTS).map(Self)
    }

    fn get(&self, stream: &str, function: &str) -> rusqlite::Result<Option<String>> {
        let sql = "SELECT sequence_number FROM checkpoints WHERE stream = ?1 AND function = ?2";
        self.0.lock().prepare_cached(sql)?.query_row([stream, function], |row| row.get(0)).optional()
    }

    /// The greatest sequence number that a function has handled of a table's streams, in the engine's form.
    fn handled(&self, table: &str, function: &str) -> rusqlite::Result<Option<i64>> {
        let connection = self.0.lock();
        let mut read =
            connection.prepare("SELECT stream, sequence_number FROM checkpoints WHERE function = ?1")?;
        let rows =
            read.query_map([function], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut greatest = None;
        for row in rows {
            let (stream, number) = row?;
            // A table that was made anew has a stream of another name.
            if stream.contains(&format!(":table/{table}/")) {
                greatest = greatest.max(stored_sequence_number(&number));
            }
        }
        Ok(greatest)
    }

    fn set(&self, stream: &str, function: &str, sequence_number: &str) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO checkpoints (stream, function, sequence_number, updated_ms) VALUES (?1, ?2, ?3, ?4)";
        let parameters = rusqlite::params![stream, function, sequence_number, wire::now_ms()];
        self.0.lock().prepare_cached(sql)?.execute(parameters)?;
        Ok(())
    }
}

/// One mapping.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) dynamodb: Arc<DynamoDb>,
    pub(crate) functions: FunctionHost,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) table: String,
    pub(crate) stream_arn: String,
    pub(crate) function: String,
    pub(crate) batch_size: usize,
    pub(crate) bisect: bool,
}

/// How far a batch got.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// All of it.
    Whole,
    /// This many records, from the first.
    Part(usize),
    /// The function failed as a whole.
    None,
}

impl Relay {
    /// What was handled beyond the end of the stream, as the greatest number of each: then the table is older than what was handed
    /// on from it, and rows are lost.
    pub(crate) fn beyond_the_stream(&self) -> rusqlite::Result<Option<(i64, i64)>> {
        let handled = self.checkpoints.handled(&self.table, &self.function)?;
        let last = self.dynamodb.last_sequence_number(&self.table)?.unwrap_or_default();
        Ok(handled.filter(|handled| *handled > last).map(|handled| (handled, last)))
    }

    /// Works until it is dropped.
    pub(crate) async fn run(&self) {
        let mut written = self.dynamodb.written();
        let mut size = self.batch_size;
        let mut failures: u32 = 0;
        loop {
            written.mark_unchanged();
            let records = match self.next(size).await {
                Ok(records) if records.is_empty() => {
                    if written.changed().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(LINGER).await;
                    continue;
                }
                Ok(records) => records,
                Err(error) => {
                    tracing::error!(table = self.table, %error, "the stream cannot be read");
                    failures += 1;
                    tokio::time::sleep(delay(failures)).await;
                    continue;
                }
            };
            let handled = match self.invoke(&records).await {
                Progress::Whole => records.len(),
                Progress::Part(count) => count,
                Progress::None => 0,
            };
            if let Some(last) = handled.checked_sub(1).and_then(|at| sequence_number(&records[at]))
                && let Err(error) = self.checkpoints.set(&self.stream_arn, &self.function, last)
            {
                // The records are handed over again: at least once.
                tracing::error!(table = self.table, %error, "the checkpoint cannot be written");
                failures += 1;
                tokio::time::sleep(delay(failures)).await;
                continue;
            }
            if handled == records.len() {
                failures = 0;
                size = (size * 2).min(self.batch_size);
                continue;
            }
            if self.bisect && handled == 0 {
                size = (records.len() / 2).max(1);
            }
            failures = if handled > 0 { 1 } else { failures + 1 };
            tracing::warn!(
                table = self.table,
                function = self.function,
                handled,
                of = records.len(),
                failures,
                "stream records are retried"
            );
            tokio::time::sleep(delay(failures)).await;
        }
    }

    async fn next(&self, limit: usize) -> Result<Vec<Value>, String> {
        let after =
            self.checkpoints.get(&self.stream_arn, &self.function).map_err(|error| error.to_string())?;
        let records = self.dynamodb.stream_records_in_turn(&self.table, &self.stream_arn, after, limit).await;
        records.map_err(|error| error.to_string())
    }

    async fn invoke(&self, records: &[Value]) -> Progress {
        match self.functions.invoke(&self.function, json!({"Records": records})).await {
            Ok(answer) => progress(records, &answer),
            Err(error) => {
                tracing::warn!(function = self.function, %error, "the function failed");
                Progress::None
            }
        }
    }

    /// Whether every record has been handled.
    pub(crate) async fn is_caught_up(&self) -> bool {
        self.next(1).await.is_ok_and(|records| records.is_empty())
    }

    /// Deletes stream records that are handled and old.
    pub(crate) fn trim(&self) -> rusqlite::Result<usize> {
        match self.checkpoints.get(&self.stream_arn, &self.function)? {
            Some(processed) => self.dynamodb.trim_stream(&self.table, &processed, wire::now_ms() / 1_000),
            None => Ok(0),
        }
    }
}

fn delay(failures: u32) -> Duration {
    RETRY_FIRST
        .saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(RETRY_MAX)
}

fn sequence_number(record: &Value) -> Option<&str> {
    record["dynamodb"]["SequenceNumber"].as_str()
}

/// What an answer says: no failures is success; with failures all before the lowest one is done; an identifier that is
/// missing, empty or not of this batch fails all of it.
fn progress(records: &[Value], answer: &Value) -> Progress {
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Progress::Whole,
        Some(Value::Array(failures)) if failures.is_empty() => return Progress::Whole,
        Some(Value::Array(failures)) => failures,
        Some(_) => return Progress::None,
    };
    let place = |failure: &Value| {
        let id = failure["itemIdentifier"].as_str()?;
        records.iter().position(|record| sequence_number(record) == Some(id))
    };
    match failures.iter().map(place).collect::<Option<Vec<_>>>().and_then(|places| places.into_iter().min()) {
        Some(0) | None => Progress::None,
        Some(lowest) => Progress::Part(lowest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_failure_decides_and_an_answer_that_makes_no_sense_fails_all() {
        let records: Vec<Value> =
            ["10", "11", "12"].map(|id| json!({"dynamodb": {"SequenceNumber": id}})).to_vec();
        let failures = |ids: &[Value]| json!({"batchItemFailures": ids.iter().map(|id| json!({"itemIdentifier": id})).collect::<Vec<_>>()});
        let cases = [
            (Value::Null, Progress::Whole),
            (json!({}), Progress::Whole),
            (json!({"batchItemFailures": null}), Progress::Whole),
            (failures(&[]), Progress::Whole),
            (failures(&["12".into(), "11".into()]), Progress::Part(1)),
            (failures(&["10".into()]), Progress::None),
            (failures(&["".into()]), Progress::None),
            (failures(&["11".into(), "99".into()]), Progress::None),
            (failures(&[Value::Null]), Progress::None),
            (json!({"batchItemFailures": "11"}), Progress::None),
            (json!({"batchItemFailures": [{"id": "11"}]}), Progress::None),
        ];
        for (answer, expected) in cases {
            assert_eq!(progress(&records, &answer), expected, "{answer}");
        }
    }

    #[test]
    fn delays_grow_to_a_bound() {
        assert_eq!(delay(1), RETRY_FIRST);
        assert_eq!(delay(3), RETRY_FIRST * 4);
        assert_eq!(delay(40), RETRY_MAX);
        assert_eq!(delay(u32::MAX), RETRY_MAX);
    }
}

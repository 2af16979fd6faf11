//! DynamoDB and DynamoDB Streams: the wire protocol in front of `dynoxide`, which keeps the tables in SQLite.
//!
//! Requests are dispatched to `dynoxide`'s typed operations in process; its own HTTP server is not used. Two things are put
//! right from outside, with a second connection to the same file:
//! - Every write to a table with a stream asks `dynoxide` for the stream's greatest sequence number, which scans all its
//!   records. [`STREAM_INDEX`] makes that one look-up; a test holds that SQLite uses it.
//! - `dynoxide` keeps stream records for ever. [`DynamoDb::trim_stream`] deletes what is both older than the 24 hours that
//!   AWS keeps records and already processed: a record that no one has read is never dropped, however old.
//!
//! Durability is that of [`crate::sqlite`]: `disable_bulk_loading` of `dynoxide` runs `PRAGMA synchronous = NORMAL`.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::{Database, DynoxideError};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::sqlite::{Db, Layouts};
use crate::topology::Table;
use crate::turns::Turns;
use crate::wire::{self, Protocol};

/// How long AWS keeps a stream record, in seconds ("DynamoDB Streams", Developer Guide).
const STREAM_RETENTION_SECONDS: i64 = 24 * 60 * 60;

/// Rows deleted in one transaction, so that a writer never waits long.
const TRIM_ROWS: i64 = 2_000;

/// The region that `dynoxide` writes into its ARNs and records.
const ENGINE_REGION: &str = dynoxide::streams::LOCAL_REGION;

/// See the module's documentation.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS sluice_stream_sequence
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// See [`Layouts`]. `dynoxide` keeps the version of its own tables in one of them, and brings older ones up to date.
pub(crate) const LAYOUTS: Layouts = &[STREAM_INDEX];

/// The service.
#[derive(Debug)]
pub(crate) struct DynamoDb {
    engine: Engine,
    maintenance: Db,
    /// The engine runs one operation at a time.
    turns: Turns,
    written: watch::Sender<u64>,
}

struct Engine(Database);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Why the tables could not be opened or created.
#[derive(Debug, thiserror::Error)]
pub enum DynamoDbError {
    /// The file cannot be opened.
    #[error("the tables cannot be opened: {0}")]
    Engine(#[from] DynoxideError),
    /// Their thread does not start.
    #[error("the thread of the tables cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The file cannot be opened by the second connection.
    #[error("the tables cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// `CreateTable` was refused.
    #[error("the table {table} cannot be created: {message}")]
    Create {
        /// The table.
        table: String,
        /// What the engine said.
        message: String,
    },
    /// The folder holds a table of that name with other keys, indexes or stream.
    #[error(
        "the table {table} in the data folder has another {part} than topology.json says; \
         use another folder (--data DIR) or --ephemeral"
    )]
    Differs {
        /// The table.
        table: String,
        /// `key schema`, `set of indexes` or `stream`.
        part: &'static str,
    },
}

impl DynamoDb {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, DynamoDbError> {
        let engine = Database::new(&path.to_string_lossy())?;
        engine.disable_bulk_loading()?;
        let maintenance = Db::open(path, LAYOUTS)?;
        Ok(Self {
            engine: Engine(engine),
            maintenance,
            turns: Turns::start("dynamodb")?,
            written: watch::Sender::new(0),
        })
    }

    /// Changes whenever an item may have been written.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Creates the table, or checks that it is as declared.
    pub(crate) fn ensure_table(&self, table: &Table) -> Result<(), DynamoDbError> {
        let wanted = create_table_request(table);
        let described = self.call("DescribeTable", &json!({"TableName": table.name}).to_string());
        match described {
            Ok(text) => {
                let found: Value = serde_json::from_str(&text).unwrap_or_default();
                let differs = |part| Err(DynamoDbError::Differs { table: table.name.clone(), part });
                let found = &found["Table"];
                if found["KeySchema"] != wanted["KeySchema"] {
                    return differs("key schema");
                }
                if index_schemas(found) != index_schemas(&wanted) {
                    return differs("set of indexes");
                }
                if found["StreamSpecification"]["StreamViewType"]
                    != wanted["StreamSpecification"]["StreamViewType"]
                {
                    return differs("stream");
                }
            }
            Err(DynoxideError::ResourceNotFoundException(_)) => {
                self.call("CreateTable", &wanted.to_string()).map_err(|error| DynamoDbError::Create {
                    table: table.name.clone(),
                    message: error.to_string(),
                })?;
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(attribute) = &table.time_to_live {
            let specification = json!({"TableName": table.name,
                "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": true}});
            match self.call("UpdateTimeToLive", &specification.to_string()) {
                // Already enabled.
                Ok(_) | Err(DynoxideError::ValidationException(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// [`DynamoDb::handle`], when it is this call's turn.
    pub(crate) async fn handle_in_turn(self: &Arc<Self>, operation: &str, body: Bytes) -> Response<Bytes> {
        let (service, operation) = (Arc::clone(self), operation.to_owned());
        let response = self.turns.run(move || service.handle(&operation, &body)).await;
        response.unwrap_or_else(|| {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            wire::json(Protocol::Json10, status, bare("InternalServerError"))
        })
    }

    /// One call of either service; `operation` is the target without its prefix.
    pub(crate) fn handle(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let Ok(text) = std::str::from_utf8(body) else {
            return wire::json(Protocol::Json10, StatusCode::BAD_REQUEST, bare("SerializationException"));
        };
        if !OPERATIONS.contains(&operation) {
            return wire::json(Protocol::Json10, StatusCode::BAD_REQUEST, bare("UnknownOperationException"));
        }
        match self.call(operation, text) {
            Ok(body) => wire::json(Protocol::Json10, StatusCode::OK, body.into()),
            Err(error) => {
                let status =
                    StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                wire::json(Protocol::Json10, status, error.to_json().into())
            }
        }
    }

    fn call(&self, operation: &str, body: &str) -> Result<String, DynoxideError> {
        let names_resources = NAMING_RESOURCES.contains(&operation);
        let inward;
        let body = if names_resources {
            inward = body.replace(&format!(":{}:", crate::arn::REGION), &format!(":{ENGINE_REGION}:"));
            &inward
        } else {
            body
        };
        let result = dispatch(&self.engine.0, operation, body).map_err(|error| match (operation, error) {
            ("PutItem" | "UpdateItem" | "DeleteItem", DynoxideError::EnvelopedValidation(message)) => {
                DynoxideError::ValidationException(format!("1 validation error detected: {message}"))
            }
            (_, DynoxideError::EnvelopedValidation(message)) => DynoxideError::ValidationException(message),
            (_, error) => error,
        });
        if WRITES.contains(&operation) {
            self.written.send_modify(|count| *count = count.wrapping_add(1));
        }
        let output = result?;
        if !names_resources {
            return Ok(output);
        }
        Ok(output.replace(&format!(":{ENGINE_REGION}:"), &format!(":{}:", crate::arn::REGION)).replace(
            &format!("\"awsRegion\":\"{ENGINE_REGION}\""),
            &format!("\"awsRegion\":\"{}\"", crate::arn::REGION),
        ))
    }

    /// The ARN of the table's stream, if it has one.
    pub(crate) fn stream_arn(&self, table: &str) -> Option<String> {
        let text = self.call("DescribeTable", &json!({"TableName": table}).to_string()).ok()?;
        let description: Value = serde_json::from_str(&text).ok()?;
        Some(description["Table"]["LatestStreamArn"].as_str()?.to_owned())
    }

    /// [`DynamoDb::stream_records`], when it is this call's turn.
    pub(crate) async fn stream_records_in_turn(
        self: &Arc<Self>,
        table: &str,
        stream_arn: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Value>, DynoxideError> {
        let (service, table, stream_arn) = (Arc::clone(self), table.to_owned(), stream_arn.to_owned());
        let read = move || service.stream_records(&table, &stream_arn, after.as_deref(), limit);
        let panicked = || DynoxideError::InternalServerError("the engine panicked".to_owned());
        self.turns.run(read).await.unwrap_or_else(|| Err(panicked()))
    }

    /// Stream records of `table` after the sequence number, oldest first, as Lambda gets them.
    fn stream_records(
        &self,
        table: &str,
        stream_arn: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Value>, DynoxideError> {
        let kind = if after.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" };
        let iterator = self.engine.0.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: stream_arn.to_owned(),
            shard_id: dynoxide::streams::shard_id(table),
            shard_iterator_type: kind.to_owned(),
            sequence_number: after.map(str::to_owned),
        })?;
        let shard_iterator = iterator.shard_iterator.unwrap_or_default();
        let page = self.engine.0.get_records(GetRecordsRequest { shard_iterator, limit: Some(limit) })?;
        page.records.into_iter().map(|record| lambda_record(&record, stream_arn)).collect()
    }

    /// The greatest sequence number of a table's stream. The last record that was processed is never trimmed, so it never goes back.
    pub(crate) fn last_sequence_number(&self, table: &str) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1";
        self.maintenance.lock().query_row(sql, [table], |row| row.get(0))
    }

    /// Deletes old records before the sequence number, the last one that was processed. Returns how many
    /// were deleted.
    pub(crate) fn trim_stream(
        &self,
        table: &str,
        processed: &str,
        now_seconds: i64,
    ) -> rusqlite::Result<usize> {
        let Some(stored) = stored_sequence_number(processed) else { return Ok(0) };
        let mut deleted = 0;
        loop {
            let rows = self.maintenance.lock().execute(
                "DELETE FROM _stream_records WHERE id IN (
                     SELECT id FROM _stream_records
                     WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2 AND created_at < ?3
                     ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?4)",
                rusqlite::params![table, stored, now_seconds - STREAM_RETENTION_SECONDS, TRIM_ROWS],
            )?;
            deleted += rows;
            if rows < usize::try_from(TRIM_ROWS).unwrap_or(usize::MAX) {
                return Ok(deleted);
            }
        }
    }

    /// Deletes items whose time to live has passed, as AWS does in the background.
    pub(crate) fn sweep_expired_items(&self) -> Result<usize, DynoxideError> {
        let swept = self.engine.0.sweep_ttl()?;
        if swept > 0 {
            self.written.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(swept)
    }
}

/// The public form is 10^20 plus the stored number (`dynoxide::streams::format_sequence_number`).
pub(crate) fn stored_sequence_number(public: &str) -> Option<i64> {
    let number: u128 = public.parse().ok()?;
    i64::try_from(number.checked_sub(100_000_000_000_000_000_000)?).ok()
}

fn bare(name: &str) -> Bytes {
    json!({"__type": format!("com.amazon.coral.service#{name}")}).to_string().into()
}

/// A record in the shape of "Using AWS Lambda with Amazon DynamoDB": the stream's record and `eventSourceARN`.
fn lambda_record(record: &Record, stream_arn: &str) -> Result<Value, DynoxideError> {
    let mut value = serde_json::to_value(record)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
    value["awsRegion"] = crate::arn::REGION.into();
    value["eventSourceARN"] = stream_arn.into();
    Ok(value)
}

fn create_table_request(table: &Table) -> Value {
    let key_schema = |partition: &String, sort: &Option<String>| {
        let mut keys = vec![json!({"AttributeName": partition, "KeyType": "HASH"})];
        keys.extend(sort.iter().map(|name| json!({"AttributeName": name, "KeyType": "RANGE"})));
        Value::from(keys)
    };
    let mut attributes: Vec<&String> = std::iter::once(&table.partition_key)
        .chain(&table.sort_key)
        .chain(
            table
                .indexes
                .iter()
                .flat_map(|index| std::iter::once(&index.partition_key).chain(&index.sort_key)),
        )
        .collect();
    attributes.sort();
    attributes.dedup();
    let definitions: Vec<Value> =
        attributes.iter().map(|name| json!({"AttributeName": name, "AttributeType": "S"})).collect();
    let mut request = json!({
        "TableName": table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": definitions,
        "KeySchema": key_schema(&table.partition_key, &table.sort_key),
    });
    if !table.indexes.is_empty() {
        let indexes = table.indexes.iter().map(|index| {
            json!({"IndexName": index.name, "KeySchema": key_schema(&index.partition_key, &index.sort_key),
                   "Projection": {"ProjectionType": "ALL"}})
        });
        request["GlobalSecondaryIndexes"] = indexes.collect();
    }
    if let Some(view) = &table.stream {
        request["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": view});
    }
    request
}

fn index_schemas(description: &Value) -> std::collections::BTreeMap<String, Value> {
    let indexes = description["GlobalSecondaryIndexes"].as_array();
    let schema = |index: &Value| {
        (index["IndexName"].as_str().unwrap_or_default().to_owned(), index["KeySchema"].clone())
    };
    indexes.into_iter().flatten().map(schema).collect()
}

/// Operations whose requests or answers hold ARNs.
const NAMING_RESOURCES: &[&str] = &[
    "CreateTable",
    "DeleteTable",
    "DescribeTable",
    "UpdateTable",
    "ListStreams",
    "DescribeStream",
    "GetShardIterator",
    "GetRecords",
    "TagResource",
    "UntagResource",
    "ListTagsOfResource",
];

/// Operations after which a stream may have a new record.
const WRITES: &[&str] = &[
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "ExecuteStatement",
    "ExecuteTransaction",
    "BatchExecuteStatement",
];

macro_rules! operations {
    ($($name:literal => $method:ident,)+) => {
        const OPERATIONS: &[&str] = &[$($name),+];

        fn dispatch(engine: &Database, operation: &str, body: &str) -> Result<String, DynoxideError> {
            match operation {
                $($name => encode(&engine.$method(decode(body)?)?),)+
                _ => Err(DynoxideError::SerializationException(String::new())),
            }
        }
    };
}

operations! {
    "CreateTable" => create_table,
    "DeleteTable" => delete_table,
    "DescribeTable" => describe_table,
    "ListTables" => list_tables,
    "UpdateTable" => update_table,
    "PutItem" => put_item,
    "GetItem" => get_item,
    "DeleteItem" => delete_item,
    "UpdateItem" => update_item,
    "Query" => query,
    "Scan" => scan,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "TransactWriteItems" => transact_write_items,
    "TransactGetItems" => transact_get_items,
    "ListStreams" => list_streams,
    "DescribeStream" => describe_stream,
    "GetShardIterator" => get_shard_iterator,
    "GetRecords" => get_records,
    "UpdateTimeToLive" => update_time_to_live,
    "DescribeTimeToLive" => describe_time_to_live,
    "ExecuteStatement" => execute_statement,
    "ExecuteTransaction" => execute_transaction,
    "BatchExecuteStatement" => batch_execute_statement,
    "TagResource" => tag_resource,
    "UntagResource" => untag_resource,
    "ListTagsOfResource" => list_tags_of_resource,
}

fn encode<T: serde::Serialize>(output: &T) -> Result<String, DynoxideError> {
    serde_json::to_string(output).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// Reads a request. `dynoxide`'s types mark the class of an error in front of its message (its `serde_errors` module, which
/// is private, lists the marks); no mark may reach the wire.
fn decode<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, DynoxideError> {
    serde_json::from_str(body).map_err(|error| {
        let full = error.to_string();
        let text = full.rfind(" at line ").map_or(full.as_str(), |end| &full[..end]);
        for (mark, make) in MARKS {
            if let Some(message) = text.strip_prefix(mark) {
                return make(message.to_owned());
            }
        }
        if ["missing field", "unknown variant", "invalid type: null", "Supplied AttributeValue"]
            .iter()
            .any(|part| text.contains(part))
        {
            return DynoxideError::ValidationException(text.to_owned());
        }
        DynoxideError::SerializationException(text.to_owned())
    })
}

type MakeError = fn(String) -> DynoxideError;

const MARKS: [(&str, MakeError); 5] = [
    ("VALIDATION_REQUEST:", DynoxideError::EnvelopedValidation),
    ("VALIDATION_AS_READ:", DynoxideError::ValidationException),
    ("VALIDATION:", DynoxideError::ValidationException),
    ("SERIALIZATION_AS_READ:", DynoxideError::SerializationException),
    ("SERIALIZATION:", DynoxideError::SerializationException),
];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn ledger() -> Table {
        serde_json::from_value(json!({
            "id": "Ledger", "name": "ledger-with-a-stream", "partitionKey": "vendorId", "sortKey": "externalEventId",
            "stream": "NEW_AND_OLD_IMAGES",
            "indexes": [{"name": "by-ingest-id", "partitionKey": "ingestId"}]
        }))
        .unwrap()
    }

    fn opened() -> (tempfile::TempDir, DynamoDb) {
        let folder = tempfile::tempdir().unwrap();
        let service = DynamoDb::open(&folder.path().join("dynamodb.sqlite")).unwrap();
        service.ensure_table(&ledger()).unwrap();
        (folder, service)
    }

    fn put(service: &DynamoDb, id: &str) {
        let request = json!({"TableName": "ledger-with-a-stream", "Item": {
            "vendorId": {"S": "v"}, "externalEventId": {"S": id}, "ingestId": {"S": id}}});
        let response = service.handle("PutItem", request.to_string().as_bytes());
        assert_eq!(response.status(), 200, "{:?}", response.body());
    }

    #[test]
    fn the_stream_is_read_and_appended_to_through_the_index() {
        let (_folder, service) = opened();
        let connection = service.maintenance.lock();
        let plan = |sql: &str| -> String {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
            rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        for sql in [
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 't'",
            "SELECT event_name FROM _stream_records WHERE table_name = 't' AND shard_id = 's'
             AND CAST(sequence_number AS INTEGER) > 5 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 10",
        ] {
            let plan = plan(sql);
            assert!(plan.contains("sluice_stream_sequence") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn records_come_in_order_after_a_sequence_number_and_only_old_processed_ones_are_trimmed() {
        let (_folder, service) = opened();
        let written = service.written();
        for id in ["a", "b", "c"] {
            put(&service, id);
        }
        assert!(written.has_changed().unwrap());
        let arn = service.stream_arn("ledger-with-a-stream").unwrap();
        assert!(
            arn.starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/ledger-with-a-stream/stream/"),
            "{arn}"
        );
        let read =
            |after: Option<&str>| service.stream_records("ledger-with-a-stream", &arn, after, 100).unwrap();
        let all = read(None);
        let ids: Vec<_> = all
            .iter()
            .map(|record| record["dynamodb"]["Keys"]["externalEventId"]["S"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(all[0]["eventName"], "INSERT");
        assert_eq!(all[0]["eventSourceARN"], arn.as_str());
        assert_eq!(all[0]["awsRegion"], "us-east-1");
        let second = all[1]["dynamodb"]["SequenceNumber"].as_str().unwrap();
        assert_eq!(read(Some(second)).len(), 1);

        let now = wire::now_ms() / 1_000;
        assert_eq!(
            service.trim_stream("ledger-with-a-stream", second, now).unwrap(),
            0,
            "younger than a day"
        );
        let later = now + STREAM_RETENTION_SECONDS + 10;
        assert_eq!(
            service.trim_stream("ledger-with-a-stream", second, later).unwrap(),
            1,
            "before the processed one"
        );
        assert_eq!(read(None).len(), 2);
    }

    #[test]
    fn a_table_that_differs_from_the_topology_is_refused_with_advice() {
        let (folder, service) = opened();
        service.ensure_table(&ledger()).unwrap();
        let mut other = ledger();
        other.sort_key = Some("ingestId".to_owned());
        let error = service.ensure_table(&other).unwrap_err().to_string();
        assert!(error.contains("key schema") && error.contains("--data"), "{error}");
        let mut other = ledger();
        other.indexes.clear();
        assert!(service.ensure_table(&other).unwrap_err().to_string().contains("indexes"));
        drop(folder);
    }

    #[test]
    fn errors_have_the_names_of_aws_and_no_internal_mark() {
        let (_folder, service) = opened();
        let cases = [
            ("GetItem", r#"{"TableName":"nope","Key":{"a":{"S":"b"}}}"#, "ResourceNotFoundException"),
            ("GetItem", "not json", "SerializationException"),
            ("PutItem", r#"{"TableName":"ledger-with-a-stream"}"#, "ValidationException"),
            (
                "PutItem",
                r#"{"TableName":"ledger-with-a-stream","Item":{"vendorId":{"S":"v","N":"1"}}}"#,
                "Exception",
            ),
            ("Frobnicate", "{}", "UnknownOperationException"),
        ];
        for (operation, body, expected) in cases {
            let response = service.handle(operation, body.as_bytes());
            assert_eq!(response.status(), 400, "{operation} {body}");
            let text = String::from_utf8(response.body().to_vec()).unwrap();
            assert!(text.contains(expected), "{operation} {body}: {text}");
            assert!(!text.contains("VALIDATION") && !text.contains("SERIALIZATION"), "{text}");
        }
    }
}

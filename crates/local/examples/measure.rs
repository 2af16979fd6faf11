//! The measurements behind three choices: `cargo run --release -p sluice-local --example measure`.
//!
//! 1. An object's bytes in SQLite, or in a file beside an index row.
//! 2. A short SQLite call on the calling thread, or handed to the blocking pool.
//! 3. SDK calls through the in-process client, or through a socket; one at a time, and 64 at once.

#![allow(clippy::print_stdout, reason = "it prints a table")]
#![allow(clippy::unwrap_used, reason = "a measurement stops at the first error")]

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sluice_local::{Cloud, Data, FunctionError, FunctionSetup, Functions, Options};

const ROUNDS: u32 = 4_000;
const OBJECT_BYTES: usize = 3_000;

struct Nothing;

#[async_trait]
impl Functions for Nothing {
    async fn invoke(&self, _: &str, _: Value) -> Result<Value, FunctionError> {
        Ok(json!({}))
    }
}

fn report(what: &str, elapsed: Duration, count: u32) -> f64 {
    let micros = elapsed.as_secs_f64() * 1e6 / f64::from(count);
    println!("{what:<64} {micros:>9.1} µs");
    micros
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let setup = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;
         CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE TABLE objects (key TEXT PRIMARY KEY, blob INTEGER, file TEXT) WITHOUT ROWID;";
    connection.execute_batch(setup).unwrap();
    connection
}

fn object_stores(folder: &Path) {
    let bytes = vec![7_u8; OBJECT_BYTES];
    let mut connection = open(&folder.join("a.sqlite"));
    let start = Instant::now();
    for number in 0..ROUNDS {
        let transaction = connection.transaction().unwrap();
        transaction
            .prepare_cached("INSERT INTO blobs (data) VALUES (?1)")
            .unwrap()
            .execute([&bytes])
            .unwrap();
        let id = transaction.last_insert_rowid();
        let mut insert =
            transaction.prepare_cached("INSERT INTO objects (key, blob) VALUES (?1, ?2)").unwrap();
        insert.execute(params![format!("raw/{number:08}"), id]).unwrap();
        drop(insert);
        transaction.commit().unwrap();
    }
    let sqlite = report("put 3 KB, bytes and index in one transaction", start.elapsed(), ROUNDS);

    let mut connection = open(&folder.join("b.sqlite"));
    let start = Instant::now();
    for number in 0..ROUNDS {
        let temporary = folder.join(format!("{number}.tmp"));
        let path = folder.join(format!("{number}"));
        std::fs::File::create(&temporary).unwrap().write_all(&bytes).unwrap();
        std::fs::hard_link(&temporary, &path).unwrap();
        std::fs::remove_file(&temporary).unwrap();
        let transaction = connection.transaction().unwrap();
        let mut insert =
            transaction.prepare_cached("INSERT INTO objects (key, file) VALUES (?1, ?2)").unwrap();
        insert.execute(params![format!("raw/{number:08}"), path.to_string_lossy()]).unwrap();
        drop(insert);
        transaction.commit().unwrap();
    }
    let file = report("put 3 KB, file (write, link, unlink) and index row", start.elapsed(), ROUNDS);
    println!("{:<64} {:>9.1} x", "  file / SQLite", file / sqlite);
}

async fn threads(folder: &Path) {
    let connection = open(&folder.join("c.sqlite"));
    connection.execute("INSERT INTO blobs (data) VALUES (?1)", [vec![7_u8; OBJECT_BYTES]]).unwrap();
    let connection = Arc::new(Mutex::new(connection));
    let read = |connection: &Mutex<Connection>| -> Vec<u8> {
        let connection = connection.lock().unwrap();
        let mut select = connection.prepare_cached("SELECT data FROM blobs WHERE id = 1").unwrap();
        select.query_row([], |row| row.get(0)).unwrap()
    };
    let start = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(read(&connection));
    }
    report("read 3 KB on the calling thread", start.elapsed(), ROUNDS);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let connection = Arc::clone(&connection);
        std::hint::black_box(tokio::task::spawn_blocking(move || read(&connection)).await.unwrap());
    }
    report("read 3 KB in the blocking pool", start.elapsed(), ROUNDS);
}

async fn timed<F, R>(what: &str, at_once: u32, call: F) -> f64
where
    F: Fn(u32) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let mut number = 0;
    while number < ROUNDS {
        let wave: Vec<_> =
            (number..(number + at_once).min(ROUNDS)).map(|number| tokio::spawn(call(number))).collect();
        number += at_once;
        for task in wave {
            task.await.unwrap();
        }
    }
    report(&format!("{what}, {at_once} at once"), start.elapsed(), ROUNDS)
}

async fn clients(name: &str, config: &SdkConfig) -> Vec<f64> {
    let s3 = aws_sdk_s3::Client::new(config);
    let dynamodb = aws_sdk_dynamodb::Client::new(config);
    let mut all = Vec::new();
    for at_once in [1, 64] {
        let client = s3.clone();
        let key = format!("{name}/{at_once}");
        all.push(
            timed(&format!("{name}: PutObject 3 KB, If-None-Match"), at_once, move |number| {
                let put = client
                    .put_object()
                    .bucket("sluice-raw")
                    .key(format!("{key}/{number}"))
                    .if_none_match("*");
                let put = put.body(ByteStream::from(vec![7; OBJECT_BYTES])).send();
                async move { drop(put.await.unwrap()) }
            })
            .await,
        );
        let client = s3.clone();
        let key = format!("{name}/{at_once}");
        all.push(
            timed(&format!("{name}: GetObject 3 KB"), at_once, move |number| {
                let get = client.get_object().bucket("sluice-raw").key(format!("{key}/{number}")).send();
                async move { drop(get.await.unwrap().body.collect().await.unwrap()) }
            })
            .await,
        );
        let client = dynamodb.clone();
        let key = format!("{name}-{at_once}");
        all.push(
            timed(&format!("{name}: PutItem, condition, stream, two indexes"), at_once, move |number| {
                let text = |value: String| AttributeValue::S(value);
                let put = client
                    .put_item()
                    .table_name("sluice-ledger")
                    .item("vendorId", text("vendorA".to_owned()))
                    .item("externalEventId", text(format!("{key}-{number}")))
                    .item("ingestId", text(format!("{key}-{number}")))
                    .item("statusShard", text(format!("RECEIVED#{}", number % 16)))
                    .item("receivedAt", text("2026-11-21T08:00:00.000Z".to_owned()))
                    .item("rawKey", text("raw/vendorA/2026/11/21/01JD0000000000000000000000.json".to_owned()))
                    .condition_expression("attribute_not_exists(vendorId)")
                    .send();
                async move { drop(put.await.unwrap()) }
            })
            .await,
        );
    }
    all
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    object_stores(folder.path());
    threads(folder.path()).await;
    let options = Options { ingest_port: 0, aws_port: 0, data: Data::Ephemeral, ..Options::default() };
    let make = |_: &FunctionSetup<'_>| -> Result<Arc<dyn Functions>, sluice_local::BoxError> {
        Ok(Arc::new(Nothing))
    };
    let cloud = Cloud::start_with_functions(options, Box::new(make)).await.unwrap();
    let socket = clients("socket", &cloud.loopback_sdk_config()).await;
    let in_process = clients("in process", &cloud.sdk_config()).await;
    let ratio = socket.iter().sum::<f64>() / in_process.iter().sum::<f64>();
    println!("{:<64} {ratio:>9.1} x", "  socket / in process, all six");
    cloud.shutdown().await;
}

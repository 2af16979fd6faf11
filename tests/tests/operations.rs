//! Operations from outside: a redrive in the background survives `kill -9`, is paused, resumed and stopped by the command line, and
//! its rest is done by another; a plan expires; two operations over the same events run each event once.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::Dev;

const KEY: &str = "plant-dev-key";
/// Generous: a loaded machine is slow.
const WAIT_MAX: Duration = Duration::from_secs(300);
const STOCK: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-15T10:30:00Z","data":{"quantityOnHand":12,"sku":"ABC-001","warehouseId":"ROA"}}]"#;

/// A mapper that says the same of every message.
fn constant(output: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 17) (data (i32.const 1024) "{}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
            (func (export "map") (param i32 i32 i32 i32) (result i32)
              (i32.store8 (i32.const 16) (i32.const 0))
              (i32.store (i32.const 20) (i32.const 1024)) (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
        output.replace('"', "\\\""),
        output.len()
    ))
    .unwrap()
}

/// The bundle of one vendor, with this schema for its messages.
fn write_bundle(home: &Path, schema: &Value) {
    let folder = home.join("mappers-wasm/plant-stock");
    std::fs::create_dir_all(folder.join("schema")).unwrap();
    std::fs::create_dir_all(home.join("target/mappers")).unwrap();
    std::fs::create_dir_all(home.join("examples")).unwrap();
    let contract = "vendorId = 'plant'\neventType = 'stock'\n[payload.versions]\n1 = 'schema/1.schema.json'\n\
        [canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n";
    std::fs::write(folder.join("mapper.toml"), contract).unwrap();
    std::fs::write(folder.join("schema/1.schema.json"), schema.to_string()).unwrap();
    std::fs::write(home.join("target/mappers/plant-stock.wasm"), constant(STOCK)).unwrap();
    let vendors = json!([{"vendorId": "plant", "apiKey": KEY}]);
    std::fs::write(home.join("examples/vendors.json"), vendors.to_string()).unwrap();
}

/// A command's JSON, what it says on standard error, and its exit code.
fn run(dev: &Dev, arguments: &[&str]) -> (Value, String, i32) {
    let mut command = dev.sluice(&["--json"]);
    let output = command.env("SLUICE_BY", "ops").args(arguments).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (document, error, output.status.code().unwrap_or(-1))
}

fn ok(dev: &Dev, arguments: &[&str]) -> Value {
    let (document, error, code) = run(dev, arguments);
    assert_eq!(code, 0, "{arguments:?}: {document} {error}");
    document
}

/// Asks for an operation until it is as wanted.
fn until(dev: &Dev, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let shown = ok(dev, &["operations", "show", id]);
        if wanted(&shown) {
            return shown;
        }
        assert!(begin.elapsed() < WAIT_MAX, "never {what}: {shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn count(shown: &Value, outcome: &str) -> u64 {
    shown["counts"][outcome].as_u64().unwrap_or(0)
}

fn open_events(dev: &Dev) -> u64 {
    let groups = ok(dev, &["quarantine", "ls", "--group"])["groups"].as_array().unwrap().clone();
    groups.iter().map(|group| group["open"].as_u64().unwrap()).sum()
}

/// Sends so many messages that lack what the schema asks for; gives the group that they are.
async fn break_events(dev: &Dev, events: usize) -> String {
    let client = reqwest::Client::new();
    for number in 0..events {
        let envelope = json!({"vendorId": "plant", "externalEventId": format!("e-{number}"), "eventType": "stock",
            "occurredAt": "2026-01-15T10:30:00Z", "payload": {"quantity": number}});
        loop {
            let request = client.post(format!("{}/v1/events", dev.api())).header("x-api-key", KEY);
            let answer = request.json(&envelope).send().await.unwrap();
            match answer.status().as_u16() {
                202 => break,
                429 | 503 => tokio::time::sleep(Duration::from_millis(200)).await,
                other => panic!("{other}: {}", answer.text().await.unwrap()),
            }
        }
    }
    ok(dev, &["balance", "--wait", "--timeout", "300"]);
    let groups = ok(dev, &["quarantine", "ls", "--group"])["groups"].clone();
    assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    assert_eq!(groups[0]["open"], events, "{groups}");
    groups[0]["fingerprint"].as_str().unwrap().to_owned()
}

fn fix(dev: &Dev, home: &Path) {
    write_bundle(home, &json!({}));
    let (folder, module) =
        (home.join("mappers-wasm/plant-stock"), home.join("target/mappers/plant-stock.wasm"));
    let (folder, module) = (folder.to_str().unwrap(), module.to_str().unwrap());
    let done = ok(dev, &["mapper", "publish", folder, "--wasm", module]);
    assert_eq!(done["outcome"], "activated", "{done}");
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        write_bundle(home.path(), &json!({"type": "object", "required": ["qty"]}));
        Self(home)
    }

    fn start(&self) -> Dev {
        let (data, examples) = (self.0.path().join("data"), self.0.path().join("examples"));
        let (data, examples) = (data.to_str().unwrap(), examples.to_str().unwrap());
        Dev::start(&["--data", data, "--examples", "--examples-dir", examples])
    }

    /// On the data that there are.
    fn restart(&self) -> Dev {
        Dev::start(&["--data", self.0.path().join("data").to_str().unwrap()])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_in_the_background_survives_a_kill_and_is_paused_and_resumed() {
    const EVENTS: usize = 300;
    let home = Home::new();
    let dev = home.start();
    let group = break_events(&dev, EVENTS).await;
    fix(&dev, home.0.path());
    assert_eq!(run(&dev, &["redrive", "--group", &group, "--background", "--yes"]).2, 2, "without a reason");

    let arguments =
        ["redrive", "--group", &group, "--background", "--yes", "--rate", "10", "--reason", "T-1: fixed"];
    let started = ok(&dev, &arguments)["operation"].clone();
    let id = started["operationId"].as_str().unwrap().to_owned();
    assert_eq!((&started["status"], &started["plan"]["items"]), (&json!("running"), &json!(EVENTS)));
    until(&dev, &id, "under way", |shown| count(shown, "released") >= 8);
    drop(dev);

    let dev = home.restart();
    let before = ok(&dev, &["operations", "show", &id]);
    until(&dev, &id, "going on", |shown| {
        assert_ne!(shown["driven"], false, "{shown}");
        count(shown, "released") > count(&before, "released")
    });
    let paused = ok(&dev, &["operations", "pause", &id, "--by", "ben", "--reason", "lunch"]);
    assert_eq!(paused["status"], "paused", "{paused}");
    let paused = until(&dev, &id, "at rest", |shown| shown["inFlight"].as_array().unwrap().is_empty());
    assert_eq!(paused["status"], "paused", "{paused}");
    let released = count(&paused, "released");
    assert!(released < EVENTS as u64, "{paused}");
    assert_eq!(open_events(&dev), EVENTS as u64 - released, "what waits is untouched");
    let listed = ok(&dev, &["operations", "ls"])["operations"].clone();
    assert_eq!((&listed[0]["operationId"], &listed[0]["status"]), (&json!(id), &json!("paused")), "{listed}");

    ok(&dev, &["operations", "resume", &id]);
    let done = until(&dev, &id, "completed", |shown| shown["status"] == "completed");
    assert_eq!((count(&done, "released"), &done["failed"]), (EVENTS as u64, &json!(0)), "{done}");
    let acts: Vec<(&str, &str)> = done["acts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| (act["verb"].as_str().unwrap(), act["by"].as_str().unwrap()))
        .collect();
    assert_eq!(acts, [("planned", "ops"), ("started", "ops"), ("paused", "ben"), ("resumed", "ops")]);
    assert_eq!(open_events(&dev), 0);
    let balance = ok(&dev, &["balance"]);
    assert_eq!((&balance["balanced"], &balance["quarantined"]), (&json!(true), &json!(0)), "{balance}");
    assert_eq!(run(&dev, &["operations", "pause", &id]).2, 4, "it has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_expire_a_stop_leaves_the_rest_and_two_operations_run_each_event_once() {
    const EVENTS: usize = 120;
    let home = Home::new();
    let dev = home.start();
    let group = break_events(&dev, EVENTS).await;
    fix(&dev, home.0.path());

    let plan = ok(&dev, &["redrive", "--group", &group, "--plan", "--valid-for", "1"])["operation"].clone();
    let id = plan["operationId"].as_str().unwrap();
    assert_eq!((&plan["status"], &plan["what"]), (&json!("planned"), &Value::Null));
    assert_eq!(plan["plan"]["what"], json!(format!("group {group}")));
    until(&dev, id, "expired", |shown| shown["expired"] == true);
    let (_, error, code) = run(&dev, &["operations", "start", id, "--reason", "T-1"]);
    assert!(code == 4 && error.contains("operation_plan_expired"), "{code}: {error}");
    assert_eq!(run(&dev, &["operations", "start", "01KAJ3Y3R00000000000000001", "--reason", "x"]).2, 3);

    let arguments = ["redrive", "--group", &group, "--plan", "--rate", "4"];
    let plan = ok(&dev, &arguments)["operation"].clone();
    let id = plan["operationId"].as_str().unwrap();
    assert_eq!(open_events(&dev), EVENTS as u64, "a plan runs nothing");
    ok(&dev, &["operations", "start", id, "--reason", "T-1: fixed"]);
    let (_, error, code) = run(&dev, &["operations", "start", id, "--reason", "again"]);
    assert!(code == 4 && error.contains("operation_already_started"), "{code}: {error}");
    until(&dev, id, "under way", |shown| count(shown, "released") > 0);
    ok(&dev, &["operations", "stop", id, "--reason", "enough"]);
    let stopped = until(&dev, id, "stopped", |shown| shown["status"] == "stopped");
    let (released, waiting) = (count(&stopped, "released"), stopped["waiting"].as_u64().unwrap());
    assert!(waiting > 0 && released + waiting == EVENTS as u64, "{stopped}");
    assert_eq!(open_events(&dev), waiting, "the rest is untouched");
    assert_eq!(run(&dev, &["operations", "resume", id]).2, 4, "a stop is for good");

    // Two people make an operation of the same rest, and start both.
    let rest = || ok(&dev, &["operations", "retry", id, "--plan"]);
    let (one, two) = (rest(), rest());
    assert_eq!((&one["plan"]["items"], &two["plan"]["items"]), (&json!(waiting), &json!(waiting)));
    let ids = [&one, &two].map(|plan| plan["operationId"].as_str().unwrap());
    for id in ids {
        ok(&dev, &["operations", "start", id, "--reason", "T-1: the rest"]);
    }
    let done = ids.map(|id| until(&dev, id, "completed", |shown| shown["status"] == "completed"));
    let sum = |outcome: &str| count(&done[0], outcome) + count(&done[1], outcome);
    assert_eq!((sum("released"), sum("taken")), (waiting, waiting), "{done:?}");
    for (mine, other) in [(0, 1), (1, 0)] {
        for item in done[mine]["items"].as_array().unwrap() {
            assert_eq!(item["takenBy"], ids[other], "{item}");
        }
    }
    assert_eq!(open_events(&dev), 0);
    let balance = ok(&dev, &["balance"]);
    assert_eq!((&balance["balanced"], &balance["normalized"]), (&json!(true), &json!(EVENTS)), "{balance}");

    // What is stored is replayed in batches of 20 × 5 events.
    let arguments =
        ["replay", "--from", "1h", "--concurrency", "5", "--background", "--reason", "T-3: proof"];
    let replay = ok(&dev, &arguments)["operation"].clone();
    assert_eq!((&replay["kind"], &replay["plan"]["items"]), (&json!("replay"), &json!(2)), "{replay}");
    let id = replay["operationId"].as_str().unwrap();
    until(&dev, id, "completed", |shown| shown["status"] == "completed");
    let done = ok(&dev, &["operations", "show", id, "--all"]);
    assert_eq!(count(&done, "replayed"), 2, "{done}");
    assert_eq!(done["items"][0]["tally"], json!({"total": 100, "succeeded": 100, "failed": 0}), "{done}");
}

#[test]
fn dead_letters_are_moved_by_an_operation() {
    let dev = Dev::start(&["--ephemeral"]);
    let sqs = |operation: &str, request: &Value| dev.call("sqs", &format!("AmazonSQS.{operation}"), request);
    let url = sqs("GetQueueUrl", &json!({"QueueName": "sluice-orders-dlq"}))["QueueUrl"].clone();
    sqs("SendMessage", &json!({"QueueUrl": url, "MessageBody": "{}"}));
    let arguments =
        ["dlq", "redrive", "--queue", "sluice-orders-dlq", "--background", "--reason", "T-2", "--yes"];
    let started = ok(&dev, &arguments)["operation"].clone();
    assert_eq!(
        (&started["kind"], &started["plan"]["items"]),
        (&json!("deadLetters"), &json!(1)),
        "{started}"
    );
    let id = started["operationId"].as_str().unwrap();
    let done = until(&dev, id, "completed", |shown| shown["status"] == "completed");
    assert_eq!(count(&done, "moved"), 1, "{done}");
    let shown = ok(&dev, &["operations", "show", id, "--all"]);
    assert_eq!(shown["items"][0]["message"], "1 moved to sluice-orders", "{shown}");
}

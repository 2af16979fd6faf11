//! Ops' day, from outside: a thousand failures as one group, a fix that is none and one that is, books that do not agree, keys that
//! and secrets that are rotated, an event that is stuck, dead letters that are moved back, an audit that is cut off.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_core::id::{IngestId, raw_key};
use sluice_core::jiff::{SignedDuration, Timestamp};
use sluice_tests::{Dev, root};

const KEY: &str = "vendorA-dev-key";
/// Generous: a loaded machine is slow.
const WAIT_MAX: Duration = Duration::from_secs(180);
const FIXED: &str = "mappers-wasm/demo/vendor-a-inventory-fixed";
const FIXED_MODULE: &str = "mappers-wasm/target/wasm32-unknown-unknown/release/vendor_a_inventory_fixed.wasm";

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{:?}\n{out}\n{err}", output.status.code())
}

/// A command's JSON, and its exit code.
fn run(dev: &Dev, arguments: &[&str]) -> (Value, i32) {
    let output = dev.sluice(&["--json"]).args(arguments).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let code = output.status.code().unwrap_or(-1);
    assert!(document != Value::Null || code != 0, "{arguments:?}: {}", said(&output));
    (document, code)
}

fn ok(dev: &Dev, arguments: &[&str]) -> Value {
    let (document, code) = run(dev, arguments);
    assert_eq!(code, 0, "{arguments:?}: {document}");
    document
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < WAIT_MAX, "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn envelope(id: &str, payload: &Value) -> Value {
    json!({"vendorId": "vendorA", "externalEventId": id, "eventType": "inventory_update",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": payload})
}

async fn post(client: &reqwest::Client, dev: &Dev, key: &str, envelope: &Value) -> (u16, Value) {
    loop {
        let request = client.post(format!("{}/v1/events", dev.api())).header("x-api-key", key).json(envelope);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.json().await.unwrap_or(Value::Null);
        if !matches!(status, 429 | 503) {
            return (status, body);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Calls DynamoDB, as someone does who goes behind the system's back.
fn dynamodb(dev: &Dev, operation: &str, request: &Value) -> Value {
    dev.call("dynamodb", &format!("DynamoDB_20120810.{operation}"), request)
}

fn groups(dev: &Dev) -> Vec<Value> {
    ok(dev, &["quarantine", "ls", "--group"])["groups"].as_array().unwrap().clone()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_failures_are_one_group_and_a_fix_is_watched() {
    const EVENTS: usize = 1_000;
    const SENDERS: usize = 16;
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    let send = |sender: usize| {
        let (client, dev) = (&client, &dev);
        async move {
            for number in (sender..EVENTS).step_by(SENDERS) {
                // The vendor renamed qty without a word.
                let payload = json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "quantity": number});
                let (status, body) =
                    post(client, dev, KEY, &envelope(&format!("e-{number}"), &payload)).await;
                assert_eq!(status, 202, "{body}");
            }
        }
    };
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        senders.push(send(sender));
    }
    futures_join(senders).await;
    ok(&dev, &["balance", "--wait", "--timeout", "300"]);

    let found = groups(&dev);
    assert_eq!(found.len(), 1, "{found:?}");
    let group = found[0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!((&found[0]["open"], &found[0]["state"]), (&json!(EVENTS), &json!("OPEN")));
    assert_eq!(found[0]["vendors"], json!({"vendorA": EVENTS}));
    assert_eq!(found[0]["pointer"], "/payload/qty");
    ok(&dev, &["quarantine", "ack", &group, "--reason", "T-1: vendorA renamed qty", "--by", "ops"]);
    assert_eq!(groups(&dev)[0]["state"], "ACKNOWLEDGED");

    // Without a terminal and without --yes nothing is run; the plan is shown for nothing.
    assert_eq!(run(&dev, &["redrive", "--group", &group]).1, 2);
    let plan = ok(&dev, &["redrive", "--group", &group, "--dry-run"])["plan"].clone();
    assert_eq!((&plan["events"], &plan["groups"][0]["redrive"]), (&json!(EVENTS), &json!(EVENTS)), "{plan}");

    // A fix that is no fix: another bundle, the same schema.
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("vendor-a-inventory");
    copy(&root().join("mappers-wasm/vendor-a-inventory"), &bundle);
    let manifest = std::fs::read_to_string(bundle.join("mapper.toml")).unwrap();
    std::fs::write(bundle.join("mapper.toml"), manifest.replace("16384", "16000")).unwrap();
    let module = root().join("target/mappers/vendor-a-inventory.wasm");
    let publish = |folder: &Path, module: &Path| {
        let (folder, module) = (folder.to_str().unwrap().to_owned(), module.to_str().unwrap().to_owned());
        let done = ok(&dev, &["mapper", "publish", &folder, "--wasm", &module]);
        assert_eq!(done["outcome"], "activated");
    };
    publish(&bundle, &module);
    let (done, code) = run(&dev, &["redrive", "--group", &group, "--yes", "--rate", "300"]);
    assert_eq!((code, &done["summary"]["stopped"]), (1, &json!("error_budget")), "{}", done["summary"]);
    let failed = done["summary"]["failed"].as_u64().unwrap();
    assert!((5..=20).contains(&failed), "it costs a window at most: {failed}");
    assert_eq!(done["summary"]["notStarted"], json!(EVENTS as u64 - failed));
    // What failed again failed with another bundle: a group of its own.
    let open: u64 = groups(&dev).iter().map(|group| group["open"].as_u64().unwrap()).sum();
    assert_eq!((groups(&dev).len(), open), (2, EVENTS as u64));

    publish(&root().join(FIXED), &root().join(FIXED_MODULE));
    let output = dev.sluice(&["redrive", "--group", &group, "--yes", "--rate", "300"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let total = EVENTS as u64 - failed;
    assert!(stderr.contains(&format!("{total} of {total} done: {total} released, 0 failed")), "{stderr}");
    assert!(stderr.contains(&group), "the plan is shown first: {stderr}");
    // What was released is not in the plan any more: the same command has nothing to do.
    assert_eq!(ok(&dev, &["redrive", "--group", &group, "--dry-run"])["plan"]["events"], 0);
    let rest = ok(&dev, &["redrive", "--vendor", "vendorA", "--since", "1h", "--yes"]);
    assert_eq!(rest["summary"]["released"], json!(failed));

    let balance = ok(&dev, &["balance"]);
    assert_eq!((&balance["normalized"], &balance["quarantined"]), (&json!(EVENTS), &json!(0)), "{balance}");
    let hours = ok(&dev, &["balance", "--vendor", "vendorA"]);
    assert_eq!((&hours["balanced"], &hours["unaccounted"]), (&json!(true), &json!(0)));
    assert!(groups(&dev).is_empty());
    let drained = ok(&dev, &["dlq", "drain"]);
    assert_eq!(drained["kept"], 0, "{drained}");
    let health = ok(&dev, &["vendors", "health", "vendorA"])["vendors"][0].clone();
    assert_eq!((&health["accepted"], &health["components"]["validity"]), (&json!(EVENTS), &json!(0.0)));
    assert!(health["components"]["duplicates"].is_number(), "{health}");
}

/// All of them, side by side.
async fn futures_join<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_names_exactly_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&["--data", data.to_str().unwrap(), "--examples"]);
    let client = reqwest::Client::new();
    let mut ids = Vec::new();
    for number in 0..6 {
        let payload = json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": number});
        let (status, body) = post(&client, &dev, KEY, &envelope(&format!("e-{number}"), &payload)).await;
        assert_eq!(status, 202);
        ids.push(body["ingestId"].as_str().unwrap().to_owned());
    }
    // One in quarantine, and one that is refused and kept: an orphan, no loss.
    let renamed = envelope("renamed", &json!({"warehouse": "ROA", "sku": "SKU-9", "quantity": 1}));
    assert_eq!(post(&client, &dev, KEY, &renamed).await.0, 202);
    let conflict = envelope("e-0", &json!({"warehouse": "ROA", "sku": "SKU-0", "qty": 77}));
    assert_eq!(post(&client, &dev, KEY, &conflict).await.0, 409);
    ok(&dev, &["balance", "--wait"]);
    let entity = "inventory#ROA#SKU-2";
    let key = json!({"entity": {"S": entity}, "part": {"S": "state"}});
    let read = json!({"TableName": "sluice-canonical-state", "Key": key, "ConsistentRead": true});
    until("the state row", async || dynamodb(&dev, "GetItem", &read).get("Item").cloned()).await;

    let (before, code) = run(&dev, &["audit"]);
    assert_eq!((code, &before["losses"]), (0, &json!(0)), "{before}");
    assert_eq!(before["byKind"], json!({"orphan_raw": 1}), "{before}");
    assert!(before["orphans"][0]["detail"].as_str().unwrap().contains("another payload"), "{before}");
    assert_eq!(before["events"], 7);

    let show = |id: &str| ok(&dev, &["show", id]);
    let (first, second) = (show(&ids[0]), show(&ids[1]));
    let raw_key = first["raw"]["key"].as_str().unwrap();
    let normalized_key = second["normalized"]["key"].as_str().unwrap();
    // The raw bucket takes no delete: behind the system's back is behind the local cloud's, too.
    let objects = rusqlite::Connection::open(data.join("s3.sqlite")).unwrap();
    objects.busy_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(objects.execute("DELETE FROM objects WHERE key = ?1", [raw_key]).unwrap(), 1);
    assert_eq!(objects.execute("DELETE FROM objects WHERE key = ?1", [normalized_key]).unwrap(), 1);
    let delete = json!({"TableName": "sluice-canonical-state", "Key": key});
    dynamodb(&dev, "DeleteItem", &delete);

    let record = folder.path().join("audit.json");
    let (after, code) = run(&dev, &["audit", "--resume", record.to_str().unwrap()]);
    assert_eq!(code, 1, "{after}");
    assert!(!record.exists(), "an audit that ended leaves no record to go on from");
    let named: Vec<(&str, &str, &str)> = after["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let text = |member: &str| finding[member].as_str().unwrap_or_default();
            (text("kind"), text("subject"), text("ingestId"))
        })
        .collect();
    let expected = [
        ("raw_missing", raw_key, ids[0].as_str()),
        ("normalized_missing", normalized_key, ids[1].as_str()),
        ("state_missing", entity, ids[2].as_str()),
    ];
    assert_eq!(named, expected, "{after}");
    assert_eq!(run(&dev, &["audit", "--vendor", "signed-demo"]).1, 0, "another vendor's books agree");

    let (balance, code) = run(&dev, &["balance", "--vendor", "vendorA"]);
    assert_eq!((code, &balance["unaccounted"]), (1, &json!(2)), "{balance}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_without_a_gap_and_a_disabled_vendor_keeps_its_history() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    let event = envelope("e-1", &json!({"warehouse": "ROA", "sku": "SKU-1", "qty": 1}));
    let (status, accepted) = post(&client, &dev, KEY, &event).await;
    assert_eq!(status, 202);
    let answered = async |key: &str, expected: u16| {
        until(&format!("{key} is answered {expected}"), async || {
            (post(&client, &dev, key, &event).await.0 == expected).then_some(())
        })
        .await;
    };

    let begun = ok(&dev, &["vendors", "rotate-key", "vendorA", "--by", "ops"]);
    let second = begun["value"].as_str().unwrap().to_owned();
    assert_eq!(begun["live"].as_array().unwrap().len(), 2);
    answered(&second, 200).await;
    answered(KEY, 200).await;
    assert_eq!(run(&dev, &["vendors", "rotate-key", "vendorA"]).1, 4, "two are live");
    ok(&dev, &["vendors", "rotate-key", "vendorA", "--finish", "--by", "ops"]);
    answered(KEY, 401).await;
    answered(&second, 200).await;

    // All those were the same event: counted beside the answers, and no event of their own.
    let health = until("the duplicates are counted", async || {
        let health = ok(&dev, &["vendors", "health", "vendorA"])["vendors"][0].clone();
        (health["counts"]["duplicates"].as_u64() >= Some(3)).then_some(health)
    })
    .await;
    assert_eq!(health["accepted"], 1, "{health}");
    assert!(health["components"]["duplicates"].as_f64() <= Some(0.25), "{health}");

    ok(&dev, &["vendors", "disable", "vendorA", "--by", "ops"]);
    answered(&second, 403).await;
    let id = accepted["ingestId"].as_str().unwrap();
    assert_eq!(ok(&dev, &["show", id])["vendorId"], "vendorA");
    ok(&dev, &["vendors", "enable", "vendorA", "--by", "ops"]);
    answered(&second, 200).await;
    let shown = ok(&dev, &["vendors", "show", "vendorA"]);
    let changes: Vec<&str> =
        shown["changes"].as_array().unwrap().iter().map(|change| change["what"].as_str().unwrap()).collect();
    assert!(changes.ends_with(&["API key begun", "API key finished", "disabled", "enabled"]), "{changes:?}");
    assert!(!shown.to_string().contains(&second), "a key is shown once");
    assert_eq!(run(&dev, &["vendors", "disable", "nobody"]).1, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_discarded_is_kept_and_what_is_stuck_is_run_again() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    let renamed = envelope("renamed", &json!({"warehouse": "ROA", "sku": "SKU-9", "quantity": 1}));
    let (_, hopeless) = post(&client, &dev, KEY, &renamed).await;
    let good = envelope("good", &json!({"warehouse": "ROA", "sku": "SKU-1", "qty": 1}));
    let (_, good) = post(&client, &dev, KEY, &good).await;
    ok(&dev, &["balance", "--wait"]);
    let (hopeless, good) = (hopeless["ingestId"].as_str().unwrap(), good["ingestId"].as_str().unwrap());

    let discard = ["quarantine", "discard", hopeless, "--reason", "a test of vendorA's", "--by", "ops"];
    assert_eq!(run(&dev, &discard[..3]).1, 2, "why is asked");
    assert_eq!(ok(&dev, &discard)["discarded"], json!([hopeless]));
    assert_eq!(run(&dev, &discard).1, 1, "it is not open any more");
    let row = ok(&dev, &["quarantine", "show", hopeless]);
    assert_eq!((&row["status"], &row["resolution"]["by"]), (&json!("DISCARDED"), &json!("ops")));
    assert_eq!(ok(&dev, &["quarantine", "ls"])["quarantine"], json!([]));
    assert_eq!(ok(&dev, &["redrive", "--all", "--yes"])["plan"]["events"], 0);
    let balance = ok(&dev, &["balance"]);
    assert_eq!((&balance["quarantined"], &balance["quarantineHeld"]), (&json!(1), &json!(1)));
    until("its dead letter is removed", async || (ok(&dev, &["dlq", "drain"])["removed"] == 1).then_some(()))
        .await;

    // Its execution is gone, as after 90 days: it is run again under a name of its own.
    let execution = row["executionArn"].as_str().unwrap();
    let key = json!({"vendorId": {"S": "vendorA"}, "ingestId": {"S": hopeless}});
    let update = json!({"TableName": "sluice-quarantine", "Key": key, "UpdateExpression": "SET executionArn = :arn",
        "ExpressionAttributeValues": {":arn": {"S": format!("{execution}9")}}});
    dynamodb(&dev, "UpdateItem", &update);
    ok(&dev, &["mapper", "publish", FIXED, "--wasm", FIXED_MODULE]);
    let replayed = ok(&dev, &["redrive", hopeless])["redrives"][0].clone();
    assert_eq!(
        (&replayed["outcome"], &replayed["method"]),
        (&json!("released"), &json!("replay")),
        "{replayed}"
    );
    assert_ne!(replayed["executionArn"], execution);
    assert_eq!(ok(&dev, &["quarantine", "show", hopeless])["status"], "RELEASED");

    // As if nothing had ever come of it: what a lost bus event or a lost execution looks like.
    let row = ok(&dev, &["show", good]);
    assert_eq!(row["status"], "NORMALIZED");
    let key = json!({"vendorId": {"S": "vendorA"}, "externalEventId": {"S": "good"}});
    let shard = good.bytes().next_back().unwrap() % 16;
    let update = json!({"TableName": "sluice-ledger", "Key": key,
        "UpdateExpression": "SET #s = :s, statusShard = :p REMOVE normalized",
        "ExpressionAttributeNames": {"#s": "status"},
        "ExpressionAttributeValues": {":s": {"S": "RECEIVED"}, ":p": {"S": format!("RECEIVED#{shard}")}}});
    dynamodb(&dev, "UpdateItem", &update);
    assert_eq!(ok(&dev, &["show", good])["status"], "RECEIVED");
    let invoke = |input: Value| -> Value {
        let mut curl = dev.curl("lambda", "/2015-03-31/functions/sluice-reconcile/invocations");
        let answer = curl.args(["--data-binary", &input.to_string()]).output().unwrap();
        serde_json::from_slice(&answer.stdout).unwrap()
    };
    let early = invoke(json!({}));
    assert_eq!(early["reruns"], 0, "it is not stuck yet: {early}");
    until("it is stuck for a second and run again", async || {
        (invoke(json!({"stuckSeconds": 1}))["reruns"] == 1).then_some(())
    })
    .await;
    let again = until("it is normalized", async || {
        let row = ok(&dev, &["show", good]);
        (row["status"] == "NORMALIZED").then_some(row)
    })
    .await;
    assert_eq!(again["normalized"]["sha256"], row["normalized"]["sha256"], "the same bytes");
    assert_eq!(again.get("quarantine"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_moved_back_and_applied_once() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    // Time to take the document away before it is applied.
    let url = format!("{}/000000000000/sluice-inventory", dev.aws());
    let delay = json!({"QueueUrl": url, "Attributes": {"DelaySeconds": "5"}});
    dev.call("sqs", "AmazonSQS.SetQueueAttributes", &delay);
    let event = envelope("poison", &json!({"warehouse": "ROA", "sku": "SKU-1", "qty": 7}));
    let (status, body) = post(&client, &dev, KEY, &event).await;
    assert_eq!(status, 202);
    let id = body["ingestId"].as_str().unwrap();
    let key = until("it is normalized", async || {
        ok(&dev, &["show", id])["normalized"]["key"].as_str().map(str::to_owned)
    })
    .await;
    let document = format!("/sluice-normalized/{key}");
    let bytes = dev.curl("s3", &document).output().unwrap().stdout;
    assert!(dev.curl("s3", &document).args(["-X", "DELETE"]).status().unwrap().success());

    let queues =
        async || -> Vec<Value> { ok(&dev, &["dlq", "queues"])["queues"].as_array().unwrap().clone() };
    let dead = until("it is dead-lettered", async || {
        queues()
            .await
            .into_iter()
            .find(|queue| queue["queue"] == "sluice-inventory-dlq" && queue["approximateMessages"] == 1)
    })
    .await;
    assert_eq!(dead["sources"], json!(["sluice-inventory"]));
    let reason = &dead["reasons"][0];
    assert_eq!((&reason["code"], &reason["example"]), (&json!("normalized_missing"), &json!(id)), "{dead}");
    let letter = ok(&dev, &["dlq", "ls", "--queue", "sluice-inventory-dlq"])["messages"][0].clone();
    assert_eq!(
        (&letter["reason"]["stage"], &letter["body"]["detail"]["ingestId"]),
        (&json!("apply"), &json!(id))
    );

    // Moving it back before the cause is mended brings it back.
    let (refused, code) = run(&dev, &["dlq", "redrive"]);
    assert_eq!(code, 2, "a program says --yes: {refused}");
    let plan = ok(&dev, &["dlq", "redrive", "--dry-run"])["plan"].clone();
    assert_eq!(
        (&plan[0]["queue"], &plan[0]["destination"]),
        (&json!("sluice-inventory-dlq"), &json!("sluice-inventory"))
    );
    assert_eq!(plan.as_array().unwrap().len(), 1);
    let moved = ok(&dev, &["dlq", "redrive", "--yes"])["moves"][0].clone();
    assert_eq!((&moved["status"], &moved["moved"]), (&json!("COMPLETED"), &json!(1)), "{moved}");
    until("it is there again", async || {
        let queues = queues().await;
        queues
            .iter()
            .any(|queue| queue["queue"] == "sluice-inventory-dlq" && queue["approximateMessages"] == 1)
            .then_some(())
    })
    .await;

    let entity = "inventory#ROA#SKU-1";
    assert_eq!(run(&dev, &["state", "show", entity]).1, 3, "it is not applied");
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("document");
    std::fs::write(&held, bytes).unwrap();
    let mut put = dev.curl("s3", &document);
    put.args(["-X", "PUT", "--data-binary", &format!("@{}", held.display())]);
    assert!(put.status().unwrap().success());
    let moved =
        ok(&dev, &["dlq", "redrive", "--queue", "sluice-inventory-dlq", "--per-second", "5", "--yes"]);
    assert_eq!(
        (&moved["moves"][0]["moved"], &moved["moves"][0]["perSecond"]),
        (&json!(1), &json!(5)),
        "{moved}"
    );
    let state = until("it is applied", async || {
        let (state, code) = run(&dev, &["state", "show", entity, "--history"]);
        (code == 0).then_some(state)
    })
    .await;
    assert_eq!(
        (&state["contributions"], &state["version"], &state["data"]["quantityOnHand"]),
        (&json!(1), &json!(1), &json!(7))
    );
    assert_eq!(ok(&dev, &["dlq", "redrive", "--yes"]), json!({"plan": []}), "nothing is left");
    let balance = ok(&dev, &["balance", "--wait"]);
    assert_eq!((&balance["normalized"], &balance["quarantined"]), (&json!(1), &json!(0)));

    // What points at quarantined events is not moved.
    let output = dev.sluice(&["dlq", "redrive", "--queue", "sluice-dlq", "--yes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sluice redrive"), "{}", said(&output));
    assert_eq!(run(&dev, &["dlq", "cancel", "sluice-inventory-dlq"]).1, 3, "no move is running");
    assert_eq!(run(&dev, &["dlq", "redrive", "--queue", "nobody", "--yes"]).1, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_execution_that_failed_in_quarantine_itself_is_redriven_once() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    let renamed = envelope("renamed", &json!({"warehouse": "ROA", "sku": "SKU-9", "quantity": 1}));
    let (_, accepted) = post(&client, &dev, KEY, &renamed).await;
    let id = accepted["ingestId"].as_str().unwrap();
    let failed = async |redrives: u64| {
        until("it has failed", async || {
            let execution = ok(&dev, &["show", id])["execution"].clone();
            (execution["status"] == "FAILED" && execution["redriveCount"] == redrives).then_some(execution)
        })
        .await
    };
    let execution = failed(0).await["arn"].as_str().unwrap().to_owned();

    // The row of the ledger becomes another event's for a while: Quarantine finds no event to mark.
    let own = async |ingest_id: &str| {
        let key = json!({"vendorId": {"S": "vendorA"}, "externalEventId": {"S": "renamed"}});
        let update = json!({"TableName": "sluice-ledger", "Key": key, "UpdateExpression": "SET ingestId = :id",
            "ExpressionAttributeValues": {":id": {"S": ingest_id}}});
        dynamodb(&dev, "UpdateItem", &update);
    };
    let other = format!("{}{}", &id[..25], if id.ends_with('0') { '1' } else { '0' });
    own(&other).await;
    let redrive = json!({"executionArn": execution});
    dev.call("states", "AWSStepFunctions.RedriveExecution", &redrive);
    until("Quarantine has failed", async || {
        let described = dev.call("states", "AWSStepFunctions.DescribeExecution", &redrive);
        (described["status"] == "FAILED" && described["redriveCount"] == 1).then_some(described)
    })
    .await;
    let history = json!({"executionArn": execution, "reverseOrder": true});
    let history = dev.call("states", "AWSStepFunctions.GetExecutionHistory", &history).to_string();
    assert!(history.contains("ledger_row_missing"), "{history}");
    own(id).await;

    let row = ok(&dev, &["quarantine", "show", id]);
    assert_eq!(
        (&row["status"], &row["attempts"]),
        (&json!("OPEN"), &json!(1)),
        "the second time is not recorded"
    );
    ok(&dev, &["mapper", "publish", FIXED, "--wasm", FIXED_MODULE]);
    let done = ok(&dev, &["redrive", id])["redrives"][0].clone();
    assert_eq!((&done["outcome"], &done["method"]), (&json!("released"), &json!("redrive")), "{done}");
    assert_eq!(done["redriveCount"], 2, "one redrive is enough: {done}");
    // Attempts count the runs of the execution: the first, the one that failed in Quarantine, and this one.
    let row = ok(&dev, &["quarantine", "show", id]);
    assert_eq!((&row["status"], &row["attempts"]), (&json!("RELEASED"), &json!(3)));
    assert_eq!(ok(&dev, &["show", id])["status"], "NORMALIZED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_that_is_cut_off_goes_on_to_the_same_report() {
    const HOURS: i64 = 72;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    for number in 0..4 {
        let payload = json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": number});
        assert_eq!(post(&client, &dev, KEY, &envelope(&format!("e-{number}"), &payload)).await.0, 202);
    }
    ok(&dev, &["balance", "--wait"]);
    // Objects that nobody accepted, in the first, a middle and the last hour: what the books begin with, and findings.
    let now = Timestamp::now();
    for hours in [HOURS, HOURS / 2, 1] {
        let at = now - SignedDuration::from_hours(hours);
        let key = raw_key(&"vendorA".parse().unwrap(), at, IngestId::mint(at, 7));
        let mut put = dev.curl("s3", &format!("/sluice-raw/{key}"));
        put.args(["-X", "PUT", "-H", "if-none-match: *", "--data-binary", "{}"]);
        assert!(put.status().unwrap().success(), "{key}");
    }
    let to = (Timestamp::now() - SignedDuration::from_millis(1)).to_string();
    let (whole, code) = run(&dev, &["audit", "--to", &to]);
    assert_eq!(
        (code, &whole["events"], &whole["byKind"]),
        (0, &json!(4), &json!({"orphan_unexplained": 3})),
        "{whole}"
    );

    let record = folder.path().join("audit.json");
    let arguments = ["audit", "--to", to.as_str(), "--resume", record.to_str().unwrap()];
    let mut cut_off =
        dev.sluice(&["--json"]).args(arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while !record.exists() {
        assert!(
            begin.elapsed() < WAIT_MAX && cut_off.try_wait().unwrap().is_none(),
            "it ended before it was cut off"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    cut_off.kill().unwrap();
    cut_off.wait().unwrap();
    let held: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    assert!(held["next"].is_string(), "it was not in the middle: {held}");
    assert_eq!(held["report"]["events"], 0, "the events are of the last hour: {held}");

    assert_eq!(run(&dev, &arguments), (whole, 0));
    assert!(!record.exists());
    // The record of another audit is not gone on with.
    std::fs::write(&record, held.to_string()).unwrap();
    assert_eq!(run(&dev, &["audit", "--vendor", "vendorA", "--resume", record.to_str().unwrap()]).1, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_secrets_are_rotated_without_a_gap() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let send = |secret: &str| -> u64 {
        let sent = dev
            .sluice(&["--json", "send", "examples/native/shopify-orders-create.json"])
            .args(["--path", "/v1/sources/shopify-store", "--scheme", "shopify", "--secret", secret])
            .args(["--header", "x-shopify-topic: orders/create", "--header", "x-shopify-webhook-id: w-1"])
            .output()
            .unwrap();
        let document: Value = serde_json::from_slice(&sent.stdout).unwrap_or(Value::Null);
        document["statusCode"].as_u64().unwrap_or_else(|| panic!("{}", said(&sent)))
    };
    let answered = async |secret: &str, expected: u64| {
        until(&format!("{secret} is answered {expected}"), async || (send(secret) == expected).then_some(()))
            .await;
    };
    let first = "shopify-store-dev-secret";
    assert_eq!(send(first), 202);
    assert_eq!(send("second-secret"), 401);
    let rotate = ["vendors", "rotate-secret", "shopify-store", "--by", "ops"];
    let begun = ok(&dev, &[rotate.as_slice(), &["--value", "second-secret"]].concat());
    assert_eq!((&begun["outcome"], begun["live"].as_array().unwrap().len()), (&json!("begun"), 2), "{begun}");
    answered("second-secret", 200).await;
    assert_eq!(send(first), 200, "both hold");
    assert_eq!(run(&dev, &rotate).1, 4, "two are live");
    let finished = ok(&dev, &[rotate.as_slice(), &["--finish"]].concat());
    assert_eq!((&finished["outcome"], finished["live"].as_array().unwrap().len()), (&json!("finished"), 1));
    answered(first, 401).await;
    assert_eq!(send("second-secret"), 200);
    // A secret that leaked is revoked at once, even the newer one of two.
    assert_eq!(run(&dev, &rotate).1, 2, "nobody but Shopify makes Shopify's secrets");
    let leaked = "third-secret";
    let third = ok(&dev, &[rotate.as_slice(), &["--value", leaked]].concat());
    answered(leaked, 200).await;
    let digest = third["live"].as_array().unwrap().last().unwrap().as_str().unwrap();
    ok(&dev, &[rotate.as_slice(), &["--revoke", digest]].concat());
    answered(leaked, 401).await;
    assert_eq!(send("second-secret"), 200, "the other one still holds");
}

//! Replay from end to end: the prediction is what happens, a replay of unchanged code changes nothing, one with a mended mapper
//! empties the quarantine, and one with a stricter contract takes nothing away.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::{Dev, root};

const EVENTS: usize = 40;

/// Every fourth event has its member renamed, which the mended mapper knows; every tenth is beyond repair.
fn envelope(number: usize) -> Value {
    let payload = match number {
        _ if number % 10 == 9 => json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": "many"}),
        _ if number % 4 == 1 => {
            json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "quantity": number})
        }
        _ => json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": number}),
    };
    json!({"vendorId": "vendorA", "externalEventId": format!("r-{number}"), "eventType": "inventory_update",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": payload})
}

/// What a command answers, and its exit code.
fn sluice(dev: &Dev, arguments: &[&str]) -> (Value, i32) {
    let output = dev.sluice(&[&["--json"], arguments].concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stderr}"));
    (document, output.status.code().unwrap())
}

/// Rows as `ls` lists them, by event: status and last change among them. Those of events that fail change once more when
/// their recovery gets there, after the replay; so it is waited until nothing changes.
fn rows(dev: &Dev) -> BTreeMap<String, Value> {
    let look = || -> BTreeMap<String, Value> {
        let (listed, _) = sluice(dev, &["ls", "--limit", "1000"]);
        let events = listed["events"].as_array().unwrap().iter();
        events.map(|row| (row["externalEventId"].as_str().unwrap().to_owned(), row.clone())).collect()
    };
    let mut rows = look();
    loop {
        std::thread::sleep(Duration::from_millis(1_000));
        let later = look();
        if later == rows {
            return rows;
        }
        rows = later;
    }
}

/// Of those that are normalized.
fn normalized(rows: &BTreeMap<String, Value>) -> BTreeMap<&String, &Value> {
    rows.iter().filter(|(_, row)| row["status"] == "NORMALIZED").collect()
}

fn with_status(rows: &BTreeMap<String, Value>, status: &str) -> usize {
    rows.values().filter(|row| row["status"] == status).count()
}

fn document(dev: &Dev, ingest_id: &Value) -> Vec<u8> {
    let output = dev.sluice(&["show", ingest_id.as_str().unwrap(), "--normalized"]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn publish(dev: &Dev, bundle: &Path) {
    let module =
        root().join("mappers-wasm/target/wasm32-unknown-unknown/release/vendor_a_inventory_fixed.wasm");
    let arguments = ["mapper", "publish", bundle.to_str().unwrap(), "--wasm", module.to_str().unwrap()];
    let (published, code) = sluice(dev, &arguments);
    assert_eq!((&published["outcome"], code), (&json!("activated"), 0), "{published}");
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

/// Predicts, replays, and holds the one against the other.
fn replay(dev: &Dev) -> (Value, i32) {
    let before = rows(dev);
    let (predicted, code) = sluice(dev, &["replay", "--from", "1h", "--vendor", "vendorA", "--dry-run"]);
    assert_eq!((&predicted["dryRun"], code), (&json!(true), 0));
    assert_eq!(rows(dev), before, "a dry run writes nothing");
    // `mapper publish` is in effect within two seconds; a replay reads the pointer anew.
    let (replayed, code) = sluice(dev, &["replay", "--from", "1h", "--vendor", "vendorA"]);
    let counts = |replay: &Value| {
        let outcome = &replay["outcome"];
        let failures: Vec<_> = outcome["failures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| (failure["code"].clone(), failure["count"].clone()))
            .collect();
        let members = ["succeeded", "failed", "changed", "unchanged", "released", "kept"];
        (members.map(|member| outcome[member].as_u64().unwrap()), failures)
    };
    assert_eq!(counts(&replayed), counts(&predicted), "{replayed}\n{predicted}");
    assert_eq!(replayed["executions"][0]["status"], "SUCCEEDED", "{replayed}");
    let (balance, balanced) = sluice(dev, &["balance", "--wait"]);
    assert_eq!(balanced, 0, "{balance}");
    assert_eq!(balance["accepted"], EVENTS, "nothing is accepted a second time");
    (predicted, code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_does_what_its_dry_run_predicts() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let client = reqwest::Client::new();
    for number in 0..EVENTS {
        let request = client
            .post(format!("{}/v1/events", dev.api()))
            .header("x-api-key", "vendorA-dev-key")
            .json(&envelope(number));
        assert_eq!(request.send().await.unwrap().status().as_u16(), 202);
    }
    sluice(&dev, &["balance", "--wait"]);
    let first = rows(&dev);
    // 1, 5, 9, … and 9, 19, 29, 39.
    let quarantined = (0..EVENTS).filter(|number| number % 4 == 1 || number % 10 == 9).count();
    assert_eq!(with_status(&first, "QUARANTINED"), quarantined);

    // The same code: nothing changes, not even a time.
    let (predicted, code) = replay(&dev);
    assert_eq!(code, 1, "what failed before fails again");
    let outcome = &predicted["outcome"];
    assert_eq!((&outcome["changed"], &outcome["failed"]), (&json!(0), &json!(quarantined)), "{outcome}");
    let second = rows(&dev);
    assert_eq!(normalized(&second), normalized(&first));
    assert_eq!(with_status(&second, "QUARANTINED"), quarantined);

    // The mended mapper: the renamed member is understood, and what is beyond repair stays in quarantine.
    publish(&dev, &root().join("mappers-wasm/demo/vendor-a-inventory-fixed"));
    let (predicted, code) = replay(&dev);
    let beyond = (0..EVENTS).filter(|number| number % 10 == 9).count();
    let outcome = &predicted["outcome"];
    assert_eq!(code, 1);
    assert_eq!(outcome["failed"], beyond, "{outcome}");
    assert_eq!(
        (&outcome["released"], &outcome["changed"]),
        (&json!(quarantined - beyond), &json!(quarantined - beyond))
    );
    let third = rows(&dev);
    assert_eq!(with_status(&third, "QUARANTINED"), beyond);
    for (event, row) in normalized(&first) {
        assert_eq!(third[event], *row);
    }
    let (held, _) = sluice(&dev, &["quarantine", "ls"]);
    assert_eq!(held["quarantine"].as_array().unwrap().len(), beyond, "released by the replay");

    // A stricter contract: some that are normalized fail now, and keep their status and their document.
    let stricter = tempfile::tempdir().unwrap();
    copy(&root().join("mappers-wasm/demo/vendor-a-inventory-fixed"), stricter.path());
    let path = stricter.path().join("schema/1.schema.json");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    schema["properties"]["sku"]["not"] = json!({"pattern": "^SKU-2"});
    std::fs::write(&path, schema.to_string()).unwrap();
    publish(&dev, stricter.path());
    let sample = &third["r-20"]["ingestId"];
    let kept = document(&dev, sample);
    let (predicted, code) = replay(&dev);
    assert_eq!(code, 1);
    // 2 and 20 to 28; 29 was in quarantine before.
    assert_eq!(predicted["outcome"]["kept"], 10, "{predicted}");
    let fourth = rows(&dev);
    assert_eq!(normalized(&fourth), normalized(&third), "a replay takes nothing away");
    assert_eq!(document(&dev, sample), kept);
}

//! A correction from end to end: a mapper was wrong by a factor of a hundred for some of a vendor's events, and afterwards canonical
//! state is what it would be if the right one had run from the start.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::{Dev, root};

const EVENTS: usize = 300;

/// Every tenth is counted in pieces, which the wrong mapper takes for packs of a hundred.
fn is_wrong(number: usize) -> bool {
    number % 10 == 3
}

fn envelope(number: usize) -> Value {
    let mut payload = json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": number});
    if is_wrong(number) {
        payload["unit"] = json!("PCE");
    }
    json!({"vendorId": "vendorA", "externalEventId": format!("c-{number}"), "eventType": "inventory_update",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": payload})
}

fn sluice(dev: &Dev, arguments: &[&str]) -> (Value, i32) {
    let output = dev.sluice(&[&["--json"], arguments].concat()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| json!({ "stderr": error }));
    (document, output.status.code().unwrap())
}

/// Publishes a bundle of the repository; gives its digest.
fn publish(dev: &Dev, folder: &str, module: &str) -> String {
    let module = root().join(format!("mappers-wasm/target/wasm32-unknown-unknown/release/{module}.wasm"));
    let folder = root().join(folder);
    let arguments =
        ["mapper", "publish", folder.to_str().unwrap(), "--wasm", module.to_str().unwrap(), "--no-test"];
    let (published, code) = sluice(dev, &arguments);
    assert_eq!(code, 0, "{published}");
    published["bundle"].as_str().unwrap().to_owned()
}

fn on_hand(dev: &Dev, number: usize) -> Value {
    let entity = format!("inventory#ROA#SKU-{number}");
    let (state, _) = sluice(dev, &["state", "show", &entity]);
    let members = state["members"].as_array().cloned().unwrap_or_default();
    members
        .iter()
        .find(|member| member["name"] == "quantityOnHand")
        .map(|member| member["value"].clone())
        .unwrap_or_default()
}

fn id_of(started: &Value) -> String {
    started["operation"]["operationId"].as_str().unwrap().to_owned()
}

/// Waits until an operation has one of these statuses; gives it.
async fn wait_for(dev: &Dev, id: &str, statuses: &[&str]) -> String {
    let mut status = String::new();
    wait("the operation has ended", || {
        status = sluice(dev, &["operations", "show", id]).0["status"].as_str().unwrap_or_default().to_owned();
        statuses.contains(&status.as_str())
    })
    .await;
    status
}

/// Events that an operation has corrected, over its batches.
fn corrected_by(dev: &Dev, id: &str) -> u64 {
    let (shown, _) = sluice(dev, &["operations", "show", id, "--all"]);
    let items = shown["items"].as_array().unwrap();
    items.iter().filter_map(|item| item["tally"]["succeeded"].as_u64()).sum()
}

/// Waits until `done` holds.
async fn wait(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("after two minutes: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_wrongly_is_told_rightly_once() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let right = publish(&dev, "mappers-wasm/vendor-a-inventory", "vendor_a_inventory");
    publish(&dev, "mappers-wasm/demo/vendor-a-inventory-wrong", "vendor_a_inventory_wrong");
    // A new pointer is in effect within two seconds.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let client = reqwest::Client::new();
    for number in 0..EVENTS {
        let request = client
            .post(format!("{}/v1/events", dev.api()))
            .header("x-api-key", "vendorA-dev-key")
            .json(&envelope(number));
        assert_eq!(request.send().await.unwrap().status().as_u16(), 202);
    }
    let (balance, code) = sluice(&dev, &["balance", "--wait"]);
    assert_eq!(code, 0, "{balance}");
    wait("the wrong statements are applied", || on_hand(&dev, 293) == json!(29_300)).await;

    // What would be corrected: exactly the wrong ones, by member, with both values.
    let wrong = (0..EVENTS).filter(|number| is_wrong(*number)).count();
    let window = ["correct", "--vendor", "vendorA", "--from", "1h", "--candidate", &right];
    let (report, code) = sluice(&dev, &[&window[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["corrected"]["events"], wrong, "{report}");
    assert_eq!((&report["events"], &report["same"]), (&json!(EVENTS), &json!(EVENTS - wrong)));
    assert_eq!(report["entities"]["total"], wrong);
    let field = &report["corrected"]["fields"][0];
    assert_eq!((&field["pointer"], &field["change"]), (&json!("/data/quantityOnHand"), &json!("changed")));
    let example = &field["examples"][0];
    let (before, after) = (example["before"].as_u64().unwrap(), example["after"].as_u64().unwrap());
    assert_eq!(before, after * 100, "{example}");
    assert_eq!(on_hand(&dev, 293), json!(29_300), "a dry run writes nothing");

    // Without a reason nothing is done.
    let (refused, code) = sluice(&dev, &[&window[..], &["--yes"]].concat());
    assert_eq!(code, 2, "{refused}");

    // Stopped in the middle, wherever that is, and taken up by another correction: the rest, and nothing twice.
    let act = ["--reason", "PCE are pieces, not packs", "--by", "ana", "--yes"];
    let (started, code) = sluice(&dev, &[&window[..], &act, &["--concurrency", "1"]].concat());
    assert_eq!(code, 0, "{started}");
    let first = id_of(&started);
    sluice(&dev, &["operations", "stop", &first, "--by", "ana"]);
    let ended = wait_for(&dev, &first, &["stopped", "completed"]).await;
    let (started, code) = sluice(&dev, &[&window[..], &act].concat());
    let operations = if ended == "completed" {
        assert_eq!(code, 4, "{started}");
        vec![first]
    } else {
        assert_eq!(code, 0, "{started}");
        let second = id_of(&started);
        wait_for(&dev, &second, &["completed"]).await;
        vec![first, second]
    };
    wait("the right statements are applied", || on_hand(&dev, 3) == json!(3)).await;

    // Told once for each wrong event, and canonical state is what it is of a mapper that was right from the start.
    for number in 0..EVENTS {
        if is_wrong(number) {
            wait("each article is right", || on_hand(&dev, number) == json!(number)).await;
        }
    }
    assert_eq!(on_hand(&dev, 4), json!(4));
    let (listed, _) = sluice(&dev, &["ls", "--limit", "1000"]);
    let events = listed["events"].as_array().unwrap();
    let event = events.iter().find(|row| row["externalEventId"] == "c-3").unwrap();
    let (shown, _) = sluice(&dev, &["show", event["ingestId"].as_str().unwrap()]);
    let correction = &shown["correction"];
    assert!(operations.iter().any(|id| correction["operationId"] == json!(id)), "{shown}");
    assert_eq!(
        (&correction["by"], &correction["reason"], &correction["bundle"]),
        (&json!("ana"), &json!("PCE are pieces, not packs"), &json!(right)),
        "{shown}"
    );
    // Each wrong event by exactly one of the operations.
    let succeeded: u64 = operations.iter().map(|id| corrected_by(&dev, id)).sum();
    assert_eq!(succeeded, wrong as u64);

    // Run again: nothing is left to correct.
    let (report, _) = sluice(&dev, &[&window[..], &["--dry-run"]].concat());
    assert_eq!((&report["corrected"]["events"], &report["same"]), (&json!(0), &json!(EVENTS)), "{report}");
    let (refused, code) = sluice(&dev, &[&window[..], &act].concat());
    assert_ne!(code, 0, "{refused}");
    let (balance, code) = sluice(&dev, &["balance", "--wait"]);
    assert_eq!(code, 0, "{balance}");
    let (audit, code) = sluice(&dev, &["audit"]);
    assert_eq!(code, 0, "{audit}");
}

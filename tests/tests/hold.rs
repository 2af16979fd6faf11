//! A vendor on hold from outside: what it sends is answered 202 and waits, over a `kill -9`; a release lets all of it go, once.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::Dev;

/// Generous: a loaded machine is slow.
const WAIT_MAX: Duration = Duration::from_secs(120);

fn run(dev: &Dev, arguments: &[&str]) -> (Value, i32) {
    let output = dev.sluice(&["--json"]).env("SLUICE_BY", "ops").args(arguments).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (document, output.status.code().unwrap_or(-1))
}

fn ok(dev: &Dev, arguments: &[&str]) -> Value {
    let (document, code) = run(dev, arguments);
    assert_eq!(code, 0, "{arguments:?}: {document}");
    document
}

fn until(dev: &Dev, arguments: &[&str], what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let shown = ok(dev, arguments);
        if wanted(&shown) {
            return shown;
        }
        assert!(begin.elapsed() < WAIT_MAX, "never {what}: {shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

async fn send(dev: &Dev, number: usize) -> String {
    let envelope = json!({"vendorId": "plant", "externalEventId": format!("e-{number}"), "eventType": "stock",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": {"quantity": number}});
    let request = reqwest::Client::new().post(format!("{}/v1/events", dev.api()));
    let answer = request.header("x-api-key", "plant-dev-key").json(&envelope).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.json::<Value>().await.unwrap()["ingestId"].as_str().unwrap().to_owned()
}

/// There is no mapper: an event that runs is quarantined for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_on_hold_is_answered_and_its_events_wait_until_it_is_released() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().to_str().unwrap().to_owned();
    let dev = Dev::start(&["--data", &data]);
    let add = ["vendors", "add", "--id", "plant", "--key", "plant-dev-key", "--unknown-event-types", "keep"];
    ok(&dev, &add);
    assert_eq!(run(&dev, &["vendors", "hold", "plant", "--reason", " "]).1, 2, "without a reason");
    let held = ok(&dev, &["vendors", "hold", "plant", "--reason", "T-1: a bad export"]);
    assert_eq!((&held["changed"], &held["onHold"]["by"]), (&json!(true), &json!("ops")), "{held}");
    let again = ok(&dev, &["vendors", "hold", "plant", "--reason", "other", "--by", "ben"]);
    assert_eq!((&again["changed"], &again["onHold"]["reason"]), (&json!(false), &json!("T-1: a bad export")));

    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(send(&dev, number).await);
    }
    let balance = until(&dev, &["balance"], "held", |shown| shown["held"] == 5);
    assert_eq!((&balance["balanced"], &balance["inFlight"]), (&json!(true), &json!(0)), "{balance}");
    drop(dev);

    let dev = Dev::start(&["--data", &data]);
    let shown = ok(&dev, &["show", &ids[0]]);
    assert_eq!(shown["status"], "HELD", "{shown}");
    assert_eq!(shown["lifecycle"][1]["stage"], "held", "{shown}");
    assert_eq!(ok(&dev, &["vendors", "show", "plant"])["waiting"], 5);
    ids.push(send(&dev, 5).await);
    until(&dev, &["balance"], "held as well", |shown| shown["held"] == 6);

    let released = ok(&dev, &["vendors", "release", "plant", "--reason", "T-1: sent again", "--rate", "3"]);
    assert_eq!(
        (&released["changed"], &released["operation"]["plan"]["items"]),
        (&json!(true), &json!(6)),
        "{released}"
    );
    let id = released["operation"]["operationId"].as_str().unwrap();
    let done = until(&dev, &["operations", "show", id, "--all"], "completed", |shown| {
        shown["status"] == "completed"
    });
    assert_eq!((&done["kind"], &done["counts"]), (&json!("release"), &json!({"let_go": 6})), "{done}");
    let balance = ok(&dev, &["balance", "--wait", "--timeout", "120"]);
    assert_eq!((&balance["held"], &balance["quarantined"]), (&json!(0), &json!(6)), "{balance}");
    for id in &ids {
        let shown = ok(&dev, &["show", id]);
        assert_eq!(
            (&shown["status"], &shown["quarantine"]["attempts"]),
            (&json!("QUARANTINED"), &json!(1)),
            "it ran once"
        );
        let let_go = shown["lifecycle"].as_array().unwrap().iter().find(|step| step["stage"] == "let go");
        assert!(let_go.unwrap()["detail"].as_str().unwrap().contains("T-1: sent again"), "{shown}");
    }
    let again = ok(&dev, &["vendors", "release", "plant", "--reason", "again"]);
    assert_eq!((&again["changed"], again.get("operation")), (&json!(false), None), "{again}");
    let changes = ok(&dev, &["vendors", "show", "plant"])["changes"].clone();
    assert_eq!(changes[1]["what"], "on hold: T-1: a bad export", "{changes}");
}

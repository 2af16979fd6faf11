//! A mapper's life from outside: a candidate that breaks events is caught, refused, and taken back by itself; what nobody signed is
//! not run; a vendor that renames a field is reported.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use sluice_tests::{Dev, root};

const KEY: &str = "vendorA-dev-key";
const SENDERS: usize = 8;
/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Posts events and gives their ids. What is refused for its pace is sent again, as vendors do.
async fn send(dev: &Dev, name: &str, payloads: Vec<Value>) -> Vec<String> {
    let client = reqwest::Client::new();
    let mut senders = tokio::task::JoinSet::new();
    let total = payloads.len();
    for (number, payload) in payloads.into_iter().enumerate() {
        let envelope = json!({"vendorId": "vendorA", "externalEventId": format!("{name}-{number}"),
            "eventType": "inventory_update", "occurredAt": "2026-01-15T10:30:00Z", "payload": payload});
        let (client, url) = (client.clone(), format!("{}/v1/events", dev.api()));
        if senders.len() >= SENDERS {
            senders.join_next().await;
        }
        senders.spawn(async move {
            loop {
                let answer = client.post(&url).header("x-api-key", KEY).json(&envelope).send().await.unwrap();
                let status = answer.status().as_u16();
                match status {
                    202 | 200 => break,
                    429 | 503 => tokio::time::sleep(Duration::from_millis(20)).await,
                    other => panic!("{other}: {}", answer.text().await.unwrap()),
                }
            }
        });
    }
    while senders.join_next().await.transpose().unwrap().is_some() {}
    let listed = document(dev, &["ls", "--limit", "10000"]);
    let ids = listed["events"].as_array().unwrap().iter();
    let ids = ids.filter(|row| row["externalEventId"].as_str().unwrap().starts_with(&format!("{name}-")));
    let ids: Vec<String> = ids.map(|row| row["ingestId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), total, "each is one event");
    ids
}

fn sluice(dev: &Dev, arguments: &[&str]) -> Output {
    dev.sluice(&[&["--json"], arguments].concat()).output().unwrap()
}

/// The answer of a command that succeeds.
fn document(dev: &Dev, arguments: &[&str]) -> Value {
    let output = sluice(dev, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The error of a command that ends with this code.
fn refusal(dev: &Dev, arguments: &[&str], exit_code: i32) -> String {
    let output = sluice(dev, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {said}");
    said
}

/// A bundle of vendorA whose payload schema refuses quantities of 100,000 and more, which the vendor sends now and then.
fn stricter_bundle(folder: &Path) -> (String, String) {
    let original = root().join("mappers-wasm/vendor-a-inventory");
    std::fs::create_dir(folder.join("schema")).unwrap();
    std::fs::copy(original.join("mapper.toml"), folder.join("mapper.toml")).unwrap();
    std::fs::copy(original.join("schema/2.schema.json"), folder.join("schema/2.schema.json")).unwrap();
    let schema = std::fs::read(original.join("schema/1.schema.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&schema).unwrap();
    schema["properties"]["qty"]["maximum"] = 99_999.into();
    std::fs::write(folder.join("schema/1.schema.json"), schema.to_string()).unwrap();
    let module = root().join("target/mappers/vendor-a-inventory.wasm");
    (folder.to_str().unwrap().to_owned(), module.to_str().unwrap().to_owned())
}

fn payload(number: usize, quantity: usize) -> Value {
    json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": quantity})
}

fn kinds(history: &Value) -> Vec<&str> {
    history["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_breaks_three_of_a_thousand_is_caught_refused_and_taken_back() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let stored = |number: usize| payload(number, if number % 400 == 7 { 100_000 } else { number });
    send(&dev, "stored", (0..1_000).map(stored).collect()).await;
    document(&dev, &["balance", "--wait"]);

    let folder = tempfile::tempdir().unwrap();
    let (bundle, module) = stricter_bundle(folder.path());
    let promote =
        ["mapper", "promote", "vendorA", "inventory_update", &bundle, "--wasm", &module, "--require-shadow"];
    let said = refusal(&dev, &promote, 4);
    assert!(said.contains("3 of 1000 stored events newly broken"), "{said}");
    let before = document(&dev, &["mapper", "ls"]);
    let active = |list: &Value| {
        let mappers = list["mappers"].as_array().unwrap();
        mappers.iter().find(|it| it["vendorId"] == "vendorA").unwrap()["bundle"].as_str().unwrap().to_owned()
    };
    let original = active(&before);

    let reason = ["--force", "--reason", "the vendor says that it never happens"];
    let trial = ["--canary", "10", "--min-events", "20", "--margin", "5"];
    let promoted = document(&dev, &[&promote[..], &trial, &reason].concat());
    let candidate = promoted["bundle"].as_str().unwrap().to_owned();
    assert_eq!((&promoted["outcome"], &promoted["canary"]["percent"]), (&json!("canary"), &json!(10)));
    assert_eq!(promoted["shadow"]["newlyBroken"], 3);

    // Now it happens all the time.
    let mut round = 0;
    let started = Instant::now();
    let history = loop {
        send(&dev, &format!("large{round}"), (0..100).map(|number| payload(number, 200_000)).collect()).await;
        document(&dev, &["balance", "--wait"]);
        round += 1;
        let history = document(&dev, &["mapper", "history", "vendorA", "inventory_update"]);
        if kinds(&history).last() == Some(&"auto-rollback") {
            break history;
        }
        assert!(started.elapsed() < PATIENCE, "it is never taken back: {history:#}");
    };
    assert_eq!(kinds(&history), ["activate", "canary", "auto-rollback"]);
    let (canary, back) = (&history["changes"][1], &history["changes"][2]);
    assert_eq!(canary["forced"], "shadow: 3 of 1000 stored events newly broken");
    assert_eq!(canary["reason"], "the vendor says that it never happens");
    assert_eq!(
        (back["by"].as_str(), back["from"].as_str()),
        (Some("sluice-normalize"), Some(candidate.as_str()))
    );
    assert_eq!(back["to"], original.as_str());
    assert_eq!(back["counts"]["active"]["failed"], 0);
    assert!(back["counts"]["candidate"]["failed"].as_u64().unwrap() >= 20);
    assert_eq!(active(&document(&dev, &["mapper", "ls"])), original);

    let waiting = document(&dev, &["quarantine", "ls"]);
    assert!(
        waiting["quarantine"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["cause"]["bundle"] == candidate.as_str())
    );
    document(&dev, &["redrive", "--all", "--yes"]);
    let balance = document(&dev, &["balance", "--wait"]);
    assert_eq!((&balance["balanced"], &balance["quarantined"]), (&json!(true), &json!(0)), "{balance}");

    // By hand, there and back again.
    document(
        &dev,
        &["mapper", "promote", "vendorA", "inventory_update", &candidate[..12], "--reason", "after all"],
    );
    let rolled_back =
        document(&dev, &["mapper", "rollback", "vendorA", "inventory_update", "--reason", "no"]);
    assert_eq!((&rolled_back["from"], &rolled_back["to"]), (&json!(candidate), &json!(original)));
    let history = document(&dev, &["mapper", "history", "vendorA"]);
    assert_eq!(kinds(&history)[3..], ["promote", "rollback"]);
    let diff = document(&dev, &["mapper", "diff", &original, &candidate]);
    let files: Vec<_> = diff["files"].as_array().unwrap().iter().collect();
    let schema = files.iter().find(|file| file["path"] == "schema/1.schema.json").unwrap();
    assert_eq!(schema["differences"], json!([{"pointer": "/properties/qty/maximum", "b": 99_999}]));
    assert!(!files.iter().any(|file| file["kind"] == "module"), "the module is the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_renames_a_field_is_reported() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    send(&dev, "ordinary", (0..40).map(|number| payload(number, number)).collect()).await;
    let renamed = |number| json!({"warehouse": "ROA", "sku": format!("SKU-{number}"), "quantity": number});
    let ids = send(&dev, "renamed", (0..5).map(renamed).collect()).await;
    let started = Instant::now();
    let drift = loop {
        let drift = document(&dev, &["drift", "vendorA"]);
        if !drift["findings"].as_array().unwrap().is_empty() {
            break drift;
        }
        assert!(started.elapsed() < PATIENCE, "it is not reported: {drift:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let finding = &drift["findings"][0];
    assert_eq!((&finding["kind"], &finding["breaking"]), (&json!("renamed"), &json!(true)), "{drift:#}");
    assert_eq!((&finding["path"], &finding["renamedTo"]), (&json!("/qty"), &json!("/quantity")));
    assert_eq!(
        (&finding["code"], &finding["schemaVersion"]),
        (&json!("payload_schema_violation"), &json!("1"))
    );
    assert!(ids.iter().any(|id| finding["example"] == id.as_str()), "{finding} is none of {ids:?}");
    assert!(drift["profiles"].as_array().unwrap().iter().any(|profile| profile["vendorId"] == "vendorA"));
    assert!(drift["unprofiled"].as_array().unwrap().iter().all(|one| one["vendorId"] == "vendorA"));
    refusal(&dev, &["drift", "nobody"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_code_that_a_stranger_signed_is_not_run() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("stranger.pem");
    let stranger = SecretKey::from_slice(&[9; 32]).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap();
    std::fs::write(&key, stranger.as_bytes()).unwrap();
    let inside = folder.path().join("bundle");
    std::fs::create_dir(&inside).unwrap();
    let (bundle, module) = stricter_bundle(&inside);
    let key = key.to_str().unwrap();
    let published = document(&dev, &["mapper", "publish", &bundle, "--wasm", &module, "--signing-key", key]);
    let digest = published["bundle"].as_str().unwrap();
    // Until every cache has the new pointer.
    let started = Instant::now();
    let mut round = 0;
    loop {
        send(&dev, &format!("stranger{round}"), vec![payload(1, 1)]).await;
        round += 1;
        document(&dev, &["balance", "--wait"]);
        let waiting = document(&dev, &["quarantine", "ls"]);
        if let Some(row) = waiting["quarantine"].as_array().unwrap().first() {
            let cause = &row["cause"];
            assert_eq!(
                (&cause["code"], &cause["error"]),
                (&json!("bundle_key_unknown"), &json!("Misconfigured")),
                "{row:#}"
            );
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it runs");
    }
    let recompiled = document(&dev, &["mapper", "recompile", digest]);
    assert_eq!(
        recompiled["bundles"][0]["native"].as_array().unwrap().len(),
        1,
        "signed by the key that is trusted"
    );
    document(&dev, &["redrive", "--all", "--yes"]);
    assert_eq!(document(&dev, &["balance", "--wait"])["quarantined"], 0);
}

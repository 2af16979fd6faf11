//! `kill -9` under load: whatever was acknowledged before the kill ends NORMALIZED or QUARANTINED after the restart.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::Dev;

const ROUNDS: usize = 3;
const SENDERS: usize = 8;
const ACKNOWLEDGED_PER_ROUND: usize = 150;

/// What was acknowledged: externalEventId to ingestId.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// Every fifth event has a payload that its schema refuses, so that recovery is under way too when the process is killed.
fn envelope(id: &str, number: usize) -> Value {
    let quantity = if number.is_multiple_of(5) { json!("many") } else { json!(number) };
    json!({"vendorId": "vendorA", "externalEventId": id, "eventType": "inventory_update",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": {"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": quantity}})
}

/// Sends events until the cloud is gone. An event without an answer is sent again to the next cloud, as vendors do; some are sent
/// twice even though they were answered.
async fn send(
    api: String,
    client: reqwest::Client,
    sender: usize,
    round: usize,
    acknowledged: Acknowledged,
    total: Arc<AtomicUsize>,
) {
    let mut number = 0;
    loop {
        number += 1;
        // The last of a round that was not answered is the first of the next.
        let id = format!("s{sender}-{}", round * 100_000 + number);
        let copies = if number % 7 == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let request = client
                .post(format!("{api}/v1/events"))
                .header("x-api-key", "vendorA-dev-key")
                .json(&envelope(&id, number));
            let Ok(answer) = request.send().await else { return };
            let status = answer.status().as_u16();
            let Ok(body) = answer.json::<Value>().await else { return };
            match status {
                200 | 202 => {
                    let ingest_id = body["ingestId"].as_str().unwrap().to_owned();
                    let mut acknowledged = acknowledged.lock().unwrap();
                    let held = acknowledged.entry(id.clone()).or_insert_with(|| ingest_id.clone());
                    assert_eq!(*held, ingest_id, "an event has one id for ever");
                    drop(acknowledged);
                    total.fetch_add(1, Ordering::Relaxed);
                }
                429 | 503 => {}
                other => panic!("{other}: {body}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let acknowledged: Acknowledged = Arc::default();
    for round in 0..ROUNDS {
        let dev = Dev::start(&["--data", &data, "--examples"]);
        let total = Arc::new(AtomicUsize::new(0));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                tokio::spawn(send(
                    dev.api().to_owned(),
                    client.clone(),
                    sender,
                    round,
                    Arc::clone(&acknowledged),
                    Arc::clone(&total),
                ))
            })
            .collect();
        while total.load(Ordering::Relaxed) < ACKNOWLEDGED_PER_ROUND {
            assert!(senders.iter().all(|sender| !sender.is_finished()), "a sender stopped before the kill");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(dev);
        for sender in senders {
            sender.await.unwrap();
        }
    }

    let dev = Dev::start(&["--data", &data, "--examples"]);
    let output = dev.sluice(&["--json", "balance", "--wait"]).output().unwrap();
    let balance: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((&balance["balanced"], &balance["inFlight"]), (&json!(true), &json!(0)), "{balance}");

    let output = dev.sluice(&["--json", "ls", "--limit", "10000"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows: BTreeMap<&str, &Value> = listed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["externalEventId"].as_str().unwrap(), row))
        .collect();
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() >= ROUNDS * ACKNOWLEDGED_PER_ROUND / 2);
    for (id, ingest_id) in acknowledged.iter() {
        let row = rows.get(id.as_str()).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
        assert_eq!(row["ingestId"], ingest_id.as_str());
        let number: usize = id.split('-').nth(1).unwrap().parse::<usize>().unwrap() % 100_000;
        let expected = if number.is_multiple_of(5) { "QUARANTINED" } else { "NORMALIZED" };
        assert_eq!(row["status"], expected, "{id}");
    }
    assert_eq!(balance["accepted"], rows.len(), "every event has one row");
}

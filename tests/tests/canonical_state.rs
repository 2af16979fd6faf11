//! From the ingest API to canonical state, with `kill -9` in between: what `sluice state` and `sluice divergence` say is what the
//! statements come to in the order in which they were accepted.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::Dev;

const EVENTS: u64 = 240;
const SENDERS: u64 = 4;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What was said: sku, moment, quantity.
type Statement = (String, u64, u64);

/// Numbers that look random and are always the same.
fn statement(number: u64) -> Statement {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (format!("SKU-{}", (mixed >> 20) % 6), (mixed >> 30) % 15, (mixed >> 40) % 4)
}

fn json_of(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Sends every event of one sender that has no answer yet, each twice, until all are answered or the cloud is gone.
async fn send(api: String, sender: u64, answered: BTreeSet<u64>) -> Vec<(u64, String)> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let mut ids = Vec::new();
    for number in (0..EVENTS).filter(|number| number % SENDERS == sender && !answered.contains(number)) {
        let (sku, moment, quantity) = statement(number);
        let envelope = json!({"vendorId": "vendorA", "externalEventId": format!("e-{number}"), "eventType": "inventory_update",
            "occurredAt": format!("2026-01-15T10:30:{moment:02}Z"),
            "payload": {"warehouse": "ROA", "sku": sku, "qty": quantity}});
        for _ in 0..2 {
            let request = client
                .post(format!("{api}/v1/events"))
                .header("x-api-key", "vendorA-dev-key")
                .json(&envelope);
            let Ok(answer) = request.send().await else { return ids };
            let Ok(body) = answer.json::<Value>().await else { return ids };
            if let Some(id) = body["ingestId"].as_str() {
                ids.push((number, id.to_owned()));
            }
        }
    }
    ids
}

async fn send_all(
    dev: &Dev,
    accepted: &BTreeMap<u64, String>,
) -> Vec<tokio::task::JoinHandle<Vec<(u64, String)>>> {
    let answered: BTreeSet<u64> = accepted.keys().copied().collect();
    (0..SENDERS).map(|sender| tokio::spawn(send(dev.api().to_owned(), sender, answered.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canonical_state_is_what_was_said_whatever_happened_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let mut accepted: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..3 {
        let dev = Dev::start(&["--data", &data, "--examples"]);
        let senders = send_all(&dev, &accepted).await;
        let dev = if round < 2 {
            tokio::time::sleep(Duration::from_millis(600)).await;
            drop(dev);
            None
        } else {
            Some(dev)
        };
        for sender in senders {
            for (number, id) in sender.await.unwrap() {
                let held = accepted.entry(number).or_insert_with(|| id.clone());
                assert_eq!(*held, id);
            }
        }
        let Some(dev) = dev else { continue };
        assert_eq!(accepted.len() as u64, EVENTS);
        check(&dev, &accepted);
    }
}

fn check(dev: &Dev, accepted: &BTreeMap<u64, String>) {
    let started = Instant::now();
    let states = loop {
        let listed = json_of(&mut dev.sluice(&["--json", "state", "ls", "--prefix", "inventory#ROA#"]));
        let states = listed["states"].as_array().unwrap().clone();
        let contributions: u64 = states.iter().map(|state| state["contributions"].as_u64().unwrap()).sum();
        if contributions == EVENTS {
            break states;
        }
        assert!(started.elapsed() < WAIT_MAX, "{contributions} of {EVENTS} statements are in after a minute");
        std::thread::sleep(Duration::from_millis(100));
    };
    let mut by_acceptance: Vec<(&String, Statement)> =
        accepted.iter().map(|(number, id)| (id, statement(*number))).collect();
    by_acceptance.sort();
    let mut holds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut expected: BTreeSet<(String, String, u64, u64)> = BTreeSet::new();
    for (id, (sku, moment, quantity)) in by_acceptance {
        let held = holds.entry(sku).or_insert((moment, quantity));
        if held.1 != quantity && held.0 >= moment {
            let kind = if held.0 == moment { "conflict" } else { "stale" };
            expected.insert((id.clone(), kind.to_owned(), held.1, quantity));
        }
        if held.0 <= moment {
            *held = (moment, quantity);
        }
    }
    let quantities: BTreeMap<String, u64> = states
        .iter()
        .map(|state| {
            let sku = state["entity"].as_str().unwrap().rsplit('#').next().unwrap().to_owned();
            (sku, state["data"]["quantityOnHand"].as_u64().unwrap())
        })
        .collect();
    let model: BTreeMap<String, u64> =
        holds.into_iter().map(|(sku, (_, quantity))| (sku, quantity)).collect();
    assert_eq!(quantities, model);

    let listed = json_of(&mut dev.sluice(&["--json", "divergence", "ls", "--limit", "10000"]));
    let rows: BTreeSet<(String, String, u64, u64)> = listed["divergence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let claim = &row["claims"][0];
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let number = |value: &Value| value.as_u64().unwrap();
            (text(&row["ingestId"]), text(&row["kind"]), number(&claim["held"]), number(&claim["stated"]))
        })
        .collect();
    assert_eq!(rows, expected);
    assert!(rows.len() > 20, "{} disagreements", rows.len());

    let (sku, quantity) = quantities.iter().next().unwrap();
    let entity = format!("inventory#ROA#{sku}");
    let shown = json_of(&mut dev.sluice(&["--json", "state", "show", &entity, "--history"]));
    let member = &shown["members"][0];
    assert_eq!((&member["name"], &member["value"]), (&json!("quantityOnHand"), &json!(quantity)));
    assert_eq!(shown["history"].as_array().unwrap().len() as u64, shown["contributions"].as_u64().unwrap());
    let event = json_of(&mut dev.sluice(&["--json", "show", member["ingestId"].as_str().unwrap()]));
    assert_eq!(event["canonicalState"], json!({"entities": [entity], "complete": true}));
    let none = dev.sluice(&["state", "show", "inventory#ROA#nothing"]).output().unwrap();
    assert_eq!(none.status.code(), Some(3));
}

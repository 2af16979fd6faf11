//! Quarantine and release, against the ports in memory.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use sluice_core::record::{LedgerRow, Status};
use sluice_core::testing::World;

use super::*;

fn row() -> LedgerRow {
    serde_json::from_value(json!({
        "vendorId": "vendorA", "externalEventId": "evt-1", "ingestId": "01KAJ3Y3R00000000000000001",
        "eventType": "inventory_update", "schemaVersion": "1", "occurredAt": "2026-11-21T10:00:00Z",
        "receivedAt": "2026-11-21T10:00:00Z", "updatedAt": "2026-11-21T10:00:00Z", "status": "RECEIVED",
        "statusShard": "RECEIVED#1", "rawRef": {"bucket": "sluice-raw", "key": "raw/k"}, "rawSha256": "0".repeat(64),
        "rawBytes": 17, "payloadSha256": "1".repeat(64), "contentType": "application/json"
    }))
    .unwrap()
}

fn deps(world: &World) -> Deps {
    Deps {
        ledger: Arc::new(world.clone()),
        quarantine: Arc::new(world.clone()),
        clock: Arc::new(world.clone()),
    }
}

fn input(redrive_count: u64, code: &str) -> Value {
    let message = json!({"code": code, "message": "the mapper refused", "errors": [{"pointer": "/lines/3/qty", "code": "type", "message": "m"}]});
    let cause = json!({"errorType": "Rejected", "errorMessage": message.to_string()});
    json!({"operation": "quarantine", "event": row().detail(), "executionArn": "arn:x", "redriveCount": redrive_count,
        "error": {"Error": "Rejected", "Cause": cause.to_string()}})
}

#[tokio::test]
async fn quarantine_redrive_and_release() {
    let world = World::new();
    world.state().ledger.insert(row().key, row());
    let output = handle(&deps(&world), input(0, "mapper_refused")).await.unwrap();
    assert_eq!(output["status"], "QUARANTINED");
    assert_eq!(output["deadLetter"]["cause"]["code"], "mapper_refused");
    assert_eq!(output["deadLetter"].get("payload"), None);
    let again = handle(&deps(&world), input(0, "mapper_refused")).await.unwrap();
    assert_eq!(again, output, "a retry changes nothing");

    world.advance(60);
    let second = handle(&deps(&world), input(1, "mapper_trapped")).await.unwrap();
    assert_ne!(second["deadLetter"]["fingerprint"], output["deadLetter"]["fingerprint"]);
    let held = world.state().quarantine.values().next().unwrap().clone();
    assert_eq!((held.attempts, held.status), (2, QuarantineStatus::Open));
    assert!(held.first_seen_at < held.last_seen_at);
    assert_eq!(world.state().ledger[&row().key].status, Status::Quarantined);

    let release = json!({"operation": "release", "event": row().detail(), "executionArn": "arn:x"});
    assert_eq!(handle(&deps(&world), release).await.unwrap()["status"], "RELEASED");
    assert_eq!(world.state().quarantine.values().next().unwrap().status, QuarantineStatus::Released);
}

#[tokio::test]
async fn an_event_that_was_normalized_meanwhile_is_not_quarantined() {
    let world = World::new();
    world.state().ledger.insert(row().key, LedgerRow { status: Status::Normalized, ..row() });
    assert_eq!(handle(&deps(&world), input(0, "timed_out")).await.unwrap(), json!({"status": "NORMALIZED"}));
    assert!(world.state().quarantine.is_empty());
}

#[tokio::test]
async fn an_event_that_the_ledger_does_not_know_is_a_fault() {
    let error = handle(&deps(&World::new()), input(0, "x")).await.unwrap_err();
    assert_eq!(error.code, Code::LedgerRowMissing);
    assert_eq!(
        handle(&deps(&World::new()), json!({"operation": "forget"})).await.unwrap_err().error_type(),
        "Misconfigured"
    );
}

#[test]
fn the_fingerprint_leaves_array_positions_out() {
    let cause = |pointer: &str| {
        let error = sluice_core::fault::FieldFault {
            pointer: pointer.into(),
            code: "type".into(),
            message: String::new(),
        };
        Cause {
            error: "Rejected".into(),
            code: "c".into(),
            message: pointer.into(),
            errors: vec![error],
            bundle: None,
        }
    };
    assert_eq!(cause("/lines/3/qty").fingerprint(), cause("/lines/14/qty").fingerprint());
    assert_ne!(cause("/lines/3/qty").fingerprint(), cause("/lines/3/sku").fingerprint());
}

#[tokio::test]
async fn an_execution_that_waits_shows_its_code_and_one_sentence() {
    let world = World::new();
    world.state().ledger.insert(row().key, row());
    let output = handle(&deps(&world), input(0, "mapper_refused")).await.unwrap();
    assert_eq!(
        output["failure"],
        json!({
            "error": "mapper_refused",
            "cause": format!(
                "vendorA's inventory_update evt-1 was not normalized: mapper_refused at /lines/3/qty: the mapper refused. \
                 Fix the cause, then redrive this execution (or run `sluice redrive 01KAJ3Y3R00000000000000001`). \
                 Group {}, attempt 1, raw bytes s3://sluice-raw/raw/k.",
                output["deadLetter"]["fingerprint"].as_str().unwrap()
            )
        })
    );
    let wait = |redrives: u64, redrive_count: u64| {
        json!({"operation": "await", "event": row().detail(), "failure": output["failure"], "redrives": redrives,
               "redriveCount": redrive_count})
    };
    for (redrives, redrive_count) in [(0, 0), (2, 2), (3, 2)] {
        let fault = handle(&deps(&world), wait(redrives, redrive_count)).await.unwrap_err();
        assert_eq!((fault.error_type(), fault.code), ("mapper_refused", Code::AwaitingRedrive));
        assert_eq!(fault.error_message(), output["failure"]["cause"].as_str().unwrap());
    }
    assert_eq!(handle(&deps(&world), wait(0, 1)).await.unwrap(), json!({"status": "REDRIVEN"}));
    // Whoever ran it again was quicker than the start of its execution: nothing is left to wait for.
    let release = json!({"operation": "release", "event": row().detail()});
    handle(&deps(&world), release).await.unwrap();
    assert_eq!(handle(&deps(&world), wait(0, 0)).await.unwrap(), json!({"status": "RELEASED"}));
}

#[tokio::test]
async fn the_sentence_is_short_and_its_error_is_never_one_that_is_retried() {
    let world = World::new();
    world.state().ledger.insert(row().key, row());
    let mut input = input(0, "x");
    input["error"] = json!({"Error": "States.Timeout", "Cause": "y".repeat(30_000)});
    let failure = handle(&deps(&world), input).await.unwrap()["failure"].clone();
    assert_eq!(failure["error"], "Timeout");
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.chars().count() < 1_000, "{} characters", cause.chars().count());
}

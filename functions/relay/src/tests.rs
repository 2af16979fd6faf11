//! Stream records as DynamoDB delivers them to Lambda, and what becomes of them.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use sluice_core::testing::{Failure, World};

use super::*;

fn row(status: &str) -> Value {
    json!({
        "vendorId": {"S": "vendorA"}, "externalEventId": {"S": "evt-1"}, "ingestId": {"S": "01KAJ3Y3R00000000000000001"},
        "eventType": {"S": "inventory_update"}, "schemaVersion": {"S": "1"},
        "occurredAt": {"S": "2026-11-21T10:00:00.000Z"}, "receivedAt": {"S": "2026-11-21T10:00:00.000Z"},
        "updatedAt": {"S": "2026-11-21T10:00:00.000Z"}, "status": {"S": status}, "statusShard": {"S": format!("{status}#1")},
        "rawRef": {"M": {"bucket": {"S": "sluice-raw"}, "key": {"S": "raw/k"}}},
        "rawSha256": {"S": "0".repeat(64)}, "rawBytes": {"N": "17"}, "payloadSha256": {"S": "1".repeat(64)},
        "contentType": {"S": "application/json"}
    })
}

fn record(sequence_number: &str, name: &str, old: Option<Value>, new: Option<Value>) -> Value {
    let mut change = json!({"ApproximateCreationDateTime": 1_795_255_200.0, "Keys": {"vendorId": {"S": "vendorA"}},
        "SequenceNumber": sequence_number, "SizeBytes": 100, "StreamViewType": "NEW_AND_OLD_IMAGES"});
    if let Some(old) = old {
        change["OldImage"] = old;
    }
    if let Some(new) = new {
        change["NewImage"] = new;
    }
    json!({"eventID": "e", "eventName": name, "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "dynamodb": change, "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/sluice-ledger/stream/x"})
}

async fn relay(world: &World, records: Vec<Value>) -> Result<Value, Fault> {
    handle(&Deps { bus: Arc::new(world.clone()) }, json!({ "Records": records })).await
}

#[tokio::test]
async fn inserts_and_changes_of_status_are_published_and_nothing_else() {
    let world = World::new();
    let output = relay(
        &world,
        vec![
            record("1", "INSERT", None, Some(row("RECEIVED"))),
            record("2", "MODIFY", Some(row("RECEIVED")), Some(row("QUARANTINED"))),
            record("3", "MODIFY", Some(row("QUARANTINED")), Some(row("QUARANTINED"))),
            record("4", "MODIFY", Some(row("QUARANTINED")), Some(row("NORMALIZED"))),
            record("5", "REMOVE", Some(row("NORMALIZED")), None),
        ],
    )
    .await
    .unwrap();
    assert_eq!(output, json!({"batchItemFailures": []}));
    let kinds: Vec<_> = world.state().bus.iter().map(|event| event.detail_type.as_str()).collect();
    assert_eq!(kinds, ["ingest.accepted", "event.quarantined", "event.normalized"]);
    let detail = serde_json::to_value(&world.state().bus[0].detail).unwrap();
    assert_eq!(detail["rawRef"], json!({"bucket": "sluice-raw", "key": "raw/k"}));
    assert_eq!(detail.get("payload"), None, "references only");
}

#[tokio::test]
async fn an_event_that_is_let_go_is_told_as_it_was_when_it_was_accepted() {
    let world = World::new();
    let records = vec![
        record("1", "MODIFY", Some(row("RECEIVED")), Some(row("HELD"))),
        record("2", "MODIFY", Some(row("HELD")), Some(row("HELD"))),
        record("3", "MODIFY", Some(row("HELD")), Some(row("RECEIVED"))),
        record("4", "MODIFY", Some(row("HELD")), Some(row("NORMALIZED"))),
        record("5", "MODIFY", Some(row("HELD")), Some(row("QUARANTINED"))),
    ];
    assert_eq!(relay(&world, records).await.unwrap(), json!({"batchItemFailures": []}));
    let told: Vec<_> = world.state().bus.iter().map(|event| event.detail_type.as_str()).collect();
    assert_eq!(told, ["ingest.accepted", "event.normalized", "event.quarantined"]);
}

fn normalized(sha256: &str) -> Value {
    let mut row = row("NORMALIZED");
    row["normalized"] = json!({"M": {
        "ref": {"M": {"bucket": {"S": "b"}, "key": {"S": "k"}}}, "sha256": {"S": sha256.repeat(64)}, "events": {"N": "1"},
        "eventType": {"S": "InventoryUpdated"}, "schemaVersion": {"S": "1.0"}, "bundle": {"S": "b".repeat(64)},
        "fuel": {"N": "1"}, "at": {"S": "2026-11-21T10:00:00.000Z"},
    }});
    row
}

#[tokio::test]
async fn a_correction_is_told_once_with_who_decided_it_and_why() {
    let world = World::new();
    let corrected = |mut row: Value, operation: &str| {
        row["correction"] = json!({"M": {
            "operationId": {"S": operation}, "bundle": {"S": "b".repeat(64)}, "oldSha256": {"S": "1".repeat(64)},
            "newSha256": {"S": "2".repeat(64)}, "by": {"S": "ana"}, "reason": {"S": "pieces, not packs"},
        }});
        row
    };
    let first = "01KF0Q4S8R6D1ZJ8W9T3C5V7XN";
    let second = "01KF0Q4S8R6D1ZJ8W9T3C5V7XP";
    let nothing = {
        let mut row = row("NORMALIZED");
        row["nothing"] = json!({"M": {
            "code": {"S": "draft"}, "message": {"S": "m"}, "bundle": {"S": "b".repeat(64)}, "fuel": {"N": "1"},
            "at": {"S": "2026-11-21T10:00:01.000Z"},
        }});
        corrected(row, second)
    };
    let told_again = {
        let mut row = corrected(normalized("2"), first);
        row["toldAgain"] = json!({"M": {"sha256": {"S": "2".repeat(64)}, "times": {"N": "1"},
            "at": {"S": "2026-11-21T10:00:01.000Z"}}});
        row
    };
    let records = vec![
        record("1", "MODIFY", Some(normalized("1")), Some(corrected(normalized("2"), first))),
        // Any other change of a corrected row says nothing, or that its document is told again.
        record(
            "2",
            "MODIFY",
            Some(corrected(normalized("2"), first)),
            Some(corrected(normalized("2"), first)),
        ),
        record("3", "MODIFY", Some(corrected(normalized("2"), first)), Some(told_again.clone())),
        // It is corrected to nothing: the document that no longer holds says by which route that goes.
        record("4", "MODIFY", Some(told_again), Some(nothing.clone())),
        // A replay decides otherwise.
        record("5", "MODIFY", Some(nothing), Some(normalized("3"))),
    ];
    relay(&world, records).await.unwrap();
    let told: Vec<Value> = world
        .state()
        .bus
        .iter()
        .map(|event| json!([event.detail_type.as_str(), serde_json::to_value(&event.detail).unwrap()]))
        .collect();
    let kinds: Vec<&Value> = told.iter().map(|event| &event[0]).collect();
    assert_eq!(kinds, ["event.corrected", "event.normalized", "event.corrected", "event.normalized"]);
    let correction = &told[0][1]["correction"];
    assert_eq!((&correction["operationId"], &correction["by"]), (&json!(first), &json!("ana")));
    assert_eq!(told[0][1]["normalized"]["sha256"], "2".repeat(64));
    assert_eq!(
        (&told[2][1]["nothing"]["code"], &told[2][1]["normalized"]["sha256"]),
        (&json!("draft"), &json!("2".repeat(64)))
    );
    assert_eq!(told[3][1].get("correction"), None);
    // As the schema says, which whoever subscribes builds on.
    let schema = include_bytes!("../../../schemas/event.corrected.schema.json");
    let schema = sluice_core::schema::Schema::compile(schema).unwrap();
    for corrected in [&told[0][1], &told[2][1]] {
        assert_eq!(schema.faults(corrected), []);
    }
    assert!(!schema.faults(&told[1][1]["normalized"]).is_empty());
}

#[tokio::test]
async fn an_event_that_states_nothing_is_told_only_if_it_takes_a_document_back() {
    let world = World::new();
    let nothing = |code: &str| {
        let mut row = row("NORMALIZED");
        row["nothing"] = json!({"M": {
            "code": {"S": code}, "message": {"S": "m"}, "bundle": {"S": "b".repeat(64)}, "fuel": {"N": "1"},
            "at": {"S": "2026-11-21T10:00:01.000Z"},
        }});
        row
    };
    let records = vec![
        record("1", "MODIFY", Some(row("RECEIVED")), Some(nothing("draft"))),
        record("2", "MODIFY", Some(row("QUARANTINED")), Some(nothing("draft"))),
        record("3", "MODIFY", Some(nothing("draft")), Some(nothing("test"))),
        record("4", "MODIFY", Some(normalized("a")), Some(nothing("draft"))),
        record("5", "MODIFY", Some(nothing("draft")), Some(normalized("a"))),
    ];
    assert_eq!(relay(&world, records).await.unwrap(), json!({"batchItemFailures": []}));
    let told: Vec<Value> =
        world.state().bus.iter().map(|event| serde_json::to_value(&event.detail).unwrap()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    // The route is that of the document that is taken back.
    assert_eq!(told[0]["normalized"]["eventType"], "InventoryUpdated");
    assert_eq!(told[0]["nothing"]["code"], "draft");
    assert_eq!((told[1]["normalized"]["events"].as_u64(), told[1].get("nothing")), (Some(1), None));
}

#[tokio::test]
async fn a_document_that_a_replay_changed_is_told_and_the_same_one_is_not() {
    let world = World::new();
    let records = vec![
        record("1", "MODIFY", Some(normalized("a")), Some(normalized("a"))),
        record("2", "MODIFY", Some(normalized("a")), Some(normalized("c"))),
    ];
    assert_eq!(relay(&world, records).await.unwrap(), json!({"batchItemFailures": []}));
    let told: Vec<_> = world.state().bus.iter().map(|event| event.detail_type.as_str()).collect();
    assert_eq!(told, ["event.normalized"]);
}

#[tokio::test]
async fn a_poisoned_record_does_not_hold_up_the_rest() {
    let world = World::new();
    let mut poisoned = row("RECEIVED");
    poisoned.as_object_mut().unwrap().remove("rawRef");
    let records = vec![
        json!("no record"),
        record("2", "INSERT", None, Some(poisoned)),
        record("3", "INSERT", None, Some(row("RECEIVED"))),
    ];
    assert_eq!(relay(&world, records).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(world.state().bus.len(), 1);
}

#[tokio::test]
async fn a_bus_that_fails_is_an_error_and_the_batch_comes_again() {
    let world = World::new();
    world.fail_next([Failure::Before]);
    let records = vec![record("1", "INSERT", None, Some(row("RECEIVED")))];
    assert_eq!(relay(&world, records.clone()).await.unwrap_err().error_type(), "Retryable");
    relay(&world, records).await.unwrap();
    assert_eq!(world.state().bus.len(), 1);
    assert_eq!(
        handle(&Deps { bus: Arc::new(world) }, json!([])).await.unwrap_err().error_type(),
        "Misconfigured"
    );
}

/// A bus that takes only some.
struct Picky;

#[async_trait::async_trait]
impl EventBus for Picky {
    async fn publish(&self, events: &[BusEvent]) -> Result<Vec<Result<(), Fault>>, Fault> {
        let refuse = || Err(Fault::new(Code::Throttled, "arranged"));
        Ok((0..events.len()).map(|index| if index == 1 { refuse() } else { Ok(()) }).collect())
    }

    async fn publish_drift(&self, _: &sluice_core::drift::Finding) -> Result<(), Fault> {
        unreachable!("relay tells of the ledger alone")
    }
}

#[tokio::test]
async fn what_the_bus_did_not_take_is_reported_by_sequence_number() {
    let records = ["7", "8", "9"].map(|n| record(n, "INSERT", None, Some(row("RECEIVED")))).to_vec();
    let output = handle(&Deps { bus: Arc::new(Picky) }, json!({ "Records": records })).await.unwrap();
    assert_eq!(output, json!({"batchItemFailures": [{"itemIdentifier": "8"}]}));
}

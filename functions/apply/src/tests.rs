//! Batches of SQS messages, and what becomes of each message.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use bytes::Bytes;
use sluice_core::id::IngestId;
use sluice_core::record::LedgerRow;
use sluice_core::state::{DivergenceKind, Entity, LifeCycle};
use sluice_core::testing::{Failure, World};

use super::*;

/// One line of a document: type, moment in seconds, data.
pub(crate) type Line = (&'static str, i64, Value);

pub(crate) fn deps(world: &World) -> Deps {
    let world = Arc::new(world.clone());
    Deps {
        normalized: world.clone(),
        canonical: world.clone(),
        ledger: world.clone(),
        dead_letters: world,
        histories: Histories::default(),
    }
}

pub(crate) fn ingest_id(accepted: u64) -> IngestId {
    let at = jiff::Timestamp::from_second(1_795_255_200 + i64::try_from(accepted).unwrap()).unwrap();
    IngestId::mint(at, 1)
}

/// Puts the document of an event where `normalize` would, notes it in the ledger, and gives the body of its message. `made` is the
/// number of the document among those of the event.
pub(crate) fn normalize(world: &World, accepted: u64, vendor: &str, made: u32, lines: &[Line]) -> String {
    let ingest_id = ingest_id(accepted);
    let mut document = Vec::new();
    for (event_type, occurred, data) in lines {
        let occurred_at = jiff::Timestamp::from_second(1_795_000_000 + occurred).unwrap();
        let line = json!({
            "ingestId": ingest_id, "vendorId": vendor, "externalEventId": format!("e-{accepted}"), "eventType": event_type,
            "schemaVersion": "1.0", "occurredAt": occurred_at, "data": data, "rawRef": {"bucket": "raw", "key": "raw/k"},
        });
        serde_json_canonicalizer::to_writer(&line, &mut document).unwrap();
        document.push(b'\n');
    }
    let at = format!("2026-11-21T12:00:{made:02}.000Z");
    let key = format!("normalized/x/{ingest_id}.json");
    let normalized = json!({
        "ref": {"bucket": "normalized", "key": key}, "sha256": Sha256Hex::of(&document), "events": lines.len(),
        "eventType": lines[0].0, "schemaVersion": "1.0", "bundle": "0".repeat(64), "fuel": 1, "at": at,
    });
    let mut event = json!({
        "vendorId": vendor, "externalEventId": format!("e-{accepted}"), "ingestId": ingest_id, "eventType": "x",
        "schemaVersion": "1", "occurredAt": "2026-11-21T10:00:00.000Z", "receivedAt": "2026-11-21T10:00:00.000Z",
        "rawRef": {"bucket": "raw", "key": "raw/k"}, "rawSha256": "0".repeat(64), "normalized": normalized,
    });
    let body =
        json!({"version": "0", "detail-type": "event.normalized", "source": "sluice", "detail": event})
            .to_string();
    for (name, value) in
        [("status", "NORMALIZED"), ("statusShard", "NORMALIZED#1"), ("contentType", "application/json")]
    {
        event[name] = value.into();
    }
    event["rawBytes"] = 1.into();
    event["payloadSha256"] = "1".repeat(64).into();
    event["updatedAt"] = at.into();
    let row: LedgerRow = serde_json::from_value(event).unwrap();
    let mut state = world.state();
    state.ledger.insert(row.key.clone(), row);
    state.normalized.insert(key, Bytes::from(document));
    body
}

pub(crate) fn batch(messages: &[(String, String)]) -> Value {
    let record = |(id, body): &(String, String)| {
        json!({"messageId": id, "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "2"},
            "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:sluice-inventory"})
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

pub(crate) fn failures(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

async fn deliver(world: &World, bodies: &[&str]) -> Vec<String> {
    let messages: Vec<(String, String)> =
        bodies.iter().enumerate().map(|(index, body)| (format!("m{index}"), (*body).to_owned())).collect();
    failures(&handle(&deps(world), batch(&messages)).await.unwrap())
}

fn stock(sku: &str, quantity: u64) -> Value {
    json!({"warehouseId": "ROA", "sku": sku, "quantityOnHand": quantity})
}

const LEVEL: &str = "InventoryUpdated";

fn value(world: &World, entity: &Entity, member: &str) -> Option<String> {
    world.state().states.get(entity)?.view.fields.get(member).map(|field| field.value.clone())
}

#[tokio::test]
async fn a_batch_is_one_transaction_and_a_second_delivery_changes_nothing() {
    let world = World::new();
    let first = normalize(&world, 1, "vendorA", 0, &[(LEVEL, 1, stock("A", 5)), (LEVEL, 1, stock("B", 7))]);
    let second = normalize(&world, 2, "vendorA", 0, &[(LEVEL, 2, stock("A", 4))]);
    assert!(deliver(&world, &[&second, &first, &second]).await.is_empty());
    let (a, b) = (Entity::inventory("ROA", "A"), Entity::inventory("ROA", "B"));
    assert_eq!(
        (value(&world, &a, "quantityOnHand"), value(&world, &b, "quantityOnHand")),
        (Some("4".into()), Some("7".into()))
    );
    assert_eq!(world.state().states[&a].version, 1, "two events about one entity were one write");
    let before = world.state().clone();
    assert!(deliver(&world, &[&first, &second]).await.is_empty());
    let after = world.state();
    assert_eq!((&after.states, &after.effects), (&before.states, &before.effects));
    assert!(after.state_divergence.is_empty() && after.dead_letters.is_empty());
}

/// The message of an event that states nothing any more, and its ledger row; `body` is that of the document it takes back.
pub(crate) fn take_back(world: &World, body: &str, made: u32) -> String {
    let nothing = json!({
        "code": "draft", "message": "m", "bundle": "0".repeat(64), "fuel": 1, "at": format!("2026-11-21T12:00:{made:02}.000Z"),
    });
    let mut message: Value = serde_json::from_str(body).unwrap();
    message["detail"]["nothing"] = nothing.clone();
    let detail: EventDetail = serde_json::from_value(message["detail"].clone()).unwrap();
    let mut state = world.state();
    let row = state.ledger.get_mut(&detail.key).unwrap();
    row.normalized = None;
    row.nothing = Some(serde_json::from_value(nothing).unwrap());
    drop(state);
    message.to_string()
}

#[tokio::test]
async fn what_an_event_said_is_taken_back_when_it_states_nothing_any_more() {
    let world = World::new();
    let (a, b) = (Entity::inventory("ROA", "A"), Entity::inventory("ROA", "B"));
    let older = normalize(&world, 1, "vendorA", 0, &[(LEVEL, 1, stock("A", 5))]);
    let newer = normalize(&world, 2, "vendorA", 0, &[(LEVEL, 2, stock("A", 4)), (LEVEL, 2, stock("B", 7))]);
    assert!(deliver(&world, &[&older, &newer]).await.is_empty());
    let back = take_back(&world, &newer, 1);
    assert!(deliver(&world, &[&back]).await.is_empty());
    assert_eq!(value(&world, &a, "quantityOnHand"), Some("5".into()), "what was said before holds again");
    assert_eq!(value(&world, &b, "quantityOnHand"), None);
    let effects = world.state().effects[&ingest_id(2)].clone();
    assert!(effects.done && effects.entities.is_empty() && effects.sha256 == Nothing::sha256());
    // Neither a second delivery nor a late one of the document changes that.
    let before = world.state().clone();
    assert!(deliver(&world, &[&back, &newer]).await.is_empty());
    let after = world.state().clone();
    assert_eq!((&after.states, &after.effects), (&before.states, &before.effects));
    assert!(after.dead_letters.is_empty());
    // A mapping that states it again is a newer document, though it has the same bytes.
    let again = normalize(&world, 2, "vendorA", 2, &[(LEVEL, 2, stock("A", 4)), (LEVEL, 2, stock("B", 7))]);
    assert!(deliver(&world, &[&again]).await.is_empty());
    assert_eq!(value(&world, &a, "quantityOnHand"), Some("4".into()));
    assert_eq!(value(&world, &b, "quantityOnHand"), Some("7".into()));
}

#[tokio::test]
async fn a_document_that_comes_after_it_was_taken_back_is_superseded() {
    let world = World::new();
    let body = normalize(&world, 1, "vendorA", 0, &[(LEVEL, 1, stock("A", 5))]);
    let back = take_back(&world, &body, 1);
    assert!(deliver(&world, &[&back]).await.is_empty());
    assert!(deliver(&world, &[&body]).await.is_empty());
    assert_eq!(value(&world, &Entity::inventory("ROA", "A"), "quantityOnHand"), None);
}

#[tokio::test]
async fn what_may_succeed_later_comes_again_and_fails_no_other() {
    let world = World::new();
    let body = normalize(&world, 1, "vendorA", 0, &[(LEVEL, 1, stock("A", 5))]);
    // The document cannot be read.
    world.fail_next([Failure::Before]);
    assert_eq!(deliver(&world, &[&body]).await, ["m0"]);
    // Written, but the answer is lost: the next delivery finds it done.
    world.fail_next([Failure::None, Failure::None, Failure::After]);
    assert_eq!(deliver(&world, &[&body]).await, ["m0"]);
    let version = world.state().states[&Entity::inventory("ROA", "A")].version;
    assert!(deliver(&world, &[&body]).await.is_empty());
    assert_eq!(world.state().states[&Entity::inventory("ROA", "A")].version, version);

    // A transaction of two that fails is followed by one for each.
    let other = normalize(&world, 2, "vendorA", 0, &[(LEVEL, 1, stock("B", 5))]);
    let third = normalize(&world, 3, "vendorA", 0, &[(LEVEL, 1, stock("C", 5))]);
    world.fail_next([Failure::None, Failure::None, Failure::None, Failure::Before, Failure::Before]);
    assert_eq!(deliver(&world, &[&other, &third]).await, ["m0"], "its own read failed as well");
    assert!(world.state().dead_letters.is_empty());
    assert_eq!(value(&world, &Entity::inventory("ROA", "C"), "quantityOnHand"), Some("5".into()));
}

#[tokio::test]
async fn what_cannot_succeed_is_dead_lettered_with_its_cause_before_it_is_done() {
    let world = World::new();
    let good = normalize(&world, 1, "vendorA", 0, &[(LEVEL, 1, stock("A", 5))]);
    let gone = normalize(&world, 2, "vendorA", 0, &[(LEVEL, 1, stock("B", 5))]);
    let changed = normalize(&world, 3, "vendorA", 0, &[(LEVEL, 1, stock("C", 5))]);
    let strange = normalize(&world, 4, "vendorA", 0, &[("PriceChanged", 1, stock("D", 5))]);
    {
        let mut state = world.state();
        state.normalized.remove(&format!("normalized/x/{}.json", ingest_id(2)));
        state.normalized.insert(format!("normalized/x/{}.json", ingest_id(3)), Bytes::from_static(b"{}\n"));
    }
    let accepted = good.replace("\"normalized\":{", "\"was\":{");
    let bodies = ["garbage", &good, &gone, &changed, &strange, &accepted];
    assert!(deliver(&world, &bodies).await.is_empty());
    let letters = world.state().dead_letters.clone();
    let mut causes: Vec<&str> = letters.iter().map(|letter| letter.cause.code.as_str()).collect();
    causes.sort_unstable();
    assert_eq!(
        causes,
        [
            "canonical_type_unknown",
            "input_malformed",
            "input_malformed",
            "normalized_digest_mismatch",
            "normalized_missing"
        ]
    );
    let letter = letters.iter().find(|letter| letter.cause.code == "normalized_missing").unwrap();
    assert_eq!(
        (letter.stage, letter.attempts, letter.message_id.as_str(), letter.cause.error.as_str()),
        ("apply", Some(2), "m2", "Misconfigured")
    );
    assert_eq!(letter.queue_arn, "arn:aws:sqs:us-east-1:000000000000:sluice-inventory");
    assert_eq!(letter.body, gone, "as it was, so that it can be moved back");
    assert_eq!(value(&world, &Entity::inventory("ROA", "A"), "quantityOnHand"), Some("5".into()));

    // A letter that is not sent is sent again with the message's next delivery.
    world.state().dead_letters.clear();
    world.fail_next([Failure::Before]);
    assert_eq!(deliver(&world, &["garbage"]).await, ["m0"]);
    assert!(deliver(&world, &["garbage"]).await.is_empty());
    assert_eq!(world.state().dead_letters.len(), 1);
    assert_eq!(handle(&deps(&world), json!([])).await.unwrap_err().error_type(), "Misconfigured");
}

#[tokio::test]
async fn an_article_is_shared_and_an_order_is_its_vendors() {
    let world = World::new();
    // Two vendors about one shelf, deliberately: the newest holds, whoever says it, and an older one that disagrees is divergence.
    let counted = normalize(&world, 1, "wms", 0, &[(LEVEL, 20, stock("A", 5))]);
    let late = normalize(&world, 2, "shop", 0, &[(LEVEL, 10, stock("A", 4))]);
    let newer = normalize(&world, 3, "shop", 0, &[(LEVEL, 30, stock("A", 3))]);
    // Two orders of the same number.
    let order = |event_type: &'static str, at: i64, currency: &str| -> Line {
        (event_type, at, json!({"orderId": "1001", "currency": currency}))
    };
    let theirs = normalize(&world, 4, "shop", 0, &[order("OrderPlaced", 1, "EUR")]);
    let others = normalize(&world, 5, "storefront", 0, &[order("OrderPlaced", 1, "USD")]);
    let cancelled = normalize(&world, 6, "storefront", 0, &[order("OrderCancelled", 2, "USD")]);
    assert!(deliver(&world, &[&counted, &late, &newer, &theirs, &others, &cancelled]).await.is_empty());

    let article = Entity::inventory("ROA", "A");
    assert_eq!(value(&world, &article, "quantityOnHand"), Some("3".into()));
    let state = world.state();
    let diverged: Vec<_> = state.state_divergence.values().collect();
    assert_eq!(diverged.len(), 1, "{diverged:?}");
    let (row, claim) = (diverged[0], &diverged[0].claims[0]);
    assert_eq!(
        (row.subject.clone(), row.kind, row.vendor_id.as_str()),
        (article, DivergenceKind::Stale, "shop")
    );
    assert_eq!(
        (claim.held.as_deref(), claim.held_by.map(|by| by.source.ingest_id), claim.stated.as_str()),
        (Some("5"), Some(ingest_id(1)), "4")
    );
    let order = |vendor: &str| &state.states[&Entity::order(&vendor.parse().unwrap(), "1001")];
    assert_eq!(order("shop").view.life_cycle(), Some(LifeCycle::Placed));
    assert_eq!(order("storefront").view.life_cycle(), Some(LifeCycle::Cancelled));
    assert_eq!(order("shop").view.fields["currency"].value, "\"EUR\"");
}

#[tokio::test]
async fn another_mapping_of_an_event_takes_the_place_of_the_one_before() {
    let world = World::new();
    let (a, b) = (Entity::inventory("ROA", "A"), Entity::inventory("ROA", "B"));
    let other = normalize(&world, 1, "vendorA", 0, &[(LEVEL, 1, stock("A", 1))]);
    let wrong = normalize(&world, 2, "vendorA", 0, &[(LEVEL, 2, stock("A", 2)), (LEVEL, 0, stock("A", 9))]);
    assert!(deliver(&world, &[&other, &wrong]).await.is_empty());
    assert_eq!(value(&world, &a, "quantityOnHand"), Some("2".into()));
    assert_eq!(world.state().state_divergence.len(), 1);

    let right = normalize(&world, 2, "vendorA", 1, &[(LEVEL, 2, stock("B", 2))]);
    assert!(deliver(&world, &[&right]).await.is_empty());
    assert_eq!(value(&world, &a, "quantityOnHand"), Some("1".into()), "what held before holds again");
    assert_eq!(value(&world, &b, "quantityOnHand"), Some("2".into()));
    assert!(world.state().state_divergence.is_empty(), "nobody says 9 any more");

    // The first document is delivered once more: by now another one is at its place.
    let before = world.state().states.clone();
    assert!(deliver(&world, &[&wrong]).await.is_empty());
    // And even if it had been read before that.
    normalize(&world, 2, "vendorA", 0, &[(LEVEL, 2, stock("A", 2)), (LEVEL, 0, stock("A", 9))]);
    assert!(deliver(&world, &[&wrong]).await.is_empty());
    assert_eq!(world.state().states, before);
    assert!(world.state().dead_letters.is_empty());
}

#[tokio::test]
async fn a_document_that_no_transaction_holds_is_applied_in_parts() {
    let world = World::new();
    let skus: Vec<String> = (0..300).map(|number| format!("S{number:03}")).collect();
    let mut lines: Vec<Line> = skus.iter().map(|sku| (LEVEL, 1, stock(sku, 1))).collect();
    lines.extend((0..130).map(|number| (LEVEL, 100 - number, stock("hot", u64::try_from(number).unwrap()))));
    let body = normalize(&world, 1, "vendorA", 0, &lines);
    // A crash in the middle.
    world.fail_next([Failure::None; 6].into_iter().chain([Failure::After]));
    assert_eq!(deliver(&world, &[&body]).await, ["m0"]);
    let held = world.state().effects[&ingest_id(1)].clone();
    assert!(!held.done && held.first && held.entities.is_empty());
    assert_eq!(held.through, Some(Entity::inventory("ROA", "S097")), "49 of them in a transaction");
    assert_eq!(held.listed.as_ref().map(|list| list.rows), Some(1));
    assert!(deliver(&world, &[&body]).await.is_empty());
    {
        let state = world.state();
        assert!(state.effects[&ingest_id(1)].done);
        assert_eq!(state.contributions.len(), 430);
        let hot = &state.states[&Entity::inventory("ROA", "hot")];
        assert_eq!((hot.contributions, hot.view.fields["quantityOnHand"].value.as_str()), (130, "0"));
        assert_eq!(state.state_divergence.len(), 129);
        assert!(state.state_divergence.values().all(|row| row.kind == DivergenceKind::Stale));
    }

    // A changed mapper gives a document without most of them, and a small one: what was said is taken back, wherever it was listed.
    let other =
        normalize(&world, 1, "vendorA", 1, &[(LEVEL, 1, stock("S000", 7)), (LEVEL, 1, stock("new", 1))]);
    world.fail_next([Failure::None; 7].into_iter().chain([Failure::Before]));
    assert_eq!(deliver(&world, &[&other]).await, ["m0"]);
    assert!(deliver(&world, &[&other]).await.is_empty());
    let state = world.state();
    assert_eq!(state.contributions.len(), 2);
    assert!(state.state_divergence.is_empty());
    let held = state.states.values().filter(|held| held.contributions > 0).count();
    assert_eq!((held, state.states.len()), (2, 302));
    let lists: Vec<_> = state.entity_lists.values().map(Vec::len).collect();
    assert_eq!(lists, [302], "the list before is gone");
}

#[tokio::test]
async fn twenty_thousand_lines_read_and_write_each_entity_once() {
    let world = World::new();
    let lines: Vec<Line> = (0..20_000).map(|number| (LEVEL, 1, stock(&format!("S{number:05}"), 1))).collect();
    let body = normalize(&world, 1, "vendorA", 0, &lines);
    assert!(deliver(&world, &[&body]).await.is_empty());
    let state = world.state();
    assert_eq!((state.contributions.len(), state.states.len()), (20_000, 20_000));
    let effects = &state.effects[&ingest_id(1)];
    // 49 entities a transaction.
    assert_eq!((effects.done, effects.version), (true, 409));
    assert_eq!(state.entity_lists.values().map(Vec::len).sum::<usize>(), 20_000);
    let last = &state.states[&Entity::inventory("ROA", "S19999")];
    assert_eq!(last.last.map(|source| source.to_string()[26..].to_owned()), Some("#A19999".to_owned()));
}

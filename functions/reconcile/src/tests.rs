//! Reconciliation against the ports in memory.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use bytes::Bytes;
use sluice_core::books::{Examination, Finding};
use sluice_core::digest::Sha256Hex;
use sluice_core::health::Duplicates;
use sluice_core::id::{IngestId, VendorId, normalized_key, raw_key};
use sluice_core::port::RawHeaders;
use sluice_core::record::{LedgerRow, QuarantineRow, QuarantineStatus, Status, recovery_name};
use sluice_core::testing::{Failure, World};

use super::*;

fn deps(world: &World) -> Deps {
    Deps {
        books: Arc::new(world.clone()),
        ledger: Arc::new(world.clone()),
        balances: Arc::new(world.clone()),
        quarantine: Arc::new(world.clone()),
        vendors: Arc::new(world.clone()),
        reruns: Arc::new(world.clone()),
        clock: Arc::new(world.clone()),
    }
}

fn vendor() -> VendorId {
    "vendorA".parse().unwrap()
}

/// An event accepted `seconds` ago, whole in every store.
fn event(world: &World, number: u128, seconds: i64, status: Status) -> LedgerRow {
    let at = world.now() - SignedDuration::from_secs(seconds);
    let id = IngestId::mint(at, number);
    let payload = json!({"n": number.to_string()});
    let envelope = json!({"vendorId": "vendorA", "externalEventId": format!("e-{number}"), "eventType": "t",
        "occurredAt": sluice_core::id::rfc3339(at), "payload": payload})
    .to_string();
    let key = raw_key(&vendor(), at, id);
    let mut row: LedgerRow = serde_json::from_value(json!({
        "vendorId": "vendorA", "externalEventId": format!("e-{number}"), "ingestId": id, "eventType": "t",
        "schemaVersion": "1", "occurredAt": sluice_core::id::rfc3339(at), "receivedAt": sluice_core::id::rfc3339(at),
        "updatedAt": sluice_core::id::rfc3339(at), "status": status, "statusShard": status.shard(id),
        "rawRef": {"bucket": "raw", "key": key}, "rawSha256": Sha256Hex::of(envelope.as_bytes()), "rawBytes": 17,
        "payloadSha256": "1".repeat(64), "contentType": "application/json"
    }))
    .unwrap();
    let headers = RawHeaders {
        content_type: "application/json".into(),
        content_encoding: None,
        sha256: Sha256Hex::of(envelope.as_bytes()),
    };
    let mut state = world.state();
    state.raw.insert(row.raw_ref.key.clone(), (Bytes::from(envelope), headers));
    if status == Status::Normalized {
        let key =
            normalized_key(&"InventoryUpdated".parse().unwrap(), at, id, &"2".repeat(64).try_into().unwrap());
        state.normalized.insert(key.clone(), Bytes::from_static(b"{}\n"));
        row.normalized = Some(
            serde_json::from_value(json!({"ref": {"bucket": "normalized", "key": key}, "sha256": "2".repeat(64),
                "events": 1, "eventType": "InventoryUpdated", "schemaVersion": "1.0", "bundle": "3".repeat(64), "fuel": 1,
                "at": sluice_core::id::rfc3339(at)}))
            .unwrap(),
        );
    }
    if let Some(sha256) = row.document_sha256() {
        let effects = serde_json::from_value(json!({"ingestId": id, "version": 1, "sha256": sha256,
            "normalizedAt": sluice_core::id::rfc3339(at), "entities": [], "done": true}))
        .unwrap();
        state.effects.insert(id, effects);
    }
    if status == Status::Quarantined {
        let held: QuarantineRow = serde_json::from_value(json!({
            "vendorId": "vendorA", "ingestId": id, "externalEventId": format!("e-{number}"), "eventType": "t",
            "status": "OPEN", "cause": {"error": "Rejected", "code": "payload_schema_violation", "message": "m"},
            "fingerprint": "0123456789abcdef", "attempts": 1, "executionArn": "arn:x", "rawRef": row.raw_ref,
            "receivedAt": sluice_core::id::rfc3339(at), "firstSeenAt": sluice_core::id::rfc3339(at),
            "lastSeenAt": sluice_core::id::rfc3339(at)
        }))
        .unwrap();
        state.quarantine.insert((vendor(), id), held);
        row.quarantine = Some(
            serde_json::from_value(json!({"code": "payload_schema_violation", "message": "m",
                "at": sluice_core::id::rfc3339(at)}))
            .unwrap(),
        );
    }
    state.ledger.insert(row.key.clone(), row.clone());
    row
}

async fn findings(world: &World) -> Vec<(Kind, String)> {
    let mut found: Vec<Finding> = Vec::new();
    let hour = Hour::of(world.now() - SignedDuration::from_secs(7_200));
    let to = Hour::of(world.now()).end();
    let vendors = [vendor()];
    let examination = Examination::new(world, &vendors, None, hour.start(), to);
    examination.counts(&mut |finding| found.push(finding)).await.unwrap();
    found.into_iter().map(|finding| (finding.kind, finding.detail)).collect()
}

const OLD: i64 = 7_200;

#[tokio::test]
async fn an_hour_in_balance_is_closed_and_not_counted_again() {
    let world = World::new();
    for number in 1..=3 {
        event(&world, number, OLD, Status::Normalized);
    }
    let first = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!((&first["closed"], &first["unaccounted"]), (&json!(1), &json!(0)), "{first}");
    let hour = Hour::of(world.now() - SignedDuration::from_secs(OLD));
    let row = world.state().balances[&(vendor(), hour)].clone();
    assert!(row.closed);
    assert_eq!((row.count.accepted, row.count.normalized, row.count.raw_objects), (3, 3, 3));

    // Behind the system's back: a closed hour is not read again, the command that counts afresh sees it.
    world.state().normalized.clear();
    let second = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!((&second["unaccounted"], &second["closed"]), (&json!(0), &json!(0)));
    let missing = findings(&world).await;
    assert_eq!(missing.len(), 3);
    assert!(missing.iter().all(|(kind, _)| *kind == Kind::NormalizedMissing));
}

#[tokio::test]
async fn every_vendor_has_its_score_of_today_or_of_yesterday() {
    let world = World::new();
    for number in 1..=3 {
        event(&world, number, 1, Status::Normalized);
    }
    event(&world, 4, 1, Status::Quarantined);
    let now = world.now();
    let once = Duplicates { duplicates: 1, hasty: 0 };
    world.add_duplicates(&vendor(), Hour::of(now), &once).await.unwrap();
    world.add_duplicates(&vendor(), Hour::of(now - SignedDuration::from_hours(48)), &once).await.unwrap();
    let answer = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!(answer["scores"], 1, "{answer}");
    let note = world.state().health[&vendor()].clone();
    let (today, _, _) = day_of(now);
    // Validity and drift are 3 of 4, duplicates 4 of 5, the rest is well.
    assert_eq!((note.day.as_str(), note.score), (today.as_str(), 86));

    // The next day has no events yet: yesterday's holds, and after that what was last known.
    world.advance(86_400);
    handle(&deps(&world), Value::Null).await.unwrap();
    let next = world.state().health[&vendor()].clone();
    assert_eq!((next.day.as_str(), next.score, next.at), (today.as_str(), 86, world.now()));
    world.advance(86_400);
    let later = handle(&deps(&world), Value::Null).await.unwrap();
    let kept = world.state().health[&vendor()].clone();
    assert_eq!((&later["scores"], kept), (&json!(0), next));
}

#[tokio::test]
async fn each_store_that_disagrees_is_unaccounted_for() {
    let world = World::new();
    let rows: Vec<LedgerRow> = (1..=6).map(|number| event(&world, number, OLD, Status::Normalized)).collect();
    let quarantined = event(&world, 7, OLD, Status::Quarantined);
    event(&world, 8, OLD, Status::Quarantined);
    {
        let mut state = world.state();
        state.raw.remove(&rows[0].raw_ref.key);
        state.normalized.remove(&rows[1].normalized.as_ref().unwrap().r#ref.key);
        state.ledger.remove(&rows[2].key);
        state.quarantine.remove(&(vendor(), quarantined.ingest_id));
    }
    let answer = handle(&deps(&world), json!({"time": "an event of EventBridge"})).await.unwrap();
    assert_eq!(answer["unaccounted"], 4, "{answer}");
    let kinds: Vec<Kind> = findings(&world).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        [Kind::RawMissing, Kind::NormalizedMissing, Kind::LedgerMissing, Kind::QuarantineMissing]
    );
    let hour = Hour::of(rows[0].received_at);
    let count = world.state().balances[&(vendor(), hour)].count;
    assert_eq!((count.accepted, count.normalized, count.quarantined), (8, 3, 1));
    assert_eq!((count.failed, count.drifted), (2, 2));
    assert!(world.state().open_hours.contains_key(&hour), "what does not add up stays open");
}

#[tokio::test]
async fn a_raw_object_without_a_row_is_an_orphan_and_no_loss() {
    let world = World::new();
    let accepted = event(&world, 1, OLD, Status::Normalized);
    // Never committed; and a copy of the first event under an id of its own, with another payload.
    let never = event(&world, 2, OLD, Status::Received);
    let (bytes, headers) = world.state().raw[&accepted.raw_ref.key].clone();
    let conflict = IngestId::mint(accepted.received_at, 99);
    world.state().ledger.remove(&never.key);
    world.state().raw.insert(raw_key(&vendor(), accepted.received_at, conflict), (bytes, headers));
    let found = findings(&world).await;
    assert_eq!(found.len(), 2, "{found:?}");
    let of = |wanted: Kind| found.iter().find(|(kind, _)| *kind == wanted).map(|(_, detail)| detail.as_str());
    // Nothing shows whether it was acknowledged, and nobody says so.
    let unexplained = of(Kind::OrphanUnexplained).unwrap();
    assert!(unexplained.contains("or its row is lost"), "{unexplained}");
    assert!(of(Kind::OrphanRaw).unwrap().contains("another payload"), "{found:?}");
    let answer = handle(&deps(&world), json!({})).await.unwrap();
    assert_eq!((&answer["unaccounted"], &answer["closed"]), (&json!(0), &json!(1)));
    let count = world.state().balances[&(vendor(), Hour::of(accepted.received_at))].count;
    assert_eq!((count.accepted, count.orphans, count.conflicts, count.raw_objects), (1, 2, 1, 3));
}

#[tokio::test]
async fn a_raw_object_whose_event_was_worked_on_is_a_loss_and_no_orphan() {
    let world = World::new();
    let lost = event(&world, 1, OLD, Status::Received);
    world.state().ledger.remove(&lost.key);
    let execution = format!(
        "arn:aws:states:::execution:sluice-recover:{}",
        recovery_name(&lost.key.vendor_id, lost.ingest_id, 0)
    );
    world.state().traces.insert(lost.ingest_id, execution.clone());
    let found = findings(&world).await;
    assert!(matches!(found.as_slice(), [(Kind::LedgerMissing, _)]), "{found:?}");
    let answer = handle(&deps(&world), json!({})).await.unwrap();
    assert_eq!(answer["unaccounted"], json!(1), "{answer}");
}

#[tokio::test]
async fn what_is_stuck_is_run_again_once_a_window() {
    let world = World::new();
    let stuck = event(&world, 1, 1_000, Status::Received);
    event(&world, 2, 100, Status::Received);
    let first = handle(&deps(&world), json!({})).await.unwrap();
    assert_eq!((&first["reruns"], &first["oldestReceivedAgeSeconds"]), (&json!(1), &json!(1_000)));
    let (name, event) = world.state().reruns.first_key_value().map(|(n, e)| (n.clone(), e.clone())).unwrap();
    assert_eq!(event.ingest_id, stuck.ingest_id);
    assert!(
        event.replay > 0 && name == recovery_name(&stuck.key.vendor_id, stuck.ingest_id, event.replay),
        "not that of normalize"
    );
    world.advance(10);
    assert_eq!(handle(&deps(&world), json!({})).await.unwrap()["reruns"], 0, "the same window");
    world.advance(900);
    assert_eq!(handle(&deps(&world), json!({})).await.unwrap()["reruns"], 2, "the next window");
}

#[tokio::test]
async fn reruns_are_bounded_and_every_stuck_row_has_its_turn() {
    let world = World::new();
    for number in 1..=250 {
        event(&world, number, 5_000 - i64::try_from(number).unwrap(), Status::Received);
    }
    let mut total = 0;
    for _ in 0..6 {
        let answer = handle(&deps(&world), json!({"rerunsMax": 60})).await.unwrap();
        let reruns = answer["reruns"].as_u64().unwrap();
        assert!(reruns <= 60);
        total += reruns;
    }
    assert_eq!(total, 250);
}

#[tokio::test]
async fn a_throttled_rerun_is_put_off() {
    let world = World::new();
    event(&world, 1, 1_000, Status::Received);
    // progress, 16 shards, the shard's row, and then the start itself.
    let row_shard =
        Status::Received.shard(*world.state().ledger.values().next().map(|row| &row.ingest_id).unwrap());
    let shard: usize = row_shard.rsplit('#').next().unwrap().parse().unwrap();
    world.fail_next(std::iter::repeat_n(Failure::None, 1 + 16 + shard + 1).chain([Failure::Before]));
    assert_eq!(handle(&deps(&world), json!({})).await.unwrap()["reruns"], 0);
    assert!(world.state().progress.stuck.is_some());
    assert_eq!(handle(&deps(&world), json!({})).await.unwrap()["reruns"], 1);
}

#[tokio::test]
async fn a_quarantine_row_whose_event_is_normalized_is_closed() {
    let world = World::new();
    let row = event(&world, 1, OLD, Status::Normalized);
    let held = event(&world, 2, OLD, Status::Quarantined);
    let mut open = world.state().quarantine[&(vendor(), held.ingest_id)].clone();
    open.ingest_id = row.ingest_id;
    world.state().quarantine.insert((vendor(), row.ingest_id), open);
    let answer = handle(&deps(&world), json!({})).await.unwrap();
    assert_eq!((&answer["released"], &answer["unaccounted"]), (&json!(1), &json!(0)));
    let state = world.state();
    assert_eq!(state.quarantine[&(vendor(), row.ingest_id)].status, QuarantineStatus::Released);
    assert_eq!(state.quarantine[&(vendor(), held.ingest_id)].status, QuarantineStatus::Open);
}

#[tokio::test]
async fn what_was_normalized_and_never_applied_is_told_again_until_it_is() {
    let world = World::new();
    let row = event(&world, 1, OLD, Status::Normalized);
    event(&world, 2, OLD, Status::Normalized);
    let effects = world.state().effects.remove(&row.ingest_id).unwrap();
    let told = || world.state().ledger[&row.key].told_again.as_ref().map_or(0, |told| told.times);
    let run = async || handle(&deps(&world), json!({"recountSeconds": 0})).await.unwrap();
    let answer = run().await;
    assert_eq!(
        (&answer["unapplied"], &answer["toldAgain"], &answer["closed"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let hour = Hour::of(row.received_at);
    let stored = world.state().balances[&(vendor(), hour)].clone();
    assert_eq!((stored.count.applying, stored.count.unapplied, stored.closed), (1, 1, false));
    assert_eq!(stored.count.unaccounted(), 0, "nothing is missing, and yet the hour stays open");

    // Not at every run, and not for ever.
    assert_eq!((run().await["toldAgain"].clone(), told()), (json!(0), 1));
    for expected in [2, 3, 4, 5, 5, 5] {
        world.advance(3_600 * 16);
        run().await;
        assert_eq!(told(), expected);
    }
    // Another document is another matter.
    let mut changed = row.clone();
    changed.normalized.as_mut().unwrap().sha256 = "4".repeat(64).try_into().unwrap();
    changed.told_again = world.state().ledger[&row.key].told_again.clone();
    world.state().ledger.insert(row.key.clone(), changed.clone());
    run().await;
    assert_eq!(told(), 1);
    world.state().ledger.insert(row.key.clone(), LedgerRow { told_again: None, ..row.clone() });

    world.state().effects.insert(row.ingest_id, effects);
    let answer = run().await;
    assert_eq!((&answer["unapplied"], &answer["closed"]), (&json!(0), &json!(1)), "{answer}");
}

#[tokio::test]
async fn what_is_on_its_way_to_canonical_state_is_not_told_again_and_keeps_its_hour_open() {
    let world = World::new();
    let row = event(&world, 1, 600, Status::Normalized);
    world.state().effects.get_mut(&row.ingest_id).unwrap().done = false;
    let answer = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!((&answer["unapplied"], &answer["toldAgain"]), (&json!(0), &json!(0)));
    let state = world.state();
    let count = state.balances.values().map(|row| row.count.applying).sum::<u64>();
    assert_eq!((count, state.ledger[&row.key].told_again.is_none()), (1, true));
}

#[tokio::test]
async fn an_hour_waits_for_what_is_open_and_not_for_what_was_discarded() {
    let world = World::new();
    let held = event(&world, 1, OLD, Status::Quarantined);
    let hour = Hour::of(held.received_at);
    handle(&deps(&world), json!({})).await.unwrap();
    assert!(world.state().open_hours.contains_key(&hour));
    let key = (vendor(), held.ingest_id);
    world.state().quarantine.get_mut(&key).unwrap().status = QuarantineStatus::Discarded;
    let early = handle(&deps(&world), json!({})).await.unwrap();
    assert_eq!(early["closed"], 0, "an hour that lies back is counted again after a while");
    let later = handle(&deps(&world), json!({"recountSeconds": 0})).await.unwrap();
    assert_eq!(later["closed"], 1, "{later}");
    assert!(!world.state().open_hours.contains_key(&hour));
}

#[tokio::test]
async fn an_input_that_is_none_is_refused() {
    let error = handle(&deps(&World::new()), json!({"stuckSeconds": "soon"})).await.unwrap_err();
    assert_eq!(error.code, Code::InputMalformed);
    let nothing = handle(&deps(&World::new()), json!({})).await.unwrap();
    assert_eq!(nothing["hours"], 0);
}

fn note(world: &World, reason: &str, seconds: i64) -> Resolution {
    let at = world.now() - SignedDuration::from_secs(seconds);
    Resolution { by: "ana".into(), reason: reason.into(), at }
}

/// An event accepted two hours ago that waits since `seconds` ago.
fn waiting(world: &World, number: u128, seconds: i64) -> LedgerRow {
    let mut row = event(world, number, OLD, Status::Held);
    let since = world.now() - SignedDuration::from_secs(seconds);
    row.waited =
        Some(sluice_core::record::Waited { since, hold: note(world, "a bad export", OLD), let_go: None });
    world.state().ledger.insert(row.key.clone(), row.clone());
    row
}

#[tokio::test]
async fn what_is_held_is_counted_by_itself_and_never_run_as_stuck() {
    let world = World::new();
    world.add_vendor("vendorA", "key", &[]);
    let hold = note(&world, "a bad export", OLD);
    world.state().vendors.get_mut(&vendor()).unwrap().on_hold = Some(hold);
    let row = waiting(&world, 1, OLD);
    let answer = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!(
        (&answer["reruns"], &answer["letGo"], &answer["unaccounted"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(answer["oldestReceivedAgeSeconds"], 0);
    let hour = Hour::of(row.received_at);
    let stored = BalanceStore::rows(&world, &vendor(), hour, hour).await.unwrap();
    assert_eq!((stored[0].count.held, stored[0].count.in_flight, stored[0].closed), (1, 0, false));
}

#[tokio::test]
async fn what_came_to_wait_too_late_for_the_release_is_let_go_and_the_rest_is_the_operations() {
    let world = World::new();
    world.add_vendor("vendorA", "key", &[]);
    let released = note(&world, "mended", 600);
    world.state().vendors.get_mut(&vendor()).unwrap().released = Some(released);
    let (seen, late) = (waiting(&world, 1, 3_600), waiting(&world, 2, 605));
    let answer = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!(answer["letGo"], 1);
    let status = |row: &LedgerRow| world.state().ledger[&row.key].status;
    assert_eq!((status(&seen), status(&late)), (Status::Held, Status::Received));
    // It was accepted long ago, and is on its way since now: not stuck.
    let again = handle(&deps(&world), Value::Null).await.unwrap();
    assert_eq!((&again["letGo"], &again["reruns"]), (&json!(0), &json!(0)));
    assert_eq!(again["oldestReceivedAgeSeconds"], 0);
    world.advance(i64::from(STUCK_SECONDS) + 1);
    assert_eq!(handle(&deps(&world), Value::Null).await.unwrap()["reruns"], 1, "now it is");
}

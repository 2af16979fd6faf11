//! What is learned, counted, told and run again.

use futures::future::join_all;
use serde_json::json;
use sluice_core::balance::{BalanceRow, BalanceStore, Count, Hour, OpenHour, Progress, StuckCursor};
use sluice_core::drift::{Finding, Track, TrackKey};
use sluice_core::fault::Cause;
use sluice_core::health::{Duplicates, HealthNote};
use sluice_core::id::VendorId;
use sluice_core::port::{
    BusEvent, Clock, DeadLetter, DeadLetters, DriftStore, EventBus, Recorded, Rerun, Reruns,
};
use sluice_core::record::DetailType;

use crate::{at, detail, digest, ingest_id};

/// [`Clock`]: ids are never minted twice, and carry the time that is given beside them.
pub fn clock(clock: &dyn Clock) {
    let minted: Vec<_> = (0..1_000).map(|_| clock.mint()).collect();
    let mut ids: Vec<_> = minted.iter().map(|(id, _)| *id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), minted.len());
    assert!(minted.iter().all(|(id, at)| id.received_at() == *at));
    assert!(minted.is_sorted_by_key(|(_, at)| *at));
}

/// A finding about the field at `path`.
#[must_use]
pub fn finding(path: &str, seconds: i64) -> Finding {
    serde_json::from_value(json!({
        "vendorId": "v", "eventType": "orders", "id": digest(path), "kind": "vanished", "path": path, "breaking": true,
        "declared": true, "objects": seconds, "example": ingest_id(1), "schemaVersion": "1", "bundle": "3".repeat(64),
        "firstSeenAt": sluice_core::id::rfc3339(at(seconds)), "lastSeenAt": sluice_core::id::rfc3339(at(seconds)),
    }))
    .unwrap()
}

/// [`DriftStore`]: tracks under their versions, findings until they are announced.
pub async fn drift(store: &dyn DriftStore) {
    let of = |event_type: &str, version: &str| TrackKey {
        vendor_id: "v".parse().unwrap(),
        event_type: event_type.parse().unwrap(),
        schema_version: version.parse().unwrap(),
    };
    let orders = of("orders", "1");
    assert_eq!(store.track(&orders).await.unwrap(), (Track::default(), 0));
    let mut track = Track::default();
    track.past.events = 7;
    assert!(!store.put_track(&orders, &track, 3).await.unwrap());
    let results = join_all((0..5).map(|_| store.put_track(&orders, &track, 0))).await;
    assert_eq!(results.into_iter().filter(|result| *result.as_ref().unwrap()).count(), 1);
    assert_eq!(store.track(&orders).await.unwrap(), (track.clone(), 1));
    track.past.events = 8;
    assert!(store.put_track(&orders, &track, 1).await.unwrap());
    assert!(!store.put_track(&orders, &Track::default(), 1).await.unwrap());
    assert_eq!(store.track(&orders).await.unwrap(), (track, 2));
    for other in [of("orders", "2"), of("stock", "1")] {
        assert_eq!(store.track(&other).await.unwrap().1, 0);
    }

    assert_eq!(store.record(&finding("/a", 1)).await.unwrap(), Recorded::New);
    for seconds in [2, 3] {
        assert_eq!(store.record(&finding("/a", seconds)).await.unwrap(), Recorded::Unannounced);
    }
    for _ in 0..2 {
        store.announced(&finding("/a", 3)).await.unwrap();
        assert_eq!(store.record(&finding("/a", 4)).await.unwrap(), Recorded::Known);
    }
    assert_eq!(store.record(&finding("/b", 1)).await.unwrap(), Recorded::New, "each by itself");
    // One that expired meanwhile is not made by announcing it.
    store.announced(&finding("/c", 1)).await.unwrap();
}

/// [`BalanceStore`]: rows by vendor and hour, the list of open hours, and counters that add up.
pub async fn balance(store: &dyn BalanceStore) {
    let hour = |text: &str| text.parse::<Hour>().unwrap();
    let hours = ["2026-11-20T23", "2026-11-21T00", "2026-11-21T09", "2026-11-21T10"].map(hour);
    let row = |vendor: &str, hour: Hour, accepted: u64| BalanceRow {
        vendor_id: vendor.parse().unwrap(),
        hour,
        count: Count { accepted, ..Count::default() },
        counted_at: at(0),
        closed: false,
    };
    let vendor: VendorId = "v".parse().unwrap();
    assert_eq!(store.rows(&vendor, hours[0], hours[3]).await.unwrap(), []);
    let mut rows: Vec<BalanceRow> = hours.iter().rev().map(|hour| row("v", *hour, 1)).collect();
    rows.push(row("w", hours[1], 9));
    store.put(&rows).await.unwrap();
    store.put(&[row("v", hours[1], 2)]).await.unwrap();
    let held = store.rows(&vendor, hours[0], hours[2]).await.unwrap();
    let held: Vec<(Hour, u64)> = held.iter().map(|row| (row.hour, row.count.accepted)).collect();
    assert_eq!(held, [(hours[0], 1), (hours[1], 2), (hours[2], 1)], "both ends, in order, replaced");
    assert_eq!(store.rows(&vendor, hours[3].next(), hours[3].next()).await.unwrap(), []);

    for hour in hours.iter().rev() {
        store.open_hour(&OpenHour { hour: *hour, counted_at: at(0) }).await.unwrap();
    }
    store.open_hour(&OpenHour { hour: hours[0], counted_at: at(5) }).await.unwrap();
    for _ in 0..2 {
        store.close_hour(hours[1]).await.unwrap();
    }
    let open = store.open_hours().await.unwrap();
    let expected = [(hours[0], at(5)), (hours[2], at(0)), (hours[3], at(0))];
    assert_eq!(open.iter().map(|it| (it.hour, it.counted_at)).collect::<Vec<_>>(), expected);

    assert_eq!(store.progress().await.unwrap(), Progress::default());
    let stuck = Some(StuckCursor { shard: 3, after: at(1) });
    let progress = Progress { next_hour: Some(hours[3]), stuck, strays: None };
    store.set_progress(&progress).await.unwrap();
    assert_eq!(store.progress().await.unwrap(), progress);
    store.set_progress(&Progress::default()).await.unwrap();
    assert_eq!(store.progress().await.unwrap(), Progress::default());

    let none = store.duplicates(&vendor, hours[0], hours[3]).await.unwrap();
    assert_eq!(none, Duplicates::default());
    let one = Duplicates { duplicates: 1, hasty: 0 };
    let added = join_all((0..10).map(|number| store.add_duplicates(&vendor, hours[number % 4], &one))).await;
    added.into_iter().for_each(|added| added.unwrap());
    let mut sum = Duplicates::default();
    (0..6).for_each(|_| sum.add(&one));
    assert_eq!(store.duplicates(&vendor, hours[0], hours[1]).await.unwrap(), sum);
}

/// [`BalanceStore::put_health`]. May be given from a cache, so that it is of its own.
pub async fn health(store: &dyn BalanceStore) {
    let vendor: VendorId = "scored".parse().unwrap();
    let note = HealthNote { day: "2026-11-21".into(), score: 97, at: at(0) };
    store.put_health(&vendor, &note).await.unwrap();
    assert_eq!(store.health(&vendor).await.unwrap(), Some(note));
    assert_eq!(store.health(&"unscored".parse().unwrap()).await.unwrap(), None);
}

/// [`Reruns`]: an execution of one name is started once.
pub async fn reruns(store: &dyn Reruns) {
    let event = |number, replay| sluice_core::record::EventDetail { replay, ..detail(number) };
    let Rerun::Started(first) = store.rerun(&event(1, 7)).await.unwrap() else {
        panic!("it was not started")
    };
    match store.rerun(&event(1, 7)).await.unwrap() {
        // It runs, or has ended.
        Rerun::Started(again) => assert_eq!(again, first),
        Rerun::Exists => {}
    }
    for other in [event(1, 8), event(2, 7)] {
        assert!(matches!(store.rerun(&other).await.unwrap(), Rerun::Started(arn) if arn != first));
    }
}

/// [`DeadLetters`]: durable when it returns; `receive` gives the bodies in the dead-letter queue of `queue_arn`.
pub async fn dead_letters(store: &dyn DeadLetters, queue_arn: &str, receive: impl AsyncFn() -> Vec<String>) {
    let letter = |body: &str| DeadLetter {
        queue_arn: queue_arn.to_owned(),
        body: body.to_owned(),
        stage: "apply",
        cause: Cause {
            error: "Rejected".into(),
            code: "c".into(),
            message: "m".into(),
            errors: Vec::new(),
            bundle: None,
        },
        message_id: "id".into(),
        attempts: Some(3),
    };
    store.send(&letter("one \u{1F4E6}")).await.unwrap();
    store.send(&letter("two")).await.unwrap();
    let mut received = receive().await;
    received.sort();
    assert_eq!(received, ["one \u{1F4E6}", "two"], "as they were received");
}

/// [`EventBus`]: one answer an event, in order, also for none and for more than one call takes.
pub async fn bus(bus: &dyn EventBus) {
    assert!(bus.publish(&[]).await.unwrap().is_empty());
    let event = |number| BusEvent { detail_type: DetailType::EventQuarantined, detail: detail(number) };
    let events: Vec<BusEvent> = (0..25).map(event).collect();
    let results = bus.publish(&events).await.unwrap();
    assert_eq!(results.len(), 25);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    bus.publish_drift(&finding("/a", 1)).await.unwrap();
}

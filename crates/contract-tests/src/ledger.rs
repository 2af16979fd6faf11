//! The ledger, quarantine and conflicts.

use futures::future::join_all;
use serde_json::json;
use sluice_core::Code;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::ExternalEventId;
use sluice_core::port::{Commit, DivergenceStore, Held, Ledger, Marked, QuarantineStore};
use sluice_core::record::{
    Correction, Divergence, LedgerKey, LedgerRow, Normalized, Nothing, QuarantineNote, QuarantineRow,
    QuarantineStatus, Resolution, Stated, Status, Waited,
};

use crate::{at, detail, digest, ingest_id, row};

async fn find(ledger: &dyn Ledger, key: &LedgerKey) -> LedgerRow {
    ledger.find(key).await.unwrap().unwrap()
}

/// [`Ledger::commit`] and the ways to find a row.
pub async fn commits(ledger: &dyn Ledger) {
    let first = row("a", 1, &json!({}));
    assert_eq!(ledger.find(&first.key).await.unwrap(), None);
    assert_eq!(ledger.find_by_ingest_id(first.ingest_id).await.unwrap(), None);
    assert_eq!(ledger.commit(&first).await.unwrap(), Commit::Committed);
    assert_eq!(find(ledger, &first.key).await, first);
    assert_eq!(ledger.find_by_ingest_id(first.ingest_id).await.unwrap(), Some(first.clone()));
    let other = row("a", 2, &json!({"payloadSha256": "2".repeat(64)}));
    assert_eq!(ledger.commit(&other).await.unwrap(), Commit::Exists(Box::new(first.clone())));
    assert_eq!(ledger.commit(&first).await.unwrap(), Commit::Exists(Box::new(first.clone())), "a retry");
    assert_eq!(ledger.find_by_ingest_id(other.ingest_id).await.unwrap(), None);

    // Another vendor's event of this id is another one.
    let mut theirs = row("a", 3, &json!({}));
    theirs.key.vendor_id = "w".parse().unwrap();
    assert_eq!(ledger.commit(&theirs).await.unwrap(), Commit::Committed);

    // Of many at once one is committed, and all others are given that one.
    let rivals: Vec<LedgerRow> = (10..18).map(|number| row("b", number, &json!({}))).collect();
    let results = join_all(rivals.iter().map(|rival| ledger.commit(rival))).await;
    let mut held = Vec::new();
    let mut committed = Vec::new();
    for (rival, result) in rivals.iter().zip(results) {
        match result.unwrap() {
            Commit::Committed => committed.push(rival.clone()),
            Commit::Exists(row) => held.push(*row),
        }
    }
    assert_eq!(committed.len(), 1);
    assert!(held.iter().all(|row| *row == committed[0]));
    assert_eq!(find(ledger, &committed[0].key).await, committed[0]);
}

/// [`Ledger::find_last`]: the last generation of a key, and no other key that begins alike.
pub async fn generations(ledger: &dyn Ledger) {
    let first = LedgerKey {
        vendor_id: "v".parse().unwrap(),
        external_event_id: ExternalEventId::of_digest(&Sha256Hex::of(b"m")),
    };
    assert_eq!(ledger.find_last(&first).await.unwrap(), None);
    let mut key = first.clone();
    for number in 1..=11 {
        let mut generation = row("x", number, &json!({}));
        generation.key = key.clone();
        assert_eq!(ledger.commit(&generation).await.unwrap(), Commit::Committed);
        let mut foreign = generation.clone();
        foreign.key.vendor_id = "w".parse().unwrap();
        ledger.commit(&foreign).await.unwrap();
        assert_eq!(ledger.find_last(&first).await.unwrap(), Some(generation));
        key = key.next_generation().unwrap();
    }
}

/// [`Ledger::hold`] and [`Ledger::let_go`]: of many who do one of them at once, one does.
pub async fn holds(ledger: &dyn Ledger) {
    let first = row("a", 1, &json!({}));
    let note =
        |reason: &str, seconds| Resolution { by: "ana".into(), reason: reason.into(), at: at(seconds) };
    let waited = Waited { since: at(5), hold: note("a bad export", 1), let_go: None };
    let absent = ledger.hold(&first.key, first.ingest_id, &waited).await.unwrap_err();
    assert_eq!(absent.code, Code::LedgerRowMissing);
    assert!(!ledger.let_go(&first.key, first.ingest_id, &note("x", 9)).await.unwrap());
    ledger.commit(&first).await.unwrap();
    let other = ledger.hold(&first.key, ingest_id(9), &waited).await.unwrap_err();
    assert_eq!(other.code, Code::LedgerRowMissing);
    for _ in 0..2 {
        assert_eq!(ledger.hold(&first.key, first.ingest_id, &waited).await.unwrap(), Held::Waits);
    }
    let held = find(ledger, &first.key).await;
    assert_eq!((held.status, held.updated_at, held.waited.as_ref()), (Status::Held, at(5), Some(&waited)));
    assert_eq!(held.status_shard, Status::Held.shard(first.ingest_id));
    let rivals = (0..6).map(|number| (number, note("mended", 10 + number)));
    let rivals: Vec<(i64, Resolution)> = rivals.collect();
    let results = join_all(rivals.iter().map(|(_, by)| ledger.let_go(&first.key, first.ingest_id, by))).await;
    let done: Vec<usize> = (0..6).filter(|index| *results[*index].as_ref().unwrap()).collect();
    assert_eq!(done.len(), 1, "{results:?}");
    let gone = find(ledger, &first.key).await;
    assert_eq!((gone.status, gone.status_shard), (Status::Received, Status::Received.shard(first.ingest_id)));
    assert_eq!(gone.waited.unwrap().let_go.unwrap(), rivals[done[0]].1);
    // What is past it does not wait.
    ledger.mark_normalized(&first.key, first.ingest_id, &document("a", 30), 0).await.unwrap();
    assert_eq!(ledger.hold(&first.key, first.ingest_id, &waited).await.unwrap(), Held::Past);
    assert!(!ledger.let_go(&first.key, first.ingest_id, &note("x", 40)).await.unwrap());
    assert_eq!(find(ledger, &first.key).await.status, Status::Normalized);
}

fn document(of: &str, seconds: i64) -> Stated {
    let normalized: Normalized = serde_json::from_value(json!({
        "ref": {"bucket": "normalized", "key": of}, "sha256": digest(of), "events": 1, "eventType": "OrderPlaced",
        "schemaVersion": "1.0", "bundle": "3".repeat(64), "fuel": 7, "at": sluice_core::id::rfc3339(at(seconds)),
    }))
    .unwrap();
    Stated::Document(normalized)
}

fn nothing(seconds: i64) -> Stated {
    let nothing: Nothing = serde_json::from_value(json!({
        "code": "draft", "message": "m", "bundle": "3".repeat(64), "fuel": 7,
        "at": sluice_core::id::rfc3339(at(seconds)),
    }))
    .unwrap();
    Stated::Nothing(nothing)
}

fn note(code: &str, seconds: i64) -> QuarantineNote {
    QuarantineNote { code: code.into(), message: "m".into(), errors: Vec::new(), at: at(seconds) }
}

/// [`Ledger::mark_normalized`] and [`Ledger::mark_quarantined`].
pub async fn life_cycle(ledger: &dyn Ledger) {
    let accepted = row("a", 1, &json!({}));
    ledger.commit(&accepted).await.unwrap();
    let (key, id) = (&accepted.key, accepted.ingest_id);
    let missing = row("none", 2, &json!({}));
    for (key, id) in [(&missing.key, missing.ingest_id), (key, missing.ingest_id)] {
        let marked = ledger.mark_normalized(key, id, &document("d", 5), 0).await;
        assert_eq!(marked.unwrap_err().code, Code::LedgerRowMissing);
        let marked = ledger.mark_quarantined(key, id, &note("c", 5)).await;
        assert_eq!(marked.unwrap_err().code, Code::LedgerRowMissing);
    }
    assert_eq!(ledger.find(&missing.key).await.unwrap(), None, "nothing is made by marking it");
    assert_eq!(find(ledger, key).await, accepted);

    for seconds in [6, 7] {
        let marked = ledger.mark_quarantined(key, id, &note("c", seconds)).await.unwrap();
        assert_eq!(marked, Marked::Quarantined);
        let held = find(ledger, key).await;
        assert_eq!((held.status, held.updated_at), (Status::Quarantined, at(seconds)));
        assert_eq!(held.status_shard, Status::Quarantined.shard(id));
        assert_eq!(held.quarantine, Some(note("c", seconds)));
    }
    for (of, seconds) in [("d", 8), ("d", 9), ("other", 10)] {
        ledger.mark_normalized(key, id, &document(of, seconds), 0).await.unwrap();
        let held = find(ledger, key).await;
        assert_eq!((held.status, held.document_sha256()), (Status::Normalized, Some(digest(of))));
        assert_eq!(held.status_shard, Status::Normalized.shard(id));
        assert_eq!((held.updated_at, held.quarantine), (at(seconds), Some(note("c", 7))), "history stays");
    }
    // A late failure does not undo what was normalized.
    let before = find(ledger, key).await;
    assert_eq!(ledger.mark_quarantined(key, id, &note("late", 11)).await.unwrap(), Marked::AlreadyNormalized);
    assert_eq!(find(ledger, key).await, before);
    // A document and nothing take each other's place.
    ledger.mark_normalized(key, id, &nothing(12), 0).await.unwrap();
    let held = find(ledger, key).await;
    assert_eq!((held.normalized, held.nothing.map(|it| it.code)), (None, Some("draft".into())));
    ledger.mark_normalized(key, id, &document("d", 13), 0).await.unwrap();
    assert_eq!(find(ledger, key).await.nothing, None);
}

/// [`Ledger::correct`]: once, of the document that it names, and no late first run undoes it.
pub async fn correcting(ledger: &dyn Ledger) {
    let accepted = row("a", 1, &json!({}));
    ledger.commit(&accepted).await.unwrap();
    let (key, id) = (&accepted.key, accepted.ingest_id);
    let correction = |old: Sha256Hex, new: Sha256Hex| Correction {
        operation_id: "01KF0Q4S8R6D1ZJ8W9T3C5V7XN".parse().unwrap(),
        bundle: digest("bundle"),
        old_sha256: old,
        new_sha256: new,
        by: "ana".into(),
        reason: "a hundred times too much".into(),
    };
    let wrong = correction(digest("wrong"), digest("right"));
    let right = document("right", 5);
    assert!(
        !ledger.correct(key, id, &right, &wrong).await.unwrap(),
        "what is not normalized is not corrected"
    );
    assert_eq!(find(ledger, key).await, accepted);
    ledger.mark_normalized(key, id, &document("wrong", 4), 0).await.unwrap();
    assert!(!ledger.correct(key, id, &right, &correction(digest("other"), digest("right"))).await.unwrap());
    let missing = row("none", 2, &json!({}));
    assert!(!ledger.correct(&missing.key, missing.ingest_id, &right, &wrong).await.unwrap());
    assert!(!ledger.correct(key, missing.ingest_id, &right, &wrong).await.unwrap());
    let results = join_all((0..4).map(|_| ledger.correct(key, id, &right, &wrong))).await;
    assert_eq!(results.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1, "once");
    let held = find(ledger, key).await;
    assert_eq!((held.document_sha256(), held.correction.as_ref()), (Some(digest("right")), Some(&wrong)));
    assert_eq!((held.status, held.updated_at), (Status::Normalized, at(5)));

    ledger.mark_normalized(key, id, &document("wrong", 6), 0).await.unwrap();
    assert_eq!(find(ledger, key).await, held, "a first run that comes late leaves it");
    ledger.mark_normalized(key, id, &document("replayed", 7), 9).await.unwrap();
    let held = find(ledger, key).await;
    assert_eq!(
        (held.document_sha256(), held.correction),
        (Some(digest("replayed")), None),
        "a replay decides"
    );

    // A document and nothing are corrected into each other.
    let nothing_of = correction(digest("replayed"), Nothing::sha256());
    assert!(ledger.correct(key, id, &nothing(8), &nothing_of).await.unwrap());
    let held = find(ledger, key).await;
    assert_eq!((held.normalized.clone(), held.document_sha256()), (None, Some(Nothing::sha256())));
    let back = correction(Nothing::sha256(), digest("right"));
    assert!(ledger.correct(key, id, &document("right", 9), &back).await.unwrap());
    let held = find(ledger, key).await;
    assert_eq!((held.nothing.clone(), held.document_sha256()), (None, Some(digest("right"))));
    assert!(!ledger.correct(key, id, &document("right", 9), &back).await.unwrap());
}

/// [`Ledger::tell_again`]: counted once, of the document that holds.
pub async fn telling_again(ledger: &dyn Ledger) {
    let accepted = row("a", 1, &json!({}));
    ledger.commit(&accepted).await.unwrap();
    assert!(
        !ledger.tell_again(&accepted, at(1)).await.unwrap_or(false) || accepted.document_sha256().is_none()
    );
    ledger.mark_normalized(&accepted.key, accepted.ingest_id, &document("d", 5), 0).await.unwrap();
    let read = find(ledger, &accepted.key).await;
    let results = join_all((0..4).map(|_| ledger.tell_again(&read, at(6)))).await;
    assert_eq!(results.into_iter().filter(|told| *told.as_ref().unwrap()).count(), 1);
    let held = find(ledger, &accepted.key).await;
    let told = held.told_again.clone().unwrap();
    assert_eq!((told.times, told.at, &told.sha256), (1, at(6), &digest("d")));
    assert!(ledger.tell_again(&held, at(7)).await.unwrap());
    assert_eq!(find(ledger, &accepted.key).await.told_again.unwrap().times, 2);
    // Of a document that has been replaced nobody is told.
    let old = find(ledger, &accepted.key).await;
    ledger.mark_normalized(&accepted.key, accepted.ingest_id, &document("other", 8), 0).await.unwrap();
    assert!(!ledger.tell_again(&old, at(9)).await.unwrap());
    let held = find(ledger, &accepted.key).await;
    assert!(ledger.tell_again(&held, at(9)).await.unwrap());
    assert_eq!(find(ledger, &accepted.key).await.told_again.unwrap().times, 1, "of this document");
}

fn failed(attempts: u64, execution: &str, seconds: i64) -> QuarantineRow {
    let event = detail(1);
    serde_json::from_value(json!({
        "vendorId": "v", "ingestId": ingest_id(1), "externalEventId": "e-1", "eventType": "orders", "status": "OPEN",
        "cause": {"error": "Rejected", "code": format!("c-{attempts}"), "message": "m"},
        "fingerprint": "0123456789abcdef", "attempts": attempts, "executionArn": execution, "rawRef": event.raw_ref,
        "receivedAt": sluice_core::id::rfc3339(at(1)), "firstSeenAt": sluice_core::id::rfc3339(at(seconds)),
        "lastSeenAt": sluice_core::id::rfc3339(at(seconds)),
    }))
    .unwrap()
}

/// [`QuarantineStore`]; `look` gives the row of event 1.
pub async fn quarantine(store: &dyn QuarantineStore, look: impl AsyncFn() -> Option<QuarantineRow>) {
    let (vendor, id) = ("v".parse().unwrap(), ingest_id(1));
    store.release(&vendor, id, at(9)).await.unwrap();
    assert_eq!(look().await, None, "nothing is made by releasing it");

    store.open(&failed(1, "arn:a", 10)).await.unwrap();
    assert_eq!(look().await, Some(failed(1, "arn:a", 10)));
    store.open(&failed(2, "arn:a", 20)).await.unwrap();
    let held = look().await.unwrap();
    assert_eq!((held.attempts, held.cause.code.as_str()), (2, "c-2"));
    assert_eq!((held.first_seen_at, held.last_seen_at), (at(10), at(20)));

    for _ in 0..2 {
        store.release(&vendor, id, at(30)).await.unwrap();
        let held = look().await.unwrap();
        assert_eq!((held.status, held.last_seen_at), (QuarantineStatus::Released, at(30)));
    }
    // A copy of the attempt that was redriven since comes late.
    store.open(&failed(2, "arn:a", 20)).await.unwrap();
    assert_eq!(look().await.unwrap().status, QuarantineStatus::Released);
    // A further attempt, and an execution of its own, are news.
    store.open(&failed(3, "arn:a", 40)).await.unwrap();
    assert_eq!(look().await.unwrap().status, QuarantineStatus::Open);
    store.release(&vendor, id, at(50)).await.unwrap();
    store.open(&failed(1, "arn:b", 60)).await.unwrap();
    let held = look().await.unwrap();
    assert_eq!((held.status, held.attempts), (QuarantineStatus::Open, 1));
    assert_eq!(held.first_seen_at, at(10), "the first time holds");
}

/// [`DivergenceStore`]: the first record of a conflict holds.
pub async fn conflicts(store: &dyn DivergenceStore) {
    let conflict = |number: u32| Divergence {
        subject: "ledger#v#e".into(),
        id: "conflict#x".into(),
        kind: "duplicate_with_different_payload".into(),
        ingest_id: ingest_id(number),
        payload_sha256: digest("a"),
        refused_payload_sha256: digest("b"),
        refused_raw_ref: detail(1).raw_ref,
        at: at(1),
        refused: None,
        kept: false,
        accepted: None,
    };
    assert!(!store.contains("ledger#v#e", "conflict#x").await.unwrap());
    store.record(&conflict(1)).await.unwrap();
    store.record(&conflict(2)).await.unwrap();
    assert!(store.contains("ledger#v#e", "conflict#x").await.unwrap());
    for (subject, id) in [("ledger#v#e", "conflict#y"), ("ledger#v#f", "conflict#x")] {
        assert!(!store.contains(subject, id).await.unwrap());
    }
}

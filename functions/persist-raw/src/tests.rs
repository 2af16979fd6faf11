//! The commit point under retries, races and crashes, against the ports in memory.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sluice_core::contract::OtherEventType;
use sluice_core::id::{ExternalEventId, IngestId};
use sluice_core::port::Clock as _;
use sluice_core::record::{Form, Status};
use sluice_core::testing::{Failure, World};

use super::*;

fn deps(world: &World) -> Deps {
    Deps {
        raw: Arc::new(world.clone()),
        ledger: Arc::new(world.clone()),
        divergence: Arc::new(world.clone()),
        uploads: Arc::new(world.clone()),
    }
}

fn accepted(world: &World, external_event_id: &str, body: &[u8]) -> Accepted {
    let (ingest_id, received_at) = world.mint();
    Accepted {
        ingest_id,
        vendor_id: "vendorA".parse().unwrap(),
        external_event_id: external_event_id.parse().unwrap(),
        event_type: "inventory_update".parse().unwrap(),
        schema_version: "1".parse().unwrap(),
        occurred_at: received_at,
        received_at,
        raw_sha256: Sha256Hex::of(body),
        raw_bytes: body.len() as u64,
        payload_sha256: Sha256Hex::of(body),
        message_sha256: None,
        other_event_type: OtherEventType::Conflict,
        form: Form::Envelope,
        delivery_id: None,
        hold: None,
        on_conflict: Otherwise::Refuse,
        window_seconds: None,
        content_type: "application/json".into(),
        content_encoding: None,
        conflicts: false,
    }
}

/// As `Accept` hands on a message that is its own identity: the first generation, or the one after the last that it saw.
fn hashed(world: &World, body: &[u8], seen: Option<&LedgerKey>) -> Accepted {
    let digest = Sha256Hex::of(body);
    let first = ExternalEventId::of_digest(&digest);
    let id = seen.map_or(first, |key| key.next_generation().unwrap().external_event_id);
    Accepted { external_event_id: id, window_seconds: Some(WINDOW_SECONDS), ..accepted(world, "evt", body) }
}

const WINDOW_SECONDS: u32 = 15;

fn input(accepted: &Accepted, body: &[u8]) -> Value {
    serde_json::to_value(Persist { accepted: accepted.clone(), body: STANDARD.encode(body), staged: None })
        .unwrap()
}

async fn persist(world: &World, accepted: &Accepted, body: &[u8]) -> Result<(u16, String), Fault> {
    let output = handle(&deps(world), input(accepted, body)).await?;
    let answer: Answer = serde_json::from_value(output["answer"].clone()).unwrap();
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    Ok((answer.status_code, body["ingestId"].as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn accepted_duplicate_and_conflict() {
    let world = World::new();
    let first = accepted(&world, "evt-1", b"one");
    assert_eq!(persist(&world, &first, b"one").await.unwrap(), (202, first.ingest_id.to_string()));
    let again = accepted(&world, "evt-1", b"one");
    assert_eq!(persist(&world, &again, b"one").await.unwrap(), (200, first.ingest_id.to_string()));
    for _ in 0..5 {
        let conflicts = !world.state().divergence.is_empty();
        let other = Accepted { conflicts, ..accepted(&world, "evt-1", b"two") };
        assert_eq!(persist(&world, &other, b"two").await.unwrap(), (409, first.ingest_id.to_string()));
    }
    let state = world.state();
    assert_eq!(state.ledger.len(), 1);
    assert_eq!(state.divergence.len(), 1, "a storm of one conflict is one row");
    let refused = &state.divergence.values().next().unwrap().refused_raw_ref;
    assert_eq!(&state.raw[&refused.key].0[..], b"two", "the refused bytes are kept");
    assert_eq!(state.raw.values().filter(|(bytes, _)| &bytes[..] == b"two").count(), 1, "once");
}

#[tokio::test]
async fn a_conflict_is_kept_as_an_event_of_its_own_if_the_contract_says_so() {
    let world = World::new();
    let first = accepted(&world, "evt-1", b"one");
    persist(&world, &first, b"one").await.unwrap();
    let kept = |conflicts: bool| Accepted {
        conflicts,
        on_conflict: Otherwise::Keep,
        ..accepted(&world, "evt-1", b"two")
    };
    // `Accept` saw it, or did not see it yet; a retry finds its own row.
    let second = kept(false);
    for _ in 0..2 {
        assert_eq!(persist(&world, &second, b"two").await.unwrap(), (202, second.ingest_id.to_string()));
    }
    for conflicts in [true, false, true] {
        let again = persist(&world, &kept(conflicts), b"two").await.unwrap();
        assert_eq!(again, (200, second.ingest_id.to_string()), "a storm is kept once");
    }
    let third =
        Accepted { conflicts: true, on_conflict: Otherwise::Keep, ..accepted(&world, "evt-1", b"three") };
    assert_eq!(persist(&world, &third, b"three").await.unwrap(), (202, third.ingest_id.to_string()));
    let state = world.state();
    assert_eq!((state.ledger.len(), state.divergence.len()), (3, 2), "each is a row of its own");
    let row = state.ledger.values().find(|row| row.ingest_id == second.ingest_id).unwrap();
    let hold = row.hold.clone().unwrap();
    assert_eq!((hold.code, hold.accepted), (Code::IdentityConflict, None));
    let claims = hold.claims.unwrap();
    assert_eq!((claims.external_event_id.as_str(), claims.held_by), ("evt-1", first.ingest_id));
    assert!(row.detail().held && row.held_for().is_some());
    let divergence = state.divergence.values().find(|it| it.submission() == Some(second.ingest_id)).unwrap();
    assert!(divergence.kept && divergence.ingest_id == first.ingest_id);
    assert_eq!(divergence.refused.as_deref(), Some(&second));
}

#[tokio::test]
async fn the_same_message_of_another_type_is_what_its_contract_says() {
    let world = World::new();
    let typed = |event_type: &str, other_event_type: OtherEventType, message: &[u8]| Accepted {
        event_type: event_type.parse().unwrap(),
        payload_sha256: sluice_core::envelope::payload_digest(
            &event_type.parse().unwrap(),
            None,
            &Sha256Hex::of(message),
        ),
        message_sha256: Some(Sha256Hex::of(message)),
        other_event_type,
        ..accepted(&world, "evt-1", b"order")
    };
    let send = async |event: &Accepted| persist(&world, event, b"order").await.unwrap();
    let first = typed("orders/updated", OtherEventType::Conflict, b"order");
    send(&first).await;
    let twin = typed("orders/paid", OtherEventType::Duplicate, b"order");
    assert_eq!(send(&twin).await, (200, first.ingest_id.to_string()));
    assert_eq!(send(&typed("orders/paid", OtherEventType::Conflict, b"order")).await.0, 409);
    for other in [OtherEventType::Duplicate, OtherEventType::Event] {
        assert_eq!(send(&typed("orders/paid", other, b"another message")).await.0, 409, "{other:?}");
    }
    let proved = typed("orders/create", OtherEventType::Event, b"order");
    assert_eq!(send(&proved).await, (202, proved.ingest_id.to_string()));
    assert_eq!(send(&proved).await, (202, proved.ingest_id.to_string()), "a retry");
    let again = typed("orders/create", OtherEventType::Event, b"order");
    assert_eq!(send(&again).await, (200, proved.ingest_id.to_string()));
    assert!(world.state().ledger.values().all(|row| row.hold.is_none()));
}

#[tokio::test]
async fn a_body_that_was_not_judged_is_not_stored() {
    let world = World::new();
    let error = handle(&deps(&world), input(&accepted(&world, "evt-1", b"one"), b"two")).await.unwrap_err();
    assert_eq!(error.code, Code::InputMalformed);
    assert!(world.state().raw.is_empty());
    assert_eq!(handle(&deps(&world), json!({})).await.unwrap_err().error_type(), "Misconfigured");
}

#[tokio::test]
async fn the_same_message_is_one_event_in_its_window_and_two_after_it() {
    let world = World::new();
    let first = hashed(&world, b"order", None);
    assert_eq!(persist(&world, &first, b"order").await.unwrap(), (202, first.ingest_id.to_string()));
    world.advance(14);
    // `Accept` looked before the first was written.
    let blind = hashed(&world, b"order", None);
    assert_eq!(persist(&world, &blind, b"order").await.unwrap(), (200, first.ingest_id.to_string()));
    world.advance(2);
    let second = hashed(&world, b"order", None);
    assert_eq!(persist(&world, &second, b"order").await.unwrap(), (202, second.ingest_id.to_string()));
    assert_eq!(
        persist(&world, &second, b"order").await.unwrap(),
        (202, second.ingest_id.to_string()),
        "a retry"
    );
    assert_eq!(
        persist(&world, &first, b"order").await.unwrap(),
        (202, first.ingest_id.to_string()),
        "a late one"
    );
    let behind = hashed(&world, b"order", None);
    world.advance(3_600);
    assert_eq!(
        persist(&world, &behind, b"order").await.unwrap(),
        (200, second.ingest_id.to_string()),
        "by its own time"
    );
    let rows: Vec<_> = world.state().ledger.values().map(|row| row.ingest_id).collect();
    assert_eq!(rows, [first.ingest_id, second.ingest_id]);
}

#[tokio::test]
async fn a_look_that_is_hopelessly_old_is_tried_again() {
    let world = World::new();
    let mut last: Option<LedgerKey> = None;
    for _ in 0..=GENERATIONS_TRIED_MAX {
        let event = hashed(&world, b"order", last.as_ref());
        assert_eq!(persist(&world, &event, b"order").await.unwrap().0, 202);
        last = Some(LedgerKey { vendor_id: event.vendor_id, external_event_id: event.external_event_id });
        world.advance(WINDOW_SECONDS.into());
    }
    let error = persist(&world, &hashed(&world, b"order", None), b"order").await.unwrap_err();
    assert_eq!(error.error_type(), "Retryable");
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![3 => Just(Failure::None), 1 => Just(Failure::Before), 1 => Just(Failure::After)]
}

proptest! {
    /// Any interleaving of submissions, resubmissions, conflicts, lost calls and lost answers, with the state machine's retries:
    /// whoever was told 202 or 200 finds the row and the bytes, and no key is accepted twice.
    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_is_accepted_twice(
        submissions in proptest::collection::vec((0u8..3, 0u8..3), 1..20),
        failures in proptest::collection::vec(failure(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            world.fail_next(failures);
            let mut told: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
            for (key, payload) in submissions {
                let body = [payload; 8];
                let event = accepted(&world, &format!("evt-{key}"), &body);
                // The retries of `intake`: the same input, up to three times.
                let mut outcome = None;
                for _ in 0..3 {
                    if let Ok(answer) = persist(&world, &event, &body).await {
                        outcome = Some(answer);
                        break;
                    }
                }
                let Some((status, ingest_id)) = outcome else { continue };
                let held = told.entry(format!("evt-{key}")).or_insert_with(|| ingest_id.clone());
                prop_assert_eq!(held.as_str(), ingest_id.as_str(), "one id for ever");
                let state = world.state();
                let row = state.ledger.values().find(|row| row.key.external_event_id == event.external_event_id).unwrap();
                prop_assert_eq!(row.ingest_id, ingest_id.parse::<IngestId>().unwrap());
                prop_assert_eq!(row.status, Status::Received);
                let (bytes, _) = &state.raw[&row.raw_ref.key];
                prop_assert_eq!(&Sha256Hex::of(bytes), &row.raw_sha256);
                prop_assert_eq!(status == 409, row.payload_sha256 != event.payload_sha256);
            }
            Ok(())
        })?;
    }

    /// Submissions of a few messages by clocks that differ and go back, each judged by a look at the ledger that may be old, then lost calls
    /// and lost answers with the state machine's retries, interleaved in any order: whoever is told 202 has a row of its own for ever; whoever
    /// is told 200 is told of a row whose window its own time is not beyond; rows of one message are a window apart.
    #[test]
    fn windows_hold_whatever_the_clocks_and_the_races(
        submissions in proptest::collection::vec((0u8..2, -40i64..60, 0usize..4, 0usize..6), 1..30),
        failures in proptest::collection::vec(failure(), 0..90),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let mut pending: Vec<(usize, Accepted, [u8; 4])> = Vec::new();
            for (index, (payload, clock, look_back, delay)) in submissions.into_iter().enumerate() {
                let body = [payload; 4];
                let first = hashed(&world, &body, None);
                let rows: Vec<LedgerKey> = world.state().ledger.values()
                    .filter(|row| row.payload_sha256 == first.payload_sha256).map(|row| row.key.clone()).collect();
                // The last row, or one that was the last some writes ago.
                let seen = rows.len().checked_sub(1 + look_back).and_then(|at| rows.get(at));
                world.advance(clock);
                let event = hashed(&world, &body, seen);
                pending.push((index + delay, event, body));
            }
            pending.sort_by_key(|(at, _, _)| *at);
            world.fail_next(failures);
            let mut told: Vec<(Accepted, u16, IngestId)> = Vec::new();
            for (_, event, body) in pending {
                for _ in 0..3 {
                    if let Ok((status, id)) = persist(&world, &event, &body).await {
                        told.push((event, status, id.parse().unwrap()));
                        break;
                    }
                }
            }
            let state = world.state();
            for (event, status, id) in told {
                let row = state.ledger.values().find(|row| row.ingest_id == id).unwrap();
                prop_assert_eq!(&row.payload_sha256, &event.payload_sha256);
                prop_assert_eq!(status == 202, id == event.ingest_id);
                prop_assert!(status == 202 || row.is_within_window(WINDOW_SECONDS, event.received_at));
            }
            let rows: Vec<_> = state.ledger.values().collect();
            for pair in rows.windows(2).filter(|pair| pair[0].payload_sha256 == pair[1].payload_sha256) {
                prop_assert!(!pair[0].is_within_window(WINDOW_SECONDS, pair[1].received_at));
                prop_assert_eq!(&pair[0].key.next_generation().unwrap(), &pair[1].key, "no gap");
            }
            Ok(())
        })?;
    }
}

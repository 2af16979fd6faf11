//! The commit point under retries, races and crashes, against the ports in memory.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sluice_core::id::IngestId;
use sluice_core::port::Clock as _;
use sluice_core::record::{Form, Status};
use sluice_core::testing::{Failure, World};

use super::*;

fn deps(world: &World) -> Deps {
    Deps {
        raw: Arc::new(world.clone()),
        ledger: Arc::new(world.clone()),
        divergence: Arc::new(world.clone()),
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
        form: Form::Envelope,
        window_seconds: None,
        content_type: "application/json".into(),
        content_encoding: None,
        conflicts: false,
    }
}

fn input(accepted: &Accepted, body: &[u8]) -> Value {
    serde_json::to_value(Persist { accepted: accepted.clone(), body: STANDARD.encode(body) }).unwrap()
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
async fn a_body_that_was_not_judged_is_not_stored() {
    let world = World::new();
    let error = handle(&deps(&world), input(&accepted(&world, "evt-1", b"one"), b"two")).await.unwrap_err();
    assert_eq!(error.code, Code::InputMalformed);
    assert!(world.state().raw.is_empty());
    assert_eq!(handle(&deps(&world), json!({})).await.unwrap_err().error_type(), "Misconfigured");
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
}

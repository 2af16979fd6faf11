//! A vendor on hold, and every order in which its release and an event may come.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sluice_core::id::{EventType, VendorId};
use sluice_core::record::VendorProfile;

use super::*;

/// A directory that says at each look whether the vendor is on hold, as arranged; then as at the last.
struct Looks {
    world: World,
    on_hold: Mutex<VecDeque<bool>>,
}

#[async_trait]
impl VendorDirectory for Looks {
    async fn owner_of_key(&self, digest: &Sha256Hex) -> Result<Option<VendorId>, Fault> {
        self.world.owner_of_key(digest).await
    }

    async fn profile(
        &self,
        vendor_id: &VendorId,
        freshness: Freshness,
    ) -> Result<Option<VendorProfile>, Fault> {
        let on_hold = {
            let mut looks = self.on_hold.lock().unwrap_or_else(PoisonError::into_inner);
            if looks.len() > 1 { looks.pop_front() } else { looks.front().copied() }
        };
        let profile = self.world.profile(vendor_id, freshness).await?;
        let note =
            |reason: &str| Some(Resolution { by: "ana".into(), reason: reason.into(), at: self.world.now() });
        Ok(profile.map(|profile| match on_hold {
            Some(true) => VendorProfile { on_hold: note("a bad export"), ..profile },
            _ => VendorProfile { released: note("mended"), ..profile },
        }))
    }

    async fn contracts(&self, vendor_id: &VendorId) -> Result<Arc<[ActiveMapper]>, Fault> {
        self.world.contracts(vendor_id).await
    }

    async fn active_mapper(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        freshness: Freshness,
    ) -> Result<Option<ActiveMapper>, Fault> {
        self.world.active_mapper(vendor_id, event_type, freshness).await
    }
}

fn looking(on_hold: &[bool]) -> Setup {
    let mut setup = Setup::new();
    setup.publish(&answering(0, GOOD.as_bytes()));
    setup.world.add_vendor("vendorA", "key", &[]);
    let world = setup.world.clone();
    setup.deps.vendors = Arc::new(Looks { world, on_hold: Mutex::new(on_hold.iter().copied().collect()) });
    setup
}

fn row(setup: &Setup, event: &EventDetail) -> LedgerRow {
    setup.world.state().ledger[&event.key].clone()
}

#[tokio::test]
async fn an_event_of_a_vendor_on_hold_waits_and_is_kept() {
    let setup = looking(&[true]);
    let event = setup.good();
    let answer = setup.run(&event).await.unwrap();
    assert_eq!(answer, json!({"status": "HELD", "ingestId": event.ingest_id}));
    // A second delivery, and one that finds it held, change nothing.
    assert_eq!(setup.run(&event).await.unwrap()["status"], "HELD");
    let row = row(&setup, &event);
    let waited = row.waited.unwrap();
    assert_eq!((row.status, waited.hold.reason.as_str()), (Status::Held, "a bad export"));
    assert!(waited.let_go.is_none());
    assert!(setup.world.state().normalized.is_empty(), "nothing was normalized");
    assert_eq!(row.status_shard, Status::Held.shard(event.ingest_id));
}

#[tokio::test]
async fn an_event_that_came_to_wait_while_its_vendor_was_released_goes_on() {
    // Not on hold, by what the function still remembers: it passes.
    let setup = looking(&[false]);
    assert_eq!(setup.run(&setup.good()).await.unwrap()["status"], "NORMALIZED");
    // Released before the row says HELD: it passes.
    let setup = looking(&[true, false]);
    assert_eq!(setup.run(&setup.good()).await.unwrap()["status"], "NORMALIZED");
    // Released after, so that the release may not have seen the row: it is told again, and runs once.
    let setup = looking(&[true, true, false]);
    let event = setup.good();
    assert_eq!(setup.run(&event).await.unwrap()["status"], "HELD");
    let held = row(&setup, &event);
    let let_go = held.waited.unwrap().let_go.unwrap();
    assert_eq!((held.status, let_go.reason.as_str()), (Status::Received, "mended"));
    assert!(setup.world.state().normalized.is_empty());
    assert_eq!(setup.run(&event).await.unwrap()["status"], "NORMALIZED");
}

#[tokio::test]
async fn a_hold_is_of_first_runs_and_a_person_may_run_the_rest() {
    let setup = looking(&[true]);
    for status in [Status::Quarantined, Status::Normalized] {
        let event = setup.store(&envelope(json!({"qty": 12})), |row| row.status = status);
        assert_eq!(setup.run(&event).await.unwrap()["status"], "NORMALIZED", "{status:?}");
    }
}

#[tokio::test]
async fn a_look_or_a_write_that_fails_is_tried_again_and_loses_nothing() {
    for call in 0..6 {
        for failure in [Failure::Before, Failure::After] {
            let setup = looking(&[true, true, false]);
            let event = setup.good();
            setup.world.fail_next(std::iter::repeat_n(Failure::None, call).chain([failure]));
            let first = setup.run(&event).await;
            setup.world.fail_next_no_more();
            if let Err(fault) = &first {
                assert_eq!(fault.code.class(), sluice_core::Class::Retryable, "{fault}");
                setup.run(&event).await.unwrap();
            }
            let row = row(&setup, &event);
            assert_ne!(row.status, Status::Held, "call {call} {failure:?}");
        }
    }
}

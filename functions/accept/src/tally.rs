//! How many requests were answered DUPLICATE, by vendor and hour.
//!
//! A duplicate has no side effect on any event, and its answer waits for nothing: it is counted in memory, and what was counted is added
//! to the vendor's row every [`FLUSH_SECONDS`], one write for however many there were. What a process that ends has not written yet,
//! and what could not be written, is not counted: the numbers are lower bounds (`docs/vendor-health.md`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_core::balance::{BalanceStore, Hour};
use sluice_core::health::Duplicates;
use sluice_core::id::VendorId;
use sluice_core::jiff::Timestamp;

/// How long a count may be in memory alone. On Lambda a process that is frozen writes when it is thawed.
pub const FLUSH_SECONDS: u64 = 5;

/// Most vendors and hours in memory; beyond, nothing is counted until the next write.
const ENTRIES_MAX: usize = 1_000;

/// The counter; copies count together.
#[derive(Clone)]
pub struct Tally(Arc<Shared>);

struct Shared {
    balances: Arc<dyn BalanceStore>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    counts: BTreeMap<(VendorId, Hour), Duplicates>,
    /// A task is going to write them.
    scheduled: bool,
}

impl Tally {
    /// Writes to the table of balances.
    pub fn new(balances: Arc<dyn BalanceStore>) -> Self {
        Self(Arc::new(Shared { balances, held: Mutex::default() }))
    }

    /// Counts a request of `again` for an event that was accepted at `accepted`.
    pub(crate) fn note(&self, vendor_id: &VendorId, accepted: Timestamp, again: Timestamp) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (vendor_id.clone(), Hour::of(again));
        if held.counts.len() >= ENTRIES_MAX && !held.counts.contains_key(&key) {
            return;
        }
        held.counts.entry(key).or_default().add(&Duplicates::one(accepted, again));
        if !held.scheduled {
            held.scheduled = true;
            let shared = Arc::clone(&self.0);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(FLUSH_SECONDS)).await;
                shared.write().await;
            });
        }
    }
}

impl Shared {
    async fn write(&self) {
        let counts = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.scheduled = false;
            std::mem::take(&mut held.counts)
        };
        for ((vendor_id, hour), duplicates) in counts {
            // Not again: it may have been written all the same, and a lower bound must stay one.
            if let Err(fault) = self.balances.add_duplicates(&vendor_id, hour, &duplicates).await {
                tracing::warn!(%vendor_id, %hour, duplicates = duplicates.duplicates, "duplicates were not counted: {fault}");
            }
        }
    }
}

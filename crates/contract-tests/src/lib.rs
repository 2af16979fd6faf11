//! What the ports promise, as tests that are generic over who keeps the promise.
//!
//! Each function of these modules is given an implementation of a port of [`sluice_core::port`] or [`sluice_core::balance`] over
//! empty stores, and panics where it breaks what the port's documentation says: conditional writes, ordering, what is not
//! there, doing something twice, and two writers at once. `tests/fakes.rs` gives them [`sluice_core::testing::World`],
//! `tests/adapters.rs` the adapters of `sluice-aws` on the local cloud. A test that relies on the fake so relies on what AWS's
//! protocols give as well.

#![expect(clippy::unwrap_used, reason = "a panic is the answer of a suite")]
#![expect(clippy::missing_panics_doc, reason = "every function panics where the port breaks its promise")]

pub mod canonical;
pub mod ledger;
pub mod objects;
pub mod ops;
pub mod vendors;

use serde_json::{Value, json};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{IngestId, rfc3339};
use sluice_core::jiff::{SignedDuration, Timestamp};
use sluice_core::record::{EventDetail, LedgerRow, Status};

/// 2026-11-21T10:00:00Z and so many seconds.
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::constant(1_795_255_200, 0) + SignedDuration::from_secs(seconds)
}

/// The id of the event that was accepted as number `number`.
#[must_use]
pub fn ingest_id(number: u32) -> IngestId {
    IngestId::mint(at(i64::from(number)), u128::from(number))
}

/// A row that commits the acceptance of an event of vendor `v`.
#[must_use]
pub fn row(external_event_id: &str, number: u32, more: &Value) -> LedgerRow {
    let id = ingest_id(number);
    let mut row = json!({
        "vendorId": "v", "externalEventId": external_event_id, "ingestId": id, "eventType": "orders",
        "schemaVersion": "1", "occurredAt": rfc3339(at(0)), "receivedAt": rfc3339(id.received_at()),
        "updatedAt": rfc3339(id.received_at()), "status": "RECEIVED", "statusShard": Status::Received.shard(id),
        "rawBytes": 1, "rawRef": {"bucket": "raw", "key": "k"}, "rawSha256": "1".repeat(64),
        "payloadSha256": "1".repeat(64), "contentType": "application/json"
    });
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    serde_json::from_value(row).unwrap()
}

/// What the bus is told of an event.
#[must_use]
pub fn detail(number: u32) -> EventDetail {
    row(&format!("e-{number}"), number, &json!({})).detail()
}

/// A digest.
#[must_use]
pub fn digest(of: &str) -> Sha256Hex {
    Sha256Hex::of(of.as_bytes())
}

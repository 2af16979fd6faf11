//! Rows for tests: one event in each of its states.

#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use serde_json::json;
use sluice_core::digest::Sha256Hex;
use sluice_core::record::{LedgerRow, QuarantineRow};

use crate::execution::Execution;

/// A request.
pub const RAW: &str = r#"{"vendorId":"vendorA","payload":{"qty":12}}"#;
/// Its document.
pub const NORMALIZED: &str = "{\"data\":{\"sku\":\"ABC-001\"},\"eventType\":\"InventoryUpdated\"}\n";

/// A row of the ledger with this status.
pub fn ledger_row(status: &str) -> LedgerRow {
    serde_json::from_value(json!({
        "vendorId": "vendorA", "externalEventId": "evt-1", "ingestId": "01KAJ3Y3R00000000000000001",
        "eventType": "inventory_update", "schemaVersion": "1", "occurredAt": "2026-11-21T08:00:00Z",
        "receivedAt": "2026-11-21T09:58:00Z", "updatedAt": "2026-11-21T09:58:01Z", "status": status,
        "statusShard": format!("{status}#1"), "rawRef": {"bucket": "sluice-raw", "key": "raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json"},
        "rawSha256": Sha256Hex::of(RAW.as_bytes()), "rawBytes": RAW.len(), "payloadSha256": "1".repeat(64),
        "contentType": "application/json"
    }))
    .unwrap()
}

/// A row of a normalized event.
pub fn normalized_row() -> LedgerRow {
    let mut row = ledger_row("NORMALIZED");
    row.normalized = serde_json::from_value(json!({
        "ref": {"bucket": "sluice-normalized", "key": "normalized/InventoryUpdated/2026/11/21/01KAJ3Y3R00000000000000001.json"},
        "sha256": Sha256Hex::of(NORMALIZED.as_bytes()), "events": 1, "eventType": "InventoryUpdated", "schemaVersion": "1.0",
        "bundle": "b".repeat(64), "fuel": 4242, "at": "2026-11-21T09:58:01Z"
    }))
    .unwrap();
    row
}

/// A row of the quarantine.
pub fn quarantine_row(status: &str, attempts: u64) -> QuarantineRow {
    serde_json::from_value(json!({
        "vendorId": "vendorA", "ingestId": "01KAJ3Y3R00000000000000001", "externalEventId": "evt-1",
        "eventType": "inventory_update", "status": status, "attempts": attempts, "fingerprint": "0123456789abcdef",
        "cause": {"error": "Rejected", "code": "payload_schema_violation", "message": "the payload has 1 fault",
                  "errors": [{"pointer": "/qty", "code": "type", "message": "must be of type integer, not string"}]},
        "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
        "rawRef": {"bucket": "sluice-raw", "key": "raw/k"}, "receivedAt": "2026-11-21T09:58:00Z",
        "firstSeenAt": "2026-11-21T09:58:02Z", "lastSeenAt": "2026-11-21T09:59:00Z"
    }))
    .unwrap()
}

/// An execution of `recover`.
pub fn execution(status: &str, redrive_count: i32) -> Execution {
    let arn = quarantine_row("OPEN", 1).execution_arn;
    Execution {
        name: "01KAJ3Y3R00000000000000001-0".into(),
        arn,
        status: status.into(),
        started_at: "2026-11-21T09:58:02Z".parse().unwrap(),
        stopped_at: Some("2026-11-21T09:58:03Z".parse().unwrap()),
        redrive_count,
        redriven_at: (redrive_count > 0).then(|| "2026-11-21T09:58:30Z".parse().unwrap()),
        redrivable: status == "FAILED",
        redrive_reason: None,
        link: None,
    }
}

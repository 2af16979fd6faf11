//! A cloud of documents in memory: what the pages are tested and looked at with.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "each test and the example use a part of it, and documents are made in place"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sluice_console::ops::{Act, Because, Failure, Ops, Question, Stored};
use sluice_core::id::IngestId;

/// Markup, a change of direction, an escape sequence, a zero-width space.
pub const HOSTILE: &str =
    "<script>alert(1)</script>\u{202e}gpj.exe\u{1b}[2J\u{200b}\"'><img src=x onerror=alert(1)>";

/// The event that the documents speak of.
pub const EVENT: &str = "01KAJ3Y3R00000000000000001";

/// The group that they speak of.
pub const GROUP: &str = "0123456789abcdef";

/// The operation.
pub const OPERATION: &str = "01KAJ3Y3R0000000000000000Z";

/// The execution.
pub const ARN: &str =
    "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0";

/// Answers from memory, and remembers what was done.
#[derive(Default)]
pub struct Fake {
    /// Answers that differ from [`document`].
    pub instead: Mutex<BTreeMap<&'static str, Result<Value, Failure>>>,
    /// What was done, and why.
    pub acts: Mutex<Vec<(Act, Because)>>,
    /// Questions, by their kind.
    pub asked: Mutex<BTreeMap<&'static str, u32>>,
    /// Every text of a vendor's is [`HOSTILE`].
    pub hostile: bool,
    /// Nothing is there.
    pub empty: bool,
}

impl Fake {
    /// With realistic documents.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// With another answer to questions of a kind.
    pub fn answer(&self, kind: &'static str, answer: Result<Value, Failure>) {
        self.instead.lock().expect("no test panics here").insert(kind, answer);
    }
}

/// The name of a question's kind.
pub fn kind(question: &Question) -> &'static str {
    match question {
        Question::Overview => "overview",
        Question::Hours { .. } => "hours",
        Question::Events(_) => "events",
        Question::Event { .. } => "event",
        Question::Trace { .. } => "trace",
        Question::Groups { .. } => "groups",
        Question::Group { .. } => "group",
        Question::Shadow { .. } => "shadow",
        Question::Operations => "operations",
        Question::Operation { .. } => "operation",
        Question::Executions { .. } => "executions",
        Question::Execution { .. } => "execution",
        Question::Vendors => "vendors",
        Question::Vendor { .. } => "vendor",
        Question::Mappers => "mappers",
        Question::Mapper { .. } => "mapper",
        Question::Lineage { .. } => "lineage",
        Question::DeadLetters => "deadLetters",
        Question::Divergence { .. } => "divergence",
        Question::Conflicts { .. } => "conflicts",
        Question::Audit { .. } => "audit",
    }
}

#[async_trait]
impl Ops for Fake {
    async fn read(&self, question: &Question) -> Result<Value, Failure> {
        let kind = kind(question);
        *self.asked.lock().expect("no test panics here").entry(kind).or_default() += 1;
        if let Some(answer) = self.instead.lock().expect("no test panics here").get(kind) {
            return answer.clone();
        }
        let mut document = document(kind);
        if self.empty {
            emptied(&mut document);
        }
        if self.hostile {
            poisoned(&mut document, "");
        }
        Ok(document)
    }

    async fn bytes(&self, _: IngestId, stored: Stored) -> Result<Bytes, Failure> {
        Ok(Bytes::from(match stored {
            Stored::Raw => "<script>alert(1)</script>",
            Stored::Normalized => "{}\n",
            Stored::Case => "{\"format\":\"sluice.case\"}\n",
        }))
    }

    async fn act(&self, act: &Act, because: &Because) -> Result<Value, Failure> {
        self.acts.lock().expect("no test panics here").push((act.clone(), because.clone()));
        Ok(json!({ "operationId": OPERATION }))
    }
}

/// Lists without entries.
fn emptied(document: &mut Value) {
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                if value.is_array()
                    && !matches!(name.as_str(), "lifecycle" | "documents" | "events" if value[0].is_string())
                {
                    *value = json!([]);
                } else {
                    emptied(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(emptied),
        _ => {}
    }
}

/// Members that are not a vendor's or a person's to choose: ids, times, codes that the console
/// compares.
const OURS: [&str; 29] = [
    "queue",
    "ingestId",
    "fingerprint",
    "operationId",
    "arn",
    "status",
    "state",
    "at",
    "kind",
    "stage",
    "definition",
    "outcome",
    "base64",
    "sha256",
    "example",
    "hour",
    "heldBy",
    "by_hour",
    "change",
    "verdict",
    "bundle",
    "id",
    "name",
    "publishedAt",
    "day",
    "payloadSha256",
    "type",
    "from",
    "to",
];

/// Every text that somebody outside may choose is hostile; one is 190 KB long.
fn poisoned(value: &mut Value, name: &str) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                poisoned(value, name);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, name)),
        Value::String(text) => {
            let ours =
                OURS.contains(&name) || text.parse::<Timestamp>().is_ok() || text.parse::<IngestId>().is_ok();
            if name == "text" {
                *text = json!({ HOSTILE: HOSTILE, "long": "x".repeat(190_000) }).to_string();
            } else if name == "message" {
                *text = format!("{HOSTILE} {}", "y".repeat(190_000));
            } else if !ours {
                *text = HOSTILE.to_owned();
            }
        }
        _ => {}
    }
}

/// A part that was had.
fn known(part: Value) -> Value {
    json!({ "known": part })
}

fn ago(minutes: i64) -> String {
    let now = Timestamp::now();
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    (second - SignedDuration::from_mins(minutes)).to_string()
}

fn hour(back: i64) -> String {
    (Timestamp::now() - SignedDuration::from_hours(back)).strftime("%Y-%m-%dT%H").to_string()
}

/// A stored request of vendorA, good or as it is since the vendor renamed a member.
fn raw(good: bool, sku: &str) -> Value {
    let member = if good { "qty" } else { "quantity" };
    let text = format!(
        "{{\"vendorId\":\"vendorA\",\"externalEventId\":\"evt-{sku}\",\"eventType\":\"inventory_update\",\"occurredAt\":\"2026-11-21T08:00:00Z\",\
         \"payload\":{{\"sku\":\"{sku}\",\"{member}\":12,\"warehouse\":\"ROA\",\"unitPrice\":\"12.50\",\"tags\":[\"fragile\",\"de\"]}}}}"
    );
    json!({"bucket": "sluice-raw", "key": format!("raw/vendorA/2026/11/21/{EVENT}.json"), "sha256": "b".repeat(64), "bytes": text.len(),
        "contentType": "application/json", "verified": true, "text": text})
}

fn cause() -> Value {
    json!({"error": "Rejected", "code": "payload_schema_violation", "message": "the payload has 2 faults",
        "errors": [{"pointer": "/qty", "code": "required", "message": "is required"},
                   {"pointer": "/quantity", "code": "additional_properties", "message": "is not allowed"}],
        "bundle": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"})
}

fn event() -> Value {
    json!({"ingestId": EVENT, "vendorId": "vendorA", "externalEventId": "evt-20931", "eventType": "inventory_update", "schemaVersion": "1",
        "status": "QUARANTINED", "occurredAt": ago(130), "receivedAt": ago(42), "updatedAt": ago(41), "payloadSha256": "1".repeat(64),
        "lifecycle": [
            {"at": ago(42), "stage": "received", "detail": "168 bytes of inventory_update 1"},
            {"at": ago(41), "stage": "quarantined", "detail": "payload_schema_violation: the payload has 2 faults"},
            {"at": ago(20), "stage": "redriven", "detail": "redriven once"},
            {"at": ago(19), "stage": "quarantined", "detail": "payload_schema_violation: attempt 2 failed too"}],
        "raw": raw(false, "ABC-20931"),
        "quarantine": {"status": "OPEN", "attempts": 2, "fingerprint": GROUP, "firstSeenAt": ago(41), "lastSeenAt": ago(19), "cause": cause()},
        "execution": {"arn": ARN, "name": format!("{EVENT}-0"), "status": "FAILED", "startedAt": ago(41), "stoppedAt": ago(19),
                      "redriveCount": 1, "redrivable": true},
        "run": known(run())})
}

/// The real machine.
const RECOVER: &str = include_str!("../../../../state-machines/recover.asl.json");

fn run() -> Value {
    json!({"arn": ARN, "name": format!("{EVENT}-0"), "status": "FAILED", "startedAt": ago(41), "stoppedAt": ago(19), "redriveCount": 1, "redrivable": true,
        "redrivableUntil": ago(-20000), "machine": "sluice-recover", "machineArn": "a", "definition": RECOVER, "input": format!("{{\"ingestId\":\"{EVENT}\"}}"),
        "error": "States.NoChoiceMatched", "cause": "Failed to transition out of the state. The state doesn't point to a next state.",
        "history": known(json!({"events": [{"id": 1, "previousEventId": 0, "at": ago(41), "type": "ExecutionStarted"},
            {"id": 2, "previousEventId": 0, "at": ago(41), "type": "TaskStateEntered", "state": "Quarantine", "input": "{}"},
            {"id": 3, "previousEventId": 2, "at": ago(41), "type": "TaskStateExited", "state": "Quarantine", "output": "{}"},
            {"id": 4, "previousEventId": 3, "at": ago(41), "type": "ChoiceStateEntered", "state": "AwaitRedrive", "input": "{}"},
            {"id": 5, "previousEventId": 4, "at": ago(41), "type": "ExecutionFailed", "error": "States.NoChoiceMatched", "cause": "no choice matched"}], "truncated": false}))})
}

fn good_event() -> Value {
    let mut event = event();
    event["ingestId"] = json!("01KAJ3Y3R0000000000000000G");
    event["status"] = json!("NORMALIZED");
    event["raw"] = raw(true, "ABC-20930");
    event["quarantine"].take();
    event["normalized"] = json!({"bucket": "sluice-normalized", "key": "k", "sha256": "c".repeat(64), "verified": true,
        "eventType": "InventoryUpdated", "schemaVersion": "1.0", "bundle": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
        "fuel": 4242, "at": ago(60), "documents": [{"eventType": "InventoryUpdated", "data": {"sku": "ABC-20930", "quantity": 12}}]});
    event
}

fn group(
    fingerprint: &str,
    code: &str,
    pointer: Option<&str>,
    open: u64,
    vendors: Value,
    message: &str,
    state: &str,
) -> Value {
    let by_hour: Vec<u64> = (0..24).map(|hour| if hour < 14 { 0 } else { open * (hour - 13) / 60 }).collect();
    let mut group = json!({"fingerprint": fingerprint, "state": state, "code": code, "open": open, "released": open / 8, "discarded": 0,
        "firstSeenAt": ago(600), "lastSeenAt": ago(3), "vendors": vendors, "eventTypes": {"inventory_update": open}, "example": EVENT,
        "message": message, "byHour": by_hour, "bundle": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"});
    if let Some(pointer) = pointer {
        group["pointer"] = json!(pointer);
    }
    if state == "ACKNOWLEDGED" {
        group["acknowledged"] =
            json!({"by": "ada", "reason": "OPS-412, vendor fixes it on Monday", "at": ago(300)});
    }
    group
}

fn groups() -> Value {
    json!({"groups": [
        group(GROUP, "payload_schema_violation", Some("/qty"), 1000, json!({"vendorA": 1000}), "the payload has 2 faults", "OPEN"),
        group("89abcdef01234567", "mapper_refused", None, 37, json!({"shopify-demo": 30, "woo-shop": 7}), "the order has a line without a quantity", "ACKNOWLEDGED"),
        group("00112233445566ff", "mapper_missing", None, 4, json!({"edi-partner": 4}), "no mapper is active for price_list of edi-partner", "OPEN")]})
}

fn drift() -> Value {
    json!({"findings": [
        {"vendorId": "vendorA", "eventType": "inventory_update", "id": "f1", "kind": "renamed", "path": "/qty", "renamedTo": "/quantity",
         "similarityPercent": 70, "expected": ["integer"], "found": ["integer"], "breaking": true, "declared": true, "objects": 1000,
         "example": EVENT, "firstSeenAt": ago(600), "lastSeenAt": ago(3), "schemaVersion": "1", "bundle": "b"},
        {"vendorId": "vendorA", "eventType": "inventory_update", "id": "f2", "kind": "new", "path": "/tags", "breaking": false, "declared": false,
         "objects": 1400, "example": EVENT, "firstSeenAt": ago(6000), "lastSeenAt": ago(3), "schemaVersion": "1", "bundle": "b"}],
        "profiles": [], "unprofiled": []})
}

fn mapper() -> Value {
    json!({"vendorId": "vendorA", "eventType": "inventory_update", "canonical": {"type": "InventoryUpdated", "version": "1.0"},
        "bundle": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d", "revision": 3, "activatedAt": ago(9000),
        "activatedBy": "ada", "reason": "two warehouses more"})
}

fn candidates() -> Value {
    json!([{"bundle": "9f1c0a77".repeat(8), "publishedAt": ago(12)}])
}

fn health() -> Value {
    let vendor = |id: &str, score: Option<u64>, accepted: u64, validity: f64| {
        let share = score.map(|_| 1.0);
        json!({"vendorId": id, "score": score, "accepted": accepted, "components": {"validity": score.map(|_| validity), "conflicts": share,
            "lateness": score.map(|_| 0.98), "drift": score.map(|_| 0.93), "duplicates": share, "retries": share},
            "counts": {"failed": 0, "drifted": 0, "conflicts": 0, "late": 0, "duplicates": 0, "hasty": 0, "racedDuplicates": 0}})
    };
    json!({"day": "2026-11-21", "vendors": [vendor("edi-partner", None, 0, 1.0), vendor("shopify-demo", Some(97), 2210, 0.986),
        vendor("vendorA", Some(72), 9120, 0.89), vendor("woo-shop", Some(88), 1150, 0.994)]})
}

fn operation(status: &str, done: u64, failed: u64, in_flight: usize) -> Value {
    let in_flight: Vec<Value> = (0..in_flight).map(|item| json!({"item": item, "since": ago(0)})).collect();
    let waiting_less = in_flight.len() as u64;
    let mut operation = json!({"operationId": OPERATION, "kind": "redrive", "status": status,
        "plan": {"what": format!("group {GROUP}"), "items": 1000, "sha256": "d".repeat(64), "expiresAt": ago(-14),
                 "groups": [{"name": GROUP, "code": "payload_schema_violation", "message": "the payload has 2 faults", "items": 1000}]},
        "pace": {"perSecond": 50, "budget": {"percent": 10, "failuresMin": 5}}, "plannedBy": "ada", "createdAt": ago(6), "updatedAt": ago(0),
        "begun": done + failed, "inFlight": in_flight, "counts": {"released": done, "failed_again": failed}, "version": 7,
        "waiting": 1000 - done - failed - waiting_less, "finished": done + failed, "succeeded": done, "failed": failed, "expired": false});
    if status != "planned" {
        operation["startedBy"] = json!("ada");
        operation["reason"] = json!("OPS-412: the mapper reads quantity now");
        operation["startedAt"] = json!(ago(5));
    }
    operation
}

/// The document of a kind of question.
pub fn document(kind: &str) -> Value {
    match kind {
        "overview" => {
            let hours: Vec<Value> = (0..24)
                .rev()
                .map(|back| {
                    let accepted = 380 + (back * 37 % 11) * 25;
                    let quarantined = if back < 10 { 60 + back * 9 } else { 2 };
                    let count = json!({"accepted": accepted, "normalized": accepted - quarantined, "quarantined": quarantined,
                        "inFlight": if back == 0 { 5 } else { 0 }});
                    match back {
                        0 => json!({"hour": hour(back), "state": "uncounted", "unaccounted": 0}),
                        1..10 => json!({"hour": hour(back), "state": "open", "count": count, "unaccounted": 0, "countedAt": ago(3)}),
                        _ => json!({"hour": hour(back), "state": "closed", "count": count, "unaccounted": 0, "countedAt": ago(back * 60)}),
                    }
                })
                .collect();
            let counts =
                json!({"candidate": {"events": 212, "failed": 1}, "active": {"events": 1890, "failed": 201}});
            json!({"at": ago(0), "balance": known(json!({"accepted": 12480, "normalized": 11434, "nothingToState": 0, "quarantined": 1041, "inFlight": 5, "unaccounted": 0, "countedAt": ago(0)})),
                "books": known(json!({"sentence": "", "balanced": true, "unaccounted": 0, "hours": hours})),
                "quarantine": known(json!({"events": 1041, "groups": 3, "unacknowledged": 2, "top": groups()["groups"]})),
                "canaries": known(json!([{"vendorId": "shopify-demo", "eventType": "orders/create",
                    "canary": {"bundle": "9f1c0a77".repeat(8), "percent": 10, "since": ago(190), "by": "ada", "reason": "r", "minEvents": 100, "margin": 1}, "counts": counts, "verdict": "watching"}])),
                "inFlight": known(json!({"events": 5, "oldest": {"ingestId": EVENT, "vendorId": "vendorA", "receivedAt": ago(1), "ageSeconds": 60}})),
                "queues": known(json!([{"queue": "sluice-inventory", "waiting": 3, "inProgress": 1, "deadLetters": false}, {"queue": "sluice-orders", "waiting": 0, "inProgress": 0, "deadLetters": false},
                    {"queue": "sluice-inventory-dlq", "waiting": 2, "inProgress": 0, "deadLetters": true}, {"queue": "sluice-dlq", "waiting": 0, "inProgress": 0, "deadLetters": true}]))})
        }
        "hours" => json!({"hours": [
            {"vendorId": "vendorA", "hour": hour(2), "accepted": 205, "normalized": 200, "nothingToState": 0, "quarantined": 5, "inFlight": 0, "unaccounted": 0},
            {"vendorId": "woo-shop", "hour": hour(2), "accepted": 51, "normalized": 49, "nothingToState": 0, "quarantined": 1, "inFlight": 0, "unaccounted": 1}]}),
        "events" => {
            let row = |n: u32, status: &str, vendor: &str, extra: Value| {
                let mut row = json!({"ingestId": format!("01KAJ3Y3R000000000000000{n:02}"), "vendorId": vendor, "externalEventId": format!("evt-2093{n}"),
                    "eventType": "inventory_update", "schemaVersion": "1", "status": status, "occurredAt": ago(100), "receivedAt": ago(i64::from(n) * 3), "updatedAt": ago(1)});
                if let (Some(row), Some(extra)) = (row.as_object_mut(), extra.as_object()) {
                    row.extend(extra.clone());
                }
                row
            };
            let cause =
                json!({"cause": {"code": "payload_schema_violation", "message": "the payload has 2 faults"}});
            let good = json!({"canonicalType": "InventoryUpdated"});
            json!({"events": [row(1, "RECEIVED", "vendorA", json!({})), row(2, "QUARANTINED", "vendorA", cause.clone()), row(3, "NORMALIZED", "woo-shop", good.clone()),
                row(4, "NORMALIZED", "shopify-demo", good.clone()), row(5, "QUARANTINED", "vendorA", cause), row(6, "NORMALIZED", "edi-partner", json!({"nothing": {"code": "order_not_placed", "message": "the order is a draft"}})),
                row(7, "NORMALIZED", "vendorA", good)], "more": true, "scanned": 2048})
        }
        "event" => event(),
        "groups" => groups(),
        "group" => {
            let mut detail = groups()["groups"][0].clone();
            let ids: Vec<String> = (1..=9).map(|n| format!("01KAJ3Y3R0000000000000000{n}")).collect();
            detail["events"] = json!(ids);
            detail["shown"] = known(event());
            detail["runbook"] = json!("runbooks/redrive.md");
            detail["lastGood"] = known(good_event());
            detail["drift"] = known(drift());
            detail["candidates"] = known(candidates());
            detail
        }
        "shadow" => {
            json!({"vendorId": "vendorA", "eventType": "inventory_update", "since": ago(9000), "events": 1400, "truncated": false, "same": 396,
            "changed": {"events": 4, "fields": [{"pointer": "/data/lines/*/sku", "change": "changed", "events": 4}], "moreFields": 0},
            "fixed": {"events": 1000, "causes": [{"message": "the payload has 2 faults", "events": 1000}]},
            "newlyBroken": {"events": 0, "causes": []}, "stillBroken": {"events": 0, "causes": []}})
        }
        "trace" => {
            json!({"ingestId": EVENT, "vendorId": "vendorA", "eventType": "inventory_update", "status": "NORMALIZED",
            "bundle": "9f1c0a77".repeat(8), "bundleIs": "the_one_that_mapped_it", "reproduces": true, "holds": "Exact for this message.",
            "outcome": {"events": 1}, "outOfTime": false, "runs": 14, "elapsedMicroseconds": 2100, "leftOut": [{"name": "/lines/*/sku", "inputs": 80, "tried": 50}],
            "outputs": (0..90).map(|n| json!({"pointer": format!("/0/data/lines/{n}/quantity"), "value": n,
                "sources": (0..8).map(|m| json!({"origin": "payload", "pointer": format!("/lines/{n}/qty{m}"), "value": "12", "by": ["value", "type"]})).collect::<Vec<_>>()})).collect::<Vec<_>>(),
            "inputs": (0..90).map(|n| json!({"origin": if n == 0 { "meta" } else { "payload" }, "pointer": format!("/lines/{n}/qty"), "name": "/lines/*/qty", "value": n,
                "tried": [{"change": "absent", "effect": {"fails": {"code": "payload_schema_violation", "fault": "required", "pointer": "/payload/qty"}}},
                          {"change": "value", "effect": "none"}]})).collect::<Vec<_>>()})
        }
        "lineage" => {
            json!({"vendorId": "vendorA", "eventType": "inventory_update", "bundle": "9f1c0a77".repeat(8), "holds": "Exact for the fixtures.",
            "messages": 9, "failing": 11, "leftOut": ["large"], "inputsLeftOut": 30, "runs": 400, "elapsedMicroseconds": 21000,
            "outputs": [{"member": "/*/data/sku", "messages": 9, "sources": [{"origin": "payload", "member": "/sku", "by": ["value"], "messages": 9}]},
                        {"member": "/*/data/unit", "messages": 2, "sources": []}],
            "inputs": [{"origin": "payload", "member": "/sku", "messages": 9, "read": true, "dropped": {"messages": 9, "fail": 9, "change": 0, "codes": {"payload_schema_violation: required": 9}, "vanish": []}},
                       {"origin": "meta", "member": "/vendorId", "messages": 9, "read": false}],
            "withoutAFixture": {"inputs": ["/weight"], "outputs": ["/gtin"]}})
        }
        "operations" => {
            json!({"operations": [operation("running", 412, 3, 8), operation("planned", 0, 0, 0), operation("completed", 998, 2, 0)]})
        }
        "operation" => {
            let mut detail = operation("running", 412, 3, 8);
            detail["failures"] = json!([{"outcome": "failed_again", "message": "the warehouse XX is not known", "count": 3, "example": EVENT}]);
            detail["acts"] = json!([{"verb": "planned", "by": "ada", "at": ago(6)}, {"verb": "started", "by": "ada", "reason": "OPS-412: the mapper reads quantity now", "at": ago(5)}]);
            detail
        }
        "executions" => {
            json!({"machines": [{"arn": "a", "name": "sluice-recover", "express": false, "createdAt": ago(99999)}, {"arn": "b", "name": "sluice-replay", "express": false, "createdAt": ago(99999)},
            {"arn": "c", "name": "sluice-normalize", "express": true, "createdAt": ago(99999)}],
            "machine": {"arn": "a", "name": "sluice-recover", "express": false, "createdAt": ago(99999)},
            "executions": [{"arn": ARN, "name": format!("{EVENT}-0"), "status": "FAILED", "startedAt": ago(41), "stoppedAt": ago(19), "redriveCount": 1, "redrivableUntil": ago(-20000)},
                {"arn": format!("{ARN}x"), "name": "01KAJ3Y3R00000000000000002-0", "status": "SUCCEEDED", "startedAt": ago(50), "stoppedAt": ago(49), "redriveCount": 0},
                {"arn": format!("{ARN}y"), "name": "01KAJ3Y3R00000000000000003-0", "status": "RUNNING", "startedAt": ago(1), "redriveCount": 0}]})
        }
        "execution" => run(),
        "vendors" => {
            json!({"vendors": [{"vendorId": "edi-partner", "enabled": false, "apiKeys": 1, "signs": false, "eventTypes": ["846"]},
            {"vendorId": "shopify-demo", "enabled": true, "apiKeys": 1, "signs": true, "eventTypes": ["orders/create", "orders/cancelled"]},
            {"vendorId": "vendorA", "enabled": true, "apiKeys": 2, "signs": false, "eventTypes": ["inventory_update"]},
            {"vendorId": "woo-shop", "enabled": true, "apiKeys": 1, "signs": true, "eventTypes": ["order.created"]}], "health": known(health())})
        }
        "vendor" => {
            json!({"vendor": {"vendorId": "vendorA", "enabled": true, "apiKeys": ["0d10cf4ad4f2", "7be1aa20c3d9"], "webhookSecrets": [],
                "rateLimit": {"perSecond": 200, "burst": 400}, "eventTypes": ["inventory_update"], "changes": [{"what": "key rotation begun", "by": "ada", "at": ago(2000)}]},
            "health": known(health()), "mappers": known(json!([mapper()])), "groups": known(groups()), "drift": known(drift())})
        }
        "mappers" => {
            let mut second = mapper();
            second["vendorId"] = json!("shopify-demo");
            second["eventType"] = json!("orders/create");
            second["canonical"]["type"] = json!("OrderPlaced");
            second["canary"] =
                json!({"bundle": "9f1c0a77".repeat(8), "percent": 10, "minEvents": 100, "margin": 1});
            json!({"mappers": [second, mapper()]})
        }
        "mapper" => {
            json!({"vendorId": "vendorA", "eventType": "inventory_update", "active": mapper(), "candidates": known(candidates()),
            "trials": [{"eventType": "inventory_update", "canary": {"bundle": "9f1c0a77".repeat(8), "percent": 10, "since": ago(190), "by": "ada", "reason": "r", "minEvents": 100, "margin": 1},
                        "counts": {"candidate": {"events": 212, "failed": 1}, "active": {"events": 1890, "failed": 201}}, "verdict": "passing"}],
            "changes": [{"vendorId": "vendorA", "eventType": "inventory_update", "revision": 1, "kind": "activate", "at": ago(50000), "by": "ada", "reason": "first", "to": "a".repeat(64)},
                {"vendorId": "vendorA", "eventType": "inventory_update", "revision": 2, "kind": "auto-rollback", "at": ago(20000), "by": "sluice-normalize", "reason": "12 of 100 failed", "from": "b".repeat(64), "to": "a".repeat(64)},
                {"vendorId": "vendorA", "eventType": "inventory_update", "revision": 3, "kind": "promote", "at": ago(9000), "by": "ada", "reason": "two warehouses more", "from": "a".repeat(64), "to": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"}]})
        }
        "deadLetters" => {
            json!({"queues": [{"queue": "sluice-inventory-dlq", "approximateMessages": 2, "sources": ["sluice-inventory"],
                "reasons": [{"code": "canonical_invalid", "count": 2, "message": "the document is not of its schema", "example": EVENT}],
                "lastMove": {"queue": "sluice-inventory-dlq", "status": "COMPLETED", "moved": 12, "startedAt": ago(4000)}},
            {"queue": "sluice-dlq", "approximateMessages": 0, "sources": [], "notMovable": "it holds what is in quarantine: redrive the events instead", "reasons": []}]})
        }
        "divergence" => json!({"divergence": [
            {"subject": "inventory#ROA#ABC-20931", "id": "d1", "kind": "conflict", "vendorId": "vendorA", "eventType": "InventoryUpdated", "occurredAt": ago(99), "ingestId": EVENT, "line": 1, "at": ago(9),
             "claims": [{"member": "quantity", "held": 12, "stated": 7}]},
            {"subject": "order#shopify-demo#1001", "id": "d2", "kind": "after_cancel", "vendorId": "shopify-demo", "eventType": "OrderUpdated", "occurredAt": ago(99), "ingestId": EVENT, "line": 1, "at": ago(29), "claims": []}], "more": false}),
        "conflicts" => json!({"conflicts": [
            {"ingestId": EVENT, "vendorId": "vendorA", "externalEventId": "evt-1001", "eventType": "inventory_update", "state": "REFUSED", "heldBy": "01KAJ3Y3R00000000000000002", "at": ago(70), "rawRef": {}},
            {"ingestId": "01KAJ3Y3R00000000000000003", "vendorId": "woo-shop", "externalEventId": "evt-7", "state": "KEPT", "heldBy": "01KAJ3Y3R00000000000000004", "at": ago(700), "rawRef": {}}], "more": false}),
        "audit" => json!({"acts": [
            {"at": ago(5), "by": "ada", "on": "operation", "what": "started", "subject": OPERATION, "reason": "OPS-412: the mapper reads quantity now"},
            {"at": ago(300), "by": "ada", "on": "quarantine", "what": "acknowledged", "subject": "89abcdef01234567", "reason": "OPS-412, vendor fixes it on Monday"},
            {"at": ago(2000), "by": "grace", "on": "vendor", "what": "key rotation begun", "subject": "vendorA"},
            {"at": ago(9000), "by": "ada", "on": "mapper", "what": "promote", "subject": "vendorA inventory_update", "reason": "two warehouses more"}]}),
        other => panic!("no document of {other}"),
    }
}

/// Each page's address, with the kind of its question.
pub fn pages() -> Vec<(&'static str, String, &'static str)> {
    let arn = ARN.replace(':', "%3A");
    vec![
        ("overview", "/".into(), "overview"),
        ("hour", "/hours/2026-11-21T10".into(), "hours"),
        ("quarantine", "/quarantine".into(), "groups"),
        ("group", format!("/groups/{GROUP}"), "group"),
        ("events", "/events?status=QUARANTINED&vendor=vendorA".into(), "events"),
        ("event", format!("/events/{EVENT}"), "event"),
        ("operations", "/operations".into(), "operations"),
        ("operation", format!("/operations/{OPERATION}"), "operation"),
        ("executions", "/executions".into(), "executions"),
        ("execution", format!("/executions/{arn}"), "execution"),
        ("vendors", "/vendors".into(), "vendors"),
        ("vendor", "/vendors/vendorA".into(), "vendor"),
        ("mappers", "/mappers".into(), "mappers"),
        ("mapper", "/mappers/vendorA/inventory_update".into(), "mapper"),
        ("trace", format!("/events/{EVENT}/trace"), "trace"),
        ("lineage", "/mappers/vendorA/inventory_update/trace".into(), "lineage"),
        ("dead-letters", "/dead-letters".into(), "deadLetters"),
        ("divergence", "/divergence".into(), "divergence"),
        ("conflicts", format!("/conflicts?id={EVENT}"), "conflicts"),
        ("audit", "/audit".into(), "audit"),
        ("shadow", "/shadow?vendor=vendorA&type=inventory_update&candidate=9f1c0a77".into(), "shadow"),
    ]
}

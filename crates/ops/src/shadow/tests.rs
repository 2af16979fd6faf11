//! Every event in its group, whatever the number of threads, and nothing written.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;
use sluice_core::bundle::MODULE_FILE;

use super::*;
use crate::error::Kind;
use crate::loaded::compiled;

/// `qty` is the eighth byte of `{"qty":7}`: each digit in `answers` has its answer, every other is
/// mapped to itself.
fn bundle(answers: &[(char, &str)]) -> Arc<Bundle> {
    const OUT: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"warehouseId":"W","sku":"S","quantityOnHand":1}}]"#;
    let mut data = String::new();
    let mut body = String::new();
    let mut next = 1024;
    let mut answer = |text: &str, digit: Option<char>| {
        let discriminant = u8::from(text.starts_with('{'));
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        data += &format!(r#"(data (i32.const {next}) "{escaped}")"#);
        let give = format!(
            "(i32.store8 (i32.const 16) (i32.const {discriminant})) (i32.store (i32.const 20) (i32.const {next})) \
             (i32.store (i32.const 24) (i32.const {})) (return (i32.const 16))",
            text.len()
        );
        body += &match digit {
            Some(digit) => format!(
                "(if (i32.eq (i32.load8_u offset=7 (local.get 2)) (i32.const {})) (then {give}))",
                u32::from(digit)
            ),
            None => give,
        };
        next += 1024;
    };
    for (digit, text) in answers {
        answer(
            &if text.starts_with('{') { (*text).to_owned() } else { OUT.replace("\"S\"", text) },
            Some(*digit),
        );
    }
    answer(OUT, None);
    let wasm = wat::parse_str(format!(
        r#"(module (memory (export "memory") 4) {data}
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 131072))
          (func (export "map") (param i32 i32 i32 i32) (result i32) {body} unreachable))"#
    ))
    .unwrap();
    let contract = serde_json::from_value(json!({"vendorId": "acme", "eventType": "stock",
        "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.json"}},
        "canonical": {"type": "InventoryUpdated", "version": "1.0"}}))
    .unwrap();
    let schema = br#"{"type":"object","required":["qty"],"properties":{"qty":{"type":"integer"}}}"#;
    let files = BTreeMap::from([
        (MODULE_FILE.to_owned(), Bytes::from(wasm)),
        ("schema/1.json".to_owned(), Bytes::from_static(schema)),
    ]);
    Arc::new(compiled(&Host::new().unwrap(), contract, &files).unwrap())
}

fn side(bundle: &Arc<Bundle>, folder: &str) -> Side {
    let name = SideName { bundle: None, folder: Some(folder.into()), revision: None };
    Side { bundle: Arc::clone(bundle), name }
}

/// Events with these payloads; an empty one has lost its raw object. Counts what is read.
struct Fake {
    payloads: Vec<String>,
    reads: Mutex<usize>,
    away: bool,
}

impl Fake {
    fn new(payloads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { payloads: payloads.into_iter().map(Into::into).collect(), reads: Mutex::new(0), away: false }
    }

    fn envelope(&self, at: usize) -> Vec<u8> {
        format!(
            r#"{{"vendorId":"acme","externalEventId":"e-{at}","eventType":"stock","occurredAt":"2026-11-21T09:59:00Z","payload":{}}}"#,
            self.payloads[at]
        )
        .into_bytes()
    }
}

#[async_trait]
impl Traffic for Fake {
    async fn events(&self, window: &Window) -> Result<Events, Fault> {
        let events = (0..self.payloads.len()).map(|at| {
            let received_at = window.since;
            serde_json::from_value(json!({"vendorId": "acme", "externalEventId": format!("e-{at}"),
                "ingestId": IngestId::mint(received_at, at as u128), "eventType": "stock", "schemaVersion": "1",
                "occurredAt": "2026-11-21T09:59:00.000Z", "receivedAt": rfc3339(received_at),
                "rawRef": {"bucket": "raw", "key": at.to_string()}, "rawSha256": Sha256Hex::of(&self.envelope(at))}))
            .unwrap()
        });
        Ok(Events { events: events.collect(), truncated: false })
    }

    async fn raw(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        *self.reads.lock().unwrap() += 1;
        if self.away {
            return Err(Fault::new(Code::Throttled, "arranged"));
        }
        let at: usize = at.key.parse().unwrap();
        if self.payloads[at].is_empty() {
            return Err(Fault::new(Code::RawMissing, "there is no object"));
        }
        Ok(self.envelope(at).into())
    }
}

async fn report(
    traffic: &Fake,
    active: Option<Side>,
    candidate: Side,
    jobs: usize,
) -> Result<Report, OpsError> {
    let window = Window {
        vendor_id: "acme".parse().unwrap(),
        event_type: "stock".parse().unwrap(),
        since: "2026-11-21T10:00:00Z".parse().unwrap(),
        limit: 10_000,
    };
    replay(traffic, active, candidate, &window, jobs, &()).await
}

const REFUSED: &str = r#"{"code":"quantity_odd","path":"/qty","message":"no"}"#;

#[tokio::test]
async fn every_event_is_in_its_group() {
    let (active, candidate) = (
        bundle(&[('9', REFUSED), ('5', REFUSED)]),
        bundle(&[('8', REFUSED), ('7', "\"T\""), ('5', REFUSED)]),
    );
    let mut payloads: Vec<String> = vec!["{\"qty\":1}".into(); 4];
    payloads.extend(["7", "7", "8", "9", "5"].map(|digit| format!("{{\"qty\":{digit}}}")));
    payloads.push("{\"no\":1}".into());
    payloads.push(String::new());
    let traffic = Fake::new(payloads);
    let found = report(&traffic, Some(side(&active, "a")), side(&candidate, "c"), 2).await.unwrap();
    assert_eq!(
        (found.events, found.same, found.changed.events, found.fixed.events, found.newly_broken.events),
        (11, 4, 2, 1, 1)
    );
    assert_eq!((found.still_broken.events, found.unreadable.events), (2, 1));
    assert_eq!(*traffic.reads.lock().unwrap(), 11, "each object once");
    assert_eq!(found.changed.fields.len(), 1);
    assert_eq!(found.changed.fields[0].pointer, "/data/sku");
    assert_eq!(found.newly_broken.causes[0].pointer, "/qty");
    assert_eq!(found.newly_broken.causes[0].fault, "quantity_odd");
    assert_eq!(found.fixed.causes[0].code, "mapper_refused");
    let codes: Vec<&str> = found.still_broken.causes.iter().map(|cause| cause.code.as_str()).collect();
    assert_eq!(codes, ["mapper_refused", "payload_schema_violation"]);
    assert!(found.active_cost.fuel_median > 0 && found.candidate_cost.events == 7);
}

#[tokio::test]
async fn three_of_a_thousand_are_found_and_the_report_does_not_depend_on_threads() {
    let (active, candidate) = (bundle(&[]), bundle(&[('8', REFUSED)]));
    let payloads =
        (0..1_000).map(|at| format!("{{\"qty\":{}}}", if matches!(at, 3 | 500 | 999) { 8 } else { 1 }));
    let traffic = Fake::new(payloads);
    let mut reports = Vec::new();
    for jobs in [1, 4] {
        let mut one = report(&traffic, Some(side(&active, "a")), side(&candidate, "c"), jobs).await.unwrap();
        assert_eq!((one.same, one.newly_broken.events), (997, 3));
        assert_eq!(one.newly_broken.causes[0].examples.len(), 3);
        (one.jobs, one.elapsed_milliseconds) = (0, 0);
        for cost in [&mut one.active_cost, &mut one.candidate_cost] {
            (cost.nanoseconds_median, cost.nanoseconds_max) = (0, 0);
        }
        reports.push(serde_json::to_value(&one).unwrap());
    }
    assert_eq!(reports[0], reports[1]);
}

#[tokio::test]
async fn without_an_active_mapper_all_that_is_mapped_is_fixed() {
    let candidate = bundle(&[('8', REFUSED)]);
    let traffic = Fake::new(["{\"qty\":1}", "{\"qty\":8}"]);
    let found = report(&traffic, None, side(&candidate, "c"), 1).await.unwrap();
    assert_eq!((found.fixed.events, found.still_broken.events), (1, 1));
    assert_eq!(found.fixed.causes[0].code, "mapper_missing");
}

#[tokio::test]
async fn a_store_that_is_away_is_no_verdict() {
    let bundle = bundle(&[]);
    let traffic = Fake { away: true, ..Fake::new(["{\"qty\":1}"]) };
    let error = report(&traffic, None, side(&bundle, "c"), 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
}

//! How fast shadow replay compares, fetching left out: `cargo run --release -p sluice-cli --example shadow`, after
//! `cargo xtask build-mappers`. One thread; the figure is events a second a core, each through both mappers.
//!
//! The message is the fixture of `shopify-orders` nearest to 3 KB, in an envelope, as it is stored. Every round is timed; the median
//! and the best are printed, the target beside them (design section 9).

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a developer")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sluice_cli::workshop::bundle::load;
use sluice_cli::workshop::fixtures::{Expected, cases};
use sluice_core::Fault;
use sluice_core::digest::Sha256Hex;
use sluice_core::record::EventDetail;
use sluice_mapper_host::Host;
use sluice_ops::shadow::{Pair, Side, SideName};

const PAYLOAD_BYTES: usize = 3_000;
const EVENTS: usize = 2_000;
const ROUNDS: usize = 15;
const TARGET_EVENTS_A_SECOND: f64 = 20_000.0;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("mappers-wasm/shopify-orders");
    let bundle =
        load(&Host::new().unwrap(), &folder, &root.join("target/mappers/shopify-orders.wasm")).unwrap();
    let case = cases(&folder, &bundle.contract)
        .unwrap()
        .into_iter()
        .filter(|case| case.expected == Expected::Events)
        .min_by_key(|case| case.payload.len().abs_diff(PAYLOAD_BYTES))
        .unwrap();
    let name = SideName { bundle: None, folder: None, revision: None };
    let bundle = Arc::new(bundle);
    let side = || Side { bundle: Arc::clone(&bundle), name: name.clone() };

    let chunk: Vec<(EventDetail, Result<Bytes, Fault>)> =
        (0..EVENTS).map(|at| stored(at, &bundle.contract, &case.payload)).collect();
    println!(
        "shopify-orders {}: {} bytes, {EVENTS} events a round, one thread",
        case.name,
        case.payload.len()
    );
    for (what, pair) in [
        ("both mappers", Pair { active: Some(side()), candidate: side() }),
        ("candidate only", Pair { active: None, candidate: side() }),
    ] {
        let mut rates: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                let tally = pair.compare_all(&chunk);
                assert_eq!(tally.events as usize, EVENTS);
                assert!(pair.active.is_none() || tally.same as usize == EVENTS, "{tally:?}");
                EVENTS as f64 / started.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        println!(
            "  {what:15} median {:>7.0} events/s a core, best {:>7.0}; target {TARGET_EVENTS_A_SECOND:.0}, {:.2} x",
            rates[ROUNDS / 2],
            rates[ROUNDS - 1],
            rates[ROUNDS / 2] / TARGET_EVENTS_A_SECOND
        );
    }
}

fn stored(
    at: usize,
    contract: &sluice_core::contract::Contract,
    payload: &[u8],
) -> (EventDetail, Result<Bytes, Fault>) {
    let id = format!("evt-{at}");
    let mut raw = format!(
        r#"{{"vendorId":"{}","externalEventId":"{id}","eventType":"{}","occurredAt":"2026-11-21T09:59:00Z","payload":"#,
        contract.vendor_id, contract.event_type
    )
    .into_bytes();
    raw.extend_from_slice(payload);
    raw.push(b'}');
    let detail = serde_json::json!({
        "vendorId": contract.vendor_id, "externalEventId": id, "ingestId": "01KAJ3Y3R00000000000000001",
        "eventType": contract.event_type, "schemaVersion": contract.payload.default_version,
        "occurredAt": "2026-11-21T09:59:00.000Z", "receivedAt": "2026-11-21T10:00:00.000Z",
        "rawRef": {"bucket": "sluice-raw", "key": format!("raw/{at}.json")}, "rawSha256": Sha256Hex::of(&raw),
    });
    (serde_json::from_value(detail).unwrap(), Ok(raw.into()))
}

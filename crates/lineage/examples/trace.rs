//! `cargo xtask bench trace`: how long the lineage of one message takes, for messages of about 3 KB.
//!
//! Arguments: the folder of the bundles, the folder of the built modules.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use sluice_core::contract::Contract;
use sluice_core::schema::Schema;
use sluice_lineage::{Plan, trace};
use sluice_mapper_host::{Host, TargetSpec, TrustedDigest, compile};
use sluice_mapping::{Bundle, Message, Meta};

/// Bundle, fixture, and its ending.
const MESSAGES: [(&str, &str, &str); 4] = [
    ("shopify-orders", "edge-jersey-pounds", "json"),
    ("shopify-orders", "edge-two-currencies", "json"),
    ("shopify-orders", "ordinary-compact", "json"),
    ("shopify-orders", "ordinary-webhook-sample", "json"),
];

/// Traces of each message.
const ROUNDS: usize = 15;

/// For a message of 3 KB.
const TARGET: Duration = Duration::from_millis(50);

#[expect(clippy::print_stdout, reason = "it prints its figures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(mappers), Some(modules)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench MAPPERS_DIR MODULES_DIR".into());
    };
    let host = Host::new()?;
    println!(
        "{:<16} {:<26} {:>7} {:>6} {:>10} {:>10}",
        "bundle", "message", "bytes", "runs", "least ms", "median ms"
    );
    for (name, case, ending) in MESSAGES {
        let folder = Path::new(&mappers).join(name);
        let bundle = bundle(&host, &folder, &Path::new(&modules).join(format!("{name}.wasm")))?;
        let payload = std::fs::read(folder.join(format!("fixtures/{case}.in.{ending}")))?;
        let bytes = payload.len();
        let contract = &bundle.contract;
        let meta = Meta {
            vendor_id: contract.vendor_id.to_string(),
            external_event_id: "bench-1".into(),
            event_type: contract.event_type.to_string(),
            schema_version: contract.payload.default_version.to_string(),
            occurred_at: "2026-01-02T03:04:05Z".into(),
            received_at: "2026-01-02T03:04:06.789Z".into(),
        };
        let message = Message::new(meta, payload)?;
        let (mut times, mut runs) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let lineage = trace(&bundle, &message, &BTreeMap::new(), Plan::fixture())?;
            times.push(started.elapsed());
            runs = lineage.runs;
            if lineage.out_of_time || lineage.outputs.is_empty() {
                return Err(format!("{case} was not traced whole").into());
            }
        }
        times.sort();
        let milliseconds = |at: usize| times[at].as_secs_f64() * 1_000.0;
        println!(
            "{name:<16} {case:<26} {bytes:>7} {runs:>6} {:>10.1} {:>10.1}",
            milliseconds(0),
            milliseconds(ROUNDS / 2)
        );
    }
    println!("target for 3 KB: {} ms", TARGET.as_millis());
    Ok(())
}

fn bundle(host: &Host, folder: &Path, wasm: &Path) -> Result<Bundle, Box<dyn Error>> {
    let contract: Contract = toml::from_str(&std::fs::read_to_string(folder.join("mapper.toml"))?)?;
    let mut schemas = BTreeMap::new();
    for (version, path) in &contract.payload.versions {
        schemas.insert(version.clone(), Schema::compile(&std::fs::read(folder.join(path))?)?);
    }
    let native = compile(&std::fs::read(wasm)?, &TargetSpec::host())?;
    let mapper = host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))?;
    Ok(Bundle { contract, schemas, mapper })
}

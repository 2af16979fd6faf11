//! What a mapper costs, as ratios: `cargo xtask bench mapper`. One process, one thread.
//!
//! Loading against compiling, an empty call, and one vendor's message mapped by the mapper, by the very same Rust function compiled
//! for this machine, and by the tools that people use instead. All do the same work from bytes to bytes, which is checked before
//! anything is timed: the events of each, in canonical form (RFC 8785), are the same.

#![expect(clippy::print_stdout, reason = "a program for a developer")]

mod measure;
mod payloads;
mod peers;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use mapper_sdk::golden::{Case, cases};
use sha2::{Digest as _, Sha256};
use sluice_mapper_host::{Host, Mapper, TargetSpec, TrustedDigest, compile};

use crate::measure::{Times, heading, human, measure, row};
use crate::payloads::Payload;
use crate::peers::Map;

const EMPTY: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "map") (param i32 i32 i32 i32) (result i32) (i32.const 16)))"#;

fn main() {
    let host = Host::new().expect("an engine");
    println!("target {}, fingerprint {}", TargetSpec::host().triple(), host.fingerprint());
    println!("load of the machine {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());

    println!("\nLoading a compiled mapper against compiling it");
    heading();
    let stock = loading(&host, "vendor-a-inventory");
    let orders = loading(&host, "shopify-orders");

    println!("\nA fresh instance and an empty call");
    heading();
    let empty = load(&host, &wat::parse_str(EMPTY).expect("it is a module"));
    let mut calling = || drop(black_box(empty.map(b"", b"").expect("it maps")));
    row("  empty", &measure(&mut [&mut calling])[0], None);

    println!("\nA message to canonical bytes: wasm against the same function natively");
    heading();
    against_native("vendor-a-inventory", &stock, vendor_a_inventory::run, &["ordinary"]);
    against_native(
        "shopify-orders",
        &orders,
        shopify_orders::run,
        &["edge-only-what-is-required", "ordinary-compact", "edge-two-currencies", "ordinary-webhook-sample"],
    );

    let fixture = case("shopify-orders", "ordinary-compact");
    let contestants = contestants(orders, fixture.meta);
    println!("\nShopify's orders/create to OrderPlaced: the same events from the same bytes");
    let measured: Vec<_> = payloads::payloads(&fixture.payload)
        .into_iter()
        .map(|payload| compared(&contestants, payload))
        .collect();
    table(&contestants, &measured);
}

fn loading(host: &Host, bundle: &str) -> Mapper {
    let path = root().join(format!("target/mappers/{bundle}.wasm"));
    let wasm = fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; cargo xtask build-mappers", path.display()));
    let native = compile(&wasm, &TargetSpec::host()).expect("it compiles").bytes;
    let trusted = TrustedDigest::vouch_for(&native);
    println!("{bundle}: {} kB wasm, {} kB native", wasm.len() / 1_000, native.len() / 1_000);
    let mut compiling = || drop(black_box(compile(&wasm, &TargetSpec::host()).expect("it compiles")));
    let mut hashing = || {
        black_box(Sha256::digest(&native));
    };
    let mut loading = || drop(black_box(host.load_native(&native, &trusted).expect("it loads")));
    let compiled = &measure(&mut [&mut compiling])[0];
    let [loaded, hashed] = &measure(&mut [&mut loading, &mut hashing])[..] else { unreachable!("two") };
    row("  compile", compiled, None);
    row("  load (hashes, maps, links)", loaded, None);
    row("    of which SHA-256", hashed, None);
    println!("  loading is {:.0} x faster than compiling", compiled.least() / loaded.least());
    host.load_native(&native, &trusted).expect("it loads")
}

fn against_native(
    bundle: &str,
    mapper: &Mapper,
    native: fn(&[u8], &[u8]) -> Result<Vec<u8>, Vec<u8>>,
    names: &[&str],
) {
    for name in names {
        let Case { meta, payload, .. } = case(bundle, name);
        let mapped = mapper.map(&meta, &payload).expect("it maps");
        assert_eq!(Ok(&mapped.output), native(&meta, &payload).as_ref());
        let mut natively = || drop(black_box(native(black_box(&meta), black_box(&payload))));
        let mut as_wasm = || drop(black_box(mapper.map(black_box(&meta), black_box(&payload))));
        let times = measure(&mut [&mut natively, &mut as_wasm]);
        println!(
            "{bundle}, {name}: {} bytes in, {} out, {} fuel, {} kB of memory",
            payload.len(),
            mapped.output.len(),
            mapped.fuel_used,
            mapped.memory_bytes / 1_024
        );
        row("  native", &times[0], None);
        row("  wasm, fresh instance", &times[1], Some((&times[0], "of native")));
        println!("  {:.0} messages/s a core", 1e9 / times[1].median());
    }
}

/// The mapper natively, the mapper, and the peers, in this order.
fn contestants(mapper: Mapper, meta: Vec<u8>) -> Vec<(&'static str, Map)> {
    let native_meta = meta.clone();
    let native: Map = Box::new(move |payload| {
        shopify_orders::run(&native_meta, payload)
            .map_err(|refusal| String::from_utf8_lossy(&refusal).into_owned())
    });
    let wasm: Map = Box::new(move |payload| {
        mapper.map(&meta, payload).map(|mapped| mapped.output).map_err(|fault| format!("{fault:?}"))
    });
    let mut all = vec![("native serde", native), ("Sluice mapper, fresh instance", wasm)];
    all.extend(peers::peers());
    all
}

fn compared(contestants: &[(&'static str, Map)], payload: Payload) -> (Payload, Vec<Times>) {
    let Payload { name, bytes } = &payload;
    let mut expected = None;
    for (who, map) in contestants {
        let events = map(bytes).unwrap_or_else(|error| panic!("{who}, {name}: {error}"));
        let events = canonical(&events);
        let expected = expected.get_or_insert_with(|| events.clone());
        assert!(*expected == events, "{name}: {who} gives\n{events}\nand not\n{expected}");
    }
    let mut functions: Vec<_> =
        contestants.iter().map(|(_, map)| move || drop(black_box(map(black_box(bytes))))).collect();
    let mut functions: Vec<&mut dyn FnMut()> =
        functions.iter_mut().map(|function| function as &mut dyn FnMut()).collect();
    let times = measure(&mut functions);
    (payload, times)
}

fn canonical(json: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(json).expect("a contestant writes JSON");
    serde_json_canonicalizer::to_string(&value).expect("JSON has a canonical form")
}

/// Least, and median in brackets; and how many times native's least. In Markdown, as `docs/performance.md` has it.
fn table(contestants: &[(&'static str, Map)], measured: &[(Payload, Vec<Times>)]) {
    let cells = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    let sizes =
        measured.iter().map(|(payload, _)| format!("{} ({} bytes)", payload.name, payload.bytes.len()));
    cells(std::iter::once("least (median)".to_owned()).chain(sizes).collect());
    cells(vec!["---".to_owned(); measured.len() + 1]);
    for (at, (who, _)) in contestants.iter().enumerate() {
        let times = measured.iter().map(|(_, times)| {
            let (native, own) = (&times[0], &times[at]);
            format!("{} ({}), {:.2} x", human(own.least()), human(own.median()), own.least() / native.least())
        });
        cells(std::iter::once((*who).to_owned()).chain(times).collect());
    }
    for (who, at) in contestants.iter().zip(0..).skip(2).map(|((who, _), at)| (who, at)) {
        let ratios: Vec<String> = measured
            .iter()
            .map(|(payload, times)| {
                format!("{:.1} x at {}", times[at].least() / times[1].least(), payload.name)
            })
            .collect();
        println!("the mapper is faster than {who}: {}", ratios.join(", "));
    }
}

fn case(bundle: &str, name: &str) -> Case {
    let mut all = cases(&root().join("mappers-wasm").join(bundle));
    let at = all.iter().position(|case| case.name == name).expect("a fixture of this name");
    all.swap_remove(at)
}

fn load(host: &Host, wasm: &[u8]) -> Mapper {
    let native = compile(wasm, &TargetSpec::host()).expect("it compiles").bytes;
    host.load_native(&native, &TrustedDigest::vouch_for(&native)).expect("it loads")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

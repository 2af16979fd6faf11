//! What a mapper costs, as ratios: `cargo run --release -p sluice-mapper-host --features compile --example bench`, after
//! `cargo xtask build-mappers`. One thread.
//!
//! Every figure is the least of many rounds, in which the things compared take turns, so that another program's load
//! falls on all of them; the median stands beside it. The native figure is the very same Rust function, compiled for this
//! machine with the workspace's release profile.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a developer")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mapper_sdk::golden::{Case, cases};
use sha2::{Digest as _, Sha256};
use sluice_mapper_host::{Host, Mapper, TargetSpec, TrustedDigest, compile};

const ROUNDS: usize = 200;

fn main() {
    let host = Host::new().unwrap();
    println!("target {}, fingerprint {}", TargetSpec::host().triple(), host.fingerprint());

    println!("\nLoading a compiled mapper against compiling it");
    heading();
    let mut mappers = Vec::new();
    for bundle in ["vendor-a-inventory", "shopify-orders"] {
        let wasm = fs::read(root().join(format!("target/mappers/{bundle}.wasm")))
            .expect("the built mapper: run cargo xtask build-mappers");
        let native = compile(&wasm, &TargetSpec::host()).unwrap().bytes;
        let trusted = TrustedDigest::vouch_for(&native);
        println!("{bundle}: {} kB wasm, {} kB native", wasm.len() / 1_000, native.len() / 1_000);
        let mut compiling = || drop(black_box(compile(&wasm, &TargetSpec::host()).unwrap()));
        let [compiled] = measure(7, [(1, &mut compiling)]);
        let mut hashing = || {
            black_box(Sha256::digest(&native));
        };
        let mut loading = || drop(black_box(host.load_native(&native, &trusted).unwrap()));
        let [hashed, loaded] = measure(ROUNDS, [(1, &mut hashing), (1, &mut loading)]);
        row("  compile", &compiled, None);
        row("  load (hashes, maps, links)", &loaded, Some((&compiled, "of compiling")));
        row("    of which SHA-256", &hashed, None);
        println!("  loading is {:.0} x faster than compiling", compiled.least() / loaded.least());
        mappers.push(host.load_native(&native, &trusted).unwrap());
    }

    println!("\nA fresh instance and an empty call");
    heading();
    let empty = load(&host, &wat::parse_str(EMPTY).unwrap());
    let mut calling = || {
        black_box(empty.map(b"", b"").unwrap());
    };
    let [called] = measure(ROUNDS, [(1_000, &mut calling)]);
    row("  empty", &called, None);

    println!("\nA message to canonical bytes: wasm against the same function natively");
    heading();
    compared("vendor-a-inventory", &mappers[0], vendor_a_inventory::run, &["ordinary"]);
    let orders =
        ["edge-only-what-is-required", "ordinary-compact", "edge-two-currencies", "ordinary-webhook-sample"];
    compared("shopify-orders", &mappers[1], shopify_orders::run, &orders);
}

const EMPTY: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "map") (param i32 i32 i32 i32) (result i32) (i32.const 16)))"#;

fn compared(
    bundle: &str,
    mapper: &Mapper,
    native: impl Fn(&[u8], &[u8]) -> Result<Vec<u8>, Vec<u8>>,
    names: &[&str],
) {
    let all = cases(&root().join("mappers-wasm").join(bundle));
    for name in names {
        let Case { meta, payload, .. } = all.iter().find(|case| case.name == *name).unwrap();
        let mapped = mapper.map(meta, payload).unwrap();
        assert_eq!(Ok(&mapped.output), native(meta, payload).as_ref());
        let mut natively = || {
            black_box(native(black_box(meta), black_box(payload)).unwrap());
        };
        let mut as_wasm = || {
            black_box(mapper.map(black_box(meta), black_box(payload)).unwrap());
        };
        let [natively, as_wasm] = measure(ROUNDS, [(200, &mut natively), (200, &mut as_wasm)]);
        println!(
            "{bundle}, {name}: {} bytes in, {} out, {} fuel, {} kB of memory",
            payload.len(),
            mapped.output.len(),
            mapped.fuel_used,
            mapped.memory_bytes / 1_024
        );
        row("  native", &natively, None);
        row("  wasm, fresh instance", &as_wasm, Some((&natively, "of native")));
        println!("  {:.0} messages/s a core", 1e9 / as_wasm.median());
    }
}

/// Times of one call, in nanoseconds, sorted.
struct Times(Vec<f64>);

impl Times {
    fn least(&self) -> f64 {
        self.0[0]
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

/// Lets each of some functions run its number of calls, in turns.
fn measure<const N: usize>(rounds: usize, mut functions: [(u32, &mut dyn FnMut()); N]) -> [Times; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for ((calls, function), times) in functions.iter_mut().zip(&mut times) {
            let started = Instant::now();
            for _ in 0..*calls {
                function();
            }
            times.push(nanoseconds(started.elapsed()) / f64::from(*calls));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        Times(times)
    })
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn heading() {
    println!("{:<32} {:>12} {:>12}", "", "least", "median");
}

fn row(what: &str, times: &Times, compared: Option<(&Times, &str)>) {
    let ratio = compared
        .map(|(base, what)| {
            format!(
                "  {:.2} x {what} ({:.2} by median)",
                times.least() / base.least(),
                times.median() / base.median()
            )
        })
        .unwrap_or_default();
    println!("{what:<32} {:>12} {:>12}{ratio}", human(times.least()), human(times.median()));
}

fn human(nanoseconds: f64) -> String {
    if nanoseconds < 1e6 {
        format!("{:.2} µs", nanoseconds / 1e3)
    } else {
        format!("{:.2} ms", nanoseconds / 1e6)
    }
}

fn load(host: &Host, wasm: &[u8]) -> Mapper {
    let native = compile(wasm, &TargetSpec::host()).unwrap().bytes;
    host.load_native(&native, &TrustedDigest::vouch_for(&native)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

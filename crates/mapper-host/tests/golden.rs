//! The fixtures of every bundle as built wasm, under production limits: the outcome that the fixture's file says, byte for
//! byte. A bundle in Rust gives the same natively, which its own `tests/golden.rs` holds against the same files. One in another
//! language runs only here, so here `SLUICE_BLESS=1` writes its expected files.
//!
//! A bundle is found by its `mapper.toml`: a new folder is tested without a line here.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use mapper_sdk::golden::{Case, cases, has_notes};
use sluice_mapper_host::limits::fuel;
use sluice_mapper_host::{Host, MapFault, Mapper, TargetSpec, TrustedDigest, compile};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn mapper(host: &Host, bundle: &str) -> Mapper {
    let module = root().join(format!("target/mappers/{bundle}.wasm"));
    let wasm = fs::read(&module)
        .unwrap_or_else(|e| panic!("{}: {e}: run cargo xtask build-mappers", module.display()));
    let native = compile(&wasm, &TargetSpec::host()).unwrap_or_else(|e| panic!("{bundle}: {e}"));
    host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))
        .unwrap_or_else(|e| panic!("{bundle}: {e}"))
}

fn as_wasm(mapper: &Mapper, case: &Case) -> Result<Vec<u8>, Vec<u8>> {
    run(mapper, &case.meta, &case.payload)
}

fn run(mapper: &Mapper, meta: &[u8], payload: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    match mapper.map(meta, payload) {
        Ok(mapped) => Ok(mapped.output),
        Err(MapFault::Refused { code, path, message }) => {
            Err(mapper_sdk::MapError::new(code.leak(), path, message).to_json())
        }
        Err(fault) => panic!("{fault}"),
    }
}

/// The bundles' names: folders of `mappers-wasm` with a contract.
fn bundles() -> Vec<String> {
    let mut bundles: Vec<String> = fs::read_dir(root().join("mappers-wasm"))
        .expect("the mappers' workspace")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            path.join("mapper.toml")
                .is_file()
                .then(|| path.file_name().unwrap_or_default().display().to_string())
        })
        .collect();
    bundles.sort();
    assert!(bundles.len() >= 3, "{bundles:?}");
    bundles
}

fn cases_of(bundle: &str) -> Vec<Case> {
    cases(&root().join("mappers-wasm").join(bundle))
}

/// One test, since compiling the modules is most of its time.
#[test]
fn every_fixture_gives_as_wasm_what_its_file_says_with_the_same_fuel_every_time() {
    let host = Host::new().expect("an engine");
    let bless = std::env::var_os("SLUICE_BLESS").is_some_and(|on| on == "1");
    for bundle in bundles() {
        let mapper = mapper(&host, &bundle);
        let runs_only_here = !root().join("mappers-wasm").join(&bundle).join("Cargo.toml").exists();
        for case in cases_of(&bundle) {
            case.compare(&as_wasm(&mapper, &case), bless && runs_only_here)
                .unwrap_or_else(|difference| panic!("{bundle}: {difference}"));
            let first = mapper.map(&case.meta, &case.payload);
            assert_eq!(mapper.map(&case.meta, &case.payload), first, "{bundle} {}", case.name);
            if let Ok(mapped) = first {
                let limit = fuel(case.meta.len() + case.payload.len());
                let used = mapped.fuel_used;
                assert!(used * 2 <= limit, "{bundle} {}: {used} of {limit} is more than half", case.name);
            }
        }
    }
}

/// Fuel is by the byte, and work by the line: a file of as many and as short lines as there can be has the least to spare.
#[test]
fn a_stock_feed_of_as_many_and_as_short_lines_as_there_can_be_fits_its_limits() {
    let host = Host::new().expect("an engine");
    let mapper = mapper(&host, "csv-stock-feed");
    let lines = (0..mapper_sdk::EVENTS_MAX).map(|line| format!("{line:x},R,1\n"));
    let file: String = std::iter::once("sku,warehouse,on_hand\n".to_owned()).chain(lines).collect();
    let meta = &cases_of("csv-stock-feed")[0].meta;
    let mapped = mapper.map(meta, file.as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let events: Vec<serde_json::Value> = serde_json::from_slice(&mapped.output).expect("events");
    let limit = fuel(meta.len() + file.len());
    assert!(mapped.fuel_used * 2 <= limit, "{} of {limit} is more than half", mapped.fuel_used);
    assert_eq!((events.len(), &events[999]["data"]["sku"]), (25_000, &"3e7".into()));
}

#[test]
fn every_bundle_shows_the_ordinary_the_edge_and_the_refused() {
    for bundle in bundles() {
        let names: Vec<String> = cases_of(&bundle).into_iter().map(|case| case.name).collect();
        for kind in ["ordinary", "edge", "refused"] {
            assert!(names.iter().any(|name| name.starts_with(kind)), "{bundle} has no {kind} fixture");
        }
        let fixtures = root().join("mappers-wasm").join(&bundle).join("fixtures");
        for name in names {
            let refused = fixtures.join(format!("{name}.err.json")).exists();
            assert_eq!(name.starts_with("refused"), refused, "{bundle} {name}");
        }
    }
}

/// How the expected values follow from the messages.
#[test]
fn every_case_of_every_bundle_has_a_note() {
    for bundle in bundles() {
        assert!(has_notes(&root().join("mappers-wasm").join(&bundle)), "{bundle} has no fixtures/NOTES.md");
    }
}

/// A mapper in Rust does this natively, in its own tests.
#[test]
fn no_message_that_is_cut_off_loses_a_value_in_c_or_assembly_script() {
    let host = Host::new().expect("an engine");
    for bundle in ["wms-stock-counts", "marketplace-order-cancelled"] {
        let mapper = mapper(&host, bundle);
        for case in cases_of(bundle).iter().filter(|case| case.payload.len() < 600) {
            case.check_cuts(|meta, payload| run(&mapper, meta, payload));
        }
    }
}

/// One rule for what a member is that nobody reads, in each of the three SDKs.
#[test]
fn every_sdk_skips_a_byte_order_mark_and_half_a_character_that_nobody_reads() {
    let host = Host::new().expect("an engine");
    let message = |members: &str| format!("\u{feff}{{\"unread\":\"cut \\ud83d\",\"unread\":2,{members}}}");
    for (bundle, members, read) in [
        ("vendor-a-inventory", r#""warehouse":"ROA","qty":2.0,"sku":"A""#, "A"),
        (
            "wms-stock-counts",
            r#""site":"ROA","countedAt":"2026-01-10T19:03:22Z","counts":[{"onHand":20e-1,"article":"A"}]"#,
            "A",
        ),
        (
            "marketplace-order-cancelled",
            r#""cancelledAt":"2026-01-10T19:03:22Z","cancelledBy":"BUYER","order":{"id":"A"}"#,
            "A",
        ),
    ] {
        let mapper = mapper(&host, bundle);
        let case = &cases_of(bundle)[0];
        let run = |text: String| run(&mapper, &case.meta, text.as_bytes());
        let text = |json: Vec<u8>| String::from_utf8(json).expect("it is UTF-8");
        let mapped = run(message(members)).map_err(text);
        assert!(mapped.is_ok(), "{bundle}: {mapped:?}");
        let halved = members.replace(&format!("\"{read}\""), "\"A\\ud83d\"");
        let refused = text(run(message(&halved)).expect_err("the half character is read"));
        assert!(refused.starts_with(r#"{"code":"payload_invalid","path":"/"#), "{bundle}: {refused}");
    }
}

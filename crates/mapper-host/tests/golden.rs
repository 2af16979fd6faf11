//! The fixtures of every bundle as built wasm, under production limits: the same outcome as the fixture's file says and as
//! the same function gives natively, byte for byte.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use mapper_sdk::golden::{Case, cases};
use sluice_mapper_host::{Host, MapFault, Mapper, TargetSpec, TrustedDigest, compile};

type Run = fn(&[u8], &[u8]) -> Result<Vec<u8>, Vec<u8>>;

const BUNDLES: [(&str, Run); 3] = [
    ("shopify-orders", shopify_orders::run),
    ("signed-demo-stock", signed_demo_stock::run),
    ("vendor-a-inventory", vendor_a_inventory::run),
];

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
    match mapper.map(&case.meta, &case.payload) {
        Ok(mapped) => Ok(mapped.output),
        Err(MapFault::Refused { code, path, message }) => {
            Err(mapper_sdk::MapError::new(code.leak(), path, message).to_json())
        }
        Err(fault) => panic!("{}: {fault}", case.name),
    }
}

#[test]
fn every_fixture_gives_as_wasm_what_it_gives_natively() {
    let host = Host::new().expect("an engine");
    for (bundle, native) in BUNDLES {
        let mapper = mapper(&host, bundle);
        for case in cases(&root().join("mappers-wasm").join(bundle)) {
            let outcome = as_wasm(&mapper, &case);
            assert_eq!(outcome, native(&case.meta, &case.payload), "{bundle} {}", case.name);
            case.compare(&outcome, false).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
}

#[test]
fn every_bundle_is_tested() {
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
    assert_eq!(bundles, BUNDLES.map(|(bundle, _)| bundle));
}

#[test]
fn the_same_message_uses_the_same_fuel() {
    let host = Host::new().expect("an engine");
    for (bundle, _) in BUNDLES {
        let mapper = mapper(&host, bundle);
        for case in cases(&root().join("mappers-wasm").join(bundle)) {
            let first = mapper.map(&case.meta, &case.payload);
            for _ in 0..3 {
                assert_eq!(mapper.map(&case.meta, &case.payload), first, "{bundle} {}", case.name);
            }
        }
    }
}

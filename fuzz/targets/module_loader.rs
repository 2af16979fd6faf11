//! Bytes as a module: refused by name, or compiled, loaded and run within its limits, twice with one outcome.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sluice_mapper_host::{Host, MapFault, TargetSpec, TrustedDigest, compile, inspect};

static HOST: LazyLock<Host> = LazyLock::new(|| Host::new().expect("the engine starts"));

fuzz_target!(|wasm: &[u8]| {
    let Ok(report) = inspect(wasm) else { return };
    assert_eq!(report.bytes, wasm.len());
    let native = compile(wasm, &TargetSpec::host()).expect("what was inspected compiles");
    let mapper = HOST
        .load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))
        .expect("what was compiled here loads here");
    let first = mapper.map(b"{}", b"payload");
    assert!(!matches!(first, Err(MapFault::HostUnavailable { .. })), "{first:?}");
    assert_eq!(mapper.map(b"{}", b"payload"), first);
});

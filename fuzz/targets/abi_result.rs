//! Bytes as what a mapper leaves in its memory and returns: the reader of results gives an output, a refusal or a fault,
//! never more than the bounds, and never breaks.
//!
//! The payload says where it is copied to (4 bytes), and which pointer is returned (4 bytes); the rest is what is copied.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sluice_mapper_host::limits::OUTPUT_BYTES_MAX;
use sluice_mapper_host::{Host, MapFault, Mapper, TargetSpec, TrustedDigest, compile};

const MODULE: &str = r#"(module
  (memory (export "memory") 8)
  (global $next (mut i32) (i32.const 262144))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 15)) (i32.const -16)))
    (local.get $at))
  (func (export "map") (param i32 i32 i32 i32) (result i32)
    (if (i32.lt_u (local.get 3) (i32.const 8)) (then (return (i32.const 0))))
    (memory.copy (i32.load (local.get 2)) (i32.add (local.get 2) (i32.const 8)) (i32.sub (local.get 3) (i32.const 8)))
    (i32.load offset=4 (local.get 2))))"#;

static MAPPER: LazyLock<(Host, Mapper)> = LazyLock::new(|| {
    let wasm = wat::parse_str(MODULE).expect("it is a module");
    let native = compile(&wasm, &TargetSpec::host()).expect("it compiles");
    let host = Host::new().expect("the engine starts");
    let mapper = host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes)).expect("it loads");
    (host, mapper)
});

fuzz_target!(|payload: &[u8]| {
    let (_, mapper) = &*MAPPER;
    let first = mapper.map(b"{}", payload);
    match &first {
        Ok(mapped) => assert!(mapped.output.len() <= OUTPUT_BYTES_MAX),
        Err(fault) => assert!(!matches!(fault, MapFault::HostUnavailable { .. }), "{fault:?}"),
    }
    assert_eq!(mapper.map(b"{}", payload), first);
});

//! What is not loaded: each refusal by name, before anything is compiled or run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{PRELUDE, binary, host, load, module, with};
use proptest::prelude::*;
use sluice_mapper_host::limits::MODULE_BYTES_MAX;
use sluice_mapper_host::{
    ExportName, ImportKind, LoadError, MapFault, TargetSpec, TrustedDigest, compile, inspect,
};
use wasmtime::{Config, Engine, ModuleVersionStrategy};

const NOTHING: &str = "(unreachable)";

fn refused(text: &str) -> LoadError {
    let wasm = binary(text);
    let refused = inspect(&wasm).expect_err(text);
    assert_eq!(compile(&wasm, &TargetSpec::LAMBDA_X86_64), Err(refused.clone()), "compile inspects first");
    refused
}

#[test]
fn a_good_module_is_reported() {
    let wasm = binary(&with(PRELUDE, NOTHING, r#"(func (export "_initialize"))"#));
    let report = inspect(&wasm).unwrap();
    assert_eq!(report.bytes, wasm.len());
    assert_eq!((report.functions, report.memory_bytes, report.memory_bytes_max), (4, 65_536, None));
    assert!(report.has_initialize && !report.has_post_map);
    let plain = inspect(&binary(&module(NOTHING))).unwrap();
    assert!(!plain.has_initialize);
}

#[test]
fn an_import_of_any_kind_is_named() {
    for (import, kind) in [
        (r#"(import "wasi_snapshot_preview1" "x" (func))"#, ImportKind::Function),
        (r#"(import "wasi_snapshot_preview1" "x" (memory 1))"#, ImportKind::Memory),
        (r#"(import "wasi_snapshot_preview1" "x" (memory 1 1 shared))"#, ImportKind::Memory),
        (r#"(import "wasi_snapshot_preview1" "x" (table 1 funcref))"#, ImportKind::Table),
        (r#"(import "wasi_snapshot_preview1" "x" (global i32))"#, ImportKind::Global),
        (r#"(import "wasi_snapshot_preview1" "x" (tag))"#, ImportKind::Tag),
    ] {
        assert_eq!(
            refused(&format!("(module {import})")),
            LoadError::Import { kind, module: "wasi_snapshot_preview1".to_owned(), name: "x".to_owned() }
        );
    }
    // Also where everything else is as it should be.
    let text = module(NOTHING).replace("(module", r#"(module (import "env" "now" (func (result i64)))"#);
    let error = refused(&text);
    assert_eq!(
        error.to_string(),
        r#"the module imports the function "now" from "env"; a mapper imports nothing"#
    );
}

#[test]
fn code_that_runs_at_the_start_is_refused() {
    assert_eq!(refused(&with(PRELUDE, NOTHING, "(func $s) (start $s)")), LoadError::StartFunction);
}

#[test]
fn memories_are_one_of_32_bits_unshared_and_bounded() {
    let memory =
        |memory: &str| with(&PRELUDE.replace(r#"(memory (export "memory") 1)"#, memory), NOTHING, "");
    assert_eq!(
        refused(&memory(r#"(memory (export "memory") 1) (memory 1)"#)),
        LoadError::Memories { count: 2 }
    );
    assert_eq!(refused(&memory(r#"(memory (export "memory") 1 2 shared)"#)), LoadError::SharedMemory);
    assert_eq!(refused(r#"(module (memory (export "memory") i64 1))"#), LoadError::Memory64);
    assert_eq!(
        refused(&memory(r#"(memory (export "memory") 513)"#)),
        LoadError::MemoryTooLarge { bytes: 513 * 65_536 }
    );
    assert_eq!(
        inspect(&binary(&memory(r#"(memory (export "memory") 512)"#))).unwrap().memory_bytes,
        32 << 20
    );
    // What it may grow to is not what it takes: the limit holds when it grows.
    assert!(inspect(&binary(&memory(r#"(memory (export "memory") 1 65536)"#))).is_ok());
}

#[test]
fn tables_are_one_and_bounded() {
    let table = |fields: &str| with(PRELUDE, NOTHING, fields);
    assert_eq!(
        refused(&table("(table 1 funcref) (table 7 funcref)")),
        LoadError::Tables { count: 2, elements: 7 }
    );
    assert_eq!(refused(&table("(table 10001 funcref)")), LoadError::Tables { count: 1, elements: 10_001 });
    assert!(inspect(&binary(&table("(table 10000 funcref)"))).is_ok());
}

#[test]
fn features_that_are_off_are_refused_as_such() {
    for (name, fields) in [
        ("exceptions", "(tag $t)"),
        ("GC", "(type $s (struct (field i32)))"),
        (
            "relaxed SIMD",
            "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))",
        ),
        ("tail calls", "(func $f (return_call $f))"),
        ("extended constants", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        ("threads", "(func (drop (i32.atomic.load (i32.const 0))))"),
        ("typed function references", "(type $f (func)) (func (param (ref $f)))"),
        ("custom page sizes", ""),
    ] {
        let prelude = if fields.is_empty() {
            PRELUDE.replace(r#"(memory (export "memory") 1)"#, r#"(memory (export "memory") 1 (pagesize 1))"#)
        } else {
            PRELUDE.to_owned()
        };
        let error = refused(&with(&prelude, NOTHING, fields));
        assert_eq!(error.code(), "module_feature_off", "{name}: {error}");
    }
}

#[test]
fn exports_are_there_and_of_their_types() {
    let map = ExportName::Map;
    let without = |name: &str| module(NOTHING).replace(&format!(r#"(export "{name}")"#), "");
    assert_eq!(refused(&without("map")), LoadError::ExportMissing { name: map });
    assert_eq!(refused(&without("cabi_realloc")), LoadError::ExportMissing { name: ExportName::Realloc });
    assert_eq!(refused(&without("memory")), LoadError::ExportMissing { name: ExportName::Memory });
    assert_eq!(
        refused(
            r#"(module (memory (export "memory") 1)
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
              (func (export "map") (param i32 i32 i64) (result i32 f32) unreachable))"#
        ),
        LoadError::ExportType { name: map, found: "a function (i32, i32, i64) -> (i32, f32)".to_owned() }
    );
    for (fields, found) in [
        (r#"(table (export "map") 1 funcref)"#, "a table"),
        (r#"(global (export "map") i32 (i32.const 0))"#, "a global"),
    ] {
        let text = without("map").replace("(module", &format!("(module {fields}"));
        assert_eq!(refused(&text), LoadError::ExportType { name: map, found: found.to_owned() });
    }
    for (field, name) in [
        (r#"(func (export "_initialize") (param i32))"#, ExportName::Initialize),
        (r#"(func (export "cabi_post_map"))"#, ExportName::PostMap),
    ] {
        let error = refused(&with(PRELUDE, NOTHING, field));
        assert!(matches!(error, LoadError::ExportType { name: found, .. } if found == name), "{error}");
    }
}

#[test]
fn what_is_no_module_is_refused() {
    let good = binary(&module(NOTHING));
    for wasm in [&b""[..], b"\0asm", b"#!/bin/sh\n", b"\x7fELF\x02\x01\x01\0", &[0xff; 64], b"{\"code\":1}"] {
        assert!(matches!(inspect(wasm), Err(LoadError::Invalid { .. })), "{wasm:?}");
    }
    // After the code come only names, without which a module is as good.
    let code_end = wasmparser::Parser::new(0)
        .parse_all(&good)
        .find_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CodeSectionStart { range, .. } => Some(range.end as usize),
            _ => None,
        })
        .unwrap();
    assert!(inspect(&good[..code_end]).is_ok());
    for end in 0..code_end {
        assert!(inspect(&good[..end]).is_err(), "a module cut after {end} bytes");
    }
    assert_eq!(refused("(component)"), LoadError::Component);
    let mut long = good.clone();
    long.resize(MODULE_BYTES_MAX + 1, 0);
    assert_eq!(inspect(&long), Err(LoadError::TooLarge { bytes: MODULE_BYTES_MAX + 1 }));
    // A body that does not type-check.
    let text = with(PRELUDE, NOTHING, "(func (result i32) (f32.const 0))");
    assert!(matches!(refused(&text), LoadError::Invalid { .. }));
}

#[test]
fn compiling_is_deterministic_and_for_the_target_that_is_asked_for() {
    let wasm = binary(&module(NOTHING));
    let first = compile(&wasm, &TargetSpec::LAMBDA_X86_64).unwrap();
    assert_eq!(compile(&wasm, &TargetSpec::LAMBDA_X86_64).unwrap(), first);
    assert_eq!(first.fingerprint, TargetSpec::LAMBDA_X86_64.fingerprint());
}

#[test]
fn native_code_is_loaded_only_as_vouched_for() {
    let host = host();
    let native = compile(&binary(&module(NOTHING)), &TargetSpec::host()).unwrap().bytes;
    let trusted = TrustedDigest::vouch_for(&native);
    assert!(host.load_native(&native, &trusted).is_ok());
    for position in [0, native.len() / 2, native.len() - 1] {
        let mut altered = native.clone();
        altered[position] ^= 1;
        assert!(matches!(host.load_native(&altered, &trusted), Err(LoadError::Digest { .. })));
    }
    assert!(matches!(host.load_native(&native[..native.len() - 1], &trusted), Err(LoadError::Digest { .. })));
}

#[test]
fn native_code_of_another_configuration_is_refused() {
    let host = host();
    let wasm = binary(&module(NOTHING));
    let incompatible = |native: &[u8], why: &str| {
        let error = host.load_native(native, &TrustedDigest::vouch_for(native)).expect_err(why);
        assert!(matches!(error, LoadError::Incompatible { .. }), "{why}: {error}");
    };
    // wasmtime as it comes: its version instead of our fingerprint.
    incompatible(&Engine::default().precompile_module(&wasm).unwrap(), "another version string");
    // Our version string with other settings than it stands for: wasmtime's own checks still hold.
    let mut config = Config::new();
    config
        .module_version(ModuleVersionStrategy::Custom(host.fingerprint().to_string()))
        .unwrap()
        .consume_fuel(false);
    incompatible(&Engine::new(&config).unwrap().precompile_module(&wasm).unwrap(), "no fuel");
    // What wasmtime does not check, NaN canonicalization, the fingerprint does.
    let mut config = Config::new();
    config.module_version(ModuleVersionStrategy::Custom("0".repeat(64))).unwrap();
    incompatible(&Engine::new(&config).unwrap().precompile_module(&wasm).unwrap(), "another fingerprint");
    incompatible(b"", "nothing");
    incompatible(b"not native code", "text");
    incompatible(&wasm, "the module itself");
    if TargetSpec::host() != TargetSpec::LAMBDA_X86_64 {
        incompatible(&compile(&wasm, &TargetSpec::LAMBDA_X86_64).unwrap().bytes, "another machine");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A module with some bytes altered is refused, or runs within its limits; it never breaks the host.
    #[test]
    fn altered_modules_never_break_the_host(
        alterations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let hostile = "(block (result i32)
            (loop $again (local.set $i (i32.add (local.get $i) (i32.const 3)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const 300))))
            (memory.fill (i32.const 2048) (i32.const 7) (local.get $i))
            (call $answer (i32.const 0) (i32.const 2048) (local.get $i)))";
        let mut wasm = binary(&module(hostile));
        for (index, byte) in alterations {
            *index.get_mut(&mut wasm) = byte;
        }
        if inspect(&wasm).is_ok() {
            let native = compile(&wasm, &TargetSpec::host()).unwrap();
            let host = common_host();
            match host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes)) {
                Ok(mapper) => {
                    let first = mapper.map(b"{}", &payload);
                    prop_assert!(!matches!(first, Err(MapFault::HostUnavailable { .. })), "{:?}", first);
                    prop_assert_eq!(mapper.map(b"{}", &payload), first);
                }
                Err(error) => prop_assert!(matches!(error, LoadError::Incompatible { .. }), "{}", error),
            }
        }
    }

    #[test]
    fn inspecting_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = inspect(&bytes);
        let _ = inspect(&[b"\0asm\x01\0\0\0", &bytes[..]].concat());
    }
}

/// One pool for all cases.
fn common_host() -> &'static sluice_mapper_host::Host {
    static HOST: std::sync::OnceLock<sluice_mapper_host::Host> = std::sync::OnceLock::new();
    HOST.get_or_init(host)
}

#[test]
fn a_refusal_says_what_to_do() {
    let text = module(NOTHING).replace(r#"(export "map")"#, "");
    assert_eq!(
        refused(&text).to_string(),
        "the module does not export map (a function (i32, i32, i32, i32) -> (i32))"
    );
    let host = host();
    let mapper = load(&host, &module(NOTHING));
    assert!(mapper.map(b"{}", b"ok").is_ok(), "a refused module leaves the host as it was");
}

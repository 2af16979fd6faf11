//! Small modules in WebAssembly's text, and how to load them.

#![allow(
    dead_code,
    clippy::panic,
    reason = "shared by test binaries that use it in part; a test fails by panicking"
)]

use sluice_mapper_host::{Host, Mapper, TargetSpec, TrustedDigest, compile};

/// Exports of a well-behaved module, but for `map`: a bump allocator over one page.
pub(crate) const PRELUDE: &str = r#"
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $next))
    (global.set $next (i32.add (global.get $next) (local.get 3)))
    ;; Grows as far as the input needs.
    (block $enough
      (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.div_u
        (i32.sub (i32.add (global.get $next) (i32.const 65535)) (i32.mul (memory.size) (i32.const 65536)))
        (i32.const 65536)))))
    (local.get $start))
  ;; ok(pointer, length) and err(pointer, length): the result's area at 16
  (func $answer (param $discriminant i32) (param $pointer i32) (param $length i32) (result i32)
    (i32.store8 (i32.const 16) (local.get $discriminant))
    (i32.store (i32.const 20) (local.get $pointer))
    (i32.store (i32.const 24) (local.get $length))
    (i32.const 16))
"#;

/// A module that gives its payload back, unless it begins with `X`: then it does `hostile`, instructions that leave the
/// result's pointer on the stack. `$meta`, `$meta_len`, `$payload`, `$len` are its parameters, `$i` and `$wide` locals.
pub(crate) fn module(hostile: &str) -> String {
    with(PRELUDE, hostile, "")
}

/// The same with other exports, and other fields.
pub(crate) fn with(prelude: &str, hostile: &str, fields: &str) -> String {
    format!(
        r#"(module {prelude} {fields}
  (func (export "map") (param $meta i32) (param $meta_len i32) (param $payload i32) (param $len i32) (result i32)
    (local $i i32) (local $wide i64)
    (if (i32.and (i32.gt_u (local.get $len) (i32.const 0))
                 (i32.eq (i32.load8_u (local.get $payload)) (i32.const 88)))
      (then (return {hostile})))
    (call $answer (i32.const 0) (local.get $payload) (local.get $len))))"#
    )
}

pub(crate) fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn host() -> Host {
    Host::new().unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn load(host: &Host, text: &str) -> Mapper {
    load_binary(host, &binary(text))
}

pub(crate) fn load_binary(host: &Host, wasm: &[u8]) -> Mapper {
    let native = compile(wasm, &TargetSpec::host()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(&native.fingerprint, host.fingerprint());
    host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes))
        .unwrap_or_else(|e| panic!("{e}"))
}

//! Runs untrusted mappers: core WebAssembly modules with the exports of `mappers-wasm/wit/mapper.wit`.
//!
//! This is the only crate that names wasmtime. A module goes one way through it:
//!
//! ```text
//! publishing  inspect(wasm) ─► compile(wasm, &TargetSpec) ─► NativeModule { bytes, fingerprint }      feature `compile`
//! running     Host::new() ─► Host::load_native(bytes, &TrustedDigest) ─► Mapper ─► Mapper::map(meta, payload)
//! ```
//!
//! Invariants
//! - A module has no imports, so a mapper has no clock, no randomness and no I/O: the same input gives the same output and
//!   the same fuel, on every run and every machine.
//! - Every event gets an instance of its own; nothing outlives a call, however it ended.
//! - Everything is bounded ([`limits`]), before anything is run or read.
//! - Native code is loaded only if it was compiled with the very configuration of this host ([`Host::fingerprint`]),
//!   and only if it has the digest that the caller vouches for ([`TrustedDigest`]).
//!
//! Without the feature `compile` there is no compiler in the program.
//!
//! Non-goal: contracts, schemas, storage and the judgement of what a mapper returns. Output is bytes.

mod config;
mod fault;
mod host;
mod inspect;
pub mod limits;

#[cfg(feature = "compile")]
mod compile;

#[cfg(feature = "compile")]
pub use compile::{NativeModule, compile};
pub use config::{Fingerprint, TargetSpec};
pub use fault::{LoadError, MapFault, TrapReason};
pub use host::{Host, Mapped, Mapper, TrustedDigest};
pub use inspect::{ExportName, ImportKind, ModuleReport, inspect};

//! One reader for each format of vendor messages.
//!
//! Acceptance (`sluice-core`), mappers (`mapper-sdk`, compiled to WebAssembly) and the command line read the same bytes,
//! so they must agree on what the bytes say. Each format therefore has one reader, and it is here.
//!
//! Invariants: no dependency but `core` and `alloc` as `std` has them (but for the features `zone` and `nfc`, which no mapper has), no I/O, no clock, no panic on any input; a refusal has a stable
//! `code`, a place and one sentence.
//!
//! Non-goals: what a message means (mappers), and how it is stored.

pub mod csv;
pub mod date;
pub mod decimal;
pub mod encoding;
pub mod identifier;
mod refusal;
pub mod x12;
#[cfg(feature = "zone")]
pub mod zone;

pub use refusal::{CODE_CHARS_MAX, MESSAGE_BYTES_MAX, PATH_BYTES_MAX, Refusal};

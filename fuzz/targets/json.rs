//! Bytes as JSON: the lossless reader refuses or reads, and reads the same twice.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(value) = sluice_core::json::parse(text) {
        let _ = value.to_value();
        let _ = value.canonical_digest();
    }
});

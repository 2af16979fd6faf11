//! The fixtures of this bundle, natively. The same files are run as wasm by `crates/mapper-host/tests/golden.rs`.

use mapper_sdk::golden;

#[test]
fn every_fixture_gives_what_its_file_says() {
    let ran = golden::check(env!("CARGO_MANIFEST_DIR").as_ref(), x12_ship_notice::run);
    assert!(ran >= 3, "an ordinary, an edge and a refused case at least, not {ran}");
}

/// Only what ends with a whole interchange is a file. What is in it is not changed by what was cut off.
#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for case in golden::cases(env!("CARGO_MANIFEST_DIR").as_ref()) {
        let Ok(text) = str::from_utf8(&case.payload) else { continue };
        let Ok(whole) = x12_ship_notice::run(&case.meta, &case.payload) else { continue };
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end) && text.len() < 2_000) {
            let Ok(events) = x12_ship_notice::run(&case.meta, &case.payload[..end]) else { continue };
            let rest = text[end..].trim_start();
            assert!(rest.is_empty() || rest.starts_with("ISA"), "{} cut at {end}", case.name);
            let start = events.strip_suffix(b"]").unwrap_or_default();
            assert!(whole.starts_with(start), "{} cut at {end}", case.name);
        }
    }
}

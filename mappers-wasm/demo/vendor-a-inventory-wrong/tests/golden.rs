//! The fixtures of this bundle, natively. `cargo xtask demo` runs it as wasm.

#[test]
fn every_fixture_gives_what_its_file_says() {
    let ran = mapper_sdk::golden::check(env!("CARGO_MANIFEST_DIR").as_ref(), vendor_a_inventory_wrong::run);
    assert!(ran >= 3, "an ordinary, an edge and a refused case at least, not {ran}");
}

//! The fixtures of this bundle, natively. The same files are run as wasm by `crates/mapper-host/tests/golden.rs`.

#[test]
fn every_fixture_gives_what_its_file_says() {
    let ran = mapper_sdk::golden::check(env!("CARGO_MANIFEST_DIR").as_ref(), woocommerce_order_created::run);
    assert!(ran >= 3, "an ordinary, an edge and a refused case at least, not {ran}");
}

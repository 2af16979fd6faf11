//! The fixtures of this bundle, natively. The same files are run as wasm by `crates/mapper-host/tests/golden.rs`.

#[test]
fn every_fixture_gives_what_its_file_says() {
    let ran = mapper_sdk::golden::check(env!("CARGO_MANIFEST_DIR").as_ref(), csv_stock_feed::run);
    assert!(ran >= 3, "an ordinary, an edge and a refused case at least, not {ran}");
}

/// A thousand lines like `17,R,1`, and with a description.
fn file(description: &str) -> String {
    let lines = (0..csv_stock_feed::LINES_MAX).map(|line| format!("{line},R,1,{description}\n"));
    std::iter::once("sku,warehouse,on_hand,description\n".to_owned()).chain(lines).collect()
}

#[test]
fn what_is_too_much_for_one_message_is_refused_in_the_vendors_terms() {
    let cases = mapper_sdk::golden::cases(env!("CARGO_MANIFEST_DIR").as_ref());
    let run = |file: &str| csv_stock_feed::run(&cases[0].meta, file.as_bytes()).map_err(String::from_utf8);
    assert!(run(&file("Kettle 1.7 l")).is_ok());
    let refused = run(&file(&"Kettle ".repeat(20))).expect_err("too large").expect("it is JSON");
    assert!(
        refused.starts_with(r#"{"code":"message_too_large","path":"","message":"its 1000 events come to "#),
        "{refused}"
    );
}

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

/// Far beyond what one message may have: read to the bound, in one pass.
#[test]
fn a_file_of_a_hundred_thousand_lines_is_mapped_or_refused_by_name() {
    let cases = mapper_sdk::golden::cases(env!("CARGO_MANIFEST_DIR").as_ref());
    let lines = (0..100_000).map(|line| format!("A-{line},R,{line},\"a, b\"\r\n,,,\r\n"));
    let file: String =
        std::iter::once("sku,warehouse,on_hand,description\r\n".to_owned()).chain(lines).collect();
    let refused = csv_stock_feed::run(&cases[0].meta, file.as_bytes()).expect_err("too many lines");
    let refused = String::from_utf8(refused).expect("it is JSON");
    let line = 2 * csv_stock_feed::LINES_MAX + 2;
    assert!(refused.starts_with(&format!(r#"{{"code":"lines_too_many","path":"/{line}""#)), "{refused}");
    let mut reader = mapper_sdk::csv::Reader::new(file.as_bytes()).expect("a header");
    let quantity = reader.required("on_hand").expect("a column");
    let mut sum = 0;
    while let Some(record) = reader.next_record().expect("a record") {
        let text = record.required(quantity, "on_hand").expect("a quantity");
        sum += mapper_sdk::quantity::whole(&text, String::new).expect("a number");
    }
    assert_eq!(sum, 100_000 * 99_999 / 2);
}

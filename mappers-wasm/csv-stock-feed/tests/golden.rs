//! The fixtures of this bundle, natively. The same files are run as wasm by `crates/mapper-host/tests/golden.rs`.

#[test]
fn every_fixture_gives_what_its_file_says() {
    let ran = mapper_sdk::golden::check(env!("CARGO_MANIFEST_DIR").as_ref(), csv_stock_feed::run);
    assert!(ran >= 3, "an ordinary, an edge and a refused case at least, not {ran}");
}

/// As many lines like `17,R,1` as a file may have, and `more`.
fn file(more: usize) -> String {
    let lines = (0..csv_stock_feed::LINES_MAX + more).map(|line| format!("{line},R,1\n"));
    std::iter::once("sku,warehouse,on_hand\n".to_owned()).chain(lines).collect()
}

#[test]
fn a_file_of_too_many_lines_is_refused_at_the_first_of_them() {
    let cases = mapper_sdk::golden::cases(env!("CARGO_MANIFEST_DIR").as_ref());
    let run = |file: &str| csv_stock_feed::run(&cases[0].meta, file.as_bytes()).map_err(String::from_utf8);
    assert!(run(&file(0)).is_ok());
    let refused = run(&file(1)).expect_err("too many").expect("it is JSON");
    assert!(
        refused.starts_with(
            r#"{"code":"lines_too_many","path":"/25002","message":"line 25002: a file has at most 25000"#
        ),
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

//! Samples as they come: good ones, few, many, large ones, and ones that contradict each other.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's own constants")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::CanonicalRef;
use sluice_core::json::{Json, parse};
use sluice_suggest::{Model, Proposal, Report, Transform, suggest, suit};

fn read(texts: &[String]) -> Vec<Json> {
    texts.iter().map(|text| parse(text.as_bytes()).unwrap()).collect()
}

fn report(name: &str, texts: &[String]) -> Report {
    let (name, version, schema) = SCHEMAS.iter().find(|(known, ..)| *known == name).unwrap();
    let canonical = CanonicalRef { r#type: name.parse().unwrap(), version: version.parse().unwrap() };
    suggest(&read(texts), &canonical, &serde_json::from_str(schema).unwrap(), Model::built_in())
}

fn member<'r>(report: &'r Report, name: &str) -> &'r Proposal {
    report.members.iter().find(|one| one.member == name).unwrap_or_else(|| panic!("{name} in {report:#?}"))
}

/// Right, or not asserted: never wrong.
fn right_or_abstained(report: &Report, pairs: &[(&str, &str)]) {
    for (name, from) in pairs {
        let one = member(report, name);
        assert!(one.from.is_empty() || one.from == [*from], "{name}: {:?}, not {from}", one.from);
        if one.from.is_empty() && one.required {
            assert!(report.incomplete.iter().any(|missing| missing == name), "{name} is told as incomplete");
        }
    }
}

fn german(bestand: &str) -> String {
    format!(
        r#"{{"stand":"10.01.2026 14:05","lager":[{{"lagerort":"NORD","leiter":{{"name":"J. Schmidt"}},"artikel":[
            {{"artikelnummer":"A-1","ean":"4006381333931","bezeichnung":"Kessel 1,7 l","bestand":"{bestand}","einheit":"STK"}},
            {{"artikelnummer":"A-2","ean":"4006381333931","bezeichnung":"","bestand":"7","einheit":"STK"}}]}}]}}"#
    )
}

#[test]
fn the_nested_german_stock_feed_is_right_or_abstains() {
    let report = report("InventoryUpdated", &[german("1.234"), german("12")]);
    assert_eq!(report.each, "/lager/*/artikel/*");
    right_or_abstained(
        &report,
        &[
            ("warehouseId", "/lager/*/lagerort"),
            ("sku", "/lager/*/artikel/*/artikelnummer"),
            ("quantityOnHand", "/lager/*/artikel/*/bestand"),
        ],
    );
    // What is not asserted is the first thing that is offered.
    let sku = member(&report, "sku");
    assert!(
        !sku.from.is_empty() || sku.alternatives[0].from == "/lager/*/artikel/*/artikelnummer",
        "{sku:#?}"
    );
}

fn order(price: &str, total: &str) -> String {
    format!(
        r#"{{"order_id":"1001","currency":"EUR","created_at":"2026-01-10T14:03:22Z","items":[
            {{"id":"1","sku":"A-1","name":"Kettle big","quantity":2,"unit_price":{price},"total":{total}}},
            {{"id":"2","sku":"A-2","name":"Cup small","quantity":3,"unit_price":{price},"total":{total}}}]}}"#
    )
}

#[test]
fn one_sample_is_enough_for_what_names_and_classes_tell() {
    let report = report("OrderPlaced", &[order("10.50", "21.00")]);
    right_or_abstained(
        &report,
        &[
            ("currency", "/currency"),
            ("orderId", "/order_id"),
            ("lines[].sku", "/items/*/sku"),
            ("lines[].quantity", "/items/*/quantity"),
        ],
    );
    assert_eq!(report.lists["lines[]"], "/items/*");
    assert!(
        report.incomplete.iter().any(|one| one == "test"),
        "what no sample says is not invented: {:?}",
        report.incomplete
    );
}

#[test]
fn a_vendor_whose_unit_changes_is_not_believed() {
    let same = report("OrderPlaced", &[order("10.50", "21.00"), order("7.25", "14.50")]);
    let changed = report("OrderPlaced", &[order("10.50", "21.00"), order("1050", "2100")]);
    let price = member(&changed, "lines[].unitPriceMinor");
    assert!(price.from.is_empty(), "{price:#?}");
    assert!(price.proof.violations[0].contains("its unit changes"), "{price:#?}");
    assert!(
        !member(&same, "lines[].unitPriceMinor")
            .proof
            .violations
            .iter()
            .any(|why| why.contains("unit changes"))
    );
}

#[test]
fn samples_that_contradict_each_other_lower_what_is_believed_and_say_why() {
    let stock = |qty: &str| format!(r#"{{"sku":"A-1","warehouse":"R","on_hand":{qty}}}"#);
    let good: Vec<String> = (0..10).map(|at| stock(&at.to_string())).collect();
    let mut bad = good.clone();
    bad.push(stock("-4"));
    let (good, bad) = (report("InventoryUpdated", &good), report("InventoryUpdated", &bad));
    let (good, bad) = (member(&good, "quantityOnHand"), member(&bad, "quantityOnHand"));
    assert_eq!((good.proof.samples, good.proof.satisfied), (10, 10));
    assert_eq!((bad.proof.samples, bad.proof.satisfied), (11, 10), "{bad:#?}");
    assert!(
        bad.confidence < good.confidence && bad.proof.violations[0].starts_with("sample 11:"),
        "{bad:#?}"
    );
}

#[test]
fn the_same_name_at_five_depths_is_told_apart_by_the_list() {
    let text = r#"{"id":"x","a":{"id":"y"},"orders":[{"id":"z","sku":"A","warehouse":"R","on_hand":4,"b":{"id":"u","c":[{"id":"v"}]}},
        {"id":"w","sku":"B","warehouse":"R","on_hand":5,"b":{"id":"t","c":[{"id":"s"}]}}]}"#;
    let report = report("InventoryUpdated", &[text.to_owned()]);
    right_or_abstained(
        &report,
        &[
            ("sku", "/orders/*/sku"),
            ("warehouseId", "/orders/*/warehouse"),
            ("quantityOnHand", "/orders/*/on_hand"),
        ],
    );
    assert_eq!(report.each, "/orders/*");
}

#[test]
fn five_hundred_samples_and_five_mebibytes_end_in_time() {
    let many: Vec<String> =
        (0..500).map(|at| order(&format!("{at}.50"), &format!("{}.00", 2 * at + 1))).collect();
    let started = Instant::now();
    let found = report("OrderPlaced", &many);
    assert_eq!((found.samples, member(&found, "currency").proof.satisfied), (500, 500));
    let mut large = String::from(r#"{"warehouse":"R","items":["#);
    for at in 0..65_000 {
        let comma = if at == 0 { "" } else { "," };
        write!(
            large,
            r#"{comma}{{"sku":"ART-{at:06}","on_hand":{at},"description":"an article of ours, number {at}"}}"#
        )
        .unwrap();
    }
    large.push_str("]}");
    assert!(large.len() > 5 * 1024 * 1024, "{}", large.len());
    let found = report("InventoryUpdated", &[large]);
    assert_eq!(found.each, "/items/*");
    right_or_abstained(&found, &[("sku", "/items/*/sku"), ("quantityOnHand", "/items/*/on_hand")]);
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[test]
fn nothing_is_asserted_of_what_says_nothing_and_the_same_samples_give_the_same() {
    let noise = r#"{"foo":"x1","bar":{"baz":true},"list":[1,2,3]}"#.to_owned();
    let one = report("InventoryUpdated", std::slice::from_ref(&noise));
    assert!(one.members.iter().all(|member| member.from.is_empty()), "{one:#?}");
    assert_eq!(one.incomplete, ["warehouseId", "sku", "quantityOnHand"]);
    let again = report("InventoryUpdated", &[noise]);
    assert_eq!(serde_json::to_value(&one).unwrap(), serde_json::to_value(&again).unwrap());
}

#[test]
fn the_type_is_suggested_too() {
    let first = |text: &str| {
        suit(&read(&[text.to_owned()]), Model::built_in()).first().expect("one").0.r#type.to_string()
    };
    assert_eq!(first(&order("10.50", "21.00")), "OrderPlaced");
    assert_eq!(first(r#"{"sku":"A-1","warehouse":"ROA","on_hand":12}"#), "InventoryUpdated");
    assert_eq!(
        first(
            r#"{"order":{"id":"9","number":"M-1"},"cancelled_at":"2026-01-10T14:03:22Z","cancel_reason":"customer"}"#
        ),
        "OrderCancelled"
    );
}

#[test]
fn words_of_theirs_are_mapped_and_amounts_are_scaled_by_their_currency() {
    let text = |currency: &str, amount: &str| {
        format!(
            r#"{{"order_id":"1","currency":"{currency}","refund_amount":"{amount}","cancelled_at":"2026-01-10T14:03:22Z"}}"#
        )
    };
    let report = report("OrderCancelled", &[text("EUR", "9.90"), text("KWD", "1.250")]);
    let refund = member(&report, "refundedMinor");
    assert_eq!(refund.proof.satisfied, refund.proof.samples, "{refund:#?}");
    assert!(
        refund.from.is_empty() || matches!(refund.transform, Some(Transform::Scale { .. })),
        "{refund:#?}"
    );
}

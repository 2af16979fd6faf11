//! Orders as Shopify's webhook `orders/create` sends them, of four sizes: one vendor's shape, with more and more lines.
//!
//! They are made from the bundle's fixture `ordinary-compact`, whose lines are repeated with ids, articles, quantities and prices of
//! their own, so that no two lines are alike and money is not always round.

use serde_json::{Value, json};

/// An order of about so many bytes.
pub(crate) struct Payload {
    /// As the table names it.
    pub(crate) name: &'static str,
    /// The message.
    pub(crate) bytes: Vec<u8>,
}

/// The four sizes; each is the largest order that is not above the bound.
pub(crate) fn payloads(fixture: &[u8]) -> Vec<Payload> {
    let order: Value = serde_json::from_slice(fixture).expect("the fixture is JSON");
    let of = |name, bytes_max| {
        let (mut lines, mut bytes) = (1, with_lines(&order, 1));
        loop {
            let more = with_lines(&order, lines + 1);
            if more.len() > bytes_max {
                return Payload { name, bytes };
            }
            (lines, bytes) = (lines + 1, more);
        }
    };
    vec![
        Payload { name: "0.5 KB", bytes: small(&order) },
        of("3 KB", 3_100),
        of("30 KB", 30_000),
        of("250 KB", 250_000),
    ]
}

/// What a shop without addresses, shipping and taxes sends.
fn small(order: &Value) -> Vec<u8> {
    let mut order = order.clone();
    let members = order.as_object_mut().expect("an order");
    let left_out =
        ["billing_address", "shipping_address", "total_shipping_price_set", "customer", "phone", "note"];
    for member in left_out.into_iter().chain(["tags", "presentment_currency", "total_tip_received"]) {
        members.remove(member);
    }
    for list in ["shipping_lines", "discount_codes", "tax_lines"] {
        members.insert(list.to_owned(), json!([]));
    }
    let mut line = line(&order, 0);
    for member in ["properties", "vendor", "grams", "total_discount", "variant_title"] {
        line.as_object_mut().expect("a line").remove(member);
    }
    line["tax_lines"] = json!([]);
    line["discount_allocations"] = json!([]);
    order["line_items"] = json!([line]);
    serde_json::to_vec(&order).expect("JSON")
}

fn with_lines(order: &Value, count: usize) -> Vec<u8> {
    let mut order = order.clone();
    let lines: Vec<Value> = (0..count).map(|number| line(&order, number)).collect();
    order["line_items"] = lines.into();
    serde_json::to_vec(&order).expect("JSON")
}

/// A line like one of the fixture's.
fn line(order: &Value, number: usize) -> Value {
    let originals = order["line_items"].as_array().expect("lines");
    let mut line = originals[number % originals.len()].clone();
    let quantity = number % 7 + 1;
    let cents = (number * 1_237 + 435) % 99_991;
    line["id"] = json!(866_550_311_766_439_020_u64 + number as u64);
    line["product_id"] = json!(632_910_392 + number);
    line["variant_id"] = json!(808_950_810 + number);
    line["sku"] = json!(format!("ABC-{number:03}"));
    line["quantity"] = json!(quantity);
    line["price"] = json!(decimal(cents));
    line["tax_lines"] =
        json!([{"title": "State Tax", "price": decimal(cents * quantity * 6 / 100), "rate": 0.06}]);
    line
}

fn decimal(cents: usize) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

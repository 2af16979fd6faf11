//! Large messages from outside: up to 5 MiB by `/v1/uploads`, an order of 500 lines, a stock file of 20,000 lines applied and audited.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]
#![expect(clippy::print_stdout, reason = "measurements, for docs/performance.md")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use sluice_core::contract::{Encoding, Signature};
use sluice_core::limits::{BODY_BYTES_MAX, EVENTS_PER_MESSAGE_MAX, INFLATED_BYTES_MAX, UPLOAD_BYTES_MAX};
use sluice_core::signature::sign_body;
use sluice_tests::Dev;

/// How long a large event may take to be normalized and applied: generous, since a loaded machine is slow.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);

/// A vendor whose messages are signed by a scheme over the body.
struct Vendor {
    name: &'static str,
    scheme: Signature,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
}

fn shopify(delivery: &str) -> Vendor {
    Vendor {
        name: "shopify-store",
        scheme: Signature::Shopify,
        content_type: "application/json",
        headers: vec![
            ("x-shopify-topic", "orders/create".to_owned()),
            ("x-shopify-webhook-id", delivery.to_owned()),
        ],
    }
}

fn stock_feed() -> Vendor {
    // As the contract of csv-stock-feed has it.
    let contract =
        std::fs::read_to_string(sluice_tests::root().join("mappers-wasm/csv-stock-feed/mapper.toml"))
            .unwrap();
    let contract: toml::Table = contract.parse().unwrap();
    let signature = &contract["signature"];
    let text = |name: &str| signature.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let encoding = if text("encoding") == "base64" { Encoding::Base64 } else { Encoding::Hex };
    Vendor {
        name: "csv-warehouse",
        scheme: Signature::Hmac { header: text("header"), encoding, prefix: text("prefix") },
        content_type: "text/csv",
        headers: Vec::new(),
    }
}

impl Vendor {
    async fn send(&self, dev: &Dev, path: &str, body: Vec<u8>, gzip: bool) -> (u16, Value) {
        let mut request = Client::new().post(format!("{}/v1/{path}/{}", dev.api(), self.name));
        request = request.header("content-type", self.content_type);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if gzip {
            request = request.header("content-encoding", "gzip");
        }
        let (name, value) = sign_body(&self.scheme, &format!("{}-dev-secret", self.name), &body).unwrap();
        let answer = request.header(name, value).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// The receipt, once the event is no longer in flight.
async fn settled(dev: &Dev, vendor: &Vendor, accepted: &Value) -> Value {
    let started = Instant::now();
    loop {
        let url = format!("{}/v1/events/{}", dev.api(), accepted["ingestId"].as_str().unwrap());
        let answer = Client::new()
            .get(url)
            .header("x-api-key", format!("{}-dev-key", vendor.name))
            .send()
            .await
            .unwrap();
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        if status == 200 && body["status"] != "RECEIVED" {
            return body;
        }
        assert!(started.elapsed() < SETTLED_WITHIN, "{status} {body}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn sluice(dev: &Dev, arguments: &[&str]) -> Value {
    let output = dev.sluice(&[&["--json"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An order of so many lines of 2 x 18.50 USD, each `padding` bytes longer than it need be.
fn order(id: u64, lines: u64, padding: usize) -> Vec<u8> {
    let total = format!("{}.00", 37 * lines);
    let line = |number: u64| {
        json!({"id": 14_550_000_000_000_u64 + number, "title": "Heavyweight crew sweatshirt", "name": "Heavyweight crew sweatshirt - L",
            "sku": format!("CREW-{number:03}-L"), "quantity": 2, "price": "18.50", "taxable": true, "requires_shipping": true,
            "gift_card": false, "grams": 340, "total_discount": "0.00", "tax_lines": [], "discount_allocations": [], "duties": [],
            "properties": [{"name": "Padding", "value": "x".repeat(padding)}]})
    };
    let lines: Vec<Value> = (0..lines).map(line).collect();
    let order = json!({"id": id, "name": format!("#W{id}"), "order_number": id, "created_at": "2026-11-28T10:15:00+00:00",
        "processed_at": "2026-11-28T10:15:00+00:00", "updated_at": "2026-11-28T10:15:01+00:00", "currency": "USD",
        "presentment_currency": "USD", "taxes_included": false, "test": false, "financial_status": "pending",
        "fulfillment_status": null, "line_items": lines, "shipping_lines": [], "tax_lines": [], "discount_codes": [], "refunds": [],
        "subtotal_price": total, "total_line_items_price": total, "total_price": total, "total_tax": "0.00",
        "total_discounts": "0.00"});
    serde_json::to_vec(&order).unwrap()
}

fn stock_file(lines: usize, first_quantity: usize) -> Vec<u8> {
    let mut file = b"sku,warehouse,on_hand\n".to_vec();
    for line in 0..lines {
        writeln!(file, "SKU-{line:06},BER,{}", first_quantity + line % 1_000).unwrap();
    }
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_large_order_is_taken_by_uploads_and_answered_as_by_sources() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let vendor = shopify("d-500");
    let body = order(6_200_000_000_500, 500, 400);
    assert!(body.len() > 300_000, "{}", body.len());
    // By the path for small messages: what the limit is, and what to do.
    let (status, refused) = vendor.send(&dev, "sources", body.clone(), false).await;
    assert_eq!(status, 413, "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(&BODY_BYTES_MAX.to_string()) && detail.contains("/v1/uploads/"), "{detail}");

    let (status, accepted) = vendor.send(&dev, "uploads", body.clone(), false).await;
    assert_eq!((status, &accepted["status"]), (202, &"ACCEPTED".into()), "{accepted}");
    let receipt = settled(&dev, &vendor, &accepted).await;
    assert_eq!(receipt["status"], "NORMALIZED", "{receipt}");
    // The same again, by either path and either size: one event.
    let (status, again) = vendor.send(&dev, "uploads", body.clone(), false).await;
    assert_eq!((status, &again["ingestId"]), (200, &accepted["ingestId"]), "{again}");
    assert_eq!(vendor.send(&dev, "sources", body.clone(), false).await.0, 413);
    // Unproved: as by sources, and nothing is kept.
    let mut changed = body.clone();
    *changed.last_mut().unwrap() = b' ';
    let unsigned = Client::new().post(format!("{}/v1/uploads/shopify-store", dev.api()));
    let unsigned = unsigned.header("content-type", "application/json").body(changed).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 401);
    let small = shopify("d-1");
    assert_eq!(small.send(&dev, "uploads", order(1, 1, 0), false).await.0, 202, "a small one is as welcome");
    assert_eq!(
        small.send(&dev, "sources", order(1, 1, 0), false).await.0,
        200,
        "and is the same event by either path"
    );
}

#[tokio::test]
async fn five_mebibytes_are_taken_and_one_byte_more_is_413() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let vendor = shopify("d-5mib");
    let lean = order(6_200_000_000_005, 500, 0).len();
    let mut body = order(6_200_000_000_005, 500, (UPLOAD_BYTES_MAX - lean) / 500);
    body.resize(UPLOAD_BYTES_MAX, b' ');
    let (status, accepted) = vendor.send(&dev, "uploads", body.clone(), false).await;
    assert_eq!(status, 202, "{accepted}");
    let receipt = settled(&dev, &vendor, &accepted).await;
    assert_eq!(receipt["status"], "NORMALIZED", "{receipt}");
    let (status, accepted) = shopify("d-gz").send(&dev, "uploads", gzip(&body), true).await;
    assert!(matches!(status, 200 | 202), "5 MiB after inflating: {status} {accepted}");

    body.push(b' ');
    let (status, refused) = vendor.send(&dev, "uploads", body.clone(), false).await;
    assert_eq!(status, 413, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains(&UPLOAD_BYTES_MAX.to_string()), "{refused}");
    assert_eq!(vendor.send(&dev, "sources", body.clone(), false).await.0, 413);
    // Compressed it is small enough to come in, and inflates to more than may be.
    for path in ["uploads", "sources"] {
        let (status, refused) = shopify("d-bomb").send(&dev, path, gzip(&vec![b' '; 64 << 20]), true).await;
        assert_eq!(status, 413, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(&INFLATED_BYTES_MAX.to_string()), "{refused}");
    }
}

#[tokio::test]
async fn a_stock_file_of_twenty_thousand_lines_is_applied_and_audited() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let vendor = stock_feed();
    let file = stock_file(20_000, 0);
    let started = Instant::now();
    let (status, accepted) = vendor.send(&dev, "uploads", file, false).await;
    assert_eq!(status, 202, "{accepted}");
    let receipt = settled(&dev, &vendor, &accepted).await;
    assert_eq!(receipt["status"], "NORMALIZED", "{receipt}");
    let normalized_after = started.elapsed();
    let last = "inventory#BER#SKU-019999";
    loop {
        let output = dev.sluice(&["--json", "state", "show", last]).output().unwrap();
        if output.status.success() {
            break;
        }
        assert!(started.elapsed() < SETTLED_WITHIN, "{}", String::from_utf8_lossy(&output.stderr));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let applied_after = started.elapsed();
    let report = sluice(&dev, &["audit"]);
    assert_eq!((&report["losses"], &report["findings"]), (&0.into(), &json!([])), "{report}");
    assert!(report["states"].as_u64().unwrap() >= 20_000, "{report}");
    println!(
        "20,000 lines: normalized after {normalized_after:?}, applied after {applied_after:?}, peak memory of the process {:?} bytes",
        dev.peak_memory_bytes()
    );

    // A file of more lines than a message may carry is kept, and refused by name.
    let (status, accepted) = vendor.send(&dev, "uploads", stock_file(100_000, 0), false).await;
    assert_eq!(status, 202, "{accepted}");
    let receipt = settled(&dev, &vendor, &accepted).await;
    assert_eq!(receipt["status"], "QUARANTINED", "{receipt}");
    let message = receipt["quarantine"]["message"].as_str().unwrap();
    assert!(message.contains(&EVENTS_PER_MESSAGE_MAX.to_string()), "{message}");
    println!("with 100,000 lines refused: {:?} bytes", dev.peak_memory_bytes());
}

//! What vendors send and ask, from outside: orders and their window, messages in vendors' own forms, receipts, a disabled vendor.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sluice_core::contract::{Encoding, Signature};
use sluice_core::jiff::Timestamp;
use sluice_core::signature::sign_body;
use sluice_tests::{Dev, root};

/// How long an event may take to be normalized: generous, since a loaded machine is slow.
const NORMALIZED_WITHIN: Duration = Duration::from_secs(60);

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}"))
}

/// The receipt, once the event is no longer in flight.
async fn settled(dev: &Dev, key: &str, ingest_id: &str) -> Value {
    let started = Instant::now();
    loop {
        let url = format!("{}/v1/events/{ingest_id}", dev.api());
        let (status, body) = answer(Client::new().get(url).header("x-api-key", key)).await;
        if status == 200 && body["status"] != "RECEIVED" {
            return body;
        }
        assert!(started.elapsed() < NORMALIZED_WITHIN, "{status} {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn sluice(dev: &Dev, arguments: &[&str]) -> Value {
    let output = dev.sluice(&[&["--json"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a script does that starts it in the background: waits for `/healthz`, then sends at once.
#[tokio::test]
async fn once_it_says_that_it_is_well_every_example_vendor_is_known() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = std::process::Command::new(sluice_tests::program("sluice"));
    command.current_dir(root()).args([
        "--json",
        "dev",
        "--ephemeral",
        "--examples",
        "--aws-port",
        "0",
        "--port",
    ]);
    let mut child = command.arg(port.to_string()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let client = Client::new();
    let mut answers = BTreeSet::new();
    loop {
        let health = client.get(format!("http://127.0.0.1:{port}/healthz")).send().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Ok(health) = health else { continue };
        answers.insert(health.status().as_u16());
        if health.status().is_success() {
            break;
        }
    }
    let event = std::fs::read(root().join("examples/vendorA-inventory.json")).unwrap();
    let request =
        client.post(format!("http://127.0.0.1:{port}/v1/events")).header("x-api-key", "vendorA-dev-key");
    let (status, body) = answer(request.header("content-type", "application/json").body(event)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(status, 202, "{body}");
    assert_eq!(answers, BTreeSet::from([200, 503]));
}

mod orders {
    use super::*;

    const KEY: &str = "storefront-dev-key";
    const WINDOW_SECONDS: i64 = 15;

    fn example() -> Value {
        serde_json::from_slice(&std::fs::read(root().join("examples/order.json")).unwrap()).unwrap()
    }

    fn post(dev: &Dev, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = Client::new().post(format!("{}/v1/orders", dev.api()));
        request.header("x-api-key", KEY).header("content-type", "application/json").body(body)
    }

    fn seconds_since(body: &Value) -> f64 {
        let received: Timestamp = text(body, "receivedAt").parse().unwrap();
        Timestamp::now().duration_since(received).as_secs_f64()
    }

    #[tokio::test]
    async fn the_same_order_is_one_within_its_window_and_another_after_it() {
        let dev = Dev::start(&["--ephemeral", "--examples"]);
        let order = example().to_string();
        let racing: Vec<_> = (0..8).map(|_| tokio::spawn(answer(post(&dev, order.clone())))).collect();
        let mut answers = Vec::new();
        for one in racing {
            answers.push(one.await.unwrap());
        }
        let accepted: Vec<_> = answers.iter().filter(|(status, _)| *status == 202).collect();
        assert_eq!(accepted.len(), 1, "{answers:?}");
        let first = accepted[0].1.clone();
        for (status, body) in &answers {
            assert!(matches!(status, 200 | 202), "{status} {body}");
            assert_eq!(body["ingestId"], first["ingestId"]);
        }
        let receipt = settled(&dev, KEY, text(&first, "ingestId")).await;
        assert_eq!(
            (&receipt["status"], &receipt["eventType"]),
            (&json!("NORMALIZED"), &json!("order.placed"))
        );

        // Late in the window, by the clock that counts.
        let late = Duration::from_secs_f64((13.0 - seconds_since(&first)).max(0.0));
        tokio::time::sleep(late).await;
        let (status, body) = answer(post(&dev, order.clone())).await;
        if seconds_since(&first) < WINDOW_SECONDS as f64 {
            assert_eq!((status, &body["ingestId"]), (200, &first["ingestId"]), "{body}");
        }
        let over = Duration::from_secs_f64((15.1 - seconds_since(&first)).max(0.0));
        tokio::time::sleep(over).await;
        let (_, second) = answer(post(&dev, order)).await;
        assert_ne!(second["ingestId"], first["ingestId"], "a new order");
        let gap = text(&second, "receivedAt").parse::<Timestamp>().unwrap()
            - text(&first, "receivedAt").parse::<Timestamp>().unwrap();
        assert!(gap.total(sluice_core::jiff::Unit::Second).unwrap() >= WINDOW_SECONDS as f64, "{gap}");
        settled(&dev, KEY, text(&second, "ingestId")).await;

        let listed = sluice(&dev, &["ls", "--vendor", "storefront"]);
        let held: BTreeSet<&str> =
            listed["events"].as_array().unwrap().iter().map(|event| text(event, "ingestId")).collect();
        assert_eq!(held, BTreeSet::from([text(&first, "ingestId"), text(&second, "ingestId")]), "both stay");
        let balance = sluice(&dev, &["balance", "--wait"]);
        assert_eq!((&balance["normalized"], &balance["balanced"]), (&json!(2), &json!(true)), "{balance}");
    }

    #[tokio::test]
    async fn the_rules_and_the_limit_hold_before_anything_is_stored() {
        let dev = Dev::start(&["--ephemeral", "--examples"]);
        let padded = |bytes: usize| {
            let order = example().to_string();
            format!("{order}{}", " ".repeat(bytes - order.len()))
        };
        let (status, body) = answer(post(&dev, padded(1_025))).await;
        assert_eq!((status, text(&body, "type")), (413, "urn:sluice:problem:body-too-large"));
        assert_eq!(answer(post(&dev, padded(1_024))).await.0, 202);

        for (quantity, expected) in [(0, 400), (1, 202), (100, 202), (101, 400)] {
            let mut order = example();
            order["lines"][0]["quantity"] = quantity.into();
            let (status, body) = answer(post(&dev, order.to_string())).await;
            assert_eq!(status, expected, "{quantity}: {body}");
            if expected == 400 {
                assert_eq!(body["errors"][0]["pointer"], "/lines/0/quantity");
            }
        }
        let mut order = example();
        order["orderId"] = "7".into();
        order["currency"] = "XYZ".into();
        order["lines"] = json!([]);
        let (status, body) = answer(post(&dev, order.to_string())).await;
        assert_eq!(
            (status, body["errors"].as_array().unwrap().len()),
            (400, 3),
            "every fault at once: {body}"
        );
        let balance = sluice(&dev, &["balance", "--wait"]);
        assert_eq!((&balance["accepted"], &balance["normalized"]), (&json!(3), &json!(3)), "{balance}");
    }
}

mod receipts {
    use super::*;

    #[tokio::test]
    async fn a_vendor_sees_its_own_events_and_what_is_wrong_with_them() {
        let dev = Dev::start(&["--ephemeral", "--examples"]);
        let send = async |file: &str| {
            let body = std::fs::read(root().join("examples").join(file)).unwrap();
            let request = Client::new().post(format!("{}/v1/events", dev.api())).body(body);
            let request =
                request.header("x-api-key", "vendorA-dev-key").header("content-type", "application/json");
            let (status, body) = answer(request).await;
            assert_eq!(status, 202, "{body}");
            text(&body, "ingestId").to_owned()
        };
        let good = settled(&dev, "vendorA-dev-key", &send("vendorA-inventory.json").await).await;
        assert_eq!((&good["status"], &good["externalEventId"]), (&json!("NORMALIZED"), &json!("evt-1001")));
        assert!(good["normalizedAt"].is_string() && good.get("quarantine").is_none(), "{good}");

        let id = send("vendorA-inventory-renamed.json").await;
        let bad = settled(&dev, "vendorA-dev-key", &id).await;
        assert_eq!(
            (&bad["status"], &bad["quarantine"]["code"]),
            (&json!("QUARANTINED"), &json!("payload_schema_violation"))
        );
        assert_eq!(bad["quarantine"]["errors"][0]["pointer"], "/payload/qty", "{bad}");

        let get = |id: &str, key: &str| {
            Client::new().get(format!("{}/v1/events/{id}", dev.api())).header("x-api-key", key)
        };
        let (status, body) = answer(get(&id, "shopify-demo-dev-key")).await;
        assert_eq!((status, text(&body, "type")), (404, "urn:sluice:problem:not-found"), "another vendor's");
        assert_eq!(answer(get("01KF0Q4S8R6D1ZJ8W9T3C5V7XN", "vendorA-dev-key")).await.0, 404);
        assert_eq!(answer(get("nonsense", "vendorA-dev-key")).await.0, 404);
        assert_eq!(answer(get(&id, "nobody's")).await.0, 401);

        let body = std::fs::read(root().join("examples/vendorA-inventory.json")).unwrap();
        sluice(&dev, &["vendors", "disable", "vendorA"]);
        let started = Instant::now();
        loop {
            let request = Client::new().post(format!("{}/v1/events", dev.api())).body(body.clone());
            let request =
                request.header("x-api-key", "vendorA-dev-key").header("content-type", "application/json");
            match answer(request).await {
                (403, refused) => {
                    break assert_eq!(text(&refused, "type"), "urn:sluice:problem:vendor-disabled");
                }
                (status, body) => assert_eq!(status, 200, "a duplicate while the caches last: {body}"),
            }
            assert!(started.elapsed() < NORMALIZED_WITHIN);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(answer(get(&id, "vendorA-dev-key")).await.0, 403);
        assert_eq!(
            sluice(&dev, &["ls", "--vendor", "vendorA"])["events"].as_array().unwrap().len(),
            2,
            "its history stays"
        );
        assert_eq!(sluice(&dev, &["vendors", "enable", "vendorA"])["enabled"], true);
    }
}

/// Vendors with contracts of their own, in a folder as the repository is one.
mod sources {
    use super::*;

    const SQUARE_URL: &str = "https://sluice.example.com/v1/sources/square";
    const ISA: &str = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260115*1030*U*00401*000000905*0*P*>~";
    const STOCK: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-15T10:30:00Z","data":{"quantityOnHand":12,"sku":"ABC-001","warehouseId":"ROA"}}]"#;

    fn hmac() -> Signature {
        Signature::Hmac {
            header: "X-Stock-Signature".into(),
            encoding: Encoding::Hex,
            prefix: "sha256=".into(),
        }
    }

    /// A mapper that gives back its payload, whatever it is called.
    fn echo() -> Vec<u8> {
        wat::parse_str(
            r#"(module (memory (export "memory") 17)
                (global $top (mut i32) (i32.const 1024))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                  (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
                (func (export "map") (param i32 i32 i32 i32) (result i32)
                  (i32.store8 (i32.const 16) (i32.const 0))
                  (i32.store (i32.const 20) (local.get 2)) (i32.store (i32.const 24) (local.get 3)) (i32.const 16)))"#,
        )
        .unwrap()
    }

    /// A mapper that says the same of every message.
    fn constant(output: &str) -> Vec<u8> {
        wat::parse_str(format!(
            r#"(module (memory (export "memory") 17) (data (i32.const 1024) "{}")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
                (func (export "map") (param i32 i32 i32 i32) (result i32)
                  (i32.store8 (i32.const 16) (i32.const 0))
                  (i32.store (i32.const 20) (i32.const 1024)) (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
            output.replace('"', "\\\""),
            output.len()
        ))
        .unwrap()
    }

    fn bundle(root: &Path, name: &str, contract: &str, canonical: &str, module: &[u8], schema: &[u8]) {
        let folder = root.join("mappers-wasm").join(name);
        std::fs::create_dir_all(folder.join("schema")).unwrap();
        std::fs::create_dir_all(root.join("target/mappers")).unwrap();
        let contract = format!("{contract}\n[canonical]\ntype = \"{canonical}\"\nversion = \"1.0\"\n");
        std::fs::write(folder.join("mapper.toml"), contract).unwrap();
        std::fs::write(folder.join("schema/1.schema.json"), schema).unwrap();
        std::fs::write(root.join("target/mappers").join(format!("{name}.wasm")), module).unwrap();
    }

    fn install(home: &Path) {
        let built = |name: &str| {
            let path = root().join("target/mappers").join(format!("{name}.wasm"));
            std::fs::read(&path)
                .unwrap_or_else(|error| panic!("{}: {error}: cargo xtask build-mappers", path.display()))
        };
        let schema = |name: &str| {
            std::fs::read(root().join("mappers-wasm").join(name).join("schema/1.schema.json")).unwrap()
        };
        let json = "[payload]\nversions = { 1 = 'schema/1.schema.json' }\n";
        let contract = |vendor: &str, event_type: &str, rest: &str| {
            format!("vendorId = '{vendor}'\neventType = '{event_type}'\n{rest}")
        };
        bundle(
            home,
            "shop-orders",
            &contract(
                "shop",
                "orders/create",
                &format!(
                    "{json}[envelope]\neventType = {{ header = 'X-Shopify-Topic' }}\nexternalEventId = [{{ pointer = '/id' }}, {{ digest = true }}]\ndeliveryId = {{ header = 'X-Shopify-Webhook-Id' }}\noccurredAt = {{ pointer = '/updated_at' }}\nexpect = [{{ pointer = '/line_items', present = true }}]\n[signature]\nscheme = 'shopify'\n"
                ),
            ),
            "OrderPlaced",
            &built("shopify-orders"),
            &schema("shopify-orders"),
        );
        bundle(
            home,
            "square-counts",
            &contract(
                "square",
                "inventory.count.updated",
                &format!(
                    "{json}[envelope]\neventType = {{ pointer = '/type' }}\nexternalEventId = {{ pointer = '/event_id' }}\noccurredAt = {{ pointer = '/created_at' }}\n[signature]\nscheme = 'square'\nurl = '{SQUARE_URL}'\n"
                ),
            ),
            "InventoryUpdated",
            &built("signed-demo-stock"),
            &schema("signed-demo-stock"),
        );
        bundle(
            home,
            "woo-stock",
            &contract(
                "woo",
                "stock.updated",
                &format!(
                    "{json}[envelope]\neventType = {{ header = 'X-WC-Webhook-Topic' }}\nexternalEventId = {{ pointer = '/id' }}\noccurredAt = {{ pointer = '/date_modified_gmt', zone = 'utc' }}\nexpect = [{{ pointer = '/id', present = true }}]\n[signature]\nscheme = 'woocommerce'\n"
                ),
            ),
            "InventoryUpdated",
            &built("signed-demo-stock"),
            &schema("signed-demo-stock"),
        );
        bundle(
            home,
            "feed-csv",
            &contract(
                "feed",
                "stock.csv",
                "[payload]\nformat = 'csv'\n[envelope]\neventType = { constant = 'stock.csv' }\nexternalEventId = { digest = true }\noccurredAt = { received = true }\n[signature]\nscheme = 'hmac'\nheader = 'X-Stock-Signature'\nencoding = 'hex'\nprefix = 'sha256='\n",
            ),
            "InventoryUpdated",
            &echo(),
            b"{}",
        );
        for code in ["846", "850"] {
            bundle(
                home,
                &format!("edi-{code}"),
                &contract(
                    "edi",
                    code,
                    "[payload]\nformat = 'x12'\n[envelope]\neventType = { x12 = 'ST01' }\nexternalEventId = { x12 = 'ISA13' }\noccurredAt = { x12 = 'ISA09+ISA10' }\n",
                ),
                "InventoryUpdated",
                &constant(STOCK),
                b"{}",
            );
        }
        let vendors = ["shop", "square", "woo", "feed", "edi"].map(|vendor| {
            let mut registered = json!({"vendorId": vendor, "apiKey": format!("{vendor}-dev-key")});
            if vendor != "edi" {
                registered["webhookSecret"] = format!("{vendor}-dev-secret").into();
            }
            registered
        });
        std::fs::create_dir_all(home.join("examples")).unwrap();
        std::fs::write(home.join("examples/vendors.json"), json!(vendors).to_string()).unwrap();
    }

    struct Message<'a> {
        vendor: &'a str,
        scheme: Option<Signature>,
        content_type: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: Vec<u8>,
    }

    impl Message<'_> {
        /// Signed as the vendor signs, then perhaps changed on its way.
        async fn send(&self, dev: &Dev, change: impl FnOnce(&mut Vec<u8>)) -> (u16, Value) {
            let mut request = Client::new().post(format!("{}/v1/sources/{}", dev.api(), self.vendor));
            request = request.header("content-type", self.content_type);
            for (name, value) in self.headers {
                request = request.header(*name, *value);
            }
            if let Some(scheme) = &self.scheme {
                let secret = format!("{}-dev-secret", self.vendor);
                let (name, value) = sign_body(scheme, &secret, &self.body).unwrap();
                request = request.header(name, value);
            }
            let mut body = self.body.clone();
            change(&mut body);
            answer(request.body(body)).await
        }
    }

    #[tokio::test]
    async fn every_vendor_sends_as_it_does_and_one_byte_changed_is_refused() {
        let home = tempfile::tempdir().unwrap();
        install(home.path());
        let examples = home.path().join("examples");
        let dev = Dev::start(&["--ephemeral", "--examples", "--examples-dir", examples.to_str().unwrap()]);

        let shopify: Value =
            serde_json::from_slice(&std::fs::read(root().join("examples/shopify-order.json")).unwrap())
                .unwrap();
        let levels = r#""levels":[{"article":"XYZ-9","place":"DEN","onHand":3}]"#;
        let messages = [
            Message {
                vendor: "shop",
                scheme: Some(Signature::Shopify),
                content_type: "application/json",
                headers: &[("X-Shopify-Topic", "orders/create"), ("X-Shopify-Webhook-Id", "b54557e4-bdd9-4b37")],
                body: shopify["payload"].to_string().into_bytes(),
            },
            Message {
                vendor: "square",
                scheme: Some(Signature::Square { url: SQUARE_URL.into() }),
                content_type: "application/json",
                headers: &[],
                body: format!(r#"{{"merchant_id":"M","type":"inventory.count.updated","event_id":"e-1","created_at":"2026-01-15T10:30:00Z",{levels}}}"#).into(),
            },
            Message {
                vendor: "woo",
                scheme: Some(Signature::Woocommerce),
                content_type: "application/json",
                headers: &[("X-WC-Webhook-Topic", "stock.updated")],
                body: format!(r#"{{"id":820982911946154508,"date_modified_gmt":"2026-01-15T10:30:00",{levels}}}"#).into(),
            },
            Message {
                vendor: "feed",
                scheme: Some(hmac()),
                content_type: "text/csv",
                headers: &[],
                body: STOCK.into(),
            },
            Message {
                vendor: "edi",
                scheme: None,
                content_type: "application/edi-x12",
                headers: &[("x-api-key", "edi-dev-key")],
                body: format!("{ISA}ST*846*0001~SE*2*0001~").into(),
            },
        ];
        for message in &messages {
            let vendor = message.vendor;
            if message.scheme.is_some() {
                let (status, refused) = message.send(&dev, |body| body[10] ^= 1).await;
                assert_eq!(
                    (status, text(&refused, "type")),
                    (401, "urn:sluice:problem:signature-invalid"),
                    "{vendor}"
                );
            }
            let (status, accepted) = message.send(&dev, |_| {}).await;
            assert_eq!(status, 202, "{vendor}: {accepted}");
            let id = text(&accepted, "ingestId");
            let receipt = settled(&dev, &format!("{vendor}-dev-key"), id).await;
            assert_eq!(receipt["status"], "NORMALIZED", "{vendor}: {receipt}");
            let shown = sluice(&dev, &["show", id]);
            assert_eq!(shown["raw"]["verified"], true, "{shown}");
            let (status, again) = message.send(&dev, |_| {}).await;
            assert_eq!((status, &again["ingestId"]), (200, &accepted["ingestId"]), "{vendor}: a retry");
        }
        let ids = sluice(&dev, &["ls"]);
        let ids: BTreeSet<&str> =
            ids["events"].as_array().unwrap().iter().map(|event| text(event, "externalEventId")).collect();
        assert!(ids.iter().any(|id| id.starts_with("820982911946154508|")), "the order's: {ids:?}");
        for id in ["e-1", "820982911946154508", "000000905"] {
            assert!(ids.contains(id), "{id} in {ids:?}");
        }
        assert!(ids.iter().any(|id| id.starts_with("sha256:")), "{ids:?}");

        let stranger = Message { vendor: "nobody", ..messages.into_iter().next().unwrap() };
        assert_eq!(stranger.send(&dev, |_| {}).await.0, 401);
        let ping = Client::new().post(format!("{}/v1/sources/woo", dev.api())).body("webhook_id=42");
        let ping = ping.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(answer(ping).await, (200, json!({"status": "PONG"})));

        let bad = Message {
            vendor: "woo",
            scheme: Some(Signature::Woocommerce),
            content_type: "application/json",
            headers: &[("X-WC-Webhook-Topic", "stock.updated")],
            body: br#"{"id":7,"date_modified_gmt":"2026-01-15T10:30:00","levels":[{"article":"A"}]}"#
                .to_vec(),
        };
        let (_, accepted) = bad.send(&dev, |_| {}).await;
        let receipt = settled(&dev, "woo-dev-key", text(&accepted, "ingestId")).await;
        let pointer = receipt["quarantine"]["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer.starts_with("/levels/0/"), "from the root of the message: {receipt}");
    }
}

/// The messages of `examples/native/`, each as its vendor sends it, by the contract that the repository has for it.
mod examples {
    use serde::Deserialize;
    use sluice_core::contract::Contract;

    use super::*;

    /// An entry of `examples/native/messages.json`.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Message {
        file: String,
        vendor_id: String,
        event_type: String,
        content_type: String,
        headers: std::collections::BTreeMap<String, String>,
    }

    fn contracts() -> Vec<Contract> {
        let folders =
            std::fs::read_dir(root().join("mappers-wasm")).unwrap().map(|entry| entry.unwrap().path());
        let texts = folders.filter_map(|folder| std::fs::read_to_string(folder.join("mapper.toml")).ok());
        texts.map(|text| toml::from_str(&text).unwrap()).collect()
    }

    #[tokio::test]
    async fn are_taken_normalized_and_refused_with_one_byte_changed() {
        let dev = Dev::start(&["--ephemeral", "--examples"]);
        let read = |path: &str| std::fs::read(root().join("examples").join(path)).unwrap();
        let messages: Vec<Message> = serde_json::from_slice(&read("native/messages.json")).unwrap();
        let vendors: Value = serde_json::from_slice(&read("vendors.json")).unwrap();
        let contracts = contracts();
        let mut vendors_seen = BTreeSet::new();
        for message in &messages {
            let vendor =
                vendors.as_array().unwrap().iter().find(|it| it["vendorId"] == message.vendor_id).unwrap();
            let contract = contracts
                .iter()
                .find(|it| {
                    it.vendor_id.as_str() == message.vendor_id && it.event_type.as_str() == message.event_type
                })
                .unwrap();
            let body = read(&format!("native/{}", message.file));
            let signature = contract.signature.as_ref().filter(|it| **it != Signature::None).map(|scheme| {
                let (name, value) = sign_body(scheme, text(vendor, "webhookSecret"), &body).unwrap();
                (name.to_owned(), value)
            });
            let post = |body: &[u8]| {
                let mut request = Client::new()
                    .post(format!("{}/v1/sources/{}", dev.api(), message.vendor_id))
                    .header("content-type", &message.content_type)
                    .body(body.to_vec());
                for (name, value) in &message.headers {
                    request = request.header(name, value);
                }
                match &signature {
                    Some((name, value)) => request.header(name, value),
                    None => request.header("x-api-key", text(vendor, "apiKey")),
                }
            };
            if signature.is_some() {
                for at in [0, body.len() / 2, body.len() - 1] {
                    let mut changed = body.clone();
                    changed[at] ^= 1;
                    let (status, refused) = answer(post(&changed)).await;
                    assert_eq!(status, 401, "{}: {refused}", message.file);
                }
            }
            let (status, accepted) = answer(post(&body)).await;
            assert_eq!(status, 202, "{}: {accepted}", message.file);
            let receipt = settled(&dev, text(vendor, "apiKey"), text(&accepted, "ingestId")).await;
            assert_eq!(receipt["status"], "NORMALIZED", "{}: {receipt}", message.file);
            assert_eq!(receipt["eventType"], message.event_type.as_str());
            let (status, again) = answer(post(&body)).await;
            assert_eq!((status, &again["ingestId"]), (200, &accepted["ingestId"]), "{}", message.file);
            vendors_seen.insert(message.vendor_id.as_str());
        }
        assert!(messages.len() >= 8 && vendors_seen.len() >= 4, "{vendors_seen:?}");
    }
}

/// The front door has the paths and methods of the OpenAPI document, and no others.
#[tokio::test]
async fn paths_are_those_of_the_document() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let document: Value =
        yaml_serde::from_str(&std::fs::read_to_string(root().join("schemas/openapi.yaml")).unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 5, "{}", paths.len());
    for (template, operations) in paths {
        let path =
            template.replace("{ingestId}", "01KF0Q4S8R6D1ZJ8W9T3C5V7XN").replace("{vendorId}", "vendorA");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let (status, body) =
                answer(Client::new().request(method.clone(), format!("{}{path}", dev.api()))).await;
            let documented = operations.get(method.as_str().to_lowercase());
            match documented {
                Some(operation) => {
                    assert!(
                        operation["responses"].get(status.to_string()).is_some(),
                        "{method} {path}: {status} {body}"
                    );
                    assert!(matches!(status, 200 | 401), "{method} {path}: {status} {body}");
                }
                None => assert_eq!(status, 405, "{method} {path}"),
            }
        }
    }
    assert_eq!(answer(Client::new().post(format!("{}/v1/orders/", dev.api()))).await.0, 404);
}

//! What makes two messages one event, from outside: webhooks that come again under other headers, conflicts and their decision.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use sluice_core::contract::Signature;
use sluice_core::signature::sign_body;
use sluice_tests::{Dev, root};

/// How long an event may take to be normalized: generous, since a loaded machine is slow.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(name)).unwrap()
}

async fn post(dev: &Dev, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let mut request = Client::new().post(format!("{}{path}", dev.api())).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A webhook, signed as its sender does.
async fn webhook(dev: &Dev, vendor: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let scheme = match vendor {
        "shopify-store" => Signature::Shopify,
        "woo-store" => Signature::Woocommerce,
        _ => Signature::Square { url: "https://sluice.example.com/v1/sources/square-seller".into() },
    };
    let (name, signature) = sign_body(&scheme, &format!("{vendor}-dev-secret"), body.as_bytes()).unwrap();
    let headers = [headers, &[("content-type", "application/json"), (name, &signature)]].concat();
    post(dev, &format!("/v1/sources/{vendor}"), &headers, body).await
}

fn run(dev: &Dev, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = dev.sluice(&[&["--json"], arguments].concat()).output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), output.status.code())
}

fn sluice(dev: &Dev, arguments: &[&str]) -> Value {
    let (document, code) = run(dev, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {document}");
    document
}

/// The event, once it has the status.
async fn shown(dev: &Dev, answer: &Value, status: &str) -> Value {
    let id = answer["ingestId"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let started = Instant::now();
    loop {
        let (shown, _) = run(dev, &["show", id]);
        if shown["status"] == status && (status != "QUARANTINED" || shown["execution"]["status"] == "FAILED")
        {
            return shown;
        }
        assert!(started.elapsed() < SETTLED_WITHIN, "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_what_is_signed_and_not_how_it_came() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let dev = &dev;

    // WooCommerce gives all deliveries of one second one id.
    let woo = |topic: &'static str, delivery: &'static str| {
        [("x-wc-webhook-topic", topic), ("x-wc-webhook-delivery-id", delivery)]
    };
    let order = example("native/woocommerce-order-updated.json");
    let other = order.replacen("\"id\":727,", "\"id\":728,", 1);
    let (status, first) = webhook(dev, "woo-store", &woo("order.updated", "d-1"), &order).await;
    assert_eq!(status, 202, "{first}");
    let (status, second) = webhook(dev, "woo-store", &woo("order.updated", "d-1"), &other).await;
    assert_eq!(status, 202, "{second}");
    assert_ne!(first["ingestId"], second["ingestId"]);
    for (event, order) in [(&first, "727"), (&second, "728")] {
        let shown = shown(dev, event, "NORMALIZED").await;
        assert_eq!(shown["deliveryId"], "d-1");
        assert!(shown["externalEventId"].as_str().unwrap().starts_with(&format!("{order}|")), "{shown}");
    }
    for order in ["727", "728"] {
        let started = Instant::now();
        loop {
            let (state, _) = run(dev, &["state", "show", &format!("order#woo-store#{order}")]);
            if state.to_string().contains("CLOSED") || state.to_string().contains("\"closed\"") {
                break;
            }
            assert!(started.elapsed() < SETTLED_WITHIN, "{state}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    // Sent again under another delivery id, and by another subscription.
    for delivery in ["d-2", "d-3"] {
        let again = webhook(dev, "woo-store", &woo("order.updated", delivery), &order).await;
        assert_eq!((again.0, &again.1["ingestId"]), (200, &first["ingestId"]), "{again:?}");
    }

    let shopify =
        |topic: &'static str, id: &'static str| [("x-shopify-topic", topic), ("x-shopify-webhook-id", id)];
    let created = example("native/shopify-orders-create.json");
    let (status, event) = webhook(dev, "shopify-store", &shopify("orders/create", "w-1"), &created).await;
    assert_eq!(status, 202, "{event}");
    for (topic, id) in [("orders/create", "w-2"), ("orders/updated", "w-1"), ("orders/updated", "w-3")] {
        let again = webhook(dev, "shopify-store", &shopify(topic, id), &created).await;
        assert_eq!((again.0, &again.1["ingestId"]), (200, &event["ingestId"]), "{topic} {id}: {again:?}");
    }
    // A topic that the body contradicts: kept for a person, and nothing comes of it.
    let (status, odd) = webhook(dev, "shopify-store", &shopify("orders/cancelled", "w-1"), &created).await;
    assert_eq!(status, 202, "{odd}");
    let held = shown(dev, &odd, "QUARANTINED").await;
    assert_eq!(held["quarantine"]["cause"]["code"], "event_type_contradicted", "{held}");
    assert_eq!(held["quarantine"]["cause"]["errors"][0]["pointer"], "/cancelled_at", "{held}");
    // A type that the body proves is told, though `orders/updated` brought the same bytes before.
    let cancelled = example("native/shopify-orders-cancelled.json");
    let (_, updated) = webhook(dev, "shopify-store", &shopify("orders/updated", "w-4"), &cancelled).await;
    let (status, proved) =
        webhook(dev, "shopify-store", &shopify("orders/cancelled", "w-5"), &cancelled).await;
    assert_eq!(status, 202, "{proved}");
    assert_ne!(proved["ingestId"], updated["ingestId"]);
    let again = webhook(dev, "shopify-store", &shopify("orders/cancelled", "w-6"), &cancelled).await;
    assert_eq!((again.0, &again.1["ingestId"]), (200, &proved["ingestId"]));

    // An API key does not stand in for the signature.
    let envelope = json!({"vendorId": "shopify-store", "externalEventId": "w-1", "eventType": "orders/create",
        "occurredAt": "2026-01-10T14:03:22-05:00", "payload": serde_json::from_str::<Value>(&created).unwrap()});
    let key = [("x-api-key", "shopify-store-dev-key"), ("content-type", "application/json")];
    let (status, refused) = post(dev, "/v1/events", &key, &envelope.to_string()).await;
    assert_eq!(status, 401, "{refused}");
    let twice = [("x-api-key", "edi-partner-dev-key"), ("x-api-key", "vendorA-dev-key")];
    assert_eq!(post(dev, "/v1/events", &twice, "{}").await.0, 401);

    // Control numbers of X12 start again.
    let x12 = example("native/orders.850.x12");
    let edi = [("x-api-key", "edi-partner-dev-key"), ("content-type", "application/edi-x12")];
    let file = async |body: &str| post(dev, "/v1/sources/edi-partner", &edi, body).await;
    let (status, first) = file(&x12).await;
    assert_eq!(status, 202, "{first}");
    assert_eq!(
        file(&x12).await,
        (
            200,
            json!({"ingestId": first["ingestId"], "status": "DUPLICATE", "receivedAt": first["receivedAt"]})
        )
    );
    let reused = x12.replacen("PO1*1*", "PO1*01*", 1);
    assert_ne!(reused, x12);
    let (status, second) = file(&reused).await;
    assert!(status == 202 && second["ingestId"] != first["ingestId"], "{second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_becomes_an_event_when_a_person_says_so() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let dev = &dev;

    // Refused: 409, no event, the bytes kept.
    let event = example("vendorA-inventory.json");
    let key = [("x-api-key", "vendorA-dev-key"), ("content-type", "application/json")];
    let (status, first) = post(dev, "/v1/events", &key, &event).await;
    assert_eq!(status, 202, "{first}");
    let mut changed: Value = serde_json::from_str(&event).unwrap();
    changed["payload"]["qty"] = json!(7);
    let changed = changed.to_string();
    for _ in 0..2 {
        assert_eq!(post(dev, "/v1/events", &key, &changed).await.0, 409);
    }
    let waiting = sluice(dev, &["conflicts", "ls"]);
    let conflict = &waiting["conflicts"][0];
    assert_eq!(waiting["conflicts"].as_array().unwrap().len(), 1, "once: {waiting}");
    assert_eq!((&conflict["state"], &conflict["heldBy"]), (&json!("REFUSED"), &first["ingestId"]));
    let id = conflict["ingestId"].as_str().unwrap();
    assert_eq!(run(dev, &["show", id]).1, Some(3), "it is no event");
    let accept = |id: &str, reason: &str| {
        sluice(dev, &["conflicts", "accept", id, "--reason", reason, "--by", "ops"])["accepted"][0].clone()
    };
    let accepted = accept(id, "the id was used twice");
    assert_eq!((&accepted["now"], &accepted["ingestId"]), (&json!(true), &json!(id)));
    let shown_event = shown(dev, conflict, "NORMALIZED").await;
    assert_eq!(shown_event["hold"]["accepted"]["reason"], "the id was used twice", "{shown_event}");
    assert_eq!(shown_event["hold"]["claims"]["heldBy"], first["ingestId"]);
    assert_eq!(shown_event["raw"]["verified"], true);
    let again = accept(id, "another reason");
    assert_eq!(
        (&again["now"], &again["resolution"]["reason"]),
        (&json!(false), &json!("the id was used twice"))
    );
    let known = post(dev, "/v1/events", &key, &changed).await;
    assert_eq!((known.0, &known.1["ingestId"]), (200, &json!(id)), "it is known from now on");
    assert_eq!(sluice(dev, &["conflicts", "ls"])["conflicts"], json!([]));
    assert_eq!(sluice(dev, &["conflicts", "ls", "--all"])["conflicts"][0]["state"], "ACCEPTED");

    // Kept: 202, an event that waits, whatever runs it, until it is accepted.
    let count = example("native/square-inventory-count-updated.json");
    let (status, first) = webhook(dev, "square-seller", &[], &count).await;
    assert_eq!(status, 202, "{first}");
    let changed = count.replacen("\"quantity\":\"", "\"quantity\":\"1", 1);
    assert_ne!(changed, count);
    let (status, kept) = webhook(dev, "square-seller", &[], &changed).await;
    assert_eq!(status, 202, "{kept}");
    assert_ne!(kept["ingestId"], first["ingestId"]);
    let again = webhook(dev, "square-seller", &[], &changed).await;
    assert_eq!((again.0, &again.1["ingestId"]), (200, &kept["ingestId"]), "a storm is kept once");
    let held = shown(dev, &kept, "QUARANTINED").await;
    assert_eq!(held["quarantine"]["cause"]["code"], "identity_conflict", "{held}");
    let id = kept["ingestId"].as_str().unwrap();
    assert_eq!(sluice(dev, &["conflicts", "ls"])["conflicts"][0]["state"], "KEPT");
    let (redriven, _) = run(dev, &["redrive", id]);
    assert_eq!(redriven["redrives"][0]["outcome"], "failed_again", "a redrive is no decision: {redriven}");
    let accepted = accept(id, "Square sent it so");
    assert_eq!((&accepted["now"], &accepted["redrive"]), (&json!(true), &json!("released")), "{accepted}");
    let shown_event = shown(dev, &kept, "NORMALIZED").await;
    assert_eq!(shown_event["quarantine"]["status"], "RELEASED");
    assert_eq!(accept(id, "again")["now"], false);
    shown(dev, &first, "NORMALIZED").await;

    assert_eq!(
        run(dev, &["conflicts", "accept", first["ingestId"].as_str().unwrap(), "--reason", "x"]).1,
        Some(4)
    );
    assert_eq!(run(dev, &["conflicts", "accept", "01KAJ3Y3R00000000000000001", "--reason", "x"]).1, Some(3));
    let (balance, code) = run(dev, &["balance"]);
    assert_eq!(code, Some(0), "{balance}");
    let (audit, code) = run(dev, &["audit"]);
    assert_eq!(code, Some(0), "{audit}");
}

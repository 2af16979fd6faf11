//! Every bad input of the ingest path, against the ports in memory.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sluice_core::balance::Hour;
use sluice_core::bundle::ActiveMapper;
use sluice_core::contract::{Contract, Otherwise, Signature};
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::FieldFault;
use sluice_core::health::Duplicates;
use sluice_core::id::ObjectRef;
use sluice_core::intake::Accepted;
use sluice_core::limits::BODY_BYTES_MAX;
use sluice_core::port::Clock as _;
use sluice_core::record::{LedgerRow, UnknownEventTypes};
use sluice_core::testing::{Failure, World};

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn world() -> World {
    let world = World::new();
    world.add_vendor("vendorA", "key-a", &[]);
    world.add_vendor("vendorB", "key-b", &[]);
    world.add_vendor("signed", "key-s", &["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", SECRET]);
    for vendor in ["vendorA", "signed"] {
        let contract: Contract = serde_json::from_value(json!({"vendorId": vendor, "eventType": "inventory_update",
            "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.schema.json"}},
            "canonical": {"type": "InventoryUpdated", "version": "1.0"}, "limits": {"payloadBytesMax": 2_000}}))
        .unwrap();
        let mapper = ActiveMapper {
            bundle: Sha256Hex::of(b"bundle"),
            contract,
            revision: 1,
            activated_at: world.now(),
            activated_by: "test".into(),
            reason: "test".into(),
            canary: None,
        };
        world.state().mappers.insert((vendor.parse().unwrap(), "inventory_update".parse().unwrap()), mapper);
    }
    world
}

fn deps(world: &World) -> Deps {
    Deps {
        judge: sluice_acceptance::Deps {
            vendors: Arc::new(world.clone()),
            ledger: Arc::new(world.clone()),
            clock: Arc::new(world.clone()),
            schemas: Schemas::default(),
        },
        tally: Tally::new(Arc::new(world.clone())),
        uploads: Arc::new(world.clone()),
    }
}

fn envelope(vendor: &str) -> Vec<u8> {
    serde_json::to_vec(
        &json!({"vendorId": vendor, "externalEventId": "evt-1", "eventType": "inventory_update",
        "occurredAt": "2026-11-21T09:00:00Z", "payload": {"sku": "ABC-001", "qty": 12}}),
    )
    .unwrap()
}

struct Post {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn post(key: &str, body: impl Into<Vec<u8>>) -> Post {
    Post {
        method: "POST",
        path: "/v1/events".into(),
        headers: vec![("X-Api-Key", key.into()), ("content-type", "application/json".into())],
        body: body.into(),
    }
}

impl Post {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(held, _)| *held != name);
        self.headers.push((name, value.into()));
        self
    }

    fn input(&self) -> Value {
        let headers: serde_json::Map<_, _> =
            self.headers.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        json!({"method": self.method, "path": self.path, "sourceIp": "127.0.0.1", "requestId": "r", "headers": headers,
            "body": STANDARD.encode(&self.body)})
    }

    async fn send(&self, world: &World) -> Decision {
        serde_json::from_value(handle(&deps(world), self.input()).await.unwrap()).unwrap()
    }

    async fn refused(&self, world: &World) -> (u16, String, Value) {
        let before = world.state().clone();
        let Decision::Answer(answer) = self.send(world).await else { panic!("was accepted") };
        assert!(world.state().ledger == before.ledger && world.state().raw.is_empty(), "only read");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(body["status"], answer.status_code);
        let code = body["type"].as_str().unwrap().strip_prefix("urn:sluice:problem:").unwrap().to_owned();
        (answer.status_code, code, body)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_good_envelope_is_accepted_with_its_digests() {
    let world = world();
    let body = envelope("vendorA");
    let Decision::Accepted(accepted) = post("key-a", body.clone()).send(&world).await else {
        panic!("was answered")
    };
    assert_eq!(accepted.raw_sha256, Sha256Hex::of(&body));
    assert_eq!(accepted.schema_version.as_str(), "1", "the contract's default");
    assert_eq!(accepted.raw_bytes, body.len() as u64);
    assert!(!accepted.conflicts);
}

#[tokio::test]
async fn who_is_asked_first() {
    let world = world();
    let body = envelope("vendorA");
    let mut keyless = post("", body.clone());
    keyless.headers.retain(|(name, _)| *name != "X-Api-Key");
    assert_eq!(keyless.refused(&world).await.0, 401);
    assert_eq!(post("nobody's", body.clone()).refused(&world).await.1, "unauthenticated");
    assert_eq!(post("key-b", body.clone()).refused(&world).await.1, "vendor-mismatch");
    assert_eq!(post("key-a", envelope("unknown")).refused(&world).await.0, 403);
    world.state().vendors.get_mut(&"vendorA".parse().unwrap()).unwrap().enabled = false;
    assert_eq!(post("key-a", body.clone()).refused(&world).await.1, "vendor-disabled");
    world.state().vendors.get_mut(&"vendorA".parse().unwrap()).unwrap().api_key_sha256.clear();
    assert_eq!(post("key-a", body).refused(&world).await.0, 401);
}

#[tokio::test]
async fn what_is_not_an_envelope_is_refused_with_every_fault() {
    let world = world();
    for (body, status, code) in [
        (&b""[..], 400, "body-unreadable"),
        (b"{\"vendorId\":\"vendorA\",", 400, "body-unreadable"),
        (b"\xff\xfe", 400, "body-unreadable"),
        (b"[1]", 400, "envelope-invalid"),
        (b"{}", 400, "envelope-invalid"),
    ] {
        let (seen_status, seen_code, _) = post("key-a", body).refused(&world).await;
        assert_eq!((seen_status, seen_code.as_str()), (status, code), "{}", String::from_utf8_lossy(body));
    }
    let (_, _, body) = post("key-a", b"{}").refused(&world).await;
    assert_eq!(body["errors"].as_array().unwrap().len(), 5);
    let unknown =
        String::from_utf8(envelope("vendorA")).unwrap().replace("inventory_update", "weather_update");
    let (status, code, body) = post("key-a", unknown).refused(&world).await;
    assert_eq!(
        (status, code.as_str(), &body["errors"][0]["pointer"]),
        (400, "event-type-unknown", &json!("/eventType"))
    );
}

#[tokio::test]
async fn how_much_and_in_what_form() {
    let world = world();
    let body = envelope("vendorA");
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
    {
        let refused = post("key-a", body.clone()).header("content-type", content_type).refused(&world).await;
        assert_eq!(refused.0, 415, "{content_type}");
    }
    let long = format!("application/json; x={}", "a".repeat(256));
    for content_type in [
        "application/json, text/plain",
        "application/json; charset=utf-8, application/json; charset=latin1",
        "application/json; x=\u{FFFD}",
        "application/json; x=é",
        "application/json; x=\u{1}",
        &long,
    ] {
        let refused = post("key-a", body.clone()).header("content-type", content_type).refused(&world).await;
        assert_eq!(refused.0, 415, "{content_type}");
    }
    for content_type in [
        "Application/JSON; charset=\"UTF-8\"",
        "application/cloudevents+json",
        "application/json; charset=utf8",
        "application/json;charset=us-ascii",
        "application/json, application/json",
        "application/json; charset=utf-8, Application/JSON; charset=UTF-8",
    ] {
        let decision = post("key-a", body.clone()).header("content-type", content_type).send(&world).await;
        assert!(matches!(decision, Decision::Accepted(_)), "{content_type}");
    }
    assert_eq!(post("key-a", vec![b' '; BODY_BYTES_MAX + 1]).refused(&world).await.0, 413);
    assert_eq!(
        post("key-a", vec![b' '; BODY_BYTES_MAX]).refused(&world).await.1,
        "body-unreadable",
        "at the limit it is read"
    );
    let long = String::from_utf8(body.clone()).unwrap().replace("ABC-001", &"A".repeat(2_000));
    assert_eq!(post("key-a", long).refused(&world).await.0, 413, "over the contract's own limit");

    let zipped = |body: &[u8]| post("key-a", gzip(body)).header("content-encoding", "gzip");
    let Decision::Accepted(accepted) = zipped(&body).send(&world).await else { panic!("gzip was refused") };
    assert_eq!(accepted.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(accepted.raw_sha256, Sha256Hex::of(&gzip(&body)), "stored as sent");
    assert_eq!(zipped(&vec![b' '; 50 << 20]).refused(&world).await.0, 413, "a bomb");
    assert_eq!(post("key-a", body.clone()).header("content-encoding", "gzip").refused(&world).await.0, 400);
    assert_eq!(post("key-a", body).header("content-encoding", "br").refused(&world).await.0, 415);
}

#[tokio::test]
async fn a_signature_is_checked_on_the_exact_bytes() {
    let world = world();
    let now = world.now().as_second();
    let body = envelope("signed");
    let oracle = standardwebhooks::Webhook::new(SECRET).unwrap();
    let signed = |at: i64, body: &[u8]| {
        let signature = oracle.sign("msg_1", at, body).unwrap();
        post("key-s", body)
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", format!("v1a,AAAA v1,AAAA {signature}"))
    };
    assert!(
        matches!(signed(now, &body).send(&world).await, Decision::Accepted(_)),
        "by the second secret in force"
    );
    assert!(matches!(signed(now - 300, &body).send(&world).await, Decision::Accepted(_)));
    for (at, word) in [(now - 301, "behind"), (now + 301, "ahead"), (i64::MIN, "behind"), (i64::MAX, "ahead")]
    {
        let (status, code, body) = signed(at, &body).refused(&world).await;
        assert_eq!((status, code.as_str()), (401, "signature-invalid"));
        assert!(body["detail"].as_str().unwrap().contains(word), "{body}");
    }
    let mut spaced = signed(now, &body);
    spaced.body.push(b' ');
    assert_eq!(spaced.refused(&world).await.0, 401, "one byte more");
    assert_eq!(post("key-s", body.clone()).refused(&world).await.0, 401, "not signed at all");
    assert_eq!(signed(now, &body).header("webhook-timestamp", "soon").refused(&world).await.0, 401);
    let foreign = standardwebhooks::Webhook::new("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB").unwrap();
    let forged = signed(now, &body).header("webhook-signature", foreign.sign("msg_1", now, &body).unwrap());
    assert_eq!(forged.refused(&world).await.0, 401);
}

#[tokio::test]
async fn a_resubmission_is_a_duplicate_and_a_change_a_conflict() {
    let world = world();
    let Decision::Accepted(first) = post("key-a", envelope("vendorA")).send(&world).await else {
        panic!("was answered")
    };
    let row = LedgerRow::received(&first, ObjectRef { bucket: "raw".into(), key: "k".into() });
    world.state().ledger.insert(row.key.clone(), row);

    let reordered = r#"{"payload":{"qty":12.0,"sku":"ABC-001"},"occurredAt":"2026-11-21T09:00:09Z","eventType":"inventory_update","externalEventId":"evt-1","vendorId":"vendorA"}"#;
    let Decision::Answer(answer) = post("key-a", reordered).send(&world).await else {
        panic!("was accepted twice")
    };
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (answer.status_code, &body["status"], &body["ingestId"]),
        (200, &json!("DUPLICATE"), &json!(first.ingest_id))
    );

    let changed = String::from_utf8(envelope("vendorA")).unwrap().replace("12", "13");
    let Decision::Accepted(second) = post("key-a", changed).send(&world).await else {
        panic!("was answered")
    };
    assert!(second.conflicts);
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_counted_beside_the_answer() {
    let world = world();
    let Decision::Accepted(first) = post("key-a", envelope("vendorA")).send(&world).await else {
        panic!("was answered")
    };
    let row = LedgerRow::received(&first, ObjectRef { bucket: "raw".into(), key: "k".into() });
    let hour = Hour::of(row.received_at);
    world.state().ledger.insert(row.key.clone(), row);
    let deps = deps(&world);
    let again = async |times: usize| {
        for _ in 0..times {
            let answer = handle(&deps, post("key-a", envelope("vendorA")).input()).await.unwrap();
            assert_eq!(answer["answer"]["statusCode"], 200, "{answer}");
        }
    };
    let counted = || world.state().duplicates.get(&("vendorA".parse().unwrap(), hour)).copied();
    let written = async || tokio::time::sleep(Duration::from_secs(FLUSH_SECONDS + 1)).await;
    again(3).await;
    assert_eq!(counted(), None, "no answer waits for it");
    written().await;
    assert_eq!(counted(), Some(Duplicates { duplicates: 3, hasty: 3 }), "in one write");

    // What fails is not tried again: it may have been written.
    again(2).await;
    world.fail_next([Failure::After]);
    written().await;
    assert_eq!(counted(), Some(Duplicates { duplicates: 5, hasty: 5 }));
    again(1).await;
    written().await;
    assert_eq!(counted(), Some(Duplicates { duplicates: 6, hasty: 6 }));
}

#[tokio::test]
async fn what_sluice_cannot_tell_is_an_error_and_never_an_answer() {
    let world = world();
    for calls_before in 0..4 {
        let failures = std::iter::repeat_n(Failure::None, calls_before).chain([Failure::Before]);
        world.fail_next(failures);
        let error = handle(&deps(&world), post("key-a", envelope("vendorA")).input()).await.unwrap_err();
        assert_eq!(error.error_type(), "Retryable");
    }
    let error = handle(&deps(&world), json!({"method": 1})).await.unwrap_err();
    assert_eq!(error.error_type(), "Misconfigured");
    let mut broken = post("key-a", "x").input();
    broken["body"] = json!("not base64!");
    assert_eq!(handle(&deps(&world), broken).await.unwrap_err().code, Code::InputMalformed);
}

#[test]
fn a_missing_setting_is_named() {
    let error = Config::from_env(&|name| (name == "LEDGER_TABLE").then(|| "t".into())).unwrap_err();
    assert!(error.to_string().contains("VENDORS_TABLE"), "{error}");
}

mod native {
    use sluice_core::id::ExternalEventId;
    use sluice_core::record::Form;
    use sluice_core::signature::sign_body;

    use super::*;

    const X12: &str = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260115*1030*U*00401*000000905*0*P*>~GS*IB*S*R*20260115*1030*1*X*004010~ST*846*0001~SE*2*0001~";

    fn publish(world: &World, contract: &Value) {
        let contract: Contract = serde_json::from_value(contract.clone()).unwrap();
        contract.check().unwrap();
        let key = (contract.vendor_id.clone(), contract.event_type.clone());
        let mapper = ActiveMapper {
            bundle: Sha256Hex::of(serde_json::to_string(&contract).unwrap().as_bytes()),
            contract,
            revision: 1,
            activated_at: world.now(),
            activated_by: "test".into(),
            reason: "test".into(),
            canary: None,
        };
        world.state().mappers.insert(key, mapper);
    }

    fn contract(vendor: &str, event_type: &str, native: &Value) -> Value {
        let mut contract = json!({"vendorId": vendor, "eventType": event_type,
            "payload": {"versions": {"1": "schema/1.schema.json"}},
            "canonical": {"type": "OrderPlaced", "version": "1.0"}});
        for (name, value) in native.as_object().unwrap() {
            contract[name] = value.clone();
        }
        contract
    }

    fn shopify(event_type: &str) -> Value {
        contract(
            "shop",
            event_type,
            &json!({"envelope": {"eventType": {"header": "X-Shopify-Topic"},
            "externalEventId": [{"pointer": "/id"}, {"digest": true}], "occurredAt": {"pointer": "/updated_at"},
            "deliveryId": {"header": "X-Shopify-Webhook-Id"},
            "expect": [{"pointer": "/cancelled_at", "present": event_type == "orders/cancelled"}]},
            "signature": {"scheme": "shopify"}}),
        )
    }

    /// As `PersistRaw` does it.
    fn commit(world: &World, event: &Accepted) -> LedgerRow {
        let row = LedgerRow::received(event, ObjectRef { bucket: "raw".into(), key: "k".into() });
        world.state().ledger.insert(row.key.clone(), row.clone());
        row
    }

    async fn answered(post: &Post, world: &World) -> (u16, Value) {
        match post.send(world).await {
            Decision::Answer(answer) => (answer.status_code, serde_json::from_str(&answer.body).unwrap()),
            Decision::Accepted(event) => panic!("was accepted as {}", event.external_event_id),
        }
    }

    fn shop_that(mut create: Value, change: impl FnOnce(&mut Value)) -> World {
        let world = shop();
        change(&mut create);
        publish(&world, &create);
        world
    }

    fn at(mut post: Post, vendor: &str) -> Post {
        post.path = format!("/v1/sources/{vendor}");
        post
    }

    fn webhook(secret: &str, topic: &str, body: &[u8]) -> Post {
        let (header, signature) = sign_body(&Signature::Shopify, secret, body).unwrap();
        let mut post = at(post("", body), "shop");
        post.headers.retain(|(name, _)| *name != "X-Api-Key");
        post.header("X-Shopify-Hmac-Sha256", signature)
            .header("X-Shopify-Topic", topic)
            .header("X-Shopify-Webhook-Id", "w-1")
            .header("content-type", "application/json; charset=utf-8")
            .header("x-header-of-the-scheme", header)
    }

    fn shop() -> World {
        let world = world();
        world.add_vendor("shop", "key-shop", &["shpss_old", "shpss_new"]);
        publish(&world, &shopify("orders/create"));
        publish(&world, &shopify("orders/cancelled"));
        world
    }

    const ORDER: &[u8] = br#"{"id":820982911946154508,"updated_at":"2026-01-10T14:03:22-05:00"}"#;

    #[tokio::test]
    async fn what_proves_the_sender_is_read_once() {
        let world = shop();
        let (_, signature) = sign_body(&Signature::Shopify, "shpss_new", ORDER).unwrap();
        let mut twice = webhook("shpss_new", "orders/create", ORDER);
        twice.headers.push(("x-shopify-hmac-sha256", signature));
        let (status, code, _) = twice.refused(&world).await;
        assert_eq!((status, code.as_str()), (401, "signature-invalid"));
        let mut keys = post("key-a", envelope("vendorA"));
        keys.headers.push(("x-api-key", "key-a".into()));
        let (status, _, body) = keys.refused(&world).await;
        assert!(status == 401 && body["detail"].as_str().unwrap().contains("more than once"), "{body}");
    }

    #[tokio::test]
    async fn ids_of_headers_that_are_no_utf8_are_not_one_id() {
        let world = world();
        world.add_vendor("files", "key-f", &[]);
        publish(
            &world,
            &contract(
                "files",
                "stock.csv",
                &json!({"payload": {"format": "csv"}, "envelope": {"eventType": {"constant": "stock.csv"},
                "externalEventId": {"header": "x-file"}, "occurredAt": {"received": true}}}),
            ),
        );
        let file = |name: &str| {
            at(post("key-f", "sku,qty\n"), "files").header("content-type", "text/csv").header("x-file", name)
        };
        assert_eq!(accepted(&file("f-1"), &world).await.external_event_id.as_str(), "f-1");
        let (_, _, body) = file("f-\u{FFFD}").refused(&world).await;
        assert!(body["errors"][0]["message"].as_str().unwrap().contains("not UTF-8"), "{body}");
    }

    const CANCELLED: &[u8] = br#"{"id":820982911946154508,"updated_at":"2026-01-12T10:00:01-05:00","cancelled_at":"2026-01-12T10:00:00-05:00"}"#;

    #[tokio::test]
    async fn an_event_is_the_same_under_every_delivery_id() {
        let world = shop();
        let first = accepted(&webhook("shpss_new", "orders/create", ORDER), &world).await;
        commit(&world, &first);
        let again = webhook("shpss_new", "orders/create", ORDER).header("X-Shopify-Webhook-Id", "w-2");
        let (status, body) = answered(&again, &world).await;
        assert_eq!(
            (status, &body["status"], &body["ingestId"]),
            (200, &json!("DUPLICATE"), &json!(first.ingest_id))
        );
        let mut nameless = again;
        nameless.headers.retain(|(name, _)| *name != "X-Shopify-Webhook-Id");
        assert_eq!(answered(&nameless, &world).await.1["ingestId"], json!(first.ingest_id));
        let other = String::from_utf8(ORDER.to_vec()).unwrap().replace("508", "509");
        let other = accepted(&webhook("shpss_new", "orders/create", other.as_bytes()), &world).await;
        assert!(!other.conflicts, "two orders under one delivery id are two events");
        assert_ne!(other.external_event_id, first.external_event_id);
        assert_eq!(other.delivery_id, first.delivery_id);
    }

    #[tokio::test]
    async fn a_message_is_never_an_event_of_another_type() {
        let world = shop();
        let (status, code, body) = webhook("shpss_new", "orders/cancelled", ORDER).refused(&world).await;
        assert_eq!((status, code.as_str()), (400, "message-invalid"));
        assert_eq!(
            (&body["errors"][0]["pointer"], &body["errors"][0]["code"]),
            (&json!("/cancelled_at"), &json!("contradicts_event_type")),
            "{body}"
        );
        assert_eq!(webhook("shpss_new", "orders/create", CANCELLED).refused(&world).await.0, 400);

        // A type that every order satisfies: the message is known by its content.
        let mut updated = shopify("orders/updated");
        updated["envelope"]["expect"] = json!([{"pointer": "/updated_at", "present": true}]);
        publish(&world, &updated);
        let first = accepted(&webhook("shpss_new", "orders/create", ORDER), &world).await;
        commit(&world, &first);
        let as_updated = webhook("shpss_new", "orders/updated", ORDER);
        assert!(accepted(&as_updated, &world).await.conflicts, "by default");
        updated["idempotency"] = json!({"policy": "externalEventId", "otherEventType": "duplicate"});
        publish(&world, &updated);
        let (status, body) = answered(&as_updated, &world).await;
        assert_eq!((status, &body["ingestId"]), (200, &json!(first.ingest_id)));

        // A type that the body proves is told, though the message came first under one that says less.
        let mut cancelled = shopify("orders/cancelled");
        cancelled["idempotency"] = json!({"policy": "externalEventId", "otherEventType": "event"});
        publish(&world, &cancelled);
        let first = accepted(&webhook("shpss_new", "orders/updated", CANCELLED), &world).await;
        let row = commit(&world, &first);
        let proved = accepted(&webhook("shpss_new", "orders/cancelled", CANCELLED), &world).await;
        assert!(!proved.conflicts && proved.hold.is_none());
        let mut own = LedgerRow::received(&proved, ObjectRef { bucket: "raw".into(), key: "k".into() });
        own.key = row.key.of_conflict(&proved.payload_sha256);
        world.state().ledger.insert(own.key.clone(), own);
        let again = answered(&webhook("shpss_new", "orders/cancelled", CANCELLED), &world).await;
        assert_eq!((again.0, &again.1["ingestId"]), (200, &json!(proved.ingest_id)));
    }

    #[tokio::test]
    async fn what_contradicts_its_type_is_kept_without_an_identity_if_the_contract_says_so() {
        let world =
            shop_that(shopify("orders/create"), |create| create["envelope"]["onRefusal"] = "keep".into());
        let odd = webhook("shpss_new", "orders/create", CANCELLED);
        let kept = accepted(&odd, &world).await;
        let hold = kept.hold.clone().unwrap();
        assert_eq!((hold.code, hold.errors.len()), (Code::EventTypeContradicted, 1));
        assert!(kept.external_event_id.as_str().starts_with("sha256:"));
        commit(&world, &kept);
        assert_eq!(answered(&odd, &world).await.1["ingestId"], json!(kept.ingest_id), "a storm is kept once");
        let real = accepted(&webhook("shpss_new", "orders/cancelled", CANCELLED), &world).await;
        assert!(!real.conflicts && real.hold.is_none(), "the event itself still comes");

        let incomplete = webhook("shpss_new", "orders/create", br#"{"id":[1],"updated_at":"soon"}"#);
        let kept = accepted(&incomplete, &world).await;
        let hold = kept.hold.clone().unwrap();
        assert_eq!((hold.code, hold.errors.len()), (Code::MessageIncomplete, 2));
        assert_eq!(kept.occurred_at, kept.received_at);
        let unreadable = accepted(&webhook("shpss_new", "orders/create", b"{"), &world).await;
        assert_eq!(unreadable.hold, None, "it is quarantined when it is read");
        assert_eq!(webhook("shpss_wrong", "orders/create", CANCELLED).refused(&world).await.0, 401);
    }

    #[tokio::test]
    async fn a_conflict_that_was_kept_is_known_again() {
        let world = shop_that(shopify("orders/create"), |create| {
            create["envelope"]["externalEventId"] = json!([{"pointer": "/id"}, {"pointer": "/updated_at"}]);
            create["idempotency"] = json!({"policy": "externalEventId", "onConflict": "keep"});
        });
        let first = accepted(&webhook("shpss_new", "orders/create", ORDER), &world).await;
        assert_eq!(first.external_event_id.as_str(), "820982911946154508|2026-01-10T14:03:22-05:00");
        let row = commit(&world, &first);
        let other = String::from_utf8(ORDER.to_vec()).unwrap().replace("}", r#","note":"x"}"#);
        let other = webhook("shpss_new", "orders/create", other.as_bytes());
        let second = accepted(&other, &world).await;
        assert!(second.conflicts);
        assert_eq!(second.on_conflict, Otherwise::Keep);
        let mut kept = LedgerRow::received(&second, ObjectRef { bucket: "raw".into(), key: "k".into() });
        kept.key = row.key.of_conflict(&second.payload_sha256);
        world.state().ledger.insert(kept.key.clone(), kept);
        assert_eq!(answered(&other, &world).await.1["ingestId"], json!(second.ingest_id));
    }

    #[tokio::test]
    async fn the_digest_of_named_members_is_an_identity() {
        let world = shop_that(shopify("orders/create"), |create| {
            create["envelope"]["externalEventId"] = json!({"digestOf": ["/id", "/lines"]});
        });
        let send = async |body: &str| {
            accepted(&webhook("shpss_new", "orders/create", body.as_bytes()), &world).await
        };
        let at = r#""updated_at":"2026-01-10T14:03:22Z""#;
        let first = send(&format!(r#"{{"id":1,"lines":[{{"a":1,"b":2}}],{at}}}"#)).await.external_event_id;
        let same = send(&format!(r#"{{"lines":[{{"b":2.0,"a":1}}],{at},"id":1,"more":true}}"#)).await;
        assert_eq!(same.external_event_id, first);
        let other = send(&format!(r#"{{"id":1,"lines":[{{"a":1,"b":3}}],{at}}}"#)).await;
        assert_ne!(other.external_event_id, first);
        let missing = format!(r#"{{"id":1,{at}}}"#);
        let (_, _, body) = webhook("shpss_new", "orders/create", missing.as_bytes()).refused(&world).await;
        assert_eq!(body["errors"][0]["pointer"], "/lines");
    }

    async fn accepted(post: &Post, world: &World) -> Box<Accepted> {
        match post.send(world).await {
            Decision::Accepted(accepted) => accepted,
            Decision::Answer(answer) => panic!("{} {}", answer.status_code, answer.body),
        }
    }

    #[tokio::test]
    async fn a_webhook_is_taken_as_its_vendor_sends_it() {
        let world = shop();
        for secret in ["shpss_old", "shpss_new"] {
            let event = accepted(&webhook(secret, "orders/create", ORDER), &world).await;
            assert_eq!((event.vendor_id.as_str(), event.event_type.as_str()), ("shop", "orders/create"));
            let id = event.external_event_id.as_str();
            assert!(id.starts_with("820982911946154508|") && id.len() == 19 + 64, "{id}");
            assert_eq!((event.delivery_id.as_deref(), event.form), (Some("w-1"), Form::Native));
            assert_eq!(event.occurred_at.to_string(), "2026-01-10T19:03:22Z");
            assert_eq!((event.schema_version.as_str(), &event.raw_sha256), ("1", &Sha256Hex::of(ORDER)));
        }
        let cancelled = accepted(&webhook("shpss_new", "orders/cancelled", CANCELLED), &world).await;
        assert_eq!(cancelled.event_type.as_str(), "orders/cancelled");
        let zipped = gzip(ORDER);
        let mut zipped = webhook("shpss_new", "orders/create", &zipped).header("content-encoding", "gzip");
        assert_eq!(accepted(&zipped, &world).await.content_encoding.as_deref(), Some("gzip"));
        zipped.body[4] ^= 1;
        assert_eq!(zipped.refused(&world).await.0, 401, "the signature is of the bytes as sent");
    }

    #[tokio::test]
    async fn one_byte_changed_is_refused_and_so_is_every_other_sender() {
        let world = shop();
        let mut changed = webhook("shpss_new", "orders/create", ORDER);
        changed.body[8] ^= 1;
        let (status, code, refused) = changed.refused(&world).await;
        assert_eq!((status, code.as_str()), (401, "signature-invalid"));
        let mut unsigned = webhook("shpss_new", "orders/create", ORDER);
        unsigned.headers.retain(|(name, _)| *name != "X-Shopify-Hmac-Sha256");
        let nobody = at(webhook("shpss_new", "orders/create", ORDER), "nobody");
        for post in [webhook("shpss_revoked", "orders/create", ORDER), unsigned, nobody] {
            assert_eq!(post.refused(&world).await.2, refused, "a vendor that there is not looks the same");
        }
        world.state().vendors.get_mut(&"shop".parse().unwrap()).unwrap().enabled = false;
        assert_eq!(changed.refused(&world).await.2, refused, "a stranger does not learn that it is disabled");
        assert_eq!(webhook("shpss_new", "orders/create", ORDER).refused(&world).await.1, "vendor-disabled");
    }

    #[tokio::test]
    async fn a_vendor_that_there_is_not_costs_the_same_reads() {
        // Each call of a port takes one failure: the vendor, its contracts. Then comes the answer.
        let calls = async |vendor: &str| {
            let world = shop();
            for calls in 0.. {
                world.fail_next(std::iter::repeat_n(Failure::None, calls).chain([Failure::Before]));
                let post = at(webhook("wrong", "orders/create", ORDER), vendor);
                let result = handle(&deps(&world), post.input()).await;
                world.fail_next([]);
                if result.is_ok() {
                    return calls;
                }
            }
            unreachable!()
        };
        assert_eq!(calls("shop").await, 2);
        assert_eq!(calls("nobody").await, 2);
    }

    #[tokio::test]
    async fn what_cannot_be_found_is_named() {
        let world = shop();
        let nameless = webhook("shpss_new", "orders/create", br#"{"updated_at":[1]}"#);
        let (status, code, body) = nameless.refused(&world).await;
        assert_eq!((status, code.as_str()), (400, "message-invalid"));
        assert_eq!(body["errors"].as_array().unwrap().len(), 2, "{body}");
        assert_eq!(
            (&body["errors"][0]["pointer"], &body["errors"][0]["code"]),
            (&json!("/id"), &json!("required"))
        );
        assert_eq!(body["errors"][1]["pointer"], "/updated_at");

        set_unknown(&world, "shop", UnknownEventTypes::Refuse);
        let (status, code, body) = webhook("shpss_new", "orders/paid", ORDER).refused(&world).await;
        assert_eq!((status, code.as_str()), (400, "event-type-unknown"));
        assert!(body["detail"].as_str().unwrap().contains("orders/cancelled, orders/create"), "{body}");
        assert!(body["errors"][0]["message"].as_str().unwrap().contains("\"orders/paid\""), "{body}");
        for (time, code) in [
            ("\"2026-01-10T14:03:22\"", "format"),
            ("\"2999-01-01T00:00:00Z\"", "in_future"),
            ("null", "required"),
            ("1.5", "format"),
        ] {
            let body = format!(r#"{{"id":1,"updated_at":{time}}}"#);
            let (_, _, refused) =
                webhook("shpss_new", "orders/create", body.as_bytes()).refused(&world).await;
            assert_eq!(refused["errors"][0]["code"], code, "{refused}");
        }
        let refused = webhook("shpss_new", "orders/create", b"{").refused(&world).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, "body-unreadable"));
        let form = webhook("shpss_new", "orders/create", ORDER).header("content-type", "text/csv");
        assert_eq!(form.refused(&world).await.0, 415);
    }

    fn set_unknown(world: &World, vendor: &str, setting: UnknownEventTypes) {
        let mut state = world.state();
        state.vendors.get_mut(&vendor.parse().unwrap()).unwrap().unknown_event_types = Some(setting);
    }

    #[tokio::test]
    async fn what_no_contract_covers_is_kept_until_there_is_a_mapper() {
        let world = shop();
        const REFUND: &[u8] = br#"{"id":7,"order_id":9,"updated_at":"2026-01-11T14:03:22-05:00"}"#;
        let refund = accepted(&webhook("shpss_new", "refunds/create", REFUND), &world).await;
        assert_eq!(
            (refund.event_type.as_str(), refund.schema_version.as_str()),
            ("refunds/create", "unstated")
        );
        assert_eq!(
            refund.occurred_at.to_string(),
            "2026-01-11T19:03:22Z",
            "where the other contracts have it"
        );
        assert_eq!(refund.external_event_id, ExternalEventId::of_digest(&refund.payload_sha256));
        assert_eq!((refund.form, refund.raw_sha256.clone()), (Form::Native, Sha256Hex::of(REFUND)));
        commit(&world, &refund);
        let again = answered(&webhook("shpss_old", "refunds/create", REFUND), &world).await;
        assert_eq!((again.0, &again.1["ingestId"]), (200, &json!(refund.ingest_id)), "sent again");
        let other = accepted(&webhook("shpss_new", "refunds/edit", REFUND), &world).await;
        assert!(!other.conflicts && other.external_event_id != refund.external_event_id);

        for (topic, body, event_type) in [
            ("", &br#"{"id":1}"#[..], "unknown"),
            ("no type of ours!", br#"{"id":2}"#, "unknown"),
            ("orders/create", b"{", "orders/create"),
            ("orders/create", b"{\"id\":NaN}", "orders/create"),
        ] {
            let kept = accepted(&webhook("shpss_new", topic, body), &world).await;
            assert_eq!(kept.event_type.as_str(), event_type, "{topic}");
            assert_eq!(kept.occurred_at, kept.received_at, "{topic}");
        }
        assert_eq!(webhook("shpss_new", "refunds/create", b"").refused(&world).await.1, "body-unreadable");
        let forged = webhook("nobody's", "refunds/create", REFUND).refused(&world).await;
        assert_eq!(forged.1, "signature-invalid", "only of a proved sender");
        set_unknown(&world, "shop", UnknownEventTypes::Refuse);
        let refused = webhook("shpss_new", "refunds/create", br#"{"id":8}"#).refused(&world).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, "event-type-unknown"));

        let unknown =
            String::from_utf8(envelope("vendorA")).unwrap().replace("inventory_update", "weather_update");
        assert_eq!(post("key-a", unknown.clone()).refused(&world).await.1, "event-type-unknown");
        set_unknown(&world, "vendorA", UnknownEventTypes::Keep);
        let kept = accepted(&post("key-a", unknown), &world).await;
        assert_eq!((kept.event_type.as_str(), kept.form), ("weather_update", Form::Envelope));
        assert_eq!((kept.external_event_id.as_str(), kept.schema_version.as_str()), ("evt-1", "unstated"));
    }

    #[tokio::test]
    async fn times_and_ids_keep_every_digit() {
        let world = shop();
        let source = |time: Value| {
            contract(
                "shop",
                "t",
                &json!({"envelope": {"eventType": {"constant": "t"},
                "externalEventId": {"pointer": "/a~1b/0/id"}, "occurredAt": time}, "signature": {"scheme": "shopify"}}),
            )
        };
        for (time, zone, expected) in [
            (r#""2026-01-10T14:03:22""#, Some("utc"), "2026-01-10T14:03:22Z"),
            (r#""2026-01-10T14:03:22-05:00""#, Some("utc"), "2026-01-10T19:03:22Z"),
            ("1768053802", None, "2026-01-10T14:03:22Z"),
            (r#""1768053802500""#, None, "2026-01-10T14:03:22.5Z"),
        ] {
            world.state().mappers.clear();
            let place = match zone {
                Some(zone) => json!({"pointer": "/t", "zone": zone}),
                None => json!({"pointer": "/t"}),
            };
            publish(&world, &source(place));
            let body = format!(r#"{{"a/b":[{{"id":12345678901234567890123}}],"t":{time}}}"#);
            let event = accepted(&webhook("shpss_new", "", body.as_bytes()), &world).await;
            assert_eq!(event.external_event_id.as_str(), "12345678901234567890123");
            assert_eq!(event.occurred_at.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn files_are_told_by_their_content_and_known_by_their_digest() {
        let world = world();
        world.add_vendor("files", "key-f", &[]);
        let x12 = |event_type: &str| {
            contract(
                "files",
                event_type,
                &json!({"payload": {"format": "x12"}, "envelope": {"eventType": {"x12": "ST01"},
                "externalEventId": [{"x12": "ISA06"}, {"x12": "ISA08"}, {"x12": "ISA13"}, {"digest": true}],
                "occurredAt": {"x12": "GS04+GS05"}}}),
            )
        };
        publish(&world, &x12("846"));
        publish(&world, &x12("850"));
        publish(
            &world,
            &contract(
                "files",
                "stock.csv",
                &json!({"payload": {"format": "csv"}, "envelope": {
                "eventType": {"constant": "stock.csv"}, "externalEventId": {"digest": true}, "occurredAt": {"received": true}},
                "signature": {"scheme": "none"}}),
            ),
        );
        let file = |content_type: &str, body: &str| {
            at(post("key-f", body.as_bytes()), "files").header("content-type", content_type)
        };
        let advice = accepted(&file("application/EDI-X12", X12), &world).await;
        let digest = Sha256Hex::of(X12.as_bytes());
        assert_eq!(advice.event_type.as_str(), "846");
        assert_eq!(advice.external_event_id.as_str(), format!("SENDER|RECEIVER|000000905|{digest}"));
        commit(&world, &advice);
        let again = answered(&file("application/edi-x12", X12), &world).await.1;
        assert_eq!(again["ingestId"], json!(advice.ingest_id), "the same file");
        let reused = X12.replace("ST*846*0001~", "ST*846*0001~BIA*00*DD*1*20260115~");
        let reused = accepted(&file("application/edi-x12", &reused), &world).await;
        assert!(!reused.conflicts && reused.external_event_id != advice.external_event_id, "another content");
        assert_eq!(advice.occurred_at.to_string(), "2026-01-15T10:30:00Z");
        let purchase = X12.replace("ST*846", "ST*850");
        assert_eq!(
            accepted(&file("application/edi-x12", &purchase), &world).await.event_type.as_str(),
            "850"
        );
        // A name in Latin-1 is the mapper's to judge.
        let latin1 = [X12.as_bytes(), b"N1*ST*B\xdcTTNER~"].concat();
        let request = at(post("key-f", latin1), "files").header("content-type", "application/edi-x12");
        assert_eq!(accepted(&request, &world).await.event_type.as_str(), "846");
        let stock = accepted(&file("text/csv; charset=windows-1252", "sku,qty\nA,1\n"), &world).await;
        assert_eq!(stock.event_type.as_str(), "stock.csv");
        assert_eq!(stock.external_event_id, ExternalEventId::of_digest(&Sha256Hex::of(b"sku,qty\nA,1\n")));
        assert_eq!(stock.occurred_at, world.now());
        assert_eq!(
            accepted(&file("text/plain", "sku,qty\nA,1\n"), &world).await.event_type.as_str(),
            "stock.csv"
        );
        assert_eq!(file("text/csv", "").refused(&world).await.1, "body-unreadable");
        let advance = accepted(&file("application/edi-x12", &X12.replace("846", "810")), &world).await;
        assert_eq!(advance.event_type.as_str(), "810", "kept until there is a mapper");
        assert_eq!(advance.occurred_at.to_string(), "2026-01-15T10:30:00Z");
        set_unknown(&world, "files", UnknownEventTypes::Refuse);
        assert_eq!(file("application/edi-x12", "ISA*").refused(&world).await.1, "body-unreadable");
        assert_eq!(file("application/json", "{}").refused(&world).await.0, 415);
        assert_eq!(
            file("application/edi-x12", &X12.replace("846", "997")).refused(&world).await.1,
            "event-type-unknown"
        );

        let error = handle(&deps(&world), file("text/plain", X12).input()).await.unwrap_err();
        assert_eq!(
            error.code,
            Code::ConfigurationInvalid,
            "as text it is of two contracts, and nobody guesses"
        );

        assert_eq!(at(post("key-a", X12), "files").refused(&world).await.1, "vendor-mismatch");
        assert_eq!(at(post("nobody's", X12), "files").refused(&world).await.1, "unauthenticated");
        assert_eq!(at(post("key-a", X12), "vendorA").refused(&world).await.1, "not-found");
        assert_eq!(at(post("key-a", X12), "a%2Fb").refused(&world).await.1, "not-found");
    }

    #[tokio::test]
    async fn a_key_does_not_stand_in_for_a_signature() {
        let world = shop();
        let (status, code, body) = at(post("key-shop", ORDER), "shop").refused(&world).await;
        assert_eq!((status, code.as_str()), (401, "signature-invalid"));
        assert!(body["detail"].as_str().unwrap().contains("x-shopify-hmac-sha256 is missing"), "{body}");
    }

    #[tokio::test]
    async fn a_ping_of_woocommerce_is_answered_and_says_nothing() {
        let world = shop();
        let ping = |vendor: &str, body: &str| {
            let mut ping = at(post("", body.as_bytes()), vendor)
                .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
            ping.headers.retain(|(name, _)| *name != "X-Api-Key");
            ping
        };
        for vendor in ["shop", "nobody"] {
            let Decision::Answer(answer) = ping(vendor, "webhook_id=42").send(&world).await else {
                panic!("a ping was accepted")
            };
            assert_eq!((answer.status_code, answer.body.as_str()), (200, r#"{"status":"PONG"}"#));
            for body in ["webhook_id=", "webhook_id=4x", "webhook_id=1&a=2", "id=1"] {
                assert_eq!(ping(vendor, body).refused(&world).await.0, 401, "{body}");
            }
        }
    }

    #[tokio::test]
    async fn an_envelope_of_a_signed_event_type_is_signed_too() {
        let world = shop();
        let envelope = json!({"vendorId": "shop", "externalEventId": "w-1", "eventType": "orders/create",
            "occurredAt": "2026-01-10T14:03:22-05:00", "payload": serde_json::from_slice::<Value>(ORDER).unwrap()})
        .to_string();
        let unsigned = post("key-shop", envelope.clone());
        let (status, code, body) = unsigned.refused(&world).await;
        assert_eq!((status, code.as_str()), (401, "signature-invalid"));
        assert!(body["detail"].as_str().unwrap().contains("x-shopify-hmac-sha256 is missing"), "{body}");
        let signed = |secret: &str| {
            let (_, signature) = sign_body(&Signature::Shopify, secret, envelope.as_bytes()).unwrap();
            post("key-shop", envelope.clone()).header("X-Shopify-Hmac-Sha256", signature)
        };
        assert_eq!(signed("shpss_wrong").refused(&world).await.0, 401);
        let enveloped = accepted(&signed("shpss_new"), &world).await;
        assert_eq!((enveloped.form, enveloped.external_event_id.as_str()), (Form::Envelope, "w-1"));
        let native = accepted(&webhook("shpss_new", "orders/create", ORDER), &world).await;
        assert_eq!(enveloped.payload_sha256, native.payload_sha256, "the same content");
    }

    mod orders {
        use super::*;

        const SCHEMA: &str = include_str!("../../../mappers-wasm/storefront-orders/schema/1.schema.json");
        const ORDER: &str = include_str!("../../../examples/order.json");

        fn world() -> World {
            let world = super::world();
            world.add_vendor("storefront", "key-o", &[]);
            let text = include_str!("../../../mappers-wasm/storefront-orders/mapper.toml");
            let mut contract: Contract = toml::from_str(text).unwrap();
            contract.embed_schemas(|_| Ok::<_, ()>(SCHEMA.to_owned())).unwrap();
            publish(&world, &serde_json::to_value(contract).unwrap());
            world
        }

        fn order(body: impl Into<Vec<u8>>) -> Post {
            Post { path: "/v1/orders".into(), ..post("key-o", body) }
        }

        fn changed(change: impl FnOnce(&mut Value)) -> String {
            let mut order: Value = serde_json::from_str(ORDER).unwrap();
            change(&mut order);
            order.to_string()
        }

        #[tokio::test]
        async fn an_order_is_its_own_identity() {
            let world = world();
            let event = accepted(&order(ORDER), &world).await;
            assert_eq!((event.vendor_id.as_str(), event.form), ("storefront", Form::Native));
            let digest = sluice_core::json::parse(ORDER.as_bytes()).unwrap().canonical_digest();
            assert_eq!(event.external_event_id, ExternalEventId::of_digest(&digest));
            assert_eq!(event.window_seconds, Some(15));
            let reordered: Value = serde_json::from_str(ORDER).unwrap();
            let again = accepted(&order(serde_json::to_string_pretty(&reordered).unwrap()), &world).await;
            assert_eq!(again.external_event_id, event.external_event_id);
            assert_eq!(
                Post { path: "/v1/orders".into(), ..post("key-a", ORDER) }.refused(&world).await.0,
                404
            );
            assert_eq!(Post { path: "/v1/orders".into(), ..post("", ORDER) }.refused(&world).await.0, 401);
            let envelope = json!({"vendorId": "storefront", "externalEventId": "1", "eventType": event.event_type,
                "occurredAt": "2026-01-10T14:03:22-05:00", "payload": {}});
            let (_, code, body) = post("key-o", envelope.to_string()).refused(&world).await;
            assert_eq!(code, "event-type-unknown");
            assert!(body["errors"][0]["message"].as_str().unwrap().contains("/v1/orders"), "{body}");
        }

        #[tokio::test]
        async fn the_window_is_fifteen_seconds_from_the_first() {
            let world = world();
            let mut ids = Vec::new();
            for (after_seconds, new) in [(0, true), (14, false), (1, true), (14, false), (2, true)] {
                world.advance(after_seconds);
                match order(ORDER).send(&world).await {
                    Decision::Accepted(event) => {
                        assert!(new, "{after_seconds}");
                        let row =
                            LedgerRow::received(&event, ObjectRef { bucket: "raw".into(), key: "k".into() });
                        world.state().ledger.insert(row.key.clone(), row);
                        ids.push(event.ingest_id);
                    }
                    Decision::Answer(answer) => {
                        let body: Value = serde_json::from_str(&answer.body).unwrap();
                        assert!(!new, "{after_seconds}");
                        assert_eq!(body["ingestId"], json!(ids.last().unwrap()), "the original");
                    }
                }
            }
            let held: Vec<_> = world.state().ledger.values().map(|row| row.ingest_id).collect();
            assert_eq!(held, ids, "all of them stay, in order");
        }

        #[tokio::test]
        async fn the_limit_is_1024_bytes() {
            let world = world();
            let padded = |bytes: usize| {
                let order = changed(|_| {});
                format!("{order}{}", " ".repeat(bytes - order.len()))
            };
            assert!(ORDER.len() < 1_024, "the example is one that may be sent");
            assert_eq!(accepted(&order(padded(1_024)), &world).await.raw_bytes, 1_024);
            let (status, code, body) = order(padded(1_025)).refused(&world).await;
            assert_eq!((status, code.as_str()), (413, "body-too-large"));
            assert!(body["detail"].as_str().unwrap().contains("the contract allows 1024"), "{body}");
            assert_eq!(order(vec![b'x'; 1_025]).refused(&world).await.0, 413, "before it is read");
            let zipped = order(gzip(padded(1_025).as_bytes())).header("content-encoding", "gzip");
            assert_eq!(zipped.refused(&world).await.0, 413, "inflated");
        }

        #[tokio::test]
        async fn business_rules_hold_before_acceptance() {
            let world = world();
            for quantity in [1, 100] {
                accepted(&order(changed(|order| order["lines"][0]["quantity"] = quantity.into())), &world)
                    .await;
            }
            for (pointer, value) in [
                ("/lines/0/quantity", json!(0)),
                ("/lines/0/quantity", json!(101)),
                ("/lines/0/quantity", json!(1.5)),
                ("/lines/0/quantity", json!("1")),
                ("/lines/0/unitPriceMinor", json!(-1)),
                ("/lines/0/sku", json!("")),
                ("/lines", json!([])),
                ("/orderId", json!("ORD-1234567")),
                ("/orderId", json!("ORD-123456789012345678901")),
                ("/orderId", json!("ORD-abcdefgh")),
                ("/orderId", json!("ORD-ABCDEFGH\n")),
                ("/currency", json!("XYZ")),
                ("/currency", json!("usd")),
                ("/placedAt", json!("2026-02-30T00:00:00Z")),
                ("/customerId", json!(7)),
            ] {
                let body = changed(|order| *order.pointer_mut(pointer).unwrap() = value.clone());
                let (status, code, refused) = order(body).refused(&world).await;
                assert_eq!((status, code.as_str()), (400, "message-invalid"), "{pointer} {value}");
                assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
            }
            let (_, _, refused) = order(changed(|order| {
                order["orderId"] = "7".into();
                order["currency"] = "XYZ".into();
                order["lines"][0]["quantity"] = 0.into();
                order.as_object_mut().unwrap().remove("placedAt");
            }))
            .refused(&world)
            .await;
            let mut pointers: Vec<&str> = refused["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|fault| fault["pointer"].as_str().unwrap())
                .collect();
            pointers.sort_unstable();
            assert_eq!(
                pointers,
                ["/currency", "/lines/0/quantity", "/orderId", "/placedAt"],
                "every fault at once"
            );
            let doubled = changed(|_| {}).replacen("\"quantity\":", "\"quantity\":200,\"quantity\":", 1);
            let (_, _, refused) = order(doubled).refused(&world).await;
            assert_eq!(refused["errors"][0]["code"], "duplicate_key");
        }
    }

    mod receipts {
        use sluice_core::record::{QuarantineNote, Status};

        use super::*;

        async fn held(world: &World) -> LedgerRow {
            let event = accepted(&post("key-a", envelope("vendorA")), world).await;
            LedgerRow::received(&event, ObjectRef { bucket: "raw".into(), key: "k".into() })
        }

        fn get(key: &str, id: &str) -> Post {
            Post { method: "GET", path: format!("/v1/events/{id}"), ..post(key, "") }
        }

        async fn seen(world: &World, id: &str) -> Value {
            match get("key-a", id).send(world).await {
                Decision::Answer(answer) => {
                    assert_eq!(answer.status_code, 200, "{}", answer.body);
                    serde_json::from_str(&answer.body).unwrap()
                }
                Decision::Accepted(_) => panic!("a question was accepted"),
            }
        }

        #[tokio::test]
        async fn the_vendor_sees_its_own_event_in_its_own_terms() {
            let world = world();
            let mut row = held(&world).await;
            let id = row.ingest_id.to_string();
            world.state().ledger.insert(row.key.clone(), row.clone());
            let receipt = seen(&world, &id).await;
            assert_eq!(receipt["status"], "RECEIVED");
            assert_eq!(
                (&receipt["externalEventId"], &receipt["eventType"]),
                (&json!("evt-1"), &json!("inventory_update"))
            );

            row.status = Status::Quarantined;
            let fault = |pointer: &str| FieldFault {
                pointer: pointer.into(),
                code: "level_doubled".into(),
                message: "is stated twice".into(),
            };
            let mut note = QuarantineNote {
                code: "mapper_refused".into(),
                message: "the mapper refused the message".into(),
                errors: vec![fault("/levels/1")],
                at: world.now(),
            };
            row.quarantine = Some(note.clone());
            world.state().ledger.insert(row.key.clone(), row.clone());
            let receipt = seen(&world, &id).await;
            assert_eq!(receipt["quarantine"]["errors"][0]["pointer"], "/payload/levels/1");
            assert_eq!(receipt["quarantine"]["message"], "the message is refused: is stated twice");

            for code in ["bundle_missing", "mapper_trapped", "States.Timeout", "canonical_schema_violation"] {
                note.code = code.into();
                note.message = "bundle 1234 at s3://secret".into();
                row.quarantine = Some(note.clone());
                world.state().ledger.insert(row.key.clone(), row.clone());
                let receipt = seen(&world, &id).await;
                assert_eq!(receipt["quarantine"]["code"], "being_worked_on");
                assert!(
                    !receipt.to_string().contains("secret") && !receipt.to_string().contains("level"),
                    "{receipt}"
                );
            }
            row.status = Status::Received;
            world.state().ledger.insert(row.key.clone(), row);
            assert!(seen(&world, &id).await.get("quarantine").is_none(), "a reason that no longer holds");
        }

        #[tokio::test]
        async fn nobody_elses_event_is_there() {
            let world = world();
            let row = held(&world).await;
            let id = row.ingest_id.to_string();
            world.state().ledger.insert(row.key.clone(), row);
            let absent = "01KF0Q4S8R6D1ZJ8W9T3C5V7XN";
            let (status, code, others) = get("key-b", &id).refused(&world).await;
            assert_eq!((status, code.as_str()), (404, "not-found"));
            assert_eq!(get("key-b", absent).refused(&world).await.2, others, "as if it never was");
            for bad in ["x", &id.to_lowercase(), "..", &"0".repeat(5_000)] {
                assert_eq!(get("key-a", bad).refused(&world).await.0, 404, "{bad}");
            }
            assert_eq!(get("", &id).refused(&world).await.0, 401);
            let posted = Post { method: "POST", ..get("key-a", &id) };
            assert_eq!(posted.refused(&world).await.0, 405);
            let read = Post { method: "GET", ..post("key-a", "") };
            assert_eq!(read.refused(&world).await.0, 405);
        }
    }
}

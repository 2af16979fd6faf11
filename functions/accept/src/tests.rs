//! Every bad input of the ingest path, against the ports in memory.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sluice_core::bundle::ActiveMapper;
use sluice_core::contract::Contract;
use sluice_core::id::ObjectRef;
use sluice_core::port::Clock as _;
use sluice_core::record::LedgerRow;
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
        };
        world.state().mappers.insert((vendor.parse().unwrap(), "inventory_update".parse().unwrap()), mapper);
    }
    world
}

fn deps(world: &World) -> Deps {
    Deps {
        vendors: Arc::new(world.clone()),
        ledger: Arc::new(world.clone()),
        clock: Arc::new(world.clone()),
        schemas: Schemas::default(),
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
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn post(key: &str, body: impl Into<Vec<u8>>) -> Post {
    Post {
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
        json!({"method": "POST", "path": "/v1/events", "sourceIp": "127.0.0.1", "requestId": "r", "headers": headers,
            "body": STANDARD.encode(&self.body)})
    }

    async fn send(&self, world: &World) -> Decision {
        serde_json::from_value(handle(&deps(world), self.input()).await.unwrap()).unwrap()
    }

    async fn refused(&self, world: &World) -> (u16, String, Value) {
        let Decision::Answer(answer) = self.send(world).await else { panic!("was accepted") };
        assert!(world.state().ledger.is_empty() && world.state().raw.is_empty());
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
    for content_type in ["Application/JSON; charset=\"UTF-8\"", "application/cloudevents+json"] {
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

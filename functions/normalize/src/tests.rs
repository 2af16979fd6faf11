//! Every way in which normalizing fails, with its code, and that the next event is served; against the ports in memory and
//! modules written by hand.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

mod hold;

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use sluice_core::bundle::{
    ActiveMapper, Build, Canary, CanaryCounts, ChangeKind, FileRef, MODULE_FILE, Manifest,
    SignatureAlgorithm, SignedBuild, blob_key, build_key, manifest_key,
};
use sluice_core::contract::Contract;
use sluice_core::drift::FindingKind;
use sluice_core::id::{IngestId, ObjectRef, SchemaVersion};
use sluice_core::port::Clock as _;
use sluice_core::record::{Correction, LedgerRow, Status};
use sluice_core::testing::{Failure, World};
use sluice_mapper_host::{TargetSpec, compile};
use sluice_mapping::TrustKeys;

use super::*;

const GOOD: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-11-21T10:00:00Z","data":{"quantityOnHand":12,"sku":"ABC-001","warehouseId":"ROA"}}]"#;
const SCHEMA: &[u8] = br#"{"type":"object","required":["qty"],"properties":{"qty":{"type":"integer"}}}"#;

/// A module that answers `map` with `body`; `data` lies at 1024 and the result area at 16.
fn module(data: &[u8], body: &str) -> Vec<u8> {
    let escaped: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let pages = data.len() / 65_536 + 6;
    wat::parse_str(format!(
        r#"(module (memory (export "memory") {pages})
            (data (i32.const 1024) "{escaped}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const {}))
            (func $recurse (param i64 i64 i64 i64) (result i64)
              (i64.add (call $recurse (local.get 3) (local.get 0) (local.get 1) (local.get 2)) (local.get 0)))
            (func (export "map") (param i32 i32 i32 i32) (result i32) {body}))"#,
        1024 + data.len().next_multiple_of(16),
    ))
    .unwrap()
}

fn answering(discriminant: u8, data: &[u8]) -> Vec<u8> {
    let body = format!(
        "(i32.store8 (i32.const 16) (i32.const {discriminant})) (i32.store (i32.const 20) (i32.const 1024)) (i32.store (i32.const 24) (i32.const {})) (i32.const 16)",
        data.len()
    );
    module(data, &body)
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn trust(key: &SigningKey) -> TrustKeys {
    TrustKeys::from_pem(&key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap()
}

fn sign(key: &SigningKey, build: Build) -> SignedBuild {
    let signature: DerSignature = key.sign(&build.signed_bytes());
    SignedBuild {
        build,
        key_id: trust(key).ids().next().unwrap().clone(),
        algorithm: SignatureAlgorithm::EcdsaSha256,
        signature: STANDARD.encode(signature.as_bytes()),
    }
}

struct Setup {
    world: World,
    deps: Deps,
}

impl Setup {
    fn new() -> Self {
        let world = World::new();
        let deps = Deps {
            vendors: Arc::new(world.clone()),
            pointers: Arc::new(world.clone()),
            drift: Observer::new(Arc::new(World::new()), Arc::new(World::new())),
            raw: Arc::new(world.clone()),
            normalized: Arc::new(world.clone()),
            ledger: Arc::new(world.clone()),
            balances: Arc::new(world.clone()),
            bundles: Bundles::new(Arc::new(world.clone()), trust(&key(1))).unwrap(),
            clock: Arc::new(world.clone()),
        };
        Self { world, deps }
    }

    fn publish(&self, wasm: &[u8]) -> Sha256Hex {
        self.publish_native(&compile(wasm, &TargetSpec::host()).unwrap().bytes, wasm)
    }

    fn publish_native(&self, native: &[u8], wasm: &[u8]) -> Sha256Hex {
        self.publish_as(native, wasm, false)
    }

    fn publish_as(&self, native: &[u8], wasm: &[u8], vendor_health: bool) -> Sha256Hex {
        self.publish_contract(native, wasm, |contract| contract.vendor_health = vendor_health)
    }

    fn publish_contract(&self, native: &[u8], wasm: &[u8], alter: impl FnOnce(&mut Contract)) -> Sha256Hex {
        let mut contract: Contract = serde_json::from_value(json!({"vendorId": "vendorA", "eventType": "inventory_update",
            "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.schema.json"}},
            "canonical": {"type": "InventoryUpdated", "version": "1.0"}, "limits": {"payloadBytesMax": 4_000}}))
        .unwrap();
        alter(&mut contract);
        let manifest = Manifest {
            contract: contract.clone(),
            files: BTreeMap::from([
                (MODULE_FILE.to_owned(), FileRef::of(wasm)),
                ("schema/1.schema.json".to_owned(), FileRef::of(SCHEMA)),
                // Two bundles of one module are not one bundle: native code that is no module's must not be remembered.
                ("fixtures/native".to_owned(), FileRef::of(native)),
            ]),
        };
        let (bytes, bundle) = manifest.encode();
        let now = self.world.now();
        let signed = sign(&key(1), self.build(&bundle, native));
        let mut state = self.world.state();
        for blob in [wasm, native, SCHEMA] {
            state.bundles.insert(blob_key(&Sha256Hex::of(blob)), Bytes::copy_from_slice(blob));
        }
        state.bundles.insert(manifest_key(&bundle), Bytes::from(bytes));
        let statement = build_key(&bundle, &signed.build.fingerprint, &signed.key_id);
        state.bundles.insert(statement, Bytes::from(signed.encode()));
        let pointer = ActiveMapper {
            bundle: bundle.clone(),
            contract,
            revision: 1,
            activated_at: now,
            activated_by: "test".into(),
            reason: "test".into(),
            canary: None,
        };
        state.mappers.insert(("vendorA".parse().unwrap(), "inventory_update".parse().unwrap()), pointer);
        bundle
    }

    #[expect(clippy::unused_self, reason = "it reads as one of the arrangements")]
    fn build(&self, bundle: &Sha256Hex, native: &[u8]) -> Build {
        Build {
            bundle: bundle.clone(),
            fingerprint: TargetSpec::host().fingerprint().to_string(),
            target: TargetSpec::host().triple().to_owned(),
            native: FileRef::of(native),
        }
    }

    /// Puts `candidate` on trial beside what is active.
    fn try_out(&self, candidate: &Sha256Hex, percent: &str) {
        let mut state = self.world.state();
        let pointer = state.mappers.values_mut().next().unwrap();
        pointer.canary = Some(Canary {
            bundle: candidate.clone(),
            percent: percent.parse().unwrap(),
            since: pointer.activated_at,
            by: "me".into(),
            reason: "trial".into(),
            min_events: 10,
            margin: "5".parse().unwrap(),
        });
        pointer.revision = 2;
    }

    fn store(&self, body: &[u8], change: impl FnOnce(&mut LedgerRow)) -> EventDetail {
        let key = format!("raw/{}", Sha256Hex::of(body));
        let (ingest_id, now) = self.world.mint();
        let mut row: LedgerRow = serde_json::from_value(json!({
            "vendorId": "vendorA", "externalEventId": format!("evt-{ingest_id}"), "ingestId": ingest_id,
            "eventType": "inventory_update", "schemaVersion": "1", "occurredAt": now, "receivedAt": now, "updatedAt": now,
            "status": "RECEIVED", "statusShard": "RECEIVED#1", "rawRef": ObjectRef { bucket: "raw".into(), key: key.clone() },
            "rawSha256": Sha256Hex::of(body), "rawBytes": body.len(), "payloadSha256": "1".repeat(64),
            "contentType": "application/json"
        }))
        .unwrap();
        change(&mut row);
        let headers = sluice_core::port::RawHeaders {
            content_type: "application/json".into(),
            content_encoding: None,
            sha256: Sha256Hex::of(body),
        };
        let mut state = self.world.state();
        state.raw.insert(key, (Bytes::copy_from_slice(body), headers));
        state.ledger.insert(row.key.clone(), row.clone());
        row.detail()
    }

    fn good(&self) -> EventDetail {
        self.store(&envelope(json!({"qty": 12})), |_| {})
    }

    async fn run(&self, event: &EventDetail) -> Result<Value, Fault> {
        handle(&self.deps, serde_json::to_value(event).unwrap()).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a test states the payload in place")]
fn envelope(payload: Value) -> Vec<u8> {
    serde_json::to_vec(
        &json!({"vendorId": "vendorA", "externalEventId": "evt-1", "eventType": "inventory_update",
        "occurredAt": "2026-11-21T09:00:00Z", "payload": payload}),
    )
    .unwrap()
}

#[tokio::test]
async fn the_document_is_canonical_deterministic_and_recorded() {
    let setup = Setup::new();
    let bundle = setup.publish(&answering(0, GOOD.as_bytes()));
    let event = setup.good();
    let output = setup.run(&event).await.unwrap();
    assert_eq!(output["status"], "NORMALIZED");
    let (key, first) =
        setup.world.state().normalized.iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap();
    let sha256 = Sha256Hex::of(&first);
    assert_eq!(key, format!("normalized/InventoryUpdated/2026/11/21/{}/{sha256}.json", event.ingest_id));
    let expected = format!(
        r#"{{"data":{{"quantityOnHand":12,"sku":"ABC-001","warehouseId":"ROA"}},"eventType":"InventoryUpdated","externalEventId":"{}","ingestId":"{}","occurredAt":"2026-11-21T10:00:00Z","rawRef":{{"bucket":"raw","key":"{}"}},"schemaVersion":"1.0","vendorId":"vendorA"}}"#,
        event.key.external_event_id, event.ingest_id, event.raw_ref.key
    );
    assert_eq!(first, format!("{expected}\n"));
    let row = setup.world.state().ledger[&event.key].clone();
    assert_eq!((row.status, row.normalized.unwrap().bundle), (Status::Normalized, bundle));

    setup.world.advance(1_000);
    setup.run(&event).await.unwrap();
    assert_eq!(setup.world.state().normalized[&key], first, "a replay changes no byte");
}

#[tokio::test]
async fn what_was_accepted_without_a_contract_is_read_by_the_contract_that_maps_it() {
    let setup = Setup::new();
    let event =
        setup.store(&envelope(json!({"qty": 12})), |row| row.schema_version = SchemaVersion::unstated());
    assert_eq!(setup.run(&event).await.unwrap_err().code, Code::MapperMissing);
    setup.publish(&answering(0, GOOD.as_bytes()));
    assert_eq!(setup.run(&event).await.unwrap()["status"], "NORMALIZED");
    let bad =
        setup.store(&envelope(json!({"qty": "x"})), |row| row.schema_version = SchemaVersion::unstated());
    assert_eq!(setup.run(&bad).await.unwrap_err().code, Code::PayloadSchemaViolation);
}

#[tokio::test]
async fn a_message_that_states_nothing_is_normalized_without_a_document() {
    let setup = Setup::new();
    let bundle =
        setup.publish(&answering(0, br#"{"nothing":{"code":"draft","message":"nobody placed it"}}"#));
    let event = setup.good();
    let output = setup.run(&event).await.unwrap();
    assert_eq!((&output["status"], &output["nothing"]["code"]), (&json!("NORMALIZED"), &json!("draft")));
    assert_eq!(output.get("normalized"), None);
    assert!(setup.world.state().normalized.is_empty());
    let row = setup.world.state().ledger[&event.key].clone();
    let nothing = row.nothing.clone().unwrap();
    assert_eq!((row.status, row.normalized.clone()), (Status::Normalized, None));
    assert_eq!(
        (nothing.code.as_str(), nothing.message.as_str(), nothing.bundle),
        ("draft", "nobody placed it", bundle)
    );

    // The same reason again is no news.
    let replay = EventDetail { replay: 1, ..event.clone() };
    setup.world.advance(1_000);
    let output = setup.run(&replay).await.unwrap();
    assert_eq!((&output["changed"], &output["previous"]), (&json!(false), &json!("NORMALIZED")));
    assert_eq!(setup.world.state().ledger[&event.key], row, "not even its time");

    // A mapper that reads more of it states something; and the other way round.
    setup.publish(&answering(0, GOOD.as_bytes()));
    assert_eq!(setup.run(&replay).await.unwrap()["changed"], true);
    let stated = setup.world.state().ledger[&event.key].clone();
    assert!(stated.nothing.is_none() && stated.normalized.is_some());
    setup.publish(&answering(0, br#"{"nothing":{"code":"draft","message":"nobody placed it"}}"#));
    let output = setup.run(&replay).await.unwrap();
    assert_eq!((&output["changed"], &output["nothing"]["code"]), (&json!(true), &json!("draft")));
    let silent = setup.world.state().ledger[&event.key].clone();
    assert!(silent.nothing.is_some() && silent.normalized.is_none());
}

/// A replay that gives the same bytes is no news: neither object nor row is written. One that gives others is.
#[tokio::test]
async fn a_replay_writes_only_what_has_changed() {
    let setup = Setup::new();
    setup.publish(&answering(0, GOOD.as_bytes()));
    let event = setup.good();
    setup.run(&event).await.unwrap();
    let row = setup.world.state().ledger[&event.key].clone();
    let replay = EventDetail { replay: 7, ..event.clone() };
    setup.world.advance(1_000);
    let output = setup.run(&replay).await.unwrap();
    assert_eq!((&output["changed"], &output["previous"]), (&json!(false), &json!("NORMALIZED")));
    assert_eq!(setup.world.state().ledger[&event.key], row, "not even its time");

    // What is gone is put back, what is there is left alone.
    let (key, document) =
        setup.world.state().normalized.iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap();
    setup.world.state().normalized.clear();
    setup.run(&replay).await.unwrap();
    assert_eq!(setup.world.state().normalized[&key], document);

    setup.publish(&answering(0, GOOD.replace("12", "13").as_bytes()));
    let output = setup.run(&replay).await.unwrap();
    assert_eq!((&output["changed"], &output["previous"]), (&json!(true), &json!("NORMALIZED")));
    let changed = setup.world.state().ledger[&event.key].clone().normalized.unwrap();
    let first = row.normalized.unwrap();
    assert_ne!(changed.sha256, first.sha256);
    // Whoever was told of the first document still finds its bytes.
    let state = setup.world.state().clone();
    for told in [&first, &changed] {
        assert_eq!(Sha256Hex::of(&state.normalized[&told.r#ref.key]), told.sha256);
    }

    // It fails now: what was normalized stays as it is.
    let held = setup.world.state().ledger[&event.key].clone();
    setup.publish(&answering(1, br#"{"code":"no","path":"","message":"no"}"#));
    assert_eq!(setup.run(&replay).await.unwrap_err().code, Code::MapperRefused);
    assert_eq!(setup.world.state().ledger[&event.key], held);
}

/// A correction names the mapper and both documents: it brings about what was planned, once, or leaves the event alone.
#[tokio::test]
async fn a_correction_is_made_once_and_of_the_document_that_it_names() {
    let setup = Setup::new();
    let right = setup.publish(&answering(0, GOOD.replace("12", "13").as_bytes()));
    setup.publish(&answering(0, GOOD.as_bytes()));
    let event = setup.good();
    setup.run(&event).await.unwrap();
    let wrong = setup.world.state().ledger[&event.key].clone().normalized.unwrap();
    // What the right mapper makes: the same document with another quantity.
    let new_sha256 = {
        let document = setup.world.state().normalized.values().next().unwrap().clone();
        let text = String::from_utf8(document.to_vec()).unwrap();
        Sha256Hex::of(text.replace(":12", ":13").as_bytes())
    };
    let correction = Correction {
        operation_id: "01KF0Q4S8R6D1ZJ8W9T3C5V7XN".parse().unwrap(),
        bundle: right.clone(),
        old_sha256: wrong.sha256.clone(),
        new_sha256: new_sha256.clone(),
        by: "ana".into(),
        reason: "pieces, not packs".into(),
    };
    let order = |correction: &Correction| EventDetail {
        replay: 7,
        correction: Some(correction.clone()),
        ..event.clone()
    };
    // Another document than the one that was told, or than the one that was planned: nothing is written.
    let before = setup.world.state().ledger[&event.key].clone();
    for outdated in [
        Correction { old_sha256: Sha256Hex::of(b"other"), ..correction.clone() },
        Correction { new_sha256: Sha256Hex::of(b"other"), ..correction.clone() },
    ] {
        let fault = setup.run(&order(&outdated)).await.unwrap_err();
        assert_eq!(fault.code, Code::CorrectionOutdated, "{fault}");
        assert!(fault.message.contains("plan another correction"), "{fault}");
        assert_eq!(setup.world.state().ledger[&event.key], before);
    }

    setup.world.advance(1_000);
    let output = setup.run(&order(&correction)).await.unwrap();
    assert_eq!((&output["changed"], &output["previous"]), (&json!(true), &json!("NORMALIZED")));
    let row = setup.world.state().ledger[&event.key].clone();
    assert_eq!((row.document_sha256(), row.correction.as_ref()), (Some(new_sha256), Some(&correction)));
    assert_eq!(row.normalized.as_ref().unwrap().bundle, right);
    // Whoever was told of the wrong document still finds its bytes.
    assert_eq!(Sha256Hex::of(&setup.world.state().normalized[&wrong.r#ref.key]), wrong.sha256);

    // Again, and a first run that comes late by the mapper that is still active: nothing changes.
    setup.world.advance(1_000);
    let output = setup.run(&order(&correction)).await.unwrap();
    assert_eq!(output["changed"], false);
    setup.run(&event).await.unwrap();
    assert_eq!(setup.world.state().ledger[&event.key], row);

    // A bundle of somebody else's is not believed, and an event that was never normalized is left alone.
    let foreign = setup.publish_contract(
        &compile(&answering(0, b"[]"), &TargetSpec::host()).unwrap().bytes,
        &answering(0, b"[]"),
        |contract| contract.event_type = "order_update".parse().unwrap(),
    );
    let old_sha256 = row.document_sha256().unwrap();
    let by_another =
        Correction { bundle: foreign, old_sha256, new_sha256: Sha256Hex::of(b"x"), ..correction.clone() };
    assert_eq!(setup.run(&order(&by_another)).await.unwrap_err().code, Code::BundleSignatureInvalid);
    let waiting = setup.good();
    let order = EventDetail { correction: Some(correction), ..waiting };
    assert_eq!(setup.run(&order).await.unwrap_err().code, Code::CorrectionOutdated);
}

#[tokio::test]
async fn each_way_of_misbehaving_has_its_code_and_the_next_event_is_served() {
    let huge = format!("[{}]", " ".repeat(300_000));
    let refusal = br#"{"code":"qty_negative","path":"/qty","message":"qty is negative"}"#;
    let cases: Vec<(Code, Vec<u8>)> = vec![
        (Code::MapperRefused, answering(1, refusal)),
        (Code::MapperErrorMalformed, answering(1, b"no")),
        (Code::MapperErrorMalformed, answering(1, &vec![b' '; 5_000])),
        (Code::MapperTrapped, module(b"", "unreachable")),
        (Code::MapperOutOfFuel, module(b"", "(loop $l (br $l)) (i32.const 16)")),
        (
            Code::MapperStackOverflow,
            module(
                b"",
                "(drop (call $recurse (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))) (i32.const 16)",
            ),
        ),
        (
            Code::MapperOutOfMemory,
            module(
                b"",
                "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
            ),
        ),
        (Code::MapperAbiViolation, module(b"", "(i32.const -4)")),
        (Code::MapperAbiViolation, answering(7, b"")),
        (Code::MapperOutputTooLarge, answering(0, huge.as_bytes())),
        (Code::OutputNotJson, answering(0, b"garbage")),
        (Code::OutputNotUtf8, answering(0, b"\"\xff\"")),
        (Code::OutputShapeInvalid, answering(0, b"{}")),
        (Code::OutputNotCanonical, answering(0, GOOD.replace("12", "9007199254740993").as_bytes())),
        (Code::CanonicalSchemaViolation, answering(0, GOOD.replace("12", "\"12\"").as_bytes())),
    ];
    let setup = Setup::new();
    for (code, wasm) in cases {
        setup.publish(&wasm);
        let event = setup.good();
        let fault = setup.run(&event).await.unwrap_err();
        assert_eq!(fault.code, code, "{fault:?}");
        assert_eq!(fault.error_type(), "Rejected");
        assert!(fault.bundle.is_some());
        assert_eq!(setup.world.state().ledger[&event.key].status, Status::Received, "nothing is lost");
        setup.publish(&answering(0, GOOD.as_bytes()));
        setup.run(&event).await.unwrap();
    }
}

#[tokio::test]
async fn a_pointer_that_says_another_thing_than_the_signed_bundle_is_not_believed() {
    type Alter = fn(&mut Contract);
    let alterations: [(&str, Alter); 3] = [
        ("states another contract", |contract| contract.limits.payload_bytes_max += 1),
        ("states another contract", |contract| contract.vendor_health = true),
        // As the copy, so in the bundle: one that was signed for somebody else.
        ("is for vendorA inventory_update", |contract| contract.vendor_id = "vendorB".parse().unwrap()),
    ];
    for (said, alter) in alterations {
        let setup = Setup::new();
        setup.publish(&answering(0, GOOD.as_bytes()));
        let event = {
            let mut state = setup.world.state();
            let key = ("vendorA".parse().unwrap(), "inventory_update".parse().unwrap());
            let mut pointer = state.mappers.remove(&key).unwrap();
            alter(&mut pointer.contract);
            let vendor_id = pointer.contract.vendor_id.clone();
            state.mappers.insert((vendor_id.clone(), key.1), pointer);
            drop(state);
            let mut event = setup.good();
            event.key.vendor_id = vendor_id;
            event
        };
        let fault = setup.run(&event).await.unwrap_err();
        assert_eq!(fault.code, Code::BundleSignatureInvalid, "{fault}");
        assert!(fault.message.contains(said), "{fault}");
    }
}

#[tokio::test]
async fn a_score_is_beside_the_document_if_the_contract_asks_for_it() {
    let setup = Setup::new();
    let wasm = answering(0, GOOD.as_bytes());
    let native = compile(&wasm, &TargetSpec::host()).unwrap().bytes;
    let score = |score: u32| {
        let note = HealthNote { day: "2026-11-21".into(), score, at: setup.world.now() };
        setup.world.state().health.insert("vendorA".parse().unwrap(), note.clone());
        note
    };
    let noted = |event: &EventDetail| {
        let row = setup.world.state().ledger[&event.key].clone();
        row.normalized.unwrap().vendor_health
    };
    let document = |event: &EventDetail| {
        let state = setup.world.state();
        let at = state.ledger[&event.key].normalized.clone().unwrap().r#ref.key;
        state.normalized[&at].clone()
    };
    score(97);
    setup.publish_native(&native, &wasm);
    let event = setup.good();
    setup.run(&event).await.unwrap();
    assert_eq!(noted(&event), None, "nobody asked");

    setup.publish_as(&native, &wasm, true);
    let event = setup.good();
    let first = score(90);
    setup.run(&event).await.unwrap();
    assert_eq!(noted(&event), Some(first.clone()));
    let before = document(&event);
    assert!(!String::from_utf8_lossy(&before).contains("vendorHealth"));
    // Another day, another score: a replay of unchanged code changes no byte, and not the row either.
    score(12);
    let replay = EventDetail { replay: 1, ..event.clone() };
    assert_eq!(setup.run(&replay).await.unwrap()["changed"], false);
    assert_eq!((document(&event), noted(&event)), (before, Some(first)));

    // A score that cannot be read holds up no event.
    setup.world.state().health.clear();
    let event = setup.good();
    setup.run(&event).await.unwrap();
    assert_eq!(noted(&event), None);
}

#[tokio::test]
async fn a_mapper_that_grows_without_end_is_stopped() {
    let setup = Setup::new();
    setup.publish(&module(b"", "(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (i32.const 16)"));
    let fault = setup.run(&setup.good()).await.unwrap_err();
    assert!(matches!(fault.code, Code::MapperOutOfFuel | Code::MapperOutOfMemory), "{fault:?}");
}

#[tokio::test]
async fn data_that_cannot_be_mapped_is_rejected_with_every_fault() {
    let setup = Setup::new();
    setup.publish(&answering(0, GOOD.as_bytes()));
    let violated = setup.store(&envelope(json!({"qty": "12"})), |_| {});
    let fault = setup.run(&violated).await.unwrap_err();
    assert_eq!(
        (fault.code, fault.errors[0].pointer.as_str()),
        (Code::PayloadSchemaViolation, "/payload/qty")
    );
    let unknown = setup.store(&envelope(json!({"qty": 1})), |row| row.schema_version = "9".parse().unwrap());
    assert_eq!(setup.run(&unknown).await.unwrap_err().code, Code::SchemaVersionUnknown);
    let unreadable = setup.store(b"{\"vendorId\":", |_| {});
    assert_eq!(setup.run(&unreadable).await.unwrap_err().code, Code::PayloadUnreadable);
    let broken_gzip = setup.store(b"not gzip", |row| row.content_encoding = Some("gzip".into()));
    assert_eq!(setup.run(&broken_gzip).await.unwrap_err().code, Code::PayloadUnreadable);
    let large = setup.store(&envelope(json!({"qty": 1, "more": "x".repeat(4_000)})), |_| {});
    assert_eq!(setup.run(&large).await.unwrap_err().code, Code::PayloadTooLarge);

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&envelope(json!({"qty": 1}))).unwrap();
    let gzip = setup.store(&encoder.finish().unwrap(), |row| row.content_encoding = Some("gzip".into()));
    setup.run(&gzip).await.unwrap();
}

#[tokio::test]
async fn what_a_person_must_mend_is_misconfigured() {
    let setup = Setup::new();
    let event = setup.good();
    let expect = async |code: Code| {
        let fault = setup.run(&event).await.unwrap_err();
        assert_eq!((fault.code, fault.error_type()), (code, "Misconfigured"), "{fault:?}");
    };
    expect(Code::MapperMissing).await;

    let wasm = answering(0, GOOD.as_bytes());
    let bundle = setup.publish(&wasm);
    let held = setup.world.state().bundles.remove(&manifest_key(&bundle)).unwrap();
    expect(Code::BundleMissing).await;
    setup.world.state().bundles.insert(manifest_key(&bundle), Bytes::from_static(b"{}"));
    expect(Code::BundleDigestMismatch).await;
    setup.world.state().bundles.insert(manifest_key(&bundle), held);

    let native = compile(&wasm, &TargetSpec::host()).unwrap().bytes;
    let blob = blob_key(&Sha256Hex::of(&native));
    let held = setup.world.state().bundles.insert(blob.clone(), Bytes::from_static(b"altered")).unwrap();
    expect(Code::BundleDigestMismatch).await;
    setup.world.state().bundles.insert(blob, held);

    for native in [&b"not native code"[..], &native[..native.len() / 2], &wasm] {
        setup.publish_native(native, &wasm);
        expect(Code::BundleIncompatible).await;
    }

    setup.publish(&wasm);
    let (held, headers) = setup.world.state().raw.remove(&event.raw_ref.key).unwrap();
    expect(Code::RawMissing).await;
    setup
        .world
        .state()
        .raw
        .insert(event.raw_ref.key.clone(), (Bytes::from_static(b"altered"), headers.clone()));
    expect(Code::RawDigestMismatch).await;
    setup.world.state().raw.insert(event.raw_ref.key.clone(), (held, headers));

    let foreign = EventDetail { ingest_id: IngestId::mint(setup.world.now(), 99), ..event.clone() };
    assert_eq!(setup.run(&foreign).await.unwrap_err().code, Code::LedgerRowMissing);
    assert_eq!(handle(&setup.deps, json!({"detail": {}})).await.unwrap_err().code, Code::InputMalformed);
    setup.run(&event).await.unwrap();
}

#[tokio::test]
async fn a_store_that_fails_is_retryable_at_every_step() {
    let mut setup = Setup::new();
    setup.publish(&answering(0, GOOD.as_bytes()));
    let event = setup.good();
    // Each call fails once, before or after its effect: with a bundle that is not loaded yet, and of a replay.
    let replay = EventDetail { replay: 1, ..event.clone() };
    for (failure, event) in [(Failure::Before, &event), (Failure::After, &event), (Failure::After, &replay)] {
        let mut calls_before = 0;
        loop {
            setup.deps.bundles = Bundles::new(Arc::new(setup.world.clone()), trust(&key(1))).unwrap();
            let begun = setup.world.calls();
            setup.world.fail_next(std::iter::repeat_n(Failure::None, calls_before).chain([failure]));
            let result = setup.run(event).await;
            let calls = setup.world.calls() - begun;
            setup.world.fail_next_no_more();
            if calls <= calls_before {
                result.unwrap();
                break;
            }
            assert_eq!(calls, calls_before + 1, "nothing is asked after a failure");
            assert_eq!(result.unwrap_err().error_type(), "Retryable", "call {calls}");
            calls_before += 1;
        }
        // Pointer, statements, manifest, native code, schema, raw, document, ledger; a replay's row before.
        assert!(calls_before >= 8, "{calls_before} calls");
        assert_eq!(setup.world.state().ledger[&event.key].status, Status::Normalized);
        assert_eq!(setup.world.state().normalized.len(), 1, "one document, however often it was tried");
    }
}

#[tokio::test]
async fn native_code_is_loaded_on_a_trusted_signature_alone() {
    let setup = Setup::new();
    let wasm = answering(0, GOOD.as_bytes());
    let native = compile(&wasm, &TargetSpec::host()).unwrap().bytes;
    let event = setup.good();
    let expect = async |code: Code, why: &str| {
        let fault = setup.run(&event).await.unwrap_err();
        assert_eq!((fault.code, fault.error_type()), (code, "Misconfigured"), "{why}: {fault:?}");
        assert!(fault.bundle.is_some());
    };
    let bundle = setup.publish(&wasm);
    let genuine = sign(&key(1), setup.build(&bundle, &native));
    let fingerprint = genuine.build.fingerprint.clone();
    let place = |signed: &SignedBuild| build_key(&bundle, &fingerprint, &signed.key_id);
    let put = |key: &str, bytes: Vec<u8>| {
        setup.world.state().bundles.insert(key.to_owned(), bytes.into());
    };
    let at = place(&genuine);
    setup.world.state().bundles.remove(&at);
    expect(Code::BundleUnsigned, "there is no statement").await;

    let next = Build { fingerprint: "0".repeat(64), ..genuine.build.clone() };
    put(&build_key(&bundle, &next.fingerprint, &genuine.key_id), sign(&key(1), next).encode());
    expect(Code::BundleIncompatible, "there is one for another host").await;

    let stranger = sign(&key(2), genuine.build.clone());
    put(&place(&stranger), stranger.encode());
    expect(Code::BundleKeyUnknown, "there is one by another key").await;

    put(&at, SignedBuild { key_id: genuine.key_id.clone(), ..stranger }.encode());
    expect(Code::BundleSignatureInvalid, "another key's signature under a trusted name").await;
    let mut altered = genuine.clone();
    altered.build.native = FileRef::of(b"other code");
    put(&at, altered.encode());
    expect(Code::BundleSignatureInvalid, "the digest of the code was altered").await;
    let of_another = sign(&key(1), Build { bundle: Sha256Hex::of(b"another"), ..genuine.build.clone() });
    put(&at, of_another.encode());
    expect(Code::BundleSignatureInvalid, "a genuine statement about another bundle").await;
    put(&at, b"{}".to_vec());
    expect(Code::BundleSignatureInvalid, "no statement").await;
    let blob = blob_key(&genuine.build.native.sha256);
    let held = setup.world.state().bundles.insert(blob.clone(), Bytes::from_static(b"altered")).unwrap();
    put(&at, genuine.encode());
    expect(Code::BundleDigestMismatch, "the code itself was altered").await;
    setup.world.state().bundles.insert(blob, held);
    setup.run(&event).await.unwrap();
}

#[tokio::test]
async fn a_candidate_that_breaks_events_is_taken_back_by_itself() {
    let setup = Setup::new();
    let bad = setup.publish(&module(b"", "unreachable"));
    let good = setup.publish(&answering(0, GOOD.as_bytes()));
    setup.try_out(&bad, "50");
    let mut broken = Vec::new();
    let (mut sent, mut events) = (0, Vec::new());
    while setup.world.state().mappers.values().next().unwrap().canary.is_some() {
        sent += 1;
        assert!(sent < 200, "it is never taken back");
        let event = setup.good();
        if let Err(fault) = setup.run(&event).await {
            assert_eq!((fault.code, fault.bundle), (Code::MapperTrapped, Some(bad.clone())));
            broken.push(event.clone());
        }
        events.push(event);
    }
    assert_eq!(broken.len(), 10, "as soon as there are enough events");
    let state = setup.world.state().clone();
    let pointer = state.mappers.values().next().unwrap();
    assert_eq!((&pointer.bundle, pointer.revision), (&good, 3));
    let change = state.mapper_changes.last().unwrap();
    assert_eq!((change.kind, change.by.as_str()), (ChangeKind::AutoRollback, "sluice-normalize"));
    assert_eq!((change.from.as_ref(), &change.to), (Some(&bad), &good));
    let counts = change.counts.unwrap();
    assert_eq!((counts.candidate.events, counts.candidate.failed, counts.active.failed), (10, 10, 0));
    assert_eq!(counts.candidate.events + counts.active.events, sent);
    assert!(change.reason.contains("10 of 10 (100.00 %)"), "{}", change.reason);
    // What it broke is redriven through the active mapper.
    for event in &broken {
        let mut input = serde_json::to_value(event).unwrap();
        input["fresh"] = json!(true);
        handle(&setup.deps, input).await.unwrap();
    }
    assert!(events.iter().all(|event| setup.world.state().ledger[&event.key].status == Status::Normalized));
}

#[tokio::test]
async fn a_trial_is_of_first_runs_and_counts_what_is_the_mappers_doing() {
    let setup = Setup::new();
    let candidate = setup.publish(&answering(1, br#"{"code":"no","path":"","message":"no"}"#));
    setup.publish(&answering(0, GOOD.as_bytes()));
    setup.try_out(&candidate, "99.99");
    let event = setup.good();
    let counts = || setup.world.state().canary_counts.values().next().copied().unwrap_or_default();
    assert_eq!(setup.run(&event).await.unwrap_err().bundle, Some(candidate.clone()));
    let counted = counts();
    assert_eq!((counted.candidate.events, counted.candidate.failed), (1, 1));

    let replayed = EventDetail { replay: 1, ..event.clone() };
    setup.run(&replayed).await.unwrap();
    let mut redriven = serde_json::to_value(&event).unwrap();
    redriven["fresh"] = json!(true);
    handle(&setup.deps, redriven).await.unwrap();
    assert_eq!(counts(), counted, "neither a replay nor a redrive takes part");

    let missing = setup.good();
    setup.world.state().raw.remove(&missing.raw_ref.key);
    assert_eq!(setup.run(&missing).await.unwrap_err().code, Code::RawMissing);
    assert_eq!(counts(), counted, "a missing object is not the candidate's doing");
    // Vendor, pointer, raw: the third call fails once, and the event is tried again.
    setup.world.fail_next([Failure::None, Failure::None, Failure::Before]);
    assert_eq!(setup.run(&setup.good()).await.unwrap_err().error_type(), "Retryable");
    assert_eq!(counts(), counted, "what is tried again is not counted yet");
    // Vendor, pointer, raw, count: an outcome that cannot be counted fails no event.
    setup.world.fail_next([Failure::None, Failure::None, Failure::None, Failure::Before]);
    assert_eq!(setup.run(&setup.good()).await.unwrap_err().code, Code::MapperRefused);
    assert_eq!(counts(), counted);
}

#[tokio::test]
async fn a_good_candidate_stays_on_trial() {
    let setup = Setup::new();
    let candidate = setup.publish(&answering(0, GOOD.replace("12", "13").as_bytes()));
    let active = setup.publish(&answering(0, GOOD.as_bytes()));
    setup.try_out(&candidate, "50");
    for _ in 0..60 {
        setup.run(&setup.good()).await.unwrap();
    }
    let state = setup.world.state();
    assert!(state.mappers.values().next().unwrap().canary.is_some() && state.mapper_changes.is_empty());
    let CanaryCounts { candidate: theirs, active: ours } = *state.canary_counts.values().next().unwrap();
    assert_eq!((theirs.events + ours.events, theirs.failed + ours.failed), (60, 0));
    for (bundle, expected) in [(candidate, theirs.events), (active, ours.events)] {
        let mapped =
            state.ledger.values().filter(|row| row.normalized.as_ref().is_some_and(|it| it.bundle == bundle));
        assert_eq!(mapped.count() as u64, expected);
        assert!(expected > 10, "{expected} of 60");
    }
}

#[tokio::test]
async fn a_renamed_field_is_found_recorded_once_and_announced() {
    let mut setup = Setup::new();
    let learned = World::new();
    setup.deps.drift = Observer::new(Arc::new(learned.clone()), Arc::new(learned.clone()));
    setup.publish(&answering(0, GOOD.as_bytes()));
    for _ in 0..30 {
        setup.run(&setup.good()).await.unwrap();
    }
    setup.deps.drift.flush().await;
    assert!(learned.state().findings.is_empty());
    let mut last = None;
    for _ in 0..2 {
        for quantity in 0..3 {
            let event = setup.store(&envelope(json!({"quantity": quantity})), |_| {});
            assert_eq!(setup.run(&event).await.unwrap_err().code, Code::PayloadSchemaViolation);
            last = Some(event.ingest_id);
        }
        setup.deps.drift.flush().await;
    }
    let state = learned.state();
    assert_eq!(state.findings.len(), 1, "{:#?}", state.findings);
    let finding = state.findings.values().next().unwrap();
    assert_eq!((finding.kind, finding.path.as_str()), (FindingKind::Renamed, "/qty"));
    assert_eq!((finding.renamed_to.as_deref(), finding.breaking), (Some("/quantity"), true));
    assert_eq!(finding.code.as_deref(), Some("payload_schema_violation"));
    assert_eq!(state.drift_on_bus.len(), 1, "announced once");
    assert!(finding.example <= last.unwrap());
    let text = serde_json::to_string(&state.drift_on_bus).unwrap();
    assert!(!text.contains("evt-"), "references only");
}

#[tokio::test]
async fn learning_never_fails_an_event() {
    let mut setup = Setup::new();
    let learned = World::new();
    setup.deps.drift = Observer::new(Arc::new(learned.clone()), Arc::new(learned.clone()));
    setup.publish(&answering(0, GOOD.as_bytes()));
    learned.fail_next([Failure::Before, Failure::None, Failure::After]);
    for _ in 0..3 {
        setup.run(&setup.good()).await.unwrap();
        setup.deps.drift.flush().await;
    }
    let events: u64 =
        learned.state().tracks.values().map(|(track, _)| track.past.events + track.recent.events).sum();
    assert_eq!(events, 2, "what could not be stored is given up");
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_the_bus_did_not_take_is_announced_later() {
    let mut setup = Setup::new();
    let learned = World::new();
    setup.deps.drift = Observer::new(Arc::new(learned.clone()), Arc::new(learned.clone()));
    setup.publish(&answering(0, GOOD.as_bytes()));
    for _ in 0..30 {
        setup.run(&setup.good()).await.unwrap();
    }
    setup.deps.drift.flush().await;
    let drifted = async |setup: &Setup| {
        for quantity in 0..3 {
            let event = setup.store(&envelope(json!({"quantity": quantity})), |_| {});
            setup.run(&event).await.unwrap_err();
        }
    };
    drifted(&setup).await;
    // Track, track, finding, bus: the bus is not there.
    learned.fail_next([Failure::None, Failure::None, Failure::None, Failure::Before]);
    setup.deps.drift.flush().await;
    let announced = || learned.state().drift_on_bus.len();
    assert_eq!(learned.state().findings.len(), 1);
    assert_eq!(announced(), 0);
    // No further event: the process itself tries again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(announced(), 1);

    // A process that ended before it tried again leaves it to the next one that sees the same.
    learned.state().announced.clear();
    setup.deps.drift = Observer::new(Arc::new(learned.clone()), Arc::new(learned.clone()));
    drifted(&setup).await;
    setup.deps.drift.flush().await;
    assert_eq!(announced(), 2);
    drifted(&setup).await;
    setup.deps.drift.flush().await;
    assert_eq!(announced(), 2, "what was announced is not announced again");
}

#[tokio::test]
async fn a_statement_from_the_future_and_of_the_warehouse_of_another_is_quarantined_by_name() {
    let setup = Setup::new();
    let stating = |occurred_at: &str, warehouse: &str| {
        answering(0, GOOD.replace("2026-11-21T10:00:00Z", occurred_at).replace("ROA", warehouse).as_bytes())
    };
    let run = async |wasm: &[u8], alter: fn(&mut Contract)| {
        setup.publish_contract(&compile(wasm, &TargetSpec::host()).unwrap().bytes, wasm, alter);
        let event = setup.good();
        setup.run(&event).await.map_err(|fault| (fault.code, fault.errors[0].pointer.clone()))
    };
    let usual: fn(&mut Contract) = |_| {};
    // It is 10:00 on the 21st.
    run(&stating("2026-11-22T10:00:00Z", "ROA"), usual).await.unwrap();
    let ahead = (Code::OccurredAtAhead, "/0/occurredAt".to_owned());
    assert_eq!(run(&stating("2026-11-22T10:00:01Z", "ROA"), usual).await.unwrap_err(), ahead);
    assert_eq!(run(&stating("9999-01-01T00:00:00Z", "ROA"), usual).await.unwrap_err(), ahead);
    let hour: fn(&mut Contract) = |contract| contract.limits.occurred_at_ahead_seconds = 3_600;
    assert_eq!(run(&stating("2026-11-21T11:00:01Z", "ROA"), hour).await.unwrap_err(), ahead);

    let listed: fn(&mut Contract) = |contract| contract.warehouses = vec!["ROA".into(), "caf\u{e9}".into()];
    run(&stating("2026-11-21T10:00:00Z", "ROA"), listed).await.unwrap();
    run(&stating("2026-11-21T10:00:00Z", "cafe\u{301}"), listed).await.unwrap();
    let foreign = (Code::WarehouseForeign, "/0/data/warehouseId".to_owned());
    assert_eq!(run(&stating("2026-11-21T10:00:00Z", "ROB"), listed).await.unwrap_err(), foreign);
}

#[tokio::test]
async fn one_identifier_however_its_characters_are_composed() {
    let setup = Setup::new();
    let mut documents = Vec::new();
    for sku in ["caf\u{e9}", "cafe\u{301}"] {
        setup.publish(&answering(0, GOOD.replace("ABC-001", sku).as_bytes()));
        let event = setup.good();
        setup.run(&event).await.unwrap();
        let state = setup.world.state();
        let key = state.ledger[&event.key].normalized.clone().unwrap().r#ref.key;
        let line: Value = serde_json::from_slice(&state.normalized[&key]).unwrap();
        documents.push(line["data"].clone());
    }
    assert_eq!(documents[0]["sku"], "caf\u{e9}");
    assert_eq!(documents[0], documents[1]);
}

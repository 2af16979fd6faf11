//! A case that was made in one place is verified in another, and whatever is changed in it is named.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use sluice_core::bundle::{Build, FileRef, MODULE_FILE, Manifest, SignatureAlgorithm, SignedBuild};
use sluice_core::id::IngestId;
use sluice_mapper_host::Host;
use sluice_mapping::{Bundle, TrustKeys, map};

use super::export::{Whole, redacted};
use super::file::CaseFile;
use super::*;
use crate::loaded::compiled;
use crate::testing::{ledger_row, quarantine_row};

const RAW_BYTES: &str = r#"{"qty":7,"name":"Ada Byron"}"#;
const OUT: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"warehouseId":"W","sku":"S","quantityOnHand":1}}]"#;

/// Gives the same event for whatever satisfies its schema.
fn module(import: &str) -> Bytes {
    let escaped: String = OUT.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let wasm = wat::parse_str(format!(
        r#"(module {import} (memory (export "memory") 4) (data (i32.const 1024) "{escaped}")
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 131072))
          (func (export "map") (param i32 i32 i32 i32) (result i32)
            (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 1024))
            (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
        OUT.len()
    ));
    wasm.unwrap().into()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn trust(number: u8) -> TrustKeys {
    TrustKeys::from_pem(&key(number).verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap()
}

struct Made {
    case: CaseFile,
    whole: Whole,
    parts: BTreeMap<String, Bytes>,
    bundle: Option<Bundle>,
}

/// A case of an event that came to its end: `raw` decides which. `manifest` is changed before it is published.
fn made(raw: &str, import: &str, manifest: impl FnOnce(&mut Value)) -> Made {
    let host = Host::new().unwrap();
    let contract = serde_json::from_value(json!({"vendorId": "vendorA", "eventType": "inventory_update",
        "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.json"}},
        "envelope": {"eventType": {"constant": "inventory_update"}, "occurredAt": {"received": true}},
        "canonical": {"type": "InventoryUpdated", "version": "1.0"}}))
    .unwrap();
    let schema = br#"{"type":"object","required":["qty"],"properties":{"qty":{"type":"integer"}}}"#;
    let files = BTreeMap::from([
        (MODULE_FILE.to_owned(), module(import)),
        ("schema/1.json".to_owned(), Bytes::from_static(schema)),
    ]);
    let bundle = compiled(&host, contract, &files).ok();
    let contract = serde_json::from_value(json!({"vendorId": "vendorA", "eventType": "inventory_update",
        "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.json"}},
        "envelope": {"eventType": {"constant": "inventory_update"}, "occurredAt": {"received": true}},
        "canonical": {"type": "InventoryUpdated", "version": "1.0"}}))
    .unwrap();
    let refs = files.iter().map(|(name, bytes)| (name.clone(), FileRef::of(bytes))).collect();
    let mut written = serde_json::to_value(Manifest { contract, files: refs }).unwrap();
    manifest(&mut written);
    let manifest = serde_json_canonicalizer::to_vec(&written).unwrap();
    let digest = Sha256Hex::of(&manifest);

    let build = Build {
        bundle: digest.clone(),
        fingerprint: "f".repeat(64),
        target: "t".into(),
        native: FileRef::of(b"native"),
    };
    let signature: DerSignature = key(1).sign(&build.signed_bytes());
    let signed = SignedBuild {
        key_id: trust(1).ids().next().unwrap().clone(),
        algorithm: SignatureAlgorithm::EcdsaSha256,
        signature: STANDARD.encode(signature.as_bytes()),
        build,
    };
    let mut parts: BTreeMap<String, Bytes> =
        files.iter().map(|(name, bytes)| (format!("{FILES}{name}"), bytes.clone())).collect();
    parts.insert(MANIFEST.to_owned(), manifest.into());
    parts.insert(
        format!("{BUILDS}{}/{}.json", signed.build.fingerprint, signed.key_id),
        signed.encode().into(),
    );

    let mut row = ledger_row("NORMALIZED");
    row.form = sluice_core::record::Form::Native;
    row.raw_sha256 = Sha256Hex::of(raw.as_bytes());
    let mut held = None;
    let mut document = None;
    let mut outcome = Outcome::Events { sha256: Sha256Hex::of(b""), events: 1 };
    if let Some(bundle) = &bundle {
        let mapped = map(&row.detail(), bundle, raw.as_bytes());
        outcome = Outcome::of(&mapped);
        document = mapped.ok().map(|mapped| Bytes::copy_from_slice(mapped.outcome.document()));
    }
    match &outcome {
        Outcome::Events { sha256, events } => {
            row.normalized = serde_json::from_value(json!({"ref": {"bucket": "b", "key": "k"}, "sha256": sha256,
                "events": events, "eventType": "InventoryUpdated", "schemaVersion": "1.0", "bundle": digest, "fuel": 1,
                "at": "2026-11-21T09:58:01Z"}))
            .unwrap();
        }
        Outcome::Nothing(_) => {}
        Outcome::Fails { code, message, errors } => {
            let mut quarantined = quarantine_row("OPEN", 1);
            quarantined.cause.code.clone_from(code);
            quarantined.cause.message.clone_from(message);
            quarantined.cause.errors.clone_from(errors);
            quarantined.cause.bundle = Some(digest.clone());
            held = Some(quarantined);
        }
    }
    let raw = Bytes::copy_from_slice(raw.as_bytes());
    let whole = Whole { row, held, raw, document, outcome, journal: Vec::new() };
    let id: IngestId = "01KAJ3Y3R00000000000000001".parse().unwrap();
    let exported = written_case(id, digest, &whole, &parts);
    Made { case: CaseFile::decode(&exported).unwrap().0, whole, parts, bundle }
}

fn written_case(id: IngestId, bundle: Sha256Hex, whole: &Whole, parts: &BTreeMap<String, Bytes>) -> Vec<u8> {
    written(id, bundle, whole.clone(), parts.clone(), false).unwrap().bytes
}

fn verified(bytes: &[u8], keys: Option<&TrustKeys>) -> Verified {
    verify(&Host::new().unwrap(), bytes, keys).unwrap()
}

#[test]
fn the_outcome_is_reproduced_from_the_file_alone() {
    for (raw, what) in [(RAW_BYTES, "events"), (r#"{"qty":"7"}"#, "fails")] {
        let made = made(raw, "", |_| {});
        let bytes = made.case.encode().unwrap();
        let found = verified(&bytes, Some(&trust(1)));
        assert_eq!(found.verdict, Verdict::Reproduced, "{:?}", found.findings());
        assert_eq!(found.reproduced, found.recorded);
        let outcome = serde_json::to_value(found.reproduced).unwrap();
        assert!(outcome.get(what).is_some(), "{outcome}");
        let unasked = verified(&bytes, None);
        assert_eq!(unasked.verdict, Verdict::Reproduced);
        let signature = unasked.checks.iter().find(|check| check.of == "signature").unwrap();
        assert_eq!(signature.result, Checked::NotChecked);
    }
}

#[test]
fn every_changed_byte_of_the_file_is_noticed() {
    let bytes = made(RAW_BYTES, "", |_| {}).case.encode().unwrap();
    let host = Host::new().unwrap();
    let trust = trust(1);
    for at in (0..bytes.len()).step_by(23).chain(bytes.len() - 60..bytes.len()) {
        let mut changed = bytes.clone();
        changed[at] = if changed[at] == b'1' { b'0' } else { b'1' };
        let found = verify(&host, &changed, Some(&trust)).unwrap();
        assert!(
            matches!(found.verdict, Verdict::Differs | Verdict::Unsupported) && !found.findings().is_empty(),
            "byte {at}: {found:?}"
        );
    }
}

/// Each part with another byte and a digest that fits it: what the file says of itself holds, and is held against the rest.
#[test]
fn a_part_that_was_exchanged_is_named() {
    let made = made(RAW_BYTES, "", |_| {});
    for name in made.case.parts.keys().filter(|name| *name != JOURNAL) {
        let mut forged = made.case.clone();
        let mut part = forged.parts[name].to_vec();
        // The last digit or letter: JSON stays JSON.
        let at = part.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
        part[at] = if part[at] == b'1' { b'2' } else { b'1' };
        forged.parts.insert(name.clone(), part.into());
        let found = verified(&forged.encode().unwrap(), Some(&trust(1)));
        assert_eq!(found.verdict, Verdict::Differs, "{name}");
        let named = found.findings().iter().any(|finding| finding.starts_with(name.as_str()));
        let followed = found.findings().iter().any(|finding| finding.contains(name.as_str()));
        assert!(named || followed || name == LEDGER, "{name}: {:?}", found.findings());

        let mut without = made.case.clone();
        without.parts.remove(name);
        let found = verified(&without.encode().unwrap(), Some(&trust(1)));
        let expected = if name.starts_with(BUILDS) { Verdict::Untrusted } else { Verdict::Differs };
        assert_eq!(found.verdict, expected, "without {name}: {:?}", found.findings());
    }
    let mut other = made.case;
    other.ingest_id = "01KAJ3Y3R00000000000000002".into();
    let found = verified(&other.encode().unwrap(), None);
    assert!(found.findings()[0].starts_with("ingestId"), "{:?}", found.findings());
}

#[test]
fn an_unknown_key_is_named() {
    let bytes = made(RAW_BYTES, "", |_| {}).case.encode().unwrap();
    let found = verified(&bytes, Some(&trust(2)));
    assert_eq!(found.verdict, Verdict::Untrusted);
    let signer = trust(1).ids().next().unwrap().to_string();
    assert!(found.findings()[0].contains(&signer), "{:?}", found.findings());
    assert_eq!(found.reproduced, found.recorded, "what it comes to is known even so");
}

#[test]
fn a_bundle_that_this_host_cannot_run_is_no_difference() {
    for (import, manifest, words) in [
        ("", Some(("later", json!(true))), "does not read the manifest"),
        ("(import \"env\" \"now\" (func))", None, "cannot run the bundle"),
    ] {
        let made = made(RAW_BYTES, import, |written| {
            if let Some((name, value)) = manifest {
                written[name] = value;
            }
        });
        let mut parts = made.parts.clone();
        let row = made.whole.row.clone();
        // What came of it elsewhere, where it could be run.
        let document = Bytes::from_static(b"{}\n");
        let mut whole = Whole { row, document: Some(document.clone()), ..made.whole.clone() };
        let sha256 = Sha256Hex::of(&document);
        whole.outcome = Outcome::Events { sha256: sha256.clone(), events: 1 };
        if let Some(normalized) = &mut whole.row.normalized {
            normalized.sha256 = sha256;
            normalized.events = 1;
        }
        let digest = Sha256Hex::of(&parts[MANIFEST]);
        parts.retain(|name, _| !name.starts_with(BUILDS));
        let bytes = written_case(made.whole.row.ingest_id, digest, &whole, &parts);
        let found = verified(&bytes, None);
        assert_eq!(found.verdict, Verdict::Unsupported, "{:?}", found.findings());
        assert!(found.findings()[0].contains(words), "{:?}", found.findings());
    }
    let later = String::from_utf8(made(RAW_BYTES, "", |_| {}).case.encode().unwrap()).unwrap();
    let found = verified(later.replace("\"version\":1}", "\"version\":2}").as_bytes(), None);
    assert_eq!(found.verdict, Verdict::Unsupported);
    assert!(found.findings()[0].contains("version 2"), "{:?}", found.findings());
}

#[test]
fn a_stand_in_comes_to_the_same_or_is_refused() {
    let made = made(RAW_BYTES, "", |_| {});
    let bundle = made.bundle.as_ref().unwrap();
    let replaced = |payload: &[u8], from: &str, to: &str| -> Result<Vec<u8>, String> {
        Ok(String::from_utf8_lossy(payload).replace(from, to).into_bytes())
    };
    let stand_in =
        redacted(made.whole.clone(), bundle, &|_, payload| replaced(payload, "Ada Byron", "Xxx Xxxxx"));
    let stand_in = stand_in.unwrap();
    assert!(!String::from_utf8_lossy(&stand_in.raw).contains("Ada"));
    assert_eq!(stand_in.row.raw_sha256, Sha256Hex::of(&stand_in.raw));
    let digest = Sha256Hex::of(&made.parts[MANIFEST]);
    let bytes = written(made.whole.row.ingest_id, digest, stand_in, made.parts.clone(), true).unwrap().bytes;
    assert_eq!(verified(&bytes, Some(&trust(1))).verdict, Verdict::Reproduced);

    let spoilt = redacted(made.whole.clone(), bundle, &|_, payload| replaced(payload, "7", "\"x\""));
    let said = spoilt.unwrap_err().to_string();
    assert!(said.contains("comes to something else"), "{said}");
    assert!(redacted(made.whole, bundle, &|_, _| Err("no JSON".into())).is_err());
}

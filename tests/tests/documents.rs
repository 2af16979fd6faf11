//! The documents that people and other programs read, against the code that they describe: schemas, examples, bundles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_core::canonical;
use sluice_core::contract::{CanonicalRef, Contract};
use sluice_core::envelope::{Envelope, Refusal};
use sluice_core::fault::FieldFault;
use sluice_core::id::IngestId;
use sluice_core::intake::Answer;
use sluice_core::jiff::Timestamp;
use sluice_core::limits::{
    BODY_BYTES_MAX, HEADERS_BYTES_MAX, INFLATED_BYTES_MAX, JSON_DEPTH_MAX, UPLOAD_BYTES_MAX,
};
use sluice_core::problem::{Kind, Problem};
use sluice_core::receipt::{self, EventReceipt};
use sluice_core::record::{LedgerRow, Status};
use sluice_core::schema::Schema;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names in a folder, in order.
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().expect("a time")
}

fn openapi() -> Value {
    yaml_serde::from_str(&read("schemas/openapi.yaml")).expect("openapi.yaml is YAML")
}

mod openapi_document {
    use super::*;

    #[test]
    fn has_the_envelope_of_the_schema() {
        let mut schema = read_json("schemas/envelope.schema.json");
        // OpenAPI 3.0 has a dialect of its own and no member to name one.
        schema.as_object_mut().expect("an object").remove("$schema");
        assert_eq!(openapi()["components"]["schemas"]["Envelope"], schema);
    }

    /// What a `$ref` within the document refers to; anything else is itself.
    fn resolved<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
        match node.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("a reference within the document");
                document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not there"))
            }
            None => node,
        }
    }

    /// The responses of an operation, by status.
    fn responses<'a>(document: &'a Value, path: &str, method: &str) -> BTreeMap<u16, &'a Value> {
        let responses = document["paths"][path][method]["responses"].as_object();
        responses
            .unwrap_or_else(|| panic!("{method} {path} has no responses"))
            .iter()
            .map(|(status, response)| (status.parse().expect("a status"), resolved(document, response)))
            .collect()
    }

    /// The problems that an operation's document shows, each held against what the code gives; as their kinds.
    fn problems(document: &Value, path: &str, method: &str) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for (status, response) in responses(document, path, method) {
            let examples = response["content"]["application/problem+json"]["examples"].as_object();
            assert_eq!(examples.is_some(), status >= 400, "{method} {path} {status}");
            for (code, example) in examples.into_iter().flatten() {
                let kind = Kind::ALL.into_iter().find(|kind| kind.code() == code);
                let kind = kind.unwrap_or_else(|| panic!("{code} is an example that no code gives"));
                assert_eq!(kind.status(), status, "{method} {path} {code}");
                let example = &example["value"];
                let errors: Vec<FieldFault> = example
                    .get("errors")
                    .map_or_else(Vec::new, |errors| serde_json::from_value(errors.clone()).expect("faults"));
                let detail = example["detail"].as_str().expect("detail");
                let mut problem = Problem::new(kind, detail).with_errors(errors);
                if let Some(id) = example.get("ingestId") {
                    problem = problem.with_ingest_id(serde_json::from_value(id.clone()).expect("an id"));
                }
                let answer = problem.into_answer();
                assert_eq!(serde_json::from_str::<Value>(&answer.body).expect("JSON"), *example);
                let retry_after = response["headers"].get("retry-after").is_some();
                assert_eq!(retry_after, answer.headers.contains_key("retry-after"), "{code}");
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Operations of the API, with the statuses of success and the kinds of problem that cannot come.
    const OPERATIONS: [(&str, &str, &[u16], &[Kind]); 5] = [
        ("/v1/events", "post", &[200, 202], &[]),
        ("/v1/orders", "post", &[200, 202], &[Kind::EnvelopeInvalid, Kind::VendorMismatch]),
        ("/v1/sources/{vendorId}", "post", &[200, 202], &[Kind::EnvelopeInvalid]),
        ("/v1/uploads/{vendorId}", "post", &[200, 202], &[Kind::EnvelopeInvalid]),
        (
            "/v1/events/{ingestId}",
            "get",
            &[200],
            &[
                Kind::EnvelopeInvalid,
                Kind::MessageInvalid,
                Kind::BodyUnreadable,
                Kind::EventTypeUnknown,
                Kind::SignatureInvalid,
                Kind::VendorMismatch,
                Kind::Conflict,
                Kind::BodyTooLarge,
                Kind::ContentTypeUnsupported,
            ],
        ),
    ];

    #[test]
    fn has_every_answer_as_the_code_gives_it() {
        let document = openapi();
        let known: BTreeSet<&str> = OPERATIONS.iter().map(|(path, ..)| *path).chain(["/healthz"]).collect();
        let paths: BTreeSet<&str> =
            document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        assert_eq!(paths, known);
        for (path, method, success, never) in OPERATIONS {
            let shown = problems(&document, path, method);
            for kind in Kind::ALL {
                assert_eq!(shown.contains(&kind), !never.contains(&kind), "{method} {path} {}", kind.code());
            }
            let expected: BTreeSet<u16> =
                shown.iter().map(|kind| kind.status()).chain(success.iter().copied()).collect();
            assert_eq!(
                responses(&document, path, method).into_keys().collect::<BTreeSet<_>>(),
                expected,
                "{path}"
            );
        }
        let received_at: Timestamp = "2026-01-15T10:30:01.234Z".parse().expect("a time");
        let id: IngestId = "01KF0Q4S8R6D1ZJ8W9T3C5V7XN".parse().expect("an id");
        for answer in [Answer::accepted(id, received_at), Answer::duplicate(id, received_at)] {
            let response = responses(&document, "/v1/events", "post")[&answer.status_code];
            let example = &response["content"]["application/json"]["example"];
            assert_eq!(serde_json::from_str::<Value>(&answer.body).expect("JSON"), *example);
        }
    }

    #[test]
    fn has_receipts_as_the_code_gives_them() {
        let document = openapi();
        let response = responses(&document, "/v1/events/{ingestId}", "get")[&200];
        let examples = response["content"]["application/json"]["examples"].as_object().expect("examples");
        for (name, example) in examples {
            let example = &example["value"];
            let mut row = json!({
                "vendorId": "vendorA", "payloadSha256": "1".repeat(64), "rawSha256": "1".repeat(64), "rawBytes": 1,
                "statusShard": "x", "rawRef": {"bucket": "raw", "key": "k"}, "contentType": "application/json",
                "updatedAt": "2026-01-15T10:30:01.402Z"
            });
            let members = row.as_object_mut().expect("an object");
            for (name, value) in example.as_object().expect("an object") {
                members.insert(name.clone(), value.clone());
            }
            if let Some(at) = members.remove("normalizedAt") {
                if let Some(nothing) = members.get_mut("nothing") {
                    nothing["bundle"] = "1".repeat(64).into();
                    nothing["fuel"] = 1.into();
                    nothing["at"] = at;
                } else {
                    let document = json!({"bucket": "normalized", "key": "k"});
                    members.insert(
                    "normalized".into(),
                    json!({"ref": document, "sha256": "1".repeat(64), "events": 1, "eventType": "InventoryUpdated",
                        "schemaVersion": "1.0", "bundle": "1".repeat(64), "fuel": 1, "at": at}),
                );
                }
            }
            if name == "operator" {
                members["quarantine"]["code"] = "bundle_missing".into();
            }
            let row: LedgerRow =
                serde_json::from_value(row).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(serde_json::to_value(EventReceipt::of(&row)).expect("JSON"), *example, "{name}");
            if row.status == Status::Received {
                // A vendor is not told that its event is held.
                let held = EventReceipt::of(&LedgerRow { status: Status::Held, ..row });
                assert_eq!(serde_json::to_value(held).expect("JSON"), *example, "{name}, held");
            }
        }
        assert_eq!(examples.len(), 4);
        let schema = &document["components"]["schemas"]["EventReceipt"]["properties"];
        assert_eq!(schema["quarantine"]["properties"]["code"]["enum"], json!(receipt::codes()));
        let told: Vec<Status> = Status::ALL.into_iter().filter(|status| *status != Status::Held).collect();
        assert_eq!(schema["status"]["enum"], json!(told));
    }

    #[test]
    fn has_the_order_of_the_examples() {
        let document = openapi();
        let body = &document["paths"]["/v1/orders"]["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(body["examples"]["order"]["value"], read_json("examples/order.json"));
    }

    #[test]
    fn lists_every_type_of_problem() {
        let types: Vec<Value> =
            Kind::ALL.iter().map(|kind| format!("urn:sluice:problem:{}", kind.code()).into()).collect();
        assert_eq!(openapi()["components"]["schemas"]["Problem"]["properties"]["type"]["enum"], json!(types));
    }

    #[test]
    fn states_the_limits_that_hold() {
        let text = read("schemas/openapi.yaml");
        for limit in [BODY_BYTES_MAX, INFLATED_BYTES_MAX, HEADERS_BYTES_MAX, UPLOAD_BYTES_MAX] {
            let thousands = match limit / 1000 {
                small @ 0..1000 => small.to_string(),
                large => format!("{},{:03}", large / 1000, large % 1000),
            };
            let grouped = format!("{thousands},{:03} bytes", limit % 1000);
            assert!(text.contains(&grouped), "{grouped}");
        }
        assert!(text.contains(&format!("nested at most {JSON_DEPTH_MAX} deep")));
    }

    #[test]
    fn has_requests_that_are_envelopes() {
        let document = openapi();
        let examples = &document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
            ["examples"];
        let examples = examples.as_object().expect("examples");
        assert!(!examples.is_empty());
        for (name, example) in examples {
            let body = serde_json::to_vec(&example["value"]).expect("JSON");
            if let Err(refusal) = Envelope::parse(&body, now()) {
                panic!("{name}: {refusal:?}");
            }
        }
    }
}

/// A folder of `mappers-wasm` that is published, and what its `mapper.toml` says.
fn bundles() -> Vec<(String, Contract)> {
    let bundles: Vec<_> = names("mappers-wasm")
        .into_iter()
        .map(|name| format!("mappers-wasm/{name}"))
        .filter(|folder| root().join(folder).join("mapper.toml").is_file())
        .map(|folder| {
            let contract = contract(&folder);
            (folder, contract)
        })
        .collect();
    assert!(bundles.len() >= 2, "{}", bundles.len());
    bundles
}

fn contract(folder: &str) -> Contract {
    let contract: Contract = toml::from_str(&read(&format!("{folder}/mapper.toml")))
        .unwrap_or_else(|error| panic!("{folder}: {error}"));
    contract.check().unwrap_or_else(|error| panic!("{folder}: {error}"));
    contract
}

#[test]
fn every_bundle_has_what_its_contract_names() {
    let mut seen = BTreeSet::new();
    for (folder, contract) in bundles() {
        assert!(
            seen.insert((contract.vendor_id.clone(), contract.event_type.clone())),
            "{folder} is the second bundle of {} {}: which one `sluice dev --examples` activates would be chance",
            contract.vendor_id,
            contract.event_type
        );
        assert!(canonical::schema(&contract.canonical).is_some(), "{folder} maps to an unknown type");
        for path in contract.payload.versions.values() {
            let schema = read(&format!("{folder}/{path}"));
            Schema::compile(schema.as_bytes()).unwrap_or_else(|error| panic!("{folder}/{path}: {error}"));
        }
    }
}

mod canonical_schema {
    use super::*;

    #[test]
    fn files_and_registry_are_the_same() {
        let files: BTreeSet<String> =
            names("schemas/canonical").into_iter().filter(|name| name != "examples").collect();
        let registered: BTreeSet<String> = canonical::SCHEMAS
            .iter()
            .map(|(name, version, _)| format!("{name}-{version}.schema.json"))
            .collect();
        assert_eq!(files, registered);
        for (name, version, text) in canonical::SCHEMAS {
            let schema: Value = serde_json::from_str(text).expect("a schema is JSON");
            assert_eq!(schema["title"], format!("{name} {version}"), "title");
        }
    }

    fn schemas() -> impl Iterator<Item = (CanonicalRef, &'static Schema, Value)> {
        canonical::SCHEMAS.iter().map(|(name, version, text)| {
            let canonical = CanonicalRef {
                r#type: name.parse().expect("a type"),
                version: version.parse().expect("a version"),
            };
            let schema = canonical::schema(&canonical).expect("it is registered");
            (canonical, schema, serde_json::from_str(text).expect("JSON"))
        })
    }

    #[test]
    fn judges_its_examples_as_their_folders_say() {
        let registered: BTreeSet<String> = schemas()
            .map(|(canonical, _, _)| format!("{}-{}", canonical.r#type, canonical.version))
            .collect();
        assert_eq!(names("schemas/canonical/examples").into_iter().collect::<BTreeSet<_>>(), registered);
        for (canonical, schema, text) in schemas() {
            let folder = format!("schemas/canonical/examples/{}-{}", canonical.r#type, canonical.version);
            for (judgement, valid) in [("valid", true), ("invalid", false)] {
                let examples = names(&format!("{folder}/{judgement}"));
                assert!(!examples.is_empty(), "{folder}/{judgement}");
                for name in examples {
                    let path = format!("{folder}/{judgement}/{name}");
                    let faults = schema.faults(&read_json(&path));
                    assert_eq!(faults.is_empty(), valid, "{path}: {faults:?}");
                }
            }
            let refused = names(&format!("{folder}/invalid"));
            for required in text["required"].as_array().expect("required") {
                let name = format!("without-{}.json", required.as_str().expect("a name"));
                assert!(refused.contains(&name), "{folder}/invalid has no {name}");
            }
        }
    }
}

mod example {
    use super::*;

    /// As `sluice dev --examples` reads it.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Vendor {
        vendor_id: String,
        api_key: String,
        webhook_secret: Option<String>,
    }

    fn vendors() -> BTreeMap<String, Vendor> {
        let list: Vec<Vendor> = serde_json::from_value(read_json("examples/vendors.json")).expect("vendors");
        let count = list.len();
        let vendors: BTreeMap<_, _> =
            list.into_iter().map(|vendor| (vendor.vendor_id.clone(), vendor)).collect();
        assert_eq!(vendors.len(), count, "a vendor is listed twice");
        vendors
    }

    #[test]
    fn vendors_are_obviously_not_real_and_each_has_a_mapper() {
        let vendors = vendors();
        let keys: BTreeSet<&str> = vendors.values().map(|vendor| vendor.api_key.as_str()).collect();
        assert_eq!(keys.len(), vendors.len(), "a key belongs to one vendor");
        assert!(keys.iter().all(|key| key.ends_with("-dev-key")), "{keys:?}");
        assert!(vendors.values().any(|vendor| vendor.webhook_secret.is_some()), "one signs");
        assert!(vendors.values().any(|vendor| vendor.webhook_secret.is_none()), "one does not");
        for secret in vendors.values().filter_map(|vendor| vendor.webhook_secret.as_ref()) {
            // Of Standard Webhooks, or of a vendor's own scheme.
            assert!(secret.starts_with("whsec_") || secret.ends_with("-dev-secret"), "{secret}");
        }
        let with_mapper: BTreeSet<String> =
            bundles().into_iter().map(|(_, contract)| contract.vendor_id.to_string()).collect();
        assert_eq!(vendors.keys().cloned().collect::<BTreeSet<_>>(), with_mapper);
    }

    /// What an event example is, by its file's name, up to the point that this crate can judge.
    #[test]
    fn events_are_what_their_names_say() {
        let vendors = vendors();
        let mut events = 0;
        for name in names("examples") {
            // An order is no envelope; `tests/tests/intake.rs` posts it.
            if !name.ends_with(".json") || name == "vendors.json" || name == "order.json" {
                continue;
            }
            events += 1;
            let body = read(&format!("examples/{name}"));
            let parsed = Envelope::parse(body.as_bytes(), now());
            if name.starts_with("invalid-") {
                let Err(Refusal::Faults(faults)) = parsed else { panic!("{name} is taken") };
                assert!(faults.len() >= 4, "{name} shows several faults at once: {faults:?}");
                continue;
            }
            let envelope = parsed.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
            assert!(vendors.contains_key(envelope.vendor_id.as_str()), "{name}");
            let (folder, contract) = bundles()
                .into_iter()
                .find(|(_, contract)| {
                    contract.vendor_id == envelope.vendor_id && contract.event_type == envelope.event_type
                })
                .unwrap_or_else(|| panic!("{name} has no contract"));
            let version = envelope.schema_version.unwrap_or(contract.payload.default_version);
            assert_eq!(
                contract.payload.versions.contains_key(&version),
                !name.contains("unknown-version"),
                "{name}"
            );
            let Some(path) = contract.payload.versions.get(&version) else { continue };
            let schema = read(&format!("{folder}/{path}"));
            let schema = Schema::compile(schema.as_bytes()).expect("a schema");
            let payload: Value = serde_json::from_slice(envelope.payload).expect("JSON");
            let valid = schema.faults(&payload).is_empty();
            assert_eq!(valid, !name.contains("renamed"), "{name}: {:?}", schema.faults(&payload));
        }
        assert!(events >= 5, "{events}");
    }

    #[test]
    fn the_conflict_is_one() {
        let (first, second) =
            (read("examples/vendorA-inventory.json"), read("examples/vendorA-inventory-conflict.json"));
        let first = Envelope::parse(first.as_bytes(), now()).expect("an envelope");
        let second = Envelope::parse(second.as_bytes(), now()).expect("an envelope");
        assert_eq!(first.external_event_id, second.external_event_id);
        assert_ne!(first.payload_sha256, second.payload_sha256);
    }
}

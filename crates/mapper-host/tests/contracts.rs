//! What bundles and canonical schemas say of themselves: the examples beside the canonical schemas, the vendor's schemas
//! against the fixtures, the fixtures' events against the canonical schemas.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use mapper_sdk::golden::cases;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A schema as the pipeline compiles it: formats checked, and valid by its own meta-schema.
fn schema(path: &Path) -> Validator {
    let schema = json(path);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", path.display());
    if let Err(error) = jsonschema::meta::validate(&schema) {
        panic!("{}: {error}", path.display());
    }
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no *{ending}", folder.display());
    files
}

fn bundles() -> Vec<PathBuf> {
    let mut bundles: Vec<PathBuf> = fs::read_dir(root().join("mappers-wasm"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("mapper.toml").is_file())
        .collect();
    bundles.sort();
    assert!(bundles.len() >= 2);
    bundles
}

#[test]
fn every_canonical_schema_accepts_and_refuses_its_examples() {
    let canonical = root().join("schemas/canonical");
    for path in files(&canonical, ".schema.json") {
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".schema.json");
        let schema = schema(&path);
        for (kind, expected) in [("valid", true), ("invalid", false)] {
            for example in files(&canonical.join("examples").join(name).join(kind), ".json") {
                assert_eq!(schema.is_valid(&json(&example)), expected, "{}", example.display());
            }
        }
    }
}

/// What an update of an order says, it says in the words of the order.
#[test]
fn an_update_has_the_members_of_the_order() {
    let canonical = root().join("schemas/canonical");
    let placed = json(&canonical.join("OrderPlaced-1.0.schema.json"));
    let updated = json(&canonical.join("OrderUpdated-1.0.schema.json"));
    assert_eq!(placed["$defs"], updated["$defs"]);
    let members =
        |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&placed), members(&updated));
    let required: Vec<&str> =
        placed["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for (name, member) in updated["properties"].as_object().unwrap() {
        let null = member["anyOf"].as_array().is_some_and(|either| either[1]["type"] == "null");
        assert_eq!(null, !required.contains(&name.as_str()), "{name}: what an order must have is never null");
    }
}

#[test]
fn an_event_of_every_fixture_is_canonical_and_its_message_fits_the_vendors_schema() {
    for bundle in bundles() {
        let contract: toml::Table = text(&bundle.join("mapper.toml")).parse().unwrap();
        let canonical = &contract["canonical"];
        let (kind, version) = (canonical["type"].as_str().unwrap(), canonical["version"].as_str().unwrap());
        let canonical = schema(&root().join(format!("schemas/canonical/{kind}-{version}.schema.json")));
        let mut events = 0;
        for case in cases(&bundle) {
            let expected = bundle.join("fixtures").join(format!("{}.out.json", case.name));
            if !expected.exists() {
                continue;
            }
            let meta: Value = serde_json::from_slice(&case.meta).unwrap();
            let payload = &contract["payload"];
            if payload.get("format").is_none_or(|format| format.as_str() == Some("json")) {
                let own = payload["versions"][meta["schemaVersion"].as_str().unwrap()].as_str().unwrap();
                let message: Value = serde_json::from_slice(&case.payload).unwrap();
                if let Err(error) = schema(&bundle.join(own)).validate(&message) {
                    panic!("{} {}: {error} at {}", bundle.display(), case.name, error.instance_path());
                }
            }
            let stated = json(&expected);
            let Some(stated) = stated.as_array() else {
                assert!(stated["nothing"]["code"].is_string(), "{}", expected.display());
                continue;
            };
            for event in stated {
                assert_eq!(
                    (event["eventType"].as_str(), event["schemaVersion"].as_str()),
                    (Some(kind), Some(version))
                );
                if let Err(error) = canonical.validate(&event["data"]) {
                    panic!("{}: {error} at {}", expected.display(), error.instance_path());
                }
                events += 1;
            }
        }
        assert!(events > 0, "{} has no fixture that is mapped", bundle.display());
    }
}

/// `examples/native/messages.json`: what is to be posted with each of the files, at `/v1/sources/{vendorId}`.
#[test]
fn every_native_bundle_has_an_example_message_that_fits_it() {
    let folder = root().join("examples/native");
    let messages = json(&folder.join("messages.json"));
    let mut native = BTreeMap::new();
    for bundle in bundles() {
        let contract: toml::Table = text(&bundle.join("mapper.toml")).parse().unwrap();
        if contract.contains_key("envelope") {
            let of = |name: &str| contract[name].as_str().unwrap().to_owned();
            native.insert((of("vendorId"), of("eventType")), (bundle, contract));
        }
    }
    let mut shown = BTreeSet::new();
    for message in messages.as_array().unwrap() {
        let of = |name: &str| message[name].as_str().unwrap().to_owned();
        let key = (of("vendorId"), of("eventType"));
        let (bundle, contract) = native.get(&key).unwrap_or_else(|| panic!("{key:?} has no native bundle"));
        let path = folder.join(of("file"));
        for place in ["eventType", "externalEventId"] {
            if let Some(header) = contract["envelope"][place].get("header").and_then(toml::Value::as_str) {
                let sent = message["headers"][header].as_str();
                assert!(sent.is_some(), "{} is sent without {header}", path.display());
                assert!(place != "eventType" || sent == Some(&key.1), "{}: {header}", path.display());
            }
        }
        if let Some(own) = contract["payload"].get("versions") {
            let own = own["1"].as_str().unwrap();
            assert!(schema(&bundle.join(own)).is_valid(&json(&path)), "{}", path.display());
        }
        assert!(path.metadata().unwrap().len() > 0);
        shown.insert(key);
    }
    let sources = native.into_iter().filter(|(_, (_, contract))| contract["envelope"].get("path").is_none());
    assert_eq!(shown, sources.map(|(key, _)| key).collect());
}

#[test]
fn a_vendors_schema_refuses_what_the_mapper_cannot_read() {
    let orders = schema(&root().join("mappers-wasm/shopify-orders/schema/1.schema.json"));
    let inventory = root().join("mappers-wasm/vendor-a-inventory");
    let (first, second) =
        (schema(&inventory.join("schema/1.schema.json")), schema(&inventory.join("schema/2.schema.json")));
    let refused = |schema: &Validator, bundle: &str, name: &str| {
        let path = root().join(format!("mappers-wasm/{bundle}/fixtures/{name}.in.json"));
        assert!(!schema.is_valid(&json(&path)), "{}", path.display());
    };
    for name in ["refused-id-missing", "refused-total-null", "refused-quantity-fraction"] {
        refused(&orders, "shopify-orders", name);
    }
    for name in [
        "refused-missing-member",
        "refused-quantity-as-text",
        "refused-not-an-object",
        "refused-time-without-offset",
        "refused-version-2-shape-as-version-1",
    ] {
        refused(&first, "vendor-a-inventory", name);
    }
    refused(&second, "vendor-a-inventory", "ordinary");
}

//! New bundles in every language and of every format: made from a sample, built, checked and tested as their author would, and a
//! quarantined file made a fixture. The compilers are those that `cargo xtask build-mappers` has fetched for the repository's bundles.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sluice_tests::{Dev, program, root};

/// Items, an optional member, a `null`, a name that is not ASCII, and what would end a comment.
const JSON: &str = r#"{"location": {"code": "ROA-1"}, "updated_at": "2026-11-20T09:15:00+01:00", "größe\n*/": 1,
  "items": [{"article": "ABC-001", "Menge": 12, "on_hand": 12, "reserved": null, "title": "Kettle \"☕\""},
            {"article": 77, "on_hand": 3, "reserved": 1, "title": null}]}"#;

const CSV: &str = "\u{feff}SKU|Warehouse|On hand|Reserved|Updated at|Contact\r\n\
    A-1|ROA|12||2026-11-20T09:15:00+01:00|jane@acme.test\r\n\"A|2\"|ROA|3.00|1||\r\n";

/// `sluice` in a folder outside the repository.
fn sluice(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("sluice"));
    command.current_dir(folder).env("SLUICE_HOME", root()).arg("--json").args(arguments);
    command.output().unwrap()
}

/// The answer of a command that succeeds.
fn document(folder: &Path, arguments: &[&str]) -> Value {
    let output = sluice(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes a bundle of a sample, and takes it through all that its author does before publishing. Gives what `new` said and the events.
fn made(folder: &Path, bundle: &str, new: &[&str]) -> (Value, Value) {
    let said = document(folder, &[&["mapper", "new", "acme", "--dir", bundle], new].concat());
    assert_eq!(said["sample"], "mapped", "{said}");
    document(folder, &["mapper", "build", bundle]);
    let checked = document(folder, &["mapper", "check", bundle, "--no-build"]);
    assert_eq!((&checked["ok"], &checked["fixtures"]), (&json!(true), &json!(1)), "{checked}");
    let native = if new.contains(&"sample.csv") { &[][..] } else { &["--no-native"] };
    let tested = document(folder, &[&["mapper", "test", bundle, "--no-build"], native].concat());
    assert_eq!((&tested["passed"], &tested["failed"]), (&json!(1), &json!(0)), "{tested}");
    let out = folder.join(bundle).join("fixtures/ordinary-sample.out.json");
    (said, serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap())
}

fn pairs(said: &Value) -> Vec<(&str, &str)> {
    let mapped = said["mapped"].as_array().unwrap().iter();
    mapped.map(|one| (one["member"].as_str().unwrap(), one["from"].as_str().unwrap())).collect()
}

#[test]
fn a_json_sample_becomes_the_same_mapper_in_every_language() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("sample.json"), JSON).unwrap();
    for language in ["rust", "assemblyscript", "c"] {
        let new = ["--lang", language, "--from-sample", "sample.json", "--event-type", "stock"];
        let (said, events) = made(folder, &format!("acme-{language}"), &new);
        assert_eq!(said["language"], language);
        assert!(pairs(&said).contains(&("quantityOnHand", "/items/*/on_hand")), "{said}");
        let event = |data: Value| json!({"eventType": "InventoryUpdated", "schemaVersion": "1.0", "occurredAt": "2026-11-20T08:15:00Z", "data": data});
        assert_eq!(
            events,
            json!([
                event(
                    json!({"warehouseId": "ROA-1", "sku": "ABC-001", "quantityOnHand": 12, "title": "Kettle \"☕\""})
                ),
                event(
                    json!({"warehouseId": "ROA-1", "sku": "77", "quantityOnHand": 3, "quantityReserved": 1})
                ),
            ]),
            "{language}"
        );
        let fresh = document(folder, &["mapper", "typegen", &format!("acme-{language}"), "--check"]);
        assert_eq!(fresh["fresh"], true, "{language}");
    }
}

/// Every sample of the folder becomes a mapper that builds, and takes the very sample that it was made of, in each language alike.
#[test]
fn varied_samples_become_mappers_that_take_them_in_every_language() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let samples = root().join("tests/data/authoring/samples");
    let mut paths: Vec<_> = std::fs::read_dir(&samples).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "{paths:?}");
    for path in paths {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let made: Vec<Value> = ["rust", "assemblyscript", "c"]
            .iter()
            .map(|language| {
                let bundle = format!("{stem}-{language}");
                let sample = path.to_str().unwrap();
                let new =
                    ["mapper", "new", "acme", "--dir", &bundle, "--lang", language, "--event-type", "stock"];
                let said = document(folder, &[&new[..], &["--from-sample", sample]].concat());
                assert_eq!(said["sample"], "mapped", "{stem} {language}: {said}");
                let tested = document(folder, &["mapper", "test", &bundle, "--no-build", "--no-native"]);
                assert_eq!(tested["failed"], 0, "{stem} {language}: {tested}");
                let manifest = std::fs::read_to_string(folder.join(&bundle).join("Cargo.toml"));
                let clone = root().display().to_string();
                assert!(!manifest.unwrap_or_default().contains(&clone), "no path of this machine");
                let out = folder.join(&bundle).join("fixtures/ordinary-sample.out.json");
                let mut events: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
                // Notes are the mapper in Rust's own.
                for event in events.as_array_mut().unwrap() {
                    event.as_object_mut().unwrap().remove("notes");
                }
                events
            })
            .collect();
        assert_eq!((&made[1], &made[2]), (&made[0], &made[0]), "{stem}");
    }
    let nested = folder.join("nested-german-rust/fixtures/ordinary-sample.out.json");
    let events: Value = serde_json::from_slice(&std::fs::read(nested).unwrap()).unwrap();
    let data: Vec<&Value> = events.as_array().unwrap().iter().map(|event| &event["data"]).collect();
    assert_eq!(
        data,
        [
            &json!({"warehouseId": "NORD", "sku": "A-1", "quantityOnHand": 1234}),
            &json!({"warehouseId": "NORD", "sku": "4711", "quantityOnHand": 7, "title": "Kanne"}),
        ]
    );
}

#[test]
fn a_file_becomes_a_mapper_in_rust_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("sample.csv"), CSV).unwrap();
    let (said, events) =
        made(folder, "acme-csv", &["--from-sample", "sample.csv", "--event-type", "stock.csv"]);
    assert_eq!(said["unused"], json!(["/Contact"]));
    assert_eq!(
        events[1]["data"],
        json!({"warehouseId": "ROA", "sku": "A|2", "quantityOnHand": 3, "quantityReserved": 1})
    );
    assert_eq!(events[0]["occurredAt"], "2026-11-20T08:15:00Z");

    let x12 = root().join("mappers-wasm/x12-inventory-advice/fixtures/ordinary-three-lines.in.x12");
    // A qualifier that the partner agreed on.
    let sample = std::fs::read_to_string(x12).unwrap().replace("*SK*", "*ZZ*");
    std::fs::write(folder.join("sample.x12"), sample).unwrap();
    let (said, events) = made(folder, "acme-x12", &["--from-sample", "sample.x12"]);
    assert_eq!(
        (&said["canonical"]["type"], &events[0]["data"]["sku"]),
        (&json!("InventoryUpdated"), &json!("012345678905"))
    );
    assert_eq!(events[2]["data"]["sku"], "GC-25", "whose LIN has no other qualifier");

    let refused = sluice(folder, &["mapper", "new", "acme", "--lang", "c", "--from-sample", "sample.csv"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a mapper of csv is made in Rust only"));
}

#[test]
fn generated_types_write_what_the_canonical_schema_allows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("sample.json"), r#"{"größe 🫖":"O-1"}"#).unwrap();
    for (language, source) in [("c", "src/mapper.c"), ("assemblyscript", "src/index.ts")] {
        let new =
            ["mapper", "new", "acme", "--lang", language, "--canonical", "OrderUpdated", "--dir", language];
        document(folder, &[&new[..], &["--from-sample", "sample.json", "--no-build"]].concat());
        let extension = Path::new(source).extension().unwrap().to_str().unwrap();
        let own = root().join("tests/data/authoring/order").with_extension(extension);
        std::fs::copy(own, folder.join(language).join(source)).unwrap();
        let ran = document(folder, &["mapper", "run", language, "--payload", "sample.json"]);
        let line = json!({"lineId": "1", "quantity": 2, "unitPriceMinor": -5, "discountMinor": 0, "taxMinor": 0, "totalMinor": 10,
            "requiresShipping": false, "giftCard": false});
        let second = json!({"lineId": "2", "quantity": 1, "subtotalMinor": 7, "discountMinor": 0, "taxMinor": 0, "totalMinor": 7,
            "requiresShipping": false, "giftCard": true});
        assert_eq!(
            ran["events"][0]["data"],
            json!({"orderId": "O-1", "orderName": null, "currency": "EUR", "test": false, "customer": {"email": "a@b.test"},
                "billingAddress": null, "lines": [line, second], "discountCodes": [], "status": null, "paymentStatus": "partiallyPaid"}),
            "{language}: {ran}"
        );
    }
}

#[test]
fn a_quarantined_file_becomes_a_fixture_that_fails_alike() {
    let dev = Dev::start(&["--ephemeral"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("sample.csv"), CSV).unwrap();
    // One piece and a half, in the line of a person.
    std::fs::write(folder.join("bad.csv"), CSV.replace("|12||", "|12.5||")).unwrap();
    let bundle = folder.join("acme-feed").display().to_string();
    document(
        folder,
        &[
            "mapper",
            "new",
            "acme",
            "--dir",
            &bundle,
            "--from-sample",
            "sample.csv",
            "--event-type",
            "stock.csv",
        ],
    );
    let run = |arguments: &[&str]| {
        let output =
            dev.sluice(&[&["--json"], arguments].concat()).env("SLUICE_HOME", root()).output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    assert_eq!(run(&["vendors", "add", "--id", "acme", "--key", "acme-key"]).0, Some(0));
    assert_eq!(run(&["mapper", "publish", &bundle]).0, Some(0));
    let bad = folder.join("bad.csv").display().to_string();
    assert_eq!(run(&["send", &bad, "--key", "acme-key", "--path", "/v1/sources/acme"]).0, Some(0));
    run(&["balance", "--wait"]);
    let listed = run(&["ls", "--vendor", "acme"]).1;
    let event = &listed["events"][0];
    assert_eq!(event["status"], "QUARANTINED", "{listed}");
    let id = event["ingestId"].as_str().unwrap();
    let (code, fixture) = run(&["mapper", "fixture", id, "--dir", &bundle, "--name", "edge-half"]);
    assert_eq!((code, &fixture["redacted"]), (Some(0), &json!([{"pointer": "/2/Contact", "why": "name"}])));

    let redacted = std::fs::read_to_string(folder.join("acme-feed/fixtures/edge-half.in.csv")).unwrap();
    assert!(
        redacted.contains("A-1|ROA|12.5||2026-11-20T09:15:00+01:00|") && !redacted.contains("jane"),
        "{redacted}"
    );
    assert_eq!(redacted.matches("\r\n").count(), 3);
    let (code, tested) = run(&["mapper", "test", &bundle, "--no-build", "--no-native"]);
    let failed = &tested["bundles"][0]["cases"][0];
    assert_eq!((code, &failed["name"]), (Some(1), &json!("edge-half")), "{tested}");
    assert_eq!(failed["failure"]["errors"][0]["pointer"], "/2/On hand", "{tested}");
    assert_eq!(failed["failure"]["errors"][0]["code"], "quantity_fraction", "{tested}");
}

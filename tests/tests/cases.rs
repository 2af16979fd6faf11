//! Where a number comes from, and the proof of it elsewhere: an event is traced, written as a case, and verified by a process that
//! knows no cloud and no data folder.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::{Dev, program};

/// Generous: a loaded machine is slow.
const WAIT_MAX: Duration = Duration::from_secs(180);

/// Another P-256 key than any that signs here.
const OTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
    6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
    -----END PUBLIC KEY-----\n";

fn run(dev: &Dev, arguments: &[&str]) -> Value {
    let output = dev.sluice(&["--json"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn accepted(dev: &Dev, id: &str, payload: Value) -> String {
    let envelope = json!({"vendorId": "vendorA", "externalEventId": id, "eventType": "inventory_update",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": payload});
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/events", dev.api()))
        .header("x-api-key", "vendorA-dev-key")
        .json(&envelope)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let body: Value = answer.json().await.unwrap();
    body["ingestId"].as_str().unwrap().to_owned()
}

fn until(dev: &Dev, id: &str, status: &str) {
    let begin = Instant::now();
    while run(dev, &["show", id])["status"] != status {
        assert!(begin.elapsed() < WAIT_MAX, "{id} is never {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Verifies in a folder of its own, with an environment that names no cloud.
fn verify(folder: &Path, file: &str, trust: &[&str]) -> (Value, i32, String) {
    let mut command = Command::new(program("sluice"));
    command.env_clear().current_dir(folder).args(["--json", "case", "verify", file]);
    for key in trust {
        command.args(["--trust", key]);
    }
    let output = command.output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (document, output.status.code().unwrap_or(-1), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_traced_and_proved_elsewhere() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let good = accepted(&dev, "e-1", json!({"warehouse": "ROA", "sku": "abc-001", "qty": 12})).await;
    let bad = accepted(&dev, "e-2", json!({"warehouse": "ROA", "sku": "abc-001", "quantity": 12})).await;
    until(&dev, &good, "NORMALIZED");
    until(&dev, &bad, "QUARANTINED");

    let trace = run(&dev, &["mapper", "trace", &good, "--member", "/data/quantityOnHand"]);
    assert_eq!(trace["reproduces"], true);
    assert_eq!(trace["bundleIs"], "the_one_that_mapped_it");
    let outputs = trace["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 1, "{trace}");
    assert_eq!(
        (&outputs[0]["pointer"], &outputs[0]["value"]),
        (&json!("/0/data/quantityOnHand"), &json!(12))
    );
    assert_eq!(outputs[0]["sources"][0]["pointer"], "/qty");
    assert_eq!(outputs[0]["sources"][0]["value"], 12);
    let failed = run(&dev, &["mapper", "trace", &bad]);
    assert_eq!(failed["outcome"]["fails"]["code"], "payload_schema_violation");
    assert_eq!(failed["bundleIs"], "the_one_that_failed");
    let nowhere = dev.sluice(&["mapper", "trace", &good, "--member", "/data/nowhere"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(3));
    let fixtures = run(&dev, &["mapper", "trace", "vendorA/inventory_update", "--member", "sku"]);
    assert!(fixtures["messages"].as_u64().unwrap() > 0, "a published bundle has its fixtures");

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (id, name) in [(&good, "good"), (&good, "again"), (&bad, "bad")] {
        run(&dev, &["case", "export", id, "--out", &at(name)]);
    }
    run(&dev, &["case", "export", &bad, "--redacted", "--redact", "/sku", "--out", &at("redacted")]);
    let there = dev.sluice(&["case", "export", &good, "--out", &at("good")]).output().unwrap();
    assert_eq!(there.status.code(), Some(2), "a file is not overwritten");
    std::fs::write(at("key.pem"), run(&dev, &["mapper", "key"])["publicKey"].as_str().unwrap()).unwrap();
    std::fs::write(at("other.pem"), OTHER_KEY).unwrap();
    let stored = run(&dev, &["show", &good])["normalized"]["sha256"].clone();
    drop(dev);

    let bytes = std::fs::read(at("good")).unwrap();
    assert_eq!(bytes, std::fs::read(at("again")).unwrap(), "the same case is the same bytes");
    let elsewhere = folder.path();
    let (found, code, said) = verify(elsewhere, "good", &["other.pem", "key.pem"]);
    assert_eq!((code, &found["verdict"]), (0, &json!("reproduced")), "{said} {found}");
    assert_eq!(found["reproduced"]["events"]["sha256"], stored, "it is the document that was stored");
    for (file, code_of_failure) in
        [("bad", "payload_schema_violation"), ("redacted", "payload_schema_violation")]
    {
        let (found, code, said) = verify(elsewhere, file, &["key.pem"]);
        assert_eq!((code, &found["verdict"]), (0, &json!("reproduced")), "{said} {found}");
        assert_eq!(found["reproduced"]["fails"]["code"], code_of_failure);
    }

    let (found, code, _) = verify(elsewhere, "good", &["other.pem"]);
    assert_eq!((code, &found["verdict"]), (1, &json!("untrusted")));
    let text = String::from_utf8(bytes).unwrap();
    let at_raw = text.find("\"raw\":{\"base64\":\"").unwrap() + 40;
    let mut changed = text.clone().into_bytes();
    changed[at_raw] = if changed[at_raw] == b'A' { b'B' } else { b'A' };
    std::fs::write(at("changed"), changed).unwrap();
    let (found, code, said) = verify(elsewhere, "changed", &["key.pem"]);
    assert_eq!((code, &found["verdict"]), (1, &json!("differs")));
    assert!(said.contains("raw: "), "{said}");
    std::fs::write(at("later"), text.replace("\"version\":1}", "\"version\":2}")).unwrap();
    let (found, code, said) = verify(elsewhere, "later", &["key.pem"]);
    assert_eq!((code, &found["verdict"]), (6, &json!("unsupported")));
    assert!(said.contains("version 2"), "{said}");
    assert_eq!(verify(elsewhere, "key.pem", &[]).1, 1, "a file that is no case");
    assert_eq!(verify(elsewhere, "nowhere", &[]).1, 2);
    assert_eq!(verify(elsewhere, "good", &["good"]).1, 2, "a file that is no key");
}

//! Real senders' messages, sent over HTTP as their senders send them, each with its right outcome.
//!
//! `tests/fixtures/field/cases.json` names for each folder the need, the public source of the message, and the requests in their
//! order: file, path, headers, the status that must come back, and what must become of the event. In `data`, the members that
//! are named must have these values, and `"ABSENT"` stands for a member that must not be there.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use sluice_core::contract::{Encoding, Signature};
use sluice_core::signature::sign_body;
use sluice_tests::{Dev, root};

/// Longest time from acceptance to an outcome: generous, since a loaded machine is slow.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// Most that is shown of one problem, in characters.
const PROBLEM_CHARS_MAX: usize = 600;

/// In place of a value: the member must not be there.
const ABSENT: &str = "ABSENT";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    folder: String,
    /// For the reader.
    #[serde(rename = "need")]
    _need: String,
    /// For the reader.
    #[serde(rename = "source")]
    _source: String,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    file: String,
    to: String,
    #[serde(default)]
    headers: Vec<String>,
    /// Further options of curl.
    #[serde(default)]
    curl: Vec<String>,
    status: u16,
    /// Status of the event; none where nothing is accepted, or where the outcome is not this case's matter.
    event: Option<String>,
    /// Code of the quarantine.
    code: Option<String>,
    /// What the refusal or the cause must name.
    names: Option<String>,
    /// The message states nothing.
    #[serde(default)]
    nothing: bool,
    /// Members of the canonical events, all of them.
    data: Option<Vec<Value>>,
    /// Number of the first event's lines.
    lines: Option<usize>,
    /// Entity to members of its canonical state; `null`: there is no such entity.
    #[serde(default)]
    state: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vendor {
    vendor_id: String,
    api_key: String,
    webhook_secret: Option<String>,
}

struct Field {
    dev: Dev,
    vendors: Vec<Vendor>,
}

fn folder() -> PathBuf {
    root().join("tests/fixtures/field")
}

/// The scheme by which an example vendor signs; `None`: it sends its key.
fn scheme(vendor: &str) -> Option<Signature> {
    match vendor {
        "shopify-store" => Some(Signature::Shopify),
        "woo-store" => Some(Signature::Woocommerce),
        "square-seller" => {
            let url = "https://sluice.example.com/v1/sources/square-seller".to_owned();
            Some(Signature::Square { url })
        }
        "csv-warehouse" => Some(Signature::Hmac {
            header: "x-signature".into(),
            encoding: Encoding::Hex,
            prefix: "sha256=".into(),
        }),
        _ => None,
    }
}

/// The content type of a file whose request states none.
fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("csv") => "text/csv",
        Some("x12") => "application/edi-x12",
        _ => "application/json",
    }
}

impl Field {
    fn sluice(&self, arguments: &[&str]) -> (bool, Value) {
        let output = self.dev.sluice(&[&["--json"], arguments].concat()).output().unwrap();
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    /// The status and the body of the answer.
    fn send(&self, case: &Case, request: &Request) -> (u16, Value) {
        let file = folder().join(&case.folder).join(&request.file);
        let body = std::fs::read(&file).unwrap();
        let vendor_id = request
            .to
            .strip_prefix("/v1/events")
            .map_or_else(|| request.to.rsplit('/').next().unwrap(), |_| "vendorA");
        let vendor = self.vendors.iter().find(|vendor| vendor.vendor_id == vendor_id).unwrap();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"]);
        curl.args(&request.curl).arg(format!("{}{}", self.dev.api(), request.to));
        match scheme(vendor_id) {
            Some(scheme) => {
                let (name, value) =
                    sign_body(&scheme, vendor.webhook_secret.as_ref().unwrap(), &body).unwrap();
                curl.args(["--header", &format!("{name}: {value}")]);
            }
            None => {
                curl.args(["--header", &format!("x-api-key: {}", vendor.api_key)]);
            }
        }
        if !request.headers.iter().any(|header| header.starts_with("content-type")) {
            curl.args(["--header", &format!("content-type: {}", content_type(&request.file))]);
        }
        for header in &request.headers {
            curl.args(["--header", header]);
        }
        let output = curl.arg("--data-binary").arg(format!("@{}", file.display())).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (answer, status) = text
            .rsplit_once('\n')
            .unwrap_or_else(|| panic!("curl said {text:?} and {}", String::from_utf8_lossy(&output.stderr)));
        (status.parse().unwrap(), serde_json::from_str(answer).unwrap_or_else(|_| answer.into()))
    }

    /// The event, once it is no longer in flight.
    fn settled(&self, ingest_id: &str) -> Value {
        let started = Instant::now();
        loop {
            let (_, event) = self.sluice(&["show", ingest_id]);
            if event["status"].as_str().is_some_and(|status| status != "RECEIVED") {
                return event;
            }
            assert!(started.elapsed() < SETTLED_WITHIN, "{ingest_id} is still in flight: {event}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Everything that is not as it should be.
    fn judge(&self, case: &Case, request: &Request) -> Vec<String> {
        let mut wrong = Vec::new();
        let (status, answer) = self.send(case, request);
        if status != request.status {
            wrong.push(format!("answered {status}, not {}: {answer}", request.status));
            return wrong;
        }
        let Some(expected) = &request.event else {
            if let Some(name) = request.names.as_ref().filter(|name| !answer.to_string().contains(*name)) {
                wrong.push(format!("the refusal does not name {name}: {answer}"));
            }
            return wrong;
        };
        let ingest_id = answer["ingestId"].as_str().unwrap();
        let event = self.settled(ingest_id);
        if event["status"] != expected.as_str() {
            wrong.push(format!("is {}, not {expected}: {}", event["status"], event["quarantine"]["cause"]));
            return wrong;
        }
        let cause = &event["quarantine"]["cause"];
        if let Some(code) = request.code.as_ref().filter(|code| cause["code"] != code.as_str()) {
            wrong.push(format!("is quarantined for {}, not {code}: {cause}", cause["code"]));
        }
        if let Some(name) = request.names.as_ref().filter(|name| !cause.to_string().contains(*name)) {
            wrong.push(format!("the cause does not name {name}: {cause}"));
        }
        self.judge_documents(request, &event, &mut wrong);
        self.judge_raw(case, request, ingest_id, &mut wrong);
        for (entity, members) in &request.state {
            if let Some(problem) = self.judge_state(entity, members) {
                wrong.push(problem);
            }
        }
        wrong
    }

    fn judge_documents(&self, request: &Request, event: &Value, wrong: &mut Vec<String>) {
        if request.nothing && event["nothing"]["code"].as_str().is_none() {
            wrong.push(format!("states something: {}", event["normalized"]));
        }
        let empty = Vec::new();
        let documents = event["normalized"]["documents"].as_array().unwrap_or(&empty);
        if let Some(expected) = &request.data {
            if documents.len() != expected.len() {
                wrong.push(format!("{} events, not {}: {documents:?}", documents.len(), expected.len()));
            }
            for (at, (document, expected)) in documents.iter().zip(expected).enumerate() {
                differences(&document["data"], expected, &format!("event {at}: "), wrong);
            }
        }
        if let Some(lines) = request.lines {
            let found = documents.first().and_then(|document| document["data"]["lines"].as_array());
            let found = found.map_or(0, Vec::len);
            if found != lines {
                wrong.push(format!("{found} lines, not {lines}"));
            }
        }
    }

    /// The bytes that are kept are the bytes that were sent.
    fn judge_raw(&self, case: &Case, request: &Request, ingest_id: &str, wrong: &mut Vec<String>) {
        let sent = std::fs::read(folder().join(&case.folder).join(&request.file)).unwrap();
        let kept = self.dev.sluice(&["show", ingest_id, "--raw"]).output().unwrap();
        if !kept.status.success() || kept.stdout != sent {
            wrong.push(format!("{} bytes are kept of {} that were sent", kept.stdout.len(), sent.len()));
        }
    }

    /// Waits until the state is as it should be; that an entity is not there is looked at once, at the end.
    fn judge_state(&self, entity: &str, members: &Value) -> Option<String> {
        let started = Instant::now();
        loop {
            let (found, state) = self.sluice(&["state", "show", entity]);
            if members.is_null() {
                return found.then(|| format!("{entity} is in canonical state: {state}"));
            }
            let mut wrong = Vec::new();
            differences(&state["data"], members, &format!("{entity}: "), &mut wrong);
            if wrong.is_empty() {
                return None;
            }
            if started.elapsed() > SETTLED_WITHIN {
                return Some(format!("{}: {state}", wrong.join("; ")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Where `found` differs from `expected` in what `expected` names.
fn differences(found: &Value, expected: &Value, place: &str, wrong: &mut Vec<String>) {
    match expected {
        Value::Object(members) => {
            for (name, expected) in members {
                differences(&found[name], expected, &format!("{place}/{name}"), wrong);
            }
        }
        Value::Array(items) => {
            let length = found.as_array().map_or(0, Vec::len);
            if length != items.len() {
                wrong.push(format!("{place} has {length} items, not {}", items.len()));
            }
            for (at, expected) in items.iter().enumerate() {
                differences(&found[at], expected, &format!("{place}/{at}"), wrong);
            }
        }
        Value::String(text) if text == ABSENT => {
            if !found.is_null() {
                wrong.push(format!("{place} is {found}, and should not be there"));
            }
        }
        _ => {
            if found != expected {
                wrong.push(format!("{place} is {found}, not {expected}"));
            }
        }
    }
}

#[test]
fn real_messages_have_their_right_outcome() {
    let cases: Vec<Case> =
        serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap();
    let vendors = std::fs::read(root().join("examples/vendors.json")).unwrap();
    let field = Field {
        dev: Dev::start(&["--ephemeral", "--examples"]),
        vendors: serde_json::from_slice(&vendors).unwrap(),
    };
    let mut wrong = Vec::new();
    let mut events = 0;
    for case in &cases {
        for request in &case.requests {
            events += usize::from(request.event.is_some());
            for problem in field.judge(case, request) {
                let problem: String = problem.chars().take(PROBLEM_CHARS_MAX).collect();
                wrong.push(format!("{}/{} {problem}", case.folder, request.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of these are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(events > 30, "only {events} events were looked at");
}

/// Nothing in the folder is left out.
#[test]
fn every_message_of_the_folder_is_sent() {
    let cases: Vec<Case> =
        serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let case = cases.iter().find(|case| case.folder == name);
        let case = case.unwrap_or_else(|| panic!("{name} is not in cases.json"));
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            // The plain text of a compressed body lies beside it.
            let compressed = ["gz", "z"].iter().any(|end| path.join(format!("{file}.{end}")).exists());
            let sent = case.requests.iter().any(|request| request.file == file);
            assert!(sent || compressed, "{name}/{file} is not sent");
        }
    }
}

//! Fixtures that are whole requests: they hold `[envelope]` and `[signature]` of a contract to what must come of a request.
//!
//! In `fixtures/`, a case is `<case>.request.http`, as [`crate::workshop::request`] reads it, with `<case>.answer.json`: what acceptance
//! knows of the event and the canonical events, or the refusal. `<case>.request.json`, if there, says what is not in the request:
//! `receivedAt`, the moment at which it comes in, and `secrets`, which its signature is checked with. Without secrets it is signed
//! anew, so that only the rest is judged.

use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sluice_core::intake::Request;

use super::fixtures::{FIXTURES_FOLDER, Outcome, compared, with};
use super::request;
use super::trial::{Loaded, Trial};
use crate::error::CliError;

/// One case.
#[derive(Debug, Clone)]
pub struct RequestCase {
    /// The file name without its endings.
    pub name: String,
    request: Request,
    given: Given,
    stem: PathBuf,
}

/// What is not in the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Given {
    received_at: Option<Timestamp>,
    secrets: Vec<String>,
}

/// The case that a file is the request of.
pub fn request_case_name(path: &Path) -> Option<String> {
    let case = path.file_name()?.to_str()?.strip_suffix(".request.http")?;
    (!case.is_empty()).then(|| case.to_owned())
}

/// The cases of a bundle's folder, by name.
pub fn request_cases(folder: &Path) -> Result<Vec<RequestCase>, CliError> {
    let fixtures = folder.join(FIXTURES_FOLDER);
    let Ok(entries) = std::fs::read_dir(&fixtures) else { return Ok(Vec::new()) };
    let mut cases = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(name) = request_case_name(&path) else { continue };
        let invalid =
            |path: &Path, problem| CliError::InvalidFile { path: path.to_owned(), problem, hint: None };
        let stem = fixtures.join(&name);
        let request =
            request::read(&super::fixtures::read(&path)?).map_err(|problem| invalid(&path, problem))?;
        let beside = with(&stem, "request.json");
        let given = match beside.exists() {
            true => serde_json::from_slice(&super::fixtures::read(&beside)?)
                .map_err(|error| invalid(&beside, format!("is not {{receivedAt, secrets}}: {error}")))?,
            false => Given::default(),
        };
        cases.push(RequestCase { name, request, given, stem });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl RequestCase {
    /// Runs the case. With `update` its expectation becomes what it is.
    pub fn test(&self, loaded: &Loaded, update: bool) -> Result<Outcome, CliError> {
        let now = self.given.received_at.unwrap_or_else(Timestamp::now);
        let bundles = std::slice::from_ref(loaded);
        // Nothing that it asks for is far away, so it never waits.
        let trial = Trial::of(self.request.clone(), bundles, &self.given.secrets, now).now_or_never();
        let Some(trial) = trial else {
            return Err(CliError::Failed(format!("the judgement of {} waits for something", self.name)));
        };
        compared(&with(&self.stem, "answer.json"), &expectation(&trial?, now), update)
    }
}

/// What a fixture holds a trial to: no sentences, which may become better, and no moment that is only that of the test.
fn expectation(trial: &Trial, now: Timestamp) -> Value {
    let mut whole = Map::new();
    if let Some(facts) = &trial.accepted {
        let mut facts = json!(facts);
        if is_moment_of_receipt(&facts["occurredAt"], now) {
            facts["occurredAt"] = json!("received");
        }
        whole.insert("accepted".into(), facts);
    }
    let places = |errors: &Value| -> Value {
        let errors = errors.as_array().into_iter().flatten();
        errors.map(|error| json!({"pointer": error["pointer"], "code": error["code"]})).collect()
    };
    if let Some(answer) = &trial.answer {
        let mut reduced = json!({"statusCode": answer.status_code});
        match answer.body.get("type") {
            Some(kind) => {
                reduced["type"] = kind.clone();
                reduced["errors"] = places(&answer.body["errors"]);
            }
            None => reduced["body"] = answer.body.clone(),
        }
        whole.insert("answer".into(), reduced);
    }
    if let Some(fault) = &trial.fault {
        whole.insert("fault".into(), json!({"code": fault.code, "errors": places(&json!(fault.errors))}));
    }
    if let Some(nothing) = &trial.nothing {
        whole.insert("nothing".into(), json!({"code": nothing.code}));
    }
    if let Some(events) = &trial.events {
        // The id is of the test alone, and so is what is made of it.
        let events: Vec<Value> = events
            .iter()
            .map(|event| {
                let at = if is_moment_of_receipt(&event["occurredAt"], now) {
                    json!("received")
                } else {
                    event["occurredAt"].clone()
                };
                json!({"eventType": event["eventType"], "occurredAt": at, "data": event["data"]})
            })
            .collect();
        whole.insert("events".into(), events.into());
    }
    Value::Object(whole)
}

/// Whether a document states the moment of receipt, however many digits it gives the second: `.380` and `.38` are one moment.
fn is_moment_of_receipt(stated: &Value, now: Timestamp) -> bool {
    let received = sluice_core::id::rfc3339(now).parse::<Timestamp>().ok();
    received.is_some() && stated.as_str().and_then(|text| text.parse::<Timestamp>().ok()) == received
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn a_moment_of_receipt_is_known_however_many_digits_its_second_has() {
        let now: Timestamp = "2026-11-29T20:42:44.38Z".parse().unwrap();
        for stated in ["2026-11-29T20:42:44.38Z", "2026-11-29T20:42:44.380Z", "2026-11-29T20:42:44.380000Z"] {
            assert!(is_moment_of_receipt(&json!(stated), now), "{stated}");
        }
        for stated in [json!("2026-11-29T20:42:44Z"), json!("44.38"), json!(null), json!(44.38)] {
            assert!(!is_moment_of_receipt(&stated, now), "{stated}");
        }
    }
}

//! The table of recorded behaviour: every file of `tests/recorded` is run, and what this engine
//! answers is what AWS recorded for a case like it.
//!
//! The cases are our own; `source` names the recording they follow. A file is a list of cases:
//! - `steps`: requests on AWS JSON 1.0, in order. `answer` is the whole answer, `error` its type
//!   and message; a value
//!   `<any>` matches anything. `save` names parts of an answer by JSON pointer; `{name}` is replaced by them afterwards.
//!   `wait` lets all executions end before.
//! - `history`: the events of the execution saved as `execution`, without times and `…Details`
//!   members within details.
//! - `refused`: why this engine refuses on purpose what AWS runs. The last step then expects that
//!   refusal.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_stepfunctions::Engine;

use crate::support::*;

struct Case<'a> {
    steps: &'a [Value],
    case: &'a Value,
}

/// The functions of the cases.
fn functions(call: &Call) -> Reply {
    match call.target.as_str() {
        "echo" => Reply::Ok(call.payload.clone()),
        "fail" => Reply::Err("Broken", "on purpose"),
        "big" => Reply::Ok(json!("x".repeat(262_144))),
        other => panic!("no case calls {other}"),
    }
}

fn filled(value: &Value, saved: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (name, with) in saved {
                text = text.replace(&format!("{{{name}}}"), with);
            }
            Value::String(text)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, saved)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), filled(member, saved))).collect()
        }
        other => other.clone(),
    }
}

/// `None` when they match; else where they do not.
fn difference(expected: &Value, actual: &Value, path: &str) -> Option<String> {
    match (expected, actual) {
        (Value::String(any), _) if any == "<any>" => None,
        (Value::Object(expected), Value::Object(actual)) => {
            let names: std::collections::BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
            names.into_iter().find_map(|name| match (expected.get(name), actual.get(name)) {
                (Some(expected), Some(actual)) => difference(expected, actual, &format!("{path}/{name}")),
                (Some(_), None) => Some(format!("{path}/{name} is missing")),
                (None, found) => Some(format!("{path}/{name} is there: {found:?}")),
            })
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => expected
            .iter()
            .zip(actual)
            .enumerate()
            .find_map(|(at, (expected, actual))| difference(expected, actual, &format!("{path}/{at}"))),
        (Value::Number(expected), Value::Number(actual)) if expected.as_f64() == actual.as_f64() => None,
        (expected, actual) if expected == actual => None,
        (expected, actual) => Some(format!("{path} is {actual}, not {expected}")),
    }
}

/// A definition may be written as an object.
fn as_wire(mut request: Value) -> Value {
    for member in ["definition", "input", "variables", "context"] {
        if let Some(value) = request.get_mut(member).filter(|value| !value.is_string()) {
            *value = value.to_string().into();
        }
    }
    if let Some(result) = request.pointer_mut("/mock/result").filter(|result| !result.is_string()) {
        *result = result.to_string().into();
    }
    request
}

fn shown(event: &Value) -> Value {
    let mut shown = Map::new();
    for (name, value) in event.as_object().unwrap() {
        match value {
            Value::Object(details) => {
                let kept =
                    details.iter().filter(|(name, _)| !name.ends_with("Details") && *name != "roleArn");
                shown.insert("details".to_owned(), kept.map(|(name, v)| (name.clone(), v.clone())).collect());
            }
            _ if name == "timestamp" => {}
            other => {
                shown.insert(name.clone(), other.clone());
            }
        }
    }
    Value::Object(shown)
}

async fn run(engine: &Engine, case: &Case<'_>) -> Result<(), String> {
    let mut saved = BTreeMap::from([
        ("states".to_owned(), "arn:aws:states:us-east-1:000000000000".to_owned()),
        ("role".to_owned(), "arn:aws:iam::000000000000:role/r".to_owned()),
    ]);
    for (number, step) in case.steps.iter().enumerate() {
        if step["wait"] == true {
            idle(engine).await;
        }
        let Some(operation) = step["call"].as_str() else { continue };
        let request = as_wire(filled(&step["request"], &saved));
        let target = format!("AWSStepFunctions.{operation}");
        let response = engine.handle(&target, Bytes::from(request.to_string())).await;
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        if let Some(expected) = step.get("error") {
            let [code, message] = [0, 1].map(|at| filled(&expected[at], &saved));
            let expected = json!({"__type": code, "message": message});
            if let Some(why) = difference(&expected, &answer, "") {
                return Err(format!("step {number} ({operation}): {why}"));
            }
            continue;
        }
        if response.status() != 200 {
            return Err(format!("step {number} ({operation}): {answer}"));
        }
        if let Some(expected) = step.get("answer")
            && let Some(why) = difference(&filled(expected, &saved), &answer, "")
        {
            return Err(format!("step {number} ({operation}): {why}"));
        }
        for (name, pointer) in step["save"].as_object().into_iter().flatten() {
            let value = answer.pointer(pointer.as_str().unwrap()).unwrap_or(&Value::Null);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            saved.insert(name.clone(), text);
        }
    }
    if let Some(expected) = case.case["history"].as_array() {
        idle(engine).await;
        let body = json!({"executionArn": saved["execution"]}).to_string();
        let response = engine.handle("AWSStepFunctions.GetExecutionHistory", Bytes::from(body)).await;
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        let events: Vec<Value> = answer["events"].as_array().unwrap().iter().map(shown).collect();
        let expected = filled(&json!(expected), &saved);
        if let Some(why) = difference(&expected, &json!(events), "events") {
            return Err(format!("{why}\n{events:#?}"));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the counts are what the test is asked for")]
async fn what_aws_recorded_is_what_this_engine_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut passed, mut refused, mut failures) = (0, Vec::new(), Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let cases: Vec<Value> =
            serde_json::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        for case in &cases {
            let name = format!("{}: {}", file.file_stem().unwrap().display(), case["name"].as_str().unwrap());
            assert!(case["source"].is_string(), "{name}: every case names its source");
            let steps = case["steps"].as_array().unwrap();
            // Every case has a service of its own.
            let engine = in_memory(&Fake::new(functions)).await;
            match run(&engine, &Case { steps, case }).await {
                Err(why) => failures.push(format!("{name}: {why}")),
                Ok(()) => match case["refused"].as_str() {
                    Some(why) => refused.push(format!("{name}: {why}")),
                    None => passed += 1,
                },
            }
        }
    }
    println!("{passed} recorded cases pass; refused on purpose:\n  {}", refused.join("\n  "));
    assert!(failures.is_empty(), "{} of the recorded cases differ:\n{}", failures.len(), failures.join("\n"));
    assert!(passed >= 153, "cases are missing: {passed}");
}

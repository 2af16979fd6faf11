//! What `TestState` accepts as a mock: results that a service could give, and context objects that
//! an execution could have.
//!
//! Sources: the API references of the services for their members; AWS's recorded answers for
//! messages.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// `fieldValidationMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validation {
    /// Required members are there, and those that are there are of their types.
    Strict,
    /// Those that are there are of their types.
    Present,
    None,
}

/// What a member of a service's answer must be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Number,
    Boolean,
    Object(&'static [Field]),
    Array(&'static [Field]),
    /// Any object: its members are the caller's.
    Open,
    OneOf(&'static [&'static str]),
    Between(i64, i64),
}

#[derive(Clone, Copy, Debug)]
struct Field(&'static str, Kind, bool);

const fn required(name: &'static str, kind: Kind) -> Field {
    Field(name, kind, true)
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field(name, kind, false)
}

const CAPACITY: &[Field] = &[
    optional("CapacityUnits", Kind::Number),
    optional("ReadCapacityUnits", Kind::Number),
    optional("WriteCapacityUnits", Kind::Number),
    optional("TableName", Kind::Text),
];

const ENTRIES: &[Field] = &[
    optional("EventId", Kind::Text),
    optional("ErrorCode", Kind::Text),
    optional("ErrorMessage", Kind::Text),
];

const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
    "FSX_ONTAP",
];

/// The members of the answers of the resources that this engine runs. Others are not checked.
fn schema(resource: &str) -> &'static [Field] {
    let action = resource.rsplit(':').next().unwrap_or_default();
    let action = action.split('.').next().unwrap_or_default();
    let service = resource.split(':').nth_back(1).unwrap_or_default();
    match (service, action) {
        ("lambda", "invoke") => {
            const {
                &[
                    optional("StatusCode", Kind::Number),
                    optional("ExecutedVersion", Kind::Text),
                    optional("FunctionError", Kind::Text),
                    optional("LogResult", Kind::Text),
                ]
            }
        }
        ("states" | "sfn", "startExecution") => {
            const { &[required("ExecutionArn", Kind::Text), required("StartDate", Kind::Text)] }
        }
        ("sfn", "describeMapRun") => {
            const {
                &[
                    required("MapRunArn", Kind::Text),
                    required("ExecutionArn", Kind::Text),
                    required("Status", Kind::OneOf(&["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"])),
                    required("StartDate", Kind::Text),
                    optional("StopDate", Kind::Text),
                    required("MaxConcurrency", Kind::Number),
                ]
            }
        }
        ("sqs", "sendMessage") => {
            const {
                &[
                    optional("MD5OfMessageBody", Kind::Text),
                    optional("MD5OfMessageAttributes", Kind::Text),
                    optional("MessageId", Kind::Text),
                    optional("SequenceNumber", Kind::Text),
                ]
            }
        }
        ("events" | "eventbridge", "putEvents") => {
            const { &[optional("FailedEntryCount", Kind::Number), optional("Entries", Kind::Array(ENTRIES))] }
        }
        ("dynamodb", "getItem") => {
            const { &[optional("Item", Kind::Open), optional("ConsumedCapacity", Kind::Object(CAPACITY))] }
        }
        ("dynamodb", "putItem" | "updateItem" | "deleteItem") => {
            const { &[optional("Attributes", Kind::Open), optional("ConsumedCapacity", Kind::Object(CAPACITY))] }
        }
        ("s3", "getObject") => {
            const {
                &[
                    optional("ContentLength", Kind::Number),
                    optional("ContentType", Kind::Text),
                    optional("ETag", Kind::Text),
                    optional("LastModified", Kind::Text),
                    optional("DeleteMarker", Kind::Boolean),
                    optional("PartsCount", Kind::Between(0, 10_000)),
                    optional("StorageClass", Kind::OneOf(STORAGE_CLASSES)),
                ]
            }
        }
        ("s3", "putObject") => const { &[optional("ETag", Kind::Text), optional("VersionId", Kind::Text)] },
        _ => &[],
    }
}

/// Whether a resource waits for a token, an answer from outside.
pub(super) fn is_callback(resource: &str) -> bool {
    resource.contains(".waitForTaskToken") || resource.contains(".sync")
}

/// Refuses a mocked result that the state could not get.
pub(super) fn check_result(result: &Value, state: &Value, validation: Validation) -> Result<()> {
    let refused = |why: &str| Err(Error::Validation(why.to_owned()));
    match state.get("Type").and_then(Value::as_str) {
        Some("Map") if state.pointer("/ResultWriter/Resource").is_some() => {
            return if result.is_object() { Ok(()) } else { refused("Mocked result must be a JSON object.") };
        }
        Some("Map") if !result.is_array() => return refused("Mocked result must be an array."),
        Some("Parallel") => {
            let branches = state.get("Branches").and_then(Value::as_array).map_or(0, Vec::len);
            match result {
                Value::Array(results) if results.len() == branches => {}
                Value::Array(_) => {
                    return refused(
                        "Mocked result must contain the same number of items as number of Parallel branches.",
                    );
                }
                _ => return refused("Mocked result must be an array."),
            }
        }
        Some("Task") if validation != Validation::None => {
            let resource = state.get("Resource").and_then(Value::as_str).unwrap_or_default();
            let fields = if is_callback(resource) { &[] } else { schema(resource) };
            if !fields.is_empty() {
                let Value::Object(members) = result else {
                    return refused("Mock result schema validation error: the result must be a JSON object");
                };
                check_members(members, fields, validation)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_members(members: &Map<String, Value>, fields: &[Field], validation: Validation) -> Result<()> {
    for Field(name, kind, required) in fields {
        match members.get(*name) {
            None if *required && validation == Validation::Strict => {
                return Err(schema_error(&format!("Required field '{name}' is missing")));
            }
            None => {}
            Some(value) => check_member(name, value, *kind, validation)?,
        }
    }
    Ok(())
}

fn check_member(name: &str, value: &Value, kind: Kind, validation: Validation) -> Result<()> {
    let wrong = |what: &str| Err(schema_error(&format!("Field '{name}' {what}")));
    match (kind, value) {
        (Kind::Text, Value::String(_))
        | (Kind::Number, Value::Number(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Open, Value::Object(_)) => Ok(()),
        (Kind::Text, _) => wrong("must be a string"),
        (Kind::Number, _) => wrong("must be a number"),
        (Kind::Boolean, _) => wrong("must be a boolean"),
        (Kind::Object(fields), Value::Object(members)) => check_members(members, fields, validation),
        (Kind::Open | Kind::Object(_), _) => wrong("must be an object"),
        (Kind::Array(fields), Value::Array(items)) => {
            for item in items {
                let Value::Object(members) = item else { return wrong("must be an array of objects") };
                check_members(members, fields, validation)?;
            }
            Ok(())
        }
        (Kind::Array(_), _) => wrong("must be an array"),
        (Kind::OneOf(names), Value::String(text)) => {
            if names.contains(&text.as_str()) {
                Ok(())
            } else {
                wrong("is not an expected value")
            }
        }
        (Kind::OneOf(_), _) => wrong("must be a string"),
        (Kind::Between(least, most), Value::Number(number)) => match number.as_f64() {
            Some(number) if number < least as f64 => wrong("is less than the minimum value"),
            Some(number) if number > most as f64 => wrong("exceeds the maximum value"),
            _ => Ok(()),
        },
        (Kind::Between(..), _) => wrong("must be a number"),
    }
}

fn schema_error(why: &str) -> Error {
    Error::Validation(format!("Mock result schema validation error: {why}"))
}

/// Reads a context object that stands in for the real one.
pub(super) fn context(text: &str, state: &Value) -> Result<Value> {
    let invalid = |why: String| Error::Validation(format!("Invalid Context object provided: {why}"));
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else {
        return Err(invalid("must be a JSON object".to_owned()));
    };
    let resource = state.get("Resource").and_then(Value::as_str).unwrap_or_default();
    for (name, value) in &members {
        let fields: &[(&str, Kind)] = match name.as_str() {
            "Execution" => &[
                ("Id", Kind::Text),
                ("Input", Kind::Open),
                ("Name", Kind::Text),
                ("RoleArn", Kind::Text),
                ("StartTime", Kind::Text),
                ("RedriveCount", Kind::Number),
                ("RedriveTime", Kind::Text),
            ],
            "State" => &[("EnteredTime", Kind::Text), ("Name", Kind::Text), ("RetryCount", Kind::Number)],
            "StateMachine" => &[("Id", Kind::Text), ("Name", Kind::Text)],
            "Task" if is_callback(resource) => &[("Token", Kind::Text)],
            "Task" => {
                return Err(invalid(
                    "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' service \
                     integration pattern"
                        .to_owned(),
                ));
            }
            "Map" => {
                return Err(invalid("'Map' field is not supported when mocking a Context object".to_owned()));
            }
            _ => return Err(invalid(format!("Field '{name}' is not allowed"))),
        };
        let Value::Object(inner) = value else { return Err(invalid(format!("{name} must be an object"))) };
        for (member, value) in inner {
            let Some((_, kind)) = fields.iter().find(|(known, _)| known == member) else {
                return Err(invalid(format!("Field '{member}' is not allowed")));
            };
            let expected = match (kind, value) {
                (Kind::Text, Value::String(_)) | (Kind::Number, Value::Number(_)) | (Kind::Open, _) => {
                    continue;
                }
                (Kind::Number, _) => "a number",
                _ => "a string",
            };
            return Err(invalid(format!("{name}.{member} must be {expected}")));
        }
    }
    Ok(Value::Object(members))
}

/// Whether a state of this name is within a Map or Parallel state.
pub(super) fn contains(state: &Value, name: &str) -> bool {
    let branches = state.get("Branches").and_then(Value::as_array).into_iter().flatten();
    branches
        .chain(state.get("ItemProcessor"))
        .filter_map(|machine| machine.get("States")?.as_object())
        .any(|states| states.contains_key(name) || states.values().any(|state| contains(state, name)))
}

//! JSON Schema, compiled once, with every fault reported as a [`FieldFault`].
//!
//! `jsonschema` without its resolvers: a schema cannot make this process open a file or a connection. Formats are checked.

use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::drift::Shape;
use crate::fault::FieldFault;
use crate::json::push_pointer;
use crate::limits::{FAULTS_LISTED_MAX, QUOTED_CHARS_MAX};

/// Most values of an enumeration that a fault lists.
const OPTIONS_LISTED_MAX: usize = 12;

/// A compiled schema; cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema {
    validator: Arc<Validator>,
    shape: Arc<Shape>,
}

/// A schema that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("not a usable JSON Schema: {0}")]
pub struct InvalidSchema(String);

impl Schema {
    /// Compiles a schema; draft 2020-12 unless `$schema` says otherwise.
    pub fn compile(text: &[u8]) -> Result<Self, InvalidSchema> {
        let schema: Value = serde_json::from_slice(text).map_err(|error| InvalidSchema(error.to_string()))?;
        jsonschema::options()
            .should_validate_formats(true)
            // Linear-time patterns only: a vendor's text must not be able to make a schema slow.
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(&schema)
            .map(|validator| Self { validator: Arc::new(validator), shape: Arc::new(Shape::read(&schema)) })
            .map_err(|error| InvalidSchema(error.to_string()))
    }

    /// Which paths it names and requires.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Every fault, at most [`FAULTS_LISTED_MAX`], in the schema's order. Empty means valid.
    pub fn faults(&self, value: &Value) -> Vec<FieldFault> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        self.validator.iter_errors(value).take(FAULTS_LISTED_MAX).map(|error| field_fault(&error)).collect()
    }
}

fn field_fault(error: &ValidationError<'_>) -> FieldFault {
    let mut pointer = error.instance_path().as_str().to_owned();
    let (code, message) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            push_pointer(&mut pointer, name);
            ("required".to_owned(), format!("{name} is required"))
        }
        ValidationErrorKind::Type { kind } => {
            let expected = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(many) => {
                    many.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or ")
                }
            };
            ("type".to_owned(), format!("must be of type {expected}, not {}", type_name(error.instance())))
        }
        ValidationErrorKind::MinLength { limit: 1 } => ("empty".to_owned(), "must not be empty".to_owned()),
        ValidationErrorKind::MaxLength { limit } => {
            ("too_long".to_owned(), format!("must be at most {limit} characters long"))
        }
        ValidationErrorKind::Pattern { pattern } => {
            ("pattern".to_owned(), format!("{} does not match {pattern}", quote(error.instance())))
        }
        ValidationErrorKind::Format { format } => {
            ("format".to_owned(), format!("{} is not a valid {format}", quote(error.instance())))
        }
        ValidationErrorKind::Enum { options }
            if options.as_array().is_some_and(|options| options.len() > OPTIONS_LISTED_MAX) =>
        {
            (
                "enum".to_owned(),
                format!("{} is not one of the values that are allowed", quote(error.instance())),
            )
        }
        kind => {
            let text: String = error.masked_with("the value").to_string().chars().take(400).collect();
            (kind.keyword().to_owned(), text)
        }
    };
    FieldFault { pointer, code, message }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A short, printable quote of a value.
fn quote(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= QUOTED_CHARS_MAX {
        text
    } else {
        let cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        format!("{cut}…")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use serde_json::json;

    #[test]
    fn all_faults_are_reported_with_pointers() {
        let schema = Schema::compile(
            br#"{"type":"object","required":["a","b"],"properties":{"a":{"type":"integer"},"c":{"type":"array","items":{"maxLength":2}}}}"#,
        )
        .unwrap();
        let faults = schema.faults(&json!({"a": "x", "c": ["ok", "long"]}));
        let seen: Vec<_> = faults.iter().map(|f| (f.pointer.as_str(), f.code.as_str())).collect();
        assert_eq!(seen.len(), 3, "{faults:?}");
        for expected in [("/a", "type"), ("/b", "required"), ("/c/1", "too_long")] {
            assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
        }
    }

    #[test]
    fn a_reference_to_elsewhere_is_refused() {
        assert!(Schema::compile(br#"{"$ref":"file:///etc/passwd"}"#).is_err());
        assert!(Schema::compile(br#"{"$ref":"http://127.0.0.1/x"}"#).is_err());
    }
}

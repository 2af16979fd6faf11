//! Values with expressions in them: `Arguments`, `Output`, `Assign`, `Items` and the like.
//!
//! "JSONata expressions may be the value of a field, of a member of an object, or an element of an array" (Developer Guide,
//! "Transforming data with JSONata"); member names are never expressions.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::jsonata::{self, Available, Environment, EvaluationError, Expression, Notation};

/// A compiled value.
#[derive(Debug)]
pub(crate) enum Template {
    /// Nothing in it is an expression.
    Literal(Arc<Value>),
    Expression(Box<Expression>),
    Array(Vec<Template>),
    Object(Vec<(String, Template)>),
}

/// Where in a definition something is wrong, and what.
pub(crate) struct TemplateFault {
    /// Relative to the template, e.g. `/items[0]`.
    pub(crate) path: String,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// An evaluation that failed, and where: the `location` of the `EvaluationFailed` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Relative to the state, e.g. `Output/items[0]`; `None` where AWS names none.
    pub(crate) location: Option<String>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(location: &str, error: EvaluationError) -> Self {
        Failure { location: Some(location.to_owned()), message: error.0 }
    }
}

impl Template {
    /// Compiles a value of a definition, reporting every fault in it.
    pub(crate) fn compile(value: &Value, available: Available, faults: &mut Vec<TemplateFault>) -> Template {
        compile(value, available, &mut String::new(), faults)
    }

    /// Evaluates for the field `field`.
    pub(crate) fn evaluate(&self, environment: &Environment<'_>, field: &str) -> Result<Arc<Value>, Failure> {
        match self {
            Template::Literal(value) => Ok(Arc::clone(value)),
            Template::Expression(expression) => {
                expression.evaluate(environment, field).map_err(|error| Failure::new(field, error))
            }
            Template::Array(_) | Template::Object(_) => {
                let mut path = field.to_owned();
                self.build(environment, &mut path).map(Arc::new)
            }
        }
    }

    fn build(&self, environment: &Environment<'_>, path: &mut String) -> Result<Value, Failure> {
        let length = path.len();
        Ok(match self {
            Template::Literal(value) => Value::clone(value),
            Template::Expression(expression) => {
                let value =
                    expression.evaluate(environment, path).map_err(|error| Failure::new(path, error))?;
                Arc::unwrap_or_clone(value)
            }
            Template::Array(items) => {
                let mut array = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    array.push(item.build(environment, path)?);
                    path.truncate(length);
                }
                Value::Array(array)
            }
            Template::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (name, member) in members {
                    path.push('/');
                    path.push_str(name);
                    object.insert(name.clone(), member.build(environment, path)?);
                    path.truncate(length);
                }
                Value::Object(object)
            }
        })
    }

    /// Whether it is always the same.
    pub(crate) fn literal(&self) -> Option<&Arc<Value>> {
        match self {
            Template::Literal(value) => Some(value),
            Template::Expression(_) | Template::Array(_) | Template::Object(_) => None,
        }
    }

    /// Adds the names of the variables that its expressions read, and of functions that a variable could hide.
    pub(crate) fn variables(&self, names: &mut BTreeSet<String>) {
        match self {
            Template::Literal(_) => {}
            Template::Expression(expression) => names.extend(expression.variables().map(str::to_owned)),
            Template::Array(items) => items.iter().for_each(|item| item.variables(names)),
            Template::Object(members) => members.iter().for_each(|(_, member)| member.variables(names)),
        }
    }

    /// The error for a value of this template that is of the wrong type.
    pub(crate) fn unexpected(&self, field: &str, expected: &str, value: &Value) -> Failure {
        let error = match self {
            Template::Expression(expression) => expression.unexpected(field, expected, value),
            Template::Literal(_) | Template::Array(_) | Template::Object(_) => {
                jsonata::unexpected("value", field, expected, value)
            }
        };
        Failure::new(field, error)
    }
}

fn compile(
    value: &Value,
    available: Available,
    path: &mut String,
    faults: &mut Vec<TemplateFault>,
) -> Template {
    let length = path.len();
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Template::Literal(Arc::new(value.clone())),
        Value::String(text) => match jsonata::notation(text) {
            Notation::Literal => Template::Literal(Arc::new(value.clone())),
            Notation::Malformed => {
                faults.push(TemplateFault {
                    path: path.clone(),
                    code: "SCHEMA_VALIDATION_FAILED",
                    message: "a JSONata expression must start with '{%' and end with '%}', without spaces around them".to_owned(),
                });
                Template::Literal(Arc::new(Value::Null))
            }
            Notation::Expression(source) => match Expression::compile(source, available) {
                Ok(expression) => Template::Expression(Box::new(expression)),
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| TemplateFault {
                        path: path.clone(),
                        code: match fault {
                            jsonata::Fault::Syntax(_) => "INVALID_JSONATA_EXPRESSION",
                            _ => "UNSUPPORTED_JSONATA_EXPRESSION",
                        },
                        message: fault.to_string(),
                    }));
                    Template::Literal(Arc::new(Value::Null))
                }
            },
        },
        Value::Array(items) => {
            let mut compiled = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                compiled.push(compile(item, available, path, faults));
                path.truncate(length);
            }
            if compiled.iter().all(|item| item.literal().is_some()) {
                return Template::Literal(Arc::new(value.clone()));
            }
            Template::Array(compiled)
        }
        Value::Object(members) => {
            let mut compiled = Vec::with_capacity(members.len());
            for (name, member) in members {
                path.push('/');
                path.push_str(name);
                compiled.push((name.clone(), compile(member, available, path, faults)));
                path.truncate(length);
            }
            if compiled.iter().all(|(_, member)| member.literal().is_some()) {
                return Template::Literal(Arc::new(value.clone()));
            }
            Template::Object(compiled)
        }
    }
}

//! JSONata expressions: compiled once for a definition, evaluated against a state's data.
//!
//! Follows "Transforming data with JSONata in Step Functions" of the Developer Guide: an expression is a string in `{% %}`; it sees
//! `$states` and the variables, no context item; a result that is undefined or a function is `States.QueryEvaluationError`.
//! AWS runs JSONata 2.0.6; `jsonata-core` implements 2.2, so the two operators that are newer, `??` and `?:`, are refused.
//!
//! Only what an expression names is converted for it, and a plain path is answered from the data itself. Both give what the
//! evaluator gives; a property test holds them to it.

mod functions;
mod inspect;
mod scope;

use std::sync::Arc;

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator, EvaluatorOptions};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use serde_json::Value;

use self::functions::HostFunction;
pub(crate) use self::functions::is_known as is_function;
pub(crate) use self::inspect::{Available, Fault};
pub(crate) use self::scope::{Environment, Node, Variables};
use self::scope::{Resolved, Wanted};
use crate::data::{self, NotData};
use crate::limits;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    /// Without the delimiters, as AWS quotes it in causes.
    source: Box<str>,
    ast: AstNode,
    fast: Option<Fast>,
    /// The members of `$states` that it reads.
    states: Wanted,
    /// The variables that it reads, with the members of each.
    variables: Vec<(Box<str>, Wanted)>,
    functions: Vec<HostFunction>,
}

/// A shape that is answered without the evaluator.
#[derive(Debug, PartialEq)]
enum Fast {
    /// `$states.a.b`, without the `states`.
    States(Vec<Box<str>>),
    /// `$name.a.b`.
    Variable(Box<str>, Vec<Box<str>>),
    /// `$exists(path)`.
    Exists(Box<Fast>),
}

/// Why an expression gave no value, in AWS's words; a whole sentence that goes into a `Cause`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EvaluationError(pub(crate) String);

/// Whether a string of a definition is an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation<'a> {
    /// Just text.
    Literal,
    /// What stands between `{%` and `%}`.
    Expression(&'a str),
    /// Opened, closed, or surrounded by spaces, as no expression may be.
    Malformed,
}

/// Looks at the delimiters. "The string must start with `{%` with no leading spaces, and must end with `%}` with no trailing
/// spaces."
pub(crate) fn notation(text: &str) -> Notation<'_> {
    let inner = text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}"));
    match inner {
        Some(inner) => Notation::Expression(inner.trim()),
        None if text.trim_start().starts_with("{%") || text.trim_end().ends_with("%}") => Notation::Malformed,
        None => Notation::Literal,
    }
}

impl Expression {
    /// As it is written in the definition, without the delimiters.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Compiles the text between the delimiters.
    ///
    /// # Errors
    /// All that AWS or this engine refuses in it.
    pub(crate) fn compile(source: &str, available: Available) -> Result<Self, Vec<Fault>> {
        let ast = parser::parse(source).map_err(|error| vec![Fault::Syntax(error.display_message())])?;
        let inspection = inspect::inspect(&ast, available)?;
        let fast = inspection.prunable.then(|| fast(&ast)).flatten();
        Ok(Expression {
            source: source.into(),
            ast,
            fast,
            states: inspection.states,
            variables: inspection.variables,
            functions: inspection.functions,
        })
    }

    /// The names that it reads from outside, but for `states`.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, _)| &**name)
    }

    /// Evaluates for the field `field`, e.g. `Output/items[0]`.
    ///
    /// # Errors
    /// `States.QueryEvaluationError`.
    pub(crate) fn evaluate(
        &self,
        environment: &Environment<'_>,
        field: &str,
    ) -> Result<Arc<Value>, EvaluationError> {
        if let Some(fast) = &self.fast {
            match fast.resolve(environment) {
                Resolved::Shared(value) => {
                    return Ok(data::through_jsonata(value).map_or_else(|| Arc::clone(value), Arc::new));
                }
                Resolved::Borrowed(value) => {
                    return Ok(Arc::new(data::through_jsonata(value).unwrap_or_else(|| value.clone())));
                }
                Resolved::Built(value) => return Ok(Arc::new(value)),
                Resolved::Undefined => return Err(self.undefined(field)),
                Resolved::NeedsEvaluator => {}
            }
        }
        self.run(environment, field)
    }

    fn run(&self, environment: &Environment<'_>, field: &str) -> Result<Arc<Value>, EvaluationError> {
        let mut context = Context::new();
        if !self.states.is_empty() {
            context.bind("states".to_owned(), environment.states.project(&self.states));
        }
        for (name, wanted) in &self.variables {
            if let Some(value) = environment.variables.get(name) {
                context.bind(name.to_string(), scope::project(value, wanted));
            }
        }
        let options = EvaluatorOptions {
            timeout_ms: Some(limits::EXPRESSION_TIMEOUT_MS),
            cancel: None,
            max_stack_depth: Some(limits::EXPRESSION_DEPTH_MAX),
            max_sequence_length: Some(limits::EXPRESSION_SEQUENCE_MAX),
        };
        let mut evaluator = Evaluator::with_options(context, options);
        functions::register(&mut evaluator, &self.functions, environment);
        let result = evaluator
            .evaluate(&self.ast, &JValue::Undefined)
            .map_err(|error| self.threw(field, error.message()))?;
        match data::from_jsonata(&result) {
            Ok(Some(value)) => Ok(Arc::new(value)),
            Ok(None) => Err(self.undefined(field)),
            Err(NotData::Function) => Err(EvaluationError(format!(
                "The JSONata expression '{}' specified for the field '{field}' returned an unsupported result type.",
                self.source
            ))),
            Err(NotData::TooDeep) => Err(EvaluationError(format!(
                "The JSONata expression '{}' specified for the field '{field}' returned a value that is nested more than {} \
                 levels deep.",
                self.source,
                limits::DATA_DEPTH_MAX
            ))),
        }
    }

    fn undefined(&self, field: &str) -> EvaluationError {
        EvaluationError(format!(
            "The JSONata expression '{}' specified for the field '{field}' returned nothing (undefined).",
            self.source
        ))
    }

    fn threw(&self, field: &str, message: &str) -> EvaluationError {
        EvaluationError(format!(
            "The JSONata expression '{}' specified for the field '{field}' threw an error during evaluation. {message}",
            self.source
        ))
    }

    /// The error for a result of the wrong type.
    pub(crate) fn unexpected(&self, field: &str, expected: &str, value: &Value) -> EvaluationError {
        unexpected(&format!("JSONata expression '{}'", self.source), field, expected, value)
    }
}

/// The error for a value of the wrong type, from an expression or a literal.
pub(crate) fn unexpected(what: &str, field: &str, expected: &str, value: &Value) -> EvaluationError {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut shown = value.to_string();
    if shown.len() > 256 {
        let end = (0..=256).rev().find(|&at| shown.is_char_boundary(at)).unwrap_or(0);
        shown.truncate(end);
        shown.push('…');
    }
    EvaluationError(format!(
        "The {what} specified for the field '{field}' returned an unexpected result type. Expected '{expected}', but was \
         '{actual}' for value: {shown}"
    ))
}

impl Fast {
    fn resolve<'a>(&self, environment: &'a Environment<'a>) -> Resolved<'a> {
        match self {
            Fast::States(path) => environment.states.resolve(path),
            Fast::Variable(name, path) => match environment.variables.get(name) {
                Some(value) if path.is_empty() => Resolved::Shared(value),
                Some(value) => scope::walk(value, path),
                // The name may be a function's.
                None => Resolved::NeedsEvaluator,
            },
            Fast::Exists(path) => match path.resolve(environment) {
                Resolved::NeedsEvaluator => Resolved::NeedsEvaluator,
                Resolved::Undefined => Resolved::Built(Value::Bool(false)),
                Resolved::Shared(_) | Resolved::Borrowed(_) | Resolved::Built(_) => {
                    Resolved::Built(Value::Bool(true))
                }
            },
        }
    }
}

fn fast(ast: &AstNode) -> Option<Fast> {
    match ast {
        AstNode::Variable(name) if name == "states" => Some(Fast::States(Vec::new())),
        AstNode::Variable(name) if !name.is_empty() => Some(Fast::Variable(name.as_str().into(), Vec::new())),
        AstNode::Path { steps } => {
            let (first, rest) = steps.split_first()?;
            let mut path = Vec::with_capacity(rest.len());
            for step in rest {
                let AstNode::Name(name) = &step.node else { return None };
                if !inspect::is_plain(step) {
                    return None;
                }
                path.push(name.as_str().into());
            }
            match &first.node {
                AstNode::Variable(name) if name == "states" && inspect::is_plain(first) => {
                    Some(Fast::States(path))
                }
                AstNode::Variable(name) if !name.is_empty() && inspect::is_plain(first) => {
                    Some(Fast::Variable(name.as_str().into(), path))
                }
                _ => None,
            }
        }
        AstNode::Function { name, args, is_builtin: true } if name == "exists" => match args.as_slice() {
            [argument] => fast(argument)
                .filter(|inner| !matches!(inner, Fast::Exists(_)))
                .map(|inner| Fast::Exists(Box::new(inner))),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;

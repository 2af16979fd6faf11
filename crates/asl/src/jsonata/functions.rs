//! The functions that Step Functions adds to JSONata, and the ones of JSONata that must not look at a clock or draw a random
//! number here.
//!
//! Follows "JSONata functions provided by Step Functions" of the Developer Guide for `$partition`, `$range`, `$hash`, `$random`,
//! `$uuid` and `$parse`. As on AWS, an argument that is no integer is rounded towards zero, and arguments that make no sense (no
//! chunk size, a step that leads away, an unnamed algorithm) give undefined, which fails the field.

use std::rc::Rc;

use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError};
use jsonata_core::parser;
use jsonata_core::value::JValue;

use super::scope::Environment;
use crate::data;
use crate::random::{Random, java_double};
use crate::time::Timestamp;

/// `$range` gives no more items than this on AWS.
const RANGE_ITEMS_MAX: f64 = 360_145.0;

/// A function that this module implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostFunction {
    Hash,
    Millis,
    Now,
    Parse,
    Partition,
    Random,
    Range,
    Shuffle,
    ToMillis,
    Uuid,
}

impl HostFunction {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "hash" => HostFunction::Hash,
            "millis" => HostFunction::Millis,
            "now" => HostFunction::Now,
            "parse" => HostFunction::Parse,
            "partition" => HostFunction::Partition,
            "random" => HostFunction::Random,
            "range" => HostFunction::Range,
            "shuffle" => HostFunction::Shuffle,
            "toMillis" => HostFunction::ToMillis,
            "uuid" => HostFunction::Uuid,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            HostFunction::Hash => "hash",
            HostFunction::Millis => "millis",
            HostFunction::Now => "now",
            HostFunction::Parse => "parse",
            HostFunction::Partition => "partition",
            HostFunction::Random => "random",
            HostFunction::Range => "range",
            HostFunction::Shuffle => "shuffle",
            HostFunction::ToMillis => "toMillis",
            HostFunction::Uuid => "uuid",
        }
    }
}

/// Whether `$name` is a function of JSONata 2.0.6 or of Step Functions.
pub(crate) fn is_known(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "abs",
        "append",
        "assert",
        "average",
        "base64decode",
        "base64encode",
        "boolean",
        "ceil",
        "contains",
        "count",
        "decodeUrl",
        "decodeUrlComponent",
        "distinct",
        "each",
        "encodeUrl",
        "encodeUrlComponent",
        "error",
        "eval",
        "exists",
        "filter",
        "floor",
        "formatBase",
        "formatInteger",
        "formatNumber",
        "fromMillis",
        "join",
        "keys",
        "length",
        "lookup",
        "lowercase",
        "map",
        "match",
        "max",
        "merge",
        "min",
        "not",
        "number",
        "pad",
        "parseInteger",
        "power",
        "reduce",
        "replace",
        "reverse",
        "round",
        "sift",
        "single",
        "sort",
        "split",
        "spread",
        "sqrt",
        "string",
        "substring",
        "substringAfter",
        "substringBefore",
        "sum",
        "trim",
        "type",
        "uppercase",
        "zip",
    ];
    HostFunction::named(name).is_some() || NAMES.binary_search(&name).is_ok()
}

/// Gives `evaluator` the functions that its expression names.
pub(super) fn register(evaluator: &mut Evaluator, functions: &[HostFunction], environment: &Environment<'_>) {
    for &function in functions {
        let (at, random) = (environment.at, Rc::clone(&environment.random));
        let registered = evaluator
            .register_fn_override(function.name(), move |args: &[JValue]| call(function, args, at, &random));
        // Only the names that jsonata-core compiles to bytecode are refused, and none of ours is.
        debug_assert!(registered.is_ok(), "{}", function.name());
    }
}

fn call(
    function: HostFunction,
    args: &[JValue],
    at: Timestamp,
    random: &Random,
) -> Result<JValue, EvaluatorError> {
    let name = function.name();
    match function {
        HostFunction::Now => {
            arguments(name, args, 0, 2)?;
            let millis = JValue::Number(at.as_millis() as f64);
            match args {
                [] => built_in("$fromMillis($a)", &[millis]),
                [picture] => built_in("$fromMillis($a, $b)", &[millis, picture.clone()]),
                [picture, zone, ..] => {
                    built_in("$fromMillis($a, $b, $c)", &[millis, picture.clone(), zone.clone()])
                }
            }
        }
        HostFunction::Millis => Ok(JValue::Number(at.as_millis() as f64)),
        HostFunction::ToMillis => {
            arguments(name, args, 1, 2)?;
            to_millis(args, at)
        }
        HostFunction::Random => match args {
            [JValue::Undefined] => Ok(JValue::Undefined),
            [seed] => Ok(JValue::Number(java_double(whole(name, seed)? as i64))),
            // Nothing, or what `$map` hands to a callback.
            _ => Ok(JValue::Number(random.unit())),
        },
        HostFunction::Uuid => Ok(JValue::from(random.uuid())),
        HostFunction::Shuffle => {
            arguments(name, args, 1, 1)?;
            let mut items = match &args[0] {
                JValue::Undefined => return Ok(JValue::Undefined),
                JValue::Array(items) => items.to_vec(),
                other => vec![other.clone()],
            };
            for last in (1..items.len()).rev() {
                let other = (random.next_u64() % (last as u64 + 1)) as usize;
                items.swap(last, other);
            }
            Ok(JValue::array(items))
        }
        HostFunction::Parse => {
            arguments(name, args, 1, 1)?;
            match &args[0] {
                JValue::Undefined => Ok(JValue::Undefined),
                JValue::String(json) => match serde_json::from_str(json) {
                    Ok(value) => Ok(data::to_jsonata(&value)),
                    Err(error) => Err(refused(format!("the argument of $parse is not JSON: {error}"))),
                },
                _ => Err(wrong_type(name, 1)),
            }
        }
        HostFunction::Hash => {
            arguments(name, args, 1, 2)?;
            match args {
                [JValue::Undefined, ..] | [_] | [_, JValue::Undefined] => Ok(JValue::Undefined),
                [JValue::String(text), JValue::String(algorithm), ..] => hash(text.as_bytes(), algorithm),
                [JValue::String(_), ..] => Err(wrong_type(name, 2)),
                _ => Err(wrong_type(name, 1)),
            }
        }
        HostFunction::Partition => {
            arguments(name, args, 2, 2)?;
            partition(name, &args[0], &args[1])
        }
        HostFunction::Range => {
            arguments(name, args, 2, 3)?;
            match args {
                [first, last, step] => range(name, first, last, step),
                _ => Ok(JValue::Undefined),
            }
        }
    }
}

fn refused(message: String) -> EvaluatorError {
    EvaluatorError::EvaluationError(message)
}

fn wrong_type(name: &str, argument: usize) -> EvaluatorError {
    EvaluatorError::TypeError(format!(
        "T0410: Argument {argument} of function \"{name}\" does not match function signature"
    ))
}

fn arguments(name: &str, args: &[JValue], least: usize, most: usize) -> Result<(), EvaluatorError> {
    if (least..=most).contains(&args.len()) {
        return Ok(());
    }
    Err(wrong_type(name, args.len().min(most) + 1))
}

/// The argument rounded towards zero.
fn whole(name: &str, value: &JValue) -> Result<f64, EvaluatorError> {
    match value {
        JValue::Number(number) if number.is_finite() => Ok(number.trunc() + 0.0),
        _ => Err(wrong_type(name, 1)),
    }
}

/// Runs an expression of jsonata-core's own functions over `$a`, `$b`, `$c`.
fn built_in(expression: &str, args: &[JValue]) -> Result<JValue, EvaluatorError> {
    let ast = parser::parse(expression).map_err(|error| refused(error.display_message()))?;
    let mut context = Context::new();
    for (name, value) in ["a", "b", "c"].into_iter().zip(args) {
        context.bind(name.to_owned(), value.clone());
    }
    Evaluator::with_context(context).evaluate(&ast, &JValue::Undefined)
}

/// `$toMillis`. JSONata takes the parts of a date that the picture leaves out before its first from the clock; here they come
/// from the input's time.
fn to_millis(args: &[JValue], at: Timestamp) -> Result<JValue, EvaluatorError> {
    let [text, picture] = args else { return built_in("$toMillis($a)", args) };
    let (JValue::String(text), JValue::String(picture)) = (text, picture) else {
        return built_in("$toMillis($a, $b)", args);
    };
    let has = |component: char| {
        picture
            .split('[')
            .skip(1)
            .any(|marker| !marker.starts_with('[') && marker.trim_start().starts_with(component))
    };
    let named = ['Y', 'M', 'D', 'd', 'F', 'W', 'w', 'X', 'x'].map(has);
    let [year, month, day, others @ ..] = named;
    let today = at.to_string();
    let (shown, missing) = match (year, month, day) {
        (true, ..) => ("", ""),
        _ if others.contains(&true) && !others[4] => {
            return Err(refused(
                "$toMillis needs the year of a week or of a day of the week or year in its picture"
                    .to_owned(),
            ));
        }
        _ if others.contains(&true) => ("", ""),
        (false, true, _) => (&today[..4], "[Y0001]"),
        (false, false, true) => (&today[..7], "[Y0001]-[M01]"),
        (false, false, false) => (&today[..10], "[Y0001]-[M01]-[D01]"),
    };
    if missing.is_empty() {
        return built_in("$toMillis($a, $b)", args);
    }
    let (text, picture) = (format!("{shown} {text}"), format!("{missing} {picture}"));
    built_in("$toMillis($a, $b)", &[JValue::from(text), JValue::from(picture)])
}

fn hash(bytes: &[u8], algorithm: &str) -> Result<JValue, EvaluatorError> {
    let digest = match algorithm {
        "MD5" => hex::encode(<md5::Md5 as md5::Digest>::digest(bytes)),
        "SHA-1" => hex::encode(<sha1::Sha1 as sha1::Digest>::digest(bytes)),
        "SHA-256" => hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes)),
        "SHA-384" => hex::encode(<sha2::Sha384 as sha2::Digest>::digest(bytes)),
        "SHA-512" => hex::encode(<sha2::Sha512 as sha2::Digest>::digest(bytes)),
        _ => {
            return Err(refused(format!(
                "$hash knows MD5, SHA-1, SHA-256, SHA-384 and SHA-512, not '{algorithm}'"
            )));
        }
    };
    Ok(JValue::from(digest))
}

fn partition(name: &str, array: &JValue, size: &JValue) -> Result<JValue, EvaluatorError> {
    if matches!(array, JValue::Undefined) || matches!(size, JValue::Undefined) {
        return Ok(JValue::Undefined);
    }
    let JValue::Array(items) = array else { return Err(wrong_type(name, 1)) };
    let size = whole(name, size).map_err(|_| wrong_type(name, 2))?;
    if size == 0.0 || items.is_empty() {
        return Ok(JValue::Undefined);
    }
    if size < 0.0 {
        return Err(refused("$partition needs a chunk size above zero".to_owned()));
    }
    let chunks = items.chunks(size as usize).map(|chunk| JValue::array(chunk.to_vec()));
    Ok(JValue::array(chunks.collect()))
}

fn range(name: &str, first: &JValue, last: &JValue, step: &JValue) -> Result<JValue, EvaluatorError> {
    if [first, last, step].into_iter().any(|value| matches!(value, JValue::Undefined)) {
        return Ok(JValue::Undefined);
    }
    let first = whole(name, first)?;
    let last = whole(name, last).map_err(|_| wrong_type(name, 2))?;
    let step = whole(name, step).map_err(|_| wrong_type(name, 3))?;
    if step == 0.0 || (last - first) * step < 0.0 {
        return Ok(JValue::Undefined);
    }
    let items = ((last - first) / step).floor() + 1.0;
    if items > RANGE_ITEMS_MAX {
        return Err(refused("Expression evaluation memory limit exceeded".to_owned()));
    }
    Ok(JValue::sequence(
        (0..items as u32).map(|index| JValue::Number(first + f64::from(index) * step)).collect(),
    ))
}

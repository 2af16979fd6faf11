//! State data: its size as AWS counts it, and its way into JSONata and back.
//!
//! JSONata numbers are doubles. An integer beyond 2^53 that passes through an expression, even untouched, becomes the nearest
//! double; up to there it stays an integer. Values without an expression around them are never converted.

use std::rc::Rc;

use jsonata_core::value::{JMap, JValue};
use serde_json::{Number, Value};

use crate::limits;

/// What a value measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    /// UTF-8 bytes of its compact JSON.
    pub(crate) bytes: usize,
    /// Nested arrays and objects; 0 for a scalar.
    pub(crate) depth: usize,
}

impl Measure {
    /// Whether the value may be a state's data.
    pub(crate) fn fits(self) -> bool {
        self.bytes <= limits::DATA_BYTES_MAX && self.depth <= limits::DATA_DEPTH_MAX
    }
}

/// Measures without writing the JSON.
pub(crate) fn measure(value: &Value) -> Measure {
    let mut total = Measure::default();
    add(value, 0, &mut total);
    total
}

fn add(value: &Value, depth: usize, total: &mut Measure) {
    total.depth = total.depth.max(depth);
    total.bytes += match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number_bytes(number),
        Value::String(text) => string_bytes(text),
        Value::Array(items) => {
            total.depth = total.depth.max(depth + 1);
            for item in items {
                add(item, depth + 1, total);
            }
            2 + items.len().saturating_sub(1)
        }
        Value::Object(members) => {
            total.depth = total.depth.max(depth + 1);
            for (name, member) in members {
                total.bytes += string_bytes(name) + 1;
                add(member, depth + 1, total);
            }
            2 + members.len().saturating_sub(1)
        }
    };
}

fn number_bytes(number: &Number) -> usize {
    if let Some(unsigned) = number.as_u64() {
        return unsigned.checked_ilog10().unwrap_or(0) as usize + 1;
    }
    if let Some(signed) = number.as_i64() {
        return signed.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 2;
    }
    number.to_string().len()
}

fn string_bytes(text: &str) -> usize {
    // Bodies are a quarter of a megabyte and need no escapes: this loop has no branches, so that it is vectorized.
    let escaped = text
        .as_bytes()
        .iter()
        .fold(false, |any, &byte| any | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if !escaped {
        return text.len() + 2;
    }
    let escapes: usize = text
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
            0x00..=0x1f => 5,
            _ => 0,
        })
        .sum();
    text.len() + escapes + 2
}

/// As JSONata sees it.
pub(crate) fn to_jsonata(value: &Value) -> JValue {
    match value {
        Value::Null => JValue::Null,
        Value::Bool(bool) => JValue::Bool(*bool),
        Value::Number(number) => JValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => JValue::string(text.as_str()),
        Value::Array(items) => JValue::array(items.iter().map(to_jsonata).collect()),
        Value::Object(members) => {
            let members: JMap =
                members.iter().map(|(name, member)| (name.clone(), to_jsonata(member))).collect();
            JValue::Object(Rc::new(members))
        }
    }
}

/// Why the result of an expression is not data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotData {
    /// A function, or an array or object that holds one.
    Function,
    /// Deeper than [`limits::DATA_DEPTH_MAX`].
    TooDeep,
}

/// The result of an expression as data. `None` when it is undefined. JSON has no infinities: they become the strings that
/// JavaScript names them by, as on AWS.
pub(crate) fn from_jsonata(value: &JValue) -> Result<Option<Value>, NotData> {
    convert(value, 0)
}

fn convert(value: &JValue, depth: usize) -> Result<Option<Value>, NotData> {
    if depth > limits::DATA_DEPTH_MAX {
        return Err(NotData::TooDeep);
    }
    Ok(Some(match value {
        JValue::Undefined => return Ok(None),
        JValue::Null => Value::Null,
        JValue::Bool(bool) => Value::Bool(*bool),
        JValue::Number(number) => from_f64(*number),
        JValue::String(text) => Value::String(text.as_ref().to_owned()),
        JValue::Array(items) => {
            let mut array = Vec::with_capacity(items.len());
            for item in items.iter() {
                array.extend(convert(item, depth + 1)?);
            }
            Value::Array(array)
        }
        JValue::Object(members) => {
            let mut object = serde_json::Map::with_capacity(members.len());
            for (name, member) in members.iter() {
                if let Some(member) = convert(member, depth + 1)? {
                    object.insert(name.clone(), member);
                }
            }
            Value::Object(object)
        }
        JValue::Lambda(_) | JValue::Builtin { .. } | JValue::Regex { .. } => return Err(NotData::Function),
    }))
}

/// A double as a JSON number, an integer where it is one.
pub(crate) fn from_f64(number: f64) -> Value {
    const U64_END: f64 = 18_446_744_073_709_551_616.0;
    const I64_START: f64 = -9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (0.0..U64_END).contains(&number) {
        return Value::from(number as u64);
    }
    if number.fract() == 0.0 && (I64_START..0.0).contains(&number) {
        return Value::from(number as i64);
    }
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::from("NaN"),
        None if number > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

/// What the value is after a way through JSONata; `None` when it is the same.
pub(crate) fn through_jsonata(value: &Value) -> Option<Value> {
    if survives(value) {
        return None;
    }
    Some(match value {
        Value::Number(number) => from_f64(number.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) => Value::Array(
            items.iter().map(|item| through_jsonata(item).unwrap_or_else(|| item.clone())).collect(),
        ),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| {
                    (name.clone(), through_jsonata(member).unwrap_or_else(|| member.clone()))
                })
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    })
}

fn survives(value: &Value) -> bool {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => {
            if let Some(unsigned) = number.as_u64() {
                unsigned <= EXACT
            } else if let Some(signed) = number.as_i64() {
                signed.unsigned_abs() <= EXACT
            } else {
                number.as_f64().is_some_and(|number| number.fract() != 0.0)
            }
        }
        Value::Array(items) => items.iter().all(survives),
        Value::Object(members) => members.values().all(survives),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-5i64..5).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-c\"\\n]{1,2}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn measures_what_serde_json_writes(value in any_json()) {
            prop_assert_eq!(measure(&value).bytes, value.to_string().len());
        }

        #[test]
        fn predicts_the_way_through_jsonata(value in any_json()) {
            let through = from_jsonata(&to_jsonata(&value)).unwrap().unwrap();
            prop_assert_eq!(through_jsonata(&value).unwrap_or(value), through);
        }
    }

    #[test]
    fn integers_stay_integers_up_to_two_to_the_53() {
        let way = |value: Value| from_jsonata(&to_jsonata(&value)).unwrap().unwrap();
        for exact in [0_i64, 1, -1, 1 << 53, -(1 << 53), (1 << 53) - 1] {
            assert_eq!(way(json!(exact)), json!(exact));
            assert_eq!(through_jsonata(&json!(exact)), None, "{exact}");
        }
        assert_eq!(
            way(json!(9_007_199_254_740_993_u64)),
            json!(9_007_199_254_740_992_u64),
            "beyond, the nearest double"
        );
        assert_eq!(way(json!(u64::MAX)), json!(18_446_744_073_709_551_616.0));
        assert_eq!(way(json!(1.0)), json!(1));
        assert_eq!(way(json!(-0.0)), json!(0));
        assert_eq!(way(json!(0.1)), json!(0.1));
        assert_eq!(way(json!(1e300)), json!(1e300));
    }

    #[test]
    fn depth_counts_containers() {
        assert_eq!(measure(&json!(1)).depth, 0);
        assert_eq!(measure(&json!([])).depth, 1);
        assert_eq!(measure(&json!({"a": [{"b": 1}], "c": 1})).depth, 3);
    }

    #[test]
    fn functions_and_endless_depth_are_not_data() {
        let nested = (0..limits::DATA_DEPTH_MAX).fold(JValue::Null, |inner, _| JValue::array(vec![inner]));
        assert!(from_jsonata(&nested).is_ok());
        assert_eq!(from_jsonata(&JValue::array(vec![nested])), Err(NotData::TooDeep));
        assert_eq!(from_jsonata(&JValue::array(vec![JValue::builtin("now")])), Err(NotData::Function));
        assert_eq!(from_jsonata(&JValue::array(vec![JValue::Undefined])), Ok(Some(json!([]))));
        assert_eq!(from_jsonata(&JValue::Number(f64::NEG_INFINITY)), Ok(Some(json!("-Infinity"))));
    }
}

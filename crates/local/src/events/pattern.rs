//! Event patterns, as "Amazon EventBridge event patterns" defines them: a documented subset.
//!
//! A pattern is an object whose leaves are arrays of alternatives; an event matches if each leaf has an alternative that
//! matches the event's value there, or, if that value is an array, one of its elements. Alternatives: a string, number,
//! `true`, `false` or `null` (exact); `{"prefix": s}`; `{"suffix": s}`; `{"equals-ignore-case": s}`;
//! `{"anything-but": s | n | [...]}` and `{"anything-but": {"prefix": s}}`; `{"numeric": [op, n, …]}`;
//! `{"exists": bool}`. Everything else (`wildcard`, `cidr`, `$or`, …) is refused by name when the rule is loaded.

use serde_json::{Map, Value};

/// A pattern that can be matched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pattern(Vec<(String, Node)>);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Object(Pattern),
    AnyOf(Vec<Matcher>),
}

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Exactly(Value),
    Prefix(String),
    Suffix(String),
    EqualsIgnoreCase(String),
    AnythingBut(Vec<Value>),
    AnythingButPrefix(String),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {path}: {reason}")]
pub struct PatternError {
    /// JSON pointer into the pattern.
    pub path: String,
    /// What is not supported or not valid.
    pub reason: String,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(pattern: &Value) -> Result<Self, PatternError> {
        let Value::Object(object) = pattern else { return refuse("", "a pattern is an object") };
        Self::object(object, "")
    }

    fn object(object: &Map<String, Value>, path: &str) -> Result<Self, PatternError> {
        if object.is_empty() {
            return refuse(path, "an empty object matches nothing that EventBridge accepts");
        }
        let mut fields = Vec::with_capacity(object.len());
        for (name, value) in object {
            let path = format!("{path}/{name}");
            if name.starts_with('$') {
                return refuse(&path, &format!("{name} is not supported here"));
            }
            let node = match value {
                Value::Object(object) => Node::Object(Self::object(object, &path)?),
                Value::Array(alternatives) if !alternatives.is_empty() => {
                    let matchers = alternatives.iter().enumerate();
                    let matchers =
                        matchers.map(|(at, alternative)| matcher(alternative, &format!("{path}/{at}")));
                    Node::AnyOf(matchers.collect::<Result<_, _>>()?)
                }
                _ => return refuse(&path, "a leaf is a non-empty array of alternatives"),
            };
            fields.push((name.clone(), node));
        }
        Ok(Self(fields))
    }

    /// Whether the event matches.
    pub(crate) fn matches(&self, event: &Value) -> bool {
        self.0.iter().all(|(name, node)| match (node, event.get(name)) {
            (Node::Object(pattern), Some(Value::Array(elements))) => {
                elements.iter().any(|element| pattern.matches(element))
            }
            (Node::Object(pattern), value) => pattern.matches(value.unwrap_or(&Value::Null)),
            (Node::AnyOf(matchers), value) => matchers.iter().any(|matcher| matcher.matches(value)),
        })
    }
}

impl Matcher {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // Only a leaf exists, not an object.
            (Self::Exists(wanted), value) => value.is_some_and(|value| !value.is_object()) == *wanted,
            (_, None) => false,
            (_, Some(Value::Array(elements))) => elements.iter().any(|element| self.matches_one(element)),
            (_, Some(value)) => self.matches_one(value),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        let text = |test: &dyn Fn(&str) -> bool| value.as_str().is_some_and(test);
        match self {
            Self::Exactly(wanted) => equal(wanted, value),
            Self::Prefix(prefix) => text(&|it| it.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text(&|it| it.ends_with(suffix.as_str())),
            Self::EqualsIgnoreCase(wanted) => text(&|it| it.to_lowercase() == wanted.to_lowercase()),
            Self::AnythingBut(unwanted) => !value.is_object() && !unwanted.iter().any(|it| equal(it, value)),
            Self::AnythingButPrefix(prefix) => text(&|it| !it.starts_with(prefix.as_str())),
            Self::Numeric(bounds) => value.as_f64().is_some_and(|number| {
                bounds.iter().all(|(comparison, bound)| comparison.holds(number, *bound))
            }),
            Self::Exists(wanted) => *wanted,
        }
    }
}

impl Comparison {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            "=" => Self::Equal,
            ">=" => Self::GreaterOrEqual,
            ">" => Self::Greater,
            _ => return None,
        })
    }

    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Equal => number == bound,
            Self::GreaterOrEqual => number >= bound,
            Self::Greater => number > bound,
        }
    }
}

/// Numbers are compared by value (300 and 300.0 are equal), as in EventBridge.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn matcher(alternative: &Value, path: &str) -> Result<Matcher, PatternError> {
    let Value::Object(object) = alternative else {
        if alternative.is_array() {
            return refuse(path, "an alternative cannot be an array");
        }
        return Ok(Matcher::Exactly(alternative.clone()));
    };
    let mut members = object.iter();
    let (Some((name, operand)), None) = (members.next(), members.next()) else {
        return refuse(path, "an alternative that is an object has exactly one member");
    };
    let path = format!("{path}/{name}");
    let text = |make: fn(String) -> Matcher| match operand.as_str() {
        Some(text) if !text.is_empty() => Ok(make(text.to_owned())),
        _ => refuse(&path, &format!("{name} takes a non-empty string")),
    };
    match name.as_str() {
        "prefix" => text(Matcher::Prefix),
        "suffix" => text(Matcher::Suffix),
        "equals-ignore-case" => text(Matcher::EqualsIgnoreCase),
        "exists" => match operand.as_bool() {
            Some(wanted) => Ok(Matcher::Exists(wanted)),
            None => refuse(&path, "exists takes true or false"),
        },
        "anything-but" => anything_but(operand, &path),
        "numeric" => numeric(operand, &path),
        _ => refuse(&path, &format!("{name} is not supported here")),
    }
}

fn anything_but(operand: &Value, path: &str) -> Result<Matcher, PatternError> {
    let scalar = |value: &Value| value.is_string() || value.is_number();
    match operand {
        Value::Array(values) if !values.is_empty() && values.iter().all(scalar) => {
            Ok(Matcher::AnythingBut(values.clone()))
        }
        Value::Object(object) => match (object.len(), object.get("prefix").and_then(Value::as_str)) {
            (1, Some(prefix)) if !prefix.is_empty() => Ok(Matcher::AnythingButPrefix(prefix.to_owned())),
            _ => refuse(path, "anything-but takes a string, a number, a list of them, or {\"prefix\": …}"),
        },
        value if scalar(value) => Ok(Matcher::AnythingBut(vec![value.clone()])),
        _ => refuse(path, "anything-but takes a string, a number, a list of them, or {\"prefix\": …}"),
    }
}

fn numeric(operand: &Value, path: &str) -> Result<Matcher, PatternError> {
    let wrong = || refuse(path, "numeric takes [comparison, number] once or twice");
    let Some(parts) = operand.as_array() else { return wrong() };
    if !matches!(parts.len(), 2 | 4) {
        return wrong();
    }
    let mut bounds = Vec::new();
    for pair in parts.chunks(2) {
        match (pair[0].as_str().and_then(Comparison::parse), pair[1].as_f64()) {
            (Some(comparison), Some(bound)) => bounds.push((comparison, bound)),
            _ => return wrong(),
        }
    }
    Ok(Matcher::Numeric(bounds))
}

fn refuse<T>(path: &str, reason: &str) -> Result<T, PatternError> {
    let path = if path.is_empty() { "/" } else { path };
    Err(PatternError { path: path.to_owned(), reason: reason.to_owned() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({"source": "sluice", "detail-type": "ingest.accepted", "resources": ["a", "b"],
               "detail": {"vendorId": "vendorA", "amount": 12.5, "count": 3, "flag": true, "none": null, "empty": "",
                          "nested": {"x": 1}, "items": [{"sku": "A"}, {"sku": "B"}]}})
    }

    #[test]
    fn the_documented_alternatives_match_as_documented() {
        let cases = [
            (json!({"source": ["sluice"]}), true),
            (json!({"source": ["other", "sluice"], "detail-type": ["ingest.accepted"]}), true),
            (json!({"source": ["sluice"], "detail-type": ["event.normalized"]}), false),
            (json!({"resources": ["b"]}), true),
            (json!({"resources": ["c"]}), false),
            (json!({"detail": {"vendorId": [{"prefix": "vendor"}]}}), true),
            (json!({"detail": {"vendorId": [{"prefix": "Vendor"}]}}), false),
            (json!({"detail": {"vendorId": [{"suffix": "A"}]}}), true),
            (json!({"detail": {"vendorId": [{"equals-ignore-case": "VENDORa"}]}}), true),
            (json!({"detail": {"vendorId": [{"anything-but": "vendorA"}]}}), false),
            (json!({"detail": {"vendorId": [{"anything-but": ["vendorB", "vendorC"]}]}}), true),
            (json!({"detail": {"vendorId": [{"anything-but": {"prefix": "vend"}}]}}), false),
            (json!({"detail": {"absent": [{"anything-but": "x"}]}}), false),
            (json!({"detail": {"amount": [{"numeric": [">", 10, "<=", 12.5]}]}}), true),
            (json!({"detail": {"amount": [{"numeric": ["<", 10]}]}}), false),
            (json!({"detail": {"vendorId": [{"numeric": [">", 0]}]}}), false),
            (json!({"detail": {"count": [3.0]}}), true),
            (json!({"detail": {"flag": [true]}}), true),
            (json!({"detail": {"none": [null]}}), true),
            (json!({"detail": {"empty": [""]}}), true),
            (json!({"detail": {"absent": [null]}}), false),
            (json!({"detail": {"vendorId": [{"exists": true}]}}), true),
            (json!({"detail": {"absent": [{"exists": false}]}}), true),
            (json!({"detail": {"vendorId": [{"exists": false}]}}), false),
            (json!({"absent": {"deeper": [{"exists": false}]}}), true),
            (json!({"detail": {"nested": {"x": [1]}}}), true),
            (json!({"detail": {"nested": [{"exists": true}]}}), false),
            (json!({"detail": {"items": {"sku": ["B"]}}}), true),
        ];
        for (pattern, expected) in cases {
            assert_eq!(Pattern::parse(&pattern).unwrap().matches(&event()), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_place() {
        let cases = [
            (json!({"source": [{"wildcard": "s*"}]}), "/source/0/wildcard"),
            (json!({"detail": {"ip": [{"cidr": "10.0.0.0/8"}]}}), "/detail/ip/0/cidr"),
            (json!({"$or": [{"source": ["a"]}]}), "/$or"),
            (json!({"source": "sluice"}), "/source"),
            (json!({"source": []}), "/source"),
            (json!({}), "/"),
            (json!([]), "/"),
            (json!({"source": [{"prefix": "a", "suffix": "b"}]}), "/source/0"),
            (json!({"detail": {"n": [{"numeric": ["~", 1]}]}}), "/detail/n/0/numeric"),
            (json!({"detail": {"n": [{"exists": "yes"}]}}), "/detail/n/0/exists"),
        ];
        for (pattern, path) in cases {
            assert_eq!(Pattern::parse(&pattern).unwrap_err().path, path, "{pattern}");
        }
    }
}

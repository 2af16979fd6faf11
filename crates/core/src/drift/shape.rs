//! What a JSON Schema says about paths: which it names, which it requires, of which types. An approximation: combinations and
//! conditions are read as far as they name things, and nothing that is in doubt counts as required or forbidden.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{PATH_DEPTH_MAX, Type};
use crate::json::push_pointer;

/// Most places of a schema that are read: references can make a small schema large.
const STEPS_MAX: usize = 5_000;

/// What a schema says about one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its types; `None`: any.
    pub types: Option<BTreeSet<Type>>,
    /// It must be there whenever its object is.
    pub required: bool,
    /// No other members than the named ones are allowed in it.
    closed: bool,
}

/// A schema, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(BTreeMap<String, Declared>);

impl Shape {
    /// Reads a schema; what is no object says nothing.
    pub fn read(schema: &Value) -> Self {
        let mut reader = Reader { root: schema, shape: Self::default(), steps: 0 };
        reader.read(schema, &mut String::new(), 0, false, true);
        reader.shape
    }

    /// What is said about a path; `None`: it is not named.
    pub fn get(&self, path: &str) -> Option<&Declared> {
        self.0.get(path)
    }

    /// Every path that is named.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Declared)> {
        self.0.iter().map(|(path, declared)| (path.as_str(), declared))
    }

    /// Whether members that the schema does not name are refused at a path.
    pub fn closed(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|declared| declared.closed)
    }
}

struct Reader<'a> {
    root: &'a Value,
    shape: Shape,
    steps: usize,
}

impl<'a> Reader<'a> {
    /// `certain`: what is said here holds for every message, rather than for one of several alternatives.
    fn read(&mut self, schema: &'a Value, path: &mut String, depth: usize, required: bool, certain: bool) {
        self.steps += 1;
        if self.steps > STEPS_MAX || depth > PATH_DEPTH_MAX {
            return;
        }
        let declared = self.shape.0.entry(path.clone()).or_default();
        declared.required |= required;
        let Value::Object(members) = schema else { return };
        if let Some(types) = types(members) {
            match &mut declared.types {
                Some(known) => known.extend(types),
                None => declared.types = Some(types),
            }
        }
        declared.closed |= certain && members.get("additionalProperties") == Some(&Value::Bool(false));
        if let Some(target) =
            members.get("$ref").and_then(Value::as_str).and_then(|target| self.resolve(target))
        {
            self.read(target, path, depth + 1, required, certain);
        }
        for (keyword, certain) in [("allOf", certain), ("anyOf", false), ("oneOf", false)] {
            for schema in members.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.read(schema, path, depth + 1, required, certain);
            }
        }
        let names = members.get("required").and_then(Value::as_array).into_iter().flatten();
        let names: BTreeSet<&str> = names.filter_map(Value::as_str).collect();
        let length = path.len();
        for (name, schema) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
            push_pointer(path, name);
            self.read(schema, path, depth + 1, certain && names.contains(name.as_str()), certain);
            path.truncate(length);
        }
        // Required without being described.
        for name in names {
            push_pointer(path, name);
            self.shape.0.entry(path.clone()).or_default().required |= certain;
            path.truncate(length);
        }
        if let Some(items) = members.get("items").filter(|items| items.is_object()) {
            path.push_str("/*");
            self.read(items, path, depth + 1, false, certain);
            path.truncate(length);
        }
    }

    fn resolve(&self, target: &str) -> Option<&'a Value> {
        self.root.pointer(target.strip_prefix('#')?)
    }
}

fn types(members: &serde_json::Map<String, Value>) -> Option<BTreeSet<Type>> {
    let named = |name: &str| {
        Some(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::String,
            "array" => Type::Array,
            "object" => Type::Object,
            _ => return None,
        })
    };
    match members.get("type") {
        Some(Value::String(one)) => Some(named(one).into_iter().collect()),
        Some(Value::Array(many)) => Some(many.iter().filter_map(Value::as_str).filter_map(named).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_schema_names_requires_and_types() {
        let schema = json!({
            "type": "object", "required": ["id", "lines", "bare"], "additionalProperties": false,
            "properties": {
                "id": {"type": "integer"},
                "note": {"type": ["string", "null"]},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
                "either": {"anyOf": [{"required": ["x"], "properties": {"x": {"type": "string"}}}, {"type": "null"}]}
            },
            "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "next": {"$ref": "#/$defs/line"}}}}
        });
        let shape = Shape::read(&schema);
        let said = |path: &str| {
            shape
                .get(path)
                .map(|it| (it.required, it.types.clone().map(|types| types.into_iter().collect::<Vec<_>>())))
        };
        assert_eq!(said("/id"), Some((true, Some(vec![Type::Integer]))));
        assert_eq!(said("/note"), Some((false, Some(vec![Type::Null, Type::String]))));
        assert_eq!(said("/lines/*/sku"), Some((true, Some(vec![Type::String]))));
        assert_eq!(said("/bare"), Some((true, None)));
        assert_eq!(
            said("/either/x"),
            Some((false, Some(vec![Type::String]))),
            "required in one alternative only"
        );
        assert_eq!(said("/other"), None);
        assert!(shape.closed("") && !shape.closed("/lines/*"));
        assert!(said("/lines/*/next/next/sku").is_some(), "a schema that refers to itself ends");
        assert_eq!(Shape::read(&json!(true)).iter().count(), 1);
    }
}

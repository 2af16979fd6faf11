//! The members that a JSON Schema names, so that one can say which of them no message has.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice_core::json::push_pointer;

/// Deepest that a schema is followed, which also ends one that refers to itself.
const DEPTH_MAX: usize = 16;
/// Most members that are read of one schema.
const MEMBERS_MAX: usize = 5_000;

/// The members that hold no others, by name (`*` for the items of a list), with the texts that their `enum` or `const` allows.
pub fn members(schema: &Value) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    walk(schema, schema, &mut String::new(), 0, &mut found);
    found.remove("");
    // What is a list or an object by one way of the schema has members by it.
    let names: Vec<String> = found.keys().cloned().collect();
    found.retain(|name, _| {
        let below = format!("{name}/");
        let next = names.partition_point(|other| other.as_str() < below.as_str());
        !names.get(next).is_some_and(|other| other.starts_with(&below))
    });
    found
}

fn walk(
    whole: &Value,
    schema: &Value,
    path: &mut String,
    depth: usize,
    found: &mut BTreeMap<String, Vec<String>>,
) {
    if depth > DEPTH_MAX || found.len() >= MEMBERS_MAX {
        return;
    }
    let length = path.len();
    let Some(schema) = schema.as_object() else { return };
    let own = found.entry(path.clone()).or_default();
    let listed =
        schema.get("enum").and_then(Value::as_array).into_iter().flatten().chain(schema.get("const"));
    for value in listed.filter_map(Value::as_str) {
        if !own.iter().any(|known| known == value) {
            own.push(value.to_owned());
        }
    }
    if let Some(to) = schema.get("$ref").and_then(Value::as_str)
        && let Some(referred) = to.strip_prefix('#').and_then(|pointer| whole.pointer(pointer))
    {
        walk(whole, referred, path, depth + 1, found);
    }
    for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        push_pointer(path, name);
        // A member that is forbidden is none.
        if *member != Value::Bool(false) {
            found.entry(path.clone()).or_default();
            walk(whole, member, path, depth + 1, found);
        }
        path.truncate(length);
    }
    if let Some(items) = schema.get("items") {
        path.push_str("/*");
        walk(whole, items, path, depth + 1, found);
        path.truncate(length);
    }
    for ways in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        for way in schema.get(ways).and_then(Value::as_array).into_iter().flatten() {
            if ways == "prefixItems" {
                path.push_str("/*");
            }
            walk(whole, way, path, depth + 1, found);
            path.truncate(length);
        }
    }
    for way in ["then", "else"] {
        if let Some(way) = schema.get(way) {
            walk(whole, way, path, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_named_through_lists_ways_and_references() {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
                "status": {"anyOf": [{"enum": ["a", "b", 1]}, {"const": "c"}]},
                "self": {"$ref": "#"},
                "none": false
            },
            "$defs": {"line": {"properties": {"sku": true, "qty": {"type": "integer"}}}}
        });
        let found = members(&schema);
        let names: Vec<&str> =
            found.keys().map(String::as_str).filter(|name| !name.contains("self")).collect();
        assert_eq!(names, ["/id", "/lines/*/qty", "/lines/*/sku", "/status"]);
        assert_eq!(found["/status"], ["a", "b", "c"]);
    }
}

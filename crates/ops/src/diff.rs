//! What differs between two JSON values, member by member.
//!
//! Items of arrays are compared by position: canonical events have no keys to match them by, and
//! what moved did change.

use serde::Serialize;
use serde_json::Value;
use sluice_core::json::push_pointer;

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It has another value.
    Changed,
}

/// One member that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// JSON pointer.
    pub pointer: String,
    /// What became of it.
    pub change: Change,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Every member that differs, in the order of the documents. Equal documents have none.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(before, after, &mut String::new(), &mut found);
    found
}

fn walk(before: &Value, after: &Value, path: &mut String, found: &mut Vec<Difference>) {
    let length = path.len();
    let one = |path: &str, change, before: Option<&Value>, after: Option<&Value>| Difference {
        pointer: path.to_owned(),
        change,
        before: before.cloned(),
        after: after.cloned(),
    };
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                push_pointer(path, key);
                match new.get(key) {
                    Some(other) => walk(value, other, path, found),
                    None => found.push(one(path, Change::Removed, Some(value), None)),
                }
                path.truncate(length);
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                push_pointer(path, key);
                found.push(one(path, Change::Added, None, Some(value)));
                path.truncate(length);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                push_pointer(path, &index.to_string());
                match (old.get(index), new.get(index)) {
                    (Some(value), Some(other)) => walk(value, other, path, found),
                    (value @ Some(_), None) => found.push(one(path, Change::Removed, value, None)),
                    (None, value @ Some(_)) => found.push(one(path, Change::Added, None, value)),
                    (None, None) => {}
                }
                path.truncate(length);
            }
        }
        _ if before == after => {}
        _ => found.push(one(path, Change::Changed, Some(before), Some(after))),
    }
}

/// A pointer with its array positions as `*`, so that the same member of every item is one thing.
pub fn folded(pointer: &str) -> String {
    let tokens: Vec<&str> =
        pointer
            .split('/')
            .map(|token| {
                if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) { "*" } else { token }
            })
            .collect();
    tokens.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_member_that_differs_has_its_pointer() {
        let before = json!([{"a": 1, "b": {"c/d": "x"}, "gone": null, "lines": [1, 2]}]);
        let after = json!([{"a": 2, "b": {"c/d": "x"}, "new": [], "lines": [1]}]);
        let found: Vec<(String, Change)> =
            differences(&before, &after).into_iter().map(|one| (one.pointer, one.change)).collect();
        assert_eq!(
            found,
            [
                ("/0/a".to_owned(), Change::Changed),
                ("/0/gone".to_owned(), Change::Removed),
                ("/0/lines/1".to_owned(), Change::Removed),
                ("/0/new".to_owned(), Change::Added),
            ]
        );
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn another_type_is_one_difference() {
        let found = differences(&json!({"a": [1, 2, 3]}), &json!({"a": {"b": 1}}));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].pointer, "/a");
    }

    #[test]
    fn positions_fold_and_names_do_not() {
        assert_eq!(folded("/0/lines/12/sku2"), "/*/lines/*/sku2");
        assert_eq!(folded(""), "");
    }
}

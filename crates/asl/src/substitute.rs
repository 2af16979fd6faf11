//! `${Name}` placeholders in a definition file, as CDK's `definitionSubstitutions` and CloudFormation's
//! `DefinitionSubstitutions` replace them (AWS::StepFunctions::StateMachine).
//!
//! A name is one or more of `A-Z a-z 0-9 _ . -`, as CloudFormation allows. Values are escaped for the JSON string that the placeholder stands in.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

/// A template and its values do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubstitutionError {
    /// Placeholders that no value was given for.
    #[error("no value for placeholder {}", list(.0))]
    Missing(BTreeSet<String>),
    /// Values that no placeholder asks for.
    #[error("no placeholder for value {}", list(.0))]
    Unused(BTreeSet<String>),
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("${{{name}}}")).collect::<Vec<_>>().join(", ")
}

/// The byte range of the next placeholder at or after `from`, and its name.
fn next(template: &str, from: usize) -> Option<(std::ops::Range<usize>, &str)> {
    let mut at = from;
    while let Some(found) = template[at..].find("${") {
        let begin = at + found;
        let name = template[begin + 2..]
            .split(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)))
            .next()
            .unwrap_or("");
        let end = begin + 2 + name.len();
        if !name.is_empty() && template[end..].starts_with('}') {
            return Some((begin..end + 1, name));
        }
        at = begin + 2;
    }
    None
}

/// The names of all placeholders in `template`.
#[must_use]
pub fn placeholders(template: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut at = 0;
    while let Some((range, name)) = next(template, at) {
        names.insert(name.to_owned());
        at = range.end;
    }
    names
}

/// Replaces every placeholder by its value. A value is not searched for placeholders again.
///
/// # Errors
/// When a placeholder has no value, or a value has no placeholder.
pub fn substitute(template: &str, values: &BTreeMap<String, String>) -> Result<String, SubstitutionError> {
    let wanted = placeholders(template);
    let given: BTreeSet<String> = values.keys().cloned().collect();
    if wanted.difference(&given).next().is_some() {
        return Err(SubstitutionError::Missing(wanted.difference(&given).cloned().collect()));
    }
    if given.difference(&wanted).next().is_some() {
        return Err(SubstitutionError::Unused(given.difference(&wanted).cloned().collect()));
    }
    let mut out = String::with_capacity(template.len());
    let mut at = 0;
    while let Some((range, name)) = next(template, at) {
        out.push_str(&template[at..range.start]);
        let quoted = serde_json::Value::String(values[name].clone()).to_string();
        out.push_str(&quoted[1..quoted.len() - 1]);
        at = range.end;
    }
    out.push_str(&template[at..]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn replaces_every_occurrence_once() {
        let out = substitute(r#"{"a": "${A}", "b": "x${A}${B}y"}"#, &values(&[("A", "${B}"), ("B", "\"\\")]))
            .unwrap();
        assert_eq!(out, r#"{"a": "${B}", "b": "x${B}\"\\y"}"#);
        let parsed: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(parsed["b"], "x${B}\"\\y");
    }

    #[test]
    fn leaves_what_is_no_placeholder() {
        let template = "$ {A} ${} ${A B} ${A ${é} $${";
        assert_eq!(placeholders(template), BTreeSet::new());
        assert_eq!(substitute(template, &values(&[])).unwrap(), template);
        assert_eq!(placeholders("${${Inner}}").into_iter().collect::<Vec<_>>(), ["Inner"]);
    }

    #[test]
    fn names_what_is_missing_or_unused() {
        let missing = substitute("${B} ${A}", &values(&[])).unwrap_err();
        assert_eq!(missing.to_string(), "no value for placeholder ${A}, ${B}");
        let unused = substitute("${A}", &values(&[("A", ""), ("C", "")])).unwrap_err();
        assert_eq!(unused.to_string(), "no placeholder for value ${C}");
    }
}

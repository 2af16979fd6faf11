//! Which members of an event come from which places of the vendor's message, observed: one value of a fixture is changed at a time, the
//! mapper runs again, and what moves in its output came from there. A lower bound: what no fixture shows is not seen.
//!
//! `SLUICE_LINEAGE=<folder> cargo test` writes `<folder>/<bundle>.json`: the gold by which `cargo xtask bench suggest` judges.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Case;

/// Most values of other fixtures that a place is given.
const VARIANTS_MAX: usize = 6;

/// Most places of one message that are changed.
const PLACES_MAX: usize = 2_000;

/// By canonical member: by place of the message, how often the value was handed on as it is (but for its form), and how often the
/// member moved.
pub type Lineage = BTreeMap<String, BTreeMap<String, (usize, usize)>>;

/// What the fixtures of a bundle show.
pub fn observe(cases: &[Case], run: impl Fn(&[u8], &[u8]) -> Result<Vec<u8>, Vec<u8>>) -> Lineage {
    let messages: Vec<(&Case, Message)> =
        cases.iter().filter_map(|case| Some((case, Message::read(&case.payload)?))).collect();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, message) in &messages {
        for (place, value) in message.leaves() {
            seen.entry(general(&place)).or_default().insert(value.to_string());
        }
    }
    let mut lineage = Lineage::new();
    for (case, message) in &messages {
        let Ok(before) = run(&case.meta, &message.written()) else { continue };
        let before = outputs(&before);
        for (place, value) in message.leaves().into_iter().take(PLACES_MAX) {
            let from = general(&place);
            let known = seen.get(&from).into_iter().flatten().take(VARIANTS_MAX);
            let known = known.filter_map(|text| serde_json::from_str(text).ok());
            for variant in variants(&value).into_iter().chain(known).filter(|variant| *variant != value) {
                let Ok(after) = run(&case.meta, &message.with(&place, variant.clone()).written()) else {
                    continue;
                };
                let after = outputs(&after);
                for (member, was) in &before {
                    let Some(is) = after.get(member).filter(|is| *is != was) else { continue };
                    let direct = same(&value, was) && same(&variant, is);
                    let moved = lineage.entry(general(member)).or_default().entry(from.clone()).or_default();
                    *moved = (moved.0 + usize::from(direct), moved.1 + 1);
                }
            }
        }
    }
    lineage
}

/// The lineage as JSON.
pub fn written(lineage: &Lineage) -> Value {
    let members = lineage.iter().map(|(member, places)| {
        let places = places.iter().map(|(from, (direct, moved))| json!([from, direct, moved])).collect();
        (member.clone(), Value::Array(places))
    });
    Value::Object(members.collect())
}

/// A place, every item of an array alike.
fn general(place: &str) -> String {
    let parts = place.split('/').map(|part| if part.parse::<usize>().is_ok() { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// A message that is changed in one place: JSON, or the lines of a file with columns.
#[derive(Clone)]
enum Message {
    Json(Value),
    Csv(Vec<Vec<String>>, char),
}

impl Message {
    fn read(payload: &[u8]) -> Option<Self> {
        if let Ok(value) = serde_json::from_slice(payload) {
            return Some(Self::Json(value));
        }
        let text = std::str::from_utf8(payload).ok()?;
        if text.starts_with("ISA") || text.contains('"') {
            return None;
        }
        let header = text.lines().next()?;
        let separator = [';', '\t', '|', ','].into_iter().find(|mark| header.contains(*mark))?;
        let cells = |line: &str| line.split(separator).map(str::to_owned).collect();
        Some(Self::Csv(text.lines().map(cells).collect(), separator))
    }

    fn leaves(&self) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        match self {
            Self::Json(value) => walk(value, &mut String::new(), &mut found),
            Self::Csv(lines, _) => {
                // The first lines show as much as all of them.
                for (at, line) in lines.iter().enumerate().skip(1).take(20) {
                    for (cell, name) in line.iter().zip(&lines[0]) {
                        found.push((format!("/{}/{name}", at - 1), json!(cell)));
                    }
                }
            }
        }
        found
    }

    fn with(&self, place: &str, value: Value) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            Self::Json(message) => {
                if let Some(there) = message.pointer_mut(place) {
                    *there = value;
                }
            }
            Self::Csv(lines, _) => {
                let (at, name) = place[1..].split_once('/').unwrap_or_default();
                let column = lines[0].iter().position(|column| column == name);
                if let (Ok(at), Some(column), Value::String(text)) = (at.parse::<usize>(), column, value) {
                    lines[at + 1][column] = text;
                }
            }
        }
        changed
    }

    fn written(&self) -> Vec<u8> {
        match self {
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Csv(lines, separator) => {
                let lines = lines.iter().map(|line| line.join(&separator.to_string()) + "\n");
                lines.collect::<String>().into_bytes()
            }
        }
    }
}

fn walk(value: &Value, place: &mut String, found: &mut Vec<(String, Value)>) {
    let length = place.len();
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                place.push('/');
                place.push_str(&name.replace('~', "~0").replace('/', "~1"));
                walk(inner, place, found);
                place.truncate(length);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                place.push_str(&format!("/{at}"));
                walk(inner, place, found);
                place.truncate(length);
            }
        }
        Value::Null => {}
        other => found.push((place.clone(), other.clone())),
    }
}

/// The leaves of the events, by their place below the event.
fn outputs(bytes: &[u8]) -> BTreeMap<String, Value> {
    let events: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let mut found = Vec::new();
    for (at, event) in events.as_array().into_iter().flatten().enumerate() {
        walk(&event["data"], &mut format!("/{at}"), &mut found);
        found.push((format!("/{at}/occurredAt"), event["occurredAt"].clone()));
    }
    found.into_iter().collect()
}

/// Other values of the same form.
fn variants(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => {
            let text = number.to_string();
            let other = turned(&text);
            serde_json::from_str(&other).ok().into_iter().collect()
        }
        Value::String(text) => {
            let mut variants = vec![json!(turned(text)), json!(format!("{text}x"))];
            let codes = ["EUR", "JPY", "USD"].iter().filter(|_| text.len() == 3).map(|code| json!(code));
            variants.extend(codes);
            variants
        }
        Value::Null | Value::Array(_) | Value::Object(_) => Vec::new(),
    }
}

/// The last digit that is not of a fraction of zeros is another.
fn turned(text: &str) -> String {
    let end =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').len() } else { text.len() };
    let Some(at) = text[..end].rfind(|character: char| character.is_ascii_digit()) else {
        return text.to_owned();
    };
    let digit = text.as_bytes()[at];
    let other = if digit == b'9' { '8' } else { char::from(digit + 1) };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// Whether two values say the same in another form: trimmed, the digits alone of numbers, a moment by its minutes.
fn same(input: &Value, output: &Value) -> bool {
    let plain = |value: &Value| match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let (one, other) = (plain(input), plain(output));
    let digits = |text: &str| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        digits.trim_matches('0').to_owned()
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b".,-+ '".contains(&byte));
    let time = |text: &str| text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[13] == b':';
    one == other
        || (number(&one) && number(&other) && digits(&one) == digits(&other))
        || (time(&one) && time(&other) && one[14..19] == other[14..19])
}

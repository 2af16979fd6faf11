//! The changes that are made to a member: another value of the same class, none at all, and a value of another type.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::limits::VALUES_TRIED_MAX;
use crate::place::{Kind, Place};

/// What was done to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It got another value that is like its own: a number a number, a date a date, a GTIN a GTIN.
    Value,
    /// It was left out; of CSV and X12: emptied, and of a column taken from every line.
    Absent,
    /// It got a value of another type.
    Type,
}

/// What stands where instead.
pub(crate) type Edits = Vec<(Range<usize>, String)>;

/// Bytes with other text in some places; nothing if the places are not in order.
pub(crate) fn spliced(bytes: &[u8], edits: &Edits) -> Option<Vec<u8>> {
    let mut made = Vec::with_capacity(bytes.len() + 16);
    let mut from = 0;
    for (place, text) in edits {
        made.extend_from_slice(bytes.get(from..place.start)?);
        made.extend_from_slice(text.as_bytes());
        from = place.end;
    }
    made.extend_from_slice(bytes.get(from..)?);
    Some(made)
}

/// How it is left out.
pub(crate) fn cut(place: &Place) -> Edits {
    let gone = |cut: &Range<usize>| match place.kind {
        Kind::Fixed => " ".repeat(cut.len()),
        _ => String::new(),
    };
    place.cuts.iter().map(|cut| (cut.clone(), gone(cut))).collect()
}

/// How it gets another value: in this order until one has an effect. `known` are values that the schema allows there.
pub(crate) fn values(place: &Place, known: &[String]) -> Vec<Edits> {
    let texts: Vec<String> = match place.kind {
        Kind::Text => {
            let mut texts: Vec<String> = known.iter().filter(|one| **one != place.text).cloned().collect();
            texts.truncate(2);
            texts.extend(others(&place.text));
            texts.iter().map(|text| serde_json::Value::from(text.as_str()).to_string()).collect()
        }
        Kind::Number => numbers(&place.text),
        Kind::Bool => vec![if place.text == "true" { "false" } else { "true" }.to_owned()],
        Kind::Cell => others(&place.text),
        Kind::Element | Kind::Fixed => {
            let same_length = |text: &String| text.len() == place.value.len();
            others(&place.text).into_iter().filter(same_length).collect()
        }
        Kind::Null | Kind::Whole | Kind::Column => Vec::new(),
    };
    texts.into_iter().take(VALUES_TRIED_MAX).map(|text| vec![(place.value.clone(), text)]).collect()
}

/// How it gets another type.
pub(crate) fn type_of(place: &Place) -> Option<Edits> {
    let text = match place.kind {
        // A text that is a number becomes that number, which is what vendors change without notice.
        Kind::Text if is_number(&place.text) => place.text.clone(),
        Kind::Text => "7".to_owned(),
        Kind::Number | Kind::Bool => format!("\"{}\"", place.text),
        Kind::Null => "\"x\"".to_owned(),
        Kind::Cell | Kind::Element | Kind::Fixed if place.text.bytes().any(|byte| byte.is_ascii_digit()) => {
            "x".repeat(place.value.len())
        }
        Kind::Cell | Kind::Element | Kind::Fixed => "7".repeat(place.value.len()),
        Kind::Whole | Kind::Column => return None,
    };
    Some(vec![(place.value.clone(), text)])
}

/// Whether a text is a number as JSON writes it.
fn is_number(text: &str) -> bool {
    matches!(serde_json::from_str::<serde_json::Value>(text), Ok(serde_json::Value::Number(_)))
}

fn push(list: &mut Vec<String>, text: &str, other: Option<String>) {
    if let Some(other) = other.filter(|other| other != text && !list.contains(other)) {
        list.push(other);
    }
}

/// Other numbers with the same sign, length and decimals.
fn numbers(token: &str) -> Vec<String> {
    let mut list = Vec::new();
    let digits: Vec<usize> = token
        .bytes()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_digit())
        .map(|(at, _)| at)
        .collect();
    if let (Some(last), Some(first)) = (digits.last(), digits.first()) {
        push(&mut list, token, Some(turned(token, *last)));
        // Smaller decimals may be rounded away.
        let whole = digits.iter().rfind(|at| token.find('.').is_none_or(|dot| **at < dot)).unwrap_or(first);
        push(&mut list, token, Some(turned(token, *whole)));
        push(&mut list, token, Some(turned(token, *first)));
    }
    list.retain(|other| is_number(other));
    list
}

/// Other texts like this one, the likeliest to be taken first.
pub(crate) fn others(text: &str) -> Vec<String> {
    let mut list = Vec::new();
    push(&mut list, text, date(text));
    push(&mut list, text, gtin(text));
    push(&mut list, text, code(text));
    if is_number(text) {
        numbers(text).into_iter().for_each(|other| push(&mut list, text, Some(other)));
        return list;
    }
    let alphanumeric = |(_, one): &(usize, char)| one.is_ascii_alphanumeric();
    let last = text.char_indices().rev().find(alphanumeric).map(|(at, _)| turned(text, at));
    let first = text.char_indices().find(alphanumeric).map(|(at, _)| turned(text, at));
    push(&mut list, text, last);
    push(&mut list, text, first);
    if list.is_empty() {
        list.push(format!("{text}x"));
    }
    list
}

/// The text with another letter or digit at a place: the next of its kind.
fn turned(text: &str, at: usize) -> String {
    let other = match text.as_bytes().get(at) {
        Some(b'9') => '8',
        Some(b'z') => 'y',
        Some(b'Z') => 'Y',
        Some(one) if one.is_ascii_alphanumeric() => char::from(one + 1),
        _ => return text.to_owned(),
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// Another day of the same month, in `2026-11-21…` and `20261121`.
fn date(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape: String =
        bytes.iter().map(|one| if one.is_ascii_digit() { '0' } else { char::from(*one) }).collect();
    let at = match () {
        () if shape.starts_with("0000-00-00") => 8,
        () if shape == "00000000" && matches!(text.get(..2), Some("19" | "20")) => 6,
        () => return None,
    };
    let month: u8 = text.get(at - if at == 8 { 3 } else { 2 }..)?.get(..2)?.parse().ok()?;
    let day: u8 = text.get(at..at + 2)?.parse().ok()?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let other = if day < 28 { day + 1 } else { day - 1 };
    Some(format!("{}{other:02}{}", &text[..at], &text[at + 2..]))
}

/// Another GTIN of the same length, with its check digit.
fn gtin(text: &str) -> Option<String> {
    let digits: Vec<u32> = text.chars().map(|one| one.to_digit(10)).collect::<Option<_>>()?;
    let (check, body) = digits.split_last()?;
    let of = |body: &[u32]| {
        let sum: u32 =
            body.iter().rev().enumerate().map(|(at, digit)| digit * if at % 2 == 0 { 3 } else { 1 }).sum();
        (10 - sum % 10) % 10
    };
    if !matches!(digits.len(), 8 | 12 | 13 | 14) || of(body) != *check {
        return None;
    }
    let mut body = body.to_vec();
    let last = body.last_mut()?;
    *last = if *last == 9 { 8 } else { *last + 1 };
    let check = of(&body);
    Some(body.iter().chain([&check]).filter_map(|digit| char::from_digit(*digit, 10)).collect())
}

/// Another currency with as many decimals, and another of a few words that often come in pairs.
fn code(text: &str) -> Option<String> {
    const PAIRS: [(&str, &str); 6] =
        [("EUR", "USD"), ("GBP", "EUR"), ("JPY", "KRW"), ("DE", "FR"), ("US", "CA"), ("true", "false")];
    let pair = PAIRS.iter().find_map(|(one, other)| match text {
        _ if text == *one => Some(*other),
        _ if text == *other => Some(*one),
        _ => None,
    });
    pair.map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_value_is_like_the_first() {
        for (text, expected) in [
            ("2026-11-21T10:00:00Z", "2026-11-22T10:00:00Z"),
            ("2026-02-28", "2026-02-27"),
            ("20261131", "20261130"),
            ("4006381333931", "4006381333948"),
            ("12345678", "12345679"),
            ("USD", "EUR"),
            ("19.99", "19.98"),
            ("ABC-001", "ABC-002"),
            ("pending", "pendinh"),
            ("#", "#x"),
        ] {
            assert_eq!(others(text).first().map(String::as_str), Some(expected), "{text}");
        }
        assert_eq!(numbers("12.50"), ["12.51", "13.50", "22.50"]);
        assert_eq!(numbers("-9"), ["-8"]);
        assert_eq!(numbers("1e5"), ["2e5"]);
        assert!(others("Ünï").iter().all(|other| other.chars().count() == 3));
    }
}

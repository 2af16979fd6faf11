//! The places of a vendor's messages that hold values, however deep, and what their values look like.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use sluice_core::json::{Json, push_pointer};
use sluice_formats::date::{Day, Local, Order};

use crate::words::{Bag, THESAURUS};

/// Most values of a place that are kept, over all samples.
pub const VALUES_MAX: usize = 2_000;
/// Most places; a message with more is one whose member names are data.
pub const LEAVES_MAX: usize = 2_000;

/// A value where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Which sample.
    pub sample: usize,
    /// The items of the arrays on the way, from outside.
    pub items: Vec<usize>,
    /// As text; trimmed.
    pub text: String,
    /// As written: in quotes, a number, or true and false.
    pub form: Form,
}

/// How a value is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In quotes.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// A place that holds values.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// JSON pointer, an array's items as `*`.
    pub pointer: String,
    /// Its parts; unescaped, so a member may be called `*`: see `arrays`.
    pub parts: Vec<String>,
    /// Which of the parts are items of an array.
    pub arrays: Vec<bool>,
    /// What was there, blank and null left out.
    pub values: Vec<Value>,
    /// How many samples have a value here.
    pub samples: usize,
    pub(crate) own: Bag,
    pub(crate) around: Bag,
    pub(crate) class: Class,
}

/// What share of the values look like what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Class {
    pub(crate) integer: f64,
    pub(crate) numeric: f64,
    pub(crate) fraction: f64,
    pub(crate) boolean: f64,
    pub(crate) currency: f64,
    pub(crate) country: f64,
    pub(crate) email: f64,
    pub(crate) phone: f64,
    pub(crate) gtin: f64,
    pub(crate) day: f64,
    pub(crate) time: f64,
    pub(crate) url: f64,
    pub(crate) spaces: f64,
    pub(crate) upper_code: f64,
    pub(crate) zero: f64,
    pub(crate) distinct: f64,
    pub(crate) average_chars: f64,
}

impl Leaf {
    /// How many parts lead to the items of the innermost array that it is in; none if it is in no array.
    pub fn item_at(&self) -> usize {
        self.arrays.iter().rposition(|is| *is).map_or(0, |at| at + 1)
    }

    /// The way to the items of the innermost array.
    pub fn list(&self) -> String {
        let mut list = String::new();
        for (part, is) in self.parts.iter().zip(&self.arrays).take(self.item_at()) {
            if *is { list.push_str("/*") } else { push_pointer(&mut list, part) }
        }
        list
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        self.parts.iter().zip(&self.arrays).rfind(|(_, is)| !**is).map_or("", |(part, _)| part)
    }
}

/// Codes of currencies with the digits of their minor unit, and of countries.
pub(crate) struct Codes {
    pub(crate) currencies: BTreeMap<&'static str, usize>,
    countries: BTreeSet<&'static str>,
}

pub(crate) static CODES: LazyLock<Codes> = LazyLock::new(|| {
    let mut codes = Codes { currencies: BTreeMap::new(), countries: BTreeSet::new() };
    let mut countries = false;
    for line in include_str!("../data/codes.txt").lines().filter(|line| !line.starts_with('#')) {
        match line {
            "[currencies]" => countries = false,
            "[countries]" => countries = true,
            line if countries => codes.countries.extend(line.split_whitespace()),
            line => codes.currencies.extend(line.split_whitespace().map(|code| {
                let (code, digits) = code.split_once(':').unwrap_or((code, "2"));
                (code, digits.parse().unwrap_or(2))
            })),
        }
    }
    codes
});

/// Every place of the samples that holds a value, in the order in which they were first seen.
pub fn leaves(samples: &[Json]) -> Vec<Leaf> {
    let mut reader = Reader::default();
    for (sample, message) in samples.iter().enumerate() {
        reader.sample = sample;
        reader.walk(message);
    }
    let mut leaves = reader.found;
    for leaf in &mut leaves {
        leaf.samples = leaf.values.iter().map(|value| value.sample).collect::<BTreeSet<_>>().len();
        leaf.class = Class::of(&leaf.values);
        let names: Vec<&str> = leaf
            .parts
            .iter()
            .zip(&leaf.arrays)
            .filter(|(_, is)| !**is)
            .map(|(part, _)| part.as_str())
            .collect();
        let (own, around) = names.split_last().map_or(("", &[][..]), |(own, around)| (*own, around));
        leaf.own = THESAURUS.bag(own);
        for name in around {
            for word in THESAURUS.bag(name) {
                if !leaf.around.contains(&word) {
                    leaf.around.push(word);
                }
            }
        }
    }
    leaves
}

#[derive(Default)]
struct Reader {
    found: Vec<Leaf>,
    known: BTreeMap<String, usize>,
    sample: usize,
    pointer: String,
    parts: Vec<String>,
    arrays: Vec<bool>,
    items: Vec<usize>,
}

impl Reader {
    fn walk(&mut self, value: &Json) {
        let length = self.pointer.len();
        match value {
            Json::Object(members) => {
                for member in members {
                    push_pointer(&mut self.pointer, &member.key);
                    self.parts.push(member.key.clone());
                    self.arrays.push(false);
                    self.walk(&member.value);
                    self.parts.pop();
                    self.arrays.pop();
                    self.pointer.truncate(length);
                }
            }
            Json::Array(items) => {
                self.pointer.push_str("/*");
                self.parts.push("*".to_owned());
                self.arrays.push(true);
                for (at, item) in items.iter().enumerate() {
                    self.items.push(at);
                    self.walk(item);
                    self.items.pop();
                }
                self.parts.pop();
                self.arrays.pop();
                self.pointer.truncate(length);
            }
            Json::Null => {}
            Json::Bool(is) => self.add(&is.to_string(), Form::Boolean),
            Json::Number(token) => self.add(token, Form::Number),
            Json::String(text) => self.add(text.trim(), Form::Text),
            Json::Broken(text) => self.add(text.shown.trim(), Form::Text),
        }
    }

    fn add(&mut self, text: &str, form: Form) {
        if text.is_empty() {
            return;
        }
        let at = match self.known.get(&self.pointer) {
            Some(at) => *at,
            None if self.found.len() == LEAVES_MAX => return,
            None => {
                self.found.push(Leaf {
                    pointer: self.pointer.clone(),
                    parts: self.parts.clone(),
                    arrays: self.arrays.clone(),
                    values: Vec::new(),
                    samples: 0,
                    own: Bag::new(),
                    around: Bag::new(),
                    class: Class::default(),
                });
                self.known.insert(self.pointer.clone(), self.found.len() - 1);
                self.found.len() - 1
            }
        };
        let values = &mut self.found[at].values;
        if values.len() < VALUES_MAX {
            let items = self.items.clone();
            values.push(Value { sample: self.sample, items, text: text.to_owned(), form });
        }
    }
}

impl Class {
    #[expect(clippy::cast_precision_loss, reason = "shares of at most 2,000 values")]
    fn of(values: &[Value]) -> Self {
        let mut class = Self::default();
        let mut texts = BTreeSet::new();
        let each = 1.0 / values.len().max(1) as f64;
        let add = |into: &mut f64, is: bool| {
            if is {
                *into += each;
            }
        };
        for Value { text, form, .. } in values {
            texts.insert(text.as_str());
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            let digits = unsigned.bytes().filter(u8::is_ascii_digit).count();
            let numeric = digits > 0
                && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".,' ".contains(&byte))
                && unsigned.as_bytes()[0] != b' ';
            let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
            let integer = numeric
                && (digits == unsigned.len()
                    || (whole.bytes().all(|byte| byte.is_ascii_digit())
                        && fraction.bytes().all(|byte| byte == b'0')));
            add(&mut class.numeric, numeric);
            add(&mut class.integer, integer);
            add(&mut class.fraction, numeric && unsigned.contains(['.', ',']));
            add(&mut class.zero, numeric && unsigned.bytes().all(|byte| b"0.,".contains(&byte)));
            add(&mut class.boolean, *form == Form::Boolean || is_boolean(text).is_some() && digits == 0);
            add(&mut class.currency, CODES.currencies.contains_key(text.as_str()));
            add(&mut class.country, CODES.countries.contains(text.as_str()));
            add(&mut class.email, text.contains('@') && text.contains('.') && !text.contains(' '));
            let marks = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-() ./".contains(&byte));
            add(&mut class.phone, marks && (6..=15).contains(&digits) && digits < text.len() && !integer);
            add(&mut class.gtin, is_gtin(text));
            add(&mut class.url, text.contains("://"));
            add(&mut class.time, is_time(text));
            add(&mut class.day, is_day(text));
            add(&mut class.spaces, text.contains(' '));
            add(&mut class.upper_code, {
                text.len() <= 6 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
            });
            class.average_chars += text.chars().count() as f64 * each;
        }
        class.distinct = texts.len() as f64 * each;
        class
    }
}

/// What a text says of yes and no.
pub(crate) fn is_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "ja" | "oui" | "si" | "1" => Some(true),
        "false" | "no" | "n" | "nein" | "non" | "0" => Some(false),
        _ => None,
    }
}

/// GTIN-8, -12, -13 or -14 with its check digit.
pub(crate) fn is_gtin(text: &str) -> bool {
    if ![8, 12, 13, 14].contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = text
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 1 { 3 } else { 1 })
        .sum();
    sum.is_multiple_of(10) && sum > 0
}

const ORDERS: [Order; 3] = [Order::Ymd, Order::Dmy, Order::Mdy];

/// A day and a time of day, or a count since 1970.
pub(crate) fn is_time(text: &str) -> bool {
    let epoch = [10, 13].contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && ("1000000000".."4102444800").contains(&&text[..10]);
    epoch || local(text).is_some()
}

/// The part of a time before its offset, in the first order of a date that reads it.
pub(crate) fn local(text: &str) -> Option<Local> {
    let before = offset_at(text).map_or(text, |at| &text[..at]);
    ORDERS.into_iter().find_map(|order| Local::read(before, Some(order)).ok())
}

/// Where the offset of an RFC 3339 time begins.
pub(crate) fn offset_at(text: &str) -> Option<usize> {
    let time = text.find(['T', 't']).filter(|at| *at == 10)?;
    text[time..].find(['Z', 'z', '+', '-']).map(|at| time + at)
}

pub(crate) fn is_day(text: &str) -> bool {
    (8..=10).contains(&text.len())
        && text.contains(['-', '.', '/'])
        && ORDERS.into_iter().any(|order| Day::read(text, Some(order)).is_ok())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::json::parse;

    use super::*;

    #[test]
    fn nested_arrays_are_entered_and_classes_are_seen() {
        let sample = parse(
            br#"{"lager":[{"artikel":[{"ean":"4006381333931","w":"EUR"},{"ean":"4006381333931","w":" "}]}],"at":"2026-01-02T03:04:05+01:00"}"#,
        );
        let leaves = leaves(&[sample.unwrap()]);
        let pointers: Vec<&str> = leaves.iter().map(|leaf| leaf.pointer.as_str()).collect();
        assert_eq!(pointers, ["/lager/*/artikel/*/ean", "/lager/*/artikel/*/w", "/at"]);
        assert_eq!(leaves[0].list(), "/lager/*/artikel/*");
        assert!(leaves[0].class.gtin > 0.9 && leaves[1].class.currency > 0.9 && leaves[2].class.time > 0.9);
        assert_eq!(leaves[1].values.len(), 1, "a blank is no value");
        assert!(!is_gtin("4006381333932"));
    }
}

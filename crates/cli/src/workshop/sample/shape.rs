//! What was seen at each place of a vendor's messages, and the JSON Schema of it.
//!
//! Numbers are read by their digits, never through a float: an identifier of twenty digits stays an integer, `10.00` is a decimal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sluice_core::json::{Json, push_pointer};

use sluice_formats::date::{Local, Order};
use sluice_formats::decimal::Marks;

use super::super::typegen::Type;
use super::conventions;

/// What was seen at one place, over all samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// How often something was there.
    pub seen: usize,
    nulls: usize,
    booleans: usize,
    integers: usize,
    decimals: usize,
    strings: usize,
    /// Of the strings: nothing, or blanks.
    blanks: usize,
    /// Of the strings: RFC 3339 with an offset; days.
    times: usize,
    days: usize,
    /// Of the strings that are none of these: a day and a time of day, without an offset.
    locals: usize,
    /// Of the strings and integers: since 1970, ten digits of seconds and thirteen of milliseconds.
    seconds: usize,
    milliseconds: usize,
    /// Of the decimals: `12.000`.
    wholes: usize,
    /// Each text that is not blank, how often, and where first.
    texts: BTreeMap<String, (usize, String)>,
    /// The ways in which numbers are written, if it is known; else in any.
    marks: Option<Vec<Marks>>,
    objects: usize,
    /// Members in the order in which they were first seen.
    pub members: Vec<(String, Shape)>,
    arrays: usize,
    /// What the items of arrays look like, if any had items.
    pub items: Option<Box<Shape>>,
}

impl Shape {
    /// Adds a sample, or a line of one, whose place `from` names.
    pub fn add(&mut self, value: &Json, from: &str) {
        self.seen += 1;
        if let Json::Number(text) | Json::String(text) = value {
            self.seconds += usize::from(is_epoch(text, 10));
            self.milliseconds += usize::from(is_epoch(text, 13));
        }
        match value {
            Json::Null => self.nulls += 1,
            Json::Bool(_) => self.booleans += 1,
            Json::Number(token) if token.contains(['.', 'e', 'E']) => {
                self.decimals += 1;
                self.wholes += usize::from(is_whole(token));
            }
            Json::Number(_) => self.integers += 1,
            Json::Broken(_) => self.strings += 1,
            Json::String(text) => {
                self.strings += 1;
                self.blanks += usize::from(text.trim().is_empty());
                self.times += usize::from(is_rfc3339(text));
                self.days += usize::from(text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok());
                let local = |order| Local::read(text.trim(), Some(order)).is_ok();
                let order = [Order::Dmy, Order::Mdy, Order::Ymd].into_iter().any(local);
                self.locals += usize::from(order && !is_rfc3339(text));
                if !text.trim().is_empty() {
                    let first = || (0, from.to_owned());
                    self.texts.entry(text.trim().to_owned()).or_insert_with(first).0 += 1;
                }
            }
            Json::Array(items) => {
                self.arrays += 1;
                for item in items {
                    self.items.get_or_insert_default().add(item, from);
                }
            }
            Json::Object(members) => {
                self.objects += 1;
                for member in members {
                    match self.members.iter_mut().find(|(name, _)| *name == member.key) {
                        Some((_, shape)) => shape.add(&member.value, from),
                        None => {
                            let mut shape = Self::default();
                            shape.add(&member.value, from);
                            self.members.push((member.key.clone(), shape));
                        }
                    }
                }
            }
        }
    }

    /// Takes numbers in texts as what they are in these ways of writing them.
    pub fn settle(&mut self, marks: &[Marks]) {
        self.marks = Some(marks.to_vec());
        self.members.iter_mut().for_each(|(_, member)| member.settle(marks));
        if let Some(items) = &mut self.items {
            items.settle(marks);
        }
    }

    /// Each text that is not blank, and where it was first.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(text, (_, from))| (text.as_str(), from.as_str()))
    }

    /// How many of the texts are whole numbers, or may be.
    fn whole_texts(&self) -> usize {
        let any = conventions::all_marks();
        let marks = self.marks.as_deref().unwrap_or(&any);
        let whole = self.texts.iter().filter(|(text, _)| conventions::is_whole(text, marks));
        whole.map(|(_, (count, _))| count).sum()
    }

    /// Whether it was `null` once.
    pub fn nullable(&self) -> bool {
        self.nulls > 0
    }

    /// Was an object at least once.
    pub(super) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Only objects, or `null`.
    pub fn is_object(&self) -> bool {
        self.objects > 0 && self.objects + self.nulls == self.seen
    }

    /// Only arrays, or `null`.
    pub(super) fn is_list(&self) -> bool {
        self.arrays > 0 && self.arrays + self.nulls == self.seen
    }

    /// How many of what it was are objects, in which a member may be.
    pub(super) fn objects(&self) -> usize {
        self.objects
    }

    /// In every sample a number without a fraction, so that the schema calls it an integer.
    pub(super) fn is_integer(&self) -> bool {
        self.integers > 0 && self.decimals + self.strings == 0
    }

    /// Text that was blank once.
    pub(super) fn is_blank_at_times(&self) -> bool {
        self.blanks > 0
    }

    /// What a column of a file holds, for a person.
    pub fn column(&self) -> String {
        let kind = match self.strings {
            0 => return "empty".into(),
            all if all == self.whole_texts() => "whole numbers",
            all if all == self.times + self.locals => "times",
            all if all == self.days => "days",
            _ => "text",
        };
        if self.nulls > 0 { format!("{kind}, sometimes none") } else { kind.into() }
    }

    /// How it says a moment, if that is what it does whenever it is stated.
    pub fn time(&self) -> Option<Time> {
        let is = |count: usize| count > 0 && count + self.nulls + self.blanks == self.seen;
        match self {
            _ if is(self.times) => Some(Time::Offset),
            _ if is(self.times + self.locals) => Some(Time::Local),
            _ if is(self.seconds) => Some(Time::Seconds),
            _ if is(self.milliseconds) => Some(Time::Milliseconds),
            _ => None,
        }
    }

    /// Text that is a moment, or blank at times.
    fn is_time(&self) -> bool {
        matches!(self.time(), Some(Time::Offset | Time::Local))
    }

    /// Whether a canonical member of this type can be made of it.
    pub(super) fn fits(&self, kind: &Type) -> bool {
        let all = |seen: usize| seen > 0 && seen + self.nulls == self.seen;
        match kind {
            // An identifier is a text to us, whatever the vendor writes.
            Type::Text => all(self.strings + self.integers) && !self.is_time(),
            // A number that is blank at times is a number that is not stated at times.
            Type::Integer => {
                let numbers = self.integers + self.wholes + self.whole_texts();
                numbers > 0 && all(numbers + self.blanks)
            }
            Type::Boolean => all(self.booleans),
            Type::Enum(_) | Type::List(_) | Type::Struct(_) | Type::Nullable(_) => false,
        }
    }

    /// The schema: types, nullability, formats; required is what `required` says of a pointer, and what each of several had.
    ///
    /// No enumerations: a few samples never show all the values that a vendor has, and a schema that is too narrow quarantines good
    /// messages.
    pub fn schema(&self, pointer: &str, required: &dyn Fn(&str) -> bool) -> Value {
        let mut schema = Map::new();
        let mut types: Vec<&str> = Vec::new();
        for (seen, name) in [(self.objects, "object"), (self.arrays, "array"), (self.strings, "string")] {
            if seen > 0 {
                types.push(name);
            }
        }
        match (self.integers, self.decimals) {
            (0, 0) => {}
            (_, 0) => types.push("integer"),
            _ => types.push("number"),
        }
        if self.booleans > 0 {
            types.push("boolean");
        }
        if types.is_empty() {
            // Only ever null: what else it may be is not known.
            return json!({});
        }
        if self.nulls > 0 {
            types.push("null");
        }
        schema.insert("type".into(), if let [one] = types[..] { json!(one) } else { json!(types) });
        if self.strings > 0 && self.times == self.strings {
            schema.insert("format".into(), json!("date-time"));
        } else if self.strings > 0 && self.days == self.strings {
            schema.insert("format".into(), json!("date"));
        }
        if self.objects > 0 {
            let place = |name: &str| {
                let mut place = pointer.to_owned();
                push_pointer(&mut place, name);
                place
            };
            let always: Vec<&str> = self
                .members
                .iter()
                .filter(|(name, shape)| {
                    shape.seen == self.objects && (self.objects > 1 || required(&place(name)))
                })
                .map(|(name, _)| name.as_str())
                .collect();
            schema.insert("required".into(), json!(always));
            let properties: Map<String, Value> = self
                .members
                .iter()
                .map(|(name, shape)| (name.clone(), shape.schema(&place(name), required)))
                .collect();
            schema.insert("properties".into(), Value::Object(properties));
        }
        if let Some(items) = &self.items {
            schema.insert("items".into(), items.schema(&format!("{pointer}/*"), required));
        }
        Value::Object(schema)
    }
}

/// How a moment is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// RFC 3339 with an offset.
    Offset,
    /// By a clock whose zone the message does not say, at least once.
    Local,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// An RFC 3339 time with an offset.
pub(super) fn is_rfc3339(text: &str) -> bool {
    text.contains(['T', 't']) && text.parse::<Timestamp>().is_ok()
}

/// So many digits that are a time from 2001 to 2099, counted since 1970.
fn is_epoch(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && ("1000000000".."4102444800").contains(&&text[..10])
}

/// Digits, perhaps with a sign, perhaps with a fraction of nothing.
fn is_whole(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0')
}

//! How the vendor's text becomes a member's value. Each is tried on every value of the samples; nothing is rounded or guessed.

use serde::Serialize;
use serde_json::{Value, json};
use sluice_formats::date::{Day, Order};
use sluice_formats::decimal::{Grouping, Mark, Marks};

use crate::leaves::{CODES, Form, Leaf, is_boolean, offset_at};
use crate::members::{Kind, Member};
use crate::words::THESAURUS;

/// What is done to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Transform {
    /// As it is, without blanks around it.
    Copy,
    /// A number as text: an identifier.
    Text,
    /// A text as a whole number.
    #[serde(rename_all = "camelCase")]
    Parse {
        /// How the vendor writes numbers, if one way is shown.
        decimal: Option<&'static str>,
    },
    /// A decimal amount in minor units of its currency.
    #[serde(rename_all = "camelCase")]
    Scale {
        /// How the vendor writes numbers, if one way is shown.
        decimal: Option<&'static str>,
        /// Digits of the minor unit, where the message names no currency.
        digits: usize,
    },
    /// An amount in minor units already.
    Minor,
    /// A time with an offset, in UTC.
    Utc,
    /// A time by a clock whose zone the contract has to say.
    Zone,
    /// A count of seconds or milliseconds since 1970.
    Epoch,
    /// A day, or the day of a time.
    Day,
    /// A word as true or false.
    Boolean,
    /// Words as words of ours.
    Map {
        /// Theirs and ours.
        values: Vec<(String, String)>,
    },
    /// All of an inner list together.
    Sum {
        /// How each of them is read.
        each: Box<Transform>,
    },
    /// Texts with a blank between them.
    Join,
    /// A word of a text.
    Split {
        /// The last, or the first.
        last: bool,
    },
}

impl Transform {
    /// In few words, for a table.
    pub fn words(&self) -> String {
        match self {
            Self::Copy => "copy".into(),
            Self::Text => "number as text".into(),
            Self::Parse { decimal: None } => "whole number".into(),
            Self::Parse { decimal: Some(mark) } => format!("whole number, decimal {mark:?}"),
            Self::Scale { decimal, .. } => match decimal {
                None => "to minor units".into(),
                Some(mark) => format!("to minor units, decimal {mark:?}"),
            },
            Self::Minor => "minor units".into(),
            Self::Utc => "to UTC".into(),
            Self::Zone => "to UTC by a zone".into(),
            Self::Epoch => "since 1970".into(),
            Self::Day => "day".into(),
            Self::Boolean => "yes or no".into(),
            Self::Map { values } => {
                let each: Vec<String> = values.iter().map(|(from, to)| format!("{from}={to}")).collect();
                format!("map {}", each.join(", "))
            }
            Self::Sum { each } => format!("sum, {}", each.words()),
            Self::Join => "join".into(),
            Self::Split { last } => if *last { "last word" } else { "first word" }.into(),
        }
    }
}

/// What a member's kind needs of a place.
pub(crate) fn enumerate(member: &Member, leaf: &Leaf, inner: bool) -> Transform {
    let class = &leaf.class;
    let numbers = leaf.values.iter().any(|value| value.form == Form::Number);
    let decimal = || decimal(leaf).map(Mark::as_str);
    let one = match &member.kind {
        Kind::Text => {
            let names = [("firstName", false), ("lastName", true)];
            let part = names.iter().find(|(name, _)| *name == member.name).map(|(_, last)| *last);
            let whole = !leaf.own.iter().any(|word| word == "first" || word == "last");
            match part.filter(|_| whole && class.spaces > 0.9) {
                Some(last) => Transform::Split { last },
                None if numbers => Transform::Text,
                None => Transform::Copy,
            }
        }
        Kind::Decimal if numbers => Transform::Text,
        Kind::Decimal | Kind::Currency | Kind::Gtin => Transform::Copy,
        Kind::Integer { .. } if numbers && class.fraction < 0.01 => Transform::Copy,
        Kind::Integer { .. } => Transform::Parse { decimal: decimal() },
        Kind::Minor => {
            let said = leaf
                .own
                .iter()
                .any(|word| ["minor", "cents", "cent", "pence", "centimes"].contains(&word.as_str()));
            if said && class.fraction < 0.01 {
                Transform::Minor
            } else {
                Transform::Scale { decimal: decimal(), digits: 2 }
            }
        }
        Kind::Boolean if leaf.values.iter().all(|value| value.form == Form::Boolean) => Transform::Copy,
        Kind::Boolean => Transform::Boolean,
        Kind::Enum(ours) => Transform::Map { values: mapped(leaf, ours) },
        Kind::Day => Transform::Day,
        Kind::Time => match leaf.values.iter().all(|value| offset_at(&value.text).is_some()) {
            true => Transform::Utc,
            false if leaf.values.iter().all(|value| value.text.bytes().all(|byte| byte.is_ascii_digit())) => {
                Transform::Epoch
            }
            false => Transform::Zone,
        },
    };
    if inner { Transform::Sum { each: Box::new(one) } } else { one }
}

/// The words of theirs that mean one of ours.
fn mapped(leaf: &Leaf, ours: &[String]) -> Vec<(String, String)> {
    let mut values: Vec<(String, String)> = Vec::new();
    for value in &leaf.values {
        if values.iter().any(|(from, _)| *from == value.text) {
            continue;
        }
        let bag = THESAURUS.bag(&value.text);
        let alike = |our: &&String| THESAURUS.alike(&bag, &THESAURUS.bag(our));
        let best = ours.iter().max_by(|one, other| alike(one).total_cmp(&alike(other)));
        if let Some(our) = best.filter(|our| alike(our) > 0.8) {
            values.push((value.text.clone(), our.clone()));
        }
    }
    values
}

/// The decimal mark that the values show, if they show one and only one.
fn decimal(leaf: &Leaf) -> Option<Mark> {
    let shows = |mark: char| {
        let other = if mark == ',' { '.' } else { ',' };
        leaf.values.iter().any(|value| {
            let text = value.text.as_str();
            match (text.rfind(mark), text.rfind(other)) {
                (Some(at), Some(before)) => at > before,
                (Some(at), None) => text.len() - at != 4 && text.matches(mark).count() == 1,
                (None, Some(_)) => text.matches(other).count() > 1,
                (None, None) => false,
            }
        })
    };
    match (shows('.'), shows(',')) {
        (true, false) => Some(Mark::Point),
        (false, true) => Some(Mark::Comma),
        _ => None,
    }
}

fn plain(text: &str, mark: Option<&str>) -> Result<String, String> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let decimal = mark.and_then(Mark::of);
    let grouping = match decimal {
        None => Grouping::None,
        Some(_) => ["'", " "]
            .into_iter()
            .find(|mark| text.contains(mark))
            .or(if decimal == Some(Mark::Comma) { Some(".") } else { Some(",") })
            .and_then(Grouping::of)
            .unwrap_or(Grouping::None),
    };
    let marks = Marks { decimal, grouping };
    marks.plain(text).map(std::borrow::Cow::into_owned).map_err(|fault| format!("is {}", fault.words(marks)))
}

/// A value of ours, or why it is none.
pub(crate) fn apply(
    transform: &Transform,
    texts: &[&str],
    form: Form,
    currency: Option<&str>,
) -> Result<Value, String> {
    let text = texts.first().copied().unwrap_or_default();
    match transform {
        Transform::Copy if form == Form::Number => whole(text),
        Transform::Copy if form == Form::Boolean => Ok(json!(text == "true")),
        Transform::Copy | Transform::Text => Ok(json!(text)),
        Transform::Parse { decimal } => whole(&plain(text, *decimal)?),
        Transform::Minor => whole(text),
        Transform::Scale { decimal, digits } => {
            let digits = currency.and_then(|code| CODES.currencies.get(code).copied()).unwrap_or(*digits);
            // A JSON number has a point.
            let number = if form == Form::Number { text.to_owned() } else { plain(text, *decimal)? };
            let (whole_part, fraction) = number.split_once('.').unwrap_or((&number, ""));
            let fraction = fraction.trim_end_matches('0');
            if fraction.len() > digits {
                return Err(format!("has more decimal places than its currency, which has {digits}"));
            }
            whole(&format!("{whole_part}{fraction:0<digits$}"))
        }
        Transform::Utc | Transform::Zone | Transform::Epoch => Ok(json!(text)),
        Transform::Day => {
            let day = text.split(['T', ' ']).next().unwrap_or(text);
            let orders = [Order::Ymd, Order::Dmy, Order::Mdy];
            let days: Vec<String> = orders
                .into_iter()
                .filter_map(|order| Day::read(day, Some(order)).ok())
                .map(|day| day.to_string())
                .collect();
            match days.first() {
                None => Err("is no day".into()),
                Some(first) if days.iter().all(|day| day == first) => Ok(json!(first)),
                Some(_) => Err("is two days, by the order of day and month: declare dates in [text]".into()),
            }
        }
        Transform::Boolean => is_boolean(text).map(Value::from).ok_or_else(|| "is neither yes nor no".into()),
        Transform::Map { values } => values
            .iter()
            .find(|(from, _)| from == text)
            .map(|(_, to)| json!(to))
            .ok_or_else(|| "is no word that is known: say what it means".into()),
        Transform::Sum { each } => {
            let mut sum = 0_i64;
            for text in texts {
                let one = apply(each, &[text], form, currency)?;
                sum = one.as_i64().and_then(|one| sum.checked_add(one)).ok_or("is too large")?;
            }
            Ok(json!(sum))
        }
        Transform::Join => Ok(json!(texts.join(" "))),
        Transform::Split { last } => {
            let word =
                if *last { text.split_whitespace().next_back() } else { text.split_whitespace().next() };
            word.map(Value::from).ok_or_else(|| "has no word".into())
        }
    }
}

fn whole(text: &str) -> Result<Value, String> {
    let (number, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().any(|byte| byte != b'0') {
        return Err("has a fraction".into());
    }
    number.parse::<i64>().map(Value::from).map_err(|_| "is no whole number, or too large".into())
}

/// Whether all values of a place are in one unit: `1999` in one message and `19.99` in another are not.
#[expect(clippy::cast_precision_loss, reason = "compared by a factor of twenty")]
pub(crate) fn units_change(leaf: &Leaf) -> bool {
    let mut middle = [Vec::new(), Vec::new()];
    let samples: std::collections::BTreeSet<usize> = leaf.values.iter().map(|value| value.sample).collect();
    for sample in samples {
        let texts: Vec<&str> = leaf
            .values
            .iter()
            .filter(|value| value.sample == sample)
            .map(|value| value.text.as_str())
            .collect();
        let fractions = texts.iter().any(|text| text.contains(['.', ',']));
        let numbers = texts.iter().filter_map(|text| text.replace(',', ".").parse::<f64>().ok());
        let (sum, count) =
            numbers.fold((0.0, 0_usize), |(sum, count), number| (sum + number.abs(), count + 1));
        if count > 0 && sum > 0.0 {
            middle[usize::from(fractions)].push(sum / count as f64);
        }
    }
    let [whole, decimal] = middle.map(|mut numbers| {
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied()
    });
    whole.zip(decimal).is_some_and(|(whole, decimal)| whole / decimal > 20.0)
}

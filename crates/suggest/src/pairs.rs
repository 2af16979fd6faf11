//! How well a place of the vendor's fits a member of ours, as numbers that each have a name.

use std::collections::{BTreeMap, BTreeSet};

use crate::leaves::Leaf;
use crate::members::{Kind, Member};
use crate::words::{Bag, THESAURUS, trigrams, words};

/// What is counted of a pair; a weight for each is learned.
pub const FEATURES: [&str; 17] = [
    "name",
    "path",
    "object",
    "letters",
    "same name",
    "seen before",
    "seen for another",
    "class",
    "class of another",
    "outer list",
    "inner list",
    "deeper object",
    "zero",
    "decimal money",
    "arithmetic",
    "in few samples",
    "other unit of money",
];

/// Values of [`FEATURES`].
pub(crate) type Vector = [f64; FEATURES.len()];

/// A pair of an existing bundle: what a vendor calls a member of ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Prior {
    /// The vendor's family, so that it can be left out.
    pub family: String,
    /// The member's own name.
    pub member: String,
    /// The vendor's name, as concepts.
    pub own: Vec<String>,
    /// The names around it.
    pub around: Vec<String>,
}

/// Whether a member can be made of what is there at all.
pub(crate) fn feasible(member: &Member, leaf: &Leaf) -> bool {
    let class = &leaf.class;
    // Samples have faults too: most of the values are enough, and what is not is for the proof to say.
    let all = |share: f64| share > 0.9;
    match &member.kind {
        Kind::Text => {
            let long = class.average_chars > 4.0 * usize_f64(member.chars_max);
            class.boolean < 0.5 && !(class.time > 0.9 && class.average_chars > 15.0) && !long
        }
        Kind::Integer { .. } => {
            all(class.numeric) && class.time < 0.9 && {
                // A level that is written 1.234 may be a thousand.
                class.integer > 0.9 || (class.fraction > 0.0 && grouped(leaf))
            }
        }
        Kind::Minor | Kind::Decimal => all(class.numeric) && class.day < 0.9 && class.time < 0.9,
        Kind::Boolean => all(class.boolean),
        Kind::Enum(_) => class.numeric < 0.5 && class.time < 0.5 && class.average_chars < 40.0,
        Kind::Day => all(class.day.max(class.time)),
        Kind::Time => all(class.time),
        Kind::Currency => class.currency > 0.7,
        Kind::Gtin => {
            let length = |text: &str| [8, 12, 13, 14].contains(&text.len());
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let fit = leaf.values.iter().filter(|value| length(&value.text) && digits(&value.text)).count();
            all(usize_f64(fit) / usize_f64(leaf.values.len().max(1)))
        }
    }
}

fn grouped(leaf: &Leaf) -> bool {
    let unsigned = |text: &str| text.trim_start_matches(['-', '+']).to_owned();
    leaf.values.iter().all(|value| {
        let text = unsigned(&value.text);
        text.bytes().all(|byte| byte.is_ascii_digit())
            || text.rsplit(['.', ',', '\'', ' ']).next().is_some_and(|last| last.len() == 3)
    })
}

#[expect(clippy::cast_precision_loss, reason = "lengths of texts")]
fn usize_f64(number: usize) -> f64 {
    number as f64
}

/// The priors that are called like a place, with how alike they are.
pub(crate) fn known<'p>(priors: &[&'p Prior], leaf: &Leaf) -> Vec<(&'p str, f64)> {
    let of = |prior: &&'p Prior| {
        let around = match (prior.around.is_empty(), leaf.around.is_empty()) {
            (true, true) => 1.0,
            _ => THESAURUS.alike(&prior.around, &leaf.around),
        };
        let alike = 0.7_f64.mul_add(THESAURUS.alike(&prior.own, &leaf.own), 0.3 * around);
        (alike >= 0.5).then_some((prior.member.as_str(), alike))
    };
    priors.iter().filter_map(of).collect()
}

/// Writes what a name was found to be: this member, and another one.
pub(crate) fn remember(vector: &mut Vector, member: &Member, known: &[(&str, f64)]) {
    let (mut own, mut other) = (0.0_f64, 0.0_f64);
    for (name, alike) in known {
        if *name == member.name { own = own.max(*alike) } else { other = other.max(*alike) }
    }
    (vector[5], vector[6]) = (own, other);
}

/// Everything of a pair but what is learned and what lists are aligned with which.
pub(crate) fn vector(member: &Member, leaf: &Leaf, sums: &Sums, samples: usize) -> Vector {
    let mut vector = Vector::default();
    let whole: Bag = leaf.around.iter().chain(&leaf.own).cloned().collect();
    let near: Bag = leaf.around.iter().rev().take(2).chain(&leaf.own).cloned().collect();
    for (at, phrase) in member.phrases.iter().enumerate() {
        let less = 0.02_f64.mul_add(-usize_f64(at.min(8)), 1.0);
        vector[0] = vector[0].max(less * THESAURUS.alike(&leaf.own, phrase));
        vector[1] = vector[1].max(less * THESAURUS.alike(&near, phrase));
        for object in &member.objects {
            let both: Bag = object.iter().chain(phrase).cloned().collect();
            vector[1] = vector[1].max(less * THESAURUS.alike(&whole, &both));
        }
    }
    vector[2] = member.objects.iter().map(|object| THESAURUS.alike(&leaf.around, object)).fold(0.0, f64::max);
    let (ours, theirs) = (words(&member.name).concat(), words(leaf.name()).concat());
    vector[3] = trigrams(&ours, &theirs);
    vector[4] = f64::from(u8::from(ours == theirs));
    (vector[7], vector[8]) = classes(member, leaf);
    vector[12] = if leaf.class.numeric > 0.9 { leaf.class.zero } else { 0.0 };
    vector[13] = if member.kind == Kind::Minor { leaf.class.fraction } else { 0.0 };
    vector[14] = f64::from(u8::from(match (member.name.as_str(), member.list.is_empty()) {
        ("unitPriceMinor", false) => sums.units.contains(&leaf.pointer),
        ("quantity", false) => sums.factors.contains(&leaf.pointer),
        ("totalMinor" | "subtotalMinor", false) => sums.products.contains(&leaf.pointer),
        (_, true) if member.kind == Kind::Minor => sums.totals.contains(&leaf.pointer),
        _ => false,
    }));
    vector[15] = 1.0 - usize_f64(leaf.samples) / usize_f64(samples.max(1));
    let shown = |bag: &[String]| bag.iter().any(|word| word == "presentment");
    let presented = member.objects.iter().any(|object| shown(object));
    vector[16] = f64::from(u8::from(member.kind == Kind::Minor && presented != shown(&whole)));
    vector
}

/// Whether the values are of the member's special class, and whether they are of another's.
fn classes(member: &Member, leaf: &Leaf) -> (f64, f64) {
    let class = &leaf.class;
    let name = member.name.as_str();
    let special = [
        ("email", class.email),
        ("currency", class.currency),
        ("countryCode", class.country),
        ("phone", class.phone),
        ("gtin", class.gtin),
        ("time", class.time.max(class.day)),
        ("url", class.url),
    ];
    let wanted = match member.kind {
        Kind::Currency => "currency",
        Kind::Gtin => "gtin",
        Kind::Day | Kind::Time => "time",
        _ => name,
    };
    let fits = special.iter().find(|(one, _)| *one == wanted).map_or_else(
        || match (&member.kind, name) {
            (Kind::Text, "regionCode") => class.upper_code,
            (Kind::Text, "title" | "name" | "line1" | "note" | "description" | "variantTitle") => {
                class.spaces
            }
            (Kind::Text, name) if name.ends_with("Id") || name == "sku" => {
                (1.0 - class.spaces) * class.distinct
            }
            (Kind::Decimal, _) => class.fraction,
            (Kind::Integer { .. }, _) => f64::from(u8::from(class.average_chars < 6.0)),
            (Kind::Enum(values), _) => {
                let known = leaf.values.iter().filter(|value| values.contains(&value.text)).count();
                usize_f64(known) / usize_f64(leaf.values.len().max(1))
            }
            _ => 0.0,
        },
        |(_, share)| *share,
    );
    // A number that is called an identifier counts nothing.
    let counts = matches!(member.kind, Kind::Integer { .. } | Kind::Minor | Kind::Decimal | Kind::Boolean);
    if counts && leaf.own.iter().any(|word| word == "id") {
        return (0.0, 1.0);
    }
    let clash = special.iter().filter(|(one, _)| *one != wanted).map(|(_, share)| *share).fold(0.0, f64::max);
    (fits, clash * (1.0 - fits))
}

/// Which places multiply and add up, in every sample.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    units: BTreeSet<String>,
    factors: BTreeSet<String>,
    products: BTreeSet<String>,
    totals: BTreeSet<String>,
    /// A total, and what of the items it is the sum of.
    pub(crate) of: BTreeMap<String, String>,
}

type At<'l> = (usize, &'l [usize]);
type Numbers<'l> = (&'l Leaf, BTreeMap<At<'l>, i128>);

/// Most number places of one list that are tried together.
const NUMBERS_MAX: usize = 24;

impl Sums {
    pub(crate) fn of(leaves: &[Leaf]) -> Self {
        let mut sums = Self::default();
        let mut lists: BTreeMap<String, Vec<Numbers<'_>>> = BTreeMap::new();
        for leaf in leaves.iter().filter(|leaf| leaf.class.numeric > 0.98 && leaf.class.time < 0.5) {
            let list = lists.entry(leaf.list()).or_default();
            let numbers: Option<BTreeMap<At<'_>, i128>> = leaf
                .values
                .iter()
                .map(|value| Some(((value.sample, &value.items[..]), scaled(&value.text)?)))
                .collect();
            if let (Some(numbers), true) = (numbers, list.len() < NUMBERS_MAX) {
                list.push((leaf, numbers));
            }
        }
        for numbers in lists.iter().filter(|(list, _)| !list.is_empty()).map(|(_, numbers)| numbers) {
            for (factor, counts) in numbers.iter().filter(|(leaf, _)| leaf.class.integer > 0.98) {
                if counts.values().filter(|count| **count >= 2 * SCALE && **count < 1_000_000 * SCALE).count()
                    < 2
                {
                    continue;
                }
                for (unit, prices) in numbers.iter().filter(|(leaf, _)| leaf.pointer != factor.pointer) {
                    for (product, totals) in numbers {
                        if [&unit.pointer, &factor.pointer].contains(&&product.pointer) {
                            continue;
                        }
                        let mut held = 0;
                        let holds = counts.iter().all(|(at, count)| match (prices.get(at), totals.get(at)) {
                            (Some(price), Some(total)) => {
                                held += usize::from(*count >= 2 * SCALE && *price != 0);
                                price.checked_mul(*count).is_some_and(|both| both == total * SCALE)
                            }
                            _ => false,
                        });
                        if holds && held >= 2 {
                            sums.units.insert(unit.pointer.clone());
                            sums.factors.insert(factor.pointer.clone());
                            sums.products.insert(product.pointer.clone());
                        }
                    }
                }
            }
        }
        for (outer, totals) in &lists {
            let inner = lists.iter().filter(|(list, _)| {
                list.len() > outer.len()
                    && list.starts_with(outer.as_str())
                    && list[outer.len()..].matches("/*").count() == 1
            });
            for (part, numbers) in inner.flat_map(|(_, numbers)| numbers) {
                let mut added: BTreeMap<At<'_>, (i128, usize)> = BTreeMap::new();
                for ((sample, items), number) in numbers {
                    let sum = added.entry((*sample, &items[..items.len() - 1])).or_default();
                    *sum = (sum.0 + number, sum.1 + usize::from(*number != 0));
                }
                let several = added.values().any(|(_, parts)| *parts > 1);
                for (total, stated) in totals.iter().filter(|_| several) {
                    let holds = added.iter().all(|(at, (sum, _))| stated.get(at) == Some(sum));
                    if holds {
                        sums.totals.insert(total.pointer.clone());
                        sums.of.entry(total.pointer.clone()).or_insert_with(|| part.pointer.clone());
                    }
                }
            }
        }
        sums
    }
}

const SCALE: i128 = 1_000_000;

/// A number times [`SCALE`], if it has no more decimals than that.
fn scaled(text: &str) -> Option<i128> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if fraction.len() > 6 || whole.len() > 18 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction:0<6}").parse().ok()?;
    Some(sign * digits)
}

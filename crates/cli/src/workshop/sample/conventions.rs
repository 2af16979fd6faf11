//! How a vendor writes numbers, dates and characters, by all that its samples hold: the `[text]` of a new contract.
//!
//! Every reading that `sluice_formats` knows is tried on every value; what is left after all of them is what the vendor may mean. One
//! reading that is left is declared, with the value that shows it. Several are written down and left to the author, since `1.234` and
//! `03/04/2026` are two numbers and two days. None is a contradiction, and nothing is made of the samples.

use std::fmt::Write as _;

use sluice_formats::date::{Day, Local, Order};
use sluice_formats::decimal::{Grouping, Mark, Marks};

use super::names::{SCORE_MIN, TIMES, score};
use super::shape::is_rfc3339;
use super::{Leaf, Shape, Suggestion, Type, leaves};

/// A value, and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    text: String,
    place: String,
}

impl Seen {
    fn words(&self) -> String {
        format!("{:?} at {}", self.text, self.place)
    }
}

/// What is known of one convention.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known<T> {
    /// No value depends on it.
    Nothing,
    /// Only this is possible, as the value shows.
    Sure(T, Seen),
    /// All of these are, for the value.
    Open(Vec<T>, Seen),
}

/// How the vendor writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conventions {
    decimal: Known<Mark>,
    grouping: Known<Grouping>,
    dates: Known<Order>,
    /// A local time, whose zone no value says.
    local: Option<Seen>,
    /// How numbers may be written.
    pub marks: Vec<Marks>,
}

/// Decimal mark and grouping in every combination that a contract may declare.
pub(super) fn all_marks() -> Vec<Marks> {
    let mut all = Vec::new();
    for decimal in Mark::ALL {
        for grouping in Grouping::ALL.into_iter().filter(|grouping| grouping.as_str() != decimal.as_str()) {
            all.push(Marks { decimal: Some(decimal), grouping });
        }
    }
    all
}

/// The number, if it is written so. No group of digits begins with a zero.
fn number(text: &str, marks: Marks) -> Option<String> {
    let plain = marks.plain(text).ok()?;
    let sent = text.strip_prefix('-').unwrap_or(text);
    let whole = sent.split(marks.decimal.map_or(".", Mark::as_str)).next().unwrap_or_default();
    let grouped = whole.contains(|one: char| !one.is_ascii_digit());
    (!grouped || !sent.starts_with('0')).then(|| plain.into_owned())
}

/// Whether a text is a whole number, if numbers are written in one of these ways.
pub(super) fn is_whole(text: &str, marks: &[Marks]) -> bool {
    marks.iter().filter_map(|marks| number(text.trim(), *marks)).any(|plain| {
        plain.split_once('.').is_none_or(|(_, fraction)| fraction.bytes().all(|byte| byte == b'0'))
    })
}

/// Words of names that are written with points and blanks, and are no numbers.
const NO_NUMBERS: &[&str] =
    &["version", "release", "build", "phone", "telefon", "tel", "fax", "zip", "plz", "ip", "rev", "revision"];

/// Whether a name speaks of a time.
pub(super) fn is_timely(leaf: &Leaf) -> bool {
    score(leaf.names(), "occurredAt", TIMES) >= SCORE_MIN
}

/// The readings that are left after every value; `all` are those that there are, `possible` what a value allows.
fn left<T: Copy + PartialEq>(all: &[T], values: &[(Seen, Vec<T>)], what: &str) -> Result<Vec<T>, String> {
    let mut left = all.to_vec();
    for (at, (seen, possible)) in values.iter().enumerate() {
        left.retain(|one| possible.contains(one));
        if !left.is_empty() {
            continue;
        }
        // Two values most often; if each two go together, all that say something.
        let disjoint = |(_, other): &&(Seen, Vec<T>)| !other.iter().any(|one| possible.contains(one));
        let others: Vec<String> = match values[..at].iter().find(disjoint) {
            Some((other, _)) => vec![other.words()],
            None => values[..at]
                .iter()
                .filter(|(_, other)| other.len() < all.len())
                .map(|(other, _)| other.words())
                .collect(),
        };
        return Err(format!(
            "the samples contradict each other in how they write {what}: {} and {}",
            others.join(", "),
            seen.words()
        ));
    }
    Ok(left)
}

impl Conventions {
    /// Of all samples. `first` is what they are taken for by their names: an identifier is no number, whatever it looks like.
    ///
    /// # Errors
    /// Two values that no declaration reads both, and where they are.
    pub fn of(root: &Shape, first: &Suggestion) -> Result<Self, String> {
        let (mut numbers, mut days, mut local) = (Vec::new(), Vec::new(), None);
        let numeric = all_marks();
        let orders = [Order::Dmy, Order::Mdy, Order::Ymd];
        for leaf in leaves(root) {
            let of_number = first.matches.iter().find(|one| one.leaf.path == leaf.path);
            let of_number = of_number.map(|one| one.field.kind == Type::Integer);
            let pointer = leaf.pointer();
            let seen = |(text, from): (&str, &str)| Seen {
                text: text.to_owned(),
                place: format!("{pointer} of {from}"),
            };
            let texts: Vec<Seen> = leaf.shape.texts().map(seen).collect();
            if texts.is_empty() {
                continue;
            }
            let timely = is_timely(&leaf);
            let dated = read_all(&texts, |text| {
                let possible: Vec<Order> =
                    orders.into_iter().filter(|order| is_day(text, *order, timely)).collect();
                (!possible.is_empty() || is_rfc3339(text)).then_some(possible)
            });
            if let Some(dated) = dated {
                // ISO 8601 is read whatever is declared.
                days.extend(
                    dated.into_iter().filter(|(_, possible)| (1..orders.len()).contains(&possible.len())),
                );
                let is_local = |seen: &&Seen| seen.text.contains(':') && !is_rfc3339(&seen.text);
                local = local.or_else(|| texts.iter().find(is_local).cloned());
                continue;
            }
            let named_otherwise = super::names::has_word(leaf.name(), NO_NUMBERS);
            if of_number == Some(false) || (of_number.is_none() && named_otherwise) {
                continue;
            }
            let read = read_all(&texts, |text| {
                let possible: Vec<Marks> =
                    numeric.iter().copied().filter(|marks| number(text, *marks).is_some()).collect();
                (!possible.is_empty()).then_some(possible)
            });
            // Of a member that nothing says is a number, digits with blanks between them may be a telephone's.
            let telling =
                |(seen, _): &(Seen, Vec<Marks>)| of_number.is_some() || seen.text.contains(['.', ',']);
            numbers.extend(read.into_iter().flatten().filter(telling));
        }
        let marks = left(&numeric, &numbers, "numbers")?;
        let orders = left(&orders, &days, "dates")?;
        Ok(Self {
            decimal: known(&marks, &numbers, |marks| marks.decimal, numeric.len()),
            grouping: known(&marks, &numbers, |marks| Some(marks.grouping), numeric.len()),
            dates: known(&orders, &days, |order| Some(*order), 3),
            local,
            marks,
        })
    }

    /// The lines of `[text]`: what is sure, and behind `#` what the author must say. None: the samples need no declaration.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        let mut line = |comment: String, lines: &[String]| {
            // A value is the vendor's: what would end the comment is written as an escape by `Seen::words`, a name is not.
            let _ = writeln!(out, "# {}", comment.replace(char::is_control, " "));
            lines.iter().for_each(|one| out.extend([one.as_str(), "\n"]));
        };
        let mark = |mark: Mark| format!("decimal = {:?}", mark.as_str());
        let group = |grouping: Grouping| format!("grouping = {:?}", grouping.as_str());
        match (&self.decimal, &self.grouping) {
            (Known::Sure(decimal, seen), grouping) => {
                line(format!("As in {}.", seen.words()), &[mark(*decimal)]);
                if let Known::Sure(grouping, seen) = grouping
                    && *grouping != Grouping::None
                {
                    line(format!("As in {}.", seen.words()), &[group(*grouping)]);
                }
            }
            (Known::Open(_, seen), _) => {
                let readings: Vec<String> = Mark::ALL
                    .into_iter()
                    .filter_map(|decimal| {
                        let mut fitting = self.marks.iter().filter(|one| one.decimal == Some(decimal));
                        // No grouping, if that is possible: what is not seen is not declared.
                        let one = fitting.next()?;
                        let grouping = match one.grouping {
                            Grouping::None => String::new(),
                            grouping => format!("\n# {}", group(grouping)),
                        };
                        let read = number(&seen.text, *one)?;
                        Some(format!("# {}  # {:?} is {read}{}", mark(decimal), seen.text, grouping))
                    })
                    .collect();
                line(
                    format!(
                        "{} has several readings: uncomment the vendor's. Until then such a number is refused.",
                        seen.words()
                    ),
                    &readings,
                );
            }
            (Known::Nothing, _) => {}
        }
        match &self.dates {
            Known::Sure(order, seen) => {
                line(format!("As in {}.", seen.words()), &[format!("dates = {:?}", order.as_str())]);
            }
            Known::Open(orders, seen) => {
                let readings: Vec<String> = orders
                    .iter()
                    .filter_map(|order| {
                        let day = day(&seen.text, *order)?;
                        Some(format!("# dates = {:?}  # {:?} is {day}", order.as_str(), seen.text))
                    })
                    .collect();
                line(
                    format!(
                        "{} has several readings: uncomment the vendor's. Until then it is refused, `date_ambiguous`.",
                        seen.words()
                    ),
                    &readings,
                );
            }
            Known::Nothing => {}
        }
        if let Some(seen) = &self.local {
            line(
                format!(
                    "{} does not say where its clock stands: declare that. Until then it is refused, `zone_undeclared`.",
                    seen.words()
                ),
                &["# zone = \"Europe/Berlin\"".to_owned()],
            );
        }
        out
    }
}

/// What a member's texts allow; none if one of them allows nothing.
fn read_all<T>(texts: &[Seen], possible: impl Fn(&str) -> Option<Vec<T>>) -> Option<Vec<(Seen, Vec<T>)>> {
    texts.iter().map(|seen| Some((seen.clone(), possible(&seen.text)?))).collect()
}

/// What the readings that are left have in common, with the value that shows it best: the one that allows the fewest. One that allows
/// `all` says nothing.
fn known<A: Copy, T: Copy + PartialEq>(
    left: &[A],
    values: &[(Seen, Vec<A>)],
    part: impl Fn(&A) -> Option<T>,
    all: usize,
) -> Known<T> {
    let parts = |readings: &[A]| {
        let mut parts: Vec<T> = Vec::new();
        for one in readings.iter().filter_map(&part) {
            if !parts.contains(&one) {
                parts.push(one);
            }
        }
        parts
    };
    let telling = values.iter().filter(|(_, possible)| possible.len() < all);
    let Some((seen, _)) = telling.min_by_key(|(_, possible)| (parts(possible).len(), possible.len())) else {
        return Known::Nothing;
    };
    match parts(left)[..] {
        [one] => Known::Sure(one, seen.clone()),
        ref several => Known::Open(several.to_vec(), seen.clone()),
    }
}

/// A day, or a day and a time of day, in an order.
fn day(text: &str, order: Order) -> Option<String> {
    match Day::read(text, Some(order)) {
        Ok(day) => Some(day.to_string()),
        Err(_) => {
            Local::read(text, Some(order)).ok()?;
            let date = text.split([' ', 'T', 't', ',', '\u{a0}', '\u{202f}']).next()?;
            Day::read(date, Some(order)).ok().map(|day| day.to_string())
        }
    }
}

/// Whether a text is a date, or a date and a time of day, in an order. `10102026` and `1.2.26` are only where the name says so.
fn is_day(text: &str, order: Order, timely: bool) -> bool {
    let date = text.split([' ', 'T', 't', ',']).next().unwrap_or_default();
    let widths: Vec<usize> = date.split(['.', '/', '-']).map(str::len).collect();
    let plain = widths.len() == 3 && widths.contains(&4);
    (plain || timely || text.contains(':'))
        && (Day::read(text, Some(order)).is_ok() || Local::read(text, Some(order)).is_ok())
}

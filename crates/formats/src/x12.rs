//! ASC X12 interchanges (EDI): envelopes, segments, elements.
//!
//! A file is a sequence of interchanges, `ISA` … `IEA`; most have one, a mailbox hands over
//! several. Each `ISA` has a fixed length and declares the separators of its own interchange.
//! Source: ASC X12.5 (interchange control) and X12.6 (syntax), release 004010.
//!
//! One way of cutting a file into segments serves three readers:
//! - [`Head`] finds single elements, whatever the rest of the file is: for acceptance, which keeps
//!   before it judges.
//! - [`cut`] gives the place of every element of a file that may be broken: for replacing some of
//!   them.
//! - [`interchanges`] gives transaction sets, and refuses by name what was cut off, glued together
//!   or damaged: for mappers. Control numbers and counts of `ISA`/`IEA`, `GS`/`GE` and `ST`/`SE`
//!   are checked before a mapper sees a segment.
//!
//! Invariants: nothing is copied; segments are numbered from 1 in the order of the file, across its
//! interchanges, and a refusal names the segment and the element, as in `/12/LIN03`. Separators are
//! ASCII; what is between them may be any bytes for [`Head`] and [`cut`], and is UTF-8 for
//! [`interchanges`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::Refusal;

/// Length of each element of `ISA` but the last, in characters. The last is the separator of
/// components.
const ISA_WIDTHS: [usize; 15] = [2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1];
/// Ends a text file of some systems (DOS, CP/M); no data.
const END_OF_FILE: u8 = 0x1a;

/// What an `ISA` says is between elements, between components, and behind a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    /// Between the elements of a segment.
    pub element: u8,
    /// Between the components of an element.
    pub component: u8,
    /// Ends a segment.
    pub terminator: u8,
}

impl Separators {
    /// What the `ISA` says that `bytes` begin with; else what is wrong with it.
    fn declared(bytes: &[u8]) -> Result<Self, &'static str> {
        const PADDED: &str = "its elements do not have their fixed lengths";
        let Some(behind) = bytes.strip_prefix(b"ISA") else {
            return Err("the file does not begin with it");
        };
        let Some((element, mut rest)) = behind.split_first() else { return Err("it is cut off") };
        for width in ISA_WIDTHS {
            // A character is at most four bytes of UTF-8.
            let within = &rest[..rest.len().min(4 * width + 1)];
            let Some(end) = within.iter().position(|byte| byte == element) else {
                return Err(if within.len() <= width { "it is cut off" } else { PADDED });
            };
            let text = &within[..end];
            let characters = str::from_utf8(text).map_or(text.len(), |text| text.chars().count());
            if characters != width {
                return Err(PADDED);
            }
            rest = &rest[end + 1..];
        }
        let [component, terminator, ..] = rest else { return Err("it is cut off") };
        let [element, component, terminator] = [*element, *component, *terminator];
        let usable = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && byte != b' ';
        if element == component
            || element == terminator
            || component == terminator
            || ![element, component, terminator].into_iter().all(usable)
        {
            return Err("the separators of segments, elements and components are not three");
        }
        Ok(Self { element, component, terminator })
    }
}

/// Cuts a file at its terminators. At each `ISA` the separators become those that it declares.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    separators: Separators,
}

/// A segment's place in a file, without its terminator.
struct Found {
    place: Range<usize>,
    separators: Separators,
    /// Has a terminator: the last one of a file that was cut off has none.
    ended: bool,
}

impl<'a> Scan<'a> {
    /// Begins with the first `ISA`.
    fn open(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let at = start(bytes);
        let separators = Separators::declared(&bytes[at..]).map_err(|why| bad_header(1, why))?;
        Ok(Self { bytes, at, separators })
    }

    /// What is behind the line breaks and blanks that many senders put behind a terminator, for
    /// people.
    fn rest(&mut self) -> &'a [u8] {
        let terminator = self.separators.terminator;
        let rest = &self.bytes[self.at..];
        let passed = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' ') || *byte == terminator;
        self.at += rest.iter().take_while(|byte| passed(byte)).count();
        &self.bytes[self.at..]
    }

    fn is_at_end(&self) -> bool {
        self.bytes[self.at..].iter().all(|byte| *byte == END_OF_FILE || byte.is_ascii_whitespace())
    }
}

impl Iterator for Scan<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let rest = self.rest();
        if self.is_at_end() {
            return None;
        }
        if rest.starts_with(b"ISA")
            && let Ok(declared) = Separators::declared(rest)
        {
            self.separators = declared;
        }
        let Self { at, separators, .. } = *self;
        let end = rest.iter().position(|byte| *byte == separators.terminator);
        let place = at..at + end.unwrap_or(rest.len());
        self.at = place.end + usize::from(end.is_some());
        Some(Found { place, separators, ended: end.is_some() })
    }
}

fn bad_header(at: usize, why: &str) -> Refusal {
    Refusal::new("x12_isa", format!("/{at}/ISA"), format!("segment {at}, ISA: {why}"))
}

/// Whether a file is to be read as X12: it begins with an `ISA`, be it a good one or not.
#[must_use]
pub fn is_x12(bytes: &[u8]) -> bool {
    bytes[start(bytes)..].starts_with(b"ISA")
}

/// Where the first `ISA` is to be: behind a byte order mark and blanks.
fn start(bytes: &[u8]) -> usize {
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    bytes.len() - text.trim_ascii_start().len()
}

/// An element's place, such as `ST01`: the first element of the segment `ST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    segment: String,
    position: usize,
}

/// Not an element's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidElement;

impl fmt::Display for InvalidElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a segment of two or three characters and an element of two digits, such as ST01")
    }
}

impl std::error::Error for InvalidElement {}

impl FromStr for Element {
    type Err = InvalidElement;

    fn from_str(text: &str) -> Result<Self, InvalidElement> {
        let well_formed = (4..=5).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && text.as_bytes()[0].is_ascii_uppercase();
        if !well_formed {
            return Err(InvalidElement);
        }
        let (segment, position) = text.split_at(text.len() - 2);
        match position.parse() {
            Ok(position) if position > 0 => Ok(Self { segment: segment.to_owned(), position }),
            _ => Err(InvalidElement),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.segment, self.position)
    }
}

/// A file of which single elements are wanted. Nothing but its first `ISA` need be right, and it
/// may be of any encoding that has ASCII's letters where ASCII has them.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    bytes: &'a [u8],
}

impl<'a> Head<'a> {
    /// Judges the first `ISA`.
    ///
    /// # Errors
    /// `x12_isa`.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Refusal> {
        Scan::open(bytes).map(|_| Self { bytes })
    }

    /// The element of the first segment of its name, without the blanks that pad it; `None` if it
    /// is absent or empty. Bytes that are no UTF-8 are read as Latin-1, so that no two elements
    /// become one text.
    #[must_use]
    pub fn get(&self, place: &Element) -> Option<Cow<'a, str>> {
        for found in Scan::open(self.bytes).ok()? {
            let element = found.separators.element;
            let mut elements = self.bytes[found.place].split(|byte| *byte == element).map(<[u8]>::trim_ascii);
            if elements.next() == Some(place.segment.as_bytes()) {
                return elements.nth(place.position - 1).filter(|text| !text.is_empty()).map(decoded);
            }
        }
        None
    }
}

fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// A segment of a file that may be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Those of its interchange.
    pub separators: Separators,
    /// Where the identifier and the elements are, with the blanks that pad them.
    pub places: Vec<Range<usize>>,
}

/// Cuts a file at its own separators, whatever it holds. What is not in a place is separators and
/// what is between segments.
///
/// # Errors
/// `x12_isa` when it does not begin with an `ISA` that says what the separators are.
pub fn cut(bytes: &[u8]) -> Result<Vec<Cut>, Refusal> {
    let cut = |Found { place, separators, .. }: Found| {
        let mut places = Vec::new();
        let mut from = place.start;
        for at in place.clone().filter(|at| bytes[*at] == separators.element) {
            places.push(from..at);
            from = at + 1;
        }
        places.push(from..place.end);
        Cut { separators, places }
    };
    Ok(Scan::open(bytes)?.map(cut).collect())
}

/// One interchange of a file.
#[derive(Debug)]
pub struct Interchange<'a> {
    /// `ISA`.
    pub header: Segment<'a>,
    /// Its transaction sets, of all its functional groups.
    pub sets: Vec<Set<'a>>,
}

/// One transaction set.
#[derive(Debug)]
pub struct Set<'a> {
    /// `GS` of the functional group that it is in.
    pub group: Segment<'a>,
    /// `ST`.
    pub header: Segment<'a>,
    /// What is between `ST` and `SE`.
    pub segments: Vec<Segment<'a>>,
}

/// One segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Its number in the file, from 1.
    pub at: usize,
    text: &'a str,
    separators: Separators,
}

impl<'a> Segment<'a> {
    /// The identifier, then the elements, without the blanks around them.
    pub fn elements(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let element = char::from(self.separators.element);
        self.text.split(element).map(|text| text.trim_matches(' '))
    }

    /// Its identifier, e.g. `LIN`.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.elements().next().unwrap_or_default()
    }

    /// Element `n`, from 1, without the blanks around it; nothing when it is empty or not there.
    #[must_use]
    pub fn get(&self, n: usize) -> Option<&'a str> {
        self.elements().nth(n).filter(|text| !text.is_empty())
    }

    /// The components of element `n`; none when it is not there.
    pub fn components(&self, n: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let component = char::from(self.separators.component);
        self.get(n).into_iter().flat_map(move |element| element.split(component))
    }

    /// Element `n`, which must not be empty.
    ///
    /// # Errors
    /// `x12_element_missing`.
    pub fn required(&self, n: usize) -> Result<&'a str, Refusal> {
        self.get(n).ok_or_else(|| self.refused("x12_element_missing", n, "is empty"))
    }

    /// Pairs of a qualifier and a value, the first qualifier being element `n`:
    /// `LIN*1*SK*KT-17*UP*012345678905` from 2. With each comes the number of its value. Pairs
    /// without a value are left out.
    pub fn pairs(&self, n: usize) -> impl Iterator<Item = (usize, &'a str, &'a str)> + use<'a> {
        let mut elements = self.elements().skip(n);
        let mut at = n + 1;
        std::iter::from_fn(move || {
            let pair = (at, elements.next()?, elements.next()?);
            at += 2;
            Some(pair)
        })
        .filter(|(_, qualifier, value)| !qualifier.is_empty() && !value.is_empty())
    }

    /// The first pair of [`pairs`](Self::pairs) whose qualifier is one of `wanted`; an earlier one of
    /// `wanted` wins over a later one, wherever it stands.
    pub fn pair_of(&self, n: usize, wanted: &[&str]) -> Option<(usize, &'a str, &'a str)> {
        wanted.iter().find_map(|wanted| self.pairs(n).find(|(_, qualifier, _)| qualifier == wanted))
    }

    /// A refusal of element `n`, or of the segment, when `n` is 0, which names it: `segment 12,
    /// LIN03 is empty`.
    #[must_use]
    pub fn refused(&self, code: &'static str, n: usize, why: &str) -> Refusal {
        let path = self.path(n);
        let name = path.rsplit('/').next().unwrap_or_default();
        Refusal::new(code, &*path, format!("segment {}, {name} {why}", self.at))
    }

    /// The place of element `n`: `/12/LIN03`; of the segment itself, when `n` is 0: `/12/LIN`.
    #[must_use]
    pub fn path(&self, n: usize) -> String {
        if n == 0 {
            format!("/{}/{}", self.at, self.id())
        } else {
            format!("/{}/{}{n:02}", self.at, self.id())
        }
    }

    /// A segment is one line to X12: a line break within an element is of a file that was wrapped
    /// at a width, and where the element went on nobody can tell.
    fn has_no_line_break(self) -> Result<Self, Refusal> {
        let Some(at) = self.text.bytes().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            return Ok(self);
        };
        let before = self.text[..at].bytes().filter(|byte| *byte == self.separators.element).count();
        Err(self.refused("x12_line_break", before, "has a line break within"))
    }
}

/// The interchanges of a file, their envelopes checked.
///
/// # Errors
/// `payload_not_utf8`, `x12_isa`, `x12_truncated`, `x12_line_break`, `x12_segment_unexpected`,
/// `x12_control_number`, `x12_count`, `x12_trailing`, `x12_interchange_doubled`, `x12_empty`.
pub fn interchanges(payload: &[u8]) -> Result<Vec<Interchange<'_>>, Refusal> {
    let text = str::from_utf8(payload).map_err(|e| {
        Refusal::new("payload_not_utf8", "", format!("not UTF-8 after byte {}", e.valid_up_to()))
    })?;
    let mut segments = Segments { scan: Scan::open(payload)?, text, read: 0 };
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    loop {
        let begun = segments.scan.at;
        let one = interchange(&mut segments)?;
        if !seen.insert(&text[begun..segments.scan.at]) {
            let why = "begins an interchange that is in the file already, byte for byte";
            return Err(one.header.refused("x12_interchange_doubled", 13, why));
        }
        all.push(one);
        if !segments.further()? {
            break;
        }
    }
    if all.iter().all(|one| one.sets.is_empty()) {
        return Err(Refusal::new("x12_empty", "", "the file has no transaction set"));
    }
    Ok(all)
}

/// The same, all of whose transaction sets are of `kind`, e.g. `846`.
///
/// # Errors
/// Those of [`interchanges`], and `x12_set_unexpected`.
pub fn interchanges_of<'a>(kind: &str, payload: &'a [u8]) -> Result<Vec<Interchange<'a>>, Refusal> {
    let all = interchanges(payload)?;
    for set in all.iter().flat_map(|one| &one.sets) {
        if set.header.get(1) != Some(kind) {
            return Err(set.header.refused("x12_set_unexpected", 1, &format!("is not {kind}")));
        }
    }
    Ok(all)
}

impl Interchange<'_> {
    /// Whether `ISA15` says that this is a test.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.header.get(15) == Some("T")
    }
}

fn interchange<'a>(segments: &mut Segments<'a>) -> Result<Interchange<'a>, Refusal> {
    let header = segments.expect("ISA")?;
    let mut sets = Vec::new();
    let mut groups = 0;
    let trailer = loop {
        let group = segments.expect("GS or IEA")?;
        match group.id() {
            "GS" => groups += 1,
            "IEA" => break group,
            // Whether an interchange of ours arrived: nothing that a transaction set says.
            "TA1" if groups == 0 => continue,
            _ => return Err(unexpected(&group, "GS or IEA")),
        }
        let before = sets.len();
        let end = loop {
            let start = segments.expect("ST or GE")?;
            match start.id() {
                "ST" => sets.push(set(group, start, segments)?),
                "GE" => break start,
                _ => return Err(unexpected(&start, "ST or GE")),
            }
        };
        counted(&end, sets.len() - before, "transaction sets")?;
        same(&end, 2, &group, 6)?;
    };
    counted(&trailer, groups, "functional groups")?;
    same(&trailer, 2, &header, 13)?;
    Ok(Interchange { header, sets })
}

fn set<'a>(group: Segment<'a>, header: Segment<'a>, segments: &mut Segments<'a>) -> Result<Set<'a>, Refusal> {
    let mut within = Vec::new();
    loop {
        let segment = segments.expect("SE")?;
        match segment.id() {
            "SE" => {
                counted(&segment, within.len() + 2, "segments")?;
                same(&segment, 2, &header, 2)?;
                return Ok(Set { group, header, segments: within });
            }
            "ISA" | "IEA" | "GS" | "GE" | "ST" => return Err(unexpected(&segment, "SE")),
            _ => within.push(segment),
        }
    }
}

struct Segments<'a> {
    scan: Scan<'a>,
    text: &'a str,
    read: usize,
}

impl<'a> Segments<'a> {
    fn expect(&mut self, what: &str) -> Result<Segment<'a>, Refusal> {
        let at = self.read + 1;
        let Some(Found { place, separators, .. }) = self.scan.next().filter(|found| found.ended) else {
            let why = format!("the file ends in segment {at}, where {what} is to come");
            return Err(Refusal::new("x12_truncated", format!("/{at}"), why));
        };
        self.read = at;
        Segment { at, text: &self.text[place], separators }.has_no_line_break()
    }

    /// Whether another interchange follows.
    fn further(&mut self) -> Result<bool, Refusal> {
        let rest = self.scan.rest();
        let at = self.read + 1;
        if self.scan.is_at_end() {
            return Ok(false);
        }
        if !rest.starts_with(b"ISA") {
            let why = format!("something follows IEA, segment {}, that is no other ISA", self.read);
            return Err(Refusal::new("x12_trailing", format!("/{at}"), why));
        }
        Separators::declared(rest).map(|_| true).map_err(|why| bad_header(at, why))
    }
}

fn unexpected(segment: &Segment<'_>, expected: &str) -> Refusal {
    let why = format!("segment {} is {:?}, where {expected} is to come", segment.at, segment.id());
    Refusal::new("x12_segment_unexpected", segment.path(0), why)
}

/// Element 1 of a trailer says how many there are.
fn counted(trailer: &Segment<'_>, found: usize, of: &str) -> Result<(), Refusal> {
    let stated = trailer.required(1)?;
    if stated.bytes().all(|byte| byte.is_ascii_digit()) && stated.parse() == Ok(found) {
        return Ok(());
    }
    Err(trailer.refused("x12_count", 1, &format!("states {stated} {of}, and there are {found}")))
}

/// A trailer repeats the control number of its header.
fn same(trailer: &Segment<'_>, n: usize, header: &Segment<'_>, m: usize) -> Result<(), Refusal> {
    let (ends, begun) = (trailer.required(n)?, header.required(m)?);
    if ends == begun || (ends.trim_start_matches('0') == begun.trim_start_matches('0')) {
        return Ok(());
    }
    let why = format!("is {ends}, and {}{m:02} is {begun}", header.id());
    Err(trailer.refused("x12_control_number", n, &why))
}

/// A decimal number as X12 writes it (type R), whose point may come first or last, as it is written
/// elsewhere: `.5` is `0.5`, `5.` is `5`. Anything else is as it was.
#[must_use]
pub fn decimal(text: &str) -> Cow<'_, str> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    if digits.len() < 2 || !(digits.starts_with('.') || digits.ends_with('.')) {
        return Cow::Borrowed(text);
    }
    let zero = if digits.starts_with('.') { "0" } else { "" };
    Cow::Owned(format!("{sign}{zero}{}", digits.strip_suffix('.').unwrap_or(digits)))
}

/// Decimal places that a hash total has.
const HASH_PLACES: usize = 9;

/// The sum of quantities, for the hash total of `CTT02`. Exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HashTotal(i128);

impl HashTotal {
    /// Adds a quantity of type R; says whether it is one, with at most nine decimal places.
    #[must_use]
    pub fn add(&mut self, quantity: &str) -> bool {
        let sum = Self::read(quantity).and_then(|quantity| self.0.checked_add(quantity));
        self.0 = sum.unwrap_or(self.0);
        sum.is_some()
    }

    /// Whether it is what an element states.
    #[must_use]
    pub fn is(&self, stated: &str) -> bool {
        Self::read(stated) == Some(self.0)
    }

    fn read(text: &str) -> Option<i128> {
        let text = decimal(text);
        let (negative, digits) = text.strip_prefix('-').map_or((false, &*text), |digits| (true, digits));
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || places.len() > HASH_PLACES {
            return None;
        }
        let mut number = 0_i128;
        let padding = std::iter::repeat_n(b'0', HASH_PLACES - places.len());
        for digit in whole.bytes().chain(places.bytes()).chain(padding) {
            let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
            number = number.checked_mul(10)?.checked_add(digit)?;
        }
        Some(if negative { -number } else { number })
    }
}

impl fmt::Display for HashTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u128.pow(9);
        let (sign, number) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let places = format!("{:09}", number % one);
        let places = places.trim_end_matches('0');
        let point = if places.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{places}", number / one)
    }
}

#[cfg(test)]
#[path = "x12_tests.rs"]
mod tests;

//! Where the members of a message are in its bytes, so that one can be changed and all the rest stays byte for byte.
//!
//! The place of a JSON member is its pointer; of a cell of CSV `/<line>/<column>`; of an element of X12 `/<segment>/<element>`, as in
//! `/6/N102`. What repeats has a name with `*` for its position. Of what has one name only the first
//! [`INPUTS_PER_NAME_MAX`] are kept; the rest is counted.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use sluice_core::contract::Format;
use sluice_core::json::{self, push_pointer};
use sluice_formats::{csv, x12};

use crate::limits::{INPUTS_PER_NAME_MAX, NAMES_MAX};

/// What stands in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text of JSON.
    Text,
    /// A number of JSON.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// An object or array: it is only left out, never replaced.
    Whole,
    /// A cell of CSV.
    Cell,
    /// A column of CSV: it is only left out.
    Column,
    /// An element of X12.
    Element,
    /// An element of X12 that has a fixed length.
    Fixed,
}

/// A member of the payload.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Where it is, for people.
    pub(crate) pointer: String,
    /// The same for every repetition.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What it says; of a text without quotes and escapes.
    pub(crate) text: String,
    /// The bytes of the value.
    pub(crate) value: Range<usize>,
    /// The bytes to cut out so that it is not there.
    pub(crate) cuts: Vec<Range<usize>>,
}

impl Place {
    /// The value, for people.
    pub(crate) fn shown(&self) -> Option<Value> {
        match self.kind {
            Kind::Whole | Kind::Column => None,
            Kind::Null => Some(Value::Null),
            Kind::Bool => Some(Value::Bool(self.text == "true")),
            Kind::Number if json::is_exact_double(&self.text) => serde_json::from_str(&self.text).ok(),
            Kind::Number | Kind::Text | Kind::Cell | Kind::Element | Kind::Fixed => {
                Some(Value::String(self.text.clone()))
            }
        }
    }
}

/// The members of a message: those that are kept, and how many there are of each name.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) kept: Vec<Place>,
    /// By name, how many there are.
    pub(crate) counts: BTreeMap<String, usize>,
    /// Those whose names are beyond [`NAMES_MAX`].
    pub(crate) unnamed: usize,
}

impl Places {
    /// Of a payload in UTF-8. What cannot be read as its format has none.
    pub(crate) fn of(format: Format, payload: &[u8]) -> Self {
        let mut places = Self::default();
        let Ok(text) = str::from_utf8(payload) else { return places };
        match format {
            Format::Json if json::parse(payload).is_ok() => {
                let mut scan = Scan { text, at: 0, pointer: String::new(), places: &mut places };
                if text.as_bytes().starts_with(json::BYTE_ORDER_MARK) {
                    scan.at = json::BYTE_ORDER_MARK.len();
                }
                scan.value();
            }
            Format::Json => {}
            Format::Csv => places.csv(text),
            Format::X12 => places.x12(text),
        }
        places
    }

    /// Whether a further one with this name is kept; it is counted either way.
    fn counted(&mut self, name: &str) -> bool {
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
            return *count <= INPUTS_PER_NAME_MAX;
        }
        if self.counts.len() >= NAMES_MAX {
            self.unnamed += 1;
            return false;
        }
        self.counts.insert(name.to_owned(), 1);
        true
    }

    fn csv(&mut self, text: &str) {
        let mut records = csv::cut(text);
        let Some(header) = records.next() else { return };
        let names: Vec<String> = header.cells.iter().map(|cell| cell.text.trim().to_owned()).collect();
        let mut columns: Vec<Place> = Vec::new();
        for (at, cell) in header.cells.iter().enumerate() {
            let mut pointer = String::from("/*");
            push_pointer(&mut pointer, &names[at]);
            columns.push(Place {
                pointer: format!("/{}{}", header.line, &pointer[2..]),
                name: pointer,
                kind: Kind::Column,
                text: String::new(),
                value: cell.place.clone(),
                cuts: Vec::new(),
            });
        }
        cut_cells(&header.cells, text, |at, cut| columns[at].cuts.push(cut));
        for record in records {
            cut_cells(&record.cells, text, |at, cut| {
                if let Some(column) = columns.get_mut(at) {
                    column.cuts.push(cut);
                }
            });
            for (at, cell) in record.cells.iter().enumerate() {
                let Some(column) = columns.get(at) else { continue };
                let name = format!("{}/cell", column.name);
                if !cell.text.trim().is_empty() && self.counted(&name) {
                    let pointer = format!("/{}{}", record.line, &column.name[2..]);
                    self.kept.push(Place {
                        pointer,
                        name: column.name.clone(),
                        kind: Kind::Cell,
                        text: cell.text.trim().to_owned(),
                        value: cell.place.clone(),
                        cuts: std::iter::once(cell.place.clone()).collect(),
                    });
                }
            }
        }
        // The cells of a column were counted apart from the column itself.
        let cells = std::mem::take(&mut self.counts);
        self.counts =
            cells.into_iter().map(|(name, n)| (name.trim_end_matches("/cell").to_owned(), n)).collect();
        self.kept.extend(columns);
    }

    fn x12(&mut self, text: &str) {
        let Ok(cut) = x12::cut(text.as_bytes()) else { return };
        for (at, segment) in cut.iter().enumerate() {
            let Some(id) = segment.places.first().map(|place| text[place.clone()].trim()) else { continue };
            for (n, place) in segment.places.iter().enumerate().skip(1) {
                let written = &text[place.clone()];
                let inner = written.trim();
                // ISA11 to ISA16 say how the file is written.
                if inner.is_empty() || (id == "ISA" && matches!(n, 11 | 12 | 16)) {
                    continue;
                }
                let name = format!("/*/{id}{n:02}");
                if self.counted(&name) {
                    let start = place.start + (written.len() - written.trim_start().len());
                    let value = start..start + inner.len();
                    self.kept.push(Place {
                        pointer: format!("/{}/{id}{n:02}", at + 1),
                        name,
                        kind: if id == "ISA" { Kind::Fixed } else { Kind::Element },
                        text: inner.to_owned(),
                        cuts: std::iter::once(value.clone()).collect(),
                        value,
                    });
                }
            }
        }
    }
}

/// Where each cell of a record is cut out with one separator, so that the others stay in their order.
fn cut_cells(cells: &[csv::Cell<'_>], text: &str, mut cut: impl FnMut(usize, Range<usize>)) {
    let whole = |at: usize| {
        let place = &cells[at].place;
        let quoted =
            cells[at].quoted && text[..place.start].ends_with('"') && text[place.end..].starts_with('"');
        if quoted { place.start - 1..place.end + 1 } else { place.clone() }
    };
    for at in 0..cells.len() {
        let place = whole(at);
        let range = if at + 1 < cells.len() {
            place.start..whole(at + 1).start
        } else if at > 0 {
            whole(at - 1).end..place.end
        } else {
            place
        };
        cut(at, range);
    }
}

/// Walks JSON that is known to be valid, and no deeper than its reader allows.
struct Scan<'t, 'p> {
    text: &'t str,
    at: usize,
    pointer: String,
    places: &'p mut Places,
}

impl Scan<'_, '_> {
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b' ')
    }

    fn blanks(&mut self) {
        while self.at < self.text.len() && self.byte().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    /// Over a text, quotes included.
    fn quoted(&mut self) -> Range<usize> {
        let start = self.at;
        self.at += 1;
        while self.at < self.text.len() && self.byte() != b'"' {
            self.at += if self.byte() == b'\\' { 2 } else { 1 };
        }
        self.at = (self.at + 1).min(self.text.len());
        start..self.at
    }

    /// Over one value. Its number among the places that are kept, if it is.
    fn value(&mut self) -> Option<usize> {
        self.blanks();
        let start = self.at;
        let own = if self.pointer.is_empty() {
            None
        } else {
            let name = crate::folded(&self.pointer);
            self.places.counted(&name).then(|| {
                let whole = Place {
                    pointer: self.pointer.clone(),
                    name,
                    kind: Kind::Whole,
                    text: String::new(),
                    value: start..start,
                    cuts: Vec::new(),
                };
                self.places.kept.push(whole);
                self.places.kept.len() - 1
            })
        };
        let kind = match self.byte() {
            open @ (b'{' | b'[') => {
                self.items(open == b'{');
                Kind::Whole
            }
            b'"' => {
                self.quoted();
                Kind::Text
            }
            first => {
                while self.at < self.text.len()
                    && !matches!(self.byte(), b',' | b'}' | b']')
                    && !self.byte().is_ascii_whitespace()
                {
                    self.at += 1;
                }
                match first {
                    b't' | b'f' => Kind::Bool,
                    b'n' => Kind::Null,
                    _ => Kind::Number,
                }
            }
        };
        if let Some(place) = own.and_then(|own| self.places.kept.get_mut(own)) {
            place.kind = kind;
            place.value = start..self.at;
            let written = &self.text[start..self.at];
            place.text = match kind {
                Kind::Text => serde_json::from_str(written).unwrap_or_else(|_| written.to_owned()),
                Kind::Whole => String::new(),
                _ => written.to_owned(),
            };
        }
        own
    }

    /// The members of an object, or the items of an array.
    fn items(&mut self, object: bool) {
        self.at += 1;
        // Where each begins and ends, and its number among the places.
        let mut found: Vec<(usize, usize, Option<usize>)> = Vec::new();
        let length = self.pointer.len();
        loop {
            self.blanks();
            match self.byte() {
                b'}' | b']' => break,
                b',' => {
                    self.at += 1;
                    continue;
                }
                _ if self.at >= self.text.len() => break,
                _ => {}
            }
            let start = self.at;
            if object {
                let key = self.quoted();
                let name: String = serde_json::from_str(&self.text[key.clone()])
                    .unwrap_or_else(|_| self.text[key].trim_matches('"').to_owned());
                push_pointer(&mut self.pointer, &name);
                self.blanks();
                // The colon.
                self.at += 1;
            } else {
                push_pointer(&mut self.pointer, &found.len().to_string());
            }
            let own = self.value();
            self.pointer.truncate(length);
            found.push((start, self.at, own));
        }
        self.at += 1;
        for (n, (start, end, own)) in found.iter().enumerate() {
            let Some(place) = own.and_then(|own| self.places.kept.get_mut(own)) else { continue };
            let cut = match (found.get(n + 1), n.checked_sub(1).and_then(|before| found.get(before))) {
                (Some((next, ..)), _) => *start..*next,
                (None, Some((_, before, _))) => *before..*end,
                (None, None) => *start..*end,
            };
            place.cuts = vec![cut];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(payload: &str, place: &Place) -> String {
        crate::change::spliced(payload.as_bytes(), &crate::change::cut(place))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    #[test]
    fn json_has_a_place_for_each_member_and_each_can_be_cut_out() {
        let text = "\u{feff}{ \"a\" : \"x\\\"y\", \"b/c\": [1, {\"d\":null}, true ] , \"e\":{} }";
        let places = Places::of(Format::Json, text.as_bytes());
        let found: Vec<(&str, &str, Kind, &str)> = places
            .kept
            .iter()
            .map(|one| (one.pointer.as_str(), one.name.as_str(), one.kind, one.text.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("/a", "/a", Kind::Text, "x\"y"),
                ("/b~1c", "/b~1c", Kind::Whole, ""),
                ("/b~1c/0", "/b~1c/*", Kind::Number, "1"),
                ("/b~1c/1", "/b~1c/*", Kind::Whole, ""),
                ("/b~1c/1/d", "/b~1c/*/d", Kind::Null, "null"),
                ("/b~1c/2", "/b~1c/*", Kind::Bool, "true"),
                ("/e", "/e", Kind::Whole, ""),
            ]
        );
        for place in &places.kept {
            let left = without(text, place);
            assert!(json::parse(left.as_bytes()).is_ok(), "{} leaves {left}", place.pointer);
            let items = json::parse(left.as_bytes()).ok();
            let gone = items.and_then(|json| json.pointer("/b~1c").map(|list| list.type_name()));
            assert_eq!(gone.is_none(), place.pointer == "/b~1c", "{left}");
        }
    }

    #[test]
    fn csv_has_cells_and_columns_and_a_column_goes_from_every_line() {
        let text = "sku;qty;name\r\n\"A;1\";5;x\r\nB;;y\r\n";
        let places = Places::of(Format::Csv, text.as_bytes());
        let cells: Vec<(&str, &str)> =
            places.kept.iter().map(|one| (one.pointer.as_str(), one.text.as_str())).collect();
        assert_eq!(
            cells,
            [
                ("/2/sku", "A;1"),
                ("/2/qty", "5"),
                ("/2/name", "x"),
                ("/3/sku", "B"),
                ("/3/name", "y"),
                ("/1/sku", ""),
                ("/1/qty", ""),
                ("/1/name", "")
            ]
        );
        let column = |pointer: &str| {
            let place = places.kept.iter().find(|one| one.pointer == pointer);
            place.map(|place| without(text, place)).unwrap_or_default()
        };
        assert_eq!(column("/1/sku"), "qty;name\r\n5;x\r\n;y\r\n");
        assert_eq!(column("/1/qty"), "sku;name\r\n\"A;1\";x\r\nB;y\r\n");
        assert_eq!(column("/1/name"), "sku;qty\r\n\"A;1\";5\r\nB;\r\n");
    }

    #[test]
    fn what_repeats_is_kept_in_part_and_counted() {
        let items: Vec<String> = (0..500).map(|n| format!("{{\"n\":{n}}}")).collect();
        let text = format!("[{}]", items.join(","));
        let places = Places::of(Format::Json, text.as_bytes());
        assert_eq!(places.counts.get("/*/n"), Some(&500));
        assert_eq!(places.kept.iter().filter(|one| one.name == "/*/n").count(), INPUTS_PER_NAME_MAX);
    }

    #[test]
    fn what_is_no_such_format_has_no_places() {
        assert!(Places::of(Format::Json, b"{\"a\":").kept.is_empty());
        assert!(Places::of(Format::X12, b"no ISA").kept.is_empty());
        assert!(Places::of(Format::Csv, b"").kept.is_empty());
        assert!(Places::of(Format::Csv, b"\xff").kept.is_empty());
    }
}

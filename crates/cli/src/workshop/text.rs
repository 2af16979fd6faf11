//! Messages that are files of text, cut into the places that a value may stand in, so that one can be read or replaced and all
//! the rest stays byte for byte.
//!
//! A stored message may be the very one that its mapper could not read: bytes that are no UTF-8 are taken for Latin-1, a quote that is
//! not closed ends with the file, and so on. How a mapper reads the same is `mapper_sdk::csv`. X12 is cut by
//! `sluice_formats::x12::cut`.

use std::borrow::Cow;
use std::ops::Range;

/// A file's text, and how to write it back.
#[derive(Debug)]
pub struct Text {
    /// The characters.
    pub text: String,
    latin1: bool,
}

impl Text {
    /// Decodes a file.
    pub fn of(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self { text: text.to_owned(), latin1: false },
            Err(_) => Self { text: bytes.iter().copied().map(char::from).collect(), latin1: true },
        }
    }

    /// The file with other text in some places, which do not overlap and are in order.
    pub fn with(&self, replaced: &[(Range<usize>, String)]) -> Vec<u8> {
        let mut text = String::with_capacity(self.text.len());
        let mut from = 0;
        for (place, other) in replaced {
            text.push_str(&self.text[from..place.start]);
            text.push_str(other);
            from = place.end;
        }
        text.push_str(&self.text[from..]);
        match self.latin1 {
            false => text.into_bytes(),
            true => text.chars().map(|one| u8::try_from(u32::from(one)).unwrap_or(b'?')).collect(),
        }
    }
}

/// A CSV file: its records, the header first. Lines that are empty are none.
#[derive(Debug)]
pub struct Csv<'t> {
    /// What stands between fields.
    pub separator: char,
    /// The records.
    pub records: Vec<Record<'t>>,
}

/// A record of a CSV file.
#[derive(Debug)]
pub struct Record<'t> {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// Its fields.
    pub cells: Vec<Cell<'t>>,
}

/// A field of a CSV file.
#[derive(Debug)]
pub struct Cell<'t> {
    /// Where its text is, without the quotes around it.
    pub place: Range<usize>,
    /// In quotes, which end where the field does.
    pub quoted: bool,
    /// What it says.
    pub text: Cow<'t, str>,
}

/// What separates fields: that of the four which the first line has most often, the comma when it has none. As `mapper_sdk::csv`.
fn separator(line: &str) -> u8 {
    let count = |separator: &u8| line.bytes().filter(|byte| byte == separator).count();
    [b'|', b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

impl<'t> Csv<'t> {
    /// Cuts a file.
    pub fn of(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let first = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty());
        let separator = separator(first.unwrap_or_default());
        let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
        let mut line = 1;
        let mut records = Vec::new();
        while at < bytes.len() {
            if let Some(end) = line_break(bytes, at) {
                (at, line) = (end, line + 1);
                continue;
            }
            let mut record = Record { line, cells: Vec::new() };
            loop {
                let cell = Cell::at(text, at, separator);
                at = cell.place.end + usize::from(cell.quoted);
                line += breaks(&text[cell.place.clone()]);
                record.cells.push(cell);
                if bytes.get(at) != Some(&separator) {
                    break;
                }
                at += 1;
            }
            records.push(record);
            if let Some(end) = line_break(bytes, at) {
                (at, line) = (end, line + 1);
            }
        }
        Self { separator: char::from(separator), records }
    }
}

impl<'t> Cell<'t> {
    fn at(text: &'t str, from: usize, separator: u8) -> Self {
        let bytes = text.as_bytes();
        let plain_end = |from: usize| {
            let ends = |byte: &u8| *byte == separator || *byte == b'\n' || *byte == b'\r';
            bytes[from..].iter().position(ends).map_or(bytes.len(), |at| from + at)
        };
        if bytes.get(from) != Some(&b'"') {
            let place = from..plain_end(from);
            return Self { text: Cow::Borrowed(&text[place.clone()]), place, quoted: false };
        }
        let mut at = from + 1;
        while let Some(quote) = text[at..].find('"').map(|found| at + found) {
            if bytes.get(quote + 1) == Some(&b'"') {
                at = quote + 2;
                continue;
            }
            let place = from + 1..quote;
            if quote + 1 == plain_end(quote + 1) {
                let inner = &text[place.clone()];
                let text =
                    if inner.contains('"') { inner.replace("\"\"", "\"").into() } else { inner.into() };
                return Self { place, quoted: true, text };
            }
            let place = from..plain_end(quote + 1);
            return Self { text: Cow::Borrowed(&text[place.clone()]), place, quoted: false };
        }
        Self { place: from..bytes.len(), quoted: false, text: Cow::Borrowed(&text[from..]) }
    }

    /// As it is written in the file with another text.
    pub fn written(&self, text: &str) -> String {
        if self.quoted { text.replace('"', "\"\"") } else { text.to_owned() }
    }
}

/// Where the line break that begins here ends.
fn line_break(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)? {
        [b'\r', b'\n', ..] => Some(at + 2),
        [b'\r' | b'\n', ..] => Some(at + 1),
        _ => None,
    }
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let csv = Csv::of(text);
        csv.records
            .iter()
            .map(|record| record.cells.iter().map(|cell| cell.text.clone().into_owned()).collect())
            .collect()
    }

    #[test]
    fn the_separator_is_the_headers() {
        for separator in [',', ';', '\t', '|'] {
            let text = format!("\u{feff}sku{separator}qty\r\nA{separator}1\r\n");
            let csv = Csv::of(&text);
            assert_eq!((csv.separator, csv.records.len()), (separator, 2));
            assert_eq!(cells(&text), [["sku", "qty"], ["A", "1"]]);
        }
    }

    #[test]
    fn quotes_hold_separators_line_breaks_and_quotes() {
        let text = "a,b\n\"x, \"\"y\"\"\nz\",1\n\n\"open,2\n";
        let csv = Csv::of(text);
        assert_eq!(cells(text)[1], ["x, \"y\"\nz", "1"]);
        let lines: Vec<usize> = csv.records.iter().map(|record| record.line).collect();
        assert_eq!(lines, [1, 2, 5]);
        assert_eq!(cells(text)[2], ["\"open,2\n"], "not closed: to the end");
        assert_eq!(cells("a,b\n\"x\"y,1\n")[1], ["\"x\"y", "1"]);
        assert_eq!(cells("a,b\n1,")[1], ["1", ""]);
    }

    #[test]
    fn what_is_not_replaced_stays_byte_for_byte() {
        let bytes = b"a;b\r\ncaf\xe9;\xff\r\n";
        let text = Text::of(bytes);
        assert_eq!(text.with(&[]), bytes);
        let csv = Csv::of(&text.text);
        let cell = &csv.records[1].cells[0];
        assert_eq!(cell.text, "café");
        assert_eq!(text.with(&[(cell.place.clone(), "xxxö".into())]), b"a;b\r\nxxx\xf6;\xff\r\n");
    }
}

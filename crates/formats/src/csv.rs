//! CSV as vendors send it: RFC 4180, and what Excel and hand-written exporters make of it.
//!
//! - The separator (comma, semicolon, tab or bar) is the one that the header has most often. Where the
//!   first line is Excel's `sep=;`, it is the one that this line names, and the header is behind it. A
//!   line ends with CR LF, LF or CR. A byte order mark is skipped.
//! - A row whose every field is blank says nothing and is no record: Excel leaves `,,,` where somebody cleared a row.
//! - A field is quoted when its first character that is no blank is a quote; blanks around the quotes are no part of it.
//!   RFC 4180 allows quotes nowhere else (section 2, rules 5 to 7), and other readers disagree on what they mean there. So a
//!   quote within an unquoted field, text behind a closed quote and a quote that is not closed are refused, `csv_quote`.
//! - A record has as many fields as the header. Excel pads some rows with empty fields, and leaves out empty ones at the end of
//!   others (Microsoft, KB 77295): more fields are fine if they are empty, fewer if only columns without a name are missing.
//! - The last line needs no line break (RFC 4180, section 2, rule 2). Where the file ends behind a separator it may have been cut
//!   off, and a value be missing: `csv_cut_off`.
//!
//! [`cut`] finds the records of any text, and where each field stands in it, so that one can be replaced and the rest stays byte for
//! byte; what it cannot read it takes as it stands. [`Reader`] refuses what `cut` could not read, and finds columns by the
//! header's names, in any order and case.
//!
//! Invariants: a field is borrowed unless it has a doubled quote; a record knows the line that it begins on; memory is that of one
//! record.

use std::borrow::Cow;
use std::ops::Range;

use crate::Refusal;
use crate::identifier::trimmed;

/// A field, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell<'a> {
    /// What it says. Of a field that cannot be read: as it stands.
    pub text: Cow<'a, str>,
    /// Where that is in the text, without the quotes around it.
    pub place: Range<usize>,
    /// It stands in quotes, which are closed and have nothing behind them.
    pub quoted: bool,
    /// Why it cannot be read, if it cannot.
    fault: Option<&'static str>,
}

impl Cell<'_> {
    /// Another text, as it is written in the place of this one.
    #[must_use]
    pub fn written(&self, text: &str) -> String {
        if self.quoted { text.replace('"', "\"\"") } else { text.to_owned() }
    }
}

/// The records of a text that are not blank, the header first.
#[derive(Debug, Clone)]
pub struct Cut<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    separator: u8,
}

/// Cuts a text into records, whatever it is.
#[must_use]
pub fn cut(text: &str) -> Cut<'_> {
    let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let first = text[at..].split(['\n', '\r']).find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut cut = Cut { text, at, line: 1, separator: separator(first) };
    if let Some(stated) = stated_separator(first) {
        while cut.line_break() {}
        // Blank lines before it were no records either.
        cut.at += text[cut.at..].find(first).unwrap_or_default() + first.len();
        cut.line_break();
        cut.separator = stated;
    }
    cut
}

/// The separator that a line `sep=;` names, in quotes or not, for Excel's own eyes. Such a line is no
/// header: it has no other column.
fn stated_separator(line: &str) -> Option<u8> {
    let line = line.trim_matches(' ');
    let line = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line);
    let (name, stated) = line.split_at_checked("sep=".len())?;
    let stated = <[u8; 1]>::try_from(stated.as_bytes()).ok()?[0];
    (name.eq_ignore_ascii_case("sep=") && b"|\t;,".contains(&stated)).then_some(stated)
}

/// The separator of a header: the one of the four that is in it most often, outside of quotes; the comma when none is.
fn separator(header: &str) -> u8 {
    let mut quoted = false;
    let mut counts = [(b'|', 0), (b'\t', 0), (b';', 0), (b',', 0_usize)];
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(separator, _)| !quoted && *separator == byte) {
            *count += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| separator)
}

impl<'a> Cut<'a> {
    /// What stands between fields.
    #[must_use]
    pub fn separator(&self) -> char {
        char::from(self.separator)
    }

    fn row(&mut self) -> Option<Record<'a>> {
        while self.line_break() {}
        if self.at == self.text.len() {
            return None;
        }
        let mut record = Record { line: self.line, cells: Vec::new(), ended: false };
        loop {
            record.cells.push(self.cell());
            if self.text.as_bytes().get(self.at) != Some(&self.separator) {
                record.ended = self.line_break();
                return Some(record);
            }
            self.at += 1;
        }
    }

    fn cell(&mut self) -> Cell<'a> {
        let from = self.at;
        let quote = from + self.text[from..].bytes().take_while(|byte| self.blank(*byte)).count();
        if self.text.as_bytes().get(quote) == Some(&b'"') {
            return self.quoted(from, quote);
        }
        self.at = self.end_of_field(from);
        let text = &self.text[from..self.at];
        let fault = text.bytes().any(|byte| byte == b'"').then_some("a quote stands within a field");
        Cell { text: Cow::Borrowed(text), place: from..self.at, quoted: false, fault }
    }

    /// The field whose opening quote is at `quote`.
    fn quoted(&mut self, from: usize, quote: usize) -> Cell<'a> {
        let bytes = self.text.as_bytes();
        let inner = quote + 1;
        let mut doubled = false;
        let mut search = inner;
        let closing = loop {
            let found = self.text[search..].find('"').map(|at| search + at);
            match found {
                Some(at) if bytes.get(at + 1) == Some(&b'"') => {
                    doubled = true;
                    search = at + 2;
                }
                found => break found,
            }
        };
        let Some(closing) = closing else {
            return self.unreadable(from, self.text.len(), "a quote is not closed");
        };
        let end = self.end_of_field(closing + 1);
        if !self.text[closing + 1..end].bytes().all(|byte| self.blank(byte)) {
            return self.unreadable(from, end, "text follows a closed quote");
        }
        let text = &self.text[inner..closing];
        self.line += breaks(text);
        self.at = end;
        let text = if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) };
        Cell { text, place: inner..closing, quoted: true, fault: None }
    }

    fn unreadable(&mut self, from: usize, end: usize, fault: &'static str) -> Cell<'a> {
        let text = &self.text[from..end];
        self.line += breaks(text);
        self.at = end;
        Cell { text: Cow::Borrowed(text), place: from..end, quoted: false, fault: Some(fault) }
    }

    /// Blanks that may stand around quotes; a tab that separates is none.
    fn blank(&self, byte: u8) -> bool {
        byte == b' ' || (byte == b'\t' && self.separator != b'\t')
    }

    fn end_of_field(&self, from: usize) -> usize {
        let ends = |byte: u8| byte == self.separator || byte == b'\n' || byte == b'\r';
        self.text[from..].bytes().position(ends).map_or(self.text.len(), |at| from + at)
    }

    /// Steps over one line break, if one is here.
    fn line_break(&mut self) -> bool {
        let bytes = match &self.text.as_bytes()[self.at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return false,
        };
        self.at += bytes;
        self.line += 1;
        true
    }
}

/// Line breaks within a field: CR LF, LF and CR, as between records.
fn breaks(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    (0..bytes.len()).filter(ends).count()
}

impl<'a> Iterator for Cut<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let row = self.row()?;
            if !row.is_blank() {
                return Some(row);
            }
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The line that it begins on; the text's first is 1.
    pub line: usize,
    /// Its fields.
    pub cells: Vec<Cell<'a>>,
    /// A line break is behind it.
    ended: bool,
}

/// A column, found in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column(usize);

impl<'a> Record<'a> {
    fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.trim().is_empty())
    }

    /// A field without the blanks around it; nothing when it is empty or the column is not there.
    #[must_use]
    pub fn get(&self, column: impl Into<Option<Column>>) -> Option<Cow<'a, str>> {
        let Column(at) = column.into()?;
        let text = trimmed(self.cells.get(at)?.text.clone());
        (!text.is_empty()).then_some(text)
    }

    /// A field that must not be empty.
    ///
    /// # Errors
    /// `csv_field_missing` with the record's line and the column's `name`.
    pub fn required(&self, column: Column, name: &str) -> Result<Cow<'a, str>, Refusal> {
        self.get(column).ok_or_else(|| self.refused("csv_field_missing", name, "is empty"))
    }

    /// A refusal of one field, which names the line: `line 3: sku is empty`.
    #[must_use]
    pub fn refused(&self, code: &'static str, name: &str, why: &str) -> Refusal {
        Refusal::new(code, self.path(name), format!("line {}: {name} {why}", self.line))
    }

    /// The place of a field: `/3/sku`.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.line)
    }
}

/// A file: its header, and its records one after another.
#[derive(Debug)]
pub struct Reader<'a> {
    rows: Cut<'a>,
    header: Vec<Cow<'a, str>>,
    /// The line that the header begins on.
    header_line: usize,
}

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `payload_not_utf8`, `csv_empty`, `csv_column_doubled`, `csv_quote`.
    pub fn new(payload: &'a [u8]) -> Result<Self, Refusal> {
        let text = str::from_utf8(payload).map_err(|e| {
            let line = breaks(str::from_utf8(&payload[..e.valid_up_to()]).unwrap_or_default()) + 1;
            Refusal::new("payload_not_utf8", format!("/{line}"), format!("line {line}: not UTF-8"))
        })?;
        let mut rows = cut(text);
        let Some(header) = rows.next() else {
            return Err(Refusal::new("csv_empty", "", "there is no header line"));
        };
        let line = header.line;
        let header = readable(header)?.cells.into_iter().map(|cell| trimmed(cell.text)).collect();
        let reader = Self { rows, header, header_line: line };
        for (at, name) in reader.header.iter().enumerate() {
            if !name.is_empty() && reader.header[..at].iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(Refusal::new(
                    "csv_column_doubled",
                    format!("/{line}"),
                    format!("line {line}: the header has {name:?} twice"),
                ));
            }
        }
        Ok(reader)
    }

    /// The names of the columns, in the order of the file; an empty one has no name.
    #[must_use]
    pub fn names(&self) -> &[Cow<'a, str>] {
        &self.header
    }

    /// The columns without a name.
    pub fn unnamed(&self) -> impl Iterator<Item = Column> {
        self.header.iter().enumerate().filter(|(_, name)| name.is_empty()).map(|(at, _)| Column(at))
    }

    /// A column that may be there.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<Column> {
        self.header.iter().position(|found| found.eq_ignore_ascii_case(name)).map(Column)
    }

    /// A column that must be there.
    ///
    /// # Errors
    /// `csv_column_missing`.
    pub fn required(&self, name: &str) -> Result<Column, Refusal> {
        self.column(name).ok_or_else(|| {
            let found = self.header.join(", ");
            let line = self.header_line;
            let why = format!("line {line}: no column {name:?} in {found}");
            Refusal::new("csv_column_missing", format!("/{line}"), why)
        })
    }

    /// The next record that is not blank.
    ///
    /// # Errors
    /// `csv_quote` where quotes stand where they may not, `csv_fields` where there are more or fewer fields than in the
    /// header, `csv_cut_off` where the file ends behind a separator. After the first two, the record behind it can be read, but for a quote that is not closed, which ends the file.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Refusal> {
        let Some(record) = self.rows.next() else { return Ok(None) };
        let mut record = readable(record)?;
        if !record.ended
            && record.cells.last().is_some_and(|cell| cell.text.trim().is_empty() && !cell.quoted)
        {
            let line = record.line;
            let why = format!("line {line}: the file ends behind a separator: it may be cut off");
            return Err(Refusal::new("csv_cut_off", format!("/{line}"), why));
        }
        let columns = self.header.len();
        let named = self.header.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let said =
            record.cells.iter().rposition(|cell| !cell.text.trim().is_empty()).map_or(0, |last| last + 1);
        record.cells.truncate(columns.max(said));
        if !(named..=columns).contains(&record.cells.len()) {
            let why =
                format!("line {}: {} fields, and {columns} in the header", record.line, record.cells.len());
            return Err(Refusal::new("csv_fields", format!("/{}", record.line), why));
        }
        Ok(Some(record))
    }
}

fn readable(record: Record<'_>) -> Result<Record<'_>, Refusal> {
    match record.cells.iter().find_map(|cell| cell.fault) {
        None => Ok(record),
        Some(why) => {
            let line = record.line;
            Err(Refusal::new("csv_quote", format!("/{line}"), format!("line {line}: {why}")))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, Refusal> {
        let mut reader = Reader::new(text.as_bytes())?;
        let mut rows = Vec::new();
        while let Some(record) = reader.next_record()? {
            rows.push((record.line, record.cells.iter().map(|cell| cell.text.to_string()).collect()));
        }
        Ok(rows)
    }

    #[test]
    fn records_are_those_of_rfc_4180() {
        let text = "\u{feff}a,b,c\r\n1,\"x, \"\"y\"\"\r\nz\",\r\n\r\n 4,5,6\n7,8,9";
        let rows = rows(text).unwrap();
        assert_eq!(rows[0], (2, vec!["1".into(), "x, \"y\"\r\nz".into(), String::new()]));
        assert_eq!(rows[1], (5, vec![" 4".into(), "5".into(), "6".into()]));
        assert_eq!(rows[2], (6, vec!["7".into(), "8".into(), "9".into()]));
    }

    #[test]
    fn a_row_whose_fields_are_blank_is_none() {
        let text = ",,,\na,b,c\n,,\n1,2,3\n\"\", ,\u{a0}\n,,,,,\n\n   \n;\n4,5,6\n,,";
        let refused = rows(text).expect_err("a semicolon is a value here");
        assert_eq!((refused.code(), refused.path()), ("csv_fields", "/9"));
        let rows = rows(&text.replace(";\n", "")).unwrap();
        assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 9]);
        assert_eq!(Reader::new(b";;;\r\n;;;\r\n").expect_err("no header").code(), "csv_empty");
    }

    #[test]
    fn the_line_that_names_the_separator_is_no_header() {
        let expected = vec![(3, vec!["A-1".to_owned(), "1,5".to_owned()])];
        for text in [
            "sep=;\r\nsku;level\r\nA-1;1,5\r\n",
            "\u{feff}SEP=;\nsku;level\nA-1;1,5\n",
            "\"sep=;\"\rsku;level\rA-1;1,5\r",
            "sep=\t\nsku\tlevel\nA-1\t1,5\n",
        ] {
            assert_eq!(rows(text).unwrap(), expected, "{text:?}");
        }
        // The header's own count does not hold against what the first line says.
        let one = rows("sep=;\na,b;c\n1,2;3\n").unwrap();
        assert_eq!(one, [(3, vec!["1,2".to_owned(), "3".to_owned()])]);
        let later = rows("\n\nsep=,\na,b\n1,2\n").unwrap();
        assert_eq!(later, [(5, vec!["1".to_owned(), "2".to_owned()])]);
        // A column of that name, another character, and no header at all.
        assert_eq!(rows("sep=,b\n1,2\n").unwrap().len(), 1);
        assert_eq!(Reader::new(b"sep=x\n1\n").unwrap().names(), ["sep=x"]);
        assert_eq!(Reader::new(b"sep=;").expect_err("no header").code(), "csv_empty");
    }

    #[test]
    fn cells_that_excel_pads_with_say_nothing() {
        assert_eq!(rows("a,b,,\n1,2\n3,4,,\n5,6, ,,\n").unwrap().len(), 3);
        assert_eq!(rows("a,b,,\n1,2,x\n").unwrap()[0].1, ["1", "2", "x"], "of a column without a name");
        for (text, path) in [("a,b\n1,2,,x\n", "/2"), ("a,b,,\n1,2,3,4,5\n", "/2"), ("a,b,c\n1,2\n", "/2")] {
            let refused = rows(text).expect_err(text);
            assert_eq!((refused.code(), refused.path()), ("csv_fields", path), "{text:?}");
        }
    }

    #[test]
    fn blanks_may_stand_around_quotes() {
        let rows = rows("sku, name, place\nA-1, \"Lamp, 3 W\" ,\t\"NOR\"\nA-2,\"x\" \t, \" y \"\n").unwrap();
        assert_eq!(rows[0].1, ["A-1", "Lamp, 3 W", "NOR"]);
        assert_eq!(rows[1].1, ["A-2", "x", " y "]);
    }

    #[test]
    fn a_quote_anywhere_else_is_refused_and_never_part_of_a_value() {
        for text in [
            "a,b\n27\" screen,2\n",
            "a,b\nx\"y\",2\n",
            "a,b\n\"1\"x,2\n",
            "a,b\n \"1\" x,2\n",
            "a,b\n=\"001\",2\n",
            "a,b\n\"1,2\n",
            "a,b\n\u{a0}\"1\",2\n",
            "a\tb\nx\"\t1\n",
        ] {
            let refused = rows(text).expect_err(text);
            assert_eq!((refused.code(), refused.path()), ("csv_quote", "/2"), "{text:?}");
        }
        // The record behind it can be read.
        let mut reader = Reader::new(b"a,b\n\"1\"x,2\n3,4\n").unwrap();
        assert!(reader.next_record().is_err());
        assert_eq!(reader.next_record().unwrap().unwrap().line, 3);
        // A tab that separates is no blank.
        assert_eq!(rows("a\tb\n\t\"x\"\n").unwrap()[0].1, ["", "x"]);
    }

    #[test]
    fn the_header_says_what_separates_and_where_a_column_is() {
        for text in [
            "Sku;QTY\nA,1;2",
            "sku\tqty\nA,1\t2",
            "\"sku\",\"qty\"\n\"A,1\",2",
            "\"sku\"|\"a,b,c\"|qty\rA,1||2",
        ] {
            let mut reader = Reader::new(text.as_bytes()).unwrap();
            let [sku, quantity] = [reader.required("sku").unwrap(), reader.column("qty").unwrap()];
            let record = reader.next_record().unwrap().unwrap();
            assert_eq!(record.get(sku).as_deref(), Some("A,1"));
            assert_eq!(record.required(quantity, "qty").as_deref(), Ok("2"));
            assert_eq!(record.get(reader.column("more")), None);
        }
    }

    #[test]
    fn faults_name_the_line() {
        for (text, code, path) in [
            ("", "csv_empty", ""),
            ("\r\n\r\n", "csv_empty", ""),
            ("a,A\n", "csv_column_doubled", "/1"),
            ("\na,A\n", "csv_column_doubled", "/2"),
            ("a,b\n1,2\n3\n", "csv_fields", "/3"),
            ("a,b\n1,2,3\n", "csv_fields", "/2"),
            ("a,b\n\"1\n\",2\n3,\"4", "csv_quote", "/4"),
            ("a,b\r\"1\r\r\n\",2\r3,\"4", "csv_quote", "/5"),
            ("a,b\n1,2\n3,", "csv_cut_off", "/3"),
        ] {
            let refused = rows(text).expect_err(text);
            assert_eq!((refused.code(), refused.path()), (code, path), "{text:?}");
        }
        let refused = Reader::new(b"a,b\n1,2\n3,\xff\n").unwrap_err();
        assert_eq!((refused.code(), refused.path()), ("payload_not_utf8", "/3"));
        let missing = Reader::new(b"a,b\n").unwrap().required("sku").unwrap_err();
        assert_eq!(missing.message(), "line 1: no column \"sku\" in a, b");
    }

    #[test]
    fn what_cannot_be_read_is_cut_as_it_stands() {
        let text = "a,b\n\"x, \"\"y\"\"\nz\",1\n\n\"x\"y,1\n \"q\" ,\n\"open,2\n";
        let records: Vec<Record<'_>> = cut(text).collect();
        let cells = |at: usize| records[at].cells.iter().map(|cell| &*cell.text).collect::<Vec<_>>();
        assert_eq!(cells(1), ["x, \"y\"\nz", "1"]);
        assert_eq!(cells(2), ["\"x\"y", "1"]);
        assert_eq!(cells(3), ["q", ""]);
        assert_eq!(cells(4), ["\"open,2\n"], "not closed: to the end");
        assert_eq!(records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 2, 5, 6, 7]);
        let quoted = &records[1].cells[0];
        assert_eq!(&text[quoted.place.clone()], "x, \"\"y\"\"\nz");
        assert_eq!(quoted.written("a\"b"), "a\"\"b");
        assert_eq!((cut(text).separator(), records[2].cells[0].quoted), (',', false));
    }

    fn field() -> impl Strategy<Value = String> {
        "[a-z0-9 ,;|\t\"\r\n\u{a0}é]{0,8}"
    }

    proptest! {
        #[test]
        fn nothing_panics_and_both_readers_agree(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = String::from_utf8_lossy(&bytes);
            let records: Vec<Record<'_>> = cut(&text).collect();
            for cell in records.iter().flat_map(|record| &record.cells) {
                let stands = &text[cell.place.clone()];
                prop_assert_eq!(if cell.quoted { stands.replace("\"\"", "\"") } else { stands.to_owned() }, &*cell.text);
            }
            if let Ok(rows) = rows(&text) {
                prop_assert_eq!(rows.len() + 1, records.len());
            }
            let _ = Reader::new(&bytes).map(|mut reader| while let Ok(Some(_)) = reader.next_record() {});
        }

        #[test]
        fn what_is_written_with_quotes_is_read_back(
            rows in proptest::collection::vec(proptest::collection::vec(field(), 3), 1..6),
            separator in proptest::sample::select(vec![",", ";", "\t", "|"]),
            blank in proptest::sample::select(vec!["", " ", "  "]),
            end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let quoted = |text: &String| format!("{blank}\"{}\"{blank}", text.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(separator) + end;
            let file = ["a", "b", "c"].join(separator) + end + &rows.iter().map(line).collect::<String>();
            let says: Vec<&Vec<String>> =
                rows.iter().filter(|row| row.iter().any(|field| !field.trim().is_empty())).collect();
            let read = self::rows(&file).unwrap();
            prop_assert_eq!(read.iter().map(|(_, row)| row).collect::<Vec<_>>(), says);
        }

        #[test]
        fn a_file_that_is_cut_off_has_no_record_with_a_field_missing(at in 0..60_usize) {
            const FILE: &str = "sku;place;qty;name\r\nA-1;NOR;12;\"Lamp; \"\"L\"\"\"\r\nB-2;SUD;7;Kettle\r\n";
            let mut cut = at.min(FILE.len());
            while !FILE.is_char_boundary(cut) {
                cut -= 1;
            }
            for (_, row) in rows(&FILE[..cut]).unwrap_or_default() {
                prop_assert!(row.len() == 4 && row.iter().all(|field| !field.is_empty()), "{row:?}");
            }
        }
    }
}

//! CSV as vendors send it: RFC 4180, with a line feed alone allowed, a byte order mark skipped, and the separator (comma,
//! semicolon, tab or bar) read from the header.
//!
//! Columns are found by the header's names, in any order and case. A record knows the line that it begins on, so that a
//! refusal can name it.
//!
//! Invariants: a field is borrowed unless it has a doubled quote; every record has as many fields as the header.

use std::borrow::Cow;

use crate::MapError;

/// A file: its header, and its records one after another.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a str,
    line: usize,
    separator: u8,
    header: Vec<Cow<'a, str>>,
}

/// One record.
#[derive(Debug)]
pub struct Record<'a> {
    /// The line that it begins on; the header's is 1.
    pub line: usize,
    fields: Vec<Cow<'a, str>>,
}

/// A column, found in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column(usize);

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `payload_not_utf8`, `csv_empty`, `csv_column_doubled`, `csv_quote`.
    pub fn new(payload: &'a [u8]) -> Result<Self, MapError> {
        let text = str::from_utf8(payload).map_err(|e| {
            let lines = payload[..e.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            MapError::new(
                "payload_not_utf8",
                format!("/{}", lines + 1),
                format!("line {}: not UTF-8", lines + 1),
            )
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let separator = separator(first);
        let mut reader = Self { rest: text, line: 1, separator, header: Vec::new() };
        let Some(header) = reader.read()? else {
            return Err(MapError::new("csv_empty", "", "there is no header line"));
        };
        reader.header = header.fields.into_iter().map(crate::text::trimmed).collect();
        for (at, name) in reader.header.iter().enumerate() {
            if !name.is_empty() && reader.header[..at].iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(MapError::new(
                    "csv_column_doubled",
                    "/1",
                    format!("line 1: the header has {name:?} twice"),
                ));
            }
        }
        Ok(reader)
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
    pub fn required(&self, name: &str) -> Result<Column, MapError> {
        self.column(name).ok_or_else(|| {
            let found = self.header.join(", ");
            MapError::new("csv_column_missing", "/1", format!("line 1: no column {name:?} in {found}"))
        })
    }

    /// The next record that is not blank.
    ///
    /// # Errors
    /// `csv_quote` where quotes do not end or text follows them, `csv_fields` where there are more or fewer fields than in
    /// the header. After an error of `csv_fields`, the record behind it can be read.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, MapError> {
        let Some(record) = self.read()? else { return Ok(None) };
        if record.fields.len() != self.header.len() {
            return Err(MapError::new(
                "csv_fields",
                format!("/{}", record.line),
                format!(
                    "line {}: {} fields, and {} in the header",
                    record.line,
                    record.fields.len(),
                    self.header.len()
                ),
            ));
        }
        Ok(Some(record))
    }

    fn read(&mut self) -> Result<Option<Record<'a>>, MapError> {
        while self.line_break() {}
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let mut fields = Vec::with_capacity(self.header.len());
        loop {
            let field = if self.rest.as_bytes()[0] == b'"' { self.quoted(line)? } else { self.plain() };
            fields.push(field);
            if self.rest.as_bytes().first() != Some(&self.separator) {
                self.line_break();
                return Ok(Some(Record { line, fields }));
            }
            self.rest = &self.rest[1..];
            if self.rest.is_empty() {
                fields.push(Cow::Borrowed(""));
                return Ok(Some(Record { line, fields }));
            }
        }
    }

    /// Steps over one line break, if one is here.
    fn line_break(&mut self) -> bool {
        let bytes = match self.rest.as_bytes() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return false,
        };
        self.rest = &self.rest[bytes..];
        self.line += 1;
        true
    }

    fn plain(&mut self) -> Cow<'a, str> {
        let separator = self.separator;
        let end = self.rest.bytes().position(|byte| byte == separator || byte == b'\n' || byte == b'\r');
        let (field, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        Cow::Borrowed(field)
    }

    fn quoted(&mut self, line: usize) -> Result<Cow<'a, str>, MapError> {
        let fault = |why: &str| MapError::new("csv_quote", format!("/{line}"), format!("line {line}: {why}"));
        let within = &self.rest[1..];
        let mut doubled = false;
        let mut from = 0;
        let end = loop {
            let Some(quote) = within[from..].find('"').map(|at| from + at) else {
                return Err(fault("a quote is not closed"));
            };
            if within[quote + 1..].starts_with('"') {
                doubled = true;
                from = quote + 2;
            } else {
                break quote;
            }
        };
        let (field, rest) = (&within[..end], &within[end + 1..]);
        if rest.bytes().next().is_some_and(|next| next != self.separator && next != b'\n' && next != b'\r') {
            return Err(fault("text follows a closed quote"));
        }
        self.line += field.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
        Ok(if doubled { Cow::Owned(field.replace("\"\"", "\"")) } else { Cow::Borrowed(field) })
    }
}

/// The separator of a header: the one of the four that is in it most often, the comma when none is.
fn separator(header: &str) -> u8 {
    let count = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
    [b'|', b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

impl<'a> Record<'a> {
    /// A field without the blanks around it; nothing when it is empty or the column is not there.
    #[must_use]
    pub fn get(&self, column: impl Into<Option<Column>>) -> Option<Cow<'a, str>> {
        let Column(at) = column.into()?;
        let text = crate::text::trimmed(self.fields.get(at)?.clone());
        (!text.is_empty()).then_some(text)
    }

    /// A field that must not be empty.
    ///
    /// # Errors
    /// `csv_field_missing` with the record's line and the column's `name`.
    pub fn required(&self, column: Column, name: &str) -> Result<Cow<'a, str>, MapError> {
        self.get(column).ok_or_else(|| self.refused("csv_field_missing", name, "is empty"))
    }

    /// A refusal of one field, which names the line: `line 3: sku is empty`.
    #[must_use]
    pub fn refused(&self, code: &'static str, name: &str, why: &str) -> MapError {
        MapError::new(code, self.path(name), format!("line {}: {name} {why}", self.line))
    }

    /// The place of a field: `/3/sku`.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.line)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, MapError> {
        let mut reader = Reader::new(text.as_bytes())?;
        let mut rows = Vec::new();
        while let Some(record) = reader.next_record()? {
            rows.push((record.line, record.fields.iter().map(ToString::to_string).collect()));
        }
        Ok(rows)
    }

    #[test]
    fn records_are_those_of_rfc_4180() {
        let text = "\u{feff}a,b,c\r\n1,\"x, \"\"y\"\"\r\nz\",\r\n\r\n \"4\",5,6\n7,8,9";
        let rows = rows(text).unwrap();
        assert_eq!(rows[0], (2, vec!["1".into(), "x, \"y\"\r\nz".into(), String::new()]));
        assert_eq!(rows[1], (5, vec![" \"4\"".into(), "5".into(), "6".into()]));
        assert_eq!(rows[2], (6, vec!["7".into(), "8".into(), "9".into()]));
    }

    #[test]
    fn the_header_says_what_separates_and_where_a_column_is() {
        for text in ["Sku;QTY\nA,1;2", "sku\tqty\nA,1\t2", "\"sku\",\"qty\"\n\"A,1\",2"] {
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
            ("a,b\n1,2\n3\n", "csv_fields", "/3"),
            ("a,b\n1,2,3\n", "csv_fields", "/2"),
            ("a,b\n\"1\n\",2\n3,\"4", "csv_quote", "/4"),
            ("a,b\n\"1\"x,2\n", "csv_quote", "/2"),
        ] {
            let refused = rows(text).expect_err(text);
            assert_eq!((refused.code(), refused.path()), (code, path), "{text:?}");
        }
        let refused = Reader::new(b"a,b\n1,2\n3,\xff\n").unwrap_err();
        assert_eq!((refused.code(), refused.path()), ("payload_not_utf8", "/3"));
        let missing = Reader::new(b"a,b\n").unwrap().required("sku").unwrap_err();
        assert_eq!(missing.message(), "line 1: no column \"sku\" in a, b");
    }
}

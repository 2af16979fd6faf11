//! Where a command's answer goes: one document on standard output, for people or for programs; progress on standard error.
//!
//! A command builds a [`View`] and never prints. Colours are put in always and taken out by `anstream`, which knows about
//! terminals and `NO_COLOR`. Text that came from a vendor is made printable first: it cannot move the cursor. Nothing else than
//! colours passes as an escape sequence, whatever a view forgot ([`tamed`]).

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell as TableCell, Color, ColumnConstraint, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::CliError;

/// Width of a terminal that does not say its own, in columns.
const WIDTH_DEFAULT: u16 = 120;

/// Blanks around a cell, in columns.
const CELL_PADDING: usize = 2;

/// Narrowest column in which words may be broken.
const WORDS_WIDTH_MIN: usize = 24;

/// An answer: its serde form is the JSON document, [`View::text`] what a person reads.
pub trait View: Serialize {
    /// The whole answer, ending in a newline, unless it is empty.
    fn text(&self, page: &Page) -> String;
}

/// What a text is written for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// A person watches: tables and hints, rather than tab-separated lines.
    pub terminal: bool,
    /// Columns.
    pub width: u16,
    /// For "3 s ago".
    pub now: Timestamp,
}

/// What a piece of text says beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    Plain,
    /// As it should be.
    Good,
    /// Under way, or worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Less important.
    Dim,
    /// A heading.
    Strong,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// `text`, coloured.
pub fn paint(tone: Tone, text: impl AsRef<str>) -> String {
    let style = tone.style();
    format!("{style}{}{style:#}", text.as_ref())
}

/// `text` without anything that a terminal would obey or that shows nothing: such characters become their escapes, line
/// ends stay.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !(character.is_control() || is_invisible(character)) {
            clean.push(character);
        } else {
            let _ = write!(clean, "{}", character.escape_default());
        }
    }
    clean
}

/// A whole answer, of which nothing but lines, tabs and colours reaches a terminal: the rest becomes escapes.
fn tamed(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|character: char| {
        !matches!(character, '\n' | '\t') && (character.is_control() || is_invisible(character))
    }) {
        let (before, from) = rest.split_at(at);
        clean.push_str(before);
        let taken = match color(from) {
            Some(sequence) => {
                clean.push_str(sequence);
                sequence.len()
            }
            None => {
                let character = from.chars().next().unwrap_or_default();
                let _ = write!(clean, "{}", character.escape_default());
                character.len_utf8()
            }
        };
        rest = &from[taken..];
    }
    clean.push_str(rest);
    clean
}

/// The sequence that sets colours, if the text begins with one.
fn color(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    parameters[end..].starts_with('m').then(|| &text[..text.len() - parameters.len() + end + 1])
}

/// A JSON text, of which every character can be seen: controls and what is invisible stand as `\u` escapes, which are the same
/// strings to a program.
pub fn visible(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    for character in json.chars() {
        if (character.is_control() && character != '\n') || is_invisible(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(character);
        }
    }
    clean
}

/// A cell that a spreadsheet would take for a formula, marked as the text that it is, as spreadsheets mark it.
fn inert(cell: String) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    if formula && cell.len() > 1 && cell.parse::<f64>().is_err() { format!("'{cell}") } else { cell }
}

/// Characters that show nothing, or that reorder what is around them: Unicode's `Default_Ignorable_Code_Point` and the
/// bidirectional controls (Unicode 17, DerivedCoreProperties.txt; UAX #9), and the separators that end a line. Two ids that
/// differ in one of them look the same.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// With a tone.
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), tone }
    }

    /// Its words.
    pub fn plain(&self) -> &str {
        &self.text
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl Page {
    /// A table: aligned for a terminal, else tab-separated, with a header in both.
    pub fn table(&self, header: &[&str], rows: Vec<Vec<Cell>>) -> String {
        if !self.terminal {
            let mut text = header.join("\t").to_ascii_lowercase();
            text.push('\n');
            for row in rows {
                let cells: Vec<String> =
                    row.into_iter().map(|cell| inert(cell.text.replace('\n', " "))).collect();
                text.push_str(&cells.join("\t"));
                text.push('\n');
            }
            return text;
        }
        let mut table = Table::new();
        table.load_style(NOTHING).enforce_styling();
        // Only the last column, the words, may be broken; where even that leaves too little room, the terminal itself breaks
        // lines, which can at least be copied.
        let widest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.chain(header.get(column).map(|name| name.chars().count())).max().unwrap_or_default()
        };
        let last = header.len().saturating_sub(1);
        let fixed: usize = (0..last).map(|column| widest(column) + CELL_PADDING).sum();
        let room = usize::from(self.width).saturating_sub(fixed + CELL_PADDING);
        if widest(last) > room && room >= WORDS_WIDTH_MIN {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width);
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(header.iter().map(|name| TableCell::new(*name).add_attribute(Attribute::Bold)));
        for row in rows {
            table.add_row(row.into_iter().map(|cell| {
                let table_cell = TableCell::new(cell.text);
                match cell.tone {
                    Tone::Plain => table_cell,
                    Tone::Good => table_cell.fg(Color::Green),
                    Tone::Warn => table_cell.fg(Color::Yellow),
                    Tone::Bad => table_cell.fg(Color::Red),
                    Tone::Dim => table_cell.add_attribute(Attribute::Dim),
                    Tone::Strong => table_cell.add_attribute(Attribute::Bold),
                }
            }));
        }
        for column in 0..last {
            if let Some(column) = table.column_mut(column) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// How long ago, in one unit: `now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`.
    pub fn ago(&self, at: Timestamp) -> String {
        let seconds = self.now.as_second().saturating_sub(at.as_second());
        match seconds {
            ..=0 => "now".into(),
            1..=119 => format!("{seconds} s ago"),
            120..=7_199 => format!("{} min ago", seconds / 60),
            7_200..=172_799 => format!("{} h ago", seconds / 3_600),
            _ => format!("{} d ago", seconds / 86_400),
        }
    }
}

/// Names and values, the names padded to one width; a value of several lines is indented.
pub fn fields<'a>(list: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let list: Vec<(&str, String)> = list.into_iter().collect();
    let width = list.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in list {
        let indented = value.replace('\n', &format!("\n{:width$}    ", ""));
        let _ = writeln!(text, "  {}  {indented}", paint(Tone::Dim, format!("{name:width$}")));
    }
    text
}

/// A heading and what is under it.
pub fn section(heading: &str, body: &str) -> String {
    format!("\n{}\n{body}", paint(Tone::Strong, heading))
}

/// JSON for a person: indented, control characters escaped.
pub fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).map(|text| printable(&text)).unwrap_or_default()
}

/// A time for a person.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S.%3fZ").to_string()
}

pub use sluice_ops::document::{millis, millis_opt};

/// The streams of one run of the command.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// `json`: for programs.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// What texts are written for.
    pub fn page(&self) -> Page {
        // A terminal that does not know its width says 0.
        let width = Table::new().width().filter(|width| *width > 0).unwrap_or(WIDTH_DEFAULT);
        Page { terminal: std::io::stdout().is_terminal(), width, now: Timestamp::now() }
    }

    /// Writes the answer.
    pub fn document(&self, view: &impl View) -> Result<(), CliError> {
        let text = if self.json {
            let text = serde_json::to_string(view);
            let text = text.map_err(|error| CliError::Output(std::io::Error::other(error)))?;
            format!("{}\n", visible(&text))
        } else {
            view.text(&self.page())
        };
        self.text(&text)
    }

    /// Writes text as it is, colours only where they belong.
    pub fn text(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(tamed(text).as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::Output)
    }

    /// Writes bytes exactly; to a terminal as text that can be seen.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        if std::io::stdout().is_terminal() {
            return self.text(&shown(bytes));
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(CliError::Output)
    }

    /// Says something beside the answer, on standard error, to a person only.
    pub fn remark(&self, text: &str) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "{}", tamed(text));
        }
    }

    /// Writes why the command failed, on standard error.
    pub fn error(&self, error: &CliError, hint: Option<&str>) {
        let mut stderr = anstream::stderr();
        // Standard error is the last resort: there is nowhere to say that it failed.
        if self.json {
            let _ = writeln!(stderr, "{}", visible(&error.document(hint).to_string()));
            return;
        }
        let _ = writeln!(stderr, "{} {}", paint(Tone::Bad, "error:"), printable(&error.to_string()));
        let causes = error.causes();
        if !causes.is_empty() {
            let _ = writeln!(stderr, "  {} {}", paint(Tone::Dim, "because:"), printable(&causes.join(": ")));
        }
        if let Some(hint) = error.hint().or(hint) {
            let _ = writeln!(stderr, "  {} {}", paint(Tone::Strong, "try:"), printable(hint));
        }
    }

    /// A spinner on standard error, if a person watches that. It clears itself when dropped.
    pub fn progress(&self, message: impl Into<String>) -> Progress {
        if self.json || !std::io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(printable(&message.into()));
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress(bar)
    }
}

/// Something under way.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// What is being done now.
    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(printable(&message.into()));
    }

    /// How many things there are to do: the spinner becomes a bar.
    pub fn total(&self, things: u64) {
        self.0.set_length(things);
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {bar:40.cyan} {human_pos}/{human_len}, {per_sec}, {eta} left")
        {
            self.0.set_style(style);
        }
    }

    /// So many more are done.
    pub fn add(&self, things: u64) {
        self.0.inc(things);
    }
}

impl sluice_ops::progress::Progress for Progress {
    fn say(&self, message: &str) {
        Self::say(self, message);
    }

    fn total(&self, things: u64) {
        Self::total(self, things);
    }

    fn add(&self, things: u64) {
        Self::add(self, things);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A vendor's bytes for a terminal: a line ends where it ends, everything else that cannot be seen is an escape.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&printable(&chunk.valid().replace("\r\n", "\n")));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// RFC 3339 for text that programs cut apart, the readable form for people.
pub fn time_cell(page: &Page, at: Timestamp) -> Cell {
    if page.terminal { time(at).into() } else { rfc3339_cell(at) }
}

fn rfc3339_cell(at: Timestamp) -> Cell {
    sluice_core::id::rfc3339(at).into()
}

#[cfg(test)]
pub(crate) mod testing {
    //! Pages for snapshots, without colours.

    use super::{Page, View};

    /// 2026-11-21T10:00:00Z, 100 columns.
    pub(crate) fn page(terminal: bool) -> Page {
        Page { terminal, width: 100, now: jiff::Timestamp::constant(1_795_255_200, 0) }
    }

    /// As on a terminal, colours taken out.
    pub(crate) fn on_terminal(view: &impl View) -> String {
        plain(&view.text(&page(true)))
    }

    /// As in a pipe.
    pub(crate) fn in_pipe(view: &impl View) -> String {
        plain(&view.text(&page(false)))
    }

    /// The JSON document, indented.
    pub(crate) fn json(view: &impl View) -> String {
        serde_json::to_string_pretty(view).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::testing::{page, plain};
    use super::*;

    #[test]
    fn a_vendor_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}31mc\nd\te"), "a\\u{1b}[2Jb\\u{9b}31mc\nd\\te");
        assert_eq!(printable("evt-1\u{200b}"), "evt-1\\u{200b}");
        assert_eq!(printable("\u{202e}gpj\u{feff}"), "\\u{202e}gpj\\u{feff}");
        assert_eq!(printable("é 値 😀"), "é 値 😀");
        let table = page(true).table(&["A"], vec![vec!["\u{1b}]0;x\u{7}".into()]]);
        assert!(!plain(&table).contains('\u{1b}'), "{table:?}");
    }

    #[test]
    fn nothing_but_colours_reaches_a_terminal_whatever_a_view_forgot() {
        let painted = format!("{}\ta\n", paint(Tone::Bad, "b"));
        assert_eq!(tamed(&painted), painted);
        assert_eq!(tamed("\u{1b}[38;5;9mx\u{1b}[0m"), "\u{1b}[38;5;9mx\u{1b}[0m");
        for (text, expected) in [
            ("a\u{1b}]0;title\u{7}b", "a\\u{1b}]0;title\\u{7}b"),
            ("\u{1b}[2J\u{1b}[1;1H", "\\u{1b}[2J\\u{1b}[1;1H"),
            ("\u{1b}", "\\u{1b}"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("x\u{9b}31m\ry", "x\\u{9b}31m\\ry"),
            ("\u{202e}gpj.exe\u{2066}\u{200b}é", "\\u{202e}gpj.exe\\u{2066}\\u{200b}é"),
        ] {
            assert_eq!(tamed(text), expected);
        }
    }

    #[test]
    fn a_vendors_bytes_are_shown_on_a_terminal_and_obeyed_by_none() {
        assert_eq!(
            shown(b"{\"a\": 1}\r\n\x1b[2J\xff\xe2\x80\xae\t"),
            "{\"a\": 1}\n\\u{1b}[2J\\xff\\u{202e}\\t\n"
        );
    }

    #[test]
    fn json_has_nothing_that_cannot_be_seen_and_says_the_same() {
        let value = serde_json::json!({"a": "\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}\u{feff}é\n"});
        let text = visible(&value.to_string());
        assert_eq!(text, r#"{"a":"\u001b[2J\u007f\u009b\u202e\u200b\udb40\udc41\ufeffé\n"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_cell_is_no_formula_of_a_spreadsheet() {
        let cell = |text: &str| page(false).table(&["A"], vec![vec![text.into()]]);
        for text in ["=HYPERLINK(\"http://x\",\"y\")", "+1+cmd", "-2+3", "@SUM(1)", "\u{ff1d}1+1"] {
            assert_eq!(cell(text), format!("a\n'{text}\n"));
        }
        for text in ["-5", "+2.5", "-", "a=b", "evt-1"] {
            assert_eq!(cell(text), format!("a\n{text}\n"), "a number or a word");
        }
    }

    #[test]
    fn a_table_is_aligned_on_a_terminal_and_tab_separated_elsewhere() {
        let rows = || {
            vec![
                vec![Cell::from("01J"), Cell::new(Tone::Good, "NORMALIZED")],
                vec![Cell::from("01JLONGER"), Cell::from("two\nlines")],
            ]
        };
        insta::assert_snapshot!(plain(&page(true).table(&["INGEST ID", "STATUS"], rows())), @"
        INGEST ID  STATUS     
        01J        NORMALIZED 
        01JLONGER  two
                   lines
        ");
        assert_eq!(
            page(false).table(&["INGEST ID", "STATUS"], rows()),
            "ingest id\tstatus\n01J\tNORMALIZED\n01JLONGER\ttwo lines\n"
        );
    }

    #[test]
    fn only_the_last_column_is_broken_and_only_where_words_have_room() {
        let words = "twelve words that say at length what is wrong with this event";
        let table =
            |width: u16| {
                let page = Page { width, ..page(true) };
                plain(&page.table(
                    &["INGEST ID", "WHAT"],
                    vec![vec!["01KAJ3Y3R00000000000000001".into(), words.into()]],
                ))
            };
        assert_eq!(table(200).lines().count(), 2);
        let broken = table(70);
        assert!(
            broken.lines().count() > 2 && broken.lines().all(|line| line.chars().count() <= 70),
            "{broken}"
        );
        assert!(broken.contains("01KAJ3Y3R00000000000000001"));
        assert_eq!(table(30).lines().count(), 2, "left to the terminal");
    }

    #[test]
    fn ages_have_one_unit() {
        let page = page(true);
        let ago = |seconds: i64| page.ago(page.now - jiff::SignedDuration::from_secs(seconds));
        assert_eq!([ago(-5), ago(0), ago(12), ago(119)], ["now", "now", "12 s ago", "119 s ago"]);
        assert_eq!([ago(120), ago(7_200), ago(172_800)], ["2 min ago", "2 h ago", "2 d ago"]);
    }

    #[test]
    fn fields_line_up() {
        assert_eq!(
            plain(&fields([("a", "1".into()), ("long", "x\ny".into())])),
            "  a     1\n  long  x\n        y\n"
        );
    }
}

//! A stock feed in CSV → `InventoryUpdated` 1.0: one event for every line, in the file's order.
//!
//! The header names the columns, in any order and case: `sku`, `warehouse` and at least one of `on_hand`, `available`,
//! `reserved`, `on_order`, `in_transit`, `damaged`; and, if there, `unit`, `gtin`, `description`, `counted_at`. Other columns
//! are left out, and the first event notes their names, or the first value of a column that has none. An empty quantity is not stated; a line that states none is refused. An
//! event happened at its line's `counted_at`, else when the file was received. A description that is an error value of a
//! spreadsheet, or too long, is left out or cut with a note.
//!
//! Numbers and times are written as `[text]` of the contract declares.
//!
//! A file is taken whole or not at all. The refusal names every bad line, up to [`LINES_NAMED_MAX`], so that the vendor can
//! mend the file at once.

use std::fmt::Write as _;

use mapper_sdk::canonical::{Canonical as _, InventoryUpdated, Text};
use mapper_sdk::csv::{Column, Reader, Record};
use mapper_sdk::local::Conventions;
use mapper_sdk::text::{
    SKU_CHARS_MAX, Seen, TITLE_CHARS_MAX, WAREHOUSE_CHARS_MAX, cut, identifier, is_error, is_gtin,
};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, time};

/// Most lines of a file: the host takes this many events from one message.
pub const LINES_MAX: usize = mapper_sdk::EVENTS_MAX;

/// Most bad lines that a refusal names.
pub const LINES_NAMED_MAX: usize = 8;

/// Shortest line, in bytes: three fields of one character, two separators, and its end.
const LINE_BYTES_MIN: usize = 6;

/// Longest unit, in characters, by the canonical schema.
const UNIT_CHARS_MAX: usize = 16;

struct Columns {
    sku: Column,
    warehouse: Column,
    /// Those that the file has, by their place in [`LEVELS`].
    levels: Vec<(usize, Column)>,
    unit: Option<Column>,
    gtin: Option<Column>,
    description: Option<Column>,
    counted_at: Option<Column>,
}

const LEVELS: [&str; 6] = ["on_hand", "available", "reserved", "on_order", "in_transit", "damaged"];
/// What is available may be less than zero.
const AVAILABLE: usize = 1;

/// The levels of one file.
///
/// # Errors
/// Those of CSV, of identifiers, of quantities and of times, whose message begins with the line's number;
/// `csv_quantity_missing`, `gtin_invalid`, `level_doubled`, `unit_too_long`, `lines_missing`, `lines_too_many`. Where several
/// lines are bad, code and path are the first's.
pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<InventoryUpdated<'a>> {
    let mut reader = Reader::new(payload)?;
    let columns = Columns::find(&reader)?;
    let received_at = time::utc(&meta.occurred_at, "")?;
    // A file has at most so many lines as it has room for; growing would copy what is there already.
    let lines_max = (payload.len() / LINE_BYTES_MIN).min(LINES_MAX);
    let mut events = Vec::with_capacity(lines_max);
    let mut lines = Seen::with_capacity_and_hasher(lines_max, Default::default());
    let mut faults = Faults::default();
    let mut notes = unread(&reader);
    let mut unnamed: Vec<Column> = reader.unnamed().collect();
    loop {
        let record = match reader.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(fault) => {
                faults.add(fault);
                continue;
            }
        };
        if events.len() + faults.count == LINES_MAX {
            let why = format!(
                "line {}: a file has at most {LINES_MAX} lines; send the rest in another",
                record.line
            );
            return Err(MapError::new("lines_too_many", format!("/{}", record.line), why));
        }
        unnamed.retain(|column| {
            let Some(text) = record.get(*column) else { return true };
            let why = format!("line {}: {text:?} is in a column without a name", record.line);
            notes.push(MapError::new("column_unread", format!("/{}", record.line), why));
            false
        });
        match columns.event(&record, &received_at, &meta.text) {
            Ok(event) => {
                let of = (event.data.warehouse_id.clone(), event.data.sku.clone());
                match lines.insert(of, record.line) {
                    None => events.push(event),
                    Some(before) => {
                        let why = format!("is on line {before} too, for the same warehouse");
                        faults.add(record.refused("level_doubled", "sku", &why));
                    }
                }
            }
            Err(fault) => faults.add(fault),
        }
    }
    faults.none()?;
    let mut events = events.into_iter();
    let Some(first) = events.next() else {
        return Err(MapError::new("lines_missing", "", "the file has a header and no line"));
    };
    Ok(std::iter::once(first.noting(notes)).chain(events).collect())
}

impl Columns {
    fn find(reader: &Reader<'_>) -> Result<Self, MapError> {
        let columns = Self {
            sku: reader.required("sku")?,
            warehouse: reader.required("warehouse")?,
            levels: (0..).zip(LEVELS).filter_map(|(at, name)| Some((at, reader.column(name)?))).collect(),
            unit: reader.column("unit"),
            gtin: reader.column("gtin"),
            description: reader.column("description"),
            counted_at: reader.column("counted_at"),
        };
        if columns.levels.is_empty() {
            let why = format!("line 1: no column of a quantity: {}", LEVELS.join(", "));
            return Err(MapError::new("csv_column_missing", "/1", why));
        }
        Ok(columns)
    }

    fn event<'a>(
        &self,
        record: &Record<'a>,
        received_at: &str,
        conventions: &Conventions,
    ) -> Result<CanonicalEvent<InventoryUpdated<'a>>, MapError> {
        let mut levels = [None; 6];
        for &(at, column) in &self.levels {
            let Some(text) = record.get(column) else { continue };
            let path = || record.path(LEVELS[at]);
            let level = match at {
                AVAILABLE => conventions.whole(&text, path),
                _ => conventions.level(&text, path),
            };
            levels[at] = Some(level.map_err(|fault| on_line(record, &fault))?);
        }
        let mut notes = Vec::new();
        let [on_hand, available, reserved, on_order, in_transit, damaged] = levels;
        let data = InventoryUpdated {
            warehouse_id: self.identifier(record, self.warehouse, "warehouse", WAREHOUSE_CHARS_MAX)?,
            sku: self.identifier(record, self.sku, "sku", SKU_CHARS_MAX)?,
            quantity_on_hand: on_hand,
            quantity_available: available,
            quantity_reserved: reserved,
            quantity_on_order: on_order,
            quantity_in_transit: in_transit,
            quantity_damaged: damaged,
            unit: record.get(self.unit),
            gtin: record.get(self.gtin),
            title: self.title(record, &mut notes),
        };
        if data.states_nothing() {
            return Err(record.refused(
                "csv_quantity_missing",
                "on_hand",
                "and every other quantity is empty",
            ));
        }
        if data.unit.as_ref().is_some_and(|unit| unit.chars().count() > UNIT_CHARS_MAX) {
            return Err(record.refused("unit_too_long", "unit", "has more than 16 characters"));
        }
        if let Some(gtin) = data.gtin.as_ref().filter(|gtin| !is_gtin(gtin)) {
            let why = format!("{gtin:?} does not have 8, 12, 13 or 14 digits");
            return Err(record.refused("gtin_invalid", "gtin", &why));
        }
        let occurred_at = match record.get(self.counted_at) {
            Some(at) => {
                let at = conventions.time(&at, || record.path("counted_at"));
                at.map_err(|fault| on_line(record, &fault))?
            }
            None => received_at.to_owned(),
        };
        Ok(data.at(occurred_at).noting(notes))
    }

    fn title<'a>(&self, record: &Record<'a>, notes: &mut Vec<MapError>) -> Option<Text<'a>> {
        let title = record.get(self.description)?;
        if is_error(&title) {
            let why = format!("{title:?} is an error value of a spreadsheet, and is left out");
            notes.push(record.refused("error_value", "description", &why));
            return None;
        }
        if title.chars().nth(TITLE_CHARS_MAX).is_some() {
            let why = format!("has more than {TITLE_CHARS_MAX} characters, and is cut");
            notes.push(record.refused("title_cut", "description", &why));
        }
        Some(cut(title, TITLE_CHARS_MAX))
    }

    fn identifier<'a>(
        &self,
        record: &Record<'a>,
        column: Column,
        name: &str,
        chars_max: usize,
    ) -> Result<Text<'a>, MapError> {
        let text = record.required(column, name)?;
        identifier(text, chars_max, || record.path(name)).map_err(|fault| on_line(record, &fault))
    }
}

/// What has columns of its own in the canonical type, or says where and when.
const READ: [&str; 6] = ["sku", "warehouse", "unit", "gtin", "description", "counted_at"];

/// The columns that are left out, if they have a name.
fn unread(reader: &Reader<'_>) -> Vec<MapError> {
    let read = |name: &str| READ.iter().chain(&LEVELS).any(|own| own.eq_ignore_ascii_case(name));
    let names = reader.names().iter().filter(|name| !name.is_empty() && !read(name));
    names
        .map(|name| {
            MapError::new(
                "column_unread",
                format!("/1/{name}"),
                format!("{name:?} is no column of this feed"),
            )
        })
        .collect()
}

/// The same refusal, whose message begins with the line.
fn on_line(record: &Record<'_>, fault: &MapError) -> MapError {
    let name = fault.path().rsplit('/').next().unwrap_or_default();
    MapError::new(fault.code(), fault.path(), format!("line {}: {name} {}", record.line, fault.message()))
}

#[derive(Default)]
struct Faults {
    first: Option<MapError>,
    others: String,
    count: usize,
}

impl Faults {
    fn add(&mut self, fault: MapError) {
        self.count += 1;
        match &self.first {
            None => self.first = Some(fault),
            Some(_) if self.count <= LINES_NAMED_MAX => {
                let _ = write!(self.others, "; {}", fault.message());
            }
            Some(_) => {}
        }
    }

    fn none(self) -> Result<(), MapError> {
        let Some(first) = self.first else { return Ok(()) };
        let mut message = format!("{}{}", first.message(), self.others);
        if let Some(more) = self.count.checked_sub(LINES_NAMED_MAX).filter(|more| *more > 0) {
            let _ = write!(message, "; and {more} more");
        }
        Err(MapError::new(first.code(), first.path(), message))
    }
}

mapper_sdk::export_mapper!(map);

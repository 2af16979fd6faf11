//! A mapper in Rust of a CSV file: one event for every line, of the columns that the header names.

use std::fmt::Write as _;

use super::super::sample::{Leaf, Match, Step, Time};
use super::super::typegen::{Type, ident};
use super::Inferred;
use super::rust::{MISSING, time_reader};

impl Inferred<'_> {
    /// `src/lib.rs`.
    pub(super) fn rust_csv(&self) -> String {
        let Self { root, suggestion, .. } = self;
        let life = if self.types.borrows(&Type::Struct((*root).to_owned())) { "<'a>" } else { "" };
        let local = |leaf: &Leaf| leaf.time() == Some(Time::Local);
        let told = suggestion.matches.iter().any(|one| one.field.kind == Type::Integer)
            || suggestion.occurred_at.as_ref().is_some_and(local);
        // What the contract declares, if something is read by it.
        let (meta, given) = if told { ("meta: &Meta<'_>, ", "meta, ") } else { ("", "") };
        let mut out = self.about("//!", ": one event for every line of a CSV file");
        out.push_str(&self.columns_table());
        let _ = write!(
            out,
            "\npub mod canonical;\n\nuse canonical::{{EVENT_TYPE, {root}, SCHEMA_VERSION}};\n\
             use mapper_sdk::csv::{{Column, Reader, Record}};\n\
             use mapper_sdk::{{CanonicalEvent, MapError, Mapped, Meta, time}};\n\n\
             /// Most lines of a file: the host takes this many events from one message.\n\
             pub const LINES_MAX: usize = mapper_sdk::EVENTS_MAX;\n\nstruct Columns {{\n"
        );
        let columns: Vec<(String, &Leaf, bool)> = suggestion
            .matches
            .iter()
            .map(|one| (ident(&one.field.name), &one.leaf, one.leaf.is_optional()))
            // Not every file need say when: the envelope does.
            .chain(suggestion.occurred_at.iter().map(|leaf| ("occurred_at".to_owned(), leaf, true)))
            .collect();
        for (own, _, optional) in &columns {
            let kind = if *optional { "Option<Column>" } else { "Column" };
            let _ = writeln!(out, "    {own}: {kind},");
        }
        let _ = write!(
            out,
            "}}\n\n/// One event for every line, in the file's order. A file is taken whole or not at all.\n///\n/// # Errors\n\
             /// A refusal, with a code, the line and the column.\n\
             pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<{root}{life}> {{\n    \
             let mut reader = Reader::new(payload)?;\n    let columns = Columns {{\n"
        );
        for (own, leaf, optional) in &columns {
            let read = if *optional { "reader.column({})" } else { "reader.required({})?" };
            let _ = writeln!(out, "        {own}: {},", read.replace("{}", &column(leaf)));
        }
        let _ = write!(
            out,
            "    }};\n    let received_at = time::utc(&meta.occurred_at, \"\")?;\n    let mut events = Vec::new();\n    \
             while let Some(record) = reader.next_record()? {{\n        if events.len() == LINES_MAX {{\n            \
             let why = format!(\"line {{}}: a file has at most {{LINES_MAX}} lines; send the rest in another\", record.line);\n            \
             return Err(MapError::new(\"lines_too_many\", format!(\"/{{}}\", record.line), why));\n        }}\n        \
             events.push(event({given}&columns, &record, &received_at)?);\n    }}\n    if events.is_empty() {{\n        \
             return Err(MapError::new(\"lines_missing\", \"\", \"the file has a header and no line\"));\n    }}\n    Ok(events)\n}}\n\n\
             fn event<'a>({meta}columns: &Columns, record: &Record<'a>, received_at: &str) -> Result<CanonicalEvent<{root}{life}>, MapError> {{\n"
        );
        let occurred_at = match &suggestion.occurred_at {
            None => "received_at.to_owned()".to_owned(),
            Some(leaf) => {
                let place = match leaf.time() {
                    Some(Time::Offset) | None => "&",
                    Some(Time::Local | Time::Seconds | Time::Milliseconds) => "|| ",
                };
                format!(
                    "match record.get(columns.occurred_at) {{ Some(at) => {}(&at, {place}record.path({}))?, None => received_at.to_owned() }}",
                    time_reader(leaf),
                    column(leaf)
                )
            }
        };
        let _ = write!(
            out,
            "    Ok(CanonicalEvent {{\n        event_type: EVENT_TYPE,\n        schema_version: SCHEMA_VERSION,\n        \
             occurred_at: {occurred_at},\n        notes: Vec::new(),\n        data: {root} {{\n"
        );
        for field in self.fields() {
            let found = suggestion.matches.iter().find(|one| one.field.name == field.name);
            let value = match found {
                Some(one) => value(one),
                None if field.required => format!("missing({:?})?", field.name),
                None if suggestion.missing.contains(&field.name) => {
                    format!("Some(missing({:?})?)", field.name)
                }
                None => "None".to_owned(),
            };
            let _ = writeln!(out, "            {}: {value},", ident(&field.name));
        }
        out.push_str("        },\n    })\n}\n");
        if !suggestion.missing.is_empty() {
            out.push_str(MISSING);
        }
        out.push_str("\nmapper_sdk::export_mapper!(map);\n");
        out
    }

    /// What each column of the samples holds, and what becomes of it.
    fn columns_table(&self) -> String {
        let mut out = String::from("//!\n//! | column | in the samples | becomes |\n//! |---|---|---|\n");
        for (name, shape) in &self.shape.members {
            let is = |leaf: &Leaf| name_of(leaf) == name;
            let one = self.suggestion.matches.iter().find(|one| is(&one.leaf));
            let becomes = match one {
                Some(one) => format!("`{}`", one.field.name),
                None if self.suggestion.occurred_at.as_ref().is_some_and(is) => "`occurredAt`".into(),
                None => "–".into(),
            };
            let name = name.replace('|', "\\|").replace(['\r', '\n'], " ");
            let _ = writeln!(out, "//! | `{name}` | {} | {becomes} |", shape.column());
        }
        out
    }
}

/// A column's name as a Rust literal.
fn column(leaf: &Leaf) -> String {
    format!("{:?}", name_of(leaf))
}

/// A column is a member of the line.
fn name_of(leaf: &Leaf) -> &str {
    match leaf.path.first() {
        Some(Step::Member { name, .. }) => name,
        _ => "",
    }
}

/// The expression that gives a canonical member.
fn value(Match { field, leaf, .. }: &Match) -> String {
    let (own, name) = (ident(&field.name), column(leaf));
    let must = |column: &str| match leaf.is_optional() {
        // A column that the header may lack, of a member that must be there: empty is how that is refused.
        true => format!(
            "record.get(columns.{column}).ok_or_else(|| record.refused(\"csv_field_missing\", {name}, \"is empty\"))?"
        ),
        false => format!("record.required(columns.{column}, {name})?"),
    };
    let number = if field.minimum.is_some_and(|least| least >= 0) { "level" } else { "whole" };
    match (&field.kind, field.required, leaf.is_optional()) {
        (Type::Integer, true, _) => format!("meta.text.{number}(&{}, || record.path({name}))?", must(&own)),
        (Type::Integer, false, true) => format!(
            "record.get(columns.{own}).map(|text| meta.text.{number}(&text, || record.path({name}))).transpose()?"
        ),
        (Type::Integer, false, false) => {
            format!("Some(meta.text.{number}(&{}, || record.path({name}))?)", must(&own))
        }
        (_, true, _) => must(&own),
        (_, false, _) => format!("record.get(columns.{own})"),
    }
}

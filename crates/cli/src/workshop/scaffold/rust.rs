//! A mapper in Rust of a JSON message: typed structs of what is read, and one expression for each canonical member.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::sample::{Leaf, Match, Suggestion};
use super::super::typegen::{Field, Type, ident, pascal};
use super::Inferred;

impl Inferred<'_> {
    /// `src/lib.rs`.
    pub(super) fn rust_json(&self) -> String {
        let Self { root, types, suggestion, .. } = self;
        let root = *root;
        let fields = self.fields();
        let kind = Type::Struct(root.to_owned());
        let data = if types.borrows(&kind) { format!("{root}<'a>") } else { root.to_owned() };
        let list =
            suggestion.matches.iter().find_map(|one| one.leaf.list.map(|at| one.leaf.path[..at].to_vec()));
        let integers = suggestion.matches.iter().any(|one| is_integer(one) && one.leaf.is_integer());
        let decimals = suggestion.matches.iter().any(|one| is_integer(one) && !one.leaf.is_integer());
        let absent = suggestion.matches.iter().any(|one| one.field.required && one.leaf.optional);
        let refused = !suggestion.missing.is_empty();
        let reads = !suggestion.matches.is_empty() || suggestion.occurred_at.is_some();
        let mut out = self.about("//!", "");
        out.push_str("\npub mod canonical;\n\n");
        if suggestion.occurred_at.is_some() {
            out.push_str("use std::borrow::Cow;\n\n");
        }
        let _ = writeln!(out, "use canonical::{{EVENT_TYPE, {root}, SCHEMA_VERSION}};");
        let ids = suggestion.matches.iter().any(|one| one.field.kind == Type::Text);
        let mut json_items = Vec::new();
        for (item, used) in [("self", reads), ("Decimal", decimals), ("Id", ids), ("Integer", integers)] {
            if used {
                json_items.push(item);
            }
        }
        if !json_items.is_empty() {
            let _ = writeln!(out, "use mapper_sdk::json::{{{}}};", json_items.join(", "));
        }
        let error = if absent || refused { "MapError, " } else { "" };
        let quantity = if integers || decimals { "quantity, " } else { "" };
        let _ = writeln!(out, "use mapper_sdk::{{CanonicalEvent, {error}Mapped, Meta, {quantity}time}};");
        if reads {
            out.push_str("use serde::Deserialize;\n");
            out.push_str(&self.structs(suggestion));
        }
        let payload = if reads { "payload" } else { "_payload" };
        let _ = write!(
            out,
            "\n/// {} from one message.\n///\n/// # Errors\n/// A refusal, with a code and the place in the message.\n\
             pub fn map<'a>(meta: &Meta<'a>, {payload}: &'a [u8]) -> Mapped<{data}> {{\n",
            if list.is_some() { "An event for every item" } else { "One event" }
        );
        if reads {
            out.push_str("    let message: Message<'a> = json::read(payload)?;\n");
        }
        let indent = if list.is_some() { "            " } else { "        " };
        let time = match &suggestion.occurred_at {
            None => "time::utc(&meta.occurred_at, \"\")?".to_owned(),
            Some(leaf) => {
                let access = access(leaf);
                let place = place_str(leaf);
                format!(
                    "match &{access} {{ Some(at) => time::utc(at, {place})?, None => time::utc(&meta.occurred_at, \"\")? }}"
                )
            }
        };
        let mut event = format!(
            "CanonicalEvent {{\n{indent}event_type: EVENT_TYPE,\n{indent}schema_version: SCHEMA_VERSION,\n{indent}occurred_at: {time},\n{indent}notes: Vec::new(),\n{indent}data: {root} {{\n"
        );
        for field in fields {
            let found = suggestion.matches.iter().find(|one| one.field.name == field.name);
            let value = match found {
                Some(one) => value(field, &one.leaf, list.is_some()),
                None if field.required => format!("missing({:?})?", field.name),
                None if suggestion.missing.contains(&field.name) => {
                    format!("Some(missing({:?})?)", field.name)
                }
                None => "None".to_owned(),
            };
            let _ = writeln!(event, "{indent}    {}: {value},", ident(&field.name));
        }
        let _ = write!(event, "{indent}}},\n}}");
        match &list {
            None => {
                let _ = writeln!(out, "    Ok(vec![{event}])\n}}");
            }
            Some(path) => {
                let items: Vec<String> = path.iter().map(|name| ident(name)).collect();
                let numbered = suggestion.matches.iter().any(|one| {
                    one.leaf.list.is_some() && (one.field.kind == Type::Integer || one.leaf.optional)
                });
                let timed = suggestion.occurred_at.as_ref().is_some_and(|leaf| leaf.list.is_some());
                let (each, bound) =
                    if numbered || timed { (".enumerate()", "(at, item)") } else { ("", "item") };
                let _ = writeln!(
                    out,
                    "    let items = message.{}.iter(){each};\n    items.map(|{bound}| Ok({event})).collect()\n}}",
                    items.join(".")
                );
            }
        }
        if absent {
            out.push_str(ABSENT);
        }
        if refused {
            out.push_str(MISSING);
        }
        out.push_str("\nmapper_sdk::export_mapper!(map);\n");
        out
    }

    /// The vendor's message, as far as it is read.
    fn structs(&self, suggestion: &Suggestion) -> String {
        let mut structs: BTreeMap<Vec<String>, Vec<(String, String)>> = BTreeMap::new();
        let mut add = |leaf: &Leaf, kind: &str| {
            for at in 0..leaf.path.len() {
                let (parent, name) = (leaf.path[..at].to_vec(), leaf.path[at].clone());
                let members = structs.entry(parent).or_default();
                if members.iter().any(|(held, _)| *held == name) {
                    continue;
                }
                let written = if at + 1 == leaf.path.len() {
                    if leaf.optional { format!("Option<{kind}>") } else { kind.to_owned() }
                } else {
                    let inner = format!("{}<'a>", struct_name(&leaf.path[..=at], leaf.list == Some(at + 1)));
                    if leaf.list == Some(at + 1) { format!("Vec<{inner}>") } else { inner }
                };
                members.push((name, written));
            }
        };
        for one in &suggestion.matches {
            add(
                &one.leaf,
                match one.field.kind {
                    Type::Integer if one.leaf.is_integer() => "Integer",
                    Type::Integer => "Decimal<'a>",
                    Type::Boolean => "bool",
                    _ => "Id<'a>",
                },
            );
        }
        if let Some(leaf) = &suggestion.occurred_at {
            add(leaf, "Cow<'a, str>");
        }
        let mut out = String::new();
        let lists: Vec<Vec<String>> = suggestion
            .matches
            .iter()
            .filter_map(|one| one.leaf.list.map(|at| one.leaf.path[..at].to_vec()))
            .collect();
        for (path, members) in &structs {
            let name = match path.is_empty() {
                true => "Message".to_owned(),
                false => struct_name(path, lists.contains(path)),
            };
            let about = if path.is_empty() { "What the vendor sends, as far as it is read.\n" } else { "" };
            if !about.is_empty() {
                let _ = write!(out, "\n/// {about}");
            } else {
                out.push('\n');
            }
            let borrows = members.iter().any(|(_, kind)| kind.contains("'a"));
            // A struct of numbers alone would have a lifetime that nothing needs; the root always says one.
            let life = if borrows || path.is_empty() { "<'a>" } else { "" };
            let _ = writeln!(out, "#[derive(Deserialize)]\nstruct {name}{life} {{");
            for (member, kind) in members {
                let own = ident(member);
                let mut serde = Vec::new();
                if own != *member {
                    serde.push(format!("rename = {member:?}"));
                }
                if kind.contains("'a") {
                    serde.push("borrow".to_owned());
                }
                if kind.starts_with("Option") {
                    serde.push("default".to_owned());
                }
                if !serde.is_empty() {
                    let _ = writeln!(out, "    #[serde({})]", serde.join(", "));
                }
                let _ = writeln!(out, "    {own}: {kind},");
            }
            out.push_str("}\n");
        }
        out
    }
}

const ABSENT: &str = r#"
/// What the vendor may leave out, and the canonical event may not.
fn absent(place: String) -> MapError {
    MapError::new("member_absent", place, "is needed, and the vendor sent none")
}
"#;

pub(super) const MISSING: &str = r#"
/// Nothing in the samples looks like this member. Until it has a source every message is refused: data are not invented.
fn missing<T>(member: &str) -> Result<T, MapError> {
    Err(MapError::new("mapping_incomplete", "", format!("{member} has no source yet: edit src/lib.rs")))
}
"#;

fn struct_name(path: &[String], item: bool) -> String {
    let name = pascal(&path.join(" "));
    match name.strip_suffix('s').filter(|_| item) {
        Some(singular) => singular.to_owned(),
        None if item => format!("{name}Item"),
        None => name,
    }
}

/// How a member is reached.
fn access(leaf: &Leaf) -> String {
    let start = leaf.list.unwrap_or(0);
    let base = if leaf.list.is_some() { "item" } else { "message" };
    let names: Vec<String> = leaf.path[start..].iter().map(|name| ident(name)).collect();
    format!("{base}.{}", names.join("."))
}

/// The place as an expression of type `String`.
fn place(leaf: &Leaf) -> String {
    match leaf.list {
        None => format!("{:?}.to_owned()", leaf.pointer()),
        Some(_) => {
            let escaped = leaf.pointer().replace('{', "{{").replace('}', "}}").replacen("/*/", "/{at}/", 1);
            format!("format!({escaped:?})")
        }
    }
}

/// The place as an expression of type `&str`.
fn place_str(leaf: &Leaf) -> String {
    match leaf.list {
        None => format!("{:?}", leaf.pointer()),
        Some(_) => format!("&{}", place(leaf)),
    }
}

/// The expression that gives a canonical member.
fn value(field: &Field, leaf: &Leaf, in_list: bool) -> String {
    let access = access(leaf);
    let place = place(leaf);
    // Items are borrowed, since a member of the message may be needed for each.
    let owned = match in_list && field.kind != Type::Boolean {
        true => format!("{access}.clone()"),
        false => access.clone(),
    };
    let some = |expression: String| if field.required { expression } else { format!("Some({expression})") };
    match (&field.kind, leaf.optional) {
        (Type::Integer, optional) => {
            // What is an integer by the payload's schema is read as one; else it may be decimal text.
            let (exact, digits) = match (leaf.is_integer(), field.minimum) {
                (true, Some(0..)) => ("quantity::not_negative", ".get()"),
                (true, _) => ("quantity::in_range", ".get()"),
                (false, Some(0..)) => ("quantity::level", ".as_str()"),
                (false, _) => ("quantity::whole", ".as_str()"),
            };
            let borrowed = if leaf.is_integer() { "" } else { ".as_ref()" };
            match (optional, field.required) {
                (false, _) => some(format!("{exact}({access}{digits}, || {place})?")),
                (true, true) => format!(
                    "{exact}({access}{borrowed}.ok_or_else(|| absent({place}))?{digits}, || {place})?"
                ),
                (true, false) => format!(
                    "{access}{borrowed}.map(|number| {exact}(number{digits}, || {place})).transpose()?"
                ),
            }
        }
        (Type::Boolean, false) => some(access),
        (Type::Boolean, true) if field.required => format!("{access}.ok_or_else(|| absent({place}))?"),
        (Type::Boolean, true) => access,
        (_, false) => some(format!("{owned}.into()")),
        (_, true) if field.required => format!("{owned}.ok_or_else(|| absent({place}))?.into()"),
        (_, true) => format!("{owned}.map(Into::into)"),
    }
}

/// rustfmt, if there is one; without it the files are as good, and longer in their lines.
pub fn format_rust(near: &Path, files: &[PathBuf]) {
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--config-path"]).arg(near).args(files);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn is_integer(one: &Match) -> bool {
    one.field.kind == Type::Integer
}

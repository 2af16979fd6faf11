//! A new bundle: every file that it consists of, from a vendor's name and, better, samples of its messages.
//!
//! What is written builds and passes its tests. A canonical member that must be there and has no source in the samples becomes a
//! refusal, `mapping_incomplete`, until its author gives it one: data are never invented.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluice_core::contract::CanonicalRef;
use sluice_core::id::{EventType, VendorId};
use sluice_core::json::{Json, parse};

use super::fixtures::pretty;
use super::sample::{Leaf, Shape, Suggestion, suggest};
use super::typegen::{Field, Type, Types, ident, pascal};
use crate::error::CliError;

/// Module of the canonical types in a bundle.
pub const CANONICAL_FILE: &str = "src/canonical.rs";

/// The event type of a bundle that says none.
pub const EVENT_TYPE_DEFAULT: &str = "stock_update";

/// A message of the vendor's.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The payload, byte for byte.
    pub payload: Vec<u8>,
    /// What it says.
    pub value: Json,
    /// Of its envelope, if it came in one.
    pub event_type: Option<EventType>,
}

impl Sample {
    /// Reads a message, bare or in an envelope.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let bytes =
            std::fs::read(path).map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;
        let invalid = |problem: String| CliError::InvalidFile {
            path: path.to_owned(),
            problem,
            hint: Some("a sample is one JSON message of the vendor's".into()),
        };
        let document = parse(&bytes).map_err(|error| invalid(format!("is {error}")))?;
        let payload = document.get("payload").filter(|_| document.get("vendorId").is_some()).cloned();
        let text = |name: &str| match document.get(name).map(|member| &member.value) {
            Some(Json::String(text)) => text.parse::<EventType>().ok(),
            _ => None,
        };
        let sample = match payload {
            Some(member) => Self {
                payload: bytes[member.span.clone()].to_vec(),
                value: member.value,
                event_type: text("eventType"),
            },
            None => Self { payload: bytes, value: document, event_type: None },
        };
        match &sample.value {
            Json::Object(_) => Ok(sample),
            other => Err(invalid(format!("is a JSON {}, and a message is an object", other.type_name()))),
        }
    }
}

/// What is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Of which kind.
    pub event_type: EventType,
    /// What they become.
    pub canonical: CanonicalRef,
    /// Where mappers-wasm/ is; the bundle is a member of that workspace if it lies in it.
    pub mappers: PathBuf,
    /// The folder.
    pub folder: PathBuf,
    /// Messages.
    pub samples: Vec<Sample>,
}

/// A bundle that was written.
#[derive(Debug, Clone)]
pub struct Scaffold {
    /// What was matched.
    pub suggestion: Suggestion,
    /// Files, relative to the folder.
    pub files: Vec<String>,
}

/// The last part of a folder's name that vendor and event type give.
pub fn bundle_name(vendor: &VendorId, event_type: &EventType) -> String {
    let mut name = String::new();
    for character in format!("{vendor}-{event_type}").chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches('-').to_owned();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("v{name}") } else { name }
}

impl Plan {
    /// Whether the bundle becomes a member of the repository's workspace of mappers.
    pub fn is_member(&self) -> bool {
        self.folder.parent().and_then(|parent| std::fs::canonicalize(parent).ok())
            == std::fs::canonicalize(&self.mappers).ok()
    }

    /// Writes a bundle in Rust.
    pub fn write_rust(&self, schema: &str) -> Result<Scaffold, CliError> {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let canonical: Value = serde_json::from_str(schema).unwrap_or_default();
        let root = self.canonical.r#type.as_str();
        let types = Types::of(root, &canonical)
            .map_err(|error| CliError::usage(format!("no types can be written for {root}: {error}")))?;
        let none = (String::new(), Vec::new());
        let fields = &types.structs.get(root).unwrap_or(&none).1;
        let mut shape = Shape::default();
        for sample in &self.samples {
            shape.add(&sample.value);
        }
        let suggestion = suggest(&shape, fields, &canonical);
        let needed: Vec<String> = suggestion
            .matches
            .iter()
            .filter(|one| !one.leaf.optional)
            .flat_map(|one| prefixes(&one.leaf))
            .collect();
        let mut payload_schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": format!("{} {}, version 1", self.vendor_id, self.event_type),
            "description": "As the vendor sends it. Members that it adds are allowed.",
        });
        let shaped = match self.samples.is_empty() {
            true => json!({"type": "object"}),
            false => shape.schema("", &|pointer| needed.iter().any(|needed| needed == pointer)),
        };
        if let (Some(whole), Value::Object(shaped)) = (payload_schema.as_object_mut(), shaped) {
            whole.extend(shaped);
        }
        let sdk = std::path::absolute(self.mappers.join("mapper-sdk"))
            .unwrap_or_else(|_| self.mappers.join("mapper-sdk"));
        let filled = |template: &str| {
            template
                .replace("{{crate}}", &name)
                .replace("{{lib}}", &name.replace('-', "_"))
                .replace("{{vendor}}", self.vendor_id.as_str())
                .replace("{{event}}", self.event_type.as_str())
                .replace("{{canonical}}", root)
                .replace("{{version}}", self.canonical.version.as_str())
                .replace("{{sdk}}", &sdk.display().to_string())
        };
        let manifest = match self.is_member() {
            true => include_str!("../../templates/rust/Cargo.member.toml"),
            false => include_str!("../../templates/rust/Cargo.standalone.toml"),
        };
        let mut files: Vec<(String, Vec<u8>)> = vec![
            ("mapper.toml".into(), filled(include_str!("../../templates/mapper.toml")).into()),
            ("Cargo.toml".into(), filled(manifest).into()),
            ("schema/1.schema.json".into(), pretty(&payload_schema).into()),
            (CANONICAL_FILE.into(), types.rust(root, self.canonical.version.as_str()).into()),
            ("src/lib.rs".into(), self.library(fields, &types, &suggestion).into()),
            ("tests/golden.rs".into(), filled(include_str!("../../templates/rust/golden.rs.txt")).into()),
        ];
        if !self.is_member() {
            files.push((".gitignore".into(), b"/target\n/mapper.wasm\n".to_vec()));
            // The SDK's own versions, so that what is built for one mapper is built for all.
            if let Ok(lock) = std::fs::read(self.mappers.join("Cargo.lock")) {
                files.push(("Cargo.lock".into(), lock));
            }
        }
        for (at, sample) in self.samples.iter().enumerate() {
            let case =
                if at == 0 { "ordinary-sample".to_owned() } else { format!("ordinary-sample-{}", at + 1) };
            files.push((format!("fixtures/{case}.in.json"), sample.payload.clone()));
        }
        if self.samples.is_empty() {
            files.push(("fixtures/ordinary-sample.in.json".into(), b"{}\n".to_vec()));
        }
        for (path, bytes) in &files {
            write(&self.folder.join(path), bytes)?;
        }
        format_rust(&self.mappers, &[self.folder.join("src/lib.rs"), self.folder.join(CANONICAL_FILE)]);
        if self.is_member() {
            self.join_workspace(&name)?;
        }
        Ok(Scaffold { suggestion, files: files.into_iter().map(|(path, _)| path).collect() })
    }

    /// Adds the bundle to the members of `mappers-wasm`.
    fn join_workspace(&self, name: &str) -> Result<(), CliError> {
        let path = self.mappers.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| CliError::ReadFile { path: path.clone(), source })?;
        let Some((at, end)) = text.find("members = [").and_then(|at| Some((at, at + text[at..].find(']')?)))
        else {
            return Err(CliError::InvalidFile {
                path,
                problem: "has no list of members".into(),
                hint: Some(format!("add {name:?} to workspace.members")),
            });
        };
        if text[at..end].contains(&format!("{name:?}")) {
            return Ok(());
        }
        let joined = format!("{}    {name:?},\n{}", &text[..end], &text[end..]);
        write(&path, joined.as_bytes())
    }

    /// `src/lib.rs`.
    fn library(&self, fields: &[Field], types: &Types, suggestion: &Suggestion) -> String {
        let root = self.canonical.r#type.as_str();
        let kind = Type::Struct(root.to_owned());
        let data = if types.borrows(&kind) { format!("{root}<'a>") } else { root.to_owned() };
        let list =
            suggestion.matches.iter().find_map(|one| one.leaf.list.map(|at| one.leaf.path[..at].to_vec()));
        let numbers = suggestion.matches.iter().any(|one| one.field.kind == Type::Integer);
        let absent = suggestion.matches.iter().any(|one| one.field.required && one.leaf.optional);
        let refused = !suggestion.missing.is_empty();
        let reads = !suggestion.matches.is_empty() || suggestion.occurred_at.is_some();
        let mut out = format!(
            "//! `{}` `{}` → `{root}` {}.\n",
            self.vendor_id, self.event_type, self.canonical.version
        );
        if refused {
            let _ = writeln!(
                out,
                "//!\n//! Not finished: {} {} no source yet, so every message is refused with `mapping_incomplete`.",
                suggestion.missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                if suggestion.missing.len() == 1 { "has" } else { "have" }
            );
        }
        if !suggestion.unused.is_empty() {
            let unused: Vec<String> =
                suggestion.unused.iter().map(|pointer| format!("`{pointer}`")).collect();
            let mut line = String::from("//!\n//! Not used of the sample:");
            let mut width = line.len();
            for (at, pointer) in unused.iter().enumerate() {
                let last = at + 1 == unused.len();
                let word = format!(" {pointer}{}", if last { "." } else { "," });
                if width + word.len() > 105 {
                    line.push_str("\n//!");
                    width = 3;
                }
                width += word.len();
                line.push_str(&word);
            }
            let _ = writeln!(out, "{line}");
        }
        out.push_str("\npub mod canonical;\n\n");
        if suggestion.occurred_at.is_some() {
            out.push_str("use std::borrow::Cow;\n\n");
        }
        let _ = writeln!(out, "use canonical::{{EVENT_TYPE, {root}, SCHEMA_VERSION}};");
        let ids = suggestion.matches.iter().any(|one| one.field.kind == Type::Text);
        let mut json_items = Vec::new();
        if numbers {
            json_items.push("Decimal");
        }
        if ids {
            json_items.push("Id");
        }
        if reads {
            json_items.push("self");
        }
        if !json_items.is_empty() {
            let _ = writeln!(out, "use mapper_sdk::json::{{{}}};", json_items.join(", "));
        }
        if numbers {
            out.push_str("use mapper_sdk::money::MINOR_MAX;\n");
        }
        let error = if numbers || absent || refused { "MapError, " } else { "" };
        let _ = writeln!(out, "use mapper_sdk::{{CanonicalEvent, {error}Mapped, Meta, time}};");
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
            "CanonicalEvent {{\n{indent}event_type: EVENT_TYPE,\n{indent}schema_version: SCHEMA_VERSION,\n{indent}occurred_at: {time},\n{indent}data: {root} {{\n"
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
        if numbers {
            out.push_str(WHOLE);
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

const WHOLE: &str = r#"
/// A whole number of at least `least`, exact, which the vendor writes as a number or as text.
fn whole(number: &Decimal<'_>, least: i64, place: impl FnOnce() -> String) -> Result<i64, MapError> {
    let text = number.as_str();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let refuse = |code, why| Err(MapError::new(code, place(), format!("{text:?} {why}")));
    match whole.parse::<i64>() {
        Ok(_) if !fraction.bytes().all(|digit| digit == b'0') => refuse("number_not_whole", "is not a whole number"),
        Ok(value) if (least..=MINOR_MAX).contains(&value) => Ok(value),
        Ok(_) => refuse("number_out_of_range", "is too small or too large"),
        Err(_) => refuse("number_not_whole", "is not a whole number"),
    }
}
"#;

const ABSENT: &str = r#"
/// What the vendor may leave out, and the canonical event may not.
fn absent(place: String) -> MapError {
    MapError::new("member_absent", place, "is needed, and the vendor sent none")
}
"#;

const MISSING: &str = r#"
/// Nothing in the samples looks like this member. Until it has a source every message is refused: data are not invented.
fn missing<T>(member: &str) -> Result<T, MapError> {
    Err(MapError::new("mapping_incomplete", "", format!("{member} has no source yet: edit src/lib.rs")))
}
"#;

/// Every object on the way to a member, and the member.
fn prefixes(leaf: &Leaf) -> Vec<String> {
    let whole = leaf.pointer();
    let mut found: Vec<String> = whole.match_indices('/').map(|(at, _)| whole[..at].to_owned()).collect();
    found.push(whole);
    found
}

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
    let least = field.minimum.map_or("-MINOR_MAX".to_owned(), |least| match least {
        -9_007_199_254_740_991 => "-MINOR_MAX".to_owned(),
        least => least.to_string(),
    });
    // Items are borrowed, since a member of the message may be needed for each.
    let owned = match in_list && field.kind != Type::Boolean {
        true => format!("{access}.clone()"),
        false => access.clone(),
    };
    let some = |expression: String| if field.required { expression } else { format!("Some({expression})") };
    match (&field.kind, leaf.optional) {
        (Type::Integer, false) => some(format!("whole(&{access}, {least}, || {place})?")),
        (Type::Integer, true) if field.required => {
            format!("whole({access}.as_ref().ok_or_else(|| absent({place}))?, {least}, || {place})?")
        }
        (Type::Integer, true) => {
            format!("{access}.as_ref().map(|number| whole(number, {least}, || {place})).transpose()?")
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

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |source| CliError::WriteFile { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn names_of_folders_are_names_of_crates() {
        let name = |vendor: &str, event: &str| bundle_name(&vendor.parse().unwrap(), &event.parse().unwrap());
        assert_eq!(name("Acme.Inc", "orders/create"), "acme-inc-orders-create");
        assert_eq!(name("3PL", "stock_update"), "v3pl-stock-update");
    }

    #[test]
    fn a_sample_is_a_payload_or_an_envelope() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        std::fs::write(&path, br#"{"vendorId":"v","eventType":"t/u","payload": {"n": 1.50} }"#).unwrap();
        let sample = Sample::read(&path).unwrap();
        assert_eq!(
            (&sample.payload[..], sample.event_type.unwrap().as_str()),
            (&br#"{"n": 1.50}"#[..], "t/u")
        );
        std::fs::write(&path, b"[1]").unwrap();
        assert!(Sample::read(&path).unwrap_err().to_string().contains("JSON array"));
        std::fs::write(&path, b"a,b\n1,2").unwrap();
        assert!(Sample::read(&path).unwrap_err().to_string().contains("not valid JSON"));
    }
}

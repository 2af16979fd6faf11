//! A mapper in Rust of a JSON message: typed structs of what is read, and one expression for each canonical member.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::sample::{Leaf, Match, Step, Suggestion, Time, pointer};
use super::super::typegen::{Field, Type, ident, pascal};
use super::Inferred;

/// Part of the vendor's message, as far as it is read.
enum Node<'s> {
    /// An object.
    Object(String, Vec<Member<'s>>),
    /// An array: whether its items may be null, and what they are.
    List(bool, Option<Box<Node<'s>>>),
    /// A value of this type.
    Value(&'static str),
}

/// A member of an object.
struct Member<'s> {
    /// As in JSON.
    name: &'s str,
    /// In Rust.
    own: String,
    optional: bool,
    node: Node<'s>,
}

impl<'s> Node<'s> {
    fn borrows(&self) -> bool {
        match self {
            Self::Object(_, members) => members.iter().any(|member| member.node.borrows()),
            Self::List(_, items) => items.as_ref().is_some_and(|items| items.borrows()),
            Self::Value(kind) => kind.contains("'a"),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Object(name, _) if self.borrows() => format!("{name}<'a>"),
            Self::Object(name, _) => name.clone(),
            Self::List(nullable, items) => {
                let items = items
                    .as_ref()
                    .map_or_else(|| "serde::de::IgnoredAny".to_owned(), |items| items.written());
                if *nullable { format!("Vec<Option<{items}>>") } else { format!("Vec<{items}>") }
            }
            Self::Value(kind) => (*kind).to_owned(),
        }
    }

    /// With what is on a way, and at its end a value. `words` name what is here; none for the root.
    fn grown(
        node: Option<Self>,
        path: &'s [Step],
        words: Option<String>,
        value: Option<&'static str>,
        names: &mut BTreeSet<String>,
    ) -> Option<Self> {
        let Some((step, rest)) = path.split_first() else { return node.or(value.map(Self::Value)) };
        match step {
            Step::Items { optional } => {
                let (nullable, items) = match node {
                    Some(Self::List(nullable, items)) => (nullable, items),
                    _ => (*optional, None),
                };
                let words = words.unwrap_or_else(|| "message".to_owned());
                let singular = words.strip_suffix('s').map_or_else(|| format!("{words} item"), str::to_owned);
                let items = Self::grown(items.map(|items| *items), rest, Some(singular), value, names);
                Some(Self::List(nullable, items.map(Box::new)))
            }
            Step::Member { name, optional } => {
                let (own_name, mut members) = match node {
                    Some(Self::Object(name, members)) => (name, members),
                    _ => {
                        let plain = words.as_deref().map_or_else(|| "Message".to_owned(), pascal);
                        (unique(names, &plain, |count| format!("{plain}{count}")), Vec::new())
                    }
                };
                let inner = words.map_or_else(|| name.clone(), |words| format!("{words} {name}"));
                match members.iter().position(|member| member.name == name) {
                    Some(at) => {
                        let Member { name, own, optional, node } = members.remove(at);
                        if let Some(node) = Self::grown(Some(node), rest, Some(inner), value, names) {
                            members.insert(at, Member { name, own, optional, node });
                        }
                    }
                    None => {
                        if let Some(node) = Self::grown(None, rest, Some(inner), value, names) {
                            let mut taken: BTreeSet<String> =
                                members.iter().map(|member| member.own.clone()).collect();
                            let own =
                                unique(&mut taken, &ident(name), |count| ident(&format!("{name} {count}")));
                            members.push(Member { name, own, optional: *optional, node });
                        }
                    }
                }
                Some(Self::Object(own_name, members))
            }
        }
    }

    /// What a step leads to, with its name in Rust and whether it may be absent.
    fn at(&self, step: &Step) -> Option<(&str, bool, &Self)> {
        match (self, step) {
            (Self::Object(_, members), Step::Member { name, .. }) => {
                let member = members.iter().find(|member| member.name == name)?;
                Some((&member.own, member.optional, &member.node))
            }
            (Self::List(nullable, items), Step::Items { .. }) => Some(("", *nullable, items.as_deref()?)),
            _ => None,
        }
    }

    /// The structs, each before those that it holds.
    fn structs(&self, out: &mut String) {
        match self {
            Self::Value(_) => {}
            Self::List(_, items) => {
                if let Some(items) = items {
                    items.structs(out);
                }
            }
            Self::Object(name, members) => {
                let life = if self.borrows() { "<'a>" } else { "" };
                let _ = writeln!(out, "\n#[derive(Deserialize)]\nstruct {name}{life} {{");
                for Member { name, own, optional, node } in members {
                    let mut serde = Vec::new();
                    if own != name {
                        serde.push(format!("rename = {name:?}"));
                    }
                    if node.borrows() {
                        serde.push("borrow".to_owned());
                    }
                    if *optional {
                        serde.push("default".to_owned());
                    }
                    if !serde.is_empty() {
                        let _ = writeln!(out, "    #[serde({})]", serde.join(", "));
                    }
                    let written = node.written();
                    let written = if *optional { format!("Option<{written}>") } else { written };
                    let _ = writeln!(out, "    {own}: {written},");
                }
                out.push_str("}\n");
                for member in members {
                    member.node.structs(out);
                }
            }
        }
    }
}

/// A name that is not taken yet.
fn unique(taken: &mut BTreeSet<String>, plain: &str, other: impl Fn(usize) -> String) -> String {
    let mut name = plain.to_owned();
    let mut count = 1;
    while !taken.insert(name.clone()) {
        count += 1;
        name = other(count);
    }
    name
}

/// The typed message, and how it is reached into.
struct Typed<'s> {
    root: Node<'s>,
    lists: Vec<List<'s>>,
}

/// An array whose items are gone through.
struct List<'s> {
    /// The way to its items.
    path: &'s [Step],
    /// The variable of an item, and of its index.
    item: String,
    index: String,
}

impl<'s> Typed<'s> {
    fn of(suggestion: &'s Suggestion) -> Self {
        let mut names = BTreeSet::new();
        let mut root = Node::grown(None, &suggestion.each, None, None, &mut names);
        for Match { field, leaf, .. } in &suggestion.matches {
            let kind = match field.kind {
                Type::Integer if leaf.is_integer() => "Integer",
                Type::Integer => "Decimal<'a>",
                Type::Boolean => "bool",
                _ => "Label<'a>",
            };
            root = Node::grown(root, &leaf.path, None, Some(kind), &mut names);
        }
        if let Some(leaf) = &suggestion.occurred_at {
            root = Node::grown(root, &leaf.path, None, Some("Label<'a>"), &mut names);
        }
        let each = &suggestion.each;
        let ends: Vec<usize> =
            (0..each.len()).filter(|at| matches!(each[*at], Step::Items { .. })).map(|at| at + 1).collect();
        let (mut items, mut indexes) = (BTreeSet::new(), BTreeSet::new());
        let lists = ends
            .iter()
            .map(|end| {
                let held = match end.checked_sub(2).map(|at| &each[at]) {
                    Some(Step::Member { name, .. }) if ends.len() > 1 => format!("{name} "),
                    _ => String::new(),
                };
                let variable = |taken: &mut BTreeSet<String>, what: &str| {
                    let other = |count: usize| ident(&format!("{held}{what} {count}"));
                    unique(taken, &ident(&format!("{held}{what}")), other)
                };
                let (item, index) = (variable(&mut items, "item"), variable(&mut indexes, "at"));
                List { path: &each[..*end], item, index }
            })
            .collect();
        let root = root.unwrap_or_else(|| Node::Object("Message".into(), Vec::new()));
        Self { root, lists }
    }

    /// The expression of what is at a place, and whether it is an option of a reference to it.
    fn access(&self, path: &[Step]) -> (String, bool) {
        let inner = self.lists.iter().rfind(|list| path.starts_with(list.path));
        let (mut expression, from) =
            inner.map_or_else(|| ("message".to_owned(), 0), |list| (list.item.clone(), list.path.len()));
        let mut node = Some(&self.root);
        for step in &path[..from] {
            node = node.and_then(|node| node.at(step)).map(|(.., inner)| inner);
        }
        let mut optional = false;
        for step in &path[from..] {
            let Some((own, may_miss, inner)) = node.and_then(|node| node.at(step)) else { break };
            node = Some(inner);
            expression = match (optional, may_miss) {
                (false, false) => format!("{expression}.{own}"),
                (false, true) => format!("{expression}.{own}.as_ref()"),
                (true, false) => format!("{expression}.map(|it| &it.{own})"),
                (true, true) => format!("{expression}.and_then(|it| it.{own}.as_ref())"),
            };
            optional |= may_miss;
        }
        (expression, optional)
    }

    /// The place as the text of a literal, and whether it has indexes to fill in.
    fn place(&self, path: &[Step]) -> (String, bool) {
        let indexed = self.lists.iter().any(|list| path.starts_with(list.path));
        if !indexed {
            return (pointer(path), false);
        }
        let mut text = String::new();
        for (at, step) in path.iter().enumerate() {
            match self.lists.iter().find(|list| list.path.len() == at + 1) {
                Some(list) => {
                    let _ = write!(text, "/{{{}}}", list.index);
                }
                None => {
                    text.push_str(&pointer(std::slice::from_ref(step)).replace('{', "{{").replace('}', "}}"));
                }
            }
        }
        (text, true)
    }

    /// The place as an expression of type `String`.
    fn place_owned(&self, path: &[Step]) -> String {
        match self.place(path) {
            (text, true) => format!("format!({text:?})"),
            (text, false) => format!("{text:?}.to_owned()"),
        }
    }

    /// The expression that gives a canonical member.
    fn value(&self, field: &Field, leaf: &Leaf) -> String {
        let (access, optional) = self.access(&leaf.path);
        let place = self.place_owned(&leaf.path);
        let needed = || format!("{access}.ok_or_else(|| absent({place}))?");
        let some =
            |expression: String| if field.required { expression } else { format!("Some({expression})") };
        match &field.kind {
            Type::Integer => {
                // What is an integer by the payload's schema is read as one; else it may be decimal text.
                let least = matches!(field.minimum, Some(0..));
                let exact = match (leaf.is_integer(), least) {
                    (true, true) => "quantity::not_negative",
                    (true, false) => "quantity::in_range",
                    // As `[text]` of the contract declares.
                    (false, true) => "meta.text.level",
                    (false, false) => "meta.text.whole",
                };
                let read = |number: &str| match (leaf.is_integer(), number == access && !optional) {
                    (true, _) => format!("{exact}({number}.get(), || {place})"),
                    (false, true) => format!("{exact}(&{number}, || {place})"),
                    (false, false) => format!("{exact}({number}, || {place})"),
                };
                if field.required {
                    return format!("{}?", read(&if optional { needed() } else { access.clone() }));
                }
                let blank = !leaf.is_integer() && leaf.is_optional();
                match (optional, blank) {
                    (false, false) => some(format!("{}?", read(&access))),
                    (true, false) => format!("{access}.map(|number| {}).transpose()?", read("number")),
                    (true, true) => format!(
                        "{access}.filter(|number| !number.is_blank()).map(|number| {}).transpose()?",
                        read("number")
                    ),
                    (false, true) => {
                        format!("if {access}.is_blank() {{ None }} else {{ Some({}?) }}", read(&access))
                    }
                }
            }
            Type::Boolean if !optional => some(access),
            Type::Boolean if field.required => format!("*{}", needed()),
            Type::Boolean => format!("{access}.copied()"),
            _ if field.required => {
                let label = if optional { needed() } else { access };
                format!("text::identifier({label}.text(), {}, || {place})?", field.chars_max())
            }
            _ => {
                let known = known(field, &place);
                match optional {
                    true => format!("{access}.and_then(|label| label.{known})"),
                    false => format!("{access}.{known}"),
                }
            }
        }
    }
}

/// How text that may be absent is taken from what the vendor wrote. Text for people is cut, and a code that is no code left out, with a
/// note of the event.
fn known(field: &Field, place: &str) -> String {
    match field.name.as_str() {
        "title" => format!("cut({}, &mut notes, || {place})", field.chars_max()),
        "gtin" => format!("gtin(&mut notes, || {place})"),
        _ => format!("noted({}, &mut notes, || {place})", field.chars_max()),
    }
}

impl Inferred<'_> {
    /// `src/lib.rs`.
    pub(super) fn rust_json(&self) -> String {
        let Self { root, types, suggestion, .. } = self;
        let root = *root;
        let data = match types.borrows(&Type::Struct(root.to_owned())) {
            true => format!("{root}<'a>"),
            false => root.to_owned(),
        };
        let typed = Typed::of(suggestion);
        let reads = !suggestion.matches.is_empty() || suggestion.occurred_at.is_some();
        let event = self.rust_event(&typed);
        let body = rust_body(&typed, &event);
        let mut structs = String::new();
        if reads {
            typed.root.structs(&mut structs);
        }
        let uses = |text: &str| body.contains(text) || structs.contains(text);
        let mut json_items: Vec<&str> = if reads { vec!["self"] } else { Vec::new() };
        json_items.extend(["Decimal", "Integer", "Label"].into_iter().filter(|item| structs.contains(item)));
        let mut sdk = vec!["CanonicalEvent"];
        sdk.extend(
            [("MapError", uses("absent(") || uses("missing("))]
                .iter()
                .filter(|(_, used)| *used)
                .map(|(name, _)| *name),
        );
        sdk.extend(["Mapped", "Meta"]);
        sdk.extend(
            [("quantity", "quantity::"), ("text", "text::")]
                .iter()
                .filter(|(_, used)| uses(used))
                .map(|(name, _)| *name),
        );
        sdk.push("time");
        let mut out = self.about("//!", "");
        out.push_str("\npub mod canonical;\n\n");
        let _ = writeln!(out, "use canonical::{{EVENT_TYPE, {root}, SCHEMA_VERSION}};");
        if !json_items.is_empty() {
            let _ = writeln!(out, "use mapper_sdk::json::{{{}}};", json_items.join(", "));
        }
        let _ = writeln!(out, "use mapper_sdk::{{{}}};", sdk.join(", "));
        if reads {
            out.push_str("use serde::Deserialize;\n");
            // The root's own comment stands before its attributes.
            out.push_str(&structs.replacen(
                "\n#[derive",
                "\n/// What the vendor sends, as far as it is read.\n#[derive",
                1,
            ));
        }
        let payload = if reads { "payload" } else { "_payload" };
        let _ = write!(
            out,
            "\n/// {} from one message.\n///\n/// # Errors\n/// A refusal, with a code and the place in the message.\n\
             pub fn map<'a>(meta: &Meta<'a>, {payload}: &'a [u8]) -> Mapped<{data}> {{\n",
            match suggestion.each.is_empty() {
                true => "One event".to_owned(),
                false => format!("An event for every item of `{}`", pointer(&suggestion.each)),
            }
        );
        if reads {
            let _ = writeln!(out, "    let message: {} = json::read(payload)?;", typed.root.written());
        }
        out.push_str(&body);
        if body.contains("absent(") {
            out.push_str(ABSENT);
        }
        if body.contains("missing(") {
            out.push_str(MISSING);
        }
        out.push_str("\nmapper_sdk::export_mapper!(map);\n");
        out
    }

    /// The expression of an event.
    fn rust_event(&self, typed: &Typed<'_>) -> String {
        let Self { root, suggestion, .. } = self;
        let time = match &suggestion.occurred_at {
            None => "time::utc(&meta.occurred_at, \"\")?".to_owned(),
            Some(leaf) => {
                let (access, optional) = typed.access(&leaf.path);
                let place = match (leaf.time(), typed.place(&leaf.path)) {
                    (Some(Time::Local | Time::Seconds | Time::Milliseconds), _) => {
                        format!("|| {}", typed.place_owned(&leaf.path))
                    }
                    (_, (text, true)) => format!("&format!({text:?})"),
                    (_, (text, false)) => format!("{text:?}"),
                };
                let reader = time_reader(leaf);
                let known = match optional {
                    true => format!("{access}.and_then(|at| at.known({TIME_CHARS_MAX}))"),
                    false => format!("{access}.known({TIME_CHARS_MAX})"),
                };
                format!(
                    "match {known} {{ Some(said) => {reader}(&said, {place})?, None => time::utc(&meta.occurred_at, \"\")? }}"
                )
            }
        };
        let mut event = format!(
            "CanonicalEvent {{\nevent_type: EVENT_TYPE,\nschema_version: SCHEMA_VERSION,\noccurred_at: {time},\ndata: {root} {{\n"
        );
        for field in self.fields() {
            let found = suggestion.matches.iter().find(|one| one.field.name == field.name);
            let value = match found {
                Some(one) => typed.value(field, &one.leaf),
                None if field.required => format!("missing({:?})?", field.name),
                None if suggestion.missing.contains(&field.name) => {
                    format!("Some(missing({:?})?)", field.name)
                }
                None => "None".to_owned(),
            };
            let _ = writeln!(event, "{}: {value},", ident(&field.name));
        }
        // Made of the data, so after it.
        match event.contains("&mut notes") {
            true => event.push_str("},\nnotes,\n}"),
            false => event.push_str("},\nnotes: Vec::new(),\n}"),
        }
        event
    }
}

/// The function that reads when it happened.
pub(super) fn time_reader(leaf: &Leaf) -> &'static str {
    match leaf.time() {
        Some(Time::Local) => "meta.text.time",
        Some(Time::Seconds) => "time::epoch_seconds",
        Some(Time::Milliseconds) => "time::epoch_millis",
        Some(Time::Offset) | None => "time::utc",
    }
}

/// Longest time that is read, in characters.
const TIME_CHARS_MAX: usize = 64;

/// Of the function `map`, what follows the reading. `rustfmt` indents it.
fn rust_body(typed: &Typed<'_>, event: &str) -> String {
    let notes = if event.contains("&mut notes") { "    let mut notes = Vec::new();\n" } else { "" };
    if typed.lists.is_empty() {
        return format!("{notes}    Ok(vec![{event}])\n}}\n");
    }
    let mut out = String::from("    let mut events = Vec::new();\n");
    for List { path, item, index } in &typed.lists {
        let (access, optional) = typed.access(&path[..path.len() - 1]);
        let nullable = path.last().is_some_and(Step::is_optional);
        let numbered = event.contains(&format!("{{{index}}}"));
        let mut items = match optional {
            true => format!("{access}.into_iter().flatten()"),
            false => format!("{access}.iter()"),
        };
        match (numbered, nullable) {
            (true, true) => {
                items.push_str(".enumerate().filter_map(|(at, item)| Some((at, item.as_ref()?)))");
            }
            (true, false) => items.push_str(".enumerate()"),
            (false, true) => items.push_str(".flatten()"),
            (false, false) => {}
        }
        // A plain loop reads better over a reference.
        if items == format!("{access}.iter()") {
            items = format!("&{access}");
        }
        let bound = if numbered { format!("({index}, {item})") } else { item.clone() };
        let _ = writeln!(out, "    for {bound} in {items} {{");
    }
    let _ = writeln!(out, "{notes}events.push({event});");
    out.push_str(&"    }\n".repeat(typed.lists.len()));
    out.push_str("    Ok(events)\n}\n");
    out
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

/// rustfmt, if there is one; without it the files are as good, and longer in their lines.
pub fn format_rust(near: &Path, files: &[PathBuf]) {
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--config-path"]).arg(near).args(files);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

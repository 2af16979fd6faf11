//! Types of a canonical schema's `data` for a mapper, in each of the languages.
//!
//! Made for the subset of JSON Schema that canonical schemas are written in; whatever else a schema says about shape is refused by
//! name, never left out. Bounds (`minLength`, `pattern`, `minimum`, …) are not types: the host judges them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::build::Language;

mod assembly_script;
mod c;

/// Keywords that say nothing about shape.
const IGNORED: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "examples",
    "default",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "additionalProperties",
    // Between members, which each have their type.
    "anyOf",
    "allOf",
    "oneOf",
    "if",
    "then",
    "else",
    "not",
    "dependentSchemas",
];

/// What a schema says that cannot be a type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} has {what}, of which there is no type")]
pub struct Unsupported {
    pointer: String,
    what: String,
}

/// A type of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `Cow<'a, str>`
    Text,
    /// `i64`
    Integer,
    /// `bool`
    Boolean,
    /// One of some texts.
    Enum(String),
    /// `Vec`
    List(Box<Type>),
    /// By name.
    Struct(String),
    /// Or `null`.
    Nullable(Box<Type>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As in JSON.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whether it must be there.
    pub required: bool,
    /// The least that an integer may be.
    pub minimum: Option<i64>,
    /// The most characters that a text may have.
    chars_max: Option<u64>,
    description: String,
}

/// The most characters of a text whose schema does not say.
const CHARS_MAX: u64 = 256;

impl Field {
    /// The most characters of a text.
    pub fn chars_max(&self) -> u64 {
        self.chars_max.unwrap_or(CHARS_MAX)
    }
}

/// The types of one schema.
#[derive(Debug, Clone, Default)]
pub struct Types {
    /// Structs by name, with their members in the schema's order.
    pub structs: BTreeMap<String, (String, Vec<Field>)>,
    enums: BTreeMap<String, Vec<String>>,
}

impl Types {
    /// Reads the schema of a canonical type.
    pub fn of(root: &str, schema: &Value) -> Result<Self, Unsupported> {
        let mut types = Self::default();
        types.object(root, schema, schema, &mut String::new())?;
        Ok(types)
    }

    fn object(
        &mut self,
        name: &str,
        schema: &Value,
        root: &Value,
        pointer: &mut String,
    ) -> Result<(), Unsupported> {
        if self.structs.contains_key(name) {
            return Ok(());
        }
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // Known before its members are read, so that a type may hold itself.
        self.structs.insert(name.to_owned(), (text(schema, "description"), Vec::new()));
        let mut fields = Vec::new();
        let none = Map::new();
        for (member, inner) in schema["properties"].as_object().unwrap_or(&none) {
            let length = pointer.len();
            let _ = write!(pointer, "/properties/{member}");
            let kind = self.kind(&pascal(member), inner, root, pointer)?;
            pointer.truncate(length);
            let resolved = resolve(inner, root).unwrap_or(inner);
            fields.push(Field {
                name: member.clone(),
                kind,
                required: required.contains(member.as_str()),
                minimum: resolved["minimum"].as_i64(),
                chars_max: resolved["maxLength"].as_u64(),
                description: match text(inner, "description") {
                    own if own.is_empty() => text(resolved, "description"),
                    own => own,
                },
            });
        }
        if let Some(held) = self.structs.get_mut(name) {
            held.1 = fields;
        }
        Ok(())
    }

    fn kind(
        &mut self,
        name: &str,
        schema: &Value,
        root: &Value,
        pointer: &mut String,
    ) -> Result<Type, Unsupported> {
        let unsupported = |what: String| Unsupported { pointer: pointer.clone(), what };
        if let Some(reference) = schema["$ref"].as_str() {
            let target = resolve(schema, root).ok_or_else(|| unsupported(format!("the $ref {reference}")))?;
            let own = reference.rsplit('/').next().unwrap_or(reference);
            return self.kind(&pascal(own), target, root, pointer);
        }
        let known = ["type", "enum", "items", "properties", "required", "$ref", "$defs"];
        if let Some(keyword) = schema
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .find(|keyword| !known.contains(&keyword.as_str()) && !IGNORED.contains(&keyword.as_str()))
        {
            return Err(unsupported(format!("the keyword {keyword}")));
        }
        let mut kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let nullable = kinds.contains(&"null");
        kinds.retain(|kind| *kind != "null");
        if kinds.is_empty() && schema["enum"].is_array() {
            kinds.push("string");
        }
        if kinds.is_empty() && schema["anyOf"].is_array() {
            // `anyOf: [X, {type: null}]` is how a reference is made nullable.
            let branches = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
            let inner: Vec<&Value> = branches.iter().filter(|branch| branch["type"] != "null").collect();
            if let [inner] = inner[..] {
                let inner = self.kind(name, inner, root, pointer)?;
                return Ok(if branches.len() > 1 { Type::Nullable(Box::new(inner)) } else { inner });
            }
        }
        let [kind] = kinds[..] else {
            return Err(unsupported(format!("{} types", kinds.len())));
        };
        let kind = match kind {
            "string" => match schema["enum"].as_array() {
                Some(values) => {
                    let values: Vec<String> =
                        values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    self.enums.insert(name.to_owned(), values);
                    Type::Enum(name.to_owned())
                }
                None => Type::Text,
            },
            "integer" => Type::Integer,
            "boolean" => Type::Boolean,
            "array" => {
                pointer.push_str("/items");
                let singular = name.strip_suffix('s').unwrap_or(name).to_owned();
                let items = self.kind(&singular, &schema["items"], root, pointer)?;
                if matches!(items, Type::List(_) | Type::Nullable(_)) {
                    return Err(Unsupported {
                        pointer: pointer.clone(),
                        what: "arrays or null as items".into(),
                    });
                }
                Type::List(Box::new(items))
            }
            "object" => {
                self.object(name, schema, root, pointer)?;
                Type::Struct(name.to_owned())
            }
            other => return Err(unsupported(format!("the type {other}"))),
        };
        Ok(if nullable { Type::Nullable(Box::new(kind)) } else { kind })
    }

    /// Whether a type borrows from the message.
    pub fn borrows(&self, kind: &Type) -> bool {
        fn walk(types: &Types, kind: &Type, seen: &mut BTreeSet<String>) -> bool {
            match kind {
                Type::Text => true,
                Type::Integer | Type::Boolean | Type::Enum(_) => false,
                Type::List(inner) | Type::Nullable(inner) => walk(types, inner, seen),
                Type::Struct(name) => {
                    seen.insert(name.clone())
                        && types.structs.get(name).is_some_and(|(_, fields)| {
                            fields.iter().any(|field| walk(types, &field.kind, seen))
                        })
                }
            }
        }
        walk(self, kind, &mut BTreeSet::new())
    }

    /// The structs, each after those that it holds.
    fn inside_out(&self, root: &str) -> Vec<&str> {
        fn visit<'t>(types: &'t Types, name: &str, seen: &mut BTreeSet<&'t str>, order: &mut Vec<&'t str>) {
            let Some((name, (_, fields))) = types.structs.get_key_value(name) else { return };
            if !seen.insert(name) {
                return;
            }
            for field in fields {
                let mut kind = &field.kind;
                while let Type::List(inner) | Type::Nullable(inner) = kind {
                    kind = inner;
                }
                if let Type::Struct(held) = kind {
                    visit(types, held, seen, order);
                }
            }
            order.push(name);
        }
        let mut order = Vec::new();
        visit(self, root, &mut BTreeSet::new(), &mut order);
        order
    }

    fn fields(&self, name: &str) -> (&str, &[Field]) {
        self.structs.get(name).map_or(("", &[]), |(description, fields)| (description, fields))
    }

    /// The types in a language, as the file that its bundles keep them in.
    pub fn written_in(&self, language: Language, root: &str, version: &str) -> String {
        match language {
            Language::Rust => self.rust(root, version),
            Language::AssemblyScript => self.assembly_script(root, version),
            Language::C => self.c(root, version),
        }
    }

    fn written(&self, kind: &Type) -> String {
        match kind {
            Type::Text => "Cow<'a, str>".into(),
            Type::Integer => "i64".into(),
            Type::Boolean => "bool".into(),
            Type::Enum(name) => name.clone(),
            Type::List(inner) => format!("Vec<{}>", self.written(inner)),
            Type::Nullable(inner) => format!("Option<{}>", self.written(inner)),
            Type::Struct(name) if self.borrows(kind) => format!("{name}<'a>"),
            Type::Struct(name) => name.clone(),
        }
    }

    /// The module.
    pub fn rust(&self, root: &str, version: &str) -> String {
        let mut out =
            format!("//! `data` of {root} {version}. Written by `sluice mapper typegen`: do not edit.\n\n");
        if self.structs.keys().any(|name| self.borrows(&Type::Struct(name.clone()))) {
            out.push_str("use std::borrow::Cow;\n\n");
        }
        out.push_str("use serde::Serialize;\n\n");
        let _ = writeln!(out, "/// The canonical type.\npub const EVENT_TYPE: &str = {root:?};");
        let _ = writeln!(out, "/// Its version.\npub const SCHEMA_VERSION: &str = {version:?};");
        let first = self.structs.get_key_value(root);
        let rest = self.structs.iter().filter(|(name, _)| *name != root);
        for (name, (description, fields)) in first.into_iter().chain(rest) {
            let kind = Type::Struct(name.clone());
            let _ = write!(out, "\n{}", doc("", description, &format!("`{name}`.")));
            let life = if self.borrows(&kind) { "<'a>" } else { "" };
            out.push_str(
                "#[derive(Debug, Clone, PartialEq, Eq, Serialize)]\n#[serde(rename_all = \"camelCase\")]\n",
            );
            let _ = writeln!(out, "pub struct {name}{life} {{");
            for field in fields {
                out.push_str(&doc("    ", &field.description, &format!("`{}`.", field.name)));
                let ident = ident(&field.name);
                if camel(&ident) != field.name {
                    let _ = writeln!(out, "    #[serde(rename = {:?})]", field.name);
                }
                let written = self.written(&field.kind);
                if field.required {
                    let _ = writeln!(out, "    pub {ident}: {written},");
                } else {
                    out.push_str("    #[serde(skip_serializing_if = \"Option::is_none\")]\n");
                    let _ = writeln!(out, "    pub {ident}: Option<{written}>,");
                }
            }
            out.push_str("}\n");
        }
        for (name, values) in &self.enums {
            let _ = write!(out, "\n/// `{name}`.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]\n");
            let _ = writeln!(out, "pub enum {name} {{");
            for value in values {
                let _ = writeln!(
                    out,
                    "    /// `{value}`.\n    #[serde(rename = {value:?})]\n    {},",
                    pascal(value)
                );
            }
            out.push_str("}\n");
        }
        out
    }
}

fn resolve<'v>(schema: &Value, root: &'v Value) -> Option<&'v Value> {
    root.pointer(schema["$ref"].as_str()?.strip_prefix('#')?)
}

fn text(schema: &Value, keyword: &str) -> String {
    schema[keyword].as_str().unwrap_or_default().to_owned()
}

/// A doc comment, broken at words.
fn doc(indent: &str, text: &str, otherwise: &str) -> String {
    let text = if text.is_empty() { otherwise } else { text };
    let mut out = String::new();
    for line in lines(text, 96 - indent.len()) {
        let _ = writeln!(out, "{indent}/// {line}");
    }
    out
}

/// A comment as C and its kin have it, which begins with `open`; nothing for no text.
fn block_comment(indent: &str, open: &str, text: &str) -> String {
    // What would end it does not.
    let text = text.replace("*/", "* /");
    match &lines(&text, 92 - indent.len())[..] {
        [] => String::new(),
        [line] => format!("{indent}{open} {line} */\n"),
        lines => format!("{indent}{open} {} */\n", lines.join(&format!("\n{indent} * "))),
    }
}

/// A text broken at words, each line of at most so many characters unless a word is longer.
fn lines(text: &str, chars_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= chars_max => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The words of a name, in lower case: `orderId`, `order_id` and `Order-ID` have the same.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let characters: Vec<char> = name.chars().collect();
    for (at, character) in characters.iter().enumerate() {
        if !character.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| characters.get(at));
        let after = characters.get(at + 1);
        let starts = character.is_uppercase()
            && (before.is_some_and(|before| before.is_lowercase() || before.is_numeric())
                || (before.is_some_and(|before| before.is_uppercase())
                    && after.is_some_and(|after| after.is_lowercase())));
        if starts {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut() {
            last.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A type's name.
pub fn pascal(name: &str) -> String {
    let mut out: String = words(name)
        .iter()
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
        .collect();
    out.retain(|character| character.is_ascii_alphanumeric());
    if out.chars().next().is_none_or(|first| first.is_ascii_digit()) { format!("V{out}") } else { out }
}

/// A name of words in lower case, joined by `_`.
fn snake(name: &str) -> String {
    let mut out = words(name).join("_");
    out.retain(|character| character.is_ascii_alphanumeric() || character == '_');
    if out.chars().next().is_none_or(|first| first.is_ascii_digit()) { format!("v{out}") } else { out }
}

/// A member's name in Rust.
pub fn ident(name: &str) -> String {
    let out = snake(name);
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "box", "break", "const", "continue", "crate", "do", "dyn", "else", "enum",
        "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match",
        "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct",
        "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
        "while", "yield",
    ];
    if KEYWORDS.contains(&out.as_str()) { format!("{out}_") } else { out }
}

/// A member's or a variable's name in C.
pub fn c_ident(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
        "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long", "register",
        "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "true", "typedef",
        "union", "unsigned", "void", "volatile", "while",
    ];
    let out = snake(name);
    if KEYWORDS.contains(&&*out) { format!("{out}_") } else { out }
}

/// A member's or a variable's name in AssemblyScript.
pub fn script_ident(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "abstract",
        "as",
        "bool",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "declare",
        "default",
        "delete",
        "do",
        "else",
        "enum",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "get",
        "if",
        "implements",
        "import",
        "in",
        "instanceof",
        "interface",
        "is",
        "let",
        "namespace",
        "new",
        "null",
        "of",
        "private",
        "protected",
        "public",
        "readonly",
        "return",
        "set",
        "static",
        "string",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "type",
        "typeof",
        "var",
        "void",
        "while",
        "with",
        "yield",
    ];
    let out = camel(&snake(name));
    if KEYWORDS.contains(&&*out) { format!("{out}_") } else { out }
}

/// What serde's `camelCase` makes of a Rust name.
fn camel(ident: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for character in ident.chars() {
        if character == '_' {
            upper = true;
        } else if upper {
            out.extend(character.to_uppercase());
            upper = false;
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;
    use sluice_core::canonical::SCHEMAS;

    use super::*;

    #[test]
    fn every_canonical_schema_has_types() {
        for (name, version, text) in SCHEMAS {
            let schema: Value = serde_json::from_str(text).unwrap();
            let types = Types::of(name, &schema).unwrap_or_else(|error| panic!("{name} {version}: {error}"));
            let rust = types.rust(name, version);
            assert!(rust.contains(&format!("pub struct {name}<'a> {{")), "{rust}");
            assert!(rust.lines().all(|line| line.chars().count() <= 110), "{rust}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused_by_name() {
        let of = |member: Value| {
            Types::of("X", &json!({"type": "object", "properties": {"a": member}})).unwrap_err()
        };
        assert_eq!(
            of(json!({"type": "number"})).to_string(),
            "/properties/a has the type number, of which there is no type"
        );
        assert_eq!(of(json!({"type": ["string", "integer"]})).what, "2 types");
        assert_eq!(
            of(json!({"type": "object", "patternProperties": {}})).what,
            "the keyword patternProperties"
        );
        assert_eq!(of(json!({"$ref": "#/$defs/none"})).what, "the $ref #/$defs/none");
    }

    #[test]
    fn members_are_optional_nullable_and_renamed_as_the_schema_says() {
        let schema = json!({"type": "object", "required": ["type"], "properties": {
            "type": {"enum": ["a-b", "c"]},
            "lines": {"type": "array", "items": {"type": "object", "properties": {"SKU": {"type": "string"}}}},
            "gone": {"type": ["integer", "null"]}
        }});
        insta::assert_snapshot!(Types::of("Thing", &schema).unwrap().rust("Thing", "1.0"), @r#"
        //! `data` of Thing 1.0. Written by `sluice mapper typegen`: do not edit.

        use std::borrow::Cow;

        use serde::Serialize;

        /// The canonical type.
        pub const EVENT_TYPE: &str = "Thing";
        /// Its version.
        pub const SCHEMA_VERSION: &str = "1.0";

        /// `Thing`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Thing<'a> {
            /// `type`.
            pub type_: Type,
            /// `lines`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub lines: Option<Vec<Line<'a>>>,
            /// `gone`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub gone: Option<Option<i64>>,
        }

        /// `Line`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Line<'a> {
            /// `SKU`.
            #[serde(rename = "SKU")]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub sku: Option<Cow<'a, str>>,
        }

        /// `Type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum Type {
            /// `a-b`.
            #[serde(rename = "a-b")]
            AB,
            /// `c`.
            #[serde(rename = "c")]
            C,
        }
        "#);
    }

    #[test]
    fn types_in_c_and_assembly_script_say_what_must_be_there() {
        let schema = json!({"type": "object", "required": ["type", "parts", "size"], "properties": {
            "type": {"enum": ["a-b", "c"]},
            "size": {"type": "integer"},
            "count": {"type": "integer", "description": "ends */ here"},
            "new": {"type": ["boolean", "null"]},
            "parts": {"type": "array", "items": {"type": "object", "required": ["SKU"], "properties": {"SKU": {"type": "string"}}}}
        }});
        let types = Types::of("Thing", &schema).unwrap();
        let c = types.c("Thing", "1.0");
        for line in [
            "    TYPE_A_B,",
            "    case TYPE_A_B: return SM_LITERAL(\"a-b\");",
            "    int64_t size;",
            "    /* ends * / here */\n    bool has_count;\n    int64_t count;",
            "    bool new_is_null; /* there is none any more */\n    bool has_new;\n    bool new;",
            "    const Part *parts;\n    uint32_t parts_count;",
            "    if (it->has_count) sm_put_integer(\"count\", it->count);",
            "    if (it->new_is_null) sm_put_null(\"new\");\n    else if (it->has_new) sm_put_bool(\"new\", it->new);",
            "for (uint32_t i = 0; i < it->parts_count; i++) put_part(NULL, &it->parts[i]);",
        ] {
            assert!(c.contains(line), "{line} in\n{c}");
        }
        assert!(
            c.find("struct Part {").unwrap() < c.find("struct Thing {").unwrap(),
            "known before it is held"
        );
        let script = types.assembly_script("Thing", "1.0");
        for line in [
            "  constructor(\n    public type_: Type,\n    public size: i64,\n  ) {}",
            "  count: i64 = ABSENT;",
            "  new_: Flag = Flag.Absent;\n  /** There is none any more. */\n  new_IsNull: bool = false;",
            "  parts: Part[] = [];",
            "    if (this.count != ABSENT) putInteger(\"count\", this.count);",
            "for (let i = 0; i < this.parts.length; i++) this.parts[i].put(\"\");",
            "    putWord(\"type\", typeWord(this.type_));",
        ] {
            assert!(script.contains(line), "{line} in\n{script}");
        }
        for (name, version, text) in SCHEMAS {
            let types = Types::of(name, &serde_json::from_str(text).unwrap()).unwrap();
            for text in [types.c(name, version), types.assembly_script(name, version)] {
                assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
            }
        }
        let nested = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}}});
        assert_eq!(Types::of("X", &nested).unwrap_err().what, "arrays or null as items");
    }

    #[test]
    fn names_are_told_apart_by_their_words() {
        assert_eq!(words("orderID"), ["order", "id"]);
        assert_eq!(words("HTTPServer_on-hand2"), ["http", "server", "on", "hand2"]);
        assert_eq!(
            (ident("type"), ident("2nd"), pascal("line_items")),
            ("type_".into(), "v2nd".into(), "LineItems".into())
        );
    }
}

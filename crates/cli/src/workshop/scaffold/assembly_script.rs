//! A mapper in AssemblyScript of a JSON message: it reads member by member, and makes the class of `canonical.ts`.

use std::fmt::Write as _;

use super::super::sample::{Match, Time};
use super::super::typegen::{Type, script_ident};
use super::Inferred;
use super::reads::{Level, List, Read};

impl Inferred<'_> {
    /// `src/index.ts`.
    pub(super) fn assembly_script_json(&self) -> String {
        let missing = &self.suggestion.missing;
        let levels = self.reads(script_ident);
        let timed =
            levels.iter().flat_map(|level| &level.reads).any(|read| matches!(read, Read::Time { .. }));
        let mut body = String::new();
        let mut shut = String::new();
        let mut indent = String::from("  ");
        for (depth, Level { list, reads }) in levels.iter().enumerate() {
            if let Some(list) = list {
                opened(&mut body, &indent, list);
                shut.insert_str(0, &format!("{indent}}}\n"));
                indent.push_str("  ");
            }
            for read in reads {
                written(&mut body, &indent, read);
            }
            if depth > 0 {
                continue;
            }
            if !timed {
                body.push_str("  const at = utc(meta, \"occurredAt\");\n  if (!at) return false;\n");
            }
            if !missing.is_empty() {
                let _ = writeln!(
                    body,
                    "  // Nothing in the samples looks like these members. Until each has a source every message is refused: data are not\n  \
                     // invented. Give them one, and take this away.\n  refuse(null, \"\", \"mapping_incomplete\", {});\n  \
                     if (refusal != null) return false;",
                    literal(&format!("{}: no source yet, edit src/index.ts", missing.join(", ")))
                );
            }
        }
        self.event(&mut body, &indent);
        body.push_str(&shut);
        const IMPORTS: &[&str] = &[
            "Json",
            "Kind",
            "Text",
            "epochMillis",
            "epochSeconds",
            "level",
            "localLevel",
            "localTime",
            "localWhole",
            "parse",
            "refusal",
            "refuse",
            "run",
            "utc",
            "whole",
        ];
        let used = |name: &str| {
            matches!(name, "Json" | "Text" | "parse" | "run")
                || ["(", ".", " "].iter().any(|behind| body.contains(&format!("{name}{behind}")))
        };
        let imports: Vec<&str> = IMPORTS.iter().copied().filter(|name| used(name)).collect();
        let absent = if body.contains("ABSENT") { "ABSENT, " } else { "" };
        let flag = if body.contains("Flag.") { "Flag, " } else { "" };
        format!(
            "{}\nimport {{ {} }} from \"sdk-as\";\nimport {{ {absent}{flag}{} }} from \"./canonical\";\n\n\
             export {{ cabi_realloc }} from \"sdk-as\";\n\n\
             export function map(meta: usize, metaLen: i32, payload: usize, payloadLen: i32): usize {{\n  \
             return run(meta, metaLen, payload, payloadLen, mapped);\n}}\n\n\
             function mapped(meta: Json, payload: Text): bool {{\n  const message = parse(payload);\n  if (!message) return false;\n{body}  \
             return true;\n}}\n",
            self.about("//", ", in AssemblyScript"),
            imports.join(", "),
            self.root
        )
    }

    fn event(&self, out: &mut String, indent: &str) {
        let found = |name: &str| self.suggestion.matches.iter().any(|one| one.field.name == name);
        let of_constructor: Vec<String> = self
            .fields()
            .iter()
            .filter(|field| field.required && !matches!(field.kind, Type::List(_) | Type::Nullable(_)))
            .map(|field| match found(&field.name) {
                true => script_ident(&field.name),
                false => "unreachable()".to_owned(),
            })
            .collect();
        let _ = writeln!(out, "{indent}const data = new {}({});", self.root, of_constructor.join(", "));
        for Match { field, .. } in self.suggestion.matches.iter().filter(|one| !one.field.required) {
            let own = script_ident(&field.name);
            let _ = writeln!(out, "{indent}data.{own} = {own};");
        }
        let _ = writeln!(out, "{indent}data.event(at);");
    }
}

/// The loop over an array's items.
fn opened(out: &mut String, indent: &str, list: &List<'_>) {
    let List { from, name, optional, guarded, nullable, variable, item } = list;
    let next = format!("{item}Next");
    let _ = match name {
        None => writeln!(
            out,
            "{indent}if ({from}.kind != Kind.Array) return refuse({from}, \"\", \"payload_invalid\", \"is not an array\");\n\
             {indent}let {next} = {from}.first;"
        ),
        Some(name) if *optional => {
            let name = literal(name);
            let there = if *guarded {
                format!("{from} && {from}.get({name})")
            } else {
                format!("{from}.get({name})")
            };
            writeln!(
                out,
                "{indent}let {next}: Json | null = null;\n{indent}if ({there}) {{\n{indent}  const {variable} = {from}.need({name}, \
                 Kind.Array);\n{indent}  if (!{variable}) return false;\n{indent}  {next} = {variable}.first;\n{indent}}}"
            )
        }
        Some(name) => writeln!(
            out,
            "{indent}const {variable} = {from}.need({}, Kind.Array);\n{indent}if (!{variable}) return false;\n\
             {indent}let {next} = {variable}.first;",
            literal(name)
        ),
    };
    let _ = writeln!(
        out,
        "{indent}while ({next}) {{\n{indent}  const {item}: Json = {next};\n{indent}  {next} = {item}.next;"
    );
    if *nullable {
        let _ = writeln!(out, "{indent}  if ({item}.kind == Kind.Null) continue;");
    }
}

fn written(out: &mut String, indent: &str, read: &Read<'_>) {
    let _ = match read {
        Read::Object { from, name, into, optional: true, guarded } => {
            let get = format!("{from}.get({})", literal(name));
            match guarded {
                true => writeln!(out, "{indent}const {into} = {from} ? {get} : null;"),
                false => writeln!(out, "{indent}const {into} = {get};"),
            }
        }
        Read::Object { from, name, into, .. } => writeln!(
            out,
            "{indent}const {into} = {from}.need({}, Kind.Object);\n{indent}if (!{into}) return false;",
            literal(name)
        ),
        Read::Time { from, name, guarded, said } => {
            let read = match said {
                Some(Time::Local) => "localTime(meta, ",
                Some(Time::Seconds) => "epochSeconds(",
                Some(Time::Milliseconds) => "epochMillis(",
                Some(Time::Offset) | None => "utc(",
            };
            let there = if *guarded { format!("{from} && ") } else { String::new() };
            writeln!(
                out,
                "{indent}const at = {there}{from}.has({0}) ? {read}{from}, {0}) : utc(meta, \"occurredAt\");\n{indent}if (!at) return false;",
                literal(name)
            )
        }
        Read::Member { from, name, one, guarded } => {
            member(out, indent, (from, *guarded), &literal(name), one)
        }
    };
}

fn member(
    out: &mut String,
    indent: &str,
    (from, guarded): (&str, bool),
    name: &str,
    Match { field, leaf, .. }: &Match,
) -> std::fmt::Result {
    let own = script_ident(&field.name);
    let there = match guarded {
        true => format!("{from} && {from}.has({name})"),
        false => format!("{from}.has({name})"),
    };
    // What must be there is read even if the vendor leaves it out at times: that refuses the message, and says where.
    let sometimes = leaf.is_optional() && !field.required;
    let chars_max = field.chars_max();
    match &field.kind {
        Type::Integer => {
            let least = field.minimum.is_some_and(|least| least >= 0);
            let read = match (leaf.is_integer(), least) {
                (true, true) => "level(",
                (true, false) => "whole(",
                // As `[text]` of the contract declares.
                (false, true) => "localLevel(meta, ",
                (false, false) => "localWhole(meta, ",
            };
            let value = format!("{read}{from}, {name})");
            let value = if sometimes { format!("{there} ? {value} : ABSENT") } else { value };
            writeln!(out, "{indent}const {own} = {value};\n{indent}if (refusal != null) return false;")
        }
        Type::Boolean => {
            let value = format!("{own}Value");
            let truth = format!("{value}.text.is(\"true\")");
            let truth = if field.required { truth } else { format!("{truth} ? Flag.True : Flag.False") };
            match sometimes {
                true => writeln!(
                    out,
                    "{indent}let {own} = Flag.Absent;\n{indent}if ({there}) {{\n{indent}  const {value} = {from}.need({name}, \
                     Kind.Bool);\n{indent}  if (!{value}) return false;\n{indent}  {own} = {truth};\n{indent}}}"
                ),
                false => writeln!(
                    out,
                    "{indent}const {value} = {from}.need({name}, Kind.Bool);\n{indent}if (!{value}) return false;\n{indent}const {own} = \
                     {truth};"
                ),
            }
        }
        _ if field.required => writeln!(
            out,
            "{indent}const {own} = {from}.identifier({name}, {chars_max});\n{indent}if (!{own}) return false;"
        ),
        _ => {
            let label = format!("{from}.label({name})");
            let label = if guarded { format!("{from} ? {label} : null") } else { label };
            // What the canonical schema does not take is refused by it, by name.
            writeln!(out, "{indent}const {own} = {label};\n{indent}if (refusal != null) return false;")
        }
    }
}

/// A string literal.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! A mapper in AssemblyScript of a JSON message: it reads member by member, and makes the class of `canonical.ts`.

use std::fmt::Write as _;

use super::super::sample::Match;
use super::super::typegen::{Type, script_ident};
use super::Inferred;
use super::reads::{Read, Reads};

impl Inferred<'_> {
    /// `src/index.ts`.
    pub(super) fn assembly_script_json(&self) -> String {
        let missing = &self.suggestion.missing;
        let Reads { once, list, each } = self.reads(script_ident);
        let mut body = String::new();
        for read in &once {
            written(&mut body, "  ", read);
        }
        let timed = |reads: &[Read<'_>]| reads.iter().any(|read| matches!(read, Read::Time { .. }));
        if !timed(&once) && !timed(&each) {
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
        match list {
            None => self.event(&mut body, "  "),
            Some((from, name)) => {
                let _ = write!(
                    body,
                    "  const items = {from}.need({}, Kind.Array);\n  if (!items) return false;\n  \
                     let next = items.first;\n  while (next) {{\n    const item: Json = next;\n    next = item.next;\n",
                    literal(name)
                );
                for read in &each {
                    written(&mut body, "    ", read);
                }
                self.event(&mut body, "    ");
                body.push_str("  }\n");
            }
        }
        const IMPORTS: &[&str] =
            &["Json", "Kind", "Text", "level", "parse", "refusal", "refuse", "run", "utc", "whole"];
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

fn written(out: &mut String, indent: &str, read: &Read<'_>) {
    let _ = match read {
        Read::Object { from, name, into } => writeln!(
            out,
            "{indent}const {into} = {from}.need({}, Kind.Object);\n{indent}if (!{into}) return false;",
            literal(name)
        ),
        Read::Time { from, name } => writeln!(
            out,
            "{indent}const at = {from}.get({0}) ? utc({from}, {0}) : utc(meta, \"occurredAt\");\n{indent}if (!at) return false;",
            literal(name)
        ),
        Read::Member { from, name, one } => member(out, indent, from, &literal(name), one),
    };
}

fn member(
    out: &mut String,
    indent: &str,
    from: &str,
    name: &str,
    Match { field, leaf, .. }: &Match,
) -> std::fmt::Result {
    let own = script_ident(&field.name);
    // What must be there is read even if the vendor leaves it out at times: that refuses the message, and says where.
    let sometimes = leaf.optional && !field.required;
    match &field.kind {
        Type::Integer => {
            let read = if field.minimum.is_some_and(|least| least >= 0) { "level" } else { "whole" };
            let value = format!("{read}({from}, {name})");
            match sometimes {
                true => writeln!(
                    out,
                    "{indent}const {own} = {from}.get({name}) ? {value} : ABSENT;\n{indent}if (refusal != null) return false;"
                ),
                false => writeln!(
                    out,
                    "{indent}const {own} = {value};\n{indent}if (refusal != null) return false;"
                ),
            }
        }
        Type::Boolean => {
            let value = format!("{own}Value");
            let truth = format!("{value}.text.is(\"true\")");
            let truth = if field.required { truth } else { format!("{truth} ? Flag.True : Flag.False") };
            match sometimes {
                true => writeln!(
                    out,
                    "{indent}let {own} = Flag.Absent;\n{indent}if ({from}.get({name})) {{\n{indent}  const {value} = {from}.need({name}, \
                     Kind.Bool);\n{indent}  if (!{value}) return false;\n{indent}  {own} = {truth};\n{indent}}}"
                ),
                false => writeln!(
                    out,
                    "{indent}const {value} = {from}.need({name}, Kind.Bool);\n{indent}if (!{value}) return false;\n{indent}const {own} = \
                     {truth};"
                ),
            }
        }
        _ if leaf.is_text() && !field.required => writeln!(
            out,
            "{indent}const {own} = {from}.known({name});\n{indent}if (refusal != null) return false;"
        ),
        _ if sometimes => writeln!(
            out,
            "{indent}const {own} = {from}.get({name}) ? {from}.id({name}) : null;\n{indent}if (refusal != null) return false;"
        ),
        _ => writeln!(out, "{indent}const {own} = {from}.id({name});\n{indent}if (!{own}) return false;"),
    }
}

/// A string literal.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

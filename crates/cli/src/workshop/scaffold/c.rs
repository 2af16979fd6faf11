//! A mapper in C of a JSON message: it fills the struct of `canonical.h`, member by member.

use std::fmt::Write as _;

use super::super::sample::Match;
use super::super::typegen::{Type, c_ident};
use super::Inferred;
use super::reads::{Read, Reads};

impl Inferred<'_> {
    /// `src/mapper.c`.
    pub(super) fn c_json(&self) -> String {
        // A pointer through an array, `/items/*/sku`, would end a comment of the other kind.
        let mut out = format!("{}#include \"canonical.h\"\n", self.about("//", ", in C"));
        let missing = &self.suggestion.missing;
        if !missing.is_empty() {
            let _ = write!(
                out,
                "\n/* Nothing in the samples looks like these members. Until each has a source every message is refused: data are not\n \
                 * invented. Give them one in sm_map, and take this and its call away. */\nstatic bool complete(void) {{\n    return \
                 sm_refuse(NULL, NULL, \"mapping_incomplete\", SM_LITERAL({:?}));\n}}\n",
                format!("{}: no source yet, edit src/mapper.c", missing.join(", "))
            );
        }
        let Reads { once, list, each } = self.reads(c_ident);
        let _ = write!(
            out,
            "\nbool sm_map(const sm_json *meta, sm_text payload) {{\n    {} data = {{0}};\n    const sm_json *message;\n    \
             sm_text at;\n    if (!sm_parse(payload, &message)) return false;\n",
            self.root
        );
        let timed = |reads: &[Read<'_>]| reads.iter().any(|read| matches!(read, Read::Time { .. }));
        let from_meta =
            |indent: &str| format!("{indent}if (!sm_utc(meta, \"occurredAt\", &at)) return false;\n");
        for read in &once {
            written(&mut out, "    ", "data", read);
        }
        if !timed(&once) && !timed(&each) {
            out.push_str(&from_meta("    "));
        }
        if !missing.is_empty() {
            out.push_str("    if (!complete()) return false;\n");
        }
        match list {
            None => out.push_str("    put_event(at, &data);\n"),
            Some((from, name)) => {
                let _ = write!(
                    out,
                    "    const sm_json *items;\n    if (!sm_need({from}, {}, SM_ARRAY, &items)) return false;\n    \
                     for (const sm_json *item = items->first; item != NULL; item = item->next) {{\n        {} one = data;\n",
                    literal(name),
                    self.root
                );
                for read in &each {
                    written(&mut out, "        ", "one", read);
                }
                out.push_str("        put_event(at, &one);\n    }\n");
            }
        }
        out.push_str("    return true;\n}\n");
        out
    }
}

fn written(out: &mut String, indent: &str, data: &str, read: &Read<'_>) {
    let _ = match read {
        Read::Object { from, name, into } => writeln!(
            out,
            "{indent}const sm_json *{into};\n{indent}if (!sm_need({from}, {}, SM_OBJECT, &{into})) return false;",
            literal(name)
        ),
        Read::Time { from, name } => writeln!(
            out,
            "{indent}bool says_when = sm_get({from}, {0}) != NULL;\n{indent}if (!sm_utc(says_when ? {from} : meta, says_when ? {0} : \
             \"occurredAt\", &at)) return false;",
            literal(name)
        ),
        Read::Member { from, name, one } => member(out, indent, data, (from, &literal(name)), one),
    };
}

fn member(
    out: &mut String,
    indent: &str,
    data: &str,
    (from, name): (&str, &str),
    Match { field, leaf, .. }: &Match,
) -> std::fmt::Result {
    let own = format!("{data}.{}", c_ident(&field.name));
    // What must be there is read even if the vendor leaves it out at times: that refuses the message, and says where.
    let sometimes = leaf.optional && !field.required;
    let inner = if sometimes { format!("{indent}    ") } else { indent.to_owned() };
    let has = match field.required {
        true => String::new(),
        false => format!("\n{inner}{data}.has_{} = true;", c_ident(&field.name)),
    };
    let read = match &field.kind {
        Type::Integer => {
            let read = if field.minimum.is_some_and(|least| least >= 0) { "sm_level" } else { "sm_whole" };
            format!("if (!{read}({from}, {name}, &{own})) return false;{has}")
        }
        Type::Boolean => {
            let value = c_ident(&format!("{} value", field.name));
            format!(
                "const sm_json *{value};\n{inner}if (!sm_need({from}, {name}, SM_BOOL, &{value})) return false;\n{inner}{own} = \
                 sm_is({value}->text, \"true\");{has}"
            )
        }
        _ if leaf.is_text() && !field.required => {
            return writeln!(out, "{indent}if (!sm_optional_text({from}, {name}, &{own})) return false;");
        }
        _ => format!("if (!sm_id({from}, {name}, &{own})) return false;"),
    };
    if sometimes {
        writeln!(out, "{indent}if (sm_get({from}, {name}) != NULL) {{\n{inner}{read}\n{indent}}}")
    } else {
        writeln!(out, "{indent}{read}")
    }
}

/// A string literal in UTF-8.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' | '?' => out.extend(['\\', character]),
            control if control.is_ascii_control() => {
                let _ = write!(out, "\\{:03o}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

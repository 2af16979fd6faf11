//! A mapper in C of a JSON message: it fills the struct of `canonical.h`, member by member.

use std::fmt::Write as _;

use super::super::sample::{Match, Time};
use super::super::typegen::{Type, c_ident};
use super::Inferred;
use super::reads::{Level, List, Read};

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
        let levels = self.reads(c_ident);
        let _ = write!(
            out,
            "\nbool sm_map(const sm_json *meta, sm_text payload) {{\n    {} data = {{0}};\n    const sm_json *message;\n    \
             sm_text at;\n    if (!sm_parse(payload, &message)) return false;\n",
            self.root
        );
        let timed =
            levels.iter().flat_map(|level| &level.reads).any(|read| matches!(read, Read::Time { .. }));
        let mut shut = String::new();
        let mut indent = String::from("    ");
        let mut data = "data".to_owned();
        for (depth, Level { list, reads }) in levels.iter().enumerate() {
            if let Some(list) = list {
                opened(&mut out, &indent, list);
                shut.insert_str(0, &format!("{indent}}}\n"));
                indent.push_str("    ");
                let inner = if depth == 1 { "one".to_owned() } else { format!("one{depth}") };
                let _ = writeln!(out, "{indent}{} {inner} = {data};", self.root);
                data = inner;
            }
            for read in reads {
                written(&mut out, &indent, &data, read);
            }
            if depth == 0 {
                if !timed {
                    out.push_str("    if (!sm_utc(meta, \"occurredAt\", &at)) return false;\n");
                }
                if !missing.is_empty() {
                    out.push_str("    if (!complete()) return false;\n");
                }
            }
        }
        let _ = writeln!(out, "{indent}put_event(at, &{data});");
        out.push_str(&shut);
        out.push_str("    return true;\n}\n");
        out
    }
}

/// The loop over an array's items.
fn opened(out: &mut String, indent: &str, list: &List<'_>) {
    let List { from, name, optional, nullable, variable, item, .. } = list;
    let mut first = format!("{variable}->first");
    let _ = match name {
        None => writeln!(
            out,
            "{indent}const sm_json *{variable} = {from};\n{indent}if ({variable}->kind != SM_ARRAY) return sm_refuse({variable}, NULL, \
             \"payload_invalid\", SM_LITERAL(\"is not an array\"));"
        ),
        Some(name) if *optional => {
            first = format!("{variable} != NULL ? {first} : NULL");
            let name = literal(name);
            writeln!(
                out,
                "{indent}const sm_json *{variable} = sm_get({from}, {name});\n{indent}if ({variable} != NULL && !sm_need({from}, {name}, \
                 SM_ARRAY, &{variable})) return false;"
            )
        }
        Some(name) => writeln!(
            out,
            "{indent}const sm_json *{variable};\n{indent}if (!sm_need({from}, {}, SM_ARRAY, &{variable})) return false;",
            literal(name)
        ),
    };
    let _ = writeln!(
        out,
        "{indent}for (const sm_json *{item} = {first}; {item} != NULL; {item} = {item}->next) {{"
    );
    if *nullable {
        let _ = writeln!(out, "{indent}    if ({item}->kind == SM_NULL) continue;");
    }
}

fn written(out: &mut String, indent: &str, data: &str, read: &Read<'_>) {
    let _ = match read {
        Read::Object { from, name, into, optional: true, .. } => {
            writeln!(out, "{indent}const sm_json *{into} = sm_get({from}, {});", literal(name))
        }
        Read::Object { from, name, into, .. } => writeln!(
            out,
            "{indent}const sm_json *{into};\n{indent}if (!sm_need({from}, {}, SM_OBJECT, &{into})) return false;",
            literal(name)
        ),
        Read::Time { from, name, said, .. } => {
            let read = match said {
                Some(Time::Local) => "sm_local_time(meta, ",
                Some(Time::Seconds) => "sm_epoch_seconds(",
                Some(Time::Milliseconds) => "sm_epoch_millis(",
                Some(Time::Offset) | None => "sm_utc(",
            };
            writeln!(
                out,
                "{indent}if (!(sm_has({from}, {0}) ? {read}{from}, {0}, &at) : sm_utc(meta, \"occurredAt\", &at))) return false;",
                literal(name)
            )
        }
        Read::Member { from, name, one, .. } => member(out, indent, data, (from, &literal(name)), one),
    };
}

fn member(
    out: &mut String,
    indent: &str,
    data: &str,
    (from, name): (&str, &str),
    Match { field, leaf, .. }: &Match,
) -> std::fmt::Result {
    let member = c_ident(&field.name);
    let own = format!("{data}.{member}");
    // What must be there is read even if the vendor leaves it out at times: that refuses the message, and says where.
    let sometimes = leaf.is_optional() && !field.required;
    let inner = if sometimes { format!("{indent}    ") } else { indent.to_owned() };
    let has = if field.required { String::new() } else { format!("\n{inner}{data}.has_{member} = true;") };
    let chars_max = field.chars_max();
    let read = match &field.kind {
        Type::Integer => {
            let least = field.minimum.is_some_and(|least| least >= 0);
            let read = match (leaf.is_integer(), least) {
                (true, true) => "sm_level(",
                (true, false) => "sm_whole(",
                // As `[text]` of the contract declares.
                (false, true) => "sm_local_level(meta, ",
                (false, false) => "sm_local_whole(meta, ",
            };
            format!("if (!{read}{from}, {name}, &{own})) return false;{has}")
        }
        Type::Boolean => {
            let value = c_ident(&format!("{} value", field.name));
            format!(
                "const sm_json *{value};\n{inner}if (!sm_need({from}, {name}, SM_BOOL, &{value})) return false;\n{inner}{own} = \
                 sm_is({value}->text, \"true\");{has}"
            )
        }
        _ if field.required => {
            format!("if (!sm_identifier({from}, {name}, {chars_max}, &{own})) return false;")
        }
        // What the canonical schema does not take is refused by it, by name.
        _ => return writeln!(out, "{indent}if (!sm_label({from}, {name}, &{own})) return false;"),
    };
    if sometimes {
        writeln!(out, "{indent}if (sm_has({from}, {name})) {{\n{inner}{read}\n{indent}}}")
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

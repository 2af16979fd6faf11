//! The types in AssemblyScript: classes whose constructors want what must be there, and whose `event` writes them.
//!
//! AssemblyScript has no optional numbers: an integer that is absent is `ABSENT`, which is far beyond what a canonical integer may
//! be, and a truth value that may be absent is a `Flag`.

use std::fmt::Write as _;

use super::c::unwrapped;
use super::{Field, Type, Types, block_comment, pascal, script_ident, snake};

/// Beyond it a statement stands on a line of its own.
const LINE_CHARS_MAX: usize = 110;

impl Types {
    /// The module.
    pub fn assembly_script(&self, root: &str, version: &str) -> String {
        let mut body = format!(
            "/** The canonical type. */\nexport const EVENT_TYPE: string = {root:?};\n\
             /** Its version. */\nexport const SCHEMA_VERSION: string = {version:?};\n"
        );
        let structs = self.inside_out(root);
        let optional = |wanted: &Type| {
            let all = structs.iter().flat_map(|name| self.fields(name).1);
            all.into_iter().any(|field| is_optional(field) && unwrapped(&field.kind).0 == wanted)
        };
        if optional(&Type::Integer) {
            body.push_str("\n/** An integer that is absent. */\nexport const ABSENT: i64 = i64.MIN_VALUE;\n");
        }
        if optional(&Type::Boolean) {
            body.push_str("\n/** A truth value that may be absent. */\nexport enum Flag {\n  Absent,\n  False,\n  True,\n}\n");
        }
        for (name, values) in &self.enums {
            let _ = writeln!(body, "\nexport enum {name} {{\n  Absent,");
            for value in values {
                let _ = writeln!(body, "  {},", pascal(value));
            }
            let _ = writeln!(
                body,
                "}}\n\nfunction {}(value: {name}): string {{\n  switch (value) {{",
                word(name)
            );
            for value in values {
                let _ = writeln!(body, "    case {name}.{}:\n      return {value:?};", pascal(value));
            }
            body.push_str("    default:\n      return \"\";\n  }\n}\n");
        }
        for name in structs.iter().rev() {
            self.script_class(&mut body, name, *name == root);
        }
        const IMPORTS: &[&str] = &[
            "Text",
            "arrayBegin",
            "arrayEnd",
            "eventBegin",
            "eventEnd",
            "objectBegin",
            "objectEnd",
            "putBool",
            "putInteger",
            "putNull",
            "putText",
            "putWord",
        ];
        let used: Vec<&str> = IMPORTS
            .iter()
            .copied()
            .filter(|name| *name == "Text" || body.contains(&format!("{name}(")))
            .collect();
        format!(
            "// `data` of {root} {version}. Written by `sluice mapper typegen`: do not edit.\n\n\
             import {{\n  {},\n}} from \"sdk-as\";\n\n{body}",
            used.join(",\n  ")
        )
    }

    fn script_class(&self, out: &mut String, name: &str, root: bool) {
        let (description, fields) = self.fields(name);
        let _ = write!(out, "\n{}export class {name} {{\n", block_comment("", "/**", description));
        let in_constructor = |field: &Field| !is_optional(field) && !matches!(field.kind, Type::List(_));
        for field in fields.iter().filter(|field| !in_constructor(field)) {
            let own = script_ident(&field.name);
            out.push_str(&block_comment("  ", "/**", &field.description));
            let (kind, nullable) = unwrapped(&field.kind);
            let written = script_type(kind);
            let _ = match kind {
                Type::List(_) if !is_optional(field) => writeln!(out, "  {own}: {written} = [];"),
                Type::Integer => writeln!(out, "  {own}: i64 = ABSENT;"),
                Type::Boolean => writeln!(out, "  {own}: Flag = Flag.Absent;"),
                Type::Enum(name) => writeln!(out, "  {own}: {name} = {name}.Absent;"),
                _ => writeln!(out, "  {own}: {written} | null = null;"),
            };
            if nullable && !field.required {
                let _ = writeln!(out, "  /** There is none any more. */\n  {own}IsNull: bool = false;");
            }
        }
        if fields.iter().any(in_constructor) {
            out.push_str("\n  constructor(\n");
            for field in fields.iter().filter(|field| in_constructor(field)) {
                out.push_str(&block_comment("    ", "/**", &field.description));
                let _ =
                    writeln!(out, "    public {}: {},", script_ident(&field.name), script_type(&field.kind));
            }
            out.push_str("  ) {}\n");
        }
        out.push_str(if root {
            "\n  /** Writes it as an event. */\n  event(occurredAt: Text): void {\n    eventBegin(EVENT_TYPE, SCHEMA_VERSION, occurredAt);\n"
        } else {
            "\n  /** `name` is \"\" for an item of an array. */\n  put(name: string): void {\n    objectBegin(name);\n"
        });
        for field in fields {
            script_member(out, field);
        }
        out.push_str(if root { "    eventEnd();\n  }\n}\n" } else { "    objectEnd();\n  }\n}\n" });
    }
}

fn script_member(out: &mut String, field: &Field) {
    let own = script_ident(&field.name);
    let (kind, nullable) = unwrapped(&field.kind);
    let member = format!("{:?}", field.name);
    let optional = is_optional(field);
    // What may be null is known not to be only as a constant.
    let held = optional && matches!(kind, Type::Text | Type::Struct(_) | Type::List(_));
    let value = if held { format!("{own}_") } else { format!("this.{own}") };
    if held {
        let _ = writeln!(out, "    const {value} = this.{own};");
    }
    let statement = match kind {
        Type::Boolean if optional => format!("putBool({member}, this.{own} == Flag.True);"),
        Type::List(items) => format!(
            "{{\n      arrayBegin({member});\n      for (let i = 0; i < {value}.length; i++) {}\n      arrayEnd();\n    }}",
            put(items, "\"\"", &format!("{value}[i]"))
        ),
        kind => put(kind, &member, &value),
    };
    let present = match kind {
        Type::Integer => format!("this.{own} != ABSENT"),
        Type::Boolean => format!("this.{own} != Flag.Absent"),
        Type::Enum(name) => format!("this.{own} != {name}.Absent"),
        _ => value,
    };
    let broken = if present.len() + statement.len() > LINE_CHARS_MAX { "\n      " } else { " " };
    let known = format!("if ({present}){broken}{statement}");
    let _ = match (field.required, nullable) {
        (true, false) => writeln!(out, "    {statement}"),
        (false, false) => writeln!(out, "    {known}"),
        (false, true) => writeln!(out, "    if (this.{own}IsNull) putNull({member});\n    else {known}"),
        (true, true) => writeln!(out, "    {known}\n    else putNull({member});"),
    };
}

fn is_optional(field: &Field) -> bool {
    !field.required || matches!(field.kind, Type::Nullable(_))
}

fn script_type(kind: &Type) -> String {
    match kind {
        Type::Text => "Text".into(),
        Type::Integer => "i64".into(),
        Type::Boolean => "bool".into(),
        Type::Enum(name) | Type::Struct(name) => name.clone(),
        Type::List(inner) => format!("{}[]", script_type(inner)),
        Type::Nullable(inner) => script_type(inner),
    }
}

/// The function that gives an enumeration's text.
fn word(name: &str) -> String {
    script_ident(&format!("{} word", snake(name)))
}

fn put(kind: &Type, name: &str, value: &str) -> String {
    match kind {
        Type::Text => format!("putText({name}, {value});"),
        Type::Integer => format!("putInteger({name}, {value});"),
        Type::Boolean => format!("putBool({name}, {value});"),
        Type::Enum(kind) => format!("putWord({name}, {}({value}));", word(kind)),
        Type::Struct(_) => format!("{value}.put({name});"),
        Type::List(inner) | Type::Nullable(inner) => put(inner, name, value),
    }
}

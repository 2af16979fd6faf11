//! The types in C: structs that a mapper fills and one function that writes them as an event.
//!
//! What is absent is zero: a text whose `at` is NULL, an enumeration's first constant, a NULL pointer, a `has_…` that is false. So a
//! struct starts as `{0}`, and a member that was forgotten and must be there is refused by the canonical schema, which the host holds
//! every event against.

use std::fmt::Write as _;

use super::{Type, Types, block_comment, c_ident, snake};

impl Types {
    /// The header.
    pub fn c(&self, root: &str, version: &str) -> String {
        let mut out = format!(
            "/* `data` of {root} {version}. Written by `sluice mapper typegen`: do not edit.\n *\n\
             \x20* Start with `{root} data = {{0}};`: absent are a text whose `at` is NULL, an enumeration that is 0, a pointer that\n\
             \x20* is NULL, and a number or truth value whose `has_` is false. */\n\
             #ifndef SLUICE_CANONICAL_H\n#define SLUICE_CANONICAL_H\n\n#include \"sluice_mapper.h\"\n\n\
             /* The canonical type. */\n#define EVENT_TYPE {root:?}\n/* Its version. */\n#define SCHEMA_VERSION {version:?}\n"
        );
        for (name, values) in &self.enums {
            self.c_enum(&mut out, name, values);
        }
        let structs = self.inside_out(root);
        out.push('\n');
        for name in &structs {
            let _ = writeln!(out, "typedef struct {name} {name};");
        }
        for name in &structs {
            let (description, fields) = self.fields(name);
            let _ = write!(out, "\n{}struct {name} {{\n", block_comment("", "/*", description));
            for field in fields {
                let own = c_ident(&field.name);
                out.push_str(&block_comment("    ", "/*", &field.description));
                let (kind, nullable) = unwrapped(&field.kind);
                let optional = !field.required || nullable;
                if nullable && !field.required {
                    let _ = writeln!(out, "    bool {own}_is_null; /* there is none any more */");
                }
                if optional && matches!(kind, Type::Integer | Type::Boolean) {
                    let _ = writeln!(out, "    bool has_{own};");
                }
                match kind {
                    Type::List(items) => {
                        let _ = writeln!(out, "    const {} *{own};", c_type(items));
                        let _ = writeln!(out, "    uint32_t {own}_count;");
                    }
                    Type::Struct(held) if optional => {
                        let _ = writeln!(out, "    const {held} *{own};");
                    }
                    kind => {
                        let _ = writeln!(out, "    {} {own};", c_type(kind));
                    }
                }
            }
            out.push_str("};\n");
        }
        for name in &structs {
            if *name == root {
                out.push_str(
                    "\n/* Writes it as an event. */\nstatic inline void put_event(sm_text occurred_at, ",
                );
                let _ = writeln!(out, "const {root} *it) {{");
                out.push_str("    sm_event_begin(EVENT_TYPE, SCHEMA_VERSION, occurred_at);\n");
                self.c_members(&mut out, name);
                out.push_str("    sm_event_end();\n}\n");
            } else {
                let _ = writeln!(
                    out,
                    "\nstatic inline void put_{}(const char *name, const {name} *it) {{\n    sm_object_begin(name);",
                    snake(name)
                );
                self.c_members(&mut out, name);
                out.push_str("    sm_object_end();\n}\n");
            }
        }
        out.push_str("\n#endif\n");
        out
    }

    fn c_enum(&self, out: &mut String, name: &str, values: &[String]) {
        let constant = |value: &str| format!("{}_{}", snake(name), snake(value)).to_uppercase();
        let _ = writeln!(out, "\ntypedef enum {{\n    {},", format!("{}_ABSENT", snake(name)).to_uppercase());
        for value in values {
            let _ = writeln!(out, "    {},", constant(value));
        }
        let own = snake(name);
        let _ = writeln!(
            out,
            "}} {name};\n\nstatic inline sm_text {own}_text({name} {own}) {{\n    switch ({own}) {{"
        );
        for value in values {
            let _ = writeln!(out, "    case {}: return SM_LITERAL({value:?});", constant(value));
        }
        out.push_str("    default: return SM_LITERAL(\"\");\n    }\n}\n");
    }

    fn c_members(&self, out: &mut String, name: &str) {
        for field in self.fields(name).1 {
            let own = c_ident(&field.name);
            let (kind, nullable) = unwrapped(&field.kind);
            let optional = !field.required || nullable;
            let value = match kind {
                Type::Struct(_) if !optional => format!("&it->{own}"),
                _ => format!("it->{own}"),
            };
            let member = format!("{:?}", field.name);
            let statement = match kind {
                Type::List(items) => {
                    let item = match &**items {
                        Type::Struct(_) => format!("&it->{own}[i]"),
                        _ => format!("it->{own}[i]"),
                    };
                    format!(
                        "{{\n        sm_array_begin({member});\n        for (uint32_t i = 0; i < it->{own}_count; i++) {}\n        \
                         sm_array_end();\n    }}",
                        put(items, "NULL", &item)
                    )
                }
                kind => put(kind, &member, &value),
            };
            let present = match kind {
                Type::Text => format!("it->{own}.at != NULL"),
                Type::Integer | Type::Boolean => format!("it->has_{own}"),
                Type::Enum(_) => format!("it->{own} != 0"),
                _ => format!("it->{own} != NULL"),
            };
            let _ = match (field.required, nullable) {
                (true, false) => writeln!(out, "    {statement}"),
                (false, false) => writeln!(out, "    if ({present}) {statement}"),
                (false, true) => writeln!(
                    out,
                    "    if (it->{own}_is_null) sm_put_null({member});\n    else if ({present}) {statement}"
                ),
                (true, true) => {
                    writeln!(out, "    if (!({present})) sm_put_null({member});\n    else {statement}")
                }
            };
        }
    }
}

/// Without `null`, and whether it had it.
pub(super) fn unwrapped(kind: &Type) -> (&Type, bool) {
    match kind {
        Type::Nullable(inner) => (unwrapped(inner).0, true),
        kind => (kind, false),
    }
}

fn c_type(kind: &Type) -> String {
    match kind {
        Type::Text => "sm_text".into(),
        Type::Integer => "int64_t".into(),
        Type::Boolean => "bool".into(),
        Type::Enum(name) | Type::Struct(name) => name.clone(),
        Type::List(inner) | Type::Nullable(inner) => c_type(inner),
    }
}

fn put(kind: &Type, name: &str, value: &str) -> String {
    match kind {
        Type::Text => format!("sm_put_text({name}, {value});"),
        Type::Integer => format!("sm_put_integer({name}, {value});"),
        Type::Boolean => format!("sm_put_bool({name}, {value});"),
        Type::Enum(kind) => format!("sm_put_text({name}, {}_text({value}));", snake(kind)),
        Type::Struct(kind) => format!("put_{}({name}, {value});", snake(kind)),
        Type::List(inner) | Type::Nullable(inner) => put(inner, name, value),
    }
}

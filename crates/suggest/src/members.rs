//! The members of a canonical type, flat: `lines[].sku`, each with what may be in it.

use serde_json::Value;

use crate::words::{Bag, THESAURUS};

/// What may be in a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer { negative: bool },
    Minor,
    Boolean,
    Enum(Vec<String>),
    Day,
    Time,
    Decimal,
    Currency,
    Gtin,
}

/// A member of a canonical type.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// `lines[].sku`.
    pub(crate) path: String,
    /// Its own name.
    pub(crate) name: String,
    /// Must be there, if what it is in is there.
    pub(crate) required: bool,
    pub(crate) kind: Kind,
    /// The list that it is an item of, as `lines[]`; empty for the event.
    pub(crate) list: String,
    /// The object that it is in, as `lines[].presentment`.
    pub(crate) object: String,
    /// Members of objects of one kind compete for the same places: two addresses, not an address and a customer.
    pub(crate) group: String,
    pub(crate) phrases: Vec<Bag>,
    pub(crate) objects: Vec<Bag>,
    pub(crate) chars_max: usize,
}

/// Members that one of is enough: `anyOf` of an object.
#[derive(Debug, Clone)]
pub(crate) struct AnyOf {
    pub(crate) object: String,
    pub(crate) alternatives: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
    pub(crate) lists: Vec<(String, bool)>,
    pub(crate) any_of: Vec<AnyOf>,
}

/// The member of every event that says when it happened.
pub const OCCURRED_AT: &str = "occurredAt";

impl Members {
    pub(crate) fn of(schema: &Value) -> Self {
        let mut made = Self::default();
        let place = Place { path: "", list: "", object: "", group: "", name: "", required: true };
        made.object(schema, schema, &place);
        made.members.push(Member {
            path: OCCURRED_AT.to_owned(),
            name: OCCURRED_AT.to_owned(),
            required: false,
            kind: Kind::Time,
            list: String::new(),
            object: String::new(),
            group: "time".to_owned(),
            phrases: THESAURUS.phrases(OCCURRED_AT),
            objects: Vec::new(),
            chars_max: usize::MAX,
        });
        made
    }

    fn object(&mut self, schema: &Value, root: &Value, place: &Place<'_>) {
        let names = |value: &Value| -> Vec<String> {
            let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        };
        let required = names(&schema["required"]);
        let alternatives: Vec<Vec<String>> = schema["anyOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|branch| names(&branch["required"]))
            .collect();
        if !alternatives.is_empty() {
            self.any_of.push(AnyOf { object: place.path.to_owned(), alternatives });
        }
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let (inner, reference) = resolve(inner, root);
            let path = if place.path.is_empty() { name.clone() } else { format!("{}.{name}", place.path) };
            let required = place.required && required.contains(name);
            match kind(name, inner) {
                Some(kind) => self.members.push(Member {
                    path,
                    name: name.clone(),
                    required,
                    kind,
                    list: place.list.to_owned(),
                    object: place.object.to_owned(),
                    group: place.group.to_owned(),
                    phrases: THESAURUS.phrases(name),
                    objects: match place.name {
                        "" => Vec::new(),
                        object => THESAURUS.object_phrases(object),
                    },
                    chars_max: inner["maxLength"]
                        .as_u64()
                        .and_then(|max| usize::try_from(max).ok())
                        .unwrap_or(usize::MAX),
                }),
                None if inner.get("properties").is_some() => {
                    let group = reference.unwrap_or(&path).to_owned() + "@" + place.list;
                    let place =
                        Place { path: &path, list: place.list, object: &path, group: &group, name, required };
                    self.object(inner, root, &place);
                }
                None => {
                    let (items, _) = resolve(&inner["items"], root);
                    if items.get("properties").is_some() {
                        let list = format!("{path}[]");
                        self.lists.push((list.clone(), required));
                        let place = Place {
                            path: &list,
                            list: &list,
                            object: &list,
                            group: &list,
                            name,
                            required: true,
                        };
                        self.object(items, root, &place);
                    }
                }
            }
        }
    }
}

struct Place<'p> {
    path: &'p str,
    list: &'p str,
    object: &'p str,
    group: &'p str,
    name: &'p str,
    required: bool,
}

fn resolve<'v>(schema: &'v Value, root: &'v Value) -> (&'v Value, Option<&'v str>) {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            (found.unwrap_or(schema), Some(reference))
        }
        None => (schema, None),
    }
}

fn kind(name: &str, schema: &Value) -> Option<Kind> {
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        return Some(Kind::Enum(values));
    }
    // A member that may be null is what it is otherwise.
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        several => several.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let pattern = schema["pattern"].as_str().unwrap_or("");
    Some(match types.into_iter().find(|one| *one != "null")? {
        "string" if schema["format"] == "date" => Kind::Day,
        "string" if pattern.contains("A-Z]{3}") => Kind::Currency,
        "string" if pattern.contains("{13}") => Kind::Gtin,
        "string" if pattern.starts_with("^[0-9]+(") => Kind::Decimal,
        "string" => Kind::Text,
        "integer" if name.ends_with("Minor") => Kind::Minor,
        "integer" => Kind::Integer { negative: schema["minimum"].as_i64().is_none_or(|least| least < 0) },
        "boolean" => Kind::Boolean,
        _ => return None,
    })
}

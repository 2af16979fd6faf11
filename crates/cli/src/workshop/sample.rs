//! What samples of a vendor's messages look like: their shape, a JSON Schema for it, and which member is likely which canonical one.
//!
//! Numbers are read by their digits, never through a float: an identifier of twenty digits stays an integer, `10.00` is a decimal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sluice_core::json::{Json, push_pointer};

use super::typegen::{Field, Type, words};

/// What was seen at one place, over all samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// How often something was there.
    pub seen: usize,
    nulls: usize,
    booleans: usize,
    integers: usize,
    decimals: usize,
    strings: usize,
    /// Of the strings: RFC 3339 with an offset; days.
    times: usize,
    days: usize,
    /// Of the strings and decimals: `12`, `12.000`.
    wholes: usize,
    objects: usize,
    /// Members in the order in which they were first seen.
    pub members: Vec<(String, Shape)>,
    arrays: usize,
    /// What the items of arrays look like, if any had items.
    pub items: Option<Box<Shape>>,
}

impl Shape {
    /// Adds a sample.
    pub fn add(&mut self, value: &Json) {
        self.seen += 1;
        match value {
            Json::Null => self.nulls += 1,
            Json::Bool(_) => self.booleans += 1,
            Json::Number(token) if token.contains(['.', 'e', 'E']) => {
                self.decimals += 1;
                self.wholes += usize::from(is_whole(token));
            }
            Json::Number(_) => self.integers += 1,
            Json::String(text) => {
                self.strings += 1;
                self.times += usize::from(text.contains(['T', 't']) && text.parse::<Timestamp>().is_ok());
                self.days += usize::from(text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok());
                self.wholes += usize::from(is_whole(text));
            }
            Json::Array(items) => {
                self.arrays += 1;
                for item in items {
                    self.items.get_or_insert_default().add(item);
                }
            }
            Json::Object(members) => {
                self.objects += 1;
                for member in members {
                    match self.members.iter_mut().find(|(name, _)| *name == member.key) {
                        Some((_, shape)) => shape.add(&member.value),
                        None => {
                            let mut shape = Self::default();
                            shape.add(&member.value);
                            self.members.push((member.key.clone(), shape));
                        }
                    }
                }
            }
        }
    }

    /// Whether it was `null` once.
    pub fn nullable(&self) -> bool {
        self.nulls > 0
    }

    /// Only objects, or `null`.
    pub fn is_object(&self) -> bool {
        self.objects > 0 && self.objects + self.nulls == self.seen
    }

    /// Only arrays of objects, or `null`.
    pub fn is_list_of_objects(&self) -> bool {
        self.arrays > 0
            && self.arrays + self.nulls == self.seen
            && self.items.as_ref().is_some_and(|items| items.is_object())
    }

    /// What a column of a file holds, for a person.
    pub fn column(&self) -> String {
        let kind = match self.strings {
            0 => return "empty".into(),
            all if all == self.wholes => "whole numbers",
            all if all == self.times => "times",
            all if all == self.days => "days",
            _ => "text",
        };
        if self.nulls > 0 { format!("{kind}, sometimes none") } else { kind.into() }
    }

    /// Text that is a moment.
    pub fn is_time(&self) -> bool {
        self.times > 0 && self.times + self.nulls == self.seen
    }

    fn fits(&self, kind: &Type) -> bool {
        let all = |seen: usize| seen > 0 && seen + self.nulls == self.seen;
        match kind {
            // An identifier is a text to us, whatever the vendor writes.
            Type::Text => all(self.strings + self.integers) && !self.is_time(),
            Type::Integer => all(self.integers + self.wholes),
            Type::Boolean => all(self.booleans),
            Type::Enum(_) | Type::List(_) | Type::Struct(_) | Type::Nullable(_) => false,
        }
    }

    /// The schema: types, nullability, formats; required is what `required` says of a pointer, and what each of several had.
    ///
    /// No enumerations: a few samples never show all the values that a vendor has, and a schema that is too narrow quarantines good
    /// messages.
    pub fn schema(&self, pointer: &str, required: &dyn Fn(&str) -> bool) -> Value {
        let mut schema = Map::new();
        let mut types: Vec<&str> = Vec::new();
        for (seen, name) in [(self.objects, "object"), (self.arrays, "array"), (self.strings, "string")] {
            if seen > 0 {
                types.push(name);
            }
        }
        match (self.integers, self.decimals) {
            (0, 0) => {}
            (_, 0) => types.push("integer"),
            _ => types.push("number"),
        }
        if self.booleans > 0 {
            types.push("boolean");
        }
        if types.is_empty() {
            // Only ever null: what else it may be is not known.
            return json!({});
        }
        if self.nulls > 0 {
            types.push("null");
        }
        schema.insert("type".into(), if let [one] = types[..] { json!(one) } else { json!(types) });
        if self.strings > 0 && self.times == self.strings {
            schema.insert("format".into(), json!("date-time"));
        } else if self.strings > 0 && self.days == self.strings {
            schema.insert("format".into(), json!("date"));
        }
        if self.objects > 0 {
            let place = |name: &str| {
                let mut place = pointer.to_owned();
                push_pointer(&mut place, name);
                place
            };
            let always: Vec<&str> = self
                .members
                .iter()
                .filter(|(name, shape)| {
                    shape.seen == self.objects && (self.objects > 1 || required(&place(name)))
                })
                .map(|(name, _)| name.as_str())
                .collect();
            schema.insert("required".into(), json!(always));
            let properties: Map<String, Value> = self
                .members
                .iter()
                .map(|(name, shape)| (name.clone(), shape.schema(&place(name), required)))
                .collect();
            schema.insert("properties".into(), Value::Object(properties));
        }
        if let Some(items) = &self.items {
            schema.insert("items".into(), items.schema(&format!("{pointer}/*"), required));
        }
        Value::Object(schema)
    }
}

/// Digits, perhaps with a sign, perhaps with a fraction of nothing.
fn is_whole(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0')
}

/// A member of the vendor's that a canonical member can be made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Names from the root. Below `list`, within each item.
    pub path: Vec<String>,
    /// How many names lead to the array in whose items it is, if it is in one.
    pub list: Option<usize>,
    /// Sometimes absent or `null`.
    pub optional: bool,
    shape: Shape,
}

impl Leaf {
    /// In every sample a number without a fraction, so that the schema calls it an integer.
    pub fn is_integer(&self) -> bool {
        self.shape.integers > 0 && self.shape.decimals + self.shape.strings == 0
    }

    /// In every sample text.
    pub fn is_text(&self) -> bool {
        self.shape.strings > 0 && self.shape.integers == 0
    }

    /// JSON pointer, an array's items as `*`.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for (at, name) in self.path.iter().enumerate() {
            push_pointer(&mut pointer, name);
            if self.list == Some(at + 1) {
                pointer.push_str("/*");
            }
        }
        pointer
    }
}

/// Everything that a member can be made of: through objects that are always there, and through one array of objects.
pub fn leaves(root: &Shape) -> Vec<Leaf> {
    fn walk(shape: &Shape, path: &mut Vec<String>, list: Option<usize>, found: &mut Vec<Leaf>) {
        for (name, member) in &shape.members {
            path.push(name.clone());
            let optional = member.seen < shape.objects || member.nullable();
            if member.is_object() && !optional {
                walk(member, path, list, found);
            } else if member.is_list_of_objects() && list.is_none() && !optional {
                if let Some(items) = &member.items {
                    walk(items, path, Some(path.len()), found);
                }
            } else if !member.is_object() && member.arrays == 0 {
                found.push(Leaf { path: path.clone(), list, optional, shape: member.clone() });
            }
            path.pop();
        }
    }
    let mut found = Vec::new();
    if root.is_object() {
        walk(root, &mut Vec::new(), None, &mut found);
    }
    found
}

/// What vendors call things, the most telling names first.
const SYNONYMS: &[(&str, &[&str])] = &[
    (
        "warehouseId",
        &[
            "warehouse",
            "location",
            "site",
            "facility",
            "store",
            "depot",
            "fulfillment center",
            "branch",
            "stock location",
        ],
    ),
    (
        "sku",
        &[
            "item",
            "article",
            "product",
            "part",
            "item number",
            "article number",
            "product code",
            "part number",
            "variant",
        ],
    ),
    (
        "quantityOnHand",
        &[
            "on hand",
            "quantity",
            "qty",
            "stock",
            "stock level",
            "inventory",
            "count",
            "level",
            "units",
            "in stock",
        ],
    ),
    ("quantityAvailable", &["available", "sellable", "free", "available to promise", "atp"]),
    ("quantityReserved", &["reserved", "allocated", "committed"]),
    ("quantityOnOrder", &["on order", "ordered", "incoming", "backordered"]),
    ("quantityInTransit", &["in transit", "transit"]),
    ("quantityDamaged", &["damaged", "defective", "unsellable", "quality hold"]),
    ("unit", &["uom", "unit of measure", "measure"]),
    ("gtin", &["ean", "upc", "barcode", "ean13"]),
    ("title", &["name", "description", "product name", "item name"]),
    ("orderId", &["order", "order number", "order no", "purchase order", "id"]),
    ("orderName", &["reference", "order reference", "display id"]),
    ("currency", &["currency code"]),
    ("channel", &["source", "sales channel", "origin"]),
    ("test", &["is test", "sandbox"]),
    ("taxesIncluded", &["prices include tax", "tax included"]),
    ("reason", &["cancel reason", "cancellation reason"]),
];

/// Names for when something happened.
const TIMES: &[&str] = &[
    "occurred at",
    "updated at",
    "updated",
    "changed at",
    "modified at",
    "last updated",
    "as of",
    "timestamp",
    "event time",
    "date modified",
    "sent at",
    "created at",
    "time",
    "date",
];

/// Names that say nothing without what they belong to.
const GENERIC: &[&str] = &["id", "code", "number", "no", "value", "key", "amount", "ref"];

/// Least score at which a member is taken for another.
const SCORE_MIN: u32 = 60;

/// How well a member of the vendor's fits a name; 0 to 100.
fn score(path: &[String], canonical: &str, synonyms: &[&str]) -> u32 {
    let own = words(path.last().map_or("", String::as_str));
    let parent = words(path.len().checked_sub(2).and_then(|at| path.get(at)).map_or("", String::as_str));
    let both: Vec<String> = parent.iter().chain(&own).cloned().collect();
    let generic = matches!(&own[..], [one] if GENERIC.contains(&one.as_str()));
    let mut names: Vec<(Vec<String>, u32)> = vec![(both, 0)];
    if generic && !parent.is_empty() {
        names.push((parent, 5));
    } else {
        // `sku_code` and `item_id` are the sku and the item.
        let last = own.last().map_or("", String::as_str);
        if own.len() > 1 && GENERIC.contains(&last) {
            names.push((own[..own.len() - 1].to_vec(), 3));
        }
        names.push((own, 0));
    }
    let wanted = std::iter::once((words(canonical), 100)).chain(
        synonyms.iter().enumerate().map(|(at, name)| (words(name), 92 - u32::try_from(at).unwrap_or(0))),
    );
    let mut best = 0;
    for (wanted, full) in wanted {
        for (name, less) in &names {
            let fits = if *name == wanted || name.concat() == wanted.concat() {
                full
            } else if wanted.len() > 1 && wanted.iter().all(|word| name.contains(word)) {
                full.saturating_sub(15)
            } else if name.contains(&wanted[0]) && wanted.len() == 1 && name.len() <= 2 {
                full.saturating_sub(25)
            } else {
                0
            };
            best = best.max(fits.saturating_sub(*less));
        }
    }
    best
}

/// A canonical member and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The canonical member.
    pub field: Field,
    /// The vendor's.
    pub leaf: Leaf,
    /// How sure: 60 to 100.
    pub score: u32,
}

/// A first mapping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Suggestion {
    /// Members with a source, in the canonical schema's order.
    pub matches: Vec<Match>,
    /// When it happened, if the message says.
    pub occurred_at: Option<Leaf>,
    /// Members that must be there and have no source.
    pub missing: Vec<String>,
    /// Members of the vendor's that nothing was made of.
    pub unused: Vec<String>,
}

/// Matches the members of a canonical type with those of a vendor's message, by name, synonym and type. Each is used once, and all
/// that are in an array are in the same one.
pub fn suggest(root: &Shape, fields: &[Field], canonical_schema: &Value) -> Suggestion {
    let leaves = leaves(root);
    let mut candidates: Vec<(u32, usize, usize)> = Vec::new();
    for (f, field) in fields.iter().enumerate() {
        let synonyms =
            SYNONYMS.iter().find(|(name, _)| *name == field.name).map_or(&[][..], |(_, synonyms)| synonyms);
        for (l, leaf) in leaves.iter().enumerate().filter(|(_, leaf)| leaf.shape.fits(&field.kind)) {
            let score = score(&leaf.path, &field.name, synonyms);
            if score >= SCORE_MIN {
                candidates.push((score, f, l));
            }
        }
    }
    candidates.sort_by_key(|(score, f, l)| (std::cmp::Reverse(*score), *f, *l));
    let mut list: Option<Vec<String>> = None;
    let mut chosen: BTreeMap<usize, (usize, u32)> = BTreeMap::new();
    for (score, f, l) in candidates {
        if chosen.contains_key(&f) || chosen.values().any(|(used, _)| *used == l) {
            continue;
        }
        if let Some(at) = leaves[l].list {
            let place = leaves[l].path[..at].to_vec();
            if list.get_or_insert(place.clone()) != &place {
                continue;
            }
        }
        chosen.insert(f, (l, score));
    }
    let occurred_at = leaves
        .iter()
        .enumerate()
        .filter(|(_, leaf)| leaf.shape.is_time())
        .filter(|(_, leaf)| leaf.list.is_none_or(|at| list.as_deref() == Some(&leaf.path[..at])))
        .map(|(l, leaf)| (score(&leaf.path, "occurredAt", TIMES), l))
        .filter(|(score, _)| *score >= SCORE_MIN)
        .max_by_key(|(score, l)| (*score, std::cmp::Reverse(*l)))
        .map(|(_, l)| l);
    let has = |name: &str| {
        fields.iter().position(|field| field.name == name).is_some_and(|f| chosen.contains_key(&f))
    };
    let mut missing: Vec<String> = fields
        .iter()
        .filter(|field| field.required && !has(&field.name))
        .map(|field| field.name.clone())
        .collect();
    // `anyOf: [{required: [a]}, {required: [b]}]`: one of them at least, the first if none has a source.
    let alternatives: Vec<Vec<&str>> = canonical_schema["anyOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|branch| Some(branch["required"].as_array()?.iter().filter_map(Value::as_str).collect()))
        .collect();
    if !alternatives.is_empty() && !alternatives.iter().any(|names| names.iter().all(|name| has(name))) {
        missing.extend(alternatives[0].iter().filter(|name| !has(name)).map(|name| (*name).to_owned()));
    }
    let used: Vec<usize> = chosen.values().map(|(l, _)| *l).chain(occurred_at).collect();
    Suggestion {
        unused: leaves
            .iter()
            .enumerate()
            .filter(|(l, _)| !used.contains(l))
            .map(|(_, leaf)| leaf.pointer())
            .collect(),
        matches: chosen
            .into_iter()
            .map(|(f, (l, score))| Match { field: fields[f].clone(), leaf: leaves[l].clone(), score })
            .collect(),
        // Not every message need say it: the envelope does.
        occurred_at: occurred_at.map(|l| Leaf { optional: true, ..leaves[l].clone() }),
        missing,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::canonical::SCHEMAS;
    use sluice_core::json::parse;

    use super::super::typegen::Types;
    use super::*;

    fn shape(samples: &[&str]) -> Shape {
        let mut shape = Shape::default();
        for sample in samples {
            shape.add(&parse(sample.as_bytes()).unwrap());
        }
        shape
    }

    fn suggested(sample: &str) -> (Vec<(String, String)>, Option<String>, Vec<String>) {
        let (name, _, text) = SCHEMAS.iter().find(|(name, ..)| *name == "InventoryUpdated").unwrap();
        let schema: Value = serde_json::from_str(text).unwrap();
        let types = Types::of(name, &schema).unwrap();
        let found = suggest(&shape(&[sample]), &types.structs[*name].1, &schema);
        let pairs = found.matches.iter().map(|one| (one.field.name.clone(), one.leaf.pointer())).collect();
        (pairs, found.occurred_at.map(|leaf| leaf.pointer()), found.missing)
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn the_names_that_vendors_use_are_known() {
        for (warehouse, sku, quantity) in [
            ("warehouse", "sku", "qty"),
            ("location_id", "item", "on_hand"),
            ("store", "articleNumber", "stock"),
            ("site", "item_code", "quantity"),
            ("warehouseId", "SKU", "quantityOnHand"),
        ] {
            let sample = format!(
                r#"{{"{warehouse}":"ROA","{sku}":"A-1","{quantity}":12,"updated_at":"2026-01-02T03:04:05+01:00"}}"#
            );
            let (found, at, missing) = suggested(&sample);
            assert_eq!(
                found,
                pairs(&[
                    ("warehouseId", &format!("/{warehouse}")),
                    ("sku", &format!("/{sku}")),
                    ("quantityOnHand", &format!("/{quantity}")),
                ]),
                "{sample}"
            );
            assert_eq!((at.as_deref(), missing.len()), (Some("/updated_at"), 0));
        }
    }

    #[test]
    fn items_of_an_array_and_members_of_objects_are_reached() {
        let (found, at, missing) = suggested(
            r#"{"location":{"code":"ROA"},"sent":"2026-01-02","items":[{"article":{"id":77},"level":"12"},{"article":{"id":78},"level":"3.0"}]}"#,
        );
        assert_eq!(
            found,
            pairs(&[
                ("warehouseId", "/location/code"),
                ("sku", "/items/*/article/id"),
                ("quantityOnHand", "/items/*/level"),
            ])
        );
        assert_eq!((at, missing.len()), (None, 0));
    }

    #[test]
    fn what_is_not_there_is_not_invented() {
        let (found, _, missing) =
            suggested(r#"{"ref":"x","sku":"A","when":"2026-01-02T03:04:05Z","qty":1.5}"#);
        assert_eq!(found, pairs(&[("sku", "/sku")]));
        assert_eq!(missing, ["warehouseId", "quantityOnHand"]);
    }

    #[test]
    fn a_schema_says_what_all_samples_have_in_common() {
        let all = shape(&[
            r#"{"id":820982911946154508123,"price":"10.00","rate":0.1,"at":"2026-01-02T03:04:05Z","note":null,"lines":[{"a":1},{"a":null,"b":true}]}"#,
            r#"{"id":7,"price":"9","rate":1,"at":"2026-01-02T03:04:05+02:00","lines":[]}"#,
        ]);
        assert_eq!(
            all.schema("", &|_| false),
            json!({"type": "object", "required": ["id", "price", "rate", "at", "lines"], "properties": {
                "id": {"type": "integer"},
                "price": {"type": "string"},
                "rate": {"type": "number"},
                "at": {"type": "string", "format": "date-time"},
                "note": {},
                "lines": {"type": "array", "items": {"type": "object", "required": ["a"], "properties": {
                    "a": {"type": ["integer", "null"]}, "b": {"type": "boolean"}}}},
            }})
        );
        let one = shape(&[r#"{"sku":"A","more":1}"#]);
        assert_eq!(one.schema("", &|pointer| pointer == "/sku")["required"], json!(["sku"]));
    }
}

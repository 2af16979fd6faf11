//! What samples of a vendor's messages look like, and which member is likely which canonical one.
//!
//! Every place of a message is a [`Leaf`] that is either used or listed as not used, however deep it is: arrays are entered, and a
//! member is reached through the arrays and objects on its way ([`Step`]).

use std::collections::BTreeMap;

use serde_json::Value;
use sluice_core::json::push_pointer;

use super::typegen::{Field, Type};

mod conventions;
mod names;
mod shape;

pub use conventions::Conventions;
use names::{SCORE_MIN, SYNONYMS, TIMES, score};
pub use shape::{Shape, Time};

/// One step from a value to what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To a member of an object.
    Member {
        /// Its name.
        name: String,
        /// Sometimes absent or `null`.
        optional: bool,
    },
    /// To the items of an array.
    Items {
        /// Sometimes `null`.
        optional: bool,
    },
}

impl Step {
    /// Whether it sometimes leads to nothing.
    pub fn is_optional(&self) -> bool {
        match self {
            Self::Member { optional, .. } | Self::Items { optional } => *optional,
        }
    }
}

/// A place as a JSON pointer, an array's items as `*`.
pub fn pointer(path: &[Step]) -> String {
    let mut pointer = String::new();
    for step in path {
        match step {
            Step::Member { name, .. } => push_pointer(&mut pointer, name),
            Step::Items { .. } => pointer.push_str("/*"),
        }
    }
    pointer
}

/// A place of the vendor's message that holds a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// From the root.
    pub path: Vec<Step>,
    /// Whether something else than arrays and objects is on the way: then nothing is made of it.
    reachable: bool,
    shape: Shape,
}

impl Leaf {
    /// In every sample a number without a fraction, so that the schema calls it an integer.
    pub fn is_integer(&self) -> bool {
        self.shape.is_integer()
    }

    /// How it says a moment, if it does.
    pub fn time(&self) -> Option<Time> {
        self.shape.time()
    }

    /// JSON pointer, an array's items as `*`.
    pub fn pointer(&self) -> String {
        pointer(&self.path)
    }

    /// How many steps lead to the items of the innermost array that it is in; none if it is in no array.
    pub fn item_at(&self) -> usize {
        self.path.iter().rposition(|step| matches!(step, Step::Items { .. })).map_or(0, |at| at + 1)
    }

    /// Sometimes not stated: absent, `null` or blank, or in an object that is.
    pub fn is_optional(&self) -> bool {
        self.shape.is_blank_at_times() || self.path[self.item_at()..].iter().any(Step::is_optional)
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        self.names().1
    }

    /// Its own name, and that of what it belongs to.
    fn names(&self) -> (&str, &str) {
        let mut names = self.path.iter().rev().filter_map(|step| match step {
            Step::Member { name, .. } => Some(name.as_str()),
            Step::Items { .. } => None,
        });
        let own = names.next().unwrap_or_default();
        (names.next().unwrap_or_default(), own)
    }

    /// Whether a canonical member may be made of it: it is not an item itself, since then there would be an event for each of some
    /// values, and not for each of some objects.
    fn can_be_used(&self) -> bool {
        self.reachable && matches!(self.path.last(), Some(Step::Member { .. }))
    }
}

/// Every place that holds a value: all that is neither an object nor an array, arrays and objects that were always empty, and what
/// was only `null`.
pub fn leaves(root: &Shape) -> Vec<Leaf> {
    fn walk(shape: &Shape, path: &mut Vec<Step>, reachable: bool, found: &mut Vec<Leaf>) {
        let pure = shape.is_object() || shape.is_list();
        let ends = !shape.has_members() && shape.items.is_none();
        if ends || !pure {
            found.push(Leaf { path: path.clone(), reachable: reachable && ends, shape: shape.clone() });
        }
        for (name, member) in &shape.members {
            let optional = member.seen < shape.objects() || member.nullable();
            path.push(Step::Member { name: name.clone(), optional });
            walk(member, path, reachable && shape.is_object(), found);
            path.pop();
        }
        if let Some(items) = &shape.items {
            path.push(Step::Items { optional: items.nullable() });
            walk(items, path, reachable && shape.is_list(), found);
            path.pop();
        }
    }
    let mut found = Vec::new();
    walk(root, &mut Vec::new(), true, &mut found);
    found.retain(|leaf| !leaf.path.is_empty());
    found
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
    /// The way to what becomes an event: it ends with the items of the innermost array, or is empty if the message is one event.
    pub each: Vec<Step>,
    /// Members that must be there and have no source.
    pub missing: Vec<String>,
    /// Members of the vendor's that nothing was made of.
    pub unused: Vec<String>,
}

/// Which leaf each canonical member would be made of, if an event were made of each item at the end of a way.
struct Assignment {
    each: Vec<Step>,
    /// Canonical member to leaf and score.
    chosen: BTreeMap<usize, (usize, u32)>,
    missing: Vec<String>,
    required_score: u32,
}

/// Matches the members of a canonical type with those of a vendor's message, by name, synonym and type. Each is used once.
///
/// An event is made of each item of one array, or of the message, with the members of what is around the item: of all ways into
/// arrays the one by which most of what must be there has a source, and among those the one with the best names, and then the
/// shortest.
pub fn suggest(root: &Shape, fields: &[Field], canonical_schema: &Value) -> Suggestion {
    let leaves = leaves(root);
    let mut candidates: Vec<(u32, usize, usize)> = Vec::new();
    for (f, field) in fields.iter().enumerate() {
        let synonyms =
            SYNONYMS.iter().find(|(name, _)| *name == field.name).map_or(&[][..], |(_, synonyms)| synonyms);
        let fitting =
            leaves.iter().enumerate().filter(|(_, leaf)| leaf.can_be_used() && leaf.shape.fits(&field.kind));
        for (l, leaf) in fitting {
            let score = score(leaf.names(), &field.name, synonyms);
            if score >= SCORE_MIN {
                candidates.push((score, f, l));
            }
        }
    }
    candidates.sort_by_key(|(score, f, l)| (std::cmp::Reverse(*score), *f, *l));
    let mut ways: Vec<&[Step]> = vec![&[]];
    for leaf in leaves.iter().filter(|leaf| leaf.can_be_used()) {
        let way = &leaf.path[..leaf.item_at()];
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    let best = ways
        .into_iter()
        .map(|way| assigned(way, &leaves, &candidates, fields, canonical_schema))
        .min_by_key(|one| {
            let arrays = one.each.iter().filter(|step| matches!(step, Step::Items { .. })).count();
            (one.missing.len(), std::cmp::Reverse(one.required_score), arrays)
        });
    let Some(Assignment { each, chosen, missing, .. }) = best else { return Suggestion::default() };
    let occurred_at = leaves
        .iter()
        .enumerate()
        .filter(|(_, leaf)| leaf.can_be_used() && leaf.time().is_some() && is_around(leaf, &each))
        .map(|(l, leaf)| (score(leaf.names(), "occurredAt", TIMES), l))
        .filter(|(score, _)| *score >= SCORE_MIN)
        // The innermost of several with the same name speaks of the item itself.
        .max_by_key(|(score, l)| (*score, leaves[*l].item_at(), std::cmp::Reverse(*l)))
        .map(|(_, l)| l);
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
        occurred_at: occurred_at.map(|l| leaves[l].clone()),
        each,
        missing,
    }
}

/// How much less a member counts for each array between it and the item.
const AROUND_LESS: u32 = 8;

/// Whether a leaf is in an item at the end of a way, or in what is around it.
fn is_around(leaf: &Leaf, each: &[Step]) -> bool {
    each.starts_with(&leaf.path[..leaf.item_at()])
}

fn assigned(
    each: &[Step],
    leaves: &[Leaf],
    candidates: &[(u32, usize, usize)],
    fields: &[Field],
    canonical_schema: &Value,
) -> Assignment {
    // Of two members with equally good names the nearer one speaks of the item.
    let near = |score: u32, leaf: &Leaf| {
        let around = each.iter().skip(leaf.item_at()).filter(|step| matches!(step, Step::Items { .. }));
        score.saturating_sub(u32::try_from(around.count()).unwrap_or(u32::MAX).saturating_mul(AROUND_LESS))
    };
    let mut candidates: Vec<&(u32, usize, usize)> = candidates.iter().collect();
    candidates.sort_by_key(|(score, f, l)| (std::cmp::Reverse(near(*score, &leaves[*l])), *f, *l));
    let mut chosen: BTreeMap<usize, (usize, u32)> = BTreeMap::new();
    for (score, f, l) in candidates {
        let taken = chosen.contains_key(f) || chosen.values().any(|(used, _)| used == l);
        if !taken && is_around(&leaves[*l], each) {
            chosen.insert(*f, (*l, *score));
        }
    }
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
    let score_of = |name: &str| {
        let chosen = chosen.iter().find(|(f, _)| fields[**f].name == name);
        chosen.map_or(0, |(_, (l, score))| near(*score, &leaves[*l]))
    };
    let required: u32 = fields.iter().filter(|field| field.required).map(|field| score_of(&field.name)).sum();
    // The first that there is: a second one in a deeper array is no reason to go there.
    let alternative: u32 = alternatives
        .iter()
        .find(|names| names.iter().all(|name| has(name)))
        .map_or(0, |names| names.iter().map(|name| score_of(name)).sum());
    let required_score = required + alternative;
    Assignment { each: each.to_vec(), chosen, missing, required_score }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;
    use sluice_core::canonical::SCHEMAS;
    use sluice_core::json::parse;

    use super::super::typegen::Types;
    use super::*;

    fn shape(samples: &[&str]) -> Shape {
        let mut shape = Shape::default();
        for sample in samples {
            shape.add(&parse(sample.as_bytes()).unwrap(), sample);
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

    /// What was matched, and what is not used.
    fn whole(samples: &[&str]) -> Suggestion {
        let (name, _, text) = SCHEMAS.iter().find(|(name, ..)| *name == "InventoryUpdated").unwrap();
        let schema: Value = serde_json::from_str(text).unwrap();
        let types = Types::of(name, &schema).unwrap();
        suggest(&shape(samples), &types.structs[*name].1, &schema)
    }

    #[test]
    fn inner_arrays_are_entered_with_the_members_of_what_is_around_them() {
        let found = whole(&[
            r#"{"lager":[{"lagerort":"NORD","leiter":{"name":"J"},"artikel":[{"artikelnummer":"A-1","bestand":"1234","titel":""}]}]}"#,
        ]);
        let pairs: Vec<(&str, String)> =
            found.matches.iter().map(|one| (one.field.name.as_str(), one.leaf.pointer())).collect();
        assert_eq!(
            pairs,
            [
                ("warehouseId", "/lager/*/lagerort".to_owned()),
                ("sku", "/lager/*/artikel/*/artikelnummer".to_owned()),
                ("quantityOnHand", "/lager/*/artikel/*/bestand".to_owned()),
                ("title", "/lager/*/artikel/*/titel".to_owned()),
            ]
        );
        assert_eq!(pointer(&found.each), "/lager/*/artikel/*");
        assert_eq!(found.unused, ["/lager/*/leiter/name"]);
    }

    #[test]
    fn every_place_that_holds_a_value_is_used_or_listed_however_deep() {
        let found = whole(&[
            r#"{"sku":"A","none":null,"empty":[],"bare":{},"tags":["a","b"],"grid":[[{"x":1}]],"mixed":[1,{"y":2}],
                "a":{"b":[{"c":[{"d":1,"e":{"f":[true]}}]}]}}"#,
            r#"{"sku":"B","none":null,"empty":[],"bare":{},"a":null,"late":{"z":1}}"#,
        ]);
        assert_eq!(
            found.unused,
            [
                "/none",
                "/empty",
                "/bare",
                "/tags/*",
                "/grid/*/*/x",
                "/mixed/*",
                "/mixed/*/y",
                "/a/b/*/c/*/d",
                "/a/b/*/c/*/e/f/*",
                "/late/z",
            ]
        );
        assert!(found.each.is_empty());
    }

    #[test]
    fn of_several_arrays_the_one_that_has_what_must_be_there_is_gone_through() {
        let each = |sample: &str| pointer(&whole(&[sample]).each);
        assert_eq!(
            each(r#"{"site":"R","returns":[{"reason":"x","count":1}],"items":[{"sku":"A","qty":1}]}"#),
            "/items/*"
        );
        assert_eq!(each(r#"[{"sku":"A","qty":1,"site":"R"}]"#), "/*");
        assert_eq!(each(r#"{"sites":[[{"sku":"A","qty":1,"site":"R"}]]}"#), "/sites/*/*");
        // An event for each batch would state the same level several times.
        assert_eq!(
            each(
                r#"{"sku":"A","qty":1,"site":"R","batches":[{"no":"1","reserved":1},{"no":"2","reserved":2}]}"#
            ),
            ""
        );
        // An event for each code of an article would count it twice.
        assert_eq!(each(r#"{"sku":"A","qty":1,"site":"R","ean":["4006381333931"]}"#), "");
    }

    #[test]
    fn what_is_blank_at_times_may_be_absent_and_what_is_in_an_optional_object_too() {
        let found = whole(&[
            r#"{"site":"R","sku":"A","qty":"1","reserved":"","article":null,"updated_at":"2026-01-02T03:04:05Z"}"#,
            r#"{"site":"R","sku":"A","qty":"1","reserved":"3","article":{"title":"x"}}"#,
        ]);
        let optional: Vec<&str> = found
            .matches
            .iter()
            .filter(|one| one.leaf.is_optional())
            .map(|one| one.field.name.as_str())
            .collect();
        assert_eq!(optional, ["quantityReserved", "title"]);
        assert!(found.occurred_at.unwrap().is_optional());
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

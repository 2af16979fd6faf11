//! The document that proposals make, built of every sample and judged by the canonical schema.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};
use sluice_core::contract::CanonicalRef;

use crate::leaves::{Form, Leaf};
use crate::transform::{Transform, apply};

/// What became of a member in the samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Proof {
    /// Samples that state it.
    pub samples: usize,
    /// Of these, in which it is as the canonical schema wants it.
    pub satisfied: usize,
    /// What is wrong in the others, each once.
    pub violations: Vec<String>,
}

/// Most violations of a member that are listed.
const VIOLATIONS_MAX: usize = 5;
/// Most documents that are built.
const DOCUMENTS_MAX: usize = 2_000;

/// A member that is proposed, as the proof needs it.
pub(crate) struct Claim<'c> {
    pub(crate) member: &'c str,
    pub(crate) list: &'c str,
    pub(crate) from: Vec<&'c Leaf>,
    pub(crate) transform: &'c Transform,
}

type Key = (usize, Vec<usize>);

struct Source<'c> {
    claim: &'c Claim<'c>,
    /// By instance of the place's own list.
    values: Vec<BTreeMap<Key, (&'c str, Form)>>,
}

/// Proofs by member, how many documents were built, and how many of them are valid.
pub(crate) struct Proofs {
    pub(crate) of: BTreeMap<String, Proof>,
    pub(crate) built: usize,
    pub(crate) valid: usize,
}

pub(crate) fn prove(
    claims: &[Claim<'_>],
    lists: &BTreeMap<String, String>,
    canonical: &CanonicalRef,
) -> Proofs {
    let depth = |way: &str| way.split('/').filter(|part| *part == "*").count();
    let sources: Vec<Source<'_>> = claims
        .iter()
        .map(|claim| Source {
            claim,
            values: claim
                .from
                .iter()
                .map(|leaf| {
                    let value = |value: &'_ crate::leaves::Value| (value.sample, value.items.clone());
                    leaf.values.iter().map(|one| (value(one), (one.text.as_str(), one.form))).collect()
                })
                .collect(),
        })
        .collect();
    // The instances of each list: every item in which something is said.
    let mut instances: BTreeMap<&str, BTreeSet<Key>> = BTreeMap::new();
    for (list, way) in lists {
        let levels = depth(way);
        let inside = sources.iter().filter(|source| source.claim.list == list);
        let keys = inside.flat_map(|source| source.values.iter().flat_map(BTreeMap::keys));
        let found = keys
            .filter(|(_, items)| items.len() >= levels)
            .map(|(sample, items)| (*sample, items[..levels].to_vec()));
        instances.insert(list, found.collect());
    }
    let mut bad: BTreeMap<&str, BTreeMap<usize, String>> = BTreeMap::new();
    let mut stated: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let schema = sluice_core::canonical::schema(canonical);
    let (mut built, mut valid) = (0, 0);
    for event in instances.get("").into_iter().flatten().take(DOCUMENTS_MAX) {
        let mut document = Value::Object(Map::new());
        let currency = sources
            .iter()
            .find(|source| source.claim.member == "currency")
            .and_then(|source| read(source, event, 0).map(|(texts, _)| texts[0].to_owned()));
        for source in &sources {
            let list = source.claim.list;
            let keys: Vec<&Key> = match list {
                "" => vec![event],
                list => {
                    let inside = |key: &&Key| key.0 == event.0 && key.1.starts_with(&event.1);
                    instances.get(list).into_iter().flatten().filter(inside).collect()
                }
            };
            for (at, key) in keys.into_iter().enumerate() {
                let Some((texts, form)) = read(source, key, key.1.len()) else { continue };
                stated.entry(source.claim.member).or_default().insert(event.0);
                match apply(source.claim.transform, &texts, form, currency.as_deref()) {
                    Ok(value) => put(&mut document, source.claim.member, at, value),
                    Err(why) => {
                        let shown: String = texts[0].chars().take(40).collect();
                        bad.entry(source.claim.member)
                            .or_default()
                            .insert(event.0, format!("{shown:?} {why}"));
                    }
                }
            }
        }
        built += 1;
        let faults = schema.map(|schema| schema.faults(&document)).unwrap_or_default();
        // What has no source is missing everywhere: that is said once, as `mapping_incomplete`.
        let real: Vec<_> = faults.iter().filter(|fault| !is_absence(&fault.code)).collect();
        valid += usize::from(real.is_empty());
        for fault in real {
            let parts: Vec<&str> = fault.pointer.split('/').skip(1).collect();
            let mut path = String::new();
            for part in parts {
                match part.parse::<usize>() {
                    Ok(_) => path.push_str("[]"),
                    Err(_) if path.is_empty() => path.push_str(part),
                    Err(_) => path.extend([".", part]),
                }
            }
            if let Some(claim) = claims.iter().find(|claim| claim.member == path) {
                bad.entry(claim.member).or_default().insert(event.0, fault.message.clone());
            }
        }
    }
    let of = stated.into_iter().map(|(member, samples)| {
        let bad = bad.remove(member).unwrap_or_default();
        let mut violations: Vec<String> = Vec::new();
        for (sample, why) in &bad {
            let said = format!("sample {}: {why}", sample + 1);
            if violations.len() < VIOLATIONS_MAX {
                violations.push(said);
            }
        }
        let proof = Proof {
            samples: samples.len(),
            satisfied: samples.len() - bad.len().min(samples.len()),
            violations,
        };
        (member.to_owned(), proof)
    });
    Proofs { of: of.collect(), built, valid }
}

/// Whether a fault only says that something is not there.
fn is_absence(code: &str) -> bool {
    [
        "required",
        "anyOf",
        "any_of",
        "minProperties",
        "min_properties",
        "dependentRequired",
        "dependent_required",
    ]
    .contains(&code)
}

/// The texts of a claim for an instance: of what is around it, at it, or (a sum) within it.
fn read<'s>(source: &Source<'s>, key: &Key, _levels: usize) -> Option<(Vec<&'s str>, Form)> {
    let mut texts = Vec::new();
    let mut form = Form::Text;
    for (values, leaf) in source.values.iter().zip(&source.claim.from) {
        let levels = leaf.arrays.iter().filter(|is| **is).count();
        if levels > key.1.len() {
            let from = (key.0, key.1.clone());
            let inside = values
                .range(from..)
                .take_while(|((sample, items), _)| *sample == key.0 && items.starts_with(&key.1));
            for (_, (text, one)) in inside {
                texts.push(*text);
                form = *one;
            }
        } else if let Some((text, one)) = values.get(&(key.0, key.1[..levels].to_vec())) {
            texts.push(*text);
            form = *one;
        }
    }
    (!texts.is_empty()).then_some((texts, form))
}

fn put(document: &mut Value, member: &str, item: usize, value: Value) {
    let mut at = document;
    let parts: Vec<&str> = member.split('.').collect();
    for (number, part) in parts.iter().enumerate() {
        let Value::Object(members) = at else { return };
        let (name, is_list) = part.strip_suffix("[]").map_or((*part, false), |name| (name, true));
        if number + 1 == parts.len() {
            members.insert(name.to_owned(), value);
            return;
        }
        let inner = members.entry(name.to_owned()).or_insert_with(|| match is_list {
            true => Value::Array(Vec::new()),
            false => Value::Object(Map::new()),
        });
        at = match inner {
            Value::Array(items) => {
                while items.len() <= item {
                    items.push(Value::Object(Map::new()));
                }
                &mut items[item]
            }
            inner => inner,
        };
    }
}

//! What is proposed, member by member, with why, how sure, and what the samples prove.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::CanonicalRef;
use sluice_core::json::Json;

use crate::engine::{Choice, Matched};
use crate::leaves::Leaf;
use crate::members::{Kind, Member, OCCURRED_AT};
use crate::model::Model;
use crate::pairs::{FEATURES, Vector};
use crate::proof::{Claim, Proof, prove};
use crate::transform::{Transform, enumerate, units_change};

/// Most alternatives of a member.
const ALTERNATIVES_MAX: usize = 5;
/// Confidence below which an alternative says nothing.
const ALTERNATIVE_MIN: f64 = 0.02;

/// Proposals for one canonical type.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What the messages would become.
    pub canonical: CanonicalRef,
    /// Where an event is made of each item; empty if a message is one event.
    pub each: String,
    /// Our lists and the vendor's.
    pub lists: BTreeMap<String, String>,
    /// How many samples were read.
    pub samples: usize,
    /// Documents that the proposals make of the samples, and how many the canonical schema has nothing against but what is missing.
    pub documents: Documents,
    /// Confidence below which a member is not asserted.
    pub threshold: f64,
    /// Every member for which something was found, then the required ones for which nothing was.
    pub members: Vec<Proposal>,
    /// Members that must be there and have no asserted source: `mapping_incomplete`.
    pub incomplete: Vec<String>,
    /// Places that nothing asserted is made of.
    pub unused: Vec<String>,
}

/// How many documents were made, and are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Documents {
    /// Made.
    pub built: usize,
    /// Valid.
    pub valid: usize,
}

/// What a member would be made of.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// As `lines[].sku`.
    pub member: String,
    /// Must be there.
    pub required: bool,
    /// Places; empty: nothing is asserted.
    pub from: Vec<String>,
    /// What is done to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// How often such a proposal is right; of the best candidate if nothing is asserted.
    pub confidence: f64,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// What else it might be, the likeliest first.
    pub alternatives: Vec<Alternative>,
    /// What the samples say of it.
    pub proof: Proof,
}

/// A reason for a proposal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// Of which kind.
    pub kind: &'static str,
    /// What it adds to the score.
    pub weight: f64,
    /// For a person.
    pub text: String,
}

/// Another place that a member might be made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alternative {
    /// The place.
    pub from: String,
    /// How sure.
    pub confidence: f64,
}

/// Proposes a mapping. An event is made of each item at the end of `each`, if that is known.
pub fn suggest(
    samples: &[Json],
    canonical: &CanonicalRef,
    schema: &serde_json::Value,
    model: &Model,
) -> Report {
    let mut matched = Matched::of(samples, schema);
    matched.settle(&model.priors.iter().collect::<Vec<_>>(), None);
    let choices = matched.choose(model);
    let members = &matched.members.members;
    let mut proposals: Vec<Draft<'_>> = Vec::new();
    for (m, (member, choice)) in members.iter().zip(&choices).enumerate() {
        proposals.push(Draft::of(&matched, m, member, choice, model));
    }
    joined(&matched, &mut proposals, model);
    let claims: Vec<Claim<'_>> = proposals.iter().filter_map(|draft| draft.claim(&matched)).collect();
    let proofs = prove(&claims, &matched.lists, canonical);
    let documents = Documents { built: proofs.built, valid: proofs.valid };
    let mut found = Vec::new();
    for draft in proposals {
        let proof = proofs.of.get(&draft.member.path).cloned().unwrap_or_default();
        found.push(draft.judged(&matched, proof, model));
    }
    let asserted = |path: &str| found.iter().any(|one| one.member == path && !one.from.is_empty());
    let mut incomplete: Vec<String> = found
        .iter()
        .filter(|one| one.required && one.from.is_empty())
        .map(|one| one.member.clone())
        .collect();
    for one in matched.members.any_of.iter() {
        let stands = one.object.is_empty()
            || found.iter().any(|it| !it.from.is_empty() && it.member.starts_with(&one.object));
        let path = |name: &str| {
            if one.object.is_empty() { name.to_owned() } else { format!("{}.{name}", one.object) }
        };
        let has = one.alternatives.iter().any(|names| names.iter().all(|name| asserted(&path(name))));
        if stands
            && !has
            && let Some(first) = one.alternatives.first()
        {
            incomplete.extend(first.iter().map(|name| path(name)));
        }
    }
    for (list, required) in &matched.members.lists {
        let has = found.iter().any(|one| !one.from.is_empty() && one.member.starts_with(list.as_str()));
        if *required && !has {
            incomplete.push(list.clone());
        }
    }
    let used: Vec<&String> = found.iter().flat_map(|one| &one.from).collect();
    let unused = matched
        .leaves
        .iter()
        .map(|leaf| leaf.pointer.clone())
        .filter(|place| !used.contains(&place))
        .collect();
    let lists: BTreeMap<String, String> = matched
        .lists
        .iter()
        .filter(|(list, _)| !list.is_empty())
        .map(|(ours, theirs)| (ours.clone(), theirs.clone()))
        .collect();
    found.retain(|one| {
        one.required
            || incomplete.contains(&one.member)
            || !one.from.is_empty()
            || !one.alternatives.is_empty()
    });
    Report {
        canonical: canonical.clone(),
        each: matched.lists.get("").cloned().unwrap_or_default(),
        lists,
        samples: samples.len(),
        documents,
        threshold: model.threshold,
        members: found,
        incomplete,
        unused,
    }
}

/// The canonical types, the likeliest first, with how well the samples fill them.
pub fn suit(samples: &[Json], model: &Model) -> Vec<(CanonicalRef, f64)> {
    // A few samples tell the type as well as many.
    let few = &samples[..samples.len().min(8)];
    let mut found: Vec<(CanonicalRef, f64)> = SCHEMAS
        .iter()
        .filter_map(|(name, version, text)| {
            let canonical = CanonicalRef { r#type: name.parse().ok()?, version: version.parse().ok()? };
            let schema: serde_json::Value = serde_json::from_str(text).ok()?;
            let report = suggest(few, &canonical, &schema, model);
            let found = |one: &&Proposal| one.confidence >= SUIT_MIN;
            let sure: f64 = report.members.iter().filter(found).map(|one| one.confidence).sum();
            // What names the entity, and what is stated of it.
            let needed = |one: &&Proposal| {
                one.required
                    && !one.member.contains("[]")
                    && ["Id", "sku", "currency"].iter().any(|end| one.member.ends_with(end))
            };
            let missing = report.members.iter().filter(needed).filter(|one| !found(one)).count();
            let lists = usize::from(has_lines(&schema) && !report.lists.contains_key("lines[]"));
            #[expect(clippy::cast_precision_loss, reason = "a number of members")]
            let score = sure - 2.0 * (missing + lists) as f64 - nature(name, few);
            Some((canonical, (score * 100.0).round() / 100.0))
        })
        .collect();
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    found
}

/// Confidence from which a member speaks for a type.
const SUIT_MIN: f64 = 0.5;

/// Whether the type is of something that has lines.
fn has_lines(schema: &serde_json::Value) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|name| name == "lines")
}

/// What speaks against a type that only what happened can tell from another.
fn nature(name: &str, samples: &[Json]) -> f64 {
    let leaves = crate::leaves::leaves(samples);
    let said = |concept: &str| {
        leaves.iter().any(|leaf| {
            leaf.item_at() == 0 && leaf.class.time > 0.5 && leaf.own.iter().any(|word| word == concept)
        })
    };
    match name {
        "OrderCancelled" if said("cancel") => -3.0,
        "OrderCancelled" => 4.0,
        "OrderUpdated" => 3.0,
        "OrderPlaced" if said("cancel") && !said("created") => 2.0,
        _ => 0.0,
    }
}

struct Draft<'m> {
    member: &'m Member,
    from: Vec<usize>,
    transform: Option<Transform>,
    confidence: f64,
    evidence: Vec<Evidence>,
    alternatives: Vec<Alternative>,
}

impl<'m> Draft<'m> {
    fn of(matched: &Matched, m: usize, member: &'m Member, choice: &Choice, model: &Model) -> Self {
        let round = |value: f64| (value * 100.0).round() / 100.0;
        let chosen = choice.chosen;
        let alternatives = choice
            .ranked
            .iter()
            .filter(|(at, _)| chosen.is_none_or(|(one, _)| one != *at))
            .map(|(at, raw)| Alternative {
                from: matched.leaves[*at].pointer.clone(),
                confidence: round(model.confidence(*raw)),
            })
            .filter(|one| one.confidence >= ALTERNATIVE_MIN)
            .take(ALTERNATIVES_MAX)
            .collect();
        let Some((at, raw)) = chosen else {
            let (from, transform, evidence) = (Vec::new(), None, Vec::new());
            return Self { member, from, transform, confidence: 0.0, evidence, alternatives };
        };
        let leaf = &matched.leaves[at];
        let vector = matched.candidates[m]
            .iter()
            .find(|(place, _)| *place == at)
            .map_or_else(Vector::default, |one| one.1);
        Self {
            member,
            from: vec![at],
            transform: Some(enumerate(member, leaf, vector[10] > 0.0)),
            confidence: model.confidence(raw),
            evidence: evidence(matched, member, leaf, &vector, model),
            alternatives,
        }
    }

    fn claim<'c>(&'c self, matched: &'c Matched) -> Option<Claim<'c>> {
        // What a time becomes depends on the contract's zone, and is judged by the mapper's reader.
        if self.member.path == OCCURRED_AT || self.from.is_empty() {
            return None;
        }
        Some(Claim {
            member: &self.member.path,
            list: &self.member.list,
            from: self.from.iter().map(|at| &matched.leaves[*at]).collect(),
            transform: self.transform.as_ref()?,
        })
    }

    /// Asserted only if it is sure enough and the samples are not against it.
    fn judged(mut self, matched: &Matched, mut proof: Proof, model: &Model) -> Proposal {
        let changes =
            self.member.kind == Kind::Minor && self.from.iter().any(|at| units_change(&matched.leaves[*at]));
        if changes {
            proof.violations.insert(0, "its unit changes between samples: whole numbers in some, decimals a hundredth of them in others".into());
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
        if proof.samples > 0 {
            self.confidence *= proof.satisfied as f64 / proof.samples as f64;
        }
        let partial = matches!(&self.transform, Some(Transform::Map { values }) if values.is_empty());
        let sure = self.confidence >= model.threshold && !changes && !partial;
        let mut from: Vec<String> = self.from.iter().map(|at| matched.leaves[*at].pointer.clone()).collect();
        let round = |value: f64| (value * 100.0).round() / 100.0;
        if !sure {
            // What is not asserted is the first alternative.
            if let [one] = &from[..] {
                self.alternatives
                    .insert(0, Alternative { from: one.clone(), confidence: round(self.confidence) });
                self.alternatives.truncate(ALTERNATIVES_MAX);
            }
            from.clear();
        }
        Proposal {
            member: self.member.path.clone(),
            required: self.member.required,
            transform: self.transform.filter(|_| sure),
            from,
            confidence: round(self.confidence),
            evidence: self.evidence,
            alternatives: self.alternatives,
            proof,
        }
    }
}

/// A name that the vendor states in two parts, in the object of the other members that are asserted.
fn joined(matched: &Matched, drafts: &mut [Draft<'_>], model: &Model) {
    let parent =
        |leaf: &Leaf| leaf.pointer.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default();
    for at in 0..drafts.len() {
        let member = drafts[at].member;
        let alone = drafts[at].confidence < model.threshold;
        if member.name != "name" || member.object.is_empty() || !alone {
            continue;
        }
        let mut parents: BTreeMap<String, (usize, f64)> = BTreeMap::new();
        let siblings = drafts
            .iter()
            .filter(|one| one.member.object == member.object && one.confidence >= model.threshold);
        for (place, sure) in siblings.flat_map(|one| one.from.iter().map(|place| (*place, one.confidence))) {
            let parent = parents.entry(parent(&matched.leaves[place])).or_default();
            *parent = (parent.0 + 1, parent.1.max(sure));
        }
        let Some((object, (count, sure))) = parents.into_iter().max_by_key(|(_, (count, _))| *count) else {
            continue;
        };
        let part = |concept: &str| {
            matched.leaves.iter().position(|leaf| {
                parent(leaf) == object
                    && leaf.own.iter().any(|word| word == concept)
                    && leaf.class.numeric < 0.5
            })
        };
        if let (Some(first), Some(last), true) = (part("first"), part("last"), count >= 2) {
            let draft = &mut drafts[at];
            draft.from = vec![first, last];
            draft.transform = Some(Transform::Join);
            draft.confidence = sure;
            draft.evidence = vec![Evidence {
                kind: "object",
                weight: 1.0,
                text: format!("{object} has a first and a last name, and no whole one"),
            }];
        }
    }
}

fn evidence(
    matched: &Matched,
    member: &Member,
    leaf: &Leaf,
    vector: &Vector,
    model: &Model,
) -> Vec<Evidence> {
    let own = leaf.own.join(" ");
    let mut found: Vec<Evidence> = FEATURES
        .iter()
        .zip(vector.iter().zip(&model.weights))
        .filter(|(_, (value, weight))| **value > 0.0 && (*value * *weight).abs() >= 0.2)
        .map(|(kind, (value, weight))| {
            let text = match *kind {
                "name" => format!(
                    "{:?} reads as \"{own}\", {:.0} % like a name of {}",
                    leaf.name(),
                    value * 100.0,
                    member.name
                ),
                "path" => format!("with the names around it, {:.0} % like {}", value * 100.0, member.path),
                "object" => format!("is in what is called like {}", member.object),
                "letters" => format!("shares letters with {}", member.name),
                "same name" => format!("is called {}", member.name),
                "seen before" => format!("other vendors call {} so", member.name),
                "seen for another" => "other vendors call another member so".to_owned(),
                "class" => format!("its values look like {}", member.name),
                "class of another" => "its values look like something else".to_owned(),
                "arithmetic" => match matched.sums.of.get(&leaf.pointer) {
                    Some(part) => format!("is the sum of {part} in every sample"),
                    None => "price times quantity is the amount in every sample".to_owned(),
                },
                "outer list" => "is said once of several items".to_owned(),
                "inner list" => "is in an inner list, to be added up".to_owned(),
                "deeper object" => "is in a further object".to_owned(),
                "zero" => "is often zero".to_owned(),
                "decimal money" => "has decimals, as amounts have".to_owned(),
                "in few samples" => "is not in every sample".to_owned(),
                other => other.to_owned(),
            };
            Evidence { kind, weight: (value * weight * 100.0).round() / 100.0, text }
        })
        .collect();
    found.sort_by(|one, other| other.weight.abs().total_cmp(&one.weight.abs()));
    found
}

//! From places to proposals: which list is which, what each member is most likely made of, and each place for one member of an object.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::json::Json;

use crate::leaves::{Leaf, leaves};
use crate::members::{Kind, Member, Members};
use crate::model::Model;
use crate::pairs::{Prior, Sums, Vector, feasible, known, remember, vector};
use crate::words::THESAURUS;

/// Places and members with all that is known of each pair.
pub(crate) struct Matched {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) members: Members,
    pub(crate) sums: Sums,
    pairs: Vec<Vec<(usize, Vector)>>,
    /// For each canonical list (`""` is the event) the vendor's, as the way to its items.
    pub(crate) lists: BTreeMap<String, String>,
    /// Of each member: place and vector.
    pub(crate) candidates: Vec<Vec<(usize, Vector)>>,
}

/// A member and where it would come from.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// Indices of candidates' places, the likeliest first, with their probabilities.
    pub(crate) ranked: Vec<(usize, f64)>,
    /// The place that it has, with its score from 0 to 1.
    pub(crate) chosen: Option<(usize, f64)>,
}

/// Fit below which a place is not even proposed.
const LEAST: f64 = 0.02;

/// How many arrays a place is in that a list is not in.
fn levels(list: &str) -> usize {
    list.split('/').filter(|part| *part == "*").count()
}

fn is_below(list: &str, outer: &str) -> bool {
    list.len() > outer.len() && list.starts_with(outer) && list.as_bytes()[outer.len()] == b'/'
}

impl Matched {
    /// What does not depend on what was learned.
    pub(crate) fn of(samples: &[Json], schema: &serde_json::Value) -> Self {
        let leaves = leaves(samples);
        let members = Members::of(schema);
        let sums = Sums::of(&leaves);
        let pairs = members
            .members
            .iter()
            .map(|member| {
                let fits = leaves.iter().enumerate().filter(|(_, leaf)| feasible(member, leaf));
                fits.map(|(at, leaf)| (at, vector(member, leaf, &sums, samples.len()))).collect()
            })
            .collect();
        Self { leaves, members, sums, pairs, lists: BTreeMap::new(), candidates: Vec::new() }
    }

    /// With what was learned. An event is made of each item at the end of `each`, if that is known.
    pub(crate) fn settle(&mut self, priors: &[&Prior], each: Option<&str>) {
        let known: Vec<Vec<(&str, f64)>> = self.leaves.iter().map(|leaf| known(priors, leaf)).collect();
        for (member, pairs) in self.members.members.iter().zip(&mut self.pairs) {
            for (at, vector) in pairs {
                remember(vector, member, &known[*at]);
            }
        }
        self.align(each);
        let placed = |(member, pairs): (&Member, &Vec<(usize, Vector)>)| {
            let Some(list) = self.lists.get(&member.list) else { return Vec::new() };
            pairs.iter().filter_map(|(at, vector)| self.placed(member, list, *at, vector)).collect()
        };
        self.candidates = self.members.members.iter().zip(&self.pairs).map(placed).collect();
    }

    /// A pair with what the lists say, if they allow it.
    fn placed(&self, member: &Member, list: &str, at: usize, vector: &Vector) -> Option<(usize, Vector)> {
        let leaf = &self.leaves[at];
        let own = leaf.list();
        // A value that is an item itself: there would be an event for each of some values, and not for each of some objects.
        if leaf.item_at() == leaf.parts.len() {
            return None;
        }
        let mut vector = *vector;
        #[expect(clippy::cast_precision_loss, reason = "a depth")]
        let number = |count: usize| count as f64;
        if own == list {
        } else if is_below(list, &own) || own.is_empty() {
            // What is said once of several items is no amount of each.
            if matches!(member.kind, Kind::Minor | Kind::Integer { .. }) {
                return None;
            }
            vector[9] = number(levels(list) - levels(&own));
        } else if is_below(&own, list) && matches!(member.kind, Kind::Minor | Kind::Integer { .. }) {
            vector[10] = number(levels(&own) - levels(list));
        } else {
            return None;
        }
        // Objects between the item and the place, beyond those that the member is in.
        let objects = leaf.parts.len() - leaf.item_at() - 1;
        let expected = member.object[member.list.len()..].split('.').filter(|part| !part.is_empty()).count();
        vector[11] = number(objects.saturating_sub(expected));
        Some((at, vector))
    }

    /// Which of the vendor's lists is which of ours.
    fn align(&mut self, each: Option<&str>) {
        let mut ways: BTreeSet<String> = self.leaves.iter().map(Leaf::list).collect();
        for list in ways.clone() {
            let mut outer = list.as_str();
            while let Some(at) = outer.rfind("/*") {
                ways.insert(outer[..at + 2].to_owned());
                outer = &outer[..at];
            }
        }
        ways.insert(String::new());
        let quick = |vector: &Vector| {
            let sum = 0.5 * vector[0] + 0.35 * vector[1] + 0.45 * vector[5] + 0.15 * vector[7];
            sum - 0.3 * vector[8] + 0.3 * vector[14]
        };
        // The best place of each member for each list that it may be in.
        let mut best: Vec<BTreeMap<String, f64>> = Vec::new();
        for pairs in &self.pairs {
            let mut of: BTreeMap<String, f64> = BTreeMap::new();
            for (at, vector) in pairs {
                let best = of.entry(self.leaves[*at].list()).or_default();
                *best = best.max(quick(vector));
            }
            best.push(of);
        }
        let at_or_around = |member: usize, way: &str| -> f64 {
            let around = best[member]
                .iter()
                .filter(|(list, _)| *list == way || is_below(way, list) || list.is_empty());
            let less = |list: &str| 0.06 * f64::from(u32::try_from(levels(way) - levels(list)).unwrap_or(9));
            around.map(|(list, score)| score - less(list)).fold(0.0, f64::max)
        };
        let members = &self.members;
        let of_list = |list: &str, way: &str| -> f64 {
            let inside = members
                .members
                .iter()
                .enumerate()
                .filter(|(_, member)| member.list == list && member.object == list);
            let scores: Vec<f64> = inside
                .map(|(at, member)| {
                    let score = best[at].get(way).copied().unwrap_or(0.0);
                    if member.required { score } else { 0.5 * score }
                })
                .collect();
            let name = list.trim_end_matches("[]").rsplit('.').next().unwrap_or(list);
            let bag: Vec<String> = way
                .trim_end_matches("/*")
                .rsplit('/')
                .find(|part| *part != "*")
                .map(|part| THESAURUS.bag(part))
                .unwrap_or_default();
            let named = THESAURUS
                .object_phrases(name)
                .iter()
                .map(|phrase| THESAURUS.alike(phrase, &bag))
                .fold(0.0, f64::max);
            let known = scores.iter().copied().fold(0.0, f64::max);
            if known < 0.3 { 0.0 } else { scores.iter().sum::<f64>() + 2.5 * named }
        };
        let outermost: Vec<&(String, bool)> =
            members.lists.iter().filter(|(list, _)| list.matches("[]").count() == 1).collect();
        let mut found: Option<(f64, BTreeMap<String, String>)> = None;
        let roots = ways.iter().filter(|way| each.is_none_or(|each| each == **way));
        for root in roots {
            let mut total = -0.2 * f64::from(u32::try_from(levels(root)).unwrap_or(9));
            // The lines of an order are not orders.
            let called = |list: &str| THESAURUS.object_phrases(list.trim_end_matches("[]"));
            let parts = root
                .trim_end_matches("/*")
                .rsplit('/')
                .find(|part| *part != "*")
                .map(|part| THESAURUS.bag(part));
            let is_part = |bag: &Vec<String>| {
                outermost
                    .iter()
                    .any(|(list, _)| called(list).iter().any(|phrase| THESAURUS.alike(phrase, bag) > 0.6))
            };
            total -= if parts.as_ref().is_some_and(is_part) { 4.0 } else { 0.0 };
            let mut any: BTreeMap<&str, f64> = BTreeMap::new();
            for (at, member) in
                members.members.iter().enumerate().filter(|(_, member)| member.list.is_empty())
            {
                // Amounts and marks are found anywhere, and tell no item from a message.
                if matches!(member.kind, Kind::Minor | Kind::Boolean) {
                    continue;
                }
                let score = at_or_around(at, root);
                let alternative = members.any_of.iter().find(|one| {
                    one.object == member.object
                        && one.alternatives.iter().flatten().any(|name| *name == member.name)
                });
                if member.required {
                    total += 2.0 * score.min(1.0) - if score < 0.25 { 1.0 } else { 0.0 };
                } else if let Some(one) = alternative {
                    let best = any.entry(one.object.as_str()).or_default();
                    *best = best.max(score);
                } else {
                    total += 0.05 * score;
                }
            }
            total +=
                any.values().map(|score| 2.0 * score - if *score < 0.25 { 1.0 } else { 0.0 }).sum::<f64>();
            let mut lists = BTreeMap::from([(String::new(), root.clone())]);
            let mut scored: Vec<(f64, &str, &str)> = Vec::new();
            for (list, _) in &outermost {
                for way in ways.iter().filter(|way| is_below(way, root)) {
                    let extra = f64::from(u32::try_from(levels(way) - levels(root) - 1).unwrap_or(9));
                    let score = of_list(list, way) - 0.8 * extra;
                    if score > 0.6 {
                        scored.push((score, list, way));
                    }
                }
            }
            scored.sort_by(|one, other| other.0.total_cmp(&one.0));
            for (score, list, way) in scored {
                if !lists.contains_key(list) && !lists.values().any(|taken| taken == way) {
                    lists.insert(list.to_owned(), way.to_owned());
                    total += 0.5 * score;
                }
            }
            if found.as_ref().is_none_or(|(best, _)| total > *best + 1e-9) {
                found = Some((total, lists));
            }
        }
        self.lists = found.map(|(_, lists)| lists).unwrap_or_default();
    }

    /// What each member is most likely made of, each place once in objects of one kind.
    pub(crate) fn choose(&self, model: &Model) -> Vec<Choice> {
        let scores: Vec<Vec<f64>> = self
            .candidates
            .iter()
            .map(|candidates| candidates.iter().map(|(_, vector)| model.score(vector)).collect())
            .collect();
        // How much each place is wanted, by all members of a list.
        let mut wanted: BTreeMap<(&str, usize), Vec<f64>> = BTreeMap::new();
        for (m, member) in self.members.members.iter().enumerate() {
            for ((at, _), score) in self.candidates[m].iter().zip(&scores[m]) {
                wanted.entry((member.list.as_str(), *at)).or_default().push(score.exp());
            }
        }
        let none = model.none.exp();
        let mut choices: Vec<Choice> = Vec::new();
        for (m, (scores, candidates)) in scores.iter().zip(&self.candidates).enumerate() {
            let all: f64 = scores.iter().map(|score| score.exp()).sum::<f64>() + none;
            let list = self.members.members[m].list.as_str();
            let fit = |((at, _), score): (&(usize, Vector), &f64)| {
                // As likely as the place is this member's, and the member this place's.
                let rivals: f64 = wanted[&(list, *at)].iter().sum::<f64>() + none;
                (*at, (score.exp() / all * score.exp() / rivals).sqrt())
            };
            let mut ranked: Vec<(usize, f64)> = candidates.iter().zip(scores).map(fit).collect();
            ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
            choices.push(Choice { ranked, chosen: None });
        }
        let groups: BTreeSet<&str> =
            self.members.members.iter().map(|member| member.group.as_str()).collect();
        for group in groups {
            let inside: Vec<usize> =
                (0..choices.len()).filter(|m| self.members.members[*m].group == group).collect();
            let places: BTreeSet<usize> =
                inside.iter().flat_map(|m| choices[*m].ranked.iter().take(30).map(|(at, _)| *at)).collect();
            let places: Vec<usize> = places.into_iter().collect();
            let costs: Vec<Vec<f64>> = inside
                .iter()
                .map(|m| {
                    let of: BTreeMap<usize, f64> = choices[*m].ranked.iter().copied().collect();
                    let gain = |at: &usize| of.get(at).map_or(0.0, |fit| (LEAST.ln() - fit.ln()).min(0.0));
                    places.iter().map(gain).chain(inside.iter().map(|_| 0.0)).collect()
                })
                .collect();
            for (m, column) in inside.iter().zip(assign(&costs)) {
                let Some(at) = places.get(column) else { continue };
                let chosen = choices[*m].ranked.iter().find(|(place, fit)| place == at && *fit > LEAST);
                choices[*m].chosen = chosen.copied();
            }
        }
        choices
    }
}

/// The cheapest assignment of rows to columns, of which there are at least as many: the Hungarian method.
fn assign(costs: &[Vec<f64>]) -> Vec<usize> {
    let rows = costs.len();
    let columns = costs.first().map_or(0, Vec::len);
    let (mut u, mut v) = (vec![0.0; rows + 1], vec![0.0; columns + 1]);
    let (mut row_of, mut way) = (vec![0_usize; columns + 1], vec![0_usize; columns + 1]);
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; columns + 1];
        let mut used = vec![false; columns + 1];
        loop {
            used[column] = true;
            let (at, mut step, mut next) = (row_of[column], f64::INFINITY, 0);
            for j in (1..=columns).filter(|j| !used[*j]) {
                let cost = costs[at - 1][j - 1] - u[at] - v[j];
                if cost < least[j] {
                    (least[j], way[j]) = (cost, column);
                }
                if least[j] < step {
                    (step, next) = (least[j], j);
                }
            }
            for j in 0..=columns {
                if used[j] {
                    u[row_of[j]] += step;
                    v[j] -= step;
                } else {
                    least[j] -= step;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            row_of[column] = row_of[way[column]];
            column = way[column];
        }
    }
    let mut assigned = vec![0; rows];
    for j in 1..=columns {
        if row_of[j] > 0 {
            assigned[row_of[j] - 1] = j - 1;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_assignment_is_found() {
        let costs = vec![vec![-5.0, -4.0, 0.0], vec![-5.0, -1.0, 0.0], vec![0.0, 0.0, 0.0]];
        assert_eq!(assign(&costs)[..2], [1, 0]);
    }
}

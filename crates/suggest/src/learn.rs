//! Learning from existing bundles, and how good it is for a vendor that was left out.
//!
//! Gold is what a mapper was observed to make of what: `mapper_sdk::golden::lineage`. A member is *direct* if a value is mostly handed
//! on as it is, in another form; *computed* if several places move it and none is handed on. Only direct members, and those of one
//! place, are asked for; a single place asserted for a computed member is wrong, as is one for a member without a source.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sluice_core::json::Json;

use crate::engine::{Choice, Matched};
use crate::leaves::Leaf;
use crate::model::{Model, Question, fit, isotonic};
use crate::pairs::{Prior, Vector};
use crate::words::{THESAURUS, words};

/// A bundle with what its mapper does.
pub struct Bundle {
    /// Its folder.
    pub name: String,
    /// Whose it is: bundles of one family are left out together.
    pub family: String,
    /// The schema of its canonical type.
    pub schema: Value,
    /// Messages that it maps.
    pub samples: Vec<Json>,
    /// By member: the places that it comes from.
    pub gold: BTreeMap<String, Gold>,
}

/// Where a member comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gold {
    /// Places, as pointers with `*`.
    pub from: BTreeSet<String>,
    /// All of them together, and none alone.
    pub computed: bool,
}

/// Reads a lineage as `mapper_sdk` writes it.
pub fn gold(lineage: &Value) -> BTreeMap<String, Gold> {
    type Places = Vec<(String, bool)>;
    let mut members: BTreeMap<String, Places> = BTreeMap::new();
    for (member, places) in lineage.as_object().into_iter().flatten() {
        let path = member.trim_start_matches("/*/").replace("/*", "[]").replace('/', ".");
        let places = places.as_array().into_iter().flatten();
        let place = |place: &Value| {
            Some((place[0].as_str()?.to_owned(), 2 * place[1].as_u64()? >= place[2].as_u64()?))
        };
        members.insert(path, places.filter_map(place).collect());
    }
    // An amount depends on its currency, and does not come from it.
    let currencies: BTreeSet<String> = members
        .iter()
        .filter(|(member, _)| member.ends_with("currency"))
        .flat_map(|(_, places)| places.iter().map(|(from, _)| from.clone()))
        .collect();
    let of = |(member, places): (String, Places)| {
        let direct: BTreeSet<String> =
            places.iter().filter(|(_, direct)| *direct).map(|(from, _)| from.clone()).collect();
        let rest: BTreeSet<String> = places
            .into_iter()
            .map(|(from, _)| from)
            .filter(|from| member.ends_with("currency") || !currencies.contains(from))
            .collect();
        let computed = direct.is_empty() && rest.len() > 1;
        let from = if direct.is_empty() { rest } else { direct };
        (!from.is_empty()).then_some((member, Gold { from, computed }))
    };
    members.into_iter().filter_map(of).collect()
}

/// What was found of one family.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    asked: usize,
    first: usize,
    third: usize,
    asserted: usize,
    right: usize,
    covered: usize,
    computed: usize,
    baseline: usize,
    outcomes: Vec<(f64, bool)>,
    /// What was wrong, for a person.
    pub misses: Vec<String>,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.first += other.first;
        self.third += other.third;
        self.asserted += other.asserted;
        self.right += other.right;
        self.covered += other.covered;
        self.computed += other.computed;
        self.baseline += other.baseline;
        self.outcomes.extend_from_slice(&other.outcomes);
        self.misses.extend_from_slice(&other.misses);
    }

    /// As `cargo xtask bench suggest --json` prints it.
    #[expect(clippy::cast_precision_loss, reason = "a number of members")]
    pub fn json(&self) -> Value {
        let share = |part: usize, all: usize| {
            if all == 0 {
                Value::Null
            } else {
                json!((part as f64 / all as f64 * 10_000.0).floor() / 10_000.0)
            }
        };
        json!({
            "members": self.asked,
            "computed": self.computed,
            "at1": share(self.first, self.asked),
            "at3": share(self.third, self.asked),
            "precision": share(self.right, self.asserted),
            "coverage": share(self.covered, self.asked),
            "calibrationError": self.calibration_error(),
            "baseline": share(self.baseline, self.asked),
        })
    }

    /// How far confidence and outcome are apart, over ten equal ranges of confidence.
    #[expect(clippy::cast_precision_loss, reason = "a number of members")]
    fn calibration_error(&self) -> f64 {
        let mut error = 0.0;
        for tenth in 0..10 {
            let (low, high) = (f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0);
            let inside: Vec<_> = self
                .outcomes
                .iter()
                .filter(|(confidence, _)| *confidence >= low && (*confidence < high || tenth == 9))
                .collect();
            let sure: f64 = inside.iter().map(|(confidence, _)| confidence).sum();
            let right = inside.iter().filter(|(_, right)| *right).count() as f64;
            error += (sure - right).abs();
        }
        (error / self.outcomes.len().max(1) as f64 * 10_000.0).ceil() / 10_000.0
    }
}

/// Places that are right, and whether the member is computed of all of them.
type Right = (BTreeSet<usize>, bool);

struct Prepared<'b> {
    bundle: &'b Bundle,
    matched: Matched,
    /// Of each member: the places that are right.
    right: Vec<Option<Right>>,
}

/// Whether two places always said the same, and more than one thing.
fn twins(one: &Leaf, other: &Leaf) -> bool {
    let texts: BTreeSet<&str> = one.values.iter().map(|value| value.text.as_str()).collect();
    let plain = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    texts.len() > 1
        && one.values.len() == other.values.len()
        && one.values.iter().zip(&other.values).all(|(one, other)| {
            one.sample == other.sample && one.items == other.items && plain(&one.text) == plain(&other.text)
        })
}

impl<'b> Prepared<'b> {
    fn of(bundle: &'b Bundle) -> Self {
        let matched = Matched::of(&bundle.samples, &bundle.schema);
        let right = matched
            .members
            .members
            .iter()
            .map(|member| {
                let gold = bundle.gold.get(&member.path)?;
                let is = |leaf: &Leaf| gold.from.contains(&leaf.pointer);
                let sources: Vec<&Leaf> = matched.leaves.iter().filter(|leaf| is(leaf)).collect();
                let same = |leaf: &Leaf| is(leaf) || sources.iter().any(|source| twins(leaf, source));
                let places: BTreeSet<usize> =
                    (0..matched.leaves.len()).filter(|at| same(&matched.leaves[*at])).collect();
                (!places.is_empty()).then_some((places, gold.computed))
            })
            .collect();
        Self { bundle, matched, right }
    }

    fn priors(&self) -> Vec<Prior> {
        let mut priors = Vec::new();
        for (member, gold) in &self.bundle.gold {
            for leaf in self.matched.leaves.iter().filter(|leaf| gold.from.contains(&leaf.pointer)) {
                let prior = Prior {
                    family: self.bundle.family.clone(),
                    member: member.rsplit('.').next().unwrap_or(member).to_owned(),
                    own: leaf.own.clone(),
                    around: leaf.around.clone(),
                };
                if !gold.computed && !priors.contains(&prior) {
                    priors.push(prior);
                }
            }
        }
        priors
    }

    fn questions(&self) -> Vec<Question> {
        let of = |(right, candidates): (&Option<Right>, &Vec<(usize, Vector)>)| {
            let places = match right {
                Some((places, false)) => places.clone(),
                _ => BTreeSet::new(),
            };
            let is = |at: &usize| places.contains(&candidates[*at].0);
            let found: Vec<usize> = (0..candidates.len()).filter(is).collect();
            // What the lists put out of reach teaches nothing.
            let lost = !places.is_empty() && found.is_empty();
            (!candidates.is_empty() && !lost).then(|| Question {
                candidates: candidates.iter().map(|(_, vector)| *vector).collect(),
                right: found,
            })
        };
        self.right.iter().zip(&self.matched.candidates).filter_map(of).collect()
    }

    fn judge(&self, model: &Model) -> Figures {
        let mut figures = Figures::default();
        let choices = self.matched.choose(model);
        let pointer = |at: usize| self.matched.leaves[at].pointer.as_str();
        for (m, Choice { ranked, chosen }) in choices.iter().enumerate() {
            let member = &self.matched.members.members[m];
            let of = self.right[m].as_ref();
            let places = of.filter(|(_, computed)| !computed).map(|(places, _)| places);
            let is = |at: &usize| places.is_some_and(|places| places.contains(at));
            figures.computed += usize::from(of.is_some_and(|(_, computed)| *computed));
            let first = chosen.is_some_and(|(at, _)| is(&at));
            if let Some(places) = places {
                figures.asked += 1;
                figures.first += usize::from(first);
                let others =
                    ranked.iter().map(|(at, _)| *at).filter(|at| chosen.is_none_or(|(one, _)| one != *at));
                let third = first || chosen.iter().map(|(at, _)| *at).chain(others).take(3).any(|at| is(&at));
                figures.third += usize::from(third);
                let plain = |name: &str| words(name).concat();
                let named =
                    self.matched.leaves.iter().position(|leaf| plain(leaf.name()) == plain(&member.name));
                figures.baseline += usize::from(named.is_some_and(|at| places.contains(&at)));
                if !first {
                    let is = chosen.map_or("nothing", |(at, _)| pointer(at));
                    let right: Vec<&str> = places.iter().map(|at| pointer(*at)).collect();
                    figures.misses.push(format!(
                        "{} {}: {is}, not {}{}",
                        self.bundle.name,
                        member.path,
                        right.join(" or "),
                        if third { " (third)" } else { "" }
                    ));
                }
            }
            if let Some((at, raw)) = chosen {
                let confidence = model.confidence(*raw);
                figures.outcomes.push((confidence, first));
                if confidence >= model.threshold {
                    figures.asserted += 1;
                    figures.right += usize::from(first);
                    figures.covered += usize::from(first);
                    if !first {
                        figures.misses.push(format!(
                            "{} {}: {} asserted with {confidence:.2}{}",
                            self.bundle.name,
                            member.path,
                            pointer(*at),
                            if of.is_none() { ", and it has no source" } else { "" }
                        ));
                    }
                }
            }
        }
        figures
    }
}

/// Precision that the threshold is chosen for.
const PRECISION: f64 = 0.97;

/// Learns of some families. Each is judged by what the others called things, so that a weight does not rely on having seen a vendor.
fn learned(prepared: &mut [Prepared<'_>], left_out: Option<&str>) -> Model {
    let priors: Vec<Prior> = prepared
        .iter()
        .filter(|one| left_out.is_none_or(|family| one.bundle.family != family))
        .flat_map(Prepared::priors)
        .fold(Vec::new(), |mut all, prior| {
            if !all.contains(&prior) {
                all.push(prior);
            }
            all
        });
    let mut questions = Vec::new();
    let trains = |one: &Prepared<'_>| left_out.is_none_or(|family| one.bundle.family != family);
    for one in prepared.iter_mut().filter(|one| trains(one)) {
        let others: Vec<&Prior> = priors.iter().filter(|prior| prior.family != one.bundle.family).collect();
        one.matched.settle(&others, None);
        questions.extend(one.questions());
    }
    let (weights, none) = fit(&questions);
    let mut model = Model { weights, none, priors, ..Model::blank() };
    let mut scores: Vec<(f64, bool)> =
        prepared.iter().filter(|one| trains(one)).flat_map(|one| one.judge(&model).outcomes).collect();
    model.calibration = isotonic(scores.clone());
    scores.sort_by(|one, other| other.0.total_cmp(&one.0));
    // The lowest score down to which precision holds.
    let (mut right, mut lowest) = (0_u32, 1.0);
    for (all, (score, is)) in scores.iter().enumerate() {
        right += u32::from(*is);
        if f64::from(right) >= PRECISION * f64::from(u32::try_from(all + 1).unwrap_or(u32::MAX)) {
            lowest = *score;
        }
    }
    model.threshold = model.confidence(lowest);
    model
}

/// The model of all bundles.
pub fn learn(bundles: &[Bundle]) -> Model {
    let mut prepared: Vec<Prepared<'_>> = bundles.iter().map(Prepared::of).collect();
    let mut model = learned(&mut prepared, None);
    for weight in model.weights.iter_mut().chain([&mut model.none, &mut model.threshold]) {
        *weight = (*weight * 10_000.0).round() / 10_000.0;
    }
    for (score, confidence) in &mut model.calibration {
        *score = (*score * 10_000.0).round() / 10_000.0;
        *confidence = (*confidence * 10_000.0).round() / 10_000.0;
    }
    model
}

/// Each family left out in turn: all together, and each.
pub fn evaluate(bundles: &[Bundle]) -> (Figures, BTreeMap<String, Figures>) {
    let families: BTreeSet<&str> = bundles.iter().map(|bundle| bundle.family.as_str()).collect();
    let mut prepared: Vec<Prepared<'_>> = bundles.iter().map(Prepared::of).collect();
    let (mut all, mut each) = (Figures::default(), BTreeMap::new());
    for family in families {
        let model = learned(&mut prepared, Some(family));
        let priors: Vec<&Prior> = model.priors.iter().collect();
        let mut figures = Figures::default();
        for one in prepared.iter_mut().filter(|one| one.bundle.family == family) {
            one.matched.settle(&priors, None);
            figures.add(&one.judge(&model));
        }
        all.add(&figures);
        each.insert(family.to_owned(), figures);
    }
    (all, each)
}

/// The concepts of a name, for a person who tends the thesaurus.
pub fn concepts(name: &str) -> Vec<String> {
    THESAURUS.bag(name)
}

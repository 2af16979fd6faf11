//! What is learned of existing bundles: a weight for each feature, how sure a score is (calibrated on vendors that were left out), and
//! what vendors called things. `data/model.json` is written by `cargo xtask bench suggest --learn`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::pairs::{FEATURES, Prior, Vector};

/// A learned model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// One for each of [`FEATURES`].
    pub weights: Vec<f64>,
    /// Score of having no source.
    pub none: f64,
    /// Score and confidence, both rising: between two the confidence is interpolated.
    pub calibration: Vec<(f64, f64)>,
    /// Confidence below which nothing is asserted.
    pub threshold: f64,
    /// What vendors called things.
    pub priors: Vec<Prior>,
}

static BUILT_IN: LazyLock<Model> = LazyLock::new(|| {
    let model = serde_json::from_str(include_str!("../data/model.json"));
    model.unwrap_or_else(|error| unreachable!("data/model.json is built in and tested: {error}"))
});

impl Model {
    /// The one that is built in.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Before anything is learned.
    pub fn blank() -> Self {
        // What a person would say; learning starts here, and is drawn back to it where bundles say nothing.
        let weights =
            vec![3.0, 3.0, 1.0, 1.0, 1.0, 3.0, -1.0, 1.0, -2.0, -0.5, -1.0, -0.5, -0.5, 0.5, 1.5, -0.5, -3.0];
        debug_assert_eq!(weights.len(), FEATURES.len(), "a weight for each");
        Self {
            weights,
            none: 3.0,
            calibration: vec![(0.0, 0.0), (1.0, 1.0)],
            threshold: 0.5,
            priors: Vec::new(),
        }
    }

    pub(crate) fn score(&self, vector: &Vector) -> f64 {
        self.weights.iter().zip(vector).map(|(weight, value)| weight * value).sum()
    }

    /// How often a proposal with such a score is right.
    pub fn confidence(&self, raw: f64) -> f64 {
        let after = self.calibration.iter().position(|(score, _)| *score >= raw);
        match after {
            Some(0) => self.calibration[0].1,
            None => self.calibration.last().map_or(0.0, |(_, confidence)| *confidence),
            Some(at) => {
                let ((low, from), (high, to)) = (self.calibration[at - 1], self.calibration[at]);
                let share = if high > low { (raw - low) / (high - low) } else { 1.0 };
                share.mul_add(to - from, from)
            }
        }
    }
}

/// Which candidates a member of a training bundle had, and which were right; none right: it has no source.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) candidates: Vec<Vector>,
    pub(crate) right: Vec<usize>,
}

/// Weights by which the right candidates, or none, are the likeliest.
#[expect(clippy::cast_precision_loss, reason = "a number of questions")]
pub(crate) fn fit(questions: &[Question]) -> (Vec<f64>, f64) {
    const ROUNDS: usize = 400;
    const DECAY: f64 = 0.004;
    let Model { weights: start, none: start_none, .. } = Model::blank();
    let (mut weights, mut bias) = (start.clone(), start_none);
    // Adam: steps of one size for features of different sizes.
    let mut moments = vec![(0.0_f64, 0.0_f64); weights.len() + 1];
    for round in 1..=ROUNDS {
        let mut slope = vec![0.0; weights.len() + 1];
        for question in questions {
            let scores: Vec<f64> = question
                .candidates
                .iter()
                .map(|vector| weights.iter().zip(vector).map(|(weight, value)| weight * value).sum())
                .collect();
            let top = scores.iter().copied().fold(bias, f64::max);
            let all: f64 = scores.iter().map(|score| (score - top).exp()).sum::<f64>() + (bias - top).exp();
            let right: f64 = match question.right.is_empty() {
                true => (bias - top).exp(),
                false => question.right.iter().map(|at| (scores[*at] - top).exp()).sum(),
            };
            for (at, vector) in question.candidates.iter().enumerate() {
                let share = (scores[at] - top).exp();
                let is_right = if question.right.contains(&at) { share / right } else { 0.0 };
                for (slope, value) in slope.iter_mut().zip(vector) {
                    *slope += (is_right - share / all) * value;
                }
            }
            let share = (bias - top).exp();
            let is_right = if question.right.is_empty() { 1.0 } else { 0.0 };
            slope[weights.len()] += is_right - share / all;
        }
        for (at, moment) in moments.iter_mut().enumerate() {
            let value = if at < weights.len() { &mut weights[at] } else { &mut bias };
            let from = start.get(at).copied().unwrap_or(start_none);
            let slope = DECAY.mul_add(from - *value, slope[at] / questions.len().max(1) as f64);
            *moment =
                (0.9_f64.mul_add(moment.0, 0.1 * slope), 0.999_f64.mul_add(moment.1, 0.001 * slope * slope));
            let (first, second) = (
                moment.0 / (1.0 - 0.9_f64.powi(round as i32)),
                moment.1 / (1.0 - 0.999_f64.powi(round as i32)),
            );
            *value += 0.05 * first / (second.sqrt() + 1e-8);
        }
    }
    (weights, bias)
}

/// Least that a proposal is wrong, whatever its score: of so many proposals one may be, although none was.
const DOUBT: f64 = 1.0;

/// Isotonic: how often proposals of a score were right, made to rise with the score.
pub(crate) fn isotonic(mut outcomes: Vec<(f64, bool)>) -> Vec<(f64, f64)> {
    outcomes.sort_by(|one, other| one.0.total_cmp(&other.0));
    // Pools of (lowest score, highest score, right, all).
    let mut pools: Vec<(f64, f64, f64, f64)> = Vec::new();
    for (score, right) in outcomes {
        pools.push((score, score, f64::from(u8::from(right)), 1.0));
        while let [.., one, other] = &pools[..]
            && one.2 / one.3 >= other.2 / other.3
        {
            let joined = (one.0, other.1, one.2 + other.2, one.3 + other.3);
            pools.truncate(pools.len() - 2);
            pools.push(joined);
        }
    }
    let mut table = vec![(0.0, 0.0)];
    for (low, high, right, all) in pools {
        let confidence = right / (all + DOUBT);
        let confidence = table.last().map_or(confidence, |(_, before): &(f64, f64)| confidence.max(*before));
        table.push((low, confidence));
        if high > low {
            table.push((high, confidence));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_rises_with_the_score() {
        let outcomes = [(0.1, false), (0.2, true), (0.3, false), (0.6, true), (0.9, true), (0.95, true)];
        let calibration = isotonic(outcomes.to_vec());
        assert!(calibration.windows(2).all(|two| two[0].0 <= two[1].0 && two[0].1 <= two[1].1));
        let model = Model { calibration, ..Model::blank() };
        assert!(model.confidence(0.25) < 0.5 && model.confidence(0.95) > 0.7 && model.confidence(1.0) < 1.0);
    }

    #[test]
    fn the_built_in_model_fits_the_features() {
        let model = Model::built_in();
        assert_eq!(model.weights.len(), FEATURES.len());
        assert!(model.priors.len() > 50 && model.threshold > 0.5);
    }
}

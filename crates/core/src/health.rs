//! How well a vendor sends, a UTC day at a time (`docs/vendor-health.md` has the formulas).
//!
//! Computed from what the balance counted and from the duplicates that were counted beside it. A share without a denominator is no
//! component: it has no value, and the score is of the others.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::balance::{Count, Hour};
use crate::id::VendorId;

/// A duplicate that comes sooner than this after the event was accepted was sent without waiting for its answer, in seconds.
pub const HASTY_SECONDS: i64 = 5;

/// Weights of the components; those that have no value are left out of the mean.
const VALIDITY: f64 = 35.0;
const CONFLICTS: f64 = 20.0;
const LATENESS: f64 = 15.0;
const DRIFT: f64 = 15.0;
const DUPLICATES: f64 = 10.0;
const RETRIES: f64 = 5.0;

/// Requests that were answered DUPLICATE: at least so many, since nothing waits for them to be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Duplicates {
    /// All of them.
    pub duplicates: u64,
    /// Of those, sooner than [`HASTY_SECONDS`] after the event.
    pub hasty: u64,
}

impl Duplicates {
    /// Of one request, by the time between the event and it.
    pub fn one(accepted: Timestamp, again: Timestamp) -> Self {
        Self { duplicates: 1, hasty: u64::from(again.as_second() - accepted.as_second() < HASTY_SECONDS) }
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.duplicates += other.duplicates;
        self.hasty += other.hasty;
    }
}

/// The UTC day of a moment, `2026-11-21`, with its first and its last hour.
pub fn day_of(at: Timestamp) -> (String, Hour, Hour) {
    const DAY_SECONDS: i64 = 86_400;
    let start = at.as_second().div_euclid(DAY_SECONDS) * DAY_SECONDS;
    let moment = |second: i64| Hour::of(Timestamp::from_second(second).unwrap_or(at));
    (at.strftime("%Y-%m-%d").to_string(), moment(start), moment(start + DAY_SECONDS - 1))
}

/// A vendor's day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whose.
    pub vendor_id: VendorId,
    /// 0 to 100; `None` without events.
    pub score: Option<u32>,
    /// Events.
    pub accepted: u64,
    /// What the score is made of.
    pub components: Components,
    /// What the components are made of.
    pub counts: Counts,
}

/// Shares from 0 (all wrong) to 1 (all well).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Components {
    /// Events that never failed.
    pub validity: Option<f64>,
    /// Submissions that did not contradict an event.
    pub conflicts: Option<f64>,
    /// Events that were not late.
    pub lateness: Option<f64>,
    /// Events that were as their schema says.
    pub drift: Option<f64>,
    /// Submissions that were not sent before.
    pub duplicates: Option<f64>,
    /// Submissions that were not sent again at once.
    pub retries: Option<f64>,
}

/// Numbers of events and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Ever quarantined.
    pub failed: u64,
    /// Of those, for the vendor's own schema.
    pub drifted: u64,
    /// Refused, since they contradict an event.
    pub conflicts: u64,
    /// Received long after they occurred.
    pub late: u64,
    /// Answered DUPLICATE, those that arrived with the first included.
    pub duplicates: u64,
    /// Of those, sent without waiting.
    pub hasty: u64,
    /// Of those, copies that arrived while the first was being accepted.
    pub raced_duplicates: u64,
}

impl Health {
    /// Of a day's sums.
    pub fn of(vendor_id: VendorId, count: &Count, duplicates: &Duplicates) -> Self {
        let share = |bad: u64, of: u64| (of > 0).then(|| round(1.0 - bad.min(of) as f64 / of as f64, 4));
        let counts = Counts {
            failed: count.failed,
            drifted: count.drifted,
            conflicts: count.conflicts,
            late: count.late,
            duplicates: duplicates.duplicates + count.raced_duplicates,
            hasty: duplicates.hasty + count.raced_duplicates,
            raced_duplicates: count.raced_duplicates,
        };
        let submitted = count.accepted + counts.duplicates;
        let components = Components {
            validity: share(count.failed, count.accepted),
            conflicts: share(count.conflicts, count.accepted + count.conflicts),
            lateness: share(count.late, count.accepted),
            drift: share(count.drifted, count.accepted),
            duplicates: share(counts.duplicates, submitted),
            retries: share(counts.hasty, submitted),
        };
        let weighed = [
            (components.validity, VALIDITY),
            (components.conflicts, CONFLICTS),
            (components.lateness, LATENESS),
            (components.drift, DRIFT),
            (components.duplicates, DUPLICATES),
            (components.retries, RETRIES),
        ];
        let known = weighed.iter().filter_map(|(value, weight)| value.map(|value| (value, weight)));
        let (sum, weights) = known
            .fold((0.0, 0.0), |(sum, weights), (value, weight)| (sum + value * weight, weights + weight));
        Self {
            vendor_id,
            score: (count.accepted > 0).then(|| (100.0 * sum / weights).round() as u32),
            accepted: count.accepted,
            components,
            counts,
        }
    }
}

fn round(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

/// A vendor's score as an event's metadata has it: what was known when the event was normalized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthNote {
    /// The UTC day, `2026-11-21`.
    pub day: String,
    /// 0 to 100.
    pub score: u32,
    /// When it was computed.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn health(count: Count, duplicates: Duplicates) -> Health {
        Health::of("vendorA".parse().unwrap(), &count, &duplicates)
    }

    #[test]
    fn a_score_is_the_weighed_mean_of_what_is_known() {
        let none = Duplicates::default();
        let perfect = health(Count { accepted: 10, normalized: 10, ..Count::default() }, none);
        assert_eq!(perfect.score, Some(100));
        let worst = Count { accepted: 10, failed: 10, drifted: 10, late: 10, ..Count::default() };
        // Conflicts, duplicates and retries are well: 35 of 100.
        assert_eq!(health(worst, none).score, Some(35));
        let half = health(Count { accepted: 10, failed: 5, ..Count::default() }, none);
        assert_eq!((half.score, half.components.validity), (Some(83), Some(0.5)));
        assert_eq!(health(Count::default(), none).score, None, "no events, no judgement");
        let conflicts = health(Count { conflicts: 3, ..Count::default() }, none);
        assert_eq!((conflicts.components.conflicts, conflicts.components.validity), (Some(0.0), None));
    }

    #[test]
    fn duplicates_are_those_of_the_answers_and_those_of_races() {
        let count = Count { accepted: 6, raced_duplicates: 1, ..Count::default() };
        let found = health(count, Duplicates { duplicates: 3, hasty: 1 });
        assert_eq!((found.counts.duplicates, found.counts.hasty), (4, 2));
        assert_eq!((found.components.duplicates, found.components.retries), (Some(0.6), Some(0.8)));
        assert_eq!(found.score, Some(95));
        let at = |seconds: i64| Timestamp::from_second(1_795_255_200 + seconds).unwrap();
        assert_eq!(Duplicates::one(at(0), at(4)), Duplicates { duplicates: 1, hasty: 1 });
        assert_eq!(Duplicates::one(at(0), at(5)), Duplicates { duplicates: 1, hasty: 0 });
    }
}

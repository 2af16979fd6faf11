//! `sluice vendors health`: how well vendors send, a UTC day at a time (`docs/vendor-health.md` has the formulas).
//!
//! Computed from the balance that `reconcile` keeps; hours that it has not closed are counted now. What nothing records is no
//! component: it is named, and has no value.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sluice_core::balance::{BalanceStore as _, Count, Hour};
use sluice_core::books::{Books as _, Examination};
use sluice_core::id::VendorId;

use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// From this score on a vendor sends well.
const GOOD: u32 = 95;
/// Below this score it needs a talk.
const BAD: u32 = 80;

/// Weights of the components; those that have no value are left out of the mean.
const VALIDITY: f64 = 35.0;
const CONFLICTS: f64 = 20.0;
const LATENESS: f64 = 15.0;
const DRIFT: f64 = 15.0;

#[derive(Debug, Serialize)]
struct Days {
    day: String,
    vendors: Vec<Health>,
}

/// One vendor's day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    vendor_id: VendorId,
    /// 0 to 100; `None` without events.
    score: Option<u32>,
    accepted: u64,
    components: Components,
    counts: Counts,
}

/// Shares from 0 (all wrong) to 1 (all well).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Components {
    validity: Option<f64>,
    conflicts: Option<f64>,
    lateness: Option<f64>,
    drift: Option<f64>,
    /// A duplicate is answered without a write: no table knows how many there were.
    duplicates: Option<f64>,
    /// For the same reason.
    retries: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    failed: u64,
    drifted: u64,
    conflicts: u64,
    late: u64,
    raced_duplicates: u64,
}

impl Health {
    fn new(vendor_id: VendorId, count: &Count) -> Self {
        let share = |bad: u64, of: u64| (of > 0).then(|| round(1.0 - bad.min(of) as f64 / of as f64, 4));
        let components = Components {
            validity: share(count.failed, count.accepted),
            conflicts: share(count.conflicts, count.accepted + count.conflicts),
            lateness: share(count.late, count.accepted),
            drift: share(count.drifted, count.accepted),
            duplicates: None,
            retries: None,
        };
        let weighed = [
            (components.validity, VALIDITY),
            (components.conflicts, CONFLICTS),
            (components.lateness, LATENESS),
            (components.drift, DRIFT),
        ];
        let known = weighed.iter().filter_map(|(value, weight)| value.map(|value| (value, weight)));
        let (sum, weights) = known
            .fold((0.0, 0.0), |(sum, weights), (value, weight)| (sum + value * weight, weights + weight));
        Self {
            vendor_id,
            score: (count.accepted > 0).then(|| (100.0 * sum / weights).round() as u32),
            accepted: count.accepted,
            components,
            counts: Counts {
                failed: count.failed,
                drifted: count.drifted,
                conflicts: count.conflicts,
                late: count.late,
                raced_duplicates: count.raced_duplicates,
            },
        }
    }
}

fn round(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

/// Shows a day.
pub async fn run(
    id: Option<&VendorId>,
    day: Option<Date>,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let now = Timestamp::now();
    let day = day.unwrap_or_else(|| now.to_zoned(jiff::tz::TimeZone::UTC).date());
    let start: Timestamp =
        format!("{day}T00:00:00Z").parse().map_err(|error| CliError::usage(format!("{day}: {error}")))?;
    let directory = cloud.vendors();
    let registered: BTreeSet<VendorId> =
        directory.list().await?.into_iter().map(|profile| profile.vendor_id).collect();
    if let Some(id) = id.filter(|id| !registered.contains(*id)) {
        return Err(CliError::not_found(format!("there is no vendor {id}")));
    }
    let progress = output.progress(format!("reading the balance of {day}"));
    let counts = counts(id, start, now, cloud).await?;
    drop(progress);
    let wanted: BTreeSet<&VendorId> = match id {
        Some(id) => BTreeSet::from([id]),
        None => registered.iter().chain(counts.keys()).collect(),
    };
    let none = Count::default();
    let vendors = wanted
        .into_iter()
        .map(|vendor| Health::new(vendor.clone(), counts.get(vendor).unwrap_or(&none)))
        .collect();
    output.document(&Days { day: day.to_string(), vendors })
}

/// A day's counts by vendor: what is closed from the table, the rest now.
async fn counts(
    id: Option<&VendorId>,
    start: Timestamp,
    now: Timestamp,
    cloud: &Cloud,
) -> Result<BTreeMap<VendorId, Count>, CliError> {
    let (books, balances) = (cloud.books(), cloud.balances());
    let vendors = match id {
        Some(id) => vec![id.clone()],
        None => books.vendors().await?,
    };
    let first = Hour::of(start);
    let last = Hour::of(start + SignedDuration::from_hours(23));
    let mut sums: BTreeMap<VendorId, Count> = BTreeMap::new();
    let (open, progress) = tokio::try_join!(balances.open_hours(), balances.progress())?;
    let open: BTreeSet<Hour> = open.into_iter().map(|entry| entry.hour).collect();
    let is_closed = |hour: Hour| progress.next_hour.is_some_and(|next| hour < next) && !open.contains(&hour);
    for vendor in &vendors {
        for row in balances.rows(vendor, first, last).await?.into_iter().filter(|row| is_closed(row.hour)) {
            sums.entry(vendor.clone()).or_default().add(&row.count);
        }
    }
    let earliest = books.first_received().await?.map(Hour::of);
    let mut hour = first;
    while hour <= last.min(Hour::of(now)) {
        if earliest.is_some_and(|earliest| hour >= earliest) && !is_closed(hour) {
            let examination = Examination::new(&books, &vendors, id, hour.start(), hour.end());
            for (vendor, count) in examination.counts(&mut |_| {}).await? {
                sums.entry(vendor).or_default().add(&count);
            }
        }
        hour = hour.next();
    }
    Ok(sums)
}

impl View for Days {
    fn text(&self, page: &Page) -> String {
        let share = |value: Option<f64>| match value {
            Some(value) => format!("{:.1} %", value * 100.0).into(),
            None => Cell::new(Tone::Dim, "not counted"),
        };
        let rows = self.vendors.iter().map(|health| {
            let score = match health.score {
                Some(score) if score >= GOOD => Cell::new(Tone::Good, score.to_string()),
                Some(score) if score < BAD => Cell::new(Tone::Bad, score.to_string()),
                Some(score) => Cell::new(Tone::Warn, score.to_string()),
                None => Cell::new(Tone::Dim, "–"),
            };
            let components = health.components;
            vec![
                health.vendor_id.as_str().into(),
                score,
                health.accepted.to_string().into(),
                share(components.validity),
                share(components.conflicts),
                share(components.lateness),
                share(components.drift),
                share(components.duplicates),
                share(components.retries),
            ]
        });
        let header = [
            "VENDOR",
            "SCORE",
            "EVENTS",
            "VALIDITY",
            "CONFLICTS",
            "LATENESS",
            "DRIFT",
            "DUPLICATES",
            "RETRIES",
        ];
        let mut text = page.table(&header, rows.collect());
        if page.terminal {
            let note =
                format!("{}, UTC; 100 % is all well. docs/vendor-health.md has the formulas.", self.day);
            text.push_str(&format!("\n{}\n", paint(Tone::Dim, note)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::output::testing::{in_pipe, json};

    fn health(count: Count) -> Health {
        Health::new("vendorA".parse().unwrap(), &count)
    }

    #[test]
    fn a_score_is_the_weighed_mean_of_what_is_known() {
        let perfect = health(Count { accepted: 10, normalized: 10, ..Count::default() });
        assert_eq!(perfect.score, Some(100));
        let worst = Count { accepted: 10, failed: 10, drifted: 10, late: 10, ..Count::default() };
        // Only the conflicts are well: 20 of 85.
        assert_eq!(health(worst).score, Some(24));
        let half = health(Count { accepted: 10, failed: 5, ..Count::default() });
        assert_eq!((half.score, half.components.validity), (Some(79), Some(0.5)));
        assert_eq!(health(Count::default()).score, None, "no events, no judgement");
        assert_eq!(health(Count { conflicts: 3, ..Count::default() }).components.conflicts, Some(0.0));
    }

    #[test]
    fn what_is_not_counted_is_said() {
        let count =
            Count { accepted: 200, failed: 3, drifted: 2, late: 10, conflicts: 1, ..Count::default() };
        let days = Days { day: "2026-11-21".into(), vendors: vec![health(count)] };
        insta::assert_snapshot!(in_pipe(&days), @"
        vendor	score	events	validity	conflicts	lateness	drift	duplicates	retries
        vendorA	98	200	98.5 %	99.5 %	95.0 %	99.0 %	not counted	not counted
        ");
        let document: serde_json::Value = serde_json::from_str(&json(&days)).unwrap();
        assert_eq!(
            document["vendors"][0]["components"],
            serde_json::json!({"validity": 0.985, "conflicts": 0.995, "lateness": 0.95, "drift": 0.99,
                "duplicates": null, "retries": null})
        );
    }
}

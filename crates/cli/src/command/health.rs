//! `sluice vendors health`: how well vendors send, a UTC day at a time (`docs/vendor-health.md` has the formulas).
//!
//! Computed from the balance that `reconcile` keeps; hours that it has not closed are counted now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sluice_core::balance::{BalanceStore as _, Count, Hour};
use sluice_core::books::{Books as _, Examination};
use sluice_core::health::{Health, day_of};
use sluice_core::id::VendorId;

use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// From this score on a vendor sends well.
const GOOD: u32 = 95;
/// Below this score it needs a talk.
const BAD: u32 = 80;

#[derive(Debug, Serialize)]
struct Days {
    day: String,
    vendors: Vec<Health>,
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
    let found =
        wanted.into_iter().map(|vendor| (vendor.clone(), counts.get(vendor).copied().unwrap_or_default()));
    let (_, first, last) = day_of(start);
    let balances = cloud.balances();
    let mut vendors = Vec::new();
    for (vendor, count) in found {
        let duplicates = balances.duplicates(&vendor, first, last).await?;
        vendors.push(Health::of(vendor, &count, &duplicates));
    }
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
    let (_, first, last) = day_of(start);
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
            None => Cell::new(Tone::Dim, "–"),
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

    use sluice_core::health::Duplicates;

    use super::*;
    use crate::output::testing::{in_pipe, json};

    #[test]
    fn every_component_is_shown() {
        let count =
            Count { accepted: 200, failed: 3, drifted: 2, late: 10, conflicts: 1, ..Count::default() };
        let duplicates = Duplicates { duplicates: 50, hasty: 25 };
        let none = Health::of("vendorB".parse().unwrap(), &Count::default(), &Duplicates::default());
        let vendors = vec![Health::of("vendorA".parse().unwrap(), &count, &duplicates), none];
        let days = Days { day: "2026-11-21".into(), vendors };
        insta::assert_snapshot!(in_pipe(&days), @"
        vendor	score	events	validity	conflicts	lateness	drift	duplicates	retries
        vendorA	96	200	98.5 %	99.5 %	95.0 %	99.0 %	80.0 %	90.0 %
        vendorB	–	0	–	–	–	–	–	–
        ");
        let document: serde_json::Value = serde_json::from_str(&json(&days)).unwrap();
        assert_eq!(
            document["vendors"][0]["components"],
            serde_json::json!({"validity": 0.985, "conflicts": 0.995, "lateness": 0.95, "drift": 0.99,
                "duplicates": 0.8, "retries": 0.9})
        );
    }
}

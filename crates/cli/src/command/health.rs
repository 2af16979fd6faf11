//! `sluice vendors health`: how well vendors send, a UTC day at a time (`docs/vendor-health.md` has
//! the formulas).

use jiff::civil::Date;
use sluice_core::id::VendorId;
use sluice_ops::health::{self, Days};

use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// From this score on a vendor sends well.
const GOOD: u32 = 95;
/// Below this score it needs a talk.
const BAD: u32 = 80;

/// Shows a day.
pub async fn run(
    id: Option<&VendorId>,
    day: Option<Date>,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let progress = output.progress("reading the balance");
    let days = health::day(cloud, id, day, &progress).await?;
    drop(progress);
    output.document(&days)
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

    use sluice_core::balance::Count;
    use sluice_core::health::{Duplicates, Health};

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

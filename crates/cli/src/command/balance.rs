//! `sluice balance`: accepted = normalized + nothing to state + quarantined + held + in flight, counted
//! twice over.

use std::time::Duration;

use jiff::Timestamp;
use sluice_ops::balance::{self, Balance, Hours, HoursQuery};

use crate::args::BalanceArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// Counts until it adds up, and with `--wait` until nothing is in flight.
pub async fn run(args: &BalanceArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    if args.hour.is_some() || args.vendor.is_some() {
        let progress = output.progress("examining the books");
        let since = args.since.resolve(Timestamp::now());
        let query = HoursQuery { vendor: args.vendor.clone(), hour: args.hour, since };
        let hours = balance::by_hour(cloud, &query).await?;
        drop(progress);
        output.document(&hours)?;
        return Ok(hours.verdict()?);
    }
    let progress = output.progress("counting");
    let wait = args.wait.then(|| Duration::from_secs(args.timeout));
    let balance = balance::count(cloud, wait, &progress).await?;
    drop(progress);
    output.document(&balance)?;
    balance.verdict()?;
    if args.wait && !balance.settled {
        return Err(CliError::Failed(format!(
            "{} are still in flight after {} s",
            sluice_core::canonical::count(usize::try_from(balance.in_flight).unwrap_or(usize::MAX), "event"),
            args.timeout
        )));
    }
    Ok(())
}

impl View for Hours {
    fn text(&self, page: &Page) -> String {
        if self.hours.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Dim, "No events in this time."));
        }
        let rows = self.hours.iter().map(|line| {
            let number = |number: u64| number.to_string().into();
            let stored = match &line.stored {
                _ if line.changed_after_closing => Cell::new(Tone::Bad, "closed with another count"),
                Some(_) => Cell::new(Tone::Dim, "was counted before it changed"),
                None => "".into(),
            };
            let tone = if line.balanced { Tone::Good } else { Tone::Bad };
            vec![
                line.hour.to_string().into(),
                line.vendor_id.as_str().into(),
                number(line.count.accepted),
                number(line.count.normalized),
                number(line.count.nothing_to_state),
                number(line.count.quarantined),
                number(line.count.held),
                number(line.count.in_flight),
                Cell::new(tone, line.unaccounted.to_string()),
                Cell::new(tone, line.count.unapplied.to_string()),
                number(line.count.orphans),
                stored,
            ]
        });
        page.table(
            &[
                "HOUR",
                "VENDOR",
                "ACCEPTED",
                "NORMALIZED",
                "NOTHING TO STATE",
                "QUARANTINED",
                "HELD",
                "IN FLIGHT",
                "UNACCOUNTED",
                "NOT APPLIED",
                "ORPHANS",
                "STORED",
            ],
            rows.collect(),
        )
    }
}

impl View for Balance {
    fn text(&self, page: &Page) -> String {
        let count = |tone: Tone, count: u64| Cell::new(tone, count.to_string());
        let in_flight = if self.settled { Tone::Dim } else { Tone::Warn };
        let quarantined = if self.quarantined == 0 { Tone::Dim } else { Tone::Bad };
        let mut text = page.table(
            &["ACCEPTED", "NORMALIZED", "NOTHING TO STATE", "QUARANTINED", "HELD", "IN FLIGHT", "DIFFERENCE"],
            vec![vec![
                count(Tone::Strong, self.accepted),
                count(Tone::Good, self.normalized),
                count(Tone::Dim, self.nothing_to_state),
                count(quarantined, self.quarantined),
                count(if self.held == 0 { Tone::Dim } else { Tone::Warn }, self.held),
                count(in_flight, self.in_flight),
                Cell::new(
                    if self.difference == 0 { Tone::Good } else { Tone::Bad },
                    self.difference.to_string(),
                ),
            ]],
        );
        if page.terminal && self.balanced {
            let sum = format!(
                "{} accepted = {} normalized + {} nothing to state + {} quarantined + {} held + {} in flight: nothing is lost.",
                self.accepted,
                self.normalized,
                self.nothing_to_state,
                self.quarantined,
                self.held,
                self.in_flight
            );
            text.push_str(&format!("\n{}\n", paint(Tone::Good, sum)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use sluice_aws::ledger::Counted;
    use sluice_core::balance::{BalanceRow, Count, Hour};
    use sluice_core::id::VendorId;
    use sluice_ops::balance::line;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

    #[test]
    fn a_balance_that_holds() {
        let balance = Balance::new(9, Counted { rows: 6, nothing: 1 }, 1, 1, 1, 1);
        assert!(balance.balanced && !balance.settled && balance.verdict().is_ok());
        insta::assert_snapshot!(on_terminal(&balance), @"
         ACCEPTED  NORMALIZED  NOTHING TO STATE  QUARANTINED  HELD  IN FLIGHT  DIFFERENCE 
         9         5           1                 1            1     1          0          

        9 accepted = 5 normalized + 1 nothing to state + 1 quarantined + 1 held + 1 in flight: nothing is lost.
        ");
        insta::assert_snapshot!(in_pipe(&balance), @"
        accepted	normalized	nothing to state	quarantined	held	in flight	difference
        9	5	1	1	1	1	0
        ");
        insta::assert_snapshot!(json(&balance), @r#"
        {
          "accepted": 9,
          "normalized": 5,
          "nothingToState": 1,
          "quarantined": 1,
          "held": 1,
          "inFlight": 1,
          "difference": 0,
          "quarantineHeld": 1,
          "balanced": true,
          "settled": false
        }
        "#);
    }

    #[test]
    fn an_hour_is_compared_with_what_was_stored() {
        let vendor: VendorId = "vendorA".parse().unwrap_or_else(|error| panic!("{error}"));
        let hour: Hour = "2026-11-21T10".parse().unwrap_or_else(|error| panic!("{error}"));
        let count = Count { accepted: 5, normalized: 4, quarantined: 1, ..Count::default() };
        let stored = |count: Count, closed: bool| BalanceRow {
            vendor_id: vendor.clone(),
            hour,
            count,
            counted_at: hour.end(),
            closed,
        };
        let line = |count, stored| Hours::new(vec![line(vendor.clone(), hour, count, stored)]);
        assert!(line(count, None).verdict().is_ok());
        assert!(line(count, Some(stored(count, true))).hours[0].stored.is_none(), "nothing to say");
        let before = Count { accepted: 6, normalized: 6, ..Count::default() };
        assert!(
            line(count, Some(stored(before, false))).verdict().is_ok(),
            "it was counted before it changed"
        );
        let error = line(count, Some(stored(before, true))).verdict().err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("2026-11-21T10 of vendorA was closed with another count than it has now")
        );
        let lost = line(Count { accepted: 6, ..count }, None);
        assert!(lost.verdict().is_err_and(|error| error.to_string().contains("1 event unaccounted for")));
        insta::assert_snapshot!(in_pipe(&lost), @"
        hour	vendor	accepted	normalized	nothing to state	quarantined	held	in flight	unaccounted	not applied	orphans	stored
        2026-11-21T10	vendorA	6	4	0	1	0	0	1	0	0	
        ");
        let document = json(&line(count, Some(stored(before, true))));
        let document: serde_json::Value = serde_json::from_str(&document).unwrap_or_default();
        assert_eq!((&document["balanced"], &document["unaccounted"]), (&false.into(), &0.into()));
        let first = &document["hours"][0];
        assert_eq!((&first["hour"], &first["accepted"]), (&"2026-11-21T10".into(), &5.into()));
        assert_eq!((&first["stored"]["accepted"], &first["changedAfterClosing"]), (&6.into(), &true.into()));
    }
}

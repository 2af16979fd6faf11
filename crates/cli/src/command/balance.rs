//! `sluice balance`: accepted = normalized + quarantined + in flight, counted twice over.
//!
//! The left side counts the ledger's rows in the table itself, the right side counts them by status in the index; the rows
//! of the quarantine table that were not released must be as many as the ledger says. The reads are not one snapshot, so a difference counts
//! only if it stays.

use std::time::Duration;

use serde::Serialize;
use sluice_core::record::{QuarantineStatus, Status};
use tokio::time::Instant;

use crate::args::BalanceArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// How often a difference is looked at again before it is believed, and the pause between.
const LOOKS_MAX: u32 = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(400);
/// Pause between two looks of `--wait`.
const WAIT_PAUSE: Duration = Duration::from_millis(300);

/// Both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    accepted: u64,
    normalized: u64,
    quarantined: u64,
    in_flight: u64,
    /// Accepted less the other three: above zero, events are not in the index; below, more are than there should be.
    difference: i64,
    quarantine_held: u64,
    balanced: bool,
    settled: bool,
}

impl Balance {
    fn new(accepted: u64, normalized: u64, quarantined: u64, in_flight: u64, quarantine_held: u64) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let difference = signed(accepted) - signed(normalized) - signed(quarantined) - signed(in_flight);
        Self {
            accepted,
            normalized,
            quarantined,
            in_flight,
            difference,
            quarantine_held,
            balanced: difference == 0 && quarantine_held == quarantined,
            settled: in_flight == 0,
        }
    }

    async fn read(cloud: &Cloud) -> Result<Self, CliError> {
        let ledger = cloud.ledger();
        let quarantine = cloud.quarantine();
        let (accepted, normalized, quarantined, in_flight, rows) = tokio::try_join!(
            ledger.count_all(),
            ledger.count(Status::Normalized),
            ledger.count(Status::Quarantined),
            ledger.count(Status::Received),
            quarantine.list(None, None),
        )?;
        let held = rows.iter().filter(|row| row.status != QuarantineStatus::Released).count();
        Ok(Self::new(accepted, normalized, quarantined, in_flight, held as u64))
    }

    /// What does not add up, in words.
    fn verdict(&self) -> Result<(), CliError> {
        if self.difference != 0 {
            return Err(CliError::Failed(format!(
                "the ledger has {} events, by status there are {}: {} unaccounted for",
                self.accepted,
                self.normalized + self.quarantined + self.in_flight,
                self.difference
            )));
        }
        if self.quarantine_held != self.quarantined {
            return Err(CliError::Failed(format!(
                "the ledger has {} quarantined events, the quarantine holds {}",
                self.quarantined, self.quarantine_held
            )));
        }
        Ok(())
    }
}

/// Reads until it adds up, and with `--wait` until nothing is in flight.
pub async fn run(args: &BalanceArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let progress = output.progress("counting");
    let mut looks = 0;
    let balance = loop {
        let balance = Balance::read(cloud).await?;
        if args.wait && !balance.settled && Instant::now() < deadline {
            progress.say(format!("{} in flight of {} accepted", balance.in_flight, balance.accepted));
            tokio::time::sleep(WAIT_PAUSE).await;
            continue;
        }
        looks += 1;
        if balance.balanced || looks >= LOOKS_MAX {
            break balance;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    };
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

impl View for Balance {
    fn text(&self, page: &Page) -> String {
        let count = |tone: Tone, count: u64| Cell::new(tone, count.to_string());
        let in_flight = if self.settled { Tone::Dim } else { Tone::Warn };
        let quarantined = if self.quarantined == 0 { Tone::Dim } else { Tone::Bad };
        let mut text = page.table(
            &["ACCEPTED", "NORMALIZED", "QUARANTINED", "IN FLIGHT", "DIFFERENCE"],
            vec![vec![
                count(Tone::Strong, self.accepted),
                count(Tone::Good, self.normalized),
                count(quarantined, self.quarantined),
                count(in_flight, self.in_flight),
                Cell::new(
                    if self.difference == 0 { Tone::Good } else { Tone::Bad },
                    self.difference.to_string(),
                ),
            ]],
        );
        if page.terminal && self.balanced {
            let sum = format!(
                "{} accepted = {} normalized + {} quarantined + {} in flight: nothing is lost.",
                self.accepted, self.normalized, self.quarantined, self.in_flight
            );
            text.push_str(&format!("\n{}\n", paint(Tone::Good, sum)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitKind;
    use crate::output::testing::{in_pipe, json, on_terminal};

    #[test]
    fn a_balance_that_holds() {
        let balance = Balance::new(7, 5, 1, 1, 1);
        assert!(balance.balanced && !balance.settled && balance.verdict().is_ok());
        insta::assert_snapshot!(on_terminal(&balance), @"
         ACCEPTED  NORMALIZED  QUARANTINED  IN FLIGHT  DIFFERENCE 
         7         5           1            1          0          

        7 accepted = 5 normalized + 1 quarantined + 1 in flight: nothing is lost.
        ");
        insta::assert_snapshot!(in_pipe(&balance), @"
        accepted	normalized	quarantined	in flight	difference
        7	5	1	1	0
        ");
        insta::assert_snapshot!(json(&balance), @r#"
        {
          "accepted": 7,
          "normalized": 5,
          "quarantined": 1,
          "inFlight": 1,
          "difference": 0,
          "quarantineHeld": 1,
          "balanced": true,
          "settled": false
        }
        "#);
    }

    #[test]
    fn each_way_not_to_add_up_is_said() {
        for (balance, words) in [
            (Balance::new(7, 5, 1, 0, 1), "1 unaccounted for"),
            (Balance::new(7, 6, 1, 1, 1), "-1 unaccounted for"),
            (Balance::new(6, 5, 1, 0, 2), "the quarantine holds 2"),
        ] {
            assert!(!balance.balanced);
            let error = balance.verdict().err().unwrap_or_else(|| panic!("{balance:?}"));
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), ExitKind::Failed);
        }
    }
}

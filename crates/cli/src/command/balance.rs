//! `sluice balance`: accepted = normalized + nothing to state + quarantined + in flight, counted twice over.
//!
//! With `--vendor` or `--hour` the books are examined as `reconcile` does it ([`sluice_core::books`]) and compared with what it
//! stored. Without, the whole ledger is counted: the left side counts the ledger's rows in the table itself, the right side counts them by status in the index; the rows
//! of the quarantine table that were not released must be as many as the ledger says. The reads are not one snapshot, so a difference counts
//! only if it stays.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::ledger::Counted;
use sluice_core::balance::{BalanceRow, BalanceStore as _, Count, Hour};
use sluice_core::books::{Books as _, Examination};
use sluice_core::id::VendorId;
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
    nothing_to_state: u64,
    quarantined: u64,
    in_flight: u64,
    /// Accepted less the other four: above zero, events are not in the index; below, more are than there should be.
    difference: i64,
    quarantine_held: u64,
    balanced: bool,
    settled: bool,
}

impl Balance {
    fn new(
        accepted: u64,
        normalized: Counted,
        quarantined: u64,
        in_flight: u64,
        quarantine_held: u64,
    ) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let difference = signed(accepted) - signed(normalized.rows) - signed(quarantined) - signed(in_flight);
        Self {
            accepted,
            normalized: normalized.rows - normalized.nothing,
            nothing_to_state: normalized.nothing,
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
        Ok(Self::new(accepted, normalized, quarantined.rows, in_flight.rows, held as u64))
    }

    /// What does not add up, in words.
    fn verdict(&self) -> Result<(), CliError> {
        if self.difference != 0 {
            return Err(CliError::Failed(format!(
                "the ledger has {} events, by status there are {}: {} unaccounted for",
                self.accepted,
                self.normalized + self.nothing_to_state + self.quarantined + self.in_flight,
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

/// A vendor's hour: as it is found now, and as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct HourLine {
    vendor_id: VendorId,
    hour: Hour,
    #[serde(flatten)]
    count: Count,
    unaccounted: u64,
    balanced: bool,
    /// What `reconcile` counted last, if that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<BalanceRow>,
    /// The stored count is final, and what is found now is something else.
    changed_after_closing: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hours {
    hours: Vec<HourLine>,
    unaccounted: u64,
    balanced: bool,
}

impl Hours {
    fn new(hours: Vec<HourLine>) -> Self {
        let unaccounted = hours.iter().map(|line| line.unaccounted).sum();
        let balanced = hours.iter().all(|line| line.balanced && !line.changed_after_closing);
        Self { hours, unaccounted, balanced }
    }

    fn verdict(&self) -> Result<(), CliError> {
        if self.unaccounted > 0 {
            let what = format!("{} unaccounted for: `sluice audit` names them", events(self.unaccounted));
            return Err(CliError::Failed(what));
        }
        match self.hours.iter().find(|line| line.changed_after_closing) {
            Some(line) => Err(CliError::Failed(format!(
                "{} of {} was closed with another count than it has now",
                line.hour, line.vendor_id
            ))),
            None => Ok(()),
        }
    }
}

fn events(number: u64) -> String {
    sluice_core::canonical::count(usize::try_from(number).unwrap_or(usize::MAX), "event")
}

fn line(vendor_id: VendorId, hour: Hour, count: Count, stored: Option<BalanceRow>) -> HourLine {
    let differs = stored.as_ref().is_some_and(|stored| stored.count != count);
    // Of a closed hour nothing moves any more but raw objects that were refused later, which are no events.
    let changed_after_closing =
        stored.as_ref().is_some_and(|stored| stored.closed && stored.count.accepted != count.accepted);
    HourLine {
        vendor_id,
        hour,
        unaccounted: count.unaccounted(),
        balanced: count.unaccounted() == 0,
        count,
        stored: stored.filter(|_| differs),
        changed_after_closing,
    }
}

async fn by_hour(args: &BalanceArgs, cloud: &Cloud) -> Result<Hours, CliError> {
    let books = cloud.books();
    let now = Timestamp::now();
    let (mut hour, last) = match args.hour {
        Some(hour) => (hour, hour),
        None => {
            let first = books.first_received().await?.map_or(Hour::of(now), Hour::of);
            (Hour::of(args.since.resolve(now)).max(first), Hour::of(now))
        }
    };
    let vendors = match &args.vendor {
        Some(vendor) => vec![vendor.clone()],
        None => books.vendors().await?,
    };
    let balances = cloud.balances();
    let mut lines = Vec::new();
    while hour <= last {
        let examination = Examination::new(&books, &vendors, args.vendor.as_ref(), hour.start(), hour.end());
        let mut counts = examination.counts(&mut |_| {}).await?;
        for vendor in &vendors {
            let stored = balances.rows(vendor, hour, hour).await?.into_iter().next();
            if stored.is_some() {
                counts.entry(vendor.clone()).or_default();
            }
        }
        for (vendor, count) in counts {
            let stored = balances.rows(&vendor, hour, hour).await?.into_iter().next();
            lines.push(line(vendor, hour, count, stored));
        }
        hour = hour.next();
    }
    Ok(Hours::new(lines))
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
                number(line.count.in_flight),
                Cell::new(tone, line.unaccounted.to_string()),
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
                "IN FLIGHT",
                "UNACCOUNTED",
                "ORPHANS",
                "STORED",
            ],
            rows.collect(),
        )
    }
}

/// Reads until it adds up, and with `--wait` until nothing is in flight.
pub async fn run(args: &BalanceArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    if args.hour.is_some() || args.vendor.is_some() {
        let progress = output.progress("examining the books");
        let hours = by_hour(args, cloud).await?;
        drop(progress);
        output.document(&hours)?;
        return hours.verdict();
    }
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
            &["ACCEPTED", "NORMALIZED", "NOTHING TO STATE", "QUARANTINED", "IN FLIGHT", "DIFFERENCE"],
            vec![vec![
                count(Tone::Strong, self.accepted),
                count(Tone::Good, self.normalized),
                count(Tone::Dim, self.nothing_to_state),
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
                "{} accepted = {} normalized + {} nothing to state + {} quarantined + {} in flight: nothing is lost.",
                self.accepted, self.normalized, self.nothing_to_state, self.quarantined, self.in_flight
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
        let balance = Balance::new(8, Counted { rows: 6, nothing: 1 }, 1, 1, 1);
        assert!(balance.balanced && !balance.settled && balance.verdict().is_ok());
        insta::assert_snapshot!(on_terminal(&balance), @"
         ACCEPTED  NORMALIZED  NOTHING TO STATE  QUARANTINED  IN FLIGHT  DIFFERENCE 
         8         5           1                 1            1          0          

        8 accepted = 5 normalized + 1 nothing to state + 1 quarantined + 1 in flight: nothing is lost.
        ");
        insta::assert_snapshot!(in_pipe(&balance), @"
        accepted	normalized	nothing to state	quarantined	in flight	difference
        8	5	1	1	1	0
        ");
        insta::assert_snapshot!(json(&balance), @r#"
        {
          "accepted": 8,
          "normalized": 5,
          "nothingToState": 1,
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
        hour	vendor	accepted	normalized	nothing to state	quarantined	in flight	unaccounted	orphans	stored
        2026-11-21T10	vendorA	6	4	0	1	0	1	0	
        ");
        let document = json(&line(count, Some(stored(before, true))));
        let document: serde_json::Value = serde_json::from_str(&document).unwrap_or_default();
        assert_eq!((&document["balanced"], &document["unaccounted"]), (&false.into(), &0.into()));
        let first = &document["hours"][0];
        assert_eq!((&first["hour"], &first["accepted"]), (&"2026-11-21T10".into(), &5.into()));
        assert_eq!((&first["stored"]["accepted"], &first["changedAfterClosing"]), (&6.into(), &true.into()));
    }

    #[test]
    fn each_way_not_to_add_up_is_said() {
        let normalized = |rows| Counted { rows, nothing: 2 };
        for (balance, words) in [
            (Balance::new(7, normalized(5), 1, 0, 1), "1 unaccounted for"),
            (Balance::new(7, normalized(6), 1, 1, 1), "-1 unaccounted for"),
            (Balance::new(6, normalized(5), 1, 0, 2), "the quarantine holds 2"),
        ] {
            assert!(!balance.balanced);
            let error = balance.verdict().err().unwrap_or_else(|| panic!("{balance:?}"));
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), ExitKind::Failed);
        }
    }
}

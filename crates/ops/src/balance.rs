//! The balance: accepted = normalized + nothing to state + quarantined + held + in flight, counted twice
//! over.
//!
//! [`by_hour`] examines the books as `reconcile` does it ([`sluice_core::books`]) and compares them
//! with what it stored. [`count`] counts the whole ledger: the left side counts the ledger's rows
//! in the table itself, the right side counts them by status in the index; the rows of the
//! quarantine table that were not released must be as many as the ledger says. The reads are not
//! one snapshot, so a difference counts only if it stays.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::ledger::Counted;
use sluice_core::balance::{BalanceRow, BalanceStore as _, Count, Hour};
use sluice_core::books::{Books as _, Examination};
use sluice_core::id::VendorId;
use sluice_core::record::{QuarantineStatus, Status};
use tokio::time::Instant;

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::progress::Progress;

/// How often a difference is looked at again before it is believed, and the pause between.
const LOOKS_MAX: u32 = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(400);
/// Pause between two looks while events are in flight.
const WAIT_PAUSE: Duration = Duration::from_millis(300);

/// Both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    /// Rows of the ledger.
    pub accepted: u64,
    /// Normalized, with a document.
    pub normalized: u64,
    /// Normalized, with nothing to state.
    pub nothing_to_state: u64,
    /// Quarantined, or discarded from there.
    pub quarantined: u64,
    /// Waiting for the release of their vendor.
    pub held: u64,
    /// Accepted, and not at an end yet.
    pub in_flight: u64,
    /// Accepted less the other five: above zero, events are not in the index; below, more are than
    /// there should be.
    pub difference: i64,
    /// Rows of the quarantine that were not released.
    pub quarantine_held: u64,
    /// Whether both sides are the same.
    pub balanced: bool,
    /// Whether nothing is in flight.
    pub settled: bool,
}

impl Balance {
    /// Of the counts as they were read.
    pub fn new(
        accepted: u64,
        normalized: Counted,
        quarantined: u64,
        held: u64,
        in_flight: u64,
        quarantine_held: u64,
    ) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let difference = signed(accepted)
            - signed(normalized.rows)
            - signed(quarantined)
            - signed(held)
            - signed(in_flight);
        Self {
            accepted,
            normalized: normalized.rows - normalized.nothing,
            nothing_to_state: normalized.nothing,
            quarantined,
            held,
            in_flight,
            difference,
            quarantine_held,
            balanced: difference == 0 && quarantine_held == quarantined,
            settled: in_flight == 0,
        }
    }

    /// Counts once. The reads are not one snapshot: a difference may pass.
    ///
    /// # Errors
    /// When ledger or quarantine does not answer.
    pub async fn read(cloud: &Cloud) -> Result<Self, OpsError> {
        let ledger = cloud.ledger();
        let quarantine = cloud.quarantine();
        let (accepted, normalized, quarantined, waiting, in_flight, rows) = tokio::try_join!(
            ledger.count_all(),
            ledger.count(Status::Normalized),
            ledger.count(Status::Quarantined),
            ledger.count(Status::Held),
            ledger.count(Status::Received),
            quarantine.list(None, None),
        )?;
        let held = rows.iter().filter(|row| row.status != QuarantineStatus::Released).count();
        Ok(Self::new(accepted, normalized, quarantined.rows, waiting.rows, in_flight.rows, held as u64))
    }

    /// What does not add up, in words.
    ///
    /// # Errors
    /// The words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        if self.difference != 0 {
            return Err(OpsError::Failed(format!(
                "the ledger has {} events, by status there are {}: {} unaccounted for",
                self.accepted,
                self.normalized + self.nothing_to_state + self.quarantined + self.held + self.in_flight,
                self.difference
            )));
        }
        if self.quarantine_held != self.quarantined {
            return Err(OpsError::Failed(format!(
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
pub struct HourLine {
    /// The vendor.
    pub vendor_id: VendorId,
    /// The hour.
    pub hour: Hour,
    /// What is found now.
    #[serde(flatten)]
    pub count: Count,
    /// Events that are in none of the four.
    pub unaccounted: u64,
    /// Whether there is none of those.
    pub balanced: bool,
    /// What `reconcile` counted last, if that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<BalanceRow>,
    /// The stored count is final, and what is found now is something else.
    pub changed_after_closing: bool,
}

/// Vendors' hours.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hours {
    /// By hour and vendor.
    pub hours: Vec<HourLine>,
    /// Events that are in none of the four.
    pub unaccounted: u64,
    /// Whether there is none of those, and no hour changed after it was closed.
    pub balanced: bool,
}

impl Hours {
    /// Of its lines.
    pub fn new(hours: Vec<HourLine>) -> Self {
        let unaccounted = hours.iter().map(|line| line.unaccounted).sum();
        let balanced = hours.iter().all(|line| line.balanced && !line.changed_after_closing);
        Self { hours, unaccounted, balanced }
    }

    /// What does not add up, in words.
    ///
    /// # Errors
    /// The words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        if self.unaccounted > 0 {
            let what = format!("{} unaccounted for: `sluice audit` names them", events(self.unaccounted));
            return Err(OpsError::Failed(what));
        }
        let unapplied: u64 = self.hours.iter().map(|line| line.count.unapplied).sum();
        if unapplied > 0 {
            let what = format!("{} normalized and not applied: `sluice audit` names them", events(unapplied));
            return Err(OpsError::Failed(what));
        }
        match self.hours.iter().find(|line| line.changed_after_closing) {
            Some(line) => Err(OpsError::Failed(format!(
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

/// A vendor's hour as it is found now, beside what is stored.
pub fn line(vendor_id: VendorId, hour: Hour, count: Count, stored: Option<BalanceRow>) -> HourLine {
    let differs = stored.as_ref().is_some_and(|stored| stored.count != count);
    // Of a closed hour nothing moves any more but raw objects that were refused later, which are no
    // events.
    let changed_after_closing =
        stored.as_ref().is_some_and(|stored| stored.closed && stored.count.accepted != count.accepted);
    HourLine {
        vendor_id,
        hour,
        unaccounted: count.unaccounted(),
        balanced: count.unaccounted() == 0 && count.unapplied == 0,
        count,
        stored: stored.filter(|_| differs),
        changed_after_closing,
    }
}

/// Which hours are examined.
#[derive(Debug, Clone)]
pub struct HoursQuery {
    /// Of this vendor; `None` means all.
    pub vendor: Option<VendorId>,
    /// This hour; `None` means each from `since` to now.
    pub hour: Option<Hour>,
    /// The first hour is that of this time, or of the first event.
    pub since: Timestamp,
}

/// Examines the books hour by hour, as `reconcile` does it, and compares with what that stored.
///
/// # Errors
/// When a table does not answer.
pub async fn by_hour(cloud: &Cloud, query: &HoursQuery) -> Result<Hours, OpsError> {
    let books = cloud.books();
    let now = Timestamp::now();
    let (mut hour, last) = match query.hour {
        Some(hour) => (hour, hour),
        None => {
            let first = books.first_received().await?.map_or(Hour::of(now), Hour::of);
            (Hour::of(query.since).max(first), Hour::of(now))
        }
    };
    let vendors = match &query.vendor {
        Some(vendor) => vec![vendor.clone()],
        None => books.vendors().await?,
    };
    let balances = cloud.balances();
    let mut lines = Vec::new();
    while hour <= last {
        let examination = Examination::new(&books, &vendors, query.vendor.as_ref(), hour.start(), hour.end())
            .with_state(now);
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

/// Counts until it adds up, since a difference counts only if it stays, and with `wait` until
/// nothing is in flight.
///
/// # Errors
/// When ledger or quarantine does not answer. A balance that does not add up is none: see
/// [`Balance::verdict`].
pub async fn count(
    cloud: &Cloud,
    wait: Option<Duration>,
    progress: &dyn Progress,
) -> Result<Balance, OpsError> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    let mut looks = 0;
    loop {
        let balance = Balance::read(cloud).await?;
        if !balance.settled && deadline.is_some_and(|deadline| Instant::now() < deadline) {
            progress.say(&format!("{} in flight of {} accepted", balance.in_flight, balance.accepted));
            tokio::time::sleep(WAIT_PAUSE).await;
            continue;
        }
        looks += 1;
        if balance.balanced || looks >= LOOKS_MAX {
            return Ok(balance);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn each_way_not_to_add_up_is_said() {
        let normalized = |rows| Counted { rows, nothing: 2 };
        for (balance, words) in [
            (Balance::new(8, normalized(5), 1, 1, 0, 1), "1 unaccounted for"),
            (Balance::new(7, normalized(6), 1, 0, 1, 1), "-1 unaccounted for"),
            (Balance::new(6, normalized(5), 1, 0, 0, 2), "the quarantine holds 2"),
        ] {
            assert!(!balance.balanced);
            let error = balance.verdict().err().unwrap_or_else(|| panic!("{balance:?}"));
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), Kind::Failed);
        }
    }
}

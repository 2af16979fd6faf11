//! The balance: accepted = normalized + nothing to state + quarantined + held + in flight, per vendor and hour of acceptance.
//!
//! It is no tautology: the left side counts events of which there is any evidence (a ledger row found by either index, or a
//! document without one), the right side only those whose evidence agrees in a second store. What is on the left alone is
//! [`Count::unaccounted`].

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::health::{Duplicates, HealthNote};
use crate::id::VendorId;

/// From how late an event counts as late, in seconds between `occurredAt` and `receivedAt`.
pub const LATE_SECONDS: i64 = 3_600;

/// An hour, UTC. Its text is `2026-11-21T10`, which sorts as the time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hour(i64);

const HOUR_SECONDS: i64 = 3_600;

impl Hour {
    /// The hour that a time lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(HOUR_SECONDS))
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0 * HOUR_SECONDS).unwrap_or(Timestamp::MAX)
    }

    /// The first moment after it.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0 - 1)
    }

    /// Whether it ended longer than `grace_seconds` ago.
    pub fn is_over(self, now: Timestamp, grace_seconds: i64) -> bool {
        self.end() + SignedDuration::from_secs(grace_seconds) <= now
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().strftime("%Y-%m-%dT%H"))
    }
}

impl FromStr for Hour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let full = if text.len() == 13 { format!("{text}:00:00Z") } else { text.to_owned() };
        let at: Timestamp = full
            .parse()
            .map_err(|_| format!("{text:?} is no hour: write 2026-11-21T10, or a time in RFC 3339"))?;
        Ok(Self::of(at))
    }
}

impl TryFrom<String> for Hour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Hour> for String {
    fn from(hour: Hour) -> Self {
        hour.to_string()
    }
}

/// What was found of one vendor's hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Count {
    /// Events of which there is any evidence of acceptance.
    pub accepted: u64,
    /// NORMALIZED, with raw object and normalized document.
    pub normalized: u64,
    /// NORMALIZED, with raw object and the reason why the message states nothing.
    pub nothing_to_state: u64,
    /// QUARANTINED, with raw object and a quarantine row that is open or discarded.
    pub quarantined: u64,
    /// Of those, discarded: they stay.
    pub discarded: u64,
    /// Of the normalized, those that canonical state does not have as they were normalized last: on their way, or
    /// [`Count::unapplied`].
    pub applying: u64,
    /// Of those, the ones that were normalized longer than [`crate::limits::APPLY_SECONDS_MAX`] ago.
    pub unapplied: u64,
    /// HELD, with raw object: their vendor is on hold, or they have not been let go since.
    pub held: u64,
    /// RECEIVED, with raw object.
    pub in_flight: u64,
    /// Raw objects in the bucket.
    pub raw_objects: u64,
    /// Raw objects without a ledger row: refused conflicts, races of duplicates, and requests that were never acknowledged.
    pub orphans: u64,
    /// Of those, payloads that contradict an event that was accepted before.
    pub conflicts: u64,
    /// Of those, second copies of an event that was accepted at the same moment.
    pub raced_duplicates: u64,
    /// Events that were ever quarantined.
    pub failed: u64,
    /// Of those, because the payload did not satisfy the vendor's schema, or named a version that is not known.
    pub drifted: u64,
    /// Events that came later than [`LATE_SECONDS`] after they occurred.
    pub late: u64,
}

impl Count {
    /// Accepted less what is proved: 0, or something is missing.
    pub fn unaccounted(&self) -> u64 {
        let proved = self.normalized + self.nothing_to_state + self.quarantined + self.held + self.in_flight;
        self.accepted.saturating_sub(proved)
    }

    /// In balance, and nothing will change it any more.
    pub fn is_settled(&self) -> bool {
        self.unaccounted() == 0
            && self.in_flight == 0
            && self.held == 0
            && self.applying == 0
            && self.quarantined == self.discarded
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.normalized += other.normalized;
        self.nothing_to_state += other.nothing_to_state;
        self.quarantined += other.quarantined;
        self.discarded += other.discarded;
        self.applying += other.applying;
        self.unapplied += other.unapplied;
        self.held += other.held;
        self.in_flight += other.in_flight;
        self.raw_objects += other.raw_objects;
        self.orphans += other.orphans;
        self.conflicts += other.conflicts;
        self.raced_duplicates += other.raced_duplicates;
        self.failed += other.failed;
        self.drifted += other.drifted;
        self.late += other.late;
    }
}

/// A row of the balance table: `vendorId`, `hour`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BalanceRow {
    /// Partition key.
    pub vendor_id: VendorId,
    /// Sort key.
    pub hour: Hour,
    /// What was found.
    #[serde(flatten)]
    pub count: Count,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub counted_at: Timestamp,
    /// The hour is over and settled: it is not counted again.
    pub closed: bool,
}

/// An hour that `reconcile` has still to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenHour {
    /// Which.
    pub hour: Hour,
    /// When it was last counted; the epoch if never.
    #[serde(with = "crate::id::millis")]
    pub counted_at: Timestamp,
}

/// How far `reconcile` has come, from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The first hour that has no entry in the list of open hours yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hour: Option<Hour>,
    /// Where the search for stuck rows goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<StuckCursor>,
    /// Where the search for held rows whose vendor is not on hold goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strays: Option<StuckCursor>,
}

/// A place in the index of rows by status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StuckCursor {
    /// Shard of the index.
    pub shard: u8,
    /// Rows received up to here were looked at.
    #[serde(with = "crate::id::millis")]
    pub after: Timestamp,
}

/// Balances, and what is left to do.
#[async_trait]
pub trait BalanceStore: Send + Sync {
    /// Writes rows; what is there is replaced.
    async fn put(&self, rows: &[BalanceRow]) -> Result<(), Fault>;
    /// A vendor's rows, both hours included, in order.
    async fn rows(&self, vendor_id: &VendorId, from: Hour, to: Hour) -> Result<Vec<BalanceRow>, Fault>;
    /// Hours that are not closed, oldest first.
    async fn open_hours(&self) -> Result<Vec<OpenHour>, Fault>;
    /// Puts an hour on that list, or renews its entry.
    async fn open_hour(&self, hour: &OpenHour) -> Result<(), Fault>;
    /// Takes an hour off it.
    async fn close_hour(&self, hour: Hour) -> Result<(), Fault>;
    /// How far the last run came.
    async fn progress(&self) -> Result<Progress, Fault>;
    /// Remembers how far this one came.
    async fn set_progress(&self, progress: &Progress) -> Result<(), Fault>;
    /// Adds duplicates to those of a vendor's hour.
    async fn add_duplicates(
        &self,
        vendor_id: &VendorId,
        hour: Hour,
        duplicates: &Duplicates,
    ) -> Result<(), Fault>;
    /// A vendor's duplicates, both hours included.
    async fn duplicates(&self, vendor_id: &VendorId, from: Hour, to: Hour) -> Result<Duplicates, Fault>;
    /// A vendor's last score. May be a minute old.
    async fn health(&self, vendor_id: &VendorId) -> Result<Option<HealthNote>, Fault>;
    /// Replaces it.
    async fn put_health(&self, vendor_id: &VendorId, note: &HealthNote) -> Result<(), Fault>;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    #[test]
    fn an_hour_is_read_and_written() {
        let hour: Hour = "2026-11-21T10".parse().unwrap();
        assert_eq!(hour.to_string(), "2026-11-21T10");
        assert_eq!("2026-11-21T10:59:59.999Z".parse::<Hour>().unwrap(), hour);
        assert_eq!(crate::id::rfc3339(hour.end()), "2026-11-21T11:00:00.000Z");
        assert!(hour.next() > hour && hour.next().to_string() > hour.to_string());
        assert!(
            !hour.is_over(hour.end(), 60) && hour.is_over(hour.end() + SignedDuration::from_secs(60), 60)
        );
        assert!("yesterday".parse::<Hour>().is_err() && "2026-11-21T1".parse::<Hour>().is_err());
    }

    #[test]
    fn only_what_is_proved_balances() {
        let count = Count { accepted: 5, normalized: 3, quarantined: 1, ..Count::default() };
        assert_eq!(count.unaccounted(), 1);
        let whole = Count { in_flight: 1, ..count };
        assert!(whole.unaccounted() == 0 && !whole.is_settled());
        let held = Count { held: 1, ..count };
        assert!(held.unaccounted() == 0 && !held.is_settled(), "it waits for its vendor's release");
        let silent = Count { accepted: 3, normalized: 2, nothing_to_state: 1, ..Count::default() };
        assert!(silent.is_settled());
        assert!(!Count { applying: 1, ..silent }.is_settled(), "it is not in canonical state yet");
        assert!(Count { accepted: 3, normalized: 3, ..Count::default() }.is_settled());
        let waiting = Count { accepted: 2, quarantined: 2, discarded: 1, ..Count::default() };
        assert!(!waiting.is_settled() && Count { discarded: 2, ..waiting }.is_settled());
        let mut sum = count;
        sum.add(&whole);
        assert_eq!((sum.accepted, sum.in_flight, sum.unaccounted()), (10, 1, 1));
        sum.add(&silent);
        assert_eq!((sum.nothing_to_state, sum.unaccounted()), (1, 1));
    }
}

//! Time zones of the IANA database, which is compiled in: for who tells a mapper the offsets of its zone, since a mapper has no
//! database. The machine's own files are never asked, so that every host of one build reads a local time alike.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::date::{Instant, Local, Offsets};

/// Years before the one in which a message is received whose offsets a mapper is told.
pub const YEARS_BEFORE: i16 = 5;
/// Years after it.
pub const YEARS_AFTER: i16 = 2;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The rules of a zone.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// By its name in the database, such as `Europe/Berlin`, or `utc`; nothing when there is none of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let rules =
            if name.eq_ignore_ascii_case("utc") { Some(TimeZone::UTC) } else { DATABASE.get(name).ok() };
        rules.map(Self)
    }

    /// The instant of a local time.
    ///
    /// An hour that the clocks show twice is taken for its first one, and one that they skip is counted on from before (RFC 5545,
    /// section 3.3.5). Nothing beyond year 9999.
    #[must_use]
    pub fn instant(&self, local: Local) -> Option<Instant> {
        let since = SignedDuration::new(local.seconds, i32::try_from(local.nanoseconds).ok()?);
        let civil = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(since).ok()?;
        let at = self.0.to_ambiguous_zoned(civil).compatible().ok()?.timestamp();
        Some(Instant { seconds: at.as_second(), nanoseconds: local.nanoseconds })
    }

    /// The offsets around `received_at`, in seconds since 1970: from the first of January five years before to the last of December two
    /// years after it.
    #[must_use]
    pub fn offsets(&self, received_at: i64) -> Offsets<'static> {
        let received_at = Timestamp::from_second(received_at).unwrap_or(Timestamp::UNIX_EPOCH);
        let year = received_at.to_zoned(TimeZone::UTC).year();
        let start = |year: i16| {
            let first = Date::constant(year.clamp(1, 9_999), 1, 1).to_zoned(TimeZone::UTC);
            first.map_or(received_at, |zoned| zoned.timestamp())
        };
        let first = start(year.saturating_sub(YEARS_BEFORE));
        let until = start(year.saturating_add(YEARS_AFTER + 1));
        let mut from = vec![(first.as_second(), i64::from(self.0.to_offset(first).seconds()))];
        for change in self.0.following(first).take_while(|change| change.timestamp() < until) {
            let offset = i64::from(change.offset().seconds());
            // A change of the zone's abbreviation alone is none to us.
            if from.last().is_some_and(|(_, before)| *before != offset) {
                from.push((change.timestamp().as_second(), offset));
            }
        }
        Offsets { from: Cow::Owned(from), until: until.as_second() }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    #[test]
    fn offsets_and_rules_agree() {
        let received_at = 1_784_116_800; // 2026-07-15T12:00:00Z
        for name in [
            "Europe/Berlin",
            "America/New_York",
            "Asia/Kolkata",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
            "utc",
        ] {
            let zone = Zone::find(name).unwrap();
            let offsets = zone.offsets(received_at);
            assert_eq!(offsets.until, 1_861_920_000, "2029-01-01T00:00:00Z");
            for seconds in (1_609_632_000..1_861_747_200).step_by(1_237) {
                let local = Local { seconds, nanoseconds: 0, leap: false };
                let Ok(at) = offsets.utc(seconds) else { continue };
                assert_eq!(zone.instant(local).unwrap().seconds, at, "{name} {seconds}");
            }
        }
        assert!(Zone::find("Europe/Bonn").is_none() && Zone::find("").is_none());
    }

    #[test]
    fn an_hour_that_is_skipped_or_doubled_is_read_as_in_rfc_5545() {
        let berlin = Zone::find("europe/berlin").unwrap();
        for (text, expected) in [
            ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
            ("2026-10-25 03:30:00.5", "2026-10-25T02:30:00.5Z"),
        ] {
            let at = berlin.instant(Local::read(text, None).unwrap()).unwrap();
            assert_eq!(at.rfc3339().as_deref(), Some(expected), "{text}");
        }
    }
}

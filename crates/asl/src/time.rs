//! A point in time: what every input carries, and what histories report.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, the resolution Step Functions reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// 9999-12-30T22:00:00Z, so that four digits are enough for the year at every offset.
const MILLIS_MAX: i64 = 253_402_207_200_000;
/// 0001-01-01T00:00:00Z, the first instant with a year of four digits.
const MILLIS_MIN: i64 = -62_135_596_800_000;

impl Timestamp {
    /// Clamped to the years 1 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.clamp(MILLIS_MIN, MILLIS_MAX))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch with milliseconds as the fraction: the form of AWS's JSON protocols.
    #[must_use]
    pub fn as_epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Saturating at the year 9999.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Timestamp::from_millis(self.0.saturating_add(millis))
    }

    /// Saturating at the year 9999.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        self.plus_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// Parses the profile of RFC 3339 that Amazon States Language asks for: a capital `T`, and a capital `Z` or a numeric
    /// offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let shape = text.as_bytes();
        let zoned = text.ends_with('Z') || shape.len() > 6 && matches!(shape[shape.len() - 6], b'+' | b'-');
        if shape.get(10) != Some(&b'T') || !zoned {
            return None;
        }
        let parsed: jiff::Timestamp = text.parse().ok()?;
        Some(Timestamp::from_millis(parsed.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, as in the context object: `2026-11-21T08:30:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => Err(fmt::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn writes_milliseconds_always() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_795_249_800_120).to_string(), "2026-11-21T08:30:00.120Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn reads_what_the_language_allows() {
        let read = |text| Timestamp::parse(text).map(Timestamp::as_millis);
        assert_eq!(read("2016-08-18T17:33:00Z"), Some(1_471_541_580_000));
        assert_eq!(read("2016-08-18T17:33:00.5Z"), Some(1_471_541_580_500));
        assert_eq!(read("2016-08-18T19:33:00+02:00"), Some(1_471_541_580_000));
        for refused in
            ["2016-08-18t17:33:00Z", "2016-08-18 17:33:00Z", "2016-08-18T17:33:00", "2016-08-18", "soon", ""]
        {
            assert_eq!(read(refused), None, "{refused}");
        }
        let now = Timestamp::from_millis(1_795_249_800_123);
        assert_eq!(Timestamp::parse(&now.to_string()).unwrap(), now);
    }
}

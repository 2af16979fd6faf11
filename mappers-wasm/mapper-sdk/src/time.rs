//! Points in time, normalised to UTC.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::MapError;

/// An RFC 3339 time with any offset as RFC 3339 in UTC: `2026-01-10T14:03:22-05:00` is `2026-01-10T19:03:22Z`.
///
/// Fractions of a second are kept, without trailing zeros, to the nanosecond. A leap second becomes the last nanosecond
/// before it. `path` is where `text` stands in the payload.
///
/// # Errors
/// `timestamp_invalid` when `text` is not such a time or has no offset.
pub fn utc(text: &str, path: &str) -> Result<String, MapError> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|at| at.checked_to_offset(UtcOffset::UTC))
        .and_then(|at| at.format(&Rfc3339).ok())
        .ok_or_else(|| {
            MapError::new(
                "timestamp_invalid",
                path,
                format!("{text:?} is not an RFC 3339 time with an offset"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_utc() {
        for (given, expected) in [
            ("2026-01-10T14:03:22-05:00", "2026-01-10T19:03:22Z"),
            ("2026-01-10T19:03:22Z", "2026-01-10T19:03:22Z"),
            ("2026-01-10t19:03:22.120z", "2026-01-10T19:03:22.12Z"),
            ("2025-12-31T19:00:00.123456789-05:00", "2026-01-01T00:00:00.123456789Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z"),
            ("2026-03-01T00:30:00+05:30", "2026-02-28T19:00:00Z"),
        ] {
            assert_eq!(utc(given, "").as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused_with_its_place() {
        for given in [
            "",
            "yesterday",
            "2026-01-10",
            "2026-01-10T14:03:22",
            "2026-02-30T00:00:00Z",
            "2026-01-10T25:00:00Z",
            "2026-01-10T14:03:22-05:00[America/New_York]",
            "1768071802",
        ] {
            let refused = utc(given, "/created_at").expect_err(given);
            assert_eq!((refused.code(), refused.path()), ("timestamp_invalid", "/created_at"));
        }
    }
}

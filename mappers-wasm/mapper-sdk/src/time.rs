//! Points in time, normalised to UTC.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use sluice_formats::date::{EpochFault, Instant, Unit};

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

/// The same for a time that is in UTC and does not say so, as vendors write it in members that are named `…_gmt`.
///
/// # Errors
/// `timestamp_invalid` when `text` is no such time, or has an offset other than `Z`.
pub fn utc_unsaid(text: &str, path: &str) -> Result<String, MapError> {
    let said = text.ends_with(['Z', 'z']);
    let stated = if said { text.to_owned() } else { format!("{text}Z") };
    utc(&stated, path).map_err(|_| {
        MapError::new(
            "timestamp_invalid",
            path,
            format!("{text:?} is not a time such as 2026-01-10T19:03:22"),
        )
    })
}

/// Seconds since 1970-01-01T00:00:00Z, `1768053802` or `1768053802.5`, as RFC 3339 in UTC.
///
/// # Errors
/// `timestamp_invalid` when it is no such count, `timestamp_out_of_range` before 2000 or after 9999, as milliseconds read as
/// seconds are.
pub fn epoch_seconds(text: &str, path: impl FnOnce() -> String) -> Result<String, MapError> {
    epoch(text, Unit::Seconds, "seconds", path)
}

/// The same in milliseconds: `1768053802500`. Seconds read as milliseconds are out of range.
///
/// # Errors
/// As [`epoch_seconds`].
pub fn epoch_millis(text: &str, path: impl FnOnce() -> String) -> Result<String, MapError> {
    epoch(text, Unit::Milliseconds, "milliseconds", path)
}

fn epoch(text: &str, unit: Unit, name: &str, path: impl FnOnce() -> String) -> Result<String, MapError> {
    let at = Instant::of_epoch(text, unit).and_then(|at| at.rfc3339().ok_or(EpochFault::OutOfRange));
    at.map_err(|fault| match fault {
        EpochFault::Invalid => MapError::new(
            "timestamp_invalid",
            path(),
            format!("{text:?} is not a number of {name} since 1970"),
        ),
        EpochFault::OutOfRange => MapError::new(
            "timestamp_out_of_range",
            path(),
            format!(
                "{text:?} {name} since 1970 are before 2000 or after 9999: it is most likely another unit"
            ),
        ),
    })
}

/// A day and, if known, a time of day in UTC as X12 writes them: `20260110` or `260110`, and `1403`, `140322` or
/// `14032250`. A year of two digits is the one from 1970 to 2069.
///
/// # Errors
/// `timestamp_invalid` when they are no day and time.
pub fn compact(date: &str, time: Option<&str>, path: &str) -> Result<String, MapError> {
    compact_instant(date, time)
        .and_then(|at| at.assume_utc().format(&Rfc3339).ok())
        .ok_or_else(|| invalid_compact(date, time, path))
}

/// A day as X12 writes it, `20260110` or `260110`, as RFC 3339 writes it: `2026-01-10`.
///
/// # Errors
/// `timestamp_invalid` when it is none.
pub fn compact_day(date: &str, path: &str) -> Result<String, MapError> {
    let day = compact_date(date).ok_or_else(|| invalid_compact(date, None, path))?;
    Ok(format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()))
}

fn invalid_compact(date: &str, time: Option<&str>, path: &str) -> MapError {
    let (space, time) = time.map_or(("", ""), |time| (" ", time));
    MapError::new(
        "timestamp_invalid",
        path,
        format!("\"{date}{space}{time}\" is no day and time such as 20260110 1403"),
    )
}

fn compact_instant(date: &str, time: Option<&str>) -> Option<PrimitiveDateTime> {
    let time = match time {
        None => Time::MIDNIGHT,
        Some(time) => {
            let [hour, minute] = [number(time.get(..2)?)?, number(time.get(2..4)?)?];
            let (second, hundredths) = match time.len() {
                4 => (0, 0),
                6 => (number(&time[4..])?, 0),
                8 => (number(&time[4..6])?, number(&time[6..])?),
                _ => return None,
            };
            Time::from_hms_milli(hour, minute, second, u16::from(hundredths) * 10).ok()?
        }
    };
    Some(PrimitiveDateTime::new(compact_date(date)?, time))
}

fn compact_date(date: &str) -> Option<Date> {
    let (year, rest) = match date.len() {
        8 => (i32::from(number(date.get(..2)?)?) * 100 + i32::from(number(date.get(2..4)?)?), date.get(4..)?),
        6 => match i32::from(number(date.get(..2)?)?) {
            year @ 70.. => (1900 + year, date.get(2..)?),
            year => (2000 + year, date.get(2..)?),
        },
        _ => return None,
    };
    let month = Month::try_from(number(rest.get(..2)?)?).ok()?;
    Date::from_calendar_date(year, month, number(rest.get(2..)?)?).ok()
}

/// Digits only: `+1` is a number to Rust, and none to X12.
fn number(digits: &str) -> Option<u8> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
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

    #[test]
    fn utc_may_be_unsaid() {
        assert_eq!(utc_unsaid("2026-01-10T19:03:22", "").as_deref(), Ok("2026-01-10T19:03:22Z"));
        assert_eq!(utc_unsaid("2026-01-10T19:03:22Z", "").as_deref(), Ok("2026-01-10T19:03:22Z"));
        for given in ["2026-01-10", "2026-01-10T19:03:22-05:00", "", "2026-01-10 19:03:22 UTC"] {
            let refused = utc_unsaid(given, "/date_created_gmt").expect_err(given);
            assert_eq!((refused.code(), refused.path()), ("timestamp_invalid", "/date_created_gmt"));
        }
    }

    #[test]
    fn counts_since_1970_are_of_the_unit_that_is_read() {
        let path = || "/at".to_owned();
        assert_eq!(epoch_seconds("1768053802", path).as_deref(), Ok("2026-01-10T14:03:22Z"));
        assert_eq!(epoch_millis("1768053802050", path).as_deref(), Ok("2026-01-10T14:03:22.05Z"));
        for (refused, code) in [
            (epoch_seconds("1768053802050", path), "timestamp_out_of_range"),
            (epoch_millis("1768053802", path), "timestamp_out_of_range"),
            (epoch_millis("1768053802.5", path), "timestamp_invalid"),
            (epoch_seconds("2026-01-10", path), "timestamp_invalid"),
        ] {
            let refused = refused.expect_err(code);
            assert_eq!((refused.code(), refused.path()), (code, "/at"));
        }
    }

    #[test]
    fn compact_days_and_times_are_read() {
        for (date, time, expected) in [
            ("20260110", Some("1403"), "2026-01-10T14:03:00Z"),
            ("260110", Some("140322"), "2026-01-10T14:03:22Z"),
            ("700101", Some("00000050"), "1970-01-01T00:00:00.5Z"),
            ("20240229", None, "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(compact(date, time, "").as_deref(), Ok(expected), "{date} {time:?}");
        }
        assert_eq!(compact_day("260110", "").as_deref(), Ok("2026-01-10"));
        for (date, time) in [
            ("20230229", None),
            ("2026011", None),
            ("20261301", None),
            ("20260110", Some("2460")),
            ("20260110", Some("14:03")),
            ("20260110", Some("1")),
            ("+2260110", None),
            ("ä0260110", None),
            ("20260110", Some("é3é")),
        ] {
            let refused = compact(date, time, "/5/BIA04").expect_err(date);
            assert_eq!((refused.code(), refused.path()), ("timestamp_invalid", "/5/BIA04"));
        }
    }
}

//! Dates and times as people and their programs write them: `31.12.2026 14:05`, `12/31/2026 2:05 PM`, seconds since 1970.
//!
//! `03/04/2026` is in March in Boston and in April in Berlin. So the order is declared ([`Order`]); where none is, only ISO 8601 is
//! read, and what two orders would read differently is [`Fault::Ambiguous`]. ISO 8601 (`2026-12-31`, `20261231`) is read always: nothing
//! else begins with four digits of a year. A year of two digits is the one from 1970 to 2069.
//!
//! A local time becomes an instant by the offsets of its zone ([`Offsets`]), which who knows the tz database hands over. An hour that
//! a zone skips or repeats has no one instant, and is refused.

use std::borrow::Cow;

/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// The order of day, month and year in a date of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// ISO 8601 only.
    Iso,
    /// `31.12.2026`, `31/12/26`, `31122026`.
    Dmy,
    /// `12/31/2026`.
    Mdy,
    /// `2026/12/31`, `26-12-31`.
    Ymd,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Iso, Self::Dmy, Self::Mdy, Self::Ymd];

    /// As in a contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Dmy => "dmy",
            Self::Mdy => "mdy",
            Self::Ymd => "ymd",
        }
    }

    /// Of its text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    fn example(self) -> &'static str {
        match self {
            Self::Iso => "2026-12-31",
            Self::Dmy => "31.12.2026",
            Self::Mdy => "12/31/2026",
            Self::Ymd => "2026/12/31",
        }
    }
}

/// Why a text is no date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not in the declared form, or a day or time that there is not.
    Invalid,
    /// Two days, by the order, which is not declared.
    Ambiguous,
}

impl Fault {
    /// What follows "`"03/04/2026"` is".
    #[must_use]
    pub fn words(self, order: Option<Order>) -> String {
        match self {
            Self::Ambiguous => {
                "two days, by the order of day and month: declare dates in [text] of the contract".into()
            }
            Self::Invalid => format!("not a date such as {}", order.unwrap_or(Order::Iso).example()),
        }
    }
}

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: i64,
    month: i64,
    day: i64,
}

impl Day {
    /// Year 1 to 9999; nothing when there is no such day.
    #[must_use]
    pub fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let there = (1..=9_999).contains(&year) && (1..=days).contains(&day);
        there.then_some(Self { year, month, day })
    }

    /// Reads a date.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read(text: &str, order: Option<Order>) -> Result<Self, Fault> {
        let parts = parts(text).ok_or(Fault::Invalid)?;
        let day = |[year, month, day]: [usize; 3]| {
            let year = match parts[year] {
                (number, 2) => century(number),
                (number, _) => number,
            };
            Self::new(year, parts[month].0, parts[day].0)
        };
        let wide: Vec<usize> = (0..3).filter(|at| parts[*at].1 == 4).collect();
        let found = match (&wide[..], order) {
            // Four digits in front are the year, in whatever order the others are declared.
            ([0], _) => day([0, 1, 2]).filter(|_| order.is_some() || text.as_bytes().get(4) != Some(&b' ')),
            ([2], Some(Order::Dmy)) | ([], Some(Order::Dmy)) => day([2, 1, 0]),
            ([2], Some(Order::Mdy)) | ([], Some(Order::Mdy)) => day([2, 0, 1]),
            ([], Some(Order::Ymd)) => day([0, 1, 2]),
            ([2] | [], None) => {
                let readings = [day([2, 1, 0]), day([2, 0, 1]), day([0, 1, 2]).filter(|_| wide.is_empty())];
                let mut readings: Vec<Self> = readings.into_iter().flatten().collect();
                readings.dedup();
                return Err(if readings.len() > 1 { Fault::Ambiguous } else { Fault::Invalid });
            }
            _ => None,
        };
        found.ok_or(Fault::Invalid)
    }

    /// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    #[must_use]
    pub fn since_1970(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let shifted = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let of_year = (153 * shifted + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    fn at(days: i64) -> Option<Self> {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * years + years / 4 - years / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        Self::new(years + era * 400 + i64::from(month <= 2), month, day)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn century(two_digits: i64) -> i64 {
    if two_digits >= 70 { 1_900 + two_digits } else { 2_000 + two_digits }
}

/// The three numbers of a date, with how many digits each has: one separator, the same twice, or eight digits without one.
fn parts(text: &str) -> Option<[(i64, usize); 3]> {
    let number = |text: &str| {
        let fits = matches!(text.len(), 1 | 2 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
        Some((text.parse().ok().filter(|_| fits)?, text.len()))
    };
    let Some(separator) = text.chars().find(|character| !character.is_ascii_digit()) else {
        // Which end has the year is the order's to say: `20261231` and `31122026` are told apart by what is a day.
        return (text.len() == 8).then(|| compact(text, number))?;
    };
    if !matches!(separator, '.' | '/' | '-' | ' ') {
        return None;
    }
    let mut parts = text.split(separator);
    let found = [number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?];
    let two = found[1].1 <= 2 && found.iter().filter(|(_, digits)| *digits == 4).count() <= 1;
    (parts.next().is_none() && two).then_some(found)
}

/// Eight digits: the year in front if that gives a day from 1900 on, else at the end.
fn compact(text: &str, number: impl Fn(&str) -> Option<(i64, usize)>) -> Option<[(i64, usize); 3]> {
    let front = [number(text.get(..4)?)?, number(text.get(4..6)?)?, number(text.get(6..)?)?];
    if front[0].0 >= 1_900 && Day::new(front[0].0, front[1].0, front[2].0).is_some() {
        return Some(front);
    }
    Some([number(text.get(..2)?)?, number(text.get(2..4)?)?, number(text.get(4..)?)?])
}

/// A day and a time of day somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Seconds since 1970-01-01T00:00:00 on the clock there.
    pub seconds: i64,
    /// Below 10^9.
    pub nanoseconds: u32,
    /// The sixtieth second of its minute, which is at the end of a month in UTC: `seconds` is then the one before.
    pub leap: bool,
}

impl Local {
    /// A date and a time of day, with blanks or a `T` between them: `31.12.2026 14:05`, `2026-12-31T14:05:59.5`, `12/31/2026 2:05 PM`.
    ///
    /// # Errors
    /// [`Fault`]. A date alone is no time.
    pub fn read(text: &str, order: Option<Order>) -> Result<Self, Fault> {
        let colon = text.find(':').ok_or(Fault::Invalid)?;
        // The hour is the digits in front of the first colon; before it comes what separates it from the date.
        let before =
            text.get(..colon).ok_or(Fault::Invalid)?.trim_end_matches(|one: char| one.is_ascii_digit());
        let time = text.get(before.len()..).ok_or(Fault::Invalid)?;
        let date = match before.strip_suffix(['T', 't']) {
            Some(date) => date,
            None if before.ends_with([' ', '\u{a0}', '\u{202f}']) => {
                let date = before.trim_end_matches([' ', '\u{a0}', '\u{202f}']);
                date.strip_suffix(',').unwrap_or(date)
            }
            None => return Err(Fault::Invalid),
        };
        let day = Day::read(date, order)?;
        let (second_of_day, nanoseconds, leap) = time_of_day(time).ok_or(Fault::Invalid)?;
        Ok(Self { seconds: day.since_1970() * DAY_SECONDS + second_of_day, nanoseconds, leap })
    }

    /// The first moment of a day.
    #[must_use]
    pub fn start_of(day: Day) -> Self {
        Self { seconds: day.since_1970() * DAY_SECONDS, nanoseconds: 0, leap: false }
    }

    /// The instant, by the zone's offsets.
    ///
    /// # Errors
    /// [`ZoneFault`].
    pub fn instant(self, offsets: &Offsets<'_>) -> Result<Instant, ZoneFault> {
        let seconds = offsets.utc(self.seconds)?;
        if !self.leap {
            return Ok(Instant { seconds, nanoseconds: self.nanoseconds });
        }
        // A leap second is the last of a month in UTC (ITU-R TF.460).
        let ends_month = Day::at((seconds + 1).div_euclid(DAY_SECONDS)).is_some_and(|next| next.day == 1);
        if (seconds + 1).rem_euclid(DAY_SECONDS) != 0 || !ends_month {
            return Err(ZoneFault::Skipped);
        }
        Ok(Instant { seconds, nanoseconds: 999_999_999 })
    }
}

/// `14:05`, `14:05:59`, `14:05:59.5` (or a comma), `2:05 PM`: the second of the day, nanoseconds, and whether it is a leap second.
fn time_of_day(text: &str) -> Option<(i64, u32, bool)> {
    let (clock, afternoon) = match text.len().checked_sub(2).and_then(|at| text.split_at_checked(at)) {
        Some((clock, half)) if half.eq_ignore_ascii_case("am") => (clock, Some(false)),
        Some((clock, half)) if half.eq_ignore_ascii_case("pm") => (clock, Some(true)),
        _ => (text, None),
    };
    let clock = if afternoon.is_some() { clock.trim_end_matches([' ', '\u{a0}', '\u{202f}']) } else { clock };
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<i64> {
        let fits = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| fits)
    };
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let (second, fraction) = match parts.next() {
        None => (0, ""),
        Some(text) => match text.split_once(['.', ',']) {
            None => (number(text, 2..=2)?, ""),
            Some((second, fraction)) => {
                number(fraction, 1..=18)?;
                (number(second, 2..=2)?, fraction)
            }
        },
    };
    let hour = match afternoon {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
    };
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = second == 60;
    Some((hour * 3_600 + minute * 60 + second - i64::from(leap), nanoseconds(fraction), leap))
}

/// Digits after the point, cut after the ninth.
fn nanoseconds(fraction: &str) -> u32 {
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    digits.fold(0, |all, digit| all * 10 + u32::from(digit.wrapping_sub(b'0').min(9)))
}

/// The offsets of a zone over some years.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets<'a> {
    /// From when on (seconds since 1970 in UTC) which offset holds (seconds east of UTC), in order; known from the first on.
    pub from: Cow<'a, [(i64, i64)]>,
    /// Until when they are known, in seconds since 1970.
    pub until: i64,
}

/// Why a local time is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneFault {
    /// The clocks were put forward over it.
    Skipped,
    /// The clocks were put back over it, so that it came twice.
    Repeated,
    /// Beyond what is known of the zone.
    OutOfRange,
}

impl ZoneFault {
    /// What follows "`"…"` is".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Skipped => "a time that the clocks of the zone skip",
            Self::Repeated => "a time that the clocks of the zone show twice, so that it is two instants",
            Self::OutOfRange => {
                "too far from when the message was received: the offsets of the zone are known for some years"
            }
        }
    }
}

impl Offsets<'_> {
    /// UTC itself.
    pub const UTC: Offsets<'static> = Offsets { from: Cow::Borrowed(&[(i64::MIN, 0)]), until: i64::MAX };

    /// Seconds since 1970 in UTC of what a clock of the zone shows.
    ///
    /// # Errors
    /// [`ZoneFault`].
    pub fn utc(&self, local: i64) -> Result<i64, ZoneFault> {
        let ends = self.from.iter().skip(1).map(|(from, _)| *from).chain([self.until]);
        let mut found = None;
        for ((from, offset), end) in self.from.iter().zip(ends) {
            let at = local.saturating_sub(*offset);
            if *from <= at && at < end {
                match found {
                    None => found = Some(at),
                    Some(_) => return Err(ZoneFault::Repeated),
                }
            }
        }
        let (Some((first, earliest)), Some((_, latest))) = (self.from.first(), self.from.last()) else {
            return Err(ZoneFault::OutOfRange);
        };
        match found {
            Some(at) => Ok(at),
            None if local.saturating_sub(*earliest) < *first
                || local.saturating_sub(*latest) >= self.until =>
            {
                Err(ZoneFault::OutOfRange)
            }
            None => Err(ZoneFault::Skipped),
        }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Below 10^9.
    pub nanoseconds: u32,
}

/// 2000-01-01T00:00:00Z: no message of ours is older, so an earlier count is one of another unit.
const EPOCH_SECONDS_MIN: i64 = 946_684_800;
/// 10000-01-01T00:00:00Z.
const SECONDS_END: i64 = 253_402_300_800;

/// The unit of a count since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with a fraction or without.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// Why a text is no count since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochFault {
    /// Not digits.
    Invalid,
    /// Before 2000 or after 9999: most likely a count of another unit.
    OutOfRange,
}

impl Instant {
    /// A count of a unit that is known, since 1970. What the count would be of another unit is out of range, so that seconds are
    /// never taken for milliseconds.
    ///
    /// # Errors
    /// [`EpochFault`].
    pub fn of_epoch(text: &str, unit: Unit) -> Result<Self, EpochFault> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !digits(whole) || !digits(fraction) || (unit == Unit::Milliseconds && whole.len() < text.len()) {
            return Err(EpochFault::Invalid);
        }
        let count: i64 = whole.parse().map_err(|_| EpochFault::OutOfRange)?;
        let at = match unit {
            Unit::Seconds => Self { seconds: count, nanoseconds: nanoseconds(fraction) },
            Unit::Milliseconds => Self {
                seconds: count / 1_000,
                nanoseconds: u32::try_from(count % 1_000).unwrap_or(0) * 1_000_000,
            },
        };
        let plausible = (EPOCH_SECONDS_MIN..SECONDS_END).contains(&at.seconds);
        if plausible { Ok(at) } else { Err(EpochFault::OutOfRange) }
    }

    /// RFC 3339 in UTC, without zeros at the end of the fraction; nothing before year 1 and after 9999.
    #[must_use]
    pub fn rfc3339(self) -> Option<String> {
        let day = Day::at(self.seconds.div_euclid(DAY_SECONDS))?;
        let second = self.seconds.rem_euclid(DAY_SECONDS);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let fraction = match self.nanoseconds {
            0 => String::new(),
            some => format!(".{some:09}").trim_end_matches('0').to_owned(),
        };
        Some(format!("{day}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    #[test]
    fn dates_are_read_in_the_declared_order() {
        use Order::{Dmy, Iso, Mdy, Ymd};
        for (order, text, expected) in [
            (Some(Dmy), "31.12.2026", "2026-12-31"),
            (Some(Dmy), "3/4/2026", "2026-04-03"),
            (Some(Dmy), "03-04-26", "2026-04-03"),
            (Some(Dmy), "31.12.70", "1970-12-31"),
            (Some(Dmy), "31 12 2026", "2026-12-31"),
            (Some(Dmy), "31122026", "2026-12-31"),
            (Some(Dmy), "2026-12-31", "2026-12-31"),
            (Some(Dmy), "20261231", "2026-12-31"),
            (Some(Mdy), "3/4/2026", "2026-03-04"),
            (Some(Mdy), "12/31/26", "2026-12-31"),
            (Some(Mdy), "12312026", "2026-12-31"),
            (Some(Mdy), "2026/12/31", "2026-12-31"),
            (Some(Ymd), "2026/12/31", "2026-12-31"),
            (Some(Ymd), "26.12.31", "2026-12-31"),
            (Some(Ymd), "2026-1-2", "2026-01-02"),
            (Some(Iso), "2026-12-31", "2026-12-31"),
            (None, "2026-12-31", "2026-12-31"),
            (None, "20261231", "2026-12-31"),
            (None, "2024-02-29", "2024-02-29"),
        ] {
            assert_eq!(
                Day::read(text, order).map(|day| day.to_string()).as_deref(),
                Ok(expected),
                "{order:?} {text}"
            );
        }
        for (order, text, fault) in [
            (None, "03/04/2026", Fault::Ambiguous),
            (None, "03.04.26", Fault::Ambiguous),
            (None, "31.12.2026", Fault::Invalid),
            (None, "04/04/2026", Fault::Invalid),
            (Some(Iso), "31.12.2026", Fault::Invalid),
            (Some(Ymd), "31.12.2026", Fault::Invalid),
            (Some(Dmy), "12/31/2026", Fault::Invalid),
            (Some(Dmy), "29.02.2026", Fault::Invalid),
            (Some(Dmy), "31.12/2026", Fault::Invalid),
            (Some(Dmy), "31.12.026", Fault::Invalid),
            (Some(Dmy), "31..2026", Fault::Invalid),
            (Some(Dmy), "00.01.2026", Fault::Invalid),
            (Some(Dmy), "31.12.0000", Fault::Invalid),
            (Some(Dmy), "31.12.2026.", Fault::Invalid),
            (Some(Dmy), "46022", Fault::Invalid),
            (Some(Dmy), "", Fault::Invalid),
            (Some(Dmy), "３１.12.2026", Fault::Invalid),
        ] {
            assert_eq!(Day::read(text, order), Err(fault), "{order:?} {text}");
        }
    }

    fn utc(text: &str, order: Order) -> Option<String> {
        Local::read(text, Some(order)).ok()?.instant(&Offsets::UTC).ok()?.rfc3339()
    }

    #[test]
    fn times_of_day_have_their_bounds() {
        for (text, expected) in [
            ("31.12.2026 14:05", Some("2026-12-31T14:05:00Z")),
            ("31.12.2026, 14:05:59", Some("2026-12-31T14:05:59Z")),
            ("2026-12-31T14:05:59.120", Some("2026-12-31T14:05:59.12Z")),
            ("31.12.2026  9:05:00,5", Some("2026-12-31T09:05:00.5Z")),
            ("31.12.2026 12:05 am", Some("2026-12-31T00:05:00Z")),
            ("31.12.2026 12:05 PM", Some("2026-12-31T12:05:00Z")),
            ("31.12.2026 2:05PM", Some("2026-12-31T14:05:00Z")),
            ("31.12.2026 23:59:60", Some("2026-12-31T23:59:59.999999999Z")),
            ("31.12.2026 22:59:60", None),
            ("30.12.2026 23:59:60", None),
            ("31.12.2026 23:59:61", None),
            ("31.12.2026 24:00", None),
            ("31.12.2026 24:00:00", None),
            ("31.12.2026 14:60", None),
            ("31.12.2026 14:5", None),
            ("31.12.2026 13:05 PM", None),
            ("31.12.2026 14", None),
            ("31.12.2026", None),
            ("31.12.202614:05", None),
            ("14:05", None),
            ("31.12.2026 14:05:", None),
            ("31.12.2026 14:05:00:00", None),
            ("31.12.2026 14:05+01:00", None),
        ] {
            assert_eq!(utc(text, Order::Dmy).as_deref(), expected, "{text}");
        }
    }

    /// Europe/Berlin in 2026: 29 March 02:00 and 25 October 03:00.
    const BERLIN: Offsets<'static> = Offsets {
        from: Cow::Borrowed(&[(1_767_225_600, 3_600), (1_774_746_000, 7_200), (1_792_890_000, 3_600)]),
        until: 1_798_761_600,
    };

    #[test]
    fn a_local_time_is_one_instant_or_refused() {
        for (text, expected) in [
            ("2026-01-15 12:00", Ok("2026-01-15T11:00:00Z")),
            ("2026-07-15 12:00", Ok("2026-07-15T10:00:00Z")),
            ("2026-03-29 01:59:59", Ok("2026-03-29T00:59:59Z")),
            ("2026-03-29 02:00", Err(ZoneFault::Skipped)),
            ("2026-03-29 02:59:59", Err(ZoneFault::Skipped)),
            ("2026-03-29 03:00", Ok("2026-03-29T01:00:00Z")),
            ("2026-10-25 01:59:59", Ok("2026-10-24T23:59:59Z")),
            ("2026-10-25 02:00", Err(ZoneFault::Repeated)),
            ("2026-10-25 02:59:59", Err(ZoneFault::Repeated)),
            ("2026-10-25 03:00", Ok("2026-10-25T02:00:00Z")),
            ("2025-12-31 12:00", Err(ZoneFault::OutOfRange)),
            ("2027-01-01 01:00", Err(ZoneFault::OutOfRange)),
            ("2027-01-01 00:59:60", Err(ZoneFault::OutOfRange)),
        ] {
            let found = Local::read(text, None).unwrap().instant(&BERLIN);
            let found = found.map(|at| at.rfc3339().unwrap());
            let found = found.as_deref().map_err(|fault| *fault);
            // The leap second of Berlin is at 00:59:60 there, which is within what is known.
            if text.ends_with("60") {
                assert_eq!(found, Ok("2026-12-31T23:59:59.999999999Z"));
            } else {
                assert_eq!(found, expected, "{text}");
            }
        }
    }

    #[test]
    fn a_count_since_1970_is_of_the_declared_unit() {
        use Unit::{Milliseconds, Seconds};
        for (text, unit, expected) in [
            ("1768053802", Seconds, Ok("2026-01-10T14:03:22Z")),
            ("1768053802.50", Seconds, Ok("2026-01-10T14:03:22.5Z")),
            ("1768053802.1234567899", Seconds, Ok("2026-01-10T14:03:22.123456789Z")),
            ("1768053802007", Milliseconds, Ok("2026-01-10T14:03:22.007Z")),
            ("253402300799", Seconds, Ok("9999-12-31T23:59:59Z")),
            ("946684800000", Milliseconds, Ok("2000-01-01T00:00:00Z")),
            // Seconds for milliseconds, and the other way round.
            ("1768053802", Milliseconds, Err(EpochFault::OutOfRange)),
            ("1768053802007", Seconds, Err(EpochFault::OutOfRange)),
            ("253402300800", Seconds, Err(EpochFault::OutOfRange)),
            ("946684799", Seconds, Err(EpochFault::OutOfRange)),
            ("0", Seconds, Err(EpochFault::OutOfRange)),
            ("99999999999999999999", Seconds, Err(EpochFault::OutOfRange)),
            ("-1768053802", Seconds, Err(EpochFault::Invalid)),
            ("1768053802.5", Milliseconds, Err(EpochFault::Invalid)),
            ("1.768e9", Seconds, Err(EpochFault::Invalid)),
            ("1768053802.", Seconds, Err(EpochFault::Invalid)),
            ("", Seconds, Err(EpochFault::Invalid)),
        ] {
            let found = Instant::of_epoch(text, unit).map(|at| at.rfc3339().unwrap());
            assert_eq!(found.as_deref().map_err(|fault| *fault), expected, "{text} {unit:?}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for days in (-719_162..2_932_896).step_by(97) {
            let day = Day::at(days).unwrap();
            assert_eq!(day.since_1970(), days);
            for order in Order::ALL {
                let text = match order {
                    Order::Dmy => format!("{}.{}.{:04}", day.day, day.month, day.year),
                    Order::Mdy => format!("{}/{}/{:04}", day.month, day.day, day.year),
                    Order::Iso | Order::Ymd => day.to_string(),
                };
                assert_eq!(Day::read(&text, Some(order)), Ok(day), "{text}");
            }
        }
    }

    #[test]
    fn no_text_panics() {
        let characters: Vec<char> = "0123456789.:/- T,aMpé\u{a0}３".chars().collect();
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..state % 24 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push(characters[usize::try_from(state >> 33).unwrap() % characters.len()]);
            }
            state = state.wrapping_add(1);
            for order in Order::ALL.into_iter().map(Some).chain([None]) {
                let _ = (Day::read(&text, order), Local::read(&text, order));
            }
            let _ = Instant::of_epoch(&text, Unit::Seconds);
        }
    }
}

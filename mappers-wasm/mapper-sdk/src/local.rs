//! Numbers, dates and times as the vendor writes them, by what `[text]` of the contract declares: `meta.text`.
//!
//! ```
//! use mapper_sdk::local::Conventions;
//!
//! # let told = r#"{"decimal":",","grouping":".","dates":"dmy",
//! #               "zone":{"name":"Europe/Berlin","offsets":[[1767225600,3600],[1774746000,7200]],"until":1792890000}}"#;
//! // Of a contract with decimal = ",", grouping = ".", dates = "dmy", zone = "Europe/Berlin":
//! let text: Conventions = serde_json::from_str(told).unwrap();
//! assert_eq!(text.level("1.250", String::new), Ok(1_250));
//! assert_eq!(text.time("31.03.2026 14:05", String::new).as_deref(), Ok("2026-03-31T12:05:00Z"));
//! assert_eq!(text.level("1,250", String::new).unwrap_err().code(), "quantity_fraction");
//! ```
//!
//! What is not declared is read only where it has no second reading: `1.250` and `03/04/2026` are then refused as `decimal_ambiguous` and
//! `date_ambiguous`. The rules are those of `sluice_formats`, which `sluice mapper new` infers by as well.
//!
//! Readers without conventions ([`quantity`], [`Currency::minor`], [`time::utc`](crate::time::utc)) are for formats whose own
//! specification has one form: JSON numbers, X12, RFC 3339, or a vendor that documents `-?digits[.digits]`.

use std::borrow::Cow;

use serde::Deserialize;
use sluice_formats::date::{Day, Local, Offsets, Order, ZoneFault};
use sluice_formats::decimal::{Fault, Grouping, Mark, Marks};

use crate::json::{Decimal, Integer};
use crate::money::{Currency, Minor};
use crate::{MapError, quantity, time};

/// How the vendor of a message writes text; empty when its contract declares nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Told")]
pub struct Conventions {
    marks: Marks,
    dates: Option<Order>,
    zone: Option<Offsets<'static>>,
}

/// `text` of the metadata, as the host writes it (`wit/mapper.wit`).
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    decimal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    grouping: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    dates: Option<Cow<'a, str>>,
    #[serde(default)]
    zone: Option<ToldZone>,
}

#[derive(Deserialize)]
struct ToldZone {
    offsets: Vec<(i64, i64)>,
    until: i64,
}

impl TryFrom<Told<'_>> for Conventions {
    type Error = String;

    fn try_from(told: Told<'_>) -> Result<Self, String> {
        fn word<W>(
            name: &str,
            text: Option<Cow<'_, str>>,
            read: fn(&str) -> Option<W>,
        ) -> Result<Option<W>, String> {
            let Some(text) = text else { return Ok(None) };
            read(&text)
                .map(Some)
                .ok_or_else(|| format!("text.{name} is {text:?}, which this mapper does not know"))
        }
        Ok(Self {
            marks: Marks {
                decimal: word("decimal", told.decimal, Mark::of)?,
                grouping: word("grouping", told.grouping, Grouping::of)?.unwrap_or_default(),
            },
            dates: word("dates", told.dates, Order::of)?,
            zone: told.zone.map(|zone| Offsets { from: Cow::Owned(zone.offsets), until: zone.until }),
        })
    }
}

/// A number as it stands in a message.
pub trait Number {
    /// As it was sent.
    fn as_sent(&self) -> &str;

    /// Whether it is a JSON number, whose mark is a point whatever the vendor writes in texts.
    fn is_json_number(&self) -> bool {
        false
    }
}

impl Number for str {
    fn as_sent(&self) -> &str {
        self
    }
}

impl Number for Cow<'_, str> {
    fn as_sent(&self) -> &str {
        self
    }
}

impl Number for Decimal<'_> {
    fn as_sent(&self) -> &str {
        self.as_str()
    }

    fn is_json_number(&self) -> bool {
        self.is_number()
    }
}

impl Conventions {
    fn plain<'t, N: Number + ?Sized>(
        &self,
        number: &'t N,
        invalid: &'static str,
        path: impl FnOnce() -> String,
    ) -> Result<Cow<'t, str>, MapError> {
        let text = number.as_sent();
        if number.is_json_number() {
            return Ok(Cow::Borrowed(text));
        }
        self.marks.plain(text).map_err(|fault| {
            let code = match fault {
                Fault::Invalid => invalid,
                Fault::Ambiguous => "decimal_ambiguous",
            };
            // Where there is no digit, no mark is to blame.
            let marks =
                if text.contains(|one: char| one.is_ascii_digit()) { self.marks } else { Marks::default() };
            MapError::new(code, path(), format!("{text:?} is {}", fault.words(marks)))
        })
    }

    /// A number with a point for its mark and without groups, for readers that take it so.
    ///
    /// # Errors
    /// `decimal_invalid`, `decimal_ambiguous`.
    pub fn decimal<'t, N: Number + ?Sized>(
        &self,
        number: &'t N,
        path: impl FnOnce() -> String,
    ) -> Result<Decimal<'t>, MapError> {
        self.plain(number, "decimal_invalid", path).map(Decimal::new)
    }

    /// A whole number of pieces.
    ///
    /// # Errors
    /// Those of [`quantity::whole`], and `decimal_ambiguous`.
    pub fn whole<N: Number + ?Sized>(&self, number: &N, path: impl Fn() -> String) -> Result<i64, MapError> {
        if number.is_json_number()
            && let Some(integer) = Integer::of(number.as_sent())
        {
            return quantity::in_range(integer.get(), path);
        }
        quantity::whole(&self.plain(number, "quantity_invalid", &path)?, path)
    }

    /// The same, and not below zero.
    ///
    /// # Errors
    /// Those of [`quantity::level`], and `decimal_ambiguous`.
    pub fn level<N: Number + ?Sized>(&self, number: &N, path: impl Fn() -> String) -> Result<i64, MapError> {
        quantity::not_negative(self.whole(number, &path)?, path)
    }

    /// An amount in minor units of a currency.
    ///
    /// # Errors
    /// Those of [`Currency::minor`], and `decimal_ambiguous`.
    pub fn minor<N: Number + ?Sized>(
        &self,
        currency: &Currency,
        amount: &N,
        path: impl Fn() -> String,
    ) -> Result<Minor, MapError> {
        let plain = self.plain(amount, "amount_invalid", &path)?;
        currency.minor(&Decimal::new(plain), path)
    }

    /// A day as RFC 3339 writes it: `2026-12-31`.
    ///
    /// # Errors
    /// `date_invalid`, `date_ambiguous`.
    pub fn date(&self, text: &str, path: impl FnOnce() -> String) -> Result<String, MapError> {
        Day::read(text, self.dates)
            .map(|day| day.to_string())
            .map_err(|fault| self.refused_date("date_invalid", text, fault, path))
    }

    /// A date and a time of day as RFC 3339 in UTC. One with an offset is read as [`time::utc`] does; else the contract must declare the
    /// zone that its clock stands in. An hour that the zone skips or repeats is refused.
    ///
    /// # Errors
    /// `timestamp_invalid`, `date_ambiguous`, `zone_undeclared`, `time_skipped`, `time_repeated`, `time_out_of_range`.
    pub fn time(&self, text: &str, path: impl FnOnce() -> String) -> Result<String, MapError> {
        if let Ok(utc) = time::utc(text, "") {
            return Ok(utc);
        }
        let local = match Local::read(text, self.dates) {
            Ok(local) => local,
            Err(fault) => return Err(self.refused_date("timestamp_invalid", text, fault, path)),
        };
        let Some(zone) = &self.zone else {
            let why = format!(
                "{text:?} does not say in which zone it is: declare zone in [text] of the contract, such as Europe/Berlin"
            );
            return Err(MapError::new("zone_undeclared", path(), why));
        };
        let instant = local.instant(zone).and_then(|at| at.rfc3339().ok_or(ZoneFault::OutOfRange));
        instant.map_err(|fault| {
            let code = match fault {
                ZoneFault::Skipped => "time_skipped",
                ZoneFault::Repeated => "time_repeated",
                ZoneFault::OutOfRange => "time_out_of_range",
            };
            MapError::new(code, path(), format!("{text:?} is {}", fault.words()))
        })
    }

    fn refused_date(
        &self,
        invalid: &'static str,
        text: &str,
        fault: sluice_formats::date::Fault,
        path: impl FnOnce() -> String,
    ) -> MapError {
        use sluice_formats::date::Fault;
        let time = if invalid == "timestamp_invalid" { " and a time of day such as 14:05" } else { "" };
        match fault {
            Fault::Invalid => {
                MapError::new(invalid, path(), format!("{text:?} is {}{time}", fault.words(self.dates)))
            }
            Fault::Ambiguous => {
                MapError::new("date_ambiguous", path(), format!("{text:?} is {}", fault.words(self.dates)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: &str = r#"{"decimal":",","grouping":".","dates":"dmy","zone":{"name":"Europe/Berlin",
        "offsets":[[1767225600,3600],[1774746000,7200],[1792890000,3600]],"until":1798761600}}"#;

    fn conventions(told: &str) -> Conventions {
        serde_json::from_str(told).expect("conventions")
    }

    #[test]
    fn declared_conventions_are_what_is_read_by() {
        let text = conventions(GERMAN);
        let path = || "/q".to_owned();
        assert_eq!(text.whole("-1.234", path), Ok(-1_234));
        assert_eq!(text.level("12,000", path), Ok(12));
        assert_eq!(text.decimal("1.234,56", path).map(|it| it.as_str().to_owned()).as_deref(), Ok("1234.56"));
        let euro = Currency::parse("EUR", "").expect("a currency");
        assert_eq!(text.minor(&euro, "1.234,56", path), Ok(123_456));
        assert_eq!(text.date("3.4.2026", path).as_deref(), Ok("2026-04-03"));
        assert_eq!(text.time("25.10.2026 03:00", path).as_deref(), Ok("2026-10-25T02:00:00Z"));
        assert_eq!(text.time("2026-10-25T02:30:00+01:00", path).as_deref(), Ok("2026-10-25T01:30:00Z"));
        for (refused, code) in [
            (text.level("-1", path).map(drop), "quantity_negative"),
            (text.level("1.5", path).map(drop), "quantity_invalid"),
            (text.level("1,5", path).map(drop), "quantity_fraction"),
            (text.whole("9.007.199.254.740.992", path).map(drop), "quantity_out_of_range"),
            (text.minor(&euro, "1,234", path).map(drop), "amount_too_precise"),
            (text.minor(&euro, "1 234", path).map(drop), "amount_invalid"),
            (text.decimal("", path).map(drop), "decimal_invalid"),
            (text.date("12/31/2026", path).map(drop), "date_invalid"),
            (text.time("31.12.2026", path).map(drop), "timestamp_invalid"),
            (text.time("29.03.2026 02:30", path).map(drop), "time_skipped"),
            (text.time("25.10.2026 02:30", path).map(drop), "time_repeated"),
            (text.time("25.10.2020 12:30", path).map(drop), "time_out_of_range"),
        ] {
            let refused = refused.expect_err(code);
            assert_eq!((refused.code(), refused.path()), (code, "/q"), "{refused}");
        }
    }

    #[test]
    fn what_is_not_declared_has_one_form() {
        let text = Conventions::default();
        let path = || "/q".to_owned();
        assert_eq!(text.level("12.0", path), Ok(12));
        assert_eq!(text.time("2026-01-10T14:03:22Z", path).as_deref(), Ok("2026-01-10T14:03:22Z"));
        for (refused, code) in [
            (text.level("12.000", path).map(drop), "decimal_ambiguous"),
            (text.level("1,250", path).map(drop), "decimal_ambiguous"),
            (text.level("12 500", path).map(drop), "quantity_invalid"),
            (text.date("03/04/2026", path).map(drop), "date_ambiguous"),
            (text.date("31.12.2026", path).map(drop), "date_invalid"),
            (text.time("03/04/2026 12:00", path).map(drop), "date_ambiguous"),
            (text.time("2026-01-10 14:03", path).map(drop), "zone_undeclared"),
        ] {
            let refused = refused.expect_err(code);
            assert_eq!((refused.code(), refused.path()), (code, "/q"), "{refused}");
        }
    }

    #[test]
    fn a_json_number_has_a_point_whatever_texts_have() {
        let text = conventions(GERMAN);
        let number: Decimal<'_> = serde_json::from_str("12.000").expect("a number");
        let string: Decimal<'_> = serde_json::from_str(r#""12.000""#).expect("a text");
        assert_eq!(text.whole(&number, String::new), Ok(12));
        assert_eq!(text.whole(&string, String::new), Ok(12_000));
        assert_eq!(Conventions::default().whole(&number, String::new), Ok(12));
        let number: Decimal<'_> = serde_json::from_str("12e1").expect("a number");
        assert_eq!(text.level(&number, String::new), Ok(120));
    }

    #[test]
    fn what_the_mapper_does_not_know_is_said() {
        for (told, words) in
            [(r#"{"decimal":"_"}"#, "text.decimal is \"_\""), (r#"{"dates":"dym"}"#, "text.dates is \"dym\"")]
        {
            let refused = serde_json::from_str::<Conventions>(told).expect_err(told);
            assert!(refused.to_string().contains(words), "{refused}");
        }
        assert_eq!(conventions("{}"), Conventions::default());
    }
}

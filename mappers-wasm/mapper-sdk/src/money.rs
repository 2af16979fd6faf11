//! Exact money: decimal text to integer minor units, by the currency's exponent in ISO 4217, without floats.

use crate::MapError;
use crate::json::Decimal;

/// An amount in minor units (cents, fils, yen), within ±(2^53 − 1) so that every JSON reader keeps it exact.
pub type Minor = i64;

/// The largest amount either side of zero.
pub const MINOR_MAX: Minor = 9_007_199_254_740_991;

/// A currency of ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

impl Currency {
    /// The currency of an alphabetic code, upper case. Codes withdrawn since 2020 are known too, since old messages are
    /// replayed.
    ///
    /// # Errors
    /// `currency_unknown` with `path` for any other text.
    pub fn parse(code: &str, path: &str) -> Result<Self, MapError> {
        Self::known(code).ok_or_else(|| {
            MapError::new("currency_unknown", path, format!("{code:?} is not a currency code of ISO 4217"))
        })
    }

    fn known(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        let within = |table: &[[u8; 3]]| table.binary_search(&code).is_ok();
        let exponent = if within(&EXPONENT_2) {
            2
        } else if within(&EXPONENT_0) {
            0
        } else if within(&EXPONENT_3) {
            3
        } else if within(&EXPONENT_4) {
            4
        } else {
            return None;
        };
        Some(Self { code, exponent })
    }

    /// The alphabetic code.
    #[must_use]
    pub fn code(&self) -> &str {
        // Only ASCII stands in the tables.
        str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Decimal places of the minor unit.
    #[must_use]
    pub fn exponent(&self) -> u8 {
        self.exponent
    }

    /// `amount` in this currency's minor units, exactly: `"10.5"` in USD is 1050, in KWD 10500.
    ///
    /// # Errors
    /// With the path that `path` gives: `amount_invalid` when it is no plain decimal number (`-?digits[.digits]`),
    /// `amount_too_precise` when digits beyond the minor unit are not zero (nothing is rounded), and
    /// `amount_out_of_range` beyond [`MINOR_MAX`].
    pub fn minor(&self, amount: &Decimal<'_>, path: impl FnOnce() -> String) -> Result<Minor, MapError> {
        let text = amount.as_str();
        minor(text, self.exponent).map_err(|fault| {
            let (code, why) = match fault {
                Fault::Invalid => ("amount_invalid", "is not a decimal number"),
                Fault::TooPrecise => ("amount_too_precise", "has more decimal places than the currency"),
                Fault::OutOfRange => ("amount_out_of_range", "is too large"),
            };
            MapError::new(code, path(), format!("{text:?} {why} ({})", self.code()))
        })
    }
}

impl Currency {
    /// What `pieces` of something come to at `unit_price` each, exactly, and the price of one if it is a whole number of minor
    /// units: 1000 screws at `"0.0725"` USD are 7250, and one has no price in cents.
    ///
    /// # Errors
    /// Those of [`Currency::minor`]; `amount_too_precise` when all pieces together are no whole number of minor units either.
    pub fn extended(
        &self,
        unit_price: &Decimal<'_>,
        pieces: i64,
        path: impl Fn() -> String,
    ) -> Result<(Option<Minor>, Minor), MapError> {
        let out_of_range =
            || MapError::new("amount_out_of_range", path(), "price times quantity is too large");
        match self.minor(unit_price, &path) {
            Ok(unit) => {
                let total = unit.checked_mul(pieces).filter(|total| (-MINOR_MAX..=MINOR_MAX).contains(total));
                Ok((Some(unit), total.ok_or_else(out_of_range)?))
            }
            Err(refused) if refused.code() == "amount_too_precise" => {
                // Plain decimal text, as `minor` has found; zeros at its end say nothing.
                let (whole, fraction) = unit_price.as_str().split_once('.').unwrap_or_default();
                let fraction = fraction.trim_end_matches('0');
                let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| out_of_range())?;
                let places = u32::try_from(fraction.len()).unwrap_or(u32::MAX) - u32::from(self.exponent);
                let total = digits.checked_mul(i128::from(pieces)).ok_or_else(out_of_range)?;
                let minor = 10_i128.checked_pow(places).ok_or_else(out_of_range)?;
                if total % minor != 0 {
                    return Err(refused);
                }
                let total = Minor::try_from(total / minor).ok();
                let total = total.filter(|total| (-MINOR_MAX..=MINOR_MAX).contains(total));
                Ok((None, total.ok_or_else(out_of_range)?))
            }
            Err(refused) => Err(refused),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Invalid,
    TooPrecise,
    OutOfRange,
}

/// `text` times ten to the power of `exponent`. One pass, since a message has many amounts.
pub(crate) fn minor(text: &str, exponent: u8) -> Result<Minor, Fault> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let exponent = usize::from(exponent);
    let (mut total, mut whole, mut fraction): (Minor, usize, Option<usize>) = (0, 0, None);
    let (mut precise, mut in_range) = (true, true);
    let mut shift = |digit: u8| {
        if in_range {
            total = total * 10 + Minor::from(digit);
            in_range = total <= MINOR_MAX;
        }
    };
    for byte in digits {
        match (byte, &mut fraction) {
            (b'0'..=b'9', None) => {
                whole += 1;
                shift(byte - b'0');
            }
            (b'0'..=b'9', Some(places)) => {
                *places += 1;
                if *places <= exponent {
                    shift(byte - b'0');
                } else {
                    precise &= *byte == b'0';
                }
            }
            (b'.', None) => fraction = Some(0),
            _ => return Err(Fault::Invalid),
        }
    }
    for _ in fraction.unwrap_or(0)..exponent {
        shift(0);
    }
    match () {
        () if whole == 0 || fraction == Some(0) => Err(Fault::Invalid),
        () if !precise => Err(Fault::TooPrecise),
        () if !in_range => Err(Fault::OutOfRange),
        () => Ok(if negative { -total } else { total }),
    }
}

/// Adds amounts of one currency.
///
/// # Errors
/// `amount_out_of_range` with the path that `path` gives, beyond [`MINOR_MAX`].
pub fn sum(
    amounts: impl IntoIterator<Item = Result<Minor, MapError>>,
    path: impl FnOnce() -> String,
) -> Result<Minor, MapError> {
    let mut total: Minor = 0;
    for amount in amounts {
        total += amount?;
        if !(-MINOR_MAX..=MINOR_MAX).contains(&total) {
            return Err(MapError::new(
                "amount_out_of_range",
                path(),
                "the sum of these amounts is too large",
            ));
        }
    }
    Ok(total)
}

// Exponents: ISO 4217:2015, list one (active codes, through amendment 180) and list three (withdrawn since 2020: ANG,
// BGN, CUC, HRK, SLL, ZWL). Precious metals, test codes and funds without a minor unit are left out: a price in gold is
// a mistake.
const EXPONENT_0: [[u8; 3]; 17] = [
    *b"BIF", *b"CLP", *b"DJF", *b"GNF", *b"ISK", *b"JPY", *b"KMF", *b"KRW", *b"PYG", *b"RWF", *b"UGX",
    *b"UYI", *b"VND", *b"VUV", *b"XAF", *b"XOF", *b"XPF",
];
const EXPONENT_3: [[u8; 3]; 7] = [*b"BHD", *b"IQD", *b"JOD", *b"KWD", *b"LYD", *b"OMR", *b"TND"];
const EXPONENT_4: [[u8; 3]; 2] = [*b"CLF", *b"UYW"];
#[rustfmt::skip]
const EXPONENT_2: [[u8; 3]; 145] = [
    *b"AED", *b"AFN", *b"ALL", *b"AMD", *b"ANG", *b"AOA", *b"ARS", *b"AUD", *b"AWG", *b"AZN",
    *b"BAM", *b"BBD", *b"BDT", *b"BGN", *b"BMD", *b"BND", *b"BOB", *b"BOV", *b"BRL", *b"BSD", *b"BTN", *b"BWP",
    *b"BYN", *b"BZD", *b"CAD", *b"CDF", *b"CHE", *b"CHF", *b"CHW", *b"CNY", *b"COP", *b"COU", *b"CRC", *b"CUC",
    *b"CUP", *b"CVE", *b"CZK", *b"DKK", *b"DOP", *b"DZD", *b"EGP", *b"ERN", *b"ETB", *b"EUR", *b"FJD", *b"FKP",
    *b"GBP", *b"GEL", *b"GHS", *b"GIP", *b"GMD", *b"GTQ", *b"GYD", *b"HKD", *b"HNL", *b"HRK", *b"HTG", *b"HUF",
    *b"IDR", *b"ILS", *b"INR", *b"IRR", *b"JMD", *b"KES", *b"KGS", *b"KHR", *b"KPW", *b"KYD", *b"KZT", *b"LAK",
    *b"LBP", *b"LKR", *b"LRD", *b"LSL", *b"MAD", *b"MDL", *b"MGA", *b"MKD", *b"MMK", *b"MNT", *b"MOP", *b"MRU",
    *b"MUR", *b"MVR", *b"MWK", *b"MXN", *b"MXV", *b"MYR", *b"MZN", *b"NAD", *b"NGN", *b"NIO", *b"NOK", *b"NPR",
    *b"NZD", *b"PAB", *b"PEN", *b"PGK", *b"PHP", *b"PKR", *b"PLN", *b"QAR", *b"RON", *b"RSD", *b"RUB", *b"SAR",
    *b"SBD", *b"SCR", *b"SDG", *b"SEK", *b"SGD", *b"SHP", *b"SLE", *b"SLL", *b"SOS", *b"SRD", *b"SSP", *b"STN",
    *b"SVC", *b"SYP", *b"SZL", *b"THB", *b"TJS", *b"TMT", *b"TOP", *b"TRY", *b"TTD", *b"TWD", *b"TZS", *b"UAH",
    *b"USD", *b"USN", *b"UYU", *b"UZS", *b"VED", *b"VES", *b"WST", *b"XAD", *b"XCD", *b"XCG", *b"YER", *b"ZAR",
    *b"ZMW", *b"ZWG", *b"ZWL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_disjoint() {
        let tables: [&[[u8; 3]]; 4] = [&EXPONENT_0, &EXPONENT_2, &EXPONENT_3, &EXPONENT_4];
        let mut all: Vec<[u8; 3]> = tables.concat();
        for table in tables {
            assert!(table.is_sorted());
        }
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
        assert!(all.iter().flatten().all(u8::is_ascii_uppercase));
    }

    #[test]
    fn exponents_are_iso_4217s() {
        for (code, exponent) in
            [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("EUR", 2), ("TND", 3), ("XOF", 0)]
        {
            assert_eq!(Currency::parse(code, "").map(|c| c.exponent()), Ok(exponent), "{code}");
        }
        for code in ["", "usd", "US", "USDT", "XAU", "XXX", "ÄÖÜ", "ZZZ"] {
            assert_eq!(Currency::parse(code, "/currency").expect_err(code).code(), "currency_unknown");
        }
    }

    #[test]
    fn decimal_text_is_exact_minor_units() {
        for (text, exponent, expected) in [
            ("10.00", 2, 1_000),
            ("10", 2, 1_000),
            ("10.5", 2, 1_050),
            ("0.1", 2, 10),
            ("-0.01", 2, -1),
            ("-0.00", 2, 0),
            ("1500", 0, 1_500),
            ("1500.00", 0, 1_500),
            ("1.234", 3, 1_234),
            ("0.29", 2, 29),
            ("1.1000000000000000", 2, 110),
            ("000012.30", 2, 1_230),
            ("90071992547409.91", 2, MINOR_MAX),
        ] {
            assert_eq!(minor(text, exponent), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nothing_is_rounded_or_guessed() {
        for text in
            ["", "-", ".", ".5", "5.", "+1", "1,000", "1e2", "1.0.0", " 1", "1 ", "NaN", "--1", "1.-5", "１"]
        {
            assert_eq!(minor(text, 2), Err(Fault::Invalid), "{text:?}");
        }
        assert_eq!(minor("1.005", 2), Err(Fault::TooPrecise));
        assert_eq!(minor("0.5", 0), Err(Fault::TooPrecise));
        assert_eq!(minor("90071992547409.92", 2), Err(Fault::OutOfRange));
        assert_eq!(minor(&"9".repeat(400), 2), Err(Fault::OutOfRange));
        assert_eq!(minor(&format!("{}1", "0".repeat(400)), 2), Ok(100));
    }

    #[test]
    fn a_price_below_a_cent_has_an_exact_total() {
        let usd = Currency::parse("USD", "").expect("a currency");
        let of = |price: &'static str, pieces| {
            let amount = Decimal::new(price);
            usd.extended(&amount, pieces, || "/price".to_owned()).map_err(|refused| refused.code())
        };
        assert_eq!(of("0.0725", 1_000), Ok((None, 7_250)));
        assert_eq!(of("0.07250", 400), Ok((None, 2_900)));
        assert_eq!(of("-0.005", 200), Ok((None, -100)));
        assert_eq!(of("1.50", 3), Ok((Some(150), 450)));
        assert_eq!(of("0.0725", 10), Err("amount_too_precise"));
        assert_eq!(of("0.0725", MINOR_MAX), Err("amount_too_precise"));
        assert_eq!(of("0.5", MINOR_MAX), Err("amount_out_of_range"));
        assert_eq!(of(&"9".repeat(60).leak()[..], 1), Err("amount_out_of_range"));
        assert_eq!(of(format!("0.{}1", "0".repeat(60)).leak(), 10), Err("amount_out_of_range"));
        assert_eq!(of("1e2", 1), Err("amount_invalid"));
    }

    #[test]
    fn sums_are_bounded() {
        assert_eq!(sum([Ok(1), Ok(-3)], String::new), Ok(-2));
        let refused = sum([Ok(MINOR_MAX), Ok(1)], || "/lines".to_owned()).expect_err("too large");
        assert_eq!((refused.code(), refused.path()), ("amount_out_of_range", "/lines"));
    }
}

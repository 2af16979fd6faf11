//! Exact quantities: decimal text to whole pieces, without floats.

use crate::MapError;
use crate::money::{Fault, MINOR_MAX, minor};

/// A whole number of pieces from decimal text: `"12"`, `"-3"` and `"12.000"` are, `"12.5"` is not.
///
/// # Errors
/// With the path that `path` gives: `quantity_invalid` when it is no plain decimal number, `quantity_fraction` when it is not
/// whole (nothing is rounded), and `quantity_out_of_range` beyond ±(2^53 − 1).
pub fn whole(text: &str, path: impl FnOnce() -> String) -> Result<i64, MapError> {
    minor(text, 0).map_err(|fault| {
        let (code, why) = match fault {
            Fault::Invalid => ("quantity_invalid", "is not a decimal number"),
            Fault::TooPrecise => ("quantity_fraction", "is not a whole number of pieces"),
            Fault::OutOfRange => ("quantity_out_of_range", "is more than 2^53 - 1"),
        };
        MapError::new(code, path(), format!("{text:?} {why}"))
    })
}

/// The same, and not below zero: what lies in a warehouse cannot be less than nothing.
///
/// # Errors
/// Those of [`whole`], and `quantity_negative`.
pub fn level(text: &str, path: impl Fn() -> String) -> Result<i64, MapError> {
    not_negative(whole(text, &path)?, path)
}

/// A level that the message has as a number.
///
/// # Errors
/// `quantity_negative`, `quantity_out_of_range`.
pub fn not_negative(quantity: i64, path: impl FnOnce() -> String) -> Result<i64, MapError> {
    if quantity < 0 {
        return Err(MapError::new("quantity_negative", path(), format!("{quantity} is less than nothing")));
    }
    in_range(quantity, path)
}

/// Within ±(2^53 − 1), so that every JSON reader has it exactly.
///
/// # Errors
/// `quantity_out_of_range`.
pub fn in_range(quantity: i64, path: impl FnOnce() -> String) -> Result<i64, MapError> {
    if (-MINOR_MAX..=MINOR_MAX).contains(&quantity) {
        return Ok(quantity);
    }
    Err(MapError::new("quantity_out_of_range", path(), format!("{quantity} is more than 2^53 - 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_quantities_are_exact() {
        for (text, expected) in
            [("0", 0), ("12", 12), ("-3", -3), ("12.000", 12), ("007", 7), ("9007199254740991", MINOR_MAX)]
        {
            assert_eq!(whole(text, String::new), Ok(expected), "{text}");
        }
        for (text, code) in [
            ("", "quantity_invalid"),
            ("1e3", "quantity_invalid"),
            ("1,000", "quantity_invalid"),
            ("+1", "quantity_invalid"),
            ("12.5", "quantity_fraction"),
            ("9007199254740992", "quantity_out_of_range"),
        ] {
            let refused = whole(text, || "/q".to_owned()).expect_err(text);
            assert_eq!((refused.code(), refused.path()), (code, "/q"));
        }
        assert_eq!(level("-1", String::new).expect_err("negative").code(), "quantity_negative");
        assert_eq!(
            not_negative(MINOR_MAX + 1, String::new).expect_err("2^53").code(),
            "quantity_out_of_range"
        );
        assert_eq!(in_range(i64::MIN, String::new).expect_err("2^63").code(), "quantity_out_of_range");
    }
}

//! Decimal numbers as people and their programs write them: `1.234,56`, `1 234,56`, `12'500.00`.
//!
//! `1.234` is 1234 in Berlin and 1.234 in Boston. So the marks are declared ([`Marks`]), and what has not the declared form is
//! refused. Where no decimal mark is declared, only `-?digits[.digits]` is read, and a single mark that could separate thousands as
//! well is [`Fault::Ambiguous`]: one to three digits that do not begin with 0, a point or a comma, three digits.

use std::borrow::Cow;

/// What stands before the fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `.`
    Point,
    /// `,`
    Comma,
}

impl Mark {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Point, Self::Comma];

    /// As in a contract, and as in a number.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Point => ".",
            Self::Comma => ",",
        }
    }

    /// Of its text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    fn character(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// What stands between groups of three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grouping {
    /// Nothing: digits are not grouped.
    #[default]
    None,
    /// `.`
    Point,
    /// `,`
    Comma,
    /// A blank: U+0020, or one that does not break a line (U+00A0, U+202F), or a thin one (U+2009).
    Space,
    /// `'` or U+2019.
    Apostrophe,
}

impl Grouping {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Point, Self::Comma, Self::Space, Self::Apostrophe];

    /// As in a contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Point => ".",
            Self::Comma => ",",
            Self::Space => " ",
            Self::Apostrophe => "'",
        }
    }

    /// Of its text; any of its characters says it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(one), None) => Self::ALL.into_iter().find(|grouping| grouping.has(one)),
            _ => (text == Self::None.as_str()).then_some(Self::None),
        }
    }

    fn has(self, character: char) -> bool {
        match self {
            Self::None => false,
            Self::Point => character == '.',
            Self::Comma => character == ',',
            Self::Space => matches!(character, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'),
            Self::Apostrophe => matches!(character, '\'' | '\u{2019}'),
        }
    }
}

/// How a vendor writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Nothing: not declared.
    pub decimal: Option<Mark>,
    /// Only with a decimal mark, and another than that.
    pub grouping: Grouping,
}

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not in the declared form.
    Invalid,
    /// Two numbers, depending on what the mark in it means, which is not declared.
    Ambiguous,
}

impl Fault {
    /// What follows "`"1.234"` is".
    #[must_use]
    pub fn words(self, marks: Marks) -> String {
        match (self, marks.decimal) {
            (Self::Ambiguous, _) => {
                "two numbers, by what its mark means: declare decimal and grouping in [text] of the contract"
                    .into()
            }
            (Self::Invalid, None) => "not a decimal number".into(),
            (Self::Invalid, Some(decimal)) => match marks.grouping {
                Grouping::None => format!("not a decimal number with the mark {:?}", decimal.as_str()),
                grouping => format!(
                    "not a decimal number with the mark {:?} and groups of three digits by {:?}",
                    decimal.as_str(),
                    grouping.as_str()
                ),
            },
        }
    }
}

impl Marks {
    /// The number in the form `-?digits[.digits]`, with every digit that `text` has.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn plain(self, text: &str) -> Result<Cow<'_, str>, Fault> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        if self.decimal.is_none() && could_be_grouped(unsigned) {
            return Err(Fault::Ambiguous);
        }
        let mark = self.decimal.unwrap_or(Mark::Point);
        let (whole, fraction) = match unsigned.split_once(mark.character()) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        if fraction.is_some_and(|fraction| !digits(fraction)) {
            return Err(Fault::Invalid);
        }
        if digits(whole) {
            return Ok(match mark {
                Mark::Comma if fraction.is_some() => Cow::Owned(text.replace(',', ".")),
                _ => Cow::Borrowed(text),
            });
        }
        let mut plain = String::with_capacity(text.len());
        if unsigned.len() < text.len() {
            plain.push('-');
        }
        for (at, group) in whole.split(|character| self.grouping.has(character)).enumerate() {
            let fits = if at == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
            if !fits || !digits(group) {
                return Err(Fault::Invalid);
            }
            plain.push_str(group);
        }
        if let Some(fraction) = fraction {
            plain.push('.');
            plain.push_str(fraction);
        }
        Ok(Cow::Owned(plain))
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the one mark of a number may as well separate thousands: `1.234`, `12,000`; not `0.500`, which no group begins with.
#[must_use]
pub fn could_be_grouped(unsigned: &str) -> bool {
    unsigned.split_once(['.', ',']).is_some_and(|(whole, rest)| {
        rest.len() == 3
            && digits(rest)
            && (1..=3).contains(&whole.len())
            && digits(whole)
            && !whole.starts_with('0')
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn marks(decimal: &str, grouping: &str) -> Marks {
        Marks { decimal: Mark::of(decimal), grouping: Grouping::of(grouping).unwrap() }
    }

    #[test]
    fn numbers_are_read_by_the_declared_marks() {
        for (decimal, grouping, text, expected) in [
            (".", "none", "1.234", Ok("1.234")),
            (".", "none", "1,234", Err(Fault::Invalid)),
            (".", ",", "1,234", Ok("1234")),
            (".", ",", "-1,234,567.80", Ok("-1234567.80")),
            (".", ",", "1234567.8", Ok("1234567.8")),
            (".", ",", "12,34", Err(Fault::Invalid)),
            (".", ",", "1,2345", Err(Fault::Invalid)),
            (".", ",", "1234,567", Err(Fault::Invalid)),
            (".", ",", ",234", Err(Fault::Invalid)),
            (".", ",", "1,,234", Err(Fault::Invalid)),
            (",", ".", "1.234,56", Ok("1234.56")),
            (",", ".", "1.234", Ok("1234")),
            (",", ".", "1,234", Ok("1.234")),
            (",", ".", "1.23", Err(Fault::Invalid)),
            (",", ".", "1,234.5", Err(Fault::Invalid)),
            (",", "none", "12,5", Ok("12.5")),
            (",", "none", "1.234", Err(Fault::Invalid)),
            (",", " ", "12\u{a0}500", Ok("12500")),
            (",", " ", "12\u{202f}500,25", Ok("12500.25")),
            (",", " ", "1 234\u{2009}567", Ok("1234567")),
            (",", " ", "12  500", Err(Fault::Invalid)),
            (".", "'", "12'500.05", Ok("12500.05")),
            (".", "\u{2019}", "12\u{2019}500", Ok("12500")),
            (".", "none", "007", Ok("007")),
            (".", "none", "0.500", Ok("0.500")),
            (".", "none", "9007199254740993", Ok("9007199254740993")),
            (".", "none", "", Err(Fault::Invalid)),
            (".", "none", "-", Err(Fault::Invalid)),
            (".", "none", ".5", Err(Fault::Invalid)),
            (".", "none", "5.", Err(Fault::Invalid)),
            (".", "none", "+5", Err(Fault::Invalid)),
            (".", "none", "1e3", Err(Fault::Invalid)),
            (".", "none", "４", Err(Fault::Invalid)),
            (".", "none", "--5", Err(Fault::Invalid)),
            (".", "none", "5-", Err(Fault::Invalid)),
            (".", "none", "1.2.3", Err(Fault::Invalid)),
        ] {
            assert_eq!(
                marks(decimal, grouping).plain(text),
                expected.map(Cow::from),
                "{decimal} {grouping} {text}"
            );
        }
    }

    #[test]
    fn what_is_not_declared_and_could_be_two_numbers_is_refused() {
        let undeclared = Marks::default();
        for text in ["1.234", "12,000", "-123.456", "999.999"] {
            assert_eq!(undeclared.plain(text), Err(Fault::Ambiguous), "{text}");
        }
        for text in ["12", "12.5", "0.500", "1234.567", "12.0000", "1.23", "0012.345"] {
            assert_eq!(undeclared.plain(text).unwrap(), text);
        }
        for text in ["12,5", "1.234.567", "1,234.56", "1 234", "12 500", "1'000"] {
            assert_eq!(undeclared.plain(text), Err(Fault::Invalid), "{text}");
        }
    }

    #[test]
    fn every_grouped_number_comes_back() {
        for decimal in Mark::ALL {
            for grouping in Grouping::ALL.into_iter().filter(|one| one.as_str() != decimal.as_str()) {
                let marks = Marks { decimal: Some(decimal), grouping };
                for seed in 0..3_000_i64 {
                    let number = seed * seed * 7_919 - 40_000;
                    let whole = number.unsigned_abs().to_string();
                    let mut grouped = String::new();
                    for (at, digit) in whole.chars().enumerate() {
                        if at > 0 && (whole.len() - at).is_multiple_of(3) && grouping != Grouping::None {
                            grouped.push_str(grouping.as_str());
                        }
                        grouped.push(digit);
                    }
                    let sign = if number < 0 { "-" } else { "" };
                    let written = format!("{sign}{grouped}{}{:02}", decimal.as_str(), seed % 100);
                    let expected = format!("{sign}{whole}.{:02}", seed % 100);
                    assert_eq!(marks.plain(&written).unwrap(), expected, "{written}");
                }
            }
        }
    }

    #[test]
    fn a_mark_has_one_word() {
        for grouping in Grouping::ALL {
            assert_eq!(Grouping::of(grouping.as_str()), Some(grouping));
        }
        assert_eq!(Grouping::of("\u{a0}"), Some(Grouping::Space));
        assert_eq!((Grouping::of(""), Grouping::of("__"), Mark::of("")), (None, None, None));
    }
}

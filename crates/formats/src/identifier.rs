//! What identifies something, such as an article's number, and what only looks like it: spreadsheets and exporters change such
//! texts on their way, and the original can no longer be told.
//!
//! Sources: Microsoft, "Available number formats in Excel" (General shows numbers of 12 digits and more as `1.23457E+11`),
//! "Keeping leading zeros and large numbers" (16 digits and more lose digits), "How to correct a #… error" (error values);
//! Unicode 16, `White_Space` and `Default_Ignorable_Code_Point`.

use std::borrow::Cow;

/// Without the blanks around it: characters of Unicode's `White_Space`, no-break spaces included.
#[must_use]
pub fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    // Nearly always there is nothing to do, and looking at every character's properties is dear in a guest.
    let plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if plain(text.as_bytes().first()) && plain(text.as_bytes().last()) {
        return text;
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// In Unicode's Normalization Form C (UAX #15): `é` is one identifier, whether its sender wrote it as one character or as an `e` and
/// an accent. Whatever becomes a key or is compared with one is written in this form.
#[cfg(feature = "nfc")]
#[must_use]
pub fn composed(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() || unicode_normalization::is_nfc(&text) {
        return text;
    }
    Cow::Owned(unicode_normalization::UnicodeNormalization::nfc(&*text).collect())
}

/// Why a text identifies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoilt {
    /// `4.00638E+12`: a spreadsheet took a long number for a quantity, and its digits are gone.
    Scientific,
    /// `#N/A`, `#REF!`, `####`: the value of a cell that has none, or that did not fit its column.
    Error,
    /// `'00123` and `="00123"`: text marked for a spreadsheet, which would take the mark away.
    Marked,
    /// `NULL`, `N/A`, `-`: an exporter's word for nothing.
    Nothing,
    /// A control character, or one that takes no room, so that two different texts look alike.
    Invisible,
}

impl Spoilt {
    /// The refusal's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Scientific => "identifier_scientific",
            Self::Error => "identifier_error_value",
            Self::Marked => "identifier_marked",
            Self::Nothing => "identifier_nothing",
            Self::Invisible => "identifier_invisible",
        }
    }

    /// What it is, to stand behind the text.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Scientific => {
                "is a number in scientific notation, as a spreadsheet writes it: its digits are lost"
            }
            Self::Error => "is an error value of a spreadsheet",
            Self::Marked => "begins with a mark for a spreadsheet",
            Self::Nothing => "is a word for nothing",
            Self::Invisible => "has a character that cannot be seen",
        }
    }
}

/// Why a text without blanks around it is no identifier; nothing when it may be one.
#[must_use]
pub fn spoilt(text: &str) -> Option<Spoilt> {
    let bytes = text.as_bytes();
    if text.chars().any(is_invisible) {
        return Some(Spoilt::Invisible);
    }
    match bytes.first()? {
        b'0'..=b'9' | b'+' | b'-' if is_scientific(bytes) => Some(Spoilt::Scientific),
        b'#' if is_error(text) => Some(Spoilt::Error),
        b'\'' | b'=' => Some(Spoilt::Marked),
        _ if NOTHING.contains(&text) => Some(Spoilt::Nothing),
        _ => None,
    }
}

/// What programs write where there is nothing; exactly so, since an article may be called `none`.
const NOTHING: [&str; 14] = [
    "-",
    "--",
    "–",
    "—",
    "N/A",
    "n/a",
    "NULL",
    "null",
    "(null)",
    "None",
    "NaN",
    "nan",
    "undefined",
    "[object Object]",
];

/// `4.00638E+12`, `1,23E+15`, `4E+12`, `4.00638E12`; not `4E12`, which may be a number of an article.
fn is_scientific(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
    let Some(e) = text.iter().position(|byte| matches!(byte, b'e' | b'E')) else { return false };
    let (number, exponent) = (&text[..e], &text[e + 1..]);
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let point = number.iter().position(|byte| matches!(byte, b'.' | b','));
    let (whole, fraction) = point.map_or((number, None), |at| (&number[..at], Some(&number[at + 1..])));
    let (sign, power) = match exponent {
        [sign @ (b'+' | b'-'), power @ ..] => (Some(*sign), power),
        power => (None, power),
    };
    digits(whole)
        && whole.len() <= 3
        && fraction.is_none_or(digits)
        && digits(power)
        && power.len() <= 3
        && (fraction.is_some() || sign == Some(b'+'))
}

/// Whether a text is the error value of a spreadsheet's cell: `#N/A` (`#NV` in German), `#REF!`, `#DIV/0!`, `#NAME?`, `#¡VALOR!` and
/// what else ends like this; `####`, of a column too narrow.
#[must_use]
pub fn is_error(text: &str) -> bool {
    let Some(word) = text.strip_prefix('#') else { return false };
    matches!(word, "N/A" | "NV" | "N/V" | "Н/Д")
        || word.bytes().all(|byte| byte == b'#')
        || (word.len() > 1
            && word.ends_with(['!', '?'])
            && !word.contains(char::is_whitespace)
            && !word.contains(char::is_lowercase))
}

/// Control characters, and of those that are ignored when text is shown the ones that occur.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "nfc")]
    #[test]
    fn one_text_however_it_is_composed() {
        for (written, one) in [
            ("caf\u{e9}", "caf\u{e9}"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("\u{212b}", "\u{c5}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("SKU-1", "SKU-1"),
            // Compatibility forms are other texts: NFC keeps them apart.
            ("\u{ff21}1", "\u{ff21}1"),
        ] {
            assert_eq!(composed(written.into()), one, "{written:?}");
            assert_eq!(composed(one.into()), one);
        }
    }

    #[test]
    fn numbers_that_a_spreadsheet_rounded_are_no_identifiers() {
        for text in [
            "4.00638E+12",
            "4.00638e+12",
            "1,23E+15",
            "4E+12",
            "4e+12",
            "1.00E+05",
            "4.0E12",
            "-1.5E+07",
            "400.6E+10",
            "1.00E-20",
            "9E+300",
        ] {
            assert_eq!(spoilt(text), Some(Spoilt::Scientific), "{text}");
        }
        for text in [
            "4006381333931",
            "4E12",
            "12E3",
            "1E-20",
            "E+12",
            "4.E+12",
            "4..0E+1",
            "A4.0E+12",
            "1234.5E+6",
            "3E+",
            "1.5",
        ] {
            assert_eq!(spoilt(text), None, "{text}");
        }
    }

    #[test]
    fn what_stands_for_no_value_is_no_identifier() {
        for text in
            ["#N/A", "#NV", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#WERT!", "#¡VALOR!", "#", "########"]
        {
            assert_eq!(spoilt(text), Some(Spoilt::Error), "{text}");
        }
        for text in ["-", "N/A", "NULL", "null", "None", "NaN", "undefined"] {
            assert_eq!(spoilt(text), Some(Spoilt::Nothing), "{text}");
        }
        for text in ["#1001", "#A-1", "none", "NAN-1", "A/N", "--1", "#Wow!", "0", "1-1"] {
            assert_eq!(spoilt(text), None, "{text}");
        }
    }

    #[test]
    fn marks_and_what_cannot_be_seen_make_another_identifier() {
        for text in ["'00123", "=\"00123\"", "=A1"] {
            assert_eq!(spoilt(text), Some(Spoilt::Marked), "{text}");
        }
        for text in
            ["LAMP\u{200b}14", "LAMP\t14", "LAMP\u{ad}14", "\u{feff}LAMP", "A\u{0}", "A\u{85}B", "A\u{202e}B"]
        {
            assert_eq!(spoilt(text), Some(Spoilt::Invisible), "{text:?}");
        }
        for text in ["", "O'Neill", "A=B", "äöü", "LAMP 14", "LAMP\u{a0}14", "灯-1"] {
            assert_eq!(spoilt(text), None, "{text}");
        }
        assert_eq!(trimmed("\u{a0} A\u{202f}B \u{3000}".into()), "A\u{202f}B");
    }
}

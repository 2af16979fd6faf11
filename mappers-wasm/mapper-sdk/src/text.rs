//! Text that a vendor sends: what is blank is not there, what is long is refused, what identifies has no blanks around it.

use std::borrow::Cow;

use sluice_formats::identifier::spoilt;
pub use sluice_formats::identifier::{is_error, trimmed};

use crate::MapError;

/// Nothing when the vendor wrote an absent text as null, as nothing or as blanks; else the text as it is.
#[must_use]
pub fn known(text: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    text.filter(|text| !text.trim().is_empty())
}

/// What identifies something: compared byte for byte downstream, so blanks around it would make a second thing of it. What a
/// spreadsheet or an exporter made of an identifier is none ([`spoilt`]).
///
/// # Errors
/// `identifier_blank`, `identifier_too_long` beyond `chars_max` characters, or one of `identifier_scientific`,
/// `identifier_error_value`, `identifier_marked`, `identifier_nothing`, `identifier_invisible`, with the path that `path` gives.
pub fn identifier<'a>(
    text: Cow<'a, str>,
    chars_max: usize,
    path: impl FnOnce() -> String,
) -> Result<Cow<'a, str>, MapError> {
    let text = trimmed(text);
    if text.is_empty() {
        return Err(MapError::new("identifier_blank", path(), "is blank"));
    }
    if text.len() > chars_max && text.chars().count() > chars_max {
        return Err(MapError::new(
            "identifier_too_long",
            path(),
            format!("has more than {chars_max} characters"),
        ));
    }
    if let Some(spoilt) = spoilt(&text) {
        return Err(MapError::new(spoilt.code(), path(), format!("{text:?} {}", spoilt.why())));
    }
    Ok(text)
}

/// Longest `warehouseId`, in characters, by the canonical schema.
pub const WAREHOUSE_CHARS_MAX: usize = 64;
/// Longest `sku`, in characters, by the canonical schema.
pub const SKU_CHARS_MAX: usize = 128;
/// Longest `title` of an article, in characters, by the canonical schema.
pub const TITLE_CHARS_MAX: usize = 512;

/// What was seen already, by hash: cheaper in a guest than a sorted set. The keys are the vendor's, so they may collide on
/// purpose; what that costs is bounded by the host's fuel.
pub type Seen<K, V = ()> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<Fnv>>;

/// FNV-1a, 64 bits.
#[derive(Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl std::hash::Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        // hashbrown takes its tags from the high bits, which FNV mixes least.
        self.0 ^ (self.0 << 32)
    }
}

/// Whether `text` has the form of a GTIN: 8, 12, 13 or 14 digits. The check digit is not judged.
#[must_use]
pub fn is_gtin(text: &str) -> bool {
    matches!(text.len(), 8 | 12 | 13 | 14) && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// At most `chars_max` characters of a text for people.
#[must_use]
pub fn cut(text: Cow<'_, str>, chars_max: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(chars_max) else { return text };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_text_is_not_there() {
        assert_eq!(known(None), None);
        assert_eq!(known(Some(" \t".into())), None);
        assert_eq!(known(Some(" a ".into())).as_deref(), Some(" a "));
    }

    #[test]
    fn identifiers_have_no_blanks_and_a_bound() {
        assert_eq!(identifier(" ROA ".into(), 3, String::new).as_deref(), Ok("ROA"));
        assert_eq!(identifier("äöü".into(), 3, String::new).as_deref(), Ok("äöü"));
        assert_eq!(identifier("ROAN".into(), 3, String::new).expect_err("4").code(), "identifier_too_long");
        assert_eq!(identifier("  ".into(), 3, String::new).expect_err("blank").code(), "identifier_blank");
        let refused = identifier(" 4.00638E+12 ".into(), 64, || "/2/sku".to_owned()).expect_err("rounded");
        assert_eq!((refused.code(), refused.path()), ("identifier_scientific", "/2/sku"));
        assert!(refused.message().starts_with("\"4.00638E+12\" is a number"), "{refused}");
    }

    #[test]
    fn gtins_have_their_lengths() {
        assert!(["00012345600012", "012345678905", "4006381333931", "96385074"].into_iter().all(is_gtin));
        assert!(!["", "123456789", "40063813339x1"].into_iter().any(is_gtin));
        assert_eq!(cut("äöü".into(), 2), "äö");
        assert_eq!(cut("äö".into(), 2), "äö");
    }
}

//! Messages that are files of text, cut into the places that a value may stand in, so that one can be read or replaced and all
//! the rest stays byte for byte.
//!
//! A stored message may be the very one that its mapper could not read: bytes that are no UTF-8 are taken for Latin-1. CSV and X12 are
//! cut by `sluice_formats`, as mappers read them.

use std::ops::Range;

/// A file's text, and how to write it back.
#[derive(Debug)]
pub struct Text {
    /// The characters.
    pub text: String,
    latin1: bool,
}

impl Text {
    /// Decodes a file.
    pub fn of(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self { text: text.to_owned(), latin1: false },
            Err(_) => Self { text: bytes.iter().copied().map(char::from).collect(), latin1: true },
        }
    }

    /// The file with other text in some places, which do not overlap and are in order.
    pub fn with(&self, replaced: &[(Range<usize>, String)]) -> Vec<u8> {
        let mut text = String::with_capacity(self.text.len());
        let mut from = 0;
        for (place, other) in replaced {
            text.push_str(&self.text[from..place.start]);
            text.push_str(other);
            from = place.end;
        }
        text.push_str(&self.text[from..]);
        match self.latin1 {
            false => text.into_bytes(),
            true => text.chars().map(|one| u8::try_from(u32::from(one)).unwrap_or(b'?')).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_replaced_stays_byte_for_byte() {
        let bytes = b"a;b\r\ncaf\xe9;\xff\r\n";
        let text = Text::of(bytes);
        assert_eq!(text.with(&[]), bytes);
        let records: Vec<_> = sluice_formats::csv::cut(&text.text).collect();
        let cell = &records[1].cells[0];
        assert_eq!(cell.text, "café");
        assert_eq!(text.with(&[(cell.place.clone(), "xxxö".into())]), b"a;b\r\nxxx\xf6;\xff\r\n");
    }
}

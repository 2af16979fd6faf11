//! As much of ANSI X12 as acceptance needs: the element of a segment. Everything else is the mapper's business.
//!
//! The interchange header `ISA` has a fixed length of 106 bytes, so that it can declare the separators that it uses: the byte after
//! `ISA` separates elements, the 106th ends segments (X12.5).

use std::fmt;
use std::str::FromStr;

/// Length of `ISA` with the byte that ends it.
const ISA_BYTES: usize = 106;

/// An element's place, such as `ST01`: the first element of the segment `ST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    segment: String,
    position: usize,
}

/// Not an element's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a segment of two or three characters and an element of two digits, such as ST01")]
pub struct InvalidElement;

impl FromStr for Element {
    type Err = InvalidElement;

    fn from_str(text: &str) -> Result<Self, InvalidElement> {
        let well_formed = (4..=5).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && text.as_bytes()[0].is_ascii_uppercase();
        if !well_formed {
            return Err(InvalidElement);
        }
        let (segment, position) = text.split_at(text.len() - 2);
        match position.parse() {
            Ok(position) if position > 0 => Ok(Self { segment: segment.to_owned(), position }),
            _ => Err(InvalidElement),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.segment, self.position)
    }
}

/// Why bytes are not an interchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum X12Error {
    /// Not UTF-8, of which the character sets of X12 are a part.
    #[error("not text: X12 is ASCII, or UTF-8 by agreement")]
    NotText,
    /// No `ISA`, or one that is cut short.
    #[error("not an X12 interchange: it starts with the segment ISA, {ISA_BYTES} bytes long")]
    NoHeader,
    /// A header whose separators could not separate.
    #[error("not an X12 interchange: its ISA declares separators that are letters, digits or the same")]
    Separators,
}

/// An interchange whose separators are known.
#[derive(Debug, Clone, Copy)]
pub struct Interchange<'a> {
    text: &'a str,
    element: char,
    segment: char,
}

impl<'a> Interchange<'a> {
    /// Reads the separators.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, X12Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| X12Error::NotText)?;
        let text = text.trim_start_matches(['\u{feff}', ' ', '\r', '\n']);
        let header = text.as_bytes().get(..ISA_BYTES).filter(|header| header.starts_with(b"ISA"));
        let header = header.filter(|header| header.is_ascii()).ok_or(X12Error::NoHeader)?;
        let (element, segment) = (char::from(header[3]), char::from(header[ISA_BYTES - 1]));
        let usable = |c: char| !c.is_ascii_alphanumeric() && c != ' ';
        if element == segment || !usable(element) || !usable(segment) {
            return Err(X12Error::Separators);
        }
        // Sixteen elements, so that an ISA whose padding was lost is not read with separators from the wrong place.
        if header.iter().filter(|b| char::from(**b) == element).count() != 16 {
            return Err(X12Error::NoHeader);
        }
        Ok(Self { text, element, segment })
    }

    /// The element of the first segment of its name, without the blanks that pad it; `None` if it is absent or empty.
    pub fn get(&self, place: &Element) -> Option<&'a str> {
        self.text
            .split(self.segment)
            .map(|segment| segment.trim_start_matches(['\r', '\n']))
            .map(|segment| segment.split(self.element))
            .find_map(|mut elements| (elements.next() == Some(&place.segment)).then_some(elements))
            .and_then(|mut elements| elements.nth(place.position - 1))
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use proptest::prelude::*;

    const INTERCHANGE: &str = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260115*1030*U*00401*000000905*0*P*>~\n\
        GS*IB*SENDER*RECEIVER*20260115*1030*1*X*004010~\nST*846*0001~\nBIA*00*DD*STOCK*20260115~\nN1*WH*ROANOKE**~\nSE*4*0001~\n";

    fn get(text: &str, place: &str) -> Option<String> {
        let interchange = Interchange::parse(text.as_bytes()).unwrap();
        interchange.get(&place.parse().unwrap()).map(str::to_owned)
    }

    #[test]
    fn elements_are_those_of_the_first_segment_of_their_name() {
        for (place, expected) in [
            ("ISA13", Some("000000905")),
            ("ISA06", Some("SENDER")),
            ("ISA02", None),
            ("ST01", Some("846")),
            ("N102", Some("ROANOKE")),
            ("N103", None),
            ("N109", None),
            ("BIA04", Some("20260115")),
            ("BIG01", None),
        ] {
            assert_eq!(get(INTERCHANGE, place).as_deref(), expected, "{place}");
            assert_eq!(get(&INTERCHANGE.replace('\n', "\r\n"), place).as_deref(), expected, "{place}");
            let other = INTERCHANGE.replace('\n', "").replace('*', "|").replace('~', "\n");
            assert_eq!(get(&other, place).as_deref(), expected, "{place} with other separators");
        }
        assert_eq!(get(&format!("{INTERCHANGE}ST*850*0002~"), "ST01").unwrap(), "846");
    }

    #[test]
    fn what_is_no_interchange_is_said() {
        for bad in ["", "ISA*00*", "{}", &INTERCHANGE[1..]] {
            assert_eq!(Interchange::parse(bad.as_bytes()).unwrap_err(), X12Error::NoHeader, "{bad:?}");
        }
        assert_eq!(Interchange::parse(b"\xff").unwrap_err(), X12Error::NotText);
        let unpadded = INTERCHANGE.replacen("SENDER         ", "SENDER", 1);
        assert!(Interchange::parse(unpadded.as_bytes()).is_err());
        let same = INTERCHANGE.replace('~', "*");
        assert_eq!(Interchange::parse(same.as_bytes()).unwrap_err(), X12Error::Separators);
    }

    #[test]
    fn a_place_has_one_spelling() {
        for good in ["ST01", "ISA13", "N104", "G6205"] {
            assert_eq!(good.parse::<Element>().unwrap().to_string(), good);
        }
        for bad in ["", "ST", "ST1", "st01", "ST00", "1T01", "ISAA13", "ST0x", "é101"] {
            assert!(bad.parse::<Element>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..150), tail in ".{0,200}") {
            for text in [bytes, [INTERCHANGE.as_bytes(), tail.as_bytes()].concat()] {
                if let Ok(interchange) = Interchange::parse(&text) {
                    let _ = interchange.get(&"ST01".parse().unwrap());
                }
            }
        }
    }
}

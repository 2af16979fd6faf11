//! Reading JSON without losing anything: identifiers and amounts keep every digit, and a payload that does not fit the
//! type is refused with the JSON pointer of what does not fit.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};
use sluice_formats::identifier::spoilt;

use crate::{MapError, text};

/// Reads a payload as `T`. Borrow from it where you can (`#[serde(borrow)]`): what is not copied costs nothing.
///
/// # Errors
/// `payload_not_json` when the bytes are no JSON text in UTF-8 (a byte order mark before it is skipped), else `payload_invalid` with the pointer of the first
/// member that is missing, doubled or of another type.
pub fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, MapError> {
    let text = str::from_utf8(payload).map_err(|e| {
        MapError::new("payload_not_json", "", format!("not UTF-8 after byte {}", e.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|_| explain::<T>(text))
}

/// The slow second reading, only of what is refused anyway, that knows where it is.
#[cold]
fn explain<'a, T: Deserialize<'a>>(text: &'a str) -> MapError {
    let mut reader = serde_json::Deserializer::from_str(text);
    let refused = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(refused) => refused,
        Ok(_) => {
            let trailing = reader.end().map_or_else(|e| e.to_string(), |()| "not readable".to_owned());
            return MapError::new("payload_not_json", "", trailing);
        }
    };
    let cause = refused.inner();
    // Half a surrogate pair is JSON (RFC 8259, section 8.2), and no character: a fault of the member that is read.
    let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
    if (cause.is_syntax() || cause.is_eof()) && !is_json() {
        return MapError::new("payload_not_json", "", cause.to_string());
    }
    let message = cause.to_string();
    MapError::new("payload_invalid", pointer(refused.path()), message)
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                let _ = write!(pointer, "/{index}");
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => pointer.push_str("/?"),
        }
    }
    pointer
}

/// An identifier that a vendor may send as a string or as an integer of any size; always a string afterwards, with
/// every digit. `820982911946154508`, beyond 2^53, stays what it is.
///
/// Not accepted: a fraction, an exponent, an empty string, more than [`Id::BYTES_MAX`] bytes, and text that a spreadsheet or an
/// exporter made of an identifier ([`spoilt`]), such as `"4.00638E+12"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id<'a>(Cow<'a, str>);

impl<'a> Id<'a> {
    /// Longest identifier, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// An identifier from a message that is no JSON; nothing unless `text` has 1 to [`Id::BYTES_MAX`] bytes.
    #[must_use]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        (1..=Self::BYTES_MAX).contains(&text.len()).then_some(Self(text))
    }

    /// The identifier's text, kept.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        self.0
    }

    /// The identifier's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> From<Id<'a>> for Cow<'a, str> {
    fn from(id: Id<'a>) -> Self {
        id.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(reader)?.get();
        let text = match raw.as_bytes().first() {
            Some(b'"') => string(raw).map_err(D::Error::custom)?,
            Some(b'-' | b'0'..=b'9') if !raw.contains(['.', 'e', 'E']) => Cow::Borrowed(raw),
            _ => return Err(D::Error::custom("an identifier is a string or an integer")),
        };
        if let Some(spoilt) = spoilt(&text) {
            return Err(D::Error::custom(format!("{}: {text:?} {}", spoilt.code(), spoilt.why())));
        }
        Self::new(text).ok_or_else(|| D::Error::custom("an identifier has 1 to 256 bytes"))
    }
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.serialize_str(&self.0)
    }
}

/// Text that a vendor sends as a string, blank or not, or as an integer of any size, whose every digit is kept: a name, a code, an
/// identifier that [`text::identifier`](crate::text::identifier) is to judge.
///
/// Not accepted: a fraction, an exponent, a truth value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label<'a>(Cow<'a, str>);

impl<'a> Label<'a> {
    /// The text without the blanks around it; empty if there is nothing else.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        text::trimmed(self.0.clone())
    }

    /// The text, unless it is blank or has more than `chars_max` characters: a code that is too long is not cut to another one.
    #[must_use]
    pub fn known(&self, chars_max: usize) -> Option<Cow<'a, str>> {
        let text = self.text();
        let fits = text.len() <= chars_max || text.chars().count() <= chars_max;
        (fits && !text.is_empty()).then_some(text)
    }

    /// The same, of an optional member of the canonical type: text that is too long is left out with a note, `text_too_long`.
    #[must_use]
    pub fn noted(
        &self,
        chars_max: usize,
        notes: &mut Vec<MapError>,
        path: impl FnOnce() -> String,
    ) -> Option<Cow<'a, str>> {
        let known = self.known(chars_max);
        if known.is_none() && !self.text().is_empty() {
            let why = format!("is left out: it has more than {chars_max} characters");
            notes.push(MapError::new("text_too_long", path(), why));
        }
        known
    }

    /// A text for people: what is beyond `chars_max` characters is left out with a note, `text_cut`.
    #[must_use]
    pub fn cut(
        &self,
        chars_max: usize,
        notes: &mut Vec<MapError>,
        path: impl FnOnce() -> String,
    ) -> Option<Cow<'a, str>> {
        let text = self.text();
        if text.is_empty() {
            return None;
        }
        let (before, text) = (text.len(), text::cut(text, chars_max));
        if text.len() < before {
            notes.push(MapError::new("text_cut", path(), format!("is cut to {chars_max} characters")));
        }
        Some(text)
    }

    /// A GTIN: what has not the form of one is left out with a note, `gtin_invalid`.
    #[must_use]
    pub fn gtin(&self, notes: &mut Vec<MapError>, path: impl FnOnce() -> String) -> Option<Cow<'a, str>> {
        let text = self.text();
        if text.is_empty() {
            return None;
        }
        if text::is_gtin(&text) {
            return Some(text);
        }
        let why = format!("{text:?} is left out: it does not have 8, 12, 13 or 14 digits");
        notes.push(MapError::new("gtin_invalid", path(), why));
        None
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Label<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(reader)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => Ok(Self(string(raw).map_err(D::Error::custom)?)),
            Some(b'-' | b'0'..=b'9') if !raw.contains(['.', 'e', 'E']) => Ok(Self(Cow::Borrowed(raw))),
            _ => Err(D::Error::custom("text is a string or an integer")),
        }
    }
}

/// A number that JSON Schema calls an integer, exactly: `2`, `2.0`, `2e0` and `20e-1` are the same two, `2.5` is none. It is read
/// digit by digit, never through a float. Source: JSON Schema 2020-12, validation, section 6.1.1.
///
/// Not accepted: text, a fraction that is not zero, what is beyond 64 bits. How large a quantity may be is
/// [`quantity`](crate::quantity)'s to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Integer(i64);

impl Integer {
    /// Its value.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The integer that a JSON number's token says; nothing when it says none, or one beyond 64 bits.
    pub(crate) fn of(token: &str) -> Option<Self> {
        if let Ok(plain) = token.parse() {
            return Some(Self(plain));
        }
        let (number, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let significant = || whole.bytes().chain(fraction.bytes());
        if significant().all(|digit| digit == b'0') {
            return Some(Self(0));
        }
        // An exponent that is no i32 is beyond every digit that there can be, either way.
        let exponent: i32 = exponent.parse().ok()?;
        let places = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
        let mut total: i64 = 0;
        let mut push = |digit: i64| {
            total = total.checked_mul(10)?.checked_add(if negative { -digit } else { digit })?;
            Some(())
        };
        let beyond = usize::try_from(places.checked_neg()?).unwrap_or(0);
        let kept = (whole.len() + fraction.len()).saturating_sub(beyond);
        for (at, digit) in significant().enumerate() {
            if at < kept {
                push(i64::from(digit - b'0'))?;
            } else if digit != b'0' {
                return None;
            }
        }
        for _ in 0..places {
            push(0)?;
        }
        Some(Self(total))
    }
}

impl From<Integer> for i64 {
    fn from(integer: Integer) -> Self {
        integer.0
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(reader)?.get();
        let number = matches!(raw.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
        let integer = if number { Self::of(raw) } else { None };
        integer.ok_or_else(|| D::Error::custom("an integer is a number without a fraction, within 64 bits"))
    }
}

/// A decimal number as the vendor wrote it, as a string or as a number, never through a float. What it is worth is
/// [`money`](crate::money)'s to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal<'a> {
    text: Cow<'a, str>,
    number: bool,
}

impl<'a> Decimal<'a> {
    /// A number from a message that is no JSON, as it stands there.
    #[must_use]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), number: false }
    }

    /// Whether it was sent as a JSON number, and not as text.
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.number
    }

    /// `8.25` per cent as the rate `0.0825`, digit by digit; nothing when it is no plain decimal number below 1000.
    #[must_use]
    pub fn from_percent(percent: &Decimal<'_>) -> Option<Self> {
        let (whole, fraction) = percent.text.split_once('.').unwrap_or((&percent.text, ""));
        let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
        if !(1..=3).contains(&whole.len()) || fraction.len() > 16 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let padded = format!("{whole:0>3}");
        let (ones, hundredths) = padded.split_at(1);
        let fraction = format!("{hundredths}{fraction}");
        let fraction = fraction.trim_end_matches('0');
        Some(Self::new(if fraction.is_empty() { ones.to_owned() } else { format!("{ones}.{fraction}") }))
    }

    /// Nothing was stated: text of nothing, or of blanks.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The digits as they were sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Decimal<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(reader)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => Ok(Self::new(string(raw).map_err(D::Error::custom)?)),
            Some(b'-' | b'0'..=b'9') => Ok(Self { text: Cow::Borrowed(raw), number: true }),
            _ => Err(D::Error::custom("an amount is a decimal number, as a string or as a number")),
        }
    }
}

impl Serialize for Decimal<'_> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.serialize_str(&self.text)
    }
}

/// A JSON string token's text, borrowed unless it has escapes.
fn string(raw: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    if let Some(plain) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && !plain.contains('\\')
    {
        return Ok(Cow::Borrowed(plain));
    }
    serde_json::from_str::<String>(raw).map(Cow::Owned)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_text_without_blanks_around_it_or_nothing() {
        #[derive(serde::Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            name: Label<'a>,
        }
        let label = |text: &'static str| read::<Named<'static>>(text.as_bytes()).map(|named| named.name);
        for (text, known, cut) in [
            (r#"{"name":" A-1 "}"#, Some("A-1"), Some("A-1")),
            (r#"{"name":820982911946154508123}"#, None, Some("820982911946")),
            (r#"{"name":"äöüäöüäöüäöü"}"#, Some("äöüäöüäöüäöü"), Some("äöüäöüäöüäöü")),
            (r#"{"name":""}"#, None, None),
            (r#"{"name":" \t"}"#, None, None),
        ] {
            let label = label(text).unwrap();
            let mut notes = Vec::new();
            let path = || "/name".to_owned();
            assert_eq!(label.noted(12, &mut notes, path).as_deref(), known, "{text}");
            assert_eq!(label.cut(12, &mut notes, path).as_deref(), cut, "{text}");
            assert_eq!(label.gtin(&mut notes, path), None, "{text}");
            let codes: Vec<&str> = notes.iter().map(MapError::code).collect();
            let expected: &[&str] = match (known, cut) {
                (Some(_), _) => &["gtin_invalid"],
                (None, Some(_)) => &["text_too_long", "text_cut", "gtin_invalid"],
                (None, None) => &[],
            };
            assert_eq!(codes, expected, "{text}");
        }
        for text in [r#"{"name":1.5}"#, r#"{"name":true}"#, r#"{"name":["x"]}"#] {
            let refused = label(text).unwrap_err();
            assert_eq!((refused.code(), refused.path()), ("payload_invalid", "/name"));
        }
    }

    #[derive(Debug, serde::Deserialize)]
    struct Order<'a> {
        #[serde(borrow)]
        id: Id<'a>,
        #[serde(borrow, default)]
        lines: Vec<Line<'a>>,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow, rename = "a/b~c")]
        amount: Decimal<'a>,
    }

    fn refused(payload: &[u8]) -> (&'static str, String) {
        let refused = read::<Order<'_>>(payload).unwrap_err();
        (refused.code(), refused.path().to_owned())
    }

    #[test]
    fn identifiers_keep_every_digit() {
        for (given, expected) in [
            ("820982911946154508", "820982911946154508"),
            ("99999999999999999999999999999999", "99999999999999999999999999999999"),
            ("-7", "-7"),
            ("\"A-1\"", "A-1"),
            ("\"\\u0041\\\"\"", "A\""),
        ] {
            let text = format!("{{\"id\":{given}}}");
            assert_eq!(read::<Order<'_>>(text.as_bytes()).unwrap().id.as_str(), expected);
        }
    }

    #[test]
    fn what_is_no_identifier_is_refused_with_its_place() {
        for given in
            ["1.5", "1e3", "null", "true", "[]", "\"\"", "{}", "\"4.00638E+12\"", "\"#N/A\"", "\"A\\u200b1\""]
        {
            let text = format!("{{\"id\":{given}}}");
            assert_eq!(refused(text.as_bytes()), ("payload_invalid", "/id".to_owned()), "{given}");
        }
    }

    #[test]
    fn integers_are_those_of_json_schema() {
        for (given, expected) in [
            ("2", 2),
            ("2.0", 2),
            ("2e0", 2),
            ("20E-1", 2),
            ("0.2e+1", 2),
            ("-2.00", -2),
            ("-0", 0),
            ("0.0", 0),
            ("0e999999999999", 0),
            ("12.50e1", 125),
            ("100e-2", 1),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9.007199254740993e15", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775808.0", i64::MIN),
        ] {
            let read: Integer = read(given.as_bytes()).unwrap();
            assert_eq!(i64::from(read), expected, "{given}");
        }
        for given in [
            "2.5",
            "25e-1",
            "0.5",
            "1e-1",
            "1e-400",
            "1e400",
            "9223372036854775808",
            "922337203685477580.8e1",
            "1e99999999999",
            "1e-99999999999",
            "\"2\"",
            "null",
            "true",
            "[2]",
        ] {
            assert_eq!(read::<Integer>(given.as_bytes()).unwrap_err().code(), "payload_invalid", "{given}");
        }
    }

    #[test]
    fn amounts_keep_their_spelling() {
        let order: Order<'_> =
            read(br#"{"id":1,"lines":[{"a/b~c":"10.00"},{"a/b~c":10.10},{"a/b~c":1e2}]}"#).unwrap();
        let spelled: Vec<&str> = order.lines.iter().map(|line| line.amount.as_str()).collect();
        assert_eq!(spelled, ["10.00", "10.10", "1e2"]);
    }

    #[test]
    fn a_percentage_becomes_a_rate_digit_by_digit() {
        let rate = |percent: &'static str| Decimal::from_percent(&Decimal::new(percent));
        for (percent, expected) in [
            ("19", "0.19"),
            ("8.25", "0.0825"),
            ("0", "0"),
            ("7.0000", "0.07"),
            ("100", "1"),
            ("0.5", "0.005"),
        ] {
            assert_eq!(rate(percent).unwrap().as_str(), expected, "{percent}");
        }
        for percent in ["", "-1", "1e2", "1.2.3", "nineteen", "1000"] {
            assert_eq!(rate(percent), None, "{percent}");
        }
    }

    #[test]
    fn refusals_point_at_the_member() {
        assert_eq!(refused(br#"{"id":1,"lines":[{"a/b~c":1},{"a/b~c":true}]}"#).1, "/lines/1/a~1b~0c");
        assert_eq!(refused(br#"{"lines":[]}"#), ("payload_invalid", String::new()));
        assert_eq!(refused(br#"{"id":1,"id":2}"#).0, "payload_invalid");
        assert_eq!(refused(br#"{"id":1,"lines":7}"#).1, "/lines");
    }

    #[test]
    fn half_a_surrogate_pair_is_a_fault_only_of_a_member_that_is_read() {
        let half = "\\ud83d";
        let order = format!("{{\"note\":\"cut {half}\",\"id\":1,\"deep\":[{{\"x\":\"\\udc00\"}}]}}");
        assert_eq!(read::<Order<'_>>(order.as_bytes()).unwrap().id.as_str(), "1");
        let text = format!("{{\"id\":\"{half}\"}}");
        assert_eq!(refused(text.as_bytes()), ("payload_invalid", "/id".to_owned()));
        #[derive(Debug, serde::Deserialize)]
        struct Note {
            #[expect(dead_code, reason = "read only")]
            note: String,
        }
        let refused = read::<Note>(br#"{"note":"\ud83dx"}"#).unwrap_err();
        assert_eq!((refused.code(), refused.path()), ("payload_invalid", "/note"));
        assert_eq!(read::<Order<'_>>("\u{feff}{\"id\":1}".as_bytes()).unwrap().id.as_str(), "1");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for payload in
            [&b""[..], b"{\"id\":", b"{\"id\":1}x", b"\xff\xfe", b"id,lines\n1,2\n", b"{\"id\":01}"]
        {
            assert_eq!(refused(payload).0, "payload_not_json", "{payload:?}");
        }
    }
}

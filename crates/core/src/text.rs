//! How a vendor writes text: `[text]` of a contract. Decimal and grouping marks, the order of dates, the zone of local times, the
//! encoding of its messages.
//!
//! Nothing of it is guessed: what is not declared is read only in the one form that has no second reading (`sluice_formats`).
//!
//! The rules of time zones are those of the IANA database that is compiled in, never the machine's, so that every host of one build reads
//! a local time alike (`docs/adr/0060-text-conventions-are-declared.md`).

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_formats::date::{Day, Local, Order};
use sluice_formats::decimal::{Grouping, Mark, Marks};
pub use sluice_formats::encoding::Encoding;
use sluice_formats::encoding::{Undecodable, choose, decode};
use sluice_formats::zone::Zone as Rules;

use crate::contract::Format;

/// How a vendor writes text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Text {
    /// What stands before the fraction of a number.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "word")]
    pub decimal: Option<Mark>,
    /// What stands between groups of three digits.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "word")]
    pub grouping: Option<Grouping>,
    /// The order of day, month and year.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "word")]
    pub dates: Option<Order>,
    /// Where the clocks stand that local times are read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// How characters are bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "word")]
    pub encoding: Option<Encoding>,
}

impl Text {
    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How numbers are written.
    pub fn marks(&self) -> Marks {
        Marks { decimal: self.decimal, grouping: self.grouping.unwrap_or_default() }
    }

    /// What contradicts itself.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match (self.decimal, self.grouping) {
            (None, Some(_)) => Some(
                "grouping is declared without decimal: say what stands before a fraction too, since 1.234 and 1,234 depend on both",
            ),
            (Some(Mark::Point), Some(Grouping::Point)) | (Some(Mark::Comma), Some(Grouping::Comma)) => {
                Some("decimal and grouping are the same mark, so that no number could be read")
            }
            _ => None,
        }
    }

    /// What a mapper is told (`mappers-wasm/wit/mapper.wit`): all but the encoding, in which nothing is any more. `None`: nothing is
    /// declared. The offsets are those around `received_at`, the only clock that a mapper has.
    pub fn for_mapper(&self, received_at: Timestamp) -> Option<Value> {
        let mut text = serde_json::Map::new();
        let words = [
            ("decimal", self.decimal.map(Mark::as_str)),
            ("grouping", self.grouping.map(Grouping::as_str)),
            ("dates", self.dates.map(Order::as_str)),
        ];
        for (name, word) in words {
            if let Some(word) = word {
                text.insert(name.to_owned(), word.into());
            }
        }
        if let Some(zone) = &self.zone {
            text.insert("zone".to_owned(), zone.for_mapper(received_at));
        }
        (!text.is_empty()).then_some(Value::Object(text))
    }

    /// The bytes of a message as schemas and mappers read them, which is UTF-8. What is to be UTF-8 and is not is left to them: they
    /// know the line or the segment. `charset` is the one that the sender states.
    pub fn utf8<'b>(
        &self,
        format: Format,
        bytes: &'b [u8],
        charset: Option<&str>,
    ) -> Result<Cow<'b, [u8]>, Undecodable> {
        let Some(charset) = self.charset(format, charset) else { return Ok(Cow::Borrowed(bytes)) };
        match decode(bytes, self.encoding, charset) {
            Ok(Cow::Borrowed(_)) | Err(Undecodable::Byte { encoding: Encoding::Utf8, .. }) => {
                Ok(Cow::Borrowed(bytes))
            }
            Ok(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
            Err(error) => Err(error),
        }
    }

    /// The same before the message is kept, as far as acceptance reads it: only to find out which
    /// message it is. What cannot be decoded is kept, and refused by [`Text::utf8`] afterwards. A file
    /// that is not read is given as it is, since its bytes are its identity.
    pub fn utf8_lossy<'b>(&self, format: Format, bytes: &'b [u8], charset: Option<&str>) -> Cow<'b, [u8]> {
        let charset = match format {
            Format::Csv => None,
            Format::Json | Format::X12 => self.charset(format, charset),
        };
        let Some(charset) = charset else { return Cow::Borrowed(bytes) };
        match choose(bytes, self.encoding, charset) {
            Ok(Encoding::Utf8) | Err(_) => Cow::Borrowed(bytes),
            Ok(encoding) => match encoding.lossy(bytes) {
                Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
                Some(Cow::Borrowed(_)) | None => Cow::Borrowed(bytes),
            },
        }
    }

    /// The `charset` that counts; `None`: the message is UTF-8 whatever is stated. JSON is in another encoding only when that is
    /// declared (RFC 8259, section 8.1).
    #[expect(clippy::option_option, reason = "no charset is not the same as none that counts")]
    fn charset<'c>(&self, format: Format, charset: Option<&'c str>) -> Option<Option<&'c str>> {
        (format != Format::Json || self.encoding.is_some()).then_some(charset)
    }
}

/// The `charset` parameter of a content type, without its quotes; nothing when it says UTF-8, as every message is unless something says
/// otherwise.
pub fn charset(content_type: &str) -> Option<&str> {
    content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.is_empty() && Encoding::of_label(value) != Some(Encoding::Utf8))
}

/// A time zone of the IANA database, by the name that the contract has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

/// Not a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time zone of the IANA database, such as Europe/Berlin, or utc")]
pub struct InvalidZone(String);

impl TryFrom<String> for Zone {
    type Error = InvalidZone;

    fn try_from(name: String) -> Result<Self, InvalidZone> {
        match Rules::find(&name) {
            Some(_) => Ok(Self(name)),
            None => Err(InvalidZone(name.chars().take(64).collect())),
        }
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0
    }
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self("utc".to_owned())
    }

    /// As in the contract.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant of a local time, or of the first moment of a day.
    ///
    /// An hour that the clocks show twice is taken for its first one, and one that they skip is counted on from before (RFC 5545, section
    /// 3.3.5): a message is not refused for when it was written.
    pub fn instant(&self, text: &str, dates: Option<Order>) -> Option<Timestamp> {
        let local = Local::read(text, dates).or_else(|_| Day::read(text, dates).map(Local::start_of)).ok()?;
        self.of_local(local)
    }

    /// The same of a day and a time of day that were read already.
    pub fn of_civil(&self, civil: DateTime) -> Option<Timestamp> {
        let since = civil.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
        let nanoseconds = u32::try_from(since.subsec_nanos()).ok()?;
        self.of_local(Local { seconds: since.as_secs(), nanoseconds, leap: false })
    }

    fn of_local(&self, local: Local) -> Option<Timestamp> {
        let at = Rules::find(&self.0)?.instant(local)?;
        Timestamp::new(at.seconds, i32::try_from(at.nanoseconds).ok()?).ok()
    }

    /// `{"name", "offsets": [[from, offset], …], "until"}`, in seconds.
    fn for_mapper(&self, received_at: Timestamp) -> Value {
        let Some(rules) = Rules::find(&self.0) else { return Value::Null };
        let offsets = rules.offsets(received_at.as_second());
        json!({"name": self.0, "offsets": offsets.from, "until": offsets.until})
    }
}

/// What a contract says by a word of a closed set.
trait Word: Copy {
    const EXPECTED: &str;
    fn read(text: &str) -> Option<Self>;
    fn text(self) -> &'static str;
}

macro_rules! words {
    ($($type:ty, $read:path, $expected:literal;)+) => {
        $(impl Word for $type {
            const EXPECTED: &str = $expected;
            fn read(text: &str) -> Option<Self> {
                $read(text)
            }
            fn text(self) -> &'static str {
                self.as_str()
            }
        })+
    };
}

words! {
    Mark, Mark::of, "\".\" or \",\"";
    Grouping, Grouping::of, "\",\", \".\", \" \", \"'\" or \"none\"";
    Order, Order::of, "\"iso\", \"dmy\", \"mdy\" or \"ymd\"";
    Encoding, Encoding::of_label,
        "an encoding that is read here: utf-8, utf-16, utf-16le, utf-16be, iso-8859-1, -2, -5, -7, -15, windows-1250 to windows-1254 or windows-1257";
}

mod word {
    use std::borrow::Cow;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Word;

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<W: Word, S: Serializer>(word: &Option<W>, writer: S) -> Result<S::Ok, S::Error> {
        word.map(Word::text).serialize(writer)
    }

    pub(super) fn deserialize<'de, W: Word, D: Deserializer<'de>>(reader: D) -> Result<Option<W>, D::Error> {
        let text = Cow::<str>::deserialize(reader)?;
        let word = W::read(&text);
        let refused = || D::Error::custom(format!("{text:?} is not {}", W::EXPECTED));
        word.map(Some).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn text(toml: &str) -> Result<Text, String> {
        toml::from_str::<Text>(toml).map_err(|error| error.to_string())
    }

    #[test]
    fn every_member_is_read_and_written() {
        let written = "decimal = \",\"\ngrouping = \" \"\ndates = \"dmy\"\nzone = \"Europe/Berlin\"\nencoding = \"latin1\"\n";
        let declared = text(written).unwrap();
        assert_eq!(toml::to_string(&declared).unwrap(), written.replace("latin1", "iso-8859-1"));
        assert_eq!(declared.problem(), None);
        assert!(text("").unwrap().is_empty());
        for (wrong, words) in [
            ("decimal = \";\"", "is not \".\" or \",\""),
            ("grouping = \"\"", "or \"none\""),
            ("dates = \"md\"", "\"iso\", \"dmy\""),
            ("zone = \"Europe/Bonn\"", "\"Europe/Bonn\" is not a time zone"),
            ("zone = \"\"", "is not a time zone"),
            ("encoding = \"utf-7\"", "windows-1252"),
            ("decimals = \",\"", "decimals"),
        ] {
            let said = text(wrong).unwrap_err();
            assert!(
                said.contains(words) || words == "windows-1252" && said.contains("windows-1250"),
                "{wrong}: {said}"
            );
        }
        assert!(text("grouping = \".\"").unwrap().problem().unwrap().contains("without decimal"));
        assert!(text("decimal = \",\"\ngrouping = \",\"").unwrap().problem().unwrap().contains("same mark"));
    }

    #[test]
    fn a_local_time_is_read_by_the_rules_of_its_zone() {
        let zone = |name: &str| Zone::try_from(name.to_owned()).unwrap();
        for (name, time, dates, expected) in [
            ("Europe/Berlin", "2026-01-15T12:00:00", None, Some("2026-01-15T11:00:00Z")),
            ("Europe/Berlin", "15.07.2026 12:00", Some(Order::Dmy), Some("2026-07-15T10:00:00Z")),
            ("America/New_York", "7/15/2026 2:05 PM", Some(Order::Mdy), Some("2026-07-15T18:05:00Z")),
            ("asia/kolkata", "2026-07-15 12:00:00.250", None, Some("2026-07-15T06:30:00.25Z")),
            ("Europe/Berlin", "2026-07-15", None, Some("2026-07-14T22:00:00Z")),
            ("utc", "2026-07-15 12:00", None, Some("2026-07-15T12:00:00Z")),
            // Skipped, and shown twice: RFC 5545.
            ("Europe/Berlin", "2026-03-29 02:30", None, Some("2026-03-29T01:30:00Z")),
            ("Europe/Berlin", "2026-10-25 02:30", None, Some("2026-10-25T00:30:00Z")),
            ("Europe/Berlin", "15.07.2026 12:00", None, None),
            ("Europe/Berlin", "2026-07-15 24:00", None, None),
            ("Europe/Berlin", "", None, None),
        ] {
            let at = zone(name).instant(time, dates).map(|at| at.to_string());
            assert_eq!(at.as_deref(), expected, "{name} {time}");
        }
    }

    #[test]
    fn a_mapper_is_told_the_offsets_around_its_message() {
        let declared = text("decimal = \",\"\nzone = \"Europe/Berlin\"\nencoding = \"latin1\"").unwrap();
        let told = declared.for_mapper("2026-07-15T12:00:00Z".parse().unwrap()).unwrap();
        let offsets = told["zone"]["offsets"].as_array().unwrap();
        assert_eq!((told["decimal"].as_str(), told.get("encoding"), offsets.len()), (Some(","), None, 17));
        assert_eq!(offsets[0], json!([1_609_459_200, 3_600]), "2021-01-01");
        assert_eq!(offsets[11], json!([1_774_746_000, 7_200]), "2026-03-29T01:00:00Z");
        assert_eq!(told["zone"]["until"], 1_861_920_000, "2029-01-01");
        let utc =
            text("zone = \"utc\"").unwrap().for_mapper("2026-07-15T12:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(utc["zone"]["offsets"], json!([[1_609_459_200, 0]]));
        assert_eq!(text("encoding = \"latin1\"").unwrap().for_mapper(Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_message_is_decoded_as_it_is_declared_or_stated() {
        let none = Text::default();
        let latin = text("encoding = \"windows-1252\"").unwrap();
        let utf8 = |text: &Text, format, bytes: &[u8], charset| {
            text.utf8(format, bytes, charset).map(|bytes| String::from_utf8(bytes.into_owned()).ok())
        };
        let umlaut = b"\xe4";
        assert_eq!(utf8(&latin, Format::Csv, umlaut, None), Ok(Some("ä".into())));
        assert_eq!(utf8(&none, Format::Csv, umlaut, Some("windows-1252")), Ok(Some("ä".into())));
        assert_eq!(utf8(&latin, Format::Json, umlaut, None), Ok(Some("ä".into())));
        // Not ours to judge: the reader names the line.
        assert_eq!(utf8(&none, Format::Csv, umlaut, None), Ok(None));
        assert_eq!(utf8(&none, Format::Json, umlaut, Some("windows-1252")), Ok(None));
        assert!(utf8(&latin, Format::Csv, "ä".as_bytes(), None).is_err());
        assert_eq!(&*latin.utf8_lossy(Format::X12, b"\x81", None), "\u{f781}".as_bytes());
        // The bytes of a file that acceptance does not read are its identity.
        assert_eq!(&*latin.utf8_lossy(Format::Csv, b"\xe4\x81", None), b"\xe4\x81");
        assert_eq!(&*none.utf8_lossy(Format::X12, b"\xff\xfea", Some("utf-16")), b"\xff\xfea");
        for (content_type, expected) in [
            ("text/csv; charset=utf-16", Some("utf-16")),
            ("text/csv;header=present; Charset=\"Latin1\"", Some("Latin1")),
            ("text/csv; charset=", None),
            ("text/csv", None),
            ("text/csv; charset=utf8", None),
        ] {
            assert_eq!(charset(content_type), expected);
        }
    }
}

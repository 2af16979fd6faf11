//! Identifiers, each its own type, and the object keys that are made of them.
//!
//! Every constructor checks: a value of one of these types is safe in an S3 key, a DynamoDB key and a log line.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::limits::EXTERNAL_EVENT_ID_CHARS_MAX;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {fault}")]
pub struct InvalidId {
    what: &'static str,
    fault: &'static str,
}

impl InvalidId {
    /// Of a text that names no operation.
    fn of_operation() -> Self {
        Self { what: "operation id", fault: "is not a ULID (26 characters of 0-9 A-Z without I L O U)" }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(&text).map_err(|fault| InvalidId { what: $what, fault })?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

fn name(text: &str, chars_max: usize, punctuation: &[u8]) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    match bytes.first() {
        None => return Err("is empty"),
        Some(first) if !first.is_ascii_alphanumeric() => return Err("must start with a letter or a digit"),
        Some(_) => {}
    }
    if bytes.len() > chars_max {
        return Err("is too long");
    }
    if bytes.iter().all(|b| b.is_ascii_alphanumeric() || punctuation.contains(b)) {
        Ok(())
    } else {
        Err("has a character that is not allowed")
    }
}

text_id!(
    /// A vendor: 1 to 64 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit. A segment of object keys.
    VendorId,
    "vendorId",
    |text| name(text, 64, b"._-")
);

text_id!(
    /// A vendor's name for a kind of message, such as `inventory_update` or `orders/create`: 1 to 128 of
    /// `A-Z a-z 0-9 . _ / -`, starting with a letter or digit.
    EventType,
    "eventType",
    |text| name(text, 128, b"._/-")
);

text_id!(
    /// A version of a payload schema or of a canonical type: 1 to 32 of `A-Z a-z 0-9 . _ -`.
    SchemaVersion,
    "schemaVersion",
    |text| name(text, 32, b"._-")
);

impl SchemaVersion {
    /// Of a message that no contract covered when it was accepted: the contract that maps it says which version it is.
    pub fn unstated() -> Self {
        Self("unstated".to_owned())
    }
}

impl EventType {
    /// Of a message that no contract covers and that does not say its type, or says none that could be one.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

text_id!(
    /// A canonical event type such as `InventoryUpdated`: 1 to 64 letters and digits. A segment of object keys.
    CanonicalType,
    "canonical event type",
    |text| name(text, 64, b"")
);

text_id!(
    /// The vendor's own identifier of an event, 1 to 256 characters without control characters; or, where the message is its own
    /// identity, `sha256:` and the digest (design section 6), from the second acceptance on with `#` and a number of ten digits.
    /// That form is Sluice's own: what a vendor says is read with [`ExternalEventId::from_vendor`].
    ExternalEventId,
    "externalEventId",
    |text| {
        if text.is_empty() {
            Err("is empty")
        } else if text.chars().count() > EXTERNAL_EVENT_ID_CHARS_MAX {
            Err("is longer than 256 characters")
        } else if text.chars().any(char::is_control) {
            Err("has a control character")
        } else if text.strip_prefix(DIGEST_PREFIX).is_some_and(|rest| !is_digest(rest)) {
            Err(RESERVED)
        } else {
            Ok(())
        }
    }
);

const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_DIGITS: usize = 64;
/// Digits of a generation: as many as `u32` has, so that the texts sort as the numbers do.
const GENERATION_DIGITS: usize = 10;
const RESERVED: &str = "starts with the reserved prefix \"sha256:\"";

/// 64 hexadecimal digits, and perhaps a generation.
fn is_digest(text: &str) -> bool {
    let (digest, generation) = text.split_once('#').map_or((text, None), |(digest, it)| (digest, Some(it)));
    digest.len() == DIGEST_DIGITS
        && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && generation.is_none_or(|it| {
            it.len() == GENERATION_DIGITS && it.parse::<u32>().is_ok_and(|number| number > 1)
        })
}

impl ExternalEventId {
    /// An id as a vendor states it: never of the form that stands for a digest.
    ///
    /// It is kept in Normalization Form C, so that one id is one event, however its sender composes its characters.
    pub fn from_vendor(text: &str) -> Result<Self, InvalidId> {
        let text = &*sluice_formats::identifier::composed(text.into());
        if text.starts_with(DIGEST_PREFIX) {
            return Err(InvalidId { what: "externalEventId", fault: RESERVED });
        }
        text.parse()
    }

    /// The id of a message that is its own identity.
    pub fn of_digest(digest: &Sha256Hex) -> Self {
        Self(format!("{DIGEST_PREFIX}{digest}"))
    }

    /// The id that several texts are together. `|` joins them; in each of them `%`, `|` and control characters are escaped as in
    /// a URL, so that no two lists are one id. What would be too long, or of the reserved form, is the digest of the texts.
    pub fn of_parts(parts: &[String]) -> Self {
        let mut text = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                text.push('|');
            }
            for c in part.chars() {
                if c == '%' || c == '|' || c.is_control() {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        text.push_str(&format!("%{byte:02X}"));
                    }
                } else {
                    text.push(c);
                }
            }
        }
        Self::from_vendor(&text).unwrap_or_else(|_| {
            let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
            Self::of_digest(&Sha256Hex::of_parts(&parts))
        })
    }

    /// The id under which the same message is accepted once more, after its window; `None` if this is no digest, or the last number.
    pub fn next_generation(&self) -> Option<Self> {
        let rest = self.0.strip_prefix(DIGEST_PREFIX)?;
        let (digest, generation) = rest.split_once('#').unwrap_or((rest, "1"));
        let next = generation.parse::<u32>().ok()?.checked_add(1)?;
        Some(Self(format!("{DIGEST_PREFIX}{digest}#{next:0GENERATION_DIGITS$}")))
    }
}

/// A ULID: 26 characters of Crockford base 32, sortable by the millisecond of acceptance (ulid/spec).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IngestId(ulid::Ulid);

impl IngestId {
    /// One of `parts` parts, from 0: as many ids in each, whatever their times are and whichever of their bits are random.
    pub fn part(self, parts: u8) -> u8 {
        // The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): every bit of the id changes every bit of the result.
        let bits = self.0.0;
        let mut mixed = (bits >> 64) as u64 ^ (bits as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        u8::try_from(mixed % u64::from(parts.max(1))).unwrap_or(0)
    }

    /// Mints the id for an event received at `at`; of `random` the low 80 bits are used.
    pub fn mint(at: Timestamp, random: u128) -> Self {
        Self(ulid::Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or(0), random))
    }

    /// When the event was received, to the millisecond.
    pub fn received_at(self) -> Timestamp {
        let millis = i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }
}

impl TryFrom<String> for IngestId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl FromStr for IngestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fault =
            InvalidId { what: "ingestId", fault: "is not a ULID (26 characters of 0-9 A-Z without I L O U)" };
        let id = ulid::Ulid::from_string(text).map_err(|_| fault.clone())?;
        // The decoder also takes lower case and look-alikes; one event has one spelling.
        if id.to_string() == text { Ok(Self(id)) } else { Err(fault) }
    }
}

impl From<IngestId> for String {
    fn from(id: IngestId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for IngestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for IngestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Names an operation: a ULID, sortable by the moment at which it was planned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(IngestId);

impl OperationId {
    /// Mints the id of an operation that is planned at `at`; of `random` the low 80 bits are used.
    pub fn mint(at: Timestamp, random: u128) -> Self {
        Self(IngestId::mint(at, random))
    }
}

impl FromStr for OperationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self).map_err(|_: InvalidId| InvalidId::of_operation())
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where a stored object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// S3 bucket.
    pub bucket: String,
    /// S3 key.
    pub key: String,
}

/// `raw/<vendorId>/YYYY/MM/DD/<ingestId>.json`, by the UTC day of acceptance, for replay by time (A3).
pub fn raw_key(vendor: &VendorId, received_at: Timestamp, ingest_id: IngestId) -> String {
    format!("raw/{vendor}/{}/{ingest_id}.json", day(received_at))
}

/// The id that an object key is made of; `None` for a key that Sluice did not make.
pub fn ingest_id_of_key(key: &str) -> Option<IngestId> {
    let mut parts = key.rsplit('/');
    let name = parts.next()?.strip_suffix(".json")?;
    // Before 0.2 a normalized document had the event's id for its name.
    name.parse().ok().or_else(|| parts.next()?.parse().ok())
}

/// `normalized/<canonical type>/YYYY/MM/DD/<ingestId>/<sha256>.json`, by the UTC day of acceptance. The digest is that of the
/// document: what is under a key never changes, and another mapping of the event writes another key. The ledger names the one
/// that holds.
pub fn normalized_key(
    event_type: &CanonicalType,
    received_at: Timestamp,
    ingest_id: IngestId,
    sha256: &Sha256Hex,
) -> String {
    format!("{}/{sha256}.json", normalized_folder(event_type, received_at, ingest_id))
}

/// What the keys of all documents of an event begin with.
pub fn normalized_folder(event_type: &CanonicalType, received_at: Timestamp, ingest_id: IngestId) -> String {
    format!("normalized/{event_type}/{}/{ingest_id}", day(received_at))
}

fn day(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y/%m/%d")
}

/// RFC 3339 in UTC with milliseconds and `Z`, the one form in which Sluice writes a time.
pub fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Serde form of a time: RFC 3339, UTC, exactly three decimals, so that the text sorts as the time does.
pub mod millis {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes [`super::rfc3339`].
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::rfc3339(*at))
    }

    /// Reads any RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_laid_out_by_the_utc_day() {
        let at: Timestamp = "2026-11-21T23:59:59.9-05:00".parse().unwrap();
        let id = IngestId::mint(at, 7);
        let vendor: VendorId = "vendorA".parse().unwrap();
        assert_eq!(raw_key(&vendor, at, id), format!("raw/vendorA/2026/11/22/{id}.json"));
        assert_eq!(rfc3339(at), "2026-11-22T04:59:59.900Z");
        let (kind, sha256) = ("InventoryUpdated".parse().unwrap(), Sha256Hex::of(b"x"));
        let key = normalized_key(&kind, at, id, &sha256);
        assert_eq!(key, format!("normalized/InventoryUpdated/2026/11/22/{id}/{sha256}.json"));
        let before = format!("normalized/InventoryUpdated/2026/11/22/{id}.json");
        for key in [&key, &before, &raw_key(&vendor, at, id)] {
            assert_eq!(ingest_id_of_key(key), Some(id), "{key}");
        }
        for foreign in ["normalized/x/readme.json", "x.json", "raw/vendorA/2026/11/22/x.json", ""] {
            assert_eq!(ingest_id_of_key(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn every_part_has_as_many_ids_however_they_were_minted() {
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let counted = |n: i64| IngestId::mint(at, u128::from(n.unsigned_abs()));
        let timed = |n: i64| IngestId::mint(at + jiff::SignedDuration::from_millis(n), 7);
        let shifted = |n: i64| IngestId::mint(at, u128::from(n.unsigned_abs()) << 60);
        for mint in [&counted as &dyn Fn(i64) -> IngestId, &timed, &shifted] {
            for parts in [8_u8, 16] {
                let mut counts = vec![0_u32; usize::from(parts)];
                (0..16_000).for_each(|n| counts[usize::from(mint(n).part(parts))] += 1);
                let fair = 16_000 / u32::from(parts);
                // Six standard deviations of a fair draw.
                let off = (6.0 * f64::from(fair).sqrt()) as u32;
                assert!(counts.iter().all(|count| count.abs_diff(fair) <= off), "{counts:?}");
            }
        }
    }

    #[test]
    fn ids_refuse_what_would_break_a_key() {
        for bad in ["", ".", "../x", "a/b", "a b", "a\u{7}", "é", &"a".repeat(65)] {
            assert!(bad.parse::<VendorId>().is_err(), "{bad:?}");
        }
        assert!("orders/create".parse::<EventType>().is_ok());
        for bad in ["", "a\nb", "sha256:abc", &"é".repeat(257)] {
            assert!(bad.parse::<ExternalEventId>().is_err(), "{bad:?}");
        }
        assert!("é".repeat(256).parse::<ExternalEventId>().is_ok());
        let composed = ExternalEventId::from_vendor("caf\u{e9}").unwrap();
        assert_eq!(ExternalEventId::from_vendor("cafe\u{301}").unwrap(), composed);
        assert_eq!(ExternalEventId::of_parts(&["cafe\u{301}".into(), "1".into()]).as_str(), "caf\u{e9}|1");
    }

    #[test]
    fn generations_of_a_digest_sort_as_they_count() {
        let first = ExternalEventId::of_digest(&Sha256Hex::of(b"x"));
        let mut ids = vec![first.clone()];
        for _ in 0..12 {
            let next = ids.last().unwrap().next_generation().unwrap();
            assert_eq!(next.as_str().parse::<ExternalEventId>().unwrap(), next);
            assert!(next.as_str().starts_with(first.as_str()));
            ids.push(next);
        }
        assert!(ids.is_sorted());
        assert_eq!(ids[1].as_str(), format!("{first}#0000000002"));
        for bad in ["#", "#2", "#0000000001", "#9999999999", "#00000000002", "x"] {
            assert!(format!("{first}{bad}").parse::<ExternalEventId>().is_err(), "{bad}");
        }
        let last: ExternalEventId = format!("{first}#{}", u32::MAX).parse().unwrap();
        assert_eq!(last.next_generation(), None);
        assert_eq!("evt-1".parse::<ExternalEventId>().unwrap().next_generation(), None);
        assert!(ExternalEventId::from_vendor(first.as_str()).is_err());
        assert!(ExternalEventId::from_vendor("evt-1").is_ok());
    }

    proptest! {
        /// No separator, escape, control character, length or reserved prefix in a part makes two lists one id.
        #[test]
        fn ids_of_several_parts_do_not_collide(
            one in proptest::collection::vec(r"[a-c|%,:\\ 2357C\x01é]{0,5}|sha256:[ab]{0,2}|x{200}", 1..4),
            other in proptest::collection::vec(r"[a-c|%,:\\ 2357C\x01é]{0,5}|sha256:[ab]{0,2}|x{200}", 1..4),
        ) {
            let (id, other_id) = (ExternalEventId::of_parts(&one), ExternalEventId::of_parts(&other));
            prop_assert_eq!(one == other, id == other_id, "{:?} {:?}", id, other_id);
            prop_assert_eq!(id.as_str().parse::<ExternalEventId>().unwrap(), id);
        }
    }

    #[test]
    fn ids_of_several_parts_are_readable() {
        let id = |parts: &[&str]| {
            ExternalEventId::of_parts(&parts.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string()
        };
        assert_eq!(id(&["5101", "2026-11-28T10:00:00"]), "5101|2026-11-28T10:00:00");
        assert_eq!(id(&["a|b", "50%", "\n"]), "a%7Cb|50%25|%0A");
        assert_eq!(id(&["ABC", ""]), "ABC|");
        assert!(id(&["sha256:abc", "x"]).starts_with("sha256:"));
        assert_eq!(id(&["é".repeat(255).as_str(), ""]).chars().count(), 256);
        assert_eq!(id(&["é".repeat(256).as_str(), ""]).len(), "sha256:".len() + 64);
    }

    #[test]
    fn an_ingest_id_has_one_spelling() {
        let id = IngestId::mint("2026-01-01T00:00:00Z".parse().unwrap(), u128::MAX);
        let text = id.to_string();
        assert_eq!(text.parse::<IngestId>().unwrap(), id);
        assert!(text.to_lowercase().parse::<IngestId>().is_err());
        assert!("not-a-ulid".parse::<IngestId>().is_err());
    }
}

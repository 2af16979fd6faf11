//! A bundle as published, the native code made of it, and the pointer that makes it active.
//!
//! Files lie at `blobs/<sha256>`, manifests at `bundles/<sha256 of the manifest>.json`, in one bucket. Whoever holds a
//! bundle's digest can check all of it. Native code is not part of a bundle but a signed statement about it ([`SignedBuild`]),
//! at `bundles/<digest>/native/<fingerprint>/<key id>.json`: so a bundle keeps its name when it is compiled for a further host
//! (`docs/adr/0020-native-code-is-a-signed-statement.md`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contract::Contract;
use crate::digest::Sha256Hex;
use crate::id::{EventType, IngestId, VendorId};

/// Name of the module among a bundle's files.
pub const MODULE_FILE: &str = "mapper.wasm";

/// What a bundle consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The contract.
    pub contract: Contract,
    /// [`MODULE_FILE`], the schemas and the fixtures, by path.
    pub files: BTreeMap<String, FileRef>,
}

/// A file by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Digest of the bytes.
    pub sha256: Sha256Hex,
    /// Their number.
    pub bytes: u64,
}

impl FileRef {
    /// Refers to `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256Hex::of(bytes), bytes: bytes.len() as u64 }
    }
}

impl Manifest {
    /// The stored form (RFC 8785) and its digest, which is the bundle's name.
    pub fn encode(&self) -> (Vec<u8>, Sha256Hex) {
        let bytes = canonical(self);
        let digest = Sha256Hex::of(&bytes);
        (bytes, digest)
    }
}

/// RFC 8785 of a type with string keys, texts and integers only.
fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value)
        .unwrap_or_else(|error| unreachable!("string keys and integers only: {error}"))
}

/// Key of a manifest.
pub fn manifest_key(bundle: &Sha256Hex) -> String {
    format!("bundles/{bundle}.json")
}

/// Key of a file.
pub fn blob_key(sha256: &Sha256Hex) -> String {
    format!("blobs/{sha256}")
}

/// Precedes a statement in what is signed, so that a signature over anything else is never one over a build.
const BUILD_DOMAIN: &[u8] = b"sluice.build.v1\n";

/// A statement: this native code was compiled from this bundle's module, for hosts with this fingerprint.
///
/// The bundle's digest stands for contract, limits, schemas and module, so one signature covers all that decides how a mapper
/// behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Build {
    /// Digest of the manifest.
    pub bundle: Sha256Hex,
    /// Which hosts may load it.
    pub fingerprint: String,
    /// For which kind of machine, e.g. `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// The code.
    pub native: FileRef,
}

impl Build {
    /// The exact bytes that are signed: a fixed line, then RFC 8785.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [BUILD_DOMAIN, &canonical(self)].concat()
    }
}

/// A [`Build`] with who answers for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedBuild {
    /// The statement.
    pub build: Build,
    /// SHA-256 of the public key (DER, `SubjectPublicKeyInfo`).
    pub key_id: Sha256Hex,
    /// How it was signed.
    pub algorithm: SignatureAlgorithm,
    /// Over [`Build::signed_bytes`], DER, in base64.
    pub signature: String,
}

impl SignedBuild {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        canonical(self)
    }
}

/// How builds are signed. The name is the one that AWS KMS has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 over SHA-256.
    #[serde(rename = "ECDSA_SHA_256")]
    EcdsaSha256,
}

/// What keys of all builds of a bundle start with.
pub fn builds_prefix(bundle: &Sha256Hex) -> String {
    format!("bundles/{bundle}/native/")
}

/// Key of a signed build.
pub fn build_key(bundle: &Sha256Hex, fingerprint: &str, key_id: &Sha256Hex) -> String {
    format!("{}{fingerprint}/{key_id}.json", builds_prefix(bundle))
}

/// Fingerprint and signing key that a key of [`build_key`]'s form names.
pub fn parse_build_key(key: &str) -> Option<(&str, &str)> {
    let (_, rest) = key.split_once("/native/")?;
    let (fingerprint, file) = rest.split_once('/')?;
    Some((fingerprint, file.strip_suffix(".json")?))
}

/// A share of events, in hundredths of a percent; in JSON a number such as `10` or `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

impl Percent {
    /// All.
    pub const HUNDRED: Self = Self(10_000);

    /// From hundredths of a percent, at most 10,000.
    pub fn from_hundredths(hundredths: u16) -> Result<Self, InvalidPercent> {
        if hundredths <= Self::HUNDRED.0 { Ok(Self(hundredths)) } else { Err(InvalidPercent) }
    }

    /// In hundredths of a percent.
    pub fn hundredths(self) -> u16 {
        self.0
    }
}

/// Not a share.
#[derive(Debug, thiserror::Error)]
#[error("expected a percentage from 0 to 100 with at most two decimals")]
pub struct InvalidPercent;

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || decimals.len() > 2 || !digits(whole) || !digits(decimals) {
            return Err(InvalidPercent);
        }
        let number = |text: &str| text.parse::<u16>().map_err(|_| InvalidPercent);
        Self::from_hundredths(number(whole)? * 100 + number(&format!("{decimals:0<2}"))?)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(100) {
            serializer.serialize_u16(self.0 / 100)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 100.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hundredths = (f64::deserialize(deserializer)? * 100.0).round();
        if !(0.0..=10_000.0).contains(&hundredths) {
            return Err(serde::de::Error::custom(InvalidPercent));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 to 10,000")]
        Ok(Self(hundredths as u16))
    }
}

/// The pointer in the vendors table: which bundle maps one vendor's event type now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveMapper {
    /// Digest of the manifest.
    pub bundle: Sha256Hex,
    /// A copy of the bundle's contract, so that acceptance needs no object.
    pub contract: Contract,
    /// Counts changes; a pointer is replaced only by who has seen it.
    pub revision: u64,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub activated_at: Timestamp,
    /// Who, as the tool knows it.
    pub activated_by: String,
    /// Why.
    pub reason: String,
    /// A candidate that a share of the events goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// A candidate on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The candidate.
    pub bundle: Sha256Hex,
    /// The share of events that it maps.
    pub percent: Percent,
    /// When it began.
    #[serde(with = "crate::id::millis")]
    pub since: Timestamp,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// It is not judged before it has mapped this many events.
    pub min_events: u64,
    /// By how many percentage points its quarantine rate may exceed the active one's.
    pub margin: Percent,
}

impl Canary {
    /// [`Canary::min_events`] unless told otherwise.
    pub const MIN_EVENTS_DEFAULT: u64 = 100;
    /// [`Canary::margin`] unless told otherwise: one percentage point.
    pub const MARGIN_DEFAULT: Percent = Percent(100);

    /// Whether an event is the candidate's: the same answer for the same event, everywhere.
    pub fn takes(&self, ingest_id: IngestId) -> bool {
        let digest = Sha256Hex::of(ingest_id.to_string().as_bytes()).to_bytes();
        let number = u64::from_be_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ]);
        number % u64::from(Percent::HUNDRED.0) < u64::from(self.percent.0)
    }

    /// What the counts say.
    pub fn verdict(&self, counts: &CanaryCounts) -> Verdict {
        let (candidate, active) = (counts.candidate, counts.active);
        if candidate.events < self.min_events.max(1) {
            return Verdict::Watching;
        }
        // candidate.failed / candidate.events > active.failed / active.events + margin, without a fraction.
        let (events, reference) = (u128::from(candidate.events), u128::from(active.events.max(1)));
        let whole = u128::from(Percent::HUNDRED.0);
        let left = u128::from(candidate.failed) * reference * whole;
        let right =
            u128::from(active.failed) * events * whole + u128::from(self.margin.0) * events * reference;
        if left > right { Verdict::Failed } else { Verdict::Passing }
    }
}

/// Whether a candidate does well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Too few events to say.
    Watching,
    /// Not worse than the active mapper by more than the margin.
    Passing,
    /// Worse by more than the margin.
    Failed,
}

/// Which mapper an event went through during a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// The candidate.
    Candidate,
    /// The active one.
    Active,
}

/// Outcomes of one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCounts {
    /// Events that ended, either way.
    pub events: u64,
    /// Those that ended in quarantine for the mapper's or the message's sake.
    pub failed: u64,
}

impl fmt::Display for ArmCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "for reading")]
        let rate = if self.events == 0 { 0.0 } else { self.failed as f64 * 100.0 / self.events as f64 };
        write!(f, "{} of {} ({rate:.2} %)", self.failed, self.events)
    }
}

/// Outcomes since a canary began. At least once, as events are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryCounts {
    /// The candidate's.
    pub candidate: ArmCounts,
    /// The active mapper's.
    pub active: ArmCounts,
}

/// Kinds of entries in a pointer's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A publication made its bundle active.
    Activate,
    /// A published bundle was made active.
    Promote,
    /// A candidate was put on trial.
    Canary,
    /// A person went back: to an earlier bundle, or from a candidate to the active one.
    Rollback,
    /// The candidate did worse than the active mapper, and `normalize` took it away.
    AutoRollback,
}

impl ChangeKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Promote => "promote",
            Self::Canary => "canary",
            Self::Rollback => "rollback",
            Self::AutoRollback => "auto-rollback",
        }
    }
}

/// One entry of a pointer's history: written with the change itself, in one transaction, and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapperChange {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// Of the pointer, after the change.
    pub revision: u64,
    /// What was done.
    pub kind: ChangeKind,
    /// When.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The bundle that events moved away from; none for the first activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sha256Hex>,
    /// The bundle that they moved to: all of them, or for [`ChangeKind::Canary`] a share.
    pub to: Sha256Hex,
    /// The trial that began or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// What an automatic rollback was decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<CanaryCounts>,
    /// What spoke against it and was overruled by `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
}

/// Who decided what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What spoke against it and was overruled.
    pub forced: Option<String>,
}

impl MapperChange {
    /// The pointer and the history entry that make `bundle` the active one. A trial that is on ends by it.
    pub fn activate(
        kind: ChangeKind,
        held: Option<&ActiveMapper>,
        bundle: Sha256Hex,
        contract: Contract,
        decision: Decision,
    ) -> (ActiveMapper, Self) {
        let revision = held.map_or(0, |held| held.revision) + 1;
        let change = Self {
            vendor_id: contract.vendor_id.clone(),
            event_type: contract.event_type.clone(),
            revision,
            kind,
            at: decision.at,
            by: decision.by.clone(),
            reason: decision.reason.clone(),
            from: held.map(|held| held.bundle.clone()),
            to: bundle.clone(),
            canary: held.and_then(|held| held.canary.clone()),
            counts: None,
            forced: decision.forced,
        };
        let pointer = ActiveMapper {
            bundle,
            contract,
            revision,
            activated_at: decision.at,
            activated_by: decision.by,
            reason: decision.reason,
            canary: None,
        };
        (pointer, change)
    }

    /// The pointer and the entry that put a candidate on trial, in place of one that may be on.
    pub fn start_canary(held: &ActiveMapper, canary: Canary, forced: Option<String>) -> (ActiveMapper, Self) {
        let change = Self {
            vendor_id: held.contract.vendor_id.clone(),
            event_type: held.contract.event_type.clone(),
            revision: held.revision + 1,
            kind: ChangeKind::Canary,
            at: canary.since,
            by: canary.by.clone(),
            reason: canary.reason.clone(),
            from: Some(held.bundle.clone()),
            to: canary.bundle.clone(),
            canary: Some(canary.clone()),
            counts: None,
            forced,
        };
        (ActiveMapper { revision: held.revision + 1, canary: Some(canary), ..held.clone() }, change)
    }

    /// The pointer and the entry that end a trial; `None` if there is none.
    pub fn end_canary(
        kind: ChangeKind,
        held: &ActiveMapper,
        counts: Option<CanaryCounts>,
        decision: Decision,
    ) -> Option<(ActiveMapper, Self)> {
        let canary = held.canary.clone()?;
        let change = Self {
            vendor_id: held.contract.vendor_id.clone(),
            event_type: held.contract.event_type.clone(),
            revision: held.revision + 1,
            kind,
            at: decision.at,
            by: decision.by,
            reason: decision.reason,
            from: Some(canary.bundle.clone()),
            to: held.bundle.clone(),
            canary: Some(canary),
            counts,
            forced: decision.forced,
        };
        Some((ActiveMapper { revision: held.revision + 1, canary: None, ..held.clone() }, change))
    }

    /// The bundle that a rollback goes back to: what was active before the present one, not counting what was rolled back.
    /// `history` is oldest first.
    pub fn previous(history: &[Self]) -> Option<Sha256Hex> {
        let mut active: Vec<&Sha256Hex> = Vec::new();
        for change in history {
            match change.kind {
                ChangeKind::Activate | ChangeKind::Promote => {
                    // A pointer that is older than its history is known by what it was replaced from.
                    if active.is_empty() {
                        active.extend(change.from.as_ref());
                    }
                    active.push(&change.to);
                }
                ChangeKind::Rollback
                    if change.canary.as_ref().is_some_and(|it| change.from.as_ref() == Some(&it.bundle)) => {}
                ChangeKind::Rollback => match active.iter().rposition(|bundle| **bundle == change.to) {
                    Some(at) => active.truncate(at + 1),
                    None => active.push(&change.to),
                },
                ChangeKind::Canary | ChangeKind::AutoRollback => {}
            }
        }
        let present = active.pop()?;
        active.into_iter().rev().find(|bundle| *bundle != present).cloned()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    fn canary(percent: &str, min_events: u64, margin: &str) -> Canary {
        Canary {
            bundle: Sha256Hex::of(b"candidate"),
            percent: percent.parse().unwrap(),
            since: Timestamp::UNIX_EPOCH,
            by: "me".into(),
            reason: "trial".into(),
            min_events,
            margin: margin.parse().unwrap(),
        }
    }

    #[test]
    fn percentages_are_exact() {
        for (text, hundredths) in [("10", 1_000), ("0.5", 50), ("0.25", 25), ("100", 10_000), ("0", 0)] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!((percent.hundredths(), percent.to_string().as_str()), (hundredths, text));
            let json = serde_json::to_string(&percent).unwrap();
            assert_eq!(json, text);
            assert_eq!(serde_json::from_str::<Percent>(&json).unwrap(), percent);
        }
        for text in ["", "101", "-1", "1.234", "1e1", "x", ".5", "100.01"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Percent>("100.01").is_err());
    }

    #[test]
    fn a_canary_takes_its_share_and_always_the_same_events() {
        let ten = canary("10", 1, "0");
        let ids: Vec<IngestId> = (0..20_000).map(|n| IngestId::mint(Timestamp::UNIX_EPOCH, n)).collect();
        let taken = ids.iter().filter(|id| ten.takes(**id)).count();
        assert!((1_800..=2_200).contains(&taken), "{taken} of 20,000");
        let half = canary("50", 1, "0");
        assert!(
            ids.iter().all(|id| !ten.takes(*id) || half.takes(*id)),
            "a larger share keeps the smaller one's events"
        );
        assert!(ids.iter().all(|id| canary("100", 1, "0").takes(*id) && !canary("0", 1, "0").takes(*id)));
    }

    #[test]
    fn a_candidate_fails_beyond_the_margin_and_not_before_enough_events() {
        let counts = |events, failed, active_events, active_failed| CanaryCounts {
            candidate: ArmCounts { events, failed },
            active: ArmCounts { events: active_events, failed: active_failed },
        };
        let trial = canary("10", 100, "1");
        assert_eq!(trial.verdict(&counts(99, 99, 1_000, 0)), Verdict::Watching);
        assert_eq!(
            trial.verdict(&counts(100, 1, 1_000, 0)),
            Verdict::Passing,
            "one point above is the margin itself"
        );
        assert_eq!(trial.verdict(&counts(100, 2, 1_000, 0)), Verdict::Failed);
        assert_eq!(
            trial.verdict(&counts(100, 6, 1_000, 50)),
            Verdict::Passing,
            "the active one fails as often"
        );
        assert_eq!(trial.verdict(&counts(100, 7, 1_000, 50)), Verdict::Failed);
        assert_eq!(
            trial.verdict(&counts(100, 2, 0, 0)),
            Verdict::Failed,
            "nothing to compare with counts as no failure"
        );
        assert_eq!(canary("10", 0, "0").verdict(&counts(0, 0, 0, 0)), Verdict::Watching);
    }

    fn entry(kind: ChangeKind, from: Option<&str>, to: &str, of_canary: bool) -> MapperChange {
        let digest = |text: &str| Sha256Hex::of(text.as_bytes());
        MapperChange {
            vendor_id: "v".parse().unwrap(),
            event_type: "t".parse().unwrap(),
            revision: 1,
            kind,
            at: Timestamp::UNIX_EPOCH,
            by: "me".into(),
            reason: "r".into(),
            from: from.map(digest),
            to: digest(to),
            canary: of_canary.then(|| Canary { bundle: digest("candidate"), ..canary("10", 1, "1") }),
            counts: None,
            forced: None,
        }
    }

    #[test]
    fn a_rollback_goes_back_further_each_time() {
        use ChangeKind::{Activate, AutoRollback, Canary, Promote, Rollback};
        let mut history = vec![entry(Activate, None, "one", false)];
        let previous = |history: &[MapperChange]| MapperChange::previous(history);
        let digest = |text: &str| Some(Sha256Hex::of(text.as_bytes()));
        assert_eq!(previous(&history), None);
        history.push(entry(Promote, Some("one"), "two", false));
        history.push(entry(Activate, Some("two"), "three", false));
        history.push(entry(Canary, Some("three"), "candidate", true));
        history.push(entry(AutoRollback, Some("candidate"), "three", true));
        history.push(entry(Rollback, Some("candidate"), "three", true));
        assert_eq!(previous(&history), digest("two"), "a trial changes nothing");
        history.push(entry(Rollback, Some("three"), "two", false));
        assert_eq!(previous(&history), digest("one"), "not to what was rolled back");
        history.push(entry(Rollback, Some("two"), "one", false));
        assert_eq!(previous(&history), None);
        assert_eq!(
            previous(&[entry(Promote, Some("old"), "new", false)]),
            digest("old"),
            "older than its history"
        );
    }

    #[test]
    fn what_is_signed_is_fixed() {
        let build = Build {
            bundle: Sha256Hex::of(b"manifest"),
            fingerprint: "f".repeat(64),
            target: "x86_64-unknown-linux-gnu".into(),
            native: FileRef::of(b"code"),
        };
        let signed = String::from_utf8(build.signed_bytes()).unwrap();
        let expected = format!(
            "sluice.build.v1\n{{\"bundle\":\"{}\",\"fingerprint\":\"{}\",\"native\":{{\"bytes\":4,\"sha256\":\"{}\"}},\"target\":\"x86_64-unknown-linux-gnu\"}}",
            build.bundle, build.fingerprint, build.native.sha256
        );
        assert_eq!(signed, expected);
        let key_id = Sha256Hex::of(b"key");
        let key = build_key(&build.bundle, &build.fingerprint, &key_id);
        assert_eq!(parse_build_key(&key), Some((build.fingerprint.as_str(), key_id.as_str())));
        assert_eq!(parse_build_key(&manifest_key(&build.bundle)), None);
    }
}

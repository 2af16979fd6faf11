//! A case held against itself, with nothing but the file and the keys that one trusts.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use sluice_core::Code;
use sluice_core::bundle::{Manifest, SignedBuild};
use sluice_core::canonical;
use sluice_core::digest::Sha256Hex;
use sluice_core::record::{LedgerRow, QuarantineRow};
use sluice_mapper_host::{Host, LoadError};
use sluice_mapping::{Bundle, Outcome as Mapping, TrustKeys, map};

use super::export::needed;
use super::file::{CaseFile, Flaw, Unreadable};
use super::{BUILDS, DOCUMENT, FILES, JOURNAL, LEDGER, MANIFEST, OUTCOME, Outcome, QUARANTINE, RAW};
use crate::error::OpsError;
use crate::loaded::compiled;

/// What a case is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every digest and signature holds, and the same comes of the message here.
    Reproduced,
    /// The same, but no trusted key has signed for the bundle.
    Untrusted,
    /// This host cannot run the bundle, or this version does not know the format.
    Unsupported,
    /// Something is not what it was.
    Differs,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// It holds.
    Holds,
    /// It does not.
    Differs,
    /// No trusted key says so.
    Untrusted,
    /// It cannot be told here.
    Unsupported,
    /// It was not asked for, or cannot be told since another check failed.
    NotChecked,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Of what: `file`, a part's name, `signature` or `outcome`.
    pub of: String,
    /// How it went.
    pub result: Checked,
    /// What was found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What was found of a case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// All in all.
    pub verdict: Verdict,
    /// The event, as the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_id: Option<String>,
    /// Whether the message is a stand-in.
    pub redacted: bool,
    /// The bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Sha256Hex>,
    /// What came of the message, as the case says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Outcome>,
    /// What comes of it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reproduced: Option<Outcome>,
    /// Every check, in the order in which they were made.
    pub checks: Vec<Check>,
    /// Digest of the file.
    pub sha256: Sha256Hex,
}

impl Verified {
    /// The checks that do not hold, in words.
    pub fn findings(&self) -> Vec<String> {
        let bad = |check: &&Check| !matches!(check.result, Checked::Holds | Checked::NotChecked);
        self.checks.iter().filter(bad).map(|check| format!("{}: {}", check.of, check.message)).collect()
    }
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, of: &str, result: Checked, message: impl Into<String>) {
        self.0.push(Check { of: of.to_owned(), result, message: message.into() });
    }

    fn holds(&mut self, of: &str, whether: bool, message: impl FnOnce() -> String) -> bool {
        match whether {
            true => self.add(of, Checked::Holds, ""),
            false => self.add(of, Checked::Differs, message()),
        }
        whether
    }

    fn verdict(&self) -> Verdict {
        let worst = self.0.iter().map(|check| match check.result {
            Checked::Holds | Checked::NotChecked => Verdict::Reproduced,
            Checked::Untrusted => Verdict::Untrusted,
            Checked::Unsupported => Verdict::Unsupported,
            Checked::Differs => Verdict::Differs,
        });
        worst.max().unwrap_or(Verdict::Differs)
    }
}

/// Holds a case against itself: every digest, every signature of a trusted key, and what comes of its message here. Without keys the
/// signatures are not checked, which is said.
///
/// # Errors
/// When this machine cannot run any mapper. Whatever is wrong with the file is in the answer.
pub fn verify(host: &Host, bytes: &[u8], trust: Option<&TrustKeys>) -> Result<Verified, OpsError> {
    let mut verified = Verified {
        verdict: Verdict::Differs,
        ingest_id: None,
        redacted: false,
        bundle: None,
        recorded: None,
        reproduced: None,
        checks: Vec::new(),
        sha256: Sha256Hex::of(bytes),
    };
    let mut checks = Checks::default();
    match CaseFile::decode(bytes) {
        Ok((file, flaws)) => {
            verified.ingest_id = Some(file.ingest_id.clone());
            verified.redacted = file.redacted;
            parts(host, &file, &flaws, trust, &mut checks, &mut verified)?;
        }
        Err(Unreadable::Malformed(message)) => checks.add("file", Checked::Differs, message),
        Err(version @ Unreadable::Version(_)) => {
            checks.add("file", Checked::Unsupported, version.to_string());
        }
    }
    verified.verdict = checks.verdict();
    verified.checks = checks.0;
    Ok(verified)
}

fn parts(
    host: &Host,
    file: &CaseFile,
    flaws: &[Flaw],
    trust: Option<&TrustKeys>,
    checks: &mut Checks,
    verified: &mut Verified,
) -> Result<(), OpsError> {
    for Flaw { part, message } in flaws {
        checks.add(part, Checked::Differs, message.clone());
    }
    const NAMES: [&str; 7] = [RAW, LEDGER, QUARANTINE, JOURNAL, OUTCOME, DOCUMENT, MANIFEST];
    let known = |name: &str| NAMES.contains(&name) || name.starts_with(FILES) || name.starts_with(BUILDS);
    for name in file.parts.keys().filter(|name| !known(name)) {
        checks.add(name, Checked::Differs, "no case has such a part");
    }
    let row: Option<LedgerRow> = read(file, LEDGER, true, checks);
    let held: Option<QuarantineRow> = read(file, QUARANTINE, false, checks);
    let recorded: Option<Outcome> = read(file, OUTCOME, true, checks);
    let _: Option<serde_json::Value> = read(file, JOURNAL, true, checks);
    verified.recorded.clone_from(&recorded);
    if let Some(row) = &row {
        checks.holds("ingestId", row.ingest_id.to_string() == file.ingest_id, || {
            format!("the file is about {}, {LEDGER} about {}", file.ingest_id, row.ingest_id)
        });
        match file.parts.get(RAW) {
            Some(raw) => digest(RAW, raw, &row.raw_sha256, LEDGER, checks),
            None => checks.add(RAW, Checked::Differs, "it is missing"),
        }
    }
    let bundle = row.as_ref().and_then(|row| match &recorded {
        Some(Outcome::Fails { .. }) => held.as_ref().and_then(|held| held.cause.bundle.clone()),
        Some(Outcome::Nothing(_)) => row.nothing.as_ref().map(|nothing| nothing.bundle.clone()),
        _ => row.normalized.as_ref().map(|normalized| normalized.bundle.clone()),
    });
    let Some(bundle) = bundle else {
        checks.add(MANIFEST, Checked::Differs, format!("neither {LEDGER} nor {QUARANTINE} names the bundle"));
        return Ok(());
    };
    verified.bundle = Some(bundle.clone());
    let loaded = mapper(host, file, &bundle, checks)?;
    signatures(file, &bundle, trust, checks);
    let (Some(row), Some(recorded)) = (row, recorded) else { return Ok(()) };
    rows(&row, held.as_ref(), &recorded, file, checks);
    let (Some(loaded), Some(raw)) = (loaded, file.parts.get(RAW)) else {
        checks.add("outcome", Checked::NotChecked, "the mapper or the message is not whole");
        return Ok(());
    };
    let mapped = map(&row.detail(), &loaded, raw);
    if let Err(fault) = &mapped
        && matches!(fault.code, Code::CanonicalTypeUnknown | Code::Unavailable)
    {
        checks.add("outcome", Checked::Unsupported, format!("this host cannot map it: {}", fault.message));
        return Ok(());
    }
    let here = Outcome::of(&mapped);
    checks.holds("outcome", here == recorded, || {
        format!("here the message comes to {}; the case says {}", here.sentence(), recorded.sentence())
    });
    if let (Ok(mapped), Some(document)) = (&mapped, file.parts.get(DOCUMENT))
        && let Mapping::Events { bytes, .. } = &mapped.outcome
    {
        checks.holds(DOCUMENT, bytes == document, || {
            let at = bytes.iter().zip(document.iter()).take_while(|(a, b)| a == b).count();
            format!("it differs at byte {at} from the document that the message comes to here")
        });
    }
    verified.reproduced = Some(here);
    Ok(())
}

/// A part as JSON.
fn read<T: serde::de::DeserializeOwned>(
    file: &CaseFile,
    name: &str,
    must: bool,
    checks: &mut Checks,
) -> Option<T> {
    let Some(bytes) = file.parts.get(name) else {
        if must {
            checks.add(name, Checked::Differs, "it is missing");
        }
        return None;
    };
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            checks.add(name, Checked::Differs, format!("it is not what it should be: {error}"));
            None
        }
    }
}

fn digest(part: &str, bytes: &Bytes, expected: &Sha256Hex, says: &str, checks: &mut Checks) {
    let found = Sha256Hex::of(bytes);
    checks.holds(part, found == *expected, || format!("it has the digest {found}, {says} says {expected}"));
}

/// The bundle, if all of it is what its digest says and this host runs it.
fn mapper(
    host: &Host,
    file: &CaseFile,
    bundle: &Sha256Hex,
    checks: &mut Checks,
) -> Result<Option<Bundle>, OpsError> {
    let Some(bytes) = file.parts.get(MANIFEST) else {
        checks.add(MANIFEST, Checked::Differs, "it is missing");
        return Ok(None);
    };
    let found = Sha256Hex::of(bytes);
    if !checks.holds(MANIFEST, found == *bundle, || {
        format!("it has the digest {found}, the event was mapped by the bundle {bundle}")
    }) {
        return Ok(None);
    }
    let manifest: Manifest = match serde_json::from_slice(bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            let message = format!("this version does not read the manifest of the bundle {bundle}: {error}");
            checks.add(MANIFEST, Checked::Unsupported, message);
            return Ok(None);
        }
    };
    let mut files = BTreeMap::new();
    let mut whole = true;
    for name in needed(&manifest) {
        let part = format!("{FILES}{name}");
        match (manifest.files.get(name), file.parts.get(&part)) {
            (Some(reference), Some(bytes)) => {
                let found = Sha256Hex::of(bytes);
                whole &= checks.holds(&part, found == reference.sha256, || {
                    format!("it has the digest {found}, {MANIFEST} says {}", reference.sha256)
                });
                files.insert(name.to_owned(), bytes.clone());
            }
            _ => {
                checks.add(&part, Checked::Differs, "it is missing");
                whole = false;
            }
        }
    }
    let named = |name: &str| name.strip_prefix(FILES).is_some_and(|name| !files.contains_key(name));
    for name in file.parts.keys().filter(|name| named(name)) {
        checks.add(name, Checked::Differs, "the bundle's contract names no such file");
    }
    if !whole {
        return Ok(None);
    }
    let canonical = &manifest.contract.canonical;
    if canonical::schema(canonical).is_none() {
        let message = format!("this version does not know {} {}", canonical.r#type, canonical.version);
        checks.add(MANIFEST, Checked::Unsupported, message);
        return Ok(None);
    }
    match compiled(host, manifest.contract, &files) {
        Ok(bundle) => Ok(Some(bundle)),
        Err(error @ OpsError::Load(LoadError::Engine { .. } | LoadError::Exhausted { .. })) => Err(error),
        Err(error) => {
            let message = format!("this host cannot run the bundle {bundle}: {error}");
            checks.add("mapper", Checked::Unsupported, message);
            Ok(None)
        }
    }
}

/// The statements about the bundle: one of a trusted key is enough, and none of a trusted key may be false.
fn signatures(file: &CaseFile, bundle: &Sha256Hex, trust: Option<&TrustKeys>, checks: &mut Checks) {
    let mut held = false;
    let mut unknown = Vec::new();
    for (name, bytes) in file.parts.iter().filter(|(name, _)| name.starts_with(BUILDS)) {
        let signed: SignedBuild = match serde_json::from_slice(bytes) {
            Ok(signed) => signed,
            Err(error) => {
                checks.add(name, Checked::Differs, format!("it is no signed statement: {error}"));
                continue;
            }
        };
        let expected = format!("{BUILDS}{}/{}.json", signed.build.fingerprint, signed.key_id);
        if *name != expected {
            checks.add(name, Checked::Differs, format!("it is the statement that belongs at {expected}"));
            continue;
        }
        let Some(trust) = trust else { continue };
        match trust.verify(&signed) {
            Ok(()) => {
                held |= checks.holds(name, signed.build.bundle == *bundle, || {
                    format!("it is about the bundle {}, not {bundle}", signed.build.bundle)
                });
            }
            Err(fault) if fault.code == Code::BundleKeyUnknown => unknown.push(signed.key_id.to_string()),
            Err(fault) => checks.add(name, Checked::Differs, fault.message),
        }
    }
    match (trust, held) {
        (None, _) => checks.add("signature", Checked::NotChecked, "no key was given with --trust"),
        (Some(_), true) => checks.add("signature", Checked::Holds, ""),
        (Some(trust), false) => {
            unknown.sort();
            unknown.dedup();
            let trusted = trust.ids().map(Sha256Hex::as_str).collect::<Vec<_>>().join(", ");
            let signed = match unknown.is_empty() {
                true => "no statement about the bundle is in the case".to_owned(),
                false => format!("the bundle is signed by the key {}", unknown.join(", ")),
            };
            checks.add("signature", Checked::Untrusted, format!("{signed}; trusted here is {trusted}"));
        }
    }
}

/// Whether the rows say the same of the outcome.
fn rows(
    row: &LedgerRow,
    held: Option<&QuarantineRow>,
    recorded: &Outcome,
    file: &CaseFile,
    checks: &mut Checks,
) {
    match recorded {
        Outcome::Events { sha256, events } => {
            let stated = row.normalized.as_ref().map(|normalized| (&normalized.sha256, normalized.events));
            checks.holds(LEDGER, stated == Some((sha256, *events)), || {
                format!("{OUTCOME} says {}, the ledger's row another document", recorded.sentence())
            });
            match file.parts.get(DOCUMENT) {
                Some(document) => digest(DOCUMENT, document, sha256, OUTCOME, checks),
                None => checks.add(DOCUMENT, Checked::Differs, "it is missing"),
            }
        }
        Outcome::Nothing(reason) => {
            let stated = row.nothing.as_ref().map(|nothing| (&nothing.code, &nothing.message));
            checks.holds(LEDGER, stated == Some((&reason.code, &reason.message)), || {
                format!("{OUTCOME} says {}, the ledger's row something else", recorded.sentence())
            });
        }
        Outcome::Fails { code, message, errors } => {
            let stated = held.map(|held| (&held.cause.code, &held.cause.message, &held.cause.errors));
            checks.holds(QUARANTINE, stated == Some((code, message, errors)), || {
                format!("{OUTCOME} says {}, the quarantine's row something else", recorded.sentence())
            });
        }
    }
}

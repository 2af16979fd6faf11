//! Who may send: register, rotate, disable. A key is stored as a digest only; what is made here is
//! shown once.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_aws::vendors::{CACHE_SECONDS, VendorChange, VendorEdit};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::VendorId;
use sluice_core::port::{Freshness, VendorDirectory as _};
use sluice_core::record::{RateLimit, Resolution, UnknownEventTypes, VendorProfile};
use sluice_core::signature::STANDARD_PREFIX;

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::secrets::{check_key, check_secret, generate_secret, new_key};

/// Keys and secrets that hold at once: two, for a rotation.
const ACTIVE_MAX: usize = 2;

/// Digits of a digest that are shown.
const DIGEST_SHOWN: usize = 12;

/// A vendor that was registered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    /// The vendor.
    pub vendor_id: VendorId,
    /// Its key: stored as a digest only, it cannot be shown again.
    pub api_key: String,
    /// Whether the key was made now.
    pub generated: bool,
    /// The secret that was made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// Whether it was registered before.
    pub replaced: bool,
}

/// Vendors.
#[derive(Debug, Serialize)]
pub struct VendorList {
    /// By their ids.
    pub vendors: Vec<Vendor>,
}

/// A vendor of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vendor {
    /// The vendor.
    pub vendor_id: VendorId,
    /// Whether it may send.
    pub enabled: bool,
    /// Who holds it, and why: its events wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_hold: Option<Resolution>,
    /// Keys that hold.
    pub api_keys: usize,
    /// Whether it has a webhook secret.
    pub signs: bool,
    /// Requests that it may make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Types with an active mapper.
    pub event_types: Vec<String>,
}

/// A vendor to be registered, or registered anew.
#[derive(Debug, Clone)]
pub struct NewVendor {
    /// Its id.
    pub id: VendorId,
    /// Its API key; made if `None`.
    pub key: Option<String>,
    /// Its webhook secrets.
    pub secrets: Vec<String>,
    /// Make a secret of Standard Webhooks too.
    pub generate_secret: bool,
    /// Requests that it may make.
    pub rate_limit: Option<RateLimit>,
    /// What becomes of messages that no contract covers.
    pub unknown_event_types: Option<UnknownEventTypes>,
    /// Replace the profile and keys if it is registered already.
    pub replace: bool,
    /// With `replace`: the key that it has stays valid beside the new one.
    pub keep_key: bool,
}

impl NewVendor {
    /// With a new API key and nothing else.
    pub fn new(id: VendorId) -> Self {
        Self {
            id,
            key: None,
            secrets: Vec::new(),
            generate_secret: false,
            rate_limit: None,
            unknown_event_types: None,
            replace: false,
            keep_key: false,
        }
    }
}

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    /// An API key.
    Key,
    /// A secret of the Standard Webhooks scheme.
    Secret,
}

impl Credential {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "API key",
            Self::Secret => "webhook secret",
        }
    }

    /// First digits of what identifies it without giving it away.
    fn shown(digest: &Sha256Hex) -> String {
        digest.as_str()[..DIGEST_SHOWN].to_owned()
    }

    fn live(self, profile: &VendorProfile) -> Vec<String> {
        match self {
            Self::Key => profile.api_key_sha256.iter().map(Self::shown).collect(),
            Self::Secret => secret_digests(profile),
        }
    }
}

fn secret_digests(profile: &VendorProfile) -> Vec<String> {
    profile
        .webhook_secrets
        .iter()
        .map(|secret| Credential::shown(&Sha256Hex::of(secret.as_bytes())))
        .collect()
}

/// What a step of a rotation came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// The vendor.
    pub vendor_id: VendorId,
    /// What is rotated.
    pub credential: Credential,
    /// `begun`, `finished` or `revoked`.
    pub outcome: &'static str,
    /// The new one, if one was made or given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Digests of those that hold now, the oldest first.
    pub live: Vec<String>,
}

/// A step of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationStep {
    /// A second one beside the first: this, or a new one.
    Begin(Option<String>),
    /// The older one does not hold any more.
    Finish,
    /// The one whose digest begins so does not hold any more.
    Revoke(String),
}

/// What a step does to the profile; gives the outcome and the new credential.
fn rotated(
    profile: &mut VendorProfile,
    credential: Credential,
    step: &RotationStep,
) -> Result<(&'static str, Option<String>), OpsError> {
    let id = profile.vendor_id.clone();
    let live = credential.live(profile);
    let word = credential.word();
    let remove = |profile: &mut VendorProfile, index: usize| match credential {
        Credential::Key => drop(profile.api_key_sha256.remove(index)),
        Credential::Secret => drop(profile.webhook_secrets.remove(index)),
    };
    if *step == RotationStep::Finish {
        if live.len() < ACTIVE_MAX {
            return Err(refused(format!("{id} has one {word}: no rotation is under way")));
        }
        while credential.live(profile).len() > 1 {
            remove(profile, 0);
        }
        return Ok(("finished", None));
    }
    if let RotationStep::Revoke(digits) = step {
        let found: Vec<usize> =
            (0..live.len()).filter(|index| live[*index].starts_with(digits.as_str())).collect();
        let [index] = found.as_slice() else {
            let problem = if found.is_empty() { "no" } else { "more than one" };
            return Err(OpsError::not_found(format!(
                "{id} has {problem} {word} whose digest begins with {digits}"
            ))
            .with_hint("`sluice vendors show` lists them; give more digits"));
        };
        if live.len() == 1 {
            return Err(refused(format!("it is the only {word} of {id}"))
                .with_hint("begin a rotation first, or use `sluice vendors disable`"));
        }
        remove(profile, *index);
        return Ok(("revoked", None));
    }
    if live.len() >= ACTIVE_MAX {
        return Err(refused(format!("{id} has two live ones already, which is a rotation under way"))
            .with_hint("--finish ends the older one, --revoke DIGEST a certain one"));
    }
    let given = match step {
        RotationStep::Begin(value) => value.as_ref(),
        RotationStep::Finish | RotationStep::Revoke(_) => None,
    };
    let value = match (credential, given) {
        (_, Some(value)) => value.clone(),
        (Credential::Key, None) => new_key(),
        (Credential::Secret, None) => match profile.webhook_secrets.last() {
            Some(held) if !held.starts_with(STANDARD_PREFIX) => {
                let problem = format!(
                    "{id} signs by a scheme of its own, whose secrets Sluice cannot make: say the new one with --value"
                );
                return Err(OpsError::invalid(problem));
            }
            _ => generate_secret(),
        },
    };
    match credential {
        Credential::Key => {
            check_key(&value).map_err(OpsError::invalid)?;
            let digest = Sha256Hex::of(value.as_bytes());
            if profile.api_key_sha256.contains(&digest) {
                return Err(refused(format!("{id} has this key already")));
            }
            profile.api_key_sha256.push(digest);
        }
        Credential::Secret => {
            check_secret(&value).map_err(OpsError::invalid)?;
            if profile.webhook_secrets.contains(&value) {
                return Err(refused(format!("{id} has this secret already")));
            }
            profile.webhook_secrets.push(value.clone());
        }
    }
    Ok(("begun", Some(value)))
}

fn refused(message: String) -> OpsError {
    OpsError::refused(message)
}

async fn held(id: &VendorId, cloud: &Cloud) -> Result<VendorProfile, OpsError> {
    cloud.vendors().profile(id, Freshness::Cached).await?.ok_or_else(|| no_vendor(id))
}

pub(crate) fn no_vendor(id: &VendorId) -> OpsError {
    OpsError::not_found(format!("there is no vendor {id}")).with_hint("`sluice vendors ls` lists them")
}

/// Takes a step of a rotation, and records who did.
///
/// # Errors
/// When there is no such vendor, when the step is not one of its rotation now, and when the table
/// does not answer.
pub async fn rotate(
    cloud: &Cloud,
    id: &VendorId,
    credential: Credential,
    step: &RotationStep,
    by: String,
) -> Result<Rotated, OpsError> {
    let mut told = ("", None);
    let edit = |held: Option<VendorProfile>| -> Result<Option<VendorEdit>, OpsError> {
        let mut profile = held.ok_or_else(|| no_vendor(id))?;
        told = rotated(&mut profile, credential, step)?;
        let change = VendorChange::new(format!("{} {}", credential.word(), told.0), by.clone());
        Ok(Some(VendorEdit { profile, change: Some(change) }))
    };
    let profile = cloud.vendors().edit_vendor(id, edit).await?.ok_or_else(|| no_vendor(id))?;
    let (outcome, value) = told;
    let live = credential.live(&profile);
    Ok(Rotated { vendor_id: profile.vendor_id, credential, outcome, value, live })
}

/// A vendor that was enabled or disabled.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Switched {
    /// The vendor.
    pub vendor_id: VendorId,
    /// Whether it may send now.
    pub enabled: bool,
    /// Whether that is new.
    pub changed: bool,
    /// Until then functions may go on as before.
    pub in_effect_within_seconds: u64,
}

/// Lets a vendor send, or answers it 403 from now on; records who did, and why if that is said.
/// Nothing of its history is lost.
///
/// # Errors
/// When there is no such vendor, and when the table does not answer.
pub async fn switch(
    cloud: &Cloud,
    id: &VendorId,
    enabled: bool,
    by: String,
    reason: Option<&str>,
) -> Result<Switched, OpsError> {
    let edit = |held: Option<VendorProfile>| -> Result<Option<VendorEdit>, OpsError> {
        let mut profile = held.ok_or_else(|| no_vendor(id))?;
        if profile.enabled == enabled {
            return Ok(None);
        }
        profile.enabled = enabled;
        let what = if enabled { "enabled" } else { "disabled" };
        let what = reason.map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}"));
        let change = VendorChange::new(what, by.clone());
        Ok(Some(VendorEdit { profile, change: Some(change) }))
    };
    let changed = cloud.vendors().edit_vendor(id, edit).await?.is_some();
    let in_effect_within_seconds = CACHE_SECONDS;
    Ok(Switched { vendor_id: id.clone(), enabled, changed, in_effect_within_seconds })
}

/// All that is known of a vendor, without its keys and secrets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorDetail {
    /// The vendor.
    pub vendor_id: VendorId,
    /// Whether it may send.
    pub enabled: bool,
    /// Who holds it, and why: its events wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_hold: Option<Resolution>,
    /// Events that wait, on hold or not let go yet.
    pub waiting: u64,
    /// First digits of the digests of the keys that hold, the oldest first.
    pub api_keys: Vec<String>,
    /// First digits of the digests of its secrets.
    pub webhook_secrets: Vec<String>,
    /// Requests that it may make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What becomes of messages that no contract covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_event_types: Option<UnknownEventTypes>,
    /// Types with an active mapper.
    pub event_types: Vec<String>,
    /// What was changed when and by whom.
    pub changes: Vec<VendorChange>,
}

/// Shows one.
///
/// # Errors
/// When there is no such vendor, and when the table does not answer.
pub async fn show(cloud: &Cloud, id: &VendorId) -> Result<VendorDetail, OpsError> {
    let profile = held(id, cloud).await?;
    let vendors = cloud.vendors();
    let ledger = cloud.ledger();
    let (mappers, changes, waiting) =
        tokio::try_join!(vendors.list_mappers(), vendors.changes(id), ledger.count_held(id))?;
    let mut event_types: Vec<String> = mappers
        .into_iter()
        .filter(|mapper| mapper.contract.vendor_id == *id)
        .map(|mapper| mapper.contract.event_type.into())
        .collect();
    event_types.sort();
    Ok(VendorDetail {
        enabled: profile.enabled,
        on_hold: profile.on_hold.clone(),
        waiting,
        api_keys: Credential::Key.live(&profile),
        webhook_secrets: Credential::Secret.live(&profile),
        rate_limit: profile.rate_limit,
        unknown_event_types: profile.unknown_event_types,
        event_types,
        changes,
        vendor_id: profile.vendor_id,
    })
}

/// Lists vendors.
///
/// # Errors
/// When the table does not answer.
pub async fn list(cloud: &Cloud) -> Result<VendorList, OpsError> {
    let vendors = cloud.vendors();
    let (profiles, mappers) = tokio::try_join!(vendors.list(), vendors.list_mappers())?;
    let mut types: BTreeMap<VendorId, Vec<String>> = BTreeMap::new();
    for mapper in mappers {
        types.entry(mapper.contract.vendor_id).or_default().push(mapper.contract.event_type.into());
    }
    Ok(listed(profiles, types))
}

/// The list of profiles, with the types of each.
pub fn listed(profiles: Vec<VendorProfile>, mut types: BTreeMap<VendorId, Vec<String>>) -> VendorList {
    let mut vendors: Vec<Vendor> = profiles
        .into_iter()
        .map(|profile| {
            let mut event_types = types.remove(&profile.vendor_id).unwrap_or_default();
            event_types.sort();
            Vendor {
                enabled: profile.enabled,
                on_hold: profile.on_hold,
                api_keys: profile.api_key_sha256.len(),
                signs: !profile.webhook_secrets.is_empty(),
                rate_limit: profile.rate_limit,
                event_types,
                vendor_id: profile.vendor_id,
            }
        })
        .collect();
    vendors.sort_by(|a, b| a.vendor_id.cmp(&b.vendor_id));
    VendorList { vendors }
}

/// Registers a vendor, and records who did. Its key is stored as a digest only.
///
/// # Errors
/// When it is registered and is not to be replaced, when a key or secret can be none, when the
/// table does not answer.
pub async fn put(cloud: &Cloud, vendor: &NewVendor, by: String) -> Result<Added, OpsError> {
    let taken = || OpsError::Refused {
        message: format!("the vendor {} is registered already", vendor.id),
        hint: Some("--replace gives it a new key (--keep-key keeps the old one beside it)".into()),
    };
    let api_key = vendor.key.clone().unwrap_or_else(new_key);
    check_key(&api_key).map_err(OpsError::invalid)?;
    let made_secret = vendor.generate_secret.then(generate_secret);
    let secrets: Vec<String> = vendor.secrets.iter().cloned().chain(made_secret.clone()).collect();
    for secret in &secrets {
        check_secret(secret).map_err(OpsError::invalid)?;
    }
    if secrets.len() > ACTIVE_MAX {
        return Err(OpsError::invalid(format!("a vendor has at most {ACTIVE_MAX} secrets at once")));
    }
    let mut replaced = false;
    let edit = |held: Option<VendorProfile>| -> Result<Option<VendorEdit>, OpsError> {
        replaced = held.is_some();
        if replaced && !vendor.replace {
            return Err(taken());
        }
        let profile = profile(vendor, &api_key, secrets.clone(), held);
        let what = if replaced { "replaced" } else { "registered" };
        let change = VendorChange::new(what.to_owned(), by.clone());
        Ok(Some(VendorEdit { profile, change: Some(change) }))
    };
    cloud.vendors().edit_vendor(&vendor.id, edit).await?;
    Ok(Added {
        vendor_id: vendor.id.clone(),
        api_key,
        generated: vendor.key.is_none(),
        webhook_secret: made_secret,
        replaced,
    })
}

/// The profile as it will be. What is not given stays as it is.
fn profile(
    vendor: &NewVendor,
    api_key: &str,
    secrets: Vec<String>,
    held: Option<VendorProfile>,
) -> VendorProfile {
    let digest = Sha256Hex::of(api_key.as_bytes());
    let mut profile = held.unwrap_or_else(|| VendorProfile {
        vendor_id: vendor.id.clone(),
        enabled: true,
        api_key_sha256: Vec::new(),
        webhook_secrets: Vec::new(),
        rate_limit: None,
        unknown_event_types: None,
        on_hold: None,
        released: None,
    });
    let kept = vendor.keep_key.then(|| profile.api_key_sha256.pop()).flatten().filter(|kept| *kept != digest);
    profile.api_key_sha256 = kept.into_iter().chain([digest]).collect();
    if !secrets.is_empty() {
        profile.webhook_secrets = secrets;
    }
    profile.rate_limit = vendor.rate_limit.or(profile.rate_limit);
    profile.unknown_event_types = vendor.unknown_event_types.or(profile.unknown_event_types);
    profile
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    fn vendor(keep_key: bool) -> NewVendor {
        NewVendor { replace: true, keep_key, ..NewVendor::new("v".parse().unwrap()) }
    }

    #[test]
    fn a_rotation_keeps_one_key_and_what_is_not_given() {
        let first = profile(&vendor(false), "one", vec!["whsec_AAAA".into()], None);
        assert_eq!(first.api_key_sha256, [Sha256Hex::of(b"one")]);
        let both = profile(&vendor(true), "two", Vec::new(), Some(first));
        assert_eq!(both.api_key_sha256, [Sha256Hex::of(b"one"), Sha256Hex::of(b"two")]);
        assert_eq!(both.webhook_secrets, ["whsec_AAAA"]);
        let third = profile(&vendor(true), "three", Vec::new(), Some(both));
        assert_eq!(third.api_key_sha256, [Sha256Hex::of(b"two"), Sha256Hex::of(b"three")]);
        let only = profile(&vendor(false), "four", Vec::new(), Some(third));
        assert_eq!(only.api_key_sha256, [Sha256Hex::of(b"four")]);
        let same = profile(&vendor(true), "four", Vec::new(), Some(only));
        assert_eq!(same.api_key_sha256.len(), 1);
    }

    #[test]
    fn a_rotation_has_two_live_ones_and_an_end() {
        for (credential, value) in [
            (Credential::Key, "two"),
            (Credential::Secret, "whsec_bm90LWEtc2VjcmV0LWZvci1kZXZlbG9wbWVudC1vbmx5"),
        ] {
            let mut held = profile(&vendor(false), "one", vec!["whsec_AAAA".into()], None);
            let first = credential.live(&held)[0].clone();
            let mut turn = |step: RotationStep| {
                rotated(&mut held, credential, &step).map(|(outcome, _)| (outcome, credential.live(&held)))
            };
            assert!(turn(RotationStep::Finish).is_err(), "none is under way");
            assert!(turn(RotationStep::Revoke(first.clone())).is_err(), "the only one");
            let (outcome, live) = turn(RotationStep::Begin(Some(value.into()))).unwrap();
            assert_eq!((outcome, live.len(), &live[0]), ("begun", 2, &first));
            assert!(turn(RotationStep::Begin(None)).is_err(), "two are live");
            assert!(turn(RotationStep::Revoke("ffffffffffff".into())).is_err());
            let (outcome, back) = turn(RotationStep::Revoke(live[1].clone())).unwrap();
            assert_eq!((outcome, back.as_slice()), ("revoked", &live[..1]));
            let (_, live) = turn(RotationStep::Begin(None)).unwrap();
            let (outcome, left) = turn(RotationStep::Finish).unwrap();
            assert_eq!((outcome, left.as_slice()), ("finished", &live[1..]));
        }
        // A secret of Standard Webhooks would never match a signature by another scheme.
        let mut held = profile(&vendor(false), "one", vec!["a-secret-of-shopifys".into()], None);
        assert!(rotated(&mut held, Credential::Secret, &RotationStep::Begin(None)).is_err());
        assert!(rotated(&mut held, Credential::Secret, &RotationStep::Begin(Some("another".into()))).is_ok());
    }
}

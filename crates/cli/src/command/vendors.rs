//! `sluice vendors`: who may send. A key is stored as a digest only; what is made here is shown once.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sluice_aws::vendors::{CACHE_SECONDS, VendorChange};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::VendorId;
use sluice_core::port::VendorDirectory as _;
use sluice_core::record::{RateLimit, UnknownEventTypes, VendorProfile};
use sluice_core::signature::{InvalidSecret, STANDARD_PREFIX, StandardSecret};

use crate::args::{By, RotateArgs, VendorsAddArgs, VendorsCommand};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, section, time_cell};
use crate::webhook::generate_secret;

/// Keys and secrets that hold at once: two, for a rotation.
const ACTIVE_MAX: usize = 2;

/// Digits of a digest that are shown.
const DIGEST_SHOWN: usize = 12;

/// Longest API key, in characters.
const KEY_CHARS_MAX: usize = 256;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    vendor_id: VendorId,
    api_key: String,
    generated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<String>,
    replaced: bool,
}

#[derive(Debug, Serialize)]
struct List {
    vendors: Vec<Vendor>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Vendor {
    vendor_id: VendorId,
    enabled: bool,
    api_keys: usize,
    signs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimit>,
    event_types: Vec<String>,
}

/// Runs a subcommand.
pub async fn run(command: VendorsCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        VendorsCommand::Add(args) => add(&args, cloud, output).await,
        VendorsCommand::Ls => {
            let vendors = cloud.vendors();
            let (profiles, mappers) = tokio::try_join!(vendors.list(), vendors.list_mappers())?;
            let mut types: BTreeMap<VendorId, Vec<String>> = BTreeMap::new();
            for mapper in mappers {
                types.entry(mapper.contract.vendor_id).or_default().push(mapper.contract.event_type.into());
            }
            output.document(&list(profiles, types))
        }
        VendorsCommand::Show { id } => show(&id, cloud, output).await,
        VendorsCommand::RotateKey(args) => rotate(&args, Credential::Key, cloud, output).await,
        VendorsCommand::RotateSecret(args) => rotate(&args, Credential::Secret, cloud, output).await,
        VendorsCommand::Disable { id, by } => switch(&id, false, &by, cloud, output).await,
        VendorsCommand::Enable { id, by } => switch(&id, true, &by, cloud, output).await,
        VendorsCommand::Health { id, day } => super::health::run(id.as_ref(), day, cloud, output).await,
    }
}

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Credential {
    /// An API key.
    Key,
    /// A secret of the Standard Webhooks scheme.
    Secret,
}

impl Credential {
    fn word(self) -> &'static str {
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    vendor_id: VendorId,
    credential: Credential,
    /// `begun`, `finished` or `revoked`.
    outcome: &'static str,
    /// The new one, if one was made or given.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Digests of those that hold now, the oldest first.
    live: Vec<String>,
}

/// What a rotation does to the profile; gives the outcome and the new credential.
fn rotated(
    profile: &mut VendorProfile,
    credential: Credential,
    args: &RotateArgs,
) -> Result<(&'static str, Option<String>), CliError> {
    let live = credential.live(profile);
    let word = credential.word();
    let remove = |profile: &mut VendorProfile, index: usize| match credential {
        Credential::Key => drop(profile.api_key_sha256.remove(index)),
        Credential::Secret => drop(profile.webhook_secrets.remove(index)),
    };
    if args.finish {
        if live.len() < ACTIVE_MAX {
            return Err(refused(format!("{} has one {word}: no rotation is under way", args.id)));
        }
        while credential.live(profile).len() > 1 {
            remove(profile, 0);
        }
        return Ok(("finished", None));
    }
    if let Some(digits) = &args.revoke {
        let found: Vec<usize> =
            (0..live.len()).filter(|index| live[*index].starts_with(digits.as_str())).collect();
        let [index] = found.as_slice() else {
            let problem = if found.is_empty() { "no" } else { "more than one" };
            return Err(CliError::not_found(format!(
                "{} has {problem} {word} whose digest begins with {digits}",
                args.id
            ))
            .with_hint("`sluice vendors show` lists them; give more digits"));
        };
        if live.len() == 1 {
            return Err(refused(format!("it is the only {word} of {}", args.id))
                .with_hint("begin a rotation first, or use `sluice vendors disable`"));
        }
        remove(profile, *index);
        return Ok(("revoked", None));
    }
    if live.len() >= ACTIVE_MAX {
        return Err(refused(format!("{} has two live ones already, which is a rotation under way", args.id))
            .with_hint("--finish ends the older one, --revoke DIGEST a certain one"));
    }
    let value = match (credential, &args.value) {
        (_, Some(value)) => value.clone(),
        (Credential::Key, None) => new_key(),
        (Credential::Secret, None) => match profile.webhook_secrets.last() {
            Some(held) if !held.starts_with(STANDARD_PREFIX) => {
                let problem = format!(
                    "{} signs by a scheme of its own, whose secrets Sluice cannot make: say the new one with --value",
                    args.id
                );
                return Err(CliError::usage(problem));
            }
            _ => generate_secret(),
        },
    };
    match credential {
        Credential::Key => {
            check_key(&value).map_err(CliError::usage)?;
            let digest = Sha256Hex::of(value.as_bytes());
            if profile.api_key_sha256.contains(&digest) {
                return Err(refused(format!("{} has this key already", args.id)));
            }
            profile.api_key_sha256.push(digest);
        }
        Credential::Secret => {
            check_secret(&value).map_err(CliError::usage)?;
            if profile.webhook_secrets.contains(&value) {
                return Err(refused(format!("{} has this secret already", args.id)));
            }
            profile.webhook_secrets.push(value.clone());
        }
    }
    Ok(("begun", Some(value)))
}

fn refused(message: String) -> CliError {
    CliError::Refused { message, hint: None }
}

async fn held(id: &VendorId, cloud: &Cloud) -> Result<VendorProfile, CliError> {
    cloud.vendors().profile(id).await?.ok_or_else(|| {
        CliError::not_found(format!("there is no vendor {id}")).with_hint("`sluice vendors ls` lists them")
    })
}

async fn rotate(
    args: &RotateArgs,
    credential: Credential,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let mut profile = held(&args.id, cloud).await?;
    let by = super::quarantine::who(&args.by)?;
    let (outcome, value) = rotated(&mut profile, credential, args)?;
    let vendors = cloud.vendors();
    vendors.put_vendor(&profile).await?;
    vendors.note_change(&args.id, &VendorChange::new(format!("{} {outcome}", credential.word()), by)).await?;
    let live = credential.live(&profile);
    output.document(&Rotated { vendor_id: profile.vendor_id, credential, outcome, value, live })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Switched {
    vendor_id: VendorId,
    enabled: bool,
    changed: bool,
    in_effect_within_seconds: u64,
}

async fn switch(
    id: &VendorId,
    enabled: bool,
    by: &By,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let mut profile = held(id, cloud).await?;
    let by = super::quarantine::who(by)?;
    let changed = profile.enabled != enabled;
    if changed {
        profile.enabled = enabled;
        let vendors = cloud.vendors();
        vendors.put_vendor(&profile).await?;
        let what = if enabled { "enabled" } else { "disabled" };
        vendors.note_change(id, &VendorChange::new(what.to_owned(), by)).await?;
    }
    let in_effect_within_seconds = CACHE_SECONDS;
    output.document(&Switched { vendor_id: id.clone(), enabled, changed, in_effect_within_seconds })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    vendor_id: VendorId,
    enabled: bool,
    /// First digits of the digests of the keys that hold, the oldest first.
    api_keys: Vec<String>,
    webhook_secrets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_event_types: Option<UnknownEventTypes>,
    event_types: Vec<String>,
    changes: Vec<VendorChange>,
}

async fn show(id: &VendorId, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let profile = held(id, cloud).await?;
    let vendors = cloud.vendors();
    let (mappers, changes) = tokio::try_join!(vendors.list_mappers(), vendors.changes(id))?;
    let mut event_types: Vec<String> = mappers
        .into_iter()
        .filter(|mapper| mapper.contract.vendor_id == *id)
        .map(|mapper| mapper.contract.event_type.into())
        .collect();
    event_types.sort();
    output.document(&Shown {
        enabled: profile.enabled,
        api_keys: Credential::Key.live(&profile),
        webhook_secrets: Credential::Secret.live(&profile),
        rate_limit: profile.rate_limit,
        unknown_event_types: profile.unknown_event_types,
        event_types,
        changes,
        vendor_id: profile.vendor_id,
    })
}

fn list(profiles: Vec<VendorProfile>, mut types: BTreeMap<VendorId, Vec<String>>) -> List {
    let mut vendors: Vec<Vendor> = profiles
        .into_iter()
        .map(|profile| {
            let mut event_types = types.remove(&profile.vendor_id).unwrap_or_default();
            event_types.sort();
            Vendor {
                enabled: profile.enabled,
                api_keys: profile.api_key_sha256.len(),
                signs: !profile.webhook_secrets.is_empty(),
                rate_limit: profile.rate_limit,
                event_types,
                vendor_id: profile.vendor_id,
            }
        })
        .collect();
    vendors.sort_by(|a, b| a.vendor_id.cmp(&b.vendor_id));
    List { vendors }
}

async fn add(args: &VendorsAddArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let directory = cloud.vendors();
    let held = directory.profile(&args.id).await?;
    if held.is_some() && !args.replace {
        return Err(CliError::Refused {
            message: format!("the vendor {} is registered already", args.id),
            hint: Some("--replace gives it a new key (--keep-key keeps the old one beside it)".into()),
        });
    }
    let api_key = args.key.clone().unwrap_or_else(new_key);
    check_key(&api_key).map_err(CliError::usage)?;
    let made_secret = args.generate_secret.then(generate_secret);
    let secrets: Vec<String> = args.secret.iter().cloned().chain(made_secret.clone()).collect();
    for secret in &secrets {
        check_secret(secret).map_err(CliError::usage)?;
    }
    if secrets.len() > ACTIVE_MAX {
        return Err(CliError::usage(format!("a vendor has at most {ACTIVE_MAX} secrets at once")));
    }
    let rate_limit = args.rate.zip(args.burst).map(|(per_second, burst)| RateLimit { per_second, burst });
    let replaced = held.is_some();
    let profile = profile(args, &api_key, secrets, rate_limit, held);
    directory.put_vendor(&profile).await?;
    let by = super::quarantine::who(&By { name: None }).unwrap_or_default();
    let what = if replaced { "replaced" } else { "registered" };
    directory.note_change(&profile.vendor_id, &VendorChange::new(what.to_owned(), by)).await?;
    output.document(&Added {
        vendor_id: profile.vendor_id,
        api_key,
        generated: args.key.is_none(),
        webhook_secret: made_secret,
        replaced,
    })
}

/// The profile as it will be. What is not given stays as it is.
fn profile(
    args: &VendorsAddArgs,
    api_key: &str,
    secrets: Vec<String>,
    rate_limit: Option<RateLimit>,
    held: Option<VendorProfile>,
) -> VendorProfile {
    let digest = Sha256Hex::of(api_key.as_bytes());
    let mut profile = held.unwrap_or_else(|| VendorProfile {
        vendor_id: args.id.clone(),
        enabled: true,
        api_key_sha256: Vec::new(),
        webhook_secrets: Vec::new(),
        rate_limit: None,
        unknown_event_types: None,
    });
    let kept = args.keep_key.then(|| profile.api_key_sha256.pop()).flatten().filter(|kept| *kept != digest);
    profile.api_key_sha256 = kept.into_iter().chain([digest]).collect();
    if !secrets.is_empty() {
        profile.webhook_secrets = secrets;
    }
    profile.rate_limit = rate_limit.or(profile.rate_limit);
    profile.unknown_event_types = args.unknown_event_types.or(profile.unknown_event_types);
    profile
}

/// A new API key: 192 random bits.
fn new_key() -> String {
    format!("slk_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>()))
}

/// A key must fit a header.
pub(crate) fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("an API key has 1 to {KEY_CHARS_MAX} visible ASCII characters"));
    }
    Ok(())
}

/// A secret must be one that `accept` can verify with: of Standard Webhooks, or the key of a vendor's own scheme, verbatim.
pub(crate) fn check_secret(secret: &str) -> Result<(), String> {
    if !secret.starts_with(STANDARD_PREFIX) {
        let fits =
            (1..=KEY_CHARS_MAX).contains(&secret.len()) && secret.chars().all(|c| c.is_ascii_graphic());
        let wrong = || {
            format!(
                "a secret is whsec_… (Standard Webhooks), or 1 to {KEY_CHARS_MAX} visible ASCII characters"
            )
        };
        return if fits { Ok(()) } else { Err(wrong()) };
    }
    secret.parse::<StandardSecret>().map(drop).map_err(|error: InvalidSecret| error.to_string())
}

impl View for Added {
    fn text(&self, page: &Page) -> String {
        let done = if self.replaced { "replaced" } else { "registered" };
        let mut text =
            format!("{} {}\n", paint(Tone::Strong, self.vendor_id.as_str()), paint(Tone::Good, done));
        let mut list = vec![("api key", self.api_key.clone())];
        list.extend(self.webhook_secret.clone().map(|secret| ("secret", secret)));
        text.push_str(&fields(list));
        if page.terminal && (self.generated || self.webhook_secret.is_some()) {
            text.push_str(&format!(
                "\n{}\n",
                paint(Tone::Warn, "Keep it now: only its digest is stored, it cannot be shown again.")
            ));
        }
        text
    }
}

impl View for Rotated {
    fn text(&self, page: &Page) -> String {
        let what = format!("{}: rotation of the {} {}", self.vendor_id, self.credential.word(), self.outcome);
        let mut text = format!("{}\n", paint(Tone::Good, what));
        let mut list = Vec::new();
        list.extend(self.value.clone().map(|value| (self.credential.word(), value)));
        list.push(("live", self.live.join(", ")));
        text.push_str(&fields(list));
        if page.terminal && self.value.is_some() {
            let next =
                "Both hold now. Give the vendor the new one; once it is in use, --finish ends the older one.";
            text.push_str(&format!("\n{}\n", paint(Tone::Warn, next)));
        }
        text
    }
}

impl View for Switched {
    fn text(&self, _page: &Page) -> String {
        let (tone, state) = if self.enabled { (Tone::Good, "enabled") } else { (Tone::Bad, "disabled") };
        let when = if self.changed {
            format!("holds everywhere within {} s", self.in_effect_within_seconds)
        } else {
            "as it was".to_owned()
        };
        format!("{} {} ({when})\n", paint(Tone::Strong, self.vendor_id.as_str()), paint(tone, state))
    }
}

impl View for Shown {
    fn text(&self, page: &Page) -> String {
        let rate = self.rate_limit.map(|limit| format!("{}/s, burst {}", limit.per_second, limit.burst));
        let or_none = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let mut text = fields([
            ("vendor", self.vendor_id.to_string()),
            ("state", if self.enabled { "enabled" } else { "disabled" }.to_owned()),
            ("api keys", or_none(&self.api_keys)),
            ("secrets", or_none(&self.webhook_secrets)),
            ("rate", rate.unwrap_or_else(|| "the API's own".to_owned())),
            (
                "unknown types",
                self.unknown_event_types
                    .map_or("kept if native, refused in envelopes", UnknownEventTypes::as_str)
                    .to_owned(),
            ),
            ("event types", or_none(&self.event_types)),
        ]);
        if !self.changes.is_empty() {
            let rows = self
                .changes
                .iter()
                .map(|change| vec![time_cell(page, change.at), (&change.by).into(), (&change.what).into()]);
            text.push_str(&section("Changes", &page.table(&["AT", "BY", "WHAT"], rows.collect())));
        }
        text
    }
}

impl View for List {
    fn text(&self, page: &Page) -> String {
        if self.vendors.is_empty() && page.terminal {
            return format!(
                "{}\n",
                paint(Tone::Dim, "No vendors. `sluice vendors add --id ID` registers one.")
            );
        }
        let rows = self.vendors.iter().map(|vendor| {
            let rate =
                vendor.rate_limit.map(|limit| format!("{}/s, burst {}", limit.per_second, limit.burst));
            vec![
                vendor.vendor_id.as_str().into(),
                if vendor.enabled {
                    Cell::new(Tone::Good, "enabled")
                } else {
                    Cell::new(Tone::Bad, "disabled")
                },
                vendor.api_keys.to_string().into(),
                if vendor.signs { "yes" } else { "no" }.into(),
                rate.unwrap_or_default().into(),
                vendor.event_types.join(", ").into(),
            ]
        });
        page.table(&["VENDOR", "STATE", "KEYS", "SIGNS", "RATE", "EVENT TYPES"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::output::testing::{in_pipe, json, on_terminal};

    fn args(line: &str) -> VendorsAddArgs {
        let line = format!("sluice vendors add --id v {line}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Vendors(VendorsCommand::Add(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_made_can_be_used() {
        check_key(&new_key()).unwrap();
        check_secret(&generate_secret()).unwrap();
        assert_ne!(new_key(), new_key());
        for bad in ["", "a b", "é", &"x".repeat(257)] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
        check_secret("shpss_0123456789abcdef").unwrap();
        for bad in ["", "whsec_", "two words", "whsec_%%%"] {
            assert!(check_secret(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_rotation_keeps_one_key_and_what_is_not_given() {
        let first = profile(&args(""), "one", vec!["whsec_AAAA".into()], None, None);
        assert_eq!(first.api_key_sha256, [Sha256Hex::of(b"one")]);
        let both = profile(&args("--replace --keep-key"), "two", Vec::new(), None, Some(first));
        assert_eq!(both.api_key_sha256, [Sha256Hex::of(b"one"), Sha256Hex::of(b"two")]);
        assert_eq!(both.webhook_secrets, ["whsec_AAAA"]);
        let third = profile(&args("--replace --keep-key"), "three", Vec::new(), None, Some(both));
        assert_eq!(third.api_key_sha256, [Sha256Hex::of(b"two"), Sha256Hex::of(b"three")]);
        let only = profile(&args("--replace"), "four", Vec::new(), None, Some(third));
        assert_eq!(only.api_key_sha256, [Sha256Hex::of(b"four")]);
        let same = profile(&args("--replace --keep-key"), "four", Vec::new(), None, Some(only));
        assert_eq!(same.api_key_sha256.len(), 1);
    }

    #[test]
    fn what_a_switch_does_is_said() {
        let switched = |enabled, changed| Switched {
            vendor_id: "vendorA".parse().unwrap(),
            enabled,
            changed,
            in_effect_within_seconds: 2,
        };
        insta::assert_snapshot!(on_terminal(&switched(false, true)), @"vendorA disabled (holds everywhere within 2 s)");
        insta::assert_snapshot!(in_pipe(&switched(true, false)), @"vendorA enabled (as it was)");
    }

    fn rotation(line: &str) -> RotateArgs {
        let line = format!("sluice vendors rotate-key v {line} --by me");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Vendors(VendorsCommand::RotateKey(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rotation_has_two_live_ones_and_an_end() {
        for (credential, value) in [
            (Credential::Key, "two"),
            (Credential::Secret, "whsec_bm90LWEtc2VjcmV0LWZvci1kZXZlbG9wbWVudC1vbmx5"),
        ] {
            let mut held = profile(&args(""), "one", vec!["whsec_AAAA".into()], None, None);
            let first = credential.live(&held)[0].clone();
            let mut turn = |line: &str| {
                rotated(&mut held, credential, &rotation(line))
                    .map(|(outcome, _)| (outcome, credential.live(&held)))
            };
            assert!(turn("--finish").is_err(), "none is under way");
            assert!(turn(&format!("--revoke {first}")).is_err(), "the only one");
            let (outcome, live) = turn(&format!("--value {value}")).unwrap();
            assert_eq!((outcome, live.len(), &live[0]), ("begun", 2, &first));
            assert!(turn("").is_err(), "two are live");
            assert!(turn("--revoke ffffffffffff").is_err());
            let (outcome, back) = turn(&format!("--revoke {}", live[1])).unwrap();
            assert_eq!((outcome, back.as_slice()), ("revoked", &live[..1]));
            let (_, live) = turn("").unwrap();
            let (outcome, left) = turn("--finish").unwrap();
            assert_eq!((outcome, left.as_slice()), ("finished", &live[1..]));
        }
        // A secret of Standard Webhooks would never match a signature by another scheme.
        let mut held = profile(&args(""), "one", vec!["a-secret-of-shopifys".into()], None, None);
        assert!(rotated(&mut held, Credential::Secret, &rotation("")).is_err());
        assert!(rotated(&mut held, Credential::Secret, &rotation("--value another")).is_ok());
    }

    fn vendors() -> List {
        let profile = |id: &str, secrets: &[&str]| VendorProfile {
            vendor_id: id.parse().unwrap(),
            enabled: secrets.is_empty(),
            api_key_sha256: vec![Sha256Hex::of(b"k")],
            webhook_secrets: secrets.iter().map(ToString::to_string).collect(),
            rate_limit: Some(RateLimit { per_second: 50, burst: 100 }),
            unknown_event_types: None,
        };
        let types = BTreeMap::from([("vendorA".parse().unwrap(), vec!["inventory_update".to_owned()])]);
        list(vec![profile("vendorB", &["whsec_SECRET"]), profile("vendorA", &[])], types)
    }

    #[test]
    fn a_list_shows_no_secrets() {
        insta::assert_snapshot!(on_terminal(&vendors()), @"
        VENDOR   STATE     KEYS  SIGNS  RATE             EVENT TYPES      
        vendorA  enabled   1     no     50/s, burst 100  inventory_update
        vendorB  disabled  1     yes    50/s, burst 100
        ");
        insta::assert_snapshot!(in_pipe(&vendors()), @"
        vendor	state	keys	signs	rate	event types
        vendorA	enabled	1	no	50/s, burst 100	inventory_update
        vendorB	disabled	1	yes	50/s, burst 100
        ");
        insta::assert_snapshot!(json(&vendors()), @r#"
        {
          "vendors": [
            {
              "vendorId": "vendorA",
              "enabled": true,
              "apiKeys": 1,
              "signs": false,
              "rateLimit": {
                "perSecond": 50,
                "burst": 100
              },
              "eventTypes": [
                "inventory_update"
              ]
            },
            {
              "vendorId": "vendorB",
              "enabled": false,
              "apiKeys": 1,
              "signs": true,
              "rateLimit": {
                "perSecond": 50,
                "burst": 100
              },
              "eventTypes": []
            }
          ]
        }
        "#);
        assert!(!json(&vendors()).contains("SECRET"));
    }
}

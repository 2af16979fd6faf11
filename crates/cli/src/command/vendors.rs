//! `sluice vendors`: who may send. A key is stored as a digest only, a webhook secret as it is;
//! what is made here is shown once.

use sluice_core::id::rfc3339;
use sluice_core::record::{RateLimit, Resolution, UnknownEventTypes};
use sluice_ops::hold::{self, Hold, Release};
use sluice_ops::vendors::{
    self, Added, Credential, NewVendor, Rotated, RotationStep, Switched, VendorDetail, VendorList,
};

use crate::args::{RotateArgs, VendorsAddArgs, VendorsCommand, who};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section, time_cell};

/// Runs a subcommand.
pub async fn run(command: VendorsCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        VendorsCommand::Add(args) => {
            // Registering asks for no name; it is recorded where it is known.
            let by = who(None).unwrap_or_default();
            output.document(&vendors::put(cloud, &new_vendor(args), by).await?)
        }
        VendorsCommand::Ls => output.document(&vendors::list(cloud).await?),
        VendorsCommand::Show { id } => output.document(&vendors::show(cloud, &id).await?),
        VendorsCommand::RotateKey(args) => rotate(args, Credential::Key, cloud, output).await,
        VendorsCommand::RotateSecret(args) => rotate(args, Credential::Secret, cloud, output).await,
        VendorsCommand::Disable { id, by } => {
            output.document(&vendors::switch(cloud, &id, false, by.who()?, None).await?)
        }
        VendorsCommand::Enable { id, by } => {
            output.document(&vendors::switch(cloud, &id, true, by.who()?, None).await?)
        }
        VendorsCommand::Hold { id, reason, by } => {
            output.document(&hold::hold(cloud, &id, &by.who()?, &reason).await?)
        }
        VendorsCommand::Release { id, reason, rate, by } => {
            output.document(&hold::release(cloud, &id, &by.who()?, &reason, rate).await?)
        }
        VendorsCommand::Health { id, day } => super::health::run(id.as_ref(), day, cloud, output).await,
    }
}

fn new_vendor(args: VendorsAddArgs) -> NewVendor {
    NewVendor {
        id: args.id,
        key: args.key,
        secrets: args.secret,
        generate_secret: args.generate_secret,
        rate_limit: args.rate.zip(args.burst).map(|(per_second, burst)| RateLimit { per_second, burst }),
        unknown_event_types: args.unknown_event_types,
        replace: args.replace,
        keep_key: args.keep_key,
    }
}

async fn rotate(
    args: RotateArgs,
    credential: Credential,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let by = args.by.who()?;
    let step = match args.revoke {
        _ if args.finish => RotationStep::Finish,
        Some(digits) => RotationStep::Revoke(digits),
        None => RotationStep::Begin(args.value),
    };
    output.document(&vendors::rotate(cloud, &args.id, credential, &step, by).await?)
}

impl View for Added {
    fn text(&self, page: &Page) -> String {
        let done = if self.replaced { "replaced" } else { "registered" };
        let mut text =
            format!("{} {}\n", paint(Tone::Strong, self.vendor_id.as_str()), paint(Tone::Good, done));
        let mut list = vec![("api key", self.api_key.clone())];
        list.extend(self.webhook_secret.clone().map(|secret| ("secret", secret)));
        text.push_str(&fields(list));
        if page.terminal && self.generated {
            let keep = "Keep the key now: only its digest is stored, and it cannot be shown again.";
            text.push_str(&format!("\n{}\n", paint(Tone::Warn, keep)));
        }
        if page.terminal && self.webhook_secret.is_some() {
            let keep = "Keep the secret now. It is stored as it is, since signatures are checked with it, and is not shown again.";
            text.push_str(&format!("\n{}\n", paint(Tone::Warn, keep)));
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

impl View for Hold {
    fn text(&self, _page: &Page) -> String {
        let Resolution { by, reason, at } = &self.on_hold;
        let when = if self.changed {
            format!(
                "its events are accepted and wait; holds everywhere within {} s",
                self.in_effect_within_seconds
            )
        } else {
            format!("as it was: by {} since {}: {}", printable(by), rfc3339(*at), printable(reason))
        };
        format!(
            "{} {} ({when})\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Warn, "on hold")
        )
    }
}

impl View for Release {
    fn text(&self, page: &Page) -> String {
        let state = if self.changed { "released" } else { "not on hold" };
        let mut text =
            format!("{} {}\n", paint(Tone::Strong, self.vendor_id.as_str()), paint(Tone::Good, state));
        match &self.operation {
            None => text.push_str("Nothing waits.\n"),
            Some(operation) => {
                text.push_str(&operation.text(page));
                if page.terminal {
                    let follow =
                        format!("`sluice operations show {}` follows it.", operation.operation.operation_id);
                    text.push_str(&format!("\n{}\n", paint(Tone::Dim, follow)));
                }
            }
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

/// What becomes of what a vendor sends.
fn state(enabled: bool, on_hold: bool) -> &'static str {
    match (enabled, on_hold) {
        (true, false) => "enabled",
        (true, true) => "on hold",
        (false, false) => "disabled",
        (false, true) => "disabled, on hold",
    }
}

impl View for VendorDetail {
    fn text(&self, page: &Page) -> String {
        let rate = self.rate_limit.map(|limit| format!("{}/s, burst {}", limit.per_second, limit.burst));
        let or_none = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let mut text = fields([
            ("vendor", self.vendor_id.to_string()),
            ("state", state(self.enabled, self.on_hold.is_some()).to_owned()),
            (
                "hold",
                self.on_hold.as_ref().map_or_else(
                    || "none".to_owned(),
                    |hold| format!("by {} since {}: {}", hold.by, rfc3339(hold.at), hold.reason),
                ),
            ),
            ("waiting", self.waiting.to_string()),
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

impl View for VendorList {
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
                Cell::new(
                    match (vendor.enabled, vendor.on_hold.is_some()) {
                        (true, false) => Tone::Good,
                        (true, true) => Tone::Warn,
                        (false, _) => Tone::Bad,
                    },
                    state(vendor.enabled, vendor.on_hold.is_some()),
                ),
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

    use std::collections::BTreeMap;

    use sluice_core::digest::Sha256Hex;
    use sluice_core::record::VendorProfile;
    use sluice_ops::vendors::listed;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

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

    fn vendors() -> VendorList {
        let profile = |id: &str, secrets: &[&str]| VendorProfile {
            vendor_id: id.parse().unwrap(),
            enabled: secrets.is_empty(),
            api_key_sha256: vec![Sha256Hex::of(b"k")],
            webhook_secrets: secrets.iter().map(ToString::to_string).collect(),
            rate_limit: Some(RateLimit { per_second: 50, burst: 100 }),
            unknown_event_types: None,
            on_hold: None,
            released: None,
        };
        let types = BTreeMap::from([("vendorA".parse().unwrap(), vec!["inventory_update".to_owned()])]);
        listed(vec![profile("vendorB", &["whsec_SECRET"]), profile("vendorA", &[])], types)
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

//! `sluice mapper`: publishing mappers, and which ones are active. The work is in [`crate::publish`].

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::bundle::ActiveMapper;
use sluice_core::contract::CanonicalRef;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};

use crate::args::{MapperCommand, PublishArgs};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, millis, paint, printable, time_cell};
use crate::publish::{Activation, Bundle, Cranelift, Outcome, Published, module_path, publish};

#[derive(Debug, Serialize)]
struct List {
    mappers: Vec<Mapper>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mapper {
    vendor_id: VendorId,
    event_type: EventType,
    canonical: CanonicalRef,
    bundle: Sha256Hex,
    revision: u64,
    #[serde(serialize_with = "millis")]
    activated_at: Timestamp,
    activated_by: String,
    reason: String,
}

impl From<ActiveMapper> for Mapper {
    fn from(active: ActiveMapper) -> Self {
        Self {
            vendor_id: active.contract.vendor_id,
            event_type: active.contract.event_type,
            canonical: active.contract.canonical,
            bundle: active.bundle,
            revision: active.revision,
            activated_at: active.activated_at,
            activated_by: active.activated_by,
            reason: active.reason,
        }
    }
}

/// Runs a subcommand.
pub async fn run(command: MapperCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        MapperCommand::Publish(args) => output.document(&published(&args, cloud, output).await?),
        MapperCommand::Ls => {
            let mut active = cloud.vendors().list_mappers().await?;
            active.sort_by(|a, b| {
                let key = |active: &ActiveMapper| {
                    (active.contract.vendor_id.clone(), active.contract.event_type.clone())
                };
                key(a).cmp(&key(b))
            });
            output.document(&List { mappers: active.into_iter().map(Mapper::from).collect() })
        }
    }
}

async fn published(args: &PublishArgs, cloud: &Cloud, output: &Output) -> Result<Published, CliError> {
    let progress = output.progress(format!("reading {}", args.bundle.display()));
    let wasm = match &args.wasm {
        Some(path) => path.clone(),
        None => module_path(&args.bundle)?,
    };
    let bundle = Bundle::read(&args.bundle, &wasm)?;
    progress.say("compiling and publishing");
    let activation = if args.no_activate {
        Activation::None
    } else {
        Activation::By { who: who(), reason: args.reason.clone() }
    };
    publish(&cloud.bundles(), &cloud.vendors(), Arc::new(Cranelift), bundle, &activation, Timestamp::now())
        .await
}

/// Who activates, as this machine knows it: an entry for people, not an authentication.
fn who() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME")).or_else(|| variable("USERNAME"));
    format!("sluice mapper publish, {}", user.as_deref().unwrap_or("unknown user"))
}

impl View for Published {
    fn text(&self, _page: &Page) -> String {
        let done = match self.outcome {
            Outcome::Activated => paint(Tone::Good, "activated"),
            Outcome::Unchanged => paint(Tone::Dim, "unchanged: this bundle is active already"),
            Outcome::Published => paint(Tone::Good, "published, not activated"),
            Outcome::Kept => paint(Tone::Warn, "left as it is: someone else activated another bundle"),
        };
        let mut text = format!(
            "{} {}  {done}\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Strong, self.event_type.as_str())
        );
        let mut list = vec![
            ("bundle", self.bundle.to_string()),
            ("maps to", format!("{} {}", self.canonical.r#type, self.canonical.version)),
            ("module", format!("{} bytes, sha256 {}", self.module.bytes, self.module.sha256)),
        ];
        for native in &self.native {
            list.push(("native", format!("{} bytes for {}", native.file.bytes, native.target)));
        }
        list.extend(self.revision.map(|revision| ("revision", revision.to_string())));
        list.extend(
            self.replaced
                .as_ref()
                .map(|replaced| ("replaced", format!("{}, revision {}", replaced.bundle, replaced.revision))),
        );
        list.extend(
            self.in_effect_within_seconds.map(|seconds| ("in effect", format!("within {seconds} s"))),
        );
        text.push_str(&fields(list));
        text
    }
}

impl View for List {
    fn text(&self, page: &Page) -> String {
        if self.mappers.is_empty() && page.terminal {
            let none = "No mappers. `sluice mapper publish BUNDLE_DIR` publishes one.";
            return format!("{}\n", paint(Tone::Dim, none));
        }
        let rows = self.mappers.iter().map(|mapper| {
            let bundle = mapper.bundle.as_str();
            let bundle = if page.terminal { &bundle[..12] } else { bundle };
            vec![
                mapper.vendor_id.as_str().into(),
                mapper.event_type.as_str().into(),
                format!("{} {}", mapper.canonical.r#type, mapper.canonical.version).into(),
                mapper.revision.to_string().into(),
                Cell::new(Tone::Dim, bundle),
                time_cell(page, mapper.activated_at),
                printable(&format!("{}: {}", mapper.activated_by, mapper.reason)).into(),
            ]
        });
        page.table(&["VENDOR", "TYPE", "MAPS TO", "REVISION", "BUNDLE", "ACTIVATED", "BY"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::bundle::FileRef;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};
    use crate::publish::{NativeRef, Replaced};

    fn canonical() -> CanonicalRef {
        CanonicalRef { r#type: "InventoryUpdated".parse().unwrap(), version: "1.0".parse().unwrap() }
    }

    #[test]
    fn a_publication_says_what_it_replaced() {
        let published = Published {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            canonical: canonical(),
            bundle: Sha256Hex::of(b"manifest"),
            module: FileRef::of(b"module"),
            native: vec![NativeRef {
                target: "x86_64-unknown-linux-gnu".into(),
                fingerprint: "f".repeat(64),
                file: FileRef::of(b"n"),
            }],
            outcome: Outcome::Activated,
            revision: Some(3),
            replaced: Some(Replaced { bundle: Sha256Hex::of(b"old"), revision: 2 }),
            in_effect_within_seconds: Some(2),
        };
        insta::assert_snapshot!(on_terminal(&published), @"
        vendorA inventory_update  activated
          bundle     05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
          maps to    InventoryUpdated 1.0
          module     6 bytes, sha256 120970d812836f19888625587a4606a5ad23cef31c8684e601771552548fc6b9
          native     1 bytes for x86_64-unknown-linux-gnu
          revision   3
          replaced   cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4, revision 2
          in effect  within 2 s
        ");
        insta::assert_snapshot!(json(&published), @r#"
        {
          "vendorId": "vendorA",
          "eventType": "inventory_update",
          "canonical": {
            "type": "InventoryUpdated",
            "version": "1.0"
          },
          "bundle": "05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f",
          "module": {
            "sha256": "120970d812836f19888625587a4606a5ad23cef31c8684e601771552548fc6b9",
            "bytes": 6
          },
          "native": [
            {
              "target": "x86_64-unknown-linux-gnu",
              "fingerprint": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
              "sha256": "1b16b1df538ba12dc3f97edbb85caa7050d46c148134290feba80f8236c83db9",
              "bytes": 1
            }
          ],
          "outcome": "activated",
          "revision": 3,
          "replaced": {
            "bundle": "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4",
            "revision": 2
          },
          "inEffectWithinSeconds": 2
        }
        "#);
    }

    #[test]
    fn a_list_of_mappers() {
        let mapper = Mapper {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            canonical: canonical(),
            bundle: Sha256Hex::of(b"manifest"),
            revision: 3,
            activated_at: "2026-11-21T09:58:00Z".parse().unwrap(),
            activated_by: "ops".into(),
            reason: "fix".into(),
        };
        let list = List { mappers: vec![mapper] };
        insta::assert_snapshot!(on_terminal(&list), @"
        VENDOR   TYPE              MAPS TO               REVISION  BUNDLE        ACTIVATED                 BY       
        vendorA  inventory_update  InventoryUpdated 1.0  3         05b3abf2579a  2026-11-21 09:58:00.000Z  ops: fix
        ");
        insta::assert_snapshot!(in_pipe(&list), @"
        vendor	type	maps to	revision	bundle	activated	by
        vendorA	inventory_update	InventoryUpdated 1.0	3	05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f	2026-11-21T09:58:00.000Z	ops: fix
        ");
        insta::assert_snapshot!(json(&list), @r#"
        {
          "mappers": [
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "canonical": {
                "type": "InventoryUpdated",
                "version": "1.0"
              },
              "bundle": "05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f",
              "revision": 3,
              "activatedAt": "2026-11-21T09:58:00.000Z",
              "activatedBy": "ops",
              "reason": "fix"
            }
          ]
        }
        "#);
    }
}

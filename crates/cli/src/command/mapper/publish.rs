//! `sluice mapper publish`. The work is in [`crate::publish`].

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::build::Proved;
use super::who;
use crate::args::PublishArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint};
use crate::publish::{Activation, Bundle, Cranelift, Outcome, Published, Tools, contract_of, publish};
use crate::signing::signer;

/// Runs the command.
pub(super) async fn run(args: &PublishArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    // A contract that does not hold is said before anything is built.
    contract_of(&args.bundle)?;
    let Proved { wasm, built, tested } = Proved::of(&args.bundle, &args.module, args.no_test, output)?;
    let progress = output.progress(format!("publishing {}", args.bundle.display()));
    let bundle = Bundle::read(&args.bundle, &wasm)?;
    progress.say("compiling and publishing");
    let activation = if args.no_activate {
        Activation::None
    } else {
        Activation::By { who: who("publish"), reason: args.reason.clone() }
    };
    let (store, pointers) = (cloud.bundles(), cloud.vendors());
    let signer = signer(cloud, &args.signing.signing_key).await?;
    let tools =
        Tools { store: &store, pointers: &pointers, compiler: Arc::new(Cranelift), signer: signer.as_ref() };
    let published = publish(&tools, bundle, &activation, Timestamp::now()).await?;
    drop(progress);
    output.document(&Proven { published, built, tested })
}

/// A publication, and what is known of its module.
#[derive(Debug, Serialize)]
struct Proven {
    #[serde(flatten)]
    published: Published,
    /// The module was built now of the folder's sources.
    built: bool,
    /// Fixtures that were run, and hold.
    tested: usize,
}

impl View for Proven {
    fn text(&self, page: &Page) -> String {
        let mut text = self.published.text(page);
        let mut list = Vec::new();
        if !self.built {
            list.push(("source", "not built: the module is as it was found".to_owned()));
        }
        list.push((
            "fixtures",
            match self.tested {
                0 => "not run".to_owned(),
                tested => format!("{tested} hold"),
            },
        ));
        text.push_str(&fields(list));
        text
    }
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
            list.push(("native", native.text()));
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::bundle::FileRef;
    use sluice_core::contract::CanonicalRef;
    use sluice_core::digest::Sha256Hex;
    use sluice_ops::pointer::Replaced;

    use super::*;
    use crate::output::testing::{json, on_terminal};
    use crate::publish::NativeRef;

    #[test]
    fn a_publication_says_what_it_replaced() {
        let published = Published {
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            canonical: CanonicalRef {
                r#type: "InventoryUpdated".parse().unwrap(),
                version: "1.0".parse().unwrap(),
            },
            bundle: Sha256Hex::of(b"manifest"),
            module: FileRef::of(b"module"),
            native: vec![NativeRef {
                target: "x86_64-unknown-linux-gnu".into(),
                fingerprint: "f".repeat(64),
                file: FileRef::of(b"n"),
                key_id: Sha256Hex::of(b"key"),
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
          native     1 bytes for x86_64-unknown-linux-gnu, signed by 2c70e12b7a06
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
              "bytes": 1,
              "keyId": "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
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
}

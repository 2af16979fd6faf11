//! `--examples`: the vendors of `examples/vendors.json` and the bundles under `mappers-wasm/`.
//!
//! Idempotent, and careful with what an operator has done since: a vendor that is registered stays as it is, and a mapper is
//! activated only where there is none or where an earlier `--examples` activated it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::VendorId;
use sluice_core::record::{RateLimit, UnknownEventTypes, VendorProfile};
use sluice_ops::secrets::{check_key, check_secret};

use crate::cloud::Cloud;
use crate::error::CliError;
use crate::publish::{Activation, Bundle, CONTRACT_FILE, Cranelift, Tools, publish};
use crate::signing::{KEY_ALIAS, KeySource, signer};

/// Who activates the example mappers, in the pointer. A pointer by anyone else is left alone.
const WHO: &str = "sluice dev --examples";

const VENDORS_FILE: &str = "vendors.json";
const BUNDLES_FOLDER: &str = "mappers-wasm";
const MODULES_FOLDER: &str = "target/mappers";

/// Shown in the banner.
const SAMPLE_FILE: &str = "vendorA-inventory.json";

/// One entry of `vendors.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExampleVendor {
    vendor_id: VendorId,
    api_key: String,
    #[serde(default)]
    webhook_secret: Option<String>,
    #[serde(default)]
    rate_limit: Option<RateLimit>,
    #[serde(default)]
    unknown_event_types: Option<UnknownEventTypes>,
}

/// The examples, read and judged.
#[derive(Debug)]
pub(super) struct Examples {
    folder: PathBuf,
    vendors: Vec<ExampleVendor>,
    bundles: Vec<Bundle>,
}

impl Examples {
    /// Finds and reads everything.
    pub(super) fn find(given: Option<&Path>) -> Result<Self, CliError> {
        let folder = match given {
            Some(folder) => folder.to_owned(),
            None => locate(&starting_points())?,
        };
        Self::read(&folder)
    }

    fn read(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(VENDORS_FILE);
        let text =
            std::fs::read(&path).map_err(|source| CliError::ReadFile { path: path.clone(), source })?;
        let vendors = parse_vendors(&path, &text)?;
        let absolute = std::path::absolute(folder)
            .map_err(|source| CliError::ReadFile { path: folder.to_owned(), source })?;
        let root = absolute.parent().unwrap_or(&absolute);
        Ok(Self { folder: folder.to_owned(), vendors, bundles: bundles(root)? })
    }

    /// Registers and publishes. `say` hears what is being done.
    pub(super) async fn install(&self, cloud: &Cloud, say: impl Fn(String)) -> Result<(), CliError> {
        let directory = cloud.vendors();
        for vendor in &self.vendors {
            say(format!("registering {}", vendor.vendor_id));
            let digest = Sha256Hex::of(vendor.api_key.as_bytes());
            // One that is there is somebody's by now.
            directory.add_vendor(&vendor.profile(digest)).await?;
        }
        let activation = Activation::OwnOnly { who: WHO.into(), reason: "an example".into() };
        let (store, pointers) = (cloud.bundles(), cloud.vendors());
        let signer = signer(cloud, &KeySource::Kms(KEY_ALIAS.into())).await?;
        let tools = Tools {
            store: &store,
            pointers: &pointers,
            compiler: Arc::new(Cranelift),
            signer: signer.as_ref(),
        };
        for bundle in &self.bundles {
            say(format!(
                "publishing the mapper of {} {}",
                bundle.contract.vendor_id, bundle.contract.event_type
            ));
            publish(&tools, bundle.clone(), &activation, Timestamp::now()).await?;
        }
        Ok(())
    }

    /// The file with the vendors, their keys and secrets.
    pub(super) fn vendors_file(&self) -> PathBuf {
        self.folder.join(VENDORS_FILE)
    }

    /// A file to send, by a path that works from here.
    pub(super) fn sample(&self) -> Option<PathBuf> {
        Some(self.folder.join(SAMPLE_FILE)).filter(|path| path.is_file())
    }
}

impl ExampleVendor {
    fn profile(&self, digest: Sha256Hex) -> VendorProfile {
        VendorProfile {
            vendor_id: self.vendor_id.clone(),
            enabled: true,
            api_key_sha256: vec![digest],
            webhook_secrets: self.webhook_secret.iter().cloned().collect(),
            rate_limit: self.rate_limit,
            unknown_event_types: self.unknown_event_types,
            on_hold: None,
            released: None,
        }
    }
}

/// Folders in which, or above which, `examples/` may be: the current one, `SLUICE_HOME`, that of this program.
fn starting_points() -> Vec<PathBuf> {
    let here = std::env::current_dir().ok();
    let home = std::env::var_os("SLUICE_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let program = std::env::current_exe().ok().and_then(|path| std::fs::canonicalize(path).ok());
    [home, here, program].into_iter().flatten().collect()
}

fn locate(starting_points: &[PathBuf]) -> Result<PathBuf, CliError> {
    let relative = Path::new("examples");
    for start in starting_points {
        for (above, folder) in start.ancestors().enumerate() {
            if folder.join(relative).join(VENDORS_FILE).is_file() {
                // As short as it can be said from here.
                let here = std::env::current_dir().ok();
                let short = above == 0 && here.as_deref() == Some(folder);
                return Ok(if short { relative.to_owned() } else { folder.join(relative) });
            }
        }
    }
    Err(CliError::not_found(format!(
        "there is no examples/{VENDORS_FILE} here, above here, or above this program"
    ))
    .with_hint("run it in the repository, set SLUICE_HOME to it, or name the folder with --examples-dir"))
}

fn parse_vendors(path: &Path, text: &[u8]) -> Result<Vec<ExampleVendor>, CliError> {
    let invalid = |problem: String| {
        CliError::InvalidFile {
        path: path.to_owned(),
        problem,
        hint: Some(
            r#"expected [{"vendorId", "apiKey", "webhookSecret"?: "whsec_…, or a key", "rateLimit"?: {"perSecond", "burst"}, "unknownEventTypes"?: "keep" | "refuse"}]"#
                .into(),
        ),
    }
    };
    let vendors: Vec<ExampleVendor> = serde_json::from_slice(text)
        .map_err(|error| invalid(format!("is not a list of vendors: {error}")))?;
    let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for (index, vendor) in vendors.iter().enumerate() {
        let id = &vendor.vendor_id;
        let wrong = |what: String| invalid(format!("has a fault at /{index}: {id}: {what}"));
        if !ids.insert(id) {
            return Err(wrong("the vendor is there twice".into()));
        }
        check_key(&vendor.api_key).map_err(wrong)?;
        if !keys.insert(&vendor.api_key) {
            return Err(wrong("the API key is another vendor's too".into()));
        }
        if let Some(secret) = &vendor.webhook_secret {
            check_secret(secret).map_err(wrong)?;
        }
        if vendor.rate_limit.is_some_and(|limit| limit.per_second == 0 || limit.burst == 0) {
            return Err(wrong("a rate limit of 0 lets nothing through".into()));
        }
    }
    Ok(vendors)
}

/// Every folder of `mappers-wasm/` with a contract, with its built module.
fn bundles(root: &Path) -> Result<Vec<Bundle>, CliError> {
    let folder = root.join(BUNDLES_FOLDER);
    let failed = |source| CliError::ReadFile { path: folder.clone(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join(CONTRACT_FILE).is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    let bundles = folders.iter().map(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let module = root.join(MODULES_FOLDER).join(format!("{name}.wasm"));
        if !module.is_file() {
            return Err(CliError::not_found(format!(
                "the mapper {name} is not built: there is no {}",
                module.display()
            ))
            .with_hint("run `cargo xtask build` in the repository, then start again"));
        }
        Bundle::read(folder, &module)
    });
    bundles.collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::error::ExitKind;

    fn fault(text: &str) -> String {
        let error = parse_vendors(Path::new("vendors.json"), text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ExitKind::Usage);
        assert!(error.hint().is_some());
        error.to_string()
    }

    #[test]
    fn every_fault_of_the_vendors_file_says_where() {
        let one = r#"{"vendorId": "a", "apiKey": "k"}"#;
        assert!(fault("").starts_with("vendors.json is not a list of vendors: EOF"), "{}", fault(""));
        assert!(fault("{}").contains("invalid type"));
        assert!(fault(r#"[{"vendorId": "a"}]"#).contains("missing field `apiKey` at line 1"));
        assert!(fault(r#"[{"vendorId": "../a", "apiKey": "k"}]"#).contains("vendorId"));
        assert!(
            fault(r#"[{"vendorId": "a", "apiKey": "k", "secret": "x"}]"#).contains("unknown field `secret`")
        );
        assert!(fault(&format!("[{one}, {one}]")).contains("/1: a: the vendor is there twice"));
        assert!(
            fault(&format!("[{one}, {}]", one.replace("\"a\"", "\"b\"")))
                .contains("/1: b: the API key is another")
        );
        assert!(fault(r#"[{"vendorId": "a", "apiKey": "k k"}]"#).contains("/0: a: an API key has"));
        assert!(
            fault(r#"[{"vendorId": "a", "apiKey": "k", "webhookSecret": "whsec_%"}]"#).contains("whsec_")
        );
        assert!(
            fault(r#"[{"vendorId": "a", "apiKey": "k", "rateLimit": {"perSecond": 0, "burst": 1}}]"#)
                .contains("rate limit")
        );
    }

    #[test]
    fn the_examples_of_this_repository_hold() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/vendors.json");
        let vendors = parse_vendors(&path, &std::fs::read(&path).unwrap()).unwrap();
        assert!(vendors.iter().any(|vendor| vendor.vendor_id.as_str() == "vendorA"));
        assert!(path.with_file_name(SAMPLE_FILE).is_file());
    }

    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("examples/vendors.json", r#"[{"vendorId": "a", "apiKey": "k"}]"#);
        write(
            "mappers-wasm/acme/mapper.toml",
            "vendorId = 'a'\neventType = 't'\n[payload]\ndefaultVersion = '1'\n[payload.versions]\n1 = 's.json'\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n",
        );
        write("mappers-wasm/acme/s.json", "{}");
        write("mappers-wasm/mapper-sdk/src/lib.rs", "");
        root
    }

    #[test]
    fn a_mapper_that_is_not_built_says_how_to_build_it() {
        let root = repository();
        let error = Examples::read(&root.path().join("examples")).unwrap_err();
        assert_eq!(error.kind(), ExitKind::NotFound);
        assert!(error.to_string().starts_with("the mapper acme is not built"), "{error}");
        assert!(error.hint().unwrap().contains("cargo xtask build"));
    }

    #[test]
    fn folders_without_a_contract_are_no_bundles() {
        let root = repository();
        std::fs::create_dir_all(root.path().join(MODULES_FOLDER)).unwrap();
        std::fs::write(root.path().join(MODULES_FOLDER).join("acme.wasm"), b"m").unwrap();
        let examples = Examples::read(&root.path().join("examples")).unwrap();
        assert_eq!(examples.bundles.len(), 1);
        assert_eq!(examples.sample(), None);
    }

    #[test]
    fn the_examples_are_found_from_below() {
        let root = repository();
        let below = root.path().join("mappers-wasm/acme");
        let elsewhere = tempfile::tempdir().unwrap();
        let found = locate(&[elsewhere.path().to_owned(), below]).unwrap();
        assert_eq!(found, root.path().join("examples"));
        let error = locate(&[elsewhere.path().to_owned()]).unwrap_err();
        assert_eq!(error.kind(), ExitKind::NotFound);
    }
}

//! Publishing a mapper: from a bundle's folder to immutable objects named by digest, and the pointer that makes them active.
//!
//! Invariants: nothing is stored before everything was checked; the manifest is stored after the files that it names, the
//! pointer written after the manifest; a pointer is replaced only by who has seen it. Used by `sluice mapper publish` and by
//! `sluice dev --examples`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::vendors::{CACHE_SECONDS, DynamoVendors};
use sluice_core::bundle::{ActiveMapper, FileRef, MODULE_FILE, Manifest, blob_key, manifest_key};
use sluice_core::canonical;
use sluice_core::contract::{CanonicalRef, Contract};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::{BundleStore, Freshness, VendorDirectory};
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};
use sluice_mapper_host::TargetSpec;

use crate::error::CliError;

/// Name of the contract in a bundle's folder.
pub const CONTRACT_FILE: &str = "mapper.toml";

/// Largest module, in bytes (design section 5).
const MODULE_BYTES_MAX: u64 = 2 << 20;
/// Largest schema or contract, in bytes: far beyond any real one.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// How often activation is tried against others that activate at the same time.
const ACTIVATIONS_MAX: u32 = 5;

/// A bundle's files, checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// `mapper.toml`.
    pub contract: Contract,
    /// [`MODULE_FILE`] and the schemas, by path.
    pub files: BTreeMap<String, Bytes>,
    /// Where the module was read from.
    module_path: PathBuf,
}

/// A module compiled ahead of time.
#[derive(Debug, Clone)]
pub struct Native {
    /// For which kind of machine, e.g. `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// Which hosts may load it.
    pub fingerprint: String,
    /// The code.
    pub bytes: Bytes,
}

impl Bundle {
    /// Reads a bundle's folder, and the module from `wasm`. Everything that can be judged without running the module is.
    pub fn read(folder: &Path, wasm: &Path) -> Result<Self, CliError> {
        let path = folder.join(CONTRACT_FILE);
        if !path.is_file() {
            return Err(CliError::InvalidFile {
                path: folder.to_owned(),
                problem: format!("has no {CONTRACT_FILE}, so it is not a bundle"),
                hint: Some(
                    "name the folder that holds mapper.toml, e.g. mappers-wasm/vendor-a-inventory".into(),
                ),
            });
        }
        let text = read(&path, TEXT_BYTES_MAX)?;
        let contract = contract(&path, &text)?;
        let mut files = BTreeMap::new();
        for (version, name) in &contract.payload.versions {
            let path = folder.join(name);
            let text = read(&path, TEXT_BYTES_MAX)?;
            Schema::compile(&text).map_err(|error| CliError::InvalidFile {
                path,
                problem: format!("is {error}"),
                hint: Some(format!("payload.versions of {CONTRACT_FILE} names it for version {version}")),
            })?;
            files.insert(name.clone(), text);
        }
        files.insert(MODULE_FILE.to_owned(), read(wasm, MODULE_BYTES_MAX)?);
        Ok(Self { contract, files, module_path: wasm.to_owned() })
    }

    /// The module.
    pub fn module(&self) -> Bytes {
        self.files.get(MODULE_FILE).cloned().unwrap_or_default()
    }

    /// Whether a manifest is of this contract and these files, and has code for every one of `fingerprints`.
    fn is(&self, manifest: &Manifest, fingerprints: &[String]) -> bool {
        manifest.contract == self.contract
            && manifest.files.len() == self.files.len()
            && self.files.iter().all(|(name, bytes)| manifest.files.get(name) == Some(&FileRef::of(bytes)))
            && fingerprints.iter().all(|fingerprint| manifest.native.contains_key(fingerprint))
    }

    /// The bundle as it will be stored.
    pub fn package(self, native: Vec<Native>) -> Package {
        let module = FileRef::of(&self.module());
        let files = self.files.iter().map(|(name, bytes)| (name.clone(), FileRef::of(bytes))).collect();
        let native_refs: Vec<NativeRef> = native.iter().map(NativeRef::from).collect();
        let manifest = Manifest {
            contract: self.contract,
            files,
            native: native_refs
                .iter()
                .map(|native| (native.fingerprint.clone(), native.file.clone()))
                .collect(),
        };
        let (encoded, bundle) = manifest.encode();
        let blobs = self.files.into_values().chain(native.into_iter().map(|native| native.bytes));
        Package {
            bundle,
            contract: manifest.contract,
            encoded: encoded.into(),
            module,
            native: native_refs,
            blobs: blobs.map(|bytes| (blob_key(&Sha256Hex::of(&bytes)), bytes)).collect(),
        }
    }
}

/// A bundle ready to be stored.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub bundle: Sha256Hex,
    contract: Contract,
    encoded: Bytes,
    module: FileRef,
    native: Vec<NativeRef>,
    blobs: BTreeMap<String, Bytes>,
}

/// What becomes of the pointer.
#[derive(Debug, Clone)]
pub enum Activation {
    /// It stays as it is.
    None,
    /// It points to the bundle, whatever it pointed to.
    By {
        /// Who, for the record.
        who: String,
        /// Why, for the record.
        reason: String,
    },
    /// It points to the bundle if there is none yet, or if `who` made it: what another decided stays.
    OwnOnly {
        /// Who, for the record.
        who: String,
        /// Why, for the record.
        reason: String,
    },
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The pointer points to the bundle now.
    Activated,
    /// It did already.
    Unchanged,
    /// The pointer was not to be touched.
    Published,
    /// The pointer is someone else's decision and was left.
    Kept,
}

/// What was published.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// What they become.
    pub canonical: CanonicalRef,
    /// Digest of the manifest; with [`Outcome::Kept`] that of the bundle that stays active.
    pub bundle: Sha256Hex,
    /// The module.
    pub module: FileRef,
    /// The module compiled ahead of time; none if that was not needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub native: Vec<NativeRef>,
    /// How it ended.
    pub outcome: Outcome,
    /// Revision of the pointer, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// What the pointer pointed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// How long caches may hold the old pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_effect_within_seconds: Option<u64>,
}

/// Native code by reference.
#[derive(Debug, Clone, Serialize)]
pub struct NativeRef {
    /// For which kind of machine.
    pub target: String,
    /// Which hosts may load it.
    pub fingerprint: String,
    /// The code.
    #[serde(flatten)]
    pub file: FileRef,
}

impl From<&Native> for NativeRef {
    fn from(native: &Native) -> Self {
        Self {
            target: native.target.clone(),
            fingerprint: native.fingerprint.clone(),
            file: FileRef::of(&native.bytes),
        }
    }
}

/// A pointer that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// What it pointed to.
    pub bundle: Sha256Hex,
    /// Its revision.
    pub revision: u64,
}

/// The pointers to active bundles.
#[async_trait]
pub trait Pointers: Send + Sync {
    /// The pointer, read now.
    async fn current(&self, vendor: &VendorId, event_type: &EventType)
    -> Result<Option<ActiveMapper>, Fault>;
    /// Replaces the pointer if it still has `seen_revision` (0: there is none). `Ok(false)`: someone else was quicker.
    async fn replace(&self, pointer: &ActiveMapper, seen_revision: u64) -> Result<bool, Fault>;
}

#[async_trait]
impl Pointers for DynamoVendors {
    async fn current(
        &self,
        vendor: &VendorId,
        event_type: &EventType,
    ) -> Result<Option<ActiveMapper>, Fault> {
        self.active_mapper(vendor, event_type, Freshness::Fresh).await
    }

    async fn replace(&self, pointer: &ActiveMapper, seen_revision: u64) -> Result<bool, Fault> {
        self.activate(pointer, seen_revision).await
    }
}

/// Turns modules into native code for the hosts that will run them.
pub trait Compiler: Send + Sync {
    /// The hosts, by fingerprint.
    fn fingerprints(&self) -> Vec<String>;
    /// Inspects and compiles a module; the error is why it is refused.
    fn compile(&self, module: &[u8]) -> Result<Vec<Native>, String>;
}

/// The real one: for this kind of machine and for AWS Lambda, so that a bundle is the same wherever it is published to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cranelift;

impl Cranelift {
    fn targets() -> Vec<TargetSpec> {
        let (host, lambda) = (TargetSpec::host(), TargetSpec::LAMBDA_X86_64);
        if host.fingerprint() == lambda.fingerprint() { vec![lambda] } else { vec![lambda, host] }
    }
}

impl Compiler for Cranelift {
    fn fingerprints(&self) -> Vec<String> {
        Self::targets().iter().map(|target| target.fingerprint().to_string()).collect()
    }

    fn compile(&self, module: &[u8]) -> Result<Vec<Native>, String> {
        let targets = Self::targets();
        let native = targets.iter().map(|target| {
            let native = sluice_mapper_host::compile(module, target).map_err(|error| error.to_string())?;
            Ok(Native {
                target: target.triple().to_owned(),
                fingerprint: native.fingerprint.to_string(),
                bytes: native.bytes.into(),
            })
        });
        native.collect()
    }
}

/// Publishes a bundle, then activates it. Compiles only if the active bundle is another.
pub async fn publish(
    store: &dyn BundleStore,
    pointers: &dyn Pointers,
    compiler: Arc<dyn Compiler>,
    bundle: Bundle,
    activation: &Activation,
    now: Timestamp,
) -> Result<Published, CliError> {
    let held = pointers.current(&bundle.contract.vendor_id, &bundle.contract.event_type).await?;
    if let Some(held) = held
        && let Some(outcome) = needless(store, compiler.as_ref(), &bundle, &held, activation).await?
    {
        return Ok(Published {
            module: FileRef::of(&bundle.module()),
            vendor_id: bundle.contract.vendor_id,
            event_type: bundle.contract.event_type,
            canonical: bundle.contract.canonical,
            bundle: held.bundle,
            native: Vec::new(),
            outcome,
            revision: Some(held.revision),
            replaced: None,
            in_effect_within_seconds: None,
        });
    }
    let (module, path) = (bundle.module(), bundle.module_path.clone());
    let compiled = tokio::task::spawn_blocking(move || compiler.compile(&module)).await;
    let native = compiled
        .map_err(|error| CliError::Failed(format!("the compiler stopped: {error}")))?
        .map_err(|refusal| CliError::InvalidFile {
            path,
            problem: format!("is not a module that may be published: {refusal}"),
            hint: None,
        })?;
    store_and_activate(store, pointers, bundle.package(native), activation, now).await
}

/// Why there is nothing to do, if there is nothing to do.
async fn needless(
    store: &dyn BundleStore,
    compiler: &dyn Compiler,
    bundle: &Bundle,
    held: &ActiveMapper,
    activation: &Activation,
) -> Result<Option<Outcome>, Fault> {
    if let Activation::OwnOnly { who, .. } = activation
        && held.activated_by != *who
    {
        return Ok(Some(Outcome::Kept));
    }
    let manifest = match store.get(&manifest_key(&held.bundle)).await {
        Ok(bytes) => serde_json::from_slice::<Manifest>(&bytes).ok(),
        // What is not there, or is not a manifest, is put right by publishing.
        Err(fault) if fault.code == Code::BundleMissing => None,
        Err(fault) => return Err(fault),
    };
    let same = manifest.is_some_and(|manifest| bundle.is(&manifest, &compiler.fingerprints()));
    Ok(same.then_some(Outcome::Unchanged))
}

async fn store_and_activate(
    store: &dyn BundleStore,
    pointers: &dyn Pointers,
    package: Package,
    activation: &Activation,
    now: Timestamp,
) -> Result<Published, CliError> {
    for (key, bytes) in &package.blobs {
        store.put_if_absent(key, bytes.clone()).await?;
    }
    store.put_if_absent(&manifest_key(&package.bundle), package.encoded.clone()).await?;

    let contract = &package.contract;
    let mut published = Published {
        vendor_id: contract.vendor_id.clone(),
        event_type: contract.event_type.clone(),
        canonical: contract.canonical.clone(),
        bundle: package.bundle.clone(),
        module: package.module,
        native: package.native,
        outcome: Outcome::Published,
        revision: None,
        replaced: None,
        in_effect_within_seconds: None,
    };
    let (who, reason, own_only) = match activation {
        Activation::None => return Ok(published),
        Activation::By { who, reason } => (who, reason, false),
        Activation::OwnOnly { who, reason } => (who, reason, true),
    };
    for _ in 0..ACTIVATIONS_MAX {
        let held = pointers.current(&contract.vendor_id, &contract.event_type).await?;
        let seen_revision = held.as_ref().map_or(0, |held| held.revision);
        if let Some(held) = &held {
            let settled = if held.bundle == package.bundle {
                Some(Outcome::Unchanged)
            } else if own_only && held.activated_by != *who {
                published.bundle = held.bundle.clone();
                Some(Outcome::Kept)
            } else {
                None
            };
            if let Some(outcome) = settled {
                published.outcome = outcome;
                published.revision = Some(seen_revision);
                return Ok(published);
            }
        }
        let pointer = ActiveMapper {
            bundle: package.bundle.clone(),
            contract: contract.clone(),
            revision: seen_revision + 1,
            activated_at: now,
            activated_by: who.clone(),
            reason: reason.clone(),
        };
        if pointers.replace(&pointer, seen_revision).await? {
            published.outcome = Outcome::Activated;
            published.revision = Some(pointer.revision);
            published.replaced = held.map(|held| Replaced { bundle: held.bundle, revision: held.revision });
            published.in_effect_within_seconds = Some(CACHE_SECONDS);
            return Ok(published);
        }
    }
    Err(CliError::Failed(format!(
        "bundle {} is published but not active: others activated mappers for {} {} at the same time; look at `sluice mapper ls` and decide anew",
        package.bundle, contract.vendor_id, contract.event_type
    )))
}

/// Where the module of a bundle's folder is: beside its contract, or where `cargo xtask build` leaves it.
pub fn module_path(folder: &Path) -> Result<PathBuf, CliError> {
    let beside = folder.join(MODULE_FILE);
    if beside.is_file() {
        return Ok(beside);
    }
    let absolute = std::fs::canonicalize(folder)
        .map_err(|source| CliError::ReadFile { path: folder.to_owned(), source })?;
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let built = Path::new("target").join("mappers").join(format!("{name}.wasm"));
    absolute.ancestors().map(|ancestor| ancestor.join(&built)).find(|path| path.is_file()).ok_or_else(|| {
        CliError::InvalidFile {
            path: folder.to_owned(),
            problem: format!("has no {MODULE_FILE}, and there is no {} above it", built.display()),
            hint: Some(
                "build the mappers with `cargo xtask build`, or name the module with --wasm FILE".into(),
            ),
        }
    })
}

fn read(path: &Path, bytes_max: u64) -> Result<Bytes, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > bytes_max {
        return Err(CliError::InvalidFile {
            path: path.to_owned(),
            problem: format!("has {length} bytes, more than {bytes_max}"),
            hint: None,
        });
    }
    std::fs::read(path).map(Bytes::from).map_err(failed)
}

/// The contract of a bundle's folder.
pub fn contract_of(folder: &Path) -> Result<Contract, CliError> {
    let path = folder.join(CONTRACT_FILE);
    contract(&path, &read(&path, TEXT_BYTES_MAX)?)
}

fn contract(path: &Path, text: &[u8]) -> Result<Contract, CliError> {
    let invalid = |problem: String| CliError::InvalidFile { path: path.to_owned(), problem, hint: None };
    let text = std::str::from_utf8(text).map_err(|error| invalid(format!("is not text: {error}")))?;
    let contract: Contract = toml::from_str(text)
        .map_err(|error| invalid(format!("is not a contract: {}", error.to_string().trim_end())))?;
    contract.check().map_err(|error| invalid(format!("is not a contract: {error}")))?;
    if contract.payload.versions.values().any(|name| name == MODULE_FILE) {
        return Err(invalid(format!("names {MODULE_FILE} as a schema")));
    }
    if canonical::schema(&contract.canonical).is_none() {
        let known: Vec<String> =
            canonical::SCHEMAS.iter().map(|(name, version, _)| format!("{name} {version}")).collect();
        return Err(invalid(format!(
            "maps to {} {}, which Sluice does not know; known are {}",
            contract.canonical.r#type,
            contract.canonical.version,
            known.join(", ")
        )));
    }
    Ok(contract)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::testing::{Failure, World};

    use super::*;
    use crate::error::ExitKind;

    #[async_trait]
    impl Pointers for World {
        async fn current(
            &self,
            vendor: &VendorId,
            event_type: &EventType,
        ) -> Result<Option<ActiveMapper>, Fault> {
            Ok(self.state().mappers.get(&(vendor.clone(), event_type.clone())).cloned())
        }

        async fn replace(&self, pointer: &ActiveMapper, seen_revision: u64) -> Result<bool, Fault> {
            let key = (pointer.contract.vendor_id.clone(), pointer.contract.event_type.clone());
            let mut state = self.state();
            let held = state.mappers.get(&key).map_or(0, |held| held.revision);
            if held != seen_revision {
                return Ok(false);
            }
            state.mappers.insert(key, pointer.clone());
            Ok(true)
        }
    }

    const CONTRACT: &str = "vendorId = 'v'\neventType = 't'\n[payload]\ndefaultVersion = '1'\n[payload.versions]\n1 = 'schema/1.json'\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n";

    fn folder(contract: &str, schema: &str, module: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("schema")).unwrap();
        std::fs::write(folder.path().join(CONTRACT_FILE), contract).unwrap();
        std::fs::write(folder.path().join("schema/1.json"), schema).unwrap();
        std::fs::write(folder.path().join(MODULE_FILE), module).unwrap();
        folder
    }

    fn bundle(module: &[u8]) -> Bundle {
        let folder = folder(CONTRACT, "{}", module);
        Bundle::read(folder.path(), &module_path(folder.path()).unwrap()).unwrap()
    }

    /// "Compiles" by adding to the module, for hosts of the given names.
    struct Fake(&'static [&'static str]);

    impl Compiler for Fake {
        fn fingerprints(&self) -> Vec<String> {
            self.0.iter().map(ToString::to_string).collect()
        }

        fn compile(&self, module: &[u8]) -> Result<Vec<Native>, String> {
            if module == b"hostile" {
                return Err("it imports".into());
            }
            let native = self.0.iter().map(|host| Native {
                target: format!("{host}-triple"),
                fingerprint: (*host).to_owned(),
                bytes: Bytes::from([module, b"-", host.as_bytes()].concat()),
            });
            Ok(native.collect())
        }
    }

    fn fake() -> Arc<dyn Compiler> {
        Arc::new(Fake(&["host"]))
    }

    fn by(who: &str) -> Activation {
        Activation::By { who: who.into(), reason: "r".into() }
    }

    fn own_only(who: &str) -> Activation {
        Activation::OwnOnly { who: who.into(), reason: "r".into() }
    }

    async fn published(world: &World, module: &[u8], activation: &Activation) -> Published {
        publish(world, world, fake(), bundle(module), activation, Timestamp::UNIX_EPOCH).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_holds_the_digest_can_check_all_of_it() {
        let world = World::new();
        let done = published(&world, b"one", &by("me")).await;
        assert_eq!((done.outcome, done.revision, &done.replaced), (Outcome::Activated, Some(1), &None));
        let state = world.state();
        let encoded = &state.bundles[&manifest_key(&done.bundle)];
        assert_eq!(Sha256Hex::of(encoded), done.bundle);
        let manifest: Manifest = serde_json::from_slice(encoded).unwrap();
        let files: Vec<&str> = manifest.files.keys().map(String::as_str).collect();
        assert_eq!(files, [MODULE_FILE, "schema/1.json"]);
        for file in manifest.files.values().chain(manifest.native.values()) {
            let bytes = &state.bundles[&blob_key(&file.sha256)];
            assert_eq!(FileRef::of(bytes), *file);
        }
        assert_eq!(manifest.native["host"], FileRef::of(b"one-host"));
        assert_eq!(state.bundles.len(), 4, "manifest, module, schema, native code");
        let pointer = &state.mappers[&(done.vendor_id.clone(), done.event_type.clone())];
        assert_eq!((&pointer.bundle, &pointer.contract), (&done.bundle, &manifest.contract));
    }

    #[tokio::test]
    async fn a_module_that_may_not_run_is_not_stored() {
        let world = World::new();
        let refused =
            publish(&world, &world, fake(), bundle(b"hostile"), &by("me"), Timestamp::UNIX_EPOCH).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ExitKind::Usage);
        assert!(
            error.to_string().ends_with("mapper.wasm is not a module that may be published: it imports"),
            "{error}"
        );
        assert!(world.state().bundles.is_empty());
    }

    #[tokio::test]
    async fn a_new_host_is_compiled_for_though_the_files_are_the_same() {
        let world = World::new();
        published(&world, b"one", &by("me")).await;
        let both: Arc<dyn Compiler> = Arc::new(Fake(&["host", "next"]));
        let next =
            publish(&world, &world, both, bundle(b"one"), &by("me"), Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!((next.outcome, next.revision, next.native.len()), (Outcome::Activated, Some(2), 2));
        let older = published(&world, b"one", &by("me")).await;
        assert_eq!(older.outcome, Outcome::Unchanged, "it serves the older host too");
    }

    #[tokio::test]
    async fn a_manifest_that_is_gone_is_published_again() {
        let world = World::new();
        let first = published(&world, b"one", &by("me")).await;
        world.state().bundles.clear();
        let again = published(&world, b"one", &by("me")).await;
        assert_eq!(
            (again.outcome, &again.bundle),
            (Outcome::Unchanged, &first.bundle),
            "the pointer was right"
        );
        assert_eq!(world.state().bundles.len(), 4);
    }

    #[test]
    fn real_modules_are_inspected_and_compiled_for_lambda() {
        let error = Cranelift.compile(b"\0asm").unwrap_err();
        assert!(error.contains("WebAssembly"), "{error}");
        assert!(Cranelift.fingerprints().contains(&TargetSpec::LAMBDA_X86_64.fingerprint().to_string()));
    }

    #[tokio::test]
    async fn publishing_the_same_again_changes_nothing() {
        let world = World::new();
        let first = published(&world, b"one", &by("me")).await;
        let again = published(&world, b"one", &by("you")).await;
        assert_eq!((again.outcome, again.revision), (Outcome::Unchanged, Some(1)));
        assert_eq!(again.bundle, first.bundle);
        let second = published(&world, b"two", &by("you")).await;
        assert_eq!(second.replaced, Some(Replaced { bundle: first.bundle, revision: 1 }));
        assert_eq!((second.revision, second.in_effect_within_seconds), (Some(2), Some(2)));
    }

    #[tokio::test]
    async fn examples_never_overwrite_what_an_operator_decided() {
        let world = World::new();
        assert_eq!(published(&world, b"one", &own_only("examples")).await.outcome, Outcome::Activated);
        assert_eq!(published(&world, b"two", &own_only("examples")).await.outcome, Outcome::Activated);
        let fixed = published(&world, b"fixed", &by("operator")).await;
        let restarted = published(&world, b"two", &own_only("examples")).await;
        assert_eq!((restarted.outcome, restarted.revision), (Outcome::Kept, Some(3)));
        let state = world.state();
        assert_eq!(state.mappers.values().next().unwrap().bundle, fixed.bundle);
    }

    #[tokio::test]
    async fn without_activation_no_pointer_is_written() {
        let world = World::new();
        let done = published(&world, b"one", &Activation::None).await;
        assert_eq!((done.outcome, done.revision), (Outcome::Published, None));
        assert!(world.state().mappers.is_empty());
    }

    #[tokio::test]
    async fn a_store_that_fails_leaves_the_pointer_alone() {
        // Three files and the manifest.
        for failing in 0..4 {
            let world = World::new();
            let failures = std::iter::repeat_n(Failure::None, failing).chain([Failure::Before]);
            world.fail_next(failures);
            let error = publish(&world, &world, fake(), bundle(b"one"), &by("me"), Timestamp::UNIX_EPOCH)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ExitKind::Unavailable);
            let state = world.state();
            assert!(state.mappers.is_empty());
            assert!(!state.bundles.keys().any(|key| key.starts_with("bundles/")), "the manifest is last");
        }
    }

    /// Someone else activates between every read and write.
    struct Contended(World);

    #[async_trait]
    impl Pointers for Contended {
        async fn current(
            &self,
            vendor: &VendorId,
            event_type: &EventType,
        ) -> Result<Option<ActiveMapper>, Fault> {
            self.0.current(vendor, event_type).await
        }

        async fn replace(&self, pointer: &ActiveMapper, seen_revision: u64) -> Result<bool, Fault> {
            let theirs = ActiveMapper {
                bundle: Sha256Hex::of(b"theirs"),
                revision: seen_revision + 1,
                ..pointer.clone()
            };
            assert!(self.0.replace(&theirs, seen_revision).await?);
            self.0.replace(pointer, seen_revision).await
        }
    }

    #[tokio::test]
    async fn a_race_that_does_not_end_is_given_up_in_words() {
        let world = World::new();
        let contended = Contended(world.clone());
        let error = publish(&world, &contended, fake(), bundle(b"one"), &by("me"), Timestamp::UNIX_EPOCH)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ExitKind::Failed);
        assert!(error.to_string().contains("decide anew"), "{error}");
        assert_eq!(world.state().mappers.values().next().unwrap().revision, u64::from(ACTIVATIONS_MAX));
    }

    #[test]
    fn a_bundle_that_is_not_one_is_refused_with_its_file() {
        let refusal = |contract: &str, schema: &str| {
            let folder = folder(contract, schema, b"m");
            let error = Bundle::read(folder.path(), &folder.path().join(MODULE_FILE)).unwrap_err();
            assert_eq!(error.kind(), ExitKind::Usage);
            error.to_string().replace(&folder.path().display().to_string(), "")
        };
        assert!(refusal("vendorId = ", "{}").starts_with("/mapper.toml is not a contract: "));
        assert!(refusal(&CONTRACT.replace("'v'", "'../v'"), "{}").contains("vendorId"));
        assert!(refusal(&format!("{CONTRACT}more = 1\n"), "{}").contains("unknown field"));
        assert!(
            refusal(&CONTRACT.replace("defaultVersion = '1'", "defaultVersion = '2'"), "{}").contains("2")
        );
        assert!(refusal(&CONTRACT.replace("schema/1.json", "../1.json"), "{}").contains(".."));
        assert!(refusal(&CONTRACT.replace("schema/1.json", "schema/2.json"), "{}").contains("schema/2.json"));
        let unknown = refusal(&CONTRACT.replace("InventoryUpdated", "Nothing"), "{}");
        assert!(unknown.contains("known are InventoryUpdated 1.0"), "{unknown}");
        let schema = refusal(CONTRACT, r#"{"type": "nothing"}"#);
        assert!(schema.starts_with("/schema/1.json is not a usable JSON Schema"), "{schema}");
    }

    #[test]
    fn a_folder_without_contract_or_module_says_what_is_missing() {
        let empty = tempfile::tempdir().unwrap();
        let error = Bundle::read(empty.path(), &empty.path().join("x")).unwrap_err();
        assert!(error.to_string().ends_with("has no mapper.toml, so it is not a bundle"), "{error}");
        let error = module_path(empty.path()).unwrap_err();
        assert!(error.hint().unwrap().contains("cargo xtask build"));
    }

    #[test]
    fn a_built_module_is_found_above_the_bundle() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mappers-wasm/acme");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(root.path().join("target/mappers")).unwrap();
        let built = root.path().join("target/mappers/acme.wasm");
        std::fs::write(&built, b"m").unwrap();
        assert_eq!(module_path(&folder).unwrap(), std::fs::canonicalize(built).unwrap());
    }

    #[test]
    fn a_module_beyond_the_bound_is_not_read() {
        let folder = folder(CONTRACT, "{}", &vec![0; usize::try_from(MODULE_BYTES_MAX).unwrap() + 1]);
        let error = Bundle::read(folder.path(), &folder.path().join(MODULE_FILE)).unwrap_err();
        assert!(error.to_string().contains("more than 2097152"), "{error}");
    }

    #[test]
    fn the_bundles_of_this_repository_can_be_read() {
        let mappers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappers-wasm");
        for name in ["vendor-a-inventory", "shopify-orders"] {
            let folder = folder(CONTRACT, "{}", b"m");
            let bundle = Bundle::read(&mappers.join(name), &folder.path().join(MODULE_FILE)).unwrap();
            assert!(bundle.files.len() >= 2, "{name}");
        }
    }
}

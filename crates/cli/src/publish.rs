//! Publishing a mapper: from a bundle's folder to immutable objects named by digest, signed native code, and the pointer that
//! makes them active.
//!
//! Invariants: nothing is stored before everything was checked; the manifest is stored after the files that it names, signed
//! statements after the manifest, the pointer written after those; a pointer is replaced only by who has seen it. Used by
//! `sluice mapper publish` and by `sluice dev --examples`.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use sluice_core::bundle::{
    Build, ChangeKind, Decision, FileRef, MODULE_FILE, SignedBuild, blob_key, build_key, manifest_key,
};
use sluice_core::contract::CanonicalRef;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::{BundleStore, MapperPointers};
use sluice_core::{Code, Fault};
use sluice_mapper_host::TargetSpec;

mod folder;

use sluice_ops::bundles::{published_file, published_manifest};
use sluice_ops::pointer::{self, Activated, Replaced};

use crate::error::CliError;
use crate::signing::Signer;

pub use folder::{
    Bundle, CONTRACT_FILE, FIXTURES_FOLDER, TEXT_BYTES_MAX, contract_of, module_path, read_inside,
};

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
    /// The native code that was compiled and signed now; none where it was there already.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NativeRef {
    /// For which kind of machine.
    pub target: String,
    /// Which hosts may load it.
    pub fingerprint: String,
    /// The code.
    #[serde(flatten)]
    pub file: FileRef,
    /// The key that signed for it.
    pub key_id: Sha256Hex,
}

impl NativeRef {
    /// In one line.
    pub fn text(&self) -> String {
        format!("{} bytes for {}, signed by {}", self.file.bytes, self.target, &self.key_id.as_str()[..12])
    }
}

impl From<SignedBuild> for NativeRef {
    fn from(signed: SignedBuild) -> Self {
        let Build { fingerprint, target, native, .. } = signed.build;
        Self { target, fingerprint, file: native, key_id: signed.key_id }
    }
}

/// Turns modules into native code for the hosts that will run them.
pub trait Compiler: Send + Sync {
    /// The hosts, by fingerprint.
    fn fingerprints(&self) -> Vec<String>;
    /// Inspects and compiles a module for these fingerprints; the error is why it is refused.
    fn compile(&self, module: &[u8], fingerprints: &[String]) -> Result<Vec<Native>, String>;
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

    fn compile(&self, module: &[u8], fingerprints: &[String]) -> Result<Vec<Native>, String> {
        let targets = Self::targets();
        let wanted = targets.iter().filter(|target| fingerprints.contains(&target.fingerprint().to_string()));
        let native = wanted.map(|target| {
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

/// What publishing works with.
#[derive(Clone)]
pub struct Tools<'a> {
    /// The mappers bucket.
    pub store: &'a dyn BundleStore,
    /// The vendors table.
    pub pointers: &'a dyn MapperPointers,
    /// Makes native code.
    pub compiler: Arc<dyn Compiler>,
    /// Answers for it.
    pub signer: &'a dyn Signer,
}

/// Publishes a bundle, then activates it. Compiles only what is not there yet.
pub async fn publish(
    tools: &Tools<'_>,
    bundle: Bundle,
    activation: &Activation,
    now: Timestamp,
) -> Result<Published, CliError> {
    let manifest = bundle.manifest();
    let (encoded, digest) = manifest.encode();
    let contract = &manifest.contract;
    let mut published = Published {
        vendor_id: contract.vendor_id.clone(),
        event_type: contract.event_type.clone(),
        canonical: contract.canonical.clone(),
        bundle: digest.clone(),
        module: FileRef::of(&bundle.module()),
        native: Vec::new(),
        outcome: Outcome::Published,
        revision: None,
        replaced: None,
        in_effect_within_seconds: None,
    };
    if let Activation::OwnOnly { who, .. } = activation
        && let Some(held) = tools.pointers.current(&contract.vendor_id, &contract.event_type).await?
        && (held.activated_by != *who || held.canary.is_some())
    {
        return Ok(Published {
            outcome: Outcome::Kept,
            revision: Some(held.revision),
            bundle: held.bundle,
            ..published
        });
    }
    let native =
        compiled(tools, &digest, bundle.module()).await?.map_err(|refusal| CliError::InvalidFile {
            path: bundle.module_path.clone(),
            problem: format!("is not a module that may be published: {refusal}"),
            hint: None,
        })?;
    if !contains(tools.store, &manifest_key(&digest)).await? {
        for bytes in bundle.files.into_values() {
            tools.store.put_if_absent(&blob_key(&Sha256Hex::of(&bytes)), bytes).await?;
        }
        tools.store.put_if_absent(&manifest_key(&digest), encoded.into()).await?;
    }
    published.native = store_native(tools, &digest, native).await?;

    let (who, reason, own_only) = match activation {
        Activation::None => return Ok(published),
        Activation::By { who, reason } => (who, reason, false),
        Activation::OwnOnly { who, reason } => (who, reason, true),
    };
    let decision = Decision { at: now, by: who.clone(), reason: reason.clone(), forced: None };
    let kept = |held: &sluice_core::bundle::ActiveMapper| own_only && held.activated_by != *who;
    let activated =
        pointer::activate(tools.pointers, ChangeKind::Activate, &digest, contract, &decision, kept).await?;
    match activated {
        Activated::Done { revision, replaced } => {
            published.outcome = Outcome::Activated;
            published.revision = Some(revision);
            published.replaced = replaced;
            published.in_effect_within_seconds = Some(sluice_aws::vendors::CACHE_SECONDS);
        }
        Activated::Unchanged { revision } => {
            published.outcome = Outcome::Unchanged;
            published.revision = Some(revision);
        }
        Activated::Kept { held } => {
            published.outcome = Outcome::Kept;
            published.revision = Some(held.revision);
            published.bundle = held.bundle;
        }
    }
    Ok(published)
}

/// Compiles a published bundle for the hosts of this program, where that has not been done: the new code is added, and nothing
/// else changes.
pub async fn recompile(tools: &Tools<'_>, bundle: &Sha256Hex) -> Result<Vec<NativeRef>, CliError> {
    let manifest = published_manifest(tools.store, bundle).await?;
    let module = manifest
        .files
        .get(MODULE_FILE)
        .ok_or_else(|| CliError::Failed(format!("the bundle {bundle} has no {MODULE_FILE}")))?;
    let module = published_file(tools.store, module).await?;
    let native = compiled(tools, bundle, module).await?.map_err(|refusal| {
        CliError::Failed(format!("the module of the bundle {bundle} may not run in this version: {refusal}"))
    })?;
    store_native(tools, bundle, native).await
}

/// Native code for the hosts that have none signed by this signer yet; the inner error is why the module is refused.
async fn compiled(
    tools: &Tools<'_>,
    bundle: &Sha256Hex,
    module: Bytes,
) -> Result<Result<Vec<Native>, String>, CliError> {
    let mut missing = Vec::new();
    for fingerprint in tools.compiler.fingerprints() {
        let key = build_key(bundle, &fingerprint, &tools.signer.key_id());
        if !contains(tools.store, &key).await? {
            missing.push(fingerprint);
        }
    }
    if missing.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let compiler = Arc::clone(&tools.compiler);
    let compiling = tokio::task::spawn_blocking(move || compiler.compile(&module, &missing));
    compiling.await.map_err(|error| CliError::Failed(format!("the compiler stopped: {error}")))
}

/// Stores code, and then the signed statement that it is this bundle's.
async fn store_native(
    tools: &Tools<'_>,
    bundle: &Sha256Hex,
    native: Vec<Native>,
) -> Result<Vec<NativeRef>, CliError> {
    let mut stored = Vec::new();
    for native in native {
        let file = FileRef::of(&native.bytes);
        tools.store.put_if_absent(&blob_key(&file.sha256), native.bytes).await?;
        let build = Build {
            bundle: bundle.clone(),
            fingerprint: native.fingerprint,
            target: native.target,
            native: file,
        };
        let signed = tools.signer.sign(build).await?;
        let key = build_key(bundle, &signed.build.fingerprint, &signed.key_id);
        tools.store.put_if_absent(&key, signed.encode().into()).await?;
        stored.push(signed.into());
    }
    Ok(stored)
}

async fn contains(store: &dyn BundleStore, key: &str) -> Result<bool, Fault> {
    match store.get(key).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.code == Code::BundleMissing => Ok(false),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use std::path::Path;

    use async_trait::async_trait;
    use p256::ecdsa::SigningKey;
    use sluice_core::bundle::{ActiveMapper, Arm, CanaryCounts, MapperChange, builds_prefix};
    use sluice_core::testing::{Failure, World};

    use super::folder::MODULE_BYTES_MAX;
    use super::*;
    use crate::error::ExitKind;
    use crate::signing::FileSigner;
    use sluice_ops::pointer::TRIES_MAX;

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

        fn compile(&self, module: &[u8], fingerprints: &[String]) -> Result<Vec<Native>, String> {
            if module == b"hostile" {
                return Err("it imports".into());
            }
            let native = fingerprints.iter().map(|host| Native {
                target: format!("{host}-triple"),
                fingerprint: host.clone(),
                bytes: Bytes::from([module, b"-", host.as_bytes()].concat()),
            });
            Ok(native.collect())
        }
    }

    fn fake() -> Arc<dyn Compiler> {
        Arc::new(Fake(&["host"]))
    }

    fn signer(number: u8) -> FileSigner {
        FileSigner::new(SigningKey::from_slice(&[number; 32]).unwrap()).unwrap()
    }

    fn tools<'a>(world: &'a World, signer: &'a FileSigner) -> Tools<'a> {
        Tools { store: world, pointers: world, compiler: fake(), signer }
    }

    fn by(who: &str) -> Activation {
        Activation::By { who: who.into(), reason: "r".into() }
    }

    fn own_only(who: &str) -> Activation {
        Activation::OwnOnly { who: who.into(), reason: "r".into() }
    }

    async fn published(world: &World, module: &[u8], activation: &Activation) -> Published {
        let signer = signer(1);
        publish(&tools(world, &signer), bundle(module), activation, Timestamp::UNIX_EPOCH).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_holds_the_digest_can_check_all_of_it() {
        let world = World::new();
        let done = published(&world, b"one", &by("me")).await;
        assert_eq!((done.outcome, done.revision, &done.replaced), (Outcome::Activated, Some(1), &None));
        let state = world.state();
        let encoded = &state.bundles[&manifest_key(&done.bundle)];
        assert_eq!(Sha256Hex::of(encoded), done.bundle);
        let manifest: sluice_core::bundle::Manifest = serde_json::from_slice(encoded).unwrap();
        let files: Vec<&str> = manifest.files.keys().map(String::as_str).collect();
        assert_eq!(files, [MODULE_FILE, "schema/1.json"]);
        for file in manifest.files.values() {
            let bytes = &state.bundles[&blob_key(&file.sha256)];
            assert_eq!(FileRef::of(bytes), *file);
        }
        let signer = signer(1);
        let statement = &state.bundles[&build_key(&done.bundle, "host", &signer.key_id())];
        let signed: SignedBuild = serde_json::from_slice(statement).unwrap();
        signer.trust().verify(&signed).unwrap();
        assert_eq!((&signed.build.bundle, &signed.build.native), (&done.bundle, &FileRef::of(b"one-host")));
        assert_eq!(&state.bundles[&blob_key(&signed.build.native.sha256)][..], b"one-host");
        assert_eq!(state.bundles.len(), 5, "manifest, module, schema, native code, statement");
        let changes: Vec<_> =
            state.mapper_changes.iter().map(|it| (it.kind, it.by.as_str(), it.to.clone())).collect();
        assert_eq!(changes, [(ChangeKind::Activate, "me", done.bundle.clone())]);
        let pointer = &state.mappers[&(done.vendor_id.clone(), done.event_type.clone())];
        assert_eq!((&pointer.bundle, &pointer.contract), (&done.bundle, &manifest.contract));
    }

    #[tokio::test]
    async fn a_module_that_may_not_run_is_not_stored() {
        let world = World::new();
        let signer = signer(1);
        let refused =
            publish(&tools(&world, &signer), bundle(b"hostile"), &by("me"), Timestamp::UNIX_EPOCH).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ExitKind::Usage);
        assert!(
            error.to_string().ends_with("mapper.wasm is not a module that may be published: it imports"),
            "{error}"
        );
        assert!(world.state().bundles.is_empty());
    }

    #[tokio::test]
    async fn a_new_host_is_compiled_for_and_the_bundle_keeps_its_name() {
        let world = World::new();
        let first = published(&world, b"one", &by("me")).await;
        let signer = signer(1);
        let both: Arc<dyn Compiler> = Arc::new(Fake(&["host", "next"]));
        let newer = Tools { compiler: both, ..tools(&world, &signer) };
        let added = recompile(&newer, &first.bundle).await.unwrap();
        let added: Vec<&str> = added.iter().map(|native| native.fingerprint.as_str()).collect();
        assert_eq!(added, ["next"], "what is there is not compiled again");
        assert_eq!(recompile(&newer, &first.bundle).await.unwrap(), []);
        let again = publish(&newer, bundle(b"one"), &by("me"), Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(
            (again.outcome, again.bundle, again.native),
            (Outcome::Unchanged, first.bundle.clone(), vec![])
        );
        let state = world.state();
        let builds =
            state.bundles.keys().filter(|key| key.starts_with(&builds_prefix(&first.bundle))).count();
        assert_eq!((builds, state.mapper_changes.len()), (2, 1), "side by side, and the pointer untouched");
    }

    #[tokio::test]
    async fn a_new_key_signs_beside_the_old_one() {
        let world = World::new();
        let first = published(&world, b"one", &by("me")).await;
        let next = signer(2);
        let added = recompile(&tools(&world, &next), &first.bundle).await.unwrap();
        assert_eq!(added[0].key_id, next.key_id());
        let error = recompile(&tools(&world, &next), &Sha256Hex::of(b"none")).await.unwrap_err();
        assert_eq!(error.kind(), ExitKind::NotFound);
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
        assert_eq!(world.state().bundles.len(), 5);
    }

    #[test]
    fn real_modules_are_inspected_and_compiled_for_lambda() {
        let error = Cranelift.compile(b"\0asm", &Cranelift.fingerprints()).unwrap_err();
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
        // Is there native code, is there a manifest, two files and the manifest, code and its statement.
        for failing in 0..7 {
            let world = World::new();
            let failures = std::iter::repeat_n(Failure::None, failing).chain([Failure::Before]);
            world.fail_next(failures);
            let signer = signer(1);
            let error = publish(&tools(&world, &signer), bundle(b"one"), &by("me"), Timestamp::UNIX_EPOCH)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ExitKind::Unavailable);
            let state = world.state();
            assert!(state.mappers.is_empty());
            let manifest = state.bundles.keys().any(|key| key.starts_with("bundles/"));
            assert_eq!(manifest, failing > 4, "the manifest is written after the files");
        }
    }

    /// Someone else activates between every read and write.
    struct Contended(World);

    #[async_trait]
    impl MapperPointers for Contended {
        async fn current(
            &self,
            vendor: &VendorId,
            event_type: &EventType,
        ) -> Result<Option<ActiveMapper>, Fault> {
            self.0.current(vendor, event_type).await
        }

        async fn replace(&self, pointer: &ActiveMapper, change: &MapperChange) -> Result<bool, Fault> {
            let theirs = ActiveMapper { bundle: Sha256Hex::of(b"theirs"), ..pointer.clone() };
            assert!(self.0.replace(&theirs, change).await?);
            self.0.replace(pointer, change).await
        }

        async fn history(
            &self,
            vendor: &VendorId,
            event_type: Option<&EventType>,
        ) -> Result<Vec<MapperChange>, Fault> {
            self.0.history(vendor, event_type).await
        }

        async fn count_outcome(
            &self,
            _: &VendorId,
            _: &EventType,
            _: u64,
            _: Arm,
            _: bool,
        ) -> Result<CanaryCounts, Fault> {
            panic!("publishing counts nothing")
        }

        async fn counts(&self, _: &VendorId, _: &EventType, _: u64) -> Result<CanaryCounts, Fault> {
            panic!("publishing counts nothing")
        }
    }

    #[tokio::test]
    async fn a_race_that_does_not_end_is_given_up_in_words() {
        let world = World::new();
        let contended = Contended(world.clone());
        let signer = signer(1);
        let tools = Tools { pointers: &contended, ..tools(&world, &signer) };
        let error = publish(&tools, bundle(b"one"), &by("me"), Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert_eq!(error.kind(), ExitKind::Failed);
        assert!(error.to_string().contains("decide anew"), "{error}");
        assert_eq!(world.state().mappers.values().next().unwrap().revision, u64::from(TRIES_MAX));
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
            assert!(bundle.files.keys().any(|file| file.starts_with("fixtures/")), "{name}");
        }
    }
}

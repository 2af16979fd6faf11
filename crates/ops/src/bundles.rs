//! Published bundles: found by their digests, and checked against them.

use bytes::Bytes;
use sluice_core::Code;
use sluice_core::bundle::{FileRef, Manifest, blob_key, manifest_key};
use sluice_core::digest::Sha256Hex;
use sluice_core::port::BundleStore;

use crate::error::OpsError;

/// A published bundle's manifest, checked against its name.
///
/// # Errors
/// When there is none such, or it was altered, and when the store does not answer.
pub async fn published_manifest(store: &dyn BundleStore, bundle: &Sha256Hex) -> Result<Manifest, OpsError> {
    let bytes = match store.get(&manifest_key(bundle)).await {
        Ok(bytes) => bytes,
        Err(fault) if fault.code == Code::BundleMissing => {
            return Err(OpsError::not_found(format!("no bundle {bundle} has been published"))
                .with_hint("`sluice mapper ls` and `sluice mapper history VENDOR` name bundles"));
        }
        Err(fault) => return Err(fault.into()),
    };
    intact(bundle, &bytes, "manifest")?;
    serde_json::from_slice(&bytes).map_err(|error| {
        OpsError::Failed(format!(
            "the manifest of the bundle {bundle} is not one that this version reads: {error}"
        ))
    })
}

/// A file of a published bundle, checked against its digest.
///
/// # Errors
/// When there is none such, or it was altered, and when the store does not answer.
pub async fn published_file(store: &dyn BundleStore, file: &FileRef) -> Result<Bytes, OpsError> {
    let bytes = store.get(&blob_key(&file.sha256)).await?;
    intact(&file.sha256, &bytes, "file")?;
    Ok(bytes)
}

fn intact(expected: &Sha256Hex, bytes: &[u8], what: &str) -> Result<(), OpsError> {
    if Sha256Hex::of(bytes) == *expected {
        return Ok(());
    }
    Err(OpsError::Failed(format!(
        "the stored {what} {expected} has another digest: it was altered or damaged"
    )))
}

/// The bundle whose digest is `text` or begins with it.
///
/// # Errors
/// When there is none such, or it was altered, and when the store does not answer.
pub async fn resolve(store: &dyn BundleStore, text: &str) -> Result<Sha256Hex, OpsError> {
    if let Ok(digest) = Sha256Hex::try_from(text.to_owned()) {
        return Ok(digest);
    }
    let hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() < DIGEST_PREFIX_MIN || !hexadecimal {
        return Err(OpsError::invalid(format!(
            "{text:?} is neither a folder nor a bundle's digest: expected 64 hexadecimal digits, or the first {DIGEST_PREFIX_MIN} or more"
        )));
    }
    let keys = store.list(&format!("bundles/{text}")).await?;
    let digests = keys.iter().filter_map(|key| key.strip_prefix("bundles/")?.strip_suffix(".json"));
    let mut digests: Vec<Sha256Hex> =
        digests.filter_map(|digest| Sha256Hex::try_from(digest.to_owned()).ok()).collect();
    match (digests.pop(), digests.len()) {
        (Some(digest), 0) => Ok(digest),
        (Some(_), more) => {
            Err(OpsError::invalid(format!("{} bundles begin with {text}: give more digits", more + 1)))
        }
        (None, _) => {
            Err(OpsError::not_found(format!("no bundle whose digest begins with {text} has been published")))
        }
    }
}

/// Fewest digits of a digest that name a bundle.
const DIGEST_PREFIX_MIN: usize = 8;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::testing::World;

    use super::*;
    use crate::error::Kind;

    fn stored(world: &World, name: &str) -> Sha256Hex {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "contract": {"vendorId": "v", "eventType": name,
                "payload": {"defaultVersion": "1", "versions": {"1": "s.json"}},
                "canonical": {"type": "InventoryUpdated", "version": "1.0"}},
            "files": {}
        }))
        .unwrap();
        let (bytes, digest) = manifest.encode();
        world.state().bundles.insert(manifest_key(&digest), bytes.into());
        digest
    }

    #[tokio::test]
    async fn a_bundle_is_named_by_the_beginning_of_its_digest() {
        let world = World::new();
        let first = stored(&world, "one");
        stored(&world, "two");
        assert_eq!(resolve(&world, first.as_str()).await.unwrap(), first);
        assert_eq!(resolve(&world, &first.as_str()[..12]).await.unwrap(), first);
        assert_eq!(resolve(&world, "00000000").await.unwrap_err().kind(), Kind::NotFound);
        for text in ["abc", "not-a-digest", "ABCDEF0123"] {
            assert_eq!(resolve(&world, text).await.unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }

    #[tokio::test]
    async fn a_manifest_that_was_altered_is_not_believed() {
        let world = World::new();
        let digest = stored(&world, "one");
        assert_eq!(published_manifest(&world, &digest).await.unwrap().contract.event_type.as_str(), "one");
        world.state().bundles.insert(manifest_key(&digest), "{}".into());
        let error = published_manifest(&world, &digest).await.unwrap_err();
        assert!(error.to_string().contains("altered"), "{error}");
        let missing = published_manifest(&world, &Sha256Hex::of(b"none")).await.unwrap_err();
        assert_eq!(missing.kind(), Kind::NotFound);
    }
}

//! Who answers for native code: a P-256 key in KMS (of AWS, or of the local cloud), or in a file.
//!
//! Invariant: what is handed out as signed has been verified with the public half, by the very check that `normalize` makes.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, LineEnding};
use sluice_aws::error::fault;
use sluice_core::bundle::{Build, SignatureAlgorithm, SignedBuild};
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::Fault;
use sluice_mapping::TrustKeys;

use crate::cloud::Cloud;
use crate::error::CliError;

/// The alias that both clouds have.
pub const KEY_ALIAS: &str = "alias/sluice-mappers";

/// Where the key is, unless told otherwise: [`KEY_ALIAS`].
pub const KEY_DEFAULT: &str = "kms:alias/sluice-mappers";

/// Where a signing key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A key of KMS, by id, ARN or alias.
    Kms(String),
    /// A file, PKCS#8 in PEM.
    File(PathBuf),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("kms:") {
            Some("") => {
                Err("expected kms:KEY, where KEY is an id, an ARN or an alias such as alias/sluice-mappers"
                    .into())
            }
            Some(key) => Ok(Self::Kms(key.to_owned())),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// Signs builds.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The public half, PEM.
    fn public_pem(&self) -> &str;
    /// The public half, as `normalize` trusts it.
    fn trust(&self) -> &TrustKeys;
    /// ECDSA over SHA-256 of `message`, DER.
    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, CliError>;

    /// SHA-256 of the public half.
    fn key_id(&self) -> Sha256Hex {
        self.trust().ids().next().cloned().unwrap_or_else(|| unreachable!("there is at least one key"))
    }

    /// The statement, signed and verified.
    async fn sign(&self, build: Build) -> Result<SignedBuild, CliError> {
        let signature = STANDARD.encode(self.signature(&build.signed_bytes()).await?);
        let signed = SignedBuild {
            build,
            key_id: self.key_id(),
            algorithm: SignatureAlgorithm::EcdsaSha256,
            signature,
        };
        self.trust().verify(&signed)?;
        Ok(signed)
    }
}

/// The signer that `source` names.
pub async fn signer(cloud: &Cloud, source: &KeySource) -> Result<Box<dyn Signer>, CliError> {
    match source {
        KeySource::Kms(key) => Ok(Box::new(KmsSigner::connect(cloud.kms(), key).await?)),
        KeySource::File(path) => Ok(Box::new(FileSigner::read(path)?)),
    }
}

/// The keys whose signatures a command believes that runs published mappers itself: `MAPPER_TRUST_KEYS`, else the public half
/// of `SLUICE_SIGNING_KEY` or of [`KEY_ALIAS`].
pub async fn trusted(cloud: &Cloud) -> Result<TrustKeys, CliError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    if let Some(pem) = variable("MAPPER_TRUST_KEYS") {
        return TrustKeys::from_pem(&pem)
            .map_err(|error| CliError::usage(format!("MAPPER_TRUST_KEYS: {error}")));
    }
    let source = variable("SLUICE_SIGNING_KEY").unwrap_or_else(|| KEY_DEFAULT.to_owned());
    let source = source.parse().map_err(|error| CliError::usage(format!("SLUICE_SIGNING_KEY: {error}")))?;
    Ok(signer(cloud, &source).await?.trust().clone())
}

struct KmsSigner {
    client: aws_sdk_kms::Client,
    key: String,
    public_pem: String,
    trust: TrustKeys,
}

impl KmsSigner {
    async fn connect(client: aws_sdk_kms::Client, key: &str) -> Result<Self, CliError> {
        let answer = client.get_public_key().key_id(key).send().await.map_err(|error| {
            let fault = fault(&format!("read the public half of the signing key {key}"), error);
            named(fault, key)
        })?;
        let der = answer.public_key.unwrap_or_else(|| Blob::new([]));
        let public_pem = pem(der.as_ref());
        let trust = TrustKeys::from_pem(&public_pem).map_err(|error| {
            CliError::usage(format!("the KMS key {key} cannot sign mappers: {error}"))
                .with_hint("make one with the key spec ECC_NIST_P256 and the key usage SIGN_VERIFY")
        })?;
        Ok(Self { client, key: key.to_owned(), public_pem, trust })
    }
}

/// A key that is not there is the command line's fault, with what to do about it.
fn named(fault: Fault, key: &str) -> CliError {
    if fault.message.contains("NotFoundException") {
        return CliError::not_found(format!("there is no KMS key {key}")).with_hint(
            "the stack makes alias/sluice-mappers; name another with --signing-key kms:KEY, or a file with --signing-key FILE",
        );
    }
    fault.into()
}

#[async_trait]
impl Signer for KmsSigner {
    fn public_pem(&self) -> &str {
        &self.public_pem
    }

    fn trust(&self) -> &TrustKeys {
        &self.trust
    }

    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, CliError> {
        let answer = self
            .client
            .sign()
            .key_id(&self.key)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(|error| fault(&format!("sign with the KMS key {}", self.key), error))?;
        Ok(answer.signature.map(Blob::into_inner).unwrap_or_default())
    }
}

/// A key in a file.
pub struct FileSigner {
    key: SigningKey,
    public_pem: String,
    trust: TrustKeys,
}

impl FileSigner {
    /// Reads PKCS#8 in PEM.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let pem = std::fs::read_to_string(path)
            .map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;
        let invalid = |problem: String| {
            CliError::InvalidFile {
            path: path.to_owned(),
            problem: format!("is not a signing key: {problem}"),
            hint: Some(
                "expected P-256, PKCS#8 in PEM: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE".into(),
            ),
        }
        };
        let key = SecretKey::from_pkcs8_pem(&pem).map_err(|error| invalid(error.to_string()))?;
        Self::new(key.into()).map_err(invalid)
    }

    /// Of a key.
    pub fn new(key: SigningKey) -> Result<Self, String> {
        let public_pem =
            key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| error.to_string())?;
        let trust = TrustKeys::from_pem(&public_pem).map_err(|error| error.to_string())?;
        Ok(Self { key, public_pem, trust })
    }
}

#[async_trait]
impl Signer for FileSigner {
    fn public_pem(&self) -> &str {
        &self.public_pem
    }

    fn trust(&self) -> &TrustKeys {
        &self.trust
    }

    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, CliError> {
        let signature: DerSignature = self.key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

/// DER as PEM (RFC 7468).
fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use p256::pkcs8::EncodePrivateKey as _;
    use sluice_core::bundle::FileRef;

    use super::*;
    use crate::error::ExitKind;

    #[test]
    fn a_key_is_in_kms_or_in_a_file() {
        assert_eq!(KEY_DEFAULT.parse(), Ok(KeySource::Kms("alias/sluice-mappers".into())));
        assert_eq!("a/b.pem".parse(), Ok(KeySource::File("a/b.pem".into())));
        assert!("kms:".parse::<KeySource>().is_err());
    }

    #[tokio::test]
    async fn a_file_signs_what_normalize_believes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        std::fs::write(&path, key.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        let signer = FileSigner::read(&path).unwrap();
        let build = Build {
            bundle: Sha256Hex::of(b"b"),
            fingerprint: "f".into(),
            target: "t".into(),
            native: FileRef::of(b"n"),
        };
        let signed = signer.sign(build).await.unwrap();
        TrustKeys::from_pem(signer.public_pem()).unwrap().verify(&signed).unwrap();
        let der = key.verifying_key().to_public_key_der().unwrap();
        assert_eq!(pem(der.as_bytes()), signer.public_pem());

        std::fs::write(&path, "no key").unwrap();
        let error = FileSigner::read(&path).err().unwrap();
        assert_eq!(error.kind(), ExitKind::Usage);
        assert!(error.hint().unwrap().contains("openssl"), "{error}");
    }
}

//! KMS: one key that signs, for whoever publishes mappers, by KMS's own protocol (AWS JSON 1.1, `TrentService`).
//!
//! The key is made at the first start and lies in the data folder, readable by its owner only. Its public half is what the
//! functions here trust. It answers to every alias and id that begins with `alias/sluice` or is [`KEY_ID`]; there is no other.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arn;
use crate::cloud::BoxError;
use crate::gate::Caller;
use crate::private;
use crate::wire::{self, Protocol, ServiceError};

/// The id of the one key.
const KEY_ID: &str = "00000000-0000-0000-0000-000000000001";
const ALGORITHM: &str = "ECDSA_SHA_256";
/// Most bytes that KMS signs as they are ("Sign", KMS API Reference).
const MESSAGE_BYTES_MAX: usize = 4_096;

/// The service.
pub(crate) struct Kms {
    key: SigningKey,
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kms")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SignRequest {
    key_id: String,
    message: String,
    #[serde(default)]
    message_type: Option<String>,
    signing_algorithm: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyRequest {
    key_id: String,
}

impl Kms {
    /// Reads the key, or makes one.
    pub(crate) fn open(path: &Path) -> Result<Self, BoxError> {
        if let Some(pem) = read(path)? {
            let key = SecretKey::from_pkcs8_pem(&pem)
                .map_err(|error| format!("it is no P-256 key in PEM: {error}"))?;
            return Ok(Self { key: key.into() });
        }
        let key = generate();
        let pem = key.to_pkcs8_pem(LineEnding::LF)?;
        let mut file = private::create_new(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        Ok(Self { key })
    }

    /// The public half, PEM.
    pub(crate) fn public_pem(&self) -> Result<String, BoxError> {
        Ok(self.key.verifying_key().to_public_key_pem(LineEnding::LF)?)
    }

    /// One call; `operation` is the target without its prefix.
    pub(crate) fn handle(&self, caller: Caller, operation: &str, body: &[u8]) -> Response<Bytes> {
        let result = match operation {
            "Sign" if caller != Caller::Operator => Err(ServiceError::client(
                "AccessDeniedException",
                "the functions may not sign: what they run is what publishers have signed",
            )),
            "Sign" => wire::parse(body).and_then(|request| self.sign(&request)),
            "GetPublicKey" => wire::parse(body).and_then(|request| self.public_key(&request)),
            _ => {
                let message = format!("the local KMS has no {operation}");
                Err(ServiceError::client("UnknownOperationException", message))
            }
        };
        wire::respond(Protocol::Json11, result)
    }

    fn sign(&self, request: &SignRequest) -> Result<Value, ServiceError> {
        known(&request.key_id)?;
        let invalid = |message: String| ServiceError::client("ValidationException", message);
        if request.signing_algorithm != ALGORITHM {
            return Err(invalid(format!("the key signs by {ALGORITHM}, not {}", request.signing_algorithm)));
        }
        let message = STANDARD.decode(&request.message).map_err(|error| invalid(error.to_string()))?;
        let signature: DerSignature = match request.message_type.as_deref().unwrap_or("RAW") {
            "RAW" if message.len() <= MESSAGE_BYTES_MAX => self.key.sign(&message),
            "RAW" => {
                return Err(invalid(format!(
                    "the message has {} bytes, more than {MESSAGE_BYTES_MAX}",
                    message.len()
                )));
            }
            "DIGEST" if message.len() == 32 => {
                self.key.sign_prehash(&message).map_err(|error| invalid(error.to_string()))?
            }
            "DIGEST" => return Err(invalid("a SHA-256 digest has 32 bytes".to_owned())),
            other => return Err(invalid(format!("the message type {other} is not one of RAW and DIGEST"))),
        };
        let signature = STANDARD.encode(signature.as_bytes());
        Ok(json!({"KeyId": key_arn(), "Signature": signature, "SigningAlgorithm": ALGORITHM}))
    }

    fn public_key(&self, request: &KeyRequest) -> Result<Value, ServiceError> {
        known(&request.key_id)?;
        let der = self
            .key
            .verifying_key()
            .to_public_key_der()
            .map_err(|error| ServiceError::internal("KMSInternalException", error))?;
        Ok(json!({
            "KeyId": key_arn(),
            "PublicKey": STANDARD.encode(der.as_bytes()),
            "KeySpec": "ECC_NIST_P256",
            "CustomerMasterKeySpec": "ECC_NIST_P256",
            "KeyUsage": "SIGN_VERIFY",
            "SigningAlgorithms": [ALGORITHM],
        }))
    }
}

fn read(path: &Path) -> Result<Option<String>, BoxError> {
    match std::fs::read_to_string(path) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn generate() -> SigningKey {
    loop {
        // Zero and what is beyond the curve's order are no keys: one in 2^32 draws.
        if let Ok(key) = SigningKey::from_slice(&rand::random::<[u8; 32]>()) {
            return key;
        }
    }
}

fn key_arn() -> String {
    format!("arn:aws:kms:{}:{}:key/{KEY_ID}", arn::REGION, arn::ACCOUNT)
}

fn known(key_id: &str) -> Result<(), ServiceError> {
    let name = key_id.rsplit_once(':').map_or(key_id, |(_, name)| name);
    let name = name.strip_prefix("key/").unwrap_or(name);
    if name == KEY_ID || name.starts_with("alias/sluice") {
        return Ok(());
    }
    let message = format!("the local cloud has no key {key_id}; it has alias/sluice-mappers");
    Err(ServiceError::client("NotFoundException", message))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use p256::ecdsa::signature::Verifier as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        let made = Kms::open(&path).unwrap().public_pem().unwrap();
        assert_eq!(Kms::open(&path).unwrap().public_pem().unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "no key").unwrap();
        assert!(Kms::open(&path).unwrap_err().to_string().contains("no P-256 key"));
    }

    #[test]
    fn what_it_signs_verifies_by_the_key_that_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let kms = Kms::open(&folder.path().join("key")).unwrap();
        let body = |value: &Value| value.to_string().into_bytes();
        let request = json!({"KeyId": "alias/sluice-mappers", "Message": STANDARD.encode(b"message"), "SigningAlgorithm": ALGORITHM});
        let answer = kms.handle(Caller::Operator, "Sign", &body(&request));
        assert_eq!(answer.status(), 200);
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        let der = STANDARD.decode(answer["Signature"].as_str().unwrap()).unwrap();
        kms.key.verifying_key().verify(b"message", &DerSignature::from_bytes(&der).unwrap()).unwrap();

        for (member, value) in [
            ("KeyId", "alias/other"),
            ("SigningAlgorithm", "ECDSA_SHA_384"),
            ("Message", "%"),
            ("MessageType", "DIGEST"),
        ] {
            let mut wrong = request.clone();
            wrong[member] = value.into();
            assert_eq!(kms.handle(Caller::Operator, "Sign", &body(&wrong)).status(), 400, "{member}");
        }
        let theirs = kms.handle(Caller::Functions, "Sign", &body(&request));
        assert_eq!(theirs.status(), 400, "functions run what is signed, and sign nothing");
        let shown = kms.handle(Caller::Operator, "GetPublicKey", &body(&json!({"KeyId": KEY_ID})));
        assert_eq!(shown.status(), 200);
        assert_eq!(kms.handle(Caller::Operator, "Decrypt", b"{}").status(), 400);
    }
}

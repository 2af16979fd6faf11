//! Whom `normalize` believes about native code: public keys, and the check of a [`SignedBuild`] against them.
//!
//! Loading native code is running it, so nothing is loaded on the word of a store. A statement counts only if a key that was
//! given to this process at its start has signed its exact bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use sluice_core::bundle::{SignatureAlgorithm, SignedBuild};
use sluice_core::digest::Sha256Hex;
use sluice_core::{Code, Fault};

/// Most keys trusted at once: the present one, the next one, and two of grace. Each costs a look-up for a bundle's first event.
pub const KEYS_MAX: usize = 4;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The public halves of the keys that may sign builds: P-256, in the order in which they were given.
#[derive(Debug, Clone)]
pub struct TrustKeys(Vec<(Sha256Hex, VerifyingKey)>);

/// Keys that are none.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrustKeys {
    /// No PEM block.
    #[error("there is no public key in it: expected PEM, \"{BEGIN}\" … (`sluice mapper key` prints it)")]
    None,
    /// A block that is no P-256 public key.
    #[error("the public key number {0} is not a P-256 key in PEM (SubjectPublicKeyInfo): {1}")]
    Key(usize, String),
    /// More than [`KEYS_MAX`].
    #[error("there are {0} public keys in it, at most {KEYS_MAX} are trusted at once")]
    TooMany(usize),
}

impl TrustKeys {
    /// One or more PEM blocks. Line ends may be spelt `\n`, as environment variables often have them.
    pub fn from_pem(text: &str) -> Result<Self, InvalidTrustKeys> {
        let text = text.replace("\\n", "\n");
        let mut keys: Vec<(Sha256Hex, VerifyingKey)> = Vec::new();
        for (index, rest) in text.split(BEGIN).skip(1).enumerate() {
            let wrong = |why: String| InvalidTrustKeys::Key(index + 1, why);
            let (body, _) = rest.split_once(END).ok_or_else(|| wrong(format!("\"{END}\" is missing")))?;
            let body: String = body.split_whitespace().collect();
            let der = STANDARD.decode(body).map_err(|error| wrong(error.to_string()))?;
            let key = VerifyingKey::from_public_key_der(&der).map_err(|error| wrong(error.to_string()))?;
            let id = key_id(&key).map_err(|error| wrong(error.to_string()))?;
            if !keys.iter().any(|(known, _)| *known == id) {
                keys.push((id, key));
            }
        }
        match keys.len() {
            0 => Err(InvalidTrustKeys::None),
            found if found > KEYS_MAX => Err(InvalidTrustKeys::TooMany(found)),
            _ => Ok(Self(keys)),
        }
    }

    /// Their ids, the most trusted first.
    pub fn ids(&self) -> impl Iterator<Item = &Sha256Hex> {
        self.0.iter().map(|(id, _)| id)
    }

    /// Whether one of the keys has signed this statement. The statement may still be about another bundle.
    ///
    /// # Errors
    /// [`Code::BundleKeyUnknown`] and [`Code::BundleSignatureInvalid`].
    pub fn verify(&self, signed: &SignedBuild) -> Result<(), Fault> {
        let Some((_, key)) = self.0.iter().find(|(id, _)| *id == signed.key_id) else {
            let message = format!(
                "the native code of the bundle {} is signed by the key {}, which is not trusted here",
                signed.build.bundle, signed.key_id
            );
            return Err(Fault::new(Code::BundleKeyUnknown, message));
        };
        let invalid = || {
            let message = format!(
                "the signature of the bundle {}'s native code by the key {} does not hold: it was altered",
                signed.build.bundle, signed.key_id
            );
            Fault::new(Code::BundleSignatureInvalid, message)
        };
        let SignatureAlgorithm::EcdsaSha256 = signed.algorithm;
        let der = STANDARD.decode(&signed.signature).map_err(|error| invalid().with_source(error))?;
        let signature = DerSignature::from_bytes(&der).map_err(|_| invalid())?;
        key.verify(&signed.build.signed_bytes(), &signature).map_err(|_| invalid())
    }
}

/// SHA-256 of the key in DER (`SubjectPublicKeyInfo`).
fn key_id(key: &VerifyingKey) -> p256::pkcs8::spki::Result<Sha256Hex> {
    key.to_public_key_der().map(|der| Sha256Hex::of(der.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;
    use p256::pkcs8::LineEnding;
    use sluice_core::bundle::{Build, FileRef};

    use super::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::from_slice(&[number; 32]).unwrap()
    }

    fn pem(key: &SigningKey) -> String {
        key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    fn signed(by: &SigningKey) -> SignedBuild {
        let build = Build {
            bundle: Sha256Hex::of(b"bundle"),
            fingerprint: "f".repeat(64),
            target: "t".into(),
            native: FileRef::of(b"native"),
        };
        let signature: DerSignature = by.sign(&build.signed_bytes());
        let key_id = key_id(by.verifying_key()).unwrap();
        let signature = STANDARD.encode(signature.as_bytes());
        SignedBuild { build, key_id, algorithm: SignatureAlgorithm::EcdsaSha256, signature }
    }

    #[test]
    fn a_statement_holds_by_a_trusted_key_and_only_as_it_was_signed() {
        let (old, new) = (key(1), key(2));
        let trust = TrustKeys::from_pem(&format!("{}\n{}", pem(&old), pem(&new))).unwrap();
        trust.verify(&signed(&old)).unwrap();
        trust.verify(&signed(&new)).unwrap();

        assert_eq!(trust.verify(&signed(&key(3))).unwrap_err().code, Code::BundleKeyUnknown);
        let impostor = SignedBuild { key_id: signed(&old).key_id, ..signed(&key(3)) };
        assert_eq!(trust.verify(&impostor).unwrap_err().code, Code::BundleSignatureInvalid);
        let genuine = signed(&old);
        let mut other_code = genuine.clone();
        other_code.build.native = FileRef::of(b"other");
        let mut other_bundle = genuine.clone();
        other_bundle.build.bundle = Sha256Hex::of(b"other");
        let mut other_host = genuine.clone();
        other_host.build.fingerprint = "0".repeat(64);
        for altered in [
            other_code,
            other_bundle,
            other_host,
            SignedBuild { signature: String::new(), ..genuine.clone() },
            SignedBuild { signature: "%".into(), ..genuine.clone() },
            SignedBuild { signature: STANDARD.encode([0x30, 6, 2, 1, 0, 2, 1, 0]), ..genuine },
        ] {
            assert_eq!(trust.verify(&altered).unwrap_err().code, Code::BundleSignatureInvalid, "{altered:?}");
        }
    }

    #[test]
    fn keys_that_are_none_are_refused_in_words() {
        let said = |text: &str| TrustKeys::from_pem(text).unwrap_err().to_string();
        assert!(said("").contains("no public key"), "{}", said(""));
        assert!(said("-----BEGIN PUBLIC KEY-----\nAAAA").contains("is missing"));
        assert!(
            said("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
                .starts_with("the public key number 1")
        );
        let many: String = (1..=5).map(|number| pem(&key(number))).collect();
        assert!(said(&many).contains("there are 5"));
        let twice = format!("{}{}", pem(&key(1)), pem(&key(1)).replace('\n', "\\n"));
        assert_eq!(TrustKeys::from_pem(&twice).unwrap().ids().count(), 1);
    }
}

//! Signing by the Standard Webhooks scheme (standard-webhooks/spec): HMAC-SHA256 over
//! `<webhook-id>.<webhook-timestamp>.<body>`, on the exact bytes that are sent.
//!
//! The crate `standardwebhooks` signs UTF-8 only, and a gzip body is none. It is the oracle in the tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Header with the message's id.
pub const HEADER_ID: &str = "webhook-id";
/// Header with the time of sending, in seconds since 1970.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signature.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

const PREFIX: &str = "whsec_";

/// Bytes of a secret that is made here; the specification asks for 24 to 64.
const SECRET_BYTES: usize = 24;

/// Not a secret of the scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is {PREFIX} and base64 (Standard Webhooks)")]
pub struct InvalidSecret;

/// A secret that signs.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl std::str::FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if key.is_empty() { Err(InvalidSecret) } else { Ok(Self(key)) }
    }
}

impl Secret {
    /// Value of the header `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|error| unreachable!("HMAC takes a key of any length: {error}"));
        for part in [id.as_bytes(), b".", timestamp_seconds.to_string().as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// A new secret as text.
    pub fn generate() -> String {
        format!("{PREFIX}{}", STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn signatures_are_those_of_the_reference_library() {
        let secret: Secret = SECRET.parse().unwrap();
        let oracle = standardwebhooks::Webhook::new(SECRET).unwrap();
        for body in ["", "{}", r#"{"é":"\u00e9"}"#] {
            let expected = oracle.sign("msg_1", 1_795_255_200, body.as_bytes()).unwrap();
            assert_eq!(secret.sign("msg_1", 1_795_255_200, body.as_bytes()), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_signed_too() {
        let secret: Secret = SECRET.parse().unwrap();
        assert_ne!(secret.sign("m", 1, b"\xff"), secret.sign("m", 1, b"\xfe"));
    }

    #[test]
    fn what_is_generated_can_be_used_and_the_rest_is_refused() {
        assert_ne!(Secret::generate(), Secret::generate());
        assert!(Secret::generate().parse::<Secret>().is_ok());
        for bad in ["", "whsec_", "C2FVsBQIhrscChlQIMV", "whsec_%%%"] {
            assert_eq!(bad.parse::<Secret>().unwrap_err(), InvalidSecret, "{bad:?}");
        }
        assert_eq!(format!("{:?}", SECRET.parse::<Secret>().unwrap()), "Secret(…)");
    }
}

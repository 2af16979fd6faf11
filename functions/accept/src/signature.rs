//! The Standard Webhooks scheme (standard-webhooks/spec, "Verifying webhook authenticity"): HMAC-SHA256 over
//! `<webhook-id>.<webhook-timestamp>.<body>`, on the exact bytes as sent.
//!
//! The crate `standardwebhooks` reads the system's clock and signs UTF-8 only; a gzip body is neither a time machine nor UTF-8.
//! It is the oracle in the tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sluice_core::intake::Request;

/// How far the signer's clock may be from ours, in seconds (the specification's recommendation).
pub(crate) const TOLERANCE_SECONDS: i64 = 300;

/// Most signatures looked at in one header.
const SIGNATURES_MAX: usize = 10;

/// Why a signature does not hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("the header {0} is missing: this vendor's requests must be signed (Standard Webhooks)")]
    Missing(&'static str),
    #[error("the header webhook-timestamp must be a whole number of seconds since 1970")]
    TimestampMalformed,
    #[error(
        "webhook-timestamp is {0} s behind our clock, at most {TOLERANCE_SECONDS} s are allowed: sign each try anew and check the clock"
    )]
    Stale(i64),
    #[error(
        "webhook-timestamp is {0} s ahead of our clock, at most {TOLERANCE_SECONDS} s are allowed: check the clock"
    )]
    Future(i64),
    #[error(
        "no signature in webhook-signature matches the body: sign the exact bytes that are sent, with a secret that is in force"
    )]
    Mismatch,
}

/// Checks the request's signature against each secret in force. A secret that is not base64 matches nothing.
pub(crate) fn verify(
    request: &Request,
    body: &[u8],
    secrets: &[String],
    now: sluice_core::jiff::Timestamp,
) -> Result<(), SignatureError> {
    let header = |name: &'static str| {
        request.header(name).filter(|value| !value.is_empty()).ok_or(SignatureError::Missing(name))
    };
    let id = header("webhook-id")?;
    let timestamp_text = header("webhook-timestamp")?;
    let signatures = header("webhook-signature")?;
    let timestamp: i64 = timestamp_text.parse().map_err(|_| SignatureError::TimestampMalformed)?;
    let behind_seconds = now.as_second().saturating_sub(timestamp);
    if behind_seconds > TOLERANCE_SECONDS {
        return Err(SignatureError::Stale(behind_seconds));
    }
    if behind_seconds < -TOLERANCE_SECONDS {
        return Err(SignatureError::Future(behind_seconds.saturating_neg()));
    }
    let claimed: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|entry| entry.strip_prefix("v1,"))
        .take(SIGNATURES_MAX)
        .filter_map(|signature| STANDARD.decode(signature).ok())
        .collect();
    for secret in secrets {
        let Ok(key) = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)) else { continue };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { continue };
        for part in [id.as_bytes(), b".", timestamp_text.as_bytes(), b".", body] {
            mac.update(part);
        }
        // `verify_slice` compares in constant time.
        if claimed.iter().any(|signature| mac.clone().verify_slice(signature).is_ok()) {
            return Ok(());
        }
    }
    Err(SignatureError::Mismatch)
}

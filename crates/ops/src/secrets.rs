//! API keys and webhook secrets: new ones, and what can be one. How a secret signs is
//! `sluice_core::signature`'s to say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sluice_core::signature::{InvalidSecret, STANDARD_PREFIX, StandardSecret};

/// Bytes of a secret that is made here; the specification of Standard Webhooks asks for 24 to 64.
const SECRET_BYTES: usize = 24;

/// Longest API key, in characters.
const KEY_CHARS_MAX: usize = 256;

/// A new secret of Standard Webhooks as text.
pub fn generate_secret() -> String {
    StandardSecret::text_of(&rand::random::<[u8; SECRET_BYTES]>())
}

/// A new API key: 192 random bits.
pub fn new_key() -> String {
    format!("slk_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>()))
}

/// A key must fit a header.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("an API key has 1 to {KEY_CHARS_MAX} visible ASCII characters"));
    }
    Ok(())
}

/// A secret must be one that `accept` can verify with: of Standard Webhooks, or the key of a
/// vendor's own scheme, verbatim.
///
/// # Errors
/// What is wrong with it.
pub fn check_secret(secret: &str) -> Result<(), String> {
    if !secret.starts_with(STANDARD_PREFIX) {
        let fits =
            (1..=KEY_CHARS_MAX).contains(&secret.len()) && secret.chars().all(|c| c.is_ascii_graphic());
        let wrong = || {
            format!(
                "a secret is whsec_… (Standard Webhooks), or 1 to {KEY_CHARS_MAX} visible ASCII characters"
            )
        };
        return if fits { Ok(()) } else { Err(wrong()) };
    }
    secret.parse::<StandardSecret>().map(drop).map_err(|error: InvalidSecret| error.to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn what_is_generated_can_be_used_and_never_comes_twice() {
        assert_ne!(generate_secret(), generate_secret());
        assert!(generate_secret().parse::<StandardSecret>().is_ok());
    }

    #[test]
    fn what_is_made_can_be_used() {
        check_key(&new_key()).unwrap();
        check_secret(&generate_secret()).unwrap();
        assert_ne!(new_key(), new_key());
        for bad in ["", "a b", "é", &"x".repeat(257)] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
        check_secret("shpss_0123456789abcdef").unwrap();
        for bad in ["", "whsec_", "two words", "whsec_%%%"] {
            assert!(check_secret(bad).is_err(), "{bad:?}");
        }
    }
}

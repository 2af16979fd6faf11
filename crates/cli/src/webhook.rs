//! New secrets of Standard Webhooks. What a secret is and how it signs is `sluice_core::signature`'s to say.

use sluice_core::signature::StandardSecret;

/// Bytes of a key that is made here; the specification asks for 24 to 64.
const KEY_BYTES: usize = 24;

/// A new secret as text.
pub fn generate_secret() -> String {
    StandardSecret::text_of(&rand::random::<[u8; KEY_BYTES]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_can_be_used_and_never_comes_twice() {
        assert_ne!(generate_secret(), generate_secret());
        assert!(generate_secret().parse::<StandardSecret>().is_ok());
    }
}

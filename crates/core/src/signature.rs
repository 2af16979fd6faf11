//! What proves a sender: HMAC-SHA256 with a secret of the vendor's, over the exact bytes as sent, by the scheme that the contract names.
//!
//! Standard Webhooks (standard-webhooks/spec, "Verifying webhook authenticity") signs `<webhook-id>.<webhook-timestamp>.<body>`; the others
//! sign the body, Square the notification URL before it, and carry no time: a replayed request of theirs is a duplicate in the ledger.
//! A secret that starts with `whsec_` is base64 and belongs to Standard Webhooks; any other is a key of the other schemes, verbatim.
//!
//! The crate `standardwebhooks` reads the system's clock and signs UTF-8 only; a gzip body is neither a time machine nor UTF-8.
//! It is the oracle in the tests.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::contract::{Encoding, Signature};
use crate::intake::Request;

/// What a secret of Standard Webhooks starts with.
pub const STANDARD_PREFIX: &str = "whsec_";

/// Header of Standard Webhooks with the message's id.
pub const HEADER_ID: &str = "webhook-id";
/// Header of Standard Webhooks with the time of sending, in seconds since 1970.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// Header of Standard Webhooks with the signatures.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// How far the signer's clock may be from ours, in seconds (the specification's recommendation).
const TOLERANCE_SECONDS: i64 = 300;

/// Most signatures looked at in one header.
const SIGNATURES_MAX: usize = 10;

/// Secrets in force at once. As many MACs are computed for every request, so that the time does not tell how many there are.
const SECRETS_MAX: usize = 2;

/// Signs nothing: stands in for a secret that there is not.
const DECOY: &[u8] = b"no vendor has this secret";

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header that the scheme needs.
    #[error("the header {0} is missing: this vendor's requests must be signed")]
    Missing(String),
    /// Which of them counts?
    #[error("the header {0} came more than once: send it once")]
    Repeated(String),
    /// Not a time.
    #[error("the header webhook-timestamp must be a whole number of seconds since 1970")]
    TimestampMalformed,
    /// Too old.
    #[error(
        "webhook-timestamp is {0} s behind our clock, at most {TOLERANCE_SECONDS} s are allowed: sign each try anew and check the clock"
    )]
    Stale(i64),
    /// Too new.
    #[error(
        "webhook-timestamp is {0} s ahead of our clock, at most {TOLERANCE_SECONDS} s are allowed: check the clock"
    )]
    Future(i64),
    /// Nothing matches.
    #[error(
        "no signature in {0} matches the body: sign the exact bytes that are sent, with a secret that is in force"
    )]
    Mismatch(String),
    /// The scheme is none.
    #[error("there is no signature to check")]
    Unsigned,
}

/// Not a secret of Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is {STANDARD_PREFIX} and base64 (Standard Webhooks)")]
pub struct InvalidSecret;

/// A secret of Standard Webhooks: `whsec_` and the key in base64. It is never shown.
#[derive(Clone)]
pub struct StandardSecret(Vec<u8>);

impl std::fmt::Debug for StandardSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StandardSecret(…)")
    }
}

impl std::str::FromStr for StandardSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(STANDARD_PREFIX).ok_or(InvalidSecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if key.is_empty() { Err(InvalidSecret) } else { Ok(Self(key)) }
    }
}

impl StandardSecret {
    /// The text of the secret whose key this is.
    pub fn text_of(key: &[u8]) -> String {
        format!("{STANDARD_PREFIX}{}", STANDARD.encode(key))
    }

    /// Value of the header [`HEADER_SIGNATURE`] for a message with this id, sent at this time.
    pub fn sign(&self, id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
        let mac = mac(&self.0, &standard_parts(id, &timestamp_seconds.to_string(), body));
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// What Standard Webhooks signs.
fn standard_parts<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// Whether any of the secrets is one of Standard Webhooks, so that envelopes must be signed.
pub fn signs_envelopes(secrets: &[String]) -> bool {
    secrets.iter().any(|secret| secret.starts_with(STANDARD_PREFIX))
}

/// Checks the request's signature against each secret in force. A secret that cannot be a key matches nothing.
///
/// The work is the same whether there are secrets or not: a vendor that does not exist cannot be told from one that does.
pub fn verify(
    scheme: &Signature,
    request: &Request,
    body: &[u8],
    secrets: &[String],
    now: Timestamp,
) -> Result<(), SignatureError> {
    match scheme {
        Signature::None => Err(SignatureError::Unsigned),
        Signature::StandardWebhooks => verify_standard(request, body, secrets, now),
        Signature::Shopify | Signature::Woocommerce | Signature::Square { .. } | Signature::Hmac { .. } => {
            BodyMac::of(scheme)
                .map_or(Err(SignatureError::Unsigned), |mac| mac.verify(request, body, secrets))
        }
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Result<&'a str, SignatureError> {
    if request.repeats_header(name) {
        return Err(SignatureError::Repeated(name.to_owned()));
    }
    request
        .header(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| SignatureError::Missing(name.to_owned()))
}

fn verify_standard(
    request: &Request,
    body: &[u8],
    secrets: &[String],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let id = header(request, HEADER_ID)?;
    let timestamp_text = header(request, HEADER_TIMESTAMP)?;
    let signatures = header(request, HEADER_SIGNATURE)?;
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
    let keys =
        secrets.iter().filter_map(|secret| secret.parse().ok()).map(|StandardSecret(key)| Cow::Owned(key));
    if any_matches(keys, &standard_parts(id, timestamp_text, body), &claimed) {
        return Ok(());
    }
    Err(SignatureError::Mismatch(HEADER_SIGNATURE.to_owned()))
}

/// Whether a key gives one of the claimed MACs. Every key is tried, and decoys up to [`SECRETS_MAX`].
fn any_matches<'a>(keys: impl Iterator<Item = Cow<'a, [u8]>>, parts: &[&[u8]], claimed: &[Vec<u8>]) -> bool {
    let keys: Vec<Cow<'_, [u8]>> = keys.collect();
    let decoys = std::iter::repeat_n(DECOY, SECRETS_MAX.saturating_sub(keys.len()));
    let mut matches = false;
    for (key, real) in keys.iter().map(|key| (key.as_ref(), true)).chain(decoys.map(|key| (key, false))) {
        let mac = mac(key, parts);
        // `verify_slice` compares in constant time.
        matches |= claimed.iter().any(|signature| mac.clone().verify_slice(signature).is_ok()) && real;
    }
    matches
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|error| unreachable!("HMAC takes a key of any length: {error}"));
    for part in parts {
        mac.update(part);
    }
    mac
}

/// A MAC over a text before the body, if any, and the body, in one header.
struct BodyMac<'a> {
    header: &'a str,
    encoding: Encoding,
    prefix: &'a str,
    before: &'a str,
}

impl<'a> BodyMac<'a> {
    fn of(scheme: &'a Signature) -> Option<Self> {
        let base64 = |header| Self { header, encoding: Encoding::Base64, prefix: "", before: "" };
        Some(match scheme {
            Signature::Shopify => base64("x-shopify-hmac-sha256"),
            Signature::Woocommerce => base64("x-wc-webhook-signature"),
            Signature::Square { url } => Self { before: url, ..base64("x-square-hmacsha256-signature") },
            Signature::Hmac { header, encoding, prefix } => {
                Self { header, encoding: *encoding, prefix, before: "" }
            }
            Signature::StandardWebhooks | Signature::None => return None,
        })
    }

    fn verify(&self, request: &Request, body: &[u8], secrets: &[String]) -> Result<(), SignatureError> {
        let stated = header(request, self.header);
        let claimed = stated.as_ref().ok().and_then(|text| {
            let text = text.strip_prefix(self.prefix)?;
            match self.encoding {
                Encoding::Hex => hex::decode(text).ok(),
                Encoding::Base64 => STANDARD.decode(text).ok(),
            }
        });
        let keys = secrets
            .iter()
            .filter(|secret| !secret.starts_with(STANDARD_PREFIX))
            .map(|secret| Cow::Borrowed(secret.as_bytes()));
        let claimed: Vec<Vec<u8>> = claimed.into_iter().collect();
        let matches = any_matches(keys, &[self.before.as_bytes(), body], &claimed);
        stated?;
        if matches { Ok(()) } else { Err(SignatureError::Mismatch(self.header.to_owned())) }
    }

    fn sign(&self, secret: &str, body: &[u8]) -> String {
        let mac = mac(secret.as_bytes(), &[self.before.as_bytes(), body]).finalize().into_bytes();
        let text = match self.encoding {
            Encoding::Hex => hex::encode(mac),
            Encoding::Base64 => STANDARD.encode(mac),
        };
        format!("{}{text}", self.prefix)
    }
}

/// The header and its value with which a sender signs a body; `None` for a scheme that needs more than a body, or nothing.
pub fn sign_body<'a>(scheme: &'a Signature, secret: &str, body: &[u8]) -> Option<(&'a str, String)> {
    BodyMac::of(scheme).map(|mac| (mac.header, mac.sign(secret, body)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    const SQUARE_URL: &str = "https://sluice.example.com/v1/sources/square-seller";
    const SQUARE_KEY: &str = "a key of Square";
    const SQUARE_BODY: &[u8] = br#"{"event_id":"e-1"}"#;
    const SQUARE_SIGNATURE: &str = "KF9gkO4Slu1Ym6nrxvrJD1zBiVrED5LLWmwNXBytWbQ=";

    fn now() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn request(header: &str, value: &str) -> Request {
        Request {
            method: "POST".into(),
            path: "/v1/sources/v".into(),
            source_ip: String::new(),
            request_id: String::new(),
            headers: [(header.to_owned(), value.to_owned())].into(),
            body: String::new(),
            staged: None,
        }
    }

    fn hmac(header: &str, encoding: Encoding, prefix: &str) -> Signature {
        Signature::Hmac { header: header.into(), encoding, prefix: prefix.into() }
    }

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn standard_signatures_are_those_of_the_reference_library() {
        let secret: StandardSecret = SECRET.parse().unwrap();
        let oracle = standardwebhooks::Webhook::new(SECRET).unwrap();
        for body in ["", "{}", r#"{"é":"\u00e9"}"#] {
            let expected = oracle.sign("msg_1", 1_795_255_200, body.as_bytes()).unwrap();
            assert_eq!(secret.sign("msg_1", 1_795_255_200, body.as_bytes()), expected);
        }
        assert_ne!(secret.sign("m", 1, b"\xff"), secret.sign("m", 1, b"\xfe"), "bytes that are no text");
    }

    #[test]
    fn what_is_signed_is_verified() {
        let secret: StandardSecret = SECRET.parse().unwrap();
        let signed = |body: &[u8]| {
            let mut request = request(HEADER_ID, "msg_1");
            let timestamp = now().as_second();
            request.headers.insert(HEADER_TIMESTAMP.into(), timestamp.to_string());
            request.headers.insert(HEADER_SIGNATURE.into(), secret.sign("msg_1", timestamp, body));
            request
        };
        let check = |body: &[u8], secrets: &[&str]| {
            let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
            verify(&Signature::StandardWebhooks, &signed(b"\xff"), body, &secrets, now())
        };
        assert_eq!(check(b"\xff", &["not a secret", SECRET]), Ok(()));
        let mismatch = Err(SignatureError::Mismatch(HEADER_SIGNATURE.to_owned()));
        assert_eq!(check(b"\xfe", &[SECRET]), mismatch);
        assert_eq!(check(b"\xff", &["whsec_"]), mismatch);
    }

    #[test]
    fn a_secret_has_a_key_and_is_never_shown() {
        assert_eq!(StandardSecret::text_of(b"key").parse::<StandardSecret>().unwrap().0, b"key");
        for bad in ["", "whsec_", "C2FVsBQIhrscChlQIMV", "whsec_%%%"] {
            assert_eq!(bad.parse::<StandardSecret>().unwrap_err(), InvalidSecret, "{bad:?}");
        }
        assert_eq!(format!("{:?}", SECRET.parse::<StandardSecret>().unwrap()), "StandardSecret(…)");
    }

    /// `printf '%s' "$BODY" | openssl dgst -sha256 -hmac KEY`.
    #[test]
    fn signatures_are_those_of_other_programs() {
        let square = Signature::Square { url: SQUARE_URL.into() };
        assert_eq!(sign_body(&square, SQUARE_KEY, SQUARE_BODY).unwrap().1, SQUARE_SIGNATURE);
        let fox = b"The quick brown fox jumps over the lazy dog";
        let hex = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        let base64 = "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg=";
        for (scheme, header, expected) in [
            (Signature::Shopify, "x-shopify-hmac-sha256", base64.to_owned()),
            (Signature::Woocommerce, "x-wc-webhook-signature", base64.to_owned()),
            (hmac("x-sig", Encoding::Hex, ""), "x-sig", hex.to_owned()),
            (
                hmac("x-hub-signature-256", Encoding::Hex, "sha256="),
                "x-hub-signature-256",
                format!("sha256={hex}"),
            ),
            (hmac("x-sig", Encoding::Base64, "v1="), "x-sig", format!("v1={base64}")),
        ] {
            assert_eq!(sign_body(&scheme, "key", fox), Some((header, expected)), "{scheme:?}");
        }
    }

    #[test]
    fn each_scheme_takes_its_own_signature_and_nothing_else() {
        let body = b"\xff\x00 bytes that are no text";
        for scheme in [
            Signature::Shopify,
            Signature::Woocommerce,
            Signature::Square { url: SQUARE_URL.into() },
            hmac("X-Sig", Encoding::Hex, "sha256="),
            hmac("X-Sig", Encoding::Base64, ""),
        ] {
            let (header, value) = sign_body(&scheme, "new", body).unwrap();
            let check = |value: &str, body: &[u8], secrets: &[&str]| {
                let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
                verify(&scheme, &request(&header.to_uppercase(), value), body, &secrets, now())
            };
            check(&value, body, &["new"]).unwrap();
            check(&value, body, &["old", "new"]).unwrap();
            check(&value, body, &["new", "newer"]).unwrap();
            let mismatch = Err(SignatureError::Mismatch(header.to_owned()));
            assert_eq!(check(&value, body, &["old", "older"]), mismatch, "revoked");
            assert_eq!(check(&value, body, &[]), mismatch);
            assert_eq!(check(&value, body, &["whsec_new"]), mismatch);
            assert_eq!(check(&value, &[body, &b" "[..]].concat(), &["new"]), mismatch, "one byte more");
            assert_eq!(check(&value, &body[..body.len() - 1], &["new"]), mismatch, "one byte less");
            assert_eq!(check(&value[1..], body, &["new"]), mismatch);
            assert_eq!(check("garbage", body, &["new"]), mismatch);
            assert_eq!(check("", body, &["new"]), Err(SignatureError::Missing(header.to_owned())));
            let decoy = sign_body(&scheme, std::str::from_utf8(DECOY).unwrap(), body).unwrap().1;
            assert_eq!(check(&decoy, body, &[]), mismatch, "who knows the decoy knows nothing");
        }
        let nothing = verify(&Signature::None, &request("x", "y"), b"", &[], now());
        assert_eq!(nothing, Err(SignatureError::Unsigned));
    }

    #[test]
    fn squares_signature_is_of_its_own_url() {
        let other = Signature::Square { url: format!("{SQUARE_URL}/") };
        let signed = request("x-square-hmacsha256-signature", SQUARE_SIGNATURE);
        let keys = [SQUARE_KEY.to_owned()];
        assert!(
            verify(&Signature::Square { url: SQUARE_URL.into() }, &signed, SQUARE_BODY, &keys, now()).is_ok()
        );
        assert!(verify(&other, &signed, SQUARE_BODY, &keys, now()).is_err());
    }
}

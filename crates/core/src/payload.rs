//! From the bytes of a request to the bytes that a contract is about: inflating, with a cap.

use std::borrow::Cow;
use std::io::Read as _;

use crate::limits::INFLATED_BYTES_MAX;

/// Why a body cannot be inflated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not gzip, or cut short.
    #[error("the body is not complete, valid gzip: {0}")]
    Corrupt(String),
    /// More than [`INFLATED_BYTES_MAX`]; nothing beyond that was inflated.
    #[error("the body inflates to more than {INFLATED_BYTES_MAX} bytes")]
    TooLarge,
    /// An encoding that is not `gzip` or `identity`.
    #[error("content encoding {0:?} is not supported: send gzip or none")]
    Unsupported(String),
}

/// The body after `content_encoding` (RFC 9110, section 8.4) is undone. Memory is bounded by the cap, whatever is claimed.
pub fn inflate<'a>(body: &'a [u8], content_encoding: Option<&str>) -> Result<Cow<'a, [u8]>, InflateError> {
    match content_encoding.map(|encoding| encoding.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity") => Ok(Cow::Borrowed(body)),
        Some("gzip" | "x-gzip") => {
            let mut inflated = Vec::with_capacity((body.len() * 4).min(INFLATED_BYTES_MAX));
            flate2::bufread::MultiGzDecoder::new(body)
                .take(INFLATED_BYTES_MAX as u64 + 1)
                .read_to_end(&mut inflated)
                .map_err(|error| InflateError::Corrupt(error.to_string()))?;
            if inflated.len() > INFLATED_BYTES_MAX {
                return Err(InflateError::TooLarge);
            }
            Ok(Cow::Owned(inflated))
        }
        Some(other) => Err(InflateError::Unsupported(other.chars().take(40).collect())),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_cap_is_exact_and_a_bomb_is_cheap() {
        assert_eq!(inflate(&gzip(&[7; INFLATED_BYTES_MAX]), Some("gzip")).unwrap().len(), INFLATED_BYTES_MAX);
        assert_eq!(inflate(&gzip(&[7; INFLATED_BYTES_MAX + 1]), Some("GZIP")), Err(InflateError::TooLarge));
        let bomb = gzip(&vec![0; 100 << 20]);
        assert!(bomb.len() < crate::limits::BODY_BYTES_MAX);
        assert_eq!(inflate(&bomb, Some("gzip")), Err(InflateError::TooLarge));
    }

    #[test]
    fn truncated_or_foreign_encodings_are_refused() {
        let whole = gzip(b"hello hello hello");
        assert!(matches!(inflate(&whole[..whole.len() - 1], Some("gzip")), Err(InflateError::Corrupt(_))));
        assert!(matches!(inflate(b"{}", Some("gzip")), Err(InflateError::Corrupt(_))));
        assert!(matches!(inflate(b"{}", Some("br")), Err(InflateError::Unsupported(_))));
        assert_eq!(inflate(b"{}", Some("identity")).unwrap().as_ref(), b"{}");
    }
}

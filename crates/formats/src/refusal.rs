//! Why a reader or a mapper refused a message.

use std::borrow::Cow;

/// Longest `code`, in characters.
pub const CODE_CHARS_MAX: usize = 64;
/// Longest `path`, in bytes; a longer one is cut at a character.
pub const PATH_BYTES_MAX: usize = 512;
/// Longest `message`, in bytes; a longer one is cut at a character. Together the bounds keep the JSON below the host's
/// 4 KiB, whatever is escaped.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// A refusal: the same message is refused again, until the mapper or the message changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: &'static str,
    path: String,
    message: String,
}

impl Refusal {
    /// A refusal with a stable snake_case `code`, the JSON pointer of the offending member (empty for the whole
    /// payload), and one sentence for a person.
    ///
    /// `path` and `message` are cut to their bounds, and control characters become spaces, so that a refusal can
    /// quote what the vendor sent.
    ///
    /// # Panics
    /// When `code` is not 1 to 64 characters of `a-z`, `0-9`, `_`: a mistake in the mapper, never in a message.
    #[must_use]
    pub fn new<'t>(
        code: &'static str,
        path: impl Into<Cow<'t, str>>,
        message: impl Into<Cow<'t, str>>,
    ) -> Self {
        assert!(
            (1..=CODE_CHARS_MAX).contains(&code.len())
                && code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')),
            "a refusal's code is snake_case"
        );
        Self {
            code,
            path: bounded(&path.into(), PATH_BYTES_MAX),
            message: bounded(&message.into(), MESSAGE_BYTES_MAX),
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// JSON pointer (RFC 6901) into the payload.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// For a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// `{"code":…,"path":…,"message":…}`, below 4 KiB.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // There is no control character left, so JSON asks for two escapes only.
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let (path, message) = (escaped(&self.path), escaped(&self.message));
        format!("{{\"code\":\"{}\",\"path\":\"{path}\",\"message\":\"{message}\"}}", self.code).into_bytes()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at \"{}\": {}", self.code, self.path, self.message)
    }
}

impl std::error::Error for Refusal {}

fn bounded(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_refusal_fits_the_hosts_bound() {
        let refused =
            Refusal::new("a".repeat(CODE_CHARS_MAX).leak(), "\"".repeat(9_000), "\\\u{1}".repeat(9_000));
        assert!(refused.to_json().len() <= 4_096, "{}", refused.to_json().len());
    }

    #[test]
    fn a_refusal_is_json() {
        let json = Refusal::new("a_b", "/1/\u{7f}", "\"é\\\n").to_json();
        assert_eq!(json, "{\"code\":\"a_b\",\"path\":\"/1/ \",\"message\":\"\\\"é\\\\ \"}".as_bytes());
    }

    #[test]
    fn text_is_cut_at_a_character() {
        let refused = Refusal::new("c", "", "é".repeat(1_000));
        assert_eq!(refused.message(), "é".repeat(512));
        let odd = Refusal::new("c", "", format!("x{}", "é".repeat(1_000)));
        assert_eq!(odd.message().len(), 1_023);
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(Refusal::new("c", "/a\nb", "x\u{0}y").message(), "x y");
        assert_eq!(Refusal::new("c", "/a\nb", "").path(), "/a b");
    }

    #[test]
    #[should_panic(expected = "snake_case")]
    fn a_code_is_snake_case() {
        let _ = Refusal::new("Bad Code", "", "");
    }
}

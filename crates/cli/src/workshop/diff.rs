//! How differences between two JSON values read.

use std::fmt::Write as _;

use serde_json::Value;
pub use sluice_ops::diff::{Change, Difference, differences, folded};

use crate::output::{Tone, paint, printable};

/// Longest value that a difference shows, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// Short and printable.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return printable(&text);
    }
    let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{}…", printable(&cut))
}

/// For a person: a line per member with `-` what was and `+` what is.
pub fn text(list: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { pointer, before, after, .. } in list {
        let place = if pointer.is_empty() { "(the whole)" } else { pointer };
        let _ = writeln!(text, "{}", paint(Tone::Strong, printable(place)));
        for (value, sign, tone) in [(before, '-', Tone::Bad), (after, '+', Tone::Good)] {
            if let Some(value) = value {
                let _ = writeln!(text, "  {}", paint(tone, format!("{sign} {}", shown(value))));
            }
        }
    }
    text
}

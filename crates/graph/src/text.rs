//! Text in a picture: how wide it is, how it is shortened, and how it is made harmless.

/// The longest text of a tooltip or description, in characters.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 400;

/// Width of `text` in a sans-serif font, in pixels, rather too wide than too narrow: fonts differ.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|char| match char {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.32,
            'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | ' ' | '·' | '-' => 0.42,
            'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.96,
            'A'..='Z' | '&' | '$' | '=' | '<' | '>' | '+' | '×' => 0.74,
            char if char.is_ascii() => 0.62,
            // Chinese, Japanese and Korean characters are square; most others are not wider.
            _ => 1.0,
        })
        .sum();
    ems * size
}

/// At most `chars_max` characters, the last of them an ellipsis if something was cut.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Escapes for element content and attribute values. What XML forbids and what changes the direction of the text around it
/// becomes U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push('\u{fffd}');
            }
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            char if char.is_control() => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

/// `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn duration(ms: u64) -> String {
    let pair = |large: u64, name: &str, small: u64, small_name: &str| {
        if small == 0 { format!("{large} {name}") } else { format!("{large} {name} {small} {small_name}") }
    };
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => {
            let tenths = ms % 1_000 / 100;
            if tenths == 0 { format!("{seconds} s") } else { format!("{seconds}.{tenths} s") }
        }
        60..3_600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// `1 retry`, `2 retries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_harmless() {
        assert_eq!(
            escape("<a href='x'>&\"\u{202e}\u{0}\u{1b}[31m\n"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;���[31m "
        );
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten("abcd", 4), "abcd");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0, 850, 4_210, 60_000, 185_000, 7_800_000, 273_600_000].map(duration);
        assert_eq!(texts, ["0 ms", "850 ms", "4.2 s", "1 min", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    }
}

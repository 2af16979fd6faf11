//! Text that came from outside, made visible: markup is escaped, control and bidi characters are
//! shown by their names, and what
//! is too long is cut and said to be.
//!
//! Escaping alone is not enough. A right-to-left override can make `exe.fdp` read as `pdf.exe`, a
//! zero-width space can make two
//! ids look alike, and an escape sequence acts when it is copied into a terminal.

use maud::{Markup, PreEscaped, html};

/// Most characters of a text in a table or a sentence.
pub const SHORT_CHARS_MAX: usize = 160;

/// Most characters of a text that stands by itself.
pub const LONG_CHARS_MAX: usize = 2_000;

/// A text on one line, cut after [`SHORT_CHARS_MAX`] characters.
pub fn short(text: &str) -> Markup {
    cut(text, SHORT_CHARS_MAX, None)
}

/// A text on one line, cut after [`LONG_CHARS_MAX`] characters.
pub fn long(text: &str) -> Markup {
    cut(text, LONG_CHARS_MAX, None)
}

/// A text on one line, cut after `chars_max` characters, with a link to all of it.
pub fn cut(text: &str, chars_max: usize, all: Option<&str>) -> Markup {
    let end = text.char_indices().nth(chars_max).map_or(text.len(), |(at, _)| at);
    let rest = text.len() - end;
    html! {
        bdi { (visible(&text[..end], false)) }
        @if rest > 0 {
            @let what = format!("… {} more", bytes(rest as u64));
            " "
            @match all {
                Some(href) => a href=(href) { (what) },
                None => span.muted { (what) },
            }
        }
    }
}

/// Every character of a text; what cannot be seen is shown by its name. Line breaks and tabs stay
/// if `lines`.
pub fn visible(text: &str, lines: bool) -> Markup {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' if lines => out.push(c),
            _ => match name(c) {
                Some(name) => {
                    out.push_str("<span class=\"ctl\">");
                    out.push_str(&name);
                    out.push_str("</span>");
                }
                None => out.push(c),
            },
        }
    }
    PreEscaped(out)
}

/// The name of a character that cannot be seen, or that changes how others are.
fn name(c: char) -> Option<String> {
    let short = match c {
        '\u{1b}' => "ESC",
        '\n' => "LF",
        '\r' => "CR",
        '\t' => "TAB",
        '\0' => "NUL",
        _ if is_hidden(c) => return Some(format!("U+{:04X}", u32::from(c))),
        _ => return None,
    };
    Some(short.to_owned())
}

/// Whether a character cannot be seen, or changes how others are.
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// A text without what cannot be seen, for where no markup can name it: the title of a window, a
/// command to be copied.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).take(LONG_CHARS_MAX).collect()
}

/// Characters without a shape: direction, joining, invisible operators, tags, and separators of
/// lines.
fn is_format(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
        | 0x2060..=0x206F | 0x3164 | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// A number with its thousands apart: `12,480`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 event`, `1,000 events`.
pub fn count(of: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(of), if of == 1 { "" } else { "s" })
}

/// A size: `180 B`, `4.2 KB`, `5.0 MB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Milliseconds as a duration: `12 ms`, `3.4 s`, `5 min 2 s`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{:.1} s", milliseconds as f64 / 1e3),
        60_000..3_600_000 => format!("{} min {} s", milliseconds / 60_000, milliseconds / 1_000 % 60),
        _ => format!("{} h {} min", milliseconds / 3_600_000, milliseconds / 60_000 % 60),
    }
}

/// The first digits of a digest or a fingerprint.
pub fn digest(text: &str) -> Markup {
    let end = text.char_indices().nth(12).map_or(text.len(), |(at, _)| at);
    html! { code title=(text) { (visible(&text[..end], false)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hostile_acts_and_everything_is_seen() {
        let text = "<script>alert(\"1\")</script>\u{202e}exe\u{1b}[31m\u{0}\u{200b}\u{e0041}é";
        assert_eq!(
            visible(text, false).into_string(),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;<span class=\"ctl\">U+202E</span>exe\
             <span class=\"ctl\">ESC</span>[31m<span class=\"ctl\">NUL</span><span class=\"ctl\">U+200B</span>\
             <span class=\"ctl\">U+E0041</span>é"
        );
        assert_eq!(visible("a\nb\t", true).into_string(), "a\nb\t");
        assert!(visible("a\nb", false).into_string().contains(">LF<"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_said() {
        let long = "é".repeat(95_000);
        let shown = cut(&long, 160, Some("/events/1/raw")).into_string();
        assert!(shown.len() < 1_000, "{} bytes", shown.len());
        assert!(shown.contains("<a href=\"/events/1/raw\">… 189.7 KB more</a>"), "{shown}");
        assert!(!short("short").into_string().contains('…'));
    }

    #[test]
    fn numbers_are_read_by_people() {
        assert_eq!(
            [0, 999, 1_000, 12_480, 1_234_567].map(number),
            ["0", "999", "1,000", "12,480", "1,234,567"].map(ToOwned::to_owned)
        );
        assert_eq!((count(1, "event"), count(1_000, "event")), ("1 event".into(), "1,000 events".into()));
        assert_eq!([180, 4_200, 5_000_000].map(bytes), ["180 B", "4.2 KB", "5.0 MB"].map(ToOwned::to_owned));
        assert_eq!(
            [12, 3_400, 302_000].map(duration),
            ["12 ms", "3.4 s", "5 min 2 s"].map(ToOwned::to_owned)
        );
    }
}

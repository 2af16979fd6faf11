//! Stored bytes, three ways: as text, as hexadecimal digits, and read as JSON. Never as what they
//! claim to be.

use base64::Engine as _;
use maud::{Markup, html};

use crate::json;
use crate::server::Context;
use crate::text;
use crate::view::RawObject;

/// Most bytes shown as text; the rest is a download.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Most bytes shown as digits.
const HEX_BYTES_MAX: usize = 2 * 1024;

/// How bytes are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Read as JSON, where they are.
    #[default]
    Parsed,
    /// As characters.
    Text,
    /// As digits.
    Hex,
}

impl Way {
    /// By its name in an address.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            Some("text") => Self::Text,
            Some("hex") => Self::Hex,
            _ => Self::Parsed,
        }
    }
}

/// The bytes of a stored object, if the document has them.
pub fn bytes(object: &RawObject) -> Option<Vec<u8>> {
    match (&object.text, &object.base64) {
        (Some(text), _) => Some(text.clone().into_bytes()),
        (None, Some(encoded)) => base64::engine::general_purpose::STANDARD.decode(encoded).ok(),
        (None, None) => None,
    }
}

/// The viewer: which way, and the bytes. `download` is where all of them are.
pub fn viewer(object: &RawObject, way: Way, download: &str, context: &Context) -> Markup {
    let ways = [(Way::Parsed, "parsed", "Parsed"), (Way::Text, "text", "Text"), (Way::Hex, "hex", "Hex")];
    let content = bytes(object);
    html! {
        section.card #raw {
            header {
                h2 { "Raw request" }
                nav.tabs aria-label="How the bytes are shown" {
                    @for (one, name, label) in ways {
                        a href={(context.with("raw", Some(name))) "#raw"} aria-current=[(one == way).then_some("true")] { (label) }
                    }
                }
                a.button.small href=(download) download { "Download" }
            }
            @match content {
                None => div.body { p { "The object is not there." } },
                Some(content) => @match way {
                    Way::Hex => (hex(&content, download)),
                    Way::Text => (plain(&content, download)),
                    Way::Parsed => (parsed(&content, download)),
                },
            }
            footer {
                (text::bytes(object.bytes)) ", " (text::short(&object.content_type))
                @if let Some(encoding) = &object.content_encoding { ", " (text::short(encoding)) }
                ", SHA-256 " (text::digest(&object.sha256)) " "
                @match &object.problem {
                    None => span.good-text { "✓ verified" },
                    Some(problem) => span.bad-text { "✗ " (text::long(problem)) },
                }
            }
        }
    }
}

fn parsed(content: &[u8], download: &str) -> Markup {
    let read = std::str::from_utf8(content).ok().and_then(|text| json::pretty(text, download));
    match read {
        Some(read) => {
            html! { pre.code tabindex="0" role="region" aria-label="The request, read as JSON" { (read) } }
        }
        None => html! {
            div.body { p.muted { "This is no JSON, so it is shown as text." } }
            (plain(content, download))
        },
    }
}

fn plain(content: &[u8], download: &str) -> Markup {
    let shown = &content[..content.len().min(TEXT_BYTES_MAX)];
    let text = String::from_utf8_lossy(shown);
    html! {
        pre.code tabindex="0" role="region" aria-label="The request as text" { (text::visible(&text, true)) }
        (rest(content.len(), shown.len(), download))
    }
}

fn hex(content: &[u8], download: &str) -> Markup {
    let shown = &content[..content.len().min(HEX_BYTES_MAX)];
    let mut lines = String::new();
    for (number, line) in shown.chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let characters: String = line
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' })
            .collect();
        lines.push_str(&format!("{:06x}  {:<47}  {characters}\n", number * 16, digits.join(" ")));
    }
    html! {
        pre.code.hex tabindex="0" role="region" aria-label="The request as hexadecimal digits" { (text::visible(&lines, true)) }
        (rest(content.len(), shown.len(), download))
    }
}

fn rest(all: usize, shown: usize, download: &str) -> Markup {
    html! {
        @if all > shown {
            div.body { p.muted { (text::bytes((all - shown) as u64)) " more: " a href=(download) download { "download all of it" } } }
        }
    }
}

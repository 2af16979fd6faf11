//! The parts that pages are made of: badges, times, facts, empty states, errors.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, Render, html};

use crate::ops::Failure;
use crate::text;

/// What a badge, a bar or a step means. Each has a shape and a word beside its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// Something is wrong.
    Bad,
    /// Under way.
    Note,
    /// Neither.
    Plain,
}

impl Tone {
    /// The class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Note => "note",
            Self::Plain => "",
        }
    }

    /// Its shape: a tick, a triangle, a cross, a half circle, a ring.
    pub fn shape(self) -> Markup {
        let path = match self {
            Self::Good => "M3 8.5 6.5 12 13 4.5",
            Self::Warn => "M8 2.5 14.5 13.5H1.5Z M8 7v3 M8 11.8v.2",
            Self::Bad => "M4 4l8 8 M12 4l-8 8",
            Self::Note => "M8 2a6 6 0 1 0 6 6 M8 5v3l2 1.5",
            Self::Plain => "M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9",
        };
        icon(path, 12)
    }
}

/// A line drawing of 16 units, in the colour of the text. It says nothing to who does not see it.
pub fn icon(path: &str, size: u32) -> Markup {
    html! {
        svg width=(size) height=(size) viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"
            stroke-linejoin="round" aria-hidden="true" { path d=(path) {} }
    }
}

/// A shape and a word.
pub fn badge(tone: Tone, word: &str) -> Markup {
    html! { span.badge.(tone.class()) { (tone.shape()) (text::short(word)) } }
}

/// The badge of a status: of an event, an execution, an operation, a quarantined row or a group.
pub fn status(status: &str) -> Markup {
    let tone = match status.to_ascii_uppercase().as_str() {
        "NORMALIZED" | "SUCCEEDED" | "RELEASED" | "RESOLVED" | "COMPLETED" | "PASSING" | "ACCEPTED"
        | "ENABLED" | "FINISHED" | "DONE" => Tone::Good,
        "QUARANTINED" | "FAILED" | "TIMED_OUT" | "ABORTED" | "OPEN" | "REFUSED" | "STOPPED" => Tone::Bad,
        "ACKNOWLEDGED" | "PAUSED" | "HELD" | "KEPT" | "PENDING_REDRIVE" | "PAUSING" | "STOPPING"
        | "DISABLED" => Tone::Warn,
        "RECEIVED" | "RUNNING" | "WATCHING" | "PENDING" => Tone::Note,
        _ => Tone::Plain,
    };
    let mut word = status.to_ascii_lowercase().replace('_', " ");
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    badge(tone, &word)
}

/// A moment: UTC as the server wrote it, beside it the local time and the age by the browser.
pub fn time(at: Timestamp) -> Markup {
    html! { sl-time datetime=(at) { time datetime=(at) { (utc(at)) } span.local {} } }
}

/// A moment in a table: UTC, and its age below.
pub fn time_age(at: Timestamp) -> Markup {
    html! { sl-time datetime=(at) { time datetime=(at) { (utc(at)) } span.sub { span.age {} span.local {} } } }
}

/// How long ago something was; the moment itself before the browser has computed it.
pub fn age(at: Timestamp) -> Markup {
    html! { sl-time datetime=(at) { time.age datetime=(at) { (utc(at)) } } }
}

/// `2026-11-21 09:58:02 UTC`.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Names and what they are, in two columns.
pub fn facts<V: Render>(list: impl IntoIterator<Item = (&'static str, V)>) -> Markup {
    html! { dl.facts { @for (name, value) in list { dt { (name) } dd { (value) } } } }
}

/// A surface with a heading.
pub fn card(title: &str, beside: impl Render, body: impl Render) -> Markup {
    html! { section.card { header { h2 { (text::short(title)) } (beside) } (body) } }
}

/// As [`card`], with room around the body.
pub fn panel(title: &str, beside: impl Render, body: impl Render) -> Markup {
    card(title, beside, html! { div.body { (body) } })
}

/// Nothing to show: why, and what one can do next.
pub fn empty(why: &str, next: impl Render) -> Markup {
    html! {
        div.state {
            (icon("M2.5 9.5 4.5 3h7l2 6.5v3.5h-11z M2.5 9.5h3.5l1 1.5h2l1-1.5h3.5", 28))
            p { strong { (why) } }
            p.muted { (next) }
        }
    }
}

/// A command that one can copy.
pub fn command(line: &str) -> Markup {
    html! { div.command { code tabindex="0" { (text::visible(line, false)) } sl-copy text=(line) {} } }
}

/// Something to be told, with a shape, a colour and words.
pub fn alert(tone: Tone, title: &str, body: impl Render) -> Markup {
    let role = if tone == Tone::Bad { "alert" } else { "status" };
    html! { div.alert.(tone.class()) role=(role) { (tone.shape()) p { strong { (text::short(title)) } } (body) } }
}

/// What is not known, and why: never a zero in its place. `instead` is what is known.
pub fn unknown(what: &str, failure: &Failure, instead: impl Render) -> Markup {
    let title = format!("{what} unavailable");
    alert(
        if failure.denied().is_some() { Tone::Warn } else { Tone::Bad },
        &title,
        html! {
            p { (text::long(&failure.message)) "; " (instead) }
            @if let Some(action) = failure.denied() {
                p { "Your role lacks " code { (text::short(&action)) } ". Ask for it, or use a role that has it." }
            }
            @if !failure.causes.is_empty() {
                ul { @for cause in &failure.causes { li { (text::long(cause)) } } }
            }
            @if let Some(hint) = &failure.hint { p.muted { (text::long(hint)) } }
        },
    )
}

/// A link to another page, with its text shown as foreign.
pub fn link(href: &str, content: &str) -> Markup {
    html! { a href=(href) { (text::short(content)) } }
}

/// The link of a table's row: the one that `j` and `k` walk along.
pub fn row_link(href: &str, content: impl Render) -> Markup {
    html! { a.main id={"r" (short_hash(href))} href=(href) { (content) } }
}

/// What names a row over renderings, without a byte of what it names.
pub fn row_id(name: &str) -> String {
    short_hash(name)
}

/// An id that stays the same over renderings, so that a focus survives a swap.
fn short_hash(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    hex::encode(&Sha256::digest(text.as_bytes())[..5])
}

/// All but the unreserved characters of RFC 3986, so that an address stays readable.
const RESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a part of an address.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

/// Nothing.
pub fn nothing() -> Markup {
    PreEscaped(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_names_the_action() {
        let failure = Failure {
            code: Some("denied".into()),
            causes: vec![
                "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:Query on resource: t"
                    .into(),
            ],
            ..Failure::new("refused", "failed to count the ledger")
        };
        let shown = unknown("Balance", &failure, "last closed hour 13:00 UTC").into_string();
        for part in ["Balance unavailable", "last closed hour 13:00 UTC", "Your role lacks", "dynamodb:Query"]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let throttled = Failure::new("unavailable", "DynamoDB throttled");
        let shown = unknown("Balance", &throttled, "last closed hour 13:00 UTC").into_string();
        assert!(shown.contains("DynamoDB throttled") && !shown.contains("lacks"), "{shown}");
    }

    #[test]
    fn a_status_is_a_shape_and_a_word() {
        let shown = status("QUARANTINED").into_string();
        assert!(
            shown.contains("<svg") && shown.contains("Quarantined") && shown.contains("badge bad"),
            "{shown}"
        );
        assert!(status("<b>").into_string().contains("&lt;b&gt;"));
    }

    #[test]
    fn a_time_is_utc_before_any_script_runs() {
        let at = "2026-11-21T09:58:02.123Z".parse().unwrap_or(Timestamp::UNIX_EPOCH);
        assert!(time(at).into_string().contains("2026-11-21 09:58:02 UTC"));
    }
}

//! The pages: each a pure function of its documents, so that a test needs no cloud.

pub mod audit;
pub mod conflicts;
pub mod dead_letters;
pub mod divergence;
pub mod event;
pub mod events;
pub mod executions;
pub mod group;
pub mod hour;
pub mod mapper;
pub mod operations;
pub mod overview;
pub mod quarantine;
pub mod trace;
pub mod vendors;

use maud::{Markup, Render, html};

use crate::component::{self, encoded};
use crate::text;

/// The address of an event.
pub(crate) fn event_href(id: &str) -> String {
    format!("/events/{}", encoded(id))
}

/// The address of a group.
pub(crate) fn group_href(fingerprint: &str) -> String {
    format!("/groups/{}", encoded(fingerprint))
}

/// The address of a vendor.
pub(crate) fn vendor_href(id: &str) -> String {
    format!("/vendors/{}", encoded(id))
}

/// The address of a mapper.
pub(crate) fn mapper_href(vendor: &str, event_type: &str) -> String {
    format!("/mappers/{}/{}", encoded(vendor), encoded(event_type))
}

/// The address of an execution.
pub(crate) fn execution_href(arn: &str) -> String {
    format!("/executions/{}", encoded(arn))
}

/// The address of an operation.
pub(crate) fn operation_href(id: &str) -> String {
    format!("/operations/{}", encoded(id))
}

/// A form that needs a reason: one field, one button.
pub(crate) fn reason_form(action: &str, label: &str, button: impl Render) -> Markup {
    html! {
        form.form method="post" action=(action) {
            label.field { span { (label) } input name="reason" required maxlength="500" autocomplete="off" placeholder="Ticket, or a sentence"; }
            div { (button) }
        }
    }
}

/// Numbers by name: `vendorA 1,000, vendorB 2`.
pub(crate) fn tally<'a>(
    counts: impl IntoIterator<Item = (&'a String, &'a u64)>,
    href: impl Fn(&str) -> Option<String>,
) -> Markup {
    html! {
        @for (index, (name, count)) in counts.into_iter().enumerate() {
            @if index > 0 { ", " }
            @match href(name) { Some(href) => (component::link(&href, name)), None => (text::short(name)) }
            " " span.muted { (text::number(*count)) }
        }
    }
}

/// With its first letter in upper case.
pub(crate) fn capital(word: &str) -> String {
    let mut word = word.replace('_', " ");
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

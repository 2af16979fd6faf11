//! What waits for a person, by what it fails of.

use maud::{Markup, html};

use super::group_href;
use crate::chart::spark;
use crate::component::{self, card, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count, number};
use crate::view::{Group, Groups};

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// Resolved groups, too.
    #[serde(default)]
    pub all: Option<String>,
    /// Only with events of this vendor.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Only in this state.
    #[serde(default)]
    pub state: Option<String>,
}

/// A group's cause in few words: `payload_schema_violation` at `/qty`.
pub fn title(group: &Group) -> String {
    let words = group.code.replace('_', " ");
    let mut words = match group.pointer.as_deref() {
        Some(pointer) if !pointer.is_empty() => format!("{words} at {pointer}"),
        _ => words,
    };
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// The page.
pub fn page(groups: &Groups, query: &Query, context: &Context) -> Page {
    let all = query.all.is_some();
    let shown: Vec<&Group> = groups
        .groups
        .iter()
        .filter(|group| query.vendor.as_ref().is_none_or(|vendor| group.vendors.contains_key(vendor)))
        .filter(|group| query.state.as_ref().is_none_or(|state| group.state == *state))
        .collect();
    let open: u64 = shown.iter().map(|group| group.open).sum();
    let waiting = shown.iter().filter(|group| group.open > 0).count() as u64;
    let mut vendors: Vec<&String> = groups.groups.iter().flat_map(|group| group.vendors.keys()).collect();
    vendors.sort_unstable();
    vendors.dedup();
    let lede = match open {
        0 => html! { "No event waits." },
        _ => {
            html! { (count(open, "event")) " wait in " (count(waiting, "group")) ": what fails alike is one group, and is fixed together." }
        }
    };
    Page::new(Section::Quarantine, "Quarantine")
        .lede(lede)
        .actions(html! { a.button href="/quarantine.json" { "JSON" } })
        .live(html! { (chips(&vendors, query, context)) (table(&shown, all, context)) })
}

fn chips(vendors: &[&String], query: &Query, context: &Context) -> Markup {
    let states = [(None, "Any state"), (Some("OPEN"), "Open"), (Some("ACKNOWLEDGED"), "Acknowledged")];
    html! {
        nav.chips aria-label="Filter" {
            @for (state, name) in states {
                a.chip href=(context.with("state", state)) aria-current=[(query.state.as_deref() == state).then_some("true")] { (name) }
            }
            @let all = query.all.is_some();
            a.chip href=(context.with("all", (!all).then_some("1"))) aria-current=[all.then_some("true")] { "With resolved ones" }
            @if vendors.len() > 1 {
                @for vendor in vendors {
                    @let chosen = query.vendor.as_ref() == Some(*vendor);
                    a.chip href=(context.with("vendor", (!chosen).then_some(vendor.as_str()))) aria-current=[chosen.then_some("true")] {
                        (text::short(vendor)) @if chosen { span.x aria-hidden="true" { "×" } span.sr { " (remove)" } }
                    }
                }
            }
        }
    }
}

fn table(groups: &[&Group], all: bool, context: &Context) -> Markup {
    if groups.is_empty() {
        let why =
            if all { "No event was ever quarantined with this filter." } else { "Nothing is in quarantine." };
        let next = html! { "An event comes here when its message cannot be mapped. " code { (context.command("quarantine ls --group --all")) } " lists what was." };
        return card("Groups", component::nothing(), empty(why, next));
    }
    let body = html! {
        div.scroll tabindex="0" {
            table.cards {
                thead { tr {
                    th scope="col" { "Cause" } th.num scope="col" { "Open" } th scope="col" { "Vendors" } th scope="col" { "Last 24 h" }
                    th scope="col" { "State" } th scope="col" { "First seen" } th scope="col" { "Last seen" }
                } }
                tbody { @for group in groups { (row(group)) } }
            }
        }
    };
    html! { section.card aria-label="Groups" { (body) } }
}

fn row(group: &Group) -> Markup {
    html! {
        tr data-row=(component::row_id(&group.fingerprint)) {
            td.lead {
                (component::row_link(&group_href(&group.fingerprint), text::short(&title(group))))
                span.sub { span.clip { (text::short(&group.message)) } }
            }
            td.num data-label="Open" { (number(group.open)) @if group.released > 0 { span.sub { (number(group.released)) " released" } } }
            td data-label="Vendors" { (super::tally(&group.vendors, |_| None)) }
            td data-label="Last 24 h" { @if !group.by_hour.is_empty() { (spark(&group.by_hour, "Failures by hour")) } }
            td data-label="State" {
                (component::status(&group.state))
                @if let Some(note) = &group.acknowledged { span.sub { "by " (text::short(&note.by)) ": " (text::short(&note.reason)) } }
            }
            td.nowrap data-label="First seen" { (component::age(group.first_seen_at)) }
            td.nowrap data-label="Last seen" { (component::age(group.last_seen_at)) }
        }
    }
}

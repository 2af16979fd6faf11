//! The list of events: chips that filter, a bounded search, and how much of the ledger it read.

use maud::{Markup, html};

use super::{event_href, vendor_href};
use crate::component::{self, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count};
use crate::view::{EventRow, Events};

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[expect(missing_docs, reason = "each is the filter of its name")]
pub struct Query {
    #[serde(default)]
    pub vendor: Option<String>,
    #[serde(default, rename = "type")]
    pub event_type: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub since: Option<String>,
    #[serde(default)]
    pub until: Option<String>,
    #[serde(default)]
    pub member: Option<String>,
    #[serde(default)]
    pub after: Option<String>,
}

const STATUSES: [(Option<&str>, &str); 5] = [
    (None, "Any status"),
    (Some("NORMALIZED"), "Normalized"),
    (Some("QUARANTINED"), "Quarantined"),
    (Some("HELD"), "Held"),
    (Some("RECEIVED"), "In flight"),
];

const WINDOWS: [(Option<&str>, &str); 5] = [
    (None, "Any time"),
    (Some("15m"), "15 min"),
    (Some("1h"), "1 h"),
    (Some("24h"), "24 h"),
    (Some("7d"), "7 d"),
];

/// The page.
pub fn page(events: &Events, query: &Query, context: &Context) -> Page {
    Page::new(Section::Events, "Events")
        .lede(html! { "Everything that was accepted, newest first." })
        .actions(html! { a.button href={"/events.json?" (context.query)} { "JSON" } })
        .live(html! { (filters(query, context)) (table(events, context)) })
}

fn filters(query: &Query, context: &Context) -> Markup {
    let chosen = [
        ("vendor", "Vendor", &query.vendor),
        ("type", "Type", &query.event_type),
        ("id", "External id", &query.id),
        ("member", "Member", &query.member),
        ("until", "Until", &query.until),
    ];
    html! {
        div.filters {
            nav.chips aria-label="Status and time" {
                @for (status, name) in STATUSES {
                    a.chip href=(context.with("status", status)) aria-current=[(query.status.as_deref() == status).then_some("true")] { (name) }
                }
                span.muted aria-hidden="true" { "·" }
                @for (window, name) in WINDOWS {
                    a.chip href=(context.with("since", window)) aria-current=[(query.since.as_deref() == window).then_some("true")] { (name) }
                }
            }
            form.fields method="get" action="/events" role="search" aria-label="Search events" {
                @for (name, value) in [("status", &query.status), ("since", &query.since), ("until", &query.until)] {
                    @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
                }
                label.field { span { "Vendor" } input name="vendor" value=[query.vendor.as_deref()] autocomplete="off" data-search; }
                label.field { span { "Type" } input name="type" value=[query.event_type.as_deref()] autocomplete="off"; }
                label.field { span { "External id" } input name="id" value=[query.id.as_deref()] autocomplete="off"; }
                label.field { span { "Payload member" } input name="member" value=[query.member.as_deref()] autocomplete="off" placeholder="/sku=ABC-001"; }
                div { button.button.primary type="submit" { "Search" } }
            }
            @if chosen.iter().any(|(_, _, value)| value.as_ref().is_some_and(|value| !value.is_empty())) {
                div.chips {
                    @for (name, label, value) in chosen { @if let Some(value) = value { @if !value.is_empty() {
                        a.chip href=(context.with(name, None)) { (label) " " b { (text::short(value)) } span.x aria-hidden="true" { "×" } span.sr { " (remove)" } }
                    } } }
                    a href="/events" { "Remove all" }
                }
            }
        }
    }
}

fn table(events: &Events, context: &Context) -> Markup {
    if events.events.is_empty() {
        let next = html! {
            "Send one: " code { (context.command("send FILE --key KEY")) } ", or take a filter away."
            @if let Some(scanned) = events.scanned { " The search read " (count(scanned, "row")) "." }
        };
        return html! { section.card { (empty("No event matches.", next)) } };
    }
    let last = events.events.last().map(|event| format!("{}~{}", event.received_at, event.ingest_id));
    html! {
        section.card aria-label="Events" {
            div.scroll tabindex="0" {
                table.cards {
                    thead { tr { th scope="col" { "Event" } th scope="col" { "Status" } th scope="col" { "Vendor" } th scope="col" { "Type" } th scope="col" { "What became of it" } th scope="col" { "Received" } } }
                    tbody { @for event in &events.events { (row(event)) } }
                }
            }
            footer.pager {
                span {
                    (count(events.events.len() as u64, "event"))
                    @if let Some(scanned) = events.scanned { ", of " (count(scanned, "row")) " read" }
                    @if events.more { "; there may be more" } @else { "; these are all" }
                }
                @if events.more { @if let Some(last) = last { a.button.small rel="next" href=(context.with("after", Some(&last))) { "Older" } } }
            }
        }
    }
}

fn row(event: &EventRow) -> Markup {
    let became = event.cause.as_ref().or(event.nothing.as_ref());
    html! {
        tr data-row=(component::row_id(&event.ingest_id)) {
            td.lead {
                (component::row_link(&event_href(&event.ingest_id), html! { code { (text::short(&event.ingest_id)) } }))
                span.sub { (text::short(&event.external_event_id)) }
            }
            td data-label="Status" { (component::status(&event.status)) }
            td data-label="Vendor" { (component::link(&vendor_href(&event.vendor_id), &event.vendor_id)) }
            td data-label="Type" { (text::short(&event.event_type)) }
            td data-label="Became" {
                @match (&event.canonical_type, became) {
                    (_, Some(note)) => { (text::short(&note.code.replace('_', " "))) span.sub { span.clip { (text::short(&note.message)) } } },
                    (Some(canonical), None) => (text::short(canonical)),
                    (None, None) => span.muted { "in flight" },
                }
            }
            td data-label="Received" { (component::time_age(event.received_at)) }
        }
    }
}

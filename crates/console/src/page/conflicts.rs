//! Submissions under an identity that another payload has: refused, or kept until a person decides.

use maud::{Markup, html};

use super::{event_href, reason_form, vendor_href};
use crate::component::{self, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text;
use crate::view::{Conflict, Conflicts};

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// Those that were accepted, too.
    #[serde(default)]
    pub all: Option<String>,
    /// Only of this vendor.
    #[serde(default)]
    pub vendor: Option<String>,
    /// The one to decide on.
    #[serde(default)]
    pub id: Option<String>,
}

/// The page.
pub fn page(conflicts: &Conflicts, query: &Query, context: &Context) -> Page {
    let rows = &conflicts.conflicts;
    let chosen = query.id.as_ref().and_then(|id| rows.iter().find(|row| row.ingest_id == *id));
    let live = html! {
        nav.chips aria-label="Filter" {
            @let all = query.all.is_some();
            a.chip href=(context.with("all", None)) aria-current=[(!all).then_some("true")] { "To decide" }
            a.chip href=(context.with("all", Some("1"))) aria-current=[all.then_some("true")] { "With accepted ones" }
            @if let Some(vendor) = &query.vendor { a.chip href=(context.with("vendor", None)) { "Vendor " b { (text::short(vendor)) } span.x aria-hidden="true" { "×" } span.sr { " (remove)" } } }
        }
        @if rows.is_empty() {
            section.card { (empty("Nothing is to be decided.", html! { "A submission comes here when its identity has been used for another payload." })) }
        } @else {
            section.card aria-label="Conflicts" {
                div.scroll tabindex="0" {
                    table.cards {
                        thead { tr { th scope="col" { "Identity" } th scope="col" { "State" } th scope="col" { "Vendor" } th scope="col" { "The event that has it" } th scope="col" { "At" } th scope="col" { span.sr { "Decide" } } } }
                        tbody { @for row in rows { (one(row, context)) } }
                    }
                }
                footer { (text::count(rows.len() as u64, "conflict")) @if conflicts.more { "; there may be more" } }
            }
        }
    };
    let still = html! { @if let Some(row) = chosen { @if !context.read_only { (decide(row)) } } };
    Page::new(Section::Conflicts, "Conflicts")
        .lede(html! { "The same identity with another payload. Both are kept; a person says whether the second is an event too." })
        .actions(html! { a.button href={"/conflicts.json?" (context.query)} { "JSON" } })
        .live(live)
        .still(still)
}

fn one(row: &Conflict, context: &Context) -> Markup {
    html! {
        tr data-row=(component::row_id(&row.ingest_id)) {
            td.lead { (text::short(&row.external_event_id)) span.sub { code { (text::short(&row.ingest_id)) } } }
            td data-label="State" { (component::status(&row.state)) @if let Some(note) = &row.accepted { span.sub { "by " (text::short(&note.by)) ": " (text::short(&note.reason)) } } }
            td data-label="Vendor" { (component::link(&vendor_href(&row.vendor_id), &row.vendor_id)) }
            td data-label="Held by" { a href=(event_href(&row.held_by)) { code { (text::short(&row.held_by)) } } }
            td data-label="At" { (component::time_age(row.at)) }
            td data-label="" { @if row.accepted.is_none() && !context.read_only { a.button.small href={(context.with("id", Some(&row.ingest_id))) "#decide"} { "Decide" } } }
        }
    }
}

fn decide(row: &Conflict) -> Markup {
    html! { div #decide { (component::panel("Accept it as an event of its own", component::nothing(), html! {
        p { "Identity " (text::short(&row.external_event_id)) " of " (text::short(&row.vendor_id)) ". The event " code { (text::short(&row.held_by)) } " stays as it is." }
        (reason_form(&format!("/conflicts/{}/accept", component::encoded(&row.ingest_id)), "Reason", html! { button.button.primary type="submit" { "Accept" } }))
    })) } }
}

//! Statements that contradict each other, with both values.

use maud::{Markup, html};

use super::event_href;
use crate::component::{self, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text;
use crate::view::{Divergence, DivergenceRow};

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// Only of this kind.
    #[serde(default)]
    pub kind: Option<String>,
    /// Only about this.
    #[serde(default)]
    pub subject: Option<String>,
}

const KINDS: [(Option<&str>, &str); 6] = [
    (None, "Any kind"),
    (Some("conflict"), "Contradicts"),
    (Some("stale"), "Stale"),
    (Some("not_placed"), "Never placed"),
    (Some("before_placed"), "Before it was placed"),
    (Some("after_cancel"), "After it was cancelled"),
];

/// The page.
pub fn page(divergence: &Divergence, query: &Query, context: &Context) -> Page {
    let rows = &divergence.divergence;
    let live = html! {
        nav.chips aria-label="Kind" {
            @for (kind, name) in KINDS { a.chip href=(context.with("kind", kind)) aria-current=[(query.kind.as_deref() == kind).then_some("true")] { (name) } }
            @if let Some(subject) = &query.subject { a.chip href=(context.with("subject", None)) { "About " b { (text::short(subject)) } span.x aria-hidden="true" { "×" } span.sr { " (remove)" } } }
        }
        @if rows.is_empty() {
            section.card { (empty("No statement contradicts another.", html! { "What vendors say of the same article or order is compared when it is applied." })) }
        } @else {
            section.card aria-label="Divergence" {
                div.scroll tabindex="0" {
                    table.cards {
                        thead { tr { th scope="col" { "About" } th scope="col" { "Kind" } th scope="col" { "Held before" } th scope="col" { "Stated now" } th scope="col" { "By" } th scope="col" { "At" } } }
                        tbody { @for row in rows { (one(row, context)) } }
                    }
                }
                footer { (text::count(rows.len() as u64, "row")) @if divergence.more { "; there may be more" } }
            }
        }
    };
    Page::new(Section::Divergence, "Divergence")
        .lede(html! { "Where statements contradict each other, with both values. Nothing is decided here; the vendor is asked." })
        .actions(html! { a.button href={"/divergence.json?" (context.query)} { "JSON" } })
        .live(live)
}

fn one(row: &DivergenceRow, context: &Context) -> Markup {
    let claim = row.claims.first();
    let value = |value: Option<&serde_json::Value>| html! { @match value { Some(value) => code { (text::short(&value.to_string())) }, None => span.muted { "–" } } };
    html! {
        tr data-row=(component::row_id(&row.id)) {
            td.lead {
                a.main href=(context.with("subject", Some(&row.subject))) { (text::short(&row.subject)) }
                @if let Some(claim) = claim { span.sub { (text::short(&claim.member)) @if row.claims.len() > 1 { " and " (text::count(row.claims.len() as u64 - 1, "further member")) } } }
            }
            td data-label="Kind" { (text::short(&super::capital(&row.kind))) }
            td data-label="Held" { (value(claim.and_then(|claim| claim.held.as_ref()))) }
            td data-label="Stated" { (value(claim.and_then(|claim| claim.stated.as_ref()))) }
            td data-label="By" { @if let Some(vendor) = &row.vendor_id { (text::short(vendor)) } @if let Some(id) = &row.ingest_id { span.sub { a href=(event_href(id)) { code { (text::short(id)) } } } } }
            td data-label="At" { (component::time_age(row.at)) }
        }
    }
}

//! One hour's books, vendor by vendor: what was accepted, and what a second store confirms of it.

use maud::{Markup, html};

use super::vendor_href;
use crate::component::{self, Tone, badge, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, number};
use crate::view::{Hour, HourBooks};

/// The page.
pub fn page(books: &HourBooks, hour: &str, context: &Context) -> Page {
    let live = if books.hours.is_empty() {
        html! { section.card { (empty("No vendor sent anything in this hour.", html! { "The hours around it are on the " a href="/" { "overview" } "." })) } }
    } else {
        html! {
            section.card aria-label="Books" {
                div.scroll tabindex="0" role="region" aria-label="Books by vendor" {
                    table.cards {
                        thead { tr { th scope="col" { "Vendor" } @for name in ["Accepted", "Normalized", "Nothing to state", "Quarantined", "Held", "In flight", "Unaccounted for"] { th.num scope="col" { (name) } } th scope="col" { "Books" } } }
                        tbody { @for line in &books.hours { (row(line)) } }
                    }
                }
            }
        }
    };
    Page::new(Section::Overview, format!("Hour {} UTC", hour.replace('T', " ")))
        .under("/", "Overview")
        .lede(
            html! { "Counted from the ledger, and confirmed by raw objects, documents and quarantine rows." },
        )
        .actions(html! {
            sl-copy text=(context.command(&format!("balance --hour {hour}"))) label="Copy command" {}
            a.button href={(context.path) ".json"} { "JSON" }
        })
        .live(live)
}

fn row(line: &Hour) -> Markup {
    let vendor = line.vendor_id.as_str();
    html! {
        tr data-row=(component::row_id(vendor)) {
            td.lead { (component::row_link(&vendor_href(vendor), text::short(vendor))) }
            @for (name, count) in [("Accepted", line.accepted), ("Normalized", line.normalized), ("Nothing", line.nothing_to_state), ("Quarantined", line.quarantined), ("Held", line.held), ("In flight", line.in_flight)] {
                td.num data-label=(name) { (number(count)) }
            }
            td.num data-label="Unaccounted" { @if line.unaccounted == 0 { "0" } @else { (badge(Tone::Bad, &number(line.unaccounted))) } }
            td data-label="Books" { @if line.unaccounted > 0 { (badge(Tone::Bad, "Do not add up")) } @else { (badge(Tone::Good, "Add up")) } }
        }
    }
}

//! Who did what, when and why: the acts on mappers, vendors, quarantine and operations, joined.

use maud::{Markup, html};

use crate::component::{self, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text;
use crate::view::{Audit, AuditAct};

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// Only what this person did.
    #[serde(default)]
    pub by: Option<String>,
    /// Only of this kind.
    #[serde(default)]
    pub kind: Option<String>,
}

const KINDS: [(Option<&str>, &str); 6] = [
    (None, "All"),
    (Some("operation"), "Operations"),
    (Some("quarantine"), "Quarantine"),
    (Some("mapper"), "Mappers"),
    (Some("vendor"), "Vendors"),
    (Some("conflict"), "Conflicts"),
];

/// Entries shown.
const ENTRIES_SHOWN: usize = 200;

/// The page.
pub fn page(audit: &Audit, query: &Query, context: &Context) -> Page {
    let entries: Vec<&AuditAct> = audit
        .acts
        .iter()
        .filter(|entry| query.kind.as_ref().is_none_or(|kind| entry.on == *kind))
        .filter(|entry| query.by.as_ref().is_none_or(|by| entry.by == *by))
        .collect();
    let mut people: Vec<&String> = audit.acts.iter().map(|entry| &entry.by).collect();
    people.sort_unstable();
    people.dedup();
    let live = html! {
        nav.chips aria-label="Kind" {
            @for (kind, name) in KINDS { a.chip href=(context.with("kind", kind)) aria-current=[(query.kind.as_deref() == kind).then_some("true")] { (name) } }
        }
        @if people.len() > 1 { nav.chips aria-label="Person" {
            @for person in people.iter().take(12) {
                @let chosen = query.by.as_ref() == Some(*person);
                a.chip href=(context.with("by", (!chosen).then_some(person.as_str()))) aria-current=[chosen.then_some("true")] { (text::short(person)) @if chosen { span.x aria-hidden="true" { "×" } span.sr { " (remove)" } } }
            }
        } }
        @for (on, unknown) in &audit.unknown { (component::unknown(&format!("Acts on {on}"), unknown, "they are missing below")) }
        @if entries.is_empty() {
            section.card { (empty("Nobody has done anything of this kind.", html! { "Acts appear here with who and why, from the command line and from this console." })) }
        } @else {
            section.card aria-label="Acts" {
                div.scroll tabindex="0" {
                    table.cards {
                        thead { tr { th scope="col" { "What" } th scope="col" { "On" } th scope="col" { "Who" } th scope="col" { "Why" } th scope="col" { "When" } } }
                        tbody { @for entry in entries.iter().take(ENTRIES_SHOWN) {
                            tr {
                                td.lead { (text::short(&super::capital(&entry.what.replace('-', " ")))) span.sub { (text::short(&entry.on)) } }
                                td data-label="On" { (subject(entry)) }
                                td data-label="Who" { (text::short(&entry.by)) }
                                td data-label="Why" { @match &entry.reason { Some(reason) if !reason.is_empty() => (text::short(reason)), _ => span.muted { "not said" } } }
                                td data-label="When" { (component::time_age(entry.at)) }
                            }
                        } }
                    }
                }
                footer { (text::count(entries.len() as u64, "act")) @if entries.len() > ENTRIES_SHOWN { "; the latest " (ENTRIES_SHOWN) " are shown" } }
            }
        }
    };
    Page::new(Section::Audit, "Audit")
        .lede(html! { "Who did what, when and why. Whether anything is lost is said by " code { (context.command("audit")) } ", which reads and hashes every object." })
        .actions(html! { a.button href={"/audit.json?" (context.query)} { "JSON" } })
        .live(live)
}

fn subject(entry: &AuditAct) -> Markup {
    let href = match entry.on.as_str() {
        "operation" => Some(super::operation_href(&entry.subject)),
        "vendor" => Some(super::vendor_href(&entry.subject)),
        "mapper" => {
            entry.subject.split_once(' ').map(|(vendor, event_type)| super::mapper_href(vendor, event_type))
        }
        "quarantine" if sluice_core::quarantine::is_fingerprint(&entry.subject) => {
            Some(super::group_href(&entry.subject))
        }
        "quarantine" | "conflict" if entry.subject.parse::<sluice_core::id::IngestId>().is_ok() => {
            Some(super::event_href(&entry.subject))
        }
        _ => None,
    };
    html! { @match href { Some(href) => (component::link(&href, &entry.subject)), None => (text::short(&entry.subject)) } }
}

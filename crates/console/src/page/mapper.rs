//! Mappers: what is active, what is tried, what was before, and who decided so.

use maud::{Markup, html};

use super::{mapper_href, vendor_href};
use crate::component::{self, Tone, badge, card, empty, facts, panel};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, number};
use crate::view::{MapperDetail, MapperRow, Mappers, Part, Trial};

/// The list.
pub fn list(mappers: &Mappers, context: &Context) -> Page {
    let live = if mappers.mappers.is_empty() {
        html! { section.card { (empty("No mapper is active.", html! { "Publish one: " code { (context.command("mapper publish BUNDLE_DIR")) } })) } }
    } else {
        html! {
            section.card aria-label="Mappers" { div.scroll tabindex="0" {
                table.cards {
                    thead { tr { th scope="col" { "Mapper" } th scope="col" { "Makes" } th scope="col" { "Bundle" } th.num scope="col" { "Revision" } th scope="col" { "Active since" } th scope="col" { "By" } } }
                    tbody { @for mapper in &mappers.mappers { (row(mapper)) } }
                }
            } }
        }
    };
    Page::new(Section::Mappers, "Mappers")
        .lede(html! { "What each vendor's message means, and which build of it says so." })
        .actions(html! { a.button href="/mappers.json" { "JSON" } })
        .live(live)
}

fn row(mapper: &MapperRow) -> Markup {
    html! {
        tr data-row=(component::row_id(&format!("{}/{}", mapper.vendor_id, mapper.event_type))) {
            td.lead { (component::row_link(&mapper_href(&mapper.vendor_id, &mapper.event_type), html! { (text::short(&mapper.vendor_id)) " " (text::short(&mapper.event_type)) })) @if let Some(canary) = &mapper.canary { span.sub { (badge(Tone::Note, &format!("Canary at {} %", canary.percent))) } } }
            td data-label="Makes" { @if let Some(canonical) = &mapper.canonical { (text::short(&canonical.kind)) " " (text::short(&canonical.version)) } }
            td data-label="Bundle" { (text::digest(&mapper.bundle)) }
            td.num data-label="Revision" { (mapper.revision) }
            td data-label="Since" { @if let Some(at) = mapper.activated_at { (component::time_age(at)) } }
            td data-label="By" { @if let Some(by) = &mapper.activated_by { (text::short(by)) } @if let Some(reason) = &mapper.reason { span.sub { (text::short(reason)) } } }
        }
    }
}

/// One of them.
pub fn page(detail: &MapperDetail, context: &Context) -> Page {
    let title = format!("{} {}", detail.vendor_id, detail.event_type);
    Page::new(Section::Mappers, title)
        .under("/mappers", "Mappers")
        .lede(html! { "Mapper of " a href=(vendor_href(&detail.vendor_id)) { (text::short(&detail.vendor_id)) } " for " (text::short(&detail.event_type)) "." })
        .actions(html! {
            sl-copy text=(context.command(&format!("mapper history {} {}", detail.vendor_id, detail.event_type))) label="Copy command" {}
            a.button href={(context.path) ".json"} { "JSON" }
        })
        .live(html! { (trials(detail)) div.aside { div { (history(detail)) } div { (active(detail)) } } })
        .still(html! {
            @if detail.active.is_some() {
                (super::trace::ask(
                    "Lineage",
                    "Which members of a message it reads, what fails if the vendor drops one, and what no fixture exercises.",
                    &format!("{}/trace", context.path),
                    &context.command(&format!("mapper trace {}/{}", detail.vendor_id, detail.event_type)),
                ))
            }
            @if !context.read_only { (acts(detail, context)) }
        })
}

fn active(detail: &MapperDetail) -> Markup {
    let Some(active) = &detail.active else {
        return panel(
            "Active",
            component::nothing(),
            html! { p.muted { "None: such messages wait in quarantine." } },
        );
    };
    let mut list = vec![
        ("Bundle", html! { code { (text::short(&active.bundle)) } }),
        ("Revision", html! { (active.revision) }),
    ];
    list.extend(active.canonical.as_ref().map(|canonical| {
        ("Makes", html! { (text::short(&canonical.kind)) " " (text::short(&canonical.version)) })
    }));
    list.extend(active.activated_at.map(|at| ("Since", component::time(at))));
    list.extend(active.activated_by.as_deref().map(|by| ("By", text::short(by))));
    list.extend(active.reason.as_deref().map(|reason| ("Why", text::long(reason))));
    panel("Active", component::nothing(), facts(list))
}

fn trials(detail: &MapperDetail) -> Markup {
    let trials: Vec<&Trial> =
        detail.trials.iter().filter(|trial| trial.event_type == detail.event_type).collect();
    html! { @for trial in trials {
        @let rate = |failed: u64, events: u64| match events { 0 => "no events yet".to_owned(), events => format!("{}.{} % failed", failed * 100 / events, failed * 1000 / events % 10) };
        section.card aria-label="Canary" {
            header { h2 { "Canary at " (trial.canary.percent) " %" } (component::status(&trial.verdict)) span.muted { (text::digest(&trial.canary.bundle)) } }
            dl.figures {
                @if let Some(counts) = &trial.counts {
                    div { dt { "Candidate" } dd { (number(counts.candidate.events)) small { (rate(counts.candidate.failed, counts.candidate.events)) } } }
                    div { dt { "Active" } dd { (number(counts.active.events)) small { (rate(counts.active.failed, counts.active.events)) } } }
                }
                div { dt { "Judged after" } dd { (number(trial.canary.min_events)) small { "of its own events" } } }
                div { dt { "Taken back when worse by" } dd { (trial.canary.margin) small { "percentage points" } } }
            }
        }
    } }
}

fn history(detail: &MapperDetail) -> Markup {
    if detail.changes.is_empty() {
        return panel("History", component::nothing(), html! { p.muted { "Nothing is recorded." } });
    }
    panel(
        "History",
        component::nothing(),
        html! {
            ol.timeline { @for change in detail.changes.iter().rev().take(50) {
                @let tone = if change.kind.contains("rollback") { Tone::Warn } else { Tone::Good };
                li.(tone.class()) { (tone.shape()) div {
                    p { strong { (text::short(&super::capital(&change.kind.replace('-', " ")))) } " " @if let Some(from) = &change.from { (text::digest(from)) " → " } (text::digest(&change.to)) " " span.muted { "revision " (change.revision) } }
                    p { "by " (text::short(&change.by)) @if !change.reason.is_empty() { ": " (text::long(&change.reason)) } }
                    @if let Some(forced) = &change.forced { p.warn-text { "! forced, against: " (text::long(&forced.to_string())) } }
                    p.when { (component::time(change.at)) }
                } }
            } }
        },
    )
}

fn acts(detail: &MapperDetail, context: &Context) -> Markup {
    let known: Vec<&str> = match &detail.candidates {
        Some(Part::Known(list)) => list.iter().map(|one| one.bundle.as_str()).collect(),
        _ => Vec::new(),
    };
    html! { div.grid {
        (card("Promote", component::nothing(), html! { div.body {
            p.muted { "The bundle becomes active within two seconds. With a share it is a canary: it is taken back by itself when it fails more often. Prove it first, on the page of a group." }
            form.form method="post" action={(context.path) "/promote"} {
                label.field { span { "Bundle" } input name="bundle" list="bundles" required pattern="[0-9a-f]{8,64}" placeholder="Digest, 8 digits or more" autocomplete="off"; }
                datalist #bundles { @for bundle in known { option value=(bundle) {} } }
                label.field { span { "Share of events, in percent" } input type="number" name="canary" min="1" max="99" placeholder="All"; }
                label.field { span { "Reason" } input name="reason" required maxlength="500" autocomplete="off"; }
                div { button.button.primary type="submit" { "Promote" } }
            }
        } }))
        (card("Roll back", component::nothing(), html! { div.body {
            p.muted { "Ends a canary that is on; else the mapper that was active before becomes active again." }
            (super::reason_form(&format!("{}/rollback", context.path), "Reason", html! { button.button.danger type="submit" { "Roll back" } }))
        } }))
    } }
}

//! One event: its life step by step, the stored bytes, what they became, and what one can do about
//! it.

use maud::{Markup, html};

use super::{execution_href, group_href, mapper_href, reason_form, vendor_href};
use crate::component::{self, Tone, alert, card, facts, panel};
use crate::json;
use crate::layout::{Page, Section};
use crate::raw::{self, Way};
use crate::server::Context;
use crate::text;
use crate::view::{Event, Part};

/// Canonical documents shown; the rest is a download.
const DOCUMENTS_SHOWN: usize = 3;

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// How the raw bytes are shown.
    #[serde(default)]
    pub raw: Option<String>,
}

/// The page.
pub fn page(event: &Event, query: &Query, context: &Context) -> Page {
    let id = &event.ingest_id;
    let open = event.quarantine.as_ref().is_some_and(|row| row.status == "OPEN");
    let mut page = Page::new(Section::Events, format!("Event {id}")).under("/events", "Events");
    page.heading = Some(html! { "Event " code { (text::short(id)) } });
    page.lede(html! {
        (component::status(&event.status)) " " (component::link(&vendor_href(&event.vendor_id), &event.vendor_id)) ", " (text::short(&event.event_type))
        " " (text::short(&event.schema_version)) ", received " (component::time(event.received_at))
    })
    .actions(html! {
        sl-copy text=(context.command(&format!("show {id}"))) label="Copy command" {}
        @if event.status != "RECEIVED" { a.button href={(context.path) "/case"} download title="All that its outcome follows from, for sluice case verify. It has personal values, as the message does." { "Case" } }
        a.button href={(context.path) ".json"} { "JSON" }
    })
    .live(html! { (cause(event)) (hold(event)) div.aside { div { (timeline(event)) (graph(event)) } div { (about(event)) (entities(event)) } } })
    .still(html! {
        @if !context.read_only { (acts(event, open, context)) }
        @if event.status != "RECEIVED" {
            (super::trace::ask(
                "Where does this come from",
                "One member of the message is changed at a time and the mapper is run again: what moves comes from that member.",
                &format!("{}/trace", context.path),
                &context.command(&format!("mapper trace {id}")),
            ))
        }
        div.split { div { (raw::viewer(&event.raw, Way::named(query.raw.as_deref()), &format!("{}/raw", context.path), context)) } div { (normalized(event, context)) } }
    })
}

fn cause(event: &Event) -> Markup {
    let Some(row) = &event.quarantine else { return component::nothing() };
    let (tone, title) = match row.status.as_str() {
        "OPEN" => (Tone::Bad, "It waits in quarantine"),
        "RELEASED" => (Tone::Good, "It was in quarantine, and was released"),
        _ => (Tone::Warn, "It was discarded: it is kept, and is not run again"),
    };
    alert(
        tone,
        title,
        html! {
            p { (text::long(&row.cause.message)) " " span.muted { "(" code { (text::short(&row.cause.code)) } ", " (text::count(row.attempts, "attempt")) ")" } }
            @if !row.cause.errors.is_empty() {
                ul { @for fault in row.cause.errors.iter().take(8) {
                    li { code { (text::short(if fault.pointer.is_empty() { "(the payload)" } else { &fault.pointer })) } " " (text::long(&fault.message)) }
                } }
            }
            p { a href=(group_href(&row.fingerprint)) { "Everything that fails alike" } }
        },
    )
}

fn hold(event: &Event) -> Markup {
    let Some(hold) = &event.hold else { return component::nothing() };
    match &hold.accepted {
        Some(note) => alert(
            Tone::Good,
            "It was held, and was let go on",
            html! { p { "by " (text::short(&note.by)) ": " (text::long(&note.reason)) } },
        ),
        None => alert(
            Tone::Warn,
            "It is held until a person lets it go on",
            html! { p { (text::long(&hold.message)) } },
        ),
    }
}

fn timeline(event: &Event) -> Markup {
    panel(
        "Life",
        component::nothing(),
        html! {
            ol.timeline {
                @for step in &event.lifecycle {
                    @let tone = match step.stage.as_str() { "quarantined" => Tone::Bad, "normalized" | "released" | "accepted" => Tone::Good, _ => Tone::Note };
                    li.(tone.class()) {
                        (tone.shape())
                        div { p { strong { (text::short(&super::capital(&step.stage))) } " " (text::long(&step.detail)) } p.when { (component::time(step.at)) } }
                    }
                }
            }
        },
    )
}

fn graph(event: &Event) -> Markup {
    match &event.run {
        None => component::nothing(),
        Some(Part::Unknown(unknown)) => component::unknown("Execution", unknown, "its states are not drawn"),
        Some(Part::Known(run)) => super::executions::graph(run),
    }
}

fn about(event: &Event) -> Markup {
    let mut list = vec![
        ("External id", text::short(&event.external_event_id)),
        ("Occurred", component::time(event.occurred_at)),
        ("Payload SHA-256", text::digest(&event.payload_sha256)),
    ];
    list.extend(event.delivery_id.as_deref().map(|id| ("Delivery", text::short(id))));
    list.extend(event.execution.as_ref().map(|run| {
        let run = html! {
            a href=(execution_href(&run.arn)) { (text::short(&run.name)) } " " (component::status(&run.status))
            @if run.redrive_count > 0 { " " span.muted { "redriven " (text::count(run.redrive_count, "time")) } }
            @if let Some(link) = &run.link { " " a href=(link) rel="noreferrer" { "AWS console" } }
        };
        ("Execution", run)
    }));
    list.push((
        "Object",
        html! { code { "s3://" (text::short(&event.raw.bucket)) "/" (text::long(&event.raw.key)) } },
    ));
    panel("About", component::nothing(), facts(list))
}

fn entities(event: &Event) -> Markup {
    let Some(state) = &event.canonical_state else { return component::nothing() };
    panel(
        "Canonical state",
        component::nothing(),
        html! {
            ul { @for entity in state.entities.iter().take(20) { li { code { (text::short(entity)) } } } }
            @if state.entities.len() > 20 { p.muted { "and " (text::count(state.entities.len() as u64 - 20, "further entity")) } }
            @if !state.complete { p { (component::badge(Tone::Note, "Not all of it is in yet")) } }
        },
    )
}

fn normalized(event: &Event, context: &Context) -> Markup {
    if let Some(nothing) = &event.nothing {
        return panel(
            "Normalized",
            component::nothing(),
            html! { p { "This message has nothing to state: " (text::long(&nothing.message)) } },
        );
    }
    let Some(document) = &event.normalized else {
        return panel(
            "Normalized",
            component::nothing(),
            html! { p.muted { "There is no canonical document: the event is not normalized." } },
        );
    };
    let download = format!("{}/normalized", context.path);
    let beside = html! { a.button.small href=(download) download { "Download" } };
    card(
        &format!("{} {}", document.event_type, document.schema_version),
        beside,
        html! {
            @for one in document.documents.iter().take(DOCUMENTS_SHOWN) {
                @let written = serde_json::to_string(one).unwrap_or_default();
                pre.code tabindex="0" role="region" aria-label="Canonical document" { (json::pretty(&written, &download).unwrap_or_else(component::nothing)) }
            }
            @if document.documents.len() > DOCUMENTS_SHOWN {
                div.body { p.muted { (text::count((document.documents.len() - DOCUMENTS_SHOWN) as u64, "further document")) ": " a href=(download) download { "download all" } } }
            }
            footer {
                "by bundle " a href=(mapper_href(&event.vendor_id, &event.event_type)) { (text::digest(&document.bundle)) } ", " (text::number(document.fuel)) " fuel, SHA-256 " (text::digest(&document.sha256)) " "
                @match &document.problem { None => span.good-text { "✓ verified" }, Some(problem) => span.bad-text { "✗ " (text::long(problem)) } }
            }
        },
    )
}

fn acts(event: &Event, open: bool, context: &Context) -> Markup {
    html! {
        section.card aria-label="Actions" {
            header { h2 { "Actions" } }
            div.body {
                @if open {
                    form method="post" action="/operations" {
                        input type="hidden" name="event" value=(event.ingest_id);
                        button.button.primary type="submit" { "Redrive…" }
                        " " span.muted { "The plan is shown first." }
                    }
                }
                @if event.hold.as_ref().is_some_and(|hold| hold.accepted.is_none()) {
                    (reason_form(&format!("{}/accept", context.path), "Reason for letting it go on", html! { button.button type="submit" { "Let it go on" } }))
                }
                p.muted { "As a redacted test of its mapper:" }
                (component::command(&context.command(&format!("mapper fixture {}", event.ingest_id))))
            }
        }
    }
}

//! Executions of the state machines, and one of them state by state.

use maud::{Markup, PreEscaped, html};
use sluice_asl::{Definition, MachineType};

use super::{event_href, execution_href};
use crate::component::{self, Tone, alert, card, empty, facts, panel};
use crate::json;
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count};
use crate::view::{ExecutionDetail, ExecutionRow, Executions, HistoryEntry, Part};

/// Events of a history that are shown; the rest is in the JSON.
const HISTORY_SHOWN: usize = 120;

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// Which machine.
    #[serde(default)]
    pub machine: Option<String>,
    /// Only with this status.
    #[serde(default)]
    pub status: Option<String>,
}

const STATUSES: [(Option<&str>, &str); 6] = [
    (None, "Any status"),
    (Some("FAILED"), "Failed"),
    (Some("RUNNING"), "Running"),
    (Some("SUCCEEDED"), "Succeeded"),
    (Some("TIMED_OUT"), "Timed out"),
    (Some("ABORTED"), "Aborted"),
];

/// The list.
pub fn list(executions: &Executions, query: &Query, context: &Context) -> Page {
    let machine = executions.machine.as_ref();
    let chips = html! {
        nav.chips aria-label="State machine" {
            @for one in &executions.machines {
                @let chosen = machine.is_some_and(|machine| machine.name == one.name);
                a.chip href=(context.with("machine", Some(&one.name))) aria-current=[chosen.then_some("true")] { (text::short(&one.name)) @if one.express { span.muted { " express" } } }
            }
        }
        nav.chips aria-label="Status" {
            @for (status, name) in STATUSES {
                a.chip href=(context.with("status", status)) aria-current=[(query.status.as_deref() == status).then_some("true")] { (name) }
            }
        }
    };
    let express = machine.is_some_and(|machine| machine.express);
    let body = if executions.executions.is_empty() {
        let (why, next) = if express {
            (
                "An express machine keeps no list of its executions.",
                html! { "What failed is in quarantine, and its log has the states." },
            )
        } else {
            ("No execution matches.", html! { "One starts when an event is quarantined, or is replayed." })
        };
        html! { section.card { (empty(why, next)) } }
    } else {
        html! {
            section.card aria-label="Executions" {
                div.scroll tabindex="0" {
                    table.cards {
                        thead { tr { th scope="col" { "Execution" } th scope="col" { "Status" } th scope="col" { "Started" } th scope="col" { "Duration" } th.num scope="col" { "Redrives" } th scope="col" { "Redrivable until" } } }
                        tbody { @for execution in &executions.executions { (row(execution)) } }
                    }
                }
                footer { (count(executions.executions.len() as u64, "execution")) @if executions.next_token.is_some() { "; there are more" } }
            }
        }
    };
    Page::new(Section::Executions, "Executions")
        .lede(html! { "Runs of the state machines, the latest start first." })
        .actions(html! { a.button href={"/executions.json?" (context.query)} { "JSON" } })
        .live(html! { (chips) (body) })
}

fn row(execution: &ExecutionRow) -> Markup {
    html! {
        tr data-row=(component::row_id(&execution.arn)) {
            td.lead { (component::row_link(&execution_href(&execution.arn), html! { code { (text::short(&execution.name)) } })) }
            td data-label="Status" { (component::status(&execution.status)) }
            td data-label="Started" { (component::time_age(execution.started_at)) }
            td data-label="Duration" { (duration(execution.started_at, execution.stopped_at)) }
            td.num data-label="Redrives" { (execution.redrive_count) }
            td data-label="Redrivable until" { @match execution.redrivable_until { Some(until) => (component::time_age(until)), None => span.muted { "–" } } }
        }
    }
}

fn duration(from: jiff::Timestamp, to: Option<jiff::Timestamp>) -> Markup {
    html! {
        @match to {
            None => span.muted { "still running" },
            Some(to) => (text::duration(u64::try_from(to.duration_since(from).as_millis()).unwrap_or_default())),
        }
    }
}

/// One of them.
pub fn page(detail: &ExecutionDetail, context: &Context) -> Page {
    let run = &detail.execution;
    let mut page =
        Page::new(Section::Executions, format!("Execution {}", run.name)).under("/executions", "Executions");
    page.heading = Some(html! { "Execution " code { (text::short(&run.name)) } });
    // The machines name their executions by the event.
    let event = run.name.get(..26).filter(|id| id.parse::<sluice_core::id::IngestId>().is_ok());
    page.lede(html! { (component::status(&run.status)) " of " (text::short(&detail.machine)) ", started " (component::time(run.started_at)) })
        .actions(html! {
            @if let Some(link) = &run.link { a.button href=(link) rel="noreferrer" { "AWS console" } }
            a.button href={(context.path) ".json"} { "JSON" }
        })
        .live(html! { (failure(detail)) (graph(detail)) (history(detail)) })
        .still(html! {
            div.grid {
                (panel("About", component::nothing(), {
                    let mut list = vec![
                        ("ARN", html! { code { (text::long(&run.arn)) } }),
                        ("Duration", duration(run.started_at, run.stopped_at)),
                        ("Redrives", html! { (run.redrive_count) }),
                    ];
                    list.extend(event.map(|id| ("Event", html! { a href=(event_href(id)) { code { (id) } } })));
                    list.extend(run.redrivable_until.map(|until| ("Redrivable until", component::time(until))));
                    list.extend(run.redrive_reason.as_deref().map(|reason| ("Not redrivable", text::long(reason))));
                    facts(list)
                }))
                (document("Input", detail.input.as_deref(), context))
                (document("Output", detail.output.as_deref(), context))
            }
        })
}

fn failure(detail: &ExecutionDetail) -> Markup {
    let Some(error) = &detail.error else { return component::nothing() };
    alert(Tone::Bad, error, html! { @if let Some(cause) = &detail.cause { p { (text::long(cause)) } } })
}

/// The states, drawn of the definition and the history.
pub(crate) fn graph(detail: &ExecutionDetail) -> Markup {
    let history = detail.history.as_ref().and_then(Part::known);
    let events: Vec<sluice_graph::Event> =
        history.map_or(&[][..], |history| &history.events).iter().map(event).collect();
    let Ok(definition) = Definition::parse(&detail.definition, MachineType::Standard) else {
        return panel(
            "States",
            component::nothing(),
            html! { p.muted { "The definition of this execution is not one that can be drawn. Its history is below." } },
        );
    };
    let run = sluice_graph::Run::from_history(&events);
    let drawn = sluice_graph::Graph::of(&definition);
    let options = sluice_graph::Options { title: "States of the execution", id: "run", ..Default::default() };
    let beside = html! { span.muted { (text::short(&detail.machine)) } };
    card(
        "States",
        beside,
        html! {
            // Every text in the picture was escaped when it was drawn.
            div.graph role="region" aria-label="Execution graph" tabindex="0" { (PreEscaped(shown_in_svg(&drawn.svg(&run, &options)))) }
            div.body { details { summary { "In words" } ul { @for item in drawn.outline(&run) {
                li { @if !item.name.is_empty() { strong { (text::short(&item.name)) } ": " } (text::long(&item.text)) }
            } } } }
        },
    )
}

/// A picture without characters that cannot be seen: there is no markup within an SVG's texts that
/// could name them.
fn shown_in_svg(svg: &str) -> String {
    svg.chars().map(|c| if c != '\n' && text::is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

fn event(entry: &HistoryEntry) -> sluice_graph::Event {
    sluice_graph::Event {
        id: entry.id,
        previous: entry.previous_event_id,
        at_ms: entry.at.as_millisecond(),
        kind: entry.kind.clone(),
        state: entry.state.clone(),
        error: entry.error.clone(),
        cause: entry.cause.clone(),
        length: entry.index.filter(|_| entry.kind == "MapStateStarted"),
    }
}

fn history(detail: &ExecutionDetail) -> Markup {
    let events: &[HistoryEntry] = match &detail.history {
        None => return component::nothing(),
        Some(Part::Unknown(unknown)) => {
            return component::unknown("History", unknown, "its states are not known");
        }
        Some(Part::Known(history)) => &history.events,
    };
    card(
        "History",
        html! { span.muted { (count(events.len() as u64, "event")) } },
        html! {
            div.scroll tabindex="0" role="region" aria-label="History" {
                table.cards {
                    thead { tr { th.num scope="col" { "#" } th scope="col" { "Event" } th scope="col" { "State" } th scope="col" { "What" } th scope="col" { "At" } } }
                    tbody { @for entry in events.iter().take(HISTORY_SHOWN) {
                        tr {
                            td.num data-label="#" { (entry.id) }
                            td data-label="Event" { (text::short(&entry.kind)) }
                            td data-label="State" { @if let Some(state) = &entry.state { (text::short(state)) } }
                            td data-label="What" {
                                @if let Some(error) = &entry.error { span.bad-text { "✗ " (text::short(error)) } " " }
                                @if let Some(cause) = entry.cause.as_ref().or(entry.output.as_ref()).or(entry.input.as_ref()) { span.clip { (text::short(cause)) } }
                            }
                            td.nowrap data-label="At" { (component::time(entry.at)) }
                        }
                    } }
                }
            }
            @if events.len() > HISTORY_SHOWN { footer { (count((events.len() - HISTORY_SHOWN) as u64, "further event")) ": in the JSON of this page" } }
        },
    )
}

fn document(title: &str, content: Option<&str>, context: &Context) -> Markup {
    let Some(content) = content else { return component::nothing() };
    let all = format!("{}.json", context.path);
    card(
        title,
        component::nothing(),
        html! {
            pre.code tabindex="0" role="region" aria-label=(title) { @match json::pretty(content, &all) { Some(read) => (read), None => (text::cut(content, 4_000, Some(&all))) } }
        },
    )
}

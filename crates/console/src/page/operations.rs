//! Operations: bulk acts as durable objects. One that is planned shows what it would do, one that
//! runs how far it is.

use maud::{Markup, html};

use super::{event_href, group_href, operation_href, reason_form};
use crate::chart::meter;
use crate::component::{self, Tone, alert, card, empty, facts, panel};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count, number};
use crate::view::{Operation, OperationDetail, Operations};

/// With more items than this, starting needs their number typed.
pub const TYPED_ABOVE: u64 = 100;

/// How fast, and when it stops by itself.
pub fn pace_fields() -> Markup {
    html! {
        details {
            summary { "Pace and error budget" }
            div.row {
                label.field { span { "Started per second" } input type="number" name="per_second" value="50" min="1" max="300"; }
                label.field { span { "Stop when so many % fail" } input type="number" name="budget_percent" value="10" min="1" max="100"; }
            }
        }
    }
}

/// The list.
pub fn list(operations: &Operations, context: &Context) -> Page {
    let live = if operations.operations.is_empty() {
        let next = html! { "A redrive of a group is one: open a group in " a href="/quarantine" { "quarantine" } ", or " code { (context.command("operations ls")) } "." };
        html! { section.card { (empty("No bulk act was ever planned.", next)) } }
    } else {
        html! {
            section.card aria-label="Operations" {
                div.scroll tabindex="0" {
                    table.cards {
                        thead { tr { th scope="col" { "Operation" } th scope="col" { "Status" } th.num scope="col" { "Items" } th scope="col" { "Progress" } th scope="col" { "Who and why" } th scope="col" { "Planned" } } }
                        tbody { @for operation in &operations.operations { (row(operation)) } }
                    }
                }
            }
        }
    };
    Page::new(Section::Operations, "Operations")
        .lede(html! { "Redrives, replays and moves of dead letters. They go on when this browser, and this console, are gone." })
        .actions(html! { a.button href="/operations.json" { "JSON" } })
        .live(live)
}

fn row(operation: &Operation) -> Markup {
    html! {
        tr data-row=(component::row_id(&operation.operation_id)) {
            td.lead {
                (component::row_link(&operation_href(&operation.operation_id), text::short(&super::capital(&words(&operation.kind)))))
                span.sub { (text::short(&operation.plan.what)) }
            }
            td data-label="Status" { (component::status(&operation.status)) }
            td.num data-label="Items" { (number(operation.plan.items)) }
            td data-label="Progress" { (progress(operation)) span.sub { (number(operation.finished)) " ended, " (number(operation.failed)) " failed" } }
            td data-label="Who" { (text::short(operation.started_by.as_deref().unwrap_or(&operation.planned_by))) @if let Some(reason) = &operation.reason { span.sub { (text::short(reason)) } } }
            td data-label="Planned" { (component::time_age(operation.created_at)) }
        }
    }
}

/// `deadLetters` as `dead letters`.
fn words(kind: &str) -> String {
    let mut words = String::new();
    for c in kind.chars() {
        if c.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn progress(operation: &Operation) -> Markup {
    let (all, failed, in_flight) = (operation.finished, operation.failed, operation.in_flight.len() as u64);
    let parts = [
        (all.saturating_sub(failed), "b-good", "done"),
        (failed, "b-bad", "failed"),
        (in_flight, "b-open", "in progress"),
        (operation.waiting, "b-none", "to do"),
    ];
    meter(&parts, "Progress")
}

/// One of them.
pub fn page(detail: &OperationDetail, context: &Context) -> Page {
    let operation = &detail.operation;
    let title = format!("{}: {}", super::capital(&words(&operation.kind)), operation.plan.what);
    Page::new(Section::Operations, title)
        .under("/operations", "Operations")
        .lede(html! { (component::status(&operation.status)) " " code { (text::short(&operation.operation_id)) } ", planned by " (text::short(&operation.planned_by)) " " (component::age(operation.created_at)) })
        .actions(html! {
            sl-copy text=(context.command(&format!("operations show {}", operation.operation_id))) label="Copy command" {}
            a.button href={(context.path) ".json"} { "JSON" }
        })
        .live(html! {
            (state(operation))
            (figures(operation))
            (outcomes(detail))
        })
        .still(html! {
            div.aside {
                div { (plan(operation)) (acts(detail)) }
                div { @if !context.read_only { (controls(operation, context)) } (about(operation)) }
            }
        })
}

fn state(operation: &Operation) -> Markup {
    let why = operation.failure.as_deref().map(|failure| html! { p { (text::long(failure)) } });
    let (tone, title) = match operation.status.as_str() {
        "planned" => (
            Tone::Note,
            "Planned: nothing has been run yet. What is shown below is frozen, and is what would be run."
                .to_owned(),
        ),
        "running" => (Tone::Note, "Running. It goes on without this browser.".to_owned()),
        "paused" => {
            (Tone::Warn, "Paused: nothing more is begun; what was in progress comes to its end.".to_owned())
        }
        "stopping" => (Tone::Warn, "Stopping: nothing more is begun.".to_owned()),
        "stopped" if operation.stopped.as_deref() == Some("error_budget") => {
            (Tone::Bad, "Stopped by its error budget: too many failed again.".to_owned())
        }
        "stopped" => (Tone::Warn, "Stopped by a person.".to_owned()),
        "completed" if operation.failed == 0 => (
            Tone::Good,
            format!("Done: {} came to their end, none failed.", count(operation.finished, "item")),
        ),
        "completed" => (Tone::Warn, format!("Done: {} failed again.", count(operation.failed, "item"))),
        "failed" => (Tone::Bad, "Its execution failed. Resume it to go on.".to_owned()),
        other => (Tone::Plain, super::capital(other)),
    };
    alert(tone, &title, html! { @if let Some(why) = why { (why) } })
}

fn figures(operation: &Operation) -> Markup {
    let (all, failed, in_flight) = (operation.finished, operation.failed, operation.in_flight.len() as u64);
    html! {
        section.card aria-label="Progress" {
            div.body { (progress(operation)) }
            dl.figures {
                div { dt { "Items" } dd { (number(operation.plan.items)) } }
                div { dt { "Good end" } dd { (number(all.saturating_sub(failed))) } }
                div { dt { "Failed" } dd { (number(failed)) } }
                div { dt { "In progress" } dd { (number(in_flight)) } }
                div { dt { "To do" } dd { (number(operation.waiting)) } }
            }
        }
    }
}

fn outcomes(detail: &OperationDetail) -> Markup {
    if detail.failures.is_empty() {
        return component::nothing();
    }
    card(
        "Failures, by cause",
        component::nothing(),
        html! {
            div.scroll tabindex="0" role="region" aria-label="Failures by cause" {
                table.cards {
                    thead { tr { th scope="col" { "Cause" } th.num scope="col" { "Items" } th scope="col" { "Example" } } }
                    tbody { @for failure in &detail.failures {
                        tr {
                            td.lead { (text::short(&super::capital(&failure.outcome))) span.sub { (text::short(&failure.message)) } }
                            td.num data-label="Items" { (number(failure.count)) }
                            td data-label="Example" { @if let Some(example) = &failure.example { @if is_event(example) { a href=(event_href(example)) { code { (text::short(example)) } } } @else { (text::short(example)) } } }
                        }
                    } }
                }
            }
        },
    )
}

fn is_event(name: &str) -> bool {
    name.parse::<sluice_core::id::IngestId>().is_ok()
}

fn plan(operation: &Operation) -> Markup {
    let groups = &operation.plan.groups;
    let listed: u64 = groups.iter().map(|group| group.items).sum();
    card(
        "The plan",
        html! { span.muted { (count(operation.plan.items, "item")) ", SHA-256 " (text::digest(&operation.plan.sha256)) } },
        html! {
            div.scroll tabindex="0" role="region" aria-label="The plan by group" {
                table.cards {
                    thead { tr { th scope="col" { "Group" } th.num scope="col" { "Items" } } }
                    tbody { @for group in groups {
                        tr {
                            td.lead {
                                @if sluice_core::quarantine::is_fingerprint(&group.name) { a href=(group_href(&group.name)) { (text::short(&super::capital(&group.code))) } }
                                @else { (text::short(&group.name)) }
                                span.sub { (text::short(&group.message)) }
                            }
                            td.num data-label="Items" { (number(group.items)) }
                        }
                    } }
                }
            }
            @if operation.plan.items > listed { footer { (count(operation.plan.items - listed, "item")) " in further groups" } }
        },
    )
}

fn controls(operation: &Operation, context: &Context) -> Markup {
    let id = &operation.operation_id;
    let button = |change: &str, label: &str, class: &str| {
        html! {
            (reason_form(&format!("/operations/{id}/{change}"), "Reason", html! { button class={"button " (class)} type="submit" { (label) } }))
        }
    };
    let body = match operation.status.as_str() {
        "planned" if operation.expired || operation.plan.expires_at <= context.now => {
            html! { p { (component::badge(Tone::Warn, "The plan expired")) } p.muted { "What it shows may be out of date. Make a new one." } }
        }
        "planned" => start(operation),
        "running" => {
            html! { (button("pause", "Pause", "primary")) (button("stop", "Stop for good", "danger")) }
        }
        "paused" | "failed" => {
            html! { (button("resume", "Resume", "primary")) (button("stop", "Stop for good", "danger")) }
        }
        "stopped" | "completed" => {
            let rest = operation.waiting + operation.failed;
            html! {
                @if rest == 0 { p.muted { "Nothing is left to do." } }
                @else {
                    form method="post" action="/operations" {
                        input type="hidden" name="rest" value=(id);
                        button.button.primary type="submit" { "Retry the rest: " (count(rest, "item")) "…" }
                    }
                    p.muted { "What was not begun, and what failed. The plan is shown first." }
                }
            }
        }
        _ => html! { p.muted { "It comes to its end." } },
    };
    panel("Actions", component::nothing(), body)
}

/// In proportion: a reason for all, and the number typed for many.
fn start(operation: &Operation) -> Markup {
    let items = operation.plan.items;
    html! {
        form.form method="post" action={"/operations/" (operation.operation_id) "/start"} {
            label.field { span { "Reason" } input name="reason" required maxlength="500" autocomplete="off" placeholder="Ticket, or a sentence"; small { "Kept with your name." } }
            @if items > TYPED_ABOVE {
                label.field { span { "Type " (items) " to confirm" } input name="typed" required inputmode="numeric" pattern=(items) autocomplete="off"; }
            }
            div { button.button.primary type="submit" { "Start: " (count(items, "item")) } }
            p.muted { "The plan holds until " (component::time(operation.plan.expires_at)) "." }
        }
    }
}

fn acts(detail: &OperationDetail) -> Markup {
    if detail.acts.is_empty() {
        return component::nothing();
    }
    panel(
        "Who did what",
        component::nothing(),
        html! {
            ol.timeline { @for act in &detail.acts {
                li.note { (Tone::Note.shape()) div {
                    p { strong { (text::short(&super::capital(&act.verb))) } " by " (text::short(&act.by)) @if let Some(reason) = &act.reason { ": " (text::long(reason)) } }
                    p.when { (component::time(act.at)) }
                } }
            } }
        },
    )
}

fn about(operation: &Operation) -> Markup {
    let mut list = vec![("Pace", html! { "at most " (operation.pace.per_second) " a second" })];
    list.extend(operation.pace.budget.as_ref().map(|budget| ("Stops by itself", html! { "when " (budget.percent) " % of those that ended failed, and no fewer than " (budget.failures_min) })));
    list.extend(operation.reason.as_deref().map(|reason| ("Why", text::long(reason))));
    list.extend(operation.started_at.map(|at| ("Started", component::time(at))));
    list.extend(operation.ended_at.map(|at| ("Ended", component::time(at))));
    list.extend(
        operation
            .retry_of
            .as_deref()
            .map(|id| ("The rest of", html! { a href=(operation_href(id)) { code { (text::short(id)) } } })),
    );
    panel("About", component::nothing(), facts(list))
}

//! Lineage: where the members of one event come from, and what is known of a mapper from its fixtures.
//!
//! It costs runs of the mapper, so it is asked for by a person and is not asked for again by itself.

use maud::{Markup, html};
use serde_json::Value;

use super::{mapper_href, vendor_href};
use crate::component::{self, Tone, badge, card, panel};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count, number};
use crate::view::{Dropped, EventTrace, InputUse, MapperTrace, OutputUse, TracedOutput};

/// Rows of a table; the document has all.
const ROWS_MAX: usize = 30;
/// Inputs of one member that are shown.
const SOURCES_MAX: usize = 3;
/// Characters of a pointer or a value.
const CHARS_MAX: usize = 60;

/// Where the lineage of a page is asked for: the part by htmx, the page without it.
pub fn ask(title: &str, why: &str, href: &str, command: &str) -> Markup {
    card(
        title,
        component::nothing(),
        html! { div.body #trace {
            p.muted { (why) }
            p { a.button href=(href) hx-get=(href) hx-target="#trace" hx-swap="innerHTML" { "Find it" } }
            (component::command(command))
        } },
    )
}

/// One event's.
pub fn event(trace: &EventTrace, context: &Context) -> Page {
    let id = &trace.ingest_id;
    Page::new(Section::Events, format!("Lineage of event {id}"))
        .under("/events", "Events")
        .under(&format!("/events/{}", component::encoded(id)), "Event")
        .lede(html! { "Where each member of its canonical events comes from, found by changing one member of the message of " (component::link(&vendor_href(&trace.vendor_id), &trace.vendor_id)) " at a time." })
        .actions(html! { a.button href={(context.path) ".json"} { "JSON" } })
        .once(event_part(trace, context))
}

fn event_part(trace: &EventTrace, context: &Context) -> Markup {
    let document = format!("{}.json", context.path);
    html! {
        p { "By bundle " a href=(mapper_href(&trace.vendor_id, &trace.event_type)) { (text::digest(&trace.bundle)) } ", " (count(trace.runs, "run")) " in " (number(trace.elapsed_microseconds / 1_000)) " ms. "
            @match trace.reproduces {
                Some(true) => { (badge(Tone::Good, "It gives the stored document")) }
                Some(false) => { (badge(Tone::Bad, "It gives another document than is stored")) }
                None => {}
            }
        }
        @if let Some(fails) = trace.outcome.get("fails") { p { "As it is, the message fails: " (failure(fails)) } }
        @if !trace.outputs.is_empty() {
            div.scroll tabindex="0" { table.cards {
                thead { tr { th scope="col" { "Member" } th scope="col" { "Value" } th scope="col" { "Comes from" } } }
                tbody { @for output in trace.outputs.iter().take(ROWS_MAX) { (output_row(output)) } }
            } }
            (rest(trace.outputs.len() as u64 + trace.more_outputs, ROWS_MAX, &document))
        }
        @if trace.more_links > 0 { p.warn-text { (count(trace.more_links, "more place")) " are moved than are listed: sources may be missing." } }
        (fragile(trace, &document))
        @if !trace.left_out.is_empty() {
            p.warn-text { @if trace.out_of_time { "Not all was tried, the time was over: " } @else { "Not all was tried: " }
                @for (at, left) in trace.left_out.iter().take(8).enumerate() { @if at > 0 { ", " } (cut(&left.name)) " " (number(left.tried)) " of " (number(left.inputs)) }
                @if trace.left_out.len() > 8 { ", and more" } }
        }
        p.muted { (text::short(&trace.holds)) }
    }
}

fn output_row(output: &TracedOutput) -> Markup {
    html! { tr {
        td.lead { code { (cut(&output.pointer)) } }
        td data-label="Value" { (value(&output.value)) }
        td data-label="Comes from" {
            @if output.sources.is_empty() { span.muted { "no single member moves it" } }
            @for source in output.sources.iter().take(SOURCES_MAX) {
                div { (place(&source.origin, &source.pointer)) @if let Some(said) = &source.value { " " (value(said)) } " " span.muted { (by(&source.by)) } }
            }
            @if output.sources.len() > SOURCES_MAX { div.muted { "and " (number((output.sources.len() - SOURCES_MAX) as u64)) " more" } }
        }
    } }
}

/// The changes after which the message comes to something else altogether.
fn fragile(trace: &EventTrace, document: &str) -> Markup {
    let tried = trace.inputs.iter().flat_map(|input| input.tried.iter().map(move |tried| (input, tried)));
    let rows: Vec<_> = tried
        .filter_map(|(input, tried)| {
            let said = if let Some(fails) = tried.effect.get("fails") {
                failure(fails)
            } else if let Some(code) = tried.effect.get("nothing").and_then(Value::as_str) {
                html! { "states nothing: " code { (cut(code)) } }
            } else if let Some(events) = tried.effect.get("maps").and_then(Value::as_u64) {
                html! { strong { "it is mapped" } ", to " (count(events, "event")) }
            } else {
                return None;
            };
            Some((input, tried.change.as_str(), said))
        })
        .collect();
    if rows.is_empty() {
        return component::nothing();
    }
    html! {
        h3 { "If one member were different" }
        div.scroll tabindex="0" { table.cards {
            thead { tr { th scope="col" { "Member" } th scope="col" { "If" } th scope="col" { "Then" } } }
            tbody { @for (input, change, said) in rows.iter().take(ROWS_MAX) { tr {
                td.lead { (place(&input.origin, &input.pointer)) }
                td data-label="If" { (if *change == "absent" { "left out" } else if *change == "type" { "another type" } else { "another value" }) }
                td data-label="Then" { (said) }
            } } }
        } }
        (rest(rows.len() as u64, ROWS_MAX, document))
    }
}

/// A mapper's.
pub fn mapper(trace: &MapperTrace, context: &Context) -> Page {
    Page::new(Section::Mappers, format!("Lineage of {} {}", trace.vendor_id, trace.event_type))
        .under("/mappers", "Mappers")
        .under(&mapper_href(&trace.vendor_id, &trace.event_type), "Mapper")
        .lede(html! { "Which members of a message the active mapper reads, found over its fixtures." })
        .actions(html! { a.button href={(context.path) ".json"} { "JSON" } })
        .once(mapper_part(trace, context))
}

fn mapper_part(trace: &MapperTrace, context: &Context) -> Markup {
    let document = format!("{}.json", context.path);
    let drops: Vec<(&InputUse, &Dropped)> = trace
        .inputs
        .iter()
        .filter_map(|input| Some((input, input.dropped.as_ref()?)))
        .filter(|(_, dropped)| dropped.fail > 0)
        .collect();
    let unread = trace.inputs.iter().filter(|input| !input.read).map(|input| input.member.as_str());
    html! {
        p { (count(trace.messages, "fixture")) " traced, " (number(trace.failing)) " fail as they are, " (count(trace.runs, "run")) " in " (number(trace.elapsed_microseconds / 1_000)) " ms."
            @if let Some(bundle) = &trace.bundle { " Bundle " (text::digest(bundle)) "." } }
        div.scroll tabindex="0" { table.cards {
            thead { tr { th scope="col" { "Member" } th.num scope="col" { "Fixtures" } th scope="col" { "Comes from" } } }
            tbody { @for output in trace.outputs.iter().take(ROWS_MAX) { (use_row(output)) } }
        } }
        (rest(trace.outputs.len() as u64, ROWS_MAX, &document))
        @if !drops.is_empty() {
            h3 { "If the vendor drops a member" }
            div.scroll tabindex="0" { table.cards {
                thead { tr { th scope="col" { "Member" } th.num scope="col" { "Fixtures that fail" } th scope="col" { "How" } } }
                tbody { @for (input, dropped) in drops.iter().take(ROWS_MAX) { tr {
                    td.lead { (place(&input.origin, &input.member)) }
                    td.num data-label="Fail" { (number(dropped.fail)) " of " (number(trace.messages)) }
                    td data-label="How" { @for (at, code) in dropped.codes.keys().take(3).enumerate() { @if at > 0 { ", " } code { (cut(code)) } } }
                } } }
            } }
            (rest(drops.len() as u64, ROWS_MAX, &document))
        }
        (names("In no fixture, though the payload's schema has it", trace.without_a_fixture.inputs.iter().map(String::as_str)))
        (names("Made of no fixture, though the canonical schema has it", trace.without_a_fixture.outputs.iter().map(String::as_str)))
        (names("Moves nothing", unread))
        (names("Fixtures that were not tried", trace.left_out.iter().map(String::as_str)))
        @if trace.inputs_left_out > 0 { p.muted { (count(trace.inputs_left_out, "repetition")) " of members were not tried." } }
        p.muted { (text::short(&trace.holds)) }
    }
}

fn use_row(output: &OutputUse) -> Markup {
    html! { tr {
        td.lead { code { (cut(&output.member)) } }
        td.num data-label="Fixtures" { (number(output.messages)) }
        td data-label="Comes from" {
            @if output.sources.is_empty() { span.muted { "no single member moves it" } }
            @for source in output.sources.iter().take(SOURCES_MAX) { div { (place(&source.origin, &source.member)) " " span.muted { "in " (number(source.messages)) ", " (by(&source.by)) } } }
            @if output.sources.len() > SOURCES_MAX { div.muted { "and " (number((output.sources.len() - SOURCES_MAX) as u64)) " more" } }
        }
    } }
}

fn names<'n>(title: &str, names: impl Iterator<Item = &'n str>) -> Markup {
    const NAMES_MAX: usize = 40;
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return component::nothing();
    }
    panel(
        title,
        component::nothing(),
        html! { p {
            @for (at, name) in names.iter().take(NAMES_MAX).enumerate() { @if at > 0 { ", " } code { (cut(name)) } }
            @if names.len() > NAMES_MAX { " and " (number((names.len() - NAMES_MAX) as u64)) " more" }
        } },
    )
}

fn rest(all: u64, shown: usize, document: &str) -> Markup {
    match all.checked_sub(shown as u64).filter(|more| *more > 0) {
        Some(more) => {
            html! { p.muted { (count(more, "further row")) " in " a href=(document) { "the document" } "." } }
        }
        None => component::nothing(),
    }
}

fn failure(fails: &Value) -> Markup {
    let text = |name: &str| fails.get(name).and_then(Value::as_str).unwrap_or_default();
    html! { code { (cut(text("code"))) } @for more in ["fault", "pointer"] { @if !text(more).is_empty() { " " (cut(text(more))) } } }
}

fn place(origin: &str, pointer: &str) -> Markup {
    html! { @if origin == "meta" { "metadata " } code { (cut(pointer)) } }
}

fn by(changes: &[String]) -> Markup {
    let word = |change: &String| match change.as_str() {
        "absent" => "absence",
        "type" => "type",
        _ => "value",
    };
    html! { "by " (changes.iter().take(3).map(word).collect::<Vec<_>>().join(", ")) }
}

fn value(value: &Value) -> Markup {
    match value {
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> Markup {
    text::cut(text, CHARS_MAX, None)
}

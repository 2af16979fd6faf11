//! One group: the cause in a sentence, what differs from the last good message, the proof that a
//! candidate mends it, and the redrive.

use maud::{Markup, html};

use super::{event_href, mapper_href, reason_form, vendor_href};
use crate::chart::spark;
use crate::component::{self, Tone, alert, card, facts, panel};
use crate::json;
use crate::layout::{Page, Section};
use crate::raw;
use crate::server::Context;
use crate::text::{self, count, number};
use crate::view::{Drift, Event, Finding, GroupDetail, Part};

/// Differences shown.
const DIFFERENCES_SHOWN: usize = 60;

/// What the address says.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct Query {
    /// The event that is shown.
    #[serde(default)]
    pub example: Option<String>,
    /// The mapper whose proof is shown.
    #[serde(default)]
    pub candidate: Option<String>,
}

/// The page.
pub fn page(detail: &GroupDetail, query: &Query, context: &Context) -> Page {
    let group = &detail.group;
    let title = super::quarantine::title(group);
    Page::new(Section::Quarantine, title)
        .under("/quarantine", "Quarantine")
        .lede(html! { (component::status(&group.state)) " group " code { (text::short(&group.fingerprint)) } })
        .actions(html! {
            sl-copy text=(context.command(&format!("quarantine show {}", group.fingerprint))) label="Copy command" {}
            a.button href={(context.path) ".json"} { "JSON" }
        })
        .live(html! { (cause(detail)) (numbers(detail)) })
        .still(html! {
            div.aside {
                div { (example(detail, context)) (difference(detail)) (contract(detail)) }
                div { (fix(detail, query, context)) (acknowledge(detail, context)) (drift(detail)) (facts_card(detail)) }
            }
        })
}

/// `1,000 events of vendorA cannot be mapped: at /qty, must be of type integer, not string.`
fn cause(detail: &GroupDetail) -> Markup {
    let group = &detail.group;
    let vendors: Vec<&str> = group.vendors.keys().map(String::as_str).collect();
    let whose = match vendors.as_slice() {
        [one] => format!("of {one}"),
        many => format!("of {} vendors", many.len()),
    };
    let tone = match group.state.as_str() {
        "RESOLVED" => Tone::Good,
        "ACKNOWLEDGED" => Tone::Warn,
        _ => Tone::Bad,
    };
    html! {
        section.card.hero.(tone.class()) aria-label="Cause" {
            p.sentence {
                @if group.open == 0 { b { "Nothing waits any more. " } "Events " (text::short(&whose)) " could not be mapped: " }
                @else { b { (count(group.open, "event")) } " " (text::short(&whose)) @if group.open == 1 { " cannot be mapped: " } @else { " cannot be mapped: " } }
                @if let Some(pointer) = group.pointer.as_deref().filter(|pointer| !pointer.is_empty()) { "at " code { (text::short(pointer)) } ", " }
                (text::long(&group.message))
                @if let Some(fault) = first_fault(detail) { ", " (text::short(&fault.message)) }
                "."
            }
            p.age {
                "First " (component::age(group.first_seen_at)) ", last " (component::age(group.last_seen_at)) "."
                @if let Some(note) = &group.acknowledged { " Acknowledged by " (text::short(&note.by)) ": " (text::long(&note.reason)) }
            }
        }
    }
}

/// What is wrong with the first member that is wrong, in the example that is shown.
fn first_fault(detail: &GroupDetail) -> Option<&crate::view::Fault> {
    let event = detail.shown.as_ref()?.known()?;
    let fault = event.quarantine.as_ref()?.cause.errors.first()?;
    (detail.group.pointer.as_deref() == Some(fault.pointer.as_str())).then_some(fault)
}

fn numbers(detail: &GroupDetail) -> Markup {
    let group = &detail.group;
    html! {
        section.card aria-label="In numbers" { dl.figures {
            div { dt { "Open" } dd { (number(group.open)) } }
            div { dt { "Released" } dd { (number(group.released)) } }
            div { dt { "Discarded" } dd { (number(group.discarded)) } }
            @if !group.by_hour.is_empty() { div { dt { "Failures, last 24 h" } dd { (spark(&group.by_hour, "Failures by hour")) } } }
        } }
    }
}

/// Where the shown example stands among the events: its number, the one before, the one after.
fn around<'a>(detail: &'a GroupDetail, shown: &str) -> (usize, Option<&'a String>, Option<&'a String>) {
    let at = detail.events.iter().position(|id| id == shown).unwrap_or_default();
    (at + 1, at.checked_sub(1).and_then(|before| detail.events.get(before)), detail.events.get(at + 1))
}

fn example(detail: &GroupDetail, context: &Context) -> Markup {
    let event = match &detail.shown {
        None => return component::nothing(),
        Some(Part::Unknown(unknown)) => return component::unknown("Example", unknown, "no message is shown"),
        Some(Part::Known(event)) => event,
    };
    let (number_of, before, after) = around(detail, &event.ingest_id);
    let step = |rel: &str, to: Option<&String>, label: &str, sign: &str| match to {
        Some(id) => {
            html! { a.button.small rel=(rel) href={(context.with("example", Some(id))) "#example"} aria-label=(label) { (sign) } }
        }
        None => {
            html! { span.button.small aria-disabled="true" aria-label={(label) ": there is none"} role="link" { (sign) } }
        }
    };
    html! {
        section.card #example {
            header {
                h2 { "Example " (number(number_of as u64)) " of " (number(detail.events.len() as u64)) }
                (step("prev", before, "Example before", "←")) (step("next", after, "Example after", "→"))
            }
            div.body {
                p { a href=(event_href(&event.ingest_id)) { code { (text::short(&event.ingest_id)) } } ", " (text::short(&event.external_event_id)) ", received " (component::time(event.received_at)) }
                @if let Some(row) = &event.quarantine { p { (text::long(&row.cause.message)) } }
            }
            (message(event))
        }
    }
}

fn message(event: &Event) -> Markup {
    let all = format!("{}/raw", event_href(&event.ingest_id));
    let content = raw::bytes(&event.raw);
    let text = content.as_deref().map(String::from_utf8_lossy);
    html! {
        @match text {
            None => div.body { p { "The stored request is not there." } },
            Some(text) => pre.code tabindex="0" role="region" aria-label="The message" {
                @match json::pretty(&text, &all) { Some(read) => (read), None => (text::cut(&text, 6_000, Some(&all))) }
            },
        }
    }
}

fn difference(detail: &GroupDetail) -> Markup {
    let Some(Part::Known(shown)) = &detail.shown else { return component::nothing() };
    let good = match &detail.last_good {
        None | Some(Part::Known(None)) => {
            let why = format!(
                "No message of {} {} was ever normalized, so there is nothing to compare with.",
                shown.vendor_id, shown.event_type
            );
            return panel(
                "Beside the last good message",
                component::nothing(),
                html! { p.muted { (text::long(&why)) } },
            );
        }
        Some(Part::Unknown(unknown)) => {
            return component::unknown("Last good message", unknown, "nothing is compared");
        }
        Some(Part::Known(Some(good))) => good,
    };
    let pair = (raw::bytes(&good.raw), raw::bytes(&shown.raw));
    let found = match &pair {
        (Some(good), Some(shown)) => {
            json::differences(&String::from_utf8_lossy(good), &String::from_utf8_lossy(shown))
        }
        _ => None,
    };
    let beside = html! { span.muted { a href=(event_href(&good.ingest_id)) { code { (text::short(&good.ingest_id)) } } ", " (component::age(good.received_at)) } };
    match found {
        None => panel(
            "Beside the last good message",
            beside,
            html! { p.muted { "The two are not both JSON; look at their bytes." } },
        ),
        Some((found, same)) => card(
            "Beside the last good message",
            beside,
            html! {
                @if found.is_empty() { div.body { p.muted { "They have the same values everywhere." } } }
                @else { (json::diff_table(&found[..found.len().min(DIFFERENCES_SHOWN)], ("Last good", "This one"))) }
                footer {
                    (count(same as u64, "value")) " alike"
                    @if found.len() > DIFFERENCES_SHOWN { "; " (count((found.len() - DIFFERENCES_SHOWN) as u64, "further difference")) }
                }
            },
        ),
    }
}

fn contract(detail: &GroupDetail) -> Markup {
    let Some(Part::Known(event)) = &detail.shown else { return component::nothing() };
    let Some(row) = &event.quarantine else { return component::nothing() };
    if row.cause.errors.is_empty() {
        return component::nothing();
    }
    card(
        "Beside the contract",
        component::nothing(),
        html! {
            div.scroll tabindex="0" role="region" aria-label="Faults by the contract" {
                table.cards {
                    thead { tr { th scope="col" { "Where" } th scope="col" { "Rule" } th scope="col" { "What" } } }
                    tbody { @for fault in row.cause.errors.iter().take(40) {
                        tr {
                            td data-label="Where" { code { (text::short(if fault.pointer.is_empty() { "(the payload)" } else { &fault.pointer })) } }
                            td data-label="Rule" { (text::short(&fault.code)) }
                            td data-label="What" { (text::long(&fault.message)) }
                        }
                    } }
                }
            }
        },
    )
}

/// The three steps to a fixed group: a candidate, its proof, the redrive.
fn fix(detail: &GroupDetail, query: &Query, context: &Context) -> Markup {
    let group = &detail.group;
    let (vendor, event_type) = match (group.vendors.keys().next(), group.event_types.keys().next()) {
        (Some(vendor), Some(event_type)) => (vendor, event_type),
        _ => return component::nothing(),
    };
    let mapper = mapper_href(vendor, event_type);
    html! {
        section.card aria-label="Fix it" {
            header { h2 { "Fix it" } }
            div.body {
                ol.steps {
                    li { div {
                        h3 { "Publish a candidate" }
                        p.muted { "It is published and not used yet." }
                        (component::command(&context.command("mapper publish BUNDLE_DIR --no-activate")))
                    } }
                    li { div { h3 { "Prove it" } (prove(detail, query, vendor, event_type, context)) } }
                    li { div {
                        h3 { "Promote it" }
                        p.muted { "On the page of the " a href=(mapper) { "mapper" } ", for all or for a share of the events." }
                    } }
                    li { div {
                        h3 { "Redrive" }
                        @if group.open == 0 { p.muted { "Nothing waits in this group." } }
                        @else if context.read_only { p.muted { "This console is read-only: " code { (context.command(&format!("redrive --group {}", group.fingerprint))) } } }
                        @else {
                            form.form method="post" action="/operations" {
                                input type="hidden" name="group" value=(group.fingerprint);
                                (super::operations::pace_fields())
                                div { button.button.primary type="submit" { "Redrive " (count(group.open, "event")) "…" } }
                            }
                            p.muted { "The plan is shown first: what would be run, how fast, and when it stops by itself." }
                        }
                    } }
                }
            }
        }
    }
}

fn prove(detail: &GroupDetail, query: &Query, vendor: &str, event_type: &str, context: &Context) -> Markup {
    let candidates = match &detail.candidates {
        Some(Part::Unknown(unknown)) => {
            return component::unknown("Candidates", unknown, "published mappers are not known");
        }
        Some(Part::Known(candidates)) => candidates.as_slice(),
        None => &[],
    };
    let chosen = query.candidate.as_deref().unwrap_or_default();
    let proof = format!(
        "/shadow?vendor={}&type={}&candidate={}",
        component::encoded(vendor),
        component::encoded(event_type),
        component::encoded(chosen)
    );
    html! {
        form.row method="get" action=(context.path) {
            label.field { span { "Candidate" } input name="candidate" list="candidates" value=[(!chosen.is_empty()).then_some(chosen)] required placeholder="Digest, 8 digits or more" autocomplete="off" pattern="[0-9a-f]{8,64}"; }
            datalist #candidates { @for candidate in candidates { option value=(candidate.bundle) {} } }
            button.button type="submit" { "Prove" }
        }
        p.muted { "Runs it over stored events, beside the active mapper. Writes nothing." }
        @if !chosen.is_empty() {
            div hx-get=(proof) hx-trigger="load" hx-swap="outerHTML" aria-live="polite" { p { (component::badge(Tone::Note, "Running over stored events")) " " a href=(proof) { "Open by itself" } } }
        }
    }
}

fn acknowledge(detail: &GroupDetail, context: &Context) -> Markup {
    let group = &detail.group;
    if context.read_only || group.open == 0 {
        return component::nothing();
    }
    let label = if group.acknowledged.is_some() { "A further note" } else { "Why it may wait" };
    panel(
        "Acknowledge",
        component::nothing(),
        html! {
            p.muted { "Others see that it is known; it stays until none of the events that are open now is." }
            (reason_form(&format!("{}/acknowledge", context.path), label, html! { button.button type="submit" { "Acknowledge" } }))
        },
    )
}

fn drift(detail: &GroupDetail) -> Markup {
    let drift: &Drift = match &detail.drift {
        None => return component::nothing(),
        Some(Part::Unknown(unknown)) => {
            return component::unknown("Drift", unknown, "what has changed is not known");
        }
        Some(Part::Known(drift)) => drift,
    };
    let findings: Vec<&Finding> = drift
        .findings
        .iter()
        .filter(|finding| detail.group.event_types.contains_key(&finding.event_type))
        .take(8)
        .collect();
    panel(
        "What has changed",
        component::nothing(),
        html! {
            @if findings.is_empty() { p.muted { "No drift was found in this vendor's messages." } }
            ul { @for finding in findings { li { p { (finding_sentence(finding)) } p.muted { "since " (component::age(finding.first_seen_at)) ", in " (count(finding.objects, "message")) } } } }
        },
    )
}

/// A finding in words, with how much it matters.
pub(crate) fn finding_sentence(finding: &Finding) -> Markup {
    let badge = match (finding.breaking, finding.declared) {
        (true, _) => component::badge(Tone::Bad, "Breaking"),
        (false, true) => component::badge(Tone::Warn, "In the contract"),
        (false, false) => component::badge(Tone::Plain, "Harmless"),
    };
    html! {
        (badge) " " code { (text::short(&finding.path)) } " "
        @match (finding.kind.as_str(), &finding.renamed_to) {
            ("renamed", Some(to)) => { "seems to be " code { (text::short(to)) } " now" @if let Some(percent) = finding.similarity_percent { " (" (percent) " % alike)" } },
            ("vanished", _) => "is missing",
            ("retyped", _) => { "is " (text::short(&finding.found.join(" or "))) ", was " (text::short(&finding.expected.join(" or "))) },
            ("new", _) => "is new",
            (other, _) => (text::short(other)),
        }
    }
}

fn facts_card(detail: &GroupDetail) -> Markup {
    let group = &detail.group;
    let mut list = vec![
        ("Vendors", super::tally(&group.vendors, |name| Some(vendor_href(name)))),
        ("Types", super::tally(&group.event_types, |_| None)),
        ("Code", html! { code { (text::short(&group.code)) } }),
        (
            "Runbook",
            html! { code { "docs/" (text::short(detail.runbook.as_deref().unwrap_or("runbooks/redrive.md"))) } },
        ),
    ];
    list.extend(group.bundle.as_deref().map(|bundle| ("Mapper", text::digest(bundle))));
    panel("About", component::nothing(), facts(list))
}

/// What a candidate would do, as a fragment and as a page.
pub fn proof(shadow: &crate::view::Shadow) -> Markup {
    let broken = shadow.newly_broken.events;
    let (tone, title) = match (broken, shadow.fixed.events) {
        (0, 0) => (Tone::Warn, "It breaks nothing, and fixes no stored event".to_owned()),
        (0, fixed) => (Tone::Good, format!("It fixes {} and breaks none", count(fixed, "event"))),
        (broken, _) => {
            (Tone::Bad, format!("It breaks {} that the active mapper maps", count(broken, "event")))
        }
    };
    alert(
        tone,
        &title,
        html! {
            p { "Of " (count(shadow.events, "stored event")) ": " (number(shadow.fixed.events)) " fixed, " (number(shadow.same)) " the same, " (number(shadow.changed.events)) " changed, "
                (number(shadow.still_broken.events)) " still failing, " (number(broken)) " newly failing." @if shadow.truncated { " There are more events than were looked at." } }
            @if !shadow.changed.fields.is_empty() || broken > 0 || shadow.still_broken.events > 0 {
                ul {
                    @for field in shadow.changed.fields.iter().take(12) { li { code { (text::short(&field.pointer)) } " " (text::short(&field.change)) " in " (count(field.events, "event")) } }
                    @for cause in shadow.newly_broken.causes.iter().take(6) { li { "✗ newly: " (text::short(&cause.message)) " (" (count(cause.events, "event")) ")" } }
                    @for cause in shadow.still_broken.causes.iter().take(6) { li { "still: " (text::short(&cause.message)) " (" (count(cause.events, "event")) ")" } }
                }
            }
        },
    )
}

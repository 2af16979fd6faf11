//! Who sends, and how well.

use maud::{Markup, html};

use super::{group_href, mapper_href, reason_form, vendor_href};
use crate::component::{self, Tone, badge, card, empty, facts, panel};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count, number};
use crate::view::{Components, Health, Part, VendorDetail, VendorRow, Vendors};

/// Scores from here are good, and below there bad (docs/vendor-health.md).
const GOOD: u64 = 95;
const BAD: u64 = 80;

/// The list.
pub fn list(vendors: &Vendors, context: &Context) -> Page {
    let health: &[Health] = vendors.health.known().map_or(&[], |days| &days.vendors);
    let live = html! {
        @if let Part::Unknown(unknown) = &vendors.health { (component::unknown("Health", unknown, "vendors are listed without their scores")) }
        @if vendors.vendors.is_empty() {
            section.card { (empty("No vendor is registered.", html! { "Register one: " code { (context.command("vendors add --id ID")) } })) }
        } @else {
            section.card aria-label="Vendors" {
                div.scroll tabindex="0" {
                    table.cards {
                        thead { tr { th scope="col" { "Vendor" } th scope="col" { "State" } th.num scope="col" { "Score today" } th.num scope="col" { "Events today" } th scope="col" { "What lowers it" } th scope="col" { "Types" } } }
                        tbody { @for vendor in &vendors.vendors { (row(vendor, health.iter().find(|health| health.vendor_id == vendor.vendor_id))) } }
                    }
                }
            }
        }
    };
    Page::new(Section::Vendors, "Vendors")
        .lede(html! { "Who sends, and how well: a score of 100 is a day without a fault." })
        .actions(html! { a.button href="/vendors.json" { "JSON" } })
        .live(live)
}

fn row(vendor: &VendorRow, health: Option<&Health>) -> Markup {
    html! {
        tr data-row=(component::row_id(&vendor.vendor_id)) {
            td.lead { (component::row_link(&vendor_href(&vendor.vendor_id), text::short(&vendor.vendor_id))) @if vendor.signs { span.sub { "signs its requests" } } }
            td data-label="State" { (state(vendor.enabled, vendor.on_hold.is_some())) }
            td.num data-label="Score" { (score(health.and_then(|health| health.score))) }
            td.num data-label="Events" { @match health { Some(health) => (number(health.accepted)), None => span.muted { "unknown" } } }
            td data-label="Lowered by" { @match health.map(|health| lowest(&health.components)) { Some(Some((name, share))) => { (name) " " span.muted { (percent(share)) } }, Some(None) => span.muted { "nothing" }, None => span.muted { "unknown" } } }
            td data-label="Types" { (text::short(&vendor.event_types.join(", "))) }
        }
    }
}

fn state(enabled: bool, on_hold: bool) -> Markup {
    html! { (component::status(if enabled { "ENABLED" } else { "DISABLED" })) @if on_hold { " " (badge(Tone::Warn, "On hold")) } }
}

fn score(score: Option<u64>) -> Markup {
    match score {
        None => html! { span.muted { "no events" } },
        Some(score) if score >= GOOD => badge(Tone::Good, &score.to_string()),
        Some(score) if score < BAD => badge(Tone::Bad, &score.to_string()),
        Some(score) => badge(Tone::Warn, &score.to_string()),
    }
}

fn named(components: &Components) -> [(&'static str, Option<f64>); 6] {
    [
        ("validity", components.validity),
        ("conflicts", components.conflicts),
        ("lateness", components.lateness),
        ("drift", components.drift),
        ("duplicates", components.duplicates),
        ("retries", components.retries),
    ]
}

fn lowest(components: &Components) -> Option<(&'static str, f64)> {
    let known = named(components).into_iter().filter_map(|(name, share)| share.map(|share| (name, share)));
    known.filter(|(_, share)| *share < 1.0).min_by(|a, b| a.1.total_cmp(&b.1))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// One of them.
pub fn page(detail: &VendorDetail, context: &Context) -> Page {
    let vendor = &detail.vendor;
    let id = &vendor.vendor_id;
    Page::new(Section::Vendors, id.clone())
        .under("/vendors", "Vendors")
        .lede(html! { (state(vendor.enabled, vendor.on_hold.is_some())) @if !vendor.enabled { " its requests are answered 403; its events stay and go on" } })
        .actions(html! { a.button href={"/events?vendor=" (component::encoded(id))} { "Events" } a.button href={(context.path) ".json"} { "JSON" } })
        .live(html! {
            (hold(detail))
            (health(detail))
            div.grid { (mappers(detail)) (groups(detail)) }
            (drift(detail))
        })
        .still(html! { div.grid { (credentials(detail, context)) @if !context.read_only { (acts(detail, context)) } } })
}

fn hold(detail: &VendorDetail) -> Markup {
    let vendor = &detail.vendor;
    let waiting = html! { a href={"/events?status=HELD&vendor=" (component::encoded(&vendor.vendor_id))} { (count(vendor.waiting, "event")) } };
    match &vendor.on_hold {
        Some(note) => component::alert(
            Tone::Warn,
            "It is on hold: what it sends is accepted, and waits",
            html! {
                p { "By " (text::short(&note.by)) ", " (component::time(note.at)) ": " (text::long(&note.reason)) }
                p { (waiting) " waiting." }
            },
        ),
        None if vendor.waiting > 0 => component::alert(
            Tone::Note,
            "It is not on hold any more, and some events still wait",
            html! { p { (waiting) " waiting. An " a href="/operations" { "operation" } " lets them go; release the vendor again if none is at work." } },
        ),
        None => component::nothing(),
    }
}

fn health(detail: &VendorDetail) -> Markup {
    let days = match &detail.health {
        Part::Unknown(unknown) => return component::unknown("Health", unknown, "its score is not known"),
        Part::Known(days) => days,
    };
    let Some(health) = days.vendors.iter().find(|health| health.vendor_id == detail.vendor.vendor_id) else {
        return component::nothing();
    };
    html! {
        section.card aria-label="Health" {
            header { h2 { "Health" } span.muted { (text::short(&days.day)) " UTC, " (count(health.accepted, "event")) } }
            dl.figures {
                div { dt { "Score" } dd { (score(health.score)) } }
                @for (name, share) in named(&health.components) {
                    div { dt { (super::capital(name)) } dd { @match share { Some(share) => (percent(share)), None => small { "no events" } } } }
                }
            }
        }
    }
}

fn mappers(detail: &VendorDetail) -> Markup {
    let mappers = match &detail.mappers {
        Part::Unknown(unknown) => return component::unknown("Mappers", unknown, "its mappers are not known"),
        Part::Known(mappers) => mappers,
    };
    panel(
        "Mappers",
        component::nothing(),
        html! {
            @if mappers.is_empty() { p.muted { "None is active: what it sends waits in quarantine." } }
            ul { @for mapper in mappers { li { a href=(mapper_href(&mapper.vendor_id, &mapper.event_type)) { (text::short(&mapper.event_type)) } " " span.muted { "revision " (mapper.revision) } @if mapper.canary.is_some() { " " (badge(Tone::Note, "Canary")) } } } }
        },
    )
}

fn groups(detail: &VendorDetail) -> Markup {
    let groups = match &detail.groups {
        Part::Unknown(unknown) => {
            return component::unknown("Quarantine", unknown, "it is not known what waits");
        }
        Part::Known(groups) => groups,
    };
    let mine: Vec<_> = groups
        .groups
        .iter()
        .filter(|group| group.vendors.contains_key(&detail.vendor.vendor_id) && group.open > 0)
        .collect();
    panel(
        "In quarantine",
        component::nothing(),
        html! {
            @if mine.is_empty() { p.muted { "Nothing of this vendor waits." } }
            ul { @for group in mine { li { a href=(group_href(&group.fingerprint)) { (text::short(&super::quarantine::title(group))) } " " span.muted { (number(group.open)) } } } }
        },
    )
}

fn drift(detail: &VendorDetail) -> Markup {
    let drift = match &detail.drift {
        Part::Unknown(unknown) => {
            return component::unknown("Drift", unknown, "what has changed is not known");
        }
        Part::Known(drift) => drift,
    };
    panel(
        "Drift",
        component::nothing(),
        html! {
            @if drift.findings.is_empty() { p.muted { "Its messages are as the contracts and their past have them." } }
            ul { @for finding in drift.findings.iter().take(12) { li { p { (super::group::finding_sentence(finding)) " " span.muted { (text::short(&finding.event_type)) ", " (count(finding.objects, "message")) ", last " (component::age(finding.last_seen_at)) } } } } }
        },
    )
}

fn credentials(detail: &VendorDetail, context: &Context) -> Markup {
    let vendor = &detail.vendor;
    let digests = |list: &[String], none: &str| html! { @if list.is_empty() { span.muted { (none) } } @for (index, digest) in list.iter().enumerate() { @if index > 0 { ", " } code { (text::short(digest)) } } };
    let mut list = vec![
        ("API keys", digests(&vendor.api_keys, "none")),
        ("Webhook secrets", digests(&vendor.webhook_secrets, "none")),
    ];
    list.extend(
        vendor
            .rate_limit
            .as_ref()
            .map(|rate| ("Rate limit", html! { (rate.per_second) " a second, bursts of " (rate.burst) })),
    );
    panel(
        "Credentials",
        component::nothing(),
        html! {
            (facts(list))
            p.muted { "By the first digits of their SHA-256, the oldest first. A new one is shown once, so it is made where you can keep it:" }
            (component::command(&context.command(&format!("vendors rotate-key {}", vendor.vendor_id))))
            @if !vendor.changes.is_empty() {
                details { summary { "Changes" } ul { @for change in vendor.changes.iter().rev().take(20) { li { (text::short(&change.what)) " by " (text::short(&change.by)) ", " (component::age(change.at)) } } } }
            }
        },
    )
}

fn acts(detail: &VendorDetail, context: &Context) -> Markup {
    let vendor = &detail.vendor;
    let (change, label, class, what) = if vendor.enabled {
        (
            "disable",
            "Disable",
            "button danger",
            "Its requests are answered 403 within two seconds. What was accepted stays and goes on.",
        )
    } else {
        ("enable", "Enable", "button primary", "Its requests are taken again within two seconds.")
    };
    let release = html! {
        p.muted { "New events pass within two seconds. Those that wait are let go by an operation, 50 a second." }
        (reason_form(&format!("{}/release", context.path), "Reason for the release", html! { button.button.primary type="submit" { "Release" } }))
    };
    card(
        "Actions",
        component::nothing(),
        html! { div.body {
            @if vendor.on_hold.is_some() || vendor.waiting > 0 { (release) }
            @if vendor.on_hold.is_none() {
                p.muted { "On hold, what it sends is accepted and kept, and is not normalized until you release it." }
                (reason_form(&format!("{}/hold", context.path), "Reason for the hold", html! { button.button type="submit" { "Hold" } }))
            }
            p.muted { (what) }
            (reason_form(&format!("{}/{change}", context.path), "Reason", html! { button class=(class) type="submit" { (label) } }))
        } },
    )
}

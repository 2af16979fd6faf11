//! The first page: whether anything is lost, in one sentence; then what waits, and where.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{event_href, group_href, mapper_href};
use crate::chart::{Bar, Books, strip};
use crate::component::{self, Tone, badge, card, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count, number};
use crate::view::{Balance, Books as StoredBooks, Canary, HourSum, InFlight, Lag, Overview, Part, Waiting};

/// Groups shown; the rest is a link.
const GROUPS_SHOWN: usize = 6;

/// Longer than this in flight, and `reconcile` runs an event again.
const STUCK_SECONDS: i64 = 15 * 60;

/// The page.
pub fn page(overview: &Overview, context: &Context) -> Page {
    let live = html! {
        (hero(overview))
        @if let Part::Known(balance) = &overview.balance { (figures(balance, &overview.quarantine)) }
        (hours(&overview.books))
        div.aside {
            div { (groups(&overview.quarantine, context)) }
            div {
                (in_flight(&overview.in_flight, context.now))
                (canaries(&overview.canaries))
                (lag(&overview.queues))
            }
        }
    };
    Page::new(Section::Overview, "Overview").live(live)
}

/// The last hour whose books were closed, for when the balance itself is not known.
fn last_closed(books: &Part<StoredBooks>) -> String {
    let closed = books.known().and_then(|books| books.hours.iter().rev().find(|hour| hour.state == "closed"));
    match closed.and_then(|hour| hour.count.as_ref().map(|count| (hour, count))) {
        Some((hour, count)) => format!(
            "last closed hour {} UTC: {} accepted, {} unaccounted for",
            clock(&hour.hour),
            number(count.accepted),
            number(hour.unaccounted)
        ),
        None => "no closed hour is known either".to_owned(),
    }
}

/// `2026-11-21T13` as `13:00`.
fn clock(hour: &str) -> String {
    format!("{}:00", hour.rsplit('T').next().unwrap_or(hour))
}

fn hero(overview: &Overview) -> Markup {
    let balance = match &overview.balance {
        Part::Known(balance) => balance,
        Part::Unknown(unknown) => {
            return component::unknown("Balance", unknown, last_closed(&overview.books));
        }
    };
    let (tone, verdict) = match (balance.unaccounted, balance.quarantined) {
        (0, 0) => (Tone::Good, "Nothing is lost, and nothing waits"),
        (0, _) => (Tone::Warn, "Nothing is lost; some events wait for a person"),
        _ => (Tone::Bad, "Events are unaccounted for"),
    };
    html! {
        section.card.hero.(tone.class()) aria-label="Balance" {
            p.verdict.{ (tone.class()) "-text" } { (tone.shape()) (verdict) }
            p.sentence { (sentence(balance)) }
            p.age {
                "Counted " (component::age(balance.counted_at)) ". "
                @if balance.unaccounted != 0 { a href="/audit?view=losses" { "Find out which" } ": " code { "sluice audit" } " reads and hashes every object." }
            }
        }
    }
}

/// `12,480 accepted = 12,431 normalized + 44 quarantined + 5 in flight; nothing unaccounted for.`
fn sentence(balance: &Balance) -> Markup {
    html! {
        b { (number(balance.accepted)) " accepted" } " = " (number(balance.normalized)) " normalized"
        @if balance.nothing_to_state > 0 { " + " (number(balance.nothing_to_state)) " with nothing to state" }
        " + " a href="/quarantine" { (number(balance.quarantined)) " quarantined" }
        @if balance.held > 0 { " + " a href="/events?status=HELD" { (number(balance.held)) " held" } }
        " + " a href="/events?status=RECEIVED" { (number(balance.in_flight)) " in flight" }
        "; "
        @match balance.unaccounted {
            0 => "nothing unaccounted for.",
            lost if lost > 0 => b.bad-text { (number(lost.unsigned_abs())) " unaccounted for." },
            more => b.bad-text { (number(more.unsigned_abs())) " more than were accepted." },
        }
    }
}

fn figures(balance: &Balance, waiting: &Part<Waiting>) -> Markup {
    let share = |part: u64| match balance.accepted {
        0 => String::new(),
        all => format!("{}.{} % of accepted", part * 100 / all, part * 1000 / all % 10),
    };
    let groups = waiting.known().map(|waiting| waiting.groups);
    html! {
        section.card aria-label="In numbers" {
            dl.figures {
                div { dt { "Accepted" } dd { (number(balance.accepted)) } }
                div { dt { "Normalized" } dd { (number(balance.normalized)) small { (share(balance.normalized)) } } }
                div { dt { "Quarantined" } dd { (number(balance.quarantined)) @if let Some(groups) = groups { small { "in " (count(groups, "group")) } } } }
                @if balance.held > 0 { div { dt { "Held" } dd { (number(balance.held)) small { "their vendor is on hold" } } } }
                div { dt { "In flight" } dd { (number(balance.in_flight)) } }
                div { dt { "Unaccounted for" } dd { (balance.unaccounted) } }
            }
        }
    }
}

fn hours(books: &Part<StoredBooks>) -> Markup {
    let beside = html! {
        div.legend aria-hidden="true" {
            @for (class, name) in [("b-good", "closed"), ("b-open", "open"), ("b-warn", "quarantined"), ("b-bad", "does not add up: !")] {
                span { svg width="10" height="10" { rect.(class) width="10" height="10" rx="2" {} } (name) }
            }
        }
    };
    let hours = match books {
        Part::Unknown(unknown) => {
            return component::unknown("Hours", unknown, "the strip of hours is not shown");
        }
        Part::Known(books) => &books.hours,
    };
    if hours.is_empty() {
        return component::nothing();
    }
    let bars: Vec<Bar> = hours.iter().map(bar).collect();
    component::panel(
        "By hour, UTC",
        beside,
        html! { div.strip-box { (strip(&bars, "Accepted events by hour; each bar leads to the hour's books")) } },
    )
}

fn bar(hour: &HourSum) -> Bar {
    let books = match (&hour.count, hour.unaccounted, hour.state.as_str()) {
        (None, ..) => Books::Unknown,
        (_, 0, "closed") => Books::Closed,
        (_, 0, _) => Books::Open,
        _ => Books::Short,
    };
    let title = match &hour.count {
        None => format!("{} UTC: not counted yet", clock(&hour.hour)),
        Some(count) => format!(
            "{} UTC: {} accepted, {} quarantined, {} held, {} in flight, {} unaccounted for; {}",
            clock(&hour.hour),
            number(count.accepted),
            number(count.quarantined),
            number(count.held),
            number(count.in_flight),
            number(hour.unaccounted),
            hour.state
        ),
    };
    Bar {
        href: format!("/hours/{}", component::encoded(&hour.hour)),
        label: clock(&hour.hour),
        title,
        accepted: hour.count.as_ref().map_or(0, |count| count.accepted),
        quarantined: hour.count.as_ref().map_or(0, |count| count.quarantined),
        books,
    }
}

fn groups(waiting: &Part<Waiting>, context: &Context) -> Markup {
    let waiting = match waiting {
        Part::Unknown(unknown) => {
            return component::unknown("Quarantine", unknown, "it is not known what waits");
        }
        Part::Known(waiting) => waiting,
    };
    let open: Vec<_> = waiting.top.iter().filter(|group| group.open > 0).collect();
    let beside =
        html! { @if !open.is_empty() { a href="/quarantine" { "All " (count(waiting.groups, "group")) } } };
    if open.is_empty() {
        let next = html! { "Every event was mapped. " code { (context.command("quarantine ls --all")) } " lists what once was here." };
        return card("What waits for a person", beside, empty("Nothing is in quarantine.", next));
    }
    let body = html! {
        div.scroll {
            table.cards {
                thead { tr { th scope="col" { "Cause" } th.num scope="col" { "Open" } th scope="col" { "Vendors" } th scope="col" { "Last seen" } } }
                tbody {
                    @for group in open.iter().take(GROUPS_SHOWN) {
                        tr data-row=(component::row_id(&group.fingerprint)) {
                            td.lead {
                                (component::row_link(&group_href(&group.fingerprint), text::short(&super::quarantine::title(group))))
                                span.sub { span.clip { (text::short(&group.message)) } }
                            }
                            td.num data-label="Open" { (number(group.open)) @if group.acknowledged.is_some() { span.sub { "acknowledged" } } }
                            td data-label="Vendors" { (super::tally(&group.vendors, |_| None)) }
                            td.nowrap data-label="Last seen" { (component::age(group.last_seen_at)) }
                        }
                    }
                }
            }
        }
    };
    card("What waits for a person", beside, body)
}

fn in_flight(in_flight: &Part<InFlight>, now: Timestamp) -> Markup {
    let body = match in_flight {
        Part::Unknown(unknown) => {
            return component::unknown("Oldest in flight", unknown, "nothing is said in its place");
        }
        Part::Known(InFlight { oldest: None }) => html! { p.muted { "Nothing is in flight." } },
        Part::Known(InFlight { oldest: Some(event) }) => {
            let stuck = now.duration_since(event.received_at).as_secs() > STUCK_SECONDS;
            html! {
                p { (component::link(&event_href(&event.ingest_id), &event.ingest_id)) }
                p.muted { (text::short(&event.vendor_id)) ", received " (component::age(event.received_at)) }
                @if stuck { p { (badge(Tone::Warn, "Longer than 15 minutes")) " " span.muted { "reconcile runs it again." } } }
            }
        }
    };
    component::panel("Oldest in flight", component::nothing(), body)
}

fn canaries(canaries: &Part<Vec<Canary>>) -> Markup {
    let canaries = match canaries {
        Part::Unknown(unknown) => {
            return component::unknown("Canaries", unknown, "mappers on trial are not known");
        }
        Part::Known(canaries) => canaries,
    };
    let body = html! {
        @if canaries.is_empty() { p.muted { "No mapper is on trial." } }
        ul { @for canary in canaries {
            li {
                p { (component::link(&mapper_href(&canary.vendor_id, &canary.event_type), &format!("{} {}", canary.vendor_id, canary.event_type))) }
                @let candidate = &canary.counts.candidate;
                p.muted { (canary.canary.percent) " % of events" @if let Some(since) = canary.canary.since { " since " (component::age(since)) } "; " (number(candidate.failed)) " of " (number(candidate.events)) " failed" }
                p { (component::status(&canary.verdict)) }
            }
        } }
    };
    component::panel("Canaries", component::nothing(), body)
}

fn lag(lag: &Part<Vec<Lag>>) -> Markup {
    let lag = match lag {
        Part::Unknown(unknown) => {
            return component::unknown("Queues", unknown, "it is not known what waits in them");
        }
        Part::Known(lag) => lag,
    };
    let body = html! {
        table {
            thead { tr { th scope="col" { "Queue" } th.num scope="col" { "Waiting" } } }
            tbody { @for one in lag {
                tr {
                    td { @if one.dead_letters { a href="/dead-letters" { (text::short(&one.queue)) } } @else { (text::short(&one.queue)) } }
                    td.num {
                        @match one.waiting {
                            0 => span.muted { "0" },
                            waiting if one.dead_letters => (badge(Tone::Bad, &number(waiting))),
                            waiting => (number(waiting)),
                        }
                        @if one.in_progress > 0 { span.sub { (number(one.in_progress)) " in progress" } }
                    }
                }
            } }
        }
    };
    card("Queues", component::nothing(), body)
}

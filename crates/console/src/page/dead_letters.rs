//! Dead-letter queues: what was normalized and could not be applied, and why.

use maud::{Markup, html};

use super::{event_href, reason_form};
use crate::component::{self, Tone, badge, empty};
use crate::layout::{Page, Section};
use crate::server::Context;
use crate::text::{self, count};
use crate::view::{Queue, Queues};

/// The page.
pub fn page(queues: &Queues, context: &Context) -> Page {
    let waiting: u64 = queues.queues.iter().map(|queue| queue.approximate_messages).sum();
    let lede = match waiting {
        0 => html! { "No message waits in any of them." },
        _ => {
            html! { "About " (count(waiting, "message")) ", as SQS counts. A message comes here when its handler failed for good." }
        }
    };
    let live = html! {
        @if queues.queues.is_empty() { section.card { (empty("There is no dead-letter queue.", html! { "The topology names none." })) } }
        @for queue in &queues.queues { (one(queue)) }
    };
    let still = html! {
        @if !context.read_only {
            @for queue in queues.queues.iter().filter(|queue| queue.is_moving() || (queue.approximate_messages > 0 && queue.not_movable.is_none())) { (acts(queue)) }
        }
    };
    Page::new(Section::DeadLetters, "Dead letters")
        .lede(lede)
        .actions(html! { a.button href="/dead-letters.json" { "JSON" } })
        .live(live)
        .still(still)
}

fn one(queue: &Queue) -> Markup {
    html! {
        section.card aria-label=(text::plain(&queue.queue)) data-row=(component::row_id(&queue.queue)) {
            header {
                h2 { (text::short(&queue.queue)) }
                span.muted { "of " (text::short(&queue.sources.join(", "))) }
                @if queue.approximate_messages == 0 { (badge(Tone::Good, "Empty")) } @else { (badge(Tone::Bad, &count(queue.approximate_messages, "message"))) }
            }
            @if !queue.reasons.is_empty() {
                div.scroll tabindex="0" role="region" aria-label={"Reasons in " (text::plain(&queue.queue))} {
                    table.cards {
                        thead { tr { th scope="col" { "Reason" } th.num scope="col" { "Of 20 looked at" } th scope="col" { "Example" } } }
                        tbody { @for reason in &queue.reasons {
                            tr {
                                td.lead { (text::short(&super::capital(&reason.code))) span.sub { (text::short(&reason.message)) } }
                                td.num data-label="Count" { (reason.count) }
                                td data-label="Example" { @if let Some(example) = &reason.example { a href=(event_href(example)) { code { (text::short(example)) } } } }
                            }
                        } }
                    }
                }
            }
            @if let Some(run) = &queue.last_move {
                footer { "Last move: " (component::status(&run.status)) " " (count(run.moved, "message")) ", started " (component::time(run.started_at)) @if let Some(why) = &run.failure_reason { "; " (text::long(why)) } }
            }
            @if let Some(why) = &queue.not_movable { footer { (text::long(why)) } }
        }
    }
}

fn acts(queue: &Queue) -> Markup {
    let path = format!("/dead-letters/{}", component::encoded(&queue.queue));
    component::panel(
        &format!("Act on {}", queue.queue),
        component::nothing(),
        html! {
            @if queue.is_moving() {
                (reason_form(&format!("{path}/cancel"), "Reason", html! { button.button.danger type="submit" { "Cancel the move" } }))
                p.muted { "What was moved stays moved." }
            } @else {
                form method="post" action="/operations" {
                    input type="hidden" name="queue" value=(queue.queue);
                    button.button.primary type="submit" { "Move back to its queue…" }
                }
                p.muted { "The plan is shown first." }
            }
        },
    )
}

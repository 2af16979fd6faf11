//! `sluice correct`: what a mapper got wrong for a while is told rightly. The work is in [`sluice_ops::correct`].

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::id::rfc3339;
use sluice_mapper_host::Host;
use sluice_ops::correct::{self, Report};
use sluice_ops::operations::{self, PLAN_SECONDS, Pace, Planned, Settings};
use sluice_ops::replay::Window;

use super::confirm;
use super::mapper::shadow::{candidate, changed, grouped, name};
use crate::args::CorrectArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, section};

/// What was examined, and the operation that corrects it.
#[derive(Serialize)]
struct Started {
    report: Report,
    #[serde(flatten)]
    planned: Planned,
}

/// Examines, and corrects unless it is a dry run.
pub async fn run(args: &CorrectArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let now = Timestamp::now();
    let window = Window::new(args.from.resolve(now), args.to.map_or(now, |to| to.resolve(now)))?;
    let host = Host::new()?;
    let side = candidate(cloud, &host, &args.candidate, &args.module, output).await?;
    if side.name.bundle.is_none() && !args.dry_run {
        return Err(CliError::usage("a correction runs where events are normalized, by a published bundle")
            .with_hint("publish the candidate, and give the digest that `sluice mapper publish` prints"));
    }
    let progress = output.progress("comparing what was told with what the candidate makes of it");
    let examined = correct::examine(cloud, &args.vendor, window, &side, &progress).await?;
    drop(progress);
    let Some(reason) = args.reason.as_ref().filter(|_| !args.dry_run) else {
        return output.document(&examined.report);
    };
    let events = examined.report.corrected.events;
    if !args.yes && events > 0 {
        let entities = examined.report.entities.total;
        confirm(output, &format!("Correct {events} events of {}, {entities} entities", args.vendor))?;
    }
    let by = args.by.who()?;
    let settings = Settings {
        pace: Pace { per_second: args.concurrency, budget: None },
        by: by.clone(),
        valid_seconds: PLAN_SECONDS,
    };
    let mut planned = correct::plan(cloud, &examined, reason, &settings).await?;
    let id = planned.operation.operation.operation_id;
    planned.operation = operations::start(cloud, id, &by, reason).await?;
    output.document(&Started { report: examined.report, planned })
}

impl View for Started {
    fn text(&self, page: &Page) -> String {
        format!("{}\n{}", self.report.text(page), self.planned.text(page))
    }
}

impl View for Report {
    fn text(&self, page: &Page) -> String {
        let mut text = format!(
            "{} {}  {} events from {} to {}\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Strong, self.event_type.as_str()),
            self.events,
            rfc3339(self.window.from),
            rfc3339(self.window.to)
        );
        text.push_str(&fields([("candidate", name(&self.candidate))]));
        text.push('\n');
        let row = |what: &str, events: u64, tone: Tone, meaning: &str| {
            let tone = if events == 0 { Tone::Dim } else { tone };
            vec![Cell::new(tone, what), Cell::new(tone, events.to_string()), Cell::new(tone, meaning)]
        };
        let mut rows = vec![
            row("right", self.same, Tone::Plain, "told as the candidate makes it"),
            row("wrong", self.corrected.events, Tone::Warn, "to be corrected"),
            row("kept", self.kept.events, Tone::Warn, "the candidate fails, so they stay as they are"),
            row("quarantined", self.quarantined, Tone::Plain, "nothing was told of them"),
        ];
        if self.unreadable.events > 0 {
            rows.push(row("unreadable", self.unreadable.events, Tone::Bad, "they stay as they are"));
        }
        text.push_str(&page.table(&["", "EVENTS", "MEANING"], rows));
        text.push_str(&changed(page, "What was told, and what is right", &self.corrected));
        if self.entities.total > 0 {
            let rows = self
                .entities
                .largest
                .iter()
                .map(|entity| vec![entity.entity.as_str().into(), entity.events.to_string().into()]);
            let mut table = page.table(&["ENTITY", "EVENTS"], rows.collect());
            let more = self.entities.total.saturating_sub(self.entities.largest.len() as u64);
            if more > 0 {
                table.push_str(&format!("… and {more} more entities\n"));
            }
            text.push_str(&section("Entities of canonical state", &table));
        }
        text.push_str(&grouped(page, "Kept, by the candidate's cause", &self.kept));
        text.push_str(&grouped(page, "Unreadable", &self.unreadable));
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;
    use sluice_ops::correct::{Entities, EntityEvents};
    use sluice_ops::diff::{Change, Difference};
    use sluice_ops::shadow::{Causes, Changed, FieldExample, FieldGroup, SideName};

    use super::*;
    use crate::output::testing::{in_pipe, json};

    #[test]
    fn a_report_says_what_is_wrong_with_both_values_and_which_entities() {
        let field = FieldGroup {
            pointer: "/data/available".into(),
            change: Change::Changed,
            events: 1_000,
            examples: vec![FieldExample {
                ingest_id: "01KAJ3Y3R00000000000000001".parse().unwrap(),
                difference: Difference {
                    pointer: "/0/data/available".into(),
                    change: Change::Changed,
                    before: Some(json!(1_200)),
                    after: Some(json!(12)),
                },
            }],
        };
        let entity = EntityEvents { entity: "inventory#ROA#ABC-001".parse().unwrap(), events: 1_000 };
        let report = Report {
            vendor_id: "acme".parse().unwrap(),
            event_type: "stock".parse().unwrap(),
            window: Window::new(
                "2026-11-20T00:00:00Z".parse().unwrap(),
                "2026-11-21T00:00:00Z".parse().unwrap(),
            )
            .unwrap(),
            candidate: SideName { bundle: None, folder: Some("candidate".into()), revision: None },
            events: 10_000,
            same: 9_000,
            corrected: Changed { events: 1_000, fields: vec![field], more_fields: 0 },
            entities: Entities { total: 3, largest: vec![entity] },
            kept: Causes::default(),
            unreadable: Causes::default(),
            quarantined: 0,
        };
        insta::assert_snapshot!(in_pipe(&report));
        insta::assert_snapshot!(json(&report));
    }
}

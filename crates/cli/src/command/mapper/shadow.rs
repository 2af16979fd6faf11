//! `sluice mapper shadow`. The work is in [`sluice_ops::shadow`].

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use sluice_core::digest::Sha256Hex;
use sluice_mapper_host::Host;
use sluice_ops::shadow::{self, Causes, Changed, Cost, Options, Report, Side, SideName, jobs_default};

use super::build::module;
use crate::args::{ModuleArgs, ShadowArgs};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section, time};
use crate::workshop::bundle::load;
use crate::workshop::diff::{Change, shown};

/// Runs the command.
pub(super) async fn run(args: &ShadowArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let options = Options {
        event_type: args.event_type.clone(),
        since: args.since.resolve(Timestamp::now()),
        limit: args.limit as usize,
        jobs: args.jobs.map_or_else(jobs_default, usize::from),
        ..Options::new(args.vendor.clone(), Timestamp::now())
    };
    let host = Host::new()?;
    let candidate = candidate(cloud, &host, &args.candidate, &args.module, output).await?;
    let progress = output.progress("shadow replay");
    let report = shadow::run(cloud, &host, candidate, &options, &progress).await?;
    drop(progress);
    output.document(&report)?;
    match report.newly_broken.events {
        0 => Ok(()),
        1 => Err(CliError::Failed("the candidate breaks 1 event that is mapped today".into())),
        events => {
            Err(CliError::Failed(format!("the candidate breaks {events} events that are mapped today")))
        }
    }
}

/// The candidate that a command names: the digest of a published bundle, or a folder, whose module is built if it is not given.
///
/// # Errors
/// When it is neither, and when it does not load.
pub(crate) async fn candidate(
    cloud: &Cloud,
    host: &Host,
    named: &str,
    modules: &ModuleArgs,
    output: &Output,
) -> Result<Side, CliError> {
    if let Ok(digest) = Sha256Hex::try_from(named.to_owned()) {
        return Ok(shadow::published(cloud, host, &digest).await?);
    }
    let folder = PathBuf::from(named);
    if !folder.is_dir() {
        return Err(CliError::usage(format!(
            "{named:?} is neither a bundle's folder nor the digest of one (64 hexadecimal digits)"
        )));
    }
    let wasm = module(&folder, modules, output)?;
    Ok(Side {
        bundle: Arc::new(load(host, &folder, &wasm)?),
        name: SideName { bundle: None, folder: Some(folder.display().to_string()), revision: None },
    })
}

/// A side, for people.
pub(crate) fn name(side: &SideName) -> String {
    match (&side.bundle, &side.folder, side.revision) {
        (Some(bundle), _, Some(revision)) => format!("{bundle}, revision {revision}"),
        (Some(bundle), ..) => bundle.to_string(),
        (None, Some(folder), _) => printable(folder),
        (None, None, _) => "a bundle".into(),
    }
}

impl View for Report {
    fn text(&self, page: &Page) -> String {
        let mut text = format!(
            "{} {}  {} events since {}{}\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Strong, self.event_type.as_str()),
            self.events,
            time(self.since),
            if self.truncated { ", the newest: there are more" } else { "" }
        );
        text.push_str(&fields([
            ("candidate", name(&self.candidate)),
            ("active", self.active.as_ref().map_or_else(|| "none".into(), name)),
        ]));
        text.push('\n');
        let row = |what: &str, events: u64, tone: Tone| {
            let share = events as f64 * 100.0 / self.events.max(1) as f64;
            let tone = if events == 0 { Tone::Dim } else { tone };
            vec![
                Cell::new(tone, what),
                Cell::new(tone, events.to_string()),
                Cell::new(tone, format!("{share:.2} %")),
            ]
        };
        let mut rows = vec![
            row("same", self.same, Tone::Plain),
            row("changed", self.changed.events, Tone::Warn),
            row("fixed", self.fixed.events, Tone::Good),
            row("newly broken", self.newly_broken.events, Tone::Bad),
            row("still broken", self.still_broken.events, Tone::Warn),
        ];
        if self.unreadable.events > 0 {
            rows.push(row("unreadable", self.unreadable.events, Tone::Bad));
        }
        text.push_str(&page.table(&["", "EVENTS", "SHARE"], rows));
        text.push_str(&changed(page, "Changed", &self.changed));
        for (heading, causes) in [
            ("Newly broken, by the candidate's cause", &self.newly_broken),
            ("Fixed, by the active mapper's cause", &self.fixed),
            ("Still broken, by the candidate's cause", &self.still_broken),
            ("Unreadable", &self.unreadable),
        ] {
            text.push_str(&grouped(page, heading, causes));
        }
        text.push_str(&section("Cost of an event", &cost(page, &self.active_cost, &self.candidate_cost)));
        if self.stored_differs > 0 {
            text.push_str(&format!(
                "\n{}\n",
                paint(
                    Tone::Dim,
                    format!(
                        "{} stored documents are not what the active mapper gives today: an earlier one made them",
                        self.stored_differs
                    )
                )
            ));
        }
        text
    }
}

/// Members that differ, with an example of each.
pub(crate) fn changed(page: &Page, heading: &str, changed: &Changed) -> String {
    if changed.fields.is_empty() {
        return String::new();
    }
    let rows = changed.fields.iter().map(|field| {
        let change = match field.change {
            Change::Added => Cell::new(Tone::Good, "added"),
            Change::Removed => Cell::new(Tone::Bad, "removed"),
            Change::Changed => Cell::new(Tone::Warn, "changed"),
        };
        let example = field.examples.first().map_or_else(String::new, |example| {
            let value = |value: &Option<serde_json::Value>| value.as_ref().map_or("nothing".into(), shown);
            format!(
                "{}: {} → {}",
                example.ingest_id,
                value(&example.difference.before),
                value(&example.difference.after)
            )
        });
        let pointer = if field.pointer.is_empty() { "(a whole event)" } else { &field.pointer };
        vec![pointer.into(), change, field.events.to_string().into(), example.into()]
    });
    let mut table = page.table(&["MEMBER", "CHANGE", "EVENTS", "FOR EXAMPLE"], rows.collect());
    if changed.more_fields > 0 {
        table.push_str(&format!("… and {} more members\n", changed.more_fields));
    }
    section(heading, &table)
}

/// Failures, with examples of each.
pub(crate) fn grouped(page: &Page, heading: &str, causes: &Causes) -> String {
    if causes.causes.is_empty() {
        return String::new();
    }
    let rows = causes.causes.iter().map(|cause| {
        let examples: Vec<String> = cause.examples.iter().map(ToString::to_string).collect();
        vec![
            (&cause.code).into(),
            (&cause.pointer).into(),
            (&cause.fault).into(),
            cause.events.to_string().into(),
            examples.join(" ").into(),
            (&cause.message).into(),
        ]
    });
    let mut table = page.table(&["CODE", "AT", "FAULT", "EVENTS", "FOR EXAMPLE", "IN WORDS"], rows.collect());
    if causes.more_causes > 0 {
        table.push_str(&format!("… and {} more causes\n", causes.more_causes));
    }
    section(heading, &table)
}

fn cost(page: &Page, active: &Cost, candidate: &Cost) -> String {
    let ratio = |before: u64, after: u64| match before {
        0 => String::new(),
        before => format!("{:.2}", after as f64 / before as f64),
    };
    let row = |what: &str, before: u64, after: u64| {
        vec![what.into(), before.to_string().into(), after.to_string().into(), ratio(before, after).into()]
    };
    page.table(
        &["", "ACTIVE", "CANDIDATE", "RATIO"],
        vec![
            row("fuel, median", active.fuel_median, candidate.fuel_median),
            row("fuel, most", active.fuel_max, candidate.fuel_max),
            row("memory bytes, most", active.memory_bytes_max, candidate.memory_bytes_max),
            row("nanoseconds, median", active.nanoseconds_median, candidate.nanoseconds_median),
        ],
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;
    use sluice_ops::diff::Difference;
    use sluice_ops::shadow::{CauseGroup, FieldExample, FieldGroup};

    use super::*;
    use crate::output::testing::on_terminal;

    #[test]
    fn a_report_is_shown_by_member_and_by_cause() {
        let event: sluice_core::id::IngestId = "01KAJ3Y3R00000000000000001".parse().unwrap();
        let side = || SideName { bundle: None, folder: Some("c".into()), revision: None };
        let difference = Difference {
            pointer: "/0/data/sku".into(),
            change: Change::Changed,
            before: Some(json!("S")),
            after: Some(json!("T")),
        };
        let field = FieldGroup {
            pointer: "/data/sku".into(),
            change: Change::Changed,
            events: 2,
            examples: vec![FieldExample { ingest_id: event, difference }],
        };
        let cause = CauseGroup {
            code: "mapper_refused".into(),
            pointer: "/qty".into(),
            fault: "quantity_odd".into(),
            message: "no".into(),
            events: 1,
            examples: vec![event],
        };
        let report = Report {
            vendor_id: "acme".parse().unwrap(),
            event_type: "stock".parse().unwrap(),
            since: "2026-11-21T10:00:00Z".parse().unwrap(),
            candidate: side(),
            active: Some(side()),
            events: 11,
            truncated: false,
            same: 4,
            changed: Changed { events: 2, fields: vec![field], more_fields: 0 },
            fixed: Causes::default(),
            newly_broken: Causes { events: 1, causes: vec![cause], more_causes: 0 },
            still_broken: Causes::default(),
            unreadable: Causes::default(),
            stored_differs: 0,
            active_cost: Cost::default(),
            candidate_cost: Cost::default(),
            jobs: 1,
            elapsed_milliseconds: 1,
        };
        let text = on_terminal(&report);
        for part in [
            "newly broken  1       9.09 %",
            "/data/sku  changed  2",
            "\"S\" → \"T\"",
            "Newly broken, by the candidate's cause",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}

//! `sluice operations`: what is in progress, who started it and why, and its pause, resumption, stop and retry.

use sluice_core::canonical::count;
use sluice_ops::cloud::Cloud;
use sluice_ops::operations::{
    self, Detail, Operation, Operations, Outcome, Overview, Planned, Status, StopCause, Verb,
};

use crate::args::{ActArgs, OperationsCommand};
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section};

/// Most items listed for a person; programs get more.
const LISTED_MAX: usize = 20;

/// Runs a subcommand.
pub async fn run(command: OperationsCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        OperationsCommand::Ls { limit, before } => {
            output.document(&operations::list(cloud, before, limit as usize).await?)
        }
        OperationsCommand::Show { id, all } => output.document(&operations::show(cloud, id, all).await?),
        OperationsCommand::Start { id, reason, by } => {
            let operation = operations::start(cloud, id, &by.who()?, &reason).await?;
            output.document(&operation)
        }
        OperationsCommand::Pause(ActArgs { id, reason, by }) => {
            output.document(&operations::pause(cloud, id, &by.who()?, reason.as_deref()).await?)
        }
        OperationsCommand::Resume(ActArgs { id, reason, by }) => {
            output.document(&operations::resume(cloud, id, &by.who()?, reason.as_deref()).await?)
        }
        OperationsCommand::Stop(ActArgs { id, reason, by }) => {
            output.document(&operations::stop(cloud, id, &by.who()?, reason.as_deref()).await?)
        }
        OperationsCommand::Retry { id, plan, reason, valid, by } => {
            let by = by.who()?;
            let mut operation = operations::retry(cloud, id, &by, valid.valid_for).await?;
            if let (false, Some(reason)) = (plan, reason) {
                operation = operations::start(cloud, operation.operation.operation_id, &by, &reason).await?;
            }
            output.document(&operation)
        }
    }
}

fn status_cell(overview: &Overview) -> Cell {
    let tone = match overview.operation.status {
        Status::Planned if overview.expired => return Cell::new(Tone::Dim, "expired"),
        Status::Planned => Tone::Plain,
        Status::Running | Status::Stopping | Status::Paused => Tone::Warn,
        Status::Stopped | Status::Failed => Tone::Bad,
        Status::Completed if overview.failed > 0 => Tone::Bad,
        Status::Completed => Tone::Good,
    };
    Cell::new(tone, overview.operation.status.word())
}

fn outcome_tone(outcome: Outcome) -> Tone {
    if outcome.is_success() {
        Tone::Good
    } else if outcome.is_failure() {
        Tone::Bad
    } else {
        Tone::Warn
    }
}

/// `120 released, 3 failed again`
fn outcomes(operation: &Operation) -> String {
    let counts = operation
        .counts
        .iter()
        .map(|(outcome, count)| paint(outcome_tone(*outcome), format!("{count} {}", outcome.word())));
    counts.collect::<Vec<_>>().join(", ")
}

/// What to do next, as commands.
fn advice(overview: &Overview) -> String {
    let operation = &overview.operation;
    let id = operation.operation_id;
    let lines: Vec<String> = match operation.status {
        Status::Planned if overview.expired => vec!["The plan has expired: make a new one.".to_owned()],
        Status::Planned => vec![
            format!("sluice operations start {id} --reason TEXT"),
            format!("sluice operations stop {id}     # withdraws the plan"),
        ],
        Status::Running => vec![
            format!("sluice operations show {id}"),
            format!("sluice operations pause {id}"),
            format!("sluice operations stop {id}"),
        ],
        Status::Paused | Status::Failed => {
            vec![format!("sluice operations resume {id}"), format!("sluice operations stop {id}")]
        }
        Status::Stopping => vec![format!("sluice operations show {id}")],
        Status::Stopped | Status::Completed if overview.waiting > 0 || overview.failed > 0 => {
            vec![format!("sluice operations retry {id} --reason TEXT")]
        }
        Status::Stopped | Status::Completed => Vec::new(),
    };
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn facts(overview: &Overview, page: &Page) -> String {
    let operation = &overview.operation;
    let mut list = vec![
        ("operation", operation.operation_id.to_string()),
        ("does", format!("{} of {}", operation.kind.word(), printable(&operation.plan.what))),
        ("status", painted_status(overview)),
        (
            "items",
            format!(
                "{}: {} done, {} in progress, {} waiting",
                operation.plan.items,
                overview.finished,
                operation.in_flight.len(),
                overview.waiting
            ),
        ),
    ];
    if !operation.counts.is_empty() {
        list.push(("outcomes", outcomes(operation)));
    }
    let budget = operation.pace.budget.map_or("no error budget".to_owned(), |budget| {
        format!("stops when {} % have failed, {} at least", budget.percent, budget.failures_min)
    });
    list.push(("pace", format!("{} a second, {budget}", operation.pace.per_second)));
    list.push((
        "planned",
        format!("{} by {}", page.ago(operation.created_at), printable(&operation.planned_by)),
    ));
    if let (Some(at), Some(by)) = (operation.started_at, &operation.started_by) {
        list.push(("started", format!("{} by {}", page.ago(at), printable(by))));
    }
    if let Some(reason) = &operation.reason {
        list.push(("reason", printable(reason)));
    }
    if let (Status::Planned, false) = (operation.status, overview.expired) {
        list.push(("expires", crate::output::time(operation.plan.expires_at)));
    }
    if let Some(at) = operation.ended_at {
        list.push(("ended", page.ago(at)));
    }
    if let Some(retry_of) = operation.retry_of {
        list.push(("rest of", retry_of.to_string()));
    }
    fields(list)
}

fn painted_status(overview: &Overview) -> String {
    let operation = &overview.operation;
    let cell = status_cell(overview);
    let why = match (operation.stopped, &operation.failure) {
        (_, Some(failure)) => format!(": {}", printable(failure)),
        (Some(StopCause::ErrorBudget), None) => {
            ": the error budget is spent; mend the cause, then retry".to_owned()
        }
        (Some(StopCause::Person) | None, None) => String::new(),
    };
    format!("{}{why}", cell.plain())
}

impl View for Overview {
    fn text(&self, page: &Page) -> String {
        if !page.terminal {
            return page.table(&HEADER, vec![row(self, page)]);
        }
        let advice = advice(self);
        let next = if advice.is_empty() { String::new() } else { section("Next", &advice) };
        format!("{}{next}", facts(self, page))
    }
}

const HEADER: [&str; 7] = ["OPERATION", "DOES", "STATUS", "DONE", "FAILED", "PLANNED", "WHAT"];

fn row(overview: &Overview, page: &Page) -> Vec<Cell> {
    let operation = &overview.operation;
    let at = if page.terminal {
        page.ago(operation.created_at)
    } else {
        sluice_core::id::rfc3339(operation.created_at)
    };
    let failed =
        Cell::new(if overview.failed > 0 { Tone::Bad } else { Tone::Plain }, overview.failed.to_string());
    vec![
        operation.operation_id.to_string().into(),
        operation.kind.word().into(),
        status_cell(overview),
        format!("{} of {}", overview.finished, operation.plan.items).into(),
        failed,
        at.into(),
        (&operation.plan.what).into(),
    ]
}

impl View for Operations {
    fn text(&self, page: &Page) -> String {
        if self.operations.is_empty() && page.terminal {
            return "No operations. `sluice redrive --background` starts one.\n".to_owned();
        }
        let mut text =
            page.table(&HEADER, self.operations.iter().map(|operation| row(operation, page)).collect());
        if let (true, Some(before)) = (page.terminal, self.before) {
            text.push_str(&format!("Older ones: sluice operations ls --before {before}\n"));
        }
        text
    }
}

impl View for Planned {
    fn text(&self, page: &Page) -> String {
        let mut text = self.operation.text(page);
        if page.terminal && !self.left_out.is_empty() {
            let rows = self.left_out.iter().map(|redrive| {
                vec![
                    redrive.ingest_id.to_string().into(),
                    redrive.outcome.word().into(),
                    (&redrive.message).into(),
                ]
            });
            let table = page.table(&["INGEST ID", "OUTCOME", "MESSAGE"], rows.collect());
            text.push_str(&section("Left out", &table));
        }
        text
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Planned => "planned",
        Verb::Started => "started",
        Verb::Paused => "paused",
        Verb::Resumed => "resumed",
        Verb::Stopped => "stopped",
        Verb::Revived => "given another execution",
    }
}

impl View for Detail {
    fn text(&self, page: &Page) -> String {
        let rows = self.items.iter().map(|item| {
            let (tone, word) = item
                .outcome
                .map_or((Tone::Warn, "in progress"), |outcome| (outcome_tone(outcome), outcome.word()));
            vec![(&item.name).into(), Cell::new(tone, word), (&item.message).into()]
        });
        let header = ["ITEM", "OUTCOME", "MESSAGE"];
        if !page.terminal {
            return page.table(&header, rows.collect());
        }
        let mut text = facts(&self.overview, page);
        if self.driven == Some(false) {
            let id = self.overview.operation.operation_id;
            let line = format!("Its execution is gone: `sluice operations resume {id}` gives it another.");
            text.push_str(&format!("\n{}\n", paint(Tone::Bad, line)));
        }
        if !self.failures.is_empty() {
            let rows = self.failures.iter().map(|failure| {
                vec![
                    failure.count.to_string().into(),
                    Cell::new(outcome_tone(failure.outcome), failure.outcome.word()),
                    (&failure.example).into(),
                    (&failure.message).into(),
                ]
            });
            let table = page.table(&["ITEMS", "OUTCOME", "EXAMPLE", "MESSAGE"], rows.collect());
            text.push_str(&section("What did not succeed", &table));
        }
        if !self.items.is_empty() {
            let hidden = self.items.len().saturating_sub(LISTED_MAX);
            let mut table = page.table(&header, rows.take(LISTED_MAX).collect());
            if hidden > 0 {
                table.push_str(&format!("… and {} (--json lists them)\n", count(hidden, "item")));
            }
            text.push_str(&section("Items", &table));
        }
        let acts = self.acts.iter().map(|act| {
            vec![
                page.ago(act.at).into(),
                (&act.by).into(),
                verb(act.verb).into(),
                act.reason.as_deref().unwrap_or_default().into(),
            ]
        });
        let table = page.table(&["WHEN", "WHO", "DID", "WHY"], acts.collect());
        text.push_str(&section("Who did what", &table));
        let advice = advice(&self.overview);
        if !advice.is_empty() {
            text.push_str(&section("Next", &advice));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

    fn overview(status: &str, counts: &serde_json::Value) -> Overview {
        let operation: Operation = serde_json::from_value(json!({
            "operationId": "01KAJ3Y3R00000000000000001", "kind": "redrive", "status": status,
            "plan": {"what": "group 0123456789abcdef", "items": 250, "groups": [], "sha256": "0".repeat(64),
                "expiresAt": "2026-11-21T10:13:00Z"},
            "pace": {"perSecond": 50, "budget": {"percent": 10, "failuresMin": 5}},
            "plannedBy": "anna", "createdAt": "2026-11-21T09:58:00Z", "updatedAt": "2026-11-21T09:59:00Z",
            "startedBy": "ben", "reason": "T-1: mapper fixed", "startedAt": "2026-11-21T09:59:00Z", "begun": 16,
            "inFlight": [], "counts": counts, "version": 4
        }))
        .unwrap();
        Overview {
            waiting: operation.waiting(),
            finished: operation.finished(),
            succeeded: operation.succeeded(),
            failed: operation.failed(),
            expired: false,
            operation,
        }
    }

    #[test]
    fn a_paused_operation_says_how_it_goes_on() {
        let paused = overview("paused", &json!({"released": 15, "failed_again": 1}));
        let text = on_terminal(&paused);
        for said in [
            "250: 16 done, 0 in progress, 234 waiting",
            "15 released, 1 failed again",
            "60 s ago by ben",
            "T-1: mapper fixed",
            "sluice operations resume 01KAJ3Y3R00000000000000001",
            "sluice operations stop 01KAJ3Y3R00000000000000001",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert_eq!(
            in_pipe(&paused),
            "operation\tdoes\tstatus\tdone\tfailed\tplanned\twhat\n01KAJ3Y3R00000000000000001\tredrive\tpaused\t16 of 250\t1\t\
             2026-11-21T09:58:00.000Z\tgroup 0123456789abcdef\n"
        );
    }

    #[test]
    fn what_stopped_says_how_its_rest_is_done() {
        let mut stopped = overview("stopped", &json!({"failed_again": 8}));
        stopped.operation.stopped = Some(StopCause::ErrorBudget);
        let text = on_terminal(&stopped);
        assert!(text.contains("the error budget is spent"), "{text}");
        assert!(text.contains("sluice operations retry 01KAJ3Y3R00000000000000001 --reason TEXT"), "{text}");
        let list = Operations { operations: vec![stopped], before: None };
        assert!(on_terminal(&list).contains("stopped  8 of 250  8"), "{}", on_terminal(&list));
        let document: serde_json::Value = serde_json::from_str(&json(&list)).unwrap();
        let operation = &document["operations"][0];
        assert_eq!((&operation["waiting"], &operation["failed"]), (&json!(234), &json!(8)));
        assert_eq!(operation["stopped"], "error_budget");
    }
}

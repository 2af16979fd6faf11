//! A state in words: its kind, how it stands, what happened in it, and where it leads.

use serde::Serialize;
use sluice_asl::{MachineShape, StateShape, StateType, When};

use crate::run::{Outcome, Run, StateRun};
use crate::text::{DESCRIPTION_CHARS_MAX, count, duration, shorten};

/// One line of [`crate::Graph::outline`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlineItem {
    /// 0 for the execution, 1 for its states, more for what is nested.
    pub depth: usize,
    /// The state's name; empty for the execution and for a branch.
    pub name: String,
    /// What there is to say, in sentences.
    pub text: String,
}

pub(crate) fn outline(machine: &MachineShape, run: &Run) -> Vec<OutlineItem> {
    let mut text = if run.is_none() { "State machine.".to_owned() } else { execution(run) };
    text.push_str(&format!(" Starts with {}.", machine.start));
    let mut items = vec![OutlineItem { depth: 0, name: String::new(), text }];
    states(machine, run, 1, &mut items);
    items
}

fn states(machine: &MachineShape, run: &Run, depth: usize, items: &mut Vec<OutlineItem>) {
    for state in &machine.states {
        items.push(OutlineItem { depth, name: state.name.to_string(), text: sentences(state, run) });
        let elsewhere = Run::none();
        let run = if state.kind == (StateType::Map { distributed: true }) { &elsewhere } else { run };
        let branches = state.machines.len();
        for (index, inner) in state.machines.iter().enumerate() {
            let mut within = depth + 1;
            if branches > 1 {
                let text = format!("Branch {} of {branches}. Starts with {}.", index + 1, inner.start);
                items.push(OutlineItem { depth: within, name: String::new(), text });
                within += 1;
            }
            states(inner, run, within, items);
        }
    }
}

/// `Execution failed with X: why. Redriven 2 times.`
pub(crate) fn execution(run: &Run) -> String {
    let mut text = format!("Execution {}", run.outcome.label().to_lowercase());
    text.push_str(&reason(run.error.as_deref(), run.cause.as_deref()));
    text.push('.');
    if run.redrives > 0 {
        text.push_str(&format!(" Redriven {}.", count(run.redrives.into(), "time", "times")));
    }
    text
}

fn reason(error: Option<&str>, cause: Option<&str>) -> String {
    match (error, cause) {
        (None, _) => String::new(),
        (Some(error), None) => format!(" with {error}"),
        (Some(error), Some(cause)) => {
            let cause = shorten(cause, DESCRIPTION_CHARS_MAX);
            format!(" with {error}: {}", cause.trim_end_matches('.'))
        }
    }
}

/// All there is to say of a state.
pub(crate) fn sentences(state: &StateShape, run: &Run) -> String {
    let mut text = format!("{}.", kind(state));
    if let Some(comment) = &state.comment {
        text.push(' ');
        text.push_str(&shorten(comment, DESCRIPTION_CHARS_MAX));
        if !comment.ends_with(['.', '!', '?']) {
            text.push('.');
        }
    }
    if !run.is_none() {
        text.push(' ');
        text.push_str(&happened(&run.state(&state.name)));
    }
    for way in &state.transitions {
        let when = match &way.when {
            When::Next => "Next".to_owned(),
            When::Rule(condition) => format!("If {}", shorten(condition, 120)),
            When::Default => "Otherwise".to_owned(),
            When::Caught(errors) => format!("On error {}", errors.join(", ")),
        };
        text.push_str(&format!(" {when}: {}.", way.to));
    }
    if state.ends {
        text.push_str(" Then the end.");
    }
    for retry in state.retries.iter().filter(|retry| retry.max_attempts > 0) {
        let attempts = count(retry.max_attempts.into(), "retry", "retries");
        text.push_str(&format!(" Up to {attempts} on {}.", retry.errors.join(", ")));
    }
    text
}

fn happened(state: &StateRun) -> String {
    let mut text = state.outcome.label().to_owned();
    let failed = matches!(state.outcome, Outcome::Failed | Outcome::Caught | Outcome::TimedOut);
    if failed {
        text.push_str(&reason(state.error.as_deref(), state.cause.as_deref()));
    }
    let facts = facts(state, true);
    if !facts.is_empty() {
        text.push_str("; ");
        text.push_str(&facts.join(", "));
    }
    if let Some(error) = state.error.as_deref().filter(|_| !failed) {
        text.push_str(&format!("; the last error was {error}"));
    }
    text.push('.');
    text
}

/// Numbers worth saying; `all` includes a single visit.
pub(crate) fn facts(state: &StateRun, all: bool) -> Vec<String> {
    let mut facts = Vec::new();
    if state.visits > u32::from(!all) {
        facts.push(count(state.visits.into(), "visit", "visits"));
    }
    if let Some(items) = state.items {
        let mut done = format!("{} of {} items done", items.succeeded, items.total);
        if items.failed > 0 {
            done.push_str(&format!(", {} failed", items.failed));
        }
        facts.push(done);
    }
    if state.retries > 0 {
        facts.push(count(state.retries.into(), "retry", "retries"));
    }
    if state.redrives > 0 {
        facts.push(count(state.redrives.into(), "redrive", "redrives"));
    }
    if state.visits > 0 {
        facts.push(duration(state.time_ms));
    }
    facts
}

/// The kind of a state, e.g. `Task: Lambda invoke`.
pub(crate) fn kind(state: &StateShape) -> String {
    match &state.kind {
        StateType::Task { resource } => format!("Task: {}", service(resource)),
        StateType::Pass => "Pass".to_owned(),
        StateType::Choice => "Choice".to_owned(),
        StateType::Wait => "Wait".to_owned(),
        StateType::Succeed => "Succeed".to_owned(),
        StateType::Fail => "Fail".to_owned(),
        StateType::Parallel => {
            format!("Parallel: {}", count(state.machines.len() as u64, "branch", "branches"))
        }
        StateType::Map { distributed: true } => "Map: an execution for each item".to_owned(),
        StateType::Map { distributed: false } => "Map: for each item".to_owned(),
    }
}

/// `arn:aws:states:::lambda:invoke` is `Lambda invoke`, `arn:aws:states:::aws-sdk:sfn:describeMapRun` is
/// `Step Functions describeMapRun`.
fn service(resource: &str) -> String {
    let parts: Vec<&str> = resource.split(":::").last().unwrap_or(resource).split(':').collect();
    let parts = parts.strip_prefix(&["aws-sdk"]).unwrap_or(&parts);
    let [service, action, ..] = parts else { return shorten(resource, 40) };
    let name = match *service {
        "lambda" => "Lambda",
        "sqs" => "SQS",
        "sns" => "SNS",
        "states" | "sfn" => "Step Functions",
        "events" | "eventbridge" => "EventBridge",
        "dynamodb" => "DynamoDB",
        "s3" => "S3",
        other => other,
    };
    shorten(&format!("{name} {action}"), 40)
}

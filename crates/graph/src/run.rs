//! What an execution did to each state, from its history.
//!
//! A history is what `GetExecutionHistory` reports of a Standard execution, or what Step Functions logs of an Express one.
//! Both name the event that led to each event; that chain tells which state an attempt belongs to.

use std::collections::{BTreeMap, HashMap};
use std::iter::successors;

use serde::Serialize;
use serde_json::Value;
use sluice_asl::{Details, HistoryEvent};

/// One event of a history, as far as a graph needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// From 1.
    pub id: u64,
    /// The event that led to this one; 0 for none.
    pub previous: u64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// AWS's name of its type, e.g. `TaskStateEntered`.
    pub kind: String,
    /// The state that is entered or left.
    pub state: Option<String>,
    /// The error name.
    pub error: Option<String>,
    /// What is known beyond the name.
    pub cause: Option<String>,
    /// `length` of `MapStateStarted`.
    pub length: Option<u64>,
}

impl Event {
    /// Reads an event of `GetExecutionHistory` (dates as seconds or RFC 3339) or a log event of Step Functions (`event_timestamp`,
    /// `previous_event_id`, `details`). `None` if it is neither.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Event> {
        let kind = value.get("type")?.as_str()?.to_owned();
        let id = number(value.get("id")?)?;
        let previous = value.get("previousEventId").or_else(|| value.get("previous_event_id"));
        let at_ms = match (value.get("event_timestamp"), value.get("timestamp")) {
            (Some(millis), _) => i64::try_from(number(millis)?).ok()?,
            (None, Some(Value::String(text))) => sluice_asl::Timestamp::parse(text)?.as_millis(),
            (None, Some(seconds)) => (seconds.as_f64()? * 1_000.0).round() as i64,
            (None, None) => return None,
        };
        let empty = Value::Null;
        let details = value.as_object().and_then(|members| {
            members.iter().find(|(name, _)| *name == "details" || name.ends_with("EventDetails"))
        });
        let details = details.map_or(&empty, |(_, details)| details);
        let text = |member: &str| details.get(member).and_then(Value::as_str).map(str::to_owned);
        Some(Event {
            id,
            previous: previous.and_then(number).unwrap_or(0),
            at_ms,
            state: kind.contains("State").then(|| text("name")).flatten(),
            error: text("error"),
            cause: text("cause"),
            length: details.get("length").and_then(number),
            kind,
        })
    }
}

/// A number, or the text of one as in the logs.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl From<&HistoryEvent> for Event {
    fn from(event: &HistoryEvent) -> Self {
        let (mut state, mut error, mut cause, mut length) = (None, None, None, None);
        match &event.details {
            Some(Details::StateEntered { name, .. } | Details::StateExited { name, .. }) => {
                state = Some(name.to_string());
            }
            Some(
                Details::ExecutionFailed { error: name, cause: why }
                | Details::ActivityFailed { error: name, cause: why }
                | Details::ActivityTimedOut { error: name, cause: why }
                | Details::ExecutionAborted { error: name, cause: why }
                | Details::ExecutionTimedOut { error: name, cause: why },
            ) => (error, cause) = (name.clone(), why.clone()),
            Some(
                Details::TaskFailed { error: name, cause: why, .. }
                | Details::TaskTimedOut { error: name, cause: why, .. }
                | Details::MapRunFailed { error: name, cause: why }
                | Details::EvaluationFailed { error: name, cause: why, .. },
            ) => (error, cause) = (Some(name.clone()), why.clone()),
            Some(Details::MapStateStarted { length: items }) => length = u64::try_from(*items).ok(),
            Some(
                Details::ExecutionStarted { .. }
                | Details::ExecutionSucceeded { .. }
                | Details::ExecutionRedriven { .. }
                | Details::TaskScheduled { .. }
                | Details::TaskStarted { .. }
                | Details::TaskSubmitted { .. }
                | Details::TaskSucceeded { .. }
                | Details::ActivityScheduled { .. }
                | Details::ActivityStarted { .. }
                | Details::ActivitySucceeded { .. }
                | Details::MapIteration { .. }
                | Details::MapRunStarted { .. }
                | Details::MapRunRedriven { .. },
            )
            | None => {}
        }
        Event {
            id: event.id,
            previous: event.previous_event_id,
            at_ms: event.timestamp.as_millis(),
            kind: event.event_type.name().to_owned(),
            state,
            error,
            cause,
            length,
        }
    }
}

/// How a state, or an execution, stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It was not entered.
    #[default]
    NotReached,
    /// It was entered and not left.
    Running,
    /// It was left by its own way out.
    Succeeded,
    /// It failed, and a catcher of it went on.
    Caught,
    /// The execution ended there, or what is around it failed because of it.
    Failed,
    /// As failed, because of a time that passed.
    TimedOut,
    /// Somebody, or a failure beside it, stopped it.
    Aborted,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Outcome::NotReached => "Not reached",
            Outcome::Running => "Running",
            Outcome::Succeeded => "Succeeded",
            Outcome::Caught => "Caught",
            Outcome::Failed => "Failed",
            Outcome::TimedOut => "Timed out",
            Outcome::Aborted => "Aborted",
        }
    }

    /// The suffix of the CSS class.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Outcome::NotReached => "idle",
            Outcome::Running => "running",
            Outcome::Succeeded => "ok",
            Outcome::Caught => "caught",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timedout",
            Outcome::Aborted => "aborted",
        }
    }
}

/// How many items of a Map there are, and how many of them are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Items {
    /// All.
    pub total: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed, timed out, or were aborted.
    pub failed: u64,
}

/// What happened in one state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateRun {
    /// How it stands: running if any visit is, else as the last visit ended; a failure outweighs later successes of siblings.
    pub outcome: Outcome,
    /// How often it was entered.
    pub visits: u32,
    /// Attempts after the first of each visit, redrives apart.
    pub retries: u32,
    /// How often a redrive of the execution went on here.
    pub redrives: u32,
    /// Time in it, over all visits, without the time between a failure and its redrive.
    pub time_ms: u64,
    /// The last error, also of a state that succeeded after it.
    pub error: Option<String>,
    /// The cause of that error.
    pub cause: Option<String>,
    /// Of a Map.
    pub items: Option<Items>,
}

/// What an execution did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// How the execution stands.
    pub outcome: Outcome,
    /// How often it was redriven.
    pub redrives: u32,
    /// Its error.
    pub error: Option<String>,
    /// The cause of that error.
    pub cause: Option<String>,
    /// By the name of the state.
    pub states: BTreeMap<String, StateRun>,
    /// How often one state followed another, and whether that was by a catcher.
    #[serde(skip)]
    pub(crate) steps: BTreeMap<(String, String, bool), u32>,
}

struct Visit {
    state: String,
    /// Of the state that is entered, e.g. `Task`.
    kind: String,
    /// The visit that this one is nested in.
    within: Option<usize>,
    /// Since when, if it goes on.
    since: Option<i64>,
    /// The execution ended with this visit not left; a redrive goes on with it.
    stopped: bool,
    attempts: u32,
    failed: bool,
    timed_out: bool,
    outcome: Outcome,
}

impl Visit {
    /// How it ends if it is not left by itself.
    fn outcome_if_left(&self, otherwise: Outcome) -> Outcome {
        match (self.timed_out, self.failed) {
            (true, _) => Outcome::TimedOut,
            (false, true) => Outcome::Failed,
            (false, false) => otherwise,
        }
    }
}

struct Reader {
    run: Run,
    visits: Vec<Visit>,
    /// Which visit an event belongs to.
    owners: HashMap<u64, usize>,
    last_at: i64,
}

impl Run {
    /// Nothing has happened: the graph alone.
    #[must_use]
    pub fn none() -> Run {
        Run::default()
    }

    /// Reads a history, whole or its beginning. The order of `events` does not matter.
    #[must_use]
    pub fn from_history(events: &[Event]) -> Run {
        let mut events: Vec<&Event> = events.iter().collect();
        events.sort_by_key(|event| event.id);
        let mut reader =
            Reader { run: Run::default(), visits: Vec::new(), owners: HashMap::new(), last_at: 0 };
        for event in events {
            reader.read(event);
        }
        reader.finish()
    }

    /// What is known of the Map Run of the Distributed Map `state`, whose items are not in its execution's history.
    #[must_use]
    pub fn with_items(mut self, state: &str, items: Items) -> Run {
        self.states.entry(state.to_owned()).or_default().items = Some(items);
        self
    }

    /// What happened in a state; all zero if nothing did.
    #[must_use]
    pub fn state(&self, name: &str) -> StateRun {
        self.states.get(name).cloned().unwrap_or_default()
    }

    /// Whether this is [`Run::none`].
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.outcome == Outcome::NotReached && self.states.is_empty()
    }
}

impl Reader {
    fn read(&mut self, event: &Event) {
        self.last_at = self.last_at.max(event.at_ms);
        let mut owner = self.owners.get(&event.previous).copied();
        let kind = event.kind.as_str();
        if let Some(rest) = kind.strip_prefix("Execution") {
            self.execution(rest, event);
        } else if kind.ends_with("StateEntered") {
            owner = self.enter(event, owner).or(owner);
        } else if kind.ends_with("StateExited") {
            owner = self.exit(event, owner).or(owner);
        } else if let Some(from) = owner {
            if kind.ends_with("StateAborted") {
                if let Some(stopped) = self.stopped(kind, from) {
                    self.close(stopped, Outcome::Aborted, event.at_ms);
                }
            } else {
                let concerned = self.concerned(kind, from);
                self.happened(kind, event, concerned);
                owner = Some(concerned);
            }
        }
        if let Some(owner) = owner {
            self.owners.insert(event.id, owner);
        }
    }

    fn execution(&mut self, what: &str, event: &Event) {
        let outcome = match what {
            "Started" => Outcome::Running,
            "Succeeded" => Outcome::Succeeded,
            "Failed" => Outcome::Failed,
            "TimedOut" => Outcome::TimedOut,
            "Aborted" => Outcome::Aborted,
            "Redriven" => return self.redrive(event.at_ms),
            _ => return,
        };
        self.run.outcome = outcome;
        (self.run.error, self.run.cause) = (event.error.clone(), event.cause.clone());
        if outcome == Outcome::Running {
            return;
        }
        self.spread_failures(0);
        for index in 0..self.visits.len() {
            if self.visits[index].since.is_none() {
                continue;
            }
            let visit = &self.visits[index];
            let ended = visit.outcome_if_left(outcome);
            if outcome == Outcome::Failed && !visit.failed {
                let state = self.run.states.entry(visit.state.clone()).or_default();
                (state.error, state.cause) = (event.error.clone(), event.cause.clone());
            }
            self.close(index, ended, event.at_ms);
            self.visits[index].stopped = true;
        }
    }

    fn redrive(&mut self, at: i64) {
        self.run.redrives += 1;
        self.run.outcome = Outcome::Running;
        (self.run.error, self.run.cause) = (None, None);
        for visit in self.visits.iter_mut().filter(|visit| visit.stopped) {
            visit.stopped = false;
            visit.since = Some(at);
            (visit.failed, visit.timed_out, visit.attempts) = (false, false, 0);
            if let Some(state) = self.run.states.get_mut(&visit.state) {
                state.redrives += 1;
            }
        }
    }

    fn enter(&mut self, event: &Event, owner: Option<usize>) -> Option<usize> {
        let name = event.state.clone()?;
        if event.kind.starts_with("Fail") {
            // A redriven Fail state is entered a second time, without having been left.
            let again = (0..self.visits.len())
                .find(|index| self.visits[*index].state == name && self.visits[*index].since.is_some());
            if let Some(again) = again {
                self.close(again, Outcome::Failed, event.at_ms);
            }
        }
        if let Some(owner) = owner {
            // From a state that was not left it leads into what is nested in it.
            let from = &self.visits[owner];
            if from.since.is_none() {
                let caught = from.outcome == Outcome::Caught;
                *self.run.steps.entry((from.state.clone(), name.clone(), caught)).or_default() += 1;
            }
        }
        self.run.states.entry(name.clone()).or_default().visits += 1;
        let within = owner.and_then(|owner| {
            let from = &self.visits[owner];
            if from.since.is_some() { Some(owner) } else { from.within }
        });
        self.visits.push(Visit {
            state: name,
            kind: event.kind.trim_end_matches("StateEntered").to_owned(),
            within,
            since: Some(event.at_ms),
            stopped: false,
            attempts: 0,
            failed: false,
            timed_out: false,
            outcome: Outcome::Running,
        });
        Some(self.visits.len() - 1)
    }

    fn exit(&mut self, event: &Event, owner: Option<usize>) -> Option<usize> {
        let name = event.state.as_deref()?;
        let is_open = |visit: &Visit| visit.state == name && visit.since.is_some();
        let visit = owner
            .and_then(|owner| {
                successors(Some(owner), |visit| self.visits[*visit].within)
                    .find(|visit| is_open(&self.visits[*visit]))
            })
            .or_else(|| self.visits.iter().position(is_open))?;
        let outcome = if self.visits[visit].failed { Outcome::Caught } else { Outcome::Succeeded };
        self.close_nested(visit, event.at_ms);
        self.close(visit, outcome, event.at_ms);
        Some(visit)
    }

    /// An event of a Map or Parallel state may follow from one of a state that is nested in it.
    fn concerned(&self, kind: &str, from: usize) -> usize {
        let of = ["Map", "Parallel"].into_iter().find(|of| kind.starts_with(of));
        let Some(of) = of else { return from };
        successors(Some(from), |visit| self.visits[*visit].within)
            .find(|visit| self.visits[*visit].kind == of)
            .unwrap_or(from)
    }

    /// Ends the visits that are nested in one which ends: what failed there, failed; the rest was stopped.
    fn close_nested(&mut self, outer: usize, at: i64) {
        self.spread_failures(outer);
        for index in outer + 1..self.visits.len() {
            let is_nested = successors(self.visits[index].within, |visit| self.visits[*visit].within)
                .any(|visit| visit == outer);
            if is_nested {
                self.close(index, self.visits[index].outcome_if_left(Outcome::Aborted), at);
            }
        }
    }

    /// What failed in a state failed that state. A history says so of the outermost state only.
    fn spread_failures(&mut self, outer: usize) {
        for index in (outer..self.visits.len()).rev() {
            let visit = &self.visits[index];
            let Some(within) = visit.within.filter(|_| visit.since.is_some() && visit.failed) else {
                continue;
            };
            let of = self.run.states.get(&visit.state);
            let error = of.map(|state| (state.error.clone(), state.cause.clone()));
            let around = &mut self.visits[within];
            if around.since.is_none() {
                continue;
            }
            around.failed = true;
            if let (Some(error), Some(state)) = (error, self.run.states.get_mut(&around.state))
                && state.error.is_none()
            {
                (state.error, state.cause) = error;
            }
        }
    }

    /// The visit that a `…StateAborted` is about. The event follows from the failure, not from the state that is stopped.
    fn stopped(&self, kind: &str, cause: usize) -> Option<usize> {
        if !self.visits[cause].failed {
            return Some(cause);
        }
        let of = kind.trim_end_matches("StateAborted");
        let around: Vec<usize> = successors(Some(cause), |visit| self.visits[*visit].within).collect();
        let is_stopped = |index: &usize| {
            let visit = &self.visits[*index];
            visit.since.is_some() && !visit.failed && visit.kind == of && !around.contains(index)
        };
        (0..self.visits.len()).find(is_stopped)
    }

    fn happened(&mut self, kind: &str, event: &Event, owner: usize) {
        let Visit { state, attempts, failed, timed_out, .. } = &mut self.visits[owner];
        let run = self.run.states.entry(state.clone()).or_default();
        match kind {
            "TaskScheduled" | "LambdaFunctionScheduled" | "ActivityScheduled" => {
                *attempts += 1;
                run.retries += u32::from(*attempts > 1);
                (*failed, *timed_out) = (false, false);
            }
            "TaskSucceeded" | "MapRunSucceeded" | "MapStateSucceeded" | "ParallelStateSucceeded" => {
                (*failed, *timed_out) = (false, false);
            }
            "MapStateStarted" => {
                let items = run.items.get_or_insert_default();
                items.total = items.total.max(event.length.unwrap_or(0));
            }
            "MapIterationSucceeded" => run.items.get_or_insert_default().succeeded += 1,
            "MapIterationFailed" | "MapIterationAborted" => run.items.get_or_insert_default().failed += 1,
            _ if kind.ends_with("Failed") || kind.ends_with("TimedOut") => {
                (*failed, *timed_out) = (true, kind.ends_with("TimedOut"));
                if event.error.is_some() {
                    (run.error, run.cause) = (event.error.clone(), event.cause.clone());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, index: usize, outcome: Outcome, at: i64) {
        let visit = &mut self.visits[index];
        let Some(since) = visit.since.take() else { return };
        visit.outcome = outcome;
        if let Some(state) = self.run.states.get_mut(&visit.state) {
            state.time_ms += u64::try_from(at - since).unwrap_or(0);
        }
    }

    fn finish(mut self) -> Run {
        for visit in &self.visits {
            let Some(state) = self.run.states.get_mut(&visit.state) else { continue };
            let outcome = match visit.since {
                Some(since) => {
                    state.time_ms += u64::try_from(self.last_at - since).unwrap_or(0);
                    Outcome::Running
                }
                None => visit.outcome,
            };
            state.outcome = match (state.outcome, outcome) {
                (Outcome::Running, _) => Outcome::Running,
                (Outcome::Failed, Outcome::Succeeded | Outcome::Aborted) => Outcome::Failed,
                (_, outcome) => outcome,
            };
        }
        self.run
    }
}

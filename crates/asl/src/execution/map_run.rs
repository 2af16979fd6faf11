//! A Map state in Distributed mode: its Map Run is started, and what becomes of it is the state's result.
//!
//! Follows "Using Map state in Distributed mode", "ItemReader", "ItemSelector", "ItemBatcher" and "ResultWriter" of the Developer Guide. The
//! children of a Map Run are executions of their own, none of which is in this journal: an execution knows that its Map
//! Run was started and how it ended. What a child is given is decided here all the same ([`MapRun::item_input`]), by what
//! the state saw when it was entered, so that an item that is read a second time gives the same input.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use super::advance::{concurrency_of, items_in, items_of, shortened, too_large};
use super::thread::{Fault, Item, Phase, ThreadId, ThreadMapRun, pair};
use super::view::Seen;
use super::{Effect, Execution, Turn};
use crate::data;
use crate::definition::{
    Definition, Distributed, InputType, MachineId, Mapping, OutputType, State, StateKind, Transformation,
    whole_seconds,
};
use crate::history::{Details, EventType};
use crate::input::TaskId;
use crate::jsonata::{Environment, Node, Variables};
use crate::limits;
use crate::random::Random;
use crate::template::{Failure, Template};
use crate::time::Timestamp;

/// Where the items of a Map Run come from.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemSource {
    /// An array, or an object whose members are the items.
    Inline(Arc<Value>),
    /// An object in S3.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// How it holds its items.
        input_type: InputType,
        /// No more than so many items of it.
        max_items: Option<u64>,
    },
}

/// An `ItemBatcher`.
#[derive(Clone, Debug, PartialEq)]
pub struct Batching {
    /// At most so many items in a batch.
    pub max_items: Option<u64>,
    /// At most so many bytes of JSON in a child's input.
    pub max_bytes: Option<u64>,
    /// `BatchInput`, handed to every child.
    pub input: Option<Arc<Value>>,
}

/// Where the results go, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultWriter {
    /// Bucket and prefix; without it the results are the state's result.
    pub destination: Option<(String, String)>,
    /// What becomes of a child's result.
    pub transformation: Transformation,
    /// How results are written.
    pub output_type: OutputType,
}

/// Why an item has no input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{error}: {cause}")]
pub struct MapFault {
    /// The error name.
    pub error: &'static str,
    /// Whole sentences.
    pub cause: String,
}

/// What a Map Run is to do.
#[derive(Debug)]
pub struct MapRun {
    /// To be reported with the result.
    pub task: TaskId,
    /// `arn:aws:states:<region>:<account>:mapRun:<machine>/<label>:<UUID>`
    pub arn: Arc<str>,
    /// The UUID.
    pub id: Arc<str>,
    /// The machine's ARN with `/<label>`: what a child calls its state machine.
    pub child_machine_arn: Arc<str>,
    /// `<machine>/<label>`
    pub child_machine_name: Arc<str>,
    /// What a child runs.
    pub child: Arc<Definition>,
    /// 0, or which redrive of the Map Run this is.
    pub redrive_count: u32,
    /// Where the items come from.
    pub items: ItemSource,
    /// Children at once, as the state says at its start; 1 to 10,000.
    pub max_concurrency: u64,
    /// Items that may fail.
    pub tolerated_failure_count: u64,
    /// Items of a hundred that may fail.
    pub tolerated_failure_percentage: f64,
    /// How items are put together, if they are.
    pub batching: Option<Batching>,
    /// Where the results go.
    pub writer: ResultWriter,
    selection: Option<Arc<Selection>>,
}

impl PartialEq for MapRun {
    /// A task id names one run within its execution.
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task && self.arn == other.arn && self.redrive_count == other.redrive_count
    }
}

/// What an `ItemSelector` sees besides the item.
#[derive(Debug)]
struct Selection {
    definition: Arc<Definition>,
    machine: MachineId,
    state: usize,
    input: Arc<Value>,
    variables: Snapshot,
    /// The members of the context object.
    context: Vec<(&'static str, Arc<Value>)>,
    at: Timestamp,
    seed: u64,
    /// Of the state's `MapStateEntered`, for causes.
    entered: u64,
}

#[derive(Debug)]
struct Snapshot(BTreeMap<Arc<str>, Arc<Value>>);

impl Variables for Snapshot {
    fn get(&self, name: &str) -> Option<&Arc<Value>> {
        self.0.get(name)
    }
}

impl MapRun {
    /// What `ItemSelector` makes of an item, or the item itself; for a member of an object its key and value. The same item always gives the same input: `$now()` is when the Map
    /// Run was started, and random numbers are the item's own.
    ///
    /// # Errors
    /// `States.QueryEvaluationError`, or `States.DataLimitExceeded` over 262,144 bytes.
    pub fn item_input(
        &self,
        index: u64,
        key: Option<&str>,
        value: &Arc<Value>,
    ) -> Result<Arc<Value>, MapFault> {
        let input = match &self.selection {
            None => key.map_or_else(|| Arc::clone(value), |key| pair(key, value)),
            Some(selection) => selection.select(index, key, value)?,
        };
        if data::measure(&input).fits() {
            return Ok(input);
        }
        Err(MapFault {
            error: "States.DataLimitExceeded",
            cause: format!("The input of item {index} exceeds the maximum number of bytes service limit."),
        })
    }

    /// Whether an item is a child's input as it is.
    #[must_use]
    pub fn is_verbatim(&self) -> bool {
        self.selection.is_none() && self.batching.is_none()
    }
}

impl Selection {
    fn select(&self, index: u64, key: Option<&str>, value: &Arc<Value>) -> Result<Arc<Value>, MapFault> {
        let state = &self.definition.machine(self.machine).states[self.state];
        let StateKind::Map(Mapping { selector: Some(selector), .. }) = &state.kind else {
            return Ok(Arc::clone(value));
        };
        let mut item = vec![("Index", Node::Number(index))];
        if let Some(key) = key {
            item.push(("Key", Node::Text(key.into())));
        }
        item.push(("Value", Node::Shared(value)));
        let mut context: Vec<(&'static str, Node<'_>)> =
            self.context.iter().map(|(name, value)| (*name, Node::Shared(value))).collect();
        context.push(("Map", Node::Members(vec![("Item", Node::Members(item))])));
        let environment = Environment {
            states: Node::Members(vec![
                ("input", Node::Shared(&self.input)),
                ("context", Node::Members(context)),
            ]),
            variables: &self.variables,
            at: self.at,
            random: Rc::new(Random::new(self.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        };
        selector.evaluate(&environment, "ItemSelector").map_err(|failure| MapFault {
            error: "States.QueryEvaluationError",
            cause: format!(
                "An error occurred while executing the state '{}' (entered at the event id #{}), at item {index}. {}",
                state.name, self.entered, failure.message
            ),
        })
    }
}

/// The fields of the state, evaluated.
struct Fields {
    items: ItemSource,
    length: usize,
    max_concurrency: u64,
    tolerated_failure_count: u64,
    tolerated_failure_percentage: f64,
    batching: Option<Batching>,
    writer: ResultWriter,
}

impl Fields {
    fn evaluate(
        mapping: &Mapping,
        distributed: &Distributed,
        input: &Arc<Value>,
        environment: &Environment<'_>,
    ) -> Result<Fields, Failure> {
        let (items, length) = match &distributed.reader {
            None => {
                let items = items_of(mapping, input, environment)?;
                let length = match &*items {
                    Value::Array(items) => items.len(),
                    Value::Object(members) => members.len(),
                    _ => 0,
                };
                (ItemSource::Inline(items), length)
            }
            Some(reader) => {
                let bucket = text(&reader.bucket, environment, "ItemReader/Arguments/Bucket")?;
                let key = text(&reader.key, environment, "ItemReader/Arguments/Key")?;
                let max_items =
                    positive(reader.max_items.as_ref(), environment, "ItemReader/ReaderConfig/MaxItems")?;
                // The state starts before anything is read, so its length is not known yet.
                (ItemSource::Object { bucket, key, input_type: reader.input_type, max_items }, 0)
            }
        };
        let batching = match &distributed.batcher {
            None => None,
            Some(batcher) => Some(Batching {
                max_items: positive(batcher.max_items.as_ref(), environment, "ItemBatcher/MaxItemsPerBatch")?,
                max_bytes: positive(
                    batcher.max_bytes.as_ref(),
                    environment,
                    "ItemBatcher/MaxInputBytesPerBatch",
                )?
                .map(|bytes| bytes.min(limits::DATA_BYTES_MAX as u64)),
                input: batcher
                    .input
                    .as_ref()
                    .map(|template| template.evaluate(environment, "ItemBatcher/BatchInput"))
                    .transpose()?,
            }),
        };
        let destination = match &distributed.writer.destination {
            None => None,
            Some((bucket, prefix)) => {
                let bucket = text(bucket, environment, "ResultWriter/Arguments/Bucket")?;
                let prefix = match prefix {
                    Some(prefix) => text(prefix, environment, "ResultWriter/Arguments/Prefix")?,
                    None => String::new(),
                };
                Some((bucket, prefix))
            }
        };
        let max_concurrency = match concurrency_of(mapping, environment)? {
            0 => limits::MAP_RUN_CONCURRENCY_MAX,
            limit => limit.min(limits::MAP_RUN_CONCURRENCY_MAX),
        };
        Ok(Fields {
            items,
            length,
            max_concurrency,
            tolerated_failure_count: mapping.tolerated_failure_count(environment)?,
            tolerated_failure_percentage: mapping.tolerated_failure_percentage(environment)?,
            batching,
            writer: ResultWriter {
                destination,
                transformation: distributed.writer.transformation,
                output_type: distributed.writer.output_type,
            },
        })
    }
}

fn text(template: &Template, environment: &Environment<'_>, field: &str) -> Result<String, Failure> {
    let value = template.evaluate(environment, field)?;
    match &*value {
        Value::String(text) => Ok(text.clone()),
        other => Err(template.unexpected(field, "string", other)),
    }
}

fn positive(
    template: Option<&Template>,
    environment: &Environment<'_>,
    field: &str,
) -> Result<Option<u64>, Failure> {
    let Some(template) = template else { return Ok(None) };
    let value = template.evaluate(environment, field)?;
    match whole_seconds(&value) {
        Some(number @ 1..) => Ok(Some(number)),
        _ => Err(template.unexpected(field, "positive integer", &value)),
    }
}

impl Mapping {
    /// `ToleratedFailureCount`; 0 where there is none.
    pub(super) fn tolerated_failure_count(&self, environment: &Environment<'_>) -> Result<u64, Failure> {
        let Some(template) = &self.tolerated_count else { return Ok(0) };
        let value = template.evaluate(environment, "ToleratedFailureCount")?;
        whole_seconds(&value)
            .ok_or_else(|| template.unexpected("ToleratedFailureCount", "non-negative integer", &value))
    }

    /// `ToleratedFailurePercentage`; 0 where there is none.
    pub(super) fn tolerated_failure_percentage(&self, environment: &Environment<'_>) -> Result<f64, Failure> {
        let Some(template) = &self.tolerated_percentage else { return Ok(0.0) };
        let value = template.evaluate(environment, "ToleratedFailurePercentage")?;
        value.as_f64().filter(|number| (0.0..=100.0).contains(number)).ok_or_else(|| {
            template.unexpected("ToleratedFailurePercentage", "number between 0 and 100", &value)
        })
    }
}

impl Execution {
    pub(super) fn start_map_run(
        &mut self,
        id: ThreadId,
        state: &State,
        mapping: &Mapping,
        distributed: &Distributed,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let input = Arc::clone(&self.threads[&id].input);
        let fields = self.evaluate(id, state, Seen::default(), turn, |environment| {
            Fields::evaluate(mapping, distributed, &input, environment)
        })?;
        if let ItemSource::Inline(items) = &fields.items {
            self.expect_items(id, state, items, turn.at)?;
            if !data::measure(items).fits() {
                return Err(too_large(state));
            }
        }
        if self.is_tested() {
            return self.test_map(id, state, mapping, &fields, turn);
        }
        let previous = self.threads[&id].previous;
        let length = fields.length;
        let started = self.event(turn.at, previous, EventType::MapStateStarted, || {
            Some(Details::MapStateStarted { length })
        });
        let run = Arc::new(self.new_map_run(id, mapping, distributed, fields, turn));
        let arn = Arc::clone(&run.arn);
        let event = self.event(turn.at, started, EventType::MapRunStarted, || {
            Some(Details::MapRunStarted { map_run_arn: arn })
        });
        self.run_map(id, run, event, turn);
        Ok(())
    }

    /// A Distributed Map under test: its items get their inputs, and then the mock is its result.
    fn test_map(
        &mut self,
        id: ThreadId,
        state: &State,
        mapping: &Mapping,
        fields: &Fields,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let limit = self
            .evaluate(id, state, Seen::default(), turn, |environment| concurrency_of(mapping, environment))?;
        let (count, percentage) = (fields.tolerated_failure_count, fields.tolerated_failure_percentage);
        self.inspect_map(mapping, limit, count, percentage);
        let items: Vec<Item> = match &fields.items {
            ItemSource::Inline(items) => items_in(items),
            ItemSource::Object { max_items, .. } => {
                let most = max_items.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
                let read = self.tested_items().unwrap_or_default().into_iter().take(most).enumerate();
                read.map(|(index, value)| Item { index, key: None, value: Arc::new(value) }).collect()
            }
        };
        if let Some(selector) = &mapping.selector {
            let mut selected = Vec::with_capacity(items.len());
            for item in &items {
                let seen = Seen { item: Some(item), ..Seen::default() };
                selected.push(self.evaluate(id, state, seen, turn, |environment| {
                    selector.evaluate(environment, "ItemSelector")
                })?);
            }
            self.inspect_selected(&selected);
        }
        self.end_tested_map(id, state, mapping, items.len(), turn)
    }

    fn new_map_run(
        &mut self,
        id: ThreadId,
        mapping: &Mapping,
        distributed: &Distributed,
        fields: Fields,
        turn: &Turn,
    ) -> MapRun {
        let uuid = turn.random.uuid();
        let label = distributed.label.as_ref().map_or_else(|| turn.random.uuid(), |label| label.to_string());
        let seed = turn.random.next_u64();
        let task = TaskId(self.next_id());
        let with = &self.started_with;
        // `arn:aws:states:<region>:<account>`
        let service = with.state_machine_arn.splitn(6, ':').take(5).collect::<Vec<_>>().join(":");
        let child_machine_name = format!("{}/{label}", with.state_machine_name);
        MapRun {
            task,
            arn: format!("{service}:mapRun:{child_machine_name}:{uuid}").into(),
            id: uuid.into(),
            child_machine_arn: format!("{}/{label}", with.state_machine_arn).into(),
            child_machine_name: child_machine_name.into(),
            child: Arc::clone(&distributed.child),
            redrive_count: 0,
            items: fields.items,
            max_concurrency: fields.max_concurrency,
            tolerated_failure_count: fields.tolerated_failure_count,
            tolerated_failure_percentage: fields.tolerated_failure_percentage,
            batching: fields.batching,
            writer: fields.writer,
            selection: mapping.selector.is_some().then(|| Arc::new(self.selection(id, seed, turn.at))),
        }
    }

    fn selection(&self, id: ThreadId, seed: u64, at: Timestamp) -> Selection {
        let thread = &self.threads[&id];
        let mut variables = BTreeMap::new();
        let mut around = Some(thread);
        while let Some(scope) = around {
            for (name, variable) in &scope.variables {
                variables.entry(Arc::clone(name)).or_insert_with(|| Arc::clone(&variable.value));
            }
            around = scope.parent.and_then(|(parent, _)| self.threads.get(&parent));
        }
        let context = match self.context(thread, None) {
            Node::Members(members) => {
                members.into_iter().map(|(name, node)| (name, Arc::new(node.to_value()))).collect()
            }
            _ => Vec::new(),
        };
        Selection {
            definition: Arc::clone(&self.definition),
            machine: thread.machine,
            state: thread.state,
            input: Arc::clone(&thread.input),
            variables: Snapshot(variables),
            context,
            at,
            seed,
            entered: thread.entered.map_or(0, |entered| entered.event),
        }
    }

    fn run_map(&mut self, id: ThreadId, run: Arc<MapRun>, event: u64, turn: &mut Turn) {
        self.tasks.insert(run.task, id);
        turn.effects.push(Effect::StartMapRun(Arc::clone(&run)));
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = event;
            thread.phase = Phase::Mapping(run.task);
            thread.map_run = Some(ThreadMapRun { run, result: None });
        }
    }

    /// The run goes on where it failed, or was stopped.
    pub(super) fn redrive_map_run(&mut self, id: ThreadId, turn: &mut Turn) {
        let task = TaskId(self.next_id());
        let Some(thread) = self.threads.get_mut(&id) else { return };
        let Some(ThreadMapRun { run, .. }) = thread.map_run.take() else { return };
        let previous = thread.previous;
        let redrive_count = run.redrive_count + 1;
        let again = Arc::new(run.again(task, redrive_count));
        let arn = Arc::clone(&again.arn);
        let event = self.event(turn.at, previous, EventType::MapRunRedriven, || {
            Some(Details::MapRunRedriven { map_run_arn: arn, redrive_count })
        });
        self.run_map(id, again, event, turn);
    }

    /// The result of a thread's Map Run is not wanted any more.
    pub(super) fn stop_map_run(&mut self, id: ThreadId, task: TaskId, turn: &mut Turn) {
        self.tasks.remove(&task);
        if let Some(map_run) = self.threads.get(&id).and_then(|thread| thread.map_run.as_ref()) {
            turn.effects.push(Effect::StopMapRun { task, arn: Arc::clone(&map_run.run.arn) });
        }
    }

    fn map_run_over(
        &mut self,
        id: ThreadId,
        at: Timestamp,
        event_type: EventType,
        details: impl FnOnce() -> Option<Details>,
    ) {
        let previous = self.threads[&id].previous;
        let event = self.event(at, previous, event_type, details);
        if let Some(thread) = self.threads.get_mut(&id) {
            if let Phase::Mapping(task) = std::mem::replace(&mut thread.phase, Phase::Ready) {
                self.tasks.remove(&task);
            }
            thread.previous = event;
        }
    }

    pub(super) fn map_run_succeeded(&mut self, id: ThreadId, output: Arc<Value>, turn: &mut Turn) {
        self.map_run_over(id, turn.at, EventType::MapRunSucceeded, || None);
        if let Some(map_run) = self.threads.get_mut(&id).and_then(|thread| thread.map_run.as_mut()) {
            map_run.result = Some(output);
        }
        self.with_state(id, |execution, state| {
            if let Err(fault) = execution.leave_map_run(id, state, turn) {
                execution.fail(id, state, fault, turn);
            }
        });
    }

    pub(super) fn map_run_failed(
        &mut self,
        id: ThreadId,
        error: String,
        cause: Option<String>,
        turn: &mut Turn,
    ) {
        let error = shortened(error, limits::ERROR_CHARS_MAX);
        let cause = cause.map(|cause| shortened(cause, limits::CAUSE_CHARS_MAX));
        let fault = Fault { error: Some(error.clone()), cause: cause.clone(), of_branch: false };
        self.map_run_over(id, turn.at, EventType::MapRunFailed, || {
            Some(Details::MapRunFailed { error, cause })
        });
        self.with_state(id, |execution, state| execution.fail(id, state, fault, turn));
    }

    /// Leaves the state with the result of its Map Run.
    pub(super) fn leave_map_run(
        &mut self,
        id: ThreadId,
        state: &State,
        turn: &mut Turn,
    ) -> Result<(), Fault> {
        let StateKind::Map(Mapping { then, .. }) = state.kind else { return Ok(()) };
        let thread = &self.threads[&id];
        let previous = thread.previous;
        let Some(result) = thread.map_run.as_ref().and_then(|map_run| map_run.result.clone()) else {
            return Ok(());
        };
        if !data::measure(&result).fits() {
            return Err(too_large(state));
        }
        self.event(turn.at, previous, EventType::MapStateSucceeded, || None);
        self.leave_by_state(id, state, Some(&result), then, turn)
    }
}

impl MapRun {
    /// The same run, redriven.
    fn again(&self, task: TaskId, redrive_count: u32) -> MapRun {
        MapRun {
            task,
            arn: Arc::clone(&self.arn),
            id: Arc::clone(&self.id),
            child_machine_arn: Arc::clone(&self.child_machine_arn),
            child_machine_name: Arc::clone(&self.child_machine_name),
            child: Arc::clone(&self.child),
            redrive_count,
            items: self.items.clone(),
            max_concurrency: self.max_concurrency,
            tolerated_failure_count: self.tolerated_failure_count,
            tolerated_failure_percentage: self.tolerated_failure_percentage,
            batching: self.batching.clone(),
            writer: self.writer.clone(),
            selection: self.selection.clone(),
        }
    }
}

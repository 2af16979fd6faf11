//! Which member of a message each member of its canonical events comes from, found by experiment.
//!
//! A mapper sees nothing but its message and metadata, and gives the same output for the same input. So one member of the message is
//! changed at a time, the mapper is run again, as `normalize` runs it, and what moved in the output comes from that member. It
//! needs no annotation and works for a mapper in any language.
//!
//! What is found holds for the message that was tried. It is a lower bound of what the mapper reads: a branch that the message does
//! not take is not seen, nor a member that matters only together with another. Every bound is in [`limits`], and what a bound left
//! out is named ([`LeftOut`]).
//!
//! [`trace`] is of one message, [`union`] of several of one mapper. Pure but for the clock that bounds it.

mod change;
pub mod limits;
mod place;
pub mod schema;
mod union;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sluice_core::canonical::{Judged, Reason, judge, permit};
use sluice_core::id::SchemaVersion;
use sluice_core::jiff::Timestamp;
use sluice_core::json::push_pointer;
use sluice_core::{Code, Fault};
use sluice_mapping::{Bundle, Message, Meta, execute};

pub use change::Change;
pub use union::{Dropped, InputUse, OutputSource, OutputUse, Union, union};

use change::{Edits, cut, spliced, type_of, values};
use place::{Kind, Place, Places};

/// Where an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In the vendor's payload.
    Payload,
    /// In the metadata that a mapper is told beside it.
    Meta,
}

/// What a message comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Canonical events.
    Events(usize),
    /// Nothing, and why.
    Nothing(Reason),
    /// It fails.
    Fails(Failure),
}

/// How a message fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The code of the fault.
    pub code: &'static str,
    /// Where the first fault is, if it has a place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// The mapper's or the schema's own code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fault: String,
}

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        let first = fault.errors.first();
        Self {
            code: fault.code.as_str(),
            pointer: first.map(|first| first.pointer.clone()).unwrap_or_default(),
            fault: first.map(|first| first.code.clone()).unwrap_or_default(),
        }
    }
}

/// What a change does to what the message comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    None,
    /// Members of the canonical events become others.
    Moves(Moves),
    /// The message fails, or fails of something else.
    Fails(Failure),
    /// The message states nothing, by the code of the mapper's reason.
    Nothing(String),
    /// The message is mapped, which it is not as it is.
    Maps(usize),
}

/// Members of the canonical events that became others: JSON pointers that begin with the event's position.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moves {
    /// They have another value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<String>,
    /// They were not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub appeared: Vec<String>,
    /// They are not there any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vanished: Vec<String>,
    /// Places that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A change that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// What was done.
    pub change: Change,
    /// What came of it.
    pub effect: Effect,
}

/// A member of the message, with what came of changing it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// Where it is.
    pub origin: Origin,
    /// JSON pointer into the payload, or its like for CSV and X12.
    pub pointer: String,
    /// The same for every item of a list.
    pub name: String,
    /// What it says; nothing of a list or an object as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What was tried.
    pub tried: Vec<Tried>,
}

/// Where a member of a canonical event comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// Where the input is.
    pub origin: Origin,
    /// Its place.
    pub pointer: String,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The changes of it that move the member.
    pub by: Vec<Change>,
}

/// A member of a canonical event, with its sources.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Output {
    /// JSON pointer that begins with the event's position.
    pub pointer: String,
    /// What it says.
    pub value: Value,
    /// The inputs that move it; none of what is constant, or moved by no single change.
    pub sources: Vec<Source>,
}

/// Inputs of one name that were not all tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Their name; `*` stands for every position.
    pub name: String,
    /// How many there are.
    pub inputs: usize,
    /// How many of them were tried.
    pub tried: usize,
}

/// The lineage of one message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lineage {
    /// What the message comes to as it is.
    pub outcome: Ending,
    /// Members of its canonical events, at most [`limits::OUTPUTS_MAX`].
    pub outputs: Vec<Output>,
    /// Members of its canonical events that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_outputs: usize,
    /// Members of the message, in its order.
    pub inputs: Vec<Input>,
    /// What was not tried, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Places that changes move and that are not listed, so that sources may be missing: [`limits::LINKS_MAX`].
    #[serde(skip_serializing_if = "is_zero")]
    pub more_links: usize,
    /// Whether it ended because its time was over.
    pub out_of_time: bool,
    /// How often the mapper was run.
    pub runs: usize,
}

/// Which members are asked for: a pointer of a canonical event or of the message, or the name of a member, wherever it is. `*` stands
/// for every position, and so does a pointer into an event that does not begin with the event's position.
#[derive(Debug, Clone)]
pub struct Wanted(String);

impl Wanted {
    /// Of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let in_event =
            ["/data/", "/notes/"].iter().any(|start| text.starts_with(start)) || text == "/occurredAt";
        Self(if in_event { format!("/*{text}") } else { text.to_owned() })
    }

    /// Whether a place is one of them.
    #[must_use]
    pub fn is(&self, pointer: &str) -> bool {
        match self.0.starts_with('/') {
            true => {
                is_at(pointer, &self.0) || self.0.strip_prefix("/*").is_some_and(|own| is_at(pointer, own))
            }
            false => pointer.rsplit('/').next() == Some(&self.0),
        }
    }
}

impl Lineage {
    /// Leaves the wanted members, and what they come from or go to. Whether there are any.
    pub fn only(&mut self, wanted: &Wanted) -> bool {
        self.inputs.retain_mut(|input| {
            if wanted.is(&input.pointer) {
                return true;
            }
            input.tried.retain_mut(|tried| match &mut tried.effect {
                Effect::Moves(moves) => {
                    for list in [&mut moves.moved, &mut moves.appeared, &mut moves.vanished] {
                        list.retain(|pointer| wanted.is(pointer));
                    }
                    !(moves.moved.is_empty() && moves.appeared.is_empty() && moves.vanished.is_empty())
                }
                _ => false,
            });
            !input.tried.is_empty()
        });
        let inputs = &self.inputs;
        self.outputs.retain(|output| {
            wanted.is(&output.pointer)
                || output.sources.iter().any(|source| {
                    wanted.is(&source.pointer)
                        && inputs
                            .iter()
                            .any(|input| input.pointer == source.pointer && input.origin == source.origin)
                })
        });
        !self.outputs.is_empty() || self.inputs.iter().any(|input| wanted.is(&input.pointer))
    }
}

/// How much is tried, and how it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Most inputs that are changed.
    pub inputs: usize,
    /// How long the runs may take together.
    pub time: Duration,
    /// Whether the vendor must be permitted to state the events. Not of a fixture, whose time of receipt is made up.
    pub permitted: bool,
}

impl Plan {
    /// Of a message that was received.
    #[must_use]
    pub fn received() -> Self {
        Self { inputs: limits::INPUTS_MAX, time: limits::TIME_MAX, permitted: true }
    }

    /// Of a message that never was.
    #[must_use]
    pub fn fixture() -> Self {
        Self { permitted: false, ..Self::received() }
    }
}

/// A pointer with its positions as `*`, so that the same member of every item is one thing.
pub fn folded(pointer: &str) -> String {
    let mut folded = String::with_capacity(pointer.len());
    for (at, token) in pointer.split('/').enumerate() {
        if at > 0 {
            folded.push('/');
        }
        let position = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        folded.push_str(if position { "*" } else { token });
    }
    folded
}

/// Whether a pointer is at a place, in which `*` stands for every position.
pub fn is_at(pointer: &str, place: &str) -> bool {
    let (mut tokens, mut wanted) = (pointer.split('/'), place.split('/'));
    loop {
        match (tokens.next(), wanted.next()) {
            (None, None) => return true,
            (Some(token), Some(wanted)) if token == wanted || wanted == "*" || token == "*" => {}
            _ => return false,
        }
    }
}

/// The members of canonical events by pointer, without those that hold others.
type Leaves = BTreeMap<String, Value>;

/// What one run gave.
enum Ran {
    /// The very output of the message as it is.
    Same,
    Events(usize, Leaves),
    Nothing(Reason),
    Fails(Failure),
}

/// Changes each member of a message, one at a time, and says what moves in its canonical events. `known` are values that the schema of
/// the payload allows, by a member's name.
///
/// # Errors
/// A message whose text cannot be decoded, or metadata that is none. A message that fails is no error: what mends it is found.
pub fn trace(
    bundle: &Bundle,
    message: &Message,
    known: &BTreeMap<String, Vec<String>>,
    plan: Plan,
) -> Result<Lineage, Fault> {
    let message = message.decoded(&bundle.contract)?;
    let mut experiment = Experiment {
        bundle,
        message: &message,
        base: None,
        permitted: plan.permitted,
        until: Instant::now() + plan.time,
        runs: 0,
        links: limits::LINKS_MAX,
        more_links: 0,
    };
    let (outcome, base) = experiment.as_it_is()?;
    let places = Places::of(bundle.contract.payload.format, &message.payload);

    let order = order(&places.kept, plan.inputs);
    let mut tried: Vec<(usize, Input)> = Vec::new();
    let mut out_of_time = false;
    let mut inputs = experiment.metadata(&outcome, &base)?;
    for at in order {
        if experiment.is_over() {
            out_of_time = true;
            break;
        }
        let place = &places.kept[at];
        let known = known.get(&place.name).map(Vec::as_slice).unwrap_or_default();
        tried.push((at, experiment.input(place, known, &outcome, &base)?));
    }
    tried.sort_by_key(|(at, _)| *at);
    let left_out = left_out(&places, tried.iter().map(|(at, _)| &places.kept[*at]));
    inputs.extend(tried.into_iter().map(|(_, input)| input));
    let runs = experiment.runs;
    let more_outputs = base.len().saturating_sub(limits::OUTPUTS_MAX);
    let outputs = outputs(base, &inputs);
    let more_links = experiment.more_links;
    Ok(Lineage { outcome, outputs, more_outputs, inputs, left_out, more_links, out_of_time, runs })
}

/// The first of each name, then the second of each, and so on: what a bound leaves out is a repetition first.
fn order(places: &[Place], inputs_max: usize) -> Vec<usize> {
    let mut seen: HashMap<(&str, bool), usize> = HashMap::new();
    let mut order: Vec<(usize, usize)> = places
        .iter()
        .enumerate()
        .map(|(at, place)| {
            let turn = seen.entry((&place.name, place.kind == Kind::Column)).or_default();
            *turn += 1;
            (*turn, at)
        })
        .collect();
    order.sort_unstable();
    order.truncate(inputs_max);
    order.into_iter().map(|(_, at)| at).collect()
}

fn left_out<'p>(places: &Places, done: impl Iterator<Item = &'p Place>) -> Vec<LeftOut> {
    let mut tried: HashMap<&str, usize> = HashMap::new();
    // A column is none of its cells, which are what is counted.
    for place in done.filter(|place| place.kind != Kind::Column) {
        *tried.entry(&place.name).or_default() += 1;
    }
    let mut left: Vec<LeftOut> = places
        .counts
        .iter()
        .map(|(name, inputs)| LeftOut {
            name: name.clone(),
            inputs: *inputs,
            tried: tried.get(name.as_str()).copied().unwrap_or_default(),
        })
        .filter(|one| one.tried < one.inputs)
        .collect();
    if places.unnamed > 0 {
        left.push(LeftOut { name: "(further names)".to_owned(), inputs: places.unnamed, tried: 0 });
    }
    left
}

/// The members of the events, each with the inputs that move it.
fn outputs(base: Leaves, inputs: &[Input]) -> Vec<Output> {
    let mut sources: HashMap<&str, Vec<Source>> = HashMap::new();
    for input in inputs {
        for Tried { change, effect } in &input.tried {
            let Effect::Moves(moves) = effect else { continue };
            // What goes with the list that it was in comes from the members in the list; and an item that is left out moves those
            // behind it, whose values come from their own items.
            let item = *change == Change::Absent && input.name.ends_with("/*");
            if input.value.is_none() || item {
                continue;
            }
            for pointer in moves.moved.iter().chain(&moves.vanished) {
                let list = sources.entry(pointer.as_str()).or_default();
                match list.last_mut() {
                    Some(last) if last.origin == input.origin && last.pointer == input.pointer => {
                        last.by.push(*change);
                    }
                    _ => list.push(Source {
                        origin: input.origin,
                        pointer: input.pointer.clone(),
                        value: input.value.clone(),
                        by: vec![*change],
                    }),
                }
            }
        }
    }
    base.into_iter()
        .take(limits::OUTPUTS_MAX)
        .map(|(pointer, value)| Output {
            sources: sources.remove(pointer.as_str()).unwrap_or_default(),
            value: shortened(value),
            pointer,
        })
        .collect()
}

/// A text that is too long to be shown ends in `…`.
fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(limits::VALUE_CHARS_MAX) {
            Some((end, _)) => Value::String(format!("{}…", &text[..end])),
            None => Value::String(text),
        },
        other => other,
    }
}

struct Experiment<'a> {
    bundle: &'a Bundle,
    message: &'a Message,
    /// The mapper's output for the message as it is.
    base: Option<Vec<u8>>,
    permitted: bool,
    until: Instant,
    runs: usize,
    /// Places that changes may still be said to move.
    links: usize,
    /// Places beyond that.
    more_links: usize,
}

impl Experiment<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn as_it_is(&mut self) -> Result<(Ending, Leaves), Fault> {
        self.runs += 1;
        let output = match execute(self.message, self.bundle) {
            Ok(output) => output,
            // It says nothing about the message.
            Err(fault) if fault.code == Code::Unavailable => return Err(fault),
            Err(fault) => return Ok((Ending::Fails(Failure::from(&fault)), Leaves::new())),
        };
        let ran = self.judged(&self.message.meta, &output.bytes)?;
        self.base = Some(output.bytes);
        Ok(match ran {
            Ran::Events(events, leaves) => (Ending::Events(events), leaves),
            Ran::Nothing(reason) => (Ending::Nothing(reason), Leaves::new()),
            Ran::Fails(failure) => (Ending::Fails(failure), Leaves::new()),
            Ran::Same => unreachable!("only a run is compared with the one before"),
        })
    }

    /// Payload schema, mapper and canonical schema.
    fn run(&mut self, message: &Message) -> Result<Ran, Fault> {
        self.runs += 1;
        match execute(message, self.bundle) {
            Ok(output) if self.base.as_ref() == Some(&output.bytes) => Ok(Ran::Same),
            Ok(output) => self.judged(&message.meta, &output.bytes),
            // It says nothing about the message.
            Err(fault) if fault.code == Code::Unavailable => Err(fault),
            Err(fault) => Ok(Ran::Fails(Failure::from(&fault))),
        }
    }

    fn judged(&self, meta: &Meta, output: &[u8]) -> Result<Ran, Fault> {
        let contract = &self.bundle.contract;
        let received_at: Timestamp = meta.received_at.parse().map_err(|error| {
            Fault::new(Code::InputMalformed, "the metadata's receivedAt is no time").with_source(error)
        })?;
        let events = match judge(output, &contract.canonical) {
            Ok(Judged::Events(events)) => events,
            Ok(Judged::Nothing(reason)) => return Ok(Ran::Nothing(reason)),
            Err(fault) => return Ok(Ran::Fails(Failure::from(&fault))),
        };
        if self.permitted
            && let Err(fault) = permit(&events, contract, received_at)
        {
            return Ok(Ran::Fails(Failure::from(&fault)));
        }
        let mut leaves = Leaves::new();
        for (at, event) in events.iter().enumerate() {
            leaves.insert(format!("/{at}/occurredAt"), Value::String(event.occurred_at.clone()));
            flatten(&event.data, &mut format!("/{at}/data"), &mut leaves);
            for (n, note) in event.notes.iter().enumerate() {
                leaves.insert(format!("/{at}/notes/{n}/code"), Value::String(note.code.clone()));
                leaves.insert(format!("/{at}/notes/{n}/path"), Value::String(note.pointer.clone()));
                leaves.insert(format!("/{at}/notes/{n}/message"), Value::String(note.message.clone()));
            }
        }
        Ok(Ran::Events(events.len(), leaves))
    }

    /// No more places than a document can have, whatever a mapper does.
    fn bounded(&mut self, mut effect: Effect) -> Effect {
        if let Effect::Moves(moves) = &mut effect {
            for list in [&mut moves.moved, &mut moves.appeared, &mut moves.vanished] {
                let kept = list.len().min(self.links);
                moves.more += list.len() - kept;
                self.more_links += list.len() - kept;
                list.truncate(kept);
                self.links -= kept;
            }
        }
        effect
    }

    fn input(
        &mut self,
        place: &Place,
        known: &[String],
        outcome: &Ending,
        base: &Leaves,
    ) -> Result<Input, Fault> {
        let mut tried = Vec::new();
        let mut edited = |edits: &Edits| -> Result<Option<Effect>, Fault> {
            let Some(payload) = spliced(&self.message.payload, edits) else { return Ok(None) };
            let message = self.message.with(self.message.meta.clone(), payload);
            let ran = self.run(&message)?;
            Ok(Some(self.bounded(effect(ran, outcome, base))))
        };
        let absent = edited(&cut(place))?;
        // What may be left out is seldom read: two other values must do.
        let values_max = match absent {
            Some(Effect::None) => limits::VALUES_OF_UNREAD_MAX,
            _ => limits::VALUES_TRIED_MAX,
        };
        // The first other value that moves something; else one that is taken; else how it fails.
        let mut value: Option<Effect> = None;
        for edits in values(place, known).into_iter().take(values_max) {
            let Some(found) = edited(&edits)? else { continue };
            let better = match (&value, &found) {
                (_, Effect::Moves(_) | Effect::Maps(_)) => {
                    value = Some(found);
                    break;
                }
                (None, _) => true,
                (Some(Effect::Fails(_)), Effect::None | Effect::Nothing(_)) => true,
                _ => false,
            };
            if better {
                value = Some(found);
            }
        }
        tried.extend(value.map(|effect| Tried { change: Change::Value, effect }));
        tried.extend(absent.map(|effect| Tried { change: Change::Absent, effect }));
        if let Some(edits) = type_of(place)
            && let Some(effect) = edited(&edits)?
        {
            tried.push(Tried { change: Change::Type, effect });
        }
        Ok(Input {
            origin: Origin::Payload,
            pointer: place.pointer.clone(),
            name: place.name.clone(),
            value: place.shown().map(shortened),
            tried,
        })
    }

    /// Every member of the metadata, with another value.
    fn metadata(&mut self, outcome: &Ending, base: &Leaves) -> Result<Vec<Input>, Fault> {
        type Member = fn(&mut Meta) -> &mut String;
        let held = &self.message.meta;
        let mut versions = self.bundle.schemas.keys().map(SchemaVersion::as_str);
        let version = versions.rfind(|one| *one != held.schema_version);
        let members: [(&str, &String, Option<String>, Member); 6] = [
            ("/vendorId", &held.vendor_id, None, |meta| &mut meta.vendor_id),
            ("/externalEventId", &held.external_event_id, None, |meta| &mut meta.external_event_id),
            ("/eventType", &held.event_type, None, |meta| &mut meta.event_type),
            ("/schemaVersion", &held.schema_version, version.map(ToOwned::to_owned), |meta| {
                &mut meta.schema_version
            }),
            ("/occurredAt", &held.occurred_at, None, |meta| &mut meta.occurred_at),
            ("/receivedAt", &held.received_at, None, |meta| &mut meta.received_at),
        ];
        let mut inputs = Vec::new();
        for (pointer, value, other, member) in members {
            let Some(other) = other.or_else(|| change::others(value).into_iter().next()) else { continue };
            let mut meta = held.clone();
            *member(&mut meta) = other;
            let message = self.message.with(meta, self.message.payload.clone());
            let ran = self.run(&message)?;
            let effect = self.bounded(effect(ran, outcome, base));
            inputs.push(Input {
                origin: Origin::Meta,
                pointer: pointer.to_owned(),
                name: pointer.to_owned(),
                value: Some(shortened(Value::String(value.clone()))),
                tried: vec![Tried { change: Change::Value, effect }],
            });
        }
        Ok(inputs)
    }
}

fn flatten(value: &Value, path: &mut String, leaves: &mut Leaves) {
    let length = path.len();
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                push_pointer(path, key);
                flatten(value, path, leaves);
                path.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                push_pointer(path, &at.to_string());
                flatten(item, path, leaves);
                path.truncate(length);
            }
        }
        leaf => {
            leaves.insert(path.clone(), leaf.clone());
        }
    }
}

/// What a run did to what the message comes to as it is.
fn effect(ran: Ran, outcome: &Ending, base: &Leaves) -> Effect {
    match (ran, outcome) {
        (Ran::Same, _) => Effect::None,
        (Ran::Fails(now), Ending::Fails(before)) if now == *before => Effect::None,
        (Ran::Fails(now), _) => Effect::Fails(now),
        (Ran::Nothing(now), Ending::Nothing(before)) if now == *before => Effect::None,
        (Ran::Nothing(now), _) => Effect::Nothing(now.code),
        (Ran::Events(events, _), Ending::Nothing(_) | Ending::Fails(_)) => Effect::Maps(events),
        (Ran::Events(_, now), Ending::Events(_)) => {
            let mut moves = Moves::default();
            for (pointer, value) in base {
                match now.get(pointer) {
                    Some(other) if other == value => {}
                    Some(_) => moves.moved.push(pointer.clone()),
                    None => moves.vanished.push(pointer.clone()),
                }
            }
            moves.appeared.extend(now.into_keys().filter(|pointer| !base.contains_key(pointer)));
            for list in [&mut moves.moved, &mut moves.vanished, &mut moves.appeared] {
                moves.more += list.len().saturating_sub(limits::OUTPUTS_MAX);
                list.truncate(limits::OUTPUTS_MAX);
            }
            match moves == Moves::default() {
                true => Effect::None,
                false => Effect::Moves(moves),
            }
        }
    }
}

#[cfg(test)]
mod tests;

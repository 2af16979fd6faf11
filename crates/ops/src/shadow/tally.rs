//! Two mappers beside each other, and what their comparison adds up to, whatever the order of
//! events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::IngestId;
use sluice_core::record::{EventDetail, Nothing};
use sluice_core::{Code, Fault};
use sluice_mapping::{Bundle, Mapped, Message, Outcome, Output, execute, finish};

use super::{
    CauseGroup, Causes, Changed, Cost, EXAMPLES_MAX, FieldExample, FieldGroup, GROUPS_MAX, Report, Side,
    Window,
};
use crate::diff::{Change, Difference, differences, folded};

/// The two mappers.
pub struct Pair {
    /// None: the vendor has none.
    pub active: Option<Side>,
    /// What would be promoted.
    pub candidate: Side,
}

type Fetched = (EventDetail, Result<Bytes, Fault>);

impl Pair {
    /// Compares on some events; the part of the work that takes processors.
    pub fn compare_all(&self, chunk: &[Fetched]) -> Tally {
        let mut tally = Tally::default();
        for (event, raw) in chunk {
            tally.events += 1;
            self.compare(event, raw.as_ref(), &mut tally);
        }
        tally
    }

    fn compare(&self, event: &EventDetail, raw: Result<&Bytes, &Fault>, tally: &mut Tally) {
        let raw = match raw {
            Ok(raw) => raw,
            Err(fault) => return tally.unreadable.add(event.ingest_id, fault),
        };
        let message = match Message::open(event, raw) {
            Ok(message) => message,
            // The bytes are not those that were accepted: no mapper is to blame.
            Err(fault) if fault.code == Code::RawDigestMismatch => {
                return tally.unreadable.add(event.ingest_id, &fault);
            }
            // Both fail before either is asked.
            Err(fault) => return tally.still_broken.add(event.ingest_id, &fault),
        };
        let before = match &self.active {
            Some(side) => tally.active.run(&message, &side.bundle),
            None => Err(Fault::new(Code::MapperMissing, "there is no active mapper")),
        };
        let after = tally.candidate.run(&message, &self.candidate.bundle);
        let candidate = &*self.candidate.bundle;
        if let (Some(side), Ok(old), Ok(new)) = (&self.active, &before, &after)
            && old.bytes == new.bytes
            && side.bundle.contract.canonical == candidate.contract.canonical
        {
            // Equal outputs are judged equally, so one judgement does for both.
            match finish(event, candidate, new) {
                Ok(mapped) => {
                    tally.stored(event, &mapped);
                    tally.same += 1;
                }
                Err(fault) => tally.still_broken.add(event.ingest_id, &fault),
            }
            return;
        }
        let judged = |output: Result<Output, Fault>, bundle: &Bundle| finish(event, bundle, &output?);
        let before = match &self.active {
            Some(side) => judged(before, &side.bundle),
            None => {
                before.map(|_| Mapped { outcome: Outcome::Events { bytes: Vec::new(), events: 0 }, fuel: 0 })
            }
        };
        if let Ok(mapped) = &before {
            tally.stored(event, mapped);
        }
        match (before, judged(after, candidate)) {
            (Ok(old), Ok(new)) if old.outcome.document() == new.outcome.document() => tally.same += 1,
            (Ok(old), Ok(new)) => {
                tally.changed.add(event.ingest_id, old.outcome.document(), new.outcome.document());
            }
            (Err(was), Ok(_)) => tally.fixed.add(event.ingest_id, &was),
            (Ok(_), Err(is)) => tally.newly_broken.add(event.ingest_id, &is),
            (Err(_), Err(is)) => tally.still_broken.add(event.ingest_id, &is),
        }
    }
}

/// What some comparisons gave; tallies of parts merge into that of the whole.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events compared.
    pub events: u64,
    /// See [`Report::same`].
    pub same: u64,
    changed: FieldTally,
    fixed: CauseTally,
    newly_broken: CauseTally,
    still_broken: CauseTally,
    unreadable: CauseTally,
    stored_differs: u64,
    active: CostTally,
    candidate: CostTally,
}

impl Tally {
    fn stored(&mut self, event: &EventDetail, mapped: &Mapped) {
        let stored = event.normalized.as_ref().map(|normalized| normalized.sha256.clone());
        let stored = stored.or_else(|| event.nothing.as_ref().map(|_| Nothing::sha256()));
        if stored.is_some_and(|stored| stored != Sha256Hex::of(mapped.outcome.document())) {
            self.stored_differs += 1;
        }
    }

    pub(super) fn merge(&mut self, part: Self) {
        self.events += part.events;
        self.same += part.same;
        self.stored_differs += part.stored_differs;
        self.changed.merge(part.changed);
        self.fixed.merge(part.fixed);
        self.newly_broken.merge(part.newly_broken);
        self.still_broken.merge(part.still_broken);
        self.unreadable.merge(part.unreadable);
        self.active.merge(part.active);
        self.candidate.merge(part.candidate);
    }

    pub(super) fn report(
        self,
        pair: &Pair,
        window: &Window,
        truncated: bool,
        jobs: usize,
        started: Instant,
    ) -> Report {
        Report {
            vendor_id: window.vendor_id.clone(),
            event_type: window.event_type.clone(),
            since: window.since,
            candidate: pair.candidate.name.clone(),
            active: pair.active.as_ref().map(|side| side.name.clone()),
            events: self.events,
            truncated,
            same: self.same,
            changed: self.changed.report(),
            fixed: self.fixed.report(),
            newly_broken: self.newly_broken.report(),
            still_broken: self.still_broken.report(),
            unreadable: self.unreadable.report(),
            stored_differs: self.stored_differs,
            active_cost: self.active.report(),
            candidate_cost: self.candidate.report(),
            jobs,
            elapsed_milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The least of some things, by key: the same whatever the order in which they came.
#[derive(Debug)]
struct Least<V>(BTreeMap<IngestId, V>);

impl<V> Default for Least<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Least<V> {
    fn add(&mut self, key: IngestId, value: impl FnOnce() -> V) {
        if self.0.len() == EXAMPLES_MAX && self.0.last_key_value().is_some_and(|(last, _)| key > *last) {
            return;
        }
        self.0.entry(key).or_insert_with(value);
        if self.0.len() > EXAMPLES_MAX {
            self.0.pop_last();
        }
    }
}

/// Differences, or causes, of some events; tallies of parts merge into that of the whole.
#[derive(Debug, Default)]
pub(crate) struct FieldTally {
    events: u64,
    groups: BTreeMap<(String, Change), (u64, Least<Difference>)>,
}

impl FieldTally {
    pub(crate) fn add(&mut self, event: IngestId, before: &[u8], after: &[u8]) {
        self.events += 1;
        let mut seen = BTreeSet::new();
        for difference in differences(&lines(before), &lines(after)) {
            // `/3/data/sku` is line 3's `/data/sku`.
            let inside = difference
                .pointer
                .get(1..)
                .and_then(|rest| rest.find('/'))
                .map_or("", |at| &difference.pointer[at + 1..]);
            let key = (folded(inside), difference.change);
            let group = self.groups.entry(key.clone()).or_default();
            group.0 += u64::from(seen.insert(key));
            group.1.add(event, || difference);
        }
    }

    fn merge(&mut self, part: Self) {
        self.events += part.events;
        for (key, (events, examples)) in part.groups {
            let group = self.groups.entry(key).or_default();
            group.0 += events;
            for (event, difference) in examples.0 {
                group.1.add(event, || difference);
            }
        }
    }

    pub(crate) fn report(self) -> Changed {
        let mut fields: Vec<FieldGroup> = self
            .groups
            .into_iter()
            .map(|((pointer, change), (events, examples))| FieldGroup {
                pointer,
                change,
                events,
                examples: examples
                    .0
                    .into_iter()
                    .map(|(ingest_id, difference)| FieldExample { ingest_id, difference })
                    .collect(),
            })
            .collect();
        fields.sort_by_key(|field| std::cmp::Reverse(field.events));
        let more_fields = fields.len().saturating_sub(GROUPS_MAX);
        fields.truncate(GROUPS_MAX);
        Changed { events: self.events, fields, more_fields }
    }
}

/// A document's lines as one array.
fn lines(document: &[u8]) -> Value {
    let lines = document.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Value::Array(lines.map(|line| serde_json::from_slice(line).unwrap_or_default()).collect())
}

/// Differences, or causes, of some events; tallies of parts merge into that of the whole.
#[derive(Debug, Default)]
pub(crate) struct CauseTally {
    events: u64,
    groups: BTreeMap<(&'static str, String, String), (u64, Least<String>)>,
}

impl CauseTally {
    pub(crate) fn add(&mut self, event: IngestId, fault: &Fault) {
        self.events += 1;
        let (pointer, code) = fault
            .errors
            .first()
            .map_or_else(Default::default, |first| (folded(&first.pointer), first.code.clone()));
        let group = self.groups.entry((fault.code.as_str(), pointer, code)).or_default();
        group.0 += 1;
        group.1.add(event, || fault.message.clone());
    }

    fn merge(&mut self, part: Self) {
        self.events += part.events;
        for (key, (events, examples)) in part.groups {
            let group = self.groups.entry(key).or_default();
            group.0 += events;
            for (event, message) in examples.0 {
                group.1.add(event, || message);
            }
        }
    }

    pub(crate) fn report(self) -> Causes {
        let mut causes: Vec<CauseGroup> = self
            .groups
            .into_iter()
            .map(|((code, pointer, fault), (events, examples))| CauseGroup {
                code: code.to_owned(),
                pointer,
                fault,
                message: examples.0.values().next().cloned().unwrap_or_default(),
                events,
                examples: examples.0.into_keys().collect(),
            })
            .collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.events));
        let more_causes = causes.len().saturating_sub(GROUPS_MAX);
        causes.truncate(GROUPS_MAX);
        Causes { events: self.events, causes, more_causes }
    }
}

#[derive(Debug, Default)]
struct CostTally {
    fuel: Vec<u64>,
    nanoseconds: Vec<u64>,
    memory_bytes_max: u64,
}

impl CostTally {
    fn run(&mut self, message: &Message, bundle: &Bundle) -> Result<Output, Fault> {
        let started = Instant::now();
        let output = execute(message, bundle)?;
        self.nanoseconds.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        self.fuel.push(output.fuel);
        self.memory_bytes_max = self.memory_bytes_max.max(output.memory_bytes as u64);
        Ok(output)
    }

    fn merge(&mut self, part: Self) {
        self.fuel.extend(part.fuel);
        self.nanoseconds.extend(part.nanoseconds);
        self.memory_bytes_max = self.memory_bytes_max.max(part.memory_bytes_max);
    }

    fn report(mut self) -> Cost {
        self.fuel.sort_unstable();
        self.nanoseconds.sort_unstable();
        let median = |sorted: &[u64]| sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let max = |sorted: &[u64]| sorted.last().copied().unwrap_or_default();
        Cost {
            events: self.fuel.len() as u64,
            fuel_median: median(&self.fuel),
            fuel_max: max(&self.fuel),
            memory_bytes_max: self.memory_bytes_max,
            nanoseconds_median: median(&self.nanoseconds),
            nanoseconds_max: max(&self.nanoseconds),
        }
    }
}

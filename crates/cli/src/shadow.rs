//! Shadow replay: a candidate mapper over a vendor's stored traffic, beside the active one, before it is promoted.
//!
//! It reads the ledger, raw objects and bundles, and writes nothing: [`Traffic`], all that it sees of the world, has no verb that
//! writes. Both mappers get the same bytes by the same code that `normalize` runs (`sluice_mapping`), so what it reports is what
//! will happen. The report does not depend on the order in which events were compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_aws::error::fault;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, IngestId, ObjectRef, VendorId, rfc3339};
use sluice_core::port::{Freshness, RawStore as _, VendorDirectory as _};
use sluice_core::record::{EventDetail, LedgerRow, Nothing};
use sluice_core::{Class, Code, Fault};
use sluice_mapper_host::Host;
use sluice_mapping::{Bundle, Mapped, Message, Outcome, Output, execute, finish};

use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Progress, millis};
use crate::workshop::bundle::{load, published};
use crate::workshop::diff::{Change, Difference, differences, folded};

/// Most events that are compared, unless told otherwise: the newest.
pub const LIMIT_DEFAULT: u32 = 100_000;

/// How far back, unless told otherwise: seven days.
pub const SINCE_SECONDS_DEFAULT: i64 = 7 * 86_400;

/// Objects fetched at once.
const FETCHES_AT_ONCE: usize = 64;
/// Events that a thread takes at a time.
const CHUNK_EVENTS: usize = 64;
/// Examples of a group.
const EXAMPLES_MAX: usize = 3;
/// Groups listed of each kind, the largest first; the number of the rest is stated.
const GROUPS_MAX: usize = 50;

/// All that shadow replay sees of the world. It can only be read.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// The newest accepted events, at most `limit`, oldest first.
    async fn events(&self, window: &Window) -> Result<Events, Fault>;
    /// A raw object.
    async fn raw(&self, at: &ObjectRef) -> Result<Bytes, Fault>;
}

/// Which events.
#[derive(Debug, Clone)]
pub struct Window {
    /// Whose.
    pub vendor_id: VendorId,
    /// Of which type.
    pub event_type: EventType,
    /// Received at or after this.
    pub since: Timestamp,
    /// Most of them; the newest.
    pub limit: usize,
}

/// What is in a [`Window`].
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<EventDetail>,
    /// There were more.
    pub truncated: bool,
}

/// A mapper that takes part.
#[derive(Clone)]
pub struct Side {
    /// Loaded.
    pub bundle: Arc<Bundle>,
    /// What it is, for the report.
    pub name: SideName,
}

/// A mapper, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SideName {
    /// Digest of a published bundle's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Sha256Hex>,
    /// A bundle's folder, when it is not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Revision of the pointer, for the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// What shadow replay found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose events.
    pub vendor_id: VendorId,
    /// Of which type.
    pub event_type: EventType,
    /// Received at or after this.
    #[serde(serialize_with = "millis")]
    pub since: Timestamp,
    /// What would be promoted.
    pub candidate: SideName,
    /// What it was compared with; none if the vendor has no active mapper for the type.
    pub active: Option<SideName>,
    /// Events compared.
    pub events: u64,
    /// The window had more than the limit; the newest were compared.
    pub truncated: bool,
    /// Same bytes from both.
    pub same: u64,
    /// Mapped by both, to different documents.
    pub changed: Changed,
    /// The active mapper fails, the candidate does not. Grouped by the active one's cause.
    pub fixed: Causes,
    /// The candidate fails, the active mapper does not. Grouped by the candidate's cause.
    pub newly_broken: Causes,
    /// Both fail. Grouped by the candidate's cause.
    pub still_broken: Causes,
    /// The raw object could not be read, so neither mapper was tried.
    pub unreadable: Causes,
    /// Events whose stored document is not what the active mapper gives today: they were normalized by an earlier one.
    pub stored_differs: u64,
    /// What the active mapper costs.
    pub active_cost: Cost,
    /// What the candidate costs.
    pub candidate_cost: Cost,
    /// Threads that mapped.
    pub jobs: usize,
    /// From the first fetch to the report.
    pub elapsed_milliseconds: u64,
}

/// Documents that differ.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// How many events.
    pub events: u64,
    /// By member, the most frequent first.
    pub fields: Vec<FieldGroup>,
    /// Groups that are not listed.
    pub more_fields: usize,
}

/// One member that differs, in one way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldGroup {
    /// JSON pointer into a canonical event, array positions as `*`; empty for an event that is there on one side only.
    pub pointer: String,
    /// How.
    pub change: Change,
    /// In how many events.
    pub events: u64,
    /// Of the first of them.
    pub examples: Vec<FieldExample>,
}

/// One event's difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldExample {
    /// Which event.
    pub ingest_id: IngestId,
    /// Where exactly: the line of the document, then the pointer into it.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Failures, grouped.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Causes {
    /// How many events.
    pub events: u64,
    /// By cause, the most frequent first.
    pub causes: Vec<CauseGroup>,
    /// Groups that are not listed.
    pub more_causes: usize,
}

/// One way to fail.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CauseGroup {
    /// A [`Code`]'s text.
    pub code: String,
    /// JSON pointer of the first fault, array positions as `*`.
    pub pointer: String,
    /// Code of the first fault: a schema's keyword, or the mapper's own code.
    pub fault: String,
    /// In words, of the first example.
    pub message: String,
    /// How many events.
    pub events: u64,
    /// The first of them.
    pub examples: Vec<IngestId>,
}

/// What a mapper used, over the events that it mapped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Events mapped.
    pub events: u64,
    /// Fuel of the median event.
    pub fuel_median: u64,
    /// Fuel of the costliest event.
    pub fuel_max: u64,
    /// Most memory that an event took, in bytes.
    pub memory_bytes_max: u64,
    /// Payload schema and mapper, of the median event.
    pub nanoseconds_median: u64,
    /// Of the slowest.
    pub nanoseconds_max: u64,
}

/// What would be promoted.
#[derive(Debug, Clone)]
pub enum Candidate {
    /// A bundle's folder, and its module.
    Folder {
        /// With `mapper.toml`.
        folder: PathBuf,
        /// The built module.
        wasm: PathBuf,
    },
    /// A published bundle.
    Published(Sha256Hex),
}

/// How to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose events.
    pub vendor_id: VendorId,
    /// Of which type; the candidate's, if not said.
    pub event_type: Option<EventType>,
    /// Received at or after this.
    pub since: Timestamp,
    /// Most events; the newest.
    pub limit: usize,
    /// Threads that map.
    pub jobs: usize,
}

impl Options {
    /// Everything of the last seven days, with all processors.
    pub fn new(vendor_id: VendorId, now: Timestamp) -> Self {
        Self {
            vendor_id,
            event_type: None,
            since: crate::args::Since::SecondsAgo(SINCE_SECONDS_DEFAULT).resolve(now),
            limit: LIMIT_DEFAULT as usize,
            jobs: jobs_default(),
        }
    }
}

/// A thread a processor.
pub fn jobs_default() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Compares a candidate with the active mapper of its vendor and event type over what the cloud has stored.
///
/// # Errors
/// A candidate that is not the vendor's or not of the type, a bundle that does not load, and a service that is away; never what an
/// event or a mapper does, which is in the report.
pub async fn run(
    cloud: &Cloud,
    candidate: &Candidate,
    options: &Options,
    progress: &Progress,
) -> Result<Report, CliError> {
    progress.say("loading the mappers");
    let (host, store) = (Host::new()?, cloud.bundles());
    let candidate = match candidate {
        Candidate::Published(digest) => Side {
            bundle: Arc::new(published(&host, &store, digest).await?),
            name: SideName { bundle: Some(digest.clone()), folder: None, revision: None },
        },
        Candidate::Folder { folder, wasm } => Side {
            bundle: Arc::new(load(&host, folder, wasm)?),
            name: SideName { bundle: None, folder: Some(folder.display().to_string()), revision: None },
        },
    };
    let contract = &candidate.bundle.contract;
    let event_type = options.event_type.clone().unwrap_or_else(|| contract.event_type.clone());
    if contract.vendor_id != options.vendor_id || contract.event_type != event_type {
        return Err(CliError::usage(format!(
            "the candidate maps {} {}, not {} {event_type}",
            contract.vendor_id, contract.event_type, options.vendor_id
        )));
    }
    let active = cloud.vendors().active_mapper(&options.vendor_id, &event_type, Freshness::Fresh).await?;
    let active = match active {
        Some(pointer) => Some(Side {
            bundle: Arc::new(published(&host, &store, &pointer.bundle).await?),
            name: SideName { bundle: Some(pointer.bundle), folder: None, revision: Some(pointer.revision) },
        }),
        None => None,
    };
    let window = Window {
        vendor_id: options.vendor_id.clone(),
        event_type,
        since: options.since,
        limit: options.limit,
    };
    replay(&Stored(cloud), active, candidate, &window, options.jobs, progress).await
}

/// What a cloud has stored: queries of the ledger, and objects.
struct Stored<'a>(&'a Cloud);

#[async_trait]
impl Traffic for Stored<'_> {
    async fn events(&self, window: &Window) -> Result<Events, Fault> {
        let (client, table) = (self.0.dynamodb(), self.0.names().ledger.as_str());
        let mut newest: BTreeMap<(Timestamp, IngestId), EventDetail> = BTreeMap::new();
        let mut truncated = false;
        let mut from = None;
        loop {
            let answer = client
                .query()
                .table_name(table)
                .key_condition_expression("vendorId = :vendor")
                .filter_expression("eventType = :type AND receivedAt >= :since")
                .expression_attribute_values(":vendor", AttributeValue::S(window.vendor_id.to_string()))
                .expression_attribute_values(":type", AttributeValue::S(window.event_type.to_string()))
                .expression_attribute_values(":since", AttributeValue::S(rfc3339(window.since)))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| fault("list the vendor's events", error))?;
            for item in answer.items.unwrap_or_default() {
                let row: LedgerRow = serde_dynamo::from_item(item).map_err(|error| {
                    Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                        .with_source(error)
                })?;
                newest.insert((row.received_at, row.ingest_id), row.detail());
                if newest.len() > window.limit {
                    newest.pop_first();
                    truncated = true;
                }
            }
            from = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(Events { events: newest.into_values().collect(), truncated });
            }
        }
    }

    async fn raw(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        self.0.objects().get(at).await
    }
}

/// Compares the two over everything in the window. `active` is none where the vendor has none; then whatever the candidate maps
/// is fixed.
pub async fn replay(
    traffic: &dyn Traffic,
    active: Option<Side>,
    candidate: Side,
    window: &Window,
    jobs: usize,
    progress: &Progress,
) -> Result<Report, CliError> {
    let started = Instant::now();
    let jobs = jobs.max(1);
    progress.say("listing the vendor's events");
    let Events { events, truncated } = traffic.events(window).await?;
    progress.total(events.len() as u64);
    progress.say("mapping");
    let pair = Arc::new(Pair { active, candidate });
    let fetches = events.into_iter().map(|event| async move {
        match traffic.raw(&event.raw_ref).await {
            // A service that is away for a moment is no verdict on the event.
            Err(fault) if fault.code.class() == Class::Retryable => Err(fault),
            fetched => Ok((event, fetched)),
        }
    });
    let tally = futures::stream::iter(fetches)
        .buffer_unordered(FETCHES_AT_ONCE)
        .try_chunks(CHUNK_EVENTS)
        .map_err(|error| CliError::from(error.1))
        .map_ok(|chunk| {
            let pair = Arc::clone(&pair);
            async move {
                let compared = tokio::task::spawn_blocking(move || pair.compare_all(&chunk)).await;
                compared.map_err(|error| CliError::Failed(format!("a comparison stopped: {error}")))
            }
        })
        .try_buffer_unordered(jobs)
        .inspect_ok(|tally| progress.add(tally.events))
        .try_fold(Tally::default(), |mut whole, part| {
            whole.merge(part);
            std::future::ready(Ok(whole))
        })
        .await?;
    Ok(tally.report(&pair, window, truncated, jobs, started))
}

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

    fn merge(&mut self, part: Self) {
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

    fn report(self, pair: &Pair, window: &Window, truncated: bool, jobs: usize, started: Instant) -> Report {
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

#[derive(Debug, Default)]
struct FieldTally {
    events: u64,
    groups: BTreeMap<(String, Change), (u64, Least<Difference>)>,
}

impl FieldTally {
    fn add(&mut self, event: IngestId, before: &[u8], after: &[u8]) {
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

    fn report(self) -> Changed {
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

#[derive(Debug, Default)]
struct CauseTally {
    events: u64,
    groups: BTreeMap<(&'static str, String, String), (u64, Least<String>)>,
}

impl CauseTally {
    fn add(&mut self, event: IngestId, fault: &Fault) {
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

    fn report(self) -> Causes {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use std::sync::Mutex;

    use serde_json::json;
    use sluice_core::bundle::MODULE_FILE;

    use super::*;
    use crate::output::Output;
    use crate::output::testing::on_terminal;
    use crate::workshop::bundle::compiled;

    /// `qty` is the eighth byte of `{"qty":7}`: each digit in `answers` has its answer, every other is mapped to itself.
    fn bundle(answers: &[(char, &str)]) -> Arc<Bundle> {
        const OUT: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"warehouseId":"W","sku":"S","quantityOnHand":1}}]"#;
        let mut data = String::new();
        let mut body = String::new();
        let mut next = 1024;
        let mut answer = |text: &str, digit: Option<char>| {
            let discriminant = u8::from(text.starts_with('{'));
            let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
            data += &format!(r#"(data (i32.const {next}) "{escaped}")"#);
            let give = format!(
                "(i32.store8 (i32.const 16) (i32.const {discriminant})) (i32.store (i32.const 20) (i32.const {next})) \
                 (i32.store (i32.const 24) (i32.const {})) (return (i32.const 16))",
                text.len()
            );
            body += &match digit {
                Some(digit) => format!(
                    "(if (i32.eq (i32.load8_u offset=7 (local.get 2)) (i32.const {})) (then {give}))",
                    u32::from(digit)
                ),
                None => give,
            };
            next += 1024;
        };
        for (digit, text) in answers {
            answer(
                &if text.starts_with('{') { (*text).to_owned() } else { OUT.replace("\"S\"", text) },
                Some(*digit),
            );
        }
        answer(OUT, None);
        let wasm = wat::parse_str(format!(
            r#"(module (memory (export "memory") 4) {data}
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 131072))
              (func (export "map") (param i32 i32 i32 i32) (result i32) {body} unreachable))"#
        ))
        .unwrap();
        let contract = serde_json::from_value(json!({"vendorId": "acme", "eventType": "stock",
            "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.json"}},
            "canonical": {"type": "InventoryUpdated", "version": "1.0"}}))
        .unwrap();
        let schema = br#"{"type":"object","required":["qty"],"properties":{"qty":{"type":"integer"}}}"#;
        let files = BTreeMap::from([
            (MODULE_FILE.to_owned(), Bytes::from(wasm)),
            ("schema/1.json".to_owned(), Bytes::from_static(schema)),
        ]);
        Arc::new(compiled(&Host::new().unwrap(), contract, &files).unwrap())
    }

    fn side(bundle: &Arc<Bundle>, folder: &str) -> Side {
        let name = SideName { bundle: None, folder: Some(folder.into()), revision: None };
        Side { bundle: Arc::clone(bundle), name }
    }

    /// Events with these payloads; an empty one has lost its raw object. Counts what is read.
    struct Fake {
        payloads: Vec<String>,
        reads: Mutex<usize>,
        away: bool,
    }

    impl Fake {
        fn new(payloads: impl IntoIterator<Item = impl Into<String>>) -> Self {
            Self {
                payloads: payloads.into_iter().map(Into::into).collect(),
                reads: Mutex::new(0),
                away: false,
            }
        }

        fn envelope(&self, at: usize) -> Vec<u8> {
            format!(
                r#"{{"vendorId":"acme","externalEventId":"e-{at}","eventType":"stock","occurredAt":"2026-11-21T09:59:00Z","payload":{}}}"#,
                self.payloads[at]
            )
            .into_bytes()
        }
    }

    #[async_trait]
    impl Traffic for Fake {
        async fn events(&self, window: &Window) -> Result<Events, Fault> {
            let events = (0..self.payloads.len()).map(|at| {
                let received_at = window.since;
                serde_json::from_value(json!({"vendorId": "acme", "externalEventId": format!("e-{at}"),
                    "ingestId": IngestId::mint(received_at, at as u128), "eventType": "stock", "schemaVersion": "1",
                    "occurredAt": "2026-11-21T09:59:00.000Z", "receivedAt": rfc3339(received_at),
                    "rawRef": {"bucket": "raw", "key": at.to_string()}, "rawSha256": Sha256Hex::of(&self.envelope(at))}))
                .unwrap()
            });
            Ok(Events { events: events.collect(), truncated: false })
        }

        async fn raw(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
            *self.reads.lock().unwrap() += 1;
            if self.away {
                return Err(Fault::new(Code::Throttled, "arranged"));
            }
            let at: usize = at.key.parse().unwrap();
            if self.payloads[at].is_empty() {
                return Err(Fault::new(Code::RawMissing, "there is no object"));
            }
            Ok(self.envelope(at).into())
        }
    }

    async fn report(
        traffic: &Fake,
        active: Option<Side>,
        candidate: Side,
        jobs: usize,
    ) -> Result<Report, CliError> {
        let window = Window {
            vendor_id: "acme".parse().unwrap(),
            event_type: "stock".parse().unwrap(),
            since: "2026-11-21T10:00:00Z".parse().unwrap(),
            limit: 10_000,
        };
        replay(traffic, active, candidate, &window, jobs, &Output::new(true).progress("")).await
    }

    const REFUSED: &str = r#"{"code":"quantity_odd","path":"/qty","message":"no"}"#;

    #[tokio::test]
    async fn every_event_is_in_its_group() {
        let (active, candidate) = (
            bundle(&[('9', REFUSED), ('5', REFUSED)]),
            bundle(&[('8', REFUSED), ('7', "\"T\""), ('5', REFUSED)]),
        );
        let mut payloads: Vec<String> = vec!["{\"qty\":1}".into(); 4];
        payloads.extend(["7", "7", "8", "9", "5"].map(|digit| format!("{{\"qty\":{digit}}}")));
        payloads.push("{\"no\":1}".into());
        payloads.push(String::new());
        let traffic = Fake::new(payloads);
        let mut found = report(&traffic, Some(side(&active, "a")), side(&candidate, "c"), 2).await.unwrap();
        assert_eq!(
            (found.events, found.same, found.changed.events, found.fixed.events, found.newly_broken.events),
            (11, 4, 2, 1, 1)
        );
        assert_eq!((found.still_broken.events, found.unreadable.events), (2, 1));
        assert_eq!(*traffic.reads.lock().unwrap(), 11, "each object once");
        assert_eq!(found.changed.fields.len(), 1);
        assert_eq!(found.changed.fields[0].pointer, "/data/sku");
        assert_eq!(found.newly_broken.causes[0].pointer, "/qty");
        assert_eq!(found.newly_broken.causes[0].fault, "quantity_odd");
        assert_eq!(found.fixed.causes[0].code, "mapper_refused");
        let codes: Vec<&str> = found.still_broken.causes.iter().map(|cause| cause.code.as_str()).collect();
        assert_eq!(codes, ["mapper_refused", "payload_schema_violation"]);
        assert!(found.active_cost.fuel_median > 0 && found.candidate_cost.events == 7);
        found.active_cost.nanoseconds_median = 1_000;
        found.candidate_cost.nanoseconds_median = 2_000;
        let text = on_terminal(&found);
        for part in [
            "newly broken  1       9.09 %",
            "/data/sku  changed  2",
            "\"S\" → \"T\"",
            "Newly broken, by the candidate's cause",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn three_of_a_thousand_are_found_and_the_report_does_not_depend_on_threads() {
        let (active, candidate) = (bundle(&[]), bundle(&[('8', REFUSED)]));
        let payloads =
            (0..1_000).map(|at| format!("{{\"qty\":{}}}", if matches!(at, 3 | 500 | 999) { 8 } else { 1 }));
        let traffic = Fake::new(payloads);
        let mut reports = Vec::new();
        for jobs in [1, 4] {
            let mut one =
                report(&traffic, Some(side(&active, "a")), side(&candidate, "c"), jobs).await.unwrap();
            assert_eq!((one.same, one.newly_broken.events), (997, 3));
            assert_eq!(one.newly_broken.causes[0].examples.len(), 3);
            (one.jobs, one.elapsed_milliseconds) = (0, 0);
            for cost in [&mut one.active_cost, &mut one.candidate_cost] {
                (cost.nanoseconds_median, cost.nanoseconds_max) = (0, 0);
            }
            reports.push(serde_json::to_value(&one).unwrap());
        }
        assert_eq!(reports[0], reports[1]);
    }

    #[tokio::test]
    async fn without_an_active_mapper_all_that_is_mapped_is_fixed() {
        let candidate = bundle(&[('8', REFUSED)]);
        let traffic = Fake::new(["{\"qty\":1}", "{\"qty\":8}"]);
        let found = report(&traffic, None, side(&candidate, "c"), 1).await.unwrap();
        assert_eq!((found.fixed.events, found.still_broken.events), (1, 1));
        assert_eq!(found.fixed.causes[0].code, "mapper_missing");
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_no_verdict() {
        let bundle = bundle(&[]);
        let traffic = Fake { away: true, ..Fake::new(["{\"qty\":1}"]) };
        let error = report(&traffic, None, side(&bundle, "c"), 1).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::ExitKind::Unavailable);
    }
}

//! The ports in memory, with faults on demand: for the tests of the crates above.
//!
//! [`World`] is all of them over one state. [`World::fail_next`] makes the next calls fail before or after they take effect,
//! which is what a crash, a time-out or a lost answer looks like from outside.

mod operations;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::balance::{BalanceRow, BalanceStore, Hour, OpenHour, Progress};
use crate::books::Books;
use crate::bundle::{ActiveMapper, Arm, CanaryCounts, MapperChange};
use crate::digest::Sha256Hex;
use crate::drift::{Finding, Track, TrackKey};
use crate::fault::{Code, Fault};
use crate::health::{Duplicates, HealthNote};
use crate::id::{CanonicalType, EventType, IngestId, ObjectRef, VendorId, ingest_id_of_key};
use crate::intake::Staged;
use crate::limits::TRANSACTION_ROWS_MAX;
use crate::operation;
use crate::port::{
    BundleStore, BusEvent, CanonicalStore, Clock, Commit, DeadLetter, DeadLetters, DivergenceStore,
    DriftStore, EventBus, Freshness, Held, Ledger, MapperPointers, Marked, NormalizedStore, QuarantineStore,
    RawHeaders, RawStore, Recorded, Rerun, Reruns, Snapshot, UploadStore, VendorDirectory, Written,
};
use crate::record::{
    Correction, Divergence, EventDetail, LedgerKey, LedgerRow, Normalized, Nothing, QuarantineNote,
    QuarantineRow, QuarantineStatus, Resolution, Stated, Status, ToldAgain, VendorProfile, Waited,
    recovery_name,
};
use crate::state;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It takes effect and answers.
    None,
    /// It fails without effect.
    Before,
    /// It takes effect, but the caller sees a failure.
    After,
}

/// All that the ports hold.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// Key to bytes and headers.
    pub raw: BTreeMap<String, (Bytes, RawHeaders)>,
    /// Key to bytes.
    pub normalized: BTreeMap<String, Bytes>,
    /// Key to bytes.
    pub bundles: BTreeMap<String, Bytes>,
    /// The ledger.
    pub ledger: BTreeMap<LedgerKey, LedgerRow>,
    /// Owner by key digest.
    pub keys: BTreeMap<Sha256Hex, VendorId>,
    /// Vendors.
    pub vendors: BTreeMap<VendorId, VendorProfile>,
    /// Active mappers.
    pub mappers: BTreeMap<(VendorId, EventType), ActiveMapper>,
    /// Their history, oldest first.
    pub mapper_changes: Vec<MapperChange>,
    /// Outcomes during a canary, by pointer and revision.
    pub canary_counts: BTreeMap<(VendorId, EventType, u64), CanaryCounts>,
    /// Quarantine.
    pub quarantine: BTreeMap<(VendorId, IngestId), QuarantineRow>,
    /// Divergence.
    pub divergence: BTreeMap<(String, String), Divergence>,
    /// Canonical state, by entity.
    pub states: BTreeMap<state::Entity, state::State>,
    /// Contributions, by entity and source.
    pub contributions: BTreeMap<(state::Entity, state::Source), state::Contribution>,
    /// Bodies that are too large for a state machine's input, by key.
    pub uploads: BTreeMap<String, Bytes>,
    /// Effects, by event.
    pub effects: BTreeMap<IngestId, state::Effects>,
    /// Rows that list entities, by event and sort key.
    pub entity_lists: BTreeMap<(IngestId, String), Vec<state::Entity>>,
    /// Divergence of canonical state, by entity and id.
    pub state_divergence: BTreeMap<(state::Entity, String), state::StateDivergence>,
    /// Dead letters, in order.
    pub dead_letters: Vec<DeadLetter>,
    /// What the bus took, in order.
    pub bus: Vec<BusEvent>,
    /// Findings of drift that the bus took, in order.
    pub drift_on_bus: Vec<Finding>,
    /// Tracks with their versions.
    pub tracks: BTreeMap<TrackKey, (Track, u64)>,
    /// Findings by id.
    pub findings: BTreeMap<(VendorId, EventType, String), Finding>,
    /// Findings that were announced.
    pub announced: BTreeSet<(VendorId, EventType, String)>,
    /// Balances, by vendor and hour.
    pub balances: BTreeMap<(VendorId, Hour), BalanceRow>,
    /// Duplicates, by vendor and hour.
    pub duplicates: BTreeMap<(VendorId, Hour), Duplicates>,
    /// Scores.
    pub health: BTreeMap<VendorId, HealthNote>,
    /// Hours that are not closed.
    pub open_hours: BTreeMap<Hour, OpenHour>,
    /// How far `reconcile` came.
    pub progress: Progress,
    /// What shows beside the stores that an event was worked on.
    pub traces: BTreeMap<IngestId, String>,
    /// What was run again, by the execution's name.
    pub reruns: BTreeMap<String, EventDetail>,
    /// Operations.
    pub operations: BTreeMap<operation::OperationId, operation::Operation>,
    /// Their frozen items.
    pub operation_items: BTreeMap<operation::OperationId, Vec<operation::Item>>,
    /// What became of the items.
    pub item_rows: BTreeMap<(operation::OperationId, u64), operation::ItemRow>,
    /// Who did what, in order.
    pub operation_acts: Vec<operation::Act>,
    /// Who has run an event.
    pub holders: BTreeMap<IngestId, operation::Holder>,
    /// Executions by ARN.
    pub executions: BTreeMap<String, operation::ExecutionState>,
    /// Tokens of redrives that were taken.
    pub redrive_tokens: BTreeSet<String>,
    failures: VecDeque<Failure>,
    calls: usize,
    now: Option<Timestamp>,
    minted: u128,
}

/// An in-memory world; clones share it.
#[derive(Debug, Default, Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    /// An empty one, at 2026-11-21T10:00:00Z.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state, to arrange or to look at.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to the next calls, one entry a call; after that they succeed.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = Failure>) {
        self.state().failures.extend(failures);
    }

    /// Takes back what [`World::fail_next`] arranged and was not reached.
    pub fn fail_next_no_more(&self) {
        self.state().failures.clear();
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Registers a vendor with one API key.
    pub fn add_vendor(&self, vendor_id: &str, api_key: &str, webhook_secrets: &[&str]) {
        let Ok(vendor_id) = vendor_id.parse::<VendorId>() else { return };
        let digest = Sha256Hex::of(api_key.as_bytes());
        let mut state = self.state();
        state.keys.insert(digest.clone(), vendor_id.clone());
        let profile = VendorProfile {
            vendor_id: vendor_id.clone(),
            enabled: true,
            api_key_sha256: vec![digest],
            webhook_secrets: webhook_secrets.iter().map(ToString::to_string).collect(),
            rate_limit: None,
            unknown_event_types: None,
            on_hold: None,
            released: None,
        };
        state.vendors.insert(vendor_id, profile);
    }

    /// Moves the clock.
    pub fn advance(&self, seconds: i64) {
        let now = self.now() + SignedDuration::from_secs(seconds);
        self.state().now = Some(now);
    }

    fn call<T>(&self, effect: impl FnOnce(&mut State) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut state = self.state();
        state.calls += 1;
        match state.failures.pop_front().unwrap_or(Failure::None) {
            Failure::None => effect(&mut state),
            Failure::Before => Err(Fault::new(Code::Unavailable, "arranged by the test, before the effect")),
            Failure::After => {
                effect(&mut state)?;
                Err(Fault::new(Code::TimedOut, "arranged by the test, after the effect"))
            }
        }
    }
}

impl State {
    /// The time.
    pub fn now_or_default(&self) -> Timestamp {
        self.now.unwrap_or(Timestamp::constant(1_795_255_200, 0))
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.state().now_or_default()
    }

    fn random(&self) -> u128 {
        let mut state = self.state();
        state.minted += 1;
        state.minted
    }
}

#[async_trait]
impl RawStore for World {
    async fn put_if_absent(&self, key: &str, bytes: Bytes, headers: &RawHeaders) -> Result<ObjectRef, Fault> {
        self.call(|state| {
            let held = state.raw.entry(key.to_owned()).or_insert_with(|| (bytes, headers.clone()));
            if held.1.sha256 != headers.sha256 {
                return Err(Fault::new(Code::RawDigestMismatch, format!("{key} holds other bytes")));
            }
            Ok(ObjectRef { bucket: "raw".into(), key: key.into() })
        })
    }

    async fn get(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        self.call(|state| {
            let held = state.raw.get(&at.key).map(|(bytes, _)| bytes.clone());
            held.ok_or_else(|| Fault::new(Code::RawMissing, format!("no object {}", at.key)))
        })
    }
}

#[async_trait]
impl NormalizedStore for World {
    async fn put_if_absent(&self, key: &str, bytes: Bytes, _sha256: &Sha256Hex) -> Result<ObjectRef, Fault> {
        self.call(|state| {
            state.normalized.entry(key.to_owned()).or_insert(bytes);
            Ok(ObjectRef { bucket: "normalized".into(), key: key.into() })
        })
    }

    async fn get(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        self.call(|state| {
            let held = state.normalized.get(&at.key).cloned();
            held.ok_or_else(|| Fault::new(Code::NormalizedMissing, format!("no object {}", at.key)))
        })
    }
}

#[async_trait]
impl BundleStore for World {
    async fn get(&self, key: &str) -> Result<Bytes, Fault> {
        self.call(|state| {
            let held = state.bundles.get(key).cloned();
            held.ok_or_else(|| Fault::new(Code::BundleMissing, format!("no object {key}")))
        })
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<(), Fault> {
        self.call(|state| {
            state.bundles.entry(key.to_owned()).or_insert(bytes);
            Ok(())
        })
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        self.call(|state| Ok(state.bundles.keys().filter(|key| key.starts_with(prefix)).cloned().collect()))
    }
}

#[async_trait]
impl Ledger for World {
    async fn find(&self, key: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        self.call(|state| Ok(state.ledger.get(key).cloned()))
    }

    async fn find_last(&self, first: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        let prefix = first.external_event_id.as_str();
        self.call(|state| {
            let rows = state.ledger.range(first..).take_while(|(key, _)| {
                key.vendor_id == first.vendor_id && key.external_event_id.as_str().starts_with(prefix)
            });
            Ok(rows.last().map(|(_, row)| row.clone()))
        })
    }

    async fn find_by_ingest_id(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault> {
        self.call(|state| Ok(state.ledger.values().find(|row| row.ingest_id == ingest_id).cloned()))
    }

    async fn commit(&self, row: &LedgerRow) -> Result<Commit, Fault> {
        self.call(|state| match state.ledger.get(&row.key) {
            Some(held) => Ok(Commit::Exists(Box::new(held.clone()))),
            None => {
                state.ledger.insert(row.key.clone(), row.clone());
                Ok(Commit::Committed)
            }
        })
    }

    async fn mark_normalized(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        stated: &Stated,
        run: u32,
    ) -> Result<(), Fault> {
        self.call(|state| {
            let row = row(state, key, ingest_id)?;
            if run == 0 && row.correction.is_some() {
                return Ok(());
            }
            row.status = Status::Normalized;
            row.status_shard = row.status.shard(ingest_id);
            row.updated_at = stated.at();
            row.correction = None;
            (row.normalized, row.nothing) = both(stated);
            Ok(())
        })
    }

    async fn correct(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        stated: &Stated,
        correction: &Correction,
    ) -> Result<bool, Fault> {
        self.call(|state| {
            let Some(row) = state.ledger.get_mut(key).filter(|row| row.ingest_id == ingest_id) else {
                return Ok(false);
            };
            if row.document_sha256().as_ref() != Some(&correction.old_sha256) {
                return Ok(false);
            }
            row.updated_at = stated.at();
            row.correction = Some(correction.clone());
            (row.normalized, row.nothing) = both(stated);
            Ok(true)
        })
    }

    async fn hold(&self, key: &LedgerKey, ingest_id: IngestId, waited: &Waited) -> Result<Held, Fault> {
        self.call(|state| {
            let row = row(state, key, ingest_id)?;
            match row.status {
                Status::Held => return Ok(Held::Waits),
                Status::Normalized | Status::Quarantined => return Ok(Held::Past),
                Status::Received => {}
            }
            row.status = Status::Held;
            row.status_shard = row.status.shard(ingest_id);
            row.updated_at = waited.since;
            row.waited = Some(waited.clone());
            Ok(Held::Waits)
        })
    }

    async fn let_go(&self, key: &LedgerKey, ingest_id: IngestId, by: &Resolution) -> Result<bool, Fault> {
        self.call(|state| {
            let Ok(row) = row(state, key, ingest_id) else { return Ok(false) };
            let (Status::Held, Some(waited)) = (row.status, &mut row.waited) else { return Ok(false) };
            waited.let_go = Some(by.clone());
            row.status = Status::Received;
            row.status_shard = row.status.shard(ingest_id);
            row.updated_at = by.at;
            Ok(true)
        })
    }

    async fn tell_again(&self, row: &LedgerRow, at: Timestamp) -> Result<bool, Fault> {
        self.call(|state| {
            let Some(held) = state.ledger.get_mut(&row.key).filter(|held| held.ingest_id == row.ingest_id)
            else {
                return Ok(false);
            };
            let same = held.document_sha256() == row.document_sha256() && held.told_again == row.told_again;
            if let (true, Some(sha256)) = (same, row.document_sha256()) {
                let times =
                    row.told_again.as_ref().filter(|told| told.sha256 == sha256).map_or(0, |told| told.times);
                held.told_again = Some(ToldAgain { sha256, times: times + 1, at });
            }
            Ok(same)
        })
    }

    async fn mark_quarantined(
        &self,
        key: &LedgerKey,
        ingest_id: IngestId,
        note: &QuarantineNote,
    ) -> Result<Marked, Fault> {
        self.call(|state| {
            let row = row(state, key, ingest_id)?;
            if row.status == Status::Normalized {
                return Ok(Marked::AlreadyNormalized);
            }
            row.status = Status::Quarantined;
            row.status_shard = row.status.shard(ingest_id);
            row.updated_at = note.at;
            row.quarantine = Some(note.clone());
            Ok(Marked::Quarantined)
        })
    }
}

fn both(stated: &Stated) -> (Option<Normalized>, Option<Nothing>) {
    match stated.clone() {
        Stated::Document(normalized) => (Some(normalized), None),
        Stated::Nothing(nothing) => (None, Some(nothing)),
    }
}

fn row<'a>(state: &'a mut State, key: &LedgerKey, ingest_id: IngestId) -> Result<&'a mut LedgerRow, Fault> {
    state
        .ledger
        .get_mut(key)
        .filter(|row| row.ingest_id == ingest_id)
        .ok_or_else(|| Fault::new(Code::LedgerRowMissing, format!("no row for {ingest_id}")))
}

#[async_trait]
impl VendorDirectory for World {
    async fn owner_of_key(&self, api_key_sha256: &Sha256Hex) -> Result<Option<VendorId>, Fault> {
        self.call(|state| Ok(state.keys.get(api_key_sha256).cloned()))
    }

    async fn profile(
        &self,
        vendor_id: &VendorId,
        _freshness: Freshness,
    ) -> Result<Option<VendorProfile>, Fault> {
        self.call(|state| Ok(state.vendors.get(vendor_id).cloned()))
    }

    async fn contracts(&self, vendor_id: &VendorId) -> Result<Arc<[ActiveMapper]>, Fault> {
        self.call(|state| {
            let own = state.mappers.iter().filter(|((vendor, _), _)| vendor == vendor_id);
            Ok(own.map(|(_, mapper)| mapper.clone()).collect())
        })
    }

    async fn active_mapper(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        _freshness: Freshness,
    ) -> Result<Option<ActiveMapper>, Fault> {
        self.call(|state| Ok(state.mappers.get(&(vendor_id.clone(), event_type.clone())).cloned()))
    }
}

#[async_trait]
impl MapperPointers for World {
    async fn current(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
    ) -> Result<Option<ActiveMapper>, Fault> {
        self.active_mapper(vendor_id, event_type, Freshness::Fresh).await
    }

    async fn replace(&self, pointer: &ActiveMapper, change: &MapperChange) -> Result<bool, Fault> {
        self.call(|state| {
            let key = (pointer.contract.vendor_id.clone(), pointer.contract.event_type.clone());
            let held = state.mappers.get(&key).map_or(0, |held| held.revision);
            if held + 1 != pointer.revision {
                return Ok(false);
            }
            state.mappers.insert(key, pointer.clone());
            state.mapper_changes.push(change.clone());
            Ok(true)
        })
    }

    async fn history(
        &self,
        vendor_id: &VendorId,
        event_type: Option<&EventType>,
    ) -> Result<Vec<MapperChange>, Fault> {
        self.call(|state| {
            let wanted = |change: &&MapperChange| {
                change.vendor_id == *vendor_id && event_type.is_none_or(|wanted| change.event_type == *wanted)
            };
            Ok(state.mapper_changes.iter().filter(wanted).cloned().collect())
        })
    }

    async fn count_outcome(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        revision: u64,
        arm: Arm,
        failed: bool,
    ) -> Result<CanaryCounts, Fault> {
        self.call(|state| {
            let counts =
                state.canary_counts.entry((vendor_id.clone(), event_type.clone(), revision)).or_default();
            let counted = match arm {
                Arm::Candidate => &mut counts.candidate,
                Arm::Active => &mut counts.active,
            };
            counted.events += 1;
            counted.failed += u64::from(failed);
            Ok(*counts)
        })
    }

    async fn counts(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        revision: u64,
    ) -> Result<CanaryCounts, Fault> {
        self.call(|state| {
            let key = (vendor_id.clone(), event_type.clone(), revision);
            Ok(state.canary_counts.get(&key).copied().unwrap_or_default())
        })
    }
}

#[async_trait]
impl QuarantineStore for World {
    async fn open(&self, row: &QuarantineRow) -> Result<(), Fault> {
        self.call(|state| {
            let key = (row.vendor_id.clone(), row.ingest_id);
            let late = |held: &QuarantineRow| {
                held.status != QuarantineStatus::Open
                    && held.execution_arn == row.execution_arn
                    && held.attempts >= row.attempts
            };
            if state.quarantine.get(&key).is_some_and(late) {
                return Ok(());
            }
            let first_seen_at =
                state.quarantine.get(&key).map_or(row.first_seen_at, |held| held.first_seen_at);
            let resolution = state.quarantine.get(&key).and_then(|held| held.resolution.clone());
            state.quarantine.insert(key, QuarantineRow { first_seen_at, resolution, ..row.clone() });
            Ok(())
        })
    }

    async fn find(&self, vendor_id: &VendorId, ingest_id: IngestId) -> Result<Option<QuarantineRow>, Fault> {
        self.call(|state| Ok(state.quarantine.get(&(vendor_id.clone(), ingest_id)).cloned()))
    }

    async fn release(&self, vendor_id: &VendorId, ingest_id: IngestId, at: Timestamp) -> Result<(), Fault> {
        self.call(|state| {
            if let Some(row) = state.quarantine.get_mut(&(vendor_id.clone(), ingest_id)) {
                row.status = QuarantineStatus::Released;
                row.last_seen_at = at;
            }
            Ok(())
        })
    }
}

#[async_trait]
impl DivergenceStore for World {
    async fn contains(&self, subject: &str, id: &str) -> Result<bool, Fault> {
        self.call(|state| Ok(state.divergence.contains_key(&(subject.to_owned(), id.to_owned()))))
    }

    async fn record(&self, divergence: &Divergence) -> Result<(), Fault> {
        self.call(|state| {
            let key = (divergence.subject.clone(), divergence.id.clone());
            state.divergence.entry(key).or_insert_with(|| divergence.clone());
            Ok(())
        })
    }
}

#[async_trait]
impl EventBus for World {
    async fn publish(&self, events: &[BusEvent]) -> Result<Vec<Result<(), Fault>>, Fault> {
        self.call(|state| {
            state.bus.extend_from_slice(events);
            Ok(events.iter().map(|_| Ok(())).collect())
        })
    }

    async fn publish_drift(&self, finding: &Finding) -> Result<(), Fault> {
        self.call(|state| {
            state.drift_on_bus.push(finding.clone());
            Ok(())
        })
    }
}

#[async_trait]
impl DriftStore for World {
    async fn track(&self, of: &TrackKey) -> Result<(Track, u64), Fault> {
        self.call(|state| Ok(state.tracks.get(of).cloned().unwrap_or_default()))
    }

    async fn put_track(&self, of: &TrackKey, track: &Track, seen: u64) -> Result<bool, Fault> {
        self.call(|state| {
            let held = state.tracks.entry(of.clone()).or_default();
            if held.1 != seen {
                return Ok(false);
            }
            *held = (track.clone(), seen + 1);
            Ok(true)
        })
    }

    async fn record(&self, finding: &Finding) -> Result<Recorded, Fault> {
        self.call(|state| {
            let key = (finding.vendor_id.clone(), finding.event_type.clone(), finding.id.clone());
            let first_seen_at =
                state.findings.get(&key).map_or(finding.first_seen_at, |held| held.first_seen_at);
            let is_new =
                state.findings.insert(key.clone(), Finding { first_seen_at, ..finding.clone() }).is_none();
            Ok(match state.announced.contains(&key) {
                _ if is_new => Recorded::New,
                true => Recorded::Known,
                false => Recorded::Unannounced,
            })
        })
    }

    async fn announced(&self, finding: &Finding) -> Result<(), Fault> {
        self.call(|state| {
            let key = (finding.vendor_id.clone(), finding.event_type.clone(), finding.id.clone());
            state.announced.insert(key);
            Ok(())
        })
    }
}

#[async_trait]
impl CanonicalStore for World {
    async fn read(&self, events: &[IngestId], entities: &[state::Entity]) -> Result<Snapshot, Fault> {
        self.call(|world| {
            Ok(Snapshot {
                effects: events.iter().filter_map(|id| world.effects.get(id)).cloned().collect(),
                states: entities.iter().filter_map(|entity| world.states.get(entity)).cloned().collect(),
            })
        })
    }

    async fn history(
        &self,
        entity: &state::Entity,
        after: Option<state::Source>,
    ) -> Result<Vec<state::Contribution>, Fault> {
        self.call(|world| {
            let first = state::Source { ingest_id: IngestId::mint(Timestamp::UNIX_EPOCH, 0), line: 0 };
            let rows = world.contributions.range((entity.clone(), after.unwrap_or(first))..);
            let rows = rows.take_while(|((held, _), _)| held == entity);
            Ok(rows.filter(|((_, source), _)| Some(*source) > after).map(|(_, row)| row.clone()).collect())
        })
    }

    async fn divergences(&self, entity: &state::Entity) -> Result<Vec<state::StateDivergence>, Fault> {
        self.call(|world| {
            let rows = world.state_divergence.range((entity.clone(), String::new())..);
            Ok(rows.take_while(|((held, _), _)| held == entity).map(|(_, row)| row.clone()).collect())
        })
    }

    async fn entities(&self, effects: &state::Effects) -> Result<Vec<state::Entity>, Fault> {
        let Some(list) = &effects.listed else { return Ok(effects.entities.iter().cloned().collect()) };
        self.call(|world| {
            let row = |row| world.entity_lists.get(&(effects.ingest_id, list.part(row))).cloned();
            let rows: Option<Vec<_>> = (0..list.rows).map(row).collect();
            let missing = || Fault::new(Code::ConcurrentWrite, "a row of the list is gone");
            Ok(rows.ok_or_else(missing)?.into_iter().flatten().collect())
        })
    }

    async fn put_list(
        &self,
        ingest_id: IngestId,
        list: &state::EntityList,
        rows: &[Vec<state::Entity>],
    ) -> Result<(), Fault> {
        self.call(|world| {
            for (number, row) in (0..).zip(rows) {
                world.entity_lists.insert((ingest_id, list.part(number)), row.clone());
            }
            Ok(())
        })
    }

    async fn remove_list(&self, ingest_id: IngestId, list: &state::EntityList) -> Result<(), Fault> {
        self.call(|world| {
            for row in 0..list.rows {
                world.entity_lists.remove(&(ingest_id, list.part(row)));
            }
            Ok(())
        })
    }

    async fn commit(&self, change: &state::Change) -> Result<Written, Fault> {
        self.call(|world| {
            let version = |row: Option<u64>| row.unwrap_or(0) + 1;
            let same = change.effects.iter().all(|next| {
                version(world.effects.get(&next.ingest_id).map(|row| row.version)) == next.version
            }) && change.entities.iter().all(|change| {
                version(world.states.get(&change.next.entity).map(|row| row.version)) == change.next.version
            });
            if change.rows() > TRANSACTION_ROWS_MAX {
                return Err(Fault::new(Code::RowMalformed, "more rows than one transaction holds"));
            }
            if !same {
                return Ok(Written::Conflict);
            }
            for next in &change.effects {
                world.effects.insert(next.ingest_id, next.clone());
            }
            for change in &change.entities {
                let entity = &change.next.entity;
                for row in &change.put {
                    world.contributions.insert((entity.clone(), row.mark.source), row.clone());
                }
                for source in &change.remove {
                    world.contributions.remove(&(entity.clone(), *source));
                }
                for row in &change.diverged {
                    world.state_divergence.insert((entity.clone(), row.id.clone()), row.clone());
                }
                for id in &change.undiverged {
                    world.state_divergence.remove(&(entity.clone(), id.clone()));
                }
                world.states.insert(entity.clone(), change.next.clone());
            }
            Ok(Written::Written)
        })
    }
}

#[async_trait]
impl UploadStore for World {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<Staged, Fault> {
        self.call(|world| {
            let r#ref = ObjectRef { bucket: "uploads".into(), key: key.to_owned() };
            let staged = Staged { r#ref, sha256: Sha256Hex::of(&bytes), bytes: bytes.len() as u64 };
            world.uploads.insert(key.to_owned(), bytes.clone());
            Ok(staged)
        })
    }

    async fn get(&self, at: &Staged) -> Result<Bytes, Fault> {
        self.call(|world| {
            let held = world.uploads.get(&at.r#ref.key).filter(|bytes| Sha256Hex::of(bytes) == at.sha256);
            held.cloned().ok_or_else(|| Fault::new(Code::InputMalformed, "the staged body is gone"))
        })
    }

    async fn remove(&self, at: &Staged) -> Result<(), Fault> {
        self.call(|world| {
            world.uploads.remove(&at.r#ref.key);
            Ok(())
        })
    }
}

#[async_trait]
impl DeadLetters for World {
    async fn send(&self, letter: &DeadLetter) -> Result<(), Fault> {
        self.call(|world| {
            world.dead_letters.push(letter.clone());
            Ok(())
        })
    }
}

#[async_trait]
impl Reruns for World {
    async fn rerun(&self, event: &EventDetail) -> Result<Rerun, Fault> {
        self.call(|state| {
            let name = recovery_name(&event.key.vendor_id, event.ingest_id, event.replay);
            if state.reruns.contains_key(&name) {
                return Ok(Rerun::Exists);
            }
            state.reruns.insert(name.clone(), event.clone());
            Ok(Rerun::Started(format!("arn:x:{name}")))
        })
    }
}

#[async_trait]
impl BalanceStore for World {
    async fn put(&self, rows: &[BalanceRow]) -> Result<(), Fault> {
        self.call(|state| {
            let rows = rows.iter().map(|row| ((row.vendor_id.clone(), row.hour), row.clone()));
            state.balances.extend(rows);
            Ok(())
        })
    }

    async fn rows(&self, vendor_id: &VendorId, from: Hour, to: Hour) -> Result<Vec<BalanceRow>, Fault> {
        self.call(|state| {
            let span = (vendor_id.clone(), from)..=(vendor_id.clone(), to);
            Ok(state.balances.range(span).map(|(_, row)| row.clone()).collect())
        })
    }

    async fn open_hours(&self) -> Result<Vec<OpenHour>, Fault> {
        self.call(|state| Ok(state.open_hours.values().copied().collect()))
    }

    async fn open_hour(&self, hour: &OpenHour) -> Result<(), Fault> {
        self.call(|state| {
            state.open_hours.insert(hour.hour, *hour);
            Ok(())
        })
    }

    async fn close_hour(&self, hour: Hour) -> Result<(), Fault> {
        self.call(|state| {
            state.open_hours.remove(&hour);
            Ok(())
        })
    }

    async fn progress(&self) -> Result<Progress, Fault> {
        self.call(|state| Ok(state.progress.clone()))
    }

    async fn set_progress(&self, progress: &Progress) -> Result<(), Fault> {
        self.call(|state| {
            state.progress = progress.clone();
            Ok(())
        })
    }

    async fn add_duplicates(
        &self,
        vendor_id: &VendorId,
        hour: Hour,
        duplicates: &Duplicates,
    ) -> Result<(), Fault> {
        self.call(|state| {
            state.duplicates.entry((vendor_id.clone(), hour)).or_default().add(duplicates);
            Ok(())
        })
    }

    async fn duplicates(&self, vendor_id: &VendorId, from: Hour, to: Hour) -> Result<Duplicates, Fault> {
        self.call(|state| {
            let mut sum = Duplicates::default();
            let span = (vendor_id.clone(), from)..=(vendor_id.clone(), to);
            state.duplicates.range(span).for_each(|(_, duplicates)| sum.add(duplicates));
            Ok(sum)
        })
    }

    async fn health(&self, vendor_id: &VendorId) -> Result<Option<HealthNote>, Fault> {
        self.call(|state| Ok(state.health.get(vendor_id).cloned()))
    }

    async fn put_health(&self, vendor_id: &VendorId, note: &HealthNote) -> Result<(), Fault> {
        self.call(|state| {
            state.health.insert(vendor_id.clone(), note.clone());
            Ok(())
        })
    }
}

fn within(id: Option<IngestId>, from: Timestamp, to: Timestamp) -> bool {
    id.is_some_and(|id| from <= id.received_at() && id.received_at() < to)
}

#[async_trait]
impl Books for World {
    async fn vendors(&self) -> Result<Vec<VendorId>, Fault> {
        self.call(|state| {
            let names = state.raw.keys().filter_map(|key| key.split('/').nth(1)?.parse().ok());
            let names: BTreeSet<VendorId> = names.collect();
            Ok(names.into_iter().collect())
        })
    }

    async fn rows(
        &self,
        from: Timestamp,
        to: Timestamp,
        rows_max: usize,
    ) -> Result<Option<Vec<LedgerRow>>, Fault> {
        self.call(|state| {
            let inside = |row: &&LedgerRow| from <= row.received_at && row.received_at < to;
            let rows: Vec<LedgerRow> = state.ledger.values().filter(inside).cloned().collect();
            Ok((rows.len() <= rows_max).then_some(rows))
        })
    }

    async fn row(&self, ingest_id: IngestId) -> Result<Option<LedgerRow>, Fault> {
        self.call(|state| Ok(state.ledger.values().find(|row| row.ingest_id == ingest_id).cloned()))
    }

    async fn row_at(&self, key: &LedgerKey) -> Result<Option<LedgerRow>, Fault> {
        self.call(|state| Ok(state.ledger.get(key).cloned()))
    }

    async fn raw_keys(
        &self,
        vendor: &VendorId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<String>, Fault> {
        self.call(|state| {
            let prefix = format!("raw/{vendor}/");
            let keys = state.raw.keys().filter(|key| key.starts_with(&prefix));
            Ok(keys.filter(|key| within(ingest_id_of_key(key), from, to)).cloned().collect())
        })
    }

    async fn normalized_keys(
        &self,
        canonical: &CanonicalType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<String>, Fault> {
        self.call(|state| {
            let prefix = format!("normalized/{canonical}/");
            let keys = state.normalized.keys().filter(|key| key.starts_with(&prefix));
            Ok(keys.filter(|key| within(ingest_id_of_key(key), from, to)).cloned().collect())
        })
    }

    async fn quarantined(
        &self,
        vendor: &VendorId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<QuarantineRow>, Fault> {
        self.call(|state| {
            let rows = state.quarantine.values().filter(|row| row.vendor_id == *vendor);
            Ok(rows.filter(|row| within(Some(row.ingest_id), from, to)).cloned().collect())
        })
    }

    async fn effects(&self, events: &[IngestId]) -> Result<Vec<state::Effects>, Fault> {
        self.call(|state| Ok(events.iter().filter_map(|id| state.effects.get(id)).cloned().collect()))
    }

    async fn trace(&self, _vendor: &VendorId, ingest_id: IngestId) -> Result<Option<String>, Fault> {
        self.call(|state| Ok(state.traces.get(&ingest_id).cloned()))
    }

    async fn quarantine_row(
        &self,
        vendor: &VendorId,
        ingest_id: IngestId,
    ) -> Result<Option<QuarantineRow>, Fault> {
        self.call(|state| Ok(state.quarantine.get(&(vendor.clone(), ingest_id)).cloned()))
    }

    async fn raw_object(&self, key: &str) -> Result<Option<Bytes>, Fault> {
        self.call(|state| Ok(state.raw.get(key).map(|(bytes, _)| bytes.clone())))
    }

    async fn object(&self, at: &ObjectRef) -> Result<Option<Bytes>, Fault> {
        self.call(|state| {
            let raw = state.raw.get(&at.key).map(|(bytes, _)| bytes.clone());
            Ok(raw.or_else(|| state.normalized.get(&at.key).cloned()))
        })
    }

    async fn by_status(
        &self,
        status: Status,
        shard: u8,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<LedgerRow>, Fault> {
        self.call(|state| {
            let partition = format!("{}#{shard}", status.as_str());
            let mut rows: Vec<LedgerRow> = state
                .ledger
                .values()
                .filter(|row| row.status_shard == partition && row.received_at > after)
                .cloned()
                .collect();
            rows.sort_by_key(|row| row.received_at);
            rows.truncate(limit);
            Ok(rows)
        })
    }

    async fn first_received(&self) -> Result<Option<Timestamp>, Fault> {
        self.call(|state| {
            let rows = state.ledger.values().map(|row| row.received_at);
            let objects = state.raw.keys().filter_map(|key| ingest_id_of_key(key)).map(IngestId::received_at);
            Ok(rows.chain(objects).min())
        })
    }

    async fn settle(&self) {}
}

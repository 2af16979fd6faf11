//! Events into canonical state: reads the rows, lets [`sluice_core::state`] decide, writes under the versions read.
//!
//! A batch is tried as one transaction first: events of one batch about one entity cost one write of its state. Whatever keeps
//! that from succeeding (another writer, too many rows, one event that cannot be written) is left behind by taking each event by
//! itself, so no event fails for another.
//!
//! An event by itself goes in by slices: transaction by transaction through its entities in their order, each of which also notes in
//! the event's row of effects how far it came. A delivery that ends early, for whatever reason, is gone on from there by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::IngestId;
use sluice_core::limits::{EFFECTS_ENTITIES_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_ROWS_MAX};
use sluice_core::port::Written;
use sluice_core::state::{
    Change, Contribution, Effects, Entity, EntityChange, EntityList, State, append, can_append, history_from,
    rewrite,
};
use sluice_core::{Code, Fault};

use crate::{Deps, Outcome};

/// How often an event is tried against other writers before it goes back to the queue.
const CONFLICTS_MAX: u32 = 10;

/// Longest wait after the first conflict; it doubles with each further one, up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_millis(8);

/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_millis(400);

/// Entities that one slice looks at: each writes its state and one contribution at least, if it writes anything.
const SLICE_ENTITIES: usize = (TRANSACTION_ROWS_MAX - 1) / 2;

/// A normalized document, read.
pub(crate) struct Event {
    pub(crate) ingest_id: IngestId,
    pub(crate) sha256: Sha256Hex,
    pub(crate) normalized_at: Timestamp,
    pub(crate) lines: BTreeMap<Entity, Vec<Contribution>>,
}

impl Event {
    fn work(&self) -> (IngestId, Sha256Hex) {
        (self.ingest_id, self.sha256.clone())
    }

    /// Of two documents of one event, the one made later is the truth.
    fn is_older_than(&self, held: &Effects) -> bool {
        (self.normalized_at, &self.sha256) < (held.normalized_at, &held.sha256)
    }

    /// What is settled without writing anything.
    fn settled(&self, held: Option<&Effects>) -> Option<Outcome> {
        match held {
            Some(held) if held.sha256 == self.sha256 && held.done => Some(Outcome::AlreadyApplied),
            Some(held) if self.is_older_than(held) => Some(Outcome::Superseded),
            _ => None,
        }
    }
}

/// Brings the events of a batch in; an event's failure is its own. What is not begun before `deadline` goes back to the queue.
pub(crate) async fn all(
    deps: &Deps,
    events: &[Event],
    deadline: Instant,
) -> Vec<((IngestId, Sha256Hex), Result<Outcome, Fault>)> {
    if let Ok(Some(outcomes)) = together(deps, events).await {
        return events.iter().map(Event::work).zip(outcomes.into_iter().map(Ok)).collect();
    }
    let mut results = Vec::with_capacity(events.len());
    for event in events {
        results.push((event.work(), alone(deps, event, deadline).await));
    }
    results
}

/// All of a batch in one transaction. `None`: that is not to be had, and nothing was written.
async fn together(deps: &Deps, events: &[Event]) -> Result<Option<Vec<Outcome>>, Fault> {
    let rows: usize = events.iter().map(|event| 1 + 2 * event.lines.len()).sum();
    let distinct = events.windows(2).all(|pair| pair[0].ingest_id != pair[1].ingest_id);
    if events.len() < 2 || !distinct || rows > 2 * TRANSACTION_ROWS_MAX {
        return Ok(None);
    }
    let ids: Vec<IngestId> = events.iter().map(|event| event.ingest_id).collect();
    let wanted: BTreeSet<Entity> = events.iter().flat_map(|event| event.lines.keys().cloned()).collect();
    let wanted: Vec<Entity> = wanted.into_iter().collect();
    let snapshot = deps.canonical.read(&ids, &wanted).await?;
    let effects: BTreeMap<IngestId, Effects> =
        snapshot.effects.into_iter().map(|row| (row.ingest_id, row)).collect();
    let mut outcomes = Vec::with_capacity(events.len());
    let mut work: BTreeMap<&Entity, (Vec<Contribution>, BTreeSet<IngestId>)> = BTreeMap::new();
    let mut change = Change::default();
    for event in events {
        let held = effects.get(&event.ingest_id);
        if let Some(outcome) = event.settled(held) {
            outcomes.push(outcome);
            continue;
        }
        outcomes.push(Outcome::Applied);
        for (entity, lines) in &event.lines {
            work.entry(entity).or_default().0.extend(lines.iter().cloned());
        }
        if let Some(held) = held {
            if held.listed.is_some() {
                return Ok(None);
            }
            for entity in held.entities.iter().chain(event.lines.keys()) {
                work.entry(entity).or_default().1.insert(event.ingest_id);
            }
        }
        change.effects.push(Effects {
            ingest_id: event.ingest_id,
            version: held.map_or(0, |held| held.version) + 1,
            sha256: event.sha256.clone(),
            normalized_at: event.normalized_at,
            entities: event.lines.keys().cloned().collect(),
            listed: None,
            through: None,
            first: held.is_none(),
            done: true,
        });
    }
    if change.effects.is_empty() {
        return Ok(Some(outcomes));
    }
    let mut states = by_entity(snapshot.states);
    let unread: Vec<Entity> =
        work.keys().filter(|entity| wanted.binary_search(entity).is_err()).map(|it| (*it).clone()).collect();
    if !unread.is_empty() {
        states.extend(by_entity(deps.canonical.read(&[], &unread).await?.states));
    }
    let mut room = Room::beside(change.effects.len());
    for (entity, (adds, replaces)) in work {
        let current = states.remove(entity);
        if let Some(next) = changed(deps, entity, current, adds, &replaces).await? {
            if !next.complete || !room.take(&next) {
                return Ok(None);
            }
            change.entities.push(next);
        }
    }
    if deps.canonical.commit(&change).await? == Written::Conflict {
        return Ok(None);
    }
    change.entities.iter().for_each(|change| deps.histories.written(change));
    Ok(Some(outcomes))
}

/// One event by itself, slice by slice.
pub(crate) async fn alone(deps: &Deps, event: &Event, deadline: Instant) -> Result<Outcome, Fault> {
    let mut conflicts = 0;
    let mut plan: Option<Plan> = None;
    loop {
        if Instant::now() >= deadline {
            let so_far = match plan.as_ref().and_then(|plan| plan.through.as_ref()) {
                Some(entity) => format!("it is in up to {entity}, from where its next delivery goes on"),
                None => "nothing of it was written".to_owned(),
            };
            return Err(Fault::new(
                Code::TimedOut,
                format!("there was no time for all of the event: {so_far}"),
            ));
        }
        match slice(deps, event, &mut plan).await? {
            Step::Done(outcome) => return Ok(outcome),
            Step::More => conflicts = 0,
            Step::Conflict => {
                conflicts += 1;
                if conflicts >= CONFLICTS_MAX {
                    return Err(Fault::new(
                        Code::ConcurrentWrite,
                        format!("other writers were quicker {CONFLICTS_MAX} times"),
                    ));
                }
                let most = WAIT_FIRST.saturating_mul(1 << (conflicts - 1)).min(WAIT_MAX);
                tokio::time::sleep(most.mul_f64(rand::random::<f64>())).await;
            }
        }
    }
}

enum Step {
    /// All of it is in.
    Done(Outcome),
    /// A part of it is in.
    More,
    /// Another writer was quicker; nothing was written.
    Conflict,
}

/// How an event is brought in, as its row of effects of `version` has it.
struct Plan {
    version: u64,
    /// All entities that it and its documents before speak of, in order.
    entities: Vec<Entity>,
    listed: Option<EntityList>,
    /// A list that nothing names once this plan is in.
    obsolete: Option<EntityList>,
    through: Option<Entity>,
    first: bool,
}

impl Plan {
    /// A plan that begins, or goes on with what another delivery began.
    async fn of(deps: &Deps, event: &Event, held: Option<&Effects>) -> Result<Self, Fault> {
        let before = match held {
            Some(held) => deps.canonical.entities(held).await?,
            None => Vec::new(),
        };
        let version = held.map_or(0, |held| held.version);
        if let Some(held) = held.filter(|held| held.sha256 == event.sha256 && held.through.is_some()) {
            let (listed, through) = (held.listed.clone(), held.through.clone());
            return Ok(Self {
                version,
                entities: before,
                listed,
                obsolete: None,
                through,
                first: held.first,
            });
        }
        let all: BTreeSet<Entity> = before.into_iter().chain(event.lines.keys().cloned()).collect();
        let entities: Vec<Entity> = all.into_iter().collect();
        let mut listed = None;
        if entities.len() > EFFECTS_ENTITIES_MAX {
            let (list, rows) = EntityList::of(version + 1, &event.sha256, &entities);
            deps.canonical.put_list(event.ingest_id, &list, &rows).await?;
            listed = Some(list);
        }
        let obsolete = held.and_then(|held| held.listed.clone());
        Ok(Self { version, entities, listed, obsolete, through: None, first: held.is_none() })
    }

    /// Entities that are not looked at yet.
    fn rest(&self) -> &[Entity] {
        let start = match &self.through {
            Some(through) => self.entities.partition_point(|entity| entity <= through),
            None => 0,
        };
        &self.entities[start..]
    }
}

/// One reading and at most one transaction.
async fn slice(deps: &Deps, event: &Event, plan: &mut Option<Plan>) -> Result<Step, Fault> {
    // The first reading is for the row of effects alone, unless the event is small: then it is all that is needed.
    let ahead: Vec<Entity> = match plan {
        Some(plan) => plan.rest().iter().take(SLICE_ENTITIES).cloned().collect(),
        None => event.lines.keys().take(SLICE_ENTITIES).cloned().collect(),
    };
    let snapshot = deps.canonical.read(&[event.ingest_id], &ahead).await?;
    let held = snapshot.effects.first();
    if let Some(outcome) = event.settled(held) {
        return Ok(Step::Done(outcome));
    }
    if plan.as_ref().is_none_or(|plan| plan.version != held.map_or(0, |held| held.version)) {
        *plan = Some(Plan::of(deps, event, held).await?);
    }
    let Some(plan) = plan else { return Ok(Step::Conflict) };
    let slice: Vec<Entity> = plan.rest().iter().take(SLICE_ENTITIES).cloned().collect();
    let mut states = by_entity(snapshot.states);
    let unread: Vec<Entity> =
        slice.iter().filter(|entity| ahead.binary_search(entity).is_err()).cloned().collect();
    if !unread.is_empty() {
        states.extend(by_entity(deps.canonical.read(&[], &unread).await?.states));
    }
    let replaces = if plan.first { BTreeSet::new() } else { BTreeSet::from([event.ingest_id]) };
    let mut change = Change::default();
    let mut room = Room::beside(1);
    let mut through = plan.through.clone();
    let mut all_of_slice = true;
    for entity in &slice {
        let adds = event.lines.get(entity).cloned().unwrap_or_default();
        if let Some(next) = changed(deps, entity, states.remove(entity), adds, &replaces).await? {
            // Alone, an entity's change is bounded to what a transaction takes.
            if !room.take(&next) && !change.entities.is_empty() {
                all_of_slice = false;
                break;
            }
            let complete = next.complete;
            change.entities.push(next);
            if !complete {
                all_of_slice = false;
                break;
            }
        }
        through = Some(entity.clone());
    }
    let done = all_of_slice && slice.len() == plan.rest().len();
    let version = plan.version + 1;
    change.effects.push(Effects {
        ingest_id: event.ingest_id,
        version,
        sha256: event.sha256.clone(),
        normalized_at: event.normalized_at,
        entities: match (&plan.listed, done) {
            (Some(_), _) => BTreeSet::new(),
            (None, true) => event.lines.keys().cloned().collect(),
            (None, false) => plan.entities.iter().cloned().collect(),
        },
        listed: plan.listed.clone(),
        through: if done { None } else { through.clone() },
        first: plan.first,
        done,
    });
    if deps.canonical.commit(&change).await? == Written::Conflict {
        return Ok(Step::Conflict);
    }
    change.entities.iter().for_each(|change| deps.histories.written(change));
    if let Some(obsolete) = plan.obsolete.take() {
        deps.canonical.remove_list(event.ingest_id, &obsolete).await?;
    }
    (plan.version, plan.through) = (version, through);
    Ok(if done { Step::Done(Outcome::Applied) } else { Step::More })
}

/// What one entity comes to; `None`: it is as it should be.
async fn changed(
    deps: &Deps,
    entity: &Entity,
    current: Option<State>,
    mut adds: Vec<Contribution>,
    replaces: &BTreeSet<IngestId>,
) -> Result<Option<EntityChange>, Fault> {
    adds.sort_by_key(|add| add.mark.source);
    if replaces.is_empty() && can_append(current.as_ref(), &adds) {
        return append(entity, current, adds).map(Some);
    }
    let from = history_from(current.as_ref(), &adds, replaces);
    let version = current.as_ref().map_or(0, |state| state.version);
    let history = match deps.histories.of(entity, version, from) {
        Some(history) => history,
        None => {
            let history = deps.canonical.history(entity, from).await?;
            if from.is_none() {
                deps.histories.keep(entity, version, &history);
            }
            history
        }
    };
    let diverged = match &current {
        Some(state) if state.divergence_due => Some(deps.canonical.divergences(entity).await?),
        _ => None,
    };
    rewrite(entity, current, history, diverged, adds, replaces)
}

fn by_entity(states: Vec<State>) -> BTreeMap<Entity, State> {
    states.into_iter().map(|state| (state.entity.clone(), state)).collect()
}

/// What is left of one transaction.
struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// Beside rows of effects, which list a hundred entities at most.
    fn beside(effects: usize) -> Self {
        Self { rows: TRANSACTION_ROWS_MAX - effects.min(TRANSACTION_ROWS_MAX), bytes: TRANSACTION_BYTES_MAX }
    }

    fn take(&mut self, next: &EntityChange) -> bool {
        let (rows, bytes) = (next.rows(), next.bytes());
        let fits = rows <= self.rows && bytes <= self.bytes;
        (self.rows, self.bytes) = (self.rows.saturating_sub(rows), self.bytes.saturating_sub(bytes));
        fits
    }
}

//! Events into canonical state: reads the rows, lets [`sluice_core::state`] decide, writes under the versions read.
//!
//! A batch is tried as one transaction first: events of one batch about one entity cost one write of its state. Whatever keeps
//! that from succeeding (another writer, too many rows, one event that cannot be written) is left behind by taking each event by
//! itself, so no event fails for another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::IngestId;
use sluice_core::limits::{STATE_BYTES_MAX, TRANSACTION_ROWS_MAX};
use sluice_core::port::Written;
use sluice_core::state::{
    Change, Contribution, Effects, Entity, State, append, can_append, history_from, rewrite,
};
use sluice_core::{Code, Fault};

use crate::{Deps, Outcome};

/// How often an event is tried against other writers before it goes back to the queue.
const CONFLICTS_MAX: u32 = 10;

/// Longest wait after the first conflict; it doubles with each further one, up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_millis(8);

/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_millis(400);

/// After which no further event of a batch is begun: well before the function's own time-out, which would fail those that are done.
const TIME_MAX: Duration = Duration::from_secs(10);

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
}

/// How far one event got in this invocation.
#[derive(Default)]
struct Progress {
    /// Version of its row of effects that was written last, 0 if none was.
    version: u64,
    /// Whether nothing of the event was in when it began, so that nothing has to be taken back.
    fresh: bool,
    /// Entities that need no further look.
    done: BTreeSet<Entity>,
}

enum Step {
    /// All of it is in.
    Done(Vec<Outcome>),
    /// A part of it is in.
    More,
    /// Another writer was quicker; nothing was written.
    Conflict,
    /// More than one transaction holds; nothing was written.
    TooMuch,
}

/// Brings every event in; an event's failure is its own.
pub(crate) async fn all(
    deps: &Deps,
    events: &[Event],
) -> Vec<((IngestId, Sha256Hex), Result<Outcome, Fault>)> {
    let together: Vec<&Event> = events.iter().collect();
    let distinct = together.windows(2).all(|pair| pair[0].ingest_id != pair[1].ingest_id);
    if together.len() > 1
        && distinct
        && let Ok(Step::Done(outcomes)) = attempt(deps, &together, &mut Progress::default()).await
    {
        return events.iter().map(Event::work).zip(outcomes.into_iter().map(Ok)).collect();
    }
    let started = Instant::now();
    let mut results = Vec::with_capacity(events.len());
    for event in events {
        let result = if started.elapsed() < TIME_MAX {
            alone(deps, event).await
        } else {
            Err(Fault::new(Code::TimedOut, "the batch took too long for this event to be begun"))
        };
        results.push((event.work(), result));
    }
    results
}

async fn alone(deps: &Deps, event: &Event) -> Result<Outcome, Fault> {
    let mut progress = Progress::default();
    let mut conflicts = 0;
    loop {
        match attempt(deps, &[event], &mut progress).await? {
            Step::Done(outcomes) => return Ok(outcomes.first().copied().unwrap_or(Outcome::Applied)),
            Step::More => conflicts = 0,
            Step::Conflict | Step::TooMuch => {
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

/// One reading and at most one transaction. A group is written whole or not at all; one event by itself as far as one transaction
/// goes.
async fn attempt(deps: &Deps, events: &[&Event], progress: &mut Progress) -> Result<Step, Fault> {
    let ids: Vec<IngestId> = events.iter().map(|event| event.ingest_id).collect();
    let stated: BTreeSet<&Entity> = events.iter().flat_map(|event| event.lines.keys()).collect();
    let wanted: Vec<Entity> =
        stated.into_iter().filter(|entity| !progress.done.contains(*entity)).cloned().collect();
    let snapshot = deps.canonical.read(&ids, &wanted).await?;
    let effects: BTreeMap<IngestId, Effects> =
        snapshot.effects.into_iter().map(|row| (row.ingest_id, row)).collect();

    let mut outcomes = Vec::with_capacity(events.len());
    let mut active: Vec<(&Event, Option<&Effects>)> = Vec::new();
    for event in events {
        let held = effects.get(&event.ingest_id);
        outcomes.push(match held {
            Some(held) if held.sha256 == event.sha256 && held.done => Outcome::AlreadyApplied,
            Some(held) if event.is_older_than(held) => Outcome::Superseded,
            _ => {
                active.push((event, held));
                Outcome::Applied
            }
        });
    }
    if active.is_empty() {
        return Ok(Step::Done(outcomes));
    }
    let whole_or_nothing = events.len() > 1;
    if !whole_or_nothing {
        let version = active[0].1.map_or(0, |held| held.version);
        if version == 0 || version != progress.version {
            let lost_track = !progress.done.is_empty();
            *progress = Progress { version, fresh: version == 0, done: BTreeSet::new() };
            if lost_track {
                return Ok(Step::Conflict);
            }
        }
    }

    let is_fresh = |held: Option<&Effects>| if whole_or_nothing { held.is_none() } else { progress.fresh };
    let mut work: BTreeMap<&Entity, (Vec<Contribution>, BTreeSet<IngestId>)> = BTreeMap::new();
    for (event, held) in &active {
        for (entity, lines) in &event.lines {
            work.entry(entity).or_default().0.extend(lines.iter().cloned());
        }
        if let Some(held) = held.filter(|held| !is_fresh(Some(held))) {
            for entity in held.entities.iter().chain(event.lines.keys()) {
                work.entry(entity).or_default().1.insert(event.ingest_id);
            }
        }
    }
    work.retain(|entity, _| !progress.done.contains(*entity));
    let mut states: BTreeMap<Entity, State> =
        snapshot.states.into_iter().map(|state| (state.entity.clone(), state)).collect();
    let unread: Vec<Entity> =
        work.keys().filter(|entity| !wanted.contains(entity)).map(|entity| (*entity).clone()).collect();
    if !unread.is_empty() {
        let more = deps.canonical.read(&[], &unread).await?;
        states.extend(more.states.into_iter().map(|state| (state.entity.clone(), state)));
    }

    let mut change = Change::default();
    let mut room = TRANSACTION_ROWS_MAX - active.len().min(TRANSACTION_ROWS_MAX);
    let mut finished = BTreeSet::new();
    let mut all_in = true;
    for (entity, (mut adds, replaces)) in work {
        adds.sort_by_key(|add| add.mark.source);
        let current = states.remove(entity);
        let next = if replaces.is_empty() && can_append(current.as_ref(), &adds) {
            Some(append(entity, current, adds)?)
        } else {
            let from = history_from(current.as_ref(), &adds, &replaces);
            let history = deps.canonical.history(entity, from).await?;
            rewrite(entity, current, history, adds, &replaces)?
        };
        let Some(next) = next else {
            finished.insert(entity.clone());
            continue;
        };
        // What no transaction holds even alone is the adapter's to split.
        let may_overflow = change.entities.is_empty() && !whole_or_nothing;
        if next.rows() > room && !may_overflow {
            all_in = false;
            break;
        }
        room = room.saturating_sub(next.rows());
        all_in &= next.complete;
        if next.complete {
            finished.insert(entity.clone());
        }
        change.entities.push(next);
    }
    if whole_or_nothing && (!all_in || active.len() > TRANSACTION_ROWS_MAX) {
        return Ok(Step::TooMuch);
    }
    for (event, held) in &active {
        let before = held.map(|held| held.entities.clone()).unwrap_or_default();
        let mut entities: BTreeSet<Entity> = event.lines.keys().cloned().collect();
        if !all_in {
            entities.extend(before);
        }
        let bytes: usize = entities.iter().map(|entity| entity.as_str().len() + 8).sum();
        if bytes > STATE_BYTES_MAX {
            return Err(Fault::new(
                Code::StateTooLarge,
                format!("the event speaks of {} entities, whose keys do not fit one row", entities.len()),
            ));
        }
        change.effects.push(Effects {
            ingest_id: event.ingest_id,
            version: held.map_or(0, |held| held.version) + 1,
            sha256: event.sha256.clone(),
            normalized_at: event.normalized_at,
            entities,
            done: all_in,
        });
    }
    match deps.canonical.commit(&change).await? {
        Written::Conflict => Ok(Step::Conflict),
        Written::Written if all_in => Ok(Step::Done(outcomes)),
        Written::Written => {
            progress.version = change.effects.first().map_or(0, |row| row.version);
            progress.done.extend(finished);
            Ok(Step::More)
        }
    }
}

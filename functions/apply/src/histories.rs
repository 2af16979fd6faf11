//! The contributions of entities that were read whole, as long as nobody else writes them.
//!
//! A replay with a changed mapper rewrites events that lie far back, and each such write needs the entity's whole history. Of an
//! article that thousands of events speak of, reading it anew for each of them is what takes the time. A history belongs to the
//! version of the state row that was read with it: every write about an entity moves that version, so one that still has it is
//! still the history, and a write of ours brings it up to the next.
//!
//! Bounded in bytes; the one that was not used for longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluice_core::state::{Contribution, Entity, EntityChange, Source};

/// Most bytes of contributions that are kept: 32 MiB of the function's memory.
const BYTES_MAX: usize = 32 << 20;

/// Histories by entity. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Histories(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    histories: HashMap<Entity, History>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct History {
    version: u64,
    rows: BTreeMap<Source, Contribution>,
    bytes: usize,
    used: u64,
}

impl Histories {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The history after `after` that belongs to this version of the entity's state, in order.
    pub(crate) fn of(
        &self,
        entity: &Entity,
        version: u64,
        after: Option<Source>,
    ) -> Option<Vec<Contribution>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let used = kept.uses;
        let history = kept.histories.get_mut(entity).filter(|history| history.version == version)?;
        history.used = used;
        Some(history.rows.values().filter(|row| Some(row.mark.source) > after).cloned().collect())
    }

    /// Keeps a history that was read with this version of the state.
    pub(crate) fn keep(&self, entity: &Entity, version: u64, rows: &[Contribution]) {
        let bytes = rows.iter().map(Contribution::bytes).sum();
        let mut kept = self.kept();
        kept.remove(entity);
        if bytes > BYTES_MAX / 2 {
            return;
        }
        while kept.bytes + bytes > BYTES_MAX {
            let oldest = kept.histories.iter().min_by_key(|(_, history)| history.used);
            let Some(oldest) = oldest.map(|(entity, _)| entity.clone()) else { break };
            kept.remove(&oldest);
        }
        kept.uses += 1;
        kept.bytes += bytes;
        let rows = rows.iter().map(|row| (row.mark.source, row.clone())).collect();
        let history = History { version, rows, bytes, used: kept.uses };
        kept.histories.insert(entity.clone(), history);
    }

    /// A change was written. One that does not follow the kept history ends it.
    pub(crate) fn written(&self, change: &EntityChange) {
        let mut kept = self.kept();
        let entity = &change.next.entity;
        let Some(history) = kept.histories.get_mut(entity) else { return };
        if history.version + 1 != change.next.version {
            kept.remove(entity);
            return;
        }
        history.version = change.next.version;
        let before = history.bytes;
        for source in &change.remove {
            history.rows.remove(source);
        }
        history.rows.extend(change.put.iter().map(|row| (row.mark.source, row.clone())));
        history.bytes = history.rows.values().map(Contribution::bytes).sum();
        let after = history.bytes;
        kept.bytes = (kept.bytes + after).saturating_sub(before);
    }
}

impl Kept {
    fn remove(&mut self, entity: &Entity) {
        if let Some(history) = self.histories.remove(entity) {
            self.bytes -= history.bytes;
        }
    }
}

//! What will happen, in the order of virtual time, and the slots that it refers to.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Refers to a slot of a [`Slab`]; outlived by nothing, since a slot that is used again has another
/// generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ref {
    slot: u32,
    generation: u32,
}

/// Things that come and go.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, it: T) -> Ref {
        if let Some(slot) = self.free.pop() {
            let (generation, held) = &mut self.slots[slot as usize];
            *held = Some(it);
            return Ref { slot, generation: *generation };
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push((0, Some(it)));
        Ref { slot, generation: 0 }
    }

    pub(crate) fn get_mut(&mut self, at: Ref) -> Option<&mut T> {
        let (generation, held) = self.slots.get_mut(at.slot as usize)?;
        if *generation == at.generation { held.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, at: Ref) -> Option<T> {
        let it = self.take(at)?;
        self.release(at);
        Some(it)
    }

    /// Takes a thing out of its slot, which stays its own until [`Self::release`].
    pub(crate) fn take(&mut self, at: Ref) -> Option<T> {
        let (generation, held) = self.slots.get_mut(at.slot as usize)?;
        if *generation == at.generation { held.take() } else { None }
    }

    /// Puts back what [`Self::take`] took.
    pub(crate) fn put_back(&mut self, at: Ref, it: T) {
        if let Some((generation, held)) = self.slots.get_mut(at.slot as usize)
            && *generation == at.generation
        {
            *held = Some(it);
        }
    }

    /// Gives up a slot.
    pub(crate) fn release(&mut self, at: Ref) {
        if let Some((generation, held)) = self.slots.get_mut(at.slot as usize)
            && *generation == at.generation
        {
            *held = None;
            *generation = generation.wrapping_add(1);
            self.free.push(at.slot);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// What a message on the bus tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Accepted,
    Normalized,
    Quarantined,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// A vendor sends the next event.
    Arrive,
    /// A vendor sends an event again.
    Repeat(u32),
    /// API Gateway starts intake for a request.
    Begin(u32),
    /// A timer of an execution.
    Timer(Ref, u64),
    /// Step Functions has come to call what a task calls.
    Task(Ref, u64),
    /// A delayed input of an execution.
    Input(Ref),
    /// A function's environment is ready.
    Ready(Ref),
    /// A call of a function has come back.
    Step(Ref),
    /// A function calls again.
    Again(Ref),
    /// A function's time is out.
    Expire(Ref),
    /// A lane of the stream is read.
    Poll(u32),
    /// The bus delivers to its target.
    Deliver(Detail, u32),
    /// A message is in its queue, or back in it: queue, event, how often it was received.
    Visible(u16, u32, u16),
    /// The poller of a queue looks for messages.
    Pull(u16),
    /// The schedule of Reconcile.
    Reconcile,
    /// Reconcile runs an event again.
    Rerun(u32),
    /// The series are written down.
    Sample,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    sequence: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// The agenda: earliest first, and of one time in the order of entry.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Agenda {
    pub(crate) fn push(&mut self, at: u64, what: Happening) {
        self.sequence += 1;
        self.heap.push(Entry { at, sequence: self.sequence, what });
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Happening)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }

    /// How many things have happened or will.
    pub(crate) fn pushed(&self) -> u64 {
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_and_of_one_time_in_order() {
        let mut agenda = Agenda::default();
        for (at, request) in [(5, 1), (3, 2), (5, 3), (3, 4)] {
            agenda.push(at, Happening::Begin(request));
        }
        let order: Vec<u32> = std::iter::from_fn(|| agenda.pop())
            .map(|(_, what)| if let Happening::Begin(request) = what { request } else { 0 })
            .collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn a_slot_that_is_used_again_is_not_mistaken_for_the_old_one() {
        let mut slab = Slab::default();
        let old = slab.insert("a");
        assert_eq!(slab.remove(old), Some("a"));
        let new = slab.insert("b");
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "b"));
        assert_eq!(slab.len(), 1);
    }
}

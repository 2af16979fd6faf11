//! A bounded number of places, of which each taker has a bounded share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places for takers of a kind.
#[derive(Debug)]
pub(crate) struct Shares<K> {
    places_max: usize,
    share_max: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by: HashMap<K, usize>,
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a, K: Eq + Hash> {
    shares: &'a Shares<K>,
    taker: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// `places_max` for all together, `share_max` for each.
    pub(crate) fn new(places_max: usize, share_max: usize) -> Self {
        Self { places_max, share_max, taken: Mutex::new(Taken { all: 0, by: HashMap::new() }) }
    }

    /// A place, if there is one for this taker.
    pub(crate) fn take(&self, taker: K) -> Option<Place<'_, K>> {
        let mut taken = self.lock();
        let own = taken.by.get(&taker).copied().unwrap_or_default();
        if taken.all >= self.places_max || own >= self.share_max {
            return None;
        }
        taken.all += 1;
        taken.by.insert(taker.clone(), own + 1);
        Some(Place { shares: self, taker })
    }
}

impl<K> Shares<K> {
    /// Places that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by.get_mut(&self.taker) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&self.taker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_a_share_and_a_place_comes_back() {
        let shares = Shares::new(3, 2);
        let first = shares.take("a");
        let second = shares.take("a");
        assert!(first.is_some() && second.is_some() && shares.take("a").is_none(), "its share");
        let other = shares.take("b");
        assert!(other.is_some() && shares.take("c").is_none(), "all places");
        assert_eq!(shares.taken(), 3);
        drop(first);
        assert!(shares.take("c").is_some());
        drop((second, other));
        assert_eq!(shares.taken(), 0);
        assert!(shares.lock().by.is_empty(), "who has none is not remembered");
    }
}

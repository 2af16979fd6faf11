//! What throttles: token buckets, concurrency, and partitions of a key space.
//!
//! Each remembers how much it was asked for at most, which is what [`crate::plan`] is made of.
//! Times are microseconds of virtual time.

use rustc_hash::FxHashMap;

/// Microseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000;

/// The most that was asked for in any one second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    second: u64,
    now: f64,
    most: f64,
}

impl Peak {
    fn note(&mut self, at: u64, amount: f64) {
        let second = at / SECOND;
        if second != self.second {
            self.most = self.most.max(self.now);
            (self.second, self.now) = (second, 0.0);
        }
        self.now += amount;
    }

    pub(crate) fn most(&self) -> f64 {
        self.most.max(self.now)
    }
}

/// A token bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled_at: u64,
    peak: Peak,
}

impl Bucket {
    /// Full, with `rate` tokens a second.
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, tokens: burst, filled_at: 0, peak: Peak::default() }
    }

    #[expect(clippy::cast_precision_loss, reason = "days of microseconds fit a double")]
    fn fill(&mut self, at: u64) {
        let passed = at.saturating_sub(self.filled_at) as f64 / 1e6;
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.filled_at = self.filled_at.max(at);
    }

    /// Whether `amount` could be taken; nothing is taken if not.
    pub(crate) fn take(&mut self, at: u64, amount: f64) -> bool {
        self.peak.note(at, amount);
        self.fill(at);
        if self.tokens < amount {
            return false;
        }
        self.tokens -= amount;
        true
    }

    /// Whether `amount` could be taken now; takes nothing.
    pub(crate) fn has(&mut self, at: u64, amount: f64) -> bool {
        self.fill(at);
        self.tokens >= amount
    }

    /// Takes `amount` in any case; gives how long it must be waited for, in the order of the calls.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a wait is positive")]
    pub(crate) fn reserve(&mut self, at: u64, amount: f64) -> u64 {
        self.peak.note(at, amount);
        self.fill(at);
        self.tokens -= amount;
        if self.tokens >= 0.0 { 0 } else { (-self.tokens / self.rate * 1e6) as u64 }
    }

    pub(crate) fn peak(&self) -> f64 {
        self.peak.most()
    }
}

/// How many may be at once.
#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    most: u64,
    now: u64,
    peak: u64,
}

impl Concurrency {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, now: 0, peak: 0 }
    }

    pub(crate) fn enter(&mut self) -> bool {
        self.peak = self.peak.max(self.now + 1);
        if self.now >= self.most {
            return false;
        }
        self.now += 1;
        true
    }

    pub(crate) fn leave(&mut self) {
        self.now = self.now.saturating_sub(1);
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }
}

/// A key space in partitions, each with a throughput of its own: a table, an index, a bucket's
/// prefixes.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    /// By the path to it: the number at the beginning, then a bit for each split.
    leaves: FxHashMap<u64, Leaf>,
    count: u64,
    rate: f64,
    /// How deep in debt a partition may be: what an index may lag.
    debt: f64,
    split_after: u64,
    peak: Peak,
    throttled: u64,
}

/// A key: its partition, and where a split of that partition puts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) partition: u64,
    pub(crate) within: u64,
}

impl From<u64> for Key {
    /// A partition key with nothing below it that a split could divide.
    fn from(partition: u64) -> Self {
        Self { partition, within: partition.rotate_left(32) }
    }
}

#[derive(Clone, Debug)]
struct Leaf {
    bucket: Bucket,
    split: bool,
    hot_since: Option<u64>,
    hot_at: u64,
}

/// A partition is cold again after so long without a refusal.
const COLD_AFTER: u64 = 60 * SECOND;

/// Most splits on the way to one key.
const SPLITS_MAX: u32 = 12;

impl Partitions {
    /// `count` partitions of `rate` units a second.
    pub(crate) fn new(count: u64, rate: f64, split_after_seconds: u64) -> Self {
        Self {
            leaves: FxHashMap::default(),
            count: count.max(1),
            rate,
            debt: 0.0,
            split_after: split_after_seconds * SECOND,
            peak: Peak::default(),
            throttled: 0,
        }
    }

    /// Accepts up to so many seconds of work ahead.
    #[must_use]
    pub(crate) fn with_lag(mut self, seconds: f64) -> Self {
        self.debt = self.rate * seconds;
        self
    }

    fn leaf(&mut self, key: Key) -> (u64, &mut Leaf) {
        let mut path = key.partition % self.count;
        let mut bits = key.within;
        let rate = self.rate;
        for _ in 0..SPLITS_MAX {
            if !self.leaves.get(&path).is_some_and(|leaf| leaf.split) {
                break;
            }
            path = self.count + path * 2 + (bits & 1);
            bits >>= 1;
        }
        let leaf = self.leaves.entry(path).or_insert_with(|| Leaf {
            bucket: Bucket::new(rate, rate),
            split: false,
            hot_since: None,
            hot_at: 0,
        });
        (path, leaf)
    }

    /// Which partition a key is in.
    pub(crate) fn place(&mut self, key: Key) -> u64 {
        self.leaf(key).0
    }

    /// Whether the key's partition has `units` left. Notes a refusal.
    pub(crate) fn has(&mut self, at: u64, key: impl Into<Key>, units: f64) -> bool {
        let (debt, split_after) = (self.debt, self.split_after);
        self.peak.note(at, units);
        let (_, leaf) = self.leaf(key.into());
        if leaf.bucket.has(at, units - debt) {
            return true;
        }
        let since = match leaf.hot_since {
            Some(since) if at.saturating_sub(leaf.hot_at) < COLD_AFTER => since,
            _ => at,
        };
        (leaf.hot_since, leaf.hot_at) = (Some(since), at);
        if at.saturating_sub(since) >= split_after {
            leaf.split = true;
        }
        self.throttled += 1;
        false
    }

    /// Takes `units`, which [`Self::has`] has said are there.
    pub(crate) fn take(&mut self, at: u64, key: impl Into<Key>, units: f64) {
        let _ = self.leaf(key.into()).1.bucket.reserve(at, units);
    }

    pub(crate) fn throttled(&self) -> u64 {
        self.throttled
    }

    pub(crate) fn peak(&self) -> f64 {
        self.peak.most()
    }

    /// The most that one partition was asked for in a second.
    pub(crate) fn hottest(&self) -> f64 {
        self.leaves.values().map(|leaf| leaf.bucket.peak()).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_precision_loss, reason = "counts are small")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(300.0, 1_300.0);
        let taken = (0..10_000).filter(|_| bucket.take(0, 1.0)).count();
        assert_eq!(taken, 1_300);
        let later = (0..10_000).filter(|_| bucket.take(2 * SECOND, 1.0)).count();
        assert_eq!(later, 600);
        assert!((bucket.peak() - 10_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_reserved_waits_in_order() {
        let mut bucket = Bucket::new(10.0, 1.0);
        let waits: Vec<u64> = (0..3).map(|_| bucket.reserve(0, 1.0)).collect();
        assert_eq!(waits, [0, 100_000, 200_000]);
        assert_eq!(bucket.reserve(SECOND, 1.0), 0, "a second refills one second's worth, up to the burst");
    }

    #[test]
    fn concurrency_is_bounded_and_its_demand_is_remembered() {
        let mut slots = Concurrency::new(2);
        assert!(slots.enter() && slots.enter() && !slots.enter());
        slots.leave();
        assert!(slots.enter());
        assert_eq!((slots.now(), slots.peak()), (2, 3));
    }

    fn offered(partitions: &mut Partitions, seconds: u64, per_second: u64, key: impl Fn(u64) -> u64) -> u64 {
        let mut taken = 0;
        for n in 0..seconds * per_second {
            let at = n * SECOND / per_second;
            if partitions.has(at, key(n), 1.0) {
                partitions.take(at, key(n), 1.0);
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn one_key_has_one_partition_and_many_keys_have_them_all() {
        let mut one = Partitions::new(10, 1_000.0, 10_000);
        // The bucket's depth is one second's worth.
        assert!((9_900..=11_100).contains(&offered(&mut one, 10, 5_000, |_| 3)), "one partition's rate");
        let mut many = Partitions::new(10, 1_000.0, 10_000);
        assert!(offered(&mut many, 10, 5_000, |n| crate::random::mix(n, 0)) >= 49_900);
        assert!(many.throttled() < 100 && one.throttled() > 38_000);
    }

    #[test]
    fn a_hot_partition_is_split_and_a_hot_key_is_not_helped_by_it() {
        let mut keys = Partitions::new(1, 1_000.0, 5);
        let before = offered(&mut keys, 5, 1_800, |n| crate::random::mix(n, 0));
        let mut split = Partitions::new(1, 1_000.0, 5);
        let all = offered(&mut split, 20, 1_800, |n| crate::random::mix(n, 0));
        assert!(all - before > 24_000, "15 s at 1,800/s in two halves: {all} - {before}");
        let mut one = Partitions::new(1, 1_000.0, 5);
        assert!(offered(&mut one, 20, 1_800, |_| 9) < 24_000);
    }

    #[test]
    fn an_index_may_lag_and_then_throttles() {
        let mut index = Partitions::new(1, 1_000.0, 10_000).with_lag(5.0);
        let taken = offered(&mut index, 10, 2_000, |_| 1);
        assert!((15_900..=16_100).contains(&taken), "10 s of its rate, its bucket and 5 s of lag: {taken}");
    }

    proptest! {
        #[test]
        fn a_bucket_never_gives_more_than_burst_and_rate(
            rate in 1.0..2_000.0_f64,
            burst in 1.0..2_000.0_f64,
            gaps in proptest::collection::vec(0_u64..50_000, 1..400),
        ) {
            let mut bucket = Bucket::new(rate, burst);
            let (mut at, mut taken) = (0, 0.0);
            for gap in gaps {
                at += gap;
                if bucket.take(at, 1.0) {
                    taken += 1.0;
                }
                prop_assert!(taken <= burst + rate * at as f64 / 1e6 + 1e-6);
            }
        }

        #[test]
        fn a_reservation_is_never_served_faster_than_the_rate(
            rate in 1.0..2_000.0_f64,
            gaps in proptest::collection::vec(0_u64..5_000, 2..300),
        ) {
            let mut bucket = Bucket::new(rate, 1.0);
            let (mut at, mut last) = (0, 0);
            for (n, gap) in gaps.into_iter().enumerate() {
                at += gap;
                let served = at + bucket.reserve(at, 1.0);
                prop_assert!(served >= last, "in order");
                prop_assert!(n as f64 <= 1.0 + rate * served as f64 / 1e6 + 1e-3);
                last = served;
            }
        }

        #[test]
        fn a_partition_never_takes_more_than_its_rate(
            count in 1_u64..8,
            keys in proptest::collection::vec(any::<u64>(), 1..600),
        ) {
            let mut partitions = Partitions::new(count, 100.0, 1_000_000);
            let mut taken: FxHashMap<u64, f64> = FxHashMap::default();
            for (n, key) in keys.into_iter().enumerate() {
                let at = n as u64 * 1_000;
                if partitions.has(at, key, 1.0) {
                    partitions.take(at, key, 1.0);
                    let place = partitions.place(key.into());
                    let sum = taken.entry(place).or_default();
                    *sum += 1.0;
                    prop_assert!(*sum <= 100.0 + 100.0 * at as f64 / 1e6 + 1e-6);
                }
            }
        }
    }
}

//! Random numbers and distributions: the same from a seed on every host.
//!
//! The generator is PCG, whose output is specified, and all functions are libm's own, so that a
//! report has the same bytes wherever it is made.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

/// A seeded generator.
#[derive(Debug)]
pub(crate) struct Random(Pcg64Mcg);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0..`bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether something that happens in `share` of all cases happens.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }

    /// A gap of a Poisson process of `rate` a second, in microseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "gaps are small and positive"
    )]
    pub(crate) fn gap(&mut self, rate: f64) -> u64 {
        (-libm::log(1.0 - self.unit()) / rate * 1e6) as u64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(std::f64::consts::TAU * angle)
    }
}

/// A log-normal distribution of durations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// Of the logarithm of microseconds.
    mean: f64,
    deviation: f64,
}

impl Latency {
    /// By median and 99th percentile, in milliseconds.
    pub(crate) fn new(p50_ms: f64, p99_ms: f64) -> Self {
        /// The 99th percentile of the standard normal distribution.
        const Z99: f64 = 2.326_347_874_040_841;
        Self { mean: libm::log(p50_ms * 1e3), deviation: libm::log(p99_ms / p50_ms) / Z99 }
    }

    /// In microseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "durations are small and positive"
    )]
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        libm::exp(self.mean + self.deviation * random.normal()) as u64
    }

    /// The mean, in microseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "durations are small and positive"
    )]
    pub(crate) fn mean(&self) -> u64 {
        libm::exp(self.mean + self.deviation * self.deviation / 2.0) as u64
    }
}

/// Mixes the parts of a key, as a partition's hash does.
pub(crate) fn mix(first: u64, second: u64) -> u64 {
    let mut mixed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ second.wrapping_add(0x517c_c1b7_2722_0a95);
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_precision_loss, reason = "counts are small")]
    use super::*;

    #[test]
    fn a_distribution_has_the_median_and_the_percentile_it_was_made_of() {
        let latency = Latency::new(20.0, 200.0);
        let mut random = Random::new(1);
        let mut drawn: Vec<u64> = (0..100_000).map(|_| latency.draw(&mut random)).collect();
        drawn.sort_unstable();
        assert!((19_000..21_000).contains(&drawn[50_000]), "{}", drawn[50_000]);
        assert!((185_000..215_000).contains(&drawn[99_000]), "{}", drawn[99_000]);
        let mean = drawn.iter().sum::<u64>() as f64 / 1e5;
        assert!((mean / latency.mean() as f64 - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn gaps_come_to_the_rate() {
        let mut random = Random::new(2);
        let sum: u64 = (0..50_000).map(|_| random.gap(500.0)).sum();
        assert!((sum as f64 / 1e8 - 1.0).abs() < 0.03, "{sum}");
    }

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..3).map(|_| random.below(1_000_000)).collect();
        let mut again = Random::new(7);
        assert_eq!(drawn, (0..3).map(|_| again.below(1_000_000)).collect::<Vec<_>>());
        assert_ne!(drawn, (0..3).map(|_| random.below(1_000_000)).collect::<Vec<_>>());
        assert_eq!(mix(1, 2), mix(1, 2));
        assert_ne!(mix(1, 2), mix(2, 1));
    }
}

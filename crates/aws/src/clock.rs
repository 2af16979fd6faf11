//! The system's clock and random source.

use jiff::Timestamp;
use sluice_core::port::Clock;

/// The real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u128 {
        rand::random()
    }
}

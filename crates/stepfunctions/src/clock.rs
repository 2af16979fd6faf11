//! Where the time comes from. An execution never reads a clock: the engine stamps every input that it journals.

use std::time::{SystemTime, UNIX_EPOCH};

use sluice_asl::Timestamp;
use tokio::time::Instant;

/// A source of wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Counts from a given instant in step with tokio's clock, so that a runtime whose time is paused
/// (`tokio::time::pause`) gives the engine a virtual clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    epoch: Timestamp,
    started: Instant,
}

impl TokioClock {
    /// A clock that shows `now` at this moment. Call it inside the runtime that will run the engine.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        TokioClock { epoch: now, started: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.started.elapsed().as_millis();
        self.epoch.plus_millis(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }
}

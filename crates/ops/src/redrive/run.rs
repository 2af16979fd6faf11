//! The run itself: paced, with a window that opens as things go well, and a stop of its own when
//! failures return.
//!
//! Knows nothing of events or clouds, so that its rules can be tested by themselves.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use super::Outcome;

/// How many are under way at the beginning: what a fix that is no fix costs at most, beside the
/// budget.
const WINDOW_FIRST: usize = 8;
/// How many are under way at most.
const WINDOW_MAX: usize = 64;

/// When a run stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Failures of those that ended, in percent, at which it stops.
    pub percent: u32,
    /// Failures before which it does not stop.
    pub failures_min: usize,
}

impl Budget {
    fn is_spent(self, tally: &Tally) -> bool {
        tally.failed >= self.failures_min.max(1)
            && tally.failed * 100 >= self.percent as usize * tally.finished
    }
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Most started per second.
    pub per_second: u32,
    /// `None`: it goes to its end.
    pub budget: Option<Budget>,
}

/// Why a run ended before its plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// Too many failed again.
    ErrorBudget,
    /// Ctrl-C.
    Interrupted,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that ended.
    pub finished: usize,
    /// Of those, out of quarantine.
    pub released: usize,
    /// Of those, failed.
    pub failed: usize,
}

/// What a run gave.
#[derive(Debug)]
pub struct Done<R> {
    /// What each gave, in the order of their ends.
    pub results: Vec<R>,
    /// Entries that were not started.
    pub not_started: usize,
    /// Why it stopped before its end.
    pub stopped: Option<Stopped>,
}

/// Works through the entries in order. Once it stops, what is under way is still waited for.
pub async fn run<'a, E, R, F>(
    entries: &'a [E],
    pace: &Pace,
    work: impl Fn(&'a E) -> F,
    outcome: impl Fn(&R) -> Outcome,
    progress: &mut dyn FnMut(&Tally),
    interrupt: impl Future<Output = ()>,
) -> Done<R>
where
    F: Future<Output = R>,
{
    let mut ticks = tokio::time::interval_at(Instant::now(), Duration::from_secs(1) / pace.per_second.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(interrupt);
    let mut waiting = entries.iter();
    let mut under_way = FuturesUnordered::new();
    let mut done = Done { results: Vec::with_capacity(entries.len()), not_started: 0, stopped: None };
    let mut tally = Tally::default();
    loop {
        let window = (WINDOW_FIRST + tally.released).min(WINDOW_MAX);
        let may_start = done.stopped.is_none() && !waiting.as_slice().is_empty() && under_way.len() < window;
        if !may_start && under_way.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = &mut interrupt, if done.stopped.is_none() => done.stopped = Some(Stopped::Interrupted),
            Some(result) = under_way.next(), if !under_way.is_empty() => {
                tally.finished += 1;
                let ended = outcome(&result);
                tally.released += usize::from(ended == Outcome::Released);
                tally.failed += usize::from(ended.is_failure());
                done.results.push(result);
                progress(&tally);
                if done.stopped.is_none() && pace.budget.is_some_and(|budget| budget.is_spent(&tally)) {
                    done.stopped = Some(Stopped::ErrorBudget);
                }
            }
            _ = ticks.tick(), if may_start => {
                if let Some(entry) = waiting.next() {
                    under_way.push(work(entry));
                }
            }
        }
    }
    done.not_started = waiting.len();
    if done.not_started == 0 && done.stopped == Some(Stopped::ErrorBudget) {
        // All of it was run: there was nothing left to stop.
        done.stopped = None;
    }
    done
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PACE: Pace = Pace { per_second: 10_000, budget: Some(Budget { percent: 10, failures_min: 5 }) };

    async fn outcomes(count: usize, pace: Pace, fails: impl Fn(usize) -> bool) -> (Done<Outcome>, usize) {
        let entries: Vec<usize> = (0..count).collect();
        let most = AtomicUsize::new(0);
        let now = AtomicUsize::new(0);
        let done = run(
            &entries,
            &pace,
            |entry| {
                let outcome = if fails(*entry) { Outcome::FailedAgain } else { Outcome::Released };
                let (most, now) = (&most, &now);
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    now.fetch_sub(1, Ordering::Relaxed);
                    outcome
                }
            },
            |outcome| *outcome,
            &mut |_| {},
            std::future::pending(),
        )
        .await;
        (done, most.into_inner())
    }

    #[tokio::test]
    async fn what_goes_well_goes_to_its_end_ever_wider() {
        let (done, most) = outcomes(300, PACE, |_| false).await;
        assert_eq!((done.results.len(), done.not_started, done.stopped), (300, 0, None));
        assert!(most <= WINDOW_MAX, "{most}");
    }

    #[tokio::test]
    async fn a_fix_that_is_no_fix_costs_the_first_window_at_most() {
        let (done, most) = outcomes(1_000, PACE, |_| true).await;
        assert_eq!(done.stopped, Some(Stopped::ErrorBudget));
        assert!((5..=5 + WINDOW_FIRST).contains(&done.results.len()), "{}", done.results.len());
        assert_eq!(done.not_started + done.results.len(), 1_000);
        assert!(most <= WINDOW_FIRST);
    }

    #[tokio::test]
    async fn a_few_failures_are_within_the_budget() {
        let (done, _) = outcomes(500, PACE, |entry| entry % 20 == 19).await;
        assert_eq!((done.results.len(), done.stopped), (500, None));
        let (done, _) = outcomes(500, PACE, |entry| entry > 100 && entry % 3 == 0).await;
        assert_eq!(done.stopped, Some(Stopped::ErrorBudget), "failures that return");
        assert!(done.not_started > 0);
        let strict = Pace { budget: Some(Budget { percent: 0, failures_min: 1 }), ..PACE };
        let (done, _) = outcomes(500, strict, |entry| entry == 20).await;
        assert_eq!(done.stopped, Some(Stopped::ErrorBudget));
        let (done, _) = outcomes(50, Pace { budget: None, ..PACE }, |_| true).await;
        assert_eq!((done.results.len(), done.stopped), (50, None));
    }

    #[tokio::test(start_paused = true)]
    async fn it_starts_no_more_than_its_rate() {
        let before = Instant::now();
        let (done, _) = outcomes(101, Pace { per_second: 10, ..PACE }, |_| false).await;
        assert_eq!(done.results.len(), 101);
        let elapsed = before.elapsed();
        assert!(elapsed >= Duration::from_secs(10) && elapsed < Duration::from_secs(11), "{elapsed:?}");
    }

    #[tokio::test]
    async fn an_interrupted_run_waits_for_what_is_under_way() {
        let entries: Vec<usize> = (0..100).collect();
        let pace = Pace { per_second: 1_000, budget: None };
        let work = |_: &usize| tokio::time::sleep(Duration::from_millis(20));
        let interrupt = tokio::time::sleep(Duration::from_millis(30));
        let done = run(&entries, &pace, work, |()| Outcome::Released, &mut |_| {}, interrupt).await;
        assert_eq!(done.stopped, Some(Stopped::Interrupted));
        assert!(done.not_started > 0 && done.results.len() + done.not_started == 100);
    }
}

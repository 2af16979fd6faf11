//! One job after another, on a thread of its own.
//!
//! For what can do only one thing at a time. A lock would do it as well, but who waits for a lock in an async program is woken long
//! before it runs: between two holders the lock is idle for as long as the thread that freed it has other work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The queue of jobs, never longer than the calls that are under way. Its thread ends, after the jobs that are in it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Turns(Sender<Job>);

impl Turns {
    pub(crate) fn start(name: &str) -> std::io::Result<Self> {
        let (sender, jobs) = channel::<Job>();
        let work = move || {
            for job in jobs {
                // It tells who waits for it by dropping the answer's channel.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self(sender))
    }

    /// What the job returns; `None` when it panicked. It is done even if nobody waits for it any more.
    pub(crate) async fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            let _ = answer.send(job());
        };
        self.0.send(Box::new(job)).ok()?;
        answered.await.ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn jobs_never_overlap_and_a_panic_is_told_to_its_own_alone() {
        let turns = Turns::start("turns").unwrap();
        let running = Arc::new(AtomicUsize::new(0));
        let job = |number: usize| {
            let running = Arc::clone(&running);
            turns.run(move || {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                assert!(number != 7, "as it should");
                number
            })
        };
        let answers = futures::future::join_all((0..100).map(job)).await;
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, (number != 7).then_some(number));
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_done() {
        let turns = Turns::start("turns").unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let _ = futures::poll!(Box::pin(turns.run(move || count.fetch_add(1, Ordering::SeqCst))));
        assert!(turns.run(|| ()).await.is_some());
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}

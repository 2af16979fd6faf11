//! Carries out the effects of one execution: runs its tasks, keeps its timers, and reports what becomes of them.
//!
//! All of it happens on the task that drives the execution, so dropping a [`Worker`] cancels everything the execution has
//! under way. Timers are tokio's, which keeps all of a runtime in one timer wheel; a worker registers only its earliest.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use sluice_asl::{Effect, InputKind, ScheduledTask, TaskId, TimerId, Timestamp};
use tokio::time::{Instant, Sleep};

use crate::engine::Inner;
use crate::integrations::{TaskContext, TaskError, TurnState, dispatch};

/// What has ended, whether it is a Map Run, and how.
type TaskResult = (TaskId, Kind, Result<Value, TaskError>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Task,
    /// The call of a task that waits for its token afterwards.
    Submission,
    MapRun,
}

/// The timeout of a task, and whether the task has its turn.
struct Turn {
    timeout: Duration,
    state: Arc<TurnState>,
}

pub(crate) struct Worker {
    inner: Arc<Inner>,
    execution_arn: Arc<str>,
    state_machine_arn: Arc<str>,
    tasks: FuturesUnordered<Abortable<BoxFuture<'static, TaskResult>>>,
    cancels: Vec<(TaskId, Kind, AbortHandle)>,
    timers: BTreeSet<(Timestamp, TimerId)>,
    /// The tasks that have a timeout, by its timer.
    turns: BTreeMap<TimerId, Turn>,
    sleep: Option<(Timestamp, Pin<Box<Sleep>>)>,
}

impl Worker {
    pub(crate) fn new(inner: Arc<Inner>, execution_arn: Arc<str>, state_machine_arn: Arc<str>) -> Self {
        Worker {
            inner,
            execution_arn,
            state_machine_arn,
            tasks: FuturesUnordered::new(),
            cancels: Vec::new(),
            timers: BTreeSet::new(),
            turns: BTreeMap::new(),
            sleep: None,
        }
    }

    /// Begins what the effects ask for. True when the execution has finished.
    pub(crate) fn perform(&mut self, effects: Vec<Effect>) -> bool {
        let mut finished = false;
        for effect in effects {
            match effect {
                Effect::ScheduleTask(task) => self.begin(task),
                Effect::SetTimer { timer, at } => {
                    self.timers.insert((at, timer));
                }
                Effect::CancelTimer { timer } => {
                    self.timers.retain(|(_, set)| *set != timer);
                    self.turns.remove(&timer);
                }
                Effect::StartMapRun(run) => {
                    let (inner, task) = (Arc::clone(&self.inner), run.task);
                    self.watch(task, Kind::MapRun, async move { inner.run_map(run).await }.boxed());
                }
                Effect::CancelTask { task } | Effect::StopMapRun { task, .. } => {
                    if let Some(at) = self.cancels.iter().position(|(id, ..)| *id == task) {
                        self.cancels.swap_remove(at).2.abort();
                    }
                }
                Effect::Finished => finished = true,
            }
        }
        finished
    }

    fn begin(&mut self, scheduled: ScheduledTask) {
        if scheduled.is_activity {
            // It waits in the journal for a worker.
            return;
        }
        let kind = if scheduled.token.is_some() { Kind::Submission } else { Kind::Task };
        let inner = Arc::clone(&self.inner);
        let timeout = scheduled.timeout_seconds.map(Duration::from_secs);
        let state = Arc::new(TurnState::default());
        if let Some((timer, timeout)) = scheduled.timeout_timer.zip(timeout) {
            self.turns.insert(timer, Turn { timeout, state: Arc::clone(&state) });
        }
        let context = TaskContext {
            execution_arn: Arc::clone(&self.execution_arn),
            state_machine_arn: Arc::clone(&self.state_machine_arn),
            state_name: scheduled.state_name,
            retry_count: scheduled.retry_count,
            timeout,
            turn: state,
        };
        let (task, resource) = (scheduled.task, scheduled.resource);
        let arguments = Arc::unwrap_or_clone(scheduled.arguments);
        let invocation = async move { dispatch(&inner, &resource, arguments, &context).await };
        self.watch(task, kind, invocation.boxed());
    }

    fn watch(&mut self, task: TaskId, kind: Kind, work: BoxFuture<'static, Result<Value, TaskError>>) {
        let (cancel, registration) = AbortHandle::new_pair();
        let work = async move { (task, kind, work.await) };
        self.tasks.push(Abortable::new(work.boxed(), registration));
        self.cancels.push((task, kind, cancel));
    }

    /// True when no task is running.
    pub(crate) fn is_waiting(&self) -> bool {
        self.cancels.is_empty()
    }

    /// True when nothing is lost by leaving: Map Runs keep their own journal.
    pub(crate) fn can_be_left(&self) -> bool {
        self.cancels.iter().all(|(_, kind, _)| *kind == Kind::MapRun)
    }

    /// The earliest timer.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The earliest timer that runs: that of a task that waits for its turn does not, and begins anew after the wait.
    fn first_running(&mut self) -> Option<(Timestamp, TimerId)> {
        let begun: Vec<(TimerId, Duration)> = self
            .turns
            .iter()
            .filter(|(_, turn)| !turn.state.is_waiting() && turn.state.take_begun())
            .map(|(timer, turn)| (*timer, turn.timeout))
            .collect();
        for (timer, timeout) in begun {
            let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
            self.timers.retain(|(_, set)| *set != timer);
            self.timers.insert((self.inner.now().plus_millis(millis), timer));
        }
        let waits = |timer| self.turns.get(timer).is_some_and(|turn| turn.state.is_waiting());
        self.timers.iter().find(|(_, timer)| !waits(timer)).copied()
    }

    /// The next result or due timer; `None` when there is nothing to wait for. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<InputKind> {
        poll_fn(|context| {
            while let Poll::Ready(Some(ended)) = self.tasks.poll_next_unpin(context) {
                // An aborted task has left the list of cancels already.
                let Ok((task, kind, result)) = ended else { continue };
                if let Some(at) = self.cancels.iter().position(|(id, ..)| *id == task) {
                    self.cancels.swap_remove(at);
                }
                return Poll::Ready(Some(match (kind, result) {
                    (Kind::Task, Ok(output)) => InputKind::TaskSucceeded { task, output },
                    (Kind::Submission, Ok(output)) => InputKind::TaskSubmitted { task, output },
                    (Kind::Task | Kind::Submission, Err(TaskError { error, cause })) => {
                        InputKind::TaskFailed { task, error, cause }
                    }
                    (Kind::MapRun, Ok(output)) => InputKind::MapRunSucceeded { task, output },
                    (Kind::MapRun, Err(TaskError { error, cause })) => {
                        InputKind::MapRunFailed { task, error, cause }
                    }
                }));
            }
            let Some((at, timer)) = self.first_running() else {
                return if self.tasks.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            let sleep = match &mut self.sleep {
                Some((until, sleep)) if *until == at => sleep,
                Some((until, sleep)) => {
                    *until = at;
                    sleep.as_mut().reset(self.inner.instant_of(at));
                    sleep
                }
                none => {
                    let sleep = Box::pin(tokio::time::sleep_until(self.inner.instant_of(at)));
                    &mut none.insert((at, sleep)).1
                }
            };
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
            self.timers.remove(&(at, timer));
            self.turns.remove(&timer);
            Poll::Ready(Some(InputKind::TimerFired { timer }))
        })
        .await
    }
}

impl Inner {
    /// When tokio's clock will show `at`, by what the two clocks show now.
    pub(crate) fn instant_of(&self, at: Timestamp) -> Instant {
        // tokio's own bound on a sleep is about 2.2 years; a later timer is set again when this one has fired.
        const FAR: i64 = 365 * 24 * 60 * 60 * 1000;
        let ahead = at.as_millis().saturating_sub(self.now().as_millis()).clamp(0, FAR);
        Instant::now() + Duration::from_millis(u64::try_from(ahead).unwrap_or(0))
    }
}

//! Errors: retried, caught, or passed on to the state around.
//!
//! Follows "Handling errors in Step Functions workflows". The first retrier that names an error decides whether it is tried again, and
//! has its own count; then the first catcher that names it. What neither takes fails the branch or iteration, hence the
//! Parallel or Map state around it, which has retriers and catchers of its own; or the execution.

use std::sync::Arc;

use serde_json::json;

use super::advance::{Exit, Stuck, too_large};
use super::thread::{Fault, Phase, ThreadId};
use super::view::Seen;
use super::{Effect, Execution, Purpose, Status, Turn};
use crate::definition::{Jitter, Retrier, State, StateKind, Transition};
use crate::history::{Details, EventType};
use crate::random::Random;

impl Execution {
    /// The thread's state has failed.
    pub(super) fn fail(&mut self, id: ThreadId, state: &State, mut fault: Fault, turn: &mut Turn) {
        self.inspect_fault(&fault);
        if fault.name() == "States.Runtime" {
            return self.fail_execution(id, fault, turn);
        }
        if self.retry(id, state, &fault, turn) {
            return;
        }
        let before = self.threads[&id].previous;
        self.state_failed(id, state, turn);
        let catcher = state
            .catch
            .iter()
            .enumerate()
            .find(|(_, catcher)| catcher.errors.matches(fault.name(), fault.of_branch));
        if let Some((index, catcher)) = catcher {
            let error_output = Arc::new(json!({
                "Error": fault.name(),
                "Cause": fault.cause.as_deref().unwrap_or_default(),
            }));
            let exit = Exit {
                output: catcher.output.as_ref(),
                assign: &catcher.assign,
                prefix: format!("Catch[{index}]/"),
                then: Transition::Next(catcher.next),
            };
            let seen = Seen { error_output: Some(&error_output), ..Seen::default() };
            match self.left(id, &exit, seen, turn) {
                Ok(left) => {
                    self.inspect(|seen| seen.catch_index = Some(index));
                    return self.exit(id, state, left, exit.then, turn);
                }
                // As AWS records it: from where the state stood before it failed, which it then does a second time.
                Err(stuck) => {
                    if let Some(thread) = self.threads.get_mut(&id) {
                        thread.previous = before;
                    }
                    fault = match stuck {
                        Stuck::TooLarge => too_large(state),
                        Stuck::Evaluation(failure) => self.evaluation_failed(id, state, failure, turn.at),
                    };
                    self.inspect_fault(&fault);
                    self.state_failed(id, state, turn);
                }
            }
        }
        let Some(thread) = self.threads.get_mut(&id) else { return };
        thread.phase = Phase::Failed(fault.clone());
        match thread.parent {
            None => self.finish(Status::Failed { error: fault.error, cause: fault.cause }, turn),
            Some((parent, _)) => self.child_failed(parent, id, fault, turn),
        }
    }

    /// An error that nothing may take.
    fn fail_execution(&mut self, id: ThreadId, fault: Fault, turn: &mut Turn) {
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.phase = Phase::Failed(fault.clone());
        }
        self.finish(Status::Failed { error: fault.error, cause: fault.cause }, turn);
    }

    /// Tries again later if a retrier says so.
    fn retry(&mut self, id: ThreadId, state: &State, fault: &Fault, turn: &mut Turn) -> bool {
        let retrier = state
            .retry
            .iter()
            .enumerate()
            .find(|(_, retrier)| retrier.errors.matches(fault.name(), fault.of_branch));
        let Some((index, retrier)) = retrier else { return false };
        let Some(thread) = self.threads.get_mut(&id) else { return false };
        let used = thread.retries[index];
        if used >= retrier.max_attempts {
            return false;
        }
        thread.retries[index] += 1;
        thread.retry_count += 1;
        self.drop_join(id);
        let delay = delay_ms(retrier, used, &turn.random);
        self.inspect(|seen| {
            seen.retry_index = Some(index);
            seen.retry_backoff_seconds = u64::try_from(delay / 1000).ok();
        });
        let at = turn.at.plus_millis(delay);
        let timer = self.set_timer(at, Purpose::Retry(id), turn);
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.phase = Phase::Retrying(timer);
        }
        true
    }

    /// The event that a Parallel or Map state failed.
    fn state_failed(&mut self, id: ThreadId, state: &State, turn: &Turn) {
        let event_type = match state.kind {
            StateKind::Parallel { .. } => EventType::ParallelStateFailed,
            StateKind::Map(_) => EventType::MapStateFailed,
            _ => return,
        };
        let previous = self.threads[&id].previous;
        let event = self.event(turn.at, previous, event_type, || None);
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = event;
        }
    }

    /// A branch or iteration has failed, which aborts its siblings.
    fn child_failed(&mut self, id: ThreadId, child: ThreadId, fault: Fault, turn: &mut Turn) {
        let previous = self.threads[&child].previous;
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.previous = previous;
        }
        self.abort_children(id, previous, turn);
        self.with_state(id, |execution, state| {
            execution.fail(id, state, Fault { of_branch: true, ..fault }, turn);
        });
    }

    /// Aborts what is under way below a thread, with an event for each, all of which follow from the failure `previous`.
    fn abort_children(&mut self, id: ThreadId, previous: u64, turn: &mut Turn) {
        let mut iterations = None;
        self.with_state(id, |_, state| {
            iterations = matches!(state.kind, StateKind::Map(_)).then(|| Arc::clone(&state.name));
        });
        let children = self.threads[&id].join.as_ref().map(|join| join.children.clone()).unwrap_or_default();
        for (index, child) in children.into_iter().enumerate() {
            let Some(child) = child else { continue };
            let failed = matches!(self.threads[&child].phase, Phase::Failed(_));
            if let Some(name) = iterations.clone() {
                let event_type =
                    if failed { EventType::MapIterationFailed } else { EventType::MapIterationAborted };
                self.event(turn.at, previous, event_type, || Some(Details::MapIteration { name, index }));
            }
            self.with_state(child, |execution, state| {
                let event_type = match state.kind {
                    StateKind::Task(_) => EventType::TaskStateAborted,
                    StateKind::Wait { .. } => EventType::WaitStateAborted,
                    StateKind::Parallel { .. } => EventType::ParallelStateAborted,
                    StateKind::Map(_) => EventType::MapStateAborted,
                    StateKind::Pass(_)
                    | StateKind::Choice { .. }
                    | StateKind::Succeed
                    | StateKind::Fail(_) => return,
                };
                if matches!(execution.threads[&child].phase, Phase::Mapping(_)) {
                    execution.event(turn.at, previous, EventType::MapRunAborted, || None);
                }
                if execution.threads[&child].entered.is_some() {
                    execution.event(turn.at, previous, event_type, || None);
                }
            });
            if !failed {
                self.abort_children(child, previous, turn);
                self.abort(child, turn);
            }
        }
    }

    /// Takes back what a thread waits for; a failed thread keeps its error.
    pub(super) fn abort(&mut self, id: ThreadId, turn: &mut Turn) {
        let Some(thread) = self.threads.get_mut(&id) else { return };
        if matches!(thread.phase, Phase::Failed(_) | Phase::Aborted) {
            return;
        }
        match std::mem::replace(&mut thread.phase, Phase::Aborted) {
            Phase::Task(running) => {
                self.tasks.remove(&running.scheduled.task);
                turn.effects.push(Effect::CancelTask { task: running.scheduled.task });
                for timer in [running.timer, running.heartbeat].into_iter().flatten() {
                    self.cancel_timer(timer, turn);
                }
            }
            Phase::Mapping(task) => self.stop_map_run(id, task, turn),
            Phase::Retrying(timer) | Phase::Waiting(timer) => self.cancel_timer(timer, turn),
            Phase::Ready | Phase::Joining | Phase::Failed(_) | Phase::Aborted => {}
        }
    }
}

/// `IntervalSeconds` times `BackoffRate` for each attempt before, at most `MaxDelaySeconds`; with full jitter anything up to that.
fn delay_ms(retrier: &Retrier, used: u32, random: &Random) -> i64 {
    let mut seconds = retrier.interval_seconds * retrier.backoff_rate.powf(f64::from(used));
    if let Some(most) = retrier.max_delay_seconds {
        seconds = seconds.min(most);
    }
    if retrier.jitter == Jitter::Full {
        seconds *= random.unit();
    }
    // A cast saturates.
    (seconds * 1000.0).round() as i64
}

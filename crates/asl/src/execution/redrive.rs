//! `RedriveExecution`: an ended execution goes on where it failed.
//!
//! Follows "Redrive behavior of individual states" of the Developer Guide. A state is redriven if it was entered and not left: a Task is
//! scheduled again, a Choice looks at its rules again, a Wait waits again (not for a time that has passed), a Fail state is entered
//! again and fails. Of a Parallel or Map state only the branches or iterations that did not end well are redriven, unless it failed with
//! `States.DataLimitExceeded`: then all are. Inputs and variables are as they were; retries are counted from zero. No state but
//! Fail is entered a second time in the history: what it does follows from its first entry.
//!
//! A Map Run that did not end well is redriven under its own ARN, unless it failed with `States.DataLimitExceeded`: then a new one is
//! started ("Redriving Map Runs").

use super::thread::{Phase, ThreadId};
use super::{Execution, Purpose, Status, Turn};
use crate::definition::{Failing, StateKind};
use crate::history::{Details, EventType};

impl Execution {
    /// [`Execution::redrivable`] has said that it is.
    pub(super) fn redrive(&mut self, turn: &mut Turn) {
        self.status = Status::Running;
        self.stop_date = None;
        self.redrive_count += 1;
        self.redrive_date = Some(turn.at);
        let (previous, redrive_count) = (self.last_event, self.redrive_count);
        self.event(turn.at, previous, EventType::ExecutionRedriven, || {
            Some(Details::ExecutionRedriven { redrive_count })
        });
        let until = turn.at.plus_millis(self.duration_ms());
        self.set_timer(until, Purpose::Execution, turn);
        // Parents have lower ids than their children.
        if let Some(&root) = self.threads.keys().next()
            && self.input_fits(turn)
        {
            self.resume(root, turn);
        }
    }

    fn resume(&mut self, id: ThreadId, turn: &mut Turn) {
        let Some(thread) = self.threads.get_mut(&id) else { return };
        let rerun =
            matches!(&thread.phase, Phase::Failed(fault) if fault.name() == "States.DataLimitExceeded");
        thread.retry_count = 0;
        thread.retries.fill(0);
        if let Some(entered) = thread.entered {
            thread.previous = entered.event;
        }
        thread.phase = Phase::Ready;
        if rerun {
            self.drop_join(id);
        }
        if let Some(map_run) = self.threads.get(&id).and_then(|thread| thread.map_run.as_ref()) {
            return if map_run.result.is_some() {
                turn.ready.push_back(id);
            } else {
                self.redrive_map_run(id, turn);
            };
        }
        let Some(join) = self.threads.get(&id).and_then(|thread| thread.join.as_ref()) else {
            let mut fails = false;
            self.with_state(id, |_, state| fails = matches!(state.kind, StateKind::Fail(Failing { .. })));
            if let Some(thread) = self.threads.get_mut(&id).filter(|_| fails) {
                thread.entered = None;
                thread.previous = self.last_event;
            }
            return turn.ready.push_back(id);
        };
        if join.remaining == 0 {
            return turn.ready.push_back(id);
        }
        let children: Vec<_> = join.children.iter().flatten().copied().collect();
        if let Some(thread) = self.threads.get_mut(&id) {
            thread.phase = Phase::Joining;
        }
        for child in children {
            self.resume(child, turn);
        }
        self.admit(id, turn);
    }
}

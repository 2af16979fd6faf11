//! A line of control: the machine, a branch of a Parallel state or an iteration of a Map state.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Execution, MapRun, ScheduledTask};
use crate::definition::MachineId;
use crate::input::{TaskId, TimerId};
use crate::jsonata::Variables;
use crate::time::Timestamp;

/// In order of creation, parents before children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ThreadId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Thread {
    /// The thread whose Parallel or Map state this belongs to, and the number of the branch or iteration.
    pub(super) parent: Option<(ThreadId, usize)>,
    pub(super) machine: MachineId,
    /// The current state, an index into the machine.
    pub(super) state: usize,
    /// The current state's input.
    pub(super) input: Arc<Value>,
    /// What was assigned in this scope.
    pub(super) variables: BTreeMap<Arc<str>, Variable>,
    /// The item of a Map iteration.
    pub(super) item: Option<Item>,
    /// The last event of this thread.
    pub(super) previous: u64,
    /// `None` until the current state is entered.
    pub(super) entered: Option<Entered>,
    /// `State.RetryCount`.
    pub(super) retry_count: u32,
    /// Of a task that waits for it, while its arguments are evaluated and it runs.
    pub(super) token: Option<Arc<str>>,
    /// How often each retrier of the current state was used.
    pub(super) retries: Vec<u32>,
    pub(super) phase: Phase,
    /// The branches or iterations of the current state. A failed state keeps them for a redrive.
    pub(super) join: Option<Join>,
    /// The Map Run of the current state. A failed state keeps it for a redrive.
    pub(super) map_run: Option<ThreadMapRun>,
}

#[derive(Debug)]
pub(super) struct ThreadMapRun {
    pub(super) run: Arc<MapRun>,
    /// Of a run that ended well, when the state could not be left with it.
    pub(super) result: Option<Arc<Value>>,
}

#[derive(Debug)]
pub(super) struct Variable {
    pub(super) value: Arc<Value>,
    pub(super) bytes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) index: usize,
    /// For the iteration over an object.
    pub(super) key: Option<String>,
    pub(super) value: Arc<Value>,
}

impl Item {
    /// The input of an iteration without an `ItemSelector`: the item, or for a member of an object "the key-value pair" (Developer
    /// Guide, "ItemsPath").
    pub(super) fn as_input(&self) -> Arc<Value> {
        match &self.key {
            None => Arc::clone(&self.value),
            Some(key) => pair(key, &self.value),
        }
    }
}

/// A member of an object as an item.
pub(super) fn pair(key: &str, value: &Value) -> Arc<Value> {
    Arc::new(json!({"Key": key, "Value": value}))
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entered {
    pub(super) at: Timestamp,
    pub(super) event: u64,
    /// What the entry followed from.
    pub(super) before: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// To be run in this turn.
    Ready,
    Task(RunningTask),
    Retrying(TimerId),
    Waiting(TimerId),
    /// For its branches or iterations.
    Joining,
    /// For its Map Run.
    Mapping(TaskId),
    Failed(Fault),
    Aborted,
}

#[derive(Debug)]
pub(super) struct RunningTask {
    pub(super) scheduled: ScheduledTask,
    pub(super) started: bool,
    /// The call is over, and the task waits for its token.
    pub(super) submitted: bool,
    pub(super) timer: Option<TimerId>,
    pub(super) heartbeat: Option<TimerId>,
}

/// An error on its way through `Retry` and `Catch`.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
    /// Whether it is the error of a branch or iteration.
    pub(super) of_branch: bool,
}

impl Fault {
    pub(super) fn new(error: &str, cause: String) -> Self {
        Fault { error: Some(error.to_owned()), cause: Some(cause), of_branch: false }
    }

    pub(super) fn name(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}

/// The branches of a Parallel state or the iterations of a Map state.
#[derive(Debug)]
pub(super) struct Join {
    /// `None` where it has not begun, or is done.
    pub(super) children: Vec<Option<ThreadId>>,
    pub(super) results: Vec<Option<Arc<Value>>>,
    pub(super) remaining: usize,
    /// For a Map state.
    pub(super) map: Option<MapJoin>,
}

#[derive(Debug)]
pub(super) struct MapJoin {
    pub(super) inputs: Vec<(Arc<Value>, Item)>,
    /// The first iteration that has not begun.
    pub(super) next: usize,
    /// Iterations at once.
    pub(super) limit: usize,
    /// What the next `MapIterationStarted` follows from.
    pub(super) previous: u64,
}

impl Thread {
    pub(super) fn new(machine: MachineId, state: usize, input: Arc<Value>, previous: u64) -> Self {
        Thread {
            parent: None,
            machine,
            state,
            input,
            variables: BTreeMap::new(),
            item: None,
            previous,
            entered: None,
            retry_count: 0,
            token: None,
            retries: Vec::new(),
            phase: Phase::Ready,
            join: None,
            map_run: None,
        }
    }
}

/// The variables that a thread sees: its own, then those of the scopes around it.
pub(super) struct Scope<'e> {
    pub(super) execution: &'e Execution,
    pub(super) thread: ThreadId,
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<&Arc<Value>> {
        let mut at = self.execution.threads.get(&self.thread);
        while let Some(thread) = at {
            if let Some(variable) = thread.variables.get(name) {
                return Some(&variable.value);
            }
            at = thread.parent.and_then(|(parent, _)| self.execution.threads.get(&parent));
        }
        None
    }
}

//! What the expressions of a state see.
//!
//! Follows "Accessing execution data from the Context object" of the Developer Guide. `RedriveCount` and `RedriveTime` do not exist
//! before the first redrive, nor `Map` outside a Map state.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::thread::{Item, Scope, Thread, ThreadId};
use super::{Execution, Turn};
use crate::jsonata::{Environment, Node};

/// What a field sees besides the input and the context object.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    pub(super) result: Option<&'a Arc<Value>>,
    pub(super) error_output: Option<&'a Arc<Value>>,
    /// The item that `ItemSelector` is evaluated for.
    pub(super) item: Option<&'a Item>,
}

impl Execution {
    /// Hands the environment of a thread's current state to `body`.
    pub(super) fn with_environment<T>(
        &self,
        id: ThreadId,
        thread: &Thread,
        seen: Seen<'_>,
        turn: &Turn,
        body: impl FnOnce(&Environment<'_>) -> T,
    ) -> T {
        let mut states = Vec::with_capacity(4);
        states.push(("input", Node::Shared(&thread.input)));
        if let Some(result) = seen.result {
            states.push(("result", Node::Shared(result)));
        }
        if let Some(error_output) = seen.error_output {
            states.push(("errorOutput", Node::Shared(error_output)));
        }
        states.push(match self.tested_context() {
            Some(context) => ("context", Node::Shared(context)),
            None => ("context", self.context(thread, seen.item)),
        });
        let environment = Environment {
            states: Node::Members(states),
            variables: &Scope { execution: self, thread: id },
            at: turn.at,
            random: Rc::clone(&turn.random),
        };
        body(&environment)
    }

    pub(super) fn context<'a>(&'a self, thread: &'a Thread, item: Option<&'a Item>) -> Node<'a> {
        let with = &self.started_with;
        let mut execution = Vec::with_capacity(7);
        execution.push(("Id", Node::Text(with.execution_arn.as_str().into())));
        execution.push(("Input", Node::Shared(&self.input)));
        execution.push(("Name", Node::Text(with.execution_name.as_str().into())));
        execution.push(("RoleArn", Node::Text(with.role_arn.as_str().into())));
        execution.push(("StartTime", Node::Time(self.start_date)));
        if let Some(date) = self.redrive_date {
            execution.push(("RedriveCount", Node::Number(self.redrive_count.into())));
            execution.push(("RedriveTime", Node::Time(date)));
        }
        let mut state = Vec::with_capacity(3);
        if let Some(entered) = thread.entered {
            state.push(("EnteredTime", Node::Time(entered.at)));
        }
        let current = &self.definition.machine(thread.machine).states[thread.state];
        state.push(("Name", Node::Text((&*current.name).into())));
        state.push(("RetryCount", Node::Number(thread.retry_count.into())));
        let machine = vec![
            ("Id", Node::Text(with.state_machine_arn.as_str().into())),
            ("Name", Node::Text(with.state_machine_name.as_str().into())),
        ];
        let mut context = Vec::with_capacity(5);
        context.push(("Execution", Node::Members(execution)));
        context.push(("State", Node::Members(state)));
        context.push(("StateMachine", Node::Members(machine)));
        if let Some(token) = &thread.token {
            context.push(("Task", Node::Members(vec![("Token", Node::Text((&**token).into()))])));
        }
        if let Some(item) = item.or_else(|| self.item(thread)) {
            let mut members = vec![("Index", Node::Number(item.index as u64))];
            if let Some(key) = &item.key {
                members.push(("Key", Node::Text(key.as_str().into())));
            }
            members.push(("Value", Node::Shared(&item.value)));
            context.push(("Map", Node::Members(vec![("Item", Node::Members(members))])));
        }
        Node::Members(context)
    }

    /// The item of the innermost iteration that the thread is in.
    fn item<'a>(&'a self, thread: &'a Thread) -> Option<&'a Item> {
        let mut at = Some(thread);
        while let Some(thread) = at {
            if thread.item.is_some() {
                return thread.item.as_ref();
            }
            at = thread.parent.and_then(|(parent, _)| self.threads.get(&parent));
        }
        None
    }
}

//! The structure of a definition for whoever shows it: states, transitions and nesting, without what is evaluated.

use std::sync::Arc;

use super::Definition;
use super::model::{
    ErrorNames, Machine, MachineId, Mapping, Processor, Retrier, Rule, State, StateKind, Transition,
};
use crate::template::Template;

/// States with a beginning: a definition, a branch, or an item processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineShape {
    /// The name of the first state.
    pub start: Arc<str>,
    /// In the order of the definition.
    pub states: Vec<StateShape>,
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateShape {
    /// Unique within its definition.
    pub name: Arc<str>,
    /// Its `Comment`.
    pub comment: Option<String>,
    /// What it is.
    pub kind: StateType,
    /// Where it may go next, in the order in which the definition says so: next state or rules, then catchers.
    pub transitions: Vec<TransitionShape>,
    /// Whether its machine may end with it.
    pub ends: bool,
    /// Its `Retry`.
    pub retries: Vec<RetryShape>,
    /// The branches of a Parallel state, the one item processor of a Map.
    pub machines: Vec<MachineShape>,
}

/// `Type`, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateType {
    /// Calls something.
    Task {
        /// E.g. `arn:aws:states:::lambda:invoke`.
        resource: Arc<str>,
    },
    /// Passes its input on.
    Pass,
    /// Decides.
    Choice,
    /// Waits for a time.
    Wait,
    /// Ends the machine well.
    Succeed,
    /// Ends the execution with an error.
    Fail,
    /// Runs branches beside each other.
    Parallel,
    /// Runs its processor for each item.
    Map {
        /// Whether each item, or batch of items, is an execution of its own.
        distributed: bool,
    },
}

/// One way from a state to another of the same machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitionShape {
    /// The name of the next state.
    pub to: Arc<str>,
    /// When it is taken.
    pub when: When,
}

/// When a transition is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// When the state is done.
    Next,
    /// When this condition of a Choice is the first that holds; without the delimiters of JSONata.
    Rule(String),
    /// When no rule of a Choice holds.
    Default,
    /// When the state fails with one of these errors and no attempt is left.
    Caught(Vec<String>),
}

/// One retrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryShape {
    /// Its `ErrorEquals`.
    pub errors: Vec<String>,
    /// Its `MaxAttempts`; 0 is never.
    pub max_attempts: u32,
}

impl Definition {
    /// The structure of the definition. Of a Map in Distributed mode it has the states of the child executions, too.
    #[must_use]
    pub fn shape(&self) -> MachineShape {
        self.machine_shape(MachineId::ROOT)
    }

    fn machine_shape(&self, id: MachineId) -> MachineShape {
        let machine = self.machine(id);
        MachineShape {
            start: Arc::clone(&machine.states[machine.start].name),
            states: machine.states.iter().map(|state| self.state_shape(machine, state)).collect(),
        }
    }

    fn state_shape(&self, machine: &Machine, state: &State) -> StateShape {
        let to = |index: usize, when| TransitionShape { to: Arc::clone(&machine.states[index].name), when };
        let mut machines = Vec::new();
        let mut transitions = Vec::new();
        let then = match &state.kind {
            StateKind::Task(task) => Some(task.then),
            StateKind::Pass(then) | StateKind::Wait { then, .. } => Some(*then),
            StateKind::Succeed => Some(Transition::End),
            StateKind::Fail(_) => None,
            StateKind::Choice { rules, default } => {
                transitions.extend(rules.iter().map(|rule| to(rule.next, When::Rule(condition(rule)))));
                transitions.extend(default.map(|index| to(index, When::Default)));
                None
            }
            StateKind::Parallel { branches, then, .. } => {
                machines.extend(branches.iter().map(|id| self.machine_shape(*id)));
                Some(*then)
            }
            StateKind::Map(mapping) => {
                machines.push(match &mapping.processor {
                    Processor::Inline(id) => self.machine_shape(*id),
                    Processor::Distributed(distributed) => distributed.child.shape(),
                });
                Some(mapping.then)
            }
        };
        if let Some(Transition::Next(index)) = then {
            transitions.push(to(index, When::Next));
        }
        transitions
            .extend(state.catch.iter().map(|catcher| to(catcher.next, When::Caught(names(&catcher.errors)))));
        StateShape {
            name: Arc::clone(&state.name),
            comment: state.comment.as_deref().map(str::to_owned),
            kind: kind(&state.kind),
            transitions,
            ends: then == Some(Transition::End),
            retries: state.retry.iter().map(retry).collect(),
            machines,
        }
    }
}

fn kind(kind: &StateKind) -> StateType {
    match kind {
        StateKind::Task(task) => StateType::Task { resource: Arc::clone(&task.resource) },
        StateKind::Pass(_) => StateType::Pass,
        StateKind::Choice { .. } => StateType::Choice,
        StateKind::Wait { .. } => StateType::Wait,
        StateKind::Succeed => StateType::Succeed,
        StateKind::Fail(_) => StateType::Fail,
        StateKind::Parallel { .. } => StateType::Parallel,
        StateKind::Map(Mapping { processor, .. }) => {
            StateType::Map { distributed: matches!(processor, Processor::Distributed(_)) }
        }
    }
}

fn condition(rule: &Rule) -> String {
    match &rule.condition {
        Template::Expression(expression) => expression.source().trim().to_owned(),
        // A condition is a boolean or an expression.
        Template::Literal(value) => value.to_string(),
        Template::Array(_) | Template::Object(_) => String::new(),
    }
}

fn retry(retrier: &Retrier) -> RetryShape {
    RetryShape { errors: names(&retrier.errors), max_attempts: retrier.max_attempts }
}

fn names(errors: &ErrorNames) -> Vec<String> {
    errors.iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::definition::MachineType;

    #[test]
    fn a_shape_has_every_way_out_of_a_state_and_what_is_nested() {
        let asl = json!({"QueryLanguage": "JSONata", "StartAt": "Each", "States": {
            "Each": {"Type": "Map", "Comment": "All of them.",
                "ItemProcessor": {"StartAt": "One?", "States": {
                    "One?": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 1 %}", "Next": "Yes"}],
                        "Default": "No"},
                    "Yes": {"Type": "Succeed"}, "No": {"Type": "Fail"}}},
                "Retry": [{"ErrorEquals": ["Again"], "MaxAttempts": 2}],
                "Catch": [{"ErrorEquals": ["A", "B"], "Next": "Last"}], "Next": "Last"},
            "Last": {"Type": "Pass", "End": true}}});
        let shape = Definition::parse(&asl.to_string(), MachineType::Standard).unwrap().shape();
        assert_eq!(&*shape.start, "Each");
        let each = &shape.states[0];
        assert_eq!(each.comment.as_deref(), Some("All of them."));
        assert_eq!(each.kind, StateType::Map { distributed: false });
        let ways: Vec<_> = each.transitions.iter().map(|way| (&*way.to, way.when.clone())).collect();
        assert_eq!(ways, [("Last", When::Next), ("Last", When::Caught(vec!["A".into(), "B".into()]))]);
        assert_eq!(each.retries, [RetryShape { errors: vec!["Again".into()], max_attempts: 2 }]);
        assert!(!each.ends && shape.states[1].ends);
        let inner = &each.machines[0];
        let ways: Vec<_> =
            inner.states[0].transitions.iter().map(|way| (&*way.to, way.when.clone())).collect();
        assert_eq!(ways, [("Yes", When::Rule("$states.input = 1".into())), ("No", When::Default)]);
        assert_eq!(inner.states.iter().map(|state| state.ends).collect::<Vec<_>>(), [false, true, false]);
    }
}

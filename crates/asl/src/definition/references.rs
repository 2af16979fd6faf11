//! Which state reads which variables: `variableReferences` of `DescribeStateMachine`.

use std::collections::{BTreeMap, BTreeSet};

use super::Definition;
use super::model::{Mapping, Processor, Seconds, State, StateKind, Waiting};
use crate::template::Template;

impl Definition {
    /// The variables that each state reads, by the state's name; a state that reads none is left
    /// out. A function's name is not a variable unless a state assigns it.
    #[must_use]
    pub fn variable_references(&self) -> BTreeMap<String, BTreeSet<String>> {
        let states = self.states();
        let assigned: BTreeSet<&str> = states.iter().flat_map(|state| assigned(state)).collect();
        let mut references = BTreeMap::new();
        for state in states {
            let mut names = BTreeSet::new();
            for template in templates(state) {
                template.variables(&mut names);
            }
            names.retain(|name| assigned.contains(name.as_str()) || !crate::jsonata::is_function(name));
            if !names.is_empty() {
                references.insert(state.name.to_string(), names);
            }
        }
        references
    }
}

fn assigned(state: &State) -> impl Iterator<Item = &str> {
    let rules = match &state.kind {
        StateKind::Choice { rules, .. } => rules.as_slice(),
        _ => &[],
    };
    let catches = state.catch.iter().flat_map(|catcher| &catcher.assign);
    let all = state.assign.iter().chain(catches).chain(rules.iter().flat_map(|rule| &rule.assign));
    all.map(|(name, _)| &**name)
}

/// Every field of a state that can hold an expression.
fn templates(state: &State) -> Vec<&Template> {
    let mut all: Vec<&Template> = Vec::new();
    all.extend(&state.output);
    all.extend(state.assign.iter().map(|(_, template)| template));
    for catcher in &state.catch {
        all.extend(&catcher.output);
        all.extend(catcher.assign.iter().map(|(_, template)| template));
    }
    match &state.kind {
        StateKind::Task(task) => {
            all.extend(&task.arguments);
            let seconds = [&task.timeout, &task.heartbeat];
            all.extend(seconds.into_iter().flatten().map(|Seconds(template)| template));
        }
        StateKind::Choice { rules, .. } => {
            for rule in rules {
                all.push(&rule.condition);
                all.extend(&rule.output);
                all.extend(rule.assign.iter().map(|(_, template)| template));
            }
        }
        StateKind::Wait {
            until: Waiting::Seconds(Seconds(template)) | Waiting::Timestamp(template), ..
        } => {
            all.push(template);
        }
        StateKind::Fail(failing) => {
            all.extend(&failing.error);
            all.extend(&failing.cause);
        }
        StateKind::Parallel { arguments, .. } => all.extend(arguments),
        StateKind::Map(mapping) => map_templates(mapping, &mut all),
        StateKind::Pass(_) | StateKind::Succeed => {}
    }
    all
}

fn map_templates<'s>(mapping: &'s Mapping, all: &mut Vec<&'s Template>) {
    all.extend(&mapping.items);
    all.extend(&mapping.selector);
    all.extend(&mapping.max_concurrency);
    all.extend(&mapping.tolerated_count);
    all.extend(&mapping.tolerated_percentage);
    let Processor::Distributed(distributed) = &mapping.processor else { return };
    if let Some(reader) = &distributed.reader {
        all.extend([&reader.bucket, &reader.key]);
        all.extend(&reader.max_items);
    }
    if let Some(batcher) = &distributed.batcher {
        all.extend(&batcher.max_items);
        all.extend(&batcher.max_bytes);
        all.extend(&batcher.input);
    }
    if let Some((bucket, prefix)) = &distributed.writer.destination {
        all.push(bucket);
        all.extend(prefix);
    }
}

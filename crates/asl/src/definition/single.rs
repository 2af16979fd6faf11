//! One state taken out of its machine, or given alone, as a definition that begins with it: for
//! `TestState`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Definition, DefinitionError, DefinitionErrors, MachineType, ParseOptions};

/// What AWS calls a state that is given without a name.
const NAMELESS: &str = "StateName";

/// A state that can be run by itself.
#[derive(Debug)]
pub struct SingleState {
    /// Begins with the state; what it leads to are ends.
    pub definition: Definition,
    /// As it was given.
    pub state: Value,
    /// Its name.
    pub name: String,
}

fn fault(message: String) -> DefinitionErrors {
    DefinitionErrors(vec![DefinitionError {
        code: "SCHEMA_VALIDATION_FAILED",
        path: "/".to_owned(),
        message,
    }])
}

impl Definition {
    /// Reads the definition of one state, or of a state machine and the name of one of its states,
    /// nested ones included. `None` when the machine has no such state.
    ///
    /// # Errors
    /// Every fault of the machine or state.
    pub fn parse_state(
        asl_json: &str,
        name: Option<&str>,
        options: &ParseOptions<'_>,
    ) -> Result<Option<SingleState>, DefinitionErrors> {
        let document: Value = serde_json::from_str(asl_json).map_err(|error| {
            DefinitionErrors(vec![DefinitionError {
                code: "INVALID_JSON_DESCRIPTION",
                path: "/".to_owned(),
                message: format!("not a JSON document: {error}"),
            }])
        })?;
        if !document.is_object() {
            return Err(fault("must be an object".to_owned()));
        }
        let (state, name) = match name {
            Some(name) => {
                Definition::parse_with(asl_json, MachineType::Standard, options)?;
                let Some(state) = find(&document, name) else { return Ok(None) };
                (state.clone(), name.to_owned())
            }
            None => (document.clone(), NAMELESS.to_owned()),
        };
        let mut machine = json!({"StartAt": name});
        for owner in [&document, &state] {
            if let Some(language) = owner.get("QueryLanguage") {
                machine["QueryLanguage"] = language.clone();
            }
        }
        let mut states: Map<String, Value> = targets(&state)
            .into_iter()
            .map(|target| (target.to_owned(), json!({"Type": "Succeed"})))
            .collect();
        states.insert(name.clone(), state.clone());
        machine["States"] = Value::Object(states);
        let definition = Definition::parse_with(&machine.to_string(), MachineType::Standard, options)?;
        Ok(Some(SingleState { definition, state, name }))
    }
}

/// The state of this name, wherever it is.
fn find<'v>(machine: &'v Value, name: &str) -> Option<&'v Value> {
    let states = machine.get("States")?.as_object()?;
    if let Some(state) = states.get(name) {
        return Some(state);
    }
    states.values().find_map(|state| {
        let branches = state.get("Branches").and_then(Value::as_array).into_iter().flatten();
        branches.chain(state.get("ItemProcessor")).find_map(|machine| find(machine, name))
    })
}

/// The states that a state leads to.
fn targets(state: &Value) -> BTreeSet<&str> {
    let rules = ["Choices", "Catch"].into_iter().filter_map(|field| state.get(field)?.as_array()).flatten();
    let next = rules.chain([state]).filter_map(|owner| owner.get("Next")?.as_str());
    next.chain(state.get("Default").and_then(Value::as_str)).collect()
}

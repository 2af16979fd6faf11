//! The ASL files against everything that must agree with them: the topology, the error taxonomy, and the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_asl::{Definition, MachineType};
use sluice_core::Class;

/// Error names that AWS documents for a task (Step Functions Developer Guide, "Handling errors in Step Functions
/// workflows"; Lambda's in "Invoke Lambda functions with Step Functions"), as far as our files may use them.
const AWS_ERROR_NAMES: &[&str] = &[
    "States.ALL",
    "States.DataLimitExceeded",
    "States.HeartbeatTimeout",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "StepFunctions.ExecutionAlreadyExistsException",
];

const LAMBDA: &str = "arn:aws:states:::lambda:invoke";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../state-machines")
}

fn topology() -> Value {
    let text = std::fs::read_to_string(folder().join("topology.json")).expect("topology.json");
    serde_json::from_str(&text).expect("topology.json is JSON")
}

fn items<'a>(topology: &'a Value, list: &str) -> &'a [Value] {
    topology[list].as_array().unwrap_or_else(|| panic!("topology.json has the list {list}"))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value} is a string"))
}

struct Machine {
    id: String,
    kind: MachineType,
    source: String,
    definition: Value,
}

fn machines() -> Vec<Machine> {
    let machines: Vec<Machine> = items(&topology(), "stateMachines")
        .iter()
        .map(|machine| {
            let source =
                std::fs::read_to_string(folder().join(text(machine, "definition"))).expect("its file");
            let definition = serde_json::from_str(&source).expect("it is JSON");
            let kind = match text(machine, "type") {
                "EXPRESS" => MachineType::Express,
                "STANDARD" => MachineType::Standard,
                other => panic!("{other} is no type of state machine"),
            };
            Machine { id: text(machine, "id").to_owned(), kind, source, definition }
        })
        .collect();
    assert!(machines.len() >= 4);
    machines
}

/// Every list of states of a definition: its own, and those within Parallel and Map.
fn scopes<'a>(definition: &'a Value, into: &mut Vec<&'a Value>) {
    into.push(definition);
    let states = definition["States"].as_object().expect("States");
    for state in states.values() {
        for branch in state["Branches"].as_array().into_iter().flatten() {
            scopes(branch, into);
        }
        if state["ItemProcessor"].is_object() {
            scopes(&state["ItemProcessor"], into);
        }
    }
}

/// `(machine and state, state)`, nested ones included.
fn states(machines: &[Machine]) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for machine in machines {
        let mut all = Vec::new();
        scopes(&machine.definition, &mut all);
        for scope in all {
            for (name, state) in scope["States"].as_object().expect("States") {
                found.push((format!("{}/{name}", machine.id), state));
            }
        }
    }
    found
}

fn tasks(machines: &[Machine]) -> Vec<(String, &Value)> {
    let tasks: Vec<_> = states(machines).into_iter().filter(|(_, state)| state["Type"] == "Task").collect();
    assert!(tasks.len() >= 8, "{} tasks", tasks.len());
    tasks
}

fn list<'a>(state: &'a Value, member: &str) -> Vec<&'a Value> {
    state[member].as_array().into_iter().flatten().collect()
}

/// Names in the `ErrorEquals` of one retrier or catcher.
fn names(rule: &Value) -> Vec<&str> {
    rule["ErrorEquals"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_file_is_in_the_topology_and_every_entry_has_its_file() {
    let listed: BTreeSet<String> = items(&topology(), "stateMachines")
        .iter()
        .map(|machine| text(machine, "definition").to_owned())
        .collect();
    let present: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("state-machines/")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".asl.json"))
        .collect();
    assert_eq!(listed, present);
}

#[test]
fn placeholders_and_the_topology_name_the_same_things() {
    let topology = topology();
    let ids = |list: &str| -> BTreeSet<String> {
        items(&topology, list).iter().map(|item| text(item, "id").to_owned()).collect()
    };
    let suffixes =
        [("functions", "FunctionArn"), ("stateMachines", "StateMachineArn"), ("queues", "QueueUrl")];
    let mut offered = BTreeMap::new();
    for (list, suffix) in suffixes {
        for id in ids(list) {
            offered.insert(format!("{id}{suffix}"), (list, id));
        }
    }
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    for machine in machines() {
        for placeholder in sluice_asl::placeholders(&machine.source) {
            let Some((list, id)) = offered.get(&placeholder) else {
                panic!("{} has ${{{placeholder}}}, which the topology does not offer", machine.id)
            };
            used.insert((list, id.clone()));
        }
    }
    // The topology itself uses some: what the stream, routes and schedules call, what the rules start, and what the API fronts.
    for stream in items(&topology, "streams") {
        used.insert(("functions", text(stream, "function").to_owned()));
    }
    for route in items(&topology, "routes") {
        used.insert(("functions", text(route, "function").to_owned()));
        used.insert(("queues", text(route, "queue").to_owned()));
    }
    let mut dead_letters = BTreeSet::new();
    for queue in items(&topology, "queues").iter().filter(|queue| queue.get("redrive").is_some()) {
        let dead = text(&queue["redrive"], "queue").to_owned();
        // Then a move of its dead letters has one destination (ADR 0050).
        assert!(dead_letters.insert(dead.clone()), "{dead} serves two queues");
        used.insert(("queues", dead));
    }
    for schedule in items(&topology, "schedules") {
        used.insert(("functions", text(schedule, "function").to_owned()));
    }
    for rule in items(&topology, "rules") {
        used.insert(("queues", text(&rule["target"], "queue").to_owned()));
    }
    for pipe in items(&topology, "pipes") {
        used.insert(("queues", text(pipe, "queue").to_owned()));
        used.insert(("stateMachines", text(pipe, "stateMachine").to_owned()));
    }
    used.insert(("stateMachines", "Intake".to_owned()));
    // What the API fronts at `/v1/uploads`.
    used.insert(("functions", "Upload".to_owned()));
    // Started by a person: `sluice replay` and `sluice operations`.
    used.insert(("stateMachines", "Replay".to_owned()));
    used.insert(("stateMachines", "Operate".to_owned()));
    let all: BTreeSet<(&str, String)> =
        suffixes.iter().flat_map(|(list, _)| ids(list).into_iter().map(move |id| (*list, id))).collect();
    assert_eq!(used, all, "what the topology lists and what is used must be the same");
}

#[test]
fn the_engine_takes_every_file() {
    for machine in machines() {
        let values = sluice_asl::placeholders(&machine.source)
            .into_iter()
            .map(|name| (name, "arn:aws:states:us-east-1:000000000000:stateMachine:x".to_owned()))
            .collect();
        let source = sluice_asl::substitute(&machine.source, &values).expect("all are given");
        if let Err(errors) = Definition::parse(&source, machine.kind) {
            panic!("{}: {errors}", machine.id);
        }
    }
}

#[test]
fn every_state_can_be_reached() {
    for machine in machines() {
        let mut all = Vec::new();
        scopes(&machine.definition, &mut all);
        for scope in all {
            let states = scope["States"].as_object().expect("States");
            let mut reached = BTreeSet::new();
            let mut next = vec![text(scope, "StartAt")];
            while let Some(name) = next.pop() {
                let state =
                    states.get(name).unwrap_or_else(|| panic!("{}: {name} does not exist", machine.id));
                if reached.insert(name) {
                    next.extend([&state["Next"], &state["Default"]].into_iter().filter_map(Value::as_str));
                    for rule in list(state, "Choices").into_iter().chain(list(state, "Catch")) {
                        next.push(text(rule, "Next"));
                    }
                }
            }
            let present: BTreeSet<&str> = states.keys().map(String::as_str).collect();
            assert_eq!(reached, present, "{}", machine.id);
        }
    }
}

#[test]
fn every_task_is_bounded_and_retried() {
    let machines = machines();
    for (place, task) in tasks(&machines) {
        let seconds =
            task["TimeoutSeconds"].as_u64().unwrap_or_else(|| panic!("{place} has no TimeoutSeconds"));
        assert!((1..=60).contains(&seconds), "{place} waits {seconds} s");
        let retries = list(task, "Retry");
        assert!(!retries.is_empty(), "{place} has no Retry");
        for retry in retries {
            let attempts =
                retry["MaxAttempts"].as_u64().unwrap_or_else(|| panic!("{place}: {retry} is not bounded"));
            if attempts > 0 {
                assert!(attempts <= 10, "{place}: {attempts} attempts");
                assert_eq!(retry["JitterStrategy"], "FULL", "{place}: {retry}");
                assert!(retry["MaxDelaySeconds"].is_u64(), "{place}: {retry}");
            }
        }
    }
}

#[test]
fn a_function_is_given_no_longer_than_its_task_waits() {
    let topology = topology();
    let timeouts: BTreeMap<String, u64> = items(&topology, "functions")
        .iter()
        .map(|function| {
            let seconds = function["timeoutSeconds"].as_u64().expect("timeoutSeconds");
            (format!("${{{}FunctionArn}}", text(function, "id")), seconds)
        })
        .collect();
    let machines = machines();
    for (place, task) in tasks(&machines).into_iter().filter(|(_, task)| task["Resource"] == LAMBDA) {
        let function = text(&task["Arguments"], "FunctionName");
        let task_seconds = task["TimeoutSeconds"].as_u64().expect("TimeoutSeconds");
        assert!(timeouts[function] <= task_seconds, "{place} gives up while {function} may still work");
    }
}

#[test]
fn error_names_are_ours_or_amazons() {
    let ours: BTreeSet<&str> = Class::ALL.iter().map(|class| class.error_type()).collect();
    let machines = machines();
    for (place, state) in states(&machines) {
        for rule in list(state, "Retry").into_iter().chain(list(state, "Catch")) {
            for name in names(rule) {
                assert!(
                    ours.contains(name) || AWS_ERROR_NAMES.contains(&name),
                    "{place} matches {name}, which nobody raises"
                );
            }
        }
    }
}

#[test]
fn what_is_retryable_is_retried_and_nothing_else_of_ours() {
    let machines = machines();
    for (place, task) in tasks(&machines).into_iter().filter(|(_, task)| task["Resource"] == LAMBDA) {
        let retried: BTreeSet<&str> = list(task, "Retry").into_iter().flat_map(names).collect();
        for class in Class::ALL {
            let expected = class == Class::Retryable;
            assert_eq!(retried.contains(class.error_type()), expected, "{place} and {}", class.error_type());
        }
        assert!(
            !retried.contains("States.ALL") && !retried.contains("States.TaskFailed"),
            "{place} retries bad data"
        );
        for name in [
            "ServiceException",
            "AWSLambdaException",
            "SdkClientException",
            "ClientExecutionTimeoutException",
        ] {
            assert!(
                retried.contains(format!("Lambda.{name}").as_str()),
                "{place} does not retry Lambda.{name}"
            );
        }
        for name in [
            "Lambda.TooManyRequestsException",
            "Lambda.Unknown",
            "Runtime.ExitError",
            "Sandbox.Timedout",
            "States.Timeout",
        ] {
            assert!(retried.contains(name), "{place} does not retry {name}");
        }
    }
}

/// Every class has somewhere to go: a `Normalize` that fails, for whatever reason, ends in quarantine.
#[test]
fn every_failure_of_normalize_is_caught() {
    let machines = machines();
    let mut seen = 0;
    for (place, task) in tasks(&machines) {
        if task["Arguments"]["FunctionName"] == "${NormalizeFunctionArn}" {
            seen += 1;
            let caught: BTreeSet<&str> = list(task, "Catch").into_iter().flat_map(names).collect();
            let every_class = Class::ALL.iter().all(|class| caught.contains(class.error_type()));
            assert!(caught.contains("States.ALL") || every_class, "{place} catches only {caught:?}");
        }
    }
    assert_eq!(seen, 3, "normalize, recover and replay");
}

/// The name makes recovery idempotent and tells replays apart: the same expression wherever it is made.
#[test]
fn recovery_is_started_under_the_same_name_everywhere() {
    let machines = machines();
    let states = states(&machines);
    let named = |(_, state): &(String, &Value)| state["Assign"]["name"].as_str().map(str::to_owned);
    let starts =
        |(_, state): &&(String, &Value)| state["Arguments"]["StateMachineArn"] == "${RecoverStateMachineArn}";
    let mut names: Vec<String> = states.iter().filter_map(named).collect();
    let started = states.iter().filter(starts).map(|(_, task)| text(&task["Arguments"], "Name").to_owned());
    // `start-recover` takes what `normalize` has written.
    names.extend(started.filter(|name| name != "{% $parse($states.input.body).name %}"));
    assert_eq!(names.len(), 2, "normalize and replay");
    assert_eq!(names[0], names[1]);
    assert_eq!(states.iter().filter(starts).count(), 2, "start-recover and replay");
}

/// A message is not received again while its execution may still work on it.
#[test]
fn a_pipe_hides_messages_for_longer_than_its_machine_may_run() {
    let topology = topology();
    let machines = machines();
    for pipe in items(&topology, "pipes") {
        let queue =
            items(&topology, "queues").iter().find(|it| it["id"] == pipe["queue"]).expect("its queue");
        let machine = machines.iter().find(|it| pipe["stateMachine"] == it.id).expect("its machine");
        let seconds = machine.definition["TimeoutSeconds"].as_u64().expect("it is bounded");
        let hidden = queue["visibilityTimeoutSeconds"].as_u64().expect("its visibility timeout");
        assert!(seconds * 2 <= hidden && hidden <= 300, "{}: {seconds} s of {hidden} s", machine.id);
    }
}

/// What comes by a pipe and fails for no fault of its own comes again; what is wrong with an event is told to a person.
#[test]
fn only_faults_of_an_event_send_it_to_quarantine_unasked() {
    let machines = machines();
    for id in ["Normalize/Normalize", "Replay/Normalize"] {
        let states = states(&machines);
        let (_, state) = states.iter().find(|(place, _)| place == id).expect(id);
        let catches = list(state, "Catch");
        assert_eq!(names(catches[0]), ["Rejected", "Misconfigured"], "{id}");
        assert_eq!(names(catches[1]), ["States.ALL"], "{id}");
        let elsewhere = text(catches[1], "Next");
        assert!(["ComesAgain", "StillFails"].contains(&elsewhere), "{id}: {elsewhere}");
    }
}

/// A Distributed Map says how much may run at once and how much may fail, and writes down what became of each item.
#[test]
fn every_distributed_map_is_bounded_and_leaves_its_results() {
    let machines = machines();
    let mut seen = 0;
    for (place, state) in states(&machines) {
        if state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" {
            seen += 1;
            for field in
                ["Label", "MaxConcurrency", "ToleratedFailurePercentage", "ItemReader", "ResultWriter"]
            {
                assert!(!state[field].is_null(), "{place} has no {field}");
            }
        }
    }
    assert_eq!(seen, 1, "replay");
}

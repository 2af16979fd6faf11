//! The three state machines of `state-machines/`, as they are deployed, driven through what can happen to them.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_asl::{
    ApplyError, Definition, Effect, Execution, Input, InputKind, MachineType, NotRedrivable, ScheduledTask,
    Start, Status, Timestamp, placeholders, substitute,
};

const STATE_MACHINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../state-machines");

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{STATE_MACHINES}/{file}")).unwrap()
}

/// The placeholders' values by the rule of the local cloud.
fn values() -> BTreeMap<String, String> {
    let topology: Value = serde_json::from_str(&read("topology.json")).unwrap();
    let each = |list: &str, suffix: &str, value: &dyn Fn(&str) -> String| -> Vec<(String, String)> {
        let entries = topology[list].as_array().unwrap();
        entries
            .iter()
            .map(|entry| {
                (format!("{}{suffix}", entry["id"].as_str().unwrap()), value(entry["name"].as_str().unwrap()))
            })
            .collect()
    };
    let functions = each("functions", "FunctionArn", &|name| {
        format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
    });
    let machines = each("stateMachines", "StateMachineArn", &|name| {
        format!("arn:aws:states:us-east-1:000000000000:stateMachine:{name}")
    });
    let queues = each("queues", "QueueUrl", &|name| format!("http://127.0.0.1:8788/000000000000/{name}"));
    functions.into_iter().chain(machines).chain(queues).collect()
}

fn load(id: &str) -> Arc<Definition> {
    let topology: Value = serde_json::from_str(&read("topology.json")).unwrap();
    let machine = topology["stateMachines"]
        .as_array()
        .unwrap()
        .iter()
        .find(|machine| machine["id"] == id)
        .unwrap()
        .clone();
    let template = read(machine["definition"].as_str().unwrap());
    let mut values = values();
    let wanted = placeholders(&template);
    values.retain(|name, _| wanted.contains(name));
    let machine_type: MachineType = serde_json::from_value(machine["type"].clone()).unwrap();
    Arc::new(Definition::parse(&substitute(&template, &values).unwrap(), machine_type).unwrap())
}

/// An execution with its journal, checked against its replay after every input.
struct Run {
    definition: Arc<Definition>,
    execution: Execution,
    journal: Vec<Input>,
    effects: Vec<Effect>,
    now: i64,
}

impl Run {
    fn start(id: &str, input: Value) -> Run {
        let definition = load(id);
        let start = InputKind::Start(Start { input, ..Start::example() });
        let now = 1_795_249_800_000;
        let input = Input { at: Timestamp::from_millis(now), seed: 1, kind: start };
        let (execution, effects) = Execution::start(Arc::clone(&definition), input.clone()).unwrap();
        Run { definition, execution, journal: vec![input], effects, now }
    }

    fn apply(&mut self, kind: InputKind) {
        self.now += 10;
        let input = Input { at: Timestamp::from_millis(self.now), seed: self.now as u64, kind };
        // The journal is text: what comes back from it must be the same.
        let written = serde_json::to_string(&input).unwrap();
        let input: Input = Input::from_json(&written).unwrap();
        self.effects = self.execution.apply(input.clone()).unwrap();
        self.journal.push(input);
        let replayed = Execution::replay(Arc::clone(&self.definition), self.journal.clone()).unwrap();
        assert_eq!(replayed.status(), self.execution.status());
        assert_eq!(replayed.pending(), self.execution.pending());
        assert_eq!(replayed.history(), self.execution.history());
    }

    fn tasks(&self) -> Vec<ScheduledTask> {
        let tasks = self.execution.pending().into_iter().filter_map(|effect| match effect {
            Effect::ScheduleTask(task) => Some(task),
            _ => None,
        });
        tasks.collect()
    }

    fn task(&self) -> ScheduledTask {
        let mut tasks = self.tasks().into_iter();
        let task = tasks.next().unwrap_or_else(|| panic!("no task: {:?}", self.execution.status()));
        assert!(tasks.next().is_none());
        task
    }

    fn expect(&self, state: &str) -> ScheduledTask {
        let task = self.task();
        assert_eq!(&*task.state_name, state);
        task
    }

    fn succeed(&mut self, state: &str, output: Value) {
        let task = self.expect(state).task;
        self.apply(InputKind::TaskSucceeded { task, output });
    }

    /// As the Lambda integration answers.
    fn answer(&mut self, state: &str, payload: Value) {
        self.succeed(state, json!({"ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200}));
    }

    fn fail(&mut self, state: &str, error: &str, cause: &str) {
        let task = self.expect(state).task;
        self.apply(InputKind::TaskFailed { task, error: error.to_owned(), cause: Some(cause.to_owned()) });
    }

    /// The next timer that is not the execution's own, at its time.
    fn fire(&mut self) {
        let timers = self.execution.pending().into_iter().filter_map(|effect| match effect {
            Effect::SetTimer { timer, at } => Some((at, timer)),
            _ => None,
        });
        let (at, timer) = timers.min().unwrap();
        self.now = self.now.max(at.as_millis() - 10);
        self.apply(InputKind::TimerFired { timer });
    }

    fn output(&self) -> Value {
        match self.execution.status() {
            Status::Succeeded { output } => Value::clone(output),
            other => panic!("{other:?}"),
        }
    }

    fn types(&self) -> Vec<&'static str> {
        self.execution.history().iter().map(|event| event.event_type.name()).collect()
    }

    fn visited(&self) -> Vec<String> {
        let entered =
            self.execution.history().iter().filter(|event| event.event_type.name().ends_with("StateEntered"));
        entered
            .map(|event| {
                serde_json::to_value(event).unwrap()["stateEnteredEventDetails"]["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}

fn request() -> Value {
    json!({"method": "POST", "path": "/v1/events", "sourceIp": "127.0.0.1", "requestId": "r-1", "headers": {"x-api-key": "k"}, "body": "eyJhIjogMTIzNDU2Nzg5MDEyMzQ1Njc4OTAuMH0="})
}

#[test]
fn placeholders_and_topology_agree() {
    let files = ["intake.asl.json", "normalize.asl.json", "start-recover.asl.json", "recover.asl.json"];
    let wanted: BTreeSet<String> = files.iter().flat_map(|file| placeholders(&read(file))).collect();
    let given: BTreeSet<String> = values().into_keys().collect();
    assert_eq!(wanted.difference(&given).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_errors_that_are_matched_are_known() {
    let known = [
        "Retryable",
        "Rejected",
        "Misconfigured",
        "StepFunctions.ExecutionAlreadyExistsException",
        "Sandbox.Timedout",
        "Runtime.ExitError",
    ];
    for id in ["Intake", "Normalize", "StartRecover", "Recover"] {
        for name in load(id).error_names() {
            assert!(
                known.contains(&name) || name.starts_with("Lambda.") || name.starts_with("States."),
                "{id}: {name}"
            );
        }
    }
}

/// A body that is too large for an input is told by its reference, to both states.
#[test]
fn intake_hands_on_a_staged_body() {
    let mut input = request();
    input["body"] = "".into();
    input["staged"] = json!({"bucket": "sluice-uploads", "key": "k", "bytes": 5, "sha256": "s"});
    let mut run = Run::start("Intake", input.clone());
    assert_eq!(run.expect("Accept").arguments["Payload"], input);
    run.answer("Accept", json!({"accepted": {"ingestId": "01J", "vendorId": "v"}}));
    assert_eq!(run.expect("PersistRaw").arguments["Payload"]["staged"], input["staged"]);
}

#[test]
fn intake_accepts() {
    let mut run = Run::start("Intake", request());
    let task = run.expect("Accept");
    assert_eq!(&*task.resource, "arn:aws:states:::lambda:invoke");
    assert_eq!(task.timeout_seconds, Some(5));
    assert_eq!(
        *task.arguments,
        json!({"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:sluice-accept", "Payload": request()})
    );
    run.answer("Accept", json!({"accepted": {"ingestId": "01J", "vendorId": "v"}}));
    let task = run.expect("PersistRaw");
    assert_eq!(
        task.arguments["Payload"],
        json!({"accepted": {"ingestId": "01J", "vendorId": "v"}, "body": request()["body"], "staged": null})
    );
    run.answer("PersistRaw", json!({"answer": {"statusCode": 202, "headers": {}, "body": "{}"}}));
    assert_eq!(run.output(), json!({"statusCode": 202, "headers": {}, "body": "{}"}));
    assert_eq!(run.visited(), ["Accept", "IsAnswered?", "PersistRaw", "Answer"]);
    assert!(run.execution.pending().is_empty());
    assert_eq!(run.effects.last(), Some(&Effect::Finished));
}

#[test]
fn intake_answers_a_duplicate_at_once() {
    let mut run = Run::start("Intake", request());
    run.answer(
        "Accept",
        json!({"answer": {"statusCode": 200, "headers": {}, "body": "{\"status\":\"DUPLICATE\"}"}}),
    );
    assert_eq!(run.output()["statusCode"], 200);
    assert_eq!(run.visited(), ["Accept", "IsAnswered?", "Answer"]);
}

#[test]
fn intake_retries_what_may_pass_and_fails_on_the_rest() {
    let mut run = Run::start("Intake", request());
    for retry in 0..2 {
        assert_eq!(run.expect("Accept").retry_count, retry);
        run.fail("Accept", "Retryable", "{}");
        run.fire();
    }
    run.fail("Accept", "Lambda.Unknown", "out of memory");
    run.fire();
    assert_eq!(run.expect("Accept").retry_count, 3, "each retrier has its own count");
    run.fail("Accept", "Retryable", "{\"code\":\"throttled\"}");
    let failed =
        Status::Failed { error: Some("Retryable".into()), cause: Some("{\"code\":\"throttled\"}".into()) };
    assert_eq!(*run.execution.status(), failed);

    let mut run = Run::start("Intake", request());
    run.fail("Accept", "Misconfigured", "no table");
    assert_eq!(run.execution.status().name(), "FAILED");
    assert_eq!(run.execution.redrivable(Timestamp::from_millis(run.now)), Err(NotRedrivable::Express));
}

#[test]
fn intake_times_out() {
    let mut run = Run::start("Intake", request());
    run.fire();
    assert!(run.effects.iter().any(|effect| matches!(effect, Effect::CancelTask { .. })));
    run.fire();
    assert_eq!(run.expect("Accept").retry_count, 1, "States.Timeout of the task is retried once");
    run.fire();
    assert_eq!(*run.execution.status(), Status::Failed { error: Some("States.Timeout".into()), cause: None });

    let mut run = Run::start("Intake", request());
    let timers = run.execution.pending();
    let Some(Effect::SetTimer { timer, at }) = timers
        .iter()
        .find(|effect| matches!(effect, Effect::SetTimer { at, .. } if at.as_millis() == 1_795_249_825_000))
    else {
        panic!("{timers:?}")
    };
    run.now = at.as_millis();
    run.apply(InputKind::TimerFired { timer: *timer });
    assert_eq!(run.execution.status().name(), "TIMED_OUT", "25 seconds for the machine");
}

#[test]
fn intake_hands_on_the_largest_body() {
    let mut request = request();
    let body = "A".repeat(250_000);
    request["body"] = json!(body);
    let mut run = Run::start("Intake", request);
    run.answer("Accept", json!({"accepted": {}}));
    assert_eq!(run.expect("PersistRaw").arguments["Payload"]["body"], json!(body));
}

fn accepted() -> Value {
    json!({"ingestId": "01JINGEST", "vendorId": "vendorA", "rawRef": {"bucket": "sluice-raw", "key": "k"}})
}

/// Messages as a pipe hands them over.
fn batch(ids: &[&str]) -> Value {
    let message = |id: &&str| {
        let mut event = accepted();
        event["ingestId"] = json!(id);
        json!({"messageId": format!("m-{id}"), "body": event.to_string(), "attributes": {"ApproximateReceiveCount": "1"}})
    };
    Value::Array(ids.iter().map(message).collect())
}

fn none_comes_again() -> Value {
    json!({"batchItemFailures": []})
}

#[test]
fn normalize_succeeds() {
    let mut run = Run::start("Normalize", batch(&["01JINGEST"]));
    assert_eq!(run.expect("Normalize").arguments["Payload"], accepted());
    run.answer("Normalize", json!({"status": "NORMALIZED"}));
    assert_eq!(run.output(), none_comes_again());
    assert_eq!(run.visited(), ["NormalizeBatch", "Normalize", "Normalized"]);
}

#[test]
fn normalize_quarantines_what_is_rejected_and_hands_it_to_recover() {
    for error in ["Rejected", "Misconfigured"] {
        let mut run = Run::start("Normalize", batch(&["01JINGEST"]));
        run.fail("Normalize", error, "{\"code\":\"schema\"}");
        let failed = json!({"Error": error, "Cause": "{\"code\":\"schema\"}"});
        assert_eq!(
            run.expect("Quarantine").arguments["Payload"],
            json!({
                "operation": "quarantine", "event": accepted(), "error": failed, "redriveCount": 0,
                "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:vendorA.01JINGEST-0",
            })
        );
        run.answer(
            "Quarantine",
            json!({"status": "QUARANTINED", "deadLetter": {"ingestId": "01JINGEST"}, "failure": waiting()}),
        );
        assert_eq!(run.expect("SendToDlq").arguments["MessageBody"], json!({"ingestId": "01JINGEST"}));
        run.succeed("SendToDlq", json!({"MessageId": "m"}));
        assert_eq!(
            *run.expect("HandToRecover").arguments,
            json!({
                "QueueUrl": "http://127.0.0.1:8788/000000000000/sluice-recover",
                "MessageBody": {
                    "name": "vendorA.01JINGEST-0",
                    "input": {"event": accepted(), "error": failed, "failure": waiting()},
                },
            })
        );
        run.succeed("HandToRecover", json!({"MessageId": "m"}));
        assert_eq!(run.output(), none_comes_again());
    }
}

#[test]
fn normalize_names_recovery_by_vendor_event_and_replay() {
    let mut event = accepted();
    event["replay"] = json!(2);
    event["vendorId"] = json!("v".repeat(60));
    let mut run = Run::start("Normalize", json!([{"messageId": "m", "body": event.to_string()}]));
    run.fail("Normalize", "Rejected", "{}");
    let arn = run.expect("Quarantine").arguments["Payload"]["executionArn"].clone();
    assert!(
        arn.as_str().unwrap().ends_with(&format!(":sluice-recover:{}.01JINGEST-2", "v".repeat(40))),
        "{arn}"
    );
    // It was normalized meanwhile.
    run.answer("Quarantine", json!({"status": "NORMALIZED"}));
    assert_eq!(run.output(), none_comes_again());
    assert_eq!(run.visited().last().unwrap(), "NothingToRecover");
}

#[test]
fn normalize_sends_back_what_may_pass_by_itself_and_nothing_else_of_its_batch() {
    for (error, attempts) in
        [("Retryable", 4), ("Lambda.TooManyRequestsException", 7), ("Sandbox.Timedout", 2), ("Whatever", 1)]
    {
        let mut run = Run::start("Normalize", batch(&["01A", "01B", "01C"]));
        let mut tasks: Vec<ScheduledTask> = run.tasks();
        assert_eq!(tasks.len(), 3);
        let failing = tasks.remove(1);
        for task in tasks {
            run.apply(InputKind::TaskSucceeded { task: task.task, output: json!({"Payload": {}}) });
        }
        let mut task = failing.task;
        for attempt in 1..=attempts {
            run.apply(InputKind::TaskFailed { task, error: error.to_owned(), cause: None });
            if attempt < attempts {
                run.fire();
                task = run.expect("Normalize").task;
            }
        }
        assert_eq!(run.output(), json!({"batchItemFailures": [{"itemIdentifier": "m-01B"}]}), "{error}");
    }
}

#[test]
fn normalize_sends_back_what_cannot_be_quarantined_or_handed_over() {
    for state in ["Quarantine", "SendToDlq", "HandToRecover"] {
        let mut run = Run::start("Normalize", batch(&["01JINGEST"]));
        run.fail("Normalize", "Rejected", "{}");
        for name in ["Quarantine", "SendToDlq", "HandToRecover"] {
            if name == state {
                run.fail(name, "SomethingElse", "{}");
                while run.execution.status().name() == "RUNNING" {
                    run.fire();
                    run.fail(name, "SomethingElse", "{}");
                }
                break;
            }
            let payload = json!({"status": "QUARANTINED", "deadLetter": {}, "failure": waiting()});
            run.answer(name, payload);
        }
        assert_eq!(
            run.output(),
            json!({"batchItemFailures": [{"itemIdentifier": "m-01JINGEST"}]}),
            "{state}"
        );
    }
}

#[test]
fn a_message_that_is_no_event_comes_again_alone() {
    let mut messages = batch(&["01A"]);
    messages.as_array_mut().unwrap().insert(0, json!({"messageId": "m-bad", "body": "not json"}));
    let mut run = Run::start("Normalize", messages);
    run.answer("Normalize", json!({}));
    assert_eq!(run.output(), json!({"batchItemFailures": [{"itemIdentifier": "m-bad"}]}));
}

#[test]
fn recoveries_are_started_by_name_and_what_is_throttled_comes_again() {
    let input = json!({"event": accepted(), "error": {"Error": "Rejected"}, "failure": waiting()});
    let body = json!({"name": "vendorA.01JINGEST-0", "input": input}).to_string();
    let messages = json!([{"messageId": "m", "body": body}]);
    let mut run = Run::start("StartRecover", messages.clone());
    assert_eq!(
        *run.expect("StartRecovery").arguments,
        json!({
            "StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-recover",
            "Name": "vendorA.01JINGEST-0", "Input": input,
        })
    );
    run.succeed("StartRecovery", json!({"executionArn": "arn:x", "startDate": 1}));
    assert_eq!(run.output(), none_comes_again());

    let mut run = Run::start("StartRecover", messages.clone());
    run.fail("StartRecovery", "StepFunctions.ExecutionAlreadyExistsException", "exists");
    assert_eq!(run.output(), none_comes_again(), "an event that is being recovered is a success");

    let mut run = Run::start("StartRecover", messages);
    for _ in 0..2 {
        run.fail("StartRecovery", "StepFunctions.ThrottlingException", "Rate exceeded");
        run.fire();
    }
    run.fail("StartRecovery", "StepFunctions.ThrottlingException", "Rate exceeded");
    assert_eq!(run.output(), json!({"batchItemFailures": [{"itemIdentifier": "m"}]}));
}

#[test]
fn recover_of_an_event_that_is_in_quarantine_waits_at_once() {
    let mut input = quarantined();
    input["failure"] = waiting();
    let mut run = Run::start("Recover", input);
    run.waits(0, 0);
    assert_eq!(run.visited(), ["HasFailed?", "AwaitRedrive"]);
    run.apply(InputKind::Redrive);
    run.goes_on(0, 1);
    run.answer("Normalize", json!({"status": "NORMALIZED"}));
    run.answer("Release", json!({}));
    assert_eq!(run.execution.status().name(), "SUCCEEDED");
}

/// An event that is run again because it was stuck is healthy, as far as anyone knows.
#[test]
fn a_rerun_goes_to_quarantine_only_for_what_does_not_pass_by_itself() {
    for (error, state) in
        [("Retryable", "NotNow"), ("Lambda.Unknown", "Quarantine"), ("Rejected", "Quarantine")]
    {
        let mut run = Run::start("Recover", json!({"event": accepted()}));
        while run.visited().last().unwrap() == "Normalize" {
            run.fail("Normalize", error, "{}");
            if run.execution.status().name() == "RUNNING" && run.tasks().is_empty() {
                run.fire();
            }
        }
        assert_eq!(run.visited().last().unwrap(), state, "{error}");
    }
    // One that a person has redriven is in quarantine already, and stays there with its new cause.
    let mut run = parked();
    run.apply(InputKind::Redrive);
    run.goes_on(0, 1);
    while run.visited().last().unwrap() == "Normalize" {
        run.fail("Normalize", "Retryable", "{}");
        if run.tasks().is_empty() {
            run.fire();
        }
    }
    assert_eq!(run.expect("Quarantine").arguments["Payload"]["error"]["Error"], "Retryable");
}

fn quarantined() -> Value {
    json!({"event": accepted(), "error": {"Error": "Rejected", "Cause": "{\"code\":\"schema\"}"}})
}

/// Up to the failure that waits for a person.
fn parked() -> Run {
    let mut run = Run::start("Recover", quarantined());
    let task = run.expect("Quarantine");
    let payload = &task.arguments["Payload"];
    assert_eq!(payload["operation"], "quarantine");
    assert_eq!(payload["event"], accepted());
    assert_eq!(payload["error"], quarantined()["error"]);
    assert_eq!(payload["executionArn"], Start::example().execution_arn);
    run.answer(
        "Quarantine",
        json!({"status": "QUARANTINED", "deadLetter": {"ingestId": "01JINGEST"}, "failure": waiting()}),
    );
    assert_eq!(
        *run.expect("SendToDlq").arguments,
        json!({"QueueUrl": "http://127.0.0.1:8788/000000000000/sluice-dlq", "MessageBody": {"ingestId": "01JINGEST"}})
    );
    run.succeed("SendToDlq", json!({"MessageId": "m"}));
    run.waits(0, 0);
    run
}

/// What a quarantined execution shows.
fn waiting() -> Value {
    json!({"error": "mapper_refused", "cause": "vendorA's order was not normalized"})
}

impl Run {
    /// `AwaitRedrive` asks, is told to wait, and fails the execution with the code and the sentence.
    fn waits(&mut self, redrives: u64, redrive_count: u64) {
        assert_eq!(
            self.expect("AwaitRedrive").arguments["Payload"],
            json!({"operation": "await", "event": accepted(), "failure": waiting(), "redrives": redrives,
                   "redriveCount": redrive_count})
        );
        self.fail("AwaitRedrive", "mapper_refused", "vendorA's order was not normalized");
        assert_eq!(
            *self.execution.status(),
            Status::Failed {
                error: Some("mapper_refused".into()),
                cause: Some("vendorA's order was not normalized".into())
            }
        );
    }

    /// `AwaitRedrive` asks, and is told to go on.
    fn goes_on(&mut self, redrives: u64, redrive_count: u64) {
        let payload = &self.expect("AwaitRedrive").arguments["Payload"];
        assert_eq!(
            (&payload["redrives"], &payload["redriveCount"]),
            (&json!(redrives), &json!(redrive_count))
        );
        self.answer("AwaitRedrive", json!({"status": "REDRIVEN"}));
    }
}

#[test]
fn recover_waits_by_failing_and_a_redrive_goes_on() {
    let mut run = parked();
    run.apply(InputKind::Redrive);
    assert_eq!((run.execution.redrive_count(), run.execution.status().name()), (1, "RUNNING"));
    run.goes_on(0, 1);
    let event = &run.expect("Normalize").arguments["Payload"];
    assert_eq!(event["ingestId"], "01JINGEST", "the variable survived");
    run.answer("Normalize", json!({"status": "NORMALIZED"}));
    assert_eq!(run.expect("Release").arguments["Payload"]["operation"], "release");
    run.answer("Release", json!({"released": true}));
    assert_eq!(run.output(), json!({"released": true}));
    assert_eq!(
        run.visited(),
        [
            "HasFailed?",
            "Quarantine",
            "IsQuarantined?",
            "SendToDlq",
            "AwaitRedrive",
            "Normalize",
            "Release",
            "Recovered"
        ]
    );
    let redriven = run
        .execution
        .history()
        .iter()
        .position(|event| event.event_type.name() == "ExecutionRedriven")
        .unwrap();
    let event = serde_json::to_value(&run.execution.history()[redriven]).unwrap();
    assert_eq!(event["executionRedrivenEventDetails"], json!({"redriveCount": 1}));
    assert_eq!(run.types()[redriven + 1], "TaskScheduled", "the Task is not entered again");
    let refused =
        run.execution.apply(Input { at: Timestamp::from_millis(run.now), seed: 0, kind: InputKind::Redrive });
    assert_eq!(refused, Err(ApplyError::NotRedrivable(NotRedrivable::Succeeded)));
}

#[test]
fn recover_parks_again_after_a_vain_redrive() {
    let mut run = parked();
    run.apply(InputKind::Redrive);
    run.goes_on(0, 1);
    run.fail("Normalize", "Rejected", "still");
    let task = run.expect("Quarantine");
    assert_eq!(task.arguments["Payload"]["error"], json!({"Error": "Rejected", "Cause": "still"}));
    run.answer("Quarantine", json!({"status": "QUARANTINED", "deadLetter": {}, "failure": waiting()}));
    run.succeed("SendToDlq", json!({}));
    // The redrive that was seen does not count twice.
    run.waits(1, 1);
    run.apply(InputKind::Redrive);
    assert_eq!(run.execution.redrive_count(), 2);
    run.goes_on(1, 2);
    run.answer("Normalize", json!({"status": "NORMALIZED"}));
    run.answer("Release", json!({}));
    assert_eq!(run.execution.status().name(), "SUCCEEDED");
}

#[test]
fn one_redrive_is_enough_for_recover_that_failed_before_it_waited() {
    for state in ["Quarantine", "SendToDlq", "AwaitRedrive"] {
        let mut run = Run::start("Recover", quarantined());
        let mut redriven = false;
        for (name, answer) in [
            ("Quarantine", json!({"status": "QUARANTINED", "deadLetter": {}, "failure": waiting()})),
            ("SendToDlq", json!({})),
            ("AwaitRedrive", json!({"status": "REDRIVEN"})),
        ] {
            if name == state {
                run.fail(name, "Misconfigured", "{}");
                while run.execution.status().name() == "RUNNING" {
                    run.fire();
                    run.fail(name, "Misconfigured", "{}");
                }
                run.apply(InputKind::Redrive);
                redriven = true;
            }
            match name {
                "SendToDlq" => run.succeed(name, answer),
                "AwaitRedrive" => run.goes_on(0, 1),
                _ => run.answer(name, answer),
            }
        }
        assert!(redriven);
        run.answer("Normalize", json!({"status": "NORMALIZED"}));
        run.answer("Release", json!({}));
        assert_eq!(run.execution.status().name(), "SUCCEEDED", "{state}");
    }
}

#[test]
fn recover_has_nothing_to_do_for_an_event_that_was_normalized_meanwhile() {
    let mut run = Run::start("Recover", quarantined());
    run.answer("Quarantine", json!({"status": "NORMALIZED"}));
    assert_eq!(run.visited(), ["HasFailed?", "Quarantine", "IsQuarantined?", "NothingToRecover"]);
}

#[test]
fn recover_that_was_stopped_or_failed_in_a_task_runs_the_task_again() {
    let mut run = Run::start("Recover", quarantined());
    let late = run.expect("Quarantine").task;
    run.apply(InputKind::Stop { error: Some("Ops".into()), cause: None });
    assert_eq!(*run.execution.status(), Status::Aborted { error: Some("Ops".into()), cause: None });
    run.apply(InputKind::TaskSucceeded { task: late, output: json!({}) });
    assert_eq!(run.execution.status().name(), "ABORTED", "a late result is ignored");
    run.apply(InputKind::Redrive);
    assert_ne!(run.expect("Quarantine").task, late);
    run.fail("Quarantine", "Misconfigured", "{}");
    assert_eq!(run.execution.status().name(), "FAILED");
    run.apply(InputKind::Redrive);
    run.answer("Quarantine", json!({"status": "NORMALIZED"}));
    assert_eq!(run.execution.status().name(), "SUCCEEDED");
    let scheduled = run.execution.history().iter().filter(|event| event.event_type.name() == "TaskScheduled");
    assert!(scheduled.clone().all(|event| event.previous_event_id == 4), "from the one entry of the state");
    assert_eq!(scheduled.count(), 3);
}

#[test]
fn a_redrive_comes_too_late_after_two_weeks() {
    let run = parked();
    let stopped = run.execution.stop_date().unwrap();
    let day = 24 * 60 * 60;
    assert_eq!(run.execution.redrivable(stopped.plus_seconds(14 * day)), Ok(()));
    assert_eq!(
        run.execution.redrivable(stopped.plus_seconds(14 * day + 1)),
        Err(NotRedrivable::PeriodExceeded)
    );
}

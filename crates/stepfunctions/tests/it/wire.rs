//! Every operation and every error on AWS JSON 1.0: the JSON that clients see.

use crate::support::*;
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_stepfunctions::Engine;

const ROLE: &str = "arn:aws:iam::000000000000:role/r";
const T0: f64 = EPOCH_MS as f64 / 1000.0;

/// The status and the JSON of an answer.
async fn call(engine: &Engine, operation: &str, body: Value) -> (u16, Value) {
    let target = format!("AWSStepFunctions.{operation}");
    let response = engine.handle(&target, Bytes::from(body.to_string())).await;
    assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.0");
    assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    let error_type = response.headers().get("x-amzn-errortype").map(|name| name.to_str().unwrap().to_owned());
    assert_eq!(error_type, body["__type"].as_str().map(str::to_owned));
    (response.status().as_u16(), body)
}

async fn ok(engine: &Engine, operation: &str, body: Value) -> Value {
    let (status, body) = call(engine, operation, body).await;
    assert_eq!(status, 200, "{operation}: {body}");
    body
}

async fn refused(engine: &Engine, operation: &str, body: Value, error: &str, message: &str) {
    let (status, answer) = call(engine, operation, body).await;
    assert_eq!(status, 400);
    assert_eq!(answer, json!({"__type": error, "message": message}));
}

fn pass() -> String {
    asl(json!({"Pass": {"Type": "Pass", "Output": {"done": true}, "End": true}}))
}

fn wait(seconds: u64) -> String {
    asl(json!({"Wait": {"Type": "Wait", "Seconds": seconds, "End": true}}))
}

fn failing() -> String {
    asl(json!({"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}))
}

async fn engine() -> Engine {
    in_memory(&Fake::new(healthy)).await
}

async fn create(engine: &Engine, name: &str, machine_type: &str, definition: &str) -> String {
    let body = json!({"name": name, "type": machine_type, "definition": definition, "roleArn": ROLE});
    ok(engine, "CreateStateMachine", body).await["stateMachineArn"].as_str().unwrap().to_owned()
}

async fn start(engine: &Engine, machine: &str, name: &str) -> String {
    let body = json!({"stateMachineArn": machine, "name": name, "input": "{}"});
    ok(engine, "StartExecution", body).await["executionArn"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_state_machine_is_created_described_listed_updated_and_deleted() {
    let engine = engine().await;
    let body = json!({"name": "m", "definition": pass(), "roleArn": ROLE});
    let created = ok(&engine, "CreateStateMachine", body.clone()).await;
    let arn = machine_arn("m");
    assert_eq!(created, json!({"stateMachineArn": arn, "creationDate": T0}));
    // The same again is the same; the role is not compared.
    let mut again = body.clone();
    again["roleArn"] = "arn:aws:iam::000000000000:role/other".into();
    assert_eq!(ok(&engine, "CreateStateMachine", again).await, created);
    let described = ok(&engine, "DescribeStateMachine", json!({"stateMachineArn": arn})).await;
    assert_eq!(
        described,
        json!({
            "stateMachineArn": arn, "name": "m", "status": "ACTIVE", "definition": pass(), "roleArn": ROLE,
            "type": "STANDARD", "creationDate": T0,
            "loggingConfiguration": {"level": "OFF", "includeExecutionData": false},
            "tracingConfiguration": {"enabled": false},
        })
    );
    let metadata = json!({"stateMachineArn": arn, "includedData": "METADATA_ONLY"});
    assert_eq!(ok(&engine, "DescribeStateMachine", metadata).await["definition"], "");

    let taken = format!("State Machine Already Exists: '{arn}'");
    let mut other = body.clone();
    other["definition"] = failing().into();
    refused(&engine, "CreateStateMachine", other, "StateMachineAlreadyExists", &taken).await;
    let mut other = body.clone();
    other["type"] = "EXPRESS".into();
    refused(&engine, "CreateStateMachine", other, "StateMachineAlreadyExists", &taken).await;

    let update = json!({"stateMachineArn": arn, "definition": failing()});
    let updated = ok(&engine, "UpdateStateMachine", update).await;
    assert_eq!(updated["updateDate"], T0);
    let described = ok(&engine, "DescribeStateMachine", json!({"stateMachineArn": arn})).await;
    assert_eq!(described["revisionId"], updated["revisionId"]);
    assert_eq!(described["revisionId"].as_str().unwrap().len(), 36);
    assert_eq!((&described["definition"], &described["roleArn"]), (&json!(failing()), &json!(ROLE)));
    let nothing = "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration or the \
                   EncryptionConfiguration must be specified";
    let update = json!({"stateMachineArn": arn});
    refused(&engine, "UpdateStateMachine", update, "MissingRequiredParameter", nothing).await;

    assert_eq!(ok(&engine, "DeleteStateMachine", json!({"stateMachineArn": arn})).await, json!({}));
    let gone = format!("State Machine Does Not Exist: '{arn}'");
    for operation in ["DescribeStateMachine", "UpdateStateMachine", "StartExecution", "ListExecutions"] {
        let body = json!({"stateMachineArn": arn, "definition": pass()});
        refused(&engine, operation, body, "StateMachineDoesNotExist", &gone).await;
    }
    // Deleting what does not exist is fine.
    assert_eq!(ok(&engine, "DeleteStateMachine", json!({"stateMachineArn": arn})).await, json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_machine_with_running_executions_is_deleted_once_they_are_stopped() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &wait(1_000_000)).await;
    let execution = start(&engine, &arn, "e").await;
    ok(&engine, "DeleteStateMachine", json!({"stateMachineArn": arn})).await;
    let described = ok(&engine, "DescribeStateMachine", json!({"stateMachineArn": arn})).await;
    assert_eq!(described["status"], "DELETING");
    let deleting = format!("State machine is being deleted: '{arn}'");
    let body = json!({"stateMachineArn": arn});
    refused(&engine, "StartExecution", body, "StateMachineDeleting", &deleting).await;
    let body = json!({"name": "m", "definition": pass(), "roleArn": ROLE});
    refused(&engine, "CreateStateMachine", body, "StateMachineDeleting", &deleting).await;
    idle(&engine).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let gone = format!("State Machine Does Not Exist: '{arn}'");
    refused(
        &engine,
        "DescribeStateMachine",
        json!({"stateMachineArn": arn}),
        "StateMachineDoesNotExist",
        &gone,
    )
    .await;
    let gone = format!("Execution Does Not Exist: '{execution}'");
    refused(&engine, "DescribeExecution", json!({"executionArn": execution}), "ExecutionDoesNotExist", &gone)
        .await;
    // The name is free again.
    create(&engine, "m", "STANDARD", &pass()).await;
}

#[tokio::test(start_paused = true)]
async fn an_execution_is_started_described_and_listed() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &pass()).await;
    let body = json!({"stateMachineArn": arn, "name": "e", "input": " {\"a\": 1.50} ", "traceHeader": "t"});
    let started = ok(&engine, "StartExecution", body).await;
    let execution = execution_arn("m", "e");
    assert_eq!(started, json!({"executionArn": execution, "startDate": T0}));
    idle(&engine).await;
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(
        described,
        json!({
            "executionArn": execution, "stateMachineArn": arn, "name": "e", "status": "SUCCEEDED",
            "startDate": T0, "stopDate": T0, "redriveCount": 0, "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
            "input": " {\"a\": 1.50} ", "inputDetails": {"included": true},
            "output": "{\"done\":true}", "outputDetails": {"included": true}, "traceHeader": "t",
        })
    );
    let metadata = json!({"executionArn": execution, "includedData": "METADATA_ONLY"});
    let described = ok(&engine, "DescribeExecution", metadata).await;
    assert_eq!((described.get("input"), described.get("output")), (None, None));
    assert_eq!(described["inputDetails"], json!({"included": false}));
    let of_execution =
        ok(&engine, "DescribeStateMachineForExecution", json!({"executionArn": execution})).await;
    assert_eq!(
        of_execution,
        json!({
            "stateMachineArn": arn, "name": "m", "definition": pass(), "roleArn": ROLE, "updateDate": T0,
            "loggingConfiguration": {"level": "OFF", "includeExecutionData": false},
            "tracingConfiguration": {"enabled": false},
        })
    );
    let listed = ok(&engine, "ListExecutions", json!({"stateMachineArn": arn})).await;
    assert_eq!(
        listed,
        json!({"executions": [{
            "executionArn": execution, "stateMachineArn": arn, "name": "e", "status": "SUCCEEDED",
            "startDate": T0, "stopDate": T0, "redriveCount": 0,
        }]})
    );
    // A name is made up where none is given, and the input is an empty object.
    let started = ok(&engine, "StartExecution", json!({"stateMachineArn": arn})).await;
    let unnamed = started["executionArn"].as_str().unwrap();
    assert_eq!(unnamed.rsplit(':').next().unwrap().len(), 36);
    assert_eq!(ok(&engine, "DescribeExecution", json!({"executionArn": unnamed})).await["input"], "{}");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_idempotent_only_while_it_runs_with_the_same_input() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &wait(60)).await;
    let body = json!({"stateMachineArn": arn, "name": "e", "input": "{\"a\":1}"});
    let first = ok(&engine, "StartExecution", body.clone()).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(ok(&engine, "StartExecution", body.clone()).await, first);
    let mut spaced = body.clone();
    spaced["input"] = "{ \"a\" : 1 }".into();
    assert_eq!(ok(&engine, "StartExecution", spaced).await, first);
    let exists = format!("Execution Already Exists: '{}'", execution_arn("m", "e"));
    let mut other = body.clone();
    other["input"] = "{\"a\":2}".into();
    refused(&engine, "StartExecution", other, "ExecutionAlreadyExists", &exists).await;
    idle(&engine).await;
    refused(&engine, "StartExecution", body, "ExecutionAlreadyExists", &exists).await;
    assert_eq!(
        ok(&engine, "ListExecutions", json!({"stateMachineArn": arn})).await["executions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_history_is_paged_reversed_and_stripped() {
    let engine = engine().await;
    let states =
        json!({"Call": task("sluice-normalize", Some("Pass")), "Pass": {"Type": "Pass", "End": true}});
    let arn = create(&engine, "m", "STANDARD", &asl(states)).await;
    let execution = start(&engine, &arn, "e").await;
    idle(&engine).await;
    let all = ok(&engine, "GetExecutionHistory", json!({"executionArn": execution})).await;
    let events = all["events"].as_array().unwrap().clone();
    assert_eq!(all.get("nextToken"), None);
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSucceeded",
            "TaskStateExited",
            "PassStateEntered",
            "PassStateExited",
            "ExecutionSucceeded"
        ]
    );
    assert_eq!(
        events[0],
        json!({
            "id": 1, "previousEventId": 0, "timestamp": T0, "type": "ExecutionStarted",
            "executionStartedEventDetails": {"input": "{}", "inputDetails": {"truncated": false}, "roleArn": ROLE},
        })
    );
    let mut paged = Vec::new();
    let mut token = None;
    loop {
        let mut body = json!({"executionArn": execution, "maxResults": 4});
        if let Some(token) = token.take() {
            body["nextToken"] = token;
        }
        let page = ok(&engine, "GetExecutionHistory", body).await;
        paged.extend(page["events"].as_array().unwrap().clone());
        match page.get("nextToken") {
            Some(next) => token = Some(next.clone()),
            None => break,
        }
    }
    assert_eq!(paged, events);
    let reversed =
        ok(&engine, "GetExecutionHistory", json!({"executionArn": execution, "reverseOrder": true})).await;
    let mut backwards = reversed["events"].as_array().unwrap().clone();
    backwards.reverse();
    assert_eq!(backwards, events);
    let first = json!({"executionArn": execution, "reverseOrder": true, "maxResults": 1});
    let page = ok(&engine, "GetExecutionHistory", first).await;
    assert_eq!(page["events"][0]["type"], "ExecutionSucceeded");
    // A token is good for the question it was given for only.
    let mixed = json!({"executionArn": execution, "nextToken": page["nextToken"]});
    let (status, error) = call(&engine, "GetExecutionHistory", mixed).await;
    assert_eq!((status, &error["__type"]), (400, &json!("InvalidToken")));
    let stripped =
        ok(&engine, "GetExecutionHistory", json!({"executionArn": execution, "includeExecutionData": false}))
            .await;
    assert_eq!(stripped["events"][0]["executionStartedEventDetails"], json!({"roleArn": ROLE}));
    assert_eq!(stripped["events"][1]["stateEnteredEventDetails"], json!({"name": "Call"}));
}

#[tokio::test(start_paused = true)]
async fn a_failed_execution_is_redriven_once_per_client_token() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &failing()).await;
    let execution = start(&engine, &arn, "e").await;
    idle(&engine).await;
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(
        described,
        json!({
            "executionArn": execution, "stateMachineArn": arn, "name": "e", "status": "FAILED", "startDate": T0,
            "stopDate": T0, "redriveCount": 0, "redriveStatus": "REDRIVABLE", "input": "{}",
            "inputDetails": {"included": true}, "error": "Broken", "cause": "on purpose",
        })
    );
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let body = json!({"executionArn": execution, "clientToken": "t1"});
    let redriven = ok(&engine, "RedriveExecution", body.clone()).await;
    assert_eq!(redriven, json!({"redriveDate": T0 + 5.0}));
    idle(&engine).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(ok(&engine, "RedriveExecution", body.clone()).await, redriven);
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!((&described["redriveCount"], &described["redriveDate"]), (&json!(1), &json!(T0 + 5.0)));
    assert_eq!(described["stopDate"], json!(T0 + 5.0));
    // After 15 minutes the token is a new one.
    tokio::time::sleep(std::time::Duration::from_secs(15 * 60)).await;
    ok(&engine, "RedriveExecution", body).await;
    idle(&engine).await;
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(described["redriveCount"], 2);
    let redriven = json!({"stateMachineArn": arn, "redriveFilter": "REDRIVEN"});
    assert_eq!(ok(&engine, "ListExecutions", redriven).await["executions"].as_array().unwrap().len(), 1);
    let other = json!({"stateMachineArn": arn, "redriveFilter": "NOT_REDRIVEN"});
    assert_eq!(ok(&engine, "ListExecutions", other).await, json!({"executions": []}));
    // Two weeks after it closed it is too late.
    tokio::time::sleep(std::time::Duration::from_secs(14 * 24 * 3600 + 1)).await;
    let why = "Execution redrivable period exceeded";
    refused(&engine, "RedriveExecution", json!({"executionArn": execution}), "ExecutionNotRedrivable", why)
        .await;
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(described["redriveStatusReason"], why);
}

#[tokio::test(start_paused = true)]
async fn a_running_execution_is_stopped_and_can_be_redriven() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &wait(60)).await;
    let execution = start(&engine, &arn, "e").await;
    let running = "Execution is RUNNING and cannot be redriven";
    refused(
        &engine,
        "RedriveExecution",
        json!({"executionArn": execution}),
        "ExecutionNotRedrivable",
        running,
    )
    .await;
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(
        (&described["status"], &described["redriveStatusReason"]),
        (&json!("RUNNING"), &json!(running))
    );
    assert_eq!((described.get("stopDate"), described.get("outputDetails")), (None, None));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let stop = json!({"executionArn": execution, "error": "Enough", "cause": "said so"});
    let stopped = ok(&engine, "StopExecution", stop.clone()).await;
    assert_eq!(stopped, json!({"stopDate": T0 + 3.0}));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(ok(&engine, "StopExecution", stop).await, stopped);
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(
        (&described["status"], &described["error"], &described["cause"]),
        (&json!("ABORTED"), &json!("Enough"), &json!("said so"))
    );
    ok(&engine, "RedriveExecution", json!({"executionArn": execution})).await;
    idle(&engine).await;
    let described = ok(&engine, "DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!(described["status"], "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn executions_are_listed_latest_first_by_page_and_status() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &pass()).await;
    for n in 0..7 {
        start(&engine, &arn, &format!("e{n}")).await;
        idle(&engine).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let mut names = Vec::new();
    let mut body = json!({"stateMachineArn": arn, "maxResults": 3, "statusFilter": "SUCCEEDED"});
    loop {
        let page = ok(&engine, "ListExecutions", body.clone()).await;
        names.extend(
            page["executions"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap().to_owned()),
        );
        match page.get("nextToken") {
            Some(next) => body["nextToken"] = next.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]);
    for status in ["FAILED", "RUNNING"] {
        let body = json!({"stateMachineArn": arn, "statusFilter": status});
        assert_eq!(ok(&engine, "ListExecutions", body).await, json!({"executions": []}));
    }
    let mut other = body.clone();
    other["statusFilter"] = "FAILED".into();
    let (_, error) = call(&engine, "ListExecutions", other).await;
    assert_eq!(error["__type"], "InvalidToken");
    let garbage = json!({"stateMachineArn": arn, "nextToken": "garbage"});
    refused(&engine, "ListExecutions", garbage, "InvalidToken", "Invalid Token: 'Invalid token: garbage'")
        .await;
}

#[tokio::test(start_paused = true)]
async fn machines_are_listed_by_page() {
    let engine = engine().await;
    for n in 0..5 {
        create(&engine, &format!("m{n}"), if n == 2 { "EXPRESS" } else { "STANDARD" }, &pass()).await;
    }
    let page = ok(&engine, "ListStateMachines", json!({"maxResults": 3})).await;
    assert_eq!(
        page["stateMachines"][2],
        json!({"stateMachineArn": machine_arn("m2"), "name": "m2", "type": "EXPRESS", "creationDate": T0})
    );
    let rest = json!({"maxResults": 3, "nextToken": page["nextToken"]});
    let rest = ok(&engine, "ListStateMachines", rest).await;
    assert_eq!((rest["stateMachines"].as_array().unwrap().len(), rest.get("nextToken")), (2, None));
    let wrong = "1 validation error detected: Value '1001' at 'maxResults' failed to satisfy constraint: Member must \
                 have value less than or equal to 1000";
    refused(&engine, "ListStateMachines", json!({"maxResults": 1001}), "ValidationException", wrong).await;
    let all = ok(&engine, "ListStateMachines", json!({"maxResults": 0})).await;
    assert_eq!(all["stateMachines"].as_array().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_express_machine_runs_synchronously() {
    let engine = engine().await;
    let arn = create(&engine, "m", "EXPRESS", &wait(1)).await;
    let body = json!({"stateMachineArn": arn, "name": "n", "input": "{\"a\":1}"});
    let mut answer = ok(&engine, "StartSyncExecution", body).await;
    let execution = answer["executionArn"].take();
    let execution = execution.as_str().unwrap();
    assert!(execution.starts_with("arn:aws:states:us-east-1:000000000000:express:m:n:"), "{execution}");
    assert_eq!(
        answer,
        json!({
            "executionArn": null, "stateMachineArn": arn, "name": "n", "status": "SUCCEEDED", "startDate": T0,
            "stopDate": T0 + 1.0, "input": "{\"a\":1}", "inputDetails": {"included": true}, "output": "{\"a\":1}",
            "outputDetails": {"included": true},
            "billingDetails": {"billedDurationInMilliseconds": 1000, "billedMemoryUsedInMB": 64},
        })
    );
    let failing = create(&engine, "f", "EXPRESS", &failing()).await;
    let answer = ok(&engine, "StartSyncExecution", json!({"stateMachineArn": failing})).await;
    assert_eq!(
        (&answer["status"], &answer["error"], &answer["cause"], answer.get("output")),
        (&json!("FAILED"), &json!("Broken"), &json!("on purpose"), None)
    );
    assert_eq!(answer["billingDetails"]["billedDurationInMilliseconds"], 100);
    let slow = create(&engine, "s", "EXPRESS", &wait(301)).await;
    let answer = ok(&engine, "StartSyncExecution", json!({"stateMachineArn": slow})).await;
    assert_eq!((&answer["status"], &answer["stopDate"]), (&json!("TIMED_OUT"), &json!(T0 + 301.0)));
    let hidden = json!({"stateMachineArn": failing, "includedData": "METADATA_ONLY"});
    assert_eq!(ok(&engine, "StartSyncExecution", hidden).await.get("input"), None);
}

#[tokio::test(start_paused = true)]
async fn operations_are_refused_for_the_other_type() {
    let engine = engine().await;
    let standard = create(&engine, "s", "STANDARD", &pass()).await;
    let express = create(&engine, "x", "EXPRESS", &pass()).await;
    let error = "StateMachineTypeNotSupported";
    let message = "This operation is not supported by this type of state machine";
    refused(&engine, "StartSyncExecution", json!({"stateMachineArn": standard}), error, message).await;
    refused(&engine, "ListExecutions", json!({"stateMachineArn": express}), error, message).await;
    // Names of Express executions do not deduplicate.
    let first = start(&engine, &express, "n").await;
    assert_ne!(start(&engine, &express, "n").await, first);
    idle(&engine).await;
    let operations = [
        "DescribeExecution",
        "GetExecutionHistory",
        "StopExecution",
        "RedriveExecution",
        "DescribeStateMachineForExecution",
    ];
    for operation in operations {
        let message = "Invalid Arn: 'Resource type not valid in this context: express'";
        refused(&engine, operation, json!({"executionArn": first}), "InvalidArn", message).await;
        let unknown = execution_arn("s", "nobody");
        let message = format!("Execution Does Not Exist: '{unknown}'");
        refused(&engine, operation, json!({"executionArn": unknown}), "ExecutionDoesNotExist", &message)
            .await;
        let message = "Invalid Arn: 'Invalid ARN prefix: nonsense'";
        refused(&engine, operation, json!({"executionArn": "nonsense"}), "InvalidArn", message).await;
        let message = "1 validation error detected: Value null at 'executionArn' failed to satisfy constraint: Member \
                       must not be null";
        refused(&engine, operation, json!({}), "ValidationException", message).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bad_requests_are_named() {
    let engine = engine().await;
    let arn = create(&engine, "m", "STANDARD", &pass()).await;
    let start = |name: &str, input: &str| json!({"stateMachineArn": arn, "name": name, "input": input});
    refused(&engine, "StartExecution", start("a b", "{}"), "InvalidName", "Invalid Name: 'a b'").await;
    let long = "x".repeat(81);
    let message = format!(
        "1 validation error detected: Value '{long}' at 'name' failed to satisfy constraint: Member must have length \
         less than or equal to 80"
    );
    refused(&engine, "StartExecution", start(&long, "{}"), "ValidationException", &message).await;
    let empty = "Invalid State Machine Execution Input: 'Invalid execution input.'";
    refused(&engine, "StartExecution", start("n", ""), "InvalidExecutionInput", empty).await;
    for broken in ["not JSON", "{'a': 1}", "{\"a\": 1} trailing", "{\"a\": NaN}"] {
        let (status, error) = call(&engine, "StartExecution", start("n", broken)).await;
        assert_eq!((status, &error["__type"]), (400, &json!("InvalidExecutionInput")), "{broken}");
    }
    // 262,144 bytes are in, one more is not.
    let fits = format!("\"{}\"", "x".repeat(262_142));
    ok(&engine, "StartExecution", start("fits", &fits)).await;
    let (_, error) = call(&engine, "StartExecution", start("big", &format!("{fits} "))).await;
    assert_eq!(error["__type"], "ValidationException");
    let version = json!({"stateMachineArn": format!("{arn}:1")});
    let message = format!("State Machine Does Not Exist: '{arn}:1'");
    refused(&engine, "StartExecution", version, "StateMachineDoesNotExist", &message).await;
    let wrong = json!({"stateMachineArn": execution_arn("m", "e")});
    let message = "Invalid Arn: 'Resource type not valid in this context: execution'";
    refused(&engine, "DescribeStateMachine", wrong, "InvalidArn", message).await;

    let create = |name: Value, role: Value| json!({"name": name, "definition": pass(), "roleArn": role});
    refused(
        &engine,
        "CreateStateMachine",
        create("a/b".into(), ROLE.into()),
        "InvalidName",
        "Invalid Name: 'a/b'",
    )
    .await;
    let message = "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be \
                   null";
    refused(&engine, "CreateStateMachine", create("a".into(), Value::Null), "ValidationException", message)
        .await;
    let message = "Invalid Arn: 'Invalid Role Arn: 'someone''";
    refused(&engine, "CreateStateMachine", create("a".into(), "someone".into()), "InvalidArn", message).await;
    for definition in [
        "",
        "{",
        "[]",
        "{}",
        "{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Pass\", \"End\": true}}}",
    ] {
        let body = json!({"name": "bad", "definition": definition, "roleArn": ROLE});
        let (status, error) = call(&engine, "CreateStateMachine", body).await;
        let expected = if definition.is_empty() { "ValidationException" } else { "InvalidDefinition" };
        assert_eq!((status, &error["__type"]), (400, &json!(expected)), "{definition}");
    }
    let message = "1 validation error detected: Value 'succeeded' at 'statusFilter' failed to satisfy constraint: Member \
                   must satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]";
    let body = json!({"stateMachineArn": arn, "statusFilter": "succeeded"});
    refused(&engine, "ListExecutions", body, "ValidationException", message).await;

    let unknown = engine.handle("AWSStepFunctions.FlyToTheMoon", Bytes::from("{}")).await;
    assert_eq!(unknown.status(), 400);
    let body: Value = serde_json::from_slice(unknown.body()).unwrap();
    assert_eq!(body["__type"], "UnknownOperationException");
    let other = engine.handle("DynamoDB_20120810.GetItem", Bytes::from("{}")).await;
    assert_eq!(other.headers()["x-amzn-errortype"], "UnknownOperationException");
    for garbage in ["{", "[]", "{\"stateMachineArn\": 7}"] {
        let answer = engine.handle("AWSStepFunctions.StartExecution", Bytes::from(garbage)).await;
        assert_eq!(answer.headers()["x-amzn-errortype"], "SerializationException", "{garbage}");
    }
}

#[tokio::test(start_paused = true)]
async fn tags_are_kept() {
    let engine = engine().await;
    let body = json!({
        "name": "m", "definition": pass(), "roleArn": ROLE,
        "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
    });
    ok(&engine, "CreateStateMachine", body).await;
    let arn = machine_arn("m");
    ok(&engine, "TagResource", json!({"resourceArn": arn, "tags": [{"key": "b", "value": "3"}]})).await;
    ok(&engine, "UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]})).await;
    let tags = ok(&engine, "ListTagsForResource", json!({"resourceArn": arn})).await;
    assert_eq!(tags, json!({"tags": [{"key": "b", "value": "3"}]}));
    let many: Vec<Value> = (0..50).map(|n| json!({"key": format!("k{n}"), "value": ""})).collect();
    let message = format!("Too many tags: '{arn}'");
    refused(&engine, "TagResource", json!({"resourceArn": arn, "tags": many}), "TooManyTags", &message).await;
    let gone = machine_arn("gone");
    let message = format!("Resource not found: '{gone}'");
    refused(&engine, "ListTagsForResource", json!({"resourceArn": gone}), "ResourceNotFound", &message).await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_validated_without_being_kept() {
    let engine = engine().await;
    let good = ok(&engine, "ValidateStateMachineDefinition", json!({"definition": pass()})).await;
    assert_eq!(good, json!({"result": "OK", "diagnostics": [], "truncated": false}));
    let states =
        json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Next": "Nowhere"}});
    let bad = ok(&engine, "ValidateStateMachineDefinition", json!({"definition": asl(states)})).await;
    assert_eq!(bad["result"], "FAIL");
    let diagnostics = bad["diagnostics"].as_array().unwrap();
    assert!(diagnostics.len() >= 2, "{diagnostics:?}");
    for diagnostic in diagnostics {
        assert_eq!(diagnostic["severity"], "ERROR");
        assert!(diagnostic["location"].as_str().unwrap().starts_with('/'), "{diagnostic}");
    }
    assert_eq!(engine.state_machines().len(), 0);
}

//! Activities and task tokens: who has the token says what becomes of the task, also after a crash.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_stepfunctions::{Engine, ExecutionStatus, Location, MachineType};

use crate::support::*;

async fn call(engine: &Engine, operation: &str, body: Value) -> Value {
    let target = format!("AWSStepFunctions.{operation}");
    let response = engine.handle(&target, Bytes::from(body.to_string())).await;
    serde_json::from_slice(response.body()).unwrap()
}

const SEND: &str = "arn:aws:states:::sqs:sendMessage.waitForTaskToken";
const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:work";

fn callback(more: Value) -> Value {
    let mut state = json!({
        "Type": "Task", "Resource": SEND, "End": true,
        "Arguments": {"QueueUrl": "q", "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "Ask": state })
}

fn queue() -> Arc<Fake> {
    Fake::new(|call| {
        assert_eq!(call.resource, SEND_MESSAGE, "what is called is the same with and without a token");
        Reply::Ok(json!({"MessageId": "m-1"}))
    })
}

async fn started(engine: &Engine, states: Value) -> String {
    let machine = put(engine, "m", MachineType::Standard, states).await;
    engine.start_execution(&machine, Some("e"), input(json!({}))).await.unwrap().execution_arn
}

/// Waits, in virtual time, until the queue has `count` messages, and gives the token of the last.
async fn token(fake: &Fake, count: usize) -> String {
    while fake.calls().len() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fake.calls()[count - 1].payload["MessageBody"]["token"].as_str().unwrap().to_owned()
}

async fn status(engine: &Engine, arn: &str) -> ExecutionStatus {
    engine.describe_execution(arn).await.unwrap().summary.status
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_for_its_token() {
    let fake = queue();
    let engine = in_memory(&fake).await;
    let arn = started(&engine, callback(json!({}))).await;
    let token = token(&fake, 1).await;
    // A day later, and far out of memory.
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(status(&engine, &arn).await, ExecutionStatus::Running);
    let body = json!({"taskToken": token, "output": "{\"answer\": 42}"});
    assert_eq!(call(&engine, "SendTaskSuccess", body.clone()).await, json!({}));
    idle(&engine).await;
    assert_eq!(engine.describe_execution(&arn).await.unwrap().output.unwrap(), "{\"answer\":42}");
    let types = event_types(&engine, &arn).await;
    let expected = [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(types, expected);
    assert_eq!(call(&engine, "SendTaskSuccess", body).await["__type"], "TaskTimedOut");
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_fails_its_task_which_is_tried_again_with_another() {
    let fake = queue();
    let engine = in_memory(&fake).await;
    let arn =
        started(&engine, callback(json!({"Retry": [{"ErrorEquals": ["Later"], "MaxAttempts": 1}]}))).await;
    let first = token(&fake, 1).await;
    let body = json!({"taskToken": first, "error": "Later", "cause": "not yet"});
    assert_eq!(call(&engine, "SendTaskFailure", body.clone()).await, json!({}));
    let second = token(&fake, 2).await;
    assert_ne!(first, second);
    assert_eq!(call(&engine, "SendTaskFailure", body).await["__type"], "TaskTimedOut");
    let body = json!({"taskToken": second, "error": "Later"});
    call(&engine, "SendTaskFailure", body).await;
    idle(&engine).await;
    assert_eq!(engine.describe_execution(&arn).await.unwrap().error.as_deref(), Some("Later"));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_task_alive() {
    let fake = queue();
    let engine = in_memory(&fake).await;
    let arn = started(&engine, callback(json!({"HeartbeatSeconds": 5, "TimeoutSeconds": 600}))).await;
    let token = token(&fake, 1).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(call(&engine, "SendTaskHeartbeat", json!({"taskToken": token})).await, json!({}));
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let execution = engine.describe_execution(&arn).await.unwrap();
    // As AWS records it: localstack/localstack, timeouts/test_heartbeats.snapshot.json.
    assert_eq!(execution.summary.status, ExecutionStatus::Failed);
    assert_eq!((execution.error.as_deref(), execution.cause), (Some("States.Timeout"), None));
    let types = event_types(&engine, &arn).await;
    assert_eq!(types[3..], ["TaskStarted", "TaskSubmitted", "TaskTimedOut", "ExecutionFailed"]);
    let late = call(&engine, "SendTaskHeartbeat", json!({"taskToken": token})).await;
    assert_eq!(late["__type"], "TaskTimedOut");
}

#[tokio::test(start_paused = true)]
async fn bad_tokens_and_outputs_are_named() {
    let fake = queue();
    let engine = in_memory(&fake).await;
    started(&engine, callback(json!({}))).await;
    let token = token(&fake, 1).await;
    for bad in ["x", "zz", "00", "é", &token[2..]] {
        let answer = call(&engine, "SendTaskHeartbeat", json!({"taskToken": bad})).await;
        let expected = if bad == &token[2..] { "TaskDoesNotExist" } else { "InvalidToken" };
        assert_eq!(answer["__type"], expected, "{bad}");
    }
    let mut other = token.clone();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    assert_eq!(
        call(&engine, "SendTaskHeartbeat", json!({"taskToken": other})).await["__type"],
        "TaskTimedOut"
    );
    let answer = call(&engine, "SendTaskSuccess", json!({"taskToken": token, "output": "{"})).await;
    assert_eq!(answer["__type"], "InvalidOutput");
    let machine = json!({"QueryLanguage": "JSONata", "StartAt": "Ask", "States": callback(json!({}))});
    let body = json!({"definition": machine.to_string(), "type": "EXPRESS"});
    let diagnostics = call(&engine, "ValidateStateMachineDefinition", body).await["diagnostics"].clone();
    // localstack/localstack, test_sfn_api_validation.snapshot.json::ILLEGAL_WFTT.
    assert_eq!(
        diagnostics,
        json!([{
            "severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "location": "/States/Ask/Resource",
            "message": "Express state machine does not support '.waitForTaskToken' service integration ",
        }])
    );
}

#[tokio::test]
async fn a_crash_forgets_neither_token_nor_activity() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::File(directory.path().join("engine.sqlite"));
    let fake = queue();
    let (asked, token) = {
        let engine = open_real(&location, &fake).await;
        let asked = started(&engine, callback(json!({}))).await;
        call(&engine, "CreateActivity", json!({"name": "work"})).await;
        let states = json!({"Do": {"Type": "Task", "Resource": ACTIVITY, "End": true}});
        let machine = put(&engine, "a", MachineType::Standard, states).await;
        engine.start_execution(&machine, Some("e"), input(json!({"n": 1}))).await.unwrap();
        let token = token(&fake, 1).await;
        // The call is over once the history says so.
        while !event_types(&engine, &asked).await.contains(&"TaskSubmitted") {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        engine.shutdown(Duration::from_secs(5)).await;
        (asked, token)
    };
    let engine = open_real(&location, &fake).await;
    call(&engine, "SendTaskSuccess", json!({"taskToken": token, "output": "1"})).await;
    let task = call(&engine, "GetActivityTask", json!({"activityArn": ACTIVITY, "workerName": "w"})).await;
    assert_eq!(task["input"], "{\"n\":1}");
    call(&engine, "SendTaskSuccess", json!({"taskToken": task["taskToken"], "output": "2"})).await;
    idle(&engine).await;
    assert_eq!(engine.describe_execution(&asked).await.unwrap().output.as_deref(), Some("1"));
    let done = engine.describe_execution(&execution_arn("a", "e")).await.unwrap();
    assert_eq!(done.output.as_deref(), Some("2"));
    assert_eq!(fake.calls().len(), 1, "the message was not sent again");
}

#[tokio::test(start_paused = true)]
async fn each_task_of_an_activity_goes_to_one_worker() {
    let fake = queue();
    let engine = in_memory(&fake).await;
    call(&engine, "CreateActivity", json!({"name": "work"})).await;
    let states = json!({"Do": {"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "D", "States": {
        "D": {"Type": "Task", "Resource": ACTIVITY, "Arguments": "{% $states.input %}", "End": true}}}}});
    let machine = put(&engine, "m", MachineType::Standard, states).await;
    let items: Vec<u64> = (0..10).collect();
    let arn = engine.start_execution(&machine, Some("e"), input(json!(items))).await.unwrap().execution_arn;
    let worker = async |name: &str| {
        let mut done = 0;
        loop {
            let task =
                call(&engine, "GetActivityTask", json!({"activityArn": ACTIVITY, "workerName": name})).await;
            let Some(token) = task["taskToken"].as_str() else { return done };
            let output = task["input"].as_str().unwrap();
            call(&engine, "SendTaskSuccess", json!({"taskToken": token, "output": output})).await;
            done += 1;
        }
    };
    let counts = futures_join(worker("a"), worker("b"), worker("c")).await;
    assert_eq!(counts.iter().sum::<usize>(), 10);
    let execution = engine.describe_execution(&arn).await.unwrap();
    assert_eq!(execution.output.as_deref(), Some("[0,1,2,3,4,5,6,7,8,9]"));
}

async fn futures_join(
    a: impl Future<Output = usize>,
    b: impl Future<Output = usize>,
    c: impl Future<Output = usize>,
) -> [usize; 3] {
    let (a, b, c) = tokio::join!(a, b, c);
    [a, b, c]
}

//! The three state machines of the repository, with everything they call scripted. Time is virtual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::*;
use serde_json::{Value, json};
use sluice_stepfunctions::{Error, ExecutionStatus, SyncStatus};

const RECOVER: &str = "sluice-recover";

fn event(id: &str) -> Value {
    json!({"ingestId": id, "vendorId": "v"})
}

#[tokio::test(start_paused = true)]
async fn an_event_is_accepted_and_answered() {
    let fake = Fake::new(healthy);
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    let request = input(json!({"method": "POST", "path": "/v1/events", "headers": {}, "body": "e30="}));
    let result = engine.start_sync(&machine_arn("sluice-intake"), None, request).await.unwrap();
    assert_eq!(result.status, SyncStatus::Succeeded, "{:?} {:?}", result.error, result.cause);
    assert_eq!(result.output.unwrap()["statusCode"], 202);
    assert_eq!(fake.targets(), ["sluice-accept", "sluice-persist-raw"]);
    let persisted = &fake.calls()[1];
    assert_eq!(persisted.payload, json!({"accepted": {"ingestId": "01A"}, "body": "e30=", "staged": null}));
    assert_eq!(engine.unfinished(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_intake_before_anything_is_stored() {
    let fake = Fake::new(|call| match call.target.as_str() {
        "sluice-accept" => Reply::Ok(json!({"answer": {"statusCode": 400}})),
        other => panic!("{other} is not to be called"),
    });
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    let result =
        engine.start_sync(&machine_arn("sluice-intake"), None, input(json!({"body": ""}))).await.unwrap();
    assert_eq!(*result.output.unwrap(), json!({"statusCode": 400}));
}

#[tokio::test(start_paused = true)]
async fn a_retryable_fault_is_retried_and_a_lasting_one_fails_the_intake() {
    let fake = Fake::new(|call| match (call.target.as_str(), call.earlier) {
        ("sluice-accept", 0) => Reply::Err("Retryable", "throttled"),
        ("sluice-persist-raw", _) => Reply::Err("Retryable", "still throttled"),
        _ => healthy(call),
    });
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    let result =
        engine.start_sync(&machine_arn("sluice-intake"), None, input(json!({"body": ""}))).await.unwrap();
    assert_eq!(result.status, SyncStatus::Failed);
    assert_eq!(result.error.as_deref(), Some("Retryable"));
    assert_eq!(result.cause.as_deref(), Some("still throttled"));
    assert_eq!(fake.count("sluice-accept"), 2);
    assert_eq!(fake.count("sluice-persist-raw"), 3);
    let retries: Vec<u32> = fake.calls().iter().skip(2).map(|call| call.retry_count).collect();
    assert_eq!(retries, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_function_times_out_and_its_call_is_dropped() {
    let fake = Fake::new(|call| match call.target.as_str() {
        "sluice-accept" => Reply::Hang,
        _ => healthy(call),
    });
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    let result =
        engine.start_sync(&machine_arn("sluice-intake"), None, input(json!({"body": ""}))).await.unwrap();
    assert_eq!(result.error.as_deref(), Some("States.Timeout"));
    // One retry for States.Timeout.
    assert_eq!(fake.count("sluice-accept"), 2);
    assert_eq!(fake.cancelled().len(), 2);
    let duration = result.stopped_at.as_millis() - result.started_at.as_millis();
    assert!(
        (10_000..=12_001).contains(&duration),
        "{duration} ms are not two timeouts of 5 s and a pause of up to 2 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panicking_function_is_a_failed_task() {
    let fake = Fake::new(|call| match call.target.as_str() {
        "sluice-accept" => Reply::Panic,
        _ => healthy(call),
    });
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    let result =
        engine.start_sync(&machine_arn("sluice-intake"), None, input(json!({"body": ""}))).await.unwrap();
    assert_eq!(result.error.as_deref(), Some("Lambda.Unknown"));
    assert_eq!(fake.count("sluice-accept"), 2);
}

/// A pipeline whose normalize fails until `mended` is set.
fn breakable() -> (Arc<AtomicBool>, Arc<Fake>) {
    let mended = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&mended);
    let fake = Fake::new(move |call| match call.target.as_str() {
        "sluice-normalize" if !switch.load(Ordering::SeqCst) => {
            Reply::Err("Misconfigured", "{\"code\":\"NO_MAPPER\",\"message\":\"no mapper\"}")
        }
        _ => healthy(call),
    });
    (mended, fake)
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_waits_in_recover_until_a_redrive_finds_its_cause_mended() {
    let (mended, fake) = breakable();
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    engine.start_express(&machine_arn("sluice-normalize"), vec![input(event("01B"))]).await.unwrap();
    idle(&engine).await;
    let expected = ["sluice-normalize", "sluice-quarantine", "sluice-dlq", "sluice-quarantine"];
    assert_eq!(fake.targets(), expected);
    let calls = fake.calls();
    let arn = execution_arn(RECOVER, "v.01B-0");
    assert_eq!(calls[1].payload["event"], event("01B"));
    assert_eq!(calls[1].payload["error"]["Error"], "Misconfigured");
    assert_eq!(calls[1].payload["executionArn"], *arn);
    assert_eq!(calls[2].resource, SEND_MESSAGE);

    let waiting = engine.describe_execution(&arn).await.unwrap();
    assert_eq!(waiting.summary.status, ExecutionStatus::Failed);
    assert_eq!(waiting.error.as_deref(), Some("mapper_refused"));
    assert_eq!(waiting.not_redrivable, None);

    // Redriven too early: quarantined again, and waiting again.
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    assert_eq!(fake.targets()[4], "sluice-quarantine", "it is asked whether it was redriven");
    assert_eq!(fake.targets()[5..], expected);
    let waiting = engine.describe_execution(&arn).await.unwrap();
    assert_eq!((waiting.summary.status, waiting.summary.redrive_count), (ExecutionStatus::Failed, 1));

    mended.store(true, Ordering::SeqCst);
    let redriven_at = engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    assert_eq!(fake.targets()[9..], ["sluice-quarantine", "sluice-normalize", "sluice-quarantine"]);
    assert_eq!(fake.calls()[11].payload["operation"], "release");
    let done = engine.describe_execution(&arn).await.unwrap();
    assert_eq!((done.summary.status, done.summary.redrive_count), (ExecutionStatus::Succeeded, 2));
    assert_eq!(done.summary.redriven_at, Some(redriven_at));
    assert_eq!(done.not_redrivable.as_deref(), Some("Execution is SUCCEEDED and cannot be redriven"));
    let error = engine.redrive_execution(&arn, None).await.unwrap_err();
    assert!(
        matches!(&error, Error::ExecutionNotRedrivable(why) if why == "Execution is SUCCEEDED and cannot be redriven")
    );

    let history = event_types(&engine, &arn).await;
    assert_eq!(history.iter().filter(|name| **name == "ExecutionRedriven").count(), 2);
    assert_eq!((history[0], history[history.len() - 1]), ("ExecutionStarted", "ExecutionSucceeded"));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_delivered_twice_is_recovered_once() {
    let (_, fake) = breakable();
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    let normalize = machine_arn("sluice-normalize");
    engine.start_express(&normalize, vec![input(event("01C")), input(event("01C"))]).await.unwrap();
    idle(&engine).await;
    engine.start_express(&normalize, vec![input(event("01C"))]).await.unwrap();
    idle(&engine).await;
    // The same name and input while it runs answers the same; afterwards it exists already, which is a success too.
    assert_eq!(fake.count("sluice-normalize"), 3);
    assert_eq!(fake.count("sluice-dlq"), 1);
    assert_eq!(engine.express_failures(10).await.unwrap(), []);
    let listed = engine.list_executions(&machine_arn(RECOVER), Default::default()).await.unwrap();
    assert_eq!(listed.executions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_recover_machine_that_is_missing_fails_the_express_execution_visibly() {
    let (_, fake) = breakable();
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    engine.delete_state_machine(&machine_arn(RECOVER)).await.unwrap();
    let started =
        engine.start_express(&machine_arn("sluice-normalize"), vec![input(event("01D"))]).await.unwrap();
    idle(&engine).await;
    let failures = engine.express_failures(10).await.unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].execution_arn, started[0].execution_arn);
    assert_eq!(failures[0].error.as_deref(), Some("StepFunctions.StateMachineDoesNotExistException"));
    let cause = failures[0].cause.as_deref().unwrap();
    assert!(cause.starts_with("State Machine Does Not Exist: 'arn:aws:states:"), "{cause}");
    assert!(cause.contains("Error Code: StateMachineDoesNotExist"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_normalized_meanwhile_needs_no_recovery() {
    let fake = Fake::new(|call| match call.target.as_str() {
        "sluice-normalize" => Reply::Err("Rejected", "{}"),
        "sluice-quarantine" => Reply::Ok(json!({"status": "NORMALIZED"})),
        _ => healthy(call),
    });
    let engine = in_memory(&fake).await;
    put_pipeline(&engine).await;
    engine.start_express(&machine_arn("sluice-normalize"), vec![input(event("01E"))]).await.unwrap();
    idle(&engine).await;
    let description = engine.describe_execution(&execution_arn(RECOVER, "v.01E-0")).await.unwrap();
    assert_eq!(description.summary.status, ExecutionStatus::Succeeded);
    assert_eq!(fake.count("sluice-dlq"), 0);
}

//! How many executions a second the service runs when its tasks do nothing: a printed table.
//!
//! `cargo run --release -p sluice-stepfunctions --example executions [executions]`
//!
//! Two tasks an execution, as in `intake`, with a retrier each. The journal is a file in the folder for temporary files.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_stepfunctions::{
    Engine, Error, Integrations, Location, MachineType, Options, Payload, StateMachineSpec, SyncStatus,
    SystemClock, TaskContext, TaskError,
};

/// Answers at once with the function's own input.
struct Echo;

#[async_trait]
impl Integrations for Echo {
    async fn invoke(&self, _: &str, mut arguments: Value, _: &TaskContext) -> Result<Value, TaskError> {
        Ok(json!({"ExecutedVersion": "$LATEST", "Payload": arguments["Payload"].take(), "StatusCode": 200}))
    }
}

fn definition() -> String {
    let task = |next: Value| {
        let mut state = json!({
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "echo", "Payload": "{% $states.input %}"},
            "TimeoutSeconds": 5,
            "Retry": [{"ErrorEquals": ["Retryable"], "MaxAttempts": 2}],
            "Output": "{% $states.result.Payload %}",
        });
        for (key, value) in next.as_object().into_iter().flatten() {
            state[key] = value.clone();
        }
        state
    };
    json!({
        "QueryLanguage": "JSONata",
        "StartAt": "First",
        "States": {"First": task(json!({"Next": "Second"})), "Second": task(json!({"End": true}))},
    })
    .to_string()
}

fn row(what: &str, executions: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    let rate = executions as f64 / seconds;
    println!("{what:<44} {executions:>8} {seconds:>8.2} s {rate:>10.0}/s {:>9.1} µs", 1e6 / rate);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Error> {
    let executions: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let folder = std::env::temp_dir().join(format!("sluice-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::Internal(error.to_string()))?;
    let location = Location::File(folder.join("stepfunctions.sqlite"));
    let engine = Engine::open(&location, Arc::new(Echo), Arc::new(SystemClock), Options::default()).await?;
    let express = StateMachineSpec::new("express", MachineType::Express, definition());
    let express = Arc::clone(&engine.create_state_machine(express).await?.arn);
    let standard = StateMachineSpec::new("standard", MachineType::Standard, definition());
    let standard = Arc::clone(&engine.create_state_machine(standard).await?.arn);
    let event = json!({"vendorId": "vendorA", "body": "x".repeat(2_000), "headers": {"content-type": "application/json"}});

    println!(
        "{:<44} {:>8} {:>10} {:>12} {:>12}",
        "two tasks that do nothing, 2 KB of input", "runs", "took", "rate", "each"
    );
    for callers in [1, 2, 32] {
        let began = Instant::now();
        let mut running = Vec::new();
        for _ in 0..callers {
            let (engine, express, event) = (engine.clone(), Arc::clone(&express), event.clone());
            running.push(tokio::spawn(async move {
                for _ in 0..executions / callers {
                    let result =
                        engine.start_sync(&express, None, Payload::from_value(event.clone())?).await?;
                    if result.status != SyncStatus::Succeeded {
                        return Err(Error::Internal(format!("{:?}", result.cause)));
                    }
                }
                Ok(())
            }));
        }
        for caller in running {
            caller.await.map_err(|error| Error::Internal(error.to_string()))??;
        }
        row(
            &format!("Express, synchronous, {callers} at a time"),
            executions / callers * callers,
            began.elapsed(),
        );
    }

    for batch in [1, 100] {
        let began = Instant::now();
        for _ in 0..executions / batch {
            let inputs: Result<Vec<_>, _> = (0..batch).map(|_| Payload::from_value(event.clone())).collect();
            engine.start_express(&express, inputs?).await?;
        }
        row(
            &format!("Express, asynchronous, acknowledged, by {batch}"),
            executions / batch * batch,
            began.elapsed(),
        );
        engine.idle().await;
        row(
            &format!("Express, asynchronous, ended, by {batch}"),
            executions / batch * batch,
            began.elapsed(),
        );
    }

    let began = Instant::now();
    let standards = executions / 10;
    let mut starting = Vec::new();
    for caller in 0..32 {
        let (engine, standard, event) = (engine.clone(), Arc::clone(&standard), event.clone());
        starting.push(tokio::spawn(async move {
            for n in 0..standards / 32 {
                let name = format!("{caller}-{n}");
                engine.start_execution(&standard, Some(&name), Payload::from_value(event.clone())?).await?;
            }
            Ok::<_, Error>(())
        }));
    }
    for caller in starting {
        caller.await.map_err(|error| Error::Internal(error.to_string()))??;
    }
    row("Standard, acknowledged, 32 at a time", standards / 32 * 32, began.elapsed());
    engine.idle().await;
    row("Standard, ended", standards / 32 * 32, began.elapsed());

    engine.shutdown(Duration::from_secs(5)).await;
    // What is left in the folder for temporary files is not worth failing for.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

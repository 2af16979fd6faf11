//! How fast the engine alone runs the shipped machines: `cargo run --release -p sluice-asl --example throughput`.
//!
//! Each execution goes from its start to its end on one thread, with the tasks answered at once; what is measured is parsing
//! nothing, storing nothing, and evaluating everything. A figure, not a test.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints a table")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sluice_asl::{
    Definition, Effect, Execution, Input, InputKind, MachineType, Start, Status, Timestamp, placeholders,
    substitute,
};

fn load(file: &str, machine_type: MachineType) -> Arc<Definition> {
    let path = format!("{}/../../state-machines/{file}", env!("CARGO_MANIFEST_DIR"));
    let template = std::fs::read_to_string(path).unwrap();
    let values: BTreeMap<String, String> =
        placeholders(&template).into_iter().map(|name| (name.clone(), format!("arn:{name}"))).collect();
    Arc::new(Definition::parse(&substitute(&template, &values).unwrap(), machine_type).unwrap())
}

/// Runs to the end, answering each task with `answer`.
fn drive(
    definition: &Arc<Definition>,
    input: Value,
    keep_history: bool,
    answer: &dyn Fn(&str) -> Value,
) -> Status {
    let at = Timestamp::from_millis(0);
    let kind = InputKind::Start(Start { input, keep_history, ..Start::example() });
    let (mut execution, mut effects) =
        Execution::start(Arc::clone(definition), Input { at, seed: 1, kind }).unwrap();
    loop {
        let task = effects.into_iter().find_map(|effect| match effect {
            Effect::ScheduleTask(task) => Some(task),
            _ => None,
        });
        let Some(task) = task else { return execution.status().clone() };
        let kind = InputKind::TaskSucceeded { task: task.task, output: answer(&task.state_name) };
        effects = execution.apply(Input { at, seed: 1, kind }).unwrap();
    }
}

fn main() {
    let intake = load("intake.asl.json", MachineType::Express);
    let normalize = load("normalize.asl.json", MachineType::Express);
    let recover = load("recover.asl.json", MachineType::Standard);
    let request = |bytes: usize| {
        let headers: BTreeMap<String, String> =
            (0..12).map(|n| (format!("x-header-{n}"), "value".repeat(6))).collect();
        json!({"method": "POST", "path": "/v1/events", "sourceIp": "127.0.0.1", "requestId": "r", "headers": headers, "body": "A".repeat(bytes)})
    };
    let event = json!({"ingestId": "01JINGEST", "vendorId": "vendorA", "externalEventId": "e-1", "eventType": "inventory_update", "schemaVersion": "1", "occurredAt": "2026-11-21T08:30:00Z", "receivedAt": "2026-11-21T08:30:00Z", "rawRef": {"bucket": "b", "key": "k"}});
    let batch = json!([{"messageId": "m", "body": event.to_string()}]);
    let quarantined = json!({"event": event, "error": {"Error": "Rejected", "Cause": "{}"}});
    let answer = |state: &str| match state {
        "Accept" => {
            json!({"StatusCode": 200, "Payload": {"accepted": {"ingestId": "01J", "vendorId": "v", "digest": "d".repeat(64)}}})
        }
        "PersistRaw" => {
            json!({"StatusCode": 200, "Payload": {"answer": {"statusCode": 202, "headers": {}, "body": "{}"}}})
        }
        "Quarantine" => {
            json!({"StatusCode": 200, "Payload": {"status": "QUARANTINED", "deadLetter": {"ingestId": "01J"}, "failure": {}}})
        }
        _ => json!({"StatusCode": 200, "Payload": {"status": "NORMALIZED"}}),
    };
    let cases: [(&str, &Arc<Definition>, Value, bool); 5] = [
        ("intake, 2 KB", &intake, request(2_000), false),
        ("intake, 190 KB", &intake, request(253_000), false),
        ("normalize", &normalize, batch, false),
        ("recover", &recover, quarantined.clone(), true),
        ("recover, no history", &recover, quarantined, false),
    ];
    println!("{:<22}{:>14}{:>14}", "machine", "executions/s", "µs each");
    for (name, definition, input, keep_history) in cases {
        let _ = drive(definition, input.clone(), keep_history, &answer);
        let begun = Instant::now();
        let mut runs = 0_u32;
        while begun.elapsed().as_millis() < 1_000 {
            let status = drive(definition, input.clone(), keep_history, &answer);
            assert_ne!(status.name(), "RUNNING");
            runs += 1;
        }
        let each = begun.elapsed().as_secs_f64() / f64::from(runs);
        println!("{name:<22}{:>14.0}{:>14.1}", 1.0 / each, each * 1e6);
    }
}

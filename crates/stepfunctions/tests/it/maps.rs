//! Map Runs one by one: what is read, what is run, what is written, what is counted, and what a redrive runs again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_stepfunctions::{
    Engine, Error, ExecutionStatus, Location, MachineType, MapChild, MapChildFilter, MapChildStatus,
    MapRunDescription, MapRunStatus, MapRunUpdate, Options,
};

use crate::support::*;

/// Answers each item with ten times its number.
fn tenfold(call: &Call) -> Reply {
    Reply::Ok(json!(call.payload["n"].as_u64().unwrap() * 10))
}

async fn start(engine: &Engine, more: Value) -> String {
    let machine = put(engine, "m", MachineType::Standard, spread(more)).await;
    engine.start_execution(&machine, Some("e"), input(json!({}))).await.unwrap().execution_arn
}

async fn run_of(engine: &Engine, execution: &str) -> MapRunDescription {
    let (mut runs, next) = engine.list_map_runs(execution, 10, None).await.unwrap();
    assert_eq!((runs.len(), next), (1, None));
    runs.remove(0)
}

async fn children(engine: &Engine, run: &str, status: Option<&str>) -> Vec<MapChild> {
    let status = status.map(|name| MapChildStatus::from_name(name).unwrap());
    let mut all = Vec::new();
    let mut before = None;
    loop {
        // Small pages, so that they are many.
        let filter = MapChildFilter { status, limit: 3, before };
        let (page, next) = engine.list_map_children(run, filter).await.unwrap();
        assert!(page.len() <= 3);
        all.extend(page);
        before = next;
        if next.is_none() {
            return all;
        }
    }
}

async fn output(engine: &Engine, execution: &str) -> Value {
    let description = engine.describe_execution(execution).await.unwrap();
    assert_eq!(description.summary.status, ExecutionStatus::Succeeded, "{description:?}");
    serde_json::from_str(&description.output.unwrap()).unwrap()
}

async fn failure(engine: &Engine, execution: &str) -> (String, String) {
    let description = engine.describe_execution(execution).await.unwrap();
    assert_eq!(description.summary.status, ExecutionStatus::Failed, "{description:?}");
    (description.error.unwrap(), description.cause.unwrap_or_default())
}

/// How often each item was worked on.
fn worked(fake: &Fake) -> BTreeMap<u64, usize> {
    let mut worked = BTreeMap::new();
    for call in fake.calls() {
        *worked.entry(call.payload["n"].as_u64().unwrap()).or_default() += 1;
    }
    worked
}

#[tokio::test(start_paused = true)]
async fn items_of_an_object_become_executions_and_their_outputs_the_result_in_order() {
    // The later an item, the sooner it is done.
    let fake = Fake::new(|call| after(100 - call.payload["n"].as_u64().unwrap() * 10, tenfold(call)));
    fake.put_object("in.jsonl", lines(7));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({"MaxConcurrency": 5})).await;
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await, json!([0, 10, 20, 30, 40, 50, 60]));
    assert_eq!(
        event_types(&engine, &arn).await,
        [
            "ExecutionStarted",
            "MapStateEntered",
            "MapStateStarted",
            "MapRunStarted",
            "MapRunSucceeded",
            "MapStateSucceeded",
            "MapStateExited",
            "ExecutionSucceeded"
        ]
    );
    let run = run_of(&engine, &arn).await;
    assert_eq!((run.status, run.max_concurrency, run.redrive_count), (MapRunStatus::Succeeded, 5, 0));
    assert!(run.map_run_arn.starts_with("arn:aws:states:us-east-1:000000000000:mapRun:m/L:"), "{run:?}");
    for counts in [run.items, run.executions] {
        assert_eq!((counts.total, counts.succeeded, counts.results_written), (7, 7, 7));
        assert_eq!((counts.pending, counts.running, counts.failed), (0, 0, 0));
    }
    let listed = children(&engine, &run.map_run_arn, None).await;
    assert_eq!(listed.iter().map(|child| child.index).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1, 0]);
    let child = &listed[6];
    assert_eq!(child.state_machine_arn, machine_arn("m/L"));
    let described = engine.describe_map_child(&child.execution_arn).await.unwrap();
    assert_eq!(described.input.as_deref(), Some("{\"n\": 0}"), "as it was written");
    assert_eq!((described.output.as_deref(), described.status.name()), (Some("0"), "SUCCEEDED"));
    let call = &fake.calls()[0];
    assert_eq!(call.execution_arn, child.execution_arn);
    for nobody in [
        child.execution_arn.replace("express:m/L:", "express:n/L:"),
        format!("{}x", child.execution_arn),
        "arn:aws:states:us-east-1:000000000000:express:m/L:a:b".to_owned(),
    ] {
        assert_eq!(engine.describe_map_child(&nobody).await.unwrap_err().code(), "ExecutionDoesNotExist");
    }
}

#[tokio::test(start_paused = true)]
async fn items_of_the_state_an_array_in_s3_and_their_selection() {
    let fake = Fake::new(tenfold);
    fake.put_object("in.json", " [ {\"n\": 1} ,{\"n\":2}, {\"n\": 3}]\n");
    let engine = in_memory(&fake).await;
    let selector = json!({"n": "{% $states.context.Map.Item.Value.n + $states.context.Map.Item.Index %}"});
    let reader = json!({"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON", "MaxItems": 2},
                        "Arguments": {"Bucket": "b", "Key": "{% 'in.' & 'json' %}"}});
    let arn = start(&engine, json!({"ItemReader": reader, "ItemSelector": selector})).await;
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await, json!([10, 30]), "only as many as MaxItems");

    let inline = json!({"ItemReader": null, "Items": [{"n": 4}, {"n": 5}], "ResultWriter": {"WriterConfig": {"Transformation": "NONE", "OutputType": "JSON"}}});
    let machine = put(&engine, "inline", MachineType::Standard, spread(inline)).await;
    let arn = engine.start_execution(&machine, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    let records = output(&engine, &arn).await;
    assert_eq!(
        (&records[0]["Input"], &records[0]["Output"], &records[1]["Output"]),
        (&json!("{\"n\":4}"), &json!("40"), &json!("50"))
    );

    let none =
        put(&engine, "none", MachineType::Standard, spread(json!({"ItemReader": null, "Items": []}))).await;
    let arn = engine.start_execution(&none, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await, json!([]));
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_by_items_and_by_bytes() {
    let fake = Fake::new(|call| Reply::Ok(call.payload.clone()));
    fake.put_object("in.jsonl", lines(7));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({"ItemBatcher": {"MaxItemsPerBatch": 3, "BatchInput": {"x": 1}}})).await;
    idle(&engine).await;
    let batches = output(&engine, &arn).await;
    assert_eq!(batches[0], json!({"BatchInput": {"x": 1}, "Items": [{"n": 0}, {"n": 1}, {"n": 2}]}));
    assert_eq!(batches[2], json!({"BatchInput": {"x": 1}, "Items": [{"n": 6}]}));
    let run = run_of(&engine, &arn).await;
    assert_eq!((run.items.total, run.items.succeeded), (7, 7));
    assert_eq!((run.executions.total, run.executions.succeeded), (3, 3));
    assert_eq!(children(&engine, &run.map_run_arn, None).await[0].item_count, 1);

    // `{"Items":[{"n":0},{"n":1}]}` has 27 bytes.
    let bytes = json!({"ItemBatcher": {"MaxInputBytesPerBatch": 27}});
    let machine = put(&engine, "bytes", MachineType::Standard, spread(bytes)).await;
    let arn = engine.start_execution(&machine, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    let batches = output(&engine, &arn).await;
    assert_eq!(
        batches,
        json!([{"Items": [{"n": 0}, {"n": 1}]}, {"Items": [{"n": 2}, {"n": 3}]}, {"Items": [{"n": 4}, {"n": 5}]}, {"Items": [{"n": 6}]}])
    );
    let small = put(
        &engine,
        "small",
        MachineType::Standard,
        spread(json!({"ItemBatcher": {"MaxInputBytesPerBatch": 12}})),
    )
    .await;
    let arn = engine.start_execution(&small, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    assert_eq!(failure(&engine, &arn).await.0, "States.DataLimitExceeded");
}

/// Item 2 is refused and item 4 hangs until its execution is out of time, unless `healed`.
fn troubled(healed: &Arc<AtomicBool>) -> Arc<Fake> {
    let healed = Arc::clone(healed);
    Fake::new(move |call| match call.payload["n"].as_u64() {
        _ if healed.load(Ordering::SeqCst) => tenfold(call),
        Some(2) => Reply::Err("Rejected", "{\"code\": \"x\"}"),
        Some(4) => Reply::Hang,
        _ => tenfold(call),
    })
}

#[tokio::test(start_paused = true)]
async fn results_are_written_as_aws_writes_them() {
    let fake = troubled(&Arc::default());
    fake.put_object("in.jsonl", lines(6));
    let engine = in_memory(&fake).await;
    let writer =
        json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "out/x"}});
    let arn = start(&engine, json!({"ResultWriter": writer, "ToleratedFailureCount": 2})).await;
    idle(&engine).await;
    let run = run_of(&engine, &arn).await;
    let id = run.map_run_arn.rsplit(':').next().unwrap();
    let manifest = format!("out/x/{id}/manifest.json");
    assert_eq!(
        output(&engine, &arn).await,
        json!({"MapRunArn": run.map_run_arn, "ResultWriterDetails": {"Bucket": "b", "Key": manifest}})
    );
    assert_eq!(
        (run.items.succeeded, run.items.failed, run.items.timed_out, run.items.results_written),
        (4, 1, 1, 6)
    );
    let objects = fake.objects();
    let written: Value = serde_json::from_str(&objects[&manifest]).unwrap();
    let (failed, succeeded) = (format!("out/x/{id}/FAILED_0.json"), format!("out/x/{id}/SUCCEEDED_0.json"));
    assert_eq!(
        written,
        json!({"DestinationBucket": "b", "MapRunArn": run.map_run_arn, "ResultFiles": {
            "FAILED": [{"Key": failed, "Size": objects[&failed].len()}], "PENDING": [],
            "SUCCEEDED": [{"Key": succeeded, "Size": objects[&succeeded].len()}],
        }})
    );
    let failed: Value = serde_json::from_str(&objects[&failed]).unwrap();
    let record = &failed[0];
    let members: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "ExecutionArn",
            "Input",
            "InputDetails",
            "Name",
            "Error",
            "Cause",
            "RedriveCount",
            "RedriveStatus",
            "StartDate",
            "StateMachineArn",
            "Status",
            "StopDate"
        ]
    );
    assert_eq!(
        (&record["Error"], &record["Status"], &record["Input"]),
        (&json!("Rejected"), &json!("FAILED"), &json!("{\"n\": 2}"))
    );
    assert_eq!((&failed[1]["Status"], &failed[1]["Input"]), (&json!("TIMED_OUT"), &json!("{\"n\": 4}")));
    let succeeded: Value = serde_json::from_str(&objects[&succeeded]).unwrap();
    assert_eq!(succeeded.as_array().unwrap().len(), 4);
    assert_eq!(
        (&succeeded[3]["Output"], &succeeded[3]["RedriveStatus"]),
        (&json!("50"), &json!("NOT_REDRIVABLE"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_forms_of_results() {
    let fake = Fake::new(|call| match call.payload["n"].as_u64() {
        Some(1) => Reply::Err("Rejected", "no"),
        n => Reply::Ok(json!([n, n])),
    });
    fake.put_object("in.jsonl", lines(3));
    let engine = in_memory(&fake).await;
    let config = json!({"Transformation": "FLATTEN", "OutputType": "JSON"});
    let arn =
        start(&engine, json!({"ResultWriter": {"WriterConfig": config}, "ToleratedFailurePercentage": 50}))
            .await;
    idle(&engine).await;
    let flat = output(&engine, &arn).await;
    assert_eq!((&flat[0], &flat[1], &flat[3], &flat[4]), (&json!(0), &json!(0), &json!(2), &json!(2)));
    assert_eq!(
        (&flat[2]["Status"], &flat[2]["Error"]),
        (&json!("FAILED"), &json!("Rejected")),
        "a failure is whole"
    );

    let writer = json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"}, "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}});
    let lines = put(
        &engine,
        "lines",
        MachineType::Standard,
        spread(json!({"ResultWriter": writer, "ToleratedFailureCount": 1})),
    )
    .await;
    let arn = engine.start_execution(&lines, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    let id = run_of(&engine, &arn).await.map_run_arn.rsplit(':').next().unwrap().to_owned();
    assert_eq!(fake.objects()[&format!("{id}/SUCCEEDED_0.jsonl")], "[0,0]\n[2,2]\n");
}

#[tokio::test(start_paused = true)]
async fn more_failures_than_are_tolerated_fail_the_run_and_a_redrive_runs_the_rest() {
    let healed = Arc::new(AtomicBool::new(false));
    let fake = troubled(&healed);
    fake.put_object("in.jsonl", lines(9));
    let engine = in_memory(&fake).await;
    let writer =
        json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "out"}});
    // One at a time: item 2 fails, and what comes after it is not started.
    let arn = start(&engine, json!({"MaxConcurrency": 1, "ResultWriter": writer})).await;
    idle(&engine).await;
    assert_eq!(
        failure(&engine, &arn).await,
        (
            "States.ExceedToleratedFailureThreshold".to_owned(),
            "The specified tolerated failure threshold was exceeded".to_owned()
        )
    );
    let run = run_of(&engine, &arn).await;
    assert_eq!(
        (run.status, run.items.succeeded, run.items.failed, run.items.pending),
        (MapRunStatus::Failed, 2, 1, 6)
    );
    let id = run.map_run_arn.rsplit(':').next().unwrap().to_owned();
    let before = fake.objects();
    let pending: Value = serde_json::from_str(&before[&format!("out/{id}/PENDING_0.json")]).unwrap();
    assert_eq!(pending.as_array().unwrap().len(), 6);
    assert_eq!(
        pending[0],
        json!({"Input": "{\"n\": 3}", "InputDetails": {"Included": true}, "Status": "PENDING"})
    );

    healed.store(true, Ordering::SeqCst);
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    let run = run_of(&engine, &arn).await;
    assert_eq!(
        (run.status, run.redrive_count, run.items.succeeded, run.items.total),
        (MapRunStatus::Succeeded, 1, 9, 9)
    );
    assert_eq!(
        worked(&fake).into_iter().filter(|(_, times)| *times > 1).collect::<Vec<_>>(),
        [(2, 2)],
        "only what failed ran again"
    );
    let again = engine
        .describe_map_child(&children(&engine, &run.map_run_arn, None).await[6].execution_arn)
        .await
        .unwrap();
    assert_eq!((again.index, again.redrive_count, again.status.name()), (2, 1, "SUCCEEDED"));
    let after = fake.objects();
    assert!(before.iter().all(|(key, body)| after[key] == *body), "nothing that was written has changed");
    let manifest: Value = serde_json::from_str(&after[&format!("out/{id}/Redrive-1/manifest.json")]).unwrap();
    assert_eq!(manifest["ResultFiles"]["FAILED"], json!([]));
    let types = event_types(&engine, &arn).await;
    assert!(types.contains(&"MapRunFailed") && types.contains(&"MapRunRedriven"), "{types:?}");
}

#[tokio::test(start_paused = true)]
async fn thresholds_are_of_items_and_a_share_is_of_all_of_them() {
    for (more, fails) in [
        (json!({"ToleratedFailureCount": 2}), false),
        (json!({"ToleratedFailureCount": 1}), true),
        (json!({"ToleratedFailurePercentage": 20}), false),
        (json!({"ToleratedFailurePercentage": 19.9}), true),
        (json!({"ToleratedFailurePercentage": 100}), false),
        (json!({"ToleratedFailureCount": 5, "ToleratedFailurePercentage": 10}), true),
        (json!({}), true),
    ] {
        let fake = Fake::new(|call| match call.payload["n"].as_u64() {
            Some(1 | 8) => Reply::Err("Rejected", "no"),
            _ => tenfold(call),
        });
        fake.put_object("in.jsonl", lines(10));
        let engine = in_memory(&fake).await;
        let arn = start(&engine, more.clone()).await;
        idle(&engine).await;
        let status = engine.describe_execution(&arn).await.unwrap().summary.status;
        assert_eq!(status == ExecutionStatus::Failed, fails, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_counts_the_items_that_have_not_run_yet() {
    // The first item of ten fails before any other has ended.
    let fake = Fake::new(|call| match call.payload["n"].as_u64() {
        Some(0) => Reply::Err("Rejected", "no"),
        _ => tenfold(call),
    });
    fake.put_object("in.jsonl", lines(10));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({"MaxConcurrency": 1, "ToleratedFailurePercentage": 10})).await;
    idle(&engine).await;
    let run = run_of(&engine, &arn).await;
    assert_eq!((run.status, run.items.succeeded, run.items.failed), (MapRunStatus::Succeeded, 9, 1));
}

#[tokio::test(start_paused = true)]
async fn a_redrive_while_children_are_under_way_runs_each_failed_child_again() {
    let healed = Arc::new(AtomicBool::new(false));
    let heals = Arc::clone(&healed);
    // Item 1 fails at once, item 2 ends well and item 3 fails a second later, when the run has been stopped and redriven.
    let fake = Fake::new(move |call| match call.payload["n"].as_u64() {
        _ if heals.load(Ordering::SeqCst) => tenfold(call),
        Some(1) => Reply::Err("Rejected", "no"),
        Some(2) => after(1_000, tenfold(call)),
        Some(3) => after(1_000, Reply::Err("Rejected", "late")),
        _ => tenfold(call),
    });
    fake.put_object("in.jsonl", lines(5));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({"ToleratedFailureCount": 3})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    engine.stop_execution(&arn, None, None).await.unwrap();
    healed.store(true, Ordering::SeqCst);
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    let run = run_of(&engine, &arn).await;
    assert!(children(&engine, &run.map_run_arn, Some("PENDING_REDRIVE")).await.is_empty(), "{run:?}");
    assert_eq!((run.status, run.redrive_count), (MapRunStatus::Succeeded, 1));
    assert_eq!((run.items.succeeded, run.items.failed, run.items.pending_redrive), (5, 0, 0), "{run:?}");
    assert_eq!(run.executions, run.items);
    assert_eq!(
        worked(&fake),
        [(0, 1), (1, 2), (2, 1), (3, 2), (4, 1)].into(),
        "what ended well is not repeated"
    );
    assert_eq!(output(&engine, &arn).await, json!([0, 10, 20, 30, 40]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_or_written_fails_by_its_name() {
    let fake = Fake::new(tenfold);
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({})).await;
    idle(&engine).await;
    let (error, cause) = failure(&engine, &arn).await;
    assert_eq!(error, "States.ItemReaderFailed");
    assert_eq!(cause, "Failed to read s3://b/in.jsonl: S3.NoSuchKey: The specified key does not exist.");
    // The same run goes on once the object is there.
    fake.put_object("in.jsonl", "{\"n\": 1}\nnonsense\n{\"n\": 2}\n");
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    let (error, cause) = failure(&engine, &arn).await;
    assert_eq!(error, "States.ItemReaderFailed");
    assert!(cause.starts_with("Failed to read items from s3://b/in.jsonl: item 1 is not JSON: "), "{cause}");
    assert!(fake.calls().is_empty(), "no item is run before all are read");
    fake.put_object("in.jsonl", lines(3));
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await, json!([0, 10, 20]));
    assert_eq!(run_of(&engine, &arn).await.redrive_count, 2);

    let writer =
        json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "out"}});
    let machine = put(&engine, "w", MachineType::Standard, spread(json!({"ResultWriter": writer}))).await;
    fake.fail_writes(Some("not for you"));
    let arn = engine.start_execution(&machine, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    let (error, cause) = failure(&engine, &arn).await;
    assert_eq!(error, "States.ResultWriterFailed");
    assert!(cause.ends_with("S3.AccessDenied: not for you"), "{cause}");
    let calls = fake.calls().len();
    fake.fail_writes(None);
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    output(&engine, &arn).await;
    assert_eq!(fake.calls().len(), calls, "the results are written, nothing is run again");
}

#[tokio::test(start_paused = true)]
async fn an_item_without_an_input_and_results_that_are_too_large_fail_the_run() {
    let fake = Fake::new(|_| Reply::Ok("x".repeat(100_000).into()));
    fake.put_object("in.jsonl", lines(3));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({})).await;
    idle(&engine).await;
    assert_eq!(failure(&engine, &arn).await.0, "States.DataLimitExceeded");
    let selector = json!({"ItemSelector": "{% $states.context.Map.Item.Value.n = 1 ? $none : 1 %}"});
    let machine = put(&engine, "s", MachineType::Standard, spread(selector)).await;
    let arn = engine.start_execution(&machine, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    let (error, cause) = failure(&engine, &arn).await;
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(cause.contains("at item 1."), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_aborts_the_run_at_once_and_a_redrive_goes_on_with_it() {
    let fake = Fake::new(|call| after(1_000, tenfold(call)));
    fake.put_object("in.jsonl", lines(10));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({"MaxConcurrency": 2})).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let run = run_of(&engine, &arn).await;
    assert_eq!((run.items.succeeded, run.items.running, run.items.pending), (4, 2, 4));
    let running = children(&engine, &run.map_run_arn, Some("RUNNING")).await;
    assert_eq!(running.iter().map(|child| child.index).collect::<Vec<_>>(), [5, 4]);
    engine.stop_execution(&arn, None, None).await.unwrap();
    assert_eq!(run_of(&engine, &arn).await.status, MapRunStatus::Aborted);
    // Redriven while two are still under way: they come to their end first, and are not run a second time.
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await.as_array().unwrap().len(), 10);
    assert!(worked(&fake).values().all(|times| *times == 1), "{:?}", worked(&fake));

    let mut timed = spread(json!({}));
    timed["Spread"]["ItemProcessor"]["States"]["Work"] = task("work", None);
    let definition =
        json!({"QueryLanguage": "JSONata", "StartAt": "Spread", "TimeoutSeconds": 1, "States": timed});
    let spec =
        sluice_stepfunctions::StateMachineSpec::new("timed", MachineType::Standard, definition.to_string());
    let machine = engine.put_state_machine(spec).await.unwrap().arn.to_string();
    let arn = engine.start_execution(&machine, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    let description = engine.describe_execution(&arn).await.unwrap();
    assert_eq!(description.summary.status, ExecutionStatus::TimedOut);
    assert_eq!(run_of(&engine, &arn).await.status, MapRunStatus::Aborted);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_changed_while_it_goes_on() {
    let at_once = Arc::new(AtomicU64::new(0));
    let fake = Fake::new(move |call| match call.payload["n"].as_u64() {
        Some(n) if n % 2 == 1 => after(1_000, Reply::Err("Rejected", "no")),
        _ => after(1_000, tenfold(call)),
    });
    drop(at_once);
    fake.put_object("in.jsonl", lines(40));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({"MaxConcurrency": 1, "ToleratedFailureCount": 30})).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let run = run_of(&engine, &arn).await.map_run_arn;
    assert_eq!(fake.calls().len(), 3);
    let update = |max_concurrency, tolerated_failure_count, tolerated_failure_percentage| MapRunUpdate {
        max_concurrency,
        tolerated_failure_count,
        tolerated_failure_percentage,
    };
    engine.update_map_run(&run, update(Some(8), None, None)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.calls().len(), 10, "eight at once, from now on");
    assert_eq!(run_of(&engine, &arn).await.max_concurrency, 8);
    engine.update_map_run(&run, update(None, Some(2), None)).await.unwrap();
    idle(&engine).await;
    assert_eq!(failure(&engine, &arn).await.0, "States.ExceedToleratedFailureThreshold");
    assert!(fake.calls().len() < 40);
    let refused = engine.update_map_run(&run, update(Some(1), None, None)).await.unwrap_err();
    assert_eq!(refused.code(), "ValidationException");
    let nobody = run.replace("mapRun:m/L:", "mapRun:m/M:");
    assert_eq!(
        engine.update_map_run(&nobody, MapRunUpdate::default()).await.unwrap_err().code(),
        "ResourceNotFound"
    );
    assert!(matches!(engine.describe_map_run(&arn).await, Err(Error::InvalidArn(_))));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_what_was_journaled_is_not_run_again_and_the_rest_is() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::File(directory.path().join("j.sqlite"));
    let fake = Fake::new(|call| after(500, tenfold(call)));
    fake.put_object("in.jsonl", lines(20));
    let options = |seed| Options { map_run_concurrency: 3, ..simulated(seed) };
    let engine = open(&location, &fake, options(1)).await;
    let arn = start(&engine, json!({})).await;
    // Three rounds are journaled, and the fourth is under way.
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    let before = run_of(&engine, &arn).await;
    assert_eq!((before.items.succeeded, before.items.running), (9, 3));
    drop(engine);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let engine = open(&location, &fake, options(2)).await;
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await.as_array().unwrap().len(), 20);
    let worked = worked(&fake);
    for (item, times) in worked {
        assert_eq!(times, if (9..12).contains(&item) { 2 } else { 1 }, "item {item}");
    }
    let after = run_of(&engine, &arn).await;
    assert_eq!((after.map_run_arn, after.items.succeeded), (before.map_run_arn, 20));
}

#[tokio::test(start_paused = true)]
async fn the_object_must_stay_as_it_was_for_a_run_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::File(directory.path().join("j.sqlite"));
    let fake = Fake::new(|call| after(500, tenfold(call)));
    fake.put_object("in.jsonl", lines(20));
    let engine = open(&location, &fake, simulated(1)).await;
    let arn = start(&engine, json!({"MaxConcurrency": 1})).await;
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    drop(engine);
    tokio::time::sleep(Duration::from_millis(1)).await;
    fake.put_object("in.jsonl", lines(21));
    let engine = open(&location, &fake, simulated(2)).await;
    idle(&engine).await;
    let (error, cause) = failure(&engine, &arn).await;
    assert_eq!(error, "States.ItemReaderFailed");
    assert!(cause.contains("not the one that the Map Run began with"), "{cause}");
    fake.put_object("in.jsonl", lines(20));
    engine.redrive_execution(&arn, None).await.unwrap();
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await.as_array().unwrap().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_the_run_to_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::File(directory.path().join("j.sqlite"));
    let fake = Fake::new(|call| after(300, tenfold(call)));
    fake.put_object("in.jsonl", lines(12));
    let engine = open(&location, &fake, simulated(1)).await;
    let arn = start(&engine, json!({"MaxConcurrency": 2})).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    engine.shutdown(Duration::from_secs(5)).await;
    drop(engine);
    let engine = open(&location, &fake, simulated(2)).await;
    assert_eq!(run_of(&engine, &arn).await.status, MapRunStatus::Running);
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await.as_array().unwrap().len(), 12);
    assert!(worked(&fake).values().all(|times| *times == 1), "those under way came to their end");
}

#[tokio::test(start_paused = true)]
async fn a_machine_asks_what_became_of_its_map_run() {
    let fake = troubled(&Arc::default());
    fake.put_object("in.jsonl", lines(6));
    let engine = in_memory(&fake).await;
    let writer =
        json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "out"}});
    let mut states =
        spread(json!({"ToleratedFailurePercentage": 100, "ResultWriter": writer, "Next": "Ask"}));
    states["Spread"].as_object_mut().unwrap().remove("End");
    states["Ask"] = json!({
        "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:describeMapRun", "End": true,
        "Arguments": {"MapRunArn": "{% $states.input.MapRunArn %}"},
        "Output": "{% $states.result.ItemCounts.[Succeeded, Failed, TimedOut, Total] %}",
    });
    let machine = put(&engine, "ask", MachineType::Standard, states).await;
    let arn = engine.start_execution(&machine, None, input(json!({}))).await.unwrap().execution_arn;
    idle(&engine).await;
    assert_eq!(output(&engine, &arn).await, json!([4, 1, 1, 6]));
}

#[tokio::test(start_paused = true)]
async fn deleting_the_machine_erases_its_map_runs() {
    let fake = Fake::new(tenfold);
    fake.put_object("in.jsonl", lines(5));
    let engine = in_memory(&fake).await;
    let arn = start(&engine, json!({})).await;
    idle(&engine).await;
    let run = run_of(&engine, &arn).await.map_run_arn;
    engine.delete_state_machine(&engine.state_machine_arn("m")).await.unwrap();
    assert_eq!(engine.describe_map_run(&run).await.unwrap_err().code(), "ResourceNotFound");
}

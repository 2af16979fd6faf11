//! What is in the journal and what is not: crashes, backlogs, names, versions, shutdown. A crash is an engine that is
//! dropped without a shutdown; `kill.rs` kills a process for good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::*;
use serde_json::json;
use sluice_stepfunctions::{
    Engine, Error, ExecutionFilter, ExecutionStatus, Location, MachineType, Options, SyncStatus,
};

fn file(directory: &tempfile::TempDir) -> Location {
    Location::File(directory.path().join("stepfunctions.sqlite"))
}

async fn status(engine: &Engine, arn: &str) -> ExecutionStatus {
    engine.describe_execution(arn).await.unwrap().summary.status
}

/// Lets what is running run until nothing happens at the current time any more.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Two tasks, of which the second hangs until `opened`.
fn first_then_hanging(opened: &Arc<AtomicUsize>) -> Arc<Fake> {
    let opened = Arc::clone(opened);
    Fake::new(move |call| match call.target.as_str() {
        "second" if opened.load(Ordering::SeqCst) == 0 => Reply::Hang,
        _ => Reply::Ok(json!({"from": call.target})),
    })
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_standard_execution_repeats_the_task_that_was_under_way_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Arc::new(AtomicUsize::new(0));
    let fake = first_then_hanging(&opened);
    let engine = open(&file(&directory), &fake, simulated(1)).await;
    let states = json!({"First": task("first", Some("Second")), "Second": task("second", None)});
    let arn = put(&engine, "m", MachineType::Standard, states).await;
    let started = engine.start_execution(&arn, Some("e"), input(json!({}))).await.unwrap();
    settle().await;
    assert_eq!(fake.targets(), ["first", "second"]);
    let before = event_types(&engine, &started.execution_arn).await;
    drop(engine);
    settle().await;
    opened.store(1, Ordering::SeqCst);
    let engine = open(&file(&directory), &fake, simulated(2)).await;
    idle(&engine).await;
    assert_eq!(fake.targets(), ["first", "second", "second"]);
    let after = event_types(&engine, &started.execution_arn).await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.iter().filter(|name| **name == "TaskScheduled").count(), 2);
    let description = engine.describe_execution(&started.execution_arn).await.unwrap();
    assert_eq!(description.summary.status, ExecutionStatus::Succeeded);
    assert_eq!(description.summary.started_at, started.started_at);
    assert_eq!(description.output.as_deref(), Some("{\"from\":\"second\"}"));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_an_asynchronous_express_execution_starts_again_and_a_synchronous_one_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Arc::new(AtomicUsize::new(0));
    let fake = first_then_hanging(&opened);
    let engine = open(&file(&directory), &fake, simulated(1)).await;
    let states = json!({"First": task("first", Some("Second")), "Second": task("second", None)});
    let arn = put(&engine, "m", MachineType::Express, states).await;
    engine.start_express(&arn, vec![input(json!({"n": 1}))]).await.unwrap();
    let synchronous = {
        let (engine, arn) = (engine.clone(), arn.clone());
        tokio::spawn(async move { engine.start_sync(&arn, None, input(json!({"n": 2}))).await })
    };
    settle().await;
    assert_eq!(fake.calls().len(), 4);
    synchronous.abort();
    assert!(synchronous.await.unwrap_err().is_cancelled());
    drop(engine);
    settle().await;
    opened.store(1, Ordering::SeqCst);
    let engine = open(&file(&directory), &fake, simulated(2)).await;
    idle(&engine).await;
    let again: Vec<_> =
        fake.calls()[4..].iter().map(|call| (call.target.clone(), call.payload.clone())).collect();
    assert_eq!(again, [("first".into(), json!({"n": 1})), ("second".into(), json!({"from": "first"}))]);
    drop(engine);
    settle().await;
    // Its end is in the journal.
    let engine = open(&file(&directory), &fake, simulated(3)).await;
    idle(&engine).await;
    settle().await;
    assert_eq!(fake.calls().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_of_a_synchronous_start_does_not_stop_the_execution() {
    let fake = Fake::new(|_| after(1_000, Reply::Ok(json!({}))));
    let engine = in_memory(&fake).await;
    let states = json!({"First": task("first", Some("Second")), "Second": task("second", None)});
    let arn = put(&engine, "m", MachineType::Express, states).await;
    let waited =
        tokio::time::timeout(Duration::from_millis(500), engine.start_sync(&arn, None, input(json!({}))));
    waited.await.unwrap_err();
    idle(&engine).await;
    assert_eq!(fake.targets(), ["first", "second"]);
    assert_eq!(fake.cancelled().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_keeps_its_time_over_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::new(|call| match call.earlier {
        0 => Reply::Err("Busy", ""),
        _ => Reply::Ok(json!({})),
    });
    let engine = open(&file(&directory), &fake, simulated(1)).await;
    let mut state = task("busy", None);
    state["Retry"] = json!([{"ErrorEquals": ["Busy"], "IntervalSeconds": 100}]);
    let arn = put(&engine, "m", MachineType::Standard, json!({"Busy": state})).await;
    let started = engine.start_execution(&arn, None, input(json!({}))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    drop(engine);
    settle().await;
    // The clock goes on from where the first engine saw it, as if the restart took no time.
    let clock = sluice_stepfunctions::TokioClock::starting_at(started.started_at.plus_seconds(40));
    let fake_dyn: Arc<dyn sluice_stepfunctions::Integrations> = fake.clone();
    let engine = Engine::open(&file(&directory), fake_dyn, Arc::new(clock), simulated(2)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(fake.calls().len(), 1);
    idle(&engine).await;
    let description = engine.describe_execution(&started.execution_arn).await.unwrap();
    assert_eq!(description.summary.status, ExecutionStatus::Succeeded);
    let stopped = description.summary.stopped_at.unwrap().as_millis() - started.started_at.as_millis();
    assert!((100_000..100_100).contains(&stopped), "{stopped}");
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_state_does_not_run_while_its_task_waits_for_a_turn() {
    let queued = |work_millis| {
        Fake::new(move |_| {
            let work = after(work_millis, Reply::Ok(json!("done")));
            Reply::Queued(Duration::from_secs(60), Box::new(work))
        })
    };
    let mut state = task("f", None);
    state["TimeoutSeconds"] = 5.into();
    for machine_type in [MachineType::Standard, MachineType::Express] {
        for (work_millis, succeeds) in [(4_900, true), (5_100, false)] {
            let fake = queued(work_millis);
            let engine = in_memory(&fake).await;
            // The other branch has a timer of its own, which goes on.
            let other =
                json!({"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 7, "End": true}}});
            let branch = json!({"StartAt": "Call", "States": {"Call": state}});
            let parallel = json!({"Type": "Parallel", "Branches": [branch, other], "End": true});
            let arn = put(&engine, "m", machine_type, json!({ "Both": parallel })).await;
            let error = if machine_type == MachineType::Standard {
                let started = engine.start_execution(&arn, Some("e"), input(json!({}))).await.unwrap();
                idle(&engine).await;
                engine.describe_execution(&started.execution_arn).await.unwrap().error
            } else {
                engine.start_sync(&arn, None, input(json!({}))).await.unwrap().error
            };
            assert_eq!(
                error,
                (!succeeds).then(|| "States.Timeout".to_owned()),
                "{machine_type:?} {work_millis}"
            );
            assert_eq!(fake.calls().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_task_that_waited_for_its_turn_has_its_whole_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::new(|_| {
        let work = after(4_000, Reply::Ok(json!("done")));
        Reply::Queued(Duration::from_secs(60), Box::new(work))
    });
    let engine = open(&file(&directory), &fake, simulated(1)).await;
    let mut state = task("f", None);
    state["TimeoutSeconds"] = 5.into();
    let arn = put(&engine, "m", MachineType::Standard, json!({ "Call": state })).await;
    let started = engine.start_execution(&arn, Some("e"), input(json!({}))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    drop(engine);
    settle().await;
    let engine = open(&file(&directory), &fake, simulated(2)).await;
    idle(&engine).await;
    assert_eq!(status(&engine, &started.execution_arn).await, ExecutionStatus::Succeeded);
    assert_eq!(fake.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_takes_no_place_among_the_running() {
    let fake = Fake::new(healthy);
    let options = Options { standard_concurrency: 1, ..simulated(1) };
    let engine = open(&Location::Memory, &fake, options).await;
    let wait = json!({"Wait": {"Type": "Wait", "Seconds": 86_400, "End": true}});
    let waiting = put(&engine, "waiting", MachineType::Standard, wait).await;
    let quick = json!({"Pass": {"Type": "Pass", "End": true}});
    let quick = put(&engine, "quick", MachineType::Standard, quick).await;
    let mut waiters = Vec::new();
    for n in 0..5 {
        waiters.push(engine.start_execution(&waiting, None, input(json!({ "n": n }))).await.unwrap());
    }
    let quick = engine.start_execution(&quick, None, input(json!({}))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(status(&engine, &quick.execution_arn).await, ExecutionStatus::Succeeded);
    // A waiter can be stopped while it is out of memory.
    engine.stop_execution(&waiters[0].execution_arn, None, None).await.unwrap();
    assert_eq!(status(&engine, &waiters[0].execution_arn).await, ExecutionStatus::Aborted);
    idle(&engine).await;
    for waiter in &waiters[1..] {
        let summary = engine.describe_execution(&waiter.execution_arn).await.unwrap().summary;
        assert_eq!(summary.status, ExecutionStatus::Succeeded);
        let took = summary.stopped_at.unwrap().as_millis() - summary.started_at.as_millis();
        assert!((86_400_000..86_401_000).contains(&took), "{took}");
    }
}

/// Counts the calls under way.
fn counting(most: &Arc<AtomicUsize>) -> Arc<Fake> {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::clone(most));
    Fake::new(move |_| {
        let begun = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(begun, Ordering::SeqCst);
        let now = Arc::clone(&now);
        let ended = move |_: &Call| {
            now.fetch_sub(1, Ordering::SeqCst);
        };
        Reply::After(Duration::from_secs(1), Box::new(Reply::Run(Box::new(ended))))
    })
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_set_number_of_express_executions_run_and_they_begin_in_order() {
    let most = Arc::new(AtomicUsize::new(0));
    let fake = counting(&most);
    let options = Options { express_concurrency: 4, express_prefetch: 8, ..simulated(1) };
    let engine = open(&Location::Memory, &fake, options).await;
    let arn = put(&engine, "m", MachineType::Express, json!({"Call": task("f", None)})).await;
    let mut n = 0;
    for size in [3, 1, 20, 2, 8, 9, 100, 1] {
        let inputs = (n..n + size).map(|n| input(json!({ "n": n }))).collect();
        n += size;
        engine.start_express(&arn, inputs).await.unwrap();
        if size == 2 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    assert_eq!(engine.unfinished(), n - 12);
    idle(&engine).await;
    assert_eq!(most.load(Ordering::SeqCst), 4);
    let order: Vec<u64> = fake.calls().iter().map(|call| call.payload["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..n as u64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_set_number_of_standard_executions_run() {
    let most = Arc::new(AtomicUsize::new(0));
    let fake = counting(&most);
    let options = Options { standard_concurrency: 3, ..simulated(1) };
    let engine = open(&Location::Memory, &fake, options).await;
    let arn = put(&engine, "m", MachineType::Standard, json!({"Call": task("f", None)})).await;
    for n in 0..20 {
        engine.start_execution(&arn, Some(&format!("e{n}")), input(json!({ "n": n }))).await.unwrap();
    }
    idle(&engine).await;
    assert_eq!((most.load(Ordering::SeqCst), fake.calls().len()), (3, 20));
}

#[tokio::test(start_paused = true)]
async fn an_execution_keeps_its_definition_through_updates_and_redrives() {
    let fake = Fake::new(|call| match call.earlier {
        0 => Reply::Err("Broken", ""),
        _ => Reply::Ok(json!("first definition")),
    });
    let engine = in_memory(&fake).await;
    let arn = put(&engine, "m", MachineType::Standard, json!({"Call": task("old", None)})).await;
    let old = engine.start_execution(&arn, Some("old"), input(json!({}))).await.unwrap();
    idle(&engine).await;
    let pass = json!({"Pass": {"Type": "Pass", "Output": "second definition", "End": true}});
    put(&engine, "m", MachineType::Standard, pass).await;
    // Long after the first version was replaced it is still needed.
    tokio::time::sleep(Duration::from_secs(10 * 3600)).await;
    let new = engine.start_execution(&arn, Some("new"), input(json!({}))).await.unwrap();
    engine.redrive_execution(&old.execution_arn, None).await.unwrap();
    idle(&engine).await;
    let output = async |arn: &str| engine.describe_execution(arn).await.unwrap().output.unwrap();
    assert_eq!(output(&old.execution_arn).await, "\"first definition\"");
    assert_eq!(output(&new.execution_arn).await, "\"second definition\"");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_changes_nothing_adds_no_version() {
    let engine = in_memory(&Fake::new(healthy)).await;
    put_pipeline(&engine).await;
    let first = engine.describe_state_machine(&machine_arn("sluice-recover")).unwrap();
    put_pipeline(&engine).await;
    let second = engine.describe_state_machine(&machine_arn("sluice-recover")).unwrap();
    assert!(Arc::ptr_eq(&first.version, &second.version));
    assert_eq!(second.version.revision_id, None);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_again_90_days_after_the_execution_closed() {
    const DAY: u64 = 24 * 3600;
    let engine = in_memory(&Fake::new(healthy)).await;
    let arn = put(&engine, "m", MachineType::Standard, json!({"Pass": {"Type": "Pass", "End": true}})).await;
    let start = async || engine.start_execution(&arn, Some("e"), input(json!({}))).await;
    let first = start().await.unwrap();
    idle(&engine).await;
    tokio::time::sleep(Duration::from_secs(90 * DAY - 1)).await;
    assert!(matches!(start().await, Err(Error::ExecutionAlreadyExists(_))));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = start().await.unwrap();
    assert_eq!(second.execution_arn, first.execution_arn);
    assert!(second.started_at > first.started_at);
    idle(&engine).await;
    // The hourly maintenance erases what is past its time.
    tokio::time::sleep(Duration::from_secs(90 * DAY + 2 * 3600)).await;
    let described = engine.describe_execution(&second.execution_arn).await;
    assert!(matches!(described, Err(Error::ExecutionDoesNotExist(_))));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_what_runs_and_leaves_the_rest_for_the_next_time() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::new(|_| after(1_000, Reply::Ok(json!({}))));
    let options = Options { express_concurrency: 1, ..simulated(1) };
    let engine = open(&file(&directory), &fake, options.clone()).await;
    let states = json!({"First": task("first", Some("Second")), "Second": task("second", None)});
    let express = put(&engine, "x", MachineType::Express, states.clone()).await;
    let standard = put(&engine, "s", MachineType::Standard, states).await;
    let begun = engine.start_execution(&standard, Some("e"), input(json!({}))).await.unwrap();
    engine.start_express(&express, vec![input(json!(1)), input(json!(2))]).await.unwrap();
    let waiting = {
        let (engine, express) = (engine.clone(), express.clone());
        tokio::spawn(async move { engine.start_sync(&express, None, input(json!(3))).await })
    };
    settle().await;
    engine.shutdown(Duration::from_secs(10)).await;
    // The synchronous execution and the begun Express execution came to their ends, the Standard one to the end of its
    // first task.
    assert_eq!(waiting.await.unwrap().unwrap().status, SyncStatus::Succeeded);
    let mut targets = fake.targets();
    targets.sort();
    assert_eq!(targets, ["first", "first", "first", "second", "second"]);
    assert!(fake.cancelled().is_empty());
    let refused = engine.start_execution(&standard, None, input(json!({}))).await;
    assert!(matches!(refused, Err(Error::ShuttingDown)));
    let refused = engine.start_sync(&express, None, input(json!({}))).await;
    assert!(matches!(refused, Err(Error::ShuttingDown)));
    drop(engine);
    let engine = open(&file(&directory), &fake, options).await;
    assert_eq!(engine.unfinished(), 2);
    idle(&engine).await;
    let mut targets = fake.targets().split_off(5);
    targets.sort();
    assert_eq!(targets, ["first", "second", "second"]);
    assert_eq!(status(&engine, &begun.execution_arn).await, ExecutionStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn past_its_grace_a_shutdown_cuts_off() {
    let fake = Fake::new(|_| Reply::Hang);
    let engine = in_memory(&fake).await;
    let arn = put(&engine, "x", MachineType::Express, json!({"Call": task("f", None)})).await;
    let waiting = {
        let (engine, arn) = (engine.clone(), arn.clone());
        tokio::spawn(async move { engine.start_sync(&arn, None, input(json!({}))).await })
    };
    settle().await;
    engine.shutdown(Duration::from_secs(1)).await;
    assert!(matches!(waiting.await.unwrap(), Err(Error::ShuttingDown)));
    assert_eq!(fake.cancelled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_before_resume_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::new(healthy);
    let options = Options { resume_later: true, ..simulated(1) };
    let engine = open(&file(&directory), &fake, options).await;
    put_pipeline(&engine).await;
    engine
        .start_express(&machine_arn("sluice-normalize"), vec![input(json!({"ingestId": "1"}))])
        .await
        .unwrap();
    let recover = machine_arn("sluice-recover");
    let stopped = engine.start_execution(&recover, Some("stopped"), input(json!({}))).await.unwrap();
    engine.start_execution(&recover, Some("e"), input(json!({"event": {}, "error": {}}))).await.unwrap();
    engine.stop_execution(&stopped.execution_arn, None, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((fake.calls().len(), engine.unfinished()), (0, 2));
    engine.resume();
    engine.resume();
    idle(&engine).await;
    let mut targets = fake.targets();
    targets.sort();
    // Once to quarantine the event, and once to fail while it waits for a redrive.
    assert_eq!(targets, ["sluice-dlq", "sluice-normalize", "sluice-quarantine", "sluice-quarantine"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_latest_failures_of_express_executions_are_kept() {
    let options = Options { express_failures_max: 3, ..simulated(1) };
    let engine = open(&Location::Memory, &Fake::new(healthy), options).await;
    let states = json!({"Fail": {"Type": "Fail", "Error": "{% 'E' & $string($states.input) %}"}});
    let arn = put(&engine, "m", MachineType::Express, states).await;
    engine.start_express(&arn, (0..10).map(|n| input(json!(n))).collect()).await.unwrap();
    idle(&engine).await;
    let kept: Vec<_> =
        engine.express_failures(10).await.unwrap().into_iter().map(|f| f.error.unwrap()).collect();
    assert_eq!(kept, ["E9", "E8", "E7"]);
}

/// With the real clock, grouped commits and several threads: crash at some moment, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_in_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let location = file(&directory);
    let fake = Fake::new(|call| match call.earlier % 7 {
        3 => after(3, Reply::Ok(call.payload.clone())),
        5 => after(1, Reply::Ok(call.payload.clone())),
        _ => Reply::Ok(call.payload.clone()),
    });
    let states = json!({
        "One": task("one", Some("Two")),
        "Two": task("two", Some("Three")),
        "Three": task("three", None),
    });
    let mut standard: BTreeMap<String, usize> = BTreeMap::new();
    let mut express = 0;
    for round in 0..12_u64 {
        let engine = open_real(&location, &fake).await;
        let standard_arn = put(&engine, "s", MachineType::Standard, states.clone()).await;
        let express_arn = put(&engine, "x", MachineType::Express, states.clone()).await;
        let mut names = Vec::new();
        for n in 0..15 {
            let name = format!("r{round}-{n}");
            if engine.start_execution(&standard_arn, Some(&name), input(json!({"name": name}))).await.is_ok()
            {
                names.push(name);
            }
            let batch: Vec<_> = (0..3).map(|k| input(json!({"express": express + k}))).collect();
            engine.start_express(&express_arn, batch).await.unwrap();
            express += 3;
            if n as u64 == (round * 5) % 15 {
                break;
            }
        }
        for name in names {
            *standard.entry(name).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_millis(round % 4)).await;
        drop(engine);
    }
    let engine = open_real(&location, &fake).await;
    idle(&engine).await;
    let machine = engine.state_machine_arn("s");
    let filter = ExecutionFilter { limit: 1_000, ..ExecutionFilter::default() };
    let listed = engine.list_executions(&machine, filter).await.unwrap();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for execution in &listed.executions {
        assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", execution.name);
        *by_name.entry(execution.name.clone()).or_default() += 1;
    }
    assert_eq!(by_name, standard);
    let calls = fake.calls();
    for execution in &listed.executions {
        let history = engine.execution_history(&execution.execution_arn).await.unwrap();
        let scheduled = history.iter().filter(|event| event.event_type.name() == "TaskScheduled").count();
        assert_eq!(scheduled, 3, "{}", execution.name);
        for target in ["one", "two", "three"] {
            let ran = calls
                .iter()
                .any(|call| call.target == target && call.execution_arn == execution.execution_arn);
            assert!(ran, "{target} of {}", execution.name);
        }
    }
    for n in 0..express {
        let ended = calls.iter().any(|call| call.target == "three" && call.payload == json!({"express": n}));
        assert!(ended, "express execution {n} was acknowledged and did not run");
    }
}

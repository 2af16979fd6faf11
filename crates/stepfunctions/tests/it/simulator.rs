//! The pipeline under a seeded simulator: virtual time, seeded outcomes of every task, crashes at seeded moments. The same
//! seed gives the same run, call by call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sluice_stepfunctions::{
    Engine, Error, ExecutionFilter, ExecutionStatus, Integrations, Location, MachineType, Options, Timestamp,
    TokioClock,
};

use crate::support::*;

const SEEDS: u64 = 300;
/// Seeds that are run a second time, to compare.
const REPEATED: u64 = 40;

/// What a run left behind.
#[derive(Debug, PartialEq)]
struct Trace {
    /// Every call: target, execution, state, attempt.
    calls: Vec<(String, String, String, u32)>,
    /// The history of every Standard execution, as it is reported.
    histories: BTreeMap<String, String>,
    crashes: usize,
}

/// The books of one run, kept by the simulator and not by the engine.
#[derive(Default)]
struct Books {
    /// Events whose express execution was acknowledged.
    events: BTreeSet<String>,
    /// Events that normalize has answered well, in whichever machine.
    normalized: BTreeSet<String>,
    /// Standard executions whose start was acknowledged.
    started: BTreeSet<String>,
}

fn faulty(seed: u64, healed: Arc<AtomicBool>, books: Arc<Mutex<Books>>) -> Arc<Fake> {
    let dice = Mutex::new(StdRng::seed_from_u64(seed ^ 0x5eed));
    Fake::new(move |call| {
        let roll: u32 =
            if healed.load(Ordering::SeqCst) { 99 } else { dice.lock().unwrap().random_range(0..100) };
        let well = || {
            if call.target != "sluice-normalize" {
                return if call.target.starts_with("sluice-") { healthy(call) } else { Reply::Ok(json!({})) };
            }
            let id = call.payload["ingestId"].as_str().unwrap().to_owned();
            let books = Arc::clone(&books);
            Reply::Run(Box::new(move |_| {
                books.lock().unwrap().normalized.insert(id.clone());
            }))
        };
        match roll {
            0..8 => Reply::Err("Retryable", "throttled"),
            8..14 => Reply::Err("Rejected", "{\"code\":\"SCHEMA\"}"),
            14..18 => Reply::Err("Lambda.Unknown", "out of memory"),
            18..21 => Reply::Hang,
            21..23 => Reply::Panic,
            23..26 => after(700, Reply::Err("Misconfigured", "{}")),
            26..60 => after(u64::from(roll) * 13, well()),
            _ => well(),
        }
    })
}

fn chain() -> Value {
    let mut work = task("work", Some("Rest"));
    work["TimeoutSeconds"] = 5.into();
    work["Retry"] = json!([{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 4, "MaxAttempts": 2, "JitterStrategy": "FULL",
                            "MaxDelaySeconds": 6}]);
    let branch = |name: &str| {
        let mut state = task(name, None);
        state["TimeoutSeconds"] = 3.into();
        json!({"StartAt": name, "States": {name: state}})
    };
    json!({
        "Work": work,
        "Rest": {"Type": "Wait", "Seconds": 7, "Next": "Both"},
        "Both": {"Type": "Parallel", "Branches": [branch("left"), branch("right")], "Output": {}, "End": true},
    })
}

async fn deploy(engine: &Engine) {
    put_pipeline(engine).await;
    put(engine, "chain", MachineType::Standard, chain()).await;
}

async fn all(engine: &Engine, machine: &str) -> Vec<(String, ExecutionStatus)> {
    let filter = ExecutionFilter { limit: 1_000, ..ExecutionFilter::default() };
    let page = engine.list_executions(&engine.state_machine_arn(machine), filter).await.unwrap();
    page.executions.into_iter().map(|execution| (execution.execution_arn, execution.status)).collect()
}

/// What users do, at random, until the world ends.
async fn live(engine: Engine, mut dice: StdRng, books: Arc<Mutex<Books>>) {
    deploy(&engine).await;
    loop {
        match dice.random_range(0..10) {
            0..5 => {
                let ids: Vec<String> =
                    (0..dice.random_range(1..4)).map(|_| format!("ev{}", dice.random_range(0..12))).collect();
                let inputs = ids.iter().map(|id| input(json!({ "ingestId": id }))).collect();
                engine.start_express(&machine_arn("sluice-normalize"), inputs).await.unwrap();
                books.lock().unwrap().events.extend(ids);
            }
            5..7 => {
                let name = format!("c{}", dice.random_range(0..8));
                match engine.start_execution(&machine_arn("chain"), Some(&name), input(json!({}))).await {
                    Ok(started) => drop(books.lock().unwrap().started.insert(started.execution_arn)),
                    Err(Error::ExecutionAlreadyExists(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            7..9 => {
                let machine = if dice.random_bool(0.5) { "chain" } else { "sluice-recover" };
                let executions = all(&engine, machine).await;
                if !executions.is_empty() {
                    let (arn, _) = &executions[dice.random_range(0..executions.len())];
                    match engine.redrive_execution(arn, None).await {
                        Ok(_) | Err(Error::ExecutionNotRedrivable(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            _ => {
                let running: Vec<_> = all(&engine, "chain").await;
                if let Some((arn, _)) = running.iter().find(|(_, status)| *status == ExecutionStatus::Running)
                {
                    engine.stop_execution(arn, Some("Stopped".to_owned()), None).await.unwrap();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..2_500))).await;
    }
}

async fn open_at(location: &Location, fake: &Arc<Fake>, seed: u64, now: Timestamp) -> Engine {
    let options = Options {
        express_concurrency: 3,
        express_prefetch: 2,
        standard_concurrency: 4,
        passivate_after: Duration::from_secs(2),
        ..simulated(seed)
    };
    let fake: Arc<dyn Integrations> = fake.clone();
    Engine::open(location, fake, Arc::new(TokioClock::starting_at(now)), options).await.unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

async fn histories(engine: &Engine) -> BTreeMap<String, String> {
    let mut histories = BTreeMap::new();
    for machine in ["chain", "sluice-recover"] {
        for (arn, _) in all(engine, machine).await {
            let history = engine.execution_history(&arn).await.unwrap();
            histories.insert(arn, serde_json::to_string(&history).unwrap());
        }
    }
    histories
}

/// Everything is mended, and every execution that failed is redriven.
async fn repair(seed: u64, engine: &Engine) {
    idle(engine).await;
    for machine in ["chain", "sluice-recover"] {
        for (arn, status) in all(engine, machine).await {
            if status != ExecutionStatus::Succeeded {
                engine.redrive_execution(&arn, None).await.unwrap();
            }
        }
    }
    idle(engine).await;
    for machine in ["chain", "sluice-recover"] {
        for (arn, status) in all(engine, machine).await {
            assert_eq!(status, ExecutionStatus::Succeeded, "seed {seed}: {arn}");
        }
    }
}

fn run(seed: u64, folder: &Path) -> Trace {
    let location = Location::File(folder.join(format!("{seed}.sqlite")));
    let mut dice = StdRng::seed_from_u64(seed);
    let books = Arc::new(Mutex::new(Books::default()));
    let healed = Arc::new(AtomicBool::new(false));
    let fake = faulty(seed, Arc::clone(&healed), Arc::clone(&books));
    let crashes = dice.random_range(0..4);
    let mut now = Timestamp::from_millis(EPOCH_MS);
    let repaired = Arc::new(Mutex::new(BTreeMap::new()));
    for round in 0..=crashes {
        let lives = Duration::from_millis(dice.random_range(1_000..30_000));
        let (location, fake, books) = (location.clone(), Arc::clone(&fake), Arc::clone(&books));
        let repaired = Arc::clone(&repaired);
        let users = StdRng::seed_from_u64(dice.random());
        let healed = (round == crashes).then(|| Arc::clone(&healed));
        // All but the last runtime are dropped with everything in it: a crash at a seeded moment.
        now = runtime().block_on(async move {
            let engine = open_at(&location, &fake, seed + round, now).await;
            let users = live(engine.clone(), users, books);
            let _ = tokio::time::timeout(lives, users).await;
            let Some(healed) = healed else {
                return now.plus_millis(i64::try_from(lives.as_millis()).unwrap());
            };
            healed.store(true, Ordering::SeqCst);
            repair(seed, &engine).await;
            *repaired.lock().unwrap() = histories(&engine).await;
            now.plus_seconds(24 * 3600)
        });
    }
    let trace = runtime().block_on(async {
        let engine = open_at(&location, &fake, seed + 200, now).await;
        deploy(&engine).await;
        Trace {
            calls: fake
                .calls()
                .into_iter()
                .map(|call| (call.target, call.execution_arn, call.state_name, call.retry_count))
                .collect(),
            histories: histories(&engine).await,
            crashes: usize::try_from(crashes).unwrap(),
        }
    });
    assert_eq!(
        trace.histories,
        *repaired.lock().unwrap(),
        "seed {seed}: a history changed by being read after a restart"
    );
    check(seed, &trace, &books.lock().unwrap());
    trace
}

fn check(seed: u64, trace: &Trace, books: &Books) {
    for id in &books.events {
        assert!(books.normalized.contains(id), "seed {seed}: {id} was acknowledged and never normalized");
    }
    for arn in &books.started {
        assert!(trace.histories.contains_key(arn), "seed {seed}: {arn} was acknowledged and is gone");
    }
    for (arn, history) in &trace.histories {
        let scheduled = history.matches("\"type\":\"TaskScheduled\"").count();
        // `states:startExecution` is not called from Standard machines here, so every task is a call of the fake.
        let called = trace.calls.iter().filter(|(_, execution, ..)| execution == arn).count();
        // A crash repeats what was under way: at most four executions with two branches each.
        assert!(
            called <= scheduled + 2 * trace.crashes,
            "seed {seed}: {arn}: {called} calls, {scheduled} scheduled"
        );
        // Fewer than were scheduled only if a branch failed, or a user stopped it, before the call was made.
        let ends = ["TaskSucceeded", "TaskFailed", "TaskTimedOut"];
        let ended: usize =
            ends.iter().map(|end| history.matches(&format!("\"type\":\"{end}\"")).count()).sum();
        assert!(called >= ended, "seed {seed}: {arn}: {ended} tasks ended, of {called} calls");
    }
}

#[test]
fn every_seed_keeps_the_books_balanced() {
    let directory = tempfile::tempdir().unwrap();
    let (mut calls, mut executions, mut crashes) = (0, 0, 0);
    for seed in 0..SEEDS {
        let trace = run(seed, directory.path());
        calls += trace.calls.len();
        executions += trace.histories.len();
        crashes += trace.crashes;
    }
    // The simulation would prove nothing if nothing happened in it.
    assert!(
        calls > 20 * SEEDS as usize && executions > 3 * SEEDS as usize,
        "{calls} calls, {executions} executions"
    );
    assert!(crashes > SEEDS as usize, "{crashes} crashes");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for seed in 1_000..1_000 + REPEATED {
        assert_eq!(run(seed, first.path()), run(seed, second.path()), "seed {seed}");
    }
}

//! Map Runs under a seeded simulator: virtual time, seeded outcomes of every item, crashes at seeded moments, users who stop,
//! redrive and change what runs.
//!
//! What must hold for every seed: each item has its effect at least once; an item whose end was seen in the journal is never
//! worked on again; the counts add up at every look; a run fails exactly when more items failed than may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use sluice_stepfunctions::{
    Engine, Error, ExecutionStatus, Location, MachineType, MapChildFilter, MapChildStatus, MapRunCounts,
    MapRunStatus, MapRunUpdate, Options, Timestamp,
};

use crate::support::*;

const SEEDS: u64 = 200;

/// What the simulator knows, and the engine does not.
#[derive(Default)]
struct Books {
    /// Items that were worked on, and how often.
    begun: BTreeMap<u64, usize>,
    /// Items of which the work came to its good end.
    done: BTreeSet<u64>,
    /// Items that the journal says are done, and how often they had been worked on then.
    settled: BTreeMap<u64, usize>,
    crashes: u64,
    failed_runs: u64,
    redrives: u64,
}

fn worker(seed: u64, healed: Arc<AtomicBool>, books: Arc<Mutex<Books>>) -> Arc<Fake> {
    let dice = Mutex::new(StdRng::seed_from_u64(seed ^ 0xfeed));
    Fake::new(move |call| {
        let item = call.payload["n"].as_u64().unwrap();
        *books.lock().unwrap().begun.entry(item).or_default() += 1;
        let roll: u32 =
            if healed.load(Ordering::SeqCst) { 99 } else { dice.lock().unwrap().random_range(0..100) };
        let books = Arc::clone(&books);
        let well = Reply::Run(Box::new(move |_| {
            books.lock().unwrap().done.insert(item);
        }));
        match roll {
            0..6 => Reply::Err("Rejected", "no"),
            6..9 => after(900, Reply::Err("Rejected", "late")),
            9..10 => Reply::Panic,
            10..60 => after(u64::from(roll) * 17, well),
            _ => well,
        }
    })
}

fn adds_up(counts: &MapRunCounts) -> bool {
    let parts = counts.pending
        + counts.running
        + counts.succeeded
        + counts.failed
        + counts.timed_out
        + counts.aborted
        + counts.pending_redrive;
    parts == counts.total
}

/// Looks at the runs, and notes what the journal says is done.
async fn look(seed: u64, engine: &Engine, execution: &str, books: &Mutex<Books>) {
    let (runs, _) = match engine.list_map_runs(execution, 10, None).await {
        Err(Error::ExecutionDoesNotExist(_)) => return,
        runs => runs.unwrap(),
    };
    for run in &runs {
        // Before the items are counted there are none.
        if run.items.total > 0 {
            assert!(adds_up(&run.items), "seed {seed}: {:?}", run.items);
            assert!(adds_up(&run.executions), "seed {seed}: {:?}", run.executions);
        }
        let status = Some(MapChildStatus::Execution(ExecutionStatus::Succeeded));
        let filter = MapChildFilter { status, limit: 1_000, before: None };
        let (children, _) = engine.list_map_children(&run.map_run_arn, filter).await.unwrap();
        let mut books = books.lock().unwrap();
        for child in children {
            let times = books.begun.get(&child.index).copied().unwrap_or(0);
            assert!(books.done.contains(&child.index), "seed {seed}: {} did not end well", child.index);
            books.settled.entry(child.index).or_insert(times);
        }
    }
}

async fn live(seed: u64, engine: Engine, mut dice: StdRng, books: Arc<Mutex<Books>>, map: serde_json::Value) {
    let machine = put(&engine, "m", MachineType::Standard, map).await;
    let execution = execution_arn("m", "e");
    loop {
        match dice.random_range(0..12) {
            0..2 => match engine.start_execution(&machine, Some("e"), input(json!({}))).await {
                Ok(_) | Err(Error::ExecutionAlreadyExists(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            },
            2..4 => match engine.redrive_execution(&execution, None).await {
                Ok(_) => books.lock().unwrap().redrives += 1,
                Err(Error::ExecutionNotRedrivable(_) | Error::ExecutionDoesNotExist(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            },
            4 => match engine.stop_execution(&execution, None, None).await {
                Ok(_) | Err(Error::ExecutionDoesNotExist(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            },
            5 => {
                if let Ok((runs, _)) = engine.list_map_runs(&execution, 1, None).await
                    && let Some(run) = runs.first()
                {
                    let update = MapRunUpdate {
                        max_concurrency: Some(dice.random_range(0..9)),
                        ..MapRunUpdate::default()
                    };
                    let _ = engine.update_map_run(&run.map_run_arn, update).await;
                }
            }
            _ => look(seed, &engine, &execution, &books).await,
        }
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..700))).await;
    }
}

async fn open_at(
    location: &Location,
    fake: &Arc<Fake>,
    seed: u64,
    now: Timestamp,
    concurrency: usize,
) -> Engine {
    let options = Options { map_run_concurrency: concurrency, ..simulated(seed) };
    let fake: Arc<dyn sluice_stepfunctions::Integrations> = fake.clone();
    let clock = sluice_stepfunctions::TokioClock::starting_at(now);
    Engine::open(location, fake, Arc::new(clock), options).await.unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn run(seed: u64, folder: &Path) -> Books {
    let location = Location::File(folder.join(format!("{seed}.sqlite")));
    let mut dice = StdRng::seed_from_u64(seed);
    let books = Arc::new(Mutex::new(Books::default()));
    let healed = Arc::new(AtomicBool::new(false));
    let fake = worker(seed, Arc::clone(&healed), Arc::clone(&books));
    let items = dice.random_range(1..90);
    let tolerated = dice.random_range(0..4);
    fake.put_object("in.jsonl", lines(items));
    let writer =
        json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "out"}});
    let map = spread(
        json!({"ToleratedFailureCount": tolerated, "MaxConcurrency": dice.random_range(0..7), "ResultWriter": writer}),
    );
    let concurrency = dice.random_range(1..9);
    let crashes = dice.random_range(0..5);
    let mut now = Timestamp::from_millis(EPOCH_MS);
    for round in 0..=crashes {
        let lives = Duration::from_millis(dice.random_range(300..6_000));
        let users = StdRng::seed_from_u64(dice.random());
        let (location, fake, books, map) =
            (location.clone(), Arc::clone(&fake), Arc::clone(&books), map.clone());
        let healed = (round == crashes).then(|| Arc::clone(&healed));
        now = runtime().block_on(async move {
            let engine = open_at(&location, &fake, seed + round, now, concurrency).await;
            let users = live(seed, engine.clone(), users, Arc::clone(&books), map);
            let _ = tokio::time::timeout(lives, users).await;
            let Some(healed) = healed else {
                look(seed, &engine, &execution_arn("m", "e"), &books).await;
                books.lock().unwrap().crashes += 1;
                return now.plus_millis(i64::try_from(lives.as_millis()).unwrap());
            };
            idle(&engine).await;
            let execution = execution_arn("m", "e");
            let machine = machine_arn("m");
            match engine.start_execution(&machine, Some("e"), input(json!({}))).await {
                Ok(_) | Err(Error::ExecutionAlreadyExists(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
            idle(&engine).await;
            let (runs, _) = engine.list_map_runs(&execution, 10, None).await.unwrap();
            let run = &runs[0];
            let failed = run.items.failed + run.items.timed_out + run.items.aborted;
            let exceeded = if tolerated == 0 { failed > 0 } else { failed > tolerated };
            match run.status {
                MapRunStatus::Failed => {
                    assert!(exceeded, "seed {seed}: {run:?}");
                    books.lock().unwrap().failed_runs += 1;
                }
                MapRunStatus::Succeeded => assert!(!exceeded, "seed {seed}: {run:?}"),
                MapRunStatus::Aborted => {}
                MapRunStatus::Running => panic!("seed {seed}: {run:?}"),
            }
            healed.store(true, Ordering::SeqCst);
            if run.status != MapRunStatus::Succeeded {
                engine.redrive_execution(&execution, None).await.unwrap();
                idle(&engine).await;
            }
            look(seed, &engine, &execution, &books).await;
            let run = engine.describe_map_run(&run.map_run_arn).await.unwrap();
            assert_eq!(run.status, MapRunStatus::Succeeded, "seed {seed}");
            assert_eq!(run.items.total, items as u64, "seed {seed}");
            assert_eq!(run.items.results_written, run.items.total, "seed {seed}: {run:?}");
            assert!(run.items.failed <= tolerated, "seed {seed}: {run:?}");
            now
        });
    }
    let books = std::mem::take(&mut *books.lock().unwrap());
    let failed_for_good = items - books.settled.len();
    assert!(failed_for_good as u64 <= tolerated, "seed {seed}: {failed_for_good} items have no effect");
    for (item, times) in &books.settled {
        assert!(books.done.contains(item), "seed {seed}: item {item}");
        assert_eq!(
            books.begun[item], *times,
            "seed {seed}: item {item} was worked on after its end was journaled"
        );
    }
    assert_eq!(books.begun.len(), items, "seed {seed}: an item was never worked on");
    books
}

#[test]
fn every_item_has_its_effect_and_none_is_repeated_after_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (mut crashes, mut failed, mut redrives, mut repeated) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let books = run(seed, directory.path());
        crashes += books.crashes;
        failed += books.failed_runs;
        redrives += books.redrives;
        repeated += books.begun.values().filter(|times| **times > 1).count();
    }
    // The simulation would prove nothing if nothing happened in it.
    assert!(
        crashes > SEEDS && failed > SEEDS / 20 && redrives > SEEDS / 4 && repeated > 50,
        "{crashes} crashes, {failed} failed runs, {redrives} redrives, {repeated} repeated items"
    );
}

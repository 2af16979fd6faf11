//! `kill -9` of a process under load, again and again on the same file, then the books: nothing acknowledged is missing.
//!
//! The process is this test binary itself, running [`child_process`] with a folder in its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use sluice_stepfunctions::{
    Engine, ExecutionFilter, ExecutionStatus, Location, MachineType, MapChildFilter, Options,
};

use crate::support::*;

const FOLDER: &str = "SLUICE_STEPFUNCTIONS_KILL_TEST";
const ROUNDS: usize = 6;

/// A function that leaves a line in a file for every call that came to its end.
fn recording(folder: &Path) -> Arc<Fake> {
    let file = OpenOptions::new().create(true).append(true).open(folder.join("effects")).unwrap();
    Fake::new(move |call| {
        let mut line = format!("{} {}\n", call.target, call.payload["id"].as_str().unwrap());
        // One write, so that a kill does not leave half a line of two.
        (&file).write_all(line.as_bytes()).unwrap();
        line.clear();
        after(1, Reply::Ok(call.payload.clone()))
    })
}

fn location(folder: &Path) -> Location {
    Location::File(folder.join("stepfunctions.sqlite"))
}

/// Starts executions as fast as it can and says which were acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: the process that another one kills"]
async fn child_process() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let engine = open_real(&location(folder), &recording(folder)).await;
    let states = json!({"One": task("one", Some("Two")), "Two": task("two", None)});
    let standard = put(&engine, "s", MachineType::Standard, states.clone()).await;
    let express = put(&engine, "x", MachineType::Express, states).await;
    let run = std::process::id();
    let mut acknowledged = std::io::stdout();
    for n in 0.. {
        let id = format!("s-{run}-{n}");
        engine.start_execution(&standard, Some(&id), input(json!({ "id": id }))).await.unwrap();
        writeln!(acknowledged, "\nacknowledged {id}").unwrap();
        let ids: Vec<String> = (0..5).map(|k| format!("x-{run}-{n}-{k}")).collect();
        let inputs = ids.iter().map(|id| input(json!({ "id": id }))).collect();
        engine.start_express(&express, inputs).await.unwrap();
        for id in ids {
            writeln!(acknowledged, "\nacknowledged {id}").unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "kill::child_process", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The moment is told in acknowledgements, since a busy machine has no use for milliseconds.
        let until = acknowledged.len() + 60 + 37 * round;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let note = |line: std::io::Result<String>, acknowledged: &mut BTreeSet<String>| {
            // Whatever was cut off in the middle of its line was not acknowledged.
            if let Some(id) = line.unwrap().strip_prefix("acknowledged ") {
                acknowledged.insert(id.to_owned());
            }
        };
        while acknowledged.len() < until {
            note(lines.next().expect("the child ends only by being killed"), &mut acknowledged);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that was written is whole: the pipe holds it.
        let rest: Vec<_> = lines.collect();
        let complete = rest.len().saturating_sub(1);
        for line in rest.into_iter().take(complete) {
            note(line, &mut acknowledged);
        }
    }
    let engine = open_real(&location(folder), &recording(folder)).await;
    idle(&engine).await;

    let effects = std::fs::read_to_string(folder.join("effects")).unwrap();
    let effects: BTreeSet<&str> = effects.lines().collect();
    let mut names = BTreeSet::new();
    let mut filter = ExecutionFilter { limit: 1_000, ..ExecutionFilter::default() };
    loop {
        let page = engine.list_executions(&engine.state_machine_arn("s"), filter.clone()).await.unwrap();
        for execution in page.executions {
            assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", execution.name);
            assert!(names.insert(execution.name.clone()), "{} exists twice", execution.name);
        }
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    for id in &acknowledged {
        assert!(id.starts_with("x-") || names.contains(id), "{id} was acknowledged and is gone");
        for function in ["one", "two"] {
            let effect = format!("{function} {id}");
            assert!(effects.contains(effect.as_str()), "{effect} was never called");
        }
    }
    assert!(acknowledged.len() >= 60 * ROUNDS);
}

const MAP_FOLDER: &str = "SLUICE_STEPFUNCTIONS_KILL_MAP_TEST";
const ITEMS: usize = 1_500;

fn map_location(folder: &Path) -> Location {
    Location::File(folder.join("map.sqlite"))
}

/// A line for every item that was worked on, and the object that all processes read.
fn working(folder: &Path) -> Arc<Fake> {
    let file = OpenOptions::new().create(true).append(true).open(folder.join("worked")).unwrap();
    let fake = Fake::new(move |call| {
        (&file).write_all(format!("{}\n", call.payload["n"]).as_bytes()).unwrap();
        after(1, Reply::Ok(call.payload["n"].clone()))
    });
    fake.put_object("in.jsonl", lines(ITEMS));
    fake
}

/// How often each item was worked on. A line that was cut off counts for nothing.
fn worked(folder: &Path) -> BTreeMap<u64, usize> {
    let text = std::fs::read_to_string(folder.join("worked")).unwrap_or_default();
    let mut worked = BTreeMap::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        *worked.entry(line.parse().unwrap()).or_default() += 1;
    }
    worked
}

/// Runs the Map Run until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: the process that another one kills"]
async fn map_child_process() {
    let folder = std::env::var_os(MAP_FOLDER).unwrap();
    let folder = Path::new(&folder);
    let engine = open_real(&map_location(folder), &working(folder)).await;
    let map = spread(
        json!({"Output": {}, "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"}}}),
    );
    let machine = put(&engine, "m", MachineType::Standard, map).await;
    let _ = engine.start_execution(&machine, Some("e"), input(json!({}))).await;
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_map_run_repeats_nothing_that_had_ended() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let mut settled: BTreeMap<u64, usize> = BTreeMap::new();
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "kill::map_child_process", "--nocapture", "--test-threads=1"])
            .env(MAP_FOLDER, folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while worked(folder).len() < round * ITEMS / 6 {
            assert!(child.try_wait().unwrap().is_none(), "the child ends only by being killed");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let times = worked(folder);
        // Looks into the journal without running anything.
        let options = Options { resume_later: true, ..Options::default() };
        let fake = working(folder) as Arc<dyn sluice_stepfunctions::Integrations>;
        let clock = Arc::new(sluice_stepfunctions::SystemClock);
        let engine = Engine::open(&map_location(folder), fake, clock, options).await.unwrap();
        let (runs, _) = engine.list_map_runs(&execution_arn("m", "e"), 1, None).await.unwrap();
        let mut before = None;
        loop {
            let filter = MapChildFilter { status: None, limit: 1_000, before };
            let (page, next) = engine.list_map_children(&runs[0].map_run_arn, filter).await.unwrap();
            for item in page {
                settled.entry(item.index).or_insert(times[&item.index]);
            }
            before = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(runs[0].items.succeeded, settled.len() as u64, "counts and children are one commit");
        engine.shutdown(std::time::Duration::ZERO).await;
    }
    // Enough to judge by. How far the journal is behind the work when the process is killed is a matter of the disk.
    assert!(settled.len() > ITEMS / 15, "{} items had ended", settled.len());
    let engine = open_real(&map_location(folder), &working(folder)).await;
    idle(&engine).await;
    let status = engine.describe_execution(&execution_arn("m", "e")).await.unwrap().summary.status;
    assert_eq!(status, ExecutionStatus::Succeeded);
    let times = worked(folder);
    assert_eq!(times.len(), ITEMS, "every item was worked on");
    for (item, before) in &settled {
        assert_eq!(times[item], *before, "item {item} was worked on again after its end was journaled");
    }
}

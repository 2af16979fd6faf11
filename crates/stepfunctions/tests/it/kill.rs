//! `kill -9` of a process under load, again and again on the same file, then the books: nothing acknowledged is missing.
//!
//! The process is this test binary itself, running [`child_process`] with a folder in its environment.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use sluice_stepfunctions::{ExecutionFilter, ExecutionStatus, Location, MachineType};

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
async fn child_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
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
            .args(["--exact", "kill::child_process", "--nocapture", "--test-threads=1"])
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

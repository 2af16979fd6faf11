//! `cargo xtask bench`: measures in release builds, and prints figures beside their targets (design section 9).
//!
//! Nothing here asserts a time. What is asserted is that the work was done: every event accepted, none lost.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::aws;
use crate::cloud::{LocalCloud, Storage};
use crate::functions;
use crate::load::{self, Load};
use crate::package;
use crate::project::Project;
use crate::steps::{self, Steps};
use crate::tools::PYTHON_TOOLS;
use crate::wasm;

/// What to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Fresh instances, loading and compiling, and whole mappings beside native code, VRL, jaq, JSONata and QuickJS
    Mapper,
    /// The lineage of messages of about 3 KB, found by experiment
    Trace,
    /// Events a second through the local cloud, and how soon each is acknowledged
    Local,
    /// Each packaged function: start to first response, peak memory, size
    Functions,
    /// Events a second through the local cloud and through MiniStack, by the same definitions and functions
    Emulator,
    /// Pages of the console over 100,000 events, 10,000 of them quarantined in 12 groups: server time and bytes
    Console,
    /// Proposed mappings for vendors that nothing was learned of: how many are right, and how sure
    Suggest,
}

/// Events of the run as fast as possible.
const THROUGHPUT_EVENTS: u64 = 20_000;
const THROUGHPUT_CONNECTIONS: u64 = 32;
const THROUGHPUT_TARGET_PER_SECOND: f64 = 1_000.0;

/// The run at a steady rate.
const STEADY_EVENTS: u64 = 15_000;
const STEADY_PER_SECOND: u64 = 500;
const STEADY_CONNECTIONS: u64 = 64;
const STEADY_P95_TARGET: Duration = Duration::from_millis(25);

/// Events of the local cloud beside an emulator.
const EMULATOR_EVENTS: u64 = 10_000;
const EMULATOR_TARGET: f64 = 20.0;

/// So that caches are warm and the file has its first pages.
const WARM_UP_EVENTS: u64 = 500;

/// Time between two looks at what is left: a look is a process, which the machine shares.
const REST_INTERVAL: Duration = Duration::from_millis(250);

/// How long the pipeline may take to come to rest after the last event.
const REST_TIME_MAX: Duration = Duration::from_secs(600);

pub(crate) fn run(project: &Project, subject: Option<Subject>) -> Result<()> {
    let all = [
        Subject::Mapper,
        Subject::Trace,
        Subject::Local,
        Subject::Functions,
        Subject::Emulator,
        Subject::Console,
        Subject::Suggest,
    ];
    let one = subject.map(|subject| [subject]);
    for subject in one.as_ref().map_or(all.as_slice(), |one| one.as_slice()) {
        match subject {
            Subject::Mapper => mapper(project)?,
            Subject::Trace => trace(project)?,
            Subject::Local => local(project)?,
            Subject::Functions => functions::measure(project)?,
            Subject::Emulator => emulator(project)?,
            Subject::Console => console(project)?,
            Subject::Suggest => suggest(project, &[])?,
        }
    }
    Ok(())
}

/// Leaves one vendor family out after the other. What it prints is the example's own output, so that `--json` is one document.
pub(crate) fn suggest(project: &Project, flags: &[&str]) -> Result<()> {
    let mut bench = project.cargo(&[
        "run",
        "--locked",
        "--release",
        "--quiet",
        "-p",
        "sluice-suggest",
        "--example",
        "suggest",
        "--",
    ]);
    steps::run(bench.args(flags))
}

fn mapper(project: &Project) -> Result<()> {
    let mut steps = Steps::new(2);
    steps.run("Mappers, for WebAssembly", || wasm::build_mappers(project))?;
    steps.run("The mapper beside its peers", || {
        let mut bench =
            project.cargo(&["run", "--locked", "--release", "--manifest-path", "benches/Cargo.toml"]);
        steps::run(bench.arg("--target-dir").arg(project.target.join("benches")))
    })
}

fn trace(project: &Project) -> Result<()> {
    let mut steps = Steps::new(2);
    steps.run("Mappers, for WebAssembly", || wasm::build_mappers(project))?;
    steps.run("Lineage of one message", || {
        let mut bench = project.cargo(&[
            "run",
            "--locked",
            "--release",
            "--package",
            "sluice-lineage",
            "--example",
            "trace",
            "--",
            "mappers-wasm",
        ]);
        steps::run(bench.arg(project.target.join("mappers")))
    })
}

fn local(project: &Project) -> Result<()> {
    let mut steps = Steps::new(6);
    crate::build(project, &mut steps, false)?;
    let folder = project.target.join("bench-local");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))?;
    }
    let cloud = steps.run("Start the local cloud, on disk", || {
        LocalCloud::start(project, project.sluice("release"), &Storage::Folder(folder.clone()))
    })?;
    let load = flood(&cloud, "fast", THROUGHPUT_EVENTS);
    let (fast, whole) = steps.run(
        &format!("{THROUGHPUT_EVENTS} events over {THROUGHPUT_CONNECTIONS} connections, as fast as they are acknowledged"),
        || {
            load::run(Load { name: "warm-up", events: WARM_UP_EVENTS, ..load })?;
            at_rest(project, &cloud)?;
            let started = Instant::now();
            let outcome = load::run(load)?;
            at_rest(project, &cloud)?;
            Ok((outcome, started.elapsed()))
        },
    )?;
    let steady = steps.run(
        &format!("{STEADY_EVENTS} events at {STEADY_PER_SECOND}/s over {STEADY_CONNECTIONS} connections"),
        || {
            let connections = STEADY_CONNECTIONS;
            let per_second = Some(STEADY_PER_SECOND);
            let outcome =
                load::run(Load { name: "steady", events: STEADY_EVENTS, connections, per_second, ..load })?;
            at_rest(project, &cloud)?;
            Ok(outcome)
        },
    )?;
    let (memory, disk) = (peak_memory_bytes(cloud.id()), folder_bytes(&folder));
    steps.run("Nothing was lost", || {
        let balance = cloud.json(&["balance"])?;
        let sent = WARM_UP_EVENTS + THROUGHPUT_EVENTS + STEADY_EVENTS;
        ensure!(balance["accepted"] == sent && balance["normalized"] == sent, "{sent} were sent: {balance}");
        println!("      {balance}");
        cloud.stop()
    })?;
    let _ = fs::remove_dir_all(&folder);

    let end_to_end = rate(THROUGHPUT_EVENTS, whole);
    let p95 = steady.percentile(95);
    println!("\n{}", steps::bold("Local cloud, on disk; the load generator shares the machine"));
    row("figure", "measured", "target", "ratio");
    row(
        "accepted, normalized and applied",
        &format!("{end_to_end:.0}/s"),
        &format!(">= {THROUGHPUT_TARGET_PER_SECOND:.0}/s"),
        &format!("{:.2} x", end_to_end / THROUGHPUT_TARGET_PER_SECOND),
    );
    row("acknowledged, as fast as possible", &format!("{:.0}/s", rate(THROUGHPUT_EVENTS, fast.took)), "", "");
    row(
        &format!("p95 acknowledgement at {STEADY_PER_SECOND}/s"),
        &milliseconds(p95),
        &format!("<= {}", milliseconds(STEADY_P95_TARGET)),
        &format!("{:.2} x", p95.as_secs_f64() / STEADY_P95_TARGET.as_secs_f64()),
    );
    for percent in [50, 99, 100] {
        let name = if percent == 100 { "slowest".to_owned() } else { format!("p{percent}") };
        row(
            &format!("{name} acknowledgement at {STEADY_PER_SECOND}/s"),
            &milliseconds(steady.percentile(percent)),
            "",
            "",
        );
    }
    row(
        &format!("rate held of {STEADY_PER_SECOND}/s"),
        &format!("{:.0}/s", rate(STEADY_EVENTS, steady.took)),
        "",
        "",
    );
    if let Some(bytes) = memory {
        row("peak memory of sluice dev", &format!("{} MiB", bytes >> 20), "", "");
    }
    row("data on disk", &format!("{} MiB", disk >> 20), "", "");
    Ok(())
}

/// Rows are written through the local DynamoDB: by the pipeline it would take the better part of an hour.
fn console(project: &Project) -> Result<()> {
    let mut steps = Steps::new(4);
    let python = steps.run("Tools from PyPI", || PYTHON_TOOLS.bin(project))?;
    crate::build(project, &mut steps, false)?;
    steps.run("The console over 100,000 events", || {
        let mut bench = std::process::Command::new(python.join("python"));
        bench.current_dir(&project.root).arg("tests/console/bench.py").arg(project.sluice("release"));
        steps::run(&mut bench)
    })
}

fn emulator(project: &Project) -> Result<()> {
    let mut steps = Steps::new(9);
    crate::build(project, &mut steps, false)?;
    let local = steps.run(&format!("{EMULATOR_EVENTS} events through the local cloud"), || {
        let cloud = LocalCloud::start(project, project.sluice("release"), &Storage::Ephemeral)?;
        let started = Instant::now();
        load::run(flood(&cloud, "local", EMULATOR_EVENTS))?;
        at_rest(project, &cloud)?;
        let took = started.elapsed();
        cloud.stop()?;
        Ok(rate(EMULATOR_EVENTS, took))
    })?;
    let ministack = aws::measure(project, &mut steps)?;
    let ratio = local / ministack;
    println!("\n{}", steps::bold("The same definitions and functions, one after the other on this machine"));
    row("figure", "measured", "target", "ratio");
    row("local cloud, events applied", &format!("{local:.0}/s"), "", "");
    row("MiniStack, events applied", &format!("{ministack:.2}/s"), "", "");
    row("local cloud against MiniStack", "", &format!(">= {EMULATOR_TARGET:.0} x"), &format!("{ratio:.0} x"));
    Ok(())
}

/// As fast as they are acknowledged.
fn flood<'a>(cloud: &'a LocalCloud, name: &'a str, events: u64) -> Load<'a> {
    Load {
        api: &cloud.api,
        key: "vendorA-dev-key",
        name,
        events,
        connections: THROUGHPUT_CONNECTIONS,
        per_second: None,
    }
}

/// Waits until every event has been normalized and applied: no row is RECEIVED, then no queue of a route holds a message. What is
/// between the two for some milliseconds, in the stream, is not seen.
fn at_rest(project: &Project, cloud: &LocalCloud) -> Result<()> {
    let started = Instant::now();
    let wait = |what: &Value| {
        ensure!(started.elapsed() < REST_TIME_MAX, "events are still in flight: {what}");
        std::thread::sleep(REST_INTERVAL);
        Ok(())
    };
    loop {
        let received = cloud.json(&["ls", "--status", "received", "--limit", "1"])?;
        if received["events"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        wait(&received)?;
    }
    let topology = package::topology(project)?;
    for queue in
        topology["queues"].as_array().into_iter().flatten().filter(|queue| queue["redrive"].is_object())
    {
        let of_queue = json!({"QueueUrl": format!("{}/000000000000/{}", cloud.aws, queue["name"].as_str().unwrap_or_default()),
            "AttributeNames": ["All"]});
        loop {
            let found = cloud.call("sqs", "AmazonSQS.GetQueueAttributes", &of_queue)?;
            let none = |name: &str| found["Attributes"][name] == "0";
            if none("ApproximateNumberOfMessages") && none("ApproximateNumberOfMessagesNotVisible") {
                break;
            }
            wait(&found)?;
        }
    }
    Ok(())
}

pub(crate) fn rate(events: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let events = events as f64;
    events / time.as_secs_f64()
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn row(figure: &str, measured: &str, target: &str, ratio: &str) {
    println!("{figure:<44} {measured:>12} {target:>12} {ratio:>8}");
}

/// `VmHWM` of Linux.
pub(crate) fn peak_memory_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

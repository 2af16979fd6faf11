//! `cargo xtask fuzz`: coverage-guided fuzzing of every parser of foreign bytes, for a bounded time each.
//!
//! Not a part of `cargo xtask test`: what a fuzzer finds depends on how long it runs. What it found once becomes a test.
//! Without a sanitizer, so that the pinned stable compiler builds it: the code under test has no `unsafe` of its own, and
//! what is looked for are panics, broken assertions, hangs and memory without end.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::project::Project;
use crate::steps::{self, Steps};
use crate::tools::CARGO_FUZZ;
use crate::wasm;

/// A target, and folders with bytes to start from.
const TARGETS: &[(&str, &[&str])] = &[
    ("module_loader", &["target/mappers"]),
    ("abi_result", &[]),
    ("envelope", &["examples"]),
    ("json", &["examples"]),
];

/// Memory above which a target has failed, in MiB.
const MEMORY_MIB_MAX: u32 = 2_048;

/// Time that one input may take, in seconds.
const INPUT_SECONDS_MAX: u32 = 20;

/// Runs each target, or one, for `seconds`. The corpus grows under `<target>/fuzz`.
pub(crate) fn run(project: &Project, only: Option<&str>, seconds: u32) -> Result<()> {
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no such target; there are {}", names.join(", "));
    let mut steps = Steps::new(2 + chosen.len());
    let tool = steps.run("Tool cargo-fuzz", || CARGO_FUZZ.path(project))?;
    steps.run("Mappers, for WebAssembly", || wasm::build_mappers(project))?;
    for (name, seeds) in chosen {
        steps.run(&format!("{name}, {seconds} s"), || {
            let corpus = project.target.join("fuzz").join("corpus").join(name);
            fs::create_dir_all(&corpus).with_context(|| format!("could not make {}", corpus.display()))?;
            let seeds: Vec<PathBuf> =
                seeds.iter().map(|seed| project.root.join(seed)).filter(|seed| seed.is_dir()).collect();
            let mut fuzz = std::process::Command::new(&tool);
            fuzz.current_dir(&project.root)
                .args(["run", "--sanitizer", "none", "--target-dir"])
                .arg(project.target.join("fuzz"))
                .arg(name)
                .arg(&corpus)
                .args(seeds)
                .arg("--")
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
                .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
                .args(["-print_final_stats=1", "-verbosity=0"]);
            steps::run(&mut fuzz)
        })?;
    }
    Ok(())
}

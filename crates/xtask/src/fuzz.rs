//! `cargo xtask fuzz`: coverage-guided fuzzing of every parser of foreign bytes, for a bounded time each.
//!
//! Not a part of `cargo xtask test`: what a fuzzer finds depends on how long it runs. What it found once becomes a test.
//! Without a sanitizer, so that the pinned stable compiler builds it: the code under test has no `unsafe` of its own, and
//! what is looked for are panics, broken assertions, hangs and memory without end.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::project::Project;
use crate::steps::{self, Steps};
use crate::tools::CARGO_FUZZ;

/// A target, the longest input that is tried in bytes, and a folder with bytes to start from. Longer inputs are slower and find
/// less; modules are compiled, so theirs are the shortest.
const TARGETS: &[(&str, u32, &str)] = &[
    ("module_loader", 4_096, "fuzz/seeds/module_loader"),
    ("abi_result", 8_192, "fuzz/seeds/abi_result"),
    ("envelope", 16_384, "examples"),
    ("json", 16_384, "examples"),
];

/// Memory above which a target has failed, in MiB.
const MEMORY_MIB_MAX: u32 = 2_048;

/// Time that one input may take, in seconds.
const INPUT_SECONDS_MAX: u32 = 20;

/// Runs each target, or one, for `seconds`, and then its corpus once more, which says how much of the code is reached. The corpus
/// grows under `<target>/fuzz`; an input that fails is left in `fuzz/artifacts`.
pub(crate) fn run(project: &Project, only: Option<&str>, seconds: u32) -> Result<()> {
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name)).collect();
    let names: Vec<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no such target; there are {}", names.join(", "));
    let mut steps = Steps::new(2 + 2 * chosen.len());
    let tool = steps.run("Tool cargo-fuzz", || CARGO_FUZZ.path(project))?;
    steps.run("Targets", || {
        let mut build = fuzz(project, &tool, "build");
        steps::run(&mut build)
    })?;
    for (name, bytes_max, seeds) in chosen {
        let corpus = project.target.join("fuzz").join("corpus").join(name);
        fs::create_dir_all(&corpus).with_context(|| format!("could not make {}", corpus.display()))?;
        let target = || {
            let mut run = fuzz(project, &tool, "run");
            run.arg(name).arg(&corpus).arg(project.root.join(seeds)).arg("--");
            run.arg(format!("-max_len={bytes_max}"));
            run
        };
        steps.run(&format!("{name}, {seconds} s"), || {
            let mut run = target();
            run.arg(format!("-max_total_time={seconds}"))
                .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
                .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
                .args(["-print_final_stats=1", "-verbosity=0"]);
            steps::run(&mut run)
        })?;
        steps.run(&format!("{name}: what its corpus reaches (cov: edges, ft: features)"), || {
            steps::run(target().arg("-runs=0"))
        })?;
    }
    Ok(())
}

/// cargo-fuzz without a sanitizer, in a target folder of its own.
fn fuzz(project: &Project, tool: &Path, command: &str) -> Command {
    let mut fuzz = Command::new(tool);
    fuzz.current_dir(&project.root).args([command, "--sanitizer", "none", "--target-dir"]);
    fuzz.arg(project.target.join("fuzz"));
    fuzz
}

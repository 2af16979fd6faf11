//! `cargo xtask`: everything that is done to this repository, each command with all of its own set-up.
//!
//! Needs Rust, Node, Python and the package registries, and nothing that a person must install by hand. Kept small, since
//! it is compiled before anything else: no async runtime, none of the project's own crates.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to a person")]

mod aws;
mod bench;
mod cloud;
mod console;
mod cost;
mod demo;
mod functions;
mod fuzz;
mod guests;
mod load;
mod package;
mod project;
mod runtime_api;
mod steps;
mod test;
mod tools;
mod wasm;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::package::Architecture;
use crate::project::Project;
use crate::steps::Steps;

/// Builds, tests, measures and shows Sluice.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the mappers and `sluice`, leaving target/release/sluice
    Build {
        /// Without optimisation, leaving target/debug/sluice
        #[arg(long)]
        dev: bool,
    },
    /// Builds only the mappers, leaving target/mappers/<bundle>.wasm
    BuildMappers {
        /// Only the bundle in this folder; one outside of mappers-wasm/ keeps its module, as mapper.wasm
        #[arg(long, value_name = "DIR")]
        only: Option<std::path::PathBuf>,
    },
    /// Builds the functions for Lambda, leaving target/lambda/<package>/bootstrap.zip
    Package {
        /// For Graviton rather than x86_64
        #[arg(long)]
        arm64: bool,
        /// Builds everything again in a folder of its own, and compares
        #[arg(long)]
        twice: bool,
    },
    /// Runs every check and every test; the last line counts the tests
    Test {
        /// Instead, proves what can be proved of the system on AWS without an account
        #[arg(long, conflicts_with = "filter")]
        aws: bool,
        /// Only the tests whose name contains this, without the other checks
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Shows one event's whole life on the local cloud, and checks what it shows
    Demo,
    /// Measures release builds and prints the figures beside their targets
    Bench {
        /// Only this [default: all]
        subject: Option<bench::Subject>,
        /// Of `suggest`: one JSON document
        #[arg(long)]
        json: bool,
        /// Of `suggest`: learns of all bundles and writes crates/suggest/data/model.json first
        #[arg(long)]
        learn: bool,
        /// Of `suggest`: lists every proposal that is wrong
        #[arg(long)]
        misses: bool,
    },
    /// Fuzzes every parser of foreign bytes, with coverage as the guide
    Fuzz {
        /// Only this target [default: all]
        target: Option<String>,
        /// How long each target runs
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
    },
    /// Writes the screenshots of docs/console.md
    Screenshots,
    /// Computes what a million events cost on AWS
    Cost(cost::Options),
    /// Simulates load on AWS, with AWS's quotas and the deployed definitions: all scenarios, or one
    #[command(disable_help_flag = true)]
    Simulate {
        /// `[SCENARIO | plan] [--seed N] [--json] [--rate N] [--region R]`, or --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Writes the generated files, such as docs/codes.md
    Codes {
        /// Writes nothing; fails if a file is not what would be written
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let project = Project::find()?;
    match task {
        Task::Build { dev } => build(&project, &mut Steps::new(2), dev)?,
        Task::BuildMappers { only } => {
            let built = match only {
                Some(folder) => vec![wasm::build_mapper(&project, &folder)?],
                None => wasm::build_mappers(&project)?,
            };
            for built in built {
                println!("{} {} ({} bytes)", built.bundle, built.module.display(), built.bytes);
            }
        }
        Task::Package { arm64, twice } => {
            let architecture = if arm64 { Architecture::Arm64 } else { Architecture::X86_64 };
            package::run(&project, architecture, twice)?;
        }
        Task::Test { aws: true, .. } => aws::run(&project)?,
        Task::Test { filter, .. } => return test::run(&project, filter.as_deref()),
        Task::Demo => demo::run(&project)?,
        Task::Bench { subject: Some(bench::Subject::Suggest), json, learn, misses } => {
            let flags = [("--json", json), ("--learn", learn), ("--misses", misses)];
            let flags: Vec<&str> = flags.iter().filter(|(_, on)| *on).map(|(flag, _)| *flag).collect();
            bench::suggest(&project, &flags)?;
        }
        Task::Bench { json: true, .. }
        | Task::Bench { learn: true, .. }
        | Task::Bench { misses: true, .. } => {
            anyhow::bail!("--json, --learn and --misses are of `cargo xtask bench suggest`");
        }
        Task::Bench { subject, .. } => bench::run(&project, subject)?,
        Task::Fuzz { target, seconds } => fuzz::run(&project, target.as_deref(), seconds)?,
        Task::Screenshots => console::screenshots(&project)?,
        Task::Cost(options) => cost::run(&project, &options)?,
        Task::Simulate { arguments } => return simulate(&project, &arguments),
        Task::Codes { check } => codes(&project, check)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Two steps: the mappers, then the command.
fn build(project: &Project, steps: &mut Steps, dev: bool) -> Result<()> {
    steps.run("Mappers, for WebAssembly", || wasm::build_mappers(project))?;
    let profile = if dev { "dev" } else { "release" };
    steps.run(&format!("sluice, profile {profile}"), || {
        steps::run(&mut project.cargo(&["build", "--locked", "-p", "sluice-cli", "--profile", profile]))
    })?;
    let binary = project.sluice(if dev { "debug" } else { "release" });
    println!("\n{} {}", steps::green("built"), binary.display());
    Ok(())
}

/// A program of its own, since it is a hundred times slower without optimization.
fn simulate(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    let run = ["run", "--quiet", "--locked", "--release", "-p", "sluice-simulate", "--", "--root"];
    let mut command = project.cargo(&run);
    command.arg(&project.root).args(arguments);
    let status = command.status().context("failed to start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The generator is the test that holds the file fresh: one piece of code says what the file must be.
fn codes(project: &Project, check: bool) -> Result<()> {
    let mut test = project.cargo(&["test", "--quiet", "--locked", "-p", "sluice-core", "--test", "codes"]);
    if !check {
        test.env("SLUICE_BLESS", "1");
    }
    steps::run(&mut test)
}

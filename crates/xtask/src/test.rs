//! `cargo xtask test`: what CI runs. Cheap checks come first; one target folder; the tests are counted over every runner.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::console;
use crate::project::Project;
use crate::steps::{self, Steps};
use crate::tools::{self, CARGO_DENY, CARGO_MACHETE};
use crate::wasm;

/// Workspaces that nothing here builds: their commands do (`cargo xtask fuzz`, `cargo xtask bench mapper`).
const OUTSIDE_MANIFESTS: [&str; 2] = ["fuzz/Cargo.toml", "benches/Cargo.toml"];

/// Tests by outcome, over all runners.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    /// Adds a summary line of node's test runner: `# pass 5`; or of libtest: `test result: ok. 5 passed; 0 failed; 1 ignored; …`. Other lines add nothing.
    fn add(&mut self, line: &str) {
        if let Some((name, number)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) {
            let number = number.parse().unwrap_or(0);
            match name {
                "pass" => self.passed += number,
                "fail" => self.failed += number,
                "skipped" => self.skipped += number,
                _ => {}
            }
        }
        let Some(summary) = line.trim_start().strip_prefix("test result: ") else { return };
        let numbers = summary.split_once(". ").map_or("", |(_, numbers)| numbers);
        for part in numbers.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.skipped += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Everything, or with a filter only the tests that match it.
pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<ExitCode> {
    let mut steps = Steps::new(if filter.is_some() { 6 } else { 15 });
    let python_bin = steps.run("Tools from PyPI: typos, openapi-spec-validator, boto3, awscli", || {
        tools::PYTHON_TOOLS.bin(project)
    })?;
    if filter.is_none() {
        checks(project, &mut steps, &python_bin)?;
    }
    steps.run("Mappers, for WebAssembly", || wasm::build_mappers(project))?;
    // All targets in one go, so that features are unified as `cargo test` will unify them, and nothing is built twice.
    steps.run("Build, with every test and the dev `sluice`", || {
        steps::run(&mut project.cargo(&["build", "--locked", "--workspace", "--all-targets"]))
    })?;
    let mut count = Count::default();
    let mut failures = Vec::new();
    steps.run("Tests and documentation tests of the workspace", || {
        let mut test = project.cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]);
        test.args(filter).env("SLUICE_BIN", project.sluice("debug")).env("SLUICE_PYTHON_BIN", &python_bin);
        counted(&mut test, &mut count, &mut failures)
    })?;
    steps.run("Tests of the mappers, natively", || {
        let mut test = mappers_cargo(project, &["test", "--locked", "--workspace", "--no-fail-fast"]);
        counted(test.args(filter), &mut count, &mut failures)
    })?;
    steps.run("The console, in Chromium", || {
        let mut arguments = vec!["--test", "--test-reporter=tap", "--test-concurrency=1"];
        let pattern = filter.map(|filter| format!("--test-name-pattern={filter}"));
        arguments.extend(pattern.as_deref());
        arguments.extend(["journeys.test.mjs", "pages.test.mjs"]);
        counted(&mut console::node(project, &arguments)?, &mut count, &mut failures)
    })?;

    println!("\nall steps ended after {}", steps::human(steps.elapsed()));
    for failure in &failures {
        println!("failed: {failure}");
    }
    if count.passed + count.failed == 0 {
        bail!("no test ran");
    }
    println!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
    Ok(if failures.is_empty() && count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The checks that are no tests. They stop at the first that fails.
fn checks(project: &Project, steps: &mut Steps, python_bin: &std::path::Path) -> Result<()> {
    let deny = steps.run("Tool cargo-deny", || CARGO_DENY.path(project))?;
    let machete = steps.run("Tool cargo-machete", || CARGO_MACHETE.path(project))?;

    steps.run("Format", || {
        steps::run(&mut project.cargo(&["fmt", "--all", "--check"]))?;
        steps::run(&mut mappers_cargo(project, &["fmt", "--all", "--check"]))?;
        for manifest in OUTSIDE_MANIFESTS {
            steps::run(&mut project.cargo(&["fmt", "--check", "--manifest-path", manifest]))?;
        }
        Ok(())
    })?;
    steps
        .run("Spelling", || steps::run(Command::new(python_bin.join("typos")).current_dir(&project.root)))?;
    steps.run("OpenAPI document", || {
        let mut validate = Command::new(python_bin.join("openapi-spec-validator"));
        steps::run(validate.current_dir(&project.root).arg("schemas/openapi.yaml"))
    })?;
    steps.run("Unused dependencies", || {
        steps::run(Command::new(&machete).current_dir(&project.root).args([
            "--with-metadata",
            "--skip-target-dir",
            ".",
        ]))
    })?;
    steps.run("Licences, bans and sources of dependencies", || {
        for manifest in ["Cargo.toml", "mappers-wasm/Cargo.toml"] {
            steps::run(deny_check(project, &deny, manifest).args(["licenses", "bans", "sources"]))?;
        }
        // Never shipped, so what they are made of is not banned; what they are licensed under is looked at all the same.
        for manifest in OUTSIDE_MANIFESTS {
            steps::run(deny_check(project, &deny, manifest).args(["licenses", "sources"]))?;
        }
        advisories(project, &deny)
    })?;
    steps.run("Clippy, workspace", || {
        let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps::run(&mut project.cargo(&clippy))
    })?;
    steps.run("Clippy, mappers", || {
        let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps::run(&mut mappers_cargo(project, &clippy))
    })
}

/// Known vulnerabilities, where the advisory database can be fetched; where it cannot, that is said.
fn advisories(project: &Project, deny: &std::path::Path) -> Result<()> {
    let fetched = Command::new(deny)
        .current_dir(&project.root)
        .args(["--log-level", "off", "fetch", "db"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()?;
    if !fetched.status.success() {
        println!("      advisories: NOT checked, the advisory database cannot be reached from this machine");
        return Ok(());
    }
    for manifest in ["Cargo.toml", "mappers-wasm/Cargo.toml"] {
        steps::run(deny_check(project, deny, manifest).args(["--disable-fetch", "advisories"]))?;
    }
    println!("      advisories: checked");
    Ok(())
}

fn deny_check(project: &Project, deny: &std::path::Path, manifest: &str) -> Command {
    let mut command = Command::new(deny);
    command.current_dir(&project.root).args(["--locked", "--manifest-path", manifest, "--config"]);
    command.arg(project.root.join("deny.toml")).args(["check", "--hide-inclusion-graph"]);
    command
}

/// A cargo command in the mappers' own workspace, whose folder also holds their cargo configuration.
fn mappers_cargo(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.cargo(arguments);
    command.current_dir(project.root.join("mappers-wasm"));
    command
}

/// Runs a test runner to its end, whatever fails, and counts.
fn counted(command: &mut Command, count: &mut Count, failures: &mut Vec<String>) -> Result<()> {
    let failed_before = count.failed;
    let status = steps::run_lines(command, |line| {
        count.add(line);
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            failures.push(name.to_owned());
        }
        // Of node: `not ok 3 - every page`, without what is within it.
        if let Some((_, name)) = line.strip_prefix("not ok ").and_then(|rest| rest.split_once(" - ")) {
            failures.push(format!("console: {name}"));
        }
    })?;
    if !status.success() && count.failed == failed_before {
        bail!("{} ended with {status} although no test failed", steps::shown(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_summary_lines_count() {
        let mut count = Count::default();
        count.add(
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
        );
        count.add("test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        count.add("test a ... ok");
        count.add("# pass 3");
        count.add("# fail 1");
        count.add("# tests 4");
        count.add("error: 3 passed; 3 failed");
        assert_eq!(count, Count { passed: 15, failed: 3, skipped: 1 });
    }
}

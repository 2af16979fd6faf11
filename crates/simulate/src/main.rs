//! The program behind `cargo xtask simulate`, which builds it with optimization.

#![expect(clippy::print_stdout, reason = "a command-line tool talks to a person")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use sluice_simulate::{Deployment, NAMES, Prices, Quotas, Report, Scenario, plan, simulate, svg, table};

/// Simulates load on AWS, with AWS's quotas and the definitions that are deployed.
#[derive(Parser)]
#[command(name = "cargo xtask simulate", bin_name = "cargo xtask simulate")]
struct Arguments {
    /// A scenario; `plan` writes which quotas to raise [default: all scenarios, one table]
    scenario: Option<String>,
    /// What the random numbers are made of: the same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// JSON: one object for one scenario, an array for all
    #[arg(long)]
    json: bool,
    /// Events a second, instead of the scenario's
    #[arg(long)]
    rate: Option<f64>,
    /// Region, instead of the scenario's
    #[arg(long)]
    region: Option<String>,
    /// Vendors that `plan` counts on
    #[arg(long, default_value_t = 20)]
    vendors: u32,
    /// The repository
    #[arg(long, default_value = ".", hide = true)]
    root: PathBuf,
}

fn read(root: &Path, path: &str) -> Result<String> {
    let path = root.join(path);
    fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

fn deployment(root: &Path) -> Result<Deployment> {
    let folder = root.join("state-machines");
    let mut definitions = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".asl.json") {
            definitions.insert(name.clone(), read(root, &format!("state-machines/{name}"))?);
        }
    }
    Ok(Deployment::parse(&read(root, "state-machines/topology.json")?, definitions)?)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = &arguments.root;
    let deployment = deployment(root)?;
    let prices = Prices::parse(&read(root, "docs/prices.toml")?)?;
    let quotas = read(root, "docs/quotas.toml")?;

    if arguments.scenario.as_deref() == Some("plan") {
        let region = arguments.region.as_deref().unwrap_or("us-east-1");
        let quotas = Quotas::parse(&quotas, region)?;
        let rate = arguments.rate.context("plan needs --rate, in events a second")?;
        print!("{}", plan(rate, arguments.vendors, &deployment, &quotas, &prices, arguments.seed)?);
        return Ok(());
    }
    let names: Vec<&str> = match &arguments.scenario {
        Some(name) => vec![name],
        None => NAMES.to_vec(),
    };
    let charts = root.join("target/simulate");
    fs::create_dir_all(&charts).with_context(|| format!("failed to create {}", charts.display()))?;
    let mut reports: Vec<Report> = Vec::new();
    for name in names {
        let mut scenario = Scenario::named(name)?;
        if let Some(rate) = arguments.rate {
            scenario = scenario.at_rate(rate);
        }
        if let Some(region) = &arguments.region {
            scenario = scenario.in_region(region);
        }
        let quotas = Quotas::parse(&quotas, scenario.region())?;
        let report = simulate(scenario, &deployment, &quotas, &prices, arguments.seed)?;
        let chart = charts.join(format!("{name}.svg"));
        fs::write(&chart, svg(&report)).with_context(|| format!("failed to write {}", chart.display()))?;
        reports.push(report);
    }
    match (arguments.json, &reports[..]) {
        (true, [report]) if arguments.scenario.is_some() => println!("{:#}", report.to_json()),
        (true, all) => {
            println!("{:#}", serde_json::Value::Array(all.iter().map(Report::to_json).collect()));
        }
        (false, [report]) if arguments.scenario.is_some() => print!("{}", report.to_text()),
        (false, all) => print!("{}", table(all)),
    }
    Ok(())
}

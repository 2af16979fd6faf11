//! `sluice mapper bench`: what each fixture costs, and how far it is from the limits.

use std::hint::black_box;
use std::time::Instant;

use serde::Serialize;
use sluice_mapper_host::Host;
use sluice_mapping::Message;

use super::build::module;
use crate::args::BenchArgs;
use crate::error::CliError;
use crate::output::{Output, Page, View};
use crate::workshop::bundle::load;
use crate::workshop::fixtures::{Expected, cases, run as map};

/// Runs the command.
pub(super) fn run(args: &BenchArgs, output: &Output) -> Result<(), CliError> {
    let wasm = module(&args.bundle, &args.module, output)?;
    let bundle = load(&Host::new()?, &args.bundle, &wasm)?;
    let list = cases(&args.bundle, &bundle.contract)?;
    let progress = output.progress("measuring");
    progress.total(list.len() as u64);
    let mut results = Vec::new();
    for case in list.iter().filter(|case| case.expected == Expected::Events) {
        let (Ok(_), Some(usage)) = map(&bundle, &case.meta, &case.payload) else {
            progress.add(1);
            continue;
        };
        let message = Message::new(case.meta.clone(), case.payload.clone())?;
        let (meta, payload) = message.input(&bundle.contract)?;
        let mut times: Vec<u64> = (0..args.rounds)
            .map(|_| {
                let started = Instant::now();
                let _ = black_box(bundle.mapper.map(black_box(&meta), black_box(&payload)));
                u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
            })
            .collect();
        times.sort_unstable();
        results.push(Measured {
            name: case.name.clone(),
            payload_bytes: case.payload.len(),
            output_bytes: usage.output_bytes,
            nanoseconds_min: times.first().copied().unwrap_or_default(),
            nanoseconds_median: times.get(times.len() / 2).copied().unwrap_or_default(),
            fuel: usage.fuel,
            fuel_share: share(usage.fuel, usage.fuel_max),
            memory_bytes: usage.memory_bytes,
            memory_share: share(usage.memory_bytes, usage.memory_bytes_max),
        });
        progress.add(1);
    }
    drop(progress);
    if results.is_empty() {
        return Err(CliError::Failed("no fixture is mapped, so there is nothing to measure".into()));
    }
    output.document(&Bench { rounds: args.rounds, cases: results })
}

fn share(used: u64, most: u64) -> f64 {
    (used as f64 / most.max(1) as f64 * 1e4).round() / 1e4
}

#[derive(Debug, Serialize)]
struct Bench {
    rounds: u32,
    cases: Vec<Measured>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    name: String,
    payload_bytes: usize,
    output_bytes: u64,
    nanoseconds_min: u64,
    nanoseconds_median: u64,
    fuel: u64,
    fuel_share: f64,
    memory_bytes: u64,
    memory_share: f64,
}

impl View for Bench {
    fn text(&self, page: &Page) -> String {
        let rows = self.cases.iter().map(|case| {
            vec![
                (&case.name).into(),
                case.payload_bytes.to_string().into(),
                format!("{:.1}", case.nanoseconds_median as f64 / 1e3).into(),
                format!("{:.1}", case.nanoseconds_min as f64 / 1e3).into(),
                format!("{:.0}", 1e9 / case.nanoseconds_median.max(1) as f64).into(),
                format!("{:.2} %", case.fuel_share * 100.0).into(),
                format!("{:.1} %", case.memory_share * 100.0).into(),
            ]
        });
        page.table(
            &["CASE", "BYTES", "MEDIAN µs", "LEAST µs", "EVENTS/S A CORE", "OF FUEL", "OF MEMORY"],
            rows.collect(),
        )
    }
}

//! `sluice mapper run`: one message, what comes of it, and what it took of each limit.

use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use sluice_core::fault::FieldFault;
use sluice_mapper_host::{Host, limits};

use super::build::module;
use crate::args::RunArgs;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, paint, pretty, printable, section};
use crate::workshop::bundle::load;
use crate::workshop::fixtures::{self, Usage};

/// Runs the command.
pub(super) fn run(args: &RunArgs, output: &Output) -> Result<(), CliError> {
    let payload = read(&args.payload)?;
    let wasm = module(&args.bundle, &args.module, output)?;
    let bundle = load(&Host::new()?, &args.bundle, &wasm)?;
    let mut meta = fixtures::meta(&bundle.contract);
    if let Some(path) = &args.meta {
        meta = fixtures::overlaid(meta, &read(path)?).map_err(|problem| CliError::InvalidFile {
            path: path.clone(),
            problem,
            hint: None,
        })?;
    }
    // The first call of a process pays for pages that later ones find there.
    let _ = fixtures::run(&bundle, &meta, &payload);
    let (result, usage) = fixtures::run(&bundle, &meta, &payload);
    let ran = match result {
        Ok(bytes) => Ran {
            outcome: "mapped",
            events: serde_json::from_slice(&bytes).ok(),
            fault: None,
            payload_bytes: payload.len(),
            usage,
        },
        Err(fault) => Ran {
            outcome: "failed",
            events: None,
            fault: Some(Failed { code: fault.code.as_str(), message: fault.message, errors: fault.errors }),
            payload_bytes: payload.len(),
            usage,
        },
    };
    output.document(&ran)?;
    match &ran.fault {
        None => Ok(()),
        Some(fault) => Err(CliError::Failed(format!("the message is not mapped: {}", fault.code))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), source };
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(failed)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ran {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Failed>,
    payload_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Debug, Serialize)]
struct Failed {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldFault>,
}

impl View for Ran {
    fn text(&self, page: &Page) -> String {
        let mut text = String::new();
        if let Some(events) = &self.events {
            text.push_str(&pretty(events));
            text.push('\n');
        }
        if let Some(fault) = &self.fault {
            text.push_str(&format!("{} {}\n", paint(Tone::Bad, fault.code), printable(&fault.message)));
            for error in &fault.errors {
                text.push_str(&format!(
                    "  {} {} {}\n",
                    paint(Tone::Strong, printable(&error.pointer)),
                    printable(&error.code),
                    printable(&error.message)
                ));
            }
        }
        if let Some(usage) = &self.usage {
            text.push_str(&section("Limits", &usage_table(page, self.payload_bytes, usage)));
        }
        text
    }
}

fn usage_table(page: &Page, payload_bytes: usize, usage: &Usage) -> String {
    let row = |what: &str, used: u64, most: u64| {
        let share = format!("{:.1} %", used as f64 * 100.0 / most.max(1) as f64);
        vec![what.into(), used.to_string().into(), most.to_string().into(), share.into()]
    };
    let mut rows = vec![
        row("payload bytes", payload_bytes as u64, limits::PAYLOAD_BYTES_MAX as u64),
        row("fuel", usage.fuel, usage.fuel_max),
        row("memory bytes", usage.memory_bytes, usage.memory_bytes_max),
        row("output bytes", usage.output_bytes, usage.output_bytes_max),
    ];
    // Fuel is what bounds time, on every machine alike.
    rows.push(vec![
        "microseconds".into(),
        format!("{:.1}", usage.nanoseconds as f64 / 1e3).into(),
        "".into(),
        "".into(),
    ]);
    page.table(&["", "USED", "LIMIT", "SHARE"], rows)
}

//! `sluice mapper try`: a whole HTTP request through acceptance, schema and mapping, offline. The work is in
//! [`crate::workshop::trial`].

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use sluice_core::intake::Request;
use sluice_mapper_host::Host;

use super::build::module;
use crate::args::TryArgs;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, pretty, printable, section};
use crate::workshop::bundle::load;
use crate::workshop::request;
use crate::workshop::trial::{Ending, Loaded, StepResult, Trial};

/// Largest file that is read: far beyond what the API takes, so that its 413 can be seen.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Runs the command.
pub(super) async fn run(args: &TryArgs, output: &Output) -> Result<(), CliError> {
    if args.bundles.len() != 1 && args.module.wasm.is_some() {
        return Err(CliError::usage("--wasm is the module of one bundle: name its folder"));
    }
    let host = Host::new()?;
    let mut bundles = Vec::new();
    for folder in &args.bundles {
        let wasm = module(folder, &args.module, output)?;
        bundles.push(Loaded { folder: folder.to_path_buf(), bundle: load(&host, folder, &wasm)? });
    }
    let request = match (&args.request, &args.body) {
        (Some(path), _) => request::read(&read(path)?).map_err(|problem| CliError::InvalidFile {
            path: path.to_path_buf(),
            problem,
            hint: None,
        })?,
        (None, Some(path)) => of_body(args, &read(path)?, &bundles)?,
        (None, None) => {
            return Err(CliError::usage(
                "name the request with --request FILE, or its body with --body FILE",
            ));
        }
    };
    let now = args.at.unwrap_or_else(Timestamp::now);
    let trial = Trial::of(request, &bundles, &args.secret, now).await?;
    output.document(&trial)?;
    match (&trial.answer, &trial.fault) {
        (Some(answer), _) if answer.status_code >= 400 => Err(CliError::Answered {
            status: answer.status_code,
            said: answer.body["detail"].as_str().map(ToOwned::to_owned),
        }),
        (_, Some(fault)) => Err(CliError::Failed(format!("the message is not mapped: {}", fault.code))),
        _ => Ok(()),
    }
}

/// A request of a body and headers, posted to where the contract takes it.
fn of_body(args: &TryArgs, body: &[u8], bundles: &[Loaded]) -> Result<Request, CliError> {
    let mut headers = BTreeMap::new();
    for line in &args.header {
        request::header(&mut headers, line).map_err(CliError::usage)?;
    }
    let contract = bundles.first().map(|one| &one.bundle.contract);
    if let Some(contract) = contract
        && !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"))
    {
        headers.insert("content-type".into(), contract.payload.format.media_type().into());
    }
    let path = match (&args.path, contract) {
        (Some(path), _) => path.clone(),
        (None, Some(contract)) => match &contract.envelope {
            None => "/v1/events".to_owned(),
            Some(envelope) => envelope.path.as_str().replace("{vendorId}", contract.vendor_id.as_str()),
        },
        (None, None) => String::new(),
    };
    Ok(request::of("POST", &path, headers, body))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes),
        false => {
            std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        }
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CliError::InvalidFile {
            path: path.to_owned(),
            problem: format!("is larger than {FILE_BYTES_MAX} bytes"),
            hint: None,
        });
    }
    Ok(bytes)
}

impl View for Trial {
    fn text(&self, page: &Page) -> String {
        let rows = self.steps.iter().map(|step| {
            let (word, tone) = match step.result {
                StepResult::Ok => ("ok", Tone::Good),
                StepResult::Assumed => ("assumed", Tone::Warn),
                StepResult::Failed => ("FAILED", Tone::Bad),
                StepResult::NotReached => ("-", Tone::Dim),
            };
            vec![step.step.into(), Cell::new(tone, word), printable(&step.detail).into()]
        });
        let mut text = page.table(&["STEP", "", ""], rows.collect());
        if let Some(answer) = &self.answer {
            text.push_str(&section(&format!("Answer {}", answer.status_code), &pretty(&answer.body)));
        }
        for error in self.fault.iter().flat_map(|fault| &fault.errors) {
            text.push_str(&format!(
                "  {} {} {}\n",
                paint(Tone::Strong, printable(&error.pointer)),
                printable(&error.code),
                printable(&error.message)
            ));
        }
        if let Some(events) = &self.events {
            text.push_str(&section("Events", &pretty(&serde_json::Value::from(events.clone()))));
        }
        let (word, tone) = match self.outcome {
            Ending::Mapped => ("accepted and mapped", Tone::Good),
            Ending::Nothing => ("accepted, and states nothing", Tone::Good),
            Ending::Quarantined => ("accepted, and quarantined", Tone::Bad),
            Ending::Answered => ("answered: nothing would be stored", Tone::Warn),
        };
        text.push_str(&format!("\n{}\n", paint(tone, word)));
        text
    }
}

//! The commands, one module each.

pub mod audit;
pub mod balance;
pub mod case;
pub mod conflicts;
pub mod console;
pub mod correct;
pub mod dev;
pub mod divergence;
pub mod dlq;
pub mod drift;
pub mod env;
pub mod exit_codes;
pub mod health;
pub mod ls;
pub mod mapper;
pub mod operations;
pub mod quarantine;
pub mod redrive;
pub mod replay;
pub mod send;
pub mod show;
pub mod state;
pub mod vendors;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use sluice_core::fault::Cause;
use sluice_core::record::Status;

use crate::args::{Command, Global};
use crate::cloud::{self, api_url};
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, fields, paint, printable};

/// Runs a command.
pub async fn run(command: Command, global: &Global, output: &Output) -> Result<(), CliError> {
    match command {
        Command::Dev(args) => dev::run(&args, output).await,
        Command::Console(args) => console::run(&args, global, output).await,
        Command::Env => env::run(global, output).await,
        Command::Send(args) => send::run(&args, &api_url(global)?, global, output).await,
        Command::Show(args) => show::run(&args, &cloud::connect(global).await?, output).await,
        Command::Ls(args) => ls::run(&args, &cloud::connect(global).await?, output).await,
        Command::Quarantine(command) => {
            quarantine::run(command, &cloud::connect(global).await?, output).await
        }
        Command::Redrive(args) => redrive::run(&args, &cloud::connect(global).await?, output).await,
        Command::Operations(command) => {
            operations::run(command, &cloud::connect(global).await?, output).await
        }
        Command::Replay(args) => replay::run(&args, &cloud::connect(global).await?, output).await,
        Command::Correct(args) => correct::run(&args, &cloud::connect(global).await?, output).await,
        Command::Dlq(command) => dlq::run(command, &cloud::connect(global).await?, output).await,
        Command::Drift(args) => drift::run(&args, &cloud::connect(global).await?, output).await,
        Command::State(command) => state::run(command, &cloud::connect(global).await?, output).await,
        Command::Divergence(command) => {
            divergence::run(command, &cloud::connect(global).await?, output).await
        }
        Command::Conflicts(command) => conflicts::run(command, &cloud::connect(global).await?, output).await,
        Command::Balance(args) => balance::run(&args, &cloud::connect(global).await?, output).await,
        Command::Audit(args) => audit::run(&args, &cloud::connect(global).await?, output).await,
        Command::Vendors(command) => vendors::run(command, &cloud::connect(global).await?, output).await,
        Command::Mapper(command) => mapper::run(command, global, output).await,
        Command::Case(command) => case::run(command, global, output).await,
        Command::ExitCodes => exit_codes::run(output),
    }
}

/// Asks a person before something large is done; programs must have said `--yes`.
pub(crate) fn confirm(output: &Output, what: &str) -> Result<(), CliError> {
    if output.is_json() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::usage(format!("{what}: say --yes")));
    }
    let mut stderr = std::io::stderr();
    let asked = stderr.write_all(format!("{what}. Go on? [y/N] ").as_bytes()).and_then(|()| stderr.flush());
    asked.map_err(CliError::Output)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(CliError::Output)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CliError::Failed("nothing was done".into()))
}

/// A status, coloured by what it means.
pub(crate) fn status_cell(status: Status) -> Cell {
    let tone = match status {
        Status::Received | Status::Held => Tone::Warn,
        Status::Normalized => Tone::Good,
        Status::Quarantined => Tone::Bad,
    };
    Cell::new(tone, status.as_str())
}

/// A cause with every fault of the document.
pub(crate) fn cause_text(cause: &Cause, page: &Page) -> String {
    let mut list = vec![
        ("cause", paint(Tone::Bad, printable(&cause.code))),
        ("message", printable(&cause.message)),
        ("error", printable(&cause.error)),
    ];
    list.extend(cause.bundle.as_ref().map(|bundle| ("bundle", bundle.to_string())));
    let mut text = fields(list);
    if !cause.errors.is_empty() {
        let rows = cause.errors.iter().map(|fault| {
            let pointer = if fault.pointer.is_empty() { "(the payload)" } else { &fault.pointer };
            vec![pointer.into(), (&fault.code).into(), (&fault.message).into()]
        });
        text.push('\n');
        text.push_str(&page.table(&["WHERE", "CODE", "WHAT"], rows.collect()));
    }
    text
}

//! The commands, one module each.

pub mod audit;
pub mod balance;
pub mod conflicts;
pub mod dev;
pub mod divergence;
pub mod dlq;
pub mod drift;
pub mod env;
pub mod execution;
pub mod exit_codes;
pub mod health;
pub mod ls;
pub mod mapper;
pub mod quarantine;
pub mod redrive;
pub mod replay;
pub mod send;
pub mod show;
pub mod state;
pub mod vendors;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use sluice_core::record::Status;

use crate::args::{Command, Global};
use crate::cloud::{Cloud, api_url};
use crate::error::CliError;
use crate::output::{Cell, Output, Tone};

/// Runs a command.
pub async fn run(command: Command, global: &Global, output: &Output) -> Result<(), CliError> {
    match command {
        Command::Dev(args) => dev::run(&args, output).await,
        Command::Env => env::run(global, output).await,
        Command::Send(args) => send::run(&args, &api_url(global)?, global, output).await,
        Command::Show(args) => show::run(&args, &Cloud::connect(global).await?, output).await,
        Command::Ls(args) => ls::run(&args, &Cloud::connect(global).await?, output).await,
        Command::Quarantine(command) => {
            quarantine::run(command, &Cloud::connect(global).await?, output).await
        }
        Command::Redrive(args) => redrive::run(&args, &Cloud::connect(global).await?, output).await,
        Command::Replay(args) => replay::run(&args, &Cloud::connect(global).await?, output).await,
        Command::Dlq(command) => dlq::run(command, &Cloud::connect(global).await?, output).await,
        Command::Drift(args) => drift::run(&args, &Cloud::connect(global).await?, output).await,
        Command::State(command) => state::run(command, &Cloud::connect(global).await?, output).await,
        Command::Divergence(command) => {
            divergence::run(command, &Cloud::connect(global).await?, output).await
        }
        Command::Conflicts(command) => conflicts::run(command, &Cloud::connect(global).await?, output).await,
        Command::Balance(args) => balance::run(&args, &Cloud::connect(global).await?, output).await,
        Command::Audit(args) => audit::run(&args, &Cloud::connect(global).await?, output).await,
        Command::Vendors(command) => vendors::run(command, &Cloud::connect(global).await?, output).await,
        Command::Mapper(command) => mapper::run(command, global, output).await,
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
        Status::Received => Tone::Warn,
        Status::Normalized => Tone::Good,
        Status::Quarantined => Tone::Bad,
    };
    Cell::new(tone, status.as_str())
}

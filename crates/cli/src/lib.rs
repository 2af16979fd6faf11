//! The command `sluice`: the local cloud, sending, looking, mending, publishing; against the local
//! cloud or AWS with the same clients.
//!
//! A command is a module under [`command`] that builds a view, and [`output`] writes it: as JSON,
//! or for a person. What goes wrong is a [`error::CliError`], whose exit code is documented.

pub mod args;
pub mod cloud;
pub mod command;
pub mod desk;
pub mod error;
pub mod output;
pub mod publish;
pub mod signing;
pub mod workshop;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use args::Cli;
use error::{CliError, ExitKind};
use output::Output;

/// Runs one command line and gives its exit code.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &args),
    };
    let output = Output::new(cli.global.json);
    match command::run(cli.command, &cli.global, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error, cloud::hint(&error, &cli.global).as_deref());
            ExitCode::from(error.kind().code())
        }
    }
}

/// A command line that clap refused, or asked for help.
fn refuse(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let json = args.iter().any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        let (message, hint) = match text.split_once("\n\n") {
            Some((message, rest)) => (message, Some(rest.trim())),
            None => (text, None),
        };
        let mut usage = CliError::usage(message.trim());
        if let Some(hint) = hint {
            usage = usage.with_hint(hint);
        }
        Output::new(true).error(&usage, None);
    } else {
        // Nothing to do about standard output or error being closed.
        let _ = error.print();
    }
    if error.use_stderr() { ExitCode::from(ExitKind::Usage.code()) } else { ExitCode::SUCCESS }
}

//! The command `sluice`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    sluice_cli::run(std::env::args_os()).await
}

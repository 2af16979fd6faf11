//! `sluice mapper`: the life of mappers, one module a subcommand.

mod ls;
mod publish;

use crate::args::{Global, MapperCommand};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::Output;

/// Runs a subcommand. Each connects by itself if it needs a cloud at all.
pub async fn run(command: MapperCommand, global: &Global, output: &Output) -> Result<(), CliError> {
    match command {
        MapperCommand::Publish(args) => publish::run(&args, &Cloud::connect(global).await?, output).await,
        MapperCommand::Ls => ls::run(&Cloud::connect(global).await?, output).await,
    }
}

/// Who acts with `command`, as this machine knows it: an entry for people, not an authentication.
fn who(command: &str) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME")).or_else(|| variable("USERNAME"));
    format!("sluice mapper {command}, {}", user.as_deref().unwrap_or("unknown user"))
}

//! `sluice mapper`: the life of mappers, one module a subcommand.

mod bench;
mod build;
mod check;
mod diff;
mod fixture;
mod history;
mod key;
mod ls;
mod new;
mod promote;
mod publish;
mod recompile;
mod rollback;
mod run;
pub(crate) mod shadow;
mod suggest;
mod test;
mod trace;
mod trial;
mod typegen;

use crate::args::{Global, MapperCommand};
use crate::cloud;
use crate::error::CliError;
use crate::output::Output;

/// Runs a subcommand. Each connects by itself if it needs a cloud at all.
pub async fn run(command: MapperCommand, global: &Global, output: &Output) -> Result<(), CliError> {
    match command {
        MapperCommand::New(args) => new::run(&args, output),
        MapperCommand::Suggest(args) => suggest::run(&args, output),
        MapperCommand::Build(args) => build::run(&args, output),
        MapperCommand::Check(args) => check::run(&args, output),
        MapperCommand::Run(args) => run::run(&args, output),
        MapperCommand::Test(args) => test::run(&args, output),
        MapperCommand::Try(args) => trial::run(&args, output).await,
        MapperCommand::Bench(args) => bench::run(&args, output),
        MapperCommand::Typegen(args) => typegen::run(&args, output),
        MapperCommand::Trace(args) => trace::run(&args, global, output).await,
        MapperCommand::Shadow(args) => shadow::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Fixture(args) => fixture::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Publish(args) => publish::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Promote(args) => promote::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Rollback(args) => rollback::run(args, &cloud::connect(global).await?, output).await,
        MapperCommand::History(args) => history::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Diff(args) => diff::run(&args, global, output).await,
        MapperCommand::Recompile(args) => recompile::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Key(args) => key::run(&args, &cloud::connect(global).await?, output).await,
        MapperCommand::Ls => ls::run(&cloud::connect(global).await?, output).await,
    }
}

/// Who acts with `command`, as this machine knows it: an entry for people, not an authentication.
fn who(command: &str) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME")).or_else(|| variable("USERNAME"));
    format!("sluice mapper {command}, {}", user.as_deref().unwrap_or("unknown user"))
}

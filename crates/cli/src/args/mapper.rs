//! `sluice mapper` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::workshop::{
    BenchArgs, BuildArgs, CheckArgs, FixtureArgs, NewArgs, RunArgs, ShadowArgs, TestArgs, TypegenArgs,
};

/// `sluice mapper`.
#[derive(Debug, Subcommand)]
pub enum MapperCommand {
    /// Make a bundle that builds and passes its tests; from a sample, with a schema and a first mapping.
    New(NewArgs),
    /// Build a bundle's module.
    Build(BuildArgs),
    /// Find everything that is wrong with a bundle: contract, schemas, module, fixtures.
    Check(CheckArgs),
    /// Map one message, and show what it takes of each limit.
    Run(RunArgs),
    /// Run the fixtures of bundles within production's limits.
    Test(TestArgs),
    /// Measure a bundle's fixtures.
    Bench(BenchArgs),
    /// Write the types of the bundle's canonical schema.
    Typegen(TypegenArgs),
    /// Run a candidate over a vendor's stored events, beside the active mapper, writing nothing.
    Shadow(ShadowArgs),
    /// Make a redacted fixture of a stored or quarantined event: a test that fails until the mapper is mended.
    Fixture(FixtureArgs),
    /// Publish a bundle and make it the active one.
    Publish(PublishArgs),
    /// List the active mappers.
    Ls,
}

/// `sluice mapper publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Folder with mapper.toml and the schemas that it names.
    #[arg(value_name = "BUNDLE_DIR")]
    pub bundle: PathBuf,
    /// The module [default: target/mappers/<folder>.wasm of the repository, or mapper.wasm in the folder].
    #[arg(long, value_name = "FILE")]
    pub wasm: Option<PathBuf>,
    /// Why, for the record.
    #[arg(long, default_value = "published with sluice mapper publish")]
    pub reason: String,
    /// Publish, but leave the active mapper as it is.
    #[arg(long)]
    pub no_activate: bool,
}

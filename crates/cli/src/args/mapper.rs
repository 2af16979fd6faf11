//! `sluice mapper` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `sluice mapper`.
#[derive(Debug, Subcommand)]
pub enum MapperCommand {
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

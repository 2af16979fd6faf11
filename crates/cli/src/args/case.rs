//! `sluice case` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sluice_core::id::IngestId;

/// `sluice case`.
#[derive(Debug, Subcommand)]
pub enum CaseCommand {
    /// Write one event as a file that stands alone: raw bytes, mapper, signatures, rows and what came of it.
    Export(CaseExportArgs),
    /// Reproduce a case from its file alone, offline, and name what differs.
    #[command(
        after_help = "Exit codes:\n  0  every digest holds, and the same comes of the message here\n  1  something differs, or no trusted key has signed for the bundle\n  2  the file, or a key, cannot be read\n  6  this host cannot run the bundle, or this version does not know its format"
    )]
    Verify(CaseVerifyArgs),
}

/// `sluice case export`.
#[derive(Debug, Args)]
pub struct CaseExportArgs {
    /// The event, normalized or quarantined.
    #[arg(value_name = "INGEST_ID")]
    pub ingest_id: IngestId,
    /// The file to write [default: <INGEST_ID>.case.json].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Put stand-ins for what is personal or secret, so that the message is mapped, or fails, alike.
    #[arg(long)]
    pub redacted: bool,
    /// With --redacted: keep the text at this JSON pointer of the payload, and below it; * stands for every item.
    #[arg(long, value_name = "POINTER", requires = "redacted")]
    pub keep: Vec<String>,
    /// With --redacted: replace the text at this JSON pointer too.
    #[arg(long, value_name = "POINTER", requires = "redacted")]
    pub redact: Vec<String>,
}

/// `sluice case verify`.
#[derive(Debug, Args)]
pub struct CaseVerifyArgs {
    /// The case.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A file with public keys in PEM (`sluice mapper key` prints one), of which one must have signed for the bundle. May be repeated.
    #[arg(long, value_name = "KEY")]
    pub trust: Vec<PathBuf>,
}

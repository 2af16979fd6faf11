//! `sluice correct`.

use clap::Args;
use sluice_core::id::VendorId;

use super::workshop::ModuleArgs;
use super::{By, Since, parse_since};

/// `sluice correct`.
#[derive(Debug, Args)]
pub struct CorrectArgs {
    /// Whose events.
    #[arg(long, value_name = "ID")]
    pub vendor: VendorId,
    /// Events received from then on: a time (RFC 3339), or how long ago (90s, 15m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub from: Since,
    /// Events received before then [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub to: Option<Since>,
    /// What would have mapped them rightly: the digest of a published bundle; with --dry-run also a bundle's folder.
    #[arg(long, value_name = "DIR|DIGEST")]
    pub candidate: String,
    /// Say what differs, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the record: it goes out with each correction.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub reason: Option<String>,
    /// Events corrected at once.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub concurrency: u32,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Who.
    #[command(flatten)]
    pub by: By,
    /// Which module, if the candidate is a folder.
    #[command(flatten)]
    pub module: ModuleArgs,
}

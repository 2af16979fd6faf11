//! The subcommands of `sluice mapper` for a mapper's author.

use std::path::PathBuf;

use clap::Args;
use sluice_core::id::{CanonicalType, EventType, IngestId, VendorId};

use super::{Since, parse_since};
use crate::workshop::build::Language;
use sluice_ops::shadow::LIMIT_DEFAULT;

/// Which module of a bundle is run.
#[derive(Debug, Clone, Default, Args)]
pub struct ModuleArgs {
    /// This module; nothing is built.
    #[arg(long, value_name = "FILE")]
    pub wasm: Option<PathBuf>,
    /// The module that was built last; nothing is built.
    #[arg(long, conflicts_with = "wasm")]
    pub no_build: bool,
}

/// `sluice mapper new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Whose messages it maps.
    #[arg(value_name = "VENDOR_ID")]
    pub vendor: VendorId,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// A message of the vendor's: JSON, bare or in an envelope; CSV with a header line; X12 846, 850 or 856. What it looks like and a first
    /// mapping are inferred. Several are better than one: what only some of them have is optional. Of a folder every file is one.
    #[arg(long, value_name = "FILE|DIR")]
    pub from_sample: Vec<PathBuf>,
    /// The vendor's name of this kind of message [default: what the sample's envelope or transaction set says, or stock_update].
    #[arg(long = "event-type", value_name = "TYPE")]
    pub event_type: Option<EventType>,
    /// What it becomes [default: OrderPlaced for an X12 850, ShipmentNotified for an 856, else InventoryUpdated].
    #[arg(long, value_name = "TYPE")]
    pub canonical: Option<CanonicalType>,
    /// The folder to make [default: <vendor>-<event type> here, or in mappers-wasm/ of Sluice's repository].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// JSON that comes as the vendor sends it, to /v1/sources/<vendor>, and not in an envelope: the contract says where its kind, id and
    /// time are.
    #[arg(long)]
    pub native: bool,
    /// Only write the files: no module, and no expectation for the sample.
    #[arg(long)]
    pub no_build: bool,
}

/// `sluice mapper suggest`.
#[derive(Debug, Args)]
pub struct SuggestArgs {
    /// Whose messages they are.
    #[arg(value_name = "VENDOR_ID")]
    pub vendor: VendorId,
    /// A message of the vendor's: JSON, bare or in an envelope, or CSV with a header line. Of a folder every file is one.
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub from_sample: Vec<PathBuf>,
    /// What it becomes [default: the type that the samples fill best].
    #[arg(long, value_name = "TYPE")]
    pub canonical: Option<CanonicalType>,
}

/// `sluice mapper build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The bundle's folder.
    #[arg(value_name = "BUNDLE_DIR", default_value = ".")]
    pub bundle: PathBuf,
}

/// `sluice mapper check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The bundle's folder.
    #[arg(value_name = "BUNDLE_DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The bundle's folder.
    #[arg(value_name = "BUNDLE_DIR")]
    pub bundle: PathBuf,
    /// The vendor's message, without an envelope; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub payload: PathBuf,
    /// A JSON file with members of the metadata to replace: vendorId, externalEventId, eventType, schemaVersion, occurredAt,
    /// receivedAt.
    #[arg(long, value_name = "FILE")]
    pub meta: Option<PathBuf>,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper try`.
#[derive(Debug, Args)]
pub struct TryArgs {
    /// Folders of bundles of one vendor: acceptance chooses the contract among them.
    #[arg(value_name = "BUNDLE_DIR", required = true)]
    pub bundles: Vec<PathBuf>,
    /// The request: request line, headers, an empty line, and the body byte for byte; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["body", "header", "path"])]
    pub request: Option<PathBuf>,
    /// Instead: the body alone, posted to where the contract takes it; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// With --body: a header, `Name: value`.
    #[arg(long, value_name = "HEADER", requires = "body")]
    pub header: Vec<String>,
    /// With --body: where it is posted to [default: by the contract].
    #[arg(long, value_name = "PATH", requires = "body")]
    pub path: Option<String>,
    /// A secret that the vendor signs with. Without one the request is signed anew, so that only the rest is judged.
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// The moment at which it comes in, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Folders of bundles [default: every bundle of the repository].
    #[arg(value_name = "BUNDLE_DIR")]
    pub bundles: Vec<PathBuf>,
    /// Write what comes of each message as what must come of it: read the difference before you commit it.
    #[arg(long)]
    pub update: bool,
    /// Leave out the bundle's own tests, which run the same fixtures natively.
    #[arg(long)]
    pub no_native: bool,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The bundle's folder.
    #[arg(value_name = "BUNDLE_DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// How often each message is mapped.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rounds: u32,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper typegen`.
#[derive(Debug, Args)]
pub struct TypegenArgs {
    /// The bundle's folder; its contract names the canonical type.
    #[arg(value_name = "BUNDLE_DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// In this language [default: the bundle's].
    #[arg(long, value_enum)]
    pub lang: Option<Language>,
    /// Write nothing; fail if the file is not what would be written.
    #[arg(long)]
    pub check: bool,
}

/// `sluice mapper trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// An event, or a bundle: a folder, a name in mappers-wasm/ of Sluice's repository, VENDOR/EVENT_TYPE for the active one, or the
    /// digest of a published one (or its first 8 digits or more).
    #[arg(value_name = "INGEST_ID|BUNDLE")]
    pub target: String,
    /// Only this member, of the canonical events or of the message: a JSON pointer such as /data/lines/*/sku, or a name.
    #[arg(long, value_name = "POINTER")]
    pub member: Option<String>,
    /// Of a folder: only this fixture, named without its ending. May be repeated.
    #[arg(long = "fixture", value_name = "CASE")]
    pub fixtures: Vec<String>,
    /// Of a folder: which module.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper shadow`.
#[derive(Debug, Args)]
pub struct ShadowArgs {
    /// Whose stored events.
    #[arg(value_name = "VENDOR_ID")]
    pub vendor: VendorId,
    /// What would be promoted: a bundle's folder, or the digest of a published bundle.
    #[arg(long, value_name = "DIR|DIGEST")]
    pub candidate: String,
    /// Of which type [default: the candidate's].
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<EventType>,
    /// Events received since: a time (RFC 3339), or how long ago (90s, 15m, 2h, 7d).
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_since)]
    pub since: Since,
    /// Most events; the newest.
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Threads that map [default: one a processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Which module, if the candidate is a folder.
    #[command(flatten)]
    pub module: ModuleArgs,
}

/// `sluice mapper fixture`.
#[derive(Debug, Args)]
pub struct FixtureArgs {
    /// The event, stored or quarantined.
    #[arg(value_name = "INGEST_ID")]
    pub ingest_id: IngestId,
    /// The bundle's folder.
    #[arg(long, value_name = "BUNDLE_DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The case's name [default: edge-<cause>-<end of the ingestId>].
    #[arg(long, value_name = "CASE")]
    pub name: Option<String>,
    /// Keep the text at this JSON pointer of the payload, and below it, as it is; * stands for every item.
    #[arg(long, value_name = "POINTER")]
    pub keep: Vec<String>,
    /// Replace the text at this JSON pointer too.
    #[arg(long, value_name = "POINTER")]
    pub redact: Vec<String>,
}

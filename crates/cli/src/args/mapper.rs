//! `sluice mapper` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sluice_core::bundle::Percent;
use sluice_core::id::{EventType, VendorId};

use super::{Since, parse_since};
use crate::signing::{KEY_DEFAULT, KeySource};

use super::workshop::{
    BenchArgs, BuildArgs, CheckArgs, FixtureArgs, ModuleArgs, NewArgs, RunArgs, ShadowArgs, SuggestArgs,
    TestArgs, TraceArgs, TryArgs, TypegenArgs,
};

/// `sluice mapper`.
#[derive(Debug, Subcommand)]
pub enum MapperCommand {
    /// Make a bundle that builds and passes its tests; from a sample, with a schema and a first mapping.
    New(NewArgs),
    /// Propose what each member is made of, from samples alone: how sure, why, what else it may be, and what the samples prove.
    Suggest(SuggestArgs),
    /// Build a bundle's module.
    Build(BuildArgs),
    /// Find everything that is wrong with a bundle: contract, schemas, module, fixtures.
    Check(CheckArgs),
    /// Map one message, and show what it takes of each limit.
    Run(RunArgs),
    /// Take a whole HTTP request through acceptance, schema and mapper, offline, and show each step.
    Try(TryArgs),
    /// Run the fixtures of bundles within production's limits.
    Test(TestArgs),
    /// Measure a bundle's fixtures.
    Bench(BenchArgs),
    /// Write the types of the bundle's canonical schema.
    Typegen(TypegenArgs),
    /// Find which input each member of the canonical events comes from, by changing one input at a time: of a stored event, or of a
    /// bundle over all its fixtures.
    Trace(TraceArgs),
    /// Run a candidate over a vendor's stored events, beside the active mapper, writing nothing.
    Shadow(ShadowArgs),
    /// Make a redacted fixture of a stored or quarantined event: a test that fails until the mapper is mended.
    Fixture(FixtureArgs),
    /// Publish a bundle and make it the active one.
    Publish(PublishArgs),
    /// List the active mappers.
    Ls,
    /// Make a published bundle, or one in a folder, the active one, or put it on trial as a canary.
    Promote(PromoteArgs),
    /// Go back: from a canary to the active mapper, else to the mapper that was active before.
    Rollback(RollbackArgs),
    /// Who changed which mapper when, and why.
    History(HistoryArgs),
    /// What differs between two bundles: contract, schemas, module, fixtures.
    Diff(DiffArgs),
    /// Compile published bundles for the hosts of this version, beside the code that is there.
    Recompile(RecompileArgs),
    /// Show the public half of the signing key, which `normalize` must trust.
    Key(KeyArgs),
}

/// `sluice mapper publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Folder with mapper.toml and the schemas that it names.
    #[arg(value_name = "BUNDLE_DIR")]
    pub bundle: PathBuf,
    /// Which module [default: the one that is built now of the folder's sources].
    #[command(flatten)]
    pub module: ModuleArgs,
    /// Do not run the fixtures first.
    #[arg(long)]
    pub no_test: bool,
    /// Why, for the record.
    #[arg(long, default_value = "published with sluice mapper publish")]
    pub reason: String,
    /// Publish, but leave the active mapper as it is.
    #[arg(long)]
    pub no_activate: bool,
    /// Signs native code.
    #[command(flatten)]
    pub signing: SigningArgs,
}

/// Which key signs native code.
#[derive(Debug, Args)]
pub struct SigningArgs {
    /// The key that answers for native code: kms:KEY (id, ARN or alias), or a file, PKCS#8 in PEM.
    #[arg(long, value_name = "KEY", env = "SLUICE_SIGNING_KEY", default_value = KEY_DEFAULT)]
    pub signing_key: KeySource,
}

/// `sluice mapper promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// Whose messages.
    #[arg(value_name = "VENDOR")]
    pub vendor: VendorId,
    /// Which of them.
    #[arg(value_name = "EVENT_TYPE")]
    pub event_type: EventType,
    /// The bundle: its digest (or the first 8 digits or more), or a bundle's folder, which is published first.
    #[arg(value_name = "DIGEST|BUNDLE_DIR")]
    pub bundle: String,
    /// With a folder: which module [default: the one that is built now of the folder's sources].
    #[command(flatten)]
    pub module: ModuleArgs,
    /// With a folder: do not run the fixtures first.
    #[arg(long)]
    pub no_test: bool,
    /// Only this share of the events, on trial; `normalize` takes it back by itself if it does worse.
    #[arg(long, value_name = "PERCENT")]
    pub canary: Option<Percent>,
    /// With --canary: events that the candidate maps before it is judged [default: 100].
    #[arg(long, value_name = "N", requires = "canary", value_parser = clap::value_parser!(u64).range(1..))]
    pub min_events: Option<u64>,
    /// With --canary: percentage points by which its quarantine rate may exceed the active mapper's [default: 1].
    #[arg(long, value_name = "POINTS", requires = "canary")]
    pub margin: Option<Percent>,
    /// First run it over the vendor's stored events, and refuse if it breaks one that the active mapper maps.
    #[arg(long)]
    pub require_shadow: bool,
    /// With --require-shadow: events received since a time (RFC 3339), or how long ago [default: 7d].
    #[arg(long, value_name = "TIME", value_parser = parse_since, requires = "require_shadow")]
    pub since: Option<Since>,
    /// With --require-shadow: most events, the newest.
    #[arg(long, value_name = "N", requires = "require_shadow")]
    pub limit: Option<u32>,
    /// With --require-shadow: go on even so. The reason is recorded.
    #[arg(long, requires = "require_shadow", requires = "reason")]
    pub force: bool,
    /// Why, for the record.
    #[arg(long)]
    pub reason: Option<String>,
    /// Signs native code.
    #[command(flatten)]
    pub signing: SigningArgs,
}

/// `sluice mapper rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Whose messages.
    #[arg(value_name = "VENDOR")]
    pub vendor: VendorId,
    /// Which of them.
    #[arg(value_name = "EVENT_TYPE")]
    pub event_type: EventType,
    /// To this bundle (digest, or its first 8 digits or more), whatever was active before.
    #[arg(long, value_name = "DIGEST")]
    pub to: Option<String>,
    /// Why, for the record.
    #[arg(long)]
    pub reason: String,
}

/// `sluice mapper history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Whose messages.
    #[arg(value_name = "VENDOR")]
    pub vendor: VendorId,
    /// Which of them [default: all].
    #[arg(value_name = "EVENT_TYPE")]
    pub event_type: Option<EventType>,
}

/// `sluice mapper diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The one: a digest (or its first 8 digits or more) or a bundle's folder.
    #[arg(value_name = "A")]
    pub a: String,
    /// The other.
    #[arg(value_name = "B")]
    pub b: String,
}

/// `sluice mapper recompile`.
#[derive(Debug, Args)]
pub struct RecompileArgs {
    /// Digests [default: every bundle that is active, on trial, or in a pointer's history].
    #[arg(value_name = "DIGEST")]
    pub bundles: Vec<String>,
    /// Signs native code.
    #[command(flatten)]
    pub signing: SigningArgs,
}

/// `sluice mapper key`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Signs native code.
    #[command(flatten)]
    pub signing: SigningArgs,
}

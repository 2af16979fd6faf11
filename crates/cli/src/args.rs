//! The command line, by clap. What clap can judge alone is judged here; each argument documents itself in `--help`.

mod by;
mod case;
mod correct;
mod mapper;
mod operations;
mod workshop;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use jiff::{SpanRelativeTo, Timestamp};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use sluice_core::balance::Hour;
use sluice_core::id::{EventType, ExternalEventId, IngestId, SchemaVersion, VendorId};
use sluice_core::record::{Status, UnknownEventTypes};
use sluice_core::state::Entity;
use sluice_ops::quarantine::Target;

pub use by::{By, who};
pub use case::{CaseCommand, CaseExportArgs, CaseVerifyArgs};
pub use correct::CorrectArgs;
pub use mapper::{
    DiffArgs, HistoryArgs, KeyArgs, MapperCommand, PromoteArgs, PublishArgs, RecompileArgs, RollbackArgs,
    SigningArgs,
};
pub use operations::{ActArgs, OperationsCommand, ValidFor};
pub use workshop::{
    BenchArgs, BuildArgs, CheckArgs, FixtureArgs, ModuleArgs, NewArgs, RunArgs, ShadowArgs, SuggestArgs,
    TestArgs, TraceArgs, TryArgs, TypegenArgs,
};

/// The local cloud's AWS endpoint, unless told otherwise.
pub const AWS_URL_LOCAL: &str = "http://127.0.0.1:8788";
/// The local cloud's ingest API, unless told otherwise.
pub const API_URL_LOCAL: &str = "http://127.0.0.1:8787";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the command ran, but what it should bring about did not come about
  2  the command line, the configuration, or a file that it names is not valid
  3  there is no such event, vendor, bundle or object
  4  the service refused: any 4xx of the ingest API, or AWS said no
  5  no answer, a time-out, a throttle or a 5xx: it may succeed later
  6  a case that this host or this version cannot judge";

const EXAMPLES: &str = "\
Examples:
  sluice dev --examples                       run the local cloud with the example vendors and mappers
  sluice --local send order.json --key KEY    post a file, byte for byte
  sluice --local show 01KCZ...                one event: life cycle, documents, cause
  sluice --local quarantine ls                what waits for a person
  sluice --local redrive --all --yes          run it again once its cause is mended
  sluice --local balance                      prove that nothing was lost";

/// `sluice`.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, propagate_version = true, max_term_width = 110)]
#[command(about = "Durable, validated, standardized events from untrusted vendor updates")]
#[command(after_help = "`sluice help exit-codes` lists the exit codes.", after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Write one JSON document on standard output, and errors as JSON on standard error.
    #[arg(long, global = true)]
    pub json: bool,

    /// Use the local cloud of `sluice dev` rather than AWS [default URL: http://127.0.0.1:8788].
    #[arg(long, global = true, value_name = "URL", env = "SLUICE_LOCAL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "1", value_parser = parse_local)]
    pub local: Option<LocalSetting>,

    /// The ingest API [default with --local: http://127.0.0.1:8787].
    #[arg(long, global = true, value_name = "URL", env = "SLUICE_API", value_parser = parse_url)]
    pub api: Option<Url>,
}

/// Value of `--local`: an endpoint, or `None` for an explicit no (`SLUICE_LOCAL=0`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSetting(pub Option<Url>);

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the local cloud: the same state machines and handlers as on AWS, in one process.
    Dev(DevArgs),
    /// Serve the ops console on 127.0.0.1, for AWS with your own credentials or for the local cloud.
    Console(ConsoleArgs),
    /// Print the environment that makes AWS's own tools use the local cloud: eval "$(sluice --local env)".
    Env,
    /// Post a file to the ingest API, exactly as it is.
    Send(Box<SendArgs>),
    /// Show one event: its life cycle, raw and normalized documents, cause of quarantine, recovery.
    Show(ShowArgs),
    /// List events, newest first.
    Ls(LsArgs),
    /// Events that could not be normalized.
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Run failed events again, from the state that failed, once the cause is mended.
    Redrive(RedriveArgs),
    /// Bulk acts that go on by themselves: what is in progress, who started it and why; pause, resume, stop, retry.
    #[command(subcommand)]
    Operations(OperationsCommand),
    /// Normalize stored events again, after a mapper, a schema or the code has changed; or predict what that would do.
    Replay(ReplayArgs),
    /// Tell rightly what a mapper got wrong for a while: canonical state and everybody downstream; or say what differs.
    Correct(CorrectArgs),
    /// The dead-letter queue.
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// How vendors' messages differ from their contracts, and from what they were.
    Drift(DriftArgs),
    /// Canonical state: what the vendors' statements come to.
    #[command(subcommand)]
    State(StateCommand),
    /// Where statements of vendors contradict each other.
    #[command(subcommand)]
    Divergence(DivergenceCommand),
    /// Messages that came under an identity which another payload has.
    #[command(subcommand)]
    Conflicts(ConflictsCommand),
    /// Prove that nothing was lost: accepted = normalized + nothing to state + quarantined + held + in flight.
    Balance(BalanceArgs),
    /// Compare ledger, raw objects, normalized documents, quarantine and canonical state, object by object, digests included.
    Audit(AuditArgs),
    /// Vendors and their keys.
    #[command(subcommand)]
    Vendors(VendorsCommand),
    /// Mappers: what turns a vendor's message into canonical events.
    #[command(subcommand)]
    Mapper(MapperCommand),
    /// One event as a file: everything that its outcome follows from, to be proved elsewhere.
    #[command(subcommand)]
    Case(CaseCommand),
    /// What an exit code means.
    #[command(after_help = EXIT_CODES)]
    ExitCodes,
}

/// `sluice dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Port of the ingest API on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8787)]
    pub port: u16,
    /// Port of the AWS endpoint on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8788)]
    pub aws_port: u16,
    /// Port of the console on 127.0.0.1; 0 takes a free one [default: 8789, or a free one if that is taken].
    #[arg(long, value_name = "PORT")]
    pub console_port: Option<u16>,
    /// Do not serve the console.
    #[arg(long, conflicts_with = "console_port")]
    pub no_console: bool,
    /// A further host that both listeners answer for, as its Host header says it: a tunnel's name, or HOST:PORT. May be repeated.
    #[arg(long = "allow-host", value_name = "HOST")]
    pub allowed_hosts: Vec<String>,
    /// Folder that holds all data [default: ./.sluice].
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    pub data: Option<PathBuf>,
    /// Keep the data in a temporary folder that goes away with the process.
    #[arg(long)]
    pub ephemeral: bool,
    /// Register the vendors of examples/vendors.json and publish the mappers built by `cargo xtask build`.
    #[arg(long)]
    pub examples: bool,
    /// Folder that holds vendors.json; looked for from here upwards, and in SLUICE_HOME, unless given.
    #[arg(long, value_name = "DIR", requires = "examples")]
    pub examples_dir: Option<PathBuf>,
}

/// `sluice console`.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// The AWS profile whose credentials are used [default: the ordinary configuration].
    #[arg(long)]
    pub profile: Option<String>,
    /// Port on 127.0.0.1; 0 takes a free one [default: 8789, or a free one if that is taken].
    #[arg(long)]
    pub port: Option<u16>,
    /// Change nothing: the routes that change something are not there.
    #[arg(long)]
    pub read_only: bool,
}

/// How `sluice send` signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    /// webhook-id, webhook-timestamp and webhook-signature.
    StandardWebhooks,
    /// X-Shopify-Hmac-SHA256 over the body.
    Shopify,
    /// X-WC-Webhook-Signature over the body.
    Woocommerce,
    /// x-square-hmacsha256-signature over the notification URL and the body.
    Square,
    /// A header of the vendor's own over the body.
    Hmac,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SignatureEncoding {
    /// Hexadecimal.
    Hex,
    /// Base64.
    Base64,
}

/// `sluice send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The file, or - for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// API key, sent as x-api-key.
    #[arg(long, env = "SLUICE_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Sign with this secret, by --scheme.
    #[arg(long, env = "SLUICE_WEBHOOK_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// How the vendor signs. Standard Webhooks takes a secret whsec_…, every other scheme takes it verbatim.
    #[arg(long, value_enum, default_value = "standard-webhooks")]
    pub scheme: Scheme,
    /// With --scheme hmac: the header that carries the signature.
    #[arg(long, value_name = "NAME", required_if_eq("scheme", "hmac"))]
    pub signature_header: Option<HeaderName>,
    /// With --scheme hmac: how the signature is written.
    #[arg(long, value_enum, default_value = "hex")]
    pub signature_encoding: SignatureEncoding,
    /// With --scheme hmac: what stands before the signature, such as sha256=.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub signature_prefix: String,
    /// With --scheme square: the notification URL that is registered with Square [default: where it is posted to].
    #[arg(long, value_name = "URL")]
    pub signature_url: Option<String>,
    /// Compress the body, with `content-encoding: gzip`.
    #[arg(long)]
    pub gzip: bool,
    /// A further header; goes before those that the command sets itself.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Path of the ingest API.
    #[arg(long, default_value = "/v1/events", value_parser = parse_path)]
    pub path: String,
    /// What `webhook-id` says [default: the event id, or a new one].
    #[arg(long, value_name = "ID", requires = "secret")]
    pub webhook_id: Option<String>,
    /// What `webhook-timestamp` says, in seconds since 1970 [default: now].
    #[arg(long, value_name = "SECONDS", requires = "secret")]
    pub webhook_timestamp: Option<i64>,

    /// The file is a bare payload: wrap it in an envelope made of the options below.
    #[arg(
        long,
        requires = "vendor",
        requires = "event_type",
        requires = "event_id",
        help_heading = "Envelope"
    )]
    pub payload: bool,
    /// vendorId.
    #[arg(long, value_name = "ID", requires = "payload", help_heading = "Envelope")]
    pub vendor: Option<VendorId>,
    /// eventType.
    #[arg(
        long = "type",
        id = "event_type",
        value_name = "TYPE",
        requires = "payload",
        help_heading = "Envelope"
    )]
    pub event_type: Option<EventType>,
    /// externalEventId.
    #[arg(long, value_name = "ID", requires = "payload", help_heading = "Envelope")]
    pub event_id: Option<ExternalEventId>,
    /// schemaVersion [default: the contract's].
    #[arg(long, value_name = "VERSION", requires = "payload", help_heading = "Envelope")]
    pub schema_version: Option<SchemaVersion>,
    /// occurredAt, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", requires = "payload", help_heading = "Envelope")]
    pub occurred_at: Option<Timestamp>,
}

/// `sluice show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// As answered when the event was accepted.
    #[arg(value_name = "INGEST_ID")]
    pub ingest_id: IngestId,
    /// Write the bytes of the request as they were received, and nothing else.
    #[arg(long, conflicts_with = "normalized")]
    pub raw: bool,
    /// Write the normalized document, one canonical event a line, and nothing else.
    #[arg(long)]
    pub normalized: bool,
}

/// `sluice ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only events with this status; may be given more than once.
    #[arg(long, value_enum, ignore_case = true)]
    pub status: Vec<StatusArg>,
    /// Only this vendor's.
    #[arg(long, value_name = "ID")]
    pub vendor: Option<VendorId>,
    /// Only events received since: a time (RFC 3339), or how long ago (90s, 15m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// Most events listed.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// [`Status`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// Accepted, in flight.
    Received,
    /// Accepted, and waiting for its vendor's release.
    Held,
    /// Done.
    Normalized,
    /// Waits for a person.
    Quarantined,
}

impl From<StatusArg> for Status {
    fn from(arg: StatusArg) -> Self {
        match arg {
            StatusArg::Received => Self::Received,
            StatusArg::Held => Self::Held,
            StatusArg::Normalized => Self::Normalized,
            StatusArg::Quarantined => Self::Quarantined,
        }
    }
}

/// A point in time, absolute or counted back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// RFC 3339.
    At(Timestamp),
    /// Seconds ago.
    SecondsAgo(i64),
}

impl Since {
    /// As a time.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::SecondsAgo(seconds) => {
                now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }
}

/// `sluice quarantine`.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List quarantined events.
    Ls {
        /// Only this vendor's.
        #[arg(long, value_name = "ID")]
        vendor: Option<VendorId>,
        /// Those released or discarded too.
        #[arg(long)]
        all: bool,
        /// By group: what fails alike is one line.
        #[arg(long)]
        group: bool,
    },
    /// Show one event, with every fault of its cause, or one group.
    Show {
        /// An ingestId, or a group's fingerprint.
        #[arg(value_name = "INGEST_ID|GROUP")]
        target: Target,
    },
    /// Let events be: they are not run again, and are kept with who decided so and why.
    Discard {
        /// ingestIds, or groups' fingerprints.
        #[arg(value_name = "INGEST_ID|GROUP", required = true)]
        targets: Vec<Target>,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
        reason: String,
        /// Who decides.
        #[command(flatten)]
        by: By,
        /// Do not ask. Required for groups when there is no terminal.
        #[arg(long)]
        yes: bool,
    },
    /// Get events out of quarantine by running them again: `sluice redrive` for one event or group.
    Release {
        /// An ingestId, or a group's fingerprint.
        #[arg(value_name = "INGEST_ID|GROUP")]
        target: Target,
        /// Do not ask. Required for a group when there is no terminal.
        #[arg(long)]
        yes: bool,
    },
    /// Say that a group is known. It is open again when it comes back after all of it was dealt with.
    Ack {
        /// The group's fingerprint.
        #[arg(value_name = "GROUP", value_parser = parse_group)]
        group: String,
        /// What is known of it: a ticket, a name.
        #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
        reason: String,
        /// Who knows.
        #[command(flatten)]
        by: By,
    },
}

/// `sluice redrive`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ingest_ids", "group", "vendor", "since", "until", "all"]))]
pub struct RedriveArgs {
    /// Which events.
    #[arg(value_name = "INGEST_ID", conflicts_with_all = ["group", "vendor", "since", "until", "all"])]
    pub ingest_ids: Vec<IngestId>,
    /// What is open of this group.
    #[arg(long, value_name = "GROUP", value_parser = parse_group)]
    pub group: Option<String>,
    /// Only this vendor's.
    #[arg(long, value_name = "ID")]
    pub vendor: Option<VendorId>,
    /// Only what was first quarantined at this time or later: RFC 3339, or how long ago.
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// Only what was first quarantined before this time: RFC 3339, or how long ago.
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub until: Option<Since>,
    /// All that are in quarantine.
    #[arg(long)]
    pub all: bool,
    /// Show the plan and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask. Required for a selection when there is no terminal, and with --json.
    #[arg(long)]
    pub yes: bool,
    /// Most events started per second. RedriveExecution and StartExecution allow 150 to 300, shared with everything else.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub rate: u32,
    /// Of a selection: stop when this share of those that ended has failed again.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub error_budget: u32,
    /// Of a selection: but not before this many have failed again.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub error_budget_min: u32,
    /// Start them and do not wait for their ends: without an error budget.
    #[arg(long)]
    pub no_wait: bool,
    /// Wait until each ends: what is done anyway.
    #[arg(long, hide = true, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Give up waiting for an event after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
    /// Leave the messages of released events in the dead-letter queue.
    #[arg(long)]
    pub keep_dead_letters: bool,
    /// Freeze the events as a plan and stop: `sluice operations start` runs it.
    #[arg(long, conflicts_with_all = ["dry_run", "no_wait", "background"])]
    pub plan: bool,
    /// Run them as an operation that goes on when this command has ended, and say its id.
    #[arg(long, conflicts_with_all = ["dry_run", "no_wait"], requires = "reason")]
    pub background: bool,
    /// With --background: why, for the record.
    #[arg(long, value_name = "TEXT", requires = "background")]
    pub reason: Option<String>,
    /// With --plan: until when.
    #[command(flatten)]
    pub valid: ValidFor,
    /// With --plan and --background: who.
    #[command(flatten)]
    pub by: By,
}

/// `sluice replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Only this vendor's.
    #[arg(long, value_name = "ID")]
    pub vendor: Option<VendorId>,
    /// Only events of this type.
    #[arg(long = "type", id = "event_type", value_name = "TYPE")]
    pub event_type: Option<EventType>,
    /// Only events of this version of the vendor's payload schema.
    #[arg(long, value_name = "VERSION")]
    pub schema_version: Option<SchemaVersion>,
    /// Events received from then on: a time (RFC 3339), or how long ago (90s, 15m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub from: Since,
    /// Events received before then [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub to: Option<Since>,
    /// Map the events here, as `normalize` would, say what would change, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Events normalized at once.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// Stop when more than this share of the events fails, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, value_parser = parse_percent)]
    pub tolerate: f64,
    /// Start it and do not wait for its end.
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
    /// Run it in batches as an operation that can be paused and stopped, and say its id.
    #[arg(long, conflicts_with_all = ["dry_run", "no_wait", "tolerate"], requires = "reason")]
    pub background: bool,
    /// With --background: why, for the record.
    #[arg(long, value_name = "TEXT", requires = "background")]
    pub reason: Option<String>,
    /// With --background: who.
    #[command(flatten)]
    pub by: By,
}

/// `sluice dlq`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List every dead-letter queue: how many messages, why, and how the last move went.
    Queues,
    /// Look at the messages without deleting them. They are hidden from other readers for a few seconds.
    Ls {
        /// Of this dead-letter queue, instead of the one of quarantined events.
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
        /// Most messages shown.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Move messages back to the queue whose handler gave them up, once the cause is mended. Shows the plan and asks first.
    Redrive(DlqRedriveArgs),
    /// Stop a move that is running. What was moved stays moved.
    Cancel {
        /// The dead-letter queue.
        #[arg(value_name = "NAME")]
        queue: String,
    },
    /// Remove messages whose event is out of quarantine: normalized, released or discarded. Others are given back.
    Drain {
        /// Most messages looked at.
        #[arg(long, value_name = "N", default_value_t = 100_000)]
        limit: u32,
        /// Remove nothing; say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

/// `sluice dlq redrive`.
#[derive(Debug, Args)]
pub struct DlqRedriveArgs {
    /// Only this dead-letter queue's, instead of all that serve a queue.
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
    /// Most messages moved per second, of each queue. Without it SQS chooses.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=500))]
    pub per_second: Option<i32>,
    /// Show the plan and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask. Required when there is no terminal, and with --json.
    #[arg(long)]
    pub yes: bool,
    /// Start the moves and do not wait for their ends.
    #[arg(long)]
    pub no_wait: bool,
    /// Move them as an operation that goes on when this command has ended, and say its id.
    #[arg(long, conflicts_with_all = ["dry_run", "no_wait"], requires = "reason")]
    pub background: bool,
    /// With --background: why, for the record.
    #[arg(long, value_name = "TEXT", requires = "background")]
    pub reason: Option<String>,
    /// With --background: who.
    #[command(flatten)]
    pub by: By,
}

/// `sluice drift`.
#[derive(Debug, Args)]
pub struct DriftArgs {
    /// Only this vendor's.
    #[arg(value_name = "VENDOR")]
    pub vendor: Option<VendorId>,
    /// Only what does not satisfy the contract.
    #[arg(long)]
    pub breaking: bool,
    /// Only what was last seen since: a time (RFC 3339), or how long ago (90s, 15m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
}

/// `sluice state`.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List entities with their data. Scans the table.
    Ls {
        /// Only entities whose key begins so, e.g. inventory#ROA#
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// Most entities listed.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show one entity: every member's value, when it was said and by which event.
    Show {
        /// inventory#<warehouseId>#<sku>, order#<vendorId>#<orderId> or shipment#<vendorId>#<shipmentId>; a # within a part is %23, a % is %25.
        #[arg(value_name = "ENTITY")]
        entity: Entity,
        /// Every statement about it too, in the order of acceptance.
        #[arg(long)]
        history: bool,
    },
}

/// `sluice divergence`.
#[derive(Debug, Subcommand)]
pub enum DivergenceCommand {
    /// List contradictions with both values, newest first.
    Ls {
        /// Only those about this entity, or this ledger key (ledger#<vendorId>#<externalEventId>). Without it the table is scanned.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        /// Only of this kind, e.g. stale or conflict.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Most rows listed.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
}

/// `sluice conflicts`.
#[derive(Debug, Subcommand)]
pub enum ConflictsCommand {
    /// List conflicts that wait for a decision, refused or kept, newest first. The divergence table is scanned.
    Ls {
        /// Only this vendor's.
        #[arg(long, value_name = "ID")]
        vendor: Option<VendorId>,
        /// Those that were accepted too.
        #[arg(long)]
        all: bool,
        /// Most rows listed.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Make conflicts events of their own, or let events go on that are held; record who and why. Accepting twice changes nothing.
    Accept {
        /// Which.
        #[arg(value_name = "INGEST_ID", required = true)]
        ingest_ids: Vec<IngestId>,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
        reason: String,
        /// Who decides.
        #[command(flatten)]
        by: By,
    },
}

/// `sluice balance`.
#[derive(Debug, Args)]
pub struct BalanceArgs {
    /// This vendor's, hour by hour, each counted afresh and compared with what is stored.
    #[arg(long, value_name = "ID")]
    pub vendor: Option<VendorId>,
    /// This hour's, by vendor, counted afresh and compared with what is stored: 2026-11-21T10.
    #[arg(long, value_name = "HOUR", conflicts_with = "wait", value_parser = str::parse::<Hour>)]
    pub hour: Option<Hour>,
    /// With --vendor: hours from this time on: RFC 3339, or how long ago.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_since)]
    pub since: Since,
    /// Wait until nothing is in flight.
    #[arg(long)]
    pub wait: bool,
    /// With --wait: give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, requires = "wait")]
    pub timeout: u64,
}

/// `sluice audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only this vendor's. Canonical state is then looked at from its events only.
    #[arg(long, value_name = "ID")]
    pub vendor: Option<VendorId>,
    /// Events received from this time on: RFC 3339, or how long ago [default: the first].
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub from: Option<Since>,
    /// Events received before this time: RFC 3339, or how long ago [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub to: Option<Since>,
    /// Keep a record of how far it is in this file, and go on from there if it exists.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Objects read at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub parallel: u32,
}

/// `sluice vendors`.
#[derive(Debug, Subcommand)]
pub enum VendorsCommand {
    /// Register a vendor. Its key is stored as a digest only.
    Add(VendorsAddArgs),
    /// List vendors.
    Ls,
    /// Show one: keys and secrets by their digests, limits, mappers, what was changed when and by whom.
    Show {
        /// Which.
        #[arg(value_name = "ID")]
        id: VendorId,
    },
    /// Give a vendor a second API key, and end the first once the vendor uses the second.
    RotateKey(RotateArgs),
    /// Give a vendor a second webhook secret, and end the first once the vendor uses the second.
    RotateSecret(RotateArgs),
    /// Answer a vendor 403 from now on. Nothing of its history is lost.
    Disable {
        /// Which.
        #[arg(value_name = "ID")]
        id: VendorId,
        /// Who does it.
        #[command(flatten)]
        by: By,
    },
    /// Undo `disable`.
    Enable {
        /// Which.
        #[arg(value_name = "ID")]
        id: VendorId,
        /// Who does it.
        #[command(flatten)]
        by: By,
    },
    /// Accept and keep a vendor's events, and do not normalize them until it is released. What was normalized stays.
    Hold {
        /// Which.
        #[arg(value_name = "ID")]
        id: VendorId,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who does it.
        #[command(flatten)]
        by: By,
    },
    /// Undo `hold`: new events pass, and those that wait are let go by an operation.
    Release {
        /// Which.
        #[arg(value_name = "ID")]
        id: VendorId,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Most events let go per second.
        #[arg(long, value_name = "PER_SECOND", default_value_t = sluice_ops::hold::PER_SECOND_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=i64::from(sluice_core::operation::PER_SECOND_MAX)))]
        rate: u32,
        /// Who does it.
        #[command(flatten)]
        by: By,
    },
    /// How well vendors send: a score a day, with each of its components.
    Health {
        /// Which; all if left out.
        #[arg(value_name = "ID")]
        id: Option<VendorId>,
        /// UTC day: 2026-11-21 [default: today].
        #[arg(long, value_name = "DAY", value_parser = str::parse::<jiff::civil::Date>)]
        day: Option<jiff::civil::Date>,
    },
}

/// `sluice vendors rotate-key` and `rotate-secret`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Which vendor.
    #[arg(value_name = "ID")]
    pub id: VendorId,
    /// The new one; made and shown once if left out.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["finish", "revoke"])]
    pub value: Option<String>,
    /// End the rotation: the older one does not hold any more.
    #[arg(long, conflicts_with = "revoke")]
    pub finish: bool,
    /// End one at once, whichever it is: the first digits of its digest, as `sluice vendors show` lists it.
    #[arg(long, value_name = "DIGEST")]
    pub revoke: Option<String>,
    /// Who does it.
    #[command(flatten)]
    pub by: By,
}

/// `sluice vendors add`.
#[derive(Debug, Args)]
pub struct VendorsAddArgs {
    /// 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(long, value_name = "ID")]
    pub id: VendorId,
    /// API key; made and shown once if left out.
    #[arg(long)]
    pub key: Option<String>,
    /// The vendor signs with this secret: whsec_… for Standard Webhooks, any other verbatim for the scheme of its contracts; a second one
    /// for a rotation.
    #[arg(long, conflicts_with = "generate_secret")]
    pub secret: Vec<String>,
    /// The vendor signs by Standard Webhooks with a secret made now and shown once.
    #[arg(long)]
    pub generate_secret: bool,
    /// Requests per second; with --burst.
    #[arg(long, value_name = "PER_SECOND", requires = "burst", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Requests at once; with --rate.
    #[arg(long, value_name = "N", requires = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    pub burst: Option<u32>,
    /// What becomes of messages that no contract covers: keep and quarantine them, or refuse them. Left out: native ones are kept,
    /// envelopes are refused.
    #[arg(long, value_name = "keep|refuse", value_parser = unknown_event_types)]
    pub unknown_event_types: Option<UnknownEventTypes>,
    /// Replace the vendor's profile and keys if it is registered already.
    #[arg(long)]
    pub replace: bool,
    /// With --replace: the key that it has stays valid beside the new one, for a rotation.
    #[arg(long, requires = "replace", action = ArgAction::SetTrue)]
    pub keep_key: bool,
}

fn unknown_event_types(text: &str) -> Result<UnknownEventTypes, String> {
    [UnknownEventTypes::Keep, UnknownEventTypes::Refuse]
        .into_iter()
        .find(|setting| setting.as_str() == text)
        .ok_or_else(|| "expected keep or refuse".to_owned())
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|error| format!("{error}: expected http://host:port or https://…"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("expected http://host:port or https://…".into());
    }
    Ok(url)
}

fn parse_local(text: &str) -> Result<LocalSetting, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "no" => Ok(LocalSetting(None)),
        "1" | "true" | "yes" => parse_url(AWS_URL_LOCAL).map(|url| LocalSetting(Some(url))),
        _ => parse_url(text).map(|url| LocalSetting(Some(url))),
    }
}

fn parse_group(text: &str) -> Result<String, String> {
    if sluice_core::quarantine::is_fingerprint(text) {
        Ok(text.to_owned())
    } else {
        Err("a group's fingerprint has 16 hexadecimal digits: `sluice quarantine ls --group` lists them"
            .to_owned())
    }
}

fn parse_reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".to_owned()) } else { Ok(text.trim().to_owned()) }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    let name = name.trim().parse::<HeaderName>().map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "expected a number between 0 and 100".to_owned())?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent)
    } else {
        Err("expected a number between 0 and 100".into())
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("must start with /".into()) }
}

fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    let wrong = || {
        "expected RFC 3339, such as 2026-11-21T10:00:00Z, or how long ago, such as 90s, 15m, 2h, 7d"
            .to_owned()
    };
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Ok(Since::SecondsAgo(duration.as_secs().abs()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::error::ExitKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("sluice").chain(line.split_whitespace()))
    }

    fn parsed(line: &str) -> Cli {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn local_takes_its_url_by_an_equals_sign_only() {
        for line in ["--local ls", "ls --local"] {
            let url = parsed(line).global.local.and_then(|local| local.0).map(|url| url.to_string());
            assert_eq!(url.as_deref(), Some("http://127.0.0.1:8788/"), "{line}");
        }
        let url = parsed("ls --local=http://127.0.0.1:9").global.local.and_then(|local| local.0);
        assert_eq!(url.map(|url| url.to_string()).as_deref(), Some("http://127.0.0.1:9/"));
        assert!(parse("ls --local=ftp://x").is_err());
        assert!(parse("ls --local=nowhere").is_err());
        assert_eq!(parse_local("0"), Ok(LocalSetting(None)));
    }

    #[test]
    fn a_bare_payload_needs_the_members_of_an_envelope() {
        assert!(parse("send f --payload --vendor v --type t").is_err());
        assert!(parse("send f --event-id e").is_err(), "it would be ignored");
        let Command::Send(args) =
            parsed("send f --payload --vendor v --type orders/create --event-id e").command
        else {
            panic!("send")
        };
        assert_eq!(args.event_type.map(String::from).as_deref(), Some("orders/create"));
        assert!(parse("send f --payload --vendor ../x --type t --event-id e").is_err());
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let Command::Send(args) = parsed("send f --header X-Test:a:b --header x-more:1").command else {
            panic!("send")
        };
        assert_eq!(args.headers.len(), 2);
        assert_eq!(args.headers[0], (HeaderName::from_static("x-test"), HeaderValue::from_static("a:b")));
        assert!(parse("send f --header nocolon").is_err());
    }

    #[test]
    fn redrive_is_of_some_or_of_all() {
        let id = "01KCZ00000000000000000000A";
        assert!(parse("redrive").is_err());
        assert!(parse("redrive --yes").is_err(), "of what?");
        assert!(parse(&format!("redrive {id} --all")).is_err());
        assert!(parse(&format!("redrive {id} --vendor v")).is_err());
        assert!(parse("redrive --all --vendor v --wait --timeout 5").is_ok());
        for selection in [
            "--group 0123456789abcdef",
            "--vendor v",
            "--since 2h --until 1h",
            "--group 0123456789abcdef --vendor v",
        ] {
            assert!(parse(&format!("redrive {selection} --yes")).is_ok(), "{selection}");
        }
        assert!(parse("redrive --group nonsense").is_err());
        assert!(parse("redrive --all --wait --no-wait").is_err());
        assert!(parse(&format!("redrive {id} {id}")).is_ok());
        assert!(parse("redrive not-a-ulid").is_err());
    }

    #[test]
    fn a_decision_needs_its_reason() {
        let id = "01KCZ00000000000000000000A";
        assert!(parse(&format!("quarantine discard {id}")).is_err());
        assert!(parse("quarantine discard 0123456789abcdef --reason=").is_err());
        assert!(parse(&format!("quarantine discard {id} 0123456789abcdef --reason known --by me")).is_ok());
        assert!(parse("quarantine ack 0123456789abcdef --reason T-1").is_ok());
        assert!(parse(&format!("quarantine ack {id} --reason T-1")).is_err(), "an event is no group");
        assert!(parse("vendors rotate-key v --finish --revoke ab").is_err());
    }

    #[test]
    fn since_is_a_time_or_an_age() {
        let now: Timestamp = Timestamp::constant(1_795_255_200, 0);
        let resolved = |text: &str| parse_since(text).map(|since| since.resolve(now).to_string());
        assert_eq!(resolved("90s").as_deref(), Ok("2026-11-21T09:58:30Z"));
        assert_eq!(resolved("2d").as_deref(), Ok("2026-11-19T10:00:00Z"));
        assert_eq!(resolved("2026-01-01T00:00:00Z").as_deref(), Ok("2026-01-01T00:00:00Z"));
        assert!(parse_since("yesterday").is_err());
    }

    #[test]
    fn dev_has_its_documented_defaults() {
        let Command::Dev(args) = parsed("dev").command else { panic!("dev") };
        assert_eq!((args.port, args.aws_port, args.ephemeral, args.examples), (8787, 8788, false, false));
        assert!(parse("dev --data x --ephemeral").is_err());
        assert!(parse("dev --examples-dir x").is_err());
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        for kind in ExitKind::ALL {
            assert!(EXIT_CODES.contains(&format!("  {}  {}", kind.code(), kind.meaning())), "{kind:?}");
        }
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains(EXIT_CODES));
    }
}

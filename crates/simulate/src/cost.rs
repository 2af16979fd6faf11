//! What the simulated load costs, from the simulation's own counts and `docs/prices.toml`.
//!
//! Every quantity is counted, but for those that a few minutes do not show: storage, logs and what
//! recurs by the month, each with its assumption. No free tier, no volume discount.

use toml::Table;

use crate::world::World;

/// Events a month over which alarms, the dashboard and keys are spread.
const MILLIONS_PER_MONTH: f64 = 100.0;

/// Bytes of a log line of a stage, with what CloudWatch adds: assumption.
const LINE_BYTES: f64 = 400.0;

/// How often Reconcile counts a row: six times in its own hour, in the mean, and twelve times in
/// the next.
const RECOUNTS: f64 = 18.0;

/// A missing price.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// Not TOML.
    #[error("docs/prices.toml cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// There is no such figure.
    #[error("docs/prices.toml has no number {0}: add it, with its source")]
    Missing(String),
}

/// `docs/prices.toml`.
#[derive(Clone, Debug)]
pub struct Prices(Table);

impl Prices {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When it is not TOML.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        Ok(Self(text.parse()?))
    }

    fn of(&self, service: &str, what: &str) -> Result<f64, PriceError> {
        let value = self.0.get(service).and_then(|table| table.get(what)).and_then(toml::Value::as_float);
        value.ok_or_else(|| PriceError::Missing(format!("{service}.{what}")))
    }
}

/// A line of the bill, for a million accepted events.
#[derive(Clone, Debug)]
pub struct Item {
    /// `DynamoDB`
    pub service: &'static str,
    /// `writes of the ledger`
    pub what: &'static str,
    /// For a million events.
    pub dollars: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(value: u64) -> f64 {
    value as f64
}

/// The bill of a simulation that is over.
pub(crate) fn bill(world: &World, prices: &Prices) -> Result<Vec<Item>, PriceError> {
    let accepted = count(world.books.accepted).max(1.0);
    let (counts, used) = (&world.counts, &world.store.used);
    let mut items = Vec::new();
    let mut add = |service, what, quantity: f64, price: f64| {
        items.push(Item { service, what, dollars: quantity / accepted * 1e6 * price });
    };
    add("API Gateway", "requests", count(counts.requests), prices.of("api_gateway", "request")?);

    let express = prices.of("step_functions", "express_request")?;
    add("Step Functions", "Express requests", count(counts.starts[0]), express);
    let gb_seconds = count(counts.express_gb_ms) / 1_024.0 / 1_000.0;
    add(
        "Step Functions",
        "Express GB-seconds",
        gb_seconds,
        prices.of("step_functions", "express_gb_second")?,
    );
    let transition = prices.of("step_functions", "standard_transition")?;
    add("Step Functions", "Standard transitions", count(counts.transitions), transition);

    let invocations: u64 = world.functions.iter().map(|function| function.invocations).sum();
    let gb_ms: f64 = world.functions.iter().map(|function| function.gb_ms).sum();
    let cold: u64 = world.functions.iter().map(|function| function.cold).sum();
    add("Lambda", "requests", count(invocations), prices.of("lambda", "request")?);
    // Since August 2025 the start of an environment is billed: 60 ms of half a gigabyte.
    let gb_seconds = gb_ms / 1_000.0 + count(cold) * 0.06 * 0.5;
    add("Lambda", "GB-seconds", gb_seconds, prices.of("lambda", "gb_second_x86_64")?);

    let write = prices.of("dynamodb", "write_unit")?;
    let read = prices.of("dynamodb", "read_unit")?;
    add("DynamoDB", "writes of the ledger", used.ledger_writes, write);
    add("DynamoDB", "writes of the ledger's indexes", used.index_writes, write);
    add("DynamoDB", "writes of canonical state", used.canonical_writes, write);
    add("DynamoDB", "writes of the quarantine", used.quarantine_writes, write);
    add("DynamoDB", "reads", used.reads, read);
    // Half a unit for 4 KB; a row has 0.94 KB.
    add("DynamoDB", "reads of Reconcile", accepted * RECOUNTS * 0.94 / 4.0 / 2.0, read);
    let entities: f64 = world
        .books
        .events
        .iter()
        .filter(|event| event.applied > 0)
        .map(|event| event.entities.iter().filter(|entity| **entity != crate::books::NONE).count() as f64)
        .sum();
    // Three copies of a ledger row; effects, and a contribution for each entity: kept for a month
    // here, and never deleted today.
    let rows_gb = (accepted * (3.0 * 1_040.0 + 400.0) + entities * 500.0) / 1e9;
    let month =
        prices.of("dynamodb", "gb_month")? + prices.of("dynamodb", "point_in_time_recovery_gb_month")?;
    add("DynamoDB", "storage and recovery, a month", rows_gb, month);

    let put = prices.of("s3", "put")?;
    add("S3", "PUT", count(used.puts), put);
    add("S3", "GET", count(used.gets), prices.of("s3", "get")?);
    add("S3", "LIST of Reconcile", accepted * RECOUNTS * 2.0 / 1_000.0, put);
    add("S3", "storage, a month", accepted * 4_700.0 / 1e9, prices.of("s3", "gb_month")?);

    add("EventBridge", "events", count(counts.events), prices.of("eventbridge", "event")?);
    add("EventBridge", "pipe requests", count(counts.pipe_requests), prices.of("pipes", "request")?);
    // Five pollers a queue wait for 20 s each: 648,000 requests a month.
    let idle = count(world.pollers.len() as u64) * 648_000.0 / (MILLIONS_PER_MONTH * 1e6) * accepted;
    add("SQS", "requests", count(counts.queue_requests) + idle, prices.of("sqs", "request")?);

    // A line for each event and stage: accept, persist-raw, relay twice, normalize, apply.
    let lines_gb = (count(counts.requests) + 5.0 * accepted) * LINE_BYTES / 1e9;
    add("CloudWatch", "logs of functions", lines_gb, prices.of("cloudwatch", "log_gb")?);
    // 500 bytes and their overhead a request; kept for 30 days at a fifth of the size.
    let access_gb = count(counts.requests) * 860.0 / 1e9;
    add("CloudWatch", "access log", access_gb, prices.of("cloudwatch", "vended_log_gb")?);
    add("CloudWatch", "logs kept", (lines_gb + access_gb) / 5.0, prices.of("cloudwatch", "log_gb_month")?);
    let monthly = 60.0 * prices.of("cloudwatch", "alarm_month")?
        + 40.0 * prices.of("cloudwatch", "metric_month")?
        + prices.of("cloudwatch", "dashboard_month")?;
    let share = accepted / (MILLIONS_PER_MONTH * 1e6);
    add("CloudWatch", "60 alarms, 40 metrics, a dashboard", share, monthly);
    add("KMS", "requests", accepted * 0.02, prices.of("kms", "request")?);
    add("KMS", "two keys", share * 2.0, prices.of("kms", "key_month")?);
    add(
        "X-Ray",
        "traces of one request in twenty",
        accepted * 2.0 * 0.05,
        prices.of("xray", "trace_recorded")?,
    );
    Ok(items)
}

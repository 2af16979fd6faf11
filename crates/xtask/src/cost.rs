//! `cargo xtask cost`: what a million accepted events cost on AWS, by item. Prices are in `docs/prices.toml`, each with its source.
//!
//! Every quantity is counted from what the state machines, functions and adapters do for one event; the comment beside it says
//! where. Nothing is rounded in our favour: no free tier, no volume discount, whole units where AWS bills whole units.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use toml::Table;

use crate::project::Project;
use crate::steps;

const TARGET_DOLLARS: f64 = 22.0;

const MILLION: f64 = 1_000_000.0;

/// What the figures depend on. Defaults of times: what the function does itself (`cargo xtask bench functions`) and 5 ms for each
/// call of DynamoDB that waits for the one before it, 25 ms for each of S3, 10 ms for others.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Bytes of a request's body
    #[arg(long, default_value_t = 2_048.0)]
    payload_bytes: f64,
    /// Deliveries that repeat an event, as a part of the events
    #[arg(long, default_value_t = 0.02)]
    duplicates: f64,
    /// Events that are quarantined and redriven once, as a part of the events
    #[arg(long, default_value_t = 0.001)]
    quarantined: f64,
    /// Bytes of a ledger row once it is NORMALIZED; it is billed in whole KB, three times. Measured: 870 to 936
    #[arg(long, default_value_t = 940.0)]
    row_bytes: f64,
    /// Bytes of a ledger row while it is RECEIVED. Measured: 520 to 600
    #[arg(long, default_value_t = 600.0)]
    new_row_bytes: f64,
    /// Milliseconds of Accept: four dependent reads
    #[arg(long, default_value_t = 22.0)]
    accept_ms: f64,
    /// Milliseconds of PersistRaw: one object, one row
    #[arg(long, default_value_t = 32.0)]
    persist_ms: f64,
    /// Milliseconds of Normalize: one object read, one written, one row; bundles and pointers are cached
    #[arg(long, default_value_t = 57.0)]
    normalize_ms: f64,
    /// Milliseconds of Relay, for a batch
    #[arg(long, default_value_t = 30.0)]
    relay_ms: f64,
    /// Milliseconds of Apply, for a batch
    #[arg(long, default_value_t = 120.0)]
    apply_ms: f64,
    /// Stream records in one invocation of Relay
    #[arg(long, default_value_t = 10.0)]
    relay_batch: f64,
    /// Messages in one invocation of Apply
    #[arg(long, default_value_t = 5.0)]
    apply_batch: f64,
    /// Invocations that start a new environment, as a part of all
    #[arg(long, default_value_t = 0.002)]
    cold_starts: f64,
    /// Requests that X-Ray records, as a part of all: its default rule
    #[arg(long, default_value_t = 0.05)]
    traced: f64,
    /// Millions of events a month, over which alarms, the dashboard and keys are spread
    #[arg(long, default_value_t = 100.0)]
    millions_per_month: f64,
    /// Months for which objects and rows are kept, all of them paid here
    #[arg(long, default_value_t = 1.0)]
    months: f64,
    /// Functions on Graviton, all but Normalize
    #[arg(long)]
    arm64: bool,
    /// With Lambda's own lines of every invocation in the logs
    #[arg(long)]
    platform_logs: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

struct Prices(Table);

impl Prices {
    fn of(&self, service: &str, what: &str) -> Result<f64> {
        let value = self.0.get(service).and_then(|table| table.get(what));
        let value = value.and_then(|value| value.as_float().or_else(|| value.as_integer().map(to_f64)));
        value.with_context(|| format!("docs/prices.toml has no number {service}.{what}"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "prices and steps are far below 2^52")]
fn to_f64(value: i64) -> f64 {
    value as f64
}

/// A line of the bill, for a million events.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    service: &'static str,
    what: String,
    dollars: f64,
    /// Whether a design of one Standard machine pays it as well.
    common: bool,
}

pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let path = project.root.join("docs/prices.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let prices = Prices(text.parse().with_context(|| format!("{} is not TOML", path.display()))?);
    let items = bill(options, &prices)?;
    let total: f64 = items.iter().map(|item| item.dollars).sum();
    let standard = standard_machine(&items, &prices)?;
    let read_on = prices.0.get("read_on").and_then(toml::Value::as_str).unwrap_or("?");

    if options.json {
        let items: Vec<_> = items
            .iter()
            .map(|item| json!({"service": item.service, "what": item.what, "dollars": item.dollars}))
            .collect();
        println!(
            "{}",
            json!({"pricesOf": read_on, "items": items, "dollars": total, "target": TARGET_DOLLARS,
                   "oneStandardMachine": standard})
        );
        return Ok(());
    }
    println!("dollars for a million accepted events, us-east-1, prices of {read_on} (docs/prices.toml)\n");
    let mut services: Vec<&str> = Vec::new();
    for item in &items {
        if !services.contains(&item.service) {
            services.push(item.service);
        }
    }
    println!("| service | item | dollars |\n|---|---|---|");
    for service in services {
        let lines: Vec<&Item> = items.iter().filter(|item| item.service == service).collect();
        for item in &lines {
            println!("| {service} | {} | {:.2} |", item.what, item.dollars);
        }
        if lines.len() > 1 {
            let sum: f64 = lines.iter().map(|item| item.dollars).sum();
            println!("| {service} | **together** | {sum:.2} |");
        }
    }
    let verdict = if total <= TARGET_DOLLARS { "met" } else { "MISSED" };
    println!(
        "| **all** | target <= {TARGET_DOLLARS:.2}: {verdict} | {} |",
        steps::bold(&format!("{total:.2}"))
    );
    println!("\none Standard machine instead: {standard:.2}, {:.1} x", standard / total);
    Ok(())
}

/// The same work by one Standard machine behind the API: no Express executions, no `ingest.accepted` on the bus.
fn standard_machine(items: &[Item], prices: &Prices) -> Result<f64> {
    // Accept, IsAnswered?, PersistRaw, Normalize, Done.
    const TRANSITIONS: f64 = 5.0;
    let common: f64 = items.iter().filter(|item| item.common).map(|item| item.dollars).sum();
    Ok(common + TRANSITIONS * prices.of("step_functions", "standard_transition")? * MILLION)
}

fn bill(options: &Options, prices: &Prices) -> Result<Vec<Item>> {
    for (name, part) in [
        ("duplicates", options.duplicates),
        ("quarantined", options.quarantined),
        ("cold-starts", options.cold_starts),
        ("traced", options.traced),
    ] {
        ensure!((0.0..=1.0).contains(&part), "--{name} is a part of all, from 0 to 1, not {part}");
    }
    for (name, count) in [
        ("relay-batch", options.relay_batch),
        ("apply-batch", options.apply_batch),
        ("millions-per-month", options.millions_per_month),
    ] {
        ensure!(count > 0.0, "--{name} must be more than 0, not {count}");
    }
    let mut items = Vec::new();
    let mut add = |service, what: &str, common, count: f64, price: f64| {
        items.push(Item { service, what: what.to_owned(), dollars: count * price * MILLION, common });
    };
    let deliveries = 1.0 + options.duplicates;
    // `Rejected` is not retried: a quarantined event is normalized once more, when it is redriven.
    let normalized = 1.0 + options.quarantined;

    add("API Gateway", "requests", true, deliveries, prices.of("api_gateway", "request")?);

    let request = prices.of("step_functions", "express_request")?;
    let gb_second = prices.of("step_functions", "express_gb_second")?;
    let step_ms = prices.of("step_functions", "express_step_ms")?;
    let step_mb = prices.of("step_functions", "express_step_mb")?;
    let express = |ms: f64, payload: f64| {
        // "Pricing examples", Step Functions: 50 MB of the service's own, and the data of the execution.
        let mb = units(50.0 + payload / 1e6, step_mb) * step_mb;
        units(ms, step_ms) * step_ms / 1_000.0 * mb / 1_024.0
    };
    // Beside the functions' own time, what Step Functions needs between states and to invoke them: 15 ms a task.
    let intake = express(options.accept_ms + options.persist_ms + 30.0, options.payload_bytes * 4.0);
    let duplicate = express(options.accept_ms + 15.0, options.payload_bytes * 4.0);
    let normalize = express(options.normalize_ms + 15.0, 4_096.0);
    add("Step Functions", "intake, Express requests", false, deliveries, request);
    add("Step Functions", "intake, GB-seconds", false, intake + options.duplicates * duplicate, gb_second);
    add("Step Functions", "normalize, Express requests", false, 1.0, request);
    add("Step Functions", "normalize, GB-seconds", false, normalize, gb_second);
    // HasFailed?, AwaitRedrive, again, Normalize, Release, Recovered.
    let transition = prices.of("step_functions", "standard_transition")?;
    add("Step Functions", "recover, Standard transitions", true, options.quarantined * 6.0, transition);

    let lambda_request = prices.of("lambda", "request")?;
    let x86 = prices.of("lambda", "gb_second_x86_64")?;
    let most = if options.arm64 { prices.of("lambda", "gb_second_arm64")? } else { x86 };
    // Since August 2025 the start of an environment is billed as well: 60 ms, most of it Lambda's own.
    let cold_ms = options.cold_starts * 60.0;
    for (name, count, ms, gb, price, common) in [
        ("Accept", deliveries, options.accept_ms, 0.25, most, true),
        ("PersistRaw", 1.0, options.persist_ms, 0.25, most, true),
        // Two records an event: the insert and the change of status.
        ("Relay", 2.0 / options.relay_batch, options.relay_ms, 0.25, most, true),
        ("Normalize", normalized, options.normalize_ms, 0.5, x86, true),
        ("Apply", 1.0 / options.apply_batch, options.apply_ms, 0.25, most, true),
        ("Quarantine", options.quarantined * 2.0, 30.0, 0.25, most, true),
    ] {
        let gb_seconds = count * (units(ms, 1.0) + cold_ms) / 1_000.0 * gb;
        let dollars = count * lambda_request + gb_seconds * price;
        add("Lambda", name, common, 1.0, dollars);
    }

    let write = prices.of("dynamodb", "write_unit")?;
    let read = prices.of("dynamodb", "read_unit")?;
    let (new_row, row) = (units(options.new_row_bytes, 1_024.0), units(options.row_bytes, 1_024.0));
    // The row, and an item of each of the two indexes, which have all attributes.
    add("DynamoDB", "ledger: RECEIVED, with two indexes", true, 3.0 * new_row, write);
    // The row; `by-ingest-id` is updated; `by-status` is another item, so that the old one is deleted and a new one is put.
    add("DynamoDB", "ledger: NORMALIZED, with two indexes", true, normalized * (3.0 * row + new_row), write);
    // State and effects, in one transaction: two units each.
    add("DynamoDB", "canonical state: one transaction of two rows", true, 4.0, write);
    // Accept: key and profile (half a unit each, eventually consistent), contracts, the ledger's row consistently.
    add("DynamoDB", "reads of Accept", true, deliveries * 2.5, read);
    // Normalize: the pointer is cached. Apply: the ledger's row, state and effects, consistently.
    add("DynamoDB", "reads of Apply", true, 3.0, read);
    add("DynamoDB", "stream, read by Lambda: free", true, 0.0, 0.0);
    let rows_gb = (3.0 * (options.row_bytes + 100.0) + 600.0) / 1e9;
    let row_month =
        prices.of("dynamodb", "gb_month")? + prices.of("dynamodb", "point_in_time_recovery_gb_month")?;
    add("DynamoDB", "storage and recovery", true, rows_gb * options.months, row_month);

    let (put, get) = (prices.of("s3", "put")?, prices.of("s3", "get")?);
    add("S3", "PUT of raw objects", true, 1.0, put);
    add("S3", "PUT of normalized objects", true, 1.0, put);
    // Normalize reads the one, Apply the other.
    add("S3", "GET", true, 1.0 + normalized, get);
    let objects_gb = (options.payload_bytes * 2.0 + 600.0) / 1e9;
    add("S3", "storage", true, objects_gb * options.months, prices.of("s3", "gb_month")?);

    let event = prices.of("eventbridge", "event")?;
    add("EventBridge", "ingest.accepted", false, 1.0, event);
    add("EventBridge", "event.normalized", true, 1.0, event);
    add("EventBridge", "the pipe to normalize", false, 1.0, prices.of("pipes", "request")?);

    // Sent one by one by the bus; received and deleted in batches, to normalize taken to be of one; and five pollers a queue wait
    // for 20 s each, which is 648,000 requests a month.
    let sqs = prices.of("sqs", "request")?;
    add("SQS", "before normalize: sent, received, deleted", false, 3.0, sqs);
    add("SQS", "sent, received, deleted", true, 1.0 + 2.0 / options.apply_batch, sqs);
    add("SQS", "empty polls of six queues", true, 6.0 * 0.648 / options.millions_per_month, sqs);

    // Bytes: our line for each event and stage (300), the access log's line (500), and with the setting `platformLogs` Lambda's
    // `platform.start`, `.runtimeDone` and `.report` for each invocation (1,200).
    let invocations = deliveries + 1.0 + normalized + 2.0 / options.relay_batch + 1.0 / options.apply_batch;
    let platform = if options.platform_logs { invocations * 1_200.0 } else { 0.0 };
    let lines_gb = (6.0 * 300.0 + platform) / 1e9;
    add("CloudWatch", "logs of functions", true, lines_gb, prices.of("cloudwatch", "log_gb")?);
    add(
        "CloudWatch",
        "access log",
        true,
        deliveries * 500.0 / 1e9,
        prices.of("cloudwatch", "vended_log_gb")?,
    );
    // 30 days, at a fifth of the size.
    add("CloudWatch", "logs kept", true, lines_gb / 5.0, prices.of("cloudwatch", "log_gb_month")?);
    let monthly = 60.0 * prices.of("cloudwatch", "alarm_month")?
        + 40.0 * prices.of("cloudwatch", "metric_month")?
        + prices.of("cloudwatch", "dashboard_month")?;
    add(
        "CloudWatch",
        "60 alarms, 40 metrics, a dashboard",
        true,
        1.0 / MILLION / options.millions_per_month,
        monthly,
    );

    // Bucket keys and DynamoDB's cached keys: a call for hundreds of requests.
    add("KMS", "requests", true, 0.02, prices.of("kms", "request")?);
    let keys = 2.0 * prices.of("kms", "key_month")?;
    add("KMS", "two keys", true, 1.0 / MILLION / options.millions_per_month, keys);
    // Two traces: the request with intake, and normalize.
    add("X-Ray", "traces recorded", true, 2.0 * options.traced, prices.of("xray", "trace_recorded")?);
    Ok(items)
}

/// Whole units, as they are billed.
fn units(amount: f64, unit: f64) -> f64 {
    (amount / unit).ceil().max(1.0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop")]

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        Line::parse_from([&["cost"], arguments].concat()).options
    }

    fn prices() -> Prices {
        Prices(include_str!("../../../docs/prices.toml").parse().unwrap())
    }

    fn dollars(options: &Options, service: &str, what: &str) -> f64 {
        let items = bill(options, &prices()).unwrap();
        items.iter().find(|item| item.service == service && item.what == what).unwrap().dollars
    }

    #[test]
    fn whole_units_are_billed() {
        assert_eq!(
            [units(0.0, 64.0), units(64.0, 64.0), units(64.1, 64.0)].map(|units| units as u8),
            [1, 1, 2]
        );
        let small =
            dollars(&options(&["--new-row-bytes", "1024"]), "DynamoDB", "ledger: RECEIVED, with two indexes");
        let large =
            dollars(&options(&["--new-row-bytes", "1025"]), "DynamoDB", "ledger: RECEIVED, with two indexes");
        assert!((small - 3.0 * 0.625).abs() < 1e-9 && (large - 2.0 * small).abs() < 1e-9, "{small} {large}");
    }

    #[test]
    fn a_duplicate_costs_its_request_and_no_write() {
        let (none, many) = (options(&["--duplicates", "0"]), options(&["--duplicates", "1"]));
        let differs = |service, what| dollars(&many, service, what) / dollars(&none, service, what);
        assert!((differs("API Gateway", "requests") - 2.0).abs() < 1e-9);
        assert!((differs("S3", "PUT of raw objects") - 1.0).abs() < 1e-9);
        assert!((differs("DynamoDB", "ledger: RECEIVED, with two indexes") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn parts_are_from_0_to_1_and_batches_are_not_empty() {
        for wrong in [["--duplicates", "2"], ["--relay-batch", "0"]] {
            assert!(bill(&options(&wrong), &prices()).is_err(), "{wrong:?}");
        }
    }
}

//! The packaged functions, each as a process under a Runtime API of ours, against the local cloud.
//!
//! [`measure`] is `cargo xtask bench functions`; [`check`] is what must hold however slow the machine is. The events are one
//! event's: each function gets what the one before it gave, as the state machines would pass it on.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::bench::{milliseconds, peak_memory_bytes};
use crate::cloud::{LocalCloud, Storage};
use crate::package::{self, Architecture, Package};
use crate::project::Project;
use crate::runtime_api::{Answer, Environment};
use crate::steps::{self, Steps};
use crate::wasm;

/// The error names that state machines match (design section 3).
const ERROR_NAMES: [&str; 3] = ["Retryable", "Rejected", "Misconfigured"];

const BINARY_BYTES_MAX: u64 = 10_000_000;
const BINARY_BYTES_MAX_NORMALIZE: u64 = 15_000_000;
const FIRST_RESPONSE_TARGET: Duration = Duration::from_millis(20);
const MEMORY_TARGET_BYTES: u64 = 40_000_000;

/// Starts of each function, and invocations of one process, that medians are taken of.
const STARTS: usize = 15;
const WARM_INVOCATIONS: usize = 50;

/// No answer may take longer, on a machine however loaded.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// How long the local cloud may take to normalize the event.
const NORMALIZE_TIME_MAX: Duration = Duration::from_secs(60);

/// Into an invocation that hangs, when the process is killed.
const KILL_AFTER: Duration = Duration::from_millis(300);

/// What the ledger's row, the bus and `normalize` are told of an event, under the same names.
const EVENT_MEMBERS: [&str; 8] = [
    "vendorId",
    "externalEventId",
    "ingestId",
    "eventType",
    "schemaVersion",
    "occurredAt",
    "receivedAt",
    "rawSha256",
];

/// An event that the function cannot take. `reconcile` has no field that it must be given, so one of a wrong type.
fn malformed(package: &Package) -> Value {
    match package.function.package.as_str() {
        "reconcile" => json!({"stuckSeconds": "soon"}),
        _ => json!({"unexpected": ["shape", null, 1]}),
    }
}

/// What the functions are run with.
struct Bench<'a> {
    packages: &'a [Package],
    events: HashMap<String, Value>,
    /// The settings of all functions but the address of AWS: a function reads those that it needs.
    variables: HashMap<String, String>,
    cloud: LocalCloud,
}

/// Two steps: the local cloud, and one event's way through the functions.
fn prepare<'a>(
    project: &Project,
    steps: &mut Steps,
    packages: &'a [Package],
    sluice: &Path,
) -> Result<Bench<'a>> {
    let cloud = steps.run("Start the local cloud, in memory", || {
        LocalCloud::start(project, sluice.to_owned(), &Storage::Ephemeral)
    })?;
    let mut variables = variables(&package::topology(project)?);
    // The key with which this local cloud has signed its mappers.
    variables.insert("MAPPER_TRUST_KEYS".to_owned(), cloud.text(&["mapper", "key"])?);
    let mut bench = Bench { packages, events: HashMap::new(), variables, cloud };
    steps.run("One event's way through the functions", || bench.chain())?;
    Ok(bench)
}

/// Two steps: the mappers and the dev `sluice`; `SLUICE_BIN` names one that is built already, and then so are they.
pub(crate) fn sluice(project: &Project, steps: &mut Steps) -> Result<PathBuf> {
    let built = std::env::var_os("SLUICE_BIN").map(PathBuf::from);
    steps.run("Mappers, for WebAssembly", || match built {
        Some(_) => Ok(()),
        None => wasm::build_mappers(project).map(|_| ()),
    })?;
    steps.run("sluice, profile dev", || {
        if let Some(binary) = built {
            return Ok(binary);
        }
        // All targets, as `cargo xtask test` builds them: features are unified alike, and nothing is built twice.
        steps::run(&mut project.cargo(&["build", "--locked", "--workspace", "--all-targets"]))?;
        Ok(project.sluice("debug"))
    })
}

/// Start, memory and size of each function, beside their targets.
pub(crate) fn measure(project: &Project) -> Result<()> {
    let mut steps = Steps::new(7);
    let packages = package::in_steps(project, &mut steps, Architecture::native()?)?;
    let sluice = sluice(project, &mut steps)?;
    let bench = prepare(project, &mut steps, &packages, &sluice)?;
    let rows = steps.run(&format!("{STARTS} starts of each, {WARM_INVOCATIONS} invocations"), || {
        bench.packages.iter().map(|package| bench.measured(package)).collect::<Result<Vec<_>>>()
    })?;
    bench.cloud.stop()?;
    println!(
        "\n{}",
        steps::bold("Functions: medians; from the start of the process to the answer that it posts")
    );
    println!(
        "| function | binary, MB | first answer, no call of AWS | first response, fastest | warm, with its calls | peak memory, MB |"
    );
    println!("|---|---|---|---|---|---|");
    for row in rows {
        println!("{row}");
    }
    println!(
        "targets: binary <= {} MB (normalize <= {} MB), first response <= {}, peak memory <= {} MB",
        BINARY_BYTES_MAX / 1_000_000,
        BINARY_BYTES_MAX_NORMALIZE / 1_000_000,
        milliseconds(FIRST_RESPONSE_TARGET),
        MEMORY_TARGET_BYTES / 1_000_000
    );
    Ok(())
}

/// Three steps: what each function does when it is given what it should not get. Gives the number of things that were checked.
pub(crate) fn check(
    project: &Project,
    steps: &mut Steps,
    packages: &[Package],
    sluice: &Path,
) -> Result<usize> {
    let bench = prepare(project, steps, packages, sluice)?;
    let checked = steps.run("Malformed events, silent services, killed processes", || bench.check())?;
    bench.cloud.stop()?;
    Ok(checked)
}

impl Bench<'_> {
    fn start(&self, package: &Package) -> Result<Environment> {
        self.start_at(package, &self.cloud.aws)
    }

    fn start_at(&self, package: &Package, endpoint: &str) -> Result<Environment> {
        let mut variables = self.variables.clone();
        for (name, value) in [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", self.cloud.key.0.as_str()),
            ("AWS_SECRET_ACCESS_KEY", self.cloud.key.1.as_str()),
            ("SLUICE_LOG", "info"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        start_with(package, &variables)
    }

    /// One event through all functions, of which each has then responded once; remembers what each was given.
    fn chain(&mut self) -> Result<()> {
        let mut events = HashMap::new();
        let mut given = |name: &str, event: Value| -> Result<Value> {
            let package = self.packages.iter().find(|package| package.function.package == name);
            let package = package.with_context(|| format!("the topology has no function {name}"))?;
            let answer = self.start(package)?.call(&event, ANSWER_TIME_MAX)?.0;
            events.insert(name.to_owned(), event);
            responded(package, answer)
        };
        let body = r#"{"vendorId":"vendorA","externalEventId":"functions-1","eventType":"inventory_update","occurredAt":"2026-01-15T10:30:00Z","payload":{"warehouse":"ROA","sku":"SKU-1","qty":7}}"#;
        let body = base64(body.as_bytes());
        let decision = given(
            "accept",
            json!({
                "method": "POST", "path": "/v1/events", "sourceIp": "203.0.113.7", "requestId": "1",
                "headers": {"content-type": "application/json", "x-api-key": "vendorA-dev-key"}, "body": body,
            }),
        )?;
        let accepted = &decision["accepted"];
        ensure!(accepted.is_object(), "accept did not accept: {decision}");
        let persisted = given("persist-raw", json!({"accepted": accepted, "body": body}))?;
        ensure!(persisted["answer"]["statusCode"] == 202, "persist-raw did not persist: {persisted}");

        let answered = given(
            "upload",
            json!({
                "method": "POST", "path": "/v1/uploads/shopify-store", "sourceIp": "203.0.113.7", "requestId": "2",
                "headers": {"content-type": "application/json"}, "body": body,
            }),
        )?;
        ensure!(answered["statusCode"] == 401, "upload did not answer as intake does: {answered}");

        let ingest_id = accepted["ingestId"].as_str().context("an accepted event has an ingestId")?;
        let started = Instant::now();
        let shown = loop {
            let shown = self.cloud.json(&["show", ingest_id])?;
            if shown["status"] == "NORMALIZED" {
                break shown;
            }
            ensure!(started.elapsed() < NORMALIZE_TIME_MAX, "the local cloud does not normalize it: {shown}");
            std::thread::sleep(Duration::from_millis(50));
        };
        let raw_ref = json!({"bucket": shown["raw"]["bucket"], "key": shown["raw"]["key"]});
        let mut detail = json!({"rawRef": raw_ref});
        for name in EVENT_MEMBERS {
            detail[name] = accepted[name].clone();
        }
        let normalized = given("normalize", detail.clone())?;
        ensure!(normalized["status"] == "NORMALIZED", "normalize did not normalize: {normalized}");
        let published = given("relay", stream_batch(accepted, &raw_ref))?;
        ensure!(published == json!({"batchItemFailures": []}), "relay did not publish: {published}");
        given(
            "quarantine",
            json!({
                "operation": "quarantine", "event": detail, "executionArn": "arn:aws:states:us-east-1:000000000000:execution:x:y",
                "error": {"Error": "Rejected", "Cause": "{}"}, "redriveCount": 0,
            }),
        )?;
        detail["normalized"] = normalized["normalized"].clone();
        let message = json!({
            "messageId": "1", "body": json!({"detail": detail}).to_string(), "attributes": {"ApproximateReceiveCount": "1"},
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:sluice-inventory",
        });
        let applied = given("apply", json!({"Records": [message]}))?;
        ensure!(applied == json!({"batchItemFailures": []}), "apply did not apply: {applied}");
        let reconciled = given("reconcile", json!({}))?;
        ensure!(
            reconciled["reruns"] == 0,
            "nothing is stuck, and reconcile ran something again: {reconciled}"
        );
        let id = "01KAJ3Y3R00000000000000001";
        let operated = given(
            "operate",
            json!({
                "operationId": id, "run": {"number": 1, "token": id}, "startedAt": "2026-01-15T10:30:00Z",
                "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-operate:x",
            }),
        )?;
        ensure!(operated["continue"] == false, "operate goes on with what nobody planned: {operated}");
        ensure!(events.len() == self.packages.len(), "a function of the topology has no event here");
        self.events = events;
        Ok(())
    }

    fn event(&self, package: &Package) -> &Value {
        &self.events[&package.function.package]
    }

    fn measured(&self, package: &Package) -> Result<String> {
        let mut starts = Vec::new();
        let mut first_responses = Vec::new();
        let mut warm = Vec::new();
        let mut memory = 0;
        for number in 0..STARTS {
            let (answer, time) = self.start(package)?.call(&malformed(package), ANSWER_TIME_MAX)?;
            refused(package, answer)?;
            starts.push(time);
            let mut environment = self.start(package)?;
            let (answer, time) = environment.call(self.event(package), ANSWER_TIME_MAX)?;
            responded(package, answer)?;
            first_responses.push(time);
            if number == 0 {
                for _ in 0..WARM_INVOCATIONS {
                    let before = Instant::now();
                    responded(package, environment.call(self.event(package), ANSWER_TIME_MAX)?.0)?;
                    warm.push(before.elapsed());
                }
                memory = peak_memory_bytes(environment.id()).unwrap_or(0);
            }
        }
        let fastest = first_responses.iter().min().copied().unwrap_or_default();
        let (start, first) = (median(&mut starts), median(&mut first_responses));
        let name = &package.function.package;
        let size_max = if name == "normalize" { BINARY_BYTES_MAX_NORMALIZE } else { BINARY_BYTES_MAX };
        Ok(format!(
            "| {name} | {} {} | {} | {}, {} {} | {} | {} {} |",
            megabytes(package.binary_bytes),
            verdict(package.binary_bytes <= size_max),
            milliseconds(start),
            milliseconds(first),
            milliseconds(fastest),
            verdict(first <= FIRST_RESPONSE_TARGET),
            milliseconds(median(&mut warm)),
            megabytes(memory),
            verdict(memory <= MEMORY_TARGET_BYTES),
        ))
    }

    fn check(&self) -> Result<usize> {
        let mut checked = 0;
        let mut told = |package: &Package, what: &str| {
            println!("      {:<12} {what}", package.function.package);
            checked += 1;
        };
        // A listener whose connections nobody answers.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let silent = format!("http://{}", listener.local_addr()?);
        for package in self.packages {
            let mut environment = self.start(package)?;
            let error_type = refused(package, environment.call(&malformed(package), ANSWER_TIME_MAX)?.0)?;
            told(package, &format!("a malformed event is {error_type}, with its code"));
            responded(package, environment.call(self.event(package), ANSWER_TIME_MAX)?.0)?;
            told(package, "the same process then answers a well-formed event");

            let mut environment = self.start_at(package, &silent)?;
            environment.invoke(self.event(package), KILL_AFTER)?;
            ensure!(environment.answer(KILL_AFTER)?.is_none(), "it answered without any service");
            environment.kill();
            ensure!(environment.answer(KILL_AFTER)?.is_none(), "it answered after its end");
            responded(package, self.start(package)?.call(self.event(package), ANSWER_TIME_MAX)?.0)?;
            told(
                package,
                "killed at its deadline it leaves nothing that keeps the next process from the same event",
            );

            let mut environment = start_with(package, &HashMap::new())?;
            let started = Instant::now();
            while environment.is_alive() {
                ensure!(
                    started.elapsed() < ANSWER_TIME_MAX,
                    "{} runs without settings",
                    package.function.package
                );
                std::thread::sleep(Duration::from_millis(20));
            }
            told(package, "without its settings it does not start");
        }
        // Each waits for its own time-outs, so side by side.
        let outcomes: Vec<Result<(String, Duration)>> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                self.packages.iter().map(|package| scope.spawn(|| self.silent(package, &silent))).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked")))
                .collect()
        });
        for (package, outcome) in self.packages.iter().zip(outcomes) {
            let (what, time) = outcome?;
            told(package, &format!("a silent service is {what}, after {}", steps::human(time)));
        }
        Ok(checked)
    }

    /// What it makes of services that accept connections and never answer: within its time-out, something that is tried again.
    fn silent(&self, package: &Package, endpoint: &str) -> Result<(String, Duration)> {
        let time_max = Duration::from_secs(package.function.timeout_seconds);
        let mut environment = self.start_at(package, endpoint)?;
        let started = Instant::now();
        environment.invoke(self.event(package), time_max)?;
        let name = &package.function.package;
        let Some((answer, _)) = environment.answer(time_max)? else {
            bail!("{name} did not answer within its time-out of {}", steps::human(time_max));
        };
        let what = match answer {
            Answer::Error { error_type, .. } if error_type == "Retryable" => error_type,
            Answer::Response(response)
                if response["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty()) =>
            {
                "a failed record of its batch".to_owned()
            }
            other => bail!("{name} made of a silent service: {other:?}"),
        };
        Ok((what, started.elapsed()))
    }
}

/// The record by which the ledger's stream tells of a new row.
fn stream_batch(accepted: &Value, raw_ref: &Value) -> Value {
    let text = |value: &Value| json!({"S": value});
    let mut image = json!({
        "status": {"S": "RECEIVED"}, "statusShard": {"S": "RECEIVED#1"}, "updatedAt": text(&accepted["receivedAt"]),
        "rawRef": {"M": {"bucket": text(&raw_ref["bucket"]), "key": text(&raw_ref["key"])}},
        "rawBytes": {"N": accepted["rawBytes"].to_string()},
    });
    for name in EVENT_MEMBERS.iter().chain(&["payloadSha256", "contentType"]) {
        image[*name] = text(&accepted[*name]);
    }
    json!({"Records": [{
        "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/sluice-ledger/stream/1",
        "dynamodb": {"Keys": {"vendorId": image["vendorId"]}, "NewImage": image, "SequenceNumber": "1", "SizeBytes": 100,
                     "StreamViewType": "NEW_AND_OLD_IMAGES", "ApproximateCreationDateTime": 1_795_255_200.0},
    }]})
}

fn responded(package: &Package, answer: Answer) -> Result<Value> {
    match answer {
        Answer::Response(response) => Ok(response),
        other => bail!("{} did not respond: {other:?}", package.function.package),
    }
}

/// The error's name, of an answer that says with its code that the event cannot be taken.
fn refused(package: &Package, answer: Answer) -> Result<String> {
    match answer {
        Answer::Error { error_type, message }
            if ERROR_NAMES.contains(&error_type.as_str()) && message.contains("input_malformed") =>
        {
            Ok(error_type)
        }
        other => bail!("{} made of a malformed event: {other:?}", package.function.package),
    }
}

fn start_with(package: &Package, variables: &HashMap<String, String>) -> Result<Environment> {
    Environment::start(&package.binary, &package.function.name, package.function.memory_mb, variables)
}

/// The names of everything in the topology, as the functions' settings call them.
pub(crate) fn variables(topology: &Value) -> HashMap<String, String> {
    let mut variables = HashMap::new();
    for (list, suffix) in [
        ("tables", "TABLE"),
        ("buckets", "BUCKET"),
        ("queues", "QUEUE_URL"),
        ("stateMachines", "STATE_MACHINE_ARN"),
    ] {
        for item in topology[list].as_array().into_iter().flatten() {
            let (Some(id), Some(name)) = (item["id"].as_str(), item["name"].as_str()) else { continue };
            let value = match suffix {
                "QUEUE_URL" => format!("http://127.0.0.1/000000000000/{name}"),
                "STATE_MACHINE_ARN" => format!("arn:aws:states:us-east-1:000000000000:stateMachine:{name}"),
                _ => name.to_owned(),
            };
            variables.insert(format!("{}_{suffix}", upper_snake(id)), value);
        }
    }
    variables.insert("BUS_NAME".to_owned(), topology["bus"]["name"].as_str().unwrap_or_default().to_owned());
    variables
}

/// `CanonicalState` is `CANONICAL_STATE`.
fn upper_snake(id: &str) -> String {
    let mut text = String::new();
    for (at, letter) in id.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| (bits << 8) | u32::from(*chunk.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) & 63;
            text.push(if at <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

fn verdict(holds: bool) -> &'static str {
    if holds { "ok" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded_as_rfc_4648_does() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn settings_are_named_as_functions_read_them() {
        let topology = json!({
            "tables": [{"id": "CanonicalState", "name": "s"}], "buckets": [{"id": "Raw", "name": "r"}],
            "queues": [{"id": "Dlq", "name": "d"}], "stateMachines": [{"id": "Recover", "name": "m"}], "bus": {"name": "b"},
        });
        let mut variables: Vec<_> = variables(&topology).into_iter().collect();
        variables.sort();
        let expected = [
            ("BUS_NAME", "b"),
            ("CANONICAL_STATE_TABLE", "s"),
            ("DLQ_QUEUE_URL", "http://127.0.0.1/000000000000/d"),
            ("RAW_BUCKET", "r"),
            ("RECOVER_STATE_MACHINE_ARN", "arn:aws:states:us-east-1:000000000000:stateMachine:m"),
        ];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

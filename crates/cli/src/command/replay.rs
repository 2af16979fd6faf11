//! `sluice replay`: normalizes stored events again, after a mapper, a schema or the code has changed.
//!
//! The dry run executes the very mapping that `normalize` executes ([`sluice_mapping::map`]) over the stored raw bytes, and writes
//! nothing. The run itself is the `replay` state machine: the events are written to manifests in S3, one a line, and each
//! manifest is one execution, whose Map Run is followed.
//!
//! Invariants: an event counts once, however often the index shows it; the manifests are complete before anything is started;
//! what became of an event is read from the results that the Map Run has written, never assumed.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_aws::error::fault;
use sluice_aws::ledger::BY_STATUS;
use sluice_core::bundle::ActiveMapper;
use sluice_core::canonical::count;
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::{CaughtError, Cause};
use sluice_core::id::{EventType, IngestId, ObjectRef, VendorId, rfc3339};
use sluice_core::port::{BundleStore as _, Freshness, RawStore as _, VendorDirectory as _};
use sluice_core::record::{EventDetail, LedgerRow, Status};
use sluice_core::{Code, Fault};
use sluice_mapping::Bundles;

use crate::args::ReplayArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, millis, paint};
use crate::signing::trusted;

/// Events are looked for in these. Those that are RECEIVED are on their way already.
const STATUSES: [Status; 2] = [Status::Normalized, Status::Quarantined];

/// A manifest is closed once it has this many bytes (32 MiB: the local cloud holds an object in memory).
const MANIFEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Events that a dry run maps at once.
const MAPPED_AT_ONCE: usize = 8;

/// How long between two looks at a Map Run.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Kinds of failure that are told apart.
const FAILURES_MAX: usize = 20;

/// What a dry run predicts, or a run has brought about.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// Events that are normalized in the end.
    succeeded: u64,
    /// Events that are not.
    failed: u64,
    /// Of those that succeeded: the document is another than before, or there was none.
    changed: u64,
    /// Of those that succeeded: the document is the same, byte for byte; nothing was written.
    unchanged: u64,
    /// Of those that succeeded: they were in quarantine.
    released: u64,
    /// Of those that failed: they were normalized before, and stay so.
    kept: u64,
    /// By the code of the cause, the most frequent first.
    failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    code: String,
    count: u64,
    /// Of the first such event.
    message: String,
    example: IngestId,
}

impl Outcome {
    fn succeeds(&mut self, changed: bool, previous: Status) {
        self.succeeded += 1;
        *(if changed { &mut self.changed } else { &mut self.unchanged }) += 1;
        self.released += u64::from(previous == Status::Quarantined);
    }

    fn fails(&mut self, code: &str, message: &str, event: IngestId, previous: Option<Status>) {
        self.failed += 1;
        self.kept += u64::from(previous == Some(Status::Normalized));
        let kinds = self.failures.len();
        match self.failures.iter_mut().find(|failure| failure.code == code) {
            Some(failure) => failure.count += 1,
            None if kinds < FAILURES_MAX => self.failures.push(Failure {
                code: code.to_owned(),
                count: 1,
                message: message.to_owned(),
                example: event,
            }),
            None => {}
        }
    }

    fn sorted(mut self) -> Self {
        self.failures.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
        self
    }

    fn sentence(&self, predicted: bool) -> String {
        let (succeed, fail) = if predicted { ("succeed", "fail") } else { ("succeeded", "failed") };
        format!(
            "{} {succeed} ({} changed, {} the same, {} out of quarantine), {} {fail} ({} keep their document)",
            self.succeeded, self.changed, self.unchanged, self.released, self.failed, self.kept
        )
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    #[serde(serialize_with = "millis")]
    from: Timestamp,
    #[serde(serialize_with = "millis")]
    to: Timestamp,
}

/// One execution of the `replay` machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    execution_arn: String,
    status: String,
    events: u64,
    manifest: ObjectRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_run_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replay {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    window: Window,
    dry_run: bool,
    /// Events in the window.
    events: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    executions: Vec<Run>,
    /// What is predicted, or was brought about; `None` if nobody waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// Replays, or says what a replay would do.
pub async fn run(args: &ReplayArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let now = Timestamp::now();
    let window = Window { from: args.from.resolve(now), to: args.to.map_or(now, |to| to.resolve(now)) };
    if window.from >= window.to {
        return Err(CliError::usage("the window is empty: --from is not before --to"));
    }
    let progress = output.progress("looking for events");
    let mut rows = Rows::new(cloud, args, &window);
    if args.dry_run {
        let outcome = predict(cloud, &mut rows, |done| progress.say(format!("mapped {done}"))).await?;
        drop(progress);
        let events = outcome.succeeded + outcome.failed;
        let outcome = Some(outcome);
        let replay = Replay { name: None, window, dry_run: true, events, executions: Vec::new(), outcome };
        return output.document(&replay);
    }
    let number = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
    let name = name_of(&window, number);
    let manifests = write_manifests(cloud, &mut rows, &name, number).await?;
    let events = manifests.iter().map(|manifest| manifest.1).sum();
    let mut executions = Vec::with_capacity(manifests.len());
    for (part, (manifest, events)) in manifests.into_iter().enumerate() {
        let name = if part == 0 { name.clone() } else { format!("{name}-{}", part + 1) };
        executions.push(start(cloud, args, &name, manifest, events).await?);
    }
    let mut outcome = None;
    if args.no_wait || executions.is_empty() {
        drop(progress);
    } else {
        follow(cloud, &mut executions, events, |text| progress.say(text)).await?;
        progress.say("reading the results");
        outcome = Some(results(cloud, &mut executions, &rows.seen).await?);
        drop(progress);
    }
    let replay = Replay { name: Some(name), window, dry_run: false, events, executions, outcome };
    output.document(&replay)?;
    replay.verdict()
}

/// Tells the window, and the moment, since a name is taken for 90 days.
fn name_of(window: &Window, number: u32) -> String {
    let compact = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    format!("replay-{}-{}-{number}", compact(window.from), compact(window.to))
}

/// The rows of the window, page by page, each event once.
struct Rows<'a> {
    cloud: &'a Cloud,
    args: &'a ReplayArgs,
    window: (Timestamp, Timestamp),
    shards: VecDeque<String>,
    from: Option<HashMap<String, AttributeValue>>,
    /// Every event so far, with its status then.
    seen: HashMap<IngestId, Status>,
}

impl<'a> Rows<'a> {
    fn new(cloud: &'a Cloud, args: &'a ReplayArgs, window: &Window) -> Self {
        let shards = STATUSES.into_iter().flat_map(Status::shards).collect();
        Rows { cloud, args, window: (window.from, window.to), shards, from: None, seen: HashMap::new() }
    }

    /// `None` after the last page.
    async fn next(&mut self) -> Result<Option<Vec<LedgerRow>>, CliError> {
        let Some(shard) = self.shards.front().cloned() else { return Ok(None) };
        let table = self.cloud.names().ledger.as_str();
        let (from, to) = self.window;
        let answer = self
            .cloud
            .dynamodb()
            .query()
            .table_name(table)
            .index_name(BY_STATUS)
            .key_condition_expression("statusShard = :shard AND receivedAt BETWEEN :from AND :to")
            .expression_attribute_values(":shard", AttributeValue::S(shard))
            .expression_attribute_values(":from", AttributeValue::S(rfc3339(from)))
            .expression_attribute_values(":to", AttributeValue::S(rfc3339(to)))
            .set_exclusive_start_key(self.from.take())
            .send()
            .await
            .map_err(|error| fault("list the ledger by status", error))?;
        let mut page = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let row: LedgerRow = serde_dynamo::from_item(item).map_err(|error| {
                Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                    .with_source(error)
            })?;
            // The end of the window is not part of it, which BETWEEN cannot say.
            if row.received_at < to
                && self.wants(&row)
                && self.seen.insert(row.ingest_id, row.status).is_none()
            {
                page.push(row);
            }
        }
        self.from = answer.last_evaluated_key.filter(|key| !key.is_empty());
        if self.from.is_none() {
            self.shards.pop_front();
        }
        Ok(Some(page))
    }

    fn wants(&self, row: &LedgerRow) -> bool {
        let args = self.args;
        args.vendor.as_ref().is_none_or(|vendor| *vendor == row.key.vendor_id)
            && args.event_type.as_ref().is_none_or(|event_type| *event_type == row.event_type)
            && args.schema_version.as_ref().is_none_or(|version| *version == row.schema_version)
    }
}

/// Writes the events, one a line, into as few objects as may be.
async fn write_manifests(
    cloud: &Cloud,
    rows: &mut Rows<'_>,
    name: &str,
    replay: u32,
) -> Result<Vec<(ObjectRef, u64)>, CliError> {
    let mut written = Vec::new();
    let (mut lines, mut events) = (Vec::new(), 0);
    let store = cloud.replays();
    let mut close = async |lines: &mut Vec<u8>, events: &mut u64| -> Result<(), CliError> {
        if *events == 0 {
            return Ok(());
        }
        let key = format!("manifests/{name}-{}.jsonl", written.len() + 1);
        store.put_if_absent(&key, Bytes::from(std::mem::take(lines))).await?;
        let bucket = cloud.names().replays.clone();
        written.push((ObjectRef { bucket, key }, std::mem::take(events)));
        Ok(())
    };
    while let Some(page) = rows.next().await? {
        for row in page {
            serde_json::to_writer(&mut lines, &row.rerun(replay))
                .map_err(|error| CliError::Output(std::io::Error::other(error)))?;
            lines.push(b'\n');
            events += 1;
            if lines.len() >= MANIFEST_BYTES_MAX {
                close(&mut lines, &mut events).await?;
            }
        }
    }
    close(&mut lines, &mut events).await?;
    Ok(written)
}

/// Maps every event as `normalize` would, now, and compares with what the ledger says.
async fn predict(cloud: &Cloud, rows: &mut Rows<'_>, say: impl Fn(u64)) -> Result<Outcome, CliError> {
    let bundles = Bundles::new(Arc::new(cloud.bundles()), trusted(cloud).await?)
        .map_err(|error| Fault::new(Code::Unavailable, error.to_string()))?;
    let (vendors, raw) = (cloud.vendors(), cloud.objects());
    let mut active: HashMap<(VendorId, EventType), Option<ActiveMapper>> = HashMap::new();
    let mut outcome = Outcome::default();
    while let Some(page) = rows.next().await? {
        for row in &page {
            let key = (row.key.vendor_id.clone(), row.event_type.clone());
            if let Entry::Vacant(unknown) = active.entry(key) {
                let (vendor_id, event_type) = unknown.key();
                let mapper = vendors.active_mapper(vendor_id, event_type, Freshness::Fresh).await?;
                unknown.insert(mapper);
            }
        }
        let mappings = page.into_iter().map(|row| {
            let mapper = active.get(&(row.key.vendor_id.clone(), row.event_type.clone())).cloned().flatten();
            let (bundles, raw) = (&bundles, &raw);
            async move {
                let mapped = mapped(bundles, raw, &row, mapper).await?;
                Ok::<_, CliError>((row, mapped))
            }
        });
        let mut mappings = futures::stream::iter(mappings).buffered(MAPPED_AT_ONCE);
        while let Some((row, mapped)) = mappings.try_next().await? {
            match mapped {
                Ok(sha256) => {
                    outcome.succeeds(row.document_sha256() != Some(sha256), row.status);
                }
                Err(fault) => {
                    outcome.fails(fault.code.as_str(), &fault.message, row.ingest_id, Some(row.status));
                }
            }
        }
        say(outcome.succeeded + outcome.failed);
    }
    Ok(outcome.sorted())
}

/// The digest of the document, or why there is none. What a retry would get past ends the prediction.
async fn mapped(
    bundles: &Bundles,
    raw: &sluice_aws::raw::S3RawStore,
    row: &LedgerRow,
    mapper: Option<ActiveMapper>,
) -> Result<Result<Sha256Hex, Fault>, CliError> {
    let document = async {
        let mapper = mapper.ok_or_else(|| {
            Fault::new(
                Code::MapperMissing,
                format!("{} has no active mapper for {}: publish one", row.key.vendor_id, row.event_type),
            )
        })?;
        let bundle = bundles.get(&mapper.bundle).await?;
        let bytes = raw.get(&row.raw_ref).await?;
        let event = row.rerun(0);
        // A mapper may take as long as its fuel lasts.
        let mapped = tokio::task::spawn_blocking(move || sluice_mapping::map(&event, &bundle, &bytes)).await;
        let mapped = mapped
            .map_err(|error| Fault::new(Code::Unavailable, format!("the mapping failed: {error}")))??;
        Ok::<_, Fault>(Sha256Hex::of(mapped.outcome.document()))
    };
    match document.await {
        Err(fault) if fault.error_type() == "Retryable" => Err(fault.into()),
        result => Ok(result),
    }
}

async fn start(
    cloud: &Cloud,
    args: &ReplayArgs,
    name: &str,
    manifest: ObjectRef,
    events: u64,
) -> Result<Run, CliError> {
    let input = json!({
        "manifest": manifest,
        "results": {"bucket": cloud.names().replays, "prefix": "results"},
        "maxConcurrency": args.concurrency,
        "toleratedFailurePercentage": args.tolerate,
    });
    let machine = machine_arn(cloud).await?;
    let started = cloud
        .stepfunctions()
        .start_execution()
        .state_machine_arn(machine)
        .name(name)
        .input(input.to_string())
        .send()
        .await
        .map_err(|error| fault("start the replay", error))?;
    Ok(Run {
        execution_arn: started.execution_arn,
        status: "RUNNING".to_owned(),
        events,
        manifest,
        map_run_arn: None,
        results: None,
        error: None,
        cause: None,
    })
}

/// The machine's ARN, by its name: the account is not known to the command line.
async fn machine_arn(cloud: &Cloud) -> Result<String, CliError> {
    let name = cloud.names().replay.as_str();
    let mut machines = cloud.stepfunctions().list_state_machines().into_paginator().items().send();
    while let Some(machine) = machines.next().await {
        let machine = machine.map_err(|error| fault("list the state machines", error))?;
        if machine.name == name {
            return Ok(machine.state_machine_arn);
        }
    }
    Err(CliError::not_found(format!("Step Functions has no state machine {name}"))
        .with_hint("deploy the stack, or start `sluice dev` anew"))
}

/// Waits until all have ended, and says how far they are.
async fn follow(cloud: &Cloud, runs: &mut [Run], total: u64, say: impl Fn(String)) -> Result<(), CliError> {
    let client = cloud.stepfunctions();
    loop {
        let (mut done, mut failed, mut running) = (0, 0, 0);
        for run in runs.iter_mut() {
            if run.status == "RUNNING" {
                let description = client
                    .describe_execution()
                    .execution_arn(&run.execution_arn)
                    .send()
                    .await
                    .map_err(|error| fault("describe the replay", error))?;
                run.status = description.status.as_str().to_owned();
                run.error = description.error;
                run.cause = description.cause;
                if let Some(output) = description.output {
                    let output: Value = serde_json::from_str(&output).unwrap_or_default();
                    run.results = serde_json::from_value(output["results"].clone()).ok();
                }
                running += u64::from(run.status == "RUNNING");
            }
            if run.map_run_arn.is_none() {
                let maps = client
                    .list_map_runs()
                    .execution_arn(&run.execution_arn)
                    .send()
                    .await
                    .map_err(|error| fault("list the map runs", error))?;
                run.map_run_arn = maps.map_runs.into_iter().next().map(|map| map.map_run_arn);
            }
            if let Some(arn) = &run.map_run_arn {
                let map = client
                    .describe_map_run()
                    .map_run_arn(arn)
                    .send()
                    .await
                    .map_err(|error| fault("describe the map run", error))?;
                if let Some(counts) = map.item_counts {
                    let unsuccessful = counts.failed + counts.timed_out + counts.aborted;
                    failed += u64::try_from(unsuccessful).unwrap_or(0);
                    done += u64::try_from(counts.succeeded + unsuccessful).unwrap_or(0);
                }
            }
        }
        say(format!("{} {done} of {total} events, {failed} failed", bar(done, total)));
        if running == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `[#####---------------]  25 %`
fn bar(done: u64, total: u64) -> String {
    const WIDTH: u64 = 20;
    let share = done.min(total) * 100 / total.max(1);
    let full = usize::try_from(share * WIDTH / 100).unwrap_or(0);
    format!("[{}{}] {share:>3} %", "#".repeat(full), "-".repeat(WIDTH as usize - full))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    result_files: BTreeMap<String, Vec<ResultFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultFile {
    key: String,
}

/// What a Map Run writes of a child.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    input: String,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    cause: String,
}

/// What `normalize` answers for a replay.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    changed: bool,
    previous: Status,
}

/// Reads what became of each event.
async fn results(
    cloud: &Cloud,
    runs: &mut [Run],
    before: &HashMap<IngestId, Status>,
) -> Result<Outcome, CliError> {
    let mut outcome = Outcome::default();
    for run in runs.iter_mut() {
        // A replay that failed as a whole has results as well, which its output does not name.
        let manifest = run.results.clone().or_else(|| {
            let id = run.map_run_arn.as_deref()?.rsplit(':').next()?;
            let bucket = cloud.names().replays.clone();
            Some(ObjectRef { bucket, key: format!("results/{id}/manifest.json") })
        });
        let Some(manifest) = manifest else { continue };
        let objects = cloud.objects();
        let bytes = match objects.get(&manifest).await {
            Err(fault) if fault.code == Code::RawMissing && run.results.is_none() => continue,
            bytes => bytes?,
        };
        let files: Manifest = read(&manifest, &bytes)?;
        run.results = Some(manifest.clone());
        for (status, files) in files.result_files {
            for file in files {
                let at = ObjectRef { bucket: manifest.bucket.clone(), key: file.key };
                let records: Vec<Record> = read(&at, &objects.get(&at).await?)?;
                for record in records {
                    tell(&mut outcome, &status, &record, before);
                }
            }
        }
    }
    Ok(outcome.sorted())
}

fn tell(outcome: &mut Outcome, status: &str, record: &Record, before: &HashMap<IngestId, Status>) {
    let answer = record.output.as_deref().and_then(|output| serde_json::from_str::<Answer>(output).ok());
    match (status, answer) {
        ("SUCCEEDED", Some(answer)) => outcome.succeeds(answer.changed, answer.previous),
        ("SUCCEEDED", None) => outcome.succeeds(true, Status::Received),
        ("FAILED", _) => {
            let event = serde_json::from_str::<EventDetail>(&record.input);
            let cause =
                Cause::from(&CaughtError { error: record.error.clone(), cause: record.cause.clone() });
            if let Ok(event) = event {
                let before = before.get(&event.ingest_id).copied();
                outcome.fails(&cause.code, &cause.message, event.ingest_id, before);
            }
        }
        // Never started: the run failed before. Its execution says so.
        _ => {}
    }
}

fn read<T: for<'de> Deserialize<'de>>(at: &ObjectRef, bytes: &[u8]) -> Result<T, CliError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("s3://{}/{} is not what a Map Run writes", at.bucket, at.key);
        Fault::new(Code::RowMalformed, message).with_source(error).into()
    })
}

impl Replay {
    fn verdict(&self) -> Result<(), CliError> {
        if let Some(run) =
            self.executions.iter().find(|run| !matches!(run.status.as_str(), "RUNNING" | "SUCCEEDED"))
        {
            let error = run.error.as_deref().unwrap_or("no error name");
            return Err(CliError::Failed(format!(
                "the replay is {}: {error}; redrive {} to go on with the events that are left",
                run.status, run.execution_arn
            )));
        }
        match &self.outcome {
            Some(outcome) if outcome.failed > 0 => {
                Err(CliError::Failed(format!("{} of {} failed", outcome.failed, count_of(self.events))))
            }
            _ => Ok(()),
        }
    }
}

fn count_of(events: u64) -> String {
    count(usize::try_from(events).unwrap_or(usize::MAX), "event")
}

impl View for Replay {
    fn text(&self, page: &Page) -> String {
        let mut list = vec![
            ("window", format!("{} to {}", rfc3339(self.window.from), rfc3339(self.window.to))),
            ("events", self.events.to_string()),
        ];
        if let Some(outcome) = &self.outcome {
            list.push((if self.dry_run { "prediction" } else { "outcome" }, outcome.sentence(self.dry_run)));
        }
        for run in &self.executions {
            list.push(("execution", format!("{} {}", run.status, run.execution_arn)));
        }
        let mut text = fields(list);
        if let Some(outcome) = self.outcome.as_ref().filter(|outcome| !outcome.failures.is_empty()) {
            let rows = outcome.failures.iter().map(|failure| {
                vec![
                    failure.count.to_string().into(),
                    (&failure.code).into(),
                    failure.example.to_string().into(),
                    (&failure.message).into(),
                ]
            });
            text.push('\n');
            text.push_str(&page.table(&["EVENTS", "CODE", "EXAMPLE", "MESSAGE"], rows.collect()));
        }
        if self.events == 0 && page.terminal {
            text.push_str(&format!(
                "{}\n",
                paint(Tone::Dim, "No events in the window: nothing was started.")
            ));
        } else if self.dry_run && page.terminal {
            text.push_str(&format!("{}\n", paint(Tone::Dim, "Nothing was written.")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::output::testing::{in_pipe, json};

    fn replay(dry_run: bool) -> Replay {
        let mut outcome = Outcome::default();
        let event: IngestId = "01KAJ3Y3R00000000000000001".parse().unwrap();
        outcome.succeeds(false, Status::Normalized);
        outcome.succeeds(true, Status::Quarantined);
        outcome.fails("mapper_refused", "no", event, Some(Status::Normalized));
        outcome.fails("payload_schema_violation", "1 fault", event, Some(Status::Quarantined));
        outcome.fails("payload_schema_violation", "2 faults", event, Some(Status::Quarantined));
        Replay {
            name: (!dry_run).then(|| "replay-x".to_owned()),
            window: Window {
                from: "2026-11-20T00:00:00Z".parse().unwrap(),
                to: "2026-11-21T00:00:00Z".parse().unwrap(),
            },
            dry_run,
            events: 5,
            executions: Vec::new(),
            outcome: Some(outcome.sorted()),
        }
    }

    #[test]
    fn a_prediction_is_one_sentence_and_the_failures_by_their_cause() {
        insta::assert_snapshot!(in_pipe(&replay(true)));
        insta::assert_snapshot!(json(&replay(true)));
    }

    #[test]
    fn failures_end_a_replay_with_failed_and_a_dry_run_predicts_them() {
        assert_eq!(replay(false).verdict().unwrap_err().to_string(), "3 of 5 events failed");
        let mut aborted = replay(false);
        aborted.executions.push(Run {
            execution_arn: "arn:x".into(),
            status: "FAILED".into(),
            events: 5,
            manifest: ObjectRef { bucket: "b".into(), key: "k".into() },
            map_run_arn: None,
            results: None,
            error: Some("States.ExceedToleratedFailureThreshold".into()),
            cause: None,
        });
        assert!(aborted.verdict().unwrap_err().to_string().contains("redrive arn:x"));
    }

    #[test]
    fn a_name_fits_and_tells_the_window() {
        let window = replay(true).window;
        let name = name_of(&window, u32::MAX);
        assert_eq!(name, "replay-20261120T000000Z-20261121T000000Z-4294967295");
        assert!(name.len() + "-10000".len() <= 80);
    }

    #[test]
    fn what_a_map_run_writes_is_read_back() {
        let event: IngestId = "01KAJ3Y3R00000000000000001".parse().unwrap();
        let input = json!({
            "vendorId": "v", "externalEventId": "e", "ingestId": event, "eventType": "t", "schemaVersion": "1",
            "occurredAt": "2026-11-21T10:00:00Z", "receivedAt": "2026-11-21T10:00:00Z",
            "rawRef": {"bucket": "b", "key": "k"}, "rawSha256": "0".repeat(64), "replay": 3,
        });
        let cause = json!({"errorType": "Rejected", "errorMessage": "{\"code\":\"mapper_refused\",\"message\":\"no\"}"});
        let records = json!([
            {"Input": "{}", "Output": "{\"changed\":true,\"previous\":\"QUARANTINED\"}", "Status": "SUCCEEDED"},
            {"Input": input.to_string(), "Error": "Rejected", "Cause": cause.to_string(), "Status": "FAILED"},
        ]);
        let records: Vec<Record> = serde_json::from_value(records).unwrap();
        let mut outcome = Outcome::default();
        let before = HashMap::from([(event, Status::Normalized)]);
        tell(&mut outcome, "SUCCEEDED", &records[0], &before);
        tell(&mut outcome, "FAILED", &records[1], &before);
        assert_eq!((outcome.changed, outcome.released, outcome.failed, outcome.kept), (1, 1, 1, 1));
        assert_eq!(
            (outcome.failures[0].code.as_str(), outcome.failures[0].example),
            ("mapper_refused", event)
        );
    }

    #[test]
    fn the_bar_is_full_at_the_end() {
        assert_eq!(bar(0, 0), "[--------------------]   0 %");
        assert_eq!(bar(5, 20), "[#####---------------]  25 %");
        assert_eq!(bar(20, 20), "[####################] 100 %");
    }
}

//! Replay: normalizes stored events again, after a mapper, a schema or the code has changed.
//!
//! The dry run ([`predicted`], feature `mapping`) maps here and writes nothing. The run itself is
//! the `replay` state machine: the events are written to manifests in S3, one a line, and each
//! manifest is one execution, whose Map Run is followed.
//!
//! Invariants: an event counts once, however often the index shows it; the manifests are complete
//! before anything is started; what became of an event is read from the results that the Map Run
//! has written, never assumed.

#[cfg(feature = "mapping")]
mod predict;
mod results;
pub(crate) mod rows;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_aws::error::fault;
use sluice_core::canonical::count;
use sluice_core::id::{EventType, IngestId, ObjectRef, SchemaVersion, VendorId};
use sluice_core::port::BundleStore as _;
use sluice_core::record::{EventDetail, Status};

use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;
use crate::progress::Progress;
use rows::Rows;

/// A manifest is closed once it has this many bytes (32 MiB: the local cloud holds an object in
/// memory).
const MANIFEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long between two looks at a Map Run.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a part of a replay is asked to start, and how long after the first time it is asked again.
const STARTS_MAX: u32 = 5;
const START_AGAIN: Duration = Duration::from_millis(500);

/// Kinds of failure that are told apart.
const FAILURES_MAX: usize = 20;

/// What a dry run predicts, or a run has brought about.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Events that are normalized in the end.
    pub succeeded: u64,
    /// Events that are not.
    pub failed: u64,
    /// Of those that succeeded: the document is another than before, or there was none.
    pub changed: u64,
    /// Of those that succeeded: the document is the same, byte for byte; nothing was written.
    pub unchanged: u64,
    /// Of those that succeeded: they were in quarantine.
    pub released: u64,
    /// Of those that failed: they were normalized before, and stay so.
    pub kept: u64,
    /// By the code of the cause, the most frequent first.
    pub failures: Vec<Failure>,
}
/// Events that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The cause's code.
    pub code: String,
    /// How many events.
    pub count: u64,
    /// Of the first such event.
    pub message: String,
    /// Such an event.
    pub example: IngestId,
}

impl Outcome {
    pub(crate) fn succeeds(&mut self, changed: bool, previous: Status) {
        self.succeeded += 1;
        *(if changed { &mut self.changed } else { &mut self.unchanged }) += 1;
        self.released += u64::from(previous == Status::Quarantined);
    }

    pub(crate) fn fails(&mut self, code: &str, message: &str, event: IngestId, previous: Option<Status>) {
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

    pub(crate) fn sorted(mut self) -> Self {
        self.failures.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
        self
    }

    /// In words.
    pub fn sentence(&self, predicted: bool) -> String {
        let (succeed, fail) = if predicted { ("succeed", "fail") } else { ("succeeded", "failed") };
        format!(
            "{} {succeed} ({} changed, {} the same, {} out of quarantine), {} {fail} ({} keep their document)",
            self.succeeded, self.changed, self.unchanged, self.released, self.failed, self.kept
        )
    }
}
/// A time in which events were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Received then or later.
    #[serde(serialize_with = "millis")]
    pub from: Timestamp,
    /// Received before then.
    #[serde(serialize_with = "millis")]
    pub to: Timestamp,
}

/// One execution of the `replay` machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its ARN.
    pub execution_arn: String,
    /// As Step Functions says.
    pub status: String,
    /// Events of its manifest.
    pub events: u64,
    /// Where its events are listed.
    pub manifest: ObjectRef,
    /// Its Map Run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_run_arn: Option<String>,
    /// Where the Map Run wrote what became of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<ObjectRef>,
    /// Name of the error that it failed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
/// A part of a replay whose events are listed, and whose execution could not be started.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unstarted {
    /// The name that its execution is to have: under one name it is started once, whoever asks.
    pub name: String,
    /// Events of its manifest.
    pub events: u64,
    /// The input that its execution is to have.
    pub input: Value,
    /// Why not.
    pub reason: String,
}

/// A replay, or the prediction of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Of the first execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The window.
    pub window: Window,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Events in the window.
    pub events: u64,
    /// The executions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub executions: Vec<Run>,
    /// What of it was not started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unstarted: Vec<Unstarted>,
    /// What is predicted, or was brought about; `None` if nobody waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Of this vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<VendorId>,
    /// Of this type of the vendor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// Of this version of the vendor's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<SchemaVersion>,
}

/// How a replay runs.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Events normalized at once.
    pub concurrency: u32,
    /// Share of failures at which it stops, in percent.
    pub tolerated_percent: f64,
    /// Whether its end is waited for.
    pub wait: bool,
}

impl Window {
    /// Of two times.
    ///
    /// # Errors
    /// When the first is not before the second.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, OpsError> {
        if from >= to {
            return Err(OpsError::invalid("the window is empty: --from is not before --to"));
        }
        Ok(Self { from, to })
    }
}

/// Maps the events of a window as `normalize` would, says what would change, and writes nothing.
/// `trust` are the keys whose native code is believed.
///
/// # Errors
/// When a service does not answer.
#[cfg(feature = "mapping")]
pub async fn predicted(
    cloud: &Cloud,
    selection: &Selection,
    window: Window,
    trust: sluice_mapping::TrustKeys,
    progress: &dyn Progress,
) -> Result<Replay, OpsError> {
    let mut rows = Rows::new(cloud, selection, window);
    let outcome = predict::map(cloud, &mut rows, trust, progress).await?;
    let events = outcome.succeeded + outcome.failed;
    Ok(Replay {
        name: None,
        window,
        dry_run: true,
        events,
        executions: Vec::new(),
        unstarted: Vec::new(),
        outcome: Some(outcome),
    })
}

/// Replays the events of a window.
///
/// # Errors
/// When a service does not answer. Events that failed are none: see [`Replay::verdict`].
pub async fn run(
    cloud: &Cloud,
    selection: &Selection,
    window: Window,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Replay, OpsError> {
    let number = u32::try_from(Timestamp::now().as_second()).unwrap_or(u32::MAX);
    let mut rows = Rows::new(cloud, selection, window);
    let name = name_of(&window, number);
    let manifests = write_manifests(cloud, &mut rows, &name, number, usize::MAX).await?;
    let events = manifests.iter().map(|manifest| manifest.1).sum();
    let parts = manifests.into_iter().enumerate().map(|(part, (manifest, events))| {
        let name = if part == 0 { name.clone() } else { format!("{name}-{}", part + 1) };
        Part { name, manifest, events }
    });
    let (mut executions, unstarted) =
        start_all(parts, async |part: &Part| start(cloud, settings, part).await).await;
    if executions.is_empty()
        && let Some(first) = unstarted.first()
    {
        return Err(OpsError::Failed(format!("no part of the replay was started: {}", first.reason)));
    }
    let mut outcome = None;
    if settings.wait && !executions.is_empty() {
        follow(cloud, &mut executions, events, progress).await?;
        progress.say("reading the results");
        outcome = Some(results::read_all(cloud, &mut executions, &rows.seen).await?);
    }
    Ok(Replay { name: Some(name), window, dry_run: false, events, executions, unstarted, outcome })
}

/// Tells the window, and the moment, since a name is taken for 90 days.
fn name_of(window: &Window, number: u32) -> String {
    let compact = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    format!("replay-{}-{}-{number}", compact(window.from), compact(window.to))
}

/// Writes the events of a window to manifests of `events_max` events at most, for batches that are replayed one after the other.
pub(crate) async fn batches(
    cloud: &Cloud,
    selection: &Selection,
    window: Window,
    events_max: usize,
) -> Result<Vec<(ObjectRef, u64)>, OpsError> {
    let number = u32::try_from(Timestamp::now().as_second()).unwrap_or(u32::MAX);
    let mut rows = Rows::new(cloud, selection, window);
    write_manifests(cloud, &mut rows, &name_of(&window, number), number, events_max).await
}

/// Writes the events of a window, one a line, into as few objects as may be, each of `events_max` at most.
async fn write_manifests(
    cloud: &Cloud,
    rows: &mut Rows<'_>,
    name: &str,
    replay: u32,
    events_max: usize,
) -> Result<Vec<(ObjectRef, u64)>, OpsError> {
    let mut manifests = Manifests::new(cloud, name, events_max);
    while let Some(page) = rows.next().await? {
        for row in page {
            manifests.push(&row.rerun(replay)).await?;
        }
    }
    manifests.finish().await
}

/// Writes events that are known, as [`write_manifests`] does.
#[cfg(feature = "mapping")]
pub(crate) async fn write_batches(
    cloud: &Cloud,
    events: impl Iterator<Item = EventDetail>,
    name: &str,
    events_max: usize,
) -> Result<Vec<(ObjectRef, u64)>, OpsError> {
    let mut manifests = Manifests::new(cloud, name, events_max);
    for event in events {
        manifests.push(&event).await?;
    }
    manifests.finish().await
}

/// Manifests that are being written.
struct Manifests<'a> {
    cloud: &'a Cloud,
    name: &'a str,
    events_max: u64,
    lines: Vec<u8>,
    events: u64,
    written: Vec<(ObjectRef, u64)>,
}

impl<'a> Manifests<'a> {
    fn new(cloud: &'a Cloud, name: &'a str, events_max: usize) -> Self {
        let events_max = u64::try_from(events_max).unwrap_or(u64::MAX).max(1);
        Self { cloud, name, events_max, lines: Vec::new(), events: 0, written: Vec::new() }
    }

    async fn push(&mut self, event: &EventDetail) -> Result<(), OpsError> {
        serde_json::to_writer(&mut self.lines, event).map_err(|error| {
            OpsError::Failed(format!("failed to write an event of the manifest: {error}"))
        })?;
        self.lines.push(b'\n');
        self.events += 1;
        if self.lines.len() >= MANIFEST_BYTES_MAX || self.events >= self.events_max {
            self.close().await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), OpsError> {
        if self.events == 0 {
            return Ok(());
        }
        let key = format!("manifests/{}-{}.jsonl", self.name, self.written.len() + 1);
        self.cloud.replays().put_if_absent(&key, Bytes::from(std::mem::take(&mut self.lines))).await?;
        let bucket = self.cloud.names().replays.clone();
        self.written.push((ObjectRef { bucket, key }, std::mem::take(&mut self.events)));
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<(ObjectRef, u64)>, OpsError> {
        self.close().await?;
        Ok(self.written)
    }
}

/// What one execution is to replay.
struct Part {
    name: String,
    manifest: ObjectRef,
    events: u64,
}

/// Starts every part, each again after a while if it may succeed later. A part that cannot be started takes nothing from the others:
/// what was started is known, and so is what is left to start.
async fn start_all(
    parts: impl Iterator<Item = Part>,
    start: impl AsyncFn(&Part) -> Result<Run, (Value, OpsError)>,
) -> (Vec<Run>, Vec<Unstarted>) {
    let (mut started, mut unstarted) = (Vec::new(), Vec::new());
    for part in parts {
        let mut pause = START_AGAIN;
        for tries in 1_u32.. {
            match start(&part).await {
                Ok(run) => {
                    started.push(run);
                    break;
                }
                Err((input, error)) if tries == STARTS_MAX => {
                    let reason = error.to_string();
                    unstarted.push(Unstarted { name: part.name, events: part.events, input, reason });
                    break;
                }
                // Under its name it is started once, even if an answer was lost.
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
    }
    (started, unstarted)
}

async fn start(cloud: &Cloud, settings: &Settings, part: &Part) -> Result<Run, (Value, OpsError)> {
    let Part { name, manifest, events } = part;
    let input = json!({
        "manifest": manifest,
        "results": {"bucket": cloud.names().replays, "prefix": "results"},
        "maxConcurrency": settings.concurrency,
        "toleratedFailurePercentage": settings.tolerated_percent,
    });
    let started = async {
        let machine = cloud.names().replay.as_str();
        let machine = cloud.state_machine_arn(machine).await?.ok_or_else(|| {
            OpsError::not_found(format!("Step Functions has no state machine {machine}"))
                .with_hint("deploy the stack, or start `sluice dev` anew")
        })?;
        let started = cloud
            .stepfunctions()
            .start_execution()
            .state_machine_arn(machine)
            .name(name)
            .input(input.to_string())
            .send()
            .await;
        Ok::<_, OpsError>(started.map_err(|error| fault("start the replay", error))?)
    };
    let started = started.await.map_err(|error| (input, error))?;
    Ok(Run {
        execution_arn: started.execution_arn,
        status: "RUNNING".to_owned(),
        events: *events,
        manifest: manifest.clone(),
        map_run_arn: None,
        results: None,
        error: None,
        cause: None,
    })
}

/// Waits until all have ended, and says how far they are.
async fn follow(
    cloud: &Cloud,
    runs: &mut [Run],
    total: u64,
    progress: &dyn Progress,
) -> Result<(), OpsError> {
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
        progress.say(&format!("{} {done} of {total} events, {failed} failed", bar(done, total)));
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

impl Replay {
    /// Whether it ended well.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        if let Some(part) = self.unstarted.first() {
            let started: Vec<&str> = self.executions.iter().map(|run| run.execution_arn.as_str()).collect();
            let (left, all) = (self.unstarted.len(), self.unstarted.len() + self.executions.len());
            return Err(OpsError::Failed(format!(
                "{left} of {all} parts of the replay were not started ({}); started are {}. Go on with each part by \
                 `aws stepfunctions start-execution` with the name and input under `unstarted` of --json: a part that runs \
                 already is not started twice",
                part.reason,
                started.join(", ")
            )));
        }
        if let Some(run) =
            self.executions.iter().find(|run| !matches!(run.status.as_str(), "RUNNING" | "SUCCEEDED"))
        {
            let error = run.error.as_deref().unwrap_or("no error name");
            return Err(OpsError::Failed(format!(
                "the replay is {}: {error}; redrive {} to go on with the events that are left",
                run.status, run.execution_arn
            )));
        }
        match &self.outcome {
            Some(outcome) if outcome.failed > 0 => {
                Err(OpsError::Failed(format!("{} of {} failed", outcome.failed, count_of(self.events))))
            }
            _ => Ok(()),
        }
    }
}

fn count_of(events: u64) -> String {
    count(usize::try_from(events).unwrap_or(usize::MAX), "event")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

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
            unstarted: Vec::new(),
            outcome: Some(outcome.sorted()),
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_part_that_cannot_be_started_takes_nothing_from_the_others() {
        let part = |number: u32| Part {
            name: format!("replay-{number}"),
            manifest: ObjectRef { bucket: "b".into(), key: number.to_string() },
            events: u64::from(number),
        };
        let asked = std::sync::Mutex::new(Vec::new());
        let start = async |part: &Part| {
            let mut asked = asked.lock().unwrap();
            asked.push(part.name.clone());
            let times = asked.iter().filter(|name| **name == part.name).count();
            let run = Run {
                execution_arn: format!("arn:{}", part.name),
                status: "RUNNING".into(),
                events: part.events,
                manifest: part.manifest.clone(),
                map_run_arn: None,
                results: None,
                error: None,
                cause: None,
            };
            match part.events {
                // Throttled for a while.
                2 if times < 3 => Err((json!({}), OpsError::Failed("throttled".into()))),
                3 => Err((json!({"manifest": part.manifest}), OpsError::Failed("refused".into()))),
                _ => Ok(run),
            }
        };
        let (started, unstarted) = start_all((1..=4).map(part), start).await;
        let arns: Vec<&str> = started.iter().map(|run| run.execution_arn.as_str()).collect();
        assert_eq!(arns, ["arn:replay-1", "arn:replay-2", "arn:replay-4"]);
        assert_eq!((unstarted.len(), unstarted[0].name.as_str(), unstarted[0].events), (1, "replay-3", 3));
        assert_eq!(unstarted[0].input["manifest"]["key"], "3");
        let partly = Replay { executions: started, unstarted, ..replay(false) };
        let error = partly.verdict().unwrap_err().to_string();
        assert!(error.contains("1 of 4 parts") && error.contains("arn:replay-4"), "{error}");
    }

    #[test]
    fn a_name_fits_and_tells_the_window() {
        let window = replay(true).window;
        let name = name_of(&window, u32::MAX);
        assert_eq!(name, "replay-20261120T000000Z-20261121T000000Z-4294967295");
        assert!(name.len() + "-10000".len() <= 80);
    }

    #[test]
    fn the_bar_is_full_at_the_end() {
        assert_eq!(bar(0, 0), "[--------------------]   0 %");
        assert_eq!(bar(5, 20), "[#####---------------]  25 %");
        assert_eq!(bar(20, 20), "[####################] 100 %");
    }
}

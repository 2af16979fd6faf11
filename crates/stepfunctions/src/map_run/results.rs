//! The results of a Map Run: files in S3, or the result of the state.
//!
//! Follows "ResultWriter (Map)" of the Developer Guide and files that the service has written: `manifest.json` and
//! `SUCCEEDED_n.json`, `FAILED_n.json`, `PENDING_n.json` under `<prefix>/<Map Run id>/`. A redrive writes the whole set again
//! under `<prefix>/<Map Run id>/Redrive-<n>/`, so that no file that was written before changes.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_asl::{MapRun, OutputType, Transformation};

use super::items::Items;
use super::rows::{self, ChildRow, ChildStatus, Children, RunRow};
use crate::engine::Inner;
use crate::integrations::TaskError;
use crate::limits::DATA_BYTES_MAX;

/// A file of results is closed once it has this many bytes (16 MiB; ours: AWS does not document its own).
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Children that are read at a time.
const PAGE_CHILDREN: usize = 1_000;

/// Bytes of their data after which a page ends early.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The ARN of a child.
pub(super) fn child_arn(run_arn: &str, name: &str) -> String {
    // `arn:aws:states:<region>:<account>:mapRun:<machine>/<label>:<id>`
    let mut parts = run_arn.splitn(7, ':');
    let service: Vec<&str> = parts.by_ref().take(5).collect();
    let rest = parts.nth(1).unwrap_or_default();
    let (machine, id) = rest.rsplit_once(':').unwrap_or((rest, ""));
    format!("{}:express:{machine}:{name}:{id}", service.join(":"))
}

/// The name of a child: a UUID (RFC 9562, version 8) made of its Map Run's and its index, from which [`child_index`] takes the
/// index back. So a child is found by its ARN without an index of names.
pub(super) fn child_name(run: &str, index: u64) -> String {
    const LOW: u64 = (1 << 48) - 1;
    let run = bits(run);
    let mixed = mix((run >> 64) as u64 ^ mix(index));
    let high = mixed & !0xf000 | 0x8000;
    let low = (mix(mixed) & !LOW & !(0b11 << 62)) | 0b10 << 62 | (index ^ run as u64) & LOW;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & LOW
    )
}

/// The index of a child of this Map Run; `None` if the name is no child's.
pub(super) fn child_index(run: &str, name: &str) -> Option<u64> {
    const LOW: u128 = (1 << 48) - 1;
    let index = ((bits(run) ^ bits(name)) & LOW) as u64;
    (child_name(run, index) == name).then_some(index)
}

fn bits(uuid: &str) -> u128 {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default()
}

/// The finalizer of SplitMix64.
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Why a child cannot be redriven by itself, or whether its Map Run's redrive runs it again.
pub(super) fn redrive_status(status: ChildStatus) -> (&'static str, Option<String>) {
    match status {
        ChildStatus::Succeeded => {
            ("NOT_REDRIVABLE", Some("Execution is SUCCEEDED and cannot be redriven".to_owned()))
        }
        ChildStatus::PendingRedrive => {
            ("NOT_REDRIVABLE", Some("Execution is PENDING_REDRIVE and cannot be redriven".to_owned()))
        }
        ChildStatus::Failed | ChildStatus::TimedOut | ChildStatus::Aborted => ("REDRIVABLE_BY_MAP_RUN", None),
    }
}

/// All that is known of a child, as `Transformation: NONE` writes it.
fn record(run: &MapRun, child: &ChildRow) -> Value {
    let name = child_name(&run.id, child.index);
    let (redrive, reason) = redrive_status(child.status);
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            record.insert(name.to_owned(), value);
        }
    };
    put("ExecutionArn", child_arn(&run.arn, &name).into());
    put("Input", child.input.as_str().into());
    put("InputDetails", json!({"Included": true}));
    put("Name", name.into());
    put("Output", child.output.clone().into());
    if child.output.is_some() {
        put("OutputDetails", json!({"Included": true}));
    }
    put("Error", child.error.clone().into());
    put("Cause", child.cause.clone().into());
    put("RedriveCount", child.redrive_count.into());
    put("RedriveDate", child.redriven_at.map(|at| at.to_string()).into());
    put("RedriveStatus", redrive.into());
    put("RedriveStatusReason", reason.into());
    put("StartDate", child.started_at.to_string().into());
    put("StateMachineArn", (&*run.child_machine_arn).into());
    put("Status", child.status.name().into());
    put("StopDate", child.stopped_at.to_string().into());
    Value::Object(record)
}

/// The JSON texts that a child adds to the results, separated by commas. A child that failed is written whole.
fn texts(run: &MapRun, child: &ChildRow) -> Vec<String> {
    match (run.writer.transformation, &child.output) {
        (Transformation::Compact, Some(output)) => vec![output.clone()],
        (Transformation::Flatten, Some(output)) => match serde_json::from_str(output) {
            Ok(Value::Array(items)) => items.iter().map(Value::to_string).collect(),
            _ => vec![output.clone()],
        },
        (Transformation::None, _) | (_, None) => vec![record(run, child).to_string()],
    }
}

/// The files of one status.
struct Files<'w> {
    writer: &'w Writer<'w>,
    status: &'static str,
    buffer: String,
    written: Vec<Value>,
}

impl Files<'_> {
    async fn add(&mut self, text: &str) -> Result<(), TaskError> {
        let lines = self.writer.run.writer.output_type == OutputType::JsonLines;
        if !lines {
            self.buffer.push(if self.buffer.is_empty() { '[' } else { ',' });
        }
        self.buffer.push_str(text);
        if lines {
            self.buffer.push('\n');
        }
        if self.buffer.len() >= FILE_BYTES_MAX { self.close().await } else { Ok(()) }
    }

    async fn close(&mut self) -> Result<(), TaskError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut body = std::mem::take(&mut self.buffer);
        let extension = match self.writer.run.writer.output_type {
            OutputType::Json => {
                body.push(']');
                "json"
            }
            OutputType::JsonLines => "jsonl",
        };
        let key = format!("{}/{}_{}.{extension}", self.writer.folder, self.status, self.written.len());
        let size = body.len();
        self.writer.put(&key, body).await?;
        self.written.push(json!({"Key": key, "Size": size}));
        Ok(())
    }
}

struct Writer<'w> {
    inner: &'w Arc<Inner>,
    run: &'w MapRun,
    bucket: &'w str,
    folder: String,
}

impl Writer<'_> {
    async fn put(&self, key: &str, body: String) -> Result<(), TaskError> {
        let put = self.inner.integrations.write_object(self.bucket, key, Bytes::from(body)).await;
        put.map_err(|error| {
            let cause = error.cause.unwrap_or_default();
            let cause = format!("Failed to write s3://{}/{key}: {}: {cause}", self.bucket, error.error);
            TaskError::new("States.ResultWriterFailed", cause)
        })
    }
}

/// Children of a run in the order of their indexes, page by page.
struct Pages {
    run: i64,
    status: Option<ChildStatus>,
    from: u64,
}

impl Pages {
    fn new(row: &RunRow, status: Option<ChildStatus>) -> Self {
        Pages { run: row.id, status, from: 0 }
    }

    /// Empty after the last.
    async fn next(&mut self, inner: &Inner) -> Result<Vec<ChildRow>, TaskError> {
        let Pages { run, status, from } = *self;
        let wanted =
            Children { status, from, descending: false, limit: PAGE_CHILDREN, bytes_max: PAGE_BYTES };
        let page = inner.journal.read(move |c| rows::children(c, run, wanted)).await.map_err(|error| {
            TaskError::new("States.Runtime", format!("The journal could not be read: {error}"))
        })?;
        self.from = page.last().map_or(from, |child| child.index + 1);
        Ok(page)
    }
}

/// Writes the files, and gives the state's result. `pending` has the children that were never started.
pub(super) async fn export(
    inner: &Arc<Inner>,
    run: &MapRun,
    row: &RunRow,
    mut pending: Option<(Items, std::collections::HashSet<u64>)>,
) -> Result<Value, TaskError> {
    let Some((bucket, prefix)) = &run.writer.destination else { return Ok(Value::Null) };
    let prefix = prefix.trim_end_matches('/');
    let mut folder = if prefix.is_empty() { run.id.to_string() } else { format!("{prefix}/{}", run.id) };
    if run.redrive_count > 0 {
        folder = format!("{folder}/Redrive-{}", run.redrive_count);
    }
    let writer = Writer { inner, run, bucket, folder };
    let mut files = Map::new();
    // Whatever did not end well is one kind of file, as AWS writes them.
    let kinds: [(&str, &[ChildStatus]); 3] = [
        ("FAILED", &[ChildStatus::Failed, ChildStatus::TimedOut, ChildStatus::Aborted]),
        ("PENDING", &[]),
        ("SUCCEEDED", &[ChildStatus::Succeeded]),
    ];
    for (status, statuses) in kinds {
        let mut out = Files { writer: &writer, status, buffer: String::new(), written: Vec::new() };
        for status in statuses {
            let mut pages = Pages::new(row, Some(*status));
            loop {
                let page = pages.next(inner).await?;
                if page.is_empty() {
                    break;
                }
                for text in page.iter().flat_map(|child| texts(run, child)) {
                    out.add(&text).await?;
                }
            }
        }
        if status == "PENDING" {
            let mut pages = Pages::new(row, Some(ChildStatus::PendingRedrive));
            loop {
                let page = pages.next(inner).await?;
                if page.is_empty() {
                    break;
                }
                for child in &page {
                    out.add(&pending_record(&child.input)).await?;
                }
            }
            if let Some((items, ended)) = &mut pending {
                while let Some(child) = items.next_child().await? {
                    if !ended.contains(&child.mark.child) {
                        out.add(&pending_record(&child.text)).await?;
                    }
                }
            }
        }
        out.close().await?;
        files.insert(status.to_owned(), out.written.into());
    }
    let manifest = json!({"DestinationBucket": bucket, "MapRunArn": &*run.arn, "ResultFiles": files});
    let key = format!("{}/manifest.json", writer.folder);
    writer.put(&key, manifest.to_string()).await?;
    Ok(json!({"MapRunArn": &*run.arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}))
}

fn pending_record(input: &str) -> String {
    json!({"Input": input, "InputDetails": {"Included": true}, "Status": "PENDING"}).to_string()
}

/// The results as an array, in the order of the items.
pub(super) async fn collect(inner: &Arc<Inner>, run: &MapRun, row: &RunRow) -> Result<Value, TaskError> {
    let mut text = String::from("[");
    let mut pages = Pages::new(row, None);
    loop {
        let page = pages.next(inner).await?;
        if page.is_empty() {
            break;
        }
        for result in page.iter().flat_map(|child| texts(run, child)) {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&result);
        }
        if text.len() > DATA_BYTES_MAX {
            let cause = "The results of the Map Run exceed the maximum number of bytes service limit; write them to S3 \
                         with a ResultWriter.";
            return Err(TaskError::new("States.DataLimitExceeded", cause));
        }
    }
    text.push(']');
    serde_json::from_str(&text).map_err(|error| {
        TaskError::new("States.Runtime", format!("A result of the Map Run is not JSON: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_child_is_found_by_its_name_and_by_no_other_run_s() {
        let (run, other) = ("0f1d6b1c-5f4e-4c3a-9a55-1f2e3d4c5b6a", "0f1d6b1c-5f4e-4c3a-9a55-1f2e3d4c5b6b");
        let mut names = std::collections::HashSet::new();
        for index in (0..2_000).chain([999_999, 99_999_999, u64::from(u32::MAX)]) {
            let name = child_name(run, index);
            assert_eq!((name.len(), &name[14..15]), (36, "8"), "{name}");
            assert!("89ab".contains(&name[19..20]), "{name}");
            assert_eq!(child_index(run, &name), Some(index));
            assert_eq!(child_index(other, &name), None);
            assert!(names.insert(name));
        }
        assert_eq!(child_index(run, "nonsense"), None);
        let arn = "arn:aws:states:us-east-1:000000000000:mapRun:m/Label:0f1d6b1c-5f4e-4c3a-9a55-1f2e3d4c5b6a";
        assert_eq!(
            child_arn(arn, "n"),
            format!("arn:aws:states:us-east-1:000000000000:express:m/Label:n:{run}")
        );
        assert_eq!(
            crate::arn::parse(&child_arn(arn, "n")).unwrap(),
            crate::arn::Arn::Express { machine: "m/Label" }
        );
    }
}

//! How fast a Map Run is, and how much memory it takes: items from an object that is made as it is read, children that do
//! nothing, everything journaled to a file. `cargo run --release -p sluice-stepfunctions --example map_run -- 1000000`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that measures")]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_stepfunctions::{
    Engine, Integrations, Location, MachineType, ObjectPart, Options, Payload, StateMachineSpec, SystemClock,
    TaskContext, TaskError,
};

/// Bytes of every line, its end included.
const LINE_BYTES: u64 = 256;

/// An object of so many lines.
struct Lines(u64);

#[async_trait]
impl Integrations for Lines {
    async fn invoke(&self, resource: &str, _: Value, _: &TaskContext) -> Result<Value, TaskError> {
        Err(TaskError::new("States.Runtime", format!("nothing calls {resource}")))
    }

    async fn read_object(
        &self,
        _: &str,
        _: &str,
        offset: u64,
        bytes_max: u64,
    ) -> Result<ObjectPart, TaskError> {
        let size = self.0 * LINE_BYTES;
        let last = (offset + bytes_max).min(size) / LINE_BYTES;
        let mut bytes = Vec::new();
        for line in offset / LINE_BYTES..last {
            let text = format!("{{\"ingestId\":\"{line:026}\",\"padding\":\"");
            let padding = usize::try_from(LINE_BYTES).unwrap() - text.len() - 3;
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend(std::iter::repeat_n(b'x', padding));
            bytes.extend_from_slice(b"\"}\n");
        }
        let skip = usize::try_from(offset % LINE_BYTES).unwrap().min(bytes.len());
        Ok(ObjectPart { bytes: Bytes::from(bytes).slice(skip..), etag: "e".to_owned(), size })
    }

    async fn write_object(&self, _: &str, _: &str, _: Bytes) -> Result<(), TaskError> {
        Ok(())
    }
}

/// The most memory that this process has had, in MB.
fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

async fn measure(items: u64, writer: bool) {
    let folder = std::env::temp_dir().join(format!("sluice-map-run-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = Options { map_run_concurrency: 256, ..Options::default() };
    let location = Location::File(folder.join("journal.sqlite"));
    let engine =
        Engine::open(&location, Arc::new(Lines(items)), Arc::new(SystemClock), options).await.unwrap();
    let mut map = json!({
        "Type": "Map", "Label": "L", "End": true, "Output": {},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "P",
                          "States": {"P": {"Type": "Pass", "Output": "{% $states.input.ingestId %}", "End": true}}},
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"},
                       "Arguments": {"Bucket": "b", "Key": "k"}},
    });
    if writer {
        map["ResultWriter"] =
            json!({"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"}});
    }
    let asl = json!({"QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": map}}).to_string();
    let spec = StateMachineSpec::new("m", MachineType::Standard, asl);
    let machine = engine.put_state_machine(spec).await.unwrap();
    let begun = Instant::now();
    let started = engine.start_execution(&machine.arn, None, Payload::empty()).await.unwrap();
    engine.idle().await;
    let seconds = begun.elapsed().as_secs_f64();
    let (runs, _) = engine.list_map_runs(&started.execution_arn, 1, None).await.unwrap();
    assert_eq!(runs[0].items.succeeded, items, "{runs:?}");
    let journal = std::fs::metadata(folder.join("journal.sqlite")).unwrap().len() / (1024 * 1024);
    println!(
        "{items:>9} | {:<8} | {seconds:>7.2} | {:>8.0} | {journal:>10} | {:>7}",
        if writer { "written" } else { "-" },
        items as f64 / seconds,
        peak_memory_mb()
    );
    engine.shutdown(std::time::Duration::from_secs(5)).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::main]
async fn main() {
    let items = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    println!(
        "{:>9} | {:<8} | {:>7} | {:>8} | {:>10} | {:>7}",
        "items", "results", "s", "items/s", "journal MB", "peak MB"
    );
    measure(items, true).await;
}

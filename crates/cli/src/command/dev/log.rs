//! What happens, line by line: for a person in columns, for a program as JSON.
//!
//! The lines of the stages (target `sluice::stage`) and every warning of any part come through `tracing`. Invariant: writing
//! never holds up the cloud. Lines go through a bounded queue to a thread; what a slow reader leaves no room for is counted
//! and said, not waited for.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sluice_aws::stage;
use sluice_core::id::rfc3339;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::error::CliError;
use crate::output::{Tone, paint, printable, visible};

/// Lines that may wait for a slow reader.
const LINES_WAITING_MAX: usize = 8_192;

/// How long the last lines may take at the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// What is logged unless `SLUICE_LOG` says otherwise.
const FILTER: &str = "warn,sluice::stage=info";

enum Message {
    /// Standard output may be written from now on, this first.
    Open(String),
    Line(String),
    Close,
}

/// The log of a run.
pub(super) struct Log {
    lines: SyncSender<Message>,
    writer: JoinHandle<()>,
}

impl Log {
    /// Installs itself as the process's subscriber. Nothing is written before [`Log::open`].
    pub(super) fn start(readable: bool) -> Result<Self, CliError> {
        let (lines, queue) = sync_channel(LINES_WAITING_MAX);
        let left_out = Arc::new(AtomicU64::new(0));
        let layer = Lines { lines: lines.clone(), left_out: Arc::clone(&left_out), readable };
        let levels = std::env::var("SLUICE_LOG").unwrap_or_else(|_| FILTER.to_owned());
        let filter: Targets = levels.parse().map_err(|error| {
            CliError::usage(format!(
                "SLUICE_LOG must be levels by target, such as {FILTER:?}: {levels:?}: {error}"
            ))
        })?;
        let failed = |message: &str, source: Box<dyn std::error::Error + Send + Sync>| CliError::Local {
            message: message.to_owned(),
            hint: None,
            source: Some(source),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(layer)
            .try_init()
            .map_err(|error| failed("the log cannot be set up", error.into()))?;
        let writer = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write(&queue, &left_out, readable))
            .map_err(|error| failed("the log's thread cannot be started", error.into()))?;
        Ok(Self { lines, writer })
    }

    /// Writes the first lines, and lets the others follow.
    pub(super) fn open(&self, text: String) {
        let _ = self.lines.send(Message::Open(text));
    }

    /// Writes a line.
    pub(super) fn line(&self, text: String) {
        let _ = self.lines.try_send(Message::Line(text));
    }

    /// Writes lines from elsewhere, for as long as the log is there.
    pub(super) fn writer(&self) -> impl Fn(String) + Send + Sync + 'static {
        let lines = self.lines.clone();
        move |text| {
            let _ = lines.try_send(Message::Line(text));
        }
    }

    /// Writes what waits, unless the reader takes too long.
    pub(super) fn close(self) {
        let _ = self.lines.try_send(Message::Close);
        let asked = std::time::Instant::now();
        while !self.writer.is_finished() && asked.elapsed() < CLOSE_PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How long the first line of a batch waits for others.
const LINGER: Duration = Duration::from_millis(10);

/// The writing thread. A reader that has gone away is no reason to stop the cloud.
fn write(queue: &Receiver<Message>, left_out: &AtomicU64, readable: bool) {
    let mut waiting = String::new();
    let mut open = false;
    while let Ok(first) = queue.recv() {
        // What comes within a moment goes out with it: a write for each line would wake this thread for each.
        std::thread::sleep(LINGER);
        let mut close = false;
        let mut batch = String::new();
        // Everything that is there goes out in one write.
        for message in std::iter::once(first).chain(std::iter::from_fn(|| queue.try_recv().ok())) {
            match message {
                Message::Open(text) => {
                    open = true;
                    batch.insert_str(0, &waiting);
                    waiting.clear();
                    batch.insert_str(0, &text);
                }
                Message::Line(text) => batch.push_str(&text),
                Message::Close => close = true,
            }
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            batch.push_str(&gap(missing, readable));
        }
        if open {
            let mut stdout = anstream::stdout().lock();
            let _ = stdout.write_all(batch.as_bytes()).and_then(|()| stdout.flush());
        } else {
            waiting.push_str(&batch);
        }
        if close {
            return;
        }
    }
}

fn gap(missing: u64, readable: bool) -> String {
    let message = format!("{missing} lines were left out: their reader is too slow");
    if readable {
        format!("{}\n", paint(Tone::Warn, message))
    } else {
        let line = serde_json::json!({"event": "log", "at": rfc3339(Timestamp::now()), "level": "warn", "message": message});
        format!("{line}\n")
    }
}

/// Turns events into lines.
struct Lines {
    lines: SyncSender<Message>,
    left_out: Arc<AtomicU64>,
    readable: bool,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let entry = Entry {
            at: Timestamp::now(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            fields: fields.0,
        };
        let line = if self.readable { entry.readable() } else { entry.json() };
        if self.lines.try_send(Message::Line(line)).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut next = value.source();
        while let Some(source) = next {
            let _ = write!(text, ": {source}");
            next = source.source();
        }
        self.0.insert(field.name().to_owned(), text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

struct Entry<'a> {
    at: Timestamp,
    level: Level,
    target: &'a str,
    fields: Map<String, Value>,
}

impl Entry<'_> {
    fn is_stage(&self) -> bool {
        self.target == stage::TARGET
    }

    fn json(mut self) -> String {
        let mut line = Map::new();
        let stage = self.is_stage();
        line.insert("event".into(), if stage { "stage" } else { "log" }.into());
        line.insert("at".into(), rfc3339(self.at).into());
        if stage {
            // It is the same word each time.
            self.fields.remove("message");
        } else {
            line.insert("level".into(), self.level.as_str().to_ascii_lowercase().into());
            line.insert("target".into(), self.target.into());
        }
        // In the order of reading, whatever the order of recording.
        for name in ["stage", "ingestId", "vendorId", "externalEventId", "status", "latencyMs", "message"] {
            if let Some(value) = self.fields.shift_remove(name) {
                line.insert(name.into(), value);
            }
        }
        for (name, value) in self.fields {
            line.entry(name).or_insert(value);
        }
        format!("{}\n", visible(&Value::Object(line).to_string()))
    }

    fn readable(&self) -> String {
        let clock = paint(Tone::Dim, self.at.strftime("%H:%M:%S.%3f").to_string());
        let text = |name: &str| match self.fields.get(name) {
            Some(Value::String(text)) => printable(text).replace('\n', " "),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        if self.is_stage() {
            let status = text("status");
            let latency = self.fields.get("latencyMs").and_then(Value::as_f64).unwrap_or_default();
            return format!(
                "  {clock}  {:12}  {}  {:26}  {}  {}\n",
                text("stage"),
                paint(tone(&status), format!("{status:24}")),
                text("ingestId"),
                format!("{} {}", text("vendorId"), text("externalEventId")).trim_end(),
                paint(Tone::Dim, format!("{latency:.1} ms"))
            );
        }
        let tone = match self.level {
            Level::ERROR => Tone::Bad,
            Level::WARN => Tone::Warn,
            Level::INFO | Level::DEBUG | Level::TRACE => Tone::Dim,
        };
        let mut line = format!(
            "  {clock}  {}  {}",
            paint(tone, format!("{:12}", self.level.as_str().to_ascii_lowercase())),
            text("message")
        );
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "message") {
            let value = match value {
                Value::String(text) => printable(text).replace('\n', " "),
                other => other.to_string(),
            };
            let _ = write!(line, "  {}{value}", paint(Tone::Dim, format!("{name}=")));
        }
        line.push('\n');
        line
    }
}

/// By how it ended: an HTTP status, a life-cycle status, a bus event, or the code of a fault.
fn tone(status: &str) -> Tone {
    match status {
        "NORMALIZED" | "NOTHING_TO_STATE" | "RELEASED" | "RECEIVED" | "ACCEPTED" | "ingest.accepted"
        | "event.normalized" => Tone::Good,
        "DUPLICATE" => Tone::Warn,
        // On its way.
        "VALID" => Tone::Plain,
        _ => match status.parse::<u16>() {
            Ok(200..=399) => Tone::Warn,
            _ => Tone::Bad,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::testing::plain;

    fn entry(target: &'static str, level: Level, fields: Value) -> Entry<'static> {
        let Value::Object(fields) = fields else { panic!("an object") };
        Entry { at: Timestamp::constant(1_795_255_200, 123_000_000), level, target, fields }
    }

    fn stage() -> Entry<'static> {
        entry(
            stage::TARGET,
            Level::INFO,
            json!({"stage": "normalize", "ingestId": "01KAJ3Y3R00000000000000001", "vendorId": "vendorA",
                   "externalEventId": "evt-1\u{1b}[2J", "status": "NORMALIZED", "latencyMs": 3.25, "message": "stage"}),
        )
    }

    #[test]
    fn a_stage_is_one_line() {
        insta::assert_snapshot!(plain(&stage().readable()), @r"  10:00:00.123  normalize     NORMALIZED                01KAJ3Y3R00000000000000001  vendorA evt-1\u{1b}[2J  3.2 ms");
        insta::assert_snapshot!(stage().json(), @r#"{"event":"stage","at":"2026-11-21T10:00:00.123Z","stage":"normalize","ingestId":"01KAJ3Y3R00000000000000001","vendorId":"vendorA","externalEventId":"evt-1\u001b[2J","status":"NORMALIZED","latencyMs":3.25}"#);
    }

    #[test]
    fn a_warning_has_its_fields() {
        let warning = || {
            entry(
                "sluice_local::relay",
                Level::WARN,
                json!({"message": "the function failed", "function": "sluice-relay", "error": "a: b"}),
            )
        };
        insta::assert_snapshot!(plain(&warning().readable()), @"  10:00:00.123  warn          the function failed  function=sluice-relay  error=a: b");
        insta::assert_snapshot!(warning().json(), @r#"{"event":"log","at":"2026-11-21T10:00:00.123Z","level":"warn","target":"sluice_local::relay","message":"the function failed","function":"sluice-relay","error":"a: b"}"#);
    }

    #[test]
    fn a_fault_is_red_and_a_duplicate_is_not_green() {
        assert_eq!(tone("mapper_refused"), Tone::Bad);
        assert_eq!(tone("503"), Tone::Bad);
        assert_eq!(tone("DUPLICATE"), Tone::Warn);
        assert_eq!(tone("200"), Tone::Warn);
        assert_eq!(tone("VALID"), Tone::Plain);
    }

    #[test]
    fn a_full_queue_loses_lines_but_never_waits() {
        let (lines, queue) = sync_channel(1);
        let left_out = Arc::new(AtomicU64::new(0));
        let layer = Lines { lines, left_out: Arc::clone(&left_out), readable: false };
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..3 {
                tracing::warn!(number, "words");
            }
        });
        assert_eq!(left_out.load(Ordering::Relaxed), 2);
        let Ok(Message::Line(line)) = queue.try_recv() else { panic!("one line") };
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((line["event"].as_str(), line["number"].as_i64()), (Some("log"), Some(0)));
    }
}

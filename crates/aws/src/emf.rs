//! Log lines of a function: JSON, and for stages and metrics also CloudWatch's embedded metric format.
//!
//! One line per stage is both the log (F1) and the metrics (F2): the members stay as they are, and `_aws` says which of them are
//! metrics ("Embedding metrics within logs: specification", CloudWatch User Guide). Dimensions are stage, and reason: a few dozen
//! combinations.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::{metric, stage};

/// Where the metrics are in CloudWatch.
const NAMESPACE: &str = "Sluice";

/// Formats stages and metrics itself, and leaves all else to `F`.
pub(crate) struct Lines<F>(pub(crate) F);

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let target = event.metadata().target();
        if target != stage::TARGET && target != metric::TARGET {
            return self.0.format_event(context, writer, event);
        }
        let mut fields = Members::default();
        event.record(&mut fields);
        let now = jiff::Timestamp::now();
        let line =
            if target == stage::TARGET { stage_line(fields.0, now) } else { metric_line(&fields.0, now) };
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// One directive: which members are metrics, by which others.
fn directive(dimensions: &[&str], metrics: &[(&str, &str)]) -> Value {
    let metrics: Vec<Value> =
        metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
    json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics})
}

fn stage_line(mut line: Map<String, Value>, now: jiff::Timestamp) -> Map<String, Value> {
    let text = |line: &Map<String, Value>, name: &str| {
        line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (stage, status) = (text(&line, "stage"), text(&line, "status"));
    line.insert("pipeline.latency_ms".into(), line.get("latencyMs").cloned().unwrap_or_default());
    let mut directives = vec![directive(&["stage"], &[("pipeline.latency_ms", "Milliseconds")])];
    if let Some((name, reason)) = stage::metric(&stage, &status) {
        line.insert(name.into(), 1.into());
        // Without dimensions, so that an alarm can be on all of them, and by reason where there is one.
        directives.push(directive(&[], &[(name, "Count")]));
        if let Some(reason) = reason {
            line.insert("reason".into(), reason.into());
            directives.push(directive(&["reason"], &[(name, "Count")]));
        }
    }
    finish(line, now, &directives)
}

fn metric_line(fields: &Map<String, Value>, now: jiff::Timestamp) -> Map<String, Value> {
    let name = fields.get("metric").and_then(Value::as_str).unwrap_or_default().to_owned();
    let dimensions = fields.get("dimensions").and_then(Value::as_str).unwrap_or("{}");
    let mut line: Map<String, Value> = serde_json::from_str(dimensions).unwrap_or_default();
    let names: Vec<String> = line.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut directives = vec![directive(&[], &[(&name, "Count")])];
    if !names.is_empty() {
        directives.push(directive(&names, &[(&name, "Count")]));
    }
    line.insert(name, fields.get("value").cloned().unwrap_or_default());
    finish(line, now, &directives)
}

fn finish(mut line: Map<String, Value>, now: jiff::Timestamp, directives: &[Value]) -> Map<String, Value> {
    line.insert("timestamp".into(), sluice_core::id::rfc3339(now).into());
    line.insert("_aws".into(), json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives}));
    line
}

/// The fields of an event as JSON.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(write: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let format = tracing_subscriber::fmt::format().json().flatten_event(true);
        let written = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .event_format(Lines(format))
            .with_writer(move || written.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, write);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn stage(stage: &'static str, status: &str) {
        stage::log(&stage::Stage {
            stage,
            ingest_id: "01",
            vendor_id: "v",
            external_event_id: "e",
            delivery_id: None,
            status,
            started: Instant::now(),
        });
    }

    #[test]
    fn a_stage_is_one_line_that_is_log_and_metrics() {
        let lines = lines(|| {
            stage("normalize", "payload_schema_violation");
            stage("relay", "ingest.accepted");
            tracing::warn!("something else");
        });
        assert_eq!(lines.len(), 3);
        let line = &lines[0];
        for (member, value) in [
            ("stage", json!("normalize")),
            ("ingestId", json!("01")),
            ("vendorId", json!("v")),
            ("externalEventId", json!("e")),
            ("status", json!("payload_schema_violation")),
            ("normalize.failed", json!(1)),
            ("reason", json!("payload_schema_violation")),
        ] {
            assert_eq!(line[member], value, "{member} of {line}");
        }
        assert_eq!(line["pipeline.latency_ms"], line["latencyMs"]);
        assert!(line["_aws"]["Timestamp"].is_i64());
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        assert_eq!(
            directives[0],
            json!({"Namespace": "Sluice", "Dimensions": [["stage"]], "Metrics": [{"Name": "pipeline.latency_ms", "Unit": "Milliseconds"}]})
        );
        assert_eq!(directives[1]["Dimensions"], json!([[]]));
        assert_eq!(directives[2]["Dimensions"], json!([["reason"]]));
        // Every member that a directive names is there, as the format demands.
        for directive in directives {
            for name in directive["Dimensions"][0].as_array().unwrap() {
                assert!(line[name.as_str().unwrap()].is_string());
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number());
            }
        }
        assert_eq!(lines[1]["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(), 1, "latency alone");
        assert_eq!((&lines[2]["message"], &lines[2]["_aws"]), (&json!("something else"), &Value::Null));
    }

    #[test]
    fn a_metric_has_its_dimensions_as_members() {
        let lines = lines(|| metric::count("drift.detected", 1.0, &[("vendorId", "v"), ("kind", "renamed")]));
        let line = &lines[0];
        assert_eq!(
            (&line["drift.detected"], &line["vendorId"], &line["kind"]),
            (&json!(1.0), &json!("v"), &json!("renamed"))
        );
        assert_eq!(line["_aws"]["CloudWatchMetrics"][1]["Dimensions"], json!([["vendorId", "kind"]]));
    }
}

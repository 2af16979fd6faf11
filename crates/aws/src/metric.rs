//! Metrics, as log events: one event a value, which on Lambda is a line in CloudWatch's embedded metric format (`emf.rs`).
//!
//! Nothing is sent and nothing is waited for. Where no one listens to [`TARGET`], as in `sluice dev` unless told otherwise, a
//! metric costs a comparison. What every stage has (`ingest.*`, `normalize.*`, `pipeline.latency_ms`) comes from the stage's own log
//! line (`stage.rs`); these are the others.

/// Target of these events.
pub const TARGET: &str = "sluice::metric";

/// Counts `value` under `name`, e.g. `mapper.canary_rolled_back`. Dimensions must be few and bounded: each combination of values is
/// a metric of its own.
pub fn count(name: &str, value: f64, dimensions: &[(&str, &str)]) {
    if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
        return;
    }
    let dimensions: serde_json::Map<String, serde_json::Value> =
        dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let dimensions = serde_json::Value::Object(dimensions);
    tracing::info!(target: TARGET, metric = name, value, %dimensions, "metric");
}

//! The one structured log line that each stage writes per event (F1), from which the metrics are taken (F2).

use std::time::Instant;

/// Target of these lines, so that a reader can pick them out.
pub const TARGET: &str = "sluice::stage";

/// What a line says. Texts that are not known yet are empty.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The function.
    pub stage: &'static str,
    /// Correlates everything.
    pub ingest_id: &'a str,
    /// Who sent it.
    pub vendor_id: &'a str,
    /// The vendor's id.
    pub external_event_id: &'a str,
    /// The sender's id of the delivery, where the contract says what that is.
    pub delivery_id: Option<&'a str>,
    /// How it ended: a life-cycle status, an answer's HTTP status, or a detail type.
    pub status: &'a str,
    /// When the stage began.
    pub started: Instant,
}

/// Writes the line.
pub fn log(stage: &Stage<'_>) {
    let latency_ms = stage.started.elapsed().as_secs_f64() * 1_000.0;
    tracing::info!(
        target: TARGET,
        stage = stage.stage,
        ingestId = stage.ingest_id,
        vendorId = stage.vendor_id,
        externalEventId = stage.external_event_id,
        deliveryId = stage.delivery_id,
        status = stage.status,
        latencyMs = (latency_ms * 1_000.0).round() / 1_000.0,
        "stage"
    );
}

/// The counter that a stage's line adds one to, and why, if it is a failure.
pub(crate) fn metric<'a>(stage: &str, status: &'a str) -> Option<(&'static str, Option<&'a str>)> {
    match (stage, status) {
        // The vendor's own status codes: 200 is a duplicate, 4xx a refusal. What is valid is counted once it is durable.
        ("accept", "VALID") => None,
        ("accept" | "persist-raw", "200" | "DUPLICATE") => Some(("ingest.duplicate", None)),
        ("accept", refused) => Some(("ingest.failed_validation", Some(refused))),
        ("persist-raw", "202" | "ACCEPTED" | "RECEIVED") => Some(("ingest.accepted", None)),
        ("persist-raw", refused) => Some(("ingest.failed_validation", Some(refused))),
        ("normalize", "NORMALIZED") => Some(("normalize.success", None)),
        ("normalize", "NOTHING_TO_STATE") => Some(("normalize.nothing", None)),
        ("normalize", code) => Some(("normalize.failed", Some(code))),
        _ => None,
    }
}

//! `Quarantine`: records why an event could not be normalized, and releases it once it was.
//!
//! Idempotent: the number of attempts comes from the execution's redrive count, not from counting calls.

mod config;

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::fault::{CaughtError, Cause, Waiting};
use sluice_core::port::{Clock, Ledger, Marked, QuarantineStore};
use sluice_core::record::{EventDetail, QuarantineNote, QuarantineRow, QuarantineStatus};
use sluice_core::{Code, Fault};

pub use config::Config;

/// Longest quotation in the sentence that an execution shows.
const SENTENCE_PART_CHARS_MAX: usize = 300;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Life cycle.
    pub ledger: Arc<dyn Ledger>,
    /// Rows for ops.
    pub quarantine: Arc<dyn QuarantineStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            quarantine: Arc::new(sluice_aws::quarantine::DynamoQuarantine::new(sdk, config.quarantine_table)),
            clock: Arc::new(sluice_aws::clock::SystemClock),
        }
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(sdk, Config::from_env(lookup)?))
    }
}

#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Input {
    Quarantine { event: EventDetail, error: CaughtError, execution_arn: String, redrive_count: u64 },
    Await { event: EventDetail, failure: Waiting, redrives: u64, redrive_count: u64 },
    Release { event: EventDetail },
}

/// Gives `{"status": "QUARANTINED", "deadLetter": …, "failure": …}`, `{"status": "NORMALIZED"}` if there was nothing to
/// quarantine, `{"status": "REDRIVEN"}`, or `{"status": "RELEASED"}`, also to one that waits after its event has left.
///
/// # Errors
///
/// Those of the ports; and [`Fault::waiting`], on purpose, while an execution has not been redriven.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let input: Input = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not {operation, event, …}").with_source(error)
    })?;
    let (event, output) = match input {
        Input::Quarantine { event, error, execution_arn, redrive_count } => {
            let output = quarantine(deps, &event, &error, &execution_arn, redrive_count + 1).await?;
            (event, output)
        }
        Input::Await { event, failure, redrives, redrive_count } => {
            if redrive_count <= redrives {
                // Its execution may be started long after it was quarantined, and a person may have been quicker.
                let held = deps.quarantine.find(&event.key.vendor_id, event.ingest_id).await?;
                if held.is_none_or(|held| held.status != QuarantineStatus::Released) {
                    return Err(Fault::waiting(failure));
                }
                (event, json!({ "status": "RELEASED" }))
            } else {
                (event, json!({ "status": "REDRIVEN" }))
            }
        }
        Input::Release { event } => {
            deps.quarantine.release(&event.key.vendor_id, event.ingest_id, deps.clock.now()).await?;
            (event, json!({ "status": "RELEASED" }))
        }
    };
    log(&Stage {
        stage: "quarantine",
        ingest_id: &event.ingest_id.to_string(),
        vendor_id: event.key.vendor_id.as_str(),
        external_event_id: event.key.external_event_id.as_str(),
        delivery_id: None,
        status: output["status"].as_str().unwrap_or_default(),
        started,
    });
    Ok(output)
}

async fn quarantine(
    deps: &Deps,
    event: &EventDetail,
    error: &CaughtError,
    execution_arn: &str,
    attempts: u64,
) -> Result<Value, Fault> {
    let cause = Cause::from(error);
    let now = deps.clock.now();
    let note = QuarantineNote {
        code: cause.code.clone(),
        message: cause.message.clone(),
        errors: cause.errors.clone(),
        at: now,
    };
    if deps.ledger.mark_quarantined(&event.key, event.ingest_id, &note).await? == Marked::AlreadyNormalized {
        return Ok(json!({ "status": "NORMALIZED" }));
    }
    let row = QuarantineRow {
        vendor_id: event.key.vendor_id.clone(),
        ingest_id: event.ingest_id,
        external_event_id: event.key.external_event_id.clone(),
        event_type: event.event_type.clone(),
        status: QuarantineStatus::Open,
        fingerprint: cause.fingerprint(),
        cause,
        attempts,
        execution_arn: execution_arn.to_owned(),
        raw_ref: event.raw_ref.clone(),
        received_at: event.received_at,
        first_seen_at: now,
        last_seen_at: now,
        resolution: None,
    };
    deps.quarantine.open(&row).await?;
    // References and the cause, never the payload.
    let dead_letter = json!({
        "ingestId": row.ingest_id,
        "vendorId": row.vendor_id,
        "externalEventId": row.external_event_id,
        "eventType": row.event_type,
        "cause": {"error": row.cause.error, "code": row.cause.code, "message": row.cause.message},
        "fingerprint": row.fingerprint,
        "attempts": row.attempts,
        "rawRef": row.raw_ref,
        "executionArn": row.execution_arn,
    });
    // An error of AWS's own without its prefix (`States.Timeout`): AwaitRedrive must not retry what Normalize retried.
    let error = row.cause.code.rsplit('.').next().unwrap_or_default().to_owned();
    let failure = Waiting { error, cause: sentence(&row) };
    Ok(json!({ "status": "QUARANTINED", "deadLetter": dead_letter, "failure": failure }))
}

/// What the Step Functions console shows of an execution that waits: whose event, what is wrong, where, and what to do.
fn sentence(row: &QuarantineRow) -> String {
    let at = match row.cause.errors.first() {
        Some(fault) if !fault.pointer.is_empty() => format!(" at {}", shortened(&fault.pointer)),
        _ => String::new(),
    };
    format!(
        "{}'s {} {} was not normalized: {}{at}: {}. Fix the cause, then redrive this execution (or run `sluice redrive {}`). \
         Group {}, attempt {}, raw bytes s3://{}/{}.",
        row.vendor_id,
        row.event_type,
        row.external_event_id,
        row.cause.code,
        shortened(row.cause.message.trim_end_matches('.')),
        row.ingest_id,
        row.fingerprint,
        row.attempts,
        row.raw_ref.bucket,
        row.raw_ref.key,
    )
}

/// A text of a vendor or a mapper, cut to what a person reads at a glance.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SENTENCE_PART_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;

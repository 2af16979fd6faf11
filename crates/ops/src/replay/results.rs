//! What became of each event of a replay, read from the results that the Map Run has written, never
//! assumed.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use sluice_core::fault::{CaughtError, Cause};
use sluice_core::id::{IngestId, ObjectRef};
use sluice_core::port::RawStore as _;
use sluice_core::record::{EventDetail, Status};
use sluice_core::{Code, Fault};

use super::{Outcome, Run};
use crate::cloud::Cloud;
use crate::error::OpsError;

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
pub(super) async fn read_all(
    cloud: &Cloud,
    runs: &mut [Run],
    before: &HashMap<IngestId, Status>,
) -> Result<Outcome, OpsError> {
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

fn read<T: for<'de> Deserialize<'de>>(at: &ObjectRef, bytes: &[u8]) -> Result<T, OpsError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("s3://{}/{} is not what a Map Run writes", at.bucket, at.key);
        Fault::new(Code::RowMalformed, message).with_source(error).into()
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;

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
}

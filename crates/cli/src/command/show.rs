//! `sluice show`: everything that is known of one event, with its stored bytes checked against the ledger's digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::Cause;
use sluice_core::id::{IngestId, ObjectRef};
use sluice_core::port::{CanonicalStore as _, RawStore as _};
use sluice_core::record::{Hold, LedgerRow, Nothing, QuarantineRow, QuarantineStatus, Status};
use sluice_core::state::Entity;
use sluice_core::{Code, Fault};

use super::execution::Execution;
use super::quarantine::cause_text;
use crate::args::ShowArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, millis, paint, pretty, printable, section, time};

/// Longest request shown on a terminal, in bytes.
const SHOWN_BYTES_MAX: usize = 4_096;

/// All that is known of an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    ingest_id: IngestId,
    vendor_id: String,
    external_event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
    event_type: String,
    schema_version: String,
    status: Status,
    #[serde(serialize_with = "millis")]
    occurred_at: Timestamp,
    #[serde(serialize_with = "millis")]
    received_at: Timestamp,
    #[serde(serialize_with = "millis")]
    updated_at: Timestamp,
    payload_sha256: Sha256Hex,
    /// Why a person must let it go on, or who did.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    lifecycle: Vec<Step>,
    raw: Raw,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalized: Option<NormalizedDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<Quarantine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<Execution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_state: Option<CanonicalState>,
    #[serde(skip)]
    local: bool,
}

/// What the event did to canonical state.
#[derive(Debug, Serialize)]
struct CanonicalState {
    entities: Vec<Entity>,
    complete: bool,
}

/// One step of its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Step {
    #[serde(serialize_with = "millis")]
    at: Timestamp,
    stage: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(flatten)]
    at: ObjectRef,
    sha256: Sha256Hex,
    bytes: u64,
    content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten)]
    content: Option<Content>,
}

/// The bytes in JSON: as text where they are, else base64.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Content {
    Text(String),
    Base64(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NormalizedDocument {
    #[serde(flatten)]
    at_object: ObjectRef,
    sha256: Sha256Hex,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    event_type: String,
    schema_version: String,
    bundle: Sha256Hex,
    fuel: u64,
    #[serde(serialize_with = "millis")]
    at: Timestamp,
    documents: Vec<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quarantine {
    status: QuarantineStatus,
    attempts: u64,
    fingerprint: String,
    #[serde(serialize_with = "millis")]
    first_seen_at: Timestamp,
    #[serde(serialize_with = "millis")]
    last_seen_at: Timestamp,
    cause: Cause,
}

/// Shows one event. A stored object that is not what the ledger says is an error, after everything was shown.
pub async fn run(args: &ShowArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let row = find(cloud, args.ingest_id).await?;
    let objects = cloud.objects();
    if args.raw && !output.is_json() {
        return output.bytes(&objects.get(&row.raw_ref).await?);
    }
    if args.normalized && !output.is_json() {
        let Some(normalized) = &row.normalized else {
            let why = match &row.nothing {
                Some(nothing) => format!("it states nothing ({}: {})", nothing.code, nothing.message),
                None => format!("it is {}", row.status.as_str()),
            };
            return Err(CliError::not_found(format!(
                "the event {} has no normalized document: {why}",
                row.ingest_id
            )));
        };
        return output.bytes(&objects.get(&normalized.r#ref).await?);
    }
    let quarantine = cloud.quarantine();
    let normalized = async {
        match &row.normalized {
            Some(normalized) => Some(objects.get(&normalized.r#ref).await),
            None => None,
        }
    };
    let recovery = async {
        let held = quarantine.find(&row.key.vendor_id, row.ingest_id).await?;
        let execution = match &held {
            Some(held) => Execution::describe(cloud, &held.execution_arn).await?,
            None => None,
        };
        Ok::<_, CliError>((held, execution))
    };
    let canonical = cloud.canonical();
    let ids = [row.ingest_id];
    let (raw, normalized, recovery, effects) =
        tokio::join!(objects.get(&row.raw_ref), normalized, recovery, canonical.read(&ids, &[]));
    let (held, execution) = recovery?;
    let mut shown =
        assemble(row, stored(raw)?, normalized.map(stored).transpose()?, held, execution, cloud.is_local());
    shown.canonical_state = effects?.effects.pop().map(|effects| CanonicalState {
        entities: effects.entities.into_iter().collect(),
        complete: effects.done,
    });
    output.document(&shown)?;
    let normalized_problem = shown.normalized.as_ref().and_then(|normalized| normalized.problem.as_deref());
    let problems: Vec<&str> = shown.raw.problem.as_deref().into_iter().chain(normalized_problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(CliError::Failed(problems.join("; "))) }
}

/// The ledger's row of an event.
pub(crate) async fn find(cloud: &Cloud, ingest_id: IngestId) -> Result<LedgerRow, CliError> {
    cloud.ledger().find_by_ingest_id(ingest_id).await?.ok_or_else(|| {
        CliError::not_found(format!("the ledger has no event {ingest_id}")).with_hint(
            "`sluice ls` lists the latest; an event accepted a moment ago may take a second to be found",
        )
    })
}

/// An object, or in words why there is none: a missing object is a finding, not a failure to look.
fn stored(object: Result<Bytes, Fault>) -> Result<Result<Bytes, String>, CliError> {
    match object {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(fault) if fault.code == Code::RawMissing => Ok(Err(fault.message)),
        Err(fault) => Err(fault.into()),
    }
}

fn problem(what: &str, object: &Result<Bytes, String>, sha256: &Sha256Hex) -> Option<String> {
    match object {
        Ok(bytes) => {
            let actual = Sha256Hex::of(bytes);
            (actual != *sha256)
                .then(|| format!("the {what} has the digest {actual}, the ledger says {sha256}"))
        }
        Err(missing) => Some(missing.clone()),
    }
}

fn assemble(
    row: LedgerRow,
    raw: Result<Bytes, String>,
    normalized: Option<Result<Bytes, String>>,
    held: Option<QuarantineRow>,
    execution: Option<Execution>,
    local: bool,
) -> Shown {
    let lifecycle = lifecycle(&row, held.as_ref(), execution.as_ref());
    let raw_problem = problem("raw object", &raw, &row.raw_sha256);
    let content = raw.ok().map(|bytes| match std::str::from_utf8(&bytes) {
        Ok(text) => Content::Text(text.to_owned()),
        Err(_) => Content::Base64(STANDARD.encode(&bytes)),
    });
    let normalized = row.normalized.zip(normalized).map(|(reference, object)| {
        let problem = problem("normalized document", &object, &reference.sha256);
        let documents = object.unwrap_or_default();
        NormalizedDocument {
            at_object: reference.r#ref,
            sha256: reference.sha256,
            verified: problem.is_none(),
            problem,
            event_type: reference.event_type.to_string(),
            schema_version: reference.schema_version.to_string(),
            bundle: reference.bundle,
            fuel: reference.fuel,
            at: reference.at,
            documents: documents
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| {
                    serde_json::from_slice(line)
                        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(line).into_owned()))
                })
                .collect(),
        }
    });
    Shown {
        ingest_id: row.ingest_id,
        vendor_id: row.key.vendor_id.to_string(),
        external_event_id: row.key.external_event_id.to_string(),
        delivery_id: row.delivery_id,
        event_type: row.event_type.to_string(),
        schema_version: row.schema_version.to_string(),
        status: row.status,
        occurred_at: row.occurred_at,
        received_at: row.received_at,
        updated_at: row.updated_at,
        payload_sha256: row.payload_sha256,
        hold: row.hold,
        lifecycle,
        raw: Raw {
            at: row.raw_ref,
            sha256: row.raw_sha256,
            bytes: row.raw_bytes,
            content_type: row.content_type,
            content_encoding: row.content_encoding,
            verified: raw_problem.is_none(),
            problem: raw_problem,
            content,
        },
        normalized,
        nothing: row.nothing,
        quarantine: held.map(|held| Quarantine {
            status: held.status,
            attempts: held.attempts,
            fingerprint: held.fingerprint,
            first_seen_at: held.first_seen_at,
            last_seen_at: held.last_seen_at,
            cause: held.cause,
        }),
        execution,
        canonical_state: None,
        local,
    }
}

/// What happened when, as far as the rows remember: the first and the last of several attempts.
fn lifecycle(row: &LedgerRow, held: Option<&QuarantineRow>, execution: Option<&Execution>) -> Vec<Step> {
    let mut steps = vec![Step {
        at: row.received_at,
        stage: "received",
        detail: format!("{} bytes of {} {}", row.raw_bytes, row.event_type, row.schema_version),
    }];
    match (held, &row.quarantine) {
        (Some(held), note) => {
            let cause = format!("{}: {}", held.cause.code, held.cause.message);
            // The row keeps the last cause only; the ledger's note has the time of the last failure even after a release.
            let last = note.as_ref().map_or(held.last_seen_at, |note| note.at);
            if held.attempts > 1 {
                steps.push(Step {
                    at: held.first_seen_at,
                    stage: "quarantined",
                    detail: "the first attempt failed".into(),
                });
                steps.push(Step {
                    at: last,
                    stage: "quarantined",
                    detail: format!("attempt {} failed: {cause}", held.attempts),
                });
            } else {
                steps.push(Step { at: held.first_seen_at, stage: "quarantined", detail: cause });
            }
        }
        (None, Some(note)) => steps.push(Step {
            at: note.at,
            stage: "quarantined",
            detail: format!("{}: {}", note.code, note.message),
        }),
        (None, None) => {}
    }
    if let Some(accepted) = row.hold.as_ref().and_then(|hold| hold.accepted.as_ref()) {
        steps.push(Step {
            at: accepted.at,
            stage: "accepted",
            detail: format!("by {}: {}", accepted.by, accepted.reason),
        });
    }
    if let Some(execution) = execution
        && let Some(at) = execution.redriven_at
    {
        steps.push(Step { at, stage: "redriven", detail: format!("redrive {}", execution.redrive_count) });
    }
    if let Some(normalized) = &row.normalized {
        let bundle = &normalized.bundle.as_str()[..12];
        steps.push(Step {
            at: normalized.at,
            stage: "normalized",
            detail: format!(
                "{} of {} {} by bundle {bundle}…",
                sluice_core::canonical::count(normalized.events as usize, "event"),
                normalized.event_type,
                normalized.schema_version
            ),
        });
    }
    if let Some(nothing) = &row.nothing {
        let bundle = &nothing.bundle.as_str()[..12];
        steps.push(Step {
            at: nothing.at,
            stage: "normalized",
            detail: format!("states nothing ({}) by bundle {bundle}…", nothing.code),
        });
    }
    if let Some(held) = held {
        match held.status {
            QuarantineStatus::Released => steps.push(Step {
                at: held.last_seen_at,
                stage: "released",
                detail: "out of quarantine".into(),
            }),
            QuarantineStatus::Open | QuarantineStatus::Discarded => {}
        }
    }
    steps.sort_by_key(|step| step.at);
    steps
}

impl View for Shown {
    fn text(&self, page: &Page) -> String {
        let tone = match self.status {
            Status::Received => Tone::Warn,
            Status::Normalized => Tone::Good,
            Status::Quarantined => Tone::Bad,
        };
        let mut text = format!(
            "{}  {}\n",
            paint(Tone::Strong, self.ingest_id.to_string()),
            paint(tone, self.status.as_str())
        );
        let mut list =
            vec![("vendor", self.vendor_id.clone()), ("external id", printable(&self.external_event_id))];
        list.extend(self.delivery_id.as_ref().map(|id| ("delivery id", printable(id))));
        list.extend([
            ("type", format!("{} {}", self.event_type, self.schema_version)),
            ("occurred", format!("{}  ({})", time(self.occurred_at), page.ago(self.occurred_at))),
        ]);
        text.push_str(&fields(list));

        let steps = self.lifecycle.iter().map(|step| {
            let tone = match step.stage {
                "normalized" | "released" | "accepted" => Tone::Good,
                "quarantined" => Tone::Bad,
                _ => Tone::Plain,
            };
            format!(
                "  {}  {}  {}\n",
                time(step.at),
                paint(tone, format!("{:11}", step.stage)),
                printable(&step.detail)
            )
        });
        text.push_str(&section("Life cycle", &steps.collect::<String>()));
        text.push_str(&section("Raw request", &self.raw_text()));
        if let Some(normalized) = &self.normalized {
            text.push_str(&section("Normalized", &normalized.text()));
        }
        if let Some(nothing) = &self.nothing {
            let rows = [
                ("code", nothing.code.clone()),
                ("reason", printable(&nothing.message)),
                ("bundle", format!("{}, {} fuel", nothing.bundle, nothing.fuel)),
            ];
            text.push_str(&section("Nothing to state", &fields(rows)));
        }
        if let Some(state) = &self.canonical_state {
            let entities = state.entities.iter().map(|entity| format!("  {}\n", printable(entity.as_str())));
            text.push_str(&section("Canonical state", &entities.collect::<String>()));
        }
        if let Some(quarantine) = &self.quarantine {
            let heading = match quarantine.status {
                QuarantineStatus::Open => "Quarantined",
                QuarantineStatus::Released => "Was quarantined",
                QuarantineStatus::Discarded => "Quarantined, discarded",
            };
            text.push_str(&section(heading, &cause_text(&quarantine.cause, page)));
        }
        if let Some(execution) = &self.execution {
            let mut list = vec![
                ("execution", execution.arn.clone()),
                ("status", format!("{}, {}", execution.status, redriven(execution.redrive_count))),
            ];
            list.extend(execution.redrive_reason.clone().map(|reason| ("redrive", printable(&reason))));
            list.extend(execution.link.clone().map(|link| ("console", link)));
            text.push_str(&section("Recovery", &fields(list)));
            if page.terminal && execution.redrivable {
                let local = if self.local { " --local" } else { "" };
                let next = paint(Tone::Dim, "next:");
                let id = self.ingest_id;
                let held = self.hold.as_ref().is_some_and(|hold| hold.accepted.is_none());
                text.push_str(&match held {
                    true => format!(
                        "\n{next} sluice{local} conflicts accept {id} --reason …, or quarantine discard {id} --reason …\n"
                    ),
                    false => format!("\n{next} mend the cause, then sluice{local} redrive {id} --wait\n"),
                });
            }
        }
        text
    }
}

impl Shown {
    fn raw_text(&self) -> String {
        let raw = &self.raw;
        let encoding = raw.content_encoding.as_deref().map(|name| format!(", {name}")).unwrap_or_default();
        let mut text = fields([
            ("object", format!("s3://{}/{}", raw.at.bucket, raw.at.key)),
            ("content", printable(&format!("{} bytes, {}{encoding}", raw.bytes, raw.content_type))),
            ("sha256", checked(&raw.sha256, raw.problem.as_deref())),
        ]);
        match &raw.content {
            Some(Content::Text(content)) if content.len() <= SHOWN_BYTES_MAX => {
                text.push_str(&indented(printable(content).trim_end()));
            }
            Some(Content::Text(_) | Content::Base64(_)) => {
                text.push_str(&format!(
                    "  {}\n",
                    paint(Tone::Dim, format!("(sluice show {} --raw writes the bytes)", self.ingest_id))
                ));
            }
            None => {}
        }
        text
    }
}

impl NormalizedDocument {
    fn text(&self) -> String {
        let mut text = fields([
            ("object", format!("s3://{}/{}", self.at_object.bucket, self.at_object.key)),
            ("sha256", checked(&self.sha256, self.problem.as_deref())),
            ("bundle", format!("{}, {} fuel", self.bundle, self.fuel)),
        ]);
        for document in &self.documents {
            text.push_str(&indented(&pretty(document)));
        }
        text
    }
}

fn redriven(count: i32) -> String {
    match count {
        0 => "never redriven".into(),
        1 => "redriven once".into(),
        _ => format!("redriven {count} times"),
    }
}

fn checked(sha256: &Sha256Hex, problem: Option<&str>) -> String {
    match problem {
        None => format!("{sha256}  {}", paint(Tone::Good, "verified")),
        Some(problem) => format!("{sha256}\n{}", paint(Tone::Bad, printable(problem))),
    }
}

fn indented(block: &str) -> String {
    block.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::output::testing::{json as document, on_terminal};

    const RAW: &str = r#"{"vendorId":"vendorA","payload":{"qty":12}}"#;
    const NORMALIZED: &str = "{\"data\":{\"sku\":\"ABC-001\"},\"eventType\":\"InventoryUpdated\"}\n";

    pub(crate) fn ledger_row(status: &str) -> LedgerRow {
        serde_json::from_value(json!({
            "vendorId": "vendorA", "externalEventId": "evt-1", "ingestId": "01KAJ3Y3R00000000000000001",
            "eventType": "inventory_update", "schemaVersion": "1", "occurredAt": "2026-11-21T08:00:00Z",
            "receivedAt": "2026-11-21T09:58:00Z", "updatedAt": "2026-11-21T09:58:01Z", "status": status,
            "statusShard": format!("{status}#1"), "rawRef": {"bucket": "sluice-raw", "key": "raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json"},
            "rawSha256": Sha256Hex::of(RAW.as_bytes()), "rawBytes": RAW.len(), "payloadSha256": "1".repeat(64),
            "contentType": "application/json"
        }))
        .unwrap()
    }

    fn normalized_row() -> LedgerRow {
        let mut row = ledger_row("NORMALIZED");
        row.normalized = serde_json::from_value(json!({
            "ref": {"bucket": "sluice-normalized", "key": "normalized/InventoryUpdated/2026/11/21/01KAJ3Y3R00000000000000001.json"},
            "sha256": Sha256Hex::of(NORMALIZED.as_bytes()), "events": 1, "eventType": "InventoryUpdated", "schemaVersion": "1.0",
            "bundle": "b".repeat(64), "fuel": 4242, "at": "2026-11-21T09:58:01Z"
        }))
        .unwrap();
        row
    }

    pub(crate) fn quarantine_row(status: &str, attempts: u64) -> QuarantineRow {
        serde_json::from_value(json!({
            "vendorId": "vendorA", "ingestId": "01KAJ3Y3R00000000000000001", "externalEventId": "evt-1",
            "eventType": "inventory_update", "status": status, "attempts": attempts, "fingerprint": "0123456789abcdef",
            "cause": {"error": "Rejected", "code": "payload_schema_violation", "message": "the payload has 1 fault",
                      "errors": [{"pointer": "/qty", "code": "type", "message": "must be of type integer, not string"}]},
            "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
            "rawRef": {"bucket": "sluice-raw", "key": "raw/k"}, "receivedAt": "2026-11-21T09:58:00Z",
            "firstSeenAt": "2026-11-21T09:58:02Z", "lastSeenAt": "2026-11-21T09:59:00Z"
        }))
        .unwrap()
    }

    fn execution(status: &str, redrive_count: i32) -> Execution {
        let arn = quarantine_row("OPEN", 1).execution_arn;
        Execution {
            name: "01KAJ3Y3R00000000000000001-0".into(),
            arn,
            status: status.into(),
            started_at: "2026-11-21T09:58:02Z".parse().unwrap(),
            stopped_at: Some("2026-11-21T09:58:03Z".parse().unwrap()),
            redrive_count,
            redriven_at: (redrive_count > 0).then(|| "2026-11-21T09:58:30Z".parse().unwrap()),
            redrivable: status == "FAILED",
            redrive_reason: None,
            link: None,
        }
    }

    fn bytes(text: &str) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_normalized_event() {
        let shown = assemble(normalized_row(), bytes(RAW), Some(bytes(NORMALIZED)), None, None, true);
        insta::assert_snapshot!(on_terminal(&shown), @r#"
        01KAJ3Y3R00000000000000001  NORMALIZED
          vendor       vendorA
          external id  evt-1
          type         inventory_update 1
          occurred     2026-11-21 08:00:00.000Z  (2 h ago)

        Life cycle
          2026-11-21 09:58:00.000Z  received     43 bytes of inventory_update 1
          2026-11-21 09:58:01.000Z  normalized   1 event of InventoryUpdated 1.0 by bundle bbbbbbbbbbbb…

        Raw request
          object   s3://sluice-raw/raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json
          content  43 bytes, application/json
          sha256   be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4  verified
            {"vendorId":"vendorA","payload":{"qty":12}}

        Normalized
          object  s3://sluice-normalized/normalized/InventoryUpdated/2026/11/21/01KAJ3Y3R00000000000000001.json
          sha256  f46ef8c71b89e984c7db7b7e512e40ad8c0d0489d477dcd5719b95101afc8c6c  verified
          bundle  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, 4242 fuel
            {
              "data": {
                "sku": "ABC-001"
              },
              "eventType": "InventoryUpdated"
            }
        "#);
        insta::assert_snapshot!(document(&shown), @r#"
        {
          "ingestId": "01KAJ3Y3R00000000000000001",
          "vendorId": "vendorA",
          "externalEventId": "evt-1",
          "eventType": "inventory_update",
          "schemaVersion": "1",
          "status": "NORMALIZED",
          "occurredAt": "2026-11-21T08:00:00.000Z",
          "receivedAt": "2026-11-21T09:58:00.000Z",
          "updatedAt": "2026-11-21T09:58:01.000Z",
          "payloadSha256": "1111111111111111111111111111111111111111111111111111111111111111",
          "lifecycle": [
            {
              "at": "2026-11-21T09:58:00.000Z",
              "stage": "received",
              "detail": "43 bytes of inventory_update 1"
            },
            {
              "at": "2026-11-21T09:58:01.000Z",
              "stage": "normalized",
              "detail": "1 event of InventoryUpdated 1.0 by bundle bbbbbbbbbbbb…"
            }
          ],
          "raw": {
            "bucket": "sluice-raw",
            "key": "raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json",
            "sha256": "be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4",
            "bytes": 43,
            "contentType": "application/json",
            "verified": true,
            "text": "{\"vendorId\":\"vendorA\",\"payload\":{\"qty\":12}}"
          },
          "normalized": {
            "bucket": "sluice-normalized",
            "key": "normalized/InventoryUpdated/2026/11/21/01KAJ3Y3R00000000000000001.json",
            "sha256": "f46ef8c71b89e984c7db7b7e512e40ad8c0d0489d477dcd5719b95101afc8c6c",
            "verified": true,
            "eventType": "InventoryUpdated",
            "schemaVersion": "1.0",
            "bundle": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "fuel": 4242,
            "at": "2026-11-21T09:58:01.000Z",
            "documents": [
              {
                "data": {
                  "sku": "ABC-001"
                },
                "eventType": "InventoryUpdated"
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn a_quarantined_event_has_its_cause_and_its_execution() {
        let shown = assemble(
            ledger_row("QUARANTINED"),
            bytes(RAW),
            None,
            Some(quarantine_row("OPEN", 1)),
            Some(execution("FAILED", 0)),
            true,
        );
        insta::assert_snapshot!(on_terminal(&shown), @r#"
        01KAJ3Y3R00000000000000001  QUARANTINED
          vendor       vendorA
          external id  evt-1
          type         inventory_update 1
          occurred     2026-11-21 08:00:00.000Z  (2 h ago)

        Life cycle
          2026-11-21 09:58:00.000Z  received     43 bytes of inventory_update 1
          2026-11-21 09:58:02.000Z  quarantined  payload_schema_violation: the payload has 1 fault

        Raw request
          object   s3://sluice-raw/raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json
          content  43 bytes, application/json
          sha256   be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4  verified
            {"vendorId":"vendorA","payload":{"qty":12}}

        Quarantined
          cause    payload_schema_violation
          message  the payload has 1 fault
          error    Rejected

         WHERE  CODE  WHAT                                
         /qty   type  must be of type integer, not string

        Recovery
          execution  arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0
          status     FAILED, never redriven

        next: mend the cause, then sluice --local redrive 01KAJ3Y3R00000000000000001 --wait
        "#);
        insta::assert_snapshot!(document(&shown), @r#"
        {
          "ingestId": "01KAJ3Y3R00000000000000001",
          "vendorId": "vendorA",
          "externalEventId": "evt-1",
          "eventType": "inventory_update",
          "schemaVersion": "1",
          "status": "QUARANTINED",
          "occurredAt": "2026-11-21T08:00:00.000Z",
          "receivedAt": "2026-11-21T09:58:00.000Z",
          "updatedAt": "2026-11-21T09:58:01.000Z",
          "payloadSha256": "1111111111111111111111111111111111111111111111111111111111111111",
          "lifecycle": [
            {
              "at": "2026-11-21T09:58:00.000Z",
              "stage": "received",
              "detail": "43 bytes of inventory_update 1"
            },
            {
              "at": "2026-11-21T09:58:02.000Z",
              "stage": "quarantined",
              "detail": "payload_schema_violation: the payload has 1 fault"
            }
          ],
          "raw": {
            "bucket": "sluice-raw",
            "key": "raw/vendorA/2026/11/21/01KAJ3Y3R00000000000000001.json",
            "sha256": "be714d925dfcbb3662e98ad9b86b63536e23809fe7f228fdf00c62789dabaaa4",
            "bytes": 43,
            "contentType": "application/json",
            "verified": true,
            "text": "{\"vendorId\":\"vendorA\",\"payload\":{\"qty\":12}}"
          },
          "quarantine": {
            "status": "OPEN",
            "attempts": 1,
            "fingerprint": "0123456789abcdef",
            "firstSeenAt": "2026-11-21T09:58:02.000Z",
            "lastSeenAt": "2026-11-21T09:59:00.000Z",
            "cause": {
              "error": "Rejected",
              "code": "payload_schema_violation",
              "message": "the payload has 1 fault",
              "errors": [
                {
                  "pointer": "/qty",
                  "code": "type",
                  "message": "must be of type integer, not string"
                }
              ]
            }
          },
          "execution": {
            "arn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
            "name": "01KAJ3Y3R00000000000000001-0",
            "status": "FAILED",
            "startedAt": "2026-11-21T09:58:02.000Z",
            "stoppedAt": "2026-11-21T09:58:03.000Z",
            "redriveCount": 0,
            "redrivable": true
          }
        }
        "#);
    }

    #[test]
    fn a_released_event_tells_its_whole_life() {
        let mut row = normalized_row();
        row.quarantine = Some(
            serde_json::from_value(json!({"code": "c", "message": "m", "at": "2026-11-21T09:58:20Z"}))
                .unwrap(),
        );
        row.normalized.as_mut().unwrap().at = "2026-11-21T09:58:40Z".parse().unwrap();
        let held = quarantine_row("RELEASED", 2);
        let steps = lifecycle(&row, Some(&held), Some(&execution("SUCCEEDED", 2)));
        let stages: Vec<&str> = steps.iter().map(|step| step.stage).collect();
        assert_eq!(stages, ["received", "quarantined", "quarantined", "redriven", "normalized", "released"]);
        assert!(steps[2].detail.contains("attempt 2 failed"), "{steps:?}");
    }

    #[test]
    fn stored_bytes_that_are_not_what_the_ledger_says_are_a_finding() {
        let shown = assemble(
            normalized_row(),
            bytes("tampered"),
            Some(Err("there is no object x".into())),
            None,
            None,
            false,
        );
        assert!(!shown.raw.verified);
        assert!(shown.raw.problem.as_ref().unwrap().contains(&Sha256Hex::of(b"tampered").to_string()));
        let normalized = shown.normalized.as_ref().unwrap();
        assert_eq!((normalized.verified, normalized.documents.len()), (false, 0));
        assert_eq!(normalized.problem.as_deref(), Some("there is no object x"));
        assert!(on_terminal(&shown).contains("there is no object x"));
    }

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        let shown =
            assemble(ledger_row("RECEIVED"), Ok(Bytes::from_static(b"\xff\xfe")), None, None, None, false);
        let value = serde_json::to_value(&shown).unwrap();
        assert_eq!(value["raw"]["base64"], "//4=");
        assert!(value["raw"].get("text").is_none());
    }

    #[test]
    fn a_missing_object_is_told_apart_from_no_answer() {
        assert!(stored(Err(Fault::new(Code::RawMissing, "gone"))).unwrap().is_err());
        assert!(stored(Err(Fault::new(Code::Unavailable, "down"))).is_err());
    }
}

//! One quarantine group as a person looks at it: its cause in a sentence, examples, and what differs
//! from the last good message of the vendor and type, from the contract, and from what drift knows.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_core::digest::Sha256Hex;
use sluice_core::drift::Finding;
use sluice_core::fault::{Cause, FieldFault};
use sluice_core::id::{EventType, IngestId, SchemaVersion, VendorId};
use sluice_core::port::{Freshness, Ledger as _, RawStore as _, VendorDirectory as _};
use sluice_core::quarantine::Group;
use sluice_core::record::{LedgerKey, LedgerRow, QuarantineRow, Status};

use crate::cloud::Cloud;
use crate::diff::{Difference, differences};
use crate::document::millis;
use crate::error::OpsError;
use crate::events::{self, Filter};
use crate::overview::grouped;
use crate::part::Part;
use crate::{event, payload, quarantine};

/// Examples, unless told otherwise.
pub const EXAMPLES_DEFAULT: usize = 10;

/// Most examples.
pub const EXAMPLES_MAX: usize = 100;

/// Differences that are listed.
const DIFFERENCES_MAX: usize = 200;

/// Rows of each partition of the ledger's index that are read for a good message.
const GOOD_SCANNED_MAX: usize = 500;

/// Names listed in a sentence.
const NAMED_MAX: usize = 3;

/// A group, and all that helps to see why it is there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// How many wait, whose, and why, in a sentence.
    pub sentence: String,
    /// Events of the group, the one that failed last first.
    pub examples: Vec<Example>,
    /// All events of the group: the open ones, or if there are none, those of its history.
    pub events: usize,
    /// The first example beside the last good message.
    pub compared: Part<Comparison>,
    /// What messages of these types are known to have changed.
    pub drift: Part<Vec<Finding>>,
    /// The contract that the messages were judged by.
    pub contract: Part<Option<ContractLink>>,
    /// What to do, as a path in the repository's `docs`.
    pub runbook: &'static str,
}

/// One event of the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// Its id.
    pub ingest_id: IngestId,
    /// Who sent it.
    pub vendor_id: VendorId,
    /// The vendor's type.
    pub event_type: EventType,
    /// The vendor's id of it.
    pub external_event_id: String,
    /// When it was accepted.
    #[serde(serialize_with = "millis")]
    pub received_at: Timestamp,
    /// When it last failed.
    #[serde(serialize_with = "millis")]
    pub last_seen_at: Timestamp,
    /// How often it failed: more than once is "still failing".
    pub attempts: u64,
    /// Its cause in words.
    pub message: String,
    /// The faults of its payload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
}

/// An example beside the last good message of the same vendor, type and schema version.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The example.
    pub example: IngestId,
    /// The last message that was normalized; `None` if none was found among those that were looked
    /// at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<Good>,
    /// Rows of the ledger that were looked at for it.
    pub looked_at: usize,
    /// Members that differ: `before` is the good message's value, `after` the example's.
    pub differences: Vec<Difference>,
    /// There are more than are listed.
    pub truncated: bool,
    /// Why the payloads cannot be compared, such as that one is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A message that was normalized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Good {
    /// The event.
    pub ingest_id: IngestId,
    /// When it was accepted.
    #[serde(serialize_with = "millis")]
    pub received_at: Timestamp,
    /// The bundle that mapped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Sha256Hex>,
}

/// The contract by which messages are judged now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContractLink {
    /// The active bundle, which has it.
    pub bundle: Sha256Hex,
    /// Of the pointer.
    pub revision: u64,
    /// The path in the bundle of the schema that the example names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version that the example names.
    pub schema_version: SchemaVersion,
    /// The group failed with another bundle than this one: it may be mended already.
    pub changed_since: bool,
}

/// Shows a group.
///
/// # Errors
/// When there is no such group, and when the quarantine does not answer. What else is unknown says
/// so for itself.
pub async fn show(cloud: &Cloud, fingerprint: &str, examples_max: usize) -> Result<GroupDetail, OpsError> {
    let mut rows = quarantine::rows_of(cloud, fingerprint).await?;
    let group = quarantine::grouped(cloud, &rows).await?.into_iter().next();
    let group = group.ok_or_else(|| quarantine::no_group(fingerprint))?;
    rows.sort_by_key(|row| std::cmp::Reverse((row.last_seen_at, row.ingest_id)));
    let events = rows.len();
    let first = rows.first().cloned();
    let examples: Vec<Example> =
        rows.into_iter().take(examples_max.clamp(1, EXAMPLES_MAX)).map(Example::from).collect();
    let of_first = async {
        let Some(first) = &first else { return (Ok(None), Ok(None)) };
        match ledger_row(cloud, first).await {
            Ok(row) => {
                let (compared, contract) =
                    tokio::join!(compared(cloud, &row), contract(cloud, &row, &first.cause));
                (compared.map(Some), contract)
            }
            Err(error) => (Err(error), Ok(None)),
        }
    };
    let ((compared, contract), drift) = tokio::join!(of_first, drift(cloud, &group));
    let compared = compared.and_then(|compared| compared.ok_or_else(|| quarantine::no_group(fingerprint)));
    Ok(GroupDetail {
        sentence: sentence(&group, first.as_ref().map(|row| &row.cause)),
        runbook: runbook(&group.code),
        examples,
        events,
        compared: compared.into(),
        drift: drift.into(),
        contract: contract.into(),
        group,
    })
}

impl From<QuarantineRow> for Example {
    fn from(row: QuarantineRow) -> Self {
        Self {
            ingest_id: row.ingest_id,
            vendor_id: row.vendor_id,
            event_type: row.event_type,
            external_event_id: row.external_event_id.into(),
            received_at: row.received_at,
            last_seen_at: row.last_seen_at,
            attempts: row.attempts,
            message: row.cause.message,
            errors: row.cause.errors,
        }
    }
}

async fn ledger_row(cloud: &Cloud, row: &QuarantineRow) -> Result<LedgerRow, OpsError> {
    let key =
        LedgerKey { vendor_id: row.vendor_id.clone(), external_event_id: row.external_event_id.clone() };
    let held = cloud.ledger().find(&key).await?.filter(|held| held.ingest_id == row.ingest_id);
    held.ok_or_else(|| {
        OpsError::not_found(format!("the ledger does not have {} any more", row.ingest_id))
            .with_hint("run `sluice audit`")
    })
}

/// Compares an event's payload with that of the last good message of the same vendor, type and schema
/// version.
///
/// # Errors
/// When there is no such event, and when a service does not answer.
pub async fn compare(cloud: &Cloud, ingest_id: IngestId) -> Result<Comparison, OpsError> {
    compared(cloud, &event::find(cloud, ingest_id).await?).await
}

async fn compared(cloud: &Cloud, row: &LedgerRow) -> Result<Comparison, OpsError> {
    let filter = Filter {
        statuses: vec![Status::Normalized],
        vendor: Some(row.key.vendor_id.clone()),
        event_type: Some(row.event_type.clone()),
        limit: 10,
        scanned_max: Some(GOOD_SCANNED_MAX),
        ..Filter::default()
    };
    let read = events::rows(cloud, &filter).await?;
    let looked_at = read.scanned;
    let good =
        events::newest_first(read.rows).into_iter().find(|good| good.schema_version == row.schema_version);
    let mut comparison = Comparison {
        example: row.ingest_id,
        good: None,
        looked_at,
        differences: Vec::new(),
        truncated: false,
        problem: None,
    };
    let Some(good) = good else { return Ok(comparison) };
    let objects = cloud.objects();
    let (before, after) = tokio::try_join!(objects.get(&good.raw_ref), objects.get(&row.raw_ref))?;
    let before = payload::read(&good, &before);
    let after = payload::read(row, &after);
    comparison.good = Some(Good {
        ingest_id: good.ingest_id,
        received_at: good.received_at,
        bundle: good.normalized.map(|normalized| normalized.bundle),
    });
    comparison.compare(before, after);
    Ok(comparison)
}

impl Comparison {
    fn compare(&mut self, before: Result<Value, String>, after: Result<Value, String>) {
        match (before, after) {
            (Ok(before), Ok(after)) => {
                self.differences = differences(&before, &after);
                self.truncated = self.differences.len() > DIFFERENCES_MAX;
                self.differences.truncate(DIFFERENCES_MAX);
            }
            (Err(problem), _) => self.problem = Some(format!("the last good message: {problem}")),
            (Ok(_), Err(problem)) => self.problem = Some(format!("the example: {problem}")),
        }
    }
}

async fn contract(cloud: &Cloud, row: &LedgerRow, cause: &Cause) -> Result<Option<ContractLink>, OpsError> {
    let active = cloud.vendors().active_mapper(&row.key.vendor_id, &row.event_type, Freshness::Fresh).await?;
    Ok(active.map(|active| ContractLink {
        changed_since: cause.bundle.as_ref().is_some_and(|bundle| *bundle != active.bundle),
        schema: active.contract.payload.versions.get(&row.schema_version).cloned(),
        schema_version: row.schema_version.clone(),
        bundle: active.bundle,
        revision: active.revision,
    }))
}

async fn drift(cloud: &Cloud, group: &Group) -> Result<Vec<Finding>, OpsError> {
    let store = cloud.drift();
    let mut found = Vec::new();
    for vendor in group.vendors.keys() {
        found.extend(store.list(Some(vendor)).await?.findings);
    }
    found.retain(|finding| group.event_types.contains_key(&finding.event_type));
    // What has the group's own cause first, then what breaks something, then the newest.
    let own = |finding: &Finding| finding.code.as_deref() == Some(group.code.as_str());
    found.sort_by(|a, b| {
        (own(b), b.breaking, b.last_seen_at, &a.path).cmp(&(own(a), a.breaking, a.last_seen_at, &b.path))
    });
    Ok(found)
}

/// How many events wait, whose, and why.
pub fn sentence(group: &Group, cause: Option<&Cause>) -> String {
    let (number, does) = match (group.open, group.released + group.discarded) {
        (0, past) => (past, if past == 1 { "was quarantined" } else { "were quarantined" }),
        (open, _) => (open, if open == 1 { "waits" } else { "wait" }),
    };
    let noun = if number == 1 { "event" } else { "events" };
    let mut text = format!(
        "{} {noun} of {} ({}) {does}: {}",
        grouped(number),
        names(group.vendors.keys().map(VendorId::as_str)),
        names(group.event_types.keys().map(EventType::as_str)),
        cause.map_or(group.message.as_str(), |cause| cause.message.as_str())
    );
    if let Some(fault) = cause.and_then(|cause| cause.errors.first()) {
        let place = if fault.pointer.is_empty() { "the payload" } else { fault.pointer.as_str() };
        text.push_str(&format!("; {place}: {}", fault.message));
    }
    text
}

/// The first few names, and how many more there are.
fn names<'n>(all: impl Iterator<Item = &'n str>) -> String {
    let all: BTreeSet<&str> = all.collect();
    let mut text = all.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    if all.len() > NAMED_MAX {
        text.push_str(&format!(" and {} more", all.len() - NAMED_MAX));
    }
    text
}

/// The runbook of a cause, as a path in the repository's `docs`.
pub fn runbook(code: &str) -> &'static str {
    match code {
        "identity_conflict" | "event_type_contradicted" | "message_incomplete" => "runbooks/conflict.md",
        "bundle_key_unknown" | "bundle_unsigned" | "bundle_signature_invalid" => {
            "runbooks/rotate-a-key.md#the-key-that-signs-mappers"
        }
        "bundle_incompatible" | "module_refused" => "runbooks/upgrade-wasmtime.md",
        "mapper_trapped" | "mapper_out_of_fuel" | "mapper_out_of_memory" | "mapper_stack_overflow" => {
            "runbooks/roll-back-a-mapper.md"
        }
        _ => "runbooks/redrive.md",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::testing::quarantine_row;

    fn group(rows: &[QuarantineRow]) -> Group {
        sluice_core::quarantine::groups(rows, &BTreeMap::new()).remove(0)
    }

    #[test]
    fn the_cause_is_said_in_a_sentence() {
        let row = quarantine_row("OPEN", 1);
        assert_eq!(
            sentence(&group(std::slice::from_ref(&row)), Some(&row.cause)),
            "1 event of vendorA (inventory_update) waits: the payload has 1 fault; /qty: must be of type \
             integer, not string"
        );
        let rows: Vec<QuarantineRow> = (0..5)
            .map(|number| {
                let mut row = quarantine_row("RELEASED", 1);
                row.vendor_id = format!("vendor{number}").parse().unwrap();
                row
            })
            .collect();
        assert_eq!(
            sentence(&group(&rows), None),
            "5 events of vendor0, vendor1, vendor2 and 2 more (inventory_update) were quarantined: the payload \
             has 1 fault"
        );
    }

    #[test]
    fn an_example_is_compared_with_what_was_good() {
        let mut comparison = Comparison {
            example: "01KAJ3Y3R00000000000000001".parse().unwrap(),
            good: None,
            looked_at: 3,
            differences: Vec::new(),
            truncated: false,
            problem: None,
        };
        comparison.compare(Ok(json!({"qty": 1})), Ok(json!({"quantity": 1})));
        let pointers: Vec<&str> =
            comparison.differences.iter().map(|difference| difference.pointer.as_str()).collect();
        assert_eq!(pointers, ["/qty", "/quantity"]);

        let many: Value = (0..300).map(|number| (format!("m{number}"), json!(1))).collect();
        comparison.compare(Ok(json!({})), Ok(many));
        assert_eq!((comparison.differences.len(), comparison.truncated), (DIFFERENCES_MAX, true));

        comparison.compare(Ok(json!({})), Err("the payload is no JSON".into()));
        assert_eq!(comparison.problem.as_deref(), Some("the example: the payload is no JSON"));
    }

    #[test]
    fn every_cause_has_a_runbook_that_is_there() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for code in sluice_core::Code::ALL {
            let (file, heading) = runbook(code.as_str())
                .split_once('#')
                .map_or((runbook(code.as_str()), None), |(file, heading)| (file, Some(heading)));
            let text = std::fs::read_to_string(docs.join(file)).unwrap();
            let has = |heading: &str| {
                let mut lines = text.lines().filter_map(|line| line.strip_prefix("## "));
                lines.any(|line| line.to_lowercase().replace(' ', "-") == heading)
            };
            assert!(heading.is_none_or(has), "{code}: {file} has no {heading:?}");
        }
        for known in ["identity_conflict", "bundle_key_unknown", "module_refused", "mapper_trapped"] {
            assert!(sluice_core::Code::ALL.iter().any(|code| code.as_str() == known), "{known}");
        }
    }
}

//! The latest events, by the ledger's index by status, with filters.
//!
//! The index has one partition per status and shard, each sorted by time: the newest `limit` of
//! each, merged, are the newest `limit` of all.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::error::fault;
use sluice_aws::ledger::BY_STATUS;
use sluice_core::id::{EventType, ExternalEventId, IngestId, VendorId, rfc3339};
use sluice_core::record::{LedgerRow, Status};
use sluice_core::{Code, Fault};

use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;

/// Partitions read at once.
const READS_AT_ONCE: usize = 8;

/// Which events.
#[derive(Debug, Clone)]
pub struct Filter {
    /// With one of these statuses; empty means any.
    pub statuses: Vec<Status>,
    /// Of this vendor.
    pub vendor: Option<VendorId>,
    /// Of this type of the vendor's.
    pub event_type: Option<EventType>,
    /// With this id of the vendor's.
    pub external_event_id: Option<ExternalEventId>,
    /// Received then or later.
    pub since: Option<Timestamp>,
    /// Received before then.
    pub until: Option<Timestamp>,
    /// Older than this event of an earlier list: its time of receipt and its id.
    pub after: Option<(Timestamp, IngestId)>,
    /// Most events listed.
    pub limit: usize,
    /// Most rows read in each of the index's partitions; `None` reads until enough are found.
    pub scanned_max: Option<usize>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            vendor: None,
            event_type: None,
            external_event_id: None,
            since: None,
            until: None,
            after: None,
            limit: 20,
            scanned_max: None,
        }
    }
}

/// Events, the newest first.
#[derive(Debug, Serialize)]
pub struct EventList {
    /// The events.
    pub events: Vec<Event>,
    /// Whether there are more that the filter lets through, or, where the search was bounded, may
    /// be.
    pub more: bool,
    /// Rows of the ledger that were read, where the filter bounds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanned: Option<usize>,
}

/// One event of a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id.
    pub ingest_id: IngestId,
    /// Who sent it.
    pub vendor_id: String,
    /// The vendor's id of it.
    pub external_event_id: String,
    /// The vendor's id of the delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The vendor's type.
    pub event_type: String,
    /// The version of the vendor's schema.
    pub schema_version: String,
    /// Where it is.
    pub status: Status,
    /// When it happened, as the vendor says.
    #[serde(serialize_with = "millis")]
    pub occurred_at: Timestamp,
    /// When it was accepted.
    #[serde(serialize_with = "millis")]
    pub received_at: Timestamp,
    /// When its row last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: Timestamp,
    /// The canonical type of its document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_type: Option<String>,
    /// Why it has nothing to state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<CauseNote>,
    /// Why it is in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseNote>,
}

/// A code and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CauseNote {
    /// The code.
    pub code: String,
    /// The words.
    pub message: String,
}

impl From<LedgerRow> for Event {
    fn from(row: LedgerRow) -> Self {
        let quarantined = row.status == Status::Quarantined;
        Self {
            ingest_id: row.ingest_id,
            vendor_id: row.key.vendor_id.into(),
            external_event_id: row.key.external_event_id.into(),
            delivery_id: row.delivery_id,
            event_type: row.event_type.into(),
            schema_version: row.schema_version.into(),
            status: row.status,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            updated_at: row.updated_at,
            canonical_type: row.normalized.map(|normalized| normalized.event_type.into()),
            nothing: row.nothing.map(|nothing| CauseNote { code: nothing.code, message: nothing.message }),
            // The note stays in the ledger after a release; then it is history.
            cause: row
                .quarantine
                .filter(|_| quarantined)
                .map(|note| CauseNote { code: note.code, message: note.message }),
        }
    }
}

/// Lists the latest events that the filter lets through.
///
/// # Errors
/// When the ledger does not answer, or has a row that is none.
pub async fn list(cloud: &Cloud, filter: &Filter) -> Result<EventList, OpsError> {
    let read = rows(cloud, filter).await?;
    let mut list = merged(read.rows, filter.limit);
    list.more |= read.cut;
    list.scanned = filter.scanned_max.map(|_| read.scanned);
    Ok(list)
}

/// What was read for a list.
#[derive(Debug)]
pub(crate) struct Read {
    /// Of each partition, the newest first.
    pub(crate) rows: Vec<Vec<LedgerRow>>,
    /// Rows read, those that the filter held back among them.
    pub(crate) scanned: usize,
    /// A partition was left before its end and before enough was found.
    pub(crate) cut: bool,
}

pub(crate) async fn rows(cloud: &Cloud, filter: &Filter) -> Result<Read, OpsError> {
    let statuses = Status::ALL
        .into_iter()
        .filter(|status| filter.statuses.is_empty() || filter.statuses.contains(status));
    let client = cloud.dynamodb();
    let table = cloud.names().ledger.as_str();
    let shards: Vec<String> = statuses.flat_map(Status::shards).collect();
    let reads = shards.into_iter().map(|shard| newest(&client, table, shard, filter));
    let parts: Vec<Part> = futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;
    Ok(Read {
        scanned: parts.iter().map(|part| part.scanned).sum(),
        cut: parts.iter().any(|part| part.cut),
        rows: parts.into_iter().map(|part| part.rows).collect(),
    })
}

/// The newest `limit` rows of several partitions.
pub fn merged(rows: Vec<Vec<LedgerRow>>, limit: usize) -> EventList {
    let mut unique = newest_first(rows);
    let more = unique.len() > limit;
    unique.truncate(limit);
    EventList { events: unique.into_iter().map(Event::from).collect(), more, scanned: None }
}

/// The rows of several partitions, each event once, the newest first.
pub(crate) fn newest_first(rows: Vec<Vec<LedgerRow>>) -> Vec<LedgerRow> {
    let mut rows: Vec<LedgerRow> = rows.into_iter().flatten().collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.received_at, row.ingest_id)));
    // A row whose status changes between two reads is in both answers: the later state holds.
    let mut seen = HashMap::new();
    let mut unique: Vec<LedgerRow> = Vec::with_capacity(rows.len());
    for row in rows {
        match seen.get(&row.ingest_id).copied() {
            None => {
                seen.insert(row.ingest_id, unique.len());
                unique.push(row);
            }
            Some(index) => {
                let held: &mut LedgerRow = &mut unique[index];
                if row.updated_at > held.updated_at {
                    *held = row;
                }
            }
        }
    }
    unique
}

/// What one partition has.
#[derive(Debug, Default)]
struct Part {
    rows: Vec<LedgerRow>,
    scanned: usize,
    cut: bool,
}

/// The conditions of one partition's query.
#[derive(Debug, PartialEq, Eq)]
struct Conditions {
    key: String,
    filter: Option<String>,
    values: Vec<(&'static str, String)>,
}

impl Conditions {
    fn new(shard: String, filter: &Filter) -> Self {
        let mut values = vec![(":shard", shard)];
        // A time that is excluded here is excluded again below: the index has the time only, not
        // the id.
        let until = match (filter.until, filter.after) {
            (Some(until), Some((after, _))) => Some(until.min(after)),
            (until, after) => until.or(after.map(|(after, _)| after)),
        };
        let since = filter.since.map(|since| until.map_or(since, |until| since.min(until)));
        let range = match (since, until) {
            (None, None) => "",
            (Some(_), None) => " AND receivedAt >= :since",
            (None, Some(_)) => " AND receivedAt <= :until",
            (Some(_), Some(_)) => " AND receivedAt BETWEEN :since AND :until",
        };
        values.extend(since.map(|since| (":since", rfc3339(since))));
        values.extend(until.map(|until| (":until", rfc3339(until))));
        let mut filters = Vec::new();
        let members: [(_, _, Option<&str>); 3] = [
            ("vendorId = :vendor", ":vendor", filter.vendor.as_ref().map(VendorId::as_str)),
            ("eventType = :type", ":type", filter.event_type.as_ref().map(EventType::as_str)),
            (
                "externalEventId = :external",
                ":external",
                filter.external_event_id.as_ref().map(ExternalEventId::as_str),
            ),
        ];
        for (condition, name, value) in members {
            if let Some(value) = value {
                filters.push(condition);
                values.push((name, value.to_owned()));
            }
        }
        Self {
            key: format!("statusShard = :shard{range}"),
            filter: (!filters.is_empty()).then(|| filters.join(" AND ")),
            values,
        }
    }
}

/// Whether a row is in the range of time, which the index's condition tells to the millisecond
/// only.
fn is_in_range(row: &LedgerRow, filter: &Filter) -> bool {
    filter.since.is_none_or(|since| row.received_at >= since)
        && filter.until.is_none_or(|until| row.received_at < until)
        && filter.after.is_none_or(|after| (row.received_at, row.ingest_id) < after)
}

/// The newest rows of one partition.
async fn newest(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    shard: String,
    filter: &Filter,
) -> Result<Part, Fault> {
    // One more than asked for tells whether there are more.
    let wanted = filter.limit.saturating_add(1);
    if filter.since.zip(filter.until).is_some_and(|(since, until)| since >= until) {
        // DynamoDB refuses a range that is none.
        return Ok(Part::default());
    }
    let conditions = Conditions::new(shard, filter);
    let mut part = Part::default();
    let mut from: Option<HashMap<String, AttributeValue>> = None;
    loop {
        let mut request = client
            .query()
            .table_name(table)
            .index_name(BY_STATUS)
            .scan_index_forward(false)
            .key_condition_expression(&conditions.key)
            .set_filter_expression(conditions.filter.clone())
            .set_exclusive_start_key(from);
        for (name, value) in &conditions.values {
            request = request.expression_attribute_values(*name, AttributeValue::S(value.clone()));
        }
        // Without a filter, what is read is what is listed.
        let enough = conditions.filter.is_none().then(|| wanted - part.rows.len());
        let bound = filter.scanned_max.map(|most| most.saturating_sub(part.scanned).max(1));
        let page = [enough, bound].into_iter().flatten().min();
        let page = page.map(|page| i32::try_from(page).unwrap_or(i32::MAX));
        let answer = request
            .set_limit(page)
            .send()
            .await
            .map_err(|error| fault("list the ledger by status", error))?;
        part.scanned += usize::try_from(answer.scanned_count).unwrap_or_default();
        for item in answer.items.unwrap_or_default() {
            let row: LedgerRow = serde_dynamo::from_item(item).map_err(|error| {
                Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                    .with_source(error)
            })?;
            if is_in_range(&row, filter) {
                part.rows.push(row);
            }
        }
        from = answer.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() || part.rows.len() >= wanted {
            part.rows.truncate(wanted);
            return Ok(part);
        }
        if filter.scanned_max.is_some_and(|most| part.scanned >= most) {
            part.cut = true;
            return Ok(part);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::testing::ledger_row;

    fn row(id: u8, status: &str, received_at: &str) -> LedgerRow {
        let mut row = ledger_row(status);
        row.ingest_id = format!("01KAJ3Y3R0000000000000000{id}").parse().unwrap();
        row.received_at = received_at.parse().unwrap();
        row.updated_at = row.received_at;
        row
    }

    #[test]
    fn an_event_that_moves_between_two_reads_is_listed_once_as_it_is_later() {
        let before = row(1, "RECEIVED", "2026-11-21T09:00:01Z");
        let mut after = row(1, "NORMALIZED", "2026-11-21T09:00:01Z");
        after.updated_at = "2026-11-21T09:00:02Z".parse().unwrap();
        for rows in [vec![vec![before.clone()], vec![after.clone()]], vec![vec![after], vec![before]]] {
            let list = merged(rows, 10);
            assert_eq!(list.events.len(), 1);
            assert_eq!(list.events[0].status, Status::Normalized);
        }
    }

    #[test]
    fn a_filter_becomes_the_conditions_of_a_query() {
        let plain = Conditions::new("RECEIVED#1".into(), &Filter::default());
        assert_eq!((plain.key.as_str(), plain.filter), ("statusShard = :shard", None));
        let at: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let filter = Filter {
            vendor: Some("vendorA".parse().unwrap()),
            event_type: Some("inventory_update".parse().unwrap()),
            external_event_id: Some("evt-1".parse().unwrap()),
            since: Some(at),
            until: Some("2026-11-21T11:00:00Z".parse().unwrap()),
            after: Some((
                "2026-11-21T10:00:00Z".parse().unwrap(),
                "01KAJ3Y3R00000000000000002".parse().unwrap(),
            )),
            ..Filter::default()
        };
        let conditions = Conditions::new("RECEIVED#1".into(), &filter);
        assert_eq!(conditions.key, "statusShard = :shard AND receivedAt BETWEEN :since AND :until");
        assert_eq!(
            conditions.filter.as_deref(),
            Some("vendorId = :vendor AND eventType = :type AND externalEventId = :external")
        );
        let until = conditions.values.iter().find(|(name, _)| *name == ":until").unwrap();
        assert_eq!(until.1, "2026-11-21T10:00:00.000Z", "the earlier of the two ends");
        assert_eq!(conditions.values.len(), 6);
    }

    #[test]
    fn the_next_page_begins_after_the_last_event_of_this() {
        let last = row(2, "RECEIVED", "2026-11-21T09:00:02Z");
        let filter = Filter { after: Some((last.received_at, last.ingest_id)), ..Filter::default() };
        assert!(!is_in_range(&last, &filter));
        assert!(is_in_range(&row(1, "RECEIVED", "2026-11-21T09:00:02Z"), &filter), "same time, lower id");
        assert!(!is_in_range(&row(3, "RECEIVED", "2026-11-21T09:00:02Z"), &filter));
        let until = Filter { until: Some(last.received_at), ..Filter::default() };
        assert!(!is_in_range(&last, &until), "the end is not included");
    }
}

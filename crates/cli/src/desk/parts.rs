//! Parts of the console's documents that more than one page has, or that join several use cases.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_console::ops::Failure;
use sluice_core::id::{EventType, IngestId, VendorId};
use sluice_core::port::MapperPointers as _;
use sluice_core::quarantine::{Group, groups as grouped};
use sluice_core::record::{QuarantineRow, QuarantineStatus};
use sluice_mapper_host::Host;
use sluice_ops::cloud::Cloud;
use sluice_ops::error::OpsError;
use sluice_ops::operations::OperationId;
use sluice_ops::payload::Member;
use sluice_ops::search::{Search, by_member};
use sluice_ops::{events, people};

use super::{document, failure, part};

/// Hours of a group's sparkline.
const SPARK_HOURS: i64 = 24;

/// Stored requests that a search by a payload's member reads.
const MEMBERS_READ_MAX: usize = 300;

/// Operations read at once.
const READ_AT_ONCE: usize = 8;

/// Operations whose acts are in the audit.
const OPERATIONS_MAX: usize = 100;

/// Acts of the audit.
const ACTS_MAX: usize = 500;

/// The first page's document: that of `sluice-ops`, and the balance counted over all events. Both
/// at once.
pub(super) async fn overview(cloud: &Cloud) -> Result<Value, Failure> {
    let counted_at = sluice_core::id::rfc3339(Timestamp::now());
    let balance = async {
        let balance = sluice_ops::balance::count(cloud, None, &()).await?;
        Ok(
            json!({"accepted": balance.accepted, "normalized": balance.normalized, "nothingToState": balance.nothing_to_state,
            "quarantined": balance.quarantined, "held": balance.held, "inFlight": balance.in_flight, "unaccounted": balance.difference, "countedAt": counted_at}),
        )
    };
    let (overview, balance) =
        tokio::join!(sluice_ops::overview::read(cloud, sluice_ops::overview::HOURS_DEFAULT), part(balance));
    let mut document = document(overview)?;
    document["balance"] = balance;
    Ok(document)
}

/// Groups, each with its failures by hour.
pub(super) async fn groups(cloud: &Cloud, all: bool) -> Result<Value, OpsError> {
    let status = (!all).then_some(QuarantineStatus::Open);
    let rows = cloud.quarantine().list(None, status).await?;
    let mut by_group: BTreeMap<&str, Vec<&QuarantineRow>> = BTreeMap::new();
    for row in &rows {
        by_group.entry(&row.fingerprint).or_default().push(row);
    }
    let mut notes = BTreeMap::new();
    for fingerprint in by_group.keys() {
        if let Some(note) = cloud.quarantine().note(fingerprint).await? {
            notes.insert((*fingerprint).to_owned(), note);
        }
    }
    let now = Timestamp::now();
    let listed: Vec<Group> = grouped(&rows, &notes);
    let mut values = Vec::with_capacity(listed.len());
    for group in listed {
        let hours = by_group.get(group.fingerprint.as_str()).map(|rows| by_hour(rows.iter().copied(), now));
        let mut value = serde_json::to_value(&group).map_err(|error| OpsError::Failed(error.to_string()))?;
        value["byHour"] = json!(hours);
        values.push(value);
    }
    Ok(json!({ "groups": values }))
}

/// First failures by hour of the last day, oldest first.
pub(super) fn by_hour<'a>(rows: impl Iterator<Item = &'a QuarantineRow>, now: Timestamp) -> Vec<u64> {
    let mut hours = vec![0_u64; usize::try_from(SPARK_HOURS).unwrap_or_default()];
    for row in rows {
        let back = now.duration_since(row.first_seen_at).as_secs().div_euclid(3_600);
        let place = usize::try_from(SPARK_HOURS - 1 - back).ok();
        if let Some(hour) = place.and_then(|place| hours.get_mut(place)) {
            *hour += 1;
        }
    }
    hours
}

/// Active mappers, of one vendor or of all.
pub(super) async fn mappers(cloud: &Cloud, of: Option<&VendorId>) -> Result<Vec<Value>, OpsError> {
    let listed = sluice_ops::mappers::list(cloud).await?.mappers;
    let wanted = listed.into_iter().filter(|mapper| of.is_none_or(|vendor| mapper.vendor_id == *vendor));
    wanted
        .map(|mapper| serde_json::to_value(mapper).map_err(|error| OpsError::Failed(error.to_string())))
        .collect()
}

/// Bundles that were active or tried and are not now: what may be promoted without typing a digest.
pub(super) async fn candidates(
    cloud: &Cloud,
    vendor: &VendorId,
    event_type: &EventType,
) -> Result<Vec<Value>, OpsError> {
    let vendors = cloud.vendors();
    let active = vendors.current(vendor, event_type).await?.map(|pointer| pointer.bundle);
    let changes = vendors.history(vendor, Some(event_type)).await?;
    let mut seen = BTreeSet::new();
    let bundles =
        changes.into_iter().rev().map(|change| change.to).filter(|bundle| Some(bundle) != active.as_ref());
    Ok(bundles
        .filter(|bundle| seen.insert(bundle.clone()))
        .map(|bundle| json!({ "bundle": bundle }))
        .collect())
}

/// One mapper: what is active, what is tried, what was.
pub(super) async fn mapper(
    cloud: &Cloud,
    vendor: &VendorId,
    event_type: &EventType,
) -> Result<Value, Failure> {
    let history = sluice_ops::mappers::history(cloud, vendor, Some(event_type))
        .await
        .map_err(|error| failure(&error))?;
    let active = mappers(cloud, Some(vendor)).await.map_err(|error| failure(&error))?;
    let active = active.into_iter().find(|mapper| mapper["eventType"] == json!(event_type));
    let mut answer = document(history)?;
    answer["vendorId"] = json!(vendor);
    answer["eventType"] = json!(event_type);
    answer["active"] = json!(active);
    answer["candidates"] = part(candidates(cloud, vendor, event_type)).await;
    Ok(answer)
}

/// The events of a filter whose stored request has a member with a value; a bounded number of
/// requests is read, and it is said how many.
pub(super) async fn with_member(cloud: &Cloud, filter: events::Filter, text: &str) -> Result<Value, Failure> {
    let (member, value) = match text.split_once('=') {
        Some((member, value)) => (member, Some(value.to_owned())),
        None => (text, None),
    };
    let member = Member::parse(member).map_err(|error| Failure::new("invalid", error))?;
    let search = Search { filter, member, value, looked_at_max: MEMBERS_READ_MAX };
    super::whole(by_member(cloud, &search)).await
}

/// What a candidate would do to the stored events of the last seven days.
pub(super) async fn shadow(
    cloud: &Cloud,
    vendor: &VendorId,
    event_type: &EventType,
    candidate: &str,
) -> Result<Value, Failure> {
    let run = async {
        let host = Host::new().map_err(OpsError::from)?;
        let digest = sluice_ops::bundles::resolve(&cloud.bundles(), candidate).await?;
        let side = sluice_ops::shadow::published(cloud, &host, &digest).await?;
        let mut options = sluice_ops::shadow::Options::new(vendor.clone(), Timestamp::now());
        options.event_type = Some(event_type.clone());
        sluice_ops::shadow::run(cloud, &host, side, &options, &()).await
    };
    super::whole(run).await
}

/// Where each member of an event's canonical events comes from.
pub(super) async fn trace(cloud: &Cloud, id: IngestId) -> Result<Value, Failure> {
    let host = Host::new().map_err(|error| failure(&error.into()))?;
    super::whole(sluice_ops::trace::event(cloud, &host, id, None)).await
}

/// What is known of the active mapper from its fixtures.
pub(super) async fn lineage(
    cloud: &Cloud,
    vendor: &VendorId,
    event_type: &EventType,
) -> Result<Value, Failure> {
    let run = async {
        let host = Host::new().map_err(OpsError::from)?;
        let active =
            cloud.vendors().current(vendor, event_type).await?.ok_or_else(|| {
                OpsError::not_found(format!("no mapper is active for {vendor} {event_type}"))
            })?;
        sluice_ops::trace::published(cloud, &host, &active.bundle, None).await
    };
    super::whole(run).await
}

/// An event as a case.
pub(super) async fn case(cloud: &Cloud, id: IngestId) -> Result<Bytes, OpsError> {
    let host = Host::new().map_err(OpsError::from)?;
    Ok(sluice_ops::case::export(cloud, &host, id, None).await?.bytes.into())
}

/// All operations, newest first.
pub(super) async fn operations(cloud: &Cloud) -> Result<Value, Failure> {
    super::whole(sluice_ops::operations::list(cloud, None, super::ROWS_MAX)).await
}

/// One of them.
pub(super) async fn operation(cloud: &Cloud, id: &str) -> Result<Value, Failure> {
    let id = id.parse::<OperationId>().map_err(|error| Failure::new("invalid", format!("{error}")))?;
    super::whole(sluice_ops::operations::show(cloud, id, false)).await
}

/// Who did what: the acts on vendors, mappers, quarantine and conflicts, joined with those on
/// operations, newest first. What cannot be
/// read of one of them is said.
pub(super) async fn audit(cloud: &Cloud, by: Option<&str>) -> Result<Value, Failure> {
    let filter = people::Filter { by: by.map(ToOwned::to_owned), on: None, since: None, limit: ACTS_MAX };
    let (others, operations) =
        tokio::join!(super::whole(people::acts(cloud, &filter)), operation_acts(cloud));
    let mut answer = others?;
    let mut acts = answer["acts"].as_array().cloned().unwrap_or_default();
    match operations {
        Ok(operations) => {
            acts.extend(operations.into_iter().filter(|act| by.is_none_or(|by| act["by"] == json!(by))));
        }
        Err(error) => answer["unknown"]["operation"] = json!(failure(&error)),
    }
    acts.sort_by(|a, b| b["at"].as_str().cmp(&a["at"].as_str()));
    acts.truncate(ACTS_MAX);
    answer["acts"] = json!(acts);
    Ok(answer)
}

async fn operation_acts(cloud: &Cloud) -> Result<Vec<Value>, OpsError> {
    let listed = sluice_ops::operations::list(cloud, None, OPERATIONS_MAX).await?;
    let acts = futures::stream::iter(listed.operations)
        .map(|operation| async move {
            let id = operation.operation.operation_id;
            let detail = sluice_ops::operations::show(cloud, id, false).await?;
            Ok::<_, OpsError>(detail.acts.into_iter().map(move |act| {
                json!({"at": sluice_core::id::rfc3339(act.at), "by": act.by, "on": "operation", "subject": id, "what": act.verb, "reason": act.reason})
            }))
        })
        .buffered(READ_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(acts.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn failures_are_counted_by_the_hour_before_now() {
        let now: Timestamp = "2026-11-21T10:30:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let row = |hours: i64| {
            let mut row = sluice_ops::testing::quarantine_row("OPEN", 1);
            row.first_seen_at = now - SignedDuration::from_hours(hours);
            row
        };
        let rows = [row(0), row(0), row(1), row(23), row(24), row(-1)];
        let hours = by_hour(rows.iter(), now);
        assert_eq!((hours.len(), hours[23], hours[22], hours[0]), (24, 2, 1, 1));
        assert_eq!(hours.iter().sum::<u64>(), 4, "older ones, and those of another clock, are not in it");
    }
}

//! What waits for a person, and why: events, groups of what fails alike, and decisions about them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use sluice_core::Fault;
use sluice_core::id::{IngestId, VendorId};
use sluice_core::quarantine::Group;
use sluice_core::record::{QuarantineRow, QuarantineStatus, Resolution, Status};

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::event;

/// How often the row of an event that the ledger calls quarantined is looked for, and the pause
/// between.
const LOOKS_MAX: u32 = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// Notes read at once.
const READS_AT_ONCE: usize = 8;

/// An event or a group of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An event.
    Event(IngestId),
    /// A group's fingerprint.
    Group(String),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if sluice_core::quarantine::is_fingerprint(text) {
            return Ok(Self::Group(text.to_owned()));
        }
        text.parse().map(Self::Event).map_err(|_| {
            "expected an ingestId (26 characters) or a group's fingerprint (16 hexadecimal digits)".to_owned()
        })
    }
}

/// Quarantined events.
#[derive(Debug, Serialize)]
pub struct QuarantineList {
    /// The rows, the last seen first.
    pub quarantine: Vec<QuarantineRow>,
    /// Whether those released and discarded are among them.
    #[serde(skip)]
    pub all: bool,
}

/// Groups of quarantined events.
#[derive(Debug, Serialize)]
pub struct GroupList {
    /// Most open rows first.
    pub groups: Vec<Group>,
}

/// One group and its events.
#[derive(Debug, Serialize)]
pub struct OneGroup {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The events that are open, or if there are none, those of its history.
    pub events: Vec<IngestId>,
}

/// What discarding came to.
#[derive(Debug, Serialize)]
pub struct Discarded {
    /// Discarded now.
    pub discarded: Vec<IngestId>,
    /// Not open any more when it came to it.
    pub skipped: Vec<IngestId>,
    /// Who decided so and why.
    pub resolution: Resolution,
}

/// What acknowledging came to.
#[derive(Debug, Serialize)]
pub struct Acknowledged {
    /// The group.
    pub fingerprint: String,
    /// Its open events.
    pub open: usize,
    /// Who knows, and what.
    pub acknowledged: Resolution,
}

/// A decision of now.
pub fn resolution(by: String, reason: String) -> Resolution {
    Resolution { by, reason, at: Timestamp::now() }
}

async fn read(cloud: &Cloud, vendor: Option<&VendorId>, all: bool) -> Result<Vec<QuarantineRow>, OpsError> {
    let status = (!all).then_some(QuarantineStatus::Open);
    Ok(cloud.quarantine().list(vendor, status).await?)
}

/// Lists quarantined events; with `all` those released or discarded too.
///
/// # Errors
/// When the quarantine does not answer.
pub async fn list(cloud: &Cloud, vendor: Option<&VendorId>, all: bool) -> Result<QuarantineList, OpsError> {
    let mut quarantine = read(cloud, vendor, all).await?;
    quarantine.sort_by_key(|row| std::cmp::Reverse((row.last_seen_at, row.ingest_id)));
    Ok(QuarantineList { quarantine, all })
}

/// Lists groups; with `all` rows that were released or discarded are counted too.
///
/// # Errors
/// When the quarantine does not answer.
pub async fn groups(cloud: &Cloud, vendor: Option<&VendorId>, all: bool) -> Result<GroupList, OpsError> {
    let rows = read(cloud, vendor, all).await?;
    Ok(GroupList { groups: grouped(cloud, &rows).await? })
}

/// One group.
///
/// # Errors
/// When there is no such group, and when the quarantine does not answer.
pub async fn group(cloud: &Cloud, fingerprint: &str) -> Result<OneGroup, OpsError> {
    let rows = rows_of(cloud, fingerprint).await?;
    let group = grouped(cloud, &rows).await?.into_iter().next();
    let group = group.ok_or_else(|| no_group(fingerprint))?;
    Ok(OneGroup { group, events: rows.iter().map(|row| row.ingest_id).collect() })
}

pub(crate) fn no_group(fingerprint: &str) -> OpsError {
    OpsError::not_found(format!("the quarantine has no group {fingerprint}"))
        .with_hint("`sluice quarantine ls --group` lists those that are open, --all the others too")
}

/// The rows of a group: the open ones, or if there are none, those of its history.
pub(crate) async fn rows_of(cloud: &Cloud, fingerprint: &str) -> Result<Vec<QuarantineRow>, OpsError> {
    let open = cloud.quarantine().group(fingerprint).await?;
    if !open.is_empty() {
        return Ok(open);
    }
    let all = cloud.quarantine().list(None, None).await?;
    Ok(all.into_iter().filter(|row| row.fingerprint == fingerprint).collect())
}

pub(crate) async fn grouped(cloud: &Cloud, rows: &[QuarantineRow]) -> Result<Vec<Group>, OpsError> {
    let quarantine = cloud.quarantine();
    // Owned, since a future that borrows them is not `Send` for every lifetime.
    let fingerprints: BTreeSet<String> = rows.iter().map(|row| row.fingerprint.clone()).collect();
    let notes: Vec<(String, Option<Resolution>)> = futures::stream::iter(fingerprints)
        .map(|fingerprint| {
            let quarantine = &quarantine;
            async move {
                let note = quarantine.note(&fingerprint).await?;
                Ok::<_, Fault>((fingerprint, note))
            }
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let notes: BTreeMap<String, Resolution> =
        notes.into_iter().filter_map(|(fingerprint, note)| Some((fingerprint, note?))).collect();
    Ok(sluice_core::quarantine::groups(rows, &notes))
}

/// The rows that a decision about `targets` would concern, each event once.
///
/// # Errors
/// When an event is not in quarantine, a group has nothing open, or the quarantine does not answer.
pub async fn targeted(cloud: &Cloud, targets: &[Target]) -> Result<Vec<QuarantineRow>, OpsError> {
    let quarantine = cloud.quarantine();
    let mut rows = Vec::new();
    for target in targets {
        match target {
            Target::Event(ingest_id) => rows.push(held(cloud, *ingest_id).await?),
            Target::Group(fingerprint) => {
                let group = quarantine.group(fingerprint).await?;
                if group.is_empty() {
                    return Err(no_group(fingerprint));
                }
                rows.extend(group);
            }
        }
    }
    rows.sort_by_key(|row| row.ingest_id);
    rows.dedup_by_key(|row| row.ingest_id);
    Ok(rows)
}

/// Discards events: they are not run again, and are kept with who decided so and why.
///
/// # Errors
/// When the quarantine does not answer.
pub async fn discard(
    cloud: &Cloud,
    rows: &[QuarantineRow],
    resolution: Resolution,
) -> Result<Discarded, OpsError> {
    let quarantine = cloud.quarantine();
    let (mut discarded, mut skipped) = (Vec::new(), Vec::new());
    for row in rows {
        let done = quarantine.discard(&row.vendor_id, row.ingest_id, &resolution).await?;
        if done { &mut discarded } else { &mut skipped }.push(row.ingest_id);
    }
    Ok(Discarded { discarded, skipped, resolution })
}

/// Says that a group is known. It is open again when it comes back after all of it was dealt with.
///
/// # Errors
/// When nothing of the group is open, and when the quarantine does not answer.
pub async fn acknowledge(
    cloud: &Cloud,
    fingerprint: &str,
    acknowledged: Resolution,
) -> Result<Acknowledged, OpsError> {
    let quarantine = cloud.quarantine();
    let open = quarantine.group(fingerprint).await?.len();
    if open == 0 {
        return Err(OpsError::not_found(format!("nothing is open in the group {fingerprint}")));
    }
    quarantine.acknowledge(fingerprint, &acknowledged).await?;
    Ok(Acknowledged { fingerprint: fingerprint.to_owned(), open, acknowledged })
}

/// The quarantine row of an event.
///
/// # Errors
/// When it is not in quarantine, which says whether there is an event at all; when a service does
/// not answer.
pub async fn held(cloud: &Cloud, ingest_id: IngestId) -> Result<QuarantineRow, OpsError> {
    let event = event::find(cloud, ingest_id).await?;
    let quarantine = cloud.quarantine();
    for _ in 0..LOOKS_MAX {
        if let Some(row) = quarantine.find(&event.key.vendor_id, ingest_id).await? {
            return Ok(row);
        }
        // The ledger says so a moment before the quarantine does.
        if event.status != Status::Quarantined {
            break;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Err(OpsError::not_found(format!(
        "the event {ingest_id} is not in quarantine: its status is {}",
        event.status.as_str()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_event_or_a_group() {
        assert_eq!("0123456789abcdef".parse(), Ok(Target::Group("0123456789abcdef".into())));
        assert!(matches!("01KAJ3Y3R00000000000000001".parse(), Ok(Target::Event(_))));
        assert!("0123456789ABCDEF".parse::<Target>().is_err_and(|error| error.contains("fingerprint")));
    }
}

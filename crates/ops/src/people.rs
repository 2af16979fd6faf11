//! Who did what: acts on mappers, vendors, quarantined events and conflicts in one list, by person.
//!
//! Each kind of act is recorded where it was done; this joins the records. A source that does not
//! answer is named in the document, and the rest is shown.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::vendors::VendorChange;
use sluice_core::bundle::MapperChange;
use sluice_core::id::VendorId;
use sluice_core::port::MapperPointers as _;
use sluice_core::record::{QuarantineRow, Resolution};

use crate::cloud::Cloud;
use crate::conflicts::{Conflict, ConflictList};
use crate::document::millis;
use crate::error::{OpsError, Unknown};
use crate::{conflicts, quarantine};

/// Reads at once.
const READS_AT_ONCE: usize = 8;

/// What was acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// A vendor's profile, keys and secrets.
    Vendor,
    /// Which bundle maps a vendor's messages.
    Mapper,
    /// Quarantined events and their groups.
    Quarantine,
    /// Conflicts and events that are held.
    Conflict,
}

impl On {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vendor, Self::Mapper, Self::Quarantine, Self::Conflict];
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// When.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// On what kind of thing.
    pub on: On,
    /// On which.
    pub subject: String,
    /// What was done.
    pub what: String,
    /// Why, where a reason is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Acts, the latest first.
#[derive(Debug, Serialize)]
pub struct Acts {
    /// The acts.
    pub acts: Vec<Act>,
    /// How many acts of each person there are, of those that the filter lets through.
    pub people: BTreeMap<String, usize>,
    /// There are more than are listed.
    pub more: bool,
    /// What could not be read: acts on these are missing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<On, Unknown>,
}

/// Which acts.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of this person.
    pub by: Option<String>,
    /// On this kind of thing.
    pub on: Option<On>,
    /// Then or later.
    pub since: Option<Timestamp>,
    /// Most acts listed.
    pub limit: usize,
}

/// Lists acts. It fails only if no source answers at all: the document names those that do not.
///
/// # Errors
/// The first failure, if every source that was asked failed.
pub async fn acts(cloud: &Cloud, filter: &Filter) -> Result<Acts, OpsError> {
    let (vendors, mappers, held, conflicts) =
        tokio::join!(vendor_acts(cloud), mapper_acts(cloud), quarantine_acts(cloud), conflict_acts(cloud));
    let mut unknown = BTreeMap::new();
    let mut acts = Vec::new();
    let mut first = None;
    let wanted = |on: On| filter.on.is_none_or(|only| only == on);
    let mut asked = 0;
    for (on, found) in On::ALL.into_iter().zip([vendors, mappers, held, conflicts]) {
        if !wanted(on) {
            continue;
        }
        asked += 1;
        match found {
            Ok(found) => acts.extend(found),
            Err(error) => {
                unknown.insert(on, Unknown::from(&error));
                first = first.or(Some(error));
            }
        }
    }
    match first {
        Some(error) if unknown.len() == asked => Err(error),
        _ => Ok(listed(acts, filter, unknown)),
    }
}

fn listed(mut acts: Vec<Act>, filter: &Filter, unknown: BTreeMap<On, Unknown>) -> Acts {
    acts.retain(|act| filter.since.is_none_or(|since| act.at >= since));
    let mut people: BTreeMap<String, usize> = BTreeMap::new();
    for act in &acts {
        *people.entry(act.by.clone()).or_default() += 1;
    }
    acts.retain(|act| filter.by.as_ref().is_none_or(|by| act.by == *by));
    acts.sort_by(|a, b| (b.at, a.on, &a.subject, &a.what).cmp(&(a.at, b.on, &b.subject, &b.what)));
    let more = acts.len() > filter.limit;
    acts.truncate(filter.limit);
    Acts { acts, people, more, unknown }
}

async fn vendor_acts(cloud: &Cloud) -> Result<Vec<Act>, OpsError> {
    let vendors = cloud.vendors();
    let found: Vec<Vec<Act>> = futures::stream::iter(vendors.list().await?)
        .map(|profile| {
            let vendors = &vendors;
            async move {
                let changes = vendors.changes(&profile.vendor_id).await?;
                let acts = changes.into_iter().map(|change| of_vendor(&profile.vendor_id, change));
                Ok::<_, OpsError>(acts.collect())
            }
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

fn of_vendor(vendor_id: &VendorId, change: VendorChange) -> Act {
    Act {
        at: change.at,
        by: person(change.by),
        on: On::Vendor,
        subject: vendor_id.to_string(),
        what: change.what,
        reason: None,
    }
}

/// Registering asks for no name.
fn person(by: String) -> String {
    if by.is_empty() { "unknown".to_owned() } else { by }
}

async fn mapper_acts(cloud: &Cloud) -> Result<Vec<Act>, OpsError> {
    let vendors = cloud.vendors();
    let mut ids: Vec<VendorId> = vendors.list().await?.into_iter().map(|profile| profile.vendor_id).collect();
    ids.extend(vendors.list_mappers().await?.into_iter().map(|active| active.contract.vendor_id));
    ids.sort();
    ids.dedup();
    let found: Vec<Vec<MapperChange>> = futures::stream::iter(ids)
        .map(|id| {
            let vendors = &vendors;
            async move { vendors.history(&id, None).await }
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().map(of_mapper).collect())
}

fn of_mapper(change: MapperChange) -> Act {
    let forced = change.forced.as_ref().map(|forced| format!(", overruling: {forced}")).unwrap_or_default();
    Act {
        at: change.at,
        by: person(change.by),
        on: On::Mapper,
        subject: format!("{} {}", change.vendor_id, change.event_type),
        what: format!("{} to {}…{forced}", change.kind.as_str(), &change.to.as_str()[..12]),
        reason: Some(change.reason),
    }
}

async fn quarantine_acts(cloud: &Cloud) -> Result<Vec<Act>, OpsError> {
    let rows = cloud.quarantine().list(None, None).await?;
    let groups = quarantine::grouped(cloud, &rows).await?;
    let known = groups.into_iter().filter_map(|group| {
        let fingerprint = group.fingerprint;
        group.acknowledged.map(|note| of_decision(note, format!("group {fingerprint}"), "acknowledged"))
    });
    Ok(known.chain(rows.into_iter().filter_map(of_row)).collect())
}

fn of_row(row: QuarantineRow) -> Option<Act> {
    let resolution = row.resolution?;
    Some(of_decision(resolution, row.ingest_id.to_string(), "discarded"))
}

fn of_decision(decision: Resolution, subject: String, what: &str) -> Act {
    Act {
        at: decision.at,
        by: person(decision.by),
        on: On::Quarantine,
        subject,
        what: what.to_owned(),
        reason: Some(decision.reason),
    }
}

async fn conflict_acts(cloud: &Cloud) -> Result<Vec<Act>, OpsError> {
    let ConflictList { conflicts, .. } = conflicts::list(cloud, None, true, usize::MAX).await?;
    Ok(conflicts.into_iter().filter_map(of_conflict).collect())
}

fn of_conflict(conflict: Conflict) -> Option<Act> {
    let accepted = conflict.accepted?;
    let subject = match conflict.ingest_id {
        Some(id) => id.to_string(),
        None => format!("{} {}", conflict.vendor_id, conflict.external_event_id),
    };
    Some(Act { on: On::Conflict, ..of_decision(accepted, subject, "accepted") })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::testing::quarantine_row;

    fn act(at: &str, by: &str, on: On) -> Act {
        Act {
            at: at.parse().unwrap(),
            by: by.into(),
            on,
            subject: "s".into(),
            what: "w".into(),
            reason: None,
        }
    }

    #[test]
    fn acts_are_listed_by_time_and_counted_by_person() {
        let acts = || {
            vec![
                act("2026-11-21T09:00:00Z", "ada", On::Vendor),
                act("2026-11-21T10:00:00Z", "bob", On::Mapper),
                act("2026-11-21T11:00:00Z", "ada", On::Quarantine),
            ]
        };
        let filter = || Filter { by: None, on: None, since: None, limit: 2 };
        let all = listed(acts(), &filter(), BTreeMap::new());
        assert_eq!((all.acts[0].on, all.acts.len(), all.more), (On::Quarantine, 2, true));
        assert_eq!(all.people, BTreeMap::from([("ada".to_owned(), 2), ("bob".to_owned(), 1)]));
        let hers = listed(acts(), &Filter { by: Some("ada".into()), ..filter() }, BTreeMap::new());
        assert!(hers.acts.iter().all(|act| act.by == "ada") && !hers.more);
        assert_eq!(hers.people.len(), 2, "others are still there to be chosen");
        let since = Some("2026-11-21T10:30:00Z".parse().unwrap());
        let late = listed(acts(), &Filter { since, ..filter() }, BTreeMap::new());
        assert_eq!((late.acts.len(), late.people.len()), (1, 1));
    }

    #[test]
    fn a_source_that_is_away_is_named() {
        let unknown = BTreeMap::from([(On::Mapper, Unknown::from(&OpsError::Failed("away".into())))]);
        let filter = Filter { by: None, on: None, since: None, limit: 2 };
        let document = serde_json::to_value(listed(Vec::new(), &filter, unknown)).unwrap();
        assert_eq!(document["unknown"]["mapper"]["message"], "away");
    }

    #[test]
    fn what_was_discarded_says_who_and_why() {
        let mut row = quarantine_row("DISCARDED", 1);
        assert!(of_row(row.clone()).is_none());
        row.resolution = Some(Resolution {
            by: String::new(),
            reason: "a test".into(),
            at: "2026-11-21T10:00:00Z".parse().unwrap(),
        });
        let act = of_row(row).unwrap();
        assert_eq!(
            (act.by.as_str(), act.what.as_str(), act.reason.as_deref()),
            ("unknown", "discarded", Some("a test"))
        );
    }
}

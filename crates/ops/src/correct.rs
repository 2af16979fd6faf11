//! Corrections: a mapper was silently wrong for a while, and what was told with it is told rightly.
//!
//! [`examine`] maps the events of a window with a candidate, compares with the documents that were told, and writes nothing.
//! [`plan`] freezes exactly the events whose document differs, each with both digests, as an operation that `normalize` carries out
//! event by event ([`sluice_core::record::Correction`]): where the old document holds the new one takes its place and
//! `event.corrected` is told; an event that came to something else meanwhile is left as it is. Events that wait in quarantine are
//! no part of it: nothing wrong was told of them, and a redrive runs them with the mapper that is active then.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::clock::SystemClock;
use sluice_core::canonical::count;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, ObjectRef, OperationId, VendorId, rfc3339};
use sluice_core::operation::{Item, Kind, PlanGroup, ReplayItem, Work};
use sluice_core::port::{Clock as _, RawStore as _};
use sluice_core::record::{Correction, EventDetail, LedgerRow, Status};
use sluice_core::state::{Contribution, Entity, contributions};
use sluice_core::{Class, Code, Fault};
use sluice_mapping::{Bundle, Message, Outcome, execute, finish};

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::operations::{self, Planned, Set, Settings};
use crate::progress::Progress;
use crate::replay::{Selection, Window, rows::Rows, write_batches};
use crate::shadow::{CauseTally, Causes, Changed, FieldTally, GROUPS_MAX, Side, SideName, jobs_default};

/// Most events that one operation corrects.
pub const EVENTS_MAX: usize = 200_000;

/// Objects fetched at once.
const FETCHES_AT_ONCE: usize = 64;
/// Events that a thread maps at a time.
const CHUNK_EVENTS: usize = 64;
/// Events of a batch, by those that are normalized at once.
const BATCH_FOLD: usize = 20;

/// What a correction would do, or does.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose events.
    pub vendor_id: VendorId,
    /// Of which type.
    pub event_type: EventType,
    /// Received when.
    pub window: Window,
    /// What would have mapped them rightly.
    pub candidate: SideName,
    /// Events in the window.
    pub events: u64,
    /// The candidate makes the very document that was told.
    pub same: u64,
    /// The candidate makes another: these are corrected, and `event.corrected` is told once for each. By member, with both values.
    pub corrected: Changed,
    /// What canonical state is told anew.
    pub entities: Entities,
    /// The candidate fails, so they keep the document that was told.
    pub kept: Causes,
    /// Neither the message nor the document could be read, so they keep the document that was told.
    pub unreadable: Causes,
    /// In quarantine: nothing was told of them, so there is nothing to correct.
    pub quarantined: u64,
}

/// Entities of canonical state whose statements differ.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entities {
    /// How many.
    pub total: u64,
    /// Those with the most events.
    pub largest: Vec<EntityEvents>,
}

/// An entity and how often it is spoken of.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityEvents {
    /// Its key.
    pub entity: Entity,
    /// Corrected events that speak of it.
    pub events: u64,
}

/// An event whose document differs.
struct Wrong {
    row: LedgerRow,
    old_sha256: Sha256Hex,
    new_sha256: Sha256Hex,
}

/// A report, and what it would take to act on it.
pub struct Examined {
    /// For people.
    pub report: Report,
    wrong: Vec<Wrong>,
}

impl std::fmt::Debug for Examined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examined").field("report", &self.report).finish_non_exhaustive()
    }
}

/// What a candidate makes of an event.
enum Made {
    Same,
    Other(Bytes),
    Fails(Fault),
    Unreadable(Fault),
}

/// Compares what was told of a vendor's events with what a candidate makes of them. Writes nothing.
///
/// # Errors
/// A candidate of another vendor, more than [`EVENTS_MAX`] events to correct, and a service that is away; never what an event or a
/// mapper does, which is in the report.
pub async fn examine(
    cloud: &Cloud,
    vendor_id: &VendorId,
    window: Window,
    candidate: &Side,
    progress: &dyn Progress,
) -> Result<Examined, OpsError> {
    let contract = &candidate.bundle.contract;
    if contract.vendor_id != *vendor_id {
        return Err(OpsError::invalid(format!(
            "the candidate maps messages of {}, not of {vendor_id}",
            contract.vendor_id
        )));
    }
    let selection = Selection {
        vendor: Some(vendor_id.clone()),
        event_type: Some(contract.event_type.clone()),
        schema_version: None,
    };
    let mut rows = Rows::new(cloud, &selection, window);
    let mut tally = Tally::default();
    while let Some(page) = rows.next().await? {
        for (row, made) in mapped(cloud, &candidate.bundle, page, &mut tally).await? {
            tally.add(cloud, row, made).await?;
        }
        progress.say(&format!("compared {}, {} differ", tally.events, tally.wrong.len()));
    }
    let Tally { events, same, quarantined, corrected, entities, kept, unreadable, wrong } = tally;
    let total = entities.len() as u64;
    let mut largest: Vec<EntityEvents> =
        entities.into_iter().map(|(entity, events)| EntityEvents { entity, events }).collect();
    largest.sort_by(|a, b| (b.events, &a.entity).cmp(&(a.events, &b.entity)));
    largest.truncate(GROUPS_MAX);
    let report = Report {
        vendor_id: vendor_id.clone(),
        event_type: contract.event_type.clone(),
        window,
        candidate: candidate.name.clone(),
        events,
        same,
        corrected: corrected.report(),
        entities: Entities { total, largest },
        kept: kept.report(),
        unreadable: unreadable.report(),
        quarantined,
    };
    Ok(Examined { report, wrong })
}

/// What the candidate makes of the events of a page, in the order of the page.
async fn mapped(
    cloud: &Cloud,
    bundle: &Arc<Bundle>,
    page: Vec<LedgerRow>,
    tally: &mut Tally,
) -> Result<Vec<(LedgerRow, Made)>, OpsError> {
    let raw = cloud.objects();
    tally.events += page.len() as u64;
    let (told, waiting): (Vec<_>, Vec<_>) =
        page.into_iter().partition(|row| row.status == Status::Normalized);
    tally.quarantined += waiting.len() as u64;
    let fetches = told.into_iter().map(|row| {
        let raw = &raw;
        async move {
            match raw.get(&row.raw_ref).await {
                Err(fault) if fault.code.class() == Class::Retryable => Err(fault),
                fetched => Ok((row, fetched)),
            }
        }
    });
    let made: Vec<Vec<(LedgerRow, Made)>> = futures::stream::iter(fetches)
        .buffered(FETCHES_AT_ONCE)
        .try_chunks(CHUNK_EVENTS)
        .map_err(|error| OpsError::from(error.1))
        .map_ok(|chunk| {
            let bundle = Arc::clone(bundle);
            async move {
                let made = tokio::task::spawn_blocking(move || {
                    let made = chunk.into_iter().map(|(row, raw)| {
                        let made = make(&row, raw, &bundle);
                        (row, made)
                    });
                    made.collect()
                });
                made.await.map_err(|error| OpsError::Failed(format!("a comparison stopped: {error}")))
            }
        })
        .try_buffered(jobs_default())
        .try_collect()
        .await?;
    Ok(made.into_iter().flatten().collect())
}

/// By the code that `normalize` runs.
fn make(row: &LedgerRow, raw: Result<Bytes, Fault>, bundle: &Bundle) -> Made {
    let raw = match raw {
        Ok(raw) => raw,
        Err(fault) => return Made::Unreadable(fault),
    };
    let event = row.rerun(0);
    let mapped = Message::open(&event, &raw)
        .and_then(|message| execute(&message, bundle))
        .and_then(|output| finish(&event, bundle, &output));
    match mapped.map(|mapped| mapped.outcome) {
        Err(fault) if fault.code == Code::RawDigestMismatch => Made::Unreadable(fault),
        Err(fault) => Made::Fails(fault),
        Ok(outcome) if Some(Sha256Hex::of(outcome.document())) == row.document_sha256() => Made::Same,
        Ok(Outcome::Nothing(_)) => Made::Other(Bytes::new()),
        Ok(Outcome::Events { bytes, .. }) => Made::Other(bytes.into()),
    }
}

#[derive(Default)]
struct Tally {
    events: u64,
    same: u64,
    quarantined: u64,
    corrected: FieldTally,
    entities: BTreeMap<Entity, u64>,
    kept: CauseTally,
    unreadable: CauseTally,
    wrong: Vec<Wrong>,
}

impl Tally {
    async fn add(&mut self, cloud: &Cloud, row: LedgerRow, made: Made) -> Result<(), OpsError> {
        let new = match made {
            Made::Same => {
                self.same += 1;
                return Ok(());
            }
            Made::Fails(fault) => {
                self.kept.add(row.ingest_id, &fault);
                return Ok(());
            }
            Made::Unreadable(fault) => {
                self.unreadable.add(row.ingest_id, &fault);
                return Ok(());
            }
            Made::Other(document) => document,
        };
        let Some(old_sha256) = row.document_sha256() else { return Ok(()) };
        let compared = async {
            let old = told(cloud, &row).await?;
            let detail = row.detail();
            let entities = differing(&contributions(&old, &detail)?, &contributions(&new, &detail)?);
            Ok::<_, Fault>((old, entities))
        };
        match compared.await {
            Ok((old, entities)) => {
                self.corrected.add(row.ingest_id, &old, &new);
                for entity in entities {
                    *self.entities.entry(entity).or_default() += 1;
                }
                if self.wrong.len() == EVENTS_MAX {
                    return Err(OpsError::refused(format!(
                        "more than {EVENTS_MAX} events would be corrected: take a shorter window"
                    )));
                }
                self.wrong.push(Wrong { row, old_sha256, new_sha256: Sha256Hex::of(&new) });
                Ok(())
            }
            Err(fault) if fault.code.class() == Class::Retryable => Err(fault.into()),
            Err(fault) => {
                self.unreadable.add(row.ingest_id, &fault);
                Ok(())
            }
        }
    }
}

/// The document that was told, empty if the event stated nothing.
async fn told(cloud: &Cloud, row: &LedgerRow) -> Result<Bytes, Fault> {
    let Some(normalized) = &row.normalized else { return Ok(Bytes::new()) };
    let document = cloud.objects().get(&normalized.r#ref).await?;
    let found = Sha256Hex::of(&document);
    if found == normalized.sha256 {
        return Ok(document);
    }
    let message = format!("{} has the digest {found}, the ledger says otherwise", normalized.r#ref.key);
    Err(Fault::new(Code::NormalizedDigestMismatch, message))
}

type Statements = BTreeMap<Entity, Vec<Contribution>>;

/// The entities of which the two say something else.
fn differing(old: &Statements, new: &Statements) -> Vec<Entity> {
    let all: std::collections::BTreeSet<&Entity> = old.keys().chain(new.keys()).collect();
    all.into_iter().filter(|entity| old.get(*entity) != new.get(*entity)).cloned().collect()
}

/// Freezes what an examination found. Nothing is changed until the operation is started.
///
/// # Errors
/// A candidate that is not published, nothing to correct, and a call that fails.
pub async fn plan(
    cloud: &Cloud,
    examined: &Examined,
    reason: &str,
    settings: &Settings,
) -> Result<Planned, OpsError> {
    let Examined { report, wrong } = examined;
    let Some(bundle) = &report.candidate.bundle else {
        return Err(OpsError::invalid(
            "a correction is carried out by `normalize`, which runs published bundles only: publish the candidate and give its digest",
        ));
    };
    if wrong.is_empty() {
        return Err(OpsError::refused("there is nothing to correct: no document differs"));
    }
    let id = OperationId::mint(Timestamp::now(), SystemClock.random());
    let number = u32::try_from(Timestamp::now().as_second()).unwrap_or(u32::MAX);
    let lines = wrong.iter().map(|wrong| EventDetail {
        correction: Some(Correction {
            operation_id: id,
            bundle: bundle.clone(),
            old_sha256: wrong.old_sha256.clone(),
            new_sha256: wrong.new_sha256.clone(),
            by: settings.by.clone(),
            reason: reason.to_owned(),
        }),
        ..wrong.row.rerun(number)
    });
    let at_once = usize::try_from(settings.pace.per_second).unwrap_or(usize::MAX);
    let name = format!("correction-{id}");
    let manifests = write_batches(cloud, lines, &name, at_once.saturating_mul(BATCH_FOLD)).await?;
    let results = ObjectRef { bucket: cloud.names().replays.clone(), key: "results".to_owned() };
    let items: Vec<Item> = manifests
        .into_iter()
        .map(|(manifest, events)| {
            Item(Work::Correct(ReplayItem { manifest, results: results.clone(), events }))
        })
        .collect();
    let Window { from, to } = report.window;
    let what = format!(
        "{} of {} {} from {} to {}, by the bundle {bundle}",
        count(wrong.len(), "event"),
        report.vendor_id,
        report.event_type,
        rfc3339(from),
        rfc3339(to)
    );
    let groups = vec![PlanGroup {
        name: report.vendor_id.to_string(),
        code: "correction".to_owned(),
        message: count(wrong.len(), "event"),
        items: items.len() as u64,
    }];
    let set = Set { id: Some(id), kind: Kind::Correct, what, groups, items };
    operations::freeze(cloud, set, settings).await
}

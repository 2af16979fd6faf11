//! What the console asks for, answered by the use cases of `sluice-ops` over one cloud.
//!
//! A page often needs several documents. They are read at once, and one that cannot be had is an
//! unknown part of the whole,
//! with its cause; it never takes the page with it.

mod acts;
mod parts;

use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sluice_console::ops::{Act, Because, EventFilter, Failure, Ops, Question, Stored};
use sluice_core::balance::Hour;
use sluice_core::id::{ExternalEventId, IngestId, VendorId};
use sluice_core::record::Status;
use sluice_ops::cloud::Cloud;
use sluice_ops::error::{OpsError, Unknown};
use sluice_ops::{
    conflicts, divergence, dlq, drift, event, events, executions, group_detail, health, quarantine, vendors,
};

/// Events on a page.
const EVENTS_PER_PAGE: usize = 50;

/// Rows that a search reads in each of the ledger's partitions.
const SCANNED_MAX: usize = 2_000;

/// Executions on a page.
const EXECUTIONS_PER_PAGE: i32 = 50;

/// Events of a history that are read for a page.
const HISTORY_EVENTS_MAX: usize = 1_000;

/// Rows of a table that is scanned.
const ROWS_MAX: usize = 200;

/// The use cases over one cloud.
#[derive(Debug, Clone)]
pub struct Desk {
    cloud: Cloud,
}

impl Desk {
    /// Over a cloud.
    pub fn new(cloud: Cloud) -> Self {
        Self { cloud }
    }
}

/// What went wrong, as the console shows it.
fn failure(error: &OpsError) -> Failure {
    let unknown = Unknown::from(error);
    let kind = serde_json::to_value(unknown.kind).ok().and_then(|kind| kind.as_str().map(ToOwned::to_owned));
    Failure {
        kind: kind.unwrap_or_else(|| "failed".into()),
        code: unknown.code.map(ToOwned::to_owned),
        message: unknown.message,
        causes: unknown.causes,
        hint: unknown.hint,
    }
}

/// A document as JSON.
fn document<T: Serialize>(document: T) -> Result<Value, Failure> {
    serde_json::to_value(document)
        .map_err(|error| Failure::new("failed", format!("the document cannot be written: {error}")))
}

/// A part of a document: `{"known": …}`, or why it is unknown.
async fn part<T: Serialize>(reading: impl Future<Output = Result<T, OpsError>>) -> Value {
    shown(reading.await.map_err(|error| failure(&error)).and_then(document))
}

fn shown(part: Result<Value, Failure>) -> Value {
    match part {
        Ok(value) => json!({ "known": value }),
        Err(failure) => json!({ "unknown": failure }),
    }
}

/// The whole answer of a use case.
async fn whole<T: Serialize>(reading: impl Future<Output = Result<T, OpsError>>) -> Result<Value, Failure> {
    reading.await.map_err(|error| failure(&error)).and_then(document)
}

#[async_trait]
impl Ops for Desk {
    async fn read(&self, question: &Question) -> Result<Value, Failure> {
        let cloud = &self.cloud;
        match question {
            Question::Overview => parts::overview(cloud).await,
            Question::Hours { vendor, hour } => self.hours(vendor.as_ref(), hour.as_deref()).await,
            Question::Events(filter) => self.events(filter).await,
            Question::Event { id } => self.event(*id).await,
            Question::Trace { id } => parts::trace(cloud, *id).await,
            Question::Lineage { vendor, event_type } => parts::lineage(cloud, vendor, event_type).await,
            Question::Groups { all } => whole(parts::groups(cloud, *all)).await,
            Question::Group { fingerprint, example } => self.group(fingerprint, *example).await,
            Question::Shadow { vendor, event_type, candidate } => {
                parts::shadow(cloud, vendor, event_type, candidate).await
            }
            Question::Operations => parts::operations(cloud).await,
            Question::Operation { id } => parts::operation(cloud, id).await,
            Question::Executions { machine, status } => {
                self.executions(machine.as_deref(), status.as_deref()).await
            }
            Question::Execution { arn } => self.execution(arn).await,
            Question::Vendors => {
                let (listed, health) =
                    tokio::join!(whole(vendors::list(cloud)), part(health::day(cloud, None, None, &())));
                let mut listed = listed?;
                listed["health"] = health;
                Ok(listed)
            }
            Question::Vendor { id } => self.vendor(id).await,
            Question::Mappers => {
                whole(parts::mappers(cloud, None)).await.map(|mappers| json!({ "mappers": mappers }))
            }
            Question::Mapper { vendor, event_type } => parts::mapper(cloud, vendor, event_type).await,
            Question::DeadLetters => whole(dlq::queues(cloud)).await,
            Question::Divergence { kind, subject } => {
                let filter = divergence::Filter { subject: subject.clone(), kind: kind.clone() };
                whole(divergence::list(cloud, &filter, ROWS_MAX)).await
            }
            Question::Conflicts { all, vendor } => {
                whole(conflicts::list(cloud, vendor.as_ref(), *all, ROWS_MAX)).await
            }
            Question::Audit { by } => parts::audit(cloud, by.as_deref()).await,
        }
    }

    async fn bytes(&self, id: IngestId, stored: Stored) -> Result<Bytes, Failure> {
        let bytes = match stored {
            Stored::Raw => event::raw_bytes(&self.cloud, id).await,
            Stored::Normalized => event::normalized_bytes(&self.cloud, id).await,
            Stored::Case => parts::case(&self.cloud, id).await,
        };
        bytes.map_err(|error| failure(&error))
    }

    async fn act(&self, act: &Act, because: &Because) -> Result<Value, Failure> {
        // The use cases borrow across their awaits, so that their futures are not `Send` for every lifetime:
        // they run on a thread of their own, on this runtime.
        let (cloud, act, because) = (self.cloud.clone(), act.clone(), because.clone());
        let runtime = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || runtime.block_on(acts::act(&cloud, &act, &because)));
        done.await.unwrap_or_else(|error| Err(Failure::new("failed", format!("the act ended: {error}"))))
    }
}

impl Desk {
    async fn hours(&self, vendor: Option<&VendorId>, hour: Option<&str>) -> Result<Value, Failure> {
        let hour = match hour.map(str::parse::<Hour>).transpose() {
            Ok(hour) => hour,
            Err(error) => return Err(Failure::new("invalid", error)),
        };
        let query =
            sluice_ops::balance::HoursQuery { vendor: vendor.cloned(), hour, since: Timestamp::now() };
        whole(sluice_ops::balance::by_hour(&self.cloud, &query)).await
    }

    async fn events(&self, filter: &EventFilter) -> Result<Value, Failure> {
        let invalid = |what: String| Failure::new("invalid", what);
        let statuses = match filter.status.as_deref() {
            None => Vec::new(),
            Some(status) => {
                let known = Status::ALL.into_iter().find(|known| known.as_str() == status);
                vec![known.ok_or_else(|| invalid(format!("there is no status {status}")))?]
            }
        };
        let external_event_id = match &filter.external_id {
            None => None,
            Some(id) => Some(id.parse::<ExternalEventId>().map_err(|error| invalid(format!("{error}")))?),
        };
        let after = match &filter.after {
            None => None,
            Some(after) => {
                let parts =
                    after.split_once('~').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
                Some(parts.ok_or_else(|| invalid(format!("{after} names no place in the list")))?)
            }
        };
        let wanted = events::Filter {
            statuses,
            vendor: filter.vendor.clone(),
            event_type: filter.event_type.clone(),
            external_event_id,
            since: filter.since,
            until: filter.until,
            after,
            limit: EVENTS_PER_PAGE,
            scanned_max: Some(SCANNED_MAX),
        };
        match &filter.member {
            None => whole(events::list(&self.cloud, &wanted)).await,
            Some(member) => parts::with_member(&self.cloud, wanted, member).await,
        }
    }

    async fn event(&self, id: IngestId) -> Result<Value, Failure> {
        let life = event::life(&self.cloud, id).await.map_err(|error| failure(&error))?;
        let arn = life.execution.as_ref().map(|execution| execution.arn.clone());
        let mut document = document(life)?;
        if let Some(arn) = arn {
            document["run"] = shown(self.execution(&arn).await);
        }
        Ok(document)
    }

    async fn group(&self, fingerprint: &str, example: Option<IngestId>) -> Result<Value, Failure> {
        let cloud = &self.cloud;
        let group = quarantine::group(cloud, fingerprint).await.map_err(|error| failure(&error))?;
        let rows = cloud.quarantine().group(fingerprint).await.map_err(|fault| failure(&fault.into()))?;
        let shown = example.unwrap_or(group.group.example);
        let vendor = group.group.vendors.keys().next().cloned();
        let event_type = group.group.event_types.keys().next().cloned();
        let runbook = group_detail::runbook(&group.group.code);
        let sentence = group_detail::sentence(
            &group.group,
            rows.iter().find(|row| row.ingest_id == shown).map(|row| &row.cause),
        );
        let mut document = document(group)?;
        document["runbook"] = json!(runbook);
        document["sentence"] = json!(sentence);
        document["byHour"] = json!(parts::by_hour(rows.iter(), Timestamp::now()));
        let good = async {
            let filter = events::Filter {
                statuses: vec![Status::Normalized],
                vendor: vendor.clone(),
                event_type: event_type.clone(),
                external_event_id: None,
                since: None,
                until: None,
                after: None,
                limit: 1,
                scanned_max: Some(SCANNED_MAX),
            };
            match events::list(cloud, &filter).await?.events.first() {
                Some(found) => event::life(cloud, found.ingest_id).await.map(Some),
                None => Ok(None),
            }
        };
        let drifted = async {
            let filter = drift::Filter { vendor: vendor.clone(), breaking: false, since: None };
            drift::list(cloud, &filter).await
        };
        let candidates = async {
            match (&vendor, &event_type) {
                (Some(vendor), Some(event_type)) => parts::candidates(cloud, vendor, event_type).await,
                _ => Ok(Vec::new()),
            }
        };
        let (shown, good, drifted, candidates) =
            tokio::join!(part(event::life(cloud, shown)), part(good), part(drifted), part(candidates));
        for (name, value) in
            [("shown", shown), ("lastGood", good), ("drift", drifted), ("candidates", candidates)]
        {
            document[name] = value;
        }
        Ok(document)
    }

    async fn executions(&self, machine: Option<&str>, status: Option<&str>) -> Result<Value, Failure> {
        let machines = executions::machines(&self.cloud).await.map_err(|error| failure(&error))?;
        let recover = &self.cloud.names().recover;
        let name = machine.map_or_else(|| recover.clone(), ToOwned::to_owned);
        let express = machines.iter().find(|machine| machine.name == name && machine.express);
        let mut answer = match express {
            Some(machine) => json!({"machine": machine, "executions": []}),
            None => {
                let filter = executions::Filter {
                    machine: name,
                    status: status.map(ToOwned::to_owned),
                    limit: EXECUTIONS_PER_PAGE,
                    token: None,
                };
                whole(executions::list(&self.cloud, &filter)).await?
            }
        };
        answer["machines"] = document(machines)?;
        Ok(answer)
    }

    async fn execution(&self, arn: &str) -> Result<Value, Failure> {
        let (described, history) = tokio::join!(
            whole(executions::describe(&self.cloud, arn)),
            part(executions::history(&self.cloud, arn, HISTORY_EVENTS_MAX))
        );
        let mut described = described?;
        described["history"] = history;
        Ok(described)
    }

    async fn vendor(&self, id: &VendorId) -> Result<Value, Failure> {
        let cloud = &self.cloud;
        let filter = drift::Filter { vendor: Some(id.clone()), breaking: false, since: None };
        let (vendor, health, mappers, groups, drifted) = tokio::join!(
            whole(vendors::show(cloud, id)),
            part(health::day(cloud, Some(id), None, &())),
            part(parts::mappers(cloud, Some(id))),
            part(parts::groups(cloud, false)),
            part(drift::list(cloud, &filter))
        );
        Ok(
            json!({"vendor": vendor?, "health": health, "mappers": mappers, "groups": groups, "drift": drifted}),
        )
    }
}

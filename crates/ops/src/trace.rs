//! Lineage, found by experiment (`sluice_lineage`): of one stored event, where each member of its canonical events comes from; of a
//! bundle, the same over all its fixtures, with what no fixture exercises.
//!
//! The values of a stored event are read from its raw object with the caller's own permissions, as `show` does; those of a bundle's
//! fixtures are not shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, IngestId, SchemaVersion, VendorId};
use sluice_core::port::{Freshness, RawStore as _, VendorDirectory as _};
use sluice_core::record::{LedgerRow, Status};
use sluice_lineage::{Ending, InputUse, Lineage, OutputUse, Plan, Wanted, schema, union};
use sluice_mapper_host::Host;
use sluice_mapping::{Message, map};

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::loaded;
use crate::shadow::SideName;
use crate::{event, fixtures};

/// What a lineage of one message is worth, for whoever reads the document.
const HOLDS_EVENT: &str = "Exact for this message. A lower bound for the mapper: a branch that this message does not take, and members \
                           that matter only together, are not seen.";

/// The same of a bundle.
const HOLDS_BUNDLE: &str = "Exact for the messages of the fixtures. A lower bound for the mapper: a branch without a fixture, and members \
                            that matter only together, are not seen.";

/// Fixtures of which a trace is made; the rest is named.
const FIXTURES_MAX: usize = 200;

/// How long the runs of all fixtures of a bundle may take together, in seconds.
const BUNDLE_SECONDS_MAX: u64 = 30;

/// Where an event's numbers come from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTrace {
    /// The event.
    pub ingest_id: IngestId,
    /// Whose.
    pub vendor_id: VendorId,
    /// Which kind.
    pub event_type: EventType,
    /// Where it is in its life.
    pub status: Status,
    /// The bundle that was tried.
    pub bundle: Sha256Hex,
    /// Why this one.
    pub bundle_is: BundleIs,
    /// Whether the bundle gives the very document that is stored; unknown if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reproduces: Option<bool>,
    /// What the lineage is worth, in words.
    pub holds: &'static str,
    /// The members that were asked for, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// What was found.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// The experiments, without the time to fetch and compile the bundle.
    pub elapsed_microseconds: u64,
}

/// Why a bundle is the one of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleIs {
    /// It made what is stored.
    TheOneThatMappedIt,
    /// It failed on it.
    TheOneThatFailed,
    /// It is active now: no bundle has had the event.
    Active,
}

/// What is known of a mapper from its fixtures.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleTrace {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which kind.
    pub event_type: EventType,
    /// The bundle.
    #[serde(flatten)]
    pub name: SideName,
    /// What the lineage is worth, in words.
    pub holds: &'static str,
    /// The members that were asked for, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Fixtures that are mapped, or state nothing.
    pub messages: usize,
    /// Fixtures that fail as they are, as those of refusals do: nothing can be traced in them.
    pub failing: usize,
    /// Fixtures that were not tried, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Inputs of fixtures that were not tried.
    pub inputs_left_out: usize,
    /// Members of canonical events, with what moves them.
    pub outputs: Vec<OutputUse>,
    /// Members of messages, with what comes of them.
    pub inputs: Vec<InputUse>,
    /// What the schemas have and no fixture does.
    pub without_a_fixture: WithoutFixture,
    /// How often the mapper was run.
    pub runs: usize,
    /// The experiments, without the time to compile the bundle.
    pub elapsed_microseconds: u64,
}

/// Members of schemas that no fixture exercises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WithoutFixture {
    /// Members that the payload's schema names and no fixture has.
    pub inputs: Vec<String>,
    /// Members that the canonical schema names and no fixture's events have.
    pub outputs: Vec<String>,
}

/// A bundle's contract and files.
#[derive(Debug, Clone)]
pub struct Files {
    /// What it promises.
    pub contract: Contract,
    /// Module, schemas and fixtures, by path.
    pub files: BTreeMap<String, Bytes>,
    /// What it is called.
    pub name: SideName,
    /// The fixtures to try, by name; none: all.
    pub only: Vec<String>,
}

/// Where each member of an event's canonical events comes from.
///
/// # Errors
/// When there is no such event, or no bundle for it, and when a service does not answer.
pub async fn event(
    cloud: &Cloud,
    host: &Host,
    ingest_id: IngestId,
    member: Option<&str>,
) -> Result<EventTrace, OpsError> {
    let row = event::find(cloud, ingest_id).await?;
    let (digest, bundle_is) = bundle_of(cloud, &row).await?;
    let store = cloud.bundles();
    let objects = cloud.objects();
    let (raw, fetched) = tokio::join!(objects.get(&row.raw_ref), loaded::files(&store, &digest));
    let (raw, (manifest, files)) = (raw?, fetched?);
    let (host, member) = (host.clone(), member.map(ToOwned::to_owned));
    let traced = tokio::task::spawn_blocking(move || {
        let known = known(&manifest.contract, &files, &row.schema_version);
        let bundle = loaded::compiled(&host, manifest.contract, &files)?;
        let detail = row.detail();
        let message = Message::open(&detail, &raw)?;
        let reproduces = row.document_sha256().map(|stored| {
            map(&detail, &bundle, &raw).is_ok_and(|mapped| Sha256Hex::of(mapped.outcome.document()) == stored)
        });
        let started = Instant::now();
        let mut lineage = sluice_lineage::trace(&bundle, &message, &known, Plan::received())?;
        let elapsed = started.elapsed();
        if let Some(wanted) = &member {
            let names: Vec<String> = lineage.outputs.iter().map(|output| output.pointer.clone()).collect();
            if !lineage.only(&Wanted::of(wanted)) {
                return Err(no_member(wanted, &names));
            }
        }
        Ok(EventTrace {
            ingest_id,
            vendor_id: row.key.vendor_id,
            event_type: row.event_type,
            status: row.status,
            bundle: digest,
            bundle_is,
            reproduces,
            holds: HOLDS_EVENT,
            member,
            lineage,
            elapsed_microseconds: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        })
    });
    traced.await.map_err(|error| OpsError::Failed(format!("the trace stopped: {error}")))?
}

/// The bundle that has had an event, else the active one.
async fn bundle_of(cloud: &Cloud, row: &LedgerRow) -> Result<(Sha256Hex, BundleIs), OpsError> {
    if row.status != Status::Quarantined {
        let normalized = row.normalized.as_ref().map(|normalized| &normalized.bundle);
        if let Some(bundle) = row.nothing.as_ref().map(|nothing| &nothing.bundle).or(normalized) {
            return Ok((bundle.clone(), BundleIs::TheOneThatMappedIt));
        }
    }
    let held = cloud.quarantine().find(&row.key.vendor_id, row.ingest_id).await?;
    if let Some(bundle) = held.and_then(|held| held.cause.bundle) {
        return Ok((bundle, BundleIs::TheOneThatFailed));
    }
    let active = cloud.vendors().active_mapper(&row.key.vendor_id, &row.event_type, Freshness::Fresh).await?;
    let active = active.ok_or_else(|| {
        OpsError::not_found(format!("no mapper is active for {} {}", row.key.vendor_id, row.event_type))
            .with_hint("publish one with `sluice mapper publish BUNDLE_DIR`")
    })?;
    Ok((active.bundle, BundleIs::Active))
}

/// What is known of a published bundle from its fixtures.
///
/// # Errors
/// When there is none such, or it has no fixture.
pub async fn published(
    cloud: &Cloud,
    host: &Host,
    digest: &Sha256Hex,
    member: Option<&str>,
) -> Result<BundleTrace, OpsError> {
    let (manifest, files) = loaded::files(&cloud.bundles(), digest).await?;
    let name = SideName { bundle: Some(digest.clone()), folder: None, revision: None };
    let files = Files { contract: manifest.contract, files, name, only: Vec::new() };
    let (host, member) = (host.clone(), member.map(ToOwned::to_owned));
    let traced = tokio::task::spawn_blocking(move || bundle(&host, files, member.as_deref()));
    traced.await.map_err(|error| OpsError::Failed(format!("the trace stopped: {error}")))?
}

/// What is known of a bundle from its fixtures.
///
/// # Errors
/// A bundle that does not load, or has no fixture.
pub fn bundle(host: &Host, files: Files, member: Option<&str>) -> Result<BundleTrace, OpsError> {
    let Files { contract, files, name, only } = files;
    let mut cases = fixtures::cases(&contract, &files)?;
    if let Some(missing) = only.iter().find(|name| !cases.iter().any(|case| case.name == **name)) {
        return Err(OpsError::not_found(format!("the bundle has no fixture {missing:?}")).with_hint(
            "a fixture is named without its ending: large-order for fixtures/large-order.in.json",
        ));
    }
    cases.retain(|case| only.is_empty() || only.contains(&case.name));
    if cases.is_empty() {
        return Err(OpsError::not_found(format!(
            "the bundle of {} {} has no fixture, so there is no message to try",
            contract.vendor_id, contract.event_type
        ))
        .with_hint("put messages of the vendor's into fixtures/, or trace a stored event by its ingestId"));
    }
    let mut left_out: Vec<String> =
        cases.split_off(cases.len().min(FIXTURES_MAX)).into_iter().map(|case| case.name).collect();
    let schemas = contract.payload.versions.keys().map(|version| (version.to_string(), version.clone()));
    let known: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        schemas.map(|(text, version)| (text, known(&contract, &files, &version))).collect();
    let bundle = Arc::new(loaded::compiled(host, contract, &files)?);
    let contract = &bundle.contract;

    let started = Instant::now();
    let mut lineages = Vec::new();
    let none = BTreeMap::new();
    for case in cases {
        if started.elapsed().as_secs() >= BUNDLE_SECONDS_MAX {
            left_out.push(case.name);
            continue;
        }
        let known = known.get(&case.meta.schema_version).unwrap_or(&none);
        let message = Message::new(case.meta, case.payload.to_vec())?;
        match sluice_lineage::trace(&bundle, &message, known, Plan::fixture()) {
            Ok(lineage) => lineages.push(lineage),
            // A fixture of text that cannot be decoded is one that fails.
            Err(fault) if fault.code == sluice_core::Code::PayloadUndecodable => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let elapsed = started.elapsed();
    let failing = lineages.iter().filter(|one| matches!(one.outcome, Ending::Fails(_))).count();
    let mut whole = union(&lineages);
    let without_a_fixture = WithoutFixture {
        inputs: never(known.values().flat_map(BTreeMap::keys), |name| {
            whole.inputs.iter().any(|input| input.member == *name)
        }),
        outputs: never(canonical_members(contract).keys(), |name| {
            let member = format!("/*/data{name}");
            whole.outputs.iter().any(|output| {
                output.member == member
                    || output.member.strip_prefix(&member).is_some_and(|rest| rest.starts_with('/'))
            })
        }),
    };
    if let Some(wanted) = member {
        let names: Vec<String> = whole.outputs.iter().map(|output| output.member.clone()).collect();
        if !whole.only(&Wanted::of(wanted)) {
            return Err(no_member(wanted, &names));
        }
    }
    Ok(BundleTrace {
        vendor_id: contract.vendor_id.clone(),
        event_type: contract.event_type.clone(),
        name,
        holds: HOLDS_BUNDLE,
        member: member.map(ToOwned::to_owned),
        messages: whole.messages,
        failing,
        left_out,
        inputs_left_out: whole.left_out,
        outputs: whole.outputs,
        inputs: whole.inputs,
        without_a_fixture,
        runs: whole.runs,
        elapsed_microseconds: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    })
}

/// The names that are not there, once each and in order.
fn never<'n>(names: impl Iterator<Item = &'n String>, is_there: impl Fn(&String) -> bool) -> Vec<String> {
    let missing: std::collections::BTreeSet<&String> = names.filter(|name| !is_there(name)).collect();
    missing.into_iter().cloned().collect()
}

/// The values that a payload's schema allows, by a member's name.
fn known(
    contract: &Contract,
    files: &BTreeMap<String, Bytes>,
    version: &SchemaVersion,
) -> BTreeMap<String, Vec<String>> {
    let version = match *version == SchemaVersion::unstated() {
        true => &contract.payload.default_version,
        false => version,
    };
    let file = contract.payload.versions.get(version).and_then(|path| files.get(path));
    let schema = file.and_then(|text| serde_json::from_slice::<Value>(text).ok());
    schema.map(|schema| schema::members(&schema)).unwrap_or_default()
}

fn canonical_members(contract: &Contract) -> BTreeMap<String, Vec<String>> {
    let canonical = &contract.canonical;
    let text = SCHEMAS.iter().find(|(name, version, _)| {
        *name == canonical.r#type.as_str() && *version == canonical.version.as_str()
    });
    let schema = text.and_then(|(_, _, text)| serde_json::from_str::<Value>(text).ok());
    schema.map(|schema| schema::members(&schema)).unwrap_or_default()
}

fn no_member(wanted: &str, names: &[String]) -> OpsError {
    const LISTED_MAX: usize = 12;
    let mut listed: Vec<&str> = names.iter().map(String::as_str).take(LISTED_MAX).collect();
    if names.len() > LISTED_MAX {
        listed.push("…");
    }
    OpsError::not_found(format!("no member is at {wanted:?}, neither in the message nor in what it comes to"))
        .with_hint(match listed.is_empty() {
            true => "leave --member out to see all".to_owned(),
            false => format!("members of the canonical events are {}", listed.join(", ")),
        })
}

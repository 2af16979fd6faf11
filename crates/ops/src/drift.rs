//! How vendors' messages differ from their contracts and from what they were.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::contract::Format;
use sluice_core::drift::{Finding, Track, TrackKey};
use sluice_core::id::{EventType, SchemaVersion, VendorId};
use sluice_core::port::{Freshness, VendorDirectory as _};

use crate::cloud::Cloud;
use crate::document::millis_opt;
use crate::error::OpsError;

/// How messages drift.
#[derive(Debug, Serialize)]
pub struct Drift {
    /// Those that break something first, then the newest.
    pub findings: Vec<Finding>,
    /// What is known of each event type.
    pub profiles: Vec<Profile>,
    /// Event types with an active mapper of which no profile is kept.
    pub unprofiled: Vec<Unprofiled>,
}

/// What is known of one event type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The vendor.
    pub vendor_id: VendorId,
    /// The vendor's type.
    pub event_type: EventType,
    /// The version of the vendor's schema.
    pub schema_version: SchemaVersion,
    /// Events that were looked at: a sample where there are many.
    pub events: u64,
    /// Fields that are followed.
    pub fields: usize,
    /// Some fields are not followed.
    pub truncated: bool,
    /// When a message was last looked at.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
}

/// An event type with an active mapper of which no profile is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unprofiled {
    /// The vendor.
    pub vendor_id: VendorId,
    /// The vendor's type.
    pub event_type: EventType,
    /// Why there is none.
    pub why: &'static str,
}

/// Which findings.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this vendor.
    pub vendor: Option<VendorId>,
    /// Only what does not satisfy the contract.
    pub breaking: bool,
    /// Only what was last seen then or later.
    pub since: Option<Timestamp>,
}

/// Lists findings, those that break something first, then the newest; and what is known of each
/// event type.
///
/// # Errors
/// When there is no such vendor, and when a table does not answer.
pub async fn list(cloud: &Cloud, filter: &Filter) -> Result<Drift, OpsError> {
    let vendors = cloud.vendors();
    if let Some(vendor) = &filter.vendor
        && vendors.profile(vendor, Freshness::Cached).await?.is_none()
    {
        return Err(OpsError::not_found(format!("there is no vendor {vendor}"))
            .with_hint("`sluice vendors ls` lists them"));
    }
    let drift = cloud.drift().list(filter.vendor.as_ref()).await?;
    let since = filter.since;
    let mut findings = drift.findings;
    findings.retain(|finding| {
        (finding.breaking || !filter.breaking) && since.is_none_or(|since| finding.last_seen_at >= since)
    });
    findings
        .sort_by(|a, b| (b.breaking, b.last_seen_at, &a.path).cmp(&(a.breaking, a.last_seen_at, &b.path)));
    let profiled: BTreeSet<(VendorId, EventType)> =
        drift.tracks.iter().map(|(key, _)| (key.vendor_id.clone(), key.event_type.clone())).collect();
    let mut unprofiled = Vec::new();
    for active in vendors.list_mappers().await? {
        let why = match active.contract.payload.format {
            Format::Json => "no message yet",
            Format::Csv => "CSV has none: its fields have no names",
            Format::X12 => "X12 has none: its fields have no names",
        };
        let (vendor_id, event_type) = (active.contract.vendor_id, active.contract.event_type);
        let wanted = filter.vendor.as_ref().is_none_or(|vendor| *vendor == vendor_id);
        if wanted && !profiled.contains(&(vendor_id.clone(), event_type.clone())) {
            unprofiled.push(Unprofiled { vendor_id, event_type, why });
        }
    }
    unprofiled.sort_by(|a, b| (&a.vendor_id, &a.event_type).cmp(&(&b.vendor_id, &b.event_type)));
    let mut profiles: Vec<Profile> = drift.tracks.into_iter().map(Profile::from).collect();
    profiles.sort_by(|a, b| {
        (&a.vendor_id, &a.event_type, &a.schema_version).cmp(&(
            &b.vendor_id,
            &b.event_type,
            &b.schema_version,
        ))
    });
    Ok(Drift { findings, profiles, unprofiled })
}

impl From<(TrackKey, Track)> for Profile {
    fn from((key, track): (TrackKey, Track)) -> Self {
        let fields: BTreeSet<&String> = track.past.fields.keys().chain(track.recent.fields.keys()).collect();
        Self {
            events: track.past.events + track.recent.events,
            // Without the root.
            fields: fields.len().saturating_sub(1),
            truncated: track.past.truncated || track.recent.truncated || track.left_out > 0,
            last_seen_at: track.last_seen_at,
            vendor_id: key.vendor_id,
            event_type: key.event_type,
            schema_version: key.schema_version,
        }
    }
}

//! Holds a vendor, and releases it: while it is on hold its events are accepted, kept and acknowledged, and wait before they are
//! normalized.
//!
//! A release first says in the vendor's profile that it is not on hold any more: from then on its events pass. Then it lets go what
//! waits, as an operation that can be paused and stopped. What a stopped one left is let go by another release.

use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::vendors::{CACHE_SECONDS, VendorChange, VendorEdit};
use sluice_core::books::Books as _;
use sluice_core::id::VendorId;
use sluice_core::operation::ITEMS_MAX;
use sluice_core::record::{Resolution, VendorProfile};

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::operations::{self, Overview, Pace, Settings};
use crate::vendors::no_vendor;

/// Events that a release lets go per second, if it is not said otherwise.
pub const PER_SECOND_DEFAULT: u32 = 50;

/// A vendor that was put on hold.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The vendor.
    pub vendor_id: VendorId,
    /// Who holds it, and why.
    pub on_hold: Resolution,
    /// Whether that is new.
    pub changed: bool,
    /// Until then functions may go on as before.
    pub in_effect_within_seconds: u64,
}

/// A vendor that was released.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The vendor.
    pub vendor_id: VendorId,
    /// Whether it was on hold.
    pub changed: bool,
    /// What lets go the events that wait; `None` if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Overview>,
}

/// Holds a vendor. Its events are accepted and kept, and wait.
///
/// # Errors
/// When there is no such vendor, when no reason is given, and when the table does not answer.
pub async fn hold(cloud: &Cloud, id: &VendorId, by: &str, reason: &str) -> Result<Hold, OpsError> {
    let on_hold = resolution(by, reason)?;
    let mut held = on_hold.clone();
    let edit = |profile: Option<VendorProfile>| -> Result<Option<VendorEdit>, OpsError> {
        let mut profile = profile.ok_or_else(|| no_vendor(id))?;
        if let Some(before) = &profile.on_hold {
            held = before.clone();
            return Ok(None);
        }
        held = on_hold.clone();
        profile.on_hold = Some(on_hold.clone());
        let change = VendorChange::new(format!("on hold: {}", on_hold.reason), by.to_owned());
        Ok(Some(VendorEdit { profile, change: Some(change) }))
    };
    let changed = cloud.vendors().edit_vendor(id, edit).await?.is_some();
    Ok(Hold { vendor_id: id.clone(), on_hold: held, changed, in_effect_within_seconds: CACHE_SECONDS })
}

/// Releases a vendor, and starts an operation that lets go what waits: the oldest first, at most as many as an operation takes.
///
/// # Errors
/// When there is no such vendor, when no reason is given, and when a call fails. A release that was cut off is made again.
pub async fn release(
    cloud: &Cloud,
    id: &VendorId,
    by: &str,
    reason: &str,
    per_second: u32,
) -> Result<Release, OpsError> {
    let released = resolution(by, reason)?;
    let edit = |profile: Option<VendorProfile>| -> Result<Option<VendorEdit>, OpsError> {
        let mut profile = profile.ok_or_else(|| no_vendor(id))?;
        if profile.on_hold.take().is_none() {
            return Ok(None);
        }
        profile.released = Some(released.clone());
        let change = VendorChange::new(format!("released: {}", released.reason), by.to_owned());
        Ok(Some(VendorEdit { profile, change: Some(change) }))
    };
    let changed = cloud.vendors().edit_vendor(id, edit).await?.is_some();
    // What was written just before may not be in the index yet. What comes later `reconcile` finds.
    cloud.books().settle().await;
    let waiting = cloud.ledger().held(id, ITEMS_MAX).await?;
    if waiting.is_empty() {
        return Ok(Release { vendor_id: id.clone(), changed, operation: None });
    }
    let settings = Settings {
        pace: Pace { per_second, budget: None },
        by: by.to_owned(),
        valid_seconds: operations::PLAN_SECONDS,
    };
    let planned = operations::plan_release(cloud, id, waiting, &settings).await?;
    let started = operations::start(cloud, planned.operation.operation.operation_id, by, reason).await?;
    Ok(Release { vendor_id: id.clone(), changed, operation: Some(started) })
}

fn resolution(by: &str, reason: &str) -> Result<Resolution, OpsError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(OpsError::invalid("say why, for the record"));
    }
    if reason.chars().count() > sluice_core::operation::TEXT_CHARS_MAX {
        let most = sluice_core::operation::TEXT_CHARS_MAX;
        return Err(OpsError::invalid(format!("the reason is longer than {most} characters")));
    }
    let now = Timestamp::now();
    let at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    Ok(Resolution { by: by.to_owned(), reason: reason.to_owned(), at })
}

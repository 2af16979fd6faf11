//! Changing the pointer to a vendor's active mapper: promote, canary, rollback.
//!
//! Invariant: every change is a conditional write of what was read a moment before, together with
//! its history entry. When someone else was quicker, it is read and decided again, a few times.

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::bundle::{ActiveMapper, Canary, ChangeKind, Decision, MapperChange};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::MapperPointers;

use crate::error::OpsError;

/// A pointer that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// What it pointed to.
    pub bundle: Sha256Hex,
    /// Its revision.
    pub revision: u64,
}

/// How often a change is tried against others that change the pointer at the same time.
pub const TRIES_MAX: u32 = 5;

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activated {
    /// The pointer points to the bundle now.
    Done {
        /// Of the pointer.
        revision: u64,
        /// What it pointed to.
        replaced: Option<Replaced>,
    },
    /// It did already, and there is no canary.
    Unchanged {
        /// Of the pointer.
        revision: u64,
    },
    /// The caller wants what is there to stay.
    Kept {
        /// What is there.
        held: Box<ActiveMapper>,
    },
}

/// Makes `bundle` the active one, unless `keep` says of the pointer that is there that it shall
/// stay.
///
/// # Errors
/// When the table does not answer, when it is not possible now, and when others are always quicker.
pub async fn activate(
    pointers: &dyn MapperPointers,
    kind: ChangeKind,
    bundle: &Sha256Hex,
    contract: &Contract,
    decision: &Decision,
    keep: impl Fn(&ActiveMapper) -> bool,
) -> Result<Activated, OpsError> {
    for _ in 0..TRIES_MAX {
        let held = pointers.current(&contract.vendor_id, &contract.event_type).await?;
        if let Some(held) = &held {
            if held.bundle == *bundle && held.canary.is_none() {
                return Ok(Activated::Unchanged { revision: held.revision });
            }
            if keep(held) {
                return Ok(Activated::Kept { held: Box::new(held.clone()) });
            }
        }
        let (pointer, change) =
            MapperChange::activate(kind, held.as_ref(), bundle.clone(), contract.clone(), decision.clone());
        if pointers.replace(&pointer, &change).await? {
            let replaced = held.map(|held| Replaced { bundle: held.bundle, revision: held.revision });
            return Ok(Activated::Done { revision: pointer.revision, replaced });
        }
    }
    Err(contended(bundle, &contract.vendor_id, &contract.event_type))
}

/// Puts a candidate on trial beside the active bundle.
///
/// # Errors
/// When the table does not answer, when it is not possible now, and when others are always quicker.
pub async fn start_canary(
    pointers: &dyn MapperPointers,
    contract: &Contract,
    canary: &Canary,
    forced: Option<&str>,
) -> Result<ActiveMapper, OpsError> {
    for _ in 0..TRIES_MAX {
        let held = held(pointers, &contract.vendor_id, &contract.event_type).await?;
        if held.bundle == canary.bundle {
            return Err(OpsError::invalid(format!("the bundle {} is the active one already", canary.bundle)));
        }
        let (pointer, change) =
            MapperChange::start_canary(&held, canary.clone(), forced.map(ToOwned::to_owned));
        if pointers.replace(&pointer, &change).await? {
            return Ok(pointer);
        }
    }
    Err(contended(&canary.bundle, &contract.vendor_id, &contract.event_type))
}

/// Ends the trial that is on: all events go through the active bundle again. `None`: there is none.
///
/// # Errors
/// When the table does not answer, when it is not possible now, and when others are always quicker.
pub async fn end_canary(
    pointers: &dyn MapperPointers,
    vendor_id: &VendorId,
    event_type: &EventType,
    decision: &Decision,
) -> Result<Option<MapperChange>, OpsError> {
    for _ in 0..TRIES_MAX {
        let held = held(pointers, vendor_id, event_type).await?;
        let Some(canary) = &held.canary else { return Ok(None) };
        let counts = pointers.counts(vendor_id, event_type, held.revision).await?;
        let candidate = canary.bundle.clone();
        let ended = MapperChange::end_canary(ChangeKind::Rollback, &held, Some(counts), decision.clone());
        let Some((pointer, change)) = ended else { return Ok(None) };
        if pointers.replace(&pointer, &change).await? {
            return Ok(Some(change));
        }
        if pointers
            .current(vendor_id, event_type)
            .await?
            .and_then(|now| now.canary)
            .is_none_or(|now| now.bundle != candidate)
        {
            // Another one ended it, or put another candidate in its place: that is not ours to end.
            return Ok(None);
        }
    }
    Err(OpsError::Failed(format!(
        "the canary of {vendor_id} {event_type} is still on: others change the pointer at the same time; decide anew"
    )))
}

/// The pointer, which must be there.
///
/// # Errors
/// When the table does not answer, when it is not possible now, and when others are always quicker.
pub async fn held(
    pointers: &dyn MapperPointers,
    vendor_id: &VendorId,
    event_type: &EventType,
) -> Result<ActiveMapper, OpsError> {
    pointers.current(vendor_id, event_type).await?.ok_or_else(|| {
        OpsError::not_found(format!("{vendor_id} has no active mapper for {event_type}"))
            .with_hint("`sluice mapper publish BUNDLE_DIR` activates one; `sluice mapper ls` lists them")
    })
}

/// A decision of now.
pub fn decision(by: String, reason: &str, forced: Option<String>) -> Decision {
    Decision { at: Timestamp::now(), by, reason: reason.to_owned(), forced }
}

fn contended(bundle: &Sha256Hex, vendor_id: &VendorId, event_type: &EventType) -> OpsError {
    OpsError::Failed(format!(
        "bundle {bundle} is published but not active: others activated mappers for {vendor_id} {event_type} at the same time; \
         look at `sluice mapper ls` and decide anew"
    ))
}

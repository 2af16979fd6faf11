//! A candidate on trial: which events it gets, what becomes of them, and its end if it does worse than the active mapper.
//!
//! Only an event's first run takes part. A replay must give the bytes that it gave before, and a redrive follows a failure: both go
//! through the active mapper, so what a candidate broke is mended by a redrive whether or not the trial is still on.

use sluice_aws::metric;
use sluice_core::bundle::{
    ActiveMapper, Arm, Canary, CanaryCounts, ChangeKind, Decision, MapperChange, Verdict,
};
use sluice_core::digest::Sha256Hex;
use sluice_core::record::EventDetail;
use sluice_core::{Class, Fault};

use crate::Deps;

/// Who takes a candidate back, in the history.
pub(crate) const WHO: &str = "sluice-normalize";

/// The mapper of one event, and the trial that it takes part in.
pub(crate) struct Choice<'a> {
    /// The bundle that maps it.
    pub(crate) bundle: &'a Sha256Hex,
    trial: Option<(&'a Canary, Arm)>,
}

/// Chooses the event's mapper.
pub(crate) fn choose<'a>(active: &'a ActiveMapper, event: &EventDetail, redriven: bool) -> Choice<'a> {
    match &active.canary {
        Some(canary) if !redriven && event.replay == 0 => {
            if canary.takes(event.ingest_id) {
                Choice { bundle: &canary.bundle, trial: Some((canary, Arm::Candidate)) }
            } else {
                Choice { bundle: &active.bundle, trial: Some((canary, Arm::Active)) }
            }
        }
        _ => Choice { bundle: &active.bundle, trial: None },
    }
}

/// What an outcome says about the mapper: `None` for what is not its doing, or will be tried again.
fn judged(fault: Option<&Fault>) -> Option<bool> {
    match fault {
        None => Some(false),
        Some(fault) if fault.code.class() == Class::Retryable => None,
        // Faults name the bundle from the moment it is being loaded; before that, and in the raw object, it has no part.
        Some(fault) => fault.bundle.is_some().then_some(true),
    }
}

/// Counts the outcome, and ends the trial if it has failed. Never fails the event: a count that is lost is one of many.
pub(crate) async fn observe(
    deps: &Deps,
    active: &ActiveMapper,
    choice: &Choice<'_>,
    event: &EventDetail,
    fault: Option<&Fault>,
) {
    let (Some((canary, arm)), Some(failed)) = (choice.trial, judged(fault)) else { return };
    let (vendor_id, event_type) = (&event.key.vendor_id, &event.event_type);
    let counted = deps.pointers.count_outcome(vendor_id, event_type, active.revision, arm, failed).await;
    let counts = match counted {
        Ok(counts) => counts,
        Err(error) => {
            tracing::warn!(%vendor_id, %event_type, code = %error.code, "an outcome of the canary was not counted: {error}");
            return;
        }
    };
    if canary.verdict(&counts) == Verdict::Failed {
        roll_back(deps, active, canary, &counts).await;
    }
}

async fn roll_back(deps: &Deps, active: &ActiveMapper, canary: &Canary, counts: &CanaryCounts) {
    let (vendor_id, event_type) = (&active.contract.vendor_id, &active.contract.event_type);
    let reason = format!(
        "{} events quarantined by the candidate, {} by the active mapper: over {} points more, after at least {} events",
        counts.candidate, counts.active, canary.margin, canary.min_events
    );
    let decision = Decision { at: deps.clock.now(), by: WHO.to_owned(), reason, forced: None };
    let ended = MapperChange::end_canary(ChangeKind::AutoRollback, active, Some(*counts), decision);
    let Some((pointer, change)) = ended else { return };
    match deps.pointers.replace(&pointer, &change).await {
        Ok(true) => {
            let (vendor, kind) = (vendor_id.as_str(), event_type.as_str());
            metric::count("mapper.canary_rolled_back", 1.0, &[("vendorId", vendor), ("eventType", kind)]);
            tracing::warn!(
                %vendor_id,
                %event_type,
                candidate = %canary.bundle,
                active = %active.bundle,
                revision = pointer.revision,
                "the canary was rolled back: {}",
                change.reason
            );
        }
        // Another invocation was quicker, or a person has decided meanwhile.
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%vendor_id, %event_type, code = %error.code, "the canary was not rolled back yet: {error}");
        }
    }
}

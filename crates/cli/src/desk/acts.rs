//! What the console does, by the use cases that the command line has. Who and why goes along, and
//! is stored before what it explains.

use serde_json::Value;
use sluice_console::ops::{Act, Because, Failure, OperationChange, Selection};
use sluice_core::bundle::Percent;
use sluice_ops::cloud::Cloud;
use sluice_ops::error::OpsError;
use sluice_ops::operations::{self, Budget, OperationId, PLAN_SECONDS, Pace, Settings};
use sluice_ops::{conflicts, dlq, hold, mappers, quarantine, redrive, vendors};

use super::{document, failure, whole};

/// Failures before which an operation does not stop by itself.
const FAILURES_MIN: u32 = 5;

/// Does it, and answers with the document of the command that does the same.
pub(super) async fn act(cloud: &Cloud, act: &Act, because: &Because) -> Result<Value, Failure> {
    let (by, reason) = (because.by.as_str(), because.reason.as_str());
    let resolution = || quarantine::resolution(by.to_owned(), reason.to_owned());
    match act {
        Act::Acknowledge { fingerprint } => {
            whole(quarantine::acknowledge(cloud, fingerprint, resolution())).await
        }
        Act::Plan { selection, per_second, budget_percent } => {
            let budget = Some(Budget { percent: *budget_percent, failures_min: FAILURES_MIN });
            let pace = Pace { per_second: *per_second, budget };
            plan(cloud, selection, &Settings { pace, by: by.to_owned(), valid_seconds: PLAN_SECONDS }).await
        }
        Act::Operation { id, change } => {
            let id = operation_id(id)?;
            whole(async {
                match change {
                    OperationChange::Start => operations::start(cloud, id, by, reason).await,
                    OperationChange::Pause => operations::pause(cloud, id, by, Some(reason)).await,
                    OperationChange::Resume => operations::resume(cloud, id, by, Some(reason)).await,
                    OperationChange::Stop => operations::stop(cloud, id, by, Some(reason)).await,
                }
            })
            .await
        }
        Act::Promote { vendor, event_type, bundle, canary_percent } => {
            let promotion = async {
                let bundles = cloud.bundles();
                let bundle = sluice_ops::bundles::resolve(&bundles, bundle).await?;
                let manifest = sluice_ops::bundles::published_manifest(&bundles, &bundle).await?;
                mappers::belongs(&manifest.contract, vendor, event_type)?;
                let percent =
                    canary_percent.map(|percent| percent.to_string().parse::<Percent>()).transpose();
                let percent = percent.map_err(|error| OpsError::invalid(error.to_string()))?;
                let trying = |percent| mappers::Trying { percent, min_events: None, margin: None };
                let promotion = mappers::Promotion {
                    bundle,
                    contract: manifest.contract,
                    canary: percent.map(trying),
                    by: by.to_owned(),
                    reason: reason.to_owned(),
                    shadow: None,
                    forced: None,
                };
                mappers::promote(&cloud.vendors(), promotion).await
            };
            whole(promotion).await
        }
        Act::RollBack { vendor, event_type } => {
            let request = mappers::Rollback {
                vendor: vendor.clone(),
                event_type: event_type.clone(),
                to: None,
                reason: reason.to_owned(),
            };
            whole(mappers::rollback(&cloud.bundles(), &cloud.vendors(), &request, by)).await
        }
        Act::SetEnabled { vendor, enabled } => {
            whole(vendors::switch(cloud, vendor, *enabled, by.to_owned(), Some(reason))).await
        }
        Act::SetHold { vendor, on_hold: true } => whole(hold::hold(cloud, vendor, by, reason)).await,
        Act::SetHold { vendor, on_hold: false } => {
            whole(hold::release(cloud, vendor, by, reason, hold::PER_SECOND_DEFAULT)).await
        }
        Act::CancelMove { queue } => whole(dlq::cancel(cloud, queue)).await,
        Act::AcceptConflict { id } => whole(conflicts::accept(cloud, &[*id], &resolution())).await,
    }
}

fn operation_id(text: &str) -> Result<OperationId, Failure> {
    text.parse::<OperationId>().map_err(|error| Failure::new("invalid", format!("{error}")))
}

/// Freezes what is selected, and gives the operation itself.
async fn plan(cloud: &Cloud, selection: &Selection, settings: &Settings) -> Result<Value, Failure> {
    let mut wanted = redrive::Selection::default();
    match selection {
        Selection::Event(id) => wanted.ingest_ids = vec![*id],
        Selection::Group(group) => wanted.group = Some(group.clone()),
        Selection::Vendor(vendor) => wanted.vendor = Some(vendor.clone()),
        Selection::DeadLetters(queue) => {
            let planned = operations::plan_dead_letters(cloud, Some(queue), settings).await;
            return planned.map_err(|error| failure(&error)).and_then(|planned| document(planned.operation));
        }
        Selection::Rest(id) => {
            let id = operation_id(id)?;
            return whole(operations::retry(cloud, id, &settings.by, settings.valid_seconds)).await;
        }
    }
    match operations::plan_redrive(cloud, &wanted, settings, &()).await {
        Ok(planned) => document(planned.operation),
        Err(error) => Err(failure(&error)),
    }
}

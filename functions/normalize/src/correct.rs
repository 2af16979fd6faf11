//! One event of a correction: the document that was told is replaced by the one that another mapper makes of the same bytes.
//!
//! The correction names the mapper and both documents, so this run brings about what was planned or nothing: an event that came to
//! something else since then is left as it is ([`Code::CorrectionOutdated`]). Run again it changes nothing. It takes no part in a
//! canary's trial and teaches nothing about drift.

use bytes::Bytes;
use sluice_core::id::normalized_key;
use sluice_core::record::{Correction, EventDetail, LedgerRow, Normalized, Nothing, Stated};
use sluice_core::{Code, Fault};
use sluice_mapping::{Mapped, Outcome, map};

use crate::{Deps, health};

/// What the event states from now on, and the ledger's row before.
pub(crate) async fn correct(
    deps: &Deps,
    event: &EventDetail,
    correction: &Correction,
) -> Result<(Stated, Option<LedgerRow>), Fault> {
    let row = deps.ledger.find(&event.key).await?.filter(|row| row.ingest_id == event.ingest_id);
    let row = row.ok_or_else(|| {
        let (vendor, id) = (&event.key.vendor_id, &event.key.external_event_id);
        let message = format!("the ledger has no event {} under ({vendor}, {id})", event.ingest_id);
        Fault::new(Code::LedgerRowMissing, message)
    })?;
    if let Some(done) = done(&row, correction) {
        return Ok((done, Some(row)));
    }
    if row.document_sha256().as_ref() != Some(&correction.old_sha256) {
        return Err(outdated(&row, correction));
    }
    let stated = mapped(deps, event, correction).await.map_err(|fault| match fault.bundle {
        Some(_) => fault,
        None => fault.with_bundle(correction.bundle.clone()),
    })?;
    if deps.ledger.correct(&event.key, event.ingest_id, &stated, correction).await? {
        return Ok((stated, Some(row)));
    }
    // Somebody was quicker: this very correction, whose answer was lost, or somebody who decided otherwise.
    let row = deps.ledger.find(&event.key).await?.unwrap_or(row);
    match done(&row, correction) {
        Some(done) => Ok((done, Some(row))),
        None => Err(outdated(&row, correction)),
    }
}

/// What the row states, if the correction has been made.
fn done(row: &LedgerRow, correction: &Correction) -> Option<Stated> {
    if row.document_sha256().as_ref() != Some(&correction.new_sha256) {
        return None;
    }
    let document = row.normalized.clone().map(Stated::Document);
    document.or_else(|| row.nothing.clone().map(Stated::Nothing))
}

fn outdated(row: &LedgerRow, correction: &Correction) -> Fault {
    let is = match row.document_sha256() {
        Some(sha256) => format!("its document is {sha256}"),
        None => format!("it is {}", row.status.as_str()),
    };
    Fault::new(
        Code::CorrectionOutdated,
        format!(
            "event {} is left as it is: {is}, and the correction of operation {} is of document {}; plan another correction",
            row.ingest_id, correction.operation_id, correction.old_sha256
        ),
    )
}

async fn mapped(deps: &Deps, event: &EventDetail, correction: &Correction) -> Result<Stated, Fault> {
    let digest = &correction.bundle;
    let bundle = deps.bundles.get(digest).await?;
    let contract = &bundle.contract;
    if (&contract.vendor_id, &contract.event_type) != (&event.key.vendor_id, &event.event_type) {
        return Err(Fault::new(
            Code::BundleSignatureInvalid,
            format!(
                "the correction of operation {} names the bundle {digest}, which is for {} {}",
                correction.operation_id, contract.vendor_id, contract.event_type
            ),
        ));
    }
    let raw = deps.raw.get(&event.raw_ref).await?;
    let Mapped { outcome, fuel } = map(event, &bundle, &raw)?;
    let sha256 = sluice_core::digest::Sha256Hex::of(outcome.document());
    if sha256 != correction.new_sha256 {
        return Err(Fault::new(
            Code::CorrectionOutdated,
            format!(
                "event {} is left as it is: the bundle {digest} makes the document {sha256} of it, and {} was planned; \
                 plan another correction",
                event.ingest_id, correction.new_sha256
            ),
        ));
    }
    let at = deps.clock.now();
    Ok(match outcome {
        Outcome::Nothing(reason) => Stated::Nothing(Nothing::new(reason, digest.clone(), fuel, at)),
        Outcome::Events { bytes, events } => {
            let canonical = &contract.canonical;
            let key = normalized_key(&canonical.r#type, event.received_at, event.ingest_id, &sha256);
            let r#ref = deps.normalized.put_if_absent(&key, Bytes::from(bytes), &sha256).await?;
            let vendor_health = if contract.vendor_health { health(deps, event).await } else { None };
            Stated::Document(Normalized {
                r#ref,
                sha256,
                events,
                event_type: canonical.r#type.clone(),
                schema_version: canonical.version.clone(),
                bundle: digest.clone(),
                fuel,
                at,
                vendor_health,
            })
        }
    })
}

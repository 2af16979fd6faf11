//! The dry run: the very mapping that `normalize` executes ([`sluice_mapping::map`]) over the
//! stored raw bytes; nothing is written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use sluice_core::bundle::ActiveMapper;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::{Freshness, RawStore as _, VendorDirectory as _};
use sluice_core::record::LedgerRow;
use sluice_core::{Code, Fault};
use sluice_mapping::{Bundles, TrustKeys};

use super::Outcome;
use super::rows::Rows;
use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::progress::Progress;

/// Events that a dry run maps at once.
const MAPPED_AT_ONCE: usize = 8;

/// Maps every event as `normalize` would, now, and compares with what the ledger says.
pub(super) async fn map(
    cloud: &Cloud,
    rows: &mut Rows<'_>,
    trust: TrustKeys,
    progress: &dyn Progress,
) -> Result<Outcome, OpsError> {
    let bundles = Bundles::new(Arc::new(cloud.bundles()), trust)
        .map_err(|error| Fault::new(Code::Unavailable, error.to_string()))?;
    let (vendors, raw) = (cloud.vendors(), cloud.objects());
    let mut active: HashMap<(VendorId, EventType), Option<ActiveMapper>> = HashMap::new();
    let mut outcome = Outcome::default();
    while let Some(page) = rows.next().await? {
        for row in &page {
            let key = (row.key.vendor_id.clone(), row.event_type.clone());
            if let Entry::Vacant(unknown) = active.entry(key) {
                let (vendor_id, event_type) = unknown.key();
                let mapper = vendors.active_mapper(vendor_id, event_type, Freshness::Fresh).await?;
                unknown.insert(mapper);
            }
        }
        let mappings = page.into_iter().map(|row| {
            let mapper = active.get(&(row.key.vendor_id.clone(), row.event_type.clone())).cloned().flatten();
            let (bundles, raw) = (&bundles, &raw);
            async move {
                let mapped = mapped(bundles, raw, &row, mapper).await?;
                Ok::<_, OpsError>((row, mapped))
            }
        });
        let mut mappings = futures::stream::iter(mappings).buffered(MAPPED_AT_ONCE);
        while let Some((row, mapped)) = mappings.try_next().await? {
            match mapped {
                Ok(sha256) => {
                    outcome.succeeds(row.document_sha256() != Some(sha256), row.status);
                }
                Err(fault) => {
                    outcome.fails(fault.code.as_str(), &fault.message, row.ingest_id, Some(row.status));
                }
            }
        }
        progress.say(&format!("mapped {}", outcome.succeeded + outcome.failed));
    }
    Ok(outcome.sorted())
}

/// The digest of the document, or why there is none. What a retry would get past ends the
/// prediction.
async fn mapped(
    bundles: &Bundles,
    raw: &sluice_aws::raw::S3RawStore,
    row: &LedgerRow,
    mapper: Option<ActiveMapper>,
) -> Result<Result<Sha256Hex, Fault>, OpsError> {
    let document = async {
        let mapper = mapper.ok_or_else(|| {
            Fault::new(
                Code::MapperMissing,
                format!("{} has no active mapper for {}: publish one", row.key.vendor_id, row.event_type),
            )
        })?;
        let bundle = bundles.get(&mapper.bundle).await?;
        let bytes = raw.get(&row.raw_ref).await?;
        let event = row.rerun(0);
        // A mapper may take as long as its fuel lasts.
        let mapped = tokio::task::spawn_blocking(move || sluice_mapping::map(&event, &bundle, &bytes)).await;
        let mapped = mapped
            .map_err(|error| Fault::new(Code::Unavailable, format!("the mapping failed: {error}")))??;
        Ok::<_, Fault>(Sha256Hex::of(mapped.outcome.document()))
    };
    match document.await {
        Err(fault) if fault.error_type() == "Retryable" => Err(fault.into()),
        result => Ok(result),
    }
}

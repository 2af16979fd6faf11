//! How well vendors send, a UTC day at a time (`docs/vendor-health.md` has the formulas).
//!
//! Computed from the balance that `reconcile` keeps; hours that it has not closed are counted now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sluice_core::balance::{BalanceStore as _, Count, Hour};
use sluice_core::books::{Books as _, Examination};
use sluice_core::health::{Health, day_of};
use sluice_core::id::VendorId;

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::progress::Progress;

/// A day of vendors' health.
#[derive(Debug, Serialize)]
pub struct Days {
    /// The UTC day.
    pub day: String,
    /// Each vendor's.
    pub vendors: Vec<Health>,
}

/// How well vendors sent on a day, today if `None`.
///
/// # Errors
/// When there is no such vendor, and when a table does not answer.
pub async fn day(
    cloud: &Cloud,
    id: Option<&VendorId>,
    day: Option<Date>,
    progress: &dyn Progress,
) -> Result<Days, OpsError> {
    let now = Timestamp::now();
    let day = day.unwrap_or_else(|| now.to_zoned(jiff::tz::TimeZone::UTC).date());
    let start: Timestamp =
        format!("{day}T00:00:00Z").parse().map_err(|error| OpsError::invalid(format!("{day}: {error}")))?;
    let directory = cloud.vendors();
    let registered: BTreeSet<VendorId> =
        directory.list().await?.into_iter().map(|profile| profile.vendor_id).collect();
    if let Some(id) = id.filter(|id| !registered.contains(*id)) {
        return Err(OpsError::not_found(format!("there is no vendor {id}")));
    }
    progress.say(&format!("reading the balance of {day}"));
    let counts = counts(id, start, now, cloud).await?;
    let wanted: BTreeSet<&VendorId> = match id {
        Some(id) => BTreeSet::from([id]),
        None => registered.iter().chain(counts.keys()).collect(),
    };
    let found =
        wanted.into_iter().map(|vendor| (vendor.clone(), counts.get(vendor).copied().unwrap_or_default()));
    let (_, first, last) = day_of(start);
    let balances = cloud.balances();
    let mut vendors = Vec::new();
    for (vendor, count) in found {
        let duplicates = balances.duplicates(&vendor, first, last).await?;
        vendors.push(Health::of(vendor, &count, &duplicates));
    }
    Ok(Days { day: day.to_string(), vendors })
}

/// A day's counts by vendor: what is closed from the table, the rest now.
async fn counts(
    id: Option<&VendorId>,
    start: Timestamp,
    now: Timestamp,
    cloud: &Cloud,
) -> Result<BTreeMap<VendorId, Count>, OpsError> {
    let (books, balances) = (cloud.books(), cloud.balances());
    let vendors = match id {
        Some(id) => vec![id.clone()],
        None => books.vendors().await?,
    };
    let (_, first, last) = day_of(start);
    let mut sums: BTreeMap<VendorId, Count> = BTreeMap::new();
    let (open, progress) = tokio::try_join!(balances.open_hours(), balances.progress())?;
    let open: BTreeSet<Hour> = open.into_iter().map(|entry| entry.hour).collect();
    let is_closed = |hour: Hour| progress.next_hour.is_some_and(|next| hour < next) && !open.contains(&hour);
    for vendor in &vendors {
        for row in balances.rows(vendor, first, last).await?.into_iter().filter(|row| is_closed(row.hour)) {
            sums.entry(vendor.clone()).or_default().add(&row.count);
        }
    }
    let earliest = books.first_received().await?.map(Hour::of);
    let mut hour = first;
    while hour <= last.min(Hour::of(now)) {
        if earliest.is_some_and(|earliest| hour >= earliest) && !is_closed(hour) {
            let examination = Examination::new(&books, &vendors, id, hour.start(), hour.end());
            for (vendor, count) in examination.counts(&mut |_| {}).await? {
                sums.entry(vendor).or_default().add(&count);
            }
        }
        hour = hour.next();
    }
    Ok(sums)
}

//! `reconcile`: runs on a schedule, runs stuck events again, has downstream told again of documents that canonical state does not
//! have, and keeps the balance (G2).
//!
//! Every run is bounded, in reruns and in time, and goes on where the last one stopped. Nothing it does is wrong when two runs
//! overlap: a rerun's name is that of its window, an hour's row is replaced by a newer count, and closing twice is closing once.

mod config;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_core::balance::{BalanceRow, BalanceStore, Count, Hour, OpenHour, Progress, StuckCursor};
use sluice_core::books::{Books, Examination, Kind};
use sluice_core::health::{Health, HealthNote, day_of};
use sluice_core::id::{IngestId, VendorId};
use sluice_core::jiff::{SignedDuration, Timestamp};
use sluice_core::limits::STATUS_SHARDS;
use sluice_core::port::{Clock, Freshness, Ledger, QuarantineStore, Rerun, Reruns, VendorDirectory};
use sluice_core::record::{LedgerRow, Resolution, Status, VendorProfile};
use sluice_core::{Code, Fault};

pub use config::Config;

/// From which age a row that is RECEIVED counts as stuck, in seconds: longer than `normalize` may take with all its retries.
pub const STUCK_SECONDS: u32 = 900;

/// Most reruns that one run starts.
pub const RERUNS_MAX: usize = 500;

/// Most documents of which one run has downstream told again.
pub const TOLD_AGAIN_PER_RUN_MAX: usize = 500;

/// Rows of one shard read at once.
const ROWS_PER_READ: usize = 100;

/// Most rows that are HELD of which one run looks whether their vendor is on hold.
pub const HELD_PER_RUN_MAX: usize = 2_000;

/// How long before the release of its vendor an event may have come to be HELD and still be missing in the release's plan, in seconds: the
/// index by status lags.
pub const STRAY_SECONDS: i64 = 60;

/// How long after its end an hour may still change by itself, in seconds: clocks differ, indexes lag.
pub const GRACE_SECONDS: i64 = 600;

/// How often an open hour that lies back is counted again, in seconds.
pub const RECOUNT_SECONDS: i64 = 3_600;

/// Most hours that are put on the list by one run.
const HOURS_LISTED_MAX: usize = 2_000;

/// After this time no further hour is begun.
const WORK_TIME_MAX: Duration = Duration::from_secs(120);

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Ledger, objects, quarantine and canonical state, to be examined.
    pub books: Arc<dyn Books>,
    /// To have downstream told again of what it did not apply.
    pub ledger: Arc<dyn Ledger>,
    /// Balances.
    pub balances: Arc<dyn BalanceStore>,
    /// To close rows of events that are normalized.
    pub quarantine: Arc<dyn QuarantineStore>,
    /// Which vendors are on hold.
    pub vendors: Arc<dyn VendorDirectory>,
    /// Runs events again.
    pub reruns: Arc<dyn Reruns>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        let names = sluice_aws::books::Names {
            ledger: config.ledger_table.clone(),
            quarantine: config.quarantine_table.clone(),
            canonical_state: config.canonical_state_table,
            raw: config.raw_bucket,
            normalized: config.normalized_bucket,
        };
        Self {
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            books: Arc::new(sluice_aws::books::AwsBooks::new(sdk, names)),
            balances: Arc::new(sluice_aws::balance::DynamoBalance::new(sdk, config.balance_table)),
            quarantine: Arc::new(sluice_aws::quarantine::DynamoQuarantine::new(sdk, config.quarantine_table)),
            vendors: Arc::new(sluice_aws::vendors::DynamoVendors::new(sdk, config.vendors_table)),
            reruns: Arc::new(sluice_aws::recoveries::SfnReruns::new(sdk, config.recover_state_machine_arn)),
            clock: Arc::new(sluice_aws::clock::SystemClock),
        }
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(sdk, Config::from_env(lookup)?))
    }
}

/// What the schedule may say; whatever else is in its event is not looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Input {
    /// See [`STUCK_SECONDS`].
    stuck_seconds: u32,
    /// See [`RERUNS_MAX`].
    reruns_max: usize,
    /// See [`RECOUNT_SECONDS`].
    recount_seconds: i64,
}

impl Default for Input {
    fn default() -> Self {
        Self { stuck_seconds: STUCK_SECONDS, reruns_max: RERUNS_MAX, recount_seconds: RECOUNT_SECONDS }
    }
}

/// One run; gives `{"reruns", "letGo", "oldestReceivedAgeSeconds", "hours", "closed", "unaccounted", "released", "unapplied",
/// "toldAgain", "scores"}`.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let input: Input = match input {
        Value::Null => Input::default(),
        input => serde_json::from_value(input).map_err(|error| {
            Fault::new(Code::InputMalformed, "the input is not {stuckSeconds?, rerunsMax?, recountSeconds?}")
                .with_source(error)
        })?,
    };
    let now = deps.clock.now();
    let mut progress = deps.balances.progress().await?;

    let oldest_seconds = oldest_received_seconds(deps, now).await?;
    sluice_aws::metric::count("ledger.oldest_received_age_s", oldest_seconds as f64, &[]);
    let reruns = rerun_stuck(deps, &input, now, &mut progress).await?;

    let let_go = let_strays_go(deps, now, &mut progress).await?;

    list_hours(deps, now, &mut progress).await?;
    // Before the counting, so that a run that is cut off has still listed what there is to do.
    deps.balances.set_progress(&progress).await?;
    let hours = count_hours(deps, &input, now, started).await?;
    sluice_aws::metric::count("balance.unaccounted", hours.unaccounted as f64, &[]);
    sluice_aws::metric::count("balance.unapplied", hours.unapplied as f64, &[]);
    let scores = score(deps, now, started).await?;

    tracing::info!(
        reruns,
        let_go,
        oldest_seconds,
        hours = hours.counted,
        closed = hours.closed,
        unaccounted = hours.unaccounted,
        scores,
        latencyMs = started.elapsed().as_millis() as u64,
        "reconciled"
    );
    Ok(json!({
        "reruns": reruns,
        "letGo": let_go,
        "oldestReceivedAgeSeconds": oldest_seconds,
        "hours": hours.counted,
        "closed": hours.closed,
        "unaccounted": hours.unaccounted,
        "released": hours.released,
        "unapplied": hours.unapplied,
        "toldAgain": hours.told_again,
        "scores": scores,
    }))
}

/// Age of the oldest event that is in flight, in seconds; 0 if there is none.
async fn oldest_received_seconds(deps: &Deps, now: Timestamp) -> Result<i64, Fault> {
    let mut oldest: Option<Timestamp> = None;
    for shard in 0..STATUS_SHARDS {
        let mut rows = deps.books.by_status(Status::Received, shard, Timestamp::UNIX_EPOCH, 1).await?;
        if rows.first().is_some_and(|row| row.waited.is_some()) {
            // Let go after a hold: it is old, and not long on its way.
            rows =
                deps.books.by_status(Status::Received, shard, Timestamp::UNIX_EPOCH, ROWS_PER_READ).await?;
        }
        oldest = rows.iter().map(LedgerRow::in_flight_since).chain(oldest).min();
    }
    Ok(oldest.map_or(0, |at| (now.as_second() - at.as_second()).max(0)))
}

/// Runs again what is RECEIVED for too long, from where the last run stopped, once round the shards at most.
async fn rerun_stuck(
    deps: &Deps,
    input: &Input,
    now: Timestamp,
    progress: &mut Progress,
) -> Result<usize, Fault> {
    let stuck_seconds = input.stuck_seconds.max(1);
    let before = now - SignedDuration::from_secs(i64::from(stuck_seconds));
    // Within one window an event has one rerun, whoever asks; `normalize` starts its own recovery as 0.
    let window = u32::try_from(now.as_second() / i64::from(stuck_seconds)).unwrap_or(u32::MAX).max(1);
    let begin = progress.stuck.take().unwrap_or(StuckCursor { shard: 0, after: Timestamp::UNIX_EPOCH });
    let (mut shard, mut after) = (begin.shard % STATUS_SHARDS, begin.after);
    let (mut started, mut asked, mut shards_done) = (0, 0, 0);
    // The first shard is finished at the end, from its beginning: hence one more than there are.
    while shards_done <= STATUS_SHARDS {
        let rows = deps.books.by_status(Status::Received, shard, after, ROWS_PER_READ).await?;
        let more = rows.len() == ROWS_PER_READ && rows.last().is_some_and(|row| row.received_at <= before);
        for row in rows.into_iter().filter(|row| row.received_at <= before) {
            if asked >= input.reruns_max {
                progress.stuck = Some(StuckCursor { shard, after });
                return Ok(started);
            }
            after = just_before(&row, after);
            if row.in_flight_since() > before {
                continue;
            }
            asked += 1;
            let event = row.rerun(window);
            match deps.reruns.rerun(&event).await {
                Ok(Rerun::Started(_)) => {
                    started += 1;
                    tracing::warn!(
                        ingestId = %row.ingest_id,
                        vendorId = %row.key.vendor_id,
                        externalEventId = %row.key.external_event_id,
                        "an event was RECEIVED for too long and is run again"
                    );
                }
                Ok(Rerun::Exists) => {}
                // The next run asks again.
                Err(fault) if fault.code.class() == sluice_core::Class::Retryable => {
                    progress.stuck = Some(StuckCursor { shard, after });
                    tracing::warn!(code = %fault.code, "reruns are put off: {fault}");
                    return Ok(started);
                }
                Err(fault) => return Err(fault),
            }
        }
        if !more {
            shard = (shard + 1) % STATUS_SHARDS;
            after = Timestamp::UNIX_EPOCH;
            shards_done += 1;
        }
    }
    Ok(started)
}

/// From where to read on after a row. Rows of one millisecond may lie on both sides of a page: that millisecond is read again, if
/// there is progress.
fn just_before(row: &LedgerRow, after: Timestamp) -> Timestamp {
    let just_before = row.received_at - SignedDuration::from_millis(1);
    if just_before > after { just_before } else { row.received_at }
}

/// Lets go what is HELD of a vendor that is not on hold and came to be so too late for the release to see it. What the release saw it
/// lets go itself, at its pace, and what it left since a person stopped it stays. Looks at [`HELD_PER_RUN_MAX`] rows, from where the
/// last run stopped.
async fn let_strays_go(deps: &Deps, now: Timestamp, progress: &mut Progress) -> Result<u64, Fault> {
    let begin = progress.strays.take().unwrap_or(StuckCursor { shard: 0, after: Timestamp::UNIX_EPOCH });
    let (first, mut after) = (begin.shard % STATUS_SHARDS, begin.after);
    let mut profiles: BTreeMap<VendorId, Option<VendorProfile>> = BTreeMap::new();
    let (mut looked_at, mut let_go) = (0, 0);
    for shard in first..STATUS_SHARDS {
        loop {
            let rows = deps.books.by_status(Status::Held, shard, after, ROWS_PER_READ).await?;
            let more = rows.len() == ROWS_PER_READ;
            for row in rows {
                if looked_at >= HELD_PER_RUN_MAX {
                    progress.strays = Some(StuckCursor { shard, after });
                    return Ok(let_go);
                }
                looked_at += 1;
                after = just_before(&row, after);
                let vendor_id = &row.key.vendor_id;
                if !profiles.contains_key(vendor_id) {
                    let profile = deps.vendors.profile(vendor_id, Freshness::Fresh).await?;
                    profiles.insert(vendor_id.clone(), profile);
                }
                let Some(released) = stray(&row, profiles.get(vendor_id).and_then(Option::as_ref)) else {
                    continue;
                };
                let by = Resolution { at: now, ..released.clone() };
                if deps.ledger.let_go(&row.key, row.ingest_id, &by).await? {
                    let_go += 1;
                    tracing::warn!(
                        ingestId = %row.ingest_id,
                        vendorId = %vendor_id,
                        "an event was HELD after its vendor was released, and is let go"
                    );
                }
            }
            if !more {
                break;
            }
        }
        after = Timestamp::UNIX_EPOCH;
    }
    Ok(let_go)
}

/// The release that a row that is HELD has missed; `None` if it has missed none.
fn stray<'a>(row: &LedgerRow, profile: Option<&'a VendorProfile>) -> Option<&'a Resolution> {
    let profile = profile.filter(|profile| profile.on_hold.is_none())?;
    let (released, waited) = (profile.released.as_ref()?, row.waited.as_ref()?);
    let late = released.at - SignedDuration::from_secs(STRAY_SECONDS);
    (waited.since >= late).then_some(released)
}

/// Puts every hour up to now that was never seen on the list.
async fn list_hours(deps: &Deps, now: Timestamp, progress: &mut Progress) -> Result<(), Fault> {
    let mut next = match progress.next_hour {
        Some(hour) => hour,
        None => match deps.books.first_received().await? {
            Some(first) => Hour::of(first),
            None => return Ok(()),
        },
    };
    let mut listed = 0;
    while next <= Hour::of(now) && listed < HOURS_LISTED_MAX {
        deps.balances.open_hour(&OpenHour { hour: next, counted_at: Timestamp::UNIX_EPOCH }).await?;
        next = next.next();
        listed += 1;
    }
    progress.next_hour = Some(next);
    Ok(())
}

#[derive(Default)]
struct Hours {
    counted: u64,
    closed: u64,
    unaccounted: u64,
    released: u64,
    unapplied: u64,
    told_again: u64,
}

/// Counts open hours: the current and the last one always, those that lie back when they were never counted or not for a while.
async fn count_hours(deps: &Deps, input: &Input, now: Timestamp, started: Instant) -> Result<Hours, Fault> {
    let mut open = deps.balances.open_hours().await?;
    let live = Hour::of(now).previous();
    open.retain(|entry| {
        entry.hour >= live || now.as_second() - entry.counted_at.as_second() >= input.recount_seconds
    });
    // What was not counted for longest goes first; the live hours before all.
    open.sort_by_key(|entry| (entry.hour < live, entry.counted_at, entry.hour));
    let vendors = deps.books.vendors().await?;
    let mut hours = Hours::default();
    for entry in open {
        if started.elapsed() > WORK_TIME_MAX {
            break;
        }
        let (mut stale, mut unapplied) = (Vec::new(), Vec::new());
        let (from, to) = (entry.hour.start(), entry.hour.end());
        let examination = Examination::new(&*deps.books, &vendors, None, from, to).with_state(now);
        let counts = examination
            .counts(&mut |finding| match (finding.kind, finding.vendor_id, finding.ingest_id) {
                (Kind::QuarantineStale, Some(vendor), Some(id)) => stale.push((vendor, id)),
                (Kind::StateMissing, _, Some(id)) => unapplied.push(id),
                (kind, vendor, _) if kind.is_loss() => tracing::error!(
                    kind = kind.as_str(),
                    vendorId = vendor.as_ref().map(ToString::to_string).unwrap_or_default(),
                    subject = finding.subject,
                    "{}",
                    finding.detail
                ),
                _ => {}
            })
            .await?;
        for (vendor, id) in stale {
            deps.quarantine.release(&vendor, id, now).await?;
            hours.released += 1;
        }
        for id in unapplied {
            if hours.told_again < TOLD_AGAIN_PER_RUN_MAX as u64 && tell_again(deps, id, now).await? {
                hours.told_again += 1;
            }
        }
        let mut sum = Count::default();
        counts.values().for_each(|count| sum.add(count));
        hours.unapplied += sum.unapplied;
        let closed = entry.hour.is_over(now, GRACE_SECONDS) && sum.is_settled();
        let rows: Vec<BalanceRow> = counts
            .into_iter()
            .map(|(vendor_id, count)| BalanceRow {
                vendor_id,
                hour: entry.hour,
                count,
                counted_at: now,
                closed,
            })
            .collect();
        deps.balances.put(&rows).await?;
        if closed {
            deps.balances.close_hour(entry.hour).await?;
            hours.closed += 1;
        } else {
            deps.balances.open_hour(&OpenHour { hour: entry.hour, counted_at: now }).await?;
        }
        hours.counted += 1;
        hours.unaccounted += sum.unaccounted();
    }
    Ok(hours)
}

/// Has the ledger's stream tell again of a document that canonical state does not have; whether it does.
async fn tell_again(deps: &Deps, id: IngestId, now: Timestamp) -> Result<bool, Fault> {
    let Some(row) = deps.books.row(id).await? else { return Ok(false) };
    // The index may lag behind the row.
    let Some(row) = deps.books.row_at(&row.key).await?.filter(|now| now.ingest_id == id) else {
        return Ok(false);
    };
    if !row.is_to_be_told_again(now) {
        return Ok(false);
    }
    tracing::warn!(
        ingestId = %row.ingest_id,
        vendorId = %row.key.vendor_id,
        externalEventId = %row.key.external_event_id,
        "an event is normalized and was not applied: event.normalized is sent again"
    );
    deps.ledger.tell_again(&row, now).await
}

/// Renews each vendor's score: of today, or of yesterday while today has no events. Gives how many there are.
async fn score(deps: &Deps, now: Timestamp, started: Instant) -> Result<u64, Fault> {
    let mut scores = 0;
    for vendor_id in deps.books.vendors().await? {
        if started.elapsed() > WORK_TIME_MAX {
            break;
        }
        for days_ago in 0..2 {
            let at = now - SignedDuration::from_hours(24 * days_ago);
            let Some((day, score)) = score_of(deps, &vendor_id, at).await? else { continue };
            deps.balances.put_health(&vendor_id, &HealthNote { day, score, at: now }).await?;
            scores += 1;
            break;
        }
    }
    Ok(scores)
}

async fn score_of(deps: &Deps, vendor_id: &VendorId, at: Timestamp) -> Result<Option<(String, u32)>, Fault> {
    let (day, first, last) = day_of(at);
    let mut sum = Count::default();
    deps.balances.rows(vendor_id, first, last).await?.iter().for_each(|row| sum.add(&row.count));
    let duplicates = deps.balances.duplicates(vendor_id, first, last).await?;
    Ok(Health::of(vendor_id.clone(), &sum, &duplicates).score.map(|score| (day, score)))
}

#[cfg(test)]
mod tests;

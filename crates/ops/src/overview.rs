//! The overview: whether anything is lost, in one sentence, and what needs a person.
//!
//! It is made of what is cheap to read: the balance that `reconcile` stores, the index of events in
//! flight, open quarantine rows, pointers with a canary, and the attributes of the queues. How old
//! the balance is stands beside it; [`crate::balance::count`] counts afresh. Each part has its own
//! error: a service that is away hides nothing else, and nothing unknown is shown as zero.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::error::fault;
use sluice_aws::ledger::BY_STATUS;
use sluice_core::balance::{BalanceRow, BalanceStore as _, Count, Hour, OpenHour, Progress};
use sluice_core::bundle::{Canary, CanaryCounts, Verdict};
use sluice_core::id::{EventType, IngestId, VendorId};
use sluice_core::port::MapperPointers as _;
use sluice_core::quarantine::{Group, GroupState};
use sluice_core::record::{LedgerRow, QuarantineStatus, Status};
use sluice_core::{Code, Fault};

use crate::cloud::Cloud;
use crate::document::{millis, millis_opt};
use crate::error::OpsError;
use crate::part::Part;
use crate::quarantine;

/// Hours of the strip, unless told otherwise.
pub const HOURS_DEFAULT: u32 = 24;

/// Most hours of the strip.
pub const HOURS_MAX: u32 = 24 * 31;

/// Groups listed.
const GROUPS_TOP: usize = 5;

/// Reads at once.
const READS_AT_ONCE: usize = 8;

/// Everything of the first page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// When it was made.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// The balance of the last hours, as it is stored.
    pub books: Part<Books>,
    /// Events on their way.
    pub in_flight: Part<InFlight>,
    /// What waits in quarantine.
    pub quarantine: Part<Waiting>,
    /// Candidates on trial.
    pub canaries: Part<Vec<OnTrial>>,
    /// What waits in each queue.
    pub queues: Part<Vec<Queue>>,
}

/// The stored balance of some hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Books {
    /// The balance in one sentence.
    pub sentence: String,
    /// Whether nothing is unaccounted for in any hour that was counted.
    pub balanced: bool,
    /// Events that are in none of the four.
    pub unaccounted: u64,
    /// All hours together.
    pub count: Count,
    /// The oldest count among the hours that may still change, if there is one: how old the
    /// sentence is.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
    /// The last hour that is closed: it is not counted again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_closed: Option<Hour>,
    /// Hour by hour, the oldest first.
    pub hours: Vec<HourSum>,
}

/// One hour of all vendors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HourSum {
    /// The hour.
    pub hour: Hour,
    /// Where it is.
    pub state: HourState,
    /// What was found; `None` if it was not counted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
    /// Events that are in none of the four.
    pub unaccounted: u64,
    /// When it was counted: the earliest count of a vendor.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
}

/// Where an hour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HourState {
    /// It is over and settled, and not counted again.
    Closed,
    /// It was counted, and may change.
    Open,
    /// It was not counted yet.
    Uncounted,
}

/// Events on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// How many, by the index, this moment.
    pub events: u64,
    /// The one that was accepted first. Its age is what the stream, the relay and `normalize` lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Oldest>,
}

/// The oldest event on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Oldest {
    /// The event.
    pub ingest_id: IngestId,
    /// Whose it is.
    pub vendor_id: VendorId,
    /// When it was accepted.
    #[serde(serialize_with = "millis")]
    pub received_at: Timestamp,
    /// How long ago that is, in seconds.
    pub age_seconds: i64,
}

/// What waits in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Open events.
    pub events: u64,
    /// Groups with open events.
    pub groups: usize,
    /// Of those, groups that nobody has acknowledged.
    pub unacknowledged: usize,
    /// The largest groups.
    pub top: Vec<Group>,
}

/// A candidate on trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnTrial {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Which of them.
    pub event_type: EventType,
    /// The trial.
    pub canary: Canary,
    /// What each side has done.
    pub counts: CanaryCounts,
    /// How it does.
    pub verdict: Verdict,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Its name.
    pub queue: String,
    /// Messages that wait, about.
    pub waiting: u64,
    /// Messages that a handler has, about.
    pub in_progress: u64,
    /// Whether it is one of dead letters.
    pub dead_letters: bool,
}

/// Reads the overview. It does not fail: each part says for itself what is unknown.
pub async fn read(cloud: &Cloud, hours: u32) -> Overview {
    let at = Timestamp::now();
    let (books, in_flight, quarantine, canaries, queues) = tokio::join!(
        books(cloud, at, hours),
        in_flight(cloud, at),
        waiting(cloud),
        canaries(cloud),
        queues(cloud)
    );
    Overview {
        at,
        books: books.into(),
        in_flight: in_flight.into(),
        quarantine: quarantine.into(),
        canaries: canaries.into(),
        queues: queues.into(),
    }
}

async fn books(cloud: &Cloud, at: Timestamp, hours: u32) -> Result<Books, OpsError> {
    let last = Hour::of(at);
    let mut first = last;
    for _ in 1..hours.clamp(1, HOURS_MAX) {
        first = first.previous();
    }
    let (directory, balances) = (cloud.vendors(), cloud.balances());
    let (vendors, open, progress) =
        tokio::try_join!(directory.list(), balances.open_hours(), balances.progress())?;
    let rows: Vec<Vec<BalanceRow>> = futures::stream::iter(vendors)
        .map(|profile| {
            let balances = &balances;
            async move { balances.rows(&profile.vendor_id, first, last).await }
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Books::new(first, last, rows.into_iter().flatten(), &open, &progress))
}

impl Books {
    /// Of stored rows, and of what `reconcile` has still to look at.
    pub fn new(
        first: Hour,
        last: Hour,
        rows: impl IntoIterator<Item = BalanceRow>,
        open: &[OpenHour],
        progress: &Progress,
    ) -> Self {
        let mut by_hour: BTreeMap<Hour, Vec<BalanceRow>> = BTreeMap::new();
        for row in rows {
            by_hour.entry(row.hour).or_default().push(row);
        }
        let mut books = Self {
            sentence: String::new(),
            balanced: true,
            unaccounted: 0,
            count: Count::default(),
            counted_at: None,
            last_closed: None,
            hours: Vec::new(),
        };
        let mut hour = first;
        while hour <= last {
            let rows = by_hour.remove(&hour).unwrap_or_default();
            let is_open = open.iter().any(|entry| entry.hour == hour);
            let is_past = progress.next_hour.is_some_and(|next| hour < next);
            books.add(HourSum::new(hour, &rows, is_past && !is_open));
            hour = hour.next();
        }
        books.balanced = books.unaccounted == 0;
        books.sentence = sentence(&books.count);
        books
    }

    fn add(&mut self, sum: HourSum) {
        if let Some(count) = &sum.count {
            self.count.add(count);
        }
        self.unaccounted += sum.unaccounted;
        match sum.state {
            HourState::Closed => self.last_closed = Some(sum.hour),
            HourState::Open => {
                self.counted_at = [self.counted_at, sum.counted_at].into_iter().flatten().min();
            }
            HourState::Uncounted => {}
        }
        self.hours.push(sum);
    }
}

impl HourSum {
    fn new(hour: Hour, rows: &[BalanceRow], closed: bool) -> Self {
        let mut count = Count::default();
        rows.iter().for_each(|row| count.add(&row.count));
        let state = match (closed, rows.is_empty()) {
            (true, _) => HourState::Closed,
            (false, false) => HourState::Open,
            (false, true) => HourState::Uncounted,
        };
        Self {
            hour,
            state,
            // A loss of one vendor is not made up for by another.
            unaccounted: rows.iter().map(|row| row.count.unaccounted()).sum(),
            count: (state != HourState::Uncounted).then_some(count),
            counted_at: rows.iter().map(|row| row.counted_at).min(),
        }
    }
}

/// The balance in one sentence.
pub fn sentence(count: &Count) -> String {
    let unaccounted = match count.unaccounted() {
        0 => "nothing unaccounted for".to_owned(),
        lost => format!("{} unaccounted for", grouped(lost)),
    };
    format!(
        "{} accepted = {} normalized + {} nothing to state + {} quarantined + {} held + {} in flight; {unaccounted}",
        grouped(count.accepted),
        grouped(count.normalized),
        grouped(count.nothing_to_state),
        grouped(count.quarantined),
        grouped(count.held),
        grouped(count.in_flight)
    )
}

/// A number with a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

async fn in_flight(cloud: &Cloud, at: Timestamp) -> Result<InFlight, OpsError> {
    let ledger = cloud.ledger();
    let (counted, oldest) = tokio::try_join!(ledger.count(Status::Received), oldest(cloud))?;
    let oldest = oldest.map(|row| Oldest {
        ingest_id: row.ingest_id,
        vendor_id: row.key.vendor_id,
        received_at: row.received_at,
        age_seconds: (at.as_second() - row.received_at.as_second()).max(0),
    });
    Ok(InFlight { events: counted.rows, oldest })
}

/// The first row of each partition of the index, which is sorted by time.
async fn oldest(cloud: &Cloud) -> Result<Option<LedgerRow>, Fault> {
    let client = cloud.dynamodb();
    let table = cloud.names().ledger.as_str();
    let firsts: Vec<Option<LedgerRow>> = futures::stream::iter(Status::Received.shards())
        .map(|shard| {
            let client = &client;
            async move {
                let answer = client
                    .query()
                    .table_name(table)
                    .index_name(BY_STATUS)
                    .key_condition_expression("statusShard = :shard")
                    .expression_attribute_values(":shard", AttributeValue::S(shard))
                    .limit(1)
                    .send()
                    .await
                    .map_err(|error| fault("look for the oldest event in flight", error))?;
                let item = answer.items.unwrap_or_default().into_iter().next();
                item.map(serde_dynamo::from_item).transpose().map_err(|error| {
                    Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
                        .with_source(error)
                })
            }
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(firsts.into_iter().flatten().min_by_key(|row| (row.received_at, row.ingest_id)))
}

async fn waiting(cloud: &Cloud) -> Result<Waiting, OpsError> {
    let rows = cloud.quarantine().list(None, Some(QuarantineStatus::Open)).await?;
    Ok(Waiting::new(quarantine::grouped(cloud, &rows).await?))
}

impl Waiting {
    /// Of groups, the largest first.
    pub fn new(mut groups: Vec<Group>) -> Self {
        groups.retain(|group| group.open > 0);
        let unacknowledged = groups.iter().filter(|group| group.state == GroupState::Open).count();
        let (events, number) = (groups.iter().map(|group| group.open).sum(), groups.len());
        groups.truncate(GROUPS_TOP);
        Self { events, groups: number, unacknowledged, top: groups }
    }
}

async fn canaries(cloud: &Cloud) -> Result<Vec<OnTrial>, OpsError> {
    let vendors = cloud.vendors();
    let mut trials = Vec::new();
    for active in vendors.list_mappers().await? {
        let Some(canary) = active.canary else { continue };
        let (vendor_id, event_type) = (active.contract.vendor_id, active.contract.event_type);
        let counts = vendors.counts(&vendor_id, &event_type, active.revision).await?;
        let verdict = canary.verdict(&counts);
        trials.push(OnTrial { vendor_id, event_type, canary, counts, verdict });
    }
    trials.sort_by(|a, b| (&a.vendor_id, &a.event_type).cmp(&(&b.vendor_id, &b.event_type)));
    Ok(trials)
}

async fn queues(cloud: &Cloud) -> Result<Vec<Queue>, OpsError> {
    let client = cloud.sqs();
    let pointers = cloud.names().dlq.as_str();
    let prefix = pointers.strip_suffix("dlq").unwrap_or(pointers);
    let urls: Vec<String> = client
        .list_queues()
        .queue_name_prefix(prefix)
        .max_results(1_000)
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .map_err(|error| fault("list the queues", error))?;
    let mut queues: Vec<Queue> = futures::stream::iter(urls)
        .map(|url| {
            let client = &client;
            async move {
                let answer = client
                    .get_queue_attributes()
                    .queue_url(&url)
                    .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
                    .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
                    .send()
                    .await
                    .map_err(|error| fault("read a queue's attributes", error))?;
                let attributes = answer.attributes.unwrap_or_default();
                let number = |name: QueueAttributeName| {
                    attributes.get(&name).and_then(|number| number.parse().ok()).unwrap_or(0)
                };
                let queue = url.rsplit('/').next().unwrap_or_default().to_owned();
                Ok::<_, OpsError>(Queue {
                    waiting: number(QueueAttributeName::ApproximateNumberOfMessages),
                    in_progress: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
                    dead_letters: queue.ends_with("dlq"),
                    queue,
                })
            }
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(queues)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;
    use crate::testing::quarantine_row;

    fn hour(text: &str) -> Hour {
        text.parse().unwrap()
    }

    fn row(vendor: &str, at: &str, count: Count, closed: bool) -> BalanceRow {
        let counted_at = hour(at).end();
        BalanceRow { vendor_id: vendor.parse().unwrap(), hour: hour(at), count, counted_at, closed }
    }

    #[test]
    fn the_balance_is_one_sentence() {
        let count =
            Count { accepted: 12_480, normalized: 12_431, quarantined: 44, in_flight: 5, ..Count::default() };
        assert_eq!(
            sentence(&count),
            "12,480 accepted = 12,431 normalized + 0 nothing to state + 44 quarantined + 0 held + 5 in flight; \
             nothing unaccounted for"
        );
        let lost = Count { accepted: 1_012_481, ..count };
        assert!(sentence(&lost).ends_with("; 1,000,001 unaccounted for"), "{}", sentence(&lost));
        assert_eq!([grouped(0), grouped(999), grouped(1_000)], ["0", "999", "1,000"]);
    }

    #[test]
    fn an_hour_that_was_not_counted_is_not_zero() {
        let good = Count { accepted: 3, normalized: 3, ..Count::default() };
        let short = Count { accepted: 3, normalized: 2, ..Count::default() };
        let rows = vec![
            row("a", "2026-11-21T08", good, true),
            row("a", "2026-11-21T10", short, false),
            row("b", "2026-11-21T10", good, false),
        ];
        let open = [OpenHour { hour: hour("2026-11-21T10"), counted_at: Timestamp::UNIX_EPOCH }];
        let progress = Progress { next_hour: Some(hour("2026-11-21T11")), ..Progress::default() };
        let books = Books::new(hour("2026-11-21T08"), hour("2026-11-21T11"), rows, &open, &progress);
        let states: Vec<HourState> = books.hours.iter().map(|hour| hour.state).collect();
        assert_eq!(states, [HourState::Closed, HourState::Closed, HourState::Open, HourState::Uncounted]);
        assert_eq!(books.hours[1].count, Some(Count::default()), "closed, and nothing came");
        assert_eq!(books.hours[3].count, None);
        assert_eq!((books.count.accepted, books.unaccounted, books.balanced), (9, 1, false));
        assert_eq!(books.last_closed, Some(hour("2026-11-21T09")));
        assert_eq!(books.counted_at, Some(hour("2026-11-21T10").end()), "of the hour that may change");
        let document = serde_json::to_value(&books).unwrap();
        assert!(document["hours"][3].get("count").is_none(), "{document}");
    }

    #[test]
    fn groups_that_wait_are_counted_and_the_largest_named() {
        let mut rows = Vec::new();
        for number in 0..7_u8 {
            let mut row = quarantine_row("OPEN", 1);
            row.fingerprint = format!("{number:016x}");
            row.ingest_id = format!("01KAJ3Y3R0000000000000000{number}").parse().unwrap();
            rows.push(row);
        }
        rows.push(quarantine_row("RELEASED", 1));
        let groups = sluice_core::quarantine::groups(&rows, &BTreeMap::new());
        let waiting = Waiting::new(groups);
        assert_eq!((waiting.events, waiting.groups, waiting.unacknowledged, waiting.top.len()), (7, 7, 7, 5));
    }
}

//! Search of events by a member of their payloads.
//!
//! There is no index of payloads: the newest events that a filter lets through are read one by one,
//! their raw objects with them, up to a bound; the answer says how many were looked at.

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_core::id::IngestId;
use sluice_core::port::RawStore as _;
use sluice_core::record::LedgerRow;
use sluice_core::{Code, Fault};

use crate::cloud::Cloud;
use crate::document::millis_opt;
use crate::error::OpsError;
use crate::events::{self, Event, Filter};
use crate::payload::{self, Member, is_value};

/// Most events that one search looks at.
pub const LOOKED_AT_MAX: usize = 2_000;

/// Raw objects read at once.
const READS_AT_ONCE: usize = 16;

/// Members shown of each event that was found.
const MEMBERS_MAX: usize = 5;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Search {
    /// Among which events; `limit` is how many are listed, and `scanned_max` how many rows of each
    /// of the ledger's partitions are read.
    pub filter: Filter,
    /// The member.
    pub member: Member,
    /// Its value; `None`: the member is there, whatever its value.
    pub value: Option<String>,
    /// Most events whose payload is looked at, at most [`LOOKED_AT_MAX`].
    pub looked_at_max: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The events, the newest first.
    pub events: Vec<Match>,
    /// Events whose payload was looked at.
    pub looked_at: usize,
    /// Of those, events whose payload is no JSON or is missing.
    pub unreadable: usize,
    /// There are events that the filter lets through and that were not looked at.
    pub more: bool,
    /// The oldest event that was looked at was received then: older ones were not.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Timestamp>,
    /// Goes on after this event, with [`Filter::after`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<IngestId>,
}

/// An event that has the member.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Where the member is, and its value; the first few.
    pub members: Vec<MemberAt>,
}

/// A member that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberAt {
    /// JSON pointer into the payload.
    pub pointer: String,
    /// Its value.
    pub value: Value,
}

/// Searches.
///
/// # Errors
/// When the ledger or the bucket does not answer. A payload that cannot be read is counted instead.
pub async fn by_member(cloud: &Cloud, search: &Search) -> Result<Found, OpsError> {
    let looked_at_max = search.looked_at_max.clamp(1, LOOKED_AT_MAX);
    let limit = search.filter.limit;
    let filter = Filter { limit: looked_at_max, ..search.filter.clone() };
    let read = events::rows(cloud, &filter).await?;
    let mut rows = events::newest_first(read.rows);
    let beyond = rows.len() > looked_at_max || read.cut;
    rows.truncate(looked_at_max);
    let objects = cloud.objects();
    let mut payloads = futures::stream::iter(rows)
        .map(|row| {
            let objects = &objects;
            async move {
                let payload = match objects.get(&row.raw_ref).await {
                    Ok(raw) => payload::read(&row, &raw),
                    Err(fault) if fault.code == Code::RawMissing => Err(fault.message),
                    Err(fault) => return Err(fault),
                };
                Ok::<_, Fault>((row, payload))
            }
        })
        .buffered(READS_AT_ONCE);
    let mut found =
        Found { events: Vec::new(), looked_at: 0, unreadable: 0, more: beyond, back_to: None, next: None };
    while let Some((row, payload)) = payloads.try_next().await? {
        found.look(search, row, payload);
        if found.events.len() >= limit {
            found.more = beyond || payloads.try_next().await?.is_some();
            break;
        }
    }
    if !found.more {
        found.next = None;
    }
    Ok(found)
}

impl Found {
    fn look(&mut self, search: &Search, row: LedgerRow, payload: Result<Value, String>) {
        self.looked_at += 1;
        self.back_to = Some(row.received_at);
        self.next = Some(row.ingest_id);
        let Ok(payload) = payload else {
            self.unreadable += 1;
            return;
        };
        let wanted = |value: &Value| search.value.as_deref().is_none_or(|typed| is_value(value, typed));
        let members: Vec<MemberAt> = search
            .member
            .find(&payload)
            .into_iter()
            .filter(|(_, value)| wanted(value))
            .take(MEMBERS_MAX)
            .map(|(pointer, value)| MemberAt { pointer, value: value.clone() })
            .collect();
        if !members.is_empty() {
            self.events.push(Match { event: row.into(), members });
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::testing::ledger_row;

    #[test]
    fn what_was_looked_at_is_said_with_what_was_found() {
        let search = Search {
            filter: Filter::default(),
            member: Member::parse("sku").unwrap(),
            value: Some("A-1".into()),
            looked_at_max: 10,
        };
        let mut found =
            Found { events: Vec::new(), looked_at: 0, unreadable: 0, more: false, back_to: None, next: None };
        let row = || ledger_row("QUARANTINED");
        found.look(&search, row(), Ok(json!({"lines": [{"sku": "A-1"}, {"sku": "A-2"}]})));
        found.look(&search, row(), Ok(json!({"sku": "A-2"})));
        found.look(&search, row(), Err("no JSON".into()));
        assert_eq!((found.looked_at, found.unreadable, found.events.len()), (3, 1, 1));
        assert_eq!(
            found.events[0].members,
            [MemberAt { pointer: "/lines/0/sku".into(), value: json!("A-1") }]
        );
        let document = serde_json::to_value(&found).unwrap();
        assert_eq!(document["events"][0]["ingestId"], "01KAJ3Y3R00000000000000001");
        assert_eq!(document["backTo"], "2026-11-21T09:58:00.000Z");

        let any = Search { value: None, ..search };
        found.look(&any, row(), Ok(json!({"sku": null})));
        assert_eq!(found.events.len(), 2, "the member is there");
    }
}

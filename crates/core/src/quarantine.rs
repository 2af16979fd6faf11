//! Quarantined events as ops think of them: groups of rows that fail alike.
//!
//! A group is computed from its rows each time it is looked at. No counter is kept, so none can be wrong after a redelivery and
//! none is hot when a thousand events fail at once; the only thing stored about a group is what a person said of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::id::{EventType, IngestId, VendorId};
use crate::record::{QuarantineRow, QuarantineStatus, Resolution};

/// Shards of a group in the index of open rows: one DynamoDB partition takes 1,000 writes/s.
pub const GROUP_SHARDS: u8 = 8;

/// Partition of the index of open rows: `<fingerprint>#<shard>`. As for [`crate::record::Status::shard`], rows of before 0.2 are in
/// the same partitions by another rule.
pub fn open_group(fingerprint: &str, ingest_id: IngestId) -> String {
    format!("{fingerprint}#{}", ingest_id.part(GROUP_SHARDS))
}

/// All partitions of the index for a group.
pub fn open_group_shards(fingerprint: &str) -> impl Iterator<Item = String> {
    (0..GROUP_SHARDS).map(move |shard| format!("{fingerprint}#{shard}"))
}

/// Whether a text is a fingerprint: 16 lower-case hexadecimal digits.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GroupState {
    /// Has open rows that nobody has said anything about.
    Open,
    /// Has open rows, and a person knows: the acknowledgement holds as long as a row that it was said of is still open.
    Acknowledged,
    /// Has no open row.
    Resolved,
}

/// Rows that fail alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// [`crate::fault::Cause::fingerprint`].
    pub fingerprint: String,
    /// Open, acknowledged or resolved.
    pub state: GroupState,
    /// As [`crate::fault::Cause::code`].
    pub code: String,
    /// JSON pointer of the first fault, array positions as they are in the example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The bundle that was in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Sha256Hex>,
    /// Open rows.
    pub open: u64,
    /// Rows that were released, of those that were looked at.
    pub released: u64,
    /// Rows that were discarded, of those that were looked at.
    pub discarded: u64,
    /// When a row was first quarantined.
    #[serde(with = "crate::id::millis")]
    pub first_seen_at: Timestamp,
    /// When a row last failed, or was released.
    #[serde(with = "crate::id::millis")]
    pub last_seen_at: Timestamp,
    /// Rows by vendor.
    pub vendors: BTreeMap<VendorId, u64>,
    /// Rows by the vendor's kind of message.
    pub event_types: BTreeMap<EventType, u64>,
    /// The row that failed last.
    pub example: IngestId,
    /// Its cause in words.
    pub message: String,
    /// The acknowledgement that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Resolution>,
}

/// Groups rows by the fingerprint of their cause; most open rows first. `notes` are acknowledgements by fingerprint.
pub fn groups<'a>(
    rows: impl IntoIterator<Item = &'a QuarantineRow>,
    notes: &BTreeMap<String, Resolution>,
) -> Vec<Group> {
    let mut by_fingerprint: BTreeMap<&str, Vec<&QuarantineRow>> = BTreeMap::new();
    for row in rows {
        by_fingerprint.entry(&row.fingerprint).or_default().push(row);
    }
    let mut groups: Vec<Group> = by_fingerprint
        .into_iter()
        .filter_map(|(fingerprint, rows)| group(fingerprint, &rows, notes.get(fingerprint)))
        .collect();
    groups.sort_by(|a, b| {
        (std::cmp::Reverse(a.open), std::cmp::Reverse(a.last_seen_at), &a.fingerprint).cmp(&(
            std::cmp::Reverse(b.open),
            std::cmp::Reverse(b.last_seen_at),
            &b.fingerprint,
        ))
    });
    groups
}

fn group(fingerprint: &str, rows: &[&QuarantineRow], note: Option<&Resolution>) -> Option<Group> {
    let count = |status| rows.iter().filter(|row| row.status == status).count() as u64;
    let open = || rows.iter().filter(|row| row.status == QuarantineStatus::Open);
    // An open row speaks for the group before one that is history.
    let example = open().chain(rows.iter()).next()?;
    let example = open().max_by_key(|row| (row.last_seen_at, row.ingest_id)).unwrap_or(example);
    let acknowledged = note.filter(|note| open().any(|row| row.first_seen_at <= note.at)).cloned();
    let state = match (open().next(), &acknowledged) {
        (None, _) => GroupState::Resolved,
        (Some(_), Some(_)) => GroupState::Acknowledged,
        (Some(_), None) => GroupState::Open,
    };
    let mut vendors = BTreeMap::new();
    let mut event_types = BTreeMap::new();
    for row in rows {
        *vendors.entry(row.vendor_id.clone()).or_default() += 1;
        *event_types.entry(row.event_type.clone()).or_default() += 1;
    }
    Some(Group {
        fingerprint: fingerprint.to_owned(),
        state,
        code: example.cause.code.clone(),
        pointer: example.cause.errors.first().map(|fault| fault.pointer.clone()),
        bundle: example.cause.bundle.clone(),
        open: count(QuarantineStatus::Open),
        released: count(QuarantineStatus::Released),
        discarded: count(QuarantineStatus::Discarded),
        first_seen_at: rows.iter().map(|row| row.first_seen_at).min()?,
        last_seen_at: rows.iter().map(|row| row.last_seen_at).max()?,
        vendors,
        event_types,
        example: example.ingest_id,
        message: example.cause.message.clone(),
        acknowledged,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    fn row(number: u8, fingerprint: &str, status: &str, first_seen_at: &str) -> QuarantineRow {
        serde_json::from_value(serde_json::json!({
            "vendorId": format!("vendor{}", number % 2), "ingestId": format!("01KAJ3Y3R0000000000000000{number}"),
            "externalEventId": "e", "eventType": "t", "status": status, "fingerprint": fingerprint, "attempts": 1,
            "cause": {"error": "Rejected", "code": "c", "message": format!("m{number}")}, "executionArn": "arn:x",
            "rawRef": {"bucket": "b", "key": "k"}, "receivedAt": first_seen_at, "firstSeenAt": first_seen_at,
            "lastSeenAt": first_seen_at
        }))
        .unwrap()
    }

    fn note(at: &str) -> BTreeMap<String, Resolution> {
        let note = Resolution { by: "ops".into(), reason: "known".into(), at: at.parse().unwrap() };
        BTreeMap::from([("a".to_owned(), note)])
    }

    #[test]
    fn a_group_counts_its_rows_and_shows_the_latest_open_one() {
        let rows = [
            row(1, "a", "OPEN", "2026-11-21T10:00:00Z"),
            row(2, "a", "OPEN", "2026-11-21T10:00:02Z"),
            row(3, "a", "RELEASED", "2026-11-21T09:00:00Z"),
            row(4, "b", "DISCARDED", "2026-11-21T10:00:00Z"),
        ];
        let found = groups(&rows, &BTreeMap::new());
        assert_eq!(found.len(), 2);
        let first = &found[0];
        assert_eq!((first.open, first.released, first.discarded), (2, 1, 0));
        assert_eq!((first.state, first.message.as_str()), (GroupState::Open, "m2"));
        assert_eq!(first.vendors.values().sum::<u64>(), 3);
        assert_eq!(crate::id::rfc3339(first.first_seen_at), "2026-11-21T09:00:00.000Z");
        assert_eq!((found[1].state, found[1].discarded), (GroupState::Resolved, 1));
    }

    #[test]
    fn an_acknowledgement_ends_with_the_rows_that_it_was_said_of() {
        let old = row(1, "a", "OPEN", "2026-11-21T10:00:00Z");
        let new = row(2, "a", "OPEN", "2026-11-21T12:00:00Z");
        let state = |rows: &[QuarantineRow]| groups(rows, &note("2026-11-21T11:00:00Z"))[0].state;
        assert_eq!(state(&[old.clone(), new.clone()]), GroupState::Acknowledged);
        let released = QuarantineRow { status: QuarantineStatus::Released, ..old };
        assert_eq!(state(&[released.clone(), new]), GroupState::Open, "it came back");
        assert_eq!(state(&[released]), GroupState::Resolved);
    }

    #[test]
    fn a_row_is_in_one_of_its_groups_shards() {
        let id = row(7, "a", "OPEN", "2026-11-21T10:00:00Z").ingest_id;
        assert!(open_group_shards("a").any(|shard| shard == open_group("a", id)));
        assert!(is_fingerprint("0123456789abcdef") && !is_fingerprint("01KAJ3Y3R00000000000000001"));
    }
}

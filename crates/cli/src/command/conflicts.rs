//! `sluice conflicts`: messages that came under an identity which another payload has, and what a person makes of them.
//!
//! One mechanism for all that waits for a decision: an event of the ledger with a [`Hold`], which `normalize` leaves alone until the
//! hold says who accepted it. A conflict that was kept is such an event already; one that was refused becomes one, from what its
//! divergence row remembers, when it is accepted. Accepting twice changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::id::{IngestId, ObjectRef, VendorId};
use sluice_core::port::{Commit, Ledger as _, RawStore as _};
use sluice_core::record::{Divergence, DivergenceRow, Hold, LedgerKey, LedgerRow, Resolution, Status};

use super::quarantine::resolution;
use super::redrive::{self, Outcome};
use crate::args::ConflictsCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, millis, paint, time_cell};

/// The kind of the rows of conflicts in the divergence table.
const KIND: &str = "duplicate_with_different_payload";

/// How long an accepted event's end is waited for.
const WAIT: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize)]
struct List {
    conflicts: Vec<Conflict>,
    more: bool,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    /// Answered 409; its bytes are kept.
    Refused,
    /// Answered 202; it waits in quarantine.
    Kept,
    /// A person made it an event.
    Accepted,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Conflict {
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_id: Option<IngestId>,
    vendor_id: String,
    external_event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    state: State,
    held_by: IngestId,
    #[serde(serialize_with = "millis")]
    at: Timestamp,
    raw_ref: ObjectRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<Resolution>,
}

impl From<Divergence> for Conflict {
    fn from(row: Divergence) -> Self {
        // `ledger#<vendorId>#<externalEventId>`, and no vendor has a `#` in its name.
        let key = row.subject.strip_prefix("ledger#").and_then(|key| key.split_once('#'));
        let (vendor_id, external_event_id) = key.unwrap_or_default();
        Self {
            ingest_id: row.submission(),
            vendor_id: vendor_id.to_owned(),
            external_event_id: external_event_id.to_owned(),
            event_type: row.refused.as_ref().map(|refused| refused.event_type.to_string()),
            state: match (&row.accepted, row.kept) {
                (Some(_), _) => State::Accepted,
                (None, true) => State::Kept,
                (None, false) => State::Refused,
            },
            held_by: row.ingest_id,
            at: row.at,
            raw_ref: row.refused_raw_ref,
            accepted: row.accepted,
        }
    }
}

#[derive(Debug, Serialize)]
struct Acceptances {
    accepted: Vec<Acceptance>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Acceptance {
    ingest_id: IngestId,
    /// `false`: somebody had accepted it before, and `resolution` is theirs.
    now: bool,
    resolution: Resolution,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive: Option<Outcome>,
    message: String,
}

/// Runs a subcommand.
pub async fn run(command: ConflictsCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        ConflictsCommand::Ls { vendor, all, limit } => {
            let rows = submissions(cloud).await?;
            output.document(&list(rows, vendor.as_ref(), all, limit as usize))
        }
        ConflictsCommand::Accept { ingest_ids, reason, by } => {
            let resolution = resolution(reason, &by)?;
            let mut accepted = Vec::new();
            for ingest_id in ingest_ids {
                accepted.push(accept(cloud, ingest_id, &resolution).await?);
            }
            let failed = accepted.iter().any(|it| it.redrive.is_some_and(|outcome| outcome.is_failure()));
            output.document(&Acceptances { accepted })?;
            match failed {
                true => Err(CliError::Failed("it is accepted, and failed again with another cause".into())),
                false => Ok(()),
            }
        }
    }
}

async fn submissions(cloud: &Cloud) -> Result<Vec<Divergence>, CliError> {
    let rows = cloud.divergence().list(None, Some(KIND)).await?;
    let submissions = rows.into_iter().filter_map(|row| match row {
        DivergenceRow::Submission(row) => Some(*row),
        DivergenceRow::State(_) => None,
    });
    Ok(submissions.collect())
}

fn list(rows: Vec<Divergence>, vendor: Option<&VendorId>, all: bool, limit: usize) -> List {
    let mut conflicts: Vec<Conflict> = rows.into_iter().map(Conflict::from).collect();
    conflicts.retain(|it| {
        (all || it.state != State::Accepted) && vendor.is_none_or(|vendor| vendor.as_str() == it.vendor_id)
    });
    conflicts.sort_by_key(|it| std::cmp::Reverse((it.at, it.ingest_id)));
    let more = conflicts.len() > limit;
    conflicts.truncate(limit);
    List { conflicts, more }
}

async fn accept(cloud: &Cloud, ingest_id: IngestId, by: &Resolution) -> Result<Acceptance, CliError> {
    match cloud.ledger().find_by_ingest_id(ingest_id).await? {
        Some(row) => accept_held(cloud, &row, by).await,
        None => accept_refused(cloud, ingest_id, by).await,
    }
}

/// An event that waits: the hold says from now on who let it go on, and it is run again.
async fn accept_held(cloud: &Cloud, row: &LedgerRow, by: &Resolution) -> Result<Acceptance, CliError> {
    let Some(hold) = &row.hold else {
        return Err(CliError::Refused {
            message: format!("the event {} is not held: there is nothing to accept", row.ingest_id),
            hint: Some("what failed for another reason is run again by `sluice redrive`".into()),
        });
    };
    if let Some(claims) = &hold.claims {
        let key = LedgerKey {
            vendor_id: row.key.vendor_id.clone(),
            external_event_id: claims.external_event_id.clone(),
        };
        let (subject, id) = Divergence::conflict_key(&key, &row.payload_sha256);
        cloud.divergence().accept(&subject, &id, by).await?;
    }
    let now = hold.accepted.is_none() && cloud.ledger().accept_held(row, by).await?;
    let held = cloud.ledger().find(&row.key).await?;
    let resolution = held.and_then(|row| row.hold?.accepted).filter(|_| !now);
    let mut acceptance = Acceptance {
        ingest_id: row.ingest_id,
        now,
        resolution: resolution.unwrap_or_else(|| by.clone()),
        redrive: None,
        message: "it goes on; `sluice show` tells how it ends".into(),
    };
    if row.status == Status::Quarantined {
        let (outcome, message) = redrive::event(cloud, row.ingest_id, WAIT).await?;
        (acceptance.redrive, acceptance.message) = (Some(outcome), message);
    }
    Ok(acceptance)
}

/// A submission that was refused: its ledger row is written from what its divergence row remembers, and it goes the way of every
/// event.
async fn accept_refused(cloud: &Cloud, ingest_id: IngestId, by: &Resolution) -> Result<Acceptance, CliError> {
    let rows = submissions(cloud).await?;
    let Some(row) = rows.into_iter().find(|row| row.submission() == Some(ingest_id)) else {
        return Err(CliError::not_found(format!("there is no event and no refused submission {ingest_id}"))
            .with_hint("`sluice conflicts ls` lists what can be accepted"));
    };
    let Some(refused) = &row.refused else {
        return Err(CliError::Refused {
            message: format!("the row of {ingest_id} does not say what it would have been accepted as"),
            hint: Some(format!(
                "it was refused by an older version: get its bytes (s3://{}/{}) and send them under another id",
                row.refused_raw_ref.bucket, row.refused_raw_ref.key
            )),
        });
    };
    let bytes = cloud.objects().get(&row.refused_raw_ref).await?;
    if sluice_core::digest::Sha256Hex::of(&bytes) != refused.raw_sha256 {
        let message = format!("the bytes of {ingest_id} are not those that were refused: run `sluice audit`");
        return Err(CliError::Failed(message));
    }
    let ledger = cloud.ledger();
    let held = ledger.find(&refused.key()).await?;
    let Some(held) = held else {
        let message = "the event that it conflicts with is not in the ledger: run `sluice audit`";
        return Err(CliError::Failed(message.into()));
    };
    let resolution = cloud.divergence().accept(&row.subject, &row.id, by).await?;
    let mut event = LedgerRow::received(refused, row.refused_raw_ref.clone());
    event.key = refused.key().of_conflict(&refused.payload_sha256);
    event.hold = Some(Hold { accepted: Some(resolution.clone()), ..Hold::of_conflict(&held) });
    let (ingest_id, now) = match ledger.commit(&event).await? {
        Commit::Committed => (ingest_id, true),
        Commit::Exists(row) => (row.ingest_id, false),
    };
    let message = "it is an event now, and is normalized; `sluice show` tells how it ends".into();
    Ok(Acceptance { ingest_id, now, resolution, redrive: None, message })
}

impl View for List {
    fn text(&self, page: &Page) -> String {
        if self.conflicts.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Good, "No conflicts wait for a decision."));
        }
        let rows = self.conflicts.iter().map(|conflict| {
            let (tone, state) = match conflict.state {
                State::Refused => (Tone::Bad, "REFUSED"),
                State::Kept => (Tone::Warn, "KEPT"),
                State::Accepted => (Tone::Good, "ACCEPTED"),
            };
            vec![
                conflict.ingest_id.map(|id| id.to_string()).unwrap_or_default().into(),
                Cell::new(tone, state),
                (&conflict.vendor_id).into(),
                (&conflict.external_event_id).into(),
                conflict.held_by.to_string().into(),
                time_cell(page, conflict.at),
            ]
        });
        let mut text = page.table(
            &["INGEST ID", "STATE", "VENDOR", "EXTERNAL ID", "CONFLICTS WITH", "WHEN"],
            rows.collect(),
        );
        if self.more && page.terminal {
            text.push_str(&paint(Tone::Dim, "There are more: --limit or --vendor.\n"));
        }
        text
    }
}

impl View for Acceptances {
    fn text(&self, page: &Page) -> String {
        let rows = self.accepted.iter().map(|it| {
            let outcome = if it.now {
                Cell::new(Tone::Good, "accepted")
            } else {
                Cell::new(Tone::Dim, format!("accepted before by {}", it.resolution.by))
            };
            vec![it.ingest_id.to_string().into(), outcome, (&it.message).into()]
        });
        page.table(&["INGEST ID", "OUTCOME", "MESSAGE"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::output::testing::{json as shown, on_terminal};

    fn rows() -> Vec<Divergence> {
        let row = |n: u8, more: serde_json::Value| {
            let mut row = json!({"subject": format!("ledger#vendorA#e#{n}"), "id": format!("conflict#{n}"), "kind": KIND,
                "ingestId": "01KAJ3Y3R00000000000000001", "payloadSha256": "0".repeat(64),
                "refusedPayloadSha256": "1".repeat(64), "at": format!("2026-11-21T09:5{n}:00.000Z"),
                "refusedRawRef": {"bucket": "raw", "key": format!("raw/vendorA/2026/11/21/01KAJ3Y3R0000000000000000{n}.json")}});
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(row).unwrap()
        };
        vec![
            row(7, json!({})),
            row(8, json!({"kept": true})),
            row(9, json!({"accepted": {"by": "ops", "reason": "real", "at": "2026-11-21T10:00:00.000Z"}})),
        ]
    }

    #[test]
    fn what_waits_is_listed_and_with_all_what_was_decided() {
        let states = |all: bool| -> Vec<State> {
            list(rows(), None, all, 10).conflicts.iter().map(|it| it.state).collect()
        };
        assert_eq!(states(false), [State::Kept, State::Refused]);
        assert_eq!(states(true), [State::Accepted, State::Kept, State::Refused]);
        assert!(list(rows(), Some(&"vendorB".parse().unwrap()), true, 10).conflicts.is_empty());
        assert!(list(rows(), None, true, 2).more);
        let first: serde_json::Value = serde_json::from_str(&shown(&list(rows(), None, false, 10))).unwrap();
        let kept = &first["conflicts"][0];
        assert_eq!(
            (&kept["ingestId"], &kept["externalEventId"], &kept["state"], &kept["heldBy"]),
            (
                &json!("01KAJ3Y3R00000000000000008"),
                &json!("e#8"),
                &json!("KEPT"),
                &json!("01KAJ3Y3R00000000000000001")
            )
        );
        let text = on_terminal(&list(rows(), None, false, 10));
        assert!(text.contains("REFUSED") && text.contains("01KAJ3Y3R00000000000000007"), "{text}");
    }
}

//! Conflicts: messages that came under an identity which another payload has, and what a person
//! makes of them.
//!
//! One mechanism for all that waits for a decision: an event of the ledger with a [`Hold`], which
//! `normalize` leaves alone until the hold says who accepted it. A conflict that was kept is such
//! an event already; one that was refused becomes one, from what its divergence row remembers, when
//! it is accepted. Accepting twice changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sluice_core::id::{IngestId, ObjectRef, VendorId};
use sluice_core::port::{Commit, Ledger as _, RawStore as _};
use sluice_core::record::{Divergence, DivergenceRow, Hold, LedgerKey, LedgerRow, Resolution, Status};

use crate::cloud::Cloud;
use crate::document::millis;
use crate::error::OpsError;
use crate::redrive::{self, Outcome};

/// The kind of the rows of conflicts in the divergence table.
const KIND: &str = "duplicate_with_different_payload";

/// How long an accepted event's end is waited for.
const WAIT: Duration = Duration::from_secs(120);
/// Conflicts.
#[derive(Debug, Serialize)]
pub struct ConflictList {
    /// The newest first.
    pub conflicts: Vec<Conflict>,
    /// Whether there are more.
    pub more: bool,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Answered 409; its bytes are kept.
    Refused,
    /// Answered 202; it waits in quarantine.
    Kept,
    /// A person made it an event.
    Accepted,
}
/// A message that came under an identity which another payload has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// What it is accepted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_id: Option<IngestId>,
    /// Who sent it.
    pub vendor_id: String,
    /// The vendor's id of it.
    pub external_event_id: String,
    /// The vendor's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// What became of it.
    pub state: State,
    /// The event that has the identity.
    pub held_by: IngestId,
    /// When it came.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// Its bytes.
    pub raw_ref: ObjectRef,
    /// Who accepted it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Resolution>,
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
/// What accepting came to.
#[derive(Debug, Serialize)]
pub struct Acceptances {
    /// In the order in which they were named.
    pub accepted: Vec<Acceptance>,
}
/// What accepting one came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// The event.
    pub ingest_id: IngestId,
    /// `false`: somebody had accepted it before, and `resolution` is theirs.
    pub now: bool,
    /// Who accepted it, and why.
    pub resolution: Resolution,
    /// How it went when it was run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive: Option<Outcome>,
    /// In words.
    pub message: String,
}

async fn submissions(cloud: &Cloud) -> Result<Vec<Divergence>, OpsError> {
    let rows = cloud.divergence().list(None, Some(KIND)).await?;
    let submissions = rows.into_iter().filter_map(|row| match row {
        DivergenceRow::Submission(row) => Some(*row),
        DivergenceRow::State(_) => None,
    });
    Ok(submissions.collect())
}

/// Lists conflicts that wait for a decision, the newest first; with `all` those that were accepted
/// too. The table is scanned.
///
/// # Errors
/// When the table does not answer.
pub async fn list(
    cloud: &Cloud,
    vendor: Option<&VendorId>,
    all: bool,
    limit: usize,
) -> Result<ConflictList, OpsError> {
    Ok(listed(submissions(cloud).await?, vendor, all, limit))
}

/// The list of what was read.
pub fn listed(rows: Vec<Divergence>, vendor: Option<&VendorId>, all: bool, limit: usize) -> ConflictList {
    let mut conflicts: Vec<Conflict> = rows.into_iter().map(Conflict::from).collect();
    conflicts.retain(|it| {
        (all || it.state != State::Accepted) && vendor.is_none_or(|vendor| vendor.as_str() == it.vendor_id)
    });
    conflicts.sort_by_key(|it| std::cmp::Reverse((it.at, it.ingest_id)));
    let more = conflicts.len() > limit;
    conflicts.truncate(limit);
    ConflictList { conflicts, more }
}

/// Makes conflicts events of their own, or lets events go on that are held. Accepting twice changes
/// nothing.
///
/// # Errors
/// When there is nothing to accept, and when a service does not answer. What failed again is none:
/// see [`Acceptances::verdict`].
pub async fn accept(
    cloud: &Cloud,
    ingest_ids: &[IngestId],
    by: &Resolution,
) -> Result<Acceptances, OpsError> {
    let mut accepted = Vec::new();
    for ingest_id in ingest_ids {
        accepted.push(accept_one(cloud, *ingest_id, by).await?);
    }
    Ok(Acceptances { accepted })
}

impl Acceptances {
    /// Whether one of them failed again.
    ///
    /// # Errors
    /// The words.
    pub fn verdict(&self) -> Result<(), OpsError> {
        if self.accepted.iter().any(|it| it.redrive.is_some_and(Outcome::is_failure)) {
            return Err(OpsError::Failed("it is accepted, and failed again with another cause".into()));
        }
        Ok(())
    }
}

async fn accept_one(cloud: &Cloud, ingest_id: IngestId, by: &Resolution) -> Result<Acceptance, OpsError> {
    match cloud.ledger().find_by_ingest_id(ingest_id).await? {
        Some(row) => accept_held(cloud, &row, by).await,
        None => accept_refused(cloud, ingest_id, by).await,
    }
}

/// An event that waits: the hold says from now on who let it go on, and it is run again.
async fn accept_held(cloud: &Cloud, row: &LedgerRow, by: &Resolution) -> Result<Acceptance, OpsError> {
    let Some(hold) = &row.hold else {
        return Err(OpsError::Refused {
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

/// A submission that was refused: its ledger row is written from what its divergence row remembers,
/// and it goes the way of every event.
async fn accept_refused(cloud: &Cloud, ingest_id: IngestId, by: &Resolution) -> Result<Acceptance, OpsError> {
    let rows = submissions(cloud).await?;
    let Some(row) = rows.into_iter().find(|row| row.submission() == Some(ingest_id)) else {
        return Err(OpsError::not_found(format!("there is no event and no refused submission {ingest_id}"))
            .with_hint("`sluice conflicts ls` lists what can be accepted"));
    };
    let Some(refused) = &row.refused else {
        return Err(OpsError::Refused {
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
        return Err(OpsError::Failed(message));
    }
    let ledger = cloud.ledger();
    let held = ledger.find(&refused.key()).await?;
    let Some(held) = held else {
        let message = "the event that it conflicts with is not in the ledger: run `sluice audit`";
        return Err(OpsError::Failed(message.into()));
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

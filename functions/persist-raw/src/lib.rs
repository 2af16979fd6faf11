//! `PersistRaw`: the raw object first, then the one conditional ledger write, which is the commit point.
//!
//! A message that is its own identity within a window (`window_seconds`) is held under a digest and a generation. A generation is
//! written only if it does not exist and the window of the one before it, which never changes, is over at the time of acceptance: so the rows
//! of a message are a window apart at least, whatever races, whatever the clocks say, and all of them stay
//! (docs/adr/0012-a-window-is-a-chain-of-rows.md).
//!
//! Another payload under a key that is taken is a conflict: refused, with its bytes and a divergence row, or, if the contract says so,
//! kept under a key of its own as an event that waits for a person ([`Hold`]).
//!
//! A crash before the write leaves an orphan object, which is harmless; there is no pending row that could turn a retry into a
//! silent loss. A retry of this function with the same input finds its own object and its own row, and gives the same answer.

mod config;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::contract::Otherwise;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::ObjectRef;
use sluice_core::intake::{Accepted, Answer, Beside, Persist};
use sluice_core::port::{Commit, DivergenceStore, Ledger, RawHeaders, RawStore, UploadStore};
use sluice_core::problem::{Kind, Problem};
use sluice_core::record::{Divergence, Hold, LedgerKey, LedgerRow};
use sluice_core::{Code, Fault};

pub use config::Config;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Write-once.
    pub raw: Arc<dyn RawStore>,
    /// The commit point.
    pub ledger: Arc<dyn Ledger>,
    /// Conflicting submissions.
    pub divergence: Arc<dyn DivergenceStore>,
    /// Bodies that did not fit the input of the state machine.
    pub uploads: Arc<dyn UploadStore>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            raw: Arc::new(sluice_aws::raw::S3RawStore::new(sdk, config.raw_bucket)),
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            divergence: Arc::new(sluice_aws::divergence::DynamoDivergence::new(sdk, config.divergence_table)),
            uploads: Arc::new(sluice_aws::uploads::S3UploadStore::new(sdk, config.uploads_bucket)),
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

/// Makes one [`Persist`] durable; gives `{"answer": …}`.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let persist: Persist = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not {accepted, body}").with_source(error)
    })?;
    let body = match &persist.staged {
        Some(staged) => deps.uploads.get(staged).await?,
        None => persist
            .body_bytes()
            .ok_or_else(|| Fault::new(Code::InputMalformed, "the body is not base64"))?
            .into(),
    };
    let accepted = persist.accepted;
    // What is stored must be what was judged: the two states read the body from the same input.
    if Sha256Hex::of(&body) != accepted.raw_sha256 {
        return Err(Fault::new(
            Code::InputMalformed,
            "the body is not the one that was accepted: its digest differs",
        ));
    }
    let outcome = persist_event(deps, &accepted, body).await?;
    let (status, answer) = match outcome {
        Outcome::Committed => ("RECEIVED", Answer::accepted(accepted.ingest_id, accepted.received_at)),
        Outcome::Duplicate(row) => ("DUPLICATE", Answer::duplicate(row.ingest_id, row.received_at)),
        Outcome::Conflict(row) => ("CONFLICT", conflict(&row)),
    };
    log(&Stage {
        stage: "persist-raw",
        ingest_id: &accepted.ingest_id.to_string(),
        vendor_id: accepted.vendor_id.as_str(),
        external_event_id: accepted.external_event_id.as_str(),
        delivery_id: accepted.delivery_id.as_deref(),
        status,
        started,
    });
    Ok(json!({ "answer": answer }))
}

/// How many windows further than `Accept` saw the last one may be: it read a moment ago, from a copy that is seconds old at most.
const GENERATIONS_TRIED_MAX: u32 = 100;

enum Outcome {
    Committed,
    Duplicate(Box<LedgerRow>),
    Conflict(Box<LedgerRow>),
}

async fn persist_event(deps: &Deps, accepted: &Accepted, body: Bytes) -> Result<Outcome, Fault> {
    let key = accepted.key();
    if accepted.conflicts {
        // A storm of one conflict is kept once: its bytes and its row are there since the first time.
        let (subject, id) = Divergence::conflict_key(&key, &accepted.payload_sha256);
        if deps.divergence.contains(&subject, &id).await? {
            if let Some(row) = deps.ledger.find(&key.of_conflict(&accepted.payload_sha256)).await? {
                return Ok(Outcome::Duplicate(Box::new(row)));
            }
            if accepted.on_conflict == Otherwise::Refuse
                && let Some(row) = deps.ledger.find(&key).await?
            {
                return Ok(Outcome::Conflict(Box::new(row)));
            }
        }
    }
    let headers = RawHeaders {
        content_type: accepted.content_type.clone(),
        content_encoding: accepted.content_encoding.clone(),
        sha256: accepted.raw_sha256.clone(),
    };
    let raw_ref = deps.raw.put_if_absent(&accepted.raw_key(), body, &headers).await?;
    let mut row = LedgerRow::received(accepted, raw_ref.clone());
    let mut conflicts_with: Option<Box<LedgerRow>> = None;
    for _ in 0..GENERATIONS_TRIED_MAX {
        match deps.ledger.commit(&row).await? {
            Commit::Exists(held) if held.ingest_id != accepted.ingest_id => match accepted.beside(&held) {
                Beside::Duplicate => match accepted.window_seconds {
                    // Its window is over: the same message is a new event, under the next key.
                    Some(window) if !held.is_within_window(window, accepted.received_at) => {
                        row.key = held.key.next_generation()?;
                    }
                    _ => return Ok(Outcome::Duplicate(held)),
                },
                Beside::Another => row.key = key.of_conflict(&accepted.payload_sha256),
                Beside::Conflict if accepted.on_conflict == Otherwise::Refuse => {
                    deps.divergence.record(&divergence(&key, &held, accepted, raw_ref)).await?;
                    return Ok(Outcome::Conflict(held));
                }
                Beside::Conflict => {
                    row.key = key.of_conflict(&accepted.payload_sha256);
                    row.hold = Some(Hold::of_conflict(&held));
                    conflicts_with = Some(held);
                }
            },
            Commit::Committed | Commit::Exists(_) => {
                if let Some(held) = conflicts_with {
                    deps.divergence.record(&divergence(&key, &held, accepted, raw_ref)).await?;
                }
                return Ok(Outcome::Committed);
            }
        }
    }
    // More were accepted since `Accept` looked than there can be in that time; a new look may find the last one.
    Err(Fault::new(
        Code::ConcurrentWrite,
        format!("{GENERATIONS_TRIED_MAX} windows of the same message have passed since it was looked up"),
    ))
}

fn divergence(
    key: &LedgerKey,
    held: &LedgerRow,
    refused: &Accepted,
    refused_raw_ref: ObjectRef,
) -> Divergence {
    let (subject, id) = Divergence::conflict_key(key, &refused.payload_sha256);
    Divergence {
        subject,
        id,
        kind: "duplicate_with_different_payload".into(),
        ingest_id: held.ingest_id,
        payload_sha256: held.payload_sha256.clone(),
        refused_payload_sha256: refused.payload_sha256.clone(),
        refused_raw_ref,
        at: refused.received_at,
        kept: refused.on_conflict == Otherwise::Keep,
        refused: Some(Box::new(refused.clone())),
        accepted: None,
    }
}

fn conflict(held: &LedgerRow) -> Answer {
    Problem::new(Kind::Conflict, Hold::of_conflict(held).message).with_ingest_id(held.ingest_id).into_answer()
}

#[cfg(test)]
mod tests;

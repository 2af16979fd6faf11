//! `apply`: an SQS batch of `event.normalized` becomes canonical state and divergence.
//!
//! A message carries references only; the normalized document is read, and its digest checked. The answer names the messages to
//! be delivered again (`ReportBatchItemFailures`):
//!
//! - what may succeed later ([`Class::Retryable`]) is reported, and comes again until the queue's redrive policy gives up;
//! - what cannot succeed is sent to its queue's dead-letter queue, as it was and with its cause beside it, and only then reported as
//!   done: a crash between the two brings a second letter, never none.
//!
//! What a message does to the state is decided in [`sluice_core::state`], written in one transaction, and remembered in the event's
//! row of effects: a second delivery changes nothing.

mod config;
mod histories;
mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::digest::Sha256Hex;
use sluice_core::fault::Cause;
use sluice_core::id::IngestId;
use sluice_core::port::{CanonicalStore, DeadLetter, DeadLetters, Ledger, NormalizedStore};
use sluice_core::record::{EventDetail, Normalized, Nothing};
use sluice_core::{Class, Code, Fault};

pub use config::Config;
pub use histories::Histories;

use merge::Event;

/// Documents read at once.
const READS_AT_ONCE: usize = 10;

/// Lines of a document that is read and brought in by itself, so that a batch of large ones needs the memory of one.
const LARGE_LINES: u32 = 100;

/// After which nothing further is begun: well before the function's own time-out of 30 s, which would fail what is done.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// The documents.
    pub normalized: Arc<dyn NormalizedStore>,
    /// State, contributions, effects, divergence.
    pub canonical: Arc<dyn CanonicalStore>,
    /// Says which document of an event is the current one.
    pub ledger: Arc<dyn Ledger>,
    /// Where messages go that cannot succeed.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// What was read of entities and still holds.
    pub histories: Histories,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            normalized: Arc::new(sluice_aws::normalized::S3NormalizedStore::new(
                sdk,
                config.normalized_bucket,
            )),
            canonical: Arc::new(sluice_aws::canonical::DynamoCanonical::new(
                sdk,
                config.canonical_state_table,
                config.divergence_table,
            )),
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            dead_letters: Arc::new(sluice_aws::dead_letters::SqsDeadLetters::new(sdk)),
            histories: Histories::default(),
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

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The state knows it now.
    Applied,
    /// The state knew it.
    AlreadyApplied,
    /// The event was normalized again since; that document counts.
    Superseded,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "APPLIED",
            Self::AlreadyApplied => "ALREADY_APPLIED",
            Self::Superseded => "SUPERSEDED",
        }
    }
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

/// A record of an SQS event ("Using Lambda with Amazon SQS", Developer Guide).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "eventSourceARN")]
    event_source_arn: String,
}

impl Message {
    fn read(&self) -> Result<Detail, Fault> {
        #[derive(Deserialize)]
        struct BusEvent {
            detail: EventDetail,
        }
        let event: BusEvent = serde_json::from_str(&self.body).map_err(|error| {
            Fault::new(Code::InputMalformed, "the message is not an event of Sluice's bus").with_source(error)
        })?;
        let mut event = event.detail;
        match event.normalized.take() {
            Some(normalized) => Ok(Detail { event, normalized }),
            None => Err(Fault::new(Code::InputMalformed, "the message is not an event.normalized")),
        }
    }
}

/// The detail of `event.normalized`.
struct Detail {
    event: EventDetail,
    normalized: Normalized,
}

impl Detail {
    /// One document of one event; deliveries of the same are one piece of work.
    fn work(&self) -> (IngestId, Sha256Hex) {
        let sha256 = match &self.event.nothing {
            Some(_) => Nothing::sha256(),
            None => self.normalized.sha256.clone(),
        };
        (self.event.ingest_id, sha256)
    }
}

type Done = BTreeMap<(IngestId, Sha256Hex), Result<Outcome, Fault>>;

/// Applies one batch; gives `{"batchItemFailures": [{"itemIdentifier": <message id>}]}`.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let batch: Batch = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not a batch of SQS messages").with_source(error)
    })?;
    let messages: Vec<(Message, Result<Detail, Fault>)> = batch
        .records
        .into_iter()
        .map(|message| {
            let detail = message.read();
            (message, detail)
        })
        .collect();
    let done = apply(deps, messages.iter().filter_map(|(_, detail)| detail.as_ref().ok())).await;
    let mut failures = Vec::new();
    for (message, detail) in &messages {
        let result = match detail {
            Ok(detail) => match done.get(&detail.work()) {
                Some(Ok(outcome)) => Ok(*outcome),
                Some(Err(fault)) => Err(fault),
                None => continue,
            },
            Err(fault) => Err(fault),
        };
        let detail = detail.as_ref().ok();
        let (status, again) = match result {
            Ok(outcome) => (outcome.as_str(), false),
            Err(fault) if fault.code.class() == Class::Retryable => {
                tracing::warn!(stage = "apply", messageId = message.message_id, code = %fault.code, "{fault}");
                (fault.code.as_str(), true)
            }
            Err(fault) => (fault.code.as_str(), !give_up(deps, message, detail, fault).await),
        };
        if again {
            failures.push(json!({ "itemIdentifier": message.message_id }));
        }
        let ingest_id = detail.map(|detail| detail.event.ingest_id.to_string()).unwrap_or_default();
        log(&Stage {
            stage: "apply",
            ingest_id: &ingest_id,
            vendor_id: detail.map_or("", |detail| detail.event.key.vendor_id.as_str()),
            external_event_id: detail.map_or("", |detail| detail.event.key.external_event_id.as_str()),
            delivery_id: None,
            status,
            started,
        });
    }
    Ok(json!({ "batchItemFailures": failures }))
}

async fn apply(deps: &Deps, details: impl Iterator<Item = &Detail>) -> Done {
    let deadline = Instant::now() + TIME_MAX;
    let mut done = Done::new();
    let distinct: BTreeMap<(IngestId, Sha256Hex), &Detail> =
        details.map(|detail| (detail.work(), detail)).collect();
    let (large, small): (Vec<_>, Vec<_>) =
        distinct.into_iter().partition(|(_, detail)| detail.normalized.events > LARGE_LINES);
    let loads: Vec<BoxFuture<'_, _>> = small
        .into_iter()
        .map(|(work, detail)| async move { (work, load(deps, detail).await) }.boxed())
        .collect();
    let loaded: Vec<_> = stream::iter(loads).buffer_unordered(READS_AT_ONCE).collect().await;
    let mut events = Vec::new();
    for (work, loaded) in loaded {
        match loaded {
            Ok(Some(event)) => events.push(event),
            Ok(None) => {
                done.insert(work, Ok(Outcome::Superseded));
            }
            Err(fault) => {
                done.insert(work, Err(fault));
            }
        }
    }
    // Of two documents of one event the newer one last, and all in the order of acceptance, which costs least.
    events.sort_by_key(|event| (event.ingest_id, event.normalized_at));
    done.extend(merge::all(deps, &events, deadline).await);
    drop(events);
    for (work, detail) in large {
        let result = match load(deps, detail).await {
            Ok(Some(event)) => merge::alone(deps, &event, deadline).await,
            Ok(None) => Ok(Outcome::Superseded),
            Err(fault) => Err(fault),
        };
        done.insert(work, result);
    }
    done
}

/// Reads a document; `None`: the event was normalized again since, with another result, whose own message brings it.
async fn load(deps: &Deps, detail: &Detail) -> Result<Option<Event>, Fault> {
    let Detail { event, normalized } = detail;
    if let Some(nothing) = &event.nothing {
        // A document without a line: what the last one said is taken back.
        return Ok(Some(Event {
            ingest_id: event.ingest_id,
            sha256: Nothing::sha256(),
            normalized_at: nothing.at,
            lines: BTreeMap::new(),
        }));
    }
    let document = deps.normalized.get(&normalized.r#ref).await?;
    let found = Sha256Hex::of(&document);
    if found != normalized.sha256 {
        let row = deps.ledger.find(&event.key).await?;
        let current = row.and_then(|row| row.document_sha256());
        if current.is_some_and(|current| current != normalized.sha256) {
            return Ok(None);
        }
        return Err(Fault::new(
            Code::NormalizedDigestMismatch,
            format!(
                "{} has the digest {found}, the event and the ledger say {}",
                normalized.r#ref.key, normalized.sha256
            ),
        ));
    }
    let lines = sluice_core::state::contributions(&document, event)?;
    Ok(Some(Event {
        ingest_id: event.ingest_id,
        sha256: normalized.sha256.clone(),
        normalized_at: normalized.at,
        lines,
    }))
}

/// Sends a message that cannot succeed to the dead-letter queue. Whether it is there.
async fn give_up(deps: &Deps, message: &Message, detail: Option<&Detail>, fault: &Fault) -> bool {
    let letter = DeadLetter {
        queue_arn: message.event_source_arn.clone(),
        body: message.body.clone(),
        stage: "apply",
        cause: Cause {
            error: fault.error_type().to_owned(),
            code: fault.code.to_string(),
            message: fault.message.clone(),
            errors: Vec::new(),
            bundle: None,
        },
        message_id: message.message_id.clone(),
        attempts: message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()),
    };
    let sent = deps.dead_letters.send(&letter).await;
    let ingest_id = detail.map(|detail| detail.event.ingest_id.to_string()).unwrap_or_default();
    match sent {
        Ok(()) => {
            tracing::error!(
                stage = "apply",
                ingestId = ingest_id,
                messageId = message.message_id,
                code = %fault.code,
                "dead-lettered: {fault:?}"
            );
            true
        }
        Err(error) => {
            tracing::warn!(
                stage = "apply",
                ingestId = ingest_id,
                messageId = message.message_id,
                code = %fault.code,
                "not dead-lettered yet, {error}: {fault:?}"
            );
            false
        }
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

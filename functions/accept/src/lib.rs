//! `Accept`: decides what one vendor request is, by [`sluice_acceptance::judge`], and reads only. What it writes is how many duplicates
//! there were, later and beside the answer (`tally.rs`).
//!
//! An error of this function means that Sluice could not tell, and becomes 503: whatever the vendor did wrong is an answer.

mod config;
mod tally;

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use sluice_acceptance::{Schemas, Seen, judge};
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::intake::{Decision, Request};
use sluice_core::port::UploadStore;
use sluice_core::{Code, Fault};

pub use config::Config;
pub use tally::{FLUSH_SECONDS, Tally};

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// What the judgement needs.
    pub judge: sluice_acceptance::Deps,
    /// How often a vendor sends again what was accepted.
    pub tally: Tally,
    /// Bodies that did not fit the input of the state machine.
    pub uploads: Arc<dyn UploadStore>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            judge: sluice_acceptance::Deps {
                vendors: Arc::new(sluice_aws::vendors::DynamoVendors::new(sdk, config.vendors_table)),
                ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
                clock: Arc::new(sluice_aws::clock::SystemClock),
                schemas: Schemas::default(),
            },
            tally: Tally::new(Arc::new(sluice_aws::balance::DynamoBalance::new(sdk, config.balance_table))),
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

/// Judges one [`Request`]; gives a [`Decision`].
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let mut request: Request = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not a request of the front door").with_source(error)
    })?;
    if let Some(staged) = request.staged.take() {
        let bytes = deps.uploads.get(&staged).await?;
        request = request.with_body(&bytes);
    }
    let mut seen = Seen::default();
    let decision = judge(&deps.judge, &request, &mut seen).await?;
    if let Some(duplicate) = &seen.duplicate {
        deps.tally.note(&duplicate.vendor_id, duplicate.accepted, duplicate.again);
    }
    let (status, ingest_id) = match &decision {
        Decision::Accepted(accepted) => ("VALID".to_owned(), Some(accepted.ingest_id.to_string())),
        Decision::Answer(answer) => (answer.status_code.to_string(), None),
    };
    log(&Stage {
        // A question for a receipt is no message: it is counted by itself.
        stage: if request.method == "GET" { "receipt" } else { "accept" },
        ingest_id: ingest_id.as_deref().unwrap_or_default(),
        vendor_id: seen.vendor_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        external_event_id: seen.external_event_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        delivery_id: seen.delivery_id.as_deref(),
        status: &status,
        started,
    });
    serde_json::to_value(&decision)
        .map_err(|error| Fault::new(Code::InputMalformed, "failed to write the decision").with_source(error))
}

#[cfg(test)]
mod tests;

//! Reruns: `recover` executions that begin with `Normalize`, for events that cannot be redriven or were never worked on.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use serde_json::json;
use sluice_core::port::{Rerun, Reruns};
use sluice_core::record::{EventDetail, recovery_name};
use sluice_core::{Code, Fault};

use crate::error::fault;

/// The state machine `recover`.
#[derive(Debug, Clone)]
pub struct SfnReruns {
    client: Client,
    state_machine_arn: String,
}

impl SfnReruns {
    /// Over a state machine.
    pub fn new(sdk: &SdkConfig, state_machine_arn: impl Into<String>) -> Self {
        Self { client: crate::client::sfn(sdk), state_machine_arn: state_machine_arn.into() }
    }
}

#[async_trait]
impl Reruns for SfnReruns {
    async fn rerun(&self, event: &EventDetail) -> Result<Rerun, Fault> {
        let input = serde_json::to_string(&json!({ "event": event })).map_err(|error| {
            Fault::new(Code::RowMalformed, "failed to write an execution's input").with_source(error)
        })?;
        let answer = self
            .client
            .start_execution()
            .state_machine_arn(&self.state_machine_arn)
            .name(recovery_name(&event.key.vendor_id, event.ingest_id, event.replay))
            .input(input)
            .send()
            .await;
        match answer {
            Ok(started) => Ok(Rerun::Started(started.execution_arn)),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_execution_already_exists()) => {
                Ok(Rerun::Exists)
            }
            Err(error) => Err(fault("start a rerun", error)),
        }
    }
}

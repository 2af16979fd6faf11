//! The state machine `intake`, run synchronously.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::SyncExecutionStatus;
use sluice_core::intake::{Answer, Request};
use sluice_core::port::Intake;
use sluice_core::{Code, Fault};

use crate::error::fault;

/// The state machine.
#[derive(Debug, Clone)]
pub struct SfnIntake {
    client: Client,
    state_machine_arn: String,
}

impl SfnIntake {
    /// Over a state machine.
    pub fn new(sdk: &SdkConfig, state_machine_arn: impl Into<String>) -> Self {
        Self { client: crate::client::sfn_sync(sdk), state_machine_arn: state_machine_arn.into() }
    }
}

#[async_trait]
impl Intake for SfnIntake {
    async fn answer(&self, request: &Request) -> Result<Answer, Fault> {
        let input = serde_json::to_string(request).map_err(|error| {
            Fault::new(Code::InputMalformed, "failed to write an execution's input").with_source(error)
        })?;
        let run = self.client.start_sync_execution().state_machine_arn(&self.state_machine_arn).input(input);
        let ended = run.send().await.map_err(|error| fault("run intake", error))?;
        if ended.status != SyncExecutionStatus::Succeeded {
            return Err(Fault::new(
                Code::Unavailable,
                format!(
                    "intake ended as {}: {} {}",
                    ended.status.as_str(),
                    ended.error.unwrap_or_default(),
                    ended.cause.unwrap_or_default()
                ),
            ));
        }
        serde_json::from_str(ended.output.as_deref().unwrap_or_default()).map_err(|error| {
            Fault::new(Code::Unavailable, "the output of intake is not an answer").with_source(error)
        })
    }
}

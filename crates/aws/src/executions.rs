//! Executions of Standard state machines: those of events that need a person, of replays, and those that drive operations.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use serde_json::{Value, json};
use sluice_core::operation::{
    Asked, ExecutionState, Executions, OperationId, ReplayItem, Replays, Run, Runs,
};
use sluice_core::{Code, Fault};

use crate::error::fault;

async fn describe(client: &Client, arn: &str) -> Result<Option<ExecutionState>, Fault> {
    let answer = client.describe_execution().execution_arn(arn).send().await;
    match answer {
        Ok(description) => Ok(Some(ExecutionState {
            status: description.status().as_str().to_owned(),
            redrive_count: description.redrive_count().unwrap_or_default(),
            output: description.output().and_then(|output| serde_json::from_str(output).ok()),
        })),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) => {
            Ok(None)
        }
        Err(error) => Err(fault("describe the execution", error)),
    }
}

/// Starts one; `Ok(None)`: there is, or was, one of that name.
async fn start(client: &Client, machine: &str, name: &str, input: &Value) -> Result<Option<String>, Fault> {
    let request = client.start_execution().state_machine_arn(machine).name(name).input(input.to_string());
    match request.send().await {
        Ok(started) => Ok(Some(started.execution_arn)),
        Err(error) if error.as_service_error().is_some_and(|it| it.is_execution_already_exists()) => Ok(None),
        Err(error) => Err(fault("start an execution", error)),
    }
}

/// `arn:…:stateMachine:<machine>` and a name to `arn:…:execution:<machine>:<name>`.
fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

/// Executions of any machine, to be redriven and described.
#[derive(Debug, Clone)]
pub struct SfnExecutions {
    client: Client,
}

impl SfnExecutions {
    /// All.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: crate::client::sfn(sdk) }
    }
}

#[async_trait]
impl Executions for SfnExecutions {
    async fn redrive(&self, execution_arn: &str, token: &str) -> Result<Asked, Fault> {
        let request = self.client.redrive_execution().execution_arn(execution_arn).client_token(token);
        let Err(error) = request.send().await else { return Ok(Asked::Redriven) };
        match error.as_service_error() {
            Some(service) if service.is_execution_not_redrivable() => {
                let why = service.meta().message().unwrap_or("it is not redrivable");
                Ok(Asked::Refused(why.to_owned()))
            }
            Some(service) if service.is_execution_does_not_exist() => Ok(Asked::Unknown),
            _ => Err(fault("redrive the execution", error)),
        }
    }

    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault> {
        describe(&self.client, execution_arn).await
    }
}

/// The state machine `operate`.
#[derive(Debug, Clone)]
pub struct SfnRuns {
    client: Client,
    state_machine_arn: String,
}

impl SfnRuns {
    /// Over a state machine.
    pub fn new(sdk: &SdkConfig, state_machine_arn: impl Into<String>) -> Self {
        Self { client: crate::client::sfn(sdk), state_machine_arn: state_machine_arn.into() }
    }
}

#[async_trait]
impl Runs for SfnRuns {
    async fn start(&self, id: OperationId, run: &Run) -> Result<String, Fault> {
        let name = format!("{id}-{}", run.token);
        let input = json!({"operationId": id, "run": {"number": run.number, "token": run.token}});
        // The token is of this attempt: one of this name is this one.
        let started = start(&self.client, &self.state_machine_arn, &name, &input).await?;
        Ok(started.unwrap_or_else(|| execution_arn(&self.state_machine_arn, &name)))
    }

    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault> {
        describe(&self.client, execution_arn).await
    }
}

/// The state machine `replay`.
#[derive(Debug, Clone)]
pub struct SfnReplays {
    client: Client,
    state_machine_arn: String,
}

impl SfnReplays {
    /// Over a state machine.
    pub fn new(sdk: &SdkConfig, state_machine_arn: impl Into<String>) -> Self {
        Self { client: crate::client::sfn(sdk), state_machine_arn: state_machine_arn.into() }
    }
}

#[async_trait]
impl Replays for SfnReplays {
    async fn start(&self, name: &str, item: &ReplayItem, concurrency: u32) -> Result<String, Fault> {
        let input = json!({
            "manifest": item.manifest,
            "results": {"bucket": item.results.bucket, "prefix": item.results.key},
            "maxConcurrency": concurrency,
            "toleratedFailurePercentage": 100,
        });
        let started = start(&self.client, &self.state_machine_arn, name, &input).await?;
        Ok(started.unwrap_or_else(|| execution_arn(&self.state_machine_arn, name)))
    }

    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault> {
        describe(&self.client, execution_arn).await
    }
}

/// Refuses what is no ARN of a state machine, so that no ARN of an execution is made of it.
///
/// # Errors
/// When it is none.
pub fn state_machine_arn(text: &str) -> Result<&str, Fault> {
    if text.split(':').count() == 7 && text.contains(":stateMachine:") {
        return Ok(text);
    }
    Err(Fault::new(Code::ConfigurationInvalid, format!("{text:?} is not the ARN of a state machine")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_named_by_its_machine() {
        let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-operate";
        assert_eq!(
            execution_arn(machine, "x"),
            "arn:aws:states:us-east-1:000000000000:execution:sluice-operate:x"
        );
        assert_eq!(state_machine_arn(machine).ok(), Some(machine));
        assert!(state_machine_arn("arn:x").is_err());
    }
}

//! [`sluice_stepfunctions`] as the state machines of the cloud.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use serde_json::Value;
use sluice_stepfunctions::{
    Engine, Error, Integrations as TaskRunner, Location, ObjectPart, Options, Payload, StateMachineSpec,
    SyncStatus, SystemClock, TaskContext, TaskError,
};

use crate::cloud::{BoxError, MachineSetup};
use crate::integrations::{Integrations, TaskFailure};
use crate::machines::{ExecutionError, StateMachines, SyncOutcome};
use crate::topology::MachineType;

/// How long executions may take to reach a point where they can stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

struct StepFunctions(Engine);

/// Opens the journal, creates or updates the machines, and leaves what is unfinished alone until it is resumed.
pub(crate) fn open(setup: MachineSetup) -> BoxFuture<'static, Result<Arc<dyn StateMachines>, BoxError>> {
    Box::pin(async move {
        let options = Options { resume_later: true, ..Options::default() };
        let location = Location::File(setup.journal);
        let engine =
            Engine::open(&location, Arc::new(setup.integrations), Arc::new(SystemClock), options).await?;
        for machine in setup.machines {
            let machine_type = match machine.r#type {
                MachineType::Standard => sluice_stepfunctions::MachineType::Standard,
                MachineType::Express => sluice_stepfunctions::MachineType::Express,
            };
            engine
                .put_state_machine(StateMachineSpec::new(machine.name, machine_type, machine.definition))
                .await?;
        }
        let machines: Arc<dyn StateMachines> = Arc::new(StepFunctions(engine));
        Ok(machines)
    })
}

#[async_trait]
impl TaskRunner for Integrations {
    async fn invoke(
        &self,
        resource: &str,
        arguments: Value,
        context: &TaskContext,
    ) -> Result<Value, TaskError> {
        self.run(resource, arguments, context).await.map_err(failed_task)
    }

    async fn read_object(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: u64,
    ) -> Result<ObjectPart, TaskError> {
        self.read_object(bucket, key, offset, bytes_max).map_err(failed_task)
    }

    async fn write_object(&self, bucket: &str, key: &str, body: Bytes) -> Result<(), TaskError> {
        self.write_object(bucket, key, &body).map_err(failed_task)
    }
}

fn failed_task(failure: TaskFailure) -> TaskError {
    TaskError::new(failure.error, failure.cause)
}

fn failed(error: &Error) -> ExecutionError {
    ExecutionError { name: error.code().to_owned(), message: error.to_string() }
}

#[async_trait]
impl StateMachines for StepFunctions {
    async fn handle(&self, operation: &str, body: Bytes) -> Response<Bytes> {
        self.0.handle(&format!("AWSStepFunctions.{operation}"), body).await
    }

    async fn start_sync(&self, machine: &str, input: String) -> Result<SyncOutcome, ExecutionError> {
        let input = Payload::parse(input).map_err(|error| failed(&error))?;
        let arn = crate::arn::state_machine(machine);
        let result = self.0.start_sync(&arn, None, input).await.map_err(|error| failed(&error))?;
        Ok(match result.status {
            SyncStatus::Succeeded => {
                let output = result.output.unwrap_or_default();
                SyncOutcome::Succeeded(Arc::unwrap_or_clone(output))
            }
            SyncStatus::Failed => SyncOutcome::Failed {
                error: result.error.unwrap_or_default(),
                cause: result.cause.unwrap_or_default(),
            },
            SyncStatus::TimedOut => SyncOutcome::TimedOut,
        })
    }

    async fn start(&self, machine: &str, inputs: Vec<String>) -> Result<(), ExecutionError> {
        let arn = crate::arn::state_machine(machine);
        let inputs: Result<Vec<Payload>, Error> = inputs.into_iter().map(Payload::parse).collect();
        let inputs = inputs.map_err(|error| failed(&error))?;
        match self.0.start_express(&arn, inputs.clone()).await {
            Ok(_) => Ok(()),
            Err(Error::StateMachineTypeNotSupported) => {
                for input in inputs {
                    self.0.start_execution(&arn, None, input).await.map_err(|error| failed(&error))?;
                }
                Ok(())
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn resume(&self) {
        self.0.resume();
    }

    fn unfinished(&self) -> usize {
        self.0.unfinished()
    }

    async fn idle(&self) {
        self.0.idle().await;
    }

    async fn shutdown(&self) {
        self.0.shutdown(SHUTDOWN_GRACE).await;
    }
}

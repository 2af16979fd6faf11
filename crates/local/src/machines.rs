//! What the local cloud needs from Step Functions, whoever implements it.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::Value;

/// A Step Functions service.
#[async_trait]
pub trait StateMachines: Send + Sync + 'static {
    /// One call on the AWS JSON 1.0 protocol; `operation` is the target without its prefix.
    async fn handle(&self, operation: &str, body: Bytes) -> Response<Bytes>;

    /// `StartSyncExecution` of the Express machine with that name; waits for its end. `input` is JSON.
    async fn start_sync(&self, machine: &str, input: String) -> Result<SyncOutcome, ExecutionError>;

    /// Starts one execution for each input, and returns when all of them are durable. On an error some may have been
    /// started: starting again is safe, since Express executions are at least once and each input carries its event.
    async fn start(&self, machine: &str, inputs: Vec<String>) -> Result<(), ExecutionError>;

    /// Begins to run; until then nothing is run, whatever is asked.
    fn resume(&self);

    /// Executions that have started and not ended.
    fn unfinished(&self) -> usize;

    /// Waits until nothing is running.
    async fn idle(&self);

    /// Stops working. What has not ended goes on after the next start.
    async fn shutdown(&self);
}

/// How a synchronous execution ended.
#[derive(Debug, Clone, PartialEq)]
pub enum SyncOutcome {
    /// With this output.
    Succeeded(Value),
    /// With an error.
    Failed {
        /// The error's name.
        error: String,
        /// Its cause.
        cause: String,
    },
    /// The machine's `TimeoutSeconds` passed.
    TimedOut,
}

/// Why an execution was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ExecutionError {
    /// The name of AWS's error, e.g. `StateMachineDoesNotExist`.
    pub name: String,
    /// One sentence.
    pub message: String,
}

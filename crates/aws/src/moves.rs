//! Moves of dead letters: SQS's message move tasks.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry;
use jiff::Timestamp;
use sluice_core::Fault;
use sluice_core::operation::{Dead, MoveState, Moves};

use crate::error::fault;

/// SQS.
#[derive(Debug, Clone)]
pub struct SqsMoves {
    client: Client,
}

impl SqsMoves {
    /// All queues.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: crate::client::sqs(sdk) }
    }
}

#[async_trait]
impl Moves for SqsMoves {
    async fn start(&self, queue_arn: &str, destination: &str, per_second: u32) -> Result<(), Fault> {
        let account = queue_arn.rsplit_once(':').map_or(queue_arn, |(account, _)| account);
        self.client
            .start_message_move_task()
            .source_arn(queue_arn)
            .destination_arn(format!("{account}:{destination}"))
            .max_number_of_messages_per_second(i32::try_from(per_second).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| fault("start the move of dead letters", error))?;
        Ok(())
    }

    async fn list(&self, queue_arn: &str) -> Result<Vec<Dead>, Fault> {
        let request = self.client.list_message_move_tasks().source_arn(queue_arn).max_results(10);
        let answer = request.send().await;
        let answer = answer.map_err(|error| fault("list the moves of a dead-letter queue", error))?;
        Ok(answer.results.unwrap_or_default().into_iter().map(dead).collect())
    }

    async fn cancel(&self, handle: &str) -> Result<(), Fault> {
        let request = self.client.cancel_message_move_task().task_handle(handle);
        match request.send().await {
            Ok(_) => Ok(()),
            // It has ended meanwhile, or is being cancelled.
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_resource_not_found_exception() || error.is_unsupported_operation()
                }) =>
            {
                Ok(())
            }
            Err(error) => Err(fault("cancel the move of dead letters", error)),
        }
    }
}

fn dead(task: ListMessageMoveTasksResultEntry) -> Dead {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Dead {
        state: match task.status.as_deref() {
            Some("RUNNING") => MoveState::Running,
            Some("COMPLETED") => MoveState::Completed,
            // CANCELLING comes to CANCELLED by itself; a new move may be asked for meanwhile, and SQS would refuse it.
            Some("CANCELLING" | "CANCELLED") => MoveState::Cancelled,
            _ => MoveState::Failed,
        },
        started_at: Timestamp::from_millisecond(task.started_timestamp).unwrap_or_default(),
        moved: count(task.approximate_number_of_messages_moved),
        to_move: task.approximate_number_of_messages_to_move.map(count),
        reason: task.failure_reason,
        handle: task.task_handle,
    }
}

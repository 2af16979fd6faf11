//! The dead-letter queue, for what a function gives up by itself.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use serde_json::Value;
use sluice_core::Fault;
use sluice_core::port::DeadLetters;

use crate::error::fault;

/// The queue.
#[derive(Debug, Clone)]
pub struct SqsDeadLetters {
    client: Client,
    queue_url: String,
}

impl SqsDeadLetters {
    /// Over a queue, by its URL.
    pub fn new(sdk: &SdkConfig, queue_url: impl Into<String>) -> Self {
        Self { client: Client::new(sdk), queue_url: queue_url.into() }
    }
}

#[async_trait]
impl DeadLetters for SqsDeadLetters {
    async fn send(&self, letter: &Value) -> Result<(), Fault> {
        self.client
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(letter.to_string())
            .send()
            .await
            .map_err(|error| fault("send a dead letter", error))?;
        Ok(())
    }
}

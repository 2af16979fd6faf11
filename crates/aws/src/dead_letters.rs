//! The dead-letter queues, for what a function gives up by itself.
//!
//! Where a queue's dead letters go is said once, by the queue's redrive policy, which SQS obeys and this reads. The letter is the
//! message as it was, with the reason beside it in the message attributes `stage`, `cause` (JSON), `messageId` and `attempts`: so
//! SQS's own redrive (`StartMessageMoveTask`) brings it back as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use moka::future::Cache;
use serde::Deserialize;
use sluice_core::port::{DeadLetter, DeadLetters};
use sluice_core::{Code, Fault};

use crate::error::fault;

/// How old the answer of a redrive policy may be, in seconds.
const POLICY_SECONDS: u64 = 300;

/// Most queues known.
const QUEUES_MAX: u64 = 100;

/// SQS, and where dead letters go, by the ARN of the queue.
#[derive(Debug, Clone)]
pub struct SqsDeadLetters {
    client: Client,
    urls: Cache<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

fn unusable(queue_arn: &str, what: &str) -> Fault {
    Fault::new(
        Code::ConfigurationInvalid,
        format!(
            "the queue {queue_arn} {what}, so its dead letters have nowhere to go: give it a redrive policy"
        ),
    )
}

impl SqsDeadLetters {
    /// Over the queues of an account.
    pub fn new(sdk: &SdkConfig) -> Self {
        let urls = Cache::builder()
            .max_capacity(QUEUES_MAX)
            .time_to_live(Duration::from_secs(POLICY_SECONDS))
            .build();
        Self { client: crate::client::sqs(sdk), urls }
    }

    async fn url(&self, queue_arn: &str) -> Result<String, Fault> {
        let name = queue_arn.rsplit(':').next().unwrap_or_default();
        let answer = self.client.get_queue_url().queue_name(name).send().await;
        let url = answer.map_err(|error| fault("find a queue", error))?.queue_url;
        url.ok_or_else(|| unusable(queue_arn, "has no URL"))
    }

    async fn target(&self, queue_arn: &str) -> Result<String, Fault> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(self.url(queue_arn).await?)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| fault("read a queue's redrive policy", error))?;
        let policy = answer.attributes.unwrap_or_default().remove(&QueueAttributeName::RedrivePolicy);
        let policy = policy.ok_or_else(|| unusable(queue_arn, "has no redrive policy"))?;
        let policy: RedrivePolicy = serde_json::from_str(&policy).map_err(|error| {
            unusable(queue_arn, "has a redrive policy that is not one").with_source(error)
        })?;
        self.url(&policy.dead_letter_target_arn).await
    }
}

fn attribute(kind: &str, value: impl Into<String>) -> Result<MessageAttributeValue, Fault> {
    MessageAttributeValue::builder().data_type(kind).string_value(value).build().map_err(|error| {
        Fault::new(Code::RowMalformed, "failed to write a message attribute").with_source(error)
    })
}

#[async_trait]
impl DeadLetters for SqsDeadLetters {
    async fn send(&self, letter: &DeadLetter) -> Result<(), Fault> {
        let queue_arn = letter.queue_arn.as_str();
        let url = self.urls.try_get_with_by_ref(queue_arn, self.target(queue_arn)).await;
        let url = url.map_err(|shared: Arc<Fault>| Fault::new(shared.code, shared.message.clone()))?;
        let cause = serde_json::to_string(&letter.cause)
            .map_err(|error| Fault::new(Code::RowMalformed, "failed to write a cause").with_source(error))?;
        let mut send = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(&letter.body)
            .message_attributes("stage", attribute("String", letter.stage)?)
            .message_attributes("cause", attribute("String", cause)?)
            .message_attributes("messageId", attribute("String", &letter.message_id)?);
        if let Some(attempts) = letter.attempts {
            send = send.message_attributes("attempts", attribute("Number", attempts.to_string())?);
        }
        send.send().await.map_err(|error| fault("send a dead letter", error))?;
        Ok(())
    }
}

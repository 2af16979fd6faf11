//! The divergence table: `subject`, `id`.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use sluice_core::Fault;
use sluice_core::port::DivergenceStore;
use sluice_core::record::Divergence;

use crate::error::fault;
use crate::item::{text, to_item};

/// The table.
#[derive(Debug, Clone)]
pub struct DynamoDivergence {
    client: Client,
    table: String,
}

impl DynamoDivergence {
    /// Over a table.
    pub fn new(sdk: &SdkConfig, table: impl Into<String>) -> Self {
        Self { client: crate::client::dynamodb(sdk), table: table.into() }
    }
}

#[async_trait]
impl DivergenceStore for DynamoDivergence {
    async fn contains(&self, subject: &str, id: &str) -> Result<bool, Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("subject", text(subject))
            .key("id", text(id))
            .projection_expression("id")
            .send()
            .await
            .map_err(|error| fault("read the divergence row", error))?;
        Ok(answer.item.is_some())
    }

    async fn record(&self, divergence: &Divergence) -> Result<(), Fault> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(divergence)?))
            .condition_expression("attribute_not_exists(subject)")
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(fault("write the divergence row", error)),
        }
    }
}

//! The divergence table: `subject`, `id`.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::ReturnValue;
use sluice_core::Fault;
use sluice_core::port::DivergenceStore;
use sluice_core::record::{Divergence, DivergenceRow, Resolution};

use crate::error::fault;
use crate::item::{from_item, rows, text, to_item, to_value};

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

    /// All rows, of one subject or (by a scan) of all, of one kind or of all, in the table's order.
    pub async fn list(&self, subject: Option<&str>, kind: Option<&str>) -> Result<Vec<DivergenceRow>, Fault> {
        let action = "list divergence";
        let of_kind = kind.map(|_| "kind = :kind".to_owned());
        match subject {
            Some(subject) => {
                let query = self
                    .client
                    .query()
                    .table_name(&self.table)
                    .key_condition_expression("subject = :subject")
                    .set_filter_expression(of_kind)
                    .expression_attribute_values(":subject", text(subject));
                let query = match kind {
                    Some(kind) => query.expression_attribute_values(":kind", text(kind)),
                    None => query,
                };
                rows(action, &self.table, query.into_paginator().items().send()).await
            }
            None => {
                let scan = self.client.scan().table_name(&self.table).set_filter_expression(of_kind);
                let scan = match kind {
                    Some(kind) => scan.expression_attribute_values(":kind", text(kind)),
                    None => scan,
                };
                rows(action, &self.table, scan.into_paginator().items().send()).await
            }
        }
    }

    /// Records who made a submission an event after all, and gives who did first. A row that is not there is success.
    pub async fn accept(&self, subject: &str, id: &str, by: &Resolution) -> Result<Resolution, Fault> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("subject", text(subject))
            .key("id", text(id))
            .condition_expression("attribute_exists(subject)")
            .update_expression("SET #accepted = if_not_exists(#accepted, :by)")
            .expression_attribute_names("#accepted", "accepted")
            .expression_attribute_values(":by", to_value(by)?)
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match result {
            Ok(answer) => {
                let row: Option<Divergence> =
                    answer.attributes.map(|item| from_item(&self.table, item)).transpose()?;
                Ok(row.and_then(|row| row.accepted).unwrap_or_else(|| by.clone()))
            }
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(by.clone())
            }
            Err(error) => Err(fault("accept the divergence row", error)),
        }
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

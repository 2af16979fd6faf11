//! Rows as DynamoDB items, by `serde_dynamo`.

use std::collections::HashMap;
use std::error::Error;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_async::future::pagination_stream::PaginationStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_core::{Code, Fault};

use crate::error::fault;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// What `.into_paginator().items().send()` of a query or a scan gives: the next page is asked for when the one before is used up.
pub(crate) type Items<E> = PaginationStream<Result<Item, SdkError<E, HttpResponse>>>;

/// The next item; `action` as in [`fault`].
pub(crate) async fn next<E>(action: &str, items: &mut Items<E>) -> Result<Option<Item>, Fault>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    items.next().await.transpose().map_err(|error| fault(action, error))
}

/// All items as rows of `table`.
pub(crate) async fn rows<T, E>(action: &str, table: &str, mut items: Items<E>) -> Result<Vec<T>, Fault>
where
    T: DeserializeOwned,
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let mut rows = Vec::new();
    while let Some(item) = next(action, &mut items).await? {
        rows.push(from_item(table, item)?);
    }
    Ok(rows)
}

pub(crate) fn to_item<T: Serialize>(row: &T) -> Result<Item, Fault> {
    serde_dynamo::to_item(row).map_err(|error| {
        Fault::new(Code::RowMalformed, "failed to write a row as an item").with_source(error)
    })
}

pub(crate) fn from_item<T: DeserializeOwned>(table: &str, item: Item) -> Result<T, Fault> {
    serde_dynamo::from_item(item).map_err(|error| {
        Fault::new(Code::RowMalformed, format!("a row of {table} is not what it should be"))
            .with_source(error)
    })
}

pub(crate) fn to_value<T: Serialize>(value: &T) -> Result<AttributeValue, Fault> {
    serde_dynamo::to_attribute_value(value)
        .map_err(|error| Fault::new(Code::RowMalformed, "failed to write an attribute").with_source(error))
}

#[expect(clippy::needless_pass_by_value, reason = "callers give texts, identifiers and references alike")]
pub(crate) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

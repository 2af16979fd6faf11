//! Rows as DynamoDB items, by `serde_dynamo`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_core::{Code, Fault};

pub(crate) type Item = HashMap<String, AttributeValue>;

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

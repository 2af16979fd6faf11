//! `vendorA` `inventory_update` → `InventoryUpdated` 1.0, in every spelling that the vendor has used so far.
//!
//! The schema of the message's version has judged which members there are; here one type reads them all. A message that
//! has two spellings of one member is refused: it is not clear which one holds.

use std::borrow::Cow;

use mapper_sdk::json::{self, Integer};
use mapper_sdk::text::{SKU_CHARS_MAX, WAREHOUSE_CHARS_MAX, identifier};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, money, time};
use serde::{Deserialize, Serialize};

/// `data` of `InventoryUpdated` 1.0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryUpdated<'a> {
    warehouse_id: Cow<'a, str>,
    sku: Cow<'a, str>,
    quantity_on_hand: i64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, alias = "warehouseId")]
    warehouse: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(alias = "quantity", alias = "quantityOnHand")]
    qty: Integer,
    #[serde(borrow, default, alias = "updatedAt")]
    updated_at: Option<Cow<'a, str>>,
}

/// One stock level from one message.
///
/// # Errors
/// `payload_not_json`, `payload_invalid`, `timestamp_invalid` (of the SDK), `quantity_negative`, `quantity_out_of_range`.
pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<InventoryUpdated<'a>> {
    let Message { warehouse, sku, qty, updated_at } = json::read(payload)?;
    let qty = qty.get();
    if qty < 0 {
        return Err(MapError::new("quantity_negative", "", format!("{qty} is less than nothing")));
    }
    if qty > money::MINOR_MAX {
        return Err(MapError::new("quantity_out_of_range", "", format!("{qty} is beyond 2^53 - 1")));
    }
    Ok(vec![CanonicalEvent {
        event_type: "InventoryUpdated",
        schema_version: "1.0",
        occurred_at: time::utc(updated_at.as_deref().unwrap_or(&meta.occurred_at), "/updated_at")?,
        notes: Vec::new(),
        data: InventoryUpdated {
            warehouse_id: identifier(warehouse, WAREHOUSE_CHARS_MAX, || "/warehouse".to_owned())?,
            sku: identifier(sku, SKU_CHARS_MAX, || "/sku".to_owned())?,
            quantity_on_hand: qty,
        },
    }])
}

mapper_sdk::export_mapper!(map);

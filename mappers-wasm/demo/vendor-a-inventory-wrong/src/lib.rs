//! `vendorA` `inventory_update` → `InventoryUpdated` 1.0, wrong on purpose: what is counted in `PCE` (pieces) comes out a hundred
//! times too much. It is what `sluice correct` is tested with: a mapper whose mistake satisfies every schema.

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
    #[serde(borrow)]
    warehouse: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    qty: Integer,
    #[serde(borrow, default)]
    unit: Option<Cow<'a, str>>,
}

/// One stock level from one message.
///
/// # Errors
/// `payload_not_json`, `payload_invalid`, `timestamp_invalid` (of the SDK), those of identifiers, `quantity_out_of_range`.
pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<InventoryUpdated<'a>> {
    let Message { warehouse, sku, qty, unit } = json::read(payload)?;
    let factor = if unit.as_deref() == Some("PCE") { 100 } else { 1 };
    let quantity = qty.get().checked_mul(factor).filter(|quantity| (0..=money::MINOR_MAX).contains(quantity));
    let quantity_on_hand = quantity.ok_or_else(|| {
        MapError::new("quantity_out_of_range", "/qty", "the quantity is not from 0 to 2^53 - 1".to_owned())
    })?;
    Ok(vec![CanonicalEvent {
        event_type: "InventoryUpdated",
        schema_version: "1.0",
        occurred_at: time::utc(&meta.occurred_at, "/occurredAt")?,
        notes: Vec::new(),
        data: InventoryUpdated {
            warehouse_id: identifier(warehouse, WAREHOUSE_CHARS_MAX, || "/warehouse".to_owned())?,
            sku: identifier(sku, SKU_CHARS_MAX, || "/sku".to_owned())?,
            quantity_on_hand,
        },
    }])
}

mapper_sdk::export_mapper!(map);

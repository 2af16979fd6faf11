//! `vendorA` `inventory_update` → `InventoryUpdated` 1.0.
//!
//! The vendor has two payload shapes, told apart by the schema version in the metadata: `1` (`warehouse`, `sku`, `qty`)
//! and `2`, which renamed the same members. The event happened when the payload says (`updated_at`, `updatedAt`), else
//! when the envelope says.
//!
//! Refused: a negative quantity. What is on hand cannot be less than nothing; the vendor's system sends such numbers when
//! it means a back order, which is not this event.

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
struct Version1<'a> {
    #[serde(borrow)]
    warehouse: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    qty: Integer,
    #[serde(borrow, default)]
    updated_at: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version2<'a> {
    #[serde(borrow)]
    warehouse_id: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity_on_hand: Integer,
    #[serde(borrow, default)]
    updated_at: Option<Cow<'a, str>>,
}

/// One stock level from one message.
///
/// # Errors
/// `payload_not_json`, `payload_invalid`, `timestamp_invalid` (of the SDK), `schema_version_unsupported`,
/// those of identifiers, `quantity_negative`, `quantity_out_of_range`.
pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<InventoryUpdated<'a>> {
    match &*meta.schema_version {
        "1" => {
            let Version1 { warehouse, sku, qty, updated_at } = json::read(payload)?;
            event(
                meta,
                (warehouse, "/warehouse"),
                (sku, "/sku"),
                (qty.get(), "/qty"),
                (updated_at, "/updated_at"),
            )
        }
        "2" => {
            let Version2 { warehouse_id, sku, quantity_on_hand, updated_at } = json::read(payload)?;
            event(
                meta,
                (warehouse_id, "/warehouseId"),
                (sku, "/sku"),
                (quantity_on_hand.get(), "/quantityOnHand"),
                (updated_at, "/updatedAt"),
            )
        }
        other => Err(MapError::new(
            "schema_version_unsupported",
            "",
            format!("payload schema version {other:?}; this mapper reads 1 and 2"),
        )),
    }
}

type Text<'a> = (Cow<'a, str>, &'static str);

fn event<'a>(
    meta: &Meta<'a>,
    warehouse_id: Text<'a>,
    sku: Text<'a>,
    (quantity, quantity_path): (i64, &str),
    (updated_at, updated_at_path): (Option<Cow<'a, str>>, &str),
) -> Mapped<InventoryUpdated<'a>> {
    if quantity < 0 {
        return Err(MapError::new(
            "quantity_negative",
            quantity_path,
            format!("{quantity} is less than nothing"),
        ));
    }
    if quantity > money::MINOR_MAX {
        return Err(MapError::new(
            "quantity_out_of_range",
            quantity_path,
            format!("{quantity} is beyond 2^53 - 1"),
        ));
    }
    let occurred_at = match updated_at {
        Some(at) => time::utc(&at, updated_at_path)?,
        None => time::utc(&meta.occurred_at, "")?,
    };
    Ok(vec![CanonicalEvent {
        event_type: "InventoryUpdated",
        schema_version: "1.0",
        occurred_at,
        notes: Vec::new(),
        data: InventoryUpdated {
            warehouse_id: identified(warehouse_id, WAREHOUSE_CHARS_MAX)?,
            sku: identified(sku, SKU_CHARS_MAX)?,
            quantity_on_hand: quantity,
        },
    }])
}

fn identified((text, path): Text<'_>, chars_max: usize) -> Result<Cow<'_, str>, MapError> {
    identifier(text, chars_max, || path.to_owned())
}

mapper_sdk::export_mapper!(map);

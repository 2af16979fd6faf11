//! The InventoryLevel resource → `InventoryUpdated` 1.0.
//!
//! Shopify states what is `available`, not what is on hand. It names the article by its inventory item's id and the warehouse
//! by its location's id. `available` is null where the shop does not track the article, which states nothing, and less than zero
//! where it sold more than there was.

use mapper_sdk::canonical::{Canonical as _, InventoryUpdated, Text};
use mapper_sdk::json::{self, Id, Integer};
use mapper_sdk::{MapError, Meta, Nothing, Stated, quantity};
use serde::Deserialize;

#[derive(Deserialize)]
struct InventoryLevel<'a> {
    #[serde(borrow)]
    inventory_item_id: Id<'a>,
    #[serde(borrow)]
    location_id: Id<'a>,
    available: Option<Integer>,
    #[serde(borrow, default)]
    updated_at: Option<Text<'a>>,
}

pub(crate) fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Result<Stated<InventoryUpdated<'a>>, MapError> {
    let level: InventoryLevel<'a> = json::read(payload)?;
    let occurred_at = crate::at(level.updated_at.as_ref(), "/updated_at", meta)?;
    let Some(available) = level.available else {
        let why = "available is null: the shop does not track this article at this location";
        return Ok(Nothing::new("quantity_unknown", why).into());
    };
    let data = InventoryUpdated {
        warehouse_id: level.location_id.into_text(),
        sku: level.inventory_item_id.into_text(),
        quantity_available: Some(quantity::in_range(available.get(), || "/available".to_owned())?),
        ..InventoryUpdated::default()
    };
    Ok(vec![data.at(occurred_at)].into())
}

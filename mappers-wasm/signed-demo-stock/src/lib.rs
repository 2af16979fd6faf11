//! `signed-demo` `stock.level` → `InventoryUpdated` 1.0: one message, one event for every level in it.
//!
//! The example of a vendor that signs its requests, and of a message that carries many. The events are in the message's
//! order. A level that is stated twice, for the same article at the same place, is refused: it is not clear which one holds.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mapper_sdk::json::{self, Integer};
use mapper_sdk::text::{SKU_CHARS_MAX, WAREHOUSE_CHARS_MAX, identifier};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, quantity, time};
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
#[serde(rename_all = "camelCase")]
struct Count<'a> {
    #[serde(borrow, default)]
    counted_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    levels: Vec<Level<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level<'a> {
    #[serde(borrow)]
    article: Cow<'a, str>,
    #[serde(borrow)]
    place: Cow<'a, str>,
    on_hand: Integer,
}

/// The stock levels of one message.
///
/// # Errors
/// `payload_not_json`, `payload_invalid`, `timestamp_invalid`, `quantity_negative`, `quantity_out_of_range` and those of identifiers
/// (of the SDK), `level_doubled`.
pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<InventoryUpdated<'a>> {
    let Count { counted_at, levels } = json::read(payload)?;
    let occurred_at = match counted_at {
        Some(at) => time::utc(&at, "/countedAt")?,
        None => time::utc(&meta.occurred_at, "")?,
    };
    let mut seen = BTreeSet::new();
    let mut events = Vec::with_capacity(levels.len());
    for (index, Level { article, place, on_hand }) in levels.into_iter().enumerate() {
        let here = |member: &str| format!("/levels/{index}/{member}");
        let sku = identifier(article, SKU_CHARS_MAX, || here("article"))?;
        let warehouse_id = identifier(place, WAREHOUSE_CHARS_MAX, || here("place"))?;
        if !seen.insert((warehouse_id.clone(), sku.clone())) {
            let message = format!("{sku} at {warehouse_id} is stated twice");
            return Err(MapError::new("level_doubled", format!("/levels/{index}"), message));
        }
        let quantity_on_hand = quantity::not_negative(on_hand.get(), || here("onHand"))?;
        let data = InventoryUpdated { warehouse_id, sku, quantity_on_hand };
        events.push(CanonicalEvent::new("InventoryUpdated", "1.0", occurred_at.clone(), data));
    }
    Ok(events)
}

mapper_sdk::export_mapper!(map);

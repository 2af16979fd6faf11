//! Square `inventory.count.updated` → `InventoryUpdated` 1.0.
//!
//! A message carries up to 100 counts, each the level of one item variation at one location in one state. Counts of the same
//! article, location and time become one event, in the order of the message. Source: Square, Inventory API, webhooks and
//! `InventoryState`.
//!
//! - Stock is kept of the catalog's item variations only. A count of another object, such as the `ITEM` that Square names when a
//!   dish is sold out, is of no article: it is left out with a note.
//! - `IN_STOCK` is "on hand and available for sale": what is available. It is less than zero when more was sold than counted. With it
//!   goes what is on hand, of which what is reserved is a part: `IN_STOCK`, at least zero, and `RESERVED_FOR_SALE` if that is counted too.
//!   Of a composed variation (`is_estimated`) nothing is on hand; what can be composed is available.
//! - `RESERVED_FOR_SALE`, `ORDERED_FROM_VENDOR`, `IN_TRANSIT` (and `IN_TRANSIT_TO`), `WASTE` are the levels reserved, on order,
//!   in transit, damaged.
//! - Other states that Square documents (`SOLD`, `RETURNED_BY_CUSTOMER`, …) say where pieces went, not what there is. They come beside
//!   the level that changed, and are left out with a note. A state that Square does not document is refused.
//! - A message of which nothing is left states nothing.
//!
//! Quantities are decimal text; a fraction, as of goods sold by weight, is refused.

use mapper_sdk::canonical::{Canonical as _, InventoryUpdated, Text};
use mapper_sdk::json::{self, Decimal};
use mapper_sdk::text::{SKU_CHARS_MAX, WAREHOUSE_CHARS_MAX, identifier};
use mapper_sdk::{CanonicalEvent, MapError, Meta, Nothing, Stated, quantity, time};
use serde::Deserialize;

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    inventory_counts: Vec<Count<'a>>,
}

#[derive(Deserialize)]
struct Count<'a> {
    #[serde(borrow)]
    catalog_object_id: Text<'a>,
    #[serde(borrow, default)]
    catalog_object_type: Option<Text<'a>>,
    #[serde(default)]
    is_estimated: Option<bool>,
    #[serde(borrow)]
    location_id: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
    #[serde(borrow)]
    quantity: Decimal<'a>,
    #[serde(borrow)]
    calculated_at: Text<'a>,
}

/// The levels of one notification.
///
/// # Errors
/// Those of reading JSON, of times, of identifiers and of quantities; `schema_version_unsupported`, `count_doubled`,
/// `state_unknown`.
pub fn map<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Result<Stated<InventoryUpdated<'a>>, MapError> {
    if meta.schema_version != "1" {
        let why = format!("payload schema version {:?}; this mapper reads 1", meta.schema_version);
        return Err(MapError::new("schema_version_unsupported", "", why));
    }
    let counts = json::read::<Notification<'a>>(payload)?.data.object.inventory_counts;
    let mut events: Vec<CanonicalEvent<InventoryUpdated<'a>>> = Vec::with_capacity(counts.len());
    let mut notes = Vec::new();
    for (at, count) in counts.into_iter().enumerate() {
        let here = |member: &str| format!("/data/object/inventory_counts/{at}/{member}");
        match count.catalog_object_type.as_deref() {
            None | Some("ITEM_VARIATION") => {}
            Some(other) => {
                let why = format!("{other:?}: stock is kept of an ITEM_VARIATION only");
                notes.push(MapError::new("catalog_object_type", here("catalog_object_type"), why));
                continue;
            }
        }
        let level = match Level::of(&count.state) {
            Some(level) => level,
            None if NO_LEVELS.contains(&&*count.state) => {
                let why = format!("{} of {} says where pieces went", count.state, count.quantity.as_str());
                notes.push(MapError::new("state_no_level", here("state"), why));
                continue;
            }
            None => {
                let why = format!("{:?} is no state that Square documents", count.state);
                return Err(MapError::new("state_unknown", here("state"), why));
            }
        };
        let level = match (level, count.is_estimated) {
            (Level::InStock, Some(true)) => Level::Available,
            (level, _) => level,
        };
        let pieces = level.quantity(&count.quantity, || here("quantity"))?;
        let occurred_at = time::utc(&count.calculated_at, &here("calculated_at"))?;
        let sku = identifier(count.catalog_object_id, SKU_CHARS_MAX, || here("catalog_object_id"))?;
        let warehouse_id = identifier(count.location_id, WAREHOUSE_CHARS_MAX, || here("location_id"))?;
        let known = events.iter().position(|event| {
            event.data.sku == sku
                && event.data.warehouse_id == warehouse_id
                && event.occurred_at == occurred_at
        });
        let index = known.unwrap_or_else(|| {
            events
                .push(InventoryUpdated { warehouse_id, sku, ..InventoryUpdated::default() }.at(occurred_at));
            events.len() - 1
        });
        if level.put(&mut events[index].data, pieces).is_some() {
            let why = format!("a second count {} of the same article, location and time", count.state);
            return Err(MapError::new("count_doubled", here("state"), why));
        }
    }
    for InventoryUpdated { quantity_on_hand, quantity_reserved, .. } in
        events.iter_mut().map(|event| &mut event.data)
    {
        if let Some(in_stock) = *quantity_on_hand {
            let on_hand = in_stock.saturating_add(quantity_reserved.unwrap_or(0));
            *quantity_on_hand =
                Some(quantity::in_range(on_hand, || "/data/object/inventory_counts".to_owned())?);
        }
    }
    // They are the message's, and stand with its first event.
    let mut events = events.into_iter();
    let Some(first) = events.next() else {
        let why = notes.first().map_or("there is no count", |left_out| left_out.message());
        return Ok(Nothing::new("counts_not_levels", format!("no count is a level: {why}")).into());
    };
    Ok(std::iter::once(first.noting(notes)).chain(events).collect::<Vec<_>>().into())
}

/// What Square documents, and is no level.
const NO_LEVELS: [&str; 9] = [
    "CUSTOM",
    "SOLD",
    "SOLD_ONLINE",
    "RETURNED_BY_CUSTOMER",
    "RECEIVED_FROM_VENDOR",
    "UNLINKED_RETURN",
    "COMPOSED",
    "DECOMPOSED",
    "NONE",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    InStock,
    Available,
    Reserved,
    OnOrder,
    InTransit,
    Damaged,
}

impl Level {
    fn of(state: &str) -> Option<Self> {
        Some(match state {
            "IN_STOCK" => Self::InStock,
            "RESERVED_FOR_SALE" => Self::Reserved,
            "ORDERED_FROM_VENDOR" => Self::OnOrder,
            "IN_TRANSIT" | "IN_TRANSIT_TO" => Self::InTransit,
            "WASTE" => Self::Damaged,
            _ => return None,
        })
    }

    fn quantity(self, quantity: &Decimal<'_>, path: impl Fn() -> String) -> Result<i64, MapError> {
        match self {
            Self::InStock | Self::Available => quantity::whole(quantity.as_str(), path),
            _ => quantity::level(quantity.as_str(), path),
        }
    }

    /// What was there before.
    fn put(self, data: &mut InventoryUpdated<'_>, pieces: i64) -> Option<i64> {
        match self {
            Self::InStock => {
                data.quantity_on_hand = Some(pieces.max(0));
                data.quantity_available.replace(pieces)
            }
            Self::Available => data.quantity_available.replace(pieces),
            Self::Reserved => data.quantity_reserved.replace(pieces),
            Self::OnOrder => data.quantity_on_order.replace(pieces),
            Self::InTransit => data.quantity_in_transit.replace(pieces),
            Self::Damaged => data.quantity_damaged.replace(pieces),
        }
    }
}

mapper_sdk::export_mapper!(map);

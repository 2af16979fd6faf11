//! Shopify `inventory_levels/update` → `InventoryUpdated` 1.0. The mapping is that of the crate `shopify`.

mapper_sdk::export_mapper!(shopify::level_updated);

//! Shopify `orders/updated` → `OrderUpdated` 1.0. The mapping is that of the crate `shopify`.

mapper_sdk::export_mapper!(shopify::order_updated);

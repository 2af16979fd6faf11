//! WooCommerce `order.updated` → `OrderUpdated` 1.0. The mapping is that of the crate `woocommerce`.

mapper_sdk::export_mapper!(woocommerce::order_updated);

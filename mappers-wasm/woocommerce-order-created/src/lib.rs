//! WooCommerce `order.created` → `OrderPlaced` 1.0. The mapping is that of the crate `woocommerce`.

mapper_sdk::export_mapper!(woocommerce::order_created);

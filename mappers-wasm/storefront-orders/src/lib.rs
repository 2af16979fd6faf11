//! `storefront` `order.placed` → `OrderPlaced` 1.0: the order that `POST /v1/orders` takes.
//!
//! The rules of an order (its id, 1 to 100 pieces a line, a known currency) are the schema's, and hold before acceptance. What is left is
//! arithmetic: a line has no discount and no tax of its own, and the totals are the sums of the lines.

use std::borrow::Cow;

use mapper_sdk::json::{self, Integer};
use mapper_sdk::money::{Currency, Minor, sum};
use mapper_sdk::text::{SKU_CHARS_MAX, identifier};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, time};
use serde::{Deserialize, Serialize};

/// `data` of `OrderPlaced` 1.0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced<'a> {
    order_id: Cow<'a, str>,
    currency: Cow<'a, str>,
    channel: &'static str,
    test: bool,
    taxes_included: bool,
    customer: Customer<'a>,
    lines: Vec<OrderLine<'a>>,
    shipping_lines: [(); 0],
    discount_codes: [(); 0],
    tax_lines: [(); 0],
    totals: Totals,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Customer<'a> {
    customer_id: Cow<'a, str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderLine<'a> {
    line_id: String,
    sku: Cow<'a, str>,
    quantity: Minor,
    unit_price_minor: Minor,
    discount_minor: Minor,
    tax_minor: Minor,
    total_minor: Minor,
    requires_shipping: bool,
    gift_card: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    subtotal_minor: Minor,
    discount_minor: Minor,
    shipping_minor: Minor,
    tax_minor: Minor,
    tip_minor: Minor,
    duties_minor: Minor,
    total_minor: Minor,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    placed_at: Cow<'a, str>,
    #[serde(borrow)]
    lines: Vec<Line<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity: Integer,
    unit_price_minor: Integer,
}

/// The order of one message.
///
/// # Errors
/// `payload_not_json`, `payload_invalid`, `timestamp_invalid`, `currency_unknown`, `amount_out_of_range` (of the SDK).
pub fn map<'a>(_meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<OrderPlaced<'a>> {
    let Order { order_id, customer_id, currency, placed_at, lines } = json::read(payload)?;
    Currency::parse(&currency, "/currency")?;
    let lines: Vec<OrderLine<'a>> = lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| order_line(index, line))
        .collect::<Result<_, _>>()?;
    let total_minor = sum(lines.iter().map(|line| Ok(line.total_minor)), || "/lines".to_owned())?;
    Ok(vec![CanonicalEvent {
        event_type: "OrderPlaced",
        schema_version: "1.0",
        occurred_at: time::utc(&placed_at, "/placedAt")?,
        notes: Vec::new(),
        data: OrderPlaced {
            order_id,
            currency,
            channel: "storefront",
            test: false,
            taxes_included: true,
            customer: Customer {
                customer_id: identifier(customer_id, SKU_CHARS_MAX, || "/customerId".to_owned())?,
            },
            lines,
            shipping_lines: [],
            discount_codes: [],
            tax_lines: [],
            totals: Totals { subtotal_minor: total_minor, total_minor, ..Totals::default() },
        },
    }])
}

fn order_line(index: usize, line: Line<'_>) -> Result<OrderLine<'_>, MapError> {
    let path = |member: &str| format!("/lines/{index}/{member}");
    let quantity = line.quantity.get();
    let unit_price_minor = line.unit_price_minor.get();
    let total_minor = quantity.checked_mul(unit_price_minor).ok_or_else(|| {
        MapError::new("amount_out_of_range", path("unitPriceMinor"), "the price of all pieces is too large")
    })?;
    Ok(OrderLine {
        line_id: (index + 1).to_string(),
        sku: identifier(line.sku, SKU_CHARS_MAX, || path("sku"))?,
        quantity,
        unit_price_minor,
        discount_minor: 0,
        tax_minor: 0,
        total_minor,
        requires_shipping: true,
        gift_card: false,
    })
}

mapper_sdk::export_mapper!(map);

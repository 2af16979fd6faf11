//! `data` of `OrderPlaced` 1.0, as `schemas/canonical/OrderPlaced-1.0.schema.json` has it.

use std::borrow::Cow;

use mapper_sdk::json::{Decimal, Id};
use mapper_sdk::money::Minor;
use serde::Serialize;

type Text<'a> = Cow<'a, str>;

/// An order. Amounts are integers in minor units of [`currency`](OrderPlaced::currency), but for
/// [`presentment`](OrderPlaced::presentment), which has its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced<'a> {
    pub(crate) order_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order_name: Option<Text<'a>>,
    pub(crate) currency: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<Text<'a>>,
    pub(crate) test: bool,
    pub(crate) taxes_included: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<Customer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) billing_address: Option<Address<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_address: Option<Address<'a>>,
    pub(crate) lines: Vec<Line<'a>>,
    pub(crate) shipping_lines: Vec<ShippingLine<'a>>,
    pub(crate) discount_codes: Vec<DiscountCode<'a>>,
    pub(crate) tax_lines: Vec<TaxLine<'a>>,
    pub(crate) totals: Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presentment: Option<Presentment<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Customer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_name: Option<Text<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) company: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line1: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line2: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) city: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region_code: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postal_code: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) country: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) country_code: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone: Option<Text<'a>>,
}

/// `total_minor` is `unit_price_minor * quantity - discount_minor`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    pub(crate) line_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) product_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sku: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant_title: Option<Text<'a>>,
    pub(crate) quantity: i64,
    pub(crate) unit_price_minor: Minor,
    pub(crate) discount_minor: Minor,
    pub(crate) tax_minor: Minor,
    pub(crate) total_minor: Minor,
    pub(crate) requires_shipping: bool,
    pub(crate) gift_card: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presentment: Option<LinePresentment>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinePresentment {
    pub(crate) unit_price_minor: Minor,
    pub(crate) discount_minor: Minor,
    pub(crate) tax_minor: Minor,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShippingLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<Text<'a>>,
    pub(crate) price_minor: Minor,
    pub(crate) discount_minor: Minor,
    pub(crate) tax_minor: Minor,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DiscountCode<'a> {
    pub(crate) code: Text<'a>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Text<'a>>,
    pub(crate) amount_minor: Minor,
}

/// `rate` is decimal text, as sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaxLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<Decimal<'a>>,
    pub(crate) amount_minor: Minor,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    pub(crate) subtotal_minor: Minor,
    pub(crate) discount_minor: Minor,
    pub(crate) shipping_minor: Minor,
    pub(crate) tax_minor: Minor,
    pub(crate) tip_minor: Minor,
    pub(crate) duties_minor: Minor,
    pub(crate) total_minor: Minor,
}

/// What the customer saw, when that was another currency.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Presentment<'a> {
    pub(crate) currency: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subtotal_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) discount_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tax_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_minor: Option<Minor>,
}

//! The members of Shopify's Order resource that this mapper reads, as the `orders/create` webhook carries it.
//!
//! Source: Shopify, REST Admin API, "Order", and the webhook's sample payload. Money is decimal text; `*_set` members
//! hold the same amount in the shop's currency and in the one that the customer saw. Ids are integers beyond 2^53. Nearly
//! everything may be null.

use std::borrow::Cow;

use mapper_sdk::json::{Decimal, Id};
use serde::Deserialize;

type Text<'a> = Cow<'a, str>;

#[derive(Deserialize)]
pub(crate) struct Order<'a> {
    #[serde(borrow)]
    pub(crate) id: Id<'a>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) created_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) currency: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) presentment_currency: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) test: Option<bool>,
    #[serde(default)]
    pub(crate) taxes_included: Option<bool>,
    #[serde(borrow, default)]
    pub(crate) source_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) email: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) phone: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) customer: Option<Customer<'a>>,
    #[serde(borrow, default)]
    pub(crate) billing_address: Option<Address<'a>>,
    #[serde(borrow, default)]
    pub(crate) shipping_address: Option<Address<'a>>,
    #[serde(borrow)]
    pub(crate) line_items: Vec<LineItem<'a>>,
    #[serde(borrow, default)]
    pub(crate) shipping_lines: Option<Vec<ShippingLine<'a>>>,
    #[serde(borrow, default)]
    pub(crate) discount_codes: Option<Vec<DiscountCode<'a>>>,
    #[serde(borrow, default)]
    pub(crate) tax_lines: Option<Vec<TaxLine<'a>>>,
    #[serde(borrow)]
    pub(crate) subtotal_price: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) subtotal_price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) total_discounts: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub(crate) total_discounts_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) total_shipping_price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) total_tax: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub(crate) total_tax_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) total_tip_received: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub(crate) original_total_duties_set: Option<MoneySet<'a>>,
    #[serde(borrow)]
    pub(crate) total_price: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) total_price_set: Option<MoneySet<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Customer<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub(crate) email: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) phone: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) first_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) last_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Address<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) company: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) address1: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) address2: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) city: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) province: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) province_code: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) zip: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) country: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) country_code: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) phone: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct LineItem<'a> {
    #[serde(borrow)]
    pub(crate) id: Id<'a>,
    #[serde(borrow, default)]
    pub(crate) product_id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub(crate) variant_id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub(crate) sku: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) variant_title: Option<Text<'a>>,
    pub(crate) quantity: i64,
    #[serde(borrow)]
    pub(crate) price: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) discount_allocations: Option<Vec<DiscountAllocation<'a>>>,
    #[serde(borrow, default)]
    pub(crate) tax_lines: Option<Vec<TaxLine<'a>>>,
    #[serde(default)]
    pub(crate) requires_shipping: Option<bool>,
    #[serde(default)]
    pub(crate) gift_card: Option<bool>,
}

#[derive(Deserialize)]
pub(crate) struct ShippingLine<'a> {
    #[serde(borrow, default)]
    pub(crate) title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) price: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) discount_allocations: Option<Vec<DiscountAllocation<'a>>>,
    #[serde(borrow, default)]
    pub(crate) tax_lines: Option<Vec<TaxLine<'a>>>,
}

#[derive(Deserialize)]
pub(crate) struct DiscountAllocation<'a> {
    #[serde(borrow)]
    pub(crate) amount: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) amount_set: Option<MoneySet<'a>>,
}

/// `amount` is what the code took off the order, whatever its type.
#[derive(Deserialize)]
pub(crate) struct DiscountCode<'a> {
    #[serde(borrow)]
    pub(crate) code: Text<'a>,
    #[serde(borrow)]
    pub(crate) amount: Decimal<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct TaxLine<'a> {
    #[serde(borrow, default)]
    pub(crate) title: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) price: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub(crate) rate: Option<Decimal<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct MoneySet<'a> {
    #[serde(borrow)]
    pub(crate) shop_money: Money<'a>,
    #[serde(borrow, default)]
    pub(crate) presentment_money: Option<Money<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Money<'a> {
    #[serde(borrow)]
    pub(crate) amount: Decimal<'a>,
    #[serde(borrow)]
    pub(crate) currency_code: Text<'a>,
}

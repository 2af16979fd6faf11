//! The members of Shopify's Order resource that the mappers read, as the `orders/…` webhooks carry it.
//!
//! Source: Shopify, REST Admin API, "Order", and the webhook's sample payload. Money is decimal text; `*_set` members
//! hold the same amount in the shop's currency and in the one that the customer saw. Ids are integers beyond 2^53. Nearly
//! everything may be null.

use std::borrow::Cow;

use mapper_sdk::json::{Decimal, Id, Integer};
use serde::Deserialize;

type Text<'a> = Cow<'a, str>;

#[derive(Deserialize)]
pub struct Order<'a> {
    #[serde(borrow)]
    pub id: Id<'a>,
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub created_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub updated_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub cancelled_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub closed_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub cancel_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub financial_status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub fulfillment_status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub note: Option<Text<'a>>,
    #[serde(borrow)]
    pub currency: Text<'a>,
    #[serde(borrow, default)]
    pub presentment_currency: Option<Text<'a>>,
    #[serde(default)]
    pub test: Option<bool>,
    #[serde(default)]
    pub taxes_included: Option<bool>,
    #[serde(borrow, default)]
    pub source_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub email: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub phone: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub customer: Option<Customer<'a>>,
    #[serde(borrow, default)]
    pub billing_address: Option<Address<'a>>,
    #[serde(borrow, default)]
    pub shipping_address: Option<Address<'a>>,
    #[serde(borrow)]
    pub line_items: Vec<LineItem<'a>>,
    #[serde(borrow, default)]
    pub shipping_lines: Option<Vec<ShippingLine<'a>>>,
    #[serde(borrow, default)]
    pub discount_codes: Option<Vec<DiscountCode<'a>>>,
    #[serde(borrow, default)]
    pub tax_lines: Option<Vec<TaxLine<'a>>>,
    #[serde(borrow)]
    pub subtotal_price: Decimal<'a>,
    #[serde(borrow, default)]
    pub subtotal_price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub total_discounts: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub total_discounts_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub total_shipping_price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub total_tax: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub total_tax_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub total_tip_received: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub original_total_duties_set: Option<MoneySet<'a>>,
    #[serde(borrow)]
    pub total_price: Decimal<'a>,
    #[serde(borrow, default)]
    pub original_total_additional_fees_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub total_cash_rounding_payment_adjustment_set: Option<MoneySet<'a>>,
    /// What is left of `total_price` after edits, returns and refunds.
    #[serde(borrow, default)]
    pub current_total_price: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub total_price_set: Option<MoneySet<'a>>,
}

#[derive(Deserialize)]
pub struct Customer<'a> {
    #[serde(borrow, default)]
    pub id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub email: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub phone: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub first_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub last_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub struct Address<'a> {
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub company: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub address1: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub address2: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub city: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub province: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub province_code: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub zip: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub country: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub country_code: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub phone: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub struct LineItem<'a> {
    #[serde(borrow)]
    pub id: Id<'a>,
    #[serde(borrow, default)]
    pub product_id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub variant_id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub sku: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub variant_title: Option<Text<'a>>,
    pub quantity: Integer,
    /// What is left of `quantity` after edits, returns and refunds.
    #[serde(default)]
    pub current_quantity: Option<Integer>,
    #[serde(borrow)]
    pub price: Decimal<'a>,
    /// Superseded by `discount_allocations`, which has the line's share of the order's discounts too.
    #[serde(borrow, default)]
    pub total_discount: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub discount_allocations: Option<Vec<DiscountAllocation<'a>>>,
    #[serde(borrow, default)]
    pub tax_lines: Option<Vec<TaxLine<'a>>>,
    #[serde(default)]
    pub requires_shipping: Option<bool>,
    #[serde(default)]
    pub gift_card: Option<bool>,
}

#[derive(Deserialize)]
pub struct ShippingLine<'a> {
    #[serde(borrow, default)]
    pub title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub code: Option<Text<'a>>,
    #[serde(borrow)]
    pub price: Decimal<'a>,
    #[serde(borrow, default)]
    pub price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub discount_allocations: Option<Vec<DiscountAllocation<'a>>>,
    #[serde(borrow, default)]
    pub tax_lines: Option<Vec<TaxLine<'a>>>,
    #[serde(default)]
    pub is_removed: Option<bool>,
}

#[derive(Deserialize)]
pub struct DiscountAllocation<'a> {
    #[serde(borrow)]
    pub amount: Decimal<'a>,
    #[serde(borrow, default)]
    pub amount_set: Option<MoneySet<'a>>,
}

/// `amount` is what the code took off the order, whatever its type.
#[derive(Deserialize)]
pub struct DiscountCode<'a> {
    #[serde(borrow)]
    pub code: Text<'a>,
    #[serde(borrow)]
    pub amount: Decimal<'a>,
    #[serde(borrow, default, rename = "type")]
    pub kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub struct TaxLine<'a> {
    #[serde(borrow, default)]
    pub title: Option<Text<'a>>,
    #[serde(borrow)]
    pub price: Decimal<'a>,
    #[serde(borrow, default)]
    pub price_set: Option<MoneySet<'a>>,
    #[serde(borrow, default)]
    pub rate: Option<Decimal<'a>>,
}

#[derive(Deserialize)]
pub struct MoneySet<'a> {
    #[serde(borrow)]
    pub shop_money: Money<'a>,
    #[serde(borrow, default)]
    pub presentment_money: Option<Money<'a>>,
}

#[derive(Deserialize)]
pub struct Money<'a> {
    #[serde(borrow)]
    pub amount: Decimal<'a>,
    #[serde(borrow)]
    pub currency_code: Text<'a>,
}

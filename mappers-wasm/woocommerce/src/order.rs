//! The members of WooCommerce's order that the mappers read.

use mapper_sdk::canonical::Text;
use mapper_sdk::json::{Decimal, Id};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Order<'a> {
    #[serde(borrow)]
    pub(crate) id: Id<'a>,
    #[serde(borrow, default)]
    pub(crate) number: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) created_via: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) status: Text<'a>,
    #[serde(borrow)]
    pub(crate) currency: Text<'a>,
    #[serde(borrow)]
    pub(crate) date_created_gmt: Text<'a>,
    #[serde(borrow)]
    pub(crate) date_modified_gmt: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) date_paid_gmt: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) discount_total: Decimal<'a>,
    #[serde(borrow)]
    pub(crate) shipping_total: Decimal<'a>,
    #[serde(borrow)]
    pub(crate) total_tax: Decimal<'a>,
    #[serde(borrow)]
    pub(crate) total: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) customer_id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub(crate) customer_note: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) billing: Option<Address<'a>>,
    #[serde(borrow, default)]
    pub(crate) shipping: Option<Address<'a>>,
    #[serde(borrow)]
    pub(crate) line_items: Vec<LineItem<'a>>,
    #[serde(borrow, default)]
    pub(crate) tax_lines: Vec<TaxLine<'a>>,
    #[serde(borrow, default)]
    pub(crate) shipping_lines: Vec<ShippingLine<'a>>,
    #[serde(borrow, default)]
    pub(crate) fee_lines: Vec<FeeLine<'a>>,
    #[serde(borrow, default)]
    pub(crate) coupon_lines: Vec<CouponLine<'a>>,
    #[serde(borrow, default)]
    pub(crate) refunds: Vec<Refund<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Address<'a> {
    #[serde(borrow, default)]
    pub(crate) first_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) last_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) company: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) address_1: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) address_2: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) city: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) state: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) postcode: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) country: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) email: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) phone: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct LineItem<'a> {
    #[serde(borrow)]
    pub(crate) id: Id<'a>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) product_id: Option<Id<'a>>,
    #[serde(borrow, default)]
    pub(crate) variation_id: Option<Id<'a>>,
    #[serde(borrow)]
    pub(crate) quantity: Decimal<'a>,
    #[serde(borrow)]
    pub(crate) subtotal: Decimal<'a>,
    #[serde(borrow)]
    pub(crate) total: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) total_tax: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub(crate) sku: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct TaxLine<'a> {
    #[serde(borrow, default)]
    pub(crate) rate_code: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) label: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) tax_total: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) shipping_tax_total: Option<Decimal<'a>>,
    #[serde(borrow, default)]
    pub(crate) rate_percent: Option<Decimal<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct ShippingLine<'a> {
    #[serde(borrow, default)]
    pub(crate) method_title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) method_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) total: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) total_tax: Option<Decimal<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct FeeLine<'a> {
    #[serde(borrow)]
    pub(crate) total: Decimal<'a>,
}

#[derive(Deserialize)]
pub(crate) struct CouponLine<'a> {
    #[serde(borrow)]
    pub(crate) code: Text<'a>,
    #[serde(borrow)]
    pub(crate) discount: Decimal<'a>,
    #[serde(borrow, default)]
    pub(crate) discount_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Refund<'a> {
    #[serde(borrow)]
    pub(crate) total: Decimal<'a>,
}

//! WooCommerce's order webhooks → canonical events. Each bundle `woocommerce-…` is one topic and exports one function of this
//! crate.
//!
//! Source: WooCommerce REST API v3, "Order properties", which the webhooks `order.created` and `order.updated` carry whole.
//!
//! What is particular:
//! - Ids are numbers, amounts decimal text, times without a zone; the members `…_gmt` are the same times in UTC, and only these
//!   are read.
//! - A line's `price` is a float that WooCommerce computed, and is not read. Its `subtotal` and `total` are exact, before and
//!   after discounts, and always without tax, whatever `prices_include_tax` says: so `taxesIncluded` is false.
//! - `subtotal` of several pieces is not always a whole number of cents for each; then there is no `unitPriceMinor`.
//! - Fees are neither goods nor shipping: `totals.feesMinor`.
//! - Lines and `total` are what was ordered. What was paid back is in `refunds`, by its total alone: `totals.currentTotalMinor`.
//! - A plug-in may add states of an order. Such a word is `vendorStatus`; what it means for the order, the goods and the money is left
//!   out with a note, unless a refund or a payment says it. So is the rate of a tax that cannot be read.
//! - A draft is no order yet: the block checkout saves one while a customer types, and sends it as `order.updated`. It states
//!   nothing.
//!
//! Invariants: only version 1 of the payload is read; ids keep every digit; nothing is rounded.

mod order;

use mapper_sdk::canonical::{
    Address, Canonical as _, Customer, DiscountCode, FulfillmentStatus, Line, OrderPlaced, OrderUpdated,
    PaymentStatus, ShippingLine, Status, TaxLine, Text, Totals,
};
use mapper_sdk::json::{self, Decimal, Id};
use mapper_sdk::money::{self, Currency, Minor};
use mapper_sdk::text::known;
use mapper_sdk::{MapError, Meta, Nothing, Stated, quantity, time};
use order::Order;

/// `order.created`: it happened at `date_created_gmt`.
///
/// # Errors
/// Those of reading JSON, of times, of money and of quantities; `schema_version_unsupported`, `lines_missing`.
pub fn order_created<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Result<Stated<OrderPlaced<'a>>, MapError> {
    let order = read(meta, payload)?;
    if let Some(draft) = draft(&order.status) {
        return Ok(draft.into());
    }
    let occurred_at = time::utc_unsaid(&order.date_created_gmt, "/date_created_gmt")?;
    let mut notes = Vec::new();
    Ok(vec![canonical(order, &mut notes)?.at(occurred_at).noting(notes)].into())
}

/// `order.updated`: it happened at `date_modified_gmt`.
///
/// # Errors
/// Those of [`order_created`].
pub fn order_updated<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Result<Stated<OrderUpdated<'a>>, MapError> {
    let order = read(meta, payload)?;
    if let Some(draft) = draft(&order.status) {
        return Ok(draft.into());
    }
    let occurred_at = time::utc_unsaid(&order.date_modified_gmt, "/date_modified_gmt")?;
    let stated: &[_] = &["channel", "note", "customer", "billingAddress", "shippingAddress"];
    let mut notes = Vec::new();
    let order = canonical(order, &mut notes)?;
    Ok(vec![OrderUpdated { order, stated }.at(occurred_at).noting(notes)].into())
}

fn read<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Result<Order<'a>, MapError> {
    if meta.schema_version != "1" {
        let why = format!("payload schema version {:?}; this mapper reads 1", meta.schema_version);
        return Err(MapError::new("schema_version_unsupported", "", why));
    }
    json::read(payload)
}

/// Of an order that nobody has placed. `auto-draft` is what the administration saves before a person has, `checkout-draft` what the
/// block checkout saves; `draft` and `new` are their names in older versions (`Automattic\WooCommerce\Enums\OrderStatus`).
fn draft(status: &str) -> Option<Nothing> {
    matches!(status, "auto-draft" | "checkout-draft" | "draft" | "new").then(|| {
        Nothing::new("order_not_placed", format!("the order is a draft ({status}): nobody has placed it"))
    })
}

fn canonical<'a>(order: Order<'a>, notes: &mut Vec<MapError>) -> Result<OrderPlaced<'a>, MapError> {
    let currency = Currency::parse(&order.currency, "/currency")?;
    if order.line_items.is_empty() {
        return Err(MapError::new("lines_missing", "/line_items", "an order has at least one line"));
    }
    let (status, fulfillment_status) = match status(&order.status) {
        Some((status, fulfillment)) => (Some(status), Some(fulfillment)),
        None => {
            let why = format!("{:?} is no order status of WooCommerce's own", order.status);
            notes.push(MapError::new("status_unknown", "/status", why));
            (None, None)
        }
    };
    let paid_back = paid_back(&order, currency)?;
    let payment_status = payment_status(&order, paid_back, status.is_some());
    let totals = totals(&order, currency, paid_back)?;
    Ok(OrderPlaced {
        order_id: order.id,
        order_name: known(order.number),
        status,
        vendor_status: Some(order.status),
        payment_status,
        fulfillment_status,
        currency: order.currency,
        channel: known(order.created_via),
        test: false,
        taxes_included: false,
        requested_delivery_date: None,
        note: known(order.customer_note),
        customer: customer(order.customer_id, order.billing.as_ref()),
        billing_address: order.billing.and_then(address),
        shipping_address: order.shipping.and_then(address),
        lines: numbered(order.line_items, |at, item| line(currency, item, at))?,
        shipping_lines: numbered(order.shipping_lines, |at, item| {
            let here = |member: &str| format!("/shipping_lines/{at}/{member}");
            Ok(ShippingLine {
                title: known(item.method_title),
                code: known(item.method_id),
                price_minor: currency.minor(&item.total, || here("total"))?,
                discount_minor: 0,
                tax_minor: or_zero(currency, item.total_tax.as_ref(), || here("total_tax"))?,
            })
        })?,
        discount_codes: numbered(order.coupon_lines, |at, item| {
            Ok(DiscountCode {
                amount_minor: currency.minor(&item.discount, || format!("/coupon_lines/{at}/discount"))?,
                code: item.code,
                kind: known(item.discount_type),
            })
        })?,
        tax_lines: numbered(order.tax_lines, |at, item| tax_line(currency, item, at, notes))?,
        totals,
        presentment: None,
    })
}

/// The states that WooCommerce itself has.
fn status(status: &str) -> Option<(Status, FulfillmentStatus)> {
    Some(match status {
        "pending" | "on-hold" | "processing" | "failed" => (Status::Open, FulfillmentStatus::Unfulfilled),
        "completed" => (Status::Closed, FulfillmentStatus::Fulfilled),
        "refunded" => (Status::Closed, FulfillmentStatus::Unfulfilled),
        "cancelled" | "trash" => (Status::Cancelled, FulfillmentStatus::Unfulfilled),
        _ => return None,
    })
}

/// What was paid back so far. WooCommerce writes it as less than zero.
fn paid_back(order: &Order<'_>, currency: Currency) -> Result<Minor, MapError> {
    let refunds = order.refunds.iter().enumerate();
    let refunds =
        refunds.map(|(at, refund)| currency.minor(&refund.total, || format!("/refunds/{at}/total")));
    Ok(-money::sum(refunds, || "/refunds".to_owned())?)
}

/// `known` is whether the order's status is one of WooCommerce's own: of another it is not known that nothing was paid.
fn payment_status(order: &Order<'_>, paid_back: Minor, known: bool) -> Option<PaymentStatus> {
    let paid = order.date_paid_gmt.as_ref().is_some_and(|at| !at.is_empty());
    Some(match &*order.status {
        "refunded" => PaymentStatus::Refunded,
        "failed" => PaymentStatus::Failed,
        _ if paid_back > 0 => PaymentStatus::PartiallyRefunded,
        _ if paid => PaymentStatus::Paid,
        "cancelled" | "trash" => PaymentStatus::Voided,
        _ if known => PaymentStatus::Pending,
        _ => return None,
    })
}

fn totals(order: &Order<'_>, currency: Currency, paid_back: Minor) -> Result<Totals, MapError> {
    let lines = order.line_items.iter().enumerate();
    let goods = lines.map(|(at, item)| currency.minor(&item.total, || format!("/line_items/{at}/total")));
    let fees = order.fee_lines.iter().enumerate();
    let fees = fees.map(|(at, fee)| currency.minor(&fee.total, || format!("/fee_lines/{at}/total")));
    let stated = |amount: &Decimal<'_>, path: &str| currency.minor(amount, || path.to_owned());
    let total_minor = stated(&order.total, "/total")?;
    let current = money::sum([Ok(total_minor), Ok(-paid_back)], || "/refunds".to_owned())?;
    Ok(Totals {
        subtotal_minor: money::sum(goods, || "/line_items".to_owned())?,
        discount_minor: stated(&order.discount_total, "/discount_total")?,
        shipping_minor: stated(&order.shipping_total, "/shipping_total")?,
        fees_minor: (!order.fee_lines.is_empty())
            .then(|| money::sum(fees, || "/fee_lines".to_owned()))
            .transpose()?,
        tax_minor: stated(&order.total_tax, "/total_tax")?,
        tip_minor: 0,
        duties_minor: 0,
        total_minor,
        current_total_minor: Some(current).filter(|current| *current != total_minor),
    })
}

fn line(currency: Currency, item: order::LineItem<'_>, at: usize) -> Result<Line<'_>, MapError> {
    let here = |member: &str| format!("/line_items/{at}/{member}");
    let pieces = quantity::whole(item.quantity.as_str(), || here("quantity"))?;
    if pieces < 1 {
        let why = format!("{pieces} is no number of things ordered");
        return Err(MapError::new("quantity_invalid", here("quantity"), why));
    }
    let subtotal_minor = currency.minor(&item.subtotal, || here("subtotal"))?;
    let total_minor = currency.minor(&item.total, || here("total"))?;
    let unit_price_minor = (subtotal_minor % pieces == 0).then(|| subtotal_minor / pieces);
    Ok(Line {
        line_id: item.id,
        product_id: present(item.product_id),
        variant_id: present(item.variation_id),
        sku: known(item.sku),
        title: known(item.name),
        variant_title: None,
        quantity: pieces,
        current_quantity: None,
        unit: None,
        unit_price_minor,
        subtotal_minor: Some(subtotal_minor),
        discount_minor: money::sum([Ok(subtotal_minor), Ok(-total_minor)], || here("subtotal"))?,
        tax_minor: or_zero(currency, item.total_tax.as_ref(), || here("total_tax"))?,
        total_minor,
        // Neither is in the message.
        requires_shipping: true,
        gift_card: false,
        presentment: None,
    })
}

fn tax_line<'a>(
    currency: Currency,
    item: order::TaxLine<'a>,
    at: usize,
    notes: &mut Vec<MapError>,
) -> Result<TaxLine<'a>, MapError> {
    let here = |member: &str| format!("/tax_lines/{at}/{member}");
    let amounts = [
        currency.minor(&item.tax_total, || here("tax_total")),
        or_zero(currency, item.shipping_tax_total.as_ref(), || here("shipping_tax_total")),
    ];
    let rate = item.rate_percent.and_then(|percent| {
        let rate = Decimal::from_percent(&percent);
        if rate.is_none() {
            let why = format!("{:?} is not a percentage", percent.as_str());
            notes.push(MapError::new("rate_invalid", here("rate_percent"), why));
        }
        rate
    });
    Ok(TaxLine {
        amount_minor: money::sum(amounts, || here("tax_total"))?,
        rate,
        title: known(item.label).or(known(item.rate_code)),
    })
}

fn or_zero(
    currency: Currency,
    amount: Option<&Decimal<'_>>,
    path: impl FnOnce() -> String,
) -> Result<Minor, MapError> {
    match amount {
        Some(amount) if !amount.as_str().is_empty() => currency.minor(amount, path),
        _ => Ok(0),
    }
}

/// WooCommerce writes 0 for none.
fn present(id: Option<Id<'_>>) -> Option<Id<'_>> {
    id.filter(|id| id.as_str() != "0")
}

fn customer<'a>(id: Option<Id<'a>>, billing: Option<&order::Address<'a>>) -> Option<Customer<'a>> {
    let of = |member: fn(&order::Address<'a>) -> Option<Text<'a>>| billing.and_then(member);
    Customer {
        customer_id: present(id),
        email: known(of(|billing| billing.email.clone())),
        phone: known(of(|billing| billing.phone.clone())),
        first_name: known(of(|billing| billing.first_name.clone())),
        last_name: known(of(|billing| billing.last_name.clone())),
    }
    .known()
}

fn address(address: order::Address<'_>) -> Option<Address<'_>> {
    let name = match (known(address.first_name), known(address.last_name)) {
        (Some(first), Some(last)) => Some(format!("{} {}", first.trim(), last.trim()).into()),
        (first, last) => first.or(last),
    };
    Address {
        name,
        company: known(address.company),
        line1: known(address.address_1),
        line2: known(address.address_2),
        city: known(address.city),
        region: None,
        region_code: known(address.state),
        postal_code: known(address.postcode),
        country: None,
        country_code: known(address.country),
        phone: known(address.phone),
    }
    .known()
}

fn numbered<T, U>(
    items: Vec<T>,
    mut map: impl FnMut(usize, T) -> Result<U, MapError>,
) -> Result<Vec<U>, MapError> {
    items.into_iter().enumerate().map(|(at, item)| map(at, item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_no_order_under_any_of_its_names() {
        for name in ["auto-draft", "checkout-draft", "draft", "new"] {
            assert!(draft(name).is_some_and(|nothing| nothing.code() == "order_not_placed"), "{name}");
            assert!(status(name).is_none(), "{name}");
        }
        for name in
            ["pending", "on-hold", "processing", "completed", "cancelled", "refunded", "failed", "trash"]
        {
            assert!(draft(name).is_none() && status(name).is_some(), "{name}");
        }
    }
}

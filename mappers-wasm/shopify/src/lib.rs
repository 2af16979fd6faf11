//! Shopify's webhooks → canonical events. Each bundle `shopify-…` is one topic and exports one function of this crate.
//!
//! Source: Shopify, REST Admin API: the resources Order and InventoryLevel, and the webhooks' sample payloads.
//!
//! Invariants: only version 1 of the payload is read; ids keep every digit; nothing is rounded.

mod cancelled;
mod level;
#[expect(missing_docs, reason = "the members are Shopify's")]
pub mod order;
mod placed;

use mapper_sdk::canonical::{
    Canonical as _, FulfillmentStatus, InventoryUpdated, OrderCancelled, OrderPlaced, OrderUpdated,
    PaymentStatus, Status, Text,
};
use mapper_sdk::text::known;
use mapper_sdk::{MapError, Mapped, Meta, Stated, json, time};
use order::Order;
use placed::noted;
pub use placed::placed;

/// `orders/create`: it happened at `created_at`, else when the envelope says.
///
/// # Errors
/// Those of reading JSON, of times and of [`placed`], and `schema_version_unsupported`.
pub fn order_created<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<OrderPlaced<'a>> {
    version_1(meta)?;
    let order: Order<'a> = json::read(payload)?;
    let occurred_at = at(order.created_at.as_ref(), "/created_at", meta)?;
    let mut notes = Vec::new();
    Ok(vec![placed(order, &mut notes)?.at(occurred_at).noting(notes)])
}

/// `orders/updated`, which carries the whole order: it happened at `updated_at`, else when the envelope says.
///
/// A status that Shopify does not document is left out with a note, so it stays as it was.
///
/// # Errors
/// Those of [`order_created`].
pub fn order_updated<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<OrderUpdated<'a>> {
    version_1(meta)?;
    let mut order: Order<'a> = json::read(payload)?;
    let occurred_at = at(order.updated_at.as_ref(), "/updated_at", meta)?;
    let status = match (&order.cancelled_at, &order.closed_at) {
        (Some(_), _) => Status::Cancelled,
        (None, Some(_)) => Status::Closed,
        (None, None) => Status::Open,
    };
    let mut notes = Vec::new();
    let payment = payment_status(order.financial_status.as_deref());
    let seen = order.presentment_currency.as_ref().is_some_and(|code| *code != order.currency);
    let mut stated = if payment.is_err() { &STATED[1..] } else { &STATED };
    let payment = noted(payment, &mut notes);
    let fulfillment = noted(fulfillment_status(order.fulfillment_status.as_deref()).map(Some), &mut notes);
    let note = known(order.note.take());
    let mut order = placed(order, &mut notes)?;
    if seen && order.presentment.is_none() {
        // It was left out, and is not gone.
        stated = &stated[..stated.len() - 1];
    }
    order.status = Some(status);
    order.payment_status = payment;
    order.fulfillment_status = fulfillment;
    order.note = note;
    Ok(vec![OrderUpdated { order, stated }.at(occurred_at).noting(notes)])
}

/// What an updated order states, by its absence as well. First and last are what may be left out with a note.
const STATED: [&str; 8] = [
    "paymentStatus",
    "orderName",
    "channel",
    "note",
    "customer",
    "billingAddress",
    "shippingAddress",
    "presentment",
];

/// `orders/cancelled`: it happened at `cancelled_at`.
///
/// # Errors
/// Those of reading JSON and of times, `not_cancelled` and `schema_version_unsupported`.
pub fn order_cancelled<'a>(meta: &Meta<'a>, payload: &'a [u8]) -> Mapped<OrderCancelled<'a>> {
    version_1(meta)?;
    cancelled::map(payload)
}

/// `inventory_levels/update`: it happened at `updated_at`, else when the envelope says.
///
/// # Errors
/// Those of reading JSON, of times and of quantities, and `schema_version_unsupported`.
pub fn level_updated<'a>(
    meta: &Meta<'a>,
    payload: &'a [u8],
) -> Result<Stated<InventoryUpdated<'a>>, MapError> {
    version_1(meta)?;
    level::map(meta, payload)
}

fn version_1(meta: &Meta<'_>) -> Result<(), MapError> {
    if meta.schema_version == "1" {
        return Ok(());
    }
    let why = format!("payload schema version {:?}; this mapper reads 1", meta.schema_version);
    Err(MapError::new("schema_version_unsupported", "", why))
}

fn at(stated: Option<&Text<'_>>, path: &str, meta: &Meta<'_>) -> Result<String, MapError> {
    match stated {
        Some(at) => time::utc(at, path),
        None => time::utc(&meta.occurred_at, ""),
    }
}

fn payment_status(status: Option<&str>) -> Result<Option<PaymentStatus>, MapError> {
    Ok(Some(match status {
        None => return Ok(None),
        Some("pending") => PaymentStatus::Pending,
        Some("authorized") => PaymentStatus::Authorized,
        Some("partially_paid") => PaymentStatus::PartiallyPaid,
        Some("paid") => PaymentStatus::Paid,
        Some("partially_refunded") => PaymentStatus::PartiallyRefunded,
        Some("refunded") => PaymentStatus::Refunded,
        Some("voided" | "expired") => PaymentStatus::Voided,
        Some(other) => return Err(status_unknown("/financial_status", other)),
    }))
}

fn fulfillment_status(status: Option<&str>) -> Result<FulfillmentStatus, MapError> {
    Ok(match status {
        None => FulfillmentStatus::Unfulfilled,
        Some("partial") => FulfillmentStatus::Partial,
        Some("fulfilled") => FulfillmentStatus::Fulfilled,
        Some("restocked") => FulfillmentStatus::Restocked,
        Some(other) => return Err(status_unknown("/fulfillment_status", other)),
    })
}

fn status_unknown(path: &str, status: &str) -> MapError {
    MapError::new("status_unknown", path, format!("{status:?} is no status that Shopify documents"))
}

//! A cancelled Order → `OrderCancelled` 1.0.
//!
//! The webhook carries the whole order with its refunds. What was paid back is the sum of the refunds' successful
//! transactions. Where it cannot be told, since a transaction is in another currency than the shop's or cannot be read, it is
//! left out with a note; so is a status of the money that Shopify does not document. Goods were restocked when a refund says so of one
//! of its lines.

use mapper_sdk::canonical::{CancelReason, Canonical as _, OrderCancelled, Text};
use mapper_sdk::json::{self, Decimal, Id};
use mapper_sdk::money::{self, Currency};
use mapper_sdk::text::known;
use mapper_sdk::{MapError, Mapped, time};
use serde::Deserialize;

use crate::noted;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    id: Id<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Text<'a>,
    #[serde(borrow, default)]
    cancelled_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    cancel_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    financial_status: Option<Text<'a>>,
    #[serde(borrow, default)]
    refunds: Option<Vec<Refund<'a>>>,
}

#[derive(Deserialize)]
struct Refund<'a> {
    #[serde(borrow, default)]
    transactions: Option<Vec<Transaction<'a>>>,
    #[serde(borrow, default)]
    refund_line_items: Option<Vec<RefundLine<'a>>>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    amount: Decimal<'a>,
    #[serde(borrow)]
    currency: Text<'a>,
}

#[derive(Deserialize)]
struct RefundLine<'a> {
    #[serde(borrow, default)]
    restock_type: Option<Text<'a>>,
}

pub(crate) fn map(payload: &[u8]) -> Mapped<OrderCancelled<'_>> {
    let order: Order<'_> = json::read(payload)?;
    let Some(cancelled_at) = &order.cancelled_at else {
        return Err(MapError::new("not_cancelled", "/cancelled_at", "the order has no time of cancellation"));
    };
    let occurred_at = time::utc(cancelled_at, "/cancelled_at")?;
    let mut notes = Vec::new();
    let refunds = order.refunds.as_deref().unwrap_or_default();
    let refunded_minor = match &order.refunds {
        Some(refunds) => noted(refunded(&order.currency, refunds).map(Some), &mut notes),
        None => None,
    };
    let data = OrderCancelled {
        reason: order.cancel_reason.as_deref().map(reason),
        reason_text: known(order.cancel_reason),
        payment_status: noted(crate::payment_status(order.financial_status.as_deref()), &mut notes),
        refunded_minor,
        restocked: restocked(refunds),
        order_name: known(order.name),
        order_id: order.id,
        currency: refunded_minor.map(|_| order.currency),
    };
    Ok(vec![data.at(occurred_at).noting(notes)])
}

/// Reasons are Shopify's; one that it adds later is kept in its own words.
fn reason(reason: &str) -> CancelReason {
    match reason {
        "customer" => CancelReason::Customer,
        "fraud" => CancelReason::Fraud,
        "inventory" => CancelReason::Inventory,
        "declined" => CancelReason::Payment,
        "staff" => CancelReason::Staff,
        _ => CancelReason::Other,
    }
}

fn refunded(currency: &str, refunds: &[Refund<'_>]) -> Result<money::Minor, MapError> {
    let currency = Currency::parse(currency, "/currency")?;
    let mut amounts = Vec::new();
    for (at, refund) in refunds.iter().enumerate() {
        for (number, one) in refund.transactions.iter().flatten().enumerate() {
            if one.kind != "refund" || one.status != "success" {
                continue;
            }
            let here = |member: &str| format!("/refunds/{at}/transactions/{number}/{member}");
            if one.currency != currency.code() {
                let why = format!(
                    "{:?}, but the order is in {}: what was paid back is not known",
                    one.currency,
                    currency.code()
                );
                return Err(MapError::new("currency_mismatch", here("currency"), why));
            }
            amounts.push(currency.minor(&one.amount, || here("amount")));
        }
    }
    money::sum(amounts, || "/refunds".to_owned())
}

/// Nothing when no refund has lines.
fn restocked(refunds: &[Refund<'_>]) -> Option<bool> {
    let lines: Vec<_> =
        refunds.iter().filter_map(|refund| refund.refund_line_items.as_ref()).flatten().collect();
    if lines.is_empty() {
        return None;
    }
    Some(
        lines
            .iter()
            .any(|line| matches!(line.restock_type.as_deref(), Some("cancel" | "return" | "legacy_restock"))),
    )
}

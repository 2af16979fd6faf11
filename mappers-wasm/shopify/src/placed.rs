//! The Order resource as an `OrderPlaced` 1.0.
//!
//! Amounts become integers in minor units by the currency's exponent, exactly; ids become strings; the amounts that the
//! customer saw are kept beside the shop's when the currency is another.
//!
//! Totals are the vendor's own and are not recomputed: duties, tips and cash rounding make the sum of the lines
//! something else than what was charged. `quantity` and `total_price` are what was ordered; `current_quantity` and
//! `current_total_price`, what is left after edits, returns and refunds, are stated where they differ.
//!
//! What the canonical order has as optional is left out with a note when it cannot be read: what the customer saw (a shop may
//! show currencies outside ISO 4217, such as JEP) and the rate of a tax. What has no place in it is noted when it is not
//! zero or false: cash rounding, and shipping that was taken off. Money and quantities of the shop's own are never left out: where they
//! cannot be read, the order is refused.

use mapper_sdk::MapError;
use mapper_sdk::canonical::{self, OrderPlaced, Text};
use mapper_sdk::json::{Decimal, Integer};
use mapper_sdk::money::{self, Currency, MINOR_MAX, Minor};
use mapper_sdk::text::known;

use crate::order::{self, DiscountAllocation, MoneySet, Order, TaxLine};

/// Longest rate of a tax, by the canonical schema.
const RATE_CHARS_MAX: usize = 32;

/// The currencies of one order: the shop's, and the customer's when it is another.
struct Money {
    shop: Currency,
    presentment: Option<Currency>,
}

/// The order, in the canonical form. `notes` gets what was left out.
///
/// # Errors
/// `currency_unknown`, `currency_mismatch`, `lines_missing`, `quantity_invalid` and those of money.
pub fn placed<'a>(order: Order<'a>, notes: &mut Vec<MapError>) -> Result<OrderPlaced<'a>, MapError> {
    let money = Money {
        shop: Currency::parse(&order.currency, "/currency")?,
        presentment: match &order.presentment_currency {
            Some(code) if *code != order.currency => {
                noted(Currency::parse(code, "/presentment_currency").map(Some), notes)
            }
            _ => None,
        },
    };
    if order.line_items.is_empty() {
        return Err(MapError::new("lines_missing", "/line_items", "an order has at least one line"));
    }
    let totals = money.totals(&order)?;
    let presentment = noted(money.presentment(&order), notes);
    // An amount of the lines alone would be half of what the customer saw.
    let money = Money { presentment: money.presentment.filter(|_| presentment.is_some()), ..money };
    if let Some(set) = &order.total_cash_rounding_payment_adjustment_set
        && money.in_shop(set, "/total_cash_rounding_payment_adjustment_set").is_ok_and(|amount| amount != 0)
    {
        notes.push(MapError::new(
            "amount_not_placed",
            "/total_cash_rounding_payment_adjustment_set",
            format!("{} was rounded off in cash; no total has it", set.shop_money.amount.as_str()),
        ));
    }
    Ok(OrderPlaced {
        order_id: order.id,
        order_name: known(order.name),
        status: None,
        vendor_status: None,
        payment_status: None,
        fulfillment_status: None,
        currency: order.currency,
        channel: known(order.source_name),
        test: order.test.unwrap_or(false),
        taxes_included: order.taxes_included.unwrap_or(false),
        requested_delivery_date: None,
        note: None,
        customer: customer(order.customer, order.email, order.phone),
        billing_address: order.billing_address.and_then(address),
        shipping_address: order.shipping_address.and_then(address),
        lines: numbered(order.line_items, |at, line| money.line(line, at, notes))?,
        shipping_lines: shipping(order.shipping_lines.unwrap_or_default(), &money, notes)?,
        discount_codes: numbered(order.discount_codes.unwrap_or_default(), |at, code| {
            Ok(canonical::DiscountCode {
                amount_minor: money.shop.minor(&code.amount, || format!("/discount_codes/{at}/amount"))?,
                code: code.code,
                kind: known(code.kind),
            })
        })?,
        tax_lines: numbered(order.tax_lines.unwrap_or_default(), |at, line| money.tax_line(line, at, notes))?,
        totals,
        presentment,
    })
}

impl Money {
    fn totals(&self, order: &Order<'_>) -> Result<canonical::Totals, MapError> {
        let total_minor = self.shop.minor(&order.total_price, || "/total_price".to_owned())?;
        Ok(canonical::Totals {
            subtotal_minor: self.shop.minor(&order.subtotal_price, || "/subtotal_price".to_owned())?,
            discount_minor: self.or_zero(order.total_discounts.as_ref(), "/total_discounts")?,
            shipping_minor: match &order.total_shipping_price_set {
                Some(set) => self.in_shop(set, "/total_shipping_price_set")?,
                None => money::sum(
                    order
                        .shipping_lines
                        .iter()
                        .flatten()
                        .enumerate()
                        .filter(|(_, line)| line.is_removed != Some(true))
                        .map(|(at, line)| {
                            self.shop.minor(&line.price, || format!("/shipping_lines/{at}/price"))
                        }),
                    || "/shipping_lines".to_owned(),
                )?,
            },
            fees_minor: order
                .original_total_additional_fees_set
                .as_ref()
                .map(|set| self.in_shop(set, "/original_total_additional_fees_set"))
                .transpose()?,
            tax_minor: self.or_zero(order.total_tax.as_ref(), "/total_tax")?,
            tip_minor: self.or_zero(order.total_tip_received.as_ref(), "/total_tip_received")?,
            duties_minor: match &order.original_total_duties_set {
                Some(set) => self.in_shop(set, "/original_total_duties_set")?,
                None => 0,
            },
            total_minor,
            current_total_minor: order
                .current_total_price
                .as_ref()
                .map(|amount| self.shop.minor(amount, || "/current_total_price".to_owned()))
                .transpose()?
                .filter(|current| *current != total_minor),
        })
    }

    fn or_zero(&self, amount: Option<&Decimal<'_>>, path: &str) -> Result<Minor, MapError> {
        amount.map_or(Ok(0), |amount| self.shop.minor(amount, || path.to_owned()))
    }

    fn in_shop(&self, set: &MoneySet<'_>, path: &str) -> Result<Minor, MapError> {
        same(self.shop, &set.shop_money.currency_code, || format!("{path}/shop_money/currency_code"))?;
        self.shop.minor(&set.shop_money.amount, || format!("{path}/shop_money/amount"))
    }

    fn presentment<'a>(&self, order: &Order<'a>) -> Result<Option<canonical::Presentment<'a>>, MapError> {
        let (Some(currency), Some(code)) = (self.presentment, order.presentment_currency.clone()) else {
            return Ok(None);
        };
        let total = |set: &Option<MoneySet<'_>>, path: &str| match set {
            Some(set) => seen(currency, set, || path.to_owned()),
            None => Ok(None),
        };
        Ok(Some(canonical::Presentment {
            currency: code,
            subtotal_minor: total(&order.subtotal_price_set, "/subtotal_price_set")?,
            discount_minor: total(&order.total_discounts_set, "/total_discounts_set")?,
            shipping_minor: total(&order.total_shipping_price_set, "/total_shipping_price_set")?,
            tax_minor: total(&order.total_tax_set, "/total_tax_set")?,
            total_minor: total(&order.total_price_set, "/total_price_set")?,
        }))
    }

    fn line<'a>(
        &self,
        line: order::LineItem<'a>,
        at: usize,
        notes: &mut Vec<MapError>,
    ) -> Result<canonical::Line<'a>, MapError> {
        let here = |member: &str| format!("/line_items/{at}/{member}");
        let quantity = line.quantity.get();
        if !(1..=MINOR_MAX).contains(&quantity) {
            return Err(MapError::new(
                "quantity_invalid",
                here("quantity"),
                format!("{quantity} is no number of things ordered"),
            ));
        }
        let current_quantity = line.current_quantity.map(Integer::get).unwrap_or(quantity);
        if !(0..=quantity).contains(&current_quantity) {
            let why = format!("{current_quantity} is not what is left of {quantity}");
            return Err(MapError::new("quantity_invalid", here("current_quantity"), why));
        }
        if let Some(set) = &line.price_set {
            same(self.shop, &set.shop_money.currency_code, || here("price_set/shop_money/currency_code"))?;
        }
        let (unit_price_minor, subtotal) = self.shop.extended(&line.price, quantity, || here("price"))?;
        let taxes = line.tax_lines.as_deref().unwrap_or_default();
        let discount_minor = match &line.discount_allocations {
            Some(discounts) => self.discounts(discounts, || here("discount_allocations"))?,
            None => self.or_zero(line.total_discount.as_ref(), &here("total_discount"))?,
        };
        let discounts = line.discount_allocations.as_deref().unwrap_or_default();
        let total_minor = money::sum([Ok(subtotal), Ok(-discount_minor)], || here("price"))?;
        let presentment = match (self.presentment, &line.price_set) {
            (Some(currency), Some(set)) => {
                let discount_sets = discounts.iter().map(|discount| discount.amount_set.as_ref());
                let tax_sets = taxes.iter().map(|tax| tax.price_set.as_ref());
                let seen = || {
                    let unit_price = seen(currency, set, || here("price_set"))?;
                    let discount = all_seen(currency, discount_sets, || here("discount_allocations"))?;
                    let tax = all_seen(currency, tax_sets, || here("tax_lines"))?;
                    Ok(unit_price.zip(discount).zip(tax))
                };
                noted(seen(), notes).map(|((unit_price_minor, discount_minor), tax_minor)| {
                    canonical::LinePresentment { unit_price_minor, discount_minor, tax_minor }
                })
            }
            _ => None,
        };
        Ok(canonical::Line {
            tax_minor: self.taxes(taxes, || here("tax_lines"))?,
            line_id: line.id,
            product_id: line.product_id,
            variant_id: line.variant_id,
            sku: known(line.sku),
            title: known(line.title),
            variant_title: known(line.variant_title),
            quantity,
            current_quantity: Some(current_quantity).filter(|current| *current != quantity),
            unit: None,
            unit_price_minor,
            subtotal_minor: unit_price_minor.is_none().then_some(subtotal),
            discount_minor,
            total_minor,
            requires_shipping: line.requires_shipping.unwrap_or(true),
            gift_card: line.gift_card.unwrap_or(false),
            presentment,
        })
    }

    fn shipping_line<'a>(
        &self,
        line: order::ShippingLine<'a>,
        at: usize,
    ) -> Result<canonical::ShippingLine<'a>, MapError> {
        let here = |member: &str| format!("/shipping_lines/{at}/{member}");
        if let Some(set) = &line.price_set {
            same(self.shop, &set.shop_money.currency_code, || here("price_set/shop_money/currency_code"))?;
        }
        Ok(canonical::ShippingLine {
            price_minor: self.shop.minor(&line.price, || here("price"))?,
            discount_minor: self
                .discounts(line.discount_allocations.as_deref().unwrap_or_default(), || {
                    here("discount_allocations")
                })?,
            tax_minor: self.taxes(line.tax_lines.as_deref().unwrap_or_default(), || here("tax_lines"))?,
            title: known(line.title),
            code: known(line.code),
        })
    }

    fn tax_line<'a>(
        &self,
        line: TaxLine<'a>,
        at: usize,
        notes: &mut Vec<MapError>,
    ) -> Result<canonical::TaxLine<'a>, MapError> {
        let rate = line.rate.map(|rate| match is_plain_decimal(rate.as_str()) {
            true => Ok(Some(rate)),
            false => Err(MapError::new(
                "rate_invalid",
                format!("/tax_lines/{at}/rate"),
                format!("{:?} is not a plain decimal number of at most 32 digits", rate.as_str()),
            )),
        });
        Ok(canonical::TaxLine {
            amount_minor: self.shop.minor(&line.price, || format!("/tax_lines/{at}/price"))?,
            title: known(line.title),
            rate: rate.and_then(|rate| noted(rate, notes)),
        })
    }

    fn discounts(&self, of: &[DiscountAllocation<'_>], path: impl Fn() -> String) -> Result<Minor, MapError> {
        let amounts = of.iter().enumerate();
        money::sum(
            amounts.map(|(at, one)| self.shop.minor(&one.amount, || format!("{}/{at}/amount", path()))),
            &path,
        )
    }

    fn taxes(&self, of: &[TaxLine<'_>], path: impl Fn() -> String) -> Result<Minor, MapError> {
        let amounts = of.iter().enumerate();
        money::sum(
            amounts.map(|(at, one)| self.shop.minor(&one.price, || format!("{}/{at}/price", path()))),
            &path,
        )
    }
}

/// The amount that the customer saw, if the set has one.
fn seen(
    currency: Currency,
    set: &MoneySet<'_>,
    path: impl Fn() -> String,
) -> Result<Option<Minor>, MapError> {
    let Some(money) = &set.presentment_money else { return Ok(None) };
    same(currency, &money.currency_code, || format!("{}/presentment_money/currency_code", path()))?;
    currency.minor(&money.amount, || format!("{}/presentment_money/amount", path())).map(Some)
}

/// The sum of what the customer saw, or nothing unless each set has it: a part of a sum would be a wrong amount.
fn all_seen<'s>(
    currency: Currency,
    sets: impl Iterator<Item = Option<&'s MoneySet<'s>>>,
    path: impl Fn() -> String,
) -> Result<Option<Minor>, MapError> {
    let mut amounts = Vec::new();
    for (at, set) in sets.enumerate() {
        let Some(set) = set else { return Ok(None) };
        let Some(amount) = seen(currency, set, || format!("{}/{at}", path()))? else { return Ok(None) };
        amounts.push(Ok(amount));
    }
    money::sum(amounts, path).map(Some)
}

fn same(expected: Currency, code: &str, path: impl FnOnce() -> String) -> Result<(), MapError> {
    if code == expected.code() {
        return Ok(());
    }
    Err(MapError::new(
        "currency_mismatch",
        path(),
        format!("{code:?}, but the order is in {}", expected.code()),
    ))
}

/// A detail, or a note why there is none.
pub(crate) fn noted<T>(detail: Result<Option<T>, MapError>, notes: &mut Vec<MapError>) -> Option<T> {
    detail.unwrap_or_else(|left_out| {
        notes.push(left_out);
        None
    })
}

/// The ways of shipping that the order still has.
fn shipping<'a>(
    lines: Vec<order::ShippingLine<'a>>,
    money: &Money,
    notes: &mut Vec<MapError>,
) -> Result<Vec<canonical::ShippingLine<'a>>, MapError> {
    let mut kept = Vec::with_capacity(lines.len());
    for (at, line) in lines.into_iter().enumerate() {
        if line.is_removed == Some(true) {
            let why = format!("{} was taken off the order", line.price.as_str());
            notes.push(MapError::new("shipping_line_removed", format!("/shipping_lines/{at}"), why));
        } else {
            kept.push(money.shipping_line(line, at)?);
        }
    }
    Ok(kept)
}

fn is_plain_decimal(text: &str) -> bool {
    if text.len() > RATE_CHARS_MAX {
        return false;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

fn customer<'a>(
    customer: Option<order::Customer<'a>>,
    email: Option<Text<'a>>,
    phone: Option<Text<'a>>,
) -> Option<canonical::Customer<'a>> {
    let customer = match customer {
        Some(customer) => canonical::Customer {
            customer_id: customer.id,
            email: known(customer.email).or_else(|| known(email)),
            phone: known(customer.phone).or_else(|| known(phone)),
            first_name: known(customer.first_name),
            last_name: known(customer.last_name),
        },
        None => canonical::Customer {
            customer_id: None,
            email: known(email),
            phone: known(phone),
            first_name: None,
            last_name: None,
        },
    };
    customer.known()
}

fn address(address: order::Address<'_>) -> Option<canonical::Address<'_>> {
    canonical::Address {
        name: known(address.name),
        company: known(address.company),
        line1: known(address.address1),
        line2: known(address.address2),
        city: known(address.city),
        region: known(address.province),
        region_code: known(address.province_code),
        postal_code: known(address.zip),
        country: known(address.country),
        country_code: known(address.country_code),
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

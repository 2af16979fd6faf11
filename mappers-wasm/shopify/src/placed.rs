//! The Order resource as an `OrderPlaced` 1.0.
//!
//! Amounts become integers in minor units by the currency's exponent, exactly; ids become strings; the amounts that the
//! customer saw are kept beside the shop's when the currency is another.
//!
//! Totals are the vendor's own and are not recomputed: duties, tips and cash rounding make the sum of the lines
//! something else than what was charged. Quantities and totals are those that were ordered; what was paid back or edited
//! away later shows in the payment's and the fulfilment's status.

use mapper_sdk::MapError;
use mapper_sdk::canonical::{self, OrderPlaced, Text};
use mapper_sdk::json::Decimal;
use mapper_sdk::money::{self, Currency, MINOR_MAX, Minor};
use mapper_sdk::text::known;

use crate::order::{self, DiscountAllocation, MoneySet, Order, TaxLine};

/// The currencies of one order: the shop's, and the customer's when it is another.
struct Money {
    shop: Currency,
    presentment: Option<Currency>,
}

/// The order, in the canonical form.
///
/// # Errors
/// `currency_unknown`, `currency_mismatch`, `lines_missing`, `quantity_invalid`, `rate_invalid` and those of money.
pub fn placed(order: Order<'_>) -> Result<OrderPlaced<'_>, MapError> {
    let money = Money {
        shop: Currency::parse(&order.currency, "/currency")?,
        presentment: match &order.presentment_currency {
            Some(code) if *code != order.currency => Some(Currency::parse(code, "/presentment_currency")?),
            _ => None,
        },
    };
    if order.line_items.is_empty() {
        return Err(MapError::new("lines_missing", "/line_items", "an order has at least one line"));
    }
    let totals = money.totals(&order)?;
    let presentment = money.presentment(&order)?;
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
        lines: numbered(order.line_items, |at, line| money.line(line, at))?,
        shipping_lines: numbered(order.shipping_lines.unwrap_or_default(), |at, line| {
            money.shipping_line(line, at)
        })?,
        discount_codes: numbered(order.discount_codes.unwrap_or_default(), |at, code| {
            Ok(canonical::DiscountCode {
                amount_minor: money.shop.minor(&code.amount, || format!("/discount_codes/{at}/amount"))?,
                code: code.code,
                kind: known(code.kind),
            })
        })?,
        tax_lines: numbered(order.tax_lines.unwrap_or_default(), |at, line| money.tax_line(line, at))?,
        totals,
        presentment,
    })
}

impl Money {
    fn totals(&self, order: &Order<'_>) -> Result<canonical::Totals, MapError> {
        Ok(canonical::Totals {
            subtotal_minor: self.shop.minor(&order.subtotal_price, || "/subtotal_price".to_owned())?,
            discount_minor: self.or_zero(order.total_discounts.as_ref(), "/total_discounts")?,
            shipping_minor: match &order.total_shipping_price_set {
                Some(set) => self.in_shop(set, "/total_shipping_price_set")?,
                None => money::sum(
                    order.shipping_lines.iter().flatten().enumerate().map(|(at, line)| {
                        self.shop.minor(&line.price, || format!("/shipping_lines/{at}/price"))
                    }),
                    || "/shipping_lines".to_owned(),
                )?,
            },
            fees_minor: None,
            tax_minor: self.or_zero(order.total_tax.as_ref(), "/total_tax")?,
            tip_minor: self.or_zero(order.total_tip_received.as_ref(), "/total_tip_received")?,
            duties_minor: match &order.original_total_duties_set {
                Some(set) => self.in_shop(set, "/original_total_duties_set")?,
                None => 0,
            },
            total_minor: self.shop.minor(&order.total_price, || "/total_price".to_owned())?,
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

    fn line<'a>(&self, line: order::LineItem<'a>, at: usize) -> Result<canonical::Line<'a>, MapError> {
        let here = |member: &str| format!("/line_items/{at}/{member}");
        let quantity = line.quantity.get();
        if !(1..=MINOR_MAX).contains(&quantity) {
            return Err(MapError::new(
                "quantity_invalid",
                here("quantity"),
                format!("{quantity} is no number of things ordered"),
            ));
        }
        if let Some(set) = &line.price_set {
            same(self.shop, &set.shop_money.currency_code, || here("price_set/shop_money/currency_code"))?;
        }
        let unit_price_minor = self.shop.minor(&line.price, || here("price"))?;
        let discounts = line.discount_allocations.as_deref().unwrap_or_default();
        let taxes = line.tax_lines.as_deref().unwrap_or_default();
        let discount_minor = self.discounts(discounts, || here("discount_allocations"))?;
        let total_minor = unit_price_minor
            .checked_mul(quantity)
            .and_then(|total| total.checked_sub(discount_minor))
            .filter(|total| (-MINOR_MAX..=MINOR_MAX).contains(total))
            .ok_or_else(|| {
                MapError::new("amount_out_of_range", here("price"), "price times quantity is too large")
            })?;
        let presentment = match (self.presentment, &line.price_set) {
            (Some(currency), Some(set)) => {
                let discount_sets = discounts.iter().map(|discount| discount.amount_set.as_ref());
                let tax_sets = taxes.iter().map(|tax| tax.price_set.as_ref());
                let unit_price = seen(currency, set, || here("price_set"))?;
                let discount = all_seen(currency, discount_sets, || here("discount_allocations"))?;
                let tax = all_seen(currency, tax_sets, || here("tax_lines"))?;
                match (unit_price, discount, tax) {
                    (Some(unit_price_minor), Some(discount_minor), Some(tax_minor)) => {
                        Some(canonical::LinePresentment { unit_price_minor, discount_minor, tax_minor })
                    }
                    _ => None,
                }
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
            unit: None,
            unit_price_minor: Some(unit_price_minor),
            subtotal_minor: None,
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

    fn tax_line<'a>(&self, line: TaxLine<'a>, at: usize) -> Result<canonical::TaxLine<'a>, MapError> {
        if let Some(rate) = &line.rate
            && !is_plain_decimal(rate.as_str())
        {
            return Err(MapError::new(
                "rate_invalid",
                format!("/tax_lines/{at}/rate"),
                format!("{:?} is not a plain decimal number", rate.as_str()),
            ));
        }
        Ok(canonical::TaxLine {
            amount_minor: self.shop.minor(&line.price, || format!("/tax_lines/{at}/price"))?,
            title: known(line.title),
            rate: line.rate,
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

fn is_plain_decimal(text: &str) -> bool {
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

// Shopify orders/create -> OrderPlaced 1.0, for QuickJS. What is undefined is not written by JSON.stringify.
// The host has made strings of integers that a double does not hold.
"use strict";

const FACTORS = { JPY: 1, KRW: 1, VND: 1, CLP: 1, BHD: 1000, JOD: 1000, KWD: 1000, OMR: 1000, TND: 1000 };

const text = (value) => value || undefined;
const id = (value) => (value == null ? undefined : String(value));

// A double has every amount of up to 15 digits closely enough for its nearest integer to be exact.
const minor = (amount, factor) => Math.round(amount * factor);

function sum(items, member, factor) {
  let total = 0;
  if (items) for (const item of items) total += minor(item[member], factor);
  return total;
}

function known(object) {
  for (const member in object) if (object[member] !== undefined) return object;
  return undefined;
}

function address(from) {
  if (!from) return undefined;
  return known({
    name: text(from.name),
    company: text(from.company),
    line1: text(from.address1),
    line2: text(from.address2),
    city: text(from.city),
    region: text(from.province),
    regionCode: text(from.province_code),
    postalCode: text(from.zip),
    country: text(from.country),
    countryCode: text(from.country_code),
    phone: text(from.phone),
  });
}

function line(from, factor) {
  if (!(from.quantity >= 1)) throw new Error(`quantity_invalid: ${from.quantity}`);
  const unitPriceMinor = minor(from.price, factor);
  const discountMinor = sum(from.discount_allocations, "amount", factor);
  return {
    lineId: String(from.id),
    productId: id(from.product_id),
    variantId: id(from.variant_id),
    sku: text(from.sku),
    title: text(from.title),
    variantTitle: text(from.variant_title),
    quantity: from.quantity,
    unitPriceMinor,
    discountMinor,
    taxMinor: sum(from.tax_lines, "price", factor),
    totalMinor: unitPriceMinor * from.quantity - discountMinor,
    requiresShipping: from.requires_shipping ?? true,
    giftCard: from.gift_card ?? false,
  };
}

function map(order) {
  if (order.presentment_currency && order.presentment_currency !== order.currency) {
    throw new Error("second_currency: not in this comparison");
  }
  if (order.line_items.length === 0) throw new Error("lines_missing");
  const factor = FACTORS[order.currency] ?? 100;
  const customer = order.customer ?? {};
  const shipping = order.shipping_lines ?? [];
  return [
    {
      eventType: "OrderPlaced",
      schemaVersion: "1.0",
      occurredAt: new Date(order.created_at).toISOString().replace(".000Z", "Z"),
      data: {
        orderId: String(order.id),
        orderName: text(order.name),
        currency: order.currency,
        channel: text(order.source_name),
        test: order.test ?? false,
        taxesIncluded: order.taxes_included ?? false,
        customer: known({
          customerId: id(customer.id),
          email: text(customer.email) ?? text(order.email),
          phone: text(customer.phone) ?? text(order.phone),
          firstName: text(customer.first_name),
          lastName: text(customer.last_name),
        }),
        billingAddress: address(order.billing_address),
        shippingAddress: address(order.shipping_address),
        lines: order.line_items.map((item) => line(item, factor)),
        shippingLines: shipping.map((item) => ({
          title: text(item.title),
          code: text(item.code),
          priceMinor: minor(item.price, factor),
          discountMinor: sum(item.discount_allocations, "amount", factor),
          taxMinor: sum(item.tax_lines, "price", factor),
        })),
        discountCodes: (order.discount_codes ?? []).map((item) => ({
          code: item.code,
          type: text(item.type),
          amountMinor: minor(item.amount, factor),
        })),
        taxLines: (order.tax_lines ?? []).map((item) => ({
          title: text(item.title),
          rate: id(item.rate),
          amountMinor: minor(item.price, factor),
        })),
        totals: {
          subtotalMinor: minor(order.subtotal_price, factor),
          discountMinor: minor(order.total_discounts ?? 0, factor),
          shippingMinor: order.total_shipping_price_set
            ? minor(order.total_shipping_price_set.shop_money.amount, factor)
            : sum(shipping, "price", factor),
          taxMinor: minor(order.total_tax ?? 0, factor),
          tipMinor: minor(order.total_tip_received ?? 0, factor),
          dutiesMinor: minor(order.original_total_duties_set?.shop_money.amount ?? 0, factor),
          totalMinor: minor(order.total_price, factor),
        },
      },
    },
  ];
}

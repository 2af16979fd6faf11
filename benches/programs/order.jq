# Shopify orders/create -> OrderPlaced 1.0, for jaq, whose integers are exact and whose decimals keep their spelling.

def present: map_values(select(. != null and . != ""));
def present_or_none: present | if . == {} then null else . end;
def id: if . == null then null else tostring end;
# A double has every amount of up to 15 digits closely enough for its nearest integer to be exact.
def minor($factor): tonumber * $factor | round;
def minor_or_zero($factor): if . == null then 0 else minor($factor) end;
def total(f; $factor): reduce f as $amount (0; . + ($amount | minor($factor)));
def address:
  if . == null then null else
    {name, company, line1: .address1, line2: .address2, city, region: .province, regionCode: .province_code,
     postalCode: .zip, country, countryCode: .country_code, phone} | present_or_none
  end;

if .presentment_currency != null and .presentment_currency != .currency then error("second_currency: not in this comparison") end
| if .line_items == [] then error("lines_missing") end
| ({JPY: 1, KRW: 1, VND: 1, CLP: 1, BHD: 1000, JOD: 1000, KWD: 1000, OMR: 1000, TND: 1000}[.currency] // 100) as $factor
| [{
    eventType: "OrderPlaced",
    schemaVersion: "1.0",
    occurredAt: (.created_at | fromdateiso8601 | todateiso8601),
    data: ({
      orderId: (.id | tostring),
      orderName: .name,
      currency,
      channel: .source_name,
      test: (.test // false),
      taxesIncluded: (.taxes_included // false),
      customer: ({
        customerId: (.customer.id | id),
        email: (.customer | .email | select(. != "")) // .email,
        phone: (.customer | .phone | select(. != "")) // .phone,
        firstName: .customer.first_name,
        lastName: .customer.last_name
      } | present_or_none),
      billingAddress: (.billing_address | address),
      shippingAddress: (.shipping_address | address),
      lines: [.line_items[]
        | if .quantity < 1 then error("quantity_invalid: \(.quantity)") end
        | (.price | minor($factor)) as $price
        | total(.discount_allocations[]?.amount; $factor) as $discount
        | {
            lineId: (.id | tostring),
            productId: (.product_id | id),
            variantId: (.variant_id | id),
            sku, title,
            variantTitle: .variant_title,
            quantity,
            unitPriceMinor: $price,
            discountMinor: $discount,
            taxMinor: total(.tax_lines[]?.price; $factor),
            totalMinor: ($price * .quantity - $discount),
            requiresShipping: (.requires_shipping != false),
            giftCard: (.gift_card // false)
          } | present],
      shippingLines: [.shipping_lines[]? | {
          title, code,
          priceMinor: (.price | minor($factor)),
          discountMinor: total(.discount_allocations[]?.amount; $factor),
          taxMinor: total(.tax_lines[]?.price; $factor)
        } | present],
      discountCodes: [.discount_codes[]? | {code, type, amountMinor: (.amount | minor($factor))} | present],
      taxLines: [.tax_lines[]? | {title, rate: (.rate | id), amountMinor: (.price | minor($factor))} | present],
      totals: {
        subtotalMinor: (.subtotal_price | minor($factor)),
        discountMinor: (.total_discounts | minor_or_zero($factor)),
        shippingMinor: (if .total_shipping_price_set
          then .total_shipping_price_set.shop_money.amount | minor($factor)
          else total(.shipping_lines[]?.price; $factor) end),
        taxMinor: (.total_tax | minor_or_zero($factor)),
        tipMinor: (.total_tip_received | minor_or_zero($factor)),
        dutiesMinor: (.original_total_duties_set.shop_money.amount | minor_or_zero($factor)),
        totalMinor: (.total_price | minor($factor))
      }
    } | present)
  }]

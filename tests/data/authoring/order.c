/* An order with something of every kind that the generated types have. */
#include "canonical.h"

bool sm_map(const sm_json *meta, sm_text payload) {
    const sm_json *message;
    sm_text at;
    if (!sm_parse(payload, &message) || !sm_utc(meta, "occurredAt", &at)) return false;
    Line lines[2] = {
        {.line_id = SM_LITERAL("1"), .quantity = 2, .has_unit_price_minor = true, .unit_price_minor = -5, .total_minor = 10},
        {.line_id = SM_LITERAL("2"), .quantity = 1, .has_subtotal_minor = true, .subtotal_minor = 7, .total_minor = 7, .gift_card = true},
    };
    Customer customer = {.email = SM_LITERAL("a@b.test")};
    OrderUpdated data = {
        .order_name_is_null = true,
        .currency = SM_LITERAL("EUR"),
        .has_test = true,
        .customer = &customer,
        .billing_address_is_null = true,
        .lines = lines,
        .lines_count = 2,
        .discount_codes = (DiscountCode[]){{0}},
        .payment_status = PAYMENT_STATUS_PARTIALLY_PAID,
        .status_is_null = true,
    };
    if (!sm_id(message, "größe 🫖", &data.order_id)) return false;
    put_event(at, &data);
    return true;
}

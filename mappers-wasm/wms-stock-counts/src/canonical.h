/* `data` of InventoryUpdated 1.0. Written by `sluice mapper typegen`: do not edit.
 *
 * Start with `InventoryUpdated data = {0};`: absent are a text whose `at` is NULL, an enumeration that is 0, a pointer that
 * is NULL, and a number or truth value whose `has_` is false. */
#ifndef SLUICE_CANONICAL_H
#define SLUICE_CANONICAL_H

#include "sluice_mapper.h"

/* The canonical type. */
#define EVENT_TYPE "InventoryUpdated"
/* Its version. */
#define SCHEMA_VERSION "1.0"

typedef struct InventoryUpdated InventoryUpdated;

/* Quantities of one article in one warehouse, as of the event's occurredAt: absolute levels,
 * not changes. The entity is (warehouseId, sku). A vendor states the quantities that it knows,
 * at least one; an absent one is unchanged. Quantities are within 2^53 - 1, so that every JSON
 * reader has them exactly. */
struct InventoryUpdated {
    /* The warehouse, as its vendor names it. */
    sm_text warehouse_id;
    /* The article, as its vendor names it. */
    sm_text sku;
    /* Physically in the warehouse and usable, reserved pieces included. */
    bool has_quantity_on_hand;
    int64_t quantity_on_hand;
    /* May be promised to a customer. Less than zero when more was sold than there is. */
    bool has_quantity_available;
    int64_t quantity_available;
    /* On hand, and promised to orders already. */
    bool has_quantity_reserved;
    int64_t quantity_reserved;
    /* Ordered from a supplier, and not received. */
    bool has_quantity_on_order;
    int64_t quantity_on_order;
    /* On the way from another warehouse. */
    bool has_quantity_in_transit;
    int64_t quantity_in_transit;
    /* In the warehouse, and not fit for sale. Not part of quantityOnHand. */
    bool has_quantity_damaged;
    int64_t quantity_damaged;
    /* What is counted, in the vendor's code, e.g. EA or CS. Absent: pieces, or as an earlier
     * event said. */
    sm_text unit;
    /* GTIN-8, -12 (UPC), -13 (EAN) or -14 of the article. */
    sm_text gtin;
    /* The article's name, for a person. */
    sm_text title;
};

/* Writes it as an event. */
static inline void put_event(sm_text occurred_at, const InventoryUpdated *it) {
    sm_event_begin(EVENT_TYPE, SCHEMA_VERSION, occurred_at);
    sm_put_text("warehouseId", it->warehouse_id);
    sm_put_text("sku", it->sku);
    if (it->has_quantity_on_hand) sm_put_integer("quantityOnHand", it->quantity_on_hand);
    if (it->has_quantity_available) sm_put_integer("quantityAvailable", it->quantity_available);
    if (it->has_quantity_reserved) sm_put_integer("quantityReserved", it->quantity_reserved);
    if (it->has_quantity_on_order) sm_put_integer("quantityOnOrder", it->quantity_on_order);
    if (it->has_quantity_in_transit) sm_put_integer("quantityInTransit", it->quantity_in_transit);
    if (it->has_quantity_damaged) sm_put_integer("quantityDamaged", it->quantity_damaged);
    if (it->unit.at != NULL) sm_put_text("unit", it->unit);
    if (it->gtin.at != NULL) sm_put_text("gtin", it->gtin);
    if (it->title.at != NULL) sm_put_text("title", it->title);
    sm_event_end();
}

#endif

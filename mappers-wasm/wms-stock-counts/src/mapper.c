/* `wms-demo` `stock.counted` → `InventoryUpdated` 1.0, in C: one event for every count of a message.
 *
 * The warehouse system writes article numbers as integers, beyond 2^53 as well, and quantities as numbers or as decimal text. What
 * is counted twice in one message is refused: it is not clear which count holds. The event happened at `countedAt`.
 */
#include "canonical.h"

#define WAREHOUSE_CHARS_MAX 64
#define SKU_CHARS_MAX 128
#define TITLE_CHARS_MAX 512
/* Most events that the host takes from one message. */
#define COUNTS_MAX 25000

static bool count(const sm_json *meta, const sm_json *one, sm_text site, sm_text counted_at, sm_text *sku) {
    InventoryUpdated data = {.warehouse_id = site, .has_quantity_on_hand = true};
    if (!sm_identifier(one, "article", SKU_CHARS_MAX, &data.sku)) return false;
    if (!sm_local_level(meta, one, "onHand", &data.quantity_on_hand)) return false;
    data.has_quantity_reserved = sm_get(one, "reserved") != NULL;
    if (data.has_quantity_reserved && !sm_local_level(meta, one, "reserved", &data.quantity_reserved)) return false;
    if (!sm_optional_text(one, "title", &data.title)) return false;
    if (data.title.at != NULL && sm_chars(data.title) > TITLE_CHARS_MAX) {
        sm_note(one, "title", "title_too_long", SM_LITERAL("has more than 512 characters, and is left out"));
        data.title = SM_END;
    }
    put_event(counted_at, &data);
    *sku = data.sku;
    return true;
}

bool sm_map(const sm_json *meta, sm_text payload) {
    const sm_json *version = sm_get(meta, "schemaVersion"), *message, *counts;
    sm_text site, counted_at;
    if (version == NULL || !sm_is(version->text, "1")) {
        return sm_refuse(NULL, NULL, "schema_version_unsupported", SM_LITERAL("this mapper reads payload schema version 1"));
    }
    if (!sm_parse(payload, &message)) return false;
    if (!sm_identifier(message, "site", WAREHOUSE_CHARS_MAX, &site)) return false;
    if (!sm_utc(message, "countedAt", &counted_at)) return false;
    if (!sm_need(message, "counts", SM_ARRAY, &counts)) return false;
    if (counts->count == 0) return sm_refuse(counts, NULL, "counts_missing", SM_LITERAL("nothing was counted"));
    if (counts->count > COUNTS_MAX) return sm_refuse(counts, NULL, "counts_too_many", SM_LITERAL("at most 25000 in a message"));

    sm_set seen = sm_set_for(counts->count);
    for (const sm_json *one = counts->first; one != NULL; one = one->next) {
        sm_text sku;
        if (!count(meta, one, site, counted_at, &sku)) return false;
        if (!sm_set_add(&seen, sku)) return sm_refuse(one, "article", "count_doubled", sku, SM_LITERAL(" is counted twice"));
    }
    return true;
}

/* What a mapper in C is written with: the ABI of `wit/mapper.wit`, a strict JSON reader that loses no digit, a JSON writer, exact
 * money, quantities and times, and refusals that say where.
 *
 * A mapper is one function, `sm_map`, which reads a payload and writes events:
 *
 *     #include "sluice_mapper.h"
 *
 *     bool sm_map(const sm_json *meta, sm_text payload) {
 *         const sm_json *message, *device;
 *         sm_text seen_at;
 *         if (!sm_parse(payload, &message)) return false;
 *         if (!sm_need(message, "device", SM_STRING, &device)) return false;
 *         if (!sm_utc(meta, "occurredAt", &seen_at)) return false;
 *         sm_event_begin("DeviceSeen", "1.0", seen_at);
 *         sm_put_text("deviceId", device->text);
 *         sm_event_end();
 *         return true;
 *     }
 *
 * Every function that can refuse returns false after it has noted the refusal (the first one stands), and `sm_map` returns false
 * at once: there are no exceptions, and nothing else to clean up, since an instance lives for one call.
 *
 * Build (no import is left, no libc is needed):
 *
 *     zig cc -target wasm32-freestanding -mcpu=generic+bulk_memory -std=c11 -O2 -nostdlib -Wl,--no-entry -Wl,--strip-all \
 *         -Wl,-z,stack-size=65536 -Wl,--initial-memory=1048576 -I sdk-c mapper.c sdk-c/sluice_mapper.c -o mapper.wasm
 *
 * or clang with `--target=wasm32` and the same flags.
 */
#ifndef SLUICE_MAPPER_H
#define SLUICE_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 2^53 - 1: the largest integer, either side of zero, that every JSON reader has exactly. */
#define SM_EXACT_MAX INT64_C(9007199254740991)
/* Deepest nesting of a payload that is read. */
#define SM_DEPTH_MAX 64
/* Longest identifier, in bytes. */
#define SM_ID_BYTES_MAX 256

/* Bytes in UTF-8, not ended by a zero. */
typedef struct {
    const char *at;
    uint32_t len;
} sm_text;

/* The text of a literal. */
#define SM_LITERAL(literal) ((sm_text){(literal), (uint32_t)(sizeof(literal) - 1)})

typedef enum { SM_NULL, SM_BOOL, SM_NUMBER, SM_STRING, SM_ARRAY, SM_OBJECT } sm_kind;

/* A JSON value. `text` is a string without its escapes, a number as it was sent, or `true` and `false`. `half` says that an escape
 * in the string is half of a surrogate pair, which is no character: RFC 8259 allows it (section 8.2), so a member that nobody reads
 * may have it, and the readers below refuse it in one that they read. */
typedef struct sm_json {
    sm_kind kind;
    bool half;
    sm_text text;
    sm_text key;                  /* of a member of an object */
    uint32_t index;               /* of an item of an array */
    uint32_t count;               /* of items or members */
    const struct sm_json *first;  /* item or member */
    const struct sm_json *next;   /* in the same array or object */
    const struct sm_json *parent; /* none for the whole */
} sm_json;

/* ---- what a mapper defines ---- */

/* Maps one message. `meta` is the object of `wit/mapper.wit`. Writes events, or says that nothing is stated, and returns true;
 * or notes a refusal and returns false. */
bool sm_map(const sm_json *meta, sm_text payload);

/* ---- reading ---- */

/* Reads a JSON text: RFC 8259, in UTF-8, at most SM_DEPTH_MAX deep; a byte order mark before it is skipped. Refuses
 * `payload_not_json`. */
bool sm_parse(sm_text payload, const sm_json **root);

/* A member, or NULL when it is absent, null, or `object` is no object. Of a member that is there twice, `sm_need` and its kin
 * refuse, and this gives the last. */
const sm_json *sm_get(const sm_json *object, const char *name);

/* A member that must be there, once, and of that kind. Refuses `payload_invalid`. */
bool sm_need(const sm_json *object, const char *name, sm_kind kind, const sm_json **found);

/* An identifier: a string, or an integer of any size, whose every digit is kept. What a spreadsheet or an exporter made of one, such
 * as `4.00638E+12`, `#N/A` or `NULL`, is none. Refuses `payload_invalid`, `identifier_scientific`, `identifier_error_value`,
 * `identifier_marked`, `identifier_nothing`, `identifier_invisible`. */
bool sm_id(const sm_json *object, const char *name, sm_text *id);

/* An identifier without the blanks around it, of at most `chars_max` characters. Refuses `identifier_blank`,
 * `identifier_too_long`. */
bool sm_identifier(const sm_json *object, const char *name, uint32_t chars_max, sm_text *id);

/* Whether a member is there and says something: it is neither null nor blank text. `object` may be NULL. */
bool sm_has(const sm_json *object, const char *name);

/* Text of a member, a string or an integer of any size, without the blanks around it; `text->at` is NULL when it is absent, null or
 * blank, or `object` is NULL. Refuses `payload_invalid`. */
bool sm_label(const sm_json *object, const char *name, sm_text *text);

/* Text of a member; `text->at` is NULL when it is absent, null or blank. Refuses `payload_invalid` when it is no string. */
bool sm_optional_text(const sm_json *object, const char *name, sm_text *text);

/* A whole number of pieces, within SM_EXACT_MAX: from a number that JSON Schema calls an integer (`12`, `12.0`, `12e0`), or from
 * decimal text (`"12"`, `"12.000"`). Refuses `quantity_invalid`, `quantity_fraction`, `quantity_out_of_range`. */
bool sm_whole(const sm_json *object, const char *name, int64_t *pieces);

/* The same, and not below zero. Refuses `quantity_negative` too. */
bool sm_level(const sm_json *object, const char *name, int64_t *pieces);

/* The exponent of a currency in ISO 4217, or -1 when the code is of no currency. */
int sm_currency_exponent(sm_text code);

/* An amount in minor units of a currency, exactly. Refuses `amount_invalid`, `amount_too_precise`, `amount_out_of_range`. */
bool sm_minor(const sm_json *object, const char *name, int exponent, int64_t *minor);

/* An RFC 3339 time with an offset, as RFC 3339 in UTC. A leap second becomes the last nanosecond before it. Refuses
 * `timestamp_invalid`. */
bool sm_utc(const sm_json *object, const char *name, sm_text *utc);

/* Seconds since 1970-01-01T00:00:00Z, from a number or from text, with a fraction or without; milliseconds. Refuses
 * `timestamp_invalid`, and `timestamp_out_of_range` before 2000 or after 9999, as a count of the other unit is. */
bool sm_epoch_seconds(const sm_json *object, const char *name, sm_text *utc);
bool sm_epoch_millis(const sm_json *object, const char *name, sm_text *utc);

/* The same as the vendor writes it in texts, by what `[text]` of the contract declares, which `meta` has. What is not declared is
 * read only where it has no second reading: `1.234` and `03/04/2026` are refused as `decimal_ambiguous` and `date_ambiguous`. A
 * JSON number has a point whatever is declared. The readers above are for formats whose specification has one form. */
bool sm_local_whole(const sm_json *meta, const sm_json *object, const char *name, int64_t *pieces);
bool sm_local_level(const sm_json *meta, const sm_json *object, const char *name, int64_t *pieces);
bool sm_local_minor(const sm_json *meta, const sm_json *object, const char *name, int exponent, int64_t *minor);
/* A day, as 2026-12-31. Refuses `date_invalid`, `date_ambiguous`. */
bool sm_local_date(const sm_json *meta, const sm_json *object, const char *name, sm_text *day);
/* A date and a time of day in the contract's zone, or a time with an offset, as RFC 3339 in UTC. Refuses `timestamp_invalid`,
 * `date_ambiguous`, `zone_undeclared`, `time_skipped`, `time_repeated`, `time_out_of_range`. */
bool sm_local_time(const sm_json *meta, const sm_json *object, const char *name, sm_text *utc);

bool sm_same(sm_text one, sm_text other);
bool sm_is(sm_text text, const char *literal);
uint32_t sm_chars(sm_text text);
sm_text sm_trimmed(sm_text text);

/* ---- what must be there once ---- */

typedef struct {
    sm_text *slots;
    uint32_t mask;
} sm_set;

/* A set for at most `count` texts. */
sm_set sm_set_for(uint32_t count);
/* Whether `text` was not in it yet. The set does not copy it. */
bool sm_set_add(sm_set *set, sm_text text);

/* ---- refusing ---- */

/* Notes a refusal and returns false. `at` is where in the payload (NULL: the whole), `member` a member of it or NULL, `code` a
 * snake_case constant. The message is the texts up to a NULL `at`: `sm_refuse(v, "qty", "c", SM_LITERAL("is "), text, SM_END)`. */
bool sm_refuse_texts(const sm_json *at, const char *member, const char *code, const sm_text *texts);
#define SM_END ((sm_text){NULL, 0})
#define sm_refuse(at, member, code, ...) \
    sm_refuse_texts((at), (member), (code), (const sm_text[]){__VA_ARGS__, SM_END})

/* ---- noting ---- */

/* Notes what the message states and the event that is begun leaves out: an optional detail that cannot be read, or that no member of
 * the canonical type is for. The same arguments as of a refusal; the note is kept with the event. At most SM_NOTES_MAX of one event;
 * what is beyond is counted in the last. */
void sm_note_texts(const sm_json *at, const char *member, const char *code, const sm_text *texts);
#define sm_note(at, member, code, ...) sm_note_texts((at), (member), (code), (const sm_text[]){__VA_ARGS__, SM_END})
#define SM_NOTES_MAX 16

/* ---- nothing to state ---- */

/* Says that the message is understood and states nothing, such as a draft, and returns true. `code` is a snake_case constant; the
 * message is the texts up to a NULL `at`, as of `sm_refuse`. A mapper that writes events as well is refused. */
bool sm_nothing_texts(const char *code, const sm_text *texts);
#define sm_nothing(code, ...) sm_nothing_texts((code), (const sm_text[]){__VA_ARGS__, SM_END})

/* ---- writing ---- */

/* Events follow one another; between begin and end, members of `data` are put in the order in which they are to stand. */
void sm_event_begin(const char *event_type, const char *schema_version, sm_text occurred_at);
void sm_event_end(void);
void sm_put_text(const char *name, sm_text text);
/* Nothing when `text.at` is NULL. */
void sm_put_known(const char *name, sm_text text);
void sm_put_integer(const char *name, int64_t number);
void sm_put_bool(const char *name, bool value);
void sm_put_null(const char *name);
/* `name` is NULL for an item of an array. */
void sm_object_begin(const char *name);
void sm_object_end(void);
void sm_array_begin(const char *name);
void sm_array_end(void);

/* ---- memory ---- */

/* Memory that lives as long as the call; never fails: beyond the host's limit the instance is stopped. */
void *sm_alloc(uint32_t bytes, uint32_t align);

#endif

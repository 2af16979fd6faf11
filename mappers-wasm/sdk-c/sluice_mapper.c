/* The runtime of mappers in C; `sluice_mapper.h` says what each function is.
 *
 * Invariants: memory is handed out once, upwards from the end of the data; there is one thread and one call; nothing is read
 * beyond a text's length; no number passes through a float.
 */
#include "sluice_mapper.h"

/* ---- memory ---- */

#define PAGE_BYTES 65536u

extern unsigned char __heap_base;
static uint32_t next_free;

/* One instruction each, of the bulk-memory proposal. Named, since the compiler calls these for structures. */
void *memcpy(void *restrict to, const void *restrict from, size_t len) {
    __asm__ volatile("local.get %0\n local.get %1\n local.get %2\n memory.copy 0, 0" ::"r"(to), "r"(from), "r"(len) : "memory");
    return to;
}

void *memset(void *to, int byte, size_t len) {
    __asm__ volatile("local.get %0\n local.get %1\n local.get %2\n memory.fill 0" ::"r"(to), "r"(byte), "r"(len) : "memory");
    return to;
}

void *sm_alloc(uint32_t bytes, uint32_t align) {
    if (next_free == 0) next_free = (uint32_t)(uintptr_t)&__heap_base;
    uint64_t start = ((uint64_t)next_free + align - 1) & ~((uint64_t)align - 1);
    uint64_t end = start + bytes;
    uint64_t there = (uint64_t)__builtin_wasm_memory_size(0) * PAGE_BYTES;
    if (end > there) {
        uint64_t need = (end - there + PAGE_BYTES - 1) / PAGE_BYTES;
        uint64_t wish = there / PAGE_BYTES / 2 > need ? there / PAGE_BYTES / 2 : need;
        if (need > PAGE_BYTES) __builtin_trap();
        if (__builtin_wasm_memory_grow(0, (size_t)wish) == (size_t)-1 &&
            __builtin_wasm_memory_grow(0, (size_t)need) == (size_t)-1) {
            __builtin_trap();
        }
    }
    next_free = (uint32_t)end;
    return (void *)(uintptr_t)start;
}

/* A block that grows in place while it is the newest. */
static void *grown(void *old, uint32_t old_len, uint32_t new_len, uint32_t align) {
    if (old != NULL && (uint32_t)(uintptr_t)old + old_len == next_free && new_len >= old_len) {
        sm_alloc(new_len - old_len, 1);
        return old;
    }
    void *block = sm_alloc(new_len, align);
    if (old != NULL) memcpy(block, old, old_len < new_len ? old_len : new_len);
    return block;
}

/* ---- text ---- */

static uint32_t length(const char *literal) {
    uint32_t len = 0;
    while (literal[len] != 0) len++;
    return len;
}

bool sm_same(sm_text one, sm_text other) {
    if (one.len != other.len) return false;
    for (uint32_t i = 0; i < one.len; i++) {
        if (one.at[i] != other.at[i]) return false;
    }
    return true;
}

bool sm_is(sm_text text, const char *literal) {
    return sm_same(text, (sm_text){literal, length(literal)});
}

uint32_t sm_chars(sm_text text) {
    uint32_t chars = 0;
    for (uint32_t i = 0; i < text.len; i++) chars += ((unsigned char)text.at[i] & 0xC0) != 0x80;
    return chars;
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

/* The character that begins at `at`, and behind it. `text` is UTF-8. */
static uint32_t character(sm_text text, uint32_t *at) {
    unsigned char lead = (unsigned char)text.at[(*at)++];
    if (lead < 0x80) return lead;
    uint32_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1, code = lead & (0x3Fu >> more);
    while (more-- > 0 && *at < text.len) code = code << 6 | ((unsigned char)text.at[(*at)++] & 0x3F);
    return code;
}

/* Unicode's White_Space, no-break spaces included. */
static bool white(uint32_t c) {
    return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

sm_text sm_trimmed(sm_text text) {
    uint32_t from = 0, to = 0, at = 0;
    while (at < text.len) {
        uint32_t start = at;
        if (white(character(text, &at))) {
            if (to == 0) from = at;
        } else {
            if (to == 0) from = start;
            to = at;
        }
    }
    return to == 0 ? (sm_text){text.at, 0} : (sm_text){text.at + from, to - from};
}

/* ---- what only looks like an identifier ---- */

/* Control characters, and of those that are ignored when text is shown the ones that occur. */
static bool invisible(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0xAD || c == 0x61C || c == 0x180E || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

static uint32_t digits_from(sm_text text, uint32_t at) {
    uint32_t count = 0;
    while (at + count < text.len && digit(text.at[at + count])) count++;
    return count;
}

/* `4.00638E+12`, `1,23E+15`, `4E+12`, `4.00638E12`; not `4E12`, which may be a number of an article. */
static bool scientific(sm_text text) {
    uint32_t at = text.len > 0 && (text.at[0] == '+' || text.at[0] == '-'), whole = digits_from(text, at), fraction = 0;
    if (whole < 1 || whole > 3) return false;
    at += whole;
    bool point = at < text.len && (text.at[at] == '.' || text.at[at] == ',');
    if (point) {
        fraction = digits_from(text, ++at);
        if (fraction == 0) return false;
        at += fraction;
    }
    if (at >= text.len || (text.at[at] | 0x20) != 'e') return false;
    bool plus = ++at < text.len && text.at[at] == '+', minus = at < text.len && text.at[at] == '-';
    at += plus || minus;
    uint32_t power = digits_from(text, at);
    return power >= 1 && power <= 3 && at + power == text.len && (point || plus);
}

/* The error value of a spreadsheet's cell: `#N/A`, `#REF!`, `#NAME?`, `####`. Letters outside ASCII are taken for capitals. */
static bool error_value(sm_text text) {
    if (text.len == 0 || text.at[0] != '#') return false;
    if (sm_is(text, "#N/A") || sm_is(text, "#NV") || sm_is(text, "#N/V") || sm_is(text, "#\u041D/\u0414")) return true;
    bool all = true, word = text.len > 2 && (text.at[text.len - 1] == '!' || text.at[text.len - 1] == '?');
    for (uint32_t i = 1; i < text.len; i++) {
        all &= text.at[i] == '#';
        word &= !(text.at[i] >= 'a' && text.at[i] <= 'z') && !blank(text.at[i]);
    }
    return all || word;
}

/* As `sluice_formats::identifier` of the SDK in Rust: NULL when it may be an identifier, else the refusal's code. */
static const char *spoilt(sm_text text, const char **why) {
    static const char *const nothing_words[] = {"-", "--", "\u2013", "\u2014", "N/A", "n/a", "NULL", "null", "(null)",
                                                "None", "NaN", "nan", "undefined", "[object Object]"};
    for (uint32_t at = 0; at < text.len;) {
        if (invisible(character(text, &at))) {
            *why = "has a character that cannot be seen";
            return "identifier_invisible";
        }
    }
    if (scientific(text)) {
        *why = "is a number in scientific notation, as a spreadsheet writes it: its digits are lost";
        return "identifier_scientific";
    }
    if (error_value(text)) {
        *why = "is an error value of a spreadsheet";
        return "identifier_error_value";
    }
    if (text.len > 0 && (text.at[0] == '\'' || text.at[0] == '=')) {
        *why = "begins with a mark for a spreadsheet";
        return "identifier_marked";
    }
    for (uint32_t i = 0; i < sizeof nothing_words / sizeof *nothing_words; i++) {
        if (sm_is(text, nothing_words[i])) {
            *why = "is a word for nothing";
            return "identifier_nothing";
        }
    }
    return NULL;
}

sm_set sm_set_for(uint32_t count) {
    uint32_t room = 4;
    while (room < count * 2) room *= 2;
    sm_set set = {sm_alloc(room * (uint32_t)sizeof(sm_text), _Alignof(sm_text)), room - 1};
    memset(set.slots, 0, room * sizeof(sm_text));
    return set;
}

/* Open addressing by FNV-1a; at most half the slots are taken. */
bool sm_set_add(sm_set *set, sm_text text) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < text.len; i++) hash = (hash ^ (unsigned char)text.at[i]) * 16777619u;
    for (uint32_t at = hash & set->mask;; at = (at + 1) & set->mask) {
        if (set->slots[at].at == NULL) {
            set->slots[at] = text;
            return true;
        }
        if (sm_same(set->slots[at], text)) return false;
    }
}

/* ---- output ---- */

#define CODE_BYTES_MAX 64u
#define PATH_BYTES_MAX 512u
#define MESSAGE_BYTES_MAX 1024u

typedef struct {
    char *at;
    uint32_t len, room;
} buffer;

static buffer events;
static buffer refusal;
static buffer notes;            /* of the event that is begun */
static uint32_t noted;          /* how many */
static uint32_t notes_but_last; /* where the last that there is room for begins */
static buffer nothing; /* why nothing is stated */
static bool begun; /* an item stands before, so a comma comes first */

static void push(buffer *out, const char *bytes, uint32_t len) {
    if (out->room - out->len < len) {
        uint32_t room = out->room * 2 > out->len + len ? out->room * 2 : out->len + len + 1024;
        out->at = grown(out->at, out->room, room, 1);
        out->room = room;
    }
    memcpy(out->at + out->len, bytes, len);
    out->len += len;
}

static void put(buffer *out, const char *literal) { push(out, literal, length(literal)); }

/* A JSON string, escaped as the SDK in Rust does. */
static void quote(buffer *out, sm_text text) {
    static const char hex[] = "0123456789abcdef";
    push(out, "\"", 1);
    uint32_t from = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        push(out, text.at + from, i - from);
        from = i + 1;
        char escaped[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
        uint32_t len = 2;
        switch (c) {
            case '"': case '\\': break;
            case '\b': escaped[1] = 'b'; break;
            case '\f': escaped[1] = 'f'; break;
            case '\n': escaped[1] = 'n'; break;
            case '\r': escaped[1] = 'r'; break;
            case '\t': escaped[1] = 't'; break;
            default: escaped[1] = 'u'; len = 6;
        }
        push(out, escaped, len);
    }
    push(out, text.at + from, text.len - from);
    push(out, "\"", 1);
}

static void integer(buffer *out, int64_t number) {
    char digits[20];
    uint32_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0) push(out, "-", 1);
    push(out, digits + at, (uint32_t)sizeof digits - at);
}

static void item(const char *name) {
    if (begun) push(&events, ",", 1);
    begun = true;
    if (name == NULL) return;
    quote(&events, (sm_text){name, length(name)});
    push(&events, ":", 1);
}

static void open(const char *name, const char *bracket) {
    item(name);
    put(&events, bracket);
    begun = false;
}

static void shut(const char *bracket) {
    put(&events, bracket);
    begun = true;
}

void sm_event_begin(const char *event_type, const char *schema_version, sm_text occurred_at) {
    if (events.len == 0) put(&events, "[");
    open(NULL, "{");
    sm_put_text("eventType", (sm_text){event_type, length(event_type)});
    sm_put_text("schemaVersion", (sm_text){schema_version, length(schema_version)});
    sm_put_text("occurredAt", occurred_at);
    open("data", "{");
}

void sm_event_end(void) {
    shut("}");
    if (noted > SM_NOTES_MAX) {
        notes.len = notes_but_last;
        put(&notes, ",{\"code\":\"notes_more\",\"path\":\"\",\"message\":\"");
        integer(&notes, (int64_t)noted - (SM_NOTES_MAX - 1));
        put(&notes, " more details were left out\"}");
    }
    if (noted > 0) {
        put(&events, ",\"notes\":[");
        push(&events, notes.at, notes.len);
        put(&events, "]");
    }
    notes = (buffer){0};
    noted = 0;
    shut("}");
}

void sm_put_text(const char *name, sm_text text) { item(name), quote(&events, text); }
void sm_put_integer(const char *name, int64_t number) { item(name), integer(&events, number); }
void sm_put_bool(const char *name, bool value) { item(name), put(&events, value ? "true" : "false"); }
void sm_put_null(const char *name) { item(name), put(&events, "null"); }
void sm_object_begin(const char *name) { open(name, "{"); }
void sm_object_end(void) { shut("}"); }
void sm_array_begin(const char *name) { open(name, "["); }
void sm_array_end(void) { shut("]"); }

void sm_put_known(const char *name, sm_text text) {
    if (text.at != NULL) sm_put_text(name, text);
}

/* ---- refusals ---- */

static void pointer(buffer *out, const sm_json *value);

static void step(buffer *out, sm_text key) {
    push(out, "/", 1);
    for (uint32_t i = 0; i < key.len; i++) {
        if (key.at[i] == '~') put(out, "~0");
        else if (key.at[i] == '/') put(out, "~1");
        else push(out, key.at + i, 1);
    }
}

static void pointer(buffer *out, const sm_json *value) {
    if (value == NULL || value->parent == NULL) return;
    pointer(out, value->parent);
    if (value->parent->kind == SM_OBJECT) {
        step(out, value->key);
    } else {
        push(out, "/", 1);
        integer(out, value->index);
    }
}

/* At most `len_max` bytes, cut at a character; control characters become blanks. */
static sm_text bounded(buffer text, uint32_t len_max) {
    uint32_t len = text.len;
    if (len > len_max) {
        len = len_max;
        while (len > 0 && ((unsigned char)text.at[len] & 0xC0) == 0x80) len--;
    }
    for (uint32_t i = 0; i < len; i++) {
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7F) text.at[i] = ' ';
    }
    return (sm_text){text.at, len};
}

static buffer joined(const sm_text *texts) {
    buffer message = {0};
    for (; texts->at != NULL; texts++) push(&message, texts->at, texts->len);
    return message;
}

/* Writes what is said of a place, as a refusal and a note are. */
static void say(buffer *out, const sm_json *at, const char *member, const char *code, const sm_text *texts) {
    buffer path = {0}, message = joined(texts);
    pointer(&path, at);
    if (member != NULL) step(&path, (sm_text){member, length(member)});
    put(out, "{\"code\":");
    quote(out, (sm_text){code, length(code)});
    put(out, ",\"path\":");
    quote(out, bounded(path, PATH_BYTES_MAX));
    put(out, ",\"message\":");
    quote(out, bounded(message, MESSAGE_BYTES_MAX));
    put(out, "}");
}

bool sm_refuse_texts(const sm_json *at, const char *member, const char *code, const sm_text *texts) {
    if (refusal.len == 0) say(&refusal, at, member, code, texts);
    return false;
}

void sm_note_texts(const sm_json *at, const char *member, const char *code, const sm_text *texts) {
    if (++noted > SM_NOTES_MAX) return;
    if (noted == SM_NOTES_MAX) notes_but_last = notes.len;
    if (noted > 1) put(&notes, ",");
    say(&notes, at, member, code, texts);
}

bool sm_nothing_texts(const char *code, const sm_text *texts) {
    if (nothing.len != 0) return true;
    put(&nothing, "{\"nothing\":{\"code\":");
    quote(&nothing, (sm_text){code, length(code)});
    put(&nothing, ",\"message\":");
    quote(&nothing, bounded(joined(texts), MESSAGE_BYTES_MAX));
    put(&nothing, "}}");
    return true;
}

/* ---- reading JSON ---- */

typedef struct {
    const char *at, *end, *start;
    uint32_t depth;
} reader;

static bool not_json(const reader *in, const char *why) {
    buffer place = {0};
    integer(&place, in->at - in->start);
    return sm_refuse(NULL, NULL, "payload_not_json", ((sm_text){why, length(why)}), SM_LITERAL(" at byte "),
                     ((sm_text){place.at, place.len}));
}

static bool utf8(sm_text text) {
    const unsigned char *p = (const unsigned char *)text.at, *end = p + text.len;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        uint32_t more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : 1;
        uint32_t code = *p & (0x3Fu >> more);
        if (*p < 0xC2 || *p > 0xF4 || (size_t)(end - p) <= more) return false;
        for (uint32_t i = 1; i <= more; i++) {
            if ((p[i] & 0xC0) != 0x80) return false;
            code = code << 6 | (p[i] & 0x3F);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xD800 && code < 0xE000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10FFFF))) {
            return false;
        }
        p += more + 1;
    }
    return true;
}

static void skip(reader *in) {
    while (in->at < in->end && blank(*in->at)) in->at++;
}

static bool hex4(reader *in, uint32_t *code) {
    if (in->end - in->at < 4) return false;
    *code = 0;
    for (int i = 0; i < 4; i++) {
        char c = *in->at++;
        uint32_t nibble = digit(c)               ? (uint32_t)(c - '0')
                          : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                          : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                 : 16;
        if (nibble == 16) return false;
        *code = *code << 4 | nibble;
    }
    return true;
}

static char *encode(char *to, uint32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

/* After the opening quote. A string without escapes is a part of the payload; others are copied. */
static bool string(reader *in, sm_text *text, bool *half) {
    const char *from = in->at;
    while (in->at < in->end && *in->at != '"' && *in->at != '\\' && (unsigned char)*in->at >= 0x20) in->at++;
    if (in->at < in->end && *in->at == '"') {
        *text = (sm_text){from, (uint32_t)(in->at - from)};
        in->at++;
        return true;
    }
    /* What is decoded is never longer than what is escaped. */
    const char *end = in->at;
    while (end < in->end && *end != '"') end += *end == '\\' && end + 1 < in->end ? 2 : 1;
    char *copy = sm_alloc((uint32_t)(end - from) + 1, 1), *to = copy;
    memcpy(to, from, (size_t)(in->at - from));
    to += in->at - from;
    while (in->at < in->end) {
        char c = *in->at;
        if (c == '"') {
            in->at++;
            *text = (sm_text){copy, (uint32_t)(to - copy)};
            return true;
        }
        if ((unsigned char)c < 0x20) return not_json(in, "a control character in a string");
        in->at++;
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        if (in->at == in->end) break;
        uint32_t code, low;
        switch (*in->at++) {
            case '"': *to++ = '"'; break;
            case '\\': *to++ = '\\'; break;
            case '/': *to++ = '/'; break;
            case 'b': *to++ = '\b'; break;
            case 'f': *to++ = '\f'; break;
            case 'n': *to++ = '\n'; break;
            case 'r': *to++ = '\r'; break;
            case 't': *to++ = '\t'; break;
            case 'u':
                if (!hex4(in, &code)) return not_json(in, "an escape without four digits");
                if (code >= 0xD800 && code < 0xDC00 && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
                    const char *behind = in->at;
                    in->at += 2;
                    if (!hex4(in, &low)) return not_json(in, "an escape without four digits");
                    if (low >= 0xDC00 && low < 0xE000) code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    else in->at = behind; /* another escape */
                }
                if (code >= 0xD800 && code < 0xE000) {
                    *half = true;
                    code = 0xFFFD;
                }
                to = encode(to, code);
                break;
            default: return not_json(in, "an unknown escape");
        }
    }
    return not_json(in, "a string that does not end");
}

static bool digits(reader *in) {
    const char *from = in->at;
    while (in->at < in->end && digit(*in->at)) in->at++;
    return in->at > from;
}

static bool number(reader *in, sm_text *text) {
    const char *from = in->at;
    if (*in->at == '-') in->at++;
    if (in->at < in->end && *in->at == '0') in->at++;
    else if (!digits(in)) return not_json(in, "a number without digits");
    if (in->at < in->end && *in->at == '.') {
        in->at++;
        if (!digits(in)) return not_json(in, "a number without digits");
    }
    if (in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
        in->at++;
        if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
        if (!digits(in)) return not_json(in, "a number without digits");
    }
    *text = (sm_text){from, (uint32_t)(in->at - from)};
    return true;
}

static bool word(reader *in, const char *literal, sm_text *text) {
    uint32_t len = length(literal);
    if ((size_t)(in->end - in->at) < len || !sm_is((sm_text){in->at, len}, literal)) return not_json(in, "no JSON value");
    *text = (sm_text){in->at, len};
    in->at += len;
    return true;
}

static bool value(reader *in, sm_json *out);

/* After the opening bracket. */
static bool items(reader *in, sm_json *out, char shut_by) {
    const sm_json **link = &out->first;
    if (++in->depth > SM_DEPTH_MAX) return not_json(in, "nested too deeply");
    skip(in);
    if (in->at < in->end && *in->at == shut_by) {
        in->at++, in->depth--;
        return true;
    }
    for (;;) {
        sm_json *one = sm_alloc(sizeof(sm_json), _Alignof(sm_json));
        *one = (sm_json){.parent = out, .index = out->count++};
        if (out->kind == SM_OBJECT) {
            bool half = false; /* of a key: it is no name that anybody asks for */
            skip(in);
            if (in->at == in->end || *in->at != '"') return not_json(in, "no key");
            in->at++;
            if (!string(in, &one->key, &half)) return false;
            skip(in);
            if (in->at == in->end || *in->at != ':') return not_json(in, "no colon");
            in->at++;
        }
        if (!value(in, one)) return false;
        *link = one;
        link = &one->next;
        skip(in);
        if (in->at == in->end) return not_json(in, "the text ends");
        char c = *in->at++;
        if (c == shut_by) {
            in->depth--;
            return true;
        }
        if (c != ',') return in->at--, not_json(in, "neither a comma nor the end");
    }
}

static bool value(reader *in, sm_json *out) {
    skip(in);
    if (in->at == in->end) return not_json(in, "the text ends");
    switch (*in->at) {
        case '{': in->at++, out->kind = SM_OBJECT; return items(in, out, '}');
        case '[': in->at++, out->kind = SM_ARRAY; return items(in, out, ']');
        case '"': in->at++, out->kind = SM_STRING; return string(in, &out->text, &out->half);
        case 't': out->kind = SM_BOOL; return word(in, "true", &out->text);
        case 'f': out->kind = SM_BOOL; return word(in, "false", &out->text);
        case 'n': out->kind = SM_NULL; return word(in, "null", &out->text);
        default:
            out->kind = SM_NUMBER;
            if (*in->at != '-' && !digit(*in->at)) return not_json(in, "no JSON value");
            return number(in, &out->text);
    }
}

bool sm_parse(sm_text payload, const sm_json **root) {
    if (payload.len >= 3 && sm_is((sm_text){payload.at, 3}, "\xEF\xBB\xBF")) payload.at += 3, payload.len -= 3;
    reader in = {payload.at, payload.at + payload.len, payload.at, 0};
    if (!utf8(payload)) return sm_refuse(NULL, NULL, "payload_not_json", SM_LITERAL("not UTF-8"));
    sm_json *whole = sm_alloc(sizeof(sm_json), _Alignof(sm_json));
    *whole = (sm_json){0};
    if (!value(&in, whole)) return false;
    skip(&in);
    if (in.at != in.end) return not_json(&in, "something follows the value");
    *root = whole;
    return true;
}

const sm_json *sm_get(const sm_json *object, const char *name) {
    const sm_json *found = NULL;
    if (object == NULL || object->kind != SM_OBJECT) return NULL;
    for (const sm_json *one = object->first; one != NULL; one = one->next) {
        if (sm_is(one->key, name)) found = one->kind == SM_NULL ? NULL : one;
    }
    return found;
}

static const char *const KINDS[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
static sm_text kind_name(sm_kind kind) { return (sm_text){KINDS[kind], length(KINDS[kind])}; }

/* A member that is there once, of any kind. */
static bool once(const sm_json *object, const char *name, const sm_json **found) {
    *found = NULL;
    if (object->kind != SM_OBJECT) {
        return sm_refuse(object, NULL, "payload_invalid", SM_LITERAL("is "), kind_name(object->kind),
                         SM_LITERAL(", not an object"));
    }
    for (const sm_json *one = object->first; one != NULL; one = one->next) {
        if (!sm_is(one->key, name)) continue;
        if (*found != NULL) return sm_refuse(one, NULL, "payload_invalid", SM_LITERAL("is there twice"));
        *found = one;
    }
    return true;
}

static bool there(const sm_json *object, const char *name, const sm_json **found) {
    if (!once(object, name, found)) return false;
    if (*found == NULL) return sm_refuse(object, name, "payload_invalid", SM_LITERAL("is missing"));
    return true;
}

static bool whole_text(const sm_json *found) {
    return !found->half || sm_refuse(found, NULL, "payload_invalid", SM_LITERAL("has half a surrogate pair, which is no character"));
}

static bool of_kind(const sm_json *found, sm_kind kind) {
    if (found->kind == kind) return whole_text(found);
    return sm_refuse(found, NULL, "payload_invalid", SM_LITERAL("is "), kind_name(found->kind), SM_LITERAL(", not "),
                     kind_name(kind));
}

bool sm_need(const sm_json *object, const char *name, sm_kind kind, const sm_json **found) {
    return there(object, name, found) && of_kind(*found, kind);
}

static bool whole_number(const sm_json *value) {
    bool whole = value->kind == SM_NUMBER;
    for (uint32_t i = 0; whole && i < value->text.len; i++) whole = digit(value->text.at[i]) || value->text.at[i] == '-';
    return whole;
}

bool sm_id(const sm_json *object, const char *name, sm_text *id) {
    const sm_json *found;
    if (!there(object, name, &found)) return false;
    if (found->kind != SM_STRING && !whole_number(found)) {
        return sm_refuse(found, NULL, "payload_invalid", SM_LITERAL("an identifier is a string or an integer"));
    }
    if (found->text.len == 0 || found->text.len > SM_ID_BYTES_MAX) {
        return sm_refuse(found, NULL, "payload_invalid", SM_LITERAL("an identifier has 1 to 256 bytes"));
    }
    if (!whole_text(found)) return false;
    const char *why, *code = spoilt(sm_trimmed(found->text), &why);
    if (code != NULL) {
        return sm_refuse(found, NULL, code, SM_LITERAL("\""), found->text, SM_LITERAL("\" "), ((sm_text){why, length(why)}));
    }
    *id = found->text;
    return true;
}

bool sm_identifier(const sm_json *object, const char *name, uint32_t chars_max, sm_text *id) {
    const sm_json *found = sm_get(object, name);
    if (found != NULL && found->kind == SM_STRING && found->text.len == 0) {
        return sm_refuse(object, name, "identifier_blank", SM_LITERAL("is blank"));
    }
    if (!sm_id(object, name, id)) return false;
    *id = sm_trimmed(*id);
    if (id->len == 0) return sm_refuse(object, name, "identifier_blank", SM_LITERAL("is blank"));
    if (sm_chars(*id) > chars_max) return sm_refuse(object, name, "identifier_too_long", SM_LITERAL("is too long"));
    return true;
}

bool sm_has(const sm_json *object, const char *name) {
    const sm_json *found = sm_get(object, name);
    return found != NULL && (found->kind != SM_STRING || sm_trimmed(found->text).len > 0);
}

bool sm_label(const sm_json *object, const char *name, sm_text *text) {
    const sm_json *found;
    *text = SM_END;
    if (object == NULL) return true;
    if (!once(object, name, &found)) return false;
    if (found == NULL || found->kind == SM_NULL) return true;
    if (found->kind != SM_STRING && !whole_number(found)) {
        return sm_refuse(found, NULL, "payload_invalid", SM_LITERAL("text is a string or an integer"));
    }
    if (!whole_text(found)) return false;
    sm_text trimmed = sm_trimmed(found->text);
    if (trimmed.len > 0) *text = trimmed;
    return true;
}

bool sm_optional_text(const sm_json *object, const char *name, sm_text *text) {
    const sm_json *found;
    *text = SM_END;
    if (!once(object, name, &found)) return false;
    if (found == NULL || found->kind == SM_NULL) return true;
    if (!of_kind(found, SM_STRING)) return false;
    if (sm_trimmed(found->text).len > 0) *text = found->text;
    return true;
}

/* ---- numbers ---- */

typedef enum { EXACT, INVALID, TOO_PRECISE, OUT_OF_RANGE } scaled_as;

/* Decimal text times ten to the power of `exponent`: -?digits[.digits], exactly. */
static scaled_as scaled(sm_text text, int exponent, int64_t *out) {
    bool negative = text.len > 0 && text.at[0] == '-';
    uint32_t at = negative, whole = at;
    int64_t total = 0;
    bool too_large = false, too_precise = false;
    int places = -1;
    for (; at < text.len; at++) {
        if (text.at[at] == '.' && places < 0 && at > whole) {
            places = 0;
            continue;
        }
        if (!digit(text.at[at])) return INVALID;
        if (places >= 0 && places++ >= exponent) {
            too_precise |= text.at[at] != '0';
            continue;
        }
        total = total * 10 + (text.at[at] - '0');
        if (total > SM_EXACT_MAX) too_large = true, total = 0;
    }
    if (at == whole || text.at[text.len - 1] == '.') return INVALID;
    if (too_precise) return TOO_PRECISE;
    for (int place = places < 0 ? 0 : places; place < exponent; place++) {
        total *= 10;
        if (total > SM_EXACT_MAX) too_large = true, total = 0;
    }
    if (too_large) return OUT_OF_RANGE;
    *out = negative ? -total : total;
    return EXACT;
}

/* The integer that a JSON number is, if JSON Schema calls it one: 2, 2.0, 2e0 and 20e-1 are two (2020-12, validation, 6.1.1). */
static scaled_as integral(sm_text text, int64_t *out) {
    uint32_t end = 0, places = 0, count = 0;
    bool negative = text.at[0] == '-', fraction = false, nonzero = false;
    for (; end < text.len && (text.at[end] | 0x20) != 'e'; end++) {
        if (text.at[end] == '.') fraction = true;
        if (!digit(text.at[end])) continue;
        count++, places += fraction;
        nonzero |= text.at[end] != '0';
    }
    *out = 0;
    if (!nonzero) return EXACT;
    int64_t power = 0;
    uint32_t at = end + 1;
    bool below = at < text.len && text.at[at] == '-';
    for (at += at < text.len && !digit(text.at[at]); at < text.len; at++) {
        if (power < 1000000000) power = power * 10 + (text.at[at] - '0');
    }
    int64_t shift = (below ? -power : power) - places, kept = shift < 0 ? count + shift : count;
    int64_t total = 0;
    bool too_large = false;
    for (uint32_t i = 0, seen = 0; i < end; i++) {
        if (!digit(text.at[i])) continue;
        if (seen++ >= kept) {
            if (text.at[i] != '0') return TOO_PRECISE;
        } else if (!too_large) {
            total = total * 10 + (text.at[i] - '0');
            too_large = total > SM_EXACT_MAX;
        }
    }
    for (; shift > 0 && !too_large; shift--) too_large = (total *= 10) > SM_EXACT_MAX;
    if (too_large) return OUT_OF_RANGE;
    *out = negative ? -total : total;
    return EXACT;
}

static bool decimal(const sm_json *object, const char *name, const sm_json **found) {
    if (!there(object, name, found)) return false;
    if ((*found)->kind == SM_NUMBER || (*found)->kind == SM_STRING) return whole_text(*found);
    return sm_refuse(*found, NULL, "payload_invalid", SM_LITERAL("a decimal number is a string or a number, not "),
                     kind_name((*found)->kind));
}

/* What stands at `found` is `text`, plain. */
static bool whole_of(const sm_json *found, sm_text text, int64_t *pieces) {
    switch (found->kind == SM_NUMBER ? integral(text, pieces) : scaled(text, 0, pieces)) {
        case EXACT: return true;
        case INVALID:
            return sm_refuse(found, NULL, "quantity_invalid", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is not a decimal number"));
        case TOO_PRECISE:
            return sm_refuse(found, NULL, "quantity_fraction", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is not a whole number of pieces"));
        default:
            return sm_refuse(found, NULL, "quantity_out_of_range", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is more than 2^53 - 1"));
    }
}

static bool not_negative(const sm_json *object, const char *name, int64_t pieces) {
    if (pieces >= 0) return true;
    return sm_refuse(object, name, "quantity_negative", sm_get(object, name)->text, SM_LITERAL(" is less than nothing"));
}

static bool minor_of(const sm_json *found, sm_text text, int exponent, int64_t *minor) {
    switch (scaled(text, exponent, minor)) {
        case EXACT: return true;
        case INVALID:
            return sm_refuse(found, NULL, "amount_invalid", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is not a decimal number"));
        case TOO_PRECISE:
            return sm_refuse(found, NULL, "amount_too_precise", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" has more decimal places than the currency"));
        default:
            return sm_refuse(found, NULL, "amount_out_of_range", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is too large"));
    }
}

bool sm_whole(const sm_json *object, const char *name, int64_t *pieces) {
    const sm_json *found;
    return decimal(object, name, &found) && whole_of(found, found->text, pieces);
}

bool sm_level(const sm_json *object, const char *name, int64_t *pieces) {
    return sm_whole(object, name, pieces) && not_negative(object, name, *pieces);
}

bool sm_minor(const sm_json *object, const char *name, int exponent, int64_t *minor) {
    const sm_json *found;
    return decimal(object, name, &found) && minor_of(found, found->text, exponent, minor);
}

/* ---- numbers as the vendor writes them: the rules of `sluice_formats::decimal` ---- */

/* A word of `text` in the metadata, by its first byte; 0 when it is not declared. */
static char declared(const sm_json *meta, const char *name) {
    const sm_json *told = sm_get(sm_get(meta, "text"), name);
    return told != NULL && told->kind == SM_STRING && told->text.len > 0 ? told->text.at[0] : 0;
}

/* How many bytes the mark of groups has that stands at `at`; none: 0. `grouping` is '.', ',', ' ', '\'' or, of none, 'n'. */
static uint32_t group_mark(sm_text text, uint32_t at, char grouping) {
    static const char *const blanks[] = {" ", "\xC2\xA0", "\xE2\x80\xAF", "\xE2\x80\x89"};
    static const char *const apostrophes[] = {"'", "\xE2\x80\x99"};
    if (grouping == '.' || grouping == ',') return text.at[at] == grouping;
    const char *const *marks = grouping == ' ' ? blanks : apostrophes;
    uint32_t count = grouping == ' ' ? 4 : grouping == '\'' ? 2 : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = length(marks[i]);
        if (at + len <= text.len && sm_is((sm_text){text.at + at, len}, marks[i])) return len;
    }
    return 0;
}

static uint32_t digits_at(sm_text text, uint32_t at) {
    uint32_t end = at;
    while (end < text.len && digit(text.at[end])) end++;
    return end - at;
}

typedef enum { PLAIN, NOT_PLAIN, TWO_NUMBERS } plain_as;

/* The number as -?digits[.digits]. */
static plain_as plain(sm_text text, char decimal_mark, char grouping, sm_text *out) {
    uint32_t at = text.len > 0 && text.at[0] == '-', first = digits_at(text, at);
    if (decimal_mark == 0) {
        /* 1.234 and 12,000 are two numbers each; no group begins with 0. */
        uint32_t mark = at + first;
        bool one = mark < text.len && (text.at[mark] == '.' || text.at[mark] == ',');
        if (one && first >= 1 && first <= 3 && text.at[at] != '0' && mark + 4 == text.len &&
            digits_at(text, mark + 1) == 3) {
            return TWO_NUMBERS;
        }
        decimal_mark = '.';
        grouping = 0;
    }
    char *copy = sm_alloc(text.len + 1, 1), *to = copy;
    if (at == 1) *to++ = '-';
    if (first == 0) return NOT_PLAIN;
    memcpy(to, text.at + at, first);
    to += first;
    at += first;
    uint32_t mark;
    while (at < text.len && text.at[at] != decimal_mark && (mark = group_mark(text, at, grouping)) > 0) {
        if (first > 3 || digits_at(text, at + mark) != 3) return NOT_PLAIN;
        memcpy(to, text.at + at + mark, 3);
        to += 3;
        at += mark + 3;
    }
    if (at < text.len) {
        uint32_t fraction = digits_at(text, at + 1);
        if (text.at[at] != decimal_mark || fraction == 0 || at + 1 + fraction != text.len) return NOT_PLAIN;
        *to++ = '.';
        memcpy(to, text.at + at + 1, fraction);
        to += fraction;
    }
    *out = (sm_text){copy, (uint32_t)(to - copy)};
    return PLAIN;
}

/* The text of a decimal, plain; a JSON number has a point whatever the vendor writes in texts. */
static bool plain_of(const sm_json *meta, const sm_json *found, const char *invalid, sm_text *out) {
    *out = found->text;
    if (found->kind == SM_NUMBER) return true;
    switch (plain(found->text, declared(meta, "decimal"), declared(meta, "grouping"), out)) {
        case PLAIN: return true;
        case NOT_PLAIN:
            return sm_refuse(found, NULL, invalid, SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is not a decimal number in the form that [text] of the contract declares"));
        default:
            return sm_refuse(found, NULL, "decimal_ambiguous", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is two numbers, by what its mark means: declare decimal and grouping in [text] of the contract"));
    }
}

bool sm_local_whole(const sm_json *meta, const sm_json *object, const char *name, int64_t *pieces) {
    const sm_json *found;
    sm_text text;
    return decimal(object, name, &found) && plain_of(meta, found, "quantity_invalid", &text) &&
           whole_of(found, text, pieces);
}

bool sm_local_level(const sm_json *meta, const sm_json *object, const char *name, int64_t *pieces) {
    return sm_local_whole(meta, object, name, pieces) && not_negative(object, name, *pieces);
}

bool sm_local_minor(const sm_json *meta, const sm_json *object, const char *name, int exponent, int64_t *minor) {
    const sm_json *found;
    sm_text text;
    return decimal(object, name, &found) && plain_of(meta, found, "amount_invalid", &text) &&
           minor_of(found, text, exponent, minor);
}

/* ISO 4217:2015, list one and what list three withdrew since 2020, without metals, tests and funds: as the SDK in Rust. */
static const char EXPONENT_0[] = "BIFCLPDJFGNFISKJPYKMFKRWPYGRWFUGXUYIVNDVUVXAFXOFXPF";
static const char EXPONENT_3[] = "BHDIQDJODKWDLYDOMRTND";
static const char EXPONENT_4[] = "CLFUYW";
static const char EXPONENT_2[] =
    "AEDAFNALLAMDANGAOAARSAUDAWGAZNBAMBBDBDTBGNBMDBNDBOBBOVBRLBSDBTNBWPBYNBZDCADCDFCHECHFCHWCNYCOPCOUCRCCUCCUPCVECZKDKKDOPDZD"
    "EGPERNETBEURFJDFKPGBPGELGHSGIPGMDGTQGYDHKDHNLHRKHTGHUFIDRILSINRIRRJMDKESKGSKHRKPWKYDKZTLAKLBPLKRLRDLSLMADMDLMGAMKDMMKMNT"
    "MOPMRUMURMVRMWKMXNMXVMYRMZNNADNGNNIONOKNPRNZDPABPENPGKPHPPKRPLNQARRONRSDRUBSARSBDSCRSDGSEKSGDSHPSLESLLSOSSRDSSPSTNSVCSYP"
    "SZLTHBTJSTMTTOPTRYTTDTWDTZSUAHUSDUSNUYUUZSVEDVESWSTXADXCDXCGYERZARZMWZWGZWL";

static bool within(const char *codes, sm_text code) {
    for (; *codes != 0; codes += 3) {
        if (codes[0] == code.at[0] && codes[1] == code.at[1] && codes[2] == code.at[2]) return true;
    }
    return false;
}

int sm_currency_exponent(sm_text code) {
    if (code.len != 3) return -1;
    if (within(EXPONENT_2, code)) return 2;
    if (within(EXPONENT_0, code)) return 0;
    if (within(EXPONENT_3, code)) return 3;
    return within(EXPONENT_4, code) ? 4 : -1;
}

/* ---- times ---- */

static bool two(sm_text text, uint32_t at, int *out) {
    if (at + 2 > text.len || !digit(text.at[at]) || !digit(text.at[at + 1])) return false;
    *out = (text.at[at] - '0') * 10 + text.at[at + 1] - '0';
    return true;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar, and back: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms". Years 0 to 9999. */
static int64_t days_of(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void day_of(int64_t days, int *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(years + era * 400 + (*month <= 2));
}

static char *two_digits(char *to, int number) {
    *to++ = (char)('0' + number / 10);
    *to++ = (char)('0' + number % 10);
    return to;
}

#define DAY_SECONDS INT64_C(86400)
/* 2000-01-01T00:00:00Z: no message is older, so an earlier count is one of another unit. */
#define EPOCH_SECONDS_MIN INT64_C(946684800)
/* 10000-01-01T00:00:00Z. */
#define SECONDS_END INT64_C(253402300800)

static bool is_day(int year, int month, int day) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month >= 1 && month <= 12 && day >= 1 && day <= lengths[month - 1] + (leap && month == 2);
}

static int64_t floor_div(int64_t number, int64_t by) { return number / by - (number % by < 0); }

static char *date_digits(char *to, int year, int month, int day) {
    to = two_digits(two_digits(to, year / 100), year % 100);
    *to++ = '-';
    to = two_digits(to, month);
    *to++ = '-';
    return two_digits(to, day);
}

/* Seconds since 1970 in UTC and the digits of a fraction, as RFC 3339 without zeros at its end. */
static bool rfc3339(int64_t seconds, sm_text fraction, sm_text *utc) {
    int year, month, day;
    int64_t days = floor_div(seconds, DAY_SECONDS), second = seconds - days * DAY_SECONDS;
    day_of(days, &year, &month, &day);
    if (year < 0 || year > 9999) return false;
    if (fraction.len > 9) fraction.len = 9;
    while (fraction.len > 0 && fraction.at[fraction.len - 1] == '0') fraction.len--;
    char *out = sm_alloc(31, 1), *to = date_digits(out, year, month, day);
    *to++ = 'T';
    to = two_digits(to, (int)(second / 3600));
    *to++ = ':';
    to = two_digits(to, (int)(second / 60 % 60));
    *to++ = ':';
    to = two_digits(to, (int)(second % 60));
    if (fraction.len > 0) {
        *to++ = '.';
        memcpy(to, fraction.at, fraction.len);
        to += fraction.len;
    }
    *to++ = 'Z';
    *utc = (sm_text){out, (uint32_t)(to - out)};
    return true;
}

/* A leap second is the last of a month in UTC; it becomes the last nanosecond before it. `seconds` is the one before it. */
static bool leap_second(int64_t seconds, sm_text *fraction) {
    int year, month, day;
    if ((seconds + 1) % DAY_SECONDS != 0) return false;
    day_of((seconds + 1) / DAY_SECONDS, &year, &month, &day);
    *fraction = SM_LITERAL("999999999");
    return day == 1;
}

static bool instant(sm_text text, sm_text *utc) {
    int century, year, month, day, hour, minute, second, over_hours = 0, over_minutes = 0;
    if (text.len < 20 || !two(text, 0, &century) || !two(text, 2, &year) || !two(text, 5, &month) ||
        !two(text, 8, &day) || !two(text, 11, &hour) || !two(text, 14, &minute) || !two(text, 17, &second)) {
        return false;
    }
    if (text.at[4] != '-' || text.at[7] != '-' || (text.at[10] | 0x20) != 't' || text.at[13] != ':' || text.at[16] != ':') {
        return false;
    }
    year += century * 100;
    if (!is_day(year, month, day) || hour > 23 || minute > 59 || second > 60) return false;

    uint32_t at = 19;
    sm_text fraction = {text.at + at, 0};
    if (text.at[at] == '.') {
        fraction = (sm_text){text.at + at + 1, digits_at(text, at + 1)};
        if (fraction.len == 0) return false;
        at += 1 + fraction.len;
    }
    int64_t seconds = days_of(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - (second == 60);
    if (at < text.len && (text.at[at] | 0x20) == 'z') {
        at++;
    } else {
        if (at + 6 != text.len || (text.at[at] != '+' && text.at[at] != '-') || text.at[at + 3] != ':') return false;
        if (!two(text, at + 1, &over_hours) || !two(text, at + 4, &over_minutes)) return false;
        if (over_hours > 23 || over_minutes > 59) return false;
        int64_t over = over_hours * 3600 + over_minutes * 60;
        seconds += text.at[at] == '+' ? -over : over;
        at += 6;
    }
    if (at != text.len || (second == 60 && !leap_second(seconds, &fraction))) return false;
    return rfc3339(seconds, fraction, utc);
}

bool sm_utc(const sm_json *object, const char *name, sm_text *utc) {
    const sm_json *found;
    if (!sm_need(object, name, SM_STRING, &found)) return false;
    if (instant(found->text, utc)) return true;
    return sm_refuse(found, NULL, "timestamp_invalid", SM_LITERAL("\""), found->text,
                     SM_LITERAL("\" is not an RFC 3339 time with an offset"));
}

/* ---- dates and times as the vendor writes them: the rules of `sluice_formats::date` ---- */

typedef struct {
    int number;
    uint32_t digits;
} date_part;

/* A part of one, two or four digits. */
static bool part(sm_text text, uint32_t at, date_part *out) {
    out->digits = digits_at(text, at);
    if (out->digits != 1 && out->digits != 2 && out->digits != 4) return false;
    out->number = 0;
    for (uint32_t i = 0; i < out->digits; i++) out->number = out->number * 10 + (text.at[at + i] - '0');
    return true;
}

/* The three numbers of a date: one separator, the same twice, or eight digits without one. */
static bool date_parts(sm_text text, date_part parts[3]) {
    uint32_t first = digits_at(text, 0);
    if (first == text.len) {
        if (text.len != 8) return false;
        int two_by_two[4];
        for (uint32_t i = 0; i < 4; i++) two(text, i * 2, &two_by_two[i]);
        int year = two_by_two[0] * 100 + two_by_two[1];
        if (year >= 1900 && is_day(year, two_by_two[2], two_by_two[3])) {
            parts[0] = (date_part){year, 4}, parts[1] = (date_part){two_by_two[2], 2}, parts[2] = (date_part){two_by_two[3], 2};
        } else {
            parts[0] = (date_part){two_by_two[0], 2}, parts[1] = (date_part){two_by_two[1], 2};
            parts[2] = (date_part){two_by_two[2] * 100 + two_by_two[3], 4};
        }
        return true;
    }
    char separator = text.at[first];
    if (separator != '.' && separator != '/' && separator != '-' && separator != ' ') return false;
    uint32_t at = 0, wide = 0;
    for (int i = 0; i < 3; i++) {
        if (i > 0 && (at >= text.len || text.at[at++] != separator)) return false;
        if (!part(text, at, &parts[i])) return false;
        at += parts[i].digits;
        wide += parts[i].digits == 4;
    }
    return at == text.len && parts[1].digits <= 2 && wide <= 1;
}

static bool day_by(const date_part parts[3], int y, int m, int d, int64_t *days) {
    int year = parts[y].number;
    if (parts[y].digits == 2) year += year >= 70 ? 1900 : 2000;
    if (year < 1 || year > 9999 || !is_day(year, parts[m].number, parts[d].number)) return false;
    *days = days_of(year, parts[m].number, parts[d].number);
    return true;
}

typedef enum { READ, NOT_READ, TWO_DAYS } read_as;

/* Days since 1970. `order` is the first letter of `dates`: 'i', 'd', 'm' or 'y', or 0 when it is not declared. */
static read_as date_days(sm_text text, char order, int64_t *days) {
    date_part parts[3];
    int64_t dmy, mdy, ymd;
    if (!date_parts(text, parts)) return NOT_READ;
    if (parts[0].digits == 4) {
        bool blank_between = order == 0 && text.len > 4 && text.at[4] == ' ';
        return !blank_between && day_by(parts, 0, 1, 2, days) ? READ : NOT_READ;
    }
    bool last = parts[2].digits == 4;
    if (order == 0) {
        bool is_dmy = day_by(parts, 2, 1, 0, &dmy), is_mdy = day_by(parts, 2, 0, 1, &mdy);
        bool is_ymd = !last && day_by(parts, 0, 1, 2, &ymd);
        bool two_days = (is_dmy && is_mdy && dmy != mdy) || (is_dmy && is_ymd && dmy != ymd) || (is_mdy && is_ymd && mdy != ymd);
        return two_days ? TWO_DAYS : NOT_READ;
    }
    bool read = order == 'd'            ? day_by(parts, 2, 1, 0, days)
                : order == 'm'          ? day_by(parts, 2, 0, 1, days)
                : order == 'y' && !last ? day_by(parts, 0, 1, 2, days)
                                        : false;
    return read ? READ : NOT_READ;
}

/* The length of a blank at the end of `text`: U+0020, U+00A0 or U+202F. */
static uint32_t blank_behind(sm_text text) {
    if (text.len >= 1 && text.at[text.len - 1] == ' ') return 1;
    if (text.len >= 2 && sm_is((sm_text){text.at + text.len - 2, 2}, "\xC2\xA0")) return 2;
    if (text.len >= 3 && sm_is((sm_text){text.at + text.len - 3, 3}, "\xE2\x80\xAF")) return 3;
    return 0;
}

/* `14:05`, `14:05:59.5`, `2:05 PM`. */
static bool time_of_day(sm_text text, int64_t *second_of_day, sm_text *fraction, bool *leap) {
    char half = 0;
    if (text.len >= 2 && (text.at[text.len - 1] | 0x20) == 'm') {
        half = (char)(text.at[text.len - 2] | 0x20);
        if (half != 'a' && half != 'p') return false;
        text.len -= 2;
        for (uint32_t blank; (blank = blank_behind(text)) > 0;) text.len -= blank;
    }
    int hour = 0, minute, second = 0;
    uint32_t at = digits_at(text, 0);
    if (at < 1 || at > 2) return false;
    for (uint32_t i = 0; i < at; i++) hour = hour * 10 + (text.at[i] - '0');
    if (at == text.len || text.at[at] != ':' || digits_at(text, at + 1) != 2 || !two(text, at + 1, &minute)) return false;
    at += 3;
    *fraction = (sm_text){text.at, 0};
    if (at < text.len) {
        if (text.at[at] != ':' || digits_at(text, at + 1) != 2 || !two(text, at + 1, &second)) return false;
        at += 3;
        if (at < text.len) {
            uint32_t digits_count = digits_at(text, at + 1);
            if ((text.at[at] != '.' && text.at[at] != ',') || digits_count < 1 || digits_count > 18) return false;
            *fraction = (sm_text){text.at + at + 1, digits_count};
            at += 1 + digits_count;
        }
    }
    if (at != text.len) return false;
    if (half != 0) {
        if (hour < 1 || hour > 12) return false;
        hour = hour % 12 + (half == 'p' ? 12 : 0);
    }
    if (hour > 23 || minute > 59 || second > 60) return false;
    *leap = second == 60;
    *second_of_day = hour * 3600 + minute * 60 + second - *leap;
    return true;
}

/* A date and a time of day, in seconds since 1970 on the clock there. */
static read_as local_seconds(sm_text text, char order, int64_t *seconds, sm_text *fraction, bool *leap) {
    uint32_t colon = 0;
    while (colon < text.len && text.at[colon] != ':') colon++;
    if (colon == text.len) return NOT_READ;
    uint32_t hour = colon;
    while (hour > 0 && digit(text.at[hour - 1])) hour--;
    sm_text date = {text.at, hour}, time = {text.at + hour, text.len - hour};
    uint32_t blank = blank_behind(date);
    if (date.len > 0 && (date.at[date.len - 1] | 0x20) == 't') {
        date.len--;
    } else if (blank > 0) {
        for (; blank > 0; blank = blank_behind(date)) date.len -= blank;
        if (date.len > 0 && date.at[date.len - 1] == ',') date.len--;
    } else {
        return NOT_READ;
    }
    int64_t days, second_of_day;
    read_as read = date_days(date, order, &days);
    if (read != READ) return read;
    if (!time_of_day(time, &second_of_day, fraction, leap)) return NOT_READ;
    *seconds = days * DAY_SECONDS + second_of_day;
    return READ;
}

static bool integer_of(const sm_json *value, int64_t *out) {
    if (value == NULL || value->kind != SM_NUMBER) return false;
    uint32_t at = value->text.at[0] == '-';
    *out = 0;
    for (uint32_t i = at; i < value->text.len; i++) {
        if (!digit(value->text.at[i]) || *out > SM_EXACT_MAX) return false;
        *out = *out * 10 + (value->text.at[i] - '0');
    }
    if (at == 1) *out = -*out;
    return true;
}

typedef enum { AN_INSTANT, SKIPPED, REPEATED, UNKNOWN } zoned_as;

/* UTC of a local time, by `zone` of the metadata. */
static zoned_as zoned(const sm_json *zone, int64_t local, int64_t *utc) {
    const sm_json *offsets = sm_get(zone, "offsets");
    int64_t until, from, offset = 0, next, first = 0, earliest = 0;
    if (offsets == NULL || offsets->count == 0 || !integer_of(sm_get(zone, "until"), &until)) return UNKNOWN;
    uint32_t found = 0;
    for (const sm_json *one = offsets->first; one != NULL; one = one->next) {
        if (one->count != 2 || !integer_of(one->first, &from) || !integer_of(one->first->next, &offset)) return UNKNOWN;
        if (one == offsets->first) first = from, earliest = offset;
        next = until;
        if (one->next != NULL && !integer_of(one->next->first, &next)) return UNKNOWN;
        if (from <= local - offset && local - offset < next) {
            *utc = local - offset;
            found++;
        }
    }
    if (found == 1) return AN_INSTANT;
    if (found > 1) return REPEATED;
    return local - earliest < first || local - offset >= until ? UNKNOWN : SKIPPED;
}

static bool two_days(const sm_json *found) {
    return sm_refuse(found, NULL, "date_ambiguous", SM_LITERAL("\""), found->text,
                     SM_LITERAL("\" is two days, by the order of day and month: declare dates in [text] of the contract"));
}

bool sm_local_date(const sm_json *meta, const sm_json *object, const char *name, sm_text *day) {
    const sm_json *found;
    int64_t days;
    int year, month, of_month;
    if (!sm_need(object, name, SM_STRING, &found)) return false;
    switch (date_days(found->text, declared(meta, "dates"), &days)) {
        case READ: break;
        case TWO_DAYS: return two_days(found);
        default:
            return sm_refuse(found, NULL, "date_invalid", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is not a date in the order that [text] of the contract declares, or such as 2026-12-31"));
    }
    day_of(days, &year, &month, &of_month);
    char *out = sm_alloc(10, 1);
    date_digits(out, year, month, of_month);
    *day = (sm_text){out, 10};
    return true;
}

bool sm_local_time(const sm_json *meta, const sm_json *object, const char *name, sm_text *utc) {
    const sm_json *found, *zone = sm_get(sm_get(meta, "text"), "zone");
    int64_t local, seconds;
    sm_text fraction;
    bool leap;
    if (!sm_need(object, name, SM_STRING, &found)) return false;
    if (instant(found->text, utc)) return true;
    switch (local_seconds(found->text, declared(meta, "dates"), &local, &fraction, &leap)) {
        case READ: break;
        case TWO_DAYS: return two_days(found);
        default:
            return sm_refuse(found, NULL, "timestamp_invalid", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is not a date in the order that [text] of the contract declares and a time of day such as 14:05"));
    }
    if (zone == NULL) {
        return sm_refuse(found, NULL, "zone_undeclared", SM_LITERAL("\""), found->text,
                         SM_LITERAL("\" does not say in which zone it is: declare zone in [text] of the contract, such as Europe/Berlin"));
    }
    zoned_as as = zoned(zone, local, &seconds);
    if (as == AN_INSTANT && leap && !leap_second(seconds, &fraction)) as = SKIPPED;
    if (as == AN_INSTANT && rfc3339(seconds, fraction, utc)) return true;
    switch (as) {
        case SKIPPED:
            return sm_refuse(found, NULL, "time_skipped", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is a time that the clocks of the zone skip"));
        case REPEATED:
            return sm_refuse(found, NULL, "time_repeated", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is a time that the clocks of the zone show twice, so that it is two instants"));
        default:
            return sm_refuse(found, NULL, "time_out_of_range", SM_LITERAL("\""), found->text,
                             SM_LITERAL("\" is too far from when the message was received: the offsets of the zone are known for some years"));
    }
}

/* A count since 1970, of a JSON number or of text. `per_second` is 1 or 1000. */
static bool epoch(const sm_json *object, const char *name, int64_t per_second, sm_text *utc) {
    const sm_json *found;
    if (!decimal(object, name, &found)) return false;
    sm_text text = found->text, fraction = {text.at, 0};
    uint32_t whole = digits_at(text, 0);
    if (per_second == 1 && whole < text.len && text.at[whole] == '.') {
        fraction = (sm_text){text.at + whole + 1, digits_at(text, whole + 1)};
    }
    if (whole == 0 || whole + (fraction.at == text.at ? 0 : 1 + fraction.len) != text.len ||
        (fraction.at != text.at && fraction.len == 0)) {
        return sm_refuse(found, NULL, "timestamp_invalid", SM_LITERAL("\""), text,
                         per_second == 1 ? SM_LITERAL("\" is not a number of seconds since 1970")
                                         : SM_LITERAL("\" is not a number of milliseconds since 1970"));
    }
    int64_t count = 0;
    for (uint32_t i = 0; i < whole; i++) {
        count = count > SECONDS_END * 1000 ? count : count * 10 + (text.at[i] - '0');
    }
    int64_t seconds = count / per_second;
    if (seconds < EPOCH_SECONDS_MIN || seconds >= SECONDS_END) {
        return sm_refuse(found, NULL, "timestamp_out_of_range", SM_LITERAL("\""), text,
                         SM_LITERAL("\" since 1970 is before 2000 or after 9999: it is most likely another unit"));
    }
    if (per_second == 1000) {
        char *digits_of = sm_alloc(3, 1);
        for (int i = 2, rest = (int)(count % 1000); i >= 0; i--, rest /= 10) digits_of[i] = (char)('0' + rest % 10);
        fraction = (sm_text){digits_of, 3};
    }
    return rfc3339(seconds, fraction, utc);
}

bool sm_epoch_seconds(const sm_json *object, const char *name, sm_text *utc) { return epoch(object, name, 1, utc); }
bool sm_epoch_millis(const sm_json *object, const char *name, sm_text *utc) { return epoch(object, name, 1000, utc); }

/* ---- the ABI of wit/mapper.wit ---- */

#define EXPORT(name) __attribute__((export_name(name), used))

EXPORT("cabi_realloc") void *cabi_realloc(void *old, uint32_t old_len, uint32_t align, uint32_t new_len) {
    return grown(old_len == 0 ? NULL : old, old_len, new_len, align);
}

EXPORT("map") const uint32_t *map(const char *meta_at, uint32_t meta_len, const char *payload_at, uint32_t payload_len) {
    static uint32_t result[3];
    const sm_json *meta;
    bool mapped = sm_parse((sm_text){meta_at, meta_len}, &meta) && sm_map(meta, (sm_text){payload_at, payload_len});
    if (mapped && nothing.len != 0 && events.len != 0) {
        mapped = sm_refuse(NULL, NULL, "events_and_nothing", SM_LITERAL("the mapper wrote events and says that nothing is stated"));
    }
    if (!mapped) sm_refuse(NULL, NULL, "refused", SM_LITERAL("the mapper gave no reason"));
    if (mapped && nothing.len == 0) put(&events, events.len == 0 ? "[]" : "]");
    const buffer *out = !mapped ? &refusal : nothing.len != 0 ? &nothing : &events;
    result[0] = mapped ? 0 : 1;
    result[1] = (uint32_t)(uintptr_t)out->at;
    result[2] = out->len;
    return result;
}

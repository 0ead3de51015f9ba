/*
 * text_value: values of fields from text. A path segment or a query parameter is always text; JSON
 * has texts for enums, bytes and big integers. One place decides what each type accepts.
 */
#include <math.h>
#include <stdlib.h>

#include "rpc/text_value.h"

static bool is_signed_in_range(ProtobufCType type, int64_t v)
{
    return rpc_field_size(type) == 8 || (v >= INT32_MIN && v <= INT32_MAX);
}

const char *rpc_text_to_integer(ProtobufCType type, struct str text, void *value)
{
    int64_t i;
    uint64_t u;
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (!text.p || !str_to_i64(text, &i) || !is_signed_in_range(type, i))
            return "expected a whole number from -2147483648 to 2147483647";
        *(int32_t *)value = (int32_t)i;
        return NULL;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        if (!text.p || !str_to_i64(text, &i))
            return "expected a whole number of 64 bits";
        *(int64_t *)value = i;
        return NULL;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (!text.p || !str_to_u64(text, &u) || u > UINT32_MAX)
            return "expected a whole number from 0 to 4294967295";
        *(uint32_t *)value = (uint32_t)u;
        return NULL;
    default:
        if (!text.p || !str_to_u64(text, &u))
            return "expected a whole number of 64 bits that is not negative";
        *(uint64_t *)value = u;
        return NULL;
    }
}

static bool is_lower_of(struct str text, const char *name)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = name[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        if (c == '\0' || c != text.p[i])
            return false;
    }
    return name[text.n] == '\0';
}

bool rpc_text_to_enum(const ProtobufCEnumDescriptor *d, struct str text, int *value)
{
    for (unsigned i = 0; i < d->n_values; i++) {
        if (is_lower_of(text, d->values[i].name)) {
            *value = d->values[i].value;
            return true;
        }
    }
    return false;
}

void rpc_write_expected_enum(const ProtobufCEnumDescriptor *d, struct strbuf *out)
{
    for (unsigned i = 0; i < d->n_values; i++) {
        strbuf_adds(out, i ? ", " : ": expected one of ");
        for (const char *c = d->values[i].name; *c; c++)
            strbuf_addc(out, *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c);
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

bool rpc_text_to_bytes(struct str text, struct arena *arena, ProtobufCBinaryData *bytes)
{
    size_t n = text.n;
    for (int i = 0; i < 2 && n % 4 != 1 && n && text.p[n - 1] == '='; i++)
        n--;
    if (n % 4 == 1 || (n != text.n && text.n % 4 != 0))
        return false;
    uint8_t *to = arena_alloc(arena, n / 4 * 3 + 3);
    uint32_t group = 0;
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(text.p[i]);
        if (v < 0)
            return false;
        group = group << 6 | (uint32_t)v;
        if (i % 4 != 0)
            to[made++] = (uint8_t)(group >> (6 - i % 4 * 2));
    }
    *bytes = (ProtobufCBinaryData){.len = made, .data = to};
    return true;
}

/* ---- fields of paths and queries ---- */

static const char *text_to_real(ProtobufCType type, struct str text, struct arena *arena,
                                void *value)
{
    char *copy = str_arena(arena, text);
    char *end;
    double number = strtod(copy, &end);
    bool is_plain = text.n && strspn(copy, "0123456789+-.eE") == text.n;
    if (!is_plain || *end || !isfinite(number))
        return "expected a number";
    if (type == PROTOBUF_C_TYPE_DOUBLE)
        *(double *)value = number;
    else
        *(float *)value = (float)number;
    return NULL;
}

/* NULL when stored, else what was expected; "" for an enum, which the caller lists. */
static const char *text_to_value(const ProtobufCFieldDescriptor *f, struct str text,
                                 struct arena *arena, void *value)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (!str_is_utf8(text))
            return "expected UTF-8 text without NUL";
        *(char **)value = str_arena(arena, text);
        return NULL;
    case PROTOBUF_C_TYPE_BOOL:
        if (!str_eq(text, STR("true")) && !str_eq(text, STR("false")))
            return "expected true or false";
        *(protobuf_c_boolean *)value = text.n == 4;
        return NULL;
    case PROTOBUF_C_TYPE_ENUM:
        return rpc_text_to_enum(f->descriptor, text, value) ? NULL : "";
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return text_to_real(f->type, text, arena, value);
    case PROTOBUF_C_TYPE_BYTES:
        return rpc_text_to_bytes(text, arena, value) ? NULL : "expected base64 text";
    case PROTOBUF_C_TYPE_MESSAGE:
        return "cannot be given here";
    default:
        return rpc_text_to_integer(f->type, text, value);
    }
}

/* A place for one more element at the end; lists here are short, so growing by one is fine. */
static void *append_element(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                            struct arena *arena)
{
    size_t *count = rpc_member(m, f->quantifier_offset);
    uint8_t **items = rpc_member(m, f->offset);
    size_t size = rpc_field_size(f->type);
    uint8_t *grown = arena_alloc_array(arena, *count + 1, size);
    if (*count)
        memcpy(grown, *items, *count * size);
    *items = grown;
    return grown + (*count)++ * size;
}

#define ELEMENTS_MAX 100

bool rpc_field_set(ProtobufCMessage *m, struct str field, struct str text, struct arena *arena,
                   struct strbuf *problem)
{
    const ProtobufCFieldDescriptor *f = rpc_field_find(m->descriptor, field);
    size_t shown = MIN(field.n, 64);
    if (!f) {
        strbuf_printf(problem, "%.*s: unknown field", (int)shown, field.p);
        return false;
    }
    void *value = rpc_member(m, f->offset);
    const char *expected = NULL;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        if (*(size_t *)rpc_member(m, f->quantifier_offset) >= ELEMENTS_MAX)
            expected = "too many values";
        else
            value = append_element(m, f, arena);
    }
    if (!expected)
        expected = text_to_value(f, text, arena, value);
    if (!expected) {
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            *(uint32_t *)rpc_member(m, f->quantifier_offset) = f->id;
        return true;
    }
    strbuf_printf(problem, "%.*s%s%s", (int)shown, field.p, *expected ? ": " : "", expected);
    if (!*expected)
        rpc_write_expected_enum(f->descriptor, problem);
    return false;
}

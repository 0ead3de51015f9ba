/*
 * json_write: a message as JSON text, straight from the descriptors into a strbuf. Every answer of
 * the API comes out of here, so it makes no intermediate tree.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/str.h"
#include "rpc/rpc_internal.h"

#define EXACT_MAX (INT64_C(1) << 53) /* beyond it a double, thus JavaScript, loses digits */

static void write_u64(struct strbuf *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    strbuf_add(out, digits + at, sizeof(digits) - at);
}

static void write_integer(struct strbuf *out, bool is_negative, uint64_t magnitude)
{
    bool is_quoted = magnitude > EXACT_MAX;
    if (is_quoted)
        strbuf_addc(out, '"');
    if (is_negative)
        strbuf_addc(out, '-');
    write_u64(out, magnitude);
    if (is_quoted)
        strbuf_addc(out, '"');
}

static void write_i64(struct strbuf *out, int64_t value)
{
    write_integer(out, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* The shortest of 15 to 17 digits that reads back as the same number. */
static void write_double(struct strbuf *out, double value)
{
    char text[32];
    if (!isfinite(value)) {
        strbuf_adds(out, "null");
        return;
    }
    if (value == 0) { /* "-0" would read back as the integer 0 */
        strbuf_adds(out, signbit(value) ? "-0.0" : "0");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    strbuf_adds(out, text);
}

static void write_base64(struct strbuf *out, const uint8_t *p, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = strbuf_reserve(out, (n + 2) / 3 * 4);
    char *at = to;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t group = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                         (left > 2 ? p[i + 2] : 0);
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *at++ = left > 2 ? alphabet[group & 63] : '=';
    }
    out->n += (size_t)(at - to);
}

static void write_enum(struct strbuf *out, const ProtobufCEnumDescriptor *d, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
    if (!v) {
        write_i64(out, value);
        return;
    }
    strbuf_addc(out, '"');
    for (const char *c = v->name; *c; c++)
        strbuf_addc(out, *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c);
    strbuf_addc(out, '"');
}

static void write_value(struct strbuf *out, const ProtobufCFieldDescriptor *f, const void *value)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        write_i64(out, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        write_i64(out, *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        write_integer(out, false, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        write_integer(out, false, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        write_double(out, (double)*(const float *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        write_double(out, *(const double *)value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        strbuf_adds(out, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, f->descriptor, *(const int *)value);
        break;
    case PROTOBUF_C_TYPE_STRING:
        strbuf_add_json(out, str_from(*(char *const *)value));
        break;
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = value;
        strbuf_addc(out, '"');
        write_base64(out, bytes->data, bytes->len);
        strbuf_addc(out, '"');
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        rpc_json_write(out, *(ProtobufCMessage *const *)value);
        break;
    }
}

static void write_repeated(struct strbuf *out, const ProtobufCMessage *m,
                           const ProtobufCFieldDescriptor *f)
{
    size_t count = *(const size_t *)rpc_member(m, f->quantifier_offset);
    const uint8_t *items = *(uint8_t *const *)rpc_member(m, f->offset);
    size_t size = rpc_field_size(f->type);
    strbuf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            strbuf_addc(out, ',');
        write_value(out, f, items + i * size);
    }
    strbuf_addc(out, ']');
}

static bool is_absent(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    if (!rpc_field_is_chosen(m, f))
        return true;
    return f->type == PROTOBUF_C_TYPE_MESSAGE && !*(void *const *)rpc_member(m, f->offset);
}

void rpc_json_write(struct strbuf *out, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *d = message->descriptor;
    char separator = '{';
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if (is_absent(message, f))
            continue;
        size_t n = strlen(f->name);
        char *at = strbuf_reserve(out, n + 4);
        at[0] = separator;
        at[1] = '"';
        memcpy(at + 2, f->name, n);
        at[n + 2] = '"';
        at[n + 3] = ':';
        out->n += n + 4;
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            write_repeated(out, message, f);
        else
            write_value(out, f, rpc_member(message, f->offset));
        separator = ',';
    }
    if (separator == '{')
        strbuf_addc(out, '{');
    strbuf_addc(out, '}');
}

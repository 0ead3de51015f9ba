/*
 * json_parse: JSON text into a message, by descriptors. jansson reads the text; here is what makes
 * it strict: every key must be a field, every value of its type and range, every text UTF-8 without
 * NUL, and whatever is wrong is said with the way to it ("tracks[1].mid: expected text").
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "core/str.h"
#include "rpc/rpc_internal.h"
#include "rpc/text_value.h"

#define DEPTH_MAX 32
#define NAME_SHOWN_MAX 64

/* Where the parser is: a chain on the stack, read only when something is wrong. */
struct place {
    const struct place *up;
    const char *name; /* NULL: an element, by index */
    size_t index;
};

struct parser {
    struct arena *arena;
    struct strbuf *problem;
};

static void write_place(struct strbuf *out, const struct place *at)
{
    if (!at)
        return;
    write_place(out, at->up);
    if (at->name)
        strbuf_printf(out, "%s%.*s", at->up ? "." : "", NAME_SHOWN_MAX, at->name);
    else
        strbuf_printf(out, "[%zu]", at->index);
}

static bool refuse(struct parser *p, const struct place *at, const char *what)
{
    write_place(p->problem, at);
    strbuf_printf(p->problem, "%s%s", at ? ": " : "", what);
    return false;
}

static bool parse_message(struct parser *p, const struct place *at, json_t *json,
                          ProtobufCMessage *m);

static bool parse_integer(struct parser *p, const struct place *at, json_t *json,
                          const ProtobufCFieldDescriptor *f, void *value)
{
    char text[32];
    bool is_wide = rpc_field_size(f->type) == 8;
    struct str digits;
    if (json_is_integer(json)) {
        int n = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        digits = (struct str){text, (size_t)n};
    } else if (json_is_string(json) && is_wide) {
        digits = (struct str){json_string_value(json), json_string_length(json)};
    } else if (json_is_real(json) && fabs(json_real_value(json)) <= 9007199254740992.0 &&
               json_real_value(json) == trunc(json_real_value(json))) {
        int n = snprintf(text, sizeof(text), "%.0f", json_real_value(json));
        digits = (struct str){text, (size_t)n};
    } else {
        digits = STR_NULL;
    }
    const char *expected = rpc_text_to_integer(f->type, digits, value);
    return expected ? refuse(p, at, expected) : true;
}

static bool parse_real(struct parser *p, const struct place *at, json_t *json,
                       const ProtobufCFieldDescriptor *f, void *value)
{
    if (!json_is_number(json))
        return refuse(p, at, "expected a number");
    double number = json_number_value(json);
    if (f->type == PROTOBUF_C_TYPE_DOUBLE) {
        *(double *)value = number;
        return true;
    }
    *(float *)value = (float)number;
    return isfinite(*(float *)value) ? true : refuse(p, at, "number out of range");
}

static bool parse_text(struct parser *p, const struct place *at, json_t *json, struct str *text)
{
    if (!json_is_string(json))
        return refuse(p, at, "expected text");
    *text = (struct str){json_string_value(json), json_string_length(json)};
    if (memchr(text->p, '\0', text->n))
        return refuse(p, at, "must not contain NUL");
    return true;
}

static bool parse_bytes(struct parser *p, const struct place *at, json_t *json,
                        ProtobufCBinaryData *bytes)
{
    struct str text;
    if (!json_is_string(json))
        return refuse(p, at, "expected base64 text");
    text = (struct str){json_string_value(json), json_string_length(json)};
    return rpc_text_to_bytes(text, p->arena, bytes) ? true : refuse(p, at, "expected base64 text");
}

static bool parse_submessage(struct parser *p, const struct place *at, json_t *json,
                             const ProtobufCFieldDescriptor *f, ProtobufCMessage **value)
{
    *value = rpc_message_create(f->descriptor, p->arena);
    return parse_message(p, at, json, *value);
}

static bool parse_value(struct parser *p, const struct place *at, json_t *json,
                        const ProtobufCFieldDescriptor *f, void *value)
{
    struct str text;
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json))
            return refuse(p, at, "expected true or false");
        *(protobuf_c_boolean *)value = json_is_true(json);
        return true;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return parse_real(p, at, json, f, value);
    case PROTOBUF_C_TYPE_ENUM:
        if (!parse_text(p, at, json, &text))
            return false;
        if (rpc_text_to_enum(f->descriptor, text, value))
            return true;
        write_place(p->problem, at);
        rpc_write_expected_enum(f->descriptor, p->problem);
        return false;
    case PROTOBUF_C_TYPE_STRING:
        if (!parse_text(p, at, json, &text))
            return false;
        *(char **)value = str_arena(p->arena, text);
        return true;
    case PROTOBUF_C_TYPE_BYTES:
        return parse_bytes(p, at, json, value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return parse_submessage(p, at, json, f, value);
    default:
        return parse_integer(p, at, json, f, value);
    }
}

static bool parse_repeated(struct parser *p, const struct place *at, json_t *json,
                           const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
    if (!json_is_array(json))
        return refuse(p, at, "expected a list");
    size_t count = json_array_size(json);
    size_t size = rpc_field_size(f->type);
    if (count == 0)
        return true;
    uint8_t *items = arena_alloc_array(p->arena, count, size);
    *(uint8_t **)rpc_member(m, f->offset) = items;
    *(size_t *)rpc_member(m, f->quantifier_offset) = count;
    for (size_t i = 0; i < count; i++) {
        struct place element = {.up = at, .index = i};
        if (!parse_value(p, &element, json_array_get(json, i), f, items + i * size))
            return false;
    }
    return true;
}

static bool parse_field(struct parser *p, const struct place *at, json_t *json,
                        const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return parse_repeated(p, at, json, f, m);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t *chosen = rpc_member(m, f->quantifier_offset);
        if (*chosen != 0)
            return refuse(p, at, "excludes another field that is also given");
        *chosen = f->id;
    }
    return parse_value(p, at, json, f, rpc_member(m, f->offset));
}

static bool parse_message(struct parser *p, const struct place *at, json_t *json,
                          ProtobufCMessage *m)
{
    if (!json_is_object(json))
        return refuse(p, at, "expected an object");
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        struct place here = {.up = at, .name = key};
        const ProtobufCFieldDescriptor *f = rpc_field_find(m->descriptor, str_from(key));
        if (!f)
            return refuse(p, &here, "unknown field");
        if (!parse_field(p, &here, value, f, m))
            return false;
    }
    return true;
}

/* Counted before jansson sees it: its parser recurses, and its own limit is 2,048. */
static bool is_shallow(struct str json)
{
    int depth = 0;
    bool is_text = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (is_text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                is_text = false;
        } else if (c == '"') {
            is_text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

static json_t *load(struct str json, struct strbuf *problem)
{
    json_error_t error;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *tree = json_loadb(json.p, json.n, flags, &error);
    /* A number too big for 64 bits: as a real it gets as far as its field, which names itself. */
    if (!tree && json_error_code(&error) == json_error_numeric_overflow)
        tree = json_loadb(json.p, json.n, flags | JSON_DECODE_INT_AS_REAL, &error);
    if (!tree)
        strbuf_printf(problem, "not valid JSON: %s (line %d)", error.text, error.line);
    return tree;
}

ProtobufCMessage *rpc_json_parse(const ProtobufCMessageDescriptor *descriptor, struct str json,
                                 struct arena *arena, struct strbuf *problem)
{
    if (!is_shallow(json)) {
        strbuf_printf(problem, "not valid JSON: nested deeper than %d", DEPTH_MAX);
        return NULL;
    }
    json_t *tree = load(json, problem);
    if (!tree)
        return NULL;
    struct parser parser = {arena, problem};
    ProtobufCMessage *m = rpc_message_create(descriptor, arena);
    bool is_ok = parse_message(&parser, NULL, tree, m);
    json_decref(tree);
    return is_ok ? m : NULL;
}

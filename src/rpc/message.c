/*
 * message: what protobuf-c lacks, over descriptors: a deep copy into an arena, and unpacking of
 * bytes from outside with bounded memory and checked texts (protobuf-c takes any bytes for a string
 * and would cut it at an embedded NUL).
 */
#include "core/cursor.h"
#include "core/str.h"
#include "rpc/rpc_internal.h"

#define DEPTH_MAX 32

size_t rpc_field_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    }
    return 0;
}

ProtobufCMessage *rpc_message_create(const ProtobufCMessageDescriptor *descriptor,
                                     struct arena *arena)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    return message;
}

const ProtobufCFieldDescriptor *rpc_field_find(const ProtobufCMessageDescriptor *descriptor,
                                               struct str name)
{
    unsigned from = 0, to = descriptor->n_fields;
    while (from < to) {
        unsigned mid = (from + to) / 2;
        const ProtobufCFieldDescriptor *f =
            &descriptor->fields[descriptor->fields_sorted_by_name[mid]];
        int order = strncmp(name.p, f->name, name.n);
        if (order == 0 && f->name[name.n] != '\0')
            order = -1;
        if (order == 0)
            return f;
        if (order < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return NULL;
}

/* ---- copying ---- */

/* protobuf-c takes an optional text for unset when it points to its own empty string, so an empty
 * text of one's own must stay one's own. */
static void copy_value(struct arena *arena, ProtobufCType type, void *value)
{
    if (type == PROTOBUF_C_TYPE_STRING) {
        char **text = value;
        if (!*text)
            *text = (char *)(uintptr_t)protobuf_c_empty_string;
        else if (*text != protobuf_c_empty_string)
            *text = arena_strdup(arena, *text);
    } else if (type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData *bytes = value;
        if (bytes->data)
            bytes->data = arena_memdup(arena, bytes->data, bytes->len);
    } else if (type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage **message = value;
        *message = *message ? rpc_message_copy(arena, *message) : NULL;
    }
}

static void copy_repeated(struct arena *arena, ProtobufCMessage *m,
                          const ProtobufCFieldDescriptor *f)
{
    size_t count = *(size_t *)rpc_member(m, f->quantifier_offset);
    uint8_t **items = rpc_member(m, f->offset);
    size_t size = rpc_field_size(f->type);
    if (count == 0) {
        *items = NULL;
        return;
    }
    *items = arena_memdup(arena, *items, count * size);
    for (size_t i = 0; i < count; i++)
        copy_value(arena, f->type, *items + i * size);
}

ProtobufCMessage *rpc_message_copy(struct arena *arena, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *d = message->descriptor;
    ProtobufCMessage *copy = arena_memdup(arena, message, d->sizeof_message);
    copy->n_unknown_fields = 0;
    copy->unknown_fields = NULL;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            copy_repeated(arena, copy, f);
        else if (rpc_field_is_chosen(copy, f))
            copy_value(arena, f->type, rpc_member(copy, f->offset));
    }
    return copy;
}

/* ---- unpacking ---- */

static uint64_t wire_varint(struct cursor *c)
{
    uint64_t value = cursor_u8(c);
    if (!(value & 0x80)) /* most: tags, and lengths of short texts */
        return value;
    value &= 0x7f;
    for (unsigned shift = 7; shift < 70; shift += 7) {
        uint8_t byte = cursor_u8(c);
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (!(byte & 0x80))
            return value;
    }
    c->bad = true;
    return 0;
}

/* Fields lie in the order of their numbers, mostly 1, 2, 3: found without searching. */
static const ProtobufCFieldDescriptor *wire_field(const ProtobufCMessageDescriptor *d,
                                                  uint64_t number)
{
    if (number - 1 < d->n_fields && d->fields[number - 1].id == number)
        return &d->fields[number - 1];
    return protobuf_c_message_descriptor_get_field(d, (unsigned)number);
}

static bool wire_is_sound(const ProtobufCMessageDescriptor *d, struct cursor c, int depth);

static bool wire_bytes_are_sound(const ProtobufCFieldDescriptor *f, struct cursor c, int depth)
{
    if (f && f->type == PROTOBUF_C_TYPE_STRING)
        return str_is_utf8((struct str){(const char *)c.p, cursor_left(&c)});
    if (f && f->type == PROTOBUF_C_TYPE_MESSAGE)
        return wire_is_sound(f->descriptor, c, depth + 1);
    return true;
}

/* Protocol Buffers encoding: tag = field number << 3 | wire type. Groups (3, 4) are no more. */
static bool wire_is_sound(const ProtobufCMessageDescriptor *d, struct cursor c, int depth)
{
    if (depth > DEPTH_MAX)
        return false;
    while (cursor_left(&c) && !c.bad) {
        uint64_t tag = wire_varint(&c);
        const ProtobufCFieldDescriptor *f = wire_field(d, tag >> 3);
        switch (tag & 7) {
        case 0:
            wire_varint(&c);
            break;
        case 1:
            cursor_skip(&c, 8);
            break;
        case 2: {
            uint64_t n = wire_varint(&c);
            struct cursor inner = cursor_sub(&c, n <= SIZE_MAX ? (size_t)n : SIZE_MAX);
            if (c.bad || !wire_bytes_are_sound(f, inner, depth))
                return false;
            break;
        }
        case 5:
            cursor_skip(&c, 4);
            break;
        default:
            return false;
        }
    }
    return !c.bad;
}

ProtobufCMessage *rpc_message_unpack(const ProtobufCMessageDescriptor *descriptor,
                                     struct arena *arena, const void *bytes, size_t n)
{
    if (!wire_is_sound(descriptor, cursor_of(bytes, n), 0))
        return NULL;
    ProtobufCAllocator *allocator = arena_protobuf(arena, 65536 + 64 * n);
    return protobuf_c_message_unpack(descriptor, allocator, n, bytes);
}

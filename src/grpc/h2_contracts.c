/*
 * h2_contracts: descriptors are protobuf messages themselves; of each only names are looked at. The
 * field numbers are those of google/protobuf/descriptor.proto.
 */
#include "grpc/h2_contracts.h"

#include <stdlib.h>

#include "core/cursor.h"
#include "core/map.h"
#include "core/mem.h"

#define FILES_MAX 256
#define DEPENDENCIES_MAX 32
#define DEPTH_MAX 16

struct file {
    struct str bytes;
    struct str dependencies[DEPENDENCIES_MAX];
    size_t dependency_count;
};

struct h2_contracts {
    struct file *files;
    size_t count;
    struct map *by_name;
    struct map *by_symbol;
    bool is_bad;
};

/* ---- the wire ---- */

static uint64_t varint(struct cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    c->bad = true;
    return 0;
}

/* The next field that is bytes or text: its number and value; 0 at the end. */
static unsigned next_field(struct cursor *c, struct str *value)
{
    while (cursor_left(c) && !c->bad) {
        uint64_t tag = varint(c);
        switch (tag & 7) {
        case 0:
            varint(c);
            break;
        case 1:
            cursor_skip(c, 8);
            break;
        case 5:
            cursor_skip(c, 4);
            break;
        case 2: {
            size_t n = (size_t)varint(c);
            const uint8_t *at = cursor_bytes(c, n);
            if (!at)
                return 0;
            *value = (struct str){(const char *)at, n};
            return (unsigned)(tag >> 3);
        }
        default:
            c->bad = true;
        }
    }
    return 0;
}

static struct cursor inside(struct str bytes)
{
    return cursor_of(bytes.p, bytes.n);
}

/* Field 1 of every descriptor is its name. */
static struct str name_of(struct str bytes)
{
    struct str value;
    struct cursor c = inside(bytes);
    for (unsigned field; (field = next_field(&c, &value));)
        if (field == 1)
            return value;
    return STR("");
}

/* ---- symbols ---- */

/* Adds "scope.name" and leaves it in `scope`; returns the scope's former length. */
static size_t enter(struct h2_contracts *it, struct strbuf *scope, struct str bytes, struct file *f)
{
    struct str name = name_of(bytes);
    size_t before = scope->n;
    if (scope->n)
        strbuf_addc(scope, '.');
    strbuf_add(scope, name.p, name.n);
    map_set(it->by_symbol, strbuf_str(scope), f);
    return before;
}

static void leave(struct strbuf *scope, size_t before)
{
    scope->n = before;
}

static void add_service(struct h2_contracts *it, struct strbuf *scope, struct str bytes,
                        struct file *f)
{
    struct str value;
    size_t before = enter(it, scope, bytes, f);
    struct cursor c = inside(bytes);
    for (unsigned field; (field = next_field(&c, &value));)
        if (field == 2) /* method */
            leave(scope, enter(it, scope, value, f));
    leave(scope, before);
}

static void add_message(struct h2_contracts *it, struct strbuf *scope, struct str bytes,
                        struct file *f, int depth)
{
    struct str value;
    size_t before = enter(it, scope, bytes, f);
    struct cursor c = inside(bytes);
    for (unsigned field; depth < DEPTH_MAX && (field = next_field(&c, &value));) {
        if (field == 3) /* nested_type */
            add_message(it, scope, value, f, depth + 1);
        else if (field == 4) /* enum_type */
            leave(scope, enter(it, scope, value, f));
    }
    leave(scope, before);
}

static void add_file(struct h2_contracts *it, struct str bytes)
{
    struct strbuf scope = {0};
    struct str value;
    struct file *f = &it->files[it->count++];
    f->bytes = bytes;
    map_set(it->by_name, name_of(bytes), f);
    struct cursor c = inside(bytes);
    for (unsigned field; (field = next_field(&c, &value));) {
        if (field == 2) /* package: stands before what it holds */
            strbuf_add(&scope, value.p, value.n);
        else if (field == 3 && f->dependency_count < DEPENDENCIES_MAX)
            f->dependencies[f->dependency_count++] = value;
        else if (field == 4) /* message_type */
            add_message(it, &scope, value, f, 0);
        else if (field == 5) /* enum_type */
            leave(&scope, enter(it, &scope, value, f));
        else if (field == 6) /* service */
            add_service(it, &scope, value, f);
    }
    it->is_bad |= c.bad;
    strbuf_deinit(&scope);
}

/* ---- life ---- */

enum err h2_contracts_create(struct h2_contracts **out, const void *bytes, size_t n)
{
    struct h2_contracts *it = mem_new(struct h2_contracts);
    struct cursor c = cursor_of(bytes, n);
    struct str value;
    it->files = mem_calloc(FILES_MAX, sizeof(*it->files));
    it->by_name = map_create();
    it->by_symbol = map_create();
    for (unsigned field; it->count < FILES_MAX && (field = next_field(&c, &value));)
        if (field == 1)
            add_file(it, value);
    *out = it;
    if (!c.bad && !it->is_bad && it->count > 0)
        return ERR_OK;
    h2_contracts_destroy(out);
    return ERR_INVALID_ARGUMENT;
}

void h2_contracts_destroy(struct h2_contracts **contracts)
{
    struct h2_contracts *it = *contracts;
    *contracts = NULL;
    if (!it)
        return;
    map_destroy(&it->by_name);
    map_destroy(&it->by_symbol);
    free(it->files);
    free(it);
}

/* ---- finding ---- */

static void collect(const struct h2_contracts *it, const struct file *f, struct str *out,
                    size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (out[i].p == f->bytes.p)
            return;
    out[(*count)++] = f->bytes;
    for (size_t i = 0; i < f->dependency_count; i++) {
        const struct file *other = map_get(it->by_name, f->dependencies[i]);
        if (other)
            collect(it, other, out, count);
    }
}

static size_t with_dependencies(const struct h2_contracts *it, const struct file *f,
                                struct arena *arena, struct str **out)
{
    size_t count = 0;
    *out = arena_array(arena, struct str, it->count);
    if (f)
        collect(it, f, *out, &count);
    return count;
}

size_t h2_contracts_file(const struct h2_contracts *it, struct str name, struct arena *arena,
                         struct str **out)
{
    return with_dependencies(it, map_get(it->by_name, name), arena, out);
}

size_t h2_contracts_symbol(const struct h2_contracts *it, struct str symbol, struct arena *arena,
                           struct str **out)
{
    return with_dependencies(it, map_get(it->by_symbol, symbol), arena, out);
}

/*
 * h2_wire: see h2_wire.h. What is announced is believed only as it comes: a message of which four
 * gigabytes are announced costs what was sent of it, and is refused at its prefix.
 */
#include "grpc/h2_wire.h"

#include <stdio.h>

#include "core/cursor.h"

/* ---- messages ---- */

static enum err take_prefix(struct h2_deframer *d, struct cursor *c)
{
    while (d->prefix_n < H2_PREFIX_BYTES && cursor_left(c))
        d->prefix[d->prefix_n++] = cursor_u8(c);
    if (d->prefix_n < H2_PREFIX_BYTES)
        return ERR_OK;
    struct cursor prefix = cursor_of(d->prefix, H2_PREFIX_BYTES);
    uint8_t flag = cursor_u8(&prefix);
    d->need = cursor_u32(&prefix);
    if (flag > 1)
        return ERR_INTERNAL;
    if (flag == 1)
        return ERR_UNIMPLEMENTED;
    return d->need > d->max_bytes ? ERR_RESOURCE_EXHAUSTED : ERR_OK;
}

static bool is_waiting_for_prefix(const struct h2_deframer *d)
{
    return d->prefix_n < H2_PREFIX_BYTES;
}

enum err h2_deframe(struct h2_deframer *d, const uint8_t *bytes, size_t n, const bool *gone,
                    h2_message_fn *on_message, void *arg)
{
    struct cursor c = cursor_of(bytes, n);
    for (;;) {
        if (is_waiting_for_prefix(d)) {
            enum err err = d->is_broken ? ERR_INTERNAL : take_prefix(d, &c);
            d->is_broken = err != ERR_OK;
            if (d->is_broken)
                d->prefix_n = 0;
            if (err || is_waiting_for_prefix(d))
                return err;
        }
        size_t take = MIN(cursor_left(&c), d->need - d->partial.n);
        if (d->partial.n + take < d->need) {
            strbuf_add(&d->partial, cursor_bytes(&c, take), take);
            return ERR_OK;
        }
        const uint8_t *message = cursor_bytes(&c, take);
        if (d->partial.n) {
            strbuf_add(&d->partial, message, take);
            message = (const uint8_t *)d->partial.p;
        }
        d->prefix_n = 0;
        on_message(arg, message, d->need);
        if (*gone)
            return ERR_OK;
        strbuf_clear(&d->partial);
    }
}

bool h2_deframer_is_inside(const struct h2_deframer *d)
{
    return d->prefix_n > 0;
}

void h2_deframer_deinit(struct h2_deframer *d)
{
    strbuf_deinit(&d->partial);
}

/* ---- time limits ---- */

bool h2_timeout_parse(struct str text, int64_t *ms)
{
    uint64_t value;
    struct str digits = str_sub(text, 0, text.n ? text.n - 1 : 0);
    if (digits.n < 1 || digits.n > 8 || !str_to_u64(digits, &value))
        return false;
    switch (text.p[text.n - 1]) {
    case 'H':
        *ms = (int64_t)value * 3600000;
        return true;
    case 'M':
        *ms = (int64_t)value * 60000;
        return true;
    case 'S':
        *ms = (int64_t)value * 1000;
        return true;
    case 'm':
        *ms = (int64_t)value;
        return true;
    case 'u':
        *ms = (int64_t)(value + 999) / 1000;
        return true;
    case 'n':
        *ms = (int64_t)(value + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

void h2_timeout_write(int64_t ms, char out[H2_TIMEOUT_SIZE])
{
    const int64_t digits_max = 99999999;
    char digits[H2_TIMEOUT_SIZE], *at = digits + sizeof(digits);
    int64_t value = MAX(ms, (int64_t)1);
    char unit = 'm';
    if (value / 1000 >= digits_max) {
        value = MIN(value / 3600000 + 1, digits_max);
        unit = 'H';
    } else if (value > digits_max) {
        value = (value + 999) / 1000;
        unit = 'S';
    }
    *--at = '\0';
    *--at = unit;
    do /* every call says one: no printf */
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    memcpy(out, at, (size_t)(digits + sizeof(digits) - at));
}

/* ---- reasons ---- */

void h2_percent_write(struct strbuf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c >= ' ' && c <= '~' && c != '%')
            strbuf_addc(out, (char)c);
        else
            strbuf_printf(out, "%%%02X", c);
    }
}

void h2_percent_parse(struct str text, char *out, size_t size)
{
    size_t n = 0;
    size_t i = 0;
    for (; i < text.n && n + 1 < size; i++) {
        uint8_t byte;
        if (text.p[i] == '%' && text.n - i > 2 && str_unhex(str_sub(text, i + 1, 2), &byte, 1)) {
            out[n++] = (char)byte;
            i += 2;
        } else {
            out[n++] = text.p[i];
        }
    }
    bool is_cut = i < text.n; /* perhaps within a character */
    size_t whole = n;
    while (is_cut && whole > 0 && n - whole < 4 && !str_is_utf8((struct str){out, whole}))
        whole--;
    out[str_is_utf8((struct str){out, whole}) ? whole : 0] = '\0';
}

/* ---- results ---- */

enum err h2_status_parse(struct str text)
{
    uint64_t code;
    if (text.n > 2 || !str_to_u64(text, &code) || code > ERR_UNAUTHENTICATED)
        return ERR_UNKNOWN;
    return (enum err)code;
}

enum err h2_status_from_http(int http_status)
{
    switch (http_status) {
    case 400:
        return ERR_INTERNAL;
    case 401:
        return ERR_UNAUTHENTICATED;
    case 403:
        return ERR_PERMISSION_DENIED;
    case 404:
        return ERR_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return ERR_UNAVAILABLE;
    default:
        return ERR_UNKNOWN;
    }
}

/* ---- headers ---- */

/* What stands before each pair: asked for a dozen names a call, so nothing is measured twice. */
struct pair_head {
    uint16_t name_n, value_n; /* H2_METADATA_MAX_BYTES fits */
};

#define METADATA_FIRST_BYTES 512 /* the headers of an ordinary call */

enum err h2_metadata_add(struct h2_metadata *m, struct str name, struct str value)
{
    struct pair_head head = {(uint16_t)name.n, (uint16_t)value.n};
    m->bytes += name.n + value.n + 32;
    if (m->bytes > H2_METADATA_MAX_BYTES)
        return ERR_RESOURCE_EXHAUSTED;
    if (memchr(name.p, '\0', name.n) || (value.n && memchr(value.p, '\0', value.n)))
        return ERR_INVALID_ARGUMENT;
    size_t n = sizeof(head) + name.n + 1 + value.n + 1;
    char *at = strbuf_reserve(&m->text, m->text.n ? n : MAX(n, (size_t)METADATA_FIRST_BYTES));
    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
    memcpy(at, name.p, name.n);
    at[name.n] = '\0';
    at += name.n + 1;
    if (value.n)
        memcpy(at, value.p, value.n);
    at[value.n] = '\0';
    m->text.n += n;
    m->name_sizes |= UINT64_C(1) << name.n % 64;
    return ERR_OK;
}

const char *h2_metadata_find(const struct h2_metadata *m, const char *name)
{
    const char *end = m->text.p + m->text.n;
    size_t n = strlen(name);
    struct pair_head head;
    if (!(m->name_sizes >> n % 64 & 1)) /* most that are asked for are not there */
        return NULL;
    for (const char *at = m->text.p; at < end; at += head.name_n + 1 + head.value_n + 1) {
        memcpy(&head, at, sizeof(head));
        at += sizeof(head);
        if (head.name_n == n && memcmp(at, name, n) == 0)
            return at + n + 1;
    }
    return NULL;
}

void h2_metadata_deinit(struct h2_metadata *m)
{
    strbuf_deinit(&m->text);
    m->bytes = 0;
    m->name_sizes = 0;
}

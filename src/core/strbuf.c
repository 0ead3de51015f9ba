/*
 * strbuf: a growable builder of text, doubling as it grows. It is what every writer of JSON,
 * metrics, log lines and HTML in the house writes into.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/str.h"
#include "core/str_internal.h"

#define FIRST_CAPACITY 64 /* bytes */

char *strbuf_reserve(struct strbuf *b, size_t n)
{
    size_t need;
    if (unlikely(__builtin_add_overflow(b->n, n, &need) || need > SIZE_MAX / 4))
        abort();
    need++; /* NUL */
    if (need > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
        while (capacity < need)
            capacity *= 2;
        b->p = mem_realloc(b->p, capacity);
        b->capacity = capacity;
        b->p[b->n] = '\0';
    }
    return b->p + b->n;
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t n)
{
    char *at = strbuf_reserve(b, n);
    if (n)
        memcpy(at, bytes, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void strbuf_adds(struct strbuf *b, const char *cstr)
{
    strbuf_add(b, cstr, strlen(cstr));
}

void strbuf_addc(struct strbuf *b, char c)
{
    strbuf_add(b, &c, 1);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    strbuf_vprintf(b, fmt, args);
    va_end(args);
}

void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    char *at = strbuf_reserve(b, FIRST_CAPACITY);
    size_t room = b->capacity - b->n;
    int n = vsnprintf(at, room, fmt, args);
    if (n < 0) {
        *at = '\0'; /* an encoding error: add nothing */
    } else {
        if ((size_t)n >= room)
            vsnprintf(strbuf_reserve(b, (size_t)n), (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void strbuf_clear(struct strbuf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = '\0';
}

void strbuf_deinit(struct strbuf *b)
{
    free(b->p);
    *b = (struct strbuf){0};
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void add_json_escape(struct strbuf *b, uint8_t c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2)
        if ((uint8_t)short_forms[i] == c) {
            strbuf_add(b, (char[]){'\\', short_forms[i + 1]}, 2);
            return;
        }
    strbuf_printf(b, "\\u%04x", c);
}

void strbuf_add_json(struct strbuf *b, struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    strbuf_reserve(b, s.n + 2);
    strbuf_addc(b, '"');
    for (size_t i = 0; i < s.n;) {
        size_t run = 0;
        while (i + run < s.n && is_plain(p[i + run]))
            run++;
        if (run) {
            strbuf_add(b, p + i, run);
            i += run;
        } else if (p[i] < 0x80) {
            add_json_escape(b, p[i++]);
        } else {
            int step = str_utf8_step(p + i, s.n - i);
            if (step > 0)
                strbuf_add(b, p + i, (size_t)step);
            else
                strbuf_add(b, "\xef\xbf\xbd", 3); /* U+FFFD */
            i += (size_t)abs(step);
        }
    }
    strbuf_addc(b, '"');
}

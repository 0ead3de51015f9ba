/*
 * str: slices of text. Nothing here allocates except str_dup and str_arena; nothing reads past the
 * length. UTF-8 is judged strictly (RFC 3629): what passes here is safe to store and to show.
 */
#include "core/str.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/mem.h"
#include "core/str_internal.h"

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static char ascii_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_cut(struct str *rest, char sep, struct str *part)
{
    ptrdiff_t at = str_find(*rest, sep);
    if (at < 0) {
        *part = *rest;
        *rest = (struct str){rest->p ? rest->p + rest->n : NULL, 0};
        return false;
    }
    *part = (struct str){rest->p, (size_t)at};
    *rest = (struct str){rest->p + at + 1, rest->n - (size_t)at - 1};
    return true;
}

struct str str_sub(struct str s, size_t from, size_t count)
{
    from = MIN(from, s.n);
    return (struct str){s.p ? s.p + from : NULL, MIN(count, s.n - from)};
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (s.n == 0)
        return false;
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool is_negative = s.n && s.p[0] == '-';
    uint64_t magnitude;
    if (!str_to_u64(is_negative ? str_sub(s, 1, s.n) : s, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    *out = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

char *str_dup(struct str s)
{
    char *copy = mem_alloc(s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

char *str_arena(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    return copy;
}

static bool is_tail(uint8_t b)
{
    return (b & 0xc0) == 0x80;
}

/*
 * RFC 3629 section 4, as a table of what may follow the first byte. The second byte alone decides
 * about overlong forms, surrogates and the upper bound.
 */
int str_utf8_step(const uint8_t *p, size_t n)
{
    uint8_t b = p[0], low = 0x80, high = 0xbf;
    int need;
    if (b < 0x80)
        return 1;
    if (b < 0xc2 || b > 0xf4)
        return -1;
    need = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    if (b == 0xe0)
        low = 0xa0; /* shorter would do */
    else if (b == 0xed)
        high = 0x9f; /* U+D800..DFFF */
    else if (b == 0xf0)
        low = 0x90;
    else if (b == 0xf4)
        high = 0x8f; /* beyond U+10FFFF */
    if (n < 2 || p[1] < low || p[1] > high)
        return -1;
    for (int i = 2; i < need; i++)
        if ((size_t)i >= n || !is_tail(p[i]))
            return -i; /* a maximal well-begun part counts as one error */
    return need;
}

/* Eight bytes of ASCII, no NUL among them: what most text is, judged in one step. */
static bool is_ascii_8(const uint8_t *p)
{
    uint64_t bytes;
    memcpy(&bytes, p, sizeof(bytes));
    uint64_t is_zero = (bytes - UINT64_C(0x0101010101010101)) & ~bytes;
    return ((bytes | is_zero) & UINT64_C(0x8080808080808080)) == 0;
}

bool str_is_utf8(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.n;) {
        if (s.n - i >= 8 && is_ascii_8(p + i)) {
            i += 8;
            continue;
        }
        if (s.n - i < 8 && s.n >= 8 && is_ascii_8(p + s.n - 8))
            return true; /* the last few, together with some that were seen */
        int step = str_utf8_step(p + i, s.n - i);
        if (step < 0 || p[i] == 0)
            return false;
        i += (size_t)step;
    }
    return true;
}

size_t str_utf8_count(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++)
        count += !is_tail((uint8_t)s.p[i]);
    return count;
}

/* Eight bytes at a time; the barrier keeps the optimiser from leaving the loop early. */
bool str_eq_secret(struct str a, struct str b)
{
    uint64_t difference = 0;
    if (a.n != b.n)
        return false;
    size_t i = 0;
    for (; i + 8 <= a.n; i += 8) {
        uint64_t x, y;
        memcpy(&x, a.p + i, 8);
        memcpy(&y, b.p + i, 8);
        difference |= x ^ y;
        __asm__("" : "+r"(difference));
    }
    for (; i < a.n; i++) {
        difference |= (uint8_t)(a.p[i] ^ b.p[i]);
        __asm__("" : "+r"(difference));
    }
    return difference == 0;
}

void str_hex(char *out, const void *bytes, size_t n)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[b[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[b[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_unhex(struct str hex, uint8_t *out, size_t n)
{
    if (hex.n % 2 || hex.n / 2 != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

size_t str_base64_size(size_t n)
{
    return (n * 4 + 2) / 3 + 1;
}

void str_base64url(char *out, const void *bytes, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *b = bytes;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | b[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = alphabet[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = alphabet[bits << (6 - held) & 63];
    *out = '\0';
}

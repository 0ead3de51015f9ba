/*
 * id: randomness from the kernel, and the names made of it. No generator of our own stands in
 * between: an id costs one getrandom(2), and whoever sees a million of them learns nothing about
 * the next.
 */
#include "core/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/clock.h"

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_random(void *out, size_t n)
{
    uint8_t *p = out;
    while (n) {
        ssize_t got = getrandom(p, MIN(n, (size_t)256), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* without randomness nothing we hand out would be safe */
        p += got;
        n -= (size_t)got;
    }
}

uint32_t id_random_u32(void)
{
    uint32_t v;
    id_random(&v, sizeof(v));
    return v;
}

void id_make(char out[ID_SIZE])
{
    uint8_t bytes[16];
    uint64_t ms = (uint64_t)clock_wall_ms();
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    id_random(bytes + 6, 10);
    /* 128 bits as 26 digits of 5 bits; the first digit carries only the top 3. */
    uint32_t bits = 0;
    unsigned held = 2; /* two leading zero bits */
    char *p = out;
    for (int i = 0; i < 16; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 5; held -= 5)
            *p++ = crockford[bits >> (held - 5) & 31];
    }
    *p = '\0';
}

static bool is_id(struct str text)
{
    if (text.n != ID_SIZE - 1)
        return false;
    if (text.p[0] < '0' || text.p[0] > '7') /* more would be beyond 128 bits */
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i], upper = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
        if (!memchr(crockford, upper, sizeof(crockford) - 1))
            return false;
    }
    return true;
}

bool id_is_valid(const char *text)
{
    return text && is_id((struct str){text, strnlen(text, ID_SIZE)});
}

bool id_read(char out[ID_SIZE], struct str text)
{
    bool is = is_id(text);
    if (is)
        memcpy(out, text.p, text.n);
    out[is ? text.n : 0] = '\0';
    return is;
}

void id_token(char *out, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[64];
    for (size_t i = 0; i < n; i++) {
        if (i % sizeof(bytes) == 0)
            id_random(bytes, MIN(sizeof(bytes), n - i));
        out[i] = alphabet[bytes[i % sizeof(bytes)] & 63]; /* 64 letters: no bias */
    }
    out[n] = '\0';
}

void id_code(char out[ID_CODE_SIZE])
{
    static const char letters[] = "bcdfghjkmnpqrstvwxz";
    enum { COUNT = sizeof(letters) - 1, LIMIT = 256 / COUNT * COUNT };
    uint8_t bytes[32];
    size_t at = sizeof(bytes);
    for (int i = 0; i < ID_CODE_SIZE - 1;) {
        if (i == 3 || i == 8) {
            out[i++] = '-';
            continue;
        }
        if (at == sizeof(bytes)) {
            id_random(bytes, sizeof(bytes));
            at = 0;
        }
        uint8_t b = bytes[at++];
        if (b < LIMIT) /* above, some letters would come more often */
            out[i++] = letters[b % COUNT];
    }
    out[ID_CODE_SIZE - 1] = '\0';
}

/*
 * fingerprint: "sha-256 AB:CD:..." between text and bytes. Hashes that no longer bind (MD5, SHA-1)
 * are as good as none and are refused, whatever the peer would like.
 */
#include "sfu/wire/fingerprint.h"

static const struct {
    struct str name;
    enum fingerprint_hash hash;
    uint8_t n;
} HASHES[] = {
    {{"sha-256", 7}, FINGERPRINT_SHA256, 32},
    {{"sha-384", 7}, FINGERPRINT_SHA384, 48},
    {{"sha-512", 7}, FINGERPRINT_SHA512, 64},
};

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool fingerprint_parse(struct str text, struct fingerprint *out)
{
    *out = (struct fingerprint){0};
    struct str rest = str_trim(text), name;
    if (!str_cut(&rest, ' ', &name))
        return false;
    rest = str_trim(rest);
    struct fingerprint f = {0};
    for (size_t i = 0; i < ARRAY_LEN(HASHES); i++)
        if (str_eq_nocase(name, HASHES[i].name))
            f.hash = HASHES[i].hash, f.n = HASHES[i].n;
    if (f.hash == FINGERPRINT_NONE || rest.n != (size_t)f.n * 3 - 1)
        return false;
    for (size_t i = 0; i < f.n; i++) {
        int high = nibble(rest.p[i * 3]), low = nibble(rest.p[i * 3 + 1]);
        if (high < 0 || low < 0 || (i + 1 < f.n && rest.p[i * 3 + 2] != ':'))
            return false;
        f.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = f;
    return true;
}

void fingerprint_text(const struct fingerprint *f, char out[FINGERPRINT_TEXT_SIZE])
{
    static const char DIGITS[] = "0123456789ABCDEF";
    char *at = out;
    *out = 0;
    for (size_t h = 0; h < ARRAY_LEN(HASHES); h++) {
        if (HASHES[h].hash != f->hash)
            continue;
        for (size_t i = 0; i < HASHES[h].name.n; i++)
            *at++ = HASHES[h].name.p[i];
        for (size_t i = 0; i < HASHES[h].n; i++) {
            *at++ = i ? ':' : ' ';
            *at++ = DIGITS[f->bytes[i] >> 4];
            *at++ = DIGITS[f->bytes[i] & 15];
        }
        *at = 0;
    }
}

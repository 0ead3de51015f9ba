/*
 * siphash: SipHash-1-3 (Aumasson, Bernstein 2012; the reduced-round form that Rust and Python use
 * for tables). Whoever does not know the key cannot aim collisions at our tables.
 */
#include "core/siphash_internal.h"

#include <string.h>

static inline uint64_t rotl(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static inline void sip_init(uint64_t v[4], const uint64_t key[2])
{
    v[0] = key[0] ^ 0x736f6d6570736575;
    v[1] = key[1] ^ 0x646f72616e646f6d;
    v[2] = key[0] ^ 0x6c7967656e657261;
    v[3] = key[1] ^ 0x7465646279746573;
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap64(v);
}

static inline uint64_t sip_finish(uint64_t v[4], unsigned rounds)
{
    v[2] ^= 0xff;
    for (unsigned i = 0; i < rounds; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline void sip_word(uint64_t v[4], uint64_t word, unsigned rounds)
{
    v[3] ^= word;
    for (unsigned i = 0; i < rounds; i++)
        sip_round(v);
    v[0] ^= word;
}

static inline uint64_t sip_hash(const uint64_t key[2], const void *bytes, size_t n, unsigned c,
                                unsigned d)
{
    const uint8_t *p = bytes;
    uint64_t v[4], last = (uint64_t)n << 56;
    sip_init(v, key);
    for (size_t i = 0; i + 8 <= n; i += 8)
        sip_word(v, load_le64(p + i), c);
    for (size_t i = n & ~(size_t)7; i < n; i++)
        last |= (uint64_t)p[i] << (8 * (i & 7));
    sip_word(v, last, c);
    return sip_finish(v, d);
}

uint64_t siphash_1_3(const uint64_t key[2], const void *bytes, size_t n)
{
    return sip_hash(key, bytes, n, 1, 3);
}

uint64_t siphash_2_4(const uint64_t key[2], const void *bytes, size_t n)
{
    return sip_hash(key, bytes, n, 2, 4);
}

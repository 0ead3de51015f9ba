/*
 * stun: reads Binding messages (RFC 8489). The message comes from anyone on the Internet, so the
 * order of trust is: shape and FINGERPRINT here, then the caller finds a password by USERNAME, then
 * stun_is_authentic; what stands behind MESSAGE-INTEGRITY is never looked at.
 *
 *   |0 0| type (14) | length (16) | cookie (32) | transaction (96) | attributes: type, length,
 * value
 */
#include "sfu/wire/stun_internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zlib.h>

bool stun_is_message(const void *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    uint16_t type = cursor_u16(&c), length = cursor_u16(&c);
    uint32_t cookie = cursor_u32(&c);
    return !c.bad && type < 0x4000 && cookie == STUN_COOKIE && n % 4 == 0 &&
           n == (size_t)length + STUN_HEADER_BYTES;
}

uint32_t stun_fingerprint(const uint8_t *bytes, size_t offset)
{
    return (uint32_t)crc32(0, bytes, (uInt)offset) ^ STUN_FINGERPRINT_XOR;
}

bool stun_integrity(const uint8_t *bytes, size_t offset, struct str password,
                    uint8_t out[STUN_INTEGRITY_BYTES])
{
    uint8_t copy[STUN_MAX_BYTES] __attribute__((uninitialized));
    struct writer w = writer_of(copy, sizeof(copy));
    size_t length = offset + 4 + STUN_INTEGRITY_BYTES - STUN_HEADER_BYTES;
    writer_bytes(&w, bytes, 2);
    writer_u16(&w, (uint16_t)length);
    writer_bytes(&w, bytes + 4, offset - 4);
    unsigned size = 0;
    return !w.bad &&
           HMAC(EVP_sha1(), password.n ? password.p : "", (int)password.n, copy, offset, out,
                &size) &&
           size == STUN_INTEGRITY_BYTES;
}

bool stun_is_authentic(const struct stun_message *m, struct str password)
{
    uint8_t expected[STUN_INTEGRITY_BYTES];
    if (!m->integrity_offset || !stun_integrity(m->bytes, m->integrity_offset, password, expected))
        return false;
    return CRYPTO_memcmp(expected, m->bytes + m->integrity_offset + 4, sizeof(expected)) == 0;
}

bool stun_split_username(const struct stun_message *m, struct str *local, struct str *remote)
{
    *remote = m->username;
    return m->username.p && str_cut(remote, ':', local) && local->n && remote->n;
}

/* XOR-MAPPED-ADDRESS (RFC 8489 section 14.2); the IPv6 mask is cookie and transaction. */
static void parse_mapped(struct stun_message *m, struct cursor value)
{
    cursor_skip(&value, 1);
    uint8_t family = cursor_u8(&value);
    struct sfu_address a = {.family = family == 1 ? 4 : 6};
    a.port = cursor_u16(&value) ^ (uint16_t)(STUN_COOKIE >> 16);
    size_t n = a.family == 4 ? 4 : 16;
    const uint8_t *ip = cursor_bytes(&value, n);
    const uint8_t *mask = m->bytes + 4;
    for (size_t i = 0; ip && i < n; i++)
        a.ip[i] = ip[i] ^ mask[i];
    if (!value.bad && !cursor_left(&value) && (family == 1 || family == 2))
        m->mapped = a;
}

static void parse_error_code(struct stun_message *m, struct cursor value)
{
    cursor_skip(&value, 2);
    uint8_t class = cursor_u8(&value) & 7, number = cursor_u8(&value);
    if (!value.bad && number < 100)
        m->error_code = (uint16_t)(class * 100 + number);
}

/* One attribute in front of MESSAGE-INTEGRITY. False: of a length that its type cannot have. Of
 * several of one type only the first counts. */
static bool parse_attribute(struct stun_message *m, uint16_t type, struct cursor value)
{
    size_t n = cursor_left(&value);
    switch (type) {
    case STUN_USERNAME:
        if (!m->username.p)
            m->username = (struct str){(const char *)value.p, n};
        return n <= 513;
    case STUN_PRIORITY:
        if (!m->has_priority)
            m->priority = cursor_u32(&value);
        m->has_priority = true;
        return n == 4;
    case STUN_USE_CANDIDATE:
        m->has_use_candidate = true;
        return n == 0;
    case STUN_NOMINATION:
        if (!m->has_nomination)
            m->nomination = cursor_u32(&value);
        m->has_nomination = true;
        return n == 4;
    case STUN_ICE_CONTROLLED:
    case STUN_ICE_CONTROLLING:
        if (!m->is_controlled && !m->is_controlling)
            m->tie_breaker = cursor_u64(&value);
        *(type == STUN_ICE_CONTROLLED ? &m->is_controlled : &m->is_controlling) = true;
        return n == 8;
    case STUN_XOR_MAPPED_ADDRESS:
        if (!m->mapped.family)
            parse_mapped(m, value);
        return m->mapped.family != 0;
    case STUN_ERROR_CODE:
        if (!m->error_code)
            parse_error_code(m, value);
        return m->error_code != 0;
    case STUN_MAPPED_ADDRESS:
    case STUN_UNKNOWN_ATTRIBUTES:
    case STUN_REALM:
    case STUN_NONCE:
        return true; /* known, of no use here */
    default:
        if (type < 0x8000 && !m->unknown_required)
            m->unknown_required = type;
        return true;
    }
}

static bool parse_attributes(struct stun_message *m, struct cursor *c)
{
    while (cursor_left(c)) {
        size_t offset = (size_t)(c->p - m->bytes);
        uint16_t type = cursor_u16(c), length = cursor_u16(c);
        struct cursor value = cursor_sub(c, length);
        cursor_skip(c, -(size_t)length & 3);
        if (c->bad)
            return false;
        if (type == STUN_FINGERPRINT) {
            m->has_fingerprint = true;
            return length == 4 && !cursor_left(c) &&
                   cursor_u32(&value) == stun_fingerprint(m->bytes, offset);
        }
        if (m->integrity_offset)
            continue;
        if (type == STUN_MESSAGE_INTEGRITY) {
            if (length != STUN_INTEGRITY_BYTES)
                return false;
            m->integrity_offset = offset;
        } else if (!parse_attribute(m, type, value)) {
            return false;
        }
    }
    return true;
}

enum err stun_parse(struct stun_message *out, const void *bytes, size_t n)
{
    *out = (struct stun_message){.bytes = bytes, .n = n};
    if (n > STUN_MAX_BYTES || !stun_is_message(bytes, n))
        return ERR_INVALID_ARGUMENT;
    struct cursor c = cursor_of(bytes, n);
    uint16_t type = cursor_u16(&c);
    /* The class is bits 4 and 8; with them taken out, Binding is 1. */
    if ((type & ~0x0110) != STUN_BINDING)
        return ERR_INVALID_ARGUMENT;
    out->class = (type >> 4 & 1) | (type >> 7 & 2);
    cursor_skip(&c, 6);
    for (size_t i = 0; i < STUN_TRANSACTION_SIZE; i++)
        out->transaction[i] = cursor_u8(&c);
    return parse_attributes(out, &c) ? ERR_OK : ERR_INVALID_ARGUMENT;
}

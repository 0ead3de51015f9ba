/*
 * stun_write: writes Binding requests and answers (RFC 8489). Every message ends in FINGERPRINT;
 * MESSAGE-INTEGRITY stands before it when there is a password. The header's length is set three
 * times: once for each of the two, whose values cover it, and both see it as if they were the last.
 */
#include "sfu/wire/stun_internal.h"

static struct writer begin(uint8_t *out, size_t capacity, enum stun_class class,
                           const uint8_t *transaction)
{
    struct writer w = writer_of(out, MIN(capacity, (size_t)STUN_MAX_BYTES));
    writer_u16(&w, (uint16_t)(STUN_BINDING | (class & 1) << 4 | (class & 2) << 7));
    writer_u16(&w, 0);
    writer_u32(&w, STUN_COOKIE);
    writer_bytes(&w, transaction, STUN_TRANSACTION_SIZE);
    return w;
}

static void write_attribute(struct writer *w, uint16_t type, const void *value, size_t n)
{
    static const uint8_t ZEROS[3];
    writer_u16(w, type);
    writer_u16(w, (uint16_t)n);
    writer_bytes(w, value, n);
    writer_bytes(w, ZEROS, -n & 3);
}

static size_t finish(struct writer *w, struct str password)
{
    if (password.n) {
        uint8_t mac[STUN_INTEGRITY_BYTES];
        if (w->bad || !stun_integrity(w->start, writer_size(w), password, mac))
            return 0;
        write_attribute(w, STUN_MESSAGE_INTEGRITY, mac, sizeof(mac));
    }
    if (w->bad)
        return 0;
    size_t offset = writer_size(w);
    struct writer length = writer_of(w->start + 2, 2);
    writer_u16(&length, (uint16_t)(offset + 8 - STUN_HEADER_BYTES));
    writer_u16(w, STUN_FINGERPRINT);
    writer_u16(w, 4);
    writer_u32(w, stun_fingerprint(w->start, offset));
    return w->bad ? 0 : writer_size(w);
}

size_t stun_write_success(uint8_t *out, size_t capacity,
                          const uint8_t transaction[STUN_TRANSACTION_SIZE],
                          const struct sfu_address *mapped, struct str password)
{
    struct writer w = begin(out, capacity, STUN_SUCCESS, transaction);
    if (w.bad)
        return 0;
    uint8_t value[20];
    struct writer v = writer_of(value, sizeof(value));
    size_t n = mapped->family == 6 ? 16 : 4;
    writer_u8(&v, 0);
    writer_u8(&v, mapped->family == 6 ? 2 : 1);
    writer_u16(&v, mapped->port ^ (uint16_t)(STUN_COOKIE >> 16));
    for (size_t i = 0; i < n; i++)
        writer_u8(&v, mapped->ip[i] ^ w.start[4 + i]);
    write_attribute(&w, STUN_XOR_MAPPED_ADDRESS, value, writer_size(&v));
    return finish(&w, password);
}

static const char *reason_of(uint16_t code)
{
    switch (code) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthenticated";
    case 420:
        return "Unknown Attribute";
    case 487:
        return "Role Conflict";
    default:
        return "";
    }
}

size_t stun_write_error(uint8_t *out, size_t capacity, const struct stun_error_options *opt)
{
    struct writer w = begin(out, capacity, STUN_ERROR, opt->transaction);
    uint8_t value[4 + 24];
    struct writer v = writer_of(value, sizeof(value));
    struct str reason = str_from(reason_of(opt->code));
    writer_u16(&v, 0);
    writer_u8(&v, (uint8_t)(opt->code / 100));
    writer_u8(&v, (uint8_t)(opt->code % 100));
    writer_bytes(&v, reason.p, reason.n);
    write_attribute(&w, STUN_ERROR_CODE, value, writer_size(&v));
    if (opt->unknown_attribute) {
        uint8_t type[2] = {(uint8_t)(opt->unknown_attribute >> 8), (uint8_t)opt->unknown_attribute};
        write_attribute(&w, STUN_UNKNOWN_ATTRIBUTES, type, sizeof(type));
    }
    return finish(&w, opt->password);
}

static void write_number(struct writer *w, uint16_t type, uint64_t v, size_t n)
{
    uint8_t value[8];
    struct writer inner = writer_of(value, sizeof(value));
    writer_u64(&inner, n == 8 ? v : v << 32);
    write_attribute(w, type, value, n);
}

size_t stun_write_request(uint8_t *out, size_t capacity, const struct stun_request_options *opt)
{
    struct writer w = begin(out, capacity, STUN_REQUEST, opt->transaction);
    if (opt->username.n)
        write_attribute(&w, STUN_USERNAME, opt->username.p, opt->username.n);
    if (opt->priority)
        write_number(&w, STUN_PRIORITY, opt->priority, 4);
    write_number(&w, opt->is_controlled ? STUN_ICE_CONTROLLED : STUN_ICE_CONTROLLING,
                 opt->tie_breaker, 8);
    if (opt->has_use_candidate)
        write_attribute(&w, STUN_USE_CANDIDATE, NULL, 0);
    if (opt->nomination)
        write_number(&w, STUN_NOMINATION, opt->nomination, 4);
    return finish(&w, opt->password);
}

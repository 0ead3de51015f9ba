/*
 * stun: Binding requests and answers (RFC 8489) as ICE uses them (RFC 8445). Parsing keeps slices
 * into the caller's bytes; nothing is allocated. Attributes behind MESSAGE-INTEGRITY are ignored,
 * except FINGERPRINT, which must be last and right.
 */
#pragma once

#include "core/cursor.h"
#include "core/err.h"
#include "core/str.h"
#include "sfu/wire/address.h"

#define STUN_TRANSACTION_SIZE 12
#define STUN_MAX_BYTES 1500   /* longer messages are refused */
#define STUN_RESPONSE_MAX 128 /* every answer we write fits */
#define STUN_BINDING 1        /* the only method */

enum stun_class {
    STUN_REQUEST = 0,
    STUN_INDICATION = 1,
    STUN_SUCCESS = 2,
    STUN_ERROR = 3,
};

struct stun_message {
    enum stun_class class;
    uint8_t transaction[STUN_TRANSACTION_SIZE];
    struct str username; /* p NULL: absent */
    uint32_t priority;
    uint64_t tie_breaker;
    uint32_t nomination;       /* draft-thatcher-ice-renomination; higher wins */
    uint16_t error_code;       /* of STUN_ERROR */
    uint16_t unknown_required; /* first attribute that we would have to understand; 0: none */
    bool has_priority;
    bool has_use_candidate;
    bool has_nomination;
    bool is_controlled;  /* ICE-CONTROLLED present: the sender thinks it is controlled */
    bool is_controlling; /* ICE-CONTROLLING present */
    bool has_fingerprint;
    struct sfu_address mapped; /* XOR-MAPPED-ADDRESS; family 0: absent */
    /* For stun_is_authentic. */
    const uint8_t *bytes;
    size_t n;
    size_t integrity_offset; /* where the MESSAGE-INTEGRITY attribute begins; 0: absent */
};

/* Is it STUN at all (two zero bits, length, magic cookie)? Reads 20 bytes at most. */
bool stun_is_message(const void *bytes, size_t n);
/* INVALID_ARGUMENT for anything malformed, not Binding, or with a wrong FINGERPRINT. */
MUST_USE enum err stun_parse(struct stun_message *out, const void *bytes, size_t n);
/* USERNAME "local:remote" of a check, seen from its receiver. False when absent or not so formed.
 */
MUST_USE bool stun_split_username(const struct stun_message *m, struct str *local,
                                  struct str *remote);
/* MESSAGE-INTEGRITY is there and was made with this password (constant-time compare). */
MUST_USE bool stun_is_authentic(const struct stun_message *m, struct str password);

/* The writers return the size of the message, or 0 when it does not fit. */

size_t stun_write_success(uint8_t *out, size_t capacity,
                          const uint8_t transaction[STUN_TRANSACTION_SIZE],
                          const struct sfu_address *mapped, struct str password);

struct stun_error_options {
    const uint8_t *transaction;
    uint16_t code;              /* 400, 401, 420 or 487 */
    uint16_t unknown_attribute; /* of 420 */
    struct str password;        /* empty: no MESSAGE-INTEGRITY (400 and 401 of RFC 8489) */
};
size_t stun_write_error(uint8_t *out, size_t capacity, const struct stun_error_options *opt);

/* A check, as a full agent sends it: for the load generator and for tests. */
struct stun_request_options {
    const uint8_t *transaction;
    struct str username; /* "their ufrag:our ufrag" */
    struct str password; /* theirs */
    uint32_t priority;   /* 0: leave the attribute out */
    uint64_t tie_breaker;
    uint32_t nomination; /* 0: none */
    bool is_controlled;  /* write ICE-CONTROLLED instead of ICE-CONTROLLING */
    bool has_use_candidate;
};
size_t stun_write_request(uint8_t *out, size_t capacity, const struct stun_request_options *opt);

/*
 * password: Argon2id, kept from eating the machine. A hash takes tens of milliseconds and tens of
 * megabytes on purpose, so only so many run at once; a bounded number waits, the rest is refused.
 * Worker threads only.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

struct password_hasher;

struct password_options {
    int64_t ops;              /* Argon2 passes; 0: 2 */
    int64_t memory_bytes;     /* 0: 64 MiB */
    unsigned concurrency_max; /* hashes at once; 0: 2 */
    unsigned waiting_max;     /* callers waiting for their turn; 0: 64 */
};

#define PASSWORD_HASH_SIZE 128 /* with NUL; libsodium's form "$argon2id$v=19$..." */

MUST_USE enum err password_create(struct password_hasher **out, const struct password_options *opt);
void password_destroy(struct password_hasher **hasher);

/* ERR_UNAVAILABLE: too many are waiting already. */
MUST_USE enum err password_hash(struct password_hasher *hasher, struct str password,
                                char out[PASSWORD_HASH_SIZE]);
/*
 * hash NULL or "": nobody's password; costs the same and never matches, so an unknown account
 * answers as late as a known one. *is_outdated: matches, but was made at another cost; hash anew.
 */
MUST_USE enum err password_verify(struct password_hasher *hasher, const char *hash,
                                  struct str password, bool *is_match, bool *is_outdated);

/*
 * seal: secrets that the server must be able to read again (keys that requests or webhooks are
 * signed with), kept sealed under a key made of jwt.secret: a copy of the database alone gives none
 * away.
 */
#pragma once

#include "core/arena.h"
#include "core/str.h"

struct seal_key {
    uint8_t bytes[32];
};
/* A key of its own for each purpose, from the server's one secret. */
void seal_key_make(struct str secret, const char *purpose, struct seal_key *out);

#define SEAL_EXTRA 40 /* bytes that sealing adds */
/* Bound to `about` (an id): what is sealed about one opens as nothing else. */
void seal(const struct seal_key *key, const char *about, struct str secret, uint8_t *out);
/* The secret in the arena, n == 0 when it was not sealed by this key about this. */
struct str unseal(const struct seal_key *key, const char *about, const void *sealed, size_t n,
                  struct arena *arena);

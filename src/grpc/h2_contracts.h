/*
 * h2_contracts: what a google.protobuf.FileDescriptorSet holds, found by file and by symbol. The
 * set is our own, made when the program was built; it is walked with care all the same.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct h2_contracts;

/* The bytes must outlive it. INVALID_ARGUMENT: they are no set of descriptors. */
MUST_USE enum err h2_contracts_create(struct h2_contracts **out, const void *bytes, size_t n);
void h2_contracts_destroy(struct h2_contracts **contracts);

/* The file and all that it stands on, each a FileDescriptorProto; count, or 0: there is none. */
size_t h2_contracts_file(const struct h2_contracts *contracts, struct str name, struct arena *arena,
                         struct str **out);
/* The same for the file in which a package's service, method, message or enum stands, by its full
 * name. */
size_t h2_contracts_symbol(const struct h2_contracts *contracts, struct str symbol,
                           struct arena *arena, struct str **out);

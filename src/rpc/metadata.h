/* metadata: what of a call goes beside its message, as headers. */
#pragma once

#include "grpc/h2.h"
#include "grpc/h2_server.h"
#include "rpc/rpc.h"

#define RPC_METADATA_MAX_PAIRS 8

/* Headers for a call; texts live in the arena, or as long as the call. `secret` may be NULL.
 * Returns how many. */
size_t rpc_metadata_write(const struct rpc_call *call, const char *secret, struct arena *arena,
                          struct h2_pair out[RPC_METADATA_MAX_PAIRS]);
/* The other way, into a call that was just made. INVALID_ARGUMENT: an identity that is none. */
MUST_USE enum err rpc_metadata_read(const struct h2_stream *stream, struct rpc_call *call);
/* Whether the client showed this secret. */
bool rpc_metadata_has_secret(const struct h2_stream *stream, const char *secret);

/* "user;ID;SESSION;MEETING;0;EXPIRES;NAME", the name percent-encoded. */
char *rpc_identity_write(const struct identity *who, struct arena *arena);
MUST_USE bool rpc_identity_read(struct str text, struct identity *who);

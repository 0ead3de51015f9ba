/*
 * h2_wire: gRPC's own forms, apart from HTTP/2: messages with five bytes in front, time limits,
 * percent-encoded reasons, headers. Pure functions over bytes of strangers, bounded.
 *
 * Symbols of the room begin with h2_: libgrpc, which the benchmark runs beside us, owns grpc_.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"

#define H2_PREFIX_BYTES 5 /* compressed flag, length in 32 bits, big-endian */

/* Puts messages together from pieces of a stream. Zero value plus `max_bytes` is ready. */
struct h2_deframer {
    uint32_t max_bytes; /* of a message */
    uint32_t need;      /* of the message whose prefix is complete */
    uint8_t prefix[H2_PREFIX_BYTES];
    uint8_t prefix_n;
    bool is_broken;
    struct strbuf partial; /* grows with what came, not with what was announced */
};

typedef void h2_message_fn(void *arg, const uint8_t *bytes, size_t n);
/*
 * Calls on_message for each message that is whole now; bytes are valid during the call. A whole
 * message within `bytes` is not copied. RESOURCE_EXHAUSTED: longer than max_bytes; UNIMPLEMENTED:
 * compressed; INTERNAL: an unknown flag. After an error the deframer takes nothing more. on_message
 * may end the stream that the deframer is part of: it returns then without touching it if `*gone`.
 */
MUST_USE enum err h2_deframe(struct h2_deframer *d, const uint8_t *bytes, size_t n,
                             const bool *gone, h2_message_fn *on_message, void *arg);
/* Whether a message has begun and is not whole. */
bool h2_deframer_is_inside(const struct h2_deframer *d);
void h2_deframer_deinit(struct h2_deframer *d);

/* "100m" and so on: 1 to 8 digits and a unit of H M S m u n. Rounded up to milliseconds. */
MUST_USE bool h2_timeout_parse(struct str text, int64_t *ms);
#define H2_TIMEOUT_SIZE 12
/* Not less than ms; at least 1 ms. */
void h2_timeout_write(int64_t ms, char out[H2_TIMEOUT_SIZE]);

/* What is not printable ASCII, and '%', as %XX. */
void h2_percent_write(struct strbuf *out, struct str text);
/* Bad escapes stand as they are; what is not UTF-8 without NUL then becomes "". Cut to `size`. */
void h2_percent_parse(struct str text, char *out, size_t size);

/* grpc-status; what is no number of 0 to 16 is UNKNOWN. */
enum err h2_status_parse(struct str text);
/* For an answer that is no gRPC: what a proxy or another server meant. */
enum err h2_status_from_http(int http_status);

/* Headers by name, in the order of their coming. Zero value is empty. */
#define H2_METADATA_MAX_BYTES 16384 /* names, values, and 32 for each, as HTTP/2 counts */
struct h2_metadata {
    struct strbuf text; /* their lengths, name NUL value NUL, ... */
    size_t bytes;
    uint64_t name_sizes; /* a bit for each length, modulo 64, that a name has */
};
/* RESOURCE_EXHAUSTED beyond the bound; INVALID_ARGUMENT: a NUL inside. */
MUST_USE enum err h2_metadata_add(struct h2_metadata *m, struct str name, struct str value);
/* The first of this name (lower case), or NULL. */
const char *h2_metadata_find(const struct h2_metadata *m, const char *name);
void h2_metadata_deinit(struct h2_metadata *m);

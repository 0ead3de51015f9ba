/* h2_reflection: grpc.reflection.v1 (and v1alpha): which services there are, and their contracts.
 */
#pragma once

#include "grpc/h2_server.h"

struct h2_reflection;

/* `contracts` is a google.protobuf.FileDescriptorSet that outlives it; names are copied.
 * INVALID_ARGUMENT: it is none. */
MUST_USE enum err h2_reflection_create(struct h2_reflection **out, const void *contracts, size_t n,
                                       const char *const *services, size_t count);
/* After the server that offers it. */
void h2_reflection_destroy(struct h2_reflection **reflection);
#define H2_REFLECTION_SERVICES 2
/* The same under its two names. */
void h2_reflection_services(struct h2_reflection *reflection,
                            struct h2_service out[H2_REFLECTION_SERVICES]);

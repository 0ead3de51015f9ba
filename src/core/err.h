/*
 * err: the one error vocabulary. It mirrors gRPC's canonical status codes, so an error
 * crosses HTTP, gRPC and a C return value without translation tables in between.
 */
#pragma once

#include "core/base.h"

/* XX(NAME, grpc code, http status, default text) */
#define ERR_MAP(XX)                                               \
    XX(OK, 0, 200, "ok")                                          \
    XX(CANCELLED, 1, 499, "cancelled by the caller")              \
    XX(UNKNOWN, 2, 500, "unknown error")                          \
    XX(INVALID_ARGUMENT, 3, 400, "invalid argument")              \
    XX(DEADLINE_EXCEEDED, 4, 504, "took too long")                \
    XX(NOT_FOUND, 5, 404, "not found")                            \
    XX(ALREADY_EXISTS, 6, 409, "already exists")                  \
    XX(PERMISSION_DENIED, 7, 403, "not allowed")                  \
    XX(RESOURCE_EXHAUSTED, 8, 429, "limit reached")               \
    XX(FAILED_PRECONDITION, 9, 409, "not possible in this state") \
    XX(ABORTED, 10, 409, "aborted by a conflict")                 \
    XX(OUT_OF_RANGE, 11, 400, "out of range")                     \
    XX(UNIMPLEMENTED, 12, 501, "not implemented")                 \
    XX(INTERNAL, 13, 500, "internal error")                       \
    XX(UNAVAILABLE, 14, 503, "unavailable, try again")            \
    XX(DATA_LOSS, 15, 500, "data loss")                           \
    XX(UNAUTHENTICATED, 16, 401, "sign in first")

enum err {
#define XX(name, code, http, text) ERR_##name = code,
    ERR_MAP(XX)
#undef XX
};

/* Lower-case name as the API shows it, e.g. "not_found". Never NULL. */
const char *err_name(enum err err);
/* One short English sentence. Never NULL. */
const char *err_text(enum err err);
int err_http_status(enum err err);
/* The inverse of err_name; ERR_UNKNOWN for a name nobody knows. */
enum err err_from_name(const char *name);
/* errno of a failed system call -> our vocabulary (ENOENT -> NOT_FOUND, EAGAIN -> UNAVAILABLE,
 * ...). */
enum err err_from_errno(int error_number);
/* Same for libuv's negative codes. */
enum err err_from_uv(int uv_code);

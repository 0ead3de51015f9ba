/*
 * edge: the public face. A service hands over rows; a row says method, path, RPC, who may call, and limits. The
 * edge authenticates, checks the row's rule, turns path, query and JSON body into the request message,
 * calls the service asynchronously and turns the reply into JSON. The public API is nothing but these rows, and
 * `parlance openapi` prints them, so API and document cannot drift.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/err.h"
#include "core/loop.h"
#include "net/http.h"
#include "rpc/rpc.h"

struct edge;

/* Deny by default: a row without a rule (EDGE_WHO_UNSET) is refused at start. */
enum edge_who {
    EDGE_WHO_UNSET,
    EDGE_WHO_ANYONE, /* signed in or not; a token, if given, must be valid */
    EDGE_WHO_GUEST,  /* guests, users, administrators */
    EDGE_WHO_USER,   /* users, administrators */
    EDGE_WHO_ADMIN,
};

enum edge_flags {
    EDGE_COOKIE_SET = 1 << 0,   /* reply is auth.LoginReply: sets the refresh and CSRF cookies */
    EDGE_COOKIE_USE = 1 << 1,   /* the refresh cookie may stand in for the token field; then X-CSRF-Token is checked */
    EDGE_COOKIE_CLEAR = 1 << 2, /* sign-out: clears the cookies */
    EDGE_RAW_BODY = 1 << 3,     /* the body's bytes go into the bytes field named by raw_field */
    EDGE_RAW_REPLY = 1 << 4,    /* reply has content_type and body/image bytes: sent as they are */
};

struct edge_route {
    const char *method; /* "GET" */
    const char *path;   /* "/api/v1/meetings/:id/join"; :names fill fields of the request */
    const char *rpc;    /* method of the service's contract: "JoinMeeting" */
    enum edge_who who;
    int ok_status;         /* 0: 200 */
    size_t body_max_bytes; /* 0: 64 KiB */
    int rate_per_minute;   /* per user or address; 0: the default (600) */
    unsigned flags;        /* enum edge_flags */
    const char *raw_field; /* EDGE_RAW_BODY */
    bool is_idempotent;    /* GET is anyhow */
    const char *summary;   /* one line for the OpenAPI document */
};

struct edge_route_table {
    const char *tag; /* "meetings": groups rows in the document */
    const ProtobufCServiceDescriptor *service;
    const struct edge_route *routes;
    size_t count;
};

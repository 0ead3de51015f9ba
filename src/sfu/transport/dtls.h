/*
 * dtls: the handshake that gives a peer its SRTP keys (RFC 5764), over OpenSSL without sockets. One
 * certificate (ECDSA P-256) per process. Datagrams go in one at a time and come out through a
 * callback, one call each; time is passed in, and lost flights are sent again by our own timer
 * (100 ms, doubling, at most 4 s), so virtual time works. As server we choose the SRTP profile:
 * GCM-128 first. The peer's certificate is trusted by its fingerprint alone: until that is known
 * and matches there are no keys.
 */
#pragma once

#include "core/err.h"
#include "sfu/transport/srtp.h"
#include "sfu/wire/fingerprint.h"

#define DTLS_MTU_BYTES 1200 /* no datagram of ours is larger */

/* ---- what the whole process shares; read-only after creation, safe for all workers ---- */
struct dtls_context;
MUST_USE enum err dtls_context_create(struct dtls_context **out);
void dtls_context_destroy(struct dtls_context **ctx); /* after all its connections */
/* SHA-256 of our certificate, for a=fingerprint. */
const struct fingerprint *dtls_context_fingerprint(const struct dtls_context *ctx);

/* ---- one connection ---- */
struct dtls;
struct log_scope;

enum dtls_role {
    DTLS_SERVER = 0, /* a=setup:passive */
    DTLS_CLIENT,     /* a=setup:active: load generator and tests */
};

enum dtls_state {
    DTLS_NEW = 0,
    DTLS_HANDSHAKING,
    DTLS_UNVERIFIED, /* done, but the peer's fingerprint is not known yet: no keys */
    DTLS_CONNECTED,
    DTLS_CLOSED, /* close_notify, by either side */
    DTLS_FAILED, /* see dtls_failure */
};

enum dtls_failure {
    DTLS_NO_FAILURE = 0,
    DTLS_BAD_FINGERPRINT, /* the certificate is not the one that signaling named */
    DTLS_NO_PROFILE,      /* no SRTP profile in common */
    DTLS_TIMED_OUT,
    DTLS_PROTOCOL_ERROR,
};

/* One datagram to the peer. Must not call back into this connection. */
typedef void dtls_send_fn(void *arg, const uint8_t *bytes, size_t n);
/* One message of application data (SCTP); bytes are valid during the call. */
typedef void dtls_data_fn(void *arg, const uint8_t *bytes, size_t n);

struct dtls_options {
    struct dtls_context *context;
    enum dtls_role role;
    const struct fingerprint *remote; /* NULL: comes later, dtls_set_remote_fingerprint */
    dtls_send_fn *on_send;
    dtls_data_fn *on_data; /* NULL: application data is dropped */
    void *arg;
    const struct log_scope *log; /* outlives the connection; may be NULL */
    int64_t timeout_us;          /* whole handshake; 0: 30 s */
    /* Profiles to offer or accept, best first, ended by SRTP_PROFILE_NONE; NULL: all, GCM-128
     * first. */
    const enum srtp_profile *profiles;
};

MUST_USE enum err dtls_create(struct dtls **out, const struct dtls_options *opt);
void dtls_destroy(struct dtls **d); /* silent; dtls_close says good-bye */

/* Client: sends the ClientHello. Server: only starts the clock of the handshake. */
enum dtls_state dtls_start(struct dtls *d, int64_t now_us);
/* One datagram from a tuple that passed an ICE check (the caller sees to that). */
enum dtls_state dtls_on_datagram(struct dtls *d, const uint8_t *bytes, size_t n, int64_t now_us);
/* Sends the last flight again when it is due; call when dtls_deadline_us has come. */
enum dtls_state dtls_tick(struct dtls *d, int64_t now_us);
/* When to tick; INT64_MAX: nothing is waited for. */
int64_t dtls_deadline_us(const struct dtls *d);

/* May be called in any state. A mismatch makes the state FAILED. */
enum dtls_state dtls_set_remote_fingerprint(struct dtls *d, const struct fingerprint *f);

enum dtls_state dtls_state(const struct dtls *d);
enum dtls_failure dtls_failure(const struct dtls *d);
const char *dtls_failure_text(enum dtls_failure f);

struct dtls_srtp_keys {
    enum srtp_profile profile;
    struct srtp_key send;
    struct srtp_key recv;
};
/* FAILED_PRECONDITION unless the state is CONNECTED. */
MUST_USE enum err dtls_export_keys(struct dtls *d, struct dtls_srtp_keys *out);

/* Application data, at most DTLS_MTU_BYTES - 64 bytes a message. */
MUST_USE enum err dtls_write(struct dtls *d, const uint8_t *bytes, size_t n);
/* Sends close_notify; the state becomes CLOSED. */
void dtls_close(struct dtls *d);

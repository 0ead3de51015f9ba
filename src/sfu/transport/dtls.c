/*
 * dtls: one connection. OpenSSL does the protocol; this file gives it datagrams through a BIO that
 * keeps their borders, and keeps time for it. OpenSSL's own timer reads the system clock, so it is
 * set to an hour and never fires: instead the datagrams of the last flight are kept and sent again
 * as they are when our timer says so. A receiver drops what it had already, by its record numbers.
 * One case needs help: when our last flight is lost, the peer repeats its own; fresh records
 * OpenSSL answers by itself, repeated ones we answer by sending the last flight again.
 *
 * States: NEW -> HANDSHAKING -> (UNVERIFIED ->) CONNECTED -> CLOSED, and FAILED from the first
 * three.
 */
#include "sfu/transport/dtls_internal.h"

#include <stdlib.h>

#include <openssl/err.h>

#include <openssl/obj_mac.h>

#include "core/cursor.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"

#define RESEND_FIRST_US 100000
#define RESEND_CAP_US 4000000
#define RESEND_ANSWER_US 50000 /* at most so often is a repeated flight answered */
#define TIMEOUT_DEFAULT_US 30000000
#define FLIGHT_MAX_BYTES 16384
#define OPENSSL_TIMER_US 3600000000u
#define CONTENT_CHANGE_CIPHER 20
#define CONTENT_HANDSHAKE 22
#define CONTENT_APPLICATION 23
#define DTLS_MAJOR 0xfe
#define TAG_BYTES 16
#define GCM_NONCE_BYTES 8 /* in front of each record, RFC 5288 */

struct dtls {
    struct dtls_options opt;
    SSL *ssl;
    enum dtls_state state;
    enum dtls_failure failure;
    struct fingerprint remote; /* hash FINGERPRINT_NONE: not known yet */
    const uint8_t *datagram;   /* to be read by the BIO; NULL: none */
    size_t datagram_bytes;
    /* The last flight: each datagram behind its length in two bytes. */
    uint8_t *flight;
    size_t flight_bytes;
    bool is_flight_old;  /* input came since: the next datagram begins a new flight */
    bool has_sent;       /* during the call now running */
    int64_t resend_us;   /* when; INT64_MAX: not */
    int64_t interval_us; /* until the resend after that */
    int64_t give_up_us;
    int64_t answered_us; /* when a repeated flight was answered last */
};

static enum dtls_state set_state(struct dtls *d, enum dtls_state state)
{
    static const char *const NAMES[] = {"new",       "handshaking", "unverified",
                                        "connected", "closed",      "failed"};
    if (state != d->state)
        log_debug(d->opt.log, "dtls: %s -> %s", NAMES[d->state], NAMES[state]);
    d->state = state;
    if (state != DTLS_HANDSHAKING)
        d->resend_us = INT64_MAX;
    if (state >= DTLS_CONNECTED)
        d->give_up_us = INT64_MAX;
    return state;
}

static enum dtls_state fail(struct dtls *d, enum dtls_failure failure)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    if (d->state == DTLS_FAILED)
        return DTLS_FAILED;
    d->failure = failure;
    log_info(d->opt.log, "dtls: %s%s%s", dtls_failure_text(failure), reason ? ": " : "",
             reason ? reason : "");
    return set_state(d, DTLS_FAILED);
}

/* ---- datagrams in and out ---- */

static void record_flight(struct dtls *d, const uint8_t *bytes, size_t n)
{
    if (d->is_flight_old)
        d->flight_bytes = 0;
    d->is_flight_old = false;
    if (n > UINT16_MAX || d->flight_bytes + 2 + n > FLIGHT_MAX_BYTES)
        return; /* cannot be: a flight is one or two kB */
    d->flight = mem_realloc(d->flight, d->flight_bytes + 2 + n);
    uint8_t *at = d->flight + d->flight_bytes;
    at[0] = (uint8_t)(n >> 8);
    at[1] = (uint8_t)n;
    memcpy(at + 2, bytes, n);
    d->flight_bytes += 2 + n;
}

static void send_flight_again(struct dtls *d)
{
    for (size_t at = 0; at < d->flight_bytes;) {
        size_t n = (size_t)d->flight[at] << 8 | d->flight[at + 1];
        d->opt.on_send(d->opt.arg, d->flight + at + 2, n);
        at += 2 + n;
    }
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
    struct dtls *d = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    d->has_sent = true;
    if (d->state == DTLS_HANDSHAKING)
        record_flight(d, (const uint8_t *)bytes, (size_t)n);
    d->opt.on_send(d->opt.arg, (const uint8_t *)bytes, (size_t)n);
    return n;
}

static int bio_read(BIO *bio, char *out, int capacity)
{
    struct dtls *d = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!d->datagram || capacity <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = MIN(d->datagram_bytes, (size_t)capacity); /* what is cut off fails its MAC */
    memcpy(out, d->datagram, n);
    d->datagram = NULL;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return DTLS_MTU_BYTES;
    default:
        return 0;
    }
}

BIO_METHOD *dtls_bio_create(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagram");
    if (m && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* ---- life ---- */

static unsigned never(SSL *ssl, unsigned timer_us)
{
    return OPENSSL_TIMER_US;
}

/* use_srtp: the list in OpenSSL's notation; as server its order decides. */
static bool set_profiles(SSL *ssl, const enum srtp_profile *profiles)
{
    static const enum srtp_profile ALL[] = {SRTP_PROFILE_GCM_128, SRTP_PROFILE_GCM_256,
                                            SRTP_PROFILE_SHA1_80, SRTP_PROFILE_NONE};
    char list[128];
    struct writer w = writer_of(list, sizeof(list) - 1);
    for (const enum srtp_profile *p = profiles ? profiles : ALL; *p != SRTP_PROFILE_NONE; p++) {
        struct str name = str_from(srtp_profile_name(*p));
        if (writer_size(&w))
            writer_u8(&w, ':');
        writer_bytes(&w, name.p, name.n);
    }
    list[writer_size(&w)] = 0;
    return !w.bad && SSL_set_tlsext_use_srtp(ssl, list) == 0; /* sic: 0 is success */
}

static bool init_ssl(struct dtls *d)
{
    d->ssl = SSL_new(d->opt.context->ssl);
    BIO *bio = d->ssl ? BIO_new(d->opt.context->bio) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, d);
    BIO_set_init(bio, 1);
    SSL_set_bio(d->ssl, bio, bio);
    SSL_set_app_data(d->ssl, d);
    SSL_set_mtu(d->ssl, DTLS_MTU_BYTES);
    DTLS_set_timer_cb(d->ssl, never);
    if (d->opt.role == DTLS_CLIENT)
        SSL_set_connect_state(d->ssl);
    else
        SSL_set_accept_state(d->ssl);
    return set_profiles(d->ssl, d->opt.profiles);
}

enum err dtls_create(struct dtls **out, const struct dtls_options *opt)
{
    struct dtls *d = mem_new(struct dtls);
    d->opt = *opt;
    d->opt.remote = NULL; /* copied, the pointer is the caller's */
    if (opt->remote)
        d->remote = *opt->remote;
    if (!d->opt.timeout_us)
        d->opt.timeout_us = TIMEOUT_DEFAULT_US;
    d->resend_us = d->give_up_us = INT64_MAX;
    d->answered_us = INT64_MIN;
    ERR_clear_error();
    bool ok = init_ssl(d);
    if (!ok)
        dtls_destroy(&d);
    *out = d;
    return ok ? ERR_OK : ERR_INTERNAL;
}

void dtls_destroy(struct dtls **d)
{
    if (!*d)
        return;
    SSL_free((*d)->ssl); /* and the BIO */
    free((*d)->flight);
    free(*d);
    *d = NULL;
}

/* ---- records ---- */

static size_t least_encrypted_bytes(const struct dtls *d)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(d->ssl);
    bool is_gcm = cipher && SSL_CIPHER_get_cipher_nid(cipher) != NID_chacha20_poly1305;
    return is_gcm ? GCM_NONCE_BYTES + TAG_BYTES : TAG_BYTES;
}

/*
 * Is the datagram a row of whole records (RFC 6347), each encrypted one long enough for its tag?
 * Nothing else is shown to OpenSSL: some versions take note of the number of a record too short to
 * be authentic, and then take the real one for a replay.
 */
static bool has_whole_records(const struct dtls *d, const uint8_t *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    while (!c.bad && cursor_left(&c)) {
        uint8_t type = cursor_u8(&c);
        uint16_t version = cursor_u16(&c);
        uint16_t epoch = cursor_u16(&c);
        cursor_skip(&c, 6); /* its number */
        uint16_t length = cursor_u16(&c);
        cursor_skip(&c, length);
        if (type < CONTENT_CHANGE_CIPHER || type > CONTENT_APPLICATION ||
            version >> 8 != DTLS_MAJOR || length < (epoch ? least_encrypted_bytes(d) : 1))
            return false;
    }
    return !c.bad;
}

/* ---- the handshake ---- */

int dtls_on_certificate(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct dtls *d = SSL_get_app_data(ssl);
    if (d->remote.hash == FINGERPRINT_NONE ||
        dtls_certificate_matches(X509_STORE_CTX_get0_cert(store), &d->remote))
        return 1; /* not known yet: judged in verify() before any key goes out */
    d->failure = DTLS_BAD_FINGERPRINT;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static enum dtls_state verify(struct dtls *d)
{
    if (!SSL_get_selected_srtp_profile(d->ssl))
        return fail(d, DTLS_NO_PROFILE);
    if (d->remote.hash == FINGERPRINT_NONE)
        return set_state(d, DTLS_UNVERIFIED);
    if (!dtls_certificate_matches(SSL_get0_peer_certificate(d->ssl), &d->remote))
        return fail(d, DTLS_BAD_FINGERPRINT);
    return set_state(d, DTLS_CONNECTED);
}

static enum dtls_state handshake(struct dtls *d, int64_t now_us)
{
    if (d->state == DTLS_NEW) {
        d->give_up_us = now_us + d->opt.timeout_us;
        set_state(d, DTLS_HANDSHAKING);
    }
    d->is_flight_old = true;
    d->has_sent = false;
    ERR_clear_error();
    int result = SSL_do_handshake(d->ssl);
    if (result == 1)
        return verify(d);
    if (SSL_get_error(d->ssl, result) != SSL_ERROR_WANT_READ)
        return fail(d, d->failure ? d->failure : DTLS_PROTOCOL_ERROR);
    if (d->has_sent) {
        d->interval_us = RESEND_FIRST_US;
        d->resend_us = now_us + d->interval_us;
    }
    return d->state;
}

/*
 * OpenSSL keeps 33 kB of record buffers, and most connections only ever shake hands. Between calls
 * they are given back; every call after the handshake begins by having them again.
 */
static void have_buffers(struct dtls *d)
{
    ERR_clear_error();
    (void)SSL_alloc_buffers(d->ssl); /* on failure the call that follows fails, too */
}

static void give_buffers_back(struct dtls *d)
{
    (void)SSL_free_buffers(d->ssl); /* refused while anything is pending: they stay */
}

/* Reads records after the handshake: application data, alerts, repeated flights. What is not
 * authentic OpenSSL drops silently, and no bad record ends the connection. */
static enum dtls_state read_records(struct dtls *d, int64_t now_us)
{
    uint8_t data[2048] __attribute__((uninitialized));
    bool is_handshake =
        d->datagram && d->datagram_bytes &&
        (d->datagram[0] == CONTENT_CHANGE_CIPHER || d->datagram[0] == CONTENT_HANDSHAKE);
    size_t n = 0;
    d->has_sent = false;
    have_buffers(d);
    while (SSL_read_ex(d->ssl, data, sizeof(data), &n) == 1)
        if (d->state == DTLS_CONNECTED && d->opt.on_data)
            d->opt.on_data(d->opt.arg, data, n);
    give_buffers_back(d);
    if (SSL_get_shutdown(d->ssl) & SSL_RECEIVED_SHUTDOWN)
        return set_state(d, DTLS_CLOSED);
    /* Only who sent the last flight of the handshake answers: else two ends would echo for ever. */
    if (is_handshake && !d->has_sent && d->opt.role == DTLS_SERVER &&
        now_us - RESEND_ANSWER_US >= d->answered_us) {
        d->answered_us = now_us;
        send_flight_again(d);
    }
    return d->state;
}

enum dtls_state dtls_start(struct dtls *d, int64_t now_us)
{
    if (d->state != DTLS_NEW)
        return d->state;
    return handshake(d, now_us); /* a server finds nothing to read and waits */
}

enum dtls_state dtls_on_datagram(struct dtls *d, const uint8_t *bytes, size_t n, int64_t now_us)
{
    if (d->state >= DTLS_CLOSED || n == 0 || !has_whole_records(d, bytes, n))
        return d->state;
    d->datagram = bytes;
    d->datagram_bytes = n;
    if (d->state == DTLS_NEW || d->state == DTLS_HANDSHAKING)
        (void)handshake(d, now_us);
    if (d->state == DTLS_CONNECTED || d->state == DTLS_UNVERIFIED)
        (void)read_records(d, now_us);
    d->datagram = NULL;
    return d->state;
}

enum dtls_state dtls_tick(struct dtls *d, int64_t now_us)
{
    if (now_us >= d->give_up_us) {
        ERR_clear_error();
        return fail(d, DTLS_TIMED_OUT);
    }
    if (now_us >= d->resend_us) {
        send_flight_again(d);
        d->interval_us = MIN(d->interval_us * 2, RESEND_CAP_US);
        d->resend_us = now_us + d->interval_us;
    }
    return d->state;
}

int64_t dtls_deadline_us(const struct dtls *d)
{
    return MIN(d->resend_us, d->give_up_us);
}

enum dtls_state dtls_set_remote_fingerprint(struct dtls *d, const struct fingerprint *f)
{
    d->remote = *f;
    ERR_clear_error();
    if (d->state == DTLS_UNVERIFIED || d->state == DTLS_CONNECTED)
        return verify(d);
    return d->state;
}

/* ---- what it is for ---- */

enum err dtls_export_keys(struct dtls *d, struct dtls_srtp_keys *out)
{
    static const char LABEL[] = "EXTRACTOR-dtls_srtp"; /* RFC 5764 section 4.2 */
    uint8_t block[2 * (32 + 14)];
    if (d->state != DTLS_CONNECTED)
        return ERR_FAILED_PRECONDITION;
    enum srtp_profile profile = (enum srtp_profile)SSL_get_selected_srtp_profile(d->ssl)->id;
    size_t key = srtp_profile_key_bytes(profile), salt = srtp_profile_salt_bytes(profile);
    if (SSL_export_keying_material(d->ssl, block, 2 * (key + salt), LABEL, sizeof(LABEL) - 1, NULL,
                                   0, 0) != 1)
        return ERR_INTERNAL;
    /* client key, server key, client salt, server salt */
    struct srtp_key client = {0}, server = {0};
    memcpy(client.key, block, key);
    memcpy(server.key, block + key, key);
    memcpy(client.salt, block + 2 * key, salt);
    memcpy(server.salt, block + 2 * key + salt, salt);
    bool is_client = d->opt.role == DTLS_CLIENT;
    *out =
        (struct dtls_srtp_keys){profile, is_client ? client : server, is_client ? server : client};
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(&client, sizeof(client));
    OPENSSL_cleanse(&server, sizeof(server));
    return ERR_OK;
}

enum err dtls_write(struct dtls *d, const uint8_t *bytes, size_t n)
{
    if (d->state != DTLS_CONNECTED)
        return ERR_FAILED_PRECONDITION;
    if (n == 0 || n > DTLS_MTU_BYTES - 64)
        return ERR_OUT_OF_RANGE;
    have_buffers(d);
    bool ok = SSL_write(d->ssl, bytes, (int)n) == (int)n;
    give_buffers_back(d);
    return ok ? ERR_OK : ERR_INTERNAL;
}

void dtls_close(struct dtls *d)
{
    if (d->state == DTLS_CONNECTED || d->state == DTLS_UNVERIFIED) {
        have_buffers(d);
        (void)SSL_shutdown(d->ssl);
    }
    if (d->state != DTLS_FAILED)
        set_state(d, DTLS_CLOSED);
}

enum dtls_state dtls_state(const struct dtls *d)
{
    return d->state;
}

enum dtls_failure dtls_failure(const struct dtls *d)
{
    return d->failure;
}

const char *dtls_failure_text(enum dtls_failure f)
{
    static const char *const TEXTS[] = {
        [DTLS_NO_FAILURE] = "no failure",
        [DTLS_BAD_FINGERPRINT] = "the certificate is not the one that signaling named",
        [DTLS_NO_PROFILE] = "no SRTP profile in common",
        [DTLS_TIMED_OUT] = "the handshake took too long",
        [DTLS_PROTOCOL_ERROR] = "the handshake failed",
    };
    return (unsigned)f < ARRAY_LEN(TEXTS) ? TEXTS[f] : "unknown failure";
}

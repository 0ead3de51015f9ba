/*
 * dtls_fuzz: a train of datagrams, each behind its length in two bytes, before a fresh server. A
 * server that nobody finished a handshake with gives no keys, and its datagrams keep to the MTU.
 */
#include <stdlib.h>

#include "core/cursor.h"
#include "core/log.h"
#include "sfu/transport/dtls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_send(void *arg, const uint8_t *bytes, size_t n)
{
    if (n > DTLS_MTU_BYTES)
        abort();
    *(size_t *)arg += n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dtls_context *context;
    struct fingerprint remote = {.hash = FINGERPRINT_SHA256, .n = 32};
    struct dtls_srtp_keys keys;
    struct dtls *d;
    size_t sent = 0;
    log_set_level(LOG_OFF);
    if (!context && dtls_context_create(&context))
        abort();
    struct dtls_options opt = {
        .context = context, .remote = &remote, .on_send = on_send, .arg = &sent};
    if (dtls_create(&d, &opt))
        abort();
    struct cursor c = cursor_of(data, size);
    for (int64_t now_us = 0; cursor_left(&c) > 2; now_us += 10000) {
        size_t n = cursor_u16(&c);
        n = MIN(n, cursor_left(&c));
        const uint8_t *bytes = cursor_bytes(&c, n);
        if (bytes && n)
            (void)dtls_on_datagram(d, bytes, n, now_us);
        (void)dtls_tick(d, now_us);
    }
    if (dtls_export_keys(d, &keys) == ERR_OK)
        abort();
    dtls_destroy(&d);
    return 0;
}

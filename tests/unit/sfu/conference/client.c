/* client: the connection: checks, handshake, datagrams by kind. */
#include "client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "sfu/transport/ice.h"

#define CHECK_FIRST_US 50000
#define CHECK_KEEP_US 2000000

void client_fault(struct client *c, const char *fmt, ...)
{
    va_list args;
    if (c->faults++)
        return;
    va_start(args, fmt);
    vsnprintf(c->fault, sizeof(c->fault), fmt, args);
    va_end(args);
}

static void send_datagram(struct client *c, const uint8_t *bytes, size_t n)
{
    (void)net_send(c->net, &c->up, c->now_us, &c->address, &c->server, bytes, n);
}

static void on_dtls_send(void *arg, const uint8_t *bytes, size_t n)
{
    send_datagram(arg, bytes, n);
}

void client_init(struct client *c, const struct client_options *opt)
{
    *c = (struct client){.net = opt->net,
                         .id = opt->id,
                         .address = opt->address,
                         .server = opt->server,
                         .up = opt->up,
                         .now_us = opt->now_us,
                         .asks_for_missing = true};
    snprintf(c->ufrag, sizeof(c->ufrag), "cl%05u", opt->id % 100000);
    memcpy(c->remote_ufrag, opt->credentials.ufrag, sizeof(c->remote_ufrag));
    memcpy(c->remote_pwd, opt->credentials.pwd, sizeof(c->remote_pwd));
    c->transport_state = mem_zalloc(65536);
    if (dtls_create(&c->dtls, &(struct dtls_options){.context = opt->context,
                                                     .role = DTLS_CLIENT,
                                                     .remote = opt->server_fingerprint,
                                                     .on_send = on_dtls_send,
                                                     .arg = c}))
        abort();
}

void client_deinit(struct client *c)
{
    dtls_destroy(&c->dtls);
    sfu_srtp_tx_destroy(&c->tx);
    sfu_srtp_rx_destroy(&c->rx);
    free(c->transport_state);
    for (unsigned i = 0; i < c->track_count; i++)
        for (unsigned k = 0; k < c->tracks[i].layer_count; k++)
            free(c->tracks[i].layers[k].sent);
    for (unsigned i = 0; i < c->receiver_count; i++)
        free(c->receivers[i].slots);
}

void client_restart(struct client *c, const struct sfu_credentials *credentials)
{
    memcpy(c->remote_ufrag, credentials->ufrag, sizeof(c->remote_ufrag));
    memcpy(c->remote_pwd, credentials->pwd, sizeof(c->remote_pwd));
    c->is_connected_ice = c->is_checking = false;
    c->next_check_us = c->now_us;
}

void client_move(struct client *c, const struct sfu_address *address)
{
    c->address = *address;
    c->is_connected_ice = c->is_checking = false;
    c->next_check_us = c->now_us;
}

/* ---- ICE ---- */

static void send_check(struct client *c)
{
    char username[64];
    uint8_t out[256];
    for (size_t i = 0; i < sizeof(c->transaction) && !c->is_checking; i++)
        c->transaction[i] = (uint8_t)net_random(c->net);
    c->is_checking = true; /* until it is answered: the same check again */
    snprintf(username, sizeof(username), "%s:%s", c->remote_ufrag, c->ufrag);
    size_t n = stun_write_request(out, sizeof(out),
                                  &(struct stun_request_options){
                                      .transaction = c->transaction,
                                      .username = str_from(username),
                                      .password = str_from(c->remote_pwd),
                                      .priority = 0x6e7f00ff,
                                      .tie_breaker = c->id,
                                      .has_use_candidate = true,
                                  });
    send_datagram(c, out, n);
}

static void on_stun(struct client *c, const uint8_t *bytes, size_t n)
{
    struct stun_message m;
    if (stun_parse(&m, bytes, n)) {
        client_fault(c, "malformed STUN from the server");
        return;
    }
    if (m.class != STUN_SUCCESS || memcmp(m.transaction, c->transaction, sizeof(m.transaction)) ||
        !stun_is_authentic(&m, str_from(c->remote_pwd)))
        return;
    if (!sfu_address_eq(&m.mapped, &c->address))
        client_fault(c, "mapped address is not ours");
    c->checks_answered++;
    c->is_checking = false;
    c->is_connected_ice = true;
    if (dtls_state(c->dtls) == DTLS_NEW)
        (void)dtls_start(c->dtls, c->now_us);
}

/* ---- DTLS ---- */

static void take_keys(struct client *c)
{
    struct dtls_srtp_keys keys;
    if (c->is_ready || dtls_state(c->dtls) != DTLS_CONNECTED)
        return;
    if (dtls_export_keys(c->dtls, &keys))
        abort();
    struct sfu_srtp_options tx = {.profile = keys.profile, .key = &keys.send};
    struct sfu_srtp_options rx = {.profile = keys.profile, .key = &keys.recv};
    if (sfu_srtp_tx_create(&c->tx, &tx) || sfu_srtp_rx_create(&c->rx, &rx))
        abort();
    c->is_ready = true;
    c->ready_us = c->now_us;
}

/* ---- datagrams ---- */

static void on_rtcp(struct client *c, const uint8_t *bytes, size_t n)
{
    struct cursor at = cursor_of(bytes, n);
    struct rtcp_packet p;
    while (rtcp_next(&at, &p)) {
        client_publish_rtcp(c, &p);
        client_subscribe_rtcp(c, &p);
    }
    if (at.bad)
        client_fault(c, "malformed RTCP from the server");
}

void client_on_datagram(struct client *c, uint8_t *bytes, size_t n, int64_t now_us)
{
    c->now_us = now_us;
    c->received++;
    switch (sfu_demux(bytes, n)) {
    case SFU_DATAGRAM_STUN:
        on_stun(c, bytes, n);
        break;
    case SFU_DATAGRAM_DTLS:
        (void)dtls_on_datagram(c->dtls, bytes, n, now_us);
        take_keys(c);
        break;
    case SFU_DATAGRAM_RTP: {
        enum err err = c->is_ready ? sfu_srtp_unprotect(c->rx, bytes, &n) : ERR_UNAVAILABLE;
        if (!err)
            client_subscribe_rtp(c, bytes, n);
        else if (err != ERR_ALREADY_EXISTS) /* the network's copies */
            c->undecryptable++;
        break;
    }
    case SFU_DATAGRAM_RTCP: {
        enum err err = c->is_ready ? sfu_srtcp_unprotect(c->rx, bytes, &n) : ERR_UNAVAILABLE;
        if (!err)
            on_rtcp(c, bytes, n);
        else if (err != ERR_ALREADY_EXISTS)
            c->undecryptable++;
        break;
    }
    default:
        client_fault(c, "datagram of no known kind from the server");
    }
}

void client_tick(struct client *c, int64_t now_us)
{
    c->now_us = now_us;
    if (now_us >= c->next_check_us && !c->is_silent) {
        send_check(c);
        c->next_check_us = now_us + (c->is_connected_ice ? CHECK_KEEP_US : CHECK_FIRST_US);
    }
    if (now_us >= dtls_deadline_us(c->dtls))
        (void)dtls_tick(c->dtls, now_us);
    if (!c->is_ready)
        return;
    client_publish_tick(c);
    client_subscribe_tick(c);
}

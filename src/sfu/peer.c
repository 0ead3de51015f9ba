/*
 * peer: one peer connection from its first valid check to its end. ICE says where it is, DTLS gives
 * the keys, and when both have spoken media flows. Nothing that fails authentication changes any of
 * it.
 */
#include "sfu/peer.h"

#include <stdlib.h>

#include "core/mem.h"
#include "sfu/consumer.h"

#define SRTP_STREAMS_MAX 1024 /* SSRCs that a peer may send under, ever */

static void emit(struct peer *p, enum sfu_event_type type)
{
    sfu_emit(p->worker, &(struct sfu_event){.type = type,
                                            .room = p->room,
                                            .peer = p->id,
                                            .failure = dtls_failure(p->dtls),
                                            .srtp_profile = p->profile,
                                            .address = p->to});
}

/* ---- life ---- */

static void on_dtls_send(void *arg, const uint8_t *bytes, size_t n)
{
    struct peer *p = arg;
    const struct sfu_address *to = ice_agent_destination(p->ice);
    if (!to)
        return;
    outgoing_copy(&p->worker->out, to, bytes, n);
    peer_note_sent(p, n);
}

static enum err create_dtls(struct peer *p)
{
    return dtls_create(&p->dtls, &(struct dtls_options){
                                     .context = p->worker->sfu->dtls,
                                     .role = p->is_dtls_client ? DTLS_CLIENT : DTLS_SERVER,
                                     .remote = p->remote.hash ? &p->remote : NULL,
                                     .on_send = on_dtls_send,
                                     .arg = p,
                                     .log = p->worker->log,
                                 });
}

enum err peer_create(struct peer **out, struct sfu_worker *w, sfu_peer_id id,
                     const struct announcement *a)
{
    struct peer *p = mem_new(struct peer);
    p->worker = w;
    p->id = id;
    p->room = a->room;
    p->rtcp_ssrc = sfu_random_u32(w);
    p->transport_seq = (uint16_t)sfu_random_u32(w);
    p->report_due_us = w->now_us + PEER_REPORT_US / 2 + sfu_random_u32(w) % (PEER_REPORT_US / 2);
    p->is_dtls_client = a->remote.is_dtls_client;
    p->remote = a->remote.fingerprint;
    memcpy(p->ext_ids, a->remote.ext_ids, sizeof(p->ext_ids));
    list_init(&p->consumers);
    list_init(&p->dirty_consumers);
    p->consumers_by_number = map64_create();
    p->consumers_by_ssrc = map64_create();
    w->peers[directory_slot(id)] = p;
    atomic_fetch_add(&w->peer_count, 1);
    enum err err = ice_agent_create(
        &p->ice, &(struct ice_options){
                     .credentials = {str_from(a->credentials.ufrag), str_from(a->credentials.pwd),
                                     str_from(a->remote.ufrag)},
                     .consent_timeout_us = w->sfu->opt.consent_timeout_us,
                     .now_us = w->now_us,
                 });
    if (!err)
        err = create_dtls(p);
    if (err) {
        log_warn(w->log, "peer refused: %s", err_text(err));
        peer_destroy(&p);
    }
    *out = p;
    return err;
}

static void forget_tuples(struct peer *p)
{
    struct sfu_address tuples[ICE_MAX_TUPLES];
    size_t count = p->ice ? ice_agent_tuples(p->ice, tuples) : 0;
    for (size_t i = 0; i < count; i++) {
        tuples_remove(&p->worker->tuples, &tuples[i], p->id);
        sfu_mail_others(p->worker, MAIL_TUPLE_REMOVE, p->id, &tuples[i]);
    }
}

/* Its tracks, those too that others here wait for in vain. */
static void end_tracks(struct peer *p)
{
    LIST_FOREACH(&p->worker->track_list, node)
    {
        struct track *t = LIST_ENTRY(node, struct track, in_worker);
        if (t->peer_id == p->id)
            track_destroy(&t);
    }
    p->track_count = 0;
    free(p->streams);
    p->streams = NULL;
}

void peer_destroy(struct peer **peer)
{
    struct peer *p = *peer;
    *peer = NULL;
    if (!p)
        return;
    struct sfu_worker *w = p->worker;
    if (p->can_send && !w->sfu->is_closing) {
        peer_send_byes(p);
        dtls_close(p->dtls);
    }
    end_tracks(p);
    LIST_FOREACH(&p->consumers, node)
    {
        struct consumer *c = LIST_ENTRY(node, struct consumer, in_peer);
        consumer_destroy(&c);
    }
    forget_tuples(p);
    list_remove(&p->dirty);
    deadline_remove(&w->deadlines, &p->deadline);
    map64_destroy(&p->consumers_by_number);
    map64_destroy(&p->consumers_by_ssrc);
    sfu_srtp_tx_destroy(&p->tx);
    sfu_srtp_rx_destroy(&p->rx);
    dtls_destroy(&p->dtls);
    ice_agent_destroy(&p->ice);
    free(p->twcc);
    w->peers[directory_slot(p->id)] = NULL;
    atomic_fetch_sub(&w->peer_count, 1);
    directory_release(w->sfu->directory, p->id);
    free(p);
}

/* ---- readiness ---- */

/* Keys, consent and an address: then media may go out. Tells consumers when that changes. */
static void update_can_send(struct peer *p)
{
    const struct sfu_address *selected = ice_agent_selected(p->ice);
    bool can_send = p->is_connected && selected && ice_agent_state(p->ice) == ICE_CONNECTED;
    if (selected)
        p->to = *selected;
    if (can_send == p->can_send)
        return;
    p->can_send = can_send;
    LIST_FOREACH(&p->consumers, node)
    {
        struct consumer *c = LIST_ENTRY(node, struct consumer, in_peer);
        if (!c->track)
            continue;
        consumer_retarget(c);
        track_update_wanted(c->track);
    }
}

static bool take_keys(struct peer *p)
{
    struct dtls_srtp_keys keys;
    if (dtls_export_keys(p->dtls, &keys))
        return false;
    struct sfu_srtp_options send = {.profile = keys.profile, .key = &keys.send};
    struct sfu_srtp_options recv = {
        .profile = keys.profile, .key = &keys.recv, .max_streams = SRTP_STREAMS_MAX};
    bool ok = !sfu_srtp_tx_create(&p->tx, &send) && !sfu_srtp_rx_create(&p->rx, &recv);
    p->profile = keys.profile;
    explicit_bzero(&keys, sizeof(keys));
    return ok;
}

/* What the handshake has come to. `before` is what it was. */
static void on_dtls_state(struct peer *p, enum dtls_state before)
{
    enum dtls_state state = dtls_state(p->dtls);
    if (state == before)
        return;
    if (state == DTLS_CONNECTED && !p->is_connected) {
        p->is_connected = take_keys(p);
        update_can_send(p);
        emit(p, p->is_connected ? SFU_EVENT_PEER_CONNECTED : SFU_EVENT_PEER_FAILED);
    } else if (state == DTLS_FAILED || state == DTLS_CLOSED) {
        p->is_connected = false;
        update_can_send(p);
        emit(p, state == DTLS_FAILED ? SFU_EVENT_PEER_FAILED : SFU_EVENT_PEER_CLOSED);
    }
}

/* ---- datagrams ---- */

static void start_handshake(struct peer *p)
{
    if (dtls_state(p->dtls) != DTLS_NEW)
        return;
    (void)dtls_start(p->dtls, p->worker->now_us);
    on_dtls_state(p, DTLS_NEW);
}

/* What an accepted check changed. */
static void follow_check(struct peer *p, const struct ice_result *r, const struct sfu_address *from,
                         unsigned from_worker)
{
    struct sfu_worker *w = p->worker;
    if (r->has_added)
        tuples_set(&w->tuples, from, p->id, w->index);
    if (r->has_added && from_worker != w->index)
        sfu_mail_others(w, MAIL_TUPLE_ADD, p->id, from);
    if (r->has_removed) {
        tuples_remove(&w->tuples, &r->removed, p->id);
        sfu_mail_others(w, MAIL_TUPLE_REMOVE, p->id, &r->removed);
    }
    if (r->has_restarted)
        directory_drop_former(w->sfu->directory, p->id);
    bool was_sending = p->can_send;
    update_can_send(p);
    if (r->has_selected && was_sending)
        emit(p, SFU_EVENT_PEER_MOVED);
    if (r->has_reconnected && p->is_disconnected) {
        p->is_disconnected = false;
        emit(p, SFU_EVENT_PEER_RECONNECTED);
    }
    start_handshake(p);
}

void peer_on_stun(struct peer *p, const struct stun_message *m, const struct sfu_address *from,
                  unsigned from_worker)
{
    struct ice_result r __attribute__((uninitialized));
    enum err err = ice_agent_on_message(p->ice, m, from, p->worker->now_us, &r);
    if (err)
        sfu_count(p->worker, SFU_COUNTER_DROP_STUN_REFUSED, 1);
    if (r.response_bytes) {
        outgoing_copy(&p->worker->out, from, r.response, r.response_bytes);
        peer_note_sent(p, r.response_bytes);
    }
    if (r.is_valid)
        follow_check(p, &r, from, from_worker);
    peer_reschedule(p);
}

void peer_on_dtls(struct peer *p, const uint8_t *bytes, size_t n)
{
    enum dtls_state before = dtls_state(p->dtls);
    (void)dtls_on_datagram(p->dtls, bytes, n, p->worker->now_us);
    on_dtls_state(p, before);
    peer_reschedule(p);
}

/* ---- from the control plane ---- */

static void set_fingerprint(struct peer *p, const struct fingerprint *f)
{
    enum dtls_state before = dtls_state(p->dtls);
    p->remote = *f;
    (void)dtls_set_remote_fingerprint(p->dtls, f);
    on_dtls_state(p, before);
}

/* Only before anything was said: who begins cannot change afterwards. */
static void set_role(struct peer *p, bool is_client)
{
    bool is_early = dtls_state(p->dtls) == DTLS_NEW ||
                    (!p->is_dtls_client && dtls_state(p->dtls) == DTLS_HANDSHAKING);
    if (is_client == p->is_dtls_client || !is_early)
        return;
    struct dtls *former = p->dtls;
    p->is_dtls_client = is_client;
    if (create_dtls(p)) {
        p->is_dtls_client = !is_client;
        p->dtls = former;
        return;
    }
    dtls_destroy(&former);
    if (ice_agent_destination(p->ice))
        start_handshake(p);
}

void peer_set_remote(struct peer *p, const struct mail_remote *r)
{
    if (r->ufrag[0] && ice_agent_set_remote_ufrag(p->ice, str_from(r->ufrag)))
        log_warn(p->worker->log, "remote ufrag refused");
    if (r->has_dtls_role)
        set_role(p, r->is_dtls_client);
    if (r->fingerprint.hash != FINGERPRINT_NONE)
        set_fingerprint(p, &r->fingerprint);
    if (r->has_ext_ids) {
        memcpy(p->ext_ids, r->ext_ids, sizeof(p->ext_ids));
        LIST_FOREACH(&p->consumers, node)
        consumer_adapt(LIST_ENTRY(node, struct consumer, in_peer));
        peer_update_track_extensions(p);
    }
    peer_reschedule(p);
}

void peer_restart(struct peer *p, const struct sfu_credentials *c)
{
    struct ice_credentials credentials = {
        .local_ufrag = str_from(c->ufrag),
        .local_pwd = str_from(c->pwd),
    };
    if (ice_agent_restart(p->ice, &credentials))
        log_warn(p->worker->log, "ICE restart refused");
}

void peer_note_rtt(struct peer *p, int64_t sample_us)
{
    if (sample_us < 0 || sample_us > 10000000)
        return;
    sample_us = MAX(sample_us, 1);
    p->round_trip_us = p->round_trip_us ? (p->round_trip_us * 7 + sample_us) / 8 : sample_us;
}

/* ---- time ---- */

void peer_reschedule(struct peer *p)
{
    int64_t due_us = MIN(ice_agent_deadline_us(p->ice), dtls_deadline_us(p->dtls));
    if (p->is_connected)
        due_us = MIN(due_us, p->report_due_us);
    if (p->can_send) {
        due_us = MIN(due_us, peer_nack_due_us(p));
        if (p->twcc)
            due_us = MIN(due_us, p->twcc->due_us);
    }
    deadline_set(&p->worker->deadlines, &p->deadline, due_us);
}

static void tick_transport(struct peer *p, int64_t now_us)
{
    enum dtls_state before = dtls_state(p->dtls);
    if (now_us >= dtls_deadline_us(p->dtls)) {
        (void)dtls_tick(p->dtls, now_us);
        on_dtls_state(p, before);
    }
    if (now_us >= ice_agent_deadline_us(p->ice) &&
        ice_agent_tick(p->ice, now_us) == ICE_DISCONNECTED) {
        update_can_send(p);
        if (!p->is_disconnected)
            emit(p, SFU_EVENT_PEER_DISCONNECTED);
        p->is_disconnected = true;
    }
}

void peer_tick(struct peer *p)
{
    int64_t now_us = p->worker->now_us;
    tick_transport(p, now_us);
    if (p->can_send) {
        if (p->twcc && p->twcc->due_us <= now_us)
            peer_send_twcc(p);
        peer_send_nacks(p);
    }
    if (p->report_due_us <= now_us) {
        p->report_due_us = now_us + PEER_REPORT_US;
        rate_sample(&p->rate_in, p->bytes_in, now_us);
        rate_sample(&p->rate_out, p->bytes_out, now_us);
        if (p->can_send)
            peer_send_reports(p);
    }
    peer_reschedule(p);
}

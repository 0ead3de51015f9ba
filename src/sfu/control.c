/*
 * control: the control plane. Each function judges its arguments on the caller's thread, so that
 * nonsense is refused there and then, makes one message of them and posts it. Nothing here touches
 * a peer.
 */
#include "core/mem.h"
#include "sfu/worker.h"

/* Text into a fixed field with its NUL. */
static bool copy_text(char *out, size_t size, struct str s)
{
    if (s.n >= size)
        return false;
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

static bool are_ext_ids_valid(const uint8_t ids[RTP_EXT_KIND_COUNT])
{
    uint32_t seen = 0;
    for (int kind = 1; kind < RTP_EXT_KIND_COUNT; kind++) {
        if (!ids[kind])
            continue;
        if (ids[kind] >= RTP_EXT_SLOTS || seen >> ids[kind] & 1)
            return false;
        seen |= 1u << ids[kind];
    }
    return true;
}

static enum err post(struct sfu *sfu, struct mail *mail)
{
    return sfu_mail_peer(sfu, mail);
}

static enum err refuse(struct mail *mail)
{
    mail_destroy(&mail);
    return ERR_INVALID_ARGUMENT;
}

/* ---- peers ---- */

enum err sfu_peer_add(struct sfu *sfu, const struct sfu_peer_options *opt, sfu_peer_id *id,
                      struct sfu_credentials *credentials)
{
    struct announcement a = {.room = opt->room};
    if (!opt->room || !copy_text(a.remote.ufrag, sizeof(a.remote.ufrag), opt->remote_ufrag) ||
        !are_ext_ids_valid(opt->ext_ids))
        return ERR_INVALID_ARGUMENT;
    a.remote.fingerprint = opt->remote_fingerprint;
    a.remote.is_dtls_client = opt->is_dtls_client;
    memcpy(a.remote.ext_ids, opt->ext_ids, sizeof(a.remote.ext_ids));
    return directory_add(sfu->directory, &a, id, credentials);
}

enum err sfu_peer_set_remote(struct sfu *sfu, sfu_peer_id peer,
                             const struct sfu_peer_remote *remote)
{
    struct mail *m = mail_create(MAIL_PEER_REMOTE, peer, 0);
    if (!copy_text(m->remote.ufrag, sizeof(m->remote.ufrag), remote->ufrag) ||
        (remote->has_ext_ids && !are_ext_ids_valid(remote->ext_ids)))
        return refuse(m);
    m->remote.fingerprint = remote->fingerprint;
    m->remote.has_dtls_role = remote->has_dtls_role;
    m->remote.is_dtls_client = remote->is_dtls_client;
    m->remote.has_ext_ids = remote->has_ext_ids;
    memcpy(m->remote.ext_ids, remote->ext_ids, sizeof(m->remote.ext_ids));
    return post(sfu, m);
}

enum err sfu_peer_restart_ice(struct sfu *sfu, sfu_peer_id peer,
                              struct sfu_credentials *credentials)
{
    return directory_restart(sfu->directory, peer, credentials);
}

enum err sfu_peer_remove(struct sfu *sfu, sfu_peer_id peer)
{
    return directory_remove(sfu->directory, peer);
}

enum err sfu_peer_request_stats(struct sfu *sfu, sfu_peer_id peer, uint64_t token)
{
    struct mail *m = mail_create(MAIL_PEER_STATS, peer, 0);
    m->token = token;
    return post(sfu, m);
}

/* ---- tracks ---- */

static bool are_codecs_valid(const struct sfu_codec_pt *codecs, size_t count)
{
    if (count == 0 || count > SFU_MAX_CODECS)
        return false;
    for (size_t i = 0; i < count; i++)
        if (codecs[i].codec <= SFU_CODEC_NONE || codecs[i].codec > SFU_CODEC_AV1 ||
            codecs[i].pt > 127 || codecs[i].rtx_pt > 127 || codecs[i].clock_rate < 8000 ||
            codecs[i].clock_rate > 192000)
            return false;
    return true;
}

static bool fill_info(struct track_info *info, const struct sfu_producer_options *opt)
{
    if (!opt->track || opt->layer_count == 0 || opt->layer_count > SFU_MAX_LAYERS ||
        (opt->is_audio && opt->layer_count > 1) ||
        !are_codecs_valid(opt->codecs, opt->codec_count) ||
        !copy_text(info->mid, sizeof(info->mid), opt->mid))
        return false;
    info->is_audio = opt->is_audio;
    info->flags.is_muted = opt->is_muted;
    info->codec_count = (uint8_t)opt->codec_count;
    info->layer_count = (uint8_t)opt->layer_count;
    memcpy(info->codecs, opt->codecs, opt->codec_count * sizeof(info->codecs[0]));
    for (size_t i = 0; i < opt->layer_count; i++) {
        struct track_layer_info *l = &info->layers[i];
        if (!copy_text(l->rid, sizeof(l->rid), opt->layers[i].rid))
            return false;
        l->ssrc = opt->layers[i].ssrc;
        l->rtx_ssrc = opt->layers[i].rtx_ssrc;
    }
    return true;
}

static enum err post_producer(struct sfu *sfu, enum mail_type type, sfu_peer_id peer,
                              const struct sfu_producer_options *opt)
{
    struct mail *m = mail_create(type, peer, opt->track);
    return fill_info(&m->info, opt) ? post(sfu, m) : refuse(m);
}

enum err sfu_producer_add(struct sfu *sfu, sfu_peer_id peer, const struct sfu_producer_options *opt)
{
    return post_producer(sfu, MAIL_PRODUCER_ADD, peer, opt);
}

enum err sfu_producer_update(struct sfu *sfu, sfu_peer_id peer,
                             const struct sfu_producer_options *opt)
{
    return post_producer(sfu, MAIL_PRODUCER_UPDATE, peer, opt);
}

enum err sfu_producer_set_flags(struct sfu *sfu, sfu_peer_id peer, uint32_t track,
                                struct sfu_producer_flags flags)
{
    struct mail *m = mail_create(MAIL_PRODUCER_FLAGS, peer, track);
    m->flags = flags;
    return post(sfu, m);
}

enum err sfu_producer_remove(struct sfu *sfu, sfu_peer_id peer, uint32_t track)
{
    return post(sfu, mail_create(MAIL_PRODUCER_REMOVE, peer, track));
}

/* ---- consumers ---- */

enum err sfu_consumer_add(struct sfu *sfu, sfu_peer_id peer, const struct sfu_consumer_options *opt)
{
    struct mail *m = mail_create(MAIL_CONSUMER_ADD, peer, opt->consumer);
    struct mail_consumer *c = &m->consumer;
    if (!opt->consumer || !opt->producer_peer || !opt->producer_track || !opt->ssrc ||
        opt->ssrc == opt->rtx_ssrc || !are_codecs_valid(opt->codecs, opt->codec_count) ||
        !copy_text(c->mid, sizeof(c->mid), opt->mid) ||
        !copy_text(c->cname, sizeof(c->cname), opt->cname))
        return refuse(m);
    c->producer_peer = opt->producer_peer;
    c->producer_track = opt->producer_track;
    c->ssrc = opt->ssrc;
    c->rtx_ssrc = opt->rtx_ssrc;
    c->layer = opt->layer;
    c->is_paused = opt->is_paused;
    c->codec_count = (uint8_t)opt->codec_count;
    memcpy(c->codecs, opt->codecs, opt->codec_count * sizeof(c->codecs[0]));
    return post(sfu, m);
}

enum err sfu_consumer_set_choice(struct sfu *sfu, sfu_peer_id peer, uint32_t consumer,
                                 struct sfu_consumer_choice choice)
{
    struct mail *m = mail_create(MAIL_CONSUMER_CHOICE, peer, consumer);
    m->choice = choice;
    return post(sfu, m);
}

enum err sfu_consumer_remove(struct sfu *sfu, sfu_peer_id peer, uint32_t consumer)
{
    return post(sfu, mail_create(MAIL_CONSUMER_REMOVE, peer, consumer));
}

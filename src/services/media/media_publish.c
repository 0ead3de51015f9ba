/*
 * The publishing connection: the client offers, we answer. Every m-line that sends becomes a track
 * (a producer of the sfu); one that stopped sending ends its track. Other ICE credentials than last
 * time ask for an ICE restart.
 */
#include "services/media/media_internal.h"

static const Media__TrackIntent *intent_of(const Media__PublishRequest *req, struct str mid)
{
    for (size_t i = 0; i < req->n_tracks; i++) {
        if (str_eq(str_from(req->tracks[i]->mid), mid))
            return req->tracks[i];
    }
    return NULL;
}

static struct media_track *find_by_mid(struct media_session *s, struct str mid)
{
    LIST_FOREACH(&s->tracks, node)
    {
        struct media_track *t = LIST_ENTRY(node, struct media_track, in_session);
        if (str_eq(str_from(t->mid), mid))
            return t;
    }
    return NULL;
}

static bool is_sending(const struct sdp_media *m)
{
    return (m->kind == SDP_AUDIO || m->kind == SDP_VIDEO) && !sdp_media_is_rejected(m) &&
           (m->direction == SDP_SENDONLY || m->direction == SDP_SENDRECV) && m->mid.n > 0 &&
           m->mid.n <= SFU_MID_MAX;
}

/* ---- layers ---- */

static uint32_t rtx_of(const struct sdp_media *m, uint32_t ssrc)
{
    for (size_t i = 0; i < m->ssrc_group_count; i++) {
        const struct sdp_ssrc_group *g = &m->ssrc_groups[i];
        if (str_eq(g->semantics, STR("FID")) && g->count == 2 && g->ssrcs[0] == ssrc)
            return g->ssrcs[1];
    }
    return 0;
}

static size_t layers_by_rid(const struct sdp_media *m, struct sfu_layer_id *layers)
{
    size_t count = 0;
    for (size_t i = 0; i < m->simulcast_send_count && count < SFU_MAX_LAYERS; i++) {
        if (m->simulcast_send[i].is_alternative || m->simulcast_send[i].rid.n > SFU_MID_MAX)
            continue;
        layers[count++] = (struct sfu_layer_id){.rid = m->simulcast_send[i].rid};
    }
    /* Lowest first is what we ask for; who lists "f;h;q" means the same layers. */
    if (count > 1 && str_eq(layers[0].rid, STR("f"))) {
        for (size_t i = 0; i < count / 2; i++) {
            struct sfu_layer_id swapped = layers[i];
            layers[i] = layers[count - 1 - i];
            layers[count - 1 - i] = swapped;
        }
    }
    return count;
}

static size_t layers_of(const struct sdp_media *m, struct sfu_layer_id *layers)
{
    size_t count = layers_by_rid(m, layers);
    if (count > 0)
        return count;
    for (size_t i = 0; i < m->ssrc_group_count; i++) {
        const struct sdp_ssrc_group *g = &m->ssrc_groups[i];
        if (!str_eq(g->semantics, STR("SIM")))
            continue;
        for (; count < g->count && count < SFU_MAX_LAYERS; count++)
            layers[count] = (struct sfu_layer_id){.ssrc = g->ssrcs[count],
                                                  .rtx_ssrc = rtx_of(m, g->ssrcs[count])};
        return count;
    }
    uint32_t ssrc = m->ssrc_count ? m->ssrcs[0].ssrc : 0;
    layers[0] = (struct sfu_layer_id){.ssrc = ssrc, .rtx_ssrc = rtx_of(m, ssrc)};
    return 1;
}

/* ---- tracks ---- */

static void note_layers(struct media_track *t, const struct sfu_layer_id *layers, size_t count)
{
    t->rid_count = 0;
    for (size_t i = 0; i < count && layers[i].rid.n; i++)
        snprintf(t->rids[t->rid_count++], sizeof(t->rids[0]), "%.*s", STR_FMT(layers[i].rid));
}

static struct media_track *track_create(struct media_session *s, const struct sdp_media *m,
                                        const Media__TrackIntent *intent)
{
    struct media_track *t = mem_zalloc(sizeof(*t));
    t->session = s;
    id_make(t->id);
    t->number = ++s->last_number;
    t->is_audio = m->kind == SDP_AUDIO;
    snprintf(t->mid, sizeof(t->mid), "%.*s", STR_FMT(m->mid));
    t->source = t->is_audio ? MEDIA__SOURCE__MICROPHONE : MEDIA__SOURCE__CAMERA;
    if (intent) {
        bool is_audio_source = intent->source == MEDIA__SOURCE__MICROPHONE ||
                               intent->source == MEDIA__SOURCE__SCREEN_AUDIO;
        if (is_audio_source == t->is_audio)
            t->source = intent->source;
        t->is_muted = intent->is_muted;
    }
    list_add_tail(&s->tracks, &t->in_session);
    s->track_count++;
    return t;
}

static enum err take_media(struct media_session *s, const struct sdp_media *m,
                           const Media__PublishRequest *req, const char **problem)
{
    struct sfu_codec_pt codecs[SFU_MAX_CODECS];
    struct sfu_layer_id layers[SFU_MAX_LAYERS];
    size_t codec_count = media_sdp_codecs(m, codecs, ARRAY_LEN(codecs));
    struct media_track *t = find_by_mid(s, m->mid);
    if (!str_ends(m->protocol, STR("/TLS/RTP/SAVPF"))) {
        *problem = "Only encrypted media is taken: UDP/TLS/RTP/SAVPF.";
        return ERR_INVALID_ARGUMENT;
    }
    if (codec_count == 0) {
        *problem = "No codec in common: Opus, VP8, VP9, H.264 and AV1 are understood.";
        return ERR_INVALID_ARGUMENT;
    }
    bool is_new = !t;
    if (is_new && s->track_count >= MEDIA_TRACKS_MAX) {
        *problem = "Too many tracks from one participant.";
        return ERR_RESOURCE_EXHAUSTED;
    }
    if (is_new)
        t = track_create(s, m, intent_of(req, m->mid));
    t->codec = codecs[0].codec;
    struct sfu_producer_options opt = {
        .track = t->number,
        .mid = m->mid,
        .is_audio = t->is_audio,
        .is_muted = t->is_muted,
        .codecs = codecs,
        .codec_count = codec_count,
        .layers = layers,
        .layer_count = layers_of(m, layers),
    };
    note_layers(t, layers, opt.layer_count);
    struct sfu *sfu = s->room->hub->sfu;
    enum err err = is_new ? sfu_producer_add(sfu, s->publisher.id, &opt)
                          : sfu_producer_update(sfu, s->publisher.id, &opt);
    if (err)
        *problem = "The media engine refused the track.";
    if (err && is_new)
        media_track_remove(t);
    else if (!err && is_new)
        media_track_started(t);
    return err;
}

static void end_tracks_not_in(struct media_session *s, const struct sdp_session *offer)
{
    LIST_FOREACH(&s->tracks, node)
    {
        struct media_track *t = LIST_ENTRY(node, struct media_track, in_session);
        bool is_there = false;
        for (size_t i = 0; i < offer->media_count && !is_there; i++)
            is_there =
                is_sending(&offer->media[i]) && str_eq(offer->media[i].mid, str_from(t->mid));
        if (!is_there)
            media_track_remove(t);
    }
}

/* ---- the answer ---- */

static void answer_media(struct media_session *s, const struct sdp_media *m, bool is_accepted,
                         enum sdp_setup setup, struct sdp_media *a, struct arena *arena)
{
    a->kind = m->kind;
    a->kind_text = m->kind_text;
    a->protocol = m->protocol;
    a->mid = m->mid;
    a->direction = SDP_INACTIVE;
    if (!is_accepted) {
        a->formats = m->formats; /* port 0: rejected */
        return;
    }
    a->port = 9;
    media_sdp_answer_codecs(m, a, arena);
    if (a->codec_count == 0)
        a->formats = m->formats;
    media_sdp_answer_extmaps(m, a, arena);
    if (is_sending(m))
        a->direction = SDP_RECVONLY;
    a->rids = arena_array(arena, struct sdp_rid, m->rid_count);
    for (size_t i = 0; i < m->rid_count; i++) {
        if (m->rids[i].is_send)
            a->rids[a->rid_count++] = (struct sdp_rid){.id = m->rids[i].id};
    }
    a->simulcast_recv = m->simulcast_send;
    a->simulcast_recv_count = m->simulcast_send_count;
    media_sdp_transport(s->room->hub, &s->publisher, setup, a, arena);
}

static void write_answer(struct media_session *s, const struct sdp_session *offer,
                         enum sdp_setup setup, struct arena *arena, struct strbuf *out)
{
    struct sdp_session answer = {
        .origin_id = s->sdp_id,
        .origin_version = (uint64_t)clock_wall_ms(),
        .is_ice_lite = true,
        .has_extmap_allow_mixed = offer->has_extmap_allow_mixed,
        .media = arena_array(arena, struct sdp_media, offer->media_count),
        .media_count = offer->media_count,
    };
    for (size_t i = 0; i < offer->media_count; i++) {
        const struct sdp_media *m = &offer->media[i];
        struct sfu_codec_pt any;
        bool is_accepted = (m->kind == SDP_AUDIO || m->kind == SDP_VIDEO) &&
                           !sdp_media_is_rejected(m) && media_sdp_codecs(m, &any, 1) > 0;
        answer_media(s, m, is_accepted, setup, &answer.media[i], arena);
    }
    media_sdp_bundle(s->room->hub, &answer, arena);
    sdp_write(out, &answer);
}

/* The first m-line with credentials speaks for all: everything is bundled. */
static const struct sdp_media *transport_of(const struct sdp_session *s)
{
    for (size_t i = 0; i < s->media_count; i++) {
        const struct sdp_media *m = &s->media[i];
        if (m->ice_ufrag.n && m->ice_pwd.n && m->fingerprint.hash != FINGERPRINT_NONE)
            return m;
    }
    return NULL;
}

static enum err set_remote(struct media_session *s, const struct sdp_session *offer,
                           const struct sdp_media *transport, struct arena *arena,
                           const char **problem)
{
    struct sfu *sfu = s->room->hub->sfu;
    struct str former = str_from(s->publish_ufrag);
    if (former.n && !str_eq(former, transport->ice_ufrag) &&
        sfu_peer_restart_ice(sfu, s->publisher.id, &s->publisher.credentials)) {
        *problem = "The connection is gone; join again.";
        return ERR_FAILED_PRECONDITION;
    }
    snprintf(s->publish_ufrag, sizeof(s->publish_ufrag), "%.*s", STR_FMT(transport->ice_ufrag));

    /* Only what the answer takes is negotiated. */
    struct sdp_session taken = {.media = arena_array(arena, struct sdp_media, offer->media_count),
                                .media_count = offer->media_count};
    for (size_t i = 0; i < offer->media_count; i++)
        media_sdp_answer_extmaps(&offer->media[i], &taken.media[i], arena);
    struct sfu_peer_remote remote = {
        .ufrag = transport->ice_ufrag,
        .fingerprint = transport->fingerprint,
        .has_dtls_role = !former.n,
        .is_dtls_client = transport->setup == SDP_SETUP_PASSIVE,
        .has_ext_ids = true,
    };
    media_sdp_ext_ids(&taken, remote.ext_ids);
    enum err err = sfu_peer_set_remote(sfu, s->publisher.id, &remote);
    if (err)
        *problem = "The media engine refused the description.";
    return err;
}

static void fill_tracks(struct media_session *s, struct arena *arena, Media__PublishReply *reply)
{
    reply->tracks = arena_array(arena, Media__Track *, s->track_count);
    LIST_FOREACH(&s->tracks, node)
    {
        Media__Track *shape = arena_new(arena, Media__Track);
        media_track_shape(LIST_ENTRY(node, struct media_track, in_session), shape, arena);
        reply->tracks[reply->n_tracks++] = shape;
    }
}

enum err media_publish(struct media_session *s, const Media__PublishRequest *req,
                       struct arena *arena, Media__PublishReply *reply, const char **problem)
{
    struct sdp_session offer;
    if (strlen(req->sdp) > MEDIA_PUBLISH_SDP_MAX) {
        *problem = "The offer is longer than 64 kB.";
        return ERR_RESOURCE_EXHAUSTED;
    }
    enum err err = sdp_parse(&offer, arena, str_from(req->sdp), problem);
    if (err)
        return err;
    const struct sdp_media *transport = transport_of(&offer);
    if (!transport || transport->ice_ufrag.n >= sizeof(s->publish_ufrag)) {
        *problem = "The offer needs ice-ufrag, ice-pwd and a sha-256 (or stronger) fingerprint.";
        return ERR_INVALID_ARGUMENT;
    }
    if ((err = set_remote(s, &offer, transport, arena, problem)))
        return err;
    end_tracks_not_in(s, &offer);
    for (size_t i = 0; i < offer.media_count && !err; i++) {
        if (is_sending(&offer.media[i]))
            err = take_media(s, &offer.media[i], req, problem);
    }
    media_room_refresh(s->room, s);
    if (err)
        return err;
    struct strbuf text = {0};
    enum sdp_setup setup =
        transport->setup == SDP_SETUP_PASSIVE ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE;
    write_answer(s, &offer, setup, arena, &text);
    reply->sdp = str_arena(arena, strbuf_str(&text));
    strbuf_deinit(&text);
    fill_tracks(s, arena, reply);
    return ERR_OK;
}

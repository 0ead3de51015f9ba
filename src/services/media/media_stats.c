/*
 * Statistics: every two seconds each peer is asked for a snapshot; the last one answers GetStats,
 * and a change in how good a connection is becomes an event with its cause in words.
 */
#include "services/media/media_internal.h"

#define LOSS_FAIR 0.03f
#define LOSS_BAD 0.10f
#define ROUND_TRIP_FAIR_MS 250.0f
#define ROUND_TRIP_BAD_MS 600.0f

struct media_stats {
    struct sfu_peer_stats peer;
    struct sfu_track_stats tracks[];
};

struct media_stats *media_stats_copy(const struct sfu_peer_stats *stats)
{
    struct media_stats *copy =
        mem_zalloc(sizeof(*copy) + stats->track_count * sizeof(copy->tracks[0]));
    copy->peer = *stats;
    if (stats->track_count)
        memcpy(copy->tracks, stats->tracks, stats->track_count * sizeof(copy->tracks[0]));
    copy->peer.tracks = copy->tracks;
    return copy;
}

void media_stats_free(struct media_stats **stats)
{
    free(*stats);
    *stats = NULL;
}

/* ---- quality ---- */

/* The worst loss among its streams: what it sends (as we receive it), or what it gets (as it
 * reports). A stream that rests is not reported on: what was said of it last is long past. */
static float worst_loss(const struct media_stats *stats)
{
    float worst = 0;
    for (size_t i = 0; stats && i < stats->peer.track_count; i++) {
        const struct sfu_track_stats *t = &stats->tracks[i];
        if (!t->is_paused && t->bitrate_bps > 0)
            worst = MAX(worst, t->fraction_lost);
    }
    return worst;
}

static int score_of(float loss, float round_trip_ms)
{
    if (loss >= LOSS_BAD || round_trip_ms >= ROUND_TRIP_BAD_MS)
        return 1;
    return loss >= LOSS_FAIR || round_trip_ms >= ROUND_TRIP_FAIR_MS ? 2 : 3;
}

static void judge_quality(struct media_session *s)
{
    float up = worst_loss(s->publisher.stats);
    float down = worst_loss(s->subscriber.stats);
    float round_trip_ms = 0;
    if (s->publisher.stats)
        round_trip_ms = s->publisher.stats->peer.round_trip_ms;
    if (s->subscriber.stats)
        round_trip_ms = MAX(round_trip_ms, s->subscriber.stats->peer.round_trip_ms);

    float loss = MAX(up, down);
    bool is_lost = (s->publisher.stats && !s->publisher.stats->peer.is_connected) ||
                   (s->subscriber.stats && !s->subscriber.stats->peer.is_connected);
    int score = is_lost ? 0 : score_of(loss, round_trip_ms);
    if (score == s->quality_score)
        return;
    s->quality_score = score;
    Media__Quality quality = MEDIA__QUALITY__INIT;
    quality.score = score;
    quality.loss = loss;
    quality.round_trip_ms = round_trip_ms;
    quality.cause = (char *)"none";
    if (score < 3 && !is_lost && loss >= LOSS_FAIR)
        quality.cause = (char *)(up >= down ? "uplink_loss" : "downlink_loss");
    else if (score < 3 && !is_lost)
        quality.cause = (char *)"round_trip";
    Media__MediaEvent event = MEDIA__MEDIA_EVENT__INIT;
    event.type = (char *)"quality.changed";
    event.session_id = s->id;
    event.participant_id = s->participant_id;
    event.quality = &quality;
    media_events_publish(s->room, &event);
}

void media_stats_set(struct media_peer *peer, struct media_stats *stats)
{
    media_stats_free(&peer->stats);
    peer->stats = stats;
    judge_quality(peer->session);
}

/* ---- asking ---- */

static void on_tick(void *arg)
{
    struct media_hub *hub = arg;
    size_t at = 0;
    uint64_t id;
    void *value;
    while (map64_next(hub->peers, &at, &id, &value)) {
        struct media_peer *peer = value;
        if (peer->is_connected && sfu_peer_request_stats(hub->sfu, id, id))
            log_debug(NULL, "media: a peer went before its statistics");
    }
    loop_timer_start(hub->loop, &hub->stats_timer, MEDIA_STATS_EVERY_MS, on_tick, hub);
}

void media_stats_start(struct media_hub *hub)
{
    loop_timer_start(hub->loop, &hub->stats_timer, MEDIA_STATS_EVERY_MS, on_tick, hub);
}

/* ---- answering ---- */

static const char *profile_name(enum srtp_profile profile)
{
    switch (profile) {
    case SRTP_PROFILE_GCM_128:
        return "AEAD_AES_128_GCM";
    case SRTP_PROFILE_GCM_256:
        return "AEAD_AES_256_GCM";
    case SRTP_PROFILE_SHA1_80:
        return "AES_CM_128_HMAC_SHA1_80";
    default:
        return "";
    }
}

static char *address_text(const struct sfu_address *a, struct arena *arena)
{
    const uint8_t *ip = a->ip;
    if (a->family == 4)
        return arena_printf(arena, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3], a->port);
    if (a->family != 6)
        return arena_strdup(arena, "");
    struct strbuf text = {0};
    for (int i = 0; i < 16; i += 2)
        strbuf_printf(&text, "%s%x", i ? ":" : "[", ip[i] << 8 | ip[i + 1]);
    strbuf_printf(&text, "]:%u", a->port);
    char *copy = str_arena(arena, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

static const struct media_track *track_by_number(struct media_session *s, uint32_t number)
{
    LIST_FOREACH(&s->tracks, node)
    {
        const struct media_track *t = LIST_ENTRY(node, struct media_track, in_session);
        if (t->number == number)
            return t;
    }
    return NULL;
}

static void add_track(struct media_session *s, const struct sfu_track_stats *row,
                      struct arena *arena, Media__PeerStats *peer)
{
    const struct media_track *t = row->track ? track_by_number(s, row->track) : NULL;
    if (!t)
        return;
    Media__TrackStats *shape = arena_new(arena, Media__TrackStats);
    media__track_stats__init(shape);
    shape->track = arena_new(arena, Media__Track);
    media_track_shape(t, shape->track, arena);
    shape->bytes = (int64_t)row->bytes;
    shape->packets = (int64_t)row->packets;
    shape->packets_lost = (int64_t)row->packets_lost;
    shape->bitrate_bps = row->bitrate_bps;
    shape->jitter_ms = (double)row->jitter_ms;
    peer->tracks[peer->n_tracks++] = shape;
    peer->packets_lost_in += shape->packets_lost;
}

static void add_connection(const struct media_stats *stats, struct arena *arena,
                           Media__PeerStats *peer)
{
    if (!stats)
        return;
    peer->round_trip_ms = MAX(peer->round_trip_ms, (double)stats->peer.round_trip_ms);
    peer->bytes_in += (int64_t)stats->peer.bytes_in;
    peer->bytes_out += (int64_t)stats->peer.bytes_out;
    peer->packets_in += (int64_t)stats->peer.packets_in;
    peer->packets_out += (int64_t)stats->peer.packets_out;
    peer->bitrate_in_bps += stats->peer.bitrate_in_bps;
    peer->bitrate_out_bps += stats->peer.bitrate_out_bps;
    peer->srtp_profile = (char *)profile_name(stats->peer.srtp_profile);
    peer->remote_addr = address_text(&stats->peer.address, arena);
}

static Media__PeerStats *shape_of(struct media_session *s, struct arena *arena)
{
    Media__PeerStats *peer = arena_new(arena, Media__PeerStats);
    media__peer_stats__init(peer);
    peer->session_id = s->id;
    peer->participant_id = s->participant_id;
    peer->user_id = s->user_id;
    add_connection(s->subscriber.stats, arena, peer);
    add_connection(s->publisher.stats, arena, peer);
    peer->loss_out = (double)worst_loss(s->subscriber.stats);
    if (s->publisher.stats) {
        size_t count = s->publisher.stats->peer.track_count;
        peer->tracks = arena_array(arena, Media__TrackStats *, count);
        for (size_t i = 0; i < count; i++)
            add_track(s, &s->publisher.stats->tracks[i], arena, peer);
    }
    return peer;
}

static void add_room(struct media_room *room, const char *user_id, struct arena *arena,
                     Media__Stats *reply)
{
    size_t most = 0;
    LIST_FOREACH(&room->sessions, node)
    most++;
    Media__RoomStats *shape = arena_new(arena, Media__RoomStats);
    media__room_stats__init(shape);
    shape->meeting_id = room->meeting_id;
    shape->peers = arena_array(arena, Media__PeerStats *, most);
    LIST_FOREACH(&room->sessions, member)
    {
        struct media_session *s = LIST_ENTRY(member, struct media_session, in_room);
        if (!user_id || strcmp(s->user_id, user_id) == 0)
            shape->peers[shape->n_peers++] = shape_of(s, arena);
    }
    if (shape->n_peers || !user_id)
        reply->rooms[reply->n_rooms++] = shape;
}

void media_stats_write(struct media_hub *hub, const char *meeting_id, const char *user_id,
                       struct arena *arena, Media__Stats *reply)
{
    reply->rooms = arena_array(arena, Media__RoomStats *, map_count(hub->rooms));
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->rooms, &at, &key, &value)) {
        if (!meeting_id[0] || str_eq(key, str_from(meeting_id)))
            add_room(value, user_id, arena, reply);
    }
}

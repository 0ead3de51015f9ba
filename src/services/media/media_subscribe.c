/*
 * The subscribing connection: we offer what others publish, the client answers. One offer is out at
 * a time; what changes meanwhile is offered afterwards. An m-line whose track has gone turns
 * inactive and is used again.
 */
#include "services/media/media_internal.h"

/* ---- slots ---- */

static struct media_slot *find_slot(const struct media_session *s, const struct media_track *t)
{
    for (size_t i = 0; t && i < s->slot_count; i++) {
        if (s->slots[i].track == t)
            return &s->slots[i];
    }
    return NULL;
}

static struct media_slot *take_slot(struct media_session *s, bool is_audio)
{
    for (size_t i = 0; i < s->slot_count; i++) {
        if (!s->slots[i].track && s->slots[i].is_audio == is_audio)
            return &s->slots[i];
    }
    if (s->slot_count >= MEDIA_SLOTS_MAX)
        return NULL;
    s->slots = mem_realloc(s->slots, (s->slot_count + 1) * sizeof(*s->slots));
    return &s->slots[s->slot_count++];
}

static uint32_t random_ssrc(void)
{
    uint32_t ssrc;
    do
        ssrc = id_random_u32();
    while (ssrc == 0);
    return ssrc;
}

/* False: no m-line is left. It is tried again with every change of the room. */
static bool place_track(struct media_session *s, const struct media_track *t)
{
    struct media_slot *slot = take_slot(s, t->is_audio);
    if (!slot) {
        log_debug(NULL, "media: no m-line left for another track in session %s", s->id);
        return false;
    }
    *slot = (struct media_slot){
        .is_audio = t->is_audio,
        .track = t,
        .ssrc = random_ssrc(),
        .rtx_ssrc = t->is_audio ? 0 : random_ssrc(),
    };
    return true;
}

/* Every started track of the others has a slot; true when one was added. */
static bool place_tracks(struct media_session *s)
{
    bool is_changed = false;
    LIST_FOREACH(&s->room->sessions, session_node)
    {
        struct media_session *other = LIST_ENTRY(session_node, struct media_session, in_room);
        if (other == s)
            continue;
        LIST_FOREACH(&other->tracks, track_node)
        {
            struct media_track *t = LIST_ENTRY(track_node, struct media_track, in_session);
            if (!t->is_started || find_slot(s, t))
                continue;
            is_changed |= place_track(s, t);
        }
    }
    return is_changed;
}

void media_subscribe_forget(struct media_session *s, const struct media_track *t)
{
    struct media_slot *slot = find_slot(s, t);
    if (!slot)
        return;
    if (slot->consumer && sfu_consumer_remove(s->room->hub->sfu, s->subscriber.id, slot->consumer))
        log_debug(NULL, "media: a consumer was gone already");
    bool is_audio = slot->is_audio;
    *slot = (struct media_slot){.is_audio = is_audio};
    s->is_stale = true;
}

/* ---- the offer ---- */

static void offer_slot(struct media_session *s, size_t index, struct sdp_media *m,
                       struct arena *arena)
{
    const struct media_slot *slot = &s->slots[index];
    const struct media_track *t = slot->track;
    media_sdp_offer_media(slot->is_audio, m, arena);
    m->port = 9;
    m->mid = str_from(arena_printf(arena, "%zu", index));
    m->direction = t ? SDP_SENDONLY : SDP_INACTIVE;
    media_sdp_transport(s->room->hub, &s->subscriber, SDP_SETUP_ACTPASS, m, arena);
    if (!t)
        return;
    const char *who = t->session->participant_id;
    /* Microphone and camera share a stream, so they are kept in step; a screen is its own. */
    bool is_screen = t->source == MEDIA__SOURCE__SCREEN || t->source == MEDIA__SOURCE__SCREEN_AUDIO;
    m->msid_stream = str_from(arena_printf(arena, "%s%s", who, is_screen ? "-screen" : ""));
    m->msid_track = str_from(t->id);
    m->ssrcs = arena_array(arena, struct sdp_ssrc, 2);
    m->ssrcs[m->ssrc_count++] = (struct sdp_ssrc){.ssrc = slot->ssrc, .cname = str_from(who)};
    if (!slot->rtx_ssrc)
        return;
    m->ssrcs[m->ssrc_count++] = (struct sdp_ssrc){.ssrc = slot->rtx_ssrc, .cname = str_from(who)};
    m->ssrc_groups = arena_new(arena, struct sdp_ssrc_group);
    m->ssrc_groups[0] = (struct sdp_ssrc_group){
        .semantics = STR("FID"), .count = 2, .ssrcs = {slot->ssrc, slot->rtx_ssrc}};
    m->ssrc_group_count = 1;
}

static void fill_places(const struct media_session *s, struct arena *arena,
                        Media__MediaEvent *event)
{
    event->places = arena_array(arena, Media__TrackPlace *, s->slot_count);
    for (size_t i = 0; i < s->slot_count; i++) {
        if (!s->slots[i].track)
            continue;
        Media__TrackPlace *place = arena_new(arena, Media__TrackPlace);
        media__track_place__init(place);
        place->mid = arena_printf(arena, "%zu", i);
        place->track_id = (char *)s->slots[i].track->id;
        event->places[event->n_places++] = place;
    }
}

static void send_offer(struct media_session *s)
{
    struct arena *arena = arena_create();
    s->revision++;
    s->is_awaiting_answer = true;
    s->is_stale = false;
    struct sdp_session offer = {
        .origin_id = s->sdp_id,
        .origin_version = (uint64_t)s->revision,
        .is_ice_lite = true,
        .has_extmap_allow_mixed = true,
        .media = arena_array(arena, struct sdp_media, s->slot_count),
        .media_count = s->slot_count,
    };
    for (size_t i = 0; i < s->slot_count; i++) {
        offer_slot(s, i, &offer.media[i], arena);
        if (s->slots[i].track && !s->slots[i].offered_in)
            s->slots[i].offered_in = s->revision;
    }
    media_sdp_bundle(s->room->hub, &offer, arena);
    struct strbuf text = {0};
    sdp_write(&text, &offer);

    Media__MediaEvent event = MEDIA__MEDIA_EVENT__INIT;
    event.type = (char *)"subscriber.offer";
    event.session_id = s->id;
    event.participant_id = s->participant_id;
    event.revision = s->revision;
    event.sdp = text.p;
    fill_places(s, arena, &event);
    media_events_publish(s->room, &event);
    strbuf_deinit(&text);
    arena_destroy(&arena);
}

void media_subscribe_refresh(struct media_session *s)
{
    bool is_changed = place_tracks(s) || s->is_stale;
    if (!is_changed)
        return;
    if (s->is_awaiting_answer)
        s->is_stale = true;
    else
        send_offer(s);
}

void media_subscribe_repeat(struct media_session *s)
{
    if (s->is_awaiting_answer)
        send_offer(s); /* overtakes the former by its revision */
}

enum err media_subscribe_restart(struct media_session *s)
{
    enum err err =
        sfu_peer_restart_ice(s->room->hub->sfu, s->subscriber.id, &s->subscriber.credentials);
    if (err)
        return err;
    if (s->slot_count)
        send_offer(s); /* an older one that is still out is overtaken by its revision */
    return ERR_OK;
}

/* ---- the answer ---- */

static uint8_t layer_of(const struct media_slot *slot)
{
    const struct media_track *t = slot->rid[0] ? slot->track : NULL;
    for (size_t i = 0; t && i < t->rid_count; i++) {
        if (strcmp(t->rids[i], slot->rid) == 0)
            return (uint8_t)i;
    }
    return SFU_LAYER_BEST;
}

static void start_consumer(struct media_session *s, size_t index, const struct sdp_media *m)
{
    struct media_slot *slot = &s->slots[index];
    struct sfu_codec_pt codecs[SFU_MAX_CODECS];
    size_t codec_count = media_sdp_codecs(m, codecs, ARRAY_LEN(codecs));
    bool is_wanted = !sdp_media_is_rejected(m) && m->direction != SDP_INACTIVE &&
                     m->direction != SDP_SENDONLY && codec_count > 0;
    if (!is_wanted || slot->consumer || !slot->track || !slot->offered_in)
        return;
    char mid[8];
    snprintf(mid, sizeof(mid), "%zu", index);
    struct sfu_consumer_options opt = {
        .consumer = ++s->last_number,
        .producer_peer = slot->track->session->publisher.id,
        .producer_track = slot->track->number,
        .mid = str_from(mid),
        .ssrc = slot->ssrc,
        .rtx_ssrc = slot->rtx_ssrc,
        .cname = str_from(slot->track->session->participant_id),
        .codecs = codecs,
        .codec_count = codec_count,
        .layer = layer_of(slot),
        .is_paused = slot->is_paused,
    };
    enum err err = sfu_consumer_add(s->room->hub->sfu, s->subscriber.id, &opt);
    if (err)
        log_warn(NULL, "media: no consumer for session %s: %s", s->id, err_text(err));
    else
        slot->consumer = opt.consumer;
}

static const struct sdp_media *transport_of(const struct sdp_session *answer)
{
    for (size_t i = 0; i < answer->media_count; i++) {
        const struct sdp_media *m = &answer->media[i];
        if (!sdp_media_is_rejected(m) && m->ice_ufrag.n && m->fingerprint.hash != FINGERPRINT_NONE)
            return m;
    }
    return NULL;
}

static enum err set_remote(struct media_session *s, const struct sdp_session *answer,
                           const char **problem)
{
    const struct sdp_media *transport = transport_of(answer);
    if (!transport) {
        *problem = "The answer needs ice-ufrag, ice-pwd and a sha-256 (or stronger) fingerprint.";
        return ERR_INVALID_ARGUMENT;
    }
    struct sfu_peer_remote remote = {
        .ufrag = transport->ice_ufrag,
        .fingerprint = transport->fingerprint,
        .has_dtls_role = !s->subscriber.is_connected,
        .is_dtls_client = transport->setup == SDP_SETUP_PASSIVE,
        .has_ext_ids = true,
    };
    media_sdp_ext_ids(answer, remote.ext_ids);
    enum err err = sfu_peer_set_remote(s->room->hub->sfu, s->subscriber.id, &remote);
    if (err)
        *problem = "The media engine refused the answer.";
    return err;
}

enum err media_subscribe_answer(struct media_session *s, const Media__AnswerRequest *req,
                                struct arena *arena, const char **problem)
{
    if (!s->is_awaiting_answer || req->revision != s->revision) {
        *problem = "That answers another offer than the last.";
        return ERR_FAILED_PRECONDITION;
    }
    struct sdp_session answer;
    enum err err = sdp_parse(&answer, arena, str_from(req->sdp), problem);
    if (err)
        return err;
    if ((err = set_remote(s, &answer, problem)))
        return err;
    s->is_awaiting_answer = false;
    for (size_t i = 0; i < s->slot_count && i < answer.media_count; i++)
        start_consumer(s, i, &answer.media[i]);
    media_subscribe_refresh(s);
    return ERR_OK;
}

/* ---- wishes ---- */

enum err media_subscribe_choose(struct media_session *s, const Media__SetSubscriptionRequest *req)
{
    struct media_slot *slot = find_slot(s, media_room_find_track(s->room, req->track_id));
    if (!slot)
        return ERR_NOT_FOUND;
    if (req->_is_paused_case == MEDIA__SET_SUBSCRIPTION_REQUEST___IS_PAUSED_IS_PAUSED)
        slot->is_paused = req->is_paused;
    if (req->_rid_case == MEDIA__SET_SUBSCRIPTION_REQUEST___RID_RID) {
        struct media_slot wished = *slot;
        if (strlen(req->rid) >= sizeof(wished.rid))
            return ERR_INVALID_ARGUMENT;
        snprintf(wished.rid, sizeof(wished.rid), "%s", req->rid);
        if (req->rid[0] && layer_of(&wished) == SFU_LAYER_BEST)
            return ERR_INVALID_ARGUMENT; /* no such layer */
        *slot = wished;
    }
    if (!slot->consumer)
        return ERR_OK; /* remembered for when it starts */
    struct sfu_consumer_choice choice = {.layer = layer_of(slot), .is_paused = slot->is_paused};
    return sfu_consumer_set_choice(s->room->hub->sfu, s->subscriber.id, slot->consumer, choice);
}

/*
 * worker_rooms: who speaks in a room. The room's people may be on any worker; one worker, chosen by
 * the room's number, hears all their levels and tells the ranking.
 */
#include "sfu/route/levels.h"
#include "sfu/worker.h"

static unsigned home_of(const struct sfu *sfu, uint64_t room)
{
    return (unsigned)((room * 0x9e3779b97f4a7c15ull >> 32) % sfu->opt.worker_count);
}

static void hear(struct sfu_worker *w, uint64_t room, sfu_peer_id peer, uint32_t track, float level)
{
    struct speakers *s = map64_get(w->rooms, room);
    if (!s) {
        if (level <= 0)
            return;
        s = speakers_create();
        map64_set(w->rooms, room, s);
    }
    speakers_heard(s, peer, track, level, w->now_us);
}

void sfu_worker_level(struct sfu_worker *w, uint64_t room, sfu_peer_id peer, uint32_t track,
                      float level)
{
    unsigned home = home_of(w->sfu, room);
    if (home == w->index) {
        hear(w, room, peer, track, level);
        return;
    }
    struct mail *m = mail_create(MAIL_LEVEL, peer, track);
    m->level = (struct mail_level){room, level};
    sfu_mail_worker(w->sfu, home, m);
}

void sfu_worker_heard(struct sfu_worker *w, const struct mail *mail)
{
    hear(w, mail->level.room, mail->peer, mail->number, mail->level.level);
}

void sfu_worker_rank_speakers(struct sfu_worker *w)
{
    struct sfu_speaker list[SFU_MAX_SPEAKERS];
    size_t at = 0, count = 0;
    uint64_t room;
    void *value;
    w->next_speakers_us = w->now_us + SPEAKERS_INTERVAL_US;
    while (map64_next(w->rooms, &at, &room, &value)) {
        struct speakers *s = value;
        if (speakers_look(s, w->now_us, list, &count))
            sfu_emit(w, &(struct sfu_event){.type = SFU_EVENT_SPEAKERS,
                                            .room = room,
                                            .speakers = list,
                                            .speaker_count = count});
        if (speakers_is_empty(s)) {
            map64_remove(w->rooms, room);
            speakers_destroy(&s);
        }
    }
}

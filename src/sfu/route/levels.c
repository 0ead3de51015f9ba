/*
 * levels: loudness of tracks and the ranking of a room. A track begins to speak above one level and
 * ends below a lower one; the one that leads keeps the lead until another is clearly louder: so
 * that the picture does not jump at every breath.
 */
#include "sfu/route/levels.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

#define RISE_US 60000.0f
#define FALL_US 300000.0f
#define SPEAK_ON 0.30f  /* -52 dBov */
#define SPEAK_OFF 0.20f /* -58 dBov */
#define LEAD 0.10f      /* what another must be louder by */
#define TOLD_STEP 0.10f /* a level that moved by so much is told again */
#define FORGET_US 1000000

static float level_of(uint8_t dbov)
{
    return CLAMP((70.0f - (float)dbov) / 60.0f, 0.0f, 1.0f);
}

static float approach(float from, float to, int64_t elapsed_us)
{
    float span_us = to > from ? RISE_US : FALL_US;
    return from + (to - from) * (1.0f - expf(-(float)elapsed_us / span_us));
}

void loudness_packet(struct loudness *l, uint8_t dbov, int64_t now_us)
{
    int64_t elapsed_us = l->at_us ? CLAMP(now_us - l->at_us, 0, 1000000) : 20000;
    l->level = approach(l->level, level_of(dbov), elapsed_us);
    l->at_us = now_us;
}

float loudness_now(const struct loudness *l, int64_t now_us)
{
    int64_t silent_us = now_us - l->at_us;
    if (!l->at_us || silent_us <= 100000) /* packets come every 10 to 60 ms */
        return l->level;
    return approach(l->level, 0, silent_us - 100000);
}

/* ---- who speaks ---- */

struct heard {
    sfu_peer_id peer;
    uint32_t track;
    float level;
    int64_t at_us;
    bool is_speaking;
};

struct speakers {
    struct heard *heard;
    size_t count;
    size_t capacity;
    struct sfu_speaker told[SFU_MAX_SPEAKERS];
    size_t told_count;
};

struct speakers *speakers_create(void)
{
    struct speakers *s = mem_new(struct speakers);
    return s;
}

void speakers_destroy(struct speakers **s)
{
    if (*s)
        free((*s)->heard);
    free(*s);
    *s = NULL;
}

bool speakers_is_empty(const struct speakers *s)
{
    return s->count == 0 && s->told_count == 0;
}

static struct heard *find_heard(struct speakers *s, sfu_peer_id peer, uint32_t track)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->heard[i].peer == peer && s->heard[i].track == track)
            return &s->heard[i];
    if (s->count >= SPEAKERS_MAX_TRACKS)
        return NULL;
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 8;
        s->heard = mem_realloc_array(s->heard, s->capacity, sizeof(struct heard));
    }
    struct heard *h = &s->heard[s->count++];
    *h = (struct heard){.peer = peer, .track = track};
    return h;
}

void speakers_heard(struct speakers *s, sfu_peer_id peer, uint32_t track, float level,
                    int64_t now_us)
{
    struct heard *h = find_heard(s, peer, track);
    if (!h)
        return;
    h->level = level;
    h->at_us = now_us;
    h->is_speaking = level >= (h->is_speaking ? SPEAK_OFF : SPEAK_ON);
}

static void forget_silent(struct speakers *s, int64_t now_us)
{
    for (size_t i = 0; i < s->count;) {
        if (now_us - s->heard[i].at_us > FORGET_US)
            s->heard[i] = s->heard[--s->count];
        else
            i++;
    }
}

static bool is_leader(const struct speakers *s, const struct heard *h)
{
    return s->told_count && s->told[0].peer == h->peer && s->told[0].track == h->track;
}

/* Inserts into the list, which is sorted by level with the leader's bonus. */
static void rank(const struct speakers *s, const struct heard *h,
                 struct sfu_speaker out[SFU_MAX_SPEAKERS], float *keys, size_t *count)
{
    float key = h->level + (is_leader(s, h) ? LEAD : 0);
    size_t at = *count;
    while (at > 0 && keys[at - 1] < key)
        at--;
    if (at == SFU_MAX_SPEAKERS)
        return;
    for (size_t i = MIN(*count, SFU_MAX_SPEAKERS - 1u); i > at; i--) {
        out[i] = out[i - 1];
        keys[i] = keys[i - 1];
    }
    out[at] = (struct sfu_speaker){h->peer, h->track, h->level};
    keys[at] = key;
    *count = MIN(*count + 1, (size_t)SFU_MAX_SPEAKERS);
}

static bool has_changed(const struct speakers *s, const struct sfu_speaker *list, size_t count)
{
    if (count != s->told_count)
        return true;
    for (size_t i = 0; i < count; i++)
        if (list[i].peer != s->told[i].peer || list[i].track != s->told[i].track ||
            fabsf(list[i].level - s->told[i].level) >= TOLD_STEP)
            return true;
    return false;
}

bool speakers_look(struct speakers *s, int64_t now_us, struct sfu_speaker out[SFU_MAX_SPEAKERS],
                   size_t *count)
{
    float keys[SFU_MAX_SPEAKERS];
    *count = 0;
    forget_silent(s, now_us);
    for (size_t i = 0; i < s->count; i++)
        if (s->heard[i].is_speaking)
            rank(s, &s->heard[i], out, keys, count);
    if (!has_changed(s, out, *count))
        return false;
    for (size_t i = 0; i < *count; i++)
        s->told[i] = out[i];
    s->told_count = *count;
    return true;
}

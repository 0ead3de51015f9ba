/*
 * clock_trust: one belief, how far it is from the clock, and since when. The belief goes on with
 * the monotonic clock. While there is a doubt, a second pair of clocks says for how long the new
 * time has gone on steadily.
 */
#include "core/clock_trust.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"

#define HOUR_MS INT64_C(3600000)
#define LEAP_MS (7 * 24 * HOUR_MS)
#define STEADY_MS (24 * HOUR_MS)

/* A moment on both clocks. */
struct moment {
    int64_t wall_ms, mono_ms;
};

static struct {
    pthread_mutex_t lock;
    struct moment believed; /* wall_ms 0: nothing yet */
    struct moment doubted;  /* since when; wall_ms 0: no doubt */
    char *path;
    int64_t kept_mono_ms; /* 0: never */
} trust = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct moment moment_now(void)
{
    return (struct moment){clock_wall_ms(), clock_mono_ms()};
}

/* How far the clock is from where it should be since then. */
static int64_t lead_ms(const struct moment *now, const struct moment *then)
{
    return llabs(now->wall_ms - (then->wall_ms + now->mono_ms - then->mono_ms));
}

static void begin_doubt(const struct moment *now)
{
    char is[CLOCK_TEXT_SIZE], was[CLOCK_TEXT_SIZE];
    clock_format(now->wall_ms, is);
    clock_format(trust.believed.wall_ms
                     ? trust.believed.wall_ms + now->mono_ms - trust.believed.mono_ms
                     : CLOCK_FLOOR_MS,
                 was);
    trust.doubted = *now;
    log_warn(
        NULL,
        "the clock has leapt: it says %s and should say about %s. Nothing is deleted by its age "
        "until it is back, or has gone on for 24 hours: if it is wrong, set it right now",
        is, was);
}

static bool judge(void)
{
    struct moment now = moment_now();
    bool is_new = !trust.believed.wall_ms;
    bool is_near = !is_new && lead_ms(&now, &trust.believed) <= LEAP_MS;
    bool is_steady = trust.doubted.wall_ms && lead_ms(&now, &trust.doubted) <= HOUR_MS &&
                     now.mono_ms - trust.doubted.mono_ms >= STEADY_MS;
    bool is_set = now.wall_ms >= CLOCK_FLOOR_MS;
    if (is_set && (is_new || is_near || is_steady)) {
        if (trust.doubted.wall_ms)
            log_info(NULL, "the clock is believed again");
        trust.believed = now;
        trust.doubted = (struct moment){0};
        return true;
    }
    if (!trust.doubted.wall_ms || lead_ms(&now, &trust.doubted) > HOUR_MS)
        begin_doubt(&now);
    return false;
}

bool clock_is_trusted(void)
{
    pthread_mutex_lock(&trust.lock);
    bool is_trusted = judge();
    pthread_mutex_unlock(&trust.lock);
    return is_trusted;
}

void clock_trust_load(const char *path)
{
    char *text = NULL;
    size_t n;
    int64_t seen_ms = 0;
    if (file_read(path, 64, &text, &n) == ERR_OK &&
        !str_to_i64(str_trim((struct str){text, n}), &seen_ms))
        log_warn(NULL, "%s: expected one number; the clock is believed as it is", path);
    free(text);
    pthread_mutex_lock(&trust.lock);
    free(trust.path);
    trust.path = mem_strdup(path);
    trust.believed = (struct moment){seen_ms, clock_mono_ms()};
    trust.doubted = (struct moment){0};
    trust.kept_mono_ms = 0;
    pthread_mutex_unlock(&trust.lock);
    (void)clock_is_trusted(); /* says so at once if not */
}

void clock_trust_keep(void)
{
    char text[32];
    int64_t mono_ms = clock_mono_ms();
    pthread_mutex_lock(&trust.lock);
    bool is_due = trust.path && (!trust.kept_mono_ms || mono_ms - trust.kept_mono_ms >= HOUR_MS);
    if (is_due && judge()) {
        int count = snprintf(text, sizeof(text), "%lld\n", (long long)trust.believed.wall_ms);
        enum err err = file_write_atomic(trust.path, text, (size_t)count, 0600);
        if (err)
            log_warn(NULL, "cannot write %s: %s", trust.path, err_text(err));
        else
            trust.kept_mono_ms = MAX(mono_ms, 1);
    }
    pthread_mutex_unlock(&trust.lock);
}

void clock_trust_reset(void)
{
    pthread_mutex_lock(&trust.lock);
    free(trust.path);
    trust.path = NULL;
    trust.believed = trust.doubted = (struct moment){0};
    trust.kept_mono_ms = 0;
    pthread_mutex_unlock(&trust.lock);
}

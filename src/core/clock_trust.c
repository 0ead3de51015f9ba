/*
 * clock_trust: one belief, how far it is from the clock, and since when. The belief goes on with
 * the monotonic clock. While there is a doubt, a second pair of clocks says for how long the new
 * time has gone on steadily. Both are kept in the file, so a machine that is never on for a whole
 * day comes to an end of its doubt, too.
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

static void warn_of_doubt(const struct moment *now)
{
    char is[CLOCK_TEXT_SIZE], was[CLOCK_TEXT_SIZE];
    clock_format(now->wall_ms, is);
    clock_format(trust.believed.wall_ms
                     ? trust.believed.wall_ms + now->mono_ms - trust.believed.mono_ms
                     : CLOCK_FLOOR_MS,
                 was);
    log_warn(
        NULL,
        "the clock has leapt: it says %s and should say about %s. Nothing is deleted by its age "
        "until it is back, or has gone on for 24 hours: if it is wrong, set it right now",
        is, was);
}

static void begin_doubt(const struct moment *now)
{
    trust.doubted = *now;
    trust.kept_mono_ms = 0; /* to be written soon */
    warn_of_doubt(now);
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

/* A doubt of an earlier life goes on if the clock says that at most a week has passed since. */
static struct moment resume_doubt(int64_t since_ms, const struct moment *now)
{
    int64_t passed_ms = now->wall_ms - since_ms;
    if (!since_ms || passed_ms < 0 || passed_ms > LEAP_MS)
        return (struct moment){0};
    return (struct moment){since_ms, now->mono_ms - passed_ms};
}

static void read_kept(const char *path, int64_t *believed_ms, int64_t *doubted_ms)
{
    char *text = NULL;
    size_t n;
    if (file_read(path, 64, &text, &n) != ERR_OK)
        return;
    struct str rest = str_trim((struct str){text, n}), part;
    (void)str_cut(&rest, ' ', &part);
    if (!str_to_i64(part, believed_ms) || (rest.n && !str_to_i64(rest, doubted_ms))) {
        *believed_ms = *doubted_ms = 0;
        log_warn(NULL, "%s: expected one or two numbers; the clock is believed as it is", path);
    }
    free(text);
}

void clock_trust_load(const char *path)
{
    int64_t believed_ms = 0, doubted_ms = 0;
    read_kept(path, &believed_ms, &doubted_ms);
    struct moment now = moment_now();
    pthread_mutex_lock(&trust.lock);
    free(trust.path);
    trust.path = mem_strdup(path);
    trust.believed = (struct moment){believed_ms, now.mono_ms};
    trust.doubted = resume_doubt(doubted_ms, &now);
    trust.kept_mono_ms = 0;
    bool is_resumed = trust.doubted.wall_ms;
    if (!judge() && is_resumed) /* what is new says so itself */
        warn_of_doubt(&now);
    pthread_mutex_unlock(&trust.lock);
}

void clock_trust_keep(void)
{
    char text[64];
    int64_t mono_ms = clock_mono_ms();
    pthread_mutex_lock(&trust.lock);
    (void)judge();
    bool is_due = trust.path && (!trust.kept_mono_ms || mono_ms - trust.kept_mono_ms >= HOUR_MS);
    if (is_due && trust.believed.wall_ms) {
        int count = snprintf(text, sizeof(text), "%lld %lld\n", (long long)trust.believed.wall_ms,
                             (long long)trust.doubted.wall_ms);
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

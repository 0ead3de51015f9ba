/* What one says of oneself: checked, stored, and only then answered and told. */
#include "services/presence/presence_internal.h"

#define TEXT_MAX 100
#define EMOJI_MAX 8 /* code points: flags and families are several */
#define UNTIL_MAX_MS (366 * 24 * 3600 * 1000LL)

struct setting {
    struct presence_service *svc;
    struct rpc_call *call;
    const Presence__SetPresenceRequest *in;
    const char *text, *emoji;
    Presence__Settings settings; /* as they are now */
};

static bool check_until(struct rpc_call *call, const char *field, int64_t at_ms)
{
    if (at_ms != 0 && (at_ms < 0 || at_ms > clock_wall_ms() + UNTIL_MAX_MS))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: expected a time within a year, or 0", field);
    return !rpc_failure(call);
}

static bool check(struct setting *s)
{
    const Presence__SetPresenceRequest *in = s->in;
    if (in->_status_case &&
        (in->status < PRESENCE__STATUS__ONLINE || in->status > PRESENCE__STATUS__INVISIBLE))
        rpc_fail(s->call, ERR_INVALID_ARGUMENT,
                 "status: expected online, away, busy, do_not_disturb or invisible");
    bool is_audience_known = in->shown_to <= PRESENCE__AUDIENCE__NOBODY &&
                             in->last_seen_to <= PRESENCE__AUDIENCE__NOBODY;
    if (!is_audience_known)
        rpc_fail(s->call, ERR_INVALID_ARGUMENT,
                 "shown_to, last_seen_to: expected everyone, contacts or nobody");
    if (in->_text_case)
        s->text =
            text_take(s->call, in->text, &(struct text_rule){.field = "text", .max = TEXT_MAX});
    if (in->_emoji_case)
        s->emoji =
            text_take(s->call, in->emoji, &(struct text_rule){.field = "emoji", .max = EMOJI_MAX});
    return !rpc_failure(s->call) && check_until(s->call, "status_until_ms", in->status_until_ms) &&
           check_until(s->call, "text_until_ms", in->text_until_ms);
}

static void apply_status(struct setting *s)
{
    Presence__Settings *now = &s->settings;
    bool is_hiding =
        s->in->status == PRESENCE__STATUS__INVISIBLE && now->status != PRESENCE__STATUS__INVISIBLE;
    if (is_hiding && presence_record(s->svc, s->call->arena, who_id(s->call)))
        now->last_seen_ms = clock_wall_ms(); /* where it stands still */
    now->status = s->in->status;
    now->status_until_ms = 0;
}

static enum err set_job(struct store_tx *tx, void *arg)
{
    struct setting *s = arg;
    const Presence__SetPresenceRequest *in = s->in;
    Presence__Settings *now = &s->settings;
    presence__settings__init(now);
    now->status = PRESENCE__STATUS__ONLINE;
    enum err err = presence_store_load(tx, s->call->arena, who_id(s->call), now);
    if (err)
        return err;
    now->last_seen_ms = MAX(now->last_seen_ms, presence_seen_at(s->svc, who_id(s->call)));
    if (in->_status_case)
        apply_status(s);
    if (in->_status_until_ms_case)
        now->status_until_ms = in->status_until_ms;
    if (in->_text_case)
        now->text = (char *)s->text;
    if (in->_emoji_case)
        now->emoji = (char *)s->emoji;
    if (in->_text_case || in->_emoji_case)
        now->text_until_ms = 0;
    if (in->_text_until_ms_case)
        now->text_until_ms = in->text_until_ms;
    if (in->_shown_to_case)
        now->shown_to = in->shown_to;
    if (in->_last_seen_to_case)
        now->last_seen_to = in->last_seen_to;
    return presence_store_save(tx, who_id(s->call), now);
}

static Presence__OwnPresence *shape(struct setting *s)
{
    const char *id = who_id(s->call);
    int64_t version = s->svc->version;
    Presence__OwnPresence *own = presence_own_shape(
        s->call->arena, id, presence_record(s->svc, s->call->arena, id), &s->settings);
    own->shown->version = version;
    return own;
}

/* Two devices of one person may set something at the same moment. */
static pthread_mutex_t *turn_of(struct presence_service *svc, const char *user_id)
{
    size_t n = strlen(user_id); /* an id ends in random characters */
    size_t sum = n >= 2 ? (size_t)(uint8_t)user_id[n - 1] * 32 + (uint8_t)user_id[n - 2] : 0;
    return &svc->setting[sum % PRESENCE_SETTERS];
}

void *presence_set(struct presence_service *svc, struct rpc_call *call,
                   const Presence__SetPresenceRequest *in)
{
    struct setting s = {.svc = svc, .call = call, .in = in};
    if (!check(&s))
        return NULL;
    pthread_mutex_t *turn = turn_of(svc, who_id(call));
    pthread_mutex_lock(turn);
    enum err err = store_write_sync(svc->deps.store, 0, set_job, &s);
    if (!err)
        presence_settings_changed(svc, call->arena, who_id(call), &s.settings);
    pthread_mutex_unlock(turn);
    return err ? who_fail(call, err) : shape(&s);
}

void *presence_get_own(struct presence_service *svc, struct rpc_call *call)
{
    char *id = arena_strdup(call->arena, who_id(call));
    Presence__Settings *settings = NULL;
    struct presence_batch batch = {
        .arena = call->arena, .ids = &id, .count = 1, .settings = &settings};
    enum err err = presence_load(svc, &batch);
    if (err)
        return who_fail(call, err);
    struct setting s = {.svc = svc, .call = call, .settings = *settings};
    return shape(&s);
}

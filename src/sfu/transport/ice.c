/*
 * ice: an ICE-lite agent. A check is judged in this order: is it for us (ufrag), is it complete, is
 * it authentic, is it acceptable; only then does it create or touch a tuple. Refusals are answered
 * from the request alone and cost no state. Answers are never larger than twice the request.
 */
#include "sfu/transport/ice.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#include "core/mem.h"

#define CONSENT_DEFAULT_US 30000000 /* RFC 7675 section 5.1 */
#define CONSENT_MIN_US 10000000
#define CONSENT_MAX_US 60000000

struct text {
    size_t n;
    char p[ICE_PWD_MAX];
};

struct credentials {
    struct text local_ufrag;
    struct text local_pwd;
    struct text remote_ufrag; /* n 0: not known yet */
};

struct tuple {
    struct sfu_address address;
    int64_t seen_us;
};

struct ice_agent {
    struct credentials current;
    struct credentials former; /* local_ufrag.n 0: none, or no longer honoured */
    struct tuple tuples[ICE_MAX_TUPLES];
    size_t tuple_count;
    struct sfu_address
        selected;        /* a copy, so that it outlives moves in the array; family 0: none */
    uint32_t nomination; /* highest NOMINATION seen */
    enum ice_state state;
    int64_t consent_timeout_us;
    int64_t deadline_us;
};

static struct str str_of(const struct text *t)
{
    return (struct str){t->p, t->n};
}

static enum err text_set(struct text *t, struct str s, size_t min, size_t max)
{
    if (s.n < min || s.n > max)
        return ERR_INVALID_ARGUMENT;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return ERR_INVALID_ARGUMENT;
    memcpy(t->p, s.p, s.n);
    t->n = s.n;
    return ERR_OK;
}

/* The remote ufrag may be empty; a local one must not hold the colon that ends it in USERNAME. */
static enum err credentials_set(struct credentials *c, const struct ice_credentials *from)
{
    struct credentials fresh = {0};
    enum err err = text_set(&fresh.local_ufrag, from->local_ufrag, 4, ICE_UFRAG_MAX);
    if (!err)
        err = text_set(&fresh.local_pwd, from->local_pwd, 22, ICE_PWD_MAX);
    if (!err && from->remote_ufrag.n)
        err = text_set(&fresh.remote_ufrag, from->remote_ufrag, 4, ICE_UFRAG_MAX);
    if (!err && str_find(from->local_ufrag, ':') >= 0)
        err = ERR_INVALID_ARGUMENT;
    if (!err)
        *c = fresh;
    OPENSSL_cleanse(&fresh, sizeof(fresh));
    return err;
}

enum err ice_agent_create(struct ice_agent **out, const struct ice_options *opt)
{
    struct ice_agent *a = mem_new(struct ice_agent);
    a->consent_timeout_us = opt->consent_timeout_us ? opt->consent_timeout_us : CONSENT_DEFAULT_US;
    a->consent_timeout_us = CLAMP(a->consent_timeout_us, CONSENT_MIN_US, CONSENT_MAX_US);
    a->deadline_us = opt->now_us + a->consent_timeout_us;
    enum err err = credentials_set(&a->current, &opt->credentials);
    if (err)
        ice_agent_destroy(&a);
    *out = a;
    return err;
}

void ice_agent_destroy(struct ice_agent **agent)
{
    if (*agent)
        OPENSSL_cleanse(*agent, sizeof(**agent));
    free(*agent);
    *agent = NULL;
}

enum err ice_agent_set_remote_ufrag(struct ice_agent *a, struct str remote_ufrag)
{
    return text_set(&a->current.remote_ufrag, remote_ufrag, 4, ICE_UFRAG_MAX);
}

enum err ice_agent_restart(struct ice_agent *a, const struct ice_credentials *c)
{
    struct credentials next;
    enum err err = credentials_set(&next, c);
    if (err)
        return err;
    a->former = a->current;
    a->current = next;
    a->nomination = 0; /* a new generation counts anew */
    OPENSSL_cleanse(&next, sizeof(next));
    return ERR_OK;
}

/* ---- tuples ---- */

static struct tuple *find_tuple(const struct ice_agent *a, const struct sfu_address *from)
{
    for (size_t i = 0; i < a->tuple_count; i++)
        if (sfu_address_eq(&a->tuples[i].address, from))
            return (struct tuple *)&a->tuples[i];
    return NULL;
}

/* Of a full house the one that was silent longest goes, but not the selected one. */
static struct tuple *evict(struct ice_agent *a)
{
    struct tuple *oldest = NULL;
    for (size_t i = 0; i < a->tuple_count; i++) {
        struct tuple *t = &a->tuples[i];
        if (!sfu_address_eq(&t->address, &a->selected) && (!oldest || t->seen_us < oldest->seen_us))
            oldest = t;
    }
    return oldest; /* there is one: at most one of ICE_MAX_TUPLES is selected */
}

static void touch_tuple(struct ice_agent *a, const struct sfu_address *from, int64_t now_us,
                        struct ice_result *out)
{
    struct tuple *t = find_tuple(a, from);
    if (!t) {
        out->has_added = true;
        if (a->tuple_count < ICE_MAX_TUPLES) {
            t = &a->tuples[a->tuple_count++];
        } else {
            t = evict(a);
            out->has_removed = true;
            out->removed = t->address;
        }
        t->address = *from;
    }
    t->seen_us = now_us;
}

/* ---- judging a check ---- */

static void answer_error(const struct stun_message *m, uint16_t code, struct str password,
                         struct ice_result *out)
{
    struct stun_error_options opt = {
        .transaction = m->transaction,
        .code = code,
        .unknown_attribute = code == 420 ? m->unknown_required : 0,
        .password = password,
    };
    out->response_bytes = stun_write_error(out->response, sizeof(out->response), &opt);
}

/* The credentials that a USERNAME speaks of, or NULL. */
static const struct credentials *credentials_for(const struct ice_agent *a, struct str local)
{
    if (str_eq(local, str_of(&a->current.local_ufrag)))
        return &a->current;
    if (a->former.local_ufrag.n && str_eq(local, str_of(&a->former.local_ufrag)))
        return &a->former;
    return NULL;
}

/* May this request be granted? Writes the refusal otherwise, to who knows the password; *used says
 * whose. */
static enum err judge(const struct ice_agent *a, const struct stun_message *m,
                      const struct credentials **used, struct ice_result *out)
{
    struct str local, remote;
    if (m->class != STUN_REQUEST || !m->has_fingerprint || !stun_split_username(m, &local, &remote))
        return ERR_INVALID_ARGUMENT; /* not a check: silence */
    const struct credentials *c = credentials_for(a, local);
    if (!c)
        return ERR_NOT_FOUND;
    /* RFC 8489 would answer 400 and 401; who has not the password gets nothing from us at all. */
    if (!m->integrity_offset)
        return ERR_INVALID_ARGUMENT;
    if ((c->remote_ufrag.n && !str_eq(remote, str_of(&c->remote_ufrag))) ||
        !stun_is_authentic(m, str_of(&c->local_pwd)))
        return ERR_UNAUTHENTICATED;
    if (m->unknown_required) {
        answer_error(m, 420, str_of(&c->local_pwd), out);
        return ERR_INVALID_ARGUMENT;
    }
    if (!m->has_priority) {
        answer_error(m, 400, str_of(&c->local_pwd), out);
        return ERR_INVALID_ARGUMENT;
    }
    if (m->is_controlled) { /* a lite agent is always the controlled one */
        answer_error(m, 487, str_of(&c->local_pwd), out);
        return ERR_FAILED_PRECONDITION;
    }
    *used = c;
    return ERR_OK;
}

/* USE-CANDIDATE selects; NOMINATION selects when its number is higher than all before. */
static void nominate(struct ice_agent *a, const struct stun_message *m,
                     const struct sfu_address *from, struct ice_result *out)
{
    bool is_higher = m->has_nomination && m->nomination > a->nomination;
    bool is_plain = m->has_use_candidate && !m->has_nomination;
    if (!is_higher && !is_plain)
        return;
    if (is_higher)
        a->nomination = m->nomination;
    out->has_selected = !sfu_address_eq(&a->selected, from);
    a->selected = *from;
}

enum err ice_agent_on_message(struct ice_agent *a, const struct stun_message *m,
                              const struct sfu_address *from, int64_t now_us,
                              struct ice_result *out)
{
    const struct credentials *used = NULL;
    out->response_bytes = 0;
    out->is_valid = out->has_added = out->has_removed = out->has_selected = false;
    out->has_restarted = out->has_reconnected = false;
    out->removed = (struct sfu_address){0};
    enum err err = judge(a, m, &used, out);
    if (err)
        return err;
    out->is_valid = true;
    if (used == &a->current && a->former.local_ufrag.n) {
        OPENSSL_cleanse(&a->former, sizeof(a->former));
        out->has_restarted = true;
    }
    touch_tuple(a, from, now_us, out);
    /* After a restart the old generation keeps its path alive but chooses no new one. */
    if (used == &a->current)
        nominate(a, m, from, out);
    a->deadline_us = now_us + a->consent_timeout_us;
    out->has_reconnected = a->state == ICE_DISCONNECTED && a->selected.family;
    a->state = a->selected.family ? ICE_CONNECTED : ICE_WAITING;
    out->response_bytes = stun_write_success(out->response, sizeof(out->response), m->transaction,
                                             from, str_of(&used->local_pwd));
    return ERR_OK;
}

enum err ice_agent_on_stun(struct ice_agent *a, const uint8_t *bytes, size_t n,
                           const struct sfu_address *from, int64_t now_us, struct ice_result *out)
{
    struct stun_message m;
    enum err err = stun_parse(&m, bytes, n);
    if (err) {
        *out = (struct ice_result){0};
        return err;
    }
    return ice_agent_on_message(a, &m, from, now_us, out);
}

/* ---- questions ---- */

bool ice_agent_knows(const struct ice_agent *a, const struct sfu_address *from)
{
    return find_tuple(a, from) != NULL;
}

const struct sfu_address *ice_agent_selected(const struct ice_agent *a)
{
    return a->selected.family ? &a->selected : NULL;
}

const struct sfu_address *ice_agent_destination(const struct ice_agent *a)
{
    if (a->selected.family)
        return &a->selected;
    const struct tuple *latest = NULL;
    for (size_t i = 0; i < a->tuple_count; i++)
        if (!latest || a->tuples[i].seen_us > latest->seen_us)
            latest = &a->tuples[i];
    return latest ? &latest->address : NULL;
}

size_t ice_agent_tuples(const struct ice_agent *a, struct sfu_address out[ICE_MAX_TUPLES])
{
    for (size_t i = 0; i < a->tuple_count; i++)
        out[i] = a->tuples[i].address;
    return a->tuple_count;
}

bool ice_agent_has_ufrag(const struct ice_agent *a, struct str local_ufrag)
{
    return credentials_for(a, local_ufrag) != NULL;
}

enum ice_state ice_agent_tick(struct ice_agent *a, int64_t now_us)
{
    if (now_us >= a->deadline_us) {
        a->state = ICE_DISCONNECTED;
        a->deadline_us = INT64_MAX;
    }
    return a->state;
}

enum ice_state ice_agent_state(const struct ice_agent *a)
{
    return a->state;
}

int64_t ice_agent_deadline_us(const struct ice_agent *a)
{
    return a->deadline_us;
}

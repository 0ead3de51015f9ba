/* Meetings as such: made, listed, shown, changed, deleted, ended. */
#include "services/common/zone.h"
#include "services/meeting/meeting_internal.h"
#include "core/live.h"

#define TITLE_MAX 200
#define DESCRIPTION_MAX 5000
#define CAPACITY_MAX 10000
#define TIME_MAX_MS 253402300799000 /* the end of 9999: calendars know no later */

static char *take_title(struct rpc_call *call, const char *value)
{
    return text_take(call, value, &(struct text_rule){"title", 1, TITLE_MAX, 0});
}

static char *take_description(struct rpc_call *call, const char *value)
{
    return text_take(call, value,
                     &(struct text_rule){"description", 0, DESCRIPTION_MAX, TEXT_LINES});
}

char *meeting_take_name(struct rpc_call *call, const char *value, bool is_needed)
{
    return text_take(call, value, &(struct text_rule){"name", is_needed ? 1 : 0, 64, 0});
}

/* The hash of a meeting's password ("" of ""), in the arena; NULL after rpc_fail. */
static const char *hash_password(struct meeting_service *svc, struct rpc_call *call,
                                 const char *password)
{
    char *taken = text_take(call, password, &(struct text_rule){"password", 0, 128, TEXT_EXACT});
    if (!taken || !taken[0])
        return taken;
    char *hash = arena_alloc(call->arena, PASSWORD_HASH_SIZE);
    enum err err = password_hash(svc->hasher, str_from(taken), hash);
    return err ? who_fail(call, err) : hash;
}

static bool check_times(struct rpc_call *call, int64_t start_ms, int64_t end_ms)
{
    const char *problem = NULL;
    if (start_ms < 0 || start_ms > TIME_MAX_MS)
        problem = "scheduled_start_ms: expected a time between 1970 and 9999";
    else if (end_ms < 0 || end_ms > TIME_MAX_MS)
        problem = "scheduled_end_ms: expected a time between 1970 and 9999";
    else if (end_ms && !start_ms)
        problem = "scheduled_end_ms: a start is needed too";
    else if (end_ms && end_ms <= start_ms)
        problem = "scheduled_end_ms: must be after the start";
    if (problem)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s", problem);
    return !problem;
}

static bool check_capacity(struct rpc_call *call, int64_t capacity)
{
    if (capacity >= 2 && capacity <= CAPACITY_MAX)
        return true;
    rpc_fail(call, ERR_INVALID_ARGUMENT, "capacity: expected 2 to %d", CAPACITY_MAX);
    return false;
}

/* ---- create ---- */

struct creating {
    struct meeting_op op; /* first */
    const char *host_avatar_url;
    struct meeting_invitation *invitees;
    size_t invitee_count;
};

static void host_place(struct meeting_op *op, struct meeting_person *host)
{
    char *id = arena_alloc(op->call->arena, ID_SIZE);
    id_make(id);
    *host = (struct meeting_person){
        .id = id,
        .meeting_id = op->m.id,
        .user_id = op->m.host_id,
        .name = op->m.host_name,
        .avatar_url = ((struct creating *)op)->host_avatar_url,
        .role = MEETING__PARTICIPANT_ROLE__HOST,
        .state = MEETING__PARTICIPANT_STATE__INVITED,
    };
}

static enum err create_job(struct store_tx *tx, struct meeting_op *op)
{
    struct creating *c = (struct creating *)op;
    enum err err = meeting_store_insert(tx, &op->m);
    if (err)
        return err;
    host_place(op, &op->me);
    if ((err = meeting_store_put_person(tx, &op->me)))
        return err;
    if ((err = meeting_publish_tx(op, tx, "created", NULL, NULL)))
        return err;
    for (size_t i = 0; i < c->invitee_count; i++) {
        if ((err = meeting_invite_account(tx, op, &c->invitees[i])))
            return err;
    }
    op->reply = meeting_info(op->call->arena, &op->m, &op->me);
    return ERR_OK;
}

/* Fields of the request, checked. false after rpc_fail. */
static bool take_fields(struct meeting_op *op, const Meeting__CreateMeetingRequest *in)
{
    struct rpc_call *call = op->call;
    struct meeting_row *m = &op->m;
    m->title = take_title(call, in->title);
    m->description = m->title ? take_description(call, in->description) : NULL;
    m->capacity = in->capacity ? in->capacity : LIVE_GET(op->svc->deps.capacity_default);
    m->scheduled_start_ms = in->scheduled_start_ms;
    m->scheduled_end_ms = in->scheduled_end_ms;
    m->has_waiting_room = in->has_waiting_room;
    m->is_muted_on_entry = in->is_muted_on_entry;
    m->are_guests_allowed =
        in->_are_guests_allowed_case !=
            MEETING__CREATE_MEETING_REQUEST___ARE_GUESTS_ALLOWED_ARE_GUESTS_ALLOWED ||
        in->are_guests_allowed;
    m->can_participants_share =
        in->_can_participants_share_case !=
            MEETING__CREATE_MEETING_REQUEST___CAN_PARTICIPANTS_SHARE_CAN_PARTICIPANTS_SHARE ||
        in->can_participants_share;
    return m->description && check_capacity(call, m->capacity) &&
           check_times(call, m->scheduled_start_ms, m->scheduled_end_ms) &&
           (m->time_zone = zone_take(call, in->time_zone, NULL)) &&
           (m->password_hash = hash_password(op->svc, call, in->password));
}

/* The host's own name and picture, and those of who is invited. false after rpc_fail. */
static bool find_people(struct creating *c, const Meeting__CreateMeetingRequest *in)
{
    struct meeting_op *op = &c->op;
    struct meeting_account host = {.user_id = "", .name = ""};
    if (who_is_system(op->call)) {
        rpc_fail(op->call, ERR_PERMISSION_DENIED, "A meeting needs a host.");
        return false;
    }
    if (!meeting_find_account(op->svc, op->call, "me", &host))
        return false;
    op->m.host_id = host.user_id;
    op->m.host_name = host.name;
    c->host_avatar_url = host.avatar_url ? host.avatar_url : "";
    return meeting_take_invitees(op->svc, op->call, in->invite_user_ids, in->n_invite_user_ids,
                                 &c->invitees, &c->invitee_count);
}

void *meeting_do_create(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__CreateMeetingRequest *in)
{
    struct creating c = {.op = {.svc = svc, .call = call, .in = in, .fn = create_job}};
    struct meeting_row *m = &c.op.m;
    if (!take_fields(&c.op, in) || !find_people(&c, in))
        return NULL;
    char *id = arena_alloc(call->arena, ID_SIZE);
    char *code = arena_alloc(call->arena, ID_CODE_SIZE);
    id_make(id);
    id_code(code);
    m->id = id;
    m->code = code;
    m->created_at_ms = m->updated_at_ms = clock_wall_ms();
    return meeting_change(&c.op);
}

/* ---- look ---- */

static const char *const list_states[] = {"", "scheduled", "active", "ended", "upcoming"};

static enum err list_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__ListMeetingsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    struct page page;
    struct meeting_row *rows;
    size_t count;
    if (!page_parse(&page, in->limit, 50, 200, in->cursor))
        return meeting_refuse(op, ERR_INVALID_ARGUMENT, "cursor: not one of ours");
    enum err err = meeting_store_list(tx, arena, who_id(op->call), in->state, &page, &rows, &count);
    if (err)
        return err;
    Meeting__MeetingList *list = arena_new(arena, Meeting__MeetingList);
    meeting__meeting_list__init(list);
    bool is_more = count > (size_t)page.limit;
    list->n_meetings = is_more ? (size_t)page.limit : count;
    list->meetings = arena_array(arena, Meeting__MeetingInfo *, list->n_meetings);
    for (size_t i = 0; i < list->n_meetings; i++) {
        struct meeting_person me = {0};
        err = meeting_store_find_person(tx, arena, rows[i].id, who_id(op->call), &me);
        if (err)
            return err;
        list->meetings[i] = meeting_info(arena, &rows[i], &me);
    }
    if (is_more) {
        const struct meeting_row *last = &rows[page.limit - 1];
        list->next_cursor = page_cursor(arena, last->created_at_ms, last->id);
    }
    op->reply = list;
    return ERR_OK;
}

void *meeting_do_list(struct meeting_service *svc, struct rpc_call *call,
                      const Meeting__ListMeetingsRequest *in)
{
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LEN(list_states); i++)
        is_known = is_known || strcmp(in->state, list_states[i]) == 0;
    if (!is_known) {
        rpc_fail(call, ERR_INVALID_ARGUMENT,
                 "state: expected scheduled, active, ended or upcoming");
        return NULL;
    }
    struct meeting_op op = {.svc = svc, .call = call, .in = in, .fn = list_job};
    return meeting_look(&op);
}

static enum err get_job(struct store_tx *tx UNUSED, struct meeting_op *op)
{
    op->reply = meeting_info(op->call->arena, &op->m, &op->me);
    return ERR_OK;
}

void *meeting_do_get(struct meeting_service *svc, struct rpc_call *call,
                     const Meeting__GetMeetingRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .fn = get_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_PLACE};
    return meeting_look(&op);
}

static enum err preview_job(struct store_tx *tx, struct meeting_op *op)
{
    struct arena *arena = op->call->arena;
    Meeting__MeetingPreview *p = arena_new(arena, Meeting__MeetingPreview);
    meeting__meeting_preview__init(p);
    p->id = (char *)op->m.id;
    p->code = (char *)op->m.code;
    p->title = (char *)op->m.title;
    p->host_name = (char *)op->m.host_name;
    p->state = op->m.state;
    p->scheduled_start_ms = op->m.scheduled_start_ms;
    p->scheduled_end_ms = op->m.scheduled_end_ms;
    p->participant_count = (int32_t)op->m.present_count;
    p->has_password = op->m.password_hash[0] != '\0';
    p->has_waiting_room = op->m.has_waiting_room;
    p->is_locked = op->m.is_locked;
    p->are_guests_allowed = op->m.are_guests_allowed;
    p->is_full = op->m.present_count >= op->m.capacity;
    op->reply = p;
    if (!meeting_sees_people(op))
        return ERR_OK;
    struct meeting_person *people;
    size_t count;
    enum err err = meeting_store_people(tx, arena, op->m.id, MEETING__PARTICIPANT_STATE__ADMITTED,
                                        &people, &count);
    if (err)
        return err;
    p->participant_names = arena_array(arena, char *, 5);
    for (size_t i = 0; i < count && i < 5; i++)
        p->participant_names[p->n_participant_names++] = (char *)people[i].name;
    return ERR_OK;
}

void *meeting_do_preview(struct meeting_service *svc, struct rpc_call *call,
                         const Meeting__GetMeetingRequest *in)
{
    struct meeting_op op = {.svc = svc, .call = call, .fn = preview_job, .meeting_id = in->id};
    return meeting_look(&op);
}

/* ---- change ---- */

#define GIVEN(field) (in->_##field##_case != 0)

static enum err update_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__UpdateMeetingRequest *in = op->in;
    struct meeting_row *m = &op->m;
    if (m->state == MEETING__STATE__ENDED)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting has ended.");
    if (GIVEN(scheduled_start_ms))
        m->scheduled_start_ms = in->scheduled_start_ms;
    if (GIVEN(scheduled_end_ms))
        m->scheduled_end_ms = in->scheduled_end_ms;
    if (GIVEN(capacity))
        m->capacity = in->capacity;
    if (!check_times(op->call, m->scheduled_start_ms, m->scheduled_end_ms) ||
        !check_capacity(op->call, m->capacity))
        return ERR_INVALID_ARGUMENT;
    if (GIVEN(has_waiting_room))
        m->has_waiting_room = in->has_waiting_room;
    if (GIVEN(are_guests_allowed))
        m->are_guests_allowed = in->are_guests_allowed;
    if (GIVEN(is_muted_on_entry))
        m->is_muted_on_entry = in->is_muted_on_entry;
    if (GIVEN(can_participants_share))
        m->can_participants_share = in->can_participants_share;
    if (GIVEN(is_locked))
        m->is_locked = in->is_locked;
    if (GIVEN(title))
        m->title = in->title;
    if (GIVEN(description))
        m->description = in->description;
    if (GIVEN(time_zone))
        m->time_zone = in->time_zone;
    if (GIVEN(password))
        m->password_hash = in->password;
    enum err err = meeting_store_update(tx, m);
    if (!err)
        err = meeting_publish_tx(op, tx, "updated", NULL, NULL);
    int admitted, waiting;
    if (!err && !m->has_waiting_room) /* without it nobody waits, but for want of room */
        err = meeting_admit_tx(op, tx, NULL, &admitted, &waiting);
    op->reply = meeting_info(op->call->arena, m, &op->me);
    return err;
}

/* The copy that the job reads has every text checked, and the password hashed. */
void *meeting_do_update(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__UpdateMeetingRequest *in)
{
    Meeting__UpdateMeetingRequest checked = *in;
    if (GIVEN(title) && !(checked.title = take_title(call, in->title)))
        return NULL;
    if (GIVEN(description) && !(checked.description = take_description(call, in->description)))
        return NULL;
    if (GIVEN(time_zone) && !(checked.time_zone = zone_take(call, in->time_zone, NULL)))
        return NULL;
    if (GIVEN(password) && !(checked.password = (char *)hash_password(svc, call, in->password)))
        return NULL;
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = &checked,
                            .fn = update_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_change(&op);
}

static enum err delete_job(struct store_tx *tx, struct meeting_op *op)
{
    if (op->m.state == MEETING__STATE__ACTIVE)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "End the meeting first.");
    enum err err = meeting_publish_tx(op, tx, "deleted", NULL, NULL);
    if (!err)
        err =
            audit_publish_tx(op->svc->deps.bus, tx, op->call,
                             &(struct audit_note){.action = "meeting_deleted", .target = op->m.id});
    if (!err)
        err = meeting_store_delete(tx, op->m.id);
    Meeting__DeleteMeetingReply *reply = arena_new(op->call->arena, Meeting__DeleteMeetingReply);
    meeting__delete_meeting_reply__init(reply);
    op->reply = reply;
    return err;
}

void *meeting_do_delete(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__DeleteMeetingRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .fn = delete_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_HOST};
    return meeting_change(&op);
}

enum err meeting_start_tx(struct meeting_op *op, struct store_tx *tx)
{
    if (op->m.state != MEETING__STATE__SCHEDULED)
        return ERR_OK;
    enum err err = meeting_move(op, MEETING__STATE__ACTIVE);
    if (!err)
        err = meeting_store_update(tx, &op->m);
    return err ? err : meeting_publish_tx(op, tx, "started", NULL, NULL);
}

/* Everybody who is there has left when it ends; who only ever waited leaves no trace. */
static enum err leave_all(struct meeting_op *op, struct store_tx *tx)
{
    struct meeting_person *people;
    size_t count;
    enum err err = meeting_store_people(tx, op->call->arena, op->m.id, -1, &people, &count);
    for (size_t i = 0; i < count && !err; i++) {
        bool is_waiting = people[i].state == MEETING__PARTICIPANT_STATE__WAITING;
        if (!is_waiting && people[i].state != MEETING__PARTICIPANT_STATE__ADMITTED)
            continue;
        bool was_never_in = is_waiting && !people[i].left_at_ms;
        people[i].state = MEETING__PARTICIPANT_STATE__LEFT;
        people[i].left_at_ms = op->m.ended_at_ms;
        err = was_never_in ? meeting_store_delete_person(tx, people[i].id)
                           : meeting_store_put_person(tx, &people[i]);
        if (op->me.id && strcmp(op->me.id, people[i].id) == 0)
            op->me = people[i];
    }
    op->m.present_count = 0;
    return err;
}

enum err meeting_end_tx(struct meeting_op *op, struct store_tx *tx, const char *kind)
{
    enum err err = meeting_move(op, MEETING__STATE__ENDED);
    if (!err)
        err = meeting_store_update(tx, &op->m);
    if (!err)
        err = leave_all(op, tx);
    if (!err)
        err = meeting_store_drop_place(tx, op->m.id);
    return err ? err : meeting_publish_tx(op, tx, "ended", NULL, kind);
}

static enum err end_job(struct store_tx *tx, struct meeting_op *op)
{
    enum err err = meeting_end_tx(op, tx, "");
    op->reply = meeting_info(op->call->arena, &op->m, &op->me);
    return err;
}

void *meeting_do_end(struct meeting_service *svc, struct rpc_call *call,
                     const Meeting__EndMeetingRequest *in)
{
    struct meeting_op op = {
        .svc = svc, .call = call, .fn = end_job, .meeting_id = in->id, .needs = MEETING_NEEDS_HOST};
    return meeting_change(&op);
}

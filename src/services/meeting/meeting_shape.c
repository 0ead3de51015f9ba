/* Rows as messages. Texts are borrowed from the arena that the rows live in. */
#include "services/meeting/meeting_internal.h"

Meeting__MeetingInfo *meeting_info(struct arena *arena, const struct meeting_row *m,
                                   const struct meeting_person *me)
{
    Meeting__MeetingInfo *info = arena_new(arena, Meeting__MeetingInfo);
    meeting__meeting_info__init(info);
    info->id = (char *)m->id;
    info->code = (char *)m->code;
    info->title = (char *)m->title;
    info->description = (char *)m->description;
    info->host_id = (char *)m->host_id;
    info->host_name = (char *)m->host_name;
    info->state = m->state;
    info->scheduled_start_ms = m->scheduled_start_ms;
    info->scheduled_end_ms = m->scheduled_end_ms;
    info->time_zone = (char *)m->time_zone;
    info->created_at_ms = m->created_at_ms;
    info->started_at_ms = m->started_at_ms;
    info->ended_at_ms = m->ended_at_ms;
    info->capacity = (int32_t)m->capacity;
    info->participant_count = (int32_t)m->present_count;
    info->has_password = m->password_hash[0] != '\0';
    info->has_waiting_room = m->has_waiting_room;
    info->is_locked = m->is_locked;
    info->are_guests_allowed = m->are_guests_allowed;
    info->is_muted_on_entry = m->is_muted_on_entry;
    info->can_participants_share = m->can_participants_share;
    if (me && me->id) {
        info->my_role = me->role;
        info->my_state = me->state;
        info->my_participant_id = (char *)me->id;
    }
    return info;
}

/* As media names its sources. */
static const char *const streams[] = {"microphone", "camera", "screen", "screen_audio"};

Meeting__Participant *meeting_participant(struct arena *arena, const struct meeting_person *p)
{
    Meeting__Participant *shape = arena_new(arena, Meeting__Participant);
    meeting__participant__init(shape);
    shape->id = (char *)p->id;
    shape->meeting_id = (char *)p->meeting_id;
    shape->user_id = (char *)p->user_id;
    shape->name = (char *)p->name;
    shape->avatar_url = (char *)p->avatar_url;
    shape->role = p->role;
    shape->state = p->state;
    shape->is_guest = p->is_guest;
    shape->joined_at_ms = p->joined_at_ms;
    shape->left_at_ms = p->left_at_ms;
    shape->connected_at_ms = p->connected_at_ms;
    shape->attended_ms = p->attended_ms;
    if (p->connected_at_ms)
        shape->attended_ms += MAX(clock_wall_ms() - p->connected_at_ms, 0);
    shape->streams = arena_array(arena, char *, ARRAY_LEN(streams));
    for (unsigned i = 0; i < ARRAY_LEN(streams); i++)
        if (p->streams & 1u << i)
            shape->streams[shape->n_streams++] = (char *)streams[i];
    return shape;
}

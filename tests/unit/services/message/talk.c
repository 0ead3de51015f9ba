/* talk: see talk.h. */
#include "talk.h"

#include <stdio.h>

const Message__SendMessageReply *send_it(struct world *w, const struct identity *who,
                                         Message__SendMessageRequest in)
{
    char fresh[ID_SIZE];
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = "hello";
    if (!in.content && !in.forward_seq)
        in.content = &content;
    if (!in.client_msg_id || !in.client_msg_id[0]) {
        id_make(fresh);
        in.client_msg_id = fresh;
    }
    return ask(w, w->message, "SendMessage", &in, who);
}

static const Message__SendMessageReply *send_text(struct world *w, const struct identity *who,
                                                  Message__SendMessageRequest in, const char *text,
                                                  const char *client_msg_id)
{
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.text = (char *)text;
    in.content = &content;
    in.client_msg_id = (char *)(client_msg_id ? client_msg_id : "");
    return send_it(w, who, in);
}

const Message__SendMessageReply *say(struct world *w, const struct identity *who, const char *id,
                                     const char *text, const char *client_msg_id)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.conversation_id = (char *)id;
    return send_text(w, who, in, text, client_msg_id);
}

const Message__SendMessageReply *tell(struct world *w, const struct identity *who,
                                      const struct identity *to, const char *text,
                                      const char *client_msg_id)
{
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.to_user_id = (char *)to->user_id;
    return send_text(w, who, in, text, client_msg_id);
}

const Message__Conversation *look(struct world *w, const struct identity *who, const char *id)
{
    Message__GetConversationRequest in = MESSAGE__GET_CONVERSATION_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->message, "GetConversation", &in, who);
}

const Message__MessageHistory *history(struct world *w, const struct identity *who, const char *id)
{
    Message__GetMessageHistoryRequest in = MESSAGE__GET_MESSAGE_HISTORY_REQUEST__INIT;
    in.id = (char *)id;
    in.limit = 200;
    return ask(w, w->message, "GetMessageHistory", &in, who);
}

char *texts_of(const Message__MessageHistory *h, char *out, size_t size)
{
    size_t n = 0;
    assert_non_null(h);
    out[0] = 0;
    for (size_t i = 0; i < h->n_messages && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? "|" : "",
                              h->messages[i]->recalled_at_ms ? "(recalled)"
                                                             : h->messages[i]->content->text);
    return out;
}

const Message__MessageInfo *pin_it(struct world *w, const struct identity *who, const char *id,
                                   int64_t seq, bool is_removed)
{
    Message__PinRequest in = MESSAGE__PIN_REQUEST__INIT;
    in.id = (char *)id;
    in.seq = seq;
    in.is_removed = is_removed;
    return ask(w, w->message, "Pin", &in, who);
}

const Message__MarkReply *mark_read(struct world *w, const struct identity *who, const char *id,
                                    int64_t seq)
{
    Message__MarkAsReadRequest in = MESSAGE__MARK_AS_READ_REQUEST__INIT;
    in.id = (char *)id;
    in.seq = seq;
    return ask(w, w->message, "MarkAsRead", &in, who);
}

const Message__ChangeList *changes(struct world *w, const struct identity *who, const char *id,
                                   int64_t after_rev)
{
    Message__GetChangesRequest in = MESSAGE__GET_CHANGES_REQUEST__INIT;
    in.id = (char *)id;
    in.after_rev = after_rev;
    return ask(w, w->message, "GetChanges", &in, who);
}

char *types_of(const Message__ChangeList *list, char *out, size_t size)
{
    size_t n = 0;
    assert_non_null(list);
    out[0] = 0;
    for (size_t i = 0; i < list->n_changes && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s:%lld", i ? " " : "", list->changes[i]->type,
                              (long long)list->changes[i]->rev);
    return out;
}

const Message__Conversation *make_group(struct world *w, const struct identity *who,
                                        Group__CreateGroupRequest in,
                                        const struct identity *const *members)
{
    char *ids[256];
    for (; members && members[in.n_user_ids]; in.n_user_ids++)
        ids[in.n_user_ids] = (char *)members[in.n_user_ids]->user_id;
    in.user_ids = ids;
    if (in.kind == MESSAGE__CONVERSATION_KIND__DIRECT)
        in.kind = MESSAGE__CONVERSATION_KIND__GROUP;
    if (!in.title[0])
        in.title = "A group";
    return ask(w, w->group, "CreateGroup", &in, who);
}

const Group__AddMembersReply *add_member(struct world *w, const struct identity *who,
                                         const char *id, const struct identity *other)
{
    Group__AddMembersRequest in = GROUP__ADD_MEMBERS_REQUEST__INIT;
    char *ids[] = {(char *)other->user_id};
    in.id = (char *)id;
    in.user_ids = ids;
    in.n_user_ids = 1;
    return ask(w, w->group, "AddMembers", &in, who);
}

bool leave_group(struct world *w, const struct identity *who, const char *id)
{
    Group__LeaveGroupRequest in = GROUP__LEAVE_GROUP_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->group, "LeaveGroup", &in, who) != NULL;
}

const Message__Conversation *join_group(struct world *w, const struct identity *who, const char *id)
{
    Group__JoinGroupRequest in = GROUP__JOIN_GROUP_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->group, "JoinGroup", &in, who);
}

const Contact__ContactInfo *block(struct world *w, const struct identity *who,
                                  const struct identity *other, bool is_blocked)
{
    Contact__SetContactRequest in = CONTACT__SET_CONTACT_REQUEST__INIT;
    in.user_id = (char *)other->user_id;
    in._is_blocked_case = CONTACT__SET_CONTACT_REQUEST___IS_BLOCKED_IS_BLOCKED;
    in.is_blocked = is_blocked;
    return ask(w, w->contact, "SetContact", &in, who);
}

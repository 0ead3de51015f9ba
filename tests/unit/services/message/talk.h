/* talk: short forms of the message, group and contact services' RPCs for tests over a world. All
 * answer NULL when refused; why is in `answer`. */
#pragma once

#include "../world.h"

#include "contact.pb-c.h"
#include "group.pb-c.h"
#include "message.pb-c.h"

/* A text into a conversation; client_msg_id NULL: a new one. */
const Message__SendMessageReply *say(struct world *w, const struct identity *who, const char *id,
                                     const char *text, const char *client_msg_id);
/* The same to a person. */
const Message__SendMessageReply *tell(struct world *w, const struct identity *who,
                                      const struct identity *to, const char *text,
                                      const char *client_msg_id);
/* Any request; content NULL: the text "hello" if it forwards nothing; client_msg_id "": a new one.
 */
const Message__SendMessageReply *send_it(struct world *w, const struct identity *who,
                                         Message__SendMessageRequest in);
const Message__Conversation *look(struct world *w, const struct identity *who, const char *id);
/* The newest 200. */
const Message__MessageHistory *history(struct world *w, const struct identity *who, const char *id);
/* Texts of a history, joined by '|'; "(recalled)" for what was. */
char *texts_of(const Message__MessageHistory *h, char *out, size_t size);
const Message__MessageInfo *pin_it(struct world *w, const struct identity *who, const char *id,
                                   int64_t seq, bool is_removed);
const Message__MarkReply *mark_read(struct world *w, const struct identity *who, const char *id,
                                    int64_t seq);
const Message__ChangeList *changes(struct world *w, const struct identity *who, const char *id,
                                   int64_t after_rev);
/* Types of changes, joined by spaces, each with its rev: "member:2 message:3". */
char *types_of(const Message__ChangeList *list, char *out, size_t size);

/* members ends with NULL. */
const Message__Conversation *make_group(struct world *w, const struct identity *who,
                                        Group__CreateGroupRequest in,
                                        const struct identity *const *members);
#define MEMBERS(...) ((const struct identity *const[]){__VA_ARGS__, NULL})
const Group__AddMembersReply *add_member(struct world *w, const struct identity *who,
                                         const char *id, const struct identity *other);
bool leave_group(struct world *w, const struct identity *who, const char *id);
const Message__Conversation *join_group(struct world *w, const struct identity *who,
                                        const char *id);
const Contact__ContactInfo *block(struct world *w, const struct identity *who,
                                  const struct identity *other, bool is_blocked);

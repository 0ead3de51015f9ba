/* group_internal: what the files of groups share (group*.c), and others ask of them. */
#pragma once

#include "services/message/message_op.h"

#include "group.pb-c.h"

/* ---- group.c ---- */
/* What only groups and channels have; ERR_FAILED_PRECONDITION after message_refuse for others. */
enum err group_check(struct message_op *op);
/* A member as it comes in: what it may read of what was there before. In op's arena. */
struct message_member group_newcomer(const struct message_op *op, const char *user_id);
/* Is there room for one more? */
enum err group_check_room(struct message_op *op);

/* Out, by oneself or by another. Only of who is a member, or asks to be. */
enum err group_let_go(struct store_tx *tx, struct message_op *op, struct message_member *m,
                      Message__MemberState state);

/* op->me leaves whatever its place: who owned the group hands it to the highest, longest member. */
enum err group_leave_for_good(struct store_tx *tx, struct message_op *op);

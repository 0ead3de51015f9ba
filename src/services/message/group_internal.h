/* group_internal: what the files of groups share (group*.c), and others ask of them. */
#pragma once

#include "services/message/message_op.h"

#include "group.pb-c.h"

/* ---- group.c ---- */
/* What only groups and channels have; ERR_FAILED_PRECONDITION after message_refuse for others. */
enum err group_check(struct message_op *op);
/* A member as it comes in: what it may read of what was there before. In op's arena. */
struct message_member group_newcomer(const struct message_op *op, const char *user_id);
/* Comes in: stored, counted, told. ERR_RESOURCE_EXHAUSTED after message_refuse: it is full. */
enum err group_let_in(struct store_tx *tx, struct message_op *op, const char *user_id,
                      struct message_member *out);
/* The caller, who is no member, asks to come in. */
enum err group_ask(struct store_tx *tx, struct message_op *op);
/* Is there room for one more? */
enum err group_check_room(struct message_op *op);

/* Out, by oneself or by another. Only of who is a member, or asks to be. */
enum err group_let_go(struct store_tx *tx, struct message_op *op, struct message_member *m,
                      Message__MemberState state);

/* op->me leaves whatever its place: who owned the group hands it to the highest, longest member. */
enum err group_leave_for_good(struct store_tx *tx, struct message_op *op);

/* ---- group_invitations.c ---- */
/* Does op->me bring people in, at once or by invitation? */
bool group_may_add(const struct message_op *op);
/* Is this one to be asked before being added by the caller? */
bool group_is_asked_first(struct store_tx *tx, const struct message_op *op, const char *user_id);
/* Offers an invitation by the caller and tells of it; the one that stands, if it is the caller's.
 * *out NULL: this person is not to be invited. */
enum err group_invite(struct store_tx *tx, struct message_op *op, const char *user_id,
                      const char *note, Message__Invitation **out);
/* Somebody came in, by whatever way. */
enum err group_forget_invitation(struct store_tx *tx, int64_t num, const char *user_id);
/* After a change of op->c, or of a member: those whose makers might not invite any more are over;
 * what was declined stays so. */
enum err group_prune_invitations(struct store_tx *tx, struct message_op *op);
/* Somebody blocks somebody. */
enum err group_drop_invitations_by(struct store_tx *tx, const char *user_id,
                                   const char *inviter_id);
/* Those that wait for this person's answer, the newest first; one more than limit if there are
 * more. */
struct page;
enum err group_list_invitations(struct store_tx *tx, const struct message_op *op,
                                const struct page *page, Message__Invitation ***list,
                                size_t *count);
/* What has ended, of invitations and links. */
enum err group_purge_invitations(struct store_tx *tx);

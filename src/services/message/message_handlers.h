/* message_handlers: which handlers there are, by file, and the tables of message_rpc.c that name
 * them.
 */
#pragma once

#include "core/base.h"

#include "contact.pb-c.h"
#include "group.pb-c.h"
#include "message.pb-c.h"
#include "webhook.pb-c.h"

/* ---- tables ---- */
extern const Message__Message_Service message_rpc_table;
extern const Group__Group_Service group_rpc_table;
extern const Contact__Contact_Service contact_rpc_table;
extern const Webhook__Webhook_Service webhook_rpc_table;

/* ---- handlers, by file; they begin and end in an operation ---- */
#define MESSAGE_HANDLER(name, Request, Reply)                              \
    void name(Message__Message_Service *rpc, const Message__##Request *in, \
              Message__##Reply##_Closure closure, void *data)
#define GROUP_HANDLER(name, Request, Reply)                                                   \
    void name(Group__Group_Service *rpc, const Group__##Request *in, Reply##_Closure closure, \
              void *data)
#define CONTACT_HANDLER(name, Request, Reply)                              \
    void name(Contact__Contact_Service *rpc, const Contact__##Request *in, \
              Contact__##Reply##_Closure closure, void *data)
#define MESSAGE_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, rpc)
#define GROUP_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, group_rpc)
#define CONTACT_OF(rpc_) CONTAINER_OF(rpc_, struct message_service, contact_rpc)

/* message_send.c */
MESSAGE_HANDLER(message_on_send, SendMessageRequest, SendMessageReply);
MESSAGE_HANDLER(message_on_send_group, SendGroupMessageRequest, SendMessageReply);
/* message_note.c */
MESSAGE_HANDLER(message_on_note, AppendNoteRequest, SendMessageReply);
/* message_push.c */
MESSAGE_HANDLER(message_on_push_targets, GetPushTargetsRequest, PushTargets);
/* message_call.c */
MESSAGE_HANDLER(message_on_start_call, StartCallRequest, StartCallReply);
/* message_edit.c */
MESSAGE_HANDLER(message_on_edit, EditMessageRequest, MessageInfo);
MESSAGE_HANDLER(message_on_recall, RecallMessageRequest, MessageInfo);
MESSAGE_HANDLER(message_on_delete_for_me, DeleteForMeRequest, DeleteForMeReply);
/* message_mark.c */
MESSAGE_HANDLER(message_on_react, ReactRequest, MessageInfo);
MESSAGE_HANDLER(message_on_pin, PinRequest, MessageInfo);
/* message_own.c */
MESSAGE_HANDLER(message_on_mark_read, MarkAsReadRequest, MarkReply);
MESSAGE_HANDLER(message_on_mark_delivered, MarkDeliveredRequest, MarkReply);
MESSAGE_HANDLER(message_on_receipts, GetReceiptsRequest, Receipts);
MESSAGE_HANDLER(message_on_set_own, SetOwnRequest, Conversation);
/* message_read.c */
MESSAGE_HANDLER(message_on_conversations, GetConversationsRequest, ConversationList);
MESSAGE_HANDLER(message_on_conversation, GetConversationRequest, Conversation);
MESSAGE_HANDLER(message_on_history, GetMessageHistoryRequest, MessageHistory);
MESSAGE_HANDLER(message_on_unread, GetUnreadMessagesRequest, UnreadMessages);
/* message_audience.c */
MESSAGE_HANDLER(message_on_memberships, GetMembershipsRequest, Memberships);
MESSAGE_HANDLER(message_on_relations, GetRelationsRequest, Relations);
MESSAGE_HANDLER(message_on_work, WorkRequest, WorkReply);
/* message_sync.c */
MESSAGE_HANDLER(message_on_changes, GetChangesRequest, ChangeList);
MESSAGE_HANDLER(message_on_sync, SyncRequest, SyncReply);
MESSAGE_HANDLER(message_on_heads, GetHeadsRequest, HeadList);
/* message_typing.c */
MESSAGE_HANDLER(message_on_typing, SetTypingRequest, SetTypingReply);
/* message_schedule.c */
MESSAGE_HANDLER(message_on_scheduled, ListScheduledRequest, ScheduledList);
MESSAGE_HANDLER(message_on_cancel_scheduled, CancelScheduledRequest, CancelScheduledReply);
/* message_search.c */
MESSAGE_HANDLER(message_on_search, SearchRequest, SearchReply);
/* group.c, group_members.c */
GROUP_HANDLER(group_on_create, CreateGroupRequest, Message__Conversation);
GROUP_HANDLER(group_on_update, UpdateGroupRequest, Message__Conversation);
GROUP_HANDLER(group_on_dissolve, DissolveGroupRequest, Group__GroupReply);
GROUP_HANDLER(group_on_list_members, ListMembersRequest, Group__MemberList);
GROUP_HANDLER(group_on_add, AddMembersRequest, Group__AddMembersReply);
GROUP_HANDLER(group_on_join, JoinGroupRequest, Message__Conversation);
GROUP_HANDLER(group_on_leave, LeaveGroupRequest, Group__GroupReply);
GROUP_HANDLER(group_on_set_member, SetMemberRequest, Message__Member);
GROUP_HANDLER(group_on_remove, RemoveMemberRequest, Group__GroupReply);
GROUP_HANDLER(group_on_unban, UnbanMemberRequest, Group__GroupReply);
/* group_invitations.c */
GROUP_HANDLER(group_on_invite, InviteMembersRequest, Group__InviteMembersReply);
GROUP_HANDLER(group_on_list_own_invitations, ListInvitationsRequest, Group__InvitationList);
GROUP_HANDLER(group_on_list_invitations, ListGroupInvitationsRequest, Group__InvitationList);
GROUP_HANDLER(group_on_answer, AnswerInvitationRequest, Group__AnswerInvitationReply);
GROUP_HANDLER(group_on_revoke, RevokeInvitationRequest, Group__GroupReply);
/* group_links.c */
GROUP_HANDLER(group_on_create_link, CreateInviteLinkRequest, Group__InviteLink);
GROUP_HANDLER(group_on_list_links, ListInviteLinksRequest, Group__InviteLinkList);
GROUP_HANDLER(group_on_revoke_link, RevokeInviteLinkRequest, Group__GroupReply);
GROUP_HANDLER(group_on_look_at_link, LookAtInviteLinkRequest, Group__InviteLinkView);
GROUP_HANDLER(group_on_join_by_link, JoinByLinkRequest, Message__Conversation);
/* contact.c */
CONTACT_HANDLER(contact_on_list, ListContactsRequest, ContactList);
CONTACT_HANDLER(contact_on_request, RequestContactRequest, ContactInfo);
CONTACT_HANDLER(contact_on_answer, AnswerContactRequest, ContactInfo);
CONTACT_HANDLER(contact_on_set, SetContactRequest, ContactInfo);
CONTACT_HANDLER(contact_on_remove, RemoveContactRequest, RemoveContactReply);

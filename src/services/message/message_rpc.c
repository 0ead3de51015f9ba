/* Which handler answers which RPC. */
#include "services/message/webhook.h"

const Message__Message_Service message_rpc_table = {
    .base = MESSAGE__MESSAGE__BASE_INIT,
    .send_message = message_on_send,
    .send_group_message = message_on_send_group,
    .edit_message = message_on_edit,
    .recall_message = message_on_recall,
    .delete_for_me = message_on_delete_for_me,
    .react = message_on_react,
    .pin = message_on_pin,
    .list_scheduled = message_on_scheduled,
    .cancel_scheduled = message_on_cancel_scheduled,
    .get_conversations = message_on_conversations,
    .get_conversation = message_on_conversation,
    .get_message_history = message_on_history,
    .get_unread_messages = message_on_unread,
    .mark_as_read = message_on_mark_read,
    .mark_delivered = message_on_mark_delivered,
    .get_receipts = message_on_receipts,
    .set_own = message_on_set_own,
    .get_changes = message_on_changes,
    .sync = message_on_sync,
    .search = message_on_search,
    .start_call = message_on_start_call,
    .get_file = message_on_file,
    .get_file_thumbnail = message_on_file_thumbnail,
    .append_note = message_on_note,
    .get_push_targets = message_on_push_targets,
    .get_memberships = message_on_memberships,
    .get_heads = message_on_heads,
    .get_relations = message_on_relations,
};

const Group__Group_Service group_rpc_table = {
    .base = GROUP__GROUP__BASE_INIT,
    .create_group = group_on_create,
    .update_group = group_on_update,
    .dissolve_group = group_on_dissolve,
    .list_members = group_on_list_members,
    .add_members = group_on_add,
    .join_group = group_on_join,
    .leave_group = group_on_leave,
    .set_member = group_on_set_member,
    .remove_member = group_on_remove,
    .unban_member = group_on_unban,
};

const Contact__Contact_Service contact_rpc_table = {
    .base = CONTACT__CONTACT__BASE_INIT,
    .list_contacts = contact_on_list,
    .request_contact = contact_on_request,
    .answer_contact = contact_on_answer,
    .set_contact = contact_on_set,
    .remove_contact = contact_on_remove,
};

const Webhook__Webhook_Service webhook_rpc_table = {
    .base = WEBHOOK__WEBHOOK__BASE_INIT,
    .create_webhook = webhook_on_create,
    .list_webhooks = webhook_on_list,
    .enable_webhook = webhook_on_enable,
    .delete_webhook = webhook_on_delete,
    .post_webhook = webhook_on_post,
    .get_delivery = webhook_on_get_delivery,
    .report_delivery = webhook_on_report,
};

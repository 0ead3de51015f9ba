/*
 * user_rpc: the handlers. Each checks who asks, lets a domain file do the work, and ends with the
 * one closure. A domain function returns NULL after it has said why with rpc_fail.
 */
#include "services/common/who.h"
#include "services/user/user_internal.h"

static struct user_service *service_of(User__User_Service *rpc)
{
    return CONTAINER_OF(rpc, struct user_service, rpc);
}

static void on_register(User__User_Service *rpc, const User__RegisterRequest *in,
                        User__Profile_Closure closure, void *data)
{
    /* Anybody may ask; the mode of registration decides. */
    closure(user_register(service_of(rpc), data, in), data);
}

static void on_get_user(User__User_Service *rpc, const User__GetUserRequest *in,
                        User__Profile_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? user_get(service_of(rpc), data, in->id) : NULL, data);
}

static void on_get_user_by_id(User__User_Service *rpc, const User__GetUserByIDRequest *in,
                              User__Credentials_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? user_credentials(service_of(rpc), data, in->login) : NULL, data);
}

static void on_update_user(User__User_Service *rpc, const User__UpdateUserRequest *in,
                           User__Profile_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? user_update(service_of(rpc), data, in) : NULL, data);
}

static void on_erase_user(User__User_Service *rpc, const User__EraseUserRequest *in,
                          User__EraseUserReply_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? user_erase(service_of(rpc), data, in->id) : NULL, data);
}

static void on_set_password(User__User_Service *rpc, const User__SetPasswordRequest *in,
                            User__SetPasswordReply_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed ? user_set_password(service_of(rpc), data, in) : NULL, data);
}

static void on_search_users(User__User_Service *rpc, const User__SearchUsersRequest *in,
                            User__UserList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? user_search(service_of(rpc), data, in) : NULL, data);
}

static void on_create_bot(User__User_Service *rpc, const User__CreateBotRequest *in,
                          User__Profile_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER) && who_require_person(data) &&
                      (!in->owner_id[0] || who_require_system(data));
    closure(is_allowed ? user_create_bot(service_of(rpc), data, in) : NULL, data);
}

static void on_list_bots(User__User_Service *rpc, const User__ListBotsRequest *in UNUSED,
                         User__UserList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? user_list_bots(service_of(rpc), data) : NULL, data);
}

static void on_delete_bot(User__User_Service *rpc, const User__DeleteBotRequest *in,
                          User__DeleteBotReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER) && who_require_person(data);
    closure(is_allowed ? user_delete_bot(service_of(rpc), data, in->id) : NULL, data);
}

static void on_create_invitation(User__User_Service *rpc, const User__CreateInvitationRequest *in,
                                 User__Invitation_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? user_invite(service_of(rpc), data, in) : NULL, data);
}

static void on_list_invitations(User__User_Service *rpc, const User__ListInvitationsRequest *in,
                                User__InvitationList_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? user_list_invitations(service_of(rpc), data) : NULL, data);
}

static void on_delete_invitation(User__User_Service *rpc, const User__DeleteInvitationRequest *in,
                                 User__DeleteInvitationReply_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_ADMIN);
    closure(is_allowed ? user_delete_invitation(service_of(rpc), data, in->code) : NULL, data);
}

static void on_put_avatar(User__User_Service *rpc, const User__PutAvatarRequest *in,
                          User__Profile_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? user_put_avatar(service_of(rpc), data, in) : NULL, data);
}

static void on_get_avatar(User__User_Service *rpc, const User__GetAvatarRequest *in,
                          User__Avatar_Closure closure, void *data)
{
    /* Anybody with the address, which holds an unguessable version. */
    closure(user_get_avatar(service_of(rpc), data, in), data);
}

const User__User_Service user_rpc_table = USER__USER__INIT(on_);

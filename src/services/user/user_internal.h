/* user_internal: what the files of this service share. */
#pragma once

#include "services/common/page.h"
#include "services/user/user.h"
#include "user.pb-c.h"

struct user_service {
    User__User_Service rpc; /* first: handlers get it back by CONTAINER_OF */
    struct user_deps deps;
    struct password_hasher *hasher;
};

/* ---- user_store.c: rows ---- */

/* Texts live in the arena of the call that read them. */
struct user_row {
    const char *id, *username;
    const char *nickname;
    const char *email; /* "" for none, as all optional texts */
    const char *phone;
    const char *avatar_version, *avatar_type;
    const char *description, *locale, *time_zone;
    const char *owner_id; /* of a bot; "" for people */
    enum identity_role role;
    bool is_disabled;
    const char *password_hash;
    int64_t password_changed_at_ms, created_at_ms, updated_at_ms;
};

struct user_invitation {
    const char *code, *email, *created_by, *used_by;
    int64_t created_at_ms, expires_at_ms;
};

/* The find functions: ERR_NOT_FOUND when there is none. */
enum err user_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                         struct user_row *out);
/* By id, else by e-mail (when there is an '@'), else by name. */
enum err user_store_find_login(struct store_tx *tx, struct arena *arena, const char *login,
                               struct user_row *out);
/* Counts the new account; *ordinal is 1 for the first one ever. Serialises registrations. */
enum err user_store_count_in(struct store_tx *tx, int64_t *ordinal);
enum err user_store_is_empty(struct store_tx *tx, bool *is_empty);
/* ERR_ALREADY_EXISTS with *taken "username" or "email". */
enum err user_store_insert(struct store_tx *tx, struct arena *arena, const struct user_row *row,
                           const char **taken);
/* All columns but password and birth. Errors as above. */
enum err user_store_update(struct store_tx *tx, struct arena *arena, const struct user_row *row,
                           const char **taken);
/* ERR_ABORTED when the hash is not `former` any more. */
enum err user_store_set_password(struct store_tx *tx, const char *id, const char *hash,
                                 const char *former, int64_t changed_at_ms);
/* Administrators who can sign in, besides this one. */
enum err user_store_count_other_admins(struct store_tx *tx, const char *id, int64_t *count);
/* One row more than page->limit if there is a further page. is_full: disabled accounts too, and by
 * e-mail. */
struct user_search {
    const char *folded, *after_username;
    const struct page *page;
    bool is_full;
};
enum err user_store_search(struct store_tx *tx, struct arena *arena, const struct user_search *s,
                           struct user_row **rows, size_t *count);

/* A person's bots that are not deleted, by name. */
enum err user_store_list_bots(struct store_tx *tx, struct arena *arena, const char *owner_id,
                              size_t max, struct user_row **rows, size_t *count);
/* The name (nobody can sign in by, and others may take), the password, and the addresses of
 * invitations that brought the account or that it gave. */
enum err user_store_forget(struct store_tx *tx, const char *id);
enum err user_store_add_invitation(struct store_tx *tx, const struct user_invitation *inv);
/* ERR_NOT_FOUND: no such code, used, or expired. */
enum err user_store_check_invitation(struct store_tx *tx, const char *code, int64_t now_ms);
enum err user_store_use_invitation(struct store_tx *tx, const char *code, const char *user_id,
                                   int64_t now_ms);
enum err user_store_list_invitations(struct store_tx *tx, struct arena *arena,
                                     struct user_invitation **list, size_t *count);
enum err user_store_delete_invitation(struct store_tx *tx, const char *code);

/* ---- user_fields.c: what may stand in a profile. NULL after rpc_fail. ---- */
char *user_take_username(struct rpc_call *call, const char *value);
char *user_take_nickname(struct rpc_call *call, const char *value);
char *user_take_email(struct rpc_call *call, const char *value); /* "" is allowed */
char *user_take_phone(struct rpc_call *call, const char *value); /* "" is allowed */
char *user_take_description(struct rpc_call *call, const char *value);
char *user_take_locale(struct rpc_call *call, const char *value); /* "" becomes "en" */
char *user_take_time_zone(struct rpc_call *call, const char *value,
                          const char *zoneinfo_dir); /* "" becomes "UTC" */
char *user_take_password(struct rpc_call *call, const char *value);

/* ---- user_events.c: what others hear ---- */
enum err user_publish_tx(struct user_service *svc, struct store_tx *tx, const struct rpc_call *call,
                         const char *type, const struct user_row *row);

/* ---- domain: replies live in the call's arena; NULL after rpc_fail ---- */

/* user_profile.c */
User__Profile *user_profile(struct rpc_call *call, const struct user_row *row);
User__Profile *user_get(struct user_service *svc, struct rpc_call *call, const char *id);
User__Profile *user_update(struct user_service *svc, struct rpc_call *call,
                           const User__UpdateUserRequest *in);
User__UserList *user_search(struct user_service *svc, struct rpc_call *call,
                            const User__SearchUsersRequest *in);
/* user_account.c */
User__Profile *user_register(struct user_service *svc, struct rpc_call *call,
                             const User__RegisterRequest *in);
User__Credentials *user_credentials(struct user_service *svc, struct rpc_call *call,
                                    const char *login);
User__SetPasswordReply *user_set_password(struct user_service *svc, struct rpc_call *call,
                                          const User__SetPasswordRequest *in);
User__Invitation *user_invite(struct user_service *svc, struct rpc_call *call,
                              const User__CreateInvitationRequest *in);
User__InvitationList *user_list_invitations(struct user_service *svc, struct rpc_call *call);
User__DeleteInvitationReply *user_delete_invitation(struct user_service *svc, struct rpc_call *call,
                                                    const char *code);
/* user_bot.c */
User__Profile *user_create_bot(struct user_service *svc, struct rpc_call *call,
                               const User__CreateBotRequest *in);
User__UserList *user_list_bots(struct user_service *svc, struct rpc_call *call);
User__DeleteBotReply *user_delete_bot(struct user_service *svc, struct rpc_call *call,
                                      const char *id);
/* Is it the caller's own account, a bot of the caller's, or anybody's to an administrator? false
 * after rpc_fail. */
bool user_may_change(struct user_service *svc, struct rpc_call *call, const char *id);
/* user_avatar.c */
User__Profile *user_put_avatar(struct user_service *svc, struct rpc_call *call,
                               const User__PutAvatarRequest *in);
User__Avatar *user_get_avatar(struct user_service *svc, struct rpc_call *call,
                              const User__GetAvatarRequest *in);
/* Best effort: an old picture that stays does no harm. */
void user_drop_avatar(struct user_service *svc, const char *id, const char *version);

/* The picture is gone when this is ERR_OK. */
enum err user_delete_avatar(struct user_service *svc, const char *id, const char *version);
/* user_erase.c */
User__EraseUserReply *user_erase(struct user_service *svc, struct rpc_call *call, const char *id);
void user_erase_start(struct user_service *svc);

/* ---- user_rpc.c ---- */
extern const User__User_Service user_rpc_table;

/* Reads one account; for the domain files. false after rpc_fail. */
bool user_load(struct user_service *svc, struct rpc_call *call, const char *id,
               struct user_row *out);
/* "me" and "" name the caller. NULL after rpc_fail when it is no id. */
const char *user_resolve_id(struct rpc_call *call, const char *id);

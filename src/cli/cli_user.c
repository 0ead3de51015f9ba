/*
 * user: accounts from the machine itself, when nobody can sign in (or to make the first
 * administrator by script). A running server does the work itself; without one it is done in the
 * data directory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_tool.h"
#include "cli/cli.h"
#include "core/id.h"
#include "core/log.h"
#include "user.pb-c.h"

#define PASSWORD_MADE_CHARS 16
#define LINE_MAX_BYTES 1024
#define PAGE 100

struct job {
    struct app_tool *tool;
    struct rpc_call *call;
    int argc;
    char **argv; /* argv[0] is the action */
    const char *email;
    bool is_admin;
};

static enum err fail(struct job *j, const char *message)
{
    fprintf(stderr, "parlance user: %s\n", message);
    return j->call->err ? j->call->err : ERR_INVALID_ARGUMENT;
}

static enum err fail_call(struct job *j)
{
    return fail(j, j->call->message);
}

/* From a terminal without showing it, else the first line of standard input. */
static bool read_password(char out[LINE_MAX_BYTES])
{
    struct termios before, silent;
    bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fputs("Password (empty: make one): ", stderr);
    }
    bool is_read = fgets(out, LINE_MAX_BYTES, stdin) != NULL;
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!is_read)
        out[0] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return is_read;
}

/* What was typed, or a fresh one, which is printed. */
static void choose_password(char out[LINE_MAX_BYTES])
{
    read_password(out);
    if (out[0])
        return;
    id_token(out, PASSWORD_MADE_CHARS);
    printf("password: %s\n", out);
}

/* ---- actions ---- */

static void print_user(const User__Profile *u)
{
    printf("%s  %-9s %-8s %-32s %s\n", u->id,
           u->role == USER__ROLE__ADMIN   ? "admin"
           : u->role == USER__ROLE__GUEST ? "guest"
                                          : "user",
           u->is_disabled ? "disabled" : "active", u->username, u->email);
}

static enum err run_list(struct job *j)
{
    User__SearchUsersRequest request = USER__SEARCH_USERS_REQUEST__INIT;
    request.q = (char *)(j->argc > 1 ? j->argv[1] : "");
    request.limit = PAGE;
    do {
        const User__UserList *list =
            rpc_sync(app_tool_user(j->tool), "SearchUsers", &request.base, j->call);
        if (!list)
            return fail_call(j);
        for (size_t i = 0; i < list->n_users; i++)
            print_user(list->users[i]);
        request.cursor = list->next_cursor;
    } while (request.cursor[0]);
    return ERR_OK;
}

static const User__Profile *find(struct job *j, const char *login)
{
    User__GetUserByIDRequest request = USER__GET_USER_BY_IDREQUEST__INIT;
    request.login = (char *)login;
    const User__Credentials *found =
        rpc_sync(app_tool_user(j->tool), "GetUserByID", &request.base, j->call);
    return found ? found->user : NULL;
}

static enum err update(struct job *j, User__UpdateUserRequest *request)
{
    const User__Profile *user = find(j, j->argv[1]);
    if (!user)
        return fail_call(j);
    request->id = user->id;
    user = rpc_sync(app_tool_user(j->tool), "UpdateUser", &request->base, j->call);
    if (!user)
        return fail_call(j);
    print_user(user);
    return ERR_OK;
}

static enum err set_role(struct job *j, const char *role)
{
    User__UpdateUserRequest request = USER__UPDATE_USER_REQUEST__INIT;
    bool is_admin = strcmp(role, "admin") == 0;
    if (!is_admin && strcmp(role, "user") != 0)
        return fail(j, "the role is admin or user");
    request._role_case = USER__UPDATE_USER_REQUEST___ROLE_ROLE;
    request.role = is_admin ? USER__ROLE__ADMIN : USER__ROLE__USER;
    return update(j, &request);
}

static enum err run_create(struct job *j)
{
    char password[LINE_MAX_BYTES];
    User__RegisterRequest request = USER__REGISTER_REQUEST__INIT;
    choose_password(password);
    request.username = j->argv[1];
    request.email = (char *)(j->email ? j->email : "");
    request.password = password;
    const User__Profile *user =
        rpc_sync(app_tool_user(j->tool), "Register", &request.base, j->call);
    explicit_bzero(password, sizeof(password));
    if (!user)
        return fail_call(j);
    if (j->is_admin && user->role != USER__ROLE__ADMIN)
        return set_role(j, "admin");
    print_user(user);
    return ERR_OK;
}

static enum err run_set_password(struct job *j)
{
    char password[LINE_MAX_BYTES];
    struct strbuf problem = {0};
    choose_password(password);
    enum err err = app_tool_set_password(j->tool, j->argv[1], str_from(password), &problem);
    explicit_bzero(password, sizeof(password));
    if (err)
        fail(j, problem.p);
    strbuf_deinit(&problem);
    return err;
}

static enum err run_set_role(struct job *j)
{
    return set_role(j, j->argv[2]);
}

static enum err set_disabled(struct job *j, bool is_disabled)
{
    User__UpdateUserRequest request = USER__UPDATE_USER_REQUEST__INIT;
    request._is_disabled_case = USER__UPDATE_USER_REQUEST___IS_DISABLED_IS_DISABLED;
    request.is_disabled = is_disabled;
    return update(j, &request);
}

static enum err run_disable(struct job *j)
{
    return set_disabled(j, true);
}

static enum err run_enable(struct job *j)
{
    return set_disabled(j, false);
}

static const struct {
    const char *name;
    int words;      /* after the action */
    int more_words; /* that may follow */
    enum err (*run)(struct job *j);
} actions[] = {
    {"list", 0, 1, run_list},
    {"create", 1, 0, run_create},
    {"set-password", 1, 0, run_set_password},
    {"password", 1, 0, run_set_password}, /* who forgot the "set-" is understood */
    {"set-role", 2, 0, run_set_role},
    {"role", 2, 0, run_set_role},
    {"disable", 1, 0, run_disable},
    {"enable", 1, 0, run_enable},
};

static int run_action(size_t action, struct job *j, const char *config_path)
{
    struct app_config config;
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    log_set_level(LOG_WARN);
    enum err err = app_config_load(config_path, arena, &config, &problem);
    if (!err)
        err = app_tool_open(&j->tool, &config, &problem);
    if (err) {
        fprintf(stderr, "parlance user: %s\n", problem.p);
    } else {
        j->call = rpc_call_create(NULL);
        j->call->remote_addr = "local"; /* for the audit log */
        err = actions[action].run(j);
        rpc_call_unref(&j->call);
    }
    app_tool_close(&j->tool);
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return err ? 1 : 0;
}

static int run(int argc, char **argv)
{
    const char *config_path = cli_take_value(&argc, argv, "config");
    struct job j = {.email = cli_take_value(&argc, argv, "email")};
    j.is_admin = cli_take_flag(&argc, argv, "admin");
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(actions); i++) {
        if (strcmp(argv[1], actions[i].name) != 0)
            continue;
        int words = CLAMP(argc - 2, actions[i].words, actions[i].words + actions[i].more_words);
        if (!cli_has_words(&cli_user, argc, argv, 1 + words))
            return 2;
        j.argc = argc - 1;
        j.argv = argv + 1;
        return run_action(i, &j, config_path);
    }
    return cli_usage_error(&cli_user, argc > 1 ? "there is no such action" : "what shall be done?");
}

const struct cli_command cli_user = {
    .name = "user",
    .summary = "Lists and mends accounts.",
    .usage = "parlance user list [PART OF A NAME]\n"
             "       parlance user create NAME [--email ADDRESS] [--admin]\n"
             "       parlance user set-password NAME\n"
             "       parlance user set-role NAME admin|user\n"
             "       parlance user disable|enable NAME",
    .about = "  --email ADDRESS  with create: the account's e-mail\n"
             "  --admin          with create: make it an administrator\n"
             "  --config FILE    the configuration; without it ./parlance.yaml if it is there\n\n"
             "NAME is an account's name, e-mail or id. The password is asked for, or read from\n"
             "standard input; an empty one is made and printed. A running server is asked to do\n"
             "it, so the change counts at once.\n",
    .run = run,
};

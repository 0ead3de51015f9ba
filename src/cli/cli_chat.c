/*
 * chat: a client of messaging for the terminal and for scripts: lists, reads, searches, sends, and
 * follows a conversation live. It is also the proof that docs/messaging.md is enough to write a
 * client from (see cli_chat.h).
 */
#include "cli/cli_chat.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/id.h"

struct words {
    const char *reply, *key, *in, *limit, *before, *state, *last;
    bool is_reading_only, ends_with_input;
};

/* From a terminal without showing it, else the first line of standard input. */
static bool read_password(char *out, size_t size)
{
    struct termios before, silent;
    bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fputs("Password: ", stderr);
    }
    bool is_read = fgets(out, (int)size, stdin) != NULL;
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (is_read)
        out[strcspn(out, "\r\n")] = '\0';
    return is_read;
}

static int log_in(struct chat_session *s, const char *server, const char *login)
{
    char password[1024];
    size_t n = strlen(server);
    if (strncmp(server, "http://", 7) != 0 && strncmp(server, "https://", 8) != 0) {
        chat_say("the server is an address like https://chat.example.org");
        return 2;
    }
    if (!read_password(password, sizeof(password))) {
        chat_say("no password came");
        return 1;
    }
    while (n && server[n - 1] == '/')
        n--;
    free(s->server);
    s->server = str_dup((struct str){server, n});
    enum err err = chat_session_sign_in(s, login, password);
    explicit_bzero(password, sizeof(password));
    return err ? 1 : 0;
}

/* ---- the small commands: one request, its answer printed ---- */

static json_t *with_number(json_t *request, const char *name, const char *text)
{
    int64_t number;
    if (text && str_to_i64(str_from(text), &number))
        json_object_set_new(request, name, json_integer(number));
    return request;
}

static int print_list(struct chat *chat, json_t *answer, const char *list, const char *each,
                      void (*print)(json_t *))
{
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(answer, list), i, one)
    {
        if (chat->is_json)
            chat_print_json(each, one);
        else
            print(one);
    }
    json_decref(answer);
    return 0;
}

static int list_conversations(struct chat *chat)
{
    char cursor[512] = "";
    do {
        json_t *answer;
        json_t *request = json_pack("{s:i, s:s}", "limit", 50, "cursor", cursor);
        if (chat_ask(chat, "get_conversations", request, &answer) != ERR_OK)
            return 1;
        snprintf(cursor, sizeof(cursor), "%s", chat_text(answer, "next_cursor"));
        print_list(chat, answer, "conversations", "conversation", chat_print_conversation);
    } while (cursor[0]);
    return 0;
}

static int show_history(struct chat *chat, const char *id, const struct words *w)
{
    json_t *answer;
    json_t *request = with_number(json_pack("{s:s}", "id", id), "limit", w->limit);
    with_number(request, "before_seq", w->before);
    if (chat_ask(chat, "get_message_history", request, &answer) != ERR_OK)
        return 1;
    return print_list(chat, answer, "messages", "message", chat_print_message);
}

static int search(struct chat *chat, const char *query, const struct words *w)
{
    json_t *answer;
    json_t *request = with_number(json_pack("{s:s}", "query", query), "limit", w->limit);
    if (w->in)
        json_object_set_new(request, "id", json_string(w->in));
    if (chat_ask(chat, "search", request, &answer) != ERR_OK)
        return 1;
    return print_list(chat, answer, "messages", "message", chat_print_message);
}

/* "@ID" is a person: the direct conversation with them. */
static int send_text(struct chat *chat, const char *to, const char *text, const struct words *w)
{
    char key[ID_SIZE];
    json_t *answer;
    id_make(key);
    json_t *request = json_pack("{s:s, s:s, s:{s:s}}",
                                *to == '@' ? "to_user_id" : "conversation_id", to + (*to == '@'),
                                "client_msg_id", w->key ? w->key : key, "content", "text", text);
    if (!request) {
        chat_say("the text is not UTF-8");
        return 1;
    }
    with_number(request, "reply_to_seq", w->reply);
    if (chat_ask(chat, "send_message", request, &answer) != ERR_OK)
        return 1;
    if (chat->is_json)
        chat_print_json("acknowledged", answer);
    else
        printf("%s %lld\n", chat_text(answer, "conversation_id"),
               (long long)chat_number(answer, "seq"));
    json_decref(answer);
    return 0;
}

static int follow(struct chat *chat, const char *id, const struct words *w)
{
    struct chat_follow_options opt = {.conversation_id = id,
                                      .state_path = w->state,
                                      .last = 10,
                                      .is_reading_only = w->is_reading_only,
                                      .ends_with_input = w->ends_with_input};
    if (w->last && (!str_to_i64(str_from(w->last), &opt.last) || opt.last < 0 || opt.last > 200)) {
        chat_say("--last: expected a number from 0 to 200");
        return 2;
    }
    return chat_follow(chat, &opt);
}

/* ---- which one ---- */

enum action { LOGIN, LOGOUT, LIST, HISTORY, SEND, SEARCH, FOLLOW, ACTION_COUNT };

static const struct {
    const char *name;
    int words; /* after it */
} actions[ACTION_COUNT] = {{"login", 2}, {"logout", 0}, {"list", 0},  {"history", 1},
                           {"send", 2},  {"search", 1}, {"follow", 1}};

static int act(enum action action, struct chat *chat, char **argv, const struct words *w)
{
    switch (action) {
    case LOGIN:
        return log_in(chat->session, argv[2], argv[3]);
    case LOGOUT:
        return chat_session_sign_out(chat->session) == ERR_OK ? 0 : 1;
    case LIST:
        return list_conversations(chat);
    case HISTORY:
        return show_history(chat, argv[2], w);
    case SEND:
        return send_text(chat, argv[2], argv[3], w);
    case SEARCH:
        return search(chat, argv[2], w);
    case FOLLOW:
        return follow(chat, argv[2], w);
    case ACTION_COUNT:
        break;
    }
    return 2;
}

static int find_action(const char *name)
{
    for (int i = 0; name && i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, name) == 0)
            return i;
    return -1;
}

static int run_signed_in(int action, char **argv, struct chat *chat, const struct words *w,
                         enum err loaded)
{
    if (action != LOGIN && loaded == ERR_NOT_FOUND)
        chat_say("sign in first: parlance chat login https://SERVER NAME");
    if (loaded && (action != LOGIN || loaded != ERR_NOT_FOUND))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = act((enum action)action, chat, argv, w);
    chat_disconnect(chat);
    curl_global_cleanup();
    return status;
}

static int run(int argc, char **argv)
{
    struct chat chat = {.patience_ms = 60000};
    struct chat_session session;
    int64_t patience_s;
    chat.session = &session;
    chat.is_json = cli_take_flag(&argc, argv, "json");
    struct words w = {.is_reading_only = cli_take_flag(&argc, argv, "read-only"),
                      .ends_with_input = cli_take_flag(&argc, argv, "until-sent"),
                      .reply = cli_take_value(&argc, argv, "reply"),
                      .key = cli_take_value(&argc, argv, "id"),
                      .in = cli_take_value(&argc, argv, "in"),
                      .limit = cli_take_value(&argc, argv, "limit"),
                      .before = cli_take_value(&argc, argv, "before"),
                      .state = cli_take_value(&argc, argv, "state"),
                      .last = cli_take_value(&argc, argv, "last")};
    const char *patience = cli_take_value(&argc, argv, "wait");
    const char *path = cli_take_value(&argc, argv, "session");
    const char *ca_file = cli_take_value(&argc, argv, "ca");
    int action = find_action(argc > 1 ? argv[1] : NULL);
    if (action < 0)
        return cli_usage_error(&cli_chat, argc > 1 ? "there is no such action" : "what to do?");
    if (!cli_has_words(&cli_chat, argc, argv, 1 + actions[action].words))
        return 2;
    if (patience && (!str_to_i64(str_from(patience), &patience_s) || patience_s < 0))
        return cli_usage_error(&cli_chat, "--wait: expected seconds");
    if (patience)
        chat.patience_ms = patience_s * 1000;
    enum err loaded = chat_session_load(&session, path, ca_file);
    int status = run_signed_in(action, argv, &chat, &w, loaded);
    chat_session_deinit(&session);
    return status;
}

const struct cli_command cli_chat = {
    .name = "chat",
    .summary = "A client of messaging: reads, sends and follows conversations.",
    .usage = "parlance chat login|logout|list|history|send|search|follow [...]",
    .about =
        "  login SERVER NAME       asks for the password; keeps the sign-in in a file (0600)\n"
        "  logout                  ends it\n"
        "  list                    the conversations, the latest first\n"
        "  history ID              its messages; --limit N, --before SEQ\n"
        "  send ID|@USER TEXT      --reply SEQ; --id KEY: the same again is the same message\n"
        "  search WORDS            --in ID, --limit N\n"
        "  follow ID               what happens there, live; each line of standard input is sent\n"
        "\n"
        "follow comes back by itself after a cut, finds what it missed and sends again what has\n"
        "no answer; with --state FILE also after it was ended itself.\n"
        "  --last N       messages to begin with (10)\n"
        "  --read-only    standard input is not sent\n"
        "  --until-sent   ends when all of standard input is acknowledged\n"
        "\n"
        "  --json         a JSON object a line\n"
        "  --wait S       how long a lost connection is sought (60)\n"
        "  --session FILE instead of ~/.config/parlance/chat.json\n"
        "  --ca FILE      PEM of who signs the server's certificate\n"
        "\n"
        "PARLANCE_CHAT_SERVER and PARLANCE_CHAT_TOKEN stand in for a sign-in.\n",
    .run = run,
};

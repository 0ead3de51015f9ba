/*
 * One conversation, live, as docs/messaging.md has it: a cursor for the device, the revision held
 * of the conversation, and what is not acknowledged yet. All three are kept in a file, so that
 * neither a cut nor the end of this program loses or doubles anything: what was missed is asked
 * for, what has no answer is sent again under its key.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli_chat.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/id.h"
#include "core/mem.h"

#define SYNC_EVERY_MS 60000
#define STATE_MAX_BYTES (16 * 1024 * 1024)
#define UNDERWAY_MAX 16 /* sends without an answer; 64 are allowed */

struct follow {
    struct chat *chat;
    const struct chat_follow_options *opt;
    json_t *outbox; /* {key, text, id of the request under way}, in the order of saying */
    char *cursor;
    int64_t rev;   /* held; -1: nothing yet */
    bool has_hole; /* an event came that does not follow */
    bool is_over;  /* the conversation is not ours any more */
    bool is_input_over;
    int64_t synced_ms;
    struct strbuf input;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    is_interrupted = 1;
}

/* ---- what is kept ---- */

static void load_state(struct follow *f)
{
    char *text = NULL;
    size_t n;
    f->rev = -1;
    f->outbox = NULL;
    json_t *kept = NULL;
    if (f->opt->state_path && file_read(f->opt->state_path, STATE_MAX_BYTES, &text, &n) == ERR_OK)
        kept = json_loadb(text, n, 0, NULL);
    bool is_ours = kept && strcmp(chat_text(kept, "conversation_id"), f->opt->conversation_id) == 0;
    if (is_ours) {
        f->rev = chat_number(kept, "rev");
        f->outbox = json_incref(json_object_get(kept, "outbox"));
    }
    f->cursor = mem_strdup(is_ours ? chat_text(kept, "cursor") : "");
    if (!json_is_array(f->outbox)) {
        json_decref(f->outbox);
        f->outbox = json_array();
    }
    json_t *entry;
    size_t i;
    json_array_foreach(f->outbox, i, entry) json_object_del(entry, "id");
    json_decref(kept);
    free(text);
}

static enum err save_state(const struct follow *f)
{
    if (!f->opt->state_path)
        return ERR_OK;
    json_t *kept = json_pack("{s:s, s:s, s:I, s:O}", "conversation_id", f->opt->conversation_id,
                             "cursor", f->cursor, "rev", (json_int_t)f->rev, "outbox", f->outbox);
    char *text = json_dumps(kept, JSON_COMPACT);
    enum err err = file_write_atomic(f->opt->state_path, text, strlen(text), 0600);
    if (err)
        chat_say("cannot write %s", f->opt->state_path);
    json_decref(kept);
    free(text);
    return err;
}

/* ---- what happened ---- */

static void show(struct follow *f, json_t *change)
{
    if (f->chat->is_json)
        chat_print_json("change", change);
    else
        chat_print_change(change);
}

static void take_change(struct follow *f, json_t *change)
{
    int64_t rev = chat_number(change, "rev");
    if (strcmp(chat_text(change, "conversation_id"), f->opt->conversation_id) != 0 || rev <= f->rev)
        return;
    if (chat_number(change, "prev_rev") != f->rev) {
        f->has_hole = true;
        return;
    }
    show(f, change);
    f->rev = rev;
}

/* An answer of get_changes, or of sync; `rev` says how far it reaches. */
static void take_changes(struct follow *f, json_t *list)
{
    json_t *change;
    size_t i;
    json_array_foreach(json_object_get(list, "changes"), i, change)
    {
        if (chat_number(change, "rev") > f->rev)
            show(f, change);
        f->rev = MAX(f->rev, chat_number(change, "rev"));
    }
    f->rev = MAX(f->rev, chat_number(list, "rev"));
}

static enum err ask_changes(struct follow *f)
{
    for (bool has_more = true; has_more;) {
        json_t *list;
        enum err err = chat_try(
            f->chat, "get_changes",
            json_pack("{s:s, s:I}", "id", f->opt->conversation_id, "after_rev", (json_int_t)f->rev),
            &list);
        if (err)
            return err;
        take_changes(f, list);
        has_more = json_is_true(json_object_get(list, "has_more"));
        json_decref(list);
    }
    f->has_hole = false;
    return save_state(f);
}

static enum err sync_now(struct follow *f)
{
    json_t *reply;
    enum err err =
        chat_try(f->chat, "sync",
                 json_pack("{s:s, s:[{s:s, s:I}]}", "cursor", f->cursor, "open", "conversation_id",
                           f->opt->conversation_id, "rev", (json_int_t)f->rev),
                 &reply);
    if (err)
        return err;
    json_t *list = json_array_get(json_object_get(reply, "open_changes"), 0);
    f->is_over = chat_number(list, "rev") == 0;
    take_changes(f, list);
    bool has_more = json_is_true(json_object_get(list, "has_more"));
    free(f->cursor);
    f->cursor = mem_strdup(chat_text(reply, "cursor"));
    f->synced_ms = clock_mono_ms();
    json_decref(reply);
    if (f->is_over) {
        chat_say("you have no part in this conversation");
        return ERR_NOT_FOUND;
    }
    return has_more ? ask_changes(f) : save_state(f);
}

/* The first time: the last messages, and everything from there. */
static enum err begin(struct follow *f)
{
    json_t *answer, *history;
    enum err err = chat_try(f->chat, "get_conversation",
                            json_pack("{s:s}", "id", f->opt->conversation_id), &answer);
    if (err)
        return err;
    int64_t rev = chat_number(answer, "rev");
    json_decref(answer);
    err = chat_try(f->chat, "get_message_history",
                   json_pack("{s:s, s:I}", "id", f->opt->conversation_id, "limit",
                             (json_int_t)MAX(f->opt->last, 1)),
                   &history);
    if (err)
        return err;
    json_t *message;
    size_t i;
    json_array_foreach(json_object_get(history, "messages"), i, message)
    {
        bool is_shown = f->opt->last && chat_number(message, "rev") <= rev;
        if (is_shown && f->chat->is_json)
            chat_print_json("message", message);
        else if (is_shown)
            chat_print_message(message);
    }
    json_decref(history);
    f->rev = rev;
    return ERR_OK;
}

/* ---- what is said ---- */

static void send_waiting(struct follow *f)
{
    json_t *entry;
    size_t i, underway = 0;
    json_array_foreach(f->outbox, i, entry)
    {
        int64_t id;
        if (++underway > UNDERWAY_MAX || !f->chat->socket)
            return;
        if (json_object_get(entry, "id"))
            continue;
        json_t *request = json_pack(
            "{s:s, s:s, s:{s:s}}", "conversation_id", f->opt->conversation_id, "client_msg_id",
            chat_text(entry, "key"), "content", "text", chat_text(entry, "text"));
        if (chat_send(f->chat, "send_message", request, &id) == ERR_OK)
            json_object_set_new(entry, "id", json_integer(id));
    }
}

/* After a cut nothing is under way any more. */
static void forget_underway(struct follow *f)
{
    json_t *entry;
    size_t i;
    json_array_foreach(f->outbox, i, entry) json_object_del(entry, "id");
}

static enum err keep_line(struct follow *f, struct str line)
{
    char key[ID_SIZE];
    line = str_trim(line);
    if (!line.n)
        return ERR_OK;
    id_make(key);
    json_t *entry = json_pack("{s:s, s:s%}", "key", key, "text", line.p, line.n);
    if (!entry) {
        chat_say("a line is not UTF-8, and was not sent");
        return ERR_OK;
    }
    json_array_append_new(f->outbox, entry);
    return save_state(f); /* before it is sent: it may be all that is left of it */
}

static enum err read_input(struct follow *f)
{
    ssize_t n = read(STDIN_FILENO, strbuf_reserve(&f->input, 4096), 4096);
    f->is_input_over = n == 0;
    if (n > 0)
        f->input.n += (size_t)n;
    enum err err = ERR_OK;
    struct str rest = strbuf_str(&f->input), line;
    while (!err && str_find(rest, '\n') >= 0) {
        (void)str_cut(&rest, '\n', &line);
        err = keep_line(f, line);
    }
    bool is_too_long = rest.n > CHAT_LINE_MAX;
    if (!err && (f->is_input_over || is_too_long)) {
        err = keep_line(f, rest);
        rest.n = 0;
    }
    if (rest.n)
        memmove(f->input.p, rest.p, rest.n);
    f->input.n = rest.n;
    return err;
}

/* The answer to a send: acknowledged, or refused for good; else it is sent once more. */
static enum err take_sent(struct follow *f, json_t *frame)
{
    json_t *entry, *sent = json_object_get(frame, "send_message");
    size_t i;
    json_array_foreach(f->outbox, i, entry)
    {
        if (!json_object_get(entry, "id") || chat_number(entry, "id") != chat_number(frame, "id"))
            continue;
        json_t *error = json_object_get(frame, "error");
        enum err err = sent ? ERR_OK : chat_refused(error);
        json_object_del(entry, "id");
        if (err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED) {
            usleep((unsigned)CLAMP(chat_number(error, "retry_after_ms"), 100, 10000) * 1000);
            return ERR_OK;
        }
        json_object_set(entry, sent ? "sent" : "error", sent ? sent : error);
        if (f->chat->is_json)
            chat_print_json(sent ? "acknowledged" : "refused", entry);
        else if (error)
            chat_say("not sent: %s (%s)", chat_text(entry, "text"), chat_text(error, "message"));
        json_array_remove(f->outbox, i);
        return save_state(f);
    }
    return ERR_OK;
}

/* ---- the loop ---- */

static void on_event(struct chat *chat, json_t *frame)
{
    struct follow *f = chat->arg;
    json_t *change = json_object_get(frame, "change"), *head;
    size_t i;
    if (change)
        take_change(f, change);
    if (json_object_get(frame, "missed"))
        f->has_hole = true;
    json_array_foreach(json_object_get(json_object_get(frame, "heads"), "heads"), i, head)
    {
        bool is_ours = strcmp(chat_text(head, "conversation_id"), f->opt->conversation_id) == 0;
        f->has_hole |= is_ours && chat_number(head, "rev") > f->rev;
    }
}

static enum err come_back(struct follow *f)
{
    forget_underway(f);
    enum err err = chat_connect(f->chat);
    if (!err && f->rev < 0)
        err = begin(f);
    json_t *reply = NULL; /* a large one is told in full only to who looks at it */
    if (!err)
        err = chat_try(f->chat, "open", json_pack("{s:s}", "id", f->opt->conversation_id), &reply);
    json_decref(reply);
    return err ? err : sync_now(f);
}

static enum err turn(struct follow *f)
{
    enum err err = ERR_OK;
    json_t *frame = NULL;
    if (!f->chat->socket)
        return come_back(f);
    if (f->has_hole)
        return ask_changes(f);
    if (clock_mono_ms() - f->synced_ms > SYNC_EVERY_MS)
        return sync_now(f);
    send_waiting(f);
    if (!f->chat->socket)
        return ERR_UNAVAILABLE;
    bool is_reading = !f->is_input_over && json_array_size(f->outbox) < UNDERWAY_MAX;
    err = chat_hear(f->chat, 1000, is_reading ? STDIN_FILENO : -1, &frame);
    if (frame && json_object_get(frame, "id")) {
        err = take_sent(f, frame);
    } else if (frame) {
        int64_t rev = f->rev;
        on_event(f->chat, frame);
        if (f->rev != rev)
            err = save_state(f);
    } else if (!err && is_reading) {
        struct timeval none = {0};
        fd_set set;
        FD_ZERO(&set);
        FD_SET(STDIN_FILENO, &set);
        if (select(STDIN_FILENO + 1, &set, NULL, NULL, &none) > 0)
            err = read_input(f);
    }
    json_decref(frame);
    return err;
}

int chat_follow(struct chat *chat, const struct chat_follow_options *opt)
{
    struct follow f = {.chat = chat, .opt = opt, .is_input_over = opt->is_reading_only};
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: waiting ends */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    load_state(&f);
    chat->on_event = on_event;
    chat->arg = &f;
    enum err err = ERR_OK;
    while (!is_interrupted && (!err || (err == ERR_UNAVAILABLE && !chat->socket))) {
        bool was_lost = !chat->socket;
        err = turn(&f);
        if (err && was_lost && !chat->socket && chat->attempts)
            break; /* sought in vain */
        if (opt->ends_with_input && f.is_input_over && !json_array_size(f.outbox))
            break;
    }
    if (!is_interrupted && !err)
        err = save_state(&f);
    chat->on_event = NULL;
    json_decref(f.outbox);
    free(f.cursor);
    strbuf_deinit(&f.input);
    return err ? 1 : 0;
}

/*
 * One conversation, live, as docs/messaging.md has it: a cursor for the device, the revision held
 * of the conversation, and what is not acknowledged yet. All three are kept in a file, so that
 * neither a cut nor the end of this program loses or doubles anything: what was missed is asked
 * for, what has no answer is sent again under its key.
 */
#include <errno.h>
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
#define WAITING_MAX 16 /* lines read and not acknowledged */

struct follow {
    struct chat *chat;
    const struct chat_follow_options *opt;
    json_t *outbox;        /* {key, text}, in the order of saying */
    int64_t sending_id;    /* of the request with the first of it; 0: it is not under way */
    int64_t sent_ms;       /* when that went out */
    int64_t later_ms;      /* since when it is answered "later"; 0: it is not */
    int later_count;       /* so often */
    int64_t not_before_ms; /* and not sent again before this */
    char *cursor;
    int64_t rev;       /* held; -1: nothing yet */
    int64_t saved_rev; /* in the file */
    bool is_behind;    /* a new connection: what was missed is not asked for yet */
    bool has_hole;     /* an event came that does not follow */
    bool is_over;      /* the conversation is not ours any more */
    enum err kept;     /* what saving said the last time */
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

/* What the file holds; NULL: nothing yet. It may be a file of somebody else's: that is not ours to
 * write over, and in it may stand what was said elsewhere and never sent. */
static enum err read_state(const struct chat_follow_options *opt, json_t **kept)
{
    char *text = NULL;
    size_t n = 0;
    *kept = NULL;
    if (!opt->state_path)
        return ERR_OK;
    enum err err = file_read(opt->state_path, STATE_MAX_BYTES, &text, &n);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    *kept = n ? json_loadb(text, n, 0, NULL) : NULL;
    free(text);
    const char *id = chat_text(*kept, "conversation_id");
    const char *wrong = err                                     ? "is not to be read"
                        : !n                                    ? NULL
                        : !*id                                  ? "is not what follow keeps"
                        : strcmp(id, opt->conversation_id) != 0 ? "is of another conversation"
                                                                : NULL;
    if (!wrong)
        return ERR_OK;
    chat_say("%s %s", opt->state_path, wrong);
    json_decref(*kept);
    return ERR_INVALID_ARGUMENT;
}

static enum err load_state(struct follow *f)
{
    json_t *kept;
    enum err err = read_state(f->opt, &kept);
    if (err)
        return err;
    f->rev = f->saved_rev = kept ? chat_number(kept, "rev") : -1;
    f->cursor = mem_strdup(chat_text(kept, "cursor"));
    f->outbox = json_incref(json_object_get(kept, "outbox"));
    if (!json_is_array(f->outbox)) {
        json_decref(f->outbox);
        f->outbox = json_array();
    }
    json_decref(kept);
    return ERR_OK;
}

static enum err save_state(struct follow *f)
{
    f->saved_rev = f->rev;
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

/* False: nobody reads what we write, so it was not seen. */
static bool show(struct follow *f, json_t *change)
{
    if (f->chat->is_json)
        chat_print_json("change", change);
    else
        chat_print_change(change);
    return !ferror(stdout);
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
    if (show(f, change))
        f->rev = rev;
}

/* An answer of get_changes, or of sync; `rev` says how far it reaches. */
static void take_changes(struct follow *f, json_t *list)
{
    json_t *change;
    size_t i;
    json_array_foreach(json_object_get(list, "changes"), i, change)
    {
        if (chat_number(change, "rev") > f->rev && !show(f, change))
            return;
        f->rev = MAX(f->rev, chat_number(change, "rev"));
    }
    f->rev = MAX(f->rev, chat_number(list, "rev"));
}

static enum err makes_no_sense(void)
{
    chat_say("the server's answer makes no sense");
    return ERR_DATA_LOSS;
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
        int64_t before = f->rev;
        take_changes(f, list);
        has_more = json_is_true(json_object_get(list, "has_more"));
        json_decref(list);
        if (has_more && f->rev == before)
            return ferror(stdout) ? ERR_OK : makes_no_sense();
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
    if (json_is_true(json_object_get(reply, "is_reset"))) /* a log of another life may be shorter */
        f->rev = MIN(f->rev, chat_number(list, "rev"));
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
    if (ferror(stdout))
        return ERR_OK;
    f->rev = rev;
    return ERR_OK;
}

/* ---- what is said ---- */

/* One after the other: of several under way at once, one that is answered "later" would be
 * overtaken by the next. */
static void send_first(struct follow *f)
{
    json_t *entry = json_array_get(f->outbox, 0);
    int64_t id;
    if (!entry || f->sending_id || clock_mono_ms() < f->not_before_ms)
        return;
    json_t *request = json_pack("{s:s, s:s, s:{s:s}}", "conversation_id", f->opt->conversation_id,
                                "client_msg_id", chat_text(entry, "key"), "content", "text",
                                chat_text(entry, "text"));
    if (chat_send(f->chat, "send_message", request, &id) == ERR_OK) {
        f->sending_id = id;
        f->sent_ms = clock_mono_ms();
    }
}

static enum err keep_line(struct follow *f, struct str line)
{
    char key[ID_SIZE];
    line = str_trim(line);
    if (!line.n)
        return ERR_OK;
    if (!str_is_utf8(line)) {
        chat_say("a line is not UTF-8, or has a NUL in it, and was not sent");
        return ERR_OK;
    }
    id_make(key);
    json_t *entry = json_pack("{s:s, s:s%}", "key", key, "text", line.p, line.n);
    json_array_append_new(f->outbox, entry);
    return save_state(f); /* before it is sent: it may be all that is left of it */
}

static enum err read_input(struct follow *f)
{
    ssize_t n = read(STDIN_FILENO, strbuf_reserve(&f->input, 4096), 4096);
    bool is_broken = n < 0 && errno != EINTR && errno != EAGAIN;
    if (is_broken)
        chat_say("standard input cannot be read: %s", strerror(errno));
    f->is_input_over = n == 0 || is_broken;
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

/* The first line is sent once more, later each time. */
static enum err put_off(struct follow *f, const json_t *error)
{
    int64_t now_ms = clock_mono_ms();
    int64_t pause_ms = MAX(chat_number(error, "retry_after_ms"), 100LL << MIN(f->later_count, 7));
    f->later_ms = f->later_ms ? f->later_ms : now_ms;
    f->later_count++;
    f->not_before_ms = now_ms + MIN(pause_ms, 10000);
    return chat_is_too_busy(f->chat, f->later_ms) ? ERR_UNAVAILABLE : ERR_OK;
}

/* The answer to a send: acknowledged, or refused for good; else it is sent once more. */
static enum err take_sent(struct follow *f, json_t *frame)
{
    json_t *entry = json_array_get(f->outbox, 0), *sent = json_object_get(frame, "send_message");
    json_t *error = json_object_get(frame, "error");
    if (!f->sending_id || chat_number(frame, "id") != f->sending_id)
        return ERR_OK;
    f->sending_id = 0;
    if (!sent && !error)
        return makes_no_sense();
    enum err refusal = sent ? ERR_OK : chat_refused(error);
    if (refusal == ERR_UNAUTHENTICATED) /* said to the connection, not to the line */
        chat_lose(f->chat);
    if (chat_is_passing(refusal) || refusal == ERR_UNAUTHENTICATED)
        return put_off(f, error);
    f->later_ms = f->later_count = 0;
    json_object_set(entry, sent ? "sent" : "error", sent ? sent : error);
    if (f->chat->is_json)
        chat_print_json(sent ? "acknowledged" : "refused", entry);
    else if (error)
        chat_say("not sent: %s (%s)", chat_text(entry, "text"), chat_text(error, "message"));
    json_array_remove(f->outbox, 0);
    return save_state(f);
}

/* ---- the loop ---- */

static void take_event(struct follow *f, json_t *frame)
{
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

/* Also while an answer is waited for: that to a send may come before it. */
static void on_frame(struct chat *chat, json_t *frame)
{
    struct follow *f = chat->arg;
    enum err err = ERR_OK;
    if (json_object_get(frame, "id"))
        err = take_sent(f, frame);
    else
        take_event(f, frame);
    if (err)
        f->kept = err;
}

/* With the connection went the answer to what was under way. */
static enum err come_back(struct follow *f)
{
    f->sending_id = 0;
    f->is_behind = true;
    return chat_connect(f->chat);
}

static enum err catch_up(struct follow *f)
{
    enum err err = f->rev < 0 ? begin(f) : ERR_OK;
    json_t *reply = NULL; /* a large one is told in full only to who looks at it */
    if (!err)
        err = chat_try(f->chat, "open", json_pack("{s:s}", "id", f->opt->conversation_id), &reply);
    json_decref(reply);
    if (!err)
        err = sync_now(f);
    f->is_behind = err != ERR_OK;
    return err;
}

static bool has_input(void)
{
    struct timeval none = {0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(STDIN_FILENO, &set);
    return select(STDIN_FILENO + 1, &set, NULL, NULL, &none) > 0;
}

/* Until something comes, or something is to be said. */
static enum err listen_on(struct follow *f)
{
    json_t *frame = NULL;
    bool is_reading = !f->is_input_over && json_array_size(f->outbox) < WAITING_MAX;
    int64_t pause_ms = CLAMP(f->not_before_ms - clock_mono_ms(), 1, 1000);
    bool is_pausing = json_array_size(f->outbox) && !f->sending_id;
    enum err err = chat_hear(f->chat, is_pausing ? (int)pause_ms : 1000,
                             is_reading ? STDIN_FILENO : -1, &frame);
    if (frame) {
        on_frame(f->chat, frame);
        if (f->rev != f->saved_rev)
            err = save_state(f);
    } else if (!err && is_reading && has_input()) {
        err = read_input(f);
    }
    json_decref(frame);
    return err;
}

static enum err turn(struct follow *f)
{
    if (f->is_behind)
        return catch_up(f);
    if (f->sending_id && clock_mono_ms() - f->sent_ms > CHAT_ANSWER_MS) {
        chat_lose(f->chat);
        return put_off(f, NULL);
    }
    if (f->has_hole)
        return ask_changes(f);
    if (clock_mono_ms() - f->synced_ms > SYNC_EVERY_MS)
        return sync_now(f);
    send_first(f);
    return f->chat->socket ? listen_on(f) : ERR_UNAVAILABLE;
}

/* A connection that is lost and a server that is busy are no errors before the patience is over. */
static enum err go_on(struct follow *f)
{
    if (!f->chat->socket)
        return come_back(f);
    enum err err = turn(f);
    if (err == ERR_UNAVAILABLE && !f->chat->socket)
        err = ERR_OK;
    else if (chat_is_passing(err))
        err = chat_pause(f->chat);
    if (ferror(stdout)) {
        chat_say("standard output is closed");
        return ERR_FAILED_PRECONDITION;
    }
    return err ? err : f->kept;
}

static bool is_done(const struct follow *f)
{
    return f->opt->ends_with_input && f->is_input_over && !json_array_size(f->outbox) &&
           !f->is_behind && !f->has_hole;
}

int chat_follow(struct chat *chat, const struct chat_follow_options *opt)
{
    struct follow f = {.chat = chat, .opt = opt, .is_input_over = opt->is_reading_only};
    if (load_state(&f) != ERR_OK)
        return 1;
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: waiting ends */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    chat->is_interrupted = &is_interrupted;
    chat->on_frame = on_frame;
    chat->arg = &f;
    enum err err = ERR_OK;
    do {
        err = go_on(&f);
    } while (!is_interrupted && !err && !is_done(&f));
    if (f.rev != f.saved_rev) /* shown, however this ended: not to be shown again */
        err = save_state(&f) != ERR_OK ? ERR_INTERNAL : err;
    chat->on_frame = NULL;
    json_decref(f.outbox);
    free(f.cursor);
    strbuf_deinit(&f.input);
    return err && !is_interrupted ? 1 : 0;
}

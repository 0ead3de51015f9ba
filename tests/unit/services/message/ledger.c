/* ledger: see ledger.h. */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"

unsigned ledger_chance(struct ledger *l, unsigned n)
{
    return (unsigned)rand_r(&l->seed) % n;
}

static const struct identity *sender_of(const struct ledger *l, const struct ledger_line *line)
{
    return line->is_bobs ? &l->bob : &l->ann;
}

static bool outcome(struct ledger *l, bool is_ok)
{
    l->acknowledged += is_ok;
    l->refused += !is_ok;
    return is_ok;
}

/* ---- what is done ---- */

/* Says the line, again if need be; the reply must fit what is known. */
static bool say_line(struct ledger *l, struct ledger_line *line, bool *is_duplicate)
{
    const Message__SendMessageReply *reply =
        say(l->w, sender_of(l, line), l->id, line->said, line->key);
    if (!reply)
        return outcome(l, false);
    if (line->seq)
        assert_true(reply->is_duplicate && reply->seq == line->seq);
    *is_duplicate = reply->is_duplicate;
    line->seq = reply->seq;
    return outcome(l, true);
}

static bool act_send(struct ledger *l)
{
    bool is_duplicate;
    struct ledger_line *line = &l->lines[l->count];
    *line = (struct ledger_line){.is_bobs = ledger_chance(l, 2)};
    id_make(line->key);
    snprintf(line->said, sizeof(line->said), "text%d", l->count);
    memcpy(line->text, line->said, sizeof(line->text));
    l->count++;
    bool is_ok = say_line(l, line, &is_duplicate);
    assert_false(is_ok && is_duplicate);
    return is_ok;
}

static bool act_edit(struct ledger *l, struct ledger_line *line)
{
    Message__EditMessageRequest in = MESSAGE__EDIT_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    snprintf(line->doubtful_text, sizeof(line->doubtful_text), "edit%u", ledger_chance(l, 100000));
    in.id = l->id;
    in.seq = line->seq;
    in.content = &content;
    content.text = line->doubtful_text;
    if (!ask(l->w, l->w->message, "EditMessage", &in, sender_of(l, line)))
        return outcome(l, false);
    memcpy(line->text, line->doubtful_text, sizeof(line->text));
    line->doubtful_text[0] = '\0';
    return outcome(l, true);
}

static bool act_recall(struct ledger *l, struct ledger_line *line)
{
    Message__RecallMessageRequest in = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    in.id = l->id;
    in.seq = line->seq;
    line->is_recalled = ask(l->w, l->w->message, "RecallMessage", &in, sender_of(l, line));
    line->is_recall_doubtful = !line->is_recalled;
    return outcome(l, line->is_recalled);
}

static bool act_hide(struct ledger *l, struct ledger_line *line)
{
    Message__DeleteForMeRequest in = MESSAGE__DELETE_FOR_ME_REQUEST__INIT;
    in.id = l->id;
    in.seqs = &line->seq;
    in.n_seqs = 1;
    line->is_hidden = ask(l->w, l->w->message, "DeleteForMe", &in, &l->bob);
    line->is_hide_doubtful = !line->is_hidden;
    return outcome(l, line->is_hidden);
}

static bool act_like(struct ledger *l, struct ledger_line *line)
{
    Message__ReactRequest in = MESSAGE__REACT_REQUEST__INIT;
    in.id = l->id;
    in.seq = line->seq;
    in.emoji = "\xf0\x9f\x91\x8d";
    line->is_liked = ask(l->w, l->w->message, "React", &in, &l->ann);
    line->is_like_doubtful = !line->is_liked;
    return outcome(l, line->is_liked);
}

static bool act_mark(struct ledger *l, struct ledger_line *line)
{
    const Message__MarkReply *reply = mark_read(l->w, &l->bob, l->id, line->seq);
    if (reply)
        l->read_seq = MAX(l->read_seq, line->seq);
    return outcome(l, reply);
}

static bool act_schedule(struct ledger *l)
{
    if (l->scheduled_count == ARRAY_LEN(l->scheduled))
        return true;
    Message__SendMessageRequest in = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    in.conversation_id = l->id;
    in.send_at_ms = clock_wall_ms() + 24 * 3600 * 1000;
    const Message__SendMessageReply *reply = send_it(l->w, &l->ann, in);
    if (!reply)
        return outcome(l, false);
    snprintf(l->scheduled[l->scheduled_count++], ID_SIZE, "%s", reply->scheduled_id);
    return outcome(l, true);
}

static bool act_cancel(struct ledger *l)
{
    if (!l->scheduled_count)
        return true;
    Message__CancelScheduledRequest in = MESSAGE__CANCEL_SCHEDULED_REQUEST__INIT;
    in.id = l->id;
    in.scheduled_id = l->scheduled[l->scheduled_count - 1];
    bool is_ok = ask(l->w, l->w->message, "CancelScheduled", &in, &l->ann);
    l->scheduled_count -= is_ok;
    l->is_cancelled_doubtful = !is_ok;
    return outcome(l, is_ok);
}

bool ledger_act(struct ledger *l)
{
    bool is_duplicate;
    unsigned dice = ledger_chance(l, 20);
    assert_true(l->count < LEDGER_MAX);
    if (l->count < 3 || dice < 9)
        return act_send(l);
    struct ledger_line *line = &l->lines[ledger_chance(l, (unsigned)l->count)];
    if (dice == 9)
        return say_line(l, line, &is_duplicate);
    if (dice == 10)
        return act_schedule(l);
    if (dice == 11)
        return act_cancel(l);
    if (dice == 12)
        return act_mark(l, line);
    if (line->is_recalled || line->is_hidden)
        return act_send(l);
    return dice < 15   ? act_edit(l, line)
           : dice < 16 ? act_recall(l, line)
           : dice < 17 ? act_hide(l, line)
                       : act_like(l, line);
}

/* ---- what is there ---- */

struct audit {
    struct ledger *l;
    const Message__MessageInfo **anns; /* by seq */
    bool *bobs;
    int64_t last;
    int problems;
};

static void complain(struct audit *a, const struct ledger_line *line, const char *what)
{
    if (a->problems++ < 5)
        print_message("%s (%lld): %s\n", line ? line->text : "", line ? (long long)line->seq : 0,
                      what);
}

static void read_as(struct audit *a, const struct identity *who, bool is_bob)
{
    Message__GetMessageHistoryRequest in = MESSAGE__GET_MESSAGE_HISTORY_REQUEST__INIT;
    in.id = a->l->id;
    in.limit = 200;
    for (bool has_older = true; has_older;) {
        const Message__MessageHistory *page =
            ask(a->l->w, a->l->w->message, "GetMessageHistory", &in, who);
        assert_non_null(page);
        for (size_t i = 0; i < page->n_messages; i++) {
            const Message__MessageInfo *m = page->messages[i];
            assert_true(m->seq > 0 && m->seq < LEDGER_MAX);
            if (is_bob)
                a->bobs[m->seq] = true;
            else
                a->anns[m->seq] = m;
            a->last = MAX(a->last, m->seq);
        }
        has_older = page->has_older;
        in.before_seq = page->n_messages ? page->messages[0]->seq : 0;
    }
}

static const Message__MessageInfo *find_line(const struct audit *a, const struct ledger_line *line)
{
    const Message__MessageInfo *found = NULL;
    for (int64_t seq = 1; seq <= a->last; seq++) {
        const Message__MessageInfo *m = a->anns[seq];
        if (!m || strcmp(m->client_msg_id, line->key) != 0)
            continue;
        assert_null(found); /* twice */
        found = m;
    }
    return found;
}

static void settle_text(struct audit *a, struct ledger_line *line, const char *now)
{
    bool is_known = strcmp(now, line->text) == 0;
    bool is_doubtful = line->doubtful_text[0] && strcmp(now, line->doubtful_text) == 0;
    if (!is_known && !is_doubtful)
        complain(a, line, "reads otherwise");
    else
        snprintf(line->text, sizeof(line->text), "%s", now);
    line->doubtful_text[0] = '\0';
}

/* A fact that was acknowledged holds; one in doubt may; another does not. */
static void settle_fact(struct audit *a, struct ledger_line *line, bool is_now,
                        bool *is_acknowledged, bool *is_doubtful, const char *what)
{
    if (is_now != *is_acknowledged && !(is_now && *is_doubtful))
        complain(a, line, what);
    *is_acknowledged = is_now;
    *is_doubtful = false;
}

static void check_line(struct audit *a, struct ledger_line *line)
{
    const Message__MessageInfo *m = find_line(a, line);
    if (!m || (line->seq && m->seq != line->seq)) {
        if (line->seq)
            complain(a, line, "is not where it was acknowledged");
        bool is_duplicate = true;
        if (!line->seq && (!say_line(a->l, line, &is_duplicate) || is_duplicate))
            complain(a, line, "was in doubt and could not be said again");
        return;
    }
    bool is_duplicate = false;
    if (!line->seq &&
        (!say_line(a->l, line, &is_duplicate) || !is_duplicate || line->seq != m->seq))
        complain(a, line, "was in doubt, is there, and was taken for new");
    settle_fact(a, line, m->recalled_at_ms > 0, &line->is_recalled, &line->is_recall_doubtful,
                "recalled or not");
    settle_fact(a, line, !a->bobs[m->seq], &line->is_hidden, &line->is_hide_doubtful,
                "hidden or not");
    if (!m->recalled_at_ms)
        settle_fact(a, line, m->n_reactions > 0, &line->is_liked, &line->is_like_doubtful,
                    "liked or not");
    if (!m->recalled_at_ms)
        settle_text(a, line, m->content->text);
    else if (m->content && m->content->text[0])
        complain(a, line, "is recalled and still reads");
}

static void check_scheduled(struct audit *a)
{
    struct ledger *l = a->l;
    Message__ListScheduledRequest in = MESSAGE__LIST_SCHEDULED_REQUEST__INIT;
    in.id = l->id;
    const Message__ScheduledList *list = ask(l->w, l->w->message, "ListScheduled", &in, &l->ann);
    assert_non_null(list);
    for (int i = 0; i < l->scheduled_count; i++) {
        bool is_there = false;
        for (size_t k = 0; k < list->n_messages; k++)
            is_there |= strcmp(list->messages[k]->id, l->scheduled[i]) == 0;
        if (!is_there && !(l->is_cancelled_doubtful && i == l->scheduled_count - 1))
            complain(a, NULL, "what was scheduled is gone");
        else if (!is_there)
            l->scheduled_count--;
    }
    l->is_cancelled_doubtful = false;
    /* Each waits for its hour in a task, written in the same transaction. */
    if (world_count(l->w, "SELECT COUNT(*) FROM bus_tasks WHERE queue = ?", "message_schedule") <
        l->scheduled_count)
        complain(a, NULL, "a scheduled one has no task");
}

int ledger_check(struct ledger *l)
{
    struct audit a = {.l = l};
    struct message_verdict verdict;
    a.anns = mem_calloc(LEDGER_MAX, sizeof(a.anns[0]));
    a.bobs = mem_calloc(LEDGER_MAX, sizeof(a.bobs[0]));
    assert_int_equal(message_verify(l->w->store, &verdict), ERR_OK);
    if (verdict.problems)
        complain(&a, NULL, verdict.text.p);
    strbuf_deinit(&verdict.text);
    read_as(&a, &l->ann, false);
    read_as(&a, &l->bob, true);
    for (int i = 0; i < l->count; i++)
        check_line(&a, &l->lines[i]);
    check_scheduled(&a);
    if (look(l->w, &l->bob, l->id)->own->read_seq < l->read_seq)
        complain(&a, NULL, "what was read is unread");
    free(a.anns);
    free(a.bobs);
    return a.problems;
}

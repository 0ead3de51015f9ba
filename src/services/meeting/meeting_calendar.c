/*
 * A scheduled meeting as an iCalendar file (RFC 5545): UTC times, lines folded at 75 octets, texts
 * escaped. It has no METHOD (RFC 5546 would then demand an organiser's address, which is nobody's
 * business): so DTSTAMP is when the meeting last changed, and a calendar that has the UID already
 * takes the file with the higher SEQUENCE.
 */
#include <time.h>

#include "services/meeting/meeting_internal.h"

#define LINE_MAX_OCTETS 75 /* RFC 5545, 3.1 */

/* Never splits a UTF-8 character. */
static void add_line(struct strbuf *out, struct str line)
{
    size_t room = LINE_MAX_OCTETS;
    while (line.n > room) {
        size_t n = room;
        while (n > 1 && ((unsigned char)line.p[n] & 0xc0) == 0x80)
            n--;
        strbuf_add(out, line.p, n);
        strbuf_adds(out, "\r\n ");
        line = str_sub(line, n, line.n);
        room = LINE_MAX_OCTETS - 1; /* the space counts */
    }
    strbuf_add(out, line.p, line.n);
    strbuf_adds(out, "\r\n");
}

static void add_text(struct strbuf *out, const char *name, const char *value)
{
    struct strbuf line = {0};
    strbuf_printf(&line, "%s:", name);
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == ';' || *c == ',')
            strbuf_addc(&line, '\\');
        if (*c == '\n')
            strbuf_adds(&line, "\\n");
        else if (*c != '\r')
            strbuf_addc(&line, *c);
    }
    add_line(out, strbuf_str(&line));
    strbuf_deinit(&line);
}

static void add_time(struct strbuf *out, const char *name, int64_t wall_ms)
{
    char text[40];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
    add_text(out, name, text);
}

static void write_link(struct strbuf *out, const struct meeting_op *op)
{
    const char *base = op->svc->deps.public_url;
    if (!base || !base[0])
        return; /* nobody has said where this server is to be found */
    char *link = arena_printf(op->call->arena, "%s/m/%s", base, op->m.code);
    add_line(out, str_from(arena_printf(op->call->arena, "URL:%s", link)));
    add_text(out, "LOCATION", link);
}

static void write_event(struct strbuf *out, const struct meeting_op *op)
{
    const struct meeting_row *m = &op->m;
    struct arena *arena = op->call->arena;
    int64_t changed_ms = MAX(m->updated_at_ms, m->created_at_ms);
    int64_t end_ms =
        m->scheduled_end_ms ? m->scheduled_end_ms : m->scheduled_start_ms + 3600 * 1000;
    strbuf_adds(out, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Parlance//Meetings//EN\r\n"
                     "BEGIN:VEVENT\r\n");
    add_text(out, "UID", arena_printf(arena, "%s@parlance", m->id));
    add_text(out, "SEQUENCE", arena_printf(arena, "%lld", (long long)m->revision));
    add_time(out, "DTSTAMP", changed_ms);
    add_time(out, "CREATED", m->created_at_ms);
    add_time(out, "LAST-MODIFIED", changed_ms);
    add_time(out, "DTSTART", m->scheduled_start_ms);
    add_time(out, "DTEND", end_ms);
    add_text(out, "SUMMARY", m->title);
    if (m->description[0])
        add_text(out, "DESCRIPTION", m->description);
    write_link(out, op);
    strbuf_adds(out, "STATUS:CONFIRMED\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
}

static enum err calendar_job(struct store_tx *tx UNUSED, struct meeting_op *op)
{
    if (!op->m.scheduled_start_ms)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting is not scheduled.");
    struct arena *arena = op->call->arena;
    struct strbuf text = {0};
    write_event(&text, op);
    Meeting__Calendar *reply = arena_new(arena, Meeting__Calendar);
    meeting__calendar__init(reply);
    reply->content_type = (char *)"text/calendar; charset=utf-8";
    reply->file_name = arena_printf(arena, "%s.ics", op->m.code);
    reply->body.len = text.n;
    reply->body.data = arena_memdup(arena, text.p, text.n);
    strbuf_deinit(&text);
    op->reply = reply;
    return ERR_OK;
}

void *meeting_do_calendar(struct meeting_service *svc, struct rpc_call *call,
                          const Meeting__GetCalendarRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .fn = calendar_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_PLACE};
    return meeting_look(&op);
}

/* The calendar file, read back by the rules of RFC 5545: folding, escaping, times, identity. */
#include "people.h"

#include <stdio.h>
#include <stdlib.h>

static struct world *w;
static struct identity ann;

static int setup(void **state UNUSED)
{
    w = world_open(&(struct world_options){.public_url = "https://meet.example.org"});
    ann = world_register(w, "ann");
    return 0;
}

static int teardown(void **state UNUSED)
{
    world_close(&w);
    return 0;
}

/* 2030-03-31 00:30 UTC: the night in which Berlin's clocks change. */
#define START_MS 1901147400000

static const char title[] = "Standup, daily; \\o/ 会议";
/* Long, so it folds; with characters of two to four bytes in every position. */
#define LONG "😀😀😀é会议会议会议ééa会议会议会议ééa😀😀😀😀😀a会议会议é the end"
static const char description[] = "First line\nsecond: a,b;c\\d\r\n" LONG;
static const char description_back[] = "First line\nsecond: a,b;c\\d\n" LONG;

/* ---- a small reader ---- */

static const Meeting__Calendar *get_calendar(const char *id)
{
    Meeting__GetCalendarRequest in = MEETING__GET_CALENDAR_REQUEST__INIT;
    in.id = (char *)id;
    return ask(w, w->meeting, "GetCalendar", &in, &ann);
}

/* Every line ends with CRLF, has at most 75 octets, and is whole UTF-8; unfolded text in `out`. */
static void unfold(const Meeting__Calendar *c, struct strbuf *out)
{
    struct str rest = {(const char *)c->body.data, c->body.len};
    while (rest.n) {
        ptrdiff_t end = str_find(rest, '\n');
        assert_true(end > 0 && rest.p[end - 1] == '\r');
        struct str line = str_sub(rest, 0, (size_t)end - 1);
        assert_in_range(line.n, 1, 75);
        assert_true(str_is_utf8(line));
        assert_int_equal(str_find(line, '\r'), -1);
        rest = str_sub(rest, (size_t)end + 1, rest.n);
        if (line.p[0] == ' ')
            line = str_sub(line, 1, line.n);
        else if (out->n)
            strbuf_addc(out, '\n');
        strbuf_add(out, line.p, line.n);
    }
}

/* The value of the one property of this name, unescaped; the test fails if there is not one. */
static char *value_of(const Meeting__Calendar *c, const char *name)
{
    struct strbuf text = {0}, value = {0};
    int count = 0;
    unfold(c, &text);
    struct str rest = strbuf_str(&text), line;
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&rest, '\n', &line);
        struct str key;
        if (!is_more)
            line = rest;
        if (!str_cut(&line, ':', &key) || !str_eq(key, str_from(name)))
            continue;
        count++;
        for (size_t i = 0; i < line.n; i++) {
            bool is_escape = line.p[i] == '\\';
            char next = is_escape ? line.p[++i] : line.p[i];
            if (is_escape)
                assert_non_null(strchr("\\;,n", next));
            else
                assert_null(strchr(";,", next));
            strbuf_addc(&value, is_escape && next == 'n' ? '\n' : next);
        }
    }
    if (count != 1)
        fail_msg("%s: %d times", name, count);
    strbuf_deinit(&text);
    return value.p; /* freed by the caller */
}

static void must_say(const Meeting__Calendar *c, const char *name, const char *wanted)
{
    char *value = value_of(c, name);
    assert_string_equal(value, wanted);
    free(value);
}

static long long sequence_of(const Meeting__Calendar *c)
{
    char *value = value_of(c, "SEQUENCE");
    long long n = atoll(value);
    free(value);
    return n;
}

/* ---- tests ---- */

static const Meeting__MeetingInfo *make(int64_t end_ms)
{
    Meeting__CreateMeetingRequest in = MEETING__CREATE_MEETING_REQUEST__INIT;
    in.title = (char *)title;
    in.description = (char *)description;
    in.scheduled_start_ms = START_MS;
    in.scheduled_end_ms = end_ms;
    in.time_zone = "Europe/Berlin";
    return make_meeting(w, &ann, &in);
}

static void test_reads_back(void **state UNUSED)
{
    const Meeting__MeetingInfo *m = make(START_MS + 90 * 60 * 1000);
    const Meeting__Calendar *c = get_calendar(m->id);
    char text[100];
    assert_non_null(c);
    assert_int_equal(strncmp(c->content_type, "text/calendar", 13), 0);
    assert_int_equal(memcmp(c->body.data, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:", 37), 0);
    must_say(c, "SUMMARY", title);
    must_say(c, "DESCRIPTION", description_back);
    must_say(c, "DTSTART", "20300331T003000Z");
    must_say(c, "DTEND", "20300331T020000Z");
    must_say(c, "STATUS", "CONFIRMED");
    snprintf(text, sizeof(text), "%s@parlance", m->id);
    must_say(c, "UID", text);
    snprintf(text, sizeof(text), "https://meet.example.org/m/%s", m->code);
    must_say(c, "URL", text);
    must_say(c, "LOCATION", text);
    snprintf(text, sizeof(text), "%s.ics", m->code);
    assert_string_equal(c->file_name, text);
}

static void test_a_change_is_newer(void **state UNUSED)
{
    const Meeting__MeetingInfo *m = make(0);
    const Meeting__Calendar *before = get_calendar(m->id);
    must_say(before, "DTEND", "20300331T013000Z"); /* an hour, for want of an end */
    Meeting__UpdateMeetingRequest in = MEETING__UPDATE_MEETING_REQUEST__INIT;
    in.id = m->id;
    in._title_case = MEETING__UPDATE_MEETING_REQUEST___TITLE_TITLE;
    in.title = "Other";
    assert_non_null(ask(w, w->meeting, "UpdateMeeting", &in, &ann));
    const Meeting__Calendar *after = get_calendar(m->id);
    must_say(after, "SUMMARY", "Other");
    assert_true(sequence_of(after) > sequence_of(before));
    char *uid = value_of(before, "UID");
    must_say(after, "UID", uid);
    free(uid);
}

static void test_only_what_is_scheduled(void **state UNUSED)
{
    assert_null(get_calendar(make_meeting(w, &ann, NULL)->id));
    assert_int_equal(answer.err, ERR_FAILED_PRECONDITION);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_back),
        TEST(test_a_change_is_newer),
        TEST(test_only_what_is_scheduled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

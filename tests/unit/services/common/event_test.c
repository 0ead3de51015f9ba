/* Events and who takes them: by type, packed or as JSON, and what is for nobody or is no message
 * reaches nobody. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "services/common/event_read.h"

#include "events.pb-c.h"

static const char *taken_by;
static char *session; /* of the message taken */

static void take(const char *who, const void *message)
{
    const Events__SignalingEvent *e = message;
    taken_by = who;
    free(session);
    session = mem_strdup(e->session_id);
}

static void on_created(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    take(arg, message);
}

static void on_other(void *arg UNUSED, const struct bus_event *event, const void *message)
{
    take(event->type, message);
}

static const struct event_case cases[] = {
    {"session.created", on_created}, {"session.closed", on_other}, {"session.created", on_other}};

static void dispatch(const char *type, struct str payload, size_t count)
{
    static char arg[] = "created";
    taken_by = NULL;
    struct bus_event event = {.channel = "signaling_events", .type = type, .payload = payload};
    event_dispatch(&event, &events__signaling_event__descriptor, cases, count, arg);
}

static struct str packed(void)
{
    static uint8_t bytes[64];
    Events__SignalingEvent e = EVENTS__SIGNALING_EVENT__INIT;
    e.session_id = (char *)"one";
    return (struct str){(const char *)bytes, events__signaling_event__pack(&e, bytes)};
}

static void by_type(void **state)
{
    dispatch("session.created", packed(), ARRAY_LEN(cases));
    assert_string_equal(taken_by, "created"); /* the first of its cases, and that alone */
    assert_string_equal(session, "one");
    dispatch("session.closed", packed(), ARRAY_LEN(cases));
    assert_string_equal(taken_by, "session.closed");
    dispatch("session.close", packed(), ARRAY_LEN(cases));
    assert_null(taken_by);
    dispatch("session.closed", packed(), 1);
    assert_null(taken_by);
}

static void any_type(void **state)
{
    static const struct event_case any = {NULL, on_other};
    struct bus_event event = {
        .channel = "signaling_events", .type = "whatever", .payload = packed()};
    taken_by = NULL;
    event_dispatch(&event, &events__signaling_event__descriptor, &any, 1, NULL);
    assert_string_equal(taken_by, "whatever");
}

static void forms(void **state)
{
    dispatch("session.closed", STR("{\"session_id\":\"two\"}"), ARRAY_LEN(cases));
    assert_string_equal(taken_by, "session.closed");
    assert_string_equal(session, "two");
    dispatch("session.closed", STR(""), ARRAY_LEN(cases)); /* a message of nothing but defaults */
    assert_string_equal(taken_by, "session.closed");
    assert_string_equal(session, "");
    static const struct str no_messages[] = {{"{\"session_id\":", 14},
                                             {"{\"session_id\":7}", 16},
                                             {"no message", 10},
                                             {"\x2a\x05one", 5},   /* longer than there is */
                                             {"\x2a\x01\xff", 3}}; /* no UTF-8 */
    for (size_t i = 0; i < ARRAY_LEN(no_messages); i++) {
        dispatch("session.closed", no_messages[i], ARRAY_LEN(cases));
        if (taken_by)
            fail_msg("no message, number %zu", i);
    }
}

static int teardown(void **state UNUSED)
{
    free(session);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_type),
        cmocka_unit_test(any_type),
        cmocka_unit_test(forms),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

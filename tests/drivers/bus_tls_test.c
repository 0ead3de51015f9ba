/*
 * Brokers over TLS and with passwords, beside a real server (tests/services/run.mjs NAME-tls). The
 * cases come from the environment, where tests/services/certificates.mjs says what they are: each
 * is an address and whether it works, is opened and never linked, or is not opened at all; and
 * what the log then says to an operator. In no case, and at no level, does it say a password. Those
 * that are never linked are tried together, for a library takes seconds to give up.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus_fixture.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"

#define CASES_MAX 32
#define PATIENCE_MS 30000
#define BAD "bad: "
#define REFUSED "refused: "

struct tls_case {
    char *name, *expectation, *url;
};

static const char *driver, *password;
static char prefix[ID_SIZE + 8];

/* ---- the log ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct strbuf log_all, log_told; /* the second: what an operator sees */

static void on_line(void *arg UNUSED, enum log_level level, const char *line, size_t n)
{
    pthread_mutex_lock(&log_lock);
    strbuf_add(&log_all, line, n);
    strbuf_addc(&log_all, '\n');
    if (level >= LOG_INFO)
        strbuf_add(&log_told, line, n);
    pthread_mutex_unlock(&log_lock);
}

static void clear_log(void)
{
    pthread_mutex_lock(&log_lock);
    strbuf_clear(&log_all);
    strbuf_clear(&log_told);
    pthread_mutex_unlock(&log_lock);
}

static bool log_has(const struct strbuf *log, const char *text)
{
    pthread_mutex_lock(&log_lock);
    bool has = log->p && strstr(log->p, text);
    pthread_mutex_unlock(&log_lock);
    return has;
}

static bool wait_told(const char *text)
{
    for (int64_t until_ms = clock_mono_ms() + PATIENCE_MS; clock_mono_ms() < until_ms;) {
        if (log_has(&log_told, text))
            return true;
        usleep(5000);
    }
    print_error("not in the log: %s\n", text);
    return false;
}

/* ---- the cases ---- */

static void on_event(void *arg, const struct bus_event *e)
{
    journal_note(arg, "%.*s", STR_FMT(e->payload));
}

static enum err open_bus(struct bus **out, const struct tls_case *c, const char *process)
{
    struct bus_options opt = {
        .driver = driver, .url = c->url, .process = process, .prefix = prefix, .owner_ms = 2000};
    return bus_open(out, &opt);
}

static bool wait_linked(struct bus *bus)
{
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    while (!bus_is_linked(bus) && clock_mono_ms() < until_ms)
        usleep(5000);
    return bus_is_linked(bus);
}

/* What one process says another hears: live, to who is there. */
static void check_works(const struct tls_case *c)
{
    static struct journal heard;
    heard = (struct journal)JOURNAL_INIT;
    struct bus *a, *b;
    assert_int_equal(open_bus(&a, c, "a"), ERR_OK);
    assert_int_equal(open_bus(&b, c, "b"), ERR_OK);
    bus_subscribe(b, "c", "test", on_event, &heard);
    bus_start(a);
    bus_start(b);
    bool are_linked = wait_linked(a) && wait_linked(b);
    int count = 0;
    for (int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
         are_linked && !count && clock_mono_ms() < until_ms; usleep(20000)) {
        bus_publish(a, &(struct bus_event){
                           .channel = "c", .type = "t", .key = "k", .payload = STR("hello")});
        pthread_mutex_lock(&heard.lock);
        count = heard.count;
        pthread_mutex_unlock(&heard.lock);
    }
    bus_close(&a);
    bus_close(&b);
    assert_true(are_linked);
    assert_true(count > 0);
}

static const char *text_behind(const struct tls_case *c, const char *word)
{
    size_t n = strlen(word);
    return strncmp(c->expectation, word, n) == 0 ? c->expectation + n : NULL;
}

static void check_no_password(const struct tls_case *c)
{
    assert_false(log_has(&log_all, password));
    const char *user = strstr(c->url, "://"), *at = strchr(c->url, '@');
    if (!at) /* there is no password in it */
        return;
    char *told = str_dup((struct str){user + 3, (size_t)(at - user - 3)});
    bool is_told = log_has(&log_all, told); /* as it stands in the address */
    free(told);
    assert_false(is_told);
}

static void test_works(void **state)
{
    clear_log();
    check_works(*state);
    check_no_password(*state);
}

static void test_refused(void **state)
{
    const struct tls_case *c = *state;
    struct bus *bus;
    clear_log();
    assert_int_equal(open_bus(&bus, c, "a"), ERR_INVALID_ARGUMENT);
    assert_null(bus);
    assert_true(log_has(&log_told, text_behind(c, REFUSED)));
    check_no_password(c);
}

/* All that are bad. */
static void test_never_linked(void **state)
{
    const struct tls_case *first = *state;
    struct bus *buses[CASES_MAX] = {NULL};
    bool are_opened = true, is_linked = false, are_told = true;
    clear_log();
    for (size_t i = 0; first[i].url; i++)
        if (text_behind(&first[i], BAD)) {
            are_opened = !open_bus(&buses[i], &first[i], first[i].name) && are_opened;
            if (buses[i])
                bus_start(buses[i]);
        }
    for (size_t i = 0; first[i].url; i++)
        if (buses[i]) {
            are_told = wait_told(text_behind(&first[i], BAD)) && are_told;
            is_linked = is_linked || bus_is_linked(buses[i]);
        }
    for (size_t i = 0; i < CASES_MAX; i++)
        bus_close(&buses[i]);
    assert_true(are_opened);
    assert_true(are_told);
    assert_false(is_linked);
    assert_false(log_has(&log_told, ": linked, for"));
    for (size_t i = 0; first[i].url; i++)
        if (text_behind(&first[i], BAD))
            check_no_password(&first[i]);
}

static size_t read_cases(char *text, struct tls_case *cases)
{
    size_t count = 0;
    for (char *line; count < CASES_MAX && (line = strsep(&text, "\n"));) {
        struct tls_case *c = &cases[count];
        c->name = strsep(&line, "\t");
        c->expectation = strsep(&line, "\t");
        c->url = line;
        count += c->url != NULL;
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct tls_case cases[CASES_MAX + 1]; /* behind the last one: nothing */
    static struct CMUnitTest tests[CASES_MAX + 1];
    char id[ID_SIZE], *list = getenv("PARLANCE_TEST_BROKER_CASES");
    driver = argc > 1 ? argv[1] : "redis";
    password = getenv("PARLANCE_TEST_BROKER_PASSWORD");
    if (!list || !password) {
        print_error("no server: run this by node tests/services/run.mjs NAME-tls\n");
        return 77;
    }
    id_make(id);
    snprintf(prefix, sizeof(prefix), "t%s.", id);
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_DEBUG);
    log_set_sink(on_line, NULL);
    size_t case_count = read_cases(list, cases), count = 0;
    for (struct tls_case *c = cases; c->url; c++)
        if (!text_behind(c, BAD))
            tests[count++] = (struct CMUnitTest){.name = c->name,
                                                 .test_func = text_behind(c, REFUSED) ? test_refused
                                                                                      : test_works,
                                                 .initial_state = c};
    tests[count++] = (struct CMUnitTest){.name = "those that are never linked",
                                         .test_func = test_never_linked,
                                         .initial_state = cases};
    if (getenv("TEST_ONE"))
        cmocka_set_test_filter(getenv("TEST_ONE"));
    int failed = _cmocka_run_group_tests("bus over TLS", tests, count, NULL, NULL);
    log_set_sink(NULL, NULL);
    strbuf_deinit(&log_all);
    strbuf_deinit(&log_told);
    return case_count ? failed : 1;
}

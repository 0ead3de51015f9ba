/* log: every line is one JSON object (jansson is the judge), scopes, hostile values, masks. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

static int real_stdout = -1, captured = -1;

/* From here on what is logged goes to a file. */
static void capture(void)
{
    char path[] = "/tmp/parlance-log-XXXXXX";
    fflush(stdout);
    real_stdout = dup(STDOUT_FILENO);
    captured = mkstemp(path);
    unlink(path);
    dup2(captured, STDOUT_FILENO);
}

static char *release(void)
{
    static char text[1 << 20];
    dup2(real_stdout, STDOUT_FILENO);
    close(real_stdout);
    ssize_t n = pread(captured, text, sizeof(text) - 1, 0);
    close(captured);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static const char *field(json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!line)
        fail_msg("%s: %s", error.text, text);
    return line;
}

static void json_line(void **state)
{
    struct log_scope request = log_scope(NULL, "request", "r1");
    struct log_scope user = log_scope(&request, "user", "u1");
    struct log_scope inner = log_scope(&user, "request", "r2"); /* shadows r1 */
    log_set_json(true);
    capture();
    errno = EPIPE;
    log_warn(&inner, "peer %s left after %d s", "p", 3);
    int errno_after = errno;
    char *text = release();
    assert_int_equal(errno_after, EPIPE);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *line = parse(text);
    assert_string_equal(field(line, "level"), "warn");
    assert_string_equal(field(line, "msg"), "peer p left after 3 s");
    assert_string_equal(field(line, "request"), "r2");
    assert_string_equal(field(line, "user"), "u1");
    assert_memory_equal(field(line, "src"), "log_test.c:", 11);
    assert_int_equal(strlen(field(line, "ts")), 24);
    json_decref(line);
}

static void hostile_values(void **state)
{
    struct log_scope scope = log_scope(NULL, "name", "x\"},\n{\"level\":\"error");
    struct log_scope absent = log_scope(&scope, "absent", NULL);
    char long_text[20000];
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    log_set_json(true);
    capture();
    log_error(&absent, "bad \xff utf-8 \"quoted\" \n line \x1b[31m");
    log_error(NULL, "%s", long_text);
    char *text = release();
    char *second = strchr(text, '\n') + 1;
    assert_non_null(strchr(second, '\n'));
    assert_string_equal(strchr(second, '\n'), "\n"); /* exactly two lines */
    second[-1] = '\0';
    json_t *line = parse(text);
    assert_string_equal(field(line, "name"), "x\"},\n{\"level\":\"error");
    assert_string_equal(field(line, "msg"), "bad \xef\xbf\xbd utf-8 \"quoted\" \n line \x1b[31m");
    assert_null(json_object_get(line, "absent"));
    json_decref(line);
    line = parse(second);
    assert_in_range(strlen(field(line, "msg")), 1000, 5000); /* cut, and still whole JSON */
    json_decref(line);
}

static void text_mode(void **state)
{
    struct log_scope scope = log_scope(NULL, "user", "u\n1");
    log_set_json(false);
    capture();
    log_info(&scope, "forged\nline \x1b[2J \xe4\xb8\xad \xc2\x9b");
    char *text = release();
    log_set_json(true);
    assert_string_equal(strchr(text, '\n'), "\n");
    assert_non_null(strstr(text, "forged?line ?[2J \xe4\xb8\xad ?"));
    assert_non_null(strstr(text, "user=u?1"));
}

static void levels(void **state)
{
    capture();
    log_set_level(LOG_WARN);
    log_info(NULL, "not seen");
    log_warn(NULL, "seen");
    log_set_level(LOG_OFF);
    log_error(NULL, "not seen either");
    log_set_level(LOG_INFO);
    char *text = release();
    assert_null(strstr(text, "not seen"));
    assert_non_null(strstr(text, "\"seen\""));
}

static void keep(void *arg, enum log_level level, const char *line, size_t n)
{
    snprintf(arg, 512, "%s%.*s", level == LOG_INFO ? "info" : "", (int)n, line);
}

static void sink(void **state)
{
    char kept[512] = "";
    capture();
    log_set_sink(keep, kept);
    log_info(NULL, "to both");
    log_set_sink(NULL, NULL);
    log_info(NULL, "to stdout only");
    char *text = release();
    assert_non_null(strstr(kept, "to both"));
    assert_memory_equal(kept, "info{", 5);
    assert_memory_equal(kept + 4, text, strlen(kept + 4));
    assert_non_null(strstr(text, "to stdout only"));
}

static void *log_many(void *arg)
{
    struct log_scope scope = log_scope(NULL, "thread", arg);
    for (int i = 0; i < 200; i++)
        log_info(&scope, "line %d of a thread that writes at the same time as others", i);
    return NULL;
}

static void threads_do_not_mix(void **state)
{
    static char names[4][2] = {"0", "1", "2", "3"};
    pthread_t threads[4];
    int next[4] = {0}, count = 0;
    capture();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    char *text = release();
    for (char *saved, *part = strtok_r(text, "\n", &saved); part;
         part = strtok_r(NULL, "\n", &saved), count++) {
        json_t *line = parse(part);
        char expected[80];
        int thread = atoi(field(line, "thread"));
        snprintf(expected, sizeof(expected),
                 "line %d of a thread that writes at the same time as others", next[thread]++);
        assert_string_equal(field(line, "msg"), expected);
        json_decref(line);
    }
    assert_int_equal(count, 800);
}

static void masks(void **state)
{
    static const char *const cases[][2] = {
        {"alice@example.org", "a***@example.org"},
        {"a@b", "a***@b"},
        {"\xe6\x96\x87@b", "\xe6\x96\x87***@b"},
        {"+491701234567", "+49*****67"},
        {"+123", "***"},
        {"+49 170 1234567", "+***"},
        {"+h\xf0\xb8\x80\xad\xf0\x9f\x98\x80\"", "+***"},
        {"\xff\xff@b.example", "***@b.example"},
        {"a@\xff", "a***@"},
        {"@nobody", "@***"},
        {"longer secret", "l***"},
        {"short", "***"},
        {"", ""},
    };
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        log_mask(out, sizeof(out), cases[i][0]);
        assert_string_equal(out, cases[i][1]);
    }
    log_mask(out, 4, "alice@example.org");
    assert_string_equal(out, "a**");
    log_mask(out, 1, "x");
    assert_string_equal(out, "");
    log_mask(out, sizeof(out), NULL);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_line),
        cmocka_unit_test(hostile_values),
        cmocka_unit_test(text_mode),
        cmocka_unit_test(levels),
        cmocka_unit_test(sink),
        cmocka_unit_test(masks),
        cmocka_unit_test(threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* config: defaults, YAML, environment, every refusal with its line, the files it writes. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "death.h"

struct options {
    int64_t port;
    int64_t wait_ms;
    bool is_open;
    int mode;
    const char *data_dir;
    const char *motto;
    const char *secret;
    struct config_list origins;
    struct config_list empty;
    const char *even;
    struct config_list evens;
};

static const char *const modes[] = {"one", "two", NULL};

static bool is_even(struct str text)
{
    return text.n % 2 == 0;
}

static const struct config_form even = {"an even text", is_even};

/* Group http stands in two pieces on purpose. */
static const struct config_row rows[] = {
    CONFIG_TEXT(struct options, data_dir, "data_dir", "./data", "Where everything lives."),
    CONFIG_INT(struct options, port, "http.port", 8800, 0, 65535, "", "Port."),
    CONFIG_ENUM(struct options, mode, "mode", "two", modes, "How."),
    CONFIG_INT(struct options, wait_ms, "http.slow.wait", -5, -10, 100000, "ms", "Patience."),
    CONFIG_BOOL(struct options, is_open, "http.open", true, "Whether."),
    CONFIG_TEXT(struct options, motto, "motto", "say \"hi\": # \xe4\xb8\xad\n\ttab", "Quoting."),
    CONFIG_SECRET(struct options, secret, "jwt.secret", "JWT_SECRET", NULL, "Key."),
    CONFIG_LIST(struct options, origins, "http.origins", "https://a.example, b", "ALLOWED_ORIGINS",
                NULL, "Origins."),
    CONFIG_LIST(struct options, empty, "nothing.list", "", NULL, NULL, "Empty."),
    CONFIG_FORM(struct options, even, "even.one", "", &even, "Formed."),
    CONFIG_LIST(struct options, evens, "even.many", "abcd", NULL, &even, "Formed list."),
};
static const struct config_table table = {rows, ARRAY_LEN(rows)};

struct parsed {
    struct arena *arena;
    struct options out;
    struct strbuf problem;
    enum err err;
};

static struct parsed parse(const char *yaml, const char *const *env)
{
    struct parsed p = {.arena = arena_create()};
    p.err = config_parse(&table, str_from(yaml), "x.yaml", (char *const *)env, p.arena, &p.out,
                         &p.problem);
    return p;
}

static void drop(struct parsed *p)
{
    strbuf_deinit(&p->problem);
    arena_destroy(&p->arena);
}

static void assert_defaults(const struct options *o)
{
    assert_int_equal(o->port, 8800);
    assert_int_equal(o->wait_ms, -5);
    assert_true(o->is_open);
    assert_int_equal(o->mode, 1);
    assert_string_equal(o->data_dir, "./data");
    assert_string_equal(o->motto, "say \"hi\": # \xe4\xb8\xad\n\ttab");
    assert_string_equal(o->secret, "");
    assert_int_equal(o->origins.count, 2);
    assert_string_equal(o->origins.items[0], "https://a.example");
    assert_string_equal(o->origins.items[1], "b");
    assert_int_equal(o->empty.count, 0);
}

static void defaults(void **state)
{
    static const char *const files[] = {"",   "# nothing\n",     "---\n",
                                        "{}", "http:\njwt: ~\n", "\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct parsed p = parse(files[i], NULL);
        if (p.err != ERR_OK)
            fail_msg("%s: %s", files[i], p.problem.p);
        assert_defaults(&p.out);
        drop(&p);
    }
}

static void reads_yaml(void **state)
{
    struct parsed p = parse("data_dir: /srv # comment\n"
                            "http:\n"
                            "  port: 0\n"
                            "  open: No\n"
                            "  slow: {wait: '100000'}\n"
                            "  origins: [x, 'y,z', \"\xe4\xb8\xad\"]\n"
                            "mode: one\n"
                            "motto: \"\"\n"
                            "jwt:\n"
                            "  secret: >\n"
                            "    two\n"
                            "    words\n"
                            "nothing:\n"
                            "  list: single\n",
                            NULL);
    if (p.err != ERR_OK)
        fail_msg("%s", p.problem.p);
    assert_string_equal(p.out.data_dir, "/srv");
    assert_int_equal(p.out.port, 0);
    assert_false(p.out.is_open);
    assert_int_equal(p.out.wait_ms, 100000);
    assert_int_equal(p.out.origins.count, 3);
    assert_string_equal(p.out.origins.items[1], "y,z");
    assert_int_equal(p.out.mode, 0);
    assert_string_equal(p.out.motto, "");
    assert_string_equal(p.out.secret, "two words\n");
    assert_int_equal(p.out.empty.count, 1);
    assert_string_equal(p.out.empty.items[0], "single");
    drop(&p);
    p = parse("even: {one: '', many: [ab, abcdef]}\n", NULL);
    assert_int_equal(p.err, ERR_OK); /* empty is always good: not given */
    assert_string_equal(p.out.even, "");
    assert_int_equal(p.out.evens.count, 2);
    drop(&p);
}

static void refuses(void **state)
{
    static const char *const cases[][2] = {
        {"http:\n  port: eighty\n",
         "x.yaml:2: http.port: expected a whole number from 0 to 65535, found \"eighty\""},
        {"http: {port: 65536}", "x.yaml:1: http.port: expected a whole number from 0 to 65535, "
                                "found \"65536\""},
        {"http: {slow: {wait: -11}}", "x.yaml:1: http.slow.wait: expected a whole number from -10 "
                                      "to 100000 (ms), found \"-11\""},
        {"http:\n  port: 1.5\n", "x.yaml:2: http.port: expected a whole"},
        {"http:\n  open: maybe\n", "x.yaml:2: http.open: expected true or false, found \"maybe\""},
        {"\n\nmode: three\n", "x.yaml:3: mode: expected one of one, two, found \"three\""},
        {"mode: One\n", "x.yaml:1: mode: expected one of one, two"},
        {"colour: red\n", "x.yaml:1: colour: no such option"},
        {"http:\n  prt: 1\n", "x.yaml:2: http.prt: no such option"},
        {"http.port: 1\n", "x.yaml:1: expected the name of an option"},
        {"Mode: one\n", "x.yaml:1: Mode: no such option"},
        {"mode: one\nmode: two\n", "x.yaml:2: mode: is given twice"},
        {"http: {port: 1}\nmode: one\nhttp: {open: no}\n", "x.yaml:3: http: is given twice"},
        {"http:\n  port: 1\n  port: 1\n", "x.yaml:3: http.port: is given twice"},
        {"http: 1\n", "x.yaml:1: http: expected a group of options, found a value"},
        {"http: [1]\n", "x.yaml:1: http: expected a group of options, found a list"},
        {"mode: [one]\n", "x.yaml:1: mode: expected one of one, two, found a list"},
        {"mode: {a: b}\n", "x.yaml:1: mode: expected one of one, two, found a group of options"},
        {"mode:\n", "x.yaml:1: mode: expected one of one, two, found nothing"},
        {"data_dir: ~\n", "x.yaml:1: data_dir: expected a text, found nothing"},
        {"http: {origins: [[a]]}\n", "x.yaml:1: http.origins: expected a text as item"},
        {"http: {origins: [{a: b}]}\n", "x.yaml:1: http.origins: expected a text as item"},
        {"http: {origins: [a, ~]}\n", "x.yaml:1: http.origins: expected a text as item"},
        {"data_dir: &x a\nmotto: *x\n", "x.yaml:1: data_dir: anchors and tags are not used here"},
        {"http: &x {port: 1}\n", "x.yaml:1: http: anchors and tags are not used here"},
        {"motto: *x\n", "x.yaml:1: motto: aliases are not used here"},
        {"motto: !!str x\n", "x.yaml:1: motto: anchors and tags are not used here"},
        {"http: !x {port: 1}\n", "x.yaml:1: http: anchors and tags are not used here"},
        {"http: {origins: !x [a]}\n", "x.yaml:1: http.origins: anchors and tags are not used"},
        {"- a\n- b\n", "x.yaml:1: expected options as"},
        {"just text\n", "x.yaml:1: expected options as"},
        {"? {a: b}\n: c\n", "x.yaml:1: expected the name of an option"},
        {"? [a]\n: c\n", "x.yaml:1: expected options as"},
        {"mode: one\n---\nmode: two\n", "x.yaml:2: more than one document"},
        {"mode: 'one\n", "x.yaml:2: not valid YAML: found unexpected end of stream"},
        {"http:\n\tport: 1\n", "x.yaml:2: not valid YAML"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "x.yaml:1: expected options as"},
        {"data_dir: \"a\\0b\"\n", "x.yaml:1: data_dir: expected a text"},
        {"data_dir: \"\xff\"\n", "not valid YAML"},
        {"jwt:\n  secret: [hush]\n", "x.yaml:2: jwt.secret: expected a text, found a list"},
        {"jwt:\n  secret: \"hush\\0\"\n",
         "x.yaml:2: jwt.secret: expected a text, found something else"},
        {"<<: {mode: one}\n", "x.yaml:1: <<: no such option"},
        {"even: {one: abc}\n", "x.yaml:1: even.one: expected an even text, found \"abc\""},
        {"even:\n  many:\n  - ab\n  - abc\n",
         "x.yaml:4: even.many: expected as item an even text, found \"abc\""},
        {"even: {many: 'ab, abc'}\n",
         "x.yaml:1: even.many: expected a list, each item an even text, found \"ab, abc\""},
        {"even: {many: ['']}\n", "x.yaml:1: even.many: expected as item an even text, found"},
        {"'': 1\n", "x.yaml:1: expected the name of an option"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p = parse(cases[i][0], NULL);
        if (p.err != ERR_INVALID_ARGUMENT || !strstr(p.problem.p, cases[i][1]))
            fail_msg("%s\n gives %d: %s\n not %s", cases[i][0], (int)p.err,
                     strbuf_str(&p.problem).p, cases[i][1]);
        assert_null(strstr(p.problem.p, "hush")); /* a secret is not shown even when it is wrong */
        drop(&p);
    }
}

static void refuses_floods(void **state)
{
    struct strbuf b = {0};
    for (int i = 0; i < 300; i++)
        strbuf_adds(&b, i ? ",a" : "http: {origins: [a");
    strbuf_adds(&b, "]}");
    struct parsed p = parse(b.p, NULL);
    assert_int_equal(p.err, ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(p.problem.p, "more than 256 items"));
    drop(&p);

    strbuf_clear(&b);
    memset(strbuf_reserve(&b, 2 << 20), '#', 2 << 20);
    b.n += 2 << 20;
    p.arena = arena_create();
    p.err = config_parse(&table, strbuf_str(&b), "x.yaml", NULL, p.arena, &p.out, &p.problem);
    assert_int_equal(p.err, ERR_INVALID_ARGUMENT);
    drop(&p);

    strbuf_clear(&b);
    strbuf_adds(&b, "mode: ");
    for (int i = 0; i < 1000; i++)
        strbuf_addc(&b, 'x');
    p = parse(b.p, NULL);
    assert_int_equal(p.err, ERR_INVALID_ARGUMENT);
    assert_true(p.problem.n < 200); /* the message stays readable */
    drop(&p);
    strbuf_deinit(&b);
}

static void environment_overrides(void **state)
{
    const char *const env[] = {
        "PARLANCE_HTTP_PORT=9000",
        "PARLANCE_HTTP_SLOW_WAIT=7",
        "PARLANCE_DATA_DIR=/env",
        "PARLANCE_MODE=one",
        "ALLOWED_ORIGINS= https://x , ,https://y",
        "JWT_SECRET=short",
        "PARLANCE_JWT_SECRET=long",
        "PARLANCE_PORT_8800_TCP=tcp://1.2.3.4", /* Kubernetes puts this there */
        "PARLANCE_HTTP_OPENX=no",
        "PATH=/bin",
        NULL};
    struct parsed p = parse("http: {port: 1, open: no}\nmode: two\n", env);
    assert_int_equal(p.err, ERR_OK);
    assert_int_equal(p.out.port, 9000);
    assert_int_equal(p.out.wait_ms, 7);
    assert_false(p.out.is_open); /* from the file */
    assert_string_equal(p.out.data_dir, "/env");
    assert_int_equal(p.out.mode, 0);
    assert_int_equal(p.out.origins.count, 2);
    assert_string_equal(p.out.origins.items[0], "https://x");
    assert_string_equal(p.out.origins.items[1], "https://y");
    assert_string_equal(p.out.secret, "long"); /* the long name wins */
    drop(&p);

    const char *const bad[] = {"PARLANCE_HTTP_PORT=many", NULL};
    p = parse("", bad);
    assert_int_equal(p.err, ERR_INVALID_ARGUMENT);
    assert_string_equal(p.problem.p, "environment PARLANCE_HTTP_PORT: expected a whole number from "
                                     "0 to 65535, found \"many\"");
    drop(&p);
    const char *const secret[] = {"JWT_SECRET=\xff", NULL};
    p = parse("", secret);
    assert_int_equal(p.err, ERR_INVALID_ARGUMENT);
    assert_string_equal(p.problem.p,
                        "environment JWT_SECRET: expected a text, found something else");
    drop(&p);
}

static void example_parses_back(void **state)
{
    struct strbuf example = {0};
    config_write_example(&table, &example);
    struct parsed p = parse(example.p, NULL);
    if (p.err != ERR_OK)
        fail_msg("%s\n%s", p.problem.p, example.p);
    assert_defaults(&p.out);
    for (size_t i = 0; i < table.count; i++) /* every row explains itself */
        assert_non_null(strstr(example.p, rows[i].help));
    assert_non_null(strstr(example.p, "a whole number from -10 to 100000 (ms)"));
    assert_non_null(strstr(example.p, "JWT_SECRET"));
    /* The group in pieces is written once. */
    assert_null(strstr(strstr(example.p, "\nhttp:\n") + 1, "\nhttp:\n"));
    strbuf_deinit(&example);
    drop(&p);
}

static void effective_hides_secrets(void **state)
{
    struct strbuf text = {0};
    struct parsed p = parse("jwt: {secret: hush}\nhttp: {port: 99}\n", NULL);
    assert_int_equal(p.err, ERR_OK);
    config_write_effective(&table, &p.out, &text);
    assert_non_null(strstr(text.p, "port: 99\n"));
    assert_non_null(strstr(text.p, "secret: (set)\n"));
    assert_null(strstr(text.p, "hush"));
    assert_non_null(strstr(text.p, "origins: [\"https://a.example\", \"b\"]\n"));
    drop(&p);
    /* Without secrets, what is in force is itself a configuration. */
    struct parsed again = parse("", NULL);
    strbuf_clear(&text);
    config_write_effective(&table, &again.out, &text);
    assert_non_null(strstr(text.p, "(not set)"));
    drop(&again);
    again = parse(text.p, NULL);
    assert_int_equal(again.err, ERR_OK);
    assert_string_equal(again.out.motto, "say \"hi\": # \xe4\xb8\xad\n\ttab");
    drop(&again);
    strbuf_deinit(&text);
}

static void parse_with_bad_default(void)
{
    static const struct config_row bad[] = {
        CONFIG_INT(struct options, port, "port", 70000, 0, 65535, "", "Port.")};
    struct parsed p = {.arena = arena_create()};
    p.err = config_parse(&(struct config_table){bad, 1}, STR(""), "x", NULL, p.arena, &p.out,
                         &p.problem);
}

static void parse_with_twin_keys(void)
{
    static const struct config_row bad[] = {
        CONFIG_TEXT(struct options, data_dir, "data_dir", "", "One."),
        CONFIG_TEXT(struct options, motto, "data.dir", "", "Two.")};
    struct parsed p = {.arena = arena_create()};
    p.err = config_parse(&(struct config_table){bad, 2}, STR(""), "x", NULL, p.arena, &p.out,
                         &p.problem);
}

static void broken_tables_do_not_start(void **state)
{
    char words[1024];
    death_words(parse_with_bad_default, words, sizeof(words));
    assert_non_null(strstr(words, "expected a whole number from 0 to 65535, found \\\"70000"));
    death_words(parse_with_twin_keys, words, sizeof(words));
    assert_non_null(strstr(words, "data.dir: another key has the same name"));
}

static void one_value_changes(void **state)
{
    struct arena *arena = arena_create();
    struct options now = {.port = 1, .mode = 0}, before = {.port = 9, .mode = 1};
    struct strbuf text = {0};
    assert_int_equal(config_set(&table, STR("http.port"), STR("80"), arena, &now, &text), ERR_OK);
    assert_int_equal(now.port, 80);
    assert_int_equal(config_set(&table, STR("http.port"), STR("70000"), arena, &now, &text),
                     ERR_INVALID_ARGUMENT);
    assert_int_equal(now.port, 80);
    assert_string_equal(text.p, "http.port: expected a whole number from 0 to 65535, found "
                                "\"70000\"");
    assert_int_equal(config_set(&table, STR("http"), STR("1"), arena, &now, &text),
                     ERR_INVALID_ARGUMENT);
    assert_string_equal(text.p, "http: there is no such option");
    assert_int_equal(config_set(&table, STR("mode"), STR("two"), arena, &now, &text), ERR_OK);
    const struct config_row *port = config_row_find(&table, STR("http.port"));
    config_copy(port, &before, &now);
    assert_int_equal(now.port, 9);
    assert_int_equal(now.mode, 1);
    strbuf_clear(&text);
    config_write_value(port, &now, &text);
    assert_string_equal(text.p, "9");
    strbuf_deinit(&text);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(reads_yaml),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_floods),
        cmocka_unit_test(environment_overrides),
        cmocka_unit_test(example_parses_back),
        cmocka_unit_test(effective_hides_secrets),
        cmocka_unit_test(one_value_changes),
        cmocka_unit_test(broken_tables_do_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

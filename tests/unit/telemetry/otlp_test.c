/* otlp, loki: what is written is read back by a reader of its own, field by field. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "telemetry/loki.h"
#include "telemetry/otlp.h"
#include "telemetry/outlet.h"

/* One field of a message: *rest goes past it. */
struct field {
    unsigned number, wire;
    uint64_t value;
    struct str bytes;
};

static uint64_t read_varint(struct str *rest)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        assert_true(rest->n > 0 && shift < 64);
        uint8_t byte = (uint8_t)*rest->p++;
        rest->n--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
}

static bool read_field(struct str *rest, struct field *f)
{
    if (!rest->n)
        return false;
    uint64_t tag = read_varint(rest);
    *f = (struct field){.number = (unsigned)(tag >> 3), .wire = tag & 7};
    if (f->wire == 0) {
        f->value = read_varint(rest);
        return true;
    }
    assert_true(f->wire == 1 || f->wire == 2);
    size_t n = f->wire == 1 ? 8 : read_varint(rest);
    assert_true(rest->n >= n);
    f->bytes = (struct str){rest->p, n};
    for (size_t i = 0; f->wire == 1 && i < 8; i++)
        f->value |= (uint64_t)(uint8_t)rest->p[i] << 8 * i;
    *rest = (struct str){rest->p + n, rest->n - n};
    return true;
}

/* The nth field of this number; asserts that it is there. */
static struct field find_nth(struct str message, unsigned number, int nth)
{
    struct field f;
    while (read_field(&message, &f))
        if (f.number == number && nth-- == 0)
            return f;
    fail_msg("no field %u", number);
    return f;
}

static struct field find(struct str message, unsigned number)
{
    return find_nth(message, number, 0);
}

static int count(struct str message, unsigned number)
{
    struct field f;
    int n = 0;
    while (read_field(&message, &f))
        n += f.number == number;
    return n;
}

#define assert_text(f, text) assert_true(str_eq((f).bytes, STR(text)))

static struct span make_span(void)
{
    struct span s = {.name = "GET /x", .kind = SPAN_SERVER, .start_wall_us = 1700000000123456};
    memset(s.trace_id, 0xab, sizeof(s.trace_id));
    memset(s.span_id, 0xcd, sizeof(s.span_id));
    s.is_sampled = true;
    span_add_text(&s, "http.route", "/x");
    span_add_number(&s, "http.response.status_code", 200);
    return s;
}

static void a_span(void **state)
{
    struct strbuf out = {0};
    struct span s = make_span();
    otlp_write_span(&out, &s, 250, 0);
    struct str m = strbuf_str(&out);
    assert_int_equal(find(m, 1).bytes.n, 16);
    assert_memory_equal(find(m, 1).bytes.p, s.trace_id, 16);
    assert_memory_equal(find(m, 2).bytes.p, s.span_id, 8);
    assert_int_equal(count(m, 4), 0); /* the first of its trace */
    assert_text(find(m, 5), "GET /x");
    assert_int_equal(find(m, 6).value, 2);
    assert_true(find(m, 7).value == 1700000000123456000);
    assert_true(find(m, 8).value == 1700000000123706000);
    assert_text(find(find_nth(m, 9, 0).bytes, 1), "http.route");
    assert_text(find(find(find_nth(m, 9, 0).bytes, 2).bytes, 1), "/x");
    assert_int_equal(find(find(find_nth(m, 9, 1).bytes, 2).bytes, 3).value, 200);
    assert_int_equal(count(m, 15), 0);
    strbuf_clear(&out);
    s.parent_id[7] = 1;
    otlp_write_span(&out, &s, 250, ERR_NOT_FOUND);
    m = strbuf_str(&out);
    assert_memory_equal(find(m, 4).bytes.p, s.parent_id, 8);
    assert_text(find(find(m, 15).bytes, 2), "not_found");
    assert_int_equal(find(find(m, 15).bytes, 3).value, 2);
    strbuf_deinit(&out);
}

static void add(struct list *items, const char *group, struct str bytes)
{
    struct outlet_item *item = mem_zalloc(sizeof(*item) + bytes.n);
    item->group = group;
    item->time_ns = 1700000000000000001;
    item->n = bytes.n;
    memcpy(item->bytes, bytes.p, bytes.n);
    list_add_tail(items, &item->node);
}

static void drop(struct list *items)
{
    LIST_FOREACH(items, node)
    free(LIST_ENTRY(node, struct outlet_item, node));
}

static void a_request_groups_by_service(void **state)
{
    const struct otlp_resource resource = {"node-1", "1.2.3", "host", 4711};
    struct strbuf out = {0};
    struct list items;
    list_init(&items);
    add(&items, "parlance.user.v1",
        STR("\x2a\x01"
            "a"));
    add(&items, "edge",
        STR("\x2a\x01"
            "b"));
    add(&items, "parlance.user.v1",
        STR("\x2a\x01"
            "c"));
    otlp_write_request(&out, &resource, &items);
    struct str m = strbuf_str(&out);
    assert_int_equal(count(m, 1), 2);
    struct str user = find_nth(m, 1, 0).bytes, edge = find_nth(m, 1, 1).bytes;
    struct str name = find_nth(find(user, 1).bytes, 1, 0).bytes;
    assert_text(find(name, 1), "service.name");
    assert_text(find(find(name, 2).bytes, 1), "parlance-user");
    name = find_nth(find(edge, 1).bytes, 1, 0).bytes;
    assert_text(find(find(name, 2).bytes, 1), "parlance-edge");
    struct str scope_spans = find(user, 2).bytes;
    assert_text(find(find(scope_spans, 1).bytes, 1), "parlance");
    assert_int_equal(count(scope_spans, 2), 2);
    assert_text(find(find_nth(scope_spans, 2, 1).bytes, 5), "c");
    assert_int_equal(count(find(edge, 2).bytes, 2), 1);
    drop(&items);
    strbuf_deinit(&out);
}

static void lines_by_level(void **state)
{
    const struct loki_labels labels = {"parlance", "node\"1"};
    struct strbuf out = {0};
    struct list items;
    list_init(&items);
    add(&items, "warn", STR("{\"msg\":\"w\"}"));
    add(&items, "info", STR("{\"msg\":\"i\"}"));
    add(&items, "warn", STR("v"));
    loki_write_request(&out, &labels, &items);
    assert_string_equal(
        out.p,
        "{\"streams\":[{\"stream\":{\"service\":\"parlance\",\"instance\":\"node\\\"1\","
        "\"level\":\"info\"},\"values\":[[\"1700000000000000001\",\"{\\\"msg\\\":\\\"i\\\"}\"]]},"
        "{\"stream\":{\"service\":\"parlance\",\"instance\":\"node\\\"1\",\"level\":\"warn\"},"
        "\"values\":[[\"1700000000000000001\",\"{\\\"msg\\\":\\\"w\\\"}\"],"
        "[\"1700000000000000001\",\"v\"]]}]}");
    drop(&items);
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span),
        cmocka_unit_test(a_request_groups_by_service),
        cmocka_unit_test(lines_by_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

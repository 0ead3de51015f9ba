/* loki: {"streams":[{"stream":{labels},"values":[["<ns since 1970>","<line>"],...]},...]} */
#include "telemetry/loki.h"

#include <inttypes.h>
#include <string.h>

#include "telemetry/outlet.h"

static const char *const levels[] = {"debug", "info", "warn", "error"};

static void write_label(struct strbuf *out, const char *name, const char *value)
{
    strbuf_printf(out, "\"%s\":", name);
    strbuf_add_json(out, str_from(value));
}

static size_t write_values(struct strbuf *out, const struct list *items, const char *level)
{
    size_t count = 0;
    LIST_FOREACH(items, node)
    {
        const struct outlet_item *item = LIST_ENTRY(node, struct outlet_item, node);
        if (strcmp(item->group, level) != 0)
            continue;
        strbuf_printf(out, "%s[\"%" PRId64 "\",", count++ ? "," : "", item->time_ns);
        strbuf_add_json(out, (struct str){item->bytes, item->n});
        strbuf_addc(out, ']');
    }
    return count;
}

void loki_write_request(struct strbuf *out, const struct loki_labels *labels,
                        const struct list *items)
{
    bool is_first = true;
    strbuf_adds(out, "{\"streams\":[");
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        struct strbuf values = {0};
        if (write_values(&values, items, levels[i])) {
            strbuf_adds(out, is_first ? "{\"stream\":{" : ",{\"stream\":{");
            write_label(out, "service", labels->service);
            strbuf_addc(out, ',');
            write_label(out, "instance", labels->instance);
            strbuf_addc(out, ',');
            write_label(out, "level", levels[i]);
            strbuf_adds(out, "},\"values\":[");
            strbuf_add(out, values.p, values.n);
            strbuf_adds(out, "]}");
            is_first = false;
        }
        strbuf_deinit(&values);
    }
    strbuf_adds(out, "]}");
}

/*
 * metric_text: the Prometheus text exposition format 0.0.4. Everything is written in order of name,
 * so that two scrapes can be compared by eye and by diff.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/metric_internal.h"

/* HELP escapes backslash and newline; label values the double quote too. */
static void add_escaped(struct strbuf *out, const char *s, bool is_label)
{
    for (; *s; s++) {
        if (*s == '\\')
            strbuf_adds(out, "\\\\");
        else if (*s == '\n')
            strbuf_adds(out, "\\n");
        else if (*s == '"' && is_label)
            strbuf_adds(out, "\\\"");
        else
            strbuf_addc(out, *s);
    }
}

static void add_number(struct strbuf *out, double v)
{
    if (isnan(v))
        strbuf_adds(out, "NaN");
    else if (isinf(v))
        strbuf_adds(out, v > 0 ? "+Inf" : "-Inf");
    else if (v == floor(v) && fabs(v) < 1e15)
        strbuf_printf(out, "%.0f", v);
    else
        strbuf_printf(out, "%.10g", v);
}

/* name{label="value",le="bound"}; `le` may be NULL. */
static void add_series(struct strbuf *out, const struct metric *m, const char *suffix,
                       const struct metric_cell *c, const char *le)
{
    const char *separator = "{";
    strbuf_printf(out, "%s%s", m->name, suffix);
    for (int i = 0; i < METRIC_LABELS_MAX && m->labels[i]; i++) {
        strbuf_printf(out, "%s%s=\"", separator, m->labels[i]);
        add_escaped(out, c->values[i], true);
        strbuf_addc(out, '"');
        separator = ",";
    }
    if (le) {
        strbuf_printf(out, "%sle=\"%s\"", separator, le);
        separator = ",";
    }
    strbuf_adds(out, *separator == ',' ? "} " : " ");
}

static void add_histogram(struct strbuf *out, const struct metric *m, struct metric_cell *c)
{
    uint64_t cumulative = 0;
    double bound = c->first_bound;
    for (unsigned i = 0; i <= c->bucket_count; i++, bound *= 2) {
        char le[32];
        snprintf(le, sizeof(le), "%.10g", bound);
        cumulative += metric_cell_bucket(c, i);
        add_series(out, m, "_bucket", c, i < c->bucket_count ? le : "+Inf");
        strbuf_printf(out, "%llu\n", (unsigned long long)cumulative);
    }
    add_series(out, m, "_sum", c, NULL);
    add_number(out, metric_cell_sum(c));
    strbuf_addc(out, '\n');
    /* The same sum as +Inf above, so that one scrape never contradicts itself. */
    add_series(out, m, "_count", c, NULL);
    strbuf_printf(out, "%llu\n", (unsigned long long)cumulative);
}

static void add_metric(struct strbuf *out, struct metric *m)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    double read;
    strbuf_printf(out, "# HELP %s ", m->name);
    add_escaped(out, m->help, false);
    strbuf_printf(out, "\n# TYPE %s %s\n", m->name, types[m->type]);
    bool has_reads = metric_read_sum(m, &read);
    if (has_reads) {
        strbuf_printf(out, "%s ", m->name);
        add_number(out, read);
        strbuf_addc(out, '\n');
    }
    struct metric_cell *c = __atomic_load_n(&m->cells, __ATOMIC_ACQUIRE);
    for (; c; c = c->next) {
        if (m->type == METRIC_TYPE_HISTOGRAM) {
            add_histogram(out, m, c);
        } else if (!has_reads || m->labels[0]) { /* never the same series twice */
            add_series(out, m, "", c, NULL);
            add_number(out, metric_cell_sum(c));
            strbuf_addc(out, '\n');
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct metric *const *)a)->name, (*(struct metric *const *)b)->name);
}

void metric_write_prometheus(struct strbuf *out)
{
    size_t count = 0, capacity = 0;
    struct metric **sorted = NULL;
    for (struct metric *m = metric_first(); m; m = m->next) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            sorted = mem_realloc_array(sorted, capacity, sizeof(struct metric *));
        }
        sorted[count++] = m;
    }
    if (count)
        qsort(sorted, count, sizeof(struct metric *), by_name);
    for (size_t i = 0; i < count; i++)
        add_metric(out, sorted[i]);
    free(sorted);
}

/*
 * metric: counters, gauges and histograms. Declared where they are counted, found by the exporters
 * through one process-wide list. Adding is a relaxed atomic on a per-thread-sharded cell; reading
 * sums up.
 *
 *   static struct metric requests =
 *       METRIC_COUNTER("parlance_http_requests_total", "Requests answered.", "route", "status");
 *   metric_cell_add(metric_cell(&requests, route, "200", NULL), 1);
 */
#pragma once

#include "core/str.h"

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

#define METRIC_LABELS_MAX 3

struct metric_cell; /* one series: a value per label combination */

struct metric {
    enum metric_type type;
    const char *name; /* Prometheus name with unit suffix: _seconds, _bytes, _total */
    const char *help;
    const char *labels[METRIC_LABELS_MAX];
    /* internal */
    struct metric *next;
    struct metric_cell *cells;
    struct metric_cell **buckets; /* the cells by label values */
    struct metric_cell *only;     /* the unlabelled cell */
    struct metric_cell *other;    /* shared by the label values beyond the limit */
    unsigned cell_count;
    struct metric_read *reads;
    bool is_registered;
};

#define METRIC_COUNTER(metric_name, help_text, ...)                                      \
    {                                                                                    \
        .type = METRIC_TYPE_COUNTER, .name = metric_name, .help = help_text, .labels = { \
            __VA_ARGS__                                                                  \
        }                                                                                \
    }
#define METRIC_GAUGE(metric_name, help_text, ...)                                      \
    {                                                                                  \
        .type = METRIC_TYPE_GAUGE, .name = metric_name, .help = help_text, .labels = { \
            __VA_ARGS__                                                                \
        }                                                                              \
    }
/* Buckets of a name that ends in _seconds: 0.5 ms doubling up to 16.384 s. Of any other (counts,
 * bytes): 1 doubling up to 1,048,576. */
#define METRIC_HISTOGRAM(metric_name, help_text, ...)                                      \
    {                                                                                      \
        .type = METRIC_TYPE_HISTOGRAM, .name = metric_name, .help = help_text, .labels = { \
            __VA_ARGS__                                                                    \
        }                                                                                  \
    }

/* The cell for these label values (copied; at most 1,000 cells a metric, then one shared "other").
 * Cache it on hot paths. Pass NULL for labels the metric does not have. */
struct metric_cell *metric_cell(struct metric *m, const char *v0, const char *v1, const char *v2);
void metric_cell_add(struct metric_cell *c, double delta);
void metric_cell_set(struct metric_cell *c, double value);
void metric_cell_observe(struct metric_cell *c, double value);

static inline void metric_add(struct metric *m, double delta)
{
    metric_cell_add(metric_cell(m, NULL, NULL, NULL), delta);
}
static inline void metric_set(struct metric *m, double value)
{
    metric_cell_set(metric_cell(m, NULL, NULL, NULL), value);
}
static inline void metric_observe(struct metric *m, double value)
{
    metric_cell_observe(metric_cell(m, NULL, NULL, NULL), value);
}

/*
 * A gauge (or counter) asked for when scraped (pool sizes, rooms); several reads of one metric are
 * summed. fn runs on the scraping thread and must not (un)register; once unregistered it is not
 * running any more. For metrics without labels.
 */
typedef double metric_read_fn(void *arg);
void metric_register_read(struct metric *m, metric_read_fn *fn, void *arg);
void metric_unregister_read(struct metric *m, void *arg);

/* Prometheus text exposition format 0.0.4 of everything. */
void metric_write_prometheus(struct strbuf *out);

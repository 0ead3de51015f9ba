/* telemetry: the exporters. A span is encoded by the thread that ends it, a line is there already;
 * each waits in the queue of its outlet. */
#include "telemetry/telemetry.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/span.h"
#include "telemetry/loki.h"
#include "telemetry/otlp.h"
#include "telemetry/outlet.h"

#define FLUSH_MS 3000      /* what is left has that long to go, all in all; */
#define FLUSH_LEAST_MS 500 /* the log, that says how it went, a moment more */

struct telemetry {
    struct outlet *traces, *logs; /* NULL: not wanted */
    struct otlp_resource resource;
    struct loki_labels labels;
    char *service, *instance, *version;
    char host[256];
};

static const char *const levels[] = {"debug", "info", "warn", "error", "error"};

static void on_span(void *arg, const struct span *span, int64_t duration_us, int err)
{
    struct telemetry *t = arg;
    struct strbuf bytes = {0};
    otlp_write_span(&bytes, span, duration_us, err);
    outlet_add(t->traces, span->service ? span->service : "server", 0, strbuf_str(&bytes));
    strbuf_deinit(&bytes);
}

static void on_line(void *arg, enum log_level level, const char *line, size_t n)
{
    struct telemetry *t = arg;
    outlet_add(t->logs, levels[level], clock_wall_us() * 1000, (struct str){line, n});
}

static void pack_spans(void *arg, const struct list *items, struct strbuf *body)
{
    const struct telemetry *t = arg;
    otlp_write_request(body, &t->resource, items);
}

static void pack_lines(void *arg, const struct list *items, struct strbuf *body)
{
    const struct telemetry *t = arg;
    loki_write_request(body, &t->labels, items);
}

static bool is_given(const char *text)
{
    return text && text[0];
}

static void name_process(struct telemetry *t, const struct telemetry_options *opt)
{
    if (gethostname(t->host, sizeof(t->host) - 1) != 0)
        t->host[0] = '\0';
    t->service = mem_strdup(is_given(opt->service) ? opt->service : "parlance");
    t->instance = mem_strdup(is_given(opt->instance) ? opt->instance : t->host);
    t->version = mem_strdup(is_given(opt->version) ? opt->version : "");
    t->resource = (struct otlp_resource){t->instance, t->version, t->host, getpid()};
    t->labels = (struct loki_labels){t->service, t->instance};
}

static enum err open_outlets(struct telemetry *t, const struct telemetry_options *opt)
{
    enum err err = ERR_OK;
    if (is_given(opt->otlp_url))
        err = outlet_open(&t->traces, &(struct outlet_options){
                                          .what = "traces",
                                          .url = opt->otlp_url,
                                          .path = "/v1/traces",
                                          .content_type = "application/x-protobuf",
                                          .pack = pack_spans,
                                          .arg = t,
                                      });
    if (!err && is_given(opt->loki_url))
        err = outlet_open(&t->logs, &(struct outlet_options){
                                        .what = "logs",
                                        .url = opt->loki_url,
                                        .path = "/loki/api/v1/push",
                                        .content_type = "application/json",
                                        .pack = pack_lines,
                                        .arg = t,
                                    });
    return err;
}

enum err telemetry_open(struct telemetry **out, const struct telemetry_options *opt)
{
    *out = NULL;
    if (!is_given(opt->otlp_url) && !is_given(opt->loki_url))
        return ERR_OK;
    struct telemetry *t = mem_new(struct telemetry);
    name_process(t, opt);
    enum err err = open_outlets(t, opt);
    if (err) {
        telemetry_close(&t);
        return err;
    }
    if (t->traces) {
        span_set_ratio(opt->trace_ratio_ppm);
        span_set_sink(on_span, t);
    }
    if (t->logs)
        log_set_sink(on_line, t);
    *out = t;
    return ERR_OK;
}

void telemetry_close(struct telemetry **telemetry)
{
    struct telemetry *t = *telemetry;
    int64_t until_ms = clock_mono_ms() + FLUSH_MS;
    *telemetry = NULL;
    if (!t)
        return;
    if (t->traces)
        span_set_sink(NULL, NULL);
    outlet_close(&t->traces, until_ms); /* says in the log how it went */
    if (t->logs)
        log_set_sink(NULL, NULL);
    outlet_close(&t->logs, MAX(until_ms, clock_mono_ms() + FLUSH_LEAST_MS));
    free(t->service);
    free(t->instance);
    free(t->version);
    free(t);
}

/*
 * control: the caller's lines. Each is a JSON object with "do"; each answer is a JSON object with
 * "event", on a line of its own.
 *
 *   open {id, host, is_controlling, is_dtls_server, is_timed}
 *                               -> opened {id, ufrag, pwd, fingerprint, host, port}
 *   connect {id, host, port, ufrag, pwd, fingerprint, extensions {uri: id}, rtx [pt]}
 *                               -> later connected {id, detail: profile} or failed {id, detail}
 *   connect {id, host, port, send_key, recv_key}     static keys (key and salt, in hex)
 *   publish {id, source, audio {ssrc, pt, mid}, video {...}, bitrate_bps, fps, paced_packets}
 *   expect {id, sources [n]}
 *   start, stop                 all sources
 *   missing                     -> missing {count}: expected streams that have not begun
 *   close {id}                  gone, with what it publishes; close_notify goes first, as a page's
 *   heard                       -> heard {endpoints [{id, audio {source: packets}}]}
 *   begin, end                  of the measured window -> began, ended
 *   report                      -> report {...}
 *   quit
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "sfu/key.h"

static void refuse(const char *what, const char *why)
{
    load_say(json_pack("{s:s, s:s, s:s}", "event", "error", "do", what, "detail", why));
}

static const char *text_of(json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static int64_t number_of(json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static bool flag_of(json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static struct endpoint *endpoint_of(struct load *load, json_t *o)
{
    int64_t id = number_of(o, "id");
    return id >= 0 && id < LOAD_ENDPOINTS_MAX ? load->endpoints[id] : NULL;
}

/* ---- connections ---- */

static void do_open(struct load *load, json_t *o)
{
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    const char *problem = "";
    const char *host = text_of(o, "host")[0] ? text_of(o, "host") : "127.0.0.1";
    struct endpoint *e =
        endpoint_create(load,
                        &(struct endpoint_options){.id = (unsigned)number_of(o, "id"),
                                                   .host = host,
                                                   .is_controlling = flag_of(o, "is_controlling"),
                                                   .is_dtls_server = flag_of(o, "is_dtls_server"),
                                                   .is_timed = flag_of(o, "is_timed")},
                        &problem);
    if (!e) {
        refuse("open", problem);
        return;
    }
    fingerprint_text(dtls_context_fingerprint(load->dtls), fingerprint);
    load_say(json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i}", "event", "opened", "id", (int)e->id,
                       "ufrag", e->ufrag, "pwd", e->pwd, "fingerprint", fingerprint, "host", host,
                       "port", (int)endpoint_port(e)));
}

static void read_extensions(struct endpoint *e, json_t *o)
{
    const char *uri;
    json_t *id;
    json_object_foreach(json_object_get(o, "extensions"), uri, id)
    {
        enum rtp_ext_kind kind = rtp_ext_kind_from_uri(str_from(uri));
        if (kind != RTP_EXT_NONE)
            e->ext_ids[kind] = (uint8_t)json_integer_value(id);
    }
    size_t i;
    json_t *pt;
    json_array_foreach(json_object_get(o, "rtx"), i, pt)
    {
        int64_t number = json_integer_value(pt);
        if (number >= 96 && number < 112)
            e->rtx_pts |= (uint16_t)(1u << (number - 96));
    }
}

static void do_connect(struct load *load, json_t *o)
{
    struct endpoint *e = endpoint_of(load, o);
    struct srtp_key send_key, recv_key;
    bool has_keys =
        key_read(text_of(o, "send_key"), &send_key) && key_read(text_of(o, "recv_key"), &recv_key);
    if (!e || e->state != ENDPOINT_NEW) {
        refuse("connect", "no such endpoint, or connected already");
        return;
    }
    snprintf(e->remote_ufrag, sizeof(e->remote_ufrag), "%s", text_of(o, "ufrag"));
    snprintf(e->remote_pwd, sizeof(e->remote_pwd), "%s", text_of(o, "pwd"));
    read_extensions(e, o);
    if (!has_keys &&
        !fingerprint_parse(str_from(text_of(o, "fingerprint")), &e->remote_fingerprint)) {
        refuse("connect", "a fingerprint or two keys are needed");
        return;
    }
    if (!endpoint_connect(e, text_of(o, "host"), (uint16_t)number_of(o, "port")) ||
        (has_keys && !endpoint_use_keys(e, &send_key, &recv_key)))
        refuse("connect", "that address or these keys cannot be used");
}

/* ---- media ---- */

static void read_stream(struct source_stream *t, json_t *o)
{
    t->ssrc = (uint32_t)number_of(o, "ssrc");
    t->pt = (uint8_t)number_of(o, "pt");
    snprintf(t->mid, sizeof(t->mid), "%s", text_of(o, "mid"));
    t->seq = (uint16_t)(id_random_u32() & 0x7fff);
    t->timestamp = id_random_u32();
}

static void do_publish(struct load *load, json_t *o)
{
    struct endpoint *e = endpoint_of(load, o);
    int64_t index = number_of(o, "source"), fps = number_of(o, "fps");
    if (!e || e->source || index < 0 || index >= LOAD_SOURCES_MAX || load->sources[index] ||
        fps < 1 || fps > 1000) {
        refuse("publish", "no such endpoint or source, or it publishes already");
        return;
    }
    struct source *s = mem_new(struct source);
    s->endpoint = e;
    s->index = (uint16_t)index;
    s->random = id_random_u32() | 1;
    s->fps = (uint32_t)fps;
    s->frame_bytes = (uint32_t)MAX(number_of(o, "bitrate_bps") / 8 / fps, 64);
    s->paced_packets = (uint32_t)number_of(o, "paced_packets");
    read_stream(&s->audio, json_object_get(o, "audio"));
    read_stream(&s->video, json_object_get(o, "video"));
    e->source = load->sources[index] = s;
    load->source_count = MAX(load->source_count, (unsigned)index + 1);
}

static void do_expect(struct load *load, json_t *o)
{
    struct endpoint *e = endpoint_of(load, o);
    size_t i;
    json_t *index;
    json_array_foreach(json_object_get(o, "sources"), i, index)
    {
        int64_t number = json_integer_value(index);
        if (e && number >= 0 && number < LOAD_SOURCES_MAX)
            e->sink.expects[number] = true;
    }
}

static void do_start(struct load *load, json_t *o UNUSED)
{
    for (unsigned i = 0; i < load->source_count; i++)
        if (load->sources[i])
            source_start(load->sources[i], clock_mono_us());
}

static void do_stop(struct load *load, json_t *o UNUSED)
{
    for (unsigned i = 0; i < load->source_count; i++)
        if (load->sources[i])
            load->sources[i]->is_running = false;
}

static void do_missing(struct load *load, json_t *o UNUSED)
{
    unsigned count = 0;
    for (unsigned i = 0; i < load->endpoint_count; i++)
        if (load->endpoints[i])
            count += sink_missing(load->endpoints[i]);
    load_say(json_pack("{s:s, s:i}", "event", "missing", "count", (int)count));
}

static void do_close(struct load *load, json_t *o)
{
    struct endpoint *e = endpoint_of(load, o);
    for (unsigned i = 0; e && i < load->source_count; i++) {
        if (load->sources[i] && load->sources[i]->endpoint == e) {
            free(load->sources[i]);
            load->sources[i] = NULL;
        }
    }
    if (e && e->dtls)
        dtls_close(e->dtls);
    endpoint_destroy(&e);
}

static json_t *audio_of(const struct endpoint *e)
{
    json_t *audio = json_object();
    for (unsigned i = 0; i < e->sink.count; i++) {
        const struct sink_stream *t = &e->sink.streams[i];
        char name[8];
        if (t->is_video)
            continue;
        snprintf(name, sizeof(name), "%u", t->source);
        json_int_t before = json_integer_value(json_object_get(audio, name));
        json_object_set_new(audio, name, json_integer(before + t->packets));
    }
    return audio;
}

static void do_heard(struct load *load, json_t *o UNUSED)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < load->endpoint_count; i++)
        if (load->endpoints[i] && load->endpoints[i]->sink.count)
            json_array_append_new(
                all, json_pack("{s:i, s:o}", "id", (int)i, "audio", audio_of(load->endpoints[i])));
    load_say(json_pack("{s:s, s:o}", "event", "heard", "endpoints", all));
}

/* ---- the window ---- */

static void do_begin(struct load *load, json_t *o UNUSED)
{
    load->received = load->duplicates = load->retransmitted = load->bytes = 0;
    load->forged = load->corrupt = load->verified = load->unmarked = 0;
    load->delay_count = 0;
    for (unsigned i = 0; i < load->endpoint_count; i++)
        if (load->endpoints[i])
            sink_reset(&load->endpoints[i]->sink);
    for (unsigned i = 0; i < load->source_count; i++) {
        struct source *s = load->sources[i];
        if (s) {
            s->audio.begin = s->audio.number;
            s->video.begin = s->video.number;
        }
    }
    load->is_measuring = true;
    load->is_ended = false;
    load_say(json_pack("{s:s}", "event", "began"));
}

static void do_end(struct load *load, json_t *o UNUSED)
{
    for (unsigned i = 0; i < load->source_count; i++) {
        struct source *s = load->sources[i];
        if (s) {
            s->audio.end = s->audio.number;
            s->video.end = s->video.number;
        }
    }
    load->is_ended = true;
    load_say(json_pack("{s:s}", "event", "ended"));
}

static int compare_delays(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static double delay_ms(const struct load *load, double part)
{
    if (load->delay_count == 0)
        return 0;
    return load->delays_ns[(size_t)(part * (double)(load->delay_count - 1))] / 1e6;
}

static uint64_t count_expected(const struct load *load)
{
    uint64_t expected = 0;
    for (unsigned i = 0; i < load->endpoint_count; i++)
        for (unsigned k = 0; k < load->source_count; k++) {
            const struct source *s = load->sources[k];
            if (load->endpoints[i] && s && load->endpoints[i]->sink.expects[k])
                expected += s->audio.end - s->audio.begin + s->video.end - s->video.begin;
        }
    return expected;
}

static void do_report(struct load *load, json_t *o UNUSED)
{
    uint64_t sent = 0, keys_asked = 0, keys_sent = 0, nacked = 0;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    for (unsigned i = 0; i < load->source_count; i++) {
        const struct source *s = load->sources[i];
        if (!s)
            continue;
        sent += s->audio.end - s->audio.begin + s->video.end - s->video.begin;
        keys_asked += s->keys_asked;
        keys_sent += s->keys_sent;
        nacked += s->nacked;
    }
    if (load->delay_count)
        qsort(load->delays_ns, load->delay_count, sizeof(int32_t), compare_delays);
    json_t *event = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "event", "report", "sent",
        (json_int_t)sent, "expected", (json_int_t)count_expected(load), "received",
        (json_int_t)load->received, "bytes", (json_int_t)load->bytes, "duplicates",
        (json_int_t)load->duplicates, "retransmitted", (json_int_t)load->retransmitted, "forged",
        (json_int_t)load->forged, "corrupt", (json_int_t)load->corrupt, "unmarked",
        (json_int_t)load->unmarked, "verified", (json_int_t)load->verified);
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f}", "keyframes_asked", (json_int_t)keys_asked,
        "keyframes_sent", (json_int_t)keys_sent, "nacked", (json_int_t)nacked, "delay_ms_p50",
        delay_ms(load, 0.5), "delay_ms_p99", delay_ms(load, 0.99), "delay_ms_max",
        delay_ms(load, 1), "delays", (json_int_t)load->delay_count, "client_cpu_s",
        (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
            (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    json_object_update(event, more);
    json_decref(more);
    load_say(event);
}

static void do_quit(struct load *load, json_t *o UNUSED)
{
    load->is_done = true;
}

/* ---- dispatch ---- */

static const struct {
    const char *name;
    void (*fn)(struct load *load, json_t *o);
} commands[] = {
    {"open", do_open},   {"connect", do_connect}, {"publish", do_publish}, {"expect", do_expect},
    {"start", do_start}, {"stop", do_stop},       {"missing", do_missing}, {"begin", do_begin},
    {"end", do_end},     {"report", do_report},   {"quit", do_quit},       {"close", do_close},
    {"heard", do_heard},
};

void control_line(struct load *load, const char *line)
{
    json_error_t error;
    json_t *o = json_loads(line, 0, &error);
    const char *name = o ? text_of(o, "do") : "";
    size_t i = 0;
    while (i < ARRAY_LEN(commands) && strcmp(commands[i].name, name) != 0)
        i++;
    if (i < ARRAY_LEN(commands))
        commands[i].fn(load, o);
    else
        refuse(name, o ? "unknown" : error.text);
    json_decref(o);
}

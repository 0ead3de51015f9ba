/*
 * im_load: the clients of bench-im, in one thread.
 *
 *   im_load MODE PROTOCOL PORT SECONDS BYTES CONCURRENCY RUN_ID
 *
 * Stdin has a line of fields for each client, an empty line, and then "go" when the work may begin:
 * the runner reads the server's CPU and memory meanwhile. One line of JSON says that all are ready,
 * one what was done; then the sockets are held until stdin ends.
 *
 * send: the first CONCURRENCY clients send a message each and, when it is acknowledged, the next;
 * the others listen. fanout: one message is published and, when every client has it, the next;
 * deliver: the same, looked for so often that a delay is told to 0.1 ms.
 * resume: a client comes back, asks what it missed, and goes when it knows; CONCURRENCY at once.
 * idle: nothing.
 */
#include "load.h"

#include <unistd.h>

#define STUCK_US 30000000
#define OPENING_MAX 64

struct options opt;

static struct {
    int opening, ready, gone;
    bool is_sending, is_resuming; /* what is acknowledged is followed by the next */
    uint64_t acked, refused, delivered, published, delivered_bytes;
    int64_t published_us;
    int next; /* client to resume */
    uint32_t *delays_us;
    size_t delay_count;
} load;

/* ---- what is told ---- */

static void note_delay(int64_t since_us)
{
    load.delays_us =
        (load.delay_count & (load.delay_count - 1)) == 0
            ? mem_realloc_array(load.delays_us, load.delay_count ? load.delay_count * 2 : 1,
                                sizeof(load.delays_us[0]))
            : load.delays_us;
    load.delays_us[load.delay_count++] = (uint32_t)(clock_mono_us() - since_us);
}

void load_ready(struct client *c)
{
    c->is_ready = true;
    load.ready++;
    load.opening--;
    if (opt.protocol->resume && strcmp(opt.mode, "resume") == 0) {
        c->sent_us = c->sent_us ? c->sent_us : clock_mono_us();
        opt.protocol->resume(c);
    }
}

static void resume_next(void)
{
    struct client *c = &clients[load.next++ % client_count];
    if (c->fd >= 0)
        return;
    load.opening++;
    c->sent_us = clock_mono_us();
    wire_open(c);
}

static bool is_fanout(void)
{
    return strcmp(opt.mode, "fanout") == 0 || strcmp(opt.mode, "deliver") == 0;
}

void load_acked(struct client *c, bool is_refused)
{
    if (!c->sent_us)
        return;
    load.acked += !is_refused;
    load.refused += is_refused;
    if (!is_fanout())
        note_delay(c->sent_us);
    c->sent_us = 0;
    if (strcmp(opt.mode, "resume") == 0) {
        wire_close(c);
        load.ready--;
        if (load.is_resuming)
            resume_next();
    } else if (load.is_sending) {
        opt.protocol->send(c);
    }
}

void load_delivered(struct client *c UNUSED, size_t bytes)
{
    load.delivered++;
    load.delivered_bytes += bytes;
    if (load.published_us)
        note_delay(load.published_us);
}

void load_gone(struct client *c)
{
    load.gone++;
    if (c->is_ready)
        load.ready--;
    else
        load.opening--;
}

/* ---- modes ---- */

static void stuck(const char *what)
{
    fprintf(stderr, "im_load: stuck %s: %d ready, %d opening, %d gone\n", what, load.ready,
            load.opening, load.gone);
    exit(1);
}

static void open_all(void)
{
    int64_t until_us = clock_mono_us() + STUCK_US;
    bool is_resume = strcmp(opt.mode, "resume") == 0;
    for (int next = 0;
         is_resume ? load.acked < (uint64_t)client_count : load.ready < client_count;) {
        int before = next;
        while (next < client_count && load.opening < OPENING_MAX) {
            load.opening++;
            wire_open(&clients[next++]);
        }
        if (wire_poll(100) || next != before)
            until_us = clock_mono_us() + STUCK_US;
        if (clock_mono_us() > until_us || load.gone)
            stuck("opening");
    }
}

static void drain(void)
{
    int64_t until_us = clock_mono_us() + STUCK_US;
    for (int i = 0; i < client_count && clock_mono_us() < until_us;) {
        if (clients[i].sent_us && clients[i].fd >= 0)
            wire_poll(20);
        else
            i++;
    }
}

static void run_send(int64_t until_us)
{
    load.is_sending = true;
    for (int i = 0; i < MIN(client_count, opt.concurrency); i++)
        opt.protocol->send(&clients[i]);
    while (clock_mono_us() < until_us && load.ready)
        wire_poll(20);
    load.is_sending = false;
    drain();
}

static void run_resume(int64_t until_us)
{
    load.is_resuming = true;
    for (int i = 0; i < opt.concurrency; i++)
        resume_next();
    while (clock_mono_us() < until_us)
        wire_poll(20);
    load.is_resuming = false;
    drain();
}

/* False: not all had it in time. Looks every millisecond rather than sleeps in epoll: a send that
 * wakes the receiver would be charged with that, and how often it does would be chance. */
static bool publish_once(int64_t patience_us)
{
    uint64_t wanted = load.delivered + (uint64_t)load.ready;
    useconds_t look_us = strcmp(opt.mode, "deliver") == 0 ? 30 : 1000;
    int64_t stuck_us = clock_mono_us() + patience_us;
    load.published_us = clock_mono_us();
    load.published++;
    opt.protocol->publish();
    while ((load.delivered < wanted || clients[0].sent_us) && clock_mono_us() < stuck_us)
        if (wire_poll(0) == 0)
            usleep(look_us);
    return load.delivered >= wanted;
}

static void run_fanout(int64_t until_us)
{
    while (clock_mono_us() < until_us && publish_once(STUCK_US))
        ;
}

/* ---- the runner ---- */

static void read_clients(void)
{
    char *line = NULL;
    size_t size = 0, room = 0;
    while (getline(&line, &size, stdin) > 1) {
        if ((size_t)client_count == room) {
            room = room ? room * 2 : 64;
            clients = mem_realloc_array(clients, room, sizeof(clients[0]));
        }
        struct client *c = &clients[client_count];
        *c = (struct client){.fd = -1, .number = client_count++};
        char *rest = line;
        for (int i = 0; i < FIELDS_MAX; i++) {
            char *field = strsep(&rest, " \n");
            c->fields[i] = mem_strdup(field ? field : "");
        }
    }
    free(line);
}

static void poll_now(void)
{
    wire_poll(0);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double delay_ms(int permille)
{
    size_t n = load.delay_count;
    return n ? load.delays_us[MIN(n - 1, n * (size_t)permille / 1000)] / 1e3 : 0;
}

static void report(int64_t took_us)
{
    if (load.delay_count)
        qsort(load.delays_us, load.delay_count, sizeof(load.delays_us[0]), by_value);
    printf(
        "{\"event\":\"done\",\"seconds\":%.6f,\"acked\":%llu,\"refused\":%llu,\"delivered\":%llu,"
        "\"published\":%llu,\"bytes_each\":%llu,\"open\":%d,\"gone\":%d,\"ms_p50\":%.3f,"
        "\"ms_p99\":%.3f}\n",
        (double)took_us / 1e6, (unsigned long long)load.acked, (unsigned long long)load.refused,
        (unsigned long long)load.delivered, (unsigned long long)load.published,
        (unsigned long long)(load.delivered ? load.delivered_bytes / load.delivered : 0),
        load.ready, load.gone, delay_ms(500), delay_ms(990));
    fflush(stdout);
}

static const struct protocol *protocol_find(const char *name)
{
    const struct protocol *all[] = {&protocol_parlance, &protocol_xmpp, &protocol_muc,
                                    &protocol_plain};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    fprintf(stderr, "im_load: there is no protocol %s\n", name);
    exit(2);
}

static void parse(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr,
                "usage: im_load send|fanout|deliver|resume|idle PROTOCOL PORT[,PORT] SECONDS BYTES "
                "CONCURRENCY RUN_ID\n");
        exit(2);
    }
    opt = (struct options){.mode = argv[1],
                           .protocol = protocol_find(argv[2]),
                           .port = atoi(argv[3]),
                           .other_port = strchr(argv[3], ',') ? atoi(strchr(argv[3], ',') + 1) : 0,
                           .seconds = atoi(argv[4]),
                           .bytes = atoi(argv[5]),
                           .concurrency = atoi(argv[6]),
                           .run_id = argv[7]};
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    client_raise_file_limit();
    setvbuf(stdin, NULL, _IONBF, 0);
    read_clients();
    wire_init();
    open_all();
    if (is_fanout()) { /* until all of a server's processes know of all */
        usleep(500000);
        for (int i = 0; i < 3; i++)
            publish_once(2000000);
    }
    printf("{\"event\":\"ready\",\"open\":%d}\n", client_count);
    fflush(stdout);
    client_wait_for_line(poll_now);
    load.acked = load.refused = load.delivered = load.published = load.delivered_bytes = 0;
    load.delay_count = 0;
    int64_t start_us = clock_mono_us(), until_us = start_us + opt.seconds * INT64_C(1000000);
    if (strcmp(opt.mode, "send") == 0)
        run_send(until_us);
    else if (is_fanout())
        run_fanout(until_us);
    else if (strcmp(opt.mode, "resume") == 0)
        run_resume(until_us);
    report(clock_mono_us() - start_us);
    client_wait_for_line(poll_now);
    return 0;
}

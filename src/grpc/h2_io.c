/*
 * h2_io: what happens once a turn of the loop, for all channels and servers on it: calls that could
 * not begin end, connections that were touched send, what is buried is freed.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "grpc/h2_internal.h"

static void turn(void *arg);

void h2_io_touch(struct h2_io *io)
{
    if (io->is_turning)
        return;
    io->is_turning = true;
    stream_io_next_turn(io->io, turn, io);
}

static void half_free(struct h2_half *half)
{
    h2_deframer_deinit(&half->in);
    strbuf_deinit(&half->out);
    strbuf_deinit(&half->trailers);
    free(half);
}

static void empty_graves(struct h2_io *io)
{
    LIST_FOREACH(&io->graves, node)
    {
        list_remove(node);
        half_free(LIST_ENTRY(node, struct h2_half, node));
    }
}

static void turn(void *arg)
{
    struct h2_io *io = arg;
    h2_calls_fail(io);
    while (!list_is_empty(&io->dirty)) {
        struct h2_conn *conn = LIST_ENTRY(io->dirty.next, struct h2_conn, dirty_node);
        list_remove(&conn->dirty_node);
        h2_conn_flush(conn);
    }
    empty_graves(io);
    io->is_turning = false; /* what was touched meanwhile is done already */
    if (!list_is_empty(&io->failed))
        h2_io_touch(io);
}

static void start(void *arg)
{
    struct h2_io *io = arg;
    io->io = stream_io_create(io->loop);
}

struct h2_io *h2_io_create(struct loop *loop)
{
    struct h2_io *io = mem_zalloc(sizeof(*io));
    io->loop = loop;
    list_init(&io->dirty);
    list_init(&io->failed);
    list_init(&io->graves);
    loop_call(loop, start, io);
    return io;
}

static void stop(void *arg)
{
    struct h2_io *io = arg;
    h2_calls_fail(io);
    empty_graves(io);
    stream_io_destroy(&io->io);
}

void h2_io_destroy(struct h2_io **io)
{
    if (!*io)
        return;
    loop_call((*io)->loop, stop, *io);
    free(*io);
    *io = NULL;
}

struct loop *h2_io_loop(const struct h2_io *io)
{
    return io->loop;
}

/*
 * ws_deflate: permessage-deflate (RFC 7692) without context takeover in either direction: each
 * message stands alone, so the zlib state can be one inflater and one deflater a window size per
 * shard, and a deflated frame can be shared by all receivers.
 */
#include <stdlib.h>
#include <zlib.h>

#include "core/mem.h"
#include "net/ws_internal.h"

#define STEP_BYTES 16384
#define LEVEL 5
#define MEMORY_LEVEL 8

struct ws_shard {
    z_stream inflater;
    z_stream *deflaters[WS_WINDOW_BITS_MAX + 1]; /* by window; NULL: not needed yet */
    bool has_inflater;
    struct strbuf scratch;
};

struct ws_shard *ws_shard_create(void)
{
    return mem_new(struct ws_shard);
}

void ws_shard_destroy(struct ws_shard **shard)
{
    struct ws_shard *s = *shard;
    if (s->has_inflater)
        inflateEnd(&s->inflater);
    for (size_t i = 0; i < ARRAY_LEN(s->deflaters); i++) {
        if (s->deflaters[i])
            deflateEnd(s->deflaters[i]);
        free(s->deflaters[i]);
    }
    strbuf_deinit(&s->scratch);
    free(s);
    *shard = NULL;
}

struct strbuf *ws_shard_scratch(struct ws_shard *shard)
{
    return &shard->scratch;
}

/* zlib fails here for want of memory only. */
static void must(int rc)
{
    if (rc != Z_OK)
        abort();
}

static enum err inflate_part(z_stream *z, struct str in, size_t limit, struct strbuf *out,
                             bool *is_ended)
{
    z->next_in = (Bytef *)in.p;
    z->avail_in = (uInt)in.n;
    do {
        /* One byte beyond the limit tells that there is more than it. */
        size_t space = MIN((size_t)STEP_BYTES, limit + 1 - out->n);
        z->next_out = (Bytef *)strbuf_reserve(out, space);
        z->avail_out = (uInt)space;
        int rc = inflate(z, Z_SYNC_FLUSH);
        out->n += space - z->avail_out;
        if (out->n > limit)
            return ERR_RESOURCE_EXHAUSTED;
        if (rc == Z_STREAM_END) {
            *is_ended = true;
            return z->avail_in == 0 ? ERR_OK : ERR_INVALID_ARGUMENT;
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return ERR_INVALID_ARGUMENT;
    } while (z->avail_out == 0);
    return ERR_OK;
}

enum err ws_inflate(struct ws_shard *shard, struct str in, size_t max, struct strbuf *out)
{
    z_stream *z = &shard->inflater;
    if (!shard->has_inflater)
        must(inflateInit2(z, -WS_WINDOW_BITS_MAX));
    else
        inflateReset(z);
    shard->has_inflater = true;
    bool is_ended = false;
    size_t limit = out->n + max;
    enum err err = inflate_part(z, in, limit, out, &is_ended);
    /* The end of a sync flush, which the sender cut off (7.2.2); a final block has none. */
    if (!err && !is_ended)
        err = inflate_part(z, (struct str){"\x00\x00\xff\xff", 4}, limit, out, &is_ended);
    return err;
}

static z_stream *deflater_of(struct ws_shard *shard, unsigned window_bits)
{
    z_stream *z = shard->deflaters[window_bits];
    if (z) {
        deflateReset(z);
        return z;
    }
    z = shard->deflaters[window_bits] = mem_new(z_stream);
    must(deflateInit2(z, LEVEL, Z_DEFLATED, -(int)window_bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY));
    return z;
}

void ws_deflate(struct ws_shard *shard, unsigned window_bits, struct str in, struct strbuf *out)
{
    z_stream *z = deflater_of(shard, window_bits);
    z->next_in = (Bytef *)in.p;
    z->avail_in = (uInt)in.n;
    do {
        z->next_out = (Bytef *)strbuf_reserve(out, STEP_BYTES);
        z->avail_out = STEP_BYTES;
        deflate(z, Z_SYNC_FLUSH);
        out->n += STEP_BYTES - z->avail_out;
    } while (z->avail_out == 0);
    out->n -= 4; /* 00 00 ff ff */
}

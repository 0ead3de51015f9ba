/*
 * grpc: the forms of gRPC beneath HTTP/2. The first byte says in what pieces the rest comes.
 * However it is cut, the same messages come out; what is written is read back.
 */
#include <stdlib.h>

#include "grpc/h2_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct got {
    size_t count, bytes;
    bool is_gone;
};

static void on_message(void *arg, const uint8_t *bytes, size_t n)
{
    struct got *got = arg;
    got->count++;
    got->bytes += n + (n ? bytes[0] + bytes[n - 1] : 0);
}

static enum err take(const uint8_t *data, size_t size, size_t piece, struct got *got)
{
    struct h2_deframer d = {.max_bytes = 1000};
    enum err err = ERR_OK;
    for (size_t at = 0; at < size && !err; at += piece)
        err = h2_deframe(&d, data + at, MIN(piece, size - at), &got->is_gone, on_message, got);
    if (d.partial.n > 1000)
        abort();
    h2_deframer_deinit(&d);
    return err;
}

static void check_texts(struct str text)
{
    char out[100];
    int64_t ms = 0;
    struct strbuf wire = {0};
    h2_percent_parse(text, out, sizeof(out));
    if (!str_is_utf8(str_from(out)))
        abort();
    h2_percent_write(&wire, str_from(out));
    char again[100];
    h2_percent_parse(strbuf_str(&wire), again, sizeof(again));
    if (strcmp(out, again) != 0)
        abort();
    strbuf_deinit(&wire);
    if (h2_timeout_parse(text, &ms)) {
        char timeout[H2_TIMEOUT_SIZE];
        h2_timeout_write(ms, timeout);
        int64_t written = 0;
        if (!h2_timeout_parse(str_from(timeout), &written) || written < MIN(ms, (int64_t)1))
            abort();
    }
    if (h2_status_parse(text) > ERR_UNAUTHENTICATED)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct got whole = {0}, cut = {0};
    enum err err = take(data + 1, size - 1, SIZE_MAX / 2, &whole);
    if (take(data + 1, size - 1, 1 + data[0], &cut) != err || whole.count != cut.count ||
        whole.bytes != cut.bytes)
        abort();
    check_texts((struct str){(const char *)data + 1, size - 1});
    return 0;
}

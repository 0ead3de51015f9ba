/* sdp_fuzz: any text as a session description. What is accepted must be writable, and what was
 * written must be accepted and written the same. */
#include <stdlib.h>

#include "sfu/wire/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create();
    struct strbuf first = {0}, second = {0};
    struct sdp_session s, again;
    if (sdp_parse(&s, arena, (struct str){(const char *)data, size}, NULL) == ERR_OK) {
        if (arena_used(arena) > size * 64 + 4096)
            abort();
        sdp_write(&first, &s);
        /* The text may have grown beyond what is read: names for numbers, defaults spelt out. */
        if (sdp_parse(&again, arena, strbuf_str(&first), NULL) == ERR_OK) {
            sdp_write(&second, &again);
            if (!str_eq(strbuf_str(&first), strbuf_str(&second)))
                abort();
        } else if (first.n <= SDP_MAX_BYTES / 2) {
            abort();
        }
    }
    strbuf_deinit(&first);
    strbuf_deinit(&second);
    arena_destroy(&arena);
    return 0;
}

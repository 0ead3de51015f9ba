/*
 * upload: headers of tus. Whatever they say, a name that is taken can be shown and is no path, a
 * type is plain, and a digest fits.
 */
#include <stdlib.h>

#include "services/file/file_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct arena *arena = arena_create();
    struct file_metadata meta;
    struct file_checksum sum;
    if (file_metadata_parse(text, arena, &meta)) {
        if (!str_is_utf8(str_from(meta.name)) || strpbrk(meta.name, "/\\\r\n\t\x7f"))
            abort();
        for (const char *c = meta.type; *c; c++)
            if (*c <= ' ' || *c > '~' || (*c >= 'A' && *c <= 'Z'))
                abort();
    }
    if (file_checksum_parse(text, &sum) && sum.n > sizeof(sum.bytes))
        abort();
    arena_destroy(&arena);
    return 0;
}
